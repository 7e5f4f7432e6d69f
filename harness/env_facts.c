/* SPDX-License-Identifier: MIT */
#include "harness/env_facts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/table.h"

const struct env_info env_info[ENV_FIELDS] = {
#define ENV(topic, name, kind, class, meaning) \
	{#topic, #name, ENV_##kind, ENV_##class, meaning},
#include "harness/env_fields.def"
#undef ENV
};

void
facts_text(struct env_facts *facts, enum env_field field, const char *text)
{
	struct env_fact *fact = &facts->v[field];
	json_t *json;
	size_t n;

	text += strspn(text, " \t\n");
	(void)snprintf(fact->text, sizeof(fact->text), "%s", text);
	n = strlen(fact->text);
	while (n > 0 && strchr(" \t\n", fact->text[n - 1]))
		fact->text[--n] = '\0';
	json = json_string(fact->text);
	for (size_t i = 0; !json && i < n; i++) {
		if ((unsigned char)fact->text[i] >= 0x80)
			fact->text[i] = '?';
	}
	json_decref(json);
	fact->known = n > 0 ? ENV_IS_VALUE : ENV_IS_ABSENT;
}

void
facts_int(struct env_facts *facts, enum env_field field, uint64_t value)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	facts_text(facts, field, text);
}

void
facts_pct(struct env_facts *facts, enum env_field field, double value)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%.1f", value);
	facts_text(facts, field, text);
}

void
facts_read(struct env_facts *facts, enum env_field field, int r,
	   const char *text)
{
	if (r >= 0) {
		facts_text(facts, field, text);
		return;
	}
	facts->v[field].text[0] = '\0';
	facts->v[field].known = r == -EACCES || r == -EPERM ? ENV_NOT_PERMITTED
							    : ENV_IS_ABSENT;
}

const char *
facts_get(const struct env_facts *facts, enum env_field field)
{
	return facts->v[field].text;
}

uint64_t
facts_get_int(const struct env_facts *facts, enum env_field field)
{
	return strtoull(facts->v[field].text, NULL, 10);
}

double
facts_get_real(const struct env_facts *facts, enum env_field field)
{
	return strtod(facts->v[field].text, NULL);
}

bool
facts_has(const struct env_facts *facts, enum env_field field)
{
	return facts->v[field].known == ENV_IS_VALUE;
}

static const char *
state_word(enum env_known known)
{
	return known == ENV_NOT_PERMITTED ? "not permitted" : "absent";
}

const char *
facts_show(const struct env_facts *facts, enum env_field field, char *text,
	   size_t size)
{
	const struct env_fact *fact = &facts->v[field];

	if (fact->known != ENV_IS_VALUE)
		(void)snprintf(text, size, "%s", state_word(fact->known));
	else if (env_info[field].kind == ENV_BYTES)
		table_bytes(facts_get_real(facts, field), text, size);
	else
		(void)snprintf(text, size, "%s%s", fact->text,
			       env_info[field].kind == ENV_PCT ? " %" : "");
	return text;
}

/* Numbers as numbers, where the text is one; else as it is. */
static json_t *
fact_json(const struct env_facts *facts, enum env_field field)
{
	const struct env_fact *fact = &facts->v[field];
	char *end;

	if (fact->known != ENV_IS_VALUE)
		return json_string(state_word(fact->known));
	if (env_info[field].kind == ENV_COUNT ||
	    env_info[field].kind == ENV_BYTES) {
		long long value = strtoll(fact->text, &end, 10);

		if (*end == '\0')
			return json_integer(value);
	}
	if (env_info[field].kind == ENV_PCT)
		return json_real(facts_get_real(facts, field));
	return json_string(fact->text);
}

json_t *
facts_json(const struct env_facts *facts)
{
	json_t *json = json_object(), *topic = NULL;

	for (size_t i = 0; i < ENV_FIELDS; i++) {
		topic = json_object_get(json, env_info[i].topic);
		if (!topic) {
			topic = json_object();
			(void)json_object_set_new(json, env_info[i].topic,
						  topic);
		}
		(void)json_object_set_new(topic, env_info[i].name,
					  fact_json(facts, (enum env_field)i));
	}
	return json;
}

void
facts_fingerprint(const struct env_facts *facts, char id[ID_SIZE])
{
	json_t *json = json_object();
	char key[64];

	for (size_t i = 0; i < ENV_FIELDS; i++) {
		if (env_info[i].class != ENV_PERF ||
		    facts->v[i].known == ENV_IS_ABSENT)
			continue;
		(void)snprintf(key, sizeof(key), "%s.%s", env_info[i].topic,
			       env_info[i].name);
		(void)json_object_set_new(json, key,
					  fact_json(facts, (enum env_field)i));
	}
	id_of_json(json, id);
	json_decref(json);
}

enum env_field
facts_find(const char *topic, const char *name)
{
	for (size_t i = 0; i < ENV_FIELDS; i++) {
		if (strcmp(env_info[i].topic, topic) == 0 &&
		    strcmp(env_info[i].name, name) == 0)
			return (enum env_field)i;
	}
	return ENV_FIELDS;
}
