/* SPDX-License-Identifier: MIT */
/*
 * How well each estimator would have predicted the transfers of recorded traces (docs/trace.md).
 *
 * usage: predict [--json | --each ESTIMATOR] TRACE...
 * Each transfer is predicted at its start, from what stands in the trace before, and learned at
 * its end. Links tell the sending end, so they are shown to predictors of transfers from here
 * only. Traces CASE-1.jsonl, CASE-2.jsonl, ... in a row are runs of one case, each begun with
 * nothing known; the directions are told apart, and one that has under 1 % of the bytes is left
 * out. Marks "rate ..." with transfers before them are steps: how many transfers later the first
 * was predicted within 25 %, and how right the correction inside the first one was at its first
 * look.
 */
#include "telemetry/predict.h"
#include "telemetry/trace.h"

#include "util/base.h"

#include <json-c/json.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_RECORDS 2000000u
#define MAX_ESTIMATORS 16
#define RIGHT 0.25

struct trace {
	struct kerf_trace_rec *rec;
	uint32_t n;
	double bytes[2]; /* from here, to here */
};

struct series {
	double *v;
	uint32_t n;
};

/* Of one estimator in one direction of one case. */
struct result {
	struct series error, width, step, look;
	uint32_t unknown, inside;
};

static void *grow(void *p, uint32_t n, size_t size)
{
	if (n && (n & (n - 1)))
		return p;
	p = realloc(p, (n ? 2 * (size_t)n : 1) * size);
	if (!p) {
		fprintf(stderr, "predict: no memory\n");
		exit(1);
	}
	return p;
}

static void add(struct series *s, double v)
{
	s->v = grow(s->v, s->n, sizeof(*s->v));
	s->v[s->n++] = v;
}

static int load(const char *path, struct trace *t)
{
	struct kerf_trace_reader *r;
	struct kerf_trace_rec rec;
	struct kerf_err err = {""};
	int e;

	*t = (struct trace){.n = 0};
	e = kerf_trace_open(path, &r, &err);
	if (e)
		goto out;
	while ((e = kerf_trace_next(r, &rec, &err)) > 0 && t->n < MAX_RECORDS) {
		if (rec.kind != KERF_TRACE_LINK && rec.kind != KERF_TRACE_TRANSFER &&
		    rec.kind != KERF_TRACE_MARK)
			continue;
		if (rec.kind == KERF_TRACE_TRANSFER)
			t->bytes[rec.u.transfer.down != 0] += (double)rec.u.transfer.bytes;
		t->rec = grow(t->rec, t->n, sizeof(*t->rec));
		t->rec[t->n++] = rec;
	}
	kerf_trace_close(r);
out:
	if (e < 0)
		fprintf(stderr, "predict: %s\n", err.msg[0] ? err.msg : strerror(-e));
	return e < 0 ? e : 0;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double quantile(struct series *s, double q)
{
	if (!s->n)
		return NAN;
	qsort(s->v, s->n, sizeof(*s->v), compare);
	return s->v[(uint32_t)(q * (s->n - 1) + 0.5)];
}

static double seconds(const struct kerf_transfer *t)
{
	return (double)(t->end_ns - t->start_ns - t->hold_ns) * 1e-9;
}

static bool is_step(const struct kerf_trace_rec *rec)
{
	return rec->kind == KERF_TRACE_MARK && !strncmp(rec->u.mark, "rate", 4);
}

/* A transfer of the direction that is looked at. */
struct start {
	uint64_t at_ns;
	uint32_t rec;
	struct kerf_link_estimate est;
};

static int by_start(const void *a, const void *b)
{
	const struct start *x = a, *y = b;

	if (x->at_ns != y->at_ns)
		return x->at_ns < y->at_ns ? -1 : 1;
	return (x->rec > y->rec) - (x->rec < y->rec);
}

static int by_rec(const void *a, const void *b)
{
	const struct start *x = a, *y = b;

	return (x->rec > y->rec) - (x->rec < y->rec);
}

/* The error of the correction at the first look at the transfer while it runs; NAN: none was. */
static double first_look(const struct trace *t, uint32_t rec, const struct kerf_predictor *p)
{
	const struct kerf_transfer *x = &t->rec[rec].u.transfer;
	const struct kerf_link_rec *l, *before = NULL;
	double low, high, s;
	uint32_t i;

	for (i = 0; i < rec; i++) {
		l = &t->rec[i].u.link;
		if (t->rec[i].kind != KERF_TRACE_LINK || l->cookie != x->cookie)
			continue;
		if (l->updated_ns <= x->start_ns) {
			before = l;
		} else if (before && l->updated_ns < x->end_ns &&
			   l->bytes_acked > before->bytes_acked) {
			s = kerf_predictor_running(p, x->bytes, x->start_ns,
						   l->bytes_acked - before->bytes_acked,
						   l->updated_ns, &low, &high);
			return fabs(s / seconds(x) - 1);
		}
	}
	return NAN;
}

/* What was expected of each transfer, at its start. */
static void expect(const struct trace *t, const char *estimator, bool down, struct start *start,
		   uint32_t n, struct result *res)
{
	struct kerf_predictor *p[KERF_STATE_NODES] = {NULL};
	uint32_t next = 0, learned = 0, i, j;
	bool step = false;
	double e;

	for (i = 0; i < KERF_STATE_NODES; i++)
		if (kerf_predictor_open(estimator, &p[i], NULL)) {
			fprintf(stderr, "predict: no estimator \"%s\"\n", estimator);
			exit(2);
		}
	qsort(start, n, sizeof(*start), by_start);
	for (i = 0; i < t->n; i++) {
		const struct kerf_trace_rec *rec = &t->rec[i];

		for (; next < n && start[next].at_ns < rec->t_ns; next++)
			kerf_predictor_estimate(p[t->rec[start[next].rec].node], start[next].at_ns,
						&start[next].est);
		if (is_step(rec))
			step = learned > 0;
		if (rec->kind == KERF_TRACE_LINK && !down) {
			for (j = 0; j < n; j++)
				if (t->rec[start[j].rec].u.transfer.cookie == rec->u.link.cookie)
					break;
			if (j < n)
				kerf_predictor_link(p[t->rec[start[j].rec].node], &rec->u.link);
		}
		if (rec->kind != KERF_TRACE_TRANSFER || (rec->u.transfer.down != 0) != down)
			continue;
		if (step) {
			e = first_look(t, i, p[rec->node]);
			if (!isnan(e))
				add(&res->look, e);
			step = false;
		}
		kerf_predictor_learn(p[rec->node], &rec->u.transfer);
		learned++;
	}
	for (i = 0; i < KERF_STATE_NODES; i++)
		kerf_predictor_close(p[i]);
}

static void judge(const struct trace *t, struct start *start, uint32_t n, bool each,
		  struct result *res)
{
	uint32_t next = 0, since = 0, i;
	bool step = false;

	qsort(start, n, sizeof(*start), by_rec);
	for (i = 0; i < t->n && next < n; i++) {
		const struct kerf_transfer *x = &t->rec[i].u.transfer;
		double s, low, high, e, taken = seconds(x);

		if (t->rec[i].kind == KERF_TRACE_MARK && each)
			printf("  %s\n", t->rec[i].u.mark);
		if (is_step(&t->rec[i])) {
			if (step)
				add(&res->step, since + 1);
			step = next > 0;
			since = 0;
		}
		if (i != start[next].rec)
			continue;
		s = kerf_estimate_s(&start[next].est, (double)x->bytes, &low, &high);
		e = fabs(s / taken - 1);
		if (each)
			printf("  %10llu bytes took %10.3f ms, expected %10.3f (%.3f .. %.3f) %s\n",
			       (unsigned long long)x->bytes, taken * 1e3, s * 1e3, low * 1e3,
			       high * 1e3, start[next].est.estimator);
		if (isfinite(s)) {
			add(&res->error, e);
			add(&res->width, high / fmax(low, 1e-9));
			res->inside += taken >= low && taken <= high;
		} else {
			res->unknown++;
		}
		since++;
		if (step && e <= RIGHT) {
			add(&res->step, since);
			step = false;
		}
		next++;
	}
	if (step)
		add(&res->step, since + 1);
}

static void run(const struct trace *t, const char *estimator, bool down, bool each,
		struct result *res)
{
	struct start *start = NULL;
	uint32_t n = 0, i;

	for (i = 0; i < t->n; i++) {
		const struct kerf_transfer *x = &t->rec[i].u.transfer;

		if (t->rec[i].kind != KERF_TRACE_TRANSFER || (x->down != 0) != down || !x->bytes ||
		    seconds(x) <= 0)
			continue;
		start = grow(start, n, sizeof(*start));
		start[n++] = (struct start){.at_ns = x->start_ns, .rec = i};
	}
	if (n) {
		expect(t, estimator, down, start, n, res);
		judge(t, start, n, each, res);
	}
	free(start);
}

/* --- What is printed --- */

struct figures {
	uint32_t n, unknown, steps, step_worst;
	double median, p90, inside, width, step_median, look;
};

static struct figures figures(struct result *r)
{
	return (struct figures){
		.n = r->error.n,
		.unknown = r->unknown,
		.median = 100 * quantile(&r->error, 0.5),
		.p90 = 100 * quantile(&r->error, 0.9),
		.inside = 100.0 * r->inside / r->error.n,
		.width = quantile(&r->width, 0.5),
		.steps = r->step.n,
		.step_median = quantile(&r->step, 0.5),
		.step_worst = r->step.n ? (uint32_t)quantile(&r->step, 1) : 0,
		.look = 100 * quantile(&r->look, 0.5),
	};
}

static void head(const char *what)
{
	printf("%s\n  %-11s %6s %9s %9s %9s %9s %5s %6s %5s %9s\n", what, "estimator", "n",
	       "median %", "p90 %", "inside %", "high/low", "steps", "median", "worst", "inner %");
}

static void print(const char *name, const struct figures *f)
{
	printf("  %-11s %6u %9.2f %9.2f %9.1f %9.4g", name, f->n, f->median, f->p90, f->inside,
	       f->width);
	if (f->steps)
		printf(" %5u %6.0f %5u %9.1f", f->steps, f->step_median, f->step_worst, f->look);
	putchar('\n');
}

static json_object *number(double v)
{
	return isfinite(v) ? json_object_new_double(v) : NULL;
}

static json_object *object(const struct figures *f)
{
	json_object *o = json_object_new_object();

	json_object_object_add(o, "predicted", json_object_new_int64(f->n));
	json_object_object_add(o, "not_known", json_object_new_int64(f->unknown));
	json_object_object_add(o, "median_error_percent", number(f->median));
	json_object_object_add(o, "p90_error_percent", number(f->p90));
	json_object_object_add(o, "inside_percent", number(f->inside));
	json_object_object_add(o, "high_by_low", number(f->width));
	if (f->steps) {
		json_object_object_add(o, "steps", json_object_new_int64(f->steps));
		json_object_object_add(o, "until_right_median", number(f->step_median));
		json_object_object_add(o, "until_right_worst",
				       json_object_new_int64(f->step_worst));
		json_object_object_add(o, "inner_error_percent", number(f->look));
	}
	return o;
}

/* CASE of ".../CASE-1.jsonl"; all of the name if it is none such. */
static void case_of(const char *path, char *name, size_t size)
{
	const char *base = strrchr(path, '/');
	size_t n;

	base = base ? base + 1 : path;
	snprintf(name, size, "%s", base);
	if (strlen(name) > 6 && !strcmp(name + strlen(name) - 6, ".jsonl"))
		name[strlen(name) - 6] = 0;
	n = strlen(name);
	while (n && name[n - 1] >= '0' && name[n - 1] <= '9')
		n--;
	if (n > 1 && name[n] && name[n - 1] == '-')
		name[n - 1] = 0;
}

struct table {
	json_object *cases; /* NULL: text */
	struct figures sum[MAX_ESTIMATORS];
	uint32_t n;
};

static void free_result(struct result *r)
{
	free(r->error.v);
	free(r->width.v);
	free(r->step.v);
	free(r->look.v);
	*r = (struct result){.inside = 0};
}

static void add_case(struct table *t, const char *name, bool down, struct result *res)
{
	json_object *o = json_object_new_object();
	char what[160];
	uint32_t e;

	snprintf(what, sizeof(what), "%s%s", name, down ? ", to here" : "");
	if (!t->cases)
		head(what);
	for (e = 0; kerf_estimator_name(e) && e < MAX_ESTIMATORS; e++) {
		struct figures f = figures(&res[e]), *sum = &t->sum[e];

		if (!t->cases)
			print(kerf_estimator_name(e), &f);
		json_object_object_add(o, kerf_estimator_name(e), object(&f));
		/* What was never known is wrong by all of it. */
		sum->n += f.n;
		sum->unknown += f.unknown;
		sum->median += f.n ? f.median : 100;
		sum->p90 += f.n ? f.p90 : 100;
		sum->inside += f.n ? f.inside : 0;
		sum->width += f.n ? f.width : 1;
	}
	t->n++;
	if (t->cases)
		json_object_object_add(t->cases, what, o);
	else
		json_object_put(o);
}

static void finish_all(struct table *t)
{
	json_object *mean = json_object_new_object(), *doc = json_object_new_object();
	uint32_t e;

	if (!t->cases)
		head("mean of the cases");
	for (e = 0; kerf_estimator_name(e) && e < MAX_ESTIMATORS; e++) {
		struct figures *f = &t->sum[e];

		f->median /= t->n;
		f->p90 /= t->n;
		f->inside /= t->n;
		f->width /= t->n;
		if (!t->cases)
			print(kerf_estimator_name(e), f);
		json_object_object_add(mean, kerf_estimator_name(e), object(f));
	}
	json_object_object_add(doc, "mean", mean);
	if (t->cases) {
		json_object_object_add(doc, "cases", t->cases);
		puts(json_object_to_json_string_ext(doc, JSON_C_TO_STRING_PRETTY));
	}
	json_object_put(doc);
}

int main(int argc, char **argv)
{
	bool json = argc > 1 && !strcmp(argv[1], "--json");
	bool each = argc > 3 && !strcmp(argv[1], "--each");
	int first = json ? 2 : each ? 3 : 1, i;
	struct result res[2][MAX_ESTIMATORS] = {{{.inside = 0}}};
	struct table table = {.cases = json ? json_object_new_object() : NULL};
	double bytes[2] = {0, 0};
	uint32_t e, d;

	if (argc <= first || argv[first][0] == '-') {
		fprintf(stderr, "usage: predict [--json | --each ESTIMATOR] TRACE...\n");
		return 2;
	}
	for (i = first; i < argc; i++) {
		char name[128], next[128];
		struct trace t;

		if (load(argv[i], &t))
			return 1;
		for (d = 0; d < 2; d++) {
			if (each && t.bytes[d] > 0) {
				printf("%s%s\n", argv[i], d ? ", to here" : "");
				run(&t, argv[2], d, true, &res[d][0]);
				continue;
			}
			for (e = 0; kerf_estimator_name(e) && e < MAX_ESTIMATORS; e++)
				run(&t, kerf_estimator_name(e), d, false, &res[d][e]);
			bytes[d] += t.bytes[d];
		}
		free(t.rec);
		case_of(argv[i], name, sizeof(name));
		if (i + 1 < argc) {
			case_of(argv[i + 1], next, sizeof(next));
			if (!strcmp(name, next))
				continue;
		}
		for (d = 0; d < 2; d++) {
			if (!each && bytes[d] > 0.01 * (bytes[0] + bytes[1]))
				add_case(&table, name, d, res[d]);
			for (e = 0; e < MAX_ESTIMATORS; e++)
				free_result(&res[d][e]);
		}
		bytes[0] = bytes[1] = 0;
	}
	if (each)
		return 0;
	if (!table.n) {
		fprintf(stderr, "predict: no transfers in these traces\n");
		return 1;
	}
	finish_all(&table);
	return 0;
}
