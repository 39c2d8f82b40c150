/* SPDX-License-Identifier: MIT */
#include "graph/tile.h"

#include <stdlib.h>
#include <string.h>

static int64_t rows_of(const struct kerf_graph *g, int32_t v)
{
	return g->value[v].t.dims[1];
}

static bool has_rows(const struct kerf_graph *g, int32_t v)
{
	return g->value[v].nhwc && g->value[v].t.rank >= 3;
}

static void widen(struct kerf_rows *hull, struct kerf_rows r)
{
	if (hull->begin == hull->end) {
		*hull = r;
		return;
	}
	hull->begin = KERF_MIN(hull->begin, r.begin);
	hull->end = KERF_MAX(hull->end, r.end);
}

/* At least one row, so that no value of a tile is empty: a window may lie in padding alone. */
static struct kerf_rows at_least_one(struct kerf_rows r, int64_t rows)
{
	if (r.end > r.begin)
		return r;
	r.begin = KERF_MIN(KERF_MAX(r.begin, 0), rows - 1);
	r.end = r.begin + 1;
	return r;
}

static int check_outputs(const struct kerf_graph *g, const struct kerf_slice_spec *spec,
			 uint32_t n_out, const int32_t *out, struct kerf_err *err)
{
	uint32_t i;

	for (i = 0; i < n_out; i++) {
		const char *name = g->value[out[i]].name;

		if (!has_rows(g, out[i]))
			return kerf_fail(err, -EINVAL, "tile: output '%s' is not channels-last",
					 name);
		if (rows_of(g, out[i]) != rows_of(g, out[0]))
			return kerf_fail(err, -EINVAL,
					 "tile: output '%s' has %lld rows, output '%s' has %lld",
					 name, (long long)rows_of(g, out[i]), g->value[out[0]].name,
					 (long long)rows_of(g, out[0]));
	}
	if (spec->rows.begin < 0 || spec->rows.begin >= spec->rows.end ||
	    spec->rows.end > rows_of(g, out[0]))
		return kerf_fail(err, -EINVAL, "tile: rows %lld to %lld of outputs with %lld",
				 (long long)spec->rows.begin, (long long)spec->rows.end,
				 (long long)rows_of(g, out[0]));
	return 0;
}

/*
 * Rows that every output of op must make: the hull of what its readers need. False
 * if an output has no rows, or they make no common range: then all is made whole.
 */
static bool wanted(const struct kerf_graph *g, const struct kerf_op *op,
		   const struct kerf_rows *hold, struct kerf_rows *want)
{
	int64_t rows = -1;
	int k;

	*want = (struct kerf_rows){0, 0};
	for (k = 0; k < op->n_out; k++) {
		if (op->out[k] < 0)
			continue;
		if (!has_rows(g, op->out[k]) || (rows >= 0 && rows_of(g, op->out[k]) != rows))
			return false;
		rows = rows_of(g, op->out[k]);
		if (hold[op->out[k]].end > hold[op->out[k]].begin)
			widen(want, hold[op->out[k]]);
	}
	*want = at_least_one(*want, rows);
	return true;
}

/* True if rows of input k can mean anything to op: weights, shapes and tables are read whole. */
static bool input_has_rows(const struct kerf_graph *g, const struct kerf_op *op, int k,
			   const struct kerf_tensor *in, const struct kerf_tensor *out)
{
	if (has_rows(g, op->in[k]) || op->def->flags & KERF_OP_ELEMENTWISE)
		return true;
	/* A constant beside maps, as in Concat, is stored as they are. */
	return kerf_value_is_const(&g->value[op->in[k]]) && in[k].rank >= 3 &&
	       in[k].rank == out[0].rank && !(op->def->flags & KERF_OP_WINDOW);
}

/*
 * Where rows stand in the input of a change of layout at the model's border, which
 * has them elsewhere than on axis 1: a Transpose to channels-last, or the Reshape that
 * does it for one channel. -1 for every other operator.
 */
static int border_axis(const struct kerf_graph *g, const struct kerf_op *op,
		       const struct kerf_tensor *in, const struct kerf_tensor *out)
{
	const int64_t *perm;
	uint32_t n;

	if (op->n_in < 1 || op->in[0] < 0 || has_rows(g, op->in[0]) || !has_rows(g, op->out[0]) ||
	    in[0].rank != out[0].rank)
		return -1;
	if (!strcmp(op->def->name, "Transpose")) {
		perm = kerf_op_ints(op, "perm", &n);
		return n == (uint32_t)in[0].rank ? kerf_axis(perm[1], in[0].rank) : -1;
	}
	if (!strcmp(op->def->name, "Reshape") && in[0].dims[0] == out[0].dims[0] &&
	    in[0].dims[1] == 1 && out[0].dims[out[0].rank - 1] == 1 &&
	    !memcmp(&in[0].dims[2], &out[0].dims[1],
		    (size_t)(in[0].rank - 2) * sizeof(in[0].dims[0])))
		return 2;
	return -1;
}

/* True if op can make a part of its rows from a part of its first input's. */
static bool has_row_rule(const struct kerf_graph *g, const struct kerf_op *op)
{
	if (op->def->flags & KERF_OP_ELEMENTWISE)
		return true;
	return op->def->rows && op->n_in && op->in[0] >= 0 && has_rows(g, op->in[0]);
}

static int rule_of(const struct kerf_graph *g, const struct kerf_op *op,
		   const struct kerf_tensor *in, const struct kerf_tensor *out, int k,
		   struct kerf_rows want, struct kerf_tile_need *need)
{
	int border = border_axis(g, op, in, out);

	*need = (struct kerf_tile_need){.axis = 1};
	if (border >= 0) {
		need->axis = k ? -1 : border;
		need->rows = want;
		return 0;
	}
	if (!has_row_rule(g, op))
		return -EOPNOTSUPP;
	if (op->def->flags & KERF_OP_ELEMENTWISE)
		need->axis = kerf_op_row_axis(&in[k], &out[0]);
	if (!input_has_rows(g, op, k, in, out))
		need->axis = -1;
	return need->axis < 0 ? 0 : kerf_op_rows(op, in, out, k, want, &need->rows);
}

static int need_of(const struct kerf_graph *g, const struct kerf_op *op,
		   const struct kerf_tensor *in, const struct kerf_tensor *out, int k,
		   struct kerf_rows want, struct kerf_tile_need *need)
{
	bool whole = want.begin == 0 && want.end == out[0].dims[1];
	int r = rule_of(g, op, in, out, k, want, need);

	if (r == -EOPNOTSUPP && whole)
		return 0;
	if (r || need->axis < 0)
		return r;
	need->rows = at_least_one(need->rows, in[k].dims[need->axis]);
	need->limited = need->rows.begin > 0 || need->rows.end < in[k].dims[need->axis];
	return 0;
}

/* Output 0 tells rows; an operator whose further outputs are positions cannot be limited. */
static bool limitable(const struct kerf_graph *g, const struct kerf_op *op)
{
	int k;

	if (op->tile.out_rows)
		return false; /* a tile of a tile */
	for (k = 0; k < op->n_out; k++)
		if (op->out[k] >= 0 && g->value[op->out[k]].bounded)
			return false;
	return !(op->def->flags & KERF_OP_WINDOW) || op->n_out == 1;
}

static size_t n_slots(const struct kerf_op *op)
{
	return (size_t)kerf_op_in_slots(op) + (size_t)kerf_op_out_slots(op);
}

static int propagate_op(const struct kerf_graph *g, const struct kerf_op *op, bool *held_whole,
			struct kerf_rows *hold, struct kerf_tile_need *need, struct kerf_tensor *in,
			struct kerf_err *err)
{
	struct kerf_tensor *out = in + kerf_op_in_slots(op);
	struct kerf_rows want;
	bool limited = wanted(g, op, hold, &want);
	int k, r;

	for (k = 0; limited && k < op->n_out; k++)
		if (op->out[k] >= 0 && held_whole[op->out[k]])
			want = (struct kerf_rows){0, rows_of(g, op->out[k])};
	if (limited && (want.begin || want.end < rows_of(g, op->out[0])) && !limitable(g, op))
		return kerf_fail(err, -EOPNOTSUPP, "tile: node '%s' (%s) cannot be limited to rows",
				 op->name, op->def->name);
	for (k = 0; k < op->n_out; k++)
		if (op->out[k] >= 0)
			hold[op->out[k]] = limited ? want : (struct kerf_rows){0, 0};
	memset(in, 0, n_slots(op) * sizeof(*in));
	kerf_op_tensors(g, op, in, out);
	for (k = 0; k < op->n_in; k++) {
		int32_t v = op->in[k];

		need[k] = (struct kerf_tile_need){.limited = false};
		if (v < 0)
			continue;
		r = limited ? need_of(g, op, in, out, k, want, &need[k]) : 0;
		if (r)
			return kerf_fail(
				err, r,
				"tile: node '%s' (%s) cannot be limited to rows %lld to %lld",
				op->name, op->def->name, (long long)want.begin,
				(long long)want.end);
		if (!need[k].limited || need[k].axis != 1 || !has_rows(g, v) ||
		    kerf_value_is_const(&g->value[v]))
			held_whole[v] = true;
		else
			widen(&hold[v], need[k].rows);
	}
	return 0;
}

/* --- padded tiles --------------------------------------------------------- */

/*
 * A padded tile is a smaller image: every value in it has the same part of its rows as the outputs
 * have of theirs, and windows meet padding where the tile ends. That part has to be whole rows.
 */
static bool own_rows(const struct kerf_slice_spec *spec, int64_t rows, int64_t all,
		     struct kerf_rows *own)
{
	own->begin = spec->rows.begin * all / rows;
	own->end = spec->rows.end * all / rows;
	return spec->rows.begin * all % rows == 0 && spec->rows.end * all % rows == 0 &&
	       own->begin < own->end;
}

/* Own rows of every input and output; false unless op makes the latter of the former. */
static bool pad_op(const struct kerf_graph *g, const struct kerf_slice_spec *spec, int64_t rows,
		   const struct kerf_op *op, struct kerf_rows *hold, struct kerf_tile_need *need,
		   struct kerf_tensor *in)
{
	struct kerf_tensor *out = in + kerf_op_in_slots(op), whole;
	int64_t made;
	int k;

	memset(in, 0, n_slots(op) * sizeof(*in));
	kerf_op_tensors(g, op, in, out);
	whole = out[0];
	if (!has_row_rule(g, op) || !limitable(g, op) || op->n_out != 1 ||
	    !has_rows(g, op->out[0]) || !own_rows(spec, rows, whole.dims[1], &hold[op->out[0]]))
		return false;
	for (k = 0; k < op->n_in; k++) {
		int axis =
			op->def->flags & KERF_OP_ELEMENTWISE ? kerf_op_row_axis(&in[k], &whole) : 1;

		need[k] = (struct kerf_tile_need){.limited = false};
		if (op->in[k] < 0 || axis < 0 || !input_has_rows(g, op, k, in, out) ||
		    in[k].dims[axis] == 1)
			continue;
		need[k].limited = true;
		need[k].axis = axis;
		if (!own_rows(spec, rows, in[k].dims[axis], &need[k].rows))
			return false;
		if (axis == 1 && has_rows(g, op->in[k]) &&
		    !kerf_value_is_const(&g->value[op->in[k]]))
			hold[op->in[k]] = need[k].rows;
		else if (!kerf_value_is_const(&g->value[op->in[k]]))
			return false;
	}
	/*
	 * Contents of constants are there for rules that look at them; of a cropped one they are
	 * not.
	 */
	for (k = 0; k < op->n_in; k++)
		if (op->in[k] >= 0 && need[k].limited) {
			in[k].dims[need[k].axis] = need[k].rows.end - need[k].rows.begin;
			in[k].data = NULL;
		}
	made = hold[op->out[0]].end - hold[op->out[0]].begin;
	return !op->def->infer(op, in, out, NULL) && out[0].rank == whole.rank &&
	       out[0].dims[1] == made;
}

static int pad(const struct kerf_graph *g, const struct kerf_slice_spec *spec, int64_t rows,
	       struct kerf_tile *t, struct kerf_tensor *tensors, struct kerf_err *err)
{
	uint32_t i;

	for (i = spec->n_op; i--;) {
		const struct kerf_op *op = &g->op[spec->op[i]];

		if (!pad_op(g, spec, rows, op, t->hold, t->need + t->first[i], tensors))
			return kerf_fail(err, -EOPNOTSUPP,
					 "tile: node '%s' (%s) cannot make rows %lld to %lld of %lld of "
					 "a tile with padding",
					 op->name, op->def->name, (long long)spec->rows.begin,
					 (long long)spec->rows.end, (long long)rows);
	}
	return 0;
}

/* --- the tile --------------------------------------------------------------- */

int kerf_tile_open(const struct kerf_graph *g, struct kerf_tile *t)
{
	memset(t, 0, sizeof(*t));
	t->hold = calloc((size_t)g->n_value + 1, sizeof(*t->hold));
	t->held_whole = calloc((size_t)g->n_value + 1, sizeof(*t->held_whole));
	if (t->hold && t->held_whole)
		return 0;
	kerf_tile_finish(t);
	return -ENOMEM;
}

int kerf_tile_room(const struct kerf_graph *g, const struct kerf_slice_spec *spec,
		   struct kerf_tile *t)
{
	size_t n_need = 0;
	uint32_t i;

	t->first = calloc((size_t)spec->n_op + 1, sizeof(*t->first));
	if (!t->first)
		return -ENOMEM;
	for (i = 0; i < spec->n_op; i++) {
		t->first[i] = n_need;
		n_need += (size_t)g->op[spec->op[i]].n_in;
	}
	t->need = calloc(n_need + 1, sizeof(*t->need));
	return t->need ? 0 : -ENOMEM;
}

void kerf_tile_clear(const struct kerf_graph *g, const struct kerf_slice_spec *spec,
		     struct kerf_tile *t)
{
	uint32_t i;
	int k;

	for (i = 0; i < spec->n_op; i++) {
		const struct kerf_op *op = &g->op[spec->op[i]];

		for (k = 0; k < op->n_in + op->n_out; k++) {
			int32_t v = k < op->n_in ? op->in[k] : op->out[k - op->n_in];

			if (v < 0)
				continue;
			t->hold[v] = (struct kerf_rows){0, 0};
			t->held_whole[v] = false;
		}
	}
	free(t->need);
	free(t->first);
	t->need = NULL;
	t->first = NULL;
}

/* All rows, and rows of what is held whole, are {0, 0}. */
static void settle(const struct kerf_graph *g, const struct kerf_slice_spec *spec,
		   struct kerf_tile *t)
{
	uint32_t i;
	int k;

	for (i = 0; i < spec->n_op; i++) {
		const struct kerf_op *op = &g->op[spec->op[i]];

		for (k = 0; k < op->n_in + op->n_out; k++) {
			int32_t v = k < op->n_in ? op->in[k] : op->out[k - op->n_in];

			if (v >= 0 && (t->held_whole[v] ||
				       (t->hold[v].begin == 0 &&
					t->hold[v].end == g->value[v].t.dims[1])))
				t->hold[v] = (struct kerf_rows){0, 0};
		}
	}
}

int kerf_tile_fill(const struct kerf_graph *g, const struct kerf_slice_spec *spec, uint32_t n_out,
		   const int32_t *out, struct kerf_tile *t, struct kerf_err *err)
{
	struct kerf_tensor *tensors = NULL;
	size_t n_tensor = 0;
	int r = check_outputs(g, spec, n_out, out, err);
	uint32_t i;

	if (r)
		return r;
	for (i = 0; i < spec->n_op; i++)
		n_tensor = KERF_MAX(n_tensor, n_slots(&g->op[spec->op[i]]));
	tensors = calloc(n_tensor + 1, sizeof(*tensors));
	r = kerf_tile_room(g, spec, t);
	if (!tensors)
		r = -ENOMEM;
	if (!r && spec->padded) {
		r = pad(g, spec, rows_of(g, out[0]), t, tensors, err);
	} else if (!r) {
		for (i = 0; i < n_out; i++)
			t->hold[out[i]] = spec->rows;
		for (i = spec->n_op; i-- && !r;)
			r = propagate_op(g, &g->op[spec->op[i]], t->held_whole, t->hold,
					 t->need + t->first[i], tensors, err);
		if (!r)
			settle(g, spec, t);
	}
	free(tensors);
	if (r)
		kerf_tile_clear(g, spec, t);
	return r;
}

int kerf_tile_make(const struct kerf_graph *g, const struct kerf_slice_spec *spec, uint32_t n_out,
		   const int32_t *out, struct kerf_tile *t, struct kerf_err *err)
{
	int r = kerf_tile_open(g, t);

	if (!r)
		r = kerf_tile_fill(g, spec, n_out, out, t, err);
	if (r)
		kerf_tile_finish(t);
	return r;
}

void kerf_tile_finish(struct kerf_tile *t)
{
	free(t->hold);
	free(t->need);
	free(t->first);
	free(t->held_whole);
	memset(t, 0, sizeof(*t));
}
