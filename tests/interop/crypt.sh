#!/bin/sh
# Encrypted images with QEMU's tools: every cipher, mode, generator of IVs and
# hash, made and written by each side and read by the other; keys by layer,
# key slots, snapshots, files as secrets, preallocation, resize.
#
# modes: all
set -u
LC_ALL=C
export LC_ALL
B=${B:-build/release}
img=$PWD/$B/qcowimg
# QEMU's programs need not measure for long.
hurry=$PWD/$B/tests/tools/hurry.so
[ -e "$hurry" ] || hurry=
if ! qemu-img --version >/dev/null 2>&1 || ! qemu-io --version >/dev/null 2>&1
then
	echo "skip - encryption # qemu-img and qemu-io are not installed"
	exit 0
fi
base=${TMPDIR:-/var/tmp}
[ ! -w /dev/shm ] || base=/dev/shm
work=$(mktemp -d "$base/q2-crypt.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
cd "$work" || exit 1
mkdir bin && cp "$img" bin/qcowimg && ln -s qcowimg bin/qemu-img &&
	ln -s qcowimg bin/qemu-io || exit 1
bad=0

secret=secret,id=s,data=geheim12
opts=driver=qcow2,file.filename=t.qcow2,encrypt.key-secret=s
luks=encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10

result() { # NAME, status before
	if [ "$2" = 0 ]; then
		echo "ok - $1"
	else
		sed 's/^/# /' log
		echo "not ok - $1"
		bad=1
	fi
}

check() { # NAME, command
	name=$1
	shift
	"$@" >log 2>&1
	result "$name" $?
}

# tool qemu|ours img|io ARGS: with the secret.  QEMU's way of measuring PBKDF2
# fails on a busy machine all the same.
tool() {
	side=$1 program=qemu-$2
	shift 2
	[ "$program" = qemu-io ] || { command=$1 && shift; }
	preload=$hurry
	[ "$side" = qemu ] || program=$work/bin/$program preload=
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		LD_PRELOAD=$preload "$program" ${command:+"$command"} --object "$secret" "$@" \
			>said 2>&1
		status=$?
		grep -q 'accurate CPU usage' said || break
	done
	command=
	cat said
	! grep -q 'verification failed' said && [ "$status" = 0 ]
}

io() { # SIDE, commands of qemu-io
	who=$1
	shift
	set -- "$@" --image-opts "$opts"
	tool "$who" io "$@"
}

other() { [ "$1" = ours ] && echo qemu || echo ours; }

# Written by one, read and written by the other, parts of sectors too.
both() { # SIDE that makes it, options
	rm -f t.qcow2
	tool "$1" img create -q -f qcow2 -o "$2" t.qcow2 1M &&
		io "$1" -c 'write -P 17 0 100k' -c 'write -P 18 300k 64k' \
			-c 'write -z 310k 8k' &&
		io "$(other "$1")" -c 'read -P 17 0 100k' \
			-c 'read -P 0 100k 200k' -c 'read -P 18 300k 10k' \
			-c 'read -P 0 310k 8k' -c 'read -P 18 318k 46k' \
			-c 'write -P 19 1000 70000' -c 'write -P 20 512k 3' &&
		io "$1" -c 'read -P 17 0 1000' -c 'read -P 19 1000 70000' \
			-c 'read -P 17 71000 31400' -c 'read -P 20 512k 3' \
			-c 'read -P 0 524291 9000'
}

both_ways() { # NAME, options
	for maker in ours qemu; do
		check "$1, made by $maker" both $maker "$2"
	done
}

ciphers() {
	for c in aes-128 aes-192 aes-256 cast5-128 serpent-128 serpent-192 \
		serpent-256 twofish-128 twofish-256; do
		for m in ecb cbc xts ctr; do
			# QEMU ends with a failed assertion.
			case $c-$m in
			*-192-xts) ;;
			*-192-*) continue ;;
			cast5-*-xts) continue ;;
			esac
			for i in plain plain64 essiv; do
				[ $c-$i != cast5-128-essiv ] || continue
				o=encrypt.cipher-alg=$c,encrypt.cipher-mode=$m
				o=$luks,$o,encrypt.ivgen-alg=$i
				check "$c $m $i" both ours "$o"
				# QEMU takes seconds to make one.
				case $c-$m-$i in
				*-xts-plain64 | cast5-*-ctr-plain)
					check "$c $m $i, made by QEMU" \
						both qemu "$o"
					;;
				esac
			done
		done
	done
}
ciphers
for h in md5 sha1 sha224 sha256 sha384 sha512 ripemd160; do
	check "hash $h" both ours "$luks,encrypt.hash-alg=$h"
done
for h in md5 sha384 ripemd160; do
	check "hash $h, made by QEMU" both qemu "$luks,encrypt.hash-alg=$h"
done
both_ways "ESSIV by MD5" \
	"$luks,encrypt.ivgen-alg=essiv,encrypt.ivgen-hash-alg=md5"
both_ways "a hash that plain64 does not use" \
	"$luks,encrypt.ivgen-hash-alg=sha1"
both_ways "AES by its old name" "encryption=on,encrypt.key-secret=s"
both_ways "a data file" "$luks,data_file=t.data"
both_ways "subclusters" "$luks,extended_l2=on"

# ---- secrets ---------------------------------------------------------------

printf 'sehr geheim\n' >key.txt
printf 'c2VociBnZWhlaW0K' >key.base64
files() { # --object of the maker, of the reader
	rm -f t.qcow2
	secret=$1
	tool ours img create -q -f qcow2 -o "$luks" t.qcow2 1M &&
		io ours -c 'write -P 3 0 1M' || return 1
	secret=$2
	io qemu -c 'read -P 3 0 1M'
	result=$?
	secret=secret,id=s,data=geheim12
	return "$result"
}
check "a secret from a file" files secret,id=s,file=key.txt \
	secret,id=s,format=base64,file=key.base64
check "a secret in base64" files \
	secret,id=s,data=c2VociBnZWhlaW0K,format=base64 secret,id=s,file=key.txt
check "an empty secret" files secret,id=s,data= secret,id=s,data=

# ---- key slots -------------------------------------------------------------

slots() {
	rm -f t.qcow2
	tool ours img create -q -f qcow2 -o "$luks" t.qcow2 1M &&
		io ours -c 'write -P 5 0 1M' || return 1
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		qemu-img amend --object "$secret" \
			--object secret,id=n,data=zweites --image-opts \
			-o encrypt.state=active,encrypt.new-secret=n,encrypt.keyslot=7,encrypt.iter-time=10 \
			"$opts" 2>&1 | grep 'accurate CPU' || break
	done
	qemu-img amend --object secret,id=s,data=zweites --image-opts \
		-o encrypt.state=inactive,encrypt.keyslot=0 "$opts" || return 1
	secret=secret,id=s,data=zweites
	io ours -c 'read -P 5 0 1M'
	result=$?
	secret=secret,id=s,data=geheim12
	! io ours -c 'read -P 5 0 1M' || return 1
	return "$result"
}
check "QEMU moves our key into slot 7" slots

# The other way round: ours changes the passphrases of QEMU's image.
amend() { # -o
	tool ours img amend --object secret,id=n,data=zweites --image-opts \
		-o "$1" "$opts"
}
our_slots() {
	rm -f t.qcow2
	tool qemu img create -q -f qcow2 -o "$luks" t.qcow2 1M &&
		io qemu -c 'write -P 5 0 1M' &&
		amend encrypt.state=active,encrypt.new-secret=n,encrypt.keyslot=7,encrypt.iter-time=10 ||
		return 1
	secret=secret,id=s,data=zweites
	amend encrypt.state=inactive,encrypt.keyslot=0 &&
		! amend encrypt.state=inactive,encrypt.old-secret=n &&
		io qemu -c 'read -P 5 0 1M'
	result=$?
	secret=secret,id=s,data=geheim12
	! io qemu -c 'read -P 5 0 1M' || return 1
	return "$result"
}
check "we move QEMU's key into slot 7, and keep the last" our_slots

# ---- chains ----------------------------------------------------------------

# Three layers with keys of their own, the middle one without encryption.
chain() {
	rm -f t.qcow2
	{ tool qemu img create -q -f qcow2 -o "$luks" low.qcow2 1M &&
		tool qemu io -c 'write -P 1 0 1M' --image-opts \
			driver=qcow2,file.filename=low.qcow2,encrypt.key-secret=s &&
		qemu-img create -q -u -f qcow2 -b low.qcow2 -F qcow2 \
			mid.qcow2 1M; } || return 1
	keys=$secret
	secret=secret,id=s,data=oben
	tool ours img create -q -u -f qcow2 -o "$luks" -b mid.qcow2 -F qcow2 \
		t.qcow2 1M || return 1
	for side in ours qemu; do
		tool $side io --object secret,id=u,data=geheim12 \
			-c 'write -P 2 100k 1k' -c 'read -P 1 0 100k' \
			-c 'read -P 2 100k 1k' -c 'read -P 1 101k 900k' \
			--image-opts \
			"$opts,backing.backing.encrypt.key-secret=u" || break
	done
	result=$?
	! tool ours io -c 'read 0 1M' --image-opts "$opts" || result=1
	grep "backing file: Could not open backing file: .*is required for cipher" \
		said || result=1
	secret=$keys
	return "$result"
}
check "a chain with a key for each layer" chain

# ---- rebase, amend, salvage ------------------------------------------------

# t.qcow2, encrypted, over an encrypted and a plain layer; other.qcow2 beside
# them; what the guest reads is in before.raw.
stack() { # encryption of the middle layer
	rm -f t.qcow2 low.qcow2 mid.qcow2 other.qcow2
	for i in low other; do
		tool ours img create -q -f qcow2 $i.qcow2 1M || return 1
	done
	tool ours io -f qcow2 -c 'write -P 1 300k 400k' low.qcow2 &&
		tool ours io -f qcow2 -c 'write -P 2 500k 400k' other.qcow2 ||
		return 1
	tool ours img create -q -u -f qcow2 -o "$1" -b low.qcow2 -F qcow2 \
		mid.qcow2 1M &&
		tool ours img create -q -u -f qcow2 -o "$luks" -b mid.qcow2 \
			-F qcow2 t.qcow2 1M || return 1
	all=$opts,backing.encrypt.key-secret=s
	tool ours io -c 'write -P 3 100k 1k' -c 'write -z 600k 64k' \
		-c 'write -P 4 801k 10k' --image-opts "$all" &&
		tool qemu io -c 'read -P 3 100k 1k' --image-opts "$all" &&
		tool qemu img convert -O raw --image-opts "$all" before.raw
}
reads_as_before() { # options
	tool qemu img convert -O raw --image-opts "$1" after.raw &&
		cmp before.raw after.raw && tool qemu img check --image-opts "$1"
}
rebases() { # encryption of the layer, new backing file, options afterwards
	stack "$1" &&
		tool ours img rebase -b "$2" ${2:+-F qcow2} --image-opts "$all" &&
		reads_as_before "$3"
}
for o in "$luks" encrypt.format=aes,encrypt.key-secret=s; do
	check "rebase of an encrypted chain, $o" rebases "$o" other.qcow2 "$opts"
	check "rebase to one of its layers, $o" rebases "$o" low.qcow2 "$opts"
	check "rebase to none, $o" rebases "$o" "" "$opts"
done
no_key() {
	stack "$luks" || return 1
	"$work/bin/qcowimg" rebase --object "$secret" -b mid.qcow2 -F qcow2 \
		--image-opts "$all" >said 2>&1 && return 1
	cat said
	[ "$(grep -c 'required for cipher$\|named, with -u' said)" = 2 ] &&
		reads_as_before "$all" || return 1
	"$work/bin/qcowimg" rebase --object "$secret" -b '' --image-opts \
		"$opts" >said 2>&1 && return 1
	cat said
	grep -q 'says backing.encrypt.key-secret=ID' said &&
		reads_as_before "$all"
}
check "rebase without a key is refused, with what helps" no_key

amends() { # -o
	stack "$luks" &&
		tool ours img amend --image-opts -o "$1" "$all" &&
		reads_as_before "$all" &&
		tool ours io -c 'write -P 5 300k 70k' --image-opts "$all" &&
		tool qemu io -c 'read -P 5 300k 70k' --image-opts "$all" &&
		tool qemu img check --image-opts "$all"
}
for o in compat=0.10 refcount_bits=1 refcount_bits=64,lazy_refcounts=on; do
	check "amend $o of an encrypted image" amends $o
done

salvages() {
	stack "$luks" &&
		tool ours img convert --salvage -O raw --image-opts "$all" \
			after.raw &&
		cmp before.raw after.raw
}
check "convert --salvage decrypts" salvages

# ---- preallocation and resize ----------------------------------------------

# What nobody has written reads as noise in both, and as the same.
noise() {
	rm -f t.qcow2
	tool "$1" img create -q -f qcow2 -o "$luks,preallocation=$2" t.qcow2 \
		1M &&
		tool ours img convert --image-opts -O raw "$opts" ours.raw &&
		tool qemu img convert --image-opts -O raw "$opts" qemu.raw &&
		cmp ours.raw qemu.raw
}
copy() { # SIDE, preallocation
	rm -f t.qcow2
	dd if=/dev/zero of=src.raw bs=1k count=1000 2>/dev/null &&
		printf 'etwas' | dd of=src.raw bs=1 seek=300000 conv=notrunc \
			2>/dev/null &&
		tool "$1" img convert -f raw -O qcow2 \
			-o "$luks,preallocation=$2" src.raw t.qcow2 &&
		tool "$(other "$1")" img convert --image-opts -O raw "$opts" \
			back.raw &&
		cmp src.raw back.raw
}
grow() { # preallocation, compat
	rm -f t.qcow2
	tool ours img create -q -f qcow2 -o "$luks,compat=$2" t.qcow2 1000000 &&
		io ours -c 'write -P 9 0 1000000' &&
		tool ours img resize --image-opts --preallocation="$1" "$opts" \
			3M &&
		io qemu -c 'read -P 9 0 1000000' -c 'read -P 0 1000448 2000000' &&
		io ours -c 'read -P 0 1000448 2000000' &&
		tool qemu img check --image-opts "$opts" &&
		tool ours img resize --image-opts --shrink "$opts" 500k &&
		tool qemu img check --image-opts "$opts" &&
		io qemu -c 'read -P 9 0 500k'
}
for p in off metadata falloc full; do
	[ $p = off ] || check "preallocation $p: the same noise" noise ours $p
	check "convert to preallocation $p" copy ours $p
	check "resize with preallocation $p" grow $p v3
	check "resize with preallocation $p, version 2" grow $p v2
done

check "preallocation metadata by QEMU: the same noise" noise qemu metadata
check "convert to preallocation metadata by QEMU" copy qemu metadata

# Files are as long as QEMU's.
length() {
	rm -f t.qcow2 q.qcow2 d1 d2
	tool ours img create -q -f qcow2 -o "$luks,$1" t.qcow2 200M &&
		tool qemu img create -q -f qcow2 -o "$luks,$1" q.qcow2 200M &&
		[ "$(stat -c %s t.qcow2)" = "$(stat -c %s q.qcow2)" ]
}
for o in cluster_size=512,preallocation=metadata \
	cluster_size=512,preallocation=falloc,refcount_bits=64 cluster_size=4k \
	cluster_size=2M,preallocation=falloc \
	extended_l2=on,preallocation=metadata \
	encrypt.cipher-alg=aes-128,encrypt.cipher-mode=cbc; do
	check "length with $o" length "$o"
done

# What is on top goes into an encrypted layer, which becomes longer; by each
# side, and read by the other.
commits() { # SIDE, options of the layer
	rm -f top.qcow2 base.qcow2
	chain=driver=qcow2,file.filename=top.qcow2,backing.driver=qcow2
	chain=$chain,backing.encrypt.key-secret=s,backing.file.filename=base.qcow2
	below=driver=qcow2,encrypt.key-secret=s,file.filename=base.qcow2
	tool ours img create -q -f qcow2 -o "$2" base.qcow2 1M &&
		tool ours io --image-opts -c 'write -P 4 0 1M' "$below" &&
		tool ours img create -q -f qcow2 -u -b base.qcow2 -F qcow2 \
			top.qcow2 2M &&
		tool "$(other "$1")" io --image-opts -c 'write -P 5 64k 1M' \
			-c 'write -z 200k 100k' -c 'write -P 6 1900k 9k' \
			"$chain" &&
		tool "$1" img commit --image-opts "$chain" || return 1
	for reader in ours qemu; do
		for file in "$chain" "$below"; do
			tool $reader io --image-opts -c 'read -P 4 0 64k' \
				-c 'read -P 5 64k 136k' -c 'read -P 0 200k 100k' \
				-c 'read -P 5 300k 788k' -c 'read -P 6 1900k 9k' \
				-c 'read -P 0 1088k 812k' "$file" || return 1
		done
	done
	[ "$(qemu-img map --output=json --object "$secret" --image-opts "$chain" |
		grep -c '"depth": 0.*"data": true')" = 0 ] &&
		qemu-img check -q --object "$secret" --image-opts "$below"
}
for o in "$luks" encrypt.format=aes,encrypt.key-secret=s \
	"$luks,extended_l2=on" "$luks,data_file=base.data"; do
	for who in ours qemu; do
		check "commit by $who into a layer with $o" commits $who "$o"
	done
done

# The layer was replaced by one of another key; by nothing of ours.
keeps_its_key() {
	commits ours "$luks" || return 1
	tool ours io --image-opts -c 'write -P 7 0 64k' "$chain" || return 1
	secret=secret,id=s,data=another
	! tool ours img commit --image-opts "$chain" || return 1
	secret=secret,id=s,data=geheim12
	tool ours io --image-opts -c 'read -P 7 0 64k' "$chain"
}
check "commit with a wrong key" keeps_its_key

[ $bad = 0 ]
