# Sourced by the scripts beside it: what is missing from Debian's packages, a scratch folder, a private server.
#
# Everything that needs a server runs as an unprivileged user in a scratch folder: a copy of this tree, and a
# private copy of the PostgreSQL installation (its files symlinked, its programs copied, since a program finds
# its own share and lib folders relative to itself). So neither the system's installation nor any cluster is touched.

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
PG_CONFIG=${PG_CONFIG:-pg_config}

say() { printf '\033[1m== %s\033[0m\n' "$*" >&2; }
die() { printf '%s\n' "$*" >&2; exit 1; }

# as_root COMMAND...: run it as root, through sudo where we are somebody else.
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null; then sudo "$@"
    else die "this needs root: $*"; fi
}

# need_packages PACKAGE...: install those that are missing.
need_packages() {
    missing=
    for p in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || missing="$missing $p"
    done
    [ -z "$missing" ] && return 0
    command -v apt-get >/dev/null || die "missing packages:$missing"
    say "installing$missing"
    # A fresh Debian would start a cluster on port 5432 as soon as the server package arrives.
    if [ ! -e /etc/postgresql-common/createcluster.conf ] && [ ! -d /var/lib/postgresql ]; then
        as_root mkdir -p /etc/postgresql-common
        echo 'create_main_cluster = false' | as_root tee /etc/postgresql-common/createcluster.conf >/dev/null
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq update
    # shellcheck disable=SC2086
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install $missing >/dev/null
}

# The major of the server: the one PG_CONFIG names, else the newest that Debian has here.
find_major() {
    v=$("$PG_CONFIG" --version 2>/dev/null | sed 's/[^0-9]*\([0-9]*\).*/\1/') || v=
    if [ -z "$v" ] && command -v apt-cache >/dev/null; then
        apt-cache show postgresql >/dev/null 2>&1 || as_root apt-get -qq update
        v=$(apt-cache depends postgresql 2>/dev/null | sed -n 's/.*Depends: postgresql-\([0-9]*\)$/\1/p' | head -n 1)
    fi
    [ -n "$v" ] || die "cannot tell which PostgreSQL to use; set PG_CONFIG"
    echo "$v"
}

# set_up [PACKAGE...]: install what building and testing need, and re-run this script's second half in the scratch folder.
# Afterwards: $major, $scratch, $prefix (the private installation's bin folder), $user.
set_up() {
    major=$(find_major)
    need_packages gcc make perl "postgresql-$major" "postgresql-server-dev-$major" "$@"
    if ! "$PG_CONFIG" --pgxs >/dev/null 2>&1; then PG_CONFIG=/usr/lib/postgresql/$major/bin/pg_config; fi
    if [ "$(id -u)" = 0 ]; then user=postgres; else user=$(id -un); fi
    scratch=${TASKAPI_SCRATCH:-${TMPDIR:-/tmp}/taskapi-$user-$major-$(printf %s "$top" | cksum | cut -d' ' -f1)}
    mkdir -p "$scratch"
    [ "$(id -u)" = 0 ] && chown "$user" "$scratch"
    [ -O "$scratch" ] || [ "$(id -u)" = 0 ] || die "$scratch belongs to somebody else"
    # The copy keeps modification times, so make rebuilds only what changed.
    (cd "$top" && tar cf - --exclude=./.git --exclude=./build --exclude='*.o' --exclude='*.so' \
        --exclude='./tmp_check*' --exclude=node_modules .) | as_user sh -c "rm -rf '$scratch/new' && mkdir '$scratch/new' && tar xf - -C '$scratch/new' -m --no-same-owner && mkdir -p '$scratch/src' && cd '$scratch/new' && find . -type f | while IFS= read -r f; do cmp -s \"\$f\" '$scratch/src/'\"\$f\" || { mkdir -p '$scratch/src/'\"\$(dirname \"\$f\")\"; cp -p \"\$f\" '$scratch/src/'\"\$f\"; }; done; cd '$scratch/src' && find src sql test expected bench scripts -type f ! -name '*.o' ! -name '*.bc' | while IFS= read -r f; do [ -e '$scratch/new/'\"\$f\" ] || rm -f \"\$f\"; done; rm -rf '$scratch/new'"
    private_install
}

# as_user COMMAND...: run it as the unprivileged user.
as_user() {
    if [ "$(id -u)" = 0 ]; then runuser -u "$user" -- "$@"; else "$@"; fi
}

# Build $scratch/pg, where /usr/lib/postgresql/N and /usr/share/postgresql/N are mirrored by symlinks and bin is copied.
private_install() {
    bin=$("$PG_CONFIG" --bindir)
    lib=$("$PG_CONFIG" --pkglibdir)
    share=$("$PG_CONFIG" --sharedir)
    inc=$("$PG_CONFIG" --includedir)
    stamp=$("$PG_CONFIG" --version)
    prefix=$scratch/pg$bin
    if [ "$(cat "$scratch/pg/version" 2>/dev/null)" != "$stamp" ]; then
        as_user sh -c "
            set -eu
            rm -rf '$scratch/pg'
            mkdir -p '$scratch/pg$bin' '$scratch/pg$lib' '$scratch/pg$share/extension' '$scratch/pg$(dirname "$inc")'
            cp '$bin'/* '$scratch/pg$bin/'
            for f in '$lib'/*; do [ \"\${f##*/}\" = bitcode ] || ln -s \"\$f\" '$scratch/pg$lib/'; done
            for f in '$share'/*; do [ \"\${f##*/}\" = extension ] || ln -s \"\$f\" '$scratch/pg$share/'; done
            ln -s '$share/extension'/* '$scratch/pg$share/extension/'
            rm -f '$scratch/pg$share/extension'/taskapi*  '$scratch/pg$lib'/taskapi*
            ln -s '$inc' '$scratch/pg$inc'
            echo '$stamp' > '$scratch/pg/version'"
    else
        # packages installed since then
        as_user sh -c "for f in '$share/extension'/*; do [ -e '$scratch/pg$share/extension/'\"\${f##*/}\" ] || ln -s \"\$f\" '$scratch/pg$share/extension/'; done
            for f in '$lib'/*.so; do [ -e '$scratch/pg$lib/'\"\${f##*/}\" ] || ln -s \"\$f\" '$scratch/pg$lib/'; done" 2>/dev/null
    fi
    PG_CONFIG=$prefix/pg_config
}

# build: compile and install into the private installation.
build() {
    say "building for $("$PG_CONFIG" --version)"
    as_user make -s -C "$scratch/src" -j"$(nproc)" with_llvm=no PG_CONFIG="$PG_CONFIG" ${COPT:+COPT="$COPT"} all >"$scratch/build.log" 2>&1 &&
        as_user make -s -C "$scratch/src" with_llvm=no PG_CONFIG="$PG_CONFIG" install >>"$scratch/build.log" 2>&1 ||
        { cat "$scratch/build.log" >&2; die "the build failed"; }
    grep -E 'warning|error' "$scratch/build.log" >&2 || true
}

# start_server NAME [LINE...]: a fresh server in $scratch/NAME on a free loopback port, with a socket in its own folder;
# each LINE goes to postgresql.conf. Sets PGHOST, PGPORT, PGDATA and stops the server when the script ends.
start_server() {
    name=$1; shift
    data=$scratch/$name
    [ ! -s "$data/postmaster.pid" ] || as_user "$prefix/pg_ctl" -D "$data" -m immediate stop >/dev/null 2>&1 || true
    as_user rm -rf "$data"
    as_user "$prefix/initdb" -D "$data" -U postgres --auth=trust --no-sync -E UTF8 --locale=C >/dev/null
    # A socket's path must stay below 108 bytes, so it does not live in the data folder.
    PGHOST=$(as_user mktemp -d "${TMPDIR:-/tmp}/taskapi-XXXXXX")
    PGPORT=${TASKAPI_PORT:-$(free_port)}
    PGUSER=postgres PGDATA=$data
    export PGHOST PGPORT PGUSER
    {
        printf "listen_addresses = '127.0.0.1'\nport = %s\nunix_socket_directories = '%s'\n" "$PGPORT" "$PGHOST"
        printf 'fsync = off\nmax_connections = 100\nmax_prepared_transactions = 10\nlog_min_messages = warning\n'
        for line in "$@"; do printf '%s\n' "$line"; done
    } | as_user tee -a "$data/postgresql.conf" >/dev/null
    as_user "$prefix/pg_ctl" -D "$data" -l "$data/log" -w start >/dev/null || { cat "$data/log" >&2; die "the server did not start"; }
    trap stop_server EXIT
    trap 'exit 130' INT TERM
}

stop_server() {
    [ -n "${PGDATA:-}" ] || return 0
    as_user "$prefix/pg_ctl" -D "$PGDATA" -m fast -w stop >/dev/null 2>&1 || true
    rm -rf "$PGHOST"
    PGDATA=
}

free_port() {
    perl -MIO::Socket::INET -e 'my $s = IO::Socket::INET->new(LocalAddr => "127.0.0.1", Listen => 1) or die $!; print $s->sockport'
}

psql() { as_user "$prefix/psql" -X -v ON_ERROR_STOP=1 "$@"; }
