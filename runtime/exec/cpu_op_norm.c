/* SPDX-License-Identifier: MIT */
/* Reductions, softmax and normalisations on float32. */
#include "exec/cpu_op.h"
#include "graph/op_util.h"
#include "graph/spatial.h"

#include <math.h>
#include <string.h>

#define COLUMNS 64 /* of one item */
#define PIECE 4096 /* elements of one item made of rows */

/* A value as outer x n x inner, reduced or normalised over n. */
struct span_arg {
	int64_t outer, n, inner;
	int64_t block; /* rows of one item, where inner is 1 */
	int64_t n_items;
};

static void plan_span(struct span_arg *a)
{
	a->block = a->inner == 1 ? KERF_MAX(PIECE / a->n, 1) : 1;
	a->n_items = a->inner == 1 ? kerf_div_up(a->outer, a->block)
				   : a->outer * kerf_div_up(a->inner, COLUMNS);
}

/* The columns of an item: the first, counted over all of outer, and how many. */
static int64_t columns_of(const struct span_arg *a, int64_t item, int64_t *n)
{
	int64_t blocks = kerf_div_up(a->inner, COLUMNS), c = item % blocks * COLUMNS;

	*n = KERF_MIN(COLUMNS, a->inner - c);
	return item / blocks * a->inner + c;
}

/* --- Reduce* ---------------------------------------------------------------- */

enum after { AFTER_NOTHING, AFTER_DIVIDE, AFTER_ROOT };

struct reduce_arg {
	struct span_arg span;
	enum kerf_fold fold;
	enum after after;
};

static void reduce_item(void *arg, int64_t item, int thread)
{
	const struct kerf_cpu_step *s = arg;
	const struct reduce_arg *a = s->arg;
	const struct span_arg *p = &a->span;
	const float *x = s->in[0].data;
	float *y = s->out[0].data;
	int64_t i, n, at;

	if (p->inner == 1) {
		at = item * p->block;
		n = KERF_MIN(p->block, p->outer - at);
		for (i = 0; i < n; i++)
			y[at + i] = s->isa->norm->fold_row[a->fold](x + (at + i) * p->n, p->n);
	} else {
		at = columns_of(p, item, &n);
		s->isa->norm->fold_columns[a->fold](
			y + at, x + at / p->inner * p->n * p->inner + at % p->inner, p->n, p->inner,
			n);
	}
	y += at;
	for (i = 0; i < n && a->after == AFTER_DIVIDE; i++)
		y[i] /= (float)p->n;
	for (i = 0; i < n && a->after == AFTER_ROOT; i++)
		y[i] = sqrtf(y[i]);
	if (s->op->act.kind != KERF_ACT_NONE)
		s->isa->map->act(&s->op->act, y, n);
}

static int run_reduce(const struct kerf_cpu_step *s, struct kerf_pool *pool)
{
	const struct reduce_arg *a = s->arg;

	kerf_pool_run(pool, reduce_item, (void *)s, a->span.n_items);
	return 0;
}

/* The axes as one run of the value's dims, dims of 1 aside; false if they are not. */
static bool one_run(const struct kerf_tensor *x, uint32_t set, struct span_arg *p)
{
	int d, stage = 0;

	p->outer = p->n = p->inner = 1;
	for (d = 0; d < x->rank; d++) {
		if (x->dims[d] == 1)
			continue;
		if (set >> d & 1) {
			if (stage == 2)
				return false;
			stage = 1;
			p->n *= x->dims[d];
		} else {
			if (stage)
				stage = 2;
			*(stage ? &p->inner : &p->outer) *= x->dims[d];
		}
	}
	return true;
}

static const struct {
	const char *name;
	enum kerf_fold fold;
	enum after after;
} reductions[] = {
	{"ReduceSum", KERF_FOLD_SUM, AFTER_NOTHING},
	{"ReduceMean", KERF_FOLD_SUM, AFTER_DIVIDE},
	{"ReduceMax", KERF_FOLD_MAX, AFTER_NOTHING},
	{"ReduceMin", KERF_FOLD_MIN, AFTER_NOTHING},
	{"ReduceL1", KERF_FOLD_ABS, AFTER_NOTHING},
	{"ReduceL2", KERF_FOLD_SQUARES, AFTER_ROOT},
	{"ReduceSumSquare", KERF_FOLD_SQUARES, AFTER_NOTHING},
};

static int choose_reduce(struct kerf_cpu_build *b, struct kerf_cpu_step *s)
{
	struct reduce_arg a = {.fold = 0};
	int64_t axis[KERF_MAX_RANK];
	uint32_t set = 0;
	unsigned i;
	int n;

	for (i = 0; strcmp(reductions[i].name, s->op->def->name);)
		if (++i == KERF_ARRAY_SIZE(reductions))
			return -EOPNOTSUPP;
	if (s->in[0].dtype != KERF_F32 ||
	    kerf_want_list(s->op, s->in, 1, "axes", axis, KERF_MAX_RANK, &n, NULL) ||
	    kerf_axis_set(axis, KERF_MAX(n, 0), s->in[0].rank, &set, NULL))
		return -EOPNOTSUPP;
	if (n <= 0 && kerf_op_int(s->op, "noop_with_empty_axes", 0))
		return -EOPNOTSUPP;
	if (n <= 0)
		set = ~0u;
	if (!one_run(&s->in[0], set, &a.span))
		return -EOPNOTSUPP;
	plan_span(&a.span);
	a.fold = reductions[i].fold;
	a.after = reductions[i].after;
	s->run = run_reduce;
	s->arg = kerf_arena_dup(b->mem, &a, sizeof(a));
	return s->arg ? 0 : -ENOMEM;
}

/* --- Softmax, LogSoftmax ------------------------------------------------------ */

struct softmax_arg {
	struct span_arg span;
	bool log;
};

static void softmax_item(void *arg, int64_t item, int thread)
{
	const struct kerf_cpu_step *s = arg;
	const struct softmax_arg *a = s->arg;
	const struct span_arg *p = &a->span;
	const float *x = s->in[0].data;
	float *y = s->out[0].data;
	int64_t i, n, at;

	if (p->inner == 1) {
		at = item * p->block;
		n = KERF_MIN(p->block, p->outer - at);
		if (p->n <= KERF_SOFTMAX_SHORT)
			s->isa->norm->softmax_short(y + at * p->n, x + at * p->n, n, p->n, a->log);
		for (i = at; i < at + n && p->n > KERF_SOFTMAX_SHORT; i++)
			s->isa->norm->softmax_row(y + i * p->n, x + i * p->n, p->n, a->log);
	} else {
		at = columns_of(p, item, &n);
		at = at / p->inner * p->n * p->inner + at % p->inner;
		s->isa->norm->softmax_columns(y + at, x + at, p->n, p->inner, n, a->log);
	}
}

static int run_softmax(const struct kerf_cpu_step *s, struct kerf_pool *pool)
{
	const struct softmax_arg *a = s->arg;

	kerf_pool_run(pool, softmax_item, (void *)s, a->span.n_items);
	return 0;
}

static int choose_softmax(struct kerf_cpu_build *b, struct kerf_cpu_step *s)
{
	const struct kerf_tensor *x = &s->in[0];
	/* Before opset 13 what follows the axis is one flat row. */
	const bool flat = s->op->def->until != 0;
	int axis = kerf_axis(kerf_op_int(s->op, "axis", flat ? 1 : -1), x->rank);
	struct softmax_arg a = {.log = !strcmp(s->op->def->name, "LogSoftmax")};

	if (x->dtype != KERF_F32 || axis < 0 || s->op->act.kind != KERF_ACT_NONE)
		return -EOPNOTSUPP;
	a.span.outer = kerf_span(x, 0, axis);
	a.span.n = flat ? kerf_span(x, axis, x->rank) : x->dims[axis];
	a.span.inner = flat ? 1 : kerf_span(x, axis + 1, x->rank);
	plan_span(&a.span);
	s->overwrite = 1;
	s->run = run_softmax;
	s->arg = kerf_arena_dup(b->mem, &a, sizeof(a));
	return s->arg ? 0 : -ENOMEM;
}

/* --- LayerNormalization --------------------------------------------------------- */

struct layer_arg {
	struct span_arg span;
	float epsilon;
	bool shift;
};

static void layer_item(void *arg, int64_t item, int thread)
{
	const struct kerf_cpu_step *s = arg;
	const struct layer_arg *a = s->arg;
	const struct kerf_cpu_norm_fns *f = s->isa->norm;
	int64_t n = a->span.n, i, last = KERF_MIN((item + 1) * a->span.block, a->span.outer);

	for (i = item * a->span.block; i < last; i++) {
		const float *x = (const float *)s->in[0].data + i * n;
		float *y = (float *)s->out[0].data + i * n;
		float mean = f->fold_row[KERF_FOLD_SUM](x, n) / (float)n;
		float variance = f->spread_row(x, mean, n) / (float)n;

		f->normalise_row(y, x, mean, 1 / sqrtf(variance + a->epsilon), s->in[1].data,
				 a->shift ? s->in[2].data : NULL, n);
		if (s->op->act.kind != KERF_ACT_NONE)
			s->isa->map->act(&s->op->act, y, n);
	}
}

static int run_layer(const struct kerf_cpu_step *s, struct kerf_pool *pool)
{
	const struct layer_arg *a = s->arg;

	kerf_pool_run(pool, layer_item, (void *)s, a->span.n_items);
	return 0;
}

/* One element for each of the last axes of x, from axis on. */
static bool covers(const struct kerf_tensor *t, const struct kerf_tensor *x, int axis)
{
	int d;

	if (t->dtype != KERF_F32 || t->rank < x->rank - axis)
		return false;
	for (d = 1; d <= t->rank; d++)
		if (t->dims[t->rank - d] != (d <= x->rank - axis ? x->dims[x->rank - d] : 1))
			return false;
	return true;
}

static int choose_layer(struct kerf_cpu_build *b, struct kerf_cpu_step *s)
{
	const struct kerf_tensor *x = &s->in[0], *shift = kerf_op_opt(s->op, s->in, 2);
	int axis = kerf_axis(kerf_op_int(s->op, "axis", -1), x->rank);
	struct layer_arg a = {.epsilon = kerf_op_float(s->op, "epsilon", 1e-5f), .shift = shift};

	if (x->dtype != KERF_F32 || axis < 0 || !covers(&s->in[1], x, axis) ||
	    (shift && !covers(shift, x, axis)) || kerf_op_has_out(s->op, s->out, 1) ||
	    kerf_op_has_out(s->op, s->out, 2))
		return -EOPNOTSUPP;
	a.span = (struct span_arg){kerf_span(x, 0, axis), kerf_span(x, axis, x->rank), 1, 0, 0};
	plan_span(&a.span);
	s->overwrite = 1;
	s->run = run_layer;
	s->arg = kerf_arena_dup(b->mem, &a, sizeof(a));
	return s->arg ? 0 : -ENOMEM;
}

/* --- InstanceNormalization, channels-last --------------------------------------- */

struct instance_arg {
	struct span_arg span; /* images x pixels x channels */
	float epsilon;
	int64_t row_block;
};

/* Scratch: for each image, a factor and then a shift for every channel. */
static float *factors_of(const struct kerf_cpu_step *s, const struct instance_arg *a, int64_t image)
{
	return (float *)s->scratch + image * 2 * a->span.inner;
}

static void moments_item(void *arg, int64_t item, int thread)
{
	const struct kerf_cpu_step *s = arg;
	const struct instance_arg *a = s->arg;
	const struct span_arg *p = &a->span;
	int64_t nc, at = columns_of(p, item, &nc), image = at / p->inner, c = at % p->inner, i;
	const float *x = (const float *)s->in[0].data + image * p->n * p->inner + c;
	const float *scale = (const float *)s->in[1].data + c,
		    *bias = (const float *)s->in[2].data + c;
	float *factor = factors_of(s, a, image) + c, *shift = factor + p->inner, mean[COLUMNS];

	s->isa->norm->fold_columns[KERF_FOLD_SUM](mean, x, p->n, p->inner, nc);
	for (i = 0; i < nc; i++)
		mean[i] /= (float)p->n;
	s->isa->norm->spread_columns(shift, x, mean, p->n, p->inner, nc);
	for (i = 0; i < nc; i++) {
		factor[i] = scale[i] / sqrtf(shift[i] / (float)p->n + a->epsilon);
		shift[i] = bias[i] - mean[i] * factor[i];
	}
}

static void instance_item(void *arg, int64_t item, int thread)
{
	const struct kerf_cpu_step *s = arg;
	const struct instance_arg *a = s->arg;
	int64_t blocks = kerf_div_up(a->span.n, a->row_block), image = item / blocks, i;
	int64_t row = item % blocks * a->row_block, c = a->span.inner;
	int64_t rows = KERF_MIN(a->row_block, a->span.n - row), at = (image * a->span.n + row) * c;
	const float *x = (const float *)s->in[0].data + at, *factor = factors_of(s, a, image);
	float *y = (float *)s->out[0].data + at;

	for (i = 0; i < rows; i++)
		s->isa->map->affine(y + i * c, x + i * c, factor, factor + c, c);
	if (s->op->act.kind != KERF_ACT_NONE)
		s->isa->map->act(&s->op->act, y, rows * c);
}

static int run_instance(const struct kerf_cpu_step *s, struct kerf_pool *pool)
{
	const struct instance_arg *a = s->arg;

	kerf_pool_run(pool, moments_item, (void *)s, a->span.n_items);
	kerf_pool_run(pool, instance_item, (void *)s,
		      a->span.outer * kerf_div_up(a->span.n, a->row_block));
	return 0;
}

static int choose_instance(struct kerf_cpu_build *b, struct kerf_cpu_step *s)
{
	const struct kerf_tensor *x = &s->in[0];
	struct instance_arg a = {.epsilon = kerf_op_float(s->op, "epsilon", 1e-5f)};

	if (!s->op->nhwc || x->dtype != KERF_F32 || s->in[1].dtype != KERF_F32 ||
	    s->in[2].dtype != KERF_F32 || s->op->tile.out_rows)
		return -EOPNOTSUPP;
	a.span.outer = x->dims[0];
	a.span.n = kerf_span(x, 1, x->rank - 1);
	a.span.inner = x->dims[x->rank - 1];
	a.row_block = KERF_MAX(PIECE / a.span.inner, 1);
	plan_span(&a.span);
	/* One column is still columns here. */
	a.span.n_items = a.span.outer * kerf_div_up(a.span.inner, COLUMNS);
	s->scratch_bytes = (size_t)(a.span.outer * 2 * a.span.inner) * sizeof(float);
	s->overwrite = 1;
	s->run = run_instance;
	s->arg = kerf_arena_dup(b->mem, &a, sizeof(a));
	return s->arg ? 0 : -ENOMEM;
}

/* --- LRN, channels-last ----------------------------------------------------------- */

struct lrn_arg {
	int64_t rows, c, before, after, block;
	size_t tmp; /* floats of a thread */
	float k, a;
};

static void lrn_item(void *arg, int64_t item, int thread)
{
	const struct kerf_cpu_step *s = arg;
	const struct lrn_arg *a = s->arg;
	float *tmp = (float *)s->scratch + (size_t)thread * a->tmp;
	int64_t r = item * a->block, last = KERF_MIN(r + a->block, a->rows);

	for (; r < last; r++)
		s->isa->norm->lrn_row((float *)s->out[0].data + r * a->c,
				      (const float *)s->in[0].data + r * a->c, a->c, a->before,
				      a->after, a->k, a->a, tmp);
}

static int run_lrn(const struct kerf_cpu_step *s, struct kerf_pool *pool)
{
	const struct lrn_arg *a = s->arg;

	kerf_pool_run(pool, lrn_item, (void *)s, kerf_div_up(a->rows, a->block));
	return 0;
}

static int choose_lrn(struct kerf_cpu_build *b, struct kerf_cpu_step *s)
{
	int64_t size = kerf_op_int(s->op, "size", 1);
	struct lrn_arg a;

	if (!s->op->nhwc || s->in[0].dtype != KERF_F32 || s->op->act.kind != KERF_ACT_NONE ||
	    kerf_op_float(s->op, "beta", 0.75f) != 0.75f)
		return -EOPNOTSUPP;
	a.c = s->in[0].dims[s->in[0].rank - 1];
	/* A wider window sees no more channels. */
	a.before = KERF_MIN((size - 1) / 2, a.c);
	a.after = KERF_MIN(size / 2, a.c);
	a.rows = kerf_tensor_count(&s->in[0]) / a.c;
	a.block = KERF_MAX(PIECE / a.c, 1);
	a.tmp = kerf_align((size_t)(a.c + a.before + a.after) * sizeof(float)) / sizeof(float);
	a.k = kerf_op_float(s->op, "bias", 1);
	a.a = kerf_op_float(s->op, "alpha", 1e-4f) / (float)size;
	s->scratch_bytes = (size_t)b->threads * a.tmp * sizeof(float);
	s->overwrite = 1;
	s->run = run_lrn;
	s->arg = kerf_arena_dup(b->mem, &a, sizeof(a));
	return s->arg ? 0 : -ENOMEM;
}

int kerf_cpu_norm(struct kerf_cpu_build *b, struct kerf_cpu_step *s)
{
	static const struct kerf_cpu_entry table[] = {
		{"Softmax", choose_softmax},
		{"LogSoftmax", choose_softmax},
		{"LayerNormalization", choose_layer},
		{"InstanceNormalization", choose_instance},
		{"LRN", choose_lrn},
		{NULL, NULL},
	};

	if (!strncmp(s->op->def->name, "Reduce", 6))
		return choose_reduce(b, s);
	return kerf_cpu_by_name(table, b, s);
}
