/* SPDX-License-Identifier: MIT */
/* kerf sim: a scenario's requests over its nodes, simulated. */
#include "cli/sim.h"

#include "cli/cli.h"
#include "cli/clean.h"
#include "cli/gen.h"
#include "graph/import.h"
#include "util/file.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct sim_options {
	const char *scenario, *csv, *svg, *policy;
	uint64_t seed;
	bool json, seeded;
};

static const char help[] =
	"usage: kerf sim [OPTIONS] SCENARIO\n"
	"\n"
	"Plays a scenario's requests through, event by event, with the same policies and costs as\n"
	"everywhere else, and says how long they take and what they need. docs/simulator.md has\n"
	"the scenario's fields.\n"
	"\n"
	"  --policy NAME    instead of the scenario's\n"
	"  --seed N         instead of the scenario's\n"
	"  --json           all figures, also of every node\n"
	"  --csv FILE       a row for every node\n"
	"  -o, --output FILE\n"
	"                   draw it: an SVG file\n";

static const struct option longs[] = {
	{"policy", required_argument, NULL, 'P'}, {"seed", required_argument, NULL, 's'},
	{"json", no_argument, NULL, 'j'},	  {"csv", required_argument, NULL, 'c'},
	{"output", required_argument, NULL, 'o'}, {"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static int parse(int argc, char **argv, struct sim_options *o, struct kerf_err *err)
{
	char *end;
	int c;

	while ((c = getopt_long(argc, argv, "o:h", longs, NULL)) != -1) {
		switch (c) {
		case 'h': return 1;
		case 'P':
			if (!kerf_policy_find(optarg))
				return kerf_fail(err, -EINVAL, "unknown policy '%s'", optarg);
			o->policy = optarg;
			break;
		case 's':
			errno = 0;
			o->seed = strtoull(optarg, &end, 10);
			o->seeded = true;
			if (errno || *end || end == optarg || *optarg == '-')
				return kerf_fail(err, -EINVAL, "--seed '%s': expected a whole number", optarg);
			break;
		case 'j': o->json = true; break;
		case 'c': o->csv = optarg; break;
		case 'o': o->svg = optarg; break;
		default: return -EINVAL; /* getopt said why */
		}
	}
	if (optind != argc - 1)
		return kerf_fail(err, -EINVAL, "expected one scenario; 'kerf sim --help' tells more");
	o->scenario = argv[optind];
	return 0;
}

/* A model of kerf gen is written to a file that goes when its mapping does. */
static int load_generated(const struct kerf_scenario_model *m, struct kerf_graph **g,
			  struct kerf_err *err)
{
	const char *tmp = getenv("TMPDIR");
	char folder[400], path[420];
	int r;

	snprintf(folder, sizeof(folder), "%.380s/kerf-sim-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	if (!mkdtemp(folder))
		return kerf_fail(err, -errno, "%s: %s", folder, strerror(errno));
	snprintf(path, sizeof(path), "%s/model.onnx", folder);
	r = kerf_gen_named(m->arch, m->size, path, err);
	if (!r)
		r = kerf_model_load(path, NULL, g, err);
	unlink(path);
	rmdir(folder);
	return r;
}

static int load(void *user, const struct kerf_scenario_model *m, struct kerf_graph **g,
		struct kerf_err *err)
{
	return m->file ? kerf_model_load(m->file, NULL, g, err) : load_generated(m, g, err);
}

static void progress(double share)
{
	char bar[41];
	int n = (int)(share * 40);

	memset(bar, ' ', 40);
	memset(bar, '#', (size_t)n);
	bar[40] = 0;
	fprintf(stderr, "\r[%s] %3.0f %%", bar, share * 100);
	fflush(stderr);
}

static void show_progress(void *user, double share)
{
	progress(share);
}

static void print_latency(const char *name, const struct kerf_sim_latency *l,
			  const struct kerf_sim_node *n)
{
	char clean[40];

	printf("%-24s %10llu %8llu %8llu %8llu %9.3f %9.3f %9.3f %9.3f\n",
	       kerf_clean(name, clean, 25), (unsigned long long)n->done,
	       (unsigned long long)n->lost, (unsigned long long)n->retried,
	       (unsigned long long)n->replans, l->mean * 1e3, l->p50 * 1e3, l->p90 * 1e3,
	       l->p99 * 1e3);
}

#define SHOWN 20

static void print(const struct kerf_sim *sim, const struct kerf_sim_result *r)
{
	const struct kerf_sim_world *w = &sim->world;
	struct kerf_sim_node all = {.done = w->done, .lost = w->lost, .retried = w->retried,
				    .replans = w->replans};
	uint32_t i, shown = 0, homes = 0;

	printf("%s by %s, seed %llu: %u nodes, %u engines, %u directions of links\n", sim->s->name,
	       sim->s->policy, (unsigned long long)sim->s->seed, w->n_node, w->n_engine, w->n_link);
	printf("%llu requests in %.3f s: %llu done, %llu lost, %.3f a second, %.3f at once\n",
	       (unsigned long long)w->arrived, w->end_s, (unsigned long long)w->done,
	       (unsigned long long)w->lost, r->throughput_hz, r->mean_in_system);
	if (w->lost_unplanned)
		printf("%llu times no plan could be made: %s\n", (unsigned long long)w->lost_unplanned,
		       sim->why_unplanned);
	printf("%.3f MB on links; %.3f J of work and traffic, %.3f J of idling\n", w->wire_bytes / 1e6,
	       r->work_j, r->idle_j);
	printf("%llu plans made, %llu found again; %llu events\n\n", (unsigned long long)sim->plans_made,
	       (unsigned long long)sim->plans_kept, (unsigned long long)w->events);
	printf("%-24s %10s %8s %8s %8s %9s %9s %9s %9s\n", "requests of", "done", "lost", "retried",
	       "replans", "mean ms", "p50 ms", "p90 ms", "p99 ms");
	for (i = 0; i < w->n_node; i++) {
		if (!w->node[i].arrived)
			continue;
		if (shown < SHOWN && ++shown)
			print_latency(w->node[i].name, &r->node[i], &w->node[i]);
		homes++;
	}
	if (homes > shown)
		printf("(%u more: --csv or --json)\n", homes - shown);
	print_latency("all", &r->all, &all);
}

typedef int (*write_fn)(const struct kerf_sim *, const struct kerf_sim_result *, FILE *);

static int write_csv(const struct kerf_sim *sim, const struct kerf_sim_result *r, FILE *f)
{
	kerf_sim_csv(sim, r, f);
	return 0;
}

static int write_file(const char *path, write_fn how, const struct kerf_sim *sim,
		      const struct kerf_sim_result *r, struct kerf_err *err)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f;
	int ret;

	if (!path)
		return 0;
	f = open_memstream(&text, &n);
	if (!f)
		return -ENOMEM;
	ret = how(sim, r, f);
	if (fclose(f) && !ret)
		ret = -errno;
	ret = ret ? kerf_fail(err, ret, "%s: %s", path, strerror(-ret))
		  : kerf_file_write(path, text, n, err);
	free(text);
	return ret;
}

static int simulate(const struct sim_options *o, struct kerf_scenario *s, struct kerf_err *err)
{
	struct kerf_sim_result result = {.node = NULL};
	struct kerf_sim sim;
	int r;

	if (o->policy)
		snprintf(s->policy, sizeof(s->policy), "%s", o->policy);
	if (o->seeded)
		s->seed = o->seed;
	r = kerf_sim_make(s, load, NULL, &sim, err);
	if (r) {
		kerf_err_prefix(err, "%s", o->scenario);
	} else {
		if (isatty(STDERR_FILENO))
			sim.world.progress = show_progress;
		r = kerf_sim_run(&sim, err);
		if (sim.world.progress)
			fprintf(stderr, "\r%50s\r", "");
	}
	if (!r)
		r = kerf_sim_result(&sim, &result);
	if (!r)
		r = write_file(o->csv, write_csv, &sim, &result, err);
	if (!r)
		r = write_file(o->svg, kerf_sim_svg, &sim, &result, err);
	if (!r && o->json)
		kerf_sim_json(&sim, &result, stdout);
	else if (!r)
		print(&sim, &result);
	kerf_sim_result_finish(&result);
	kerf_sim_finish(&sim);
	return r;
}

int kerf_cmd_sim(int argc, char **argv)
{
	struct sim_options o = {.json = false};
	struct kerf_err err = {""};
	struct kerf_scenario s;
	int r = parse(argc, argv, &o, &err);

	if (r > 0) {
		fputs(help, stdout);
		return KERF_EXIT_OK;
	}
	if (r) {
		kerf_cli_fail(&err, r);
		return KERF_EXIT_USAGE;
	}
	r = kerf_scenario_read(o.scenario, &s, &err);
	if (!r)
		r = simulate(&o, &s, &err);
	kerf_scenario_finish(&s);
	return r ? kerf_cli_fail(&err, r) : KERF_EXIT_OK;
}
