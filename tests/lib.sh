#!/bin/sh
# What scripts of tests/harness share.  To be read by them, after B, dir and bad
# are set and in $dir.
#
#	. "$root/tests/lib.sh"
# shellcheck disable=SC2034,SC2154 # dir comes from there, rc goes there
set -u

check() { # name, command
	name=$1
	shift
	if "$@" >"$dir/check.out" 2>&1; then
		echo "ok - $name"
	else
		sed 's/^/# /' "$dir/check.out"
		for f in out err; do
			[ ! -s "$dir/$f" ] || tail -n 20 "$dir/$f" | sed "s/^/# $f: /"
		done
		echo "not ok - $name"
		bad=1
	fi
}

# Programs that runs call, but for gnuplot: pictures take most of a small run.
blind=$dir/blind
mkdir "$blind" || exit 1
for p in qemu-img qemu-nbd; do
	! command -v $p >/dev/null || ln -s "$(command -v $p)" "$blind"
done

q() { # output into out and err, status into $rc
	PATH=$blind "$bench" "$@" >out 2>err
	rc=$?
}

# As kill -9 in the middle of a line leaves it: the last $2 lines are gone, and
# half of the one before; run.json knows nothing of the end.
cut_off() { # folder, lines
	head -n -"$2" "$1/trials.jsonl" >cut.lines
	size=$(($(wc -c <cut.lines) - $(tail -n 1 cut.lines | wc -c) / 2))
	head -c "$size" cut.lines >"$1/trials.jsonl"
	sed -i 's/"state": "done"/"state": "running"/' "$1/run.json"
	rm -f "$1"/*.csv
}

# Does report print what the run has printed, and make the same files?
same_report() { # folder, stdout of the run
	sed '/^results: /,$d' "$2" | sed '$d' >printed
	for f in trials cells series hist; do
		mv "$1/$f.csv" "$f.before" || return 1
	done
	q report "$1"
	for f in trials cells series hist; do
		cmp "$1/$f.csv" "$f.before" || return 1
	done
	diff printed out
}
