#!/bin/sh
# Every command in the documents can be run.
#
#	sh tests/tools/commands.sh [DOCUMENT.md ...]
#
# Each line of each ```sh block is run in a folder of stand-ins, one folder a
# document, with the programs of $B first in PATH, and must end with status 0;
# so are the examples of the help and of the manual pages.  What takes long or
# installs something is in the list below, with the place that runs it instead.
# Commands in other blocks are an error, and `code` in a sentence must name
# commands, options and targets that there are.
# shellcheck disable=SC2016 # what is looked for has $ and backticks
set -u
B=${B:-build/release}
root=$PWD
dir=$(mktemp -d "${TMPDIR:-/var/tmp}/q2-commands.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
unset MAKEFLAGS MAKELEVEL MFLAGS
PATH=$root/$B:$PATH
# What probes find out is kept there, not in the home of who runs the tests.
XDG_CACHE_HOME=$dir/cache
# The tests among them have been run whole elsewhere.
Q2_TEST_SCALE=5
export PATH XDG_CACHE_HOME Q2_TEST_SCALE
bad=0

# Not run here: the command, the file that runs it, and the line that does.
elsewhere='./quickstart bench|tests/fresh.sh|^type_it bench
./quickstart test|.ci/run|^stage_test\(\) \{ \./quickstart test;
make test|quickstart|^exec make -j "\$jobs" test$
make MODE=asan test|.ci/run|^stage_asan\(\) .* MODE=asan .*test;
make MODE=tsan test|.ci/run|^stage_tsan\(\) .* MODE=tsan .*test;
make lint|.ci/run|^stage_lint\(\) \{ make -s lint;
make test-interop|.ci/run|^stage_interop\(\) \{ make -s test-interop;
make test-quick|.ci/run|^stage_quick\(\) \{ make -s test-quick;
make test-fresh|.ci/run|^[[:space:]]*make -s test-fresh$
'"$(for s in cluster-size cache-size compression encryption chain snapshot-internal; do
	echo "qcowbench run $s --quick|tests/harness/suites.sh|^[[:space:]]tiny $s "
done)"
# Run by hand only, for minutes: here make says what it would do.
by_hand='make test-newer-qemu
make test-turns
make test-aa RUNS=20'

result() { # status, name
	if [ "$1" = 0 ]; then
		echo "ok - $2"
	else
		sed 's/^/# /' "$dir/said"
		echo "not ok - $2"
		bad=1
	fi
}

# ---- stand-ins ----

make_stand_ins() {
	mkdir -p "$dir/ready/images" && cd "$dir/ready" || return 1
	cat >mine.ini <<-'EOF'
		[suite]
		question = Does it run?
		rounds   = 2
		[defaults]
		image_size = 16m
		[configurations]
		q-${cluster_size} = target=qcow2 cluster_size=64k
		[passes]
		create = op=create
		write  = rw=randwrite bs=4k iodepth=4 size=50% requests=16
		read   = rw=randread bs=4k iodepth=4 touch=write
	EOF
	qcowimg create -q -f raw disk.raw 80M &&
		qcowimg io -f raw -c 'write -P 7 1M 1M' disk.raw &&
		qcowimg convert -O qcow2 disk.raw disk.qcow2 &&
		PATH=$blind:$PATH qcowbench run mine.ini --out monday &&
		cp -r monday tuesday && cp -r monday otherrun && cd "$root" || return 1
}

new_folder() {
	rm -rf "$dir/work"
	cp -r "$dir/ready" "$dir/work"
}

# ---- commands ----

# The same with less work, where the command leaves room for it.  A report
# draws; a run's pictures are the same code's, and most of a small run's time.
smaller() { # command
	case $1 in
	# Too little to tell anything, which is status 4.
	"qcowbench run preallocation"*)
		echo "PATH=$blind:\$PATH; $1 --image-size 16m --requests 64 --rounds 1 || [ \$? = 4 ]"
		;;
	"qcowbench run mine.ini"*) echo "PATH=$blind:\$PATH; $1 --set rounds=1" ;;
	"qcowbench run"*) echo "PATH=$blind:\$PATH; $1" ;;
	*" random "[1-9]*) echo "$1" | sed 's/ random [0-9]*/ random 1/' ;;
	*) echo "$1" | sed 's/Q2_TEST_SCALE=[0-9]*/Q2_TEST_SCALE=1/' ;;
	esac
}

# Is what the list says of this command true?
runs_elsewhere() { # command
	entry=$(echo "$elsewhere" | awk -F'|' -v c="$1" '$1 == c')
	[ -n "$entry" ] || {
		echo "it is neither run here nor in the list of tests/tools/commands.sh"
		return 1
	}
	file=$(echo "$entry" | cut -d'|' -f2)
	line=$(echo "$entry" | cut -d'|' -f3-)
	grep -qE -e "$line" "$root/$file" || {
		echo "the list says that $file runs it, which has no line $line"
		return 1
	}
}

run_command() { # command; in $dir/work, or in the root what is of the tree
	case $1 in
	make | "make "*)
		# shellcheck disable=SC2086 # its words
		(cd "$root" && $1 -n) >/dev/null || return 1
		echo "$by_hand" | grep -qxF -e "$1" || runs_elsewhere "$1"
		;;
	./quickstart* | "qcowbench run "[!p]*" --quick") runs_elsewhere "$1" ;;
	.ci/run) bash -n "$root/.ci/run" ;;
	*build/*) (cd "$root" && timeout 120 sh -c "$(smaller "$1")") ;;
	*) (cd "$dir/work" && timeout 120 sh -c "$(smaller "$1")") ;;
	esac
}

# Has it been run, and what it leaves is for nobody?  Several documents have the
# same run of a suite of ours into a folder that is named by the time.
same_again() { # command
	case $1 in
	"qcowbench run preallocation"*) grep -qxF -e "$1" "$dir/good" ;;
	*) false ;;
	esac
}

# Commands on stdin, a line each.
run_all() { # of what
	new_folder
	while read -r command; do
		if ! same_again "$command"; then
			run_command "$command" >"$dir/said" 2>&1 </dev/null &&
				echo "$command" >>"$dir/good"
		fi
		result $? "$1: $command"
		echo . >>"$dir/count"
	done
}

# ---- documents ----

# kind: sh: the commands of sh blocks; other: commands that are in none.
commands_of() { # kind, document
	awk -v kind="$1" '
	function is_command(line) {
		sub(/^ *\$ /, "", line)
		sub(/^ +/, "", line)
		while (line ~ /^[A-Z0-9_]+=[^ ]* /)
			sub(/^[^ ]* /, "", line)
		return line ~ /^(qcowbench|qcowimg|make|\.\/quickstart|\.ci\/run|build\/[^ ]*)( |$)/ &&
			line !~ /^(qcowbench|qcowimg|make)[ a-z0-9-]*:/
	}
	/^```/ {
		lang = fenced ? "" : substr($0, 4)
		fenced = !fenced
		next
	}
	fenced && lang == "sh" {
		if (kind != "sh")
			next
		line = whole $0
		whole = ""
		if (line ~ /\\$/) {
			whole = substr(line, 1, length(line) - 1)
			next
		}
		sub(/(^|[ \t]+)#.*$/, "", line)
		if (line != "")
			print line
		next
	}
	kind == "other" && (fenced || /^    /) && is_command($0) { print FNR ": " $0 }
	' "$2"
}

# `code` that begins with one of our names: does what it names exist?
check_code() { # document
	sed '/^```/,/^```/d' "$1" |
		grep -oE '`(qcowbench|qcowimg|make) [^`]*`' | tr -d '`' | sort -u |
		while read -r program word rest; do
			case $program in
			make)
				for w in $word $rest; do
					case $w in *=*) continue ;; esac
					sed -n '/^\.PHONY/,/[^\\]$/p' Makefile |
						grep -qw -e "$w" ||
						echo "make has no target $w"
				done
				continue
				;;
			esac
			case $word in --*) continue ;; esac
			grep -q "^command	$word	" "$dir/$program.dump" || {
				echo "$program has no command $word"
				continue
			}
			for w in $rest; do
				case $w in -*) ;; *) continue ;; esac
				awk -F'\t' -v c="$word" -v o="${w%%=*}" '
					$1 == "option" && $2 == c &&
						($3 == o || $4 == o) { found = 1 }
					END { exit !found }' "$dir/$program.dump" ||
					echo "$program $word has no option $w"
			done
		done
}

check_document() { # document
	commands_of other "$1" >"$dir/said"
	test ! -s "$dir/said"
	result $? "$1: commands stand in sh blocks"
	check_code "$1" >"$dir/said"
	test ! -s "$dir/said"
	result $? "$1: what its sentences name is there"
	commands_of sh "$1" >"$dir/list"
	run_all "$1" <"$dir/list"
}

examples_of_page() { # page.in
	sed -n '/^\.SH EXAMPLES/,/^\.SH SEE/p' "$1" |
		sed -n '/^\.nf/,/^\.fi/p' |
		sed '/^\./d; s/\\-/-/g; s/\\e/\\/g'
}

# ---- the test of the test ----

# A document with one mistake; all of them are checked at once.
mistake() { # name, text
	mistakes=$((mistakes + 1))
	echo "$1" >"$dir/mistake$mistakes"
	printf '%s\n' "$2" >"$dir/bad$mistakes.md"
}

# Does each fail, and by a line of its own?
notices_them() {
	READY=$dir/ready sh tests/tools/commands.sh "$dir"/bad*.md \
		>"$dir/notices" 2>&1
	rc=$?
	for i in $(seq $mistakes); do
		cp "$dir/notices" "$dir/said"
		[ $rc != 0 ] && grep -q "^not ok - $dir/bad$i.md: " "$dir/said"
		result $? "a document is refused: $(cat "$dir/mistake$i")"
	done
}

test_of_the_test() {
	mistakes=0
	mistake "a command that fails" '```sh
qcowimg frobnicate disk.raw   # no such thing
```'
	mistake "an option that there is not" '```sh
qcowbench run preallocation --quick --nosuch
```'
	mistake "a target that there is not" '```sh
make nosuch
```'
	mistake "a target that nobody runs" '```sh
make uninstall
```'
	mistake "a program that there is not" '```sh
nosuch disk.raw
```'
	mistake "a command in another block" '```
qcowimg info disk.raw
```'
	mistake "an indented command" '    Q2_SEED=1 build/release/tests/x'
	mistake "a sentence with no such option" 'Use `qcowbench run --nosuch`.'
	notices_them
	printf '```sh\nqcowimg info disk.raw   # fine\n```\n`make test`\n' \
		>"$dir/fine.md"
	READY=$dir/ready sh tests/tools/commands.sh "$dir/fine.md" \
		>"$dir/said" 2>&1
	result $? "... and one without is not"
}

# Stands before gnuplot where nobody looks at pictures.
blind=$dir/blind
mkdir "$blind" && printf '#!/bin/sh\nexit 127\n' >"$blind/gnuplot" &&
	chmod +x "$blind/gnuplot" || exit 1
: >"$dir/good"
qcowbench help --dump >"$dir/qcowbench.dump" || exit 1
qcowimg help --dump >"$dir/qcowimg.dump" || exit 1
if [ -n "${READY:-}" ]; then
	cp -r "$READY" "$dir/ready"
else
	make_stand_ins >"$dir/said" 2>&1
	result $? "stand-ins"
	[ $bad = 0 ] || exit 1
fi
: >"$dir/count"
if [ $# -gt 0 ]; then
	for document; do
		check_document "$document"
	done
	exit $bad
fi
for document in README.md CONTRIBUTING.md docs/*.md; do
	check_document "$document"
done
sed -n 's/^example\t[a-z]*\t\([^\t]*\)\t.*/\1/p' "$dir/qcowbench.dump" |
	sort -u >"$dir/list"
run_all "help" <"$dir/list"
for page in docs/man/*.in; do
	examples_of_page "$page" >"$dir/list"
	run_all "$page" <"$dir/list"
done
# Neither the blocks nor the examples went unseen.
[ "$(wc -l <"$dir/count")" -ge 40 ]
result $? "they are many: $(wc -l <"$dir/count")"
test_of_the_test
exit $bad
