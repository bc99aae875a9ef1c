# The data set of the benchmarks, sourced by scripts/bench: the task API with $BENCH_ROWS tasks in a hundredth as many
# projects. Sizes are skewed (the largest project holds about P^(-1/4) of all tasks), creation times have ties, 40 % of the due dates
# are NULL, a tenth of the rows is soft-deleted. Three accounts stand out: members of exactly 1, 20 and 500 projects.
#
# It is made by generating functions with a fixed seed, so every run has the same rows. Triggers and indexes are
# out of the way meanwhile: this is how a dump is restored, too.

make_data() {
    rows=$BENCH_ROWS
    projects=$((rows / 100))
    accounts=$((rows / 200 + 1000))
    say "making $rows tasks in $projects projects"
    psql -q -d "$BENCH_DB" <<SQL
CREATE EXTENSION taskapi;
CREATE SCHEMA bench;
CREATE ROLE api_anonymous;
CREATE ROLE api_user;
SELECT taskapi.create_task_api('tasks', 'api', 'api_anonymous', 'api_user') \g /dev/null
CREATE TABLE bench.saved_index AS
    SELECT c.oid::regclass::text AS name, pg_get_indexdef(c.oid) AS definition
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
    WHERE t.relnamespace = 'tasks'::regnamespace AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = c.oid);
DO \$\$ DECLARE n text; BEGIN FOR n IN SELECT name FROM bench.saved_index LOOP EXECUTE 'DROP INDEX ' || n; END LOOP; END \$\$;
CREATE FUNCTION bench.id(kind int, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
    \$\$ SELECT ('018f' || lpad(to_hex(kind), 4, '0') || '00007000a000' || lpad(to_hex(n), 12, '0'))::uuid \$\$;
SET session_replication_role = replica;
SELECT setseed(0.5) \g /dev/null
INSERT INTO tasks.account (id, email, display_name)
    SELECT bench.id(1, n), 'user' || n || '@example.org', 'User ' || n FROM generate_series(1, $accounts) n;
INSERT INTO tasks.project (id, name, creator_id)
    SELECT bench.id(2, n), 'Project ' || n, bench.id(1, 4 + n % ($accounts - 3)) FROM generate_series(1, $projects) n;
-- Accounts 1, 2 and 3 are the members of 1, 20 and 500 projects; every project has an owner and up to three others.
INSERT INTO tasks.membership (project_id, account_id, role)
    SELECT bench.id(2, n), bench.id(1, 4 + n % ($accounts - 3)), 'owner' FROM generate_series(1, $projects) n
    UNION
    SELECT bench.id(2, n), bench.id(1, 4 + (n + k * 7919) % ($accounts - 3)), 'editor' FROM generate_series(1, $projects) n, generate_series(1, 3) k WHERE n % 4 >= k;
INSERT INTO tasks.membership (project_id, account_id, role)
    SELECT DISTINCT bench.id(2, 1 + ($projects - 1) * (2 * k - 1) / (2 * m.projects)), bench.id(1, m.account), 'editor'
    FROM (VALUES (1, 1), (2, 20), (3, least(500, $projects))) m(account, projects), generate_series(1, m.projects) k
    ON CONFLICT DO NOTHING;
SQL
    define_measure
    chunks=20
    chunk=1
    # two at a time
    while [ $chunk -lt $chunks ]; do
        make_chunk "$chunk" &
        other=$!
        make_chunk $((chunk + 1))
        wait $other
        progress $((chunk + 1)) $chunks tasks
        chunk=$((chunk + 2))
    done
    psql -qAt -d "$BENCH_DB" -c 'SELECT definition FROM bench.saved_index ORDER BY name' >"$scratch/indexes.sql"
    n=$(wc -l <"$scratch/indexes.sql") i=0
    while IFS= read -r definition; do
        psql -q -d "$BENCH_DB" -c "SET maintenance_work_mem = '1GB'" -c "$definition" </dev/null
        i=$((i + 1))
        progress $i "$n" indexes
    done <"$scratch/indexes.sql"
    psql -q -d "$BENCH_DB" -c 'VACUUM (FREEZE, ANALYZE)' -c CHECKPOINT
}

# make_chunk N: the Nth part of the tasks.
make_chunk() {
    psql -q -d "$BENCH_DB" <<SQL
SET session_replication_role = replica;
SELECT setseed($1 / 100.0) \g /dev/null
INSERT INTO tasks.task (id, project_id, assignee_id, creator_id, title, description, status, priority, due_date, position, created_at, updated_at, completed_at, deleted_at, deletion_id)
SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(h, 1, 3) || 'a' || substr(h, 4, 15))::uuid,
       bench.id(2, p),
       -- the owner of the project or one of the others, as above
       CASE WHEN r2 < 0.6 THEN bench.id(1, 4 + (p + floor(r3 * (1 + p % 4))::bigint * 7919) % ($accounts - 3)) END,
       bench.id(1, 1 + floor($accounts * r2)::bigint),
       'Task ' || n, CASE WHEN r3 < 0.3 THEN repeat('What is to be done. ', 5) END,
       CASE WHEN r2 < 0.3 THEN 'todo' WHEN r2 < 0.4 THEN 'in_progress' WHEN r2 < 0.95 THEN 'done' ELSE 'cancelled' END,
       25 * floor(5 * r3 * r3), CASE WHEN r4 < 0.6 THEN '2024-06-01'::date + floor(900 * r3)::int END,
       lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(h, 1, 3) || 'V', at, at + r4 * interval '30 days', CASE WHEN r2 BETWEEN 0.4 AND 0.95 AND r2 < 0.95 THEN at + r4 * interval '30 days' END,
       CASE WHEN r5 < 0.1 THEN at + interval '40 days' END, CASE WHEN r5 < 0.1 THEN bench.id(3, n) END
FROM (SELECT n, md5(n::text) AS h, 1 + floor($projects * random() ^ 4)::bigint AS p, random() AS r2, random() AS r3, random() AS r4, random() AS r5,
             date_trunc('minute', '2024-01-01 00:00+00'::timestamptz + n * (interval '730 days' / $rows)) AS at
      FROM generate_series($rows::bigint * ($1 - 1) / $chunks + 1, $rows::bigint * $1 / $chunks) n OFFSET 0) s;
SQL
}

# progress DONE OF WHAT: a bar on a terminal, a line now and then elsewhere.
progress() {
    if [ -t 2 ]; then
        printf '\r  %-8s [%-40s] %d/%d' "$3" "$(printf '%*s' $((40 * $1 / $2)) '' | tr ' ' '#')" "$1" "$2" >&2
        [ "$1" -lt "$2" ] || echo >&2
    elif [ $((5 * $1 % $2)) -lt 5 ]; then
        printf '  %s %d/%d\n' "$3" "$1" "$2" >&2
    fi
}
