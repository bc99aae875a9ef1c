// outbox_peers.js WORKERS BATCH SECONDS MESSAGES: messages a second of the outbox, a status column, pg-boss and graphile-worker, all from
// one Node process, by their own clients, with the same backlog and no work in between. bench/outbox.sh runs it if BENCH_PEERS is the
// folder in which "npm install pg pg-boss graphile-worker" was done; nothing of them belongs to this project.
//
// graphile-worker takes jobs one by one, whatever the batch: its workers are as many as the others have, and again BATCH times as many.
// None of the three keeps the order of a key. Prints "what<TAB>messages a second".
'use strict';
const path = require('path');
const from = name => require(require.resolve(name, { paths: [path.resolve(process.env.BENCH_PEERS)] }));
const { Pool } = from('pg');
const PgBoss = from('pg-boss');
const { run, makeWorkerUtils } = from('graphile-worker');
const [workers, batch, seconds, messages] = process.argv.slice(2).map(Number);
const database = process.env.PGDATABASE || 'postgres';
const connection = { host: process.env.PGHOST, port: Number(process.env.PGPORT), user: process.env.PGUSER, database };
const pool = new Pool({ ...connection, max: 20 });
const quiet = { debug() {}, info() {}, warn() {}, error: console.error };

// loops(take): so many loops of take(), which returns how many messages it took, for so many seconds
async function loops(take) {
  const end = Date.now() + seconds * 1000;
  let done = 0;
  await Promise.all(Array.from({ length: workers }, async () => {
    while (Date.now() < end) {
      const n = await take();
      if (n === 0) await new Promise(r => setTimeout(r, 5));
      done += n;
    }
  }));
  return done / seconds;
}

const variants = {
  async outbox() {
    await pool.query("SELECT taskapi.create_consumer_group('peers', from_seq => 0)");
    return loops(async () => {
      const { rows } = await pool.query({ name: 'receive', text: "SELECT * FROM taskapi.receive('peers', 'w', $1)", values: [batch] });
      if (rows.length === 0) return 0;
      const last = rows[rows.length - 1];
      await pool.query({ name: 'settle', text: "SELECT taskapi.settle('peers', $1, $2, $3)", values: [last.slot, last.fencing_token, last.seq] });
      return rows.length;
    });
  },
  async 'status column'() {
    return loops(async () => {
      const { rows } = await pool.query({
        name: 'take', values: [batch],
        text: "UPDATE job SET status = 'taken' WHERE id = ANY (ARRAY(SELECT id FROM job WHERE status = 'new' ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED)) RETURNING *",
      });
      if (rows.length === 0) return 0;
      await pool.query({ name: 'done', text: 'DELETE FROM job WHERE id = ANY ($1)', values: [rows.map(r => r.id)] });
      return rows.length;
    });
  },
  async 'pg-boss'() {
    const boss = new PgBoss({ ...connection, max: workers, supervise: false, schedule: false });
    boss.on('error', console.error);
    await boss.start();
    await boss.createQueue('bench');
    for (let i = 0; i < messages; i += 5000) {
      await boss.insert(Array.from({ length: 5000 }, (_, j) => ({ name: 'bench', data: { event: 'paid', id: i + j } })));
    }
    await pool.query('ANALYZE pgboss.job');
    const rate = await loops(async () => {
      const jobs = await boss.fetch('bench', { batchSize: batch });
      if (!jobs || jobs.length === 0) return 0;
      await boss.complete('bench', jobs.map(j => j.id));
      return jobs.length;
    });
    await boss.stop({ graceful: false });
    return rate;
  },
  async 'graphile-worker'(concurrency = workers) {
    const utils = await makeWorkerUtils({ pgPool: pool, logger: undefined });
    await utils.migrate();
    await pool.query(`SELECT count(*) FROM graphile_worker.add_jobs(ARRAY(SELECT json_populate_record(NULL::graphile_worker.job_spec,
      json_build_object('identifier', 'bench', 'payload', json_build_object('event', 'paid', 'id', i))) FROM generate_series(1, $1) i))`, [messages]);
    await pool.query('ANALYZE');
    let done = 0;
    const runner = await run({
      pgPool: new Pool({ ...connection, max: Math.min(concurrency + 2, 60) }), concurrency, pollInterval: 100, noHandleSignals: true,
      taskList: { bench: async () => { done++; } },
      logger: new (from('graphile-worker').Logger)(() => () => {}),
    });
    const before = done, start = Date.now();
    await new Promise(r => setTimeout(r, seconds * 1000));
    const rate = (done - before) / ((Date.now() - start) / 1000);
    await runner.stop();
    await pool.query('SELECT graphile_worker.force_unlock_workers(ARRAY(SELECT locked_by FROM graphile_worker._private_jobs WHERE locked_by IS NOT NULL))').catch(() => {});
    return rate;
  },
};

(async () => {
  for (const [name, variant] of Object.entries(variants)) console.log(`${name}\t${await variant()}`);
  console.log(`graphile-worker, ${workers * batch > 50 ? 50 : workers * batch} workers\t${await variants['graphile-worker'](Math.min(workers * batch, 50))}`);
  process.exit(0);
})().catch(e => { console.error(e); process.exit(1); });
