#!/bin/sh
# What `make install` puts down works without the source tree, from C and from
# C++; `make uninstall` leaves nothing.
# shellcheck disable=SC2317 # functions are called by check()
set -u
dir=$(mktemp -d "${TMPDIR:-/var/tmp}/q2-install.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
bad=0

check() { # name, command
	name=$1
	shift
	if "$@" >"$dir/out" 2>&1; then
		echo "ok - $name"
	else
		sed 's/^/# /' "$dir/out"
		echo "not ok - $name"
		bad=1
	fi
}

# A make of our own: not the jobs of the one that may have started us.
unset MAKEFLAGS MAKELEVEL MFLAGS
to="PREFIX=/usr DESTDIR=$dir/stage"

cat >"$dir/t.c" <<'END'
#include <q2.h>
int cache_get(void); /* a program may use names that the library uses inside */
int cache_get(void) { return 0; }
int main(void)
{
	struct q2_err err;
	const char *none = NULL;
	err.code = none ? 1 : 0;
	return err.code + cache_get();
}
END
sed 's/NULL/nullptr/' "$dir/t.c" >"$dir/t.cc"



compile() { # compiler, source
	flags=$(PKG_CONFIG_PATH=$dir/stage/usr/lib/pkgconfig \
		PKG_CONFIG_SYSROOT_DIR=$dir/stage \
		pkg-config --static --cflags --libs q2) || return 1
	# shellcheck disable=SC2086 # a list of words
	(cd "$dir" && $1 -Wall -Werror -o t "$2" $flags && ./t)
}

elsewhere() {
	(cd / && "$dir/stage/usr/bin/qcowimg" --version &&
		"$dir/stage/usr/bin/qcowbench" --version)
}

empty() { [ -z "$(find "$dir/stage" ! -type d)" ]; }
no_folder() {
	[ -z "$(find "$dir/stage" -mindepth 1 -name 'qcowbench*')" ]
}

# shellcheck disable=SC2086 # a list of words
check "make install" make MODE=release $to install
check "the installed programs run from anywhere" elsewhere
check "a C program builds against the installed library" \
	compile "${CC:-cc} -std=c99 -D_DEFAULT_SOURCE" t.c
if command -v c++ >/dev/null; then
	check "a C++ program builds against it" compile "c++ -std=c++11" t.cc
else
	echo "skip - a C++ program builds against it # no C++ compiler"
fi
# shellcheck disable=SC2086 # a list of words
check "make uninstall" make MODE=release $to uninstall
check "nothing is left behind" empty
check "not even an empty folder of ours" no_folder
exit $bad
