/* SPDX-License-Identifier: MIT */
/*
 * nbd.c - an export of any NBD server, wherever it is
 *
 * Nothing is made: what the export holds is used as it is, and a pass that
 * writes overwrites it, which the configuration has to allow (overwrite).
 */
#include <stdio.h>

#include "engine/base/err.h"
#include "harness/targets/nbd_disk.h"
#include "harness/targets/target.h"

static int
nbd_open(struct q2_loop *loop, const char *path,
	 const struct target_image *image, struct disk *ret, struct q2_err *err)
{
	struct nbd_want want = {.bytes = image->virtual_bytes,
				.write = image->overwrite};

	(void)path;
	return nbd_disk_of_uri(ret, loop, image->uri, &want, err);
}

/* The protocol does not tell. */
static void
nbd_version(char version[TARGET_VERSION])
{
	version[0] = '\0';
}

static const char *
nbd_aio(const char *aio)
{
	(void)aio;
	return "nbd";
}

const struct target target_nbd = {
	.name = "nbd",
	.format = "raw",
	.suffix = "",
	.help = "an export of any NBD server (uri=)",
	.open_disk = nbd_open,
	.check = nbd_disk_check,
	.version = nbd_version,
	.aio = nbd_aio,
};
