#!/bin/sh
# qcowbench as a user meets it: what it says and leaves behind, on good and bad
# input.  Tiny runs on tmpfs; nothing here measures.
# modes: asan
# shellcheck disable=SC2317 # functions are called by check()
set -u
B=${B:-build/release}
PATH=$PWD/tests/no-pictures:$PATH
root=$PWD
bench=$root/$B/qcowbench
dir=$(mktemp -d "${TMPDIR:-/var/tmp}/q2-run.XXXXXX") || exit 1
# On a disk of its own kind where there is one: then a run is over at once.
fast=$dir/fast
if [ -w /dev/shm ] && fast=$(mktemp -d /dev/shm/q2-run.XXXXXX); then :; else
	fast=$dir/fast
	mkdir "$fast"
fi
mounts=
clean() {
	for m in $mounts; do umount "$m"; done
	rm -rf "$dir" "$fast"
}
trap clean EXIT
trap 'exit 130' INT TERM
cd "$dir" || exit 1
# What probes find out is kept there, not in the home of who runs the tests.
XDG_CACHE_HOME=$dir/cache
export XDG_CACHE_HOME
bad=0
# shellcheck source=tests/lib.sh
. "$root/tests/lib.sh"

tiny="--quick --image-size 16m --requests 64 --size 1g"

# Status, and one line on stderr with these words.
refuses() { # status, words, argument...
	want=$1 words=$2
	shift 2
	q "$@"
	[ "$rc" = "$want" ] || { echo "status $rc"; return 1; }
	[ "$(grep -c . err)" = 1 ] || { echo "more than one line"; return 1; }
	grep -q -F -e "qcowbench: " err || return 1
	grep -q -F -e "$words" err
}

# Under a sanitizer a run takes three times as long: one of each kind will do.
check_released() { # name, command
	[ "${MODE:-release}" != release ] || check "$@"
}

nothing_left() { [ -z "$(ls -A "$fast")" ]; }

# ---- words -----------------------------------------------------------------
no_arguments() { q; [ "$rc" = 2 ] && grep -q 'run preallocation --quick' err; }
help_lists() {
	q help && q --help && [ "$rc" = 0 ] && [ ! -s err ] || return 1
	for w in run report plan list show explain env help preallocation 130; do grep -q -w -e "$w" out || return 1; done
}
help_of_each() {
	for v in run report plan list show explain env help version trial; do
		q help "$v" && [ "$rc" = 0 ] && [ -s out ] || return 1
		q "$v" --help && [ "$rc" = 0 ] && [ -s out ] || return 1
	done
	q help run && grep -q -e '--keep' out && grep -q -e '--out OUT' out
}
version_says() { q --version && grep -q '^qcowbench [0-9]' out; }
explains() {
	q explain && [ "$rc" = 0 ] && grep -q '^  cluster_size ' out || return 1
	q explain cluster-size && [ "$rc" = 0 ] &&
		grep -q '^  values    512 to 2m, a power of two$' out &&
		grep -q "^  name      qemu-img's$" out
}
shows() {
	q show qcow2-off/read --quick --image-size 64m --requests 256 --json &&
		[ "$rc" = 0 ] && grep -q '"cluster_size": 65536' out || return 1
	id=$(sed -n 's/.*"cell_id": "\([0-9a-f]*\)".*/\1/p' out)
	q show "$id" preallocation --quick --image-size 64m --requests 256 &&
		grep -q "^cell_id  $id$" out && grep -q '^pass     read$' out
}
stride_of() { # cell, the stride that is shown for it
	q show "$1" --quick --image-size 64m --requests 256 &&
		grep -q "^  stride  *$2 (default)$" out &&
		grep -q "^  stride  *$2$" out && ! grep -q "^  stride  *0$" out
}
shows_stride() {
	stride_of qcow2-off/first-write 65536 &&
		stride_of qcow2-off/rewrite 65536 &&
		stride_of qcow2-off/seq-write 1048576
}
list_suites() { q list && grep -q '^preallocation:' out && grep -q '^aa:' out; }
check "without a command: how to begin, status 2" no_arguments
check "help lists commands and exit codes" help_lists
check "help of each command" help_of_each
check "version" version_says
check "list" list_suites
check "explain" explains
check "show: a cell by name and by id" shows
check "explain: the nearest key" \
	refuses 2 "did you mean 'cluster_size'" explain clustersize
check "show: the stride that a default stands for" shows_stride
check "show: no such cell" refuses 2 "no cell 'x/y'" show x/y
check "show: nearly a cell" \
	refuses 2 "did you mean 'qcow2-full/first-write'?" \
	show qcow2-ful/first-write preallocation

check "unknown command: the nearest one" \
	refuses 2 "did you mean 'run'" rnu
check "unknown option: the nearest one" \
	refuses 2 "did you mean --rounds" run preallocation --ruonds 3
check "unknown value: the nearest one" \
	refuses 2 "did you mean 'io_uring'" run preallocation --aio iouring
check "unknown cache mode: all of them" \
	refuses 2 "none, writeback, writethrough" run preallocation --cache x
check "unknown suite: the nearest one" \
	refuses 2 "did you mean 'preallocation'" run prealocation
check "no suite: which there are" refuses 2 "preallocation, cluster-size" run
check "a second word" refuses 2 "unexpected word 'b'" run aa b
check "size 0" refuses 2 "the size is 0" run aa --size 0
check "no rounds" refuses 2 "0 is less than 1" run aa --rounds 0
check "an image too small to measure" \
	refuses 2 "the least is 16m" run aa --quick --image-size 1m

# ---- places ----------------------------------------------------------------
mkdir exists && echo keep >exists/file
check "the output folder exists: nothing is touched" \
	refuses 2 "exists exists" run aa --quick --dir "$fast" --out exists
unchanged() { [ "$(cat exists/file)" = keep ] && [ "$(ls exists)" = file ]; }
check "... and it is as it was" unchanged
check "no such directory" refuses 2 "no such directory" run aa --dir "$dir/no"
check "a file for a directory" \
	refuses 2 "is not a directory" run aa --dir exists/file
check "no folder for the output" \
	refuses 2 "cannot make the folder" run aa --dir "$fast" \
	--out "$dir/no/out" --quick --image-size 16m --requests 64
check "... and no image is left" nothing_left

mkdir readonly && chmod 555 readonly
read_only() {
	if [ "$(id -u)" = 0 ]; then
		# Root may write anywhere; the program must be reachable.
		chmod 755 "$dir"
		cp "$bench" "$dir/bench" && chmod 755 "$dir/bench"
		setpriv --reuid 65534 --regid 65534 --clear-groups \
			"$dir/bench" run aa --dir readonly >out 2>err
	else
		"$bench" run aa --dir readonly >out 2>err
	fi
	rc=$?
	[ "$rc" = 6 ] && grep -q 'cannot write there' err
}
check "a read-only directory" read_only

small_and_ramfs() {
	mkdir small ramfs || return 1
	mount -t tmpfs -o size=40m tmpfs small 2>/dev/null || return 1
	mounts="$dir/small"
	mount -t ramfs ramfs ramfs 2>/dev/null || return 1
	mounts="$mounts $dir/ramfs"
}
no_space() {
	refuses 6 "MiB are free" run preallocation --quick --dir small --out nospace &&
		[ -z "$(ls -A small)" ] && [ ! -e nospace ]
}
no_direct() {
	refuses 6 "ramfs cannot do O_DIRECT" run aa --quick --dir ramfs \
		--cache none && [ -z "$(ls -A ramfs)" ]
}
# ramfs knows no size: the check of space is not for it, unless ours say 0.
falls_back() {
	# shellcheck disable=SC2086
	q run aa $tiny --rounds 1 --dir ramfs --out ramfs.out
	[ "$rc" = 0 ] || return 1
	grep -q 'cache writeback, because ramfs cannot do O_DIRECT' out || return 1
	grep -q '"cache_asked": "none"' ramfs.out/run.json || return 1
	grep -q '"cache": "writeback"' ramfs.out/run.json || return 1
	grep -q ',none,writeback,' ramfs.out/trials.csv
}
if small_and_ramfs; then
	check "no space: refused before anything is written" no_space
	check "O_DIRECT asked for and not there" no_direct
	check "O_DIRECT not asked for and not there: a notice" falls_back
else
	echo "skip - no space, no O_DIRECT # cannot mount: not root"
fi

if cc -I "$root" -D_GNU_SOURCE -o "$dir/deny" "$root/tests/tools/deny.c" &&
	"$dir/deny" io_uring_setup=EPERM true; then
	deny="$dir/deny io_uring_setup=EPERM"
	no_uring() {
		$deny "$bench" run aa --quick --dir "$fast" --aio io_uring \
			>out 2>err
		[ $? = 6 ] && grep -q "aio 'io_uring' cannot be had" err
	}
	no_uring_default() {
		# shellcheck disable=SC2086
		PATH=$blind $deny "$bench" run overhead $tiny --rounds 1 \
			--dir "$fast" --out deny.out >out 2>err || return 1
		grep -q 'note: using libaio: ' out &&
			grep -q '"aio": "libaio"' deny.out/run.json
	}
	check "io_uring asked for and forbidden" no_uring
	check "io_uring not asked for and forbidden: a notice" no_uring_default
else
	echo "skip - io_uring forbidden # no seccomp filter here"
fi

# ---- a run -----------------------------------------------------------------
# shellcheck disable=SC2086
whole_run() {
	q run preallocation $tiny --rounds 2 --dir "$fast" --out run --seed 5 \
		--no-qemu
	# On a disk, so little work may well tell nothing: status 4.
	[ "$rc" = 0 ] || [ "$rc" = 4 ] || { echo "status $rc"; return 1; }
	for f in run.json trials.jsonl trials.csv cells.csv series.csv hist.csv; do
		[ -s run/$f ] || { echo "no $f"; return 1; }
	done
}
check "a whole run" whole_run
check "no image is left" nothing_left
say_it() {
	grep -q '^qcow2-metadata ' out && grep -q 'seed 5' out &&
		grep -q 'No advice: tmpfs' out
}
# A bare system has a folder of that name on its disk.
[ "$(stat -f -c %T "$fast")" != tmpfs ] ||
	check "table, seed, and no advice about memory" say_it
lines_per_trial() { [ "$(grep -c '^round ./2, ' err)" = 12 ]; }
check "a line for each trial" lines_per_trial
# A round that others have disturbed may stand there twice, once as partial.
rows() { # 2 rounds, 6 configurations, 6 passes, and 2 x create-disk
	[ "$(wc -l <run/trials.csv)" = $((1 + 2 * (6 * 6 + 2))) ] &&
		[ "$(grep '"kind":"trial"' run/trials.jsonl | grep -c '"partial":false')" = 12 ] &&
		[ "$(grep -c '"kind":"round"' run/trials.jsonl)" = 2 ] &&
		grep -q '"state": "done"' run/run.json
}
check "all rows are there" rows

# shellcheck disable=SC2086
keeps() {
	q run preallocation $tiny --rounds 1 --dir . --out kept --keep --no-qemu
	cp out kept.out
	# On a disk there would be advice, which one round cannot give.
	[ "$rc" = 0 ] || [ "$rc" = 4 ] || return 1
	grep -q 'images of the last round: ' err || return 1
	[ "$(find qcowbench-work-*/ -type f | wc -l)" = 6 ]
}
images_are_good() {
	for f in qcowbench-work-*/*.qcow2; do
		qemu-img check -q "$f" || return 1
	done
}
check_released "--keep keeps the images of the last round" keeps
if command -v qemu-img >/dev/null; then
	check_released "... and qemu-img finds nothing wrong with them" images_are_good
else
	echo "skip - qemu-img check of kept images # no qemu-img"
fi
rm -rf qcowbench-work-*
why_no_advice() {
	# Where that is no disk there is another reason.
	grep -q '^No advice' kept.out && ! grep -q '^- No advice' kept.out &&
		grep -B 2 '^No advice' kept.out | head -n 1 | grep -q .
}
check_released "no advice is a sentence" why_no_advice

# ---- interrupted -----------------------------------------------------------
# Wait for a line of the running program, then send it the signal.
# shellcheck disable=SC2086
signalled() { # signal, line, output folder
	mkfifo ./talk
	PATH=$blind "$bench" run aa $tiny --rounds 1000 --dir "$fast" --out "$3" \
		--seed 9 >out 2>./talk &
	pid=$!
	: >err
	while read -r line; do
		echo "$line" >>err
		case $line in $2*) kill -"$1" $pid ;; esac
	done <./talk
	wait $pid
	rc=$?
	rm ./talk
}
interrupted() {
	signalled INT "round 2/1000" int
	[ "$rc" = 130 ] || { echo "status $rc"; return 1; }
	grep -q 'interrupted; the rounds that were whole are kept' err &&
		grep -q '"state": "interrupted"' int/run.json &&
		[ "$(grep -c '^1,.*,raw-a,' int/trials.csv)" -ge 12 ]
}
terminated() {
	signalled TERM "warm-up" term
	[ "$rc" = 130 ] && grep -q 'interrupted; ' err
}
check "Ctrl-C: whole rounds are kept, status 130" interrupted
check "... and no image" nothing_left
check "SIGTERM before the first round" terminated
check "... and no image is left then either" nothing_left

# shellcheck disable=SC2086
stale_is_named() {
	signalled KILL "round 1/1000" killed
	[ "$rc" = 137 ] || { echo "status $rc"; return 1; }
	left=$(ls -d "$fast"/qcowbench-work-*) || return 1
	q run aa $tiny --rounds 1 --dir "$fast" --out after --seed 10
	[ "$rc" = 0 ] && grep -q -F "rm -r $left" err && [ -d "$left" ]
}
check "kill -9: the next run names what is left, and leaves it" stale_is_named
children_are_gone() { # they die with their coordinator
	for p in /proc/[0-9]*/cwd; do
		[ "$(readlink "$p" 2>/dev/null)" = "$dir" ] || continue
		case $(cat "${p%cwd}comm" 2>/dev/null) in
		qcowbench) return 1 ;;
		esac
	done
}
check "... and its children are gone" children_are_gone
rm -rf "$fast"/qcowbench-work-*

# That of Ctrl-C has a whole round of seed 9; the one after the kill has seed 10.
# shellcheck disable=SC2086
same_seed_same_work() {
	q run aa $tiny --rounds 1 --dir "$fast" --out seed --seed 9 || return 1
	for d in seed int after; do
		grep '"kind":"trial".*"round":1,' $d/trials.jsonl |
			grep -o '"stream_hash":"[0-9a-f]*"' | sort -u >hash.$d
		[ "$(wc -l <hash.$d)" = 5 ] || return 1
	done
	cmp -s hash.seed hash.int && ! cmp -s hash.seed hash.after
}
check_released "the same seed gives the same operations" same_seed_same_work

# ---- plan ------------------------------------------------------------------
plan_writes_nothing() {
	q plan preallocation --quick --dir "$fast" && [ "$rc" = 0 ] &&
		grep -q '38 cells, 6 rounds, 36 trials' out && nothing_left
}
plan_probes() {
	q plan aa --quick --image-size 16m --probe --dir "$fast" &&
		grep -q '^disk: ' out && nothing_left
}
check "plan writes nothing" plan_writes_nothing
check "plan --probe looks, and leaves nothing" plan_probes
# What was probed is known to the next plan of this disk.
plan_remembers() {
	q plan aa --quick --dir "$fast" && [ "$rc" = 0 ] &&
		grep -q '^disk: .* (probed .* ago; --probe looks again)$' out
}
# Shown all the same, and how to make it fit.
plan_too_large() {
	q plan preallocation --set image_size=100t --size 200t --dir "$fast"
	[ "$rc" = 6 ] && grep -q ' cells, 8 rounds' out &&
		grep -q 'iB are free; images of .* fit: --size ' err
}
# 15.6 GiB of tables are not written in each round.
plan_huge_disk() {
	q plan preallocation --quick --size 100t --dir "$fast" &&
		[ "$rc" = 0 ] &&
		grep -q '^note: qcow2-metadata is not made at the size' out &&
		grep -q '^37 cells' out
}
# For a disk that is not here: the same anywhere, however little room there is.
plan_assumes() { # kind, speed
	q plan preallocation --disk "$1" --dir "$fast" && [ "$rc" = 0 ] &&
		grep -q "^disk: $2/s in sequence, .* (assumed: $1)\$" out &&
		grep -q '^66 cells, 8 rounds, 64 trials: about .* h ' out &&
		grep -q '^of it: probe .*, warm-up .*, 8 x .*, results ' out &&
		nothing_left
}
check "plan for a hard disk" plan_assumes hdd "85.8 MiB"
check "plan for an SSD" plan_assumes ssd "477 MiB"
check "plan assumes or looks" refuses 2 "leave out one of them" \
	plan preallocation --disk ssd --probe
plan_hints() {
	q plan aa --quick --disk ssd && ! grep -q '^note: no reference' out &&
		sed '/^reference/d' "$root/suites/aa.ini" >noref.ini &&
		q plan noref.ini --quick --disk ssd && [ "$rc" = 0 ] &&
		grep -q "^note: no reference, .*'reference = raw-a'" out
}
check "plan says what a reference is good for" plan_hints
check "plan knows what was probed" plan_remembers
check "plan shows what does not fit" plan_too_large
check "plan judges a disk of 100t" plan_huge_disk
check "a disk that no image can be" \
	refuses 2 "qcow2-off, --size " plan preallocation --quick --size 8000000t

# ---- a suite of one's own --------------------------------------------------
cat >own.ini <<'EOF'
[suite]
question  = Does the cluster size matter?
split     = cluster_size
reference = raw
rounds    = 1
[defaults]
image_size = 16m
cluster_size = 64k,256k
[configurations]
raw = target=raw
q-${cache} = target=qcow2 cache=none,writeback
[passes]
create = op=create
w = rw=randwrite bs=4k iodepth=4 size=50% requests=32 place=start slices=2
r = rw=randread bs=4k iodepth=4 touch=w
EOF
own_suite() {
	q run own.ini --dir "$fast" --out own
	[ "$rc" = 0 ] || { echo "status $rc"; return 1; }
	[ ! -e own ] || return 1
	for g in 64k 256k; do
		csv=own-cluster_size=$g/trials.csv
		[ "$(wc -l <"$csv")" = 10 ] &&
			grep -q ',q-writeback,.*,writeback,writeback,' "$csv" &&
			grep -q ',q-none,.*,none,none,' "$csv" || return 1
	done
	cat own-*/trials.csv | cut -d, -f6 | sort -u >groups
	[ "$(wc -l <groups)" = 3 ] # two ids, and the head
}
one_group() {
	q run ./own.ini --set cluster_size=1m --set rounds=1 --dir "$fast" \
		--out one && [ "$rc" = 0 ] && [ -s one-cluster_size=1m/cells.csv ]
}
# The reference may be the baseline too, and stand first: the warm-up has two
# configurations all the same, each with a file of its own.
reference_is_baseline() {
	sed -e '/^split/d' -e '/^cluster_size/d' -e '/^raw/d' \
		-e 's/^reference.*/reference = q-none\nbaseline = q-none/' \
		own.ini >same.ini
	q run ./same.ini --dir "$fast" --out same
	[ "$rc" = 0 ] || { echo "status $rc"; return 1; }
	[ "$(wc -l <same/trials.csv)" = 7 ]
}
# Whoever flushed first after the turns of all would pay for all of them.
turns_flush() {
	n=$(head -n 1 own-cluster_size=64k/trials.csv | tr , '\n' |
		grep -n -x fdatasyncs | cut -d: -f1)
	grep ',raw,[0-9a-f]*,,w,' own-cluster_size=64k/trials.csv |
		cut -d, -f"$n" >syncs
	[ "$(cat syncs)" = 2 ] || { cat syncs; return 1; }
}
check "a suite of one's own: a group for each value" own_suite
check "... in which each turn that writes is flushed" turns_flush
check_released "... whose reference is its baseline" reference_is_baseline
check_released "... and one of them by --set" one_group
check "... which leaves no image" nothing_left
check "... and has no quick form" \
	refuses 2 "own.ini has no [quick] section" run own.ini --quick
check "a mistake in it has a place" \
	refuses 2 "--set bss=4k: 'bss' is no configuration, pass or key" \
	run own.ini --set bss=4k
check "no such file" refuses 2 "cannot read the spec file no.ini" plan no.ini

# Neither in order of the alphabet nor raw first; the seed decides what is
# created first.
cat >order.ini <<'EOF'
[suite]
question  = Do rows stand as in the suite?
reference = m-raw
rounds    = 1
[defaults]
image_size = 16m
cluster_size = 64k
cache = none
[configurations]
z-full = target=qcow2 preallocation=full
m-raw  = target=raw
a-meta = target=qcow2 preallocation=metadata cache=writeback
q-off  = target=qcow2
[passes]
create = op=create
w = rw=randwrite touch=first bs=4k iodepth=4 size=50% requests=32
EOF
printf '%s\n' z-full m-raw a-meta q-off >order.want
label_column() { # of a CSV file
	head -n 1 "$1" | tr , '\n' | grep -n -x label | cut -d: -f1
}
in_order() { # a table in out, folder
	grep -o '^[zmaq]-[a-z]*' out | cmp - order.want &&
		sed 1d "$1/cells.csv" | cut -d, -f"$(label_column "$1/cells.csv")" |
		uniq | cmp - order.want &&
		grep -q "^array labels.*'z-full', 'm-raw', 'a-meta', 'q-off'" \
			"$1/plots/iops.gp"
}
suite_order() {
	for seed in 1 3; do
		q run order.ini --dir "$fast" --out "order$seed" --seed "$seed" &&
			[ "$rc" = 0 ] && in_order "order$seed" || return 1
		rm "order$seed/cells.csv" "order$seed/plots/iops.gp"
		q report "order$seed" && [ "$rc" = 0 ] && in_order "order$seed" ||
			return 1
	done
}
check_released "rows and plots in order of the suite, in report too" suite_order
modes_are_told() {
	grep -q '^images of .*, cache none, writeback, aio [a-z_]*, 1 round' out &&
		grep -q "^caption = .*, cache none, writeback, " \
			order3/plots/iops.gp
}
check_released "... with all cache modes that were used" modes_are_told
no_ranking() {
	[ -s order3/plots/iops.csv ] && [ ! -e order3/plots/break_even.csv ]
}
check_released "... and no break-even without a baseline" no_ranking
full_stdout() { "$bench" list >/dev/full 2>err; [ $? = 6 ] && [ -s err ]; }
[ ! -e /dev/full ] || check "a full stdout is an error" full_stdout

exit $bad
