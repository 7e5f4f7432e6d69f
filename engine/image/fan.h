/* SPDX-License-Identifier: MIT */
/*
 * fan.h - the parts of one request, several in flight
 *
 * A request over clusters that are not adjacent in the file needs an operation
 * for each run of them.  A fan starts these side by side.
 *
 *	struct fan fan;
 *
 *	fan_init(&fan, img, AIO_READ);
 *	... fan_move(&fan, &it, layer, &place) for each part ...
 *	r = fan_wait(&fan);
 *
 * fan_wait() is always called: the parts use the fan's memory.
 */
#ifndef Q2_IMAGE_FAN_H
#define Q2_IMAGE_FAN_H

#include "engine/aio/aio.h"
#include "engine/format/entry.h"
#include "engine/image/data.h"

struct image;

#define FAN_PARTS 8

struct fan_part {
	struct fan *fan;
	struct iov_iter it;
	struct image *layer; /* whose bytes they are */
	struct data_place at;
	bool packed;           /* in a compressed cluster: only the length */
	struct l2_entry entry; /* which this describes */
	uint64_t in_cluster;   /* from here */
};

struct fan {
	struct image *img;
	enum aio_kind kind; /* AIO_READ or AIO_WRITE */
	enum aio_class cls; /* AIO_DATA, unless the caller sets another */
	struct co_join join;
	unsigned n;
	int result;
	struct fan_part parts[FAN_PARTS];
};

void fan_init(struct fan *fan, struct image *img, enum aio_kind kind);

/* Move the next bytes of it, from or to their place in layer; moves the
 * cursor.  Parks when FAN_PARTS are in flight. */
void Q2_CO fan_move(struct fan *fan, struct iov_iter *it, struct image *layer,
		    const struct data_place *at);

/* Read the next len bytes of it from a compressed cluster of layer, from
 * in_cluster on; else as fan_move(). */
void Q2_CO fan_unpack(struct fan *fan, struct iov_iter *it, uint64_t len,
		      struct image *layer, const struct l2_entry *entry,
		      uint64_t in_cluster);

/* Wait for all parts; 0 or the first error. */
int Q2_CO fan_wait(struct fan *fan);

#endif
