#!/bin/sh
# docs/results-format.md names every column that the program writes, in order,
# and docs/environment.md every field of the environment.
set -u
dir=$(mktemp -d "${TMPDIR:-/var/tmp}/q2-docs.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
bad=0

compare() { # document, definition, what the one has
	if [ -s "$dir/def" ] && diff "$dir/def" "$dir/doc" >"$dir/diff"; then
		echo "ok - $1 has the $3 of $2"
	else
		sed 's/^/# /' "$dir/diff"
		echo "not ok - $1 has the $3 of $2"
		bad=1
	fi
}

def=results/columns.def doc=docs/results-format.md
grep -oE '^(TRIAL|CELL|SERIES|HIST)\([a-z0-9_]+' "$def" |
	sed 's/.*(//' >"$dir/def"
# shellcheck disable=SC2016 # the backticks are Markdown's
sed -n 's/^| [0-9]* | `\([a-z0-9_]*\)` |.*/\1/p' "$doc" >"$dir/doc"
compare $doc $def columns

# Name, and whether it is in the fingerprint.
def=harness/env_fields.def doc=docs/environment.md
sed -n 's/^ENV(\([a-z0-9_]*\), \([a-z0-9_]*\), [A-Z]*, \([A-Z]*\), .*/\1.\2 \3/p' \
	"$def" >"$dir/def"
# shellcheck disable=SC2016 # the backticks are Markdown's
sed -n 's/^| `\([a-z0-9_.]*\)` | [a-z]* | *\([a-z]*\) *|.*/\1 \2/p' "$doc" |
	sed 's/ yes$/ PERF/; s/ varies$/ STATE/; s/ $/ INFO/' >"$dir/doc"
compare $doc $def fields
exit $bad
