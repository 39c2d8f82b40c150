/* SPDX-License-Identifier: MIT */
#include "graph/rewrite_edit.h"

#include <stdio.h>
#include <stdlib.h>

/* --- names ------------------------------------------------------------------ */

static uint32_t name_hash(const char *s)
{
	uint32_t h = 2166136261u;

	while (*s)
		h = (h ^ (uint8_t)*s++) * 16777619u;
	return h;
}

static const char **name_slot(const struct kerf_edit *e, const char *s)
{
	uint32_t i = name_hash(s) & (e->cap_name - 1);

	while (e->name[i] && strcmp(e->name[i], s))
		i = (i + 1) & (e->cap_name - 1);
	return &e->name[i];
}

static int name_add(struct kerf_edit *e, const char *s)
{
	const char **slot;

	if (e->n_name * 2 >= e->cap_name) {
		uint32_t old = e->cap_name, i;
		const char **list = e->name;

		e->cap_name = old ? old * 2 : 1024;
		e->name = calloc(e->cap_name, sizeof(*e->name));
		if (!e->name) {
			e->name = list;
			e->cap_name = old;
			return -ENOMEM;
		}
		for (i = 0; i < old; i++)
			if (list[i])
				*name_slot(e, list[i]) = list[i];
		free(list);
	}
	slot = name_slot(e, s);
	if (!*slot) {
		*slot = s;
		e->n_name++;
	}
	return 0;
}

/*
 * base.suffix, or base.suffix.N: not in use yet. NULL on exhaustion. N begins at the
 * number of names, so that many names of one base do not try one another's.
 */
static const char *name_new(struct kerf_edit *e, const char *base, const char *suffix)
{
	size_t n = strlen(base) + strlen(suffix) + 24;
	char *s = kerf_arena_alloc(&e->g->arena, n);
	uint32_t i;

	if (!s)
		return NULL;
	snprintf(s, n, "%s.%s", base, suffix);
	for (i = e->n_name; *name_slot(e, s); i++)
		snprintf(s, n, "%s.%s.%u", base, suffix, i);
	return name_add(e, s) ? NULL : s;
}

/* --- begin and end ------------------------------------------------------------ */

static int grow_values(struct kerf_edit *e, uint32_t n)
{
	uint32_t cap = e->cap_value, i;
	void *p;

	if (n <= cap)
		return 0;
	cap = KERF_MAX(n, cap * 2);
	p = reallocarray(e->uses, cap, sizeof(*e->uses));
	if (!p)
		return -ENOMEM;
	e->uses = p;
	p = reallocarray(e->alias, cap, sizeof(*e->alias));
	if (!p)
		return -ENOMEM;
	e->alias = p;
	p = reallocarray(e->is_output, cap, sizeof(*e->is_output));
	if (!p)
		return -ENOMEM;
	e->is_output = p;
	for (i = e->cap_value; i < cap; i++) {
		e->uses[i] = 0;
		e->alias[i] = (int32_t)i;
		e->is_output[i] = false;
	}
	e->cap_value = cap;
	return 0;
}

int kerf_edit_begin(struct kerf_edit *e, struct kerf_graph *g, struct kerf_err *err)
{
	uint32_t i;
	int k, r;

	memset(e, 0, sizeof(*e));
	e->g = g;
	e->err = err;
	e->n_op0 = g->n_op;
	r = grow_values(e, g->n_value + 1);
	for (i = 0; !r && i < g->n_value; i++)
		r = name_add(e, g->value[i].name);
	for (i = 0; !r && i < g->n_op; i++)
		r = name_add(e, g->op[i].name);
	if (r)
		return kerf_edit_end(e, r);
	for (i = 0; i < g->n_op; i++)
		for (k = 0; k < g->op[i].n_in; k++)
			if (g->op[i].in[k] >= 0)
				e->uses[g->op[i].in[k]]++;
	for (i = 0; i < g->n_out; i++) {
		e->uses[g->out[i]]++;
		e->is_output[g->out[i]] = true;
	}
	return 0;
}

/* Puts added operators where they belong: a counting sort by place. */
static int settle_order(struct kerf_edit *e)
{
	struct kerf_graph *g = e->g;
	uint32_t n = g->n_op, n0 = e->n_op0, i, sum = 0, *next;
	struct kerf_op *ops;
	int k;

	if (n == n0)
		return 0;
	next = calloc((size_t)n0 + 2, sizeof(*next));
	ops = malloc((size_t)n * sizeof(*ops));
	if (!next || !ops) {
		free(next);
		free(ops);
		return -ENOMEM;
	}
	for (i = n0; i < n; i++)
		next[e->place[i - n0] + 1]++;
	/* next[i]: where the next operator goes that was added before op i. */
	for (i = 0; i <= n0; i++) {
		sum += next[i];
		next[i] = sum + i;
	}
	for (i = n0; i < n; i++)
		ops[next[e->place[i - n0]]++] = g->op[i];
	/* Now next[i] stands behind what was added before op i: i's own place. */
	for (i = 0; i < n0; i++)
		ops[next[i]] = g->op[i];
	free(next);
	free(g->op);
	g->op = ops;
	g->cap_op = n;
	for (i = 0; i < n; i++)
		for (k = 0; k < ops[i].n_out; k++)
			if (ops[i].out[k] >= 0)
				g->value[ops[i].out[k]].producer = (int32_t)i;
	return 0;
}

int kerf_edit_end(struct kerf_edit *e, int r)
{
	uint32_t i;

	if (!r)
		r = settle_order(e);
	if (!r) {
		for (i = 0; i < e->g->n_op; i++)
			kerf_edit_resolve(e, &e->g->op[i]);
		r = kerf_graph_tidy(e->g, e->err);
	}
	free(e->uses);
	free(e->alias);
	free(e->is_output);
	free(e->place);
	free(e->name);
	free(e->stack);
	memset(e, 0, sizeof(*e));
	return r;
}

/* --- reading -------------------------------------------------------------------- */

static int32_t now(const struct kerf_edit *e, int32_t v)
{
	int32_t root = v, next;

	while (e->alias[root] != root)
		root = e->alias[root];
	for (; e->alias[v] != root; v = next) {
		next = e->alias[v];
		e->alias[v] = root;
	}
	return root;
}

int32_t kerf_edit_in(const struct kerf_edit *e, const struct kerf_op *op, int k)
{
	return k >= op->n_in || op->in[k] < 0 ? -1 : now(e, op->in[k]);
}

void kerf_edit_resolve(struct kerf_edit *e, struct kerf_op *op)
{
	int k;

	for (k = 0; k < op->n_in; k++)
		if (op->in[k] >= 0)
			op->in[k] = now(e, op->in[k]);
}

struct kerf_op *kerf_edit_only(const struct kerf_edit *e, int32_t v, const char *type)
{
	struct kerf_op *p = kerf_edit_producer(e, v);

	return p && e->uses[v] == 1 && !e->is_output[v] && p->n_out == 1 && kerf_op_is(p, type)
	               ? p
	               : NULL;
}

bool kerf_edit_scalar(const struct kerf_edit *e, int32_t v, float *x)
{
	if (!kerf_edit_is_const(e, v) || kerf_tensor_count(kerf_edit_t(e, v)) != 1)
		return false;
	*x = (float)kerf_tensor_float(kerf_edit_t(e, v), 0);
	return true;
}

int kerf_edit_ints(const struct kerf_edit *e, const struct kerf_op *op, int k, int64_t *v, int max)
{
	int32_t id = kerf_edit_in(e, op, k);
	int64_t n, i;

	if (!kerf_edit_is_const(e, id))
		return -1;
	n = kerf_tensor_count(kerf_edit_t(e, id));
	if (n > max)
		return -1;
	for (i = 0; i < n; i++)
		v[i] = kerf_tensor_int(kerf_edit_t(e, id), i);
	return (int)n;
}

int kerf_edit_ints_of(const struct kerf_edit *e, const struct kerf_op *op, const char *name, int k,
                      int64_t *v, int max)
{
	uint32_t n;
	const int64_t *a = kerf_op_ints(op, name, &n);

	if (!a)
		return k < 0 ? -1 : kerf_edit_ints(e, op, k, v, max);
	if (n > (uint32_t)max)
		return -1;
	memcpy(v, a, n * sizeof(*v));
	return (int)n;
}

/* --- constants -------------------------------------------------------------------- */

static int32_t add_value(struct kerf_edit *e, const char *name, const struct kerf_tensor *t)
{
	int32_t id = name ? kerf_graph_add_value(e->g, name, t) : -ENOMEM;

	if (id >= 0 && grow_values(e, (uint32_t)id + 1))
		return -ENOMEM;
	return id;
}

int32_t kerf_edit_value(struct kerf_edit *e, const char *base, const char *suffix,
                        const struct kerf_tensor *t)
{
	return add_value(e, name_new(e, base, suffix), t);
}

int32_t kerf_edit_const(struct kerf_edit *e, const char *base, const struct kerf_tensor *t)
{
	return kerf_edit_value(e, base, "const", t);
}

static int32_t const_1d(struct kerf_edit *e, const char *base, enum kerf_dtype type, const void *v,
                        int64_t n)
{
	struct kerf_tensor t = {.dtype = type, .rank = 1, .dims = {n}};

	t.data = kerf_graph_alloc(e->g, kerf_tensor_bytes(&t));
	if (!t.data)
		return -ENOMEM;
	memcpy(t.data, v, kerf_tensor_bytes(&t));
	return kerf_edit_const(e, base, &t);
}

int32_t kerf_edit_const_f32(struct kerf_edit *e, const char *base, const float *v, int64_t n)
{
	return const_1d(e, base, KERF_F32, v, n);
}

int32_t kerf_edit_const_i64(struct kerf_edit *e, const char *base, const int64_t *v, int64_t n)
{
	return const_1d(e, base, KERF_I64, v, n);
}

/* True if the permutation leaves the order of elements as it is. */
static bool keeps_order(const struct kerf_tensor *t, const int *perm)
{
	int i, last = -1;

	for (i = 0; i < t->rank; i++) {
		if (t->dims[perm[i]] == 1)
			continue;
		if (perm[i] < last)
			return false;
		last = perm[i];
	}
	return true;
}

static void permute(const struct kerf_tensor *x, const int *perm, struct kerf_tensor *y)
{
	size_t size = kerf_dtype_size(x->dtype), stride[KERF_MAX_RANK], s = size;
	int64_t idx[KERF_MAX_RANK] = {0}, n = kerf_tensor_count(x), i;
	char *dst = y->data;
	int d;

	for (d = x->rank - 1; d >= 0; d--) {
		stride[d] = s;
		s *= (size_t)x->dims[d];
	}
	for (i = 0; i < n; i++) {
		const char *src = x->data;

		for (d = 0; d < y->rank; d++)
			src += (size_t)idx[d] * stride[perm[d]];
		memcpy(dst, src, size);
		dst += size;
		for (d = y->rank - 1; d >= 0 && ++idx[d] == y->dims[d]; d--)
			idx[d] = 0;
	}
}

int32_t kerf_edit_const_permuted(struct kerf_edit *e, int32_t v, const int *perm)
{
	struct kerf_tensor x = *kerf_edit_t(e, v), y = x;
	int i;

	for (i = 0; i < x.rank; i++)
		y.dims[i] = x.dims[perm[i]];
	if (!keeps_order(&x, perm)) {
		y.data = kerf_graph_alloc(e->g, kerf_tensor_bytes(&y));
		if (!y.data)
			return -ENOMEM;
		permute(&x, perm, &y);
	}
	return kerf_edit_const(e, e->g->value[v].name, &y);
}

/* --- changing ------------------------------------------------------------------------ */

/* One read of v less; operators that nothing reads any more go, and so on upwards. */
static int drop(struct kerf_edit *e, int32_t v)
{
	struct kerf_graph *g = e->g;

	for (;;) {
		struct kerf_op *p;
		bool live = --e->uses[v] > 0;
		int k;

		p = kerf_edit_producer(e, v);
		for (k = 0; p && !live && k < p->n_out; k++)
			live = p->out[k] >= 0 && e->uses[p->out[k]];
		if (!live && p && p->n_in) {
			if (e->n_stack + (uint32_t)p->n_in > e->cap_stack) {
				uint32_t cap = (e->n_stack + (uint32_t)p->n_in) * 2;
				void *q = reallocarray(e->stack, cap, sizeof(*e->stack));

				if (!q)
					return -ENOMEM;
				e->stack = q;
				e->cap_stack = cap;
			}
			for (k = 0; k < p->n_in; k++)
				if (p->in[k] >= 0)
					e->stack[e->n_stack++] = now(e, p->in[k]);
			p->n_in = 0;
			p->n_out = 0;
			g->value[v].producer = -1;
		}
		if (!e->n_stack)
			return 0;
		v = e->stack[--e->n_stack];
	}
}

static int drop_list(struct kerf_edit *e, int n, const int32_t *in)
{
	int k, r = 0;

	for (k = 0; !r && k < n; k++)
		if (in[k] >= 0)
			r = drop(e, now(e, in[k]));
	return r;
}

static int32_t *take_list(struct kerf_edit *e, int n, const int32_t *in)
{
	int32_t *list = kerf_arena_calloc(&e->g->arena, (size_t)n + 1, sizeof(*list));
	int k;

	for (k = 0; list && k < n; k++) {
		list[k] = in[k] < 0 ? -1 : now(e, in[k]);
		if (list[k] >= 0)
			e->uses[list[k]]++;
	}
	return list;
}

uint32_t kerf_edit_behind(const struct kerf_edit *e, uint32_t op)
{
	if (op >= e->n_op0)
		return op;
	return op + 1 < e->n_op0 ? op + 1 : KERF_EDIT_END;
}

int32_t kerf_edit_op(struct kerf_edit *e, uint32_t at, const char *type, int opset,
                     const char *base, int n_in, const int32_t *in, int n_out, const int32_t *out,
                     uint32_t n_attr, const struct kerf_attr *attr)
{
	const struct kerf_op_def *def = kerf_op_find(NULL, type, opset);
	const char *name;
	int32_t id;
	int k, r;

	if (!def)
		return kerf_fail(e->err, -EINVAL, "operator %s of opset %d is missing", type,
		                 opset);
	name = name_new(e, base, type);
	if (!name)
		return -ENOMEM;
	id = kerf_graph_add_op(e->g, def, name, opset, n_in, in, n_out, out, n_attr, attr);
	if (id < 0)
		return id;
	if ((uint32_t)id - e->n_op0 >= e->cap_place) {
		uint32_t cap = e->cap_place ? e->cap_place * 2 : 32;
		void *p = reallocarray(e->place, cap, sizeof(*e->place));

		if (!p)
			return -ENOMEM;
		e->place = p;
		e->cap_place = cap;
	}
	/* Beside an operator that was added itself: at that one's place. */
	e->place[(uint32_t)id - e->n_op0] = at < e->n_op0 ? at
					    : at == KERF_EDIT_END ? e->n_op0
					    : e->place[at - e->n_op0];
	kerf_edit_resolve(e, &e->g->op[id]);
	for (k = 0; k < n_in; k++)
		if (e->g->op[id].in[k] >= 0)
			e->uses[e->g->op[id].in[k]]++;
	r = kerf_op_infer_shapes(e->g, &e->g->op[id], e->err);
	return r ? r : id;
}

int32_t kerf_edit_node(struct kerf_edit *e, uint32_t at, const char *type, int opset,
                       const char *base, const char *suffix, int n_in, const int32_t *in,
                       uint32_t n_attr, const struct kerf_attr *attr)
{
	struct kerf_tensor t = {.dtype = KERF_F32};
	int32_t out = kerf_edit_value(e, base, suffix, &t), id;

	if (out < 0)
		return out;
	id = kerf_edit_op(e, at, type, opset, base, n_in, in, 1, &out, n_attr, attr);
	return id < 0 ? id : out;
}

int32_t kerf_edit_reshape(struct kerf_edit *e, uint32_t at, int32_t v, const char *suffix, int rank,
                          const int64_t *dims)
{
	const char *base = e->g->value[v].name;
	int32_t in[2] = {v, kerf_edit_const_i64(e, base, dims, rank)};

	if (in[1] < 0)
		return in[1];
	return kerf_edit_node(e, at, "Reshape", 13, base, suffix, 2, in, 0, NULL);
}

int kerf_edit_set_inputs(struct kerf_edit *e, uint32_t j, int n, const int32_t *in)
{
	struct kerf_op *op = &e->g->op[j];
	int32_t *list = take_list(e, n, in), *old = op->in;
	int n_old = op->n_in;

	if (!list)
		return -ENOMEM;
	op->in = list;
	op->n_in = n;
	return drop_list(e, n_old, old);
}

int kerf_edit_merge(struct kerf_edit *e, uint32_t i, uint32_t j, int n, const int32_t *in)
{
	struct kerf_graph *g = e->g;
	struct kerf_op from = g->op[i], to = g->op[j], *op = &g->op[j];
	int32_t *list = take_list(e, n, in);
	int r;

	if (!list)
		return -ENOMEM;
	*op = from;
	op->n_in = n;
	op->in = list;
	op->out = to.out;
	op->n_out = 1;
	g->op[i].n_in = 0;
	g->op[i].n_out = 0;
	r = drop_list(e, to.n_in, to.in);
	return r ? r : drop_list(e, from.n_in, from.in);
}

int kerf_edit_become(struct kerf_edit *e, uint32_t j, const char *type, int opset, int n,
                     const int32_t *in, uint32_t n_attr, const struct kerf_attr *attr)
{
	const struct kerf_op_def *def = kerf_op_find(NULL, type, opset);
	struct kerf_op *op = &e->g->op[j];
	uint32_t i;
	int r;

	if (!def)
		return kerf_fail(e->err, -EINVAL, "operator %s of opset %d is missing", type,
		                 opset);
	op->def = def;
	op->opset = opset;
	op->n_out = 1;
	op->n_attr = 0;
	for (i = 0, r = 0; !r && i < n_attr; i++)
		r = kerf_op_set_attr(e->g, op, &attr[i]);
	return r ? r : kerf_edit_set_inputs(e, j, n, in);
}

bool kerf_edit_replace(struct kerf_edit *e, int32_t old, int32_t by)
{
	struct kerf_graph *g = e->g;
	int32_t p;
	int k;

	by = now(e, by);
	if (!e->is_output[old]) {
		e->alias[old] = by;
		e->uses[by] += e->uses[old];
		e->uses[old] = 1;
		return !drop(e, old);
	}
	/* The output's name stays: what makes `by` makes it under that name. */
	p = g->value[by].producer;
	if (p < 0 || e->is_output[by] || g->value[by].nhwc != g->value[old].nhwc ||
	    !kerf_tensor_same_shape(&g->value[by].t, &g->value[old].t))
		return false;
	for (k = 0; k < g->op[p].n_out; k++)
		if (g->op[p].out[k] == by)
			g->op[p].out[k] = old;
	{
		int32_t q = g->value[old].producer;
		struct kerf_op *op = &g->op[q];
		int n = op->n_in;

		g->value[old].producer = p;
		g->value[by].producer = -1;
		e->alias[by] = old;
		e->uses[old] += e->uses[by];
		e->uses[by] = 0;
		op->n_in = op->n_out = 0;
		return !drop_list(e, n, op->in);
	}
}
