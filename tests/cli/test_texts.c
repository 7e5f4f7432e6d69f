/* SPDX-License-Identifier: MIT */
/*
 * test_texts.c - qcowimg, called qemu-img or qemu-io, prints what they print
 *
 * tests/golden/texts/cases.jsonl holds command lines with what QEMU 7.2 printed
 * (the README there says what its fields are).  Each is a test: QEMU's own
 * tools set the case up, our program runs it, and output, exit status, files
 * and guest content must be equal.  Texts go through the same filters as the
 * captured ones: times, rates, and what depends on the file system.
 *
 *	test_texts			run them all, or as many as
 *					Q2_TEST_SCALE says
 *	test_texts --only PREFIX	those whose id begins so
 *	test_texts --select FILE	print the cases of FILE, a full capture,
 *					that apply to this version, after a line
 *					that counts the others by reason
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <gcrypt.h>
#include <grp.h>
#include <jansson.h>
#include <limits.h>
#include <regex.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/base/num.h"
#include "tests/env.h"

#define GOLDEN "tests/golden/texts/cases.jsonl"
#define NOBODY 65534

/* ---- which cases apply ------------------------------------------------- */

/* What a rule looks at, all as one line of words. */
enum where {
	IN_ID,
	IN_ARGV,
	IN_SETUP,
	IN_BOTH
};

/*
 * A case is left out by the first rule that fits: where matches pattern, and
 * the command matches on (NULL: any).
 */
struct rule {
	const char *reason;
	enum where where;
	const char *pattern;
	const char *on;
};

static const struct rule rules[] = {
	{"other subcommands", IN_ARGV,
	 "^qemu-img (amend|bitmap|commit|rebase|snapshot)", NULL},
	{"encryption", IN_BOTH, "encrypt|luks", NULL},
	{"help is in our own words", IN_ID,
	 "/o-help|/no-file-help|^create/o-question|^help/io-[^v]", NULL},
	{"backing files", IN_ARGV, "^qemu-io (-s|-C) ", NULL},
	{"compressed writes", IN_ARGV, "^qemu-io .*write -c -P", NULL},
	{"compressed reads", IN_SETUP, "write -c", "^qemu-io .*(read|write)"},
	{"VM state", IN_ARGV, "^qemu-io .*(read|write) -b( -c)? [0-9-]", NULL},
	{"snapshots", IN_SETUP, "snapshot -c",
	 "^qemu-io|^qemu-img (info|resize)"},
	{"snapshots", IN_ARGV, "^qemu-img measure.* -l ", NULL},
	{"bitmaps", IN_SETUP, "bitmap --add",
	 "^qemu-io|^qemu-img (info|resize)"},
	{"breakpoints", IN_ARGV, "^qemu-io .*(break|resume) ", NULL},
	{"holes of the host file in map", IN_ID, "^map/mixed-json", NULL},
	{"compressed writes", IN_ARGV, "^qemu-img convert.* -c ", NULL},
	{"compressed reads", IN_SETUP, "write -c",
	 "^qemu-img (convert|compare)"},
	{"snapshots", IN_ID,
	 "^convert/(snapshot-(name|id|missing|raw)|no-create-progress-)", NULL},
	{"bitmaps", IN_ARGV, "^qemu-img convert --bitmaps", NULL},
	{"salvage", IN_ARGV, "^qemu-img convert.* --salvage",
	 "^qemu-img "
	 "convert( -q)? --salvage"},
	{"a create that cannot be empties no file", IN_ID,
	 "raw-preallocation-meta|raw-bad-9223372036854775807", NULL},
};

/* The words of a list of strings (or of lists of them), joined by spaces. */
static void
join(const json_t *list, char *out, size_t size)
{
	const json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		size_t have = strlen(out);

		if (json_is_array(item))
			join(item, out, size);
		else
			(void)snprintf(out + have, size - have, "%s%s",
				       have ? " " : "",
				       json_string_value(item));
	}
}

static bool
matches(const char *pattern, const char *text)
{
	regex_t re;
	int r = regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB);

	assert_int_equal(r, 0);
	r = regexec(&re, text, 0, NULL, 0);
	regfree(&re);
	return r == 0;
}

static const char *
why_left_out(const json_t *c)
{
	static char argv[16384], setup[16384];
	const char *id = json_string_value(json_object_get(c, "id"));

	argv[0] = setup[0] = 0;
	join(json_object_get(c, "argv"), argv, sizeof(argv));
	join(json_object_get(c, "setup"), setup, sizeof(setup));
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		const struct rule *r = &rules[i];
		bool in_argv = r->where == IN_ARGV || r->where == IN_BOTH;
		bool in_setup = r->where == IN_SETUP || r->where == IN_BOTH;

		if (r->on && !matches(r->on, argv))
			continue;
		if ((r->where == IN_ID && matches(r->pattern, id)) ||
		    (in_argv && matches(r->pattern, argv)) ||
		    (in_setup && matches(r->pattern, setup)))
			return r->reason;
	}
	return NULL;
}

/* ---- the file of cases ------------------------------------------------- */

static json_t *
load_lines(const char *path)
{
	FILE *f = fopen(path, "re");
	json_t *list = json_array(), *line;
	json_error_t error;

	if (!f) {
		perror(path);
		exit(1);
	}
	while ((line = json_loadf(f, JSON_DISABLE_EOF_CHECK, &error)))
		json_array_append_new(list, line);
	(void)fclose(f);
	return list;
}

static int
select_cases(const char *path)
{
	json_t *all = load_lines(path), *head = json_object();
	json_t *left = json_object(), *c;
	size_t i, n = 0;

	json_array_foreach(all, i, c)
	{
		const char *why = why_left_out(c);
		json_t *count = why ? json_object_get(left, why) : NULL;

		n += !why;
		if (why)
			json_object_set_new(
				left, why,
				json_integer(json_integer_value(count) + 1));
	}
	json_object_set_new(head, "cases", json_integer((json_int_t)n));
	json_object_set_new(head, "of",
			    json_integer((json_int_t)json_array_size(all)));
	json_object_set_new(head, "left_out", left);
	(void)json_dumpf(head, stdout, 0);
	(void)printf("\n");
	json_array_foreach(all, i, c)
	{
		if (why_left_out(c))
			continue;
		(void)json_dumpf(c, stdout, JSON_ENSURE_ASCII);
		(void)printf("\n");
	}
	json_decref(head);
	json_decref(all);
	return 0;
}

static void
print_head(const json_t *head)
{
	const json_t *count;
	const char *why;

	(void)printf("%lld of %lld cases apply; left out:\n",
		     json_integer_value(json_object_get(head, "cases")),
		     json_integer_value(json_object_get(head, "of")));
	json_object_foreach(json_object_get(head, "left_out"), why, count)(void)
		printf("  %4lld  %s\n", json_integer_value(count), why);
}

/* ---- filters ----------------------------------------------------------- */

/* On each line, what pattern matches becomes text; \1 in it is the first
 * group. */
struct filter {
	const char *pattern, *text;
};

static const struct filter filters[] = {
	{"^(.* ops; )[^ ]+( sec)? \\(.*/sec and .* ops/sec\\)$",
	 "\\1T sec (R/sec and O ops/sec)"},
	{"^([0-9]+,[0-9]+),[0-9][0-9.:]*( sec)?,[^,]+,[^,]+$", "\\1,T,R,O"},
	{"^( *disk size: ).*$", "\\1SIZE"},
	{"(\"actual-size\": )[0-9]+", "\\10"},
	{"^(qemu-(img|io)) version .*$", "\\1 version V"},
	{"^(    \\(0\\.00/100%\\)\r)(    \\([0-9.]+/100%\\)\r)*"
	 "    \\(100\\.00/100%\\)\r",
	 "\\1    (100.00/100%)\r"},
	{"^(Run completed in )[0-9.]+ seconds", "\\1T seconds"},
};

static void
append(char *out, size_t size, const char *text, size_t len)
{
	size_t have = strlen(out);

	assert_true(have + len < size);
	memcpy(out + have, text, len);
	out[have + len] = 0;
}

static void
filter_line(const struct filter *f, char *line, size_t size)
{
	static char out[65536];
	const char *group = strstr(f->text, "\\1");
	regmatch_t m[2];
	regex_t re;

	assert_int_equal(regcomp(&re, f->pattern, REG_EXTENDED), 0);
	if (regexec(&re, line, ARRAY_SIZE(m), m, 0) == 0) {
		out[0] = 0;
		append(out, sizeof(out), line, (size_t)m[0].rm_so);
		append(out, sizeof(out), line + m[1].rm_so,
		       (size_t)(m[1].rm_eo - m[1].rm_so));
		append(out, sizeof(out), group + 2, strlen(group + 2));
		append(out, sizeof(out), line + m[0].rm_eo,
		       strlen(line + m[0].rm_eo));
		assert_true(strlen(out) < size);
		strcpy(line, out);
	}
	regfree(&re);
}

/* Of qemu-io's help, captured is the first line; of qemu-img's, only the
 * version above it. */
static bool
is_help(const char *line)
{
	return strncmp(line, "Usage: qemu-io ", 15) == 0 ||
	       strncmp(line, "Usage: qemu-img COMMAND ", 24) == 0;
}

/* The text after the filters; the caller frees it. */
static char *
filtered(const char *text)
{
	size_t size = strlen(text) * 2 + 1024;
	char *out = calloc(1, size), *line = malloc(size);

	assert_non_null(out);
	assert_non_null(line);
	while (*text) {
		size_t len = strcspn(text, "\n");

		memcpy(line, text, len);
		line[len] = 0;
		for (size_t i = 0; i < ARRAY_SIZE(filters); i++)
			filter_line(&filters[i], line, size);
		if (!is_help(line) || !strncmp(line, "Usage: qemu-io ", 15)) {
			append(out, size, line, strlen(line));
			append(out, size, "\n", text[len] == '\n');
		}
		if (is_help(line)) {
			append(out, size, "(help)\n", 7);
			break;
		}
		text += len + (text[len] == '\n');
	}
	free(line);
	return out;
}

/* ---- programs ---------------------------------------------------------- */

static char root[PATH_MAX]; /* our folder; the case runs in root/w */

/* What a program left behind. */
struct outcome {
	char *out, *err; /* the caller frees them */
	int status;      /* 128 + n after signal n */
};

static char *
slurp(const char *path, size_t *ret_len)
{
	FILE *f = fopen(path, "re");
	char *text = NULL;
	size_t len = 0, n;

	if (!f)
		return NULL;
	do {
		text = realloc(text, len + 65536 + 1);
		if (!text)
			abort();
		n = fread(text + len, 1, 65536, f);
		len += n;
	} while (n);
	text[len] = 0;
	(void)fclose(f);
	if (ret_len)
		*ret_len = len;
	return text;
}

/* Path of a file of ours, next to the case's folder. */
static const char *
ours(const char *name)
{
	static char paths[4][PATH_MAX + 64];
	static unsigned next;
	char *path = paths[next++ % ARRAY_SIZE(paths)];

	(void)snprintf(path, sizeof(paths[0]), "%s/%s", root, name);
	return path;
}

static void
demote(void)
{
	if (geteuid() != 0)
		return;
	if (setgroups(0, NULL) || setgid(NOBODY) || setuid(NOBODY))
		_exit(126);
}

/* In the child: our program if it is the one that is tested. */
static void
exec_case(const json_t *argv, bool tested, bool low)
{
	const char *args[256] = {NULL}, *name;
	size_t n = json_array_size(argv);
	char program[PATH_MAX + 64];

	for (size_t i = 0; i < n && i < ARRAY_SIZE(args) - 1; i++)
		args[i] = json_string_value(json_array_get(argv, i));
	name = args[0];
	(void)snprintf(program, sizeof(program), "%s/bin/%s", root, name);
	if (!name || chdir(ours("w")))
		_exit(125);
	(void)umask(022);
	(void)setenv("LC_ALL", "C", 1);
	(void)setenv("TZ", "UTC", 1);
	(void)setenv("TMPDIR", root, 1);
	if (low)
		demote();
	if (tested)
		execv(program, (char *const *)(uintptr_t)args);
	else
		execvp(name, (char *const *)(uintptr_t)args);
	_exit(127);
}

static int
redirect(int fd, const char *path, int flags)
{
	int to = open(path, flags | O_CLOEXEC, 0644);

	return to < 0 ? -1 : dup2(to, fd);
}

static int
wait_for(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static struct outcome
run(const json_t *argv, const char *input, bool tested, bool low)
{
	struct outcome o;
	FILE *f = fopen(ours("stdin"), "we");
	pid_t pid;

	if (!f)
		abort();
	assert_true(fputs(input, f) >= 0);
	assert_int_equal(fclose(f), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)alarm(60);
		if (redirect(0, ours("stdin"), O_RDONLY) < 0 ||
		    redirect(1, ours("stdout"), O_WRONLY | O_CREAT | O_TRUNC) <
			    0 ||
		    redirect(2, ours("stderr"), O_WRONLY | O_CREAT | O_TRUNC) <
			    0)
			_exit(124);
		exec_case(argv, tested, low);
	}
	o.status = wait_for(pid);
	o.out = slurp(ours("stdout"), NULL);
	o.err = slurp(ours("stderr"), NULL);
	if (!o.out || !o.err)
		abort();
	return o;
}

static void
outcome_done(struct outcome *o)
{
	free(o->out);
	free(o->err);
}

/* A program of QEMU that keeps the image open meanwhile. */
struct holder {
	pid_t pid;
	int input;
};

static struct holder
start_holder(const json_t *argv, bool low)
{
	static const char prompt[] = "qemu-io> ";
	int in[2], out[2];
	struct holder h;
	size_t seen = 0;
	char c;

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	h.pid = fork();
	assert_true(h.pid >= 0);
	if (h.pid == 0) {
		(void)alarm(60);
		if (dup2(in[0], 0) < 0 || dup2(out[1], 1) < 0)
			_exit(124);
		exec_case(argv, false, low);
	}
	close(in[0]);
	close(out[1]);
	h.input = in[1];
	while (seen < sizeof(prompt) - 1) {
		assert_int_equal(read(out[0], &c, 1), 1);
		seen = c == prompt[seen] ? seen + 1 : c == prompt[0];
	}
	close(out[0]);
	return h;
}

static void
end_holder(struct holder *h)
{
	close(h->input);
	(void)wait_for(h->pid);
}

/* ---- files ------------------------------------------------------------- */

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int
make_writable(const char *path, const struct stat *st, int type,
	      struct FTW *ftw)
{
	(void)st;
	(void)ftw;
	return type == FTW_D || type == FTW_DNR ? chmod(path, 0755) : 0;
}

static void
remove_tree(const char *path)
{
	(void)nftw(path, make_writable, 16, FTW_PHYS);
	(void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void
sha256_text(const void *data, size_t len, char hex[65])
{
	unsigned char digest[32];

	gcry_md_hash_buffer(GCRY_MD_SHA256, digest, data, len);
	for (size_t i = 0; i < sizeof(digest); i++)
		(void)sprintf(hex + 2 * i, "%02x", digest[i]);
}

static bool
file_has_sha256(const char *path, const char *want)
{
	char hex[65];
	size_t len;
	char *data = slurp(path, &len);

	if (!data)
		return false;
	sha256_text(data, len, hex);
	free(data);
	return strcmp(hex, want) == 0;
}

/* Does QEMU read from the image what it read from its own? */
static bool
guest_has_sha256(const char *name, const char *want)
{
	char path[NAME_MAX + 8]; /* ./ because of a colon in a name */
	json_t *argv;
	struct outcome o;
	bool ok;

	(void)snprintf(path, sizeof(path), "./%s", name);
	argv = json_pack("[ssssssssss]", "qemu-img", "convert", "-U", "-q",
			 "-f", "qcow2", "-O", "raw", path, ours("guest"));
	o = run(argv, "", false, false);
	ok = o.status == 0 && file_has_sha256(ours("guest"), want);

	outcome_done(&o);
	json_decref(argv);
	(void)unlink(ours("guest"));
	return ok;
}

static bool failed; /* this case */

static void __attribute__((format(printf, 2, 3)))
differs(const char *what, const char *fmt, ...)
{
	va_list ap;

	failed = true;
	(void)printf("  %s: ", what);
	va_start(ap, fmt);
	(void)vprintf(fmt, ap);
	va_end(ap);
	(void)printf("\n");
}

/*
 * How long a file is, and each of its bytes, is compared where we promise it:
 * the length of new images, and everything that is only looked at.  What a
 * write leaves is compared by what a guest reads.
 */
static void
compare_file(const char *name, const json_t *facts, const char *area,
	     bool looks)
{
	const char *sha = json_string_value(json_object_get(facts, "sha256"));
	const char *guest = json_string_value(
		json_object_get(facts, "guest_sha256"));
	json_int_t length = json_integer_value(
		json_object_get(facts, "length"));
	const char *dot = strrchr(name, '.');
	bool raw = dot && strcmp(dot, ".raw") == 0;
	char path[PATH_MAX + 300];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/%s", ours("w"), name);
	if (stat(path, &st)) {
		differs("files", "%s is missing", name);
		return;
	}
	if ((looks || strncmp(area, "create", 6) == 0) && st.st_size != length)
		differs("length", "%s has %lld bytes, not %lld", name,
			(long long)st.st_size, (long long)length);
	if ((looks || raw) && sha && !file_has_sha256(path, sha))
		differs("content", "%s is another", name);
	if (!looks && guest && !guest_has_sha256(name, guest))
		differs("content", "a guest reads something else in %s", name);
}

static size_t files_found;
static size_t files_prefix; /* length of "ROOT/w/" */
static const json_t *files_wanted;

static int
check_wanted(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)ftw;
	if (type != FTW_F || !S_ISREG(st->st_mode))
		return 0;
	files_found++;
	if (!json_object_get(files_wanted, path + files_prefix))
		differs("files", "%s should not be there", path + files_prefix);
	return 0;
}

static void
compare_files(const json_t *c, bool looks)
{
	const char *area = json_string_value(json_object_get(c, "area"));
	json_t *facts;
	const char *name;

	files_wanted = json_object_get(c, "files_after");
	files_prefix = strlen(ours("w")) + 1;
	(void)nftw(ours("w"), check_wanted, 16, FTW_PHYS);
	json_object_foreach((json_t *)(uintptr_t)files_wanted, name, facts)
		compare_file(name, facts, area, looks);
}

/* ---- cases ------------------------------------------------------------- */

static void
compare_text(const char *what, const char *want, const char *have)
{
	char *text = filtered(have);

	if (strcmp(want, text) != 0)
		differs(what, "\n    want <%s>\n    have <%s>", want, text);
	free(text);
}

/* Neither our program nor anybody else writes: info, check, map. */
static bool
only_looks(const json_t *argv)
{
	static char words[16384];

	words[0] = 0;
	join(argv, words, sizeof(words));
	return matches("^qemu-img (info|check|map)", words) &&
	       !matches("^qemu-img check.* -r", words);
}

static void
set_up(const json_t *c, bool low)
{
	const json_t *step;
	size_t i;

	remove_tree(ours("w"));
	assert_int_equal(mkdir(ours("w"), 0755), 0);
	if (low && geteuid() == 0)
		assert_int_equal(chown(ours("w"), NOBODY, NOBODY), 0);
	json_array_foreach(json_object_get(c, "setup"), i, step)
	{
		struct outcome o = run(step, "", false, low);

		if (o.status != 0)
			fail_msg("set-up step %zu: status %d: %s", i, o.status,
				 o.err);
		outcome_done(&o);
	}
}

static void
test_case(void **state)
{
	const json_t *c = *state, *hold = json_object_get(c, "hold");
	const json_t *argv = json_object_get(c, "argv");
	const char *input = json_string_value(json_object_get(c, "stdin"));
	bool low = json_is_true(json_object_get(c, "unprivileged"));
	int want = (int)json_integer_value(json_object_get(c, "status"));
	struct holder holder;
	struct outcome o;

	failed = false;
	set_up(c, low);
	if (hold)
		holder = start_holder(hold, low);
	o = run(argv, input, true, low);
	if (o.status != want)
		differs("status", "%d, not %d", o.status, want);
	compare_text("stdout", json_string_value(json_object_get(c, "stdout")),
		     o.out);
	compare_text("stderr", json_string_value(json_object_get(c, "stderr")),
		     o.err);
	compare_files(c, only_looks(argv));
	outcome_done(&o);
	if (hold)
		end_holder(&holder);
	assert_false(failed);
}

/* ---- running ----------------------------------------------------------- */

static bool
has_qemu(void)
{
	return system("qemu-img --version >/dev/null 2>&1 && "
		      "qemu-io --version >/dev/null 2>&1") == 0;
}

/* root/bin/qemu-img and qemu-io: a copy, so that nobody may run it too. */
static void
install_program(void)
{
	const char *b = getenv("B");
	char command[5 * PATH_MAX];

	(void)snprintf(command, sizeof(command),
		       "set -e; mkdir '%s/bin'; cp '%s/qcowimg' '%s/bin/'; "
		       "cd '%s/bin'; ln -s qcowimg qemu-img; "
		       "ln -s qcowimg qemu-io",
		       root, b ? b : "build/release", root, root);
	if (system(command) != 0)
		exit(1);
}

static void
make_root(void)
{
	const char *tmp = getenv("TMPDIR");

	(void)snprintf(root, sizeof(root), "%s/q2-texts.XXXXXX",
		       tmp ? tmp : "/var/tmp");
	if (!mkdtemp(root) || chmod(root, 0755)) {
		perror(root);
		exit(1);
	}
	install_program();
}

static int
run_cases(json_t *cases, const char *prefix)
{
	size_t n = json_array_size(cases), used = 0, i;
	struct CMUnitTest *tests = calloc(n, sizeof(*tests));
	json_t *c;
	int r;

	if (!tests)
		return 1;
	json_array_foreach(cases, i, c)
	{
		const char *id = json_string_value(json_object_get(c, "id"));

		if (!id || strncmp(id, prefix, strlen(prefix)) != 0)
			continue;
		/* Evenly as many as were asked for: Q2_TEST_SCALE. */
		if (!prefix[0] &&
		    test_rounds(1000 * (unsigned)i) / 1000 ==
			    test_rounds(1000 * (unsigned)i - 1000) / 1000)
			continue;
		tests[used++] = (struct CMUnitTest){
			.name = id, .test_func = test_case, .initial_state = c};
	}
	make_root();
	r = _cmocka_run_group_tests("texts", tests, used, NULL, NULL);
	remove_tree(root);
	free(tests);
	return r;
}

int
main(int argc, char **argv)
{
	const char *prefix = "";
	json_t *cases;
	int r;

	(void)gcry_check_version(NULL);
	if (argc == 3 && strcmp(argv[1], "--select") == 0)
		return select_cases(argv[2]);
	if (argc == 3 && strcmp(argv[1], "--only") == 0)
		prefix = argv[2];
	if (!has_qemu()) {
		(void)printf("skip - texts # qemu-img and qemu-io are not "
			     "installed\n");
		return 0;
	}
	cases = load_lines(GOLDEN);
	print_head(json_array_get(cases, 0));
	r = run_cases(cases, prefix);
	json_decref(cases);
	return r;
}
