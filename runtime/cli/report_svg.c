/* SPDX-License-Identifier: MIT */
/*
 * Panels of one width above each other over one time axis; plans and marks cross them all.
 * Colours tell nodes apart, also to the colour-blind (Okabe and Ito, 2008); dashes tell what a
 * line is.
 */
#include "cli/report.h"
#include "cli/svg.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LEFT 70.0
#define RIGHT 30.0
#define PLOT ((double)KERF_REPORT_COLUMNS)
#define WIDTH (LEFT + PLOT + RIGHT)
#define PANEL 130.0
#define GAP 40.0
#define GRID "stroke=\"#e4e4e4\" stroke-width=\"1\""
#define QUIET "fill=\"#666\""
/* Text stays readable where lines cross it. */
#define HALO " stroke=\"#fff\" stroke-width=\"3\" paint-order=\"stroke\""

static const char *const colours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
				      "#e69f00", "#56b4e9", "#000000"};
#define OTHER "#999999"

struct axis {
	double top, bottom; /* in the drawing */
	double min, max;
	bool log; /* min and max are logarithms to base 2 */
};

struct drawing {
	const struct kerf_report *r;
	FILE *f;
	double y;	 /* where the next panel begins */
	double duration; /* s */
};

static const char *colour(uint32_t series)
{
	return series < KERF_ARRAY_SIZE(colours) ? colours[series] : OTHER;
}

static double x_of(const struct drawing *d, double t_s)
{
	return LEFT + (d->duration > 0 ? t_s / d->duration : 0) * (PLOT - 1);
}

static double y_of(const struct axis *a, double v)
{
	double at = ((a->log ? log2(v) : v) - a->min) / (a->max - a->min);

	return a->bottom - fmin(fmax(at, 0), 1) * (a->bottom - a->top);
}

/* --- Time --- */

struct unit {
	double s;
	const char *name;
};

static struct unit unit_of(double duration)
{
	return duration > 3 * 3600 ? (struct unit){3600, "h"}
	       : duration > 600	   ? (struct unit){60, "min"}
				   : (struct unit){1, "s"};
}

static void time_ticks(const struct drawing *d, double top, double bottom, bool labels)
{
	struct unit u = unit_of(d->duration);
	double step = kerf_svg_step(d->duration / u.s, 10), t;
	char text[48];
	int i;

	for (i = 0; (t = i * step) * u.s <= d->duration * (1 + 1e-9) && i <= 100; i++) {
		double x = x_of(d, t * u.s);

		kerf_svg_line(d->f, x, top, x, bottom, GRID);
		snprintf(text, sizeof(text), "%g", t);
		if (labels)
			kerf_svg_text(d->f, x, bottom + 14, "text-anchor=\"middle\" " QUIET, text,
				      0);
	}
	if (labels) {
		snprintf(text, sizeof(text), "time since the trace began, %s", u.name);
		kerf_svg_text(d->f, LEFT + PLOT / 2, bottom + 30, "text-anchor=\"middle\" " QUIET,
			      text, 0);
	}
}

/* --- Panels --- */

static void frame(struct drawing *d, struct axis *a, const char *title, const char *note)
{
	a->top = d->y + 18;
	a->bottom = a->top + PANEL;
	d->y = a->bottom + GAP - 18;
	kerf_svg_text(d->f, LEFT, a->top - 7, "font-weight=\"bold\" font-size=\"12\"" HALO, title,
		      0);
	kerf_svg_text(d->f, LEFT + PLOT, a->top - 7, "text-anchor=\"end\" " QUIET HALO, note, 0);
	time_ticks(d, a->top, a->bottom, false);
}

static void tick(const struct drawing *d, const struct axis *a, double v, const char *attributes)
{
	double y = y_of(a, v);
	char text[32];

	snprintf(text, sizeof(text), "%.7g", v);
	kerf_svg_line(d->f, LEFT, y, LEFT + PLOT, y, attributes);
	kerf_svg_text(d->f, LEFT - 8, y + 4, "text-anchor=\"end\" " QUIET, text, 0);
}

/* From 0 to a round number that is max or more. */
static void linear_axis(const struct drawing *d, struct axis *a, double max)
{
	double step = kerf_svg_step(max, 4);
	int i, n = KERF_MAX((int)ceil(max / step - 1e-9), 1);

	a->max = step * n;
	for (i = 0; i <= n; i++)
		tick(d, a, i * step, GRID);
}

/* Over decades: 1, 2 and 5 times the powers of ten, or those alone where they are many. */
static void log_axis(const struct drawing *d, struct axis *a, double min, double max)
{
	static const int leads[] = {1, 2, 5};
	int from = (int)floor(log10(min)), to = (int)ceil(log10(max)), e;
	uint32_t i;

	a->log = true;
	a->min = log2(min / 1.3);
	a->max = log2(max * 1.3);
	for (e = from; e <= to; e++) {
		for (i = 0; i < (to - from > 3 ? 1 : KERF_ARRAY_SIZE(leads)); i++) {
			double v = leads[i] * pow(10, e);

			if (log2(v) >= a->min && log2(v) <= a->max)
				tick(d, a, v, GRID);
		}
	}
}

static double line_min(const struct kerf_report_column *c)
{
	double min = INFINITY;
	int i;

	for (i = 0; c && i < KERF_REPORT_COLUMNS; i++)
		if (c[i].any)
			min = fmin(min, c[i].min);
	return min;
}

static double line_max(const struct kerf_report_column *c)
{
	double max = 0;
	int i;

	for (i = 0; c && i < KERF_REPORT_COLUMNS; i++)
		if (c[i].any)
			max = fmax(max, c[i].max);
	return max;
}

/* As steps: what is recorded is what changed. */
static void line(const struct drawing *d, const struct axis *a, const struct kerf_report_column *c,
		 const char *stroke, const char *dashes)
{
	bool down = false;
	int i;

	if (!c)
		return;
	fprintf(d->f,
		"<path fill=\"none\" stroke=\"%s\" stroke-width=\"1.3\" "
		"stroke-linejoin=\"round\"%s d=\"",
		stroke, dashes);
	for (i = 0; i < KERF_REPORT_COLUMNS; i++, c++) {
		double x = LEFT + i;

		if (c->any) {
			fprintf(d->f, down ? "H%.0fV%.1f" : "M%.0f %.1f", x, y_of(a, c->first));
			if (c->max > c->min)
				fprintf(d->f, "V%.1fV%.1fV%.1f", y_of(a, c->min), y_of(a, c->max),
					y_of(a, c->last));
			down = true;
		}
		if (c->ends) {
			if (down)
				fprintf(d->f, "H%.0f", x);
			down = false;
		}
	}
	if (down)
		fprintf(d->f, "H%.0f", LEFT + PLOT - 1);
	fprintf(d->f, "\"/>\n");
}

static void nothing(const struct drawing *d, struct axis *a)
{
	a->min = 0;
	a->max = 1;
	kerf_svg_text(d->f, LEFT + PLOT / 2, (a->top + a->bottom) / 2,
		      "text-anchor=\"middle\" " QUIET, "not in this trace", 0);
}

static void figure_panel(struct drawing *d, const char *title, const char *note, double least_max,
			 enum kerf_report_figure solid, int dashed)
{
	const struct kerf_report *r = d->r;
	double max = 0, low = INFINITY;
	struct axis a = {0};
	uint32_t i;

	frame(d, &a, title, note);
	for (i = 0; i < r->n_series; i++) {
		const struct kerf_report_column *second =
			dashed >= 0 ? r->series[i].figure[dashed] : NULL;

		max = fmax(max, fmax(line_max(r->series[i].figure[solid]), line_max(second)));
		low = fmin(low, fmin(line_min(r->series[i].figure[solid]), line_min(second)));
	}
	if (!(max > 0)) {
		nothing(d, &a);
		return;
	}
	/* Links of different kinds in one panel: each is to be seen. */
	if (!least_max && max > 10 * low)
		log_axis(d, &a, low, max);
	else
		linear_axis(d, &a, fmax(max, least_max));
	for (i = r->n_series; i-- > 0;) {
		if (dashed >= 0)
			line(d, &a, r->series[i].figure[dashed], colour(i),
			     " stroke-dasharray=\"5 3\"");
		line(d, &a, r->series[i].figure[solid], colour(i), "");
	}
}

static void latency_panel(struct drawing *d)
{
	const struct kerf_report *r = d->r;
	struct axis a = {0};

	if (!r->observed_ms && !r->predicted_ms)
		return;
	frame(d, &a, "Request latency, ms",
	      "solid: median of the last requests; dashed: as planned");
	linear_axis(d, &a, fmax(line_max(r->observed_ms), line_max(r->predicted_ms)));
	line(d, &a, r->predicted_ms, "#666", " stroke-dasharray=\"5 3\"");
	line(d, &a, r->observed_ms, "#333", "");
}

/* --- Predictions --- */

#define DOTS 12000 /* more would only lie over each other */

/* The stated 80 % of the transfers of each few columns, as the mean of their logarithms. */
static void band(const struct drawing *d, const struct axis *a)
{
	enum { WIDE = 6, CELLS = KERF_REPORT_COLUMNS / WIDE };
	double low[CELLS] = {0}, high[CELLS] = {0};
	uint32_t n[CELLS] = {0};
	size_t i;

	for (i = 0; i < d->r->n_transfer; i++) {
		const struct kerf_report_transfer *t = &d->r->transfer[i];
		int c = (int)((x_of(d, t->t_s) - LEFT) / WIDE);

		if (!(t->predicted_s > 0) || !(t->low_s > 0) || c < 0 || c >= CELLS)
			continue;
		low[c] += log2(t->low_s / t->predicted_s);
		high[c] += log2(t->high_s / t->predicted_s);
		n[c]++;
	}
	fprintf(d->f, "<g fill=\"#56b4e9\" fill-opacity=\"0.22\">\n");
	for (i = 0; i < CELLS; i++) {
		double top, bottom;

		if (!n[i])
			continue;
		top = y_of(a, exp2(high[i] / n[i]));
		bottom = y_of(a, exp2(low[i] / n[i]));
		fprintf(d->f, "<rect x=\"%.0f\" y=\"%.1f\" width=\"%d\" height=\"%.1f\"/>\n",
			LEFT + (double)i * WIDE, top, WIDE, fmax(bottom - top, 0.5));
	}
	fprintf(d->f, "</g>\n");
}

static void dot(const struct drawing *d, const struct axis *a, const struct kerf_report_transfer *t)
{
	bool inside = t->low_s <= t->actual_s && t->actual_s <= t->high_s;
	double x = x_of(d, t->t_s), y = y_of(a, t->actual_s / t->predicted_s);

	if (inside)
		fprintf(d->f, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"1.8\" fill=\"%s\"/>\n", x, y,
			colour(t->series));
	else
		fprintf(d->f,
			"<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.3\" fill=\"#fff\" stroke=\"%s\" "
			"stroke-width=\"1.2\"/>\n",
			x, y, colour(t->series));
}

/* What of the ratios' logarithms is drawn: 98 % and some room; the others stand at the edges. */
static double reach_of(const struct kerf_report *r, size_t predicted)
{
	enum { BINS = 80, OCTAVES = 4 };
	size_t bin[BINS + 1] = {0}, i, sum = 0;

	for (i = 0; i < r->n_transfer; i++) {
		const struct kerf_report_transfer *t = &r->transfer[i];
		double off = fabs(log2(t->actual_s / t->predicted_s));

		if (t->predicted_s > 0)
			bin[off < OCTAVES ? (size_t)(off / OCTAVES * BINS) : BINS]++;
	}
	for (i = 0; i < BINS && (double)sum < 0.98 * (double)predicted; i++)
		sum += bin[i];
	return fmin(fmax(1.15 * OCTAVES * (double)i / BINS, log2(1.3)), OCTAVES);
}

static void prediction_panel(struct drawing *d)
{
	static const double close_by[] = {0.8, 0.9, 1.1, 1.25};
	const struct kerf_report *r = d->r;
	struct axis a = {.log = true};
	size_t i, predicted = 0, each;
	int e;

	frame(d, &a, "Transfer time, actual / predicted",
	      "band: stated to hold 80 %; filled: inside its own interval; hollow: outside");
	for (i = 0; i < r->n_transfer; i++)
		predicted += r->transfer[i].predicted_s > 0;
	if (!predicted) {
		nothing(d, &a);
		return;
	}
	a.max = reach_of(r, predicted);
	a.min = -a.max;
	for (e = -(int)a.max; e <= (int)a.max; e++)
		tick(d, &a, exp2(e), e ? GRID : "stroke=\"#999\" stroke-width=\"1\"");
	for (i = 0; i < KERF_ARRAY_SIZE(close_by) && a.max < 1; i++)
		if (fabs(log2(close_by[i])) <= a.max)
			tick(d, &a, close_by[i], GRID);
	band(d, &a);
	each = predicted / DOTS + 1;
	for (i = 0; i < r->n_transfer; i += each)
		if (r->transfer[i].predicted_s > 0)
			dot(d, &a, &r->transfer[i]);
}

static int score_table(struct drawing *d)
{
	static const double columns[] = {0, 290, 385, 465, 570, 670, 775, 899};
	static const char *const heads[] = {"transfers",       "",
					    "number",	       "predicted",
					    "median Mbit/s",   "median |error|",
					    "90 % of |error|", "80 % band holds"};
	char cell[8][64];
	uint32_t i, k, way;

	for (k = 0; k < 8; k++)
		kerf_svg_text(d->f, LEFT + columns[k], d->y,
			      k > 1 ? "font-weight=\"bold\" text-anchor=\"end\""
				    : "font-weight=\"bold\"",
			      heads[k], 0);
	for (i = 0; i < d->r->n_series; i++) {
		for (way = 0; way < 2; way++) {
			struct kerf_report_score s;
			int ret = kerf_report_score(d->r, i, way, &s);

			if (ret)
				return ret;
			if (!s.transfers)
				continue;
			d->y += 17;
			memset(cell, 0, sizeof(cell));
			snprintf(cell[1], 64, "%s", way ? "down" : "up");
			snprintf(cell[2], 64, "%zu", s.transfers);
			snprintf(cell[3], 64, "%zu", s.predicted);
			snprintf(cell[4], 64, "%.2f", s.goodput_bytes_s * 8e-6);
			if (s.predicted) {
				snprintf(cell[5], 64, "%.1f %%", s.median_error * 100);
				snprintf(cell[6], 64, "%.1f %%", s.p90_error * 100);
				snprintf(cell[7], 64, "%.0f %%", s.coverage * 100);
			}
			fprintf(d->f,
				"<rect x=\"%.1f\" y=\"%.1f\" width=\"9\" height=\"9\" "
				"fill=\"%s\"/>\n",
				LEFT, d->y - 9, colour(i));
			kerf_svg_text(d->f, LEFT + 14, d->y, "",
				      kerf_report_label(&d->r->series[i]), 44);
			for (k = 1; k < 8; k++)
				kerf_svg_text(d->f, LEFT + columns[k], d->y,
					      k > 1 ? "text-anchor=\"end\"" : "", cell[k], 0);
		}
	}
	d->y += 24;
	return 0;
}

/* --- What stands around them --- */

static void legend(struct drawing *d)
{
	double x = LEFT;
	uint32_t i, n = KERF_MIN(d->r->n_series, (uint32_t)KERF_ARRAY_SIZE(colours));
	char text[64];

	for (i = 0; i < n; i++) {
		const char *label = kerf_report_label(&d->r->series[i]);
		size_t shown = KERF_MIN(strlen(label), (size_t)36);

		if (x > LEFT && x + 30 + 6.5 * (double)shown > LEFT + PLOT) {
			x = LEFT;
			d->y += 18;
		}
		fprintf(d->f,
			"<rect x=\"%.1f\" y=\"%.1f\" width=\"12\" height=\"12\" rx=\"2\" "
			"fill=\"%s\"/>\n",
			x, d->y - 10, colour(i));
		kerf_svg_text(d->f, x + 17, d->y, "", label, 36);
		x += 40 + 6.5 * (double)shown;
	}
	if (d->r->n_series > n || d->r->more_series) {
		snprintf(text, sizeof(text), "grey: %u further nodes", d->r->n_series - n);
		kerf_svg_text(d->f, x, d->y, "fill=\"" OTHER "\"", text, 0);
	}
	d->y += 12;
}

#define EVENT_ROWS 3
#define EVENT_ROW 13.0

/*
 * Lines over all panels. Labels stand in a few rows above, where there is room; each line has its
 * whole text as what a viewer shows for the pointer.
 */
static void events(const struct drawing *d, double labels, double top, double bottom)
{
	double free_from[EVENT_ROWS] = {0}, last_x[2] = {-9, -9};
	uint32_t i, row;

	for (i = 0; i < d->r->n_event; i++) {
		const struct kerf_report_event *e = &d->r->event[i];
		const char *stroke = e->mark ? "#b00020" : "#7a5fb5";
		double x = x_of(d, e->t_s),
		       width = 6.2 * (double)KERF_MIN(strlen(e->label), (size_t)24) + 8;
		char attributes[96];

		/* One line for those that fall together */
		if (x - last_x[e->mark] < 1.5)
			continue;
		last_x[e->mark] = x;
		for (row = 0; row < EVENT_ROWS && free_from[row] > x; row++)
			;
		fprintf(d->f, "<g><title>");
		kerf_svg_escaped(d->f, e->text, 0);
		fprintf(d->f, "</title>");
		kerf_svg_line(d->f, x, row < EVENT_ROWS ? labels + row * EVENT_ROW : top - 4, x,
			      bottom,
			      e->mark ? "stroke=\"#b00020\" stroke-opacity=\"0.55\" "
					"stroke-dasharray=\"4 3\""
				      : "stroke=\"#7a5fb5\" stroke-opacity=\"0.55\"");
		if (row < EVENT_ROWS) {
			bool left = x + width > WIDTH - 4;

			snprintf(attributes, sizeof(attributes), "font-size=\"10\" fill=\"%s\"%s",
				 stroke, left ? " text-anchor=\"end\"" : "");
			kerf_svg_text(d->f, left ? x - 3 : x + 3, labels + row * EVENT_ROW + 9,
				      attributes, e->label, 24);
			free_from[row] = x + width;
		}
		fprintf(d->f, "</g>\n");
	}
}

static void title_of(const struct drawing *d, const char *name)
{
	const struct kerf_report *r = d->r;
	char text[128];

	kerf_svg_text(d->f, LEFT, 26, "font-size=\"16\" font-weight=\"bold\"", name, 80);
	snprintf(text, sizeof(text), "%.1f s, %llu records, %zu transfers, %llu plans", d->duration,
		 (unsigned long long)r->records, r->n_transfer, (unsigned long long)r->plans);
	kerf_svg_text(d->f, LEFT + PLOT, 26, "text-anchor=\"end\" " QUIET, text, 0);
}

/* The lines that cross them all go to beneath, since they are drawn below. */
static int panels(struct drawing *d, const char *name, FILE *beneath)
{
	const struct drawing lower = {.r = d->r, .f = beneath, .duration = d->duration};
	double labels, top;

	title_of(d, name);
	d->y = 48;
	legend(d);
	labels = d->y;
	if (d->r->n_event)
		d->y += EVENT_ROWS * EVENT_ROW;
	top = d->y + 18;
	figure_panel(d, "Rate, Mbit/s", "estimates; solid: from here, dashed: to here", 0,
		     KERF_REPORT_UP, KERF_REPORT_DOWN);
	figure_panel(d, "Round trip, ms", "smoothed, of the best connection", 0, KERF_REPORT_RTT,
		     -1);
	figure_panel(d, "CPU load, % of a node's CPUs", "everything that ran, kerf's own work too",
		     100, KERF_REPORT_BUSY, -1);
	figure_panel(d, "Slowdown of new work, times", "as the planner expects it", 2,
		     KERF_REPORT_SLOWDOWN, -1);
	latency_panel(d);
	prediction_panel(d);
	d->y -= GAP - 18;
	time_ticks(d, d->y, d->y, true);
	events(&lower, labels, top, d->y);
	d->y += 58;
	return d->r->n_transfer ? score_table(d) : 0;
}

/* How high it is, and how far lines go, is known at the end: all to memory first. */
int kerf_report_svg(const struct kerf_report *r, const char *name, FILE *f)
{
	char *body = NULL, *lines = NULL;
	size_t size = 0, lines_size = 0;
	struct drawing d = {.r = r,
			    .f = open_memstream(&body, &size),
			    .duration = (double)(r->end_ns - r->begin_ns) / 1e9};
	FILE *beneath = open_memstream(&lines, &lines_size);
	int ret = d.f && beneath ? panels(&d, name, beneath) : -ENOMEM;

	if (d.f && fclose(d.f) && !ret)
		ret = -ENOMEM;
	if (beneath && fclose(beneath) && !ret)
		ret = -ENOMEM;
	if (!ret) {
		kerf_svg_begin(f, WIDTH, d.y, name);
		fwrite(lines, 1, lines_size, f);
		fwrite(body, 1, size, f);
		kerf_svg_end(f);
		ret = ferror(f) ? -ENOMEM : 0;
	}
	free(lines);
	free(body);
	return ret;
}
