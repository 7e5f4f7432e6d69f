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

/* See q2_find_layer(). */
unsigned layers_find(const struct image *img, const char *name);

#endif
