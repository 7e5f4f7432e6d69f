/* SPDX-License-Identifier: MIT */
/*
 * create_crypt.h - the encryption of a new image
 */
#ifndef Q2_MANAGE_CREATE_CRYPT_H
#define Q2_MANAGE_CREATE_CRYPT_H

#include "engine/aio/aio.h"
#include "engine/crypt/luks.h"
#include "engine/q2.h"

/* What a LUKS image holds besides what any has. */
struct new_crypt {
	uint64_t bytes; /* of the area; 0: the image has none */
	struct luks_options options;
	uint8_t *area; /* header and slots */
	size_t used;   /* bytes of it that are not zeros */
};

/* Judge the options, and say how large the area will be; the key is looked at
 * only if need_key. */
int new_crypt_plan(struct new_crypt *c, const struct q2_create_opts *opts,
		   bool need_key, struct q2_err *err);
/* Make a key and the area; takes processor time.  Nothing to do without one. */
int Q2_CO new_crypt_make(struct new_crypt *c, struct loop *loop,
			 const struct q2_create_opts *opts, struct q2_err *err);
void new_crypt_done(struct new_crypt *c);

#endif
