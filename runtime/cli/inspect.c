/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/telemetry.h"
#include "exec/engine.h"
#include "exec/queue_list.h"
#include "graph/dump.h"

#include <json-c/json.h>
#include <protobuf-c/protobuf-c.h>
#include <stdio.h>
#include <string.h>

static int usage(FILE *f)
{
	fprintf(f, "usage: kerf inspect [OPTIONS] MODEL.onnx\n"
		   "       kerf inspect --build [--json]\n"
		   "       kerf inspect --engines [--json]\n"
		   "       kerf inspect --telemetry [--json]\n\n"
		   "Operators as kerf runs them, their shapes, FLOPs, parameters and activations.\n\n"
		   "  --json              machine-readable output\n"
		   "  --dot               a graph for Graphviz\n"
		   "  --shape NAME:DIMS   fix an input's shape: data:1,3,224,224\n"
		   "  --no-rewrite        operators as the model has them\n"
		   "  --build             what this kerf was built with\n"
		   "  --engines           the engines of this machine, and the kernel's queues\n"
		   "  --telemetry         what measures links and load here, and what would help\n");
	return f == stdout ? KERF_EXIT_OK : KERF_EXIT_USAGE;
}

/* Optional parts: what each brings, and whether it is built in. */
static const struct {
	const char *name, *what;
	bool built;
} features[] = {
	{"curl", "engines of other nodes (libcurl)",
#ifdef WITH_CURL
	 true
#else
	 false
#endif
	},
	{"microhttpd", "serving: kerf node (libmicrohttpd)",
#ifdef WITH_MICROHTTPD
	 true
#else
	 false
#endif
	},
	{"ncurses", "a screen for kerf top (ncurses)",
#ifdef WITH_NCURSES
	 true
#else
	 false
#endif
	},
	{"drm", "engines behind the kernel's queues (libdrm)",
#ifdef WITH_DRM
	 true
#else
	 false
#endif
	},
	{"bpf", "links and load measured in the kernel (libbpf)",
#ifdef WITH_BPF
	 true
#else
	 false
#endif
	},
};

static int show_build(bool json)
{
	json_object *root;
	size_t i;

	if (!json) {
		printf("kerf %s, protobuf-c %s, json-c %s\n", KERF_VERSION, protobuf_c_version(),
		       json_c_version());
		for (i = 0; i < KERF_ARRAY_SIZE(features); i++)
			printf("  %-12s %-4s %s\n", features[i].name,
			       features[i].built ? "yes" : "no", features[i].what);
		return KERF_EXIT_OK;
	}
	root = json_object_new_object();
	json_object_object_add(root, "version", json_object_new_string(KERF_VERSION));
	for (i = 0; i < KERF_ARRAY_SIZE(features); i++)
		json_object_object_add(root, features[i].name,
				       json_object_new_boolean(features[i].built));
	printf("%s\n", json_object_to_json_string_ext(root, JSON_C_TO_STRING_PRETTY));
	json_object_put(root);
	return KERF_EXIT_OK;
}

/* --- engines --- */

static const char *const local_engines[] = {"cpu", "ref", "null"};

static void add_string(json_object *o, const char *key, const char *s)
{
	json_object_object_add(o, key, json_object_new_string(s));
}

static void add_int(json_object *o, const char *key, uint64_t v)
{
	json_object_object_add(o, key, json_object_new_int64((int64_t)v));
}

static json_object *engine_json(const struct kerf_engine_info *info)
{
	json_object *o = json_object_new_object(), *dtypes = json_object_new_array();
	int t;

	add_string(o, "name", info->name);
	add_string(o, "device", info->device);
	/* One that takes any says nothing by listing all. */
	for (t = 0; t < 32 && info->dtypes != ~0u; t++)
		if (info->dtypes >> t & 1)
			json_object_array_add(dtypes, json_object_new_string(kerf_dtype_name(
							      (enum kerf_dtype)t)));
	json_object_object_add(o, "dtypes", dtypes);
	add_int(o, "memory_bytes", info->memory_bytes);
	return o;
}

static json_object *queue_json(const struct kerf_queue_listed *q)
{
	json_object *o = json_object_new_object();

	add_string(o, "node", q->node);
	if (q->problem[0]) {
		add_string(o, "problem", q->problem);
		return o;
	}
	add_string(o, "engine", q->name);
	add_string(o, "class", q->class);
	add_string(o, "state", q->state);
	add_string(o, "spec", q->spec);
	add_int(o, "depth", q->depth);
	add_int(o, "caps", q->caps);
	add_int(o, "busy_ns", q->busy_ns);
	add_int(o, "jobs_done", q->jobs_done);
	return o;
}

static void print_queue(const struct kerf_queue_listed *q)
{
	if (q->problem[0]) {
		printf("  %-20s %s\n", q->node, q->problem);
		return;
	}
	printf("  %-20s %-16s class %s, %s, depth %u, caps %#llx, %llu jobs, busy %.3f s%s%s\n", q->node,
	       q->name, q->class, q->state, q->depth, (unsigned long long)q->caps,
	       (unsigned long long)q->jobs_done, (double)q->busy_ns * 1e-9,
	       q->spec[0] ? ": --on " : "", q->spec);
}

static int show_engines(bool json)
{
	json_object *root = json_object_new_object(), *local = json_object_new_array();
	json_object *queues = json_object_new_array();
	struct kerf_queue_listed list[KERF_QUEUE_LISTED];
	const char *why;
	uint32_t n = kerf_queue_list(list, &why), i;

	for (i = 0; i < KERF_ARRAY_SIZE(local_engines); i++) {
		struct kerf_engine_info info;
		struct kerf_engine *e;

		if (kerf_engine_open(local_engines[i], NULL, &e, NULL))
			continue;
		e->ops->describe(e, &info);
		kerf_engine_close(e);
		json_object_array_add(local, engine_json(&info));
		if (!json)
			printf("%-22s %s\n", info.name, info.device);
	}
	if (!json)
		printf("kernel queues%s%s\n", n ? "" : ": none: ", n ? "" : why);
	for (i = 0; i < n; i++) {
		json_object_array_add(queues, queue_json(&list[i]));
		if (!json)
			print_queue(&list[i]);
	}
	json_object_object_add(root, "local", local);
	json_object_object_add(root, "queues", queues);
	if (!n)
		add_string(root, "no_queues", why);
	if (json)
		printf("%s\n", json_object_to_json_string_ext(root, JSON_C_TO_STRING_PRETTY));
	json_object_put(root);
	return KERF_EXIT_OK;
}

static int inspect(const struct kerf_cli_options *o, bool dot)
{
	struct kerf_err err = {0};
	struct kerf_graph *g;
	int r = kerf_model_load(o->model, &o->load, &g, &err);

	if (r)
		return kerf_cli_fail(&err, r);
	if (dot)
		r = kerf_graph_dump_dot(g, stdout);
	else if (o->json)
		r = kerf_graph_dump_json(g, stdout);
	else
		r = kerf_graph_dump_text(g, stdout);
	kerf_graph_unref(g);
	return r || fflush(stdout) ? kerf_cli_fail(&err, r ? r : -errno) : KERF_EXIT_OK;
}

int kerf_cmd_inspect(int argc, char **argv)
{
	static const struct option options[] = {
		{"json", no_argument, NULL, 'j'},	{"dot", no_argument, NULL, 'D'},
		{"shape", required_argument, NULL, 's'}, {"no-rewrite", no_argument, NULL, 'R'},
		{"build", no_argument, NULL, 'B'},	{"engines", no_argument, NULL, 'E'},
		{"telemetry", no_argument, NULL, 'T'},	{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	struct kerf_cli_options o = {0};
	struct kerf_err err = {0};
	bool dot = false, build = false, engines = false, telemetry = false;
	int c, r;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'D': dot = true; continue;
		case 'R': o.load.no_rewrite = true; continue;
		case 'B': build = true; continue;
		case 'E': engines = true; continue;
		case 'T': telemetry = true; continue;
		case 'h': kerf_cli_options_finish(&o); return usage(stdout);
		}
		r = kerf_cli_option(&o, c, optarg, &err);
		if (r) {
			kerf_cli_options_finish(&o);
			if (err.msg[0])
				kerf_cli_fail(&err, r);
			return KERF_EXIT_USAGE;
		}
	}
	if (build + engines + telemetry == 1 && optind == argc) {
		r = build ? show_build(o.json)
			  : engines ? show_engines(o.json) : kerf_inspect_telemetry(o.json);
	} else if (build || engines || telemetry || optind + 1 != argc || (dot && o.json)) {
		r = usage(stderr);
	} else {
		o.model = argv[optind];
		r = inspect(&o, dot);
	}
	kerf_cli_options_finish(&o);
	return r;
}
