/* SPDX-License-Identifier: MIT */
#include "engine/img/snapshots.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "engine/base/num.h"
#include "engine/img/cmd.h"
#include "engine/img/json.h"
#include "engine/img/msg.h"
#include "engine/img/optlist.h"
#include "engine/img/size.h"

#define NS_PER_S UINT64_C(1000000000)

/* ---- the list ---------------------------------------------------------- */

static void
format_date(uint64_t ns, char *text, size_t bytes)
{
	time_t sec = (time_t)(ns / NS_PER_S);
	struct tm tm;

	text[0] = 0;
	if (localtime_r(&sec, &tm))
		(void)strftime(text, bytes, "%Y-%m-%d %H:%M:%S", &tm);
}

static void
print_one(const struct q2_snapshot *sn)
{
	char size[SIZE_TEXT_MAX], date[64], clock[64], icount[24] = "";
	uint64_t sec = sn->clock_ns / NS_PER_S;

	size_human(sn->state_bytes, size);
	format_date(sn->date_ns, date, sizeof(date));
	(void)snprintf(clock, sizeof(clock),
		       "%02" PRIu64 ":%02" PRIu64 ":%02" PRIu64 ".%03" PRIu64,
		       sec / 3600, sec / 60 % 60, sec % 60,
		       sn->clock_ns / 1000000 % 1000);
	if (sn->has_icount)
		(void)snprintf(icount, sizeof(icount), "%" PRId64,
			       (int64_t)sn->icount);
	say("%-9s %-16s %8s%20s%13s%11s\n", sn->id, sn->name, size, date, clock,
	    icount);
}

void
snapshots_print(const struct q2_image *img)
{
	unsigned n = q2_snapshot_count(img);

	if (!n)
		return;
	say("Snapshot list:\n");
	say("%-10s%-17s%8s%20s%13s%11s\n", "ID", "TAG", "VM SIZE", "DATE",
	    "VM CLOCK", "ICOUNT");
	for (unsigned i = 0; i < n; i++) {
		struct q2_snapshot sn = q2_snapshot_get(img, i);

		print_one(&sn);
	}
}

void
snapshots_print_json(struct json *j, const struct q2_image *img)
{
	unsigned n = q2_snapshot_count(img);

	if (!n)
		return;
	json_open(j, "snapshots", '[');
	for (unsigned i = 0; i < n; i++) {
		struct q2_snapshot sn = q2_snapshot_get(img, i);

		json_open(j, NULL, '{');
		if (sn.has_icount)
			json_u64(j, "icount", sn.icount);
		json_u64(j, "vm-clock-nsec", sn.clock_ns % NS_PER_S);
		json_str(j, "name", sn.name);
		json_u64(j, "date-sec", sn.date_ns / NS_PER_S);
		json_u64(j, "date-nsec", sn.date_ns % NS_PER_S);
		json_u64(j, "vm-clock-sec", sn.clock_ns / NS_PER_S);
		json_str(j, "id", sn.id);
		json_u64(j, "vm-state-size", sn.state_bytes);
		json_close(j, '}');
	}
	json_close(j, ']');
}

/* ---- which one --------------------------------------------------------- */

enum {
	PARAM_ID,
	PARAM_NAME,
	PARAMS
};

static bool
is_list(const char *text)
{
	static const char prefix[] = "snapshot.";

	return strncmp(text, prefix, sizeof(prefix) - 1) == 0;
}

/* Into o, which has PARAMS entries; opt_free() in any case. */
static int
parse_list(const char *text, struct opt *o, struct opt_table *t)
{
	struct q2_err err;

	o[PARAM_ID] = (struct opt){.name = "snapshot.id"};
	o[PARAM_NAME] = (struct opt){.name = "snapshot.name"};
	*t = (struct opt_table){o, PARAMS, NULL};
	if (opt_parse(t, text, &err) == 0)
		return CMD_GO_ON;
	if (msg_role() == ROLE_QCOWIMG)
		return complain("Failed in parsing snapshot param '%s': %s",
				text, err.text);
	(void)complain("%s", err.text);
	return complain("Failed in parsing snapshot param '%s'", text);
}

int
snapshots_check_param(const char *text)
{
	struct opt o[PARAMS];
	struct opt_table t;
	int status;

	if (!is_list(text))
		return CMD_GO_ON;
	status = parse_list(text, o, &t);
	opt_free(&t);
	return status;
}

static int
load(struct q2_image *img, const char *id, const char *name, struct q2_err *err)
{
	return q2_snapshot_load(img, id, name, err);
}

static int
load_list(struct q2_image *img, const char *text, struct q2_err *err)
{
	struct opt o[PARAMS];
	struct opt_table t;
	int r = -EINVAL;

	if (parse_list(text, o, &t) == CMD_GO_ON)
		r = load(img, o[PARAM_ID].value, o[PARAM_NAME].value, err);
	opt_free(&t);
	return r;
}

int
snapshots_load_param(struct q2_image *img, const char *text)
{
	struct q2_err err = {0};
	int r;

	if (is_list(text)) {
		r = load_list(img, text, &err);
	} else {
		r = load(img, text, NULL, &err);
		if (r == -ENOENT)
			r = load(img, NULL, text, &err);
	}
	return r < 0 ? complain_why(&err, "Failed to load snapshot") : 0;
}
