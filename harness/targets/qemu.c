/* SPDX-License-Identifier: MIT */
#include "harness/targets/qemu.h"

#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "engine/base/err.h"
#include "engine/base/mem.h"
#include "engine/base/num.h"
#include "harness/targets/nbd_disk.h"
#include "harness/targets/process.h"

static char nbd_program[] = "qemu-nbd";
static char img_program[] = "qemu-img";

#define ARGS_MAX 20
#define ARG_SIZE 96
/* Of a path in which each comma stands twice, with options before it. */
#define PATH_SIZE (2 * PATH_MAX + 320)

/* Words of a command line; the longer ones are kept in text. */
struct command {
	char *argv[ARGS_MAX + 1];
	size_t n;
	char text[8][ARG_SIZE];
	size_t ntext;
	char path[PATH_SIZE];
};

static void
add(struct command *c, char *word)
{
	if (c->n < ARGS_MAX)
		c->argv[c->n++] = word;
}

static void add_text(struct command *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void
add_text(struct command *c, const char *fmt, ...)
{
	va_list ap;

	if (c->ntext == ARRAY_SIZE(c->text))
		return;
	va_start(ap, fmt);
	(void)vsnprintf(c->text[c->ntext], ARG_SIZE, fmt, ap);
	va_end(ap);
	add(c, c->text[c->ntext++]);
}

/* A name that QEMU takes for nothing but a file: neither option nor
 * protocol. */
static void
add_path(struct command *c, const char *path)
{
	(void)snprintf(c->path, sizeof(c->path), "%s%s",
		       path[0] == '/' ? "" : "./", path);
	add(c, c->path);
}

/* ",key=value" at the end of c->path. */
static void add_option(struct command *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void
add_option(struct command *c, const char *fmt, ...)
{
	size_t n = strlen(c->path);
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(c->path + n, sizeof(c->path) - n, fmt, ap);
	va_end(ap);
}

/* ---- versions ---------------------------------------------------------- */

/* "qemu-nbd 7.2.22 (Debian ...)" -> "QEMU 7.2.22" */
static int
read_version(char version[TARGET_VERSION], struct q2_err *err)
{
	static char word[] = "--version";
	char *const argv[] = {nbd_program, word, NULL};
	char text[256], number[32];
	int r = process_run(argv, text, sizeof(text), err);

	version[0] = '\0';
	if (r < 0)
		return r;
	if (sscanf(text, "qemu-nbd %31s", number) == 1)
		(void)snprintf(version, TARGET_VERSION, "QEMU %s", number);
	return 0;
}

static void
qemu_version(char version[TARGET_VERSION])
{
	(void)read_version(version, NULL);
}

int
qemu_check(char version[TARGET_VERSION], struct q2_err *err)
{
	static char word[] = "--version";
	char *const argv[] = {img_program, word, NULL};
	int r;

	version[0] = '\0';
	r = nbd_disk_check(err);
	if (r >= 0)
		r = read_version(version, err);
	return r < 0 ? r : process_run(argv, NULL, 0, err);
}

static int
qemu_is_here(struct q2_err *err)
{
	char version[TARGET_VERSION];

	return qemu_check(version, err);
}

/* ---- making an image --------------------------------------------------- */

static const char *
raw_preallocation(const char *state)
{
	if (strcmp(state, "falloc") == 0)
		return "falloc";
	return strcmp(state, "written") == 0 ? "full" : "off";
}

static const char *
qcow2_preallocation(enum q2_prealloc prealloc)
{
	static const char *const names[] = {"off", "metadata", "falloc",
					    "full"};

	return names[prealloc];
}

/* What is not the default, each as a second -o. */
static void
add_features(struct command *c, char *option, const struct target_image *image)
{
	if (image->compat == 2) {
		add(c, option);
		add_text(c, "compat=0.10");
	}
	if (image->refcount_bits) {
		add(c, option);
		add_text(c, "refcount_bits=%u", image->refcount_bits);
	}
	if (image->extended_l2 || image->lazy_refcounts) {
		add(c, option);
		add_text(c, "extended_l2=%s,lazy_refcounts=%s",
			 image->extended_l2 ? "on" : "off",
			 image->lazy_refcounts ? "on" : "off");
	}
}

static int
qemu_create(const char *path, const struct target_image *image,
	    struct q2_err *err)
{
	static char verb[] = "create", quiet[] = "-q", format[] = "-f",
		    raw[] = "raw", qcow2[] = "qcow2", option[] = "-o";
	struct command c = {.n = 0};

	add(&c, img_program);
	add(&c, verb);
	add(&c, quiet);
	add(&c, format);
	add(&c, image->raw_state ? raw : qcow2);
	add(&c, option);
	if (image->raw_state) {
		add_text(&c, "preallocation=%s",
			 raw_preallocation(image->raw_state));
	} else {
		add_text(&c, "cluster_size=%" PRIu32 ",preallocation=%s",
			 image->cluster_size,
			 qcow2_preallocation(image->prealloc));
		add_features(&c, option, image);
	}
	add_path(&c, path);
	add_text(&c, "%" PRIu64, image->virtual_bytes);
	return process_run(c.argv, NULL, 0, err);
}

/* ---- serving it -------------------------------------------------------- */

/* A Unix socket's name is short; the folder's may be longer than that. */
static int
socket_address(const char *path, struct sockaddr_un *ret, int *ret_folder)
{
	Q2_AUTO_FREE char *copy = strdup(path);
	int fd;

	if (!copy)
		return -ENOMEM;
	fd = open(dirname(copy), O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	(void)snprintf(ret->sun_path, sizeof(ret->sun_path),
		       "/proc/self/fd/%d/nbd-%d.sock", fd, (int)getpid());
	*ret_folder = fd;
	return 0;
}

/* Both ends of a connection that a server has yet to accept. */
static int
make_sockets(const struct sockaddr_un *address, int *ret_listen,
	     int *ret_client)
{
	const struct sockaddr *sa = (const struct sockaddr *)address;
	int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int r = 0;

	if (server < 0 || client < 0 ||
	    bind(server, sa, sizeof(*address)) < 0 || listen(server, 1) < 0 ||
	    connect(client, sa, sizeof(*address)) < 0)
		r = -errno;
	(void)unlink(address->sun_path);
	if (r < 0) {
		if (server >= 0)
			(void)close(server);
		if (client >= 0)
			(void)close(client);
		return r;
	}
	*ret_listen = server;
	*ret_client = client;
	return 0;
}

static int
open_sockets(const char *path, int *ret_listen, int *ret_client,
	     struct q2_err *err)
{
	struct sockaddr_un address;
	int folder = -1;
	int r = socket_address(path, &address, &folder);

	if (r == 0)
		r = make_sockets(&address, ret_listen, ret_client);
	if (folder >= 0)
		(void)close(folder);
	if (r < 0)
		return q2_fail(err, r,
			       "cannot make a socket in the folder of %s: %s",
			       path, strerror(-r));
	return 0;
}

static const char *
cache_name(enum q2_cache cache)
{
	switch (cache) {
	case Q2_CACHE_NONE:
		return "none";
	case Q2_CACHE_WRITETHROUGH:
		return "writethrough";
	case Q2_CACHE_DIRECTSYNC:
		return "directsync";
	case Q2_CACHE_UNSAFE:
		return "unsafe";
	case Q2_CACHE_DEFAULT:
	case Q2_CACHE_WRITEBACK:
		break;
	}
	return "writeback";
}

/* QEMU's name for a backend of ours. */
static const char *
qemu_aio(const char *aio)
{
	if (strncmp(aio, "io_uring", strlen("io_uring")) == 0)
		return "io_uring";
	return strncmp(aio, "libaio", strlen("libaio")) == 0 ? "native"
							     : "threads";
}

static const char *
detect_name(enum q2_detect_zeroes detect)
{
	return detect == Q2_DETECT_UNMAP ? "unmap"
	       : detect == Q2_DETECT_ON  ? "on"
					 : "off";
}

static bool
has_cache_sizes(const struct target_image *image)
{
	return image->l2_cache_size || image->l2_cache_entry_size ||
	       image->refcount_cache_size || image->cache_clean_interval;
}

/* qcow2's own caches have no option but this form of a name. */
static void
add_image_options(struct command *c, const char *path,
		  const struct target_image *image)
{
	static char word[] = "--image-opts";

	(void)snprintf(c->path, sizeof(c->path), "driver=qcow2");
	if (image->l2_cache_size)
		add_option(c, ",l2-cache-size=%" PRIu64, image->l2_cache_size);
	if (image->l2_cache_entry_size)
		add_option(c, ",l2-cache-entry-size=%" PRIu64,
			   image->l2_cache_entry_size);
	if (image->refcount_cache_size)
		add_option(c, ",refcount-cache-size=%" PRIu64,
			   image->refcount_cache_size);
	if (image->cache_clean_interval)
		add_option(c, ",cache-clean-interval=%u",
			   image->cache_clean_interval == UINT_MAX
				   ? 0
				   : image->cache_clean_interval);
	add_option(c, ",file.driver=file,file.filename=");
	for (; *path; path++)
		add_option(c, *path == ',' ? ",%c" : "%c", *path);
	add(c, word);
	add(c, c->path);
}

static int
start(struct server *server, const char *path, const char *aio,
      const struct target_image *image, int listen_fd, struct q2_err *err)
{
	static char raw[] = "--format=raw", qcow2[] = "--format=qcow2",
		    ignore[] = "--discard=ignore", unmap[] = "--discard=unmap";
	struct command c = {.n = 0};

	add(&c, nbd_program);
	add_text(&c, "--cache=%s", cache_name(image->cache));
	add_text(&c, "--aio=%s", qemu_aio(aio));
	add(&c, image->unmap ? unmap : ignore);
	add_text(&c, "--detect-zeroes=%s", detect_name(image->detect_zeroes));
	if (!image->raw_state && has_cache_sizes(image)) {
		add_image_options(&c, path, image);
	} else {
		add(&c, image->raw_state ? raw : qcow2);
		add_path(&c, path);
	}
	return server_start(server, c.argv, listen_fd, err);
}

/* Leave the server, which then closes its image and ends. */
static int
qemu_close(struct disk *disk, struct q2_err *err)
{
	struct server *server = disk->server;
	struct disk client = *disk;
	int r, ended;

	client.close = server->leave;
	r = disk_close(&client, err);
	ended = server_wait(server, r < 0 ? NULL : err);
	free(server);
	return r < 0 ? r : ended;
}

static int
qemu_open(struct q2_loop *loop, const char *path,
	  const struct target_image *image, struct disk *ret,
	  struct q2_err *err)
{
	struct nbd_want want = {
		.bytes = image->virtual_bytes, .exactly = true, .write = true};
	struct server *server;
	int listen_fd = -1, client = -1, r;

	r = nbd_disk_check(err);
	if (r < 0)
		return r;
	server = calloc(1, sizeof(*server));
	if (!server)
		return q2_fail(err, -ENOMEM, "no memory for a server");
	r = open_sockets(path, &listen_fd, &client, err);
	if (r < 0) {
		free(server);
		return r;
	}
	r = start(server, path, q2_loop_aio(loop), image, listen_fd, err);
	/* Without our end of it, the connection breaks when the server does. */
	(void)close(listen_fd);
	if (r < 0) {
		(void)close(client);
		free(server);
		return r;
	}
	r = nbd_disk_of_socket(ret, loop, client, &want, err);
	if (r < 0) {
		server_explain(server, err);
		server_kill(server);
		free(server);
		return r;
	}
	server->leave = ret->close;
	ret->server = server;
	ret->close = qemu_close;
	return 0;
}

const struct target target_qemu = {
	.name = "qemu",
	.suffix = ".img",
	.help = "QEMU's block layer: qemu-nbd serves an image of qemu-img's",
	.has_file = true,
	.open_disk = qemu_open,
	.create_file = qemu_create,
	.check = qemu_is_here,
	.version = qemu_version,
	.aio = qemu_aio,
};
