// A request as the database is told of it: method, path, headers and cookies.
'use strict';
const crypto = require('node:crypto');

const random = () => crypto.randomUUID().replaceAll('-', '');        // from a store of random bytes

// Of two cookies of one name the first counts.
function cookiesOf(text = '') {
    const cookies = {};
    for (const pair of text.split(';')) {
        const [, name, value] = /^([^=]*)=(.*)$/s.exec(pair) ?? [], key = name?.trim();
        if (key && !/\s/.test(key) && !Object.hasOwn(cookies, key)) Object.defineProperty(cookies, key, { value: value.trim(), enumerable: true });
    }
    return cookies;
}

// What the database is told: the client's headers, with its address at the end of X-Forwarded-For (so that
// taskapi.trusted_proxy_hops counts the gateway itself), and this request's place in its trace.
function requestOf(req) {
    const [path, query = ''] = req.url.split(/\?(.*)/s), trace = /^00-([0-9a-f]{32})-[0-9a-f]{16}-([0-9a-f]{2})$/.exec(req.headers.traceparent ?? '');
    const traceId = trace?.[1] ?? random();
    const id = /^[\w-]{1,64}$/.exec(req.headers['x-request-id'] ?? '')?.[0] ?? crypto.randomUUID();
    const headers = { ...req.headers, traceparent: `00-${traceId}-${random().slice(-16)}-${trace?.[2] ?? '01'}`, 'x-request-id': id,
        'x-forwarded-for': [req.headers['x-forwarded-for'], req.socket.remoteAddress?.replace(/^::ffff:/, '')].filter(Boolean).join(', ') };
    return { method: req.method, path, query: new URLSearchParams(query), headers, cookies: cookiesOf(req.headers.cookie), stream: req, id, traceId };
}

module.exports = requestOf;
