/* SPDX-License-Identifier: MIT */
/*
 * test_matrix.c - every kind of image, written by us and by QEMU in turns
 *
 * Each pair of values of two factors (who made it, version, cluster size,
 * refcount width, layout, backing file, preallocation, encryption, compression,
 * a snapshot or a bitmap) is in one image at least (matrix.h).  Our program and qemu-io write it in turns, each opening
 * what the other left.  After each turn both checkers find nothing and say the
 * same, both maps are the same text, and both sides read what a plain array of
 * bytes holds.
 *
 * Starting programs is what takes time here: qemu-io is started once (qio.h),
 * and our program once for each image; else its subcommands run within the
 * test.
 *
 *	test_matrix			all images
 *	test_matrix N			the image of that number only
 *	test_matrix random N		N images of kinds by chance
 *	test_matrix random N FROM	... of the numbers from FROM on
 *
 * Those by chance are smaller, and of fewer turns.
 *
 * Needs qemu-img and qemu-io.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/base/num.h"
#include "engine/base/rng.h"
#include "engine/img/cmd.h"
#include "engine/q2.h"
#include "tests/env.h"
#include "tests/interop/matrix_extra.h"
#include "tests/interop/matrix_image.h"
#include "tests/interop/own.h"

/* ---- the test's world -------------------------------------------------- */

static const char *const caches[] = {"none", "writeback", "writethrough",
				     "directsync", "unsafe"};
static const char *const discards[] = {"ignore", "unmap"};

static struct {
	char home[4096], dir[300], program[4400];
	struct q2_loop *loop;
	struct qio *qio;
	bool has_direct; /* the file system takes O_DIRECT */
	const char *aios[3];
	unsigned n_aios;
	uint64_t seed;
	int only;              /* image; -1: all */
	unsigned random, from; /* that many by chance, the first of them */
	struct pairwise_row *rows;
	size_t n_rows;
	unsigned commands[SIDES][SCRIPT_KINDS];
	unsigned extras[MATRIX_EXTRAS];
	unsigned turns, compressing_turns, ours_by_aio[3],
		ours_by_cache[ARRAY_SIZE(caches)];
} world = {.only = -1};

static void
find_aios(void)
{
	/* As -i takes them, too: "native" would take O_DIRECT. */
	static const char *const known[] = {"io_uring", "libaio", "threads"};
	const char *ci = getenv("CI");

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		struct q2_loop_opts lo = {.size = sizeof(lo), .aio = known[i]};
		struct q2_loop *loop;
		struct q2_err err = {0};

		if (q2_loop_new(&lo, &loop, &err) == 0) {
			q2_loop_free(loop);
			world.aios[world.n_aios++] = known[i];
			continue;
		}
		print_message("without %s: %s\n", known[i], err.text);
		if (ci && strcmp(ci, "true") == 0)
			fail_msg("must not be left out with CI=true");
	}
	assert_true(world.n_aios > 0);
}

/* Memory is faster, where there is a file system in it. */
static int
setup(void **state)
{
	const char *build = getenv("B");
	bool memory = access("/dev/shm", W_OK) == 0;
	int fd;

	(void)state;
	test_keep_memory();
	build = build ? build : "build/release";
	assert_non_null(getcwd(world.home, sizeof(world.home)));
	(void)snprintf(world.program, sizeof(world.program), "%s/%s/qcowimg",
		       world.home, build);
	(void)snprintf(world.dir, sizeof(world.dir), "%s/matrix-XXXXXX",
		       memory ? "/dev/shm" : build);
	assert_non_null(mkdtemp(world.dir));
	assert_int_equal(chdir(world.dir), 0);
	fd = open("probe", O_CREAT | O_RDWR | O_DIRECT | O_CLOEXEC, 0600);
	world.has_direct = fd >= 0;
	if (fd >= 0)
		(void)close(fd);
	else
		print_message("no O_DIRECT in %s: without cache=none and "
			      "directsync\n",
			      world.dir);
	world.seed = test_seed(20261125);
	world.rows = pairwise_rows(&matrix_factors, &world.n_rows);
	assert_non_null(world.rows);
	assert_int_equal(cmd_take_object(QIO_SECRET), CMD_GO_ON);
	return q2_loop_new(NULL, &world.loop, NULL);
}

static int
teardown(void **state)
{
	static const char *const names[] = {
		"probe", "base",  "t.qcow2", "t.data", "out.0",  "out.1",
		"out.2", "out.3", "out.4",   "t.raw",  "socket",
	};

	(void)state;
	free(world.rows);
	qio_end(world.qio);
	q2_loop_free(world.loop);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		(void)unlink(names[i]);
	assert_int_equal(chdir(world.home), 0);
	return rmdir(world.dir);
}

/* ---- one image --------------------------------------------------------- */

static void
qio_script(const struct image *img)
{
	for (unsigned i = 0; i < img->script.n; i++)
		qio_do(img->qio, "%s", img->script.line[i]);
	qio_do(img->qio, "close");
	must_qio(img, "qemu-io");
}

/* Made and filled by QEMU; the disk begins with what is in it. */
static void
make_base(struct image *img)
{
	static const char *const options[] = {
		"cluster_size=512", "cluster_size=4096", "cluster_size=65536"};
	const struct matrix_kind *k = &img->kind;
	struct disk disk = {
		.size = img->disk.size, .cluster = 4096, .grain = 4096};
	struct words create = {0};
	char size[32];

	if (!k->backing)
		return;
	if (k->backing_longer < 0)
		disk.size = align_down(disk.size / 2, 512) + 512;
	else if (k->backing_longer > 0)
		disk.size += 512 * (1 + rng_below(&img->rng, 2048));
	disk.bytes = calloc(1, disk.size);
	assert_non_null(disk.bytes);
	script_make(&img->script, &disk, &img->rng, 12,
		    (struct script_how){.discard = SCRIPT_NO_DISCARD});
	(void)snprintf(img->turn, sizeof(img->turn), "making the backing file");
	(void)snprintf(size, sizeof(size), "%" PRIu64, disk.size);
	WORDS_ADD(&create, "qemu-img", "create", "-q", "-f", k->backing);
	if (strcmp(k->backing, "qcow2") == 0)
		WORDS_ADD(&create, "-o", options[rng_below(&img->rng, 3)]);
	WORDS_ADD(&create, "base", size);
	must(img, &create);
	qio_do(img->qio, "open -t writeback -o driver=%s base", k->backing);
	qio_script(img);
	memcpy(img->disk.bytes, disk.bytes, min_u64(img->disk.size, disk.size));
	free(disk.bytes);
	img->base_size = disk.size;
	img->base = file_content("base", &img->base_bytes);
}

static void
make_image(struct image *img)
{
	const struct matrix_kind *k = &img->kind;
	struct words w = {0};
	char size[32];

	(void)snprintf(size, sizeof(size), "%" PRIu64, img->disk.size);
	(void)snprintf(img->turn, sizeof(img->turn), "making it");
	img->script.n = 0;
	WORDS_ADD(&w, k->maker == OURS ? img->program : "qemu-img", "create",
		  "--object", QIO_SECRET, "-q", "-f", "qcow2", "-o",
		  img->options);
	if (k->backing)
		WORDS_ADD(&w, "-b", "base", "-F", k->backing);
	WORDS_ADD(&w, "t.qcow2", size);
	if (k->maker == OURS)
		must_ours(img, cmd_create, &w);
	else
		must(img, &w);
}

/* ---- a turn ------------------------------------------------------------ */

/* QEMU 7.2 corrupts an image if in one session it overwrites a compressed
 * cluster and writes another one after that. */
static enum script_compress
compress_of(const struct image *img, enum side side)
{
	if (!*img->kind.compression)
		return SCRIPT_NOT_COMPRESSED;
	return side == OURS ? SCRIPT_COMPRESS_ANYTIME : SCRIPT_COMPRESS_FIRST;
}

/* Version 2 has no zero clusters, and what is discarded must not show the
 * backing file. */
static enum script_discard
discard_of(const struct image *img, bool unmap)
{
	bool stays = img->kind.version == 2 && img->kind.backing;

	return unmap && !stays ? SCRIPT_DISCARD_ZEROES : SCRIPT_DISCARD_STAYS;
}

static const char *
pick_cache(struct image *img, enum side side)
{
	unsigned i;

	do
		i = (unsigned)rng_below(&img->rng, ARRAY_SIZE(caches));
	while (!world.has_direct && (i == 0 || i == 3));
	if (side == OURS)
		world.ours_by_cache[i]++;
	return caches[i];
}

static const char *
pick_aio(struct image *img, enum side side)
{
	unsigned i = (unsigned)rng_below(&img->rng, world.n_aios);

	if (side == QEMUS)
		return "threads";
	world.ours_by_aio[i]++;
	return world.aios[i];
}

static void
write_turn(struct image *img, enum side side)
{
	bool unmap = rng_below(&img->rng, 4) != 0;
	const char *cache = pick_cache(img, side);
	const char *aio = pick_aio(img, side);
	struct words w = {0};
	struct script_how how = {.discard = discard_of(img, unmap),
				 .compress = compress_of(img, side)};
	/* Whatever fills a cluster, also where there is something. */
	bool compresses = side == OURS && *img->kind.compression &&
			  rng_below(&img->rng, 2) == 0;

	(void)snprintf(img->turn, sizeof(img->turn),
		       "%s writes, cache %s, aio %s, discard %s%s",
		       matrix_sides[side], cache, aio, discards[unmap],
		       compresses ? ", compress" : "");
	/* We discard subclusters, QEMU clusters only. */
	img->disk.grain = img->disk.cluster;
	if (side == OURS && img->kind.is_extended)
		img->disk.grain /= 32;
	script_make(&img->script, &img->disk, &img->rng,
		    5 + (unsigned)rng_below(&img->rng, 25), how);
	for (unsigned k = 0; k < SCRIPT_KINDS; k++)
		world.commands[side][k] += img->script.counts[k];
	world.turns++;
	world.compressing_turns += compresses;
	if (side == QEMUS) {
		qio_do(img->qio, "open -t %s -i %s -d %s -o %s t.qcow2", cache,
		       aio, discards[unmap], image_how_to_open(img));
		qio_script(img);
		return;
	}
	WORDS_ADD(&w, img->program, "io", "--object", QIO_SECRET, "-t", cache,
		  "-i", aio, "-d", discards[unmap]);
	for (unsigned i = 0; i < img->script.n; i++)
		WORDS_ADD(&w, "-c", img->script.line[i]);
	if (compresses)
		WORDS_ADD(&w, "--image-opts",
			  "driver=qcow2,file.filename=t.qcow2,compress=on");
	else
		image_add_name(&w, img);
	must_ours(img, cmd_io, &w);
}

/* ---- what both must say ------------------------------------------------ */

/* By the engine itself, whole. */
static void
read_ours(const struct image *img)
{
	uint8_t *bytes = malloc(img->disk.size);
	struct q2_image *image = image_open_ours(img);
	struct q2_err err = {0};
	int r;

	assert_non_null(bytes);
	assert_int_equal(q2_size(image), img->disk.size);
	r = q2_pread(image, bytes, img->disk.size, 0);
	if (r < 0)
		blame(img, "we read it", strerror(-r));
	image_same_bytes(img, "we read it", bytes, img->disk.bytes);
	extra_judge_ours(img, image);
	assert_int_equal(q2_close(image, &err), 0);
	free(bytes);
}

/* Both printed the same, in slots of their own. */
static void
same_output(const struct image *img, const char *what, unsigned slot)
{
	char *ours = spawn_output(slot), *qemus = spawn_output(slot + 1);
	char *text = NULL;

	if (strcmp(ours, qemus) != 0) {
		assert_true(asprintf(&text, "\n%s\ninstead of QEMU's\n%s", ours,
				     qemus) > 0);
		blame(img, what, text);
	}
	free(ours);
	free(qemus);
}

/* All who only read do it at once: they must not lock each other out. */
static void
ask_both(const struct image *img)
{
	struct words ours[] = {
		{{"check"}, 1},
		{{"map", "--output=json"}, 2},
	};
	struct words qemus[] = {
		{{"qemu-img", "check", "--object", QIO_SECRET}, 4},
		{{"qemu-img", "map", "--object", QIO_SECRET, "--output=json"},
		 5},
	};
	static int (*const commands[])(int, char **) = {cmd_check, cmd_map};
	static const char *const names[] = {"our check", "QEMU's check",
					    "our map", "QEMU's map"};
	int status[ARRAY_SIZE(names)];
	pid_t pids[2], snapshot;

	qio_do(img->qio, "open -r -o %s t.qcow2", image_how_to_open(img));
	qio_verify(img->qio, img->disk.bytes, img->disk.size);
	for (unsigned i = 0; i < 2; i++) {
		image_add_name(&ours[i], img);
		image_add_name(&qemus[i], img);
		pids[i] = spawn(&qemus[i], 2 * i + 1);
	}
	snapshot = extra_ask_qemu(img, 4);
	for (unsigned i = 0; i < 2; i++)
		status[2 * i] = own_run(commands[i], &ours[i], 2 * i);
	for (unsigned i = 0; i < 2; i++)
		status[2 * i + 1] = spawn_wait(pids[i]);
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (status[i] != 0)
			blame(img, names[i], spawn_output(i));
	extra_judge_qemu(img, snapshot, 4);
	qio_do(img->qio, "close");
	must_qio(img, "QEMU reads it");
	same_output(img, "the checks", 0);
	same_output(img, "the maps", 2);
}

/* It is the disk, maybe with zeros up to the end of the last cluster, or of the
 * last block that O_DIRECT of QEMU writes. */
static void
read_data_file(const struct image *img)
{
	uint64_t len;
	char *raw = file_content("t.data", &len);

	if (len < img->disk.size ||
	    len > align_up(img->disk.size, max_u64(img->disk.cluster, 4096)))
		blame(img, "the raw data file", "it has another length");
	image_same_bytes(img, "the raw data file", (const uint8_t *)raw,
			 img->disk.bytes);
	for (uint64_t i = img->disk.size; i < len; i++)
		if (raw[i])
			blame(img, "the raw data file",
			      "there is something behind the end of the disk");
	free(raw);
}

static void
read_base(const struct image *img)
{
	uint64_t len;
	char *base = file_content("base", &len);

	if (len != img->base_bytes || memcmp(base, img->base, len) != 0)
		blame(img, "the backing file", "it was changed");
	free(base);
}

static void
judge(const struct image *img)
{
	read_ours(img);
	ask_both(img);
	if (img->kind.has_raw_data_file)
		read_data_file(img);
	if (img->base)
		read_base(img);
}

/* ---- tests ------------------------------------------------------------- */

/* Where something is preallocated, nothing is fresh. */
static void
make_disk(struct image *img, uint64_t size)
{
	const struct matrix_kind *k = &img->kind;
	uint64_t sectors;

	img->disk.cluster = k->cluster;
	img->disk.size = size;
	if (k->cluster > 512 && is_aligned(size, k->cluster))
		img->disk.size += 512;
	sectors = img->disk.size / DISK_SECTOR;
	img->disk.bytes = calloc(1, img->disk.size);
	img->disk.marks = malloc(sectors);
	assert_non_null(img->disk.bytes);
	assert_non_null(img->disk.marks);
	memset(img->disk.marks,
	       strcmp(k->prealloc, "off") == 0 ? 0 : DISK_TOUCHED, sectors);
	(void)snprintf(img->options, sizeof(img->options),
		       "compat=v%u,cluster_size=%u,refcount_bits=%u%s,"
		       "preallocation=%s%s%s",
		       k->version, k->cluster, k->width, k->layout, k->prealloc,
		       k->encryption, k->compression);
}

/* The others' first turn is on what the maker made. */
static void
play(struct image *img, const struct pairwise_row *row, unsigned turns)
{
	const struct matrix_kind *k = &img->kind;
	uint64_t size = MiB;

	img->kind = matrix_kind(row);
	img->program = world.program;
	img->qio = world.qio;
	img->loop = world.loop;
	world.extras[k->extra]++;
	if (world.random > 0)
		size = 64 * KiB;
	size += 512 * (1 + rng_below(&img->rng, size == MiB ? 4095 : 1023));
	make_disk(img, size);
	make_base(img);
	make_image(img);
	for (unsigned t = 0; t < turns; t++) {
		extra_before_turn(img, t);
		write_turn(img, (k->maker + 1 + t) % SIDES);
		judge(img);
	}
	if (extra_end(img))
		judge(img);
	extra_judge_bitmap(img);
	extra_done(img);
	free(img->base);
	free(img->disk.bytes);
	free(img->disk.marks);
	(void)unlink("base");
	(void)unlink("t.qcow2");
	(void)unlink("t.data");
}

static void
play_number(unsigned number)
{
	struct image img = {.rng = {rng_derive(world.seed, number)}};

	(void)snprintf(img.again, sizeof(img.again),
		       "Q2_SEED=%" PRIu64 " test_matrix %u", world.seed,
		       number);
	play(&img, &world.rows[number % world.n_rows], 3 + number % 2);
}

static void
play_by_chance(unsigned number)
{
	struct image img = {.rng = {rng_derive(world.seed, number)}};
	struct pairwise_row row;

	(void)snprintf(img.again, sizeof(img.again),
		       "Q2_SEED=%" PRIu64 " test_matrix random 1 %u",
		       world.seed, number);
	assert_true(pairwise_random(&matrix_factors, &img.rng, &row));
	/* QEMU takes seconds to measure how long PBKDF2 takes. */
	if (strstr(matrix_kind(&row).encryption, "luks") &&
	    rng_below(&img.rng, 8) > 0)
		row.value[MATRIX_MAKER] = OURS;
	play(&img, &row, 2 + (unsigned)rng_below(&img.rng, 2));
}

static void
report(void)
{
	print_message("%5u images with a snapshot, %u with a bitmap\n",
		      world.extras[MATRIX_SNAPSHOT],
		      world.extras[MATRIX_BITMAP]);
	for (unsigned k = 0; k < SCRIPT_KINDS; k++)
		print_message("%5u + %-5u %s\n", world.commands[OURS][k],
			      world.commands[QEMUS][k], script_kinds[k]);
	print_message("%5u turns with compress=on\n", world.compressing_turns);
	for (unsigned i = 0; i < world.n_aios; i++)
		print_message("%5u turns with aio %s\n", world.ours_by_aio[i],
			      world.aios[i]);
	for (unsigned i = 0; i < ARRAY_SIZE(caches); i++)
		print_message("%5u turns with cache %s\n",
			      world.ours_by_cache[i], caches[i]);
}

static void
test_every_pair_of_values_has_an_image(void **state)
{
	unsigned pairs = 0, missing = 0;

	(void)state;
	for (unsigned f = 0; f < MATRIX_FACTORS; f++) {
		for (unsigned g = f + 1; g < MATRIX_FACTORS; g++) {
			for (unsigned k = 0;
			     k < matrix_factors.values[f] *
					 matrix_factors.values[g];
			     k++) {
				unsigned v[2] = {k / matrix_factors.values[g],
						 k % matrix_factors.values[g]};
				size_t n = pairwise_count(
					world.rows, world.n_rows,
					(unsigned[2]){f, g}, v);

				pairs += n > 0;
				missing += (n > 0) ==
					   matrix_in_conflict(f, v[0], g, v[1]);
			}
		}
	}
	print_message("%u pairs in %zu images\n", pairs, world.n_rows);
	assert_int_equal(missing, 0);
	for (size_t i = 0; i < world.n_rows; i++)
		assert_true(matrix_factors.is_valid(&world.rows[i]));
}

static void
find_qemu(void)
{
	struct words w = {0};

	WORDS_ADD(&w, "qemu-img", "--version");
	world.qio = qio_start();
	if (!world.qio || spawn_wait(spawn(&w, 0)) != 0) {
		print_message("qemu-img or qemu-io is not installed\n");
		skip();
	}
	find_aios();
}

static void
test_both_write_every_kind_of_image_in_turns(void **state)
{
	unsigned rounds = test_rounds((unsigned)world.n_rows);

	(void)state;
	find_qemu();
	if (world.only >= 0) {
		play_number((unsigned)world.only);
		return;
	}
	for (unsigned i = 0; i < rounds; i++)
		play_number(i);
	print_message("%u images, %u turns; commands, ours + QEMU's:\n", rounds,
		      world.turns);
	report();
	if (rounds < world.n_rows)
		return;
	for (unsigned k = 0; k < SCRIPT_KINDS; k++)
		assert_true(world.commands[OURS][k] > 0 &&
			    world.commands[QEMUS][k] > 0);
	for (unsigned i = 0; i < world.n_aios; i++)
		assert_true(world.ours_by_aio[i] > 0);
}

static void
test_both_write_images_of_kinds_by_chance(void **state)
{
	(void)state;
	find_qemu();
	for (unsigned i = 0; i < world.random; i++) {
		play_by_chance(world.from + i);
		if ((i + 1) % 100 == 0 || i + 1 == world.random)
			print_message("%u images, the last is %u\n", i + 1,
				      world.from + i);
		(void)fflush(stdout);
	}
	report();
}

static bool
take_number(const char *text, unsigned *ret_n)
{
	char *rest;
	unsigned long n = strtoul(text, &rest, 10);

	if (*rest || rest == text || n > INT_MAX)
		return false;
	*ret_n = (unsigned)n;
	return true;
}

static bool
take_arguments(int argc, char **argv)
{
	unsigned n;

	if (argc == 1)
		return true;
	if (argc == 2 && take_number(argv[1], &n)) {
		world.only = (int)n;
		return true;
	}
	return (argc == 3 || argc == 4) && strcmp(argv[1], "random") == 0 &&
	       take_number(argv[2], &world.random) && world.random > 0 &&
	       (argc == 3 || take_number(argv[3], &world.from));
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_pair_of_values_has_an_image),
		cmocka_unit_test(test_both_write_every_kind_of_image_in_turns),
	};

	const struct CMUnitTest by_chance[] = {
		cmocka_unit_test(test_both_write_images_of_kinds_by_chance),
	};

	if (!take_arguments(argc, argv)) {
		(void)fprintf(stderr,
			      "usage: test_matrix [N | random N [FROM]]\n");
		return 2;
	}
	if (world.random > 0)
		return cmocka_run_group_tests(by_chance, setup, teardown);
	return cmocka_run_group_tests(tests, setup, teardown);
}
