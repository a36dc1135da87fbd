#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Ordinary programs on cold and on warm files.
. "$(dirname "$0")/lib.sh"
it_init

ORIGIN=$HSM_WORK/origin

begin() {
	it_start "$ORIGIN"
	it_walk
}

# GNU tar says "file changed as we read it" and exits 1 when the ctime moves, and filling
# moves it; the archive is right.
tar_create() {
	local rc=0 turn

	begin
	for turn in cold warm; do
		timeout 120 tar -C "$TREE" -cf "$turn.tar" src 2>tar.err || rc=$?
		[ $rc = 0 ] || { [ $rc = 1 ] && [ $turn = cold ]; } || it_fail "tar: $(cat tar.err)"
		rc=0
		mkdir $turn
		tar -C $turn -xf $turn.tar
		diff -r "$ORIGIN/src" $turn/src || it_fail "the $turn archive is not the tree"
	done
}

tar_read() {
	begin
	mkdir out
	timeout 120 tar -C out -xzf "$TREE/src.tar.gz"
	diff -r "$ORIGIN/src" out/src || it_fail "extracted files differ"
	timeout 120 tar -tzf "$TREE/src.tar.gz" | cmp - <(tar -tzf "$ORIGIN/src.tar.gz")
}

zip_read() {
	it_need unzip zip
	begin
	timeout 60 unzip -l "$TREE/src.zip" >list
	tail -n +2 list | cmp - <(unzip -l "$ORIGIN/src.zip" | tail -n +2)
	timeout 60 unzip -tq "$TREE/src.zip"
	mkdir out
	timeout 60 unzip -q "$TREE/src.zip" -d out
	diff -r "$ORIGIN/src" out/src || it_fail "extracted files differ"
}

# On the cache's own file system cp asks for a reflink, which is seen.
copy() {
	begin
	timeout 60 cp -r "$TREE/src" "$FS/copy.$$"
	diff -r "$ORIGIN/src" "$FS/copy.$$" || it_fail "the copy differs"
	rm -rf "$FS/copy.$$"
	timeout 60 cat "$TREE/src.zip" >out.zip
	it_same_file out.zip "$ORIGIN/src.zip"
}

# cp looks for holes before it reads, and a sparse stub is one hole: fanotify has no event
# for that. Known, documented; here so that a change is noticed.
copy_elsewhere() {
	[ "$HSM_FRONTEND" = fuse ] || it_skip "known limit: cp finds a hole in a stub and" \
		"does not read it, without an event"
	begin
	timeout 60 cp "$TREE/src.zip" out.zip
	it_same_file out.zip "$ORIGIN/src.zip"
}

git_tree() {
	it_need git
	export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null
	export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'
	begin
	timeout 120 git clone -q --no-hardlinks "$TREE/repo" clone
	git -C clone fsck --strict 2>&1 | grep -v '^notice' | grep . && it_fail "git fsck"
	diff -r --exclude=.git "$ORIGIN/repo" clone || it_fail "the clone differs"
	timeout 60 git -C "$TREE/repo" --no-optional-locks status --porcelain >status ||
		it_fail "git status"
	[ ! -s status ] || it_fail "git status sees changes: $(head -n 3 status)"
	timeout 60 git -C "$TREE/repo" log --oneline | cmp - <(git -C "$ORIGIN/repo" log --oneline)
}

database() {
	it_need sqlite3
	begin
	it_equal "$(timeout 60 sqlite3 "file:$TREE/db.sqlite?mode=ro&immutable=1" \
		'PRAGMA integrity_check; SELECT sum(n), count(*) FROM t WHERE n % 7 = 0')" \
		"$(sqlite3 "$ORIGIN/db.sqlite" \
			'PRAGMA integrity_check; SELECT sum(n), count(*) FROM t WHERE n % 7 = 0')"
}

checksums() {
	begin
	(cd "$TREE" && timeout 120 md5sum -c --quiet "$ORIGIN/../sums") || it_fail "cold"
	(cd "$TREE" && timeout 120 md5sum -c --quiet "$ORIGIN/../sums") || it_fail "warm"
	it_stop
	it_start "$ORIGIN"
	(cd "$TREE" && timeout 120 md5sum -c --quiet "$ORIGIN/../sums") || it_fail "restarted"
	it_equal "$(it_counter bytes_fetched)" 0 "bytes fetched again"
}

# read, readv, mmap, sendfile, copy_file_range, from both ends.
system_calls() {
	it_need python3
	begin
	timeout 120 python3 - "$TREE" "$ORIGIN" <<-'END' || it_fail "bytes differ"
		import mmap, os, sys
		tree, origin = (d + '/calls/' for d in sys.argv[1:])

		def pair(name):
		    return os.open(tree + name, os.O_RDONLY), open(origin + name, 'rb').read()

		fd, want = pair('mmap')
		m = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
		assert m[-10000:] == want[-10000:] and m[:] == want, 'mmap'

		fd, want = pair('mmap-part')
		m = mmap.mmap(fd, 65536, prot=mmap.PROT_READ, offset=262144)
		assert m[:] == want[262144:262144 + 65536], 'mmap of a part'

		fd, want = pair('preadv')
		bufs = [bytearray(1000), bytearray(100000)]
		assert os.preadv(fd, bufs, 4000) == 101000
		assert bytes(bufs[0] + bufs[1]) == want[4000:105000], 'preadv'

		fd, want = pair('sendfile')
		out = os.open('sent', os.O_RDWR | os.O_CREAT | os.O_TRUNC)
		while os.sendfile(out, fd, None, 1 << 20):
		    pass
		assert os.pread(out, len(want) + 1, 0) == want, 'sendfile'

		fd, want = pair('copy')
		out = os.open('copied', os.O_RDWR | os.O_CREAT | os.O_TRUNC)
		try:
		    while os.copy_file_range(fd, out, 1 << 20):
		        pass
		except OSError as e:
		    assert e.errno in (18, 95), e
		else:
		    assert os.pread(out, len(want) + 1, 0) == want, 'copy_file_range'

		fd, want = pair('end')
		assert os.pread(fd, 100, len(want) - 50) == want[-50:], 'across the end'
		assert os.pread(fd, 100, len(want)) == b'', 'at the end'
		assert os.pread(fd, 100, len(want) + 1000000) == b'', 'behind the end'

		fd, want = pair('backwards')
		for at in range(len(want) - 4096, -1, -4096):
		    assert os.pread(fd, 4096, at) == want[at:at + 4096], at

		fd = os.open(tree + 'direct', os.O_RDONLY | os.O_DIRECT)
		want = open(origin + 'direct', 'rb').read()
		buf = mmap.mmap(-1, 65536)
		assert os.preadv(fd, [buf], 131072) == 65536
		assert buf[:] == want[131072:196608], 'O_DIRECT'
	END
}

execute() {
	begin
	it_equal "$(timeout 20 "$TREE/bin/echo" cold)" cold "a program run from the tree"
	it_equal "$(timeout 20 "$TREE/bin/script")" "from a script" "a script"
}

make_origin() {
	local i

	mkdir -p "$ORIGIN"/{src/include,calls,bin,repo}
	cp /usr/include/*.h "$ORIGIN/src/include/"
	cp /usr/include/linux/[a-f]*.h "$ORIGIN/src/"
	tar -C "$ORIGIN" -czf "$ORIGIN/src.tar.gz" src
	(cd "$ORIGIN" && zip -qr src.zip src)
	for i in mmap mmap-part preadv sendfile copy end backwards direct; do
		it_random "$ORIGIN/calls/$i" 524288
	done
	it_random "$ORIGIN/calls/end" 100001
	cp /bin/echo "$ORIGIN/bin/echo"
	printf '#!/bin/sh\necho from a script\n' >"$ORIGIN/bin/script"
	chmod 755 "$ORIGIN/bin/script"
}

make_repository() {
	cp "$ORIGIN"/src/*.h "$ORIGIN/repo/"
	(
		export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null
		export GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t
		cd "$ORIGIN/repo" && git init -q -b main && git add . && git commit -qm one &&
			echo two >two && git add . && git commit -qm two && git gc -q
	)
}

make_origin
! command -v git >/dev/null || make_repository
! command -v sqlite3 >/dev/null || sqlite3 "$ORIGIN/db.sqlite" 'CREATE TABLE t(n INTEGER, s TEXT);
	WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 50000)
	INSERT INTO t SELECT n, hex(n * 7919) FROM c; CREATE INDEX i ON t(s);'
(cd "$ORIGIN" && find src calls bin -type f -print0 | xargs -0 md5sum) >"$HSM_WORK/sums"
it_case "tar c" tar_create
it_case "tar x, tar t" tar_read
it_case "unzip" zip_read
it_case "cp" copy
it_case "cp to another file system" copy_elsewhere
it_case "git" git_tree
it_case "sqlite3" database
it_case "md5sum -c" checksums
it_case "system calls" system_calls
it_case "execute" execute
it_end
