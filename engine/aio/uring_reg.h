/* SPDX-License-Identifier: MIT */
/*
 * uring_reg.h - files and memory that an io_uring knows in advance
 *
 * A registered file spares each request two atomic operations on its
 * reference count, registered memory the walk of the page tables.  Both are
 * only faster: every failure (RLIMIT_MEMLOCK, full tables, old kernels) means
 * going on without, and nobody is told.
 */
#ifndef Q2_AIO_URING_REG_H
#define Q2_AIO_URING_REG_H

#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>

/* An image, its data file and its backing chain; more go without. */
#define REG_FILES 64
/* What the oldest kernel with io_uring allows. */
#define REG_BUFS 1024

struct reg_buf {
	uintptr_t start, end;
	unsigned slot;
};

struct reg {
	struct io_uring *ring;
	bool files_on, bufs_on; /* the kernel has our table */
	unsigned n_files, n_bufs;
	bool file_used[REG_FILES], buf_used[REG_BUFS];
	struct reg_buf bufs[REG_BUFS]; /* by address */
};

void reg_init(struct reg *reg, struct io_uring *ring);

/* The slot of fd from now on, or -1: use fd itself. */
int reg_file_add(struct reg *reg, int fd);
/* Before closing its fd. */
void reg_file_remove(struct reg *reg, int slot);

/* Only [buf, buf + bytes) as a whole can be removed again.  */
void reg_buf_add(struct reg *reg, void *buf, size_t bytes);
/* Also for memory that was not registered. */
void reg_buf_remove(struct reg *reg, const void *buf);
/* The slot of the memory that holds [p, p + bytes), or -1. */
int reg_buf_find(const struct reg *reg, const void *p, size_t bytes);

#endif
