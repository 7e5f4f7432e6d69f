/* SPDX-License-Identifier: MIT */
/*
 * lock.c - QEMU's lock bytes, so that we and QEMU respect each other
 *
 * Open file description locks on single bytes of the image, all of them
 * shared, none ever exclusive:
 *
 *	byte 100 + i    the holder uses permission i
 *	byte 200 + i    the holder does not let others use permission i
 *
 * with i = 0 consistent read, 1 write, 2 write unchanged, 3 resize.  One first
 * takes one's own bytes, then looks whether somebody contradicts: uses what we
 * do not share, or does not share what we use.  Looking asks whether an
 * exclusive lock could be had, without taking it.
 */
#include <fcntl.h>
#include <stdio.h>

#include "engine/aio/host.h"
#include "engine/base/err.h"
#include "engine/base/num.h"

enum {
	PERM_READ = 1 << 0,
	PERM_WRITE = 1 << 1,
	PERM_WRITE_UNCHANGED = 1 << 2,
	PERM_RESIZE = 1 << 3,
	PERMS = 4
};

#define BASE_USED   100
#define BASE_DENIED 200

/* What a user of the image uses, and what it denies to others. */
struct claim {
	unsigned used, denied;
};

static const char *const perm_names[PERMS] = {"consistent read", "write",
					      "write unchanged", "resize"};

static int
lock_byte(int fd, short type, int64_t byte)
{
	struct flock fl = {
		.l_type = type,
		.l_whence = SEEK_SET,
		.l_start = byte,
		.l_len = 1,
	};
	int r;

	do
		r = fcntl(fd, F_OFD_SETLK, &fl);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

/* Would an exclusive lock be refused? */
static int
is_taken(int fd, int64_t byte)
{
	struct flock fl = {
		.l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = byte,
		.l_len = 1,
	};

	if (fcntl(fd, F_OFD_GETLK, &fl) < 0)
		return -errno;
	return fl.l_type == F_UNLCK ? 0 : -EAGAIN;
}

/* Hold exactly the bytes of claim. */
static int
set_bytes(int fd, const struct claim *claim)
{
	int first = 0;

	for (int i = 0; i < PERMS; i++) {
		unsigned bit = 1u << i;
		int r = lock_byte(fd, claim->used & bit ? F_RDLCK : F_UNLCK,
				  BASE_USED + i);

		if (r == 0)
			r = lock_byte(fd,
				      claim->denied & bit ? F_RDLCK : F_UNLCK,
				      BASE_DENIED + i);
		if (r < 0 && first == 0)
			first = r;
	}
	return first;
}

static int
check_bytes(int fd, const struct claim *claim, const char *name,
	    struct q2_err *err)
{
	for (int i = 0; i < PERMS; i++) {
		unsigned bit = 1u << i;

		if ((claim->used & bit) && is_taken(fd, BASE_DENIED + i) < 0)
			return q2_fail(err, -EAGAIN,
				       "Failed to get \"%s\" lock\n"
				       "Is another process using the image "
				       "[%s]?",
				       perm_names[i], name);
		if ((claim->denied & bit) && is_taken(fd, BASE_USED + i) < 0)
			return q2_fail(err, -EAGAIN,
				       "Failed to get shared \"%s\" lock\n"
				       "Is another process using the image "
				       "[%s]?",
				       perm_names[i], name);
	}
	return 0;
}

/* 1 when the file system has no such locks. */
static int
claim_bytes(int fd, const struct claim *claim, const char *name,
	    struct q2_err *err)
{
	static const struct claim nothing = {0};
	int r = set_bytes(fd, claim);

	if (r < 0 && r != -EAGAIN && r != -EACCES) {
		(void)set_bytes(fd, &nothing);
		return 1;
	}
	/* Only an exclusive lock, which QEMU never takes, refuses a shared
	 * one. */
	if (r < 0)
		r = q2_fail(err, -EAGAIN,
			    "Failed to lock byte %d\n"
			    "Is another process using the image [%s]?",
			    BASE_USED, name);
	else
		r = check_bytes(fd, claim, name, err);
	if (r < 0)
		(void)set_bytes(fd, &nothing);
	return r;
}

int
host_lock(struct aio_backend *b, struct aio_file *file, enum aio_lock_mode mode,
	  struct q2_err *err)
{
	static const struct claim claims[] = {
		[AIO_LOCK_NONE] = {0, 0},
		[AIO_LOCK_READ] = {PERM_READ, PERM_WRITE | PERM_RESIZE},
		[AIO_LOCK_WRITE] = {PERM_READ | PERM_WRITE | PERM_RESIZE,
				    PERM_WRITE | PERM_RESIZE},
		[AIO_LOCK_RAW_READ] = {PERM_READ, 0},
		[AIO_LOCK_RAW_WRITE] = {PERM_READ | PERM_WRITE, 0},
	};
	int r;

	if (mode == AIO_LOCK_NONE) {
		(void)set_bytes(file->fd, &claims[mode]);
		return 0;
	}
	r = claim_bytes(file->fd, &claims[mode], file->name, err);
	if (r > 0 && !b->loop->notice[0])
		(void)snprintf(b->loop->notice, sizeof(b->loop->notice),
			       "no lock on '%.150s': %s has no byte locks",
			       file->name, host_fs_name(file->fd));
	return r < 0 ? r : 0;
}

int
host_lock_for_create(int fd, const char *name, struct q2_err *err)
{
	static const struct claim claim = {PERM_WRITE | PERM_RESIZE,
					   PERM_RESIZE};
	static const struct claim nothing = {0};
	int r = claim_bytes(fd, &claim, name, err);

	if (r == 0)
		(void)set_bytes(fd, &nothing);
	return r < 0 ? r : 0;
}
