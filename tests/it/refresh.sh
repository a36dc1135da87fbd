#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# FS: ext4 btrfs
# The tree follows the origin: hsmctl refresh and --refresh. What users changed stays, and nobody
# reads two versions of a file in one.
. "$(dirname "$0")/lib.sh"
it_init

# A small tree with times of its own, so that a change is one for indexes of any precision.
make_origin() {
	mkdir -p o/d/e o/gone/deep o/swap
	printf 'a-one' >o/a
	it_random o/big 3000000
	printf 'b' >o/b
	printf 'x' >o/d/x
	printf 'y' >o/d/e/y
	printf 'g' >o/gone/deep/g
	printf 's' >o/swap/s
	printf 'f' >o/flip
	[ "${1:-}" = nolinks ] || ln -s a o/link
	old_times
}

old_times() {
	find o -exec touch -h -d '2020-02-03 04:05:06' {} +
}

change_origin() {
	printf 'a-two, longer' >o/a
	it_random o/big2 3000000
	mv o/big2 o/big
	rm -r o/b o/gone o/swap o/flip
	printf 'new' >o/new
	mkdir -p o/newd/sub o/flip
	printf 'z' >o/newd/sub/z
	printf 'now a file' >o/swap
	printf 'now below' >o/flip/below
	[ "${1:-}" = nolinks ] || ln -sfn new o/link
	find o -newermt 2021-01-01 -exec touch -h -d '2022-03-04 05:06:07' {} +
}

# start_on KIND [OPTION...]: mirror, or an origin server with this kind of index.
start_on() {
	local kind=$1

	shift
	if [ "$kind" = mirror ]; then
		it_start "$@" "$CASE/o"
	else
		it_origin "$CASE/o" -i "$kind"
		it_start "$@" "$URL"
	fi
}

# refresh [PATH]: leaves the totals in totals.json.
refresh() {
	it_hsmctl --json refresh "$CACHE" "$@" >totals.json
}

total() {
	jq -e ".$1" totals.json
}

# totals ADDED REMOVED REPLACED CONFLICTS ERRORS
totals() {
	it_equal "$(total added) $(total removed) $(total replaced) $(total conflicts) $(total errors)" \
		"$*" "added removed replaced conflicts errors"
}

same_trees() {
	it_manifest "$CASE/o" >want
	it_manifest "$TREE" >have
	diff have want || it_fail "the tree is not that of the origin"
}

changes() {
	local links=nolinks

	[ "$1" != mirror ] || links=
	make_origin $links
	start_on "$1"
	it_walk
	cat "$TREE/a" "$TREE/b" "$TREE/big" >/dev/null
	refresh
	totals 0 0 0 0 0
	it_equal "$(total dirs)" 6 "directories"
	[ ! -e "$TREE/new" ] || it_fail "a name that is not there yet"
	change_origin $links
	refresh
	# b, gone (3), swap (2); swap comes again
	it_equal "$(total errors) $(total conflicts) $(total removed)" "0 0 6" "errors, conflicts, removed"
	same_trees
	refresh
	totals 0 0 0 0 0
	it_stop
	it_start "${URL:-$CASE/o}"
	same_trees
}

# Nothing has changed: nothing is written, and nothing but listings asked.
no_change() {
	make_origin nolinks
	start_on "$1"
	it_walk
	cat "$TREE/a" >/dev/null
	head -c 1 "$TREE/big" >/dev/null
	find "$CACHE/data" -printf '%p %i %T@ %C@ %s\n' | sort >before
	refresh
	find "$CACHE/data" -printf '%p %i %T@ %C@ %s\n' | sort >after
	totals 0 0 0 0 0
	# A file half-filled is stamped some time later.
	diff <(grep -v /big before) <(grep -v /big after) || it_fail "a refresh wrote something"
}

# Sizes are exact, times are not: only what was fetched is asked for.
same_minute() {
	make_origin nolinks
	start_on html
	it_walk
	cat "$TREE/a" "$TREE/b" >/dev/null
	printf 'a-two' >o/a
	touch -d '2020-02-03 04:05:07' o/a
	refresh
	totals 0 0 1 0 0
	it_equal "$(cat "$TREE/a")" a-two "content"
	it_at_most "$(it_counter origin_heads)" 2 "HEAD requests"
}

# A refresh of one directory leaves the others as they are.
below_path() {
	make_origin
	start_on mirror
	it_walk
	change_origin
	printf 'x2-longer' >o/d/x
	printf 'more' >o/d/more
	refresh d
	totals 1 0 1 0 0
	it_equal "$(total dirs)" 2 "directories"
	[ ! -e "$TREE/new" ] || it_fail "a name outside the path"
	it_equal "$(cat "$TREE/d/more" "$TREE/d/x")" morex2-longer "content"
	refused nothing "No such file"
	refused a "Not a directory"
}

# refused PATH TEXT
refused() {
	local rc=0

	it_hsmctl refresh "$CACHE" "$1" >out 2>err || rc=$?
	it_equal $rc 1 "exit code"
	grep -q "$2" err || it_fail "the message is: $(cat err)"
}

# Only what somebody has looked into is listed.
not_populated() {
	make_origin
	start_on mirror --namespace lazy
	ls "$TREE" >/dev/null
	refresh
	it_equal "$(total dirs)" 1 "directories"
	change_origin
	refresh
	it_equal "$(total dirs)" 1 "directories"
	it_walk
	same_trees
}

# In mode ahead a path below a new directory is found without a listing of it, in eager any path.
namespaces() {
	make_origin
	start_on mirror --namespace "$1"
	it_walk
	change_origin
	refresh
	it_equal "$(total errors)" 0 "errors"
	[ -d "$TREE/newd/sub" ] || it_fail "newd/sub is not there"
	[ "$1" = ahead ] || it_equal "$(cat "$TREE/newd/sub/z")" z "a path nobody listed"
	same_trees
}

# What was looked up and not found, and listed, is found and listed after the refresh.
negative_names() {
	make_origin
	start_on mirror
	it_walk
	cat "$TREE/new" 2>/dev/null && it_fail "a name that is not there yet"
	ls -l "$TREE" "$TREE/d" >/dev/null
	change_origin
	printf 'x' >o/d/late
	refresh
	it_equal "$(cat "$TREE/new")" new "content"
	it_equal "$(ls "$TREE/d")" $'e\nlate\nx' "names of d"
	it_equal "$(ls "$TREE")" $'a\nbig\nd\nflip\nlink\nnew\nnewd\nswap' "names of the root"
	[ ! -e "$TREE/b" ] || it_fail "a removed name is still there"
}

directory_times() {
	make_origin
	start_on mirror
	it_walk
	printf 'more' >o/d/more
	rm -r o/gone
	touch -d '2022-03-04 05:06:07' o/d
	refresh
	it_equal "$(stat -c %Y "$TREE/d")" "$(stat -c %Y o/d)" "mtime of d"
	it_equal "$(stat -c %Y "$TREE/d/e")" "$(stat -c %Y o/d/e)" "mtime of d/e"
}

# ---- readers ----

# reader_in_the_middle KIND: has the first half, then the file changes under it.
reader_in_the_middle() {
	local rc=0 half=8388608

	mkdir o
	it_random o/file $((2 * half))
	cp o/file v1
	touch -d '2020-02-03 04:05:06' o/file
	start_on "$1" --readahead 0 --retries 0
	it_walk
	exec 7<"$TREE/file"
	timeout 20 dd bs=1M count=8 iflag=fullblock status=none <&7 >first
	it_random v2 $((2 * half))
	cp v2 o/next
	touch -d '2022-03-04 05:06:07' o/next
	[ "${2:-}" = in-place ] && cp o/next o/file && touch -r o/next o/file || mv o/next o/file
	rm -f o/next
	refresh
	totals 0 0 1 0 0
	timeout 20 cat <&7 >second 2>err || rc=$?
	it_equal $rc 1 "exit code of a reader who needs what has gone"
	grep -q "Input/output error" err || it_fail "$(cat err)"
	cat first second >both
	it_at_least "$(stat -c %s both)" $half "bytes read"
	cmp -n "$(stat -c %s both)" both v1 || it_fail "two versions in one"
	it_same_file "$TREE/file" v2
	exec 7<&-
}

# Who has all of the old one keeps it.
complete_and_open() {
	make_origin
	start_on mirror
	it_walk
	cat "$TREE/big" >old
	exec 7<"$TREE/big"
	change_origin
	refresh
	cmp old - <&7 || it_fail "an open file changed"
	exec 7<&-
	it_same_file "$TREE/big" o/big
}

# The name is always there, with one version or the other.
always_there() {
	local n pid

	mkdir o
	printf 'version-%06d' 0 >o/file
	start_on mirror
	it_walk
	(
		while [ ! -e stop ]; do
			cat "$TREE/file" >now 2>now.err || {
				# Between the change and the refresh: what the stub describes has gone.
				grep -q "Input/output error" now.err && continue
				exit 1
			}
			grep -qE '^version-[0-9]{6}$' now || exit 2
		done
	) &
	pid=$!
	for n in {1..40}; do
		printf 'version-%06d' "$n" >o/next
		mv o/next o/file
		refresh || it_fail "refresh failed"
	done
	touch stop
	wait $pid || it_fail "the reader: $(cat now.err now)"
	it_equal "$(cat "$TREE/file")" version-000040 "content"
}

# On the mirror only the inode and its ctime tell: what is missing could never be fetched.
same_size_and_time() {
	mkdir o
	it_random o/file 300000
	touch -d '2020-02-03 04:05:06' o/file
	start_on mirror --readahead 0
	it_walk
	head -c 1 "$TREE/file" >/dev/null
	cp -p o/file o/next
	mv o/next o/file
	refresh
	totals 0 0 1 0 0
	it_same_file "$TREE/file" o/file
}

# ---- users ----

# Some front-ends and modes are for readers only.
need_writes() {
	touch "$TREE/probe" 2>/dev/null || it_skip "the tree is read-only"
	rm "$TREE/probe"
}

# A change of a user wins, also over a removal; the rest follows the origin.
modified() {
	make_origin
	start_on mirror
	it_walk
	need_writes
	cat "$TREE/big" >/dev/null
	printf 'mine' >"$TREE/a"
	printf 'B' >"$TREE/b"
	printf 'tail' >>"$TREE/big"
	printf 'local' >"$TREE/gone/deep/local"
	printf 'local' >"$TREE/new"
	mkdir "$TREE/newd"
	change_origin
	refresh 2>err
	cat err
	# a, b, big, gone, new, newd
	it_equal "$(total conflicts) $(total errors)" "6 0" "conflicts, errors"
	it_equal "$(cat "$TREE/a" "$TREE/b" "$TREE/gone/deep/local" "$TREE/new")" \
		mineBlocallocal "what users wrote"
	it_equal "$(tail -c 4 "$TREE/big")" tail "what a user appended"
	[ ! -e "$TREE/gone/deep/g" ] || it_fail "a name of the origin is left"
	it_equal "$(ls "$TREE/newd" | wc -l)" 0 "names in a user's directory"
	grep -q "^hsmctl: a: .*user" err || it_fail "the conflict is not named: $(cat err)"
	it_equal "$(cat "$TREE/swap")" "now a file" "the rest"
	refresh 2>err
	it_equal "$(total removed) $(total added) $(total replaced) $(total errors)" "0 0 0 0" "again"
	it_equal "$(cat "$TREE/a" "$TREE/gone/deep/local")" minelocal "what users wrote, again"
	mkdir -p o/gone/deep
	printf 'back' >o/gone/deep/g
	refresh 2>err
	it_equal "$(cat "$TREE/gone/deep/g" "$TREE/gone/deep/local")" backlocal "back again"
}

# Open for writing: nobody knows what will be written.
open_for_writing() {
	make_origin
	start_on mirror
	it_walk
	need_writes
	cat "$TREE/a" >/dev/null
	exec 7<>"$TREE/a" 8<>"$TREE/b"
	change_origin
	refresh 2>err
	it_equal "$(total conflicts) $(total errors)" "2 0" "conflicts, errors"
	printf 'MINE' >&7
	exec 7>&- 8>&-
	it_equal "$(cat "$TREE/a")" MINEe "what a user wrote"
	refresh 2>err
	it_equal "$(total conflicts) $(total removed)" "1 1" "conflicts, removed"
	it_equal "$(cat "$TREE/a")" MINEe "what a user wrote"
}

# What a user moved or linked is the user's.
moved() {
	make_origin
	start_on mirror
	it_walk
	need_writes
	mv "$TREE/b" "$TREE/b-moved"
	mv "$TREE/gone" "$TREE/kept"
	ln "$TREE/a" "$TREE/a-link"
	change_origin
	refresh 2>err
	it_equal "$(total errors)" 0 "errors"
	[ -e "$TREE/b-moved" ] && [ -e "$TREE/kept/deep" ] || it_fail "a moved name is gone"
	it_equal "$(cat "$TREE/a")" "a-two, longer" "the new file"
	it_equal "$(stat -c %s "$TREE/a-link")" 5 "the old one under its other name"
	refresh 2>err
	it_equal "$(total errors) $(total replaced)" "0 0" "errors, replaced again"
}

# The time a user sets on a file whose exact one is not known yet is his; the rest still comes.
touched() {
	make_origin nolinks
	start_on html --readahead 0
	it_walk
	need_writes
	touch -d '2019-01-01 00:00:00' "$TREE/big"
	cat "$TREE/a" >/dev/null
	head -c 100 "$TREE/big" >/dev/null
	it_same_file "$TREE/big" o/big
	it_equal "$(stat -c %Y "$TREE/big")" "$(date -d '2019-01-01' +%s)" "mtime"
	change_origin nolinks
	refresh 2>err
	it_equal "$(total conflicts) $(total errors)" "1 0" "conflicts, errors"
	it_equal "$(stat -c %Y "$TREE/big")" "$(date -d '2019-01-01' +%s)" "mtime"
	it_equal "$(cat "$TREE/a")" "a-two, longer" "the rest"
}

# ---- the origin fails ----

unreachable() {
	local rc=0

	make_origin nolinks
	start_on json --retries 0 --timeout 2s
	it_walk
	it_manifest "$TREE" >before
	change_origin nolinks
	it_fault "* refuse"
	refresh 2>err || rc=$?
	it_equal $rc 1 "exit code"
	it_at_least "$(total errors)" 1 "errors"
	it_equal "$(wc -l <err)" 1 "lines on stderr"
	it_fault "* status 500"
	refresh 2>err && it_fail "an origin in trouble is no error"
	it_stop
	it_fault
	it_start "$URL"
	it_equal "$(cd "$TREE" && find . | sort | md5sum)" \
		"$(awk '/^[df] /' before | sed 's/^[df] [-0-9]* *//' | cat - <(echo .) | sort | md5sum)" \
		"names"
	refresh
	same_trees
}

# listing_fails RULE: that directory stays as it is, the others follow.
listing_fails() {
	local rc=0

	make_origin nolinks
	start_on json --retries 0 --timeout 3s
	it_walk
	rm o/d/x
	printf 'new' >o/new
	it_fault "$1"
	refresh 2>err || rc=$?
	it_equal $rc 1 "exit code"
	totals 1 0 0 0 1
	grep -q "^hsmctl: d: " err || it_fail "the directory is not named: $(cat err)"
	[ -e "$TREE/d/x" ] && [ -e "$TREE/d/e/y" ] || it_fail "a failed listing removed names"
	it_fault
	refresh
	totals 0 1 0 0 0
	same_trees
}

# The origin's word, even if it is that there is nothing.
emptied() {
	make_origin nolinks
	start_on json
	it_walk
	rm -r o/*
	refresh
	it_equal "$(total removed) $(total errors)" "13 0" "removed, errors"
	it_equal "$(ls -A "$TREE")" "" "names"
}

# ---- time and force ----

schedule() {
	make_origin
	start_on mirror --refresh 300ms
	it_walk
	change_origin
	it_wait_until 10 test -e "$CACHE/data/newd" || it_fail "no refresh"
	it_wait_until 10 it_at_least_quiet 2 || it_fail "no second refresh"
	same_trees
	it_stop
	it_start "$CASE/o"
	sleep 1
	it_equal "$(it_counter refreshes)" 0 "refreshes without --refresh"
}

it_at_least_quiet() {
	[ "$(it_counter refreshes)" -ge "$1" ]
}

# many SEED: a directory whose names all change with the seed.
many() {
	mkdir -p o/many o/other
	(
		cd o/many || exit
		rm -rf ./*
		seq -f "$1-%g" 300 | xargs touch
		for n in {1..300}; do echo "$1 $n" >"same-$n"; done
		mkdir -p "dir-$1/sub"
		echo "$1" >"dir-$1/sub/file"
		if [ "$(($1 % 2))" = 0 ]; then echo "$1" >flip; else mkdir flip && echo >flip/x; fi
		touch -d "@$((1600000000 + $1))" ./* .
	)
}

# Killed anywhere: the next refresh makes the tree right, and no name is ever half there.
killed() {
	local n pid

	many 1
	start_on mirror
	it_walk
	for n in {2..9}; do
		many "$n"
		timeout 20 "$BIN/hsmctl" refresh "$CACHE" >/dev/null 2>&1 &
		pid=$!
		sleep "0.0$((RANDOM % 6))$((RANDOM % 10))"
		it_kill9
		wait $pid || :
		it_start "$CASE/o"
	done
	refresh
	it_equal "$(total errors) $(total conflicts)" "0 0" "errors, conflicts"
	same_trees
	it_equal "$(stat -c %Y "$TREE/many")" "$(stat -c %Y o/many)" "mtime of the directory"
	it_equal "$(find "$CACHE/meta/stage" -mindepth 1 ! -name 'n*')" "" "the staging area"
}

# look_for_nothing N: names that nobody knows, until there is no tree or the case says stop.
look_for_nothing() {
	local i=0

	while [ ! -e stop ] && [ -d "$TREE" ]; do
		i=$((i + 1))
		[ ! -e "$TREE/many/none-$1-$i" ] || exit 1
	done
}

no_lookers() {
	local pid

	for pid in $lookers; do
		! kill -0 "$pid" 2>/dev/null || it_is_over "$pid" || return 1
	done
}

# Readers that wait for an answer in the directory that is being changed are not left hanging.
killed_under_readers() {
	local n lookers

	many 1
	start_on mirror
	it_walk
	for n in {2..6}; do
		many "$n"
		rm -f stop
		lookers=
		for i in 1 2 3; do
			look_for_nothing "$n-$i" 2>/dev/null &
			lookers="$lookers $!"
		done
		timeout 20 "$BIN/hsmctl" refresh "$CACHE" >/dev/null 2>&1 &
		sleep "0.1$((RANDOM % 10))"
		it_kill9
		touch stop
		it_wait_until 5 no_lookers || it_fail "a reader hangs in a tree without a daemon"
		wait || :
		it_start "$CASE/o"
	done
	refresh
	same_trees
}

# A refresh that hangs on the origin does not keep the daemon from ending.
stop_meanwhile() {
	local pid

	make_origin nolinks
	start_on json
	it_walk
	it_fault "* stall 20000"
	timeout 20 "$BIN/hsmctl" refresh "$CACHE" >out 2>err &
	pid=$!
	sleep 0.5
	# A second one waits for the first.
	timeout 20 "$BIN/hsmctl" refresh "$CACHE" d >/dev/null 2>&1 &
	it_stop
	wait $pid && it_fail "a refresh that was ended says that all is well"
	it_fault
}

idle() {
	make_origin
	start_on mirror
	it_walk
	it_stop
	change_origin
	refresh
	it_equal "$(total errors)" 0 "errors"
	it_start "$CASE/o"
	same_trees
}

for kind in mirror json html apache; do
	it_case "changes, $kind" changes $kind
done
for kind in mirror json apache; do
	it_case "no change, $kind" no_change $kind
done
it_case "a change within the index's minute" same_minute
it_case "below a path" below_path
it_case "directories nobody looked into" not_populated
it_case "namespace ahead" namespaces ahead
it_case "namespace eager" namespaces eager
it_case "names known not to be there" negative_names
it_case "times of directories" directory_times
for kind in mirror json; do
	it_case "a reader in the middle, $kind" reader_in_the_middle $kind
done
it_case "a reader in the middle, written in place" reader_in_the_middle mirror in-place
it_case "complete and open" complete_and_open
it_case "the name is always there" always_there
it_case "same size and time" same_size_and_time
it_case "what users changed" modified
it_case "open for writing" open_for_writing
it_case "moved and linked" moved
it_case "touched" touched
it_case "unreachable" unreachable
it_case "a listing fails: server error" listing_fails "/d/ status 500"
it_case "a listing fails: cut short" listing_fails "/d/ short 20"
it_case "a listing fails: endless" listing_fails "/d/ listing-endless"
it_case "an empty origin" emptied
it_case "on a schedule" schedule
it_case "killed" killed
it_case "killed under readers" killed_under_readers
it_case "stopped meanwhile" stop_meanwhile
it_case "on an idle cache" idle
it_end
