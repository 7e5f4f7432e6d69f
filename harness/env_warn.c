/* SPDX-License-Identifier: MIT */
#include "harness/env_warn.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/num.h"

/* A file system that is fuller looks longer for space, and finds it in small
 * pieces (measuring on one says more about its age than about the format). */
#define FULL_PCT 80.0
/* io_uring's registered buffers: 32 requests of 1 MiB are locked. */
#define MEMLOCK_LEAST (64 * MiB)
/* Part of the processors that may be at work when a run begins. */
#define LOAD_SHARE   0.3
#define PRESSURE_PCT 10.0
#define STEAL_PCT    2.0

struct list {
	struct env_warning *v;
	size_t n;
};

static struct env_warning *
add(struct list *list, const char *remedy)
{
	struct env_warning *w = &list->v[list->n];

	if (list->n < ENV_WARNINGS - 1)
		list->n++;
	(void)snprintf(w->remedy, sizeof(w->remedy), "%s", remedy);
	return w;
}

#define WARN(list, remedy, ...)                                          \
	do {                                                             \
		struct env_warning *w_ = add(list, remedy);              \
		(void)snprintf(w_->what, sizeof(w_->what), __VA_ARGS__); \
	} while (0)

static bool
is(const struct env_facts *f, enum env_field field, const char *word)
{
	return strcmp(facts_get(f, field), word) == 0;
}

static void
warn_place(const struct env_facts *f, struct list *list)
{
	const char *kind = facts_get(f, ENV_fs_kind);
	const char *type = facts_get(f, ENV_fs_type);
	double used = facts_get_real(f, ENV_fs_used);

	if (strcmp(kind, "memory") == 0)
		WARN(list, "name a folder on a disk with --dir",
		     "%.40s is memory, not your disk: no advice", type);
	else if (facts_has(f, ENV_fs_kind) && strcmp(kind, "disk") != 0)
		WARN(list,
		     "name a folder on the file system below it with --dir",
		     "%.40s is a %s file system, not a disk of this machine: "
		     "no advice",
		     type, kind);
	if (strstr(facts_get(f, ENV_block_layers), "loop:cached"))
		WARN(list, "losetup --direct-io=on",
		     "the loop device %.40s keeps its file in memory: reads "
		     "and writes may never reach the disk",
		     facts_get(f, ENV_block_device));
	if (used > FULL_PCT)
		WARN(list, "free space, or name another place with --dir",
		     "the file system is %.0f %% full", used);
	if (facts_get_int(f, ENV_block_offset) % (64 * KiB) != 0)
		WARN(list, "make the partition anew, at a multiple of 1 MiB",
		     "the partition begins at %llu bytes, not at a multiple of "
		     "64 KiB",
		     (unsigned long long)facts_get_int(f, ENV_block_offset));
	if (facts_has(f, ENV_cgroup_io_max) &&
	    !is(f, ENV_cgroup_io_max, "none"))
		WARN(list, "run outside this control group",
		     "the control group limits the disk: %.80s",
		     facts_get(f, ENV_cgroup_io_max));
}

static void
warn_cpu(const struct env_facts *f, struct list *list)
{
	const char *governor = facts_get(f, ENV_cpu_governor);

	if (strstr(governor, "powersave") &&
	    !strstr(facts_get(f, ENV_cpu_driver), "pstate"))
		WARN(list,
		     "cpupower frequency-set -g performance (as root), and "
		     "back with -g powersave",
		     "the governor %.40s keeps the clock low", governor);
	if (is(f, ENV_state_power, "battery"))
		WARN(list, "plug the machine in", "it runs on its battery");
	if (facts_has(f, ENV_cgroup_cpu_max) &&
	    !is(f, ENV_cgroup_cpu_max, "none"))
		WARN(list, "run outside this control group",
		     "the control group limits the processor: %.80s",
		     facts_get(f, ENV_cgroup_cpu_max));
	if (facts_get_real(f, ENV_virt_steal) > STEAL_PCT)
		WARN(list, "measure when the host is less busy",
		     "the hypervisor has given %.1f %% of the processor to "
		     "others since boot",
		     facts_get_real(f, ENV_virt_steal));
	if (strstr(facts_get(f, ENV_software_build), "sanitizer") ||
	    is(f, ENV_software_build, "not optimised"))
		WARN(list, "make MODE=release",
		     "this program is built for tests (%.40s)",
		     facts_get(f, ENV_software_build));
}

static void
warn_limits(const struct env_facts *f, struct list *list)
{
	uint64_t memlock = facts_get_int(f, ENV_limits_memlock);

	if (facts_has(f, ENV_limits_memlock) &&
	    !is(f, ENV_limits_memlock, "unlimited") &&
	    memlock < MEMLOCK_LEAST && !is(f, ENV_limits_root, "yes"))
		WARN(list,
		     "ulimit -l 65536, after raising memlock in "
		     "/etc/security/limits.conf",
		     "only %llu KiB may be locked: io_uring works without "
		     "registered buffers",
		     (unsigned long long)(memlock / KiB));
	if (facts_has(f, ENV_limits_io_uring) &&
	    !is(f, ENV_limits_io_uring, "yes"))
		WARN(list,
		     "sysctl kernel.io_uring_disabled=0, or allow it in the "
		     "container's seccomp profile",
		     "io_uring is not permitted (%.40s)",
		     facts_get(f, ENV_limits_io_uring));
	/* Each context of libaio takes from this at least what it asks for. */
	if (facts_get_int(f, ENV_limits_aio_max) > 0 &&
	    facts_get_int(f, ENV_limits_aio_used) + 4096 >
		    facts_get_int(f, ENV_limits_aio_max))
		WARN(list, "sysctl fs.aio-max-nr=1048576",
		     "libaio has %llu of %llu requests left",
		     (unsigned long long)(facts_get_int(f, ENV_limits_aio_max) -
					  facts_get_int(f,
							ENV_limits_aio_used)),
		     (unsigned long long)facts_get_int(f, ENV_limits_aio_max));
}

static void
warn_state(const struct env_facts *f, struct list *list)
{
	double cpus = (double)facts_get_int(f, ENV_cpu_threads);
	double load = facts_get_real(f, ENV_state_load);
	uint64_t swap_used = facts_get_int(f, ENV_memory_swap_used);

	if (cpus > 0 && load > LOAD_SHARE * cpus)
		WARN(list, "stop what else runs here, or measure later",
		     "the load is %.2f on %.0f CPUs", load, cpus);
	if (facts_get_real(f, ENV_state_io_pressure) > PRESSURE_PCT)
		WARN(list, "stop what else uses the disk, or measure later",
		     "for %.0f %% of the last 10 s someone waited for I/O",
		     facts_get_real(f, ENV_state_io_pressure));
	if (swap_used > 0 && swap_used * 10 > facts_get_int(f, ENV_memory_swap))
		WARN(list, "free memory, then swapoff -a && swapon -a",
		     "%llu MiB of swap are in use",
		     (unsigned long long)(swap_used / MiB));
}

size_t
env_warnings(const struct env_facts *facts,
	     struct env_warning ret[ENV_WARNINGS])
{
	struct list list = {ret, 0};

	warn_place(facts, &list);
	warn_cpu(facts, &list);
	warn_limits(facts, &list);
	warn_state(facts, &list);
	return list.n;
}
