/* SPDX-License-Identifier: MIT */
/*
 * A loop is announced by a new generation number and an open gate. A worker that
 * sees the number enters through the gate (counted), takes items until none is
 * left, and leaves. The caller takes items too, then shuts the gate and waits for
 * those inside: so a worker that wakes late costs nothing, and finds no stale loop.
 *
 * Who waits spins for a short while, then sleeps on a futex: layers follow each
 * other within microseconds while a model runs, and nothing burns when none does.
 */
#include "util/pool.h"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/clock.h"

#define GATE_OPEN 0x80000000u /* the lower bits count the workers inside */
#define GATE_WAIT 0x40000000u /* the caller sleeps until the last one leaves */
#define SPIN_NS 40000

struct worker {
	struct kerf_pool *pool;
	pthread_t thread;
	int index, cpu;
};

struct kerf_pool {
	int n;
	int first_cpu; /* for the caller when pinned, else -1 */
	uint64_t spin_ns;
	pthread_t pinned_caller;
	bool caller_pinned;

	/* The loop in progress: written while the gate is shut and nobody is inside. */
	kerf_pool_fn fn;
	void *arg;
	int64_t n_items;

	_Alignas(KERF_ALIGN) atomic_int_fast64_t next;
	_Alignas(KERF_ALIGN) atomic_uint gate;
	_Alignas(KERF_ALIGN) atomic_uint generation;
	atomic_uint sleepers;
	atomic_bool stop;

	_Alignas(KERF_ALIGN) struct worker worker[];
};

static void futex_wait(atomic_uint *word, unsigned seen)
{
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

static void futex_wake(atomic_uint *word, int count)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("isb" ::: "memory");
#endif
}

/* Spins until *word is no longer seen, or for the pool's patience. The word as it is then. */
static unsigned spin(const struct kerf_pool *pool, atomic_uint *word, unsigned seen)
{
	uint64_t end = 0;
	unsigned now, i;

	for (i = 0;; i++) {
		now = atomic_load_explicit(word, memory_order_acquire);
		if (now != seen || !pool->spin_ns)
			return now;
		if (i % 32 == 31) {
			uint64_t t = kerf_now_ns();

			if (!end)
				end = t + pool->spin_ns;
			else if (t > end)
				return now;
		}
		relax();
	}
}

static void take_items(struct kerf_pool *pool, int thread)
{
	int64_t n = pool->n_items, i;

	while ((i = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed)) < n)
		pool->fn(pool->arg, i, thread);
}

static bool enter(struct kerf_pool *pool)
{
	unsigned gate = atomic_load_explicit(&pool->gate, memory_order_relaxed);

	while (gate & GATE_OPEN)
		if (atomic_compare_exchange_weak_explicit(&pool->gate, &gate, gate + 1,
							  memory_order_acquire,
							  memory_order_relaxed))
			return true;
	return false;
}

static void leave(struct kerf_pool *pool)
{
	unsigned gate = atomic_fetch_sub_explicit(&pool->gate, 1, memory_order_release) - 1;

	if (gate == GATE_WAIT)
		futex_wake(&pool->gate, 1);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct kerf_pool *pool = w->pool;
	unsigned seen = 0, now;

	for (;;) {
		now = spin(pool, &pool->generation, seen);
		while (now == seen) {
			/* Counted before the last look: who announces sees us, or we see it. */
			atomic_fetch_add(&pool->sleepers, 1);
			if (atomic_load(&pool->generation) == seen)
				futex_wait(&pool->generation, seen);
			atomic_fetch_sub(&pool->sleepers, 1);
			now = atomic_load(&pool->generation);
		}
		seen = now;
		if (atomic_load_explicit(&pool->stop, memory_order_acquire))
			return NULL;
		if (enter(pool)) {
			take_items(pool, w->index);
			leave(pool);
		}
	}
}

static void bind_thread(pthread_t thread, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	pthread_setaffinity_np(thread, sizeof(set), &set);
}

/* The i-th CPU (modulo their number) of the set. */
static int nth_cpu(const cpu_set_t *set, int i)
{
	int n = CPU_COUNT(set), cpu;

	i %= n;
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, set) && !i--)
			return cpu;
	return -1;
}

static void announce(struct kerf_pool *pool, int wake)
{
	atomic_fetch_add(&pool->generation, 1);
	if (atomic_load(&pool->sleepers))
		futex_wake(&pool->generation, wake);
}

static void stop_workers(struct kerf_pool *pool, int started)
{
	int i;

	atomic_store(&pool->stop, true);
	announce(pool, INT_MAX);
	for (i = 1; i < started; i++)
		pthread_join(pool->worker[i].thread, NULL);
}

int kerf_pool_new(int n_threads, bool pin, struct kerf_pool **out)
{
	struct kerf_pool *pool;
	cpu_set_t cpus;
	int i, r, n_cpus;

	CPU_ZERO(&cpus);
	if (sched_getaffinity(0, sizeof(cpus), &cpus) || !CPU_COUNT(&cpus))
		CPU_SET(0, &cpus);
	n_cpus = CPU_COUNT(&cpus);
	if (n_threads < 0 || n_threads > 1024)
		return -EINVAL;
	if (!n_threads)
		n_threads = n_cpus;
	pool = aligned_alloc(KERF_ALIGN,
			     kerf_align(sizeof(*pool) + (size_t)n_threads * sizeof(struct worker)));
	if (!pool)
		return -ENOMEM;
	*pool = (struct kerf_pool){
		.n = n_threads,
		.first_cpu = pin ? nth_cpu(&cpus, 0) : -1,
		/* Spinning helps nobody when the one waited for needs this CPU. */
		.spin_ns = n_threads <= n_cpus ? SPIN_NS : 0,
	};
	for (i = 1; i < n_threads; i++) {
		struct worker *w = &pool->worker[i];

		*w = (struct worker){.pool = pool, .index = i, .cpu = nth_cpu(&cpus, i)};
		r = pthread_create(&w->thread, NULL, work, w);
		if (r) {
			stop_workers(pool, i);
			free(pool);
			return -r;
		}
		if (pin)
			bind_thread(w->thread, w->cpu);
	}
	*out = pool;
	return 0;
}

void kerf_pool_free(struct kerf_pool *pool)
{
	if (!pool)
		return;
	stop_workers(pool, pool->n);
	free(pool);
}

int kerf_pool_threads(const struct kerf_pool *pool)
{
	return pool->n;
}

static void pin_caller(struct kerf_pool *pool)
{
	pthread_t self = pthread_self();

	if (pool->caller_pinned && pthread_equal(self, pool->pinned_caller))
		return;
	bind_thread(self, pool->first_cpu);
	pool->pinned_caller = self;
	pool->caller_pinned = true;
}

/* Shuts the gate and waits until every worker has left. */
static void wait_workers(struct kerf_pool *pool)
{
	unsigned gate = atomic_fetch_and_explicit(&pool->gate, ~GATE_OPEN, memory_order_acquire) &
			~GATE_OPEN;
	unsigned now;

	while (gate) {
		now = spin(pool, &pool->gate, gate);
		if (now != gate) {
			gate = now;
			continue;
		}
		gate = atomic_fetch_or(&pool->gate, GATE_WAIT) | GATE_WAIT;
		while (gate != GATE_WAIT) {
			futex_wait(&pool->gate, gate);
			gate = atomic_load_explicit(&pool->gate, memory_order_acquire);
		}
		atomic_store_explicit(&pool->gate, 0, memory_order_relaxed);
		break;
	}
}

void kerf_pool_run(struct kerf_pool *pool, kerf_pool_fn fn, void *arg, int64_t n)
{
	int64_t i;

	if (pool->first_cpu >= 0)
		pin_caller(pool);
	if (pool->n == 1 || n <= 1) {
		for (i = 0; i < n; i++)
			fn(arg, i, 0);
		return;
	}
	pool->fn = fn;
	pool->arg = arg;
	pool->n_items = n;
	atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
	atomic_store_explicit(&pool->gate, GATE_OPEN, memory_order_release);
	announce(pool, (int)KERF_MIN(n - 1, pool->n - 1));
	take_items(pool, 0);
	wait_workers(pool);
}
