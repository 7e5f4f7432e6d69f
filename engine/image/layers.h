/* SPDX-License-Identifier: MIT */
/*
 * layers.h - the other files of an image: its backing chain and its data file
 *
 * Names in headers are those of plain local files and nothing else, whatever
 * they look like.  Names of backing files are relative to the image that
 * names them; those of data files to the working directory, as in QEMU.
 */
#ifndef Q2_IMAGE_LAYERS_H
#define Q2_IMAGE_LAYERS_H

#include <stdbool.h>

#include "engine/q2.h"

struct image;

/* Open the data file of img, if its header names one, and lock it.  Blocking,
 * not from a coroutine. */
int layers_open_data(struct image *img, const struct q2_open_opts *opts,
		     struct q2_err *err);

/* Open what is below img, layer by layer, for reading.  Blocking, not from a
 * coroutine. */
int layers_open_backing(struct image *img, const struct q2_open_opts *opts,
			struct q2_err *err);

/* Would layers_open_backing() open a file of this name, if it was there?  0, or
 * -ENOTSUP with the reason. */
int layers_check_name(const char *name, struct q2_err *err);

/* See q2_find_layer(). */
unsigned layers_find(const struct image *img, const char *name);

/* The depth below img from which on its chain and the one that begins with
 * other are the same files, opened as the same; 0: they have nothing in common.
 * Names do not count. */
unsigned layers_common(const struct image *img, const struct image *other);

/* Is img's file one of the chain that begins with other? */
bool layers_has(const struct image *other, const struct image *img);

#endif
