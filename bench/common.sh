# Sourced by the benchmarks beside it, after scripts/common.sh: how one is run and where its figures go.
#
# A benchmark measures its variants in turn, A B C A B C ..., $BENCH_RUNS times, so that all of them see the same
# machine, and appends a line "group, variant, metric, run, value" to $results for each. bench/report makes the tables.

BENCH_RUNS=${BENCH_RUNS:-5}
BENCH_SECONDS=${BENCH_SECONDS:-1}
BENCH_CLIENTS=${BENCH_CLIENTS:-1 8 32}
results=${BENCH_RESULTS:-$scratch/results.tsv}

record() { printf '%s\t%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$4" "$5" >>"$results"; }

# transactions CLIENTS FILE [pgbench options]: transactions per second of a pgbench script.
transactions() {
    clients=$1 file=$2; shift 2
    as_user "$prefix/pgbench" -n -M prepared -c "$clients" -j 2 -T "$BENCH_SECONDS" -f "$file" "$@" "${BENCH_DB:-postgres}" 2>>"$scratch/bench.log" |
        sed -n 's/^tps = \([0-9.]*\).*/\1/p'
}

# measure GROUP VARIANT RUN CLIENTS FILE [pgbench options]: throughput and latencies of a pgbench script; run 0 is not recorded.
# Where BENCH_TRANSACTIONS is set, each client runs so many of them, else for BENCH_SECONDS.
measure() {
    m_group=$1 m_variant=$2 m_run=$3 m_clients=$4 m_file=$5
    shift 5
    m_length=--time=$BENCH_SECONDS
    [ -z "${BENCH_TRANSACTIONS:-}" ] || m_length=--transactions=$BENCH_TRANSACTIONS
    rm -f "$scratch"/pgbench_m.*
    m_out=$(cd "$scratch" && as_user "$prefix/pgbench" -n -M prepared -c "$m_clients" -j 2 -l --log-prefix="$scratch/pgbench_m" \
        "$m_length" -f "$m_file" "$@" "${BENCH_DB:-postgres}" 2>>"$scratch/bench.log" </dev/null) || { tail -n 20 "$scratch/bench.log" >&2; die "pgbench failed: $m_group, $m_variant"; }
    [ "$m_run" = 0 ] || {
        # at a rate that was given, the throughput tells nothing
        case " $* " in *' -R '*) ;; *) record "$m_group" "$m_variant" 'per second' "$m_run" "$(echo "$m_out" | sed -n 's/^tps = \([0-9.]*\).*/\1/p')" ;; esac
        cat "$scratch"/pgbench_m.* | cut -d' ' -f3 | sort -n | awk -v OFS='\t' -v g="$m_group" -v n="$m_variant" -v r="$m_run" '
            { v[NR] = $1 }
            END { if (NR) { print g, n, "p50 ms", r, v[int((NR + 1) / 2)] / 1000; print g, n, "p99 ms", r, v[int(NR * 0.99) + (NR < 100)] / 1000 } }' >>"$results"
    }
    rm -f "$scratch"/pgbench_m.*
}

# wal_bytes: bytes of WAL written so far.
wal_bytes() { psql -qAtc "SELECT pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_insert_lsn(), '0/0')" ${BENCH_DB:+-d "$BENCH_DB"}; }

# define_measure: bench.measure(), one EXPLAIN ANALYZE of a query as a layer sends it that does not prepare: buffers hit or read by the
# execution, and planning and execution times. Run 0 warms up and is not kept. take_measured moves the figures to the results.
define_measure() {
    psql -q -d "$BENCH_DB" <<'SQL'
CREATE TABLE bench.result (grp text, variant text, metric text, run int, value float8);
CREATE FUNCTION bench.measure(grp text, variant text, run int, query text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) ' || query INTO plan;
    IF run > 0 THEN
        INSERT INTO bench.result VALUES
            (grp, variant, 'buffers', run, (plan -> 0 -> 'Plan' ->> 'Shared Hit Blocks')::float8 + (plan -> 0 -> 'Plan' ->> 'Shared Read Blocks')::float8),
            (grp, variant, 'ms', run, (plan -> 0 ->> 'Planning Time')::float8 + (plan -> 0 ->> 'Execution Time')::float8);
    END IF;
END
$$;
SQL
}
take_measured() {
    psql -qAt -F "$(printf '\t')" -d "$BENCH_DB" -c 'SELECT * FROM bench.result' >>"$results"
    psql -q -d "$BENCH_DB" -c 'TRUNCATE bench.result'
}
