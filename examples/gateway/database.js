// One request, one transaction, one round trip. Its statements travel together and are prepared once per connection (see
// modules/pipeline.js); the first that fails takes the rest with it, and what is not committed is rolled back.
'use strict';
const { Pool } = require('pg');
const { raisedIn, unauthenticated } = require('./problem.js');
const { name } = require('./statement.js');
const run = require('./modules/pipeline.js');
const control = require('./modules/control.js');
const config = require('./config.js');

const pool = new Pool({ max: config.pool, connectionTimeoutMillis: config.poolTimeout, idleTimeoutMillis: 300000, application_name: 'gateway' });
pool.on('error', (error) => console.error(JSON.stringify({ level: 'error', message: error.message })));
// One that is lost in use is an event too, beside the error of its query; unheard it would end the process.
pool.on('connect', (client) => client.on('error', () => {}));

// The statements of the transaction around the one that does the work.
const BEGIN = { text: 'BEGIN' }, READ_ONLY = { text: 'BEGIN READ ONLY' }, COMMIT = { text: 'COMMIT' };
const REQUEST = `SELECT set_config('request.method', $1, true), set_config('request.path', $2, true), set_config('request.headers', $3, true),
    set_config('request.cookies', $4, true), set_config('gateway.met', '0', true), set_config('search_path', $5, true)`;
const CALLER = `SELECT set_config('request.jwt.claims', $1, true), set_config('role', $2, true)`;
// The database verifies HS256 with its own secret, so this process has none.
const CALLER_BY_TOKEN = `SELECT set_config('request.jwt.claims', claims::text, true), set_config('role', coalesce(nullif(claims ->> 'role', ''), $2), true)
    FROM (SELECT taskapi.jwt_verify($1) AS claims OFFSET 0) AS verified`;
const PRE_REQUEST = { text: 'SELECT taskapi.pre_request()' };
// read_after() names what the request has written by then, in a header that a standby heeds.
const RESPONSE = { text: `SELECT current_setting('response.headers', true), current_setting('response.status', true), current_setting('gateway.met', true)
    FROM (SELECT taskapi.read_after() OFFSET 0) AS written` };

// What roles have set for themselves, as catalog.js read it: { name: value } by role.
const settings = new Map();
function settingsOf(role) {
    const own = Object.entries(settings.get(role) ?? {});
    return own.length ? [{ text: `SELECT ${own.map((_, i) => `set_config($${2 * i + 1}, $${2 * i + 2}, true)`).join(', ')}`, values: own.flat() }] : [];
}

// transaction(REQUEST, STATEMENT): { rows, headers, status, met } after COMMIT; rows.count are those that were read or written, and "met" those
// that an ON CONFLICT found there. Of the request it needs method, path, headers, cookies, and claims (verified) or token (to be verified
// here), with the role of either. Who the caller is, which limits apply, and what else is to be answered is the database's to say.
// Serialization failures and deadlocks undid everything, so the request runs again.
async function transaction(request, statement) {
    for (let attempt = 1; ; attempt++) {
        try {
            return await once(request, statement);
        } catch (error) {
            const again = /^40(001|P01)$/.test(error.code) || raisedIn(error)?.code === 'try_again';
            if (!again || error.behind || attempt >= config.attempts || request.client?.gone) throw error;
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
    const before = [begin, about, caller, ...settingsOf(role)];
    let broken, cancelled;
    const cancel = () => { cancelled = control.cancel(client); };
    try {
        if (request.client?.gone) throw Object.assign(new Error('the client is gone'), { code: '57014' });
        if (request.client) request.client.left = cancel;
        const results = await run(client, [...before, PRE_REQUEST, statement, RESPONSE, COMMIT]);
        const [rows, [[headers, status, met]]] = results.slice(-3);
        return { rows, headers: headers ? JSON.parse(headers) : [], status: status ? Number(status) : undefined, met: Number(met) };
    } catch (error) {
        await client.query('ROLLBACK').catch((e) => { broken = e; });
        error.behind = error.step === before.length && Boolean(request.headers['read-after']);      // it has waited for as long as it may
        if (error.step === 2 && error.code !== 'PGRST' && /^(22|42)/.test(error.code)) throw unauthenticated('The role of the token is none of this API.');
        throw error;
    } finally {
        if (request.client) request.client.left = undefined;
        await cancelled;                    // else it could hit whoever has the connection next
        client.release(broken);
    }
}

// As a role, for what the gateway asks by itself.
async function ask(role, text, values) {
    const client = await pool.connect();
    let broken;
    try {
        await client.query('BEGIN READ ONLY');
        await client.query(`SELECT set_config('role', $1, true), set_config('search_path', '', true)`, [role]).catch((error) => {
            error.message = `${role === config.apiRole ? 'API_ROLE' : 'ANON_ROLE'}: ${error.message}`;
            if (error.code === '42501') error.message += `: GRANT ${name(role)} TO ${name(client.user)}`;
            throw error;
        });
        const { rows } = await client.query(text, values);
        await client.query('COMMIT');
        return rows;
    } catch (error) {
        await client.query('ROLLBACK').catch((e) => { broken = e; });
        throw error;
    } finally { client.release(broken); }
}

const close = () => Promise.all([control.end(), pool.end()]);

module.exports = { settings, transaction, ask, close };
