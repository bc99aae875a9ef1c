#!/usr/bin/env node
// Moves a project from one cell to another: CELLS='{"a": "postgres://...", "b": "postgres://..."}' node move.js PROJECT FROM TO
//
// Each step is a transaction of one cell, and what is there says which comes next. So it can be run again after it was killed at any
// point, and goes on. FROM and TO both show the project between steps 2 and 3, the same rows; it takes no writes from step 1 to step 4.
//
//   1  FROM   the entry in cells.map becomes "leaving", when the transactions that write to the project have ended
//   2  TO     the rows come, with those of the ledger whose answers name the project; the entry is "arriving"
//   3  FROM   the rows and the entry go
//   4  TO     the entry becomes "here"
//
// DIE=2 or DIE="in 2" kills it after, or within, a step: for tests.
'use strict';
const { Client } = require('pg');
const [project, from, to] = process.argv.slice(2);
const cells = JSON.parse(process.env.CELLS ?? '{}');
const die = (at) => { if (process.env.DIE === at) process.kill(process.pid, 'SIGKILL'); };

async function stateIn(client, cell) {
    const { rows: [row] } = await client.query('SELECT state FROM cells.map WHERE cell = $1 AND project_id = $2', [cell, project]);
    return row?.state;
}

// Without triggers and foreign keys: the rows are what they were, and accounts may come later.
async function within(client, work) {
    await client.query('BEGIN');
    await client.query('SET LOCAL session_replication_role = replica');
    await work();
    await client.query('COMMIT');
}

async function clear(client, tables) {
    for (const { relation, project_column: column } of tables) await client.query(`DELETE FROM ${relation} WHERE "${column}" = $1`, [project]);
}

// As text from server to server: what JavaScript would make of a number is not what it was.
async function copy(source, target, relation, columns, condition, conflict = '') {
    await source.query(`DECLARE moved CURSOR FOR SELECT row_to_json(r)::text AS row FROM (SELECT ${columns} FROM ${relation}) r WHERE ${condition.replace('$1', `'${project}'`)}`);
    for (;;) {
        const { rows } = await source.query('FETCH 1000 FROM moved');
        if (!rows.length) break;
        await target.query(`INSERT INTO ${relation} (${columns}) SELECT ${columns} FROM json_populate_recordset(NULL::${relation}, $1) ${conflict}`, [`[${rows.map((r) => r.row)}]`]);
    }
    await source.query('CLOSE moved');
}

const LEDGER = 'created_at, expires_at, fencing_token, status, completed_at, lease_expires_at, lease, ttl, scope, key, fingerprint, recovery_point, state, headers, body';

async function main() {
    if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(project ?? '') || !cells[from] || !cells[to] || from === to) throw new Error('move.js PROJECT FROM TO, and both in CELLS');
    const [a, b] = await Promise.all([from, to].map(async (cell) => {
        const client = new Client({ connectionString: cells[cell], application_name: 'move' });
        await client.connect();
        // two that move the same project follow each other
        await client.query(`SELECT pg_advisory_lock(hashtextextended('cells ' || $1, 0))`, [project]);
        return client;
    }));
    const { rows: tables } = await a.query('SELECT relation::text, project_column, columns FROM cells.project_table');
    let here = await stateIn(a, from), there = await stateIn(b, to);
    if (!here && !there) throw new Error(`the project is in neither ${from} nor ${to}`);

    if (here === 'here') {
        if (there) throw new Error(`${to} has it as ${there}`);
        await a.query(`UPDATE cells.map SET state = 'leaving' WHERE cell = $1 AND project_id = $2`, [from, project]);
        here = 'leaving';
        die('1');
    }
    if (here === 'arriving') throw new Error(`it has not arrived in ${from} yet: finish that move first`);
    if (here === 'leaving' && !there) {
        await a.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
        await within(b, async () => {
            await clear(b, tables);
            for (const { relation, project_column: column, columns } of tables) await copy(a, b, relation, columns, `"${column}" = $1`);
            die('in 2');
            await copy(a, b, 'taskapi.idempotency_key', LEDGER, `strpos(body::text, $1) > 0`, 'ON CONFLICT DO NOTHING');
            await b.query(`INSERT INTO cells.map (cell, project_id, state) VALUES ($1, $2, 'arriving')`, [to, project]);
            await b.query('UPDATE cells.epoch SET n = n + 1');
        });
        await a.query('COMMIT');
        there = 'arriving';
        die('2');
    }
    if (here === 'leaving' && there === 'arriving') {
        await within(a, async () => {
            await clear(a, tables);
            die('in 3');
            await a.query('DELETE FROM cells.map WHERE cell = $1 AND project_id = $2', [from, project]);
            await a.query('UPDATE cells.epoch SET n = n + 1');
        });
        die('3');
    }
    if (there === 'arriving') await b.query(`UPDATE cells.map SET state = 'here' WHERE cell = $1 AND project_id = $2`, [to, project]);
    console.log(`${project} is in ${to}`);
    await Promise.all([a.end(), b.end()]);
}

main().catch((error) => { console.error(error.message); process.exit(1); });
