/* SPDX-License-Identifier: MIT */
/*
 * Any convex cut and any tiling gives the bits of the whole run: on `ref`, and on
 * `cpu` with each instruction set this machine has, one thread and two. On random
 * DAGs, on the architectures of `kerf gen`, and on the models in KERF_TEST_DATA.
 *
 * First every operator runs as a slice of its own, one after the other; the model's
 * outputs must be the whole run's, so the values in between are the whole run's too.
 * Then random convex sets, and row tiles of random blocks, are fed those values and
 * must make them again.
 *
 * KERF_TEST_SEED, KERF_TEST_ROUNDS (random graphs; 0 and unset: as many as the time
 * allows), KERF_TEST_SECONDS (for each of the tests), KERF_TEST_QUICK.
 */
#include "exec/engine.h"
#include "graph/dump.h"
#include "graph/import.h"
#include "graph/slice.h"
#include "ops/random_graph.h"
#include "util/clock.h"

#include <dirent.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* --- what to test on ------------------------------------------------------ */

struct variant {
	const char *spec, *isa;
	int threads;
};

static const struct variant variants[] = {
	{"ref", NULL, 1},      {"cpu", "baseline", 1}, {"cpu", "baseline", 2}, {"cpu", "avx2", 1},
	{"cpu", "avx2", 2},    {"cpu", "avx512", 1},   {"cpu", "avx512", 2},   {"cpu", "neon", 1},
	{"cpu", "neon", 2},
};

/* Engines that must agree bit for bit, also with one another. */
static bool same_bits(const struct variant *v)
{
	return !strcmp(v->spec, "cpu") && strcmp(v->isa, "baseline") != 0;
}

static struct kerf_engine *engines[KERF_ARRAY_SIZE(variants)];

static int open_engines(void **state)
{
	struct kerf_err err;
	unsigned i;

	for (i = 0; i < KERF_ARRAY_SIZE(variants); i++) {
		struct kerf_engine_config cfg = {.isa = variants[i].isa,
						 .threads = variants[i].threads};

		err.msg[0] = '\0';
		if (kerf_engine_open(variants[i].spec, &cfg, &engines[i], &err)) {
			engines[i] = NULL;
			print_message("not here: %s %s: %s\n", variants[i].spec, variants[i].isa,
				      err.msg);
		}
	}
	return engines[0] ? 0 : -1;
}

static int close_engines(void **state)
{
	unsigned i;

	for (i = 0; i < KERF_ARRAY_SIZE(variants); i++)
		kerf_engine_close(engines[i]);
	return 0;
}

static uint64_t env(const char *name, uint64_t absent)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 0) : absent;
}

static bool quick(void)
{
	return env("KERF_TEST_QUICK", 0);
}

/* --- one graph on one engine ---------------------------------------------- */

struct tally {
	int cuts, tiles, refused;
};

struct rig {
	struct kerf_graph *g;
	struct kerf_engine *e;
	const struct variant *variant;
	const char *what;	  /* for messages: the model or the seed */
	struct kerf_tensor *store; /* per value of g, once made */
	struct kerf_rng *rng;
	struct tally *tally;
};

/* The slice that failed, for whoever mends it. */
static void blame(const struct rig *r, const struct kerf_graph *slice, struct kerf_rows rows,
		  const char *what, const char *value)
{
	fprintf(stderr, "%s on %s %s, %d threads: value '%s': %s; rows %lld to %lld; the slice:\n",
		r->what, r->variant->spec, r->variant->isa ? r->variant->isa : "",
		r->variant->threads, value, what, (long long)rows.begin, (long long)rows.end);
	kerf_graph_dump_text(slice, stderr);
	fail_msg("%s: %s", r->what, what);
}

static size_t row_bytes(const struct kerf_tensor *t)
{
	size_t n = kerf_dtype_size(t->dtype);
	int i;

	for (i = 2; i < t->rank; i++)
		n *= (size_t)t->dims[i];
	return n;
}

/* New memory with these rows of a value with rows. */
static void *take_rows(const struct kerf_tensor *t, struct kerf_rows rows)
{
	size_t row = row_bytes(t), band = row * (size_t)(rows.end - rows.begin);
	char *p = kerf_tensor_alloc((size_t)t->dims[0] * band);
	int64_t n;

	assert_non_null(p);
	for (n = 0; n < t->dims[0]; n++)
		memcpy(p + (size_t)n * band,
		       (char *)t->data + row * (size_t)(n * t->dims[1] + rows.begin), band);
	return p;
}

static int32_t whole_id(const struct rig *r, const struct kerf_graph *slice, int32_t v)
{
	int32_t id = kerf_graph_find_value(r->g, slice->value[v].name);

	assert_true(id >= 0);
	return id;
}

static struct kerf_tensor *bind_inputs(const struct rig *r, const struct kerf_graph *slice)
{
	struct kerf_tensor *in = calloc((size_t)slice->n_in + 1, sizeof(*in));
	uint32_t i;

	assert_non_null(in);
	for (i = 0; i < slice->n_in; i++) {
		const struct kerf_value *v = &slice->value[slice->in[i]];
		const struct kerf_tensor *whole = &r->store[whole_id(r, slice, slice->in[i])];

		in[i] = *whole;
		if (v->whole_rows) {
			memcpy(in[i].dims, v->t.dims, sizeof(in[i].dims));
			in[i].data = take_rows(whole, kerf_slice_rows(slice, slice->in[i]));
		}
	}
	return in;
}

static void free_inputs(const struct kerf_graph *slice, struct kerf_tensor *in)
{
	uint32_t i;

	for (i = 0; i < slice->n_in; i++)
		if (slice->value[slice->in[i]].whole_rows)
			free(in[i].data);
	free(in);
}

/* Runs a slice on the stored values; outputs with memory of their own, or NULL. */
static struct kerf_tensor *run_slice(const struct rig *r, struct kerf_graph *slice)
{
	struct kerf_tensor *in = bind_inputs(r, slice), *out;
	struct kerf_program *program;
	struct kerf_err err = {""};
	uint32_t i;
	int e;

	out = calloc((size_t)slice->n_out + 1, sizeof(*out));
	assert_non_null(out);
	for (i = 0; i < slice->n_out; i++) {
		out[i] = slice->value[slice->out[i]].t;
		out[i].data = kerf_tensor_alloc(kerf_tensor_bytes(&out[i]));
		assert_non_null(out[i].data);
		memset(out[i].data, 0xa5, kerf_tensor_bytes(&out[i]));
	}
	e = r->e->ops->prepare(r->e, slice, &program, &err);
	if (e)
		fail_msg("%s: prepare on %s: %s", r->what, r->variant->spec, err.msg);
	e = kerf_engine_run(program, in, out, NULL);
	r->e->ops->release(program);
	if (e)
		blame(r, slice, (struct kerf_rows){0, 0}, strerror(-e), "");
	free_inputs(slice, in);
	return out;
}

static void free_outputs(const struct kerf_graph *slice, struct kerf_tensor *out)
{
	uint32_t i;

	for (i = 0; i < slice->n_out; i++)
		free(out[i].data);
	free(out);
}

/* Runs a slice whose outputs are stored already and compares. */
static void check_slice(const struct rig *r, struct kerf_graph *slice, struct kerf_rows rows)
{
	struct kerf_tensor *out = run_slice(r, slice);
	uint32_t i;

	for (i = 0; i < slice->n_out; i++) {
		const struct kerf_value *v = &slice->value[slice->out[i]];
		const struct kerf_tensor *whole = &r->store[whole_id(r, slice, slice->out[i])];
		void *expected = whole->data;

		if (v->whole_rows)
			expected = take_rows(whole, kerf_slice_rows(slice, slice->out[i]));
		else if (!kerf_tensor_same_shape(whole, &out[i]))
			blame(r, slice, rows, "another shape", v->name);
		if (memcmp(expected, out[i].data, kerf_tensor_bytes(&out[i])))
			blame(r, slice, rows, "other bits", v->name);
		if (v->whole_rows)
			free(expected);
	}
	free_outputs(slice, out);
}

static struct kerf_graph *make_slice(const struct rig *r, uint32_t n, const uint32_t *ops)
{
	struct kerf_slice_spec spec = {.n_op = n, .op = ops};
	struct kerf_graph *slice;
	struct kerf_err err = {""};

	if (kerf_slice_make(r->g, &spec, &slice, &err))
		fail_msg("%s: %s", r->what, err.msg);
	return slice;
}

/* Whole outputs, then each operator alone, whose values fill the store. */
static void fill_store(const struct rig *r)
{
	uint32_t *ops = malloc((size_t)r->g->n_op * sizeof(*ops)), i, k;
	struct kerf_graph *whole, *slice;
	struct kerf_tensor *expected, *out;

	assert_non_null(ops);
	for (i = 0; i < r->g->n_op; i++)
		ops[i] = i;
	whole = make_slice(r, r->g->n_op, ops);
	expected = run_slice(r, whole);
	for (i = 0; i < r->g->n_op; i++) {
		slice = make_slice(r, 1, &i);
		out = run_slice(r, slice);
		for (k = 0; k < slice->n_out; k++)
			r->store[whole_id(r, slice, slice->out[k])] = out[k];
		free(out);
		kerf_graph_unref(slice);
	}
	for (i = 0; i < whole->n_out; i++) {
		const char *name = whole->value[whole->out[i]].name;
		const struct kerf_tensor *made = &r->store[whole_id(r, whole, whole->out[i])];

		if (memcmp(made->data, expected[i].data, kerf_tensor_bytes(made)))
			blame(r, whole, (struct kerf_rows){0, 0}, "operators alone give other bits",
			      name);
	}
	free_outputs(whole, expected);
	kerf_graph_unref(whole);
	free(ops);
}

/* --- random sets ---------------------------------------------------------- */

static int ascending(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* A topological order at random; every interval of one is convex. */
static void random_order(const struct rig *r, uint32_t *order)
{
	const struct kerf_graph *g = r->g;
	uint32_t *ready = malloc((size_t)g->n_op * sizeof(*ready)), n_ready = 0, n = 0, i;
	int *pending = calloc((size_t)g->n_op, sizeof(*pending)), k;
	uint32_t *first, *list, j;

	assert_true(ready && pending);
	assert_int_equal(kerf_graph_consumers(g, &first, &list), 0);
	for (i = 0; i < g->n_op; i++) {
		for (k = 0; k < g->op[i].n_in; k++)
			if (g->op[i].in[k] >= 0 && g->value[g->op[i].in[k]].producer >= 0)
				pending[i]++;
		if (!pending[i])
			ready[n_ready++] = i;
	}
	while (n_ready) {
		uint32_t at = (uint32_t)kerf_rng_below(r->rng, n_ready), op = ready[at];

		ready[at] = ready[--n_ready];
		order[n++] = op;
		for (k = 0; k < g->op[op].n_out; k++)
			for (j = g->op[op].out[k] < 0 ? 0 : first[g->op[op].out[k]];
			     g->op[op].out[k] >= 0 && j < first[g->op[op].out[k] + 1]; j++)
				if (--pending[list[j]] == 0)
					ready[n_ready++] = list[j];
	}
	assert_int_equal(n, g->n_op);
	free(ready);
	free(pending);
	free(first);
}

static uint32_t random_interval(const struct rig *r, uint32_t *ops)
{
	uint32_t n_op = r->g->n_op, a = (uint32_t)kerf_rng_below(r->rng, n_op);
	uint32_t n = 1 + (uint32_t)kerf_rng_below(r->rng, n_op - a);

	random_order(r, ops);
	memmove(ops, ops + a, n * sizeof(*ops));
	qsort(ops, n, sizeof(*ops), ascending);
	return n;
}

/*
 * What a value with rows is made from, going back at most some operators in the
 * order of ids: convex, because a path between members has ids between theirs and
 * leads to the value. 0 if there is no such value.
 */
static uint32_t random_block(const struct rig *r, uint32_t *ops)
{
	const struct kerf_graph *g = r->g;
	uint32_t top = (uint32_t)kerf_rng_below(r->rng, g->n_op), n = 0, i;
	uint32_t reach = (uint32_t)kerf_rng_below(r->rng, 12);
	const struct kerf_value *out = &g->value[KERF_MAX(g->op[top].out[0], 0)];
	bool *in = calloc((size_t)g->n_op + 1, sizeof(*in));
	int k;

	assert_non_null(in);
	in[top] = g->op[top].out[0] >= 0 && out->nhwc && out->t.rank > 2 && out->t.dims[1] > 1;
	for (i = top + 1; i-- > (top > reach ? top - reach : 0);)
		for (k = 0; in[i] && k < g->op[i].n_in; k++)
			if (g->op[i].in[k] >= 0 && g->value[g->op[i].in[k]].producer >= 0)
				in[g->value[g->op[i].in[k]].producer] = true;
	for (i = top > reach ? top - reach : 0; i <= top; i++)
		if (in[i])
			ops[n++] = i;
	free(in);
	return n;
}

static void tile_block(const struct rig *r, uint32_t n, const uint32_t *ops)
{
	struct kerf_slice_spec spec = {.n_op = n, .op = ops};
	struct kerf_graph *slice = make_slice(r, n, ops);
	int64_t rows =
		slice->value[slice->out[0]].t.rank > 1 ? slice->value[slice->out[0]].t.dims[1] : 0;
	int64_t n_tile = 1 + (int64_t)kerf_rng_below(r->rng, 6), at = 0;
	struct kerf_err err = {""};
	int e;

	kerf_graph_unref(slice);
	while (at < rows) {
		/* Tiles of about the same height, but not quite. */
		int64_t step = kerf_div_up(rows, n_tile);

		step = KERF_MAX(step + (int64_t)kerf_rng_below(r->rng, 3) - 1, 1);
		spec.rows = (struct kerf_rows){at, KERF_MIN(at + step, rows)};
		e = kerf_slice_make(r->g, &spec, &slice, &err);
		if (e) { /* outputs of several heights, or all rows depend on all */
			assert_true(e == -EINVAL || e == -EOPNOTSUPP);
			assert_true(err.msg[0]);
			r->tally->refused++;
			return;
		}
		check_slice(r, slice, spec.rows);
		kerf_graph_unref(slice);
		r->tally->tiles++;
		at = spec.rows.end;
	}
}

/* --- one graph on all engines --------------------------------------------- */

static void fill_inputs(const struct rig *r, uint64_t seed)
{
	struct kerf_rng rng;
	uint32_t i;
	int64_t k;

	kerf_rng_seed(&rng, seed);
	for (i = 0; i < r->g->n_in; i++) {
		struct kerf_tensor *t = &r->store[r->g->in[i]];

		*t = r->g->value[r->g->in[i]].t;
		t->data = kerf_tensor_alloc(kerf_tensor_bytes(t));
		assert_non_null(t->data);
		for (k = 0; k < kerf_tensor_count(t); k++)
			switch (t->dtype) {
			case KERF_F32: ((float *)t->data)[k] = 2 * kerf_rng_float(&rng) - 1; break;
			case KERF_I64:
				((int64_t *)t->data)[k] = (int64_t)kerf_rng_below(&rng, 2);
				break;
			default: ((uint8_t *)t->data)[k] = (uint8_t)kerf_rng_next(&rng) & 1; break;
			}
	}
}

static void free_store(const struct rig *r)
{
	uint32_t i;

	for (i = 0; i < r->g->n_value; i++)
		if (!kerf_value_is_const(&r->g->value[i]))
			free(r->store[i].data);
	free(r->store);
}

/* 64 bits that stand for all the values of a run. */
static uint64_t store_hash(const struct rig *r)
{
	uint64_t h = 0xcbf29ce484222325u;
	uint32_t i;
	size_t k;

	for (i = 0; i < r->g->n_value; i++)
		for (k = 0; !kerf_value_is_const(&r->g->value[i]) &&
			    k < kerf_tensor_bytes(&r->store[i]); k++)
			h = (h ^ ((uint8_t *)r->store[i].data)[k]) * 0x100000001b3u;
	return h;
}

/* The rig of a variant, its store filled. */
static struct rig begin(struct kerf_graph *g, unsigned variant, const char *what,
			struct kerf_rng *rng, struct tally *tally)
{
	struct rig r = {g, engines[variant], &variants[variant], what,
			calloc((size_t)g->n_value + 1, sizeof(*r.store)), rng, tally};

	assert_non_null(r.store);
	fill_inputs(&r, 42);
	fill_store(&r);
	return r;
}

static void cuts_and_tiles(const struct rig *r, int rounds)
{
	uint32_t *ops = malloc((size_t)r->g->n_op * sizeof(*ops)), n;
	struct kerf_graph *slice;
	int i;

	assert_non_null(ops);
	for (i = 0; i < rounds; i++) {
		slice = make_slice(r, random_interval(r, ops), ops);
		check_slice(r, slice, (struct kerf_rows){0, 0});
		kerf_graph_unref(slice);
		r->tally->cuts++;
		n = random_block(r, ops);
		if (n)
			tile_block(r, n, ops);
	}
	free(ops);
}

static void all_engines(struct kerf_graph *g, const char *what, struct kerf_rng *rng, int rounds,
			bool with_ref, struct tally *tally)
{
	uint64_t first = 0, hash;
	unsigned i;

	for (i = with_ref ? 0 : 1; i < KERF_ARRAY_SIZE(variants); i++) {
		struct rig r;

		if (!engines[i])
			continue;
		r = begin(g, i, what, rng, tally);
		cuts_and_tiles(&r, rounds);
		hash = store_hash(&r);
		if (same_bits(&variants[i])) {
			if (first && hash != first)
				fail_msg("%s: %s with %d threads gives other bits than other "
					 "vector sets",
					 what, variants[i].isa, variants[i].threads);
			first = hash;
		}
		free_store(&r);
	}
}

/* --- the tests ------------------------------------------------------------ */

static uint64_t deadline(double share)
{
	uint64_t seconds = env("KERF_TEST_SECONDS", quick() ? 8 : 30);

	return kerf_now_ns() + (uint64_t)(share * 1e9 * (double)seconds);
}

static void random_graphs(void **state)
{
	uint64_t seed = env("KERF_TEST_SEED", 1), rounds = env("KERF_TEST_ROUNDS", 0), i;
	uint64_t end = rounds ? UINT64_MAX : deadline(1);
	struct tally tally = {0};
	struct kerf_rng rng;

	kerf_rng_seed(&rng, seed);
	for (i = 0; (rounds ? i < rounds : i < 400) && kerf_now_ns() < end; i++) {
		struct kerf_err err = {""};
		struct kerf_graph *g = rg_make(seed + i, 4 + (int)((seed + i) % 24), &err);
		char what[64];

		snprintf(what, sizeof(what), "KERF_TEST_SEED=%llu", (unsigned long long)(seed + i));
		if (err.msg[0])
			fail_msg("%s: %s", what, err.msg);
		if (!g)
			continue; /* nothing fitted the input */
		all_engines(g, what, &rng, 4, true, &tally);
		kerf_graph_unref(g);
	}
	print_message("%llu graphs: %d cuts, %d tiles, %d blocks not tiled\n",
		      (unsigned long long)i, tally.cuts, tally.tiles, tally.refused);
	assert_true(i >= 3 && tally.cuts > 0 && tally.tiles > 0);
}

static struct kerf_graph *load(const char *path)
{
	struct kerf_err err = {""};
	struct kerf_graph *g;

	if (kerf_model_load(path, NULL, &g, &err))
		fail_msg("%s", err.msg);
	return g;
}

/* `kerf` of the machine's own build, or the one beside this program's folder. */
static void kerf_path(char path[PATH_MAX])
{
	const char *build = getenv("KERF_BUILD");
	ssize_t n;

	if (build && *build) {
		snprintf(path, PATH_MAX, "%s/kerf", build);
		return;
	}
	n = readlink("/proc/self/exe", path, PATH_MAX - 32);
	assert_true(n > 0);
	path[n] = '\0';
	*strrchr(path, '/') = '\0';
	strcat(path, "/../../kerf");
}

static struct kerf_graph *generate(const char *arch, const char *size)
{
	char kerf[PATH_MAX], file[] = "/tmp/kerf-cuts-XXXXXX", command[PATH_MAX + 128];
	struct kerf_graph *g;
	int fd = mkstemp(file);

	assert_true(fd >= 0);
	close(fd);
	kerf_path(kerf);
	snprintf(command, sizeof(command), "'%s' gen %s --size %s -o %s", kerf, arch, size, file);
	assert_int_equal(system(command), 0);
	g = load(file);
	unlink(file);
	return g;
}

static void architectures(void **state)
{
	static const struct {
		const char *arch, *size;
		bool with_ref;
	} models[] = {
		{"tiny", "33x30", true},	    {"squeezenet", "41x35", true},
		{"mobilenet_v2", "64x48", true},    {"shufflenet_v2", "64x64", true},
		{"resnet18-int8", "48x48", true},   {"yolov4-tiny", "64x96", true},
		{"bert_mini", "1x7", true},	    {"mobilenet_v3", "64x64", false},
		{"resnet18", "48x64", false},	    {"googlenet", "64x64", false},
		{"efficientnet_b0", "64x64", false}, {"vit_tiny", "48x48", false},
		{"resnet50", "64x64", false},
	};
	struct tally tally = {0};
	uint64_t end = deadline(1);
	struct kerf_rng rng;
	unsigned i;

	kerf_rng_seed(&rng, env("KERF_TEST_SEED", 1));
	for (i = 0; i < KERF_ARRAY_SIZE(models) && kerf_now_ns() < end; i++) {
		struct kerf_graph *g = generate(models[i].arch, models[i].size);

		all_engines(g, models[i].arch, &rng, 2, models[i].with_ref, &tally);
		kerf_graph_unref(g);
	}
	print_message("%u architectures: %d cuts, %d tiles, %d blocks not tiled\n", i, tally.cuts,
		      tally.tiles, tally.refused);
	assert_true(i > 0 && tally.cuts > 0);
}

/* Every .onnx below a folder, one level deep. */
static int folder_models(const char *folder, struct kerf_rng *rng, struct tally *tally)
{
	DIR *d = opendir(folder);
	struct dirent *e;
	int n = 0;

	while (d && (e = readdir(d))) {
		char path[PATH_MAX];
		struct kerf_graph *g;

		snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
		if (e->d_name[0] == '.')
			continue;
		if (e->d_type == DT_DIR) {
			n += folder_models(path, rng, tally);
		} else if (strlen(path) > 5 && !strcmp(path + strlen(path) - 5, ".onnx")) {
			g = load(path);
			all_engines(g, path, rng, 2, true, tally);
			kerf_graph_unref(g);
			n++;
		}
	}
	if (d)
		closedir(d);
	return n;
}

static void trained_models(void **state)
{
	const char *folder = getenv("KERF_TEST_DATA");
	struct tally tally = {0};
	struct kerf_rng rng;
	int n;

	if (!folder || !*folder)
		skip();
	kerf_rng_seed(&rng, env("KERF_TEST_SEED", 1));
	n = folder_models(folder, &rng, &tally);
	if (!n)
		skip();
	print_message("%d models: %d cuts, %d tiles, %d blocks not tiled\n", n, tally.cuts,
		      tally.tiles, tally.refused);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_graphs),
		cmocka_unit_test(architectures),
		cmocka_unit_test(trained_models),
	};

	return cmocka_run_group_tests(tests, open_engines, close_engines);
}
