/* SPDX-License-Identifier: MIT */
#include "exec/cpu_peak.h"

#include "exec/cpu_kernels.h"
#include "util/clock.h"

#define ROUNDS 150000
#define TRIES 40
#define ENOUGH_NS 300000000 /* on a core so slow that all tries would take long */

struct peak {
	const struct kerf_cpu_peak_fns *fns;
	volatile float sink;
};

static void run(void *arg, int64_t item, int thread)
{
	struct peak *p = arg;

	p->sink = p->fns->run(ROUNDS);
}

/* The best of many short tries: what the cores can do when nobody disturbs them. */
double kerf_cpu_peak_gflops(const struct kerf_cpu_isa *isa, int threads)
{
	struct peak p = {.fns = isa->peak};
	struct kerf_pool *pool;
	uint64_t best = UINT64_MAX, end = kerf_now_ns() + ENOUGH_NS, t;
	int i;

	if (kerf_pool_new(threads, false, &pool))
		return 0;
	threads = kerf_pool_threads(pool);
	for (i = 0; i < TRIES && (!i || kerf_now_ns() < end); i++) {
		t = kerf_now_ns();
		kerf_pool_run(pool, run, &p, threads);
		t = kerf_now_ns() - t;
		best = KERF_MIN(best, t);
	}
	kerf_pool_free(pool);
	return (double)ROUNDS * isa->peak->flops_per_round * threads / (double)best;
}
