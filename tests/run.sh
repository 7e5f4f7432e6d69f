#!/bin/sh
# Run tests and count them; `make test` calls this.
#
#	B=build/release sh tests/run.sh [--only] [PROGRAM|SCRIPT.sh ...]
#
# Arguments are cmocka programs and scripts.  Without --only every script
# tests/*/*.sh but those of tests/interop is run too: in MODE=release all of
# them, in other modes those with a line "# modes: all", or one that names the
# mode.  Several run at a time, in the project's root.
#
# Each test of a program counts, and each line of a script that begins with
# "ok - ", "not ok - " or "skip - " (NAME # reason).  A crash, a time-out, a
# bad status without a failed test, and a program that tests nothing count as
# one failure.  The last line is "N passed, N failed[, N skipped]"; the status
# is 0 only if nothing failed.
#
# Environment: Q2_SEED replays a seed, Q2_TEST_SCALE=PERCENT makes random
# tests shorter or longer, Q2_TEST_TIMEOUT seconds for each file (300),
# Q2_TEST_JOBS files at a time (one more than processors: many wait),
# Q2_TEST_FEW=1 leaves the usual scenes of tests/interop's scripts,
# Q2_TEST_SKIP leaves out files that match this regular expression,
# Q2_TEST_SLOWEST says how many of the slowest files are named at the end (5).
# docs/testing.md says more.
set -u
MODE=${MODE:-release}
B=${B:-build/$MODE}
export MODE B
cd "$(dirname "$0")/.." || exit 1

now_ms() { echo $(($(date +%s%N) / 1000000)); }

# One file: its output, status and time in ms go to $2/NAME.{log,rc,ms}.
run_one() {
	name=$(echo "${1#"$B"/}" | tr / -)
	start=$(now_ms)
	case $1 in
	*.sh) set -- "$2" sh "$1" ;;
	*) set -- "$2" "$1" ;;
	esac
	dir=$1
	shift
	timeout -k 10 "${Q2_TEST_TIMEOUT:-300}" "$@" \
		>"$dir/$name.log" 2>&1 </dev/null
	echo $? >"$dir/$name.rc"
	echo $(($(now_ms) - start)) >"$dir/$name.ms"
}

if [ "${1:-}" = --one ]; then
	run_one "$3" "$2"
	exit 0
fi

# Read a log, print "passed failed skipped", and on the lines after that the
# reasons of what was skipped.
count() {
	awk -v rc="$2" '
	function close_pending(how) { if (pending != "") { pending = ""; return 1 } return 0 }
	/\[ RUN      \] / { if (pending != "") bad++; pending = $0; last = ""; next }
	/\[       OK \] / { if (close_pending()) good++; next }
	/\[  FAILED  \] / { if (close_pending()) bad++; next }
	/\[  SKIPPED \] / {
		name = $0; sub(/.*\] /, "", name)
		if (close_pending()) { skip++; why[skip] = name ": " (last == "" ? "no reason given" : last) }
		next
	}
	/^ok - / { good++; next }
	/^not ok - / { bad++; next }
	/^skip - / {
		skip++
		s = substr($0, 8); sub(/ *# */, ": ", s); why[skip] = s
		next
	}
	{ last = $0 }
	END {
		if (pending != "") bad++
		if (rc != 0 && !bad) bad++
		if (!good && !bad && !skip) bad++
		print good + 0, bad + 0, skip + 0
		for (i = 1; i <= skip; i++) print why[i]
	}' "$1"
}

outcome() {
	case $1 in
	0) echo "status 0" ;;
	124 | 137) echo "timed out after ${Q2_TEST_TIMEOUT:-300} s" ;;
	13[0-9] | 14[0-9]) echo "killed by signal $(($1 - 128))" ;;
	*) echo "status $1" ;;
	esac
}

# A leak, a race or undefined behaviour ends the program with a bad status.  Fresh
# pages are most of ASan's time: what was freed is used again sooner, and kept.
ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1:allocator_may_return_null=1:quarantine_size_mb=16:allocator_release_to_os_interval_ms=-1}
UBSAN_OPTIONS=${UBSAN_OPTIONS:-halt_on_error=1:print_stacktrace=1}
TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1:second_deadlock_stack=1:allocator_may_return_null=1}
export ASAN_OPTIONS UBSAN_OPTIONS TSAN_OPTIONS

work=$(mktemp -d "${TMPDIR:-/var/tmp}/q2-tests.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

list=$work/list
: >"$list"
only=
if [ "${1:-}" = --only ]; then
	shift
	only=yes
fi
# Scripts take longest: they come first, so that none is left over at the end.
[ -n "$only" ] || for t in tests/*/*.sh; do
	[ -e "$t" ] || continue
	case $t in tests/interop/*) continue ;; esac
	[ "$MODE" = release ] || grep -q "^# modes: .*\(all\|$MODE\)" "$t" ||
		continue
	echo "$t" >>"$list"
done
for t; do
	echo "$t" >>"$list"
done

if [ -n "${Q2_TEST_SKIP:-}" ]; then
	grep -E -e "$Q2_TEST_SKIP" "$list" | sed 's/^/left out: /'
	grep -v -E -e "$Q2_TEST_SKIP" "$list" >"$list.rest"
	mv "$list.rest" "$list"
fi

began=$(now_ms)
xargs -r -P "${Q2_TEST_JOBS:-$(($(nproc) + 1))}" -n 1 sh tests/run.sh --one "$work" <"$list"

passed=0 failed=0 skipped=0
for rc_file in "$work"/*.rc; do
	[ -e "$rc_file" ] || continue
	log=${rc_file%.rc}.log
	name=$(basename "$log" .log)
	rc=$(cat "$rc_file")
	count "$log" "$rc" >"$work/count"
	read -r good bad skip <"$work/count"
	passed=$((passed + good))
	failed=$((failed + bad))
	skipped=$((skipped + skip))
	if [ "$bad" -gt 0 ]; then
		echo "--- FAILED: $name ($(outcome "$rc"), $bad of $((good + bad)) failed)"
		# Passing tests are noise here; a long log keeps both ends.
		grep -v -e '^\[ RUN  ' -e '^\[       OK' -e '^ok - ' "$log" |
			awk '{ l[NR] = $0 } END { for (i = 1; i <= NR; i++) {
				if (NR > 200 && i == 101) print "[...]"
				if (NR <= 200 || i <= 100 || i > NR - 100) print l[i] } }'
	fi
	[ "$skip" -eq 0 ] || sed -n "2,\$s|^|skipped: $name: |p" "$work/count"
	grep -h -i -o 'Q2_SEED=[0-9a-fx]*' "$log" | sort -u | sed "s|^|seed: $name: |"
done

echo "slowest:"
for f in "$work"/*.ms; do
	[ -e "$f" ] && echo "$(cat "$f") $(basename "$f" .ms)"
done | sort -rn | head -n "${Q2_TEST_SLOWEST:-5}" | awk '{ printf "  %7.1f s  %s\n", $1 / 1000, $2 }'
echo "all of it: $((($(now_ms) - began) / 1000)) s"

[ $((passed + failed)) -gt 0 ] || failed=1
line="$passed passed, $failed failed"
[ "$skipped" -eq 0 ] || line="$line, $skipped skipped"
echo "$line"
[ "$failed" -eq 0 ]
