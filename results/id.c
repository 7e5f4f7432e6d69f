/* SPDX-License-Identifier: MIT */
/*
 * id.c - see id.h
 *
 * The text is written here and not by the JSON library: the way a library
 * writes numbers may change with its version, and then every id would.
 */
#include "results/id.h"

#include <assert.h>
#include <gcrypt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "results/number.h"

static void
put_string(FILE *f, const char *s, size_t len)
{
	(void)fputc('"', f);
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c == '"' || c == '\\')
			(void)fprintf(f, "\\%c", c);
		else if (c < 0x20)
			(void)fprintf(f, "\\u%04x", c);
		else
			(void)fputc(c, f);
	}
	(void)fputc('"', f);
}

static int
compare_keys(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void put_value(FILE *f, const json_t *json);

static void
put_object(FILE *f, const json_t *json)
{
	size_t n = json_object_size(json), i = 0;
	Q2_AUTO_FREE const char **keys = calloc(n + 1, sizeof(*keys));
	const char *key;
	json_t *value;

	if (!keys)
		abort();
	json_object_foreach((json_t *)json, key, value)
	{
		keys[i++] = key;
	}
	qsort(keys, n, sizeof(*keys), compare_keys);
	(void)fputc('{', f);
	for (i = 0; i < n; i++) {
		if (i)
			(void)fputc(',', f);
		put_string(f, keys[i], strlen(keys[i]));
		(void)fputc(':', f);
		put_value(f, json_object_get(json, keys[i]));
	}
	(void)fputc('}', f);
}

static void
put_array(FILE *f, const json_t *json)
{
	(void)fputc('[', f);
	for (size_t i = 0; i < json_array_size(json); i++) {
		if (i)
			(void)fputc(',', f);
		put_value(f, json_array_get(json, i));
	}
	(void)fputc(']', f);
}

static void
put_value(FILE *f, const json_t *json)
{
	char number[NUMBER_SIZE];

	switch (json_typeof(json)) {
	case JSON_OBJECT:
		put_object(f, json);
		break;
	case JSON_ARRAY:
		put_array(f, json);
		break;
	case JSON_STRING:
		put_string(f, json_string_value(json),
			   json_string_length(json));
		break;
	case JSON_INTEGER:
		(void)fprintf(f, "%" JSON_INTEGER_FORMAT,
			      json_integer_value(json));
		break;
	case JSON_REAL:
		number_format(json_real_value(json), number);
		(void)fputs(number, f);
		break;
	case JSON_TRUE:
	case JSON_FALSE:
		(void)fputs(json_is_true(json) ? "true" : "false", f);
		break;
	case JSON_NULL:
		(void)fputs("null", f);
		break;
	}
}

char *
id_canonical(const json_t *json)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		abort();
	put_value(f, json);
	if (fclose(f) != 0)
		abort();
	return text;
}

void
id_of_bytes(const void *data, size_t size, char id[ID_SIZE])
{
	unsigned char digest[32];

	/* The library wants to be woken once; a second time does nothing. */
	if (!gcry_control(GCRYCTL_INITIALIZATION_FINISHED_P)) {
		(void)gcry_check_version(NULL);
		(void)gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
	}
	assert(gcry_md_get_algo_dlen(GCRY_MD_SHA256) == sizeof(digest));
	gcry_md_hash_buffer(GCRY_MD_SHA256, digest, data, size);
	for (size_t i = 0; i < (ID_SIZE - 1) / 2; i++)
		(void)snprintf(id + 2 * i, 3, "%02x", digest[i]);
}

void
id_of_json(const json_t *json, char id[ID_SIZE])
{
	Q2_AUTO_FREE char *text = id_canonical(json);

	id_of_bytes(text, strlen(text), id);
}
