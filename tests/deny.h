/* SPDX-License-Identifier: MIT */
/*
 * deny.h - forbid system calls, as containers do, from here on
 *
 *	deny_add(&d, "io_uring_setup", EPERM);
 *	deny_now(&d);
 *
 * For this thread and all that it starts, for ever; so fork first.
 */
#ifndef TESTS_DENY_H
#define TESTS_DENY_H

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define DENY_MAX 4

struct deny {
	unsigned n; /* instructions; zero the struct to begin with */
	struct sock_filter code[2 + 2 * DENY_MAX];
};

/* The call known by that name fails with error.  0, or -1: unknown or too
 * many. */
static inline int
deny_add(struct deny *d, const char *name, int error)
{
	static const struct {
		const char *name;
		unsigned nr;
	} known[] = {
		{"io_uring_setup", SYS_io_uring_setup},
		{"io_uring_register", SYS_io_uring_register},
		{"io_setup", SYS_io_setup},
		{"fallocate", SYS_fallocate},
	};

	if (d->n == 0)
		d->code[d->n++] = (struct sock_filter)BPF_STMT(
			BPF_LD | BPF_W | BPF_ABS,
			offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(known[i].name, name) != 0)
			continue;
		if (d->n + 3 > sizeof(d->code) / sizeof(d->code[0]))
			return -1;
		d->code[d->n++] = (struct sock_filter)BPF_JUMP(
			BPF_JMP | BPF_JEQ | BPF_K, known[i].nr, 0, 1);
		d->code[d->n++] = (struct sock_filter)BPF_STMT(
			BPF_RET | BPF_K,
			SECCOMP_RET_ERRNO |
				((unsigned)error & SECCOMP_RET_DATA));
		return 0;
	}
	return -1;
}

/* 0 or -1 with errno. */
static inline int
deny_now(struct deny *d)
{
	struct sock_fprog prog = {.filter = d->code};

	d->code[d->n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
						       SECCOMP_RET_ALLOW);
	prog.len = (unsigned short)d->n;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog);
}

#endif
