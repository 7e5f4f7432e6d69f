/* SPDX-License-Identifier: MIT */
/*
 * cmd_info.c - qcowimg info: what an image is, and with --layout what it has
 *
 * Without --layout, output and messages are those of qemu-img info.
 */
#include "engine/img/cmd_info.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "engine/img/backing.h"
#include "engine/img/cmd.h"
#include "engine/img/info_crypt.h"
#include "engine/img/msg.h"

struct info_args {
	struct cmd_common common;
	const char *filename;
	bool chain;
	bool layout;
};

static const struct manual_option options[] = {
	MANUAL_FORMAT,
	MANUAL_OUTPUT,
	{OPT_BACKING_CHAIN, "backing-chain", NULL, NULL,
	 "the backing files too"},
	MANUAL_SHARE,
	MANUAL_OBJECT,
	MANUAL_IMAGE_OPTS,
	MANUAL_HELP,
	MANUAL_OWN,
	{OPT_LAYOUT, "layout", NULL, NULL,
	 "length, space on disk, metadata, and which preallocation the image really has: off, partly filled, metadata, falloc, full, shared with snapshots; on file systems that do not tell (no FIEMAP): metadata or better"},
	MANUAL_AIO,
};

const struct manual manual_info = {
	.name = "info",
	.operands = "FILE",
	.brief = "what an image is; --layout: what it really has on disk",
	.text = "Say what an image is.",
	.options = options,
	.n = ARRAY_SIZE(options),
	.more = "Exit status: 0, or 1 for an error.\n",
};

static int
parse(int argc, char **argv, struct info_args *ret)
{
	int c, status = CMD_GO_ON;

	while ((c = manual_next(&manual_info, argc, argv)) != -1) {
		if (c == OPT_BACKING_CHAIN)
			ret->chain = true;
		else if (c == OPT_LAYOUT)
			ret->layout = true;
		else
			status = cmd_common_option(c, argv, &ret->common);
		if (status != CMD_GO_ON)
			return status;
	}
	return cmd_one_file(argc, argv, &ret->filename);
}

/* Open an image and ask all that is to be printed; 0 or the exit status. */
static int
load(const struct info_args *args, const char *filename, const char *format,
     struct info_entry *ret)
{
	struct file_opts opts = args->common.file;
	struct q2_err err;
	int r;

	opts.format = format;
	/* What is below the image is named by a header. */
	opts.image_opts = opts.image_opts && filename == args->filename;
	opts.open.flags |= Q2_RDONLY | Q2_NO_IO;
	r = file_open_or_complain(filename, &opts, &ret->file);
	if (r != 0)
		return r;
	r = q2_info(ret->file.img, &ret->info, &err);
	if (r == 0 && args->layout) {
		r = q2_layout(ret->file.img, &ret->layout, &err);
		ret->has_layout = true;
	}
	if (r < 0)
		return complain("Could not read '%s': %s", filename, err.text);
	if (ret->file.spec.key_secret) {
		ret->shown = info_crypt_name(ret->file.name,
					     ret->file.spec.key_secret);
		if (!ret->shown)
			return complain("no memory for a file name");
	}
	if (!ret->info.backing_file)
		return 0;
	ret->backing_path = backing_path(ret->file.name,
					 ret->info.backing_file);
	return ret->backing_path ? 0 : complain("no memory for a file name");
}

static bool
is_known(const struct info_chain *chain, const char *filename)
{
	for (size_t i = 0; i < chain->n; i++)
		if (strcmp(chain->entries[i].file.name, filename) == 0)
			return true;
	return false;
}

static int
load_chain(const struct info_args *args, struct info_chain *chain)
{
	const char *filename = args->filename;
	const char *format = args->common.file.format;

	while (filename) {
		struct info_entry *e = &chain->entries[chain->n];
		int status;

		if (is_known(chain, filename))
			return complain("Backing file '%s' creates an infinite "
					"loop.",
					filename);
		if (chain->n == INFO_CHAIN_MAX)
			return complain("the chain of backing files is longer "
					"than %d",
					INFO_CHAIN_MAX);
		status = load(args, filename, format, e);
		chain->n += e->file.loop != NULL;
		if (status != 0)
			return status;
		filename = args->chain ? e->backing_path : NULL;
		format = e->info.backing_format;
	}
	return 0;
}

static int
free_chain(struct info_chain *chain, int status)
{
	for (size_t i = 0; i < chain->n; i++) {
		status = file_end(&chain->entries[i].file, status);
		free(chain->entries[i].shown);
		free(chain->entries[i].backing_path);
	}
	free(chain);
	return status;
}

int
cmd_info(int argc, char **argv)
{
	struct info_args args = {0};
	struct info_chain *chain;
	int status;

	status = parse(argc, argv, &args);
	if (status != CMD_GO_ON)
		return status;
	chain = calloc(1, sizeof(*chain));
	if (!chain)
		return complain("no memory");
	chain->is_list = args.chain;
	status = load_chain(&args, chain);
	if (status == 0 && args.common.json)
		info_print_json(chain);
	else if (status == 0)
		info_print_human(chain);
	return free_chain(chain, status);
}
