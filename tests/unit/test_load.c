/* SPDX-License-Identifier: MIT */
/* Counters to figures: windows, what runs now, counters that go wrong, the expected slowdown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "load_tree.h"
#include "telemetry/load.h"
#include "telemetry/record.h"
#include "util/base.h"

#define MS 1000000ull
#define BEGIN (1000 * MS)

/* Two CPUs with a program's records, on a machine of its own making. */
struct node {
	struct tree proc, sys;
	struct kerf_cpu_rec rec[KERF_STATE_CPUS];
	struct kerf_cpu_rec now[2]; /* as the program has them */
	struct kerf_load *load;
	struct kerf_node_load out;
};

static void write_cpus(struct node *n)
{
	int i;

	for (i = 0; i < 2; i++)
		kerf_record_write(&n->rec[i], &n->now[i], sizeof(n->rec[i]));
}

static int setup(void **state)
{
	struct node *n = calloc(1, sizeof(*n));
	struct kerf_load_config cfg;
	int i;

	if (!n)
		return -1;
	tree_make(&n->proc);
	tree_make(&n->sys);
	tree_put(&n->sys, "devices/system/cpu/online", "0-1\n");
	cfg = (struct kerf_load_config){.proc = n->proc.root, .sys = n->sys.root, .cpu = n->rec};
	for (i = 0; i < 2; i++) {
		n->now[i].begin_ns = n->now[i].switch_ns = BEGIN;
		n->now[i].source = KERF_SOURCE_BTF;
		n->now[i].has = KERF_CPU_HAS_BUSY | KERF_CPU_HAS_RT | KERF_CPU_HAS_RUN_DELAY |
				KERF_CPU_HAS_OWN | KERF_CPU_HAS_COMPETING;
	}
	write_cpus(n);
	assert_int_equal(kerf_load_open(&cfg, &n->load, NULL), 0);
	*state = n;
	return 0;
}

static int teardown(void **state)
{
	struct node *n = *state;

	kerf_load_close(n->load);
	tree_remove(&n->proc, "");
	tree_remove(&n->sys, "");
	free(n);
	return 0;
}

static void sample(struct node *n, uint64_t at_ms)
{
	write_cpus(n);
	kerf_load_sample(n->load, BEGIN + at_ms * MS, &n->out);
	assert_true(n->out.slowdown_permille >= 1000);
	assert_true(n->out.fair_permille + n->out.rt_permille + n->out.own_permille <= 2003);
}

static void test_first_sample_knows_nothing(void **state)
{
	struct node *n = *state;

	n->now[0].fair_ns = 1 << 30;
	sample(n, 0);
	assert_int_equal(n->out.has & KERF_LOAD_HAS_CPU, 0);
	assert_int_equal(n->out.fair_permille, 0);
	assert_int_equal(n->out.n_cpu, 2);
	assert_int_equal(n->out.slowdown_permille, 1000);
}

static void test_figures_of_a_window(void **state)
{
	struct node *n = *state;

	sample(n, 0);
	n->now[0].fair_ns += 60 * MS;
	n->now[0].run_delay_ns += 150 * MS;
	n->now[0].competing_ns += 210 * MS;
	n->now[1].rt_ns += 25 * MS;
	n->now[1].own_ns += 50 * MS;
	n->now[1].own_run_delay_ns += 70 * MS;
	sample(n, 100);
	assert_int_equal(n->out.source, KERF_SOURCE_BTF);
	assert_int_equal(n->out.has & (KERF_LOAD_HAS_CPU | KERF_LOAD_HAS_RUN_DELAY |
				       KERF_LOAD_HAS_RT | KERF_LOAD_HAS_COMPETING),
			 KERF_LOAD_HAS_CPU | KERF_LOAD_HAS_RUN_DELAY | KERF_LOAD_HAS_RT |
				 KERF_LOAD_HAS_COMPETING);
	assert_int_equal(n->out.fair_permille, 600);
	assert_int_equal(n->out.rt_permille, 250);
	assert_int_equal(n->out.own_permille, 500);
	assert_int_equal(n->out.waiting_permille, 1500); /* others' alone */
	assert_int_equal(n->out.competing_permille, 2100);
	assert_int_equal(n->out.slowdown_permille, 1771); /* (1 + 2.1) / (2 - 0.25) */
	assert_int_equal(n->out.updated_ns, BEGIN + 100 * MS);

	/* The next window holds what happened in it, nothing else. */
	sample(n, 200);
	assert_int_equal(n->out.fair_permille, 0);
	assert_int_equal(n->out.waiting_permille, 0);
	assert_int_equal(n->out.slowdown_permille, 1000);
}

/* Looks that are closer than a scheduler's slices are taken together. */
static void test_short_windows_are_joined(void **state)
{
	struct node *n = *state;

	sample(n, 0);
	n->now[0].fair_ns += 40 * MS;
	sample(n, 40);
	assert_int_equal(n->out.fair_permille, 1000);
	sample(n, 80);
	assert_int_equal(n->out.fair_permille, 500);
	sample(n, 120);
	assert_int_equal(n->out.fair_permille, 333);
	sample(n, 160);
	assert_int_equal(n->out.fair_permille, 0);
}

static void test_lone_runner_shows(void **state)
{
	struct node *n = *state;

	n->now[0].running = KERF_CPU_FAIR;
	n->now[0].running_weight = 512;
	n->now[1].running = KERF_CPU_RT;
	sample(n, 0);
	sample(n, 100); /* not one switch since */
	assert_int_equal(n->out.fair_permille, 1000);
	assert_int_equal(n->out.competing_permille, 500);
	assert_int_equal(n->out.rt_permille, 1000);

	/* It leaves the CPU: its time is not counted twice. */
	n->now[0].fair_ns += 150 * MS;
	n->now[0].competing_ns += 75 * MS;
	n->now[0].switch_ns = BEGIN + 150 * MS;
	n->now[0].running = KERF_CPU_OWN;
	sample(n, 200);
	assert_int_equal(n->out.fair_permille, 500);
	assert_int_equal(n->out.competing_permille, 250);
	assert_int_equal(n->out.own_permille, 500);

	/* A switch that is newer than the sample's time. */
	n->now[0].switch_ns = BEGIN + 301 * MS;
	n->now[0].own_ns += 151 * MS;
	sample(n, 300);
	assert_in_range(n->out.own_permille, 990, 1000);
}

static void test_no_time_no_window(void **state)
{
	struct node *n = *state;
	struct kerf_node_load before;

	sample(n, 0);
	n->now[0].fair_ns += 50 * MS;
	sample(n, 100);
	before = n->out;
	n->now[0].fair_ns += 50 * MS;
	sample(n, 100);
	assert_memory_equal(&before, &n->out, sizeof(before));
	sample(n, 90); /* a clock that went back */
	assert_memory_equal(&before, &n->out, sizeof(before));
	sample(n, 200); /* and nothing was lost */
	assert_int_equal(n->out.fair_permille, 500);
	kerf_load_sample(n->load, BEGIN + 200 * MS + 1, &n->out); /* one ns */
	assert_int_equal(n->out.fair_permille, 500);
}

static void test_counters_that_go_wrong(void **state)
{
	struct node *n = *state;

	n->now[0].fair_ns = UINT64_MAX - 10 * MS;
	n->now[1].fair_ns = 77 * MS;
	sample(n, 0);
	n->now[0].fair_ns += 30 * MS; /* wraps around */
	n->now[1].fair_ns = 0;	      /* begins anew */
	sample(n, 100);
	assert_int_equal(n->out.fair_permille, 0);
	n->now[0].fair_ns += 30 * MS;
	n->now[1].fair_ns += 30 * MS;
	sample(n, 200);
	assert_int_equal(n->out.fair_permille, 600);

	/* More than there is time for. */
	n->now[0].fair_ns += 1000000 * MS;
	n->now[0].rt_ns += 1000000 * MS;
	n->now[0].run_delay_ns = UINT64_MAX;
	n->now[0].competing_ns = UINT64_MAX;
	sample(n, 300);
	assert_int_equal(n->out.fair_permille, 500);
	assert_int_equal(n->out.rt_permille, 500);
	assert_true(n->out.waiting_permille <= 1000000);
	assert_true(n->out.competing_permille <= 88000000);
	assert_true(isfinite(kerf_load_slowdown(&n->out, 1)));
}

/* A record that is being written each time it is looked at keeps its rate, and its time. */
static void test_torn_record(void **state)
{
	struct node *n = *state;

	sample(n, 0);
	n->now[0].fair_ns += 30 * MS;
	n->now[1].fair_ns += 50 * MS;
	sample(n, 100);
	assert_int_equal(n->out.fair_permille, 800);
	n->now[0].fair_ns += 90 * MS;
	n->now[1].fair_ns += 100 * MS;
	write_cpus(n);
	n->rec[0].seq |= 1;
	n->rec[1].check ^= 1;
	kerf_load_sample(n->load, BEGIN + 200 * MS, &n->out);
	assert_int_equal(n->out.fair_permille, 800);
	n->rec[0].seq &= ~1u;
	n->now[0].fair_ns += 90 * MS; /* 180 in 200 ms */
	n->now[1].fair_ns += 100 * MS;
	sample(n, 300);
	assert_int_equal(n->out.fair_permille, 1900);
}

static void test_cpu_goes_off_line(void **state)
{
	struct node *n = *state;
	int at;

	sample(n, 0);
	for (at = 100; at <= 2000; at += 100) {
		n->now[0].fair_ns += 50 * MS;
		n->now[1].fair_ns += 100 * MS;
		if (at == 500)
			tree_put(&n->sys, "devices/system/cpu/online", "0\n");
		sample(n, (uint64_t)at);
	}
	assert_int_equal(n->out.n_cpu, 1);
	assert_int_equal(n->out.fair_permille, 500);

	/* It comes back: what was counted meanwhile is not of one window. */
	tree_put(&n->sys, "devices/system/cpu/online", "0-1\n");
	n->now[1].fair_ns += 9999 * MS;
	sample(n, 3100);
	assert_int_equal(n->out.n_cpu, 2);
	n->now[0].fair_ns += 100 * MS;
	n->now[1].fair_ns += 10 * MS;
	sample(n, 3200);
	assert_int_equal(n->out.fair_permille, 1100);
}

/* CPUs that this process may not use are somebody else's. */
static void test_affinity(void **state)
{
	struct node *n = *state;

	tree_put(&n->proc, "thread-self/status", "Name:\tx\nCpus_allowed_list:\t1,7-9\nMems:\t0\n");
	sample(n, 0);
	n->now[0].fair_ns += 100 * MS;
	n->now[1].fair_ns += 20 * MS;
	sample(n, 100);
	assert_int_equal(n->out.n_cpu, 1);
	assert_int_equal(n->out.fair_permille, 200);
}

/* Kerf at nice 5 (weight 335): a task of nice 0 takes three times what it gets. */
static void test_own_priority(void **state)
{
	struct node *n = *state;

	tree_put(&n->proc, "thread-self/stat",
		 "7 (a) 2 (b) R 1 2 3 4 5 6 7 8 9 10 11 12 13 14 25 5 17 18 19 20 21 22 23 24 25 "
		 "26 27 "
		 "28 29 30 31 32 33 34 35 1 0 0\n");
	sample(n, 0);
	n->now[0].fair_ns += 100 * MS;
	n->now[0].competing_ns += 100 * MS;
	sample(n, 100);
	assert_in_range(n->out.competing_permille, 3040, 3060);
	assert_int_equal(n->out.fair_permille, 1000);
}

static void test_engines_are_left_alone(void **state)
{
	struct node *n = *state;

	memset(&n->out, 0x5a, sizeof(n->out));
	n->out.n_engine = 3;
	sample(n, 0);
	sample(n, 100);
	assert_int_equal(n->out.n_engine, 3);
	assert_int_equal(n->out.engine[2].jobs, 0x5a5a5a5a5a5a5a5aull);
}

/* With c competing and rt on n CPUs, in permille */
static double slow(uint32_t n, uint32_t competing, uint32_t rt, uint32_t threads)
{
	struct kerf_node_load l = {.n_cpu = n, .has = KERF_LOAD_HAS_CPU | KERF_LOAD_HAS_COMPETING};

	l.competing_permille = competing;
	l.rt_permille = rt;
	return kerf_load_slowdown(&l, threads);
}

/* busy: running and waiting, siblings included; outside: by weight */
static double grouped(uint32_t n, uint32_t busy, uint32_t siblings, uint32_t outside,
		      uint32_t threads)
{
	struct kerf_node_load l = {.n_cpu = n,
				   .has = KERF_LOAD_HAS_CPU | KERF_LOAD_HAS_COMPETING |
					  KERF_LOAD_HAS_OUTSIDE};

	l.fair_permille = KERF_MIN(busy, n * 1000);
	l.waiting_permille = busy - l.fair_permille;
	l.competing_permille = siblings;
	l.outside_permille = outside;
	return kerf_load_slowdown(&l, threads);
}

static void test_slowdown(void **state)
{
	struct kerf_node_load l = {.n_cpu = 1};

	assert_float_equal(slow(1, 0, 0, 1), 1, 1e-9);
	assert_float_equal(slow(1, 1000, 0, 1), 2, 1e-9);
	assert_float_equal(slow(1, 3000, 0, 1), 4, 1e-9);
	assert_float_equal(slow(1, 1000, 500, 1), 4, 1e-9);
	assert_float_equal(slow(1, 15, 0, 1), 1.015, 1e-9); /* nice 19 */
	assert_float_equal(slow(2, 1000, 0, 1), 1, 1e-9);   /* there is another CPU */
	assert_float_equal(slow(2, 1000, 0, 2), 1.5, 1e-9);
	assert_float_equal(slow(2, 3000, 0, 1), 2, 1e-9);
	assert_float_equal(slow(2, 3000, 0, 2), 2.5, 1e-9);
	assert_float_equal(slow(2, 0, 900, 2), 2 / 1.1, 1e-9);
	/*
	 * Another group of tasks has half of the box, however many they are; within ours, threads
	 * share what is left with their siblings. What others cannot use is ours.
	 */
	assert_float_equal(grouped(2, 8000, 0, 1000, 1), 1, 1e-9);
	assert_float_equal(grouped(2, 8000, 0, 1000, 2), 2, 1e-9);
	assert_float_equal(grouped(2, 9000, 1000, 1000, 1), 2, 1e-9);
	assert_float_equal(grouped(2, 9000, 1000, 1000, 2), 3, 1e-9);
	assert_float_equal(grouped(2, 8000, 0, 3000, 2), 4, 1e-9);
	assert_float_equal(grouped(2, 1000, 0, 86681, 1), 1, 1e-9);
	assert_float_equal(grouped(1, 1000, 0, 1000, 1), 2, 1e-9);
	assert_true(isfinite(grouped(1, UINT32_MAX, UINT32_MAX, UINT32_MAX, 9)));
	/* More threads than CPUs: beside the same number of threads on an idle node. */
	assert_float_equal(slow(2, 0, 0, 8), 1, 1e-9);
	assert_float_equal(slow(2, 2000, 0, 8), 1.25, 1e-9);
	assert_float_equal(slow(2, 0, 0, 0), 1, 1e-9);
	/* A real-time task that takes it all: 5 % are left. */
	assert_float_equal(slow(1, 0, 1000, 1), 20, 1e-9);
	/* Absurd ones */
	assert_float_equal(slow(0, 1000, 0, 1), 1, 1e-9);
	assert_true(isfinite(slow(1, UINT32_MAX, UINT32_MAX, UINT32_MAX)));
	assert_true(slow(1, UINT32_MAX, UINT32_MAX, UINT32_MAX) >= 1);

	/* By what is there: nothing, then times that are not weighed. */
	l.fair_permille = 1000;
	assert_float_equal(kerf_load_slowdown(&l, 1), 1, 1e-9);
	l.has = KERF_LOAD_HAS_CPU;
	l.waiting_permille = 500;
	assert_float_equal(kerf_load_slowdown(&l, 1), 2.5, 1e-9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_first_sample_knows_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_figures_of_a_window, setup, teardown),
		cmocka_unit_test_setup_teardown(test_short_windows_are_joined, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lone_runner_shows, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_time_no_window, setup, teardown),
		cmocka_unit_test_setup_teardown(test_counters_that_go_wrong, setup, teardown),
		cmocka_unit_test_setup_teardown(test_torn_record, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cpu_goes_off_line, setup, teardown),
		cmocka_unit_test_setup_teardown(test_affinity, setup, teardown),
		cmocka_unit_test_setup_teardown(test_own_priority, setup, teardown),
		cmocka_unit_test_setup_teardown(test_engines_are_left_alone, setup, teardown),
		cmocka_unit_test(test_slowdown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
