/* SPDX-License-Identifier: MIT */
/*
 * Is the expected slowdown right, and does each kind of load move its own figures? Run by load.sh.
 *
 *   load slow KIND N THREADS CPUS MS RUNS    one row of slowdowns, predicted and measured
 *   load step KIND N RUNS                    one row of figures: before, and at most 200 ms after
 *
 * KIND: cpu, session (cpu, in a session of their own), nice (10 more than kerf), rt (SCHED_FIFO,
 * on the last CPU), memory (192 MiB, held), stream (copies 64 MiB to and fro). CPUS: how many
 * CPUs all of it may use, the measured threads too; 0: all.
 * KERF_LOAD_SOURCE=proc: without programs.
 *
 * Measured: threads take small pieces of work, all of the same length; the slowdown is the time
 * they took over what they would have taken alone: the processor time of all pieces, divided by
 * the number of threads. Predicted: the harmonic mean of the estimates during the same time, since
 * work done is the integral of 1 / slowdown; so what else runs on this box is in both. "ahead"
 * is the estimate just before the threads began.
 */
#include "telemetry/load.h"
#include "telemetry/source.h"
#include "util/base.h"
#include "util/clock.h"
#include "util/pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define MS 1000000ull
#define PERIOD_MS 20
#define MAX_RUNS 99
#define MAX_HOGS 16
#define MEMORY_BYTES (192u << 20)
#define STREAM_BYTES (64u << 20)

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void sleep_ms(long ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};

	nanosleep(&t, NULL);
}

/* --- hogs: children of a child that was made before any program attached --- */

static void hog_cpu(void)
{
	volatile unsigned x = 0;

	for (;;)
		x++;
}

static void hog_rt(void)
{
	struct sched_param p = {.sched_priority = 10};
	cpu_set_t set;
	int i;

	if (sched_getaffinity(0, sizeof(set), &set))
		die("sched_getaffinity");
	for (i = CPU_SETSIZE - 1; i >= 0 && !CPU_ISSET(i, &set); i--)
		;
	CPU_ZERO(&set);
	CPU_SET(i, &set);
	if (sched_setaffinity(0, sizeof(set), &set) || sched_setscheduler(0, SCHED_FIFO, &p))
		die("SCHED_FIFO");
	sleep_ms(1); /* what a task is is looked at as it gets a CPU */
	hog_cpu();
}

static void hog_memory(void)
{
	char *p = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		       0);

	if (p == MAP_FAILED)
		die("mmap");
	madvise(p, MEMORY_BYTES, MADV_HUGEPAGE);
	memset(p, 1, MEMORY_BYTES);
	for (;;)
		pause();
}

static void hog_stream(void)
{
	char *a = malloc(STREAM_BYTES), *b = malloc(STREAM_BYTES);

	if (!a || !b)
		die("malloc");
	memset(a, 1, STREAM_BYTES);
	for (;;) {
		memcpy(b, a, STREAM_BYTES);
		memcpy(a, b, STREAM_BYTES);
	}
}

static pid_t hog(const char *kind)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!strcmp(kind, "nice") &&
	    setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + 10))
		die("setpriority");
	if (!strcmp(kind, "cpu") || !strcmp(kind, "nice") || !strcmp(kind, "session"))
		hog_cpu();
	else if (!strcmp(kind, "rt"))
		hog_rt();
	else if (!strcmp(kind, "memory"))
		hog_memory();
	else if (!strcmp(kind, "stream"))
		hog_stream();
	fprintf(stderr, "load: no hog \"%s\": cpu, session, nice, rt, memory, stream\n", kind);
	_exit(2);
}

struct farm {
	pid_t pid;
	int to, from;
};

/* Each byte read is how many hogs there shall be; a byte back says that they have begun. */
static void farm_run(const char *kind, int in, int out)
{
	pid_t pid[MAX_HOGS];
	unsigned char n, i, have = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!strcmp(kind, "session"))
		setsid();
	while (read(in, &n, 1) == 1) {
		for (i = 0; i < have; i++) {
			kill(pid[i], SIGKILL);
			waitpid(pid[i], NULL, 0);
		}
		for (have = 0; have < n; have++)
			pid[have] = hog(kind);
		if (write(out, &n, 1) != 1)
			break;
	}
	for (i = 0; i < have; i++)
		kill(pid[i], SIGKILL);
	_exit(0);
}

static void farm_make(struct farm *f, const char *kind)
{
	int to[2], from[2];

	if (pipe(to) || pipe(from))
		die("pipe");
	f->pid = fork();
	if (f->pid < 0)
		die("fork");
	if (!f->pid) {
		close(to[1]);
		close(from[0]);
		farm_run(kind, to[0], from[1]);
	}
	close(to[0]);
	close(from[1]);
	f->to = to[1];
	f->from = from[0];
}

static void farm_set(struct farm *f, unsigned char n)
{
	if (write(f->to, &n, 1) != 1 || read(f->from, &n, 1) != 1)
		die("hogs");
}

/* --- the load, sampled --- */

struct sampler {
	struct kerf_bpf *bpf;
	struct kerf_load *load;
	struct kerf_node_load now;
	unsigned threads;
	pthread_t thread;
	atomic_bool stop;
	double inverse, n; /* of 1 / slowdown */
};

static void sample(struct sampler *s)
{
	kerf_load_sample(s->load, kerf_now_ns(), &s->now);
}

static void *sample_thread(void *arg)
{
	struct sampler *s = arg;

	while (!atomic_load(&s->stop)) {
		sleep_ms(PERIOD_MS);
		sample(s);
		s->inverse += 1 / kerf_load_slowdown(&s->now, s->threads);
		s->n++;
	}
	return NULL;
}

static void sampler_open(struct sampler *s)
{
	const char *source = getenv("KERF_LOAD_SOURCE");
	struct kerf_bpf_config bpf = {0};
	struct kerf_load_config cfg = {0};
	struct kerf_err err = {0};
	size_t size;
	int fd;

	memset(s, 0, sizeof(*s));
	if (source && !strcmp(source, "proc"))
		bpf.best = KERF_SOURCE_PROC;
	if (kerf_bpf_open(&bpf, &s->bpf, &err))
		die(err.msg);
	cfg.cpu = kerf_bpf_region(s->bpf, KERF_REGION_CPUS, &fd, &size);
	if (!cfg.cpu && bpf.best == KERF_SOURCE_NONE)
		fprintf(stderr, "load: no program: %s\n", kerf_bpf_why(s->bpf, KERF_BPF_SCHED));
	if (kerf_load_open(&cfg, &s->load, &err))
		die(err.msg);
	sample(s);
}

static void sampler_close(struct sampler *s)
{
	kerf_load_close(s->load);
	kerf_bpf_close(s->bpf);
}

/* --- work, measured --- */

struct work {
	atomic_ullong cpu_ns;
};

#define PIECE_TURNS 40000

static void piece(void *arg, int64_t item, int thread)
{
	struct work *w = arg;
	uint64_t before = kerf_clock_ns(CLOCK_THREAD_CPUTIME_ID);
	volatile double x = 1;
	int i;

	for (i = 0; i < PIECE_TURNS; i++)
		x = x * 1.0000001 + 1e-9;
	atomic_fetch_add(&w->cpu_ns, kerf_clock_ns(CLOCK_THREAD_CPUTIME_ID) - before);
}

/* Slowdown of threads over at least ns. */
static double measure(struct kerf_pool *pool, uint64_t ns)
{
	struct work w = {0};
	uint64_t begin = kerf_now_ns(), now;
	int threads = kerf_pool_threads(pool);

	do {
		kerf_pool_run(pool, piece, &w, 32 * threads);
		now = kerf_now_ns();
	} while (now - begin < ns);
	return (double)(now - begin) * threads / (double)w.cpu_ns;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *v, int n)
{
	qsort(v, (size_t)n, sizeof(*v), by_value);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static void use_cpus(int n)
{
	cpu_set_t set, use;
	int i;

	if (!n)
		return;
	if (sched_getaffinity(0, sizeof(set), &set))
		die("sched_getaffinity");
	CPU_ZERO(&use);
	for (i = CPU_SETSIZE - 1; i >= 0 && n; i--)
		if (CPU_ISSET(i, &set)) {
			CPU_SET(i, &use);
			n--;
		}
	if (sched_setaffinity(0, sizeof(use), &use))
		die("sched_setaffinity");
}

static void slow(const char *kind, int hogs, int threads, int cpus, uint64_t ms, int runs)
{
	double predicted[MAX_RUNS], measured[MAX_RUNS], error[MAX_RUNS], ahead[MAX_RUNS];
	struct kerf_pool *pool;
	struct sampler s;
	struct farm farm;
	int i;

	use_cpus(cpus);
	farm_make(&farm, kind);
	sampler_open(&s);
	if (kerf_pool_new(threads, false, &pool))
		die("threads");
	farm_set(&farm, (unsigned char)hogs);
	sleep_ms(300);
	sample(&s);
	for (i = 0; i < runs; i++) {
		sleep_ms(150); /* a window without our own load */
		sample(&s);
		s.threads = (unsigned)threads;
		s.inverse = s.n = 0;
		atomic_store(&s.stop, false);
		ahead[i] = kerf_load_slowdown(&s.now, s.threads);
		if (pthread_create(&s.thread, NULL, sample_thread, &s))
			die("thread");
		measured[i] = measure(pool, ms * MS);
		atomic_store(&s.stop, true);
		pthread_join(s.thread, NULL);
		predicted[i] = s.n / s.inverse;
		error[i] = 100 * (predicted[i] / measured[i] - 1);
		ahead[i] = 100 * (ahead[i] / measured[i] - 1);
	}
	farm_set(&farm, 0);
	printf("| %d %s | %d | %u | %.2f | %.2f | %+.1f %% | %+.1f %% |\n", hogs, kind, threads,
	       s.now.n_cpu, median(predicted, runs), median(measured, runs), median(error, runs),
	       median(ahead, runs));
	kerf_pool_free(pool);
	sampler_close(&s);
}

/* --- which figures move --- */

static const struct figure {
	const char *name;
	size_t at;
	bool wide;    /* bytes, of 64 bits */
	double moved; /* a change that counts: more than what an idle box does by itself */
} figures[] = {
	{"fair", offsetof(struct kerf_node_load, fair_permille), false, 300},
	{"rt", offsetof(struct kerf_node_load, rt_permille), false, 300},
	{"own", offsetof(struct kerf_node_load, own_permille), false, 300},
	{"waiting", offsetof(struct kerf_node_load, waiting_permille), false, 300},
	{"competing", offsetof(struct kerf_node_load, competing_permille), false, 300},
	{"outside", offsetof(struct kerf_node_load, outside_permille), false, 300},
	{"memory", offsetof(struct kerf_node_load, memory_available_bytes), true, 48u << 20},
	{"memory pressure", offsetof(struct kerf_node_load, memory_pressure_permille), false, 100},
};

#define N_FIGURE ((int)KERF_ARRAY_SIZE(figures))

static double figure(const struct kerf_node_load *l, int i)
{
	const char *p = (const char *)l + figures[i].at;
	uint32_t small;
	uint64_t big;

	if (figures[i].wide) {
		memcpy(&big, p, sizeof(big));
		return (double)big;
	}
	memcpy(&small, p, sizeof(small));
	return small;
}

static void step(const char *kind, int hogs, int runs)
{
	double soon[N_FIGURE][MAX_RUNS], settled[N_FIGURE][MAX_RUNS], before[N_FIGURE];
	struct sampler s;
	struct farm farm;
	int i, k, t;

	farm_make(&farm, kind);
	sampler_open(&s);
	for (i = 0; i < runs; i++) {
		/* As the runtime looks, each 50 ms */
		for (t = 0; t < 10; t++) {
			sleep_ms(50);
			sample(&s);
		}
		for (k = 0; k < N_FIGURE; k++)
			before[k] = figure(&s.now, k);
		farm_set(&farm, (unsigned char)hogs);
		for (t = 0; t < 16; t++) {
			sleep_ms(50);
			sample(&s);
			for (k = 0; k < N_FIGURE; k++) {
				if (t == 3)
					soon[k][i] = figure(&s.now, k) - before[k];
				if (t == 15)
					settled[k][i] = figure(&s.now, k) - before[k];
			}
		}
		farm_set(&farm, 0);
	}
	printf("| %d %s |", hogs, kind);
	for (k = 0; k < N_FIGURE; k++) {
		double unit = figures[k].wide ? 1 << 20 : 1, x = median(soon[k], runs);
		double y = median(settled[k], runs);

		printf(" %+.0f%s %+.0f%s |", x / unit,
		       x > figures[k].moved || x < -figures[k].moved ? "*" : "", y / unit,
		       y > figures[k].moved || y < -figures[k].moved ? "*" : "");
	}
	printf("\n");
	sampler_close(&s);
}

static int number(const char *text, int most)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (*end || n < 0 || n > most) {
		fprintf(stderr, "load: \"%s\": expected a number up to %d\n", text, most);
		exit(2);
	}
	return (int)n;
}

int main(int argc, char **argv)
{
	if (argc == 8 && !strcmp(argv[1], "slow")) {
		slow(argv[2], number(argv[3], MAX_HOGS), KERF_MAX(1, number(argv[4], 64)),
		     number(argv[5], CPU_SETSIZE), (uint64_t)number(argv[6], 100000),
		     KERF_MAX(1, number(argv[7], MAX_RUNS)));
	} else if (argc == 5 && !strcmp(argv[1], "step")) {
		step(argv[2], number(argv[3], MAX_HOGS), KERF_MAX(1, number(argv[4], MAX_RUNS)));
	} else if (argc == 2 && !strcmp(argv[1], "names")) {
		int k;

		for (k = 0; k < N_FIGURE; k++)
			printf(" %s |", figures[k].name);
		printf("\n");
	} else {
		fprintf(stderr, "usage: load slow KIND N THREADS CPUS MS RUNS\n"
				"       load step KIND N RUNS\n       load names\n");
		return 2;
	}
	return 0;
}
