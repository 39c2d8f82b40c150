/* SPDX-License-Identifier: MIT */
#include "steer/view.h"

#include "telemetry/load.h"
#include "util/clock.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SETTLE_NS 500000000u /* some windows: more than the first one takes */

void kerf_view_links(struct kerf_telemetry *t, const struct kerf_cluster *c,
		     struct kerf_cluster_view *view)
{
	char url[KERF_URL_BYTES];
	uint32_t i;

	for (i = 0; t && i < c->n_engine; i++) {
		kerf_cluster_url(c, i, url);
		if (!url[0])
			continue;
		kerf_telemetry_estimate(t, url, false, &view->up[i]);
		kerf_telemetry_estimate(t, url, true, &view->down[i]);
	}
}

void kerf_view_past(struct kerf_telemetry *t, const struct kerf_cluster *c,
		    struct kerf_cluster_view *view)
{
	char url[KERF_URL_BYTES], busiest[KERF_URL_BYTES] = "";
	uint64_t all, most = 0;
	uint32_t i;

	for (i = 0; t && i < c->n_engine; i++) {
		kerf_cluster_url(c, i, url);
		if (!url[0])
			continue;
		kerf_telemetry_rates(t, url, NULL, 0, &all);
		if (all > most) {
			most = all;
			memcpy(busiest, url, sizeof(busiest));
		}
	}
	view->n_past_rate =
		most ? kerf_telemetry_rates(t, busiest, view->past_rate, KERF_MAX_PAST, NULL) : 0;
}

/*
 * A state that was made after now, with CPU figures in it if there are any: a command that has just
 * begun has not measured anything yet, and one node's load without another's would mislead.
 */
static void settled_state(struct kerf_telemetry *t, struct kerf_state *s)
{
	const struct timespec nap = {.tv_nsec = 5000000};
	uint64_t begin = kerf_now_ns();

	do
		kerf_telemetry_state(t, s);
	while ((s->updated_ns < begin || !(s->node[0].load.has & KERF_LOAD_HAS_CPU)) &&
	       kerf_now_ns() - begin < SETTLE_NS && !nanosleep(&nap, NULL));
}

/*
 * Waiting and running on an engine of a node; device begins with its name there, "cpu on HOST:
 * ...".
 */
static double jobs_of(const struct kerf_node_state *node, const char *device)
{
	uint32_t i;

	for (i = 0; i < KERF_MIN(node->load.n_engine, KERF_NODE_LOAD_ENGINES); i++) {
		const struct kerf_engine_load *e = &node->load.engine[i];
		size_t n = strnlen(e->name, sizeof(e->name));

		if (n && !strncmp(device, e->name, n) && !strncmp(device + n, " on ", 4))
			return e->depth + e->running;
	}
	return 0;
}

/* The state's place of engine i's node; n_node if it has none. node[0] is this one. */
static uint32_t node_at(const struct kerf_state *s, const struct kerf_cluster *c, uint32_t i)
{
	char url[KERF_URL_BYTES];
	uint32_t n;

	kerf_cluster_url(c, i, url);
	/* A peer whose URL is too long has no place. */
	for (n = c->info[i].remote; n && n < s->n_node && strcmp(s->node[n].url, url); n++)
		;
	return n;
}

double kerf_view_power(struct kerf_telemetry *t, const struct kerf_cluster *c, uint32_t i)
{
	struct kerf_state *s = t ? malloc(sizeof(*s)) : NULL;
	double w = 0;
	uint32_t n;

	if (!s)
		return 0;
	kerf_telemetry_state(t, s);
	n = node_at(s, c, i);
	if (n < s->n_node && s->node[n].load.has & KERF_LOAD_HAS_POWER)
		w = s->node[n].load.power_mw * 1e-3;
	free(s);
	return w;
}

void kerf_view_loads(struct kerf_telemetry *t, const struct kerf_cluster *c, bool settle,
		     struct kerf_cluster_view *view)
{
	struct kerf_state *s = t ? malloc(sizeof(*s)) : NULL;
	uint32_t i, n;

	if (!s)
		return;
	if (settle)
		settled_state(t, s);
	else
		kerf_telemetry_state(t, s);
	for (i = 0; i < c->n_engine; i++) {
		n = node_at(s, c, i);
		if (c->info[i].threads && n < s->n_node &&
		    s->node[n].load.has & KERF_LOAD_HAS_CPU)
			view->slowdown[i] =
				kerf_load_slowdown(&s->node[n].load, c->info[i].threads);
		if (n < s->n_node && c->info[i].remote)
			view->others[i] = jobs_of(&s->node[n], c->info[i].device);
		if (n < s->n_node && s->node[n].load.has & KERF_LOAD_HAS_POWER)
			view->node_w[i] = s->node[n].load.power_mw * 1e-3;
	}
	free(s);
}
