/* SPDX-License-Identifier: MIT */
/*
 * texts_files.c - are the files what they were after QEMU's run?
 */
#include "tests/cli/texts.h"

#include <ftw.h>
#include <gcrypt.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int
make_writable(const char *path, const struct stat *st, int type,
	      struct FTW *ftw)
{
	(void)st;
	(void)ftw;
	return type == FTW_D || type == FTW_DNR ? chmod(path, 0755) : 0;
}

void
texts_remove_tree(const char *path)
{
	(void)nftw(path, make_writable, 16, FTW_PHYS);
	(void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void
sha256_text(const void *data, size_t len, char hex[65])
{
	unsigned char digest[32];

	gcry_md_hash_buffer(GCRY_MD_SHA256, digest, data, len);
	for (size_t i = 0; i < sizeof(digest); i++)
		(void)sprintf(hex + 2 * i, "%02x", digest[i]);
}

static bool
file_has_sha256(const char *path, const char *want)
{
	char hex[65];
	size_t len;
	char *data = texts_slurp(path, &len);

	if (!data)
		return false;
	sha256_text(data, len, hex);
	free(data);
	return strcmp(hex, want) == 0;
}

/* ---- what a guest reads ------------------------------------------------- */

static unsigned char together[32]; /* of all files, in any order */

static int
add_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	unsigned char digest[32];
	gcry_md_hd_t md;
	size_t len;
	char *data;

	(void)ftw;
	if (type != FTW_F || !S_ISREG(st->st_mode))
		return 0;
	data = texts_slurp(path, &len);
	if (!data || gcry_md_open(&md, GCRY_MD_SHA256, 0))
		abort();
	gcry_md_write(md, path, strlen(path) + 1);
	gcry_md_write(md, data, len);
	memcpy(digest, gcry_md_read(md, 0), sizeof(digest));
	gcry_md_close(md);
	free(data);
	for (size_t i = 0; i < sizeof(digest); i++)
		together[i] ^= digest[i];
	return 0;
}

/* No backing file, no data file: a guest reads what is in these bytes. */
static bool
stands_alone(const unsigned char *image, size_t len)
{
	static const unsigned char no_backing[8];
	bool version_2;

	if (len < 104 || memcmp(image, "QFI\xfb\0\0\0", 7) != 0 ||
	    memcmp(image + 8, no_backing, sizeof(no_backing)) != 0)
		return false;
	version_2 = image[7] == 2;
	return version_2 || (image[7] == 3 && !(image[79] & 4));
}

/* Two images with the same name for their bytes are the same to a guest. */
static bool
name_bytes(const char *path, char hex[65])
{
	size_t len;
	char *data = texts_slurp(path, &len);

	if (!data)
		return false;
	if (stands_alone((const unsigned char *)data, len)) {
		sha256_text(data, len, hex);
	} else {
		memset(together, 0, sizeof(together));
		(void)nftw(texts_path("w"), add_file, 16, FTW_PHYS);
		/* Which of the files it is. */
		(void)add_file(path, &(struct stat){.st_mode = S_IFREG}, FTW_F,
			       NULL);
		sha256_text(together, sizeof(together), hex);
	}
	free(data);
	return true;
}

/* The hash of what QEMU reads from an image; false if it cannot. */
static bool
ask_qemu(const char *name, char hex[65])
{
	char path[NAME_MAX + 8]; /* ./ because of a colon in a name */
	struct texts_outcome o;
	json_t *argv;
	size_t len;
	char *data = NULL;

	(void)snprintf(path, sizeof(path), "./%s", name);
	argv = json_pack("[ssssssssss]", "qemu-img", "convert", "-U", "-q",
			 "-f", "qcow2", "-O", "raw", path, texts_path("guest"));
	o = texts_run(argv, "", false, false);
	if (o.status == 0)
		data = texts_slurp(texts_path("guest"), &len);
	if (data)
		sha256_text(data, len, hex);
	free(data);
	texts_outcome_done(&o);
	json_decref(argv);
	(void)unlink(texts_path("guest"));
	return data != NULL;
}

/*
 * Does QEMU read from the image what it read from its own?  Many cases leave
 * the same bytes behind: it is asked once about each, and again if the answer
 * was not the one wanted.
 */
static bool
guest_has_sha256(const char *name, const char *path, const char *want)
{
	static json_t *answers;
	char bytes[65], hex[65];
	const char *known;

	if (!name_bytes(path, bytes))
		return false;
	if (!answers)
		answers = json_object();
	known = json_string_value(json_object_get(answers, bytes));
	if (known && strcmp(known, want) == 0)
		return true;
	if (!ask_qemu(name, hex))
		return false;
	(void)json_object_set_new(answers, bytes, json_string(hex));
	return strcmp(hex, want) == 0;
}

/* ---- comparing ---------------------------------------------------------- */

bool texts_failed;

void
texts_differ(const char *what, const char *fmt, ...)
{
	va_list ap;

	texts_failed = true;
	(void)printf("  %s: ", what);
	va_start(ap, fmt);
	(void)vprintf(fmt, ap);
	va_end(ap);
	(void)printf("\n");
}

/*
 * How long a file is, and each of its bytes, is compared where we promise it:
 * the length of new images, and everything that is only looked at.  What a
 * write leaves is compared by what a guest reads.
 */
static void
compare_file(const char *name, const json_t *facts, const char *area,
	     bool looks)
{
	const char *sha = json_string_value(json_object_get(facts, "sha256"));
	const char *guest = json_string_value(
		json_object_get(facts, "guest_sha256"));
	json_int_t length = json_integer_value(
		json_object_get(facts, "length"));
	const char *dot = strrchr(name, '.');
	bool raw = dot && strcmp(dot, ".raw") == 0;
	char path[PATH_MAX + 300];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/%s", texts_path("w"), name);
	if (stat(path, &st)) {
		texts_differ("files", "%s is missing", name);
		return;
	}
	if ((looks || strncmp(area, "create", 6) == 0) && st.st_size != length)
		texts_differ("length", "%s has %lld bytes, not %lld", name,
			     (long long)st.st_size, (long long)length);
	if ((looks || raw) && sha && !file_has_sha256(path, sha))
		texts_differ("content", "%s is another", name);
	if (!looks && guest && !guest_has_sha256(name, path, guest))
		texts_differ("content", "a guest reads something else in %s",
			     name);
}

static size_t files_found;
static size_t files_prefix; /* length of "ROOT/w/" */
static const json_t *files_wanted;

static int
check_wanted(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)ftw;
	if (type != FTW_F || !S_ISREG(st->st_mode))
		return 0;
	files_found++;
	if (!json_object_get(files_wanted, path + files_prefix))
		texts_differ("files", "%s should not be there",
			     path + files_prefix);
	return 0;
}

void
texts_compare_files(const json_t *c, bool looks)
{
	const char *area = json_string_value(json_object_get(c, "area"));
	json_t *facts;
	const char *name;

	files_wanted = json_object_get(c, "files_after");
	files_prefix = strlen(texts_path("w")) + 1;
	(void)nftw(texts_path("w"), check_wanted, 16, FTW_PHYS);
	json_object_foreach((json_t *)(uintptr_t)files_wanted, name, facts)
		compare_file(name, facts, area, looks);
}
