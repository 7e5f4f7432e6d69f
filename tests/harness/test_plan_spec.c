/* SPDX-License-Identifier: MIT */
/*
 * What a spec file says, planned: areas, requests, turns, sizes, modes of each
 * configuration's own; and what a child gets of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <limits.h>

#include "engine/base/num.h"
#include "harness/plan.h"
#include "harness/spec_suite.h"
#include "harness/trial_spec.h"
#include "results/id.h"

#define MUCH (UINT64_C(1) << 50)

static struct spec_mem mem;
static const struct probe probe = {.iops = 10000, .bytes_per_s = 1e9};

static int
done(void **state)
{
	(void)state;
	spec_mem_done(&mem);
	return 0;
}

static void
plan_text(struct plan *plan, const char *text)
{
	struct wishes wishes = {.seed = 7};
	struct suite *suite = NULL;
	struct q2_err err = {0};

	if (spec_suite_read(&mem,
			    &(struct spec_source){"x.ini", text, strlen(text),
						  NULL, NULL},
			    &suite, &err) < 0)
		print_error("%s\n", err.text);
	assert_non_null(suite);
	wishes.suite = suite;
	plan_init(plan, &wishes);
}

static void
plan_sized(struct plan *plan, const char *text)
{
	struct q2_err err = {0};

	plan_text(plan, text);
	if (plan_sizes(plan, 0, 0, &probe, MUCH, &err) < 0)
		print_error("%s\n", err.text);
	assert_string_equal(err.text, "");
}

/* The reason why it cannot be planned. */
static void
assert_no_plan(const char *text, int code, const char *why)
{
	struct q2_err err = {0};
	struct plan plan;

	plan_text(&plan, text);
	assert_int_equal(plan_sizes(&plan, 0, 0, &probe, 10 * GiB, &err), code);
	assert_string_equal(err.text, why);
}

#define RAW "[configurations]\na = target=raw image_size=1g\n"

/* ---- work -------------------------------------------------------------- */

static void
test_areas_and_requests(void **state)
{
	struct plan plan;

	(void)state;
	plan_sized(&plan, RAW
		   "[passes]\nc = op=create\n"
		   "w = rw=randwrite size=25% stride=1m requests=100000\n"
		   "s = rw=write bs=64k size=64m offset=512m\n"
		   "r = rw=randread touch=w requests=10\n"
		   "v = rw=randread touch=w\n"
		   "u = rw=randwrite bs=1m offset=75% size=25% place=start\n");
	/* As many as there are places. */
	assert_int_equal(plan.passes[1].stream.ops, 256);
	assert_int_equal(plan.passes[1].stream.area_bytes, 256 * MiB);
	assert_int_equal(plan.passes[1].stream.stride_bytes, MiB);
	assert_int_equal(plan.passes[2].stream.ops, 1024);
	assert_int_equal(plan.passes[2].stream.area_off, 512 * MiB);
	assert_int_equal(plan.passes[3].stream.ops, 10);
	assert_int_equal(plan.passes[4].stream.ops, 256);
	assert_int_equal(plan.passes[5].stream.ops, 256);
	assert_int_equal(plan.passes[5].stream.place, STREAM_PLACE_START);
}

static void
test_requests_are_in_proportion(void **state)
{
	struct q2_err err;
	struct plan plan;

	(void)state;
	plan_text(&plan, RAW "[passes]\nc = op=create\n"
			     "w = rw=randwrite size=50% requests=1000\n"
			     "v = rw=randwrite size=50% offset=50% "
			     "requests=100\n");
	assert_int_equal(plan_sizes(&plan, 0, 0, &probe, MUCH, &err), 0);
	assert_int_equal(plan.passes[1].stream.ops, 1000);
	assert_int_equal(plan.passes[2].stream.ops, 100);
	assert_int_equal(plan_sizes(&plan, 0, 500, &probe, MUCH, &err), 0);
	assert_int_equal(plan.passes[1].stream.ops, 500);
	assert_int_equal(plan.passes[2].stream.ops, 50);
}

static void
test_slices(void **state)
{
	struct plan plan;

	(void)state;
	plan_sized(&plan, RAW "[passes]\nc = op=create\n"
			      "a = rw=randwrite size=40% slices=1\n"
			      "b = rw=randread touch=a slices=8\n"
			      "d = rw=randread touch=a\n");
	assert_int_equal(plan.passes[1].cut.turns, 1);
	assert_int_equal(plan.passes[1].cut.slice_ops,
			 plan.passes[1].stream.ops);
	assert_int_equal(plan.passes[2].cut.turns, 8);
	assert_true(plan.passes[2].cut.slice_ops * 8 >=
		    plan.passes[2].stream.ops);
	assert_true(plan.passes[3].cut.turns >= TURNS_LEAST);
}

static void
test_one_buffered_configuration_means_whole_passes_for_all(void **state)
{
	struct plan plan;

	(void)state;
	plan_sized(&plan, "[configurations]\na-${cache} = target=raw "
			  "image_size=1g cache=none,writeback\n"
			  "[passes]\nc = op=create\nw = rw=randwrite\n");
	assert_int_equal(plan_config_cache(&plan, plan.configs[0]),
			 Q2_CACHE_NONE);
	assert_int_equal(plan_config_cache(&plan, plan.configs[1]),
			 Q2_CACHE_WRITEBACK);
	assert_int_equal(plan.passes[1].cut.turns, 1);
	/* Its own mode stays; the others' can be changed. */
	plan_set_cache(&plan, Q2_CACHE_UNSAFE);
	assert_int_equal(plan_config_cache(&plan, plan.configs[1]),
			 Q2_CACHE_WRITEBACK);
	plan_sized(&plan, "[defaults]\ncache = directsync\n" RAW
			  "[passes]\nc = op=create\nw = rw=randwrite\n");
	assert_int_equal(plan.cache, Q2_CACHE_DIRECTSYNC);
	plan_set_cache(&plan, Q2_CACHE_WRITEBACK);
	assert_int_equal(plan_config_cache(&plan, plan.configs[0]),
			 Q2_CACHE_WRITEBACK);
}

/* ---- what cannot be ---------------------------------------------------- */

static void
test_what_only_bytes_tell(void **state)
{
	(void)state;
	assert_no_plan(RAW "[passes]\nc = op=create\n"
			   "w = rw=randwrite size=2g\n",
		       -EINVAL,
		       "pass w ends beyond an image of 1024 MiB; make its "
		       "offset= and size= smaller");
	assert_no_plan(RAW "[passes]\nc = op=create\n"
			   "w = rw=randwrite size=50%\n"
			   "v = rw=randwrite offset=511m size=64m\n",
		       -EINVAL,
		       "pass v is no first touch: it works where w has "
		       "written");
	assert_no_plan("[configurations]\na = target=raw state=written "
		       "image_size=100g\n"
		       "[passes]\nc = op=create\nw = rw=randwrite size=1g\n",
		       -ENOSPC,
		       "the images of a round need 110 GiB and 10 GiB are "
		       "free; images of 9g fit: --size 9g, or "
		       "--image-size 9g; or name another disk with --dir");
	assert_no_plan("[configurations]\na = target=qcow2 cluster_size=512 "
		       "image_size=1t\n"
		       "[passes]\nc = op=create\nw = rw=randwrite size=1g\n",
		       -EINVAL,
		       "a, --image-size 1099511627776: The image size is too "
		       "large (try using a larger cluster size)");
}

static void
test_what_does_not_fit_is_resolved_all_the_same(void **state)
{
	struct wishes wishes = {.suite = suites_find("preallocation")};
	unsigned long long mib;
	struct q2_err err;
	struct plan plan;
	const char *fits;

	(void)state;
	plan_init(&plan, &wishes);
	assert_int_equal(plan_sizes(&plan, 0, 0, &probe, GiB, &err), -ENOSPC);
	assert_int_equal(plan.image_bytes, 20 * GiB);
	assert_int_equal(plan.passes[2].stream.ops, 262144);
	assert_int_equal(plan_cost(&plan).cells, 66);
	/* What it says fits, does; and no more. */
	fits = strstr(err.text, "are free; images of ");
	assert_non_null(fits);
	mib = strtoull(fits + strlen("are free; images of "), NULL, 10);
	assert_int_equal(plan_sizes(&plan, mib * MiB, 0, &probe, GiB, &err), 0);
	assert_int_equal(
		plan_sizes(&plan, (mib + 1) * MiB, 0, &probe, GiB, &err),
		-ENOSPC);
}

/* The quick form takes what fits by itself, down to 80 MiB; what is smaller is
 * for the user to say. */
static void
test_a_full_disk_is_told_what_fits(void **state)
{
	struct wishes wishes = {.suite = suites_find("preallocation"),
				.quick = true};
	unsigned long long mib;
	struct q2_err err;
	struct plan plan;
	const char *fits;

	(void)state;
	plan_init(&plan, &wishes);
	assert_int_equal(plan_sizes(&plan, 0, 0, &probe, 200 * MiB, &err),
			 -ENOSPC);
	fits = strstr(err.text, "200 MiB are free; images of ");
	assert_non_null(fits);
	mib = strtoull(strstr(fits, "of ") + 3, NULL, 10);
	assert_in_range(mib, 16, 79);
	assert_non_null(strstr(fits, "m fit: --size "));
	assert_non_null(strstr(fits, "or --image-size "));
	assert_int_equal(
		plan_sizes(&plan, mib * MiB, 0, &probe, 200 * MiB, &err), 0);
	/* None does: then what the smallest takes. */
	assert_int_equal(plan_sizes(&plan, 0, 0, &probe, 40 * MiB, &err),
			 -ENOSPC);
	fits = strstr(err.text,
		      "40 MiB are free; the smallest, --image-size 16m, need ");
	assert_non_null(fits);
	mib = strtoull(strstr(fits, "need ") + 5, NULL, 10);
	assert_int_equal(
		plan_sizes(&plan, 16 * MiB, 0, &probe, mib * MiB, &err), 0);
	assert_int_equal(
		plan_sizes(&plan, 16 * MiB, 0, &probe, (mib - 1) * MiB, &err),
		-ENOSPC);
	assert_null(strstr(err.text, "--image-size"));
}

/* A run is judged before it has probed: what it says fits must fit on a fast
 * disk, too, where there would be more requests and a larger disk. */
static void
test_what_fits_before_the_probe_fits_after_it(void **state)
{
	struct wishes wishes = {.suite = suites_find("preallocation"),
				.quick = true};
	unsigned long long mib;
	struct q2_err err;
	struct plan plan;

	(void)state;
	for (uint64_t space = 200 * MiB; space < 1400 * MiB;
	     space += 97 * MiB) {
		plan_init(&plan, &wishes);
		assert_int_equal(plan_sizes(&plan, 2 * GiB, 0, &plan_slow_disk,
					    space, &err),
				 -ENOSPC);
		mib = strtoull(strstr(err.text, "are free; images of ") + 20,
			       NULL, 10);
		plan_init(&plan, &wishes);
		if (plan_sizes(&plan, mib * MiB, 0, &plan_fast_disk, space,
			       &err) < 0)
			fail_msg("%llu MiB of images in %llu: %s", mib,
				 (unsigned long long)(space / MiB), err.text);
		assert_true(plan_space(&plan, plan.image_bytes,
				       plan.requests) <= space);
	}
}

/* What a wish does not do is said. */
static void
test_wishes_without_effect(void **state)
{
	char notes[PLAN_NOTES][PLAN_NOTE_SIZE];
	struct wishes wishes = {.suite = suites_find("preallocation"),
				.quick = true,
				.disk_bytes = 40 * GiB};
	struct q2_err err;
	struct plan plan;

	(void)state;
	plan_init(&plan, &wishes);
	assert_int_equal(plan_sizes(&plan, 64 * MiB, 512, &probe, MUCH, &err),
			 0);
	assert_int_equal(plan_notes(&plan, true, notes), 0);
	assert_int_equal(
		plan_sizes(&plan, 64 * MiB, 999999999, &probe, MUCH, &err), 0);
	assert_int_equal(plan_notes(&plan, true, notes), 1);
	assert_non_null(strstr(notes[0], " makes "));
	assert_non_null(strstr(notes[0], " requests, not 999999999: "));
	assert_non_null(strstr(notes[0], "one to each 64 KiB"));
	/* By itself the quick form takes what there is. */
	assert_int_equal(plan_notes(&plan, false, notes), 0);
	wishes.suite = suites_find("aa");
	plan_init(&plan, &wishes);
	assert_int_equal(plan_sizes(&plan, 64 * MiB, 512, &probe, MUCH, &err),
			 0);
	assert_int_equal(plan_notes(&plan, true, notes), 1);
	assert_non_null(strstr(notes[0], "no disk of the --size"));
}

/* A disk that nobody asked for is none that could not be there. */
static void
test_the_disk_is_no_larger_than_its_place(void **state)
{
	struct wishes wishes = {.suite = suites_find("preallocation"),
				.quick = true};
	struct q2_err err;
	struct plan plan;

	(void)state;
	plan_init(&plan, &wishes);
	assert_int_equal(plan_sizes(&plan, 0, 0, &probe, MUCH, &err), 0);
	assert_int_equal(plan.disk_bytes, 64 * GiB);
	assert_int_equal(plan_sizes(&plan, 0, 0, &probe, 60 * GiB, &err), 0);
	assert_int_equal(plan.disk_bytes, 32 * GiB);
	assert_int_equal(plan_sizes(&plan, 0, 0, &probe, 800 * MiB, &err), 0);
	assert_int_equal(plan.disk_bytes, 512 * MiB);
	assert_true(plan.image_bytes < plan.disk_bytes);
	wishes.disk_bytes = 64 * GiB;
	plan_init(&plan, &wishes);
	assert_int_equal(plan_sizes(&plan, 0, 0, &probe, 60 * GiB, &err), 0);
	assert_int_equal(plan.disk_bytes, 64 * GiB);
}

static void
test_a_huge_disk_is_judged_before_the_run(void **state)
{
	struct wishes wishes = {.suite = suites_find("preallocation"),
				.quick = true,
				.disk_bytes = 100 * TiB};
	struct q2_err err;
	struct plan plan;

	(void)state;
	plan_init(&plan, &wishes);
	assert_int_equal(plan_sizes(&plan, 0, 0, &probe, MUCH, &err), 0);
	assert_string_equal(plan_left_out(&plan)->label, "qcow2-metadata");
	for (size_t c = 0; c < plan.nconfigs; c++)
		assert_int_equal(plan_does(&plan, c, 1),
				 strcmp(plan.configs[c]->label, "qcow2-off") ==
					 0);
	/* 64k clusters: eight bytes of L2 and two of refcount to each. */
	assert_in_range(plan_metadata_bytes(plan.configs[3], 100 * TiB),
			(uint64_t)10 * (100 * TiB / (64 * KiB)),
			(uint64_t)11 * (100 * TiB / (64 * KiB)));
	wishes.disk_bytes = 64 * GiB;
	plan_init(&plan, &wishes);
	assert_int_equal(plan_sizes(&plan, 0, 0, &probe, MUCH, &err), 0);
	assert_null(plan_left_out(&plan));
}

/* ---- what a child gets ------------------------------------------------- */

static void
trial_of(const struct plan *plan, size_t config, struct trial_spec *ret)
{
	json_t *json = trial_spec_json(plan, config, 1, "/x");
	struct q2_err err = {0};

	/* A younger program may say more. */
	(void)json_object_set_new(json, "unheard_of", json_true());
	if (trial_spec_parse(json, ret, &err) < 0)
		print_error("%s\n", err.text);
	assert_string_equal(err.text, "");
	json_decref(json);
}

static void
test_a_child_gets_every_key(void **state)
{
	struct trial_spec spec;
	struct plan plan;

	(void)state;
	plan_sized(
		&plan,
		"[configurations]\n"
		"a = target=qcow2 preallocation=falloc zero=hole "
		"cluster_size=1m extended_l2=on refcount_bits=64 "
		"lazy_refcounts=on l2_cache_size=3m l2_cache_entry_size=8k "
		"refcount_cache_size=4m cache_clean_interval=0 "
		"cache=directsync aio=libaio discard=unmap "
		"detect_zeroes=unmap image_size=2g\n"
		"b = target=qcow2 compat=0.10 image_size=1g\n"
		"[passes]\nc = op=create\n"
		"w = rw=randwrite bs=8k stride=1m place=middle requests=9\n");
	trial_of(&plan, 0, &spec);
	assert_int_equal(spec.image.virtual_bytes, 2 * GiB);
	assert_int_equal(spec.image.prealloc, Q2_PREALLOC_FALLOC);
	assert_int_equal(spec.image.zero, Q2_ZERO_HOLE);
	assert_int_equal(spec.image.cluster_size, MiB);
	assert_true(spec.image.extended_l2 && spec.image.lazy_refcounts &&
		    spec.image.unmap);
	assert_int_equal(spec.image.refcount_bits, 64);
	assert_int_equal(spec.image.l2_cache_size, 3 * MiB);
	assert_int_equal(spec.image.l2_cache_entry_size, 8 * KiB);
	assert_int_equal(spec.image.refcount_cache_size, 4 * MiB);
	assert_int_equal(spec.image.cache_clean_interval, UINT_MAX);
	assert_int_equal(spec.image.cache, Q2_CACHE_DIRECTSYNC);
	assert_string_equal(spec.aio, "libaio");
	assert_int_equal(spec.image.detect_zeroes, Q2_DETECT_UNMAP);
	assert_int_equal(spec.passes[1].stream.place, STREAM_PLACE_MIDDLE);
	assert_int_equal(spec.passes[1].stream.stride_bytes, MiB);
	assert_int_equal(spec.passes[1].stream.ops, 9);
	trial_spec_done(&spec);
	trial_of(&plan, 1, &spec);
	assert_int_equal(spec.image.compat, 2);
	assert_int_equal(spec.image.virtual_bytes, GiB);
	assert_int_equal(spec.image.cache, Q2_CACHE_NONE);
	assert_int_equal(spec.image.cache_clean_interval, 0);
	assert_false(spec.image.unmap || spec.image.extended_l2);
	assert_null(spec.aio);
	trial_spec_done(&spec);
}

/* What is said and what is the default are one cell; what differs is not. */
static void
first_id(const char *keys, const char *pass_keys, char id[ID_SIZE])
{
	char text[512];
	struct plan plan;
	json_t *json;

	(void)snprintf(text, sizeof(text),
		       "[configurations]\na = target=qcow2 image_size=1g %s\n"
		       "[passes]\nc = op=create\n"
		       "w = rw=randwrite bs=4k size=50%% %s\n",
		       keys, pass_keys);
	plan_sized(&plan, text);
	json = trial_spec_keys(&plan, 0, &plan.passes[1]);
	id_of_json(json, id);
	json_decref(json);
}

static void
test_ids_tell_what_differs(void **state)
{
	static const struct {
		const char *config, *pass;
		bool other;
	} cases[] = {
		{"compat=1.1 refcount_bits=16 cluster_size=64k", "", false},
		{"lazy_refcounts=off cache_clean_interval=600", "", false},
		{"cache=none discard=ignore detect_zeroes=off", "", false},
		{"zero=range preallocation=off extended_l2=off", "", false},
		{"", "stride=64k place=random iodepth=1 offset=0%", false},
		{"", "slices=2", false},
		{"compat=v2", "", true},
		{"refcount_bits=1", "", true},
		{"cluster_size=128k", "", true},
		{"lazy_refcounts=on", "", true},
		{"cache_clean_interval=0", "", true},
		{"cache=unsafe", "", true},
		{"aio=threads", "", true},
		{"discard=unmap", "", true},
		{"detect_zeroes=on", "", true},
		{"zero=hole", "", true},
		{"preallocation=metadata", "", true},
		{"extended_l2=on", "", true},
		{"l2_cache_size=1m", "", true},
		{"l2_cache_entry_size=512", "", true},
		{"refcount_cache_size=1m", "", true},
		{"", "stride=128k", true},
		{"", "place=start", true},
		{"", "iodepth=2", true},
		{"", "requests=7", true},
	};
	char plain[ID_SIZE], id[ID_SIZE];

	(void)state;
	first_id("", "", plain);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		first_id(cases[i].config, cases[i].pass, id);
		if ((strcmp(id, plain) != 0) != cases[i].other)
			print_error("%s %s\n", cases[i].config, cases[i].pass);
		assert_int_equal(strcmp(id, plain) != 0, cases[i].other);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_areas_and_requests),
		cmocka_unit_test(test_requests_are_in_proportion),
		cmocka_unit_test(test_slices),
		cmocka_unit_test(
			test_one_buffered_configuration_means_whole_passes_for_all),
		cmocka_unit_test(test_what_only_bytes_tell),
		cmocka_unit_test(
			test_what_does_not_fit_is_resolved_all_the_same),
		cmocka_unit_test(test_a_full_disk_is_told_what_fits),
		cmocka_unit_test(test_what_fits_before_the_probe_fits_after_it),
		cmocka_unit_test(test_wishes_without_effect),
		cmocka_unit_test(test_the_disk_is_no_larger_than_its_place),
		cmocka_unit_test(test_a_huge_disk_is_judged_before_the_run),
		cmocka_unit_test(test_a_child_gets_every_key),
		cmocka_unit_test(test_ids_tell_what_differs),
	};

	return cmocka_run_group_tests(tests, NULL, done);
}
