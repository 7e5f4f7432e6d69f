/* SPDX-License-Identifier: MIT */
#include "engine/image/layers.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/aio/debug.h"
#include "engine/base/err.h"
#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/image/image.h"
#include "engine/image/open.h"

/* ---- names ------------------------------------------------------------- */

/* The path that a header's name stands for: without "file:".  What QEMU would
 * take for a protocol is refused: a header must not open anything else. */
static int
plain_name(const char *name, const char **ret_path, struct q2_err *err)
{
	size_t protocol = strcspn(name, ":/");

	if (strncmp(name, "file:", 5) == 0)
		name += 5;
	else if (name[protocol] == ':')
		return q2_fail(err, -ENOTSUP,
			       "'%.200s' is not the name of a plain file (a "
			       "file of that name would be './%.200s')",
			       name, name);
	*ret_path = name;
	return 0;
}

int
layers_check_name(const char *name, struct q2_err *err)
{
	const char *path;

	return plain_name(name, &path, err);
}

/* name, relative to the folder of path; the caller frees it. */
static char *
beside(const char *path, const char *name)
{
	const char *slash = strrchr(path, '/');
	size_t dir = slash ? (size_t)(slash - path) + 1 : 0;
	char *joined;

	if (name[0] == '/')
		dir = 0;
	joined = malloc(dir + strlen(name) + 1);
	if (!joined)
		return NULL;
	memcpy(joined, path, dir);
	(void)strcpy(joined + dir, name);
	return joined;
}

/* ---- files ------------------------------------------------------------- */

/* Have they bytes in common?  Parts of one file may lie beside each other. */
static bool
is_same_part(const struct aio_file *a, const struct aio_file *b)
{
	uint64_t end_a = a->end ? a->base + a->end : UINT64_MAX;
	uint64_t end_b = b->end ? b->base + b->end : UINT64_MAX;

	return a->base < end_b && b->base < end_a;
}

/* What file it is, asked once: a chain compares each layer with all above. */
struct identity {
	const struct aio_file *file;
	bool has; /* in memory there is only the name */
	bool is_device;
	uint64_t dev, ino;
};

static struct identity
identity_of(const struct aio_file *file)
{
	struct identity id = {.file = file};
	struct stat st;

	if (file->fd < 0 || fstat(file->fd, &st) < 0)
		return id;
	id.has = true;
	/* A device may have several names. */
	id.is_device = S_ISBLK(st.st_mode);
	id.dev = id.is_device ? 0 : st.st_dev;
	id.ino = id.is_device ? st.st_rdev : st.st_ino;
	return id;
}

static bool
is_same_file(const struct identity *a, const struct identity *b)
{
	if (!is_same_part(a->file, b->file))
		return false;
	if (a->file->fd < 0 || b->file->fd < 0)
		return strcmp(a->file->name, b->file->name) == 0;
	return a->has && b->has && a->is_device == b->is_device &&
	       a->dev == b->dev && a->ino == b->ino;
}

/* ---- the data file ----------------------------------------------------- */

static int
fail_data(const struct image *img, struct q2_err *err)
{
	if (!img->geom.external_data)
		return q2_fail(err, -EINVAL,
			       "'data-file' can only be set for images with "
			       "an external data file");
	return q2_fail(err, -EINVAL, "'data-file' is required for this image");
}

int
layers_open_data(struct image *img, const struct q2_open_opts *opts,
		 struct q2_err *err)
{
	const char *name = opts->data_file ? opts->data_file
					   : img->header.data_file;
	const char *path = NULL;
	struct identity own, data;
	unsigned flags = img->file->flags &
			 (AIO_RDONLY | AIO_DIRECT | AIO_NOSYNC);
	int r;

	if (!img->geom.external_data && !opts->data_file)
		return 0;
	if (!img->geom.external_data || !name[0])
		return fail_data(img, err);
	/* One of the caller's is a path already. */
	path = name;
	r = opts->data_file ? 0 : plain_name(name, &path, err);
	if (r < 0)
		return r;
	assert(path);
	img->data_path = strdup(path);
	if (!img->data_path)
		return q2_fail(err, -ENOMEM, "no memory for a name");
	/* Until it is open, `data` stays what image_free() knows not to close
	 * twice. */
	r = aio_open(img->loop, path, flags, &img->points, &img->data, err);
	if (r < 0) {
		img->data = img->file;
		return r;
	}
	r = aio_set_part(img->data, &opts->data_part, err);
	if (r == 0 && opts->debug && opts->debug_data_file && !opts->debug_disk)
		r = debug_attach((struct debug *)opts->debug, img->data, false,
				 opts->debug_said, err);
	if (r < 0)
		return r;
	/* Not all have locks, which would refuse this. */
	own = identity_of(img->file);
	data = identity_of(img->data);
	if (is_same_file(&own, &data))
		return q2_fail(err, -EINVAL,
			       "the data file '%.900s' is the image itself",
			       path);
	if (opts->flags & (Q2_FORCE_SHARE | Q2_NO_LOCK))
		return 0;
	return aio_lock(img->data,
			img->read_only ? AIO_LOCK_READ : AIO_LOCK_WRITE, err);
}

/* ---- the backing chain ------------------------------------------------- */

/* The files of the layers so far. */
struct seen {
	struct identity *v;
	size_t n, room;
};

/* Note the file of layer: 1 if it is one of those above it, 0, or -ENOMEM. */
static int
note_layer(struct seen *seen, const struct image *layer)
{
	struct identity id;

	if (!layer->file)
		return 0;
	id = identity_of(layer->file);
	for (size_t i = 0; i < seen->n; i++)
		if (is_same_file(&seen->v[i], &id))
			return 1;
	if (seen->n == seen->room) {
		size_t room = seen->room ? 2 * seen->room : 16;
		struct identity *v = realloc(seen->v, room * sizeof(*v));

		if (!v)
			return -ENOMEM;
		seen->v = v;
		seen->room = room;
	}
	seen->v[seen->n++] = id;
	return 0;
}

/* How the layer below img is opened: as img was, with opts, but for reading,
 * and with what opts say of it. */
static struct q2_open_opts
layer_opts(const struct image *img, const struct q2_open_opts *opts)
{
	const char *format = img->header.backing_format;
	struct q2_open_opts below = {.size = sizeof(below)};

	/* Its caller may know fewer options. */
	if (opts->backing)
		memcpy(&below, opts->backing,
		       min_u64(opts->backing->size, sizeof(below)));
	if (opts->backing_driver)
		below.driver = opts->backing_driver;
	/* The header does not know what another file is. */
	if (!below.driver && !opts->backing_file && format[0])
		below.driver = format;
	if (!below.cache)
		below.cache = opts->cache;
	below.flags = Q2_RDONLY |
		      (opts->flags & (Q2_FORCE_SHARE | Q2_NO_LOCK | Q2_CHECK));
	below.warning = opts->warning;
	below.finding_arg = opts->finding_arg;
	return below;
}

/* Open the layer that is below img, or, if it is not NULL, other, as
 * img->backing. */
static int
open_next(struct image *img, const char *other, const struct q2_open_opts *opts,
	  struct q2_err *err)
{
	Q2_AUTO_FREE char *path = NULL;
	const char *name = NULL;
	int r;

	if (other)
		return image_open_layer(img->loop, other, opts, &img->backing,
					err);
	r = plain_name(img->header.backing_file, &name, err);
	if (r < 0)
		return r;
	assert(name);
	path = beside(img->path, name);
	if (!path)
		return q2_fail(err, -ENOMEM, "no memory for a name");
	return image_open_layer(img->loop, path, opts, &img->backing, err);
}

/* Layers that a message counts: more would leave no room for the reason. */
#define DEPTH_TOLD 16

/* "Could not open backing file: " before the reason, once for each layer from
 * the top to the one that failed. */
static int
fail_backing(struct q2_err *err, unsigned depth, int r)
{
	for (unsigned i = 0; err && i < depth && i < DEPTH_TOLD; i++)
		(void)err_prefix(err, r, "Could not open backing file");
	return r;
}

static bool
has_below(const struct image *img, const struct q2_open_opts *opts)
{
	if (!image_is_qcow2(img) || opts->no_backing)
		return false;
	return opts->backing_file || img->header.backing_file[0];
}

/* The layer below img, as img->backing; depth is its own. */
static int
open_below(struct image *img, const struct q2_open_opts *o,
	   const struct q2_open_opts *below, struct seen *seen,
	   struct q2_err *err)
{
	int r = open_next(img, o->backing_file, below, err);

	if (r < 0)
		return r;
	r = note_layer(seen, img->backing);
	if (r > 0)
		return q2_fail(err, -EINVAL,
			       "the backing chain comes back to '%.900s'",
			       img->backing->path);
	return r < 0 ? q2_fail(err, r, "no memory for a layer") : 0;
}

int
layers_open_backing(struct image *img, const struct q2_open_opts *opts,
		    struct q2_err *err)
{
	struct q2_open_opts o = *opts;
	struct seen seen = {0};
	unsigned depth = 0;
	int r = 0;

	if (has_below(img, &o))
		r = note_layer(&seen, img);
	while (r == 0 && has_below(img, &o)) {
		struct q2_open_opts below = layer_opts(img, &o);

		r = open_below(img, &o, &below, &seen, err);
		depth++;
		if (r < 0)
			break;
		img = img->backing;
		o = below;
	}
	free(seen.v);
	return r < 0 ? fail_backing(err, depth, r) : 0;
}

/* ---- finding one ------------------------------------------------------- */

/* Do two paths name one file?  Both may be missing. */
static bool
is_same_path(const char *a, const char *b)
{
	struct stat x, y;

	if (strcmp(a, b) == 0)
		return true;
	return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev &&
	       x.st_ino == y.st_ino;
}

unsigned
layers_find(const struct image *img, const char *name)
{
	unsigned depth = 1;

	for (const struct image *i = img; i->backing; i = i->backing) {
		const char *path = i->backing->path;
		Q2_AUTO_FREE char *joined = beside(i->path, name);

		if ((image_is_qcow2(i) &&
		     strcmp(name, i->header.backing_file) == 0) ||
		    strcmp(name, path) == 0 ||
		    (joined && is_same_path(joined, path)))
			return depth;
		depth++;
	}
	return 0;
}

static bool
is_same_open(const struct aio_file *a, const struct aio_file *b)
{
	struct identity x = identity_of(a), y = identity_of(b);

	return a->base == b->base && a->end == b->end && is_same_file(&x, &y);
}

/* Does a guest read the same from them, as far as their own files go? */
static bool
is_same_layer(const struct image *a, const struct image *b)
{
	return a->file && b->file && strcmp(a->driver, b->driver) == 0 &&
	       a->size == b->size && is_same_open(a->file, b->file) &&
	       is_same_open(a->data, b->data);
}

static bool
is_same_chain(const struct image *a, const struct image *b)
{
	while (a && b && is_same_layer(a, b)) {
		a = a->backing;
		b = b->backing;
	}
	return !a && !b;
}

unsigned
layers_common(const struct image *img, const struct image *other)
{
	unsigned depth = 1;

	for (const struct image *i = img->backing; i; i = i->backing) {
		if (is_same_chain(i, other))
			return depth;
		depth++;
	}
	return 0;
}

bool
layers_has(const struct image *other, const struct image *img)
{
	struct identity own = identity_of(img->file);

	for (; other; other = other->backing) {
		struct identity id = {0};

		if (!other->file)
			continue;
		id = identity_of(other->file);
		if (is_same_file(&own, &id))
			return true;
	}
	return false;
}
