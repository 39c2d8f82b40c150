/* SPDX-License-Identifier: MIT */
/*
 * The graph in layers, top down, and columns, left to right, so that a deep model has the shape of
 * a page. A layer is how far from the inputs an operator is; within it, operators stand below what
 * they read (the mean of their places, found in a few sweeps: Sugiyama, Tagawa, Toda, 1981, without
 * vertices for long edges). Edges within a column go down; those that pass a layer swing out to
 * the right; those to another column go by the gutter between the two.
 *
 * A box has its engine's colour, in stripes if tiles of it run in several steps. Only what is sent
 * is labelled, each value once.
 */
#include "cli/plan_draw.h"

#include "cli/svg.h"
#include "graph/op.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BOX_W 118.0
#define BOX_H 30.0
#define PITCH_X 136.0
#define PITCH_Y 44.0
#define LABEL_Y 14.0 /* more where something is sent */
#define GUTTER 46.0
#define MARGIN 20.0
#define MIN_WIDTH 700.0
#define SHAPE 1.5 /* width over height that columns aim at */
#define SWEEPS 6
#define LINE "fill=\"none\" stroke=\"#888\" stroke-width=\"1\""
#define APART "fill=\"none\" stroke=\"#555\" stroke-width=\"1.6\" stroke-dasharray=\"4 3\""
#define SENT "fill=\"none\" stroke=\"#111\" stroke-width=\"2.4\""
#define HALO "stroke=\"#fff\" stroke-width=\"3\" paint-order=\"stroke\""

/* Operators, then inputs, then outputs. */
struct box {
	uint32_t layer;
	double place; /* in its layer, in boxes */
	double x, y;  /* its middle */
};

struct link {
	uint32_t from, to; /* boxes */
	int32_t value;
};

struct layer {
	uint32_t first, n; /* in order[] */
	bool labelled;	   /* something is sent to it */
	uint32_t column;
	double y;
};

struct sketch {
	const struct kerf_plan_picture *p;
	FILE *f;
	uint32_t n_box, n_link, n_layer, n_column;
	struct box *box;
	struct link *link; /* by to */
	struct layer *layer;
	uint32_t *order;  /* boxes by layer and place */
	double *sum;	  /* per box, while sweeping */
	uint32_t *count;
	double *left, *right; /* of columns */
	double top, bottom;
	bool *labelled; /* per value: its label is drawn */
};

/* --- who stands where --- */

static uint32_t box_of(const struct sketch *s, int32_t v)
{
	const struct kerf_graph *g = s->p->graph;
	uint32_t i;

	if (g->value[v].producer >= 0)
		return (uint32_t)g->value[v].producer;
	for (i = 0; i < g->n_in && g->in[i] != v; i++)
		;
	return g->n_op + i;
}

static void add_link(struct sketch *s, int32_t v, uint32_t to)
{
	s->link[s->n_link++] = (struct link){box_of(s, v), to, v};
}

static void add_links(struct sketch *s)
{
	const struct kerf_graph *g = s->p->graph;
	uint32_t o, i;
	int k, j;

	for (o = 0; o < g->n_op; o++)
		for (k = 0; k < g->op[o].n_in; k++) {
			int32_t v = g->op[o].in[k];

			for (j = 0; j < k && g->op[o].in[j] != v; j++)
				;
			if (v >= 0 && j == k && !kerf_value_is_const(&g->value[v]))
				add_link(s, v, o);
		}
	for (i = 0; i < g->n_out; i++)
		if (!kerf_value_is_const(&g->value[g->out[i]]))
			add_link(s, g->out[i], g->n_op + g->n_in + i);
}

/* Inputs stand right above their first reader. */
static void find_layers(struct sketch *s)
{
	const struct kerf_graph *g = s->p->graph;
	uint32_t i;

	for (i = 0; i < s->n_link; i++) {
		struct box *to = &s->box[s->link[i].to], *from = &s->box[s->link[i].from];

		to->layer = KERF_MAX(to->layer, from->layer + 1);
	}
	for (i = g->n_op; i < g->n_op + g->n_in; i++)
		s->box[i].layer = UINT32_MAX;
	for (i = 0; i < s->n_link; i++) {
		uint32_t from = s->link[i].from;

		if (from >= g->n_op)
			s->box[from].layer = KERF_MIN(s->box[from].layer,
						      s->box[s->link[i].to].layer - 1);
	}
	for (i = 0; i < s->n_box; i++) {
		if (s->box[i].layer == UINT32_MAX)
			s->box[i].layer = 0;
		s->n_layer = KERF_MAX(s->n_layer, s->box[i].layer + 1);
	}
}

struct placed {
	double key;
	uint32_t box;
};

static int by_key(const void *a, const void *b)
{
	const struct placed *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return (x->box > y->box) - (x->box < y->box);
}

/* Orders a layer by the mean place of its neighbours above or below, and centres it. */
static void settle(struct sketch *s, const struct layer *l, struct placed *room)
{
	uint32_t i;

	for (i = 0; i < l->n; i++) {
		uint32_t b = s->order[l->first + i];

		room[i] =
			(struct placed){s->count[b] ? s->sum[b] / s->count[b] : s->box[b].place, b};
	}
	qsort(room, l->n, sizeof(*room), by_key);
	for (i = 0; i < l->n; i++) {
		s->order[l->first + i] = room[i].box;
		s->box[room[i].box].place = i - (l->n - 1) / 2.0;
	}
}

static int find_places(struct sketch *s)
{
	struct placed *room = malloc((s->n_box + 1) * sizeof(*room));
	uint32_t i, k, sweep;

	if (!room)
		return -ENOMEM;
	for (i = 0; i < s->n_box; i++)
		s->layer[s->box[i].layer].n++;
	for (i = 1; i < s->n_layer; i++)
		s->layer[i].first = s->layer[i - 1].first + s->layer[i - 1].n;
	for (i = 0; i < s->n_layer; i++)
		s->layer[i].n = 0;
	for (i = 0; i < s->n_box; i++) {
		struct layer *l = &s->layer[s->box[i].layer];

		s->box[i].place = l->n;
		s->order[l->first + l->n++] = i;
	}
	for (sweep = 0; sweep < SWEEPS; sweep++) {
		bool down = sweep % 2 == 0;

		memset(s->sum, 0, s->n_box * sizeof(*s->sum));
		memset(s->count, 0, s->n_box * sizeof(*s->count));
		for (i = 0; i < s->n_link; i++) {
			uint32_t to = down ? s->link[i].to : s->link[i].from;
			uint32_t from = down ? s->link[i].from : s->link[i].to;

			s->sum[to] += s->box[from].place;
			s->count[to]++;
		}
		for (k = 0; k < s->n_layer; k++)
			settle(s, &s->layer[down ? k : s->n_layer - 1 - k], room);
	}
	free(room);
	return 0;
}

/* --- columns --- */

static double layer_height(const struct layer *l)
{
	return PITCH_Y + (l->labelled ? LABEL_Y : 0);
}

/* Columns of at most this height: width of all, and the height that the tallest has. */
static double fold(struct sketch *s, double limit, double *height)
{
	double y = 0, width = MARGIN;
	uint32_t i, most = 0, column = 0;

	*height = 0;
	for (i = 0; i < s->n_layer; i++) {
		if (i && y + layer_height(&s->layer[i]) > limit) {
			s->right[column] = width += most * PITCH_X;
			width += GUTTER;
			column++;
			y = 0;
			most = 0;
		}
		if (y <= 0)
			s->left[column] = width;
		y += layer_height(&s->layer[i]);
		s->layer[i].column = column;
		s->layer[i].y = y - layer_height(&s->layer[i]) / 2;
		most = KERF_MAX(most, s->layer[i].n);
		*height = fmax(*height, y);
	}
	s->right[column] = width + most * PITCH_X;
	s->n_column = column + 1;
	return s->right[column] + MARGIN;
}

/* The number of columns whose picture is nearest to the shape of a page. */
static double find_columns(struct sketch *s)
{
	double total = 0, best = INFINITY, best_limit = INFINITY, height;
	uint32_t i, n, most = KERF_MIN(s->n_layer, 64u);

	for (i = 0; i < s->n_layer; i++)
		total += layer_height(&s->layer[i]);
	for (n = 1; n <= most; n++) {
		double limit = total / n + PITCH_Y, width = fold(s, limit, &height);
		double off = fabs(log(width / (height + s->top) / SHAPE));

		if (off < best) {
			best = off;
			best_limit = limit;
		}
	}
	return fold(s, best_limit, &s->bottom);
}

static void find_points(struct sketch *s)
{
	uint32_t i;

	for (i = 0; i < s->n_box; i++) {
		const struct layer *l = &s->layer[s->box[i].layer];

		s->box[i].x =
			(s->left[l->column] + s->right[l->column]) / 2 + s->box[i].place * PITCH_X;
		s->box[i].y = s->top + l->y;
	}
	s->bottom += s->top;
}

/* --- drawing --- */

static const char *colour_of(const struct kerf_plan_picture *p, uint32_t o, uint32_t i)
{
	return kerf_plan_colour(p->plan->step[p->step[p->first[o] + i]].engine);
}

static void draw_box(const struct sketch *s, uint32_t o)
{
	const struct kerf_plan_picture *p = s->p;
	const struct kerf_op *op = &p->graph->op[o];
	const struct box *b = &s->box[o];
	uint32_t n = p->first[o + 1] - p->first[o], i;
	double x = b->x - BOX_W / 2, y = b->y - BOX_H / 2;
	char text[80], dims[40];

	fputs("<g><title>", s->f);
	kerf_svg_escaped(s->f, op->name, 200);
	fprintf(s->f, "</title><rect x=\"%.1f\" y=\"%.1f\" width=\"%.0f\" height=\"%.0f\" fill=\"#fff\"/>",
		x, y, BOX_W, BOX_H);
	for (i = 0; i < n; i++)
		fprintf(s->f,
			"<rect x=\"%.2f\" y=\"%.1f\" width=\"%.2f\" height=\"%.0f\" fill=\"%s\" fill-opacity=\"0.3\"/>",
			x + BOX_W * i / n, y, BOX_W / n, BOX_H, colour_of(p, o, i));
	fprintf(s->f, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.0f\" height=\"%.0f\" fill=\"none\" stroke=\"%s\"%s/></g>\n",
		x, y, BOX_W, BOX_H, n == 1 ? colour_of(p, o, 0) : n ? "#555" : "#aaa",
		n ? "" : " stroke-dasharray=\"3 3\"");
	kerf_plan_dims_text(&p->graph->value[op->out[0]], dims, sizeof(dims));
	snprintf(text, sizeof(text), n > 1 ? "%u %s, %u tiles" : "%u %s", o, op->def->name, n);
	kerf_svg_text(s->f, b->x, b->y - 2, n ? "text-anchor=\"middle\"" : "text-anchor=\"middle\" fill=\"#999\"",
		      text, 18);
	kerf_svg_text(s->f, b->x, b->y + 10, "text-anchor=\"middle\" font-size=\"9\" fill=\"#666\"", dims, 22);
}

static void draw_end(const struct sketch *s, uint32_t i, int32_t v)
{
	const struct box *b = &s->box[i];

	fprintf(s->f, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.0f\" height=\"20\" rx=\"10\" fill=\"#f4f4f4\" stroke=\"#888\"/>\n",
		b->x - BOX_W / 2, b->y - 10, BOX_W);
	kerf_svg_text(s->f, b->x, b->y + 4, "text-anchor=\"middle\"", s->p->graph->value[v].name, 18);
}

/* Left of the column that a line goes to, spread so that lines beside each other can be told. */
static double gutter(const struct sketch *s, const struct link *l)
{
	return s->left[s->layer[s->box[l->to].layer].column] - GUTTER / 2 +
	       (double)(l->from * 7 % 5) * 4 - 8;
}

static void draw_path(const struct sketch *s, const struct link *l, const char *style)
{
	const struct box *a = &s->box[l->from], *b = &s->box[l->to];
	uint32_t ca = s->layer[a->layer].column, cb = s->layer[b->layer].column;
	double side, up;

	if (ca == cb && b->layer == a->layer + 1) {
		fprintf(s->f, "<path d=\"M%.1f %.1fC%.1f %.1f %.1f %.1f %.1f %.1f\" %s/>\n", a->x,
			a->y + BOX_H / 2, a->x, a->y + BOX_H / 2 + 12, b->x, b->y - BOX_H / 2 - 12,
			b->x, b->y - BOX_H / 2, style);
		return;
	}
	if (ca == cb) {
		side = fmax(a->x, b->x) + BOX_W / 2 + 14;
		fprintf(s->f, "<path d=\"M%.1f %.1fC%.1f %.1f %.1f %.1f %.1f %.1f\" %s/>\n",
			a->x + BOX_W / 2, a->y, side, a->y, side, b->y, b->x + BOX_W / 2, b->y,
			style);
		return;
	}
	side = gutter(s, l);
	up = b->y - BOX_H / 2 - 9;
	fprintf(s->f,
		"<path d=\"M%.1f %.1fV%.1fH%.1fV%.1fH%.1fV%.1f\" stroke-linejoin=\"round\" %s/>\n",
		a->x, a->y + BOX_H / 2, a->y + BOX_H / 2 + 6, side, up, b->x, b->y - BOX_H / 2,
		style);
}

static void draw_link(const struct sketch *s, const struct link *l, bool labels)
{
	uint32_t n_op = s->p->graph->n_op;
	struct kerf_crossing c =
		kerf_plan_crossing(s->p, l->value, l->to < n_op ? l->to : UINT32_MAX);
	char text[64];
	bool apart = c.pieces && l->from < n_op && l->to < n_op;

	if (labels && (!(c.bytes > 0) || s->labelled[l->value]))
		return;
	if (labels) {
		const struct box *b = &s->box[l->to];
		uint32_t ca = s->layer[s->box[l->from].layer].column,
			 cb = s->layer[b->layer].column;

		s->labelled[l->value] = true;
		kerf_crossing_text(&c, text, sizeof(text));
		/* Beside a line that comes down, above one that comes by the gutter. */
		kerf_svg_text(s->f, ca == cb ? b->x + 6 : gutter(s, l) + 5,
			      b->y - BOX_H / 2 - (ca == cb ? 6 : 13),
			      "font-size=\"10\" font-weight=\"bold\" fill=\"#111\" " HALO, text, 0);
		return;
	}
	draw_path(s, l, c.bytes > 0 ? SENT : apart ? APART : LINE);
}

static double draw_legend(const struct sketch *s, double width, bool dry)
{
	const struct kerf_plan *plan = s->p->plan;
	size_t per_line = (size_t)((width - 2 * MARGIN) / 5.6), at, n, left = strlen(plan->reason);
	double y = 26;
	char text[400], bytes[32];
	uint32_t e, i;

	kerf_bytes_text(plan->wire_bytes, bytes, sizeof(bytes));
	snprintf(text, sizeof(text), "plan by %s: %.3f ms, %u step%s, %s sent%s",
		 plan->policy ? plan->policy : "", plan->total_s * 1e3, plan->n_step,
		 plan->n_step == 1 ? "" : "s", bytes, plan->exit >= 0 ? ", to an early exit" : "");
	if (!dry)
		kerf_svg_text(s->f, MARGIN, y, "font-size=\"14\" font-weight=\"bold\"", text, 0);
	for (at = 0; left; at += n, left -= n) {
		n = KERF_MIN(left, per_line);
		for (; n < left && n > 1 && plan->reason[at + n] != ' '; n--)
			;
		y += 16;
		snprintf(text, sizeof(text), "%.*s", (int)n, plan->reason + at);
		if (!dry)
			kerf_svg_text(s->f, MARGIN, y, "fill=\"#555\"", text, 0);
	}
	for (e = 0; e < s->p->n_engine; e++) {
		double busy = 0;
		uint32_t steps = 0;

		for (i = 0; i < plan->n_step; i++)
			if (plan->step[i].engine == e) {
				busy += plan->step[i].compute_s;
				steps++;
			}
		y += 18;
		if (dry)
			continue;
		fprintf(s->f, "<rect x=\"%.0f\" y=\"%.1f\" width=\"22\" height=\"12\" fill=\"%s\" fill-opacity=\"0.3\" stroke=\"%s\"/>\n",
			MARGIN, y - 10, kerf_plan_colour(e), kerf_plan_colour(e));
		snprintf(text, sizeof(text), "%.200s: %u step%s, %.3f ms of work", s->p->engine[e], steps,
			 steps == 1 ? "" : "s", busy * 1e3);
		kerf_svg_text(s->f, MARGIN + 30, y, "", text, 0);
	}
	y += 18;
	if (!dry) {
		kerf_svg_line(s->f, MARGIN, y - 4, MARGIN + 22, y - 4, SENT);
		kerf_svg_text(s->f, MARGIN + 30, y, "", "sent to another node: bytes, and time until it is there", 0);
		kerf_svg_line(s->f, MARGIN + 330, y - 4, MARGIN + 352, y - 4, APART);
		kerf_svg_text(s->f, MARGIN + 360, y, "", "to another step of the same node", 0);
	}
	return y + 14;
}

static int draw(struct sketch *s)
{
	const struct kerf_graph *g = s->p->graph;
	double width;
	uint32_t i;
	int r;

	add_links(s);
	find_layers(s);
	s->layer = calloc((size_t)s->n_layer + 1, sizeof(*s->layer));
	s->left = calloc((size_t)s->n_layer + 1, sizeof(*s->left));
	s->right = calloc((size_t)s->n_layer + 1, sizeof(*s->right));
	if (!s->layer || !s->left || !s->right)
		return -ENOMEM;
	r = find_places(s);
	if (r)
		return r;
	for (i = 0; i < s->n_link; i++) {
		struct kerf_crossing c =
			kerf_plan_crossing(s->p, s->link[i].value,
					   s->link[i].to < g->n_op ? s->link[i].to : UINT32_MAX);

		s->layer[s->box[s->link[i].to].layer].labelled |= c.bytes > 0;
	}
	/* The room that the legend takes depends on the width, and that, a little, on the room. */
	s->top = draw_legend(s, MIN_WIDTH, true);
	width = fmax(find_columns(s), MIN_WIDTH);
	s->top = draw_legend(s, width, true);
	width = fmax(find_columns(s), MIN_WIDTH);
	find_points(s);
	kerf_svg_begin(s->f, width, s->bottom + MARGIN, "plan");
	draw_legend(s, width, false);
	for (i = 0; i < s->n_link; i++)
		draw_link(s, &s->link[i], false);
	for (i = 0; i < g->n_op; i++)
		draw_box(s, i);
	for (i = 0; i < g->n_in; i++)
		draw_end(s, g->n_op + i, g->in[i]);
	for (i = 0; i < g->n_out; i++)
		draw_end(s, g->n_op + g->n_in + i, g->out[i]);
	for (i = 0; i < s->n_link; i++)
		draw_link(s, &s->link[i], true);
	kerf_svg_end(s->f);
	return ferror(s->f) ? -EIO : 0;
}

int kerf_plan_draw_svg(const struct kerf_plan_picture *p, FILE *f)
{
	const struct kerf_graph *g = p->graph;
	struct sketch s = {.p = p, .f = f, .n_box = g->n_op + g->n_in + g->n_out};
	size_t links = (size_t)p->read_first[g->n_value] + g->n_out + 1,
	       boxes = (size_t)s.n_box + 1;
	int r = -ENOMEM;

	s.box = calloc(boxes, sizeof(*s.box));
	s.link = calloc(links, sizeof(*s.link));
	s.order = calloc(boxes, sizeof(*s.order));
	s.sum = calloc(boxes, sizeof(*s.sum));
	s.count = calloc(boxes, sizeof(*s.count));
	s.labelled = calloc((size_t)g->n_value + 1, sizeof(*s.labelled));
	if (s.box && s.link && s.order && s.sum && s.count && s.labelled)
		r = draw(&s);
	free(s.box);
	free(s.link);
	free(s.order);
	free(s.sum);
	free(s.count);
	free(s.labelled);
	free(s.layer);
	free(s.left);
	free(s.right);
	return r;
}
