/* SPDX-License-Identifier: MIT */
#include "tests/fault/faults.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "engine/base/num.h"
#include "tests/env.h"

/* No operation of a test has so many. */
#define NTH_MAX 2000

static void
count_up(struct fault f, bool (*trial)(const struct fault *fault, void *arg),
	 void *arg)
{
	bool hit = true;

	for (f.nth = 1; hit && f.nth < NTH_MAX; f.nth += test_stride())
		hit = trial(&f, arg);
	assert_false(hit);
}

void
faults_all(bool (*trial)(const struct fault *fault, void *arg), void *arg)
{
	static const struct fault faults[] = {
		{.kind = AIO_READ, .error = -EIO},
		{.kind = AIO_WRITE, .error = -EIO},
		{.kind = AIO_WRITE, .error = -ENOSPC},
		{.kind = AIO_SYNC, .error = -EIO},
		{.kind = AIO_DISCARD, .error = -EIO},
		{.kind = AIO_TRUNCATE, .error = -EIO},
	};

	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		/* A short run has each fault once or for good. */
		int first = test_stride() > 1 && i % 2;
		int last = test_stride() > 1 ? first : 1;

		for (int forever = first; forever <= last; forever++) {
			struct fault f = faults[i];

			f.forever = forever;
			count_up(f, trial, arg);
		}
	}
}
