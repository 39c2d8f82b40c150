/* SPDX-License-Identifier: MIT */
/* Traces: what is written is read back to the last bit; what is damaged is refused, and where. */
#include "telemetry/trace.h"
#include "util/file.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char path[] = "/tmp/kerf-trace-XXXXXX";

static int make_file(void **state)
{
	int fd = mkstemp(path);

	return fd < 0 || close(fd);
}

static int remove_file(void **state)
{
	return unlink(path);
}

/* Every member of every kind set, so that one which is not carried shows. */
static void fill(struct kerf_trace_rec *rec, enum kerf_trace_kind kind)
{
	struct kerf_node_state *n = &rec->u.node;
	struct kerf_link_rec *l = &rec->u.link;
	struct kerf_transfer *t = &rec->u.transfer;
	struct kerf_plan_note *p = &rec->u.plan;
	uint32_t i;

	memset(rec, 0, sizeof(*rec));
	rec->kind = kind;
	rec->t_ns = 1;
	switch (kind) {
	case KERF_TRACE_LINK:
		memset(l, 1, sizeof(*l));
		l->seq = l->check = l->reserved2 = 0;
		memset(l->reserved, 0, sizeof(l->reserved));
		l->life = KERF_LINK_LIVE;
		l->source = KERF_SOURCE_BTF;
		l->family = AF_INET6;
		break;
	case KERF_TRACE_NODE:
		rec->node = KERF_STATE_NODES - 1;
		memset(n, 1, sizeof(*n));
		n->url[sizeof(n->url) - 1] = 0;
		n->up.source = n->down.source = KERF_SOURCE_TCP_INFO;
		n->up.estimator[10] = n->down.estimator[10] = 0;
		n->up.latency_ns = n->up.low_ns = -1;
		n->down.latency_ns = INT64_MIN + 1;
		n->down.high_ns = INT64_MAX - 1;
		n->load.source = n->load.source_memory = n->load.source_sensor = KERF_SOURCE_PEER;
		n->load.n_engine = KERF_NODE_LOAD_ENGINES;
		n->load.temperature_mc = INT32_MIN;
		n->load.throttled = 1;
		n->reserved = n->load.reserved = 0;
		n->refused[sizeof(n->refused) - 1] = 0;
		for (i = 0; i < KERF_NODE_LOAD_ENGINES; i++) {
			n->load.engine[i].name[31] = 0;
			n->load.engine[i].kind = KERF_ENGINE_RUNTIME;
			n->load.engine[i].reserved = 0;
		}
		break;
	case KERF_TRACE_TRANSFER:
		rec->node = 3;
		rec->low_s = 0.1;
		rec->predicted_s = 1.0 / 3;
		rec->high_s = 1.8e10;
		memset(t, 1, sizeof(*t));
		t->end_ns = UINT64_MAX;
		t->down = 1;
		t->reserved = 0;
		break;
	case KERF_TRACE_PLAN:
		memset(p, 1, sizeof(*p));
		p->reserved = 0;
		p->policy[15] = p->model[63] = p->reason[255] = p->changed[255] = 0;
		break;
	case KERF_TRACE_MARK: snprintf(rec->u.mark, sizeof(rec->u.mark), "rate 20mbit \"\\/\t");
	}
}

static void test_round_trip(void **state)
{
	struct kerf_trace_rec rec[8], got;
	struct kerf_trace_writer *w;
	struct kerf_trace_reader *r;
	struct kerf_err err = {""};
	uint32_t n = 0, i;

	for (i = KERF_TRACE_LINK; i <= KERF_TRACE_MARK; i++)
		fill(&rec[n++], (enum kerf_trace_kind)i);
	fill(&rec[n], KERF_TRACE_LINK);
	rec[n].t_ns = UINT64_MAX;
	rec[n].u.link.bytes_acked = UINT64_MAX;
	rec[n].u.link.family = AF_INET;
	memset(rec[n].u.link.remote_addr + 4, 0, 12);
	n++;
	memset(&rec[n], 0, sizeof(rec[n])); /* all omitted: a slot that is free now */
	rec[n].kind = KERF_TRACE_NODE;
	rec[n++].t_ns = UINT64_MAX;

	assert_int_equal(kerf_trace_create(path, &w, &err), 0);
	for (i = 0; i < n; i++)
		assert_int_equal(kerf_trace_put(w, &rec[i]), 0);
	assert_int_equal(kerf_trace_finish(w, &err), 0);
	assert_int_equal(kerf_trace_open(path, &r, &err), 0);
	for (i = 0; i < n; i++) {
		assert_int_equal(kerf_trace_next(r, &got, &err), 1);
		assert_memory_equal(&got, &rec[i], sizeof(got));
	}
	assert_int_equal(kerf_trace_next(r, &got, &err), 0);
	assert_int_equal(kerf_trace_next(r, &got, &err), 0);
	kerf_trace_close(r);
}

static void test_writer_refuses(void **state)
{
	struct kerf_trace_rec rec, got;
	struct kerf_trace_writer *w;
	struct kerf_trace_reader *r;
	struct kerf_err err = {""};

	assert_int_equal(kerf_trace_create(path, &w, &err), 0);
	fill(&rec, KERF_TRACE_MARK);
	rec.t_ns = 10;
	assert_int_equal(kerf_trace_put(w, &rec), 0);
	rec.t_ns = 9;
	assert_int_equal(kerf_trace_put(w, &rec), -EINVAL);
	fill(&rec, KERF_TRACE_TRANSFER);
	rec.t_ns = 10;
	rec.predicted_s = 0.0 / 0.0;
	assert_int_equal(kerf_trace_put(w, &rec), -EINVAL);
	fill(&rec, KERF_TRACE_TRANSFER);
	rec.t_ns = 10;
	rec.u.transfer.end_ns = rec.u.transfer.start_ns - 1;
	assert_int_equal(kerf_trace_put(w, &rec), -EINVAL);
	fill(&rec, KERF_TRACE_LINK);
	rec.t_ns = 10;
	rec.u.link.source = KERF_N_SOURCE;
	assert_int_equal(kerf_trace_put(w, &rec), -EINVAL);
	fill(&rec, KERF_TRACE_NODE);
	rec.t_ns = 10;
	rec.node = KERF_STATE_NODES;
	assert_int_equal(kerf_trace_put(w, &rec), -EINVAL);
	/* None of that is in the file, and it goes on. Text of any bytes becomes UTF-8. */
	fill(&rec, KERF_TRACE_MARK);
	rec.t_ns = 11;
	strcpy(rec.u.mark, "\xc3\xa9 \xff \xed\xa0\x80 \xc0\x80 \xf0\x9f\x98\x80 \xe2\x82");
	assert_int_equal(kerf_trace_put(w, &rec), 0);
	assert_int_equal(kerf_trace_finish(w, &err), 0);
	assert_int_equal(kerf_trace_open(path, &r, &err), 0);
	assert_int_equal(kerf_trace_next(r, &got, &err), 1);
	assert_int_equal(kerf_trace_next(r, &got, &err), 1);
	assert_string_equal(got.u.mark, "\xc3\xa9 ? ??? ?? \xf0\x9f\x98\x80 ??");
	assert_int_equal(kerf_trace_next(r, &got, &err), 0);
	kerf_trace_close(r);
}

static void test_full_disk(void **state)
{
	struct kerf_trace_rec rec;
	struct kerf_trace_writer *w;
	struct kerf_err err = {""};
	uint32_t i;
	int r = 0;

	assert_int_equal(kerf_trace_create("/no/such/place", &w, &err), -ENOENT);
	assert_non_null(strstr(err.msg, "/no/such/place"));
	err.msg[0] = 0;
	fill(&rec, KERF_TRACE_MARK);
	assert_int_equal(kerf_trace_create("/dev/full", &w, &err), 0);
	assert_int_equal(kerf_trace_put(w, &rec), 0); /* in the buffer */
	assert_int_equal(kerf_trace_finish(w, &err), -ENOSPC);
	assert_non_null(strstr(err.msg, "/dev/full: the trace is not whole: No space left"));
	err.msg[0] = 0;
	assert_int_equal(kerf_trace_create("/dev/full", &w, &err), 0);
	for (i = 0; i < 100000 && !r; i++)
		r = kerf_trace_put(w, &rec);
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(kerf_trace_put(w, &rec), -ENOSPC);
	assert_int_equal(kerf_trace_finish(w, &err), -ENOSPC);
}

/* --- Reading what was not written by us --- */

#define HEAD "{\"kerf_trace\":1,\"clock\":\"monotonic\"}\n"

static int read_all(const void *text, size_t n, uint32_t *records, struct kerf_err *err)
{
	FILE *f = tmpfile();
	struct kerf_trace_reader *r;
	struct kerf_trace_rec rec;
	int ret;

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, n, f), n);
	rewind(f);
	*records = 0;
	ret = kerf_trace_read(f, "x.trace", &r, err);
	if (ret)
		return ret;
	while ((ret = kerf_trace_next(r, &rec, err)) == 1)
		++*records;
	if (ret < 0) { /* and stays refused */
		struct kerf_err again = {""};

		assert_int_equal(kerf_trace_next(r, &rec, &again), ret);
	}
	kerf_trace_close(r);
	return ret;
}

static void test_refusals(void **state)
{
	static const struct {
		const char *text, *says;
	} bad[] = {
		{"", "x.trace: expected a trace, found an empty file"},
		{"x", "line 1: expected a newline at its end"},
		{"\n", "line 1: expected an object in JSON"},
		{"[1]\n", "line 1: expected an object in JSON"},
		{"{}\n", "line 1: kerf_trace: expected a trace's version, found none"},
		{"{\"kerf_trace\":2,\"clock\":\"monotonic\"}\n",
		 "kerf_trace: expected version 1, found 2"},
		{"{\"kerf_trace\":\"1\"}\n", "kerf_trace: expected a whole number"},
		{"{\"kerf_trace\":1,\"clock\":\"tai\"}\n", "clock: expected \"monotonic\""},
		{HEAD "{\"mark\":\"a\"}\n", "line 2: t_ns: expected the record's time, found none"},
		{HEAD "{\"t_ns\":-1,\"mark\":\"a\"}\n",
		 "line 2: t_ns: expected a whole number from 0"},
		{HEAD "{\"t_ns\":1.5,\"mark\":\"a\"}\n", "found 1.5"},
		{HEAD "{\"t_ns\":18446744073709551616,\"mark\":\"a\"}\n",
		 "line 2: expected numbers"},
		{HEAD "{\"t_ns\":5,\"mark\":\"a\"}\n{\"t_ns\":4,\"mark\":\"a\"}\n",
		 "line 3: t_ns: expected 5 (the last record's) or later, found 4"},
		{HEAD "{\"t_ns\":5,\"mark\":\"a\"}", "line 2: expected a newline at its end"},
		{HEAD "{\"t_ns\":5,\"mark\":\"a\"\n", "line 2: expected an object in JSON"},
		{HEAD "{\"t_ns\":5,\"mark\":\"a\"} 1\n", "line 2: expected an object in JSON"},
		{HEAD "{\"t_ns\":5,\"mark\":\"a\xff\"}\n", "line 2: expected an object in JSON"},
		{HEAD "{\"t_ns\":5,\"mark\":1}\n",
		 "mark: expected text of at most 127 bytes, found 1"},
		{HEAD "{\"t_ns\":5,\"mark\":\"a\\u0000b\"}\n", "mark: expected text"},
		{HEAD "{\"t_ns\":5,\"mark\":null}\n", "mark: expected a record, found null"},
		{HEAD "{\"t_ns\":5,\"mark\":\"a\",\"plan\":{}}\n",
		 "expected one kind of record, found plan and mark"},
		{HEAD "{\"t_ns\":5,\"link\":[]}\n", "link: expected an object, found []"},
		{HEAD "{\"t_ns\":5,\"link\":{\"srtt_us\":4294967296}}\n",
		 "link.srtt_us: expected a whole number from 0 to 4294967295, found 4294967296"},
		{HEAD "{\"t_ns\":5,\"link\":{\"srtt_us\":\"7\"}}\n", "found \"7\""},
		{HEAD "{\"t_ns\":5,\"link\":{\"life\":2}}\n",
		 "link.life: expected a whole number from 0 to 1"},
		{HEAD "{\"t_ns\":5,\"link\":{\"source\":\"oracle\"}}\n",
		 "link.source: expected the name of a source"},
		{HEAD "{\"t_ns\":5,\"link\":{\"remote_addr\":\"1.2.3\"}}\n",
		 "link.remote_addr: expected an IP address"},
		{HEAD "{\"t_ns\":5,\"node\":{\"index\":65}}\n",
		 "node.index: expected a whole number from 0 to 64"},
		{HEAD "{\"t_ns\":5,\"node\":{\"load\":{\"temperature_mc\":2147483648}}}\n",
		 "node.load.temperature_mc: expected a whole number of 32 bits"},
		{HEAD "{\"t_ns\":5,\"node\":{\"up\":{\"latency_ns\":9223372036854775808}}}\n",
		 "node.up.latency_ns: expected a whole number of 64 bits"},
		{HEAD "{\"t_ns\":5,\"node\":{\"up\":{\"estimator\":\"elevenchars\"}}}\n",
		 "node.up.estimator: expected text of at most 10 bytes"},
		{HEAD "{\"t_ns\":5,\"node\":{\"load\":{\"engine\":[{},{\"jobs\":true}]}}}\n",
		 "node.load.engine[1].jobs: expected"},
		{HEAD "{\"t_ns\":5,\"node\":{\"load\":{\"engine\":[1,2,3,4,5,6,7,8,9,0,1,2,3,4,5,6,"
		      "7]}}}\n",
		 "expected at most 16 engines, found 17"},
		{HEAD "{\"t_ns\":5,\"transfer\":{\"start_ns\":2,\"end_ns\":1}}\n",
		 "transfer.end_ns: expected 2 (start_ns)"},
		{HEAD "{\"t_ns\":5,\"transfer\":{\"end_ns\":1,\"hold_ns\":2}}\n",
		 "transfer.hold_ns: expected at most"},
		{HEAD "{\"t_ns\":5,\"transfer\":{\"predicted_s\":-1}}\n",
		 "transfer.predicted_s: expected a number"},
		{HEAD "{\"t_ns\":5,\"transfer\":{\"low_s\":2,\"high_s\":1}}\n",
		 "low <= high, found 0, 2, 1"},
		{HEAD "{\"t_ns\":5,\"transfer\":{\"high_s\":1e11}}\n", "expected seconds"},
		{HEAD "{\"t_ns\":5,\"x\":[[[[[[[[[]]]]]]]]]}\n",
		 "line 2: expected an object in JSON, found nesting"},
	};
	uint32_t i, n;

	for (i = 0; i < KERF_ARRAY_SIZE(bad); i++) {
		struct kerf_err err = {""};

		if (read_all(bad[i].text, strlen(bad[i].text), &n, &err) != -EINVAL ||
		    !strstr(err.msg, bad[i].says))
			fail_msg("case %u: expected '%s', found '%s'", i, bad[i].says, err.msg);
		assert_ptr_equal(strstr(err.msg, "x.trace: "), err.msg);
	}
}

static void test_later_versions_of_kerf(void **state)
{
	static const char text[] = HEAD "{\"t_ns\":1,\"weather\":{\"sunny\":true}}\n"
					"{\"t_ns\":2,\"mark\":\"a\",\"by\":\"b\"}\n"
					"{\"t_ns\":3,\"link\":{\"colour\":[1,2],\"srtt_us\":7}}\n"
					"{\"t_ns\":4}\n";
	struct kerf_err err = {""};
	uint32_t n;

	assert_int_equal(read_all(text, sizeof(text) - 1, &n, &err), 0);
	assert_int_equal(n, 2);
}

static void test_long_lines(void **state)
{
	size_t max = 64 << 10, n = 0;
	struct kerf_err err = {""};
	char *text = malloc(2 * max);
	uint32_t records;

	n = (size_t)sprintf(text, HEAD "{\"t_ns\":1,\"mark\":\"a\"");
	memset(text + n, ' ', max);
	strcpy(text + sizeof(HEAD) - 1 + max - 2, "}\n");
	assert_int_equal(read_all(text, strlen(text), &records, &err), 0);
	strcpy(text + sizeof(HEAD) - 1 + max - 2, " }\n");
	assert_int_equal(read_all(text, strlen(text), &records, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "line 2: expected a line of less than 65536 bytes"));
	free(text);
}

/* Cut anywhere: whole records, then the end or a refusal, and no record that was not there. */
static void test_cut_off(void **state)
{
	struct kerf_trace_writer *w;
	struct kerf_trace_rec rec;
	struct kerf_err err = {""};
	size_t size, cut;
	uint32_t k, n, lines;
	void *data;
	char *text;

	assert_int_equal(kerf_trace_create(path, &w, &err), 0);
	for (k = KERF_TRACE_LINK; k <= KERF_TRACE_MARK; k++) {
		fill(&rec, (enum kerf_trace_kind)k);
		if (k == KERF_TRACE_NODE)
			rec.u.node.load.n_engine = 1;
		assert_int_equal(kerf_trace_put(w, &rec), 0);
	}
	assert_int_equal(kerf_trace_finish(w, &err), 0);
	assert_int_equal(kerf_file_read(path, 1 << 20, &data, &size, &err), 0);
	text = data;
	for (cut = 0, lines = 0; cut <= size; cut++) {
		err.msg[0] = 0;
		if (cut && text[cut - 1] == '\n') {
			assert_int_equal(read_all(data, cut, &n, &err), 0);
			assert_int_equal(n, lines++);
		} else {
			assert_int_equal(read_all(data, cut, &n, &err), -EINVAL);
			assert_int_equal(n, lines ? lines - 1 : 0);
		}
	}
	assert_int_equal(lines, 6);
	free(data);
}

static void test_no_file(void **state)
{
	struct kerf_trace_reader *r;
	struct kerf_err err = {""};

	assert_int_equal(kerf_trace_open("/no/such/trace", &r, &err), -ENOENT);
	assert_null(r);
	err.msg[0] = 0;
	assert_int_equal(kerf_trace_open("/tmp", &r, &err), -EIO);
	assert_string_equal(err.msg, "/tmp: cannot be read: Is a directory");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_writer_refuses),
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_later_versions_of_kerf),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_cut_off),
		cmocka_unit_test(test_no_file),
	};

	return cmocka_run_group_tests(tests, make_file, remove_file);
}
