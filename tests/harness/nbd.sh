#!/bin/sh
# Spec files with target=nbd and target=qemu, run from end to end: against
# qemu-nbd and nbdkit where these are installed.  Nothing here measures.
# shellcheck disable=SC2317 # functions are called by check()
set -u
B=${B:-build/release}
PATH=$PWD/tests/no-pictures:$PATH
bench=$PWD/$B/qcowbench
dir=$(mktemp -d "${TMPDIR:-/var/tmp}/q2-nbd-run.XXXXXX") || exit 1
trap 'stop_servers; rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
cd "$dir" || exit 1
bad=0

check() { # name, command
	name=$1
	shift
	: >out
	: >err
	if "$@" >check.out 2>&1; then
		echo "ok - $name"
	else
		sed 's/^/# /' check.out out err
		echo "not ok - $name"
		bad=1
	fi
}

stop_servers() {
	for pid in *.pid; do
		[ -s "$pid" ] || continue
		kill "$(cat "$pid")" 2>/dev/null
		rm -f "$pid"
	done
}

run() { # expected status, FILE.ini, argument...
	expected=$1
	shift
	rm -rf res
	"$bench" run "$@" --out res >out 2>err
	rc=$?
	[ "$rc" = "$expected" ] || { echo "status $rc"; return 1; }
}

# trials.csv without what is quoted, which may have commas.
csv() { sed 's/"[^"]*"/quoted/g' res/trials.csv; }

# In which rows of the label stands what is known of the disk of our files?
place() { # label
	csv | awk -F, -v label="$1" '
		NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
		$at["label"] != label { next }
		{ n++ }
		$at["medium"] $at["filesystem"] $at["mount_options"] != "" { m++ }
		END { print !n ? "no rows" : !m ? "none" : m == n ? "all" : "some" }'
}

rows() { # label, pass: how many, all with a speed
	csv | awk -F, -v label="$1" -v pass="$2" '
		NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
		$at["label"] == label && $at["pass"] == pass &&
			$at["target"] == "nbd" && $at["iops"] > 0 { n++ }
		END { print n + 0 }'
}

# ---- one client at a time, as most servers of disks ----

cat >export.ini <<EOF
[suite]
question = How fast is the export?
rounds   = 2
[configurations]
served = target=nbd uri=nbd+unix:///?socket=$dir/qemu.sock overwrite=on image_size=16m
[passes]
write = rw=randwrite bs=4k iodepth=8 size=50% requests=32
read  = rw=randread bs=4k iodepth=8 touch=write
seq   = rw=write bs=1m iodepth=2 offset=50% size=50%
EOF
holds_zeros() { cmp -s -n 16777216 disk.raw /dev/zero; }
through_qemu_nbd() {
	truncate -s 16m disk.raw
	qemu-nbd --fork --persistent --pid-file=qemu.pid -f raw \
		-k "$dir/qemu.sock" disk.raw || return 1
	run 0 export.ini && grep -q '^served ' out || return 1
	for pass in write read seq; do
		[ "$(rows served "$pass")" = 2 ] || { echo "rows of $pass"; return 1; }
	done
	# The requests have reached the server's file.
	! holds_zeros
}
# One makes its image, the other one has it: the same requests to both.
beside_qemu() {
	sed '/^\[passes\]/a create = op=create' export.ini |
		sed '/^served/i ours = target=qemu state=written image_size=16m' \
			>both.ini
	run 0 both.ini && grep -q '^ours ' out && [ "$(rows served read)" = 2 ] &&
		[ "$(place ours)" = all ] && [ "$(place served)" = none ]
}
# Without leave nothing is opened, let alone written.
asks_before() {
	truncate -s 0 disk.raw && truncate -s 16m disk.raw
	run 2 export.ini --set served.overwrite=off &&
		grep -q "pass 'write' would overwrite what is in nbd+unix" err &&
		grep -q 'add overwrite=on' err && holds_zeros
}
no_server() {
	stop_servers
	run 6 export.ini && grep -q 'cannot reach nbd+unix:///' err &&
		! grep -q warm-up err
}

# ---- two exports, reading what they hold ----

cat >read.ini <<EOF
[suite]
question  = Which export is read faster?
rounds    = 6
baseline  = memory
[defaults]
image_size = 16m
[configurations]
memory  = target=nbd uri=nbd+unix:///?socket=$dir/memory.sock
pattern = target=nbd uri=nbd+unix:///?socket=$dir/pattern.sock
[passes]
cold  = rw=randread bs=4k iodepth=8 size=50% requests=64
again = rw=randread bs=4k iodepth=8 touch=cold
EOF
start_nbdkit() { # plugin, argument...
	plugin=$1
	shift
	nbdkit -P "$dir/$plugin.pid" -U "$dir/$plugin.sock" "$@" "$plugin" 16M
}
through_nbdkit() {
	start_nbdkit memory && start_nbdkit pattern || return 1
	run 0 read.ini && [ "$(rows memory cold)" = 6 ] &&
		[ "$(rows pattern again)" = 6 ] && grep -q '^Against memory' out
}
too_small() {
	run 3 read.ini --image-size 32m &&
		grep -q 'has 16777216 bytes and the work needs 33554432; export 32m, or use --image-size 16m or less' err
}
# What is advised is taken: a size that is no image's is not advised.
odd_size() {
	nbdkit -P "$dir/odd.pid" -U "$dir/odd.sock" memory "$1" || return 1
	sed "/^memory/d;/^baseline/d;s/pattern.sock/odd.sock/" read.ini >odd.ini
	run 3 odd.ini --image-size 32m && grep -q "$2" err || return 1
	kill "$(cat odd.pid)" && rm odd.pid odd.sock
}
odd_sizes() {
	odd_size 20000000 '; export 32m, or use --image-size 19m or less' &&
		odd_size 1M '; export 32m$'
}
read_only() {
	run 3 read.ini --set overwrite=on --set cold.rw=randwrite &&
		grep -q 'the export is read-only' err
}

# ---- QEMU by spec file ----

cat >qemu.ini <<'EOF'
[suite]
question = Does QEMU find extended L2 entries faster?
rounds   = 1
[defaults]
image_size   = 16m
[configurations]
raw-${state}     = target=qemu state=sparse,written
plain            = target=qemu
ext              = target=qemu extended_l2=on l2_cache_size=1m discard=unmap
old              = target=qemu compat=0.10 cache=writeback
[passes]
create      = op=create
create-disk = op=create-disk
write       = rw=randwrite bs=4k iodepth=8 size=50% requests=32
read        = rw=randread bs=4k iodepth=8 touch=write
EOF
by_spec() {
	run 0 qemu.ini --size 64m || return 1
	csv | awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
		$at["target"] != "qemu" { print "target", $at["target"] }
		$at["pass"] == "create" {
			print $at["label"], $at["image_format"], $at["compat"],
				$at["extended_l2"], $at["discard_mode"]
		}
		$at["pass"] == "create-disk" && $at["virtual_bytes"] == 67108864 {
			print "disk of", $at["label"]
		}' | sort | tr -s ' ' >got
	cat >want <<-EOF
		disk of ext
		disk of old
		disk of plain
		ext qcow2 v3 1 unmap
		old qcow2 v2 0 ignore
		plain qcow2 v3 0 ignore
		raw-sparse raw ignore
		raw-written raw ignore
	EOF
	diff want got
}

# What a target needs and does not find ends the run before it begins.
not_installed() { # word, VARIABLE=value
	rm -rf res
	env "$2" "$bench" run qemu.ini --out res >out 2>err
	[ $? = 6 ] && grep -q "$1" err && [ ! -e res ] &&
		[ "$(grep -c . err)" = 1 ]
}
mkdir broken empty
: >broken/libnbd.so.0

if ! grep -q libnbd.so "$bench"; then
	echo "skip - targets nbd and qemu # built without libnbd"
	exit 0
fi
if command -v qemu-nbd >/dev/null; then
	check "an export of qemu-nbd, by spec file" through_qemu_nbd
	if command -v qemu-img >/dev/null; then
		check "... beside one of ours" beside_qemu
	fi
	check "what an export holds is overwritten only by leave" asks_before
	check "no server: said in a line" no_server
else
	echo "skip - an export of qemu-nbd # no qemu-nbd"
fi
if command -v nbdkit >/dev/null; then
	check "two exports of nbdkit, read without being written" through_nbdkit
	check "an export that is too small" too_small
	check "... and what is advised can be done" odd_sizes
	check "an export that is read-only" read_only
else
	echo "skip - exports of nbdkit # no nbdkit"
fi
if command -v qemu-nbd >/dev/null && command -v qemu-img >/dev/null; then
	check "target=qemu takes the keys of raw and of qcow2" by_spec
	check "no libnbd: refused at once" \
		not_installed libnbd "LD_LIBRARY_PATH=$PWD/broken"
	check "no QEMU: refused at once" not_installed qemu- "PATH=$PWD/empty"
else
	echo "skip - target=qemu # no qemu-nbd"
fi
exit $bad
