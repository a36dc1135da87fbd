#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Installs the Debian packages that are missing: deps.sh [build|lint|figures]. With all of them there
# nothing is asked of the network, so an offline machine can build again.
set -eu

build="gcc make pkg-config libfuse3-dev fuse3 libcurl4-openssl-dev libgumbo-dev libjansson-dev
libinih-dev libxxhash-dev libarchive-dev libcmocka-dev libmicrohttpd-dev nginx-light fio gnuplot-nox xfsprogs
btrfs-progs e2fsprogs zip unzip xz-utils attr jq curl git sqlite3 openssl python3
procps file binutils rsync acl xfsdump linux-source-6.1 liburing-dev libsystemd-dev libnuma-dev meson ninja-build dpkg-dev"
lint="clang-format shellcheck"
figures="httpdirfs rclone" # what the figures are compared with

say() {
	echo "deps: $*" >&2
}

missing() {
	for p in "$@"; do
		case $(dpkg-query -W -f '${db:Status-Abbrev}' "$p" 2>/dev/null) in
		ii*) ;;
		*) printf ' %s' "$p" ;;
		esac
	done
}

# A package must not start its service: nginx would take port 80. An existing policy is the
# administrator's; it stays and decides.
policy=/usr/sbin/policy-rc.d
forbid_services() {
	[ -e $policy ] || [ -L $policy ] && return
	trap 'rm -f $policy' EXIT
	trap 'exit 4' HUP INT TERM
	printf '#!/bin/sh\nexit 101\n' >$policy
	chmod 755 $policy
}

# The policy keeps nginx from starting now; disabling keeps it from starting at the next boot.
disable_nginx() {
	case " $1 " in
	*" nginx-light "*) ;;
	*) return 0 ;;
	esac
	[ "$2" = absent ] || return 0
	if [ -d /run/systemd/system ]; then
		systemctl disable --now nginx.service >/dev/null 2>&1 || :
	elif command -v update-rc.d >/dev/null; then
		update-rc.d nginx disable >/dev/null 2>&1 || :
	fi
}

install_packages() {
	export DEBIAN_FRONTEND=noninteractive
	apt="apt-get -q -o DPkg::Lock::Timeout=300"
	log=$(mktemp)
	# shellcheck disable=SC2086
	if ! { $apt update && $apt install -y --no-install-recommends $1; } >"$log" 2>&1 </dev/null; then
		tail -n 15 "$log" >&2
		rm -f "$log"
		say "apt-get could not install:$1 (see above)"
		exit 3
	fi
	rm -f "$log"
}

case ${1:-build} in
build) want=$build ;;
lint) want="$build $lint" ;;
figures) want="$build $figures" ;;
*)
	say "usage: deps.sh [build|lint|figures]"
	exit 2
	;;
esac

# shellcheck disable=SC2086
if ! command -v dpkg-query >/dev/null; then
	say "not a Debian system; what the build needs is what Debian calls:" $want
	exit 0
fi
# shellcheck disable=SC2086
need=$(missing $want)
[ -n "$need" ] || exit 0
if [ "$(id -u)" != 0 ]; then
	say "missing packages, run as root or install them:$need"
	exit 3
fi
nginx=absent
command -v nginx >/dev/null && nginx=present
say "installing$need"
forbid_services
install_packages "$need"
disable_nginx "$need" $nginx
