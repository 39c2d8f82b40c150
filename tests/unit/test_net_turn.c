/* SPDX-License-Identifier: MIT */
/*
 * Messages to one peer go one after the other, whatever connections they have (exec/remote_turn.c).
 */
#include "net_job.h"
#include "net_relay.h"

#include "exec/meter.h"
#include "util/completion.h"

#define ROWS 25000 /* 1 MB of inputs */
#define HEADS 4096 /* fewer bytes are no message */

struct watch {
	pthread_mutex_t lock;
	uint64_t bytes[64];
	uint64_t before; /* how much of one message had come when the second one's first bytes did */
	bool second;
};

static bool slow_pass(void *user, uint32_t conn, bool up, const char *data, size_t n)
{
	struct watch *w = user;
	uint64_t most = 0;
	uint32_t i;

	if (!up || conn >= KERF_ARRAY_SIZE(w->bytes))
		return true;
	pthread_mutex_lock(&w->lock);
	for (i = 0; i < KERF_ARRAY_SIZE(w->bytes); i++)
		if (i != conn)
			most = KERF_MAX(most, w->bytes[i]);
	if (!w->second && most > HEADS && !w->bytes[conn] && n > HEADS) {
		w->second = true;
		w->before = most;
	}
	w->bytes[conn] += n;
	pthread_mutex_unlock(&w->lock);
	if (n == NET_RELAY_BYTES)
		usleep(2000);
	return true;
}

static void wake(struct kerf_job *job, int status)
{
	kerf_complete(job->user, status);
}

static void run_two(struct kerf_program *p, const struct net_io io[2])
{
	struct kerf_completion c[2];
	struct kerf_job job[2];
	int i;

	for (i = 0; i < 2; i++) {
		kerf_completion_init(&c[i]);
		job[i] = (struct kerf_job){.program = p,
					   .in = io[i].in,
					   .out = (struct kerf_tensor *)io[i].out,
					   .done = wake,
					   .user = &c[i]};
		assert_int_equal(kerf_engine_submit(&job[i]), 0);
	}
	for (i = 0; i < 2; i++)
		assert_int_equal(kerf_completion_wait(&c[i]), 0);
}

static void test_one_at_a_time(void **state)
{
	struct watch w = {.lock = PTHREAD_MUTEX_INITIALIZER};
	struct net_relay relay = {.pass = slow_pass, .user = &w};
	struct kerf_node_config cfg = {0};
	struct test_node node;
	struct kerf_engine *e;
	struct kerf_program *p;
	struct kerf_graph *g;
	struct net_io io[2];
	uint64_t size;

	net_open(&node, &cfg, "N");
	net_relay_open(&relay, node.port);
	g = net_load(&node, ROWS);
	e = net_engine(relay.url, "ref", 2);
	p = net_prepare(e, g);
	net_io_init(&io[0], g, 1);
	net_io_init(&io[1], g, 2);
	size = kerf_tensor_bytes(&io[0].in[0]) + kerf_tensor_bytes(&io[0].in[1]);
	/* Both connections are there then. */
	run_two(p, io);
	pthread_mutex_lock(&w.lock);
	memset(w.bytes, 0, sizeof(w.bytes));
	w.second = false;
	pthread_mutex_unlock(&w.lock);
	run_two(p, io);
	assert_true(w.second);
	/* The rest is what sockets and the relay hold. */
	if (w.before < size / 2)
		fail_msg("the second message came when %llu bytes of the first had, of %llu",
			 (unsigned long long)w.before, (unsigned long long)size);
	p->engine->ops->release(p);
	kerf_engine_close(e);
	net_relay_close(&relay);
	net_io_finish(&io[0]);
	net_io_finish(&io[1]);
	kerf_graph_unref(g);
	net_close(&node);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_one_at_a_time)};
	const struct CMUnitTest absent[] = {cmocka_unit_test(net_test_absent)};

	if (!NET_BUILT)
		return cmocka_run_group_tests(absent, NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
