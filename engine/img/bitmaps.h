/* SPDX-License-Identifier: MIT */
/*
 * bitmaps.h - bitmaps as `info` lists them and `convert` copies them
 */
#ifndef Q2_IMG_BITMAPS_H
#define Q2_IMG_BITMAPS_H

#include <stdbool.h>

#include "engine/img/json.h"
#include "engine/q2.h"

/* A list; nothing if there are none. */
void bitmaps_say(const struct q2_image *img);
void bitmaps_json(struct json *j, const struct q2_image *img);

/* Can they be copied, or, with skip, all but the inconsistent ones?  0, or 1
 * after a complaint. */
int bitmaps_check_source(struct q2_image *img, bool skip);
int bitmaps_check_target(struct q2_image *img);
/* Copy them; inconsistent ones are left out, with a warning. 0, or 1 after a
 * complaint. */
int bitmaps_copy(struct q2_image *from, struct q2_image *to);

#endif
