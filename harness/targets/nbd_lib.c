/* SPDX-License-Identifier: MIT */
#ifdef HAVE_LIBNBD

#include "harness/targets/nbd_lib.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>

#include "engine/base/err.h"

#define SONAME "libnbd.so.0"

static bool
find(void *library, const char *name, void *ret_function)
{
	void *symbol = dlsym(library, name);

	/* POSIX has functions and data of one size. */
	*(void **)ret_function = symbol;
	return symbol != NULL;
}

const struct nbd_lib *
nbd_lib(struct q2_err *err)
{
	static struct nbd_lib lib;
	static bool loaded;
	void *library = loaded ? NULL : dlopen(SONAME, RTLD_NOW | RTLD_LOCAL);
	bool all = true;

	if (loaded)
		return &lib;
	if (!library) {
		(void)q2_fail(err, -ENOTSUP,
			      "NBD needs libnbd (on Debian: apt-get install "
			      "libnbd0): %s",
			      dlerror());
		return NULL;
	}
#define X(name) all = find(library, "nbd_" #name, &lib.name) && all;
	NBD_LIB_CALLS(X)
#undef X
	if (!all) {
		(void)dlclose(library);
		(void)q2_fail(err, -ENOTSUP,
			      SONAME " is older than the one that this program "
				     "was built with; install a newer one");
		return NULL;
	}
	loaded = true;
	return &lib;
}

#else
typedef int nbd_lib_is_left_out; /* ISO C wants something in a file */
#endif
