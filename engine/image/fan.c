/* SPDX-License-Identifier: MIT */
#include "engine/image/fan.h"

#include "engine/image/image.h"

void
fan_init(struct fan *fan, struct image *img, enum aio_kind kind)
{
	fan->img = img;
	fan->kind = kind;
	fan->cls = AIO_DATA;
	fan->n = 0;
	fan->result = 0;
	co_join_init(&fan->join);
}

static int Q2_CO
move_part(struct fan_part *p)
{
	struct fan *fan = p->fan;
	int r;

	if (p->packed)
		return compress_read(p->layer, &p->entry, p->in_cluster, &p->it,
				     p->at.len, fan->cls);
	if (fan->kind == AIO_READ)
		return data_readv(p->layer, fan->cls, &p->it, &p->at);
	r = data_writev(p->layer, fan->cls, &p->it, &p->at);
	cache_data_written(fan->img);
	return r;
}

static void
run_part(void *arg)
{
	struct fan_part *p = arg;

	co_join_end(&p->fan->join, move_part(p));
}

int Q2_CO
fan_wait(struct fan *fan)
{
	int r = co_join_wait(&fan->join);

	if (fan->result == 0)
		fan->result = r;
	fan->n = 0;
	co_join_init(&fan->join);
	return fan->result;
}

/* Start what `part` says with the next bytes of it. */
static void Q2_CO
start_part(struct fan *fan, struct iov_iter *it, struct fan_part part)
{
	struct fan_part *p;

	if (fan->n == FAN_PARTS)
		(void)fan_wait(fan);
	p = &fan->parts[fan->n++];
	*p = part;
	p->fan = fan;
	p->it = *it;
	iov_advance(it, p->at.len);
	co_join_add(&fan->join);
	/* Without a stack for it the part runs here. */
	if (co_start(&fan->img->loop->sched, run_part, p) < 0)
		run_part(p);
}

void Q2_CO
fan_move(struct fan *fan, struct iov_iter *it, struct image *layer,
	 const struct data_place *at)
{
	start_part(fan, it, (struct fan_part){.layer = layer, .at = *at});
}

void Q2_CO
fan_unpack(struct fan *fan, struct iov_iter *it, uint64_t len,
	   struct image *layer, const struct l2_entry *entry,
	   uint64_t in_cluster)
{
	start_part(fan, it,
		   (struct fan_part){
			   .at.len = len,
			   .packed = true,
			   .layer = layer,
			   .entry = *entry,
			   .in_cluster = in_cluster,
		   });
}
