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

/* Does QEMU read from the image what it read from its own? */
static bool
guest_has_sha256(const char *name, const char *want)
{
	char path[NAME_MAX + 8]; /* ./ because of a colon in a name */
	json_t *argv;
	struct texts_outcome o;
	bool ok;

	(void)snprintf(path, sizeof(path), "./%s", name);
	argv = json_pack("[ssssssssss]", "qemu-img", "convert", "-U", "-q",
			 "-f", "qcow2", "-O", "raw", path, texts_path("guest"));
	o = texts_run(argv, "", false, false);
	ok = o.status == 0 && file_has_sha256(texts_path("guest"), want);

	texts_outcome_done(&o);
	json_decref(argv);
	(void)unlink(texts_path("guest"));
	return ok;
}

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
	if (!looks && guest && !guest_has_sha256(name, guest))
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
