# Growth: what an operation costs as that on which it works grows tenfold, and again, beside the obvious way to do the same. A group
# "growth with WHAT: QUESTION, at N" is a point of a curve; bench/growth says of each curve whether it is flat, logarithmic or linear.
# Sourced by scripts/bench. growth_apart has a server and tables of its own, whose writes are not flushed to disk (fsync = off), so that
# processor and memory show; growth_projects works on the data set.

# growth_sizes N...: those that are not larger than the data set is to be.
growth_sizes() { for n; do [ "$n" -gt "$BENCH_ROWS" ] || echo "$n"; done; }

growth_apart() {
    start_server bench_growth "shared_buffers = '4GB'" "max_wal_size = '32GB'" 'checkpoint_timeout = 1h' 'autovacuum = off' 'jit = off' 'synchronous_commit = off' \
        "work_mem = '64MB'" "maintenance_work_mem = '1GB'" 'max_parallel_workers_per_gather = 0' 'taskapi.rate_limit_max_keys = 1000000'
    BENCH_DB=postgres
    psql -q -c 'SET client_min_messages = warning' -c 'CREATE EXTENSION taskapi' -c 'CREATE SCHEMA bench'
    define_measure
    growth_clients
    growth_rows
    psql -q -c 'SET client_min_messages = warning' -c 'DROP SCHEMA growth, growth_api CASCADE'
    growth_keys
    stop_server
}

# Rows of a table that is a resource. A page from its middle, and writes of one row.
growth_rows() {
    psql -q <<'SQL'
SET client_min_messages = warning;
CREATE SCHEMA growth;
CREATE SCHEMA growth_api;
CREATE FUNCTION growth.id(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT ('0190' || lpad(to_hex(n), 12, '0') || '7000a00000000000')::uuid $$;
CREATE TABLE growth.item (id uuid PRIMARY KEY DEFAULT taskapi.uuidv7(), title text NOT NULL, amount int NOT NULL, created_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON growth.item (created_at, id);
SELECT taskapi.expose('growth.item', 'growth_api') \g /dev/null
CREATE PROCEDURE growth.pages(size bigint, runs int) LANGUAGE plpgsql AS $$
DECLARE
    a growth.item;
    token text;
    g CONSTANT text := format('growth with rows: a page of 50 half way, at %s', size);
BEGIN
    SELECT * INTO a FROM growth.item WHERE id = growth.id(size / 2);
    token := taskapi.cursor_encode('created_at DESC, id DESC', a.created_at, a.id);
    FOR run IN 0 .. runs LOOP
        PERFORM bench.measure(g, 'OFFSET', run, format('SELECT * FROM growth_api.item ORDER BY created_at DESC, id DESC OFFSET %s LIMIT 50', size / 2));
        PERFORM bench.measure(g, 'textbook OR', run, format('SELECT * FROM growth_api.item WHERE created_at < %1$L OR created_at = %1$L AND id < %2$L ORDER BY created_at DESC, id DESC LIMIT 50', a.created_at, a.id));
        PERFORM bench.measure(g, 'cursor > token', run, format('SELECT * FROM growth_api.item WHERE cursor > %L ORDER BY created_at DESC, id DESC LIMIT 50', token));
        PERFORM bench.measure(g, 'page_rows()', run, format('SELECT * FROM taskapi.page_rows(NULL::growth_api.item, %L, 50, %L)', 'created_at DESC, id DESC', token));
        COMMIT;
    END LOOP;
END
$$;
SQL
    for v in 'insert INTO growth.item' 'post INTO growth_api.item'; do
        echo "INSERT ${v#* } (title, amount) VALUES ('new', 1) RETURNING id, title, amount, created_at;" | as_user tee "$scratch/growth_${v%% *}.sql" >/dev/null
    done
    old=0
    for size in $(growth_sizes 10000 100000 1000000 10000000); do
        say "growth: $size rows"
        psql -q -c "INSERT INTO growth.item (id, title, amount, created_at)
            SELECT growth.id(n), 'Item ' || n, n % 1000, '2024-01-01'::timestamptz + n / 3 * interval '1 second' FROM generate_series($old + 1, $size::bigint) n" \
            -c 'VACUUM ANALYZE growth.item' -c CHECKPOINT
        old=$size
        psql -q -c "CALL growth.pages($size, $BENCH_RUNS)"
        for v in 'update growth.item' 'patch growth_api.item'; do
            printf '\\set n random(1, %s)\n\\set amount random(1, 1000000)\nUPDATE %s SET amount = :amount WHERE id = growth.id(:n) RETURNING id, title, amount, created_at;\n' "$size" "${v#* }" |
                as_user tee "$scratch/growth_${v%% *}.sql" >/dev/null
        done
        for run in $(seq 0 "$BENCH_RUNS"); do
            # so few that the size stays what it is
            BENCH_TRANSACTIONS=300
            measure "growth with rows written: POST of one row, at $size" 'INSERT' "$run" 1 "$scratch/growth_insert.sql"
            measure "growth with rows written: POST of one row, at $size" 'POST to the resource' "$run" 1 "$scratch/growth_post.sql"
            measure "growth with rows written: PATCH of one row, at $size" 'UPDATE' "$run" 1 "$scratch/growth_update.sql"
            measure "growth with rows written: PATCH of one row, at $size" 'PATCH of the resource' "$run" 1 "$scratch/growth_patch.sql"
            BENCH_TRANSACTIONS=
        done
        psql -q -c "DELETE FROM growth.item WHERE title = 'new'"
    done
    take_measured
}

# Keys in the ledger. All of them are live, random strings, and loaded by one statement without the indexes, which are made afterwards.
growth_keys() {
    psql -q <<'SQL'
SET client_min_messages = warning;
CREATE SCHEMA growth;
CREATE TABLE growth.charge (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), customer int NOT NULL, amount int NOT NULL);
CREATE TABLE growth.key (scope text, key text, fingerprint bytea, status int, body json, created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL DEFAULT now() + '24 h');
CREATE FUNCTION growth.key(n bigint) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT md5(n::text)::uuid::text $$;
CREATE FUNCTION growth.ours(key text, request jsonb) RETURNS json LANGUAGE plpgsql AS $$
DECLARE
    entry taskapi.idempotency_entry;
    made growth.charge;
    response json;
BEGIN
    entry := taskapi.idempotency_begin(key, request, 'bench');
    IF entry.outcome = 'replay' THEN
        RETURN entry.body;
    END IF;
    INSERT INTO growth.charge (customer, amount) VALUES ((request ->> 'customer')::int, (request ->> 'amount')::int) RETURNING * INTO made;
    response := to_json(made);
    PERFORM taskapi.idempotency_complete(key, 201, response, scope => 'bench');
    RETURN response;
END
$$;
CREATE FUNCTION growth.byhand(new_key text, request jsonb) RETURNS json LANGUAGE plpgsql AS $$
DECLARE
    entry growth.key;
    digest bytea := sha256(convert_to(request::text, 'UTF8'));
    made growth.charge;
    response json;
BEGIN
    INSERT INTO growth.key (scope, key, fingerprint) VALUES ('bench', new_key, digest) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        SELECT * INTO entry FROM growth.key k WHERE k.scope = 'bench' AND k.key = new_key;
        IF entry.fingerprint <> digest THEN
            RAISE EXCEPTION 'key reused';
        END IF;
        RETURN entry.body;
    END IF;
    INSERT INTO growth.charge (customer, amount) VALUES ((request ->> 'customer')::int, (request ->> 'amount')::int) RETURNING * INTO made;
    response := to_json(made);
    UPDATE growth.key k SET status = 201, body = response WHERE k.scope = 'bench' AND k.key = new_key;
    RETURN response;
END
$$;
ALTER TABLE growth.key ADD PRIMARY KEY (scope, key);
CREATE INDEX key_expires_at ON growth.key (expires_at);
-- the key whose row all others are made from
SELECT growth.ours(growth.key(0), '{"customer": 1, "amount": 1}'), growth.byhand(growth.key(0), '{"customer": 1, "amount": 1}') \g /dev/null
UPDATE taskapi.idempotency_key SET expires_at = now() + '24 h';
SQL
    old=1
    for size in 0 $(growth_sizes 10000 100000 1000000 10000000); do
        say "growth: $size idempotency keys"
        if [ "$size" -gt 0 ]; then
            psql -q -c 'ALTER TABLE growth.key DROP CONSTRAINT key_pkey' -c 'DROP INDEX growth.key_expires_at' -c "INSERT INTO growth.key
                SELECT k.scope, growth.key(n), k.fingerprint, k.status, k.body, now(), k.expires_at FROM growth.key k, generate_series($old, $size - 1) n WHERE k.key = growth.key(0)" \
                -c 'ALTER TABLE growth.key ADD PRIMARY KEY (scope, key)' -c 'CREATE INDEX key_expires_at ON growth.key (expires_at)' -c 'VACUUM ANALYZE growth.key' &
            byhand=$!
            psql -q -c 'ALTER TABLE taskapi.idempotency_key DROP CONSTRAINT idempotency_key_pkey' -c 'DROP INDEX taskapi.idempotency_key_expires_at_idx' -c "INSERT INTO taskapi.idempotency_key
                (created_at, expires_at, fencing_token, status, completed_at, scope, key, fingerprint, body)
                SELECT now(), k.expires_at, 0, k.status, now(), k.scope, growth.key(n), k.fingerprint, k.body FROM taskapi.idempotency_key k, generate_series($old, $size - 1) n WHERE k.key = growth.key(0)" \
                -c 'ALTER TABLE taskapi.idempotency_key ADD PRIMARY KEY (scope, key)' -c 'CREATE INDEX idempotency_key_expires_at_idx ON taskapi.idempotency_key (expires_at)' -c 'VACUUM ANALYZE taskapi.idempotency_key'
            wait $byhand
            psql -q -c CHECKPOINT
            old=$size
        fi
        for v in ours byhand; do
            printf '\\set n random(0, %s)\nSELECT growth.%s(growth.key(:n), %s);\n' $((size > 0 ? size - 1 : 0)) $v "'{\"customer\": 1, \"amount\": 1}'" | as_user tee "$scratch/growth_replay_$v.sql" >/dev/null
            printf '\\set n random(1, 1000)\nSELECT growth.%s(gen_random_uuid()::text, %s);\n' $v "jsonb_build_object('customer', :n::int, 'amount', :n::int)" | as_user tee "$scratch/growth_first_$v.sql" >/dev/null
        done
        # few enough not to change the size of the smaller ledgers by much
        for run in $(seq 0 "$BENCH_RUNS"); do
            BENCH_TRANSACTIONS=500
            measure "growth with keys: first call, at $size" 'insert, then update' "$run" 1 "$scratch/growth_first_byhand.sql"
            measure "growth with keys: first call, at $size" 'ours' "$run" 1 "$scratch/growth_first_ours.sql"
            measure "growth with keys: replay, at $size" 'insert, then select' "$run" 1 "$scratch/growth_replay_byhand.sql"
            measure "growth with keys: replay, at $size" 'ours' "$run" 1 "$scratch/growth_replay_ours.sql"
            BENCH_TRANSACTIONS=
        done
    done
}

# Clients of a rate limit: all of them have a live entry in the shared table, and rows in the other one.
growth_clients() {
    psql -q <<'SQL'
CREATE UNLOGGED TABLE bench.limited (key text PRIMARY KEY, tat timestamptz NOT NULL) WITH (fillfactor = 50);
-- Microseconds of a check inside one statement, without what else the statement does.
CREATE FUNCTION bench.check_cost(size bigint) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
    n CONSTANT int := 200000;
    started timestamptz := clock_timestamp();
    without interval;
BEGIN
    PERFORM count(*) FROM generate_series(1, n) i WHERE length('user:' || 1 + i * 104729::bigint % size) > 0;
    without := clock_timestamp() - started;
    started := clock_timestamp();
    PERFORM count(*) FROM generate_series(1, n) i WHERE (taskapi.rate_limit('user:' || 1 + i * 104729::bigint % size, 1, '10 minutes', 1000000)).allowed;
    RETURN extract(epoch FROM clock_timestamp() - started - without) * 1e6 / n;
END
$$;
SQL
    old=0
    for size in 1 $(growth_sizes 1000 10000 100000 1000000); do
        say "growth: $size clients of a rate limit"
        psql -q -c "INSERT INTO bench.limited SELECT 'user:' || n, now() FROM generate_series($old + 1, $size) n" -c 'VACUUM ANALYZE bench.limited' \
            -c "DO 'BEGIN PERFORM count((taskapi.rate_limit(''user:'' || n, 1, ''10 minutes'', 1000000)).allowed) FROM generate_series($old + 1, $size) n; END'"
        old=$size
        key="'user:' || :k"
        for v in "select:SELECT $key;" "ours:SELECT (taskapi.rate_limit($key, 1, '10 minutes', 1000000)).allowed;" \
            "upsert:INSERT INTO bench.limited AS l VALUES ($key, clock_timestamp() + interval '1 microsecond') ON CONFLICT (key) DO UPDATE SET tat = greatest(l.tat, clock_timestamp()) + interval '1 microsecond' WHERE greatest(l.tat, clock_timestamp()) + interval '1 microsecond' <= clock_timestamp() + interval '1 second' RETURNING true;"; do
            printf '\\set k random(1, %s)\n%s\n' "$size" "${v#*:}" | as_user tee "$scratch/growth_${v%%:*}.sql" >/dev/null
        done
        for run in $(seq 0 "$BENCH_RUNS"); do
            measure "growth with clients: a check, at $size" 'UNLOGGED upsert' "$run" 1 "$scratch/growth_upsert.sql"
            measure "growth with clients: a check, at $size" 'rate_limit()' "$run" 1 "$scratch/growth_ours.sql"
            measure "growth with clients: a check, at $size" 'no limit: SELECT of the key' "$run" 1 "$scratch/growth_select.sql"
            us=$(psql -qAtc "SELECT bench.check_cost($size)")
            [ "$run" = 0 ] || record "growth with clients: a check, at $size" 'rate_limit(), inside one statement' 'us' "$run" "$us"
        done
        record 'the table of rate limits, made for 1,000,000 keys' "$size live keys" 'evicted' 1 "$(psql -qAtc 'SELECT evicted FROM taskapi.rate_limit_stats')"
    done
}

# Projects of a user: all his tasks, newest first, and those of one project.
growth_projects() {
    say 'growth: projects of a user'
    psql -q -d "$BENCH_DB" -v runs="$BENCH_RUNS" <<'SQL'
GRANT USAGE ON SCHEMA bench, taskapi, tasks TO api_user;
GRANT ALL ON bench.result TO api_user;
SET session_replication_role = replica;
CREATE TABLE bench.member AS
    SELECT n AS projects, bench.id(9, n) AS account_id FROM unnest(ARRAY[1, 20, 100, 500, 2000]) n WHERE n <= (SELECT count(*) FROM tasks.project);
INSERT INTO tasks.account (id, email, display_name) SELECT account_id, 'member' || projects || '@example.org', 'Member of ' || projects FROM bench.member;
INSERT INTO tasks.membership (project_id, account_id, role)
    SELECT bench.id(2, 1 + (p.n - 1) * (2 * k - 1) / (2 * m.projects)), m.account_id, 'editor'
    FROM bench.member m, (SELECT count(*) AS n FROM tasks.project) p, LATERAL generate_series(1, m.projects) k;
RESET session_replication_role;
VACUUM ANALYZE tasks.membership;
CREATE PROCEDURE bench.growth_projects(runs int) LANGUAGE plpgsql AS $$
DECLARE
    m record;
BEGIN
    FOR run IN 0 .. runs LOOP
        FOR m IN SELECT *, (SELECT min(s.project_id::text) FROM tasks.membership s WHERE s.account_id = b.account_id) AS project_id FROM bench.member b ORDER BY projects LOOP
            PERFORM set_config('request.jwt.claims', format('{"sub": "%s"}', m.account_id), true);
            SET LOCAL ROLE api_user;
            PERFORM bench.measure(format('growth with projects: the newest 50 of all his tasks, at %s', m.projects), 'plain list', run, 'SELECT * FROM api.tasks ORDER BY created_at DESC, id DESC LIMIT 50');
            PERFORM bench.measure(format('growth with projects: the newest 50 of all his tasks, at %s', m.projects), 'my_tasks()', run, 'SELECT * FROM api.my_tasks()');
            PERFORM bench.measure(format('growth with projects: the newest 50 of one project, at %s', m.projects), 'list of one project', run,
                format('SELECT * FROM api.tasks WHERE project_id = %L ORDER BY created_at DESC, id DESC LIMIT 50', m.project_id));
            RESET ROLE;
        END LOOP;
        COMMIT;
    END LOOP;
END
$$;
CALL bench.growth_projects(:runs);
SQL
    take_measured
}
