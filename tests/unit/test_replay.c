/* SPDX-License-Identifier: MIT */
/* What is published is recorded, and the trace gives it back as it was. */
#include "state_fixture.h"
#include "telemetry/recorder.h"
#include "telemetry/replay.h"
#include "util/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static char path[] = "/tmp/kerf-replay-XXXXXX";

static int make_file(void **state)
{
	int fd = mkstemp(path);

	return fd < 0 || close(fd);
}

static int remove_file(void **state)
{
	return unlink(path);
}

/* Readers of memory in this process: no socket is needed. */
static void attach(struct fixture *f, struct kerf_state_reader *r)
{
	uint32_t i;

	assert_int_equal(fixture_make(f), 0);
	memset(r, 0, sizeof(*r));
	r->head = fixture_head(f);
	r->link = f->region[KERF_REGION_LINKS].data;
	r->state = f->region[KERF_REGION_STATE].data;
	r->transfer = f->region[KERF_REGION_TRANSFERS].data;
	for (i = 0; i < KERF_N_REGION; i++)
		r->n[i] = fixture_layout[i].n;
}

/* One random change: a node comes, goes, changes its load; the plan changes; or nothing. */
static void change(struct kerf_state *s, struct kerf_rng *rng, uint64_t now)
{
	uint32_t i = (uint32_t)kerf_rng_below(rng, 8);
	struct kerf_node_state *n = &s->node[i];

	switch (kerf_rng_below(rng, 5)) {
	case 0:
		if (i)
			memset(n, 0, sizeof(*n));
		break;
	case 1:
		if (i)
			snprintf(n->url, sizeof(n->url), "http://10.0.0.%u:8470", i);
		n->up.rate_bytes_s = kerf_rng_next(rng);
		n->up.updated_ns = now;
		snprintf(n->up.estimator, sizeof(n->up.estimator), "rls");
		break;
	case 2:
		if (i && !n->url[0])
			break;
		n->load.updated_ns = now;
		n->load.fair_permille = (uint32_t)kerf_rng_below(rng, 8000);
		n->load.temperature_mc = -(int32_t)kerf_rng_below(rng, 8000);
		n->load.n_engine = 1;
		snprintf(n->load.engine[0].name, sizeof(n->load.engine[0].name), "cpu");
		n->load.engine[0].jobs++;
		break;
	case 3:
		s->plan.epoch++;
		s->plan.since_ns = now;
		snprintf(s->plan.reason, sizeof(s->plan.reason), "the link is %u",
			 (uint32_t)kerf_rng_below(rng, 100));
		break;
	}
	for (s->n_node = 8; s->n_node > 1 && !s->node[s->n_node - 1].url[0];)
		s->n_node--;
	s->updated_ns = now;
}

static void test_record_then_replay(void **state)
{
	enum { N = 400 };
	struct kerf_state *was = calloc(N, sizeof(*was)), s = {0};
	struct kerf_trace_writer *w;
	struct kerf_recorder_count count;
	struct kerf_state_reader from;
	struct kerf_recorder *rec;
	struct kerf_replay *r;
	struct kerf_err err = {""};
	struct kerf_rng rng;
	struct fixture f;
	uint32_t i, k;

	kerf_rng_seed(&rng, 1);
	attach(&f, &from);
	s.n_node = 1;
	assert_int_equal(kerf_trace_create(path, &w, &err), 0);
	assert_int_equal(kerf_recorder_open(&from, w, &rec), 0);
	for (i = 0; i < N; i++) {
		for (k = (uint32_t)kerf_rng_below(&rng, 4); k; k--)
			change(&s, &rng, 100 * i);
		kerf_record_write(f.region[KERF_REGION_STATE].data, &s, sizeof(s));
		was[i] = s;
		assert_int_equal(kerf_recorder_step(rec, 100 * i), 0);
	}
	kerf_recorder_counted(rec, &count);
	assert_int_equal(count.refused + count.torn + count.missed, 0);
	assert_true(count.records > N / 2 && count.records < 8 * N);
	kerf_recorder_close(rec);
	assert_int_equal(kerf_trace_finish(w, &err), 0);

	assert_int_equal(kerf_replay_open(path, &r, &err), 0);
	assert_int_equal(kerf_replay_next_ns(r), 0);
	for (i = 0; i < N; i++) {
		const struct kerf_state *again = kerf_replay_state(r);

		/* Asked for at any moment until the next step */
		assert_int_equal(kerf_replay_to(r, 100 * i + kerf_rng_below(&rng, 100), &err), 0);
		assert_int_equal(again->n_node, was[i].n_node);
		assert_memory_equal(again->node, was[i].node, sizeof(again->node));
		assert_memory_equal(&again->plan, &was[i].plan, sizeof(again->plan));
		assert_true(again->updated_ns <= 100 * i);
	}
	assert_int_equal(kerf_replay_next_ns(r), UINT64_MAX);
	assert_int_equal(kerf_replay_to(r, 1, &err), -EINVAL);
	kerf_replay_close(r);
	fixture_free(&f);
	free(was);
}

static uint32_t read_kinds(enum kerf_trace_kind kind, struct kerf_trace_rec *out, uint32_t max)
{
	struct kerf_trace_reader *r;
	struct kerf_trace_rec rec;
	struct kerf_err err = {""};
	uint32_t n = 0;
	int ret;

	assert_int_equal(kerf_trace_open(path, &r, &err), 0);
	while ((ret = kerf_trace_next(r, &rec, &err)) == 1)
		if (rec.kind == kind && n < max)
			out[n++] = rec;
	assert_int_equal(ret, 0);
	kerf_trace_close(r);
	return n;
}

static void test_links(void **state)
{
	struct kerf_link_rec link = {.cookie = 1, .life = KERF_LINK_LIVE, .srtt_us = 10}, *slot;
	struct kerf_trace_rec got[8];
	struct kerf_trace_writer *w;
	struct kerf_state_reader from;
	struct kerf_recorder *rec;
	struct kerf_err err = {""};
	struct fixture f;
	uint32_t t;

	attach(&f, &from);
	slot = (struct kerf_link_rec *)f.region[KERF_REGION_LINKS].data + 200;
	assert_int_equal(kerf_trace_create(path, &w, &err), 0);
	assert_int_equal(kerf_recorder_open(&from, w, &rec), 0);
	for (t = 0; t < 6; t++) {
		switch (t) {
		case 1: break;			/* as before: nothing to record */
		case 3: link.cookie = 2; break; /* another connection took the place */
		case 4: link.life = KERF_LINK_FREE; break;
		default: link.srtt_us++;
		}
		if (t != 1)
			kerf_record_write(slot, &link, sizeof(link));
		assert_int_equal(kerf_recorder_step(rec, t), 0);
	}
	kerf_recorder_close(rec);
	assert_int_equal(kerf_trace_finish(w, &err), 0);
	assert_int_equal(read_kinds(KERF_TRACE_LINK, got, 8), 5);
	assert_int_equal(got[0].u.link.srtt_us, 11);
	assert_int_equal(got[1].t_ns, 2);
	assert_int_equal(got[1].u.link.srtt_us, 12);
	assert_int_equal(got[2].u.link.cookie, 1); /* closed */
	assert_int_equal(got[2].u.link.life, KERF_LINK_FREE);
	assert_int_equal(got[3].u.link.cookie, 2);
	assert_int_equal(got[3].u.link.life, KERF_LINK_LIVE);
	assert_int_equal(got[4].t_ns, 4);
	assert_int_equal(got[4].u.link.life, KERF_LINK_FREE);
	fixture_free(&f);
}

static void transfer(struct fixture *f, uint64_t number, uint32_t node)
{
	struct kerf_transfer_rec t = {.number = number,
				      .node = node,
				      .predicted_ns = number,
				      .high_ns = 2 * number,
				      .transfer = {.end_ns = 1, .bytes = number}};

	kerf_record_write((struct kerf_transfer_rec *)f->region[KERF_REGION_TRANSFERS].data +
				  number % KERF_STATE_TRANSFERS,
			  &t, sizeof(t));
}

/* Each once, in order; what was overwritten in between is counted; absurd ones are refused. */
static void test_transfers(void **state)
{
	struct kerf_trace_rec got[200];
	struct kerf_recorder_count count;
	struct kerf_trace_writer *w;
	struct kerf_state_reader from;
	struct kerf_recorder *rec;
	struct kerf_err err = {""};
	struct fixture f;
	uint64_t n = 1;
	uint32_t i;

	attach(&f, &from);
	transfer(&f, n++, 1); /* before the recording */
	assert_int_equal(kerf_trace_create(path, &w, &err), 0);
	assert_int_equal(kerf_recorder_open(&from, w, &rec), 0);
	assert_int_equal(kerf_recorder_step(rec, 1), 0);
	while (n <= 11)
		transfer(&f, n++, 1);
	assert_int_equal(kerf_recorder_step(rec, 2), 0);
	assert_int_equal(kerf_recorder_step(rec, 3), 0);
	while (n <= 11 + 100)
		transfer(&f, n++, 1);
	assert_int_equal(kerf_recorder_step(rec, 4), 0);
	transfer(&f, n++, KERF_STATE_NODES);
	assert_int_equal(kerf_recorder_step(rec, 5), 0);
	kerf_recorder_counted(rec, &count);
	assert_int_equal(count.missed, 100 - KERF_STATE_TRANSFERS);
	assert_int_equal(count.refused, 1);
	kerf_recorder_close(rec);
	assert_int_equal(kerf_trace_finish(w, &err), 0);
	assert_int_equal(read_kinds(KERF_TRACE_TRANSFER, got, 200), 10 + KERF_STATE_TRANSFERS);
	for (i = 0; i < 10; i++)
		assert_int_equal(got[i].u.transfer.bytes, 2 + i);
	for (i = 0; i < KERF_STATE_TRANSFERS; i++)
		assert_int_equal(got[10 + i].u.transfer.bytes, 112 - KERF_STATE_TRANSFERS + i);
	assert_float_equal(got[0].predicted_s, 2e-9, 1e-18);
	assert_float_equal(got[0].high_s, 4e-9, 1e-18);
	fixture_free(&f);
}

/* A trace that ends in the middle of a line is replayed as far as it is whole. */
/* A number that no other can follow. */
static void test_the_last_number(void **state)
{
	struct kerf_recorder_count count;
	struct kerf_state_reader from;
	struct kerf_trace_rec got[2];
	struct kerf_trace_writer *w;
	struct kerf_recorder *rec;
	struct kerf_err err = {""};
	struct fixture f;

	attach(&f, &from);
	assert_int_equal(kerf_trace_create(path, &w, &err), 0);
	assert_int_equal(kerf_recorder_open(&from, w, &rec), 0);
	transfer(&f, UINT64_MAX, 1);
	assert_int_equal(kerf_recorder_step(rec, 1), 0);
	assert_int_equal(kerf_recorder_step(rec, 2), 0);
	kerf_recorder_counted(rec, &count);
	assert_true(count.missed >= UINT64_MAX - KERF_STATE_TRANSFERS);
	kerf_recorder_close(rec);
	assert_int_equal(kerf_trace_finish(w, &err), 0);
	assert_int_equal(read_kinds(KERF_TRACE_TRANSFER, got, 2), 1);
	fixture_free(&f);
}

static void test_a_damaged_trace(void **state)
{
	struct kerf_replay *r;
	struct kerf_err err = {""};
	FILE *f = fopen(path, "w");

	fputs("{\"kerf_trace\":1,\"clock\":\"monotonic\"}\n"
	      "{\"t_ns\":5,\"plan\":{\"epoch\":3}}\n{\"t_ns\":6,\"plan\":{\"ep",
	      f);
	fclose(f);
	assert_int_equal(kerf_replay_open(path, &r, &err), 0);
	assert_int_equal(kerf_replay_to(r, 4, &err), 0);
	assert_int_equal(kerf_replay_state(r)->plan.epoch, 0);
	assert_int_equal(kerf_replay_to(r, 5, &err), -EINVAL);
	assert_int_equal(kerf_replay_state(r)->plan.epoch, 3);
	assert_non_null(strstr(err.msg, "line 3"));
	kerf_replay_close(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_record_then_replay),
		cmocka_unit_test(test_links),
		cmocka_unit_test(test_transfers),
		cmocka_unit_test(test_the_last_number),
		cmocka_unit_test(test_a_damaged_trace),
	};

	return cmocka_run_group_tests(tests, make_file, remove_file);
}
