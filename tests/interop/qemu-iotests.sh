#!/bin/sh
# QEMU's own tests of qcow2 with our program in the place of qemu-img and
# qemu-io, compared to the letter by their own runner:
#
#	Q2_IOTESTS=qemu/tests/qemu-iotests sh tests/interop/qemu-iotests.sh
#
# Q2_IOTESTS names that directory of QEMU's sources (7.2, whose texts are
# ours), Q2_IOTESTS_CASES some cases of it ("010 026"), Q2_IOTESTS_KEEP a
# directory for what failed cases have printed, Q2_IOTESTS_CHECK options of the
# runner ("-nocache").  Cases that need a virtual machine, qemu-nbd or the
# storage daemon are skipped, as are those for other formats and all that are
# written in Python (they drive virtual machines).
set -u
LC_ALL=C
export LC_ALL
B=${B:-build/release}
img=$PWD/$B/qcowimg
skip() {
	echo "skip - QEMU's own tests # $1"
	exit 0
}
[ -n "${Q2_IOTESTS:-}" ] ||
	skip "Q2_IOTESTS does not name QEMU's tests/qemu-iotests"
if [ ! -x "$Q2_IOTESTS/check" ]; then
	echo "not ok - QEMU's own tests # Q2_IOTESTS=$Q2_IOTESTS has no check"
	exit 1
fi
python3 -c '' 2>/dev/null || skip "python3 is not installed"
src=$(cd "$Q2_IOTESTS" && pwd) || exit 1
keep=${Q2_IOTESTS_KEEP:-}
[ -z "$keep" ] || keep=$(mkdir -p "$keep" && cd "$keep" && pwd) || exit 1
work=$(mktemp -d "${TMPDIR:-/var/tmp}/q2-iotests-XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
cd "$work" || exit 1
bad=0

# The runner wants to be called through a link, from a directory of its own.
mkdir -p tree/tests/qemu-iotests bin disk sock
ln -s "$src/check" tree/tests/qemu-iotests/check
ln -s "$img" bin/qemu-img
ln -s "$img" bin/qemu-io
# It asks QEMU for machines and drivers, and wants the others to be there.
cat >bin/qemu-system <<'END'
#!/bin/sh
case "$*" in
*format=help*) echo "Supported formats: blkdebug file null-co qcow2 raw" ;;
*) echo "none" ;;
esac
END
printf '#!/bin/sh\nexit 1\n' >bin/absent
chmod +x bin/qemu-system bin/absent
export QEMU_PROG="$work/bin/qemu-system" QEMU_NBD_PROG="$work/bin/absent"
export QSD_PROG="$work/bin/absent" QEMU_IMG_PROG="$work/bin/qemu-img"
export QEMU_IO_PROG="$work/bin/qemu-io"
export TEST_DIR="$work/disk" SOCK_DIR="$work/sock"

# why_not CASE: prints why it cannot be run here; fails if it can.
why_not() {
	case=$src/$1
	if ! head -n 1 "$case" | grep -q 'bash'; then
		echo "drives virtual machines (Python)"
	elif ! grep '^_supported_fmt' "$case" | grep -q 'qcow2\|generic' ||
		grep '^_unsupported_fmt' "$case" | grep -q qcow2; then
		echo "is for another format"
	elif ! grep '^_supported_proto' "$case" | grep -q 'file\|generic'; then
		echo "is for another protocol"
	elif grep -q '_launch_qemu\|common\.qemu\|_launch_qsd\|_make_qsd' \
		"$case" || grep -q '[$]QEMU\( \|"\)\|qemu_comm\|QSD' "$case"; then
		echo "needs a virtual machine"
	elif grep -q 'QEMU_NBD\|common\.nbd\|nbd_server' "$case"; then
		echo "needs qemu-nbd"
	else
		return 1
	fi
}

run() { # CASE
	if reason=$(why_not "$1"); then
		echo "skip - qemu-iotests $1 # $reason"
		return
	fi
	# shellcheck disable=SC2086 # options are words
	(cd tree/tests/qemu-iotests &&
		timeout "${Q2_TEST_TIMEOUT:-300}" ./check -qcow2 \
			${Q2_IOTESTS_CHECK:-} "$1") >said 2>&1
	status=$?
	if grep -q "^Passed all 1 " said; then
		echo "ok - qemu-iotests $1"
	elif grep -q "^Not run: " said; then
		echo "skip - qemu-iotests $1 # $(sed -n \
			's/.* not run .*\.\.\. *//p' said | tail -n 1)"
	else
		sed 's/^/# /' said
		echo "not ok - qemu-iotests $1 # status $status"
		bad=1
		[ -z "$keep" ] || cp said "$keep/$(basename "$1")"
	fi
	rm -rf disk sock && mkdir disk sock
}

cases=${Q2_IOTESTS_CASES:-$(cd "$src" && ls -d [0-9][0-9][0-9] tests/*)}
for case in $cases; do
	case $case in *.out | *.out.* | *.pyc | */__pycache__) continue ;; esac
	if [ ! -f "$src/$case" ]; then
		echo "not ok - qemu-iotests $case # there is no such case"
		bad=1
		continue
	fi
	run "$case"
done
exit $bad
