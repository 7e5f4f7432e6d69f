/* SPDX-License-Identifier: MIT */
#include "harness/job.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/err.h"
#include "engine/base/num.h"
#include "harness/clock.h"
#include "workloads/content.h"

struct job_slot {
	struct q2_req rq;
	struct iovec iov;
	struct job *job;
	uint64_t begun_ns;
};

int
job_init(struct job *job, struct disk *disk, const struct stream_spec *spec,
	 uint32_t iodepth, struct q2_err *err)
{
	size_t bytes = (size_t)spec->bs_bytes * iodepth;
	int r;

	*job = (struct job){
		.disk = disk,
		.content_seed = spec->seed,
		.bs_bytes = spec->bs_bytes,
		.iodepth = iodepth,
	};
	r = stream_init(&job->stream, spec, err);
	if (r < 0)
		return r;
	job->slots = calloc(iodepth, sizeof(*job->slots));
	job->buf = q2_buf_alloc(disk->loop, bytes);
	if (!job->slots || !job->buf) {
		job_done(job);
		return q2_fail(err, -ENOMEM,
			       "no memory for %u requests of %u "
			       "bytes",
			       iodepth, spec->bs_bytes);
	}
	/* Page faults now, not while time runs. */
	memset(job->buf, 0, bytes);
	for (uint32_t i = 0; i < iodepth; i++) {
		job->slots[i].job = job;
		job->slots[i].iov.iov_base = (char *)job->buf +
					     (size_t)i * spec->bs_bytes;
	}
	return 0;
}

void
job_done(struct job *job)
{
	if (job->buf)
		q2_buf_free(job->disk->loop, job->buf);
	free(job->slots);
	job->buf = NULL;
	job->slots = NULL;
}

static void submit_next(struct job_slot *slot);

static void
request_done(struct q2_req *rq)
{
	struct job_slot *slot = rq->user;
	struct job *job = slot->job;
	uint64_t now = clock_ns();

	job->in_flight--;
	if (rq->result < 0 && job->error == 0) {
		job->error = rq->result;
		job->error_off = rq->off;
		job->error_write = rq->op == Q2_WRITE;
	}
	if (rq->result >= 0) {
		hist_add(job->hist, now - slot->begun_ns);
		job->ops++;
		job->bytes += rq->len;
	}
	if (job->stop_ns && now >= job->stop_ns)
		job->left = 0;
	submit_next(slot);
}

static void
submit_next(struct job_slot *slot)
{
	struct job *job = slot->job;
	struct stream_op op;

	if (job->left == 0 || job->error < 0 ||
	    !stream_next(&job->stream, &op)) {
		job->left = 0;
		return;
	}
	job->left--;
	if (op.write)
		content_fill_partly(slot->iov.iov_base, op.len, op.off,
				    job->content_seed, job->compressible);
	slot->iov.iov_len = op.len;
	slot->rq.op = op.write ? Q2_WRITE : Q2_READ;
	slot->rq.flags = 0;
	slot->rq.off = op.off;
	slot->rq.len = op.len;
	slot->rq.iov = &slot->iov;
	slot->rq.iovcnt = 1;
	slot->rq.done = request_done;
	slot->rq.user = slot;
	job->in_flight++;
	slot->begun_ns = clock_ns();
	job->disk->submit(job->disk, &slot->rq);
}

int
job_turn(struct job *job, uint64_t ops, double limit_s, struct hist *hist,
	 struct job_turn *ret, struct q2_err *err)
{
	uint64_t start = clock_ns();
	int r = 0;

	job->left = ops;
	job->ops = job->bytes = 0;
	job->hist = hist;
	job->stop_ns = limit_s > 0 ? start + (uint64_t)(limit_s * 1e9) : 0;
	for (uint32_t i = 0; i < job->iodepth && job->left > 0; i++)
		submit_next(&job->slots[i]);
	while (job->in_flight > 0 && r >= 0)
		r = job->disk->run(job->disk);
	*ret = (struct job_turn){
		.ops = job->ops,
		.bytes = job->bytes,
		.seconds = (double)(clock_ns() - start) * 1e-9,
	};
	if (r < 0) {
		job->left = 0;
		return q2_fail(err, r, "the loop of requests stopped: %s",
			       strerror(-r));
	}
	if (job->error < 0)
		return q2_fail(err, job->error,
			       "%s of %u bytes at %" PRIu64 " failed: %s",
			       job->error_write ? "a write" : "a read",
			       job->bs_bytes, job->error_off,
			       strerror(-job->error));
	return 0;
}

int
job_flush(struct job *job, double *ret_seconds, struct q2_err *err)
{
	uint64_t start = clock_ns();
	int r = job->disk->flush(job->disk);

	*ret_seconds = (double)(clock_ns() - start) * 1e-9;
	if (r < 0)
		return q2_fail(err, r, "the flush failed: %s", strerror(-r));
	return 0;
}
