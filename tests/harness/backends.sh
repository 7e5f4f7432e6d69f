#!/bin/sh
# A whole run on each aio backend: the same work, whatever does it, and Ctrl-C in
# the middle of it.  This is what ThreadSanitizer sees of whole runs.  Nothing here
# measures.
# modes: tsan
# shellcheck disable=SC2317 # functions are called by check()
set -u
B=${B:-build/release}
root=$PWD
bench=$root/$B/qcowbench
dir=$(mktemp -d "${TMPDIR:-/var/tmp}/q2-backends.XXXXXX") || exit 1
fast=$dir/fast
if [ -w /dev/shm ] && fast=$(mktemp -d /dev/shm/q2-backends.XXXXXX); then :; else
	fast=$dir/fast
	mkdir "$fast"
fi
trap 'rm -rf "$dir" "$fast"' EXIT
trap 'exit 130' INT TERM
cd "$dir" || exit 1
bad=0
# shellcheck source=tests/lib.sh
. "$root/tests/lib.sh"

cat >two.ini <<'END'
[suite]
question = Does it run?
[defaults]
image_size = 16m
[configurations]
raw   = target=raw
qcow2 = target=qcow2
[passes]
create = op=create
write  = rw=randwrite bs=4k iodepth=4 size=50% requests=32
read   = rw=randread bs=4k iodepth=4 touch=write
END

hashes() { # folder; a round that others disturbed stands there twice
	grep '"kind":"trial".*"round":1,' "$1/trials.jsonl" |
		grep -o '"stream_hash":"[0-9a-f]*"' | sort -u
}
runs_on() { # aio
	q run two.ini --rounds 1 --seed 3 --aio "$1" --dir "$fast" --out "$1"
	[ "$rc" = 0 ] || { echo "status $rc"; return 1; }
	grep -q "\"aio\": \"$1\"" "$1/run.json" && [ -z "$(ls -A "$fast")" ] &&
		[ -n "$(hashes "$1")" ] || return 1
	hashes "$1" >"$1.hash"
	[ ! -s last ] || cmp "$1.hash" last || return 1
	cp "$1.hash" last
}
stops_on() { # aio
	mkfifo ./talk
	PATH=$blind "$bench" run two.ini --rounds 1000 --aio "$1" --dir "$fast" \
		--out "stop-$1" >out 2>./talk &
	pid=$!
	: >err
	while read -r line; do
		echo "$line" >>err
		case $line in "round 1/1000, "*) kill -INT "$pid" ;; esac
	done <./talk
	wait "$pid"
	rc=$?
	rm ./talk
	[ "$rc" = 130 ] && [ -z "$(ls -A "$fast")" ]
}
# Containers forbid system calls; in CI that is a failure.
can_be_had() { # aio
	[ "$1" = threads ] || [ "${CI:-}" = true ] ||
		"$bench" env | grep -q "^  $1 *yes"
}
for aio in io_uring libaio threads; do
	can_be_had $aio || {
		echo "skip - a run on $aio # not to be had here"
		continue
	}
	check "a run on $aio" runs_on $aio
	check "... and Ctrl-C" stops_on $aio
done
exit $bad
