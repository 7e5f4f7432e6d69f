/* SPDX-License-Identifier: MIT */
#include "harness/host_state.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "engine/base/num.h"
#include "harness/clock.h"
#include "harness/env_sys.h"
#include "harness/guard.h"

#define LINE 256

/* Looked at so much of a file at a time: a byte for each page. */
#define WINDOW GiB

/* r: how it was read. */
static void
put(json_t *json, const char *name, int r, uint64_t value)
{
	json_t *v;

	if (r >= 0)
		v = json_integer((json_int_t)min_u64(value, INT64_MAX));
	else if (r == -EACCES || r == -EPERM)
		v = json_string("not permitted");
	else
		v = json_string("absent");
	(void)json_object_set_new(json, name, v);
}

/* ---- processors -------------------------------------------------------- */

static void
put_load(json_t *json, const char *root)
{
	unsigned runnable = 0;
	char line[LINE];
	double load = 0;
	int r = sys_line(root, "/proc/loadavg", line, sizeof(line));

	if (r >= 0 && sscanf(line, "%lf %*s %*s %u/", &load, &runnable) != 2)
		r = -ENOENT;
	put(json, "runnable", r, runnable);
	if (r >= 0)
		(void)json_object_set_new(json, "load", json_real(load));
	else
		put(json, "load", r, 0);
}

static void
put_cpu(json_t *json, const char *root)
{
	struct cpu_count cpu = {0};
	char line[LINE];
	uint64_t khz = 0;
	int r = sys_line(root, "/proc/stat", line, sizeof(line));

	if (r >= 0 && !guard_parse_stat(line, &cpu))
		r = -ENOENT;
	put(json, "cpu_busy_ticks", r, cpu.busy);
	put(json, "cpu_steal_ticks", r, cpu.steal);
	put(json, "cpu_all_ticks", r, cpu.all);
	r = sys_int(root,
		    "/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq",
		    &khz);
	put(json, "cpu_khz", r, khz);
}

static void
put_temperature(json_t *json, const char *root)
{
	uint64_t most = 0, value;
	int r = -ENOENT, one;
	char path[96];

	for (int i = 0; i < 64; i++) {
		(void)snprintf(path, sizeof(path),
			       "/sys/class/thermal/thermal_zone%d/temp", i);
		one = sys_int(root, path, &value);
		if (one >= 0)
			most = max_u64(most, value);
		if (one >= 0 || r == -ENOENT)
			r = one;
	}
	put(json, "temperature_mc", most > 0 ? 0 : r < 0 ? r : -ENOENT, most);
}

/* ---- what is waited for ------------------------------------------------ */

static void
put_pressure(json_t *json, const char *root, const char *what)
{
	char path[64], name[64], line[LINE];
	const char *total;
	uint64_t us = 0;
	int r;

	(void)snprintf(path, sizeof(path), "/proc/pressure/%s", what);
	(void)snprintf(name, sizeof(name), "%s_wait_us", what);
	r = sys_line(root, path, line, sizeof(line));
	total = r >= 0 ? strstr(line, "total=") : NULL;
	if (r >= 0 && (!total || sscanf(total, "total=%" SCNu64, &us) != 1))
		r = -ENOENT;
	put(json, name, r, us);
}

static void
put_vmstat(json_t *json, const char *root)
{
	static const struct {
		const char *key, *name;
		uint64_t unit; /* 0: of a page */
	} v[] = {
		{"pgpgin", "paged_in_bytes", KiB},
		{"pgpgout", "paged_out_bytes", KiB},
		{"nr_dirty", "dirty_bytes", 0},
		{"nr_writeback", "writeback_bytes", 0},
	};
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), n;
	char text[LINE];
	int r = sys_line(root, "/proc/vmstat", text, sizeof(text));

	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		int one = r;

		n = 0;
		if (r >= 0 && (!sys_keyed(root, "/proc/vmstat", v[i].key, text,
					  sizeof(text)) ||
			       sscanf(text, "%" SCNu64, &n) != 1))
			one = -ENOENT;
		put(json, v[i].name, one, n * (v[i].unit ? v[i].unit : page));
	}
}

/* ---- the disk ---------------------------------------------------------- */

static void
put_disk(json_t *json, const struct disks *disks, const char *dir)
{
	struct disk_count count = {0};
	struct statvfs st;
	int r = disk_stat_read(disks, &count) ? 0 : -ENOENT;

	put(json, "disk_ops", r, count.ops);
	put(json, "disk_bytes", r, count.bytes);
	put(json, "disk_in_flight", r, count.flying);
	r = statvfs(dir, &st) < 0 ? -errno : 0;
	put(json, "free_bytes", r,
	    r < 0 ? 0 : (uint64_t)st.f_bavail * st.f_frsize);
}

json_t *
host_state_json(const char *root, const struct disks *disks, const char *dir)
{
	json_t *json = json_object();

	(void)json_object_set_new(json, "at_s", json_real(clock_wall_s()));
	put_load(json, root);
	put_cpu(json, root);
	put_temperature(json, root);
	put_pressure(json, root, "cpu");
	put_pressure(json, root, "io");
	put_pressure(json, root, "memory");
	put_vmstat(json, root);
	put_disk(json, disks, dir);
	return json;
}

/* ---- the page cache ---------------------------------------------------- */

/* Of length bytes from off on. */
static int
count_window(int fd, uint64_t off, size_t length, uint64_t page, uint64_t *sum)
{
	size_t pages = (size_t)div_up(length, page);
	unsigned char *v = malloc(pages);
	void *at = mmap(NULL, length, PROT_READ, MAP_SHARED, fd, (off_t)off);
	bool ok = v && at != MAP_FAILED && mincore(at, length, v) == 0;
	int r = ok ? 0 : -errno;

	for (size_t i = 0; ok && i < pages; i++)
		*sum += v[i] & 1 ? page : 0;
	if (at != MAP_FAILED)
		(void)munmap(at, length);
	free(v);
	return r;
}

int
host_state_resident(const char *path, uint64_t *ret)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), size;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), r = 0;
	struct stat st;

	*ret = 0;
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		r = -errno;
	size = r < 0 || !S_ISREG(st.st_mode) ? 0 : (uint64_t)st.st_size;
	for (uint64_t off = 0; r >= 0 && off < size; off += WINDOW)
		r = count_window(fd, off, (size_t)min_u64(WINDOW, size - off),
				 page, ret);
	(void)close(fd);
	return r;
}
