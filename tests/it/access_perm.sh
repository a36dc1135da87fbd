#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# FS: ext4 btrfs
# FRONT-END: fan
# --events access-perm: files fill from the front, in the order they are read; what cannot be had so is
# denied. What raises no event reads zeros, or writes over nothing: the limits in docs/marks.md.
. "$(dirname "$0")/lib.sh"
it_init

ORIGIN=$HSM_WORK/origin
CHUNK=65536

start() {
	it_start --events access-perm --readahead 0 "$@" "$ORIGIN"
	it_walk
}

# Of a file of which something is missing.
missing() {
	[ "$(getfattr --only-values -n trusted.hsm "$1" 2>/dev/null | od -An -tu1 -j2 -N1)" -eq 0 ]
}

in_order() {
	local bs

	for bs in 512 4096 65536 100000 1M 16M; do
		it_command
		dd if="$TREE/order.$bs" bs=$bs status=none | cmp - "$ORIGIN/order.$bs" ||
			it_fail "read in pieces of $bs"
	done
}

sequential() {
	start "$@"
	in_order
	it_same_file "$TREE/cat" "$ORIGIN/cat"
	cat "$TREE/small" | cmp - "$ORIGIN/small"
	tail -c +1 "$TREE/tail" | cmp - "$ORIGIN/tail"
	timeout 60 diff -r "$ORIGIN" "$TREE"
	it_equal "$(it_hsmctl --json status "$CACHE" | jq -r .marks.event)" access-perm "the event"
}

# Several who read the same file at their own speed.
parallel() {
	local i

	start "$@"
	for i in 1 2 3 4; do
		dd if="$TREE/cat" bs=$((i * 10000)) status=none | cmp - "$ORIGIN/cat" &
	done
	for i in 1 2 3 4; do
		wait -n || it_fail "a reader got something else"
	done
}

# pieces "OFFSET LENGTH WANTED"...: with pread(2), in this order: ok, EIO, or zeros, false.
pieces() {
	printf '%s\n' "$@" >want
	timeout -k 2 60 python3 - "$TREE/cat" "$ORIGIN/cat" >got <<-'END'
		import errno, os, sys
		fd, original = os.open(sys.argv[1], os.O_RDONLY), os.open(sys.argv[2], os.O_RDONLY)
		for line in open("want"):
		    offset, length, _ = line.split()
		    want = os.pread(original, int(length), int(offset))
		    try:
		        got = os.pread(fd, int(length), int(offset))
		        said = "ok" if got == want else "zeros" if not any(got) else "false"
		    except OSError as e:
		        said = errno.errorcode[e.errno]
		    print(offset, length, said)
	END
	diff want got || it_fail "some pieces are not what they should be"
}

random_reads() {
	start "$@"
	# Far behind, and a chunk too far.
	pieces "1000000 100 EIO" "$((CHUNK + 1)) 4096 EIO"
	it_equal "$(it_counter bytes_fetched)" 0 "fetched for what is denied"
	pieces "100 100 ok" "200 100 ok"
	it_equal "$(it_counter bytes_fetched)" $CHUNK "the first chunk"
	# The next one, the one after the next, and a long one that begins in what is filled.
	pieces "$((CHUNK + 1000)) 100 ok" "$((3 * CHUNK)) 100 EIO" "$((CHUNK + 5)) $((5 * CHUNK)) ok"
	it_equal "$(it_counter bytes_fetched)" $((7 * CHUNK)) "as far as it goes"
	pieces "9000000 10 ok"
	it_same_file "$TREE/cat" "$ORIGIN/cat"
	pieces "1000000 100 ok"
}

# What else reads: known system calls, and those that are not.
callers() {
	start "$@"
	timeout 30 python3 - "$TREE" "$ORIGIN" <<-'END'
		import os, sys
		tree, origin = sys.argv[1:]
		def true(name):
		    return open(f"{origin}/{name}", "rb").read()
		def fd(name):
		    return os.open(f"{tree}/{name}", os.O_RDONLY)
		a, b = bytearray(3000), bytearray(200000)
		assert os.readv(fd("readv"), [a, b]) == 203000 and a + b == true("readv")[:203000]
		a, b = bytearray(3000), bytearray(20000)
		f = fd("preadv")
		assert os.preadv(f, [a, b], 10) == 23000 and a + b == true("preadv")[10:23010]
		r, w = os.pipe()
		assert os.splice(fd("splice"), w, 50000) == 50000
		assert os.read(r, 50000) == true("splice")[:50000]
		assert os.sendfile(w, fd("sendfile"), 0, 50000) == 50000
		assert os.read(r, 50000) == true("sendfile")[:50000]
		t = os.open(f"{tree}/../copy", os.O_RDWR | os.O_CREAT, 0o600)
		n = os.copy_file_range(fd("copy"), t, 70000) # xfs shares whole blocks only
		assert n >= 65536 and os.pread(t, n, 0) == true("copy")[:n]
	END
}

# execve reads in the kernel: nobody can tell where.
program() {
	start "$@"
	"$TREE/program" 2>said && it_fail "it ran"
	grep -q "Input/output error" said || it_fail "$(cat said)"
	it_same_file "$TREE/program" "$ORIGIN/program"
	"$TREE/program" || it_fail "complete, it does not run"
}

# The same for sharing blocks.
reflink() {
	start "$@"
	cp --reflink=always "$TREE/share" "$FS/share" 2>said && it_fail "zeros were shared"
	grep -q "Input/output error\|not supported" said || it_fail "$(cat said)"
	it_same_file "$TREE/share" "$ORIGIN/share"
}

# ---- the limits ----

mapped() {
	start "$@"
	timeout 30 python3 - "$TREE/map" "$ORIGIN/map" <<-'END'
		import mmap, sys
		f = open(sys.argv[1], "rb")
		m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
		assert not any(m[:]), "a mapping raised an event"
	END
	it_same_file "$TREE/map" "$ORIGIN/map"
}

# What was written into a missing chunk stays when the rest of the chunk comes; nothing else is lost.
written() {
	start "$@"
	printf WRITTEN | dd of="$TREE/write" bs=1 seek=8192 conv=notrunc status=none
	cp "$ORIGIN/write" want
	printf WRITTEN | dd of=want bs=1 seek=8192 conv=notrunc status=none
	sync -f "$TREE/write"
	cmp -n 8192 "$TREE/write" want || it_fail "before the page that was written"
	cmp -i 8192 -n 7 "$TREE/write" want || it_fail "what was written"
	cmp -i 12288 "$TREE/write" want || it_fail "behind the page"
	# The rest of the page is what the write found there: zeros of the stub.
	dd if="$TREE/write" bs=1 skip=8199 count=4089 status=none | tr -d '\0' | wc -c >rest
	it_equal "$(cat rest)" 0 "bytes of the origin in the page that was written"
}

# A cut is seen by the next event; if the file has grown by then, what was cut off comes back.
cut() {
	start "$@"
	truncate -s 100000 "$TREE/cut"
	head -c 100000 "$ORIGIN/cut" >want
	it_same_file "$TREE/cut" want
	truncate -s 300000 "$TREE/cut" want
	it_same_file "$TREE/cut" want
	truncate -s 100000 "$TREE/again"
	truncate -s 300000 "$TREE/again"
	# The page that holds the cut, 98304 to 102400, may be all zeros: growing the file wrote it.
	cmp -n 98304 "$TREE/again" "$ORIGIN/again" || it_fail "before the page of the cut"
	tail -c +102401 "$TREE/again" | tr -d '\0' | wc -c >rest
	[ "$(cat rest)" = 0 ] || cmp -i 102400 -n 197600 "$TREE/again" "$ORIGIN/again" ||
		it_fail "behind the page of the cut: neither zeros nor the origin's"
}

# A file that is not of the cache is no business of the daemon's.
others() {
	start "$@"
	it_random "$FS/other" 1000000
	cp "$FS/other" "$CASE/other"
	it_equal "$(cmp "$FS/other" "$CASE/other" && echo same)" same "a file beside the cache"
	cp "$CASE/other" "$TREE/mine"
	it_same_file "$TREE/mine" "$CASE/other"
}

mkdir -p "$ORIGIN"
for bs in 512 4096 65536 100000 1M 16M; do
	it_random "$ORIGIN/order.$bs" 700001
done
for name in cat tail readv preadv splice sendfile copy map write cut again share; do
	it_random "$ORIGIN/$name" 2000000
done
printf small >"$ORIGIN/small"
: >"$ORIGIN/empty"
cp /bin/true "$ORIGIN/program"
head -c 300000 "$ORIGIN/tail" >>"$ORIGIN/program"

for marks in fs mount dir inode; do
	it_case "in order, $marks" sequential --marks $marks
	it_case "random reads, $marks" random_reads --marks $marks
	it_case "local files, $marks" others --marks $marks
done
it_case "several readers" parallel
it_case "system calls that read" callers
it_case "execve" program
it_case "reflink" reflink
it_case "limit: a mapping" mapped
it_case "limit: a write" written
it_case "limit: truncate" cut
it_end
