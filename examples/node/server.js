// An HTTP API of one's own on taskapi, in Node 18 or later with pg: who, how often, which page, once, and which version are the
// database's business; this file maps requests to statements and problems to answers. docs/serve-yourself.md has the contract.
'use strict';
const http = require('node:http');
const { Pool } = require('pg');

const pool = new Pool();                                       // PGHOST, PGUSER, ...
pool.on('error', (error) => console.error(error.message));
pool.on('connect', (client) => client.on('error', () => {}));     // a connection that ends in use is an event, too

// One request is one transaction. The caller, the method and the headers go where row-level security and the resource look for
// them, for this transaction alone; what the database wants answered is read back before COMMIT.
async function transaction(request, work) {
    const client = await pool.connect();
    let broken;
    try {
        const { authorization = '', ...headers } = request.headers, token = /^Bearer +(\S+)$/i.exec(authorization)?.[1] ?? null;
        await client.query(request.method === 'GET' ? 'BEGIN READ ONLY' : 'BEGIN');
        await client.query(`SELECT set_config('request.method', $1, true), set_config('request.path', $2, true), set_config('request.headers', $3, true)`,
            [request.method, request.path, JSON.stringify(headers)]);
        const { rows: [{ subject }] } = await client.query(
            `SELECT claims ->> 'sub' AS subject, set_config('request.jwt.claims', claims::text, true) FROM (SELECT taskapi.jwt_verify($1) AS claims OFFSET 0) AS verified`, [token]);
        // refuses a blocked subject, applies the limits that the extension ships, and then ours
        await client.query('SELECT taskapi.pre_request()');
        await client.query('SELECT taskapi.enforce_rate_limits($1)', [{ shop_per_customer: subject }]);
        const answer = await work(client, subject);
        const { rows: [set] } = await client.query(`SELECT current_setting('response.headers', true) AS headers, current_setting('response.status', true) AS status`);
        await client.query('COMMIT');
        const set_headers = Object.assign({}, ...JSON.parse(set.headers || '[]'));
        return { ...answer, status: set.status ? Number(set.status) : answer.status, headers: { ...set_headers, ...answer.headers } };
    } catch (error) {
        await client.query('ROLLBACK').catch((e) => { broken = e; });
        throw error;
    } finally {
        client.release(broken);
    }
}

// A problem comes as SQLSTATE PGRST: MESSAGE is the body, DETAIL { status, headers }, both in JSON.
function refusal(error) {
    if (error.status) return { status: error.status, headers: {}, body: JSON.stringify({ code: error.code, message: error.message }) };
    if (error.code === 'PGRST') return { ...JSON.parse(error.detail), body: error.message };
    if (/^22/.test(error.code ?? '')) return { status: 400, headers: {}, body: JSON.stringify({ code: 'invalid_value', message: error.message }) };
    console.error(error);
    return { status: 500, headers: {}, body: JSON.stringify({ code: 'internal_error', message: 'internal error' }) };
}
const bad = (status, code, message) => Object.assign(new Error(message), { status, code });

async function bodyOf(stream) {
    const parts = [];
    let size = 0;
    for await (const part of stream) {
        if ((size += part.length) > 100000) throw bad(413, 'body_too_large', 'body is too large');
        parts.push(part);
    }
    try {
        const body = JSON.parse(Buffer.concat(parts).toString());
        if (body && typeof body === 'object' && !Array.isArray(body)) return body;
    } catch { /* told below */ }
    throw bad(400, 'invalid_json', 'the body must be a JSON object');
}

const routes = {
    // A page; its tokens and its Link lead to the next one.
    'GET /orders': (request) => transaction(request, async (client) => {
        const { order_by = null, page_size = null, page_token = null, filter = null } = request.query;
        const { rows: [page] } = await client.query(
            `SELECT row_to_json(p)::text AS body FROM taskapi.page('shop_api.orders', $1, $2, $3, $4) p`, [order_by, page_size, page_token, filter]);
        return { status: 200, body: page.body };
    }),

    // The effect, the key and the answer commit together: the same key again is answered with the same bytes and headers. The resource
    // would see to it by itself; by hand it is for what is more than one row. Without a key: 400.
    'POST /orders': async (request) => {
        const body = await bodyOf(request.stream), { 'idempotency-key': key = null, ...headers } = request.headers;
        return transaction({ ...request, headers }, async (client, customer) => {
            const scope = `${customer} POST /orders`;
            const { rows: [entry] } = await client.query('SELECT outcome, status, headers, body::text FROM taskapi.idempotency_begin($1, $2, $3)', [key, body, scope]);
            if (entry.outcome === 'replay') return { status: entry.status, headers: { ...entry.headers, 'Idempotency-Replayed': 'true' }, body: entry.body };
            const { rows: [created] } = await client.query(
                `INSERT INTO shop_api.orders AS o (item, quantity, note) VALUES ($1, coalesce($2, 1), $3) RETURNING row_to_json(o)::text AS body, o.id, o.version`,
                [body.item ?? null, body.quantity ?? null, body.note ?? null]);
            const own = { ETag: `"${created.version}"`, Location: `/orders/${created.id}` };
            await client.query('SELECT taskapi.idempotency_complete($1, 201, $2, $3, $4)', [key, created.body, own, scope]);
            return { status: 201, headers: own, body: created.body };
        });
    },

    // If-Match is looked at by the resource itself, and its ETag comes back by way of response.headers.
    'PATCH /orders/ID': async (request) => {
        const body = await bodyOf(request.stream), known = ['item', 'quantity', 'note'].filter((name) => Object.hasOwn(body, name));
        if (!known.length) throw bad(400, 'invalid_value', 'the body names no item, quantity or note');
        return transaction(request, async (client) => {
            const { rows: [changed] } = await client.query(
                `UPDATE shop_api.orders AS o SET ${known.map((name, i) => `${name} = $${i + 2}`).join(', ')} WHERE id = $1 RETURNING row_to_json(o)::text AS body`, [request.id, ...known.map((name) => body[name])]);
            if (!changed) await client.query(`SELECT taskapi.raise_problem('not_found', 'There is no such order.')`);
            return { status: 200, body: changed.body };
        });
    },

    'DELETE /orders/ID': (request) => transaction(request, async (client) => {
        const { rowCount } = await client.query('DELETE FROM shop_api.orders WHERE id = $1', [request.id]);
        if (rowCount === 0) await client.query(`SELECT taskapi.raise_problem('not_found', 'There is no such order.')`);
        return { status: 204 };
    }),
};

async function serve(req, res) {
    const [path, query] = req.url.split(/\?(.*)/s), [, id] = /^\/orders\/([0-9a-f-]{36})$/.exec(path) ?? [];
    const route = routes[`${req.method} ${id ? '/orders/ID' : path}`];
    let answer;
    try {
        if (!route) throw bad(404, 'not_found', 'there is nothing here');
        answer = await route({ method: req.method, path: id ? '/orders' : path, query: Object.fromEntries(new URLSearchParams(query)), headers: req.headers, id, stream: req });
    } catch (error) {
        answer = refusal(error);
    }
    res.writeHead(answer.status, { ...(answer.body && { 'Content-Type': 'application/json' }), ...answer.headers, ...(!req.complete && { Connection: 'close' }) }).end(answer.body);
}

// An error that nobody hears would end the process, and all other requests with it.
http.createServer((req, res) => serve(req, res).catch((error) => { console.error(error); req.socket.destroy(); })).listen(Number(process.env.PORT ?? 8080), '127.0.0.1');
