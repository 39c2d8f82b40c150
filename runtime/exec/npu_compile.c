/* SPDX-License-Identifier: MIT */
#include "exec/npu_lower.h"

#include "graph/memplan.h"

#include <stdlib.h>
#include <string.h>

/* --- One operator --- */

static kerf_lower_fn find(const struct kerf_lower_entry *e, const char *name)
{
	while (e->name && strcmp(e->name, name))
		e++;
	return e->lower;
}

static kerf_lower_fn lower_fn(const struct kerf_op *op)
{
	const struct kerf_lower_entry *const tables[] = {kerf_lower_products, kerf_lower_pools,
							 kerf_lower_elementwise};
	kerf_lower_fn fn = NULL;
	unsigned i;

	if (op->def->domain && *op->def->domain)
		return NULL;
	for (i = 0; i < KERF_ARRAY_SIZE(tables) && !fn; i++)
		fn = find(tables[i], op->def->name);
	if (!fn && op->act.kind == KERF_ACT_NONE)
		fn = find(kerf_lower_moves, op->def->name);
	return fn;
}

/* Dims known now, and none of them 0. */
static bool is_plain(const struct kerf_graph *g, const int32_t *ids, int n)
{
	int k;

	for (k = 0; k < n; k++)
		if (ids[k] >= 0 &&
		    (g->value[ids[k]].bounded || (!kerf_value_is_const(&g->value[ids[k]]) &&
						  !kerf_tensor_count(&g->value[ids[k]].t))))
			return false;
	return true;
}

/* Shares its input's memory if the plan can arrange it. */
static bool is_view(const struct kerf_graph *g, const struct kerf_op *op)
{
	return op->def->flags & KERF_OP_VIEW && op->act.kind == KERF_ACT_NONE && op->in[0] >= 0 &&
	       op->out[0] >= 0 && g->value[op->in[0]].t.dtype == g->value[op->out[0]].t.dtype;
}

/* 0, -EOPNOTSUPP: the host's, or -ENOMEM. */
static int lower(struct kerf_lower *b, const struct kerf_op *op)
{
	kerf_lower_fn fn = is_view(b->g, op) ? kerf_lower_whole : lower_fn(op);
	struct kerf_lower_op o = {.op = op};
	int r;

	b->scratch_bytes = 0;
	b->overwrite = 0;
	if (!fn || !is_plain(b->g, op->in, op->n_in) || !is_plain(b->g, op->out, op->n_out))
		return -EOPNOTSUPP;
	o.in = calloc((size_t)(kerf_op_in_slots(op) + kerf_op_out_slots(op)) + 1, sizeof(*o.in));
	if (!o.in)
		return -ENOMEM;
	o.out = o.in + kerf_op_in_slots(op);
	kerf_op_tensors(b->g, op, o.in, o.out);
	r = fn(b, &o);
	free(o.in);
	return b->nomem ? -ENOMEM : r;
}

bool kerf_npu_supports(uint32_t features, const struct kerf_graph *g, const struct kerf_op *op)
{
	struct kerf_lower b = {.g = g, .features = features};
	int r;

	b.const_at = calloc((size_t)g->n_value + 1, sizeof(*b.const_at));
	r = b.const_at ? lower(&b, op) : -ENOMEM;
	free(b.const_at);
	return !r;
}

/* --- A slice --- */

struct compile {
	const struct kerf_graph *g;
	struct kerf_npu_image *im;
	struct kerf_lower b;
	bool *host;		      /* per operator */
	size_t *scratch, *scratch_at; /* per operator */
	uint32_t *overwrite;	      /* per operator */
	int32_t *first_out;	      /* per value: its first place among the outputs, or -1 */
};

/* What each operator is, and what it wants of the plan. */
static int ask(struct compile *c)
{
	uint32_t i;
	int r;

	for (i = 0; i < c->g->n_op; i++) {
		r = lower(&c->b, &c->g->op[i]);
		if (r == -ENOMEM)
			return r;
		c->host[i] = r;
		c->scratch[i] = r ? 0 : c->b.scratch_bytes;
		c->overwrite[i] = r ? 0 : c->b.overwrite;
	}
	return 0;
}

static int place_values(struct compile *c, const struct kerf_memplan *plan)
{
	const struct kerf_graph *g = c->g;
	struct kerf_npu_place *place = c->im->place;
	uint32_t v, k;

	for (v = 0; v < g->n_value; v++) {
		place[v].window = KERF_NPU_NOWHERE;
		c->first_out[v] = -1;
	}
	for (k = g->n_out; k-- > 0;)
		c->first_out[g->out[k]] = (int32_t)k;
	for (k = 0; k < g->n_in; k++)
		if (!kerf_value_is_const(&g->value[g->in[k]]))
			place[g->in[k]].window = KERF_NPU_W_IO + k;
	for (v = 0; v < g->n_value; v++)
		if (c->first_out[v] >= 0 && g->value[v].producer >= 0)
			place[v].window = KERF_NPU_W_IO + g->n_in + (uint32_t)c->first_out[v];
	for (v = 0; v < g->n_value; v++) {
		int32_t root = plan->root[v];

		if (place[v].window != KERF_NPU_NOWHERE || kerf_value_is_const(&g->value[v]))
			continue;
		if (plan->offset[root] != KERF_MEMPLAN_NONE)
			place[v] = (struct kerf_npu_place){KERF_NPU_W_ARENA, plan->offset[root]};
		else if (place[root].window != KERF_NPU_NOWHERE)
			place[v] = place[root];
		else if (g->value[v].producer >= 0)
			return -EINVAL;
	}
	return 0;
}

static void mark_uses(struct kerf_npu_image *im, const int32_t *ids, int n)
{
	int k;

	for (k = 0; k < n; k++)
		if (ids[k] >= 0 && im->place[ids[k]].window >= KERF_NPU_W_IO &&
		    im->place[ids[k]].window != KERF_NPU_NOWHERE)
			im->uses[im->place[ids[k]].window - KERF_NPU_W_IO] = true;
}

static bool shares(const struct compile *c, const struct kerf_op *op)
{
	const struct kerf_npu_place *x, *y;

	/* Where dims are known at run time only, the host must find them. */
	if (!is_view(c->g, op) || c->g->value[op->out[0]].bounded)
		return false;
	x = &c->im->place[op->in[0]];
	y = &c->im->place[op->out[0]];
	return x->window != KERF_NPU_NOWHERE && x->window == y->window && x->offset == y->offset;
}

/* Commands of every operator, and the stages they form. */
static int emit(struct compile *c)
{
	struct kerf_npu_image *im = c->im;
	struct kerf_npu_stage *s = NULL;
	uint32_t i, before = 0;
	int r;

	c->b.place = im->place;
	c->b.emits = true;
	for (i = 0; i < c->g->n_op; i++) {
		const struct kerf_op *op = &c->g->op[i];

		im->op_cmd[i] = c->b.cmd_bytes;
		if (shares(c, op)) {
			if (s)
				s->n_op++;
			else
				before++;
			continue;
		}
		if (!s || s->host != c->host[i]) {
			s = &im->stage[im->n_stage++];
			*s = (struct kerf_npu_stage){
				.host = c->host[i], .first_op = i - before, .n_op = before};
			before = 0;
			s->first_piece = c->b.n_piece;
			c->b.cut = true;
		}
		s->n_op++;
		if (s->host)
			continue;
		c->b.scratch_at = c->scratch_at[i];
		r = lower(&c->b, op);
		if (r)
			return r;
		mark_uses(im, op->in, op->n_in);
		mark_uses(im, op->out, op->n_out);
		s->n_piece = c->b.n_piece - s->first_piece;
	}
	im->op_cmd[c->g->n_op] = c->b.cmd_bytes;
	im->cmd = c->b.cmd;
	im->cmd_bytes = c->b.cmd_bytes;
	im->piece = c->b.piece;
	im->n_piece = c->b.n_piece;
	im->weight_bytes = c->b.weight_bytes;
	c->b.cmd = NULL;
	c->b.piece = NULL;
	return 0;
}

static int make(struct compile *c)
{
	struct kerf_memplan_needs needs = {c->scratch, c->overwrite};
	struct kerf_memplan plan;
	int r = ask(c);

	if (r)
		return r;
	r = kerf_memplan_make(c->g, &needs, c->scratch_at, &plan);
	if (r)
		return r;
	c->im->arena_bytes = plan.bytes;
	r = place_values(c, &plan);
	kerf_memplan_finish(&plan);
	if (r)
		return r;
	memset(c->b.const_at, 0, c->g->n_value * sizeof(*c->b.const_at));
	c->b.weight_bytes = 0;
	return emit(c);
}

int kerf_npu_compile(uint32_t features, const struct kerf_graph *g, struct kerf_npu_image **out,
		     struct kerf_err *err)
{
	struct kerf_npu_image *im = calloc(1, sizeof(*im));
	struct compile c = {.g = g, .im = im, .b = {.g = g, .features = features}};
	int r = -ENOMEM;

	if (!im)
		return -ENOMEM;
	im->features = features;
	im->op_cmd = calloc((size_t)g->n_op + 1, sizeof(*im->op_cmd));
	im->stage = calloc((size_t)g->n_op + 1, sizeof(*im->stage));
	im->place = calloc((size_t)g->n_value + 1, sizeof(*im->place));
	im->uses = calloc((size_t)g->n_in + g->n_out + 1, sizeof(*im->uses));
	c.host = calloc((size_t)g->n_op + 1, sizeof(*c.host));
	c.scratch = calloc(2 * (size_t)g->n_op + 1, sizeof(*c.scratch));
	c.overwrite = calloc((size_t)g->n_op + 1, sizeof(*c.overwrite));
	c.first_out = calloc((size_t)g->n_value + 1, sizeof(*c.first_out));
	c.b.const_at = calloc((size_t)g->n_value + 1, sizeof(*c.b.const_at));
	if (im->op_cmd && im->stage && im->place && im->uses && c.host && c.scratch &&
	    c.overwrite && c.first_out && c.b.const_at) {
		c.scratch_at = c.scratch + g->n_op;
		r = make(&c);
	}
	free(c.host);
	free(c.scratch);
	free(c.overwrite);
	free(c.first_out);
	free(c.b.const_at);
	free(c.b.cmd);
	free(c.b.piece);
	if (!r) {
		*out = im;
		return 0;
	}
	kerf_npu_image_free(im);
	return kerf_fail(err, r, "cannot compile for the NPU: %s", strerror(-r));
}

void kerf_npu_image_free(struct kerf_npu_image *im)
{
	if (!im)
		return;
	free(im->cmd);
	free(im->op_cmd);
	free(im->piece);
	free(im->stage);
	free(im->place);
	free(im->uses);
	free(im);
}

int kerf_npu_put_weights(const struct kerf_npu_image *im, const struct kerf_graph *g, void *dst)
{
	struct kerf_lower b = {
		.g = g, .features = im->features, .place = im->place, .weights = dst};
	uint32_t s, i;
	int r = 0;

	b.const_at = calloc((size_t)g->n_value + 1, sizeof(*b.const_at));
	if (!b.const_at)
		return -ENOMEM;
	for (s = 0; s < im->n_stage && !r; s++)
		for (i = 0; i < im->stage[s].n_op && !im->stage[s].host && !r; i++) {
			uint32_t op = im->stage[s].first_op + i;

			/* Nothing for a view that shares its input's memory. */
			if (im->op_cmd[op] != im->op_cmd[op + 1])
				r = lower(&b, &g->op[op]);
		}
	free(b.const_at);
	return r;
}
