/* SPDX-License-Identifier: MIT */
/*
 * kerf bench: latency and throughput of a model over a sweep of settings, beside the
 * peak that the machine reaches in the same run.
 */
#include "cli/bench.h"
#include "cli/check.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/replan.h"
#include "exec/cpu_kernels.h"
#include "exec/measure.h"
#include "util/clock.h"
#include "util/hash.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SWEEP 16
#define MAX_POLICIES 64
#define MAX_SAMPLES 100000
#define TELL_NS 250000000u
#define TOLD_OF 101 /* requests */

enum format { MD, CSV, JSON };

struct bench_options {
	struct kerf_cli_options common;
	long threads[MAX_SWEEP], depth[MAX_SWEEP];
	const char *policy[MAX_POLICIES];
	uint32_t n_threads, n_depth, n_policy;
	const char *cut; /* "all", or a list */
	long runs, warmup, seconds, replan, pause_ms, rounds, longest;
	bool peak, load, codec_error, check;
	enum format format;
};

/* Of --rounds. */
#define MAX_ROWS 1024
#define MAX_ROUNDS 100
#define MAX_ROUND_RUNS 100
#define BRIEF_S 0.3   /* predicted to take less: --warmup and --runs requests a round, else one */
#define LONG_S 3.0    /* predicted to take more: one round */
#define HOPELESS 4.0  /* slower than the best by this: the same */

/* Of a plan's outputs against the whole run's, if they were compared: of the worst one. */
struct worst {
	bool compared, top1; /* the same, wherever there is one */
	double rms, max;
};

struct row {
	char policy[24];
	long threads, depth;
	struct kerf_bench_stats ms;
	double per_s, gflops, peak_gflops, predicted_ms;
	double sent_kb, energy_j; /* of one request, predicted */
	double memory_mb, period_ms;
	uint32_t plan;		  /* of --rounds: rows of one plan have one number */
	struct worst error;
};

struct distinct {
	struct kerf_plan plan;
	uint64_t hash;
	double *ms; /* [rounds * runs] */
	uint32_t n;
	int status;
	struct worst error;
};

/* Distinct plans of one configuration, and whose they are. */
struct rounds {
	uint32_t n, n_row;
	struct distinct plan[MAX_ROWS];
	struct row row[MAX_ROWS];
};

/* Requests of one plan; ms[n] on are filled. */
struct batch {
	long warmup, runs; /* 0 runs: as long as --seconds */
	double *ms;
	uint32_t n;
	double wall_s;
	struct worst *error; /* NULL: not asked for */
};

static const char help[] =
	"usage: kerf bench [MODEL] [OPTIONS]\n"
	"\n"
	"Measures MODEL's latency and throughput. Lists (1,2,4) are swept.\n"
	"\n"
	"  --runs N            timed requests a row (default: as many as fit --seconds, at least 10)\n"
	"  --seconds N         time for a row (default 3)\n"
	"  --warmup N          requests before timing (default 3)\n"
	"  --pause MS          before each request, so that it finds links as one that comes alone does:\n"
	"                      a shaper's bucket full again (default 0)\n"
	"  --replan N          look at links and loads every N seconds; change the plan when it pays\n"
	"  --threads LIST      threads of the cpu engine\n"
	"  --depth LIST        requests in flight\n"
	"  --policy LIST|all   policies, one after the other; one that has no plan is told and left out\n"
	"  --cut LIST|all      with --policy cut: the cuts to measure one by one\n"
	"  --rounds N          plans are made first, and then run in turns, N times: --runs (2) and --warmup\n"
	"                      (1) requests of those that take less than 0.3 s, else one; of those above\n"
	"                      3 s, or four times the best, in the first round alone. What several\n"
	"                      policies plan is run once\n"
	"  --longest N         with --rounds: what is predicted to take more seconds is not run (15)\n"
	"  --check             compare the outputs of every plan with the whole run's on the first\n"
	"                      engine; without it, and without --rounds, those of plans with padded\n"
	"                      tiles or codecs are\n"
	"  --peak              measure the FMA peak between rows, print the share of it reached;\n"
	"                      without MODEL: print the peak alone\n"
	"  --wire              alone: a remote slice against a plain TCP echo\n"
	"  --transfers URL     alone: tensors to and from a node, and how well their time is predicted\n"
	"  --predictor         alone: how well stored profiles are predicted by all the others\n"
	"  --load              instead: time and memory to make MODEL ready\n"
	"  --codec-error       instead: what codecs change in MODEL's answers, cut in up to 12 places\n"
	"  --format NAME       md (default), csv, json\n"
	KERF_CLI_OPTIONS_HELP;

static const struct option longs[] = {
	{"replan", required_argument, NULL, 'N'},   {"pause", required_argument, NULL, 'U'},
	{"runs", required_argument, NULL, 'R'},	    {"seconds", required_argument, NULL, 'S'},
	{"warmup", required_argument, NULL, 'w'},   {"threads", required_argument, NULL, 'T'},
	{"depth", required_argument, NULL, 'D'},    {"policy", required_argument, NULL, 'L'},
	{"cut", required_argument, NULL, 'C'},	    {"peak", no_argument, NULL, 'K'},
	{"codec-error", no_argument, NULL, 'E'},    {"load", no_argument, NULL, 'M'},
	{"check", no_argument, NULL, 'V'},
	{"rounds", required_argument, NULL, 'r'},   {"longest", required_argument, NULL, 'G'},
	{"format", required_argument, NULL, 'F'},   KERF_CLI_LONG_OPTIONS,
};

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Nearest rank. */
static double percentile(const double *sorted, uint32_t n, double q)
{
	uint32_t i = (uint32_t)(q * n + 0.999999);

	return sorted[i ? KERF_MIN(i, n) - 1 : 0];
}

void kerf_bench_summarise(double *samples, uint32_t n, struct kerf_bench_stats *s)
{
	memset(s, 0, sizeof(*s));
	s->n = n;
	if (!n)
		return;
	qsort(samples, n, sizeof(*samples), compare);
	s->min = samples[0];
	s->median = percentile(samples, n, 0.5);
	s->p90 = percentile(samples, n, 0.9);
	s->p99 = percentile(samples, n, 0.99);
}

static int number_list(const char *what, char *arg, long min, long max, long *list, uint32_t *n,
		       struct kerf_err *err)
{
	char *save, *s;
	int r = 0;

	*n = 0;
	for (s = strtok_r(arg, ",", &save); s && !r; s = strtok_r(NULL, ",", &save)) {
		if (*n == MAX_SWEEP)
			return kerf_fail(err, -E2BIG, "%s: more than %d", what, MAX_SWEEP);
		r = kerf_cli_number(what, s, min, max, &list[(*n)++], err);
	}
	return r;
}

static int policy_list(struct bench_options *o, char *arg, struct kerf_err *err)
{
	const struct kerf_policy *policy;
	char *save, *s;
	uint32_t i;

	o->n_policy = 0;
	if (!strcmp(arg, "all")) {
		for (i = 0; (policy = kerf_policy_at(i)) && o->n_policy < MAX_POLICIES; i++)
			if (strcmp(policy->name, "cut") != 0) /* not a choice of its own */
				o->policy[o->n_policy++] = policy->name;
		return 0;
	}
	for (s = strtok_r(arg, ",", &save); s; s = strtok_r(NULL, ",", &save)) {
		if (o->n_policy == MAX_POLICIES || !kerf_policy_find(s))
			return kerf_fail(err, -EINVAL,
					 "unknown policy '%s'; 'kerf plan --policies' lists them", s);
		o->policy[o->n_policy++] = s;
	}
	return 0;
}

static int parse_format(struct bench_options *o, const char *arg, struct kerf_err *err)
{
	if (!strcmp(arg, "md"))
		o->format = MD;
	else if (!strcmp(arg, "csv"))
		o->format = CSV;
	else if (!strcmp(arg, "json"))
		o->format = JSON;
	else
		return kerf_fail(err, -EINVAL, "--format '%s': expected md, csv or json", arg);
	return 0;
}

static int parse(int argc, char **argv, struct bench_options *o, struct kerf_err *err)
{
	int c, r = 0;

	while (!r && (c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (c) {
		case 'h': return 1;
		case 'R': r = kerf_cli_number("--runs", optarg, 1, MAX_SAMPLES, &o->runs, err); break;
		case 'S': r = kerf_cli_number("--seconds", optarg, 1, 600, &o->seconds, err); break;
		case 'N': r = kerf_cli_number("--replan", optarg, 1, 3600, &o->replan, err); break;
		case 'w': r = kerf_cli_number("--warmup", optarg, 0, 1000, &o->warmup, err); break;
		case 'U':
			r = kerf_cli_number("--pause", optarg, 0, 60000, &o->pause_ms, err);
			break;
		case 'T':
			r = number_list("--threads", optarg, 1, 1024, o->threads, &o->n_threads, err);
			break;
		case 'D':
			r = number_list("--depth", optarg, 1, 64, o->depth, &o->n_depth, err);
			break;
		case 'L': r = policy_list(o, optarg, err); break;
		case 'C': o->cut = optarg; break;
		case 'M': o->load = true; break;
		case 'E': o->codec_error = true; break;
		case 'K': o->peak = true; break;
		case 'r': r = kerf_cli_number("--rounds", optarg, 1, MAX_ROUNDS, &o->rounds, err); break;
		case 'V': o->check = true; break;
		case 'G': r = kerf_cli_number("--longest", optarg, 1, 3600, &o->longest, err); break;
		case 'F': r = parse_format(o, optarg, err); break;
		default: r = kerf_cli_option(&o->common, c, optarg, err);
		}
	}
	if (o->common.json)
		o->format = JSON;
	if (!r && optind < argc - 1)
		r = kerf_fail(err, -EINVAL, "expected one model file; 'kerf bench --help' tells more");
	if (!r && o->rounds && (o->runs > MAX_ROUND_RUNS || o->replan || o->peak))
		r = kerf_fail(err, -EINVAL, "--rounds: at most %d --runs, and no --replan or --peak",
			      MAX_ROUND_RUNS);
	if (o->rounds && !o->runs)
		o->runs = 2;
	if (o->warmup < 0)
		o->warmup = o->rounds ? 1 : 3;
	if (!r && optind == argc && !o->peak)
		r = kerf_fail(err, -EINVAL, "expected a model file or --peak");
	o->common.model = optind < argc ? argv[optind] : NULL;
	return r;
}

/* Requests kept in flight, each slot with tensors of its own. */
struct load {
	struct kerf_live *live;
	struct slot {
		struct load *load;
		struct kerf_io io;
		uint64_t begin_ns;
		bool busy;
	} *slot;
	uint32_t depth;
	long pause_ms;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	double *ms;
	uint32_t n_ms, failed;
	int status;
	struct kerf_telemetry *telemetry;
	uint64_t told_ns;
};

static void request_done(void *user, int status)
{
	struct slot *slot = user;
	struct load *l = slot->load;
	uint64_t now = kerf_now_ns();

	pthread_mutex_lock(&l->lock);
	if (status) {
		l->failed++;
		l->status = status;
	} else if (l->n_ms < MAX_SAMPLES) {
		l->ms[l->n_ms++] = (double)(now - slot->begin_ns) * 1e-6;
	}
	slot->busy = false;
	pthread_cond_signal(&l->cond);
	pthread_mutex_unlock(&l->lock);
}

static struct slot *take_slot(struct load *l)
{
	struct slot *found = NULL;
	uint32_t i;

	pthread_mutex_lock(&l->lock);
	while (!found) {
		for (i = 0; i < l->depth && !found; i++)
			if (!l->slot[i].busy)
				found = &l->slot[i];
		if (!found)
			pthread_cond_wait(&l->cond, &l->lock);
	}
	found->busy = true;
	pthread_mutex_unlock(&l->lock);
	return found;
}

static void drain(struct load *l)
{
	uint32_t i;

	pthread_mutex_lock(&l->lock);
	for (i = 0; i < l->depth; i++)
		while (l->slot[i].busy)
			pthread_cond_wait(&l->cond, &l->lock);
	pthread_mutex_unlock(&l->lock);
}

/* Who watches sees how it goes: the median of the last requests, now and then. */
static void tell(struct load *l)
{
	uint64_t now = kerf_now_ns();
	struct kerf_bench_stats last;
	double ms[TOLD_OF];
	uint32_t n, all;

	if (!l->telemetry || now - l->told_ns < TELL_NS)
		return;
	l->told_ns = now;
	pthread_mutex_lock(&l->lock);
	all = l->n_ms;
	n = KERF_MIN(all, (uint32_t)TOLD_OF);
	memcpy(ms, l->ms + all - n, n * sizeof(*ms));
	pthread_mutex_unlock(&l->lock);
	kerf_bench_summarise(ms, n, &last);
	if (n)
		kerf_cli_telemetry_requests(l->telemetry, all, last.median * 1e-3);
}

/* n requests, or as many as fit seconds but at least 10. Wall seconds of all. */
static double drive(struct load *l, long n, double seconds)
{
	const struct timespec pause = {.tv_sec = l->pause_ms / 1000,
				       .tv_nsec = l->pause_ms % 1000 * 1000000};
	uint64_t begin = kerf_now_ns(), until = begin + (uint64_t)(seconds * 1e9);
	long i;

	l->n_ms = 0;
	for (i = 0; i < MAX_SAMPLES && !l->failed; i++) {
		struct slot *slot;
		int r;

		if (n ? i >= n : i >= 10 && kerf_now_ns() >= until)
			break;
		slot = take_slot(l);
		tell(l);
		if (l->pause_ms)
			nanosleep(&pause, NULL);
		slot->begin_ns = kerf_now_ns();
		r = kerf_live_submit(l->live, slot->io.in, slot->io.out, request_done, slot);
		if (r)
			request_done(slot, r);
	}
	drain(l);
	return (double)(kerf_now_ns() - begin) * 1e-9;
}

/* What cannot be compared, or not here, does not spoil the timing: it is told. */
static int compare_outputs(const struct bench_options *o, const struct kerf_cli_setup *s,
			   const struct kerf_plan *plan, const struct kerf_io *io, struct worst *w)
{
	struct kerf_cli_difference *d;
	struct kerf_err err = {""};
	char why[96];
	uint32_t i;
	int r;

	if (!w || o->replan || (!kerf_cli_inexact(plan, why) && !o->check))
		return 0;
	d = calloc(io->n_out + 1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	r = kerf_cli_differences(s, plan, io, d, &err);
	if (r) {
		fprintf(stderr, "kerf: %s: its error is not known: %s\n", plan->policy,
			err.msg[0] ? err.msg : strerror(-r));
		free(d);
		return 0;
	}
	kerf_cli_say_differences(plan->policy, s->graph, d);
	w->compared = w->top1 = true;
	for (i = 0; i < io->n_out; i++) {
		if (!d[i].made)
			continue;
		w->rms = d[i].same_dims ? fmax(w->rms, d[i].rms) : INFINITY;
		w->max = d[i].same_dims ? fmax(w->max, d[i].max) : INFINITY;
		w->top1 &= d[i].same_dims && d[i].top1 == d[i].rows;
	}
	free(d);
	return 0;
}

/* Runs a plan; the samples are added to b's. */
static int measure(const struct bench_options *o, struct kerf_cli_setup *s,
		   const struct kerf_plan *plan, long depth, struct batch *b, struct kerf_err *err)
{
	struct load l = {.depth = (uint32_t)depth,
			 .pause_ms = o->pause_ms,
			 .lock = PTHREAD_MUTEX_INITIALIZER,
			 .cond = PTHREAD_COND_INITIALIZER,
			 .telemetry = s->telemetry};
	struct kerf_cli_replan *replan = NULL;
	uint32_t i;
	int r;

	l.ms = malloc(MAX_SAMPLES * sizeof(*l.ms));
	l.slot = calloc(l.depth, sizeof(*l.slot));
	r = l.ms && l.slot ? 0 : -ENOMEM;
	for (i = 0; i < l.depth && !r; i++) {
		l.slot[i].load = &l;
		r = kerf_io_make_on(kerf_cli_only_engine(s), s->graph, i + 1, &l.slot[i].io);
	}
	if (!r)
		r = kerf_live_open(s->graph, plan, s->cluster.engine, l.depth, &l.live, err);
	if (!r && o->replan)
		r = kerf_cli_replan_start(o->common.model, s, l.live, (double)o->replan, &replan,
					  err);
	if (r)
		goto out;
	if (b->warmup)
		drive(&l, b->warmup, 0);
	b->wall_s = drive(&l, b->runs, (double)o->seconds);
	if (l.failed) {
		kerf_live_why(l.live, err);
		r = kerf_fail(err, l.status, "%s", kerf_job_text(l.status));
		kerf_err_prefix(err, "a request failed");
		goto out;
	}
	memcpy(b->ms + b->n, l.ms, l.n_ms * sizeof(*l.ms));
	b->n += l.n_ms;
	r = compare_outputs(o, s, plan, &l.slot[0].io, b->error);
out:
	kerf_cli_replan_stop(replan);
	kerf_live_close(l.live);
	for (i = 0; l.slot && i < l.depth; i++)
		kerf_io_finish(&l.slot[i].io);
	free(l.slot);
	free(l.ms);
	return r;
}

static double peak(const struct bench_options *o, long threads)
{
	const struct kerf_cpu_isa *isa = kerf_cpu_isa_find(o->common.engine.isa);

	return isa ? kerf_cpu_peak_gflops(isa, (int)threads) : 0;
}

static double model_gflop(const struct kerf_graph *g)
{
	double sum = 0;
	uint32_t i;

	for (i = 0; i < g->n_op; i++)
		sum += (double)kerf_op_flops(g, &g->op[i]);
	return sum * 1e-9;
}

static void print_head(const struct bench_options *o)
{
	if (o->format == MD)
		printf("| policy | threads | depth | n | min ms | median ms | p90 ms | p99 ms | req/s | GFLOP/s | peak | ratio | predicted ms |\n"
		       "|---|---|---|---|---|---|---|---|---|---|---|---|---|\n");
	else if (o->format == CSV)
		printf("policy,threads,depth,n,min_ms,median_ms,p90_ms,p99_ms,req_s,gflops,peak_gflops,ratio,predicted_ms,sent_kb,energy_j,plan,memory_mb,period_ms,rms_error,max_error,top1\n");
	else
		printf("[");
}

/*
 * The last fields of a row, in formats that have them: empty, or null, where nothing was compared.
 */
static void print_error(const struct bench_options *o, const struct worst *w)
{
	const char *top1 = w->top1 ? "true" : "false";

	if (o->format == CSV && w->compared)
		printf(",%.6g,%.6g,%s\n", w->rms, w->max, top1);
	else if (o->format == CSV)
		printf(",,,\n");
	else if (o->format == JSON && w->compared && isfinite(w->max))
		printf(",\"rms_error\":%.6g,\"max_error\":%.6g,\"top1\":%s}", w->rms, w->max, top1);
	else if (o->format == JSON)
		printf(",\"rms_error\":null,\"max_error\":null,\"top1\":null}");
}

static void print_row(const struct bench_options *o, const struct row *r, bool first)
{
	static const char *const layout[] = {
		[MD] = "| %s | %ld | %ld | %u | %.3f | %.3f | %.3f | %.3f | %.2f | %.2f | %.2f | %.3f | %.3f |\n",
		[CSV] = "%s,%ld,%ld,%u,%.6f,%.6f,%.6f,%.6f,%.4f,%.3f,%.3f,%.4f,%.6f,%.3f,%.6f,%u,%.3f,%.6f",
		[JSON] = "{\"policy\":\"%s\",\"threads\":%ld,\"depth\":%ld,\"n\":%u,\"min_ms\":%.6f,\"median_ms\":%.6f,\"p90_ms\":%.6f,\"p99_ms\":%.6f,\"req_s\":%.4f,\"gflops\":%.3f,\"peak_gflops\":%.3f,\"ratio\":%.4f,\"predicted_ms\":%.6f,\"sent_kb\":%.3f,\"energy_j\":%.6f,\"plan\":%u,\"memory_mb\":%.3f,\"period_ms\":%.6f",
	};

	if (o->format == JSON && !first)
		printf(",\n");
	printf(layout[o->format], r->policy, r->threads, r->depth, r->ms.n, r->ms.min, r->ms.median,
	       r->ms.p90, r->ms.p99, r->per_s, r->gflops, r->peak_gflops,
	       r->peak_gflops > 0 ? r->gflops / r->peak_gflops : 0, r->predicted_ms, r->sent_kb,
	       r->energy_j, r->plan, r->memory_mb, r->period_ms);
	print_error(o, &r->error);
	fflush(stdout);
}

static void describe(struct row *row, const char *policy, const struct kerf_plan *plan)
{
	snprintf(row->policy, sizeof(row->policy), "%s", policy);
	row->predicted_ms = plan->total_s * 1e3;
	row->period_ms = plan->period_s * 1e3;
	row->sent_kb = plan->wire_bytes / 1e3;
	row->energy_j = plan->energy_j;
	row->memory_mb = plan->memory_bytes / 1e6;
}

static uint64_t plan_hash(const struct kerf_plan *plan)
{
	uint64_t h = kerf_hash_mix(KERF_HASH_INIT, &plan->exit, sizeof(plan->exit));
	uint32_t i;

	for (i = 0; i < plan->n_step; i++) {
		const struct kerf_plan_step *s = &plan->step[i];
		int64_t what[] = {s->engine, s->n_op, s->rows.begin, s->rows.end,
				  s->channels.begin, s->channels.end, s->padded};

		h = kerf_hash_mix(h, what, sizeof(what));
		h = kerf_hash_mix(h, s->op, s->n_op * sizeof(*s->op));
	}
	for (i = 0; i < plan->n_edge; i++) {
		const struct kerf_plan_edge *e = &plan->edge[i];
		int64_t what[] = {e->value, e->from, e->to, e->rows.begin, e->rows.end,
				  e->channels.begin, e->channels.end, e->codec};

		h = kerf_hash_mix(h, what, sizeof(what));
	}
	return h;
}

/* One plan at every depth. The peak is the mean of before and after. */
static int bench_plan(const struct bench_options *o, long threads, struct kerf_cli_setup *s,
		      const char *policy, bool *first, struct kerf_err *err)
{
	struct batch b = {
		.warmup = o->warmup, .runs = o->runs, .ms = calloc(MAX_SAMPLES, sizeof(double))};
	uint32_t d;
	int r = b.ms ? 0 : -ENOMEM;

	for (d = 0; d < o->n_depth && !r; d++) {
		struct row row = {.threads = threads, .depth = o->depth[d]};
		double before = o->peak ? peak(o, threads) : 0;

		describe(&row, policy, &s->plan);
		b.n = 0;
		b.error = &row.error;
		r = measure(o, s, &s->plan, row.depth, &b, err);
		if (r)
			break;
		row.per_s = b.n / b.wall_s;
		kerf_bench_summarise(b.ms, b.n, &row.ms);
		kerf_cli_telemetry_requests(s->telemetry, b.n, row.ms.median * 1e-3);
		row.gflops = model_gflop(s->graph) / (row.ms.median * 1e-3);
		row.peak_gflops = o->peak ? (before + peak(o, threads)) / 2 : 0;
		print_row(o, &row, *first);
		*first = false;
	}
	free(b.ms);
	return r;
}

/* --- Rounds: distinct plans in turns, so that what drifts drifts for all --- */

/* One visit to a plan in a round. Long requests need no warming, and what is hopeless one look. */
static void visit(const struct bench_options *o, struct kerf_cli_setup *s, struct distinct *d)
{
	bool brief = d->plan.total_s < BRIEF_S;
	struct batch b = {.warmup = brief ? o->warmup : 0,
			  .runs = brief ? o->runs : 1,
			  .ms = d->ms,
			  .n = d->n,
			  .error = o->check && !d->n ? &d->error : NULL};
	struct kerf_err err = {""};

	d->status = measure(o, s, &d->plan, 1, &b, &err);
	if (d->status)
		fprintf(stderr, "kerf: policy %s: %s\n", d->plan.policy, err.msg);
	else
		d->n = b.n;
}

static double median_of(const struct distinct *d)
{
	double ms[MAX_ROUNDS * MAX_ROUND_RUNS];
	struct kerf_bench_stats st;

	memcpy(ms, d->ms, d->n * sizeof(*ms));
	kerf_bench_summarise(ms, d->n, &st);
	return st.median;
}

static void measure_rounds(const struct bench_options *o, struct kerf_cli_setup *s,
			   struct rounds *k)
{
	double best = INFINITY;
	uint32_t i;
	long round;

	for (round = 0; round < o->rounds; round++) {
		for (i = 0; i < k->n; i++) {
			struct distinct *d = &k->plan[i];

			if (d->status || d->plan.total_s > (double)o->longest)
				continue;
			if (!round || (d->plan.total_s < LONG_S && median_of(d) < HOPELESS * best))
				visit(o, s, d);
		}
		for (i = 0; i < k->n; i++)
			if (k->plan[i].n)
				best = fmin(best, median_of(&k->plan[i]));
	}
}

static void print_rounds(const struct bench_options *o, long threads, const struct kerf_graph *g,
			 struct rounds *k, bool *first)
{
	uint32_t i;

	for (i = 0; i < k->n_row; i++) {
		struct row *row = &k->row[i];
		struct distinct *d = &k->plan[row->plan];

		if (d->status)
			continue;
		row->threads = threads;
		row->depth = 1;
		row->error = d->error;
		kerf_bench_summarise(d->ms, d->n, &row->ms);
		if (d->n) {
			row->per_s = 1e3 / row->ms.median;
			row->gflops = model_gflop(g) / (row->ms.median * 1e-3);
		}
		print_row(o, row, *first);
		*first = false;
	}
}

/* Takes the setup's plan if no other policy had it. */
static int remember(const struct bench_options *o, struct rounds *k, const char *policy,
		    struct kerf_plan *plan)
{
	uint64_t hash = plan_hash(plan);
	struct row *row = &k->row[k->n_row];
	uint32_t i;

	for (i = 0; i < k->n && k->plan[i].hash != hash; i++)
		;
	if (k->n_row == MAX_ROWS)
		return -E2BIG;
	if (i == k->n) {
		k->plan[i].ms = calloc((size_t)(o->rounds * o->runs), sizeof(double));
		if (!k->plan[i].ms)
			return -ENOMEM;
		k->plan[i].hash = hash;
		k->n++;
	}
	describe(row, policy, plan);
	row->plan = i;
	k->n_row++;
	if (k->plan[i].plan.n_step)
		return 0;
	k->plan[i].plan = *plan;
	memset(plan, 0, sizeof(*plan));
	return 0;
}

static void rounds_free(struct rounds *k)
{
	uint32_t i;

	for (i = 0; k && i < k->n; i++) {
		kerf_plan_finish(&k->plan[i].plan);
		free(k->plan[i].ms);
	}
	free(k);
}

/* --- Policies --- */

static int bench_policy(const struct bench_options *o, long threads, struct kerf_cli_setup *s,
			const char *name, struct rounds *rounds, bool *first, struct kerf_err *err)
{
	const struct kerf_policy *policy = kerf_policy_find(name);
	char label[24];
	int r;

	if (s->problem.op_s) {
		kerf_plan_finish(&s->plan);
		r = kerf_cli_ask(policy, &s->problem.p, &s->plan, err);
		if (r)
			return r;
		kerf_cli_telemetry_plan(s->telemetry, &s->plan, o->common.model, NULL);
	}
	if (strcmp(s->plan.policy, "cut"))
		snprintf(label, sizeof(label), "%s", s->plan.policy);
	else
		snprintf(label, sizeof(label), "cut %u", s->problem.p.cut);
	return rounds ? remember(o, rounds, label, &s->plan)
		      : bench_plan(o, threads, s, label, first, err);
}

/* Every cut of --cut, one by one. */
static int bench_cuts(const struct bench_options *o, long threads, struct kerf_cli_setup *s,
		      struct rounds *rounds, bool *first, struct kerf_err *err)
{
	bool all = o->cut && !strcmp(o->cut, "all");
	uint32_t n = s->graph->n_op + 1, i;
	char *copy = strdup(o->cut && !all ? o->cut : "0"), *save = NULL, *text = copy;
	int r = copy ? 0 : -ENOMEM;

	for (i = 0; !r && (all ? i < n : (text = strtok_r(i ? NULL : copy, ",", &save)) != NULL); i++) {
		long cut = i;

		if (!all)
			r = kerf_cli_number("--cut", text, 0, n - 1, &cut, err);
		s->problem.p.cut = (uint32_t)cut;
		if (!r)
			r = bench_policy(o, threads, s, "cut", rounds, first, err);
	}
	free(copy);
	return r;
}

/* One engine configuration, every policy. */
static int bench_threads(const struct bench_options *o, long threads, bool *first,
			 struct kerf_err *err)
{
	struct kerf_cli_options common = o->common;
	struct rounds *rounds = NULL;
	struct kerf_cli_setup s;
	uint32_t p;
	int r;

	common.engine.threads = (int)threads;
	common.policy = o->n_policy == 1 ? o->policy[0] : NULL;
	r = kerf_cli_setup(&common, &s, err);
	if (r)
		return r;
	if (o->rounds && !s.problem.op_s) {
		r = kerf_fail(err, -EINVAL, "--rounds compares plans; --on needs more than one engine");
	} else if (o->rounds) {
		rounds = calloc(1, sizeof(*rounds));
		r = rounds ? 0 : -ENOMEM;
	}
	for (p = 0; p < o->n_policy && !r; p++) {
		struct kerf_err why = {""};

		if (o->policy[p] && !strcmp(o->policy[p], "cut") && s.problem.op_s)
			r = bench_cuts(o, threads, &s, rounds, first, &why);
		else
			r = bench_policy(o, threads, &s, o->policy[p], rounds, first, &why);
		/* Others may have a plan. */
		if ((r == -EDOM || r == -ENODEV || (rounds && r != -ENOMEM && r)) &&
		    o->n_policy > 1) {
			fprintf(stderr, "kerf: policy %s: %s\n", o->policy[p], why.msg);
			r = 0;
		}
		kerf_fail(r ? err : NULL, r, "%s", why.msg);
	}
	if (rounds && !r) {
		measure_rounds(o, &s, rounds);
		print_rounds(o, threads, s.graph, rounds, first);
	}
	rounds_free(rounds);
	kerf_cli_setup_finish(&s);
	return r;
}

static int bench(const struct bench_options *o, struct kerf_err *err)
{
	bool first = true;
	uint32_t t;
	int r = 0;

	if (o->common.model && o->codec_error)
		return kerf_bench_codec_error(o->common.model, &o->common.load,
					      o->common.on ? o->common.on : "cpu", &o->common.engine,
					      err);
	if (o->common.model && o->load) {
		struct kerf_engine_config cfg = o->common.engine;

		cfg.threads = (int)o->threads[0];
		return kerf_bench_load(o->common.model, &o->common.load,
				       o->common.on ? o->common.on : "cpu", &cfg, err);
	}
	if (!o->common.model) {
		for (t = 0; o->peak && t < o->n_threads; t++)
			printf("%ld thread%s: %.2f GFLOP/s\n", o->threads[t],
			       o->threads[t] == 1 ? "" : "s", peak(o, o->threads[t]));
		return 0;
	}
	print_head(o);
	for (t = 0; t < o->n_threads && !r; t++)
		r = bench_threads(o, o->threads[t], &first, err);
	if (o->format == JSON)
		printf("]\n");
	return r;
}

static uint32_t most(const long *v, uint32_t n)
{
	long m = 0;

	while (n--)
		m = KERF_MAX(m, v[n]);
	return (uint32_t)m;
}

int kerf_cmd_bench(int argc, char **argv)
{
	struct bench_options o = {.threads = {1},
				  .depth = {1},
				  .n_threads = 1,
				  .n_depth = 1,
				  .n_policy = 1,
				  .warmup = -1,
				  .seconds = 3,
				  .longest = 15};
	struct kerf_err err = {""};
	int r, status = KERF_EXIT_OK;

	if (argc > 1 && !strcmp(argv[1], "--wire"))
		return kerf_bench_wire(argc - 1, argv + 1);
	if (argc > 1 && !strcmp(argv[1], "--transfers"))
		return kerf_bench_transfers(argc - 1, argv + 1);
	if (argc > 1 && !strcmp(argv[1], "--predictor"))
		return kerf_bench_predictor(argc - 1, argv + 1);
	r = parse(argc, argv, &o, &err);
	if (r > 0) {
		fputs(help, stdout);
	} else if (r) {
		kerf_cli_fail(&err, r);
		status = KERF_EXIT_USAGE;
	} else {
		o.common.engine.depth = o.common.goal.goal.in_flight = most(o.depth, o.n_depth);
		r = kerf_cli_options_open(&o.common, &err);
		if (!r)
			r = bench(&o, &err);
		if (r)
			status = kerf_cli_fail(&err, r);
	}
	kerf_cli_options_finish(&o.common);
	return status;
}
