#!/bin/sh
# Bitmaps in turns with QEMU: the same is done by QEMU's tools to one image, by
# ours to a second, and by both in turns to a third; after each step QEMU, which
# serves the bitmaps to an NBD client, says the same of all three, and its check
# finds nothing.
# shellcheck disable=SC2317 # functions are called by check()
set -u
B=${B:-build/release}
img=$PWD/$B/qcowimg
# In memory where that is possible: QEMU's tools sync after each write.
base=${TMPDIR:-/dev/shm}
[ -w "$base" ] || base=/var/tmp
dir=$(mktemp -d "$base/q2-bitmaps.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
cd "$dir" || exit 1
bad=0
for p in qemu-img qemu-io qemu-nbd; do
	command -v $p >/dev/null && continue
	echo "skip - bitmaps # $p is not installed"
	exit 0
done

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

# What each bitmap has noted, as QEMU's NBD server says it; it has the image's
# lock until it ends.
bits() { # image, bitmap...
	image=$1
	shift
	rm -f sock
	# shellcheck disable=SC2046 # words
	qemu-nbd -r -t -f qcow2 $(printf -- '-B %s ' "$@") -k "$dir/sock" \
		"$image" &
	nbd=$!
	for n; do
		# It answers when it is ready.
		until qemu-img map --output=json --image-opts "driver=nbd,server.type=unix,server.path=$dir/sock,x-dirty-bitmap=qemu:dirty-bitmap:$n" >bits.json 2>/dev/null; do
			kill -0 "$nbd" 2>/dev/null || return 1
		done
		echo "$n"
		sed 's/"depth".*"data"/"data"/' bits.json
	done
	kill "$nbd"
	wait "$nbd"
}
names() { # image
	qemu-img info "$1" | sed -n 's/^            name: //p'
}
agree() { # step
	for i in a b c; do
		qemu-img check -q "$i".qcow2 || { echo "$1: check of $i"; return 1; }
		"$img" check -q "$i".qcow2 || { echo "$1: our check of $i"; return 1; }
		qemu-img info "$i".qcow2 | sed -n '/bitmaps:/,/refcount/p' >"$i".list
		"$img" info "$i".qcow2 | sed -n '/bitmaps:/,/refcount/p' |
			cmp - "$i".list || { echo "$1: info of $i"; return 1; }
		cmp a.list "$i".list || { echo "$1: list of $i"; return 1; }
	done
	names a.qcow2 >all
	[ -s all ] || return 0
	for i in a b c; do
		# shellcheck disable=SC2046 # a word for each
		bits "$i".qcow2 $(cat all) >"$i".bits
		if [ "$(grep -c '^\[' "$i".bits)" != "$(wc -l <all)" ] ||
			! diff a.bits "$i".bits; then
			echo "$1: bits in $i"
			return 1
		fi
	done
}
turn=0
both() { # subcommand..., the image is t
	turn=$((turn + 1))
	for who in "qemu-img a" "$img b"; do
		ln -f "${who#* }.qcow2" t
		${who% *} "$@" >log 2>&1 || { cat log; return 1; }
	done
	ln -f c.qcow2 t
	if [ $((turn % 2)) = 0 ]; then
		qemu-img "$@" >log 2>&1
	else
		"$img" "$@" >log 2>&1
	fi || { cat log; return 1; }
}
puts() { # qemu-io's options
	turn=$((turn + 1))
	{ qemu-io "$@" a.qcow2 && "$img" io "$@" b.qcow2; } >log 2>&1 ||
		{ cat log; return 1; }
	if [ $((turn % 2)) = 0 ]; then
		qemu-io "$@" c.qcow2
	else
		"$img" io "$@" c.qcow2
	fi >log 2>&1 || { cat log; return 1; }
}
step() { # what, command
	what=$1
	shift
	"$@" || { echo "$what failed"; return 1; }
	agree "$what"
}

in_turns() { # creation options
	qemu-img create -q -f qcow2 ${1:+-o "$1"} a.qcow2 40M &&
		qemu-img bitmap --add a.qcow2 eins &&
		qemu-img bitmap --add -g 4k a.qcow2 zwei &&
		qemu-img bitmap --add --disable -g 1M a.qcow2 drei || return 1
	cp a.qcow2 b.qcow2 && cp a.qcow2 c.qcow2
	step "writes" puts -c 'write 100 200k' -c 'write -z 5M 50k' \
		-c 'discard 1M 100k' -c 'write 39M 1M' &&
		step "add" both bitmap --add -g 512 t vier &&
		step "more writes" puts -c 'write 20M 3k' -c 'write 511 2' &&
		step "merge, clear" both bitmap --merge zwei --disable t vier &&
		step "clear" both bitmap --clear t eins &&
		step "grow" both resize -f qcow2 t 70M &&
		step "writes behind it" puts -c 'write 60M 10M' -c 'write 0 1' &&
		step "enable, merge" both bitmap --enable --merge eins t drei &&
		step "shrink" both resize --shrink -f qcow2 t 20M &&
		step "writes to the end" puts -c 'write 19M 1M' &&
		step "remove" both bitmap --remove t zwei &&
		step "a snapshot" both snapshot -c s t &&
		step "last writes" puts -c 'write 3M 70k' -c 'write -c 4M 2M'
}
check "bitmaps in turns" in_turns ''
if [ -z "${Q2_TEST_FEW:-}" ]; then
	check "... with clusters of 512 bytes" in_turns cluster_size=512
	check "... of 2 MiB, and wide refcounts" \
		in_turns cluster_size=2M,refcount_bits=64
	check "... with extended L2 entries" in_turns extended_l2=on
	check "... with lazy refcounts" in_turns lazy_refcounts=on
fi

# Another size of refcounts, a copy, both ways.
copies() {
	both amend -o refcount_bits=32 -f qcow2 t && agree "amend" || return 1
	for i in a b c; do
		"$img" convert --bitmaps -O qcow2 "$i".qcow2 "$i".copy &&
			qemu-img convert --bitmaps -O qcow2 "$i".qcow2 "$i".theirs ||
			return 1
	done
	mv a.theirs a.qcow2 && mv a.copy b.qcow2 && mv c.copy c.qcow2 &&
		agree "copies"
}
check "bitmaps are kept by amend and copied by convert" copies

# After a crash of one side neither trusts it.
crash() {
	sh -c "qemu-io -c 'write 0 64k' -c 'sigraise 9' a.qcow2" >log 2>&1
	sh -c "'$img' io -c 'write 0 64k' -c 'sigraise 9' b.qcow2" >log 2>&1
	cp b.qcow2 c.qcow2
	for i in a b c; do
		qemu-img info "$i".qcow2 | grep -q 'in-use' || return 1
		for n in $(names "$i".qcow2); do
			"$img" bitmap --remove "$i".qcow2 "$n" || return 1
		done
		qemu-img check -r all -q "$i".qcow2
	done
	agree "after a crash"
}
check "bitmaps that were in use at a crash" crash
exit $bad
