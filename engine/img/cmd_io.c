/* SPDX-License-Identifier: MIT */
/*
 * cmd_io.c - qcowimg io: the command line, and where commands come from
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/num.h"
#include "engine/img/cmd.h"
#include "engine/img/io.h"
#include "engine/img/msg.h"

/* Longer lines are no commands. */
#define LINE_MAX_BYTES 65536

struct io_args {
	struct file_opts file;
	const char **commands; /* of -c */
	size_t n_commands;
	bool misalign;
	const char *filename; /* or NULL */
};

/* ---- the command line -------------------------------------------------- */

static int
bad_value(const char *what, const char *remedy)
{
	if (msg_role() == ROLE_QCOWIMG)
		return complain("Invalid %s option: %s (%s)", what, optarg,
				remedy);
	return complain("Invalid %s option: %s", what, optarg);
}

static int
take_option(int c, struct io_args *args)
{
	struct file_opts *f = &args->file;

	switch (c) {
	case 'c':
		args->commands[args->n_commands++] = optarg;
		break;
	case 'f':
		f->format = optarg;
		break;
	case 'r':
		f->open.flags |= Q2_RDONLY;
		break;
	case 'U':
		f->open.flags |= Q2_FORCE_SHARE;
		break;
	case 'n':
		f->open.cache = Q2_CACHE_NONE;
		break;
	case 'k':
		f->aio = "native";
		break;
	case 'm':
		args->misalign = true;
		break;
	case 't':
		if (!file_parse_cache(optarg, &f->open.cache))
			return bad_value("cache", FILE_CACHES);
		break;
	case 'd':
		if (!file_parse_discard(optarg, &f->open.flags))
			return bad_value("discard", "use ignore or unmap");
		break;
	case 'i':
		f->aio = file_parse_aio(optarg);
		if (!f->aio)
			return bad_value("aio", FILE_AIOS);
		break;
	case 's':
		f->overlay = true;
		break;
	case 'C':
		f->copy_on_read = true;
		break;
	case 'T':
		cmd_take_trace(optarg);
		break;
	case OPT_OBJECT:
		return cmd_take_object(optarg);
	case OPT_IMAGE_OPTS:
		f->image_opts = true;
		break;
	case '?':
		if (msg_role() == ROLE_QCOWIMG)
			talk("Try 'qcowimg help io'");
		else
			help_print("io");
		return 1;
	default:
		help_print("io");
		return 0;
	}
	return CMD_GO_ON;
}

static const struct manual_option options[] = {
	{'c', "cmd", "STRING", NULL, "a command; may be given several times"},
	MANUAL_FORMAT,
	{'r', "read-only", NULL, NULL, "open the image read-only"},
	{'t', "cache", "MODE", MANUAL_CACHES,
	 "none, writeback, writethrough (the default), directsync or unsafe"},
	{'n', "nocache", NULL, NULL, "short for -t none"},
	{'i', "aio", "MODE", "io_uring native threads",
	 "io_uring, native (libaio) or threads"},
	{'k', "native-aio", NULL, NULL, "short for -i native"},
	{'d', "discard", "MODE", "ignore unmap",
	 "ignore or unmap (the default)"},
	{'m', "misalign", NULL, NULL,
	 "use buffers that O_DIRECT cannot take as they are"},
	{'U', "force-share", NULL, NULL, "with -r: do not ask for the lock"},
	{'s', "snapshot", NULL, NULL,
	 "do not change the image: what is written goes to a temporary file"},
	{'C', "copy-on-read", NULL, NULL,
	 "copy what is read from backing files into the image"},
	{'T', "trace", "OPTIONS", NULL, "taken; there are no trace events"},
	MANUAL_OBJECT,
	MANUAL_IMAGE_OPTS,
	MANUAL_HELP,
	{'V', "version", NULL, NULL, "the version"},
};

const struct manual manual_io = {
	.name = "io",
	.operands = "[FILE]",
	.brief = "read, write and verify, by commands such as 'write 0 64k'",
	.text = "Read, write and verify an image by commands, as QEMU's qemu-io. Commands come from -c, or else from standard input.",
	.options = options,
	.n = ARRAY_SIZE(options),
	.more = "The command 'help' lists the commands.\n"
		"Exit status: 0 all commands did well, 1 one did not.\n",
	.getopt_complains = true,
};

static int
parse(int argc, char **argv, struct io_args *ret)
{
	int c, status = CMD_GO_ON;

	while ((c = manual_next(&manual_io, argc, argv)) != -1) {
		if (c == 'V') {
			help_print_version();
			return 0;
		}
		status = take_option(c, ret);
		if (status != CMD_GO_ON)
			return status;
	}
	if (optind < argc - 1) {
		if (msg_role() == ROLE_QCOWIMG)
			return complain("one image file at most, not '%s' too",
					argv[optind + 1]);
		help_print("io");
		return 1;
	}
	ret->filename = optind < argc ? argv[optind] : NULL;
	if (ret->filename && ret->file.format && ret->file.image_opts)
		return complain("--image-opts and -f are mutually exclusive");
	return CMD_GO_ON;
}

/* ---- commands ---------------------------------------------------------- */

/* Lines of standard input.  Not stdio: while no line is there, requests in
 * flight must go on. */
struct reader {
	char bytes[LINE_MAX_BYTES];
	size_t have;
	bool ended;
	bool skipping; /* the rest of a line that is too long */
	bool failed;
};

/* Wait until input is there; requests go on meanwhile. */
static void
wait_for_input(struct io *io)
{
	while (io->in_flight) {
		struct pollfd fds[] = {
			{.fd = STDIN_FILENO, .events = POLLIN},
			{.fd = q2_loop_fd(io->file.loop), .events = POLLIN},
		};

		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return;
		if (fds[0].revents)
			return;
		if (q2_loop_run(io->file.loop, 0, 0) < 0)
			return;
		(void)msg_flush();
	}
}

static void
drop_line(struct reader *in, size_t len)
{
	size_t used = len < in->have ? len + 1 : len;

	in->have -= used;
	memmove(in->bytes, in->bytes + used, in->have);
}

/* The line does not fit: none of it is a command. */
static void
skip_line(struct reader *in)
{
	if (!in->skipping)
		(void)complain("a line of more than %zu bytes is left out",
			       sizeof(in->bytes) - 2);
	in->skipping = true;
	in->failed = true;
	in->have = 0;
}

/*
 * The next line, without its end; false at the end of input.  The line stays
 * until take_line().
 */
static bool
next_line(struct reader *in, struct io *io, size_t *ret_len)
{
	for (;;) {
		char *end = memchr(in->bytes, '\n', in->have);
		ssize_t n;

		if (in->skipping && (end || in->ended)) {
			drop_line(in,
				  end ? (size_t)(end - in->bytes) : in->have);
			in->skipping = false;
			continue;
		}
		if (in->have == sizeof(in->bytes) - 1 && !end)
			skip_line(in);
		if (!in->skipping && (end || in->ended)) {
			*ret_len = end ? (size_t)(end - in->bytes) : in->have;
			in->bytes[*ret_len] = 0;
			return end || in->have;
		}
		wait_for_input(io);
		n = read(STDIN_FILENO, in->bytes + in->have,
			 sizeof(in->bytes) - 1 - in->have);
		if (n > 0)
			in->have += (size_t)n;
		else if (n == 0 || errno != EINTR)
			in->ended = true;
	}
}

/* qemu-io prompts always; programs wait for it. */
static void
prompt(void)
{
	if (msg_role() == ROLE_QEMU_IO || isatty(STDIN_FILENO)) {
		say("%s> ", msg_name());
		(void)msg_flush();
	}
}

/* Returns 0, or -EINVAL if a command failed. */
static int
run_stdin(struct io *io)
{
	struct reader *in = calloc(1, sizeof(*in));
	int r, status = 0;
	size_t len;

	if (!in) {
		(void)complain("no memory");
		return -ENOMEM;
	}
	prompt();
	while (next_line(in, io, &len)) {
		r = io_run_line(io, in->bytes);
		(void)msg_flush();
		if (r == IO_QUIT)
			break;
		if (r < 0)
			status = r;
		drop_line(in, len);
		prompt();
	}
	if (in->failed && status == 0)
		status = -EINVAL;
	free(in);
	return status;
}

static int
run_commands(struct io *io, const struct io_args *args)
{
	int r, status = 0;

	if (!args->n_commands)
		return run_stdin(io);
	for (size_t i = 0; i < args->n_commands; i++) {
		char *line = strdup(args->commands[i]);

		r = line ? io_run_line(io, line) : -ENOMEM;
		free(line);
		if (r == IO_QUIT)
			break;
		if (r < 0)
			status = r;
	}
	return status;
}

static int
run(const struct io_args *args)
{
	struct io io = {.misalign = args->misalign,
			.image_opts = args->file.image_opts};
	int status;

	if (args->filename && io_open(&io, args->filename, &args->file) < 0)
		return 1;
	status = run_commands(&io, args) < 0;
	if (io_close(&io) < 0)
		status = 1;
	return status;
}

int
cmd_io(int argc, char **argv)
{
	struct io_args args = {.file = IO_OPTS_DEFAULT};
	int status;

	args.commands = calloc((size_t)argc, sizeof(*args.commands));
	if (!args.commands)
		return complain("no memory");
	/* getopt names the program by this in its messages. */
	argv[0] = (char *)(uintptr_t)msg_name();
	status = parse(argc, argv, &args);
	if (status == CMD_GO_ON)
		status = run(&args);
	free(args.commands);
	return status;
}
