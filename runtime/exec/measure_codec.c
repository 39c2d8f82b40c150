/* SPDX-License-Identifier: MIT */
/*
 * What codecs cost, in time and in error. Time: a value that is larger than a core's own cache,
 * least of some rounds, once a machine. Error: a model runs in two halves, and what goes over goes
 * through the codec; its outputs are compared with those of the values as they were.
 */
#include "exec/codec.h"
#include "exec/measure_priv.h"
#include "util/clock.h"
#include "util/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TIMED_COUNT (1u << 19) /* 2 MiB of float32 */
#define TIMED_ROUNDS 20

static struct kerf_runs all_of(size_t count)
{
	return (struct kerf_runs){.element = sizeof(float), .n_batch = 1, .n_position = 1,
				  .run = count};
}

int kerf_measure_codec(double byte_s[KERF_N_CODECS])
{
	const struct kerf_runs runs = all_of(TIMED_COUNT);
	float *x = kerf_tensor_alloc(TIMED_COUNT * sizeof(*x));
	void *wire = kerf_tensor_alloc(TIMED_COUNT * sizeof(*x));
	struct kerf_rng rng;
	uint32_t i, k;
	int r = x && wire ? 0 : -ENOMEM;

	kerf_rng_seed(&rng, 1);
	for (i = 0; !r && i < TIMED_COUNT; i++)
		x[i] = 4 * kerf_rng_float(&rng) - 1;
	memset(byte_s, 0, KERF_N_CODECS * sizeof(*byte_s));
	for (k = KERF_CODEC_NONE + 1; k < KERF_N_CODECS && !r; k++) {
		uint64_t least = UINT64_MAX;

		for (i = 0; i < TIMED_ROUNDS && !r; i++) {
			uint64_t begin = kerf_now_ns();

			kerf_codec_encode(k, &runs, x, wire);
			r = kerf_codec_decode(k, &runs, x, wire);
			least = KERF_MIN(least, kerf_now_ns() - begin);
		}
		/* One way. */
		byte_s[k] = (double)least * 1e-9 / 2 / (TIMED_COUNT * sizeof(*x));
	}
	free(x);
	free(wire);
	return r;
}

/* --- errors ---------------------------------------------------------------------- */

/* Adds up what b is off from a. */
struct sums {
	double error2, value2, error_max, value_max;
};

static void compare(const struct kerf_tensor *a, const struct kerf_tensor *b, struct sums *s)
{
	int64_t n = a->dtype == KERF_F32 ? kerf_tensor_count(a) : 0, i;

	for (i = 0; i < n; i++) {
		double x = (double)((const float *)a->data)[i],
		       y = (double)((const float *)b->data)[i];

		if (!isfinite(x))
			continue;
		s->error2 += (y - x) * (y - x);
		s->value2 += x * x;
		s->error_max = fmax(s->error_max, isfinite(y) ? fabs(y - x) : INFINITY);
		s->value_max = fmax(s->value_max, fabs(x));
	}
}

static void ratios(const struct sums *s, double *rms, double *max)
{
	*rms = s->value2 > 0 ? sqrt(s->error2 / s->value2) : 0;
	*max = s->value_max > 0 ? s->error_max / s->value_max : 0;
}

/* Through the codec, in place; the error goes to s. */
static int code(struct kerf_tensor *t, enum kerf_codec codec, struct sums *s)
{
	const struct kerf_runs runs = all_of((size_t)kerf_tensor_count(t));
	struct kerf_tensor before = *t;
	void *wire;
	int r;

	if (t->dtype != KERF_F32)
		return 0;
	wire = kerf_tensor_alloc(kerf_codec_bytes(codec, &runs));
	before.data = kerf_tensor_alloc(kerf_tensor_bytes(t));
	r = wire && before.data ? 0 : -ENOMEM;
	if (!r) {
		memcpy(before.data, t->data, kerf_tensor_bytes(t));
		kerf_codec_encode(codec, &runs, t->data, wire);
		r = kerf_codec_decode(codec, &runs, t->data, wire);
		compare(&before, t, s);
	}
	free(before.data);
	free(wire);
	return r;
}

static int32_t input_of(const struct kerf_half *whole, const char *name)
{
	uint32_t i;

	for (i = 0; i < whole->slice->n_in; i++)
		if (!strcmp(whole->slice->value[whole->slice->in[i]].name, name))
			return (int32_t)i;
	return -1;
}

/* The same inputs as the whole run has. */
static void same_inputs(const struct kerf_half *whole, struct kerf_half *h)
{
	uint32_t i;

	for (i = 0; i < h->io.n_in; i++) {
		int32_t at = input_of(whole, h->slice->value[h->slice->in[i]].name);

		if (at >= 0)
			memcpy(h->io.in[i].data, whole->io.in[at].data,
			       kerf_tensor_bytes(&h->io.in[i]));
	}
}

/* What the second half answers, with values that went through codec. */
static int run_second(const struct kerf_half *a, struct kerf_half *b, const struct kerf_half *whole,
		      enum kerf_codec codec, struct kerf_codec_error *e)
{
	struct sums value = {0}, output = {0};
	uint32_t i;
	int r = 0;

	same_inputs(whole, b);
	for (i = 0; i < b->io.n_in && !r; i++) {
		int32_t from = kerf_half_output(a, b->slice->value[b->slice->in[i]].name);

		if (from < 0)
			continue;
		memcpy(b->io.in[i].data, a->io.out[from].data, kerf_tensor_bytes(&b->io.in[i]));
		r = code(&b->io.in[i], codec, &value);
	}
	if (!r)
		r = kerf_engine_run(b->program, b->io.in, b->io.out, NULL);
	for (i = 0; i < b->io.n_out && !r; i++) {
		int32_t at = kerf_half_output(whole, b->slice->value[b->slice->out[i]].name);

		if (at >= 0)
			compare(&whole->io.out[at], &b->io.out[i], &output);
	}
	ratios(&value, &e->value_rms, &e->value_max);
	ratios(&output, &e->output_rms, &e->output_max);
	return r;
}

static int measure_cut(struct kerf_engine *e, struct kerf_graph *g, const struct kerf_half *whole,
		       uint32_t op, struct kerf_codec_error error[KERF_N_CODECS],
		       struct kerf_err *err)
{
	struct kerf_half a = {0}, b = {0};
	uint32_t k;
	int r = kerf_half_make(e, g, 0, op, &a, err);

	if (!r)
		r = kerf_half_make(e, g, op, g->n_op, &b, err);
	if (!r) {
		same_inputs(whole, &a);
		r = kerf_engine_run(a.program, a.io.in, a.io.out, NULL);
	}
	for (k = 0; k < KERF_N_CODECS && !r; k++) {
		error[k].op = op;
		r = run_second(&a, &b, whole, k, &error[k]);
	}
	kerf_half_finish(e, &a);
	kerf_half_finish(e, &b);
	return r;
}

int kerf_measure_codec_errors(struct kerf_engine *e, struct kerf_graph *g, uint64_t seed,
			      uint32_t most, struct kerf_codec_error (*error)[KERF_N_CODECS],
			      uint32_t *n, struct kerf_err *err)
{
	struct kerf_cut *cut = calloc(most + 1, sizeof(*cut));
	struct kerf_half whole = {0};
	uint32_t found = 0, i;
	int r = cut ? kerf_choose_cuts(g, most, cut, &found) : -ENOMEM;

	*n = 0;
	if (!r)
		r = kerf_half_make(e, g, 0, g->n_op, &whole, err);
	if (!r) {
		kerf_io_finish(&whole.io);
		r = kerf_io_make_on(e, whole.slice, seed, &whole.io);
	}
	if (!r)
		r = kerf_engine_run(whole.program, whole.io.in, whole.io.out, NULL);
	for (i = 0; i < found && !r; i++) {
		r = measure_cut(e, g, &whole, cut[i].op, error[*n], err);
		/* Not a place where this model can be cut. */
		if (r == -EOPNOTSUPP || r == -EINVAL) {
			r = 0;
			continue;
		}
		++*n;
	}
	kerf_half_finish(e, &whole);
	free(cut);
	return r;
}
