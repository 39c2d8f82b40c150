/* SPDX-License-Identifier: MIT */
/* Element-wise operators on float32, with broadcasting and a fused activation. */
#include "exec/cpu_op.h"
#include "graph/op_util.h"

#include <string.h>

/* Elements of one item of the loop over the team: they and their operands fit in L1. */
#define PIECE 4096

/* --- two operands ---------------------------------------------------------- */

struct map2_arg {
	kerf_map2_fn fn;
	int rank; /* axes outside the row, outermost first */
	int64_t dim[KERF_MAX_RANK];
	int64_t step[2][KERF_MAX_RANK];
	int64_t row, row_step[2];
	int64_t pieces; /* parts that a row is cut into; then block is 1 */
	int64_t block;	/* rows of one item */
	int64_t n_rows, n_items;
};

struct map2_run {
	const struct map2_arg *m;
	const struct kerf_cpu_step *s;
	const float *a, *b;
	float *y;
};

static void map2_item(void *arg, int64_t item, int thread)
{
	const struct map2_run *x = arg;
	const struct map2_arg *m = x->m;
	int64_t row = item / m->pieces * m->block, part = item % m->pieces * PIECE;
	int64_t last = KERF_MIN(row + m->block, m->n_rows), i, idx[KERF_MAX_RANK], rest = row;
	int64_t n = m->pieces > 1 ? KERF_MIN(PIECE, m->row - part) : m->row;
	int64_t at_a = part * m->row_step[0], at_b = part * m->row_step[1];
	float *y = x->y + row * m->row + part;
	int d;

	for (d = m->rank - 1; d >= 0; d--) {
		idx[d] = rest % m->dim[d];
		rest /= m->dim[d];
		at_a += idx[d] * m->step[0][d];
		at_b += idx[d] * m->step[1][d];
	}
	for (i = row; i < last; i++) {
		m->fn(y + (i - row) * n, x->a + at_a, x->b + at_b, n);
		for (d = m->rank - 1; d >= 0; d--) {
			at_a += m->step[0][d];
			at_b += m->step[1][d];
			if (++idx[d] < m->dim[d])
				break;
			at_a -= m->dim[d] * m->step[0][d];
			at_b -= m->dim[d] * m->step[1][d];
			idx[d] = 0;
		}
	}
	if (x->s->op->act.kind != KERF_ACT_NONE)
		x->s->isa->map->act(&x->s->op->act, y, (last - row) * n);
}

static int run_map2(const struct kerf_cpu_step *s, struct kerf_pool *pool)
{
	const struct map2_arg *m = s->arg;
	struct map2_run x = {m, s, s->in[0].data, s->in[1].data, s->out[0].data};

	kerf_pool_run(pool, map2_item, &x, m->n_items);
	return 0;
}

/* Merges axes that both operands walk alike; the innermost becomes the row. */
static void plan_rows(struct map2_arg *m, const struct kerf_tensor *y, const struct kerf_tensor *in)
{
	kerf_strides sa, sb;
	int d;

	kerf_strides_bcast(&in[0], y->rank, sa);
	kerf_strides_bcast(&in[1], y->rank, sb);
	m->row = 1;
	for (d = y->rank - 1; d >= 0; d--) {
		int64_t n = y->dims[d];

		if (n == 1)
			continue;
		if (m->row == 1) {
			m->row = n;
			m->row_step[0] = sa[d];
			m->row_step[1] = sb[d];
		} else if (!m->rank && sa[d] == m->row * m->row_step[0] &&
			   sb[d] == m->row * m->row_step[1]) {
			m->row *= n;
		} else {
			m->dim[m->rank] = n;
			m->step[0][m->rank] = sa[d];
			m->step[1][m->rank++] = sb[d];
		}
	}
	/* Found innermost first. */
	for (d = 0; d < m->rank / 2; d++) {
		int e = m->rank - 1 - d, k;
		int64_t t = m->dim[d];

		m->dim[d] = m->dim[e];
		m->dim[e] = t;
		for (k = 0; k < 2; k++) {
			t = m->step[k][d];
			m->step[k][d] = m->step[k][e];
			m->step[k][e] = t;
		}
	}
	m->n_rows = kerf_tensor_count(y) / m->row;
	m->pieces = m->row > 2 * PIECE ? kerf_div_up(m->row, PIECE) : 1;
	m->block = m->pieces > 1 ? 1 : KERF_MAX(PIECE / m->row, 1);
	m->n_items = kerf_div_up(m->n_rows, m->block) * m->pieces;
}

static const struct {
	const char *name;
	enum kerf_map2 op;
} binary[] = {
	{"Add", KERF_MAP_ADD}, {"Sum", KERF_MAP_ADD},	  {"Sub", KERF_MAP_SUB},
	{"Mul", KERF_MAP_MUL}, {"Div", KERF_MAP_DIV},	  {"Max", KERF_MAP_MAX},
	{"Min", KERF_MAP_MIN}, {"PRelu", KERF_MAP_PRELU},
};

static int choose_binary(struct kerf_cpu_build *b, struct kerf_cpu_step *s)
{
	const struct kerf_tensor *in = s->in;
	struct map2_arg *m;
	unsigned i;
	int one;

	for (i = 0; i < KERF_ARRAY_SIZE(binary); i++)
		if (!strcmp(binary[i].name, s->op->def->name))
			break;
	if (i == KERF_ARRAY_SIZE(binary) || s->op->n_in != 2 || in[0].dtype != KERF_F32 ||
	    in[1].dtype != KERF_F32)
		return -EOPNOTSUPP;
	/* Before opset 7 broadcasting meant other things. */
	if (s->op->def->until == 6 && !kerf_tensor_same_shape(&in[0], &in[1]))
		return -EOPNOTSUPP;
	m = kerf_arena_calloc(b->mem, 1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	plan_rows(m, &s->out[0], in);
	/* Where neither is read along the row, it is one element long. */
	one = m->row_step[0] ? (m->row_step[1] ? 0 : 2) : 1;
	if (m->row == 1)
		one = 0;
	m->fn = s->isa->map->map2[binary[i].op][one];
	s->overwrite = 3;
	s->run = run_map2;
	s->arg = m;
	return 0;
}

/* --- one operand ------------------------------------------------------------ */

struct map1_arg {
	kerf_map1_fn fn;     /* NULL: a copy */
	struct kerf_act act; /* the operator itself, if it is an activation */
	int64_t n;
};

struct map1_run {
	const struct map1_arg *m;
	const struct kerf_cpu_step *s;
};

static void map1_item(void *arg, int64_t item, int thread)
{
	const struct map1_run *x = arg;
	int64_t at = item * PIECE, n = KERF_MIN(PIECE, x->m->n - at);
	const float *in = (const float *)x->s->in[0].data + at;
	float *y = (float *)x->s->out[0].data + at;

	if (x->m->fn)
		x->m->fn(y, in, n);
	else if (y != in)
		memcpy(y, in, (size_t)n * sizeof(*y));
	if (x->m->act.kind != KERF_ACT_NONE)
		x->s->isa->map->act(&x->m->act, y, n);
	if (x->s->op->act.kind != KERF_ACT_NONE)
		x->s->isa->map->act(&x->s->op->act, y, n);
}

static int run_map1(const struct kerf_cpu_step *s, struct kerf_pool *pool)
{
	const struct map1_arg *m = s->arg;
	struct map1_run x = {m, s};

	kerf_pool_run(pool, map1_item, &x, kerf_div_up(m->n, PIECE));
	return 0;
}

static const struct {
	const char *name;
	enum kerf_map1 op;
} unary[] = {
	{"Neg", KERF_MAP_NEG},	 {"Abs", KERF_MAP_ABS},
	{"Sqrt", KERF_MAP_SQRT}, {"Reciprocal", KERF_MAP_RECIPROCAL},
	{"Exp", KERF_MAP_EXP},	 {"Erf", KERF_MAP_ERF},
	{"Log", KERF_MAP_LOG},	 {"Softplus", KERF_MAP_SOFTPLUS},
};

/* The internal "act" is nothing but its op->act. */
static bool act_of(const struct kerf_cpu_step *s, struct kerf_act *act)
{
	return !strcmp(s->op->def->name, "act") || kerf_op_activation(s->op, act) ||
	       kerf_op_clip(s->op, s->in, act);
}

/* x to a power that needs no pow: 2 or 1/2. */
static bool power_of(const struct kerf_cpu_step *s, enum kerf_map1 *op)
{
	double p;

	if (strcmp(s->op->def->name, "Pow") || s->in[1].dtype != KERF_F32 || !s->in[1].data ||
	    kerf_tensor_count(&s->in[1]) != 1 || s->in[1].rank > s->in[0].rank)
		return false;
	p = kerf_tensor_float(&s->in[1], 0);
	*op = p == 2 ? KERF_MAP_SQUARE : KERF_MAP_SQRT;
	return p == 2 || p == 0.5;
}

static bool function_of(const struct kerf_cpu_step *s, enum kerf_map1 *op)
{
	unsigned i;

	for (i = 0; i < KERF_ARRAY_SIZE(unary); i++)
		if (!strcmp(unary[i].name, s->op->def->name)) {
			*op = unary[i].op;
			return true;
		}
	return power_of(s, op);
}

static int choose_unary(struct kerf_cpu_build *b, struct kerf_cpu_step *s)
{
	struct map1_arg m = {.n = kerf_tensor_count(&s->out[0])};
	enum kerf_map1 op;

	if (s->in[0].dtype != KERF_F32)
		return -EOPNOTSUPP;
	if (function_of(s, &op))
		m.fn = s->isa->map->map1[op];
	else if (!act_of(s, &m.act))
		return -EOPNOTSUPP;
	s->overwrite = 1;
	s->run = run_map1;
	s->arg = kerf_arena_dup(b->mem, &m, sizeof(m));
	return s->arg ? 0 : -ENOMEM;
}

/* --- BatchNormalization that nothing could take in ---------------------------- */

struct affine_arg {
	const float *scale, *shift;
	int64_t rows, c, block;
};

static void affine_item(void *arg, int64_t item, int thread)
{
	const struct kerf_cpu_step *s = arg;
	const struct affine_arg *a = s->arg;
	int64_t row = item * a->block, last = KERF_MIN(row + a->block, a->rows), r;
	const float *x = s->in[0].data;
	float *y = s->out[0].data;

	for (r = row; r < last; r++)
		s->isa->map->affine(y + r * a->c, x + r * a->c, a->scale, a->shift, a->c);
	if (s->op->act.kind != KERF_ACT_NONE)
		s->isa->map->act(&s->op->act, y + row * a->c, (last - row) * a->c);
}

static int run_affine(const struct kerf_cpu_step *s, struct kerf_pool *pool)
{
	const struct affine_arg *a = s->arg;

	kerf_pool_run(pool, affine_item, (void *)s, kerf_div_up(a->rows, a->block));
	return 0;
}

static int choose_batch_norm(struct kerf_cpu_build *b, struct kerf_cpu_step *s)
{
	const struct kerf_tensor *in = s->in;
	float epsilon = kerf_op_float(s->op, "epsilon", 1e-5f), *factor, *shift;
	struct affine_arg *a;
	int64_t i, c;
	int k;

	if (in[0].dtype != KERF_F32 || (!s->op->nhwc && in[0].rank != 2))
		return -EOPNOTSUPP;
	c = in[0].dims[in[0].rank - 1];
	for (k = 1; k < 5; k++)
		if (in[k].dtype != KERF_F32 || !in[k].data || kerf_tensor_count(&in[k]) != c)
			return -EOPNOTSUPP;
	a = kerf_arena_calloc(b->mem, 1, sizeof(*a));
	factor = kerf_cpu_weights(b, 2 * (size_t)c * sizeof(*factor));
	if (!a || !factor)
		return -ENOMEM;
	shift = factor + c;
	for (i = 0; i < c; i++) {
		const float *p[5] = {NULL, in[1].data, in[2].data, in[3].data, in[4].data};

		factor[i] = p[1][i] / __builtin_sqrtf(p[4][i] + epsilon);
		shift[i] = p[2][i] - p[3][i] * factor[i];
	}
	a->scale = factor;
	a->shift = shift;
	a->c = c;
	a->rows = kerf_tensor_count(&in[0]) / c;
	a->block = KERF_MAX(PIECE / c, 1);
	s->overwrite = 1;
	s->run = run_affine;
	s->arg = a;
	return 0;
}

int kerf_cpu_elementwise(struct kerf_cpu_build *b, struct kerf_cpu_step *s)
{
	const char *domain = s->op->def->domain;
	int r;

	if (domain && *domain)
		return -EOPNOTSUPP;
	if (!strcmp(s->op->def->name, "BatchNormalization"))
		return choose_batch_norm(b, s);
	r = choose_unary(b, s);
	return r == -EOPNOTSUPP ? choose_binary(b, s) : r;
}
