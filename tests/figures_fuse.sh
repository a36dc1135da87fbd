#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# fuse_hsm in each of its modes against libfuse's examples and against the file system itself:
# figures_fuse.sh [base|opt|default|passthrough|uring|passthrough_uring|inodes]...
# See figures_lib.sh for the variables and the exit codes, and:
#
#   LIBFUSE_EXAMPLES  directory with passthrough_ll and passthrough_hp of libfuse >= 3.18
#                     (build/libfuse/example, where make deps puts them)
#   HSM_MB            size of the file that is read and written, MiB (256)
#   HSM_FILES         small files at a time (1000), HSM_BATCHES times (4) in a round
#   HSM_INODES        how many inodes are looked up, 10,000 and more (1000000), in
#   HSM_INODE_ROUNDS  rounds (3)
#
# What is compared, and why these are the same configuration. An example serves a plain directory of
# the same contents on the same file system; its mount gets the read-ahead that the mode sets.
#
#   base         passthrough_ll -s -o cache=auto: one thread, timeouts of a second, no pages kept at
#                open, no xattrs. No example can be told to write single pages, and passthrough_ll
#                always splices, so the write of base is printed without a verdict.
#                Both have READDIRPLUS, which base and opt do not: their readdir and stat is that
#                of fuse_hsm with --readdirplus auto; without, it is printed without a verdict.
#   opt          passthrough_ll -o writeback,cache=auto,max_threads=44: splices by default.
#   default      passthrough_ll -o cache=always,xattr,max_threads=8: a day, pages kept. Beside
#                it, without a verdict, passthrough_hp --nopassthrough: write-back with long
#                timeouts, which is no mode of fuse_hsm.
#   passthrough  passthrough_hp --num-threads 8: a day, complete files by the kernel. And the
#                file system itself.
#   uring, passthrough_uring
#                those of default and passthrough with io_uring.
#
# All have default_permissions, as fuse_hsm and passthrough_hp always do: the kernel checks who may do what,
# and asks for the attributes of the directory after each change in it. Without, passthrough_ll lets
# everybody do everything, which saves a request per name made or removed.
#
# passthrough_ll keeps its inodes in a list that it searches from the beginning, and both examples
# hold a descriptor for each: there are few small files at a time, so that this does not decide.
#
# "Cold" is the mount: the pages of the file, or all unused names, are dropped there; what is
# below stays in memory. All of one server is measured with one mount; servers take turns.
set -u
# shellcheck source=tests/figures_lib.sh
. "$(dirname "$0")/figures_lib.sh"

mib=${HSM_MB:-256}
files=${HSM_FILES:-1000}
batches=${HSM_BATCHES:-4}
inodes=${HSM_INODES:-1000000}
examples=${LIBFUSE_EXAMPLES:-}
switch=/sys/module/fuse/parameters/enable_uring
switch_was=
watch_pid=
program=fuse_hsm

# Called by the library when all ends.
end_extra() {
	[ -z "$watch_pid" ] || kill "$watch_pid" 2>/dev/null
	[ -z "$switch_was" ] || echo "$switch_was" >$switch
	switch_was=
}

find_examples() {
	for dir in "$examples" "$B/libfuse/example" "$top/build/libfuse/example"; do
		[ -x "$dir/passthrough_hp" ] && [ -x "$dir/passthrough_ll" ] && examples=$dir && return
	done
	die "no passthrough_ll and passthrough_hp; run make deps, or set LIBFUSE_EXAMPLES"
}

enable_uring() {
	[ -e $switch ] || {
		say "this kernel has no FUSE over io_uring"
		return 1
	}
	[ -n "$switch_was" ] || switch_was=$(cat $switch)
	echo Y >$switch
}

# ---- servers: each sets $tree, and $lower where its files are ----

# A file to read, one to write over; the data of both is in memory.
make_files() {
	mkdir -p "$1"
	head -c "${mib}M" /dev/urandom >"$1/big.bin"
	cp "$1/big.bin" "$1/over.bin"
}

start_native() {
	tree=$work/fs/lower
	lower=$tree
	make_files "$tree"
}

# start_hsm OPTION...: complete, so that nothing is fetched while it is measured.
start_hsm() {
	cache=$work/fs/cache
	tree=$work/mnt
	lower=$cache/data
	make_files "$work/origin"
	mkdir -p "$cache"
	timeout -k 2 60 "$B/bin/fuse_hsm" "$@" "$work/origin" "$cache" "$tree" >&2 ||
		die "fuse_hsm $* did not start"
	cache_in_use=$cache
	status .pid >"$work/daemon.pid"
	"$B/bin/hsmctl" populate --data "$cache" >"$work/stdout" || die "populate failed"
	rm -r "$work/origin"
	cat "$lower/big.bin" "$lower/over.bin" >/dev/null
}

# start_ll OPTIONS [-s]
start_ll() {
	options=$1
	shift
	lower=$work/fs/lower
	tree=$work/mnt
	make_files "$lower"
	timeout -k 2 60 "$examples/passthrough_ll" "$@" -o default_permissions,source="$lower,$options" "$tree" >&2 ||
		die "passthrough_ll did not start"
}

start_hp() {
	lower=$work/fs/lower
	tree=$work/mnt
	make_files "$lower"
	timeout -k 2 60 "$examples/passthrough_hp" "$@" "$lower" "$tree" >&2 ||
		die "passthrough_hp did not start"
}

read_ahead() {
	echo "$1" >"/sys/class/bdi/$(mountpoint -d "$tree")/read_ahead_kb" ||
		die "cannot set the read-ahead of $tree"
}

start_server() {
	case $1 in
	native) start_native ;;
	hsm_base) start_hsm --mode base ;;
	hsm_base_plus) start_hsm --mode base --readdirplus auto ;;
	hsm_opt) start_hsm --mode opt ;;
	hsm_opt_plus) start_hsm --mode opt --readdirplus auto ;;
	hsm_default) start_hsm --mode default ;;
	hsm_passthrough) start_hsm --mode passthrough ;;
	hsm_uring) start_hsm --mode default --uring ;;
	hsm_passthrough_uring) start_hsm --mode passthrough --uring ;;
	ll_base) start_ll cache=auto,no_xattr -s && read_ahead 128 ;;
	ll_opt) start_ll writeback,cache=auto,no_xattr,max_threads=44 && read_ahead 128 ;;
	ll_default) start_ll cache=always,xattr,max_threads=8 && read_ahead 1024 ;;
	ll_uring) start_ll cache=always,xattr,max_threads=8,io_uring && read_ahead 1024 ;;
	hp_default) start_hp --num-threads 8 --nopassthrough && read_ahead 1024 ;;
	hp_passthrough) start_hp --num-threads 8 && read_ahead 1024 ;;
	hp_passthrough_uring) start_hp --num-threads 8 -o io_uring && read_ahead 1024 ;;
	*) die "no server is called $1" ;;
	esac
	case $1 in
	hsm_* | native) ;;
	*) timeout 10 stat "$tree/big.bin" >/dev/null || die "$1 does not serve" ;;
	esac
	case $1 in *uring) check_uring "$1" ;; esac
}

# libfuse goes on with /dev/fuse when a ring cannot be set up; fuse_hsm says no.
check_uring() {
	case $1 in hsm_*) return ;; esac
	for pid in $(pidof passthrough_ll passthrough_hp); do
		grep -sq "$tree" "/proc/$pid/cmdline" || continue
		cat /proc/"$pid"/task/*/comm | grep -q ring && return
	done
	die "$1 does not use io_uring"
}

stop_server() {
	case $1 in
	hsm_*) stop_daemon ;;
	native) ;;
	*) umount "$tree" || die "cannot unmount $tree" ;;
	esac
}

# ---- what is measured ----

# op SERVER NAME ARGUMENT...: appends nanoseconds a call.
op() {
	server=$1
	name=$2
	shift 2
	timeout -k 2 300 "$B/bin/fsops" "$@" >"$work/stdout" || die "$server: fsops $* failed"
	note "$name.$server" "$(jq -e .ns_per_op "$work/stdout")"
}

# Drops the names that nobody uses from the mount's memory; not for what is not mounted there.
drop_names() {
	[ "$1" = native ] || mount -i -o remount "$tree" || die "cannot remount $tree"
}

measure_data() {
	op "$1" seqread_warm seqread "$tree/big.bin" 131072 warm
	op "$1" seqread_cold seqread "$tree/big.bin" 131072 cold
	op "$1" randread_cold randread "$tree/big.bin" 4096 $((mib * 128)) cold
	op "$1" randread_warm randread "$tree/big.bin" 4096 $((mib * 256)) warm
	op "$1" rewrite rewrite "$tree/over.bin" 131072
	op "$1" write write "$tree/new.bin" 131072 "$mib"
	cmp "$tree/new.bin" "$lower/new.bin" || die "$1: what was written is not below"
}

measure_names() {
	batch=1
	while [ $batch -le "$batches" ]; do
		dir=$tree/batch$batch
		mkdir "$dir" || die "$1: cannot make $dir"
		op "$1" create create "$dir" "$files" 4096
		drop_names "$1"
		op "$1" stat stat "$dir" "$files" 4096
		drop_names "$1"
		op "$1" list list "$dir"
		op "$1" unlink unlink "$dir" "$files" 4096
		rmdir "$dir" || die "$1: $dir is not empty"
		batch=$((batch + 1))
	done
}

# Requests of type $1 that the daemon has had.
requests() {
	"$B/bin/hsmctl" --json status "$cache" | jq ".requests.$1.count // 0"
}

# A mode is what is requested, not what was asked for.
check_requests() {
	case $1 in
	hsm_passthrough*)
		note "through.$1" "$(($(requests read) + $(requests write)))"
		;;
	hsm_base)
		# new.bin, over.bin twice, the small files
		note "pages.$1" "$(ratio "$(requests write)" $((mib * 3 * 256 + files * batches)))"
		;;
	esac
}

measure_server() {
	start_server "$1"
	case $1 in *_plus) ;; *) measure_data "$1" ;; esac
	measure_names "$1"
	check_requests "$1"
	stop_server "$1"
}

title() {
	case $1 in
	seqread_warm) echo "sequential 128 KiB read, warm" ;;
	seqread_cold) echo "sequential 128 KiB read, cold" ;;
	randread_warm) echo "random 4 KiB read, warm" ;;
	randread_cold) echo "random 4 KiB read, cold" ;;
	rewrite) echo "sequential 128 KiB write over a file" ;;
	write) echo "sequential 128 KiB write of a new file, fsync" ;;
	create) echo "create of 4 KiB files" ;;
	stat) echo "stat" ;;
	list) echo "readdir and stat" ;;
	unlink) echo "unlink" ;;
	esac
}

# versus OP MINE OTHER LIMIT: LIMIT "-" is no verdict.
versus() {
	mine=$(median "$1.$2")
	other=$(median "$1.$3")
	text="$(title "$1"), $2 against $3"
	detail="medians $mine ns, $other ns"
	if [ "$4" = - ]; then
		printf 'INFO  %s: %s; %s\n' "$text" "$(ratio "$other" "$mine")" "$detail"
	else
		figure "$text" "$(ratio "$other" "$mine")" at-least "$4" "$detail"
	fi
}

# The issue's seven and what belongs to them.
all_ops="seqread_warm seqread_cold randread_warm randread_cold write rewrite create stat list unlink"

# versus_all MINE OTHER LIMIT [OP WITHOUT VERDICT]...
versus_all() {
	for each in $all_ops; do
		limit=$3
		case " $* " in *" $each "*) limit=- ;; esac
		versus "$each" "$1" "$2" "$limit"
	done
}

figure_base() {
	each_round measure_server hsm_base hsm_base_plus ll_base
	versus_all hsm_base ll_base 1.0 write rewrite list
	versus list hsm_base_plus ll_base 1.0
	figure "WRITE requests a page written, hsm_base" "$(median pages.hsm_base)" at-least 0.95 \
		"new file, file written twice, small files"
}

figure_opt() {
	each_round measure_server hsm_opt hsm_opt_plus ll_opt
	versus_all hsm_opt ll_opt 1.0 list
	versus list hsm_opt_plus ll_opt 1.0
}

figure_default() {
	each_round measure_server hsm_default ll_default hp_default
	versus_all hsm_default ll_default 1.0
	versus_all hsm_default hp_default -
}

# passthrough NAME OTHER: against the example, and warm against nothing in between.
passthrough() {
	each_round measure_server "$1" "$2" native
	versus_all "$1" "$2" 1.0
	for each in seqread_warm randread_warm rewrite; do
		versus $each "$1" native 0.95
	done
	figure "READ and WRITE requests, $1" "$(largest "through.$1")" at-most 0 "of a round"
}

figure_passthrough() {
	passthrough hsm_passthrough hp_passthrough
}

figure_uring() {
	enable_uring || return 0
	each_round measure_server hsm_uring ll_uring
	versus_all hsm_uring ll_uring 1.0
}

figure_passthrough_uring() {
	enable_uring || return 0
	passthrough hsm_passthrough_uring hp_passthrough_uring
}

# ---- a million inodes ----

# Where the daemon remembers none of them: all names are in the cache, and nothing is in memory.
start_inodes() {
	lower=$work/fs/lower
	[ "$1" = native ] || lower=$work/origin
	mkdir "$lower"
	"$B/bin/fsops" tree "$lower" "$((inodes / 1000))" 1000 >"$work/stdout" ||
		die "cannot make $inodes files"
	tree=$lower
	if [ "$1" = hsm ]; then
		tree=$work/mnt
		cache=$work/fs/cache
		mkdir -p "$cache"
		start_daemon_on_names
		stop_daemon
		start_daemon_on_names
	fi
	sync
	echo 3 >/proc/sys/vm/drop_caches
}

start_daemon_on_names() {
	timeout -k 2 60 "$B/bin/fuse_hsm" "$work/origin" "$cache" "$tree" >&2 ||
		die "fuse_hsm did not start"
	cache_in_use=$cache
	status .pid >"$work/daemon.pid"
	timeout 3600 "$B/bin/hsmctl" populate "$cache" >"$work/stdout" || die "populate failed"
}

# Anonymous memory of the daemon in bytes: its own, not what it maps.
own_memory() {
	awk '$1 == "RssAnon:" { print $2 * 1024 }' "/proc/$(cat "$work/daemon.pid")/status"
}

# All is dropped at once while somebody asks every millisecond.
measure_forget() {
	mkfifo "$work/end"
	"$B/bin/fsops" watch "$tree" <"$work/end" >"$work/watch" &
	watch_pid=$!
	exec 9>"$work/end"
	sleep 1
	timed "forget_s.hsm" sh -c 'echo 2 >/proc/sys/vm/drop_caches'
	for _ in $(seq 600); do
		[ "$(status .inodes)" -gt 1000 ] || break
		sleep 0.1
	done
	exec 9>&-
	wait $watch_pid || die "the watcher failed"
	watch_pid=
	rm "$work/end"
	note left.hsm "$(status .inodes)"
	note pause.hsm "$(jq -e '.longest_ns / 1e6' "$work/watch")"
}

measure_inodes() {
	start_inodes "$1"
	[ "$1" = native ] || before=$(own_memory)
	timeout -k 2 3600 "$B/bin/fsops" lookup "$tree" "$((inodes / 1000))" 1000 >"$work/lookups" ||
		die "$1: lookup failed"
	jq -r '"\(.count) \(.ns_per_op)"' "$work/lookups" | while read -r count ns; do
		note "lookup_$count.$1" "$ns"
	done
	if [ "$1" = hsm ]; then
		note memory.hsm "$(ratio $(($(own_memory) - before)) "$inodes")"
		measure_forget
		stop_daemon
	fi
	rm -rf "$work/origin"
}

# How much slower than the first 10,000 all up to each point were, against the same of native.
figure_inodes() {
	rounds=${HSM_INODE_ROUNDS:-3}
	each_round measure_inodes hsm native
	figure "memory per inode looked up, bytes" "$(largest memory.hsm)" at-most 150 \
		"$inodes inodes"
	first=$(median lookup_10000.hsm)
	native_first=$(median lookup_10000.native)
	for count in $(jq 'select(.count > 10000) | .count' "$work/lookups"); do
		mine=$(ratio "$(median "lookup_$count.hsm")" "$first")
		other=$(ratio "$(median "lookup_$count.native")" "$native_first")
		figure "time of a lookup up to $count inodes against 10,000, relative to native" \
			"$(ratio "$mine" "$other")" at-most 1.15 \
			"$(median "lookup_$count.hsm") ns, native $(median "lookup_$count.native") ns"
	done
	figure "longest answer while all inodes are forgotten, ms" "$(largest pause.hsm)" at-most 100 \
		"drop_caches took $(seconds "$(median forget_s.hsm)") s"
	figure "inodes left then" "$(largest left.hsm)" at-most 1000 "at most"
}

find_examples
figures_main "base opt default passthrough uring passthrough_uring inodes" "" "$@"
