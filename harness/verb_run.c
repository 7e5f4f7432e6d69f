/* SPDX-License-Identifier: MIT */
/*
 * verb_run.c - measure a suite: prepare, measure, leave nothing behind
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/num.h"
#include "harness/clock.h"
#include "harness/color.h"
#include "harness/report.h"
#include "harness/run.h"
#include "harness/run_qemu.h"
#include "harness/stop.h"
#include "harness/table.h"
#include "harness/targets/target.h"
#include "harness/verb.h"
#include "harness/verbosity.h"

static const struct option_spec run_options[] = {
	RUN_ARGS_COMMON,
	{"out", OPTION_TEXT, RUN_ARG(out), "OUT", NULL,
	 "new folder for the results (default: named by the time, here)"},
	{"resume", OPTION_TEXT, RUN_ARG(resume), "OUT", NULL,
	 "go on with the run in this folder: its whole rounds are kept"},
	{"format", OPTION_WORD, RUN_ARG(format), "X", report_formats,
	 "what stdout gets at the end (default table)"},
	COLOR_OPTION(RUN_ARG(color)),
	VERBOSITY_OPTIONS(RUN_ARG(quiet), RUN_ARG(verbose)),
	{"remove-stale", OPTION_FLAG, RUN_ARG(remove_stale), NULL, NULL,
	 "remove image folders in DIR that killed runs have left; without a "
	 "SUITE that is all"},
	{"keep", OPTION_FLAG, RUN_ARG(keep), NULL, NULL,
	 "do not remove the images of the last round"},
	{"no-qemu", OPTION_FLAG, RUN_ARG(no_qemu), NULL, NULL,
	 "do not ask QEMU too, where it is installed, which policy is faster"},
	{"strict-env", OPTION_FLAG, RUN_ARG(strict_env), NULL, NULL,
	 "refuse a machine that is not fit, and stop at a disturbed round "
	 "(status 6)"},
};

/* ---- before anything is written ---------------------------------------- */

/* Only who sits at a terminal can say yes. */
static bool
asks_and_hears_yes(const char *path)
{
	char text[16];

	if (isatty(STDIN_FILENO) != 1 || isatty(STDERR_FILENO) != 1)
		return false;
	(void)fprintf(stderr,
		      "%s is left over from a run that was killed; remove it? "
		      "[y/N] ",
		      path);
	return fgets(text, sizeof(text), stdin) &&
	       (text[0] == 'y' || text[0] == 'Y');
}

static void
treat_stale(void *arg, const char *path)
{
	struct run *run = arg;
	struct q2_err err;

	if (!run->args.remove_stale && !asks_and_hears_yes(path))
		progress_say(&run->progress,
			     "left over from a run that was killed: %s; "
			     "the next run with --remove-stale removes it, "
			     "or: rm -r %s",
			     path, path);
	else if (workdir_remove_stale(path, &err) < 0)
		progress_say(&run->progress, "note: %s", err.text);
	else
		progress_say(&run->progress, "removed: %s", path);
}

static enum bench_exit
check_place(struct run *run, struct q2_err *err)
{
	int r = workdir_check(run->args.dir, err);

	if (r == -ENOENT || r == -ENOTDIR || r == -ENAMETOOLONG)
		return BENCH_USAGE;
	if (r < 0 || env_read(&run->env, run->args.dir, err) < 0)
		return BENCH_ENVIRONMENT;
	if (!realpath(run->args.dir, run->dir)) {
		(void)q2_fail(err, -errno, "%s: %s", run->args.dir,
			      strerror(errno));
		return BENCH_ENVIRONMENT;
	}
	(void)workdir_stale(run->args.dir, treat_stale, run);
	return BENCH_OK;
}

/* Which backend the children will get, and why not a better one. */
static enum bench_exit
check_aio(struct run *run, struct q2_err *err)
{
	struct q2_loop_opts opts = {.size = sizeof(opts)};
	struct q2_loop *loop;

	for (size_t i = 0; i < run->plan.nconfigs; i++) {
		opts.aio = run->plan.configs[i]->aio;
		if (!opts.aio)
			continue;
		if (q2_loop_new(&opts, &loop, err) < 0)
			return BENCH_ENVIRONMENT;
		q2_loop_free(loop);
	}
	opts.aio = run->plan.aio;
	if (q2_loop_new(&opts, &loop, err) < 0)
		return BENCH_ENVIRONMENT;
	(void)snprintf(run->aio, sizeof(run->aio), "%s", q2_loop_aio(loop));
	if (q2_loop_notice(loop))
		(void)snprintf(run->notice, sizeof(run->notice), "%s",
			       q2_loop_notice(loop));
	q2_loop_free(loop);
	return BENCH_OK;
}

/* Does somebody answer there? */
static int
reach(const struct config *config, const struct target *t, struct q2_err *err)
{
	struct q2_loop_opts opts = {.size = sizeof(opts)};
	struct target_image image = {.uri = config->uri};
	struct q2_loop *loop;
	struct disk disk;
	int r = q2_loop_new(&opts, &loop, err);

	if (r < 0)
		return r;
	r = t->open_disk(loop, "", &image, &disk, err);
	if (r == 0)
		r = disk_close(&disk, err);
	else
		(void)err_prefix(err, r, "%s", config->label);
	q2_loop_free(loop);
	return r;
}

/* What is measured besides our own engine; better missed now than by a child in
 * the first round. */
static enum bench_exit
check_targets(const struct plan *plan, struct q2_err *err)
{
	for (size_t i = 0; i < plan->nconfigs; i++) {
		const struct config *c = plan->configs[i];
		const struct target *t = target_find(c->target);

		if (t->check && t->check(err) < 0)
			return BENCH_ENVIRONMENT;
		if (c->uri && reach(c, t, err) < 0)
			return BENCH_ENVIRONMENT;
	}
	return BENCH_OK;
}

/* Names go to the children and into records as JSON. */
static enum bench_exit
check_names(const struct run *run, struct q2_err *err)
{
	const struct {
		const char *name, *remedy;
	} v[] = {
		{run->dir, "name another with --dir"},
		{run->args.out, "name another with --out"},
		{run->args.name, "give the file another name"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		json_t *text = v[i].name ? json_string(v[i].name) : json_null();

		if (!text) {
			(void)q2_fail(err, -EINVAL,
				      "%s: the name is not UTF-8; %s",
				      v[i].name, v[i].remedy);
			return BENCH_USAGE;
		}
		json_decref(text);
	}
	return BENCH_OK;
}

/* Does the smallest form of what was asked for fit? */
static enum bench_exit
check_space(struct run *run, struct q2_err *err)
{
	struct plan least = run->plan;
	uint64_t space;
	int r;

	if (workdir_free_bytes(run->args.dir, &space, err) < 0)
		return BENCH_ENVIRONMENT;
	r = plan_sizes(&least, run->args.image_size, run->args.requests,
		       &plan_slow_disk, space, err);
	if (r == -EINVAL)
		return BENCH_USAGE;
	/* The sizes of a run that is taken up cannot be others. */
	if (r == -ENOSPC && run->args.resume) {
		uint64_t need = plan_space(&least, least.image_bytes,
					   least.requests);
		char need_text[24], space_text[24], missing[24];

		table_bytes((double)need, need_text, sizeof(need_text));
		table_bytes((double)space, space_text, sizeof(space_text));
		table_bytes((double)(need - space), missing, sizeof(missing));
		(void)q2_fail(err, -ENOSPC,
			      "the images of a round need %s and %s are free; "
			      "make room in %s for %s more, or begin a new run "
			      "with a smaller --image-size",
			      need_text, space_text, run->args.dir, missing);
	}
	return r < 0 ? BENCH_ENVIRONMENT : BENCH_OK;
}

/* ---- the folder of the images ------------------------------------------ */

static bool
is_direct(enum q2_cache cache)
{
	return cache == Q2_CACHE_NONE || cache == Q2_CACHE_DIRECTSYNC;
}

/* The direct mode that was asked for, or that a run that is taken up has had; or
 * NULL. */
static const char *
asked_direct(const struct run *run)
{
	bool asked = run->args.cache || run->args.resume;

	for (size_t i = 0; i < run->plan.nconfigs; i++) {
		enum q2_cache own = run->plan.configs[i]->cache;

		if (is_direct(own))
			return plan_cache_name(own);
	}
	return asked && is_direct(run->plan.cache)
		       ? plan_cache_name(run->plan.cache)
		       : NULL;
}

/* Does any configuration go around the page cache? */
static bool
wants_direct(const struct plan *plan)
{
	for (size_t i = 0; i < plan->nconfigs; i++) {
		if (is_direct(plan_config_cache(plan, plan->configs[i])))
			return plan_has_files(plan);
	}
	return false;
}

/* A mode that was not asked for is only the default where it can be had. */
static enum bench_exit
check_direct(struct run *run, struct q2_err *err)
{
	size_t used = strlen(run->notice);
	const char *asked = asked_direct(run);

	if (!wants_direct(&run->plan) || probe_has_direct(run->work.path))
		return BENCH_OK;
	if (asked) {
		(void)q2_fail(err, -ENOTSUP,
			      "%s: %s cannot do O_DIRECT, which cache %s "
			      "asks for; use --cache writeback, or another "
			      "disk with --dir",
			      run->args.dir,
			      run->env.filesystem[0] ? run->env.filesystem
						     : "the file system",
			      asked);
		return BENCH_ENVIRONMENT;
	}
	plan_set_cache(&run->plan, Q2_CACHE_WRITEBACK);
	(void)snprintf(run->notice + used, sizeof(run->notice) - used,
		       "%scache writeback, because %s cannot do O_DIRECT",
		       used ? "; " : "", run->env.filesystem);
	return BENCH_OK;
}

static void
at_pass(void *arg, const char *pass)
{
	struct run *run = arg;

	progress_pass(&run->progress, pass);
}

static void
set_up_rounds(struct run *run)
{
	rounds_init(&run->rounds, &run->plan, &run->env, run->work.path);
	run->rounds.cache_asked = run->cache_asked;
	run->rounds.at_pass = at_pass;
	run->rounds.arg = run;
	if (!run->args.resume)
		return;
	(void)snprintf(run->rounds.run_id, sizeof(run->rounds.run_id), "%s",
		       measured_text(run->asked, "run_id"));
	run->rounds.session = run->session;
}

static enum bench_exit
output_code(int r)
{
	if (r == -EEXIST || r == -ENOENT || r == -ENOTDIR || r == -ENAMETOOLONG)
		return BENCH_USAGE;
	return r < 0 ? BENCH_ENVIRONMENT : BENCH_OK;
}

static uint64_t
whole_rounds(const struct run *run)
{
	return run->measured.of[MEASURED_SUITE].n;
}

/* From here on the output folder tells of this run, whatever becomes of it.
 * Without its first run.json it tells nothing, and nothing can be taken up. */
static enum bench_exit
begin_output(struct run *run, struct q2_err *err)
{
	int r = run_write_json(run, "running", err);

	if (r >= 0)
		run->out.in_use = true;
	run->began = run->out.in_use;
	return r < 0 ? BENCH_ENVIRONMENT : BENCH_OK;
}

static enum bench_exit
measure(struct run *run, struct q2_err *err)
{
	struct settled settled;
	enum bench_exit code = check_direct(run, err);

	if (run->notice[0] && code == BENCH_OK)
		progress_say(&run->progress, "note: %s", run->notice);
	if (code == BENCH_OK)
		code = run_guard_environment(run, err);
	if (code == BENCH_OK && !run->args.resume)
		code = run_size_up(run, err);
	if (code != BENCH_OK)
		return code;
	set_up_rounds(run);
	run_qemu_look(run);
	code = run_warm_up(run, &settled, err);
	/* Sizes may have changed, and with them the ids. */
	set_up_rounds(run);
	if (code == BENCH_OK)
		code = begin_output(run, err);
	if (code != BENCH_OK)
		return code;
	code = run_rounds(run, settled, err);
	if (!run->kept)
		workdir_empty(&run->work);
	if (code == BENCH_OK)
		code = run_qemu_rounds(run, err);
	return run_finish(run, code, err);
}

/* ---- the verb ---------------------------------------------------------- */

/* The plan, and the folder for the results, named or taken up. */
static enum bench_exit
begin(struct run *run, struct q2_err *err)
{
	struct wishes wishes;

	if (run->args.resume)
		return run_resume(run, err);
	wishes = run_args_wishes(&run->args);
	plan_init(&run->plan, &wishes);
	run->cache_asked = plan_cache_name(run->plan.cache);
	return BENCH_OK;
}

static enum bench_exit
name_output(struct run *run, struct q2_err *err)
{
	if (run->args.resume)
		return BENCH_OK;
	return output_code(output_name(&run->out, run->args.out,
				       run->plan.suite->name, err));
}

static void
tell_status(void *arg)
{
	struct run *run = arg;

	progress_status(&run->progress, whole_rounds(run));
}

static enum bench_exit
prepare(struct run *run, struct q2_err *err)
{
	enum bench_exit code = check_place(run, err);

	if (code == BENCH_OK)
		code = check_names(run, err);
	if (code == BENCH_OK)
		code = name_output(run, err);
	if (code == BENCH_OK)
		code = check_aio(run, err);
	if (code == BENCH_OK)
		code = check_targets(&run->plan, err);
	if (code == BENCH_OK && run->args.resume)
		code = run_resume_compare(run, err);
	if (code == BENCH_OK)
		code = check_space(run, err);
	if (code == BENCH_OK && stop_install(err) < 0)
		code = BENCH_ENVIRONMENT;
	stop_on_status(tell_status, run);
	if (code == BENCH_OK &&
	    workdir_make(&run->work, run->args.dir, err) < 0)
		code = BENCH_ENVIRONMENT;
	/* Before minutes are spent on what could not be kept. */
	if (code == BENCH_OK && !run->args.resume)
		code = output_code(output_make(&run->out, err));
	return code;
}

/* Nothing is missing but perhaps the files that are made at the end. */
static enum bench_exit
finish_complete(struct run *run, struct q2_err *err)
{
	enum bench_exit code = check_place(run, err);

	/* A reader that has gone is no reason to leave files out. */
	if (code == BENCH_OK && stop_install(err) < 0)
		code = BENCH_ENVIRONMENT;
	if (code != BENCH_OK)
		return code;
	(void)snprintf(run->aio, sizeof(run->aio), "%s",
		       measured_text(run->asked, "aio"));
	(void)snprintf(run->notice, sizeof(run->notice), "%s",
		       measured_text(run->asked, "notice"));
	set_up_rounds(run);
	return run_finish(run, BENCH_OK, err);
}

/* Somebody removed the folder meanwhile: nothing can be gone on with. */
static enum bench_exit
tell_removed(struct run *run, enum bench_exit code, struct q2_err *err)
{
	progress_done(&run->progress);
	/* Else who wrote to it has said so. */
	if (code != BENCH_ENVIRONMENT)
		(void)q2_fail(err, -ENOENT,
			      "%s was removed while it was written",
			      run->out.path);
	return BENCH_ENVIRONMENT;
}

/* What became of it, besides the reason. */
static void
tell_end(struct run *run, enum bench_exit code, struct q2_err *err)
{
	const char *text = whole_rounds(run) == 0
				   ? "before the first round was whole"
				   : "the rounds that were whole are kept";

	progress_done(&run->progress);
	if (code == BENCH_INTERRUPTED)
		(void)q2_fail(err, -EINTR, "interrupted; %s", text);
	if (run->kept)
		progress_say(&run->progress, "images of the last round: %s",
			     run->work.path);
	if (code == BENCH_OK || !run->began)
		return;
	if (!run_is_complete(run) || run_qemu_is_due(run))
		progress_say(&run->progress,
			     "%" PRIu64 " of %" PRIu64
			     " rounds are kept%s; to go on: qcowbench run "
			     "--resume %s",
			     whole_rounds(run), run->plan.rounds,
			     run_is_complete(run) ? ", those through QEMU are "
						    "missing"
						  : "",
			     run->out.path);
}

/* One comparison group: a run of its own, with a folder of its own. */
static enum bench_exit
run_group(const struct run_args *args, struct q2_err *err)
{
	struct run run = {
		.args = *args, .out = {.jsonl = -1, .lock = -1}, .session = 1};
	char folder[OUTPUT_PATH + 1];
	enum bench_exit code;

	run.began_s = clock_s();
	run.began_at_s = clock_wall_s();
	progress_init(&run.progress);
	run.progress.verbosity = args->verbosity;
	if (args->suite && args->suite->group)
		progress_say(&run.progress, "group %s", args->suite->group);
	code = begin(&run, err);
	if (code == BENCH_OK && run.args.resume && run_is_over(&run)) {
		code = finish_complete(&run, err);
	} else {
		if (code == BENCH_OK)
			code = prepare(&run, err);
		if (code == BENCH_OK)
			code = measure(&run, err);
	}
	/* With the slash: it may be a file by now. */
	(void)snprintf(folder, sizeof(folder), "%s/", run.out.path);
	if (run.began && access(folder, F_OK) < 0)
		code = tell_removed(&run, code, err);
	else
		tell_end(&run, code, err);
	workdir_done(&run.work, run.kept);
	output_done(&run.out);
	measured_done(&run.measured);
	json_decref(run.asked);
	/* What is taken up has loaded its own. */
	if (args->resume)
		run_args_done(&run.args);
	return code;
}

/* Its folder is OUT-cluster_size=64k. */
static enum bench_exit
run_named_group(const struct run_args *args, struct q2_err *err)
{
	struct run_args one = *args;
	char name[OUTPUT_PATH];
	int n;

	if (!args->suite->group || !args->out)
		return run_group(args, err);
	n = snprintf(name, sizeof(name), "%s-%s", args->out,
		     args->suite->group);
	if (n < 0 || (size_t)n >= sizeof(name)) {
		(void)q2_fail(err, -ENAMETOOLONG, "%s: the name is too long",
			      args->out);
		return BENCH_USAGE;
	}
	one.out = name;
	return run_group(&one, err);
}

static void
say_not_begun(const struct suite *next)
{
	for (; next; next = next->next)
		(void)fprintf(stderr, "group %s was not begun\n", next->group);
}

/* Groups are not compared with each other: what one found out stays, whatever
 * becomes of the next. */
static enum bench_exit
run_groups(struct run_args *args, struct q2_err *err)
{
	enum bench_exit code = BENCH_OK, one;

	for (; args->suite; args->suite = args->suite->next) {
		one = run_named_group(args, err);
		if (code == BENCH_OK)
			code = one;
		/* Only what nobody could judge lets the others go on. */
		if (one != BENCH_OK && one != BENCH_INCONCLUSIVE) {
			say_not_begun(args->suite->next);
			return one;
		}
		args->is_next = true;
	}
	return code;
}

/* Nothing is measured. */
static enum bench_exit
remove_stale(const struct run_args *args, struct q2_err *err)
{
	struct run run = {.args = *args};

	progress_init(&run.progress);
	run.progress.verbosity = args->verbosity;
	if (workdir_check(args->dir, err) < 0)
		return BENCH_USAGE;
	if (workdir_stale(args->dir, treat_stale, &run) == 0)
		progress_say(&run.progress, "nothing is left over in %s",
			     args->dir);
	return BENCH_OK;
}

static enum bench_exit
run_run(int argc, char **argv, struct q2_err *err)
{
	struct run_args args;
	enum bench_exit code = BENCH_USAGE;

	/* Who asks how far it is before it can tell must not end it. */
	(void)signal(SIGUSR1, SIG_IGN);
	if (run_args_parse(&verb_run.options, argc, argv, &args, err) == 0)
		code = args.resume  ? run_group(&args, err)
		       : args.suite ? run_groups(&args, err)
				    : remove_stale(&args, err);
	run_args_done(&args);
	return code;
}

const struct verb verb_run = {
	.name = "run",
	.operands = "SUITE",
	.help = "measure, print a table and a sentence, leave CSV and plots",
	.options = {run_options, ARRAY_SIZE(run_options)},
	.more = "The run uses files in a folder of its own in DIR, and removes "
		"them at the end.\n"
		"Free space is checked before anything is written.  Ctrl-C keeps "
		"what is done,\n"
		"and --resume goes on from there, also after a kill or a power "
		"cut.  SIGUSR1\n"
		"asks how far it is.  stdout is data, stderr is talk.\n"
		"Sizes are bytes, or end in k, m, g or t (binary).\n",
	.run = run_run,
};
