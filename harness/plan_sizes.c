/* SPDX-License-Identifier: MIT */
/*
 * plan_sizes.c - how large the images are, and how many requests a pass has: as
 * wished, or as the disk can do in the time that a quick run may take, and as
 * there is room
 */
#include <stdio.h>
#include <string.h>

#include "engine/base/err.h"
#include "engine/base/num.h"
#include "harness/plan.h"
#include "harness/table.h"

#define IMAGE_LEAST    (80 * MiB)
#define IMAGE_MOST     (1280 * MiB)
#define IMAGE_S        0.9
#define REQUESTS_LEAST 128
#define REQUESTS_MOST  16384
#define REQUESTS_S     0.45

/* Tables of a disk of the user's size: as long as it may take to write them in
 * a round. */
#define DISK_QUICK_S 2.0
#define DISK_S       60.0
/* A smaller one is nobody's. */
#define DISK_LEAST (256 * MiB)

/* Images that are filled before are written more than once. */
static double
image_seconds(const struct plan *plan)
{
	for (size_t i = 0; i < plan->nconfigs; i++) {
		if (plan->configs[i]->fill || plan_count(plan, PASS_CONVERT))
			return IMAGE_S / 2;
	}
	return IMAGE_S;
}

uint64_t
plan_quick_image(const struct probe *probe, const struct plan *plan,
		 uint64_t space)
{
	uint64_t requests = plan_quick_requests(probe);
	uint64_t bytes = IMAGE_MOST;
	double seconds = image_seconds(plan);

	while (bytes > IMAGE_LEAST &&
	       ((double)bytes / probe->bytes_per_s > seconds ||
		plan_space(plan, bytes, requests) > space))
		bytes /= 2;
	return bytes;
}

uint64_t
plan_quick_requests(const struct probe *probe)
{
	uint64_t n = REQUESTS_MOST;

	while (n > REQUESTS_LEAST && (double)n / probe->iops > REQUESTS_S)
		n /= 2;
	return n;
}

/* As many as there is room for: each may take a cluster of every image. */
static uint64_t
requests_with_room(const struct plan *plan, uint64_t image_bytes,
		   uint64_t requests, uint64_t space)
{
	struct plan other = *plan;

	other.disk_most = 1;
	while (requests > REQUESTS_LEAST &&
	       plan_space(&other, image_bytes, requests) > space)
		requests /= 2;
	return requests;
}

const char *const plan_disk_names[] = {"hdd", "ssd", "nvme", NULL};

const struct probe *
plan_disk(const char *name)
{
	/* SATA. */
	static const struct probe ssd = {.iops = 20000, .bytes_per_s = 500e6};

	if (strcmp(name, "ssd") == 0)
		return &ssd;
	return strcmp(name, "hdd") == 0 ? &plan_slow_disk : &plan_fast_disk;
}

const struct probe plan_slow_disk = {.iops = 280, .bytes_per_s = 90e6};
const struct probe plan_fast_disk = {.iops = 1e5, .bytes_per_s = 2e9};

/* Has all work of the plan room in images of this size? */
static bool
can_be(const struct plan *plan, uint64_t image_bytes)
{
	struct plan other = *plan;
	struct q2_err ignored;

	return plan_resolve(&other, image_bytes, plan->requests, &ignored) >= 0;
}

/* The largest image with which a round fits into space, in whole GiB if there
 * is one; 0: none does. */
static uint64_t
fitting_image(const struct plan *plan, uint64_t space)
{
	uint64_t least = 0, most = plan->image_bytes / MiB;
	struct plan other = *plan;

	other.disk_most = 1;
	while (least < most) {
		uint64_t middle = least + (most - least + 1) / 2;

		if (plan_space(&other, middle * MiB, plan->requests) <= space)
			least = middle;
		else
			most = middle - 1;
	}
	least *= MiB;
	if (least >= GiB)
		least = align_down(least, GiB);
	return can_be(plan, least) ? least : 0;
}

/* What may be written of the disk that the user wants, in each round. */
static uint64_t
disk_most(const struct plan *plan, uint64_t space)
{
	double seconds = plan->quick ? DISK_QUICK_S : DISK_S;

	return max_u64(
		min_u64((uint64_t)(plan->bytes_per_s * seconds), space / 10),
		1);
}

/* The least space that is enough for the smallest images. */
static uint64_t
smallest_space(const struct plan *plan)
{
	struct plan other = *plan;

	other.disk_most = 1;
	return align_up(plan_space(&other, PLAN_IMAGE_SMALLEST, plan->requests),
			MiB);
}

/* The images come before the tables of the disk that is wished for. */
static bool
fits_without_disk(struct plan *plan, uint64_t space)
{
	uint64_t most = plan->disk_most;

	plan->disk_most = 1;
	if (plan_space(plan, plan->image_bytes, plan->requests) <= space)
		return true;
	plan->disk_most = most;
	return false;
}

/* "640m", "3g": as an option takes it. */
static void
option_size(uint64_t bytes, char text[24])
{
	bool large = bytes >= GiB;

	(void)snprintf(text, 24, "%llu%c",
		       (unsigned long long)(bytes / (large ? GiB : MiB)),
		       large ? 'g' : 'm');
}

/* Two sizes in a unit in which the difference shows. */
static void
sizes_apart(uint64_t a, uint64_t b, char a_text[24], char b_text[24])
{
	table_bytes((double)a, a_text, 24);
	table_bytes((double)b, b_text, 24);
	if (strcmp(a_text, b_text) != 0)
		return;
	(void)snprintf(a_text, 24, "%llu MiB",
		       (unsigned long long)div_up(a, MiB));
	(void)snprintf(b_text, 24, "%llu MiB", (unsigned long long)(b / MiB));
}

/* sized: --image-size was given, so that --size does not make the images
 * smaller. */
static int
does_not_fit(const struct plan *plan, uint64_t need, uint64_t space, bool sized,
	     struct q2_err *err)
{
	/* What is sparse takes nothing, but no file system takes any length. */
	uint64_t fits = min_u64(fitting_image(plan, space), space);
	char how[160] = "", size[24], a[24], b[24];

	option_size(fits, size);
	if (fits)
		(void)snprintf(how, sizeof(how),
			       "images of %s fit: %s%s%s--image-size %s%s; or ",
			       size, sized ? "" : "--size ", sized ? "" : size,
			       sized ? "" : ", or ", size,
			       plan->suite->quick ? ", or --quick" : "");
	else if (plan->image_bytes > PLAN_IMAGE_SMALLEST &&
		 can_be(plan, PLAN_IMAGE_SMALLEST))
		(void)snprintf(
			how, sizeof(how),
			"the smallest, --image-size %um, need %llu MiB; ",
			(unsigned)(PLAN_IMAGE_SMALLEST / MiB),
			(unsigned long long)(smallest_space(plan) / MiB));
	sizes_apart(need, space, a, b);
	return q2_fail(err, -ENOSPC,
		       "the images of a round need %s and %s are free; %sname "
		       "another disk with --dir",
		       a, b, how);
}

/* A disk that nobody has named is no larger than there is room for. */
static void
fit_disk(struct plan *plan, uint64_t space)
{
	while (!plan->disk_wished && plan->disk_bytes > space &&
	       plan->disk_bytes > DISK_LEAST)
		plan->disk_bytes /= 2;
}

/* The first pass that has fewer places than requests were asked for; or NULL. */
static const struct plan_pass *
cut_short(const struct plan *plan)
{
	for (size_t i = 0; i < plan->npasses; i++) {
		const struct plan_pass *pp = &plan->passes[i];

		if (pp->pass->op == PASS_STREAM && pp->touch < 0 &&
		    pp->stream.ops < pp->wished_ops)
			return pp;
	}
	return NULL;
}

size_t
plan_notes(const struct plan *plan, bool requests_wished,
	   char notes[PLAN_NOTES][PLAN_NOTE_SIZE])
{
	const struct plan_pass *cut = cut_short(plan);
	char stride[24];
	size_t n = 0;

	if (cut && (requests_wished || !plan->suite->probe_requests)) {
		table_bytes((double)stream_stride(&cut->stream), stride,
			    sizeof(stride));
		(void)snprintf(notes[n++], PLAN_NOTE_SIZE,
			       "%s makes %llu requests, not %llu: there is "
			       "room for one to each %s; a larger --image-size "
			       "has room for more",
			       cut->pass->name,
			       (unsigned long long)cut->stream.ops,
			       (unsigned long long)cut->wished_ops, stride);
	}
	if (plan->disk_wished && !plan_count(plan, PASS_CREATE_DISK) &&
	    !plan->suite->advice)
		(void)snprintf(notes[n++], PLAN_NOTE_SIZE,
			       "this suite makes no disk of the --size that "
			       "you want; its images are of %llu MiB, and "
			       "--image-size is what changes that",
			       (unsigned long long)(plan->image_bytes / MiB));
	return n;
}

int
plan_sizes(struct plan *plan, uint64_t image_bytes, uint64_t requests,
	   const struct probe *probe, uint64_t space, struct q2_err *err)
{
	const struct suite *suite = plan->suite;
	bool probed = !requests && suite->probe_requests;
	bool sized = image_bytes > 0;
	uint64_t need;
	int r;

	plan->ops_per_s = probe->iops;
	plan->bytes_per_s = probe->bytes_per_s;
	fit_disk(plan, space);
	plan->disk_most = disk_most(plan, space);
	if (!requests)
		requests = suite->probe_requests ? plan_quick_requests(probe)
						 : suite->requests;
	if (!image_bytes) {
		image_bytes = suite->probe_image
				      ? plan_quick_image(probe, plan, space)
				      : suite->image_bytes;
		/* What is larger than the user's disk says nothing of it. */
		if (plan->disk_wished)
			image_bytes = min_u64(image_bytes, plan->disk_bytes);
	}
	if (probed)
		requests = requests_with_room(plan, image_bytes, requests,
					      space);
	r = plan_resolve(plan, image_bytes, requests, err);
	if (r >= 0)
		r = plan_check_images(plan, err);
	if (r < 0)
		return r;
	need = plan_space(plan, plan->image_bytes, plan->requests);
	if (need <= space || fits_without_disk(plan, space))
		return 0;
	return does_not_fit(plan, need, space, sized, err);
}
