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

/* --cache and --aio are keys of configurations too: there they beat the
 * suite's. */
int
run_args_load(struct run_args *args, const char *name,
	      const struct suite_texts *texts, struct q2_err *err)
{
	const char *v[OPTION_LIST_MAX + 2];
	struct suite_sets sets = {.v = v, .n = args->sets.n};
	char cache[32], aio[32];
	int r;

	memcpy(v, args->sets.v, sets.n * sizeof(v[0]));
	if (args->cache) {
		(void)snprintf(cache, sizeof(cache), "cache=%s", args->cache);
		v[sets.n++] = cache;
	}
	if (args->aio) {
		(void)snprintf(aio, sizeof(aio), "aio=%s", args->aio);
		v[sets.n++] = aio;
	}
	if (texts)
		r = suites_load_kept(name, texts, &sets, &args->loaded, err);
	else
		r = suites_load(name, &sets, &args->loaded, err);
	if (r < 0)
		return r;
	args->suite = args->loaded;
	args->name = name;
	if (!args->quick || args->suite->quick)
		return 0;
	return q2_fail(err, -EINVAL,
		       "%s has no [quick] section; leave out --quick", name);
}

static int
find_suite(struct run_args *args, const char *name, struct q2_err *err)
{
	char list[256] = "";

	if (name)
		return run_args_load(args, name, NULL, err);
	for (size_t i = 0; i < suites_count(); i++)
		(void)snprintf(list + strlen(list), sizeof(list) - strlen(list),
			       "%s%s", i ? ", " : "", suites_name(i));
	return q2_fail(err, -EINVAL,
		       "which suite? There are %s, and files that end in .ini",
		       list);
}

void
run_args_done(struct run_args *args)
{
	suites_free(args->loaded);
	args->loaded = NULL;
	args->suite = NULL;
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
	r = verbosity_of(ret->quiet, ret->verbose, &ret->verbosity, err);
	if (r < 0)
		return r;
	ret->has_seed = ret->seed != NO_SEED;
	if (!ret->has_seed)
		ret->seed = new_seed();
	/* What is taken up has its suite in run.json, and what others have left
	 * can be removed without one. */
	ret->name = name;
	r = ret->resume || (ret->remove_stale && !name)
		    ? 0
		    : find_suite(ret, name, err);
	if (r < 0)
		return r;
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
		.slices = args->slices,
		.aio = args->aio,
		.cache = args->cache,
	};
}
