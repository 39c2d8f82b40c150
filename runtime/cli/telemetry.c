/* SPDX-License-Identifier: MIT */
#include "cli/telemetry.h"

#include "util/clock.h"

#include <stdlib.h>
#include <string.h>

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
