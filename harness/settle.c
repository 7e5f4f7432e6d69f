/* SPDX-License-Identifier: MIT */
#include "harness/settle.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "harness/clock.h"

/* How often the counters are read: often enough for 200 ms, rarely enough to
 * cost nothing. */
#define POLL_NS 20000000

bool
settle_parse(const char *text, uint64_t *ret_done, uint64_t *ret_in_flight)
{
	uint64_t v[17] = {0};
	int n = 0, used;

	while (n < 17 && sscanf(text, "%" SCNu64 "%n", &v[n], &used) == 1) {
		text += used;
		n++;
	}
	/* Since Linux 2.6 there are 11 fields; discards came with 4.18,
	 * flushes with 5.5. */
	if (n < 11)
		return false;
	*ret_done = v[0] + v[4] + v[11] + v[15];
	*ret_in_flight = v[8];
	return true;
}

static bool
read_stat(const char *path, uint64_t *ret_done, uint64_t *ret_in_flight)
{
	char text[512];
	FILE *f = fopen(path, "re");
	bool ok;

	if (!f)
		return false;
	ok = fgets(text, sizeof(text), f) &&
	     settle_parse(text, ret_done, ret_in_flight);
	(void)fclose(f);
	return ok;
}

struct settled
settle(const char *dir, const char *dev_stat, const volatile bool *stop)
{
	const struct timespec pause = {.tv_nsec = POLL_NS};
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint64_t done, in_flight, last_done = 0;
	struct settled res = {0};
	double start, quiet_since;

	start = quiet_since = clock_s();
	if (fd >= 0) {
		(void)syncfs(fd);
		(void)close(fd);
	}
	while (dev_stat[0] && read_stat(dev_stat, &done, &in_flight)) {
		double now = clock_s();

		if (done != last_done || in_flight > 0)
			quiet_since = now;
		last_done = done;
		if (now - quiet_since >= SETTLE_QUIET_S || *stop)
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
