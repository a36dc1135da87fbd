# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Tables in docs/ that a test checks. A row's first cell names it; a script has an array ROWS from
# that name to a function. A cell is one result for all file systems, or "result; ext4: another".

# table_rows FILE: "name<TAB>cell<TAB>cell..." of each row of the table whose first head is the
# function's name in ROWS; heads first.
table_rows() {
	awk -F'|' '/^\|/ && !/^\|-/ {
		line = ""
		for (i = 2; i < NF; i++) {
			c = $i
			gsub(/^ +| +$|`/, "", c)
			line = line (i > 2 ? "\t" : "") c
		}
		print line
	}' "$1"
}

# table_cell CELL FS: what it says for that file system.
table_cell() {
	local part result=${1%%;*} IFS=';'

	for part in ${1#"$result"}; do
		part=${part# }
		[ "${part%%:*}" != "$2" ] || result=${part#*: }
	done
	echo "$result"
}

# The number of a column by its head, in the table that has it and starts with that of ROWS.
table_column() {
	awk -F'\t' -v h="$2" '{ for (i = 2; i <= NF; i++) if ($i == h) { print i; exit } }' "$1"
}

# table_check FILE COLUMN COMMAND: runs COMMAND FUNCTION for each row and compares what it prints.
table_check() {
	local column name cells want got bad=0 seen=" "

	table_rows "$1" >rows
	column=$(table_column rows "$2")
	[ -n "$column" ] || it_fail "no column $2 in $1"
	while IFS= read -r cells; do
		name=${cells%%$'\t'*}
		[ -n "$name" ] && [ -n "${ROWS[$name]:-}" ] || continue
		seen+="${ROWS[$name]} "
		want=$(table_cell "$(cut -f "$column" <<<"$cells")" "$HSM_FS")
		got=$("$3" "${ROWS[$name]}" "$want") || it_fail "$name: $got"
		[ "$got" = "$want" ] && continue
		it_say "$name: '$got', the table says '$want'"
		bad=1
	done <rows
	for name in "${!ROWS[@]}"; do
		case $seen in *" ${ROWS[$name]} "*) ;; *) bad=1 && it_say "not in the table: $name" ;; esac
	done
	[ $bad = 0 ] || it_fail "$1 is not what was found, column $2"
}
