/* SPDX-License-Identifier: MIT */
/*
 * nbd_lib.h - libnbd, loaded when it is first needed
 *
 * It brings TLS, XML and Unicode along: linked to the program they would take
 * three quarters of the time that each process of a run needs to start, of
 * which there is one for every trial.
 */
#ifndef HARNESS_TARGETS_NBD_LIB_H
#define HARNESS_TARGETS_NBD_LIB_H

#include <libnbd.h>

#include "engine/q2.h"

/* The functions in use, by what follows nbd_ in their names. */
#define NBD_LIB_CALLS(X)        \
	X(aio_connect_socket)   \
	X(aio_connect_uri)      \
	X(aio_is_connecting)    \
	X(aio_is_ready)         \
	X(aio_pread)            \
	X(aio_pwrite)           \
	X(can_flush)            \
	X(close)                \
	X(create)               \
	X(flush)                \
	X(get_errno)            \
	X(get_error)            \
	X(get_size)             \
	X(is_read_only)         \
	X(poll)                 \
	X(set_pread_initialize) \
	X(shutdown)

struct nbd_lib {
/* NOLINTNEXTLINE(bugprone-macro-parentheses): the name of a member */
#define X(name) __typeof__(&nbd_##name) name;
	NBD_LIB_CALLS(X)
#undef X
};

/* It stays loaded.  NULL, and a reason with what to install, where it cannot
 * be. */
const struct nbd_lib *nbd_lib(struct q2_err *err);

#endif
