/* SPDX-License-Identifier: MIT */
/*
 * dioalign.c - what O_DIRECT wants
 *
 * In this order: statx (Linux 6.1 and later), the logical sector size of a
 * block device, trying.  Trying needs something to read; an empty file on an
 * old kernel gets 4096, which suits every device.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "engine/aio/host.h"
#include "engine/base/mem.h"
#include "engine/base/num.h"

#define ALIGN_MIN 512
#define ALIGN_MAX 4096

/* struct statx of the kernel, of which older headers lack the end. */
#define DIOALIGN_MASK 0x2000U
struct statx_raw {
	uint32_t mask;
	uint32_t other[37];
	uint32_t dio_mem_align;
	uint32_t dio_offset_align;
	uint64_t spare[12];
};
static_assert(offsetof(struct statx_raw, dio_mem_align) == 0x98 &&
		      sizeof(struct statx_raw) == 0x100,
	      "the kernel's layout");

static bool
ask_statx(struct aio_file *file)
{
	struct statx_raw stx = {0};

	if (syscall(SYS_statx, file->fd, "", AT_EMPTY_PATH, DIOALIGN_MASK,
		    &stx) != 0)
		return false;
	if (!(stx.mask & DIOALIGN_MASK) || !is_pow2(stx.dio_offset_align) ||
	    !is_pow2(stx.dio_mem_align) || stx.dio_mem_align > MEM_ALIGN)
		return false;
	file->align = stx.dio_offset_align;
	file->mem_align = stx.dio_mem_align;
	return true;
}

static bool
ask_device(struct aio_file *file)
{
	int bytes = 0;

	if (!file->is_block || ioctl(file->fd, BLKSSZGET, &bytes) < 0 ||
	    bytes < ALIGN_MIN || !is_pow2((unsigned)bytes))
		return false;
	file->align = (uint32_t)bytes;
	file->mem_align = (uint32_t)bytes;
	return true;
}

static void
try_it(struct aio_file *file)
{
	Q2_AUTO_FREE char *buf = mem_aligned((size_t)2 * ALIGN_MAX);

	file->align = ALIGN_MAX;
	file->mem_align = ALIGN_MAX;
	if (!buf || pread(file->fd, buf, ALIGN_MAX, 0) <= 0)
		return;
	for (uint32_t a = ALIGN_MIN; a < ALIGN_MAX; a *= 2) {
		if (pread(file->fd, buf, a, 0) < 0)
			continue;
		file->align = a;
		break;
	}
	for (uint32_t a = ALIGN_MIN; a < ALIGN_MAX; a *= 2) {
		if (pread(file->fd, buf + a, ALIGN_MAX, 0) < 0)
			continue;
		file->mem_align = a;
		break;
	}
}

void
host_detect_align(struct aio_file *file)
{
	if (ask_statx(file) || ask_device(file))
		return;
	try_it(file);
}

const char *
host_fs_name(int fd)
{
	static const struct {
		uint32_t magic;
		const char *name;
	} known[] = {
		{0xef53, "ext4"},      {0x58465342, "xfs"},
		{0x9123683e, "btrfs"}, {0x01021994, "tmpfs"},
		{0x858458f6, "ramfs"}, {0x794c7630, "overlayfs"},
		{0x6969, "nfs"},       {0x2fc12fc1, "zfs"},
		{0xf2f52010, "f2fs"},  {0x65735546, "fuse"},
		{0xff534d42, "cifs"},  {0xfe534d42, "smb2"},
		{0x4d44, "vfat"},      {0x2011bab0, "exfat"},
		{0x01021997, "9p"},    {0xca451a4e, "bcachefs"},
	};
	struct statfs st;

	if (fstatfs(fd, &st) == 0)
		for (size_t i = 0; i < ARRAY_SIZE(known); i++)
			if (known[i].magic == (uint32_t)st.f_type)
				return known[i].name;
	return "a file system of unknown type";
}
