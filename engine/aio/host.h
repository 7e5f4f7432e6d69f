/* SPDX-License-Identifier: MIT */
/*
 * host.h - files of the host, for the backends that use them
 */
#ifndef Q2_AIO_HOST_H
#define Q2_AIO_HOST_H

#include "engine/aio/backend.h"

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

/* dioalign.c: what O_DIRECT on file->fd wants of offsets and memory. */
void host_detect_align(struct aio_file *file);
/* The type of the file system, such as "ext4", or "unknown". */
const char *host_fs_name(int fd);

/* lock.c: may we empty or replace the file?  Asks as QEMU's create does, and
 * holds nothing afterwards. */
int host_lock_for_create(int fd, const char *name, struct q2_err *err);

#endif
