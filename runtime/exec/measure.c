/* SPDX-License-Identifier: MIT */
#include "exec/measure.h"

#include "util/clock.h"
#include "util/rng.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_RUNS 1000

static void fill(struct kerf_tensor *t, struct kerf_rng *rng)
{
	int64_t n = kerf_tensor_count(t), i;

	for (i = 0; i < n; i++) {
		float f = 2 * kerf_rng_float(rng) - 1;
		bool pixel = t->dtype == KERF_U8 || t->dtype == KERF_I8;
		uint64_t small = kerf_rng_below(rng, pixel ? 256 : 2);

		switch (t->dtype) {
		case KERF_F32: ((float *)t->data)[i] = f; break;
		case KERF_F64: ((double *)t->data)[i] = (double)f; break;
		case KERF_F16: ((uint16_t *)t->data)[i] = kerf_f32_to_f16(f); break;
		case KERF_BF16: ((uint16_t *)t->data)[i] = kerf_f32_to_bf16(f); break;
		default: /* integers: little endian, so the low byte is the value */
			((uint8_t *)t->data)[(size_t)i * kerf_dtype_size(t->dtype)] =
				(uint8_t)small;
		}
	}
}

int kerf_io_make(const struct kerf_graph *g, uint64_t seed, struct kerf_io *io)
{
	return kerf_io_make_on(NULL, g, seed, io);
}

int kerf_io_make_on(struct kerf_engine *e, const struct kerf_graph *g, uint64_t seed,
		    struct kerf_io *io)
{
	struct kerf_rng rng;
	uint32_t i;

	kerf_rng_seed(&rng, seed);
	io->engine = e;
	io->n_in = g->n_in;
	io->n_out = g->n_out;
	io->in = calloc(g->n_in + 1, sizeof(*io->in));
	io->out = calloc(g->n_out + 1, sizeof(*io->out));
	if (!io->in || !io->out)
		goto fail;
	for (i = 0; i < g->n_in; i++) {
		io->in[i] = g->value[g->in[i]].t;
		io->in[i].data = kerf_engine_alloc(e, kerf_tensor_bytes(&io->in[i]));
		if (!io->in[i].data)
			goto fail;
		fill(&io->in[i], &rng);
	}
	for (i = 0; i < g->n_out; i++) {
		io->out[i] = g->value[g->out[i]].t;
		io->out[i].data = kerf_engine_alloc(e, kerf_tensor_bytes(&io->out[i]));
		if (!io->out[i].data)
			goto fail;
	}
	return 0;
fail:
	kerf_io_finish(io);
	return -ENOMEM;
}

void kerf_io_finish(struct kerf_io *io)
{
	uint32_t i;

	for (i = 0; io->in && i < io->n_in; i++)
		kerf_engine_free(io->engine, io->in[i].data);
	for (i = 0; io->out && i < io->n_out; i++)
		kerf_engine_free(io->engine, io->out[i].data);
	free(io->in);
	free(io->out);
	memset(io, 0, sizeof(*io));
}

void kerf_engine_words(const struct kerf_engine_info *info, char *out, size_t size)
{
	snprintf(out, size, "%s: %s", info->kind, info->device);
}

int kerf_measure_profile(struct kerf_engine *e, struct kerf_graph *g, double seconds,
			 uint32_t min_runs, struct kerf_profile *p, struct kerf_err *err)
{
	struct kerf_engine_info info;
	struct kerf_program *program = NULL;
	struct kerf_io io = {0};
	uint64_t *ns = NULL, until;
	uint32_t runs = 0;
	int r;

	memset(p, 0, sizeof(*p));
	e->ops->describe(e, &info);
	if (!e->ops->profile)
		return kerf_fail(err, -EOPNOTSUPP, "engine %s cannot profile", info.name);
	r = e->ops->prepare(e, g, &program, err);
	if (!r)
		r = kerf_io_make_on(e, g, 1, &io);
	if (r)
		goto out;
	ns = malloc(((size_t)g->n_op * MAX_RUNS + 1) * sizeof(*ns));
	r = ns ? e->ops->profile(program, io.in, io.out, ns) : -ENOMEM;
	until = kerf_now_ns() + (uint64_t)(seconds * 1e9);
	while (!r && runs < MAX_RUNS && (runs < min_runs || kerf_now_ns() < until)) {
		r = e->ops->profile(program, io.in, io.out, ns + (size_t)runs * g->n_op);
		runs++;
	}
	if (!r)
		r = kerf_profile_reduce(p, ns, g->n_op, runs);
	if (r)
		goto out;
	r = kerf_profile_describe(p, g);
	if (r)
		kerf_profile_finish(p);
	kerf_engine_words(&info, p->engine, sizeof(p->engine));
	snprintf(p->machine, sizeof(p->machine), "%s", info.machine);
out:
	kerf_fail(r ? err : NULL, r, "engine %s: cannot profile: %s", info.name, strerror(-r));
	if (program)
		e->ops->release(program);
	kerf_io_finish(&io);
	free(ns);
	return r;
}
