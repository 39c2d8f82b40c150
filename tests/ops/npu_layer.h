/* SPDX-License-Identifier: MIT */
/*
 * A command of the NPU's device model against the operator that it stands for, as the runtime's
 * reference defines it: 8 bits bit for bit, float32 within 1e-5. Each case runs on memory in one
 * piece and on scattered memory, and must change nothing but its output.
 */
#ifndef TESTS_OPS_NPU_LAYER_H
#define TESTS_OPS_NPU_LAYER_H

#include "unit/op_probe.h"


#include "graph/quant.h"
#include "npu_model/guest.h"
#include "npu_model/npu.h"
#include "util/rng.h"

/* A row says only what matters to it. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

#define RAM_SIZE (4u << 20)

/* --- a job of one command -------------------------------------------------------------- */

struct layer {
	struct guest g;
	struct npu_machine m;
	struct npu_fault fault;
	uint8_t in[RAM_SIZE / 4]; /* window 0; window 1 is the output */
	uint64_t n_in;
	int budget; /* go_on() says no after so many, if it is not 0 */
};

static inline bool go_on(void *arg)
{
	struct layer *l = arg;

	return !l->budget || --l->budget;
}

static inline bool no_delay(void *arg, uint32_t us)
{
	return true;
}

static inline void done(void *arg)
{
}

static inline struct layer *layer_new(void)
{
	struct layer *l = calloc(1, sizeof(*l));

	assert_non_null(l);
	l->g.ram = aligned_alloc(KERF_ALIGN, RAM_SIZE);
	assert_non_null(l->g.ram);
	l->m = (struct npu_machine){
		.ram = l->g.ram,
		.ram_size = RAM_SIZE,
		.limits = npu_default_limits,
		.go_on = go_on,
		.delay = no_delay,
		.command_done = done,
		.arg = l,
	};
	assert_int_equal(kerf_isa_init(&l->m.isa, getenv("NPU_ISA")), 0);
	return l;
}

static inline void layer_free(struct layer *l)
{
	free(l->g.ram);
	free(l);
}

/* An input's address; offsets are odd multiples of 4, so that nothing relies on more. */
static inline uint64_t put(struct layer *l, const void *data, uint64_t n)
{
	uint64_t at = (l->n_in + 3) & ~(uint64_t)3;

	assert_true(at + n <= sizeof(l->in));
	memcpy(l->in + at, data, n);
	l->n_in = at + n + 4;
	return KERF_NPU_ADDR(0, at);
}

static inline uint64_t put_tensor(struct layer *l, const struct kerf_tensor *t)
{
	return put(l, t->data, kerf_tensor_bytes(t));
}

/* Runs one command; out: what window 1 then holds. `before`: what it held, or NULL. */
static inline uint32_t run_in_place(struct layer *l, const void *cmd, size_t size, void *out,
			     uint64_t n_out, uint64_t piece, const void *before)
{
	uint8_t *ram = l->g.ram, *copy = malloc(RAM_SIZE), *window = malloc(n_out);
	struct kerf_npu_job desc;
	struct npu_job job;
	uint32_t code;

	assert_true(copy && window);
	memset(ram, 0, RAM_SIZE);
	guest_init(&l->g, ram, RAM_SIZE);
	guest_window(&l->g, KERF_MAX(l->n_in, 64), KERF_NPU_WINDOW_READ, piece);
	guest_window(&l->g, n_out, KERF_NPU_WINDOW_READ | KERF_NPU_WINDOW_WRITE, piece);
	guest_put(&l->g, 0, 0, l->in, l->n_in);
	if (before)
		guest_put(&l->g, 1, 0, before, n_out);
	guest_command(&l->g, cmd, size);
	desc = guest_job(&l->g, 1);
	memcpy(copy, ram, RAM_SIZE);
	code = npu_job_load(&job, &l->m, &desc);
	if (!code)
		code = npu_job_run(&job);
	l->fault = job.fault;
	npu_job_free(&job);
	guest_get(&l->g, 1, 0, out, n_out);
	/* With the output put back, all is as it was. */
	l->g.ram = copy;
	guest_get(&l->g, 1, 0, window, n_out);
	l->g.ram = ram;
	if (code)
		assert_memory_equal(window, out, n_out);
	guest_put(&l->g, 1, 0, window, n_out);
	assert_memory_equal(ram, copy, RAM_SIZE);
	free(window);
	free(copy);
	return code;
}

static inline void compare(const struct kerf_tensor *want, const void *got)
{
	int64_t i, n = kerf_tensor_count(want);
	const float *w = want->data, *g = got;
	float most = 1;

	if (want->dtype != KERF_F32) {
		assert_memory_equal(got, want->data, kerf_tensor_bytes(want));
		return;
	}
	for (i = 0; i < n; i++)
		most = isfinite(w[i]) ? fmaxf(most, fabsf(w[i])) : most;
	for (i = 0; i < n; i++)
		if (!(g[i] == w[i] || fabsf(g[i] - w[i]) <= 1e-5f * most))
			fail_msg("element %lld is %g, expected %g", (long long)i, (double)g[i],
				 (double)w[i]);
}

/* The command gives what the reference gave, its output being all of window 1. */
static inline void expect(struct layer *l, const void *cmd, size_t size,
			  const struct kerf_tensor *want)
{
	static const uint64_t pieces[] = {0, 64, 192, 4096};
	uint64_t n = kerf_tensor_bytes(want);
	uint8_t *got = malloc(n);
	unsigned i;

	assert_non_null(got);
	for (i = 0; i < KERF_ARRAY_SIZE(pieces); i++) {
		if (n > 64 * 1024 && pieces[i] == 64)
			continue;
		assert_int_equal(run_in_place(l, cmd, size, got, n, pieces[i], NULL), 0);
		compare(want, got);
	}
	free(got);
}

static inline uint32_t bits(float f)
{
	uint32_t u;

	memcpy(&u, &f, sizeof(u));
	return u;
}

static inline struct kerf_npu_tensor tensor(const struct kerf_tensor *t, uint64_t addr,
					    int32_t zero)
{
	return (struct kerf_npu_tensor){addr,
					(uint32_t)t->dims[0],
					(uint32_t)t->dims[1],
					(uint32_t)t->dims[2],
					(uint32_t)t->dims[3],
					(uint32_t)t->dtype,
					(uint32_t)zero};
}

#define OUT KERF_NPU_ADDR(1, 0)

/* --- operators with random contents ---------------------------------------------------- */

static struct kerf_rng rng;

static inline struct kerf_tensor *random_in(struct probe *p, enum kerf_dtype dtype,
					    const int64_t *dims, int rank)
{
	const double zero = 0;
	struct kerf_tensor *t = probe_in(p, dtype, dims, rank, &zero, 1);
	int64_t i, n = kerf_tensor_count(t);

	for (i = 0; i < n; i++)
		if (dtype == KERF_F32)
			((float *)t->data)[i] = kerf_rng_float(&rng) * 2 - 1;
		else if (dtype == KERF_I32)
			((int32_t *)t->data)[i] = (int32_t)kerf_rng_below(&rng, 20001) - 10000;
		else
			((uint8_t *)t->data)[i] = (uint8_t)kerf_rng_next(&rng);
	return t;
}

static inline float scale_in(struct probe *p, double scale)
{
	probe_in(p, KERF_F32, SCALAR, &scale, 1);
	return (float)scale;
}

static inline void zero_in(struct probe *p, enum kerf_dtype dtype, double zero)
{
	probe_in(p, dtype, SCALAR, &zero, 1);
}

static inline const struct kerf_tensor *reference(struct probe *p)
{
	int r = probe_run(p);

	if (r)
		fail_msg("%s: %d %s", p->op.def->name, r, p->err.msg);
	return &p->out[0];
}

/* Activations of float32: each kind, with parameters. */
static const struct kerf_act acts[] = {
	{KERF_ACT_NONE, 0, 0},	      {KERF_ACT_RELU, 0, 0},
	{KERF_ACT_CLIP, -0.5f, 0.75f}, {KERF_ACT_LEAKY_RELU, 0.1f, 0},
	{KERF_ACT_SIGMOID, 0, 0},     {KERF_ACT_TANH, 0, 0},
	{KERF_ACT_SILU, 0, 0},	      {KERF_ACT_HARD_SIGMOID, 0.2f, 0.5f},
	{KERF_ACT_HARD_SWISH, 0, 0},  {KERF_ACT_GELU, 0, 0},
	{KERF_ACT_MISH, 0, 0},	      {KERF_ACT_ELU, 0.7f, 0},
};

static inline struct kerf_npu_out out_f32(const struct kerf_act *act)
{
	return (struct kerf_npu_out){(uint32_t)act->kind, bits(act->a), bits(act->b), 0, 0, 0};
}

/* 8 bits: the range after an activation that is a clamp. */
static inline struct kerf_npu_out out_8(const struct kerf_act *act, enum kerf_dtype dtype,
					float scale, int32_t zero)
{
	int32_t lo, hi;

	assert_true(kerf_quant_bounds(act, dtype, scale, zero, &lo, &hi));
	return (struct kerf_npu_out){0, 0, 0, (uint32_t)lo, (uint32_t)hi, 0};
}

struct dtypes {
	enum kerf_dtype x, w, y;
	double x_zero, w_zero, y_zero;
};

static const struct dtypes dtypes[] = {
	{KERF_U8, KERF_I8, KERF_U8, 118, 0, 3},
	{KERF_I8, KERF_I8, KERF_I8, -7, 0, 5},
	{KERF_U8, KERF_U8, KERF_U8, 0, 128, 255},
	{KERF_I8, KERF_U8, KERF_U8, 127, 11, 0},
	{KERF_U8, KERF_I8, KERF_I8, 255, -3, -128},
};

#endif
