/* SPDX-License-Identifier: MIT */
/*
 * Layout: which values are stored channels-last, with the fewest transposes.
 *
 * Spatial operators must be channels-last, model inputs and outputs and operators
 * that know only ONNX's order (MatMul, most Reshapes) plain; the others take
 * either. A value that is made in one layout and read in the other costs one
 * Transpose, however many read it. To choose the layouts at the least cost is a
 * minimum cut between "channels-last" and "plain": an operator is a node, and for
 * each value made by p and read by c1..cn there are two further nodes, one behind
 * p and one before it, so that the value's weight is paid once if p lies on one
 * side and any c on the other. The solution is exact.
 *
 * A value's weight is its elements plus a constant for the operator itself; 1 where
 * the order of elements is the same in both layouts (one channel, or one pixel),
 * for then the Transpose is a view. Transposes that the model has itself cost
 * nothing where they do what the change of layout asks for.
 */
#include "graph/rewrite_layout.h"

#include "graph/rewrite_passes.h"
#include "util/mincut.h"

#include <stdlib.h>

#define TRANSPOSE_COST 16384

/* --- choosing ------------------------------------------------------------------------ */

static bool keeps_order(const struct kerf_tensor *t)
{
	int64_t spatial = 1;
	int i;

	for (i = 2; i < t->rank; i++)
		spatial *= t->dims[i];
	return t->dims[1] == 1 || spatial == 1;
}

static int64_t weight(const struct kerf_tensor *t)
{
	return keeps_order(t) ? 1 : TRANSPOSE_COST + kerf_tensor_count(t);
}

static uint32_t node_of(const struct kerf_layout *l, uint32_t j, bool follows)
{
	if (!follows || l->role[j] == KERF_LAYOUT_PLAIN)
		return KERF_CUT_SINK;
	return l->role[j] == KERF_LAYOUT_FORCED ? KERF_CUT_SOURCE : 2 + l->group[j];
}

struct network {
	struct kerf_cut cut;
	uint32_t *seen;  /* per node: the last value it was counted for, plus 1 */
	uint32_t *maker; /* per value: its node */
	uint32_t *first; /* per value: its readers' nodes, reader[first[v] .. first[v + 1]) */
	uint32_t *reader;
};

/* The value's cost, given its maker's node and its readers' nodes (distinct). */
static int add_value(struct network *n, int64_t cost, uint32_t maker, const uint32_t *reader,
                     uint32_t n_reader)
{
	uint32_t behind, before, i;
	int r = 0;

	if (n_reader == 1) {
		r = kerf_cut_edge(&n->cut, maker, reader[0], cost);
		return r ? r : kerf_cut_edge(&n->cut, reader[0], maker, cost);
	}
	behind = n->cut.n_node++;
	before = n->cut.n_node++;
	r = kerf_cut_edge(&n->cut, maker, behind, cost);
	if (!r)
		r = kerf_cut_edge(&n->cut, before, maker, cost);
	for (i = 0; !r && i < n_reader; i++) {
		r = kerf_cut_edge(&n->cut, behind, reader[i], KERF_CUT_INF);
		if (!r)
			r = kerf_cut_edge(&n->cut, reader[i], before, KERF_CUT_INF);
	}
	return r;
}

/* One sweep over the operators: who makes and who reads each value. */
static int list_nodes(const struct kerf_layout *l, struct network *n)
{
	const struct kerf_graph *g = l->e->g;
	size_t n_read = 0;
	uint32_t j, v;
	int k;

	for (j = 0; j < g->n_op; j++)
		n_read += (size_t)g->op[j].n_in;
	n->maker = malloc(((size_t)g->n_value + 1) * sizeof(*n->maker));
	n->first = calloc((size_t)g->n_value + 2, sizeof(*n->first));
	n->reader = malloc((n_read + g->n_value + 1) * sizeof(*n->reader));
	if (!n->maker || !n->first || !n->reader)
		return -ENOMEM;
	for (v = 0; v < g->n_value; v++) {
		n->maker[v] = KERF_CUT_SINK;
		n->first[v + 2] = l->e->is_output[v];
	}
	for (j = 0; j < g->n_op; j++)
		for (k = 0; k < g->op[j].n_in; k++)
			if (g->op[j].in[k] >= 0)
				n->first[g->op[j].in[k] + 2]++;
	for (v = 0; v < g->n_value; v++)
		n->first[v + 2] += n->first[v + 1];
	for (j = 0; j < g->n_op; j++) {
		const struct kerf_op *op = &g->op[j];

		for (k = 0; k < op->n_in; k++)
			if (op->in[k] >= 0)
				n->reader[n->first[op->in[k] + 1]++] =
					node_of(l, j, kerf_layout_follows_in(l, j, k));
		for (k = 0; k < op->n_out; k++)
			if (op->out[k] >= 0)
				n->maker[op->out[k]] =
					node_of(l, j, kerf_layout_follows_out(l, j, k));
	}
	for (v = 0; v < g->n_value; v++)
		if (l->e->is_output[v])
			n->reader[n->first[v + 1]++] = KERF_CUT_SINK;
	return 0;
}

static int connect_value(const struct kerf_layout *l, struct network *n, uint32_t v)
{
	uint32_t *reader = n->reader + n->first[v], n_reader = 0, i;
	uint32_t all = n->first[v + 1] - n->first[v];

	n->seen[n->maker[v]] = v + 1;
	for (i = 0; i < all; i++)
		if (n->seen[reader[i]] != v + 1) {
			n->seen[reader[i]] = v + 1;
			reader[n_reader++] = reader[i];
		}
	if (!n_reader)
		return 0;
	return add_value(n, weight(&l->e->g->value[v].t), n->maker[v], reader, n_reader);
}

/* A Transpose of the model's own is no cost where the layouts make it a view. */
static int connect_transposes(const struct kerf_layout *l, struct network *n)
{
	const struct kerf_graph *g = l->e->g;
	uint32_t j;
	int r = 0;

	for (j = 0; !r && j < g->n_op; j++)
		if (l->role[j] == KERF_LAYOUT_FROM || l->role[j] == KERF_LAYOUT_TO) {
			const struct kerf_op *op = &g->op[j];
			int32_t v = l->role[j] == KERF_LAYOUT_FROM ? op->in[0] : op->out[0];

			r = kerf_cut_edge(&n->cut, KERF_CUT_SOURCE, 2 + l->group[j],
			                  weight(&g->value[v].t));
		}
	return r;
}

/* Without the optimum: an operator takes the layout its first follower has. */
static void choose_forward(struct kerf_layout *l)
{
	const struct kerf_graph *g = l->e->g;
	uint32_t j;
	int k;

	for (j = 0; j < g->n_op; j++) {
		l->nhwc[j] = l->role[j] == KERF_LAYOUT_FORCED;
		if (l->group[j] != j)
			l->nhwc[j] = l->nhwc[l->group[j]];
		else if (l->role[j] == KERF_LAYOUT_FREE || l->role[j] == KERF_LAYOUT_FROM)
			for (k = 0; k < g->op[j].n_in && !l->nhwc[j]; k++) {
				int32_t p =
					g->op[j].in[k] < 0 ? -1 : g->value[g->op[j].in[k]].producer;

				l->nhwc[j] =
					p >= 0 && l->nhwc[p] && kerf_layout_follows_in(l, j, k);
			}
	}
}

static int choose(struct kerf_layout *l)
{
	const struct kerf_graph *g = l->e->g;
	size_t most = (size_t)g->n_op + 2 + 2 * (size_t)g->n_value;
	struct network n = {.cut = {.n_node = g->n_op + 2}};
	uint32_t v, j;
	bool *side = calloc(most, 1);
	int r = -ENOMEM;

	n.seen = calloc(most, sizeof(*n.seen));
	if (!side || !n.seen || list_nodes(l, &n))
		goto out;
	r = connect_transposes(l, &n);
	for (v = 0; !r && v < g->n_value; v++)
		if (kerf_layout_either(g, (int32_t)v) && !kerf_value_is_const(&g->value[v]))
			r = connect_value(l, &n, v);
	if (!r)
		r = kerf_cut_solve(&n.cut, side);
	if (r == -E2BIG) {
		choose_forward(l);
		r = 0;
		goto out;
	}
	for (j = 0; !r && j < g->n_op; j++) {
		uint32_t node = node_of(l, j, true);

		l->nhwc[j] = node == KERF_CUT_SOURCE || (node != KERF_CUT_SINK && side[node]);
	}
out:
	kerf_cut_finish(&n.cut);
	free(side);
	free(n.seen);
	free(n.maker);
	free(n.first);
	free(n.reader);
	return r;
}

/* --- applying ----------------------------------------------------------------------------- */

/* Both forms of each value that either layout suits; -1: not made. */
struct forms {
	int32_t *plain, *last;
	struct kerf_tensor *was; /* as it was */
	bool *made_last;
	/* per constant and rank: its channels-last form; 0: not made */
	int32_t (*constant)[KERF_MAX_RANK + 1];
};

/* Marks the values that are made channels-last. */
static void mark_made_last(const struct kerf_layout *l, bool *last)
{
	const struct kerf_graph *g = l->e->g;
	uint32_t j;
	int k;

	for (j = 0; j < g->n_op; j++)
		for (k = 0; l->nhwc[j] && k < g->op[j].n_out; k++)
			if (g->op[j].out[k] >= 0)
				last[g->op[j].out[k]] = kerf_layout_follows_out(l, j, k);
}

static void store_last(struct kerf_value *v)
{
	struct kerf_tensor t = v->t;
	int perm[KERF_MAX_RANK], i;

	kerf_layout_perm(t.rank, perm);
	for (i = 0; i < t.rank; i++)
		v->t.dims[i] = t.dims[perm[i]];
	v->nhwc = true;
}

static int32_t transposed(struct kerf_layout *l, uint32_t at, int32_t v, int32_t out, bool to_last)
{
	struct kerf_graph *g = l->e->g;
	int rank = g->value[v].t.rank, perm[KERF_MAX_RANK], i;
	struct kerf_attr attr = {.name = "perm", .type = KERF_ATTR_INTS, .n = (uint32_t)rank};
	int64_t p[KERF_MAX_RANK];
	int32_t id;

	kerf_layout_perm(rank, perm);
	for (i = 0; i < rank; i++)
		p[to_last ? i : perm[i]] = to_last ? perm[i] : i;
	attr.ints = p;
	if (out < 0)
		out = kerf_edit_value(l->e, g->value[v].name, to_last ? "nhwc" : "nchw",
		                      &g->value[v].t);
	if (out < 0)
		return out;
	id = kerf_edit_op(l->e, at, "Transpose", 13, g->value[out].name, 1, &v, 1, &out, 1, &attr);
	g->value[out].nhwc = to_last;
	return id < 0 ? id : out;
}

/* Stores values in the layout they are made in; model outputs get their plain form. */
static int make_home(struct kerf_layout *l, struct forms *f, uint32_t n_value)
{
	struct kerf_graph *g = l->e->g;
	uint32_t v;
	int k;

	mark_made_last(l, f->made_last);
	for (v = 0; v < n_value; v++) {
		int32_t p = g->value[v].producer, id = (int32_t)v;

		f->was[v] = g->value[v].t;
		f->plain[v] = (int32_t)v;
		f->last[v] = -1;
		if (!kerf_layout_either(g, (int32_t)v) || !f->made_last[v])
			continue;
		f->plain[v] = -1;
		if (l->e->is_output[v]) {
			id = kerf_edit_value(l->e, g->value[v].name, "nhwc", &g->value[v].t);
			if (id < 0)
				return id;
			for (k = 0; k < g->op[p].n_out; k++)
				if (g->op[p].out[k] == (int32_t)v)
					g->op[p].out[k] = id;
			g->value[id].producer = p;
			g->value[v].producer = -1;
			f->plain[v] = (int32_t)v;
		}
		store_last(&g->value[id]);
		f->last[v] = id;
		if (id != (int32_t)v && (k = transposed(l, kerf_edit_behind(l->e, (uint32_t)p), id,
							(int32_t)v, false)) < 0)
			return k;
	}
	return 0;
}

/* The form of v that operator j reads. */
static int32_t form_of(struct kerf_layout *l, struct forms *f, uint32_t j, int32_t v, bool last)
{
	int32_t *have = last ? &f->last[v] : &f->plain[v], from = last ? f->plain[v] : f->last[v];
	int32_t p;

	if (*have >= 0)
		return *have;
	p = l->e->g->value[from].producer;
	*have = transposed(l, p >= 0 ? kerf_edit_behind(l->e, (uint32_t)p) : j, from, -1, last);
	return *have;
}

/* A constant as a channels-last operator of that rank reads it: broadcast to the rank first. */
static int32_t const_form(struct kerf_layout *l, int32_t v, int rank)
{
	struct kerf_tensor t = *kerf_edit_t(l->e, v), wide = t;
	int perm[KERF_MAX_RANK], i;

	if (t.rank < rank) {
		for (i = 0; i < rank; i++)
			wide.dims[i] = i < rank - t.rank ? 1 : t.dims[i - (rank - t.rank)];
		wide.rank = rank;
		v = kerf_edit_const(l->e, l->e->g->value[v].name, &wide);
		if (v < 0)
			return v;
	}
	kerf_layout_perm(rank, perm);
	v = kerf_edit_const_permuted(l->e, v, perm);
	if (v >= 0)
		l->e->g->value[v].nhwc = true;
	return v;
}

/* The same, made once however many read it. */
static int32_t const_form_of(struct kerf_layout *l, struct forms *f, int32_t v, int rank)
{
	int32_t *have = &f->constant[v][rank];

	if (!*have)
		*have = const_form(l, v, rank);
	return *have;
}

static int apply_inputs(struct kerf_layout *l, struct forms *f, uint32_t j)
{
	struct kerf_graph *g = l->e->g;
	int n = g->op[j].n_in, k, r = 0;
	int32_t *in = malloc(((size_t)n + 1) * sizeof(*in));

	if (!in)
		return -ENOMEM;
	for (k = 0; !r && k < n; k++) {
		int32_t v = g->op[j].in[k];
		bool last = v >= 0 && l->nhwc[j] && kerf_layout_follows_in(l, j, k);

		in[k] = v;
		if (v < 0)
			continue;
		if (!kerf_value_is_const(&g->value[v]))
			in[k] = form_of(l, f, j, v, last);
		else if (last)
			in[k] = const_form_of(l, f, v, kerf_layout_const_rank(l, j, v));
		r = in[k] < -1 ? in[k] : 0;
	}
	if (!r)
		r = kerf_edit_set_inputs(l->e, j, n, in);
	free(in);
	return r;
}

/* A Transpose of the model's own that became a view of nothing: its readers read its input. */
static bool vanishes(const struct kerf_layout *l, uint32_t j)
{
	return l->nhwc[j] && (l->role[j] == KERF_LAYOUT_FROM || l->role[j] == KERF_LAYOUT_TO);
}

/* The shape that ONNX gives the value. */
static struct kerf_tensor plain_shape(const struct kerf_value *v)
{
	struct kerf_tensor t = v->t;
	int perm[KERF_MAX_RANK], i;

	kerf_layout_perm(t.rank, perm);
	for (i = 0; v->nhwc && i < t.rank; i++)
		t.dims[perm[i]] = v->t.dims[i];
	return t;
}

static int apply_op(struct kerf_layout *l, struct forms *f, uint32_t j)
{
	struct kerf_graph *g = l->e->g;
	const struct kerf_op *op = &g->op[j];
	struct kerf_tensor x = {0}, y, onnx, got;
	struct kerf_err err = {""};
	char a[KERF_SHAPE_TEXT], b[KERF_SHAPE_TEXT];
	int r;

	if (op->n_in > 0 && op->in[0] >= 0)
		x = f->was[op->in[0]];
	r = apply_inputs(l, f, j);
	op = &g->op[j];
	if (r || !l->nhwc[j])
		return r;
	if (vanishes(l, j)) {
		int32_t in = op->in[0];

		return kerf_edit_become(l->e, j, "Identity", 13, 1, &in, 0, NULL);
	}
	onnx = plain_shape(&g->value[op->out[0]]);
	r = kerf_layout_convert(l, j, &x, &onnx);
	if (r)
		return kerf_fail(l->e->err, r, "layout of node '%s' (%s)", op->name, op->def->name);
	y = g->value[g->op[j].out[0]].t;
	r = kerf_op_infer_shapes(g, &g->op[j], &err);
	got = g->value[g->op[j].out[0]].t;
	if (r || !kerf_tensor_same_shape(&got, &y))
		return kerf_fail(l->e->err, -EINVAL,
		                 "layout of node '%s' (%s): %s, expected %s, found %s",
		                 g->op[j].name, g->op[j].def->name, err.msg,
		                 kerf_tensor_text(&y, a), kerf_tensor_text(&got, b));
	return 0;
}

static int apply(struct kerf_layout *l)
{
	struct kerf_graph *g = l->e->g;
	uint32_t n_op = g->n_op, n_value = g->n_value, j;
	struct forms f = {0};
	int r = -ENOMEM;

	f.plain = malloc(((size_t)n_value + 1) * sizeof(*f.plain));
	f.last = malloc(((size_t)n_value + 1) * sizeof(*f.last));
	f.was = malloc(((size_t)n_value + 1) * sizeof(*f.was));
	f.made_last = calloc((size_t)n_value + 1, sizeof(*f.made_last));
	f.constant = calloc((size_t)n_value + 1, sizeof(*f.constant));
	if (f.plain && f.last && f.was && f.made_last && f.constant)
		r = make_home(l, &f, n_value);
	for (j = 0; !r && j < n_op; j++)
		r = apply_op(l, &f, j);
	free(f.plain);
	free(f.last);
	free(f.was);
	free(f.made_last);
	free(f.constant);
	return r;
}

int kerf_rewrite_layout(struct kerf_graph *g, struct kerf_err *err)
{
	struct kerf_edit e;
	struct kerf_layout l = {.e = &e};
	size_t n = (size_t)g->n_op + 1;
	int r = kerf_edit_begin(&e, g, err);

	if (r)
		return r;
	l.role = calloc(n, sizeof(*l.role));
	l.group = calloc(n, sizeof(*l.group));
	l.inner = calloc(n, sizeof(*l.inner));
	l.nhwc = calloc(n, sizeof(*l.nhwc));
	if (!l.role || !l.group || !l.inner || !l.nhwc) {
		r = -ENOMEM;
	} else {
		kerf_layout_roles(&l);
		r = choose(&l);
		if (!r)
			r = apply(&l);
	}
	free(l.role);
	free(l.group);
	free(l.inner);
	free(l.nhwc);
	return kerf_edit_end(&e, r);
}
