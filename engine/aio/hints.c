/* SPDX-License-Identifier: MIT */
/*
 * hints.c - what a file system may be told about a new file
 */
#include <errno.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include "engine/aio/aio.h"

static int
set_nocow(int fd)
{
	long flags;

	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
		return -errno;
	flags |= FS_NOCOW_FL;
	return ioctl(fd, FS_IOC_SETFLAGS, &flags) < 0 ? -errno : 0;
}

static int
set_extent_size(int fd, uint32_t bytes)
{
	struct fsxattr attr;

	if (ioctl(fd, FS_IOC_FSGETXATTR, &attr) < 0)
		return -errno;
	attr.fsx_xflags |= FS_XFLAG_EXTSIZE;
	attr.fsx_extsize = bytes;
	return ioctl(fd, FS_IOC_FSSETXATTR, &attr) < 0 ? -errno : 0;
}

int
aio_set_hints(struct aio_file *file, bool nocow, uint32_t extent_size)
{
	if (file->fd < 0 || file->is_block)
		return 0;
	/* Where there is no copy-on-write, there is nothing to switch off. */
	if (nocow)
		(void)set_nocow(file->fd);
	return extent_size ? set_extent_size(file->fd, extent_size) : 0;
}
