/* SPDX-License-Identifier: MIT */
/* matrix_extra.c - the snapshot or the bitmap that an image of the matrix has */
#include "tests/interop/matrix_extra.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/base/num.h"
#include "engine/img/cmd.h"

#define NAME MATRIX_EXTRA_NAME

static enum side
any_side(struct image *img)
{
	return (enum side)rng_below(&img->rng, SIDES);
}

/* ---- done to it --------------------------------------------------------- */

static void
snapshot(struct image *img, enum side side, const char *what)
{
	struct words w = {0};

	img->script.n = 0;
	(void)snprintf(img->turn, sizeof(img->turn), "%s: snapshot %s",
		       matrix_sides[side], what);
	(void)snprintf(img->extra, sizeof(img->extra), ", after %s: %s",
		       matrix_sides[side], what);
	WORDS_ADD(&w, side == OURS ? img->program : "qemu-img", "snapshot",
		  "--object", QIO_SECRET, what, NAME);
	image_add_options(&w, img);
	if (side == OURS)
		must_ours(img, cmd_snapshot, &w);
	else
		must(img, &w);
}

static void
take_snapshot(struct image *img)
{
	img->extra_side = any_side(img);
	snapshot(img, img->extra_side, "-c");
	img->has_extra = true;
	img->snapshot = malloc(img->disk.size);
	assert_non_null(img->snapshot);
	memcpy(img->snapshot, img->disk.bytes, img->disk.size);
}

static void
apply_snapshot(struct image *img)
{
	snapshot(img, !img->extra_side, "-a");
	memcpy(img->disk.bytes, img->snapshot, img->disk.size);
}

static void
delete_snapshot(struct image *img)
{
	snapshot(img, !img->extra_side, "-d");
	extra_done(img);
}

static void
add_bitmap(struct image *img)
{
	static const char *const grains[] = {NULL, "512", "4096", "65536"};
	const char *grain = grains[rng_below(&img->rng, ARRAY_SIZE(grains))];
	enum side side = any_side(img);
	struct words w = {0};

	img->script.n = 0;
	(void)snprintf(img->turn, sizeof(img->turn),
		       "%s adds a bitmap, granularity %s", matrix_sides[side],
		       grain ? grain : "not given");
	(void)snprintf(img->extra, sizeof(img->extra), ", bitmap of %s, %s",
		       matrix_sides[side], grain ? grain : "no granularity");
	WORDS_ADD(&w, side == OURS ? img->program : "qemu-img", "bitmap",
		  "--object", QIO_SECRET, "--add");
	if (grain)
		WORDS_ADD(&w, "-g", grain);
	image_add_name(&w, img);
	WORDS_ADD(&w, NAME);
	if (side == OURS)
		must_ours(img, cmd_bitmap, &w);
	else
		must(img, &w);
	img->has_extra = true;
	for (uint64_t i = 0; i < img->disk.size / DISK_SECTOR; i++)
		img->disk.marks[i] &= DISK_TOUCHED;
}

void
extra_before_turn(struct image *img, unsigned turn)
{
	bool now = turn > 0 || rng_below(&img->rng, 2) == 0;

	if (img->kind.extra == MATRIX_NOTHING || !now)
		return;
	if (!img->has_extra && img->kind.extra == MATRIX_SNAPSHOT) {
		take_snapshot(img);
	} else if (!img->has_extra) {
		add_bitmap(img);
	} else if (img->kind.extra == MATRIX_SNAPSHOT) {
		uint64_t what = rng_below(&img->rng, 4);

		if (what == 0)
			apply_snapshot(img);
		else if (what == 1)
			delete_snapshot(img);
	}
}

bool
extra_end(struct image *img)
{
	if (!img->snapshot)
		return false;
	if (rng_below(&img->rng, 2) == 0)
		apply_snapshot(img);
	else
		delete_snapshot(img);
	return true;
}

void
extra_done(struct image *img)
{
	free(img->snapshot);
	img->snapshot = NULL;
	img->has_extra = false;
}

/* ---- what is said of it ------------------------------------------------- */

static void
load_snapshot(const struct image *img, struct q2_image *image)
{
	uint8_t *bytes = malloc(img->disk.size);
	struct q2_err err = {0};
	int r;

	assert_non_null(bytes);
	if (q2_snapshot_load(image, NULL, NAME, &err) < 0)
		blame(img, "we load the snapshot", err.text);
	r = q2_pread(image, bytes, img->disk.size, 0);
	if (r < 0)
		blame(img, "we read the snapshot", strerror(-r));
	image_same_bytes(img, "we read the snapshot", bytes, img->snapshot);
	free(bytes);
}

static void
judge_bit(const struct image *img, const char *what, struct q2_bitmap bitmap,
	  uint64_t off, bool is_noted)
{
	uint64_t end = min_u64(off + bitmap.granularity, img->disk.size);
	unsigned marks = 0;
	char text[100];

	for (uint64_t i = off; i < end; i += DISK_SECTOR)
		marks |= img->disk.marks[i / DISK_SECTOR];
	if (is_noted ? marks & DISK_MAYBE : !(marks & DISK_CHANGED))
		return;
	(void)snprintf(text, sizeof(text),
		       "what is at %" PRIu64 " of granularity %" PRIu64
		       " is %snoted",
		       off, bitmap.granularity, is_noted ? "" : "not ");
	blame(img, what, text);
}

/* The caller frees it: a byte for each sector. */
static uint8_t *
noted_by_us(const struct image *img, struct q2_image *image,
	    struct q2_bitmap *ret_bitmap)
{
	int index = q2_bitmap_find(image, NAME), r;
	uint8_t *noted = calloc(1, img->disk.size / DISK_SECTOR);
	uint64_t off = 0, len = 0;
	struct q2_err err = {0};

	assert_non_null(noted);
	if (index < 0)
		blame(img, "we look for the bitmap", "there is none");
	*ret_bitmap = q2_bitmap_get(image, (unsigned)index);
	if (!ret_bitmap->enabled || ret_bitmap->inconsistent)
		blame(img, "we look at the bitmap", "it is not good");
	while ((r = q2_bitmap_next(image, (unsigned)index, &off, &len, &err)) >
	       0) {
		for (uint64_t i = off;
		     i < off + len &&
		     i / DISK_SECTOR < img->disk.size / DISK_SECTOR;
		     i += DISK_SECTOR)
			noted[i / DISK_SECTOR] = 1;
		off += len;
	}
	if (r < 0)
		blame(img, "we read the bitmap", err.text);
	return noted;
}

static void
judge_our_bitmap(const struct image *img, struct q2_image *image)
{
	struct q2_bitmap bitmap;
	uint8_t *noted = noted_by_us(img, image, &bitmap);

	for (uint64_t off = 0; off < img->disk.size; off += bitmap.granularity)
		judge_bit(img, "our view of the bitmap", bitmap, off,
			  noted[off / DISK_SECTOR]);
	free(noted);
}

void
extra_judge_ours(const struct image *img, struct q2_image *image)
{
	if (img->snapshot)
		load_snapshot(img, image);
	else if (img->has_extra)
		judge_our_bitmap(img, image);
}

pid_t
extra_ask_qemu(const struct image *img, unsigned slot)
{
	struct words w = {0};

	if (!img->snapshot)
		return -1;
	WORDS_ADD(&w, "qemu-img", "convert", "--object", QIO_SECRET, "-l", NAME,
		  "-O", "raw");
	image_add_options(&w, img);
	WORDS_ADD(&w, "t.raw");
	return spawn(&w, slot);
}

void
extra_judge_qemu(const struct image *img, pid_t pid, unsigned slot)
{
	uint64_t len;
	char *bytes;

	if (!img->snapshot)
		return;
	if (spawn_wait(pid) != 0)
		blame(img, "QEMU reads the snapshot", spawn_output(slot));
	bytes = file_content("t.raw", &len);
	assert_int_equal(len, img->disk.size);
	image_same_bytes(img, "QEMU reads the snapshot", (uint8_t *)bytes,
			 img->snapshot);
	free(bytes);
}

/* QEMU's server goes to the background when it can be reached, and ends with
 * its only client.  What that says is in slot 1. */
static void
ask_server(const struct image *img)
{
	struct words server = {0}, client = {0};
	char dir[200], path[220], from[400];

	assert_non_null(getcwd(dir, sizeof(dir)));
	(void)snprintf(path, sizeof(path), "%s/socket", dir);
	(void)snprintf(from, sizeof(from),
		       "driver=nbd,server.type=unix,server.path=%s,"
		       "x-dirty-bitmap=qemu:dirty-bitmap:" NAME,
		       path);
	WORDS_ADD(&server, "qemu-nbd", "--fork", "--object", QIO_SECRET, "-r",
		  "-B", NAME, "-k", path);
	image_add_options(&server, img);
	must(img, &server);
	WORDS_ADD(&client, "qemu-img", "map", "--output=json", "--image-opts",
		  from);
	if (spawn_wait(spawn(&client, 1)) != 0)
		blame(img, "QEMU reads the bitmap", spawn_output(1));
	(void)unlink(path);
}

/* A number behind a name; *text goes on behind it. */
static uint64_t
json_number(const struct image *img, char **text, const char *name)
{
	char *at = strstr(*text, name);

	if (!at)
		blame(img, "QEMU reads the bitmap", *text);
	return strtoull(at + strlen(name), text, 10);
}

/* As noted_by_us().  To a client, what is noted is a hole. */
static uint8_t *
noted_by_qemu(const struct image *img)
{
	uint8_t *noted = calloc(1, img->disk.size / DISK_SECTOR);
	char *text, *at;

	assert_non_null(noted);
	ask_server(img);
	text = at = spawn_output(1);
	while (strstr(at, "\"start\": ")) {
		uint64_t off = json_number(img, &at, "\"start\": ");
		uint64_t len = json_number(img, &at, "\"length\": ");
		const char *data = strstr(at, "\"data\": ");

		if (!data || off + len > img->disk.size)
			blame(img, "QEMU reads the bitmap", text);
		memset(noted + off / DISK_SECTOR,
		       data[strlen("\"data\": ")] == 'f', len / DISK_SECTOR);
	}
	free(text);
	return noted;
}

void
extra_judge_bitmap(const struct image *img)
{
	struct q2_image *image;
	struct q2_bitmap bitmap;
	uint8_t *ours, *qemus;
	char text[100];

	if (!img->has_extra || img->kind.extra != MATRIX_BITMAP)
		return;
	image = image_open_ours(img);
	ours = noted_by_us(img, image, &bitmap);
	assert_int_equal(q2_close(image, NULL), 0);
	qemus = noted_by_qemu(img);
	for (uint64_t i = 0; i < img->disk.size / DISK_SECTOR; i++) {
		if (ours[i] == qemus[i])
			continue;
		(void)snprintf(text, sizeof(text), "sector %" PRIu64 " is %s",
			       i, ours[i] ? "ours only" : "QEMU's only");
		blame(img, "the bitmaps", text);
	}
	free(ours);
	free(qemus);
}
