/* SPDX-License-Identifier: MIT */
/* matrix_image.c - run commands on an image, and tell what went wrong */
#include "tests/interop/matrix_image.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/interop/own.h"

const char *const matrix_sides[SIDES] = {"qcowimg", "QEMU"};

void
blame(const struct image *img, const char *what, const char *text)
{
	print_error("an image of %" PRIu64 " bytes: made by %s, %s",
		    img->disk.size, matrix_sides[img->kind.maker],
		    img->options);
	if (img->base)
		print_error(", backing file %s of %" PRIu64 " bytes",
			    img->kind.backing, img->base_size);
	print_error("\n%s%s\n", img->turn, img->extra);
	for (unsigned i = 0; i < img->script.n; i++)
		print_error("  %s\n", img->script.line[i]);
	print_error("again: %s\n", img->again);
	fail_msg("%s: %s", what, text);
	abort(); /* fail_msg() does not return, which the compiler cannot see */
}

void
must_be_zero(const struct image *img, const struct words *w, int status)
{
	char what[64], *text;

	if (status == 0)
		return;
	text = spawn_output(0);
	(void)snprintf(what, sizeof(what), "%s, status %d",
		       strrchr(w->word[0], '/') ? matrix_sides[OURS]
						: w->word[0],
		       status);
	blame(img, what, text);
}

/* QEMU's way of measuring how long PBKDF2 takes fails on a busy machine. */
static bool
was_too_busy(void)
{
	char *said = spawn_output(0);
	bool was = strstr(said, "Unable to get accurate CPU usage");

	free(said);
	return was;
}

void
must(const struct image *img, const struct words *w)
{
	int status = spawn_wait(spawn(w, 0));

	for (int i = 0; status && i < 50 && was_too_busy(); i++)
		status = spawn_wait(spawn(w, 0));
	must_be_zero(img, w, status);
}

const char *
image_how_to_open(const struct image *img)
{
	return *img->kind.encryption ? "driver=qcow2,encrypt.key-secret=s"
				     : "driver=qcow2";
}

void
image_add_options(struct words *w, const struct image *img)
{
	WORDS_ADD(w, "--image-opts",
		  *img->kind.encryption ? "driver=qcow2,file.filename=t.qcow2,"
					  "encrypt.key-secret=s"
					: "driver=qcow2,file.filename=t.qcow2");
}

void
image_add_name(struct words *w, const struct image *img)
{
	if (*img->kind.encryption)
		image_add_options(w, img);
	else
		WORDS_ADD(w, "-f", "qcow2", "t.qcow2");
}

void
must_ours(struct image *img, int (*command)(int argc, char **argv),
	  const struct words *w)
{
	struct words rest = {0};

	if (!img->was_started) {
		img->was_started = true;
		must(img, w);
		return;
	}
	/* The test has the secret already. */
	words_add(&rest, w->word + 1, 1);
	words_add(&rest, w->word + 4, w->n - 4);
	must_be_zero(img, w, own_run(command, &rest, 0));
}

void
must_qio(const struct image *img, const char *what)
{
	char *said = qio_result(img->qio);

	if (*said)
		blame(img, what, said);
	free(said);
}

struct q2_image *
image_open_ours(const struct image *img)
{
	struct q2_open_opts opts = {.size = sizeof(opts),
				    .driver = "qcow2",
				    .flags = Q2_RDONLY,
				    .key = QIO_KEY,
				    .key_len = strlen(QIO_KEY)};
	struct q2_image *image;
	struct q2_err err = {0};

	if (q2_open(img->loop, "t.qcow2", &opts, &image, &err) < 0)
		blame(img, "we open it", err.text);
	return image;
}

void
image_same_bytes(const struct image *img, const char *what,
		 const uint8_t *bytes, const uint8_t *right)
{
	char text[200];
	uint64_t at = 0, n = 0;

	if (memcmp(bytes, right, img->disk.size) == 0)
		return;
	while (bytes[at] == right[at])
		at++;
	for (uint64_t i = at; i < img->disk.size; i++)
		n += bytes[i] != right[i];
	(void)snprintf(text, sizeof(text),
		       "%" PRIu64 " bytes differ, the first at %" PRIu64
		       " is %#x instead of %#x",
		       n, at, bytes[at], right[at]);
	blame(img, what, text);
}
