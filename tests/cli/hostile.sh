#!/bin/sh
# What the surroundings do to an image: full disks, closed descriptors, files
# that others have cut, devices with blocks of their own, lines without end.
# Nothing that was acknowledged may be lost.
#
# modes: asan
#
# Needs root for mounts and loop devices; without, those cases are skipped.
set -u
LC_ALL=C
export LC_ALL
B=${B:-build/release}
img=$PWD/$B/qcowimg
images=$PWD/tests/golden/images
work=$(mktemp -d "${TMPDIR:-/var/tmp}/q2-hostile.XXXXXX") || exit 1
mounted=
loops=
# shellcheck disable=SC2317 # called by the trap
clean() {
	for m in $mounted; do umount "$m"; done
	for l in $loops; do losetup -d "$l"; done
	rm -rf "$work"
}
trap clean EXIT
trap 'exit 130' INT TERM HUP PIPE
cd "$work" || exit 1
bad=0

check() { # name, command
	name=$1
	shift
	if "$@" >log 2>&1; then
		echo "ok - hostile: $name"
	else
		sed 's/^/# /' log
		echo "not ok - hostile: $name"
		bad=1
	fi
}

# shellcheck disable=SC2317
io() { "$img" io -f qcow2 "$@"; }
# shellcheck disable=SC2317
new() { "$img" create -q -f qcow2 "$@"; }

# ---- descriptors -----------------------------------------------------------
# shellcheck disable=SC2317 # called by check()
closed_descriptors() {
	new d.qcow2 1M || return 1
	io -i threads -c 'write -P 1 0 512' -c foo d.qcow2 >&- && return 1
	io -i threads -c 'write -P 1 0 512' -c foo d.qcow2 2>&- && return 1
	io -c 'write -P 1 0 512' d.qcow2 <&- >&- 2>&-
	"$img" check -q d.qcow2 && io -r -c 'read -P 1 0 512' d.qcow2
}
check "closed descriptors: what is printed reaches no image" closed_descriptors

# ---- lines -----------------------------------------------------------------
# shellcheck disable=SC2317
endless_line() {
	truncate -s 1M raw.img
	{
		head -c 200000 /dev/zero | tr '\0' '#'
		echo 'write -P 9 0 512'
		echo 'read -P 0 0 512'
	} | "$img" io -f raw raw.img && return 1
	"$img" io -r -f raw -c 'read -P 0 0 512' raw.img
}
check "a line that is too long is no command, and neither is its end" \
	endless_line

# ---- files that were cut ---------------------------------------------------
# shellcheck disable=SC2317
cut_file() {
	new -o preallocation=metadata cut.qcow2 64M &&
		io -d unmap -c 'discard 2M 1M' cut.qcow2 || return 1
	truncate -s 1M cut.qcow2
	io -c 'write -P 0x66 2M 64k' -c 'write -P 0x55 40M 64k' -c flush \
		-c 'write -P 0x77 2500k 64k' cut.qcow2 &&
		io -r -c 'read -P 0x55 40M 64k' -c 'read -P 0x66 2M 64k' \
			-c 'read -P 0x77 2500k 64k' cut.qcow2
}
check "clusters behind the end of the file keep what is written there" cut_file
# shellcheck disable=SC2317
behind_the_end() {
	gzip -dc "$images/bad/data-beyond-end.qcow2.gz" >behind.qcow2 || return 1
	io -c 'write -P 0x55 0 64k' -c flush -c 'write -P 0x66 128k 64k' \
		-c 'read -P 0x55 0 64k' behind.qcow2 &&
		io -r -c 'read -P 0x55 0 64k' behind.qcow2
}
# shellcheck disable=SC2317
unaligned_refblock() {
	gzip -dc "$images/bad/refblock-unaligned.qcow2.gz" >refs.qcow2 || return 1
	io -c 'write 0 1M' refs.qcow2
	[ $? = 1 ]
}
check "a cluster far behind the end of the file" behind_the_end
check "a refcount block at an impossible place" unaligned_refblock

# ---- options ---------------------------------------------------------------
# shellcheck disable=SC2317
absurd_caches() {
	new z.qcow2 1M || return 1
	for o in cache-size=15E refcount-cache-size=6T cache-size=16T \
		refcount-cache-size=17592186048512 l2-cache-size=300G; do
		timeout 20 "$img" io -f qcow2 -c "open -o $o z.qcow2" \
			-c 'write 0 64k'
		[ $? -lt 2 ] || return 1
	done
}
check "caches larger than memory" absurd_caches

# ---- no threads --------------------------------------------------------------
# The kernel cannot start the threads that io_uring does blocking calls in, and
# cancels these: no sync may count as failed.
# shellcheck disable=SC2317
no_threads() {
	$alone "$PWD/qcowimg" create -q -f qcow2 threads/t.qcow2 64M &&
		$alone "$PWD/qcowimg" io -f qcow2 -i "$1" -c 'write -P 1 0 1M' \
			-c flush -c 'write -P 2 1M 1M' threads/t.qcow2 &&
		io -r -c 'read -P 1 0 1M' -c 'read -P 2 1M 1M' threads/t.qcow2
}
alone='prlimit --nproc=1'
[ "$(id -u)" != 0 ] || alone="setpriv --reuid=65534 --clear-groups $alone"
if [ "${MODE-release}" != release ]; then
	echo "skip - hostile: no threads # a sanitizer needs some"
elif chmod 755 . && mkdir -m 777 threads && cp "$img" . &&
	$alone true 2>/dev/null; then
	check "a process that may have no threads, io_uring" no_threads io_uring
	check "a process that may have no threads, threads" no_threads threads
else
	echo "skip - hostile: no threads # no setpriv or prlimit"
fi

# ---- full disks ------------------------------------------------------------
# shellcheck disable=SC2317
full_disk() {
	cd full || return 1
	new a 64M && io -c 'write -P 1 0 4M' -c 'write -P 2 4M 8M' -c flush \
		-c 'write -P 3 40M 64k' -c flush a
	[ $? = 1 ] || return 1
	io -r -c 'read -P 1 0 4M' -c 'read -P 3 40M 64k' a &&
		"$img" check a && cd ..
}
mkdir full
if [ "$(id -u)" = 0 ] && mount -t tmpfs -o size=8M tmpfs full 2>/dev/null; then
	mounted="$work/full"
	check "a full disk fails one write; flush and close succeed" full_disk
else
	echo "skip - hostile: a full disk # cannot mount"
fi

# ---- devices ---------------------------------------------------------------
loop() { # options of losetup; sets $dev
	truncate -s 8M "disk$#"
	dev=$(losetup -f --show "$@" "disk$#" 2>/dev/null) || return 1
	loops="$loops $dev"
}
# shellcheck disable=SC2317
full_device() {
	new -o cluster_size=4k "$dev" 16M && io -c 'write -P 1 0 4M' \
		-c 'write -P 2 4M 8M' -c flush -c 'write -P 5 0 4k' -c flush \
		"$dev"
	[ $? = 1 ] || return 1
	io -r -c 'read -P 5 0 4k' -c 'read -P 1 4k 4092k' "$dev" &&
		"$img" check "$dev"
}
# shellcheck disable=SC2317
odd_zeros() {
	"$img" io -f raw -c 'write -P 7 0 8k' -c 'write -z 100 1000' \
		-c 'read -P 0 100 1000' -c 'read -P 7 1100 1000' "$dev"
}
# shellcheck disable=SC2317
large_blocks() {
	new -o cluster_size=2k "$dev" 3M &&
		io -c 'write -P 9 0 64' -c 'read -P 9 0 64' "$dev" &&
		new -o cluster_size=2k,preallocation=metadata "$dev" 3M &&
		io -c 'write -P 9 5000 3000' -c 'read -P 9 5000 3000' "$dev" &&
		"$img" check "$dev"
}
if [ "$(id -u)" = 0 ] && loop; then
	check "a full device fails one write; flush and close succeed" \
		full_device
	check "a device takes zeros at any offset" odd_zeros
else
	echo "skip - hostile: devices # no loop device"
fi
if [ "$(id -u)" = 0 ] && loop -b 4096; then
	check "a device with blocks of 4096 takes clusters of 2048" large_blocks
else
	echo "skip - hostile: blocks of 4096 # no loop device of that kind"
fi

exit $bad
