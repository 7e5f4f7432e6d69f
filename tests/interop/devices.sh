#!/bin/sh
# Block devices in every role: raw image, qcow2 image, data file, backing file,
# source and target of convert; with blocks of 512 and of 4096 bytes.
#
# A device has a length of its own and is never empty: each loop device here is
# full of bytes 0xa5 before it is used, and where nothing was written none of
# them may be read.  What an image must hold is held by a plain file that was
# given the same commands.
#
# Needs root and loop devices, else all of it is skipped.
# shellcheck disable=SC2317 # most functions are called by check()
set -u
LC_ALL=C
export LC_ALL
B=${B:-build/release}
img=$PWD/$B/qcowimg
poison=$PWD/$B/tests/tools/poison
work=$(mktemp -d "${TMPDIR:-/var/tmp}/q2-devices.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP PIPE
cd "$work" || exit 1
bad=0
blocks=

if [ "$(id -u)" != 0 ]; then
	echo "skip - devices # not root"
	exit 0
elif [ ! -e /dev/loop-control ] || ! command -v losetup >/dev/null; then
	echo "skip - devices # no /dev/loop-control, or no losetup"
	exit 0
fi
if qemu-img --version >/dev/null 2>&1; then
	has_qemu=1
else
	has_qemu=
	echo "skip - devices: what QEMU says # qemu-img is not installed"
fi

# ---- devices ---------------------------------------------------------------

# loop NAME [OPTION...]: a loop device of 16 MiB and half a cluster; sets $dev.
# It is detached at once, which happens when nobody has it open any more: this
# shell has, however it ends.
fd=2
loop() {
	disk=$1.disk
	shift
	fd=$((fd + 1))
	truncate -s 16809984 "$disk" &&
		dev=$(losetup -f --show "$@" "$disk") &&
		eval "exec $fd<>\"\$dev\"" &&
		losetup -d "$dev"
}

# check NAME FUNCTION [ARG...]: the function succeeds; in it a command that
# fails ends it.
check() {
	name=$1
	shift
	rm -f ./*.qcow2 ./*.raw
	(
		set -e
		"$poison" "$a" "$b"
		"$@"
	) >log 2>&1
	status=$?
	if [ $status = 0 ]; then
		echo "ok - devices: $blocks: $name"
	else
		sed 's/^/# /' log
		echo "not ok - devices: $blocks: $name # status $status"
		bad=1
	fi
}

refused() { # TEXT COMMAND...: fails, and says so
	text=$1
	shift
	if said=$("$@" 2>&1); then
		echo "not refused: $*"
		return 1
	fi
	case $said in
	*"$text"*) ;;
	*) echo "$said" && return 1 ;;
	esac
}

# ---- what a guest does -----------------------------------------------------

# Within 6 MiB: small writes in new clusters, across clusters, into zeros and
# into what was given up, at odd offsets.  What is discarded is whole clusters
# of any size, which read as zeros then.
play() {
	"$img" io -d unmap "$@" -c 'write -P 1 0 4k' -c 'write -P 2 70000 100' \
		-c 'write -P 3 1M 300k' -c 'write -z 1100k 64k' \
		-c 'write -z -u 1216k 64k' -c flush -c 'write -P 4 1250k 1k' \
		-c 'write -P 5 3000001 5' -c 'write -z -u 2M 1M' \
		-c 'write -P 6 2148000 512' -c 'write -z 512 512' \
		-c 'discard 4M 2M' -c flush -c 'write -P 7 6290944 512' \
		-c 'write -P 8 4195000 1' -c 'write -z 5M 100k'
}

# same IMAGE REFERENCE: a guest sees in it what is there; it is consistent.
# QEMU judges too where $judge is set: in one block size, since what is in an
# image does not know of blocks.
same() {
	"$img" compare -f raw "$2" "$1"
	[ -z "$judge" ] || qemu-img compare -f raw "$2" "$1"
	sound "$1"
}
sound() {
	"$img" check "$1"
	[ -z "$judge" ] || qemu-img check "$1"
}

# guest IMAGE [REFERENCE [COMMAND...]]: play on it as both cache modes have it,
# after the commands, and compare.  To play twice leaves what playing once
# does, so one reference is for both.  What the first play left is seen by QEMU
# where it judges, else by us; the rest by both.
guest() {
	image=$1 ref=${2-$played}
	shift $(($# > 1 ? 2 : 1))
	play -f qcow2 -t writeback "$@" "$image"
	if [ -n "$judge" ]; then
		qemu-img compare -f raw "$ref" "$image"
	else
		"$img" compare -f raw "$ref" "$image"
	fi
	play -f qcow2 -t none "$image"
	same "$image" "$ref"
}

# ---- raw -------------------------------------------------------------------

raw_image() {
	bytes=$(blockdev --getsize64 "$a")
	play -f raw -t "$1" "$a"
	cmp "$played_device" "$a"
	"$img" info -f raw "$a" | grep "virtual size: .*($bytes bytes)"
	refused 'Cannot resize device files' "$img" resize -f raw "$a" 20M
	refused 'Cannot resize device files' \
		"$img" resize -f raw --shrink "$a" 4M
	"$img" resize -f raw "$a" "$bytes"
	# The end of the device is an end.
	refused '' "$img" io -f raw -c "write $bytes 512" "$a"
	"$img" io -f raw -c "write -P 9 $((bytes - 512)) 512" \
		-c "read -P 9 $((bytes - 512)) 512" "$a"
}

# No header of another image stays; with preallocation, nothing at all.
raw_create() {
	"$img" create -f qcow2 "$a" 6M
	"$img" create -f raw "$a" 6M
	[ "$(stat -Lc %F "$a")" = 'block special file' ]
	"$img" info "$a" | grep 'file format: raw'
	"$img" io -r -f raw -c 'read -P 0 0 512' -c 'read -P 0xa5 7M 1M' "$a"
	refused 'the device has' "$img" create -f raw "$a" 64M
	"$img" create -f raw -o preallocation=full "$a" 4M
	"$img" io -r -f raw -c 'read -P 0 0 4M' -c 'read -P 0xa5 7M 1M' "$a"
	"$img" create -f raw -o preallocation=falloc "$a" 8M
	"$img" io -r -f raw -c 'read -P 0 0 8M' "$a"
}

# ---- qcow2 -----------------------------------------------------------------

qcow2_image() {
	"$img" create -f qcow2 -o "$1" "$a" 6M
	guest "$a" "$played" -c 'read -P 0 0 6M'
}

full_device() {
	"$img" create -f qcow2 -o cluster_size=4k "$a" 64M
	refused '' "$img" io -f qcow2 -c 'write -P 1 0 8M' -c 'write -P 2 8M 8M' \
		-c 'write -P 3 16M 8M' -c flush "$a"
	"$img" io -r -f qcow2 -c 'read -P 1 0 8M' "$a"
	"$img" check "$a"
	# What is given up can be had again, at once and later.
	"$img" io -f qcow2 -d unmap -c 'discard 0 1M' -c 'write -P 9 40M 256k' \
		-c flush -c 'write -P 1 0 512k' -c 'discard 40M 256k' \
		-c 'write -P 1 512k 256k' "$a"
	"$img" io -r -f qcow2 -c 'read -P 1 0 768k' -c 'read -P 0 768k 256k' \
		-c 'read -P 1 1M 7M' "$a"
	"$img" io -f qcow2 -d unmap -c 'discard 4M 4M' -c flush "$a"
	"$img" io -f qcow2 -c 'write -P 4 30M 2M' "$a"
	"$img" io -r -f qcow2 -c 'read -P 4 30M 2M' -c 'read -P 0 4M 4M' \
		-c 'read -P 1 1M 3M' "$a"
	sound "$a"
}

# What grows fits, is zero, and is refused if it does not fit.
resize() {
	"$img" create -f qcow2 -o "$1" "$a" 3M
	"$img" io -f qcow2 -c 'write -P 1 0 3M' "$a"
	"$img" resize -f qcow2 --preallocation="$2" "$a" 6M
	sound "$a"
	"$img" io -f qcow2 -c 'read -P 1 0 3M' -c 'read -P 0 3M 3M' \
		-c 'write -P 2 3M 3M' "$a"
	refused 'the device has' "$img" resize -f qcow2 \
		--preallocation=full "$a" 32M
	"$img" info -f qcow2 "$a" | grep 'virtual size: 6 MiB'
	"$img" io -r -f qcow2 -c 'read -P 1 0 3M' -c 'read -P 2 3M 3M' "$a"
	"$img" resize -f qcow2 --shrink "$a" 1000k
	"$img" resize -f qcow2 "$a" 6M
	"$img" io -r -f qcow2 -c 'read -P 1 0 1000k' \
		-c 'read -P 0 1000k 5144k' "$a"
	sound "$a"
}

# die IMAGE COMMAND...: SIGKILL after these.  The kernel takes a while to close
# what a killed program had open, and its locks hold until then.
die() {
	image=$1
	shift
	rc=0
	"$img" io -f qcow2 "$@" -c 'sigraise 9' "$image" || rc=$?
	[ "$rc" = 137 ]
	# shellcheck disable=SC2016 # the inner shell expands these
	timeout 30 sh -c 'until "$0" io -r -f qcow2 -c quit "$1" 2>/dev/null
		do :; done' "$img" "$image"
}

# Killed, and opened again.
killed() {
	"$img" create -f qcow2 -o "$1" "$a" 6M
	die "$a" -c 'write -P 1 0 1M' -c 'write -P 2 3000000 5' -c flush \
		-c 'write -P 3 4M 1M' -c 'write -P 4 5000000 3'
	"$img" io -f qcow2 -c 'read -P 1 0 1M' -c 'read -P 2 3000000 5' \
		-c 'read -P 0 1M 1900k' -c 'read -P 0 5300000 4k' \
		-c 'write -P 5 2M 1M' "$a"
	"$img" check -r all "$a" || [ $? = 3 ]
	"$img" io -r -f qcow2 -c 'read -P 1 0 1M' -c 'read -P 5 2M 1M' "$a"
	sound "$a"
}

# The refcount table is lost: new structures must fit on the device.
rebuilt() {
	"$img" create -f qcow2 "$a" 6M
	"$img" io -f qcow2 -c 'write -P 1 0 2M' "$a"
	dd if="$zeros" of="$a" bs=64k seek=1 count=2 conv=notrunc,fsync \
		status=none
	"$img" check -r all "$a"
	"$img" io -r -f qcow2 -c 'read -P 1 0 2M' -c 'read -P 0 2M 4M' "$a"
	sound "$a"
}

# Making an image over one leaves nothing of it.
made_twice() {
	"$img" create -f qcow2 "$a" 6M
	"$img" io -f qcow2 -c 'write -P 1 0 6M' "$a"
	"$img" create -f qcow2 -o preallocation="$1" "$a" 6M
	guest "$a" "$played" -c 'read -P 0 0 6M'
}

by_qemu() {
	qemu-img create -q -f qcow2 "$a" 6M
	guest "$a"
	qemu-io -f qcow2 -c 'write -P 9 1M 1M' "$a"
	cp "$played" ref.raw
	qemu-io -f raw -c 'write -P 9 1M 1M' ref.raw
	same "$a" ref.raw
}

# ---- data files ------------------------------------------------------------

# data_file OPTIONS [MAKER]: on device $b
data_file() {
	if [ -z "${2-}" ]; then
		"$img" create -f qcow2 -o "data_file=$b,$1" d.qcow2 6M
	else
		"$2" create -f qcow2 -o "data_file=$b,$1" d.qcow2 6M
		# It leaves raw data as it was.
		"$img" io -f qcow2 -c 'write -z 0 6M' d.qcow2
	fi
	guest d.qcow2 "$played" -c 'read -P 0 0 6M'
	case $1 in
	*raw=on*) cmp -n 6291456 "$played" "$b" ;;
	esac
}

both_on_devices() {
	"$img" create -f qcow2 -o "data_file=$b,$1" "$a" 6M
	guest "$a"
	case $1 in
	*raw=on*) cmp -n 6291456 "$played" "$b" ;;
	esac
}

# What is added to a disk is zero, whatever the device holds there.
data_resize() {
	"$img" create -f qcow2 -o "data_file=$b,$1" d.qcow2 3M
	"$img" io -f qcow2 -c 'write -P 1 0 3M' d.qcow2
	"$img" resize -f qcow2 --preallocation="$2" d.qcow2 6M
	sound d.qcow2
	case $1 in
	*raw=on*) "$img" io -r -f raw -c 'read -P 1 0 3M' -c 'read -P 0 3M 3M' \
		"$b" ;;
	esac
	"$img" io -f qcow2 -c 'read -P 1 0 3M' -c 'read -P 0 3M 3M' \
		-c 'write -P 2 3M 3M' d.qcow2
	refused 'the data file' "$img" resize -f qcow2 d.qcow2 32M
	"$img" resize -f qcow2 --shrink d.qcow2 1000k
	"$img" resize -f qcow2 d.qcow2 6M
	"$img" io -r -f qcow2 -c 'read -P 1 0 1000k' \
		-c 'read -P 0 1000k 5144k' d.qcow2
	case $1 in
	*raw=on*) "$img" io -r -f raw -c 'read -P 0 1000k 5144k' "$b" ;;
	esac
	sound d.qcow2
}

data_too_small() {
	refused 'the device has' "$img" create -f qcow2 \
		-o "data_file=$b,data_file_raw=$1" d.qcow2 32M
	[ ! -e d.qcow2 ]
}

data_killed() {
	"$img" create -f qcow2 -o "data_file=$b" d.qcow2 6M
	die d.qcow2 -c 'write -P 1 0 1M' -c flush -c 'write -P 3 4M 1M' \
		-c 'write -P 2 3000000 5'
	"$img" io -f qcow2 -c 'read -P 1 0 1M' -c 'read -P 0 1M 1M' \
		-c 'write -P 5 2M 100' -c 'read -P 0 2097252 10k' d.qcow2
	"$img" check -r all d.qcow2 || [ $? = 3 ]
	sound d.qcow2
}

# ---- backing files ---------------------------------------------------------

over_raw() {
	"$img" create -f qcow2 -b "$b" -F raw "$1" 6M
	guest "$1" "$played_poison"
	# The device is only read.
	cmp "$poisoned" "$b"
}

over_qcow2() {
	"$img" create -f qcow2 -o cluster_size=4k "$b" 6M
	play -f qcow2 "$b"
	"$img" create -f qcow2 -b "$b" -F qcow2 "$1"
	same "$1" "$played"
	cp "$played" ref.raw
	"$img" io -f qcow2 -c 'write -P 11 1M 77' -c 'write -P 12 5M 1M' "$1"
	"$img" io -f raw -c 'write -P 11 1M 77' -c 'write -P 12 5M 1M' ref.raw
	same "$1" ref.raw
}

over_itself() {
	"$img" create -f qcow2 "$a" 6M
	refused 'is the image itself' "$img" create -f qcow2 \
		-o "data_file=$b" "$b" 6M
	"$img" create -f qcow2 -b "$a" -F qcow2 o.qcow2
	refused '' "$img" io -f qcow2 -c 'open o.qcow2' -c 'open o.qcow2' \
		-c 'read 0 1' o.qcow2 || true
}

# ---- convert ---------------------------------------------------------------

convert_to() {
	"$img" convert -f raw -O qcow2 -t "$1" "$played" "$a"
	same "$a" "$played"
	"$img" convert -f qcow2 -O raw -T "$1" "$a" back.raw
	cmp "$played" back.raw
	"$img" convert -f raw -O raw -t "$1" "$played" "$b"
	cmp -n 6291456 "$played" "$b"
	[ -z "$has_qemu" ] || {
		qemu-img convert -f qcow2 -O qcow2 "$a" q.qcow2
		same q.qcow2 "$played"
	}
}

# Into an image that is there already.
convert_into() {
	"$img" convert -n -f raw -O raw "$played" "$b"
	cmp -n 6291456 "$played" "$b"
	"$img" create -f qcow2 -o preallocation=metadata "$a" 6M
	"$img" io -f qcow2 -c 'write -P 99 0 6M' "$a"
	"$img" convert -n -f raw -O qcow2 "$played" "$a"
	same "$a" "$played"
}

convert_data_file() {
	"$img" convert -f raw -O qcow2 -o "data_file=$b,$1" "$played" d.qcow2
	same d.qcow2 "$played"
	case $1 in
	*raw=on*) cmp -n 6291456 "$played" "$b" ;;
	esac
	"$img" convert -f qcow2 -O qcow2 d.qcow2 "$a"
	same "$a" "$played"
}

dd_to() {
	"$img" dd -f raw -O raw bs=1M if="$played" of=back.raw
	"$img" dd -f raw -O raw bs=64k count=20 if="$b" of=part.raw
	[ "$(stat -c %s part.raw)" = 1310720 ]
	cmp -n 1310720 "$poisoned" part.raw
}

# ---- all of it -------------------------------------------------------------

all() {
	check "a raw image, buffered" raw_image writeback
	check "a raw image, direct" raw_image none
	check "making raw images" raw_create
	for o in compat=1.1 compat=0.10 cluster_size=512 cluster_size=2k \
		cluster_size=4k cluster_size=2M extended_l2=on \
		lazy_refcounts=on refcount_bits=1 preallocation=metadata \
		preallocation=falloc preallocation=full \
		preallocation=metadata,extended_l2=on; do
		check "a qcow2 image, $o" qcow2_image $o
	done
	check "a full device" full_device
	for o in off metadata falloc full; do
		check "another size, $o" resize compat=1.1 $o
		check "another size, $o, version 2" resize compat=0.10 $o
		check "another size, $o, subclusters" resize extended_l2=on $o
	done
	for o in compat=1.1 lazy_refcounts=on preallocation=metadata \
		extended_l2=on; do
		check "killed, $o" killed $o
	done
	check "new refcounts" rebuilt
	check "made twice, off" made_twice off
	check "made twice, metadata" made_twice metadata
	for o in data_file_raw=off data_file_raw=on \
		data_file_raw=off,preallocation=metadata \
		data_file_raw=off,preallocation=full \
		data_file_raw=on,preallocation=falloc \
		data_file_raw=off,extended_l2=on \
		data_file_raw=on,extended_l2=on \
		data_file_raw=off,cluster_size=512 \
		data_file_raw=on,cluster_size=2M; do
		check "a data file, $o" data_file $o
		check "image and data file, $o" both_on_devices $o
	done
	for o in off metadata falloc full; do
		check "another size with a data file, $o" \
			data_resize data_file_raw=off $o
		check "another size with a raw data file, $o" \
			data_resize data_file_raw=on $o
	done
	check "another size with a data file, subclusters" \
		data_resize data_file_raw=off,extended_l2=on metadata
	check "a device too small for data" data_too_small off
	check "a device too small for raw data" data_too_small on
	check "killed, with a data file" data_killed
	check "a backing file" over_raw o.qcow2
	check "image and backing file" over_raw "$a"
	check "a qcow2 backing file" over_qcow2 o.qcow2
	check "image and qcow2 backing file" over_qcow2 "$a"
	check "a device in two roles" over_itself
	check "convert, buffered" convert_to writeback
	check "convert, direct" convert_to none
	check "convert into what is there" convert_into
	check "convert, with a data file" convert_data_file data_file_raw=off
	check "convert, with a raw data file" \
		convert_data_file data_file_raw=on
	check "dd" dd_to
	[ -n "$has_qemu" ] || return
	check "made by QEMU" by_qemu
	check "a data file, made by QEMU" data_file data_file_raw=off qemu-img
	check "a raw data file, made by QEMU" data_file data_file_raw=on \
		qemu-img
}

# What play() leaves on 6 MiB of zeros, on 6 MiB of poison, on a device.
zeros=$work/zeros poisoned=$work/poisoned
played=$work/played played_poison=$work/played_poison
played_device=$work/played_device
references() {
	truncate -s 16809984 "$zeros" "$poisoned"
	"$poison" "$poisoned"
	truncate -s 6M "$played"
	head -c 6M "$poisoned" >"$played_poison"
	cp "$poisoned" "$played_device"
	for file in "$played" "$played_poison" "$played_device"; do
		play -f raw "$file"
		cp "$file" once
		play -f raw "$file"
		cmp once "$file"
	done
}
(
	set -e
	references
) >log 2>&1
status=$?
if [ $status != 0 ]; then
	sed 's/^/# /' log
	echo "not ok - devices: references"
	exit 1
fi
for size in 512 4096; do
	blocks="blocks of $size" judge=
	[ $size = 4096 ] || judge=$has_qemu
	if loop "a$size" -b $size && a=$dev && loop "b$size" -b $size &&
		b=$dev; then
		all
	else
		echo "skip - devices: $blocks # losetup: no such device"
	fi
done
exit $bad
