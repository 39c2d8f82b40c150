/* SPDX-License-Identifier: MIT */
/* How much longer a job takes when n clients ask one engine at once, each after its last answer. */
#include "exec/measure.h"
#include "util/clock.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MIN_JOBS 3
#define START_NS 5000000u /* until all clients are there */

struct client {
	struct kerf_program *program;
	struct kerf_io io;
	pthread_t thread;
	uint64_t begin_ns, end_ns, sum_ns;
	uint32_t jobs;
	int result;
};

static void *ask(void *arg)
{
	struct client *c = arg;
	uint64_t now = kerf_now_ns(), begin;

	if (now < c->begin_ns) {
		const struct timespec nap = {.tv_nsec = (long)(c->begin_ns - now)};

		nanosleep(&nap, NULL);
	}
	while (!c->result && (c->jobs < MIN_JOBS || kerf_now_ns() < c->end_ns)) {
		begin = kerf_now_ns();
		c->result = kerf_engine_run(c->program, c->io.in, c->io.out, NULL);
		c->sum_ns += kerf_now_ns() - begin;
		c->jobs++;
	}
	return NULL;
}

/* n clients for some time: the mean of a job's time over all of them. */
static int run_clients(struct client *client, uint32_t n, double seconds, double *mean_s)
{
	uint64_t begin = kerf_now_ns() + START_NS, sum = 0;
	uint32_t i, made, jobs = 0;
	int r = 0;

	for (made = 0; made < n; made++) {
		struct client *c = &client[made];

		c->begin_ns = begin;
		c->end_ns = begin + (uint64_t)(seconds * 1e9);
		c->sum_ns = 0;
		c->jobs = 0;
		c->result = 0;
		r = -pthread_create(&c->thread, NULL, ask, c);
		if (r)
			break;
	}
	for (i = 0; i < made; i++) {
		pthread_join(client[i].thread, NULL);
		if (!r)
			r = client[i].result;
		sum += client[i].sum_ns;
		jobs += client[i].jobs;
	}
	*mean_s = jobs ? (double)sum * 1e-9 / jobs : 0;
	return r;
}

int kerf_measure_sharing(struct kerf_engine *e, struct kerf_graph *g, double seconds, uint32_t n,
			 struct kerf_engine_cost *cost, struct kerf_err *err)
{
	struct client client[KERF_SHARING_MAX];
	struct kerf_program *program = NULL;
	uint32_t i;
	int r;

	if (!n || n > KERF_SHARING_MAX)
		return kerf_fail(err, -EINVAL, "%u clients, expected 1 to %d", n, KERF_SHARING_MAX);
	memset(client, 0, sizeof(client));
	r = e->ops->prepare(e, g, &program, err);
	for (i = 0; i < n && !r; i++) {
		client[i].program = program;
		r = kerf_io_make_on(e, g, 1 + i, &client[i].io);
	}
	if (!r) /* warm up */
		r = kerf_engine_run(program, client[0].io.in, client[0].io.out, NULL);
	for (i = 0; i < n && !r; i++)
		r = run_clients(client, i + 1, seconds / n, &cost->sharing_s[i]);
	cost->has_sharing = !r;
	if (!r) {
		cost->n_sharing = n;
		cost->sharing_d = kerf_sharing_fit(cost->sharing_s, n, &cost->sharing_error);
	}
	for (i = 0; i < n; i++)
		kerf_io_finish(&client[i].io);
	if (program)
		e->ops->release(program);
	return r;
}
