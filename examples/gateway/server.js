// HTTP: from a request to an operation, and from its answer back. What a request may cost before it reaches the database is
// bounded here: the size and time of its headers and body, its connection, and what goes on once its client is gone.
'use strict';
const crypto = require('node:crypto');
const { Problem, problemOf, answerOf } = require('./problem.js');
const { target } = require('./request.js');
const operations = require('./operations.js');
const callerOf = require('./modules/bearer.js');
const { OWN, state } = require('./modules/own.js');
const { profileOf } = require('./modules/postgrest.js');
const files = require('./modules/files.js');
const call = require('./modules/functions.js');
const { crossOrigin } = require('./modules/cors.js');
const { listen, watch } = require('./modules/connections.js');
const requestOf = require('./modules/context.js');
const { notModified } = require('./modules/conditional.js');
const config = require('./config.js');

const TOKEN = /^[!#$%&'*+.^`|~\w-]+$/;

async function answer(request) {
    const own = OWN[request.path] ?? (files.has(request.path) ? async () => files.get(request.path) : request.path === '/' ? OWN['/openapi.json'] : undefined);
    if (!own) profileOf(request);
    const what = own ? undefined : target(request.path);
    const kind = own ? 'own' : what.functions ? 'function' : what.key ? 'row' : 'collection';
    const methods = own ? { GET: true, HEAD: true } : what.functions ? { GET: what.functions.some((f) => !f.writes), HEAD: what.functions.some((f) => !f.writes), POST: true } : what.resource.methods[kind];
    const offered = what?.resource?.offered[kind] ?? methods, allowed = [...Object.keys(offered).filter((m) => offered[m]), 'OPTIONS'].join(', ');
    if (request.method === 'OPTIONS') return { status: 204, headers: { allow: allowed, ...(offered.PATCH && { 'accept-patch': 'application/merge-patch+json, application/json' }) } };
    if (!Object.hasOwn(methods, request.method) || !methods[request.method]) throw new Problem(405, 'method_not_allowed', 'method is not allowed', what?.resource && Object.hasOwn(methods, request.method) ? `No role of this API may ${request.method} ${kind === 'row' ? 'rows of' : 'to'} /${what.resource.name}.` : undefined, { Allow: allowed });
    if (!accepts(request.headers.accept)) throw new Problem(406, 'not_acceptable', 'not acceptable', 'Answers are application/json.');
    if (own) return own(request);
    Object.assign(request, await callerOf(request.headers.authorization));
    return what.functions ? call(what, request) : operations[kind][request.method](what, request);
}

const accepts = (accept) => !accept || /(^|[,\s])(application|\*)\/(json|problem\+json|\*)\s*(;|,|$)/i.test(accept) || /text\/html/i.test(accept);

async function serve(req, res) {
    const started = process.hrtime.bigint();
    let request = { method: req.method, headers: req.headers, id: crypto.randomUUID() }, out;
    try {
        if (!req.url.startsWith('/') || (!req.headers.host && req.httpVersion !== '1.0')) throw new Problem(400, 'bad_request', 'bad request', 'The target of a request is a path, and the host has a header.');
        if (!Object.keys(req.headers).every((h) => TOKEN.test(h))) throw new Problem(400, 'bad_request', 'bad request', 'The name of a header is a token.');      // Node 18 lets "X A" pass
        request = requestOf(req);
        watch(req, res, request);
        out = await answer(request);
        if (request.profile) out.headers['content-profile'] = request.profile;
        if (notModified(request, out)) out = { status: 304, headers: out.headers };
        send(request, res, out);
    } catch (error) {
        const anonymous = !request.claims && !request.token && !req.headers['x-api-key'] && !request.cookies?.[config.cookie];
        const problem = problemOf(error, anonymous);
        if (problem.status === 403 && (request.claims || request.token) && !request.role && !config.defaultRole) problem.details ??= 'The token has no claim "role", so it may do what a caller without a token may.';
        if (problem.status >= 500 && !request.client?.gone) console.error(JSON.stringify({ level: 'error', trace_id: request.traceId, request_id: request.id, status: problem.status, code: error.code, message: error.message }));
        out = answerOf(problem);
        send(request, res, out);
    }
    if (config.log) console.log(JSON.stringify({ method: req.method, path: request.path, status: out.status, ms: Number(process.hrtime.bigint() - started) / 1e6, trace_id: request.traceId, request_id: request.id }));
}

function send(request, res, { status, headers: own, body }) {
    const bytes = typeof body === 'string' ? Buffer.from(body) : body;       // beside a string Node would write the headers in its encoding
    const headers = { 'cache-control': 'private, no-cache', vary: 'Accept, Authorization, Cookie, Origin, X-API-Key', 'x-content-type-options': 'nosniff', 'x-request-id': request.id };
    if (body) headers['content-type'] = 'application/json';
    for (const [key, value] of Object.entries(own)) headers[key.toLowerCase()] = value;
    crossOrigin(request, headers);
    if (status !== 204 && status !== 304) headers['content-length'] = bytes?.byteLength ?? 0;
    if (state.closing || (!res.req.complete && status >= 400)) headers.connection = 'close';     // the rest of a body would be read as a request
    res.writeHead(status, headers).end(request.method === 'HEAD' || !bytes?.byteLength ? undefined : bytes);
}

// What runs is finished; /readyz says meanwhile that nothing new should come.
async function stop(server) {
    state.closing = true;
    await new Promise((resolve) => setTimeout(resolve, config.drain));
    await new Promise((resolve) => { server.close(resolve); server.closeIdleConnections(); });
}

// One request that cannot be answered must not end all others, which an error that nobody hears does.
const unanswered = (req, error) => {
    console.error(JSON.stringify({ level: 'error', message: error.message }));
    req.socket.destroy();
};

module.exports = { start: () => listen((req, res) => serve(req, res).catch((error) => unanswered(req, error))), stop };
