/* SPDX-License-Identifier: MIT */
/* kerf gen: ONNX files of well-known architectures, with seeded weights, from nothing. */
#include "cli/cli.h"
#include "cli/gen.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct kerf_gen_arch *const families[] = {
	kerf_gen_classic, kerf_gen_concat, kerf_gen_resnet,	kerf_gen_quant,
	kerf_gen_mobile,  kerf_gen_detect, kerf_gen_transformer,
};

#define MAX_SIDE 16384
#define MAX_BATCH 4096

struct request {
	const struct kerf_gen_arch *arch;
	const char *path;
	uint64_t seed;
	int64_t batch, height, width;
};

static const struct kerf_gen_arch *arch_at(unsigned n)
{
	unsigned f, i;

	for (f = 0; f < KERF_ARRAY_SIZE(families); f++)
		for (i = 0; families[f][i].name; i++)
			if (!n--)
				return &families[f][i];
	return NULL;
}

static const struct kerf_gen_arch *find_arch(const char *name)
{
	const struct kerf_gen_arch *a;
	unsigned i;

	for (i = 0; (a = arch_at(i)); i++)
		if (!strcmp(a->name, name))
			return a;
	return NULL;
}

static void build(struct kerf_gen *g, const struct request *q)
{
	kerf_gen_init(g, q->seed, q->batch);
	g->height = q->height ? q->height : q->arch->height;
	g->width = q->width ? q->width : q->arch->width;
	q->arch->build(g);
}

static int list(void)
{
	const struct kerf_gen_arch *a;
	unsigned i;

	for (i = 0; (a = arch_at(i)); i++) {
		struct request q = {.arch = a, .seed = 1, .batch = 1};
		struct kerf_gen g;

		build(&g, &q);
		printf("%-16s %10" PRId64 " parameters  %4" PRId64 "x%-4" PRId64 " %s\n", a->name,
		       g.n_param, a->height, a->width, a->what);
		kerf_gen_finish(&g);
	}
	return KERF_EXIT_OK;
}

static int usage(FILE *f)
{
	fprintf(f, "usage: kerf gen ARCH [-o FILE] [--seed N] [--size HxW] [--batch N|symbolic]\n"
		   "       kerf gen --list\n\n"
		   "Writes an ONNX model of a well-known architecture with random weights that\n"
		   "depend on the seed alone (1 if not given) and keep activations in range.\n\n"
		   "  -o, --output FILE  ARCH.onnx if not given\n"
		   "  --seed N           of the weights\n"
		   "  --size HxW         of the input image; for texts, 1xLENGTH\n"
		   "  --batch N          1 if not given; 'symbolic' leaves it open, as N\n"
		   "  --list             the architectures, their parameters and input sizes\n");
	return f == stdout ? KERF_EXIT_OK : KERF_EXIT_USAGE;
}

/* A whole number in [lo, hi] and nothing else. */
static bool parse_int(const char *text, int64_t lo, int64_t hi, char end, int64_t *v,
		      const char **rest)
{
	char *e;

	errno = 0;
	*v = strtoll(text, &e, 10);
	if (rest)
		*rest = e + 1;
	return !errno && e != text && *e == end && *v >= lo && *v <= hi;
}

static bool parse_size(const char *text, struct request *q)
{
	const char *rest;

	return parse_int(text, 1, MAX_SIDE, 'x', &q->height, &rest) &&
	       parse_int(rest, 1, MAX_SIDE, '\0', &q->width, NULL);
}

static bool parse_option(int c, const char *text, struct request *q)
{
	int64_t seed;

	switch (c) {
	case 'o': q->path = text; return *text;
	case 's':
		if (!parse_int(text, 0, INT64_MAX, '\0', &seed, NULL))
			return false;
		q->seed = (uint64_t)seed;
		return true;
	case 'z': return parse_size(text, q);
	case 'b':
		if (!strcmp(text, "symbolic")) {
			q->batch = 0;
			return true;
		}
		return parse_int(text, 1, MAX_BATCH, '\0', &q->batch, NULL);
	}
	return false;
}

static int generate(const struct request *q)
{
	struct kerf_err err = {""};
	struct kerf_gen g;
	char path[64];
	int r;

	snprintf(path, sizeof(path), "%s.onnx", q->arch->name);
	build(&g, q);
	r = kerf_gen_write(&g, q->arch->name, q->path ? q->path : path, &err);
	kerf_gen_finish(&g);
	if (!r)
		return KERF_EXIT_OK;
	kerf_err_prefix(&err, "gen %s", q->arch->name);
	return kerf_cli_fail(&err, r);
}

int kerf_gen_named(const char *arch, const char *size, const char *path, struct kerf_err *err)
{
	struct request q = {.seed = 1, .batch = 1, .arch = find_arch(arch)};
	struct kerf_gen g;
	int r;

	if (!q.arch)
		return kerf_fail(err, -EINVAL, "unknown architecture '%s'; 'kerf gen --list' has them", arch);
	if (size && !parse_size(size, &q))
		return kerf_fail(err, -EINVAL, "size '%s': expected HEIGHTxWIDTH", size);
	build(&g, &q);
	r = kerf_gen_write(&g, arch, path, err);
	kerf_gen_finish(&g);
	return r;
}

int kerf_cmd_gen(int argc, char **argv)
{
	static const struct option options[] = {
		{"output", required_argument, NULL, 'o'}, {"seed", required_argument, NULL, 's'},
		{"size", required_argument, NULL, 'z'},	  {"batch", required_argument, NULL, 'b'},
		{"list", no_argument, NULL, 'l'},	  {"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	struct request q = {.seed = 1, .batch = 1};
	int c;

	while ((c = getopt_long(argc, argv, "o:h", options, NULL)) != -1) {
		if (c == 'h')
			return usage(stdout);
		if (c == 'l')
			return list();
		if (c == '?')
			return usage(stderr);
		if (!parse_option(c, optarg, &q)) {
			fprintf(stderr, "kerf: gen: bad value '%s'\n", optarg);
			return usage(stderr);
		}
	}
	if (optind + 1 != argc)
		return usage(stderr);
	q.arch = find_arch(argv[optind]);
	if (!q.arch) {
		fprintf(stderr,
			"kerf: gen: unknown architecture '%s'; 'kerf gen --list' has them\n",
			argv[optind]);
		return KERF_EXIT_USAGE;
	}
	return generate(&q);
}
