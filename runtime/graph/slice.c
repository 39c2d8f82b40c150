/* SPDX-License-Identifier: MIT */
#include "graph/slice.h"

#include "graph/channels.h"
#include "graph/tile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A value of the slice that holds some rows of another, made for readers that need fewer. */
struct crop {
	int32_t made;
	uint32_t before; /* 1 + another crop of the same value; 0: none */
	int axis;
	struct kerf_rows rows;
};

struct slicer {
	struct kerf_graph *whole, *slice;
	const struct kerf_slice_spec *spec;
	bool *member;  /* per operator of the whole */
	bool *touched; /* per value of the whole: read or made by a member */
	bool *is_out;
	int32_t *id; /* per value of the whole: value of the slice that holds its rows */
	int32_t *out;
	uint32_t n_out;
	bool tiled, split; /* limited to rows, to channels */
	struct kerf_tile tile;
	struct crop *crop;
	uint32_t n_crop, cap_crop;
	uint32_t *last_crop; /* per value of the whole: 1 + its latest crop; NULL: not limited */
	const char **name;   /* of the whole's values, sorted; NULL: not limited */
};

bool kerf_slice_convex(const struct kerf_graph *whole, const bool *marks)
{
	/* A path that left the set: operators outside with a member before them. */
	bool *left = calloc((size_t)whole->n_op + 1, sizeof(*left)), convex = left != NULL;
	uint32_t i;
	int k;

	for (i = 0; convex && i < whole->n_op; i++) {
		const struct kerf_op *op = &whole->op[i];

		for (k = 0; k < op->n_in; k++) {
			int32_t p = op->in[k] < 0 ? -1 : whole->value[op->in[k]].producer;

			if (p >= 0 && marks[i] && left[p])
				convex = false;
			else if (p >= 0 && !marks[i] && (marks[p] || left[p]))
				left[i] = true;
		}
	}
	free(left);
	return convex;
}

struct kerf_rows kerf_slice_rows(const struct kerf_graph *slice, int32_t v)
{
	const struct kerf_value *value = &slice->value[v];
	int64_t rows = value->t.rank > 1 ? value->t.dims[1] : 0;

	return (struct kerf_rows){value->row0, value->row0 + rows};
}

/* --- what belongs to the slice -------------------------------------------- */

static int mark_members(struct slicer *s, struct kerf_err *err)
{
	const struct kerf_slice_spec *spec = s->spec;
	uint32_t i;

	if (!spec->n_op)
		return kerf_fail(err, -EINVAL, "slice: no operators");
	for (i = 0; i < spec->n_op; i++) {
		if (spec->op[i] >= s->whole->n_op)
			return kerf_fail(err, -EINVAL, "slice: operator %u, the graph has %u",
					 spec->op[i], s->whole->n_op);
		if (i && spec->op[i] <= spec->op[i - 1])
			return kerf_fail(err, -EINVAL,
					 "slice: operator %u after %u, expected ascending",
					 spec->op[i], spec->op[i - 1]);
		s->member[spec->op[i]] = true;
	}
	if (!kerf_slice_convex(s->whole, s->member))
		return kerf_fail(err, -EINVAL,
				 "slice: a path leaves the %u operators and comes back",
				 spec->n_op);
	return 0;
}

static void find_values(struct slicer *s)
{
	const struct kerf_graph *g = s->whole;
	uint32_t i;
	int k;

	for (i = 0; i < g->n_op; i++) {
		const struct kerf_op *op = &g->op[i];

		for (k = 0; k < op->n_in; k++) {
			int32_t v = op->in[k], p = v < 0 ? -1 : g->value[v].producer;

			if (v >= 0 && s->member[i])
				s->touched[v] = true;
			else if (p >= 0 && s->member[p])
				s->is_out[v] = true;
		}
		for (k = 0; s->member[i] && k < op->n_out; k++)
			if (op->out[k] >= 0)
				s->touched[op->out[k]] = true;
	}
	for (i = 0; i < g->n_out; i++)
		if (g->value[g->out[i]].producer >= 0 && s->member[g->value[g->out[i]].producer])
			s->is_out[g->out[i]] = true;
	for (i = 0; i < g->n_value; i++)
		if (s->is_out[i])
			s->out[s->n_out++] = (int32_t)i;
}

/* --- values --------------------------------------------------------------- */

/* The axis that a slice limits. */
static int hold_axis(const struct slicer *s, int32_t v)
{
	return s->split ? s->whole->value[v].t.rank - 1 : 1;
}

static bool is_limited(const struct slicer *s, int32_t v)
{
	return (s->tiled || s->split) && s->tile.hold[v].end;
}

/* Rows, or channels, of whole value v that the slice holds. */
static struct kerf_rows held(const struct slicer *s, int32_t v)
{
	const struct kerf_tensor *t = &s->whole->value[v].t;

	if (is_limited(s, v))
		return s->tile.hold[v];
	return (struct kerf_rows){0, t->rank > 1 ? t->dims[hold_axis(s, v)] : 0};
}

/* A value of the slice with these rows of whole value v. Id or -ENOMEM. */
static int32_t add_rows(struct slicer *s, const char *name, int32_t v, int axis,
			struct kerf_rows rows)
{
	const struct kerf_value *from = &s->whole->value[v];
	struct kerf_tensor t = from->t;
	int32_t id;

	t.data = NULL;
	t.dims[axis] = rows.end - rows.begin;
	id = kerf_graph_add_value(s->slice, name, &t);
	if (id < 0)
		return id;
	s->slice->value[id].nhwc = from->nhwc;
	s->slice->value[id].parent = v;
	if (s->split && kerf_value_is_const(from))
		return id;
	if (s->split) {
		s->slice->value[id].channel0 = rows.begin;
		s->slice->value[id].whole_channels = from->t.dims[axis];
		return id;
	}
	s->slice->value[id].row0 = rows.begin;
	s->slice->value[id].whole_rows = from->t.dims[axis];
	return id;
}

/* A tile's output is exactly the rows asked for, also where a reader inside needs more. */
static bool output_is_cropped(const struct slicer *s, int32_t v)
{
	struct kerf_rows h = held(s, v);

	return s->tiled && s->is_out[v] &&
	       (h.begin != s->spec->rows.begin || h.end != s->spec->rows.end);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* What only limits need: the names in use, and room for the crops of each value. */
static int begin_limits(struct slicer *s)
{
	uint32_t n = s->whole->n_value, i;

	s->last_crop = calloc((size_t)n + 1, sizeof(*s->last_crop));
	s->name = malloc(((size_t)n + 1) * sizeof(*s->name));
	if (!s->last_crop || !s->name)
		return -ENOMEM;
	for (i = 0; i < n; i++)
		s->name[i] = s->whole->value[i].name;
	qsort(s->name, n, sizeof(*s->name), by_name);
	return 0;
}

/* name, or with a number after it if the whole graph has that name already. */
static void free_name(const struct slicer *s, char *buf, size_t size, const char *name,
		      const char *what, struct kerf_rows rows)
{
	const char *key = buf;
	int n = 0, len;

	len = snprintf(buf, size, "%.400s.%s.%lld-%lld", name, what, (long long)rows.begin,
		       (long long)rows.end);
	while (bsearch(&key, s->name, s->whole->n_value, sizeof(*s->name), by_name))
		snprintf(buf + len, size - (size_t)len, ".%d", n++);
}

static int32_t add_value(struct slicer *s, int32_t v)
{
	const struct kerf_value *from = &s->whole->value[v];
	const char *name = from->name;
	char buf[512];
	int32_t id;

	if (output_is_cropped(s, v)) {
		free_name(s, buf, sizeof(buf), name, "held", held(s, v));
		name = buf;
	}
	if (is_limited(s, v))
		return add_rows(s, name, v, hold_axis(s, v), held(s, v));
	id = kerf_graph_add_value(s->slice, name, &from->t);
	if (id >= 0) {
		s->slice->value[id].nhwc = from->nhwc;
		s->slice->value[id].bounded = from->bounded;
		s->slice->value[id].parent = v;
		s->slice->value[id].row0 = from->row0;
		s->slice->value[id].whole_rows = from->whole_rows;
	}
	return id;
}

static int add_values(struct slicer *s)
{
	const struct kerf_graph *g = s->whole;
	uint32_t i;
	int r;

	for (i = 0; i < g->n_value; i++) {
		if (!s->touched[i])
			continue;
		s->id[i] = add_value(s, (int32_t)i);
		if (s->id[i] < 0)
			return s->id[i];
		if (kerf_value_is_const(&g->value[i]) ||
		    (g->value[i].producer >= 0 && s->member[g->value[i].producer]))
			continue;
		r = kerf_graph_add_input(s->slice, s->id[i]);
		if (r)
			return r;
	}
	return 0;
}

/* --- operators ------------------------------------------------------------ */

/* Appends rowCrop from whole value v as held into a value of the slice. */
static int add_crop_op(struct slicer *s, int32_t v, int32_t made, int axis, struct kerf_rows rows,
		       uint32_t origin)
{
	struct kerf_rows h = axis == hold_axis(s, v) ? held(s, v) : (struct kerf_rows){0, 0};
	struct kerf_attr attr[] = {
		{.name = "axis", .type = KERF_ATTR_INT, .i = axis},
		{.name = "begin", .type = KERF_ATTR_INT, .i = rows.begin - h.begin},
		{.name = "end", .type = KERF_ATTR_INT, .i = rows.end - h.begin},
	};
	char name[544];
	int32_t op;

	snprintf(name, sizeof(name), "rowCrop %s", s->slice->value[made].name);
	op = kerf_graph_add_op(s->slice, &kerf_ops_tile[0], name, 1, 1, &s->id[v], 1, &made,
			       KERF_ARRAY_SIZE(attr), attr);
	if (op < 0)
		return op;
	s->slice->op[op].origin = origin;
	return 0;
}

/* Gives value made the contents of these rows of a constant: in place if they lie together. */
static int crop_const(struct slicer *s, const struct kerf_tensor *from, int32_t made, int axis,
		      struct kerf_rows rows)
{
	struct kerf_tensor *t = &s->slice->value[made].t;
	size_t row = kerf_dtype_size(t->dtype), band;
	int64_t outer = 1, i;
	const char *src;

	for (i = 0; i < axis; i++)
		outer *= t->dims[i];
	for (i = axis + 1; i < t->rank; i++)
		row *= (size_t)t->dims[i];
	src = (const char *)from->data + row * (size_t)rows.begin;
	if (outer == 1) {
		t->data = (void *)src;
		return 0;
	}
	t->data = kerf_graph_alloc(s->slice, kerf_tensor_bytes(t));
	if (!t->data)
		return -ENOMEM;
	band = row * (size_t)(rows.end - rows.begin);
	for (i = 0; i < outer; i++)
		memcpy((char *)t->data + (size_t)i * band,
		       src + (size_t)i * row * (size_t)from->dims[axis], band);
	return 0;
}

/* The value of the slice with exactly these rows of whole value v. Id or -ENOMEM. */
static int32_t cropped(struct slicer *s, int32_t v, const struct kerf_tile_need *need,
		       uint32_t origin)
{
	struct crop *c;
	char name[512];
	uint32_t i;
	int32_t made;
	int r;

	for (i = s->last_crop[v]; i; i = c->before) {
		c = &s->crop[i - 1];
		if (c->axis == need->axis && c->rows.begin == need->rows.begin &&
		    c->rows.end == need->rows.end)
			return c->made;
	}
	if (s->n_crop == s->cap_crop) {
		uint32_t cap = s->cap_crop ? 2 * s->cap_crop : 16;

		c = reallocarray(s->crop, cap, sizeof(*c));
		if (!c)
			return -ENOMEM;
		s->crop = c;
		s->cap_crop = cap;
	}
	free_name(s, name, sizeof(name), s->whole->value[v].name, "rows", need->rows);
	made = add_rows(s, name, v, need->axis, need->rows);
	if (made < 0)
		return made;
	r = kerf_value_is_const(&s->whole->value[v])
		    ? crop_const(s, &s->whole->value[v].t, made, need->axis, need->rows)
		    : add_crop_op(s, v, made, need->axis, need->rows, origin);
	if (r)
		return r;
	s->crop[s->n_crop++] = (struct crop){made, s->last_crop[v], need->axis, need->rows};
	s->last_crop[v] = s->n_crop;
	return made;
}

/* What operator `from` reads as input k: the value as held, or cropped. */
static int32_t input_of(struct slicer *s, const struct kerf_op *from, int k,
			const struct kerf_tile_need *need, struct kerf_op_tile *at)
{
	int32_t v = from->in[k];
	struct kerf_rows h = held(s, v);
	bool exact = need->axis == hold_axis(s, v) && need->rows.begin == h.begin &&
		     need->rows.end == h.end;
	bool window = k == 0 && from->def->flags & KERF_OP_WINDOW && !s->split;
	bool crop = need->limited && !exact && !window;

	if (k == 0 && s->tiled && s->whole->value[v].t.rank > need->axis && need->axis >= 0) {
		at->in_row0 = crop ? need->rows.begin : h.begin;
		at->in_rows = s->whole->value[v].t.dims[need->axis];
	}
	return crop ? cropped(s, v, need, from->origin) : s->id[v];
}

static int add_op(struct slicer *s, uint32_t at)
{
	const struct kerf_op *from = &s->whole->op[s->spec->op[at]];
	int32_t *io = calloc((size_t)(from->n_in + from->n_out) + 1, sizeof(*io));
	int32_t *out = io ? io + from->n_in : NULL, id;
	struct kerf_op_tile tile = {0};
	bool limited = false;
	int r = -ENOMEM, k;

	if (!io)
		return -ENOMEM;
	for (k = 0; k < from->n_in; k++) {
		int32_t v = from->in[k];

		io[k] = v < 0 ? -1 : s->id[v];
		if (v < 0 || !(s->tiled || s->split))
			continue;
		io[k] = input_of(s, from, k, &s->tile.need[s->tile.first[at] + (size_t)k], &tile);
		if (io[k] < 0)
			goto out;
		limited |= k == 0 && s->slice->value[io[k]].whole_rows;
	}
	for (k = 0; k < from->n_out; k++)
		out[k] = from->out[k] < 0 ? -1 : s->id[from->out[k]];
	id = kerf_graph_add_op(s->slice, from->def, from->name, from->opset, from->n_in, io,
			       from->n_out, out, from->n_attr, from->attr);
	if (id < 0)
		goto out;
	s->slice->op[id].nhwc = from->nhwc;
	s->slice->op[id].act = from->act;
	s->slice->op[id].origin = from->origin;
	s->slice->op[id].tile = from->tile;
	if (s->split && kerf_op_depthwise(s->whole, from)) {
		r = kerf_op_set_int(s->slice, &s->slice->op[id], "group",
				    s->spec->channels.end - s->spec->channels.begin);
		if (r)
			goto out;
	}
	/* A padded tile is an image of its own. */
	limited |= from->n_out && out[0] >= 0 && s->slice->value[out[0]].whole_rows;
	if (limited && !s->spec->padded) {
		tile.out_row0 = held(s, from->out[0]).begin;
		tile.out_rows = s->whole->value[from->out[0]].t.dims[1];
		s->slice->op[id].tile = tile;
	}
	r = 0;
out:
	free(io);
	return r;
}

static int add_outputs(struct slicer *s)
{
	uint32_t i;
	int r;

	for (i = 0; i < s->n_out; i++) {
		int32_t v = s->out[i], id = s->id[v];

		if (output_is_cropped(s, v)) {
			id = add_rows(s, s->whole->value[v].name, v, 1, s->spec->rows);
			if (id < 0)
				return id;
			r = add_crop_op(s, v, id, 1, s->spec->rows,
					s->whole->op[s->whole->value[v].producer].origin);
			if (r)
				return r;
		}
		r = kerf_graph_add_output(s->slice, id);
		if (r)
			return r;
	}
	return 0;
}

static int build(struct slicer *s, struct kerf_err *err)
{
	uint32_t i;
	int r;

	find_values(s);
	if (s->tiled || s->split) {
		r = begin_limits(s);
		if (!r)
			r = kerf_tile_open(s->whole, &s->tile);
		if (!r)
			r = (s->split ? kerf_channels_fill : kerf_tile_fill)(
				s->whole, s->spec, s->n_out, s->out, &s->tile, err);
		if (r)
			return r;
	}
	r = add_values(s);
	for (i = 0; !r && i < s->spec->n_op; i++)
		r = add_op(s, i);
	if (!r)
		r = add_outputs(s);
	return r;
}

int kerf_slice_make(struct kerf_graph *whole, const struct kerf_slice_spec *spec,
		    struct kerf_graph **slice, struct kerf_err *err)
{
	size_t nv = (size_t)whole->n_value + 1;
	struct slicer s = {
		.whole = whole,
		.spec = spec,
		.split = spec->channels.begin || spec->channels.end,
		.slice = kerf_graph_new(whole->name),
		.member = calloc((size_t)whole->n_op + 1, sizeof(*s.member)),
		.touched = calloc(nv, sizeof(*s.touched)),
		.is_out = calloc(nv, sizeof(*s.is_out)),
		.id = calloc(nv, sizeof(*s.id)),
		.out = calloc(nv, sizeof(*s.out)),
	};
	int r = -ENOMEM;

	s.tiled = !s.split && (spec->rows.begin || spec->rows.end);
	if (s.slice && s.member && s.touched && s.is_out && s.id && s.out)
		r = mark_members(&s, err);
	if (!r)
		r = build(&s, err);
	if (!r)
		r = kerf_graph_verify(s.slice, err);
	if (!r) {
		s.slice->parent = kerf_graph_ref(whole);
		s.slice->padded = spec->padded;
		kerf_graph_freeze(s.slice);
		*slice = s.slice;
		s.slice = NULL;
	} else if (r == -ENOMEM) {
		kerf_fail(err, r, "slice: out of memory");
	}
	kerf_graph_unref(s.slice);
	kerf_tile_finish(&s.tile);
	free(s.member);
	free(s.touched);
	free(s.is_out);
	free(s.id);
	free(s.out);
	free(s.crop);
	free(s.last_crop);
	free(s.name);
	return r;
}
