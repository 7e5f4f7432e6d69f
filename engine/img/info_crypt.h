/* SPDX-License-Identifier: MIT */
/*
 * info_crypt.h - what `info` says of encryption
 */
#ifndef Q2_IMG_INFO_CRYPT_H
#define Q2_IMG_INFO_CRYPT_H

#include "engine/img/json.h"
#include "engine/q2.h"

/* Lines, or the member "encrypt"; nothing if the image is not encrypted. */
void info_crypt_say(const struct q2_info *info);
void info_crypt_json(struct json *j, const struct q2_info *info);

/* The name of an image at path whose key was named, which a file name alone
 * cannot say: QEMU's json:{}.  The caller frees it; NULL without memory. */
char *info_crypt_name(const char *path, const char *secret);

#endif
