/* SPDX-License-Identifier: MIT */
/*
 * info_print.c - the output of `info`: human and JSON
 *
 * Lines and their order are those of qemu-img info, JSON members in the order
 * of QEMU's hash table; the layout is ours.
 */
#include <inttypes.h>
#include <string.h>

#include "engine/img/bitmaps.h"
#include "engine/img/cmd_info.h"
#include "engine/img/info_crypt.h"
#include "engine/img/json.h"
#include "engine/img/msg.h"
#include "engine/img/size.h"
#include "engine/img/snapshots.h"

static bool
is_qcow2(const struct q2_info *info)
{
	return info->cluster_size != 0;
}

static const char *
yes(bool value)
{
	return value ? "true" : "false";
}

void
info_print_specific(const struct q2_info *info, const struct q2_image *img)
{
	if (!is_qcow2(info))
		return;
	say("Format specific information:\n");
	say("    compat: %s\n", info->compat == 2 ? "0.10" : "1.1");
	say("    compression type: %s\n", info->compression_type);
	if (info->compat > 2)
		say("    lazy refcounts: %s\n", yes(info->lazy_refcounts));
	bitmaps_say(img);
	say("    refcount bits: %u\n", info->refcount_bits);
	info_crypt_say(info);
	if (info->compat == 2)
		return;
	if (info->data_file)
		say("    data file: %s\n", info->data_file);
	if (info->external_data)
		say("    data file raw: %s\n", yes(info->data_file_raw));
	say("    corrupt: %s\n", yes(info->corrupt));
	say("    extended l2: %s\n", yes(info->extended_l2));
}

static void
print_size(const char *label, uint64_t bytes)
{
	char text[SIZE_TEXT_MAX];

	size_human(bytes, text);
	say("%s: %s (%" PRIu64 " bytes)\n", label, text, bytes);
}

/* ---- the layout -------------------------------------------------------- */

static const char *
kind_name(enum q2_layout_kind kind)
{
	static const char *const names[] = {
		[Q2_LAYOUT_OFF] = "off",
		[Q2_LAYOUT_PARTLY] = "partly filled",
		[Q2_LAYOUT_METADATA] = "metadata",
		[Q2_LAYOUT_FALLOC] = "falloc",
		[Q2_LAYOUT_FULL] = "full",
		[Q2_LAYOUT_METADATA_OR_BETTER] = "metadata or better",
		[Q2_LAYOUT_SHARED] = "shared with snapshots",
	};

	return names[kind];
}

/* What the word means for this image, for people. A raw file has no clusters. */
static const char *
kind_text(enum q2_layout_kind kind, bool qcow2)
{
	static const char *const raw[] = {
		[Q2_LAYOUT_OFF] = "space is found at the first write",
		[Q2_LAYOUT_PARTLY] = "some of the disk has space",
		[Q2_LAYOUT_METADATA] = "the file has holes",
		[Q2_LAYOUT_FALLOC] = "all of the disk has space, not all of it "
				     "is written yet",
		[Q2_LAYOUT_FULL] = "all of the disk is written",
		[Q2_LAYOUT_METADATA_OR_BETTER] =
			"all of the disk has space; this file system does not "
			"tell more",
	};
	static const char *const texts[] = {
		[Q2_LAYOUT_OFF] = "space is found at the first write",
		[Q2_LAYOUT_PARTLY] = "some of the disk has clusters",
		[Q2_LAYOUT_METADATA] = "all clusters are mapped, the file has "
				       "holes",
		[Q2_LAYOUT_FALLOC] = "all clusters have space on disk, not all "
				     "of it is written yet",
		[Q2_LAYOUT_FULL] = "all clusters are written",
		[Q2_LAYOUT_METADATA_OR_BETTER] =
			"all clusters are mapped; this file system does not "
			"tell more",
		[Q2_LAYOUT_SHARED] = "the next write to each of these clusters "
				     "finds new space",
	};

	return qcow2 ? texts[kind] : raw[kind];
}

static void
print_layout(const struct q2_layout *l, bool qcow2)
{
	say("Layout:\n");
	say("    preallocation: %s (%s)\n", kind_name(l->kind),
	    kind_text(l->kind, qcow2));
	print_size("    virtual size", l->virtual_bytes);
	print_size("    file length", l->file_bytes);
	print_size("    allocated on disk", l->alloc_bytes);
	print_size("    metadata", l->metadata_bytes);
	print_size(qcow2 ? "    guest data with clusters"
			 : "    guest data with space",
		   l->mapped_bytes);
	if (l->shared_bytes)
		print_size("        shared with snapshots", l->shared_bytes);
	if (!l->has_fiemap)
		return;
	print_size("        written", l->written_bytes);
	print_size("        allocated, unwritten", l->unwritten_bytes);
	print_size("        holes", l->hole_bytes);
	say("    extents of the file: %" PRIu64 "\n", l->extents);
}

static void
json_layout(struct json *j, const struct q2_layout *l)
{
	json_open(j, "layout", '{');
	json_str(j, "preallocation", kind_name(l->kind));
	json_u64(j, "virtual-size", l->virtual_bytes);
	json_u64(j, "file-length", l->file_bytes);
	json_u64(j, "allocated-size", l->alloc_bytes);
	json_u64(j, "metadata-size", l->metadata_bytes);
	json_u64(j, "mapped-size", l->mapped_bytes);
	json_u64(j, "shared-size", l->shared_bytes);
	json_bool(j, "fiemap", l->has_fiemap);
	if (l->has_fiemap) {
		json_u64(j, "written-size", l->written_bytes);
		json_u64(j, "unwritten-size", l->unwritten_bytes);
		json_u64(j, "hole-size", l->hole_bytes);
		json_u64(j, "extents", l->extents);
	}
	json_close(j, '}');
}

/* ---- an image ---------------------------------------------------------- */

static void
print_backing(const struct info_entry *e)
{
	const char *name = e->info.backing_file;

	if (!name)
		return;
	if (strcmp(name, e->backing_path) == 0)
		say("backing file: %s\n", name);
	else
		say("backing file: %s (actual path: %s)\n", name,
		    e->backing_path);
	if (e->info.backing_format)
		say("backing file format: %s\n", e->info.backing_format);
}

static void
print_human(const struct info_entry *e)
{
	char text[SIZE_TEXT_MAX];

	say("image: %s\n", e->shown ? e->shown : e->file.name);
	say("file format: %s\n", e->info.driver);
	print_size("virtual size", e->info.virtual_bytes);
	size_human(e->info.alloc_bytes, text);
	say("disk size: %s\n", text);
	if (e->info.encryption)
		say("encrypted: yes\n");
	if (is_qcow2(&e->info))
		say("cluster_size: %u\n", e->info.cluster_size);
	if (e->info.dirty)
		say("cleanly shut down: no\n");
	print_backing(e);
	snapshots_print(e->file.img);
	info_print_specific(&e->info, e->file.img);
	if (e->has_layout)
		print_layout(&e->layout, is_qcow2(&e->info));
}

static void
json_specific(struct json *j, const struct q2_info *info,
	      const struct q2_image *img)
{
	json_open(j, "format-specific", '{');
	json_str(j, "type", info->driver);
	json_open(j, "data", '{');
	json_str(j, "compat", info->compat == 2 ? "0.10" : "1.1");
	json_str(j, "compression-type", info->compression_type);
	if (info->compat > 2)
		json_bool(j, "lazy-refcounts", info->lazy_refcounts);
	bitmaps_json(j, img);
	json_u64(j, "refcount-bits", info->refcount_bits);
	info_crypt_json(j, info);
	if (info->compat > 2 && info->data_file)
		json_str(j, "data-file", info->data_file);
	if (info->external_data)
		json_bool(j, "data-file-raw", info->data_file_raw);
	if (info->compat > 2) {
		json_bool(j, "corrupt", info->corrupt);
		json_bool(j, "extended-l2", info->extended_l2);
	}
	json_close(j, '}');
	json_close(j, '}');
}

static void
json_image(struct json *j, const struct info_entry *e)
{
	const struct q2_info *info = &e->info;

	json_open(j, NULL, '{');
	if (info->backing_file && info->backing_format)
		json_str(j, "backing-filename-format", info->backing_format);
	snapshots_print_json(j, e->file.img);
	json_u64(j, "virtual-size", info->virtual_bytes);
	json_str(j, "filename", e->shown ? e->shown : e->file.name);
	if (is_qcow2(info))
		json_u64(j, "cluster-size", info->cluster_size);
	json_str(j, "format", info->driver);
	json_u64(j, "actual-size", info->alloc_bytes);
	if (is_qcow2(info))
		json_specific(j, info, e->file.img);
	if (info->backing_file) {
		json_str(j, "full-backing-filename", e->backing_path);
		json_str(j, "backing-filename", info->backing_file);
	}
	if (info->encryption)
		json_bool(j, "encrypted", true);
	json_bool(j, "dirty-flag", info->dirty);
	if (e->has_layout)
		json_layout(j, &e->layout);
	json_close(j, '}');
}

void
info_print_human(const struct info_chain *chain)
{
	for (size_t i = 0; i < chain->n; i++) {
		if (i)
			say("\n");
		print_human(&chain->entries[i]);
	}
}

void
info_print_json(const struct info_chain *chain)
{
	struct json j = {0};

	if (!chain->is_list) {
		json_image(&j, &chain->entries[0]);
		return;
	}
	json_open(&j, NULL, '[');
	for (size_t i = 0; i < chain->n; i++)
		json_image(&j, &chain->entries[i]);
	json_close(&j, ']');
}
