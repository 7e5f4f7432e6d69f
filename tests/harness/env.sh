#!/bin/sh
# `qcowbench env`: what it says of a machine, what it keeps to itself, and what
# differs between two.
# modes: all
# shellcheck disable=SC2317 # functions are called by check()
set -u
B=${B:-build/release}
PATH=$PWD/tests/no-pictures:$PATH
bench=$PWD/$B/qcowbench
dir=$(mktemp -d "${TMPDIR:-/var/tmp}/q2-env.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
cd "$dir" || exit 1
bad=0

check() { # name, command
	name=$1
	shift
	if "$@" >check.out 2>&1; then
		echo "ok - $name"
	else
		sed 's/^/# /' check.out
		for f in out err; do
			[ ! -s $f ] || sed "s/^/# $f: /" $f
		done
		echo "not ok - $name"
		bad=1
	fi
}

q() {
	"$bench" "$@" >out 2>err
	rc=$?
}

refuses() { # status, words, argument...
	want=$1 words=$2
	shift 2
	q "$@"
	[ "$rc" = "$want" ] && [ "$(grep -c . err)" = 1 ] &&
		grep -q -F -e "$words" err
}

says_all_topics() {
	q env && [ "$rc" = 0 ] && [ ! -s err ] || return 1
	for topic in cpu kernel virt memory cgroup fs block disk limits \
		software state; do
		grep -q "^$topic\$" out || return 1
	done
	grep -q '^machine [0-9a-f]\{12\}, fingerprint [0-9a-f]\{12\}$' out &&
		grep -q "^  release  *Linux $(uname -r)\$" out
}
# A warning is followed by what can be done about it.
every_warning_has_a_remedy() {
	[ "$(grep -c '^warning: ' out)" = "$(grep -c '^  remedy: ' out)" ]
}
# Nobody can be recognised by what is published.
says_no_names() {
	q env --json && cp out names.json || return 1
	for word in "$(uname -n)" "$(cat /etc/machine-id 2>/dev/null)"; do
		# A name of a letter or two is in everything.
		[ "${#word}" -lt 4 ] || ! grep -q -F -e "$word" names.json ||
			{ echo "it says $word"; return 1; }
	done
}
writes_nothing() {
	mkdir empty && q env --dir empty && [ -z "$(ls -A empty)" ]
}
same_twice() {
	q env --json && cp out a.json && q env --json && cp out b.json &&
		q env diff a.json b.json && [ "$rc" = 0 ] &&
		grep -q '^same machine? yes$' out &&
		grep -q '^same performance fields? yes$' out &&
		! grep -q '^changes performance$' out
}
check "env: all topics" says_all_topics
check "... each warning with a remedy" every_warning_has_a_remedy
check "... and no name of the machine" says_no_names
check "... it writes nothing" writes_nothing
check "env diff: the same machine twice" same_twice

another_machine() {
	sed -e 's/"machine": "[0-9a-f]*"/"machine": "000000000000"/' \
		-e 's/"fingerprint": "[0-9a-f]*"/"fingerprint": "000000000000"/' \
		-e 's/"threads": [^,]*/"threads": 4096/' a.json >c.json
	q env diff a.json c.json && [ "$rc" = 0 ] &&
		grep -q '^same machine? no$' out &&
		grep -q '^same performance fields? no$' out &&
		sed -n '/^changes performance$/,/^$/p' out |
		grep -q '^  cpu.threads  *[0-9a]' &&
		grep -q '^  *4096$' out
}
check "... another machine: what differs, status 0 all the same" another_machine

runs() {
	for i in 1 2; do
		q run overhead --quick --rounds 1 --dir "$dir" --out "run$i"
		[ "$rc" = 0 ] || return 1
	done
	q env diff run1 run2/run.json && [ "$rc" = 0 ] &&
		grep -q '^same machine? yes$' out &&
		grep -q '^same performance fields? yes$' out
}
check "... two runs, by folder and by run.json" runs

echo '{"schema": 1}' >none.json
echo '{' >broken.json
mkdir -p folder
check "env diff of one" refuses 2 "which two?" env diff a.json
check "env with another word" refuses 2 "did you mean 'diff'" env dif
check "env diff: no such file" refuses 2 "nowhere: No such" env diff a.json nowhere
check "... a folder that is no run" refuses 2 "folder/run.json" env diff folder a.json
check "... a file without an environment" \
	refuses 2 "no environment in it" env diff none.json a.json
# A pipe that is named has somebody at its other end; one in a folder has not.
diff_pipe() {
	mkdir piped && mkfifo piped/run.json p.json || return 1
	timeout 20 "$bench" env diff piped a.json >out 2>err
	rc=$?
	[ "$rc" = 2 ] && grep -q 'piped/run.json: no plain file' err || return 1
	cat a.json >p.json &
	q env diff p.json a.json && [ "$rc" = 0 ]
}
check "... a pipe in a folder is not waited for" diff_pipe
check "... a device" refuses 2 "no plain file" env diff /dev/zero a.json
check "... a file that is no JSON" refuses 2 "broken.json:2" env diff broken.json a.json
check "env of no folder" refuses 2 "nowhere: No such" env --dir nowhere

exit $bad
