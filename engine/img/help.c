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
	"  convert  copy an image into another, of any format and "
	"preallocation\n"
	"  compare  does a guest read the same from two images?\n"
	"  dd       copy a part of an image into a new one\n"
	"  bench    time a stream of requests\n"
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

static const char help_convert[] =
	"Usage: %s convert [OPTION]... SOURCE [SOURCE]... TARGET\n"
	"Copy images, one behind the other, into TARGET, which is made.\n"
	"\n"
	"  -f FORMAT       of the sources; default: as their first bytes say\n"
	"  -O FORMAT       of the target: raw (the default) or qcow2\n"
	"  -o NAME=VALUE,...\n"
	"                  options of the target, as with create; -o help "
	"lists them\n"
	"  -B FILE -F FORMAT\n"
	"                  backing file of the target: only what the source's "
	"own file\n"
	"                  holds is copied\n"
	"  -n              TARGET is there already, and large enough\n"
	"  --target-is-zero  with -n: it reads as zeros\n"
	"  -S SIZE         zeros from this length on are not written (4k); 0 "
	"writes all\n"
	"  -m N            pieces under way, 1 to 16 (8)\n"
	"  -W              write out of order\n"
	"  -r RATE         bytes per second at most\n"
	"  -t, -T CACHE    of the target (unsafe) and of the sources "
	"(writeback)\n"
	"  -p, -q          show progress; print nothing but errors\n"
	"  -C              taken, no effect\n"
	"  -U              sources: do not ask for the lock (--force-share)\n"
	"  --image-opts, --target-image-opts\n"
	"                  names are options: driver=qcow2,file.filename=...\n"
	"  --object secret,id=NAME,data=TEXT\n"
	"Beyond qemu-img:\n"
	"  --aio=AIO       io_uring, libaio or threads\n"
	"Not yet: -c, -l, --bitmaps, --salvage.\n"
	"\n"
	"Example: convert -O qcow2 -o preallocation=metadata disk.raw "
	"disk.qcow2\n"
	"Exit status: 0 copied, 1 error; then a target that was made is "
	"removed.\n";

static const char help_compare[] =
	"Usage: %s compare [OPTION]... FILE FILE\n"
	"Does a guest read the same from both? Behind the end of the shorter "
	"one the\n"
	"other must read as zeros.\n"
	"\n"
	"  -f, -F FORMAT   of the first and of the second file\n"
	"  -s              strict: same size, same allocation too\n"
	"  -p, -q          show progress; print nothing but errors\n"
	"  -T CACHE        how the files are read: none, writeback, ...\n"
	"  -U              do not ask for locks (--force-share)\n"
	"  --image-opts    names are options: driver=qcow2,file.filename=...\n"
	"  --object secret,id=NAME,data=TEXT\n"
	"Beyond qemu-img:\n"
	"  --aio=AIO       io_uring, libaio or threads\n"
	"\n"
	"Exit status: 0 same, 1 different, 2 not opened, 3 no map, 4 not "
	"read.\n";

static const char help_dd[] =
	"Usage: %s dd [OPTION]... if=SOURCE of=TARGET [bs=SIZE] [count=N] "
	"[skip=N]\n"
	"Copy blocks into TARGET, which is made: the first count ones but the "
	"first skip\n"
	"ones (QEMU counts skipped blocks, too).\n"
	"\n"
	"  -f FORMAT       of the source; default: as its first bytes say\n"
	"  -O FORMAT       of the target: raw (the default) or qcow2\n"
	"  bs=SIZE         of a block (512)\n"
	"  -U              do not ask for the source's lock (--force-share)\n"
	"  --image-opts    SOURCE is options: driver=qcow2,file.filename=...\n"
	"  --object secret,id=NAME,data=TEXT\n"
	"Beyond qemu-img:\n"
	"  --aio=AIO       io_uring, libaio or threads\n"
	"\n"
	"Exit status: 0, or 1 for an error.\n";

static const char help_bench[] =
	"Usage: %s bench [OPTION]... FILE\n"
	"Time a stream of requests.\n"
	"\n"
	"  -c COUNT        requests (75000)\n"
	"  -d DEPTH        in flight at once (64)\n"
	"  -s SIZE         of a request (4096)\n"
	"  -S STEP         from one request's offset to the next one's (SIZE)\n"
	"  -o OFFSET       of the first request\n"
	"  -w              write; --pattern=BYTE is what\n"
	"  --flush-interval=N  with -w: a flush after each N requests; others "
	"wait for\n"
	"                  it, but for --no-drain\n"
	"  -f FORMAT       default: as the file's first bytes say\n"
	"  -t CACHE        none, writeback (the default), writethrough, ...\n"
	"  -i AIO, -n      io_uring, native (libaio) or threads; -n: native\n"
	"  -U              do not ask for the lock (--force-share)\n"
	"  --image-opts    FILE is options: driver=qcow2,file.filename=...\n"
	"\n"
	"Exit status: 0, or 1 for an error.\n";

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
	"  --image-opts            FILE is options: driver=qcow2,file.filename=...\n"
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
	"      --image-opts    names are options: driver=qcow2,file.filename=...\n"
	"      --object secret,id=NAME,data=TEXT\n"
	"Not yet: -s, -C, -T.\n"
	"\n"
	"The command 'help' lists the commands.\n"
	"Exit status: 0 all commands did well, 1 one did not.\n";

void
help_print_version(void)
{
	if (msg_role() == ROLE_QCOWIMG)
		say("qcowimg version %s\n", q2_version());
	else
		say("%s version %s (qcowimg)\n", msg_name(), q2_version());
}

void
help_print(const char *name)
{
	static const struct {
		const char *name, *text;
	} texts[] = {
		{"convert", help_convert}, {"compare", help_compare},
		{"dd", help_dd},           {"bench", help_bench},
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
