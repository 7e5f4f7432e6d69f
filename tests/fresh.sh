#!/bin/sh
# Both quickstart commands on a bare Debian 12; `make test-fresh` calls this.
#
#	sh tests/fresh.sh [OPTION-OF-BENCH ...]
#
# Makes a minimal system with debootstrap (minbase: no compiler, no git, no
# sudo), mounts /proc in it and nothing else, copies the tree, and types what
# the README says.  Needs root and debootstrap; mirror and proxy are the
# host's own, asked from apt.  The bare system is kept for a week as a tar
# file in ${XDG_CACHE_HOME:-/var/cache}/qcowbench.  FRESH_MIRROR=URI overrides
# the mirror, FRESH_KEEP=1 keeps the folder, TMPDIR says where it is.
#
# Everything is mounted in a mount namespace of its own, which ends with the
# script: the host never sees a mount there, so nothing is removed through one.
set -u
cd "$(dirname "$0")/.." || exit 1
suite=bookworm
began=$(date +%s)
bad=0

ok() { echo "ok - fresh: $1"; }
not_ok() {
	echo "not ok - fresh: $1"
	bad=1
}
give_up() {
	if [ "${CI:-}" = true ]; then
		not_ok "$1"
		exit 1
	fi
	echo "skip - fresh # $1"
	exit 0
}

[ "$(id -u)" = 0 ] || give_up "needs root"
command -v debootstrap >/dev/null || give_up "debootstrap is not installed"
unshare --mount --pid --fork true 2>/dev/null || give_up "no namespaces here"

# shellcheck source=tests/apt.sh
. tests/apt.sh
mirror=${FRESH_MIRROR:-$(apt_mirror)}
[ -n "$mirror" ] || give_up "apt has no Debian mirror; set FRESH_MIRROR=URI"

top=$(mktemp -d "${TMPDIR:-/var/tmp}/q2-fresh.XXXXXX") || exit 1
root=$top/root
# shellcheck disable=SC2317 # called by trap
cleanup() {
	if grep -q " $top/" /proc/self/mountinfo; then
		echo "fresh: still mounted below $top, left as it is"
	elif [ "${FRESH_KEEP:-}" = 1 ]; then
		echo "fresh: kept $root"
	else
		rm -rf --one-file-system "$top"
	fi
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

# In namespaces that end with the command, with /proc mounted.
inside() {
	# shellcheck disable=SC2016 # expanded by the inner shell
	unshare --mount --pid --fork --kill-child sh -c '
		root=$1; shift
		mount -t proc proc "$root/proc" || exit 1
		exec chroot "$root" env -i HOME=/root TERM=dumb \
			${Q2_TEST_SCALE:+Q2_TEST_SCALE=$Q2_TEST_SCALE} \
			${Q2_TEST_SKIP:+Q2_TEST_SKIP="$Q2_TEST_SKIP"} \
			PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
			"$@"' inside "$root" "$@" </dev/null
}

make_bare_system() {
	cache=${XDG_CACHE_HOME:-/var/cache}/qcowbench
	tar=$cache/$suite-$(dpkg --print-architecture)-minbase.tar
	mkdir -p "$cache" "$root"
	if [ -z "$(find "$tar" -mtime -7 2>/dev/null)" ]; then
		unshare --mount debootstrap --variant=minbase \
			"$suite" "$root" "$mirror" \
			>"$top/debootstrap.log" 2>&1 || {
			tail -n 20 "$top/debootstrap.log"
			return 1
		}
		rm -f "$root"/var/cache/apt/archives/*.deb
		tar -C "$root" --numeric-owner --one-file-system \
			-cf "$tar.$$" . && mv "$tar.$$" "$tar"
	else
		tar -C "$root" --numeric-owner -xpf "$tar"
	fi || return 1
	# How this host reaches its mirror.
	echo "deb $mirror $suite main" >"$root/etc/apt/sources.list"
	apt-config dump | grep -E \
		'^Acquire::(https?::|ftp::|Check-|ForceIPv|Retries)' \
		>"$root/etc/apt/apt.conf.d/90host"
	cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
}

copy_tree() {
	mkdir "$root/qcowbench"
	if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
		git ls-files -co --exclude-standard
	else
		find . -path ./build -prune -o -type f -print
	fi | tar -cf - --no-recursion --ignore-failed-read -T - |
		tar -C "$root/qcowbench" -xf -
}

# quickstart and its options; the output goes to $top/log too.
quickstart() {
	inside sh -c 'cd /qcowbench && exec ./quickstart "$@"' q "$@" \
		>"$top/log" 2>&1
}

type_it() { # what, then options
	from=$(date +%s)
	if quickstart "$@"; then
		ok "./quickstart $1 ($(($(date +%s) - from)) s)"
		tail -n "$lines" "$top/log" | sed 's/^/    /'
	else
		not_ok "./quickstart $1"
		tail -n 100 "$top/log" | sed 's/^/    /'
	fi
}

# A second time, with a make that does nothing: is anything installed?
again() {
	inside dpkg-query -W >"$top/before"
	mkdir -p "$root/stub"
	printf '#!/bin/sh\nexit 0\n' >"$root/stub/make"
	chmod +x "$root/stub/make"
	# shellcheck disable=SC2016 # expanded inside
	inside sh -c 'cd /qcowbench && PATH=/stub:$PATH exec ./quickstart "$1"' \
		q "$1" >"$top/log" 2>&1
	status=$?
	inside dpkg-query -W >"$top/after"
	if [ $status = 0 ] && [ ! -s "$top/log" ] &&
		cmp -s "$top/before" "$top/after"; then
		ok "a second ./quickstart $1 installs nothing"
	else
		not_ok "a second ./quickstart $1 installs nothing"
		tail -n 20 "$top/log" | sed 's/^/    /'
	fi
}

if ! make_bare_system || ! copy_tree; then
	not_ok "a bare Debian ($suite)"
	exit 1
fi
for tool in cc make git sudo pkg-config gnuplot; do
	if inside sh -c "command -v $tool" >/dev/null; then
		not_ok "the system is bare: it has $tool"
	fi
done
echo "# bare system ready after $(($(date +%s) - began)) s"

lines=60
type_it bench "$@"
again bench
lines=10
type_it test
again test
echo "# fresh: $(($(date +%s) - began)) s"
exit $bad
