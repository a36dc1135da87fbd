#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The figures that need a cold cache: figures_cold.sh [sequential|names|tail|memory]...
# See figures_lib.sh for the variables and the exit codes.
set -u
# shellcheck source=tests/figures_lib.sh
. "$(dirname "$0")/figures_lib.sh"

measure_sequential() {
	if [ "$1" = curl ]; then
		timed sequential.curl curl -sSf -o "$work/fs/big.bin" "$url/seq/big.bin"
		return
	fi
	start_daemon "$1" seq
	ls "$tree" >/dev/null
	timed "sequential.$1" dd if="$tree/big.bin" of=/dev/null bs=128k status=none
	[ $round -gt 1 ] || "$B/bin/hsmgen" verify "$data/seq.sums" "$tree" ||
		die "$1: the content is not the origin's"
	stop_daemon
}

figure_sequential() {
	cat "$data/seq/big.bin" >/dev/null
	each_round measure_sequential curl $frontends
	curl=$(median sequential.curl)
	for who in $frontends; do
		mine=$(median sequential.$who)
		figure "cold sequential read of 1 GiB, ${who}_hsm against curl -o" \
			"$(ratio "$curl" "$mine")" at-least 0.7 \
			"medians $(seconds "$mine") s, $(seconds "$curl") s"
	done
}

# rclone with what trusts the index, and keeps names like the daemons do.
measure_rclone() {
	rclone mount --daemon --config /dev/null --http-no-head --dir-cache-time 1h --http-url \
		"$url/html/flat/" :http: "$work/mnt" >&2 || die "rclone did not start"
	timed names.rclone find "$work/mnt"
	umount "$work/mnt"
}

# The directory is one below the root, which fan_hsm lists when it starts.
measure_names() {
	if [ "$1" = rclone ]; then
		measure_rclone
		return
	fi
	start_daemon "$1" all
	timed "names.$1" find "$tree/flat"
	[ "$(wc -l <"$work/stdout")" = 100001 ] || die "$1: find lists $(wc -l <"$work/stdout") names"
	stop_daemon
	note "heads.$1" "$(grep -c '^HEAD' "$work/nginx.log")"
}

# Beside rclone (Debian package) where it is installed: it reads the same index as HTML.
figure_names() {
	others=
	! command -v rclone >/dev/null || others=rclone
	each_round measure_names $frontends $others
	for who in $frontends; do
		mine=$(median names.$who)
		figure "first find over 100,000 files in one directory, ${who}_hsm, seconds" \
			"$(seconds "$mine")" at-most 5 "slowest $(seconds "$(largest names.$who)") s"
		[ -z "$others" ] || figure "the same, times faster than rclone mount" \
			"$(ratio "$(median names.rclone)" "$mine")" at-least 2 \
			"rclone's median $(seconds "$(median names.rclone)") s"
		figure "HEAD requests during it, ${who}_hsm" "$(largest heads.$who)" at-most 0 \
			"$rounds rounds"
	done
}

measure_tail() {
	start_daemon "$1" unzip
	ls "$tree" >/dev/null
	timed "tail.$1" unzip -l "$tree/big.zip"
	grep -q ' 20000 files$' "$work/stdout" || die "$1: unzip does not list 20,000 members"
	stop_daemon
	note "fetched.$1" "$(awk '$2 == "/unzip/big.zip" { s += $4 } END { print s + 0 }' \
		"$work/nginx.log")"
}

# Bytes are those nginx sent, read-ahead after the end of unzip included.
figure_tail() {
	each_round measure_tail $frontends
	size=$(stat -c %s "$data/unzip/big.zip")
	for who in $frontends; do
		most=$(largest fetched.$who)
		figure "unzip -l of $size bytes, part fetched, ${who}_hsm" \
			"$(ratio "$most" "$size")" at-most 0.03 \
			"at most $most bytes, median $(seconds "$(median tail.$who)") s"
	done
}

# Anonymous memory of the daemon in bytes: its own, not what it maps.
own_memory() {
	awk '$1 == "RssAnon:" { print $2 * 1024 }' "/proc/$(cat "$work/daemon.pid")/status"
}

# The second daemon finds all names in the cache: what it grows by is for looking them up.
measure_memory() {
	start_daemon "$1" flat
	find "$tree" >/dev/null
	stop_daemon
	start_daemon "$1" flat
	before=$(own_memory)
	timed "memory_s.$1" find "$tree" -printf '%s\n'
	[ "$(wc -l <"$work/stdout")" = 100001 ] || die "$1: find lists $(wc -l <"$work/stdout") names"
	note "memory.$1" "$(ratio $(($(own_memory) - before)) 100000)"
	stop_daemon
}

# Less than a byte an inode is nothing: some pages of buffers are touched for the first time.
figure_memory() {
	each_round measure_memory $frontends
	for who in $frontends; do
		limit=300
		[ "$who" = fuse ] || limit=1
		figure "growth per inode looked up, ${who}_hsm, bytes" "$(largest "memory.$who")" \
			at-most $limit "100,000 inodes, largest of $rounds rounds"
	done
}

figures_main "sequential names tail memory" "seq flat unzip" "$@"
