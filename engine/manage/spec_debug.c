/* SPDX-License-Identifier: MIT */
/*
 * spec_debug.c - driver blkdebug: rules from options, and from a file
 *
 * The options are config (a file), inject-error.N.NAME, set-state.N.NAME and
 * limits of the file below, which is at image.  The file has sections:
 *
 *	[inject-error]
 *	event = "write_aio"
 *	errno = "28"
 *
 * Both become pairs with the same names, so that one function takes rules out
 * of them.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/aio/debug.h"
#include "engine/base/err.h"
#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/base/optval.h"
#include "engine/format/limits.h"
#include "engine/manage/spec_priv.h"

#define LINE_BYTES 1024

/* What errno may be in Linux. */
#define ERRNO_MAX 4095

static const char *const sections[] = {"inject-error", "set-state"};

/* One rule: its names begin with prefix; messages with where. */
struct source {
	struct pairs *p;
	char prefix[SPEC_KEY_BYTES];
	char where[SPEC_KEY_BYTES];
};

/* ---- a rule ------------------------------------------------------------ */

static int
take_number(const struct source *s, const char *name, uint64_t *ret,
	    bool *ret_has, struct q2_err *err)
{
	char key[SPEC_KEY_BYTES];
	const char *value = pairs_value(s->p, spec_key(s->prefix, name, key));
	struct q2_err why;
	int r;

	*ret_has = value != NULL;
	r = value ? optval_number(name, value, ret, &why) : 0;
	return r < 0 ? q2_fail(err, r, "%s%.500s", s->where, why.text) : 0;
}

static int
take_once(const struct source *s, struct debug_rule *rule, struct q2_err *err)
{
	static const char *const names[] = {"once", "immediately"};
	bool values[ARRAY_SIZE(names)] = {false, false};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char key[SPEC_KEY_BYTES];
		const char *value = pairs_value(
			s->p, spec_key(s->prefix, names[i], key));
		struct q2_err why;
		int r = value ? optval_bool(names[i], value, &values[i], &why)
			      : 0;

		if (r < 0)
			return q2_fail(err, r, "%s%.500s", s->where, why.text);
	}
	/* immediately: QEMU's request fails without waiting, as any does here
	 * that another request could not tell. */
	rule->once = values[0];
	return 0;
}

static int
take_iotype(const struct source *s, struct debug_rule *rule, struct q2_err *err)
{
	char key[SPEC_KEY_BYTES];
	const char *value = pairs_value(s->p,
					spec_key(s->prefix, "iotype", key));
	int type = value ? debug_find_iotype(value) : 0;

	if (type < 0)
		return q2_fail(err, -EINVAL,
			       "%sinvalid parameter value: %.100s (iotype is "
			       "read, write, write-zeroes, discard, flush or "
			       "block-status)",
			       s->where, value);
	rule->iotypes = value ? 1U << type : DEBUG_IO_ALL;
	return 0;
}

static int
take_error(const struct source *s, struct debug_rule *rule, struct q2_err *err)
{
	uint64_t number = EIO;
	bool has;
	int r = take_number(s, "errno", &number, &has, err);

	if (r == 0 && number > ERRNO_MAX)
		return q2_fail(err, -EINVAL,
			       "%serrno=%" PRIu64
			       " is no error of Linux (1 to %d; 0: none)",
			       s->where, number, ERRNO_MAX);
	rule->error = (int)number;
	if (r == 0)
		r = take_number(s, "sector", &rule->sector, &rule->has_sector,
				err);
	if (r == 0 && rule->sector > INT64_MAX / Q2_SECTOR)
		return q2_fail(err, -EINVAL,
			       "%ssector=%" PRIu64 " is behind any disk",
			       s->where, rule->sector);
	if (r == 0)
		r = take_iotype(s, rule, err);
	return r < 0 ? r : take_once(s, rule, err);
}

static int
take_event(const struct source *s, struct debug_rule *rule, struct q2_err *err)
{
	char key[SPEC_KEY_BYTES];
	const char *name = pairs_value(s->p, spec_key(s->prefix, "event", key));
	int event;

	if (!name)
		return q2_fail(err, -EINVAL, "%sMissing event name for rule",
			       s->where);
	event = debug_find_event(name);
	if (event < 0)
		return q2_fail(err, -EINVAL,
			       "%sinvalid parameter value: %.100s (event; "
			       "docs/blkdebug.md lists them)",
			       s->where, name);
	rule->event = (enum debug_event)event;
	return 0;
}

static int
take_rule(const struct source *s, enum debug_action action, struct debug *d,
	  struct q2_err *err)
{
	struct debug_rule rule = {.action = action};
	bool has;
	int r = take_event(s, &rule, err);

	if (r == 0)
		r = take_number(s, "state", &rule.state, &has, err);
	if (r == 0)
		r = action == DEBUG_INJECT
			    ? take_error(s, &rule, err)
			    : take_number(s, "new_state", &rule.new_state, &has,
					  err);
	if (r == 0 && debug_add(d, &rule) < 0)
		r = q2_fail(err, -ENOMEM, "no memory for a rule");
	return r;
}

/* The rule that key belongs to: "file.inject-error.0." of
 * "file.inject-error.0.event"; without a number, "file.inject-error.". */
static int
rule_prefix(const char *key, size_t section_len, char out[SPEC_KEY_BYTES])
{
	const char *dot = strrchr(key + section_len - 1, '.');
	size_t len = (size_t)(dot - key) + 1;

	if (len >= SPEC_KEY_BYTES / 2)
		return -ENAMETOOLONG;
	memcpy(out, key, len);
	out[len] = 0;
	return 0;
}

/*
 * All rules of a section.  The line of a file is the number of the rule there,
 * and file its name; NULL: the rules are options.
 */
static int
take_section(struct pairs *p, const char *prefix, const char *file,
	     enum debug_action action, struct debug *d, struct q2_err *err)
{
	char section[SPEC_KEY_BYTES], name[SPEC_KEY_BYTES];
	size_t len;
	int r = 0;

	(void)snprintf(name, sizeof(name), "%s.", sections[action]);
	len = strlen(spec_key(prefix, name, section));
	for (size_t i = 0; r == 0 && i < p->n; i++) {
		struct source s = {.p = p};

		if (p->v[i].used || strncmp(p->v[i].key, section, len) != 0)
			continue;
		if (rule_prefix(p->v[i].key, len, s.prefix) < 0)
			return q2_fail(err, -EINVAL,
				       "the name of a rule is too long: "
				       "'%.100s'",
				       p->v[i].key);
		if (file)
			(void)snprintf(s.where, sizeof(s.where), "%.200s:%.20s",
				       file, s.prefix + len);
		/* "12." of the prefix becomes "12: ". */
		if (file && strrchr(s.where, '.'))
			(void)strcpy(strrchr(s.where, '.'), ": ");
		r = take_rule(&s, action, d, err);
		/* What the rule has not taken is told in the end. */
		while (r == 0 && i + 1 < p->n &&
		       strncmp(p->v[i + 1].key, s.prefix, strlen(s.prefix)) ==
			       0)
			i++;
	}
	return r;
}

static int
take_rules(struct pairs *p, const char *prefix, const char *file,
	   struct debug *d, struct q2_err *err)
{
	int r = take_section(p, prefix, file, DEBUG_INJECT, d, err);

	return r < 0 ? r
		     : take_section(p, prefix, file, DEBUG_SET_STATE, d, err);
}

/* ---- the file of rules ------------------------------------------------- */

struct reader {
	const char *path;
	unsigned line;
	unsigned section_line; /* 0: there was none yet */
	const char *section;
	struct pairs pairs;
	struct q2_err *err;
};

static int
fail_line(const struct reader *rd, const char *why, const char *text)
{
	return q2_fail(rd->err, -EINVAL, "%.200s:%u: %s: '%.100s'", rd->path,
		       rd->line, why, text);
}

/* Without white space at both ends. */
static char *
trim(char *s)
{
	char *end;

	while (isspace((unsigned char)*s))
		s++;
	end = s + strlen(s);
	while (end > s && isspace((unsigned char)end[-1]))
		end--;
	*end = 0;
	return s;
}

/* "[inject-error]", or with a name: [inject-error "first"]. */
static int
begin_section(struct reader *rd, const char *text)
{
	for (size_t i = 0; i < ARRAY_SIZE(sections); i++) {
		size_t len = strlen(sections[i]);

		if (strncmp(text + 1, sections[i], len) != 0 ||
		    !strchr("] ", text[1 + len]) || !strchr(text, ']'))
			continue;
		rd->section = sections[i];
		rd->section_line = rd->line;
		return 0;
	}
	return fail_line(rd, "there are [inject-error] and [set-state]", text);
}

static int
take_line(struct reader *rd, char *text)
{
	char key[SPEC_KEY_BYTES], whole[LINE_BYTES];
	char *equals, *value;
	size_t len;

	text = trim(text);
	if (!*text || *text == '#')
		return 0;
	if (*text == '[')
		return begin_section(rd, text);
	(void)snprintf(whole, sizeof(whole), "%s", text);
	equals = strchr(text, '=');
	if (!equals)
		return fail_line(rd, "a line is name = \"value\"", whole);
	if (!rd->section_line)
		return fail_line(rd, "no section before it", whole);
	*equals = 0;
	value = trim(equals + 1);
	len = strlen(value);
	if (len < 2 || value[0] != '"' || value[len - 1] != '"')
		return fail_line(rd, "a line is name = \"value\"", whole);
	value[len - 1] = 0;
	if ((size_t)snprintf(key, sizeof(key), "%s.%u.%s", rd->section,
			     rd->section_line, trim(text)) >= sizeof(key))
		return fail_line(rd, "the name is too long", whole);
	return pairs_set(&rd->pairs, key, value + 1, rd->err);
}

static int
read_lines(struct reader *rd, FILE *f)
{
	char line[LINE_BYTES];
	int r = 0;

	while (r == 0 && fgets(line, sizeof(line), f)) {
		rd->line++;
		if (!strchr(line, '\n') && !feof(f))
			r = fail_line(rd, "the line is too long", line);
		else
			r = take_line(rd, line);
	}
	if (r == 0 && ferror(f))
		r = q2_fail(rd->err, -EIO,
			    "Could not read blkdebug config file: %s",
			    strerror(errno));
	return r;
}

static int
refuse_unknown(const struct reader *rd)
{
	for (size_t i = 0; i < rd->pairs.n; i++) {
		const char *key = rd->pairs.v[i].key;

		if (!rd->pairs.v[i].used)
			return q2_fail(
				rd->err, -EINVAL,
				"%.200s:%d: Invalid parameter '%.100s' (%s)",
				rd->path, atoi(strchr(key, '.') + 1),
				strrchr(key, '.') + 1,
				key[0] == 'i' ? "event, state, iotype, errno, "
						"sector, once, immediately"
					      : "event, state, new_state");
	}
	return 0;
}

static int
read_config(const char *path, struct debug *d, struct q2_err *err)
{
	struct reader rd = {.path = path, .err = err};
	FILE *f = fopen(path, "re");
	int r;

	if (!f)
		return q2_fail(err, -errno,
			       "Could not read blkdebug config file: %s "
			       "('%.200s')",
			       strerror(errno), path);
	r = read_lines(&rd, f);
	(void)fclose(f);
	if (r == 0)
		r = take_rules(&rd.pairs, "", path, d, err);
	if (r == 0)
		r = refuse_unknown(&rd);
	pairs_done(&rd.pairs);
	return r;
}

/* ---- limits ------------------------------------------------------------ */

/* align is obeyed; the others are about how QEMU cuts requests, and change
 * nothing here. */
static int
take_limits(struct pairs *p, const char *prefix, struct debug *d,
	    struct q2_err *err)
{
	static const char *const names[] = {"align",          "max-transfer",
					    "opt-write-zero", "max-write-zero",
					    "opt-discard",    "max-discard"};
	uint64_t align = 1;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		uint64_t value = 0;
		char key[SPEC_KEY_BYTES];
		int r = spec_take_size(p, spec_key(prefix, names[i], key),
				       &value, err);
		bool fits = i ? value % align == 0 : is_pow2(max_u64(value, 1));

		if (r < 0)
			return r;
		if (value >= INT32_MAX || !fits)
			return q2_fail(err, -EINVAL,
				       "Cannot meet constraints with %s "
				       "%" PRIu64,
				       names[i], value);
		if (i == 0)
			align = max_u64(value, 1);
	}
	if (align > 1)
		debug_set_align(d, (uint32_t)align);
	return 0;
}

/* ---- the node ---------------------------------------------------------- */

static int
take_all(struct pairs *p, const char *prefix, struct debug *d,
	 struct q2_err *err)
{
	char key[SPEC_KEY_BYTES];
	const char *config = pairs_value(p, spec_key(prefix, "config", key));
	int r = config && *config ? read_config(config, d, err) : 0;

	if (r == 0)
		r = take_rules(p, prefix, NULL, d, err);
	return r < 0 ? r : take_limits(p, prefix, d, err);
}

static int
enter_image(struct pairs *p, char prefix[SPEC_KEY_BYTES], struct q2_spec *spec,
	    struct q2_err *err)
{
	char key[SPEC_KEY_BYTES];
	const char *name = pairs_value(p, spec_key(prefix, "x-image", key));
	const char *ref = pairs_value(p, spec_key(prefix, "image", key));
	const char *driver;
	int r;

	if (ref)
		return spec_no_such_node(ref, err);
	if (name)
		spec->path = name;
	r = spec_enter(prefix, "image.", err);
	if (r < 0)
		return r;
	driver = pairs_value(p, spec_key(prefix, "driver", key));
	if (driver && !spec_is_file(driver))
		return q2_fail(err, -ENOTSUP,
			       "driver '%.100s' below blkdebug is not "
			       "supported; driver=file is, and the format goes "
			       "above blkdebug",
			       driver);
	if (!spec->path && !pairs_has_prefix(p, prefix))
		return q2_fail(err, -EINVAL,
			       "A block device must be specified for "
			       "\"image\"");
	return 0;
}

bool
spec_is_debug(struct pairs *p, const char *prefix)
{
	char key[SPEC_KEY_BYTES];
	const char *driver = pairs_value(p, spec_key(prefix, "driver", key));

	return driver && strcmp(driver, "blkdebug") == 0;
}

int
spec_take_rules(struct pairs *p, const char *prefix, struct q2_spec *spec,
		struct q2_err *err)
{
	struct spec_priv *priv = spec->priv;

	if (priv->debug)
		return q2_fail(err, -ENOTSUP,
			       "blkdebug is for one file of an image");
	priv->debug = debug_new();
	if (!priv->debug)
		return q2_fail(err, -ENOMEM, "no memory for blkdebug");
	spec->opts.debug = (struct q2_debug *)priv->debug;
	return take_all(p, prefix, priv->debug, err);
}

int
spec_take_debug(struct pairs *p, char prefix[SPEC_KEY_BYTES],
		struct q2_spec *spec, struct q2_err *err)
{
	int r = spec_take_rules(p, prefix, spec, err);

	if (r == 0)
		r = spec_take_node(p, prefix, spec, err);
	return r < 0 ? r : enter_image(p, prefix, spec, err);
}

/* "blkdebug:CONFIG:IMAGE" is driver=blkdebug,config=CONFIG on IMAGE. */
int
spec_split_debug(struct pairs *p, const char **name, struct q2_err *err)
{
	static const char protocol[] = "blkdebug:";
	const char *config = *name + sizeof(protocol) - 1, *colon;
	Q2_AUTO_FREE char *copy = NULL;
	int r;

	if (strncmp(*name, protocol, sizeof(protocol) - 1) != 0)
		return 0;
	colon = strchr(config, ':');
	if (!colon)
		return q2_fail(err, -EINVAL,
			       "blkdebug requires both config file and image "
			       "path");
	copy = strndup(config, (size_t)(colon - config));
	if (!copy)
		return q2_fail(err, -ENOMEM, "no memory for the options");
	*name = colon + 1;
	/* It is the node at the top itself, above a format. */
	if (pairs_has(p, "driver") &&
	    strcmp(pairs_find(p, "driver")->value, "blkdebug") == 0)
		return *copy ? pairs_set(p, "config", copy, err) : 0;
	r = pairs_set(p, "file.driver", "blkdebug", err);
	if (r == 0 && *copy)
		r = pairs_set(p, "file.config", copy, err);
	return r;
}
