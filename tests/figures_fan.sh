#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What fan_hsm costs against the least that could do the same: figures_fan.sh [event|readers|fill|eager]...
# See figures_lib.sh for the variables and the exit codes, and docs/figures.md for why it is done so.
#
#   event    the round trip of an event on a present range, one reader, one thread: fan_hsm against
#            a listener that only allows. Reader and listener on one processor: what an event
#            costs, not what it costs to wake another processor.
#   readers  events a second with HSM_READERS readers (32) of present ranges: the same two with 1 and
#            with 2 threads.
#   fill     HSM_SMALL files of 4 KiB (100000) through nginx, 16 readers: fan_hsm and curl --parallel
#            with as many connections; and httpdirfs (where it is installed; Debian package), which
#            gets the first HSM_PEER_SMALL (1000) of them, since it takes tens of ms for each.
#   eager    --namespace eager over a directory with HSM_STUBS files (1000000) against a loop that makes,
#            truncates and gives an xattr to as many, HSM_EAGER_ROUNDS rounds (3).
set -u
# shellcheck source=tests/figures_lib.sh
. "$(dirname "$0")/figures_lib.sh"

load=$B/tests/tools/fanload
readers=${HSM_READERS:-32}
small=${HSM_SMALL:-100000}
peer_small=${HSM_PEER_SMALL:-1000}
stubs=${HSM_STUBS:-1000000}
frontends=fan
data=${HSM_FAN_DATA:-$B/data/fan}
conns=16
per_dir=1000
extra_fs=
listener_pid=

# Called by the library when all ends.
end_extra() {
	[ -z "$listener_pid" ] || { kill "$listener_pid"; wait "$listener_pid"; } 2>/dev/null
	listener_pid=
	for m in $extra_fs; do
		umount "$work/$m"
	done
	extra_fs=
}

# second_fs NAME SIZE: an xfs of its own, which other file systems' marks do not touch.
second_fs() {
	mkdir -p "$work/$1"
	truncate -s "$2" "$work/$1.img"
	mkfs.xfs -q -f "$work/$1.img" && mount -o loop "$work/$1.img" "$work/$1" ||
		die "cannot make the file system $1"
	extra_fs="$extra_fs $1"
}

# start_fan ORIGIN [OPTION]...: sets $tree.
start_fan() {
	origin=$1
	shift
	cache=$work/fs/cache
	tree=$cache/data
	program=fan_hsm
	mkdir -p "$cache"
	# shellcheck disable=SC2086
	timeout -k 2 600 ${pin:-} "$B/bin/fan_hsm" "$@" "$origin" "$cache" >&2 || die "fan_hsm did not start"
	cache_in_use=$cache
	status .pid >"$work/daemon.pid"
}

# spread NAME: smallest and largest.
spread() {
	sort -n "$work/$1" | awk 'NR == 1 { a = $1 } { b = $1 } END { print a " to " b }'
}

# compare TEXT MINE OTHER LIMIT: how many times OTHER's time is MINE's, from series of that name.
compare() {
	mine=$(median "$2")
	other=$(median "$3")
	figure "$1" "$(ratio "$other" "$mine")" at-least "$4" \
		"medians $mine, $other; n $(wc -l <"$work/$2"); spread $(spread "$2"), $(spread "$3")"
}

# ---- events ----

# Files of the same depth on both file systems: under fan_hsm with their first bytes present.
prepare_events() {
	fresh_fs
	second_fs listened 1G
	mkdir -p "$work/origin" "$work/listened/cache/data"
	for i in $(seq "$readers"); do
		truncate -s 8M "$work/origin/f$i"
		head -c 65536 /dev/urandom >"$work/listened/cache/data/f$i"
		cat "$work/listened/cache/data/f$i" >/dev/null
	done
	theirs=$(printf "$work/listened/cache/data/f%s " $(seq "$readers"))
	ours=$(printf "$work/fs/cache/data/f%s " $(seq "$readers"))
}

# begin_events THREADS
begin_events() {
	# shellcheck disable=SC2086
	${pin:-} "$B/tests/tools/bare_listener" -t "$1" "$work/listened" >"$work/listener" &
	listener_pid=$!
	start_fan "$work/origin" --readers "$1"
	for f in $ours; do
		head -c 4096 "$f" >/dev/null || die "cannot read $f"
	done
	sleep 2
	[ -s "$work/listener" ] || die "the listener does not listen"
}

end_events() {
	stop_daemon
	kill "$listener_pid"
	wait "$listener_pid"
	listener_pid=
}

figure_event() {
	prepare_events
	pin="taskset -c 1"
	begin_events 1
	for _ in $(seq $((rounds * 3))); do
		$pin "$B/bin/syscost" -r 15 "${theirs%% *}" "${ours%% *}" >"$work/cost" || die "syscost failed"
		note event.bare "$(jq '.files[0].pread.median' "$work/cost")"
		note event.fan "$(jq '.files[1].pread.median' "$work/cost")"
	done
	end_events
	pin=
	figure "event on a present range, fan_hsm against a listener that only allows" \
		"$(ratio "$(median event.fan)" "$(median event.bare)")" at-most 1.2 \
		"medians $(median event.fan) ns, $(median event.bare) ns; n $(wc -l <"$work/event.fan"); spread $(spread event.fan), $(spread event.bare)"
	end_extra
	release_fs
}

# many WHO THREADS
many() {
	files=$theirs
	[ "$1" = bare ] || files=$ours
	# shellcheck disable=SC2086
	timeout -k 2 60 "$load" present "$readers" 500 $files >"$work/stdout" || die "$1: readers failed"
	note "many$2.$1" "$(jq -e .ns_per_op "$work/stdout")"
}

figure_readers() {
	prepare_events
	for threads in 1 2; do
		begin_events $threads
		for n in $(seq $((rounds * 4))); do
			for who in $(turns "$n" fan bare); do
				many "$who" $threads
			done
		done
		end_events
		compare "events a second, $readers readers, $threads threads, fan_hsm against a listener that only allows" \
			many$threads.fan many$threads.bare 0.8
	done
	end_extra
	release_fs
}

# ---- small files ----

make_small() {
	[ -e "$data/small.$small" ] && return
	say "making the data"
	rm -rf "$data/small"
	mkdir -p "$data/small"
	"$load" tree "$data/small" $((small / per_dir)) $per_dir 4096 >&2 || die "cannot make $data/small"
	: >"$data/small.$small"
}

curl_config() {
	for d in $(seq -f d%04g 0 $((small / per_dir - 1))); do
		for f in $(seq -f f%06g 0 $((per_dir - 1))); do
			printf 'url = "%s/small/%s/%s"\noutput = "%s/fs/out/%s/%s"\n' "$url" "$d" "$f" "$work" "$d" "$f"
		done
	done >"$work/curl.conf"
}

# read_small WHO TREE FILES: us a file, bytes alone, and with the names; all that is read is compared
# with what it has to be. False: it failed.
read_small() {
	timeout -k 2 600 "$load" read $conns "$2" $(($3 / per_dir)) $per_dir 4096 >"$work/stdout" || return 1
	note "fill.$1" "$(jq 'select(.op == "read") | .ns_per_op / 1e3' "$work/stdout")"
	note "all.$1" "$(jq -s 'map(.ns_per_op) | add / 1e3' "$work/stdout")"
}

# One that crashes or hangs under parallel readers is told apart from one that is slow.
measure_httpdirfs() {
	mkdir -p "$work/fs/hc"
	httpdirfs --cache --cache-location "$work/fs/hc" --no-range-check --max-conns $conns \
		"$url/html/small/" "$work/mnt" >"$work/httpdirfs" 2>&1 || die "httpdirfs did not start"
	read_small httpdirfs "$work/mnt" "$peer_small" 2>"$work/stderr" || {
		tail -n 1 "$work/stderr" >&2
		say "httpdirfs failed in round $round: not counted"
	}
	umount "$work/mnt" || umount -l "$work/mnt"
}

measure_fill() {
	case $1 in
	fan)
		start_fan "$url/small/" --connections $conns
		read_small fan "$tree" "$small" || die "fan_hsm: readers failed"
		stop_daemon
		;;
	httpdirfs) measure_httpdirfs ;;
	curl)
		(cd "$data/small" && find . -type d) | (mkdir "$work/fs/out" && cd "$work/fs/out" && xargs mkdir -p)
		began=$(date +%s%N)
		timeout -k 2 1200 curl -sSf --parallel --parallel-max $conns --config "$work/curl.conf" \
			>"$work/stdout" 2>&1 || die "curl failed"
		note fill.curl "$(ratio $(($(date +%s%N) - began)) $((small * 1000)))"
		[ "$(find "$work/fs/out" -type f -size 8 | wc -l)" = "$small" ] || die "curl: files are missing"
		;;
	esac
}

# httpdirfs needs a HEAD for the size of each file, so names are part of the work in its figure.
# curl is given the names, so against it only the bytes count.
figure_fill() {
	make_small
	curl_config
	others=curl
	! command -v httpdirfs >/dev/null || others="curl httpdirfs"
	# shellcheck disable=SC2086
	each_round measure_fill fan $others
	compare "cold fill of $small files of 4 KiB, $conns readers, fan_hsm against curl --parallel, us a file" \
		fill.fan fill.curl 0.8
	if ! [ -s "$work/all.httpdirfs" ]; then
		say "httpdirfs is not installed (tests/deps.sh figures), or never came to an end: no figure against it"
		missed=1
		return
	fi
	compare "the same with all names, fan_hsm against httpdirfs, us a file" all.fan all.httpdirfs 1.5
	printf 'INFO  the same without the names: %s\n' "$(ratio "$(median fill.httpdirfs)" "$(median fill.fan)")"
}

# ---- names ----

measure_eager() {
	mkdir -p "$work/fs/loop"
	case $1 in
	fan)
		began=$(date +%s%N)
		start_fan "$work/names/origin" --namespace eager
		note eager.fan "$(ratio $(($(date +%s%N) - began)) 1000000000)"
		[ "$(status .counters.stubs_created)" = "$stubs" ] || die "not all stubs were made"
		stop_daemon
		;;
	loop)
		"$load" stubs "$work/fs/loop" $((stubs / per_dir)) $per_dir 4096 >"$work/stdout" || die "the loop failed"
		note eager.loop "$(jq '.ns / 1e9' "$work/stdout")"
		;;
	esac
}

figure_eager() {
	second_fs names 4G
	mkdir "$work/names/origin"
	"$load" stubs "$work/names/origin" $((stubs / per_dir)) $per_dir 4096 >&2 || die "cannot make the origin"
	rounds_were=$rounds
	rounds=${HSM_EAGER_ROUNDS:-3}
	each_round measure_eager fan loop
	rounds=$rounds_were
	compare "--namespace eager, $stubs stubs, rate against create + truncate + setxattr, seconds" \
		eager.fan eager.loop 0.6
	end_extra
}

[ -x "$load" ] || die "$load is not built"
figures_main "event readers fill eager" "" "$@"
