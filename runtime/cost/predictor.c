/* SPDX-License-Identifier: MIT */
#include "cost/predictor.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What the trees see of an operator on an engine. Logarithms to base 2. */
enum input {
	IN_TYPE,
	IN_FLOPS,
	IN_BYTES,
	IN_WEIGHTS,
	IN_C_IN,
	IN_C_OUT,
	IN_PIXELS,
	IN_WIDTH,
	IN_KERNEL,
	IN_STRIDE,
	IN_GROUPS,
	IN_ACT,
	IN_INTENSITY,
	IN_WASTE,     /* of the last block of output channels */
	IN_GUESS,
	IN_RATE,      /* of a plain convolution */
	IN_BANDWIDTH, /* of an addition, beside that */
	IN_DEPTHWISE, /* depthwise beside it */
	IN_CONV8,     /* int8 beside it */
	IN_SMALL,     /* small pointwise beside it */
	N_INPUT
};

const int kerf_predictor_inputs = N_INPUT;

#define BLOCK 16 /* channels that kernels make at once, mostly */
#define LEAST_S 1e-8

static double log2_of(double v)
{
	return log2(fmax(v, 1));
}

/* Work of an operator in the unit of its family's rate. */
static double work_of(enum kerf_family family, double flops, double bytes)
{
	return family <= KERF_FAMILY_CONV8 && family != KERF_FAMILY_DEPTHWISE ? flops : bytes;
}

static double case_rate(const struct kerf_engine_cost *cost, enum kerf_case_id id)
{
	const struct kerf_case *c = &kerf_cases[id];
	double work = work_of(c->family, kerf_case_flops(c), kerf_case_bytes(c));
	double s = cost->case_s[id] - (id == KERF_CASE_SMALL ? 0 : cost->case_s[KERF_CASE_SMALL]);

	return cost->case_s[id] > 0 ? work / fmax(s, LEAST_S) : 0;
}

/* An activation of the kinds that are polynomials of exp or erf. */
static bool is_curve(const struct kerf_features *f)
{
	static const bool curve[KERF_N_ACTS] = {
		[KERF_ACT_SIGMOID] = true, [KERF_ACT_TANH] = true, [KERF_ACT_SILU] = true,
		[KERF_ACT_GELU] = true,	   [KERF_ACT_MISH] = true, [KERF_ACT_ELU] = true,
	};
	double act = f->v[KERF_FEATURE_ACT];

	return act >= 0 && act < KERF_N_ACTS && curve[(int)act];
}

/* How far an operator is from a case, in octaves. */
static double distance(const struct kerf_case *c, const struct kerf_features *f)
{
	double pixels = (double)c->side / (double)c->stride;
	double a, b, d;

	if (c->family != KERF_FAMILY_PRODUCT && c->family != KERF_FAMILY_MATMUL)
		pixels *= pixels;
	a = log2_of(f->v[KERF_FEATURE_C_IN]) - log2_of((double)c->c_in);
	b = log2_of(f->v[KERF_FEATURE_C_OUT]) - log2_of((double)c->c_out);
	d = log2_of(f->v[KERF_FEATURE_PIXELS]) - log2_of(pixels);
	return sqrt(a * a + b * b + d * d);
}

/*
 * Moved by an operator. One that picks or rearranges reads what it writes, however large its
 * inputs.
 */
static double bytes_of(const struct kerf_features *f)
{
	if (kerf_features_family(f) == KERF_FAMILY_MOVE)
		return 2 * f->v[KERF_FEATURE_OUT_BYTES];
	return f->v[KERF_FEATURE_IN_BYTES] + f->v[KERF_FEATURE_OUT_BYTES] +
	       f->v[KERF_FEATURE_WEIGHT_BYTES];
}

/* Seconds an element. */
static double curve_s(const struct kerf_engine_cost *cost)
{
	return cost->case_s[KERF_CASE_CURVE] / kerf_case_flops(&kerf_cases[KERF_CASE_CURVE]);
}

double kerf_predictor_guess(const struct kerf_engine_cost *cost, const struct kerf_features *f)
{
	enum kerf_family family = kerf_features_family(f);
	double weights = 0, log_rate = 0, work,
	       fixed = fmax(cost->case_s[KERF_CASE_SMALL], LEAST_S);
	uint32_t i;

	if (family == KERF_FAMILY_VIEW)
		return LEAST_S;
	/* What has no case of its own is taken for what moves bytes. */
	if (family == KERF_FAMILY_OTHER)
		family = KERF_FAMILY_ELEMENTWISE;
	for (i = 0; i < KERF_N_CASE; i++) {
		double w, rate = case_rate(cost, i);

		if (kerf_cases[i].family != family || rate <= 0 || i == KERF_CASE_SMALL ||
		    i == KERF_CASE_CURVE)
			continue;
		w = 1 / (0.5 + pow(distance(&kerf_cases[i], f), 2));
		weights += w;
		log_rate += w * log(rate);
	}
	work = work_of(family, f->v[KERF_FEATURE_FLOPS], bytes_of(f));
	if (is_curve(f))
		fixed += f->v[KERF_FEATURE_PIXELS] * f->v[KERF_FEATURE_C_OUT] * curve_s(cost);
	if (weights <= 0)
		return fixed + work / fmax(case_rate(cost, KERF_CASE_ADD), 1);
	return fixed + work / exp(log_rate / weights);
}

/* Of the operator's name; only that equal names are equal and others mostly differ counts. */
static float type_of(const struct kerf_features *f)
{
	uint32_t h = 2166136261u;
	const char *s;

	for (s = f->type; *s; s++)
		h = (h ^ (uint8_t)*s) * 16777619u;
	return (float)(h % 997);
}

static double beside(const struct kerf_engine_cost *cost, enum kerf_case_id id)
{
	double conv = case_rate(cost, KERF_CASE_CONV);

	return conv > 0 ? log2(fmax(case_rate(cost, id), 1) / conv) : 0;
}

static void inputs_of(const struct kerf_engine_cost *cost, const struct kerf_features *f,
		      double guess, float x[N_INPUT])
{
	const double *v = f->v;
	double blocks = ceil(v[KERF_FEATURE_C_OUT] / BLOCK) * BLOCK;

	x[IN_TYPE] = type_of(f);
	x[IN_FLOPS] = (float)log2_of(v[KERF_FEATURE_FLOPS]);
	x[IN_BYTES] = (float)log2_of(v[KERF_FEATURE_IN_BYTES] + v[KERF_FEATURE_OUT_BYTES]);
	x[IN_WEIGHTS] = (float)log2_of(v[KERF_FEATURE_WEIGHT_BYTES]);
	x[IN_C_IN] = (float)log2_of(v[KERF_FEATURE_C_IN]);
	x[IN_C_OUT] = (float)log2_of(v[KERF_FEATURE_C_OUT]);
	x[IN_PIXELS] = (float)log2_of(v[KERF_FEATURE_PIXELS]);
	x[IN_WIDTH] = (float)log2_of(v[KERF_FEATURE_WIDTH]);
	x[IN_KERNEL] = (float)v[KERF_FEATURE_KERNEL];
	x[IN_STRIDE] = (float)v[KERF_FEATURE_STRIDE];
	x[IN_GROUPS] = (float)log2_of(v[KERF_FEATURE_GROUPS]);
	x[IN_ACT] = is_curve(f);
	x[IN_INTENSITY] = (float)log2(fmax(v[KERF_FEATURE_FLOPS], 1) / fmax(bytes_of(f), 1));
	x[IN_WASTE] = (float)(blocks / fmax(v[KERF_FEATURE_C_OUT], 1));
	x[IN_GUESS] = (float)log2(guess);
	x[IN_RATE] = (float)log2(fmax(case_rate(cost, KERF_CASE_CONV), 1));
	x[IN_BANDWIDTH] = (float)beside(cost, KERF_CASE_ADD);
	x[IN_DEPTHWISE] = (float)beside(cost, KERF_CASE_DEPTHWISE);
	x[IN_CONV8] = (float)beside(cost, KERF_CASE_CONV8);
	x[IN_SMALL] = (float)beside(cost, KERF_CASE_POINTWISE_SMALL);
}

double kerf_predictor_op(const struct kerf_predictor *p, const struct kerf_engine_cost *cost,
			 const struct kerf_features *f)
{
	double guess = kerf_predictor_guess(cost, f);
	float x[N_INPUT];

	inputs_of(cost, f, guess, x);
	return guess * exp(kerf_boost_value(&p->boost[kerf_features_family(f)], x));
}

/*
 * An operator's weight is the root of its share of its profile's time: what decides a model's
 * latency counts more, and the many small ones still count. Least squares of logarithms finds
 * the median, nearly; a model's latency is a sum, but the two differ by little here.
 */
static double weight_of(const struct kerf_sample *s)
{
	return sqrt(fmax(s->share, 0)) + 1e-3;
}

/* A family of its own trees: one that was hardly ever measured keeps the guess. */
static int train_family(const struct kerf_training *t, const bool *used, enum kerf_family family,
			struct kerf_predictor *p)
{
	static const struct kerf_boost_options opt = {
		.trees = 200, .rate = 0.1, .ridge = 0.5, .clip = 1, .least = 0.5};
	float *x = malloc(((size_t)t->n + 1) * N_INPUT * sizeof(*x));
	double *y = malloc(2 * ((size_t)t->n + 1) * sizeof(*y)), *w = y ? y + t->n + 1 : NULL;
	uint32_t i, n = 0;
	int r = x && y ? 0 : -ENOMEM;

	for (i = 0; !r && i < t->n; i++) {
		const struct kerf_sample *s = &t->sample[i];
		const struct kerf_engine_cost *cost = &t->profile[s->profile].cost;
		double guess;

		if (!used[s->profile] || kerf_features_family(&s->f) != family)
			continue;
		guess = kerf_predictor_guess(cost, &s->f);
		inputs_of(cost, &s->f, guess, x + (size_t)n * N_INPUT);
		y[n] = log(fmax(s->s, LEAST_S) / guess);
		w[n++] = weight_of(s);
	}
	p->n_sample += n;
	if (!r && n)
		r = kerf_boost_train(x, y, w, n, N_INPUT, &opt, &p->boost[family]);
	free(x);
	free(y);
	return r;
}

int kerf_predictor_train(const struct kerf_training *t,
			 bool (*keep)(const struct kerf_training_profile *p, const void *user),
			 const void *user, struct kerf_predictor *p)
{
	bool *used = calloc(t->n_profile + 1, 1);
	uint32_t i;
	int r = used ? 0 : -ENOMEM, f;

	memset(p, 0, sizeof(*p));
	for (i = 0; used && i < t->n_profile; i++) {
		used[i] = !keep || keep(&t->profile[i], user);
		p->n_profile += used[i];
	}
	if (!r && !p->n_profile)
		r = -ENODATA;
	for (f = 0; f < KERF_N_FAMILY && !r; f++)
		r = train_family(t, used, f, p);
	free(used);
	if (r)
		kerf_predictor_finish(p);
	return r;
}

int kerf_predictor_profile(const struct kerf_predictor *p, const struct kerf_engine_cost *cost,
			   const struct kerf_graph *g, struct kerf_profile *out)
{
	uint32_t i;
	int r;

	memset(out, 0, sizeof(*out));
	if (!cost->has_cases)
		return -EINVAL;
	r = kerf_profile_describe(out, g);
	out->op_s = calloc(g->n_op + 1, sizeof(*out->op_s));
	if (r || !out->op_s) {
		kerf_profile_finish(out);
		return -ENOMEM;
	}
	memcpy(out->engine, cost->engine, sizeof(out->engine));
	memcpy(out->machine, cost->machine, sizeof(out->machine));
	out->predicted = true;
	for (i = 0; i < g->n_op; i++) {
		out->op_s[i] = kerf_predictor_op(p, cost, &out->op[i]);
		out->run_s += out->op_s[i];
	}
	return 0;
}

void kerf_predictor_finish(struct kerf_predictor *p)
{
	int f;

	for (f = 0; f < KERF_N_FAMILY; f++)
		kerf_boost_finish(&p->boost[f]);
	memset(p, 0, sizeof(*p));
}
