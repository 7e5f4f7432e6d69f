/* SPDX-License-Identifier: MIT */
/*
 * luks.h - the header of LUKS version 1, and the eight slots of its key
 *
 *	offset size
 *	     0    6  magic 'L' 'U' 'K' 'S' 0xba 0xbe
 *	     6    2  version: 1
 *	     8   32  family of the cipher: "aes"
 *	    40   32  mode, generator of IVs, its hash: "cbc-essiv:sha256"
 *	    72   32  hash of PBKDF2 and of the split
 *	   104    4  where encrypted data begins, in sectors; qcow2 ignores it
 *	   108    4  bytes of the key
 *	   112   20  digest of the key: PBKDF2 of it
 *	   132   32  salt of the digest
 *	   164    4  iterations of the digest
 *	   168   40  UUID
 *	   208 8x48  slots:
 *		  0    4  state
 *		  4    4  iterations
 *		  8   32  salt
 *		 40    4  where its material begins, in sectors
 *		 44    4  stripes: 4000
 *
 * A slot's material is the key, split into stripes (kdf.h) and encrypted with
 * a key made from a passphrase, as sectors 0, 1, ...  In a qcow2 image all
 * offsets count from the start of the area that the crypto extension of the
 * image's header names.
 *
 * Nothing here does I/O.  What takes long says so, and belongs into a worker.
 */
#ifndef Q2_CRYPT_LUKS_H
#define Q2_CRYPT_LUKS_H

#include "engine/crypt/kdf.h"
#include "engine/crypt/suite.h"

#define LUKS_HEADER_BYTES 592
#define LUKS_SLOTS        8
#define LUKS_STRIPES      4000
#define LUKS_DIGEST_BYTES 20
#define LUKS_UUID_BYTES   40

/* Slots, and what is behind them, begin at multiples of this. */
#define LUKS_ALIGN 4096

/* The largest material: of a key of XTS. */
#define LUKS_MATERIAL_MAX (SUITE_KEY_MAX * LUKS_STRIPES)

struct luks_slot {
	bool active;
	uint32_t iterations;
	uint8_t salt[KDF_SALT_BYTES];
	uint32_t sector; /* of its material */
};

struct luks {
	struct suite suite;
	const struct suite_hash *hash;
	uint32_t payload; /* sectors */
	uint8_t digest[LUKS_DIGEST_BYTES];
	uint8_t salt[KDF_SALT_BYTES];
	uint32_t iterations;            /* of the digest */
	char uuid[LUKS_UUID_BYTES + 1]; /* as it is in the file */
	struct luks_slot slots[LUKS_SLOTS];
};

/*
 * Take a header apart: LUKS_HEADER_BYTES at buf.  -EINVAL, -ENOTSUP or
 * -EUCLEAN with QEMU's text, and the field, for what it refuses, and for
 * slots beyond the payload where QEMU's sum of 32 bits overflows.
 */
int luks_decode(const uint8_t *buf, struct luks *ret_luks, struct q2_err *err);
/* The reverse; buf is zeroed first. */
void luks_encode(const struct luks *luks, uint8_t *buf);

/* Where a slot is in the header; it begins with its state. */
static inline unsigned
luks_slot_offset(unsigned slot)
{
	return 208 + 48 * slot;
}

/* Bytes of the material of one slot, whole sectors. */
size_t luks_material_bytes(const struct luks *luks);
/* Bytes of the area that a new header, its slots and their spaces take. */
uint64_t luks_area_bytes(const struct suite *suite);

/* What a new header is made of. */
struct luks_options {
	struct suite suite;
	const struct suite_hash *hash;
	uint64_t iter_ms; /* that PBKDF2 takes */
};

/*
 * A header for key, which has suite_key_bytes(), with no slot in use.  Takes
 * time.  -ERANGE with QEMU's text for more iterations than there can be.
 */
int luks_new(const struct luks_options *o, const uint8_t *key,
	     struct luks *ret_luks, struct q2_err *err);

/* What goes into a slot. */
struct luks_filling {
	const struct kdf_pass *pass; /* opens it from now on */
	const uint8_t *key;
	uint64_t iter_ms;  /* that PBKDF2 takes */
	uint8_t *material; /* to be filled: luks_material_bytes() */
};

/*
 * Put a key into a slot.  The caller writes the material to the slot's place,
 * and after it the header.  Takes time.
 */
int luks_slot_fill(struct luks *luks, unsigned slot,
		   const struct luks_filling *f, struct q2_err *err);

/*
 * Does pass open the slot, whose material this is?  1 and the key, 0, or
 * -ENOMEM or -EIO.  material is overwritten.  Takes time.
 */
int luks_slot_open(const struct luks *luks, unsigned slot,
		   const struct kdf_pass *pass, uint8_t *material,
		   uint8_t key[SUITE_KEY_MAX]);

#endif
