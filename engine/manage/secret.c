/* SPDX-License-Identifier: MIT */
/*
 * secret.c - secrets by id, as --object gives them
 *
 * The bytes are wiped before their memory is given back.
 */
#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/err.h"
#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/manage/pairs.h"

/* A passphrase or a key; a longer file is not one. */
#define SECRET_MAX (1024 * 1024)

struct secret {
	char *id;
	uint8_t *data;
	size_t len;
};

struct q2_secrets {
	struct secret *v;
	size_t n;
};

struct q2_secrets *
q2_secrets_new(void)
{
	return calloc(1, sizeof(struct q2_secrets));
}

static void
wipe(void *data, size_t len)
{
	if (data)
		explicit_bzero(data, len);
	free(data);
}

void
q2_secrets_free(struct q2_secrets *secrets)
{
	if (!secrets)
		return;
	for (size_t i = 0; i < secrets->n; i++) {
		free(secrets->v[i].id);
		wipe(secrets->v[i].data, secrets->v[i].len);
	}
	free(secrets->v);
	free(secrets);
}

const void *
q2_secrets_find(const struct q2_secrets *secrets, const char *id,
		size_t *ret_len)
{
	for (size_t i = 0; i < secrets->n; i++) {
		if (strcmp(secrets->v[i].id, id) == 0) {
			*ret_len = secrets->v[i].len;
			return secrets->v[i].data;
		}
	}
	return NULL;
}

/* ---- one secret -------------------------------------------------------- */

static int
unreadable(const char *path, int code, struct q2_err *err)
{
	return q2_fail(err, code, "Unable to read %s: %s", path,
		       strerror(-code));
}

/* The bytes of a file, all of them. */
static int
load(const char *path, struct secret *s, struct q2_err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = 1;

	if (fd < 0)
		return q2_fail(err, -errno,
			       "Unable to read %s: Failed to open file "
			       "\342\200\234%s\342\200\235: %s",
			       path, path, strerror(errno));
	s->data = malloc(SECRET_MAX);
	if (!s->data)
		n = -1;
	while (n > 0 && s->len < SECRET_MAX) {
		n = read(fd, s->data + s->len, SECRET_MAX - s->len);
		s->len += n > 0 ? (size_t)n : 0;
	}
	if (n < 0) {
		int code = s->data ? -errno : -ENOMEM;

		(void)close(fd);
		return unreadable(path, code, err);
	}
	(void)close(fd);
	if (s->len == SECRET_MAX)
		return unreadable(path, -EFBIG, err);
	return 0;
}

static int
sextet(uint8_t c)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "abcdefghijklmnopqrstuvwxyz"
				      "0123456789+/";
	const char *at = c ? strchr(letters, c) : NULL;

	return at ? (int)(at - letters) : -1;
}

/* In place; white space between the letters is left out. */
static int
decode_base64(struct secret *s, struct q2_err *err)
{
	size_t n = 0, letters = 0, padding = 0;
	uint32_t bits = 0;

	for (size_t i = 0; i < s->len; i++) {
		int six = sextet(s->data[i]);

		if (isspace(s->data[i]))
			continue;
		if (s->data[i] == '=') {
			padding++;
			continue;
		}
		if (six < 0 || padding)
			return q2_fail(err, -EINVAL,
				       "Base64 data contains invalid "
				       "characters");
		bits = bits << 6 | (uint32_t)six;
		letters++;
		if (letters % 4 != 1)
			s->data[n++] = (uint8_t)(bits >>
						 (6 - 2 * ((letters - 1) % 4)));
	}
	if (letters % 4 == 1 || padding > 2 ||
	    (padding && (letters + padding) % 4))
		return q2_fail(err, -EINVAL, "Base64 data is not valid");
	explicit_bzero(s->data + n, s->len - n);
	s->len = n;
	return 0;
}

static int
take_data(struct pairs *p, struct secret *s, struct q2_err *err)
{
	const char *data = pairs_value(p, "data");
	const char *file = pairs_value(p, "file");
	const char *format = pairs_value(p, "format");
	int r = 0;

	if (format && strcmp(format, "raw") != 0 &&
	    strcmp(format, "base64") != 0)
		return q2_fail(err, -EINVAL,
			       "Parameter 'format' does not accept value '%s'",
			       format);
	if (data && file)
		return q2_fail(err, -EINVAL,
			       "'file' and 'data' are mutually exclusive");
	if (!data && !file)
		return q2_fail(err, -EINVAL,
			       "Either 'file' or 'data' must be provided");
	if (file)
		r = load(file, s, err);
	else
		s->data = (uint8_t *)strdup(data);
	if (r < 0)
		return r;
	if (!s->data)
		return q2_fail(err, -ENOMEM, "no memory for a secret");
	if (data)
		s->len = strlen(data);
	return format && format[0] == 'b' ? decode_base64(s, err) : 0;
}

static int
check_id(const char *id, struct q2_err *err)
{
	bool ok = id && isalpha((unsigned char)id[0]);

	if (!id)
		return q2_fail(err, -EINVAL, "Parameter 'id' is missing");
	for (const char *s = id; *s; s++)
		ok &= isalnum((unsigned char)*s) || strchr("-._", *s);
	if (!ok)
		return q2_fail(err, -EINVAL,
			       "Parameter 'id' expects an identifier\n"
			       "Identifiers consist of letters, digits, '-', "
			       "'.', '_', starting with a letter.");
	return 0;
}

static int
check_names(struct pairs *p, struct q2_err *err)
{
	const char *type = pairs_value(p, "qom-type");

	if (!type || !*type)
		return q2_fail(err, -EINVAL, "Parameter 'qom-type' is missing");
	if (strcmp(type, "secret") != 0)
		return q2_fail(err, -EINVAL,
			       "Parameter 'qom-type' does not accept value "
			       "'%s'",
			       type);
	if (pairs_has(p, "keyid") || pairs_has(p, "iv"))
		return q2_fail(err, -ENOTSUP,
			       "secrets that are encrypted themselves (keyid, "
			       "iv) are not supported");
	return check_id(pairs_value(p, "id"), err);
}

static int
refuse_rest(const struct pairs *p, struct q2_err *err)
{
	for (size_t i = 0; i < p->n; i++)
		if (!p->v[i].used)
			return q2_fail(err, -EINVAL,
				       "Parameter '%s' is unexpected",
				       p->v[i].key);
	return 0;
}

static int
add(struct q2_secrets *secrets, struct pairs *p, struct q2_err *err)
{
	struct secret s = {0}, *v;
	int r = check_names(p, err);
	size_t len;

	if (r == 0)
		r = take_data(p, &s, err);
	if (r == 0)
		r = refuse_rest(p, err);
	if (r == 0 && q2_secrets_find(secrets, pairs_value(p, "id"), &len))
		r = q2_fail(err, -EEXIST,
			    "attempt to add duplicate property '%s' to object "
			    "(type 'container')",
			    pairs_value(p, "id"));
	v = r == 0 ? reallocarray(secrets->v, secrets->n + 1, sizeof(*v))
		   : NULL;
	if (v) {
		secrets->v = v;
		s.id = strdup(pairs_value(p, "id"));
	}
	if (v && s.id) {
		v[secrets->n++] = s;
		return 0;
	}
	wipe(s.data, s.len);
	return r < 0 ? r : q2_fail(err, -ENOMEM, "no memory for a secret");
}

int
q2_secrets_add(struct q2_secrets *secrets, const char *text, struct q2_err *err)
{
	struct pairs p = {0};
	int r;

	r = text[0] == '{' ? pairs_add_json(&p, text, err)
			   : pairs_add_list(&p, text, "qom-type", err);
	if (r == 0)
		r = add(secrets, &p, err);
	for (size_t i = 0; i < p.n; i++)
		if (p.v[i].value && strcmp(p.v[i].key, "data") == 0)
			explicit_bzero(p.v[i].value, strlen(p.v[i].value));
	pairs_done(&p);
	return r;
}
