/* SPDX-License-Identifier: MIT */
/* /proc as a source: exact figures from known files, and nothing from files that make no sense. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>

#include "load_tree.h"
#include "telemetry/load.h"
#include "telemetry/load_file.h"
#include "telemetry/load_proc.h"
#include "util/rng.h"

#define MS 1000000ull
#define BEGIN (1000 * MS)

struct fake {
	struct tree proc, sys;
	struct kerf_load *load;
	struct kerf_node_load out;
};

/* Two CPUs: user, nice, system, idle, iowait, irq, softirq in ticks of 10 ms */
static void put_stat(struct fake *f, int busy0, int busy1)
{
	tree_put(&f->proc, "stat",
		 "cpu  1 2 3 4 5 6 7 8 9 10\n"
		 "cpu0 %d 100 100 5000 77 10 10 55 0 0\n"
		 "cpu1 %d 0 0 5000 0 0 0 0 0 0\n"
		 "intr 12 34\nctxt 55\nprocs_running 3\n",
		 busy0, busy1);
}

static void put_schedstat(struct fake *f, uint64_t delay0, uint64_t delay1)
{
	tree_put(&f->proc, "schedstat",
		 "version 15\ntimestamp 4294937296\n"
		 "cpu0 0 0 0 0 0 0 123456 %llu 99\ndomain0 3 0 0 0\n"
		 "cpu1 0 0 0 0 0 0 654321 %llu 98\ndomain0 3 0 0 0\n",
		 (unsigned long long)delay0, (unsigned long long)delay1);
}

/* A thread of ours, that ran and waited so many ns, last on cpu. Its name is a trap. */
static void put_thread(struct fake *f, int tid, uint64_t run, uint64_t wait, int cpu)
{
	char path[64];

	snprintf(path, sizeof(path), "self/task/%d/stat", tid);
	tree_put(&f->proc, path,
		 "%d (a) R 99 (b) S 1 1 1 0 -1 0 0 0 0 0 7 8 0 0 -20 0 2 0 100 1 1 1 1 1 1 1 1 0 "
		 "0 0 0 0 0 0 17 %d 0 0 0\n",
		 tid, cpu);
	snprintf(path, sizeof(path), "self/task/%d/schedstat", tid);
	tree_put(&f->proc, path, "%llu %llu 9\n", (unsigned long long)run,
		 (unsigned long long)wait);
}

static void put_pressure(struct fake *f, uint64_t cpu_us, uint64_t memory_us)
{
	tree_put(&f->proc, "pressure/cpu",
		 "some avg10=1.00 avg60=1.00 avg300=1.00 total=%llu\n"
		 "full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
		 (unsigned long long)cpu_us);
	tree_put(&f->proc, "pressure/memory", "some avg10=1.00 avg60=0.00 avg300=0.00 total=%llu\n",
		 (unsigned long long)memory_us);
}

static int setup(void **state)
{
	struct fake *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	tree_make(&f->proc);
	tree_make(&f->sys);
	put_stat(f, 1000, 2000);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fake *f = *state;

	kerf_load_close(f->load);
	tree_remove(&f->proc, "");
	tree_remove(&f->sys, "");
	free(f);
	return 0;
}

static void open_load(struct fake *f)
{
	struct kerf_load_config cfg = {.proc = f->proc.root, .sys = f->sys.root};

	assert_int_equal(kerf_load_open(&cfg, &f->load, NULL), 0);
	kerf_load_sample(f->load, BEGIN, &f->out);
}

static void sample(struct fake *f, uint64_t at_ms)
{
	kerf_load_sample(f->load, BEGIN + at_ms * MS, &f->out);
	assert_true(f->out.slowdown_permille >= 1000);
}

static void test_stat(void **state)
{
	struct fake *f = *state;

	open_load(f);
	put_stat(f, 1005, 2020);
	sample(f, 200);
	assert_int_equal(f->out.has & (KERF_LOAD_HAS_CPU | KERF_LOAD_HAS_RT |
				       KERF_LOAD_HAS_RUN_DELAY | KERF_LOAD_HAS_COMPETING),
			 KERF_LOAD_HAS_CPU);
	assert_int_equal(f->out.source, KERF_SOURCE_PROC);
	assert_int_equal(f->out.n_cpu, 2);
	assert_int_equal(f->out.fair_permille, 1250);
	assert_int_equal(f->out.slowdown_permille, 1125); /* (1 + 1.25) / 2 */
}

static void test_run_delay(void **state)
{
	struct fake *f = *state;

	put_schedstat(f, 7000 * MS, 9000 * MS);
	open_load(f);
	put_schedstat(f, 7300 * MS, 9100 * MS);
	put_stat(f, 1020, 2020);
	sample(f, 200);
	assert_true(f->out.has & KERF_LOAD_HAS_RUN_DELAY);
	assert_int_equal(f->out.waiting_permille, 2000);
	assert_int_equal(f->out.fair_permille, 2000);
	assert_int_equal(f->out.slowdown_permille, 2500);

	/* A version whose fields are not known */
	tree_put(&f->proc, "schedstat", "version 99\ncpu0 0 0 0 0 0 0 1 999999999999999 1\n");
	sample(f, 400);
	assert_int_equal(f->out.waiting_permille, 0);
}

/* What our own threads do is taken off; also when it was booked to another CPU than it ran on. */
static void test_own_threads(void **state)
{
	struct fake *f = *state;

	put_schedstat(f, 0, 0);
	put_thread(f, 70, 5000 * MS, 500 * MS, 0);
	put_thread(f, 71, 5000 * MS, 500 * MS, 1);
	open_load(f);
	put_stat(f, 1020, 2020);
	put_schedstat(f, 150 * MS, 150 * MS);
	put_thread(f, 70, 5100 * MS, 600 * MS, 0);
	put_thread(f, 71, 5150 * MS, 500 * MS, 1);
	sample(f, 200);
	assert_int_equal(f->out.own_permille, 1250);
	assert_int_equal(f->out.fair_permille, 750);
	assert_int_equal(f->out.waiting_permille, 1000);

	/* Both ran, one on each CPU, and both are seen on CPU 0 now; one is new. */
	put_stat(f, 1040, 2040);
	put_thread(f, 70, 5300 * MS, 600 * MS, 0);
	put_thread(f, 72, 200 * MS, 0, 0);
	sample(f, 400);
	assert_in_range(f->out.fair_permille, 0, 60); /* a tick */
	assert_in_range(f->out.own_permille, 1940, 2000);

	/* Its numbers are gone with it. */
	tree_remove(&f->proc, "self/task/72");
	put_stat(f, 1060, 2040);
	sample(f, 600);
	assert_in_range(f->out.own_permille, 0, 60);
	assert_in_range(f->out.fair_permille, 940, 1000);
}

/* Without schedstats: at most one waiting task a CPU is seen, ours not among them. */
static void test_waiting_by_pressure(void **state)
{
	struct fake *f = *state;

	put_pressure(f, 1000000, 5000);
	put_thread(f, 70, 0, 0, 0);
	open_load(f);
	put_stat(f, 1020, 2020);
	put_pressure(f, 1150000, 7000);
	put_thread(f, 70, 0, 50 * MS, 0);
	sample(f, 200);
	assert_int_equal(f->out.cpu_pressure_permille, 750);
	assert_int_equal(f->out.memory_pressure_permille, 10);
	assert_true(f->out.has & KERF_LOAD_HAS_PRESSURE);
	assert_true(f->out.has & KERF_LOAD_HAS_RUN_DELAY);
	assert_int_equal(f->out.waiting_permille, 1250); /* 0.75 of two busy CPUs, less 0.25 */
	assert_int_equal(f->out.source_memory, KERF_SOURCE_PROC);
}

static void test_memory(void **state)
{
	struct fake *f = *state;

	tree_put(&f->proc, "meminfo",
		 "MemTotal:       16384 kB\nMemFree:  100 kB\nMemAvailable:    8192 kB\n");
	open_load(f);
	assert_true(f->out.has & KERF_LOAD_HAS_MEMORY);
	assert_int_equal(f->out.memory_bytes, 16384 << 10);
	assert_int_equal(f->out.memory_available_bytes, 8192 << 10);
}

/* A CPU that comes back counts from zero; one that is gone has no say. */
static void test_hotplug(void **state)
{
	struct fake *f = *state;

	open_load(f);
	tree_put(&f->proc, "stat",
		 "cpu  1 2 3 4 5 6 7\ncpu0 1020 100 100 5000 77 10 10 0\nintr 1\n");
	sample(f, 200);
	assert_int_equal(f->out.fair_permille, 1000);
	put_stat(f, 1020, 0);
	sample(f, 400);
	assert_int_equal(f->out.fair_permille, 0);
	put_stat(f, 1020, 20);
	sample(f, 600);
	assert_int_equal(f->out.fair_permille, 1000);
}

static const char *const files[] = {"stat",
				    "schedstat",
				    "meminfo",
				    "pressure/cpu",
				    "pressure/memory",
				    "self/task/70/stat",
				    "self/task/70/schedstat",
				    "thread-self/status",
				    "thread-self/stat"};

static void check_sane(const struct kerf_node_load *l)
{
	assert_true(l->fair_permille + l->rt_permille + l->own_permille <= l->n_cpu * 1000 + 3);
	assert_true(l->n_cpu <= KERF_STATE_CPUS);
	assert_true(l->cpu_pressure_permille <= 1000 && l->memory_pressure_permille <= 1000);
	assert_true(l->memory_available_bytes <= l->memory_bytes);
	assert_true(l->slowdown_permille >= 1000);
	if (!(l->has & KERF_LOAD_HAS_CPU))
		assert_int_equal(l->fair_permille + l->own_permille, 0);
	if (!(l->has & KERF_LOAD_HAS_MEMORY))
		assert_int_equal(l->memory_bytes, 0);
	if (!(l->has & KERF_LOAD_HAS_PRESSURE))
		assert_int_equal(l->cpu_pressure_permille, 0);
}

static void test_nothing_there(void **state)
{
	struct fake *f = *state;

	tree_remove(&f->proc, "stat");
	open_load(f);
	sample(f, 100);
	assert_int_equal(f->out.has, 0);
	assert_int_equal(f->out.n_cpu, 0);
	check_sane(&f->out);
}

/* Each file in turn becomes each kind of nonsense, and the figures that others give stay. */
static void test_hostile_files(void **state)
{
	static const char *const nonsense[] = {
		"",
		"\n\n\n",
		"cpu0 1 2",
		"cpu0 1 2 3 4 5 6 7 8",
		"cpu0 18446744073709551615 18446744073709551615 1 1 1 1 1 1\n",
		"cpu18446744073709551616 1 2 3 4 5 6 7 8\ncpu99999 1 2 3 4 5 6 7 8\ncpu-1 1 1 1 1 "
		"1 1 1\n",
		"version 15\ncpu0 0 0 0 0 0 0 1 18446744073709551615 1\n",
		"version -1\n",
		"MemTotal: 1 kB\nMemAvailable: 2 kB\n",
		"MemTotal: 18446744073709551615 kB\nMemAvailable: 1 kB\n",
		"some avg10=1.0 total=18446744073709551615\n",
		"some avg10=1.0 total=-4\n",
		"some total=99999999999999999999999999\n",
		"70 () R 1 2 3\n",
		"70 )))) ( ( R",
		"18446744073709551615 18446744073709551615 1\n",
		"Name:\tx\nCpus_allowed_list:\t4294967295,9-3,,,1-\n",
		"Name:\tx\nCpus_allowed_list:\t0-18446744073709551614\n",
	};
	struct fake *f = *state;
	size_t i, k;

	for (i = 0; i < KERF_ARRAY_SIZE(files); i++) {
		for (k = 0; k < KERF_ARRAY_SIZE(nonsense); k++) {
			put_stat(f, 1000, 2000);
			put_schedstat(f, 0, 0);
			put_thread(f, 70, 0, 0, 0);
			put_pressure(f, 0, 0);
			tree_put(&f->proc, "meminfo", "MemTotal: 9 kB\nMemAvailable: 5 kB\n");
			open_load(f);
			tree_put(&f->proc, files[i], "%s", nonsense[k]);
			sample(f, 200);
			check_sane(&f->out);
			sample(f, 1400);
			check_sane(&f->out);
			if (i)
				assert_true(f->out.has & KERF_LOAD_HAS_CPU);
			if (i != 2)
				assert_int_equal(f->out.memory_bytes, 9 << 10);
			kerf_load_close(f->load);
			f->load = NULL;
		}
	}
}

/* Bytes at random, a file without an end, and things that are no files. */
static void test_random_and_endless(void **state)
{
	struct fake *f = *state;
	char text[600], path[128];
	struct kerf_rng rng;
	size_t i, n, k;
	int round;

	kerf_rng_seed(&rng, 7);
	put_schedstat(f, 0, 0);
	put_thread(f, 70, 0, 0, 0);
	put_pressure(f, 0, 0);
	tree_put(&f->proc, "meminfo", "MemTotal: 9 kB\nMemAvailable: 5 kB\n");
	open_load(f);
	for (round = 1; round < 400; round++) {
		static const char alphabet[] = "cpu0123456789 \n\t:=-()someMtal.";

		n = kerf_rng_next(&rng) % sizeof(text);
		for (k = 0; k + 1 < n; k++)
			text[k] = alphabet[kerf_rng_next(&rng) % (sizeof(alphabet) - 1)];
		text[n ? n - 1 : 0] = '\0';
		i = kerf_rng_next(&rng) % KERF_ARRAY_SIZE(files);
		tree_put(&f->proc, files[i], "%s", text);
		sample(f, (uint64_t)round * 150);
		check_sane(&f->out);
	}
	kerf_load_close(f->load);
	f->load = NULL;
	for (i = 0; i < KERF_ARRAY_SIZE(files); i++) {
		snprintf(path, sizeof(path), "%s/%s", f->proc.root, files[i]);
		unlink(path);
		if (i % 3 == 0)
			assert_int_equal(symlink("/dev/zero", path), 0);
		else if (i % 3 == 1)
			assert_int_equal(mkfifo(path, 0600), 0);
		else
			assert_int_equal(mkdir(path, 0700), 0);
	}
	open_load(f);
	sample(f, 100);
	assert_int_equal(f->out.has, 0);
}

static void test_cpulist(void **state)
{
	uint8_t bits[2];

	assert_int_equal(kerf_load_cpulist("0-2,5,15-99\n", bits, 16), 5);
	assert_int_equal(bits[0], 0x27);
	assert_int_equal(bits[1], 0x80);
	assert_int_equal(kerf_load_cpulist("3,3,3-3", bits, 16), 1);
	assert_int_equal(kerf_load_cpulist("", bits, 16), 0);
	assert_int_equal(kerf_load_cpulist("\n", bits, 16), 0);
	assert_int_equal(kerf_load_cpulist("5-2", bits, 16), 0);
	assert_int_equal(kerf_load_cpulist("x", bits, 16), 0);
	assert_int_equal(kerf_load_cpulist("0-18446744073709551615", bits, 16), 16);
}

/* This machine's own /proc and /sys: whatever is there, it makes sense. */
static void test_this_machine(void **state)
{
	struct kerf_load_config cfg = {0};
	struct kerf_node_load l = {0};
	struct kerf_load *load;

	if (access("/proc/stat", R_OK))
		skip();
	assert_int_equal(kerf_load_open(&cfg, &load, NULL), 0);
	kerf_load_sample(load, 1000 * MS, &l);
	usleep(120000);
	kerf_load_sample(load, 1120 * MS, &l);
	check_sane(&l);
	assert_true(l.has & KERF_LOAD_HAS_CPU);
	assert_true(l.has & KERF_LOAD_HAS_MEMORY);
	assert_true(l.n_cpu >= 1);
	kerf_load_close(load);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_stat, setup, teardown),
		cmocka_unit_test_setup_teardown(test_run_delay, setup, teardown),
		cmocka_unit_test_setup_teardown(test_own_threads, setup, teardown),
		cmocka_unit_test_setup_teardown(test_waiting_by_pressure, setup, teardown),
		cmocka_unit_test_setup_teardown(test_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hotplug, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nothing_there, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_random_and_endless, setup, teardown),
		cmocka_unit_test(test_cpulist),
		cmocka_unit_test(test_this_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
