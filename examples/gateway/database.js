// One request, one transaction, one round trip. Its statements travel together and are prepared once per connection; the first
// that fails takes the rest with it, and what is not committed is rolled back.
'use strict';
const { Pool } = require('pg');
const { unauthenticated } = require('./problem.js');
const config = require('./config.js');

const pool = new Pool({ max: config.pool, connectionTimeoutMillis: config.poolTimeout, application_name: 'gateway' });
pool.on('error', (error) => console.error(JSON.stringify({ level: 'error', message: error.message })));

// The statements of the transaction around the one that does the work.
const BEGIN = { text: 'BEGIN' }, READ_ONLY = { text: 'BEGIN READ ONLY' }, COMMIT = { text: 'COMMIT' };
const REQUEST = `SELECT set_config('request.method', $1, true), set_config('request.path', $2, true), set_config('request.headers', $3, true),
    set_config('request.cookies', $4, true), set_config('pgrst.inserted', '1', true), set_config('search_path', $5, true)`;
const CALLER = `SELECT set_config('request.jwt.claims', $1, true), set_config('role', $2, true)`;
// The database verifies HS256 with its own secret, so this process has none.
const CALLER_BY_TOKEN = `SELECT set_config('request.jwt.claims', claims::text, true), set_config('role', coalesce(nullif(claims ->> 'role', ''), $2), true)
    FROM (SELECT taskapi.jwt_verify($1) AS claims OFFSET 0) AS verified`;
const PRE_REQUEST = { text: 'SELECT taskapi.pre_request()' };
const RESPONSE = { text: `SELECT current_setting('response.headers', true), current_setting('response.status', true), current_setting('pgrst.inserted', true)` };

// What roles have set for themselves, as catalog.js read it: { name: value } by role.
const settings = new Map();
function settingsOf(role) {
    const own = Object.entries(settings.get(role) ?? {});
    return own.length ? [{ text: `SELECT ${own.map((_, i) => `set_config($${2 * i + 1}, $${2 * i + 2}, true)`).join(', ')}`, values: own.flat() }] : [];
}

// Clients choose columns and filters, and so texts: only so many are prepared, any other is parsed each time.
const names = new Map();
function nameOf(text) {
    if (!names.has(text) && names.size < config.prepared) names.set(text, `gateway_${names.size}`);
    return names.get(text);
}

// Several statements for node-pg's queue: parsed where they are new to the connection, bound, executed, and one Sync. Values are
// text, in and out, and NULL is null.
class Pipeline {
    constructor(statements) {
        this.statements = statements;
        this.rows = statements.map(() => []);
        this.at = 0;
        this.done = new Promise((resolve, reject) => Object.assign(this, { resolve, reject }));
    }

    submit(connection) {
        const known = (this.known = connection.knownToGateway ??= new Set());
        connection.stream.cork();
        for (const { text, values = [] } of this.statements) {
            const name = nameOf(text);
            if (!known.has(name)) {
                // whether an earlier one of this name was parsed before it failed is not known; to close none is no error
                if (name) connection.close({ type: 'S', name });
                connection.parse({ name, text, types: [] });
            }
            connection.bind({ statement: name, values });
            connection.execute({ portal: '', rows: 0 });
        }
        connection.sync();
        connection.stream.uncork();
        return null;
    }

    handleDataRow(message) { this.rows[this.at].push(message.fields); }
    handleCommandComplete() {
        const name = nameOf(this.statements[this.at++].text);
        if (name) this.known.add(name);
    }
    handleReadyForQuery() { this.resolve(this.rows); }
    handleError(error) { this.reject(Object.assign(error, { step: this.at })); }
    handleRowDescription() {}
    handlePortalSuspended() {}
    handleEmptyQuery() {}
}

async function run(client, statements) {
    const pipeline = new Pipeline(statements);
    client.query(pipeline);
    return pipeline.done;
}

// transaction(REQUEST, STATEMENT): { rows, headers, status, inserted } after COMMIT. Of the request it needs method, path, headers,
// cookies, and claims (verified) or token (to be verified here), with the role of either. Who the caller is, which limits apply, and what else is to be
// answered is the database's to say. Serialization failures and deadlocks undid everything, so the request runs again.
async function transaction(request, statement) {
    for (let attempt = 1; ; attempt++) {
        try {
            return await once(request, statement);
        } catch (error) {
            const again = /^40(001|P01)$/.test(error.code) || (error.code === 'PGRST' && JSON.parse(error.message).code === 'try_again');
            if (!again || attempt >= config.attempts || request.signal?.aborted) throw error;
            await new Promise((resolve) => setTimeout(resolve, Math.random() * 20 * 4 ** attempt));
        }
    }
}

async function once(request, statement) {
    const client = await pool.connect();
    const role = request.role ?? (request.claims || request.token ? config.defaultRole : undefined) ?? config.anonymousRole;
    const caller = request.token ? { text: CALLER_BY_TOKEN, values: [request.token, role] } : { text: CALLER, values: [request.claims ? JSON.stringify(request.claims) : '', role] };
    const begin = request.method === 'GET' || request.method === 'HEAD' ? READ_ONLY : BEGIN;
    const about = { text: REQUEST, values: [request.method, request.path, JSON.stringify(request.headers), JSON.stringify(request.cookies), config.searchPath] };
    let broken, cancelled;
    const cancel = () => { cancelled = control?.query('SELECT pg_cancel_backend($1)', [client.processID]).catch(() => {}); };
    try {
        if (request.signal?.aborted) throw Object.assign(new Error('the client is gone'), { code: '57014' });
        request.signal?.addEventListener('abort', cancel, { once: true });
        const results = await run(client, [begin, about, caller, ...settingsOf(role), PRE_REQUEST, statement, RESPONSE, COMMIT]);
        const [rows, [[headers, status, inserted]]] = results.slice(-3);
        return { rows, headers: headers ? JSON.parse(headers) : [], status: status ? Number(status) : undefined, inserted: inserted === '1' };
    } catch (error) {
        await cancelled;                    // else it could hit whoever has the connection next
        await client.query('ROLLBACK').catch((e) => { broken = e; });
        if (error.step === 2 && error.code !== 'PGRST' && /^(22|42)/.test(error.code)) throw unauthenticated('The role of the token is none of this API.');
        throw error;
    } finally {
        request.signal?.removeEventListener('abort', cancel);
        client.release(broken);
    }
}

// As a role, for what the gateway asks by itself.
async function ask(role, text, values) {
    const client = await pool.connect();
    let broken;
    try {
        await client.query('BEGIN READ ONLY');
        await client.query(`SELECT set_config('role', $1, true), set_config('search_path', '', true)`, [role]);
        const { rows } = await client.query(text, values);
        await client.query('COMMIT');
        return rows;
    } catch (error) {
        await client.query('ROLLBACK').catch((e) => { broken = e; });
        throw error;
    } finally { client.release(broken); }
}

// A connection beside the pool, for notifications and cancellations. onChange is called when it is there, and at each NOTIFY pgrst,
// which expose() sends; a lost connection comes back.
let control, closing = false;
async function listen(onChange) {
    const { Client } = require('pg');
    const client = new Client({ application_name: 'gateway control' });
    client.on('notification', onChange);
    client.on('error', () => {});
    client.on('end', () => {
        control = undefined;
        if (!closing) setTimeout(() => listen(onChange).catch(() => {}), 1000);
    });
    await client.connect();
    await client.query('LISTEN pgrst');
    control = client;
    onChange();
}

async function close() {
    closing = true;
    await control?.end();
    await pool.end();
}

module.exports = { settings, transaction, ask, listen, close };
