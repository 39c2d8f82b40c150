// SPDX-License-Identifier: MIT
/*
 * Higher priorities first, no inversion, no starvation. Asserted by the order of events alone: a
 * job that holds the only slot lets everything behind it be queued first.
 *
 * A machine that pauses may queue too late, or let a low job wait for so long that its turn comes.
 * So the premise (ktap.h) of each order is that all was queued while the slot was held, and that
 * all came to its end before anything could starve. module-params: sim_depth=1
 */
#include "sim_test.h"

#define STARVED_NS 500000000 /* a priority's turn comes after that, of the module */

static uint32_t engine, holder;
static int64_t held_since;
static int fd;

/* Holds the engine while the case queues its jobs */
static void hold(void)
{
	fd = sim_open(&engine);
	holder = sim_queue(fd, engine, KERF_PRIORITY_NORMAL);
	held_since = kt_now();
	REQUIRE_OK(kt_submit_sim(fd, holder, 200000, NULL));
}

static uint32_t queue(uint32_t priority)
{
	return sim_queue(fd, engine, priority);
}

/* A job whose event tells @name; it waits for job 1 of @awaited, if that is not 0. */
static void put(uint32_t q, char name, uint32_t awaited, uint32_t us)
{
	struct sim_job job = {.us = us, .cookie = name, .event = true, .n_syncs = awaited ? 1 : 0};

	job.syncs[0] = sim_sync(KERF_SYNC_WAIT_QUEUE, awaited, 1);
	REQUIRE_OK(sim_submit(fd, q, &job, NULL));
}

/* The next events, once what the caller arranged was so. */
static void expect_next(const char *want)
{
	char got[128] = "";
	size_t n = strlen(want);

	for (size_t i = 0; i < n; i++)
		got[i] = sim_event(fd).cookie;
	ktap_premise(kt_now() - held_since < STARVED_NS);
	ktap_check(!strcmp(want, got), __LINE__, "the order is %s, not %s", got, want);
}

/* All is queued, behind the holder. */
static void expect_order(const char *want)
{
	ktap_premise(!sim_done_seqno(fd, holder));
	expect_next(want);
}

static void higher_first(void)
{
	hold();
	put(queue(KERF_PRIORITY_LOW), 'l', 0, 0);
	put(queue(KERF_PRIORITY_NORMAL), 'n', 0, 0);
	put(queue(KERF_PRIORITY_HIGH), 'h', 0, 0);
	expect_order("hnl");
}

static void a_high_job_waits_for_one_low_job(void)
{
	uint32_t low;

	hold();
	low = queue(KERF_PRIORITY_LOW);
	for (unsigned i = 0; i < 4; i++)
		put(low, '1' + i, 0, 50000);
	/* until the first low job has ended and so the second runs */
	EXPECT_EQ('1', sim_event(fd).cookie);
	put(queue(KERF_PRIORITY_HIGH), 'h', 0, 0);
	ktap_premise(sim_done_seqno(fd, low) == 1);
	expect_next("2h34");
}

static void equal_priorities_take_turns(void)
{
	uint32_t a, b;

	hold();
	a = queue(KERF_PRIORITY_NORMAL);
	b = queue(KERF_PRIORITY_NORMAL);
	for (unsigned i = 0; i < 3; i++)
		put(a, 'a', 0, 0);
	for (unsigned i = 0; i < 3; i++)
		put(b, 'b', 0, 0);
	expect_order("ababab");
}

static void an_awaited_job_inherits(void)
{
	uint32_t low, normal;

	hold();
	low = queue(KERF_PRIORITY_LOW);
	normal = queue(KERF_PRIORITY_NORMAL);
	put(low, 'l', 0, 0);
	put(normal, 'n', 0, 0);
	put(normal, 'n', 0, 0);
	put(queue(KERF_PRIORITY_HIGH), 'h', low, 0);
	expect_order("lhnn");
}

static void those_before_it_in_its_queue_inherit_too(void)
{
	struct sim_job job = {.cookie = 'h', .event = true, .n_syncs = 1};
	uint32_t low;

	hold();
	low = queue(KERF_PRIORITY_LOW);
	put(low, '1', 0, 0);
	put(low, '2', 0, 0);
	put(low, '3', 0, 0);
	put(queue(KERF_PRIORITY_NORMAL), 'n', 0, 0);
	job.syncs[0] = sim_sync(KERF_SYNC_WAIT_QUEUE, low, 2);
	REQUIRE_OK(sim_submit(fd, queue(KERF_PRIORITY_HIGH), &job, NULL));
	expect_order("12hn3");
}

static void inheritance_goes_on(void)
{
	uint32_t a, b, c;

	hold();
	a = queue(KERF_PRIORITY_LOW);
	b = queue(KERF_PRIORITY_LOW);
	c = queue(KERF_PRIORITY_LOW);
	put(a, 'a', 0, 0);
	put(b, 'b', a, 0);
	put(c, 'c', b, 0);
	put(queue(KERF_PRIORITY_NORMAL), 'n', 0, 0);
	put(queue(KERF_PRIORITY_HIGH), 'h', c, 0);
	expect_order("abchn");
}

static void inheritance_ends_with_the_waiter(void)
{
	uint32_t low, high;

	hold();
	low = queue(KERF_PRIORITY_LOW);
	high = queue(KERF_PRIORITY_HIGH);
	put(low, 'l', 0, 0);
	put(queue(KERF_PRIORITY_NORMAL), 'n', 0, 0);
	put(high, 'h', low, 0);
	REQUIRE_OK(kt_queue_destroy(fd, high));
	expect_order("hnl");
}

/* High jobs are always there for longer than a low one is let wait. */
static void low_moves_though_high_never_pauses(void)
{
	enum { N = 40 };
	unsigned high_before = 0;
	uint32_t low, high;

	hold();
	low = queue(KERF_PRIORITY_LOW);
	high = queue(KERF_PRIORITY_HIGH);
	put(low, 'l', 0, 1000);
	for (unsigned i = 0; i < N; i++)
		put(high, 'h', 0, 50000);
	while (sim_event(fd).cookie == 'h')
		high_before++;
	EXPECT(high_before < N);
}

static void both_lower_ones_move(void)
{
	enum { N = 60 };
	bool low_moved = false, normal_moved = false;
	uint32_t low, normal, high;

	hold();
	low = queue(KERF_PRIORITY_LOW);
	normal = queue(KERF_PRIORITY_NORMAL);
	high = queue(KERF_PRIORITY_HIGH);
	for (unsigned i = 0; i < 20; i++) {
		put(low, 'l', 0, 1000);
		put(normal, 'n', 0, 1000);
	}
	for (unsigned i = 0; i < N; i++)
		put(high, 'h', 0, 50000);
	for (unsigned i = 0; i < N;) {
		char name = sim_event(fd).cookie;

		low_moved |= name == 'l';
		normal_moved |= name == 'n';
		i += name == 'h';
	}
	EXPECT(low_moved);
	EXPECT(normal_moved);
}

int main(int argc, char **argv)
{
	static const struct ktap_case cases[] = {
		KTAP(higher_first),
		KTAP(a_high_job_waits_for_one_low_job),
		KTAP(equal_priorities_take_turns),
		KTAP(an_awaited_job_inherits),
		KTAP(those_before_it_in_its_queue_inherit_too),
		KTAP(inheritance_goes_on),
		KTAP(inheritance_ends_with_the_waiter),
		KTAP(low_moves_though_high_never_pauses),
		KTAP(both_lower_ones_move),
	};

	return ktap_main(cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
}
