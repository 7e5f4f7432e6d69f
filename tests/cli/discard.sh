#!/bin/sh
# What a discard does to the files underneath, and what map says of holes that
# others have made in an external data file.
#
# modes: asan
# shellcheck disable=SC2317 # functions are called by check()
set -u
B=${B:-build/release}
img=$PWD/$B/qcowimg
# The file system must have holes.
dir=$(mktemp -d "${TMPDIR:-/var/tmp}/q2-discard.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
cd "$dir" || exit 1
bad=0
if ! truncate -s 1M probe || ! fallocate -p -o 0 -l 64k probe 2>log; then
	echo "skip - discard # no holes here: $(cat log)"
	exit 0
fi

check() { # name, command
	name=$1
	shift
	if "$@" >out 2>&1; then
		echo "ok - $name"
	else
		sed 's/^/# /' out
		echo "not ok - $name"
		bad=1
	fi
}

blocks() { stat -c %b "$1"; }

# Runs of the disk: start, length, and whether they read as zeros.
runs() {
	"$img" map --output=json "$@" | tr -d '{},[]' | awk '{
		for (i = 1; i < NF; i++) v[$i] = $(i + 1)
		print v["\"start\":"], v["\"length\":"], \
			v["\"zero\":"] == "true" ? "zero" : "data"
	}'
}

full() { # options of create
	"$img" create -q -f qcow2 "$@" t.qcow2 4M &&
		"$img" io -c 'write -q -P 1 0 4M' t.qcow2
}

# pass-discard-request: the guest's discards reach the file, or do not.  Either
# way they read as zeros afterwards.
discards() { # on|off, what stands for the file
	full || return 1
	before=$(blocks t.qcow2)
	"$img" io -c 'discard 1M 1M' -c 'read -P 0 1M 1M' -c 'read -P 1 2M 2M' \
		--image-opts driver=qcow2,file.filename=t.qcow2,discard=unmap,pass-discard-request="$1" ||
		return 1
	after=$(blocks t.qcow2)
	echo "$before blocks before, $after after"
	[ "$(runs t.qcow2)" = '0 1048576 data
1048576 1048576 zero
2097152 2097152 data' ] && "$img" check -q t.qcow2 || return 1
	if [ "$1" = on ]; then
		[ $((before - after)) -ge 2000 ]
	else
		[ "$before" = "$after" ]
	fi
}

# Zeros that may be holes (-u) become some in a raw data file, which still reads as
# the disk does.
raw_zeros() { # discard mode, blocks that it gives back at least, at most
	rm -f t.data
	full -o data_file=t.data,data_file_raw=on || return 1
	before=$(blocks t.data)
	"$img" io -d "$1" -c 'write -z -u 1M 1M' -c 'write -z -u 2500k 100' \
		t.qcow2 || return 1
	freed=$((before - $(blocks t.data)))
	echo "$freed blocks given back"
	[ "$freed" -ge "$2" ] && [ "$freed" -le "$3" ] &&
		"$img" compare -f qcow2 -F raw t.qcow2 t.data &&
		"$img" io -c 'read -P 0 1M 1M' -c 'read -P 0 2500k 100' \
			-f raw t.data
}

# Holes of a data file are told as QEMU tells them: where the image file has
# fewer blocks than clusters.
holes() { # data_file_raw
	rm -f t.data
	full -o data_file=t.data,data_file_raw="$1",cluster_size=2M &&
		"$img" bitmap --add t.qcow2 b &&
		"$img" io -c 'write -q -P 1 0 4M' t.qcow2 || return 1
	[ "$(runs t.qcow2)" = '0 4194304 data' ] || return 1
	truncate -s 1M t.data && truncate -s 4M t.data &&
		fallocate -d t.qcow2 && runs t.qcow2 || return 1
	[ "$(runs t.qcow2)" = '0 1048576 data
1048576 3145728 zero' ] || return 1
	if command -v qemu-img >/dev/null; then
		qemu-img map --output=json t.qcow2 >theirs &&
			"$img" map --output=json t.qcow2 | diff theirs - &&
			grep -q '"zero": true' theirs
	fi
}

check "pass-discard-request=on gives space back" discards on
check "pass-discard-request=off gives none back" discards off
check "zeros of a raw data file, discard=unmap" raw_zeros unmap 2000 2048
check "zeros of a raw data file, discard=ignore" raw_zeros ignore 0 0
check "holes of a data file in map" holes off
check "holes of a raw data file in map" holes on
exit $bad
