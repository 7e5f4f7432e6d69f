#!/bin/sh
# Who may include whom (docs/design.md, "Layers").
#
# Each line of the table: a folder, then what its files may include, besides
# files of their own folder and engine/q2.h, a leaf that everyone may see.  A
# folder with sources that is not in the table is an error, so that a new one
# has to say where it stands.
#
#	sh tests/layers.sh [ROOT]	check the tree at ROOT (default: here)
set -eu
cd "${1:-.}"

table='
engine          base co aio format crypt image manage
engine/base
engine/co       base
engine/aio      base co
engine/format   base
engine/crypt    base
engine/image    base co aio format crypt
engine/manage   base co aio format crypt image
engine/img      base
engine/nbdkit   base
workloads       base
results         base
plots           base results
harness         base workloads results plots targets stats
harness/targets base workloads results plots harness stats
harness/stats   base
docs/examples
'

# The name of the layer that an include from the root belongs to.
layer_of() {
	case $1 in
	engine/q2.h) echo q2 ;;
	engine/*/*) set -- "${1#engine/}" && echo "${1%%/*}" ;;
	harness/targets/*) echo targets ;;
	harness/stats/*) echo stats ;;
	*/*) echo "${1%%/*}" ;;
	*) echo "?" ;;
	esac
}

bad=$(mktemp)
trap 'rm -f "$bad"' EXIT

complain() {
	echo "$1"
	echo x >>"$bad"
}

check_folder() { # folder, allowed layers
	dir=$1
	shift
	grep -Hn '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' \
		"$dir"/*.[ch] "$dir"/*.def 2>/dev/null |
	while IFS=: read -r file line text; do
		inc=${text#*\"}
		inc=${inc%%\"*}
		# q2.h alone includes from its own place: it gets installed.
		[ "$file" != engine/q2.h ] || inc=engine/$inc
		if [ ! -e "$inc" ]; then
			complain "$file:$line: \"$inc\" is not a path from the root"
			continue
		fi
		[ "${inc%/*}" = "$dir" ] && continue
		layer=$(layer_of "$inc")
		case " q2 $* " in
		*" $layer "*) ;;
		*) complain "$file:$line: $dir may not include $inc" ;;
		esac
	done || true
}

known=" "
while read -r dir allowed; do
	[ -n "$dir" ] || continue
	known="$known$dir "
	if [ -d "$dir" ]; then
		# shellcheck disable=SC2086 # a list of words
		check_folder "$dir" $allowed
	fi
done <<EOT
$table
EOT

for dir in $(find engine workloads harness results plots docs -name '*.[ch]' \
	2>/dev/null | sed 's|/[^/]*$||' | sort -u); do
	case $known in
	*" $dir "*) ;;
	*) complain "$dir: not in the table of tests/layers.sh" ;;
	esac
done

[ ! -s "$bad" ]
