/* SPDX-License-Identifier: MIT */
/*
 * reopen.c - a layer of an open chain, opened again for writing
 *
 * Layers below the top are open for reading and hold the lock of a reader,
 * which would refuse us as a writer.  So the old struct is closed first.  What
 * another program did to the file in between is seen, since everything is read
 * again.
 */
#include "engine/image/reopen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/err.h"
#include "engine/base/num.h"
#include "engine/image/image.h"
#include "engine/image/mark.h"
#include "engine/image/open.h"

/* What the old struct was opened with, its strings as copies. */
struct layer {
	char *path, *data_path;
	struct q2_open_opts opts;
};

static struct q2_part
part_of(const struct aio_file *file)
{
	return (struct q2_part){
		.offset = file->base,
		.size = file->end,
		.has_size = file->end != 0,
	};
}

static int
layer_init(struct layer *l, const struct image *img)
{
	*l = (struct layer){.path = strdup(img->path)};
	if (img->data_path)
		l->data_path = strdup(img->data_path);
	if (!l->path || (img->data_path && !l->data_path))
		return -ENOMEM;
	l->opts = (struct q2_open_opts){
		.size = sizeof(l->opts),
		.driver = img->driver,
		.cache = img->cache_mode,
		.zero = img->zero,
		.virtual_size = img->size,
		.l2_cache_size = img->opts.l2_cache_size,
		.l2_cache_entry_size = img->opts.l2_cache_entry_size,
		.refcount_cache_size = img->opts.refcount_cache_size,
		.cache_size = img->opts.cache_size,
		.warning = img->opts.warning,
		.finding = img->opts.finding,
		.finding_arg = img->opts.finding_arg,
		.data_file = l->data_path,
	};
	if (img->file)
		l->opts.part = part_of(img->file);
	if (l->data_path)
		l->opts.data_part = part_of(img->data);
	return 0;
}

static void
layer_done(struct layer *l)
{
	free(l->path);
	free(l->data_path);
}

static int Q2_CO
begin_writing(void *arg)
{
	struct image *img = arg;

	return image_is_qcow2(img) ? mark_clear_unknown(img) : 0;
}

/* As mode says, for the image and its data file. */
static int
lock_layer(struct image *img, enum aio_lock_mode mode)
{
	int r = img->file ? aio_lock(img->file, mode, NULL) : 0;

	if (r == 0 && img->data != img->file)
		r = aio_lock(img->data, mode, NULL);
	return r;
}

/* Keys are wiped when an image has been
 * opened, so its ciphers are taken over. */
static int
open_again(struct image *above, struct layer *l, struct image **ret_img,
	   struct q2_err *err)
{
	struct image *old = above->backing;
	int r;

	if (old->crypt.on)
		l->opts.flags |= OPEN_WITHOUT_KEY;
	r = image_open_layer(above->loop, l->path, &l->opts, ret_img, err);
	if (r < 0 || !old->crypt.on)
		return r;
	r = crypt_take_over(*ret_img, old, err);
	if (r < 0)
		(void)image_close(*ret_img, NULL);
	return r;
}

static int
replace(struct image *above, struct layer *l, struct q2_err *err)
{
	struct image *old = above->backing, *img;
	unsigned unlocked = above->opts.flags & (Q2_FORCE_SHARE | Q2_NO_LOCK);
	int r;

	l->opts.flags = (above->unmap ? Q2_UNMAP : 0) | unlocked;
	if (!unlocked)
		(void)lock_layer(old, AIO_LOCK_NONE);
	r = open_again(above, l, &img, err);
	if (r == 0) {
		above->backing = img;
		img->backing = old->backing;
		old->backing = NULL;
		(void)image_close(old, NULL);
	} else if (!unlocked &&
		   lock_layer(old, image_is_qcow2(old) ? AIO_LOCK_READ
						       : AIO_LOCK_RAW_READ) < 0)
		/* Somebody else may be writing to it now. */
		above->failed = -EIO;
	return r;
}

int
reopen_below(struct image *above, struct q2_err *err)
{
	struct layer l;
	int r;

	if (!above->backing->read_only)
		return 0;
	r = layer_init(&l, above->backing);
	if (r < 0)
		(void)q2_fail(err, r, "no memory for a layer");
	else
		r = replace(above, &l, err);
	layer_done(&l);
	if (r < 0)
		return r;
	/* B1: now that all of it has been judged. */
	r = loop_call(above->loop, begin_writing, above->backing);
	if (r < 0)
		return q2_fail(err, r,
			       "Could not clear unknown autoclear bits: %s",
			       strerror(-r));
	return 0;
}
