/* SPDX-License-Identifier: MIT */
/*
 * help.c - the help texts: the program, and each subcommand
 *
 * %s in a text is the name of the program in its present role.
 */
#include <stddef.h>
#include <string.h>

#include "engine/base/num.h"
#include "engine/img/cmd.h"
#include "engine/img/msg.h"

static const char help_program[] =
	"Usage: %s COMMAND [OPTION]... FILE\n"
	"Make, inspect and exercise disk images, qcow2 and raw.\n"
	"\n"
	"Commands, with the options and the output of QEMU's qemu-img and "
	"qemu-io:\n"
	"  create   make an image\n"
	"  info     what an image is; --layout: what it really has on disk\n"
	"  check    compare the reference counts with what is in use\n"
	"  map      which parts of the disk are where in the file\n"
	"  measure  how large a file an image needs\n"
	"  resize   give the disk another size\n"
	"  io       read, write and verify, by commands such as 'write 0 64k'\n"
	"  help     this text, or 'help COMMAND': all options of a command\n"
	"\n"
	"  -h, --help, -V, --version\n"
	"\n"
	"Sizes are bytes, or take k, M, G, T, P or E (powers of 1024).\n"
	"Called qemu-img or qemu-io (by a link), the program takes that role.\n";

static const char help_create[] =
	"Usage: %s create [OPTION]... FILE [SIZE]\n"
	"Make an image of SIZE bytes. A file of that name is replaced.\n"
	"\n"
	"  -f FORMAT       raw (the default) or qcow2\n"
	"  -o NAME=VALUE,...\n"
	"                  options of the format; -o help lists them\n"
	"  -b FILE         the backing file, relative to the new image; without\n"
	"                  SIZE the image is as large\n"
	"  -F FORMAT       its format: qcow2 or raw\n"
	"  -u              do not look at the backing file; SIZE is needed\n"
	"  -q              print nothing but errors\n"
	"Beyond qemu-img:\n"
	"  -t CACHE        how the file is written: none, writeback,\n"
	"                  writethrough, directsync or unsafe (--cache)\n"
	"  --aio=AIO       io_uring, libaio or threads; default: the best that\n"
	"                  works here\n"
	"Not yet: encryption (--object).\n"
	"\n"
	"Example: create -f qcow2 -o preallocation=metadata disk.qcow2 20G\n"
	"Exit status: 0 made, 1 error; then no image is left behind.\n";

static const char help_info[] =
	"Usage: %s info [OPTION]... FILE\n"
	"Say what an image is.\n"
	"\n"
	"  -f FORMAT        qcow2 or raw; default: as its first bytes say\n"
	"  --output=FORM    human (the default) or json\n"
	"  --backing-chain  the backing files too\n"
	"  -U               do not ask for the lock; another program may be\n"
	"                   writing (--force-share)\n"
	"Beyond qemu-img:\n"
	"  --layout         length, space on disk, metadata, and which\n"
	"                   preallocation the image really has: off, partly\n"
	"                   filled, metadata, falloc, full; on file systems that\n"
	"                   do not tell (no FIEMAP): metadata or better\n"
	"  --aio=AIO        io_uring, libaio or threads\n"
	"\n"
	"Exit status: 0, or 1 for an error.\n";

static const char help_check[] =
	"Usage: %s check [OPTION]... FILE\n"
	"Compare an image's reference counts with what is in use. Without -r "
	"it\n"
	"changes nothing.\n"
	"\n"
	"  -r leaks       free what nothing uses (--repair)\n"
	"  -r all         set right all that can be, then check again; what a "
	"guest\n"
	"                 reads stays the same\n"
	"  -f FORMAT      qcow2; default: as its first bytes say\n"
	"  --output=FORM  human (the default) or json\n"
	"  -q             print nothing but findings and errors\n"
	"  -T CACHE       how the file is used: none, writeback, ...\n"
	"  -U             do not ask for the lock; with another program writing,\n"
	"                 findings may be false (--force-share)\n"
	"Beyond qemu-img:\n"
	"  --aio=AIO      io_uring, libaio or threads\n"
	"\n"
	"Exit status: 0 consistent (now), 1 the check could not be done, 2 "
	"corruption,\n"
	"3 leaked clusters only, 63 a format that cannot be checked.\n";

static const char help_map[] =
	"Usage: %s map [OPTION]... FILE\n"
	"Say which parts of the disk are where in the file.\n"
	"\n"
	"  -f FORMAT               qcow2 or raw; default: as its first bytes "
	"say\n"
	"  --output=FORM           human (the default; data only) or json\n"
	"  -s, --start-offset=OFF  begin there\n"
	"  -l, --max-length=LEN    so many bytes at most\n"
	"  -U                      do not ask for the lock (--force-share)\n"
	"Beyond qemu-img:\n"
	"  --aio=AIO               io_uring, libaio or threads\n"
	"\n"
	"Exit status: 0, or 1 for an error.\n";

static const char help_measure[] =
	"Usage: %s measure [OPTION]... --size=SIZE\n"
	"       %s measure [OPTION]... FILE\n"
	"Say how large a file an image of SIZE bytes, or of FILE's content, "
	"needs.\n"
	"\n"
	"  -O FORMAT        of the new image: raw (the default) or qcow2\n"
	"  -o NAME=VALUE,...\n"
	"                   its options; -o help lists them\n"
	"  -f FORMAT        of FILE: qcow2 or raw; default: as its first bytes "
	"say\n"
	"  --output=FORM    human (the default) or json\n"
	"  -U               do not ask for the lock (--force-share)\n"
	"Beyond qemu-img:\n"
	"  --aio=AIO        io_uring, libaio or threads\n"
	"Not yet: internal snapshots (-l).\n"
	"\n"
	"Exit status: 0, or 1 for an error.\n";

static const char help_resize[] =
	"Usage: %s resize [OPTION]... FILE [+|-]SIZE\n"
	"Give the disk another size; + and - are relative to the present one.\n"
	"\n"
	"  -f FORMAT               qcow2 or raw; default: as its first bytes "
	"say\n"
	"  --preallocation=MODE    of what is added: off (the default), "
	"metadata,\n"
	"                          falloc or full; raw has no metadata\n"
	"  --shrink                cutting off the end of the disk is meant\n"
	"  -q                      print nothing but errors\n"
	"Beyond qemu-img:\n"
	"  --aio=AIO               io_uring, libaio or threads\n"
	"\n"
	"Make partitions and file systems smaller before a disk, and larger "
	"after it.\n"
	"Exit status: 0, or 1 for an error; then the image is as it was, or "
	"the\n"
	"message says otherwise.\n";

/* The first line is QEMU's form, which scripts look for. */
static const char help_io[] =
	"[OPTIONS]... [-c STRING]... [file]\n"
	"Read, write and verify an image by commands, as QEMU's qemu-io.\n"
	"Commands come from -c, or else from standard input.\n"
	"\n"
	"  -c, --cmd STRING    a command; may be given several times\n"
	"  -f, --format FMT    qcow2 or raw; default: as its first bytes say\n"
	"  -r, --read-only     open the image read-only\n"
	"  -t, --cache MODE    none, writeback, writethrough (the default), "
	"directsync\n"
	"                      or unsafe\n"
	"  -n, --nocache       short for -t none\n"
	"  -i, --aio MODE      io_uring, native (libaio) or threads\n"
	"  -k, --native-aio    short for -i native\n"
	"  -d, --discard MODE  ignore or unmap (the default)\n"
	"  -m, --misalign      use buffers that O_DIRECT cannot take as they "
	"are\n"
	"  -U, --force-share   with -r: do not ask for the lock\n"
	"  -h, --help          this text\n"
	"  -V, --version       the version\n"
	"Not yet: --object, --image-opts, -s, -C, -T.\n"
	"\n"
	"The command 'help' lists the commands.\n"
	"Exit status: 0 all commands did well, 1 one did not.\n";

void
help_print(const char *name)
{
	static const struct {
		const char *name, *text;
	} texts[] = {
		{"create", help_create},   {"info", help_info},
		{"check", help_check},     {"map", help_map},
		{"measure", help_measure}, {"resize", help_resize},
	};

	for (size_t i = 0; name && i < ARRAY_SIZE(texts); i++) {
		if (strcmp(texts[i].name, name) == 0) {
			/* NOLINTNEXTLINE(clang-diagnostic-format-nonliteral) */
			say(texts[i].text, msg_name(), msg_name());
			return;
		}
	}
	if (name) {
		say("Usage: %s%s %s", msg_name(),
		    msg_role() == ROLE_QEMU_IO ? "" : " io", help_io);
		return;
	}
	say(help_program, msg_name());
}
