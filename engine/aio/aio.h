/* SPDX-License-Identifier: MIT */
/*
 * aio.h - the loop, host files, and requests to them
 *
 * One struct loop = one thread.  A turn of the loop:
 *
 *	1. hand queued operations to the backend in one batch;
 *	2. reap completions: each only stores its result and is queued;
 *	3. finish the queued ones: short transfers and EINTR/EAGAIN are
 *	   continued here, whole ones get their done() (which wakes a coroutine
 *	   or queues a task, and does nothing else);
 *	4. run woken coroutines until none is ready;
 *	5. run tasks (the done() of guest requests, posted functions).
 *
 * Nothing of the engine runs inside step 2, so no code needs to be ready for
 * being called from a submission.
 */
#ifndef Q2_AIO_AIO_H
#define Q2_AIO_AIO_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/iov.h"
#include "engine/base/list.h"
#include "engine/base/points.h"
#include "engine/co/co.h"
#include "engine/co/sync.h"

struct aio_file;
struct aio_backend;
struct workers;

/* Entries that one operation may have: what the kernel takes. */
#define AIO_IOV_MAX 1024

/* ---- operations -------------------------------------------------------- */

enum aio_kind {
	AIO_READ,
	AIO_WRITE,
	AIO_SYNC,     /* fdatasync */
	AIO_DISCARD,  /* punch a hole; reads as zeros afterwards */
	AIO_ZERO,     /* zero a range, keeping or making it allocated;
				   -ENOTSUP where it is not native */
	AIO_TRUNCATE, /* make the file off bytes long */
	AIO_ALLOCATE, /* posix_fallocate's meaning, may grow the file;
				   -ENOTSUP where it is not native */
};

/* What the bytes are, for the counters of points.def. */
enum aio_class {
	AIO_DATA,
	AIO_L1,
	AIO_L2,
	AIO_REFCOUNT,
	AIO_HEADER,
	AIO_COW,
	AIO_CLASSES
};

/*
 * One operation on one file; the submitter's memory until done().  The first
 * part is filled by the submitter and not changed by the loop.  off, len and
 * the memory obey the file's alignment: bytes that do not go through align.c.
 */
struct aio_op {
	enum aio_kind kind;
	enum aio_class cls;
	struct aio_file *file;
	uint64_t off;
	uint64_t len;
	const struct iovec *iov; /* read and write */
	int iovcnt;
	int result; /* for done(): 0 or negative errno */
	void (*done)(struct aio_op *op);
	void *user;

	/* The loop's and the backend's own. */
	struct list link;
	struct list wlink; /* on file->writing, if it changes bytes */
	uint64_t moved;    /* bytes done by earlier attempts */
	struct iovec seg;  /* what an attempt moves that is not for all */
	bool is_cut;       /* it ends behind the part of the file */
	int64_t raw;       /* bytes, or negative errno, of the last
					   attempt */
	unsigned retries;
	uint64_t priv[8]; /* the backend's */
};

/*
 * Start op.  Never fails: errors come through op->result.  Reads beyond the
 * end of the file give zeros.  Writes are whole or failed.
 */
void aio_submit(struct aio_op *op);

/* ---- the loop ---------------------------------------------------------- */

/* Something to call in step 5 of a turn; embedded in its owner. */
struct loop_task {
	struct list link;
	void (*fn)(struct loop_task *task);
};

struct loop_opts {
	const char *aio; /* as in q2_loop_opts */
	unsigned depth;
	unsigned workers;
};

/* host.c: how many large operations on files in memory may come until there
 * are no reads, or no writes, among them any more. */
struct aio_mix {
	unsigned reads, writes;
};

struct loop {
	struct co_sched sched;
	struct aio_backend *backend;
	struct workers *workers;
	struct list queued;    /* ops not yet given to the backend */
	struct list completed; /* ops reaped, not yet finished */
	struct list tasks;
	unsigned inflight;      /* ops given to the backend */
	unsigned requests_done; /* guest requests finished; see loop_run() */
	uint64_t syscalls, sqes;
	struct aio_mix mix;
	char notice[256]; /* why a better backend is not in use, or "" */
	/* Tests: loop_offload() and the like run at once, in the loop's
	 * thread, so that a run depends on its seed alone. */
	bool inline_work;
	void *priv; /* loop.c's */
};

int loop_new(const struct loop_opts *opts, struct loop **ret_loop,
	     struct q2_err *err);
/* A loop on a backend that the caller made; tests wrap backends.  The loop
 * owns backend from here on, also on error. */
int loop_new_backend(struct aio_backend *backend, const struct loop_opts *opts,
		     struct loop **ret_loop, struct q2_err *err);
void loop_free(struct loop *loop);

/*
 * Turns until requests_done has grown by min, or the timeout; as
 * q2_loop_run().  What the last done() submitted goes to the kernel with the
 * next call, in one batch with what the caller adds; call with (0, 0) to hand
 * it over before doing something else for long.  Once loop_fd() has been
 * asked for, each call hands it over before it returns.
 */
int loop_run(struct loop *loop, unsigned min, int64_t timeout_ns);
/* Turns until *flag is true.  Not from a coroutine. */
int loop_run_until(struct loop *loop, const bool *flag);
/* Run fn(arg) in a coroutine and turn until it has ended; the blocking form
 * of everything.  Returns fn's result.  Not from a coroutine. */
int loop_call(struct loop *loop, int (*fn)(void *arg), void *arg);

void loop_defer(struct loop *loop, struct loop_task *task);
/* From any thread. */
int loop_post(struct loop *loop, void (*fn)(void *arg), void *arg);
int loop_fd(struct loop *loop);
const char *loop_aio(const struct loop *loop);

/*
 * Run fn(arg) in a worker thread, parked meanwhile, and return its result.
 * For calls that block (ftruncate, fallocate, FIEMAP) and for work that costs
 * processor time.
 */
int Q2_CO loop_offload(struct loop *loop, int (*fn)(void *arg), void *arg);

/* Aligned memory, registered with the kernel where the backend can. */
void *loop_buf_alloc(struct loop *loop, size_t bytes);
void loop_buf_free(struct loop *loop, void *buf);

/* ---- files ------------------------------------------------------------- */

enum aio_open_flags {
	AIO_RDONLY = 1 << 0,
	AIO_CREATE = 1 << 1, /* make it, or empty an existing one */
	AIO_DIRECT = 1 << 2, /* O_DIRECT, an error if it cannot be had */
	AIO_NOSYNC = 1 << 3, /* unsafe: syncs succeed and do nothing */
};

struct aio_file {
	struct loop *loop;
	char *name;
	int fd;                /* -1 in memory */
	unsigned flags;        /* enum aio_open_flags */
	uint32_t align;        /* of offsets and lengths; 1: any */
	uint32_t mem_align;    /* of addresses; 1: any */
	uint32_t range_align;  /* of AIO_ZERO and AIO_DISCARD, at least align */
	bool is_block;         /* a block device, or a part of a file with an
				  end: fixed length, never a hole */
	bool is_device;        /* the former */
	uint64_t base;         /* aio_set_part(): where offset 0 is */
	uint64_t end;          /* of the part, counted from there; 0: none */
	bool inline_io;        /* the backend runs requests at once */
	struct points *points; /* the opener's counters */
	int sync_error;        /* a failed sync stays: see AIO_SYNC */
	bool no_zero_range;    /* AIO_ZERO was refused once as unsupported */
	bool no_discard;
	struct list writing; /* ops in flight that change bytes */
	struct list locked;  /* align.c: ranges under read-modify-write */
	struct co_queue lock_wait;
	void *priv; /* the backend's */
};

/*
 * Open a host file, blocking.  points is counted in from now on and must live
 * as long as the file.
 */
int aio_open(struct loop *loop, const char *path, unsigned flags,
	     struct points *points, struct aio_file **ret_file,
	     struct q2_err *err);
/* Is there such a part of size bytes?  Messages are QEMU's. */
int aio_check_part(const struct q2_part *part, uint64_t size,
		   struct q2_err *err);
/*
 * From now on file is a part of itself: what begins at offset, and, with
 * has_size, ends size bytes later, where nothing can be written behind and
 * zeros are read.  Once, before anything else is done with the file.
 */
int aio_set_part(struct aio_file *file, const struct q2_part *part,
		 struct q2_err *err);
/* Nothing may be in flight.  Gives up locks. */
void aio_close(struct aio_file *file);

/* Length in bytes now, or negative errno.  Block devices too. */
int64_t aio_size(struct aio_file *file);
/* Bytes that the file system has allocated for it (st_blocks * 512). */
int64_t aio_allocated(struct aio_file *file);
/* fsync the directory that holds the file, so that its name is durable. */
int aio_sync_dir(struct aio_file *file);

/*
 * Tell the file system about an empty file: no copy-on-write, and how much to
 * allocate at once (0: say nothing).  Blocking.  An error is only about the
 * second, and does no harm.
 */
int aio_set_hints(struct aio_file *file, bool nocow, uint32_t extent_size);

/* One extent of a host file, as FIEMAP tells. */
enum aio_extent_state {
	AIO_EXT_HOLE,
	AIO_EXT_UNWRITTEN,
	AIO_EXT_WRITTEN
};
struct aio_extent {
	uint64_t off, len;
	enum aio_extent_state state;
};
/*
 * All extents of [0, length), holes included, in order; the caller frees
 * *ret_ext.  -ENOTSUP where the file system has no FIEMAP.  Blocking.
 */
int aio_extents(struct aio_file *file, struct aio_extent **ret_ext,
		size_t *ret_n);

/* QEMU's lock bytes: see lock.c.  -EAGAIN when another process holds it. */
enum aio_lock_mode {
	AIO_LOCK_NONE,
	AIO_LOCK_READ,  /* nobody else writes */
	AIO_LOCK_WRITE, /* nobody else writes or reads */
	/* Raw images: QEMU lets others read and write them meanwhile, but they
	 * do not get a format driver's lock. */
	AIO_LOCK_RAW_READ,
	AIO_LOCK_RAW_WRITE
};
int aio_lock(struct aio_file *file, enum aio_lock_mode mode,
	     struct q2_err *err);

/* ---- byte-granular I/O for coroutines (align.c, rule A1) --------------- */

/*
 * Any offset, length and memory.  What is not aligned as the file needs goes
 * through a bounce buffer; a partial block is read, changed and written under
 * an exclusive lock on that block.  They return 0 or a negative errno.
 */
int Q2_CO file_read(struct aio_file *file, enum aio_class cls, void *buf,
		    uint64_t len, uint64_t off);
int Q2_CO file_write(struct aio_file *file, enum aio_class cls, const void *buf,
		     uint64_t len, uint64_t off);
/* The next len bytes of it; moves it. */
int Q2_CO file_readv(struct aio_file *file, enum aio_class cls,
		     struct iov_iter *it, uint64_t len, uint64_t off);
int Q2_CO file_writev(struct aio_file *file, enum aio_class cls,
		      struct iov_iter *it, uint64_t len, uint64_t off);
/*
 * Zero a range: AIO_ZERO where native for the whole blocks, zeros written for
 * the rest.  With native_only, -ENOTSUP instead of writing whole blocks.
 */
int Q2_CO file_zero(struct aio_file *file, uint64_t len, uint64_t off,
		    bool native_only);
/* Zero a range: holes where whole blocks can be some, zeros written for the
 * rest. */
int Q2_CO file_punch(struct aio_file *file, uint64_t len, uint64_t off);
/* Best effort on the whole blocks inside the range; never an error for what a
 * file system cannot do. */
int Q2_CO file_discard(struct aio_file *file, uint64_t len, uint64_t off);
/* The first failure latches: every later sync of the file fails too. */
int Q2_CO file_sync(struct aio_file *file);
/* Note: where align > 1 an unaligned write makes the file end at a block's
 * end; who needs an exact length truncates last. */
int Q2_CO file_truncate(struct aio_file *file, uint64_t size);
int Q2_CO file_allocate(struct aio_file *file, uint64_t len, uint64_t off);

/*
 * May this transfer go to aio_submit() as it is?  The fast path asks this,
 * and submits without parking in between; on false it takes file_readv() or
 * file_writev().  True means: offset, length and memory are what the file
 * needs, and no read-modify-write holds a block of the range (which only
 * matters to writes, and costs one compare while none is running).
 */
bool file_is_aligned(struct aio_file *file, const struct iov_iter *it,
		     uint64_t len, uint64_t off);

#endif
