/* SPDX-License-Identifier: MIT */
#include "exec/cpu.h"

#include "exec/interp.h"
#include "graph/memplan.h"
#include "util/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A tensor whose memory is the job's: slot counts inputs, then outputs. */
struct patch {
	struct kerf_tensor *t;
	uint32_t slot;
};

enum step_kind {
	STEP_KERNEL,
	STEP_INTERP, /* the reference meaning, shapes as they are at run time */
	STEP_VIEW,   /* output 0 is input 0 in its place: nothing to do but its dims */
	STEP_COPY,   /* a view whose output needs memory of its own */
};

struct kerf_cpu_program {
	struct kerf_program base;
	struct kerf_arena mem;
	uint8_t *activations;
	struct kerf_cpu_owned *owned;
	uint32_t n_owned;

	struct kerf_cpu_step *step; /* one an operator */
	uint8_t *kind;
	bool *moves; /* shapes of the step are known at run time only */
	struct kerf_tensor *value;  /* one a value of the slice */
	struct kerf_tensor *interp; /* scratch of kerf_interp_op */
	struct patch *patch;
	uint32_t n_patch;
	int32_t *first_out; /* per value: its first place among the slice's outputs, or -1 */
	uint64_t *pace; /* per operator; NULL: as fast as it goes */

	struct kerf_program_info info;
};

int kerf_cpu_own(struct kerf_cpu_build *b, void *p, void (*free_fn)(void *p), size_t bytes)
{
	if (b->n_owned == b->cap_owned) {
		uint32_t cap = b->cap_owned ? 2 * b->cap_owned : 32;
		struct kerf_cpu_owned *list = reallocarray(b->owned, cap, sizeof(*list));

		if (!list) {
			free_fn(p);
			return -ENOMEM;
		}
		b->owned = list;
		b->cap_owned = cap;
	}
	b->owned[b->n_owned++] = (struct kerf_cpu_owned){p, free_fn};
	b->weight_bytes += bytes;
	return 0;
}

void *kerf_cpu_weights(struct kerf_cpu_build *b, size_t bytes)
{
	void *p = kerf_tensor_alloc(bytes);

	return p && !kerf_cpu_own(b, p, free, bytes) ? p : NULL;
}

void kerf_cpu_forget(const struct kerf_cpu_build *b, const void *p, size_t bytes)
{
	if (p)
		kerf_graph_forget(b->g, p, bytes);
}

static bool has_empty(const struct kerf_tensor *t, int n)
{
	int k;

	for (k = 0; k < n; k++)
		if (t[k].dtype != KERF_NONE && !kerf_tensor_count(&t[k]))
			return true;
	return false;
}

int kerf_cpu_choose(struct kerf_cpu_build *b, struct kerf_cpu_step *s)
{
	const kerf_cpu_family *f;

	s->isa = b->isa;
	if (has_empty(s->in, s->op->n_in) || has_empty(s->out, s->op->n_out))
		return -EOPNOTSUPP;
	for (f = kerf_cpu_families; *f; f++) {
		int r = (*f)(b, s);

		if (r != -EOPNOTSUPP)
			return r;
		s->run = NULL;
		s->arg = NULL;
		s->scratch_bytes = 0;
		s->overwrite = 0;
	}
	return -EOPNOTSUPP;
}

static bool op_moves(const struct kerf_graph *g, const struct kerf_op *op)
{
	bool moves = op->def->flags & KERF_OP_BOUNDED;
	int k;

	for (k = 0; k < op->n_in; k++)
		moves |= op->in[k] >= 0 && g->value[op->in[k]].bounded;
	return moves;
}

static bool is_view(const struct kerf_graph *g, const struct kerf_op *op)
{
	return op->def->flags & KERF_OP_VIEW && op->act.kind == KERF_ACT_NONE && op->in[0] >= 0 &&
	       op->out[0] >= 0 && g->value[op->in[0]].t.dtype == g->value[op->out[0]].t.dtype;
}

static int choose_steps(struct kerf_cpu_program *p, struct kerf_cpu_build *b)
{
	struct kerf_graph *g = p->base.slice;
	uint32_t i;
	int r;

	for (i = 0; i < g->n_op; i++) {
		const struct kerf_op *op = &g->op[i];
		struct kerf_cpu_step *s = &p->step[i];

		s->op = op;
		s->in = kerf_arena_calloc(
			&p->mem, (size_t)(kerf_op_in_slots(op) + kerf_op_out_slots(op)) + 1,
			sizeof(*s->in));
		if (!s->in)
			return -ENOMEM;
		s->out = s->in + kerf_op_in_slots(op);
		kerf_op_tensors(g, op, s->in, s->out);
		p->moves[i] = op_moves(g, op);
		if (!op->def->eval)
			return kerf_fail(b->err, -EOPNOTSUPP, "node '%s' (%s): the cpu engine cannot run it",
					 op->name, op->def->name);
		if (is_view(g, op)) {
			p->kind[i] = STEP_VIEW;
			continue;
		}
		r = p->moves[i] ? -EOPNOTSUPP : kerf_cpu_choose(b, s);
		if (r && r != -EOPNOTSUPP) {
			kerf_err_prefix(b->err, "node '%s' (%s)", op->name, op->def->name);
			return r;
		}
		p->kind[i] = r ? STEP_INTERP : STEP_KERNEL;
	}
	return 0;
}

/* An operator's reference meaning wants its constants aligned; packed ones are done with. */
static int align_constants(struct kerf_cpu_program *p)
{
	struct kerf_graph *g = p->base.slice;
	uint32_t i;
	int k;

	for (i = 0; i < g->n_op; i++) {
		const struct kerf_op *op = &g->op[i];

		for (k = 0; p->kind[i] != STEP_KERNEL && k < op->n_in; k++) {
			struct kerf_tensor *t = op->in[k] < 0 ? NULL : &p->value[op->in[k]];
			void *copy;

			if (!t || kerf_tensor_is_aligned(t))
				continue;
			copy = kerf_arena_alloc(&p->mem, kerf_tensor_bytes(t));
			if (!copy)
				return -ENOMEM;
			t->data = memcpy(copy, t->data, kerf_tensor_bytes(t));
		}
	}
	return 0;
}

/* Where a value lives: constants keep data, others get arena memory or a job slot. */
static int place_values(struct kerf_cpu_program *p, const struct kerf_memplan *plan, uint32_t *slot)
{
	struct kerf_graph *g = p->base.slice;
	uint32_t v, k;

	for (v = 0; v < g->n_value; v++) {
		p->value[v] = g->value[v].t;
		p->first_out[v] = -1;
		slot[v] = UINT32_MAX;
	}
	if (align_constants(p))
		return -ENOMEM;
	for (k = g->n_out; k-- > 0;)
		p->first_out[g->out[k]] = (int32_t)k;
	for (v = 0; v < g->n_value; v++)
		if (p->first_out[v] >= 0 && g->value[v].producer >= 0)
			slot[v] = g->n_in + (uint32_t)p->first_out[v];
	for (k = 0; k < g->n_in; k++)
		if (!kerf_value_is_const(&g->value[g->in[k]]))
			slot[g->in[k]] = k;
	for (v = 0; v < g->n_value; v++) {
		int32_t root = plan->root[v];

		if (slot[v] != UINT32_MAX || p->value[v].data)
			continue;
		if (slot[root] != UINT32_MAX)
			slot[v] = slot[root];
		else if (g->value[root].t.data)
			p->value[v].data = g->value[root].t.data;
		else if (plan->offset[root] != KERF_MEMPLAN_NONE)
			p->value[v].data = p->activations + plan->offset[root];
		else if (g->value[v].producer >= 0)
			return -EINVAL;
	}
	return 0;
}

static void add_patch(struct kerf_cpu_program *p, struct kerf_tensor *t, uint32_t slot)
{
	if (slot != UINT32_MAX)
		p->patch[p->n_patch++] = (struct patch){t, slot};
}

static int link_steps(struct kerf_cpu_program *p, const uint32_t *slot,
		      const size_t *scratch_offset)
{
	struct kerf_graph *g = p->base.slice;
	size_t most = g->n_value;
	uint32_t i, v;
	int k;

	for (i = 0; i < g->n_op; i++)
		most += (size_t)(g->op[i].n_in + g->op[i].n_out);
	p->patch = kerf_arena_calloc(&p->mem, most + 1, sizeof(*p->patch));
	if (!p->patch)
		return -ENOMEM;
	for (v = 0; v < g->n_value; v++)
		add_patch(p, &p->value[v], slot[v]);
	for (i = 0; i < g->n_op; i++) {
		const struct kerf_op *op = &g->op[i];
		struct kerf_cpu_step *s = &p->step[i];

		if (s->scratch_bytes)
			s->scratch = p->activations + scratch_offset[i];
		if (p->kind[i] == STEP_VIEW &&
		    (slot[op->in[0]] != slot[op->out[0]] ||
		     p->value[op->in[0]].data != p->value[op->out[0]].data))
			p->kind[i] = STEP_COPY;
		for (k = 0; k < op->n_in; k++)
			if (op->in[k] >= 0) {
				s->in[k].data = p->value[op->in[k]].data;
				add_patch(p, &s->in[k], slot[op->in[k]]);
			}
		for (k = 0; k < op->n_out; k++)
			if (op->out[k] >= 0) {
				s->out[k].data = p->value[op->out[k]].data;
				add_patch(p, &s->out[k], slot[op->out[k]]);
			}
	}
	return 0;
}

static int plan_memory(struct kerf_cpu_program *p, struct kerf_err *err)
{
	struct kerf_graph *g = p->base.slice;
	struct kerf_memplan plan = {0};
	size_t *scratch = calloc(2 * (size_t)g->n_op + 1, sizeof(*scratch));
	uint32_t *slot = calloc((size_t)g->n_value + 1, sizeof(*slot));
	uint32_t *overwrite = calloc((size_t)g->n_op + 1, sizeof(*overwrite));
	struct kerf_memplan_needs needs = {scratch, overwrite};
	uint32_t i;
	int r = -ENOMEM;

	if (!scratch || !slot || !overwrite)
		goto out;
	for (i = 0; i < g->n_op; i++) {
		scratch[i] = p->step[i].scratch_bytes;
		overwrite[i] = p->step[i].overwrite;
	}
	r = kerf_memplan_make(g, &needs, scratch + g->n_op, &plan);
	if (r)
		goto out;
	p->activations = kerf_tensor_alloc(plan.bytes);
	if (!p->activations) {
		r = kerf_fail(err, -ENOMEM, "no memory for %zu bytes of activations", plan.bytes);
		goto out;
	}
	p->info.arena_bytes = plan.bytes;
	r = place_values(p, &plan, slot);
	if (!r)
		r = link_steps(p, slot, scratch + g->n_op);
out:
	kerf_memplan_finish(&plan);
	free(scratch);
	free(slot);
	free(overwrite);
	return r;
}

int kerf_cpu_program_new(struct kerf_engine *e, const struct kerf_isa *isa, int threads,
			 struct kerf_graph *slice, struct kerf_cpu_program **out,
			 struct kerf_err *err)
{
	struct kerf_cpu_program *p = calloc(1, sizeof(*p));
	struct kerf_cpu_build b = {.g = slice, .isa = isa, .threads = threads, .err = err};
	uint64_t t0 = kerf_now_ns();
	int r = -ENOMEM;

	if (!p)
		return -ENOMEM;
	p->base.engine = e;
	p->base.slice = kerf_graph_ref(slice);
	b.mem = &p->mem;
	r = kerf_pool_new(1, false, &b.pool);
	if (r)
		goto fail;
	r = -ENOMEM;
	p->step = kerf_arena_calloc(&p->mem, slice->n_op + 1, sizeof(*p->step));
	p->kind = kerf_arena_calloc(&p->mem, slice->n_op + 1, sizeof(*p->kind));
	p->moves = kerf_arena_calloc(&p->mem, slice->n_op + 1, sizeof(*p->moves));
	p->value = kerf_arena_calloc(&p->mem, slice->n_value + 1, sizeof(*p->value));
	p->first_out = kerf_arena_calloc(&p->mem, slice->n_value + 1, sizeof(*p->first_out));
	p->interp = kerf_arena_calloc(&p->mem, kerf_interp_slots(slice) + 1, sizeof(*p->interp));
	if (!p->step || !p->kind || !p->moves || !p->value || !p->first_out || !p->interp)
		goto fail;
	r = choose_steps(p, &b);
	p->owned = b.owned;
	p->n_owned = b.n_owned;
	p->info.weight_bytes = b.weight_bytes;
	if (!r)
		r = plan_memory(p, err);
	if (r)
		goto fail;
	p->info.prepare_ns = kerf_now_ns() - t0;
	kerf_pool_free(b.pool);
	*out = p;
	return 0;
fail:
	kerf_pool_free(b.pool);
	kerf_fail(err, r, "engine cpu: cannot prepare '%s': %s", slice->name, strerror(-r));
	kerf_cpu_program_free(p);
	return r;
}

void kerf_cpu_program_free(struct kerf_cpu_program *p)
{
	uint32_t i;

	if (!p)
		return;
	for (i = 0; i < p->n_owned; i++)
		p->owned[i].free(p->owned[i].p);
	free(p->owned);
	free(p->pace);
	free(p->activations);
	kerf_arena_finish(&p->mem);
	kerf_graph_unref(p->base.slice);
	free(p);
}

void kerf_cpu_program_info(const struct kerf_cpu_program *p, struct kerf_program_info *info)
{
	*info = p->info;
}

static void begin_run(struct kerf_cpu_program *p, const struct kerf_tensor *in,
		      const struct kerf_tensor *out)
{
	struct kerf_graph *g = p->base.slice;
	uint32_t i, v;

	for (i = 0; i < p->n_patch; i++) {
		uint32_t slot = p->patch[i].slot;

		p->patch[i].t->data = slot < g->n_in ? in[slot].data : out[slot - g->n_in].data;
	}
	/* Bounded values shrank in the last run. */
	for (v = 0; v < g->n_value; v++)
		if (g->value[v].bounded)
			memcpy(p->value[v].dims, g->value[v].t.dims, sizeof(p->value[v].dims));
	for (i = 0; i < g->n_in; i++)
		if (g->value[g->in[i]].bounded)
			memcpy(p->value[g->in[i]].dims, in[i].dims, sizeof(in[i].dims));
}

/* Dims of a view of a value whose own are known only now. */
static int view_shape(struct kerf_cpu_program *p, const struct kerf_op *op)
{
	struct kerf_tensor *in = p->interp, *out = in + kerf_op_in_slots(op);
	size_t n = (size_t)(kerf_op_in_slots(op) + kerf_op_out_slots(op));
	const struct kerf_value *v = &p->base.slice->value[op->out[0]];
	int k, r;

	memset(in, 0, n * sizeof(*in));
	for (k = 0; k < op->n_in; k++)
		if (op->in[k] >= 0)
			in[k] = p->value[op->in[k]];
	out[0] = p->value[op->out[0]];
	r = op->def->infer(op, in, out, NULL);
	if (r)
		return r;
	if (kerf_tensor_check(&out[0]) || kerf_tensor_bytes(&out[0]) > kerf_tensor_bytes(&v->t) ||
	    kerf_tensor_count(&out[0]) != kerf_tensor_count(&in[0]))
		return -EINVAL;
	memcpy(p->value[op->out[0]].dims, out[0].dims, sizeof(out[0].dims));
	return 0;
}

static int run_step(struct kerf_cpu_program *p, uint32_t i, struct kerf_pool *pool)
{
	const struct kerf_cpu_step *s = &p->step[i];
	const struct kerf_op *op = s->op;
	int r = 0;

	switch (p->kind[i]) {
	case STEP_KERNEL: return s->run(s, pool);
	case STEP_INTERP: return kerf_interp_op(p->base.slice, op, p->value, p->interp);
	case STEP_COPY:
	case STEP_VIEW:
		if (p->moves[i])
			r = view_shape(p, op);
		if (!r && p->kind[i] == STEP_COPY)
			memcpy(p->value[op->out[0]].data, p->value[op->in[0]].data,
			       kerf_tensor_bytes(&p->value[op->in[0]]));
	}
	return r;
}

static void finish_run(struct kerf_cpu_program *p, struct kerf_tensor *out)
{
	struct kerf_graph *g = p->base.slice;
	uint32_t k;

	for (k = 0; k < g->n_out; k++) {
		const struct kerf_tensor *v = &p->value[g->out[k]];

		/* A value that is an input, a constant, or an output twice. */
		if (g->value[g->out[k]].producer < 0 || p->first_out[g->out[k]] != (int32_t)k)
			memcpy(out[k].data, v->data, kerf_tensor_bytes(v));
		memcpy(out[k].dims, v->dims, sizeof(v->dims));
	}
}

int kerf_cpu_program_run(struct kerf_cpu_program *p, struct kerf_pool *pool,
			 const struct kerf_tensor *in, struct kerf_tensor *out, uint64_t *op_ns,
			 const uint64_t *cancel)
{
	uint32_t i, n = p->base.slice->n_op;
	int r;

	begin_run(p, in, out);
	for (i = 0; i < n; i++) {
		uint64_t t0 = op_ns ? kerf_now_ns() : 0;

		if (cancel && __atomic_load_n(cancel, __ATOMIC_RELAXED))
			return -ECANCELED;
		r = run_step(p, i, pool);
		if (r)
			return r;
		if (op_ns)
			op_ns[i] = kerf_now_ns() - t0;
	}
	finish_run(p, out);
	return 0;
}

uint64_t **kerf_cpu_program_pace(struct kerf_cpu_program *p)
{
	return &p->pace;
}
