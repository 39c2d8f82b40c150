// SPDX-License-Identifier: MIT
/*
 * The CPUs' counters as the real programs write them, on tasks whose own time is known: a task's
 * own clock and its schedstat are the oracle. Each case runs on both objects.
 */
#include "telemetry/bpf_priv.h"
#include "telemetry/load.h"
#include "telemetry/record.h"
#include "util/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#ifdef WITH_BPF

#include <bpf/bpf.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define MS 1000000ull
/* Sleeps so long that even a slow guest has left the CPU before it is over. */
#define SWITCH_US 20000

struct fixture {
	enum kerf_bpf_object object;
	struct kerf_bpf *bpf;
	const struct kerf_cpu_rec *cpus;
	int cpu; /* the one that hogs are put on */
};

static const char *impossible(void)
{
	struct kerf_bpf_facts f;
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "try", 4, 4, 1, NULL);

	if (fd < 0)
		return "bpf() does not work here";
	close(fd);
	kerf_bpf_facts(&f);
	if (f.user_ns || !f.btf)
		return "no BTF, or not in the first user namespace";
	return NULL;
}

static int last_cpu(void)
{
	cpu_set_t set;
	int i;

	assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
	for (i = CPU_SETSIZE - 1; i > 0 && !CPU_ISSET(i, &set); i--)
		;
	return i;
}

/*
 * One object by itself, by its ops: with all of them, sched would do for sched_raw. No cgroup of
 * our own, so that children count as others.
 */
static void attach(struct fixture *f)
{
	const struct kerf_bpf_ops *ops =
		f->object == KERF_BPF_SCHED ? &kerf_bpf_sched : &kerf_bpf_sched_raw;
	const char *why = impossible();
	int r;

	if (why) {
		print_message("skipped: %s\n", why);
		skip();
	}
	f->bpf = calloc(1, sizeof(*f->bpf));
	assert_non_null(f->bpf);
	for (r = 0; r < KERF_N_REGION; r++)
		f->bpf->region[r].fd = -1;
	r = kerf_bpf_try(f->bpf, ops, &f->bpf->object[f->object]);
	if (r)
		fail_msg("%s: %s\n%s", kerf_bpf_name(f->object), f->bpf->object[f->object].why,
			 f->bpf->object[f->object].log);
	f->cpus = f->bpf->region[KERF_REGION_CPUS].map;
	assert_non_null(f->cpus);
	f->cpu = last_cpu();
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	kerf_bpf_close(f->bpf);
	f->bpf = NULL;
	return 0;
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		abort();
}

/* What the kernel says that this task waited for a CPU so far. */
static uint64_t waited_ns(void)
{
	unsigned long long ran, waited;
	FILE *f = fopen("/proc/self/schedstat", "r");

	if (!f || fscanf(f, "%llu %llu", &ran, &waited) != 2)
		_exit(77);
	fclose(f);
	return waited;
}

/*
 * A child that computes for ms of its own processor time, all of it on one CPU; ends by itself.
 * *waited: in shared memory, what it waited meanwhile; NULL allowed.
 */
static pid_t hog(int cpu, uint64_t ms, int nice_value, bool rt, uint64_t *waited)
{
	struct sched_param p = {.sched_priority = 1};
	uint64_t begin, before = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid)
		return pid;
	pin(cpu);
	if (setpriority(PRIO_PROCESS, 0, nice_value) ||
	    (rt && sched_setscheduler(0, SCHED_FIFO, &p)))
		_exit(77);
	usleep(SWITCH_US); /* what a task is is looked at as it gets a CPU */
	if (waited)
		before = waited_ns();
	begin = kerf_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	while (kerf_clock_ns(CLOCK_PROCESS_CPUTIME_ID) < begin + ms * MS)
		;
	if (waited)
		*waited = waited_ns() - before;
	_exit(0);
}

/* Waits for the child. Skips if it lacked a right. */
static void reap(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* With what runs since the last switch. */
static struct kerf_cpu_rec read_cpu(struct fixture *f, int cpu)
{
	struct kerf_cpu_rec r;
	uint64_t now, ns;
	int tries = 0;

	/*
	 * The time before the record: whoever loses the CPU between the two would count that as
	 * running. A virtual CPU may be stopped while it writes.
	 */
	now = kerf_now_ns();
	while (!kerf_record_read(&f->cpus[cpu], &r, sizeof(r))) {
		assert_true(tries++ < 1000);
		usleep(1000);
		now = kerf_now_ns();
	}
	ns = now > r.switch_ns ? now - r.switch_ns : 0;
	if (r.running == KERF_CPU_FAIR)
		r.fair_ns += ns;
	else if (r.running == KERF_CPU_RT)
		r.rt_ns += ns;
	else if (r.running == KERF_CPU_OWN)
		r.own_ns += ns;
	return r;
}

/*
 * got reaches want. A task's own clock starts and stops a little before the event of each switch:
 * while the scheduler chooses, whoever left pays here.
 */
static bool reaches(uint64_t got, uint64_t want, const struct kerf_cpu_rec *before,
		    const struct kerf_cpu_rec *after)
{
	return got + 5 * MS + (after->switches - before->switches) * 20000 >= want;
}

/* Runs a moment on the CPU, so that it has switched once. */
static void visit(int cpu)
{
	cpu_set_t all;

	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	pin(cpu);
	usleep(SWITCH_US);
	assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
}

static void test_record(void **state)
{
	struct fixture *f = *state;
	struct kerf_cpu_rec r;

	attach(f);
	visit(f->cpu);
	r = read_cpu(f, f->cpu);
	assert_int_equal(r.source, KERF_SOURCE_BTF);
	assert_int_equal(r.has & (KERF_CPU_HAS_BUSY | KERF_CPU_HAS_RT | KERF_CPU_HAS_OWN |
				  KERF_CPU_HAS_COMPETING),
			 KERF_CPU_HAS_BUSY | KERF_CPU_HAS_RT | KERF_CPU_HAS_OWN |
				 KERF_CPU_HAS_COMPETING);
	assert_true(r.begin_ns && r.begin_ns <= r.switch_ns && r.switch_ns <= kerf_now_ns() + MS);
	assert_true(r.switches > 0);
	assert_true(r.fair_ns + r.rt_ns + r.own_ns <= kerf_now_ns() + MS - r.begin_ns);
}

/*
 * What a hog took is in fair_ns whole; the rest of fair_ns others took, and there is no more of
 * it than there was time.
 */
static void test_hog(void **state)
{
	struct fixture *f = *state;
	struct kerf_cpu_rec before, after;
	uint64_t begin, wall;

	attach(f);
	visit(f->cpu);
	begin = kerf_now_ns();
	before = read_cpu(f, f->cpu);
	reap(hog(f->cpu, 300, 0, false, NULL));
	after = read_cpu(f, f->cpu);
	wall = kerf_now_ns() - begin;
	assert_true(reaches(after.fair_ns - before.fair_ns, 300 * MS, &before, &after));
	assert_true(after.fair_ns - before.fair_ns <= wall);
	assert_true(after.fair_ns + after.rt_ns + after.own_ns - before.fair_ns - before.rt_ns -
			    before.own_ns <=
		    wall + MS);
}

static void *burn(void *arg)
{
	struct fixture *f = arg;
	uint64_t begin;

	pin(f->cpu);
	begin = kerf_clock_ns(CLOCK_THREAD_CPUTIME_ID);
	while (kerf_clock_ns(CLOCK_THREAD_CPUTIME_ID) < begin + 200 * MS)
		;
	return NULL;
}

/*
 * Rarely, on a crowded 6.18, a switch is not seen and time up to the next one goes to whoever left:
 * once in three tries it must be right.
 */
#define TRIES 3

static void test_own_thread(void **state)
{
	struct fixture *f = *state;
	struct kerf_cpu_rec before, after;
	bool right = false;
	pthread_t t;
	int i;

	attach(f);
	for (i = 0; i < TRIES && !right; i++) {
		visit(f->cpu);
		before = read_cpu(f, f->cpu);
		assert_int_equal(pthread_create(&t, NULL, burn, f), 0);
		assert_int_equal(pthread_join(t, NULL), 0);
		after = read_cpu(f, f->cpu);
		right = reaches(after.own_ns - before.own_ns, 200 * MS, &before, &after);
	}
	assert_true(right);
}

/* In the first process of a pid namespace, of which the kernel's number is not 1. */
static int own_in_namespace(struct fixture *f)
{
	const struct kerf_bpf_ops *ops =
		f->object == KERF_BPF_SCHED ? &kerf_bpf_sched : &kerf_bpf_sched_raw;
	static struct kerf_bpf b;
	struct kerf_cpu_rec before = {0}, after;
	bool right = false;
	pthread_t t;
	int r, i;

	for (r = 0; r < KERF_N_REGION; r++)
		b.region[r].fd = -1;
	if (kerf_bpf_try(&b, ops, &b.object[f->object]))
		return 2;
	f->cpus = b.region[KERF_REGION_CPUS].map;
	for (i = 0; i < TRIES && !right; i++, before = after) {
		if (pthread_create(&t, NULL, burn, f) || pthread_join(t, NULL))
			return 4;
		if (!kerf_record_read(&f->cpus[f->cpu], &after, sizeof(after)))
			return 3;
		right = reaches(after.own_ns - before.own_ns, 200 * MS, &before, &after);
	}
	return right ? 0 : 1;
}

static void test_own_in_pid_namespace(void **state)
{
	struct fixture *f = *state;
	pid_t pid, inner;
	int status;

	attach(f);
	teardown(state);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		if (unshare(CLONE_NEWPID))
			_exit(77);
		inner = fork();
		if (!inner)
			_exit(own_in_namespace(f));
		if (inner < 0 || waitpid(inner, &status, 0) != inner || !WIFEXITED(status))
			_exit(5);
		_exit(WEXITSTATUS(status));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77) {
		print_message("skipped: no pid namespaces here\n");
		skip();
	}
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_real_time(void **state)
{
	struct fixture *f = *state;
	struct kerf_cpu_rec before, after;
	bool right = false;
	int i;

	attach(f);
	for (i = 0; i < TRIES && !right; i++) {
		visit(f->cpu);
		before = read_cpu(f, f->cpu);
		reap(hog(f->cpu, 100, 0, true, NULL));
		after = read_cpu(f, f->cpu);
		right = reaches(after.rt_ns - before.rt_ns, 100 * MS, &before, &after);
	}
	assert_true(right);
}

/*
 * Two hogs on one CPU: what they waited for each other is in run_delay_ns, to the end of each of
 * their waits; the kernel's figure for each is the oracle.
 */
static void test_run_delay(void **state)
{
	struct fixture *f = *state;
	struct kerf_cpu_rec before, after;
	uint64_t *waited =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid[2];
	int i;

	assert_true(waited != MAP_FAILED);
	attach(f);
	visit(f->cpu);
	before = read_cpu(f, f->cpu);
	if (!(before.has & KERF_CPU_HAS_RUN_DELAY))
		skip();
	for (i = 0; i < 2; i++)
		pid[i] = hog(f->cpu, 150, 0, false, &waited[i]);
	for (i = 0; i < 2; i++)
		reap(pid[i]);
	assert_true(waited[0] + waited[1] > 50 * MS);
	/* A parent may hear of a child's end a moment before that leaves its CPU. */
	for (i = 0; i < 1000; i++) {
		after = read_cpu(f, f->cpu);
		if (reaches(after.run_delay_ns - before.run_delay_ns, waited[0] + waited[1],
			    &before, &after))
			break;
		usleep(1000);
	}
	assert_true(reaches(after.run_delay_ns - before.run_delay_ns, waited[0] + waited[1],
			    &before, &after));
	munmap(waited, 4096);
}

/* A task of nice 19 weighs 15 of 1024, beside ours. Seen from another CPU, or it would not run. */
static void test_weight(void **state)
{
	struct fixture *f = *state;
	struct kerf_cpu_rec r;
	unsigned int seen = 0, i;
	cpu_set_t all;
	pid_t pid;

	attach(f);
	visit(f->cpu);
	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	if (!f->cpu || !CPU_ISSET(f->cpu - 1, &all))
		skip();
	pin(f->cpu - 1);
	pid = hog(f->cpu, 150, 19, false, NULL);
	for (i = 0; i < 20000 && !seen; i++) {
		usleep(500);
		r = read_cpu(f, f->cpu);
		if (r.running == KERF_CPU_FAIR && r.running_weight == 15)
			seen++;
	}
	assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
	reap(pid);
	assert_true(seen);
}

static bool reads(const char *path, const char *begin)
{
	char line[256] = "";
	FILE *f = fopen(path, "r");

	if (!f)
		return false;
	if (!fgets(line, sizeof(line), f))
		line[0] = '\0';
	fclose(f);
	return !strncmp(line, begin, strlen(begin));
}

/* Sessions are scheduling groups here: autogroup is on, and no cgroup takes precedence. */
static bool sessions_are_groups(void)
{
	FILE *f = fopen("/proc/self/cgroup", "r");
	char line[4096], *path;
	bool on = true;

	while (f && fgets(line, sizeof(line), f)) {
		path = strrchr(line, ':');
		if ((strstr(line, "cpu:") || strstr(line, "cpu,") || !strncmp(line, "0::", 3)) &&
		    path && strcmp(path, ":/\n"))
			on = false;
	}
	if (f)
		fclose(f);
	return on && reads("/proc/sys/kernel/sched_autogroup_enabled", "1") &&
	       !access("/proc/self/autogroup", R_OK);
}

/* Two busy tasks of another session weigh together what their session weighs, beside ours. */
static void test_other_session(void **state)
{
	struct fixture *f = *state;
	/* In the first session of all, which has no group, each task stands for itself. */
	const bool grouped = reads("/proc/self/autogroup", "/autogroup-");
	unsigned int halves = 0, i;
	struct kerf_cpu_rec r;
	pid_t leader, pid[2];
	cpu_set_t all;
	int status;

	attach(f);
	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	if (!sessions_are_groups() || !f->cpu || !CPU_ISSET(f->cpu - 1, &all))
		skip();
	leader = fork();
	assert_true(leader >= 0);
	if (!leader) {
		setsid();
		for (i = 0; i < 2; i++)
			pid[i] = hog(f->cpu, 200, 0, false, NULL);
		for (i = 0; i < 2; i++)
			waitpid(pid[i], NULL, 0);
		_exit(0);
	}
	while (!waitpid(leader, &status, WNOHANG)) {
		visit(f->cpu); /* so that our own group is known */
		pin(f->cpu - 1);
		for (i = 0; i < 20; i++) {
			usleep(200);
			if (kerf_record_read(&f->cpus[f->cpu], &r, sizeof(r)) &&
			    r.running == KERF_CPU_FAIR && r.running_outside == grouped &&
			    r.running_weight >= 500 && r.running_weight <= 520)
				halves++;
		}
	}
	assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
	assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
	assert_true(halves);
}

/* Readers copy while the programs write as fast as they can: never a torn record. */
static void test_copies_are_whole(void **state)
{
	struct fixture *f = *state;
	struct kerf_cpu_rec r, last = {0};
	uint64_t end;
	pid_t pid;
	int copies = 0;

	attach(f);
	visit(f->cpu);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		pin(f->cpu);
		for (;;)
			usleep(1);
	}
	end = kerf_now_ns() + 200 * MS;
	while (kerf_now_ns() < end) {
		if (!kerf_record_read(&f->cpus[f->cpu], &r, sizeof(r)))
			continue;
		copies++;
		assert_true(r.switches >= last.switches);
		assert_true(r.fair_ns >= last.fair_ns && r.run_delay_ns >= last.run_delay_ns);
		assert_true(r.switch_ns + MS >= last.switch_ns);
		assert_true(r.fair_ns + r.rt_ns + r.own_ns <= r.switch_ns + MS - r.begin_ns);
		last = r;
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_true(copies > 10);
}

/* The whole way: a hog shows in the figures of a node, and is gone from them. */
static void test_figures(void **state)
{
	struct fixture *f = *state;
	struct kerf_node_load with, without;
	struct kerf_load_config cfg = {0};
	struct kerf_load *load;
	struct kerf_err err;

	attach(f);
	visit(f->cpu);
	cfg.cpu = f->cpus;
	assert_int_equal(kerf_load_open(&cfg, &load, &err), 0);
	assert_null(kerf_load_cpus(load));
	memset(&with, 0, sizeof(with));
	memset(&without, 0, sizeof(without));
	kerf_load_sample(load, kerf_now_ns(), &with);
	reap(hog(f->cpu, 300, 0, false, NULL));
	kerf_load_sample(load, kerf_now_ns(), &with);
	assert_true(with.has & KERF_LOAD_HAS_CPU);
	assert_int_equal(with.source, KERF_SOURCE_BTF);
	assert_true(with.fair_permille > 0 && with.fair_permille <= with.n_cpu * 1000);
	assert_true(with.competing_permille + with.outside_permille > 0);
	usleep(150000);
	kerf_load_sample(load, kerf_now_ns(), &without);
	assert_true(without.fair_permille <= without.n_cpu * 1000);
	kerf_load_close(load);
}

static void test_nothing_is_left(void **state)
{
	struct fixture *f = *state;
	struct kerf_cpu_rec before, after;
	int map;

	attach(f);
	visit(f->cpu);
	map = dup(f->bpf->region[KERF_REGION_CPUS].fd);
	assert_true(map >= 0);
	teardown(state);
	/* The map lives by our descriptor; nobody writes it any more. */
	usleep(50000);
	assert_int_equal(bpf_map_lookup_elem(map, &f->cpu, &before), 0);
	visit(f->cpu);
	assert_int_equal(bpf_map_lookup_elem(map, &f->cpu, &after), 0);
	assert_memory_equal(&before, &after, sizeof(before));
	close(map);
}

static struct fixture tp_btf = {.object = KERF_BPF_SCHED};
static struct fixture raw = {.object = KERF_BPF_SCHED_RAW};

#define CASE(f, test)                                                               \
	{                                                                           \
		.name = #test "/" #f, .test_func = test, .teardown_func = teardown, \
		.initial_state = &f                                                 \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(tp_btf, test_record),
		CASE(raw, test_record),
		CASE(tp_btf, test_hog),
		CASE(raw, test_hog),
		CASE(tp_btf, test_own_thread),
		CASE(raw, test_own_thread),
		CASE(tp_btf, test_own_in_pid_namespace),
		CASE(raw, test_own_in_pid_namespace),
		CASE(tp_btf, test_real_time),
		CASE(raw, test_real_time),
		CASE(tp_btf, test_run_delay),
		CASE(raw, test_run_delay),
		CASE(tp_btf, test_weight),
		CASE(raw, test_weight),
		CASE(tp_btf, test_other_session),
		CASE(raw, test_other_session),
		CASE(tp_btf, test_copies_are_whole),
		CASE(raw, test_copies_are_whole),
		CASE(tp_btf, test_figures),
		CASE(tp_btf, test_nothing_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

static void test_not_in_this_build(void **state)
{
	print_message("skipped: WITH_BPF=no\n");
	skip();
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_not_in_this_build)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
