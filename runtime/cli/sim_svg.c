/* SPDX-License-Identifier: MIT */
/*
 * Panels of one width: the latencies' distribution, then what happens over time, then who is busy.
 */
#include "cli/sim.h"
#include "cli/svg.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LEFT 70.0
#define PLOT 760.0
#define WIDTH (LEFT + PLOT + 40)
#define PANEL 130.0
#define STRIDE (PANEL + 62)
#define BARS 12
#define BAR 18.0
#define GRID "stroke=\"#e4e4e4\" stroke-width=\"1\""
#define QUIET "fill=\"#666\""

static const char blue[] = "#0072b2", red[] = "#d55e00", green[] = "#009e73";

struct panel {
	FILE *f;
	double top, max, x_max;
};

static double x_at(const struct panel *p, double x)
{
	return LEFT + x / p->x_max * PLOT;
}

static double y_at(const struct panel *p, double y)
{
	return p->top + PANEL - fmin(y / p->max, 1) * PANEL;
}

/* Title, and a grid from 0 to round numbers that cover max. */
static void begin(struct panel *p, const char *title, double max)
{
	double step = kerf_svg_step(max, 4), y;
	char text[32];
	int i, n = KERF_MAX((int)ceil(max / step - 1e-9), 1);

	p->max = step * n;
	kerf_svg_text(p->f, LEFT, p->top - 8, "font-weight=\"bold\" font-size=\"12\"", title, 0);
	for (i = 0; i <= n; i++) {
		y = y_at(p, step * i);
		snprintf(text, sizeof(text), "%g", step * i);
		kerf_svg_line(p->f, LEFT, y, LEFT + PLOT, y, GRID);
		kerf_svg_text(p->f, LEFT - 8, y + 4, "text-anchor=\"end\" " QUIET, text, 0);
	}
}

static void x_tick(const struct panel *p, double x, const char *text)
{
	kerf_svg_line(p->f, x, p->top, x, p->top + PANEL, GRID);
	kerf_svg_text(p->f, x, p->top + PANEL + 14, "text-anchor=\"middle\" " QUIET, text, 0);
}

static void time_axis(const struct panel *p)
{
	double step = kerf_svg_step(p->x_max, 10);
	char text[32];
	int i;

	for (i = 0; i * step <= p->x_max * (1 + 1e-9); i++) {
		snprintf(text, sizeof(text), "%g", i * step);
		x_tick(p, x_at(p, i * step), text);
	}
	kerf_svg_text(p->f, LEFT + PLOT / 2, p->top + PANEL + 28, "text-anchor=\"middle\" " QUIET,
		      "simulated time, s", 0);
}

/* What the lines are: colour and word, from the right. */
static void key(const struct panel *p, double x, const char *colour, const char *word)
{
	fprintf(p->f, "<rect x=\"%.1f\" y=\"%.1f\" width=\"14\" height=\"3\" fill=\"%s\"/>\n", x,
		p->top - 13, colour);
	kerf_svg_text(p->f, x + 18, p->top - 8, QUIET, word, 0);
}

/* y[i] over the middle of bin i; nothing where it is negative. */
static void line(const struct panel *p, const double *y, const char *colour)
{
	bool open = false;
	uint32_t i;

	for (i = 0; i < KERF_SIM_BINS; i++) {
		if (y[i] < 0) {
			fputs(open ? "\"/>\n" : "", p->f);
			open = false;
			continue;
		}
		if (!open)
			fprintf(p->f, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"1.4\" points=\"",
				colour);
		fprintf(p->f, "%.1f,%.1f ", LEFT + (i + 0.5) / KERF_SIM_BINS * PLOT, y_at(p, y[i]));
		open = true;
	}
	fputs(open ? "\"/>\n" : "", p->f);
}

static int compare(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

/* Share of requests within a latency, over its logarithm. */
static void distribution(struct panel *p, const float *sorted, size_t n)
{
	double lo = n ? log10(fmax((double)sorted[0], 1e-9)) : -3;
	double hi = n ? log10(fmax((double)sorted[n - 1], 1e-9)) : 0;
	int from = (int)floor(lo), to = KERF_MAX((int)ceil(hi), from + 1), e, k;
	static const int leads[] = {1, 2, 5};
	char text[32];
	size_t i;

	begin(p, "requests within a latency, %", 100);
	for (e = from; e <= to; e++)
		for (k = 0; k < 3 && (e < to || !k); k++) {
			double v = leads[k] * pow(10, e);

			snprintf(text, sizeof(text), "%g", v * 1e3);
			x_tick(p, LEFT + (log10(v) - from) / (to - from) * PLOT, text);
		}
	kerf_svg_text(p->f, LEFT + PLOT / 2, p->top + PANEL + 28, "text-anchor=\"middle\" " QUIET,
		      "latency, ms", 0);
	if (!n)
		return;
	fprintf(p->f, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"1.4\" points=\"", blue);
	for (k = 0; k <= 400; k++) {
		i = (size_t)((double)(n - 1) * k / 400);
		fprintf(p->f, "%.1f,%.1f ",
			LEFT + (log10(fmax((double)sorted[i], 1e-9)) - from) / (to - from) * PLOT,
			y_at(p, 100 * (double)(i + 1) / (double)n));
	}
	fputs("\"/>\n", p->f);
}

static int by_arrival(const void *a, const void *b)
{
	const struct kerf_sim_record *x = a, *y = b;

	if (x->arrived != y->arrived)
		return x->arrived < y->arrived ? -1 : 1;
	return (x->latency > y->latency) - (x->latency < y->latency);
}

/* Median and 99th percentile of the requests that arrived in each bin. sorted: room for all. */
static void over_time(struct panel *p, struct kerf_sim_record *r, size_t n, float *sorted)
{
	double p50[KERF_SIM_BINS], p99[KERF_SIM_BINS], max = 0;
	size_t a, b = 0, k;
	uint32_t i;

	qsort(r, n, sizeof(*r), by_arrival);
	for (i = 0; i < KERF_SIM_BINS; i++) {
		double end = p->x_max * (i + 1) / KERF_SIM_BINS;

		for (a = b; b < n && (r[b].arrived < end || i + 1 == KERF_SIM_BINS); b++)
			;
		p50[i] = p99[i] = -1;
		if (a == b)
			continue;
		for (k = a; k < b; k++)
			sorted[k - a] = r[k].latency;
		qsort(sorted, b - a, sizeof(*sorted), compare);
		p50[i] = (double)sorted[(b - a - 1) / 2] * 1e3;
		p99[i] = (double)sorted[(size_t)ceil(0.99 * (double)(b - a)) - 1] * 1e3;
		max = fmax(max, p99[i]);
	}
	begin(p, "latency by arrival, ms", max);
	time_axis(p);
	line(p, p99, red);
	line(p, p50, blue);
	key(p, LEFT + PLOT - 150, blue, "median");
	key(p, LEFT + PLOT - 80, red, "99 %");
}

static double peak(const double *y)
{
	double max = 0;
	uint32_t i;

	for (i = 0; i < KERF_SIM_BINS; i++)
		if (y[i] > max)
			max = y[i];
	return max;
}

static void rates(struct panel *p, const struct kerf_sim_world *w)
{
	double arrived[KERF_SIM_BINS], done[KERF_SIM_BINS], lost[KERF_SIM_BINS];
	double width = p->x_max / KERF_SIM_BINS;
	uint32_t i;

	for (i = 0; i < KERF_SIM_BINS; i++) {
		arrived[i] = w->bin[i].arrived / width;
		/* The last bin has what is done after the end, too. */
		done[i] = i + 1 < KERF_SIM_BINS ? w->bin[i].done / width : -1;
		lost[i] = i + 1 < KERF_SIM_BINS ? w->bin[i].lost / width : -1;
	}
	begin(p, "requests a second", fmax(peak(arrived), fmax(peak(done), peak(lost))));
	time_axis(p);
	line(p, arrived, green);
	line(p, done, blue);
	line(p, lost, red);
	key(p, LEFT + PLOT - 220, green, "arrived");
	key(p, LEFT + PLOT - 150, blue, "done");
	key(p, LEFT + PLOT - 80, red, "lost");
}

static void waiting(struct panel *p, const struct kerf_sim_world *w)
{
	double in[KERF_SIM_BINS], replans[KERF_SIM_BINS], width = p->x_max / KERF_SIM_BINS;
	uint32_t i;

	for (i = 0; i < KERF_SIM_BINS; i++) {
		in[i] = w->bin[i].in_system / width;
		replans[i] = w->bin[i].replans / width;
	}
	begin(p, "requests under way; replans a second", fmax(peak(in), peak(replans)));
	time_axis(p);
	line(p, in, blue);
	line(p, replans, red);
	key(p, LEFT + PLOT - 180, blue, "under way");
	key(p, LEFT + PLOT - 80, red, "replans");
}

/* One figure over time; nothing to see in the last bin, which has what comes after the end, too. */
static void single(struct panel *p, const struct kerf_sim_world *w, const char *title, bool energy)
{
	double y[KERF_SIM_BINS], width = p->x_max / KERF_SIM_BINS;
	uint32_t i;

	for (i = 0; i < KERF_SIM_BINS; i++) {
		y[i] = energy ? w->bin[i].energy_j / width : w->bin[i].wire_bytes * 8e-6 / width;
		if (i + 1 == KERF_SIM_BINS)
			y[i] = -1;
	}
	begin(p, title, peak(y));
	time_axis(p);
	line(p, y, blue);
}

/* Engines by how much of the time they work, the busiest first. */
static void busiest(FILE *f, double top, const struct kerf_sim_world *w)
{
	bool *taken = calloc(w->n_engine + 1, sizeof(*taken));
	uint32_t n, i, best;
	char text[32];

	kerf_svg_text(f, LEFT, top - 8, "font-weight=\"bold\" font-size=\"12\"",
		      "the busiest engines: share of the time, %", 0);
	for (n = 0; taken && n < KERF_MIN(BARS, w->n_engine); n++) {
		double y = top + n * BAR, share;

		for (best = KERF_SIM_NONE, i = 0; i < w->n_engine; i++)
			if (!taken[i] &&
			    (best == KERF_SIM_NONE ||
			     w->engine[i].server.busy_s > w->engine[best].server.busy_s))
				best = i;
		taken[best] = true;
		share = w->end_s > 0 ? w->engine[best].server.busy_s / w->end_s : 0;
		fprintf(f, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"/>\n",
			LEFT + 150, y, fmin(share, 1) * (PLOT - 200), BAR - 5, blue);
		kerf_svg_text(f, LEFT + 142, y + 10, "text-anchor=\"end\"",
			      w->node[w->engine[best].node].name, 24);
		snprintf(text, sizeof(text), "%.1f", share * 100);
		kerf_svg_text(f, LEFT + 156 + fmin(share, 1) * (PLOT - 200), y + 10, QUIET, text,
			      0);
	}
	free(taken);
}

int kerf_sim_svg(const struct kerf_sim *sim, const struct kerf_sim_result *r, FILE *f)
{
	const struct kerf_sim_world *w = &sim->world;
	size_t n = w->n_record, i;
	float *sorted = malloc((n + 1) * sizeof(*sorted));
	struct kerf_sim_record *record = malloc((n + 1) * sizeof(*record));
	struct panel p = {.f = f, .top = 66, .x_max = w->duration_s};
	char text[200];

	if (!sorted || !record) {
		free(sorted);
		free(record);
		return -ENOMEM;
	}
	for (i = 0; i < n; i++) {
		sorted[i] = w->record[i].latency;
		record[i] = w->record[i];
	}
	qsort(sorted, n, sizeof(*sorted), compare);
	kerf_svg_begin(f, WIDTH, 66 + 6 * STRIDE + BARS * BAR + 20, sim->s->name);
	kerf_svg_text(f, LEFT, 22, "font-size=\"15\" font-weight=\"bold\"", sim->s->name, 80);
	snprintf(text, sizeof(text),
		 "%s, %u nodes, %llu requests: %llu done, %llu lost; p50 %.4g, p90 %.4g, p99 %.4g ms",
		 sim->s->policy, w->n_node, (unsigned long long)w->arrived,
		 (unsigned long long)w->done, (unsigned long long)w->lost, r->all.p50 * 1e3,
		 r->all.p90 * 1e3, r->all.p99 * 1e3);
	kerf_svg_text(f, LEFT, 40, QUIET, text, 0);
	distribution(&p, sorted, n);
	p.top += STRIDE;
	over_time(&p, record, n, sorted);
	p.top += STRIDE;
	rates(&p, w);
	p.top += STRIDE;
	waiting(&p, w);
	p.top += STRIDE;
	single(&p, w, "traffic on all links, Mbit/s", false);
	p.top += STRIDE;
	single(&p, w, "power of work and traffic, W", true);
	busiest(f, p.top + STRIDE, w);
	kerf_svg_end(f);
	free(sorted);
	free(record);
	return 0;
}
