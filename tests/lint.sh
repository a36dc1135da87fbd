#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# lint.sh BUILD: rules about the tree that no compiler checks. Prints each breach, exit code 1
# if there was one.
set -u

[ $# = 1 ] || {
	echo "usage: lint.sh BUILD" >&2
	exit 2
}
top=$(cd "$(dirname "$0")/.." && pwd)
cd "$top" || exit 1
build=$1
found=$(mktemp)
trap 'rm -f "$found"' EXIT

# Breaches come in on stdin, one a line. complain RULE
complain() {
	sed "s|^|lint: $1: |" >>"$found"
}

# Extern symbols that an archive or object defines.
defined() {
	nm -A -g --defined-only "$@" 2>/dev/null | awk '$NF != "main" { print $NF, $1 }' |
		grep -v '^_\|^_*asan\|^__' | sort -u
}

# prefix PREFIX FILE...
prefix() {
	want=$1
	shift
	for f; do
		[ -e "$f" ] || {
			echo "$f is not built" | complain "symbol prefix $want"
			continue
		}
		defined "$f" | grep -v "^$want" | complain "extern symbol without prefix $want"
	done
}

objects() {
	for c in "$1"/*.c; do
		echo "$build/obj/${c%.c}.o"
	done
}

# no_include RULE PATTERN FILE...
no_include() {
	rule=$1
	pattern=$2
	shift 2
	grep -HnE "^[[:space:]]*#[[:space:]]*include[[:space:]]*[<\"]($pattern)" "$@" 2>/dev/null |
		complain "$rule"
}

check_symbols() {
	prefix hsm_ "$build/libhsm.a"
	prefix bench_ "$build/libbench.a"
	for dir in fuse_hsm fan_hsm hsmctl; do
		# shellcheck disable=SC2046
		prefix ${dir}_ $(objects $dir)
	done
}

# "fuse" or "fanotify" as such: refuse and confuse are English.
mentions() {
	awk '{ text = tolower($0); gsub(/(re|con|dif|in)fuse/, "", text) }
		text ~ /fuse|fanotify/ { print FILENAME ":" FNR ": " $0 }' "$@"
}

front_end_headers="fuse|linux/fuse|sys/fanotify|linux/fanotify"

check_includes() {
	no_include "the core knows no front-end" \
		"$front_end_headers|fuse_hsm/|fan_hsm/|hsmctl/|harness/" hsm/*.[ch]
	mentions hsm/*.[ch] | complain "the core does not mention front-ends"
	no_include "the harness only runs programs" \
		"hsm/|fuse_hsm/|fan_hsm/|hsmctl/" harness/*.[ch]
	no_include "front-ends are separate" "fan_hsm/|hsmctl/|harness/|sys/fanotify|linux/fanotify" \
		fuse_hsm/*.[ch]
	no_include "front-ends are separate" "fuse_hsm/|hsmctl/|harness/|fuse|linux/fuse" \
		fan_hsm/*.[ch]
	no_include "hsmctl links the core only" "fuse_hsm/|fan_hsm/|harness/|$front_end_headers" \
		hsmctl/*.[ch]
	no_include "workload generators stand alone" \
		"hsm/|fuse_hsm/|fan_hsm/|hsmctl/|harness/" workloads/*.[ch] workloads/*/*.[ch]
}

sources() {
	find hsm fuse_hsm fan_hsm hsmctl harness workloads tests -name '*.[ch]' -type f
}

scripts() {
	find tests plots workloads harness .ci -type f | while read -r f; do
		case $(head -c 64 "$f" | head -n 1 | tr -d '\0') in
		'#!'*sh | '# shellcheck shell='*) echo "$f" ;;
		esac
	done
}

check_text() {
	sources | while read -r f; do
		head -n 1 "$f" | grep -q 'SPDX-License-Identifier: GPL-2.0-or-later' || echo "$f"
	done | complain "no SPDX line on top"
	scripts | while read -r f; do
		head -n 3 "$f" | grep -q 'SPDX-License-Identifier: GPL-2.0-or-later' || echo "$f"
	done | complain "no SPDX line on top"
	[ "$(wc -l <Makefile)" -lt 350 ] || wc -l Makefile | complain "Makefile too long"
	sources | xargs grep -Hn '[[:space:]]$' | complain "white space at the end of a line"
}

check_scripts() {
	if ! command -v shellcheck >/dev/null; then
		echo "lint: shellcheck is not installed, scripts were not checked" >&2
		return
	fi
	scripts | xargs shellcheck -x -S warning -f gcc | complain shellcheck
}

check_symbols
check_includes
check_text
check_scripts
cat "$found" >&2
[ ! -s "$found" ]
