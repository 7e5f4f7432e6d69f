/* SPDX-License-Identifier: MIT */
#include "harness/env.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>

#include "harness/env_parts.h"
#include "harness/env_sys.h"

/* The real /proc and /sys. */
#define ROOT ""

/* Machine-id must not leave a machine as it is (machine-id(5)); with a salt
 * others cannot recognise it in what is published. */
#define SALT "qcowbench machine "

static void
read_machine(struct env *env)
{
	static const char *const paths[] = {"/etc/machine-id",
					    "/var/lib/dbus/machine-id",
					    "/proc/sys/kernel/hostname"};
	char text[128] = SALT;
	const size_t salt = strlen(SALT);

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		if (sys_line(ROOT, paths[i], text + salt,
			     sizeof(text) - salt) >= 0)
			break;
	}
	id_of_bytes(text, strlen(text), env->machine);
}

static void
read_uname(struct env_facts *facts)
{
	struct utsname uts;
	char text[160];

	if (uname(&uts) < 0)
		return;
	(void)snprintf(text, sizeof(text), "%.64s %.64s", uts.sysname,
		       uts.release);
	facts_text(facts, ENV_kernel_release, text);
	facts_text(facts, ENV_kernel_arch, uts.machine);
}

/* File system, device below it, and the limits that the group has there. */
static void
read_place(struct env *env, const char *dir, dev_t dev)
{
	char source[256] = "", real[PATH_MAX], name[96], number[32] = "";
	struct stat st;

	if (!realpath(dir, real))
		(void)snprintf(real, sizeof(real), "%s", dir);
	env_read_mount(ROOT, dev, real, &env->facts, source, sizeof(source));
	env_read_fs(dir, &env->facts);
	/* btrfs and zfs have a device number of their own; what is mounted
	 * tells the disk. */
	if (major(dev) == 0 && source[0] == '/' && stat(source, &st) == 0 &&
	    S_ISBLK(st.st_mode))
		dev = st.st_rdev;
	env_read_block(ROOT, dev, &env->facts, &env->disks);
	(void)snprintf(name, sizeof(name), "/sys/block/%.64s/dev",
		       facts_get(&env->facts, ENV_disk_device));
	(void)sys_line(ROOT, name, number, sizeof(number));
	env_read_cgroup(ROOT, number, &env->facts);
}

int
env_read(struct env *env, const char *dir, struct q2_err *err)
{
	struct stat st;
	const char *options;

	*env = (struct env){.disks = {.n = 0}};
	if (stat(dir, &st) < 0)
		return q2_fail(err, -errno, "%s: %s", dir, strerror(errno));
	read_machine(env);
	env_read_cpu(ROOT, &env->facts);
	read_uname(&env->facts);
	env_read_kernel(ROOT, &env->facts);
	env_read_virt(ROOT, &env->facts);
	env_read_memory(ROOT, &env->facts);
	env_read_state(ROOT, &env->facts);
	read_place(env, dir, st.st_dev);
	env_read_limits(ROOT, &env->facts);
	env_read_software(&env->facts);
	facts_fingerprint(&env->facts, env->fingerprint);
	options = facts_get(&env->facts, ENV_fs_options);
	env->filesystem = facts_get(&env->facts, ENV_fs_type);
	env->mount_options = strcmp(options, "none") == 0 ? "" : options;
	env->device = facts_get(&env->facts, ENV_block_device);
	env->medium = facts_get(&env->facts, ENV_disk_medium);
	return 0;
}

json_t *
env_json(const struct env *env)
{
	json_t *json = json_object(), *topics = facts_json(&env->facts);

	(void)json_object_set_new(json, "machine", json_string(env->machine));
	(void)json_object_set_new(json, "fingerprint",
				  json_string(env->fingerprint));
	(void)json_object_update(json, topics);
	json_decref(topics);
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
