/* SPDX-License-Identifier: MIT */
#include "engine/img/overlay.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/err.h"
#include "engine/base/mem.h"

/* An empty file; the caller frees its path and removes it. */
static int
make_file(char **ret_path, struct q2_err *err)
{
	const char *folder = getenv("TMPDIR");
	char *path;
	int fd;

	if (asprintf(&path, "%s/qcowimg.XXXXXX",
		     folder && *folder ? folder : "/var/tmp") < 0)
		return q2_fail(err, -ENOMEM, "no memory for a file name");
	fd = mkstemp(path);
	if (fd < 0) {
		int r = -errno;

		(void)q2_fail(err, r, "Could not create temporary overlay '%s'",
			      path);
		free(path);
		return r;
	}
	(void)close(fd);
	*ret_path = path;
	return 0;
}

static int
make_overlay(struct file *file, const char *path, struct q2_err *err)
{
	struct q2_create_opts create = {
		.size = sizeof(create),
		.driver = "qcow2",
		.virtual_size = q2_size(file->img),
		.cache = Q2_CACHE_UNSAFE,
	};

	return q2_create(file->loop, path, &create, NULL, err);
}

static int
open_overlay(const struct file *file, const struct file_opts *opts,
	     const char *path, struct q2_image **ret_img, struct q2_err *err)
{
	struct q2_open_opts below = file->spec.opts;
	struct q2_open_opts o = {
		.size = sizeof(o),
		.driver = "qcow2",
		.cache = Q2_CACHE_UNSAFE,
		.flags = opts->open.flags & (Q2_RDONLY | Q2_UNMAP),
		.backing_file = file->spec.path,
		.backing = &below,
		.finding = file->spec.opts.finding,
		.warning = file->spec.opts.warning,
		.detect_zeroes = file->spec.opts.detect_zeroes,
	};
	struct q2_info info;
	int r = q2_info(file->img, &info, err);

	/* It is opened again: no more guesses. */
	below.size = sizeof(below);
	below.driver = info.driver;
	return r < 0 ? r : q2_open(file->loop, path, &o, ret_img, err);
}

int
overlay_put(struct file *file, const struct file_opts *opts, struct q2_err *err)
{
	Q2_AUTO_FREE char *path = NULL;
	struct q2_image *img = NULL;
	int r;

	if (!file->spec.path)
		return q2_fail(err, -ENOTSUP,
			       "there is no file that an overlay could have "
			       "below it");
	r = make_file(&path, err);
	if (r < 0)
		return r;
	assert(path);
	r = make_overlay(file, path, err);
	if (r == 0)
		r = open_overlay(file, opts, path, &img, err);
	/* It goes with the last descriptor, however the program ends. */
	(void)unlink(path);
	if (r < 0)
		return r;
	(void)q2_close(file->img, NULL);
	file->img = img;
	file->was_probed = false;
	return 0;
}
