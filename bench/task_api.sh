#!/bin/sh
# bench/task_api.sh [TASKS]: EXPLAIN (ANALYZE, BUFFERS) of every endpoint of the task API, over so many generated tasks (100000; 10000000
# takes an hour and 30 GB) with comments and activity, as a member of 50 projects. Each endpoint has a bound in buffers, written beside
# it in task_api.sql, which holds whatever the number of tasks is; and each index must be read by some endpoint. KEEP=1 keeps the
# result in $scratch/task_api.md, as docs/task-api.md has it.
. "$(dirname "$0")/../scripts/common.sh"
tasks=${1:-100000}
set_up
build
unlock
start_server bench_task_api "shared_buffers = '${BENCH_BUFFERS:-512MB}'" 'max_wal_size = 8GB' 'checkpoint_timeout = 1h' 'autovacuum = off' 'jit = off' \
    'synchronous_commit = off' 'full_page_writes = off' 'wal_level = minimal' 'max_wal_senders = 0' 'random_page_cost = 1.1' "maintenance_work_mem = '512MB'"
say "$tasks tasks"
psql -q -v tasks="$tasks" -f "$scratch/src/bench/task_api_data.sql" >/dev/null
say 'the endpoints'
rc=0
psql -qAt -v tasks="$tasks" -f "$scratch/src/bench/task_api.sql" >"$scratch/task_api.md" || rc=$?
cat "$scratch/task_api.md"
[ $rc = 0 ] && ! grep -E '^(not ok|over|no index)' "$scratch/task_api.md" >/dev/null || die "an endpoint is beyond its bound, or an index has no use"
