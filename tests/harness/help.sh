#!/bin/sh
# The help in its layers: what it must have, lines that fit, examples that are
# spec files.
# shellcheck disable=SC2016 # backticks and ${key} are of what is looked at
# shellcheck disable=SC2317 # functions are called by check()
set -u
B=${B:-build/release}
bench=$PWD/$B/qcowbench
docs=$PWD/docs
dir=$(mktemp -d "${TMPDIR:-/var/tmp}/q2-help.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
cd "$dir" || exit 1
XDG_CACHE_HOME=$dir/cache
export XDG_CACHE_HOME
bad=0

check() { # name, command
	name=$1
	shift
	if "$@" >check.out 2>&1; then
		echo "ok - $name"
	else
		sed 's/^/# /' check.out
		echo "not ok - $name"
		bad=1
	fi
}

"$bench" help --dump >dump || exit 1
cut -f1,2 dump | sed -n 's/^command\t//p' >verbs
cut -f1,2 dump | sed -n 's/^topic\t//p' >topics

hint() {
	"$bench" >out 2>err
	[ $? = 2 ] && [ ! -s out ] && [ "$(wc -l <err)" -le 4 ] &&
		grep -q 'qcowbench help' err && grep -q 'run preallocation' err &&
		"$bench" -h >out && cmp out err
}
all_by_task() {
	"$bench" help >out && "$bench" --help | cmp - out || return 1
	while read -r word; do
		grep -q "^  $word " out || { echo "$word is not there"; return 1; }
	done <verbs
	while read -r word; do
		grep -q "^  $word " out || { echo "$word is not there"; return 1; }
	done <topics
	[ "$(wc -l <topics)" -ge 3 ] || return 1
	# Those under "More" have no task in harness/help_texts.c.
	! grep -q '^More:' out || { echo "a command has no task"; return 1; }
}
long_and_short() { # verb
	"$bench" help "$1" >long && "$bench" "$1" --help | cmp - long &&
		"$bench" "$1" -h >short && grep -q "^usage: qcowbench $1" long &&
		grep -q "^usage: qcowbench $1" short || return 1
	case $1 in
	version | trial) ;;
	*)
		# harness/help_texts.c has them.
		grep -q '^Examples:' long ||
			{ echo "$1 has no example"; return 1; }
		# Before options.
		[ "$(grep -n '^Examples:' long | cut -d: -f1)" = 5 ] || return 1
		! grep -q '^Examples:' short || return 1
		;;
	esac
	# An option stands in both, in one group.
	sed -n "s/^option\t$1\t\t\(--[a-z-]*\)\t.*/\1/p" dump >options
	while read -r option; do
		for page in long short; do
			[ "$(grep -c "^  $option " "$page")" = 1 ] || {
				echo "$option stands $(grep -c "^  $option " "$page") times"
				return 1
			}
		done
	done <options
	! grep -q '^More:' long || { echo "an option of $1 has no group"; return 1; }
}
each_verb() {
	while read -r verb; do
		long_and_short "$verb" || { echo "of $verb"; return 1; }
	done <verbs
}
each_topic() {
	while read -r topic; do
		"$bench" help "$topic" >out || return 1
		grep -q 'man [15] qcowbench' out || { echo "of $topic"; return 1; }
	done <topics
}
# Whatever is printed about the program fits 79 columns.
fits() {
	{
		"$bench" help
		"$bench" explain
		while read -r word; do
			"$bench" help "$word"
		done <topics
		while read -r word; do
			"$bench" help "$word"
			"$bench" "$word" -h
		done <verbs
		sed -n 's/^key\t[a-z]*\t\([a-z0-9_]*\)\t.*/\1/p' dump |
			while read -r key; do
				"$bench" explain "$key"
			done
	} >out
	[ "$(wc -l <out)" -gt 200 ] || return 1
	! grep -E '^.{80}' out
}
near() {
	"$bench" help spce 2>err
	[ $? = 2 ] && grep -q "did you mean 'spec'?" err || return 1
	"$bench" help plna 2>err
	[ $? = 2 ] && grep -q "did you mean 'plan'?" err || return 1
	"$bench" help xyzzy 2>err
	[ $? = 2 ] && grep -q "'qcowbench help' lists them" err
}
exit_codes() {
	"$bench" help exit-codes | sed -n 's/^ *\([0-9][0-9]*\)  .*/\1/p' >got
	sed -n 's/^\tBENCH_[A-Z]* = \([0-9]*\),.*/\1/p' \
		"$docs/../harness/exit.h" | diff - got && [ -s got ] &&
		sed -n '/^\.SH EXIT STATUS/,/^\.SH SEE/s/^\([0-9][0-9]*\)$/\1/p' \
			"$docs/man/qcowbench.1.in" | diff - got
}
# What is shown as a spec file is one.
is_spec() { # file
	grep -q '^\[passes\]' "$1" || return 1
	"$bench" plan "$1" --image-size 64m >out 2>&1 || { cat "$1" out; return 1; }
}
specs() {
	"$bench" help spec | sed -n '/^  \[suite\]/,/touch=write/s/^  //p' >one.ini
	sed -n '/^```ini/,/^```$/p' "$docs/spec-format.md" |
		awk '/^```ini/ { n++; next } /^```/ { next }
			{ print >"doc" n ".ini" }'
	sed -n '/^\[suite\]/,/^\.fi/p' "$docs/man/qcowbench-spec.5.in" |
		sed '/^\.fi/d; s/\\-/-/g; s/\\e$/\\/' >man.ini
	[ -s doc1.ini ] && [ -s doc2.ini ] || return 1
	for f in one.ini man.ini doc*.ini; do
		is_spec "$f" || return 1
	done
	# The page and the document begin with the same one.
	cmp man.ini doc1.ini
}
names() {
	"$bench" list --names >got &&
		(cd "$docs/../suites" && ls) | sed 's/\.ini$//' | sort >want &&
		sort got | diff want -
}

check "no command: a hint" hint
check "help: all commands by task, and topics" all_by_task
check "help of each command: long with examples, short without" each_verb
check "help of each topic points to a page" each_topic
check "all lines fit 79 columns" fits
check "a name that is not known: the nearest" near
check "exit codes: help, page and source have the same" exit_codes
check "spec files that are shown are spec files" specs
check "list --names: the suites, one a line" names
exit $bad
