# The whole request: a bearer token is verified, the request is counted against a limit, and a member gets a page of his project or
# creates a task under an idempotency key: one transaction of several statements, as a layer sends it. Beside it the same API written
# by hand (byhand.sql). Before anything is measured both have to give the same answers. Sourced by scripts/bench, after data.sh.

request_setup() {
    say "the whole request: the API by hand, on a copy of the tasks"
    secret=$(printf '%032d' 7)
    # what the benchmark of pages has left behind would cost the task API's writes alone
    psql -q -d "$BENCH_DB" <<'SQL'
SET client_min_messages = warning;
DROP INDEX IF EXISTS tasks.bench_uniform, tasks.bench_mixed, tasks.bench_nullable, tasks.bench_mixed_cursor, tasks.bench_nullable_cursor;
SQL
    psql -q -d "$BENCH_DB" -v anonymous=api_anonymous -v authenticated=api_user -v tables="${request_tables:-{task\}}" -f "$scratch/src/bench/byhand.sql"
    psql -q -d "$BENCH_DB" -v secret="$secret" <<'SQL'
SET client_min_messages = warning;
CREATE ROLE bench_authenticator LOGIN NOINHERIT;
GRANT api_anonymous, api_user TO bench_authenticator;
SELECT taskapi.set_secret('jwt', :'secret') \g /dev/null
ALTER ROLE bench_authenticator SET app.jwt_secret = :'secret';
UPDATE taskapi.rate_limit_policy SET rate = 1000000000, burst = 1000000000, per = '1 second';
-- Five hundred callers: an owner of each of the first projects, with a token of his and the place where he is in his list, up to
-- twenty pages down.
SELECT setseed(0.25) \g /dev/null
CREATE TABLE bench.principal AS
    SELECT row_number() OVER (ORDER BY n)::int AS n, project_id, token, depth, a.created_at, a.id, taskapi.cursor_encode('created_at DESC, id DESC', a.created_at, a.id) AS after
    FROM (SELECT n, m.project_id, (random() * least(1000, rows - 51))::int AS depth,
                 taskapi.jwt_sign(json_build_object('sub', m.account_id, 'role', 'api_user', 'exp', 4000000000, 'iat', 1700000000, 'email', n || '@example.org')::jsonb) AS token
          FROM generate_series(1, 500) n,
              LATERAL (SELECT project_id, account_id FROM tasks.membership WHERE project_id = bench.id(2, n) AND role = 'owner' LIMIT 1) m,
              LATERAL (SELECT count(*) AS rows FROM (SELECT FROM tasks.task t WHERE t.project_id = m.project_id AND t.deleted_at IS NULL LIMIT 1100) l) c
          WHERE rows > 51) p,
        LATERAL (SELECT created_at, id FROM tasks.task t WHERE t.project_id = p.project_id AND t.deleted_at IS NULL ORDER BY created_at DESC, id DESC OFFSET p.depth LIMIT 1) a;
CREATE UNIQUE INDEX ON bench.principal (n);
-- A layer that does not verify tokens itself leaves that to the database, too.
ALTER ROLE bench_authenticator SET taskapi.verify_bearer = on;
GRANT USAGE ON SCHEMA bench, taskapi TO api_anonymous, api_user, bench_authenticator;
GRANT SELECT ON bench.principal TO bench_authenticator;
VACUUM ANALYZE byhand.task;
VACUUM ANALYZE bench.principal;
CHECKPOINT;
SQL
    principals=$(psql -qAtc 'SELECT count(*) FROM bench.principal' -d "$BENCH_DB")
    [ "$principals" -gt 0 ] || die 'the data set has no project of more than 51 tasks; BENCH_ROWS is too small'
}

# request_script METHOD API N KEY [TABLE]: print the statements of a request of caller N (a number, or an expression of pgbench's), of those
# in bench.principal or that table.
request_script() {
    printf '\\set n %s\n' "$3"
    place='' path=/tasks
    case $2 in rpc*) path=/rpc/tasks_page ;; esac
    case $2 in rpc_deep*) place=', page_token' ;; esac
    echo "SELECT project_id, token, depth, created_at, id, after$place, $4 AS key FROM ${5:-bench.principal} WHERE n = :n \\gset"
    echo 'BEGIN;'
    echo "SELECT set_config('request.method', '$1', true), set_config('request.path', '$path', true), set_config('request.jwt.claims', '', true), set_config('request.headers', json_build_object('authorization', 'Bearer ' || :'token', 'idempotency-key', :'key', 'accept', '*/*', 'host', 'localhost')::text, true), set_config('role', 'api_anonymous', true);"
    columns='id, project_id, assignee_id, creator_id, title, status, priority, due_date, version, created_at, updated_at'
    more=''
    case $2 in page_cursor_ours) more=', cursor' ;; esac
    byhand="SELECT $columns FROM byhand.task WHERE project_id = :'project_id' AND deleted_at IS NULL"
    order='ORDER BY created_at DESC, id DESC LIMIT 50'
    case $2 in *ours) echo 'SELECT taskapi.pre_request();' ;; *unlimited) echo 'SELECT byhand.pre_request(false);' ;; *) echo 'SELECT byhand.pre_request(true);' ;; esac
    case "$1 $2" in
        'GET ours') page="SELECT $columns, cursor FROM api.tasks WHERE project_id = :'project_id' AND cursor > :'after' $order" ;;
        'GET or'*) page="$byhand AND (created_at < :'created_at' OR created_at = :'created_at' AND id < :'id') $order" ;;
        'GET offset') page="$byhand $order OFFSET :depth + 1" ;;
        'GET first_ours') page="SELECT $columns, cursor FROM api.tasks WHERE project_id = :'project_id' $order" ;;
        'GET first_byhand'*) page="$byhand $order" ;;
        'GET plain_ours') page="SELECT $columns FROM api.tasks WHERE project_id = :'project_id' $order" ;;
        'GET one_ours') page="SELECT * FROM api.tasks WHERE id = :'id'" ;;
    esac
    case "$1 $2" in
        'GET page_'*) echo "SELECT items, next_page_token FROM api.tasks_page('created_at DESC, id DESC', 50, NULL, json_build_object('project_id', :'project_id')::jsonb, NULL, '{${columns}$more}');" ;;
        # as PostgREST calls a function that returns one row
        'GET rpc'*)
            echo "SELECT coalesce(json_agg(t) -> 0, 'null') FROM (SELECT * FROM api.tasks_page(order_by := 'created_at DESC, id DESC'::text, page_size := '50'::int,${place:+ page_token := :'page_token'::text,}" \
                "filter := json_build_object('project_id', :'project_id')::jsonb, fields := '{$columns}'::text[])) t;" ;;
        GET*) echo "SELECT coalesce(json_agg(t), '[]') FROM ($page) t;" ;;
        'POST ours') echo "WITH source AS (INSERT INTO api.tasks (project_id, title, priority) VALUES (:'project_id', 'A new task', 50) RETURNING *) SELECT coalesce(json_agg(source), '[]') FROM source;" ;;
        *)
            case $2 in lean) create=create_lean_task ;; *) create=create_task ;; esac
            # as PostgREST calls a function that returns one value
            echo "WITH source AS (SELECT byhand.$create(:'key', json_build_object('project_id', :'project_id', 'title', 'A new task', 'priority', 50)::jsonb) AS scalar) SELECT coalesce(json_agg(source.scalar) -> 0, 'null') FROM source;" ;;
    esac
    echo 'COMMIT;'
}

# request_answer METHOD API N KEY: the answer, as JSON with sorted names, without what only one of the two has.
request_answer() {
    request_script "$1" "$2" "$3" "$4" | psql -qAt -U bench_authenticator -d "$BENCH_DB" |
        perl -MJSON::PP -0777 -e '
            my ($post) = @ARGV;
            my ($text) = <STDIN> =~ /^([[{].*[]}])$/ms or die "no JSON in the answer\n";
            my $rows = decode_json($text);
            $rows = [$rows] if ref $rows eq "HASH";
            delete @$_{qw(cursor cursor_by_due_date cursor_by_priority cursor_by_updated_at deleted_at deletion_id search position)} foreach @$rows;
            if ($post) { delete @$_{qw(id created_at updated_at)} foreach @$rows }
            print scalar(@$rows), " rows ", JSON::PP->new->canonical->encode($rows), "\n"' "$5"
}

# Both must answer alike: the same pages, the same task, and a replay that is the first answer and makes no second task.
request_check() {
    for i in 1 2 $((principals / 2 + 1)) "$principals"; do
        ours=$(request_answer GET ours "$i" "''" '')
        case $ours in '50 rows'*) ;; *) die "the page of caller $i is not what it should be: $ours" ;; esac
        for v in or or_unlimited offset; do
            theirs=$(request_answer GET $v "$i" "''" '')
            [ "$ours" = "$theirs" ] || die "the two APIs answer caller $i differently ($v): $ours $theirs"
        done
        [ "$(request_answer POST ours "$i" "'check'" 1)" = "$(request_answer POST byhand "$i" "'check'" 1)" ] || die "the two APIs create different tasks for caller $i"
        for v in ours byhand; do
            [ "$(request_answer POST $v "$i" "'again'" '')" = "$(request_answer POST $v "$i" "'again'" '')" ] || die "a replay differs from the first answer ($v)"
        done
    done
    made=$(psql -qAt -d "$BENCH_DB" -c "SELECT (SELECT count(*) FROM tasks.task WHERE title = 'A new task') || ' ' || (SELECT count(*) FROM byhand.task WHERE title = 'A new task')")
    [ "$made" = '8 8' ] || die "eight tasks should have been created on each side: $made"
}

whole_request() {
    request_setup
    request_check
    # pgbench puts values in as they are, where psql would quote them; none of them has a quote in it
    for v in ours or or_unlimited offset; do request_script GET $v "random(1, $principals)" "''" | sed "s/:'\([a-z_]*\)'/':\1'/g" | as_user tee "$scratch/get_$v.sql" >/dev/null; done
    for v in ours byhand; do request_script POST $v "random(1, $principals)" 'gen_random_uuid()' | sed "s/:'\([a-z_]*\)'/':\1'/g" | as_user tee "$scratch/post_$v.sql" >/dev/null; done

    say "the whole request: $BENCH_RUNS runs"
    BENCH_SECONDS=$((2 * BENCH_SECONDS))
    # Statements with literals, as the variables of \gset are quoted into them: a layer plans each request, too. Run 0 warms up.
    for run in $(seq 0 "$BENCH_RUNS"); do
        while IFS=: read -r script variant; do
            measure 'whole request: GET, a page of 50' "$variant" "$run" 4 "$scratch/get_$script.sql" -M simple -U bench_authenticator
        done <<'LIST'
offset:by hand, OFFSET
or:by hand, textbook OR
or_unlimited:by hand, textbook OR, GET not limited
ours:taskapi
LIST
        for commit in on off; do
            export PGOPTIONS="-c synchronous_commit=$commit"
            for variant in 'byhand:by hand' ours:taskapi; do
                measure "whole request: POST with an idempotency key, synchronous_commit=$commit" "${variant#*:}" "$run" 4 "$scratch/post_${variant%%:*}.sql" -M simple -U bench_authenticator
            done
        done
        unset PGOPTIONS
    done
    BENCH_SECONDS=$((BENCH_SECONDS / 2))
}
