/* SPDX-License-Identifier: MIT */
#include "cli/telemetry.h"

#include "telemetry/load.h"
#include "util/clock.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SETTLE_NS 500000000u /* some windows: more than the first one takes */

static const struct {
	const char *name;
	enum kerf_source best;
} ladders[] = {
	{"auto", KERF_SOURCE_NONE},
	{"btf", KERF_SOURCE_BTF},
	{"bpf", KERF_SOURCE_BPF},
	{"proc", KERF_SOURCE_TCP_INFO},
};

static int choose(struct kerf_cli_telemetry_options *o, const char *arg, struct kerf_err *err)
{
	size_t i;

	o->off = !strcmp(arg, "off");
	if (o->off)
		return 0;
	for (i = 0; i < KERF_ARRAY_SIZE(ladders); i++)
		if (!strcmp(arg, ladders[i].name)) {
			o->best = ladders[i].best;
			return 0;
		}
	return kerf_fail(err, -EINVAL, "--telemetry '%s': expected auto, btf, bpf, proc or off", arg);
}

int kerf_cli_telemetry_option(struct kerf_cli_telemetry_options *o, int opt, const char *arg,
			      struct kerf_err *err)
{
	int r = opt == KERF_CLI_OPT_TELEMETRY ? choose(o, arg, err) : 0;

	o->asked = true;
	if (opt == KERF_CLI_OPT_STATE)
		o->state = arg;
	if (opt == KERF_CLI_OPT_BTF)
		o->btf = arg;
	if (!r && o->off && o->state)
		r = kerf_fail(err, -EINVAL, "--state needs telemetry, which is off");
	return r;
}

static void warn(void *user, const char *line)
{
	fprintf(stderr, "kerf: %s (further ones are only counted)\n", line);
}

int kerf_cli_telemetry_open(const struct kerf_cli_telemetry_options *o, struct kerf_telemetry **t,
			    struct kerf_err *err)
{
	const struct kerf_telemetry_config cfg = {.best = o->best, .btf = o->btf,
						  .drop_privileges = true, .warn = warn};
	int r;

	*t = NULL;
	if (o->off)
		return 0;
	r = kerf_telemetry_open(&cfg, t, err);
	if (!r && o->state) {
		r = kerf_telemetry_publish(*t, o->state, err);
		if (r) {
			kerf_telemetry_close(*t);
			*t = NULL;
		}
	}
	return r;
}

const char *kerf_cli_source(unsigned int source)
{
	static const char *const names[KERF_N_SOURCE] = {
		"none", "the runtime", "/proc and /sys", "TCP_INFO", "BPF", "BPF with BTF", "the peer",
	};

	return source < KERF_N_SOURCE ? names[source] : "unknown";
}

void kerf_cli_telemetry_say(struct kerf_telemetry *t, FILE *f)
{
	static const struct {
		const char *name;
		enum kerf_region region;
	} group[] = {{"links", KERF_REGION_LINKS}, {"load", KERF_REGION_CPUS},
		     {"engines", KERF_REGION_ENGINES}, {"sensors", KERF_REGION_ZONES}};
	struct kerf_state_head head;
	size_t i;

	kerf_telemetry_head(t, &head);
	fprintf(f, "kerf: telemetry:");
	for (i = 0; i < KERF_ARRAY_SIZE(group); i++)
		fprintf(f, "%s %s by %s", i ? "," : "", group[i].name,
			kerf_cli_source(head.region[group[i].region].source));
	fputc('\n', f);
	for (i = 0; i < KERF_ARRAY_SIZE(group); i++)
		if (head.region[group[i].region].reason[0])
			fprintf(f, "kerf: telemetry: %s: %s\n", group[i].name,
				head.region[group[i].region].reason);
}

void kerf_cli_telemetry_links(struct kerf_telemetry *t, const struct kerf_cluster *c,
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

/*
 * A state that was made after now, with CPU figures in it if there are any: a command that has just begun has not
 * measured anything yet, and one node's load without another's would mislead.
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

/* Waiting and running on an engine of a node; device begins with its name there, "cpu on HOST: ...". */
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

double kerf_cli_telemetry_power(struct kerf_telemetry *t, const struct kerf_cluster *c, uint32_t i)
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

void kerf_cli_telemetry_loads(struct kerf_telemetry *t, const struct kerf_cluster *c,
			      struct kerf_cluster_view *view)
{
	struct kerf_state *s = t ? malloc(sizeof(*s)) : NULL;
	uint32_t i, n;

	if (!s)
		return;
	settled_state(t, s);
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

static void current_note(struct kerf_telemetry *t, struct kerf_plan_note *note)
{
	struct kerf_state *s = malloc(sizeof(*s));

	memset(note, 0, sizeof(*note));
	if (s) {
		kerf_telemetry_state(t, s);
		*note = s->plan;
	}
	free(s);
}

void kerf_cli_telemetry_plan(struct kerf_telemetry *t, const struct kerf_plan *plan,
			     const char *model, const char *changed)
{
	const char *slash = strrchr(model, '/');
	struct kerf_plan_note before, note;

	if (!t)
		return;
	current_note(t, &before);
	note = (struct kerf_plan_note){.since_ns = kerf_now_ns(), .epoch = before.epoch + 1,
				       .n_step = plan->n_step};
	/* 0 where nothing had to be decided, so nothing was predicted. */
	if (plan->total_s > 0 && plan->total_s < 1e9)
		note.predicted_ns = (uint64_t)(plan->total_s * 1e9);
	snprintf(note.policy, sizeof(note.policy), "%s", plan->policy);
	snprintf(note.model, sizeof(note.model), "%s", slash ? slash + 1 : model);
	snprintf(note.reason, sizeof(note.reason), "%.*s", (int)sizeof(note.reason) - 1,
		 plan->reason);
	if (before.epoch && changed)
		snprintf(note.changed, sizeof(note.changed), "%s", changed);
	else if (before.epoch)
		snprintf(note.changed, sizeof(note.changed), "%s predicted %.3f ms, %s %.3f ms",
			 before.policy, (double)before.predicted_ns * 1e-6, note.policy,
			 plan->total_s * 1e3);
	kerf_telemetry_plan(t, &note);
}

void kerf_cli_telemetry_requests(struct kerf_telemetry *t, uint64_t n, double median_s)
{
	struct kerf_plan_note note;

	if (!t)
		return;
	current_note(t, &note);
	note.requests = n;
	note.observed_ns = (uint64_t)(median_s * 1e9);
	kerf_telemetry_plan(t, &note);
}
