/* SPDX-License-Identifier: MIT */
#include "sim/sim.h"

#include "sim/planner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int by_latency(const void *a, const void *b)
{
	const struct kerf_sim_record *x = a, *y = b;

	return (x->latency > y->latency) - (x->latency < y->latency);
}

static int by_home_and_latency(const void *a, const void *b)
{
	const struct kerf_sim_record *x = a, *y = b;

	if (x->home != y->home)
		return x->home < y->home ? -1 : 1;
	return by_latency(a, b);
}

/* Of n sorted records, by the nearest rank. */
static double percentile(const struct kerf_sim_record *r, size_t n, double q)
{
	size_t rank = (size_t)ceil(q * (double)n);

	return n ? (double)r[rank ? rank - 1 : 0].latency : 0;
}

static struct kerf_sim_latency latency_of(const struct kerf_sim_record *r, size_t n)
{
	struct kerf_sim_latency l = {.n = n};
	size_t i;

	for (i = 0; i < n; i++)
		l.mean += (double)r[i].latency / (double)n;
	l.p50 = percentile(r, n, 0.5);
	l.p90 = percentile(r, n, 0.9);
	l.p99 = percentile(r, n, 0.99);
	l.max = percentile(r, n, 1);
	return l;
}

double kerf_sim_node_idle_j(const struct kerf_sim *sim, uint32_t node)
{
	const struct kerf_sim_node *n = &sim->world.node[node];
	double down = n->down_s + (n->down ? sim->world.end_s - n->down_since : 0);

	return n->idle_w * fmax(sim->world.end_s - down, 0);
}

int kerf_sim_result(const struct kerf_sim *sim, struct kerf_sim_result *r)
{
	const struct kerf_sim_world *w = &sim->world;
	struct kerf_sim_record *sorted = malloc((w->n_record + 1) * sizeof(*sorted));
	size_t a, b;
	uint32_t i;

	memset(r, 0, sizeof(*r));
	r->node = calloc(w->n_node + 1, sizeof(*r->node));
	if (!sorted || !r->node) {
		free(sorted);
		return -ENOMEM;
	}
	if (w->n_record) {
		memcpy(sorted, w->record, w->n_record * sizeof(*sorted));
		qsort(sorted, w->n_record, sizeof(*sorted), by_home_and_latency);
	}
	for (a = 0; a < w->n_record; a = b) {
		for (b = a + 1; b < w->n_record && sorted[b].home == sorted[a].home; b++)
			;
		r->node[sorted[a].home] = latency_of(sorted + a, b - a);
	}
	if (w->n_record)
		qsort(sorted, w->n_record, sizeof(*sorted), by_latency);
	r->all = latency_of(sorted, w->n_record);
	r->throughput_hz = w->end_s > 0 ? (double)w->done / w->end_s : 0;
	r->mean_in_system = w->end_s > 0 ? w->sum_in_system / w->end_s : 0;
	r->work_j = w->energy_j;
	for (i = 0; i < w->n_node; i++)
		r->idle_j += kerf_sim_node_idle_j(sim, i);
	free(sorted);
	return 0;
}

void kerf_sim_result_finish(struct kerf_sim_result *r)
{
	free(r->node);
	memset(r, 0, sizeof(*r));
}

static double busy_share(const struct kerf_sim_world *w, const struct kerf_sim_node *n)
{
	double busy = 0;
	uint32_t i;

	for (i = 0; i < n->n_engine; i++)
		busy = fmax(busy, w->engine[n->first_engine + i].server.busy_s);
	return w->end_s > 0 ? busy / w->end_s : 0;
}

static void csv_row(const struct kerf_sim_latency *l, FILE *f)
{
	fprintf(f, ",%.6g,%.6g,%.6g,%.6g,%.6g\n", l->mean, l->p50, l->p90, l->p99, l->max);
}

/* A name may hold anything: RFC 4180's quotes. */
static void csv_text(const char *text, FILE *f)
{
	fputc('"', f);
	for (; *text; text++) {
		if (*text == '"')
			fputc('"', f);
		fputc(*text, f);
	}
	fputc('"', f);
}

void kerf_sim_csv(const struct kerf_sim *sim, const struct kerf_sim_result *r, FILE *f)
{
	const struct kerf_sim_world *w = &sim->world;
	uint32_t i;

	fputs("node,arrived,done,lost,retried,replans,busy,work_j,idle_j,sent_bytes,received_bytes,"
	      "mean_s,p50_s,p90_s,p99_s,max_s\n", f);
	for (i = 0; i < w->n_node; i++) {
		const struct kerf_sim_node *n = &w->node[i];

		csv_text(n->name, f);
		fprintf(f, ",%llu,%llu,%llu,%llu,%llu,%.4f,%.6g,%.6g,%.0f,%.0f",
			(unsigned long long)n->arrived, (unsigned long long)n->done,
			(unsigned long long)n->lost, (unsigned long long)n->retried,
			(unsigned long long)n->replans, busy_share(w, n), n->energy_j,
			kerf_sim_node_idle_j(sim, i), n->sent_bytes, n->received_bytes);
		csv_row(&r->node[i], f);
	}
	fprintf(f, "all,%llu,%llu,%llu,%llu,%llu,,%.6g,%.6g,%.0f,%.0f",
		(unsigned long long)w->arrived, (unsigned long long)w->done,
		(unsigned long long)w->lost, (unsigned long long)w->retried,
		(unsigned long long)w->replans, r->work_j, r->idle_j, w->wire_bytes, w->wire_bytes);
	csv_row(&r->all, f);
}

static void json_text(const char *text, FILE *f)
{
	fputc('"', f);
	for (; *text; text++)
		if (*text == '"' || *text == '\\')
			fprintf(f, "\\%c", *text);
		else if ((unsigned char)*text < 0x20)
			fprintf(f, "\\u%04x", *text);
		else
			fputc(*text, f);
	fputc('"', f);
}

static void json_latency(const struct kerf_sim_latency *l, FILE *f)
{
	fprintf(f, "\"latency_s\":{\"n\":%llu,\"mean\":%.9g,\"p50\":%.9g,\"p90\":%.9g,\"p99\":%.9g,"
		   "\"max\":%.9g}",
		(unsigned long long)l->n, l->mean, l->p50, l->p90, l->p99, l->max);
}

static void json_engines(const struct kerf_sim_world *w, const struct kerf_sim_node *n, FILE *f)
{
	uint32_t i;

	fputs(",\"engines\":[", f);
	for (i = 0; i < n->n_engine; i++) {
		const struct kerf_sim_engine *e = &w->engine[n->first_engine + i];

		fputs(i ? ",{\"engine\":" : "{\"engine\":", f);
		json_text(e->name, f);
		fprintf(f, ",\"busy\":%.6g,\"jobs\":%llu,\"mean_line\":%.6g}",
			w->end_s > 0 ? e->server.busy_s / w->end_s : 0,
			(unsigned long long)e->server.served,
			w->end_s > 0 ? e->server.sum_n / w->end_s : 0);
	}
	fputs("]}", f);
}

/* Of each step of the duration; what comes after the end is in the last one. */
static void json_over_time(const struct kerf_sim_world *w, FILE *f)
{
	double step = w->duration_s / KERF_SIM_BINS;
	uint32_t i;

	fprintf(f, "\"over_time\":{\"step_s\":%.9g,\"steps\":[", step);
	for (i = 0; i < KERF_SIM_BINS; i++) {
		const struct kerf_sim_bin *b = &w->bin[i];

		fprintf(f, "%s\n{\"arrived\":%u,\"done\":%u,\"lost\":%u,\"replans\":%u,"
			   "\"mean_in_system\":%.6g,\"wire_bytes\":%.0f,\"work_j\":%.6g}",
			i ? "," : "", b->arrived, b->done, b->lost, b->replans, b->in_system / step,
			b->wire_bytes, b->energy_j);
	}
	fputs("]}", f);
}

void kerf_sim_json(const struct kerf_sim *sim, const struct kerf_sim_result *r, FILE *f)
{
	const struct kerf_sim_world *w = &sim->world;
	uint32_t i;

	fputs("{\"scenario\":", f);
	json_text(sim->s->name, f);
	fputs(",\"policy\":", f);
	json_text(sim->s->policy, f);
	fprintf(f, ",\"seed\":%llu,\"end_s\":%.9g,\"events\":%llu,\"arrived\":%llu,\"done\":%llu,"
		   "\"lost\":%llu,\"lost_without_plan\":%llu,\"retried\":%llu,\"replans\":%llu,"
		   "\"plans_made\":%llu,\"plans_kept\":%llu,\"throughput_hz\":%.9g,"
		   "\"mean_in_system\":%.9g,\"work_j\":%.9g,\"idle_j\":%.9g,\"wire_bytes\":%.0f,",
		(unsigned long long)sim->s->seed, w->end_s, (unsigned long long)w->events,
		(unsigned long long)w->arrived, (unsigned long long)w->done,
		(unsigned long long)w->lost, (unsigned long long)w->lost_unplanned,
		(unsigned long long)w->retried, (unsigned long long)w->replans,
		(unsigned long long)sim->plans_made, (unsigned long long)sim->plans_kept,
		r->throughput_hz, r->mean_in_system, r->work_j, r->idle_j, w->wire_bytes);
	json_latency(&r->all, f);
	if (sim->why_unplanned[0]) {
		fputs(",\"why_without_plan\":", f);
		json_text(sim->why_unplanned, f);
	}
	fputs(",\"nodes\":[", f);
	for (i = 0; i < w->n_node; i++) {
		const struct kerf_sim_node *n = &w->node[i];

		fputs(i ? ",\n{\"node\":" : "\n{\"node\":", f);
		json_text(n->name, f);
		fprintf(f, ",\"arrived\":%llu,\"done\":%llu,\"lost\":%llu,\"retried\":%llu,"
			   "\"replans\":%llu,\"work_j\":%.9g,\"idle_j\":%.9g,\"sent_bytes\":%.0f,"
			   "\"received_bytes\":%.0f,",
			(unsigned long long)n->arrived, (unsigned long long)n->done,
			(unsigned long long)n->lost, (unsigned long long)n->retried,
			(unsigned long long)n->replans, n->energy_j, kerf_sim_node_idle_j(sim, i),
			n->sent_bytes, n->received_bytes);
		json_latency(&r->node[i], f);
		json_engines(w, n, f);
	}
	fputs("],\n", f);
	json_over_time(w, f);
	fputs("}\n", f);
}
