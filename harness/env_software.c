/* SPDX-License-Identifier: MIT */
/*
 * env_software.c - what this process may do, and the programs and libraries
 * that it uses
 */
#include <errno.h>
#include <gnu/libc-version.h>
#include <libaio.h>
#include <limits.h>
#include <link.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/base/num.h"
#include "engine/q2.h"
#include "harness/env_parts.h"
#include "harness/env_sys.h"

/* ---- limits ------------------------------------------------------------ */

static void
read_limit(int resource, enum env_field field, struct env_facts *facts)
{
	struct rlimit limit;

	if (getrlimit((__rlimit_resource_t)resource, &limit) < 0)
		return;
	if (limit.rlim_cur == RLIM_INFINITY)
		facts_text(facts, field, "unlimited");
	else
		facts_int(facts, field, limit.rlim_cur);
}

/* The smallest ring: what the kernel says to it, it says to ours. */
static void
try_uring(struct env_facts *facts)
{
	struct io_uring_params params = {0};
	long fd = syscall(SYS_io_uring_setup, 1, &params);

	if (fd < 0) {
		facts_text(facts, ENV_limits_io_uring, strerrorname_np(errno));
		return;
	}
	(void)close((int)fd);
	facts_text(facts, ENV_limits_io_uring, "yes");
}

static void
try_libaio(struct env_facts *facts)
{
	io_context_t ctx = NULL;
	int r = io_setup(1, &ctx);

	if (r < 0) {
		facts_text(facts, ENV_limits_libaio, strerrorname_np(-r));
		return;
	}
	(void)io_destroy(ctx);
	facts_text(facts, ENV_limits_libaio, "yes");
}

void
env_read_limits(const char *root, struct env_facts *facts)
{
	read_limit(RLIMIT_MEMLOCK, ENV_limits_memlock, facts);
	read_limit(RLIMIT_NOFILE, ENV_limits_nofile, facts);
	try_uring(facts);
	try_libaio(facts);
	sys_fact(facts, ENV_limits_aio_max, root, "/proc/sys/fs/aio-max-nr");
	sys_fact(facts, ENV_limits_aio_used, root, "/proc/sys/fs/aio-nr");
	sys_fact(facts, ENV_limits_perf_paranoid, root,
		 "/proc/sys/kernel/perf_event_paranoid");
	facts_text(facts, ENV_limits_root, geteuid() == 0 ? "yes" : "no");
}

/* ---- libraries --------------------------------------------------------- */

/* A library has no call for its version in each release that is in use; its
 * file has: liburing.so.2 is a link to liburing.so.2.3.0. */
static int
at_library(struct dl_phdr_info *info, size_t size, void *arg)
{
	static const struct {
		const char *name;
		enum env_field field;
	} known[] = {
		{"liburing.so.", ENV_software_liburing},
		{"libaio.so.", ENV_software_libaio},
		{"libz.so.", ENV_software_zlib},
		{"libzstd.so.", ENV_software_zstd},
		{"libgcrypt.so.", ENV_software_gcrypt},
	};
	char real[PATH_MAX];
	const char *name;

	(void)size;
	if (!info->dlpi_name[0] || !realpath(info->dlpi_name, real))
		return 0;
	name = strrchr(real, '/') + 1;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		size_t len = strlen(known[i].name);

		if (strncmp(name, known[i].name, len) == 0)
			facts_text(arg, known[i].field, name + len);
	}
	return 0;
}

/* The number in the first line that a program says with --version. */
static void
ask_version(const char *command, enum env_field field, struct env_facts *facts)
{
	char line[ENV_VALUE] = "", *number;
	FILE *f = popen(command, "re");

	if (!f)
		return;
	if (!fgets(line, sizeof(line), f))
		line[0] = '\0';
	if (pclose(f) != 0)
		return;
	number = strpbrk(line, "0123456789");
	if (!number)
		return;
	number[strcspn(number, "\n")] = '\0';
	facts_text(facts, field, number);
}

static const char *
build(void)
{
#if defined(__SANITIZE_ADDRESS__)
	return "address sanitizer";
#elif defined(__SANITIZE_THREAD__)
	return "thread sanitizer";
#elif defined(__OPTIMIZE__)
	return "optimised";
#else
	return "not optimised";
#endif
}

void
env_read_software(struct env_facts *facts)
{
#ifdef __clang__
	facts_text(facts, ENV_software_compiler, "clang " __clang_version__);
#else
	facts_text(facts, ENV_software_compiler, "gcc " __VERSION__);
#endif
	facts_text(facts, ENV_software_program, q2_version());
	facts_text(facts, ENV_software_build, build());
	facts_text(facts, ENV_software_libc, gnu_get_libc_version());
	(void)dl_iterate_phdr(at_library, facts);
	ask_version("gnuplot --version 2>/dev/null </dev/null",
		    ENV_software_gnuplot, facts);
	ask_version("qemu-img --version 2>/dev/null </dev/null",
		    ENV_software_qemu, facts);
}
