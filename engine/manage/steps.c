/* SPDX-License-Identifier: MIT */
#include "engine/manage/steps.h"

void
steps_init(struct steps *s, uint64_t chunk,
	   void (*tell)(void *arg, uint64_t bytes), void *arg)
{
	*s = (struct steps){.chunk = chunk, .tell = tell, .arg = arg};
}

static void
tell(struct steps *s, uint64_t bytes)
{
	if (bytes == s->told)
		return;
	s->told = bytes;
	s->tell(s->arg, bytes);
}

void
steps_take(struct steps *s, uint64_t off, uint64_t len, enum steps_kind kind)
{
	if (off != s->end || kind != s->kind) {
		tell(s, s->taken);
		s->from = off;
		s->kind = kind;
	}
	s->end = off + len;
	/* Chunks that end in this piece, or with it. */
	while (kind != STEPS_WHOLE && s->end - s->from >= s->chunk) {
		s->from += s->chunk;
		tell(s, s->taken + s->from - off);
	}
	s->taken += len;
}

void
steps_end(struct steps *s)
{
	tell(s, s->taken);
}
