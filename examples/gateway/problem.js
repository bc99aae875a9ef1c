// Errors, as clients see them: application/problem+json (RFC 9457). "code" and "message" are the database's own, as PostgREST
// gives them too, so that a client needs one table of codes for both.
'use strict';

const http = require('node:http');

class Problem extends Error {
    constructor(status, code, message, details, headers = {}, hint = undefined) {
        super(message);
        Object.assign(this, { status, code, details, headers, hint });
    }
}

// What PostgreSQL itself refuses. The first that fits counts; the messages of those below 500 are the client's to read.
const SQLSTATES = [
    [/^42501$/, 403, 'forbidden'],
    [/^(22|23502|23514|428C9|42703|42804|42725|P0001)/, 400, 'invalid_value'],
    [/^23503$/, 409, 'invalid_reference'],
    [/^23/, 409, 'already_exists'],
    [/^(42883|42P01)$/, 404, 'not_found'],
    [/^25006$/, 405, 'method_not_allowed'],
    [/^54/, 413, 'too_complex'],
    [/^(40|55P03)/, 503, 'try_again'],
    [/^57014$/, 504, 'timeout'],
    [/^(08|53|57P|ECONN|EPIPE|ENOENT|EAI_)/, 503, 'unavailable'],
];

// Faults of the server that have the SQLSTATE of a client's, by the server's file that raised them: there are no transaction ids
// left, or the operating system lets it not write, as on a disk that was remounted read-only.
const FAULTS = [[/^54000$/, /^(varsup|multixact)\.c$/], [/^42501$/, /^(md|fd|slru|bufmgr|relmapper)\.c$/]];

// A problem of taskapi comes as SQLSTATE PGRST, all of it in JSON. Any function may raise that, so what cannot be answered is
// undefined, as if it were another error.
function raisedIn(error) {
    if (error.code !== 'PGRST') return undefined;
    try {
        const { code, message, details, hint } = JSON.parse(error.message), { status, headers } = JSON.parse(error.detail);
        for (const [key, value] of Object.entries(headers ?? {})) {
            http.validateHeaderName(key);
            http.validateHeaderValue(key, value);
        }
        if (!Number.isInteger(status) || status < 200 || status > 599) return undefined;
        return new Problem(status, code, message, details ?? undefined, headers ?? {}, hint ?? undefined);
    } catch { return undefined; }
}

// problemOf(ERROR, ANONYMOUS): without credentials a missing privilege means: say who you are.
function problemOf(error, anonymous) {
    if (error instanceof Problem) return error;
    const sqlstate = error.code ?? '', own = raisedIn(error);
    if (own) return own;
    if (FAULTS.some(([pattern, fault]) => pattern.test(sqlstate) && fault.test(error.file))) return new Problem(503, 'unavailable', 'unavailable', undefined, { 'Retry-After': '1' });
    const raised = /^PT([45]\d\d)$/.exec(sqlstate);
    if (raised) return new Problem(Number(raised[1]), sqlstate, error.message, error.detail, {}, error.hint);
    const lost = /^(Connection terminated|timeout exceeded|Client has encountered)/.test(error.message);
    const [, status, code] = SQLSTATES.find(([pattern]) => pattern.test(sqlstate)) ?? (lost ? [, 503, 'unavailable'] : [, 500, 'internal_error']);
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

module.exports = { Problem, problemOf, raisedIn, answerOf, unauthenticated, notFound, invalid };
