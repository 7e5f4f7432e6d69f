/* SPDX-License-Identifier: MIT */
#include "harness/env_diff.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/base/num.h"
#include "harness/table.h"

/* ---- loading ----------------------------------------------------------- */

/* An environment has some KiB, and a run.json not many more. */
#define FILE_MOST (16 * MiB)

/* A pipe that was named is that of another program; one in a run's folder would
 * be waited for, for ever. */
static bool
is_readable(const struct stat *st, bool in_folder)
{
	if (S_ISREG(st->st_mode))
		return (uint64_t)st->st_size <= FILE_MOST;
	return S_ISFIFO(st->st_mode) && !in_folder;
}

int
env_load(const char *path, json_t **ret, struct q2_err *err)
{
	char file[PATH_MAX];
	json_error_t why;
	json_t *json, *env;
	struct stat st;
	bool folder;
	int n;

	if (stat(path, &st) < 0)
		return q2_fail(err, -errno, "%s: %s", path, strerror(errno));
	folder = S_ISDIR(st.st_mode);
	n = snprintf(file, sizeof(file), "%s%s", path,
		     folder ? "/run.json" : "");
	if (n < 0 || (size_t)n >= sizeof(file))
		return q2_fail(err, -ENAMETOOLONG, "%s: the name is too long",
			       path);
	if (stat(file, &st) < 0)
		return q2_fail(err, -errno,
			       "%s: %s; name the folder of a run, its "
			       "run.json, or what 'qcowbench env --json' has "
			       "printed",
			       file, strerror(errno));
	if (!is_readable(&st, folder))
		return q2_fail(err, -EINVAL,
			       "%s: no plain file of at most %u MiB; name "
			       "another, or restore it from a copy",
			       file, (unsigned)(FILE_MOST / MiB));
	json = json_load_file(file, 0, &why);
	if (!json)
		return q2_fail(err, -EINVAL, "%s:%d: %s", file, why.line,
			       why.text);
	env = json_object_get(json, "environment");
	if (!env && json_object_get(json, "fingerprint"))
		env = json;
	if (!json_is_object(env)) {
		json_decref(json);
		return q2_fail(err, -EINVAL, "%s: no environment in it", file);
	}
	*ret = json_incref(env);
	json_decref(json);
	return 0;
}

/* ---- values ------------------------------------------------------------ */

static void
show(const json_t *value, enum env_kind kind, char *text, size_t size)
{
	if (json_is_string(value))
		(void)snprintf(text, size, "%s", json_string_value(value));
	else if (json_is_number(value) && kind == ENV_BYTES)
		table_bytes(json_number_value(value), text, size);
	else if (json_is_integer(value))
		(void)snprintf(text, size, "%lld",
			       (long long)json_integer_value(value));
	else if (json_is_number(value))
		(void)snprintf(text, size, "%g%s", json_number_value(value),
			       kind == ENV_PCT ? " %" : "");
	else
		(void)snprintf(text, size, "not recorded");
}

struct comparison {
	const json_t *a, *b;
	enum env_class class;
	void (*found)(void *arg, const struct env_difference *diff);
	void *arg;
	size_t n;
};

static void
compare(struct comparison *c, const char *topic, const char *name,
	const json_t *a, const json_t *b)
{
	enum env_field field = facts_find(topic, name);
	/* Of a field that this version does not know: it may matter. */
	enum env_class class =
		field < ENV_FIELDS ? env_info[field].class : ENV_PERF;
	enum env_kind kind = field < ENV_FIELDS ? env_info[field].kind
						: ENV_TEXT;
	struct env_difference diff = {.class = class};

	if (class != c->class || (a && b && json_equal(a, b)))
		return;
	(void)snprintf(diff.name, sizeof(diff.name), "%s%s%s", topic,
		       topic[0] ? "." : "", name);
	show(a, kind, diff.a, sizeof(diff.a));
	show(b, kind, diff.b, sizeof(diff.b));
	c->found(c->arg, &diff);
	c->n++;
}

/* Members of both, then those of b alone. */
static void
compare_topic(struct comparison *c, const char *topic, const json_t *a,
	      const json_t *b)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)a, name, value)
	{
		compare(c, topic, name, value, json_object_get(b, name));
	}
	json_object_foreach((json_t *)b, name, value)
	{
		if (!json_object_get(a, name))
			compare(c, topic, name, NULL, value);
	}
}

/* Says something of the whole, or is no field. */
static bool
is_apart(const char *name)
{
	return strcmp(name, "machine") == 0 ||
	       strcmp(name, "fingerprint") == 0 ||
	       strcmp(name, "warnings") == 0;
}

static void
compare_all(struct comparison *c)
{
	json_t *of_a, *of_b, *none = json_object();
	const char *topic;

	json_object_foreach((json_t *)c->a, topic, of_a)
	{
		of_b = json_object_get(c->b, topic);
		if (is_apart(topic))
			continue;
		if (json_is_object(of_a))
			compare_topic(c, topic, of_a,
				      json_is_object(of_b) ? of_b : none);
		else
			compare(c, "", topic, of_a, of_b);
	}
	json_object_foreach((json_t *)c->b, topic, of_b)
	{
		if (is_apart(topic) || json_object_get(c->a, topic))
			continue;
		if (json_is_object(of_b))
			compare_topic(c, topic, none, of_b);
		else
			compare(c, "", topic, NULL, of_b);
	}
	json_decref(none);
}

size_t
env_diff(const json_t *a, const json_t *b,
	 void (*found)(void *arg, const struct env_difference *diff), void *arg)
{
	static const enum env_class order[] = {ENV_PERF, ENV_INFO, ENV_STATE};
	struct comparison c = {.a = a, .b = b, .found = found, .arg = arg};

	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		c.class = order[i];
		compare_all(&c);
	}
	return c.n;
}

static int
same(const json_t *a, const json_t *b, const char *key)
{
	const char *x = json_string_value(json_object_get(a, key));
	const char *y = json_string_value(json_object_get(b, key));

	return !x || !y ? -1 : strcmp(x, y) == 0;
}

int
env_same_machine(const json_t *a, const json_t *b)
{
	return same(a, b, "machine");
}

int
env_same_fingerprint(const json_t *a, const json_t *b)
{
	return same(a, b, "fingerprint");
}
