/* SPDX-License-Identifier: MIT */
/*
 * Links between nodes other than home: what a node says of its link to another, and the problem
 * that a cluster makes of it. Engines of one address are one node.
 */
#include "net_job.h"

#include "exec/cluster.h"
#include "exec/remote_link.h"
#include "net/link_request.h"
#include "util/clock.h"

#include <math.h>
#include <signal.h>

static struct test_node node[2];

/* What node 0 is told to know of node "http://127.0.0.1:9". */
static void estimate(void *user, const char *url, bool down, struct kerf_link_estimate *est)
{
	memset(est, 0, sizeof(*est));
	if (strcmp(url, "http://127.0.0.1:9") != 0)
		return;
	est->rate_bytes_s = down ? 3000000 : 2000000;
	est->latency_ns = down ? -5000 : 1500000;
	est->updated_ns = kerf_now_ns() - 2000000000u;
	memcpy(est->estimator, "rls", 4);
}

static int setup(void **state)
{
	struct kerf_node_config knowing = {.estimate = estimate}, cfg = {.max_connections = 64};

	net_open(&node[0], &knowing, "4");
	net_open(&node[1], &cfg, "4");
	return 0;
}

static int teardown(void **state)
{
	net_close(&node[0]);
	net_close(&node[1]);
	return 0;
}

static void test_known(void **state)
{
	struct kerf_link_estimate up, down;
	uint64_t now = kerf_now_ns();

	assert_int_equal(kerf_remote_link(node[0].url, "http://127.0.0.1:9", false, &up, &down, NULL), 0);
	assert_int_equal(up.rate_bytes_s, 2000000);
	assert_int_equal(up.latency_ns, 1500000);
	assert_int_equal(down.rate_bytes_s, 3000000);
	assert_int_equal(down.latency_ns, -5000);
	assert_string_equal(up.estimator, "rls");
	assert_int_equal(up.source, KERF_SOURCE_PEER);
	/* Its age is what it was there. */
	assert_true(up.updated_ns < now - 1000000000u && up.updated_ns > now - 60000000000u);
}

static void test_probed(void **state)
{
	struct kerf_link_estimate up, down;

	assert_int_equal(kerf_remote_link(node[0].url, node[1].url, false, &up, &down, NULL), 0);
	assert_true(up.rate_bytes_s > 1000000 && down.rate_bytes_s > 1000000);
	assert_string_equal(up.estimator, "probe");
}

static void test_refusals(void **state)
{
	static const struct {
		const char *body;
		int status;
		const char *say;
	} table[] = {
		{"{\"peer\":\"http://127.0.0.1:1\"}", 502, "127.0.0.1:1"},
		{"{\"peer\":\"http://192.0.2.1:80\"}", 403, "--insecure"},
		{"{\"peer\":\"http://127.0.0.1:80/x\"}", 400, "'peer'"},
		{"{\"peer\":\"ftp://127.0.0.1\"}", 400, "HOST:PORT"},
		{"{\"peer\":7}", 400, "'peer'"},
		{"{}", 400, "'peer' is missing"},
		{"[]", 400, "JSON object"},
		{"", 400, "JSON"},
	};
	char request[512], body[512];
	unsigned i;

	for (i = 0; i < KERF_ARRAY_SIZE(table); i++) {
		int status;

		snprintf(request, sizeof(request),
			 "POST /kerf/v1/links HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n%s",
			 strlen(table[i].body), table[i].body);
		status = net_exchange(&node[0], request, body, sizeof(body));
		if (status != table[i].status || !strstr(body, table[i].say))
			print_error("%s: %d %s\n", table[i].body, status, body);
		assert_int_equal(status, table[i].status);
		assert_non_null(strstr(body, table[i].say));
	}
}

/* A reply from who knows whom: every figure is bounded, every name printable. */
static void test_reply(void **state)
{
	const struct kerf_link_estimate e = {.rate_bytes_s = 5, .latency_ns = -1, .low_ppm = 1,
					     .high_ppm = UINT32_MAX, .low_ns = 7, .high_ns = 8,
					     .window_bytes = 9, .round_ns = 10, .transfers = 11,
					     .updated_ns = 1, .estimator = "abcdefghij"};
	static const char *const spoil[][2] = {
		{"\"rate_bytes_s\":5", "\"rate_bytes_s\":0"},
		{"\"rate_bytes_s\":5", "\"rate_bytes_s\":-5"},
		{"\"rate_bytes_s\":5", "\"rate_bytes_s\":9000000000000000000"},
		{"\"latency_ns\":-1", "\"latency_ns\":9000000000000000000"},
		{"\"high_ppm\":4294967295", "\"high_ppm\":4294967296"},
		{"\"round_ns\":10", "\"round_ns\":\"x\""},
		{"\"down\":", "\"else\":"},
		{"\"age_ns\":", "\"age\":"},
		{"\"estimator\":", "\"x\":"},
	};
	struct kerf_link_estimate up, down;
	char *text, *bad, *at;
	unsigned i;

	assert_int_equal(kerf_link_reply_encode(&e, &e, &text), 0);
	assert_int_equal(kerf_link_reply_decode(text, strlen(text), &up, &down, NULL), 0);
	up.updated_ns = 1;
	up.source = 0;
	assert_memory_equal(&up, &e, sizeof(e));
	for (i = 0; i < KERF_ARRAY_SIZE(spoil); i++) {
		bad = calloc(1, strlen(text) + 64);
		at = strstr(text, spoil[i][0]);
		assert_non_null(bad);
		assert_non_null(at);
		sprintf(bad, "%.*s%s%s", (int)(at - text), text, spoil[i][1], at + strlen(spoil[i][0]));
		assert_int_equal(kerf_link_reply_decode(bad, strlen(bad), &up, &down, NULL),
				 -EPROTO);
		free(bad);
	}
	at = strstr(text, "abcd");
	memcpy(at, "\\u0007", 6);
	assert_int_equal(kerf_link_reply_decode(text, strlen(text), &up, &down, NULL), 0);
	assert_string_equal(up.estimator, "?ghij");
	free(text);
}

static void test_cluster(void **state)
{
	struct kerf_engine_config cfg = {.threads = 1, .depth = 5};
	static struct kerf_cluster_view view;
	struct kerf_cluster c;
	struct test_node gone;
	struct kerf_node_config gone_cfg = {.max_connections = 64};
	char list[512];
	uint32_t i;

	net_open(&gone, &gone_cfg, "4");
	snprintf(list, sizeof(list), "null,%s/ref,%s/ref,%s/null,%s/ref", node[0].url, node[1].url,
		 node[0].url, gone.url);
	assert_int_equal(kerf_cluster_open(list, &cfg, &c, NULL), 0);
	assert_int_equal(c.n_engine, 5);
	assert_int_equal(c.n_node, 4);
	/* Peers take as many jobs as there are requests; here a request may have many. */
	assert_int_equal(c.info[0].depth, 16);
	for (i = 1; i < 5; i++)
		assert_int_equal(c.info[i].depth, 5);
	assert_true(c.node[0] == 0 && c.node[1] == 1 && c.node[2] == 2 && c.node[3] == 1 &&
		    c.node[4] == 3);
	memset(&view, 0, sizeof(view));
	view.up[4].rate_bytes_s = view.down[4].rate_bytes_s = 1;
	net_close(&gone);
	assert_int_equal(kerf_cluster_probe(&c, &cfg, &view, NULL), 0);
	for (i = 1; i < 4; i++)
		assert_true(view.up[i].rate_bytes_s && view.down[i].rate_bytes_s);
	assert_true(view.between[1][2].rate_bytes_s && view.between[2][1].rate_bytes_s);
	/* No path to who is gone: not known, and no error. */
	assert_true(!view.between[1][3].rate_bytes_s && !view.between[3][2].rate_bytes_s);
	assert_true(!view.between[0][1].rate_bytes_s && !view.between[1][1].rate_bytes_s);
	kerf_cluster_close(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known),	 cmocka_unit_test(test_probed),
		cmocka_unit_test(test_refusals), cmocka_unit_test(test_reply),
		cmocka_unit_test(test_cluster),
	};
	const struct CMUnitTest absent[] = {cmocka_unit_test(net_test_absent)};

	signal(SIGPIPE, SIG_IGN);
	if (!NET_BUILT)
		return cmocka_run_group_tests(absent, NULL, NULL);
	return cmocka_run_group_tests(tests, setup, teardown);
}
