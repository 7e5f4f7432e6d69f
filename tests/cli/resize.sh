#!/bin/sh
# qcowimg resize where there is no room: the image is the old one, to the byte
# that a guest reads, in the length of its files, and without leaks, and the
# message says so.  The disk is known to be full before, or the space ends in
# the middle (a limit of the file's length).
#
#
# Needs root for small file systems; where mounting is forbidden, those cases
# are skipped with a reason.
set -u
LC_ALL=C
export LC_ALL
B=${B:-build/release}
img=$PWD/$B/qcowimg
work=$(mktemp -d "${TMPDIR:-/var/tmp}/q2-resize.XXXXXX") || exit 1
mounted=
# shellcheck disable=SC2317 # called by the trap
clean() {
	[ -z "$mounted" ] || umount "$work/small"
	rm -rf "$work"
}
trap clean EXIT
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

mkdir small plain
head -c 3000000 /dev/urandom >random

# make DIR OPTIONS: an image of 4 MiB with content, in DIR.
make() {
	rm -f "$1"/d.*
	"$img" create -q -f qcow2 ${2:+-o "$2"} "$1/d.qcow2" 4M &&
		"$img" convert -n -f raw -O qcow2 random "$1/d.qcow2" &&
		"$img" convert -O raw "$1/d.qcow2" before.raw
}

# look DIR: size, length of files and what a check finds.
look() {
	"$img" info "$1/d.qcow2" | grep 'virtual size'
	stat -c '%n %s' "$1"/d.*
	"$img" check "$1/d.qcow2" 2>&1 | grep -v '^Image end'
}

# refused NAME DIR SIZE OPTION...: the resize fails and leaves the image as it
# was.
refused() {
	name=$1 dir=$2 size=$3
	shift 3
	look "$dir" >was
	(
		# Over the limit a write fails instead of killing us.
		trap '' XFSZ
		[ -z "$limit" ] || ulimit -f "$limit"
		exec "$img" resize "$@" -f qcow2 "$dir/d.qcow2" "$size"
	) >out 2>err
	equal "$name: status" 1 $?
	equal "$name: it says so" 1 "$(grep -c 'is unchanged' err)"
	look "$dir" >is
	equal "$name: as before" "$(cat was)" "$(cat is)"
	"$img" convert -O raw "$dir/d.qcow2" after.raw &&
		cmp -s before.raw after.raw
	equal "$name: content" 0 $?
}

# grows NAME DIR SIZE OPTION...: the same with enough space does well.
grows() {
	name=$1 dir=$2 size=$3
	shift 3
	"$img" resize -q "$@" -f qcow2 "$dir/d.qcow2" "$size" 2>err
	equal "$name: then it does well" 0 $?
	"$img" check -q "$dir/d.qcow2" >out 2>&1
	equal "$name: and has no leaks" 0 $?
}

# The file may become 8 MiB long: the space ends in the middle.
for o in "" cluster_size=512 data_file=plain/d.data \
	data_file=plain/d.data,data_file_raw=on lazy_refcounts=on; do
	for mode in falloc full; do
		limit=
		make plain "$o"
		limit=16384
		refused "limit, $mode, $o" plain 40M --preallocation=$mode
		limit=
		grows "limit, $mode, $o" plain 40M --preallocation=$mode
	done
done

# on_small NAME: the same in ./small, which is too small for it.
on_small() {
	limit=
	for o in "" data_file=small/d.data; do
		for mode in falloc full; do
			make small "$o"
			refused "$1, $mode, $o" small 400M \
				--preallocation=$mode
			equal "$1, $mode, $o: how much" 1 \
				"$(grep -c 'needs .* more bytes' err)"
		done
		# Nothing is free: the resize needs a table or two.
		make small "$o"
		dd if=/dev/zero of=small/fill bs=4k status=none 2>err
		refused "$1, nothing free, $o" small 400G \
			--preallocation=metadata
		rm small/fill
		grows "$1, nothing free, $o" small 5G
	done
	rm -f small/d.*
}

if mount -t tmpfs -o size=16m none small 2>err; then
	mounted=yes
	on_small tmpfs
	umount small
	mounted=
else
	echo "skip - tmpfs # $(cat err)"
fi
truncate -s 32M ext4.img
if mkfs.ext4 -q -F ext4.img 2>err && mount -o loop ext4.img small 2>err; then
	mounted=yes
	on_small ext4
else
	echo "skip - ext4 # $(cat err)"
fi

exit $bad
