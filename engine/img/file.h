/* SPDX-License-Identifier: MIT */
/*
 * file.h - the image files that the subcommands are given: options that all
 * of them share, names, opening
 */
#ifndef Q2_IMG_FILE_H
#define Q2_IMG_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/q2.h"

/* How an image is to be opened. */
struct file_opts {
	const char *format; /* -f; NULL: probe */
	const char *aio;    /* --aio, or "native"; NULL: the best there is */
	struct q2_open_opts open;
	bool overlay;         /* it is not written to: overlay.h */
	bool copy_on_read;    /* for those who read: io_copy.c */
	bool image_opts;      /* names are lists of options */
	const char *extra;    /* a list of options besides the name, or NULL */
	struct q2_loop *loop; /* of another open image; NULL: one of its own */
};

/* An open image.  {0} is a closed one. */
struct file {
	struct q2_loop *loop;
	struct q2_image *img;
	const char *name; /* the path: without "file:", out of options */
	bool owns_loop;
	bool was_probed; /* nobody said what driver it has */
	struct q2_spec spec;
};

#define FILE_CACHES "use none, writeback, writethrough, directsync or unsafe"
#define FILE_AIOS   "use io_uring, libaio or threads"

/* Name of a cache mode, as in -t; false if there is none. */
bool file_parse_cache(const char *text, enum q2_cache *ret);

/* Our name of an I/O backend, or "native"; NULL if it is neither. */
const char *file_parse_aio(const char *text);

/* Name of a preallocation mode; false if there is none. */
bool file_parse_prealloc(const char *text, enum q2_prealloc *ret);

/* Take a discard mode, as in -d, into the flags of q2_open(). */
bool file_parse_discard(const char *text, unsigned *flags);

/* Are these options, "name=value,...", ones that the open file can change? */
int file_check_reopen(const struct file *file, const struct file_opts *opts,
		      const char *list, struct q2_err *err);

/*
 * The path in a file name, as QEMU understands it: "file:" in front of it is
 * left out; another protocol is an error.
 */
int file_path(const char *filename, const char **ret_path, struct q2_err *err);

/* Open and close; the error texts are the engine's.  filename may be NULL if
 * opts->extra names the file. */
int file_open(const char *filename, const struct file_opts *opts,
	      struct file *ret_file, struct q2_err *err);
int file_close(struct file *file, struct q2_err *err);

/* Nobody said that it is raw, and it was opened as that?  Then the warning that
 * QEMU's tools print about a file that they may write to. */
bool file_was_probed_raw(const struct file *file);
void file_warn_probed(const struct file *file);

/* file_open() with qemu-img's complaint; returns 0 or the exit status. */
int file_open_or_complain(const char *filename, const struct file_opts *opts,
			  struct file *ret_file);
/* Close after use; returns status, or 1 after a complaint. */
int file_end(struct file *file, int status);

#endif
