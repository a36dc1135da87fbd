#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# FS: ext4
# What posixcheck says of the tree is what it says of a directory of the file system below,
# but for the lines of known_differences.
. "$(dirname "$0")/lib.sh"
it_init

POSIXCHECK=$HSM_BUILD/tests/tools/posixcheck

# Lines only the tree may say: mode, file system, pattern of the line; then why. See docs/posix.md.
known_differences() {
	# The pages and the alignment are the kernel's business in FUSE; the daemon reads buffered.
	cat <<-'END'
		fuse default|opt|base|uring * | note io/direct *: works
		fuse * * | note io/flags_of_one_call preadv2(* RWF_NOWAIT): EOPNOTSUPP
		fuse * * | note io/flags_of_one_call writing without waiting: no
	END
	# fs/fuse/passthrough.c: the kernel's own open of the file keeps O_DIRECT for good.
	cat <<-'END'
		fuse passthrough * | not ok io/direct_switched_off (io.c:*)
	END
	# libfuse mounts nosuid,nodev unless -o suid,dev says otherwise.
	cat <<-'END'
		fuse * * | note open/device_node *: EACCES
	END
	# fuse_file_fallocate() knows no more than KEEP_SIZE, PUNCH_HOLE and ZERO_RANGE.
	cat <<-'END'
		fuse * * | note space/other_allocation_modes fallocate(*): EOPNOTSUPP
		fuse * * | note space/other_allocation_modes size: 65536
	END
	# FUSE has no requests for reflinks, and no maximal offset of its own.
	cat <<-'END'
		fuse * * | note stat/other_ioctls ioctl(to, FICLONE*): EOPNOTSUPP
		fuse * ext4 | note space/largest_offset lseek(*): works
	END
	# pathconf(3) has a table of file system types.
	cat <<-'END'
		fuse * * | note stat/path_limits links: 127
		fuse * * | note stat/path_limits size bits: 32
	END
	# The daemon opens files without O_APPEND, because the kernel gives the offset.
	cat <<-'END'
		fuse * * | note stat/append_only_and_immutable open("f", O_WRONLY | O_APPEND): EPERM
	END
	# FUSE does not say whether it was truncate or ftruncate; XFS and btrfs tell them apart. With
	# write-back the kernel sets the times itself, and only when the size changes.
	cat <<-'END'
		fuse * xfs|btrfs | note times/truncating truncate to the same size: mc
		fuse opt ext4 | note times/truncating *truncate to the same size: -
	END
	# The modes of the paper have no extended attributes, as its file system had none.
	cat <<-'END'
		fuse base|opt * | skip acl/* (no access control lists)
		fuse base|opt * | skip xattr/* (no extended attributes)
		fuse base|opt * | skip unlinked/extended_attributes (no extended attributes)
	END
	# A kernel that lets a listener fill files lets it, and all others, write to running programs.
	cat <<-'END'
		fan * * | not ok open/write_while_executed (open.c:*)
		fan * * | not ok open/execute_while_open_for_writing (open.c:*)
	END
	# Who writes is in the group of the file or not: a request does not say all groups.
	cat <<-'END'
		fuse * * | note perm/write_keeps_setgid_without_execution *: 2666
	END
	# syncfs(2) does not reach the daemon, and btrfs counts when it commits. The daemon lists as the
	# other file systems do: "trusted" ones to root.
	cat <<-'END'
		fuse * btrfs | not ok stat/free_space_goes_down (stat.c:*)
		fuse * btrfs | note xattr/permissions trusted ones are listed to users: no
		fuse opt btrfs | note space/holes_of_a_full_file *: ENXIO
	END
	# With write-back the daemon does not know what is data yet: all of it may be.
	cat <<-'END'
		fuse opt * | note space/holes_of_a_sparse_file *
	END
}

# is_known MODE LINE
is_known() {
	local front modes fs pattern quoted

	while read -r front modes fs _ pattern; do
		[ "$front" = "$HSM_FRONTEND" ] || continue
		matches_one "$1" "$modes" && matches_one "$HSM_FS" "$fs" || continue
		quote "$pattern"
		# shellcheck disable=SC2053
		[[ $2 == $quoted ]] && return 0
	done <"$CASE/known"
	return 1
}

# matches_one WORD A|B|*
matches_one() {
	[ "$2" = '*' ] || case "|$2|" in *"|$1|"*) ;; *) return 1 ;; esac
}

# Only * is special in a pattern. Sets $quoted.
quote() {
	quoted=${1//\\/\\\\}
	quoted=${quoted//\[/\\[}
	quoted=${quoted//\?/\\?}
}

# Verdicts and notes, without the words behind the place where a test failed.
lines_of() {
	sed -E 's/^(not ok [^)]*\)).*/\1/' "$1"
}

check() {
	local out=$1 dir=$2

	mkdir "$dir"
	timeout 250 "$POSIXCHECK" "$dir" >"$out" 2>"$out.err" || [ $? = 1 ] ||
		it_fail "posixcheck: $(tail -n 1 "$out.err")"
	[ ! -s "$out.err" ] || it_fail "posixcheck: $(head -n 3 "$out.err")"
}

# Once a script, and while no daemon runs: fan_hsm's mark is on all of the file system.
check_native() {
	if [ ! -e "$HSM_WORK/native" ]; then
		check "$HSM_WORK/native.new" "$FS/native"
		if grep '^not ok' "$HSM_WORK/native.new" >&2; then
			it_fail "the file system itself fails"
		fi
		lines_of "$HSM_WORK/native.new" | sort -u >"$HSM_WORK/native"
	fi
}

# compare MODE: what native and tree say; fails if there is a line that should not be.
compare() {
	local line bad=

	known_differences >"$CASE/known"
	lines_of "$CASE/tree" | sort -u >"$CASE/tree.lines"
	while IFS= read -r line; do
		is_known "$1" "$line" && continue
		bad=1
		it_say "only here: $(grep -F -m 1 -- "$line" "$CASE/tree")"
	done < <(comm -13 "$HSM_WORK/native" "$CASE/tree.lines")
	it_equal "$(verdicts "$CASE/tree")" "$(verdicts "$HSM_WORK/native")" "tests that ran"
	[ -z "$bad" ] || it_fail "differences from the file system below"
}

verdicts() {
	grep -cE '^(ok|not ok|skip) ' "$1"
}

in_mode() {
	mkdir "$CASE/origin"
	check_native
	it_start_mode "$1" "$CASE/origin"
	check "$CASE/tree" "$TREE/tree"
	compare "$1"
}

if [ "$HSM_FRONTEND" = fan ]; then
	it_case "the tree" in_mode native
else
	for mode in $(it_fuse_modes); do
		it_case "the tree, $mode" in_mode "$mode"
	done
fi
it_end
