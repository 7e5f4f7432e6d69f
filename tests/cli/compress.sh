#!/bin/sh
# Compressed clusters from the command line: convert -c, io write -c, and
# compress=on, which compresses whatever fills whole clusters.
# modes: all
# shellcheck disable=SC2317 # functions are called by check()
set -u
B=${B:-build/release}
root=$PWD
img=$root/$B/qcowimg
dir=$(mktemp -d "${TMPDIR:-/var/tmp}/q2-compress.XXXXXX") || exit 1
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
		sed 's/^/# /' check.out
		echo "not ok - $name"
		bad=1
	fi
}

# QEMU judges too, where it is installed.
sound() { # image, raw file with the same content
	"$img" check -q "$1" && "$img" compare "$1" "$2" || return 1
	! command -v qemu-img >/dev/null ||
		{ qemu-img check -q "$1" && qemu-img compare -q "$1" "$2"; }
}
clusters() { # image: how many are compressed
	"$img" check --output=json "$1" |
		sed -n 's/.*"compressed-clusters": \([0-9]*\).*/\1/p'
}
on() { # image, commands of io
	image=$1
	shift
	"$img" io --image-opts "driver=qcow2,compress=on,file.filename=$image" "$@"
}
bytes() { stat -c %s "$1"; }

# Text: it gets smaller, and more so with more effort.
cat "$root"/engine/image/*.c "$root"/engine/manage/*.c >text.raw
truncate -s 4M text.raw

converts() { # compression type
	"$img" convert -c -O qcow2 -o "cluster_size=16k,compression_type=$1" \
		text.raw "$1.qcow2" &&
		"$img" convert -c --compress-effort=small -O qcow2 \
			-o "cluster_size=16k,compression_type=$1" \
			text.raw small.qcow2 &&
		sound "$1.qcow2" text.raw && sound small.qcow2 text.raw &&
		[ "$(clusters "$1.qcow2")" -gt 20 ] &&
		[ "$(bytes small.qcow2)" -lt "$(bytes "$1.qcow2")" ]
}
check "convert -c with zlib, and smaller with more effort" converts zlib
check "... with zstd" converts zstd

refuses_effort() {
	! "$img" convert -c --compress-effort=some -O qcow2 text.raw x.qcow2 \
		2>err && grep -q "'fast' or 'small', not 'some'" err &&
		[ ! -e x.qcow2 ]
}
check "another effort is refused" refuses_effort

# Whole clusters are compressed, the rest of a request is not.
whole_only() {
	"$img" create -q -f qcow2 on.qcow2 4M && truncate -s 0 on.raw &&
		truncate -s 4M on.raw || return 1
	for to in on.qcow2 on.raw; do
		case $to in
		*.raw) set -- "$img" io -f raw on.raw ;;
		*) set -- on on.qcow2 ;;
		esac
		"$@" -c 'write -q -P 1 0 256k' -c 'write -q -P 2 300k 100k' \
			-c 'write -q -P 3 1M 4k' || return 1
	done
	sound on.qcow2 on.raw && [ "$(clusters on.qcow2)" = 5 ]
}
check "compress=on compresses the whole clusters of a request" whole_only

# In one session: a compressed cluster is overwritten and others are compressed
# after it, which QEMU puts where the first one still is in the file.
overwrites() {
	for i in 1 2 3 4 5 6 7 8; do
		set -- "$@" -c "write -q -P 1$i 0 64k" \
			-c "write -q -P 2$i ${i}M 128k" \
			-c "write -q -P 3$i ${i}M 512" \
			-c "write -q -P 4$i 64k 192k"
	done
	"$img" create -q -f qcow2 over.qcow2 16M &&
		"$img" create -q -f raw over.raw 16M &&
		on over.qcow2 -c 'write -q -P 9 0 1M' &&
		"$img" io -f raw over.raw -c 'write -q -P 9 0 1M' &&
		on over.qcow2 "$@" && "$img" io -f raw over.raw "$@" &&
		sound over.qcow2 over.raw && [ "$(clusters over.qcow2)" -ge 20 ]
}
check "compressed clusters are overwritten by others" overwrites

# What was plain is compressed when it is written again, and its space is free.
replaces() {
	"$img" create -q -f qcow2 plain.qcow2 4M &&
		"$img" io plain.qcow2 -c 'write -q -P 5 0 4M' &&
		[ -z "$(clusters plain.qcow2)" ] &&
		on plain.qcow2 -c 'write -q -P 6 0 4M' &&
		[ "$(clusters plain.qcow2)" = 64 ] &&
		"$img" create -q -f raw six.raw 4M &&
		"$img" io -f raw six.raw -c 'write -q -P 6 0 4M' &&
		sound plain.qcow2 six.raw
}
check "what was plain becomes compressed" replaces

refused() { # options
	! "$img" io --image-opts "$1" -c 'write 0 64k' 2>err &&
		grep -q 'compress=on: only a qcow2 image without encryption and' err
}
no_place() {
	"$img" create -q -f qcow2 -o data_file=d.raw d.qcow2 1M &&
		refused driver=qcow2,compress=on,file.filename=d.qcow2 &&
		"$img" create -q --object secret,id=s,data=x -f qcow2 \
			-o encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10 \
			e.qcow2 1M &&
		! "$img" io --object secret,id=s,data=x --image-opts \
			driver=qcow2,compress=on,encrypt.key-secret=s,file.filename=e.qcow2 \
			-c 'write 0 64k' 2>err && grep -q 'compress=on: only' err
}
check "an encrypted image and an external data file have no compressed clusters" no_place
bad_word() {
	! on "on.qcow2,compress-effort=9" -c 'read 0 512' 2>err &&
		grep -q "compress-effort is 'fast' or 'small', not '9'" err
}
check "a wrong compress-effort is named" bad_word
exit $bad
