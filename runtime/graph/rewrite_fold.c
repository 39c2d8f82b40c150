/* SPDX-License-Identifier: MIT */
/*
 * Folding: what is known at load is computed at load, what changes nothing goes,
 * what is computed twice is computed once.
 *
 * Folding must not blow a model up: an operator that makes much of little (Expand,
 * Tile, ConstantOfShape) stays, and time and memory have a budget set by the
 * model's own constants, whatever the file says.
 */
#include "graph/rewrite_passes.h"
#include "util/hash.h"

#include <stdlib.h>

#define SMALL_BYTES (64 << 10)   /* always worth folding; so is what halves its inputs */
#define GROWTH 4                 /* int8 weights to float32 */
#define EXTRA_BYTES (64ll << 20) /* budget beyond GROWTH times the model's constants */
#define WORK_BUDGET (1ll << 30) /* as kerf_op_work() counts */
#define MAX_PROBES 64 /* of equal hashes: a file may be full of them */

struct fold {
	struct kerf_edit e;
	bool weights; /* fold large constants too */
	int64_t bytes_left, work_left;
	int32_t *op_table, *const_table; /* open addressing; id + 1 */
	uint32_t cap;
};

/* --- evaluation ------------------------------------------------------------------ */

static bool is_view(const struct kerf_op *op)
{
	return kerf_op_is(op, "Reshape") || kerf_op_is(op, "Flatten") ||
	       kerf_op_is(op, "Squeeze") || kerf_op_is(op, "Unsqueeze");
}

/* Whether all inputs are known; *bytes: their size. */
static bool known(const struct fold *f, const struct kerf_op *op, int64_t *bytes)
{
	const struct kerf_graph *g = f->e.g;
	int k;

	*bytes = 0;
	if (op->def->flags & (KERF_OP_IMPURE | KERF_OP_BOUNDED))
		return false;
	/* The quantisation rewrite wants to see 8-bit weights. */
	if (!f->weights && kerf_op_is(op, "DequantizeLinear"))
		return false;
	if (kerf_op_is(op, "Shape") || kerf_op_is(op, "Size"))
		return !g->value[op->in[0]].bounded;
	for (k = 0; k < op->n_in; k++) {
		if (op->in[k] < 0)
			continue;
		if (!kerf_value_is_const(&g->value[op->in[k]]))
			return false;
		*bytes += (int64_t)kerf_tensor_bytes(&g->value[op->in[k]].t);
	}
	return true;
}

static bool affordable(struct fold *f, const struct kerf_op *op, int64_t in_bytes)
{
	const struct kerf_graph *g = f->e.g;
	int64_t bytes = 0, work = kerf_op_work(g, op);
	int k;

	for (k = 0; k < op->n_out; k++) {
		if (op->out[k] < 0)
			continue;
		if (g->value[op->out[k]].bounded || f->e.is_output[op->out[k]] ||
		    !kerf_dtype_size(g->value[op->out[k]].t.dtype))
			return false;
		bytes += (int64_t)kerf_tensor_bytes(&g->value[op->out[k]].t);
	}
	if (bytes > SMALL_BYTES && bytes > in_bytes / 2 &&
	    (!f->weights || bytes / GROWTH > in_bytes))
		return false;
	if (work > f->work_left || bytes > f->bytes_left)
		return false;
	f->work_left -= work;
	f->bytes_left -= bytes;
	return true;
}

/* Turns op's outputs into constants. An operator that refuses its inputs stays. */
static int evaluate(struct fold *f, struct kerf_op *op)
{
	struct kerf_graph *g = f->e.g;
	int k, r = kerf_op_eval_known(g, op);

	if (r)
		return r == -ENOMEM ? r : 0;
	for (k = 0; k < op->n_out; k++)
		if (op->out[k] >= 0)
			g->value[op->out[k]].producer = -1;
	r = kerf_edit_set_inputs(&f->e, (uint32_t)(op - g->op), 0, NULL);
	op->n_out = 0;
	return r;
}

/* --- operators that change nothing ------------------------------------------------- */

static bool all_equal(const struct fold *f, int32_t v, float x)
{
	const struct kerf_tensor *t;
	int64_t n, i;

	if (!kerf_edit_is_const(&f->e, v))
		return false;
	t = kerf_edit_t(&f->e, v);
	n = kerf_tensor_count(t);
	for (i = 0; i < n; i++)
		if (kerf_tensor_float(t, i) != x)
			return false;
	return n > 0;
}

static bool unit_steps(const struct fold *f, const struct kerf_op *op)
{
	return op->n_in < 5 || op->in[4] < 0 || all_equal(f, op->in[4], 1);
}

static bool no_pads(const struct fold *f, const struct kerf_op *op)
{
	int64_t v[2 * KERF_MAX_RANK];
	int n = kerf_edit_ints_of(&f->e, op, "pads", 1, v, 2 * KERF_MAX_RANK);

	while (n > 0 && v[n - 1] == 0)
		n--;
	return n == 0;
}

static int perm_of(const struct kerf_op *op, int rank, int *perm)
{
	uint32_t n;
	const int64_t *p = kerf_op_ints(op, "perm", &n);
	int i;

	if (p && n != (uint32_t)rank)
		return -EINVAL;
	for (i = 0; i < rank; i++)
		perm[i] = p ? (int)p[i] : rank - 1 - i;
	return 0;
}

static bool identity_perm(const struct kerf_op *op, int rank)
{
	int perm[KERF_MAX_RANK], i;

	if (perm_of(op, rank, perm))
		return false;
	for (i = 0; i < rank && perm[i] == i; i++)
		;
	return i == rank;
}

/* The input that output 0 equals, or -1. Shapes and dtypes were found equal to input 0's. */
static int same_as_input(const struct fold *f, const struct kerf_op *op)
{
	static const char *const always[] = {"Identity",  "Reshape", "Flatten", "Squeeze",
	                                     "Unsqueeze", "Expand",  "Tile",    "Cast",
	                                     "CastLike",  "Concat",  "Split"};
	static const char *const lone[] = {"Sum", "Max", "Min", "Mean"};
	unsigned i;

	for (i = 0; i < KERF_ARRAY_SIZE(always); i++)
		if (kerf_op_is(op, always[i]))
			return 0;
	for (i = 0; i < KERF_ARRAY_SIZE(lone); i++)
		if (kerf_op_is(op, lone[i]) && op->n_in == 1)
			return 0;
	if (kerf_op_is(op, "Dropout")) {
		if (op->n_in > 2 && op->in[2] >= 0 && !all_equal(f, op->in[2], 0))
			return -1;
		return op->n_out < 2 || op->out[1] < 0 || !f->e.uses[op->out[1]] ? 0 : -1;
	}
	if (kerf_op_is(op, "Slice"))
		return unit_steps(f, op) ? 0 : -1;
	if (kerf_op_is(op, "Pad"))
		return no_pads(f, op) ? 0 : -1;
	if (kerf_op_is(op, "Transpose"))
		return identity_perm(op, kerf_edit_t(&f->e, op->in[0])->rank) ? 0 : -1;
	if ((kerf_op_is(op, "Mul") || kerf_op_is(op, "Div")) && all_equal(f, op->in[1], 1))
		return 0;
	return -1;
}

static bool keeps_any_shape(const struct kerf_op *op)
{
	return kerf_op_is(op, "Identity") || kerf_op_is(op, "Cast") ||
	       kerf_op_is(op, "CastLike") || kerf_op_is(op, "Dropout");
}

static int32_t unchanged(const struct fold *f, const struct kerf_op *op)
{
	const struct kerf_graph *g = f->e.g;
	const struct kerf_value *x, *y;
	int k;

	if (op->n_in < 1 || op->in[0] < 0 || op->n_out < 1 || op->out[0] < 0 ||
	    op->act.kind != KERF_ACT_NONE)
		return -1;
	x = &g->value[op->in[0]];
	y = &g->value[op->out[0]];
	if (kerf_op_is(op, "Mul") && op->n_in == 2 && !y->bounded && all_equal(f, op->in[0], 1)) {
		const struct kerf_value *b = &g->value[op->in[1]];

		return kerf_tensor_same_shape(&b->t, &y->t) && b->nhwc == y->nhwc ? op->in[1] : -1;
	}
	if (x->t.dtype != y->t.dtype || !kerf_tensor_same_shape(&x->t, &y->t) ||
	    x->bounded != y->bounded)
		return -1;
	/* Equal bounds are not equal shapes, where dims are known only at run time. */
	if (y->bounded && !keeps_any_shape(op))
		return -1;
	/* A model's input is not marked as an image, whatever reads it. */
	if (y->nhwc && !x->nhwc && x->producer < 0)
		return -1;
	k = same_as_input(f, op);
	if (k >= 0 && y->nhwc)
		f->e.g->value[op->in[0]].nhwc = true;
	return k < 0 ? -1 : op->in[0];
}

/* --- views and transposes ------------------------------------------------------------- */

static int become_reshape(struct fold *f, uint32_t j, int32_t x)
{
	struct kerf_op *op = &f->e.g->op[j];
	const struct kerf_tensor *y = kerf_edit_t(&f->e, op->out[0]);
	int32_t in[2] = {x, kerf_edit_const_i64(&f->e, op->name, y->dims, y->rank)};

	return in[1] < 0 ? in[1] : kerf_edit_become(&f->e, j, "Reshape", 13, 2, in, 0, NULL);
}

static bool has_empty_dim(const struct kerf_tensor *t)
{
	int i;

	for (i = 0; i < t->rank; i++)
		if (t->dims[i] == 0)
			return true;
	return false;
}

/* A view of a view is one view. */
static int merge_views(struct fold *f, uint32_t j)
{
	struct kerf_op *op = &f->e.g->op[j], *p = kerf_edit_producer(&f->e, op->in[0]);
	const struct kerf_value *y = &f->e.g->value[op->out[0]];

	if (!p || !is_view(p) || y->bounded || has_empty_dim(&y->t))
		return 0;
	return become_reshape(f, j, kerf_edit_in(&f->e, p, 0));
}

static int merge_transposes(struct fold *f, uint32_t j)
{
	struct kerf_op *op = &f->e.g->op[j], *p = kerf_edit_producer(&f->e, op->in[0]);
	const struct kerf_value *y = &f->e.g->value[op->out[0]];
	int rank = y->t.rank, a[KERF_MAX_RANK], b[KERF_MAX_RANK], i, last = -1;
	const struct kerf_tensor *x;
	int64_t perm[KERF_MAX_RANK];
	int32_t in;
	int r;

	if (y->bounded || perm_of(op, rank, b))
		return 0;
	if (p && kerf_op_is(p, "Transpose") && p->act.kind == KERF_ACT_NONE &&
	    !perm_of(p, rank, a)) {
		for (i = 0; i < rank; i++)
			perm[i] = a[b[i]];
		in = kerf_edit_in(&f->e, p, 0);
		r = kerf_op_set_ints(f->e.g, op, "perm", perm, (uint32_t)rank);
		if (!r)
			r = kerf_edit_set_inputs(&f->e, j, 1, &in);
		if (r)
			return r;
		perm_of(op, rank, b);
	}
	x = kerf_edit_t(&f->e, op->in[0]);
	for (i = 0; i < rank; i++) {
		if (x->dims[b[i]] == 1)
			continue;
		if (b[i] < last)
			return 0;
		last = b[i];
	}
	if (has_empty_dim(x) || rank == 0)
		return 0;
	in = op->in[0];
	r = become_reshape(f, j, in);
	return r ? r : merge_views(f, j);
}

/* --- the same thing twice ---------------------------------------------------------------- */

static uint64_t hash_op(const struct kerf_op *op)
{
	uint64_t h = kerf_hash_mix(KERF_HASH_INIT, op->def->name, strlen(op->def->name));

	return kerf_hash_mix(h, op->in, (size_t)op->n_in * sizeof(*op->in));
}

static bool same_attr(const struct kerf_attr *a, const struct kerf_attr *b)
{
	if (a->type != b->type || a->n != b->n || strcmp(a->name, b->name))
		return false;
	switch (a->type) {
	case KERF_ATTR_INT: return a->i == b->i;
	case KERF_ATTR_FLOAT: return !memcmp(&a->f, &b->f, sizeof(a->f));
	case KERF_ATTR_STRING: return !strcmp(a->s, b->s);
	case KERF_ATTR_INTS: return !memcmp(a->ints, b->ints, a->n * sizeof(*a->ints));
	case KERF_ATTR_FLOATS: return !memcmp(a->floats, b->floats, a->n * sizeof(*a->floats));
	case KERF_ATTR_TENSOR:
		return a->t.dtype == b->t.dtype && kerf_tensor_same_shape(&a->t, &b->t) &&
		       !memcmp(a->t.data, b->t.data, kerf_tensor_bytes(&a->t));
	}
	return false;
}

static bool same_op(const struct kerf_op *a, const struct kerf_op *b)
{
	uint32_t i;

	if (a->def != b->def || a->opset != b->opset || a->n_in != b->n_in ||
	    a->n_out != b->n_out || a->n_attr != b->n_attr || a->nhwc != b->nhwc ||
	    a->act.kind != b->act.kind || a->act.a != b->act.a || a->act.b != b->act.b ||
	    memcmp(a->in, b->in, (size_t)a->n_in * sizeof(*a->in)))
		return false;
	for (i = 0; i < a->n_attr; i++)
		if (!same_attr(&a->attr[i], &b->attr[i]))
			return false;
	for (i = 0; i < (uint32_t)a->n_out; i++)
		if ((a->out[i] < 0) != (b->out[i] < 0))
			return false;
	return true;
}

/* An earlier operator that does the same serves the readers of op j as well. */
static bool share(struct fold *f, uint32_t j)
{
	struct kerf_op *op = &f->e.g->op[j], *twin;
	uint32_t i = (uint32_t)hash_op(op) & (f->cap - 1);
	int k, n = op->n_out, probes = 0;

	if ((op->def->flags & KERF_OP_IMPURE) || op->n_in == 0)
		return false;
	for (; f->op_table[i]; i = (i + 1) & (f->cap - 1)) {
		twin = &f->e.g->op[f->op_table[i] - 1];
		if (++probes > MAX_PROBES)
			return false;
		if (!twin->n_out || !same_op(twin, op))
			continue;
		for (k = 0; k < n; k++)
			if (op->out[k] >= 0 && f->e.is_output[op->out[k]])
				return false;
		for (k = 0; k < n; k++)
			if (op->out[k] >= 0)
				kerf_edit_replace(&f->e, op->out[k], twin->out[k]);
		return true;
	}
	f->op_table[i] = (int32_t)j + 1;
	return false;
}

static uint64_t hash_tensor(const struct kerf_tensor *t)
{
	uint64_t h = kerf_hash_mix(KERF_HASH_INIT, t->dims, (size_t)t->rank * sizeof(t->dims[0]));

	return kerf_hash_mix(h, t->data, kerf_tensor_bytes(t));
}

/* Small constants that are equal become one. */
static void share_const(struct fold *f, int32_t v)
{
	struct kerf_edit *e = &f->e;
	const struct kerf_tensor *t = kerf_edit_t(e, v), *o;
	uint32_t i, probes = 0;

	if (!t->data || kerf_tensor_bytes(t) > 4096 || e->is_output[v] || e->alias[v] != v)
		return;
	for (i = (uint32_t)hash_tensor(t) & (f->cap - 1); f->const_table[i];
	     i = (i + 1) & (f->cap - 1)) {
		if (f->const_table[i] == v + 1 || ++probes > MAX_PROBES)
			return;
		o = kerf_edit_t(e, f->const_table[i] - 1);
		if (o->dtype == t->dtype && kerf_tensor_same_shape(o, t) &&
		    !memcmp(o->data, t->data, kerf_tensor_bytes(t)) &&
		    e->g->value[v].nhwc == e->g->value[f->const_table[i] - 1].nhwc) {
			kerf_edit_replace(e, v, f->const_table[i] - 1);
			return;
		}
	}
	f->const_table[i] = v + 1;
}

/* --- the pass ------------------------------------------------------------------------------ */

static int visit(struct fold *f, uint32_t j)
{
	struct kerf_op *op = &f->e.g->op[j];
	int64_t bytes;
	int32_t same;
	int k, r = 0;

	if (!op->n_out)
		return 0;
	kerf_edit_resolve(&f->e, op);
	for (k = 0; k < op->n_in; k++)
		if (op->in[k] >= 0 && op->in[k] < (int32_t)f->cap / 4)
			share_const(f, op->in[k]);
	kerf_edit_resolve(&f->e, op);
	if (known(f, op, &bytes) && affordable(f, op, bytes)) {
		r = evaluate(f, op);
		if (r || !f->e.g->op[j].n_out)
			return r;
		op = &f->e.g->op[j];
	}
	same = unchanged(f, op);
	if (same >= 0 && kerf_edit_replace(&f->e, op->out[0], same))
		return 0;
	if (is_view(op))
		r = merge_views(f, j);
	else if (kerf_op_is(op, "Transpose"))
		r = merge_transposes(f, j);
	if (r)
		return r;
	op = &f->e.g->op[j];
	/* A merge may have left something that changes nothing. */
	same = unchanged(f, op);
	if (same >= 0 && kerf_edit_replace(&f->e, op->out[0], same))
		return 0;
	share(f, j);
	return 0;
}

int kerf_fold(struct kerf_graph *g, bool weights, struct kerf_err *err)
{
	struct fold f = {.weights = weights,
	                 .work_left = WORK_BUDGET,
	                 .bytes_left = EXTRA_BYTES,
	                 .cap = 64};
	uint32_t i, n = g->n_op;
	int r = kerf_edit_begin(&f.e, g, err);

	if (r)
		return r;
	for (i = 0; i < g->n_value; i++)
		if (g->value[i].t.data)
			f.bytes_left += GROWTH * (int64_t)kerf_tensor_bytes(&g->value[i].t);
	/* Room for every operator and value, and as many again that folding makes. */
	while (f.cap < 4 * (uint64_t)KERF_MAX(n, g->n_value) && f.cap < 1u << 30)
		f.cap *= 2;
	f.op_table = calloc(f.cap, sizeof(*f.op_table));
	f.const_table = calloc(f.cap, sizeof(*f.const_table));
	if (!f.op_table || !f.const_table)
		r = -ENOMEM;
	for (i = 0; !r && i < n; i++)
		r = visit(&f, i);
	free(f.op_table);
	free(f.const_table);
	return kerf_edit_end(&f.e, r);
}

int kerf_rewrite_fold(struct kerf_graph *g, struct kerf_err *err)
{
	return kerf_fold(g, true, err);
}
