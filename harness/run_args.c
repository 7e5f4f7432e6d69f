/* SPDX-License-Identifier: MIT */
#include "harness/run_args.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "harness/clock.h"

/* Rounds need ids below 2^32, and nobody's patience is longer. */
#define ROUNDS_MOST 100000

/* Nobody repeats a run by this seed. */
#define NO_SEED UINT64_MAX

const char *const run_args_aio[] = {"io_uring", "libaio", "threads", NULL};

static const char *
suite_name(const void *arg, size_t i)
{
	(void)arg;
	return suites_at(i)->name;
}

static int
find_suite(const char *name, const struct suite **ret, struct q2_err *err)
{
	const char *near;
	char list[256] = "";

	*ret = name ? suites_find(name) : NULL;
	if (*ret)
		return 0;
	for (size_t i = 0; i < suites_count(); i++)
		(void)snprintf(list + strlen(list), sizeof(list) - strlen(list),
			       "%s%s", i ? ", " : "", suites_at(i)->name);
	if (!name)
		return q2_fail(err, -EINVAL, "which suite? There are %s", list);
	near = options_nearest(name, suites_count(), suite_name, NULL);
	if (near)
		return q2_fail(err, -EINVAL,
			       "unknown suite '%s'; did you mean '%s'?", name,
			       near);
	return q2_fail(err, -EINVAL, "unknown suite '%s'; there are %s", name,
		       list);
}

static uint64_t
new_seed(void)
{
	uint64_t seed;

	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		seed = clock_ns();
	/* Short enough to be typed again, and exact in every reader of CSV. */
	return seed & 0xffffffff;
}

int
run_args_parse(const struct options *opts, int argc, char **argv,
	       struct run_args *ret, struct q2_err *err)
{
	const char *name = NULL;
	int r;

	*ret = (struct run_args){.seed = NO_SEED};
	r = options_parse(opts, argc, argv, ret, (struct operands){&name, 1},
			  err);
	if (r < 0)
		return r;
	ret->has_seed = ret->seed != NO_SEED;
	if (!ret->has_seed)
		ret->seed = new_seed();
	if (name || !ret->resume) {
		r = find_suite(name, &ret->suite, err);
		if (r < 0)
			return r;
	}
	if (!ret->dir && !ret->resume)
		ret->dir = ".";
	if (ret->rounds > ROUNDS_MOST)
		return q2_fail(err, -EINVAL, "--rounds: %llu is more than %d",
			       (unsigned long long)ret->rounds, ROUNDS_MOST);
	if (ret->size > (uint64_t)INT64_MAX ||
	    ret->image_size > (uint64_t)INT64_MAX)
		return q2_fail(err, -EINVAL,
			       "--size and --image-size: more than 8 EiB");
	return 0;
}

struct wishes
run_args_wishes(const struct run_args *args)
{
	return (struct wishes){
		.suite = args->suite,
		.quick = args->quick,
		.rounds = args->rounds,
		.seed = args->seed,
		.image_bytes = args->image_size,
		.requests = args->requests,
		.disk_bytes = args->size,
		.aio = args->aio,
		.cache = args->cache,
	};
}
