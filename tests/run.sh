#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Runs the tests: run.sh [unit|it] [NAME...]. One line a test, the last line is the sum.
#
#   B             the build directory (build)
#   HSM_MATRIX    what an integration script runs on, "fuse:xfs fan:xfs"; without it each
#                 script on xfs with both front-ends, those that say "# FS: ..." there too, and
#                 those that say "# FS-FAN: ..." or "# FS-FUSE: ..." there with one only.
#                 Scripts that say "# FRONT-END: fuse" mean nothing to the other one
#   HSM_CASES     only the case of this name
#   HSM_FAN_OPTIONS  options for every fan_hsm, "--marks dir"
#   HSM_LIMIT     seconds a script may take (300)
#   HSM_JOBS      scripts at a time (number of processors)
#
# A unit program is a cmocka program, each of its functions a test. A script of tests/it
# reports its cases itself. Exit code 77 = skipped, the reason is the last line said. A
# program that hangs is ended; the kernel stacks of what it left are printed and kept.
set -u

top=$(cd "$(dirname "$0")/.." && pwd)
B=${B:-build}
case $B in /*) ;; *) B=$top/$B ;; esac
limit=${HSM_LIMIT:-300}
logs=$B/tests/log
tab=$(printf '\t')
export LC_ALL=C.UTF-8 B

now_ms() {
	echo $(($(date +%s%N) / 1000000))
}

seconds() {
	printf '%d.%02d s' $(($1 / 1000)) $(($1 % 1000 / 10))
}

# One line, and the log below it if it failed. report ok|not_ok|skip NAME MS LOG
report() {
	case $1 in
	ok) printf 'ok - %s (%s)\n' "$2" "$(seconds "$3")" ;;
	skip) printf 'skip - %s: %s\n' "$2" "$(tail -n 1 "$4" | sed 's/^skip: //')" ;;
	*)
		printf 'not ok - %s (%s)\n' "$2" "$(seconds "$3")"
		tail -n 60 "$4" | sed 's/^/  | /'
		;;
	esac
	echo "$1" >>"$out/verdicts"
}

# ---- processes of a test: all that carry its id in their environment ----

test_pids() {
	grep -lsz "^HSM_TEST_ID=$1\$" /proc/[0-9]*/environ 2>/dev/null |
		sed 's,/proc/\([0-9]*\)/.*,\1,'
}

# Where every task of the test is: in user space, or this deep in the kernel.
dump_stacks() {
	for pid in $(test_pids "$1"); do
		echo "== $pid: $(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline")"
		for task in /proc/"$pid"/task/*; do
			printf -- '-- %s %s, state %s, wchan %s\n' "${task##*/}" \
				"$(cat "$task/comm" 2>/dev/null)" \
				"$(sed 's/.*) //; s/ .*//' "$task/stat" 2>/dev/null)" \
				"$(cat "$task/wchan" 2>/dev/null)"
			sed 's/^/     /' "$task/stack" 2>/dev/null
		done
	done
}

mounts_below() {
	awk -v p="$1/" 'index($5, p) == 1 { print $5 }' /proc/self/mountinfo | tac
}

# A FUSE server that is stuck holds its callers in the kernel until the connection is cut.
abort_fuse() {
	awk -v p="$1/" 'index($5, p) == 1 && / - fuse/ { split($3, d, ":"); print d[2] }' \
		/proc/self/mountinfo | while read -r minor; do
		echo 1 2>/dev/null >"/sys/fs/fuse/connections/$minor/abort"
	done
}

end_all() {
	for sig in TERM KILL; do
		# shellcheck disable=SC2046
		kill -$sig $(test_pids "$1") 2>/dev/null || return
		for i in 1 2 3 4 5 6 7 8 9 10; do
			[ -n "$(test_pids "$1")" ] || return
			[ "$sig$i" != TERM9 ] || abort_fuse "$1"
			sleep 0.3
		done
	done
}

# Takes away what a test left, and says so: a test that ends must leave nothing.
sweep() {
	left=$(test_pids "$1" | tr '\n' ' ')$(mounts_below "$1" | tr '\n' ' ')
	end_all "$1"
	mounts_below "$1" | while read -r m; do
		umount "$m" 2>/dev/null || umount -l "$m"
	done
	[ -z "$left" ] || echo "left behind: $left"
}

# Runs a command with the id in its environment and a time limit. run_limited ID LOG COMMAND...
run_limited() {
	id=$1
	log=$2
	shift 2
	: >"$log"
	HSM_TEST_ID=$id setsid "$@" >>"$log" 2>&1 </dev/null &
	pid=$!
	end=$(($(now_ms) + limit * 1000))
	while kill -0 $pid 2>/dev/null; do
		if [ "$(now_ms)" -gt $end ]; then
			echo "HUNG: not done after $limit s" >>"$log"
			dump_stacks "$id" | tee "$log.stacks" >>"$log"
			end_all "$id"
			return 124
		fi
		sleep 0.1
	done
	wait $pid
}

# ---- one job ----

verdict_of() {
	case $1 in
	0) echo ok ;;
	77) echo skip ;;
	*) echo not_ok ;;
	esac
}

# The TAP of cmocka: "ok 3 - name", "not ok 3 # SKIP name". Only its own lines count.
unit_cases() {
	sed -nE 's/^(not )?ok [0-9]+ # SKIP ?(- )?(.*)/skip\t\3/p; t
		s/^not ok [0-9]+ - (.*)/not_ok\t\1/p; s/^ok [0-9]+ - (.*)/ok\t\1/p' "$1"
}

job_unit() {
	name=$(basename "$1")
	log=$logs/unit.$name
	start=$(now_ms)
	cd "$top" || exit 1
	CMOCKA_MESSAGE_OUTPUT=TAP run_limited "$work" "$log" "$1"
	rc=$?
	ms=$(($(now_ms) - start))
	unit_cases "$log" >"$work/cases"
	while IFS=$tab read -r what case; do
		report "$what" "unit/$name: $case" $ms "$log"
	done <"$work/cases"
	if [ ! -s "$work/cases" ]; then
		report "$(verdict_of $rc)" "unit/$name" $ms "$log"
	elif [ $rc != 0 ] && ! grep -q ^not_ok "$work/cases"; then
		echo "exit code $rc" >>"$log"
		report not_ok "unit/$name: ended early" $ms "$log"
	fi
}

job_it() {
	name=$1/$2/$3
	log=$logs/it.$1.$2.$3
	start=$(now_ms)
	: >"$work/results"
	HSM_FRONTEND=$2 HSM_FS=$3 HSM_WORK=$work HSM_BUILD=$B HSM_RESULTS=$work/results \
		run_limited "$work" "$log" bash "$top/tests/it/$1.sh"
	rc=$?
	ms=$(($(now_ms) - start))
	while IFS=$tab read -r what case took caselog; do
		report "$what" "$name: $case" "$took" "$caselog"
		[ "$what" = not_ok ] && cp "$caselog" "$log.$(echo "$case" | tr -c 'a-z0-9\n' _)"
	done <"$work/results"
	left=$(sweep "$work")
	echo "$left" >>"$log"
	if [ $rc = 77 ] && [ ! -s "$work/results" ]; then
		sed -i '/^$/d' "$log"
		report skip "$name" $ms "$log"
	elif [ -n "$left" ] || { [ $rc != 0 ] && ! grep -q ^not_ok "$work/results"; }; then
		echo "exit code $rc" >>"$log"
		report not_ok "$name: the script itself" $ms "$log"
	fi
}

# One job with its own directory; its lines are printed together.
run_job() {
	work=$(mktemp -d "${TMPDIR:-/tmp}/hsm-it.XXXXXX") || exit 1
	trap 'exit 143' HUP INT TERM
	trap 'sweep "$work" >/dev/null; rm -rf --one-file-system "$work"' EXIT
	kind=$1
	shift
	"job_$kind" "$@" >"$work/lines"
	cat "$work/lines"
}

# ---- all jobs ----

wanted() {
	name=$1
	shift
	[ $# = 0 ] && return 0
	for w; do
		[ "$w" != "$name" ] || return 0
	done
	return 1
}

list_units() {
	for prog in "$top"/tests/unit/*.c; do
		[ -e "$prog" ] || continue
		name=$(basename "$prog" .c)
		wanted "$name" "$@" && echo "unit $B/tests/unit/$name"
	done
}

matrix_of() {
	[ -z "${HSM_MATRIX:-}" ] || {
		echo "$HSM_MATRIX"
		return
	}
	for fs in xfs $(sed -n 's/^# FS: //p' "$1"); do
		echo "fuse:$fs fan:$fs"
	done
	for fs in $(sed -n 's/^# FS-FAN: //p' "$1"); do
		echo "fan:$fs"
	done
	for fs in $(sed -n 's/^# FS-FUSE: //p' "$1"); do
		echo "fuse:$fs"
	done
}

list_scripts() {
	for script in "$top"/tests/it/*.sh; do
		name=$(basename "$script" .sh)
		case $name in lib | lib_*) continue ;; esac
		wanted "$name" "$@" || continue
		only=$(sed -n 's/^# FRONT-END: //p' "$script")
		for cell in $(matrix_of "$script"); do
			[ "${cell%:*}" = "${only:-${cell%:*}}" ] || continue
			echo "it $name ${cell%:*} ${cell#*:}"
		done
	done
}

if [ "${1:-}" = --job ]; then
	shift
	run_job "$@"
	exit 0
fi

kinds="unit it"
case ${1:-} in
unit | it)
	kinds=$1
	shift
	;;
esac
out=$(mktemp -d "${TMPDIR:-/tmp}/hsm-run.XXXXXX") || exit 1
export out
trap 'rm -rf "$out"' EXIT
trap 'exit 143' HUP INT TERM
mkdir -p "$logs"
: >"$out/verdicts"
for kind in $kinds; do
	case $kind in
	unit) list_units "$@" ;;
	it) list_scripts "$@" ;;
	esac
done >"$out/jobs"
xargs -r -L 1 -P "${HSM_JOBS:-$(nproc)}" sh "$0" --job <"$out/jobs"

count() {
	grep -c "^$1\$" "$out/verdicts"
}
failed=$(count not_ok)
[ -s "$out/verdicts" ] || echo "no test was run" >&2
printf '%d passed, %d failed, %d skipped\n' "$(count ok)" "$failed" "$(count skip)"
[ "$failed" = 0 ] && [ -s "$out/verdicts" ]
