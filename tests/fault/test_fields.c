/* SPDX-License-Identifier: MIT */
/*
 * test_fields.c - each field of a file with a value that cannot be right
 *
 * Of each row of fields_rows.c: opening, every operation on a fresh copy, check
 * and check -r all, in a process with little memory and little time; should it
 * end early, another does the rest.  Asserted are the results, what is told of
 * field and value, the corrupt bit, and that a guest reads what can still be
 * known.  QEMU's tools, where they are installed, get the same files and must
 * agree.
 *
 *	test_fields			all of it
 *	test_fields --show [NAME]	print what happens instead of judging it
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/base/num.h"
#include "tests/env.h"
#include "tests/fault/fields.h"
#include "tests/interop/spawn.h"

/* Beyond what the process has: twice the largest tables that are allowed, as
 * bytes and as entries. */
#define MEMORY_MORE (160 * MiB)
/* Of the processor, for one thing done; a sanitizer takes its share. */
#ifdef __SANITIZE_ADDRESS__
#define SECONDS 30
#else
#define SECONDS 10
#endif

/* Names in the scratch folder, in which everything happens. */
#define BAD "bad.qcow2"

static char dir[256], good[FIELD_BASES][FIELD_PATH_MAX];
static int home = -1; /* the folder in which the test was started */
static bool show, have_qemu;

/* ---- what a process tells ---------------------------------------------- */

/* In memory that parent and child share. */
struct told {
	int open, op, flush, close;
	char refused[1200]; /* text and detail */
	char found[2048];   /* lines */
	char wrong[200];    /* of what a guest reads; "": nothing */
	int status;         /* of check */
	bool marked;        /* the corrupt bit, after all */
	bool done;          /* it came to its end */
};

/* What a process may do: an operation of FIELD_OPS, or one of these. */
enum {
	OPEN_READ = 'o',
	OPEN_WRITE = 'O',
	CHECK = 'c',
	REPAIR = 'C',
};
static const char whats[] = "oO" FIELD_OPS "cC";

static struct {
	struct told told[sizeof(whats) - 1];
	unsigned at; /* the one being done */
} * shared;
static struct told *told; /* of what is being done, or judged */

static void
finding(void *arg, const char *text)
{
	size_t n = strlen(told->found);

	(void)arg;
	(void)snprintf(told->found + n, sizeof(told->found) - n, "%s\n", text);
}

static bool
in(const char *set, int what)
{
	return set && strchr(set, what);
}

/* The operations, where it does not even open. */
static bool
is_left_out(const struct field_row *row, int what)
{
	bool refused = row->refused;

	if (show && shared->told[1].open < 0)
		refused = true;
	return refused && in(FIELD_OPS, what);
}

/* ---- files ------------------------------------------------------------- */

/* A fresh copy of the image, harmed. */
static void
make_bad(const struct field_row *row, const char *path)
{
	int from = open(good[row->base], O_RDONLY | O_CLOEXEC);
	int to = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ssize_t n;

	if (from < 0 || to < 0)
		abort();
	do {
		n = sendfile(to, from, NULL, MiB);
	} while (n > 0);
	(void)close(from);
	if (n < 0 || close(to) < 0 || field_harm(path, row) < 0)
		abort();
}

static bool
is_marked(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint8_t b[80] = {0};

	if (fd < 0 || pread(fd, b, sizeof(b), 0) != sizeof(b))
		abort();
	(void)close(fd);
	return load_be32(b + 4) == 3 && (b[79] & 2);
}

/* ---- in the child ------------------------------------------------------ */

static struct q2_loop *loop;

static int
open_image(unsigned flags, struct q2_image **ret)
{
	struct q2_open_opts o = {
		.size = sizeof(o),
		.driver = "qcow2",
		.flags = flags | Q2_UNMAP,
		.finding = finding,
	};
	struct q2_err err = {0};
	int r = q2_open(loop, BAD, &o, ret, &err);

	if (r < 0)
		(void)snprintf(told->refused, sizeof(told->refused), "%s (%s)",
			       err.text, err.detail);
	return r;
}

static void
was_done(struct q2_req *rq)
{
	*(bool *)rq->user = true;
}

static int
request(struct q2_image *img, struct q2_req *rq)
{
	bool done = false;

	rq->done = was_done;
	rq->user = &done;
	q2_submit(img, rq);
	while (!done)
		if (q2_loop_run(loop, 1, -1) < 0)
			return -EIO;
	return rq->result;
}

static bool
is_lost(const struct field_row *row, uint64_t c)
{
	switch (row->lost) {
	case LOST_NONE:
		return false;
	case LOST_FIRST:
		return c == 0;
	case LOST_PAIR:
		return c <= 1;
	case LOST_TABLE:
		return c < field_second_table(row->base);
	case LOST_ALL:
		return true;
	}
	return true;
}

/* Does a guest read what it should from cluster c, which op has changed (0: or
 * not)? */
static void
judge_cluster(const struct field_row *row, struct q2_image *img, uint64_t c,
	      char op)
{
	uint64_t n = field_cluster(row->base);
	uint8_t *want = malloc(n), *have = malloc(n);
	int r;

	if (!want || !have)
		abort();
	field_content(row->base, c, want);
	if (op == 'w')
		memset(want, 0xaa, 512);
	else if (op)
		memset(want, op == 'f' || op == 'n' ? 0xaa : 0, n);
	r = q2_pread(img, have, n, c * n);
	if (r < 0 || memcmp(want, have, n) != 0)
		(void)snprintf(told->wrong, sizeof(told->wrong),
			       "guest cluster %llu %s", (unsigned long long)c,
			       r < 0 ? strerror(-r) : "has another content");
	free(want);
	free(have);
}

/* All clusters that are not lost; op has been done, or has failed and leaves
 * its cluster undefined. */
static void
judge_content(const struct field_row *row, struct q2_image *img, char op,
	      bool failed)
{
	const uint64_t clusters[] = {
		0, 1, 2, 3, 4, 5, 6, 8, field_second_table(row->base)};
	uint64_t target = op == 'n' ? 8 : 0;

	for (size_t i = 0; i < ARRAY_SIZE(clusters); i++) {
		uint64_t c = clusters[i];
		bool changed = op && op != 'r' && c == target;
		/* All of a cluster that was lost may be known again. */
		bool whole = changed && op != 'w' && row->lost <= LOST_PAIR;
		char by = '\0';

		if (changed && failed)
			continue;
		if (changed)
			by = op;
		if (!is_lost(row, c) || whole)
			judge_cluster(row, img, c, by);
	}
}

static int
run_op(const struct field_row *row, struct q2_image *img, char op)
{
	uint64_t n = field_cluster(row->base);
	uint8_t *buf = malloc(n);
	struct iovec iov = {buf, n};
	struct q2_req rq = {.len = n};
	int r;

	if (!buf)
		abort();
	memset(buf, 0xaa, n);
	switch (op) {
	case 'w':
		r = q2_pwrite(img, buf, 512, 0);
		break;
	case 'f':
		r = q2_pwrite(img, buf, n, 0);
		break;
	case 'n':
		r = q2_pwrite(img, buf, n, 8 * n);
		break;
	case 'r':
		rq.op = Q2_READ;
		rq.iov = &iov;
		rq.iovcnt = 1;
		r = request(img, &rq);
		break;
	case 'd':
		rq.op = Q2_DISCARD;
		r = request(img, &rq);
		break;
	default:
		rq.op = Q2_ZERO;
		rq.flags = op == 'u' ? Q2_MAY_UNMAP : 0;
		r = request(img, &rq);
		break;
	}
	free(buf);
	return r;
}

static void
child_op(const struct field_row *row, char op)
{
	struct q2_image *img;

	told->open = open_image(0, &img);
	if (told->open < 0)
		return;
	told->op = run_op(row, img, op);
	told->flush = q2_flush(img);
	/* While it is open: what was readable still is. */
	judge_content(row, img, op, told->op < 0);
	told->close = q2_close(img, NULL);
	if (told->wrong[0] || open_image(Q2_RDONLY, &img) < 0)
		return;
	judge_content(row, img, op,
		      told->op < 0 || told->flush < 0 || told->close < 0);
	(void)q2_close(img, NULL);
}

static int
status_of(int r, const struct q2_check *c)
{
	if (r < 0)
		return 1;
	if (c->check_errors)
		return 1;
	return c->corruptions ? 2 : c->leaks ? 3 : 0;
}

static void
child_check(const struct field_row *row, bool repair)
{
	struct q2_check c = {0};
	struct q2_err err = {0};
	struct q2_image *img;

	told->status = 1;
	told->open = open_image(Q2_CHECK | (repair ? 0 : Q2_RDONLY), &img);
	if (told->open < 0)
		return;
	if (repair)
		told->op = q2_repair(img, Q2_REPAIR_ALL, &c, finding, NULL,
				     &err);
	if (told->op == 0)
		told->op = q2_check(img, &c, finding, NULL, &err);
	told->status = status_of(told->op, &c);
	if (told->op < 0)
		(void)snprintf(told->refused, sizeof(told->refused), "%s",
			       err.text);
	told->close = q2_close(img, NULL);
	if (!repair || open_image(Q2_RDONLY, &img) < 0)
		return;
	judge_content(row, img, 0, false);
	(void)q2_close(img, NULL);
}

/* From now on; SIGXCPU ends the process. */
static void
limit_time(void)
{
	struct rlimit cpu = {0, RLIM_INFINITY};
	struct rusage used;

	if (getrusage(RUSAGE_SELF, &used) < 0)
		abort();
	cpu.rlim_cur = (rlim_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec +
				1 + SECONDS);
	if (setrlimit(RLIMIT_CPU, &cpu) < 0)
		abort();
	/* And should it wait forever. */
	(void)alarm(3 * SECONDS);
}

static void
limit_memory(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (!f || fscanf(f, "%lu", &pages) != 1)
		abort();
	(void)fclose(f);
#ifndef __SANITIZE_ADDRESS__
	struct rlimit as = {pages * 4096 + MEMORY_MORE,
			    pages * 4096 + MEMORY_MORE};

	if (setrlimit(RLIMIT_AS, &as) < 0)
		abort();
#endif
}

static void
child_one(const struct field_row *row, int what)
{
	struct q2_image *img;

	if (what == CHECK || what == REPAIR) {
		child_check(row, what == REPAIR);
	} else if (what == OPEN_READ || what == OPEN_WRITE) {
		told->open = open_image(what == OPEN_READ ? Q2_RDONLY : 0,
					&img);
		if (told->open == 0)
			told->close = q2_close(img, NULL);
	} else {
		child_op(row, (char)what);
	}
}

/* All that is left to do, from shared->at on. */
static void
child(const struct field_row *row)
{
	bool limited = false;

	for (; shared->at < ARRAY_SIZE(shared->told); shared->at++) {
		int what = (unsigned char)whats[shared->at];

		if (is_left_out(row, what))
			continue;
		told = &shared->told[shared->at];
		make_bad(row, BAD);
		if (q2_loop_new(NULL, &loop, NULL) < 0)
			abort();
		/* What the loop needs is not the file's doing. */
		if (!limited)
			limit_memory();
		limited = true;
		limit_time();
		child_one(row, what);
		q2_loop_free(loop);
		told->marked = is_marked(BAD);
		told->done = true;
	}
}

/* ---- in the parent ----------------------------------------------------- */

static unsigned failures, done, done_by_qemu;

static void __attribute__((format(printf, 3, 4)))
complain(const struct field_row *row, int what, const char *fmt, ...)
{
	va_list ap;

	failures++;
	(void)printf("  %s, %c: ", row->name, what);
	va_start(ap, fmt);
	(void)vprintf(fmt, ap);
	va_end(ap);
	(void)printf("\n");
}

/* Let a process do all of it, and another one what comes after a crash, or
 * after what took too much. */
static void
do_row(const struct field_row *row)
{
	memset(shared, 0, sizeof(*shared));
	while (shared->at < ARRAY_SIZE(shared->told)) {
		int status;
		pid_t pid;

		(void)fflush(stdout);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			child(row);
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (WIFEXITED(status) && WEXITSTATUS(status) == 0 &&
		    shared->at == ARRAY_SIZE(shared->told))
			continue;
		complain(row, whats[shared->at],
			 "the process ended with status %#x", status);
		shared->at++;
	}
}

static void
judge_open(const struct field_row *row, int what)
{
	if (show) {
		(void)printf("    %c: %d %s %s", what, told->open,
			     told->refused, told->found);
		(void)printf("\n");
	} else if (what == OPEN_WRITE && row->refused) {
		if (told->open == 0)
			complain(row, what, "opens");
		else if (!strstr(told->refused, row->refused))
			complain(row, what, "is refused with '%s'",
				 told->refused);
	} else if (what == OPEN_WRITE && told->open < 0) {
		complain(row, what, "is refused: %s", told->refused);
	}
}

static void
judge_told(const struct field_row *row, int what)
{
	const char *words = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(row->told); i++)
		if (in(row->told[i].ops, what))
			words = row->told[i].words;
	if (words && !strstr(told->found, words))
		complain(row, what, "tells '%s', not of '%s'", told->found,
			 words);
	else if (!words && told->found[0])
		complain(row, what, "tells '%s'", told->found);
}

static void
judge_op(const struct field_row *row, int what)
{
	if (show) {
		(void)printf("    %c: open %d op %d flush %d close %d%s %s%s\n",
			     what, told->open, told->op, told->flush,
			     told->close, told->marked ? " MARKED" : "",
			     told->wrong, told->found);
		return;
	}
	if ((told->op < 0) != in(row->fails, what))
		complain(row, what, "result %d", told->op);
	if (told->marked != in(row->marks, what))
		complain(row, what, "the corrupt bit is %d", told->marked);
	if (told->wrong[0])
		complain(row, what, "%s", told->wrong);
	judge_told(row, what);
}

static void
judge_check(const struct field_row *row, int what)
{
	int want = what == CHECK ? row->check : row->repaired;

	if (show) {
		(void)printf("    %c: open %d op %d status %d %s %s\n%s", what,
			     told->open, told->op, told->status, told->refused,
			     told->wrong, told->found);
		return;
	}
	if (told->status != want)
		complain(row, what, "status %d, not %d: %s %s", told->status,
			 want, told->refused, told->found);
	/* Refused with a reason, or not clean with one. */
	if (told->status && !told->refused[0] && !told->found[0])
		complain(row, what, "says nothing");
	if (told->wrong[0])
		complain(row, what, "%s", told->wrong);
}

/* ---- QEMU -------------------------------------------------------------- */

static const char *
qemu_command(const struct field_row *row, int what)
{
	static char text[100];
	unsigned n = (unsigned)field_cluster(row->base);
	const char *fmt = what == 'r'   ? "read 0 %u"
			  : what == 'w' ? "write 0 512"
			  : what == 'f' ? "write 0 %u"
			  : what == 'd' ? "discard 0 %u"
			  : what == 'z' ? "write -z 0 %u"
			  : what == 'u' ? "write -zu 0 %u"
					: "write %u %u";

	/* NOLINTNEXTLINE(clang-diagnostic-format-nonliteral) */
	(void)snprintf(text, sizeof(text), fmt, what == 'n' ? 8 * n : n, n);
	return text;
}

/* Run it; its status.  What it prints is in slot 0. */
static int
run(const struct words *w)
{
	return spawn_wait(spawn(w, 0));
}

/* The copy of QEMU's that what is done to. */
static const char *
qemu_copy(int what)
{
	static char name[] = "?.qcow2";

	name[0] = (char)what;
	return name;
}

/* One process opens all copies, one after the other. */
static void
qemu_do(const struct field_row *row)
{
	char lines[ARRAY_SIZE(whats)][2][100];
	struct words w = {0};
	int status;

	WORDS_ADD(&w, "qemu-io");
	for (unsigned i = 0; whats[i]; i++) {
		int what = (unsigned char)whats[i];

		if ((what != OPEN_WRITE && !in(FIELD_OPS, what)) ||
		    is_left_out(row, what))
			continue;
		make_bad(row, qemu_copy(what));
		(void)snprintf(lines[i][0], sizeof(lines[i][0]),
			       "open -t writeback -d unmap -o driver=qcow2 %s",
			       qemu_copy(what));
		WORDS_ADD(&w, "-c", lines[i][0]);
		if (what != OPEN_WRITE) {
			(void)snprintf(lines[i][1], sizeof(lines[i][1]), "%s",
				       qemu_command(row, what));
			WORDS_ADD(&w, "-c", lines[i][1], "-c", "flush");
		}
		WORDS_ADD(&w, "-c", "close");
	}
	/* 1: something of it failed. */
	status = run(&w);
	if (status != 0 && status != 1)
		complain(row, OPEN_WRITE, "QEMU ended with status %d", status);
}

static void
qemu_judge_op(const struct field_row *row, int what)
{
	const char *marks = row->qemu.marks ? row->qemu.marks : row->marks;
	bool marked = is_marked(qemu_copy(what));

	if (show)
		(void)printf("    QEMU %c:%s\n", what, marked ? " MARKED" : "");
	else if (marked != in(marks, what))
		complain(row, what, "QEMU's corrupt bit is %d", marked);
}

static void
qemu_judge_open(const struct field_row *row)
{
	char *out = spawn_output(0), text[64];
	bool refuses = row->refused, now;

	(void)snprintf(text, sizeof(text), "can't open device %s",
		       qemu_copy(OPEN_WRITE));
	now = strstr(out, text);
	if (row->qemu.open)
		refuses = row->qemu.open > 0;
	if (show)
		(void)printf("    QEMU O: %d\n%s", now, out);
	else if (now != refuses)
		complain(row, OPEN_WRITE, "QEMU %s it",
			 now ? "refuses" : "opens");
	free(out);
}

static void
qemu_check(const struct field_row *row)
{
	int check = row->qemu.check ? row->qemu.check : row->check;
	int repaired = row->qemu.repaired ? row->qemu.repaired : row->repaired;
	struct words w = {0};
	int r;

	make_bad(row, BAD);
	WORDS_ADD(&w, "qemu-img", "check", "-q", "-f", "qcow2", BAD);
	r = run(&w);
	if (show)
		(void)printf("    QEMU check: %d\n", r);
	else if (r != (check > 0 ? check : 0))
		complain(row, CHECK, "QEMU's status is %d", r);
	WORDS_ADD(&w, "-r", "all");
	r = run(&w);
	if (show)
		(void)printf("    QEMU check -r: %d\n", r);
	else if (r != (repaired > 0 ? repaired : 0))
		complain(row, REPAIR, "QEMU's status is %d", r);
}

/* ---- all of it --------------------------------------------------------- */

static void
judge_row(const struct field_row *row)
{
	if (show)
		(void)printf("%s\n", row->name);
	do_row(row);
	for (unsigned i = 0; whats[i]; i++) {
		told = &shared->told[i];
		if (!told->done)
			continue;
		done++;
		if (in(FIELD_OPS, whats[i]))
			judge_op(row, whats[i]);
		else if (whats[i] == CHECK || whats[i] == REPAIR)
			judge_check(row, whats[i]);
		else
			judge_open(row, whats[i]);
	}
	if (!have_qemu || row->qemu.not_run)
		return;
	qemu_do(row);
	qemu_judge_open(row);
	for (const char *op = FIELD_OPS; *op; op++)
		if (!is_left_out(row, *op)) {
			qemu_judge_op(row, *op);
			done_by_qemu++;
		}
	qemu_check(row);
}

static void
test_every_field_out_of_range(void **state)
{
	/* With Q2_TEST_SCALE=10 every tenth, others with each seed. */
	unsigned stride = 100 / min_u64(test_rounds(100), 100);
	uint64_t seed = stride > 1 ? test_seed((uint64_t)time(NULL)) : 0;

	(void)state;
	for (unsigned i = seed % stride; i < n_field_rows; i += stride)
		judge_row(&field_rows[i]);
	(void)printf("every %u. of %u fields, %u things done to them%s\n",
		     stride, n_field_rows, done,
		     have_qemu ? ", and what QEMU does with them" : "");
	if (have_qemu)
		(void)printf("%u operations of QEMU\n", done_by_qemu);
	assert_int_equal(failures, 0);
}

static bool
is_installed(const char *program)
{
	struct words w = {0};

	WORDS_ADD(&w, program, "--version");
	return run(&w) == 0;
}

static int
set_up(void **state)
{
	const char *tmp = getenv("TMPDIR");
	struct q2_loop *l;

	(void)state;
	(void)snprintf(dir, sizeof(dir), "%s/q2-fields.XXXXXX",
		       tmp ? tmp : "/var/tmp");
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	home = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (home < 0 || !mkdtemp(dir) || shared == MAP_FAILED ||
	    chdir(dir) < 0 || q2_loop_new(NULL, &l, NULL) < 0)
		return -1;
	for (int b = 0; b < FIELD_BASES; b++) {
		(void)snprintf(good[b], sizeof(good[b]), "good%d.qcow2", b);
		if (field_make(l, good[b], (enum field_base)b) < 0)
			return -1;
	}
	q2_loop_free(l);
	/* Most of the time is QEMU's: make test-interop asks it. */
	have_qemu = getenv("Q2_WITH_QEMU") && is_installed("qemu-img") &&
		    is_installed("qemu-io");
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	for (int b = 0; b < FIELD_BASES; b++)
		(void)unlink(good[b]);
	for (unsigned i = 0; whats[i]; i++)
		(void)unlink(qemu_copy(whats[i]));
	(void)unlink(BAD);
	(void)unlink("out.0");
	if (fchdir(home) < 0)
		return -1;
	(void)close(home);
	return rmdir(dir);
}

static int
show_rows(const char *name)
{
	show = true;
	if (set_up(NULL) < 0)
		return 1;
	for (unsigned i = 0; i < n_field_rows; i++)
		if (!name || strstr(field_rows[i].name, name))
			judge_row(&field_rows[i]);
	return tear_down(NULL);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_field_out_of_range),
	};

	if (argc > 1 && strcmp(argv[1], "--show") == 0)
		return show_rows(argv[2]);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
