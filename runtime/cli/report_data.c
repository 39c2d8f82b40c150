/* SPDX-License-Identifier: MIT */
#include "cli/report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct reading {
	struct kerf_report *r;
	uint8_t series[KERF_STATE_NODES]; /* of each place; NONE */
	uint64_t epoch;
};

#define NONE 255

const char *kerf_report_label(const struct kerf_report_series *s)
{
	return !s->url[0] ? "this node" : !strncmp(s->url, "http://", 7) ? s->url + 7 : s->url;
}

/* --- Figures --- */

static double seconds(const struct kerf_report *r, uint64_t t_ns)
{
	return (double)(KERF_MIN(KERF_MAX(t_ns, r->begin_ns), r->end_ns) - r->begin_ns) / 1e9;
}

static int set(const struct kerf_report *r, struct kerf_report_column **line, uint64_t t_ns,
	       double v)
{
	uint64_t span = r->end_ns - r->begin_ns;
	struct kerf_report_column *c;
	float value = (float)v;

	if (!*line && !(v > 0))
		return 0;
	if (!*line)
		*line = calloc(KERF_REPORT_COLUMNS, sizeof(**line));
	if (!*line)
		return -ENOMEM;
	c = *line + (span ? (size_t)((double)(t_ns - r->begin_ns) / (double)span *
				     (KERF_REPORT_COLUMNS - 1))
			  : 0);
	c->ends = !(v > 0);
	if (c->ends)
		return 0;
	if (!c->any)
		c->first = c->min = c->max = value;
	c->min = fminf(c->min, value);
	c->max = fmaxf(c->max, value);
	c->last = value;
	c->any = true;
	return 0;
}

static uint8_t find_series(struct kerf_report *r, const char *url)
{
	uint32_t i;

	for (i = 0; i < r->n_series; i++)
		if (!strcmp(r->series[i].url, url))
			return (uint8_t)i;
	if (r->n_series == KERF_REPORT_SERIES) {
		r->more_series++;
		return NONE;
	}
	snprintf(r->series[r->n_series].url, KERF_URL_BYTES, "%s", url);
	return (uint8_t)r->n_series++;
}

/* A node that left, or made way for another, is not known any more. */
static int end_series(struct kerf_report *r, uint8_t s, uint64_t t_ns)
{
	uint32_t i;
	int ret = 0;

	for (i = 0; i < KERF_N_REPORT_FIGURE && !ret && s != NONE; i++)
		ret = set(r, &r->series[s].figure[i], t_ns, 0);
	return ret;
}

static int take_node(struct reading *in, const struct kerf_trace_rec *rec)
{
	const struct kerf_node_state *n = &rec->u.node;
	const struct kerf_node_load *l = &n->load;
	struct kerf_report *r = in->r;
	uint8_t s = rec->node && !n->url[0] ? NONE : find_series(r, rec->node ? n->url : "");
	double v[KERF_N_REPORT_FIGURE] = {0};
	uint32_t i;
	int ret = 0;

	if (in->series[rec->node] != s)
		ret = end_series(r, in->series[rec->node], rec->t_ns);
	in->series[rec->node] = s;
	if (s == NONE || ret)
		return ret;
	v[KERF_REPORT_UP] = (double)n->up.rate_bytes_s * 8e-6;
	v[KERF_REPORT_DOWN] = (double)n->down.rate_bytes_s * 8e-6;
	v[KERF_REPORT_RTT] = n->rtt_us * 1e-3;
	if (l->has & KERF_LOAD_HAS_CPU && l->n_cpu) {
		/* An idle node is known to be idle: not quite 0. */
		v[KERF_REPORT_BUSY] =
			fmax(1e-3, ((double)l->fair_permille + l->rt_permille + l->own_permille) /
					   l->n_cpu * 0.1);
		v[KERF_REPORT_SLOWDOWN] = l->slowdown_permille * 1e-3;
	}
	for (i = 0; i < KERF_N_REPORT_FIGURE && !ret; i++)
		ret = set(r, &r->series[s].figure[i], rec->t_ns, v[i]);
	return ret;
}

static int take_transfer(struct reading *in, const struct kerf_trace_rec *rec)
{
	const struct kerf_transfer *t = &rec->u.transfer;
	struct kerf_report *r = in->r;
	uint64_t took = t->end_ns - t->start_ns - t->hold_ns;

	if (in->series[rec->node] == NONE || !took)
		return 0;
	if (r->n_transfer == r->max_transfer) {
		size_t max = r->max_transfer ? 2 * r->max_transfer : 1024;
		void *p = reallocarray(r->transfer, max, sizeof(*r->transfer));

		if (!p)
			return -ENOMEM;
		r->transfer = p;
		r->max_transfer = max;
	}
	r->transfer[r->n_transfer++] =
		(struct kerf_report_transfer){.t_s = seconds(r, rec->t_ns),
					      .actual_s = (double)took / 1e9,
					      .bytes = (double)t->bytes,
					      .predicted_s = rec->predicted_s,
					      .low_s = rec->low_s,
					      .high_s = rec->high_s,
					      .series = in->series[rec->node],
					      .down = t->down};
	return 0;
}

static int add_event(struct kerf_report *r, uint64_t t_ns, bool mark, const char *label,
		     const char *text)
{
	struct kerf_report_event *e = &r->event[r->n_event];

	if (r->n_event == KERF_REPORT_EVENTS) {
		r->more_events++;
		return 0;
	}
	e->t_s = seconds(r, t_ns);
	e->mark = mark;
	snprintf(e->label, sizeof(e->label), "%s", label);
	e->text = strdup(text);
	if (!e->text)
		return -ENOMEM;
	r->n_event++;
	return 0;
}

static int take_plan(struct reading *in, const struct kerf_trace_rec *rec)
{
	const struct kerf_plan_note *p = &rec->u.plan;
	struct kerf_report *r = in->r;
	char label[64], text[1024];
	int ret;

	ret = set(r, &r->observed_ms, rec->t_ns, (double)p->observed_ns * 1e-6);
	if (!ret)
		ret = set(r, &r->predicted_ms, rec->t_ns, (double)p->predicted_ns * 1e-6);
	if (ret || p->epoch == in->epoch)
		return ret;
	in->epoch = p->epoch;
	r->plans++;
	snprintf(label, sizeof(label), "plan %llu", (unsigned long long)p->epoch);
	snprintf(text, sizeof(text), "plan %llu of %s for %s, %u steps: %s%s%s",
		 (unsigned long long)p->epoch, p->policy, p->model, p->n_step, p->reason,
		 p->changed[0] ? "; instead of the one before: " : "", p->changed);
	return add_event(r, rec->t_ns, false, label, text);
}

static int take(struct reading *in, const struct kerf_trace_rec *rec)
{
	switch (rec->kind) {
	case KERF_TRACE_NODE: return take_node(in, rec);
	case KERF_TRACE_TRANSFER: return take_transfer(in, rec);
	case KERF_TRACE_PLAN: return take_plan(in, rec);
	case KERF_TRACE_MARK:
		in->r->marks++;
		return add_event(in->r, rec->t_ns, true, rec->u.mark, rec->u.mark);
	default: return 0;
	}
}

/* --- The file --- */

/* in NULL: when it begins and ends. */
static int pass(const char *path, struct kerf_report *r, struct reading *in, struct kerf_err *err)
{
	struct kerf_trace_reader *from;
	struct kerf_trace_rec rec;
	int ret = kerf_trace_open(path, &from, err);

	if (ret)
		return ret;
	while ((ret = kerf_trace_next(from, &rec, err)) == 1) {
		if (!in) {
			r->begin_ns = r->records++ ? r->begin_ns : rec.t_ns;
			r->end_ns = rec.t_ns;
			continue;
		}
		/* The file may have grown since: what is new belongs to the next report. */
		if (rec.t_ns > r->end_ns || rec.t_ns < r->begin_ns)
			break;
		ret = take(in, &rec);
		if (ret)
			break;
	}
	kerf_trace_close(from);
	return ret < 0 ? ret : 0;
}

int kerf_report_read(const char *path, struct kerf_report *r, struct kerf_err *err)
{
	struct reading in = {.r = r};
	int ret;

	memset(r, 0, sizeof(*r));
	memset(in.series, NONE, sizeof(in.series));
	ret = pass(path, r, NULL, err);
	if (!ret && !r->records)
		ret = kerf_fail(err, -EINVAL, "%s: expected records, found none", path);
	return ret ? ret : pass(path, r, &in, err);
}

void kerf_report_finish(struct kerf_report *r)
{
	uint32_t i, k;

	for (i = 0; i < r->n_series; i++)
		for (k = 0; k < KERF_N_REPORT_FIGURE; k++)
			free(r->series[i].figure[k]);
	for (i = 0; i < r->n_event; i++)
		free(r->event[i].text);
	free(r->observed_ms);
	free(r->predicted_ms);
	free(r->transfer);
	memset(r, 0, sizeof(*r));
}

/* --- Scores --- */

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Of sorted values; the mean of the two in the middle of an even number. */
static double quantile(const double *v, size_t n, double q)
{
	double at = q * (double)(n - 1);
	size_t i = (size_t)at;

	return i + 1 < n ? v[i] + (at - (double)i) * (v[i + 1] - v[i]) : v[n - 1];
}

int kerf_report_score(const struct kerf_report *r, uint32_t series, bool down,
		      struct kerf_report_score *score)
{
	double *rate = malloc((2 * r->n_transfer + 1) * sizeof(*rate)),
	       *error = rate + r->n_transfer;
	size_t i, in_band = 0;

	memset(score, 0, sizeof(*score));
	if (!rate)
		return -ENOMEM;
	for (i = 0; i < r->n_transfer; i++) {
		const struct kerf_report_transfer *t = &r->transfer[i];

		if (t->series != series || t->down != down)
			continue;
		score->bytes += t->bytes;
		rate[score->transfers++] = t->bytes / t->actual_s;
		if (!(t->predicted_s > 0))
			continue;
		error[score->predicted++] = fabs(t->predicted_s - t->actual_s) / t->actual_s;
		in_band += t->low_s <= t->actual_s && t->actual_s <= t->high_s;
	}
	qsort(rate, score->transfers, sizeof(*rate), by_value);
	qsort(error, score->predicted, sizeof(*error), by_value);
	if (score->transfers)
		score->goodput_bytes_s = quantile(rate, score->transfers, 0.5);
	if (score->predicted) {
		score->median_error = quantile(error, score->predicted, 0.5);
		score->p90_error = quantile(error, score->predicted, 0.9);
		score->coverage = (double)in_band / (double)score->predicted;
	}
	free(rate);
	return 0;
}
