#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# FS-FUSE: ext4 btrfs
# Names and attributes as users change them, on objects of the origin: what a directory that nobody
# listed answers, what stays changed after a fill, a populate and a restart, who owns what.
. "$(dirname "$0")/lib.sh"
it_init
it_need python3
chmod 755 "$HSM_WORK" # others than root come here

ORIGIN=$HSM_WORK/origin

begin() {
	it_start ${MODE:+--mode "$MODE"} "$ORIGIN"
	ls "$TREE" >/dev/null
}

# Only FUSE sees a lookup: behind fanotify a name in a directory nobody listed is not there yet.
begin_unlisted() {
	it_start --namespace lazy "$ORIGIN"
}

# fails TEXT COMMAND...: with this error.
fails() {
	local text=$1

	shift
	[ "$(type -t "$1")" = function ] || set -- timeout 20 "$@"
	"$@" 2>err && it_fail "worked: $*"
	grep -q "$text" err || it_fail "$*: $(cat err), expected '$text'"
}

# py CODE [ARG...]: os, sys, ctypes and a libc that raises are there.
py() {
	local code=$1

	shift
	timeout 60 python3 -c "
import ctypes, os, stat, sys
a = sys.argv[1:]
def libc(name, *args):
    lib = ctypes.CDLL(None, use_errno=True)
    args = [x.encode() if isinstance(x, str) else x for x in args]
    if getattr(lib, name)(*args) < 0:
        e = ctypes.get_errno()
        raise OSError(e, os.strerror(e))
def renameat2(old, new, flags):
    libc('renameat2', -100, old, -100, new, flags)
$code" "$@"
}

# Again after everything has been filled, and after a restart. again FUNCTION [ARG...]
again() {
	"$@"
	it_hsmctl populate --data "$CACHE"
	"$@"
	it_stop
	it_start "$ORIGIN"
	it_walk
	"$@"
}

# ---- directories nobody has listed ----

exists() {
	begin_unlisted
	fails "File exists" py 'os.open(a[0], os.O_CREAT | os.O_EXCL | os.O_RDWR)' "$TREE/a/f"
	begin_unlisted_dir b
	fails "File exists" mkdir "$TREE/b/sub"
	begin_unlisted_dir c
	fails "File exists" ln -s x "$TREE/c/f"
	begin_unlisted_dir d
	fails "File exists" ln "$TREE/cold" "$TREE/d/f"
	begin_unlisted_dir e
	fails "File exists" mkfifo "$TREE/e/f"
	begin_unlisted_dir g
	fails "File exists" py 'renameat2(a[0], a[1], 1)' "$TREE/cold" "$TREE/g/f"
	it_same_file "$TREE/a/f" "$ORIGIN/a/f"
}

# What was made so far is not what the next step tests.
begin_unlisted_dir() {
	[ "$(getfattr -d -m - "$CACHE/data/$1" 2>/dev/null | grep -c trusted.hsm=)" = 1 ] ||
		it_fail "$1 has no state"
	[ -z "$(ls "$CACHE/data/$1")" ] || it_fail "$1 was listed already"
}

# Opening with O_CREAT what only the origin has, finds it.
create_finds() {
	begin_unlisted
	py 'f = os.open(a[0], os.O_CREAT | os.O_RDWR, 0o600)
assert os.fstat(f).st_size == int(a[1]), os.fstat(f)' "$TREE/a/f" "$(stat -c %s "$ORIGIN/a/f")"
	it_same_file "$TREE/a/f" "$ORIGIN/a/f"
}

gone() {
	[ ! -e "$TREE/$1" ] || it_fail "$1 came back"
	[ ! -e "$CACHE/data/$1" ] || it_fail "$1 came back in the cache"
}

remove_unlisted() {
	begin_unlisted
	rm "$TREE/a/f"
	again gone a/f
}

rmdir_unlisted() {
	begin_unlisted
	fails "Directory not empty" rmdir "$TREE/a"
	fails "Directory not empty" rmdir "$TREE/b/sub"
	rm "$TREE/b/sub/x"
	rmdir "$TREE/b/sub"
	gone b/sub
	rm -r "$TREE/c"
	again gone c
}

rename_over_unlisted() {
	begin_unlisted
	mkdir "$TREE/new"
	fails "File exists\|Directory not empty" mv -T "$TREE/new" "$TREE/a"
	it_same_file "$TREE/a/f" "$ORIGIN/a/f"
	rm -r "$TREE/b"
	mv -T "$TREE/new" "$TREE/b"
	it_equal "$(ls "$TREE/b")" "" "the new b"
}

moved_everywhere() {
	it_equal "$(cd "$TREE/c/moved" && find . -type f | sort)" $'./f\n./sub/x' "moved"
	it_same_file "$TREE/c/moved/sub/x" "$ORIGIN/a/sub/x"
	gone a
}

# A directory keeps what it is wherever it goes, and is filled there.
rename_unlisted() {
	begin
	mv "$TREE/a" "$TREE/c/moved"
	again moved_everywhere
}

# Two names in directories that nobody listed, in one request.
rename_between_unlisted() {
	begin_unlisted
	mv "$TREE/a/f" "$TREE/b/f"
	gone a/f
	it_same_file "$TREE/b/f" "$ORIGIN/a/f"
	py 'renameat2(a[0], a[1], 2)' "$TREE/c/f" "$TREE/d/sub"
	it_same_file "$TREE/d/sub" "$ORIGIN/c/f"
	it_same_file "$TREE/c/f/x" "$ORIGIN/d/sub/x"
}

# The name is removed while its directory is being listed.
remove_while_listed() {
	it_start --namespace lazy --latency 300ms "$ORIGIN"
	ls "$TREE" >/dev/null
	ls "$TREE/a" >/dev/null &
	rm "$TREE/a/f"
	wait
	again gone a/f
}

# A caller that is killed while it waits for the origin is let go, and nothing happened.
killed_waiting() {
	local start=$SECONDS pid

	it_start --namespace lazy --latency 2s "$ORIGIN"
	ls "$TREE" >/dev/null
	rmdir "$TREE/a" 2>/dev/null &
	pid=$!
	sleep 0.5
	kill -9 $pid
	wait $pid || :
	it_at_most $((SECONDS - start)) 8 "seconds"
	it_same_file "$TREE/a/f" "$ORIGIN/a/f"
}

# ---- stubs ----

hard_link() {
	begin
	ln "$TREE/cold" "$TREE/a/link"
	it_equal "$(stat -c %h "$TREE/cold") $(stat -c %h "$TREE/a/link")" "2 2" "links"
	it_same_file "$TREE/a/link" "$ORIGIN/cold"
	it_same_file "$TREE/cold" "$ORIGIN/cold"
	rm "$TREE/cold"
	it_equal "$(stat -c %h "$TREE/a/link")" 1 "links after the removal"
	it_same_file "$TREE/a/link" "$ORIGIN/cold"
	mv "$TREE/other" "$TREE/a/link"
	it_same_file "$TREE/a/link" "$ORIGIN/other"
}

# Removed while it is open and has chunks missing: the reader goes on.
unlinked_open() {
	begin
	exec 3<"$TREE/big"
	rm "$TREE/big"
	cmp - "$ORIGIN/big" <&3 || it_fail "content of the removed file"
	exec 3<&-
	gone big
}

# The same by truncate(2) on the file and on a plain copy.
cut() {
	local size

	begin
	cp "$ORIGIN/big" expected
	for size in 3000001 1 3500000 100000 2000000; do
		py 'os.truncate(a[0], int(a[1]))' expected $size
		py 'os.truncate(a[0], int(a[1]))' "$TREE/big" $size
	done
	it_equal "$(stat -c %s "$TREE/big")" 2000000 "size"
	it_same_file "$TREE/big" expected
	py 'os.truncate(a[0], 0); os.truncate(a[0], 70000)' "$TREE/cold"
	again cut_result
}

cut_result() {
	it_same_file "$TREE/big" "$CASE/expected"
	cmp "$TREE/cold" <(head -c 70000 /dev/zero) || it_fail "bytes of the origin came back"
}

grown() {
	begin
	cp "$ORIGIN/cold" expected
	truncate -s 5M expected
	py 'os.truncate(a[0], 5 << 20)' "$TREE/cold"
	it_same_file "$TREE/cold" expected
}

attributes() {
	it_equal "$(stat -c '%a %u %g %Y %y' "$TREE/cold")" "$1" "attributes of the file"
	it_equal "$(stat -c '%a %u %g %Y' "$TREE/d")" "$2" "attributes of the directory"
	it_same_file "$TREE/cold" "$ORIGIN/cold"
	it_equal "$(stat -c '%a %u %g %Y %y' "$TREE/cold")" "$1" "attributes after a read"
	ls "$TREE/d" >/dev/null
	it_equal "$(stat -c '%a %u %g %Y' "$TREE/d")" "$2" "attributes after listing"
	it_equal "$(getfattr --only-values -n user.note "$TREE/cold")" mine "xattr"
}

# What was set on a stub is there after it was filled.
attributes_stay() {
	begin
	chmod 640 "$TREE/cold"
	chown 1234:4321 "$TREE/cold"
	touch -d '2001-02-03 04:05:06.123456789' "$TREE/cold"
	setfattr -n user.note -v mine "$TREE/cold"
	chmod 750 "$TREE/d"
	chown 1234:4321 "$TREE/d"
	touch -d '2002-02-03 04:05:06' "$TREE/d"
	again attributes "640 1234 4321 981173106 2001-02-03 04:05:06.123456789 +0000" \
		"750 1234 4321 1012709106"
}

# The time is set while the file is being read.
utimens_while_filling() {
	local n

	begin
	for n in 1 2 3 4 5 6 7 8 9; do
		dd if="$TREE/big" of=/dev/null bs=64K skip=$((n * 5)) count=5 status=none &
		touch -d "@$((1000000000 + n))" "$TREE/big"
		it_equal "$(stat -c %Y "$TREE/big")" $((1000000000 + n)) "mtime"
	done
	wait
	it_same_file "$TREE/big" "$ORIGIN/big"
	it_equal "$(stat -c %Y "$TREE/big")" 1000000009 "mtime at the end"
}

symlink_attributes() {
	begin
	ln -s cold "$TREE/link"
	chown -h 1234:4321 "$TREE/link" "$TREE/origins"
	touch -h -d @1000000000 "$TREE/link" "$TREE/origins"
	it_equal "$(stat -c '%u %g %Y %N' "$TREE/link")" \
		"1234 4321 1000000000 '$TREE/link' -> 'cold'" "the link"
	it_equal "$(stat -c '%u %g %Y' "$TREE/origins")" "1234 4321 1000000000" "origin's link"
	it_equal "$(stat -c '%u %g' "$TREE/cold")" "0 0" "its target"
}

# ---- who ----

as_nobody() {
	timeout 20 setpriv --reuid 65534 --regid 65534 --clear-groups -- "$@"
}

owner_and_umask() {
	begin
	mkdir -m 777 "$TREE/all"
	chmod 777 "$TREE/b"
	# shellcheck disable=SC2016
	as_nobody bash -c 'cd "$1" && umask 027 && : >f && mkdir d && ln -s x l && mkfifo p &&
		umask 0 && : >g && mkdir h && : >../b/mine' - "$TREE/all"
	it_equal "$(cd "$TREE/all" && stat -c '%n %a %u %g' d f g h l p | tr '\n' ' ')" \
		"d 750 65534 65534 f 640 65534 65534 g 666 65534 65534 h 777 65534 65534 \
l 777 65534 65534 p 640 65534 65534 " "owner and mode"
	it_equal "$(stat -c '%u %g' "$TREE/b/mine")" "65534 65534" "in a directory of the origin"
	it_equal "$(cd "$CACHE/data/all" && stat -c '%n %a %u %g' d f | tr '\n' ' ')" \
		"d 750 65534 65534 f 640 65534 65534 " "in the cache"
	fails "Permission denied" as_nobody touch "$TREE/c/mine"
	fails "Operation not permitted" as_nobody chown 0 "$TREE/all/f"
	fails "Permission denied" as_nobody rm -f "$TREE/c/f"
	touch "$TREE/all/roots"
	it_equal "$(stat -c '%u %g' "$TREE/all/roots")" "0 0" "root's file"
}

setgid_directory() {
	begin
	mkdir "$TREE/team"
	chown 1000:2000 "$TREE/team"
	chmod 2777 "$TREE/team"
	as_nobody mkdir "$TREE/team/d"
	as_nobody touch "$TREE/team/f"
	it_equal "$(stat -c '%a %u %g' "$TREE/team/d" "$TREE/team/f" | tr '\n' ' ')" \
		"2755 65534 2000 644 65534 2000 " "inherited group"
	chmod 6755 "$TREE/team/f"
	chown 3000 "$TREE/team/f"
	it_equal "$(stat -c %a "$TREE/team/f")" 755 "mode after chown"
}

# A cut by somebody without CAP_FSETID.
suid_cleared() {
	begin
	cp /bin/true "$TREE/prog"
	chmod 6777 "$TREE/prog" "$TREE/cold"
	as_nobody truncate -s 10 "$TREE/prog"
	as_nobody truncate -s 10 "$TREE/cold"
	it_equal "$(stat -c %a "$TREE/prog" "$TREE/cold" | tr '\n' ' ')" "777 777 " "mode"
}

default_acl() {
	it_need setfacl
	begin
	setfacl -d -m u:1234:rwx,g::rx,o::- "$TREE/b"
	(
		umask 077
		touch "$TREE/b/file"
		mkdir "$TREE/b/dir"
	)
	it_equal "$(getfacl -cpE "$TREE/b/file" | tr '\n' ' ')" \
		"user::rw- user:1234:rwx group::r-x mask::rw- other::---  " "inherited"
	getfacl -cp "$TREE/b/dir" | grep -q '^default:user:1234:rwx' ||
		it_fail "a new directory does not pass it on"
	setfacl -m u:1234:rw "$TREE/cold"
	timeout 20 setpriv --reuid 1234 --regid 1234 --clear-groups test -w "$TREE/cold" ||
		it_fail "the ACL does not allow"
	chmod 600 "$TREE/cold"
	timeout 20 setpriv --reuid 1234 --regid 1234 --clear-groups test -w "$TREE/cold" &&
		it_fail "the mask does not forbid"
	it_same_file "$TREE/cold" "$ORIGIN/cold"
	setfacl -b "$TREE/cold"
	it_equal "$(stat -c %A "$TREE/cold")" "-rw-------" "without the ACL"
}

# ---- extended attributes ----

xattrs() {
	begin
	setfattr -n user.a -v 1 "$TREE/cold"
	setfattr -n user.b -v 2 "$TREE/a"
	setfattr -n trusted.mine -v 3 "$TREE/a"
	ln -s x "$TREE/link"
	setfattr -h -n trusted.mine -v 4 "$TREE/link"
	mkfifo "$TREE/pipe"
	setfattr -n trusted.mine -v 5 "$TREE/pipe"
	it_equal "$(getfattr -h --only-values -n trusted.mine "$TREE/link" "$TREE/pipe")" 45 \
		"of a link and a pipe"
	fails "not permitted" setfattr -h -n user.x -v 1 "$TREE/link"
	it_equal "$(getfattr --absolute-names -d -m '^(user|trusted.mine)' "$TREE/a" |
		grep -v '^#' | tr '\n' ' ')" 'trusted.mine="3" user.b="2"  ' "list"
	setfattr -x user.a "$TREE/cold"
	fails "No such attribute" getfattr -n user.a "$TREE/cold"
	as_nobody getfattr --absolute-names -d -m - "$TREE/a" | grep trusted &&
		it_fail "trusted attributes are shown to anybody"
	fails "File exists" py 'os.setxattr(a[0], "user.b", b"x", os.XATTR_CREATE)' "$TREE/a"
	fails "No data" py 'os.setxattr(a[0], "user.c", b"x", os.XATTR_REPLACE)' "$TREE/a"
	it_same_file "$TREE/cold" "$ORIGIN/cold"
}

hidden_state() {
	local name

	begin
	for name in trusted.hsm trusted.hsm.map; do
		fails "not permitted" setfattr -n $name -v x "$TREE/cold"
		fails "No such attribute" setfattr -x $name "$TREE/cold"
		fails "No such attribute" getfattr -n $name "$TREE/cold"
	done
	getfattr -d -m - "$TREE/cold" "$TREE/a" "$TREE" >attrs 2>&1
	grep -q hsm attrs && it_fail "shown: $(grep hsm attrs)"
	it_same_file "$TREE/cold" "$ORIGIN/cold"
}

# ---- the rest of the calls ----

tmpfile() {
	begin
	py 'os.open(a[0], os.O_TMPFILE | os.O_RDWR)' "$TREE/b" 2>err ||
		{ grep -q "not supported" err && it_skip "libfuse is older than 3.17"; }
	py 'd, to = a
f = os.open(d, os.O_TMPFILE | os.O_RDWR, 0o640)
assert os.fstat(f).st_nlink == 0
os.write(f, b"content")
os.link("/proc/self/fd/%d" % f, to, src_dir_fd=f, follow_symlinks=True)
assert os.fstat(f).st_nlink == 1, os.fstat(f)
g = os.open(d, os.O_TMPFILE | os.O_RDWR, 0o600)
libc("linkat", g, "", -100, to + "2", 0x1000)
e = os.open(d, os.O_TMPFILE | os.O_RDWR | os.O_EXCL, 0o600)
try:
    libc("linkat", e, "", -100, to + "3", 0x1000)
    sys.exit("O_EXCL got a name")
except FileNotFoundError:
    pass' "$TREE/b" "$TREE/c/named"
	it_equal "$(cat "$TREE/c/named")" content "content"
	it_equal "$(stat -c %a "$TREE/c/named")" 640 "mode"
}

rename_flags() {
	begin
	fails "File exists" py 'renameat2(a[0], a[1], 1)' "$TREE/cold" "$TREE/other"
	py 'renameat2(a[0], a[1], 2)' "$TREE/cold" "$TREE/other"
	it_same_file "$TREE/cold" "$ORIGIN/other"
	it_same_file "$TREE/other" "$ORIGIN/cold"
	if [ "$HSM_FS" != btrfs ]; then
		py 'renameat2(a[0], a[1], 4)' "$TREE/big" "$TREE/a/big"
		it_equal "$(stat -c '%F %t %T' "$TREE/big")" "character special file 0 0" "whiteout"
		it_same_file "$TREE/a/big" "$ORIGIN/big"
	fi
	fails "Invalid argument" py 'renameat2(a[0], a[1], 3)' "$TREE/cold" "$TREE/other"
	fails "Invalid argument" py 'os.rename(a[0], a[1])' "$TREE/c" "$TREE/c/sub/x2"
}

odd_names() {
	local long

	begin
	long=$(printf 'x%.0s' $(seq 255))
	py 'd, long = os.fsencode(a[0]), a[1].encode()
odd = [long, b"\xff\xfe", b"a\nb", b" ", b"-", b"...", b"*", "\u00e9".encode(), b"\\"]
for n in odd:
    os.close(os.open(d + b"/" + n, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    os.mkdir(d + b"/d" + n[:250])
    os.symlink(n, d + b"/l" + n[:250])
for n in odd:
    assert n in os.listdir(d), n
    os.rename(d + b"/" + n, d + b"/new")
    os.rename(d + b"/new", d + b"/" + n)
    os.unlink(d + b"/" + n)
    os.rmdir(d + b"/d" + n[:250])
    assert os.readlink(d + b"/l" + n[:250]) == n
    os.unlink(d + b"/l" + n[:250])
for f in os.mkdir, os.mkfifo, os.stat, os.unlink:
    try:
        f(d + b"/" + long + b"x")
        sys.exit("256 bytes")
    except OSError as e:
        assert e.errno == 36, e' "$TREE/b" "$long"
	it_equal "$(ls "$TREE/b")" "$(ls "$ORIGIN/b")" "what is left"
}

# What the kernel keeps of a directory follows every change of it.
same_view() {
	it_equal "$(cd "$TREE/b" && LC_ALL=C ls -A)" "$(cd "$CACHE/data/b" && LC_ALL=C ls -A)" \
		"names after $1"
	it_equal "$(stat -c '%h %s %Y %Z' "$TREE/b")" "$(stat -c '%h %s %Y %Z' "$CACHE/data/b")" \
		"attributes of the directory after $1"
}

kept_listing() {
	local d

	begin
	d=$TREE/b
	same_view "a listing"
	touch "$d/one" && same_view create
	mkdir "$d/two" && same_view mkdir
	ln -s x "$d/three" && same_view symlink
	mkfifo "$d/four" && same_view mknod
	ln "$TREE/cold" "$d/five" && same_view link
	mv "$d/one" "$d/six" && same_view rename
	mv "$TREE/c/f" "$d/seven" && same_view "rename into"
	mv "$d/six" "$TREE/c/f" && same_view "rename out of"
	mv "$TREE/c/sub" "$d/eight" && same_view "a directory moved into"
	rm "$d/three" && same_view unlink
	rmdir "$d/two" && same_view rmdir
	it_equal "$(stat -c %h "$TREE/cold")" 2 "links"
	rm "$d/five" && same_view unlink
	it_equal "$(stat -c %h "$TREE/cold")" 1 "links"
}

inode_flags() {
	it_need lsattr
	begin
	touch "$TREE/mine"
	lsattr "$TREE/mine" >/dev/null || it_skip "no inode flags here"
	chattr +d "$TREE/mine" "$TREE/cold" "$TREE/b"
	it_equal "$(lsattr -d "$TREE/mine" "$TREE/cold" "$TREE/b" | grep -c '^-*d')" 3 "flags"
	fails "not permitted" chattr +i "$TREE/cold"
	chattr +i "$TREE/mine"
	fails "not permitted" rm -f "$TREE/mine"
	chattr -i "$TREE/mine"
	rm "$TREE/mine"
	it_same_file "$TREE/cold" "$ORIGIN/cold"
	fails "Inappropriate ioctl" py 'import fcntl
fcntl.ioctl(os.open(a[0], os.O_RDONLY), 0x5401)' "$TREE/cold"
	py 'os.fsync(os.open(a[0], os.O_RDONLY))' "$TREE/b"
}

# The paper's file systems had no extended attributes.
no_xattrs() {
	begin
	fails "Operation not supported" getfattr -n user.a "$TREE/cold"
	fails "Operation not supported" setfattr -n user.a -v 1 "$TREE/cold"
	fails "Operation not supported" setfattr -x user.a "$TREE/cold"
}

# in_mode MODE FUNCTION: fuse_hsm's ways to talk to the kernel differ in what that keeps.
in_mode() {
	local MODE=$1

	"$BIN/fuse_hsm" --features | grep -q "^$MODE yes" || it_skip "no mode $MODE here"
	"$2"
}

mkdir -p "$ORIGIN"
for d in a b c d e g; do
	mkdir -p "$ORIGIN/$d/sub"
	echo "$d/f" >"$ORIGIN/$d/f"
	echo "$d/sub/x" >"$ORIGIN/$d/sub/x"
done
ln -s cold "$ORIGIN/origins"
it_random "$ORIGIN/cold" 1000000
it_random "$ORIGIN/other" 1000000
it_random "$ORIGIN/big" 4000000
it_case_on fuse "a name the origin has, nobody listed" exists
it_case_on fuse "O_CREAT finds a name nobody listed" create_finds
it_case_on fuse "unlink in a directory nobody listed" remove_unlisted
it_case_on fuse "rmdir of a directory nobody listed" rmdir_unlisted
it_case_on fuse "rename over a directory nobody listed" rename_over_unlisted
it_case_on fuse "rename between directories nobody listed" rename_between_unlisted
it_case_on fuse "unlink while the directory is listed" remove_while_listed
it_case_on fuse "killed while waiting for names" killed_waiting
it_case "a directory moved before it was listed" rename_unlisted
it_case "a hard link of a stub" hard_link
it_case "a stub removed while it is open" unlinked_open
it_case "a stub cut and grown" cut
it_case "a stub grown" grown
it_case "attributes of a stub survive" attributes_stay
it_case_on fuse "mtime set while a file is filled" utimens_while_filling
it_case "attributes of symbolic links" symlink_attributes
it_case "owner and umask" owner_and_umask
it_case "a set-group-id directory" setgid_directory
it_case "set-user-id is cleared" suid_cleared
it_case "default ACL" default_acl
it_case "extended attributes" xattrs
it_case_on fuse "the state is hidden" hidden_state
it_case "O_TMPFILE" tmpfile
it_case "rename flags" rename_flags
it_case "odd names" odd_names
it_case "listings and attributes follow changes" kept_listing
it_case_on fuse "inode flags" inode_flags
for m in base opt passthrough; do
	it_case_on fuse "$m: owner and umask" in_mode $m owner_and_umask
	it_case_on fuse "$m: a hard link of a stub" in_mode $m hard_link
	it_case_on fuse "$m: a stub removed while it is open" in_mode $m unlinked_open
	it_case_on fuse "$m: a stub cut and grown" in_mode $m cut
	it_case_on fuse "$m: mtime set while a file is filled" in_mode $m utimens_while_filling
	it_case_on fuse "$m: set-user-id is cleared" in_mode $m suid_cleared
	it_case_on fuse "$m: O_TMPFILE" in_mode $m tmpfile
	it_case_on fuse "$m: rename flags" in_mode $m rename_flags
	it_case_on fuse "$m: listings and attributes follow changes" in_mode $m kept_listing
done
it_case_on fuse "base: no extended attributes" in_mode base no_xattrs
it_case_on fuse "opt: no extended attributes" in_mode opt no_xattrs
it_case_on fuse "passthrough: default ACL" in_mode passthrough default_acl
it_end
