#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What the schemes of fan_hsm --marks cost: figures_marks.sh [calls|inodes]...
#
#   B            the build directory (build)
#   HSM_INODES   stubs of the figures "inodes" (1000000), 1000 in a directory
#   HSM_SCHEMES  fs mount dir inode
#   HSM_FSTYPE   xfs
#
# calls   4 KiB pread and open+read+close of a complete file, ns more than on a file system that nobody
#         watches: all schemes take turns in every round. "dir, marked": another file of its
#         directory is not complete yet.
# inodes  the walk at start, with nothing of the file system in memory (cold) and again (warm); the
#         kernel's memory that stays for each stub after everything that can go was dropped
#         (drop_caches: the whole machine's); the daemon's own.
# One line a figure, tab separated. Exit code 77: nothing can run here.
set -u

top=$(cd "$(dirname "$0")/.." && pwd)
B=${B:-build}
case $B in /*) ;; *) B=$top/$B ;; esac
inodes=${HSM_INODES:-1000000}
schemes=${HSM_SCHEMES:-fs mount dir inode}
fstype=${HSM_FSTYPE:-xfs}
running=
mounted=
export LC_ALL=C.UTF-8

say() {
	echo "figures_marks: $*" >&2
}

die() {
	say "$*"
	exit 1
}

clean_up() {
	trap '' HUP INT TERM
	for cache in $running; do
		timeout -k 2 60 "$B/bin/hsmctl" stop "$cache" >/dev/null 2>&1
	done
	for m in $mounted; do
		umount "$m" 2>/dev/null || umount -l "$m"
	done
	rm -rf --one-file-system "$work"
}

# make_fs NAME SIZE: mounted at $work/NAME.
make_fs() {
	mkdir -p "$work/$1"
	truncate -s "$2" "$work/$1.img"
	"mkfs.$fstype" -q "$work/$1.img" >/dev/null && mount -o loop "$work/$1.img" "$work/$1" ||
		die "cannot make the file system $1"
	mounted="$work/$1 $mounted"
}

# start CACHE OPTION... ORIGIN
start() {
	cache=$1
	shift
	timeout 3600 "$B/bin/fan_hsm" "$@" "$cache" || die "fan_hsm did not start"
	running="$running $cache"
}

stop() {
	timeout 600 "$B/bin/hsmctl" stop "$1" || die "fan_hsm did not end"
	running=$(echo " $running " | sed "s| $1 | |")
}

status() {
	"$B/bin/hsmctl" --json status "$1"
}

# ---- calls ----


# Each scheme with a file system of its own.
figure_calls() {
	mkdir -p "$work/origin/done" "$work/origin/half"
	for file in done/file half/file half/stub; do
		head -c 8192 /dev/urandom >"$work/origin/$file"
	done
	make_fs plain 512M
	mkdir -p "$work/plain/cache/data"
	cp -r "$work/origin/." "$work/plain/cache/data"
	set -- "$work/plain/cache/data/done/file"
	rows=plain
	for s in $schemes; do
		make_fs "$s" 512M
		mkdir "$work/$s/cache"
		start "$work/$s/cache" --marks "$s" "$work/origin"
		tree=$work/$s/cache/data
		ls -R "$tree" >/dev/null
		cat "$tree/done/file" "$tree/half/file" >/dev/null
		set -- "$@" "$tree/done/file"
		rows="$rows $s"
		[ "$s" != dir ] || { set -- "$@" "$tree/half/file" && rows="$rows dir,marked"; }
	done
	sleep 3
	cat "$@" >/dev/null
	taskset -c 1 "$B/bin/syscost" -r "${HSM_ROUNDS:-101}" "$@" >"$work/cost" || die "syscost failed"
	n=0
	for row in $rows; do
		for call in pread open_read_close; do
			jq -r ".files[$n].$call.median, .files[0].$call.median" "$work/cost" |
				paste -s | awk -v r="$row" -v c=$call \
				'{ printf "%s\t%s\t%.0f ns\t%+.0f ns\n", c, r, $1, $1 - $2 }'
		done
		n=$((n + 1))
	done
}

# ---- inodes ----

make_origin() {
	make_fs origins "${HSM_FS_SIZE:-16G}"
	python3 - "$work/origins" "$inodes" <<-'END'
		import os, sys
		top, count = sys.argv[1], int(sys.argv[2])
		for n in range(count):
		    if n % 1000 == 0:
		        d = f"{top}/d{n // 1000:05}"
		        os.mkdir(d)
		    os.close(os.open(f"{d}/file-{n:08}", os.O_CREAT | os.O_WRONLY, 0o644))
		    os.truncate(f"{d}/file-{n:08}", 4096)
	END
}

slab_kib() {
	awk '/^Slab:/ { print $2 }' /proc/meminfo
}

drop_all() {
	sync
	echo 3 >/proc/sys/vm/drop_caches
	sleep 1
	echo 2 >/proc/sys/vm/drop_caches
}

remount() {
	umount "$work/cached" && mount -o loop "$work/cached.img" "$work/cached" ||
		die "cannot mount again"
}

# walked SCHEME cold|warm
walked() {
	status "$cache" | jq -r --arg s "$1" --arg t "$2" \
		'.walk | "walk, \($t)\t\($s)\t\(.ns / 1e6 | round) ms\t\(.directories) directories, \(.files) files looked at, \(.marked) marked"'
}

one_scheme() {
	cache=$work/cached/cache
	remount
	drop_all
	before=$(slab_kib)
	start "$cache" --namespace eager --marks "$1" "$work/origins"
	walked "$1" cold
	drop_all
	pid=$(cat "$cache/meta/lock")
	awk -v a="$before" -v b="$(slab_kib)" -v n="$inodes" -v s="$1" 'BEGIN {
		printf "pinned by the kernel\t%s\t%.0f bytes a stub\n", s, (b - a) * 1024 / n }'
	awk -v s="$1" '/^VmRSS/ { printf "daemon\t%s\t%d KiB\n", s, $2 }' "/proc/$pid/status"
	stop "$cache"
	find "$work/cached" -size -1000k -ls >/dev/null
	start "$cache" --namespace eager --marks "$1" "$work/origins"
	walked "$1" warm
	stop "$cache"
}

figure_inodes() {
	make_origin
	make_fs cached "${HSM_FS_SIZE:-16G}"
	cache=$work/cached/cache
	mkdir "$cache"
	begin=$(date +%s%N)
	start "$cache" --namespace eager "$work/origins"
	echo "made	fs	$((($(date +%s%N) - begin) / 1000000)) ms	$inodes stubs"
	stop "$cache"
	for s in $schemes; do
		one_scheme "$s"
	done
}

[ "$(id -u)" = 0 ] || {
	say "needs root"
	exit 77
}
for tool in jq python3 taskset "mkfs.$fstype"; do
	command -v "$tool" >/dev/null || {
		say "$tool is not installed"
		exit 77
	}
done
work=$(mktemp -d "${TMPDIR:-/tmp}/hsm-marks.XXXXXX") || exit 1
trap clean_up EXIT
trap 'exit 143' HUP INT TERM
[ $# -gt 0 ] || set -- calls inodes
for what; do
	case $what in
	calls | inodes) "figure_$what" ;;
	*) die "no such figures: $what" ;;
	esac
done
