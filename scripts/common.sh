# Sourced by the scripts beside it: what is missing from Debian's packages, a scratch folder, private servers.
#
# Everything that needs a server runs as an unprivileged user in a scratch folder, which holds a copy of this tree and a
# private copy of the PostgreSQL installation. So neither the system's installation nor any cluster is touched, several
# trees can be tested at once, and a run as root never leaves files of root's behind.

set -eu
top=$(cd "$(dirname "$0")/.." && pwd -P)
PG_CONFIG=${PG_CONFIG:-pg_config}
export LANG=C.UTF-8 LC_ALL=C.UTF-8 PGCLIENTENCODING=UTF8
# What is waited for comes, or the wait is a failure: so a busy machine gets its time to start and stop servers, and for what tests poll.
export PGCTLTIMEOUT="${PGCTLTIMEOUT:-300}" PG_TEST_TIMEOUT_DEFAULT="${PG_TEST_TIMEOUT_DEFAULT:-600}"

say() { printf '== %s\n' "$*" >&2; }
die() { printf '%s\n' "$*" >&2; exit 1; }

# quietly LOG LABEL COMMAND...: run it with its output in LOG, which is shown only where it fails; meanwhile a line every
# ten seconds tells how far it is.
quietly() {
    log=$1 label=$2 rc=0
    shift 2
    say "$label"
    : >"$log"
    (
        while sleep 10 >/dev/null 2>&1 && kill -0 $$ 2>/dev/null; do
            printf '   ... %s\n' "$(tail -n 1 "$log" | cut -c 1-100)" >&2
        done
    ) 9>&- &
    ticker=$!
    "$@" >>"$log" 2>&1 || rc=$?
    kill "$ticker" 2>/dev/null || true
    wait "$ticker" 2>/dev/null || true
    [ $rc = 0 ] || { tail -n 200 "$log" >&2; die "failed: $label"; }
}

# as_root COMMAND...: run it as root, through sudo where we are somebody else.
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null; then sudo "$@"
    else die "this needs root: $*"; fi
}

# as_user COMMAND...: run it as the unprivileged user. Descriptor 9 is our lock, which no server may keep.
as_user() {
    if [ "$(id -u)" = 0 ]; then runuser -u "$user" -- "$@" 9>&-; else "$@" 9>&-; fi
}

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# in_debian PACKAGE: apt knows it. A fresh machine has no package lists yet.
in_debian() {
    command -v apt-cache >/dev/null || return 0
    [ -z "$(apt-cache show --no-all-versions "$1" 2>/dev/null)" ] || return 0
    [ -z "${lists_read:-}" ] || return 1
    as_root apt-get -qq update >&2 || true
    lists_read=1
    [ -n "$(apt-cache show --no-all-versions "$1" 2>/dev/null)" ]
}

# need_packages PACKAGE...: install those that are missing.
need_packages() {
    missing=
    for p in "$@"; do installed "$p" || missing="$missing $p"; done
    [ -z "$missing" ] && return 0
    command -v apt-get >/dev/null || die "these packages of Debian's are missing:$missing"
    apt_log=$(mktemp)
    # The server's package would create a cluster and start it, unless told not to; for the time of our call only.
    no_cluster=/etc/postgresql-common/createcluster.d/no-main-cluster-for-tests.conf
    as_root mkdir -p "${no_cluster%/*}"
    echo 'create_main_cluster = false' | as_root tee "$no_cluster" >/dev/null
    # shellcheck disable=SC2086 # a list
    quietly "$apt_log" "installing$missing" as_root sh -c '
        trap "rm -f \"$0\"" EXIT
        export DEBIAN_FRONTEND=noninteractive
        apt-get -q update || echo "going on with the package lists that are here"
        apt-get -q -y --no-install-recommends install "$@"' "$no_cluster" $missing
    rm -f "$apt_log"
}

# need_node: node and Debian's node-pg, where NODE_PATH then leads. A node of another origin does not go with Debian's package of
# node-pg, which is unpacked into the scratch folder for it, with those that it needs.
need_node() {
    NODE_PATH=/usr/share/nodejs
    export NODE_PATH
    ! installed node-pg || return 0
    [ -n "$(apt-cache show node-pg 2>/dev/null)" ] || as_root apt-get -qq update >&2 || true
    if apt-get -s install --no-install-recommends nodejs node-pg >/dev/null 2>&1; then need_packages nodejs node-pg; return 0; fi
    command -v node >/dev/null || die "Debian's nodejs cannot be installed here, and there is no other node"
    NODE_PATH=$scratch/node/usr/share/nodejs
    [ ! -e "$scratch/node/ready" ] || return 0
    rm -rf "$scratch/node"
    as_user mkdir -p "$scratch/node"
    needed=$(apt-cache depends --recurse --important node-pg | perl -e '
        my ($of, %depends, %seen);
        /^(\S+)/ ? $of = $1 : /^ +Depends: (node-\S+)/ && push @{ $depends{$of} }, $1 while <STDIN>;
        my @left = ("node-pg");
        while (my $package = shift @left) { push @left, @{ $depends{$package} // [] } if !$seen{$package}++ }
        print join " ", grep { $_ ne "node-libpq" } sort keys %seen')
    # shellcheck disable=SC2016,SC2086 # the inner shell's; a list
    quietly "$scratch/node.log" 'unpacking node-pg' as_user sh -euc '
        cd "$0"
        apt-get -q -o APT::Sandbox::User=root download "$@"
        for package in *.deb; do dpkg -x "$package" .; done
        touch ready' "$scratch/node" $needed
}

# need_prometheus: promtool and postgres_exporter, which PROMTOOL and POSTGRES_EXPORTER name then. Two programs of Debian's packages are
# unpacked into the scratch folder: installed, these would bring a service. Where a release has them not, the tests do without.
need_prometheus() {
    unpacked=$scratch/prometheus
    if [ ! -e "$unpacked/ready" ]; then
        [ -n "$(apt-cache show prometheus 2>/dev/null)" ] || as_root apt-get -qq update >&2 || true
        rm -rf "$unpacked"
        as_user mkdir -p "$unpacked"
        # shellcheck disable=SC2016 # the inner shell's
        quietly "$scratch/prometheus.log" 'unpacking promtool and postgres_exporter' as_user sh -euc '
            cd "$0"
            apt-get -q -o APT::Sandbox::User=root download prometheus prometheus-postgres-exporter || { echo "they are not to be had"; exit 0; }
            for package in *.deb; do dpkg --fsys-tarfile "$package" | tar -xf - --wildcards "./usr/bin/*tool" "./usr/bin/*exporter" || true; done
            rm -f -- *.deb
            touch ready' "$unpacked"
    fi
    [ ! -x "$unpacked/usr/bin/promtool" ] || export PROMTOOL="$unpacked/usr/bin/promtool"
    [ ! -x "$unpacked/usr/bin/prometheus-postgres-exporter" ] || export POSTGRES_EXPORTER="$unpacked/usr/bin/prometheus-postgres-exporter"
}

# find_major: print the major of the server, the one that PG_CONFIG names, else Debian's own.
find_major() {
    v=$("$PG_CONFIG" --version 2>/dev/null | sed 's/[^0-9]*\([0-9]*\).*/\1/') || v=
    [ -n "$v" ] || v=$(printf %s "$PG_CONFIG" | sed -n 's#^/usr/lib/postgresql/\([0-9]*\)/.*#\1#p')
    if [ -z "$v" ] && [ "$PG_CONFIG" = pg_config ] && command -v apt-cache >/dev/null; then
        apt-cache show postgresql >/dev/null 2>&1 || as_root apt-get -qq update >&2
        v=$(apt-cache depends postgresql 2>/dev/null | sed -n 's/.*Depends: postgresql-\([0-9]*\)$/\1/p' | head -n 1)
    fi
    [ -n "$v" ] || die "$PG_CONFIG tells no version of PostgreSQL; set PG_CONFIG"
    echo "$v"
}

# need_postgresql [PACKAGE...]: PostgreSQL with its development files, and the packages, where @ stands for the major. A
# PostgreSQL of another origin than Debian's is used as it is, without the packages of a major. Sets $major and PG_CONFIG.
need_postgresql() {
    major=$(find_major)
    [ "$major" -ge 15 ] || die "PostgreSQL 15 or later is needed, and $PG_CONFIG is of $major. PG_CONFIG=/usr/lib/postgresql/NN/bin/pg_config chooses another"
    wanted=
    for p in "$@"; do case $p in *@*) ;; *) wanted="$wanted $p" ;; esac; done
    case $(command -v "$PG_CONFIG" || echo "$PG_CONFIG") in
        pg_config | /usr/bin/pg_config | /bin/pg_config | "/usr/lib/postgresql/$major/bin/pg_config")
            PG_CONFIG=/usr/lib/postgresql/$major/bin/pg_config
            [ -e "/usr/include/postgresql/$major/server/postgres.h" ] || wanted="$wanted postgresql-server-dev-@"
            wanted="$wanted postgresql-@ $*"
            [ -x "/usr/lib/postgresql/$major/bin/postgres" ] || in_debian "postgresql-$major" ||
                die "apt knows no postgresql-$major here. apt.postgresql.org has every major: https://wiki.postgresql.org/wiki/Apt" ;;
    esac
    packages=
    for p in $(echo "$wanted" | sed "s/@/$major/g"); do
        # of a major that Debian does not release yet it has the server, and no other extensions
        if [ "$p" = "${p#postgresql-"$major"-}" ] || installed "$p" || in_debian "$p"; then packages="$packages $p"
        else say "Debian has no package $p: done without"; fi
    done
    # shellcheck disable=SC2086 # a list
    need_packages $packages
    [ -e "$("$PG_CONFIG" --pgxs)" ] || die "$PG_CONFIG finds no development files: install those of that PostgreSQL"
    [ -x "$("$PG_CONFIG" --bindir)/postgres" ] || die "$PG_CONFIG finds no server"
}

# set_up [PACKAGE...]: install what building and testing need, make the scratch folder, and copy this tree and PostgreSQL into it.
# Afterwards: $major, $user, $scratch, $prefix (the bin folder of the private installation) and its PG_CONFIG.
set_up() {
    need_postgresql gcc make perl "$@"
    if [ "$(id -u)" = 0 ]; then user=postgres; else user=$(id -un); fi
    as_user test -w "${TMPDIR:-/tmp}" || TMPDIR=/tmp
    scratch=${TASKAPI_SCRATCH:-${TMPDIR:-/tmp}/taskapi-$user-$major-$(printf %s "$top" | cksum | cut -d' ' -f1)}
    [ -d "$scratch" ] || as_user mkdir -p "$scratch"
    scratch=$(cd "$scratch" && pwd -P)
    as_user test -O "$scratch" || die "$scratch belongs to somebody else"
    # A program complains of a working folder that its user cannot reach, such as one below /root.
    as_user sh -c 'cd "$0"' "$PWD" 2>/dev/null || cd "$scratch"
    lock
    copy_tree
    copy_postgresql
}

# One run at a time in a scratch folder. What an interrupted one left running is ended first.
lock() {
    exec 9>"$scratch/lock"
    flock -n 9 || { say "waiting for another run in $scratch"; flock 9; }
    find "$scratch/src" -name postmaster.pid 2>/dev/null | while read -r f; do end_server "${f%/postmaster.pid}"; done
    for data in "$scratch"/psql-*; do
        [ -e "/proc/${data##*-}" ] || [ ! -d "$data" ] || { end_server "$data"; rm -rf "$data"; }
    done
}
unlock() { exec 9>&-; }

# A fresh copy of the tree, and the object files of the last run. A file that is the same as in the last copy keeps the time that it had
# there, any other is new: so make compiles what differs, whichever tree the last copy was of, and whatever its files' times are.
copy_tree() {
    flags="${COPT:-} ${EXTRA_CFLAGS:-} $(cksum <"$top/Makefile")"
    [ "$(cat "$scratch/flags" 2>/dev/null)" = "$flags" ] || rm -f "$scratch"/src/src/*.o "$scratch"/src/src/*/*.o
    rm -rf "$scratch/new"
    as_user mkdir "$scratch/new"
    tar -C "$top" -cf - --exclude=./.git --exclude=./.taskapi.server --exclude=./build --exclude=node_modules --exclude='*.o' --exclude='*.bc' --exclude='*.so' . |
        as_user tar -C "$scratch/new" -xf - --no-same-owner
    as_user perl -MFile::Find -MFile::Compare -e '
        my ($old, $new) = @ARGV;
        find({ no_chdir => 1, wanted => sub {
            return unless -f;
            my $was = $old . substr $_, length $new;
            my $time = -f $was && compare($was, $_) == 0 ? (stat _)[9] : time;
            utime $time, $time, $_;
        } }, $new)' "$scratch/src" "$scratch/new"
    for o in "$scratch"/src/src/*.o "$scratch"/src/src/*/*.o; do
        to=$scratch/new/${o#"$scratch/src/"}
        [ ! -e "$o" ] || [ ! -e "${to%.o}.c" ] || mv "$o" "$to"
    done
    rm -rf "$scratch/src"
    mv "$scratch/new" "$scratch/src"
    printf '%s\n' "$flags" | as_user tee "$scratch/flags" >/dev/null
}

# The programs are copied, since each finds its own lib and share folder relative to itself; the files there are links. With
# SERVER_UNDER, servers run under that command, but not what initdb and others start for a moment.
copy_postgresql() {
    bin=$("$PG_CONFIG" --bindir) lib=$("$PG_CONFIG" --pkglibdir) share=$("$PG_CONFIG" --sharedir) include=$("$PG_CONFIG" --includedir)
    version="$("$PG_CONFIG" --version) $(stat -c %Y "$bin/postgres" "$lib" "$share/extension" | tr '\n' ' ')${SERVER_UNDER:+under $SERVER_UNDER}"
    # the copy of an earlier run, if PATH begins with it: it would be removed before it is copied
    for from in "$bin" "$lib" "$share"; do
        case $(cd "$from" && pwd -P)/ in "$scratch"/*) die "$PG_CONFIG is of the copy in $scratch: take that out of PATH, or let PG_CONFIG name the installation" ;; esac
    done
    prefix=$scratch/pg$bin
    if [ "$(cat "$scratch/pg/version" 2>/dev/null)" != "$version" ]; then
        rm -rf "$scratch/pg"
        as_user sh -eu -c '
            cd "$1"
            mkdir -p "pg$2" "pg$3" "pg$4/extension" "pg${5%/*}"
            cp "$2"/* "pg$2/"
            ln -s "$3"/* "pg$3/"
            ln -s "$4"/* "pg$4/" 2>/dev/null || true
            ln -s "$4/extension"/* "pg$4/extension/"
            ln -s "$5" "pg$5"
            rm -rf "pg$3/bitcode" "pg$3"/taskapi.so "pg$4/extension"/taskapi[.-]*
            if [ -n "$7" ]; then
                mv "pg$2/postgres" "pg$2/postgres.alone"
                printf "#!/bin/sh\ncase \$1 in -D) set -- %s \"\$0.alone\" \"\$@\" ;; *) set -- \"\$0.alone\" \"\$@\" ;; esac\nexec \"\$@\"\n" "$(echo $7)" >"pg$2/postgres"
                chmod 755 "pg$2/postgres"
            fi
            printf "%s\n" "$6" >pg/version' sh "$scratch" "$bin" "$lib" "$share" "$include" "$version" "${SERVER_UNDER:-}"
    fi
    PG_CONFIG=$prefix/pg_config
}

# pgxs TARGET...: make in the copied tree. COPT and EXTRA_CFLAGS add compiler options.
pgxs() {
    as_user make -s -C "$scratch/src" with_llvm=no PG_CONFIG="$PG_CONFIG" ${COPT:+COPT="$COPT"} ${EXTRA_CFLAGS:+EXTRA_CFLAGS="$EXTRA_CFLAGS"} "$@"
}

# build: compile, and install into the private installation, which outlives the tree: what another version left there goes first, or
# a test would take it for its own.
build() {
    as_user rm -f "$("$PG_CONFIG" --sharedir)/extension"/taskapi[.-]*
    quietly "$scratch/build.log" "building for $("$PG_CONFIG" --version)" pgxs -j "$(nproc)" all
    pgxs install >>"$scratch/build.log" 2>&1 || { cat "$scratch/build.log" >&2; die "failed: make install"; }
    grep -E 'warning|error' "$scratch/build.log" >&2 || true
}

# end_server FOLDER: end the server of that data folder if it still runs. An old file's pid may be somebody else's by now,
# so it counts only where that process works in this very folder.
end_server() {
    pid=$(sed -n 1p "$1/postmaster.pid" 2>/dev/null) || return 0
    sockets=$(sed -n 5p "$1/postmaster.pid")
    if [ "$(readlink "/proc/$pid/cwd")" = "$1" ]; then
        kill -QUIT "$pid" 2>/dev/null || true
        for _ in $(seq 240); do [ -e "/proc/$pid" ] || break; sleep 0.5; done
    fi
    case $sockets in */taskapi-sockets-*) rm -rf "$sockets" ;; esac
}

# start_server NAME [LINE...]: a fresh server in $scratch/NAME, on a free port of the loopback and a socket in a folder of
# its own; each LINE goes to postgresql.conf. Sets PGHOST, PGPORT, PGUSER and PGDATA, and stops the server when the script ends.
start_server() {
    PGDATA=$scratch/$1 PGUSER=postgres
    shift
    end_server "$PGDATA"
    rm -rf "$PGDATA"
    as_user "$prefix/initdb" -D "$PGDATA" -U postgres --auth=trust --no-sync -E UTF8 --locale=C >/dev/null
    # The path of a socket must stay below 108 bytes, so it is not in the data folder.
    PGHOST=$(as_user mktemp -d "${TMPDIR:-/tmp}/taskapi-sockets-XXXXXX")
    export PGHOST PGUSER PGDATA
    {
        printf "listen_addresses = '127.0.0.1'\nunix_socket_directories = '%s'\n" "$PGHOST"
        printf 'fsync = off\nmax_connections = 100\nlog_min_messages = warning\n'
        for line in "$@"; do printf '%s\n' "$line"; done
    } | as_user tee -a "$PGDATA/postgresql.conf" >/dev/null
    trap stop_server EXIT
    trap 'exit 130' INT TERM HUP
    for _ in 1 2 3; do    # somebody may take the port meanwhile
        PGPORT=${TASKAPI_PORT:-$(free_port)}
        export PGPORT
        ! as_user "$prefix/pg_ctl" -D "$PGDATA" -l "$PGDATA/log" -o "-p $PGPORT" -w start >/dev/null || return 0
    done
    cat "$PGDATA/log" >&2
    die "the server did not start"
}

stop_server() {
    [ -n "${PGDATA:-}" ] || return 0
    as_user "$prefix/pg_ctl" -D "$PGDATA" -m fast -w stop >/dev/null 2>&1 || true
    rm -rf "$PGHOST"
    PGDATA=
}

free_port() {
    perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(LocalAddr => "127.0.0.1", Listen => 1)->sockport'
}

psql() { as_user "$prefix/psql" -X -v ON_ERROR_STOP=1 "$@"; }
