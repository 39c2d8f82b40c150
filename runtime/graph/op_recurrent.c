/* SPDX-License-Identifier: MIT */
/*
 * RNN, GRU, LSTM: all directions, sequence lengths, initial states, peepholes,
 * either layout. Sums run over the input, then over the state, by fused
 * multiply-add in ascending order, from the bias.
 */
#include "graph/spatial.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* --- Activations --- */

enum act_kind {
	RELU,
	TANH,
	SIGMOID,
	AFFINE,
	LEAKY_RELU,
	THRESHOLDED_RELU,
	SCALED_TANH,
	HARD_SIGMOID,
	ELU,
	SOFTSIGN,
	SOFTPLUS,
	N_KINDS,
};

static const struct {
	const char *name;
	float alpha, beta; /* where the model gives none */
} kinds[] = {
	[RELU] = {"Relu", 0, 0},
	[TANH] = {"Tanh", 0, 0},
	[SIGMOID] = {"Sigmoid", 0, 0},
	[AFFINE] = {"Affine", 1, 0},
	[LEAKY_RELU] = {"LeakyRelu", 0.01f, 0},
	[THRESHOLDED_RELU] = {"ThresholdedRelu", 1, 0},
	[SCALED_TANH] = {"ScaledTanh", 1, 1},
	[HARD_SIGMOID] = {"HardSigmoid", 0.2f, 0.5f},
	[ELU] = {"Elu", 1, 0},
	[SOFTSIGN] = {"Softsign", 0, 0},
	[SOFTPLUS] = {"Softplus", 0, 0},
};

struct act {
	enum act_kind kind;
	float alpha, beta;
};

static float activate(const struct act *a, float x)
{
	switch (a->kind) {
	case RELU: return x > 0 || x != x ? x : 0;
	case TANH: return tanhf(x);
	case SIGMOID: return 1 / (1 + expf(-x));
	case AFFINE: return a->alpha * x + a->beta;
	case LEAKY_RELU: return x < 0 ? a->alpha * x : x;
	case THRESHOLDED_RELU: return x > a->alpha ? x : 0;
	case SCALED_TANH: return a->alpha * tanhf(a->beta * x);
	case HARD_SIGMOID: return fminf(fmaxf(a->alpha * x + a->beta, 0), 1);
	case ELU: return x < 0 ? a->alpha * expm1f(x) : x;
	case SOFTSIGN: return x / (1 + fabsf(x));
	default: return x > 20 ? x : log1pf(expf(x));
	}
}

/* --- What the three have in common --- */

#define MAX_ACTS 3
struct cell {
	int n_gate, n_act; /* RNN 1, 1; GRU 3, 2; LSTM 4, 3 */
	int64_t seq, batch, in, hidden, dirs;
	bool batch_first, reverse_first;
	float clip; /* 0: none */
	bool reset_after, couple;
	struct act act[2 * MAX_ACTS];
};

/* Takes the next word of a list; false at its end. */
static bool next_word(const char **s, char word[32])
{
	size_t n = strcspn(*s, ",");

	if (!**s)
		return false;
	snprintf(word, 32, "%.*s", (int)KERF_MIN(n, 31), *s);
	*s += n + ((*s)[n] == ',');
	return true;
}

static int parse_acts(const struct kerf_op *op, struct cell *c, struct kerf_err *err)
{
	const char *list = kerf_op_string(op, "activations", NULL);
	uint32_t n_alpha, n_beta;
	const float *alpha = kerf_op_floats(op, "activation_alpha", &n_alpha);
	const float *beta = kerf_op_floats(op, "activation_beta", &n_beta);
	int i, k, n = c->n_act * (int)c->dirs;
	char word[32];

	for (i = 0; i < n; i++) {
		k = c->n_act == 1 || i % c->n_act ? TANH : SIGMOID;
		if (list && !next_word(&list, word))
			return kerf_fail(err, -EINVAL, "activations has %d words, expected %d", i,
					 n);
		for (k = list ? 0 : k; list && k < N_KINDS && strcasecmp(kinds[k].name, word); k++)
			;
		if (k == N_KINDS)
			return kerf_fail(err, -EINVAL, "activation '%s'", word);
		c->act[i].kind = (enum act_kind)k;
		c->act[i].alpha = (uint32_t)i < n_alpha ? alpha[i] : kinds[k].alpha;
		c->act[i].beta = (uint32_t)i < n_beta ? beta[i] : kinds[k].beta;
	}
	return 0;
}

static int parse_cell(const struct kerf_op *op, const struct kerf_tensor *in, struct cell *c,
		      struct kerf_err *err)
{
	const char *direction = kerf_op_string(op, "direction", "forward");
	const char *name = op->def->name;

	memset(c, 0, sizeof(*c));
	c->n_gate = !strcmp(name, "LSTM") ? 4 : !strcmp(name, "GRU") ? 3 : 1;
	c->n_act = KERF_MAX(c->n_gate - 1, 1);
	c->batch_first = kerf_op_int(op, "layout", 0) == 1;
	c->reverse_first = !strcmp(direction, "reverse");
	c->dirs = !strcmp(direction, "bidirectional") ? 2 : 1;
	if (c->dirs == 1 && !c->reverse_first && strcmp(direction, "forward"))
		return kerf_fail(err, -EINVAL, "direction is '%.32s'", direction);
	if (in[0].rank != 3 || in[1].rank != 3 || in[2].rank != 3)
		return kerf_fail(err, -EINVAL, "inputs 0 to 2 have ranks %d, %d, %d, expected 3",
				 in[0].rank, in[1].rank, in[2].rank);
	c->seq = in[0].dims[c->batch_first ? 1 : 0];
	c->batch = in[0].dims[c->batch_first ? 0 : 1];
	c->in = in[0].dims[2];
	c->hidden = in[2].dims[2];
	c->clip = kerf_op_float(op, "clip", 0);
	c->reset_after = kerf_op_int(op, "linear_before_reset", 0);
	c->couple = kerf_op_int(op, "input_forget", 0);
	if (kerf_op_int(op, "hidden_size", c->hidden) != c->hidden)
		return kerf_fail(err, -EINVAL, "hidden_size is %lld, R has %lld",
				 (long long)kerf_op_int(op, "hidden_size", 0),
				 (long long)c->hidden);
	return parse_acts(op, c, err);
}

static int check_shape(const struct kerf_tensor *t, int k, enum kerf_dtype dtype, int rank,
		       int64_t a, int64_t b, int64_t d, struct kerf_err *err)
{
	const int64_t want[3] = {a, b, d};
	char text[KERF_SHAPE_TEXT];

	if (!t)
		return 0;
	if (t->dtype != dtype || t->rank != rank ||
	    memcmp(t->dims, want, (size_t)rank * sizeof(*want)))
		return kerf_fail(err, -EINVAL,
				 "input %d is %s, expected %s[%lld,%lld,%lld] of rank %d", k,
				 kerf_tensor_text(t, text), kerf_dtype_name(dtype), (long long)a,
				 (long long)b, (long long)d, rank);
	return 0;
}

static void set_state(const struct cell *c, enum kerf_dtype dtype, struct kerf_tensor *t)
{
	*t = (struct kerf_tensor){dtype, 3, {c->dirs, c->batch, c->hidden}, NULL};
	if (c->batch_first) {
		t->dims[0] = c->batch;
		t->dims[1] = c->dirs;
	}
}

static int recurrent_infer(const struct kerf_op *op, const struct kerf_tensor *in,
			   struct kerf_tensor *out, struct kerf_err *err)
{
	enum kerf_dtype dtype = in[0].dtype;
	struct kerf_tensor state;
	int64_t gates, d, h;
	struct cell c;
	int k, r = kerf_want_f32_like(&in[0], 0, err);

	if (!r)
		r = parse_cell(op, in, &c, err);
	if (r)
		return r;
	d = c.dirs;
	h = c.hidden;
	if (!kerf_mul(h, c.n_gate, &gates) || gates > INT32_MAX)
		return kerf_fail(err, -EINVAL, "hidden size %lld is too large", (long long)h);
	set_state(&c, dtype, &state);
	r = check_shape(&in[1], 1, dtype, 3, d, gates, c.in, err);
	if (!r)
		r = check_shape(&in[2], 2, dtype, 3, d, gates, h, err);
	if (!r)
		r = check_shape(kerf_op_opt(op, in, 3), 3, dtype, 2, d, 2 * gates, 0, err);
	if (!r)
		r = check_shape(kerf_op_opt(op, in, 4), 4, KERF_I32, 1, c.batch, 0, 0, err);
	for (k = 5; !r && k < (c.n_gate == 4 ? 7 : 6); k++)
		r = check_shape(kerf_op_opt(op, in, k), k, dtype, 3, state.dims[0], state.dims[1],
				h, err);
	if (!r && c.n_gate == 4)
		r = check_shape(kerf_op_opt(op, in, 7), 7, dtype, 2, d, 3 * h, 0, err);
	if (r)
		return r;
	for (k = 1; k < op->n_out; k++)
		if (kerf_op_has_out(op, out, k))
			out[k] = state;
	if (!kerf_op_has_out(op, out, 0))
		return 0;
	out[0] = (struct kerf_tensor){dtype, 4, {c.seq, d, c.batch, h}, NULL};
	if (c.batch_first) {
		out[0].dims[0] = c.batch;
		out[0].dims[1] = c.seq;
		out[0].dims[2] = d;
	}
	return 0;
}

/* Everything of one run as float32; NULL where absent. */
#define MAX_ARGS 8
struct run {
	struct cell c;
	const float *p[MAX_ARGS]; /* by input; [4] (lengths) is not used */
	float *owned[MAX_ARGS];
	const int32_t *length; /* of each sequence, or NULL */
	float *h, *s;	       /* state and LSTM's cell state of one sequence */
	float *gate;	       /* of one step: n_gate * hidden */
	float *scratch;	       /* hidden */
	struct kerf_tensor *out[3];
};

/* bias + x . w over n, in ascending order; w_row is the row's start. */
static float dot(float acc, const float *x, const float *w_row, int64_t n)
{
	int64_t i;

	for (i = 0; i < n; i++)
		acc = fmaf(x[i], w_row[i], acc);
	return acc;
}

static float clipped(const struct cell *c, float v)
{
	return c->clip > 0 ? fminf(fmaxf(v, -c->clip), c->clip) : v;
}

/* Row of gate g for direction d: of W, R, of the input's and the state's bias. */
static const float *w_row(const struct run *r, int64_t d, int g, int64_t j)
{
	return r->p[1] + ((d * r->c.n_gate + g) * r->c.hidden + j) * r->c.in;
}

static const float *r_row(const struct run *r, int64_t d, int g, int64_t j)
{
	return r->p[2] + ((d * r->c.n_gate + g) * r->c.hidden + j) * r->c.hidden;
}

static float bias(const struct run *r, int64_t d, int g, int64_t j, bool of_state)
{
	int64_t gates = r->c.n_gate;

	return r->p[3] ? r->p[3][(2 * gates * d + (of_state ? gates : 0) + g) * r->c.hidden + j]
		       : 0;
}

/* x . W + h . R + both biases. */
static float gate_sum(const struct run *r, int64_t d, int g, int64_t j, const float *x,
		      const float *h)
{
	float b = bias(r, d, g, j, false) + bias(r, d, g, j, true);

	return dot(dot(b, x, w_row(r, d, g, j), r->c.in), h, r_row(r, d, g, j), r->c.hidden);
}

static void rnn_step(struct run *r, int64_t d, const float *x)
{
	const struct act *f = &r->c.act[d];
	int64_t j;

	for (j = 0; j < r->c.hidden; j++)
		r->scratch[j] = activate(f, clipped(&r->c, gate_sum(r, d, 0, j, x, r->h)));
	memcpy(r->h, r->scratch, (size_t)r->c.hidden * sizeof(float));
}

/* Gates z (update), r (reset), h (candidate). */
static void gru_step(struct run *r, int64_t d, const float *x)
{
	const struct act *f = &r->c.act[d * 2], *g = f + 1;
	int64_t n = r->c.hidden, j;
	float *z = r->gate, *reset = z + n, *new = reset + n;

	for (j = 0; j < n; j++) {
		z[j] = activate(f, clipped(&r->c, gate_sum(r, d, 0, j, x, r->h)));
		reset[j] = activate(f, clipped(&r->c, gate_sum(r, d, 1, j, x, r->h)));
	}
	for (j = 0; j < n; j++)
		r->scratch[j] = reset[j] * r->h[j];
	for (j = 0; j < n; j++) {
		float v = dot(bias(r, d, 2, j, false), x, w_row(r, d, 2, j), r->c.in);

		if (r->c.reset_after)
			v += reset[j] * dot(bias(r, d, 2, j, true), r->h, r_row(r, d, 2, j), n);
		else
			v = dot(v + bias(r, d, 2, j, true), r->scratch, r_row(r, d, 2, j), n);
		new[j] = activate(g, clipped(&r->c, v));
	}
	for (j = 0; j < n; j++)
		r->h[j] = (1 - z[j]) * new[j] + z[j] * r->h[j];
}

/* Gates i (input), o (output), f (forget), c (cell); peepholes i, o, f. */
static void lstm_step(struct run *r, int64_t d, const float *x)
{
	const struct act *f = &r->c.act[d * 3], *g = f + 1, *h = f + 2;
	const float *peep = r->p[7] ? r->p[7] + d * 3 * r->c.hidden : NULL;
	int64_t n = r->c.hidden, j;

	for (j = 0; j < n; j++) {
		float i = gate_sum(r, d, 0, j, x, r->h), fg = gate_sum(r, d, 2, j, x, r->h);
		float o = gate_sum(r, d, 1, j, x, r->h);
		float c = activate(g, clipped(&r->c, gate_sum(r, d, 3, j, x, r->h)));

		if (peep) {
			i += peep[j] * r->s[j];
			fg += peep[2 * n + j] * r->s[j];
		}
		i = activate(f, clipped(&r->c, i));
		fg = r->c.couple ? 1 - i : activate(f, clipped(&r->c, fg));
		r->s[j] = fg * r->s[j] + i * c;
		if (peep)
			o += peep[n + j] * r->s[j];
		r->scratch[j] = activate(f, clipped(&r->c, o)) * activate(h, r->s[j]);
	}
	memcpy(r->h, r->scratch, (size_t)n * sizeof(float));
}

static int64_t state_at(const struct cell *c, int64_t d, int64_t b)
{
	return (c->batch_first ? b * c->dirs + d : d * c->batch + b) * c->hidden;
}

static int64_t step_at(const struct cell *c, int64_t t, int64_t d, int64_t b)
{
	return (c->batch_first ? (b * c->seq + t) * c->dirs + d
			       : (t * c->dirs + d) * c->batch + b) *
	       c->hidden;
}

static void put_all(struct kerf_tensor *t, int64_t at, const float *v, int64_t n)
{
	int64_t i;

	for (i = 0; t && i < n; i++)
		kerf_f32_put(t, at + i, v ? v[i] : 0);
}

/* One direction over one sequence. */
static void run_sequence(struct run *r, int64_t d, int64_t b)
{
	const struct cell *c = &r->c;
	bool reverse = d == 1 || c->reverse_first;
	int64_t n = c->hidden, length = r->length ? r->length[b] : c->seq, i,
		at = state_at(c, d, b);

	memset(r->h, 0, (size_t)n * sizeof(float));
	memset(r->s, 0, (size_t)n * sizeof(float));
	if (r->p[5])
		memcpy(r->h, r->p[5] + at, (size_t)n * sizeof(float));
	if (r->p[6])
		memcpy(r->s, r->p[6] + at, (size_t)n * sizeof(float));
	for (i = 0; i < c->seq; i++) {
		int64_t t = i < length && reverse ? length - 1 - i : i;
		const float *x =
			r->p[0] + (c->batch_first ? b * c->seq + t : t * c->batch + b) * c->in;

		if (i >= length) {
			put_all(r->out[0], step_at(c, t, d, b), NULL, n);
			continue;
		}
		if (c->n_gate == 4)
			lstm_step(r, d, x);
		else if (c->n_gate == 3)
			gru_step(r, d, x);
		else
			rnn_step(r, d, x);
		put_all(r->out[0], step_at(c, t, d, b), r->h, n);
	}
	put_all(r->out[1], at, r->h, n);
	put_all(r->out[2], at, r->s, n);
}

static void run_finish(struct run *r)
{
	int k;

	for (k = 0; k < MAX_ARGS; k++)
		free(r->owned[k]);
	free(r->h);
}

static int run_init(struct run *r, const struct kerf_op *op, const struct kerf_tensor *in,
		    struct kerf_tensor *out)
{
	const struct kerf_tensor *length = kerf_op_opt(op, in, 4);
	int64_t b, n;
	int k, rc;

	memset(r, 0, sizeof(*r));
	rc = parse_cell(op, in, &r->c, NULL);
	if (rc)
		return rc;
	for (k = 0; k < 3; k++)
		r->out[k] = kerf_op_has_out(op, out, k) ? &out[k] : NULL;
	for (b = 0; length && b < r->c.batch; b++) {
		r->length = length->data;
		if (r->length[b] < 0 || r->length[b] > r->c.seq)
			return -EINVAL;
	}
	n = KERF_MAX(r->c.hidden, 1);
	r->h = calloc((size_t)n * (size_t)(3 + r->c.n_gate), sizeof(float));
	rc = r->h ? 0 : -ENOMEM;
	r->s = r->h + n;
	r->scratch = r->s + n;
	r->gate = r->scratch + n;
	for (k = 0; !rc && k < MAX_ARGS; k++) {
		const struct kerf_tensor *t = k == 4 ? NULL : kerf_op_opt(op, in, k);

		if (!t)
			continue;
		r->p[k] = kerf_f32_of(t, &r->owned[k]);
		if (!r->p[k] && kerf_tensor_count(t))
			rc = -ENOMEM;
	}
	return rc;
}

static int recurrent_eval(const struct kerf_op *op, const struct kerf_tensor *in,
			  struct kerf_tensor *out)
{
	struct run r;
	int64_t d, b;
	int rc = run_init(&r, op, in, out);

	for (d = 0; !rc && d < r.c.dirs; d++)
		for (b = 0; b < r.c.batch; b++)
			run_sequence(&r, d, b);
	run_finish(&r);
	return rc;
}

static int64_t recurrent_flops(const struct kerf_op *op, const struct kerf_tensor *in,
			       const struct kerf_tensor *out)
{
	int64_t steps = in[0].dims[0] * in[0].dims[1];

	return kerf_flops_of(steps, kerf_tensor_count(&in[1]) + kerf_tensor_count(&in[2]));
}

#define RECURRENT(op_name, n_inputs, n_outputs)                                     \
	.name = op_name, .since = 1, .min_in = 3, .max_in = n_inputs, .min_out = 0, \
	.max_out = n_outputs, .infer = recurrent_infer, .eval = recurrent_eval,     \
	.flops = recurrent_flops

const struct kerf_op_def kerf_ops_recurrent[] = {
	{
		RECURRENT("RNN", 6, 2),
	},
	{
		RECURRENT("GRU", 6, 2),
	},
	{
		RECURRENT("LSTM", 8, 3),
	},
	{.name = NULL},
};
