/* SPDX-License-Identifier: MIT */
/*
 * Speed of the layers of known networks, as a share of the multiply-add peak that is
 * measured around each of them: the least time of several runs. One thread is timed by
 * its CPU time, so that a busy machine disturbs less.
 */
#ifndef KERF_TESTS_CPU_BENCH_H
#define KERF_TESTS_CPU_BENCH_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exec/cpu_kernels.h"
#include "ops/cpu_layers.h"
#include "util/clock.h"
#include "util/rng.h"

#define BENCH_NS 60000000 /* spent on a layer, at least three runs */

static float *bench_tensor(struct kerf_rng *rng, int64_t n)
{
	float *x = aligned_alloc(KERF_ALIGN, kerf_align((size_t)n * sizeof(float)));
	int64_t i;

	if (!x)
		abort();
	for (i = 0; i < n; i++)
		x[i] = 2 * kerf_rng_float(rng) - 1;
	return x;
}

static double bench_layer(const struct kerf_cpu_isa *isa, const struct layer *l,
			  struct kerf_pool *pool, double *gflop, double *prepare_ms)
{
	int64_t o = l->in ? (l->in + 2 * l->pad - l->k) / l->stride + 1 : 1;
	int64_t nx = l->in ? (int64_t)l->in * l->in * l->c : l->c, ny = o * o * l->oc;
	int64_t nw = l->in ? (int64_t)l->oc * (l->depthwise ? 1 : l->c) * l->k * l->k
			   : (int64_t)l->oc * l->c;
	struct kerf_cpu_conv_desc cd = {
		.n = 1,
		.h = l->in,
		.w = l->in,
		.c = l->c,
		.oh = o,
		.ow = o,
		.oc = l->oc,
		.kh = l->k,
		.kw = l->k,
		.stride_h = l->stride,
		.stride_w = l->stride,
		.dilation_h = 1,
		.dilation_w = 1,
		.pad_h = l->pad,
		.pad_w = l->pad,
		.groups = l->depthwise ? l->c : 1,
		.act = {KERF_ACT_RELU, 0, 0},
	};
	struct kerf_cpu_gemm_desc gd = {.m = 1, .n = l->oc, .k = l->c, .trans_b = true, .alpha = 1};
	struct kerf_cpu_conv *conv = NULL;
	struct kerf_cpu_gemm *gemm = NULL;
	struct kerf_rng rng;
	float *x, *w, *bias, *y;
	void *scratch;
	uint64_t best = UINT64_MAX, begin, t;
	int runs, threads = kerf_pool_threads(pool);
	clockid_t clock = threads > 1 ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID;

	kerf_rng_seed(&rng, 1);
	x = bench_tensor(&rng, nx);
	w = bench_tensor(&rng, nw);
	y = bench_tensor(&rng, ny);
	bias = bench_tensor(&rng, l->oc);
	t = kerf_now_ns();
	if (l->in ? kerf_cpu_conv_prepare(isa, &cd, w, bias, NULL, pool, &conv)
		  : kerf_cpu_gemm_prepare(isa, &gd, w, bias, pool, &gemm))
		abort();
	*prepare_ms = (double)(kerf_now_ns() - t) / 1e6;
	free(w);
	scratch = aligned_alloc(
		KERF_ALIGN, KERF_ALIGN + kerf_align(l->in ? kerf_cpu_conv_scratch(conv, threads)
							  : kerf_cpu_gemm_scratch(gemm, threads)));
	begin = kerf_now_ns();
	for (runs = 0; runs < 3 || kerf_now_ns() - begin < BENCH_NS; runs++) {
		t = kerf_clock_ns(clock);
		if (conv)
			kerf_cpu_conv_run(conv, pool, x, NULL, y, scratch);
		else
			kerf_cpu_gemm_run(gemm, pool, x, NULL, NULL, 0, y, scratch);
		t = kerf_clock_ns(clock) - t;
		best = KERF_MIN(best, t);
	}
	*gflop = 2e-9 * (double)nw * (double)(o * o);
	kerf_cpu_conv_free(conv);
	kerf_cpu_gemm_free(gemm);
	free(x);
	free(y);
	free(bias);
	free(scratch);
	return (double)best / 1e9;
}

static void bench_network(const struct kerf_cpu_isa *isa, const struct network *n,
			  struct kerf_pool *pool)
{
	int threads = kerf_pool_threads(pool);
	const struct layer *l;
	double flops = 0, time = 0, at_peak = 0, gflop, peak, s, ms, prepare = 0;

	printf("%s, %s, %d thread%s\n", n->name, isa->name, threads, threads > 1 ? "s" : "");
	for (l = n->layer; l->times; l++) {
		peak = kerf_cpu_peak_gflops(isa, threads);
		s = bench_layer(isa, l, pool, &gflop, &ms);
		peak = KERF_MAX(peak, kerf_cpu_peak_gflops(isa, threads));
		printf("  %dx %3d %5d->%-4d k%d s%d%s %8.3f ms %7.1f GFLOP/s of %6.1f: %.2f\n",
		       l->times, l->in, l->c, l->oc, l->k, l->stride, l->depthwise ? " dw" : "   ",
		       s * 1e3, gflop / s, peak, gflop / s / peak);
		flops += gflop * l->times;
		time += s * l->times;
		at_peak += gflop / peak * l->times;
		prepare += ms * l->times;
	}
	printf("%s: %.2f GFLOP in %.2f ms, %.1f GFLOP/s, %.2f of the peak (bar %.2f); prepared in "
	       "%.0f ms\n\n",
	       n->name, flops, time * 1e3, flops / time, at_peak / time, n->bar, prepare);
}

/* name: NULL or "all", or one network. isa: NULL for the best. One thread, then two. */
static int bench_networks(const char *name, const char *isa_name)
{
	const struct kerf_cpu_isa *isa = kerf_cpu_isa_find(isa_name);
	unsigned i;
	int threads;

	if (!isa)
		return 2;
	for (i = 0; i < KERF_ARRAY_SIZE(networks); i++) {
		if (name && strcmp(name, "all") && strcmp(name, networks[i].name))
			continue;
		for (threads = 1; threads <= 2; threads++) {
			struct kerf_pool *pool;

			if (kerf_pool_new(threads, false, &pool))
				return 1;
			bench_network(isa, &networks[i], pool);
			kerf_pool_free(pool);
		}
	}
	return 0;
}

#endif
