#!/bin/sh
# The quick form of suites/preallocation on ext4 and on xfs, each on a loop
# device: under 180 s, and with a sentence that the intervals support.
#
#	sh tests/quick.sh [FSTYPE...]	(make test-quick)
#
# Needs root for loop devices; what is missing is a skip with the reason, and a
# program that is missing a failure with CI=true.
set -u
LC_ALL=C
export LC_ALL
bench=$PWD/${B:-build/release}/qcowbench
[ $# -gt 0 ] || set -- ext4 xfs
work=$(mktemp -d "${TMPDIR:-/var/tmp}/q2-quick.XXXXXX") || exit 1
loop='' bad=0
# shellcheck disable=SC2317 # called by the trap
clean() {
	detach
	rm -rf "$work"
}
trap clean EXIT
trap 'exit 130' INT TERM

# A file system on a loop device that leaves caching to us.
attach() { # fstype
	truncate -s 12G "$work/disk" && mkdir -p "$work/mnt" || return 1
	loop=$(losetup --find --show --direct-io=on "$work/disk") &&
		"mkfs.$1" -q "$loop" && mount "$loop" "$work/mnt"
}

detach() {
	[ -n "$loop" ] || return 0
	! mountpoint -q "$work/mnt" || umount "$work/mnt"
	losetup -d "$loop"
	loop=''
}

# A loop device cannot be installed; a program can.
skip() { # fstype, reason
	echo "skip - quick on $1 # $2"
}

missing() { # fstype, program
	if [ "${CI:-}" = true ]; then
		echo "not ok - quick on $1 # $2 is not installed"
		bad=1
	else
		skip "$1" "$2 is not installed"
	fi
}

verdict() { # name, ok?, reason
	if [ "$2" -eq 0 ]; then
		echo "ok - $1"
	else
		echo "not ok - $1 # $3"
		bad=1
	fi
}

# The sentence against cells.csv, by columns' names: a policy that is called
# better has an interval above off's by the margin; where it is off, or none can
# be named, no policy has one.
supported() { # stdout of the run, cells.csv
	awk -v out="$1" '
	function split_csv(line, f,    n, i, c, quoted, field) {
		n = 0; field = ""; quoted = 0
		for (i = 1; i <= length(line); i++) {
			c = substr(line, i, 1)
			if (c == "\"") quoted = !quoted
			else if (c == "," && !quoted) { f[++n] = field; field = "" }
			else field = field c
		}
		f[++n] = field
		return n
	}
	BEGIN {
		while ((getline line < out) > 0)
			text = text " " line
	}
	NR == 1 { n = split_csv($0, f); for (i = 1; i <= n; i++) at[f[i]] = i; next }
	{
		split_csv($0, f)
		if (f[at["pass"]] != "first-write" || f[at["metric"]] != "iops" ||
		    f[at["label"]] !~ /^qcow2-/ || f[at["label"]] == "qcow2-off")
			next
		policy = f[at["label"]]
		sub(/^qcow2-/, "", policy)
		lo[policy] = f[at["baseline_ratio_lo"]]
		hi[policy] = f[at["baseline_ratio_hi"]]
	}
	END {
		for (p in lo)
			printf "# %s: %.3f .. %.3f of off\n", p, lo[p], hi[p]
		if (match(text, /[Uu]se +preallocation=[a-z]+/)) {
			p = substr(text, RSTART, RLENGTH)
			sub(/.*=/, "", p)
			print "# the sentence: use " p
			if (p in lo)
				exit !(lo[p] > 1.05)
		} else if (text !~ /Cannot tell whether/) {
			print "# there is no sentence"
			exit 1
		}
		for (q in lo)
			if (lo[q] > 1.05)
				exit 1
	}' "$2"
}

quick() { # fstype
	if ! command -v "mkfs.$1" >/dev/null; then
		missing "$1" "mkfs.$1"
		return
	fi
	attach "$1" >"$work/said" 2>&1 || {
		skip "$1" "no loop device: $(tr '\n' ' ' <"$work/said")"
		detach
		return
	}
	began=$(date +%s)
	"$bench" run preallocation --quick --dir "$work/mnt" \
		--out "$work/out-$1" >"$work/stdout" 2>"$work/stderr"
	status=$?
	took=$(($(date +%s) - began))
	sed 's/^/# /' "$work/stdout"
	# 4: on a disk so noisy nothing can be judged; the sentence says so.
	[ "$status" -ne 4 ] || ! grep -q '^Cannot tell' "$work/stdout" || status=0
	verdict "quick on $1: it ends well" "$status" \
		"status $status: $(tail -n 1 "$work/stderr")"
	verdict "quick on $1: under 180 s ($took s)" $((took >= 180)) "$took s"
	supported "$work/stdout" "$work/out-$1/cells.csv"
	verdict "quick on $1: the intervals support the sentence" $? \
		"see above"
	[ -z "$(find "$work/mnt" -mindepth 1 ! -name lost+found)" ]
	verdict "quick on $1: nothing is left on the disk" $? \
		"$(ls "$work/mnt")"
	detach
	rm -f "$work/disk"
}

for fs; do
	quick "$fs"
done
exit $bad
