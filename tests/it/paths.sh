#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# FS-FAN: ext4 btrfs
# Every path to the bytes of a file, on stubs that are cold or partly filled: what a program sees is what
# it sees of a plain copy on the same kind of file system, but for the rows of differences(), each of
# which must show. Afterwards, after an eviction and after a restart the files are those that the
# same calls leave of the plain copies. See docs/paths.md.
. "$(dirname "$0")/lib.sh"
it_init

PATHCHECK=$HSM_BUILD/tests/tools/pathcheck
ORIGIN=$HSM_WORK/origin
PLAIN=$HSM_WORK/plain
SIZE=1049810

# Rows that must differ, "?" before a name: may. differences PART STUBS MMAP
differences() {
	case $HSM_FRONTEND in
	fan) fan_holes "$@" ;;
	fuse) fuse_refuses ;;
	esac
}

# Nobody is asked, or not enough is known: zeros, or "there is nothing".
fan_holes() {
	local part=$1 stubs=$2 how=$3

	echo loop loop_direct overlay_mmap fiemap
	case $stubs in prealloc) echo "?seek_data" ;; *) echo seek_data ;; esac
	# Errors, never zeros. A file that is partly filled is open: no lease is granted.
	echo immutable append_only lease_read lease_write
	# Refused as natively a file with holes is; of prealloc stubs, without its header.
	case $HSM_FS in btrfs) echo btrfs_defrag ;; *) echo "?swapon" ;; esac
	[ "$how" != strict ] || return 0
	# The first page was present: nobody looked at who mapped it.
	case $part/$how in head/* | ends/* | */range) echo mremap mremap_store remap_file_pages ;; esac
	[ "$HSM_FS" != btrfs ] || return 0
	# The range was present; of io_uring's worker it cannot be told what it does.
	case $part in head) echo collapse insert ;; esac
	case $part in head | ends) echo collapse_page insert_page ;; esac
	echo uring_collapse uring_insert
}

# What FUSE has no requests for, and what libfuse mounts nosuid and the like.
fuse_refuses() {
	echo nowait fiemap immutable append_only
	[ "$HSM_FS" != btrfs ] || echo btrfs_defrag
	[ "$HSM_FS" = btrfs ] || echo collapse collapse_page insert insert_page swapon \
		uring_collapse uring_insert
	[ "$HSM_FS" != xfs ] || echo unshare exchange_range
	[ "$HSM_FS" = ext4 ] || echo clone clone_range clone_to_end clone_into clone_range_into \
		clone_stub_into_stub dedupe
}

make_origin() {
	local row

	mkdir -p "$ORIGIN"
	it_random "$HSM_WORK/first" $SIZE
	it_random "$HSM_WORK/second" $SIZE
	# The last half is the same, for dedupe.
	tail -c 525522 "$HSM_WORK/first" | dd of="$HSM_WORK/second" bs=524288 seek=1 status=none \
		conv=notrunc
	for row in $("$PATHCHECK" -l); do
		ln "$HSM_WORK/first" "$ORIGIN/$row.1"
		ln "$HSM_WORK/second" "$ORIGIN/$row.2"
	done
	rm "$ORIGIN"/exec_*.1 "$ORIGIN/swapon.1"
	strip -o "$ORIGIN/exec_binary.1" "$PATHCHECK"
	cp "$ORIGIN/exec_binary.1" "$ORIGIN/exec_fd.1"
	{
		echo '#!/bin/sh'
		yes '# nothing of this matters' | head -n 10000
		echo 'echo 42'
	} >"$ORIGIN/exec_script.1"
	cp "$HSM_WORK/first" "$ORIGIN/swapon.1"
	mkswap "$ORIGIN/swapon.1" >/dev/null 2>&1 || rm "$ORIGIN/swapon.1"
	chmod 755 "$ORIGIN"/exec_*.1
}

make_plain() {
	find "$PLAIN" -mindepth 1 -maxdepth 1 -type f -delete
	cp -p --reflink=never "$ORIGIN"/* "$PLAIN"
	sync -f "$PLAIN"
}

# Lines of pathcheck in the file $1 that differ are those of the list in the file $2.
as_expected() {
	awk '
		FNR == NR {
			for (i = 1; i <= NF; i++) {
				may[substr($i, $i ~ /^\?/ ? 2 : 1)] = 1
				if ($i !~ /^\?/) must[$i] = 1
			}
			next
		}
		$1 == "differs" && !($2 in may) { print; bad = 1 }
		$1 == "differs" || $1 == "skip" { delete must[$2] }
		END {
			for (i in must) { print i " does not differ"; bad = 1 }
			exit bad
		}' "$2" "$1"
}

# What was changed is still what it was made, whatever the daemon does.
compare_files() {
	"$PATHCHECK" -c "$TREE" "$PLAIN" "${ROWS[@]}" >files
	sed 's/^/?/; s/ / ?/g; s/??/?/g' expected >may_differ
	as_expected files may_differ || it_fail "files differ $1"
}

# paths PART STUBS MMAP [ROW...]
paths() {
	local part=$1 stubs=$2 how=$3 options=()

	shift 3
	ROWS=("$@")
	make_plain
	[ "$HSM_FRONTEND" = fuse ] || options=(--stubs "$stubs" --mmap "$how")
	[ "$part" = cold ] || options+=(--readahead 0)
	it_start "${options[@]}" "$ORIGIN"
	it_walk
	differences "$part" "$stubs" "$how" >expected
	[ "$part" = cold ] && part=
	timeout 250 "$PATHCHECK" -e "$CASE" ${part:+-p "$part"} "$TREE" "$PLAIN" "${ROWS[@]}" >lines
	it_at_least "$(grep -c . lines)" 1 rows
	[ $# = 0 ] || tr ' ' '\n' <expected | grep -xF "$(printf '%s\n' "${ROWS[@]}")" >wanted || :
	[ $# = 0 ] || mv wanted expected
	grep -v ^same lines || :
	as_expected lines expected || it_fail "these are not as documented"
	it_stop
	it_start "${options[@]}" "$ORIGIN"
	it_hsmctl populate --data "$CACHE" . || :
	compare_files "after a restart and a populate"
	it_hsmctl evict "$CACHE" . || :
	compare_files "after an eviction"
	it_stop
	it_start "${options[@]}" "$ORIGIN"
	compare_files "after another restart"
}

# What a truncation cuts off is not fetched; of the page it cuts through, the chunk is.
truncation_fetches() {
	it_origin "$ORIGIN"
	it_start "$URL"
	it_walk
	truncate -s 0 "$TREE/read.1"
	truncate -s 65536 "$TREE/read.2"
	it_equal "$(it_ranges /read.1)$(it_ranges /read.2)" "" "requests"
	truncate -s $((SIZE + 4096)) "$TREE/pread.1"
	it_equal "$(it_ranges /pread.1)" "" "requests of a file that grew"
	cmp "$TREE/read.2" "$ORIGIN/read.2" 2>cmp.err || :
	grep -q "EOF on $TREE/read.2" cmp.err || it_fail "$(cat cmp.err)"
	cmp -n $SIZE "$TREE/pread.1" "$ORIGIN/pread.1" || it_fail "a file that grew"
}

# The event of an append names the file's first bytes; what it appends is behind what is fetched.
append_keeps() {
	local i=0 name bytes=(1 70000 3000000)

	it_start "$ORIGIN"
	it_walk
	for name in read pread readv; do
		openssl enc -aes-128-ctr -nosalt -pass pass:x -md sha256 </dev/zero 2>/dev/null |
			head -c "${bytes[i++]}" >"more"
		cat more >>"$TREE/$name.1"
		cat "$ORIGIN/$name.1" more | cmp - "$TREE/$name.1" || it_fail "after an append"
	done
}

# A stub in a snapshot has the same number and state as the one in the tree: it must not be filled
# for it, nor read as zeros.
snapshot() {
	[ "$HSM_FS" = btrfs ] || it_skip "btrfs only"
	rmdir "$CACHE"
	btrfs -q subvolume create "$CACHE"
	it_start "$ORIGIN"
	it_walk
	it_same_file "$TREE/read.1" "$ORIGIN/read.1"
	head -c 10 "$TREE/readv.1" >/dev/null
	sync -f "$CACHE"
	btrfs -q subvolume snapshot "$CACHE" "$FS/snapshot"
	it_same_file "$FS/snapshot/data/read.1" "$ORIGIN/read.1"
	it_read_fails "$FS/snapshot/data/pread.1" "$ORIGIN/pread.1"
	it_same_file "$TREE/pread.1" "$ORIGIN/pread.1"
	it_same_file "$TREE/readv.1" "$ORIGIN/readv.1"
	it_stop
	btrfs -q subvolume delete "$FS/snapshot"
}

# It raises no event: fan_hsm fills such a file when it starts, before it serves.
opened_before() {
	it_start "$ORIGIN"
	it_walk
	it_stop
	exec 7<"$TREE/read.1"
	it_start "$ORIGIN"
	cmp <(head -c 4096 <&7) <(head -c 4096 "$ORIGIN/read.1") || it_fail "not filled at the start"
	it_same_file "$TREE/read.1" "$ORIGIN/read.1"
	exec 7<&-
}

# Somebody who keeps a lease keeps nobody else waiting.
lease_of_a_user() {
	it_need python3
	it_start "$ORIGIN"
	it_walk
	python3 -c '
import fcntl, os, signal, sys, time
signal.signal(signal.SIGIO, signal.SIG_IGN)
f = os.open(sys.argv[1], os.O_RDWR)
fcntl.fcntl(f, fcntl.F_SETLEASE, fcntl.F_WRLCK)
open("leased", "w").write("x")
try: os.pread(f, 4096, 0)
except OSError: pass
open("read", "w").write("x")
while not os.path.exists("done"): time.sleep(0.01)' "$TREE/read.1" &
	it_wait_until 5 test -s leased
	IT_READ_LIMIT=5 it_read "$TREE/pread.1" || it_fail "another file cannot be read"
	cmp read.out "$ORIGIN/pread.1"
	it_wait_until 5 test -s read || it_fail "the holder waits for itself"
	: >"done"
	wait $!
	it_same_file "$TREE/read.1" "$ORIGIN/read.1"
}

make_origin
it_mkfs "$HSM_FS" 1G "$PLAIN"
it_case "cold" paths cold sparse whole
it_case "both ends present" paths ends sparse whole
it_case_on fan "first half present" paths head sparse whole
it_case_on fan "first half present, --mmap strict" paths head sparse strict
it_case_on fan "mappings, --mmap range" paths cold sparse range mremap mremap_store \
	remap_file_pages mmap_shared mmap_store madvise exec_binary exec_fd
it_case_on fan "both ends present, prealloc" paths ends prealloc whole
it_case_on fan "a truncation fetches nothing it cuts off" truncation_fetches
it_case "appending to stubs" append_keeps
it_case_on fan "a lease of a user" lease_of_a_user
it_case_on fan "opened before the daemon" opened_before
it_case_on fan "stubs in a snapshot" snapshot
it_end
