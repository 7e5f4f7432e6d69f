/* SPDX-License-Identifier: MIT */
/*
 * hurry.c - for LD_PRELOAD: a program that measures its processor time sees a
 * hundred times as much as it took
 *
 * QEMU counts for two seconds how many rounds of PBKDF2 a key shall get, for
 * each LUKS image; and on a busy machine it gives up.  It gives keys of tests the
 * least that it allows in any case (iter-time=10).
 */
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#define TIMES 100

/* glibc's type of the first argument is another one in C++ only. */
int
getrusage(__rusage_who_t who, struct rusage *usage)
{
	struct timeval *t = &usage->ru_utime;
	long long us;

	if (syscall(SYS_getrusage, who, usage) != 0)
		return -1;
	us = (t->tv_sec * 1000000LL + t->tv_usec) * TIMES;
	t->tv_sec = us / 1000000;
	t->tv_usec = us % 1000000;
	return 0;
}
