#!/bin/sh
# What `run --resume` and `report` take from a folder: the suite without its
# file, one group of several, guards.  Rounds through QEMU are in
# tests/interop/qemu.sh.
# shellcheck disable=SC2317 # functions are called by check()
set -u
B=${B:-build/release}
PATH=$PWD/tests/no-pictures:$PATH
root=$PWD
bench=$root/$B/qcowbench
dir=$(mktemp -d "${TMPDIR:-/var/tmp}/q2-resume.XXXXXX") || exit 1
fast=$dir/fast
if [ -w /dev/shm ] && fast=$(mktemp -d /dev/shm/q2-resume.XXXXXX); then :; else
	fast=$dir/fast
	mkdir "$fast"
fi
trap 'rm -rf "$dir" "$fast"' EXIT
trap 'exit 130' INT TERM
cd "$dir" || exit 1
bad=0
# shellcheck source=tests/lib.sh
. "$root/tests/lib.sh"

ids() { cut -d, -f9 "$1/trials.csv" | sort | uniq -c; }
rounds() { cut -d, -f12 "$1/trials.csv" | sed 1d | sort -un | tr '\n' ' '; }

# ---- a suite of one's own, whose file is gone ---------------------------------
cat >base.ini <<'EOT'
[defaults]
image_size = 16m
bs         = 4k
iodepth    = 8
[passes]
create      = op=create
first-write = rw=randwrite touch=first requests=64
read        = rw=randread touch=first-write
EOT
cat >own.ini <<'EOT'
include base.ini
[suite]
question  = What do cluster size and page cache do here?
reference = raw-none
split     = cluster_size
rounds    = 2
margin    = 8%
[configurations]
raw-${cache} = target=raw state=written cache=none,writeback
qcow2        = target=qcow2 cluster_size=64k,128k aio=threads
EOT
both_groups() {
	q run ./own.ini --dir "$fast" --out own --slices 3 --seed 9 \
		--set read.iodepth=4
	cp out own.out
	[ "$rc" = 0 ] && [ "$(grep -c '^own, cluster_size=' out)" = 2 ] || return 1
	grep -q '"margin": 0.08' own-cluster_size=64k/run.json
}
goes_on() {
	ids own-cluster_size=128k >ids.before
	cut_off own-cluster_size=128k 1
	rm own.ini base.ini
	q run --resume own-cluster_size=128k
	[ "$rc" = 0 ] && [ "$(rounds own-cluster_size=128k)" = "1 2 " ] || return 1
	ids own-cluster_size=128k | diff ids.before - &&
		grep -q '"partial_trials":' own-cluster_size=128k/trials.jsonl &&
		[ "$(cut -d, -f3 own-cluster_size=128k/trials.csv | sort -u |
			tr '\n' ' ')" = "1 2 session " ]
}
again() { same_report own-cluster_size=128k out; }
contradicts() {
	cut_off own-cluster_size=64k 1
	for w in "--slices 4" "--set read.iodepth=8" "aa"; do
		# shellcheck disable=SC2086
		q run --resume own-cluster_size=64k $w
		[ "$rc" = 2 ] && grep -q 'contradicts the run in' err || return 1
	done
	q run ./own.ini --resume own-cluster_size=64k --slices 3 \
		--set read.iodepth=4
	[ "$rc" = 0 ]
}
damaged() {
	mkdir bad && : >bad/trials.jsonl || return 1
	sed 's/"files": \[/"other": [/' own-cluster_size=64k/run.json >bad/run.json
	q run --resume bad
	[ "$rc" = 2 ] &&
		grep -q 'bad/run.json:1: member spec does not hold the suite' err
}
check "a suite of one's own in two groups, with an axis of cache" both_groups
check "one of them goes on, and the suite's files are gone" goes_on
check "... and report prints and writes the same" again
check "what contradicts the suite is refused, what agrees is not" contradicts
check "run.json without its texts is refused" damaged
cat >own.ini <<'EOT'
[suite]
question  = Twice?
reference = raw
split     = cluster_size
rounds    = 1
[configurations]
raw   = target=raw state=sparse image_size=16m
qcow2 = target=qcow2 cluster_size=64k,128k image_size=16m
[passes]
create = op=create
EOT
csv_of_groups() {
	q run own.ini --dir "$fast" --out two --format csv
	[ "$rc" = 0 ] && [ "$(grep -c '^schema,' out)" = 1 ] &&
		[ "$(wc -l <out)" = 5 ]
}
check "--format csv of two groups has one line of names" csv_of_groups
# Their folders are named after them: a name alone is that of none.
names_groups() {
	for w in "report two" "report two --format csv" "run --resume two"; do
		# shellcheck disable=SC2086
		q $w
		[ "$rc" = 2 ] && grep -q "two: no such folder.*; there are \
two-cluster_size=128k, two-cluster_size=64k\$" err || return 1
	done
	q report "$dir/two" && grep -q "there are $dir/two-cluster" err &&
		q report tw && [ "$rc" = 2 ] && ! grep -q 'there are' err
}
check "a folder that is none: those of its groups are named" names_groups
is_finished() {
	cp two-cluster_size=64k/trials.jsonl before
	q run --resume two-cluster_size=64k
	[ "$rc" = 0 ] && cmp before two-cluster_size=64k/trials.jsonl &&
		grep -q '64k is finished: 1 of 1 rounds.*: qcowbench report two' \
			err && ! grep -q 'going on' err
}
check "--resume of a run that is finished says so" is_finished

# ---- guards --------------------------------------------------------------------
strict_goes_on() {
	sed -i -e 's/"strict": false/"strict": true/' \
		-e 's/"fingerprint": "[0-9a-f]*"/"fingerprint": "000000000000"/' \
		-e 's/"arch": "[^"]*"/"arch": "vax"/' \
		two-cluster_size=64k/run.json
	cut_off two-cluster_size=64k 1
	q run --resume two-cluster_size=64k
	[ "$rc" = 6 ] && grep -q -e '--strict-env: the environment is not what it was (kernel.arch: now .*, before vax)' err
}
check "--strict-env holds after --resume too" strict_goes_on

exit $bad
