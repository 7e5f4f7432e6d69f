/* SPDX-License-Identifier: MIT */
/*
 * io.h - qcowimg io: a session of commands on one image, in qemu-io's language
 *
 *	cmd_io.c	the command line, where commands come from
 *	io_commands.c	the table of commands, looking one up, help
 *	io_parse.c	numbers, patterns, buffers; reports and dumps
 *	io_sync.c	read, write, readv, writev, discard, flush
 *	io_aio.c	aio_read, aio_write, aio_flush
 *	io_break.c	break, remove_break, resume, wait_break
 *	io_image.c	open, close, reopen, truncate, length, map, alloc,
 *			info
 *
 * Every text a command prints is qemu-io's, because scripts read them; the
 * long help is ours.  A command returns 0, IO_QUIT, or a negative number after
 * it has said why.
 */
#ifndef Q2_IMG_IO_H
#define Q2_IMG_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "engine/img/file.h"

/* QEMU's limit of one request: INT_MAX in sectors. */
#define IO_REQUEST_MAX UINT64_C(2147483136)

#define IO_SECTOR 512

/* What a byte of a buffer is that nobody has set: written, or to be read. */
#define IO_FILL_WRITE 0xcd
#define IO_FILL_READ  0xab

/* qemu-io's standard: each write is durable before the next command. */
#define IO_OPTS_DEFAULT                                                      \
	(struct file_opts)                                                   \
	{                                                                    \
		.open = {.cache = Q2_CACHE_WRITETHROUGH, .flags = Q2_UNMAP } \
	}

enum {
	IO_QUIT = 1
};

struct io {
	struct file file;      /* file.img is NULL while none is open */
	struct file_opts opts; /* of the open image, for reopen */
	char *filename;        /* of the open image; owned */
	char *extra;           /* options of -o, joined, or NULL; owned */
	bool image_opts;       /* names are lists of options */
	bool probed_raw; /* nobody said raw: the first bytes stay no image */
	bool misalign;
	unsigned in_flight; /* aio_ requests */
};

enum io_command_flags {
	IO_NO_FILE = 1 << 0, /* works without an open image */
	IO_WRITES = 1 << 1,
};

struct io_command {
	const char *name;
	const char *short_name; /* or NULL */
	int (*run)(struct io *io, int argc, char **argv);
	int args_min, args_max; /* args_max -1: any number */
	unsigned flags;         /* enum io_command_flags */
	const char *args;       /* or NULL */
	const char *summary;
	const char *help; /* or NULL */
};

/* ---- io_commands.c ----------------------------------------------------- */

/* Run one line; it is cut into pieces. */
int io_run_line(struct io *io, char *line);
/* Print how command name is to be used; returns -EINVAL. */
int io_usage(const char *name);

/* ---- io_parse.c -------------------------------------------------------- */

/* All return 0, or -EINVAL after having said why. */
int io_number(const char *text, uint64_t *ret);
int io_length(const char *text, uint64_t *ret);
int io_pattern(const char *text, uint8_t *ret);

/* A buffer in one or more pieces.  {0} is empty. */
struct io_buf {
	struct q2_loop *loop;
	void *memory;
	uint8_t *data;
	size_t bytes;
	struct iovec *iov;
	int iovcnt;
};

/* Make a buffer of n pieces with the lengths of argv; says why not. */
int io_buf_init(struct io_buf *buf, const struct io *io, int n, char **argv,
		uint8_t fill);
void io_buf_done(struct io_buf *buf);

/* Fill it with the bytes of a file, again and again. */
int io_buf_load(struct io_buf *buf, const char *path);

/* Is buf from start on, for len bytes, pattern?  Says if not, with the
 * image's offset. */
bool io_verify(const struct io_buf *buf, uint8_t pattern, size_t start,
	       size_t len, uint64_t off);

void io_dump(const struct io_buf *buf, uint64_t off);

/* "read 512/512 bytes at offset 0" and the rates; or, if terse, all in one
 * line of numbers.  ns is the time it took. */
void io_report(const char *done, const struct q2_req *rq, uint64_t ns,
	       bool terse);

uint64_t io_now_ns(void);
/* Of a result on the data path. */
const char *io_strerror(int result);

/* ---- io_sync.c --------------------------------------------------------- */

/* With -C: what a read finds below the image is copied into it.  Nothing else
 * may be in flight meanwhile, so this waits.  Returns 0 or a negative errno. */
int io_copy_on_read(struct io *io, const struct q2_req *rq);
/* Run rq to its end; returns its result. */
int io_request(struct io *io, struct q2_req *rq);
/* Would this write make an image of a file whose format was guessed as raw? */
bool io_is_forbidden(struct io *io, const struct q2_req *rq);

int io_cmd_discard(struct io *io, int argc, char **argv);
int io_cmd_flush(struct io *io, int argc, char **argv);
int io_cmd_read(struct io *io, int argc, char **argv);
int io_cmd_readv(struct io *io, int argc, char **argv);
int io_cmd_write(struct io *io, int argc, char **argv);
int io_cmd_writev(struct io *io, int argc, char **argv);

/* ---- io_break.c -------------------------------------------------------- */

/*
 * A command waits for a request: turn the loop once.  A request that a
 * breakpoint holds, and that nobody could resume any more, is resumed after a
 * while.  Returns 0 or a negative errno.
 */
int io_turn(struct io *io);

int io_cmd_break(struct io *io, int argc, char **argv);
int io_cmd_remove_break(struct io *io, int argc, char **argv);
int io_cmd_resume(struct io *io, int argc, char **argv);
int io_cmd_wait_break(struct io *io, int argc, char **argv);

/* ---- io_aio.c ---------------------------------------------------------- */

/* Wait until no aio_ request is in flight. */
void io_drain(struct io *io);

int io_cmd_aio_flush(struct io *io, int argc, char **argv);
int io_cmd_aio_read(struct io *io, int argc, char **argv);
int io_cmd_aio_write(struct io *io, int argc, char **argv);

/* ---- io_image.c -------------------------------------------------------- */

/* Open an image in the session, which takes copies of filename and of
 * opts->extra. */
int io_open(struct io *io, const char *filename, const struct file_opts *opts);
int io_close(struct io *io);

int io_cmd_alloc(struct io *io, int argc, char **argv);
int io_cmd_close(struct io *io, int argc, char **argv);
int io_cmd_info(struct io *io, int argc, char **argv);
int io_cmd_length(struct io *io, int argc, char **argv);
int io_cmd_map(struct io *io, int argc, char **argv);
int io_cmd_open(struct io *io, int argc, char **argv);
int io_cmd_reopen(struct io *io, int argc, char **argv);
int io_cmd_truncate(struct io *io, int argc, char **argv);

#endif
