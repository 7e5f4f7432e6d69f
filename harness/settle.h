/* SPDX-License-Identifier: MIT */
/*
 * settle.h - wait until a disk has nothing to do
 *
 * Between rounds files are unlinked; what the file system and the drive do with
 * that must not fall into the next round's turns.  Quiet means that the block
 * device has completed nothing and has nothing in flight for 200 ms.
 */
#ifndef HARNESS_SETTLE_H
#define HARNESS_SETTLE_H

#include <stdbool.h>
#include <stdint.h>

#define SETTLE_QUIET_S 0.2
#define SETTLE_CAP_S   3.0

struct settled {
	double waited_s;
	bool timeout; /* the cap was reached */
};

/*
 * syncfs the file system of dir, then wait.  dev_stat is the device's stat file
 * in /sys, "" if there is none: then the sync is all.  Returns early when
 * *stop becomes true.
 */
struct settled settle(const char *dir, const char *dev_stat,
		      const volatile bool *stop);

/* What has changed when the disk has worked: requests completed of all kinds.
 * false if text is no stat line. */
bool settle_parse(const char *text, uint64_t *ret_done,
		  uint64_t *ret_in_flight);

#endif
