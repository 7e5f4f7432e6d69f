#!/bin/sh
# qcowimg convert, compare, dd and bench against QEMU's qemu-img, in both
# directions; and what is left after a full disk, a damaged source and Ctrl-C.
#
#
# Needs root for a small tmpfs; where mounting is forbidden, those cases are
# skipped with a reason.
set -u
LC_ALL=C
export LC_ALL
B=${B:-build/release}
img=$PWD/$B/qcowimg
work=$(mktemp -d "${TMPDIR:-/var/tmp}/q2-convert.XXXXXX") || exit 1
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

# check NAME COMMAND...: the command succeeds.
check() {
	name=$1
	shift
	if "$@" >out 2>&1; then
		echo "ok - $name"
	else
		echo "not ok - $name # status $?: $(tr '\n\r' '  ' <out)"
		bad=1
	fi
}

# equal NAME WANT HAVE
equal() {
	if [ "$2" = "$3" ]; then
		echo "ok - $1"
	else
		echo "not ok - $1 # '$3', not '$2'"
		bad=1
	fi
}

if ! qemu-img --version >/dev/null 2>&1; then
	echo "skip - convert # qemu-img is not installed"
	exit 0
fi

# ---- a source with data, zeros and holes of odd lengths ---------------------

piece() { dd if="$1" of=s.raw bs=64k count="$2" seek="$3" conv=notrunc \
	iflag=fullblock,count_bytes oflag=seek_bytes status=none; }
head -c 3000000 /dev/urandom >random
truncate -s 9000700 s.raw
dd if=random of=s.raw bs=65536 count=20 conv=notrunc status=none
dd if=random of=s.raw bs=4096 skip=320 count=7 seek=500 conv=notrunc status=none
piece random 1000 3000001
piece random 5000 4194300
piece /dev/zero 300000 5000000
piece random 700 9000000
dd if=random of=s.raw bs=512 skip=2700 count=1 seek=12001 conv=notrunc \
	status=none
# What a guest sees has whole sectors.
cp s.raw whole.raw && truncate -s %512 whole.raw

# shellcheck disable=SC2317 # these two are called by check
# judged IMAGE: qemu-img reads the source from it and finds it consistent.
judged() {
	qemu-img compare -q -f raw -F qcow2 whole.raw "$1" &&
		qemu-img check -q "$1"
}

# one_way OPTION...: ours to qcow2 and back, QEMU's to qcow2 and ours back.
# shellcheck disable=SC2317
one_way() {
	rm -f o.qcow2 q.qcow2 o.raw q.raw
	"$img" convert -f raw -O qcow2 "$@" s.raw o.qcow2 && judged o.qcow2 &&
		"$img" convert -f qcow2 -O raw o.qcow2 o.raw &&
		cmp o.raw whole.raw &&
		qemu-img convert -f raw -O qcow2 "$@" s.raw q.qcow2 &&
		"$img" compare -q o.qcow2 q.qcow2 &&
		"$img" compare -q -f raw -F qcow2 whole.raw q.qcow2 &&
		"$img" convert -O raw q.qcow2 q.raw && cmp q.raw whole.raw
}
for o in "" "-o cluster_size=512" "-o cluster_size=4k" \
	"-o cluster_size=2M" "-o refcount_bits=1" "-o compat=v2" \
	"-o preallocation=metadata" "-o preallocation=falloc" \
	"-o preallocation=full" "-S 0" "-S 512" "-S 12k" "-S 64k" "-S 1M" \
	"-m 1" "-m 16" "-W" "-W -m 3 -S 0" "-t writeback" "-t none -T none" \
	"-o cluster_size=512,preallocation=metadata -W"; do
	# shellcheck disable=SC2086 # a list of options
	check "convert $o" one_way $o
done
for aio in io_uring native threads; do
	if "$img" io -n -i $aio -f raw -c length s.raw >/dev/null 2>&1; then
		a=$aio
		[ $aio != native ] || a=libaio
		check "convert --aio $aio" "$img" convert --aio $a -f raw \
			-O qcow2 s.raw a.qcow2
		check "convert --aio $aio: content" judged a.qcow2
	else
		echo "skip - convert --aio $aio # not here"
	fi
done

# ---- raw to raw, several sources, chains ------------------------------------

check "convert raw to raw" "$img" convert -f raw -O raw s.raw o.raw
check "convert raw to raw: content" cmp o.raw whole.raw
equal "convert keeps holes" yes "$([ "$(stat -c %b o.raw)" -le \
	$(($(stat -c %b s.raw) + 16)) ] && echo yes)"
"$img" convert -O raw q.qcow2 -S 0 o.raw
equal "convert -S 0 leaves no holes" yes "$([ "$(stat -c %b o.raw)" -ge \
	$(($(stat -c %s whole.raw) / 512)) ] && echo yes)"
# Sources are of one format, or their first bytes say.
check "convert of two" "$img" convert -O qcow2 o.qcow2 q.qcow2 two.qcow2
cat whole.raw whole.raw >two.raw
check "convert of two: content" qemu-img compare -q -f raw -F qcow2 two.raw \
	two.qcow2
rm -f two.*
qemu-img create -q -f qcow2 -F raw -b whole.raw top.qcow2
qemu-io -c 'write -q -P 7 1M 70k' -c 'write -q -z 2M 1M' top.qcow2
qemu-img convert -O raw top.qcow2 top.raw
check "convert of a chain" "$img" convert -O qcow2 top.qcow2 flat.qcow2
check "convert of a chain: content" qemu-img compare -q -F raw flat.qcow2 \
	top.raw
check "compare of a chain" "$img" compare -q top.qcow2 flat.qcow2

# A preallocated image is holes: they are not read as data.
"$img" create -q -f qcow2 -o preallocation=metadata p.qcow2 64M
"$img" convert -O raw p.qcow2 p.raw
equal "convert sees holes below clusters" 0 "$(stat -c %b p.raw)"

# ---- existing targets -------------------------------------------------------

old() { rm -f n.qcow2 && "$img" create -q -f qcow2 n.qcow2 10M &&
	qemu-io -c 'write -q -P 9 0 10M' n.qcow2; }
# What is behind the source's end stays.
old && "$img" convert -n -f raw -O qcow2 s.raw n.qcow2
qemu-img convert -O raw n.qcow2 n.raw
check "convert -n over old data" cmp -n "$(stat -c %s whole.raw)" n.raw \
	whole.raw
check "convert -n keeps the rest" qemu-io -f raw -c \
	"read -q -P 9 $(stat -c %s whole.raw) 4k" n.raw
check "convert -n: consistent" qemu-img check -q n.qcow2
rm -f n.qcow2 && "$img" create -q -f qcow2 n.qcow2 9001472
check "convert -n --target-is-zero" "$img" convert -n --target-is-zero \
	-f raw -O qcow2 s.raw n.qcow2
check "convert -n --target-is-zero: content" judged n.qcow2
rm -f n.*
before=$(cksum <s.raw)
"$img" convert -f raw -O raw s.raw s.raw 2>err
equal "convert onto itself is refused" "1" $?
ln s.raw link.raw
"$img" convert -f raw -O qcow2 s.raw link.raw 2>err
equal "convert onto a link to itself is refused" "1" $?
"$img" dd -f raw if=s.raw of=link.raw 2>err
equal "dd onto a link to itself is refused" "1" $?
equal "... and the source is as it was" "$before" "$(cksum <s.raw)"
rm link.raw

# ---- failures ---------------------------------------------------------------

mkdir small
if mount -t tmpfs -o size=1m none small 2>err; then
	mounted=yes
	for f in raw qcow2; do
		"$img" convert -f raw -O $f s.raw small/o 2>err
		equal "disk full, $f: status" 1 $?
		equal "disk full, $f: no file" "" "$(ls small)"
		equal "disk full, $f: it says so" 2 "$(grep -c \
			-e 'No space left' -e "small/o' was removed" err)"
		"$img" create -q -f qcow2 small/o 1M
		"$img" convert -f raw -O $f s.raw small/o 2>err
		equal "disk full, $f, old target: status" 1 $?
		equal "disk full, $f, old target: empty" 0 \
			"$(stat -c %s small/o)"
		equal "disk full, $f, old target: it says so" 1 \
			"$(grep -c 'is left empty' err)"
		rm small/o
	done
	"$img" create -q -f qcow2 small/o 10M
	"$img" convert -n -f raw -O qcow2 s.raw small/o 2>err
	equal "disk full, -n: status" 1 $?
	equal "disk full, -n: it says so" 1 "$(grep -c 'part of the data' err)"
	# On a full disk not even clusters can be given back: leaks, no more.
	qemu-img check -q small/o >out 2>&1
	case $? in
	0 | 3) echo "ok - disk full, -n: no corruption" ;;
	*) echo "not ok - disk full, -n: no corruption # $(cat out)" && bad=1 ;;
	esac
	rm small/o
	"$img" dd -f raw -O qcow2 if=s.raw of=small/o 2>err
	equal "disk full, dd: status" 1 $?
	equal "disk full, dd: no file" "" "$(ls small)"
else
	echo "skip - disk full # $(cat err)"
fi

# An entry that is no cluster, in the middle of the source.
"$img" convert -f raw -O qcow2 s.raw whole.qcow2 && cp whole.qcow2 d.qcow2
hex() { echo $((0x$(od -An -j"$1" -N6 -tx1 d.qcow2 | tr -d ' '))); }
l2=$(hex $(($(hex 42) + 2)))
printf '\200\000\000\000\000\005\002\000' |
	dd of=d.qcow2 bs=1 seek=$((l2 + 8 * 5)) conv=notrunc status=none
"$img" convert -O qcow2 d.qcow2 bad.qcow2 2>err
equal "a damaged source: status" 1 $?
equal "a damaged source: no target" "" "$(ls bad.qcow2 2>/dev/null)"
"$img" compare whole.qcow2 d.qcow2 >out 2>err
equal "compare with a damaged image" 3 $?

# Ctrl-C when a part has been copied.
mkfifo pipe
for f in raw qcow2; do
	timeout 60 "$img" convert -p -r 2M -f raw -O $f s.raw cut.$f >pipe \
		2>err &
	pid=$!
	exec 3<pipe
	head -c 60 <&3 >out
	kill -TERM $pid
	cat <&3 >out
	wait $pid 2>/dev/null
	equal "interrupted, $f: status" 143 $?
	exec 3<&-
	equal "interrupted, $f: no file" "" "$(ls cut.$f 2>/dev/null)"
	equal "interrupted, $f: it says so" 1 "$(grep -c 'was removed' err)"
done

# SIGUSR1: how far is it?
mkfifo said
"$img" convert -p -r 2M -f raw -O raw s.raw cut.raw >pipe 2>said &
pid=$!
exec 3<pipe 4<said
head -c 60 <&3 >out
kill -USR1 $pid
equal "SIGUSR1: it says how far it is" "/100%)" "$(head -n 1 <&4 |
	sed 's/^    ([0-9.]*//')"
kill -TERM $pid
cat <&3 >out
wait $pid 2>/dev/null
exec 3<&- 4<&-

# The name of a backing file is that of a plain file, whatever it looks like.
qemu-img create -q -f qcow2 -u -F raw \
	-b 'json:{"driver":"file","filename":"whole.raw"}' evil.qcow2 9001472
"$img" convert -O raw evil.qcow2 evil.raw 2>err
equal "a header does not open json:" 1 $?
equal "... and says why" 1 "$(grep -c 'not the name of a plain file' err)"
equal "... and makes no file" "" "$(ls evil.raw 2>/dev/null)"

# ---- options by text --------------------------------------------------------

o=driver=qcow2,l2-cache-size=64k,cache.direct=off,file.filename=o.qcow2
check "convert --image-opts" "$img" convert --image-opts -O raw "$o" i.raw
check "convert --image-opts: content" cmp i.raw whole.raw
check "convert json:" "$img" convert -O raw \
	"json:{'driver':'qcow2','file':{'driver':'file','filename':'o.qcow2'}}" \
	j.raw
check "convert json:: content" cmp j.raw whole.raw
check "compare --image-opts" "$img" compare --image-opts "$o" \
	driver=raw,file.filename=whole.raw
"$img" create -q -f qcow2 t.qcow2 9001472
check "convert --target-image-opts" "$img" convert -n --target-image-opts \
	-f raw s.raw driver=qcow2,lazy-refcounts=off,file.filename=t.qcow2
check "convert --target-image-opts: content" judged t.qcow2

# ---- dd and bench, as QEMU's ------------------------------------------------

for o in "bs=1M" "bs=4k count=300" "bs=64k skip=3" "bs=7000 skip=5 count=90" \
	"count=0"; do
	rm -f q.dd o.dd
	# shellcheck disable=SC2086 # a list of operands
	qemu-img dd -f raw -O raw $o if=whole.raw of=q.dd 2>/dev/null
	# shellcheck disable=SC2086
	check "dd $o" "$img" dd -f raw -O raw $o if=whole.raw of=o.dd
	check "dd $o: as QEMU's" cmp q.dd o.dd
done
# QEMU makes an empty image, and says so with status 0: a copy that is lost.
"$img" dd -f raw -O raw bs=1M skip=3 count=2 if=whole.raw of=none.dd 2>err
equal "dd of nothing: status" 1 $?
equal "dd of nothing: no image" "" "$(ls none.dd 2>/dev/null)"
check "dd of nothing: it says why" grep -q "cannot skip" err
check "dd to qcow2" "$img" dd -f raw -O qcow2 bs=64k if=s.raw of=dd.qcow2
check "dd to qcow2: content" judged dd.qcow2

# Both write the same blocks.
for o in "-c 300 -d 8" "-c 70 -d 4 -s 3000 -S 70000 -o 999424" \
	"-c 10 -d 3 -s 64k --flush-interval=4" \
	"-c 90 -d 5 -S 1M --flush-interval=5 --no-drain"; do
	"$img" create -q -f qcow2 q.qcow2 10M && cp q.qcow2 o.qcow2
	# shellcheck disable=SC2086 # a list of options
	qemu-img bench -w --pattern=17 $o -f qcow2 q.qcow2 >q.out 2>&1
	# shellcheck disable=SC2086
	"$img" bench -w --pattern=17 $o -f qcow2 o.qcow2 >out.bench 2>&1
	equal "bench $o" 0 $?
	check "bench $o: as QEMU's" qemu-img compare -q q.qcow2 o.qcow2
	equal "bench $o: says the same" "$(head -n 2 q.out | grep -v completed)" \
		"$(head -n 2 out.bench 2>/dev/null | grep -v completed)"
done

# The steps of -p are QEMU's: of the data, in chunks; and so is the order of
# both outputs in one pipe, under its name.
"$img" create -q -f qcow2 steps.qcow2 64M &&
	"$img" create -q -f qcow2 -b steps.qcow2 -F qcow2 over.qcow2 &&
	"$img" create -q -f qcow2 longer.qcow2 80M || bad=1
for at in 0 10 33 50; do
	"$img" io -c "write -q -P 1 ${at}M 1M" steps.qcow2 || bad=1
done
"$img" io -c "write -q -P 2 5M 7M" over.qcow2 || bad=1
ln -s "$img" qemu-img
# steps NAME COMMAND...: the same from both.
steps() {
	name=$1
	shift
	qemu-img "$@" >theirs 2>&1
	./qemu-img "$@" >ours 2>&1
	if cmp -s theirs ours; then
		echo "ok - $name"
	else
		echo "not ok - $name # $(tr '\n\r' '  ' <ours), not $(tr '\n\r' '  ' <theirs)"
		bad=1
	fi
}
for from in steps.qcow2 over.qcow2 "steps.qcow2 over.qcow2"; do
	# shellcheck disable=SC2086
	steps "convert -p of $from" convert -p -O raw $from steps.out
	# shellcheck disable=SC2086
	steps "convert -c -p of $from" convert -c -p -O qcow2 $from steps.out
done
steps "convert -S 0 -p" convert -S 0 -p -O raw over.qcow2 steps.out
steps "compare -p" compare -p steps.qcow2 steps.qcow2
steps "compare -p with a longer one" compare -p longer.qcow2 longer.qcow2
steps "create: what it says before it fails" create -f qcow2 no/dir.qcow2 1M
steps "compare: what it says, and an error" compare steps.qcow2 longer.qcow2 \
	-F raw
# The file ends with the last sector of compressed bytes.
for o in compression_type=zlib,cluster_size=2M compression_type=zstd; do
	qemu-img convert -c -O qcow2 -o "$o" steps.qcow2 theirs.qcow2 &&
		"$img" convert -c -O qcow2 -o "$o" steps.qcow2 ours.qcow2
	equal "convert -c -o $o: the length" "$(stat -c %s theirs.qcow2)" \
		"$(stat -c %s ours.qcow2)"
	check "convert -c -o $o: QEMU finds nothing wrong" \
		qemu-img check -q ours.qcow2
	check "convert -c -o $o: QEMU reads the same" \
		qemu-img compare -q steps.qcow2 ours.qcow2
done

exit $bad
