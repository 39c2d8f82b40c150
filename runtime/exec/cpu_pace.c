/* SPDX-License-Identifier: MIT */
/*
 * A slower core, for hosts that share a box and shall differ in speed. A slice takes a multiple of
 * the time that it takes here at full speed: it is computed at once, and the thread then sleeps. As
 * nobody sees a part of its outputs, that is as good as computing slowly.
 *
 * Its time here is the sum of its operators', and that of an operator is the least of a few runs of
 * the first slice that had one of its shape; all caches are full of something else before each, as
 * on a small computer weights come from memory. Were it taken anew from each run, a core 20 times
 * as slow would meet each of this box's late wakes and cold caches as 20 of them, which no slow
 * core has.
 */
#include "exec/cpu.h"
#include "cost/features.h"
#include "exec/measure.h"
#include "util/clock.h"
#include "util/hash.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define SHAPES 65536 /* a power of two; half of them are known at most */
#define TRIALS 5
#define TRIALS_NS 300000000u /* none begins after that */
/* To be filled: what is known of caches, but servers' are shared by many cores, and some unknown */
#define CACHE_BYTES (8l << 20)
#define MOST_CACHE_BYTES (64l << 20)
#define LATE_NS 60000u	 /* what a wake may be late */
#define LOOK_NS 5000000u /* who sleeps looks so often whether it is wanted no more */

struct kerf_cpu_pace {
	double times;
	volatile uint64_t *others; /* more than caches hold */
	size_t n_others;
	uint32_t n_shape;
	struct shape {
		uint64_t key, ns; /* key 0: none; UINT64_MAX ns: not known yet */
	} shape[SHAPES];
};

int kerf_cpu_pace_new(double times, struct kerf_cpu_pace **pace)
{
	long bytes = sysconf(_SC_LEVEL3_CACHE_SIZE);
	struct kerf_cpu_pace *p = calloc(1, sizeof(*p));
	size_t i;

	if (!p)
		return -ENOMEM;
	bytes = bytes > 0 ? KERF_MIN(bytes, MOST_CACHE_BYTES) : CACHE_BYTES;
	p->times = times;
	p->n_others = (size_t)bytes / sizeof(*p->others);
	p->others = malloc(p->n_others * sizeof(*p->others));
	if (!p->others) {
		free(p);
		return -ENOMEM;
	}
	for (i = 0; i < p->n_others; i++)
		p->others[i] = i; /* pages that are never written are all the same one */
	*pace = p;
	return 0;
}

void kerf_cpu_pace_free(struct kerf_cpu_pace *pace)
{
	if (pace)
		free((void *)pace->others);
	free(pace);
}

static void fill_caches(const struct kerf_cpu_pace *pace)
{
	size_t i;

	for (i = 0; i < pace->n_others; i += 64 / sizeof(*pace->others))
		(void)pace->others[i];
}

/* Where operators like this one stand, or NULL: there is no room. */
static struct shape *find_shape(struct kerf_cpu_pace *pace, const struct kerf_graph *g,
				const struct kerf_op *op)
{
	struct kerf_features f;
	struct shape *s;
	uint64_t key;

	kerf_features_of(g, op, &f);
	key = kerf_hash_mix(KERF_HASH_INIT, f.type, strlen(f.type));
	key = kerf_hash_mix(key, f.v, sizeof(f.v)) | 1;
	for (s = &pace->shape[(key >> 32) % SHAPES]; s->key && s->key != key;)
		s = s == &pace->shape[SHAPES - 1] ? pace->shape : s + 1;
	if (s->key)
		return s;
	if (pace->n_shape == SHAPES / 2)
		return NULL;
	pace->n_shape++;
	*s = (struct shape){key, UINT64_MAX};
	return s;
}

/* What a slice's operators take: ns[] is known of all but n, whose shapes are asked for. */
static int look_up(struct kerf_cpu_pace *pace, const struct kerf_graph *g, uint64_t *ns,
		   struct shape **unknown, uint32_t *n)
{
	uint32_t i;

	for (*n = 0, i = 0; i < g->n_op; i++) {
		struct shape *s = find_shape(pace, g, &g->op[i]);

		if (!s)
			return -ENOSPC;
		ns[i] = s->ns;
		unknown[i] = s->ns == UINT64_MAX ? s : NULL;
		*n += unknown[i] != NULL;
	}
	return 0;
}

int kerf_cpu_pace_learn(struct kerf_cpu_pace *pace, struct kerf_cpu_program *p,
			struct kerf_pool *pool)
{
	struct kerf_graph *g = ((struct kerf_program *)p)->slice;
	uint64_t *ns = malloc((g->n_op + 1) * sizeof(*ns)), begin = kerf_now_ns();
	uint64_t *least = *kerf_cpu_program_pace(p) = malloc((g->n_op + 1) * sizeof(*least));
	struct shape **unknown = malloc((g->n_op + 1) * sizeof(struct shape *));
	struct kerf_io io = {0};
	uint32_t n_unknown = 0, i, k;
	int r = ns && least && unknown ? look_up(pace, g, least, unknown, &n_unknown) : -ENOMEM;

	if (!r && n_unknown)
		r = kerf_io_make(g, 1, &io);
	for (k = 0; !r && n_unknown && k < TRIALS; k++) {
		if (k && kerf_now_ns() - begin > TRIALS_NS)
			break;
		fill_caches(pace);
		r = kerf_cpu_program_run(p, pool, io.in, io.out, ns, NULL);
		for (i = 0; i < g->n_op && !r; i++)
			if (unknown[i])
				unknown[i]->ns = least[i] = KERF_MIN(unknown[i]->ns, ns[i]);
	}
	/* What is there more than once */
	for (i = 0; !r && i < g->n_op; i++)
		if (unknown[i])
			least[i] = unknown[i]->ns;
	kerf_io_finish(&io);
	free(unknown);
	free(ns);
	return r;
}

/* 0, or -ECANCELED once *cancel is not 0. The end must not be late: its last part is spent awake. */
static int sleep_until(uint64_t until, const uint64_t *cancel)
{
	for (uint64_t now; (now = kerf_now_ns()) + LATE_NS < until;) {
		uint64_t wake = KERF_MIN(until - LATE_NS, now + LOOK_NS);
		struct timespec ts = {(time_t)(wake / 1000000000u), (long)(wake % 1000000000u)};

		if (cancel && __atomic_load_n(cancel, __ATOMIC_RELAXED))
			return -ECANCELED;
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
	}
	while (kerf_now_ns() < until)
		;
	return 0;
}

int kerf_cpu_pace_run(const struct kerf_cpu_pace *pace, struct kerf_cpu_program *p,
		      struct kerf_pool *pool, const struct kerf_tensor *in,
		      struct kerf_tensor *out, uint64_t *op_ns, const uint64_t *cancel)
{
	const struct sched_param none = {0};
	const uint64_t *least = *kerf_cpu_program_pace(p);
	uint32_t i, n = ((struct kerf_program *)p)->slice->n_op;
	uint64_t begin = kerf_now_ns();
	int policy = sched_getscheduler(0), r;
	struct sched_param param;
	double sum = 0;

	/* Whoever wakes for a message goes first: this has time. */
	sched_getparam(0, &param);
	sched_setscheduler(0, SCHED_BATCH, &none);
	r = kerf_cpu_program_run(p, pool, in, out, NULL, cancel);
	sched_setscheduler(0, policy, &param);
	if (r)
		return r;
	for (i = 0; i < n; i++) {
		double took = (double)least[i] * pace->times;

		sum += took;
		if (op_ns)
			op_ns[i] = (uint64_t)took;
	}
	prctl(PR_SET_TIMERSLACK, 1000ul); /* the default, 50 us, is an operator's time */
	return sleep_until(begin + (uint64_t)sum, cancel);
}
