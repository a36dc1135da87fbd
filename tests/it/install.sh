#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# make install and uninstall: all that is needed, and nothing left.
. "$(dirname "$0")/lib.sh"
it_init

install_to() {
	sh "$IT_SRC/tests/install.sh" "$1" "$CASE/root/usr" "$HSM_BUILD"
}

installed() {
	local p

	install_to install
	for p in fuse_hsm fan_hsm hsmctl hsmbench; do
		[ -x root/usr/bin/$p ] || it_fail "$p is not installed"
		timeout 20 root/usr/bin/$p --version | grep -q . || it_fail "$p does not run"
		compgen -G "root/usr/share/man/man*/$p.*" >/dev/null || it_fail "no man page of $p"
	done
	for p in harness/engines schema workloads plots; do
		compgen -G "root/usr/share/hsmbench/$p/*" >/dev/null || it_fail "no $p"
	done
	unit=root/usr/lib/systemd/system/fan_hsm@.service
	grep -q "^ExecStart=$CASE/root/usr/bin/fan_hsm -f " "$unit" || it_fail "no unit, or a false one"
	it_unit_is_good "$unit"
	it_equal "$(find root -name '*.[cho]' | wc -l)" 0 "sources installed"
	(cd / && timeout 20 "$CASE/root/usr/bin/hsmbench" list) | grep -q fan-fs ||
		it_fail "the installed hsmbench does not find its data"
}

# As systemd reads it, if it is here; the manager need not run.
it_unit_is_good() {
	command -v systemd-analyze >/dev/null || return 0
	cp "$1" fan_hsm@x.service
	systemd-analyze verify --man=no ./fan_hsm@x.service 2>&1 | grep "fan_hsm@" && it_fail "bad unit"
	return 0
}

uninstalled() {
	mkdir -p root/usr/share/man/man1 root/usr/bin
	echo other >root/usr/share/man/man1/other.1
	echo other >root/usr/bin/other
	install_to install
	install_to uninstall
	it_equal "$(find root -type f | sort | tr '\n' ' ')" \
		"root/usr/bin/other root/usr/share/man/man1/other.1 " "files left"
	[ ! -e root/usr/share/hsmbench ] || it_fail "share/hsmbench is left"
}

it_case_on fuse "install" installed
it_case_on fuse "uninstall" uninstalled
it_end
