#!/bin/sh
# docs/results-format.md names every column that the program writes, in order.
set -u
def=results/columns.def doc=docs/results-format.md
dir=$(mktemp -d "${TMPDIR:-/var/tmp}/q2-docs.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
grep -oE '^(TRIAL|CELL|SERIES|HIST)\([a-z0-9_]+' "$def" |
	sed 's/.*(//' >"$dir/def"
# shellcheck disable=SC2016 # the backticks are Markdown's
sed -n 's/^| [0-9]* | `\([a-z0-9_]*\)` |.*/\1/p' "$doc" >"$dir/doc"
if [ -s "$dir/def" ] && diff "$dir/def" "$dir/doc" >"$dir/diff"; then
	echo "ok - $doc has the columns of $def"
else
	sed 's/^/# /' "$dir/diff"
	echo "not ok - $doc has the columns of $def"
	exit 1
fi
