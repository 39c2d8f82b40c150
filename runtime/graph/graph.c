/* SPDX-License-Identifier: MIT */
#include "graph/graph.h"

#include "graph/op.h"
#include "util/digest.h"
#include "util/file.h"
#include "util/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct kerf_graph *kerf_graph_new(const char *name)
{
	struct kerf_graph *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->refs = 1;
	pthread_mutex_init(&g->digest_lock, NULL);
	g->name = kerf_arena_strdup(&g->arena, name ? name : "");
	if (!g->name) {
		kerf_graph_unref(g);
		return NULL;
	}
	return g;
}

struct kerf_graph *kerf_graph_ref(struct kerf_graph *g)
{
	__atomic_add_fetch(&g->refs, 1, __ATOMIC_RELAXED);
	return g;
}

void kerf_graph_unref(struct kerf_graph *g)
{
	uint32_t i;

	if (!g || __atomic_sub_fetch(&g->refs, 1, __ATOMIC_ACQ_REL))
		return;
	for (i = 0; i < g->n_heap; i++)
		free(g->heap[i]);
	free(g->heap);
	kerf_file_unref(g->file);
	for (i = 0; i < g->n_ext; i++)
		kerf_file_unref(g->ext[i]);
	free(g->ext);
	pthread_mutex_destroy(&g->digest_lock);
	kerf_graph_unref(g->parent);
	kerf_arena_finish(&g->arena);
	free(g->value);
	free(g->op);
	free(g->in);
	free(g->out);
	free(g);
}

/* Makes room for one more element; *cap counts elements. */
static int grow(void *array, uint32_t n, uint32_t *cap, size_t size)
{
	void **p = array, *q;
	uint32_t want;

	if (n < *cap)
		return 0;
	want = *cap ? *cap * 2 : 32;
	q = reallocarray(*p, want, size);
	if (!q)
		return -ENOMEM;
	*p = q;
	*cap = want;
	return 0;
}

int32_t kerf_graph_add_value(struct kerf_graph *g, const char *name, const struct kerf_tensor *t)
{
	struct kerf_tensor own = *t; /* t may be that of a value, which growing moves */
	struct kerf_value *v;
	char tmp[32];

	if (g->n_value >= INT32_MAX || grow(&g->value, g->n_value, &g->cap_value, sizeof(*v)))
		return -ENOMEM;
	if (!name || !*name) {
		snprintf(tmp, sizeof(tmp), "kerf.v%u", g->n_value);
		name = tmp;
	}
	v = &g->value[g->n_value];
	memset(v, 0, sizeof(*v));
	v->name = kerf_arena_strdup(&g->arena, name);
	if (!v->name)
		return -ENOMEM;
	v->t = own;
	v->producer = -1;
	return (int32_t)g->n_value++;
}

static int copy_attr(struct kerf_graph *g, struct kerf_attr *dst, const struct kerf_attr *src)
{
	const void *p = dst;

	*dst = *src;
	dst->name = kerf_arena_strdup(&g->arena, src->name);
	switch (src->type) {
	case KERF_ATTR_STRING: p = dst->s = kerf_arena_strdup(&g->arena, src->s); break;
	case KERF_ATTR_INTS:
		p = dst->ints = kerf_arena_dup(&g->arena, src->ints, src->n * sizeof(*src->ints));
		break;
	case KERF_ATTR_FLOATS:
		p = dst->floats =
			kerf_arena_dup(&g->arena, src->floats, src->n * sizeof(*src->floats));
		break;
	case KERF_ATTR_TENSOR:
		p = dst->t.data =
			kerf_arena_dup(&g->arena, src->t.data, kerf_tensor_bytes(&src->t));
		break;
	default: break;
	}
	return dst->name && p ? 0 : -ENOMEM;
}

int32_t kerf_graph_add_op(struct kerf_graph *g, const struct kerf_op_def *def, const char *name,
			  int opset, int n_in, const int32_t *in, int n_out, const int32_t *out,
			  uint32_t n_attr, const struct kerf_attr *attr)
{
	struct kerf_op *op;
	char tmp[96];
	uint32_t i;

	if (g->n_op >= INT32_MAX || grow(&g->op, g->n_op, &g->cap_op, sizeof(*op)))
		return -ENOMEM;
	if (!name || !*name) {
		snprintf(tmp, sizeof(tmp), "%s.%u", def->name, g->n_op);
		name = tmp;
	}
	op = &g->op[g->n_op];
	memset(op, 0, sizeof(*op));
	op->def = def;
	op->opset = opset;
	op->name = kerf_arena_strdup(&g->arena, name);
	op->n_in = n_in;
	op->n_out = n_out;
	op->in = kerf_arena_dup(&g->arena, in, (size_t)n_in * sizeof(*in));
	op->out = kerf_arena_dup(&g->arena, out, (size_t)n_out * sizeof(*out));
	op->n_attr = n_attr;
	op->attr = kerf_arena_calloc(&g->arena, n_attr, sizeof(*op->attr));
	op->origin = g->n_op;
	if (!op->name || !op->in || !op->out || !op->attr)
		return -ENOMEM;
	for (i = 0; i < n_attr; i++)
		if (copy_attr(g, &op->attr[i], &attr[i]))
			return -ENOMEM;
	for (i = 0; i < (uint32_t)n_out; i++)
		if (out[i] >= 0)
			g->value[out[i]].producer = (int32_t)g->n_op;
	return (int32_t)g->n_op++;
}

static int append_id(int32_t **list, uint32_t *n, int32_t id)
{
	int32_t *p = reallocarray(*list, *n + 1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	*list = p;
	p[(*n)++] = id;
	return 0;
}

int kerf_graph_add_input(struct kerf_graph *g, int32_t value)
{
	return append_id(&g->in, &g->n_in, value);
}

int kerf_graph_add_output(struct kerf_graph *g, int32_t value)
{
	return append_id(&g->out, &g->n_out, value);
}

void *kerf_graph_alloc(struct kerf_graph *g, size_t bytes)
{
	void *p;

	if (bytes > KERF_MAX_TENSOR_BYTES ||
	    grow(&g->heap, g->n_heap, &g->cap_heap, sizeof(*g->heap)))
		return NULL;
	/* calloc knows which pages are zero already: large constants are written once. */
	p = calloc(1, kerf_align(bytes) + KERF_ALIGN);
	if (!p)
		return NULL;
	g->heap[g->n_heap++] = p;
	return (void *)kerf_align((uintptr_t)p);
}

int kerf_op_set_attr(struct kerf_graph *g, struct kerf_op *op, const struct kerf_attr *attr)
{
	struct kerf_attr *list;
	uint32_t i;

	for (i = 0; i < op->n_attr; i++)
		if (!strcmp(op->attr[i].name, attr->name))
			return copy_attr(g, &op->attr[i], attr);
	list = kerf_arena_calloc(&g->arena, op->n_attr + 1, sizeof(*list));
	if (!list || copy_attr(g, &list[op->n_attr], attr))
		return -ENOMEM;
	if (op->n_attr)
		memcpy(list, op->attr, op->n_attr * sizeof(*list));
	op->attr = list;
	op->n_attr++;
	return 0;
}

int kerf_op_set_int(struct kerf_graph *g, struct kerf_op *op, const char *name, int64_t i)
{
	struct kerf_attr a = {.name = name, .type = KERF_ATTR_INT, .i = i};

	return kerf_op_set_attr(g, op, &a);
}

int kerf_op_set_ints(struct kerf_graph *g, struct kerf_op *op, const char *name, const int64_t *v,
		     uint32_t n)
{
	struct kerf_attr a = {.name = name, .type = KERF_ATTR_INTS, .n = n, .ints = v};

	return kerf_op_set_attr(g, op, &a);
}

/* Marks ops whose outputs are needed; ops may stand in any order. */
static int mark_needed(const struct kerf_graph *g, bool *need_op, bool *need_value)
{
	uint32_t *stack = malloc((g->n_op + 1) * sizeof(*stack)), n = 0, i;

	if (!stack)
		return -ENOMEM;
	for (i = 0; i < g->n_out; i++) {
		int32_t p = g->value[g->out[i]].producer;

		need_value[g->out[i]] = true;
		if (p >= 0 && !need_op[p]) {
			need_op[p] = true;
			stack[n++] = (uint32_t)p;
		}
	}
	for (i = 0; i < g->n_in; i++)
		need_value[g->in[i]] = true;
	while (n) {
		const struct kerf_op *op = &g->op[stack[--n]];
		int k;

		for (k = 0; k < op->n_out; k++)
			if (op->out[k] >= 0)
				need_value[op->out[k]] = true;
		for (k = 0; k < op->n_in; k++) {
			int32_t p;

			if (op->in[k] < 0)
				continue;
			need_value[op->in[k]] = true;
			p = g->value[op->in[k]].producer;
			if (p >= 0 && !need_op[p]) {
				need_op[p] = true;
				stack[n++] = (uint32_t)p;
			}
		}
	}
	free(stack);
	return 0;
}

/*
 * Kahn's algorithm, always taking the ready operator that stood first, so a sorted
 * graph keeps its order: a binary heap of op indices.
 */
struct heap {
	uint32_t *a, n;
};

static void heap_push(struct heap *h, uint32_t x)
{
	uint32_t i = h->n++;

	while (i && h->a[(i - 1) / 2] > x) {
		h->a[i] = h->a[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	h->a[i] = x;
}

static uint32_t heap_pop(struct heap *h)
{
	uint32_t top = h->a[0], x = h->a[--h->n], i = 0, c;

	while ((c = 2 * i + 1) < h->n) {
		if (c + 1 < h->n && h->a[c + 1] < h->a[c])
			c++;
		if (h->a[c] >= x)
			break;
		h->a[i] = h->a[c];
		i = c;
	}
	h->a[i] = x;
	return top;
}

int kerf_graph_tidy(struct kerf_graph *g, struct kerf_err *err)
{
	size_t no = g->n_op + 1, nv = g->n_value + 1;
	bool *need_op = calloc(no, 1), *need_value = calloc(nv, 1);
	uint32_t *pending = calloc(no, sizeof(*pending)), *order = malloc(no * sizeof(*order));
	uint32_t *first = NULL, *list = NULL, n_order = 0, n_need = 0, i, j;
	int32_t *op_id = malloc(no * sizeof(*op_id)), *value_id = malloc(nv * sizeof(*value_id));
	struct kerf_op *ops = NULL;
	struct heap heap = {malloc(no * sizeof(uint32_t)), 0};
	int r = -ENOMEM, k;

	if (!need_op || !need_value || !pending || !order || !op_id || !value_id || !heap.a ||
	    mark_needed(g, need_op, need_value) || kerf_graph_consumers(g, &first, &list))
		goto out;
	for (i = 0; i < g->n_op; i++) {
		if (!need_op[i])
			continue;
		n_need++;
		for (k = 0; k < g->op[i].n_in; k++)
			if (g->op[i].in[k] >= 0 && g->value[g->op[i].in[k]].producer >= 0)
				pending[i]++;
		if (!pending[i])
			heap_push(&heap, i);
	}
	while (heap.n) {
		const struct kerf_op *op;

		i = heap_pop(&heap);
		order[n_order++] = i;
		op = &g->op[i];
		for (k = 0; k < op->n_out; k++) {
			if (op->out[k] < 0)
				continue;
			for (j = first[op->out[k]]; j < first[op->out[k] + 1]; j++)
				if (need_op[list[j]] && --pending[list[j]] == 0)
					heap_push(&heap, list[j]);
		}
	}
	if (n_order != n_need) {
		for (i = 0; need_op[i] == false || pending[i] == 0; i++)
			;
		r = kerf_fail(err, -EINVAL, "the graph has a cycle through node '%s' (%s)",
			      g->op[i].name, g->op[i].def->name);
		goto out;
	}
	ops = malloc(KERF_MAX(n_order, 1u) * sizeof(*ops));
	if (!ops)
		goto out;
	for (i = 0; i < n_order; i++) {
		ops[i] = g->op[order[i]];
		ops[i].origin = i;
		op_id[order[i]] = (int32_t)i;
	}
	for (i = j = 0; i < g->n_value; i++) {
		value_id[i] = -1;
		if (!need_value[i])
			continue;
		value_id[i] = (int32_t)j;
		g->value[j] = g->value[i];
		if (g->value[j].producer >= 0)
			g->value[j].producer = op_id[g->value[j].producer];
		j++;
	}
	g->n_value = j;
	for (i = 0; i < n_order; i++) {
		for (k = 0; k < ops[i].n_in; k++)
			if (ops[i].in[k] >= 0)
				ops[i].in[k] = value_id[ops[i].in[k]];
		for (k = 0; k < ops[i].n_out; k++)
			if (ops[i].out[k] >= 0)
				ops[i].out[k] = value_id[ops[i].out[k]];
	}
	for (i = 0; i < g->n_in; i++)
		g->in[i] = value_id[g->in[i]];
	for (i = 0; i < g->n_out; i++)
		g->out[i] = value_id[g->out[i]];
	free(g->op);
	g->op = ops;
	g->n_op = n_order;
	g->cap_op = KERF_MAX(n_order, 1u);
	r = 0;
out:
	free(need_op);
	free(need_value);
	free(pending);
	free(order);
	free(op_id);
	free(value_id);
	free(heap.a);
	free(first);
	return r;
}

int kerf_graph_verify(const struct kerf_graph *g, struct kerf_err *err)
{
	uint32_t i;
	int k;

	for (i = 0; i < g->n_value; i++) {
		const struct kerf_value *v = &g->value[i];

		if (!v->name || !*v->name)
			return kerf_fail(err, -EINVAL, "value %u has no name", i);
		if (v->producer >= (int32_t)g->n_op)
			return kerf_fail(err, -EINVAL, "value '%s': producer out of range",
					 v->name);
		if (kerf_tensor_check(&v->t))
			return kerf_fail(err, -EINVAL, "value '%s': bad shape", v->name);
		if (v->t.data && v->producer >= 0)
			return kerf_fail(err, -EINVAL, "value '%s': constant and computed",
					 v->name);
	}
	for (i = 0; i < g->n_op; i++) {
		const struct kerf_op *op = &g->op[i];

		for (k = 0; k < op->n_in; k++) {
			if (op->in[k] >= (int32_t)g->n_value)
				return kerf_fail(err, -EINVAL, "'%s': input id out of range",
						 op->name);
			if (op->in[k] >= 0 && g->value[op->in[k]].producer >= (int32_t)i)
				return kerf_fail(err, -EINVAL, "'%s': input %d is made later",
						 op->name, k);
		}
		for (k = 0; k < op->n_out; k++) {
			if (op->out[k] >= (int32_t)g->n_value)
				return kerf_fail(err, -EINVAL, "'%s': output id out of range",
						 op->name);
			if (op->out[k] >= 0 && g->value[op->out[k]].producer != (int32_t)i)
				return kerf_fail(err, -EINVAL, "'%s': output %d has another producer",
						 op->name, k);
		}
	}
	for (i = 0; i < g->n_in + g->n_out; i++) {
		int32_t v = i < g->n_in ? g->in[i] : g->out[i - g->n_in];

		if (v < 0 || v >= (int32_t)g->n_value)
			return kerf_fail(err, -EINVAL, "graph input or output out of range");
		if (i < g->n_in && g->value[v].producer >= 0)
			return kerf_fail(err, -EINVAL, "graph input '%s' has a producer",
					 g->value[v].name);
	}
	return 0;
}

void kerf_graph_freeze(struct kerf_graph *g)
{
	g->frozen = true;
}

int32_t kerf_graph_find_value(const struct kerf_graph *g, const char *name)
{
	uint32_t i;

	for (i = 0; i < g->n_value; i++)
		if (!strcmp(g->value[i].name, name))
			return (int32_t)i;
	return -1;
}

int32_t kerf_graph_find_input(const struct kerf_graph *g, const char *name)
{
	uint32_t i;

	for (i = 0; i < g->n_in; i++)
		if (!strcmp(g->value[g->in[i]].name, name))
			return (int32_t)i;
	return -1;
}

const struct kerf_attr *kerf_op_attr(const struct kerf_op *op, const char *name)
{
	uint32_t i;

	for (i = 0; i < op->n_attr; i++)
		if (!strcmp(op->attr[i].name, name))
			return &op->attr[i];
	return NULL;
}

static const struct kerf_attr *typed(const struct kerf_op *op, const char *name,
				     enum kerf_attr_type type)
{
	const struct kerf_attr *a = kerf_op_attr(op, name);

	return a && a->type == type ? a : NULL;
}

int64_t kerf_op_int(const struct kerf_op *op, const char *name, int64_t absent)
{
	const struct kerf_attr *a = typed(op, name, KERF_ATTR_INT);

	return a ? a->i : absent;
}

float kerf_op_float(const struct kerf_op *op, const char *name, float absent)
{
	const struct kerf_attr *a = typed(op, name, KERF_ATTR_FLOAT);

	return a ? a->f : absent;
}

const char *kerf_op_string(const struct kerf_op *op, const char *name, const char *absent)
{
	const struct kerf_attr *a = typed(op, name, KERF_ATTR_STRING);

	return a ? a->s : absent;
}

const int64_t *kerf_op_ints(const struct kerf_op *op, const char *name, uint32_t *n)
{
	const struct kerf_attr *a = typed(op, name, KERF_ATTR_INTS);

	*n = a ? a->n : 0;
	return a ? a->ints : NULL;
}

const float *kerf_op_floats(const struct kerf_op *op, const char *name, uint32_t *n)
{
	const struct kerf_attr *a = typed(op, name, KERF_ATTR_FLOATS);

	*n = a ? a->n : 0;
	return a ? a->floats : NULL;
}

int kerf_graph_consumers(const struct kerf_graph *g, uint32_t **first, uint32_t **list)
{
	uint32_t i, sum = 0, *f, *l;
	size_t n = 0;
	int k;

	for (i = 0; i < g->n_op; i++)
		n += (size_t)g->op[i].n_in;
	f = calloc(g->n_value + 2 + n, sizeof(*f));
	if (!f)
		return -ENOMEM;
	l = f + g->n_value + 2;
	/* f[v + 2] counts, then f[v + 1] is where v's next reader goes. */
	for (i = 0; i < g->n_op; i++)
		for (k = 0; k < g->op[i].n_in; k++)
			if (g->op[i].in[k] >= 0)
				f[g->op[i].in[k] + 2]++;
	for (i = 0; i < g->n_value + 2; i++) {
		sum += f[i];
		f[i] = sum;
	}
	for (i = 0; i < g->n_op; i++)
		for (k = 0; k < g->op[i].n_in; k++)
			if (g->op[i].in[k] >= 0)
				l[f[g->op[i].in[k] + 1]++] = i;
	*first = f;
	*list = l;
	return 0;
}

/* Piece by piece, so that hashing does not bring a whole model into memory. */
static void hash_file(struct kerf_file *f, uint8_t out[32])
{
	const size_t piece = (size_t)4 << 20;
	struct sha256_ctx c;
	size_t at, n;

	sha256_init(&c);
	for (at = 0; at < f->size; at += n) {
		n = KERF_MIN(piece, f->size - at);
		sha256_update(&c, n, f->data + at);
		kerf_file_forget(f, f->data + at, n);
	}
	sha256_digest(&c, 32, out);
}

void kerf_graph_model_sha256(const struct kerf_graph *g, uint8_t out[32])
{
	struct kerf_graph *whole = (struct kerf_graph *)g;

	while (whole->parent)
		whole = whole->parent;
	pthread_mutex_lock(&whole->digest_lock);
	if (!whole->has_digest && whole->file) {
		hash_file(whole->file, whole->digest);
		whole->has_digest = true;
	}
	memcpy(out, whole->digest, sizeof(whole->digest));
	pthread_mutex_unlock(&whole->digest_lock);
}

int kerf_graph_add_file(struct kerf_graph *g, struct kerf_file *f)
{
	struct kerf_file **p = reallocarray(g->ext, g->n_ext + 1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	g->ext = p;
	p[g->n_ext++] = f;
	return 0;
}

void kerf_graph_forget(const struct kerf_graph *g, const void *p, size_t n)
{
	uint32_t i;

	for (; g; g = g->parent) {
		if (g->file)
			kerf_file_forget(g->file, p, n);
		for (i = 0; i < g->n_ext; i++)
			kerf_file_forget(g->ext[i], p, n);
	}
}

static uint64_t mix_tensor(uint64_t h, const struct kerf_tensor *t)
{
	int32_t head[2] = {(int32_t)t->dtype, t->rank};

	h = kerf_hash_mix(h, head, sizeof(head));
	return kerf_hash_mix(h, t->dims, (size_t)t->rank * sizeof(t->dims[0]));
}

static uint64_t mix_attr(uint64_t h, const struct kerf_attr *a)
{
	h = kerf_hash_mix(h, a->name, strlen(a->name) + 1);
	switch (a->type) {
	case KERF_ATTR_INT: return kerf_hash_mix(h, &a->i, sizeof(a->i));
	case KERF_ATTR_FLOAT: return kerf_hash_mix(h, &a->f, sizeof(a->f));
	case KERF_ATTR_STRING: return kerf_hash_mix(h, a->s, strlen(a->s) + 1);
	case KERF_ATTR_INTS: return kerf_hash_mix(h, a->ints, a->n * sizeof(*a->ints));
	case KERF_ATTR_FLOATS: return kerf_hash_mix(h, a->floats, a->n * sizeof(*a->floats));
	case KERF_ATTR_TENSOR:
		h = mix_tensor(h, &a->t);
		return kerf_hash_mix(h, a->t.data, kerf_tensor_bytes(&a->t));
	}
	return h;
}

uint64_t kerf_graph_fingerprint(const struct kerf_graph *g)
{
	uint64_t h = KERF_HASH_INIT;
	uint32_t i, k;

	for (i = 0; i < g->n_value; i++) {
		uint8_t flags[2] = {g->value[i].nhwc, kerf_value_is_const(&g->value[i])};

		h = mix_tensor(kerf_hash_mix(h, flags, sizeof(flags)), &g->value[i].t);
	}
	for (i = 0; i < g->n_op; i++) {
		const struct kerf_op *op = &g->op[i];
		int32_t head[4] = {op->opset, op->n_in, op->n_out, (int32_t)op->act.kind};
		float act[2] = {op->act.a, op->act.b};

		h = kerf_hash_mix(h, op->def->name, strlen(op->def->name) + 1);
		h = kerf_hash_mix(h, head, sizeof(head));
		h = kerf_hash_mix(h, act, sizeof(act));
		h = kerf_hash_mix(h, &op->nhwc, sizeof(op->nhwc));
		h = kerf_hash_mix(h, &op->tile, sizeof(op->tile));
		h = kerf_hash_mix(h, op->in, (size_t)op->n_in * sizeof(*op->in));
		h = kerf_hash_mix(h, op->out, (size_t)op->n_out * sizeof(*op->out));
		for (k = 0; k < op->n_attr; k++)
			h = mix_attr(h, &op->attr[k]);
	}
	h = kerf_hash_mix(h, g->in, g->n_in * sizeof(*g->in));
	return kerf_hash_mix(h, g->out, g->n_out * sizeof(*g->out));
}
