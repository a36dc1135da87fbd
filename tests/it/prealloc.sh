#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# FS-FAN: ext4 btrfs
# --stubs prealloc: a stub has all its blocks from the beginning, so no tool takes it for a hole.
. "$(dirname "$0")/lib.sh"
it_init

ORIGIN=$HSM_WORK/origin
SIZE=3000000

begin() {
	it_start --stubs prealloc --chunk 64K --readahead 0 "$ORIGIN"
	it_walk
}

blocks() {
	stat -c %b "$CACHE/data/$1"
}

# Allocated, of the right length, and silent about it: nothing was fetched for that.
allocated() {
	begin
	it_at_least "$(blocks file)" $((SIZE / 512)) "blocks of a stub"
	it_equal "$(stat -c %s "$TREE/file")" $SIZE size
	it_equal "$(it_counter bytes_fetched)" 0 "bytes fetched"
	it_equal "$(stat -c %.9Y "$TREE/file")" "$(stat -c %.9Y "$ORIGIN/file")" mtime
}

# Whatever copies, copies bytes. Behind fuse_hsm that is so with any stub.
copies() {
	local n=0 how

	begin
	for how in "cp" "cp --reflink=never" "cp --sparse=auto" "install -m 600" "dd status=none"; do
		n=$((n + 1))
		case $how in
		dd*) timeout 30 dd status=none if="$TREE/c$n" of="$CASE/copy" ;;
		*) timeout 30 $how "$TREE/c$n" "$CASE/copy" ;;
		esac
		it_same_file "$CASE/copy" "$ORIGIN/c$n"
		rm "$CASE/copy"
	done
	timeout 30 tar -cSf "$CASE/tar" -C "$TREE" c6 2>/dev/null || [ $? = 1 ]
	tar -xf "$CASE/tar" -O c6 | cmp - "$ORIGIN/c6" || it_fail "tar -S"
	timeout 30 grep -q "line 1999" "$TREE/text" || it_fail "grep finds nothing"
	timeout 30 grep "line 1999" "$TREE/text" | grep -v "^line" && it_fail "grep takes it for binary"
	return 0
}

# Chunks in any order, then the map of them after a kill and after a stop.
fills() {
	local i

	begin
	for i in 7 3 30 12; do
		dd if="$TREE/file" bs=64K skip=$i count=1 status=none >piece
		dd if="$ORIGIN/file" bs=64K skip=$i count=1 status=none | cmp - piece
	done
	it_kill9
	begin
	printf user | dd of="$TREE/file" bs=1 seek=100000 conv=notrunc status=none
	it_stop
	begin
	cp "$ORIGIN/file" model
	printf user | dd of=model bs=1 seek=100000 conv=notrunc status=none
	it_same_file "$TREE/file" model
}

# Pages of what is not written yet look like data while they are cached: they are nobody's.
touched() {
	begin
	it_stop
	cat "$CACHE/data/file" >/dev/null
	touch "$CACHE/data/file"
	begin
	it_same_file "$TREE/file" "$ORIGIN/file"
}

# What was given back is given back: the file is sparse from then on.
evicted() {
	begin
	it_same_file "$TREE/file" "$ORIGIN/file"
	it_wait_until 5 evicts || it_fail "not evicted"
	it_at_most "$(blocks file)" 16 "blocks after the eviction"
	it_same_file "$TREE/file" "$ORIGIN/file"
}

evicts() {
	it_hsmctl evict "$CACHE" file && [ "$(blocks file)" -le 16 ]
}

refreshed() {
	begin
	it_same_file "$TREE/file" "$ORIGIN/file"
	it_random "$ORIGIN/new" 400000
	mv "$ORIGIN/new" "$ORIGIN/text2"
	cp "$ORIGIN/text2" "$ORIGIN/c1"
	it_hsmctl refresh "$CACHE"
	it_at_least "$(blocks text2)" $((400000 / 512)) "blocks of a new name"
	it_at_least "$(blocks c1)" $((400000 / 512)) "blocks of a new version"
	it_same_file "$TREE/c1" "$ORIGIN/c1"
	it_same_file "$TREE/text2" "$ORIGIN/text2"
	rm "$ORIGIN/text2"
}

# Names that do not fit are an error of their directory, never stubs of another kind.
full() {
	local small=$HSM_WORK/full.${CASE##*.}

	CACHE=$small/cache
	it_mkfs "$HSM_FS" 330M "$small"
	mkdir "$CACHE" "$HSM_WORK/large" "$HSM_WORK/large/dir"
	truncate -s 2G "$HSM_WORK/large/dir/huge"
	it_start --stubs prealloc --namespace lazy "$HSM_WORK/large"
	ls "$TREE" >/dev/null
	! timeout 30 ls "$TREE/dir" >out 2>err || it_fail "a directory without room was listed"
	grep -q "No space left" err || it_fail "$(cat err)"
	[ ! -s out ] || it_fail "names: $(cat out)"
	truncate -s 1M "$HSM_WORK/large/dir/huge"
	timeout 30 ls "$TREE/dir" >out || it_fail "not tried again"
	it_equal "$(cat out)" huge names
	it_same_file "$TREE/dir/huge" "$HSM_WORK/large/dir/huge"
}

mkdir -p "$ORIGIN"
it_random "$ORIGIN/file" $SIZE
for n in 1 2 3 4 5 6; do
	it_random "$ORIGIN/c$n" 300000
done
seq -f "line %.0f" 1 20000 >"$ORIGIN/text"
it_case "allocated" allocated
it_case "copies" copies
it_case "fills" fills
it_case "touched while no daemon ran" touched
it_case "evicted" evicted
it_case "refreshed" refreshed
it_case "file system full" full
it_end
