#!/bin/sh
# Interoperability with the QEMU of another Debian; `make test-newer-qemu`
# calls this.
#
#	sh tests/newer-qemu.sh [TEST ...]
#
# Fetches the tools of QEMU of Debian 13 (or QEMU_SUITE) with all libraries they
# need, installs nothing, and runs the tests with them first in PATH: those
# below, or TEST.  Mirror, proxy and keys are apt's.  The packages are kept for a
# week in ${XDG_CACHE_HOME:-/var/cache}/qcowbench; QEMU_MIRROR=URI overrides the
# mirror.  It is about images: texts that were changed after 7.2 are changed back.
set -u
cd "$(dirname "$0")/.." || exit 1
suite=${QEMU_SUITE:-trixie}
B=${B:-build/release}
export B

give_up() {
	if [ "${CI:-}" = true ]; then
		echo "not ok - $suite's QEMU: $1"
		exit 1
	fi
	echo "skip - $suite's QEMU # $1"
	exit 0
}

command -v apt-get >/dev/null || give_up "there is no apt-get here"
# shellcheck source=tests/apt.sh
. tests/apt.sh
mirror=${QEMU_MIRROR:-$(apt_mirror)}
[ -n "$mirror" ] || give_up "apt has no Debian mirror; set QEMU_MIRROR=URI"

# An apt of its own, which knows of nothing that is installed.
fetch() { # folder
	mkdir -p "$1/lists/partial" "$1/archives/partial" "$1/etc" || return 1
	: >"$1/status"
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" \
		>"$1/etc/sources.list"
	set -- -q -o Dir::Etc::sourcelist="$1/etc/sources.list" \
		-o Dir::Etc::sourceparts=- -o Dir::State::lists="$1/lists" \
		-o Dir::State::status="$1/status" -o APT::Sandbox::User=root \
		-o Dir::Cache::archives="$1/archives" \
		-o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=
	apt-get "$@" update &&
		apt-get "$@" -y --download-only --no-install-recommends \
			install qemu-utils
}

cache=${XDG_CACHE_HOME:-/var/cache}/qcowbench/qemu-$suite
if [ -z "$(find "$cache" -maxdepth 0 -mtime -7 2>/dev/null)" ]; then
	new=$cache.$$
	trap 'rm -rf "$new"' EXIT
	trap 'exit 130' INT TERM HUP
	mkdir -p "$new/root" "$new/bin" || exit 1
	fetch "$new/apt" >"$new/log" 2>&1 || {
		tail -n 20 "$new/log"
		give_up "its packages cannot be fetched"
	}
	for deb in "$new"/apt/archives/*.deb; do
		dpkg-deb -x "$deb" "$new/root" || exit 1
	done
	rm -rf "$new/apt" "$cache"
	mv "$new" "$cache" || exit 1
fi

# With their own libraries, below their own names.
loader=$(find "$cache/root/usr/lib" "$cache/root/lib" -name 'ld-linux*.so.*' 2>/dev/null | head -n 1)
[ -n "$loader" ] || give_up "no loader in $cache"
libraries=$(find "$cache/root/usr/lib" "$cache/root/lib" -name 'lib*.so.*' -printf '%h\n' 2>/dev/null |
	sort -u | paste -s -d :)
for tool in qemu-img qemu-io qemu-nbd; do
	cat >"$cache/bin/$tool.real" <<-END
		#!/bin/sh
		exec $loader --argv0 $tool --library-path $libraries $cache/root/usr/bin/$tool "\$@"
	END
	ln -sf "$tool.real" "$cache/bin/$tool"
	chmod +x "$cache/bin/$tool.real"
done
# Since 7.2: compressed extents in maps, the file below in info, wider columns of
# snapshots, with hours of four digits.
rm "$cache/bin/qemu-img"
cat >"$cache/bin/qemu-img" <<-END
	#!/bin/sh
	case \$1 in
	info | map | snapshot) ;;
	*) exec $cache/bin/qemu-img.real "\$@" ;;
	esac
	text=\$($cache/bin/qemu-img.real "\$@")
	status=\$?
	[ -z "\$text" ] || echo "\$text" | sed -E \\
		-e 's/, "compressed": (true|false)//' \\
		-e "/^Child node '.file':/,/^    file length/d" \\
		-e 's/^ID      TAG               VM_SIZE                DATE        VM_CLOCK     ICOUNT/ID        TAG               VM SIZE                DATE     VM CLOCK     ICOUNT/' \\
		-e 's/^(.{7}) (.{16,} .{8} .{19})  00(..:..:......)(.{11})\$/\\1   \\2 \\3\\4/'
	exit \$status
END
chmod +x "$cache/bin/qemu-img"
PATH=$cache/bin:$PATH
export PATH
qemu-img --version | head -n 1 || exit 1

[ $# -gt 0 ] || set -- "$B/tests/interop/test_matrix" \
	"$B/tests/interop/test_resize_features" "$B/tests/interop/test_check" \
	tests/interop/snapshots.sh tests/interop/bitmaps.sh \
	tests/interop/chain.sh tests/interop/crypt.sh
exec sh tests/run.sh --only "$@"
