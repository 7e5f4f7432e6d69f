/* SPDX-License-Identifier: MIT */
#include "engine/img/bitmaps.h"

#include <inttypes.h>

#include "engine/img/msg.h"

/* ---- the list ---------------------------------------------------------- */

static void
say_one(unsigned i, const struct q2_bitmap *b)
{
	unsigned flags = 0;

	say("        [%u]:\n", i);
	say("            flags:\n");
	if (b->inconsistent)
		say("                [%u]: in-use\n", flags++);
	if (b->enabled)
		say("                [%u]: auto\n", flags++);
	say("            name: %s\n", b->name);
	say("            granularity: %" PRIu64 "\n", b->granularity);
}

void
bitmaps_say(const struct q2_image *img)
{
	unsigned n = q2_bitmap_count(img);

	if (n)
		say("    bitmaps:\n");
	for (unsigned i = 0; i < n; i++) {
		struct q2_bitmap b = q2_bitmap_get(img, i);

		say_one(i, &b);
	}
}

void
bitmaps_json(struct json *j, const struct q2_image *img)
{
	unsigned n = q2_bitmap_count(img);

	if (!n)
		return;
	json_open(j, "bitmaps", '[');
	for (unsigned i = 0; i < n; i++) {
		struct q2_bitmap b = q2_bitmap_get(img, i);

		json_open(j, NULL, '{');
		json_open(j, "flags", '[');
		if (b.inconsistent)
			json_str(j, NULL, "in-use");
		if (b.enabled)
			json_str(j, NULL, "auto");
		json_close(j, ']');
		json_str(j, "name", b.name);
		json_u64(j, "granularity", b.granularity);
		json_close(j, '}');
	}
	json_close(j, ']');
}

/* ---- copies ------------------------------------------------------------ */

static bool
is_qcow2(struct q2_image *img, struct q2_info *info)
{
	return q2_info(img, info, NULL) == 0 && info->cluster_size;
}

int
bitmaps_check_source(struct q2_image *img, bool skip)
{
	struct q2_info info;

	if (!is_qcow2(img, &info))
		return complain("Source lacks bitmap support");
	for (unsigned i = 0; !skip && i < q2_bitmap_count(img); i++) {
		struct q2_bitmap b = q2_bitmap_get(img, i);

		if (!b.inconsistent)
			continue;
		if (msg_role() == ROLE_QCOWIMG)
			return complain("Cannot copy inconsistent bitmap '%s'; "
					"leave it out with "
					"--skip-broken-bitmaps, or delete it "
					"with 'bitmap --remove'",
					b.name);
		(void)complain("Cannot copy inconsistent bitmap '%s'", b.name);
		talk("Try --skip-broken-bitmaps, or use 'qemu-img bitmap "
		     "--remove' to delete it");
		return 1;
	}
	return 0;
}

int
bitmaps_check_target(struct q2_image *img)
{
	struct q2_info info = {.driver = ""};

	if (is_qcow2(img, &info))
		return 0;
	return complain("Format driver '%s' does not support bitmaps",
			info.driver);
}

static int
copy_one(const struct q2_bitmap *b, struct q2_image *from, struct q2_image *to)
{
	struct q2_err err;
	int r;

	if (q2_bitmap_add(to, b->name, b->granularity, &err) < 0)
		return complain_why(&err, "Failed to create bitmap %s",
				    b->name);
	r = b->enabled ? 0 : q2_bitmap_disable(to, b->name, &err);
	if (r == 0)
		r = q2_bitmap_merge(to, b->name, from, b->name, &err);
	return r < 0 ? complain_why(&err, "Failed to populate bitmap %s",
				    b->name)
		     : 0;
}

int
bitmaps_copy(struct q2_image *from, struct q2_image *to)
{
	int status = 0;

	for (unsigned i = 0; status == 0 && i < q2_bitmap_count(from); i++) {
		struct q2_bitmap b = q2_bitmap_get(from, i);

		if (b.inconsistent)
			(void)complain("warning: Skipping inconsistent bitmap "
				       "'%s'",
				       b.name);
		else
			status = copy_one(&b, from, to);
	}
	return status;
}
