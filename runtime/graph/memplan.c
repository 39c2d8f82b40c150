/* SPDX-License-Identifier: MIT */
#include "graph/memplan.h"

#include "graph/op.h"

#include <stdlib.h>
#include <string.h>

/* A piece of the arena: a root value's memory or an operator's scratch. */
struct block {
	size_t size;	   /* rounded up to KERF_ALIGN */
	uint32_t from, to; /* operators during which it is live, both included */
	size_t *offset;	   /* where the answer goes */
	size_t at, best;   /* in the attempt being made; in the best one so far */
};

struct planner {
	const struct kerf_graph *g;
	const struct kerf_memplan_needs *needs;
	int32_t *root;
	bool *outside;	/* per value: input, output or constant */
	uint32_t *last; /* per root: last operator that touches it */

	struct block *block; /* ascending by from: see collect() */
	uint32_t n_block;
	size_t *breadth;      /* per operator: sum of live blocks */
	uint32_t *order;      /* blocks in the order of placing */
	uint32_t *until;      /* tree over blocks: 1 + latest `to` among the placed ones */
	uint32_t n_leaf;
	uint32_t *found, n_found;
	uint64_t steps; /* neighbours looked at; see MAX_STEPS */
};

/*
 * Real networks have some tens of live blocks at any time. Where a file has made
 * hundreds of thousands, to look at all neighbours of all of them would take hours.
 */
#define MAX_STEPS (20u << 20)

/* --- whose memory is whose ------------------------------------------------ */

static int32_t find_root(struct planner *p, int32_t v)
{
	while (p->root[v] != v)
		v = p->root[v] = p->root[p->root[v]];
	return v;
}

/* in ends at op i, and no other value in its memory is read there. */
static bool dies_here(struct planner *p, uint32_t i, int32_t in)
{
	const struct kerf_op *op = &p->g->op[i];
	int32_t root = find_root(p, in);
	int k;

	if (p->last[root] != i)
		return false;
	for (k = 0; k < op->n_in; k++)
		if (op->in[k] >= 0 && op->in[k] != in && find_root(p, op->in[k]) == root)
			return false;
	return true;
}

static bool may_view(const struct planner *p, const struct kerf_op *op)
{
	int32_t in = op->n_in ? op->in[0] : -1, out = op->n_out ? op->out[0] : -1;

	/* An activation would write the memory that others may still read. */
	return op->def->flags & KERF_OP_VIEW && op->act.kind == KERF_ACT_NONE && in >= 0 &&
	       out >= 0 && !p->outside[in] && !p->outside[out] &&
	       kerf_tensor_bytes(&p->g->value[in].t) == kerf_tensor_bytes(&p->g->value[out].t);
}

static bool same_layout(const struct kerf_tensor *a, const struct kerf_tensor *b)
{
	return kerf_dtype_size(a->dtype) == kerf_dtype_size(b->dtype) &&
	       kerf_tensor_same_shape(a, b);
}

/* The input whose memory output 0 of op i takes over, or -1. */
static int32_t find_donor(struct planner *p, uint32_t i)
{
	const struct kerf_op *op = &p->g->op[i];
	uint32_t mask = p->needs && p->needs->overwrite ? p->needs->overwrite[i] : 0;
	int32_t out = op->n_out ? op->out[0] : -1;
	int k;

	if (out < 0 || p->outside[out] || p->root[out] != out)
		return -1;
	for (k = 0; mask && k < op->n_in && k < 32; k++) {
		int32_t in = op->in[k];

		if (mask >> k & 1 && in >= 0 && !p->outside[in] &&
		    same_layout(&p->g->value[in].t, &p->g->value[out].t) && dies_here(p, i, in))
			return in;
	}
	return -1;
}

/* Views first: a takeover must know how long the last view of its donor lives. */
static void assign_roots(struct planner *p)
{
	const struct kerf_graph *g = p->g;
	uint32_t i;
	int k;

	for (i = 0; i < g->n_value; i++) {
		p->root[i] = (int32_t)i;
		p->outside[i] = g->value[i].producer < 0;
		p->last[i] = p->outside[i] ? 0 : (uint32_t)g->value[i].producer;
	}
	for (i = 0; i < g->n_out; i++)
		p->outside[g->out[i]] = true;
	for (i = 0; i < g->n_op; i++) {
		const struct kerf_op *op = &g->op[i];

		for (k = 0; k < op->n_in; k++)
			if (op->in[k] >= 0)
				p->last[find_root(p, op->in[k])] = i;
		if (may_view(p, op))
			p->root[op->out[0]] = find_root(p, op->in[0]);
	}
	for (i = 0; i < g->n_op; i++) {
		int32_t in = find_donor(p, i), out = in < 0 ? -1 : g->op[i].out[0];

		if (in < 0)
			continue;
		in = find_root(p, in);
		p->root[out] = in;
		p->last[in] = KERF_MAX(p->last[in], p->last[out]);
	}
	for (i = 0; i < g->n_value; i++)
		p->root[i] = find_root(p, (int32_t)i);
}

/* --- blocks --------------------------------------------------------------- */

static int by_start(const void *a, const void *b)
{
	const struct block *x = a, *y = b;

	return x->from < y->from ? -1 : x->from > y->from;
}

static int make_blocks(struct planner *p, size_t *offset, size_t *scratch_offset)
{
	const struct kerf_graph *g = p->g;
	const size_t *scratch = p->needs ? p->needs->scratch : NULL;
	size_t sum = 0;
	uint32_t i;

	for (i = 0; i < g->n_value; i++) {
		offset[i] = KERF_MEMPLAN_NONE;
		if (p->outside[i] || p->root[i] != (int32_t)i)
			continue;
		p->block[p->n_block++] = (struct block){
			.size = kerf_align(kerf_tensor_bytes(&g->value[i].t)),
			.from = (uint32_t)g->value[i].producer,
			.to = p->last[i],
			.offset = &offset[i],
		};
	}
	for (i = 0; scratch && i < g->n_op; i++) {
		if (scratch[i] > SIZE_MAX - KERF_ALIGN)
			return -EOVERFLOW;
		p->block[p->n_block++] = (struct block){
			.size = kerf_align(scratch[i]),
			.from = i,
			.to = i,
			.offset = &scratch_offset[i],
		};
	}
	qsort(p->block, p->n_block, sizeof(*p->block), by_start);
	/* The sum of all bounds every offset and every breadth; rooms are up to twice the size. */
	for (i = 0; i < p->n_block; i++)
		if (__builtin_add_overflow(sum, p->block[i].size, &sum) || sum > SIZE_MAX / 4)
			return -EOVERFLOW;
	return 0;
}

static size_t find_breadth(struct planner *p)
{
	size_t live = 0, most = 0;
	uint32_t i;

	/* Wraps on the way, but every prefix sum is a true size. */
	for (i = 0; i < p->n_block; i++) {
		p->breadth[p->block[i].from] += p->block[i].size;
		p->breadth[p->block[i].to + 1] -= p->block[i].size;
	}
	for (i = 0; i < p->g->n_op; i++) {
		live += p->breadth[i];
		p->breadth[i] = live;
		most = KERF_MAX(most, live);
	}
	return most;
}

/* --- placing -------------------------------------------------------------- */

/*
 * Placed blocks that live in [from, to]: a tree over the blocks sorted by start,
 * each node with the latest end of the placed ones below it. Descends only where
 * there is something to find: O(found * log n).
 */
static void collect(struct planner *p, uint32_t node, uint32_t first, uint32_t n, uint32_t from,
		    uint32_t to)
{
	if (p->until[node] <= from || first >= p->n_block || p->block[first].from > to)
		return;
	if (n == 1) {
		p->found[p->n_found++] = first;
		return;
	}
	collect(p, 2 * node, first, n / 2, from, to);
	collect(p, 2 * node + 1, first + n / 2, n / 2, from, to);
}

static void mark_placed(struct planner *p, uint32_t b)
{
	uint32_t node = p->n_leaf + b, end = p->block[b].to + 1;

	for (; node && p->until[node] < end; node /= 2)
		p->until[node] = end;
}

static int by_offset(const void *a, const void *b, void *arg)
{
	const struct planner *p = arg;
	size_t x = p->block[*(const uint32_t *)a].at, y = p->block[*(const uint32_t *)b].at;

	return x < y ? -1 : x > y;
}

/* The smallest gap between live neighbours that holds the block; else above them. */
static void place(struct planner *p, uint32_t b)
{
	struct block *block = &p->block[b];
	size_t end = 0, gap = SIZE_MAX, at = 0;
	uint32_t i;

	p->n_found = 0;
	collect(p, 1, 0, p->n_leaf, block->from, block->to);
	qsort_r(p->found, p->n_found, sizeof(*p->found), by_offset, p);
	for (i = 0; i < p->n_found; i++) {
		const struct block *o = &p->block[p->found[i]];

		if (o->at > end && o->at - end >= block->size && o->at - end < gap) {
			gap = o->at - end;
			at = end;
		}
		end = KERF_MAX(end, o->at + o->size);
	}
	block->at = gap == SIZE_MAX ? end : at;
	mark_placed(p, b);
}

/* False after too many steps. */
static bool place_all(struct planner *p, size_t *bytes)
{
	uint32_t i;

	*bytes = 0;
	memset(p->until, 0, 2 * (size_t)p->n_leaf * sizeof(*p->until));
	for (i = 0; i < p->n_block && p->steps <= MAX_STEPS; i++) {
		place(p, p->order[i]);
		p->steps += p->n_found;
		*bytes = KERF_MAX(*bytes, p->block[p->order[i]].at + p->block[p->order[i]].size);
	}
	return p->steps <= MAX_STEPS;
}

static int by_end(const void *a, const void *b, void *arg)
{
	const struct planner *p = arg;
	const struct block *x = &p->block[*(const uint32_t *)a];
	const struct block *y = &p->block[*(const uint32_t *)b];

	if (x->to != y->to)
		return x->to < y->to ? -1 : 1;
	return x < y ? -1 : x > y;
}

static size_t room_of(const struct block *b)
{
	size_t room = KERF_ALIGN;

	while (room < b->size)
		room *= 2;
	return room;
}

/*
 * For graphs too wide for the above: rooms of powers of two, each taken over by a
 * block of the same class when its own has died. Takes more memory and little time.
 */
static size_t place_by_class(struct planner *p)
{
	uint32_t *free_list = p->until, *next = p->found, *end = p->order, done = 0, b;
	size_t bytes = 0;

	memset(free_list, 0xff, 64 * sizeof(*free_list));
	for (b = 0; b < p->n_block; b++)
		end[b] = b;
	qsort_r(end, p->n_block, sizeof(*end), by_end, p);
	for (b = 0; b < p->n_block; b++) {
		struct block *block = &p->block[b];
		int class = __builtin_ctzll(room_of(block));

		for (; p->block[end[done]].to < block->from; done++) {
			int freed = __builtin_ctzll(room_of(&p->block[end[done]]));

			next[end[done]] = free_list[freed];
			free_list[freed] = end[done];
		}
		if (free_list[class] == UINT32_MAX) {
			block->at = bytes;
			bytes += room_of(block);
		} else {
			block->at = p->block[free_list[class]].at;
			free_list[class] = next[free_list[class]];
		}
	}
	return bytes;
}

static void keep(struct planner *p)
{
	uint32_t i;

	for (i = 0; i < p->n_block; i++)
		p->block[i].best = p->block[i].at;
}

static int by_size(const void *a, const void *b, void *arg)
{
	const struct planner *p = arg;
	const struct block *x = &p->block[*(const uint32_t *)a];
	const struct block *y = &p->block[*(const uint32_t *)b];

	if (x->size != y->size)
		return x->size > y->size ? -1 : 1;
	return x < y ? -1 : x > y;
}

static int by_breadth(const void *a, const void *b, void *arg)
{
	const size_t *breadth = arg;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	if (breadth[x] != breadth[y])
		return breadth[x] > breadth[y] ? -1 : 1;
	return x < y ? -1 : x > y;
}

static void order_by_size(struct planner *p)
{
	uint32_t i;

	for (i = 0; i < p->n_block; i++)
		p->order[i] = i;
	qsort_r(p->order, p->n_block, sizeof(*p->order), by_size, p);
}

/* The widest operators' blocks first, by size within one. -E2BIG after too many steps. */
static int order_by_breadth(struct planner *p)
{
	uint32_t n_op = p->g->n_op, i, n = 0;
	uint32_t *rank = malloc((n_op + 1) * sizeof(*rank));

	if (!rank)
		return -ENOMEM;
	for (i = 0; i < n_op; i++)
		rank[i] = i;
	qsort_r(rank, n_op, sizeof(*rank), by_breadth, p->breadth);
	memset(p->until, 0, 2 * (size_t)p->n_leaf * sizeof(*p->until));
	for (i = 0; i < p->n_block; i++)
		mark_placed(p, i);
	for (i = 0; i < n_op && p->steps <= MAX_STEPS; i++) {
		uint32_t k;

		p->n_found = 0;
		collect(p, 1, 0, p->n_leaf, rank[i], rank[i]);
		p->steps += p->n_found;
		qsort_r(p->found, p->n_found, sizeof(*p->found), by_size, p);
		for (k = 0; k < p->n_found; k++) {
			struct block *b = &p->block[p->found[k]];

			/* `at` is free between attempts: here it tells what is in the order. */
			if (b->at != KERF_MEMPLAN_NONE)
				p->order[n++] = p->found[k];
			b->at = KERF_MEMPLAN_NONE;
		}
	}
	free(rank);
	return p->steps <= MAX_STEPS ? 0 : -E2BIG;
}

static int place_best(struct planner *p, struct kerf_memplan *plan)
{
	size_t bytes;
	int r;

	order_by_size(p);
	if (!place_all(p, &plan->bytes))
		plan->bytes = place_by_class(p);
	keep(p);
	if (plan->bytes == plan->lower_bound || p->steps > MAX_STEPS)
		return 0;
	r = order_by_breadth(p);
	if (r)
		return r == -E2BIG ? 0 : r;
	if (place_all(p, &bytes) && bytes < plan->bytes) {
		plan->bytes = bytes;
		keep(p);
	}
	return 0;
}

int kerf_memplan_make(const struct kerf_graph *g, const struct kerf_memplan_needs *needs,
		      size_t *scratch_offset, struct kerf_memplan *plan)
{
	size_t nv = g->n_value, no = g->n_op, max = nv + no + 1;
	struct planner p = {.g = g, .needs = needs, .n_leaf = 1};
	int r = -ENOMEM;
	uint32_t i;

	memset(plan, 0, sizeof(*plan));
	while (p.n_leaf < max)
		p.n_leaf *= 2;
	plan->offset = malloc((nv + 1) * sizeof(*plan->offset));
	plan->root = p.root = malloc((nv + 1) * sizeof(*p.root));
	p.outside = malloc(nv + 1);
	p.last = malloc((nv + 1) * sizeof(*p.last));
	p.block = malloc(max * sizeof(*p.block));
	p.breadth = calloc(no + 2, sizeof(*p.breadth));
	p.order = malloc(max * sizeof(*p.order));
	p.found = malloc(max * sizeof(*p.found));
	p.until = malloc(2 * (size_t)p.n_leaf * sizeof(*p.until));
	if (!plan->offset || !p.root || !p.outside || !p.last || !p.block || !p.breadth ||
	    !p.order || !p.found || !p.until)
		goto out;
	assign_roots(&p);
	r = make_blocks(&p, plan->offset, scratch_offset);
	if (r)
		goto out;
	plan->lower_bound = find_breadth(&p);
	r = place_best(&p, plan);
	if (r)
		goto out;
	for (i = 0; i < p.n_block; i++)
		*p.block[i].offset = p.block[i].best;
	for (i = 0; i < nv; i++)
		plan->offset[i] = plan->offset[plan->root[i]];
out:
	free(p.outside);
	free(p.last);
	free(p.block);
	free(p.breadth);
	free(p.order);
	free(p.found);
	free(p.until);
	if (r)
		kerf_memplan_finish(plan);
	return r;
}

void kerf_memplan_finish(struct kerf_memplan *plan)
{
	free(plan->offset);
	free(plan->root);
	memset(plan, 0, sizeof(*plan));
}
