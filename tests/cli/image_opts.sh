#!/bin/sh
# Images by text: what --image-opts and json:{} may say, what is read then, and
# the messages, compared with qemu-io's; and that a part of a file is all that
# an image on it reads and writes.
#
# shellcheck disable=SC2317 # functions are called by check()
set -u
LC_ALL=C
export LC_ALL
B=${B:-build/release}
img=$PWD/$B/qcowimg
work=$(mktemp -d "${TMPDIR:-/var/tmp}/q2-opts.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
cd "$work" || exit 1
bad=0
mkdir ours
ln -s "$img" ours/qemu-io

check() { # NAME COMMAND...: succeeds, every command of it
	name=$1
	shift
	(
		set -e
		"$@"
	) >log 2>&1
	status=$?
	if [ $status = 0 ]; then
		echo "ok - options: $name"
	else
		sed 's/^/# /' log
		echo "not ok - options: $name # status $status"
		bad=1
	fi
}

# refused TEXT COMMAND...
refused() {
	text=$1
	shift
	if "$@" >said 2>&1; then
		echo "not refused: $*"
		return 1
	fi
	grep -F -- "$text" said || { cat said && return 1; }
}

# ---- files -------------------------------------------------------------------

# r: 8 MiB of one byte a MiB; part: a qcow2 image from 1 MiB on.
for i in 001 002 003 004 005 006 007 010; do
	head -c 1M /dev/zero | tr '\0' "\\$i" || exit 1
done >r
new() { "$img" create -q -f qcow2 "$@" || exit 1; }
new base 4M
"$img" io -f qcow2 -c 'write -P 0x11 0 1M' base >log || exit 1
new other 4M
"$img" io -f qcow2 -c 'write -P 0x22 0 1M' other >log || exit 1
new -b base -F qcow2 over
new -o data_file=d.raw d 4M
"$img" io -f qcow2 -c 'write -P 0x33 0 1M' d >log || exit 1
new big 4M
"$img" io -f qcow2 -c 'write -P 0x44 0 1M' big >log || exit 1
{ head -c 1M /dev/zero | tr '\0' '\245' && cat big; } >part

# ---- as QEMU -----------------------------------------------------------------

cat >cases <<'END'
driver=raw,offset=1M,size=1M,file.filename=r
driver=raw,offset=1000,size=1M,file.filename=r
driver=raw,offset=1M,size=1000,file.filename=r
driver=raw,offset=1M,size=8M,file.filename=r
driver=raw,offset=9M,file.filename=r
driver=raw,offset=x,file.filename=r
driver=raw,offset=-1,file.filename=r
driver=raw,offset=8388608,file.filename=r
driver=raw,size=1M,offset=1M,file.driver=file,file.filename=r,x=1
driver=raw,file.driver=raw,file.offset=512,file.size=1M,offset=1k,file.file.filename=r
driver=raw,file.driver=raw,file.offset=512,file.size=1M,offset=2M,file.file.filename=r
driver=raw,file.driver=raw,file.offset=512,file.size=1M,offset=1k,size=1M,file.file.filename=r
driver=raw,file.driver=raw,file.x=1,file.file.filename=r
driver=raw,file.driver=null-co,file.size=1M,size=2M
driver=raw,file.driver=null-co,file.size=1M,size=512k
driver=raw,file.filename=r,detect-zeroes=unmap
driver=raw,file.filename=r,pass-discard-other=on
driver=file,filename=r,offset=1
file.driver=raw,file.file.filename=other
file.driver=raw,file.offset=1M,file.file.filename=part
driver=qcow2,offset=1M,file.filename=other
driver=qcow2,file.driver=raw,file.offset=0,file.file.filename=other
driver=qcow2,file.driver=raw,file.offset=1M,file.file.filename=part
driver=qcow2,file.driver=raw,file.filename=other
driver=qcow2,file.driver=raw,file.file.driver=file,file.file.filename=other
driver=qcow2,file.driver=raw,file.file.driver=raw,file.file.file.filename=other
driver=qcow2,file.driver=raw,file.file.x=1,file.file.filename=other
driver=qcow2,file.filename=over,backing.driver=qcow2,backing.file.filename=other
driver=qcow2,file.filename=over,backing.file.filename=other
driver=qcow2,file.filename=other,backing.driver=qcow2,backing.file.filename=base
driver=qcow2,file.filename=over,backing.driver=raw
driver=qcow2,file.filename=over,backing.driver=nix
driver=qcow2,file.filename=over,backing.driver=raw,backing.offset=512,backing.file.filename=r
driver=qcow2,file.filename=over,backing.driver=raw,backing.offset=512
driver=qcow2,file.filename=over,backing.driver=raw,backing.offset=9M
driver=qcow2,file.filename=over,backing.x=1
driver=qcow2,file.filename=over,backing.driver=raw,backing.cache-size=1
driver=qcow2,file.filename=over,backing.file.x=1
driver=qcow2,file.filename=over,backing.file.locking=off
driver=qcow2,file.filename=over,backing.driver=qcow2,backing.file.filename=nono
driver=qcow2,file.filename=over,backing=xx
driver=qcow2,file.filename=over,backing.l2-cache-size=1M
driver=qcow2,file.filename=over,backing.l2-cache-size=x
driver=qcow2,file.filename=over,backing.lazy-refcounts=x
driver=qcow2,file.filename=over,backing.cache-size=1M,backing.l2-cache-size=2M
driver=qcow2,file.filename=over,backing.driver=qcow2,backing.backing.driver=raw,backing.backing.file.filename=r,backing.file.filename=d,backing.data-file.filename=d.raw
driver=qcow2,file.filename=over,backing.driver=qcow2,backing.backing.driver=raw,backing.backing.file.filename=r,backing.file.filename=other,backing.backing.x=1
driver=qcow2,file.filename=d,data-file.driver=file,data-file.filename=r
driver=qcow2,file.filename=d,data-file.filename=r
driver=qcow2,file.filename=d,data-file.driver=raw,data-file.file.filename=r
driver=qcow2,file.filename=d,data-file.driver=raw,data-file.offset=1M,data-file.file.filename=r
driver=qcow2,file.filename=other,data-file.driver=file,data-file.filename=r
driver=qcow2,file.filename=d,data-file=r
driver=qcow2,file.filename=d,data-file.x=r
driver=qcow2,file.filename=d,data-file.driver=nix
driver=qcow2,file.filename=d,data-file.driver=file
driver=qcow2,file.filename=d,data-file.driver=raw,data-file.x=1,data-file.file.filename=r
driver=qcow2,file.filename=d,data-file.driver=file,data-file.x=1,data-file.filename=r
driver=qcow2,file.filename=other,overlap-check=none
driver=qcow2,file.filename=other,overlap-check=xx
driver=qcow2,file.filename=other,overlap-check.template=xx
driver=qcow2,file.filename=other,overlap-check=none,overlap-check.template=all
driver=qcow2,file.filename=other,overlap-check=none,overlap-check.template=none
driver=qcow2,file.filename=other,overlap-check.main-header=on,overlap-check.bitmap-directory=off
driver=qcow2,file.filename=other,overlap-check.main-header=maybe
driver=qcow2,file.filename=other,overlap-check.foo=on
driver=qcow2,file.filename=other,cache-size=1M,l2-cache-size=1M,refcount-cache-size=256k
driver=qcow2,file.filename=other,cache-size=1M,l2-cache-size=2M
driver=qcow2,file.filename=other,cache-size=1M,refcount-cache-size=2M
driver=qcow2,file.filename=other,cache-size=1M,l2-cache-size=512k
driver=qcow2,file.filename=other,cache-size=1M,refcount-cache-size=512k
driver=qcow2,file.filename=other,cache-size=0
driver=qcow2,file.filename=other,l2-cache-size=0
driver=qcow2,file.filename=other,l2-cache-size=1
driver=qcow2,file.filename=other,l2-cache-size=15E
driver=qcow2,file.filename=other,l2-cache-size=17E
driver=qcow2,file.filename=other,refcount-cache-size=0
driver=qcow2,file.filename=other,refcount-cache-size=15E
driver=qcow2,file.filename=other,l2-cache-entry-size=0
driver=qcow2,file.filename=other,l2-cache-entry-size=256
driver=qcow2,file.filename=other,l2-cache-entry-size=512
driver=qcow2,file.filename=other,l2-cache-entry-size=1000
driver=qcow2,file.filename=other,l2-cache-entry-size=128k
driver=qcow2,file.filename=other,cache-clean-interval=-1
driver=qcow2,file.filename=other,cache-clean-interval=x
driver=qcow2,file.filename=other,cache-clean-interval=4294967296
driver=qcow2,file.filename=other,cache-clean-interval=4294967295
driver=qcow2,file.filename=other,cache-clean-interval=0
driver=qcow2,file.filename=other,cache-clean-interval=
driver=qcow2,file.filename=other,discard=xx
driver=qcow2,file.filename=other,discard=unmap,detect-zeroes=unmap
driver=qcow2,file.filename=other,detect-zeroes=unmap
driver=qcow2,file.filename=other,detect-zeroes=xx
driver=qcow2,file.filename=other,detect-zeroes=on
driver=qcow2,file.filename=other,file.detect-zeroes=unmap
driver=qcow2,file.filename=other,pass-discard-request=x
driver=qcow2,file.filename=other,pass-discard-snapshot=x
driver=qcow2,file.filename=other,pass-discard-other=x
driver=qcow2,file.filename=other,lazy-refcounts=x
driver=qcow2,file.filename=other,cache.direct=x
driver=qcow2,file.filename=other,cache.writeback=on
driver=qcow2,file.filename=other,read-only=x
driver=qcow2,file.filename=other,file.locking=x
driver=qcow2,file.filename=other,file.aio=x
driver=qcow2,file.filename=other,node-name=1x
json:{"driver":"qcow2","file":{"driver":"raw","offset":1048576,"file":{"filename":"part"}}}
json:{"driver":"qcow2","file":{"filename":"over"},"backing":{"driver":"raw","offset":1048576,"size":512,"file":{"driver":"file","filename":"r"}}}
json:{"driver":"qcow2","file":{"filename":"over"},"backing":{"driver":"raw","offsets":1}}
END

# told: what qemu-io, whichever PATH finds, says and reads of each case
told() {
	while read -r line; do
		list=--image-opts
		case $line in
		json:*) list= ;;
		esac
		echo "$line"
		status=0
		qemu-io -r ${list:+"$list"} -c 'read -v 0 512' "$line" 2>&1 \
			</dev/null || status=$?
		echo "status $status"
	done <cases | sed '/ops\/sec/d'
}

as_qemu() {
	told >want
	PATH=$work/ours:$PATH
	told >have
	[ "$(grep -c '^status ' want)" = "$(grep -c . cases)" ]
	diff -U 5 want have
}
if qemu-io --version 2>/dev/null | grep -q 'version 7\.2\.'; then
	check "read and refused as by QEMU" as_qemu
else
	echo "skip - options: read and refused as by QEMU # no qemu-io 7.2"
fi

# ---- ours to refuse ------------------------------------------------------------

one_line() {
	for i in "driver 'qcow2' below another format is not supported|driver=qcow2,file.driver=qcow2,file.file.filename=base" \
		"driver 'qcow2' below another format is not supported|driver=raw,file.driver=qcow2,file.file.filename=base" \
		"driver 'qcow2' below another format is not supported|driver=qcow2,file.filename=d,data-file.driver=qcow2,data-file.file.filename=base" \
		"a part of 0 bytes of 'r' cannot be opened|driver=raw,size=0,file.filename=r" \
		"offset 1000 or size 0 is not a multiple of|driver=raw,offset=1000,cache.direct=on,file.filename=r"; do
		refused "${i%%|*}" "$img" io -r -c 'read 0 512' --image-opts "${i##*|}"
		[ "$(wc -l <said)" = 1 ]
	done
}
check "what is not supported is named in one line" one_line

# ---- parts -----------------------------------------------------------------------

around() { # FILE: nothing but the MiB from 2 MiB on has changed since r was copied
	cmp -n 2097152 r "$1"
	cmp -i 3145728 r "$1"
	[ "$(stat -c %s "$1")" = "$(stat -c %s r)" ]
}
raw_part() {
	cp r w
	o=driver=raw,offset=2M,size=1M,discard=unmap,file.filename=w,$1
	"$img" io --image-opts -c 'write -P 9 0 512k' -c 'write -z 512k 64k' \
		-c 'write -P 8 1000001 3' -c 'discard 768k 64k' \
		-c 'read -P 9 0 512k' -c 'read -P 0 512k 64k' \
		-c 'read -P 8 1000001 3' -c 'read -P 0 768k 64k' \
		-c 'read -P 3 576k 192k' "$o"
	around w
	refused '' "$img" io --image-opts -c 'write 1M 512' "$o"
	refused 'Cannot resize fixed-size raw disks' \
		"$img" resize --image-opts "$o" 2M
	refused 'Cannot resize fixed-size raw disks' \
		"$img" resize --shrink --image-opts "$o" 512k
	around w
}
for o in file.aio=threads file.aio=native,cache.direct=on file.aio=io_uring \
	file.aio=io_uring,cache.direct=on; do
	check "a raw image in the middle of a file, $o" raw_part $o
done

# Without a size the file may grow.
tail_part() {
	cp r w
	o=driver=raw,offset=7M,file.filename=w
	"$img" resize --image-opts "$o" 3M
	[ "$(stat -c %s w)" = 10485760 ]
	"$img" io --image-opts -c 'read -P 8 0 1M' -c 'read -P 0 1M 2M' \
		-c 'write -P 9 2M 1M' "$o"
	"$img" resize --shrink --image-opts "$o" 1M
	cmp r w
}
check "a raw image at the end of a file" tail_part

# A qcow2 image that must do with its part, as on a device: full of old bytes,
# and never longer.
qcow2_part() {
	new empty 16M
	cp r w
	dd if=empty of=w bs=64k seek=32 conv=notrunc status=none
	o=driver=qcow2,file.driver=raw,file.offset=2M,file.size=1M,discard=unmap
	o=$o,file.file.filename=w,$1
	"$img" io --image-opts -c 'write -P 9 0 5' -c 'write -P 8 200k 1' \
		-c 'read -P 0 5 64k' -c 'read -P 0 201k 4k' -c flush "$o"
	around w
	refused 'No space left' "$img" io --image-opts -c 'write -P 7 1M 2M' "$o"
	"$img" check --image-opts "$o"
	"$img" io --image-opts -c 'read -P 9 0 5' -c 'discard 0 64k' -c flush \
		-c 'read -P 0 0 64k' -c 'write -P 6 14M 64k' \
		-c 'read -P 8 200k 1' -c 'read -P 0 201k 4k' "$o"
	"$img" check --image-opts "$o"
	around w
}
for o in file.file.aio=threads file.file.aio=io_uring,cache.direct=on; do
	check "a qcow2 image in the middle of a file, $o" qcow2_part $o
done

# Its last table is cut off by the end of the part: the rest is zeros, not what
# is behind.
cut_off() {
	new empty 16M
	cp r w
	dd if=empty of=w bs=64k seek=32 conv=notrunc status=none
	"$img" io -r --image-opts -c 'read -P 0 0 16M' \
		"driver=qcow2,file.driver=raw,file.offset=2M,file.size=200k,file.file.filename=w"
}
check "what lies behind the end of a part is not read" cut_off

data_part() {
	cp r w
	new -o data_file=d2.raw,data_file_raw=on d2 1M
	o=driver=qcow2,file.filename=d2,data-file.driver=raw,data-file.offset=2M
	o=$o,data-file.size=1M,data-file.file.filename=w
	"$img" io --image-opts -c 'write -P 9 0 5' -c 'write -z 64k 64k' \
		-c 'write -P 8 1000001 3' "$o"
	"$img" io -r --image-opts -c 'read -P 9 0 5' -c 'read -P 3 5 60k' \
		-c 'read -P 0 64k 64k' -c 'read -P 8 1000001 3' \
		driver=raw,offset=2M,size=1M,file.filename=w
	around w
}
check "a data file in the middle of a file" data_part

converted() {
	"$img" convert --image-opts -O qcow2 \
		driver=raw,offset=2M,size=1M,file.filename=r c.qcow2
	"$img" io -r -f qcow2 -c 'read -P 3 0 1M' c.qcow2
	"$img" map --image-opts --output=json \
		driver=raw,offset=2M,size=1M,file.filename=r
	"$img" convert --image-opts -O raw \
		driver=qcow2,file.filename=over,backing.driver=raw,backing.file.filename=r c.raw
	cmp -n 4194304 r c.raw
}
check "a part, and another backing file, as a source" converted

# An image and its backing file beside each other in one file are no loop; where
# they have bytes in common, one is.
beside() {
	cp r w
	dd if=base of=w bs=64k seek=16 conv=notrunc status=none
	new empty 4M
	dd if=empty of=w bs=64k seek=64 conv=notrunc status=none
	o=driver=qcow2,file.driver=raw,file.offset=4M,file.file.filename=w
	o=$o,backing.driver=qcow2,backing.file.driver=raw
	o=$o,backing.file.file.filename=w
	"$img" io -r --image-opts -c 'read -P 0x11 0 1M' -c 'read -P 0 1M 3M' \
		"$o,backing.file.offset=1M,backing.file.size=3M"
	refused 'the backing chain comes back to' "$img" io -r --image-opts \
		-c 'read 0 512' "$o,backing.file.offset=1M"
}
check "an image and its backing file in one file" beside

# Locks do not tell where there are none.
data_is_image() {
	new -o data_file=d3.raw d3 1M
	cp d3 d3.before
	o=driver=qcow2,file.filename=d3,file.locking=off
	refused "the data file 'd3' is the image itself" "$img" io \
		--image-opts -c 'write 0 64k' \
		"$o,data-file.filename=d3,data-file.locking=off"
	cmp d3 d3.before
}
check "a data file that is the image itself is refused" data_is_image

# rebase -u opens no backing file, and nobody takes options of one.
unsafe_backing() {
	o=driver=qcow2,file.filename=over
	cp over over.before
	for option in backing.driver=qcow2 backing.lazy-refcounts=on backing=b; do
		text="'qcow2' does not support the option '${option%%=*}'"
		refused "$text" "$img" rebase -u -b other -F qcow2 \
			--image-opts "$o,$option"
		if command -v qemu-img >log2; then
			refused "$text" qemu-img rebase -u -b other -F qcow2 \
				--image-opts "$o,$option"
		fi
	done
	cmp over over.before
	"$img" rebase -u -b base -F qcow2 --image-opts "$o,backing="
	"$img" rebase -b base -F qcow2 --image-opts "$o,backing.driver=qcow2"
}
check "options of a backing file that rebase -u does not open" unsafe_backing
exit $bad
