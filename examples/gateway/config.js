// Everything that can be set, by environment variables; PGHOST, PGPORT, PGUSER, PGDATABASE, PGPASSWORD say where the database is.
'use strict';
const env = process.env;
const number = (name, otherwise) => {
    const value = Number(env[name] ?? otherwise);
    if (!Number.isFinite(value) || value < 0) throw new Error(`${name} must be a number`);
    return value;
};
const list = (name) => (env[name] ?? '').split(',').map((s) => s.trim()).filter(Boolean);
const schema = env.API_SCHEMA ?? 'api';

module.exports = {
    host: env.HOST ?? '127.0.0.1', port: number('PORT', 8080),
    workers: number('WORKERS', 0) || require('node:os').cpus().length,     // processes
    schema,
    searchPath: env.SEARCH_PATH ?? `"${schema.replace(/"/g, '""')}", public`,
    anonymousRole: env.ANON_ROLE ?? 'api_anonymous',        // of callers without a credential
    apiRole: env.API_ROLE ?? 'api_user',                    // with whose rights, and the anonymous role's, the catalog is read
    defaultRole: env.DEFAULT_ROLE || undefined,             // of tokens without a claim "role", as identity providers make them
    cookie: env.SESSION_COOKIE ?? '__Host-session',         // as taskapi.session_cookie
    jwksUrl: env.JWKS_URL,                                  // of an identity provider: RS256 and ES256
    jwtAudience: env.JWT_AUDIENCE,
    jwtIssuer: env.JWT_ISSUER,
    origins: list('CORS_ORIGINS'),                          // whose pages may call with credentials
    publicUrl: (env.PUBLIC_URL ?? '').replace(/\/$/, ''),   // a prefix that a proxy takes away, for Location
    files: env.STATIC,                                      // a folder of static files, served at /
    title: env.API_TITLE ?? 'Task API', version: env.API_VERSION ?? '1',
    pool: number('DB_POOL', 10),                            // connections of each process
    poolTimeout: number('DB_POOL_TIMEOUT_MS', 5000),
    prepared: env.PREPARED === 'off' ? 0 : 500,             // off behind a pooler that knows no prepared statements
    attempts: number('ATTEMPTS', 3),
    maxBody: number('MAX_BODY', 1 << 20),                   // bytes
    headersTimeout: number('HEADERS_TIMEOUT_MS', 10000),
    requestTimeout: number('REQUEST_TIMEOUT_MS', 30000),    // until the body is there
    keepAlive: number('KEEP_ALIVE_MS', 5000),
    cancelAfter: number('CANCEL_AFTER_MS', 1000),           // after the client sent its last byte and closed its side
    maxConnections: number('MAX_CONNECTIONS', 10000),       // of each process; others are closed at once
    drain: number('DRAIN_MS', 0),                           // from SIGTERM, when /readyz says so, to the last connection accepted
    log: Boolean(env.LOG),
};
