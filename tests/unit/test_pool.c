/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "util/clock.h"
#include "util/pool.h"

#define MOST 1000

struct loop {
	atomic_int ran[MOST];
	int threads;
	atomic_int bad;
};

static void count(void *arg, int64_t item, int thread)
{
	struct loop *l = arg;

	atomic_fetch_add(&l->ran[item], 1);
	if (thread < 0 || thread >= l->threads)
		atomic_fetch_add(&l->bad, 1);
}

static void every_item_once(int threads, bool pin)
{
	static const int64_t sizes[] = {0, 1, 2, 3, 7, 64, MOST};
	static struct loop l;
	struct kerf_pool *pool;
	unsigned s;
	int round, i;

	assert_int_equal(kerf_pool_new(threads, pin, &pool), 0);
	l.threads = kerf_pool_threads(pool);
	for (round = 0; round < 50; round++) {
		for (s = 0; s < KERF_ARRAY_SIZE(sizes); s++) {
			memset(&l.ran, 0, sizeof(l.ran));
			kerf_pool_run(pool, count, &l, sizes[s]);
			for (i = 0; i < MOST; i++)
				assert_int_equal(l.ran[i], i < sizes[s]);
		}
	}
	assert_int_equal(l.bad, 0);
	kerf_pool_free(pool);
}

static void test_every_item_once(void **state)
{
	every_item_once(1, false);
	every_item_once(2, false);
	every_item_once(2, true);
	every_item_once(7, false); /* more than there are CPUs: nobody may spin */
}

static void nap(void *arg, int64_t item, int thread)
{
	struct timespec ts = {.tv_nsec = item ? 3000000 : 0};

	nanosleep(&ts, NULL);
	count(arg, item, thread);
}

/* Workers and the caller asleep on their futexes, woken in either order. */
static void test_sleepers_wake(void **state)
{
	static struct loop l;
	struct kerf_pool *pool;
	int i;

	l.threads = 3;
	assert_int_equal(kerf_pool_new(3, false, &pool), 0);
	for (i = 0; i < 20; i++) {
		memset(&l.ran, 0, sizeof(l.ran));
		kerf_pool_run(pool, nap, &l, 4);
		assert_int_equal(l.ran[0] + l.ran[1] + l.ran[2] + l.ran[3], 4);
	}
	kerf_pool_free(pool);
}

static void test_idle_burns_nothing(void **state)
{
	static struct loop l;
	struct kerf_pool *pool;
	struct timespec ts = {.tv_nsec = 200000000};
	uint64_t before, burnt;

	l.threads = 4;
	assert_int_equal(kerf_pool_new(4, false, &pool), 0);
	kerf_pool_run(pool, count, &l, 100);
	before = kerf_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	nanosleep(&ts, NULL);
	burnt = kerf_clock_ns(CLOCK_PROCESS_CPUTIME_ID) - before;
	assert_true(burnt < 5000000);
	kerf_pool_free(pool);
}

static void test_refused(void **state)
{
	struct kerf_pool *pool;

	assert_int_equal(kerf_pool_new(-1, false, &pool), -EINVAL);
	assert_int_equal(kerf_pool_new(1 << 20, false, &pool), -EINVAL);
	kerf_pool_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_item_once),
		cmocka_unit_test(test_sleepers_wake),
		cmocka_unit_test(test_idle_burns_nothing),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
