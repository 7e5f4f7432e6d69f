/* SPDX-License-Identifier: MIT */
#include "harness/probe_store.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <jansson.h>

#include "harness/clock.h"

/* A file that is larger than 64 entries can be is none of ours. */
#define FILE_MAX (64 * 1024)

/* The file system's own id and size, and what goes around the page cache. */
static bool
key_of(const char *dir, enum q2_cache cache, char *key, size_t size)
{
	struct statvfs st;

	if (statvfs(dir, &st) < 0)
		return false;
	(void)snprintf(
		key, size, "%016lx-%" PRIu64 "-%s", (unsigned long)st.f_fsid,
		(uint64_t)st.f_blocks * st.f_frsize, plan_cache_name(cache));
	return true;
}

static bool
folder(char *path, size_t size)
{
	const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	int n;

	/* Relative ones are not valid (XDG base directories). */
	if (xdg && xdg[0] == '/')
		n = snprintf(path, size, "%s/qcowbench", xdg);
	else if (home && home[0] == '/')
		n = snprintf(path, size, "%s/.cache/qcowbench", home);
	else
		return false;
	return n > 0 && (size_t)n < size;
}

static json_t *
load(const char *path)
{
	struct stat st;
	json_t *json = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    st.st_size <= FILE_MAX)
		json = json_loadfd(fd, 0, NULL);
	(void)close(fd);
	return json;
}

static double
number(const json_t *entry, const char *key)
{
	return json_number_value(json_object_get(entry, key));
}

bool
probe_store_get(const char *dir, enum q2_cache cache, struct probe *ret,
		double *ret_age_s)
{
	char path[PATH_MAX], key[128];
	json_t *json;
	const json_t *entry;
	struct probe probe;
	double age_s;

	if (!folder(path, sizeof(path) - 16) ||
	    !key_of(dir, cache, key, sizeof(key)))
		return false;
	(void)strcat(path, "/probes.json");
	json = load(path);
	entry = json_object_get(json, key);
	probe = (struct probe){
		.iops = number(entry, "iops"),
		.bytes_per_s = number(entry, "bytes_per_s"),
		.duration_s = number(entry, "duration_s"),
		.removal_s = number(entry, "removal_s"),
	};
	age_s = clock_wall_s() - number(entry, "at_s");
	json_decref(json);
	/* Nothing there, or nothing that a disk could be. */
	if (!(probe.iops >= 1) || !(probe.bytes_per_s >= 1) ||
	    probe.iops > 1e9 || probe.bytes_per_s > 1e13)
		return false;
	if (!(probe.removal_s >= 0 && probe.removal_s < 1))
		probe.removal_s = 0;
	*ret = probe;
	*ret_age_s = age_s > 0 ? age_s : 0;
	return true;
}

static void
give_up_oldest(json_t *json)
{
	while (json_object_size(json) > PROBE_STORE_MAX) {
		const char *key, *oldest = NULL;
		double oldest_s = 0;
		json_t *entry;

		json_object_foreach(json, key, entry)
		{
			if (!oldest || number(entry, "at_s") < oldest_s) {
				oldest = key;
				oldest_s = number(entry, "at_s");
			}
		}
		(void)json_object_del(json, oldest);
	}
}

/* All folders of the path. */
static void
make_folders(char *path)
{
	for (char *at = path + 1; *at; at++) {
		if (*at != '/')
			continue;
		*at = '\0';
		(void)mkdir(path, 0700);
		*at = '/';
	}
	(void)mkdir(path, 0700);
}

/* Replaced whole, so that two programs at once spoil nothing. */
static void
save(const char *path, const json_t *json)
{
	char temp[PATH_MAX + 16];
	int fd, r;

	(void)snprintf(temp, sizeof(temp), "%s.XXXXXX", path);
	fd = mkostemp(temp, O_CLOEXEC);
	if (fd < 0)
		return;
	r = json_dumpfd(json, fd, JSON_INDENT(2) | JSON_SORT_KEYS);
	if (close(fd) < 0 || r < 0 || rename(temp, path) < 0)
		(void)unlink(temp);
}

void
probe_store_put(const char *dir, enum q2_cache cache, const struct probe *probe)
{
	char path[PATH_MAX], key[128];
	json_t *json, *entry;

	if (!folder(path, sizeof(path) - 16) ||
	    !key_of(dir, cache, key, sizeof(key)))
		return;
	make_folders(path);
	(void)strcat(path, "/probes.json");
	json = load(path);
	if (!json_is_object(json)) {
		json_decref(json);
		json = json_object();
	}
	entry = json_object();
	(void)json_object_set_new(entry, "iops", json_real(probe->iops));
	(void)json_object_set_new(entry, "bytes_per_s",
				  json_real(probe->bytes_per_s));
	(void)json_object_set_new(entry, "duration_s",
				  json_real(probe->duration_s));
	(void)json_object_set_new(entry, "removal_s",
				  json_real(probe->removal_s));
	(void)json_object_set_new(entry, "at_s", json_real(clock_wall_s()));
	(void)json_object_set_new(json, key, entry);
	give_up_oldest(json);
	save(path, json);
	json_decref(json);
}
