#!/bin/sh
# Small things that users and scripts of qemu-img notice: names, options and
# marks that are seldom used, as QEMU has them; its tools are asked too where
# they are installed.
#
# modes: asan
set -u
LC_ALL=C
export LC_ALL
B=${B:-build/release}
img=$PWD/$B/qcowimg
work=$(mktemp -d "${TMPDIR:-/var/tmp}/q2-details.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
mkdir "$work/ours"
ln -s "$img" "$work/ours/qemu-img"
ln -s "$img" "$work/ours/qemu-io"
cd "$work" || exit 1
bad=0

# says NAME STATUS TEXT COMMAND...: both outputs hold the lines TEXT.
says() {
	name=$1 status=$2
	printf '%s\n' "$3" >want
	shift 3
	for side in ours QEMU; do
		if [ $side = ours ]; then
			PATH=$work/ours:$PATH "$@" >have 2>&1 </dev/null
		elif command -v "$1" >/dev/null; then
			"$@" >have 2>&1 </dev/null
		else
			echo "skip - details: $name, QEMU # no $1"
			continue
		fi
		have=$?
		if [ $have = "$status" ] && ! grep -vxFf have want; then
			echo "ok - details: $name, $side"
		else
			sed 's/^/# /' have
			echo "not ok - details: $name, $side # status $have"
			bad=1
		fi
	done
}

# bytes FILE OFFSET OCTAL: what printf makes of it, written there
bytes() {
	# shellcheck disable=SC2059 # escapes
	printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}

# ---- names of features -------------------------------------------------------

# The feature table starts behind the header; its last entry is cut short.
"$img" create -q -f qcow2 names.qcow2 1M
bytes names.qcow2 72 '\200'
bytes names.qcow2 112 '\150\003\370\127\0\0\0\006\0\077abcd\0\0\0\0\0\0\0\0\0\0'
says "a feature name that is cut short" 1 "qemu-img: Could not open \
'names.qcow2': Unsupported qcow2 feature(s): abcd" qemu-img info names.qcow2

# ---- marks that nobody knows ---------------------------------------------------

"$img" create -q -f qcow2 marks.qcow2 1M
bytes marks.qcow2 88 '\200'
says "check with a mark that nobody knows" 0 \
	"No errors were found on the image." qemu-img check marks.qcow2
[ "$(od -An -tu1 -j88 -N1 marks.qcow2)" -eq 128 ] || {
	echo "not ok - details: check wrote to an image"
	bad=1
}
for r in leaks all; do
	bytes marks.qcow2 88 '\200'
	says "check -r $r with a mark that nobody knows" 0 \
		"No errors were found on the image." \
		qemu-img check -r $r marks.qcow2
	bytes marks.qcow2 88 '\200'
	"$img" check -q -r $r marks.qcow2
	if [ "$(od -An -tu1 -j88 -N1 marks.qcow2)" -eq 0 ]; then
		echo "ok - details: check -r $r takes it away"
	else
		echo "not ok - details: check -r $r takes it away"
		bad=1
	fi
done

# ---- options of a node -----------------------------------------------------------

"$img" create -q -f qcow2 plain.qcow2 1M
says "three sizes of caches, all 0" 1 "qemu-io: can't open device plain.qcow2: \
cache-size, l2-cache-size and refcount-cache-size may not be set at the same \
time" qemu-io -c "open -o cache-size=0,l2-cache-size=0,refcount-cache-size=0 \
plain.qcow2"

# ---- file names --------------------------------------------------------------------

"$img" create -q -f qcow2 base.qcow2 1M
"$img" create -q -f qcow2 -b base.qcow2 -F qcow2 file:a:b.qcow2
says "a colon behind file:" 0 "image: ./a:b.qcow2
backing file: base.qcow2 (actual path: ./base.qcow2)" \
	qemu-img info file:a:b.qcow2
"$img" create -q -f qcow2 file:c.qcow2 1M
says "file: before a plain name" 0 "image: c.qcow2" qemu-img info file:c.qcow2

# ---- chains ------------------------------------------------------------------------

"$img" create -q -f qcow2 -b base.qcow2 -F qcow2 over.qcow2
says "info of a chain whose first image is options" 0 "image: over.qcow2
image: base.qcow2" qemu-img info --backing-chain --image-opts \
	driver=qcow2,file.driver=file,file.filename=over.qcow2

# ---- version 2 ---------------------------------------------------------------------

"$img" create -q -f qcow2 sizes.qcow2 1M
"$img" snapshot -c small sizes.qcow2
"$img" resize -q sizes.qcow2 2M
says "a snapshot of another size keeps version 3" 1 \
	"qemu-img: Internal snapshots prevent downgrade of image" \
	qemu-img amend -o compat=0.10 sizes.qcow2
if "$img" snapshot -a small sizes.qcow2 &&
	"$img" amend -o compat=0.10 sizes.qcow2; then
	echo "ok - details: with one of its size it can be version 2"
else
	echo "not ok - details: with one of its size it can be version 2"
	bad=1
fi

says "version 2 with a new size that all snapshots have" 0 "    compat: 0.10" \
	sh -c "qemu-img create -q -f qcow2 sized.qcow2 1M &&
		qemu-img snapshot -c small sized.qcow2 &&
		qemu-img resize -q sized.qcow2 2M &&
		qemu-img amend -o compat=0.10,size=1M sized.qcow2 &&
		qemu-img info sized.qcow2"

# ---- version 3 ---------------------------------------------------------------------

"$img" create -q -f qcow2 -o compat=0.10 short.qcow2 1M
"$img" snapshot -c sn short.qcow2
# The entry as it was before there was any extra data.
at=$(($(od -An -tu1 -j68 -N4 short.qcow2 | awk '{
	print (($1 * 256 + $2) * 256 + $3) * 256 + $4 }')))
bytes short.qcow2 $((at + 36)) '\0\0\0\0001sn\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0'
says "a snapshot of an old version" 0 "1         sn" \
	sh -c "qemu-img snapshot -l short.qcow2 | grep -o '^1 *sn'"
"$img" amend -o compat=1.1 short.qcow2
says "its entry is completed for version 3" 0 \
	"No errors were found on the image." qemu-img check short.qcow2

# ---- reopen -------------------------------------------------------------------------

for both in '-r -o read-only=on' '-w -o read-only=off'; do
	says "reopen $both" 1 "qemu-io: Cannot set both -r/-w and 'read-only'" \
		qemu-io -c "reopen $both" plain.qcow2
done
for both in '-c none -o cache.direct=on' \
	'-c directsync -o detect-zeroes=off,cache.no-flush=on'; do
	says "reopen $both" 1 \
		"qemu-io: Cannot set both -c and the cache options" \
		qemu-io -c "reopen $both" plain.qcow2
done
says "reopen -r -c and other options" 0 "1 MiB" qemu-io \
	-c "reopen -r -c none -o detect-zeroes=off" -c length plain.qcow2

for o in node-name=a file.node-name=a backing.node-name=a; do
	says "reopen with another $o" 1 \
		"qemu-io: Cannot change the option 'node-name'" \
		qemu-io -c "reopen -o $o" over.qcow2
	says "reopen with the same $o" 0 "1 MiB" qemu-io \
		-c "open -o $o over.qcow2" -c reopen -c "reopen -o $o" -c length
done
for o in driver=raw file.driver=qcow2 backing.driver=raw backing.driver=file \
	backing.file.driver=null-co; do
	says "reopen with another $o" 1 \
		"qemu-io: Cannot change the option 'driver'" \
		qemu-io -c "reopen -o $o" over.qcow2
done
for o in driver=qcow2 file.driver=file backing.driver=qcow2 \
	backing.file.driver=file; do
	says "reopen with the same $o" 0 "1 MiB" \
		qemu-io -c "reopen -o $o" -c length over.qcow2
done
says "info of a disk without a file" 1 "format name: null-co" \
	qemu-io -r -c reopen -c info "json:{'driver': 'null-co', 'size': 65536}"

# ---- what a driver of files takes ------------------------------------------------

mkdir dir
says "a directory as a file" 1 "qemu-io: can't open: 'file' driver requires \
'dir' to be a regular file" qemu-io -c "open -r -o driver=file,filename=dir"
says "a directory as a file to be written" 1 "qemu-io: can't open: Could not \
open 'dir': Is a directory" qemu-io -c "open -o driver=file,filename=dir"
for mode in "" -r; do
	says "a device as a file $mode" 1 "qemu-io: can't open: 'file' driver \
requires '/dev/null' to be a regular file" \
		qemu-io -c "open $mode -o driver=file,filename=/dev/null"
	says "a file as a device $mode" 1 "qemu-io: can't open: 'host_device' \
driver requires 'plain.qcow2' to be either a character or block device" qemu-io \
		-c "open $mode -o driver=host_device,filename=plain.qcow2"
done

# ---- zeros -----------------------------------------------------------------------

# A raw file knows of its holes; of the 4 KiB with data, none is beside zeros.
says "zeros over a part of a cluster" 0 \
	'"start": 0, "length": 65536, "depth": 0, "present": true, "zero": true
"start": 131072, "length": 131072, "depth": 0, "present": true, "zero": true
"start": 262144, "length": 65536, "depth": 0, "present": true, "zero": false' \
	sh -c "
	rm -f holes.raw && truncate -s 1M holes.raw &&
	qemu-io -f raw -c 'write -q -P 9 256k 4k' holes.raw &&
	qemu-img create -q -f qcow2 -b holes.raw -F raw holed.qcow2 &&
	qemu-io -c 'write -q -z 1k 1k' -c 'write -q -z 191k 2k' \
		-c 'write -q -z 300k 4k' holed.qcow2 &&
	qemu-img map --output=json holed.qcow2 |
		grep -o '\"start\": .*, \"zero\": [a-z]*'"

# ---- subclusters -----------------------------------------------------------------

# l2_entry FILE: where its first L2 entry is
l2_entry() {
	od -An -tu1 -j"$(($(be64 "$1" 40)))" -N8 "$1" | awk '{
		for (i = 2; i <= 8; i++) n = n * 256 + $i
		printf "%d\n", n }'
}

# be64 FILE OFFSET
be64() {
	od -An -tu1 -j"$2" -N8 "$1" | awk '{
		for (i = 1; i <= 8; i++) n = n * 256 + $i
		printf "%d\n", n }'
}

"$img" create -q -f qcow2 full.qcow2 1M
"$img" io -c "write -q -P 5 0 1M" full.qcow2
"$img" create -q -f qcow2 -o extended_l2=on -b full.qcow2 -F qcow2 subs.qcow2
"$img" io -c "write -q -P 1 4k 2k" -c "write -q -z 4k 2k" subs.qcow2
at=$(l2_entry subs.qcow2)
for side in ours QEMU; do
	if [ $side = QEMU ] && ! command -v qemu-img >/dev/null; then
		continue
	fi
	# Its place is not one of a cluster.
	cp subs.qcow2 mend.qcow2
	bytes mend.qcow2 $((at + 6)) '\2'
	case $side in
	ours) "$img" check -q -r all mend.qcow2 2>/dev/null ;;
	QEMU) qemu-img check -q -r all mend.qcow2 2>/dev/null ;;
	esac
	says "what shines through a cluster mended by $side" 0 \
		"read 2048/2048 bytes at offset 4096" qemu-io -r \
		-c "read -P 5 0 4k" -c "read -P 0 4k 2k" \
		-c "read -P 5 6k 1018k" mend.qcow2
done
says "of a cluster that gets another place only what is its own moves" 0 \
	'"start": 0, "length": 26624, "depth": 1
"start": 26624, "length": 12288, "depth": 0
"start": 38912, "length": 1009664, "depth": 1' sh -c "
	qemu-img create -q -f qcow2 -o extended_l2=on -b full.qcow2 -F qcow2 \
		moved.qcow2 &&
	qemu-io -c 'write -q 26k 2k' -c 'write -q 36k 2k' moved.qcow2 &&
	qemu-img snapshot -c sn moved.qcow2 &&
	qemu-io -c 'write -q 30k 1k' moved.qcow2 &&
	qemu-img map --output=json moved.qcow2 |
		grep -o '\"start\": [0-9]*, \"length\": [0-9]*, \"depth\": [01]'"
"$img" create -q -f qcow2 -o extended_l2=on packed.qcow2 1M
"$img" io -c "write -q -c -P 11 0 64k" packed.qcow2
bytes packed.qcow2 $(($(l2_entry packed.qcow2) + 11)) '\1\200'
cp packed.qcow2 written.qcow2
says "a bitmap of a compressed cluster does not count" 0 \
	"read 65536/65536 bytes at offset 0" \
	qemu-io -r -c "read -P 11 0 64k" packed.qcow2
says "nor when a part of it is written" 0 \
	"read 61440/61440 bytes at offset 4096" qemu-io -c "write -P 3 0 4k" \
	-c "read -P 3 0 4k" -c "read -P 11 4k 60k" written.qcow2

exit $bad
