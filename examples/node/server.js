// An HTTP API on taskapi without PostgREST: who, how often, which page, once, and which version are the database's
// business; this file maps requests to calls and problems to answers.
import { pathToFileURL } from 'node:url';
import Fastify from 'fastify';
import pg from 'pg';

export function build(pool, { logger = false } = {}) {
    const app = Fastify({ logger });

    // A problem brings status, headers and body along.
    app.setErrorHandler((error, request, reply) => {
        const problem = problemOf(error);
        if (problem) return reply.code(problem.status).headers(problem.headers).send(problem.body);
        if (error.statusCode && error.statusCode < 500) {
            return reply.code(error.statusCode).send({ code: 'bad_request', message: error.message });
        }
        // What the database refuses as data (class 22) is the client's mistake; its text names no secret of ours.
        if (typeof error.code === 'string' && error.code.startsWith('22')) {
            return reply.code(400).send({ code: 'invalid_value', message: error.message });
        }
        request.log.error(error);
        return reply.code(500).send({ code: 'internal_error', message: 'internal error' });
    });

    // One request is one transaction. The caller, the method and the headers go where row-level security and the
    // resource views look for them, for this transaction alone; what the database wants answered comes back from
    // response.headers. The views would honour Idempotency-Key by themselves; here the routes do, so it is not passed on.
    async function transaction(request, reply, work) {
        const client = await pool.connect();
        let broken;
        try {
            await client.query('BEGIN');
            const token = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? '')?.[1] ?? '';
            const { 'idempotency-key': _, authorization: __, ...headers } = request.headers;
            const { rows: [claims] } = await client.query(
                `SELECT claims ->> 'sub' AS subject, set_config('request.jwt.claims', claims::text, true)
                 FROM (SELECT set_config('request.method', $2, true), set_config('request.path', $3, true),
                              set_config('request.headers', $4, true), taskapi.jwt_verify($1) AS claims OFFSET 0) AS request`,
                [token, request.method, request.routeOptions.url, JSON.stringify(headers)]);
            // pre_request() refuses a blocked subject, and applies the limits that the extension ships.
            await client.query('SELECT taskapi.pre_request(), taskapi.enforce_rate_limits($1)', [{ shop_per_customer: claims.subject }]);
            const body = await work(client, claims.subject);
            const { rows: [answer] } = await client.query(`SELECT current_setting('response.headers', true) AS headers`);
            await client.query('COMMIT');
            for (const header of JSON.parse(answer.headers || '[]')) reply.headers(header);
            return body;
        } catch (error) {
            await client.query('ROLLBACK').catch((e) => { broken = e; });
            throw error;
        } finally {
            client.release(broken);
        }
    }

    app.get('/orders', (request, reply) => transaction(request, reply, async (client) => {
        const { order_by, page_size, page_token, filter } = request.query;
        const { rows: [page] } = await client.query(
            `SELECT items, next_page_token, previous_page_token, has_next, has_previous
             FROM taskapi.page('shop_api.orders', $1, $2, $3, $4)`,
            [order_by ?? null, page_size ?? null, page_token ?? null, filter ?? null]);
        return page;
    }));

    // The effect, the key and the answer commit together: the same key again is answered with the same bytes.
    app.post('/orders', (request, reply) => transaction(request, reply, async (client, customer) => {
        const key = request.headers['idempotency-key'] ?? null;
        const scope = `${customer} POST /orders`;
        const { rows: [entry] } = await client.query(
            'SELECT outcome, status, body::text FROM taskapi.idempotency_begin($1, $2, $3)', [key, request.body, scope]);
        if (entry.outcome === 'replay') {
            reply.code(entry.status).header('idempotency-replayed', 'true').type('application/json');
            return entry.body;
        }
        const { item, quantity, note } = request.body;
        const { rows: [created] } = await client.query(
            `INSERT INTO shop_api.orders AS o (item, quantity, note) VALUES ($1, coalesce($2, 1), $3)
             RETURNING row_to_json(o)::text AS body`, [item ?? null, quantity ?? null, note ?? null]);
        await client.query('SELECT taskapi.idempotency_complete($1, 201, $2, NULL, $3)', [key, created.body, scope]);
        reply.code(201).type('application/json');
        return created.body;
    }));

    // If-Match is looked at by the resource view itself, and its ETag comes back by way of response.headers.
    app.patch('/orders/:id', (request, reply) => transaction(request, reply, async (client) => {
        const { rows: [changed] } = await client.query(
            `UPDATE shop_api.orders AS o
             SET item = CASE WHEN $2::jsonb ? 'item' THEN $2 ->> 'item' ELSE item END,
                 quantity = CASE WHEN $2 ? 'quantity' THEN ($2 ->> 'quantity')::int ELSE quantity END,
                 note = CASE WHEN $2 ? 'note' THEN $2 ->> 'note' ELSE note END
             WHERE id = $1 RETURNING row_to_json(o) AS body`, [request.params.id, request.body]);
        if (!changed) await client.query(`SELECT taskapi.raise_problem('not_found', 'There is no such order.')`);
        return changed.body;
    }));

    app.delete('/orders/:id', (request, reply) => transaction(request, reply, async (client) => {
        const { rowCount } = await client.query('DELETE FROM shop_api.orders WHERE id = $1', [request.params.id]);
        if (rowCount === 0) await client.query(`SELECT taskapi.raise_problem('not_found', 'There is no such order.')`);
        reply.code(204);
    }));

    // The task API: each route is one statement on a view or one function, and the database's policies decide.
    const rows = (url, method, sql, parameters, status = 200) => app.route({ url, method, handler: (request, reply) =>
        transaction(request, reply, async (client) => {
            const answer = await client.query(sql, parameters(request));
            reply.code(status);
            return answer.rows;
        }) });
    const field = (name) => (request) => request.body?.[name] ?? null;
    rows('/me', 'GET', 'SELECT id, email, display_name, credential FROM shop_tasks_api.me', () => []);
    rows('/projects', 'POST', 'INSERT INTO shop_tasks_api.projects (name) VALUES ($1) RETURNING id, name',
        (r) => [field('name')(r)], 201);
    // By e-mail: the token in the answer is shown this once, for a link that the inviter sends.
    rows('/projects/:id/invitations', 'POST',
        `INSERT INTO shop_tasks_api.invitations (project_id, email, account_id, role) VALUES ($1, $2, $3, coalesce($4, 'viewer'))
         RETURNING id, email, account_id, role, expires_at, token`,
        (r) => [r.params.id, field('email')(r), field('account_id')(r), field('role')(r)], 201);
    rows('/invitations', 'GET', 'SELECT id, project_name, inviter_name, role, expires_at FROM shop_tasks_api.invitations', () => []);
    rows('/invitations/accept', 'POST', 'SELECT project_id, role FROM shop_tasks_api.accept_invitation($1, $2)',
        (r) => [field('token')(r), field('id')(r)]);
    rows('/projects/:id/members', 'GET',
        `SELECT u.email, m.role FROM shop_tasks_api.members m JOIN shop_tasks_api.users u ON u.id = m.account_id
         WHERE m.project_id = $1 ORDER BY m.created_at, m.account_id`, (r) => [r.params.id]);
    rows('/projects/:id/members/me', 'DELETE',
        `DELETE FROM shop_tasks_api.members WHERE project_id = $1 AND account_id = (SELECT id FROM shop_tasks_api.me) RETURNING role`,
        (r) => [r.params.id]);

    return app;
}

// In a request a problem is raised as SQLSTATE PGRST: MESSAGE is the body, DETAIL {status, headers}, both in JSON.
function problemOf(error) {
    if (error.code !== 'PGRST') return null;
    return { body: JSON.parse(error.message), ...JSON.parse(error.detail) };
}

// "node server.js" listens on loopback; the connection comes from the usual PG* variables.
if (import.meta.url === pathToFileURL(process.argv[1]).href) {
    const pool = new pg.Pool();
    const app = build(pool, { logger: true });
    await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 8080) });
}
