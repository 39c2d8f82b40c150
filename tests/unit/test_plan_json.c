/* SPDX-License-Identifier: MIT */
/* Plans through JSON and back, and files that are not what they should be. */
#include "ops/random_graph.h"
#include "plan/plan_check.h"
#include "plan/plan_json.h"
#include "unit/spatial_rig.h"

#include <json-c/json.h>

static char *text_of(const struct kerf_graph *g, const struct kerf_plan *plan)
{
	struct json_object *o = kerf_plan_to_json(g, plan, rig_names);
	char *text;

	assert_non_null(o);
	text = strdup(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
	assert_non_null(text);
	json_object_put(o);
	return text;
}

static bool make_tiles(const struct rig *x, struct kerf_rng *rng, struct kerf_plan *plan)
{
	uint32_t engine[3] = {0, 1, 0}, at = 0, end;
	double weight[3] = {1, 2, 1};
	struct kerf_bands b = {0};
	struct kerf_tile room;
	struct kerf_rows part[3];
	int r = 0;

	if (kerf_tile_open(x->g, &room))
		return false;
	while (at < x->g->n_op && !r) {
		int64_t rows;

		end = at + 1 + (uint32_t)kerf_rng_below(rng, 4);
		end = KERF_MIN(end, x->g->n_op);
		rows = kerf_bands_rows(&x->p, &room, at, end);
		if (rows >= 2) {
			kerf_bands_split(rows, 1, 3, weight, part);
			r = kerf_bands_tiled(&b, at, end, engine[0], 3, engine, part);
		} else {
			r = kerf_bands_whole(&b, at, end, 1);
		}
		at = end;
	}
	r = r ? r : kerf_bands_build(&x->p, &b, plan, NULL);
	kerf_bands_finish(&b);
	kerf_tile_finish(&room);
	return !r;
}

static void same_plan(const struct kerf_plan *a, const struct kerf_plan *b)
{
	uint32_t i;

	assert_int_equal(a->n_step, b->n_step);
	assert_int_equal(a->n_edge, b->n_edge);
	assert_int_equal(a->exit, b->exit);
	for (i = 0; i < a->n_step; i++) {
		const struct kerf_plan_step *s = &a->step[i], *t = &b->step[i];

		assert_true(s->engine == t->engine && s->n_op == t->n_op && s->stage == t->stage &&
			    s->padded == t->padded);
		assert_memory_equal(s->op, t->op, s->n_op * sizeof(*s->op));
		assert_memory_equal(&s->rows, &t->rows, sizeof(s->rows));
		assert_memory_equal(&s->channels, &t->channels, sizeof(s->channels));
		assert_true(!s->share == !t->share);
		if (s->share)
			assert_memory_equal(s->share, t->share, s->n_op * sizeof(*s->share));
		assert_true(s->compute_s == t->compute_s && s->end_s == t->end_s);
	}
	for (i = 0; i < a->n_edge; i++) {
		const struct kerf_plan_edge *e = &a->edge[i], *f = &b->edge[i];

		assert_true(e->value == f->value && e->from == f->from && e->to == f->to &&
			    e->codec == f->codec && e->relayed == f->relayed &&
			    e->bytes == f->bytes && e->end_s == f->end_s);
		assert_memory_equal(&e->rows, &f->rows, sizeof(e->rows));
		assert_memory_equal(&e->channels, &f->channels, sizeof(e->channels));
	}
	assert_true(a->total_s == b->total_s && a->period_s == b->period_s &&
		    a->memory_bytes == b->memory_bytes && a->accuracy == b->accuracy);
	assert_string_equal(a->reason, b->reason);
}

static void test_there_and_back(void **state)
{
	struct kerf_rng rng;
	uint32_t done = 0, k;
	uint64_t seed;

	kerf_rng_seed(&rng, 31);
	for (seed = 1; seed <= 100; seed++) {
		struct kerf_err err = {""};
		struct kerf_graph *g = rg_make(seed, 12, &err);
		struct kerf_plan plan, back;
		struct rig x;
		char *text;

		if (!g)
			continue;
		rig_random(&x, g, &rng);
		if (make_tiles(&x, &rng, &plan)) {
			snprintf(plan.reason, sizeof(plan.reason), "because of \"%d\"", (int)seed);
			plan.step[0].stage = 3;
			for (k = 0; k < plan.n_edge; k++)
				if (g->value[plan.edge[k].value].t.dtype == KERF_F32 && k % 3)
					plan.edge[k].codec = (enum kerf_codec)(k % 3);
			assert_int_equal(kerf_plan_price(&x.p, &plan), 0);
			text = text_of(g, &plan);
			if (kerf_plan_from_json(g, text, strlen(text), rig_names, x.p.n_engine,
						&back, &err))
				fail_msg("seed %d: %s", (int)seed, err.msg);
			same_plan(&plan, &back);
			kerf_plan_finish(&back);
			kerf_plan_finish(&plan);
			free(text);
			done++;
		}
		rig_drop(&x);
		kerf_graph_unref(g);
	}
	assert_true(done > 50);
}

/* --- refusals --- */

struct small {
	struct kerf_graph *g;
	char *text;
};

/* Two operators, two steps: engine e0 makes v1, e1 makes v2. */
static void small_make(struct small *s)
{
	static const struct kerf_op_def any = {.name = "any", .max_in = -1, .max_out = -1};
	struct kerf_tensor t = {.dtype = KERF_F32, .rank = 1, .dims = {8}};
	uint32_t assign[] = {0, 1};
	double speed[] = {1e9, 1e9};
	struct kerf_plan plan;
	struct rig x;
	int32_t v[3], i;

	s->g = kerf_graph_new("t");
	for (i = 0; i < 3; i++) {
		v[i] = kerf_graph_add_value(s->g, NULL, &t);
		if (i)
			kerf_graph_add_op(s->g, &any, NULL, 1, 1, &v[i - 1], 1, &v[i], 0, NULL);
	}
	kerf_graph_add_input(s->g, v[0]);
	kerf_graph_add_output(s->g, v[2]);
	rig_make(&x, s->g, 2, speed, 1e6, 0);
	assert_int_equal(kerf_plan_from_assignment(&x.p, assign, NULL, &plan, NULL), 0);
	s->text = text_of(s->g, &plan);
	kerf_plan_finish(&plan);
	rig_drop(&x);
}

/* The text with the first `from` replaced. */
static char *with(const char *text, const char *from, const char *to)
{
	const char *at = strstr(text, from);
	size_t n = strlen(text) + strlen(to) + 1;
	char *out = malloc(n);

	if (!at)
		fail_msg("no '%s' in %s", from, text);
	snprintf(out, n, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
	return out;
}

static void test_refusals(void **state)
{
	static const struct {
		const char *from, *to, *says;
	} bad[] = {
		{"\"kerf_plan\":1", "\"kerf_plan\":2", "kerf_plan: expected 1"},
		{"\"kerf_plan\":1", "\"plan\":1", "kerf_plan: expected 1"},
		{"\"model_sha256\":\"00", "\"model_sha256\":\"ab", "for the model ab0000"},
		{"\"graph\":\"", "\"graph\":\"x", "for the graph x"},
		{"\"graph\":", "\"paragraph\":", "model_sha256, graph"},
		{"\"engine\":\"e1\"", "\"engine\":\"e7\"", "steps[1] runs on engine 'e7'"},
		{"\"engine\":\"e1\"", "\"engine\":1", "steps[1].engine"},
		{"\"operators\":[1]", "\"operators\":[2]", "steps[1].operators"},
		{"\"operators\":[1]", "\"operators\":[-1]", "steps[1].operators"},
		{"\"operators\":[1]", "\"operators\":[1.5]", "steps[1].operators"},
		{"\"operators\":[1]", "\"operators\":[]", "steps[1].operators"},
		{"\"operators\":[1]", "\"operators\":[1,1,1]", "steps[1].operators"},
		{"\"operators\":[1]", "\"operators\":[0]", "plan: "},
		{"\"operators\":[1]", "\"operators\":[1],\"share\":[1,1]", "steps[1].share"},
		{"\"operators\":[1]", "\"operators\":[1],\"share\":[2]", "steps[1].share"},
		{"\"operators\":[1]", "\"operators\":[1],\"rows\":[3,3]", "steps[1].rows"},
		{"\"operators\":[1]", "\"operators\":[1],\"rows\":[0,4]", "plan: step 1: tile"},
		{"\"operators\":[1]", "\"operators\":[1],\"padded\":1", "steps[1].padded"},
		{"\"operators\":[1]", "\"operators\":[1],\"stage\":-1", "steps[1].stage"},
		{"\"value\":0", "\"value\":9", "edges[0].value"},
		{"\"value\":0", "\"value\":99999999999999999999", "edges[0].value"},
		{"\"from\":\"home\"", "\"from\":\"away\"", "edges[0].from"},
		{"\"from\":\"home\"", "\"from\":7", "edges[0].from"},
		{"\"from\":\"home\"", "\"from\":1", "plan: "},
		{"\"to\":0", "\"to\":0,\"codec\":\"zip\"", "edges[0].codec"},
		{"\"to\":0", "\"to\":0,\"channels\":[0,4]", "no such"},
		{"\"steps\":[", "\"steps\":5,\"x\":[", "steps: expected a list"},
		{"\"edges\":[", "\"edges\":[5,", "edges[0]: expected an object"},
		{"\"edges\":[", "\"edges\":[],\"x\":[", "plan: step 0"},
		{"\"policy\"", "\"exit\":\"early\",\"policy\"", "exit: expected the name of an exit"},
		{"{", "[", "not JSON"},
	};
	struct kerf_plan plan;
	struct small s;
	size_t i, n;

	small_make(&s);
	assert_int_equal(
		kerf_plan_from_json(s.g, s.text, strlen(s.text), rig_names, 2, &plan, NULL), 0);
	kerf_plan_finish(&plan);
	for (i = 0; i < KERF_ARRAY_SIZE(bad); i++) {
		char *text = with(s.text, bad[i].from, bad[i].to);
		struct kerf_err err = {""};

		if (kerf_plan_from_json(s.g, text, strlen(text), rig_names, 2, &plan, &err) !=
		    -EINVAL)
			fail_msg("'%s' was taken", bad[i].to);
		if (!strstr(err.msg, bad[i].says))
			fail_msg("'%s' does not say '%s'", err.msg, bad[i].says);
		free(text);
	}
	for (n = 0; n < strlen(s.text); n++) {
		struct kerf_err err = {""};

		assert_int_equal(kerf_plan_from_json(s.g, s.text, n, rig_names, 2, &plan, &err),
				 -EINVAL);
		assert_true(err.msg[0]);
	}
	free(s.text);
	kerf_graph_unref(s.g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
