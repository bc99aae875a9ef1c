// The example against a real server (PGHOST, PGPORT; the database is made and dropped here).
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import pg from 'pg';
import { build } from '../server.js';

const database = `taskapi_example_${process.pid}`;
let admin, setup, pool, app;
const tokens = {};

before(async () => {
    admin = new pg.Client({ database: 'postgres', user: 'postgres' });
    await admin.connect();
    await admin.query(`CREATE DATABASE ${database}`);
    setup = new pg.Client({ database, user: 'postgres' });
    await setup.connect();
    await setup.query(await readFile(new URL('../schema.sql', import.meta.url), 'utf8'));
    await setup.query(`SELECT taskapi.set_secret('jwt', 'a secret of at least thirty-two characters')`);
    for (const sub of ['ann', 'bob', 'cid']) {
        const { rows: [{ token }] } = await setup.query(
            `SELECT taskapi.jwt_sign(jsonb_build_object('sub', $1::text, 'exp', extract(epoch FROM now())::int + 600)) AS token`, [sub]);
        tokens[sub] = token;
    }
    // Enough for the tests but one, which lowers it.
    await setup.query(`UPDATE taskapi.rate_limit_policy SET rate = 100000, burst = 100000 WHERE name = 'shop_per_customer'`);
    pool = new pg.Pool({ database, user: 'shop_server', max: 8 });
    app = build(pool);
});

after(async () => {
    await app?.close();
    await pool?.end();
    await setup?.end();
    await admin?.query(`DROP DATABASE IF EXISTS ${database}`);
    await admin?.query('DROP ROLE IF EXISTS shop_server, shop_anonymous');
    await admin?.end();
});

function call(method, url, { as = 'ann', body, ...headers } = {}) {
    return app.inject({
        method, url, payload: body,
        headers: { ...(as && { authorization: `Bearer ${tokens[as]}` }), ...headers },
    });
}

test('nobody without a valid token', async () => {
    for (const authorization of [undefined, 'Bearer x', `Bearer ${tokens.ann}x`]) {
        const answer = await app.inject({ method: 'GET', url: '/orders', headers: authorization ? { authorization } : {} });
        assert.equal(answer.statusCode, 401);
        assert.equal(answer.json().code, 'unauthenticated');
        assert.ok(answer.headers['www-authenticate']);
    }
});

test('the same key on many connections has one effect and one answer', async () => {
    const post = () => call('POST', '/orders', { 'idempotency-key': '"k1"', body: { item: 'tea', quantity: 2 } });
    const answers = await Promise.all(Array.from({ length: 8 }, post));
    assert.deepEqual([...new Set(answers.map((a) => a.statusCode))], [201]);
    assert.equal(new Set(answers.map((a) => a.body)).size, 1);
    assert.equal(answers.filter((a) => a.headers['idempotency-replayed'] === 'true').length, 7);
    const { rows: [{ n }] } = await setup.query(`SELECT count(*)::int AS n FROM shop.orders WHERE item = 'tea'`);
    assert.equal(n, 1);

    const reused = await call('POST', '/orders', { 'idempotency-key': '"k1"', body: { item: 'tea', quantity: 3 } });
    assert.equal(reused.statusCode, 422);
    assert.equal(reused.json().code, 'idempotency_key_reused');
    // another customer's key of that name is another key
    assert.equal((await call('POST', '/orders', { as: 'bob', 'idempotency-key': '"k1"', body: { item: 'mug' } })).statusCode, 201);
    const missing = await call('POST', '/orders', { body: { item: 'tea' } });
    assert.equal(missing.statusCode, 400);
});

test('a refused order leaves no key behind, so that a corrected retry works', async () => {
    const bad = await call('POST', '/orders', { 'idempotency-key': 'k2', body: { item: 'jam', quantity: 0 } });
    assert.equal(bad.statusCode, 400);
    assert.equal(bad.json().code, 'invalid_value');
    assert.match(bad.json().details, /quantity_positive/);
    const good = await call('POST', '/orders', { 'idempotency-key': 'k2', body: { item: 'jam', quantity: 1 } });
    assert.equal(good.statusCode, 201);
});

test('a walk visits every order of the caller once, in order, and nobody else sees them', async () => {
    for (let i = 0; i < 25; i++) {
        const { statusCode } = await call('POST', '/orders',
            { as: 'cid', 'idempotency-key': `walk-${i}`, body: { item: `item ${i}`, quantity: 1 + (i % 3), note: i % 2 ? 'x' : null } });
        assert.equal(statusCode, 201);
    }
    const seen = [];
    let token = '';
    do {
        const answer = await call('GET', `/orders?order_by=${encodeURIComponent('quantity DESC, note NULLS FIRST')}&page_size=4&page_token=${token}`, { as: 'cid' });
        assert.equal(answer.statusCode, 200);
        seen.push(...answer.json().items);
        token = answer.json().next_page_token;
    } while (token !== '');
    assert.equal(seen.length, 25);
    assert.equal(new Set(seen.map((o) => o.id)).size, 25);
    assert.deepEqual(seen.map((o) => o.quantity), seen.map((o) => o.quantity).sort((a, b) => b - a));
    const own = await call('GET', '/orders?page_size=1000', { as: 'bob' });
    assert.ok(own.json().items.every((o) => o.customer === 'bob'));

    const forged = await call('GET', '/orders?page_token=abc', { as: 'cid' });
    assert.equal(forged.statusCode, 400);
    assert.equal(forged.json().code, 'invalid_cursor');
});

test('a stale version is refused, and a deleted order is gone', async () => {
    const { id, version } = (await call('POST', '/orders', { 'idempotency-key': 'v', body: { item: 'pen' } })).json();
    const first = await call('PATCH', `/orders/${id}`, { 'if-match': `"${version}"`, body: { note: 'first' } });
    assert.equal(first.statusCode, 200);
    assert.equal(first.headers.etag, `"${version + 1}"`);
    const stale = await call('PATCH', `/orders/${id}`, { 'if-match': `"${version}"`, body: { note: 'second' } });
    assert.equal(stale.statusCode, 412);
    assert.equal(stale.json().code, 'version_conflict');
    assert.equal((await call('DELETE', `/orders/${id}`, { as: 'bob' })).statusCode, 404);
    assert.equal((await call('DELETE', `/orders/${id}`)).statusCode, 204);
    assert.equal((await call('DELETE', `/orders/${id}`)).statusCode, 404);
});

test('an account becomes a member by accepting, and leaves', async () => {
    const ids = {};
    for (const name of ['olivia', 'edith', 'sam']) {
        const { rows: [{ id }] } = await setup.query(`SELECT shop_tasks.create_account($1) AS id`, [`${name}@example.org`]);
        const { rows: [{ token }] } = await setup.query(
            `SELECT taskapi.jwt_sign(jsonb_build_object('sub', $1::text, 'exp', extract(epoch FROM now())::int + 600)) AS token`, [id]);
        tokens[name] = token;
        ids[name] = id;
    }
    assert.deepEqual((await call('GET', '/me', { as: 'olivia' })).json().map((m) => m.email), ['olivia@example.org']);
    const [{ id: project }] = (await call('POST', '/projects', { as: 'olivia', body: { name: 'Garden' } })).json();
    const members = `/projects/${project}/members`;

    const invite = (body) => call('POST', `/projects/${project}/invitations`, { as: 'olivia', body });
    const [known, unknown] = [await invite({ email: 'edith@example.org', role: 'editor' }), await invite({ email: 'nil@example.org', role: 'editor' })];
    assert.equal(known.statusCode, 201);
    assert.equal(unknown.statusCode, 201);
    assert.equal((await invite({ email: 'EDITH@example.org' })).statusCode, 409);
    const [{ token }] = known.json();

    const accept = (as, body) => call('POST', '/invitations/accept', { as, body });
    assert.equal((await accept('sam', { token })).statusCode, 404);
    assert.equal((await call('GET', members, { as: 'sam' })).json().length, 0);
    const accepted = await accept('edith', { token });
    assert.equal(accepted.statusCode, 200);
    assert.deepEqual(accepted.json(), [{ project_id: project, role: 'editor' }]);
    const again = await accept('edith', { token });
    assert.equal(again.statusCode, 404);
    assert.equal(again.json().code, 'not_found');

    await invite({ account_id: ids.sam });
    const [{ id, project_name: name }] = (await call('GET', '/invitations', { as: 'sam' })).json();
    assert.equal(name, 'Garden');
    assert.equal((await accept('sam', { id })).statusCode, 200);
    assert.deepEqual((await call('GET', members, { as: 'sam' })).json().map((m) => m.role), ['owner', 'editor', 'viewer']);
    assert.deepEqual((await call('DELETE', `${members}/me`, { as: 'sam' })).json(), [{ role: 'viewer' }]);
    assert.equal((await call('GET', members, { as: 'sam' })).json().length, 0);
    assert.equal((await call('DELETE', `${members}/me`, { as: 'olivia' })).json().code, 'has_dependents');

    await setup.query(`UPDATE shop_tasks.account SET deleted_at = now() WHERE id = $1`, [ids.sam]);
    assert.equal((await call('GET', '/me', { as: 'sam' })).statusCode, 401);
});

test('too many requests are 429 with Retry-After, exactly after the burst', async () => {
    await setup.query(`UPDATE taskapi.rate_limit_policy SET rate = 1, per = '1 day', burst = 3 WHERE name = 'shop_per_customer'`);
    const { rows: [{ token }] } = await setup.query(
        `SELECT taskapi.jwt_sign(jsonb_build_object('sub', 'dan', 'exp', extract(epoch FROM now())::int + 600)) AS token`);
    tokens.dan = token;
    const answers = [];
    for (let i = 0; i < 5; i++) answers.push(await call('GET', '/orders', { as: 'dan' }));
    assert.deepEqual(answers.map((a) => a.statusCode), [200, 200, 200, 429, 429]);
    assert.equal(answers[3].json().code, 'rate_limited');
    assert.match(answers[3].headers['retry-after'], /^\d+$/);
    assert.ok(answers[0].headers.ratelimit);
});
