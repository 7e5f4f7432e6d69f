/* SPDX-License-Identifier: MIT */
/*
 * env_parts.h - who reads which fields of the environment; for env.c and tests
 *
 * root is env_sys.h's.  A function sets the fields of its topics, and leaves
 * absent what it does not find.
 */
#ifndef HARNESS_ENV_PARTS_H
#define HARNESS_ENV_PARTS_H

#include <stdbool.h>
#include <sys/types.h>

#include "harness/disk_stat.h"
#include "harness/env_facts.h"

/* env_cpu.c: cpu, virt, and the state of both. */
void env_read_cpu(const char *root, struct env_facts *facts);
void env_read_virt(const char *root, struct env_facts *facts);

/* env_kernel.c: kernel (release and arch excepted), memory, state. */
void env_read_kernel(const char *root, struct env_facts *facts);
void env_read_memory(const char *root, struct env_facts *facts);
void env_read_state(const char *root, struct env_facts *facts);
/* Boot options that change performance, out of a command line; others may name
 * disks or hosts and are left out. */
void env_boot_options(const char *cmdline, char *text, size_t size);

/* env_cgroup.c.  dev: "8:0", the disk whose limits count, or "". */
void env_read_cgroup(const char *root, const char *dev,
		     struct env_facts *facts);

/* env_fs.c.  env_read_mount: type, options, mount point of what is mounted from
 * device dev, by mountinfo; ret_source is what is mounted, which is not
 * recorded.  env_read_fs: what the folder itself tells. */
void env_read_mount(const char *root, dev_t dev, const char *dir,
		    struct env_facts *facts, char *ret_source, size_t size);
void env_read_fs(const char *dir, struct env_facts *facts);
/* Does a line of mountinfo describe dev? */
bool env_parse_mount(const char *line, dev_t dev, struct env_facts *facts,
		     char *ret_source, size_t size);
const char *env_fs_kind(const char *type);

/* env_block.c: block and disk, and where the disks are counted. */
void env_read_block(const char *root, dev_t dev, struct env_facts *facts,
		    struct disks *ret_disks);

/* env_software.c: limits and software of this process. */
void env_read_limits(const char *root, struct env_facts *facts);
void env_read_software(struct env_facts *facts);

#endif
