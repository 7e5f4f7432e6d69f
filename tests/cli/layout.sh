#!/bin/sh
# qcowimg info --layout names the preallocation that an image really has, as a
# person and as a program read it; qcowimg io does what it is told; and which
# version it is, under each name.
#
set -u
LC_ALL=C
export LC_ALL
B=${B:-build/release}
img=$PWD/$B/qcowimg
work=$(mktemp -d "${TMPDIR:-/var/tmp}/q2-layout.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
cd "$work" || exit 1
bad=0

# equal NAME WANT HAVE
equal() {
	if [ "$2" = "$3" ]; then
		echo "ok - $1"
	else
		echo "not ok - $1 # '$3', not '$2'"
		bad=1
	fi
}

# member FILE NAME: a value from the JSON of info --layout.
member() {
	"$img" info --layout --output=json "$1" |
		sed -n "s/^ *\"$2\": \"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}\$/\1/p"
}

make() { "$img" create -q -f qcow2 -o preallocation="$1" "$2" 64M; }

make off off.qcow2 && make metadata metadata.qcow2 &&
	make falloc falloc.qcow2 && make full full.qcow2 || exit 1
fiemap=$(member full.qcow2 fiemap)
for p in off metadata falloc full; do
	want=$p
	if [ "$fiemap" != true ] && [ $p != off ]; then
		want="metadata or better"
	fi
	equal "layout of preallocation=$p, JSON" "$want" \
		"$(member $p.qcow2 preallocation)"
	human=$("$img" info --layout $p.qcow2 |
		sed -n 's/^ *preallocation: \(.*\) (.*/\1/p')
	equal "layout of preallocation=$p, human" "$want" "$human"
	equal "layout of preallocation=$p: file length" \
		"$(stat -c %s $p.qcow2)" "$(member $p.qcow2 file-length)"
done
equal "layout: metadata of a full image" 327680 \
	"$(member full.qcow2 metadata-size)"
equal "layout: all data has clusters" 67108864 \
	"$(member full.qcow2 mapped-size)"
if [ "$fiemap" = true ]; then
	equal "layout: falloc is unwritten" 67108864 \
		"$(member falloc.qcow2 unwritten-size)"
	equal "layout: metadata has holes" 67108864 \
		"$(member metadata.qcow2 hole-size)"
else
	echo "skip - layout: written, unwritten, holes # no FIEMAP here"
fi
# What is true of a raw file is said without the words of qcow2.
for p in off falloc full; do
	"$img" create -q -f raw -o preallocation=$p $p.raw 64M || exit 1
	equal "layout of a raw file, $p: its words" "" \
		"$("$img" info --layout $p.raw | grep -i cluster)"
	equal "layout of a qcow2 file, $p: its words" 1 \
		"$("$img" info --layout $p.qcow2 | grep -c 'data with clusters')"
done
truncate -s 64M half.raw &&
	"$img" io -f raw -t writeback -c "write -q -P 1 0 32M" half.raw || bad=1
equal "layout of a raw file, half filled: its words" "" \
	"$("$img" info --layout -f raw half.raw | grep -i cluster)"
"$img" io -t writeback -c "write -q 0 32M" off.qcow2 || bad=1
equal "layout: a half-filled image" "partly filled" \
	"$(member off.qcow2 preallocation)"
"$img" io -t writeback -c "write -q 32M 32M" off.qcow2 || bad=1
case $(member off.qcow2 preallocation) in
full | "metadata or better") echo "ok - layout: a filled image is full" ;;
*) echo "not ok - layout: a filled image is full # it is not" && bad=1 ;;
esac

# Many requests in flight, of which some wait for others' clusters.
set --
i=0
while [ $i -lt 64 ]; do
	set -- "$@" -c "aio_write -q -P $((i + 1)) $((i * 4))k 4k"
	i=$((i + 1))
done
set -- "$@" -c aio_flush
i=0
while [ $i -lt 64 ]; do
	set -- "$@" -c "read -q -P $((i + 1)) $((i * 4))k 4k"
	i=$((i + 1))
done
make off aio.qcow2 || exit 1
for aio in io_uring native threads; do
	if ! "$img" io -n -i $aio -c length aio.qcow2 >/dev/null 2>&1; then
		echo "skip - io: 64 aio_write in flight, $aio # not here"
		continue
	fi
	equal "io: 64 aio_write in flight, $aio" "" \
		"$("$img" io -n -i $aio "$@" aio.qcow2 2>&1)"
done
equal "io: what was written is there" "" "$("$img" check -q aio.qcow2 2>&1)"

# No prompt for a program; the commands of standard input.
equal "io: from standard input" "64 MiB" "$(echo length | "$img" io aio.qcow2)"
equal "io: an unfinished last line" "64 MiB" \
	"$(printf 'length' | "$img" io aio.qcow2)"

# Under QEMU's names, "NAME version NUMBER" as QEMU prints it; and who it is.
for name in qemu-img qemu-io; do
	ln -s "$img" $name || exit 1
	for o in -V --version; do
		equal "$name $o" "$name version N (qcowimg)" \
			"$(./$name $o | sed 's/[0-9][0-9.]*[0-9]/N/')"
	done
done
equal "qcowimg io --version" "$("$img" --version)" "$("$img" io --version)"

exit $bad
