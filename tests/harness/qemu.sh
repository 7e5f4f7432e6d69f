#!/bin/sh
# What `run preallocation` does where QEMU is installed, and where it is not.
# Tiny runs on a disk, since there is no advice about memory; nothing here
# measures.
# shellcheck disable=SC2317 # functions are called by check()
set -u
B=${B:-build/release}
bench=$PWD/$B/qcowbench
dir=$(mktemp -d "${TMPDIR:-/var/tmp}/q2-qemu.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
cd "$dir" || exit 1
bad=0

check() { # name, command
	name=$1
	shift
	if "$@" >check.out 2>&1; then
		echo "ok - $name"
	else
		sed 's/^/# /' check.out out err
		echo "not ok - $name"
		bad=1
	fi
}

run() { # output folder, argument...
	folder=$1
	shift
	mkdir -p disk
	"$bench" run preallocation --quick --image-size 16m --requests 64 \
		--size 1g --dir disk --out "$folder" "$@" >out 2>err
	rc=$?
	# 4: the sizes are too small to tell anything, which is right.
	[ "$rc" = 0 ] || [ "$rc" = 4 ] || { echo "status $rc"; return 1; }
}

without() { # PATH is empty: no qemu-nbd, and no gnuplot
	mkdir -p none && PATH=$dir/none run without || return 1
	PATH=$path
	grep -q 'Not confirmed through QEMU: qemu-nbd is not installed' out &&
		! grep -q qemu- without/trials.csv
}
refused() {
	run refused --no-qemu &&
		grep -q 'Not confirmed through QEMU: --no-qemu' out &&
		! grep -q qemu- refused/trials.csv
}
through() {
	run through && grep -q '^through QEMU ' err &&
		grep -q '^Through QEMU ' out && grep -q '^qemu-raw-written ' out
}
# 6 rounds of 3 configurations and 2 passes.
rows() {
	[ "$(grep -c ',qemu-' through/trials.csv)" = 36 ] &&
		[ "$(grep -c '"label":"qemu-' through/trials.jsonl)" = 18 ] &&
		grep -q ',qemu-raw-written,' through/cells.csv &&
		grep -q '"version": "QEMU ' through/run.json
}
nothing_left() {
	for p in /proc/[0-9]*; do
		case $(tr '\0' ' ' <"$p/cmdline" 2>/dev/null) in
		qemu-nbd*" disk/"* | qemu-nbd*"$dir"*) return 1 ;;
		esac
	done
	[ -z "$(ls -A disk)" ]
}

path=$PATH
if ! run first --rounds 1 || grep -q "No advice: " out; then
	echo "skip - qemu # no advice is given for $(stat -f -c %T .)"
	exit 0
fi
if ldd "$bench" | grep -q libnbd; then
	check "without qemu-nbd: said in a line" without
else
	echo "skip - qemu-nbd # built without libnbd"
	exit 0
fi
check "--no-qemu: said too" refused
if command -v qemu-nbd >/dev/null && command -v qemu-img >/dev/null; then
	check "the two best once more through QEMU, beside raw" through
	check "... with their rows in all files" rows
	check "... and nothing is left" nothing_left
else
	echo "skip - rounds through QEMU # no qemu-nbd"
fi
exit $bad
