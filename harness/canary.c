/* SPDX-License-Identifier: MIT */
#include "harness/canary.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/base/num.h"
#include "engine/base/rng.h"
#include "harness/clock.h"
#include "harness/stats/rank.h"

#define PART_S     0.05 /* of each of the two, when it is set up */
#define SPINS_TRY  1000000
#define READ_BYTES 4096
#define READS_TRY  16
#define READS_MOST 4096
/* Small enough to be written at once on any disk, and larger than what a drive
 * reads ahead. */
#define FILE_BYTES (4 * MiB)
#define FIRST      5 /* canaries to begin with */

/* ---- the two kinds of work --------------------------------------------- */

/* A chain: each step needs the one before, so that no processor is better at it
 * for being wider. */
static void
spin(uint64_t n)
{
	uint64_t x = 88172645463325252ULL;

	for (uint64_t i = 0; i < n; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
	}
	/* Somebody wants it: else there would be no loop. */
	__asm__ volatile("" : : "r"(x));
}

static double
spin_s(uint64_t n)
{
	double start;

	/* Whoever has slept for 200 ms begins with a slow clock. */
	spin(n / 8);
	start = clock_s();
	spin(n);
	return clock_s() - start;
}

/* The same places each time; -1 if the disk does not want to. */
static double
read_s(const struct canary *c, unsigned n)
{
	double start = clock_s();

	for (unsigned i = 0; i < n; i++) {
		uint64_t block = rng_derive(1, i) % (FILE_BYTES / READ_BYTES);

		if (pread(c->fd, c->buf, READ_BYTES,
			  (off_t)(block * READ_BYTES)) != READ_BYTES)
			return -1;
	}
	return clock_s() - start;
}

/* ---- setting up -------------------------------------------------------- */

/* Written and without a name, or -1. */
static int
make_file(const char *dir, void *buf)
{
	char path[PATH_MAX];
	int fd, n = snprintf(path, sizeof(path), "%s/canary", dir);
	bool ok = true;

	if (n < 0 || (size_t)n >= sizeof(path))
		return -1;
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_DIRECT, 0600);
	if (fd < 0)
		return -1;
	(void)unlink(path);
	for (uint64_t at = 0; ok && at < FILE_BYTES; at += MiB)
		ok = pwrite(fd, buf, MiB, (off_t)at) == (ssize_t)MiB;
	if (ok && fdatasync(fd) == 0)
		return fd;
	(void)close(fd);
	return -1;
}

static void
set_up_reads(struct canary *c, const char *dir)
{
	uint64_t *words;
	double s;

	if (!dir || posix_memalign(&c->buf, 4096, MiB) != 0)
		return;
	words = c->buf;
	for (size_t i = 0; i < MiB / sizeof(*words); i++)
		words[i] = rng_derive(2, i);
	c->fd = make_file(dir, c->buf);
	if (c->fd < 0)
		return;
	s = read_s(c, READS_TRY);
	if (s <= 0) {
		(void)close(c->fd);
		c->fd = -1;
		return;
	}
	c->reads = (unsigned)min_u64((uint64_t)(PART_S / s * READS_TRY) + 1,
				     READS_MOST);
}

void
canary_init(struct canary *c, const char *dir)
{
	double best = 1;

	*c = (struct canary){.fd = -1};
	for (int i = 0; i < 3; i++) {
		double s = spin_s(SPINS_TRY);

		best = s < best ? s : best;
	}
	c->spins = (uint64_t)(PART_S / best * SPINS_TRY) + 1;
	set_up_reads(c, dir);
	for (int i = 0; i < FIRST; i++)
		(void)canary_sing(c);
}

void
canary_done(struct canary *c)
{
	if (c->fd >= 0)
		(void)close(c->fd);
	free(c->buf);
	free(c->cpu);
	free(c->io);
	*c = (struct canary){.fd = -1};
}

double
canary_sing_s(bool disk)
{
	/* The spin has an eighth before it that is not timed. */
	return PART_S + PART_S / 8 + (disk ? PART_S : 0);
}

double
canary_init_s(bool disk)
{
	return FIRST * canary_sing_s(disk);
}

/* ---- the session ------------------------------------------------------- */

static bool
grow(struct canary *c)
{
	size_t room = c->room ? c->room * 2 : 64;
	double *cpu, *io;

	if (c->n < c->room)
		return true;
	cpu = realloc(c->cpu, room * sizeof(*cpu));
	if (cpu)
		c->cpu = cpu;
	io = realloc(c->io, room * sizeof(*io));
	if (io)
		c->io = io;
	if (!cpu || !io)
		return false;
	c->room = room;
	return true;
}

struct canary_times
canary_sing(struct canary *c)
{
	struct canary_times times = {.cpu_s = spin_s(c->spins)};

	if (c->fd >= 0)
		times.io_s = read_s(c, c->reads);
	/* What cannot be read any more is not compared any more. */
	if (times.io_s < 0)
		times.io_s = 0;
	if (grow(c)) {
		c->cpu[c->n] = times.cpu_s;
		c->io[c->n] = times.io_s;
		c->n++;
	}
	return times;
}

uint64_t
canary_bytes(const struct canary *c)
{
	return c->fd >= 0 ? (uint64_t)c->reads * READ_BYTES : 0;
}

void
canary_norms(const struct canary *c, struct canary_norm *ret_cpu,
	     struct canary_norm *ret_io)
{
	/* As many as the median takes: in a session that is longer, the
	 * last. */
	size_t from = c->n > RANK_MAX ? c->n - RANK_MAX : 0, n = c->n - from;

	*ret_cpu = *ret_io = (struct canary_norm){0};
	if (n == 0)
		return;
	*ret_cpu = (struct canary_norm){rank_median(c->cpu + from, n),
					rank_mad(c->cpu + from, n)};
	*ret_io = (struct canary_norm){rank_median(c->io + from, n),
				       rank_mad(c->io + from, n)};
}
