/* SPDX-License-Identifier: MIT */
/*
 * What an observer of the remote engine is told, a line each: "up BYTES TIME_S HOLD_S",
 * "down BYTES TIME_S 0", "load TEXT". Runs RUNS jobs of the first N_OPS operators of MODEL
 * (0: all) on an engine of another node. For tests/net/ and for looking at a link by eye.
 */
#include "exec/engine.h"
#include "exec/measure.h"
#include "graph/import.h"
#include "graph/slice.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void on_transfer(void *user, const char *url, const struct kerf_transfer *t)
{
	pthread_mutex_lock(&lock);
	printf("%s %llu %.6f %.6f\n", t->down ? "down" : "up", (unsigned long long)t->bytes,
	       (double)(t->end_ns - t->start_ns - t->hold_ns) * 1e-9, (double)t->hold_ns * 1e-9);
	pthread_mutex_unlock(&lock);
}

static void on_load(void *user, const char *url, const char *text, size_t n)
{
	pthread_mutex_lock(&lock);
	printf("load %.*s\n", (int)n, text);
	pthread_mutex_unlock(&lock);
}

/* The first n operators, or a reference to all. */
static int cut(struct kerf_graph *g, uint32_t n, struct kerf_graph **slice, struct kerf_err *err)
{
	struct kerf_slice_spec spec = {.n_op = n};
	uint32_t *ids, i;
	int r;

	if (!n) {
		*slice = kerf_graph_ref(g);
		return 0;
	}
	if (n > g->n_op)
		return kerf_fail(err, -EINVAL, "%u operators, the model has %u", n, g->n_op);
	ids = malloc(n * sizeof(*ids));
	if (!ids)
		return -ENOMEM;
	for (i = 0; i < n; i++)
		ids[i] = i;
	spec.op = ids;
	r = kerf_slice_make(g, &spec, slice, err);
	free(ids);
	return r;
}

static int run(char **argv, struct kerf_err *err)
{
	const struct kerf_observer observer = {.transfer = on_transfer, .load = on_load};
	const struct kerf_engine_config cfg = {.insecure = true, .depth = 1, .observer = &observer};
	struct kerf_graph *g = NULL, *slice = NULL;
	struct kerf_program *p = NULL;
	struct kerf_engine *e = NULL;
	struct kerf_io io = {0};
	int n = atoi(argv[4]);
	int r = kerf_model_load(argv[2], NULL, &g, err);

	if (!r)
		r = cut(g, (uint32_t)atoi(argv[3]), &slice, err);
	if (!r)
		r = kerf_engine_open(argv[1], &cfg, &e, err);
	if (!r)
		r = e->ops->prepare(e, slice, &p, err);
	if (!r)
		r = kerf_io_make_on(e, slice, 1, &io);
	while (!r && n--) {
		r = kerf_engine_run(p, io.in, io.out, NULL);
		kerf_fail(r ? err : NULL, r, "%s", kerf_job_text(r));
	}
	kerf_io_finish(&io);
	if (p)
		e->ops->release(p);
	kerf_engine_close(e);
	kerf_graph_unref(slice);
	kerf_graph_unref(g);
	return r;
}

int main(int argc, char **argv)
{
	struct kerf_err err = {""};
	int r;

	if (argc != 5) {
		fprintf(stderr, "usage: watch_jobs URL/ENGINE MODEL N_OPS RUNS\n");
		return 2;
	}
	r = run(argv, &err);
	if (r)
		fprintf(stderr, "watch_jobs: %s\n", err.msg[0] ? err.msg : strerror(-r));
	return r ? 1 : 0;
}
