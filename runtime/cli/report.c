/* SPDX-License-Identifier: MIT */
#include "cli/report.h"
#include "cli/clean.h"
#include "cli/cli.h"
#include "util/file.h"

#include <getopt.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

static int usage(FILE *f)
{
	fprintf(f, "usage: kerf report [OPTIONS] TRACE\n\n"
		   "What a trace of kerf record shows: rate, round trip, load, how well transfers "
		   "were\n"
		   "predicted, plans and marks over time.\n\n"
		   "  -o, --output FILE    draw it: an SVG file\n"
		   "  --json               machine-readable summary\n");
	return f == stdout ? KERF_EXIT_OK : KERF_EXIT_USAGE;
}

static void add_real(json_object *o, const char *key, double v)
{
	char text[32];

	snprintf(text, sizeof(text), "%.9g", v);
	json_object_object_add(o, key, json_object_new_double_s(v, text));
}

static void add_count(json_object *o, const char *key, uint64_t v)
{
	json_object_object_add(o, key, json_object_new_uint64(v));
}

static json_object *score_json(const struct kerf_report_score *s)
{
	json_object *o = json_object_new_object();

	add_count(o, "transfers", s->transfers);
	add_count(o, "predicted", s->predicted);
	add_real(o, "bytes", s->bytes);
	add_real(o, "median_goodput_bytes_s", s->goodput_bytes_s);
	if (s->predicted) {
		add_real(o, "median_abs_error", s->median_error);
		add_real(o, "p90_abs_error", s->p90_error);
		add_real(o, "coverage_80", s->coverage);
	}
	return o;
}

static void print_score(const char *node, const char *way, const struct kerf_report_score *s)
{
	if (!s->transfers)
		return;
	printf("%-28.28s %-5s %9zu %10.2f", node, way, s->transfers, s->goodput_bytes_s * 8e-6);
	if (s->predicted)
		printf(" %9zu %8.1f %8.1f %8.0f", s->predicted, s->median_error * 100,
		       s->p90_error * 100, s->coverage * 100);
	putchar('\n');
}

static int summary(const struct kerf_report *r, bool json)
{
	json_object *root = json_object_new_object(), *peers = json_object_new_array();
	double duration = (double)(r->end_ns - r->begin_ns) / 1e9;
	uint32_t i;
	int ret = 0;

	add_real(root, "seconds", duration);
	add_count(root, "records", r->records);
	add_count(root, "plans", r->plans);
	add_count(root, "marks", r->marks);
	if (!json) {
		printf("%.1f s, %llu records, %llu plans, %llu marks\n", duration,
		       (unsigned long long)r->records, (unsigned long long)r->plans,
		       (unsigned long long)r->marks);
		if (r->n_transfer)
			printf("%-28s %-5s %9s %10s %9s %8s %8s %8s\n", "node", "way", "transfers",
			       "Mbit/s", "predicted", "error %", "p90 %", "band %");
	}
	for (i = 0; i < r->n_series && !ret; i++) {
		char label[KERF_URL_BYTES];
		struct kerf_report_score up, down;
		json_object *o;

		if (!r->series[i].url[0])
			continue;
		ret = kerf_report_score(r, i, false, &up);
		ret = ret ? ret : kerf_report_score(r, i, true, &down);
		if (ret)
			break;
		o = json_object_new_object();
		json_object_object_add(o, "url", json_object_new_string(r->series[i].url));
		json_object_object_add(o, "up", score_json(&up));
		json_object_object_add(o, "down", score_json(&down));
		json_object_array_add(peers, o);
		if (!json) {
			kerf_clean(kerf_report_label(&r->series[i]), label, sizeof(label));
			print_score(label, "up", &up);
			print_score(label, "down", &down);
		}
	}
	json_object_object_add(root, "peers", peers);
	if (json && !ret)
		printf("%s\n",
		       json_object_to_json_string_ext(
			       root, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(root);
	return ret ? ret : fflush(stdout) ? -errno : 0;
}

/* In memory first: a failure leaves no half of a drawing. */
static int draw(const struct kerf_report *r, const char *title, const char *path,
		struct kerf_err *err)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);
	int ret = f ? kerf_report_svg(r, title, f) : -ENOMEM;

	if (f && fclose(f) && !ret)
		ret = -ENOMEM;
	if (!ret)
		ret = kerf_file_write(path, text, size, err);
	free(text);
	return ret;
}

int kerf_cmd_report(int argc, char **argv)
{
	static const struct option options[] = {
		{"output", required_argument, NULL, 'o'},
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	struct kerf_report *r = malloc(sizeof(*r));
	const char *output = NULL, *name;
	struct kerf_err err = {""};
	bool json = false;
	int c, ret = -ENOMEM;

	while ((c = getopt_long(argc, argv, "o:", options, NULL)) != -1) {
		switch (c) {
		case 'o': output = optarg; break;
		case 'j': json = true; break;
		case 'h': free(r); return usage(stdout);
		default: free(r); return KERF_EXIT_USAGE; /* getopt said why */
		}
	}
	if (optind + 1 != argc) {
		free(r);
		return usage(stderr);
	}
	if (r) {
		name = strrchr(argv[optind], '/');
		ret = kerf_report_read(argv[optind], r, &err);
		if (!ret && output)
			ret = draw(r, name ? name + 1 : argv[optind], output, &err);
		if (!ret && (json || !output))
			ret = summary(r, json);
		kerf_report_finish(r);
	}
	free(r);
	return ret ? kerf_cli_fail(&err, ret) : KERF_EXIT_OK;
}
