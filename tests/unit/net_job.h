/* SPDX-License-Identifier: MIT */
/* Jobs on an engine of a node: the model's graph, its program, inputs and outputs; for tests. */
#ifndef KERF_TESTS_NET_JOB_H
#define KERF_TESTS_NET_JOB_H

#include "net_node.h"

#include "exec/engine.h"
#include "util/rng.h"

#include <stdlib.h>

/* The node's model with so many rows, loaded as any client would. */
static inline struct kerf_graph *net_load(const struct test_node *n, int64_t rows)
{
	struct kerf_input_fix fix[2] = {{"x", {.rank = 2, .dims = {rows, 5}}},
					{"y", {.rank = 2, .dims = {rows, 5}}}};
	struct kerf_load_options opt = {.n_fix = 2, .fix = fix};
	struct kerf_err err = {""};
	struct kerf_graph *g;

	if (kerf_model_load(n->model, &opt, &g, &err))
		net_die("load", &err);
	return g;
}

static inline struct kerf_engine *net_engine_watched(const char *url, const char *name,
						     uint32_t depth,
						     const struct kerf_observer *observer)
{
	struct kerf_engine_config cfg = {.depth = depth, .observer = observer};
	struct kerf_err err = {""};
	struct kerf_engine *e;
	char spec[96];

	snprintf(spec, sizeof(spec), "%s/%s", url, name);
	if (kerf_engine_open(spec, &cfg, &e, &err))
		net_die(spec, &err);
	return e;
}

static inline struct kerf_engine *net_engine(const char *url, const char *name, uint32_t depth)
{
	return net_engine_watched(url, name, depth, NULL);
}

static inline struct kerf_program *net_prepare(struct kerf_engine *e, struct kerf_graph *g)
{
	struct kerf_err err = {""};
	struct kerf_program *p;

	if (e->ops->prepare(e, g, &p, &err))
		net_die("prepare", &err);
	return p;
}

/* Random inputs, zeroed outputs of a graph. */
struct net_io {
	struct kerf_tensor in[8], out[8];
	uint32_t n_in, n_out;
};

static inline void net_io_init(struct net_io *io, const struct kerf_graph *g, uint64_t seed)
{
	struct kerf_rng rng;
	uint32_t i;
	int64_t k;

	kerf_rng_seed(&rng, seed);
	io->n_in = g->n_in;
	io->n_out = g->n_out;
	for (i = 0; i < g->n_in; i++) {
		io->in[i] = g->value[g->in[i]].t;
		io->in[i].data = kerf_tensor_alloc(kerf_tensor_bytes(&io->in[i]));
		for (k = 0; k < kerf_tensor_count(&io->in[i]); k++)
			((float *)io->in[i].data)[k] = (float)kerf_rng_below(&rng, 1000) / 100 - 5;
	}
	for (i = 0; i < g->n_out; i++) {
		io->out[i] = g->value[g->out[i]].t;
		io->out[i].data = kerf_tensor_alloc(kerf_tensor_bytes(&io->out[i]));
	}
}

static inline void net_io_finish(struct net_io *io)
{
	uint32_t i;

	for (i = 0; i < io->n_in; i++)
		free(io->in[i].data);
	for (i = 0; i < io->n_out; i++)
		free(io->out[i].data);
}

/* Deletes one of the node's slices, as if it were gone for another reason. */
static inline void net_drop_slice(const struct test_node *n)
{
	static char body[1 << 16];
	char request[256], *name;

	if (net_exchange(n, "GET /kerf/v1/status HTTP/1.1\r\nHost: x\r\n\r\n", body, sizeof(body)) != 200)
		net_die("status", NULL);
	name = strstr(body, "kerf-slice-");
	if (!name)
		net_die("no slice", NULL);
	snprintf(request, sizeof(request), "DELETE /kerf/v1/slices/%.16s HTTP/1.1\r\nHost: x\r\n\r\n",
		 name + strlen("kerf-slice-"));
	if (net_exchange(n, request, body, sizeof(body)) != 200)
		net_die("delete", NULL);
}

#endif
