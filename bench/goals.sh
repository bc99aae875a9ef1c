# The goals of the task API in one table, each with its aim: whole requests beside the same API written by hand (byhand.sql), by throughput
# on the data set and by the instructions that callgrind counts (scripts/instructions, which has data of its own). Sourced by
# scripts/bench, after data.sh and request.sh.

# goals_rate VARIANT RUN FILE: throughput of a script by 4 clients.
goals_rate() { measure goals "$1" "$2" 4 "$3" -M simple -U bench_authenticator; }

goals() {
    rm -f "$scratch/goals.md"
    request_tables='{task,lean}'
    request_setup
    request_check
    # Callers whose project has more than 1,050 live tasks, at a place 1,000 tasks down.
    psql -q -d "$BENCH_DB" <<'SQL'
CREATE TABLE bench.deep AS
    SELECT row_number() OVER (ORDER BY p.n)::int AS n, p.project_id, p.token, 999 AS depth, a.created_at, a.id, taskapi.cursor_encode('created_at DESC, id DESC', a.created_at, a.id) AS after
    FROM bench.principal p,
        LATERAL (SELECT created_at, id FROM tasks.task t WHERE t.project_id = p.project_id AND t.deleted_at IS NULL ORDER BY created_at DESC, id DESC OFFSET 999 LIMIT 1) a,
        LATERAL (SELECT FROM tasks.task t WHERE t.project_id = p.project_id AND t.deleted_at IS NULL ORDER BY created_at DESC, id DESC OFFSET 1050 LIMIT 1) enough;
ALTER TABLE bench.deep ADD page_token text;
UPDATE bench.deep SET page_token = (api.tasks_page('created_at DESC, id DESC', 1000, NULL, jsonb_build_object('project_id', project_id))).next_page_token;
CREATE UNIQUE INDEX ON bench.deep (n);
GRANT SELECT ON bench.deep TO bench_authenticator;
VACUUM ANALYZE bench.deep;
SQL
    deep=$(psql -qAtc 'SELECT count(*) FROM bench.deep' -d "$BENCH_DB")
    [ "$deep" -gt 0 ] || die 'the data set has no project of more than 1,050 tasks; BENCH_ROWS is too small'
    goals_script() { request_script "$2" "$3" "random(1, $4)" "$5" "$6" | sed "s/:'\([a-z_]*\)'/':\1'/g" | as_user tee "$scratch/goal_$1.sql" >/dev/null; }
    for v in ours byhand lean; do goals_script "post_$v" POST $v "$principals" 'gen_random_uuid()' bench.principal; done
    for v in first_ours first_byhand first_byhand_unlimited page_ours page_cursor_ours plain_ours one_ours rpc_ours; do goals_script $v GET $v "$principals" "''" bench.principal; done
    for v in ours offset or rpc_deep; do goals_script "deep_$v" GET $v "$deep" "''" bench.deep; done
    goals_script replay POST ours "$principals" "'replayed'" bench.principal

    say "the goals: $BENCH_RUNS runs"
    # run 0 warms up; the callers' first calls under the key that is replayed are among it
    as_user "$prefix/pgbench" -n -t 2000 -f "$scratch/goal_replay.sql" -U bench_authenticator "$BENCH_DB" >/dev/null 2>>"$scratch/bench.log"
    for run in $(seq 0 "$BENCH_RUNS"); do
        for v in first_ours rpc_ours first_byhand first_byhand_unlimited deep_ours deep_rpc_deep deep_offset deep_or page_ours page_cursor_ours plain_ours one_ours replay; do goals_rate $v "$run" "$scratch/goal_$v.sql"; done
        for commit in on off; do
            export PGOPTIONS="-c synchronous_commit=$commit"
            for v in ours byhand lean; do goals_rate "post_${v}_$commit" "$run" "$scratch/goal_post_$v.sql"; done
        done
        unset PGOPTIONS
    done
    say 'the goals: instructions'
    PG_CONFIG="/usr/lib/postgresql/$major/bin/pg_config" TASKAPI_SCRATCH='' INSTRUCTIONS=goals "$top/scripts/instructions" >"$scratch/goals.instructions" 9>&- || true
    awk '/^goal_/ { print "goals\t" $1 "\tinstructions\t1\t" $3 }' "$scratch/goals.instructions" >>"$results"
    goals_table >"$scratch/goals.md"
    cat "$scratch/goals.md"
}

# goals_table: the goals as a table of Markdown, of what is in the results. The ratios of throughput are taken run by run.
goals_table() {
    perl -F'\t' -lane '
        next unless $F[0] eq "goals";
        $rate{$F[1]}{$F[3]} = $F[4] if $F[2] eq "per second";
        $count{$F[1] =~ s/^goal_//r} = $F[4] if $F[2] eq "instructions";
        sub median { my @s = sort { $a <=> $b } @_; $s[$#s / 2] }
        sub row {
            my ($what, $sign, $aim, @ratios) = @_;
            my $ratio = median(@ratios);
            my $met = $aim eq "" ? "" : ($sign eq "at least" ? $ratio >= $aim : $ratio <= $aim) ? "yes" : "**no**";
            printf "| %s | %s | %.2f%s | %s |\n", $what, $aim eq "" ? "" : "$sign $aim", $ratio, @ratios > 1 ? sprintf(" (%.2f to %.2f)", (sort { $a <=> $b } @ratios)[0, -1]) : "", $met;
        }
        sub faster { my ($what, $aim, $ours, $other) = @_; row($what, "at least", $aim, map { $rate{$ours}{$_} / $rate{$other}{$_} } sort keys %{ $rate{$ours} }) }
        sub slower { my ($what, $aim, $ours, $other) = @_; row($what, "at most", $aim, map { $rate{$other}{$_} / $rate{$ours}{$_} } sort keys %{ $rate{$ours} }) }
        sub fewer { my ($what, $aim, $ours, $other) = @_; row(sprintf("%s: %.0f k, %.0f k", $what, $count{$ours} / 1000, $count{$other} / 1000), "at most", $aim, $count{$ours} / $count{$other}) if $count{$ours} && $count{$other} }
        END {
            print "| goal | aim | measured | met |\n| --- | ---: | ---: | --- |";
            for my $lean (0, 1) {
                my ($by, $other) = $lean ? ("the API by hand without activity, search, labels and order by hand", "lean") : ("the same API by hand", "byhand");
                faster("keyed POST against $by, sync $_: throughput", 1.0, "post_ours_$_", "post_${other}_$_") foreach "on", "off";
                fewer("… instructions", 0.95, "post", "post_$other");
            }
            faster("GET of the first page against by hand: throughput", 1.2, "first_ours", "first_byhand");
            fewer("… instructions", "", "first", "first_byhand");
            faster("… by hand, where reads are not counted: throughput", "", "first_ours", "first_byhand_unlimited");
            faster("GET of the first page by tasks_page() against by hand: throughput", 1.2, "rpc_ours", "first_byhand");
            fewer("… instructions", "", "first_page", "first_byhand");
            faster("GET at a depth of 1,000 against OFFSET: throughput", 2, "deep_ours", "deep_offset");
            fewer("… instructions", "", "deep", "deep_offset");
            faster("GET at a depth of 1,000 against the textbook OR: throughput", 2, "deep_ours", "deep_or");
            fewer("… instructions", "", "deep", "deep_or");
            faster("GET at a depth of 1,000 by tasks_page() against the textbook OR: throughput", 2, "deep_rpc_deep", "deep_or");
            fewer("… instructions", "", "deep_page", "deep_or");
            slower("page() of 50 against json_agg() of the same columns, neither with cursors: time of the request", 1.05, "page_ours", "plain_ours");
            fewer("… instructions of the statement", 1.05, "page", "page_plain");
            slower("page() of 50 with cursors against json_agg() without: time of the request", 1.05, "page_cursor_ours", "plain_ours");
            fewer("… instructions of the statement", 1.05, "page_cursor", "page_plain");
            slower("a replay of a POST against a GET of one row: time of the request", 1.2, "replay", "one_ours");
            fewer("… instructions", 1.2, "replay", "one");
            fewer("… instructions of the statement", 1.2, "replay_statement", "one_statement");
        }' "$results"
}
