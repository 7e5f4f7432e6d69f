#!/bin/sh
# Snapshots in turns with QEMU: each side takes, applies and deletes them, and
# writes; after each step both say the same of the disk and of each snapshot,
# and QEMU's check finds nothing.
# shellcheck disable=SC2317 # functions are called by check()
set -u
B=${B:-build/release}
img=$PWD/$B/qcowimg
# In memory where that is possible: QEMU's tools sync after each write.
base=${TMPDIR:-/dev/shm}
[ -w "$base" ] || base=/var/tmp
dir=$(mktemp -d "$base/q2-snapshots.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
cd "$dir" || exit 1
bad=0
if ! command -v qemu-img >/dev/null || ! command -v qemu-io >/dev/null; then
	echo "skip - snapshots # qemu-img and qemu-io are not installed"
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

same_disk() {
	qemu-img convert -O raw t.qcow2 theirs.raw &&
		"$img" convert -O raw t.qcow2 ours.raw &&
		cmp theirs.raw ours.raw
}
same_snapshot() { # id
	qemu-img convert -l snapshot.id="$1" -O raw t.qcow2 theirs.raw &&
		"$img" convert -l snapshot.id="$1" -O raw t.qcow2 ours.raw &&
		cmp theirs.raw ours.raw
}
# QEMU finds nothing, and both read the same of everything.
agree() { # step
	qemu-img check -q t.qcow2 || { echo "$1: check"; return 1; }
	"$img" check -q t.qcow2 || { echo "$1: our check"; return 1; }
	TZ=UTC qemu-img snapshot -l t.qcow2 >theirs
	TZ=UTC "$img" snapshot -l t.qcow2 >ours
	diff theirs ours || { echo "$1: the list"; return 1; }
	same_disk || { echo "$1: the disk"; return 1; }
	awk 'NR > 2 { print $1 }' theirs >ids
	while read -r id; do
		same_snapshot "$id" || { echo "$1: snapshot $id"; return 1; }
	done <ids
}
step() { # what, command
	what=$1
	shift
	"$@" >log 2>&1 || { cat log; echo "$what failed"; return 1; }
	agree "$what"
}
put() { # commands
	if [ "$writer" = ours ]; then
		"$img" io "$@"
	else
		qemu-io "$@"
	fi
}
keep() { qemu-img convert -O raw t.qcow2 "$1"; }
holds() { qemu-img convert -O raw t.qcow2 now.raw && cmp "$1" now.raw; }

# First one side's snapshots with the other's writes between, then the reverse.
turns() { # one, other, whose io
	one=$1 other=$2 writer=$3
	step "$one takes a" "$one" snapshot -c a t.qcow2 && keep a.raw &&
		step "writes" put -c 'write -P 3 100 200k' -c 'write -z 5M 50k' \
			-c 'discard 1M 100k' t.qcow2 && keep b.raw &&
		step "$other takes b" "$other" snapshot -c b t.qcow2 &&
		step "writes again" put -c 'write -P 4 64k 3M' t.qcow2 &&
		step "$one applies a" "$one" snapshot -a a t.qcow2 &&
		holds a.raw && step "$one writes" put -c 'write -P 5 200k 1M' \
		t.qcow2 && step "$other deletes a" "$other" snapshot -d a t.qcow2 &&
		step "$other applies b" "$other" snapshot -a b t.qcow2 &&
		holds b.raw && step "$one deletes b" "$one" snapshot -d b t.qcow2 &&
		holds b.raw && step "writes last" put -c 'write -P 6 0 6M' t.qcow2
}
scene() { # options
	for who in ours theirs; do
		rm -f t.qcow2
		qemu-img create -q -f qcow2 ${1:+-o "$1"} t.qcow2 8M &&
			qemu-io -c 'write -P 1 0 1M' -c 'write -P 2 5M 100k' \
				t.qcow2 >log || return 1
		case $1 in
		# Packed clusters share counts, or are not whole.
		*0.10* | *bits=4* | *2M*) ;;
		*) qemu-io -c 'write -c -P 7 6M 1M' t.qcow2 >log || return 1 ;;
		esac
		if [ "$who" = ours ]; then
			turns "$img" qemu-img theirs || return 1
		else
			turns qemu-img "$img" ours || return 1
		fi
	done
}

# The state of a machine.
state() {
	qemu-img create -q -f qcow2 -o cluster_size=4k t.qcow2 8M &&
		"$img" io -c 'write -b -P 7 4k 3M' t.qcow2 && agree ours &&
		qemu-io -c 'read -b -P 7 4k 3M' -c 'write -b -P 8 1M 8M' t.qcow2 &&
		agree theirs &&
		"$img" io -c 'read -b -P 7 4k 1020k' -c 'read -b -P 8 1M 8M' \
			t.qcow2 && "$img" snapshot -c s t.qcow2 &&
		"$img" io -c 'write -b -P 9 0 9M' t.qcow2 &&
		qemu-img snapshot -a s t.qcow2 &&
		"$img" io -c 'read -b -P 8 1M 8M' t.qcow2 && agree applied
}
# A disk that has become another size meanwhile.
sizes() {
	qemu-img create -q -f qcow2 t.qcow2 8M && keep empty.raw &&
		qemu-io -c 'write -P 1 7M 64k' t.qcow2 && keep a.raw &&
		"$img" snapshot -c a t.qcow2 &&
		"$img" resize -q --shrink t.qcow2 1M && agree shrunk &&
		"$img" snapshot -c b t.qcow2 && qemu-img snapshot -a a t.qcow2 &&
		holds a.raw && "$img" resize -q t.qcow2 2G && agree grown &&
		"$img" snapshot -a b t.qcow2 && agree small &&
		"$img" snapshot -a a t.qcow2 && agree large && holds a.raw
}
# As many as fit.
many() {
	qemu-img create -q -f qcow2 -o cluster_size=512,refcount_bits=8 t.qcow2 1M
	for i in $(seq 60); do
		"$img" io -c "write -P $i ${i}k 512" t.qcow2 >log &&
			"$img" snapshot -c "a name that needs room, number $i" \
				t.qcow2 || return 1
	done
	agree taken || return 1
	for i in $(seq 1 2 60); do
		"$img" snapshot -d "a name that needs room, number $i" t.qcow2 ||
			return 1
	done
	agree deleted && [ "$(wc -l <theirs)" = 32 ]
}
# A TiB whose tables are all there.
large() {
	"$img" create -q -f qcow2 -o preallocation=metadata t.qcow2 1T || return 1
	for what in '-c a' '-c b' '-a a' '-d b' '-d a'; do
		# shellcheck disable=SC2086 # two words
		timeout 20 "$img" snapshot $what t.qcow2 || return 1
	done
	"$img" check -q t.qcow2
}
# Version 2 has no zero clusters.  QEMU's own amend writes zeros into clusters
# that a snapshot shares with another one, where they are data.
downgrade() { # options of create
	qemu-img create -q -f qcow2 below.qcow2 16M &&
		qemu-io -c 'write -P 7 0 16M' below.qcow2 >log || return 1
	qemu-img create -q -f qcow2 "$@" t.qcow2 16M &&
		qemu-io -c 'write -P 1 0 6M' -c 'write -z 1M 1M' t.qcow2 &&
		qemu-img snapshot -c one t.qcow2 &&
		qemu-io -c 'write -z 4M 1M' -c 'write -z 8M 3M' \
			-c 'write -P 3 2M 1M' t.qcow2 &&
		qemu-img snapshot -c two t.qcow2 &&
		qemu-img snapshot -c three t.qcow2 &&
		qemu-io -c 'write -P 9 0 512k' -c 'write -P 4 4M 512k' \
			-c 'write -z 5M 1M' -c 'write -z 6M 10M' t.qcow2 &&
		qemu-img snapshot -c four t.qcow2 && keep disk.raw || return 1
	for s in one two three four; do
		qemu-img convert -l "$s" -O raw t.qcow2 "$s".raw || return 1
	done
	"$img" amend -o compat=0.10 t.qcow2 && agree amended &&
		qemu-img info t.qcow2 | grep -q 'compat: 0.10' &&
		holds disk.raw || return 1
	for s in one two three four; do
		qemu-img convert -l "$s" -O raw t.qcow2 now.raw &&
			cmp "$s".raw now.raw || return 1
	done
	qemu-img snapshot -a one t.qcow2 && holds one.raw &&
		qemu-io -c 'write -P 5 1M 100k' t.qcow2 &&
		"$img" snapshot -d two t.qcow2 && agree deleted &&
		qemu-img snapshot -d four t.qcow2 && agree 'deleted by QEMU' &&
		qemu-img convert -l three -O raw t.qcow2 now.raw &&
		cmp three.raw now.raw
}
# More entries than a refcount can count share the zeros.
downgrade_many() {
	qemu-img create -q -f raw below.raw 64M &&
		qemu-img create -q -f qcow2 -o cluster_size=512 -b below.raw \
			-F raw t.qcow2 64M &&
		"$img" io -c 'write -z 0 64M' t.qcow2 &&
		"$img" snapshot -c one t.qcow2 &&
		"$img" snapshot -c two t.qcow2 &&
		"$img" io -c 'discard 0 64M' -c 'write -P 1 0 64k' t.qcow2 &&
		"$img" amend -o compat=0.10 t.qcow2 && agree amended &&
		[ "$(stat -c %s t.qcow2)" -lt 84000000 ]
}
# Zeros are not the same to a cipher everywhere.
downgrade_encrypted() { # aes|luks
	rm -f t.qcow2
	key=secret,id=k,data=x
	opts=driver=qcow2,encrypt.key-secret=k,file.filename
	"$img" create -q -f raw below.raw 4M &&
		"$img" io -f raw -c 'write -P 7 0 4M' below.raw &&
		"$img" create -q --object "$key" -f qcow2 -b below.raw -F raw -o \
			encrypt.format="$1",encrypt.key-secret=k t.qcow2 4M &&
		"$img" io --object "$key" -c 'write -P 1 0 1M' \
			-c 'write -z 512k 1M' --image-opts "$opts=t.qcow2" &&
		"$img" snapshot --object "$key" -c one --image-opts \
			"$opts=t.qcow2" &&
		"$img" io --object "$key" -c 'write -P 2 0 4M' --image-opts \
			"$opts=t.qcow2" || return 1
	if "$img" amend --object "$key" -o compat=0.10 --image-opts \
		"$opts=t.qcow2" >log 2>&1; then
		[ "$1" = luks ] && "$img" snapshot --object "$key" -a one \
			--image-opts "$opts=t.qcow2" && qemu-io --object "$key" \
			-c 'read -P 1 0 512k' -c 'read -P 0 512k 1M' \
			-c 'read -P 7 1536k 2560k' --image-opts "$opts=t.qcow2" \
			>log && ! grep -q 'verification failed' log
	else
		cat log
		[ "$1" = aes ] && grep -q "snapshot 'one' has encrypted zero" log
	fi
}

scenes="cluster_size=64k extended_l2=on,refcount_bits=64"
sizes="64k"
[ -n "${Q2_TEST_FEW:-}" ] || {
	scenes="$scenes compat=0.10,cluster_size=512 \
		refcount_bits=4,cluster_size=4k \
		cluster_size=2M,compression_type=zstd,lazy_refcounts=on"
	sizes="512 64k 2M"
}
for options in $scenes; do
	check "snapshots in turns: $options" scene "$options"
done
check "the state of a machine" state
check "disks of other sizes" sizes
check "sixty snapshots" many
check "a disk of 1 TiB" large
for size in $sizes; do
	check "to version 2, clusters of $size" downgrade -o cluster_size="$size"
	check "to version 2, clusters of $size, with a backing file" downgrade \
		-o cluster_size="$size" -b below.qcow2 -F qcow2
done
check "to version 2, many zeros" downgrade_many
for format in luks aes; do
	check "to version 2, encrypted by $format" downgrade_encrypted $format
done
exit $bad
