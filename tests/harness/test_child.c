/* SPDX-License-Identifier: MIT */
/*
 * Talk with a child process: what it may do wrong, and that none is left.
 *
 * The children are shell scripts that answer in the language of trial.h, or do
 * not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/child.h"
#include "harness/stop.h"

static char dir[] = "/var/tmp/q2-child.XXXXXX";
static char program[64];

/* What the child does after it has read its spec. */
static void
write_child(const char *body)
{
	FILE *f = fopen(program, "we");

	assert_non_null(f);
	assert_true(fprintf(f, "#!/bin/sh\nread -r spec\n%s\n", body) > 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(program, 0755), 0);
}

static void
start(struct child *c, const char *body)
{
	json_t *spec = json_pack("{s:i}", "schema", 1);
	struct q2_err err;

	write_child(body);
	assert_int_equal(child_start(c, program, "raw-a", spec, &err), 0);
	json_decref(spec);
}

/* Nobody is left, not even as a zombie. */
static void
assert_no_children(void)
{
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void
test_a_good_child_answers(void **state)
{
	struct q2_err err = {0};
	struct child c;
	json_t *reply;

	(void)state;
	start(&c, "echo '{\"ok\":true}'\n"
		  "read -r line; echo '{\"ok\":true,\"seconds\":0.5}'\n"
		  "read -r line; echo '{\"ok\":true}'");
	assert_int_equal(child_ready(&c, &err), 0);
	assert_int_equal(child_ask(&c, "turn", -1, &reply, &err), 0);
	assert_true(json_real_value(json_object_get(reply, "seconds")) == 0.5);
	json_decref(reply);
	assert_int_equal(child_quit(&c, &err), 0);
	child_end(&c);
	assert_no_children();
}

static void
test_it_hears_commands_as_json(void **state)
{
	struct q2_err err = {0};
	struct child c;

	(void)state;
	start(&c, "read -r line\n"
		  "[ \"$line\" = '{\"do\":\"begin\",\"pass\":2}' ] &&\n"
		  "echo '{\"ok\":true}'");
	assert_int_equal(child_ask(&c, "begin", 2, NULL, &err), 0);
	child_end(&c);
	assert_no_children();
}

/* body, and what child_ask() makes of it. */
static void
check_bad(const char *body, int code, const char *text)
{
	struct q2_err err = {0};
	struct child c;

	start(&c, body);
	assert_int_equal(child_ask(&c, "turn", -1, NULL, &err), code);
	if (!strstr(err.text, text))
		print_error("got: %s\n", err.text);
	assert_non_null(strstr(err.text, text));
	assert_non_null(strstr(err.text, "raw-a"));
	child_end(&c);
	assert_no_children();
}

static void
test_a_child_that_is_killed(void **state)
{
	(void)state;
	check_bad("kill -KILL $$", -EPIPE, "was killed by signal 9");
	check_bad("read -r l; kill -SEGV $$", -EPIPE,
		  "was killed by signal 11");
}

static void
test_a_child_that_ends_early(void **state)
{
	(void)state;
	check_bad("exit 7", -EPIPE, "ended early, status 7");
	/* Half an answer is none. */
	check_bad("printf '{\"ok\":tr'; exit 0", -EPIPE, "ended early");
}

static void
test_a_child_that_talks_nonsense(void **state)
{
	(void)state;
	check_bad("echo hello; read -r l; read -r l", -EPROTO,
		  "has not answered in our language");
	check_bad("echo '{}'; read -r l; read -r l", -EPROTO,
		  "neither ok nor error");
	check_bad("echo '[1,2]'; read -r l; read -r l", -EPROTO,
		  "neither ok nor error");
}

static void
test_an_error_is_passed_on(void **state)
{
	(void)state;
	check_bad("echo '{\"ok\":false,\"error\":\"no luck\",\"code\":-28}'",
		  -ENOSPC, "raw-a: no luck");
	/* A code that is none does not look like success. */
	check_bad("echo '{\"ok\":false,\"error\":\"odd\",\"code\":5}'", -EIO,
		  "raw-a: odd");
}

static void
test_long_answers_come_whole(void **state)
{
	struct q2_err err = {0};
	struct child c;
	json_t *reply;

	(void)state;
	start(&c, "printf '{\"ok\":true,\"text\":\"'\n"
		  "head -c 300000 /dev/zero | tr '\\0' x\n"
		  "echo '\"}'; read -r l; read -r l");
	assert_int_equal(child_ask(&c, "end", -1, &reply, &err), 0);
	assert_int_equal(json_string_length(json_object_get(reply, "text")),
			 300000);
	json_decref(reply);
	child_end(&c);
	assert_no_children();
}

static void
test_no_such_program(void **state)
{
	json_t *spec = json_object();
	struct q2_err err = {0};
	struct child c;

	(void)state;
	assert_int_equal(
		child_start(&c, "/nowhere/qcowbench", "raw-a", spec, &err),
		-ENOENT);
	assert_non_null(strstr(err.text, "/nowhere/qcowbench"));
	child_end(&c);
	assert_no_children();
	json_decref(spec);
}

/* Last: the flag stays. */
static void
test_a_signal_ends_the_wait(void **state)
{
	struct q2_err err = {0};
	struct child c;

	(void)state;
	assert_int_equal(stop_install(&err), 0);
	/* It will never answer; it signals us instead. */
	start(&c, "kill -INT $PPID; read -r l; read -r l");
	assert_int_equal(child_ask(&c, "turn", -1, NULL, &err), -EINTR);
	assert_true(stop_requested);
	child_end(&c);
	assert_no_children();
}

static int
set_up(void **state)
{
	(void)state;
	(void)signal(SIGPIPE, SIG_IGN);
	if (!mkdtemp(dir))
		return -1;
	(void)snprintf(program, sizeof(program), "%s/child", dir);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	(void)unlink(program);
	return rmdir(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_good_child_answers),
		cmocka_unit_test(test_it_hears_commands_as_json),
		cmocka_unit_test(test_a_child_that_is_killed),
		cmocka_unit_test(test_a_child_that_ends_early),
		cmocka_unit_test(test_a_child_that_talks_nonsense),
		cmocka_unit_test(test_an_error_is_passed_on),
		cmocka_unit_test(test_long_answers_come_whole),
		cmocka_unit_test(test_no_such_program),
		cmocka_unit_test(test_a_signal_ends_the_wait),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
