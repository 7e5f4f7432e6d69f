/* SPDX-License-Identifier: MIT */
/*
 * test_resize_features.c - images with everything that a resize must know of,
 * resized by QEMU and us in turns: what a longer backing file has must not
 * shine through, a data file follows, subclusters and version 2 read as zeros
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "engine/base/num.h"
#include "tests/interop/resize_turns.h"

static const char *const options[] = {
	"compat=0.10",
	"lazy_refcounts=on",
	"extended_l2=on,cluster_size=16k",
	"extended_l2=on",
	"cluster_size=512",
};

static void
take_all(bool backing)
{
	if (!turns_have_qemu())
		skip();
	for (unsigned i = 0; i < ARRAY_SIZE(options); i++) {
		/* What shines through does so where nothing is allocated. */
		if (backing)
			turns_take(options[i], true, Q2_PREALLOC_OFF);
		turns_take(options[i], backing, (enum q2_prealloc)(1 + i % 3));
	}
}

static void
test_features(void **state)
{
	(void)state;
	take_all(false);
}

static void
test_longer_backing_files(void **state)
{
	(void)state;
	take_all(true);
}

static void
test_data_files(void **state)
{
	(void)state;
	if (!turns_have_qemu())
		skip();
	for (unsigned mode = 0; mode < 4; mode++)
		turns_take(mode % 2 ? "data_file_raw=on," : "compat=1.1,",
			   false, (enum q2_prealloc)mode);
	turns_take("data_file_raw=on,", false, Q2_PREALLOC_OFF);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_features),
		cmocka_unit_test(test_longer_backing_files),
		cmocka_unit_test(test_data_files),
	};

	return cmocka_run_group_tests(tests, turns_setup, turns_teardown);
}
