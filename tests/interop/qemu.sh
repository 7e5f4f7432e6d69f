#!/bin/sh
# What `run preallocation` does where QEMU is installed, and where it is not.
# Tiny runs on a disk, since there is no advice about memory; nothing here
# measures.
# shellcheck disable=SC2317 # functions are called by check()
set -u
B=${B:-build/release}
root=$PWD
bench=$root/$B/qcowbench
dir=$(mktemp -d "${TMPDIR:-/var/tmp}/q2-qemu.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
cd "$dir" || exit 1
bad=0
# shellcheck source=tests/lib.sh
. "$root/tests/lib.sh"

run() { # output folder, argument...
	folder=$1
	shift
	mkdir -p disk
	q run preallocation --quick --image-size 16m --requests 64 \
		--size 1g --dir disk --out "$folder" "$@"
	# 4: the sizes are too small to tell anything, which is right.
	[ "$rc" = 0 ] || [ "$rc" = 4 ] || { echo "status $rc"; return 1; }
}

without() { # PATH is empty: no qemu-nbd
	mkdir none && with=$blind && blind=$dir/none
	run without
	without=$?
	blind=$with
	[ "$without" = 0 ] || return 1
	grep -q 'Not confirmed through QEMU: qemu-nbd is not installed' out &&
		! grep -q qemu- without/trials.csv
}
refused() {
	run no --no-qemu &&
		grep -q 'Not confirmed through QEMU: --no-qemu' out &&
		! grep -q qemu- no/trials.csv
}
through() {
	run qemu && cp out qemu.out && grep -q '^through QEMU ' err &&
		grep -q '^Through QEMU ' out && grep -q '^qemu-raw-written ' out
}
# 6 rounds of 3 configurations and 2 passes.
rows() {
	[ "$(grep -c ',qemu-' qemu/trials.csv)" = 36 ] &&
		[ "$(grep -c '"label":"qemu-' qemu/trials.jsonl)" = 18 ] &&
		grep -q ',qemu-raw-written,' qemu/cells.csv &&
		grep -q '"version": "QEMU ' qemu/run.json
}
nothing_left() {
	for p in /proc/[0-9]*; do
		case $(tr '\0' ' ' <"$p/cmdline" 2>/dev/null) in
		qemu-nbd*" disk/"* | qemu-nbd*"$dir"*) return 1 ;;
		esac
	done
	[ -z "$(ls -A disk)" ]
}

marked() {
	[ "$(grep -c '"kind":"trial".*"part":"qemu"' qemu/trials.jsonl)" = 18 ] &&
		[ "$(grep -c '"kind":"round".*"part":"qemu"' qemu/trials.jsonl)" = 6 ]
}
qemu_report() { same_report qemu qemu.out && grep -q '^Through QEMU ' out; }
qemu_json() {
	q report qemu --format json
	[ "$(grep -c '"part":"qemu"' out)" = 18 ] &&
		grep -q '"label":"qemu-raw-written".*"metric":"iops"' out
}
qemu_rows() { # 6 rounds: 6 x 6 + 2 rows of the suite, 3 x 2 through QEMU
	[ "$(wc -l <qemu/trials.csv)" = $((1 + 6 * (38 + 6))) ] &&
		[ "$(grep -c ',qemu-' qemu/trials.csv)" = 36 ]
}
qemu_goes_on() { # two of its rounds and half of a third are gone
	cut_off qemu 9
	q run --resume qemu
	[ "$rc" = 0 ] || [ "$rc" = 4 ] || return 1
	grep -q '6 of 6 rounds are whole' err &&
		! grep -q '^round ./6, raw-' err && qemu_rows &&
		[ "$(grep ',qemu-' qemu/trials.csv | cut -d, -f3,12 | sort -u |
			tr '\n' ' ')" = "1,1 1,2 1,3 2,4 2,5 2,6 " ] &&
		same_report qemu out
}
# Remove a round of the suite, as the remedy for a broken line says.
qemu_again() {
	grep -v -e '"kind":"trial","session":1,"round":3,"trial"' \
		-e '"kind":"round","session":1,"round":3,"trials"' \
		qemu/trials.jsonl >lines && mv lines qemu/trials.jsonl
	q run --resume qemu
	[ "$rc" = 0 ] || [ "$rc" = 4 ] || return 1
	grep -q '5 of 6 rounds are whole' err && qemu_rows &&
		[ "$(grep ',qemu-' qemu/trials.csv | cut -d, -f3 | sort -u)" = 3 ]
}
# As after a quick run that had no time for it: tried until QEMU is there.
put_off() {
	grep -v '"part":"qemu"' qemu/trials.jsonl >lines &&
		mv lines qemu/trials.jsonl &&
		sed 's/"version": "QEMU [^"]*"/&, "why_not": "no time", "no_time": true/' \
			qemu/run.json >json && mv json qemu/run.json || return 1
	with=$blind && blind=$dir/none
	q run --resume qemu
	blind=$with
	grep -q 'Not confirmed through QEMU: qemu-nbd is not installed' out &&
		! grep -q '^Through QEMU ' out || return 1
	q run --resume qemu
	[ "$rc" = 0 ] || [ "$rc" = 4 ] || return 1
	grep -q '6 of 6 rounds are whole' err && qemu_rows &&
		! grep -q no_time qemu/run.json && same_report qemu out
}
no_qemu() { # is remembered
	cut_off no 1
	q run --resume no
	[ "$rc" = 0 ] || [ "$rc" = 4 ] || return 1
	! grep -q '"part":"qemu"' no/trials.jsonl &&
		grep -q 'Not confirmed through QEMU: --no-qemu' out &&
		same_report no out
}

if ! run first --rounds 1 || grep -q "No advice: " out; then
	echo "skip - qemu # no advice is given for $(stat -f -c %T .)"
	exit 0
fi
if grep -q libnbd.so "$bench"; then
	check "without qemu-nbd: said in a line" without
else
	echo "skip - qemu-nbd # built without libnbd"
	exit 0
fi
check "--no-qemu: said too" refused
check "... and remembered" no_qemu
if command -v qemu-nbd >/dev/null && command -v qemu-img >/dev/null; then
	check "the two best once more through QEMU, beside raw" through
	check "... with their rows in all files" rows
	check "... and nothing is left" nothing_left
	check "... which are marked in trials.jsonl" marked
	check "... and report knows them" qemu_report
	check "... and in the JSON document" qemu_json
	check "a run that is killed there goes on there" qemu_goes_on
	check "a round of the suite is done again: QEMU's are too" qemu_again
	check "what a quick run had no time for is taken up" put_off
else
	echo "skip - rounds through QEMU # no qemu-nbd"
fi
exit $bad
