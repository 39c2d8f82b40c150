/* SPDX-License-Identifier: MIT */
/* Jobs that wait for a program's contexts: their order, bounds, cancelling, and who is woken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>

#include "exec/queue_jobs.h"

#ifdef WITH_DRM

static void count_end(struct kerf_job *job, int status)
{
	assert_int_equal(status, -ECANCELED);
	assert_true(job->end_ns >= job->queued_ns);
	++*(int *)job->user;
}

static void test_order(void **state)
{
	struct kerf_queue_jobs q;
	struct kerf_queue_context context[2] = {{.job = NULL}}, *a, *b, *none;
	struct kerf_job job[4] = {{.user = NULL}};

	kerf_queue_jobs_init(&q, 0);
	kerf_queue_jobs_add(&q, &context[0]);
	kerf_queue_jobs_add(&q, &context[1]);
	assert_int_equal(kerf_queue_jobs_submit(&q, &job[0], &a), 0);
	assert_int_equal(kerf_queue_jobs_submit(&q, &job[1], &b), 0);
	assert_true(a && b && a != b);
	assert_ptr_equal(a->job, &job[0]);
	assert_int_equal(kerf_queue_jobs_submit(&q, &job[2], &none), 0);
	assert_null(none);
	assert_int_equal(kerf_queue_jobs_submit(&q, &job[3], &none), 0);
	assert_null(none);
	assert_true(kerf_queue_jobs_next(&q, b));
	assert_ptr_equal(b->job, &job[2]);
	assert_true(kerf_queue_jobs_next(&q, b));
	assert_ptr_equal(b->job, &job[3]);
	assert_false(kerf_queue_jobs_next(&q, b));
	assert_null(b->job);
	/* The line is empty and in order again: a new job finds the context that is free. */
	assert_int_equal(kerf_queue_jobs_submit(&q, &job[1], &none), 0);
	assert_ptr_equal(none, b);
	assert_false(kerf_queue_jobs_next(&q, a));
	assert_false(kerf_queue_jobs_next(&q, b));
	kerf_queue_jobs_finish(&q);
}

static void test_depth(void **state)
{
	struct kerf_queue_jobs q;
	struct kerf_queue_context context = {.job = NULL}, *c;
	struct kerf_job job[4] = {{.user = NULL}};

	kerf_queue_jobs_init(&q, 2);
	kerf_queue_jobs_add(&q, &context);
	assert_int_equal(kerf_queue_jobs_submit(&q, &job[0], &c), 0);
	assert_int_equal(kerf_queue_jobs_submit(&q, &job[1], &c), 0);
	assert_int_equal(kerf_queue_jobs_submit(&q, &job[2], &c), 0);
	assert_int_equal(kerf_queue_jobs_submit(&q, &job[3], &c), -EAGAIN);
	assert_null(c);
	assert_true(kerf_queue_jobs_next(&q, &context));
	assert_int_equal(kerf_queue_jobs_submit(&q, &job[3], &c), 0);
	assert_true(kerf_queue_jobs_next(&q, &context));
	assert_true(kerf_queue_jobs_next(&q, &context));
	assert_ptr_equal(context.job, &job[3]);
	assert_false(kerf_queue_jobs_next(&q, &context));
	kerf_queue_jobs_finish(&q);
}

static void test_cancel(void **state)
{
	struct kerf_queue_jobs q;
	struct kerf_queue_context context = {.job = NULL}, *c;
	struct kerf_engine engine = {.ops = NULL};
	struct kerf_program program = {.engine = &engine};
	int ended = 0, i;
	struct kerf_job job[4];

	kerf_queue_jobs_init(&q, 3);
	kerf_queue_jobs_add(&q, &context);
	for (i = 0; i < 4; i++) {
		job[i] = (struct kerf_job){.program = &program, .done = count_end, .user = &ended};
		assert_int_equal(kerf_queue_jobs_submit(&q, &job[i], &c), 0);
	}
	/* The last of the line, one in it, one that is nowhere any more, one that runs. */
	kerf_queue_jobs_cancel(&q, &job[3]);
	kerf_queue_jobs_cancel(&q, &job[1]);
	assert_int_equal(ended, 2);
	kerf_queue_jobs_cancel(&q, &job[1]);
	assert_int_equal(ended, 2);
	assert_false(kerf_queue_context_cancelled(&context));
	kerf_queue_jobs_cancel(&q, &job[0]);
	assert_int_equal(ended, 2);
	assert_true(kerf_queue_context_cancelled(&context));
	/* Both places are free again, and what comes now stands behind the one that stayed. */
	assert_int_equal(kerf_queue_jobs_submit(&q, &job[3], &c), 0);
	assert_int_equal(kerf_queue_jobs_submit(&q, &job[1], &c), 0);
	assert_true(kerf_queue_jobs_next(&q, &context));
	assert_ptr_equal(context.job, &job[2]);
	assert_false(kerf_queue_context_cancelled(&context));
	assert_true(kerf_queue_jobs_next(&q, &context));
	assert_ptr_equal(context.job, &job[3]);
	assert_true(kerf_queue_jobs_next(&q, &context));
	assert_ptr_equal(context.job, &job[1]);
	assert_false(kerf_queue_jobs_next(&q, &context));
	assert_int_equal(engine.meter.dropped, 2);
	kerf_queue_jobs_finish(&q);
}

static void *free_context(void *arg)
{
	struct kerf_queue_jobs *q = arg;

	assert_false(kerf_queue_jobs_next(q, q->contexts));
	return NULL;
}

/* Who takes a context gives it to the job that came meanwhile. */
static void test_take(void **state)
{
	struct kerf_queue_jobs q;
	struct kerf_queue_context context = {.job = NULL}, *c;
	struct kerf_job job = {.user = NULL}, own = {.user = NULL};
	pthread_t thread;

	kerf_queue_jobs_init(&q, 0);
	kerf_queue_jobs_add(&q, &context);
	assert_int_equal(kerf_queue_jobs_submit(&q, &job, &c), 0);
	assert_int_equal(pthread_create(&thread, NULL, free_context, &q), 0);
	assert_ptr_equal(kerf_queue_jobs_take(&q, &own), &context);
	pthread_join(thread, NULL);
	assert_ptr_equal(context.job, &own);
	assert_int_equal(kerf_queue_jobs_submit(&q, &job, &c), 0);
	assert_null(c);
	assert_true(kerf_queue_jobs_next(&q, &context));
	assert_ptr_equal(context.job, &job);
	assert_false(kerf_queue_jobs_next(&q, &context));
	kerf_queue_jobs_finish(&q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_take),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

static void test_without_libdrm(void **state)
{
	skip();
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_without_libdrm)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
