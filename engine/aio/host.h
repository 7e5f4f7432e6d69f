/* SPDX-License-Identifier: MIT */
/*
 * host.h - files of the host, for the backends that use them
 */
#ifndef Q2_AIO_HOST_H
#define Q2_AIO_HOST_H

#include "engine/aio/backend.h"
#include "engine/aio/workers.h"

/* The hooks of aio_backend_ops that are the same for all of them. */
int host_open(struct aio_backend *b, const char *path, struct aio_file *file,
	      struct q2_err *err);
void host_close(struct aio_backend *b, struct aio_file *file);
int64_t host_size(struct aio_backend *b, struct aio_file *file);
int64_t host_allocated(struct aio_backend *b, struct aio_file *file);
int host_sync_dir(struct aio_backend *b, struct aio_file *file);
int host_extents(struct aio_backend *b, struct aio_file *file,
		 struct aio_extent **ret_ext, size_t *ret_n);
int host_lock(struct aio_backend *b, struct aio_file *file,
	      enum aio_lock_mode mode, struct q2_err *err);

/* Do one attempt of op in this thread; bytes or negative errno. */
int64_t host_attempt(const struct aio_op *op);
/* Do it in a thread of pool, and complete it when the pool is reaped. */
void host_submit(struct workers *pool, struct aio_op *op);

/*
 * Is the file in memory, on a file system that answers at once but does not
 * say so (no RWF_NOWAIT)?  The kernel's queues would hand each request on it
 * to a thread; doing it on the spot is several times faster.
 */
bool host_never_waits(const struct aio_file *file);

/* Who does an operation on a file of which host_never_waits() is true. */
enum host_place {
	HOST_HERE,  /* the loop's thread, at once */
	HOST_POOL,  /* host_submit() */
	HOST_KERNEL /* a thread of the kernel's, where the backend has such, else
			    as HOST_HERE */
};
/* Not for other files.  Takes note of op: once for each. */
enum host_place host_place(const struct aio_op *op, const struct workers *pool);

/* dioalign.c: what O_DIRECT on file->fd wants of offsets and memory. */
void host_detect_align(struct aio_file *file);
/* The type of the file system, such as "ext4", or "unknown". */
const char *host_fs_name(int fd);

/* lock.c: may we empty or replace the file?  Asks as QEMU's create does, and
 * holds nothing afterwards. */
int host_lock_for_create(int fd, const char *name, struct q2_err *err);

#endif
