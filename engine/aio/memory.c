/* SPDX-License-Identifier: MIT */
/*
 * memory.c - files in RAM, kept by name as long as the backend lives
 *
 * For tests and for the simulated devices: nothing blocks, everything happens
 * in the order of submission and is over when submit() returns.  A file is a
 * two-level table of pages, so that holes cost nothing:
 *
 *	file->chunks[off / CHUNK]   NULL, UNWRITTEN or a struct chunk
 *	chunk->pages[...]           NULL (hole), UNWRITTEN (allocated, reads
 *	                            as zeros) or PAGE bytes
 */
#include <stdlib.h>
#include <string.h>

#include "engine/aio/backend.h"
#include "engine/aio/wake.h"
#include "engine/base/err.h"
#include "engine/base/num.h"

#define PAGE        UINT64_C(4096)
#define CHUNK_PAGES 512
#define CHUNK       (PAGE * CHUNK_PAGES)

/* Bounds the first level to 256 MiB of address space. */
#define SIZE_MAX_BYTES (64 * TiB)

struct chunk {
	char *pages[CHUNK_PAGES];
};

struct mem_file {
	struct list link;
	char *name;
	uint64_t size;
	struct chunk **chunks;
	size_t n_chunks;
	uint64_t pages; /* allocated, written or not */
};

struct memory {
	struct aio_backend b;
	uint32_t align;
	struct list files;
	struct wake wake;
};

static char unwritten_page;
static struct chunk unwritten_chunk;
#define UNWRITTEN       (&unwritten_page)
#define CHUNK_UNWRITTEN (&unwritten_chunk)

/* ---- pages ------------------------------------------------------------- */

/* What a page is now. */
static char *
page_at(const struct mem_file *f, uint64_t n)
{
	size_t c = n / CHUNK_PAGES;

	if (c >= f->n_chunks || !f->chunks[c])
		return NULL;
	if (f->chunks[c] == CHUNK_UNWRITTEN)
		return UNWRITTEN;
	return f->chunks[c]->pages[n % CHUNK_PAGES];
}

static int
grow_chunks(struct mem_file *f, size_t need)
{
	size_t n = max_u64(need, 2 * f->n_chunks);
	void *v;

	if (need <= f->n_chunks)
		return 0;
	v = reallocarray(f->chunks, n, sizeof(f->chunks[0]));
	if (!v)
		return -ENOSPC;
	f->chunks = v;
	memset(f->chunks + f->n_chunks, 0,
	       (n - f->n_chunks) * sizeof(f->chunks[0]));
	f->n_chunks = n;
	return 0;
}

/* The place of page n, made if need be; NULL when there is no memory. */
static char **
page_slot(struct mem_file *f, uint64_t n)
{
	size_t c = n / CHUNK_PAGES;
	struct chunk *chunk;

	if (grow_chunks(f, c + 1) < 0)
		return NULL;
	chunk = f->chunks[c];
	if (!chunk || chunk == CHUNK_UNWRITTEN) {
		struct chunk *made = calloc(1, sizeof(*made));

		if (!made)
			return NULL;
		if (chunk)
			for (size_t i = 0; i < CHUNK_PAGES; i++)
				made->pages[i] = UNWRITTEN;
		f->chunks[c] = made;
		chunk = made;
	}
	return &chunk->pages[n % CHUNK_PAGES];
}

/* to: NULL or UNWRITTEN. */
static int
set_page(struct mem_file *f, uint64_t n, char *to)
{
	char *old = page_at(f, n);
	char **slot;

	if (old == to)
		return 0;
	slot = page_slot(f, n);
	if (!slot)
		return -ENOSPC;
	if (old && old != UNWRITTEN)
		free(old);
	f->pages += (to != NULL);
	f->pages -= (old != NULL);
	*slot = to;
	return 0;
}

static int
set_chunk(struct mem_file *f, size_t c, struct chunk *to)
{
	for (size_t i = 0; i < CHUNK_PAGES; i++) {
		int r = 0;

		/* A whole new chunk needs no page table. */
		if (c >= f->n_chunks || !f->chunks[c] ||
		    f->chunks[c] == CHUNK_UNWRITTEN)
			break;
		r = set_page(f, c * CHUNK_PAGES + i, NULL);
		if (r < 0)
			return r;
	}
	if (grow_chunks(f, c + 1) < 0)
		return -ENOSPC;
	if (f->chunks[c] == CHUNK_UNWRITTEN)
		f->pages -= CHUNK_PAGES;
	else
		free(f->chunks[c]);
	if (to)
		f->pages += CHUNK_PAGES;
	f->chunks[c] = to;
	return 0;
}

/* A page that can be written to; NULL when there is no memory. */
static char *
page_for_write(struct mem_file *f, uint64_t n)
{
	char **slot = page_slot(f, n);
	char *page;

	if (!slot)
		return NULL;
	if (*slot && *slot != UNWRITTEN)
		return *slot;
	page = calloc(1, PAGE);
	if (!page)
		return NULL;
	f->pages += (*slot == NULL);
	*slot = page;
	return page;
}

static void
zero_part(struct mem_file *f, uint64_t off, uint64_t len)
{
	char *page = page_at(f, off / PAGE);

	if (page && page != UNWRITTEN)
		memset(page + off % PAGE, 0, len);
}

/* Make [off, off + len) read as zeros: whole pages become to, which is NULL or
 * UNWRITTEN, of others a part is cleared. */
static int
clear_range(struct mem_file *f, uint64_t off, uint64_t len, char *to)
{
	uint64_t end = off + len;
	int r = 0;

	while (r == 0 && off < end) {
		uint64_t n = min_u64(end - off, PAGE - off % PAGE);

		if (is_aligned(off, CHUNK) && end - off >= CHUNK) {
			n = CHUNK;
			if (to || off / CHUNK < f->n_chunks)
				r = set_chunk(f, off / CHUNK,
					      to ? CHUNK_UNWRITTEN : NULL);
		} else if (n == PAGE) {
			r = set_page(f, off / PAGE, to);
		} else {
			zero_part(f, off, n);
			if (to && !page_at(f, off / PAGE))
				r = set_page(f, off / PAGE, to);
		}
		off += n;
	}
	return r;
}

/* ---- operations -------------------------------------------------------- */

static int64_t
mem_read(struct mem_file *f, struct iov_iter *it, uint64_t off, uint64_t len)
{
	uint64_t done = 0;

	if (off >= f->size)
		return 0;
	len = min_u64(len, f->size - off);
	while (done < len) {
		uint64_t at = off + done;
		uint64_t n = min_u64(len - done, PAGE - at % PAGE);
		const char *page = page_at(f, at / PAGE);

		if (page && page != UNWRITTEN)
			iov_copy_in(it, page + at % PAGE, n);
		else
			iov_fill(it, 0, n);
		done += n;
	}
	return (int64_t)done;
}

static int64_t
mem_write(struct mem_file *f, struct iov_iter *it, uint64_t off, uint64_t len)
{
	uint64_t done = 0;

	if (off + len > SIZE_MAX_BYTES)
		return -EFBIG;
	while (done < len) {
		uint64_t at = off + done;
		uint64_t n = min_u64(len - done, PAGE - at % PAGE);
		char *page = page_for_write(f, at / PAGE);

		if (!page)
			return -ENOSPC;
		iov_copy_out(it, page + at % PAGE, n);
		done += n;
	}
	f->size = max_u64(f->size, off + len);
	return (int64_t)done;
}

static int
mem_truncate(struct mem_file *f, uint64_t size)
{
	int r = 0;

	if (size > SIZE_MAX_BYTES)
		return -EFBIG;
	/* Down to the last page that may be there, so that growing again shows
	 * zeros. */
	if (size < f->size)
		r = clear_range(f, size, align_up(f->size, PAGE) - size, NULL);
	f->size = size;
	return r;
}

/* Allocate the holes of the range. */
static int
mem_allocate(struct mem_file *f, uint64_t off, uint64_t len)
{
	uint64_t end = off + len;

	if (end > SIZE_MAX_BYTES)
		return -EFBIG;
	while (off < end) {
		uint64_t n = min_u64(end - off, PAGE - off % PAGE);
		int r = 0;

		if (is_aligned(off, CHUNK) && end - off >= CHUNK &&
		    (off / CHUNK >= f->n_chunks || !f->chunks[off / CHUNK])) {
			n = CHUNK;
			r = set_chunk(f, off / CHUNK, CHUNK_UNWRITTEN);
		} else if (!page_at(f, off / PAGE)) {
			r = set_page(f, off / PAGE, UNWRITTEN);
		}
		if (r < 0)
			return r;
		off += n;
	}
	f->size = max_u64(f->size, end);
	return 0;
}

static int64_t
mem_run(const struct aio_op *op)
{
	struct mem_file *f = op->file->priv;
	const struct iovec *iov;
	struct iov_iter it;
	uint64_t off, len;
	int cnt, r;

	aio_attempt(op, &iov, &cnt, &off, &len);
	it = (struct iov_iter){.iov = iov, .left = len};
	switch (op->kind) {
	case AIO_READ:
		return mem_read(f, &it, off, len);
	case AIO_WRITE:
		return mem_write(f, &it, off, len);
	case AIO_SYNC:
		return 0;
	case AIO_DISCARD:
		if (off >= f->size)
			return 0;
		len = min_u64(len, align_up(f->size, PAGE) - off);
		return clear_range(f, off, len, NULL);
	case AIO_ZERO:
		if (off + len > SIZE_MAX_BYTES)
			return -EFBIG;
		r = clear_range(f, off, len, UNWRITTEN);
		if (r == 0)
			f->size = max_u64(f->size, off + len);
		return r;
	case AIO_TRUNCATE:
		return mem_truncate(f, off);
	case AIO_ALLOCATE:
		return mem_allocate(f, off, len);
	}
	return -EINVAL;
}

/* ---- the backend ------------------------------------------------------- */

static int
memory_attach(struct aio_backend *b, struct loop *loop, struct q2_err *err)
{
	(void)b;
	(void)loop;
	(void)err;
	return 0;
}

static void
mem_file_free(struct mem_file *f)
{
	f->size = f->n_chunks * CHUNK;
	(void)mem_truncate(f, 0);
	for (size_t i = 0; i < f->n_chunks; i++)
		if (f->chunks[i] != CHUNK_UNWRITTEN)
			free(f->chunks[i]);
	free(f->chunks);
	free(f->name);
	free(f);
}

static void
memory_free(struct aio_backend *b)
{
	struct memory *m = container_of(b, struct memory, b);
	struct list *el;

	while ((el = list_pop(&m->files)))
		mem_file_free(container_of(el, struct mem_file, link));
	wake_done(&m->wake);
	free(m);
}

static struct mem_file *
find_file(struct memory *m, const char *name)
{
	list_for_each (el, &m->files) {
		struct mem_file *f = container_of(el, struct mem_file, link);

		if (strcmp(f->name, name) == 0)
			return f;
	}
	return NULL;
}

static struct mem_file *
make_file(struct memory *m, const char *name)
{
	struct mem_file *f = calloc(1, sizeof(*f));

	if (f)
		f->name = strdup(name);
	if (!f || !f->name) {
		free(f);
		return NULL;
	}
	list_append(&m->files, &f->link);
	return f;
}

static int
memory_open(struct aio_backend *b, const char *path, struct aio_file *file,
	    struct q2_err *err)
{
	struct memory *m = container_of(b, struct memory, b);
	struct mem_file *f = find_file(m, path);

	if (!f && !(file->flags & AIO_CREATE))
		return q2_fail(err, -ENOENT, "Could not open '%s': %s", path,
			       strerror(ENOENT));
	if (!f)
		f = make_file(m, path);
	else if (file->flags & AIO_CREATE)
		(void)mem_truncate(f, 0);
	if (!f)
		return q2_fail(err, -ENOMEM, "no memory for '%s'", path);
	file->align = m->align;
	file->mem_align = m->align;
	file->priv = f;
	return 0;
}

static void
memory_close(struct aio_backend *b, struct aio_file *file)
{
	(void)b;
	file->priv = NULL;
}

static void
memory_submit(struct aio_backend *b, struct aio_op *op)
{
	b->loop->sqes++;
	aio_complete(op, mem_run(op));
}

static int
memory_poll(struct aio_backend *b, int64_t timeout_ns)
{
	wake_wait(&container_of(b, struct memory, b)->wake, timeout_ns);
	return 0;
}

static void
memory_wake(struct aio_backend *b)
{
	wake_set(&container_of(b, struct memory, b)->wake);
}

static int
memory_fd(struct aio_backend *b)
{
	return wake_fd(&container_of(b, struct memory, b)->wake);
}

static int64_t
memory_size(struct aio_backend *b, struct aio_file *file)
{
	const struct mem_file *f = file->priv;

	(void)b;
	return (int64_t)f->size;
}

static int64_t
memory_allocated(struct aio_backend *b, struct aio_file *file)
{
	const struct mem_file *f = file->priv;

	(void)b;
	return (int64_t)(f->pages * PAGE);
}

static int
memory_sync_dir(struct aio_backend *b, struct aio_file *file)
{
	(void)b;
	(void)file;
	return 0;
}

static enum aio_extent_state
state_of(const char *page)
{
	if (!page)
		return AIO_EXT_HOLE;
	return page == UNWRITTEN ? AIO_EXT_UNWRITTEN : AIO_EXT_WRITTEN;
}

/* How far from off on everything is in one state. */
static uint64_t
run_end(const struct mem_file *f, uint64_t off, enum aio_extent_state state)
{
	while (off < f->size) {
		size_t c = off / CHUNK;

		if (state_of(page_at(f, off / PAGE)) != state)
			break;
		if (c >= f->n_chunks || !f->chunks[c] ||
		    f->chunks[c] == CHUNK_UNWRITTEN)
			off = (c + 1) * CHUNK;
		else
			off += PAGE;
	}
	return min_u64(off, f->size);
}

static int
memory_extents(struct aio_backend *b, struct aio_file *file,
	       struct aio_extent **ret_ext, size_t *ret_n)
{
	const struct mem_file *f = file->priv;
	struct aio_extent *v = NULL;
	size_t n = 0;

	(void)b;
	for (uint64_t off = 0; off < f->size; n++) {
		enum aio_extent_state state = state_of(page_at(f, off / PAGE));
		uint64_t end = run_end(f, off, state);

		if (is_pow2(n) || n == 0) {
			void *w = reallocarray(v, n ? 2 * n : 1, sizeof(v[0]));

			if (!w) {
				free(v);
				return -ENOMEM;
			}
			v = w;
		}
		v[n] = (struct aio_extent){off, end - off, state};
		off = end;
	}
	*ret_ext = v;
	*ret_n = n;
	return 0;
}

/* Nobody else can reach these files. */
static int
memory_lock(struct aio_backend *b, struct aio_file *file,
	    enum aio_lock_mode mode, struct q2_err *err)
{
	(void)b;
	(void)file;
	(void)mode;
	(void)err;
	return 0;
}

static const struct aio_backend_ops memory_ops = {
	.attach = memory_attach,
	.free = memory_free,
	.open = memory_open,
	.close = memory_close,
	.submit = memory_submit,
	.poll = memory_poll,
	.wake = memory_wake,
	.fd = memory_fd,
	.size = memory_size,
	.allocated = memory_allocated,
	.sync_dir = memory_sync_dir,
	.extents = memory_extents,
	.lock = memory_lock,
};

struct aio_backend *
backend_memory_new(uint32_t align, struct q2_err *err)
{
	struct memory *m = calloc(1, sizeof(*m));

	if (!m) {
		(void)q2_fail(err, -ENOMEM, "no memory for memory");
		return NULL;
	}
	assert(is_pow2(align));
	m->b.ops = &memory_ops;
	m->b.name = "memory";
	m->align = align;
	list_init(&m->files);
	wake_init(&m->wake);
	return &m->b;
}
