#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The figures of a populated cache: figures_warm.sh [calls|sequential]...
# See figures_lib.sh for the variables and the exit codes.
set -u
# shellcheck source=tests/figures_lib.sh
. "$(dirname "$0")/figures_lib.sh"

# second_fs NAME: an xfs of its own, so that no other file system's marks touch it, with a file as
# deep as those of the cache: a path costs by the component.
second_fs() {
	mkdir -p "$work/$1"
	truncate -s 512M "$work/$1.img"
	mkfs.xfs -q -f "$work/$1.img" && mount -o loop "$work/$1.img" "$work/$1" ||
		die "cannot make the file system $1"
	mkdir -p "$work/$1/cache/data"
	head -c 8192 /dev/urandom >"$work/$1/cache/data/file"
	extra_fs="$extra_fs $1"
}

end_extra() {
	[ -z "$listener_pid" ] || { kill "$listener_pid"; wait "$listener_pid"; } 2>/dev/null
	listener_pid=
	for m in $extra_fs; do
		umount "$work/$m"
	done
	extra_fs=
}

# Median in nanoseconds of one file of syscost's output: cost INDEX CALL
cost() {
	jq ".files[$1].$2.median" "$work/cost"
}

# Four files take turns: nobody watches, complete under fan_hsm, a listener that only allows,
# present in a file of fan_hsm that is not complete. All on one processor, reader and daemon.
figure_calls() {
	fresh_fs
	second_fs plain
	second_fs listened
	taskset -c 1 "$B/tests/tools/bare_listener" "$work/listened" &
	listener_pid=$!
	pin="taskset -c 1" start_daemon fan fio
	partial=$tree/rand-4k-1
	complete=$tree/rand-128k-1
	ls "$tree" >/dev/null
	[ -f "$partial" ] && [ -f "$complete" ] || die "the input fio has other files: $(ls "$tree")"
	cat "$complete" >/dev/null
	head -c 4096 "$partial" >/dev/null
	sleep 3
	taskset -c 1 "$B/bin/syscost" -r 101 "$work/plain/cache/data/file" "$complete" "$work/listened/cache/data/file" \
		"$partial" >"$work/cost" || die "syscost failed"
	pread=$(awk -v a="$(cost 1 pread)" -v b="$(cost 0 pread)" 'BEGIN { print (a - b) / 1e3 }')
	open=$(awk -v a="$(cost 1 open_read_close)" -v b="$(cost 0 open_read_close)" \
		'BEGIN { print (a - b) / 1e3 }')
	figure "warm 4 KiB pread of a complete file, fan_hsm, us more than native" "$pread" at-most \
		0.25 "medians $(cost 1 pread) ns, $(cost 0 pread) ns"
	figure "warm open+read+close, fan_hsm, us more than native" "$open" at-most 0.4 \
		"medians $(cost 1 open_read_close) ns, $(cost 0 open_read_close) ns"
	figure "event on a present range, fan_hsm against a listener that only allows" \
		"$(ratio "$(cost 3 pread)" "$(cost 2 pread)")" at-most 1.3 \
		"medians $(cost 3 pread) ns, $(cost 2 pread) ns"
	end_extra
	stop_daemon
	release_fs
}

# libfuse's example, from the sources its package brings.
build_example() {
	src=/usr/share/doc/libfuse3-dev/examples
	[ -e "$src/passthrough_ll.c" ] || return 1
	# shellcheck disable=SC2046
	cc -O2 -D_FILE_OFFSET_BITS=64 -I"$src" -o "$work/passthrough_ll" "$src/passthrough_ll.c" \
		$(pkg-config --cflags --libs fuse3) 2>/dev/null
}

start_example() {
	mkdir -p "$work/fs/lower"
	[ -e "$work/fs/lower/big.bin" ] || cp "$data/seq/big.bin" "$work/fs/lower/big.bin"
	"$work/passthrough_ll" -o source="$work/fs/lower",cache=always "$work/mnt" ||
		die "passthrough_ll did not start"
	tree=$work/mnt
}

# Each is mounted anew in each round: which pages it gets is luck that must not decide.
measure_warm() {
	case $1 in
	fuse_hsm) start_daemon fuse seq ;;
	*) start_example ;;
	esac
	cat "$tree/big.bin" >/dev/null
	dd if="$tree/big.bin" of=/dev/null bs=128k status=none
	timed "warm.$1" dd if="$tree/big.bin" of=/dev/null bs=128k status=none
	case $1 in
	fuse_hsm) stop_daemon ;;
	*) umount "$work/mnt" ;;
	esac
}

figure_sequential() {
	build_example || {
		say "the example of libfuse3-dev cannot be built"
		missed=1
		return
	}
	each_round measure_warm fuse_hsm passthrough_ll
	mine=$(median warm.fuse_hsm)
	other=$(median warm.passthrough_ll)
	figure "warm sequential 128 KiB read of 1 GiB, fuse_hsm against passthrough_ll" \
		"$(ratio "$other" "$mine")" at-least 1.0 \
		"medians $(seconds "$mine") s, $(seconds "$other") s"
}

extra_fs=
listener_pid=
figures_main "calls sequential" "seq fio" "$@"
