/* SPDX-License-Identifier: MIT */
/* kerf inspect --telemetry: who measures what on this machine, what does not, and why. */
#include "cli/cli.h"
#include "cli/telemetry.h"
#include "telemetry/source.h"
#include "telemetry/source_name.h"

#include <json-c/json.h>

static const char *const regions[KERF_N_REGION] = {
	[KERF_REGION_LINKS] = "links",
	[KERF_REGION_CPUS] = "cpus",
	[KERF_REGION_ENGINES] = "engines",
	[KERF_REGION_ZONES] = "zones",
};

static void add_string(json_object *o, const char *key, const char *s)
{
	json_object_object_add(o, key, json_object_new_string(s));
}

static void print(const struct kerf_state_head *head, const struct kerf_bpf *bpf)
{
	int i;

	for (i = 0; i < KERF_N_REGION; i++)
		if (regions[i])
			printf("%-8s by %s%s%s\n", regions[i],
			       kerf_cli_source(head->region[i].source),
			       head->region[i].reason[0] ? "; not better: " : "",
			       head->region[i].reason);
	printf("programs%s\n", bpf ? "" : ": none was tried");
	for (i = 0; bpf && i < KERF_N_BPF; i++) {
		const char *why = kerf_bpf_why(bpf, i), *log = kerf_bpf_log(bpf, i);

		printf("  %-10s %s%s\n", kerf_bpf_name(i), why ? why : "attached",
		       why && log ? " (--json has the kernel's log)" : "");
	}
}

static void print_json(const struct kerf_state_head *head, const struct kerf_bpf *bpf)
{
	json_object *root = json_object_new_object(), *list = json_object_new_object();
	json_object *programs = json_object_new_object();
	int i;

	for (i = 0; i < KERF_N_REGION; i++) {
		json_object *o;

		if (!regions[i])
			continue;
		o = json_object_new_object();
		add_string(o, "source", kerf_source_name(head->region[i].source));
		add_string(o, "not_better", head->region[i].reason);
		json_object_object_add(list, regions[i], o);
	}
	for (i = 0; bpf && i < KERF_N_BPF; i++) {
		const char *why = kerf_bpf_why(bpf, i), *log = kerf_bpf_log(bpf, i);
		json_object *o = json_object_new_object();

		json_object_object_add(o, "attached", json_object_new_boolean(!why));
		if (why)
			add_string(o, "why_not", why);
		if (log)
			add_string(o, "log", log);
		json_object_object_add(programs, kerf_bpf_name(i), o);
	}
	json_object_object_add(root, "regions", list);
	json_object_object_add(root, "programs", programs);
	printf("%s\n", json_object_to_json_string_ext(root, JSON_C_TO_STRING_PRETTY));
	json_object_put(root);
}

int kerf_inspect_telemetry(bool json)
{
	const struct kerf_cli_telemetry_options any = {.best = KERF_SOURCE_NONE};
	struct kerf_state_head head;
	struct kerf_err err = {""};
	struct kerf_telemetry *t;
	int r = kerf_cli_telemetry_open(&any, &t, &err);

	if (r)
		return kerf_cli_fail(&err, r);
	kerf_telemetry_head(t, &head);
	(json ? print_json : print)(&head, kerf_telemetry_bpf(t));
	kerf_telemetry_close(t);
	return KERF_EXIT_OK;
}
