/* SPDX-License-Identifier: MIT */
#include "harness/targets/target.h"

#include <string.h>

#include "engine/base/err.h"
#include "engine/base/num.h"

static const struct target *const targets[] = {
	&target_raw, &target_qcow2, &target_null, &target_nbd, &target_qemu};

const struct target *
target_at(size_t i)
{
	return i < ARRAY_SIZE(targets) ? targets[i] : NULL;
}

const struct target *
target_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
		if (strcmp(targets[i]->name, name) == 0)
			return targets[i];
	}
	return NULL;
}

const char *
target_format(const struct target *target, const struct target_image *image)
{
	if (target->format)
		return target->format;
	return image->raw_state ? "raw" : "qcow2";
}

int
target_open(const struct target *target, struct q2_loop *loop, const char *path,
	    const struct target_image *image, struct disk *ret,
	    struct q2_err *err)
{
	struct q2_open_opts opts;
	struct q2_image *img;
	int r;

	if (target->open_disk)
		return target->open_disk(loop, path, image, ret, err);
	opts = target->open_opts(image);
	r = q2_open(loop, path, &opts, &img, err);
	if (r < 0)
		return err_prefix(err, r, "cannot open %s", path);
	disk_of_image(ret, loop, img);
	return 0;
}

int
target_create(const struct target *target, struct q2_loop *loop,
	      const char *path, const struct target_image *image,
	      struct q2_create_result *ret, struct q2_err *err)
{
	struct q2_create_opts opts;

	if (target->create_file)
		return target->create_file(path, image, err);
	opts = target->create_opts(image);
	return q2_create(loop, path, &opts, ret, err);
}
