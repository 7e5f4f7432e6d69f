/* SPDX-License-Identifier: MIT */
/*
 * variant.h - one test, run on every backend, place and alignment
 *
 *	static const struct variant_test tests[] = {
 *		{"reads and writes", test_reads_and_writes}, ...
 *	};
 *
 *	static void test_reads_and_writes(void **state)
 *	{
 *		struct bed *bed = bed_open(*state);	may skip the test
 *		... bed->loop, bed->file ...
 *		bed_close(bed);
 *	}
 *
 *	int main(void) { return variants_run(tests, ARRAY_SIZE(tests)); }
 *
 * A backend that cannot be had here skips its tests with the reason; with
 * CI=true in the environment they fail.
 */
#ifndef TESTS_SIM_VARIANT_H
#define TESTS_SIM_VARIANT_H

#include "tests/sim/sim.h"

enum variant_place {
	IN_MEMORY, /* the memory backend's own files */
	ON_DISK,   /* buffered, in the build folder */
	ON_DISK_DIRECT,
	ON_TMPFS, /* /dev/shm */
};

struct variant {
	const char *backend;
	enum variant_place place;
	uint32_t align; /* at least; a device may ask for more */
	bool sim;       /* wrapped: delays, disorder, short, EINTR, EAGAIN */
	char name[40];
};

struct variant_test {
	const char *name;
	void (*run)(void **state); /* *state: struct variant */
	bool no_sim;               /* makes no sense with the wrapper */
};

/* An open file on a loop, made for one test. */
struct bed {
	const struct variant *v;
	struct loop *loop;
	struct aio_file *file;
	struct points points;
	struct rng rng;
	char path[128]; /* of file; others are path plus a suffix */
};

/* To be called from the test's own stack: it asserts, and may skip. */
struct bed *bed_open(const struct variant *v);
/* The same with so many requests in the kernel at once. */
struct bed *bed_open_deep(const struct variant *v, unsigned depth);
void bed_close(struct bed *bed);
/* Another file beside the first, "path.n". */
struct aio_file *bed_open_more(struct bed *bed, unsigned n, unsigned flags);
void bed_close_more(struct bed *bed, struct aio_file *file);

/* Run tests on all variants; the status for main(). */
int variants_run(const struct variant_test *tests, size_t n);

#endif
