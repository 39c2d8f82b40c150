/* SPDX-License-Identifier: MIT */
/* Which operators have a channels-last form, and turning them into it. */
#include "graph/rewrite_layout.h"

/* Constants larger than this are not stored a second time in another order. */
#define MAX_CONST_BYTES (4 << 20)

static const struct kerf_tensor *tensor(const struct kerf_layout *l, int32_t v)
{
	return kerf_edit_t(l->e, v);
}

static bool one_of(const struct kerf_op *op, const char *const *types)
{
	for (; *types; types++)
		if (kerf_op_is(op, *types))
			return true;
	return false;
}

/* Spatial operators that engines run as well on plain values. */
static bool is_indifferent(const struct kerf_op *op)
{
	static const char *const types[] = {"BatchNormalization",        "InstanceNormalization",
	                                    "GroupNormalization",        "LpNormalization",
	                                    "MeanVarianceNormalization", NULL};

	return one_of(op, types);
}

/* Element-wise, but other inputs than the first are parameters. */
static bool has_parameters(const struct kerf_op *op)
{
	static const char *const types[] = {
		"QuantizeLinear", "DequantizeLinear", "qLut", "qRescale", "Clip", NULL};

	return one_of(op, types);
}

static bool is_elementwise(const struct kerf_op *op)
{
	return op->def->flags & KERF_OP_ELEMENTWISE;
}

static bool is_reduction(const struct kerf_op *op)
{
	return !op->def->domain && (!strncmp(op->def->name, "Reduce", 6) ||
	                            kerf_op_is(op, "ArgMax") || kerf_op_is(op, "ArgMin"));
}

static bool is_regroup(const struct kerf_op *op)
{
	static const char *const types[] = {"Reshape", "Flatten", "Squeeze", "Unsqueeze", NULL};

	return one_of(op, types);
}

/* --- what a reduction leaves -------------------------------------------------------- */

/* Axes it goes over, in [0, rank); 0 of them: all. -1 if they are not known. */
static int reduced_axes(const struct kerf_layout *l, const struct kerf_op *op, int rank,
                        int64_t *axes)
{
	int n, i;

	if (strncmp(op->def->name, "Reduce", 6)) {
		axes[0] = kerf_op_int(op, "axis", 0);
		n = 1;
	} else if (kerf_op_attr(op, "axes") || kerf_edit_in(l->e, op, 1) >= 0) {
		n = kerf_edit_ints_of(l->e, op, "axes", 1, axes, KERF_MAX_RANK);
	} else {
		n = 0;
	}
	for (i = 0; i < n; i++) {
		axes[i] = kerf_axis(axes[i], rank);
		if (axes[i] < 0)
			return -1;
	}
	return n;
}

enum left { LEFT_UNKNOWN, LEFT_PLAIN, LEFT_FOLLOWS };

/* The order of what is left: the same in both layouts, or channels last if the input is. */
static enum left left_by(const struct kerf_layout *l, const struct kerf_op *op)
{
	int rank = tensor(l, op->in[0])->rank, n, i, left;
	int64_t axes[KERF_MAX_RANK];
	uint32_t over = 0;

	n = reduced_axes(l, op, rank, axes);
	if (n < 0)
		return LEFT_UNKNOWN;
	if (kerf_op_int(op, "keepdims", 1))
		return LEFT_FOLLOWS;
	if (n == 0)
		return tensor(l, op->out[0])->rank == rank ? LEFT_FOLLOWS : LEFT_PLAIN;
	for (i = 0; i < n; i++)
		over |= 1u << axes[i];
	if (over & 1)
		return LEFT_UNKNOWN;
	left = rank - __builtin_popcount(over);
	return over & 2 || left < 3 ? LEFT_PLAIN : LEFT_FOLLOWS;
}

/* --- roles ----------------------------------------------------------------------------- */

static bool plain_value(const struct kerf_layout *l, int32_t v)
{
	return v < 0 || (!l->e->g->value[v].bounded && !l->e->g->value[v].nhwc);
}

static int transpose_perm(const struct kerf_op *op, int rank, int *perm)
{
	uint32_t n, i;
	const int64_t *p = kerf_op_ints(op, "perm", &n);

	if (p && n != (uint32_t)rank)
		return -1;
	for (i = 0; i < (uint32_t)rank; i++)
		perm[i] = p ? (int)p[i] : rank - 1 - (int)i;
	return 0;
}

static enum kerf_layout_role transpose_role(const struct kerf_layout *l, const struct kerf_op *op)
{
	int rank = tensor(l, op->in[0])->rank, perm[KERF_MAX_RANK], last[KERF_MAX_RANK], i;
	const struct kerf_op *p = kerf_edit_producer(l->e, op->in[0]);
	bool from = true, to = true;

	if (transpose_perm(op, rank, perm))
		return KERF_LAYOUT_PLAIN;
	kerf_layout_perm(rank, last);
	for (i = 0; i < rank; i++) {
		from = from && perm[i] == last[i];
		to = to && perm[last[i]] == i;
	}
	/* Of three axes the two are the same: what comes from a view of an image is FROM. */
	if (from && to)
		from = p && l->role[p - l->e->g->op] != KERF_LAYOUT_PLAIN;
	return from ? KERF_LAYOUT_FROM : to ? KERF_LAYOUT_TO : KERF_LAYOUT_FREE;
}

static bool elementwise_free(const struct kerf_layout *l, const struct kerf_op *op)
{
	const struct kerf_tensor *y = tensor(l, op->out[0]), *t;
	int k;

	for (k = 1; k < op->n_out; k++)
		if (op->out[k] >= 0 && tensor(l, op->out[k])->rank != y->rank)
			return false;
	if (has_parameters(op))
		return tensor(l, op->in[0])->rank == y->rank;
	if (kerf_op_attr(op, "axis") || kerf_op_attr(op, "broadcast"))
		return false;
	for (k = 0; k < op->n_in; k++) {
		if (op->in[k] < 0)
			continue;
		t = tensor(l, op->in[k]);
		if (t->rank > y->rank)
			return false;
		if (kerf_tensor_count(t) == 1)
			continue;
		if (kerf_edit_is_const(l->e, op->in[k]) ? kerf_tensor_bytes(t) > MAX_CONST_BYTES
		                                        : t->rank != y->rank)
			return false;
	}
	return true;
}

static bool is_known(const struct kerf_layout *l, const struct kerf_op *op, int k)
{
	int32_t v = kerf_edit_in(l->e, op, k);

	return v < 0 || kerf_edit_is_const(l->e, v);
}

/* The same elements, batch and channels apart, the spatial axes grouped in another way. */
static bool regroup_free(const struct kerf_tensor *x, const struct kerf_tensor *y)
{
	return y->rank >= 3 && y->rank <= 5 && x->dims[0] == y->dims[0] &&
	       x->dims[1] == y->dims[1] && kerf_tensor_count(y) > 0;
}

static bool is_free(const struct kerf_layout *l, const struct kerf_op *op)
{
	static const char *const along[] = {"Concat", "qConcat", "Split", "TopK", NULL};
	static const char *const softmax[] = {"Softmax", "LogSoftmax", NULL};
	const struct kerf_tensor *x = tensor(l, op->in[0]), *y = tensor(l, op->out[0]);

	if (is_elementwise(op))
		return elementwise_free(l, op);
	if (one_of(op, along) || kerf_op_is(op, "Transpose"))
		return true;
	if (one_of(op, softmax) || kerf_op_is(op, "Hardmax")) {
		int axis = kerf_axis(kerf_op_int(op, "axis", op->opset < 13 ? 1 : -1), x->rank);

		/* Before opset 13 all axes from `axis` on are one: which of several maxima
		 * comes first then depends on the order. */
		return op->opset >= 13 || (axis <= 1 && !kerf_op_is(op, "Hardmax"));
	}
	if (kerf_op_is(op, "CumSum") || kerf_op_is(op, "Tile"))
		return op->opset >= 6 && is_known(l, op, 1);
	if (kerf_op_is(op, "Expand"))
		return x->rank == y->rank && kerf_tensor_count(y) > 0;
	if (kerf_op_is(op, "Slice"))
		return op->opset < 10 || (is_known(l, op, 1) && is_known(l, op, 3));
	if (kerf_op_is(op, "Pad"))
		return op->opset > 1 && is_known(l, op, 1) && is_known(l, op, 3);
	if (is_reduction(op))
		return left_by(l, op) != LEFT_UNKNOWN;
	return is_regroup(op) && regroup_free(x, y);
}

static bool spatial_fits(const struct kerf_layout *l, const struct kerf_op *op)
{
	int k;

	for (k = 1; k < op->n_out; k++)
		if (op->out[k] >= 0 && l->e->uses[op->out[k]])
			return false;
	return tensor(l, op->in[0])->rank == tensor(l, op->out[0])->rank;
}

/* Input that decides the rank: 0, but x's place in qConcat. */
static int main_input(const struct kerf_op *op)
{
	return kerf_op_is(op, "qConcat") ? 2 : 0;
}

static enum kerf_layout_role role_of(const struct kerf_layout *l, uint32_t j)
{
	const struct kerf_op *op = &l->e->g->op[j];
	const struct kerf_tensor *t;
	int k;

	if (op->n_in <= main_input(op) || op->in[main_input(op)] < 0 || op->n_out < 1 ||
	    op->out[0] < 0 || op->nhwc)
		return KERF_LAYOUT_PLAIN;
	for (k = 0; k < op->n_in; k++)
		if (!plain_value(l, op->in[k]))
			return KERF_LAYOUT_PLAIN;
	for (k = 0; k < op->n_out; k++)
		if (!plain_value(l, op->out[k]))
			return KERF_LAYOUT_PLAIN;
	t = tensor(l, is_elementwise(op) ? op->out[0] : op->in[main_input(op)]);
	if (t->rank < 3 || t->rank > 5)
		return KERF_LAYOUT_PLAIN;
	if (op->def->flags & KERF_OP_SPATIAL) {
		if (!spatial_fits(l, op))
			return KERF_LAYOUT_PLAIN;
		return is_indifferent(op) ? KERF_LAYOUT_FREE : KERF_LAYOUT_FORCED;
	}
	if (kerf_op_is(op, "Transpose"))
		return transpose_role(l, op);
	return is_free(l, op) ? KERF_LAYOUT_FREE : KERF_LAYOUT_PLAIN;
}

/* Reshape [N,g,c,spatial], Transpose 0,2,1,.., Reshape back: ends at operator j. */
static bool find_shuffle(struct kerf_layout *l, uint32_t j)
{
	const struct kerf_graph *g = l->e->g;
	const struct kerf_op *last = &g->op[j], *mid, *first;
	const struct kerf_tensor *x, *m, *y;
	int perm[KERF_MAX_RANK], i;

	if (!kerf_op_is(last, "Reshape"))
		return false;
	mid = kerf_edit_only(l->e, last->in[0], "Transpose");
	first = mid ? kerf_edit_only(l->e, mid->in[0], "Reshape") : NULL;
	if (!first)
		return false;
	x = tensor(l, first->in[0]);
	m = tensor(l, first->out[0]);
	y = tensor(l, last->out[0]);
	if (x->rank < 3 || x->rank > 5 || m->rank != x->rank + 1 || !kerf_tensor_same_shape(x, y) ||
	    transpose_perm(mid, m->rank, perm) || !plain_value(l, first->in[0]) ||
	    !plain_value(l, last->out[0]) || x->dims[0] != m->dims[0] || kerf_tensor_count(y) <= 0)
		return false;
	for (i = 2; i < x->rank; i++)
		if (x->dims[i] != m->dims[i + 1])
			return false;
	for (i = 0; i < m->rank; i++)
		if (perm[i] != (i == 1 ? 2 : i == 2 ? 1 : i))
			return false;
	l->group[j] = l->group[mid - g->op] = (uint32_t)(first - g->op);
	l->inner[first - g->op] = 1;
	l->inner[mid - g->op] = 2;
	l->inner[j] = 3;
	l->role[first - g->op] = l->role[mid - g->op] = KERF_LAYOUT_FREE;
	return true;
}

void kerf_layout_roles(struct kerf_layout *l)
{
	uint32_t j;

	for (j = 0; j < l->e->g->n_op; j++) {
		l->group[j] = j;
		l->role[j] = (uint8_t)(find_shuffle(l, j) ? KERF_LAYOUT_FREE : role_of(l, j));
	}
}

bool kerf_layout_follows_in(const struct kerf_layout *l, uint32_t j, int k)
{
	const struct kerf_op *op = &l->e->g->op[j];
	const struct kerf_tensor *t = tensor(l, op->in[k]);

	switch (l->role[j]) {
	case KERF_LAYOUT_PLAIN:
	case KERF_LAYOUT_TO: return false;
	case KERF_LAYOUT_FROM: return k == 0;
	default: break;
	}
	if (l->inner[j])
		return l->inner[j] == 1 && k == 0;
	if (op->def->flags & KERF_OP_SPATIAL)
		return k == 0 || (k == 4 && kerf_op_is(op, "Conv"));
	if (is_elementwise(op) && !has_parameters(op)) {
		if (kerf_edit_is_const(l->e, op->in[k]))
			return kerf_tensor_count(t) != 1;
		return t->rank == tensor(l, op->out[0])->rank;
	}
	if (kerf_op_is(op, "Concat"))
		return true;
	if (kerf_op_is(op, "qConcat"))
		return k >= 2 && k % 3 == 2;
	return k == 0;
}

bool kerf_layout_follows_out(const struct kerf_layout *l, uint32_t j, int k)
{
	const struct kerf_op *op = &l->e->g->op[j];

	switch (l->role[j]) {
	case KERF_LAYOUT_PLAIN:
	case KERF_LAYOUT_FROM: return false;
	case KERF_LAYOUT_TO: return true;
	default: break;
	}
	if (l->inner[j])
		return l->inner[j] == 3;
	return !is_reduction(op) || left_by(l, op) == LEFT_FOLLOWS;
}

int kerf_layout_const_rank(const struct kerf_layout *l, uint32_t j, int32_t v)
{
	const struct kerf_op *op = &l->e->g->op[j];

	return tensor(l, is_elementwise(op) ? op->out[0] : v)->rank;
}

/* --- conversion ---------------------------------------------------------------------------- */

/* Input k becomes a constant of these integers, of the dtype and rank the old one had. */
static int set_ints(struct kerf_layout *l, uint32_t j, int k, const int64_t *v, int n)
{
	const struct kerf_op *op = &l->e->g->op[j];
	int32_t old = kerf_edit_in(l->e, op, k), in[8];
	struct kerf_tensor t = {.dtype = KERF_I64, .rank = 1, .dims = {n}};
	int i, n_in = KERF_MAX(op->n_in, k + 1);

	if (n_in > (int)KERF_ARRAY_SIZE(in))
		return -EINVAL;
	if (old >= 0)
		t = *tensor(l, old);
	if (t.rank == 1)
		t.dims[0] = n;
	t.data = kerf_graph_alloc(l->e->g, kerf_tensor_bytes(&t));
	if (!t.data)
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		if (t.dtype == KERF_I32)
			((int32_t *)t.data)[i] = (int32_t)v[i];
		else
			((int64_t *)t.data)[i] = v[i];
	}
	for (i = 0; i < n_in; i++)
		in[i] = i < op->n_in ? op->in[i] : -1;
	in[k] = kerf_edit_const(l->e, op->name, &t);
	return in[k] < 0 ? in[k] : kerf_edit_set_inputs(l->e, j, n_in, in);
}

static int stored(int64_t axis, int rank)
{
	return kerf_layout_axis(kerf_axis(axis, rank), rank);
}

static int convert_axis(struct kerf_layout *l, uint32_t j, int64_t absent, int rank)
{
	struct kerf_op *op = &l->e->g->op[j];

	return kerf_op_set_int(l->e->g, op, "axis", stored(kerf_op_int(op, "axis", absent), rank));
}

/* A list of axes, in the attribute or else in input k; absent: the first n. */
static int convert_axes(struct kerf_layout *l, uint32_t j, int k, bool attr, int n, int rank)
{
	struct kerf_op *op = &l->e->g->op[j];
	int64_t axes[KERF_MAX_RANK];
	int i, have = kerf_edit_ints_of(l->e, op, "axes", attr ? -1 : k, axes, KERF_MAX_RANK);

	for (i = 0; have < 0 && i < n; i++)
		axes[i] = i;
	n = have < 0 ? n : have;
	for (i = 0; i < n; i++)
		axes[i] = stored(axes[i], rank);
	return attr ? kerf_op_set_ints(l->e->g, op, "axes", axes, (uint32_t)n)
	            : set_ints(l, j, k, axes, n);
}

static int convert_slice(struct kerf_layout *l, uint32_t j, int rank)
{
	struct kerf_op *op = &l->e->g->op[j];
	uint32_t n;

	if (op->opset < 10) {
		kerf_op_ints(op, "starts", &n);
		return convert_axes(l, j, 3, true, (int)KERF_MIN(n, KERF_MAX_RANK), rank);
	}
	return convert_axes(l, j, 3, false,
	                    (int)KERF_MIN(kerf_tensor_count(tensor(l, op->in[1])), KERF_MAX_RANK),
	                    rank);
}

static int convert_pad(struct kerf_layout *l, uint32_t j, int rank)
{
	struct kerf_op *op = &l->e->g->op[j];
	int64_t pads[2 * KERF_MAX_RANK], moved[2 * KERF_MAX_RANK];
	bool attr = op->opset < 11;
	int i;

	if (kerf_edit_in(l->e, op, 3) >= 0)
		return convert_axes(l, j, 3, false, 0, rank);
	if (kerf_edit_ints_of(l->e, op, "pads", attr ? -1 : 1, pads, 2 * KERF_MAX_RANK) != 2 * rank)
		return -EINVAL;
	for (i = 0; i < rank; i++) {
		moved[kerf_layout_axis(i, rank)] = pads[i];
		moved[rank + kerf_layout_axis(i, rank)] = pads[rank + i];
	}
	return attr ? kerf_op_set_ints(l->e->g, op, "pads", moved, 2 * (uint32_t)rank)
	            : set_ints(l, j, 1, moved, 2 * rank);
}

static int convert_tile(struct kerf_layout *l, uint32_t j, int rank)
{
	int64_t n[KERF_MAX_RANK], moved[KERF_MAX_RANK];
	int i;

	if (kerf_edit_ints(l->e, &l->e->g->op[j], 1, n, KERF_MAX_RANK) != rank)
		return -EINVAL;
	for (i = 0; i < rank; i++)
		moved[kerf_layout_axis(i, rank)] = n[i];
	return set_ints(l, j, 1, moved, rank);
}

static int convert_transpose(struct kerf_layout *l, uint32_t j, int rank)
{
	int perm[KERF_MAX_RANK], last[KERF_MAX_RANK], i;
	int64_t moved[KERF_MAX_RANK];

	transpose_perm(&l->e->g->op[j], rank, perm);
	kerf_layout_perm(rank, last);
	for (i = 0; i < rank; i++)
		moved[i] = kerf_layout_axis(perm[last[i]], rank);
	return kerf_op_set_ints(l->e->g, &l->e->g->op[j], "perm", moved, (uint32_t)rank);
}

/* Operator j becomes a Reshape of its input 0 to these dims. */
static int become_reshape(struct kerf_layout *l, uint32_t j, int rank, const int64_t *dims)
{
	const struct kerf_op *op = &l->e->g->op[j];
	int32_t in[2] = {op->in[0], kerf_edit_const_i64(l->e, op->name, dims, rank)};

	return in[1] < 0 ? in[1] : kerf_edit_become(l->e, j, "Reshape", 13, 2, in, 0, NULL);
}

static void stored_dims(const struct kerf_tensor *t, int64_t *dims)
{
	int perm[KERF_MAX_RANK], i;

	kerf_layout_perm(t->rank, perm);
	for (i = 0; i < t->rank; i++)
		dims[i] = t->dims[perm[i]];
}

/* [N,spatial,C] -> [N,spatial,g,c] -> [N,spatial,c,g] -> [N,spatial,C] */
static int convert_shuffle(struct kerf_layout *l, uint32_t j, const struct kerf_tensor *y)
{
	struct kerf_graph *g = l->e->g;
	struct kerf_op *op = &g->op[j];
	int64_t dims[KERF_MAX_RANK], perm[KERF_MAX_RANK];
	int rank = y->rank, i;

	if (l->inner[j] == 3) {
		stored_dims(y, dims);
		return become_reshape(l, j, rank, dims);
	}
	dims[0] = y->dims[0];
	for (i = 3; i < rank; i++)
		dims[i - 2] = y->dims[i];
	dims[rank - 2] = y->dims[1];
	dims[rank - 1] = y->dims[2];
	memcpy(g->value[op->out[0]].t.dims, dims, (size_t)rank * sizeof(*dims));
	if (l->inner[j] == 1)
		return become_reshape(l, j, rank, dims);
	for (i = 0; i < rank; i++)
		perm[i] = i < rank - 2 ? i : i == rank - 2 ? rank - 1 : rank - 2;
	return kerf_op_set_ints(g, op, "perm", perm, (uint32_t)rank);
}

int kerf_layout_convert(struct kerf_layout *l, uint32_t j, const struct kerf_tensor *x,
                        const struct kerf_tensor *y)
{
	struct kerf_graph *g = l->e->g;
	struct kerf_op *op = &g->op[j];
	int64_t dims[KERF_MAX_RANK];
	int rank = x->rank;

	if (l->inner[j])
		return convert_shuffle(l, j, y);
	if (op->def->flags & KERF_OP_SPATIAL || kerf_op_is(op, "QuantizeLinear") ||
	    kerf_op_is(op, "DequantizeLinear")) {
		op->nhwc = true;
		op->n_out = 1;
		return 0;
	}
	if (is_elementwise(op))
		return 0;
	if (kerf_op_is(op, "Concat") || kerf_op_is(op, "qConcat"))
		return convert_axis(l, j, 1, y->rank);
	if (kerf_op_is(op, "Split"))
		return convert_axis(l, j, 0, rank);
	if (kerf_op_is(op, "TopK"))
		return convert_axis(l, j, -1, rank);
	if (kerf_op_is(op, "ArgMax") || kerf_op_is(op, "ArgMin"))
		return convert_axis(l, j, 0, rank);
	if (kerf_op_is(op, "CumSum")) {
		if (kerf_edit_ints(l->e, op, 1, dims, 1) != 1)
			return -EINVAL;
		dims[0] = stored(dims[0], rank);
		return set_ints(l, j, 1, dims, 1);
	}
	if (kerf_op_is(op, "Slice"))
		return convert_slice(l, j, rank);
	if (kerf_op_is(op, "Pad"))
		return convert_pad(l, j, rank);
	if (kerf_op_is(op, "Tile"))
		return convert_tile(l, j, rank);
	if (kerf_op_is(op, "Transpose"))
		return convert_transpose(l, j, rank);
	if (is_reduction(op)) {
		bool attr = kerf_op_attr(op, "axes");

		return attr || kerf_edit_in(l->e, op, 1) >= 0 ? convert_axes(l, j, 1, attr, 0, rank)
		                                              : 0;
	}
	if (kerf_op_is(op, "Expand")) {
		stored_dims(y, dims);
		return set_ints(l, j, 1, dims, rank);
	}
	if (is_regroup(op)) {
		stored_dims(y, dims);
		return become_reshape(l, j, y->rank, dims);
	}
	/* Softmax and its like; before opset 13 axis 0 and 1 mean the same elements. */
	return op->opset < 13 ? 0 : convert_axis(l, j, -1, rank);
}
