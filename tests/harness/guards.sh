#!/bin/sh
# Others on the disk: a run sees them, does a round again, flags what it keeps,
# and with --strict-env refuses.
# shellcheck disable=SC2317 # functions are called by check()
set -u
B=${B:-build/release}
PATH=$PWD/tests/no-pictures:$PATH
bench=$PWD/$B/qcowbench
dir=$(mktemp -d "${TMPDIR:-/var/tmp}/q2-guards.XXXXXX") || exit 1
writer=
clean() {
	[ -z "$writer" ] || kill "$writer" 2>/dev/null
	wait
	rm -rf "$dir"
}
trap clean EXIT
trap 'exit 130' INT TERM
cd "$dir" || exit 1
mkdir images
bad=0

check() { # name, command
	name=$1
	shift
	if "$@" >check.out 2>&1; then
		echo "ok - $name"
	else
		sed 's/^/# /' check.out
		for f in out err; do
			[ ! -s $f ] || sed "s/^/# $f: /" $f
		done
		echo "not ok - $name"
		bad=1
	fi
}

q() {
	"$bench" "$@" >out 2>err
	rc=$?
}

# The fields of a column, one a line; what is quoted is not asked for.
column() { # name, file
	sed 's/"[^"]*"/quoted/g' "$2" | awk -F, -v name="$1" 'NR == 1 { for (i = 1; i <= NF; i++)
		if ($i == name) at = i; next } { print $at }'
}

tiny="--quick --image-size 16m --requests 64"

if ! "$bench" env | grep -q '^  stack  *[a-z]' ||
	"$bench" env | grep -q '^  stack  *absent'; then
	echo "skip - guards # no block device below $dir"
	exit 0
fi

# Somebody who writes all the time, past the cache: 16 MiB at once, again and
# again over the same file.
write_on() {
	while :; do
		dd if=/dev/zero of="$dir/others" bs=16M count=16 oflag=direct \
			conv=notrunc 2>/dev/null || exit 1
	done
}
dd if=/dev/zero of=others bs=16M count=16 oflag=direct 2>/dev/null || {
	echo "skip - guards # no O_DIRECT in $dir"
	exit 0
}
write_on &
writer=$!

# shellcheck disable=SC2086
disturbed() {
	q run aa $tiny --rounds 3 --seed 5 --dir images --out run
	[ "$rc" = 0 ] || return 1
	[ "$(column foreign_bytes run/trials.csv | sort -n | head -1)" -gt 0 ]
}
check "a run beside a writer: foreign_bytes in each row" disturbed
again() {
	grep -q '^round 1 was disturbed and is done again: .*others used ' err &&
		[ "$(column attempt run/trials.csv | sort -u | tr '\n' ' ')" = "1 2 " ] &&
		[ "$(column flags run/trials.csv | grep -c redone)" = 12 ] &&
		[ "$(grep -c '"partial":true' run/trials.jsonl)" = 2 ] &&
		grep -q '"kind":"stopped".*"redone":true,"why":"others used ' \
			run/trials.jsonl && ! grep '^qcowbench: ' err
}
check "... one round is done again, the first attempt is put aside" again
kept() {
	[ "$(column flags run/trials.csv | grep -c contaminated)" = 36 ] &&
		grep -q '1 round was done again, 3 kept and flagged' out &&
		grep -q '"redone": 1' run/run.json &&
		grep -q '"disturbed": 3' run/run.json
}
check "... the others are kept, flagged and counted" kept
same_work() {
	grep -o '"stream_hash":"[0-9a-f]*"' run/trials.jsonl | sort | uniq -c |
		awk '$1 % 2 { exit 1 }'
}
check "... and the second attempt does the same work" same_work
no_ids_twice() {
	grep -o ',"trial":"[0-9a-f]*"' run/trials.jsonl | sort >ids
	[ "$(wc -l <ids)" = 8 ] && [ -z "$(uniq -d ids)" ]
}
check "... under an id of its own" no_ids_twice
counted_again() { # also where run.json does not know the end
	sed -i -e 's/"redone": 1/"redone": 0/' -e 's/"disturbed": 3/"disturbed": 0/' \
		-e 's/"state": "done"/"state": "running"/' run/run.json
	cp run/trials.csv before.csv
	q report run
	[ "$rc" = 0 ] && cmp before.csv run/trials.csv &&
		grep -q '1 round was done again, 3 kept and flagged' out &&
		grep -q '"redone": 1' run/run.json
}
check "... and report counts them in trials.jsonl" counted_again
goes_on() { # the one second attempt has been used up
	sed -i '$d' run/trials.jsonl
	q run --resume run
	[ "$rc" = 0 ] && grep -q '2 of 3 rounds are whole' err &&
		! grep -q 'is done again' err &&
		grep -q '1 round was done again, 3 kept and flagged' out &&
		[ "$(column trial_id run/trials.csv | sort -u | wc -l)" = 6 ]
}
check "... as --resume does" goes_on

# shellcheck disable=SC2086
strict() {
	q run aa $tiny --rounds 3 --dir images --out strict --strict-env
	[ "$rc" = 6 ] && [ "$(grep -c . err)" -ge 1 ] &&
		grep -q '^qcowbench: --strict-env: ' err &&
		[ -z "$(ls -A images)" ]
}
check "--strict-env refuses, and leaves nothing" strict
kill "$writer"
wait "$writer"
writer=

# The windows do not see that nobody was there to look.
# shellcheck disable=SC2086
stopped() {
	"$bench" run aa $tiny --rounds 6 --dir images --out stopped >out 2>err &
	run=$!
	until [ -s stopped/trials.jsonl ]; do
		kill -0 $run || return 1
	done
	kill -STOP $run
	kill -CONT $run
	wait $run && grep -q 'disturbed.*: the run itself was stopped' err
}
check "a run that was stopped and went on says so" stopped

exit $bad
