#!/bin/sh
# What is said about an image that can be opened nevertheless, and that check
# wants the other files of an image: as QEMU does, whose tools are asked too
# where they are installed.
#
# modes: all
set -u
LC_ALL=C
export LC_ALL
B=${B:-build/release}
img=$PWD/$B/qcowimg
images=$PWD/tests/golden/images/good
work=$(mktemp -d "${TMPDIR:-/var/tmp}/q2-warnings.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
cd "$work" || exit 1
bad=0
mkdir ours
ln -s "$img" ours/qemu-img
ln -s "$img" ours/qemu-io

# equal NAME WANT HAVE: two files
equal() {
	if cmp -s "$2" "$3"; then
		echo "ok - warnings: $1"
	else
		diff "$2" "$3" | sed 's/^/# /'
		echo "not ok - warnings: $1"
		bad=1
	fi
}

# says NAME STATUS COMMAND...: ours says the text in the file want to stderr,
# and so does QEMU's.
says() {
	name=$1 status=$2
	shift 2
	for side in ours QEMU; do
		if [ $side = ours ]; then
			PATH=$work/ours:$PATH "$@" 2>have >/dev/null </dev/null
		elif command -v "$1" >/dev/null; then
			"$@" 2>have >/dev/null </dev/null
		else
			echo "skip - warnings: $name, QEMU # no $1"
			continue
		fi
		have=$?
		equal "$name, $side" want have
		[ $have = "$status" ] || {
			echo "not ok - warnings: $name, $side # status $have"
			bad=1
		}
	done
}

# ---- bitmaps that somebody has not kept up to date ---------------------------

gzip -dc "$images/bitmaps-stale.qcow2.gz" >s.qcow2 || exit 1
"$img" create -q -f qcow2 -b s.qcow2 -F qcow2 over.qcow2 || exit 1
stale() {
	printf '%s: warning: a program lacking bitmap support modified this' "$1"
	printf ' file, so all bitmaps are now considered inconsistent\nSome'
	printf " clusters may be leaked, run 'qemu-img check -r' on the"
	printf ' image file to fix.'
}
stale qemu-img >want
says "stale bitmaps: info" 0 qemu-img info s.qcow2
says "stale bitmaps: map" 0 qemu-img map s.qcow2
says "stale bitmaps: of a backing file" 0 qemu-img map over.qcow2
says "stale bitmaps: of a backing file, check" 0 qemu-img check over.qcow2
stale qemu-io >want
says "stale bitmaps: io" 0 qemu-io -r -c 'read 0 1k' s.qcow2
gzip -dc "$images/bitmaps.qcow2.gz" >b.qcow2
: >want
says "bitmaps in order: nothing" 0 qemu-img info b.qcow2

# ---- check opens all files ----------------------------------------------------

"$img" create -q -f qcow2 base.qcow2 1M
"$img" create -q -f qcow2 -b base.qcow2 -F qcow2 middle.qcow2
"$img" create -q -f qcow2 -b middle.qcow2 -F qcow2 top.qcow2
"$img" create -q -f qcow2 -o data_file=d.raw d.qcow2 1M
: >want
says "check of a chain" 0 qemu-img check top.qcow2
says "check with a data file" 0 qemu-img check d.qcow2
rm base.qcow2 d.raw
echo "qemu-img: Could not open 'top.qcow2': Could not open backing file:" \
	"Could not open backing file: Could not open 'base.qcow2':" \
	"No such file or directory" >want
says "check of a chain whose base is missing" 1 qemu-img check top.qcow2
cp top.qcow2 before.qcow2
says "repair of a chain whose base is missing" 1 qemu-img check -r all top.qcow2
equal "repair of a chain whose base is missing changes nothing" before.qcow2 \
	top.qcow2
echo "qemu-img: Could not open 'd.qcow2': Could not open 'd.raw':" \
	"No such file or directory" >want
says "check without the data file" 1 qemu-img check d.qcow2
exit $bad
