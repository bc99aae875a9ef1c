// Errors, as clients see them: application/problem+json (RFC 9457). "code" and "message" are the database's own, as PostgREST
// gives them too, so that a client needs one table of codes for both.
'use strict';
const http = require('node:http');
const tell = require('./modules/sqlstates.js');

class Problem extends Error {
    constructor(status, code, message, details, headers = {}, hint = undefined) {
        super(message);
        Object.assign(this, { status, code, details, headers, hint });
    }
}

// The value of a header that the database gives, as Node writes it: byte by byte, of UTF-8.
function sent(name, value) {
    const bytes = Buffer.from(value).toString('latin1');
    http.validateHeaderName(name);
    http.validateHeaderValue(name, bytes);
    return bytes;
}

// A problem of taskapi comes as SQLSTATE PGRST, all of it in JSON. Any function may raise that, so what cannot be answered is
// undefined, as if it were another error.
function raisedIn(error) {
    if (error.code !== 'PGRST') return undefined;
    try {
        const { code, message, details, hint } = JSON.parse(error.message), { status, headers } = JSON.parse(error.detail);
        if (!Number.isInteger(status) || status < 200 || status > 599) return undefined;
        const told = Object.fromEntries(Object.entries(headers ?? {}).map(([key, value]) => [key, sent(key, value)]));
        return new Problem(status, code, message, details ?? undefined, told, hint ?? undefined);
    } catch { return undefined; }
}

// problemOf(ERROR, ANONYMOUS): without credentials a missing privilege means: say who you are.
function problemOf(error, anonymous) {
    if (error instanceof Problem) return error;
    const own = raisedIn(error), raised = /^PT([45]\d\d)$/.exec(error.code);
    if (own) return own;
    if (raised) return new Problem(Number(raised[1]), error.code, error.message, error.detail, {}, error.hint);
    const [status, code] = tell(error);
    if (status === 403 && anonymous) return unauthenticated('Log in, or send a token or a key.');
    return new Problem(status, code, status < 500 ? error.message : code.replaceAll('_', ' '), undefined,
        status === 503 ? { 'Retry-After': '1' } : {}, status < 500 ? error.hint : undefined);
}

const unauthenticated = (details) => new Problem(401, 'unauthenticated', 'authentication failed', details, { 'WWW-Authenticate': 'Bearer' });
const notFound = (details) => new Problem(404, 'not_found', 'not found', details);
const invalid = (code, details, hint) => new Problem(400, code, `${code.replace('invalid_', '').replaceAll('_', ' ')} is not valid`, details, {}, hint);

// The answer that tells a problem. An undefined member is left out.
function answerOf(problem) {
    const { status, code, message, details, hint } = problem;
    return {
        status,
        headers: { ...problem.headers, 'Content-Type': 'application/problem+json' },
        body: JSON.stringify({ type: `urn:problem:${code}`, title: message, status, detail: details, code, message, details, hint }),
    };
}

module.exports = { Problem, sent, problemOf, raisedIn, answerOf, unauthenticated, notFound, invalid };
