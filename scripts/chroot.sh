# Sourced by scripts/matrix and scripts/package: releases of Debian in chroots, made by debootstrap in a minute or two and kept for
# the next run. $log is a file of the caller's.
folder=${MATRIX_FOLDER:-/var/cache/taskapi-matrix}

# in_chroot RELEASE COMMAND...: in a mount namespace of its own, so that no mount is left behind, whatever happens.
in_chroot() {
    root=$folder/$1
    shift
    # shellcheck disable=SC2016 # the inner shell's
    as_root unshare --mount sh -c '
        case $(cat "$0/ready" 2>/dev/null) in i386) set -- linux32 chroot "$0" "$@" ;; *) set -- chroot "$0" "$@" ;; esac
        mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && exec "$@"' "$root" "$@" </dev/null
}

# make_chroot RELEASE [NAME [ARCHITECTURE]]: NAME is its folder, by default that of the release.
make_chroot() {
    root=$folder/${2:-$1}
    [ ! -e "$root/ready" ] || return 0
    need_packages debootstrap
    # The mirror is the one that this machine uses.
    mirror=$(apt-get indextargets --format '$(ORIGIN) $(RELEASE) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
        awk '$1 == "Debian" && $2 !~ /-/ { print $3; exit }')
    [ -n "$mirror" ] || die "apt knows no mirror of Debian here"
    # A release that this debootstrap does not know yet is made as the newest that it knows.
    script=/usr/share/debootstrap/scripts/$1
    [ -e "$script" ] || script=/usr/share/debootstrap/scripts/sid
    as_root rm -rf "$root"
    as_root mkdir -p "$root"
    quietly "$log" "making a chroot of Debian $1" as_root debootstrap ${3:+--arch="$3"} --variant=minbase --include=ca-certificates,make "$1" "$root" "$mirror" "$script"
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$root/usr/sbin/policy-rc.d" >/dev/null
    as_root chmod 755 "$root/usr/sbin/policy-rc.d"
    # A snapshot of a testing release may be past its date.
    echo 'Acquire::Check-Valid-Until "false";' | as_root tee "$root/etc/apt/apt.conf.d/99matrix" >/dev/null
    # what is lost with the power is made again
    echo force-unsafe-io | as_root tee "$root/etc/dpkg/dpkg.cfg.d/unsafe-io" >/dev/null
    echo "${3:-}" | as_root tee "$root/ready" >/dev/null
}
