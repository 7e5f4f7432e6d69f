/* SPDX-License-Identifier: MIT */
#include "tests/harness/runs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <spawn.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "harness/clock.h"
#include "results/csv.h"

#define FROZEN  "tests/golden/columns.csv"
#define AWAIT_S 60.0

char runs_dir[64];
static char program[PATH_MAX];

/* The tests' own gnuplot, which draws nothing: tests/no-pictures. */
static int
without_pictures(void)
{
	char here[PATH_MAX], path[3 * PATH_MAX];
	const char *old = getenv("PATH");

	if (!getcwd(here, sizeof(here)))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/tests/no-pictures:%s", here,
		       old ? old : "");
	return setenv("PATH", path, 1);
}

int
runs_set_up(void **state)
{
	const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm"
							 : "/var/tmp";
	char self[PATH_MAX], *cut;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	(void)state;
	if (n < 0)
		return -1;
	self[n] = '\0';
	/* build/MODE/tests/harness/test_... */
	cut = strstr(self, "/tests/harness/");
	if (!cut)
		return -1;
	*cut = '\0';
	(void)snprintf(program, sizeof(program), "%.4000s/qcowbench", self);
	(void)snprintf(runs_dir, sizeof(runs_dir), "%s/q2-runs.XXXXXX", base);
	return mkdtemp(runs_dir) ? without_pictures() : -1;
}

int
runs_tear_down(void **state)
{
	char command[128];

	(void)state;
	(void)snprintf(command, sizeof(command), "rm -rf %s", runs_dir);
	return system(command); /* NOLINT(cert-env33-c): a name of ours */
}

const char *
runs_path(const char *name)
{
	static char paths[64][256];
	char path[256];
	size_t i = 0;

	(void)snprintf(path, sizeof(path), "%s/%s", runs_dir, name);
	/* Each name has its place, so that a result stays as it is. */
	while (paths[i][0] && strcmp(paths[i], path) != 0)
		assert_true(++i < ARRAY_SIZE(paths));
	(void)strcpy(paths[i], path);
	return paths[i];
}

/* ---- programs ----------------------------------------------------------- */

pid_t
runs_start(const char *const *words)
{
	/* No gnuplot: pictures take most of a tiny run's time. */
	char *blind[] = {(char *)(uintptr_t) "PATH=/nowhere", NULL};
	posix_spawn_file_actions_t files;
	char *argv[32];
	size_t n = 1;
	pid_t pid;

	argv[0] = program;
	while (*words && n + 1 < ARRAY_SIZE(argv))
		argv[n++] = (char *)(uintptr_t)*words++;
	argv[n] = NULL;
	(void)posix_spawn_file_actions_init(&files);
	(void)posix_spawn_file_actions_addopen(&files, STDIN_FILENO,
					       "/dev/null", O_RDONLY, 0);
	(void)posix_spawn_file_actions_addopen(
		&files, STDOUT_FILENO, runs_path("out"),
		O_WRONLY | O_CREAT | O_TRUNC, 0666);
	(void)posix_spawn_file_actions_addopen(
		&files, STDERR_FILENO, runs_path("err"),
		O_WRONLY | O_CREAT | O_TRUNC, 0666);
	assert_int_equal(posix_spawn(&pid, program, &files, NULL, argv, blind),
			 0);
	(void)posix_spawn_file_actions_destroy(&files);
	return pid;
}

int
runs_wait(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int
runs_program(const char *const *words)
{
	return runs_wait(runs_start(words));
}

/* ---- files -------------------------------------------------------------- */

char *
runs_get(const char *name, size_t *ret_size)
{
	FILE *f = fopen(runs_path(name), "re");
	struct stat st;
	char *data;

	if (!f)
		fail_msg("%s is not there", name);
	assert_int_equal(fstat(fileno(f), &st), 0);
	data = malloc((size_t)st.st_size + 1);
	assert_non_null(data);
	*ret_size = fread(data, 1, (size_t)st.st_size, f);
	data[*ret_size] = '\0';
	assert_int_equal(fclose(f), 0);
	return data;
}

void
runs_put(const char *name, const char *data, size_t size)
{
	FILE *f = fopen(runs_path(name), "we");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, size, f), size);
	assert_int_equal(fclose(f), 0);
}

static void
copy_file(const char *from, const char *to, const char *file, size_t most)
{
	char name[128];
	size_t size;
	char *data;

	(void)snprintf(name, sizeof(name), "%s/%s", from, file);
	data = runs_get(name, &size);
	(void)snprintf(name, sizeof(name), "%s/%s", to, file);
	runs_put(name, data, most && most < size ? most : size);
	free(data);
}

void
runs_copy(const char *from, const char *to, size_t size)
{
	assert_int_equal(mkdir(runs_path(to), 0777), 0);
	copy_file(from, to, "run.json", 0);
	copy_file(from, to, "trials.jsonl", size);
}

void
runs_remove(const char *name)
{
	char command[PATH_MAX + 16];

	(void)snprintf(command, sizeof(command), "rm -rf %s", runs_path(name));
	assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c) */
}

static unsigned
count(const char *name, const char *text)
{
	unsigned n = 0;
	size_t size;
	char *data;

	if (access(runs_path(name), R_OK) < 0)
		return 0;
	data = runs_get(name, &size);
	for (const char *at = data; (at = strstr(at, text)); at++)
		n++;
	free(data);
	return n;
}

/* What happens in the folders wakes; the file itself may not be there yet. */
void
runs_await(const char *name, const char *text, unsigned n)
{
	double end = clock_s() + AWAIT_S;
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	struct pollfd poller = {.fd = fd, .events = POLLIN};
	char events[4096], folder[128];

	assert_true(fd >= 0);
	(void)snprintf(folder, sizeof(folder), "%s", name);
	*(strchr(folder, '/') ? strchr(folder, '/') : folder) = '\0';
	while (count(name, text) < n) {
		if (clock_s() > end)
			fail_msg("no %u of '%s' in %s", n, text, name);
		(void)inotify_add_watch(fd, runs_dir, IN_CREATE | IN_MODIFY);
		(void)inotify_add_watch(fd, runs_path(folder),
					IN_CREATE | IN_MODIFY | IN_MOVED_TO);
		/* A file may have come between the look and the watch: look
		 * again before long. */
		(void)poll(&poller, 1, 50);
		while (read(fd, events, sizeof(events)) > 0)
			;
	}
	(void)close(fd);
}

/* ---- CSV ---------------------------------------------------------------- */

struct frozen {
	char file[16], name[40], type[8], meaning[256], empty[128];
};

/* The frozen columns of one file. */
static size_t
read_frozen(const char *file, struct frozen *cols, size_t room)
{
	Q2_AUTO(csv_line) line = {0};
	FILE *f = fopen(FROZEN, "re");
	struct q2_err err;
	size_t n = 0;

	assert_non_null(f);
	while (csv_read_line(f, &line, &err) > 0) {
		if (strcmp(line.fields[0], file) != 0)
			continue;
		assert_true(n < room && line.n == 7);
#define COPY(member, i)                                              \
	(void)snprintf(cols[n].member, sizeof(cols[n].member), "%s", \
		       line.fields[i])
		COPY(file, 0);
		COPY(name, 2);
		COPY(type, 3);
		COPY(meaning, 5);
		COPY(empty, 6);
#undef COPY
		n++;
	}
	assert_int_equal(fclose(f), 0);
	return n;
}

/* Is the word among those that the meaning lists? */
static bool
has_word(const char *meaning, const char *word)
{
	size_t len = strlen(word);
	const char *at = meaning;

	while ((at = strstr(at, word))) {
		bool begins = at == meaning || strchr(" ,", at[-1]);
		bool ends = strchr(" ,:;", at[len]) || !at[len];

		if (begins && ends)
			return true;
		at++;
	}
	return false;
}

static bool
is_of_type(const struct frozen *col, const char *text)
{
	char *end;

	if (strcmp(col->type, "int") == 0)
		return text[0] && !text[strspn(text, "0123456789")];
	if (strcmp(col->type, "bool") == 0)
		return strcmp(text, "0") == 0 || strcmp(text, "1") == 0;
	if (strcmp(col->type, "real") == 0) {
		(void)strtod(text, &end);
		return !*end && !strchr(text, 'n') && !strchr(text, 'x');
	}
	/* Words that another column lists, or the spec. */
	if (strcmp(col->type, "enum") == 0)
		return strstr(col->meaning, "name of the pass") ||
		       strncmp(col->meaning, "as ", 3) == 0 ||
		       strncmp(col->meaning, "what was", 8) == 0 ||
		       has_word(col->meaning, text);
	return true;
}

static void
check_file(const char *out, const char *file)
{
	static struct frozen cols[200];
	size_t ncols = read_frozen(file, cols, ARRAY_SIZE(cols));
	Q2_AUTO(csv_line) line = {0};
	struct q2_err err;
	char name[128];
	FILE *f;
	int r;

	(void)snprintf(name, sizeof(name), "%s/%s", out, file);
	f = fopen(runs_path(name), "re");
	assert_non_null(f);
	assert_true(csv_read_line(f, &line, &err) > 0);
	assert_int_equal(line.n, ncols);
	for (size_t i = 0; i < ncols; i++)
		assert_string_equal(line.fields[i], cols[i].name);
	while ((r = csv_read_line(f, &line, &err)) > 0) {
		assert_int_equal(line.n, ncols);
		for (size_t i = 0; i < ncols; i++) {
			const char *text = line.fields[i];

			if (text[0] ? is_of_type(&cols[i], text)
				    : strcmp(cols[i].empty, "never empty") != 0)
				continue;
			fail_msg("%s:%lu: %s is '%s'", file, line.number,
				 cols[i].name, text);
		}
	}
	assert_int_equal(r, 0);
	assert_int_equal(fclose(f), 0);
}

void
runs_check_csv(const char *out)
{
	static const char *const files[] = {"trials.csv", "cells.csv",
					    "series.csv", "hist.csv"};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		check_file(out, files[i]);
}

static void
read_trials(const char *out, struct rows *rows)
{
	struct q2_err err;
	char name[128];

	(void)snprintf(name, sizeof(name), "%s/trials.csv", out);
	assert_int_equal(
		csv_read_file(runs_path(name), &table_trials, rows, &err), 0);
}

/* Rows of the round and the pass; their common stream_hash. */
static unsigned
find_pass(const struct rows *rows, unsigned round, const char *pass,
	  const char **ret_hash)
{
	unsigned n = 0;

	*ret_hash = NULL;
	for (size_t i = 0; i < rows->n; i++) {
		const struct record *rec = rows->v[i];

		if (record_int(rec, TRIAL_round) != round ||
		    strcmp(record_text(rec, TRIAL_pass), pass) != 0)
			continue;
		if (!*ret_hash)
			*ret_hash = record_text(rec, TRIAL_stream_hash);
		assert_string_equal(*ret_hash,
				    record_text(rec, TRIAL_stream_hash));
		n++;
	}
	return n;
}

void
runs_check_rounds(const char *out, unsigned rounds, const char *same)
{
	static const char *const passes[] = {"create",    "first-write",
					     "rewrite",   "read",
					     "seq-write", "seq-read"};
	struct rows rows = {0}, other = {0};
	const char *hash, *before;

	read_trials(out, &rows);
	if (same)
		read_trials(same, &other);
	assert_int_equal(rows.n, 2 * ARRAY_SIZE(passes) * rounds);
	for (unsigned round = 1; round <= rounds; round++) {
		for (size_t p = 0; p < ARRAY_SIZE(passes); p++) {
			assert_int_equal(
				find_pass(&rows, round, passes[p], &hash), 2);
			if (!same)
				continue;
			(void)find_pass(&other, round, passes[p], &before);
			assert_string_equal(hash, before);
		}
	}
	rows_done(&rows);
	rows_done(&other);
}
