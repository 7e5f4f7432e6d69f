/* SPDX-License-Identifier: MIT */
#include "harness/settle.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "harness/clock.h"

/* In so many samples of a window something may be in flight: others' small
 * requests are seen now and then, a discard that takes long in each. */
#define FLYING_MOST 3

static bool
is_quiet(const struct disk_count *from, const struct disk_count *to,
	 double seconds, const struct disk_rates *rates)
{
	uint64_t ops = to->ops - from->ops, bytes = to->bytes - from->bytes;

	if (rates->iops <= 0 && rates->bytes_per_s <= 0)
		return ops == 0;
	/* A single request is nothing, however slow the disk. */
	return ops <= 1 || disk_share(ops, bytes, seconds, rates->iops,
				      rates->bytes_per_s) <= QUIET_SHARE;
}

bool
settle_quiet(struct settle_window *w, double now_s,
	     const struct disk_count *count, const struct disk_rates *rates)
{
	const unsigned room = SETTLE_POLLS + 1;
	unsigned oldest, flying = 0;

	w->v[w->n % room] = *count;
	w->at_s[w->n % room] = now_s;
	w->n++;
	if (w->n < room)
		return false;
	oldest = w->n % room;
	for (unsigned i = 0; i < room; i++)
		flying += w->v[i].flying > 0;
	return flying <= FLYING_MOST &&
	       is_quiet(&w->v[oldest], count, now_s - w->at_s[oldest], rates);
}

struct settled
settle(const char *dir, const struct disks *disks,
       const struct disk_rates *rates, const volatile bool *stop)
{
	const struct timespec pause = {.tv_nsec = (long)(SETTLE_POLL_S * 1e9)};
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct settle_window window = {.n = 0};
	struct settled res = {0};
	struct disk_count count;
	double start;

	start = clock_s();
	if (fd >= 0) {
		(void)syncfs(fd);
		(void)close(fd);
	}
	while (disk_stat_read(disks, &count)) {
		double now = clock_s();

		if (settle_quiet(&window, now, &count, rates) || *stop)
			break;
		if (now - start >= SETTLE_CAP_S) {
			res.timeout = true;
			break;
		}
		(void)nanosleep(&pause, NULL);
	}
	res.waited_s = clock_s() - start;
	return res;
}
