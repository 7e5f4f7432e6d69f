#!/bin/sh
# docs/results-format.md names every column that the program writes, in order;
# docs/environment.md every field of the environment; docs/testing.md names
# tests that there are, each where it says.
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

# "unit/test_x `test_a`, `test_b`; ...": a file, then functions of it.
doc=docs/testing.md
# shellcheck disable=SC2016 # the backticks are Markdown's
grep '^|' "$doc" | grep -oE '[a-z]+/test_[a-z0-9_]+|`test_[a-z0-9_]+`' |
	tr -d '\140' >"$dir/named"
file=
: >"$dir/missing"
while read -r name; do
	case $name in
	*/*)
		file=tests/$name.c
		[ -e "$file" ] || echo "$file" >>"$dir/missing"
		;;
	*)
		grep -q "^$name(" "$file" || echo "$file: $name" >>"$dir/missing"
		;;
	esac
done <"$dir/named"
if [ -s "$dir/named" ] && [ ! -s "$dir/missing" ]; then
	echo "ok - $doc names tests that there are"
else
	sed 's/^/# /' "$dir/missing"
	echo "not ok - $doc names tests that there are"
	bad=1
fi
exit $bad
