/* SPDX-License-Identifier: MIT */
#include "harness/env_sys.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static FILE *
open_below(const char *root, const char *path)
{
	char full[PATH_MAX];
	int n = snprintf(full, sizeof(full), "%s%s", root, path);

	if (n < 0 || (size_t)n >= sizeof(full)) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	return fopen(full, "re");
}

int
sys_line(const char *root, const char *path, char *text, size_t size)
{
	FILE *f = open_below(root, path);
	int r = 0;

	text[0] = '\0';
	if (!f)
		return -errno;
	errno = 0;
	if (!fgets(text, (int)size, f)) {
		/* Some attributes open and then say EINVAL; an empty file has
		 * no value. */
		r = errno ? -errno : -ENODATA;
		text[0] = '\0';
	}
	text[strcspn(text, "\n")] = '\0';
	(void)fclose(f);
	return r;
}

int
sys_int(const char *root, const char *path, uint64_t *ret)
{
	char text[64], *end;
	int r = sys_line(root, path, text, sizeof(text));
	uint64_t value;

	if (r < 0)
		return r;
	value = strtoull(text, &end, 10);
	if (end == text || text[0] == '-')
		return -EINVAL;
	*ret = value;
	return 0;
}

void
sys_fact(struct env_facts *facts, enum env_field field, const char *root,
	 const char *path)
{
	char text[ENV_VALUE];
	int r = sys_line(root, path, text, sizeof(text));

	facts_read(facts, field, r, text);
}

void
sys_bytes(struct env_facts *facts, enum env_field field, const char *root,
	  const char *path, uint64_t unit)
{
	uint64_t value;
	int r = sys_int(root, path, &value);

	if (r < 0)
		facts_read(facts, field, r, "");
	else
		facts_int(facts, field, value * unit);
}

void
sys_switch(struct env_facts *facts, enum env_field field, const char *root,
	   const char *path, const char *off, const char *on)
{
	uint64_t value;
	int r = sys_int(root, path, &value);

	facts_read(facts, field, r, r < 0 ? "" : value ? on : off);
}

void
sys_chosen(char *text)
{
	char *from = strchr(text, '['), *to = strchr(text, ']');

	if (!from || !to || to < from)
		return;
	*to = '\0';
	memmove(text, from + 1, strlen(from + 1) + 1);
}

bool
sys_keyed(const char *root, const char *path, const char *key, char *text,
	  size_t size)
{
	FILE *f = open_below(root, path);
	size_t len = strlen(key), room = 0;
	char *line = NULL;
	bool found = false;

	text[0] = '\0';
	if (!f)
		return false;
	while (!found && getline(&line, &room, f) > 0) {
		char *value = line + len;

		if (strncmp(line, key, len) != 0 || !strchr(" \t:", *value))
			continue;
		value += strspn(value, " \t:");
		value[strcspn(value, "\n")] = '\0';
		(void)snprintf(text, size, "%s", value);
		found = true;
	}
	free(line);
	(void)fclose(f);
	return found;
}

int
sys_list_next(const char *list, int i)
{
	while (*list) {
		char *end;
		long first = strtol(list, &end, 10), last = first;

		if (end == list)
			return -1;
		if (*end == '-')
			last = strtol(end + 1, &end, 10);
		if (last > i)
			return (int)(first > i ? first : i + 1);
		list = *end == ',' ? end + 1 : end;
		if (*end != ',')
			return -1;
	}
	return -1;
}

unsigned
sys_list_count(const char *list)
{
	unsigned n = 0;

	for (int i = sys_list_next(list, -1); i >= 0;
	     i = sys_list_next(list, i))
		n++;
	return n;
}
