/* SPDX-License-Identifier: MIT */
#include "engine/manage/stream.h"

#include <errno.h>

#include "engine/base/mem.h"
#include "engine/base/num.h"

/* Writes under way: enough for a disk to be busy all the time, few enough for
 * their buffers not to count as memory. */
#define WRITERS 4

struct run {
	const struct stream *s;
	uint64_t next; /* offset in the file */
	int result;
	struct co_join join;
};

static void
write_pieces(void *arg)
{
	struct run *run = arg;
	const struct stream *s = run->s;
	/* A short range needs no whole piece. */
	uint64_t room = min_u64(STREAM_PIECE,
				align_up(s->len, max_u64(1, s->grain)));
	Q2_AUTO_FREE uint8_t *buf = mem_aligned_zero(room);
	int r = buf ? 0 : -ENOMEM;

	while (r == 0 && run->result == 0 && run->next < s->off + s->len) {
		uint64_t off = run->next;
		uint64_t end = min_u64(align_down(off, STREAM_PIECE) +
					       STREAM_PIECE,
				       s->off + s->len);
		uint64_t len = end - off;

		run->next = end;
		if (s->fill)
			s->fill(s->arg, off, len, buf);
		r = file_write(s->file,
			       s->class_at ? s->class_at(s->arg, off)
					   : AIO_DATA,
			       buf, len, off);
	}
	if (r < 0 && run->result == 0)
		run->result = r;
	co_join_end(&run->join, r);
}

int Q2_CO
stream_write(const struct stream *s)
{
	struct run run = {.s = s, .next = s->off};
	uint64_t pieces = div_up(s->len, STREAM_PIECE);

	co_join_init(&run.join);
	for (uint64_t i = 0; i < min_u64(pieces, WRITERS); i++) {
		int r;

		co_join_add(&run.join);
		r = co_start(&s->file->loop->sched, write_pieces, &run);
		if (r < 0)
			co_join_end(&run.join, r);
	}
	return co_join_wait(&run.join);
}
