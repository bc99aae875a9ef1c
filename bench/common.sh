# Sourced by the benchmarks beside it, after scripts/common.sh: how one is run and where its figures go.
#
# A benchmark measures its variants in turn, A B C A B C ..., $BENCH_RUNS times, so that all of them see the same
# machine, and appends a line "group, variant, metric, run, value" to $results for each. bench/report makes the tables.

BENCH_RUNS=${BENCH_RUNS:-5}
BENCH_SECONDS=${BENCH_SECONDS:-5}
results=${BENCH_RESULTS:-$scratch/results.tsv}

record() { printf '%s\t%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$4" "$5" >>"$results"; }

# transactions CLIENTS FILE [pgbench options]: transactions per second of a pgbench script.
transactions() {
    clients=$1 file=$2; shift 2
    as_user "$prefix/pgbench" -n -M prepared -c "$clients" -j 2 -T "$BENCH_SECONDS" -f "$file" "$@" "${BENCH_DB:-postgres}" 2>>"$scratch/bench.log" |
        sed -n 's/^tps = \([0-9.]*\).*/\1/p'
}

# transactions_as ROLE CLIENTS FILE [pgbench options]: the same as somebody else.
transactions_as() {
    role=$1; shift
    PGUSER=$role transactions "$@"
}

# latencies CLIENTS FILE: 'average p50 p99' in milliseconds of a pgbench script.
latencies() {
    clients=$1 file=$2; shift 2
    as_user sh -c "rm -f '$scratch'/pgbench_log.*; cd '$scratch' && '$prefix/pgbench' -n -M prepared -c $clients -j 2 -T '$BENCH_SECONDS' -l -f '$file' '${BENCH_DB:-postgres}' >/dev/null 2>>'$scratch/bench.log'; cut -d' ' -f3 '$scratch'/pgbench_log.* | sort -n | awk '{ v[NR] = \$1; s += \$1 } END { if (NR) printf \"%.3f %.3f %.3f\n\", s / NR / 1000, v[int((NR + 1) / 2)] / 1000, v[int(NR * 0.99) + (NR < 100)] / 1000 }'; rm -f '$scratch'/pgbench_log.*"
}

# wal_bytes: bytes of WAL written so far.
wal_bytes() { psql -qAtc "SELECT pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_insert_lsn(), '0/0')" ${BENCH_DB:+-d "$BENCH_DB"}; }
