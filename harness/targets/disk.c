/* SPDX-License-Identifier: MIT */
#include "harness/targets/disk.h"

#include "engine/base/err.h"
#include "harness/targets/nbd_disk.h"
#include "harness/targets/process.h"

static void
image_submit(struct disk *disk, struct q2_req *rq)
{
	q2_submit(disk->img, rq);
}

static int
image_run(struct disk *disk)
{
	return q2_loop_run(disk->loop, 1, -1);
}

static int
image_flush(struct disk *disk)
{
	return q2_flush(disk->img);
}

static int
image_close(struct disk *disk, struct q2_err *err)
{
	return q2_close(disk->img, err);
}

void
disk_of_image(struct disk *disk, struct q2_loop *loop, struct q2_image *img)
{
	*disk = (struct disk){
		.submit = image_submit,
		.run = image_run,
		.flush = image_flush,
		.close = image_close,
		.loop = loop,
		.img = img,
	};
}

int
disk_close(struct disk *disk, struct q2_err *err)
{
	int r = 0;

	if (disk->close)
		r = disk->close(disk, err);
	*disk = (struct disk){0};
	return r;
}

void
disk_explain(const struct disk *disk, struct q2_err *err)
{
	if (disk->nbd && nbd_disk_error(disk->nbd)[0])
		(void)err_prefix(err, err->code, "%s",
				 nbd_disk_error(disk->nbd));
	if (disk->server)
		server_explain(disk->server, err);
}
