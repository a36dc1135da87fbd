# shellcheck shell=bash disable=SC2034
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What every integration script starts with: a private work directory, loop file systems,
# origins, a front-end, assertions, and a clean-up that runs whatever happens.
#
# In the environment, with defaults, so that a script also runs by hand:
#   HSM_FRONTEND  fuse | fan        HSM_BUILD    the build directory
#   HSM_FS        xfs | ext4 | btrfs  HSM_WORK   private directory (made and removed if unset)
#   HSM_RESULTS   one line a case goes there instead of to stdout
#   HSM_FAN_OPTIONS  options for every fan_hsm, "--marks dir", to run a script under another scheme
#
# A case is a function run by it_case in a subshell with `set -e`. It has its own directory
# $CASE (scratch), $CACHE (on the loop file system $FS) and $MNT; processes, mounts and loop
# devices it leaves are ended by the next case or the end. Processes are found by the
# variable HSM_TEST_ID in their environment, so nothing else can be hit.

HSM_FRONTEND=${HSM_FRONTEND:-fuse}
HSM_FS=${HSM_FS:-xfs}
IT_SRC=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
HSM_BUILD=$(realpath "${HSM_BUILD:-$IT_SRC/build}")
BIN=$HSM_BUILD/bin
ORIGINSRV=$HSM_BUILD/tests/tools/originsrv
IT_OWN_WORK=
export LC_ALL=C.UTF-8 TZ=UTC

# ---- result lines ----

it_say() {
	printf '%s\n' "$*" >&2
}

# it_result ok|not_ok|skip NAME MILLISECONDS LOG
it_result() {
	if [ -n "${HSM_RESULTS:-}" ]; then
		printf '%s\t%s\t%s\t%s\n' "$@" >>"$HSM_RESULTS"
	else
		printf '%s - %s (%s ms)\n' "$1" "$2" "$3"
		[ "$1" = not_ok ] && sed 's/^/# /' "$4"
	fi
	return 0
}

# The whole script cannot run here.
it_skip_all() {
	it_say "skip: $*"
	exit 77
}

# This case cannot run here.
it_skip() {
	it_say "skip: $*"
	exit 77
}

# Says where in the script, not where in here.
it_fail() {
	local i=1

	while [ "${BASH_SOURCE[$i]}" = "${BASH_SOURCE[0]}" ]; do
		i=$((i + 1))
	done
	it_say "FAILED: $* (${BASH_SOURCE[$i]##*/}:${BASH_LINENO[$i - 1]} ${FUNCNAME[$i]})"
	exit 1
}

it_need() {
	local tool

	for tool; do
		command -v "$tool" >/dev/null || it_skip "$tool is not installed"
	done
}

# ---- processes and mounts ----

# Processes of this test but the script itself and its subshells, one pid a line.
it_pids() {
	local pid id=$HSM_TEST_ID

	# The tools used here must not find themselves.
	(
		unset HSM_TEST_ID
		grep -lsz "^HSM_TEST_ID=$id\$" /proc/[0-9]*/environ 2>/dev/null |
			sed 's,/proc/\([0-9]*\)/.*,\1,' | while read -r pid; do
			it_is_own_shell "$pid" || echo "$pid"
		done
	)
}

it_is_own_shell() {
	[ "$1" = $$ ] || [ "$1" = "$BASHPID" ] && return 0
	[ "$(tr '\0' ' ' 2>/dev/null <"/proc/$1/cmdline")" = "$(tr '\0' ' ' <"/proc/$$/cmdline")" ]
}

# it_pids_named COMM
it_pids_named() {
	local pid comm

	for pid in $(it_pids); do
		read -r comm 2>/dev/null <"/proc/$pid/comm" || continue
		[ "$comm" != "$1" ] || echo "$pid"
	done
}

# Mount points below $1, last mounted first.
it_mounts_below() {
	awk -v p="$1/" '{ m = $5; gsub(/\\040/, " ", m); if (index(m, p) == 1) print m }' \
		/proc/self/mountinfo | tac
}

# Ends a FUSE mount whose server is gone or stuck: waiting callers get ENOTCONN.
it_abort_fuse() {
	awk -v p="$1/" 'index($5, p) == 1 && / - fuse/ { split($3, d, ":"); print d[2] }' \
		/proc/self/mountinfo | while read -r minor; do
		echo 1 2>/dev/null >"/sys/fs/fuse/connections/$minor/abort" || :
	done
}

it_kill_pids() {
	local sig=$1 pid

	shift
	for pid; do
		kill "-$sig" "$pid" 2>/dev/null || :
	done
}

# it_wait_until SECONDS COMMAND...: polls; 1 if it never became true.
it_wait_until() {
	local end=$((SECONDS + $1))

	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.05
	done
}

it_no_pids() {
	[ -z "$(it_pids)" ]
}

it_unmount_below() {
	local m

	it_mounts_below "$1" | while read -r m; do
		umount "$m" 2>/dev/null || umount -l "$m" 2>/dev/null || :
	done
}

# Everything the last case left. Mounts that a case made are below $HSM_WORK/c.*, the shared
# file system is at $HSM_WORK/fs.
it_reset() {
	local m

	# shellcheck disable=SC2046
	it_kill_pids TERM $(it_pids)
	if ! it_wait_until 2 it_no_pids; then
		for m in "$HSM_WORK"/c.*; do
			it_abort_fuse "$m"
		done
		# shellcheck disable=SC2046
		it_kill_pids KILL $(it_pids)
		it_wait_until 5 it_no_pids || it_say "still there: $(it_pids | tr '\n' ' ')"
	fi
	for m in "$HSM_WORK"/c.*; do
		it_unmount_below "$m"
	done
}

it_cleanup() {
	trap '' HUP INT TERM
	cd /
	it_reset
	it_unmount_below "$HSM_WORK"
	[ -z "$IT_OWN_WORK" ] || rm -rf --one-file-system "$HSM_WORK"
}

it_init() {
	[ "$(id -u)" = 0 ] || it_skip_all "needs root"
	if [ -z "${HSM_WORK:-}" ]; then
		HSM_WORK=$(mktemp -d "${TMPDIR:-/tmp}/hsm-it.XXXXXX")
		IT_OWN_WORK=1
	fi
	HSM_WORK=$(realpath "$HSM_WORK")
	export HSM_TEST_ID=${HSM_TEST_ID:-$HSM_WORK}
	trap it_cleanup EXIT
	trap 'exit 143' HUP INT TERM
	ulimit -c 0
	it_failed=0
	it_count=0
	FS=$HSM_WORK/fs
	it_mkfs "$HSM_FS" "${IT_FS_SIZE:-4G}" "$FS"
}

# it_mkfs TYPE SIZE MOUNTPOINT: a fresh sparse loop file system; detached by umount.
it_mkfs() {
	local img=$3.img
	local opts=loop

	command -v "mkfs.$1" >/dev/null || it_skip_all "mkfs.$1 is not installed"
	mkdir -p "$3"
	truncate -s "$2" "$img"
	case $1 in
	xfs) mkfs.xfs -q "$img" ;;
	ext4) mkfs.ext4 -q -F -E lazy_itable_init=1,lazy_journal_init=1 "$img" ;;
	btrfs) mkfs.btrfs -q "$img" ;;
	esac >"$3.log" 2>&1 || it_skip_all "mkfs.$1 failed: $(tail -n 1 "$3.log")"
	mount -t "$1" -o "$opts" "$img" "$3" || it_skip_all "cannot mount $1 on a loop device"
	rm -f "$img"
}

# ---- modes of fuse_hsm ----

# Runs a command while the machine's switch for FUSE over io_uring is on, if there is one. One at
# a time, with modes.sh too.
it_with_uring() {
	local switch=/sys/module/fuse/parameters/enable_uring was rc=0

	(
		flock 9
		was=$(cat $switch) && echo Y >$switch || was=
		"$@" 9>&- || rc=$?
		[ -z "$was" ] || echo "$was" >$switch
		exit $rc
	) 9>/tmp/hsm-it.uring.lock
}

# The modes that can be had here, one a line; "uring" is --uring in the default mode.
it_fuse_modes() {
	it_with_uring "$BIN/fuse_hsm" --features | awk '$2 == "yes" { print $1 }'
}

# it_start_mode MODE OPTION... ORIGIN: as it_start; fan_hsm has no modes.
it_start_mode() {
	local mode=$1

	shift
	case $HSM_FRONTEND/$mode in
	fan/*) it_start "$@" ;;
	fuse/uring)
		it_with_uring it_start --uring "$@"
		it_command --uring "$@"
		;;
	*) it_start --mode "$mode" "$@" ;;
	esac
}

# ---- cases ----

# it_case NAME FUNCTION [ARG...]
it_case() {
	local name=$1 start rc what log

	shift
	case " ${HSM_CASES:-$name} " in *"$name"*) ;; *) return 0 ;; esac
	it_count=$((it_count + 1))
	CASE=$HSM_WORK/c.$it_count
	CACHE=$FS/cache.$it_count
	MNT=$CASE/mnt
	log=$CASE/log
	mkdir -p "$CASE" "$CACHE" "$MNT"
	start=$(date +%s%N)
	(
		trap - EXIT
		set -eE
		trap 'it_say "FAILED: line $LINENO: $BASH_COMMAND"' ERR
		cd "$CASE"
		"$@"
		it_check_daemon
	) >"$log" 2>&1 </dev/null
	rc=$?
	case $rc in
	0) what=ok ;;
	77) what=skip ;;
	*)
		what=not_ok
		it_failed=1
		echo "exit code $rc" >>"$log"
		it_describe >>"$log" 2>&1
		;;
	esac
	it_reset >>"$log" 2>&1
	it_result $what "$name" $((($(date +%s%N) - start) / 1000000)) "$log"
	[ $what = not_ok ] || [ -n "${HSM_KEEP:-}" ] || rm -rf --one-file-system "$CACHE"
}

# it_case_on fuse|fan NAME FUNCTION [ARG...]: a case that means nothing to the other front-end.
it_case_on() {
	[ "$HSM_FRONTEND" = "$1" ] || return 0
	shift
	it_case "$@"
}

# What may explain a failure.
it_describe() {
	echo "--- daemon"
	tail -n 20 "$CASE"/daemon.err 2>/dev/null
	echo "--- origin requests (last)"
	tail -n 15 "$CASE"/origin.log 2>/dev/null
	echo "--- processes"
	it_pids | while read -r pid; do
		echo "$pid $(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline")"
	done
}

# A case that started a daemon and did not end it: it must still serve, then end cleanly.
it_check_daemon() {
	[ -e "$CASE/running" ] || return 0
	it_hsmctl status "$CACHE" >/dev/null || it_fail "the daemon does not answer at the end"
	it_stop
}

it_end() {
	exit "$it_failed"
}

# ---- origins ----

# it_origin DIRECTORY [OPTION...]: originsrv; sets $URL. Faults: it_fault; log: it_ranges.
it_origin() {
	local dir=$1

	shift
	: >"$CASE/origin.ctl"
	: >"$CASE/origin.log"
	rm -f "$CASE/origin.port"
	"$ORIGINSRV" -l "$CASE/origin.log" -c "$CASE/origin.ctl" "$@" "$CASE/origin.port" "$dir" &
	it_wait_until 5 test -s "$CASE/origin.port" || it_fail "originsrv did not start"
	URL=http://127.0.0.1:$(cat "$CASE/origin.port")/
}

# it_fault RULE...: replaces all rules, one an argument; none = honest again.
it_fault() {
	local rule

	: >"$CASE/origin.ctl.new"
	for rule; do
		printf '%s\n' "$rule" >>"$CASE/origin.ctl.new"
	done
	mv "$CASE/origin.ctl.new" "$CASE/origin.ctl"
	case "$*" in *refuse*) sleep 0.2 ;; esac
}

# "FIRST LENGTH SENT" of every body request for a path (as in the URL) in the log.
it_ranges() {
	awk -v p="$1" '$1 == "GET" && $2 == p && ($3 == 206 || $3 == 200) { print $4, $5, $6 }' \
		"$CASE/origin.log"
}

# it_nginx DIRECTORY json|html: a private nginx on a free port, until the case ends; sets $URL.
# nginx overwrites its environment, so it cannot be found by HSM_TEST_ID.
it_nginx() {
	local port tries

	it_need nginx
	for tries in 1 2 3 4 5; do
		port=$((20000 + (RANDOM + tries) % 12000))
		it_nginx_conf "$1" "$2" $port >"$CASE/nginx.conf"
		setpriv --pdeathsig TERM nginx -p "$CASE" -c "$CASE/nginx.conf" \
			-e "$CASE/nginx.err" -g 'daemon off;' 2>/dev/null &
		URL=http://127.0.0.1:$port/
		it_wait_until 3 test -s "$CASE/nginx.pid" && kill -0 $! && return 0
	done
	it_fail "nginx did not start: $(tail -n 3 "$CASE/nginx.err")"
}

it_nginx_conf() {
	cat <<-END
		worker_processes 1;
		pid $CASE/nginx.pid;
		user root;
		events { worker_connections 512; }
		http {
			access_log $CASE/nginx.log;
			default_type application/octet-stream;
			sendfile on;
			client_body_temp_path $CASE/nginx.1;
			proxy_temp_path $CASE/nginx.2;
			fastcgi_temp_path $CASE/nginx.3;
			uwsgi_temp_path $CASE/nginx.4;
			scgi_temp_path $CASE/nginx.5;
			server {
				listen 127.0.0.1:$3;
				location / {
					root "$1";
					autoindex on;
					autoindex_format $2;
					autoindex_exact_size on;
				}
			}
		}
	END
}

# ---- the front-end ----

# it_command [OPTION...] ORIGIN: the command line, in the array IT_CMD.
it_command() {
	if [ "$HSM_FRONTEND" = fuse ]; then
		IT_CMD=("$BIN/fuse_hsm" "$@" "$CACHE" "$MNT")
		TREE=$MNT
	else
		read -r -a IT_CMD <<<"$BIN/fan_hsm ${HSM_FAN_OPTIONS:-}"
		IT_CMD+=("$@" "$CACHE")
		TREE=$CACHE/data
	fi
}

# it_start [OPTION...] ORIGIN: returns when it serves; sets $TREE.
it_start() {
	it_command "$@"
	it_say "+ ${IT_CMD[*]}"
	timeout -k 2 60 "${IT_CMD[@]}" 2>>"$CASE/daemon.err" || {
		cat "$CASE/daemon.err" >&2
		it_fail "the front-end did not start (exit code $?)"
	}
	: >"$CASE/running"
	it_daemon_pids >/dev/null
}

it_hsmctl() {
	timeout -k 2 60 "$BIN/hsmctl" "$@"
}

# Orderly: the daemon ends, and nothing of it is left.
it_stop() {
	rm -f "$CASE/running"
	it_hsmctl stop "$CACHE" || it_fail "hsmctl stop failed"
	it_gone
}

# Also noted in $CASE/pids: an ending process has no environment any more, but its files.
it_daemon_pids() {
	it_pids_named "${HSM_FRONTEND}_hsm" | tee -a "$CASE/pids"
}

# A zombie without other threads has closed its files.
it_is_over() {
	local state

	state=$(sed 's/.*) //; s/ .*//' "/proc/$1/stat" 2>/dev/null) || return 0
	[ "$state" = Z ] && [ "$(ls "/proc/$1/task" 2>/dev/null | wc -l)" -le 1 ]
}

it_no_daemon() {
	local pid

	[ -z "$(it_daemon_pids)" ] || return 1
	for pid in $(sort -u "$CASE/pids"); do
		it_is_over "$pid" || return 1
	done
}

# No process, no mount, no socket that answers.
it_gone() {
	it_wait_until 10 it_no_daemon || it_fail "still running: $(it_daemon_pids | tr '\n' ' ')"
	[ -z "$(it_mounts_below "$CASE")" ] || it_fail "still mounted: $(it_mounts_below "$CASE")"
	[ ! -S "$CACHE/meta/control" ] || it_fail "a control socket is left"
}

# kill -9 of every process of the daemon; a dead FUSE mount is taken away as a user would.
it_kill9() {
	rm -f "$CASE/running"
	# shellcheck disable=SC2046
	it_kill_pids KILL $(it_daemon_pids)
	it_wait_until 10 it_no_daemon || it_fail "survived kill -9"
	it_unmount_below "$CASE"
}

# A counter of the running daemon.
it_counter() {
	it_hsmctl --json status "$CACHE" | jq -e ".counters.$1" ||
		it_fail "no counter $1 in the status"
}

# Makes the names of a whole tree exist, as a user walks it.
it_walk() {
	timeout 60 find "${1:-$TREE}" >/dev/null
}

# ---- assertions ----

it_equal() {
	[ "$1" = "$2" ] || it_fail "${3:-value}: got '$1', expected '$2'"
}

it_at_most() {
	[ "$1" -le "$2" ] || it_fail "${3:-value}: got $1, expected at most $2"
}

it_at_least() {
	[ "$1" -ge "$2" ] || it_fail "${3:-value}: got $1, expected at least $2"
}

it_same_file() {
	timeout 120 cmp -- "$1" "$2" || it_fail "content differs: $1"
}

# it_read FILE: reads all of it into $CASE/read.out, error text into $CASE/read.err.
it_read() {
	timeout -k 2 "${IT_READ_LIMIT:-30}" dd if="$1" of="$CASE/read.out" bs="${2:-128K}" \
		status=none 2>"$CASE/read.err"
}

# it_read_fails FILE ORIGINAL: ends with EIO in time; what was delivered is true.
it_read_fails() {
	local rc=0 got

	: >"$CASE/read.out"
	it_read "$1" || rc=$?
	[ $rc != 0 ] || it_fail "reading $1 worked"
	[ $rc -lt 124 ] || it_fail "reading $1 hung"
	grep -q "Input/output error" "$CASE/read.err" ||
		it_fail "reading $1: $(cat "$CASE/read.err"), expected an I/O error"
	got=$(stat -c %s "$CASE/read.out")
	cmp -n "$got" "$CASE/read.out" "$2" || it_fail "false content was delivered from $1"
}

# Each byte of SIZE was asked of the origin once: no gap, no overlap.
it_fetched_once() {
	it_ranges "$1" | sort -n | awk -v size="$2" '
		{ if ($1 != end) { bad = 1; print "range at " $1 ", expected " end } end = $1 + $2 }
		END { if (end != size) { bad = 1; print "end " end ", expected " size } exit bad }' ||
		it_fail "$1 was not fetched exactly once"
}

# One line on stderr, this exit code, nothing left behind.
it_refused() {
	local want=$1 rc=0

	shift
	it_say "+ $*"
	timeout -k 2 40 "$@" 2>"$CASE/err" >"$CASE/out" || rc=$?
	cat "$CASE/err" >&2
	[ $rc != 0 ] || : >"$CASE/running"
	it_equal $rc "$want" "exit code"
	it_equal "$(wc -l <"$CASE/err")" 1 "lines on stderr"
	[ ! -s "$CASE/out" ] || it_fail "text on stdout"
	it_gone
}

# ---- data ----

# it_random FILE BYTES: not compressible, never a block of zeros; the same for the same name.
it_random() {
	openssl enc -aes-128-ctr -nosalt -pass "pass:${1##*/}" -md sha256 </dev/zero 2>/dev/null |
		head -c "$2" >"$1"
}

# One line a name: type, size, target, path; and the checksums of files up to 64 MiB.
it_manifest() {
	(
		cd "$1"
		timeout 120 find . -mindepth 1 \( -type d -printf '%y - %l %p\0' -o \
			-printf '%y %s %l %p\0' \) | sort -z | tr '\0\n' '\n\1'
		timeout 120 find . -type f -size -65M -print0 | sort -z |
			timeout 300 xargs -0r sha256sum --
	)
}
