# Sourced by scripts/valgrind and scripts/sanitize: the source of Debian's PostgreSQL, to build a server of other options.
# They set $folder, where it all is kept; $user and $major are those of common.sh.

server_packages='gcc make bison flex perl libicu-dev libssl-dev zlib1g-dev dpkg-dev libipc-run-perl'

# own_folder: make $folder, the unprivileged user's.
own_folder() {
    as_root mkdir -p "$folder"
    as_root chown "$user" "$folder"
}

# in_folder COMMAND...: as the unprivileged user in the folder of the source.
in_folder() { as_user sh -c 'cd "$0" && "$@"' "$folder" "$@"; }

# get_source FOLDER: Debian's source of this major, without the patches that make it install itself in the system's folders. A mirror
# may not have the newest, so the next one then.
get_source() {
    as_user mkdir -p "$folder/apt/lists/partial" "$folder/apt/cache/archives/partial"
    apt-get indextargets --format 'deb-src $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 'Origin: Debian' | sort -u |
        as_user tee "$folder/apt/sources.list" >/dev/null
    source=$1
    set -- -q -o "Dir::Etc::SourceList=$folder/apt/sources.list" -o Dir::Etc::SourceParts=/dev/null -o "Dir::State::Lists=$folder/apt/lists" -o "Dir::Cache=$folder/apt/cache"
    in_folder apt-get "$@" update
    as_user rm -rf "$source"
    for version in $(in_folder apt-cache "$@" showsrc --only-source "postgresql-$major" | sed -n 's/^Version: //p'); do
        in_folder apt-get "$@" source --download-only "postgresql-$major=$version" || continue
        in_folder dpkg-source --no-check --skip-patches -x "postgresql-${major}_$version.dsc" "$source"
        return
    done
    return 1
}

# build_server SOURCE PREFIX CPPFLAGS CFLAGS: configure, build and install it, with assertions. Below another make, PostgreSQL's would
# take the headers that it generates for made, which only a release has.
build_server() {
    as_user sh -eu -c '
        unset MAKELEVEL MAKEFLAGS
        cd "$0"
        ./configure -q --prefix="$1" --enable-cassert --enable-debug --enable-tap-tests --with-icu --with-openssl --without-readline \
            --with-system-tzdata=/usr/share/zoneinfo CPPFLAGS="$2" CFLAGS="$3"
        make -j "$(nproc)"
        rm -rf "$1"
        make install
        make -C contrib/pgcrypto install' "$@"
}
