/* SPDX-License-Identifier: MIT */
/*
 * env_fs.c - the file system that holds a folder
 */
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "engine/base/num.h"
#include "harness/env_parts.h"

/* ---- mountinfo --------------------------------------------------------- */

/* The options that change performance, out of a comma list. */
static void
keep_options(char *text, size_t size, char *list)
{
	static const char *const matter[] = {
		"ro",         "relatime",  "noatime",     "strictatime",
		"lazytime",   "discard",   "barrier",     "nobarrier",
		"data=",      "commit=",   "compress",    "nodatacow",
		"sync",       "dirsync",   "dax",         "journal_",
		"nodelalloc", "dioread_",  "stripe=",     "allocsize=",
		"logbufs=",   "logbsize=", "sunit=",      "swidth=",
		"ssd",        "nossd",     "space_cache", "autodefrag",
		"rsize=",     "wsize=",    "vers=",       "proto=",
		"cache=",     "inode64",   "huge="};
	char *save = NULL;

	for (char *word = strtok_r(list, ",", &save); word;
	     word = strtok_r(NULL, ",", &save)) {
		size_t used = strlen(text);

		for (size_t i = 0; i < ARRAY_SIZE(matter); i++) {
			size_t len = strlen(matter[i]);

			if (strncmp(word, matter[i], len) != 0 ||
			    (len < 4 && word[len] != '\0'))
				continue;
			(void)snprintf(text + used, size - used, "%s%s",
				       used ? "," : "", word);
			break;
		}
	}
}

/* Mountinfo writes blanks in names as \040. */
static void
unescape(char *text)
{
	char *to = text;

	for (char *from = text; *from; to++) {
		if (from[0] == '\\' && from[1] && from[2] && from[3]) {
			*to = (char)((from[1] - '0') * 64 +
				     (from[2] - '0') * 8 + (from[3] - '0'));
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = '\0';
}

bool
env_parse_mount(const char *line, dev_t dev, struct env_facts *facts,
		char *ret_source, size_t size)
{
	char mount_options[256], super_options[512] = "", kept[256] = "";
	char point[256], type[32], source[256];
	const char *dash = strstr(line, " - ");
	unsigned maj, min;

	if (!dash ||
	    sscanf(line, "%*d %*d %u:%u %*s %255s %255s", &maj, &min, point,
		   mount_options) != 4 ||
	    makedev(maj, min) != dev ||
	    sscanf(dash, " - %31s %255s %511s", type, source, super_options) <
		    2)
		return false;
	unescape(point);
	unescape(source);
	keep_options(kept, sizeof(kept), mount_options);
	keep_options(kept, sizeof(kept), super_options);
	facts_text(facts, ENV_fs_type, type);
	facts_text(facts, ENV_fs_kind, env_fs_kind(type));
	facts_text(facts, ENV_fs_mount_point, point);
	facts_text(facts, ENV_fs_options, kept[0] ? kept : "none");
	(void)snprintf(ret_source, size, "%s", source);
	return true;
}

/* Is dir at or below this mount point? Its length, or 0. */
static size_t
covers(const char *point, const char *dir)
{
	size_t len = strlen(point);

	if (strcmp(point, "/") == 0)
		return 1;
	return strncmp(dir, point, len) == 0 &&
			       (dir[len] == '/' || dir[len] == '\0')
		       ? len
		       : 0;
}

void
env_read_mount(const char *root, dev_t dev, const char *dir,
	       struct env_facts *facts, char *ret_source, size_t size)
{
	char path[PATH_MAX], *line = NULL;
	struct env_facts one;
	size_t room = 0, best = 0;
	bool any = false;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/proc/self/mountinfo", root);
	f = fopen(path, "re");
	if (!f)
		return;
	/* The same device may be mounted more than once, with other options:
	 * the longest mount point above dir is the one. */
	while (getline(&line, &room, f) > 0) {
		char source[256];
		size_t len;

		one = *facts;
		if (!env_parse_mount(line, dev, &one, source, sizeof(source)))
			continue;
		len = covers(facts_get(&one, ENV_fs_mount_point), dir);
		if (any && len < best)
			continue;
		any = true;
		best = len;
		*facts = one;
		(void)snprintf(ret_source, size, "%s", source);
	}
	free(line);
	(void)fclose(f);
}

/* ---- kinds ------------------------------------------------------------- */

const char *
env_fs_kind(const char *type)
{
	static const struct {
		const char *type, *kind;
	} known[] = {
		{"tmpfs", "memory"},
		{"ramfs", "memory"},
		{"overlay", "layered"},
		{"aufs", "layered"},
		{"unionfs", "layered"},
		{"ecryptfs", "layered"},
		{"nfs", "network"},
		{"nfs4", "network"},
		{"cifs", "network"},
		{"smb3", "network"},
		{"9p", "network"},
		{"ceph", "network"},
		{"virtiofs", "network"},
		{"glusterfs", "network"},
		{"lustre", "network"},
		{"gpfs", "network"},
		{"beegfs", "network"},
		{"orangefs", "network"},
		{"afs", "network"},
		{"fuse.sshfs", "network"},
		{"fuse.glusterfs", "network"},
		{"fuse.s3fs", "network"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (strcmp(type, known[i].type) == 0)
			return known[i].kind;
	}
	/* fuseblk is a disk, through FUSE all the same. */
	return strncmp(type, "fuse", 4) == 0 ? "fuse" : "disk";
}

/* What is mounted outside a chroot or a container is not in mountinfo: then
 * the super block's magic must do. */
static void
type_by_magic(unsigned long magic, struct env_facts *facts)
{
	static const struct {
		unsigned long magic;
		const char *name;
	} known[] = {
		{EXT4_SUPER_MAGIC, "ext4"},
		{XFS_SUPER_MAGIC, "xfs"},
		{BTRFS_SUPER_MAGIC, "btrfs"},
		{0x2fc12fc1, "zfs"},
		{0xca451a4e, "bcachefs"},
		{F2FS_SUPER_MAGIC, "f2fs"},
		{TMPFS_MAGIC, "tmpfs"},
		{RAMFS_MAGIC, "ramfs"},
		{OVERLAYFS_SUPER_MAGIC, "overlay"},
		{NFS_SUPER_MAGIC, "nfs"},
		{FUSE_SUPER_MAGIC, "fuse"},
		{V9FS_MAGIC, "9p"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (magic == known[i].magic) {
			facts_text(facts, ENV_fs_type, known[i].name);
			facts_text(facts, ENV_fs_kind,
				   env_fs_kind(known[i].name));
		}
	}
}

/* ---- what the folder tells --------------------------------------------- */

/* XFS_IOC_FSGEOMETRY_V1 of xfs(5)'s ioctl_xfs_fsgeometry(2): the flags are the
 * 32 bits at 92, of which bit 20 says reflink. */
#define XFS_GEOMETRY_SIZE  112
#define XFS_GEOMETRY_FLAGS 92
#define XFS_FLAG_REFLINK   (1U << 20)

static const char *
xfs_reflink(const char *dir)
{
	unsigned char geometry[XFS_GEOMETRY_SIZE] = {0};
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;
	uint32_t flags;

	if (fd < 0)
		return "";
	r = ioctl(fd, _IOC(_IOC_READ, 'X', 100, XFS_GEOMETRY_SIZE), geometry);
	(void)close(fd);
	if (r < 0)
		return "";
	memcpy(&flags, geometry + XFS_GEOMETRY_FLAGS, sizeof(flags));
	return flags & XFS_FLAG_REFLINK ? "yes" : "no";
}

static const char *
reflink(const char *type, const char *dir)
{
	static const char *const yes[] = {"btrfs", "bcachefs"};
	static const char *const no[] = {"ext2",  "ext3",  "ext4", "f2fs",
					 "tmpfs", "ramfs", "vfat", "exfat"};

	if (strcmp(type, "xfs") == 0)
		return xfs_reflink(dir);
	for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
		if (strcmp(type, yes[i]) == 0)
			return "yes";
	}
	for (size_t i = 0; i < ARRAY_SIZE(no); i++) {
		if (strcmp(type, no[i]) == 0)
			return "no";
	}
	/* Others would have to be tried, with a file. */
	return "";
}

void
env_read_fs(const char *dir, struct env_facts *facts)
{
	struct statvfs st;
	struct statfs fs;
	double used;

	if (!facts_has(facts, ENV_fs_type) && statfs(dir, &fs) == 0)
		type_by_magic((unsigned long)fs.f_type, facts);
	facts_text(facts, ENV_fs_reflink,
		   reflink(facts_get(facts, ENV_fs_type), dir));
	if (statvfs(dir, &st) < 0)
		return;
	facts_int(facts, ENV_fs_block, st.f_bsize);
	/* Some know no size: ramfs. */
	if (st.f_blocks == 0)
		return;
	facts_int(facts, ENV_fs_size, (uint64_t)st.f_blocks * st.f_frsize);
	facts_int(facts, ENV_fs_free, (uint64_t)st.f_bavail * st.f_frsize);
	/* As df has it: what is kept for root is neither. */
	used = (double)(st.f_blocks - st.f_bfree);
	if (used + (double)st.f_bavail > 0)
		facts_pct(facts, ENV_fs_used,
			  100 * used / (used + (double)st.f_bavail));
	/* btrfs makes inodes as it needs them, and says 0. */
	if (st.f_files > 0)
		facts_int(facts, ENV_fs_inodes_free, st.f_favail);
}
