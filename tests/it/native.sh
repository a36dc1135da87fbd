#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# FS: ext4 btrfs
# Features of the file system on the managed tree while it is served. What is expected stands in
# docs/native.md, which is read here. Each row has files nobody has read before.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_table.sh"
it_init

ORIGIN=$HSM_WORK/origin
TABLE=$IT_SRC/docs/native.md
HERE=$(realpath "$(dirname "$0")")
MIB=1048576

# ---- the words ----

# Runs a program; what it says in $CASE/say.
try() {
	timeout -k 2 90 "$@" >"$CASE/say" 2>&1
}

# The errno a program spoke of.
why() {
	case $(cat "$CASE/say") in
	*"Operation not supported"*) echo EOPNOTSUPP ;;
	*"Inappropriate ioctl"*) echo ENOTTY ;;
	*"Invalid argument"*) echo EINVAL ;;
	*"Operation not permitted"*) echo EPERM ;;
	*"Permission denied"*) echo EACCES ;;
	*"Input/output error"*) echo EIO ;;
	*"resource busy"*) echo EBUSY ;;
	*"Disk quota exceeded"*) echo EDQUOT ;;
	*"No such device or address"*) echo ENXIO ;;
	*"foreign file active"* | *"does not support"* | *"not on a"* | *"not an XFS"*) echo refused ;;
	*) head -c 80 "$CASE/say" | tr '\n' ' ' ;;
	esac
	return 1
}

# works COMMAND...: or prints why not and fails.
works() {
	try "$@" || why
}

# is FILE EXPECTED: prints ok, zeros or differs.
is() {
	if timeout 60 cmp -s "$1" "$2" 2>"$CASE/say"; then
		echo ok
	elif [ -s "$CASE/say" ]; then
		why || :
	elif ! timeout 60 cat "$1" >"$CASE/copy" 2>"$CASE/say"; then
		why || :
	elif cmp -s -n "$(stat -c %s "$2")" "$CASE/copy" /dev/zero; then
		echo zeros
	else
		echo differs
	fi
}

says() {
	grep -q -- "$1" "$CASE/say" && return
	echo "no '$1': $(head -c 80 "$CASE/say" | tr '\n' ' ')"
	return 1
}

only() {
	[ "$HSM_FS" = "$1" ] && return
	echo -
	return 1
}

python() {
	timeout -k 2 150 python3 "$HERE/native.py" "$1" "$D" "$O" 2>&1 | tail -n 1
}

# ---- reflinks and space; D: the directory of the row, O: the same on the origin ----

reflink() { works cp --reflink=always "$D/f" "$D/copy" && is "$D/copy" "$O/f"; }
t_reflink_cold() { reflink; }
t_reflink_partial() { head -c 4096 "$D/f" >/dev/null && reflink; }
t_reflink_complete() { cat "$D/f" >/dev/null && reflink; }
t_reflink_range() {
	works xfs_io -f -c "reflink $D/f 65536 0 131072" "$D/copy" || return 0
	[ -s "$D/copy" ] || why || return 0
	is "$D/copy" <(tail -c +65537 "$O/f" | head -c 131072)
}
zeros() { head -c "$1" /dev/zero; }
t_falloc_keep() { works fallocate -n -o $MIB -l $MIB "$D/f" && is "$D/f" "$O/f"; }
t_falloc_grow() { works fallocate -o $MIB -l $MIB "$D/f" && is "$D/f" <(cat "$O/f" && zeros $MIB); }
hole() { head -c 131072 "$O/f" && zeros 65536 && tail -c +196609 "$O/f"; }
t_punch() { works fallocate -p -o 131072 -l 65536 "$D/f" && is "$D/f" <(hole); }
t_zero() { works fallocate -z -o 131072 -l 65536 "$D/f" && is "$D/f" <(hole); }
t_collapse() { works fallocate -c -o 131072 -l 65536 "$D/f" && is "$D/f" <(head -c 131072 "$O/f" && tail -c +196609 "$O/f"); }
t_insert() { works fallocate -i -o 131072 -l 65536 "$D/f" && is "$D/f" <(head -c 131072 "$O/f" && zeros 65536 && tail -c +131073 "$O/f"); }

# ---- attributes ----

xattr() {
	works setfattr -n "$1" -v value "$D/f" && works getfattr --only-values -n "$1" "$D/f" &&
		says value && is "$D/f" "$O/f"
}
t_xattr_user() { xattr user.test; }
t_xattr_trusted() { xattr trusted.test; }
t_acl() {
	chmod 644 "$D/f"
	works setfacl -m u:65534:--- "$D/f" && works getfacl -n "$D/f" && says 'user:65534:---' || return 0
	cd "$D" || return
	try setpriv --reuid 65534 --clear-groups cat f && echo "not denied" && return
	cd "$CASE" || return
	is "$D/f" "$O/f"
}
t_acl_default() {
	works setfacl -d -m u:1234:rw- "$D" && touch "$D/new" && works getfacl -n "$D/new" &&
		says 'user:1234:rw-' && echo ok
}
t_project() {
	try xfs_io -c 'chproj 42' "$D/f"
	[ ! -s "$CASE/say" ] || why || return 0
	works xfs_io -r -c lsproj "$D/f" && says 'projid = 42' && is "$D/f" "$O/f"
}
t_fsxattr() { works xfs_io -r -c lsattr "$D/f" && says "$D/f" && is "$D/f" "$O/f"; }
t_extsize() {
	try xfs_io -c 'extsize 65536' "$D"
	[ ! -s "$CASE/say" ] || why || return 0
	touch "$D/new"
	works xfs_io -r -c extsize "$D/new" && says '65536' && echo ok
}

# flag LETTER: set on a cold file, it is read, and is protected.
flag() {
	works chattr "+$1" "$D/f" || return 0
	lsattr "$D/f" >"$CASE/say"
	says "^[^ ]*$1" && is "$D/f" "$O/f"
	: 2>/dev/null >"$D/f" && echo "not protected"
	chattr "-$1" "$D/f"
}
t_immutable() { flag i; }
t_append() { flag a; }
t_immutable_complete() { cat "$D/f" >/dev/null && flag i; }
t_nodump() { works chattr +d "$D/f" && is "$D/f" "$O/f"; }

# ---- where the bytes are ----

t_fiemap_cold() { works xfs_io -r -c fiemap "$D/f" && mapped "$CASE/say"; }
t_fiemap_complete() {
	cat "$D/f" >/dev/null
	sync -f "$FS"
	works xfs_io -r -c fiemap "$D/f" && mapped "$CASE/say"
}
mapped() {
	! grep -q 'not supported\|Inappropriate' "$1" || why || return 0
	grep -q ': [0-9]*\.\.[0-9]*' "$1" && echo data || echo hole
}
t_bmap() {
	only xfs || return 0
	cat "$D/f" >/dev/null
	sync -f "$FS"
	works xfs_io -r -c bmap "$D/f" && mapped "$CASE/say"
}
t_bulkstat() {
	only xfs || return 0
	works xfs_io -r -c "bulkstat_single $(stat -c %i "$D/f")" "$D" || return 0
	grep -q "bs_size = $MIB" "$CASE/say" || why || return 0
	is "$D/f" "$O/f"
}
t_geometry() {
	only xfs || return 0
	works xfs_io -r -c statfs "$D/f" && grep -q geom.bsize "$CASE/say" && echo ok || echo refused
}
t_filefrag() { works filefrag "$D/f" && { says 'extent' && is "$D/f" "$O/f"; }; }

# ---- tools of the file system ----

partial() { head -c 4096 "$D/f" >/dev/null && tail -c 1000 "$D/f" >/dev/null; }
t_xfs_fsr() {
	only xfs || return 0
	partial
	works xfs_fsr -v "$D/f" || return 0
	! grep -q 'XFS_IOC\|not in\|not on\|unable\|Inappro' "$CASE/say" || why || return 0
	! grep -q 'Not XFS' "$CASE/say" || { echo refused && return; }
	is "$D/f" "$O/f"
}
t_defrag() {
	only btrfs || return 0
	partial
	try btrfs filesystem defragment "$D/f" || { grep -q 'Inval' "$CASE/say" && echo EINVAL || echo refused; return; }
	is "$D/f" "$O/f"
}
t_defrag_complete() {
	only btrfs || return 0
	cat "$D/f" >/dev/null
	try btrfs filesystem defragment "$D/f" || { grep -q 'Inval' "$CASE/say" && echo EINVAL || echo refused; return; }
	is "$D/f" "$O/f"
}
t_e4defrag() {
	only ext4 || return 0
	partial
	try e4defrag -v "$D/f" || :
	grep -q 'Success.*1/1' "$CASE/say" || { echo refused && return; }
	is "$D/f" "$O/f"
}
t_fstrim() { works fstrim "$FS" && is "$D/f" "$O/f"; }
t_scrub() {
	only btrfs || return 0
	partial
	works btrfs scrub start -B "$FS" && says 'Error summary: *no errors' && is "$D/f" "$O/f"
}
t_balance() {
	only btrfs || return 0
	partial
	works btrfs balance start -d -f "$FS" && is "$D/f" "$O/f"
}

# A cold read waits while the file system is frozen, the daemon answers, nothing hangs.
t_freeze() {
	local reader status word

	sync -f "$FS"
	fsfreeze -f "$FS" || return 0
	timeout 60 cat "$D/f" >"$CASE/frozen" 2>"$CASE/say" &
	reader=$!
	sleep 1.5
	status=0
	[ "$WHERE" = native ] || timeout 10 "$BIN/hsmctl" status "$CACHE" >/dev/null || status=$?
	kill -0 $reader 2>/dev/null && word="waits, " || word=
	fsfreeze -u "$FS"
	wait $reader || echo "exit $? "
	[ $status = 0 ] || word+="no status, "
	echo "$word$(is "$CASE/frozen" "$O/f")"
}

# ---- snapshots: of the directory that holds everything; the cache is a subvolume ----

snapshot() {
	only btrfs || return 1
	S=$FS/$WHERE.$1
	works btrfs subvolume snapshot ${2:+"$2"} "$FS/$SUBVOLUME" "$S" || return 1
	S=$S/${SUBVOLUME_TREE}${SUBVOLUME_TREE:+/}${D##*/}
}
t_snapshot_cold() { snapshot cold && is "$S/f" "$O/f"; }
t_snapshot_cold_original() { snapshot original && cat "$S/f" >/dev/null 2>&1; only btrfs >/dev/null || return 0; is "$D/f" "$O/f"; }
t_snapshot_partial() {
	only btrfs || return 0
	partial
	snapshot partial && is "$S/f" "$O/f"
}
t_snapshot_complete() {
	only btrfs || return 0
	cat "$D/f" >/dev/null
	sleep 3
	snapshot complete -r && is "$S/f" "$O/f"
}
t_snapshot_write() {
	snapshot write || return 0
	(echo mine >"$S/f") 2>"$CASE/say" || why || return 0
	is "$S/f" <(echo mine)
}
t_qgroup() {
	only btrfs || return 0
	works btrfs quota enable "$FS" || return 0
	btrfs quota rescan -w "$FS" >/dev/null 2>&1 || :
	works btrfs qgroup limit 300K "$FS/$SUBVOLUME" || return 0
	it_read "$D/big" || :
	[ ! -s "$CASE/read.err" ] || cp "$CASE/read.err" "$CASE/say"
	[ -s "$CASE/read.err" ] || echo >"$CASE/say" nothing
	btrfs quota disable "$FS"
	why || :
	echo ", then $(is "$D/big" "$O/big")"
}

# ---- one row ----

declare -A ROWS=(
	["reflink of a cold file"]=reflink_cold ["reflink of a partial file"]=reflink_partial
	["reflink of a complete file"]=reflink_complete ["reflink of a range"]=reflink_range
	["fallocate, behind the end"]=falloc_keep ["fallocate, growing"]=falloc_grow
	["fallocate, punch a hole"]=punch ["fallocate, zero"]=zero
	["fallocate, collapse"]=collapse ["fallocate, insert"]=insert
	["user xattr"]=xattr_user ["trusted xattr"]=xattr_trusted
	["ACL"]=acl ["default ACL"]=acl_default
	["project id"]=project ["FSGETXATTR"]=fsxattr ["extent size hint"]=extsize
	["chattr +i, cold"]=immutable ["chattr +i, complete"]=immutable_complete ["chattr +a, cold"]=append
	["chattr +d"]=nodump
	["FIEMAP, cold"]=fiemap_cold ["FIEMAP, complete"]=fiemap_complete ["filefrag"]=filefrag
	["bmap (xfs_io)"]=bmap ["bulkstat"]=bulkstat ["XFS geometry"]=geometry
	["xfs_fsr, partial"]=xfs_fsr ["e4defrag, partial"]=e4defrag
	["btrfs defragment, partial"]=defrag ["btrfs defragment, complete"]=defrag_complete
	["fstrim"]=fstrim ["btrfs scrub"]=scrub ["btrfs balance"]=balance
	["freeze, read, thaw"]=freeze
	["snapshot, cold file"]=snapshot_cold ["snapshot, the original after it"]=snapshot_cold_original
	["snapshot, partial file"]=snapshot_partial ["snapshot, complete file"]=snapshot_complete
	["snapshot, write"]=snapshot_write ["btrfs quota group exceeded"]=qgroup
	["statx"]=statx ["O_TMPFILE, linkat"]=tmpfile ["RENAME_EXCHANGE"]=exchange
	["RENAME_WHITEOUT"]=whiteout ["inotify of a read"]=inotify
	["read lease"]=read_lease ["write lease"]=write_lease ["OFD locks"]=ofd_locks ["flock"]=flock
	["fs-verity"]=verity
)

# Prints what became of it: a function of the shell, or one of native.py.
run_row() {
	D=$BASE/$1 O=$ORIGIN/$1
	echo nothing >"$CASE/say"
	if declare -F "t_$1" >/dev/null; then
		"t_$1" || :
	else
		python "$1"
	fi | tr '\n' ' ' | sed 's/ *$//; s/ ,/,/g'
}

all() {
	WHERE=$1
	table_check "$TABLE" "$2" run_row
}

# The same on a plain directory, nobody watching.
native() {
	SUBVOLUME=native SUBVOLUME_TREE=
	BASE=$FS/$SUBVOLUME
	[ "$HSM_FS" != btrfs ] || btrfs subvolume create "$BASE" >/dev/null
	mkdir -p "$BASE"
	cp -r "$ORIGIN/." "$BASE"
	all native native
	rm -rf --one-file-system "$BASE" || :
}

served() {
	SUBVOLUME=${CACHE##*/} SUBVOLUME_TREE=data
	[ "$HSM_FS" != btrfs ] || { rmdir "$CACHE" && btrfs subvolume create "$CACHE" >/dev/null; }
	it_start "$ORIGIN"
	it_walk
	BASE=$TREE
	all served "${HSM_FRONTEND}_hsm"
}

for tool in xfs_io setfacl filefrag e4defrag fsfreeze fstrim python3 setfattr; do
	command -v $tool >/dev/null || it_skip_all "$tool is not installed (tests/deps.sh)"
done
for f in "${ROWS[@]}"; do
	mkdir -p "$ORIGIN/$f"
	it_random "$ORIGIN/$f/f" $MIB
done
it_random "$ORIGIN/read_lease/g" $MIB
it_random "$ORIGIN/write_lease/g" $MIB
it_random "$ORIGIN/qgroup/big" $((8 * MIB))
it_case "native" native
it_case "served" served
it_end
