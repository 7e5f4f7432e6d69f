#!/bin/sh
# The suites that are not about preallocation, each in a tiny run in memory: what
# they write into trials.csv, and what they find.  Nothing here measures.
# modes: asan
# shellcheck disable=SC2317 # functions are called by check()
set -u
B=${B:-build/release}
root=$PWD
bench=$root/$B/qcowbench
dir=$(mktemp -d "${TMPDIR:-/var/tmp}/q2-suites.XXXXXX") || exit 1
fast=$dir/fast
if [ -w /dev/shm ] && fast=$(mktemp -d /dev/shm/q2-suites.XXXXXX); then :; else
	fast=$dir/fast
	mkdir "$fast"
fi
trap 'rm -rf "$dir" "$fast"' EXIT
trap 'exit 130' INT TERM
cd "$dir" || exit 1
XDG_CACHE_HOME=$dir/cache
export XDG_CACHE_HOME
bad=0
# shellcheck source=tests/lib.sh
. "$root/tests/lib.sh"

# One round tells nothing, which is status 4.
tiny() { # suite, argument...
	suite=$1
	shift
	q run "$suite" --quick --image-size 16m --requests 32 --rounds 1 \
		--dir "$fast" --out "$suite" "$@"
	[ "$rc" = 4 ] && grep -q 'they take 6 whole rounds' out &&
		[ -z "$(ls -A "$fast")" ]
}

# A column of a configuration in a pass.
value() { # folder, label, pass, column
	awk -F, -v label="$2" -v pass="$3" -v column="$4" '
	NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i }
	NR > 1 && $at["label"] == label && $at["pass"] == pass { print $at[column] }' "$1/trials.csv"
}
is() { # want, folder, label, pass, column
	got=$(value "$2" "$3" "$4" "$5")
	[ "$got" = "$1" ] || { echo "$3/$4: $5 is '$got', not '$1'"; return 1; }
}
more() { # more than, folder, label, pass, column
	got=$(value "$2" "$3" "$4" "$5")
	awk -v got="$got" -v than="$1" 'BEGIN { exit !(got != "" && got + 0 > than) }' ||
		{ echo "$3/$4: $5 is '$got', not more than $1"; return 1; }
}

chain() {
	tiny chain && is 0 chain depth-0 read-old chain_depth &&
		is none chain depth-0 read-old backing &&
		is seq chain depth-0 read-old fill_order &&
		is 100 chain depth-100 read-old chain_depth &&
		is full chain depth-100 read-old backing &&
		more 0 chain depth-100 create prepare_s &&
		more 131071 chain depth-100 read-old host_read_data_bytes &&
		more 0 chain depth-1 first-write host_read_cow_bytes &&
		is 0 chain depth-0 first-write host_read_cow_bytes
}
snapshots() {
	tiny snapshot-internal && set -- snapshot-internal &&
		is 0 "$1" with-0 first-write snapshots &&
		is 20 "$1" with-20 first-write snapshots &&
		is 20 "$1" with-20 snapshot snapshots &&
		is 21 "$1" with-20 delete snapshots &&
		is 0 "$1" with-0 first-write host_read_cow_bytes &&
		more 0 "$1" with-1 first-write host_read_cow_bytes &&
		more 0 "$1" with-0 write-after host_read_cow_bytes &&
		more 0 "$1" with-0 delete duration_s
}
cluster_sizes() {
	tiny cluster-size && set -- cluster-size &&
		is 4096 "$1" alone-4k read cluster_bytes &&
		is 1 "$1" alone-ext-64k read extended_l2 &&
		is none "$1" alone-2m read backing &&
		is full "$1" over-2m read backing &&
		more 1000000 "$1" over-2m first-write host_read_cow_bytes
}
cache_sizes() {
	tiny cache-size --image-size 8g && set -- cache-size &&
		is 262144 "$1" entry4k-256k read l2_cache_bytes &&
		is 4096 "$1" entry4k-256k read l2_entry_bytes &&
		is 512 "$1" entry512-1m read l2_entry_bytes
}
compression() {
	tiny compression && set -- compression && is none "$1" plain convert compression &&
		is zlib "$1" zlib scan compression &&
		is zstd "$1" zstd scan compression &&
		is 16777216 "$1" zstd convert compressed_bytes &&
		is 0 "$1" plain convert compressed_bytes &&
		more 1000000 "$1" zlib scan compressed_bytes &&
		more 0 "$1" raw convert prepare_s &&
		more 16777215 "$1" plain convert file_bytes || return 1
	# Half of the data compresses away.
	size=$(value "$1" zlib convert file_bytes)
	[ "$size" -gt 7000000 ] && [ "$size" -lt 10000000 ]
}
encryption() {
	tiny encryption && set -- encryption && is none "$1" none fill encryption &&
		is aes "$1" aes fill encryption &&
		is luks "$1" luks fill encryption &&
		is 0 "$1" none fill encrypted_bytes &&
		is 16777216 "$1" luks fill encrypted_bytes || return 1
	# 10 ms for the passphrase, not two seconds.
	awk -v s="$(value "$1" luks create duration_s)" 'BEGIN { exit !(s < 1) }'
}

# Six rounds have verdicts, from the numbers in the files; of bytes, which do not
# vary.
finds() {
	q run snapshot-internal --quick --image-size 16m --requests 32 --rounds 6 \
		--dir "$fast" --out found \
		--set 'suite.judge=first-write.host_write_bytes rewrite.write_amp'
	[ "$rc" = 0 ] || return 1
	tr '\n' ' ' <out | sed 's/  */ /g' >flat
	grep -q 'first-write, host_write_bytes, against with-0: worse: with-1 ([0-9]* times' flat &&
		grep -q 'rewrite, bytes written per byte, against with-0: the same within 5%: with-1 (+0%)' flat ||
		return 1
	# A bare system has a folder of that name on its disk.
	[ "$(stat -f -c %T "$fast")" != tmpfs ] ||
		grep -q 'measured in memory' flat || return 1
	cp out before
	q report found && same_report found before || return 1
	q report found --format json &&
		grep -q '"sentence": "first-write, host_write_bytes: worse' out
}
random_fill() {
	printf '%s\n' '[suite]' 'reference = a' 'judge = r.iops' '[configurations]' \
		'a = target=qcow2 fill=rand image_size=16m' \
		'b = target=qcow2 fill=seq image_size=16m' '[passes]' \
		'c = op=create' 'r = rw=randread size=50% requests=32' \
		'again = rw=randread touch=r' >mine.ini
	q run mine.ini --rounds 1 --dir "$fast" --out mine
	[ "$rc" = 4 ] && is rand mine a again fill_order && is seq mine b again fill_order
}

check "chain: data at the bottom, files above, copies at the top" chain
check "snapshot-internal: copies after a snapshot, taken and deleted" snapshots
check "cluster-size: with and without a backing file, extended L2" cluster_sizes
check "cache-size: cache and entries" cache_sizes
check "compression: converted, smaller, unpacked" compression
check "encryption: through the cipher, made in little time" encryption
check "findings from six rounds, again by report, and as JSON" finds
check "a suite that only reads what was filled" random_fill
exit $bad
