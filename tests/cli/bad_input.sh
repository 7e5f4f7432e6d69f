#!/bin/sh
# Bad input to qcowimg: one line with the fact and the remedy, the documented
# exit code, and nothing changed: no file made, none altered.
#
# modes: asan
#
# Needs root for another user, a ramfs (no O_DIRECT) and a small tmpfs; without,
# or where mounting is forbidden, those cases are skipped with a reason.
set -u
LC_ALL=C
export LC_ALL
B=${B:-build/release}
img=$PWD/$B/qcowimg
deny=$PWD/$B/tests/tools/deny
work=$(mktemp -d "${TMPDIR:-/var/tmp}/q2-bad.XXXXXX") || exit 1
mounted=
holder=
# shellcheck disable=SC2317 # called by the trap
clean() {
	[ -z "$holder" ] || kill "$holder" 2>/dev/null
	for m in $mounted; do umount "$m"; done
	chmod -R u+w "$work"
	rm -rf "$work"
}
trap clean EXIT
trap 'exit 130' INT TERM
# For another user: a place where the program can be run and nothing written.
cp "$img" "$work/qcowimg"
chmod 755 "$work" "$work/qcowimg"
cd "$work" || exit 1
bad=0

# All files here with their content, and what they may be.
state() {
	find . -path ./out -o -path ./err -o -path ./fifo -o -type f -printf \
		'%p %s %m\n' -exec cksum {} +
}

not_ok() {
	echo "not ok - bad input: $1 # $2"
	bad=1
}

# There is one line, and nothing after it.
one_line() {
	IFS= read -r line || return 1
	! IFS= read -r line && [ -z "$line" ]
}

# expect NAME STATUS PATTERN COMMAND...: the command fails so, with one line on
# stderr that has PATTERN (a basic regular expression), and changes nothing.
# The files are as the last one has left them, which $before knows; whoever
# changes one on purpose empties that.  Forgotten, it is a failure.
before=
expect() {
	name=$1 want=$2 pattern=$3
	shift 3
	[ -n "$before" ] || before=$(state)
	timeout 60 "$@" >out 2>err </dev/null
	got=$?
	if [ $got -ne "$want" ]; then
		not_ok "$name" "status $got, not $want: $(cat err)"
	elif ! one_line <err; then
		not_ok "$name" "not one line: $(cat err)"
	elif ! grep -q -- "$pattern" err; then
		not_ok "$name" "no '$pattern' in: $(cat err)"
	elif [ "$(state)" != "$before" ]; then
		before=$(state)
		not_ok "$name" "files have changed: $before"
	else
		echo "ok - bad input: $name"
	fi
}

create="$img create -q -f qcow2"
# shellcheck disable=SC2086 # $create is a command with options
{
	$create ok.qcow2 1M || exit 1
	$create over.qcow2 1M || exit 1
}
printf 'not an image' >text
head -c 60 ok.qcow2 >short
mkdir dir

expect "no command" 1 "try 'qcowimg --help'" "$img"
expect "unknown command, with the nearest" 1 "did you mean 'create'" \
	"$img" craete
expect "unknown option of the program" 1 "unrecognized option '--nosuch'" \
	"$img" --nosuch
for c in create info check map measure commit rebase amend; do
	expect "unknown option of $c" 1 "unrecognized option '--nosuch'" \
		"$img" $c --nosuch ok.qcow2
	expect "unknown --aio of $c" 1 "nosuch (use io_uring, libaio or threads" \
		"$img" $c --aio=nosuch ok.qcow2
done
for c in info check map; do
	expect "no file name for $c" 1 "one image file name" "$img" $c
	expect "unknown --output of $c" 1 "human or json" \
		"$img" $c --output=xml ok.qcow2
	expect "no such file for $c" 1 "No such file.*name right" \
		"$img" $c no.qcow2
	expect "a directory for $c" 1 "regular file" "$img" $c dir
	expect "not a qcow2 file for $c" 1 "not in qcow2 format .*; .*-f raw" \
		"$img" $c -f qcow2 text
	expect "truncated header for $c" 1 "too short .*; .*restore" \
		"$img" $c short
	expect "unknown format for $c" 1 "nosuch.*there are qcow2 and raw" \
		"$img" $c -f nosuch ok.qcow2
done
measure="$img measure -O qcow2"
# shellcheck disable=SC2086
{
	expect "nothing to measure" 1 "size N or one filename" $measure
	expect "two things to measure" 1 "together with a filename" \
		$measure --size 1M ok.qcow2
	expect "measure with -f alone" 1 "require a filename" \
		$measure -f qcow2 --size 1M
	expect "measure without a number" 1 "use bytes, or k" \
		$measure --size big
	expect "measure with an unknown name in -o" 1 "'nosuch'; -o help" \
		$measure -o nosuch=1 --size 1M
	expect "measure with a bad number in -o" 1 "non-negative number" \
		$measure -o cluster_size=x --size 1M
	expect "measure with a bad cluster size" 1 "512 and 2048k" \
		$measure -o cluster_size=100 --size 1M
	expect "measure for small clusters" 1 "larger cluster size" \
		$measure -o cluster_size=512 --size 129G
	expect "measure for an unknown format" 1 "there are qcow2 and raw" \
		"$img" measure -O nosuch --size 1M
	expect "measure of no such snapshot" 1 "Can.t find snapshot" \
		$measure -l one ok.qcow2
	expect "measure of no such file" 1 "No such file.*name right" \
		$measure no.qcow2
}
expect "a format that cannot be checked" 63 "does not support checks" \
	"$img" check -f raw text
expect "repair without a lock" 1 "force-share=on can only be used with read-only" \
	"$img" check -U -r all ok.qcow2
expect "repair of what" 1 "expecting .leaks. or .all." "$img" check -r some ok.qcow2

# shellcheck disable=SC2086
{
	expect "no size" 1 "needs a size.*such as" $create new.qcow2
	expect "negative size" 1 "may not be negative" $create new.qcow2 -1M
	expect "negative size after --" 1 "'-1M' is no image size" \
		$create -- new.qcow2 -1M
	expect "no number for a size" 1 "use bytes, or k" $create new.qcow2 big
	expect "size of 8 EiB" 1 "below 8E" $create new.qcow2 8E
	for size in 0 256 513 3k 4M -1 x; do
		expect "cluster_size=$size" 1 "512 and 2048k\|non-negative" \
			$create -o cluster_size=$size new.qcow2 1M
	done
	expect "too big for the cluster size" 1 "larger cluster size" \
		$create -o cluster_size=512 new.qcow2 129G
	expect "unknown name in -o" 1 "'nosuch'; -o help" \
		$create -o nosuch=1 new.qcow2 1M
	expect "unknown preallocation" 1 "preallocation.*'some'" \
		$create -o preallocation=some new.qcow2 1M
	expect "unknown bool" 1 "'on' or 'off'" \
		$create -o lazy_refcounts=maybe new.qcow2 1M
	expect "unknown cache mode" 1 "nosuch (use none, writeback" \
		$create -t nosuch new.qcow2 1M
	expect "backing file without a format" 1 "looks like qcow2); .*-F qcow2" \
		$create -b ok.qcow2 new.qcow2
	expect "backing file that is missing" 1 "No such file.*backing image" \
		$create -b no.qcow2 -F qcow2 new.qcow2 1M
	expect "backing file of another format" 1 "not in qcow2 format" \
		$create -b text -F qcow2 new.qcow2
	expect "unknown backing format" 1 "nosuch.*there are qcow2 and raw" \
		$create -b ok.qcow2 -F nosuch new.qcow2
	expect "an image below itself" 1 "same filename as the backing" \
		$create -b ok.qcow2 -F qcow2 ok.qcow2 1M
	expect "an image below itself, by another name" 1 \
		"same filename as the backing" \
		$create -b ./ok.qcow2 -F qcow2 ok.qcow2 1M
	expect "-u without a size" 1 "needs a size" \
		$create -u -b ok.qcow2 -F qcow2 new.qcow2
	expect "-b for a raw image" 1 "not supported for file format 'raw'" \
		"$img" create -q -b ok.qcow2 -F qcow2 new.raw
	expect "preallocation above a backing file" 1 "extended_l2 is on" \
		$create -b ok.qcow2 -F qcow2 -o preallocation=full over.qcow2
	expect "data file in a folder that is not there" 1 \
		"'no/d.raw': No such file.*make its directory" \
		$create -o data_file=no/d.raw over.qcow2 1M
	expect "data file that is the image" 1 "the image itself" \
		$create -o data_file=over.qcow2 over.qcow2 1M
	expect "data file by a protocol" 1 "protocol 'nbd'.*write ./ before" \
		$create -o data_file=nbd:x over.qcow2 1M
	expect "subclusters in small clusters" 1 "at least 16384" \
		$create -o extended_l2=on,cluster_size=8k over.qcow2 1M
	expect "encryption without a key" 1 \
		"'encrypt.key-secret' is required for cipher" \
		$create -o encrypt.format=luks over.qcow2 1M
	expect "bad option over an existing image" 1 "512 and 2048k" \
		$create -o cluster_size=3k ok.qcow2 1M
	expect "no such directory" 1 "make its directory" $create no/new.qcow2 1M
	expect "a directory in the place" 1 "Is a directory" $create dir 1M
}
expect "unknown format to create" 1 "there are qcow2 and raw" \
	"$img" create -q -f nosuch new.qcow2 1M
expect "unknown protocol" 1 "'nosuch'; .*\./" \
	"$img" create -q nosuch:new 1M

expect "io: unknown cache mode" 1 "nosuch (use none" \
	"$img" io -t nosuch -c length ok.qcow2
expect "io: unknown aio" 1 "nosuch (use io_uring" \
	"$img" io -i nosuch -c length ok.qcow2
expect "io: two files" 1 "one image file" \
	"$img" io -c length ok.qcow2 over.qcow2
expect "io: no such file" 1 "No such file" "$img" io -c length no.qcow2
expect "io: truncated header" 1 "too short" "$img" io -c length short
expect "io: unknown command" 1 '"nosuch" not found' \
	"$img" io -c nosuch ok.qcow2
expect "io: writing to a read-only image" 1 "read-only" \
	"$img" io -r -c "write 0 4k" ok.qcow2
expect "io: -U without -r" 1 "read-only images" \
	"$img" io -U -c length ok.qcow2

# ---- size 0 is an image, as for qemu-img ------------------------------------
# shellcheck disable=SC2086
if $create zero.qcow2 0 && "$img" info zero.qcow2 | grep -q '(0 bytes)'; then
	echo "ok - bad input: size 0 makes an empty disk, as qemu-img does"
else
	not_ok "size 0" "no empty disk"
fi

before=

# ---- locks: a session of ours holds the image -------------------------------
# It has the lock when it answers; it ends with its input.
mkfifo fifo
mkfifo answers
"$img" io over.qcow2 <fifo >answers &
holder=$!
exec 3>fifo 4<answers
echo length >&3
read -r line <&4
[ "$line" = "1 MiB" ] || not_ok "locks" "no session: $line"
for c in info check map; do
	expect "locked: $c" 1 "another process.*-U" "$img" $c over.qcow2
done
expect "locked: io" 1 "another process" "$img" io -c length over.qcow2
# shellcheck disable=SC2086
expect "locked: create" 1 "another process" $create over.qcow2 2M
if command -v qemu-img >/dev/null; then
	before=$(state)
	if qemu-img info over.qcow2 >out 2>err || ! grep -q lock err ||
		qemu-img create -q -f qcow2 over.qcow2 2M 2>/dev/null ||
		[ "$(state)" != "$before" ]; then
		not_ok "locked: qemu-img" "got in: $(cat out err)"
	else
		echo "ok - bad input: locked: qemu-img too"
	fi
else
	echo "skip - bad input: locked: qemu-img # not installed"
fi
exec 3>&- 4<&-
wait "$holder"
holder=
before=
if "$img" info over.qcow2 >/dev/null; then
	echo "ok - bad input: the lock is gone with its holder"
else
	not_ok "lock" "is still held"
fi

# ---- permissions: as nobody, because root may write anywhere ----------------
mkdir locked_dir
chmod 755 locked_dir
cp ok.qcow2 readonly.qcow2
chmod 444 readonly.qcow2
cp ok.qcow2 secret.qcow2
chmod 600 secret.qcow2
before=
as_nobody="setpriv --reuid=65534 --regid=65534 --clear-groups"
if [ "$(id -u)" = 0 ] && $as_nobody true 2>/dev/null; then
	low="$as_nobody $work/qcowimg"
else
	low=$img
	chmod 555 locked_dir
	chmod 000 secret.qcow2
fi
if [ "$low" = "$img" ] && [ "$(id -u)" = 0 ]; then
	echo "skip - bad input: permissions # setpriv does not work here"
else
	# shellcheck disable=SC2086
	{
		expect "read-only directory" 1 "Permission denied; " \
			$low create -q -f qcow2 locked_dir/new.qcow2 1M
		expect "read-only image, create" 1 "Permission denied; " \
			$low create -q -f qcow2 readonly.qcow2 1M
		expect "read-only image, io" 1 "Permission denied; " \
			$low io -c "write 0 4k" readonly.qcow2
		expect "unreadable image" 1 "Permission denied; " \
			$low info secret.qcow2
	}
fi

# ---- what the file system or the kernel cannot ------------------------------
# mount_at DIR ARGUMENT...: mount there, or say why not.
mount_at() {
	mkdir "$1"
	at=$1
	shift
	if [ "$(id -u)" != 0 ] || ! mount "$@" "$at" 2>/dev/null; then
		echo "skip - bad input: $at # mounting is not allowed here"
		return 1
	fi
	mounted="$mounted $work/$at"
}

if mount_at ramfs -t ramfs ramfs; then
	cp ok.qcow2 ramfs/ok.qcow2
	before=
	# shellcheck disable=SC2086
	expect "O_DIRECT that cannot be had: create" 1 "O_DIRECT; use" \
		$create -t none ramfs/new.qcow2 1M
	expect "O_DIRECT that cannot be had: io" 1 "O_DIRECT; use" \
		"$img" io -t none -c length ramfs/ok.qcow2
	expect "O_DIRECT that cannot be had: check" 1 "O_DIRECT; use" \
		"$img" check -T directsync ramfs/ok.qcow2
	# shellcheck disable=SC2086
	if $create -o preallocation=falloc ramfs/falloc.qcow2 1M 2>err &&
		grep -q 'emulated' err; then
		echo "ok - bad input: emulated preallocation is called so"
	else
		not_ok "emulated preallocation" "$(cat err)"
	fi
fi
before=
if mount_at small -t tmpfs -o size=1M tmpfs; then
	# shellcheck disable=SC2086
	for p in falloc full; do
		expect "no space for $p" 1 "needs 67436544 bytes.*are free; " \
			$create -o preallocation=$p small/new.qcow2 64M
	done
	expect "no space for a raw image" 1 "needs 67108864 bytes.*are free; " \
		"$img" create -q -f raw -o preallocation=full small/new.raw 64M
fi
# The kernel forbids a backend: asked for it is an error, else another serves.
if [ -x "$deny" ]; then
	expect "--aio io_uring that is forbidden" 1 "io_uring" \
		"$deny" io_uring_setup=EPERM "$img" info --aio=io_uring ok.qcow2
	expect "--aio libaio that is forbidden" 1 "libaio" \
		"$deny" io_setup=ENOSYS "$img" info --aio=libaio ok.qcow2
	if "$deny" io_uring_setup=EPERM io_setup=EPERM "$img" io \
		-c "write -P 1 0 4k" -c "read -P 1 0 4k" ok.qcow2 >out 2>err &&
		grep -q 'note: .*io_uring' err; then
		echo "ok - bad input: without --aio another backend, and a note"
	else
		not_ok "fallback" "$(cat out err)"
	fi
else
	echo "skip - bad input: forbidden backends # no $deny"
fi

exit $bad
