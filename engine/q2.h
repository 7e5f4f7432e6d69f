/* SPDX-License-Identifier: MIT */
/*
 * q2.h - the public interface of the qcow2 engine; this file is its manual
 *
 * A loop owns a thread's I/O.  An image is opened on a loop and stays there.
 * Requests are structs of the caller's: q2_submit() starts one, and its done()
 * is called from q2_loop_run().  Nothing here is thread-safe except
 * q2_loop_post(): one loop, with all its images, belongs to one thread.
 *
 *	struct q2_loop *loop;
 *	struct q2_image *img;
 *	struct q2_err err;
 *
 *	if (q2_loop_new(NULL, &loop, &err) < 0 ||
 *	    q2_open(loop, "disk.qcow2", NULL, &img, &err) < 0)
 *		errx(1, "%s", err.text);
 *	q2_pwrite(img, "hello", 5, 0);
 *	q2_flush(img);
 *	q2_close(img, &err);
 *	q2_loop_free(loop);
 *
 * Errors.  Calls on the data path return 0 or a negative errno.  Calls on the
 * control path do the same and, if err is not NULL, say why in err->text: one
 * line, lower case, without a program or file name.  -EUCLEAN means that the
 * image file is wrong, -EINVAL that the caller is, -EIO that the device is,
 * -ENOTSUP that a known feature is not supported.
 *
 * Option structs begin with their own size, so that they can grow: initialise
 * them as {.size = sizeof(opts)}.  In all of them zero means the default, and
 * a NULL pointer in the place of a struct means all defaults.
 */
#ifndef Q2_H
#define Q2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of the library, such as "0.1.0"; a static string. */
const char *q2_version(void);

/* Why a control-path call failed; owned by the caller, nothing to free. */
struct q2_err {
	int code; /* negative errno */
	int line; /* where in the engine, for bug reports */
	const char *file;
	char text[1024];
	char detail[128]; /* which field of the image has which value, where
			     the text, which is qemu-img's, does not say it;
			     "" otherwise */
};

/* ---- loops ------------------------------------------------------------- */

struct q2_loop;

struct q2_loop_opts {
	size_t size;
	/*
	 * "io_uring", "libaio", "threads" or "memory".  A name that cannot be
	 * had is an error; NULL takes the best of the first three that works.
	 */
	const char *aio;
	unsigned depth;   /* requests in the kernel at once; 0: 256 */
	unsigned workers; /* threads for blocking calls; 0: 4 */
};

/* Make a loop.  The caller frees it, after closing its images. */
int q2_loop_new(const struct q2_loop_opts *opts, struct q2_loop **ret_loop,
		struct q2_err *err);
void q2_loop_free(struct q2_loop *loop);

/*
 * Work until at least min requests have completed and their done() has been
 * called, or until timeout_ns has passed (negative: no limit; 0: only what
 * needs no waiting).  Returns the number completed, or a negative errno.  A
 * request that a breakpoint begins to hold counts, too.
 */
int q2_loop_run(struct q2_loop *loop, unsigned min, int64_t timeout_ns);

/* A descriptor that polls readable when q2_loop_run() has work to do. */
int q2_loop_fd(struct q2_loop *loop);

/* From any thread: have fn(arg) called by the loop's thread. */
int q2_loop_post(struct q2_loop *loop, void (*fn)(void *arg), void *arg);

/* The backend in use, such as "io_uring"; "-inline" marks one that runs
 * requests at once, because the kernel would only hand them to a thread. */
const char *q2_loop_aio(const struct q2_loop *loop);

/* Why a better backend is not in use, or NULL; one line for a notice. */
const char *q2_loop_notice(const struct q2_loop *loop);

/* System calls, and ring entries handed to the kernel, since the start. */
void q2_loop_syscalls(const struct q2_loop *loop, uint64_t *ret_syscalls,
		      uint64_t *ret_sqes);

/*
 * Memory for requests, aligned for O_DIRECT and, where the backend can,
 * registered with the kernel.  Any other memory works too, slower.
 */
void *q2_buf_alloc(struct q2_loop *loop, size_t bytes);
void q2_buf_free(struct q2_loop *loop, void *buf);

/* ---- images ------------------------------------------------------------ */

struct q2_image;

/* Cache modes, with QEMU's meaning. */
enum q2_cache {
	Q2_CACHE_DEFAULT = 0,  /* writeback */
	Q2_CACHE_NONE,         /* O_DIRECT; flush is honoured */
	Q2_CACHE_WRITEBACK,    /* page cache; flush is honoured */
	Q2_CACHE_WRITETHROUGH, /* page cache; each write is flushed */
	Q2_CACHE_DIRECTSYNC,   /* O_DIRECT; each write is flushed */
	Q2_CACHE_UNSAFE,       /* page cache; never synced */
};

/* How the untouched part of a new cluster becomes zero (ordering.md, Z1). */
enum q2_zero {
	Q2_ZERO_DEFAULT = 0, /* hole, where that is safe, else range */
	Q2_ZERO_HOLE,        /* virgin space is zero already: do nothing */
	Q2_ZERO_RANGE,       /* zero the range of the host file */
	Q2_ZERO_WRITE,       /* write zeros */
};

/* What becomes of guest writes that hold only zeros. */
enum q2_detect_zeroes {
	Q2_DETECT_OFF = 0,
	Q2_DETECT_ON,    /* they become write zeroes */
	Q2_DETECT_UNMAP, /* the same, and may give clusters up */
};

/* overlap-check: which metadata a guest write is kept away from. */
enum q2_overlap {
	Q2_OVERLAP_CACHED = 0, /* all that is known without reading */
	Q2_OVERLAP_CONSTANT,
	Q2_OVERLAP_ALL,
	Q2_OVERLAP_NONE, /* taken, and treated as cached: a check that costs
			    nothing is never left out */
};

enum q2_prealloc {
	Q2_PREALLOC_OFF = 0,
	Q2_PREALLOC_METADATA,
	Q2_PREALLOC_FALLOC,
	Q2_PREALLOC_FULL,
};

enum q2_open_flags {
	Q2_RDONLY = 1 << 0,
	Q2_FORCE_SHARE = 1 << 1, /* take no lock and respect none (-U) */
	Q2_NO_LOCK = 1 << 2,     /* take none: the caller holds one already */
	Q2_CHECK = 1 << 3,       /* open what only q2_check() can still read */
	Q2_UNMAP = 1 << 4,       /* discard=unmap; default is ignore */
	Q2_NO_IO = 1 << 5,       /* for information, or a check, only: open
				    neither backing nor data file */
	Q2_NO_GUEST_WRITES = 1 << 6, /* for operations on the image: requests
				    that write are refused, so that what
				    bitmaps have noted need not be read */
};

/* How hard compressing tries.  Small takes a tenth less space and many times
 * as long. */
enum q2_effort {
	Q2_EFFORT_FAST, /* the default */
	Q2_EFFORT_SMALL
};

/* One finding, as qemu-img words it; without a newline. */
typedef void (*q2_finding_fn)(void *arg, const char *text);

/* The bytes of a file from offset on; with has_size so many, else to its end.
 * {0} is all of it.  offset and size are raw's options in QEMU. */
struct q2_part {
	uint64_t offset;
	uint64_t size; /* a multiple of 512 */
	bool has_size;
};

struct q2_debug;

struct q2_open_opts {
	size_t size;
	const char *driver; /* "qcow2", "raw", "null"; NULL: probe */
	enum q2_cache cache;
	enum q2_zero zero;
	unsigned flags; /* enum q2_open_flags */
	/* The metadata caches; names, meaning and defaults are QEMU's. */
	uint64_t l2_cache_size;
	uint64_t l2_cache_entry_size;
	uint64_t refcount_cache_size;
	uint64_t cache_size;
	uint64_t virtual_size; /* driver null: its size */
	/*
	 * Other files of the image.  Names in the header are those of plain
	 * files, a backing file's relative to the image, a data file's to the
	 * working directory, as in QEMU; these take their place.
	 */
	bool no_backing;            /* as if it had none */
	const char *backing_driver; /* NULL: the header's, else probed */
	const char *data_file;      /* NULL: the header's */
	/* QEMU's run-time options.  1: on, -1: off, 0: the default. */
	int lazy_refcounts; /* default: as the header says */
	bool discard_no_unref;
	int pass_discard_request;  /* default: as Q2_UNMAP */
	int pass_discard_snapshot; /* default: on */
	int pass_discard_other;    /* default: off */
	enum q2_detect_zeroes detect_zeroes;
	/* What qemu-img's -c and QEMU's driver compress do: whole clusters that
	 * are written are compressed, whatever they had before.  qcow2 without
	 * an external data file only. */
	bool compress;
	enum q2_effort compress_effort; /* also of Q2_COMPRESSED */
	unsigned cache_clean_interval;  /* seconds; 0: 600; UINT_MAX: never */
	enum q2_overlap overlap_check;
	/* An image that was not closed cleanly (its dirty bit is set) is
	 * repaired when it is opened for writing, as by q2_repair() of all;
	 * these are told what that finds.  May be NULL. */
	q2_finding_fn finding;
	void *finding_arg;
	/* Told, with finding_arg, what is amiss with an image, or one below it,
	 * that can be opened nevertheless: QEMU's warning without its
	 * beginning; a second line says what to do.  May be NULL. */
	q2_finding_fn warning;
	/* Where in path the image is, and in the data file the guest's data.
	 * What has a size keeps it. */
	struct q2_part part, data_part;
	/*
	 * The file below, where the header's is not meant: another name,
	 * relative to the working directory, and how it is opened.  Of the
	 * latter, which may be NULL, count the driver, the sizes of caches and
	 * the names of other files; all else is as for the image itself.
	 */
	const char *backing_file;
	const struct q2_open_opts *backing;
	/*
	 * The passphrase of an encrypted image, UTF-8, which opening it needs
	 * unless that is with Q2_NO_IO.  It is used while it is opened, not
	 * kept.  Each layer has its own: see backing.  -EACCES if it is the
	 * wrong one (with the legacy AES nobody can tell).
	 */
	const void *key;
	size_t key_len;
	const char *key_secret;     /* what messages call it, or NULL */
	const char *encrypt_format; /* "aes" or "luks"; NULL: the header's */
	/*
	 * Errors and stops that were ordered (blkdebug), for the image's file,
	 * or its data file; out of q2_spec_parse(), and used by one image at a
	 * time.  said is told when a request is held or goes on.  May be NULL.
	 */
	struct q2_debug *debug;
	bool debug_data_file;
	bool debug_disk; /* for the disk: q2_copy_on_read() */
	q2_finding_fn debug_said;
};

/*
 * Breakpoints of an image that was opened with debug: the next request after
 * an event, which has QEMU's name, is held until it is resumed.  q2_close()
 * resumes all.  -ENOTSUP: the image has no debug; -ENOENT: there is no such
 * event, or nothing with that tag.
 */
int q2_debug_break(struct q2_image *img, const char *event, const char *tag);
/* Also resumes what it holds. */
int q2_debug_remove_break(struct q2_image *img, const char *tag);
int q2_debug_resume(struct q2_image *img, const char *tag);
/* Does it hold a request now?  tag NULL: does any? */
bool q2_debug_is_held(const struct q2_image *img, const char *tag);
void q2_debug_resume_all(struct q2_image *img);

int q2_open(struct q2_loop *loop, const char *path,
	    const struct q2_open_opts *opts, struct q2_image **ret_img,
	    struct q2_err *err);

/*
 * Complete what is in flight, write everything out, sync (unless unsafe),
 * give up the lock and free img, also on error.  An error means that data may
 * be missing from the file.
 */
int q2_close(struct q2_image *img, struct q2_err *err);

/* Virtual size in bytes. */
uint64_t q2_size(const struct q2_image *img);

struct q2_create_opts {
	size_t size;
	const char *driver;    /* "qcow2" (default) or "raw" */
	uint64_t virtual_size; /* bytes; rounded up to 512 */
	uint32_t cluster_size; /* 512 .. 2 MiB; 0: 64 KiB */
	enum q2_prealloc preallocation;
	enum q2_cache cache; /* how the file is written */
	bool lazy_refcounts;
	unsigned refcount_bits; /* 0: 16 */
	unsigned compat;        /* 2 or 3; 0: 3 */
	bool zeroed_raw_full;   /* reserved, must be false */
	/* The rest but the last two is for qcow2 only. */
	bool extended_l2; /* subclusters */
	/*
	 * As they go into the header.  The backing file is not looked at: who
	 * wants the image to be of its size opens it first.
	 */
	const char *backing_file, *backing_format;
	/*
	 * Guest data goes into this file, which is made, or emptied; NULL: into
	 * the image.  A relative name begins at the working directory, as it
	 * does for QEMU.
	 */
	const char *data_file;
	bool data_file_raw; /* it is always a valid raw image by itself */
	const char *compression_type; /* "zlib" (default) or "zstd" */
	bool nocow;                   /* no copy-on-write, where btrfs is */
	/* What the file system should allocate at once, where it takes hints
	 * (XFS); 0: QEMU's default of 1 MiB; negative: no hint. */
	int64_t extent_size_hint;
	/*
	 * Encryption, for qcow2: "luks", or the legacy "aes"; NULL: none.  It
	 * needs a key, as in q2_open_opts.  The names that follow are for LUKS
	 * and QEMU's; NULL is QEMU's default (aes-256, xts, plain64, sha256).
	 * A preallocated image does not read as zeros, as with QEMU.
	 */
	const char *encryption;
	const void *key;
	size_t key_len;
	const char *key_secret;
	const char *cipher_alg, *cipher_mode, *ivgen_alg, *ivgen_hash_alg;
	const char *hash_alg;
	bool has_iter_time;
	uint64_t iter_time; /* milliseconds that a passphrase takes to try;
			       else 2000 */
};

/* What a creation did; see q2_create(). */
struct q2_create_result {
	bool emulated_falloc; /* the file system cannot fallocate: zeros
				   were written in its place */
	uint64_t file_bytes;  /* length of the new file */
	unsigned fdatasyncs;  /* of the image file */
	int hint_error;       /* why extent_size_hint could not be set, if it
				   was positive: a negative errno */
};

/*
 * Make an image; an existing file is replaced, as qemu-img does.  The magic is
 * written last (ordering.md, N1), so an interrupted creation leaves no image.
 * ret_result may be NULL.
 */
int q2_create(struct q2_loop *loop, const char *path,
	      const struct q2_create_opts *opts,
	      struct q2_create_result *ret_result, struct q2_err *err);

struct q2_resize_opts {
	size_t size;
	enum q2_prealloc preallocation; /* of what is added */
	bool shrink;                    /* cutting bytes off is meant */
};

/*
 * Give the disk virtual_size bytes; for qcow2 a multiple of 512.  What is added
 * reads as zeros.  Requests wait meanwhile.  An error leaves the image as it
 * was, or err->text says otherwise.  Blocking; not from a done().
 */
int q2_resize(struct q2_image *img, uint64_t virtual_size,
	      const struct q2_resize_opts *opts, struct q2_err *err);

/* A change of who can open a LUKS image; names are those of QEMU's amend. */
struct q2_keyslot_opts {
	size_t size;
	/* Make passphrases useless, instead of adding one: those in keyslot, or
	 * equal to old_key, or both. */
	bool erase;
	bool has_keyslot; /* else the first free one, or all that match */
	unsigned keyslot; /* 0 .. 7 */
	/* The last passphrase too, or one in place of another, whose slot is
	 * empty in between. */
	bool force;
	const void *key; /* to add: one that opens the image now */
	size_t key_len;
	const void *new_key, *old_key;
	size_t new_key_len, old_key_len;
	const char *new_secret, *old_secret; /* what messages call them */
	bool has_iter_time;
	uint64_t iter_time; /* milliseconds; else 2000 */
};

/*
 * Change the key slots of an image that is open for writing; its data is not
 * touched.  Durable when it returns; a crash leaves each slot as it was or as
 * it shall be.  Blocking; not from a done().
 */
int q2_change_keyslots(struct q2_image *img, const struct q2_keyslot_opts *opts,
		       struct q2_err *err);

/* The format of a file by its first bytes: "qcow2" or "raw"; static. */
int q2_probe(struct q2_loop *loop, const char *path, const char **ret_driver,
	     struct q2_err *err);

/* ---- images and options by text ---------------------------------------- */

/*
 * What a text says about an image: the file, the driver, and how to open it.
 *
 *	struct q2_spec spec = {.opts.flags = Q2_RDONLY};
 *
 *	if (q2_spec_parse(&spec, NULL, "driver=qcow2,l2-cache-size=1M,"
 *			  "file.filename=disk.qcow2", &err) < 0 ||
 *	    q2_open_spec(loop, &spec, &img, &err) < 0)
 *		errx(1, "%s", err.text);
 *	...
 *	q2_spec_done(&spec);
 *
 * Names, values and messages are QEMU's.  Of any image:
 *
 *	driver		qcow2, raw, null-co (file: raw, without a format)
 *	cache.direct, cache.no-flush, read-only, force-share, discard,
 *	detect-zeroes, auto-read-only and node-name (taken, no effect)
 *	file.driver	file or host_device; or raw, with file.offset, file.size
 *			and again file.file.*: a part of that
 *	file.filename, file.locking, file.aio, and file.* of the above
 *
 * of raw: offset and size, the part of the file that is meant; of qcow2:
 * cache-size, l2-cache-size, l2-cache-entry-size, refcount-cache-size,
 * cache-clean-interval, lazy-refcounts, pass-discard-request,
 * pass-discard-snapshot, pass-discard-other, discard-no-unref, compress and
 * compress-effort (ours: q2_open_opts), overlap-check and overlap-check.*
 * (checked, without effect: what is known of the metadata is always kept from
 * being overwritten), encrypt.key-secret (one of secrets), encrypt.format,
 * data-file.*, a file or raw on one, backing (null), and backing.*, all of this for the layer below, whose file is
 * the header's unless backing.file.filename is there; of null-co: size.
 * Anything else is an error that names it.
 */
struct q2_spec {
	/*
	 * Set by the caller before parsing: what holds where the text is
	 * silent.  opts.driver, if set, holds in any case.
	 */
	struct q2_open_opts opts;
	/* The text changes options of this open image, whose spec was that;
	 * else NULL. */
	const struct q2_image *reopened;
	const struct q2_spec *was;
	/* Those that encrypt.key-secret may name; they outlive the spec. */
	const struct q2_secrets *secrets;
	/* Set by q2_spec_parse(). */
	const char *path;       /* of the file; NULL: driver null */
	const char *protocol;   /* file's driver, if the text names it */
	const char *aio;        /* for q2_loop_opts; NULL: the text is silent */
	const char *key_secret; /* id of a secret, or NULL */
	bool copy_on_read;      /* for those who read: q2_copy_on_read() */
	void *priv;
};

/*
 * Take a file name, a list of options, or both.  A name is a path, may begin
 * with "file:", or is "json:" and an object of options; a list is
 * "name=value,...", where a comma within a value is written twice.  At least
 * one of them must name the file.
 */
int q2_spec_parse(struct q2_spec *spec, const char *name, const char *list,
		  struct q2_err *err);

/*
 * q2_open() of what spec says.  Options of a format that had to be probed are
 * looked at here.  The loop should have been made with spec->aio.
 */
int q2_open_spec(struct q2_loop *loop, struct q2_spec *spec,
		 struct q2_image **ret_img, struct q2_err *err);

/* Free what parsing has kept, which the strings in spec point into. */
void q2_spec_done(struct q2_spec *spec);

/*
 * Secrets, as in --object secret,id=NAME,data=TEXT (or file=PATH, and
 * format=raw or base64).  They are found by id.
 */
struct q2_secrets;

struct q2_secrets *q2_secrets_new(void); /* NULL without memory */
/* Take one, written as QEMU writes objects: a list, or {"qom-type": ...}. */
int q2_secrets_add(struct q2_secrets *secrets, const char *text,
		   struct q2_err *err);
/* The secret's bytes, or NULL; they live as long as secrets. */
const void *q2_secrets_find(const struct q2_secrets *secrets, const char *id,
			    size_t *ret_len);
void q2_secrets_free(struct q2_secrets *secrets);

/* ---- requests ---------------------------------------------------------- */

enum q2_op {
	Q2_READ,
	Q2_WRITE,
	Q2_ZERO,
	Q2_DISCARD,
	Q2_FLUSH
};

enum q2_req_flags {
	Q2_FUA = 1 << 0,       /* done means durable */
	Q2_MAY_UNMAP = 1 << 1, /* Q2_ZERO may free the clusters (-u) */
	/* Q2_WRITE of whole clusters (the last one of the disk may be short)
	 * into which nothing has been written: compressed.  -EINVAL if they
	 * are not whole, -EIO if they are in use, -ENOTSUP in a raw image, an
	 * encrypted one, or one with an external data file. */
	Q2_COMPRESSED = 1 << 2,
};

struct q2_req {
	enum q2_op op;
	unsigned flags;          /* enum q2_req_flags */
	uint64_t off;            /* guest offset; any byte */
	uint64_t len;            /* with iov: the sum of its lengths */
	const struct iovec *iov; /* NULL unless read or write */
	int iovcnt;
	int result; /* set before done(): 0 or negative errno */
	void (*done)(struct q2_req *rq);
	void *user;
	uint64_t priv[32]; /* the engine's, while in flight */
};

/*
 * Start rq.  Never fails and never blocks: errors come through rq->result.
 * rq, its iov and its buffers stay untouched by the caller until done().  A
 * flush covers every request whose done() ran before it was submitted.
 * done() is called by q2_loop_run(), never from here, and may submit.
 */
void q2_submit(struct q2_image *img, struct q2_req *rq);

/* Blocking helpers for tools and tests: one request, driven to its end. */
int q2_pread(struct q2_image *img, void *buf, size_t len, uint64_t off);
int q2_pwrite(struct q2_image *img, const void *buf, size_t len, uint64_t off);
int q2_pzero(struct q2_image *img, uint64_t len, uint64_t off, unsigned flags);
int q2_flush(struct q2_image *img);

/* ---- looking at images ------------------------------------------------- */

/* One extent of guest space; all its bytes are in the same state. */
struct q2_extent {
	uint64_t off; /* guest */
	uint64_t len;
	bool present;   /* this image holds it (not its backing file) */
	bool allocated; /* a host cluster belongs to it */
	bool zero;      /* reads as zeros without reading the host */
	bool data;      /* the host file must be read */
	bool compressed;
	bool has_host;    /* host is valid; what is encrypted has none */
	uint64_t host;    /* offset in the host file */
	unsigned depth;   /* 0: this image, 1: its backing file, ... */
	const char *file; /* the host file; lives as long as the image */
};

/*
 * The extent that holds guest offset off, clipped to [off, off + len) and
 * grown as far as it goes.  Adjacent calls may return equal states: callers
 * merge.
 */
int q2_map(struct q2_image *img, uint64_t off, uint64_t len,
	   struct q2_extent *ret_ext, struct q2_err *err);

/*
 * Copy on read: clusters of the range that come from backing files, or that
 * nobody has written, get a place in the image, which reads the same.  Nothing
 * may write meanwhile.  Blocking; not from a done().
 */
int q2_copy_on_read(struct q2_image *img, uint64_t off, uint64_t len,
		    struct q2_err *err);

/* The LUKS header of an image; strings live as long as the image. */
struct q2_luks_info {
	const char *cipher_alg, *cipher_mode, *ivgen_alg, *hash_alg;
	const char *ivgen_hash_alg; /* or NULL */
	const char *uuid;
	uint64_t payload_offset; /* bytes, in the header's area; not used */
	uint32_t master_key_iters;
	struct q2_luks_slot {
		bool active;
		uint32_t iters, stripes;
		uint64_t key_offset; /* bytes, in the header's area */
	} slots[8];
};

/* What qemu-img info shows; strings live as long as the image. */
struct q2_info {
	const char *driver;
	uint64_t virtual_bytes;
	uint64_t file_bytes;  /* length of the file */
	uint64_t alloc_bytes; /* allocated by the file system */
	/* qcow2 only */
	uint32_t cluster_size;
	unsigned compat; /* 2 or 3 */
	unsigned refcount_bits;
	bool lazy_refcounts, corrupt, dirty, extended_l2;
	const char *compression_type; /* "zlib" or "zstd" */
	const char *backing_file;     /* as in the header, or NULL */
	const char *backing_format;   /* or NULL */
	const char *data_file;        /* as in the header, or NULL */
	bool external_data;           /* data is in another file, which the
					 header need not name */
	bool data_file_raw;
	const char *encryption;   /* "aes", "luks", or NULL */
	struct q2_luks_info luks; /* if it is "luks" */
	/* the options in effect */
	uint64_t l2_cache_size, l2_cache_entry_size, refcount_cache_size;
	enum q2_cache cache;
	enum q2_zero zero;
};
int q2_info(struct q2_image *img, struct q2_info *ret_info, struct q2_err *err);

/* The preallocation that an image really has, not the one asked for. */
enum q2_layout_kind {
	Q2_LAYOUT_OFF,      /* less than 1 % of the disk has clusters */
	Q2_LAYOUT_PARTLY,   /* clusters for a part of the disk */
	Q2_LAYOUT_METADATA, /* clusters everywhere, the file has holes */
	Q2_LAYOUT_FALLOC,   /* all allocated, some of it unwritten */
	Q2_LAYOUT_FULL,     /* written (or filled by the guest) */
	Q2_LAYOUT_METADATA_OR_BETTER, /* no FIEMAP here: cannot tell */
	Q2_LAYOUT_SHARED, /* clusters of snapshots too: a write takes others */
};
struct q2_layout {
	enum q2_layout_kind kind;
	bool has_fiemap;
	uint64_t virtual_bytes, file_bytes, alloc_bytes, metadata_bytes;
	uint64_t mapped_bytes; /* guest bytes with a host cluster */
	uint64_t shared_bytes; /* of these: also a snapshot's */
	/* of the host bytes of those clusters: */
	uint64_t written_bytes, unwritten_bytes, hole_bytes;
	uint64_t extents; /* of the file; 0 without FIEMAP */
};
int q2_layout(struct q2_image *img, struct q2_layout *ret_layout,
	      struct q2_err *err);

/* qemu-img check's counters. */
struct q2_check {
	uint64_t check_errors, corruptions, leaks;
	uint64_t corruptions_fixed, leaks_fixed;
	uint64_t allocated_clusters, total_clusters;
	uint64_t fragmented_clusters, compressed_clusters;
	uint64_t image_end_offset;
	uint64_t copied_clear; /* COPIED clear at refcount 1: legal after a
				   crash, corrected by repair */
};

/* Compare refcounts with references.  Returns 0 if the check could be done,
 * whatever it found. */
int q2_check(struct q2_image *img, struct q2_check *ret_check,
	     q2_finding_fn finding, void *arg, struct q2_err *err);

enum q2_repair {
	Q2_REPAIR_NONE = 0, /* only check */
	Q2_REPAIR_LEAKS,    /* free what nobody uses; nothing else, unless
			       that is all that is wrong */
	Q2_REPAIR_ALL,
};

/*
 * The same, and set right what can be: the image must be open for writing,
 * best with Q2_CHECK, and requests in flight are completed first.  Counted in
 * *ret_check as found is what remains.  A guest reads what it read before.
 * An interrupted repair leaves an image that is no worse.  After an error the
 * image is to be closed.
 */
int q2_repair(struct q2_image *img, enum q2_repair what,
	      struct q2_check *ret_check, q2_finding_fn finding, void *arg,
	      struct q2_err *err);

/* How large a file will be, by QEMU's estimate. */
struct q2_measure {
	uint64_t required;        /* with the clusters that hold something */
	uint64_t fully_allocated; /* with all */
	bool has_bitmaps;         /* the source and the new image can have
				     bitmaps: */
	uint64_t bitmaps;         /* what they add, if they are copied */
};

/*
 * Measure an image that would be made with opts: of img's content and size, or,
 * if img is NULL, an empty one of opts->virtual_size.
 */
int q2_measure(const struct q2_create_opts *opts, struct q2_image *img,
	       struct q2_measure *ret_measure, struct q2_err *err);

/* Counters: each field is one line of base/points.def. */
struct q2_stats {
#define POINT(name, text) uint64_t name;
#define BYTES(name, text) uint64_t name;
#include "base/points.def"
#undef POINT
#undef BYTES
};

/* Copy the counters, which run from open; the difference of two copies is
 * what happened between them. */
void q2_stats(const struct q2_image *img, struct q2_stats *ret_stats);
/* The same, summed over the image and all files below it. */
void q2_stats_chain(const struct q2_image *img, struct q2_stats *ret_stats);

/* ---- internal snapshots ------------------------------------------------ */

/* Strings live until the next operation on the image's snapshots. */
struct q2_snapshot {
	const char *id, *name;
	uint64_t date_ns;     /* when it was taken, since 1970 */
	uint64_t clock_ns;    /* of the guest */
	uint64_t state_bytes; /* of the machine; 0: of the disk only */
	uint64_t disk_bytes;  /* the disk's size */
	bool has_icount;
	uint64_t icount; /* instructions that the guest had run */
};

/* How many, and each, in the order of the image's table. */
unsigned q2_snapshot_count(const struct q2_image *img);
struct q2_snapshot q2_snapshot_get(const struct q2_image *img, unsigned index);
/* The first one with that id and that name, of which NULL is any; its index,
 * or -ENOENT. */
int q2_snapshot_find(const struct q2_image *img, const char *id,
		     const char *name);

struct q2_snapshot_opts {
	size_t size;
	const char *name;  /* any bytes; those after 65535 are lost */
	uint64_t date_ns;  /* 0: now */
	uint64_t clock_ns; /* the rest as in struct q2_snapshot */
	/* The state was written by q2_vmstate_write(), and is the snapshot's
	 * from then on. */
	uint64_t state_bytes;
	bool has_icount;
	uint64_t icount;
};

/*
 * Take one, with an id of its own.  Blocking, as all of these; requests wait
 * meanwhile.  -EINVAL where refcounts are too narrow.  An error leaves the
 * image as it was, or err->text says otherwise.
 */
int q2_snapshot_create(struct q2_image *img,
		       const struct q2_snapshot_opts *opts, struct q2_err *err);
/* The disk gets the content, the size and the machine's state of a snapshot,
 * which stays. */
int q2_snapshot_apply(struct q2_image *img, unsigned index, struct q2_err *err);
int q2_snapshot_delete(struct q2_image *img, unsigned index,
		       struct q2_err *err);
/* An image that is open read-only reads as the snapshot from now on.  As in
 * QEMU it keeps its size. */
int q2_snapshot_load(struct q2_image *img, const char *id, const char *name,
		     struct q2_err *err);

/*
 * The state of a virtual machine, in the image, behind the disk; off counts
 * from its beginning.  What was never written reads as zeros.  -ENOTSUP for
 * images that cannot have snapshots.  Blocking.
 */
int q2_vmstate_read(struct q2_image *img, void *buf, size_t len, uint64_t off);
int q2_vmstate_write(struct q2_image *img, const void *buf, size_t len,
		     uint64_t off);

/* ---- bitmaps ----------------------------------------------------------- */

/*
 * Persistent dirty bitmaps.  While an image is open for writing, those that are
 * enabled note which ranges of the disk the guest has changed; they are stored
 * when it is closed.  Before the first change the file says that they are in
 * use: after a crash they are inconsistent, and can only be removed.
 */
struct q2_bitmap {
	const char *name;     /* until the next operation on bitmaps */
	uint64_t granularity; /* bytes that a bit stands for */
	bool enabled;
	bool inconsistent;
};

/* How many, and each, in the order of the image's directory; by its name the
 * index, or -ENOENT. */
unsigned q2_bitmap_count(const struct q2_image *img);
struct q2_bitmap q2_bitmap_get(const struct q2_image *img, unsigned index);
int q2_bitmap_find(const struct q2_image *img, const char *name);

/*
 * Add one, enabled and with nothing noted; granularity 0: the cluster size, but
 * 4 to 64 KiB.  Blocking, as all of these; requests wait meanwhile.  Durable
 * when it returns; an error leaves the image's bitmaps as they were, or
 * err->text says otherwise.
 */
int q2_bitmap_add(struct q2_image *img, const char *name, uint64_t granularity,
		  struct q2_err *err);
int q2_bitmap_remove(struct q2_image *img, const char *name,
		     struct q2_err *err);
/* Nothing is noted. */
int q2_bitmap_clear(struct q2_image *img, const char *name, struct q2_err *err);
int q2_bitmap_enable(struct q2_image *img, const char *name,
		     struct q2_err *err);
int q2_bitmap_disable(struct q2_image *img, const char *name,
		      struct q2_err *err);
/* Note what a bitmap of source, which may be img and has the same size and
 * loop, has noted. */
int q2_bitmap_merge(struct q2_image *img, const char *name,
		    struct q2_image *source, const char *source_name,
		    struct q2_err *err);
/* The next range from *off on that is noted: 1, and *off and *ret_len say
 * where; 0 if there is none; or a negative errno. */
int q2_bitmap_next(struct q2_image *img, unsigned index, uint64_t *off,
		   uint64_t *ret_len, struct q2_err *err);

/* ---- copying and comparing --------------------------------------------- */

/* Called now and then with how much of how much is done; false ends the
 * operation with -ECANCELED. */
typedef bool (*q2_progress_fn)(void *arg, uint64_t done, uint64_t of);

struct q2_convert_opts {
	size_t size;
	unsigned coroutines; /* pieces under way, 1 .. 16; 0: 8 */
	bool out_of_order;   /* writes need not start in ascending order */
	bool dense;          /* write zeros too: allocate everything */
	bool compressed;     /* as with Q2_COMPRESSED */
	/* Zeros shorter than this are copied like data; a multiple of 512;
	 * 0: 4096. */
	uint64_t sparse_bytes;
	/*
	 * The target was made for this: it reads as zeros (or as its backing
	 * file), and if it is qcow2 it is no image until all is in it: its
	 * magic is taken away first and written last.
	 */
	bool target_is_new;
	bool target_is_zero; /* it is known to read as zeros */
	/* It has the source's backing file: only what the source's own file
	 * holds is copied. */
	bool target_has_backing;
	uint64_t rate; /* bytes per second; 0: no limit */
	q2_progress_fn progress;
	void *arg;
	/* Only data counts for progress, as in qemu-img convert -p; all maps
	 * are read once more for that. */
	bool count_data;
	/* Sectors that cannot be read become zeros.  unreadable, which may be
	 * NULL, is told of each. */
	bool salvage;
	q2_finding_fn unreadable;
	void *unreadable_arg;
};

/*
 * Copy images, one behind the other, into another, which must be large enough;
 * bytes behind theirs are not touched.  All are open on one loop.  The target
 * is flushed at the end, as its cache mode has it.  After an error the target
 * holds a part of the data; a new qcow2 one is no image then.
 */
int q2_convert(struct q2_image *const *sources, size_t n,
	       struct q2_image *target, const struct q2_convert_opts *opts,
	       struct q2_err *err);

struct q2_commit_opts {
	size_t size;
	unsigned depth; /* of the layer that takes the data; 0: 1, the
			   backing file */
	bool keep;      /* do not empty the image; so is it with depth above
			   1: it would show what is between */
	uint64_t rate;  /* bytes per second; 0: no limit */
	q2_progress_fn progress;
	void *arg;
};

/*
 * Write what img, and layers between, hold into the layer at opts->depth, which
 * is opened for writing and becomes as long as img if it was shorter; then
 * give up all of img's clusters, unless keep.  img, open for writing, reads the
 * same at any time, also after an error or a crash: the layer below has
 * everything, durably as far as the cache mode goes, before img loses it.
 * Other images on that layer, and those between, do not.  err->text says what
 * was done.  Nobody may use img meanwhile.  Blocking; not from a done().
 */
int q2_commit(struct q2_image *img, const struct q2_commit_opts *opts,
	      struct q2_err *err);

struct q2_rebase_opts {
	size_t size;
	/* As they go into the header; NULL or "": no backing file. */
	const char *backing_file, *backing_format;
	/* The same file, open on img's loop; NULL if there is none. */
	struct q2_image *backing;
	/* Only write the header, whatever the guest may read then; img should
	 * have been opened with no_backing. */
	bool unsafe;
	q2_progress_fn progress;
	void *arg;
};

/*
 * Give img, open for writing, another backing file, or none.  What img does
 * not hold itself and the two backing files do not have in common is written
 * into it first, durably as far as the cache mode goes: the guest reads the
 * same at any time, also after an error or a crash.  Then the header changes,
 * in one sector write.  err->text says which backing file the image has.
 * Nobody may use img meanwhile, and afterwards it is to be closed.  Blocking;
 * not from a done().
 */
int q2_rebase(struct q2_image *img, const struct q2_rebase_opts *opts,
	      struct q2_err *err);

struct q2_amend_opts {
	size_t size;
	unsigned compat;        /* 2 or 3; 0: as it is, and so below */
	int lazy_refcounts;     /* 1: on, -1: off */
	unsigned refcount_bits; /* 1 to 64, a power of two */
	uint64_t virtual_size;  /* bytes; may be smaller */
	const char *data_file;  /* as it goes into the header */
	int data_file_raw;      /* 1: on (refused unless it is), -1: off */
	q2_progress_fn progress;
	void *arg;
};

/*
 * Change properties of a qcow2 image that is open for writing, one after the
 * other, each in one sector write: a crash or an error leaves those done that
 * came first, and the guest reads the same (but for virtual_size).  Version 2
 * has no zero clusters, so they get data or are given up.  Nobody may use img
 * meanwhile, and afterwards it is to be closed.  Blocking; not from a done().
 */
int q2_amend(struct q2_image *img, const struct q2_amend_opts *opts,
	     struct q2_err *err);

/*
 * The depth at which img's chain has the file `name`, which may be a name as
 * in a header or a path, relative to the layer above it, or a path as it was
 * opened; 0 if there is none.
 */
unsigned q2_find_layer(const struct q2_image *img, const char *name);

enum q2_compare_outcome {
	Q2_COMPARE_SAME,
	Q2_COMPARE_SIZE,    /* strict: the sizes differ */
	Q2_COMPARE_STATE,   /* strict: extents differ at off */
	Q2_COMPARE_CONTENT, /* bytes differ, the first at off */
	Q2_COMPARE_NO_MAP,  /* an extent could not be read */
	Q2_COMPARE_NO_READ, /* bytes could not be read, at off */
};

struct q2_compare {
	enum q2_compare_outcome outcome;
	bool sizes_differ; /* the longer one's rest must read as zeros */
	uint64_t off;
	unsigned which; /* of the two images; for the last two outcomes */
};

struct q2_compare_opts {
	size_t size;
	bool strict;
	q2_progress_fn progress;
	void *arg;
};

/*
 * Does a guest read the same from both?  They are open on one loop.  Returns 0
 * when ret_compare says what was found, also when an image could not be read
 * (then err says why).
 */
int q2_compare(struct q2_image *a, struct q2_image *b,
	       const struct q2_compare_opts *opts,
	       struct q2_compare *ret_compare, struct q2_err *err);

#ifdef __cplusplus
}
#endif
#endif
