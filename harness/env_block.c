/* SPDX-License-Identifier: MIT */
/*
 * env_block.c - from the device below a file system down to the disks
 *
 * Partition, device mapper, md and loop devices stand on others; the folder
 * slaves/ of /sys, and loop/backing_file, say on which.  The disks at the
 * bottom are those that do the work, and whose counters are read.
 */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "engine/base/num.h"
#include "harness/env_parts.h"
#include "harness/env_sys.h"

/* A loop on a volume on a raid on partitions is 5. */
#define STACK_DEPTH 8

struct walk {
	const char *root;
	struct env_facts *facts;
	struct disks *disks;
	char stack[ENV_VALUE], layers[ENV_VALUE];
	char bottom[PATH_MAX]; /* of the first disk, without root; or "" */
};

/* ---- names ------------------------------------------------------------- */

static const char *
last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static void
append(char *text, size_t size, const char *between, const char *word)
{
	size_t used = strlen(text);

	/* A name is at most 32 bytes; a stack that is deeper is cut. */
	(void)snprintf(text + used, size - used, "%s%.40s", used ? between : "",
		       word);
}

static bool
attribute(const struct walk *w, const char *dir, const char *name, char *text,
	  size_t size)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%.3800s/%s", dir, name);
	return sys_line(w->root, path, text, size) >= 0;
}

/* Resolve a link below the root; ret without the root. */
static bool
resolve(const char *root, const char *path, char ret[PATH_MAX])
{
	char full[PATH_MAX], real[PATH_MAX], real_root[PATH_MAX] = "";
	size_t len;

	if (root[0] && !realpath(root, real_root))
		return false;
	(void)snprintf(full, sizeof(full), "%.1000s%.3000s", root, path);
	if (!realpath(full, real))
		return false;
	len = strlen(real_root);
	if (strncmp(real, real_root, len) != 0)
		return false;
	(void)snprintf(ret, PATH_MAX, "%s", real + len);
	return true;
}

/* What kind of layer a device is; "" for a disk. */
static void
layer_of(const struct walk *w, const char *dir, char *text, size_t size)
{
	const char *name = last_part(dir);
	char uuid[160], level[32] = "", dio[8] = "";

	text[0] = '\0';
	if (attribute(w, dir, "dm/uuid", uuid, sizeof(uuid))) {
		/* "LVM-...", "CRYPT-LUKS2-...", "mpath-...": the rest of it is
		 * the volume's own number. */
		uuid[strcspn(uuid, "-")] = '\0';
		(void)snprintf(text, size, "dm%s%.20s", uuid[0] ? ":" : "",
			       uuid);
	} else if (attribute(w, dir, "md/level", level, sizeof(level))) {
		(void)snprintf(text, size, "%s", level);
	} else if (strncmp(name, "loop", 4) == 0) {
		/* Its file may be read and written in memory. */
		(void)attribute(w, dir, "loop/dio", dio, sizeof(dio));
		(void)snprintf(text, size, "loop%s",
			       dio[0] == '0' ? ":cached" : "");
	} else if (strncmp(name, "bcache", 6) == 0) {
		(void)snprintf(text, size, "bcache");
	} else if (strncmp(name, "drbd", 4) == 0) {
		(void)snprintf(text, size, "drbd");
	}
}

/* ---- the walk ---------------------------------------------------------- */

static void walk_down(struct walk *w, const char *dir, unsigned depth);

static void
at_disk(struct walk *w, const char *dir)
{
	struct disks *disks = w->disks;

	if (!w->bottom[0])
		(void)snprintf(w->bottom, sizeof(w->bottom), "%s", dir);
	if (disks->n == DISKS_MAX)
		return;
	(void)snprintf(disks->stat[disks->n], sizeof(disks->stat[0]),
		       "%.60s/sys/block/%.40s/stat", w->root, last_part(dir));
	for (unsigned i = 0; i < disks->n; i++) {
		if (strcmp(disks->stat[i], disks->stat[disks->n]) == 0)
			return;
	}
	disks->n++;
}

/* Those that it stands on; false if it says nothing of any. */
static bool
walk_slaves(struct walk *w, const char *dir, unsigned depth)
{
	char path[PATH_MAX], real[PATH_MAX];
	struct dirent **names;
	bool any = false;
	int n;

	(void)snprintf(path, sizeof(path), "%.1000s%.3000s/slaves", w->root,
		       dir);
	n = scandir(path, &names, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		(void)snprintf(path, sizeof(path), "%.3800s/slaves/%s", dir,
			       names[i]->d_name);
		if (names[i]->d_name[0] != '.' &&
		    resolve(w->root, path, real)) {
			walk_down(w, real, depth + 1);
			any = true;
		}
		free(names[i]);
	}
	if (n >= 0)
		free(names);
	return any;
}

/* A loop device stands on a file, that on a file system, that on a device. */
static bool
walk_loop(struct walk *w, const char *dir, unsigned depth)
{
	char file[PATH_MAX], path[PATH_MAX], real[PATH_MAX];
	struct stat st;

	if (!attribute(w, dir, "loop/backing_file", file, sizeof(file)))
		return false;
	(void)snprintf(path, sizeof(path), "%.1000s%.3000s", w->root, file);
	if (stat(path, &st) < 0)
		return false;
	(void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u",
		       major(st.st_dev), minor(st.st_dev));
	if (!resolve(w->root, path, real))
		return false;
	walk_down(w, real, depth + 1);
	return true;
}

static void
walk_down(struct walk *w, const char *dir, unsigned depth)
{
	char layer[64], disk[PATH_MAX], number[32];

	append(w->stack, sizeof(w->stack), " > ", last_part(dir));
	(void)snprintf(disk, sizeof(disk), "%s", dir);
	if (attribute(w, dir, "partition", number, sizeof(number))) {
		append(w->layers, sizeof(w->layers), " > ", "partition");
		*strrchr(disk, '/') = '\0';
		append(w->stack, sizeof(w->stack), " > ", last_part(disk));
	}
	layer_of(w, disk, layer, sizeof(layer));
	append(w->layers, sizeof(w->layers), " > ", layer[0] ? layer : "disk");
	if (depth < STACK_DEPTH &&
	    (walk_slaves(w, disk, depth) || walk_loop(w, disk, depth)))
		return;
	at_disk(w, disk);
}

/* ---- fields ------------------------------------------------------------ */

static void
queue_bytes(const struct walk *w, const char *dir, const char *name,
	    uint64_t unit, enum env_field field)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%.3800s/%s", dir, name);
	sys_bytes(w->facts, field, w->root, path, unit);
}

static void
queue_text(const struct walk *w, const char *dir, const char *name,
	   enum env_field field)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%.3800s/%s", dir, name);
	sys_fact(w->facts, field, w->root, path);
}

static void
queue_switch(const struct walk *w, const char *dir, const char *name,
	     enum env_field field)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%.3800s/%s", dir, name);
	sys_switch(w->facts, field, w->root, path, "no", "yes");
}

/* The device that the file system sees. */
static void
read_top(const struct walk *w, const char *dir)
{
	char whole[PATH_MAX], number[32];

	facts_text(w->facts, ENV_block_device, last_part(dir));
	queue_bytes(w, dir, "size", 512, ENV_block_size);
	(void)snprintf(whole, sizeof(whole), "%s", dir);
	if (attribute(w, dir, "partition", number, sizeof(number))) {
		queue_bytes(w, dir, "start", 512, ENV_block_offset);
		*strrchr(whole, '/') = '\0';
	}
	queue_bytes(w, whole, "queue/logical_block_size", 1, ENV_block_logical);
	queue_bytes(w, whole, "queue/physical_block_size", 1,
		    ENV_block_physical);
	queue_bytes(w, whole, "queue/minimum_io_size", 1, ENV_block_min_io);
	queue_bytes(w, whole, "queue/optimal_io_size", 1, ENV_block_opt_io);
	queue_bytes(w, whole, "queue/discard_granularity", 1,
		    ENV_block_discard_granularity);
	queue_bytes(w, whole, "queue/discard_max_bytes", 1,
		    ENV_block_discard_max);
	queue_bytes(w, whole, "queue/read_ahead_kb", KiB, ENV_block_read_ahead);
}

static void
read_hw_queues(const struct walk *w, const char *dir)
{
	char path[PATH_MAX];
	struct dirent *e;
	unsigned n = 0;
	DIR *d;

	(void)snprintf(path, sizeof(path), "%.1000s%.3000s/mq", w->root, dir);
	d = opendir(path);
	if (!d)
		return;
	while ((e = readdir(d)))
		n += e->d_name[0] != '.';
	(void)closedir(d);
	facts_int(w->facts, ENV_disk_hw_queues, n);
}

/* Of a virtual disk the guest cannot know what is below it. */
static const char *
medium_of(const struct walk *w, const char *name)
{
	static const struct {
		const char *prefix, *medium;
	} names[] = {
		{"vd", "virtual"},  {"xvd", "virtual"}, {"nvme", "nvme"},
		{"ram", "ram"},     {"zram", "ram"},    {"pmem", "ram"},
		{"nbd", "network"}, {"rbd", "network"}, {"drbd", "network"},
	};
	static const char *const virtual_models[] = {
		"QEMU", "VBOX", "VMware", "Virtual", "Google", "BHYVE"};
	const char *vendor = facts_get(w->facts, ENV_disk_vendor);
	const char *model = facts_get(w->facts, ENV_disk_model);
	const char *rotational = facts_get(w->facts, ENV_disk_rotational);

	for (size_t i = 0; i < ARRAY_SIZE(virtual_models); i++) {
		if (strstr(vendor, virtual_models[i]) ||
		    strstr(model, virtual_models[i]))
			return "virtual";
	}
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strncmp(name, names[i].prefix, strlen(names[i].prefix)) ==
		    0)
			return names[i].medium;
	}
	if (!rotational[0])
		return "";
	return strcmp(rotational, "yes") == 0 ? "hdd" : "ssd";
}

static void
read_scheduler(const struct walk *w, const char *dir)
{
	char text[ENV_VALUE];

	queue_text(w, dir, "queue/scheduler", ENV_disk_scheduler);
	if (!facts_has(w->facts, ENV_disk_scheduler))
		return;
	(void)snprintf(text, sizeof(text), "%s",
		       facts_get(w->facts, ENV_disk_scheduler));
	sys_chosen(text);
	facts_text(w->facts, ENV_disk_scheduler, text);
}

static void
read_disk(const struct walk *w, const char *dir)
{
	facts_text(w->facts, ENV_disk_device, last_part(dir));
	facts_int(w->facts, ENV_disk_members, w->disks->n);
	queue_text(w, dir, "device/vendor", ENV_disk_vendor);
	queue_text(w, dir, "device/model", ENV_disk_model);
	queue_text(w, dir, "device/firmware_rev", ENV_disk_firmware);
	if (!facts_has(w->facts, ENV_disk_firmware))
		queue_text(w, dir, "device/rev", ENV_disk_firmware);
	queue_bytes(w, dir, "size", 512, ENV_disk_size);
	queue_switch(w, dir, "queue/rotational", ENV_disk_rotational);
	read_scheduler(w, dir);
	queue_text(w, dir, "queue/nr_requests", ENV_disk_nr_requests);
	queue_text(w, dir, "device/queue_depth", ENV_disk_queue_depth);
	read_hw_queues(w, dir);
	queue_text(w, dir, "queue/write_cache", ENV_disk_write_cache);
	queue_switch(w, dir, "queue/fua", ENV_disk_fua);
	queue_bytes(w, dir, "queue/max_sectors_kb", KiB, ENV_disk_max_request);
	queue_text(w, dir, "queue/wbt_lat_usec", ENV_disk_wbt_usec);
	queue_text(w, dir, "queue/nomerges", ENV_disk_nomerges);
	queue_text(w, dir, "queue/rq_affinity", ENV_disk_rq_affinity);
	queue_switch(w, dir, "queue/io_poll", ENV_disk_polled);
	queue_text(w, dir, "queue/zoned", ENV_disk_zoned);
	queue_text(w, dir, "device/numa_node", ENV_disk_numa_node);
	facts_text(w->facts, ENV_disk_medium, medium_of(w, last_part(dir)));
}

/* Without a device: what the type of the file system tells. */
static void
medium_by_kind(struct env_facts *facts)
{
	const char *kind = facts_get(facts, ENV_fs_kind);

	if (strcmp(kind, "memory") == 0)
		facts_text(facts, ENV_disk_medium, "ram");
	else if (strcmp(kind, "network") == 0)
		facts_text(facts, ENV_disk_medium, "network");
}

void
env_read_block(const char *root, dev_t dev, struct env_facts *facts,
	       struct disks *ret_disks)
{
	struct walk w = {.root = root, .facts = facts, .disks = ret_disks};
	char link[64], dir[PATH_MAX];

	ret_disks->n = 0;
	(void)snprintf(link, sizeof(link), "/sys/dev/block/%u:%u", major(dev),
		       minor(dev));
	if (!resolve(root, link, dir)) {
		medium_by_kind(facts);
		return;
	}
	read_top(&w, dir);
	walk_down(&w, dir, 0);
	facts_text(facts, ENV_block_stack, w.stack);
	facts_text(facts, ENV_block_layers, w.layers);
	if (w.bottom[0])
		read_disk(&w, w.bottom);
}
