/* SPDX-License-Identifier: MIT */
/*
 * io_commands.c - the table of io commands; running one; help
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/num.h"
#include "engine/img/io.h"
#include "engine/img/msg.h"

/* More words than that are no command. */
#define WORDS_MAX 256

static int cmd_abort(struct io *io, int argc, char **argv);
static int cmd_help(struct io *io, int argc, char **argv);
static int cmd_quit(struct io *io, int argc, char **argv);
static int cmd_sigraise(struct io *io, int argc, char **argv);
static int cmd_sleep(struct io *io, int argc, char **argv);

#define HELP_SIZES \
	" Sizes and offsets are bytes, or take a unit: 512, 0x200, 64k, 1.5M.\n"
#define HELP_REPORT                                                        \
	" -C        one line of numbers: bytes, requests, time, bytes/s, " \
	"requests/s\n"                                                     \
	" -q        no report\n"
#define HELP_READ                                              \
	" -P BYTE   complain unless all bytes read are BYTE\n" \
	" -v        dump what was read\n" HELP_REPORT
#define HELP_WRITE                                \
	" -P BYTE   write BYTE instead of 0xcd\n" \
	" -f        done means durable (force unit access)\n" HELP_REPORT
#define HELP_ZERO                                                     \
	" -z        write zeros, without data where the format can\n" \
	" -u        with -z: the clusters may be given up\n"
#define HELP_LATER \
	" Does not wait: 'aio_flush' does. Errors are printed but do not count.\n"

#define HELP_BREAK                                                             \
	" For images that are opened as blkdebug::FILE: the first request to " \
	"FILE after\n"                                                         \
	" event is held until it is resumed. Start it with aio_read or "       \
	"aio_write; wait_break\n"                                              \
	" then waits until it is there. Events have QEMU's names: l2_load, "   \
	"write_aio, ...\n"

/* By name, as help lists them. */
static const struct io_command commands[] = {
	{"abort", NULL, cmd_abort, 0, 0, IO_NO_FILE, NULL,
	 "simulate a program crash using abort(3)", NULL},
	{"aio_flush", NULL, io_cmd_aio_flush, 0, 0, 0, NULL,
	 "completes all outstanding aio requests", NULL},
	{"aio_read", NULL, io_cmd_aio_read, 2, -1, 0,
	 "[-Ciqv] [-P pattern] off len [len..]",
	 "asynchronously reads a number of bytes",
	 HELP_LATER HELP_SIZES " -i        do nothing\n" HELP_READ},
	{"aio_write", NULL, io_cmd_aio_write, 2, -1, IO_WRITES,
	 "[-Cfiquz] [-P pattern] off len [len..]",
	 "asynchronously writes a number of bytes",
	 HELP_LATER HELP_SIZES " -i        do nothing\n" HELP_WRITE HELP_ZERO},
	{"alloc", "a", io_cmd_alloc, 1, 2, 0, "offset [count]",
	 "checks if offset is allocated in the file", NULL},
	{"break", NULL, io_cmd_break, 2, 2, 0, "event tag",
	 "sets a breakpoint on event and tags the stopped request as tag",
	 HELP_BREAK},
	{"close", "c", io_cmd_close, 0, 0, 0, NULL,
	 "close the current open file", NULL},
	{"discard", "d", io_cmd_discard, 2, -1, IO_WRITES, "[-Cq] off len",
	 "discards a number of bytes at a specified offset",
	 HELP_SIZES HELP_REPORT},
	{"flush", "f", io_cmd_flush, 0, 0, 0, NULL,
	 "flush all in-core file state to disk", NULL},
	{"help", "?", cmd_help, 0, 1, IO_NO_FILE, "[command]",
	 "help for one or all commands", NULL},
	{"info", "i", io_cmd_info, 0, 0, 0, NULL,
	 "prints information about the current file", NULL},
	{"length", "l", io_cmd_length, 0, 0, 0, NULL,
	 "gets the length of the current file", NULL},
	{"map", NULL, io_cmd_map, 0, 0, 0, "",
	 "prints the allocated areas of a file", NULL},
	{"open", "o", io_cmd_open, 1, -1, IO_NO_FILE,
	 "[-rsCnkU] [-t cache] [-d discard] [-o options] [path]",
	 "open the file specified by path",
	 " -r           read-only\n"
	 " -t CACHE     none, writeback, writethrough (the default), "
	 "directsync, unsafe\n"
	 " -n           short for -t none\n"
	 " -i AIO       io_uring, native (libaio) or threads; -k: native\n"
	 " -d DISCARD   ignore or unmap (the default)\n"
	 " -U           with -r: do not ask for the lock\n"
	 " -o OPTIONS   driver, cache-size, l2-cache-size, "
	 "l2-cache-entry-size,\n"
	 "              refcount-cache-size: -o "
	 "driver=qcow2,l2-cache-size=1M\n"
	 " -s           what is written goes to a temporary file\n"
	 " -C           what is read from backing files is copied into the "
	 "image\n"},
	{"quit", "q", cmd_quit, 0, 0, IO_NO_FILE, NULL, "exit the program",
	 NULL},
	{"read", "r", io_cmd_read, 2, -1, 0,
	 "[-abCqv] [-P pattern [-s off] [-l len]] off len",
	 "reads a number of bytes at a specified offset",
	 HELP_SIZES " -s OFF    with -P: verify from there on, counted from "
		    "off\n"
		    " -l LEN    with -P: verify so many bytes\n"
		    " -b        the state of a virtual machine, not the "
		    "disk\n" HELP_READ},
	{"readv", NULL, io_cmd_readv, 2, -1, 0,
	 "[-Cqv] [-P pattern] off len [len..]",
	 "reads a number of bytes at a specified offset",
	 HELP_SIZES " Each len has a buffer of its own.\n" HELP_READ},
	{"remove_break", NULL, io_cmd_remove_break, 1, 1, 0, "tag",
	 "remove a breakpoint by tag", HELP_BREAK},
	{"reopen", NULL, io_cmd_reopen, 0, -1, 0,
	 "[(-r|-w)] [-c cache] [-o options]",
	 "reopens an image with new options",
	 " -r, -w       read-only, or read and write\n"
	 " -c CACHE     as -t of open\n"
	 " -o OPTIONS   as of open\n"},
	{"resume", NULL, io_cmd_resume, 1, 1, 0, "tag",
	 "resumes the request tagged as tag", HELP_BREAK},
	{"sigraise", NULL, cmd_sigraise, 1, 1, IO_NO_FILE, "signal",
	 "raises a signal", " By number, such as 15 for SIGTERM.\n"},
	{"sleep", NULL, cmd_sleep, 1, 1, IO_NO_FILE, NULL,
	 "waits for the given value in milliseconds", NULL},
	{"truncate", "t", io_cmd_truncate, 1, 3, IO_WRITES,
	 "[-m prealloc_mode] off",
	 "truncates the current file at the given offset",
	 HELP_SIZES " off is the new length, also a larger one.\n"
		    " -m MODE   what is added is off (the default), metadata, "
		    "falloc or full\n"},
	{"wait_break", NULL, io_cmd_wait_break, 1, 1, 0, "tag",
	 "waits for the suspension of a request", HELP_BREAK},
	{"write", "w", io_cmd_write, 2, -1, IO_WRITES,
	 "[-bcCfnquz] [-P pattern | -s source_file] off len",
	 "writes a number of bytes at a specified offset",
	 HELP_SIZES " -s FILE   write the bytes of FILE, repeated\n"
		    " -b        the state of a virtual machine, not the "
		    "disk\n"
		    " -c        compressed\n" HELP_WRITE HELP_ZERO
		    " -n        with -z: accepted, changes nothing\n"},
	{"writev", NULL, io_cmd_writev, 2, -1, IO_WRITES,
	 "[-Cfq] [-P pattern] off len [len..]",
	 "writes a number of bytes at a specified offset",
	 HELP_SIZES " Each len has a buffer of its own.\n" HELP_WRITE},
};

static const struct io_command *
find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		const struct io_command *c = &commands[i];

		if (strcmp(c->name, name) == 0 ||
		    (c->short_name && strcmp(c->short_name, name) == 0))
			return c;
	}
	return NULL;
}

/* ---- help -------------------------------------------------------------- */

static void
print_usage(const struct io_command *c, const char *name)
{
	say("%s", name);
	if (c->args)
		say(" %s", c->args);
	say(" -- %s\n", c->summary);
}

int
io_usage(const char *name)
{
	const struct io_command *c = find(name);

	if (c)
		print_usage(c, c->name);
	return -EINVAL;
}

static int
cmd_help(struct io *io, int argc, char **argv)
{
	const struct io_command *c;

	(void)io;
	if (argc < 2) {
		for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
			print_usage(&commands[i], commands[i].name);
		say("\nUse 'help commandname' for extended help.\n");
		return 0;
	}
	c = find(argv[1]);
	if (!c) {
		say("command %s not found\n", argv[1]);
		return -EINVAL;
	}
	print_usage(c, argv[1]);
	if (c->help)
		say("\n%s\n", c->help);
	return 0;
}

/* ---- small ones -------------------------------------------------------- */

static int
cmd_quit(struct io *io, int argc, char **argv)
{
	(void)io;
	(void)argc;
	(void)argv;
	return IO_QUIT;
}

static int
cmd_abort(struct io *io, int argc, char **argv)
{
	(void)io;
	(void)argc;
	(void)argv;
	(void)msg_end(0);
	abort();
}

static int
cmd_sigraise(struct io *io, int argc, char **argv)
{
	uint64_t n;

	(void)io;
	(void)argc;
	if (io_number(argv[1], &n) < 0)
		return -EINVAL;
	if (n > (uint64_t)SIGRTMAX) {
		say("argument '%s' is too large to be a valid signal number\n",
		    argv[1]);
		return -EINVAL;
	}
	(void)msg_end(0);
	(void)raise((int)n);
	return 0;
}

/* Requests go on meanwhile. */
static int
cmd_sleep(struct io *io, int argc, char **argv)
{
	char *end;
	long ms;

	(void)argc;
	errno = 0;
	ms = strtol(argv[1], &end, 0);
	if (end == argv[1] || *end || errno || ms < 0 || ms > INT_MAX) {
		say("%s is not a valid number\n", argv[1]);
		return -EINVAL;
	}
	for (uint64_t until = io_now_ns() + (uint64_t)ms * 1000000, now;
	     (now = io_now_ns()) < until;) {
		struct timespec left = {
			.tv_sec = (time_t)((until - now) / 1000000000),
			.tv_nsec = (long)((until - now) % 1000000000)};

		if (io->in_flight)
			(void)q2_loop_run(io->file.loop, 1,
					  (int64_t)(until - now));
		else
			(void)nanosleep(&left, NULL);
	}
	return 0;
}

/* ---- running ----------------------------------------------------------- */

static bool
has_file(const struct io *io, const struct io_command *c)
{
	if (io->file.img || (c->flags & IO_NO_FILE))
		return true;
	talk("no file open, try 'help open'");
	return false;
}

static bool
has_args(const struct io_command *c, const char *name, int n)
{
	if (n >= c->args_min && (c->args_max < 0 || n <= c->args_max))
		return true;
	if (c->args_max < 0)
		talk("bad argument count %d to %s, expected at least %d "
		     "arguments",
		     n, name, c->args_min);
	else if (c->args_min == c->args_max)
		talk("bad argument count %d to %s, expected %d arguments", n,
		     name, c->args_min);
	else
		talk("bad argument count %d to %s, expected between %d and %d "
		     "arguments",
		     n, name, c->args_min, c->args_max);
	return false;
}

static bool
may_write(const struct io *io, const struct io_command *c)
{
	if (!(c->flags & IO_WRITES) || !(io->opts.open.flags & Q2_RDONLY))
		return true;
	(void)complain("Block node is read-only");
	return false;
}

static int
run(struct io *io, int argc, char **argv)
{
	const struct io_command *c = find(argv[0]);

	if (!c) {
		talk("command \"%s\" not found", argv[0]);
		return -EINVAL;
	}
	if (!has_file(io, c) || !has_args(c, argv[0], argc - 1) ||
	    !may_write(io, c))
		return -EINVAL;
	optind = 0; /* glibc: start anew */
	return c->run(io, argc, argv);
}

/* Words are separated by spaces; there is no quoting. */
int
io_run_line(struct io *io, char *line)
{
	char *words[WORDS_MAX + 1], *word, *rest = line;
	int n = 0;

	while ((word = strsep(&rest, " "))) {
		if (!*word)
			continue;
		if (n == WORDS_MAX) {
			talk("a command has more than %d words", WORDS_MAX);
			return -EINVAL;
		}
		words[n++] = word;
	}
	words[n] = NULL;
	return n ? run(io, n, words) : 0;
}
