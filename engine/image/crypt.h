/* SPDX-License-Identifier: MIT */
/*
 * crypt.h - the cipher of an encrypted image: opening it, and bytes through it
 *
 * What is encrypted is guest data, in sectors of 512 bytes; metadata and
 * compressed clusters are not.  A sector's IV comes from its number: for LUKS
 * that of its place in the host file, so that a snapshot's copy has another
 * one than what is written later; for the legacy AES that of the guest.
 *
 * Small jobs run in the loop's thread, larger ones in a worker.  data.c moves
 * the bytes.
 */
#ifndef Q2_IMAGE_CRYPT_H
#define Q2_IMAGE_CRYPT_H

#include "engine/base/iov.h"
#include "engine/co/sync.h"
#include "engine/q2.h"

struct cipher;
struct image;
struct luks;

/* Worker threads of one image at most. */
#define CRYPT_CIPHERS 4

/* What is encrypted at once: a request that is larger takes turns. */
#define CRYPT_PIECE (512 * 1024)

struct crypt {
	bool on; /* guest data goes through the cipher */
	bool by_guest;
	struct luks *luks;  /* the header, if it is LUKS */
	struct cipher *own; /* for the loop's thread */
	struct cipher *idle[CRYPT_CIPHERS];
	unsigned n_idle;
	struct co_queue cipher_wait;
	struct list buffers; /* of CRYPT_PIECE, that nobody uses */
	unsigned n_buffers;
	/* data.c: writes under way, the oldest first. */
	struct list writes;
	struct co_queue write_wait;
};

void crypt_init(struct crypt *c);
void crypt_done(struct crypt *c);

/*
 * Judge what the header says of encryption, and what opts does; unlock it with
 * the key in opts, unless that are for information only.  0, or an error with
 * QEMU's text.  Parks.
 */
int Q2_CO crypt_open(struct image *img, const struct q2_open_opts *opts,
		     struct q2_err *err);

/* The ciphers of old, the same image, for img, which was opened without a key.
 * -ESTALE, and nothing has changed, if it is not the same one any more. */
int crypt_take_over(struct image *img, struct image *old, struct q2_err *err);

/* Is this a passphrase?  key is NULL where there is none, id what it is called.
 * Else the error with QEMU's text. */
int crypt_check_key(const void *key, size_t len, const char *id,
		    struct q2_err *err);

/* Guest data is not encrypted, or there is a cipher for it.  What was opened
 * for information only has none. */
bool crypt_has_key(const struct image *img);

/* CRYPT_PIECE bytes, aligned for any device; NULL without memory. */
uint8_t *crypt_buffer_take(struct crypt *c);
void crypt_buffer_give(struct crypt *c, uint8_t *buf);

/* One pass over whole sectors. */
struct crypt_job {
	uint64_t sector; /* of the first, as crypt_sector() has it */
	uint64_t len;    /* bytes */
	bool encrypt;    /* else decrypt */
	/* The bytes: at buf, in place, unless it says where else.  Encrypting
	 * reads them there, in pieces of whole sectors, and does not change
	 * them (P1); decrypting does it there. */
	uint8_t *buf;
	const struct iov_iter *it;
	/* crypt.c's own */
	struct cipher *cipher;
};

/* The number of the sector at a guest and a host offset. */
uint64_t crypt_sector(const struct image *img, uint64_t guest, uint64_t host);
/* 0, or -EIO. */
int Q2_CO crypt_run(struct image *img, struct crypt_job *job);

#endif
