/* SPDX-License-Identifier: MIT */
/*
 * co.c - coroutines on their own stacks
 *
 * The switch is a dozen instructions on x86-64 and aarch64, swapcontext
 * elsewhere.  Not setjmp/longjmp: glibc's fortify aborts on a jump to another
 * stack, and TSan does not know it.  The sanitizers are told of each switch.
 *
 * Life of a coroutine:
 *
 *	          co_start            co_park            fn returns
 *	   idle ------------> running --------> parked      |
 *	    ^                  ^  |               |          v
 *	    |        resume()  |  |               | co_wake  idle
 *	    |                  |  |               v
 *	    |                  +--|------------ ready
 *	    +---------------------+
 */
#include "engine/co/co.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define CO_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CO_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define CO_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define CO_TSAN 1
#endif
#endif

#ifdef CO_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef CO_TSAN
#include <sanitizer/tsan_interface.h>
#endif

/* Stacks kept for reuse; more than this many requests in the slow path at
 * once is rare, and each costs at least one page of real memory. */
#define CO_IDLE_MAX 512
/* The same without a loop. */
#define CO_RESERVE_MAX 32

/* ---- the switch -------------------------------------------------------- */

#if defined(__x86_64__) || defined(__aarch64__)

struct context {
	void *sp;
};

/* Save the callee-saved registers and the stack pointer in *from, take those
 * of to.  Returns when somebody switches back. */
void co_switch(struct context *from, struct context *to);
/* Where a new coroutine's first switch arrives. */
void co_entry(void);

#ifdef __x86_64__
/* mxcsr and the x87 control word are left alone: nothing here changes them. */
__asm__(".text\n"
	".globl co_switch\n"
	".hidden co_switch\n"
	".type co_switch,@function\n"
	"co_switch:\n"
	"	.cfi_startproc\n"
	"	endbr64\n"
	"	pushq %rbp\n"
	"	pushq %rbx\n"
	"	pushq %r12\n"
	"	pushq %r13\n"
	"	pushq %r14\n"
	"	pushq %r15\n"
	"	movq %rsp, (%rdi)\n"
	"	movq (%rsi), %rsp\n"
	"	popq %r15\n"
	"	popq %r14\n"
	"	popq %r13\n"
	"	popq %r12\n"
	"	popq %rbx\n"
	"	popq %rbp\n"
	"	retq\n"
	"	.cfi_endproc\n"
	".size co_switch,.-co_switch\n"
	/* r12 is the coroutine; the zero frame pointer ends backtraces. */
	".globl co_entry\n"
	".hidden co_entry\n"
	".type co_entry,@function\n"
	"co_entry:\n"
	"	.cfi_startproc\n"
	"	.cfi_undefined rip\n"
	"	endbr64\n"
	"	movq %r12, %rdi\n"
	"	xorl %ebp, %ebp\n"
	"	callq co_main\n"
	"	ud2\n"
	"	.cfi_endproc\n"
	".size co_entry,.-co_entry\n");

enum {
	SLOT_ARG = 3,
	SLOT_PC = 6,
	/* Odd: seven words are popped, and co_entry must find the stack
	 * pointer at a multiple of 16, as before any call. */
	SLOTS = 9
};
#else
__asm__(".text\n"
	".globl co_switch\n"
	".hidden co_switch\n"
	".type co_switch,%function\n"
	"co_switch:\n"
	"	sub sp, sp, #160\n"
	"	stp x19, x20, [sp, #0]\n"
	"	stp x21, x22, [sp, #16]\n"
	"	stp x23, x24, [sp, #32]\n"
	"	stp x25, x26, [sp, #48]\n"
	"	stp x27, x28, [sp, #64]\n"
	"	stp x29, x30, [sp, #80]\n"
	"	stp d8, d9, [sp, #96]\n"
	"	stp d10, d11, [sp, #112]\n"
	"	stp d12, d13, [sp, #128]\n"
	"	stp d14, d15, [sp, #144]\n"
	"	mov x9, sp\n"
	"	str x9, [x0]\n"
	"	ldr x9, [x1]\n"
	"	mov sp, x9\n"
	"	ldp x19, x20, [sp, #0]\n"
	"	ldp x21, x22, [sp, #16]\n"
	"	ldp x23, x24, [sp, #32]\n"
	"	ldp x25, x26, [sp, #48]\n"
	"	ldp x27, x28, [sp, #64]\n"
	"	ldp x29, x30, [sp, #80]\n"
	"	ldp d8, d9, [sp, #96]\n"
	"	ldp d10, d11, [sp, #112]\n"
	"	ldp d12, d13, [sp, #128]\n"
	"	ldp d14, d15, [sp, #144]\n"
	"	add sp, sp, #160\n"
	"	ret\n"
	".size co_switch,.-co_switch\n"
	".globl co_entry\n"
	".hidden co_entry\n"
	".type co_entry,%function\n"
	"co_entry:\n"
	"	mov x0, x19\n"
	"	mov x29, #0\n"
	"	bl co_main\n"
	"	brk #1\n"
	".size co_entry,.-co_entry\n");

enum {
	SLOT_ARG = 0,
	SLOT_PC = 11,
	SLOTS = 20
};
#endif

static void
context_init(struct context *c, void *stack, size_t size, void *arg)
{
	uintptr_t top = ((uintptr_t)stack + size) & ~(uintptr_t)15;
	void **frame = (void **)(top - SLOTS * sizeof(void *));

	for (int i = 0; i < SLOTS; i++)
		frame[i] = NULL;
	frame[SLOT_ARG] = arg;
	frame[SLOT_PC] = (void *)(uintptr_t)co_entry;
	c->sp = frame;
}

#else /* any other processor: two system calls a switch, but it works */

#include <ucontext.h>

struct context {
	ucontext_t uc;
};

void co_main(void *arg);

static void
context_entry(unsigned hi, unsigned lo)
{
	co_main((void *)(uintptr_t)((uint64_t)hi << 32 | lo));
}

static void
context_init(struct context *c, void *stack, size_t size, void *arg)
{
	uint64_t p = (uintptr_t)arg;

	(void)getcontext(&c->uc);
	c->uc.uc_stack.ss_sp = stack;
	c->uc.uc_stack.ss_size = size;
	c->uc.uc_link = NULL;
	makecontext(&c->uc, (void (*)(void))context_entry, 2,
		    (unsigned)(p >> 32), (unsigned)p);
}

static void
co_switch(struct context *from, struct context *to)
{
	(void)swapcontext(&from->uc, &to->uc);
}

#endif

/* ---- coroutines -------------------------------------------------------- */

enum co_state {
	CO_IDLE,
	CO_RUNNING,
	CO_PARKED,
	CO_READY
};

struct co {
	struct list link; /* on sched's ready or idle list */
	struct co_sched *sched;
	enum co_state state;
	co_fn *fn;
	void *arg;
	struct context own, caller;
	struct co *resumed_by; /* NULL: the thread's own stack */
	void *map;             /* guard page, then the stack */
	size_t map_bytes;
#ifdef CO_ASAN
	void *fake_own, *fake_caller;
	const void *caller_stack;
	size_t caller_bytes;
#endif
#ifdef CO_TSAN
	void *fiber, *caller_fiber;
#endif
};

static __thread struct co *current;

struct co *
co_self(void)
{
	return current;
}

static size_t
guard_bytes(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

/* Enter co; returns when it parks or ends. */
static void
resume(struct co *co)
{
	co->resumed_by = current;
	co->state = CO_RUNNING;
	current = co;
#ifdef CO_TSAN
	co->caller_fiber = __tsan_get_current_fiber();
	__tsan_switch_to_fiber(co->fiber, 0);
#endif
#ifdef CO_ASAN
	__sanitizer_start_switch_fiber(&co->fake_caller,
				       (char *)co->map + guard_bytes(),
				       co->map_bytes - guard_bytes());
#endif
	co_switch(&co->caller, &co->own);
#ifdef CO_ASAN
	__sanitizer_finish_switch_fiber(co->fake_caller, NULL, NULL);
#endif
	current = co->resumed_by;
}

/* Leave the running coroutine for the one who resumed it: for good, if it has
 * nothing to run. */
static void
leave(struct co *co)
{
#ifdef CO_TSAN
	__tsan_switch_to_fiber(co->caller_fiber, 0);
#endif
#ifdef CO_ASAN
	/* Without a place to keep it, ASan's second stack is freed. */
	__sanitizer_start_switch_fiber(co->fn ? &co->fake_own : NULL,
				       co->caller_stack, co->caller_bytes);
#endif
	co_switch(&co->own, &co->caller);
#ifdef CO_ASAN
	__sanitizer_finish_switch_fiber(co->fake_own, &co->caller_stack,
					&co->caller_bytes);
#endif
}

/* The body of every coroutine: one job after the other, idle in between. */
__attribute__((noreturn, used, visibility("hidden"))) void co_main(void *arg);
void
co_main(void *arg)
{
	struct co *co = arg;

#ifdef CO_ASAN
	__sanitizer_finish_switch_fiber(NULL, &co->caller_stack,
					&co->caller_bytes);
#endif
	while (co->fn) {
		co->fn(co->arg);
		co->state = CO_IDLE;
		leave(co);
	}
	leave(co);
	abort();
}

static struct co *
co_new(void)
{
	struct co *co = calloc(1, sizeof(*co));

	if (!co)
		return NULL;
	co->map_bytes = CO_STACK_BYTES + guard_bytes();
	co->map = mmap(NULL, co->map_bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK,
		       -1, 0);
	if (co->map == MAP_FAILED) {
		free(co);
		return NULL;
	}
	(void)mprotect(co->map, guard_bytes(), PROT_NONE);
	context_init(&co->own, (char *)co->map + guard_bytes(), CO_STACK_BYTES,
		     co);
#ifdef CO_TSAN
	co->fiber = __tsan_create_fiber(0);
#endif
	return co;
}

static void
co_free(struct co *co)
{
#ifdef CO_TSAN
	__tsan_destroy_fiber(co->fiber);
#endif
#ifdef CO_ASAN
	co->fn = NULL;
	resume(co);
	/* The stack's address may come back as ordinary memory. */
	__asan_unpoison_memory_region((char *)co->map + guard_bytes(),
				      co->map_bytes - guard_bytes());
#endif
	(void)munmap(co->map, co->map_bytes);
	free(co);
}

/*
 * Idle coroutines of loops that are no more, for the next: a mapping that comes
 * and goes with each loop costs more than all that a small one does.
 */
static struct {
	pthread_mutex_t lock;
	struct list idle;
	unsigned n;
} reserve = {PTHREAD_MUTEX_INITIALIZER, {&reserve.idle, &reserve.idle}, 0};

static void
reserve_put(struct co *co)
{
	bool kept;

	(void)pthread_mutex_lock(&reserve.lock);
	kept = reserve.n < CO_RESERVE_MAX;
	if (kept) {
		list_append(&reserve.idle, &co->link);
		reserve.n++;
	}
	(void)pthread_mutex_unlock(&reserve.lock);
	if (!kept)
		co_free(co);
}

/* NULL: there is none. */
static struct co *
reserve_take(void)
{
	struct co *co = NULL;

	(void)pthread_mutex_lock(&reserve.lock);
	if (reserve.n) {
		co = container_of(reserve.idle.prev, struct co, link);
		list_remove(&co->link);
		reserve.n--;
	}
	(void)pthread_mutex_unlock(&reserve.lock);
	return co;
}

void
co_sched_init(struct co_sched *s)
{
	list_init(&s->ready);
	list_init(&s->idle);
	s->n_idle = 0;
	s->n_live = 0;
}

void
co_sched_done(struct co_sched *s)
{
	struct list *el;

	assert(s->n_live == 0 && list_empty(&s->ready));
	while ((el = list_pop(&s->idle)))
		reserve_put(container_of(el, struct co, link));
	s->n_idle = 0;
}

/* Run co and, if it has ended, keep or free its stack. */
static void
run(struct co *co)
{
	struct co_sched *s = co->sched;

	resume(co);
	if (co->state != CO_IDLE)
		return;
	s->n_live--;
	if (s->n_idle >= CO_IDLE_MAX) {
		reserve_put(co);
		return;
	}
	list_append(&s->idle, &co->link);
	s->n_idle++;
}

int
co_start(struct co_sched *s, co_fn *fn, void *arg)
{
	struct co *co;

	if (!list_empty(&s->idle)) {
		/* The one used last: its stack is still in the CPU's cache. */
		co = container_of(s->idle.prev, struct co, link);
		list_remove(&co->link);
		s->n_idle--;
	} else {
		co = reserve_take();
		if (!co)
			co = co_new();
		if (!co)
			return -ENOMEM;
		co->sched = s;
	}
	co->fn = fn;
	co->arg = arg;
	s->n_live++;
	run(co);
	return 0;
}

void Q2_CO
co_park(void)
{
	struct co *co = current;

	assert(co && co->state == CO_RUNNING);
	co->state = CO_PARKED;
	leave(co);
}

void
co_wake(struct co *co)
{
	assert(co->state == CO_PARKED);
	co->state = CO_READY;
	list_append(&co->sched->ready, &co->link);
}

void Q2_CO
co_reschedule(void)
{
	struct co *co = current;

	assert(co && co->state == CO_RUNNING);
	co->state = CO_READY;
	list_append(&co->sched->ready, &co->link);
	leave(co);
}

unsigned
co_run_ready(struct co_sched *s)
{
	struct list *el;
	unsigned n = 0;

	assert(!current);
	while ((el = list_pop(&s->ready))) {
		run(container_of(el, struct co, link));
		n++;
	}
	return n;
}
