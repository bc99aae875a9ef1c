#!/usr/bin/env node
// Sends what the outbox holds to the endpoints of those who may hear of it. Node 18 or later and pg, nothing else. Any number of these may run,
// and die at any moment: a message is queued for each endpoint exactly once, and delivered at least once, under one webhook-id.
'use strict';
const { Pool, types } = require('pg');
const { send } = require('./send.js');
const config = require('./config.js');

// A payload stays the text that it is: numbers would lose digits on their way through JavaScript, and an id is one.
for (const type of [types.builtins.JSON, types.builtins.JSONB]) types.setTypeParser(type, String);

const pool = new Pool({ max: config.senders + 2, application_name: 'webhooks' });
const log = (level, what) => console.log(JSON.stringify({ level, ...what }));
pool.on('error', (error) => log('error', { message: error.message }));
pool.on('connect', (client) => client.on('error', () => {}));       // nor one in use
const worker = `${require('node:os').hostname()}-${process.pid}`;

async function transaction(work) {
    const client = await pool.connect();
    let broken;
    try {
        await client.query('BEGIN');
        const answer = await work(client);
        await client.query('COMMIT');
        return answer;
    } catch (error) {
        await client.query('ROLLBACK').catch((e) => { broken = e; });
        throw error;
    } finally { client.release(broken); }
}

// ---- from the outbox to deliveries. Both are in one transaction, which a worker that has lost its lease cannot commit.
async function fanOut() {
    const { rows: messages } = await pool.query('SELECT seq, slot, fencing_token, topic, payload FROM taskapi.receive($1, $2)', [config.group, worker]);
    if (!messages.length) return false;
    await transaction(async (client) => {
        for (const { seq, topic, payload } of messages) {
            const { rows: endpoints } = await client.query('SELECT endpoint, owner FROM webhooks.endpoints_of($1)', [topic]);
            for (const owner of new Set(endpoints.map((e) => e.owner))) {
                if (!(await mayHear(client, owner, payload))) continue;
                for (const { endpoint } of endpoints.filter((e) => e.owner === owner)) await client.query('SELECT webhooks.enqueue($1, $2, $3, $4)', [endpoint, seq, topic, payload]);
            }
        }
        const { seq, slot, fencing_token: token } = messages.at(-1);
        await client.query('SELECT taskapi.settle($1, $2, $3, $4)', [config.group, slot, token, seq]);
    });
    return true;
}

// As the owner of the endpoint, under row-level security; and back.
async function mayHear(client, owner, payload) {
    await client.query(`SELECT set_config('request.jwt.claims', $1, true), set_config('role', $2, true)`, [JSON.stringify({ sub: owner, role: config.role }), config.role]);
    const { rows: [{ heard }] } = await client.query('SELECT webhooks.may_hear($1) AS heard', [payload]);
    await client.query(`SELECT set_config('request.jwt.claims', '', true), set_config('role', 'none', true)`);
    return heard;
}

// ---- from deliveries to their endpoints: one at a time to each, and while its circuit is closed.
async function deliver() {
    const { rows: batch } = await pool.query('SELECT * FROM webhooks.claim($1)', [config.batch]);
    if (!batch.length) return false;
    const [{ endpoint, token }] = batch;
    for (const delivery of batch) {
        const started = Date.now(), { answer, error, retryAfter } = await send(delivery);
        const { rows: [{ report: goOn }] } = await pool.query('SELECT webhooks.report($1, $2, $3, $4, $5)', [delivery.delivery, token, answer, error, retryAfter]);
        log(error ? 'warning' : 'info', { endpoint, message: delivery.message, answer, error, ms: Date.now() - started });
        if (!goOn || ending) break;
    }
    await pool.query('SELECT webhooks.release($1, $2)', [endpoint, token]);
    return true;
}

// ---- until it is told to end; what has begun is finished
let ending = false;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
async function loop(step) {
    while (!ending) {
        const busy = await step().catch((error) => log('error', { code: error.code, message: error.message }));
        if (!busy && !ending) await sleep(config.idle * (0.5 + Math.random()));
    }
}

for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => { ending = true; });
log('info', { message: 'working', worker });
Promise.all([loop(fanOut), ...Array.from({ length: config.senders }, () => loop(deliver))]).then(() => pool.end());
setInterval(() => { if (!ending) pool.query('SELECT webhooks.prune()').catch(() => {}); }, 3600000).unref();
