#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# libfuse.sh PREFIX: a libfuse new enough for every mode of fuse_hsm, where the distribution's is
# not. From Debian's own source package of a newer suite: apt checks its signature and its
# checksums with the archive key that is installed, through a configuration of our own, so that
# nothing of the machine's apt is touched. What was built once is used again without network.
# Not to be had is not an error: fuse_hsm then builds without some modes, and says so.
set -eu

# fuse_session_custom_io() is how replies get to the rings of --uring. Off by default since 3.18.3,
# because who sends requests could be anybody; with us it is the kernel.
options=-Denable-custom-io=true
enough=3.18 # the system's will do from here on
version=3.18.3 # of a build of our own: 3.18.0 to 3.18.2 have memory-safety defects
suites="forky sid"

say() {
	echo "libfuse: $*" >&2
}

[ $# = 1 ] || {
	say "usage: libfuse.sh PREFIX"
	exit 2
}
# The system's will do if it is new enough and was built with custom I/O.
system_will_do() {
	pkg-config --atleast-version=$enough fuse3 2>/dev/null || return 1
	! grep -q "custom io is not enabled" "$(pkg-config --variable=libdir fuse3)"/libfuse3.so
}

system_will_do && exit 0
mkdir -p "$1"
prefix=$(cd "$1" && pwd)
[ "$(cat "$prefix/complete" 2>/dev/null)" = "$options" ] && exit 0

work=$prefix/work
log=$prefix/build.log

# Without the newer library: what that means, and how to try again.
give_up() {
	tail -n 5 "$log" | sed 's/^/libfuse:   /' >&2
	say "$1: building with the system's $(pkg-config --modversion fuse3), without --mode passthrough (see $log)"
	rm -rf "$work"
	exit 0
}

# The mirror this machine uses, as apt knows it.
mirror() {
	# shellcheck disable=SC2016
	apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' \
		'Label: Debian' | sort -u | head -n 1
}

# An apt of our own that knows the source packages of one suite. configure URI SUITE
configure() {
	rm -rf "$work/apt"
	mkdir -p "$work/apt/lists/partial" "$work/apt/cache/archives/partial"
	cat >"$work/apt/debian.sources" <<-END
		Types: deb-src
		URIs: $1
		Suites: $2
		Components: main
		Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
	END
	cat >"$work/apt/apt.conf" <<-END
		Dir::Etc::sourcelist "$work/apt/debian.sources";
		Dir::Etc::sourceparts "-";
		Dir::State::lists "$work/apt/lists";
		Dir::Cache "$work/apt/cache";
		APT::Sandbox::User "root";
	END
}

# The newest version of the suite that is new enough.
candidate() {
	apt-cache showsrc fuse3 2>/dev/null | sed -n 's/^Version: //p' | sort -Vr | while read -r v; do
		dpkg --compare-versions "$v" ge $version && echo "$v" && break
	done
}

get_source() {
	uri=$(mirror)
	[ -n "$uri" ] || return 1
	for suite in $suites; do
		configure "$uri" "$suite"
		APT_CONFIG=$work/apt/apt.conf
		export APT_CONFIG
		v=
		apt-get -q update && v=$(candidate)
		if [ -n "$v" ] && (cd "$work" && apt-get -q source "fuse3=$v"); then
			unset APT_CONFIG
			return 0
		fi
		unset APT_CONFIG
	done
	return 1
}

# Static, so that what is installed does not need this folder. The examples are what fuse_hsm is
# measured against.
build() {
	cd "$work"/fuse3-*/ || return 1
	meson setup build --prefix="$prefix" --libdir=lib -Ddefault_library=static -Dutils=false \
		-Duseroot=false -Dtests=false -Dexamples=true -Dbuildtype=release \
		$options || return 1
	ninja -C build install || return 1
	mkdir -p "$prefix/example"
	cp build/example/passthrough_ll build/example/passthrough_hp "$prefix/example/"
}

say "the system's is older than $enough, or lacks custom I/O: building $version or newer in $prefix"
rm -rf "$work"
mkdir -p "$work"
get_source >"$log" 2>&1 || give_up "its source package could not be had"
(build) >>"$log" 2>&1 || give_up "it could not be built"
rm -rf "$work"
echo "$options" >"$prefix/complete"
