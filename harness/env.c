/* SPDX-License-Identifier: MIT */
#include "harness/env.h"

#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "engine/base/num.h"

/* The first line of a file, without its end; "" if it cannot be read. */
static void
first_line(const char *path, char *text, size_t size)
{
	FILE *f = fopen(path, "re");

	text[0] = '\0';
	if (!f)
		return;
	if (!fgets(text, (int)size, f))
		text[0] = '\0';
	text[strcspn(text, "\n")] = '\0';
	(void)fclose(f);
}

static void
read_cpu(struct env *env)
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	long n = sysconf(_SC_NPROCESSORS_ONLN);
	char line[256];

	env->cpus = n > 0 ? (unsigned)n : 1;
	if (!f)
		return;
	while (!env->cpu[0] && fgets(line, sizeof(line), f)) {
		char *colon = strstr(line, ": ");

		/* "CPU part" is what aarch64 has in the place of a name. */
		if (!colon || (strncmp(line, "model name", 10) != 0 &&
			       strncmp(line, "CPU part", 8) != 0))
			continue;
		colon[strcspn(colon, "\n")] = '\0';
		(void)snprintf(env->cpu, sizeof(env->cpu), "%.90s", colon + 2);
	}
	(void)fclose(f);
}

/* The options that change performance, out of a comma list. */
static void
keep_options(struct env *env, char *list)
{
	static const char *const matter[] = {
		"relatime",  "noatime",   "strictatime", "lazytime", "discard",
		"barrier",   "nobarrier", "data=",       "commit=",  "compress",
		"nodatacow", "sync",      "dax",         "journal_", NULL};
	char *save = NULL;

	for (char *word = strtok_r(list, ",", &save); word;
	     word = strtok_r(NULL, ",", &save)) {
		size_t used = strlen(env->mount_options);

		for (size_t i = 0; matter[i]; i++) {
			if (strncmp(word, matter[i], strlen(matter[i])) != 0)
				continue;
			(void)snprintf(env->mount_options + used,
				       sizeof(env->mount_options) - used,
				       "%s%s", used ? "," : "", word);
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
env_parse_mount(const char *line, dev_t dev, struct env *env)
{
	char mount_options[256], super_options[512] = "";
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
	(void)snprintf(env->mount_point, sizeof(env->mount_point), "%s", point);
	(void)snprintf(env->filesystem, sizeof(env->filesystem), "%s", type);
	(void)snprintf(env->source, sizeof(env->source), "%s", source);
	env->mount_options[0] = '\0';
	keep_options(env, mount_options);
	keep_options(env, super_options);
	return true;
}

static void
read_mount(struct env *env, dev_t dev)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *line = NULL;
	size_t size = 0;

	if (!f)
		return;
	/* The same device may be mounted twice; type and options of the super
	 * block are the same then. */
	while (getline(&line, &size, f) > 0 && !env->filesystem[0])
		(void)env_parse_mount(line, dev, env);
	free(line);
	(void)fclose(f);
}

/* What is mounted outside a chroot or a container is not in mountinfo: then
 * the super block's magic must do. */
static void
filesystem_by_magic(struct env *env, const char *dir)
{
	static const struct {
		unsigned long magic;
		const char *name;
	} known[] = {
		{EXT4_SUPER_MAGIC, "ext4"},
		{XFS_SUPER_MAGIC, "xfs"},
		{BTRFS_SUPER_MAGIC, "btrfs"},
		{0x2fc12fc1, "zfs"},
		{F2FS_SUPER_MAGIC, "f2fs"},
		{TMPFS_MAGIC, "tmpfs"},
		{RAMFS_MAGIC, "ramfs"},
		{OVERLAYFS_SUPER_MAGIC, "overlay"},
		{NFS_SUPER_MAGIC, "nfs"},
		{FUSE_SUPER_MAGIC, "fuse"},
		{V9FS_MAGIC, "9p"},
	};
	struct statfs fs;

	if (env->filesystem[0] || statfs(dir, &fs) < 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if ((unsigned long)fs.f_type == known[i].magic)
			(void)strcpy(env->filesystem, known[i].name);
	}
}

/* A whole disk's folder in /sys: that of a partition is one up. */
static void
disk_folder(const char *sys, char *path, size_t size)
{
	char part[PATH_MAX + 16];

	(void)snprintf(path, size, "%s", sys);
	(void)snprintf(part, sizeof(part), "%s/partition", sys);
	if (access(part, F_OK) == 0 && strrchr(path, '/'))
		*strrchr(path, '/') = '\0';
}

static void
read_device(struct env *env, dev_t dev)
{
	char link[64], sys[PATH_MAX], disk[PATH_MAX], file[PATH_MAX + 32];
	char rotational[8];
	const char *name;

	(void)snprintf(link, sizeof(link), "/sys/dev/block/%u:%u", major(dev),
		       minor(dev));
	if (!realpath(link, sys))
		return;
	(void)snprintf(env->dev_stat, sizeof(env->dev_stat), "%s/stat", link);
	(void)snprintf(env->device, sizeof(env->device), "%.60s",
		       strrchr(sys, '/') + 1);
	disk_folder(sys, disk, sizeof(disk));
	(void)snprintf(file, sizeof(file), "%s/queue/rotational", disk);
	first_line(file, rotational, sizeof(rotational));
	name = strrchr(disk, '/') + 1;
	/* Of a virtual disk the guest cannot know what is below it. */
	if (strncmp(name, "vd", 2) == 0 || strncmp(name, "xvd", 3) == 0)
		(void)strcpy(env->medium, "virtual");
	else if (strncmp(name, "nvme", 4) == 0)
		(void)strcpy(env->medium, "nvme");
	else if (strncmp(name, "ram", 3) == 0 || strncmp(name, "zram", 4) == 0)
		(void)strcpy(env->medium, "ram");
	else if (strncmp(name, "nbd", 3) == 0 || strncmp(name, "rbd", 3) == 0)
		(void)strcpy(env->medium, "network");
	else if (rotational[0])
		(void)strcpy(env->medium, rotational[0] == '1' ? "hdd" : "ssd");
}

static void
medium_by_filesystem(struct env *env)
{
	static const char *const network[] = {
		"nfs",  "nfs4",     "cifs",       "smb3",          "9p",
		"ceph", "virtiofs", "fuse.sshfs", "fuse.glusterfs"};

	if (strcmp(env->filesystem, "tmpfs") == 0 ||
	    strcmp(env->filesystem, "ramfs") == 0)
		(void)strcpy(env->medium, "ram");
	for (size_t i = 0; i < ARRAY_SIZE(network); i++) {
		if (strcmp(env->filesystem, network[i]) == 0)
			(void)strcpy(env->medium, "network");
	}
}

static void
fingerprint(struct env *env)
{
	json_t *json = env_json(env);

	(void)json_object_del(json, "mount_point");
	(void)json_object_del(json, "source");
	(void)json_object_del(json, "fingerprint");
	id_of_json(json, env->fingerprint);
	json_decref(json);
}

int
env_read(struct env *env, const char *dir, struct q2_err *err)
{
	struct utsname uts;
	char id[64];
	struct stat st;
	dev_t dev;

	*env = (struct env){.cpus = 1};
	if (stat(dir, &st) < 0)
		return q2_fail(err, -errno, "%s: %s", dir, strerror(errno));
	if (uname(&uts) == 0)
		(void)snprintf(env->kernel, sizeof(env->kernel), "%s %s %s",
			       uts.sysname, uts.release, uts.machine);
	read_cpu(env);
	first_line("/etc/machine-id", id, sizeof(id));
	if (!id[0])
		first_line("/proc/sys/kernel/hostname", id, sizeof(id));
	id_of_bytes(id, strlen(id), env->machine);
	dev = st.st_dev;
	read_mount(env, dev);
	filesystem_by_magic(env, dir);
	/* btrfs and zfs have a device number of their own; what is mounted
	 * tells the disk. */
	if (major(dev) == 0 && env->source[0] == '/' &&
	    stat(env->source, &st) == 0 && S_ISBLK(st.st_mode))
		dev = st.st_rdev;
	read_device(env, dev);
	medium_by_filesystem(env);
	fingerprint(env);
	return 0;
}

static void
set_text(json_t *json, const char *key, const char *text)
{
	if (text[0])
		(void)json_object_set_new(json, key, json_string(text));
}

json_t *
env_json(const struct env *env)
{
	json_t *json = json_object();

	set_text(json, "kernel", env->kernel);
	set_text(json, "cpu", env->cpu);
	(void)json_object_set_new(json, "cpus", json_integer(env->cpus));
	set_text(json, "filesystem", env->filesystem);
	set_text(json, "mount_options", env->mount_options);
	set_text(json, "mount_point", env->mount_point);
	set_text(json, "source", env->source);
	set_text(json, "device", env->device);
	set_text(json, "medium", env->medium);
	set_text(json, "machine", env->machine);
	set_text(json, "fingerprint", env->fingerprint);
	return json;
}

void
env_caption(const struct env *env, char *text, size_t size)
{
	int n = snprintf(text, size, "%s",
			 env->filesystem[0] ? env->filesystem
					    : "unknown file system");

	if (env->device[0] && n > 0 && (size_t)n < size)
		n += snprintf(text + n, size - (size_t)n, " on %s",
			      env->device);
	if (env->medium[0] && n > 0 && (size_t)n < size)
		(void)snprintf(text + n, size - (size_t)n, " (%s)",
			       env->medium);
}
