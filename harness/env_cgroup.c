/* SPDX-License-Identifier: MIT */
/*
 * env_cgroup.c - limits of the control group, v2 and v1
 *
 * A limit may stand in any group above ours.  From ours upwards the first that
 * says something is taken: it is the one that an administrator has put there.
 * Names of groups are not recorded.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/env_parts.h"
#include "harness/env_sys.h"

/* Where the groups of a controller are: "" if not known. */
struct place {
	char mount[PATH_MAX / 2]; /* /sys/fs/cgroup */
	char group[PATH_MAX / 2]; /* /user.slice/x, or "/" */
};

/* ---- where ------------------------------------------------------------- */

static bool
in_list(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = list; (at = strstr(at, word)); at += len) {
		if ((at == list || at[-1] == ',') &&
		    (at[len] == ',' || at[len] == '\0'))
			return true;
	}
	return false;
}

/* controller: NULL for v2. */
static bool
find_mount(const char *root, const char *controller, struct place *place)
{
	char path[PATH_MAX], point[PATH_MAX / 2], type[32], options[512];
	const char *want = controller ? "cgroup" : "cgroup2";
	char *line = NULL;
	bool found = false;
	size_t size = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/proc/self/mountinfo", root);
	f = fopen(path, "re");
	if (!f)
		return false;
	while (!found && getline(&line, &size, f) > 0) {
		const char *dash = strstr(line, " - ");

		if (!dash || sscanf(line, "%*s %*s %*s %*s %2047s", point) != 1)
			continue;
		if (sscanf(dash, " - %31s %*s %511s", type, options) != 2 ||
		    strcmp(type, want) != 0 ||
		    (controller && !in_list(options, controller)))
			continue;
		(void)snprintf(place->mount, sizeof(place->mount), "%s", point);
		found = true;
	}
	free(line);
	(void)fclose(f);
	return found;
}

/* Lines of /proc/self/cgroup: "4:memory:/a/b", v2 "0::/a/b". */
static bool
find_group(const char *root, const char *controller, struct place *place)
{
	char path[PATH_MAX], *line = NULL;
	bool found = false;
	size_t size = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
	f = fopen(path, "re");
	if (!f)
		return false;
	while (!found && getline(&line, &size, f) > 0) {
		char *list = strchr(line, ':'), *group;

		group = list ? strchr(++list, ':') : NULL;
		if (!group)
			continue;
		*group++ = '\0';
		group[strcspn(group, "\n")] = '\0';
		if (controller ? !in_list(list, controller) : *list != '\0')
			continue;
		(void)snprintf(place->group, sizeof(place->group), "%s", group);
		found = true;
	}
	free(line);
	(void)fclose(f);
	return found;
}

static bool
find(const char *root, const char *controller, struct place *place)
{
	return find_mount(root, controller, place) &&
	       find_group(root, controller, place);
}

/* ---- limits ------------------------------------------------------------ */

/* v1 writes a number near 2^63 for "none", v2 "max". */
static bool
is_no_limit(const char *text)
{
	return !text[0] || strcmp(text, "max") == 0 ||
	       strncmp(text, "max ", 4) == 0 || strcmp(text, "-1") == 0 ||
	       strtoull(text, NULL, 10) >= (1ULL << 62);
}

/* The first limit from our group upwards; "none" if there is none but the file
 * is there. */
static void
read_limit(const char *root, const struct place *place, const char *file,
	   struct env_facts *facts, enum env_field field)
{
	char group[sizeof(place->group)], path[PATH_MAX], text[ENV_VALUE];
	int r, first = 0;
	bool there = false;

	(void)snprintf(group, sizeof(group), "%s", place->group);
	for (;;) {
		size_t len = strlen(group);

		while (len > 0 && group[len - 1] == '/')
			group[--len] = '\0';
		(void)snprintf(path, sizeof(path), "%s%s/%s", place->mount,
			       group, file);
		r = sys_line(root, path, text, sizeof(text));
		if (first == 0)
			first = r;
		there = there || r >= 0;
		if (r >= 0 && !is_no_limit(text)) {
			facts_text(facts, field, text);
			return;
		}
		if (!strrchr(group, '/'))
			break;
		*strrchr(group, '/') = '\0';
	}
	facts_read(facts, field, there ? 0 : first, "none");
}

/* "8:0 rbps=1048576 wbps=max": the line of the disk. */
static void
read_io_max(const char *root, const struct place *place, const char *file,
	    const char *dev, struct env_facts *facts)
{
	char path[PATH_MAX], text[ENV_VALUE];
	uint64_t dummy;
	size_t len;

	if (!dev[0])
		return;
	(void)snprintf(path, sizeof(path), "%s%s", place->mount, place->group);
	len = strlen(path);
	while (len > 0 && path[len - 1] == '/')
		path[--len] = '\0';
	(void)snprintf(path + len, sizeof(path) - len, "/%s", file);
	if (sys_keyed(root, path, dev, text, sizeof(text)))
		facts_text(facts, ENV_cgroup_io_max, text);
	else if (sys_int(root, path, &dummy) != -ENOENT)
		facts_text(facts, ENV_cgroup_io_max, "none");
}

static void
read_v2(const char *root, const struct place *place, const char *dev,
	struct env_facts *facts)
{
	read_limit(root, place, "cpu.max", facts, ENV_cgroup_cpu_max);
	read_limit(root, place, "cpuset.cpus.effective", facts,
		   ENV_cgroup_cpuset);
	read_limit(root, place, "memory.max", facts, ENV_cgroup_memory_max);
	read_limit(root, place, "memory.high", facts, ENV_cgroup_memory_high);
	read_limit(root, place, "io.weight", facts, ENV_cgroup_io_weight);
	read_io_max(root, place, "io.max", dev, facts);
}

/* v1's quota and period are two files. */
static void
read_v1_cpu(const char *root, const struct place *place,
	    struct env_facts *facts)
{
	char text[ENV_VALUE], path[PATH_MAX], period[32];

	read_limit(root, place, "cpu.cfs_quota_us", facts, ENV_cgroup_cpu_max);
	if (!facts_has(facts, ENV_cgroup_cpu_max) ||
	    strcmp(facts_get(facts, ENV_cgroup_cpu_max), "none") == 0)
		return;
	(void)snprintf(path, sizeof(path), "%.2000s%.2000s/cpu.cfs_period_us",
		       place->mount, place->group);
	if (sys_line(root, path, period, sizeof(period)) < 0)
		return;
	(void)snprintf(text, sizeof(text), "%.100s %.31s",
		       facts_get(facts, ENV_cgroup_cpu_max), period);
	facts_text(facts, ENV_cgroup_cpu_max, text);
}

static void
read_v1(const char *root, const char *dev, struct env_facts *facts)
{
	struct place place = {"", ""};

	if (find(root, "memory", &place))
		read_limit(root, &place, "memory.limit_in_bytes", facts,
			   ENV_cgroup_memory_max);
	if (find(root, "cpu", &place))
		read_v1_cpu(root, &place, facts);
	if (find(root, "cpuset", &place))
		read_limit(root, &place, "cpuset.effective_cpus", facts,
			   ENV_cgroup_cpuset);
	if (find(root, "blkio", &place)) {
		read_io_max(root, &place, "blkio.throttle.write_bps_device",
			    dev, facts);
		read_limit(root, &place, "blkio.weight", facts,
			   ENV_cgroup_io_weight);
	}
}

void
env_read_cgroup(const char *root, const char *dev, struct env_facts *facts)
{
	struct place v2 = {"", ""}, v1 = {"", ""};
	bool has_v2 = find(root, NULL, &v2), has_v1 = find(root, "memory", &v1);

	if (has_v1 || has_v2)
		facts_text(facts, ENV_cgroup_version,
			   has_v1 && has_v2 ? "hybrid"
			   : has_v1         ? "v1"
					    : "v2");
	if (has_v2)
		read_v2(root, &v2, dev, facts);
	/* Where both are mounted, controllers are in one of them. */
	if (has_v1)
		read_v1(root, dev, facts);
}
