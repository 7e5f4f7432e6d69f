#!/bin/sh
# The checks check: tests/run.sh counts and notices failures, and
# tests/layers.sh finds an include that points upwards.
# modes: all
set -u
dir=$(mktemp -d "${TMPDIR:-/var/tmp}/q2-tools.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
bad=0

expect() { # name, expected last line and status
	if [ "$(tail -n 1 "$dir/out") $status" = "$2" ]; then
		echo "ok - $1"
	else
		sed 's/^/# /' "$dir/out"
		echo "not ok - $1"
		bad=1
	fi
}

run() {
	printf '%s\n' "$1" >"$dir/case.sh"
	TMPDIR=$dir Q2_TEST_TIMEOUT=2 sh tests/run.sh --only "$dir/case.sh" \
		>"$dir/out" 2>&1
	status=$?
}

run 'echo "ok - a"; echo "ok - b"'
expect "run.sh counts passes" "2 passed, 0 failed 0"
run 'echo "ok - a"; echo "not ok - b"; exit 1'
expect "run.sh counts failures" "1 passed, 1 failed 1"
run 'echo "ok - a"; echo "skip - b # no tool"'
expect "run.sh counts skips" "1 passed, 0 failed, 1 skipped 0"
run 'echo "ok - a"; exit 3'
expect "a bad status fails without a failed line" "1 passed, 1 failed 1"
run 'true'
expect "a script that tests nothing fails" "0 passed, 1 failed 1"
# shellcheck disable=SC2016 # $$ is the script's own
run 'echo "ok - a"; kill -SEGV $$'
expect "a crash fails" "1 passed, 1 failed 1"
run 'echo "ok - a"; sleep 60'
expect "a script that hangs fails" "1 passed, 1 failed 1"
run 'echo "[ RUN      ] t1"; echo "[       OK ] t1"
echo "[ RUN      ] t2"; exit 139'
expect "a test program that dies in a test fails" "1 passed, 1 failed 1"

mkdir -p "$dir/tree/engine/format" "$dir/tree/engine/aio" "$dir/tree/harness"
: >"$dir/tree/engine/aio/aio.h"
: >"$dir/tree/harness/trial.h"
echo '#include "engine/aio/aio.h"' >"$dir/tree/engine/aio/loop.c"
sh tests/layers.sh "$dir/tree" >"$dir/out" 2>&1
status=$?
expect "layers.sh accepts a layer's own header" " 0"
echo '#include "engine/aio/aio.h"' >"$dir/tree/engine/format/header.c"
sh tests/layers.sh "$dir/tree" >"$dir/out" 2>&1
status=$?
expect "layers.sh finds an include that points upwards" \
	"engine/format/header.c:1: engine/format may not include engine/aio/aio.h 1"
exit $bad
