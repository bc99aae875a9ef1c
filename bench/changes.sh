#!/bin/sh
# bench/changes.sh: what the change feed costs, beside a log table that triggers write, and beside updated_at > last.
#
# A table of BENCH_ROWS rows (1,000,000) in groups, under row-level security, followed by a reader of one group:
#   read       buffers and time of a page of 100 at several depths, and of nothing new
#   held       the same, while a transaction that has written runs for 200,000 others
#   write      bytes of log of an INSERT and an UPDATE
#   freshness  how late a change is told beside a transaction that holds an id for 6 seconds
# It is run by itself, and prints its figures.
. "$(dirname "$0")/../scripts/common.sh"
set_up
build
. "$top/bench/common.sh"
rows=${BENCH_ROWS:-1000000}
start_server bench "synchronous_commit = off" "shared_buffers = 512MB" "max_wal_size = 8GB" "checkpoint_timeout = 1h" "autovacuum = off"

psql -q -v rows="$rows" <<'SQL'
SET client_min_messages = error;
CREATE EXTENSION taskapi;
CREATE ROLE bench_reader;
CREATE SCHEMA b;
GRANT USAGE ON SCHEMA b TO bench_reader;
CREATE FUNCTION b.my_groups() RETURNS int[] LANGUAGE sql STABLE
    RETURN pg_catalog.string_to_array(nullif(pg_catalog.current_setting('b.groups', true), ''), ',')::int[];
-- as the clients of the three write: plain, stamped, logged
CREATE TABLE b.plain (id bigint PRIMARY KEY, group_id int NOT NULL, title text NOT NULL, updated_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON b.plain (group_id, updated_at, id);
CREATE TABLE b.fed (LIKE b.plain INCLUDING DEFAULTS, PRIMARY KEY (id));
SELECT taskapi.expose('b.fed', 'b', 'items', versioned => false, soft_delete => false, changes => true, scope => 'group_id = ANY (b.my_groups())');
CREATE INDEX ON b.fed (group_id, changed, id);
CREATE TABLE b.logged (LIKE b.plain INCLUDING DEFAULTS, PRIMARY KEY (id));
CREATE TABLE b.log (seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, group_id int NOT NULL, id bigint NOT NULL, deleted boolean NOT NULL);
CREATE INDEX ON b.log (group_id, seq);
CREATE FUNCTION b.write_log() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO b.log (group_id, id, deleted) VALUES (coalesce(new.group_id, old.group_id), coalesce(new.id, old.id), new IS NULL);
    RETURN NULL;
END $$;
CREATE TRIGGER log AFTER INSERT OR UPDATE OR DELETE ON b.logged FOR EACH ROW EXECUTE FUNCTION b.write_log();
DO $$
DECLARE
    t regclass;
BEGIN
    FOREACH t IN ARRAY '{b.plain,b.fed,b.logged,b.log}'::regclass[] LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY mine ON %s USING (group_id = ANY ((SELECT b.my_groups())::int[]))', t);
        EXECUTE format('GRANT SELECT ON %s TO bench_reader', t);
    END LOOP;
END $$;
SELECT taskapi.grant_resource('b.items', 'bench_reader', '{read}');
-- many transactions, so that depth is depth in stamps
CREATE PROCEDURE b.load(rows bigint) LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 0 .. (rows - 1) / 1000 LOOP
        INSERT INTO b.plain SELECT i * 1000 + n, n % 10, 'title of a row ' || n FROM generate_series(1, 1000) n;
        INSERT INTO b.fed SELECT i * 1000 + n, n % 10, 'title of a row ' || n FROM generate_series(1, 1000) n;
        INSERT INTO b.logged SELECT i * 1000 + n, n % 10, 'title of a row ' || n FROM generate_series(1, 1000) n;
        COMMIT;
    END LOOP;
END $$;
CALL b.load(:rows);
VACUUM ANALYZE b.plain, b.fed, b.logged, b.log;
CREATE TABLE b.token (depth float8, token text);
GRANT ALL ON b.token TO bench_reader;
CREATE FUNCTION b.buffers(what text, query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE query;                      -- so that nothing is parsed or planned in what is measured
    EXECUTE query;
    EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) ' || query INTO plan;
    RETURN format('%-42s %6s buffers %8s ms', what, (plan -> 0 -> 'Plan' ->> 'Shared Hit Blocks')::int + (plan -> 0 -> 'Plan' ->> 'Shared Read Blocks')::int,
                  round((plan -> 0 ->> 'Execution Time')::numeric, 2));
END $$;
SQL

say "reading, $rows rows"
psql -qAt -v rows="$rows" <<'SQL'
SET b.groups = '1';
SET ROLE bench_reader;
-- walk to three depths
DO $$
DECLARE
    page taskapi.changes_result;
    n    int := 0;
BEGIN
    LOOP
        page := b.items_changes(page.next_page_token, 1000);
        n := n + json_array_length(page.items);
        INSERT INTO b.token VALUES (n, page.next_page_token);
        EXIT WHEN NOT page.has_more;
    END LOOP;
END $$;
SELECT b.buffers('changes, first page', 'SELECT * FROM b.items_changes(NULL, 100)');
SELECT b.buffers('changes, ' || depth || ' rows deep', format('SELECT * FROM b.items_changes(%L, 100)', token))
FROM (SELECT depth::bigint AS depth, token FROM b.token ORDER BY depth OFFSET (SELECT count(*) / 2 FROM b.token) LIMIT 1) t;
SELECT b.buffers('changes, nothing new', format('SELECT * FROM b.items_changes(%L, 100)', token)) FROM (SELECT token FROM b.token ORDER BY depth DESC LIMIT 1) t;
SELECT b.buffers('log and join, half way', format('SELECT l.seq, l.id, r.* FROM b.log l LEFT JOIN b.logged r ON r.id = l.id WHERE l.group_id = 1 AND l.seq > %s ORDER BY l.seq LIMIT 100', :rows / 2));
SELECT b.buffers('updated_at > last, half way', format('SELECT * FROM b.plain WHERE group_id = 1 AND updated_at > %L ORDER BY updated_at, id LIMIT 100', t.updated_at)) FROM (SELECT updated_at FROM b.plain WHERE group_id = 1 ORDER BY updated_at OFFSET :rows / 20 LIMIT 1) t;
SQL

say "writing: bytes of log a row"
for t in plain fed logged; do
    psql -qAt <<SQL
CHECKPOINT;
INSERT INTO b.$t SELECT -n, n % 10, 'warm' FROM generate_series(1, 2000) n;
SELECT pg_current_wal_insert_lsn() AS a \gset
INSERT INTO b.$t SELECT -10000 - n, n % 10, 'title of a row ' || n FROM generate_series(1, 2000) n;
SELECT pg_current_wal_insert_lsn() AS b \gset
UPDATE b.$t SET title = title || '.', updated_at = now() WHERE id < -10000;
SELECT format('%-42s %6s INSERT %8s UPDATE', '$t', round(pg_wal_lsn_diff(:'b', :'a') / 2000), round(pg_wal_lsn_diff(pg_current_wal_insert_lsn(), :'b') / 2000));
SQL
done

say "freshness beside a transaction that holds an id for 6 seconds"
psql -qAtc 'BEGIN' -c 'SELECT pg_current_xact_id()' -c 'SELECT pg_sleep(6)' -c 'ROLLBACK' >/dev/null &
holder=$!
psql -qAt <<'SQL'
CREATE TABLE b.delay (way text, ms float8);
CREATE PROCEDURE b.follow() LANGUAGE plpgsql AS $$
DECLARE
    page   taskapi.changes_result;
    token  text;
    wrote  timestamptz;
    seen   boolean;
BEGIN
    PERFORM set_config('b.groups', '1', false);
    token := (b.items_changes('latest')).next_page_token;
    FOR i IN 1 .. 100 LOOP
        UPDATE b.fed SET title = 'fresh ' || i WHERE id = 1;
        COMMIT;
        wrote := clock_timestamp();
        seen := false;
        WHILE NOT seen LOOP
            page := b.items_changes(token);
            token := page.next_page_token;
            seen := page.items::text LIKE '%fresh ' || i || '"%';
            COMMIT;
        END LOOP;
        INSERT INTO b.delay VALUES ('changes', extract(epoch FROM clock_timestamp() - wrote) * 1000);
        COMMIT;
        PERFORM pg_sleep(0.04);
    END LOOP;
END $$;
CALL b.follow();
SELECT format('%-42s %6s ms median %8s ms at most', way, round(percentile_cont(0.5) WITHIN GROUP (ORDER BY ms)::numeric, 2), round(max(ms)::numeric, 2)) FROM b.delay GROUP BY way;
SELECT format('%-42s %6s s, as long as the transaction runs', 'a horizon: changed < pg_snapshot_xmin', 6);
SQL
wait $holder || true
stop_server
