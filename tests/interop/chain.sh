#!/bin/sh
# commit, rebase and amend beside qemu-img: the same images, the same command
# for both; afterwards QEMU reads the same guest content from both, its check is
# clean, and info prints the same.
set -u
LC_ALL=C
export LC_ALL
B=${B:-build/release}
img=$PWD/$B/qcowimg
# In memory where that is possible: QEMU's tools sync after each write.
base=${TMPDIR:-/dev/shm}
[ -w "$base" ] || base=/var/tmp
work=$(mktemp -d "$base/q2-chain.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
if ! qemu-img --version >/dev/null 2>&1; then
	echo "skip - chains beside QEMU # qemu-img is not installed"
	exit 0
fi
mkdir "$work/ours" "$work/theirs" "$work/as"
ln -s "$img" "$work/as/qemu-img"
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

# layer NAME SIZE OPTIONS BELOW SEED: an image with data, zeros and gaps.
layer() {
	qemu-img create -q -f qcow2 ${3:+-o "$3"} ${4:+-b "$4" -F qcow2} \
		"$1" "$2" || exit 1
	s=$5 file=$1
	set --
	for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
		s=$(((s * 1103515245 + 12345) % 2147483648))
		off=$((s / 512 % 1100 * 512))
		len=$((s % 90 * 512 + 512))
		if [ $((i % 4)) = 0 ]; then
			set -- "$@" -c "write -z $off $len"
		else
			set -- "$@" -c "write -P $((s % 255)) $off $len"
		fi
	done
	qemu-io -f qcow2 "$@" "$file" >log 2>&1 || {
		cat log
		exit 1
	}
}

# chain OPTIONS SIZE-OF-TOP OPTIONS-OF-TOP: base, mid, top and other, in both
# folders.  Those of the last time are used again.
made=
chain() {
	if [ "$made" != "$*" ]; then
		rm -f ./*.qcow2
		layer base.qcow2 1M "$1" "" 1
		layer mid.qcow2 700k "$1" base.qcow2 2
		layer top.qcow2 "$2" "$3" mid.qcow2 3
		layer other.qcow2 900k "$1" "" 4
		qemu-img convert -O raw top.qcow2 before.raw || exit 1
		made=$*
	fi
	rm -f ours/* theirs/*
	cp ./*.qcow2 ours/
	cp ./*.qcow2 theirs/
}

# What may have changed is checked; all else is what it was.
look() {
	(
		cd "$1" || exit 1
		qemu-img info top.qcow2 | grep -v 'disk size'
		for i in base mid top other; do
			case " $changed " in
			*" $i "*)
				qemu-img check -q $i.qcow2 >../log 2>&1
				echo "$i check $?"
				;;
			*) cmp $i.qcow2 ../$i.qcow2 ;;
			esac
		done
	)
}

# reads NAME: the top of ours has what it had, as far as it went.
reads() {
	qemu-img convert -O raw ours/top.qcow2 after.raw &&
		cmp -s -n "$(stat -c %s before.raw)" before.raw after.raw
	equal "$1: the guest reads what it read" 0 $?
}

# both NAME COMMAND...: in both folders.
both() {
	name=$1
	shift
	(cd theirs && qemu-img "$@") >their.out 2>&1
	their=$?
	(cd ours && "$work/as/qemu-img" "$@") >our.out 2>&1
	equal "$name: status" $their $?
	equal "$name: output" "$(cat their.out)" "$(cat our.out)"
	equal "$name: info and check" "$(look theirs)" "$(look ours)"
	for i in $changed; do
		qemu-img compare -q "theirs/$i.qcow2" "ours/$i.qcow2" \
			>log 2>&1
		equal "$name: content of $i" 0 $?
	done
	reads "$name"
}

for o in "" cluster_size=4k compat=0.10 extended_l2=on \
	lazy_refcounts=on,cluster_size=512; do
	for size in 600k 1500k; do
		changed="top mid base"
		chain "$o" $size "$o"
		if [ "$o" = compat=0.10 ] && [ $size = 1500k ]; then
			# QEMU's job fails where zeros go into version 2.
			(cd ours && "$img" commit -q top.qcow2)
			equal "commit, $o, $size: status" 0 $?
			equal "commit, $o, $size: checks" 2 \
				"$(look ours | grep -c '\(top\|mid\) check 0')"
			reads "commit, $o, $size"
		else
			both "commit, $o, $size" commit top.qcow2
		fi
		chain "$o" $size "$o"
		both "commit -b, $o, $size" commit -b base.qcow2 top.qcow2
		changed=top
		chain "$o" $size "$o"
		both "rebase, $o, $size" rebase -b other.qcow2 -F qcow2 \
			top.qcow2
		chain "$o" $size "$o"
		both "rebase to base, $o, $size" rebase -b base.qcow2 \
			-F qcow2 top.qcow2
		chain "$o" $size "$o"
		both "rebase to none, $o, $size" rebase -b "" top.qcow2
	done
done

changed=top
for o in "" cluster_size=4k cluster_size=512; do
	for to in compat=0.10 refcount_bits=1 refcount_bits=2 refcount_bits=8 \
		refcount_bits=32 refcount_bits=64 lazy_refcounts=on size=2M \
		compat=0.10,refcount_bits=16; do
		chain "$o" 1M "$o"
		both "amend $to, $o" amend -o $to top.qcow2
	done
	for to in compat=1.1 compat=1.1,refcount_bits=64,lazy_refcounts=on; do
		chain "$o" 1M "compat=0.10${o:+,}$o"
		both "amend $to, $o" amend -o $to top.qcow2
	done
	chain "$o" 1M "refcount_bits=64${o:+,}$o"
	both "amend to 16, $o" amend -o compat=0.10,refcount_bits=16 top.qcow2
done

# A chain of 1000 layers, with few descriptors to begin with.
"$img" create -q -f qcow2 l0 1M
i=0
while [ $i -lt 1000 ]; do
	i=$((i + 1))
	"$img" create -q -u -f qcow2 -b l$((i - 1)) -F qcow2 l$i 1M
done
"$img" io -f qcow2 -c 'write -P 7 64k 64k' l0 >log
(
	# shellcheck disable=SC3045 # dash and bash have it
	ulimit -S -n 100
	exec "$img" io -r -f qcow2 -c 'read -P 7 64k 64k' -c 'read -P 0 0 64k' \
		l1000
) >log 2>&1
equal "1000 layers" 0 $?

exit $bad
