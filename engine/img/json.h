/* SPDX-License-Identifier: MIT */
/*
 * json.h - JSON on stdout, a member a line, indented by four, as QEMU's tools
 * print it
 *
 *	struct json j = {0};
 *	json_open(&j, NULL, '{');
 *	json_u64(&j, "size", 1);
 *	json_close(&j, '}');
 *
 * name is NULL for the outermost value and within arrays.
 */
#ifndef Q2_IMG_JSON_H
#define Q2_IMG_JSON_H

#include <stdbool.h>
#include <stdint.h>

struct json {
	unsigned depth;
	bool has_member; /* a comma is due before the next one */
};

/* bracket is '{' or '['. */
void json_open(struct json *j, const char *name, char bracket);
/* bracket is '}' or ']'; after the outermost one comes a newline. */
void json_close(struct json *j, char bracket);
void json_u64(struct json *j, const char *name, uint64_t value);
void json_bool(struct json *j, const char *name, bool value);
/* value is UTF-8; other bytes are replaced. */
void json_str(struct json *j, const char *name, const char *value);

#endif
