#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# install.sh install|uninstall PREFIX BUILD: programs, data and man pages, and exactly those away.
set -eu

usage() {
	echo "usage: install.sh install|uninstall PREFIX BUILD" >&2
	exit 2
}

[ $# = 3 ] || usage
action=$1
prefix=$2
top=$(cd "$(dirname "$0")/.." && pwd)
build=$(cd "$top" && cd "$3" && pwd)

# MODE SOURCE DESTINATION, the latter below the prefix. No name in the project has a blank.
data() {
	find "$top/$1" -type f ! -name '*.[ch]' ! -name '.*' | sort | while read -r f; do
		mode=644
		[ ! -x "$f" ] || mode=755
		echo "$mode $f share/hsmbench/$2${f#"$top/$1"}"
	done
}

pages() {
	for f in "$top"/docs/man/*.[1-8]; do
		[ ! -e "$f" ] || echo "644 $f share/man/man${f##*.}/${f##*/}"
	done
}

programs() {
	for f in "$build"/bin/*; do
		[ ! -f "$f" ] || echo "755 $f bin/${f##*/}"
	done
}

units() {
	for f in "$top"/*/*.service; do
		echo "644 $f lib/systemd/system/${f##*/}"
	done
}

list() {
	programs
	units
	data harness/engines harness/engines
	data results/schema schema
	data workloads workloads
	data plots plots
	pages
}

do_install() {
	list | while read -r mode from to; do
		install -D -m "$mode" "$from" "$prefix/$to"
		case $to in *.service) name_prefix "$prefix/$to" ;; esac
	done
}

# Where the programs are once the staging directory DESTDIR is what it is for.
name_prefix() {
	sed -i "s|@PREFIX@|${prefix#"${DESTDIR:-}"}|" "$1"
}

# Directories that only we use go too, the deepest first; shared ones stay.
do_uninstall() {
	list | while read -r _ _ to; do
		rm -f "$prefix/$to"
	done
	[ ! -d "$prefix/share/hsmbench" ] ||
		find "$prefix/share/hsmbench" -depth -type d -empty -delete
}

case $action in
install | uninstall) "do_$action" ;;
*) usage ;;
esac
