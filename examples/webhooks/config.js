// Settings, by environment variables; PGHOST, PGPORT, PGUSER, PGDATABASE, PGPASSWORD say where the database is. How long one waits between
// attempts is in the table webhooks.policy.
'use strict';
const { env } = process;
const list = (name) => (env[name] ?? '').split(',').map((s) => s.trim()).filter(Boolean);

module.exports = {
    group: env.GROUP ?? 'webhooks',                         // of the outbox
    apiSchema: env.API_SCHEMA ?? 'api',
    role: env.API_ROLE ?? 'api_user',                       // as which owners of endpoints may read
    senders: Number(env.SENDERS ?? 8),                      // endpoints that are sent to at a time
    batch: Number(env.BATCH ?? 20),                         // deliveries of one endpoint; with the timeout within webhooks.policy's lease
    idle: Number(env.IDLE_MS ?? 500),
    timeout: Number(env.TIMEOUT_MS ?? 15000),               // of an attempt, from the name's look-up to the end of the answer
    maxAnswer: 256 * 1024,                                  // bytes of an answer that are read
    ports: list('PORTS').length ? list('PORTS') : ['443'],  // an http: URL, and any other port, only if it is named: 80,443,8443
    allow: list('ALLOW_ADDRESSES'),                         // private addresses that may be sent to after all: 10.1.2.0/24
};
