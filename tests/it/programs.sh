#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# FS-FAN: ext4 btrfs
# Ordinary programs on cold stubs of both kinds. What is expected stands in docs/programs.md, which
# is read here: a cell that differs, a row without a test and a test without a row are failures.
# Each row has its own files, so nothing is warm when it comes.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_table.sh"
it_init

ORIGIN=$HSM_WORK/origin
TABLE=$IT_SRC/docs/programs.md
export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null GIT_OPTIONAL_LOCKS=0
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'
export GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t

# ---- the words ----

# Runs a program; its exit code in $rc, what it says in $CASE/say.
try() {
	rc=0
	timeout -k 2 60 "$@" >say 2>&1 || rc=$?
	[ $rc -lt 124 ] || it_say "$* : exit code $rc"
}

with_code() {
	[ "$rc" = 0 ] && echo "$1" || echo "$1, exit $rc"
}

# is COPY ORIGINAL: same, zeros, none (too short or not there), differs.
is() {
	if cmp -s "$1" "$2"; then
		with_code same
	elif [ ! -s "$1" ]; then
		with_code none
	elif cmp -s -n "$(stat -c %s "$2")" "$1" /dev/zero; then
		with_code zeros
	else
		with_code differs
	fi
}

# The same for a directory: its first file that is not the same decides.
is_tree() {
	local f

	while read -r f; do
		cmp -s "$1/$f" "$2/$f" || {
			is "$1/$f" "$2/$f"
			return
		}
	done < <(cd "$2" && find . -type f | sort)
	with_code same
}

# said ORIGINAL-OUTPUT: the program printed what it prints on the origin.
said() {
	cmp -s say "$1" && with_code same || with_code "$(head -c 60 say | tr '\n' ' ')"
}

# both PROGRAM...: with @ for the directory: prints the same on tree and origin.
both() {
	try sh -c "${*//@/$ORIGIN/$row}"
	mv say want
	try sh -c "${*//@/$T}"
	said want
}

# ---- programs that copy; out is on another file system, $H on that of the tree ----

t_cat() { try sh -c "cat $T/f >out" && is out "$O/f"; }
t_dd() { try dd if="$T/f" of=out bs=64K && is out "$O/f"; }
t_dd_sparse() { try dd if="$T/f" of=out bs=64K conv=sparse && is out "$O/f"; }
t_cp() { try cp "$T/f" "$H/out" && is "$H/out" "$O/f"; }
t_cp_never() { try cp --reflink=never "$T/f" "$H/out" && is "$H/out" "$O/f"; }
t_cp_other() { try cp "$T/f" out && is out "$O/f"; }
t_cp_sparse_never() { try cp --sparse=never --reflink=never "$T/f" out && is out "$O/f"; }
t_cp_sparse_always() { try cp --sparse=always --reflink=never "$T/f" out && is out "$O/f"; }
t_cp_a() { try cp -a "$T" "$H/out" && is_tree "$H/out" "$O"; }
t_mv() { try mv "$T/f" "$H/out" && is "$H/out" "$O/f"; }
t_mv_other() { try mv "$T/f" out && is out "$O/f"; }
t_install() { try install "$T/f" "$H/out" && is "$H/out" "$O/f"; }
t_install_other() { try install "$T/f" out && is out "$O/f"; }
t_python_copy() { try python3 -c "import shutil; shutil.copyfile('$T/f', 'out')" && is out "$O/f"; }
t_rsync() { try rsync -a "$T/" out/ && is_tree out "$O"; }
t_rsync_S() { try rsync -aS "$T/" out/ && is_tree out "$O"; }
t_rsync_c() { try rsync -ac "$T/" out/ && is_tree out "$O"; }

# ---- archives ----

untar() {
	local code=$rc

	mkdir out && tar -C out -xf a.tar || :
	rc=$code
	is_tree out "$O"
}
t_tar_c() { try tar -C "$T" -cf a.tar . && untar; }
t_tar_cS() { try tar -C "$T" -cSf a.tar . && untar; }
t_tar_hole_raw() { try tar -C "$T" -cSf a.tar --hole-detection=raw . && untar; }
t_tar_pipe() { try sh -c "tar -C $T -c . >a.tar" && untar; }
t_tar_null() { try tar -C "$T" -cf /dev/null . && [ "$(it_counter bytes_fetched)" = "$before" ] && echo none || with_code same; }
t_tar_x() { try tar -C . -xf "$T/a.tar" && is f "$O/f"; }
t_zip() { try sh -c "cd $T && zip -q $CASE/$row/a.zip f" && unzip -q a.zip && is f "$O/f"; }
t_unzip() { try unzip -q "$T/a.zip" && is f "$O/f"; }
t_gzip() { try sh -c "gzip -c $T/f | gunzip >out" && is out "$O/f"; }

# ---- programs that look into files ----

t_grep() {
	try grep -h needle "$T/text"
	grep -qi 'binary file' say && with_code binary || said <(grep -h needle "$O/text")
}
t_grep_small() { t_grep; }
t_grep_a() { both grep -ah needle @/text; }
t_grep_c() { both grep -c needle @/text; }
t_grep_r() { try grep -rl needle "$T" && said <(echo "$T/text"); }
t_grep_binary() { both 'grep -c root @/binary; true'; }
t_sort() { both sort -r @/text; }
t_wc() { both 'wc <@/text'; }
t_tail() { both tail -c 70000 @/f '| md5sum'; }
t_md5sum() { both 'md5sum <@/f'; }
t_cmp() { try cmp "$T/f" "$O/f" && with_code same; }
t_diff() { try diff -r "$T" "$O" && with_code same; }
t_file() { both file -b @/binary; }
t_strings() { both 'strings @/binary | md5sum'; }
t_sed_i() { try sed -i s/needle/thread/ "$T/text" && is "$T/text" <(sed s/needle/thread/ "$O/text"); }

# ---- programs with a format of their own ----

t_git_status() { both git -C @/repo status --porcelain; }
t_git_log() { both git -C @/repo log -p; }
t_git_fsck() { try git -C "$T/repo" fsck --strict --full && ! grep -q -e missing -e corrupt say && with_code same; }
t_git_clone() { try git clone -q --no-hardlinks "$T/repo" out && is_tree out/src "$O/repo/src"; }
t_git_hardlinks() { try git clone -q "$T/repo" "$H/out" && is_tree "$H/out/src" "$O/repo/src"; }
t_sqlite() { both sqlite3 @/db "'PRAGMA integrity_check; SELECT sum(n), count(*) FROM t WHERE n % 7 = 0'"; }
t_sqlite_write() { try sqlite3 "$T/db" 'UPDATE t SET n = n + 1; PRAGMA integrity_check; SELECT sum(n) FROM t' && said "$O/sum"; }
t_gcc() { try gcc -I "$T/include" -o out "$T/main.c" "$T/part.c" && try ./out && said "$O/said"; }
t_gcc_link() { try gcc -o out "$T/main.o" "$T/part.o" && try ./out && said "$O/said"; }
t_make() {
	try make -s -C "$T" && try "$T/prog" && said "$O/said"
}
t_python_import() { try env PYTHONPATH="$T" python3 -c 'import pack.sub; print(pack.sub.answer())' && said "$O/said"; }
t_execute() { try "$T/echo" hello && said <(echo hello); }
t_loop() {
	local dev

	dev=$(losetup -r -f --show "$T/f") || return 0
	rc=0
	dd if="$dev" of=out bs=64K status=none || rc=$?
	losetup -d "$dev"
	is out "$O/f"
}

# ---- one row ----

declare -A ROWS=(
	["cat"]=cat ["dd"]=dd ["dd conv=sparse"]=dd_sparse
	["cp"]=cp ["cp -a DIR"]=cp_a ["cp --reflink=never"]=cp_never ["cp to another file system"]=cp_other
	["cp --sparse=never"]=cp_sparse_never ["cp --sparse=always"]=cp_sparse_always
	["mv"]=mv ["mv to another file system"]=mv_other
	["install"]=install ["install to another file system"]=install_other
	["shutil.copyfile (Python)"]=python_copy
	["rsync -a"]=rsync ["rsync -aS"]=rsync_S ["rsync -ac"]=rsync_c
	["tar c"]=tar_c ["tar cS"]=tar_cS ["tar cS --hole-detection=raw"]=tar_hole_raw
	["tar c into a pipe"]=tar_pipe ["tar cf /dev/null"]=tar_null ["tar x of a stub"]=tar_x
	["zip"]=zip ["unzip of a stub"]=unzip ["gzip"]=gzip
	["grep"]=grep ["grep in a file of 20 KiB"]=grep_small
	["grep -a"]=grep_a ["grep -c"]=grep_c ["grep -rl"]=grep_r ["grep -c in a binary file"]=grep_binary
	["sort"]=sort ["wc"]=wc ["tail -c"]=tail ["md5sum"]=md5sum ["cmp"]=cmp ["diff -r"]=diff ["file"]=file
	["strings"]=strings ["sed -i"]=sed_i
	["git status"]=git_status ["git log -p"]=git_log ["git fsck"]=git_fsck ["git clone from it"]=git_clone
	["git clone with hard links"]=git_hardlinks
	["sqlite3, a query"]=sqlite ["sqlite3, an update"]=sqlite_write
	["gcc, sources and headers"]=gcc ["gcc, linking objects"]=gcc_link ["make"]=make
	["python3, import"]=python_import ["a program run from it"]=execute ["losetup -r"]=loop
)

# Prints what became of it.
run_row() {
	row=$1
	T=$TREE/$row O=$ORIGIN/$row H=$FS/out.$row
	mkdir "$CASE/$row" "$H"
	cd "$CASE/$row" || return
	before=$(it_counter bytes_fetched)
	"t_$row" || echo "exit $rc: $(head -c 80 say | tr '\n' ' ')"
	cd "$CASE" || return
	rm -rf "$H"
}

# all COLUMN OPTION...
all() {
	local column=$1

	shift
	it_start "$@" "$ORIGIN"
	it_walk
	table_check "$TABLE" "$column" run_row
}

# ---- the origin: one directory a row ----

text() {
	seq 1 20000 | sed 's/.*/line & of a text/; 12345s/$/ with a needle/'
}

program() {
	mkdir -p "$1/include"
	printf '#define ANSWER 42\nint part(void);\n' >"$1/include/part.h"
	printf '#include "part.h"\nint part(void) { return ANSWER; }\n' >"$1/part.c"
	printf '#include <stdio.h>\n#include "part.h"\nint main(void) { return printf("%%d\\n", part()) < 0; }\n' >"$1/main.c"
	(echo '/*' && text && echo '*/') >>"$1/main.c"
	printf 'CFLAGS = -Iinclude\nprog: main.o part.o\n\t$(CC) -o $@ $^\n' >"$1/Makefile"
	echo 42 >"$1/said"
}

repository() {
	mkdir -p "$1/repo/src"
	cp /usr/include/[a-m]*.h "$1/repo/src"
	(
		cd "$1/repo" && git init -q -b main && git add . && git commit -qm one
		echo two >src/two && git add . && git commit -qm two && git gc -q
		echo three >src/three && git add . && git commit -qm three
	)
}

database() {
	sqlite3 "$1/db" 'CREATE TABLE t(n INTEGER, s TEXT);
		WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 20000)
		INSERT INTO t SELECT n, hex(n * 7919) FROM c; CREATE INDEX i ON t(s)'
	printf 'ok\n%s\n' "$(sqlite3 "$1/db" 'SELECT sum(n + 1) FROM t')" >"$1/sum"
}

make_row() {
	local d=$ORIGIN/$1

	mkdir -p "$d"
	case $1 in
	git_*) repository "$d" ;;
	sqlite*) database "$d" ;;
	gcc | make) program "$d" ;;
	gcc_link) program "$d" && make -s -C "$d" && rm "$d/prog" ;;
	python_import)
		mkdir "$d/pack"
		: >"$d/pack/__init__.py"
		printf 'def answer():\n    return 42\n' >"$d/pack/sub.py"
		echo 42 >"$d/said"
		;;
	execute) cp /bin/echo "$d/echo" ;;
	grep_binary | file | strings) cp /bin/bash "$d/binary" ;;
	grep_small) text | tail -n +11900 | head -n 800 >"$d/text" ;;
	grep* | sort | wc | sed_i) text >"$d/text" ;;
	*)
		it_random "$d/f" 1048576
		case $1 in
		tar_x) tar -C "$d" -cf "$d/a.tar" f ;;
		unzip) (cd "$d" && zip -q a.zip f) ;;
		esac
		;;
	esac
}

for tool in git sqlite3 gcc make python3 rsync zip unzip file strings; do
	command -v $tool >/dev/null || it_skip_all "$tool is not installed (tests/deps.sh)"
done
for f in "${ROWS[@]}"; do
	make_row "$f"
done
it_case_on fan "sparse stubs" all sparse --stubs sparse
it_case_on fan "preallocated stubs" all prealloc --stubs prealloc
it_case_on fuse "fuse_hsm" all fuse_hsm
it_end
