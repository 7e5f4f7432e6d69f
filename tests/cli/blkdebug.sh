#!/bin/sh
# Errors and breakpoints that are ordered by QEMU's rules (blkdebug), and copy
# on read: what is written, said and returned, beside qemu-io where it is
# installed.  After every error the image has no error, and reads as before or
# as written.
#
# modes: asan
# shellcheck disable=SC2317 # functions are called by check()
set -u
LC_ALL=C
export LC_ALL
B=${B:-build/release}
root=$PWD
img=$root/$B/qcowimg
base=${TMPDIR:-/var/tmp}
[ ! -w /dev/shm ] || base=/dev/shm
work=$(mktemp -d "$base/q2-debug.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
cd "$work" || exit 1
mkdir ours
ln -s "$img" ours/qemu-io
bad=0

check() { # NAME COMMAND...
	name=$1
	shift
	if ("$@") >log 2>&1; then
		echo "ok - blkdebug: $name"
	else
		sed 's/^/# /' log
		echo "not ok - blkdebug: $name"
		bad=1
	fi
}
# Made once: a program under a sanitizer takes long to start.
"$img" create -q -f qcow2 made 64M &&
	"$img" io -f qcow2 -c 'write -q -P 1 0 1M' made || exit 1
fresh() { cp made t; }
rules() { cat >rules; }

# ---- errors ------------------------------------------------------------------

# refused TEXT NAME: the image cannot be opened, and why.
refused() {
	if "$img" io -c 'read -q 0 512' "$2" >said 2>&1; then
		echo "not refused: $2"
		return 1
	fi
	grep -F -- "$1" said || { cat said && return 1; }
}
bad_files() {
	rm -f none
	refused "Could not read blkdebug config file: No such file or directory" \
		blkdebug:none:t || return 1
	while IFS='|' read -r text message; do
		printf '%b' "$text" >rules
		refused "$message" blkdebug:rules:t || return 1
	done <<'END'
event = "none"|rules:1: no section before it
[inject]\n|rules:1: there are [inject-error] and [set-state]: '[inject]'
[inject-error]\nevent none\n|rules:2: a line is name = "value": 'event none'
[inject-error]\nevent = none\n|rules:2: a line is name = "value": 'event = none'
#\n\n[inject-error]\nerrno = "5"\n|rules:3: Missing event name for rule
[inject-error]\nevent = "l3_load"\n|rules:1: invalid parameter value: l3_load
[inject-error]\nevent = "l2_load"\nerrno = "x"\n|rules:1: Parameter 'errno' expects a number
[inject-error]\nevent = "l2_load"\nerrno = "5000"\n|rules:1: errno=5000 is no error of Linux
[inject-error]\nevent = "l2_load"\niotype = "trim"\n|rules:1: invalid parameter value: trim
[inject-error]\nevent = "l2_load"\nonce = "yes?"\n|rules:1: Parameter 'once' expects 'on' or 'off'
[set-state]\nevent = "l2_load"\nerrno = "5"\n|rules:1: Invalid parameter 'errno'
END
}
bad_options() {
	refused "blkdebug requires both config file and image path" blkdebug:x &&
		refused "doesn't support the option 'inject-error.0.nix'" \
			'json:{"driver":"qcow2","file":{"driver":"blkdebug","inject-error":[{"event":"l2_load","nix":1}],"image":{"driver":"file","filename":"t"}}}' &&
		refused "Cannot meet constraints with align 511" \
			'json:{"driver":"qcow2","file":{"driver":"blkdebug","align":511,"image":{"driver":"file","filename":"t"}}}' &&
		refused 'A block device must be specified for "image"' \
			'json:{"driver":"qcow2","file":{"driver":"blkdebug"}}'
}
once() {
	fresh && rules <<'END' || return 1
# the disk is full, once
[inject-error]
event = "write_aio"
errno = "28"
once = "on"
END
	"$img" io -f qcow2 -c 'write -P 2 0 64k' blkdebug:rules:t >said
	[ $? = 1 ] && grep -x 'write failed: No space left on device' said &&
		"$img" io -f qcow2 -c 'read -q -P 1 0 1M' \
			-c 'write -q -P 2 0 64k' blkdebug::t &&
		"$img" io -f qcow2 -c 'read -q -P 2 0 64k' t
}
in_turn() { # the second write only
	fresh && rules <<'END' || return 1
[set-state]
event = "write_aio"
state = "1"
new_state = "2"
[inject-error "second"]
event = "write_aio"
state = "2"
once = "on"
END
	"$img" io -f qcow2 -c 'write 0 4k' -c 'write 4k 4k' -c 'write 8k 4k' \
		blkdebug:rules:t >said
	[ "$(grep -c '^wrote' said)" = 2 ] &&
		[ "$(grep -c '^write failed: Input/output error' said)" = 1 ]
}
# Every event, at once and for ever: the image stays whole, and what was there
# before.
every_event() {
	events=$(sed -n 's/^EVENT(\(.*\))/\1/p' \
		"$root/engine/aio/debug_events.def")
	[ "$(echo "$events" | wc -l)" = 48 ] || return 1
	for event in $events; do
		for once in on off; do
			fresh || return 1
			printf '[inject-error]\nevent = "%s"\nonce = "%s"\n' \
				"$event" "$once" >rules
			"$img" io -f qcow2 -c 'write -P 2 2M 70k' \
				-c 'write -c -P 3 4M 64k' -c 'discard 0 64k' \
				-c 'write -z 3M 100k' -c flush \
				-c 'read 64k 64k' blkdebug:rules:t >said 2>&1
			[ $? -le 1 ] || { cat said && return 1; }
			"$img" check t >said 2>&1
			case $? in
			0 | 3) ;;
			*) echo "$event" && cat said && return 1 ;;
			esac
			"$img" io -f qcow2 -c 'read -q -P 1 64k 960k' t || {
				echo "$event, once=$once"
				return 1
			}
		done
	done
}
by_options() {
	fresh
	"$img" io -c 'open -o file.driver=blkdebug,file.inject-error.0.event=l2_load,file.inject-error.0.once=on t' \
		-c 'read 0 64k' -c 'read -P 1 0 64k' >said
	[ $? = 1 ] && [ "$(head -n 1 said)" = 'read failed: Input/output error' ] &&
		grep '^read 65536/65536' said || return 1
	# a data file, by a node of driver raw
	"$img" create -q -f qcow2 -o data_file=t.raw t 1M &&
		! "$img" io -c 'write 0 4k' --image-opts \
			driver=qcow2,file.filename=t,data-file.driver=raw,data-file.file.driver=blkdebug,data-file.file.inject-error.0.event=write_aio,data-file.file.image.filename=t.raw >said &&
		grep 'write failed: Input/output error' said
}

# ---- breakpoints -------------------------------------------------------------

# The second write comes into the cluster that the first one is filling.
session() {
	fresh && "$1" blkdebug::t <<'END' |
break write_aio A
aio_write -P 5 0x218000 0x2000
wait_break A
aio_write -P 6 0x212000 0x2000
sleep 10
resume A
aio_flush
break x A
resume A
remove_break A
break l2_load B
remove_break B
aio_read -P 1 0 64k
aio_flush
END
		sed 's/; .*//; s/qemu-io> //g'
	"$img" io -f qcow2 -c 'read -q -P 5 0x218000 0x2000' \
		-c 'read -q -P 6 0x212000 0x2000' -c 'read -q -P 0 0x210000 0x2000' \
		-c 'read -q -P 0 0x21a000 0x2000' t && "$img" check -q t
}
as_qemu() {
	session ours/qemu-io >a 2>&1 || { cat a && return 1; }
	grep "blkdebug: Suspended request 'A'" a || return 1
	qemu-io --version >/dev/null 2>&1 || return 0
	session qemu-io >b 2>&1
	diff a b
}
no_hang() { # a command that nobody could wake
	fresh
	printf 'wait_break A\nbreak write_aio A\nwrite -P 7 0 4k\n' |
		timeout 20 "$img" io -f qcow2 blkdebug::t >said 2>&1
	[ $? = 1 ] && grep "breakpoint 'A'" said && grep '^wrote 4096' said &&
		"$img" io -f qcow2 -c 'read -q -P 7 0 4k' t
}
held_at_the_end() { # closing lets it go
	fresh
	"$img" io -f qcow2 -c 'break write_aio A' \
		-c 'aio_write -P 8 0 4k' blkdebug::t >said 2>&1 &&
		grep "Resuming request 'A'" said && grep '^wrote 4096' said &&
		"$img" io -f qcow2 -c 'read -q -P 8 0 4k' t
}

# ---- copy on read ------------------------------------------------------------

copied() {
	rm -f t base && "$img" create -q -f qcow2 base 1M &&
		"$img" io -f qcow2 -c 'write -q -P 1 0 128k' base &&
		"$img" create -q -f qcow2 -b base -F qcow2 t 1000k &&
		"$img" io -f qcow2 -C -c 'read -q -P 1 1k 1k' \
			-c 'aio_read -q -P 0 999k 1k' -c aio_flush -c map t >said &&
		"$img" rebase -u -b '' t &&
		"$img" io -f qcow2 -c 'read -q -P 1 0 64k' \
			-c 'read -q -P 0 64k 936k' t &&
		grep '^64 KiB.*   allocated at offset 0 bytes' said &&
		grep '^40 KiB.*    allocated at offset 960 KiB' said &&
		"$img" check -q t && ! "$img" io -C -r -c 'read 0 1k' t 2>said &&
		grep "Can't use copy-on-read on read-only device" said
}

# Drivers above the format; a rule for what copy on read writes, by the sector of
# the disk.
above() {
	rm -f t base && "$img" create -q -f qcow2 base 1M &&
		"$img" io -f qcow2 -c 'write -q -P 1 0 1M' base &&
		"$img" create -q -f qcow2 -b base -F qcow2 t && rules <<'END' ||
[inject-error]
event = "cor_write"
sector = "128"
END
		return 1
	"$img" io --image-opts -c 'read -P 1 0 64k' -c 'read -P 1 64k 64k' \
		driver=copy-on-read,file.driver=blkdebug,file.config=rules,file.image.driver=qcow2,file.image.file.filename=t >said
	[ $? = 1 ] && grep '^read 65536/65536' said &&
		grep '^read failed: Input/output error' said &&
		"$img" io -c 'alloc 0 128k' t | grep '^65536/131072' &&
		"$img" io --image-opts -c 'write -q -P 3 0 64k' \
			driver=compress,file.driver=qcow2,file.file.filename=t &&
		"$img" check t | grep '100.00% compressed' &&
		"$img" io -c 'read -q -P 3 0 64k' t &&
		refused "Block node is read-only" \
			'json:{"driver":"copy-on-read","read-only":true,"file":{"driver":"qcow2","file":{"filename":"t"}}}' &&
		refused "rules of event cor_write only" \
			'json:{"driver":"blkdebug","inject-error":[{"event":"l2_load"}],"image":{"driver":"qcow2","file":{"filename":"t"}}}'
}

fresh
check "a file of rules that is wrong is named, with the line" bad_files
check "options that are wrong are named" bad_options
check "an error comes once, and the image goes on" once
check "states choose the second write" in_turn
check "any event, any time: no error in the image, no old byte lost" every_event
check "rules by options, and for a data file" by_options
check "breakpoints are qemu-io's" as_qemu
check "a command that waits for a held request ends" no_hang
check "closing lets held requests go on" held_at_the_end
check "copy on read" copied
check "drivers above the format" above
exit $bad
