#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# An origin that fails or lies: the reader gets EIO, never zeros, never somebody else's bytes;
# when the origin is well again, so is the file.
. "$(dirname "$0")/lib.sh"
it_init

ORIGIN=$HSM_WORK/origin
QUICK="--retries 1 --timeout 2s"

begin() {
	it_origin "$ORIGIN"
	# shellcheck disable=SC2086
	it_start $QUICK "$URL"
	it_walk
}

# fault_then_well RULE: also with a part of the file read before.
fault_then_well() {
	begin
	it_fault "$1"
	it_read_fails "$TREE/file" "$ORIGIN/file"
	it_fault
	it_same_file "$TREE/file" "$ORIGIN/file"
	timeout 20 head -c 100 "$TREE/half" | cmp -n 100 - "$ORIGIN/half"
	it_fault "${1/file/half}"
	it_read_fails "$TREE/half" "$ORIGIN/half"
	it_fault
	it_same_file "$TREE/half" "$ORIGIN/half"
}

# What readers were told is in the statistics.
counted() {
	begin
	it_fault "/file status 500"
	it_read_fails "$TREE/file" "$ORIGIN/file"
	it_at_least "$(it_counter origin_errors)" 1 "origin errors"
	it_at_least "$(it_counter fill_errors)" 1 "fill errors"
}

# fault_stays RULE: the object is not the one the stub describes.
fault_stays() {
	begin
	it_fault "$1"
	it_read_fails "$TREE/file" "$ORIGIN/file"
	it_read_fails "$TREE/file" "$ORIGIN/file"
	it_same_file "$TREE/other" "$ORIGIN/other"
}

# A 503 that passes costs a retry and nothing else.
passing() {
	it_origin "$ORIGIN"
	it_start --retries 3 "$URL"
	it_walk
	it_fault "/file status 503 2"
	it_same_file "$TREE/file" "$ORIGIN/file"
	it_at_least "$(it_counter origin_retries)" 1 "retries"
	it_equal "$(it_counter fill_errors)" 0 "fill errors"
}

# Fetched under one ETag, the rest under another: a mixture must never come out.
changed_etag() {
	begin
	timeout 20 head -c 4096 "$TREE/file" | cmp -n 4096 - "$ORIGIN/file"
	it_fault "/file etag 0"
	it_read_fails "$TREE/file" "$ORIGIN/file"
}

# Same, and the server has no ETag: the time of the change tells.
changed_content() {
	cp -r "$ORIGIN" copy
	it_origin "$CASE/copy"
	# shellcheck disable=SC2086
	it_start $QUICK "$URL"
	it_walk
	timeout 20 head -c 4096 "$TREE/file" | cmp -n 4096 - "$ORIGIN/file"
	it_random copy/new 8388608
	touch -d '2020-02-02 02:02:02' copy/new
	mv copy/new copy/file
	it_read_fails "$TREE/file" "$ORIGIN/file"
}

# Another size behind a name already listed, before the first byte was read.
changed_size() {
	cp -r "$ORIGIN" copy
	it_origin "$CASE/copy"
	# shellcheck disable=SC2086
	it_start $QUICK "$URL"
	it_walk
	"$@" copy/file
	it_read_fails "$TREE/file" "$ORIGIN/file"
}

grow() {
	head -c 5000 /etc/services >>"$1"
}

shrink() {
	truncate -s 5000000 "$1"
}

# The mirror lies as well: the file was cut, replaced or taken away.
mirror_changed() {
	cp -rp "$ORIGIN" copy
	it_start "$CASE/copy"
	it_walk
	truncate -s 100 copy/file
	it_read_fails "$TREE/file" "$ORIGIN/file"
	rm copy/other
	it_read_fails "$TREE/other" "$ORIGIN/other"
}

# Nothing listens: EIO in good time, well again when it listens.
refused() {
	begin
	it_fault "* refuse"
	it_read_fails "$TREE/file" "$ORIGIN/file"
	it_fault
	sleep 0.3
	it_same_file "$TREE/file" "$ORIGIN/file"
}

# No byte for longer than --timeout.
stalled() {
	begin
	it_fault "$1"
	IT_READ_LIMIT=40 it_read_fails "$TREE/file" "$ORIGIN/file"
	it_fault
	it_same_file "$TREE/file" "$ORIGIN/file"
}

# A directory that cannot be listed is an error, not an empty directory, and not for ever.
listing_fails() {
	it_origin "$ORIGIN"
	# shellcheck disable=SC2086
	it_start --namespace lazy $QUICK "$URL"
	ls "$TREE" >/dev/null
	it_fault "/dir/ status 500"
	timeout 20 ls "$TREE/dir" >list && it_fail "listed a directory the origin refused"
	[ ! -s list ] || it_fail "names out of nowhere"
	it_fault
	it_equal "$(timeout 20 ls "$TREE/dir")" inside "names afterwards"
}

# A server without ranges: whole files are still right (or refused), never wrong.
no_ranges() {
	begin
	it_fault "* no-range"
	if it_read "$TREE/file"; then
		cmp read.out "$ORIGIN/file" || it_fail "false bytes"
	else
		it_read_fails "$TREE/file" "$ORIGIN/file"
	fi
}

mkdir -p "$ORIGIN/dir"
for f in file half other; do
	it_random "$ORIGIN/$f" 8388608
	touch -d '2022-09-20 12:00:00' "$ORIGIN/$f"
done
echo inside >"$ORIGIN/dir/inside"

it_case "404" fault_then_well "/file status 404"
it_case "403" fault_then_well "/file status 403"
it_case "500" fault_then_well "/file status 500"
it_case "errors are counted" counted
it_case "503 twice" passing
it_case "short body" fault_then_well "/file short 1000"
it_case "Content-Range at another offset" fault_then_well "/file range-offset 4096"
it_case "Content-Range of another total" fault_stays "/file range-total 1"
it_case "body longer than its range" fault_then_well "/file length 100"
it_case "body shorter than its range" fault_then_well "/file length -100"
it_case "redirect loop" fault_then_well "/file redirect-loop"
it_case "changed ETag" changed_etag
it_case "changed content" changed_content
it_case "grown file" changed_size grow
it_case "cut file" changed_size shrink
it_case "changed mirror" mirror_changed
it_case "connection refused" refused
it_case "no answer" stalled "/file stall 6000"
it_case "stops in the body" stalled "/file stall-body 1000 6000"
it_case "directory listing fails" listing_fails
it_case "server without ranges" no_ranges
it_end
