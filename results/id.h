/* SPDX-License-Identifier: MIT */
/*
 * id.h - short names for what was measured: 12 hex digits of SHA-256
 *
 * Over canonical JSON: keys sorted by bytes, no spaces, UTF-8.  The same keys
 * and values give the same id on every machine and in every version, so keys
 * that have their default value must be left out by the caller: then a key
 * that is added later keeps the old ids.  Used for trial_id, cell_id,
 * group_id, env_fp, machine.
 */
#ifndef RESULTS_ID_H
#define RESULTS_ID_H

#include <stddef.h>

#include <jansson.h>

#define ID_SIZE 13 /* 12 digits and '\0' */

void id_of_json(const json_t *json, char id[ID_SIZE]);
void id_of_bytes(const void *data, size_t size, char id[ID_SIZE]);

/* The text that is hashed; the caller frees it. */
char *id_canonical(const json_t *json);

#endif
