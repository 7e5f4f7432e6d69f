/* SPDX-License-Identifier: MIT */
#include "tests/sim/variant.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/base/err.h"
#include "engine/base/num.h"
#include "tests/env.h"

/* Small enough that 600 requests go beyond it. */
#define DEPTH 64

static uint64_t seed;

static struct aio_backend *
make_backend(const struct variant *v, unsigned depth, struct q2_err *err)
{
	if (strcmp(v->backend, "io_uring") == 0)
		return backend_uring_new(depth, err);
	if (strcmp(v->backend, "libaio") == 0)
		return backend_libaio_new(depth, err);
	if (strcmp(v->backend, "threads") == 0)
		return backend_threads_new(err);
	return backend_memory_new(v->align, err);
}

/* Asked for in CI, where all of them must work. */
static void
cannot(struct bed *bed, const char *why)
{
	const char *ci = getenv("CI");

	if (bed->loop)
		loop_free(bed->loop);
	printf("%s: %s\n", bed->v->name, why);
	free(bed);
	if (ci && strcmp(ci, "true") == 0)
		fail_msg("%s", "must not be skipped with CI=true");
	skip();
}

static void
choose_path(struct bed *bed)
{
	const char *dir = getenv("B");
	static unsigned n;

	if (bed->v->place == ON_TMPFS)
		dir = "/dev/shm";
	else if (!dir || access(dir, W_OK) < 0)
		dir = access("build", W_OK) == 0 ? "build" : ".";
	(void)snprintf(bed->path, sizeof(bed->path), "%.60s/q2-aio-%ld-%u", dir,
		       (long)getpid(), n++);
}

/* A test may ask for a coarser alignment than the file system. */
static void
coarsen(const struct bed *bed, struct aio_file *file)
{
	file->align = (uint32_t)max_u64(file->align, bed->v->align);
	file->mem_align = (uint32_t)max_u64(file->mem_align, bed->v->align);
}

struct bed *
bed_open(const struct variant *v)
{
	return bed_open_deep(v, DEPTH);
}

struct bed *
bed_open_deep(const struct variant *v, unsigned depth)
{
	static const struct sim_opts chances = {
		.shorten = 100, .eintr = 30, .eagain = 30, .delay_max = 3};
	struct bed *bed = calloc(1, sizeof(*bed));
	struct sim_opts with_seed = chances;
	struct aio_backend *b;
	struct q2_err err = {0};
	unsigned flags = AIO_CREATE;

	assert_non_null(bed);
	bed->v = v;
	bed->rng.state = seed;
	with_seed.seed = seed;
	choose_path(bed);
	b = make_backend(v, depth, &err);
	if (!b)
		cannot(bed, err.text);
	if (v->sim)
		b = sim_new(b, &with_seed);
	assert_int_equal(loop_new_backend(b, NULL, &bed->loop, &err), 0);
	if (v->place == ON_DISK_DIRECT)
		flags |= AIO_DIRECT;
	if (aio_open(bed->loop, bed->path, flags, &bed->points, &bed->file,
		     &err) < 0)
		cannot(bed, err.text);
	coarsen(bed, bed->file);
	return bed;
}

void
bed_close(struct bed *bed)
{
	aio_close(bed->file);
	loop_free(bed->loop);
	(void)unlink(bed->path);
	free(bed);
}

struct aio_file *
bed_open_more(struct bed *bed, unsigned n, unsigned flags)
{
	struct aio_file *file = NULL;
	struct q2_err err = {0};
	char path[160];

	(void)snprintf(path, sizeof(path), "%s.%u", bed->path, n);
	if (bed->v->place == ON_DISK_DIRECT)
		flags |= AIO_DIRECT;
	if (aio_open(bed->loop, path, flags, &bed->points, &file, &err) < 0)
		fail_msg("%s", err.text);
	coarsen(bed, file);
	return file;
}

void
bed_close_more(struct bed *bed, struct aio_file *file)
{
	if (bed->v->place != IN_MEMORY)
		(void)unlink(file->name);
	aio_close(file);
}

/* ---- all of them ------------------------------------------------------- */

static const struct variant all[] = {
	{"memory", IN_MEMORY, 1, false, ""},
	{"memory", IN_MEMORY, 512, false, ""},
	{"memory", IN_MEMORY, 4096, false, ""},
	{"memory", IN_MEMORY, 512, true, ""},
	{"threads", ON_DISK, 1, false, ""},
	{"threads", ON_DISK_DIRECT, 512, true, ""},
	{"threads", ON_DISK_DIRECT, 4096, false, ""},
	{"threads", ON_TMPFS, 1, false, ""},
	{"io_uring", ON_DISK, 1, false, ""},
	{"io_uring", ON_DISK, 512, true, ""},
	{"io_uring", ON_DISK_DIRECT, 512, false, ""},
	{"io_uring", ON_DISK_DIRECT, 512, true, ""},
	{"io_uring", ON_DISK_DIRECT, 4096, false, ""},
	{"io_uring", ON_TMPFS, 1, false, ""},
	{"io_uring", ON_TMPFS, 512, true, ""},
	{"libaio", ON_DISK, 1, false, ""},
	{"libaio", ON_DISK_DIRECT, 512, false, ""},
	{"libaio", ON_DISK_DIRECT, 512, true, ""},
	{"libaio", ON_DISK_DIRECT, 4096, false, ""},
	{"libaio", ON_TMPFS, 1, false, ""},
};

static void
name_variant(struct variant *v)
{
	static const char *const places[] = {
		[IN_MEMORY] = "memory",
		[ON_DISK] = "disk",
		[ON_DISK_DIRECT] = "O_DIRECT",
		[ON_TMPFS] = "tmpfs",
	};

	(void)snprintf(v->name, sizeof(v->name), "%s %s %u%s", v->backend,
		       places[v->place], v->align, v->sim ? " disturbed" : "");
}

int
variants_run(const struct variant_test *tests, size_t n)
{
	static struct variant variants[ARRAY_SIZE(all)];
	struct CMUnitTest *units = calloc(n * ARRAY_SIZE(all), sizeof(*units));
	char(*names)[120] = calloc(n * ARRAY_SIZE(all), sizeof(*names));
	size_t used = 0;
	int r;

	if (!units || !names)
		abort();
	seed = test_seed(1);
	memcpy(variants, all, sizeof(all));
	for (size_t i = 0; i < n * ARRAY_SIZE(all); i++) {
		const struct variant_test *t = &tests[i / ARRAY_SIZE(all)];
		struct variant *v = &variants[i % ARRAY_SIZE(all)];

		if (t->no_sim && v->sim)
			continue;
		name_variant(v);
		(void)snprintf(names[used], sizeof(*names), "%s (%s)", t->name,
			       v->name);
		units[used] = (struct CMUnitTest){.name = names[used],
						  .test_func = t->run,
						  .initial_state = v};
		used++;
	}
	r = _cmocka_run_group_tests("aio", units, used, NULL, NULL);
	free(names);
	free(units);
	return r;
}
