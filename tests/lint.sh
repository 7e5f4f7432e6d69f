#!/bin/sh
# Formatting and static checks: clang-format, clang-tidy, cppcheck, shellcheck,
# with the settings of .clang-format and .clang-tidy.
#
#	sh tests/lint.sh [TOOL ...]	all four, or these only
#
# Q2_LINT_STEPS=225000 lets clang's analyzer look as long as it would by itself.
# A tool that is not installed is named and skipped; with CI=true it is a
# failure.  Prints one line for each tool, "ok - ", "not ok - " or "skip - ".
set -u
cd "$(dirname "$0")/.." || exit 1

# Without git (a plain copy of the tree) everything outside build/ counts.
files() { # find's -name patterns, joined by -o
	if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
		git ls-files -co --exclude-standard -- "$@"
	else
		for p; do find . -path ./build -prune -o -name "$p" -print; done
	fi | sort -u
}

scripts() {
	files '*.sh'
	for f in quickstart .ci/run; do [ ! -e "$f" ] || echo "$f"; done
}

check_clang_format() {
	files '*.c' '*.h' | xargs clang-format --dry-run -Werror
}

# What is left out of a build without a library is looked at where it is there.
has_libs=
! pkg-config --exists libnbd 2>/dev/null || has_libs=-DHAVE_LIBNBD
! pkg-config --exists libisal 2>/dev/null || has_libs="$has_libs -DHAVE_ISAL"

# The analyzer gives up on a function after so many steps; three times as many,
# as clang has it, take twice as long and have found nothing more.
steps=${Q2_LINT_STEPS:-75000}

# What clang itself warns of; gcc's warnings are the Makefile's.
warn='-Wall -Wextra -Wshadow -Wvla -Wundef -Wpointer-arith -Wstrict-prototypes
	-Wmissing-prototypes -Wwrite-strings'

# clang-tidy with these options for the files in the list on stdin.
tidy() {
	# shellcheck disable=SC2086 # words on purpose
	xargs -P "$(nproc)" -I '{}' clang-tidy --quiet "$@" \
		--extra-arg=-Xclang --extra-arg=-analyzer-config \
		--extra-arg=-Xclang --extra-arg=max-nodes="$steps" '{}' -- \
		-std=gnu11 -D_GNU_SOURCE '-DQ2_VERSION="lint"' -I. $has_libs $warn \
		2>&1 | grep -v '^[0-9]* warnings* .*generated' >>"$tmp"
}

# Headers are checked through the files that include them.  The analyzer, which
# takes nine tenths of the time, is for what users run: tests run whole under
# the sanitizers.
check_clang_tidy() {
	files '*.c' | grep -v '^\(\./\)*tests/' | tidy
	files '*.c' | grep '^\(\./\)*tests/' |
		tidy '--checks=-clang-analyzer-*'
	cat "$tmp"
	! grep -q -e ' error: ' -e ' warning: ' "$tmp"
}

check_cppcheck() {
	dirs=
	for d in engine workloads harness results plots; do
		[ ! -d "$d" ] || dirs="$dirs $d"
	done
	# shellcheck disable=SC2086 # a list of words
	cppcheck --quiet --error-exitcode=1 --inline-suppr --std=c11 \
		--enable=warning,performance,portability -D__x86_64__ \
		-D_GNU_SOURCE -D__BYTE_ORDER__=1 -D__ORDER_LITTLE_ENDIAN__=1 \
		--suppress=missingIncludeSystem --suppress=objectIndex \
		--suppress=identicalInnerCondition -j "$(nproc)" -I. $dirs
}

check_shellcheck() {
	scripts | xargs shellcheck
}

check() {
	case $1 in
	clang-format) check_clang_format ;;
	clang-tidy) check_clang_tidy ;;
	cppcheck) check_cppcheck ;;
	shellcheck) check_shellcheck ;;
	*) echo "no such check: $1" && return 1 ;;
	esac
}

tmp=$(mktemp)
trap 'rm -f "$tmp"' EXIT
[ $# -gt 0 ] || set -- clang-format clang-tidy cppcheck shellcheck
bad=0
for tool; do
	if ! command -v "$tool" >/dev/null; then
		if [ "${CI:-}" = true ]; then
			echo "not ok - lint: $tool is not installed"
			bad=1
		else
			echo "skip - lint: $tool # not installed"
		fi
	elif out=$(check "$tool" 2>&1); then
		echo "ok - lint: $tool"
	else
		echo "$out"
		echo "not ok - lint: $tool"
		bad=1
	fi
done
exit $bad
