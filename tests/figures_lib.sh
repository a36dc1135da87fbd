# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
#
# What figures_cold.sh and figures_warm.sh share: a private nginx with a JSON index, an xfs loop
# file system made anew for each measurement, daemons, arithmetic, one line a figure.
#
#   B             the build directory (build)
#   HSM_DATA      input of the preset quick (B/data/quick)
#   HSM_FRONTENDS what is measured (fuse fan)
#   HSM_ROUNDS    rounds (5); what is compared takes turns within each
#
# Exit code 1 if a figure was missed or could not be measured, 77 if nothing can run here.

top=$(cd "$(dirname "$0")/.." && pwd)
B=${B:-build}
case $B in /*) ;; *) B=$top/$B ;; esac
data=${HSM_DATA:-$B/data/quick}
frontends=${HSM_FRONTENDS:-fuse fan}
rounds=${HSM_ROUNDS:-5}
missed=0
nginx_pid=
cache_in_use=
export LC_ALL=C.UTF-8

say() {
	echo "figures: $*" >&2
}

die() {
	say "$*"
	exit 1
}

# ---- clean-up ----

# Ends the daemon of the last measurement and its file system, however it went.
release_fs() {
	if [ -n "$cache_in_use" ]; then
		timeout -k 2 30 "$B/bin/hsmctl" stop "$cache_in_use" >/dev/null 2>&1 ||
			kill -9 "$(cat "$work/daemon.pid")" 2>/dev/null
		cache_in_use=
	fi
	for m in "$work/mnt" "$work/fs"; do
		! mountpoint -q "$m" || umount "$m" 2>/dev/null || umount -l "$m"
	done
}

clean_up() {
	trap '' HUP INT TERM
	! command -v end_extra >/dev/null || end_extra
	release_fs
	[ -z "$nginx_pid" ] || kill "$nginx_pid"
	wait
	rm -rf --one-file-system "$work"
}

# ---- set-up ----

check_machine() {
	[ "$(id -u)" = 0 ] || {
		say "needs root"
		exit 77
	}
	for tool in nginx curl jq mkfs.xfs unzip setpriv; do
		command -v $tool >/dev/null || {
			say "$tool is not installed"
			exit 77
		}
	done
	for tool in hsmgen hsmctl $(printf '%s_hsm ' $frontends); do
		[ -x "$B/bin/$tool" ] || die "$B/bin/$tool is not built"
	done
}

nginx_conf() {
	cat <<-END
		worker_processes 1;
		daemon off;
		pid $work/nginx.pid;
		user root;
		events { worker_connections 512; }
		http {
			log_format figures '\$request_method \$uri \$status \$body_bytes_sent';
			access_log $work/nginx.log figures;
			default_type application/octet-stream;
			sendfile on;
			client_body_temp_path $work/nginx.1;
			proxy_temp_path $work/nginx.2;
			fastcgi_temp_path $work/nginx.3;
			uwsgi_temp_path $work/nginx.4;
			scgi_temp_path $work/nginx.5;
			server {
				listen 127.0.0.1:$1;
				root "$data";
				autoindex on;
				autoindex_format json;
				location /html/ {
					alias "$data/";
					autoindex_format html;
				}
			}
		}
	END
}

start_nginx() {
	port=$((20000 + $$ % 12000))
	for try in 1 2 3 4 5; do
		port=$((port + try))
		nginx_conf $port >"$work/nginx.conf"
		setpriv --pdeathsig TERM nginx -p "$work" -e "$work/nginx.err" \
			-c "$work/nginx.conf" 2>/dev/null &
		nginx_pid=$!
		for _ in 1 2 3 4 5 6 7 8 9 10; do
			[ -s "$work/nginx.pid" ] && kill -0 $nginx_pid 2>/dev/null && break 2
			sleep 0.1
		done
		kill $nginx_pid 2>/dev/null
		nginx_pid=
	done
	[ -n "$nginx_pid" ] || die "nginx did not start: $(tail -n 1 "$work/nginx.err")"
	url=http://127.0.0.1:$port
}

fresh_fs() {
	release_fs
	rm -f "$work/fs.img"
	truncate -s 4G "$work/fs.img"
	mkfs.xfs -q "$work/fs.img" || die "mkfs.xfs failed"
	mount -o loop "$work/fs.img" "$work/fs" || die "cannot mount the file system"
	: >"$work/nginx.log"
	sync
}

# start_daemon fuse|fan DATASET|all: sets $tree. The cache of an earlier start is used again.
start_daemon() {
	cache=$work/fs/cache
	origin=$url/$2/
	[ "$2" != all ] || origin=$url/
	case $1 in
	fuse)
		tree=$work/mnt
		set -- fuse_hsm "$origin" "$cache" "$work/mnt"
		;;
	fan)
		# shellcheck disable=SC2034 # for the figures
		tree=$cache/data
		set -- fan_hsm "$origin" "$cache"
		;;
	esac
	program=$1
	shift
	mkdir -p "$cache"
	# shellcheck disable=SC2086
	timeout -k 2 60 ${pin:-} "$B/bin/$program" "$@" >&2 || die "$program did not start"
	cache_in_use=$cache
	status .pid >"$work/daemon.pid"
}

stop_daemon() {
	timeout -k 2 60 "$B/bin/hsmctl" stop "$cache" || die "hsmctl stop failed"
	cache_in_use=
}

# status FILTER: of the running daemon, through jq.
status() {
	timeout -k 2 30 "$B/bin/hsmctl" --json status "$cache" | jq -e "$1" ||
		die "no $1 in the status of $program"
}

# ---- arithmetic ----

# timed NAME COMMAND...: appends the nanoseconds it took to $work/NAME.
timed() {
	name=$1
	shift
	began=$(date +%s%N)
	timeout -k 2 300 "$@" >"$work/stdout" || die "failed: $*"
	echo $(($(date +%s%N) - began)) >>"$work/$name"
}

note() {
	echo "$2" >>"$work/$1"
}

median() {
	sort -n "$work/$1" |
		awk '{ v[NR] = $1 } END { print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'
}

largest() {
	sort -n "$work/$1" | tail -n 1
}

seconds() {
	awk -v ns="$1" 'BEGIN { printf "%.3f", ns / 1e9 }'
}

ratio() {
	awk -v a="$1" -v b="$2" 'BEGIN { printf "%.4f", a / b }'
}

# Share of the last minute in which something waited for a processor: seconds measured on a
# busy machine say little, ratios more.
pressure() {
	sed -n 's/^some.*avg60=\([0-9.]*\).*/\1 %/p' /proc/pressure/cpu 2>/dev/null
}

# figure TEXT VALUE at-least|at-most LIMIT DETAIL
figure() {
	if awk -v v="$2" -v how="$3" -v limit="$4" \
		'BEGIN { exit !(how == "at-least" ? v + 0 >= limit + 0 : v + 0 <= limit + 0) }'; then
		what=PASS
	else
		what=MISS
		missed=1
	fi
	printf '%s  %s: %s (%s %s); %s\n' $what "$1" "$2" "$(echo "$3" | tr - ' ')" "$4" "$5"
}

# What runs in this round, each round starting with another one. turns ROUND NAME...
turns() {
	shift_by=$(($1 % ($# - 1)))
	shift
	while [ $shift_by -gt 0 ]; do
		first=$1
		shift
		set -- "$@" "$first"
		shift_by=$((shift_by - 1))
	done
	echo "$@"
}

each_round() {
	measure=$1
	shift
	round=1
	while [ $round -le "$rounds" ]; do
		for who in $(turns $round "$@"); do
			fresh_fs
			"$measure" "$who"
		done
		round=$((round + 1))
	done
	release_fs
}

# figures_main FIGURES DATASETS [FIGURE]...: measures the figures named, or all of them.
figures_main() {
	all=$1
	datasets=$2
	shift 2
	check_machine
	# shellcheck disable=SC2086
	[ $# -gt 0 ] || set -- $all
	for f; do
		case " $all " in *" $f "*) ;; *) die "no figure is called '$f'; there are: $all" ;; esac
	done
	mkdir -p "$data"
	[ -z "$datasets" ] || say "making the data"
	# shellcheck disable=SC2086
	[ -z "$datasets" ] || "$B/bin/hsmgen" --preset quick --out "$data" $datasets || exit 1
	work=$(mktemp -d "$B/figures.XXXXXX") || exit 1
	trap clean_up EXIT
	trap 'exit 130' HUP INT TERM
	mkdir "$work/mnt" "$work/fs"
	start_nginx
	for f; do
		say "measuring $f, $rounds rounds"
		"figure_$f"
		say "processor pressure: $(pressure)"
	done
	exit $missed
}
