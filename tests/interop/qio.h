/* SPDX-License-Identifier: MIT */
/*
 * qio.h - a qemu-io that is started once and opens one image after another
 *
 * Whatever it says is a complaint: commands that print take -q.  Failures of
 * the system are failures of the test: not from a coroutine.
 */
#ifndef TESTS_INTEROP_QIO_H
#define TESTS_INTEROP_QIO_H

#include <stddef.h>
#include <stdint.h>

/* It knows one secret. */
#define QIO_KEY    "geheim12"
#define QIO_SECRET "secret,id=s,data=geheim12"

struct qio;

/* NULL: there is no qemu-io. */
struct qio *qio_start(void);
void qio_end(struct qio *q);

/* Do one command, of which qio_result() tells. */
__attribute__((format(printf, 2, 3))) void qio_do(struct qio *q,
						  const char *fmt, ...);

/* Read all, which must be these bytes. */
void qio_verify(struct qio *q, const uint8_t *bytes, uint64_t len);

/* What it said since the last call; "": all is well.  The caller frees it. */
char *qio_result(struct qio *q);

#endif
