// SPDX-License-Identifier: MIT
/*
 * What the kernel's queues cost and how they share, against an eventfd ping-pong between two
 * processes in the same run. Medians of several runs, taken in turns. usage: bench_queue [sim|npu]
 */
#include <sched.h>
#include <sys/eventfd.h>

#include "kerf_npu.h"
#include "kerf_test.h"

#define RUNS 5
#define PINGS 10000
#define EMPTY_JOBS 100000
#define TRIPS 5000
#define LOW_US 2000
#define HIGH_US 100
#define HIGH_JOBS 1000
#define SHARE_S 10

static uint32_t engine_class = KERF_ENGINE_SIM;

static void die(const char *what, int r)
{
	fprintf(stderr, "bench_queue: %s: %s\n", what, strerror(r < 0 ? -r : errno));
	exit(1);
}

static void must(const char *what, int r)
{
	if (r < 0)
		die(what, r);
}

static double seconds(void)
{
	return kt_now() * 1e-9;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double quantile(double *v, unsigned n, double q)
{
	unsigned i = q * n;

	qsort(v, n, sizeof(*v), compare);
	return v[i < n ? i : n - 1];
}

static double median(double *v, unsigned n)
{
	return quantile(v, n, 0.5);
}

/* --- jobs --- */

struct client {
	int fd;
	uint32_t queue;
	uint32_t priority; /* also the cookie of its jobs */
};

static struct client client(uint32_t priority, uint32_t depth)
{
	struct client c = {.fd = kt_find(engine_class), .priority = priority};

	if (c.fd < 0) {
		printf("# no such engine here\n");
		exit(4);
	}
	must("QUEUE_CREATE",
	     kt_queue_create(c.fd, kt_engine(c.fd, engine_class), priority, depth, &c.queue));
	return c;
}

/* @n jobs that take @us each; waits for room */
static uint64_t put(const struct client *c, uint32_t us, unsigned n)
{
	struct drm_kerf_sim_cmd sim = {.duration_us = us};
	struct kerf_npu_delay npu = {
		.cmd = {.opcode = KERF_NPU_DELAY, .size = sizeof(npu)}, .us = us};
	struct drm_kerf_job jobs[KERF_MAX_SUBMIT_JOBS];
	uint64_t last;
	int r;

	for (unsigned i = 0; i < n; i++) {
		bool is_sim = engine_class == KERF_ENGINE_SIM;

		jobs[i] = (struct drm_kerf_job){.cookie = c->priority};
		if (!us)
			continue;
		jobs[i].cmd = is_sim ? (uintptr_t)&sim : (uintptr_t)&npu;
		jobs[i].cmd_size = is_sim ? sizeof(sim) : sizeof(npu);
	}
	while ((r = kt_submit(c->fd, c->queue, jobs, n, &last)) == -EAGAIN) {
		struct drm_kerf_queue_state state;

		must("QUEUE_STATE", kt_queue_state(c->fd, c->queue, &state));
		must("QUEUE_WAIT", kt_wait(c->fd, c->queue, state.done_seqno + n <= state.last_seqno ?
						state.done_seqno + n : state.last_seqno, -1, NULL));
	}
	must("SUBMIT", r);
	return last;
}

static void wait_for(const struct client *c, uint64_t seqno)
{
	int status;

	must("QUEUE_WAIT", kt_wait(c->fd, c->queue, seqno, -1, &status));
	if (status)
		die("a job", status);
}

/* --- figures --- */

/* On one processor a ping-pong is fastest: no one has to be woken from idle. */
static void stay_on_one_processor(bool stay)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	for (int i = 0; i < (stay ? 1 : CPU_SETSIZE); i++)
		CPU_SET(i, &set);
	must("sched_setaffinity", sched_setaffinity(0, sizeof(set), &set) ? -errno : 0);
}

/* Round trips a second between two processes */
static double ping_pong(void)
{
	int to = eventfd(0, EFD_CLOEXEC), from = eventfd(0, EFD_CLOEXEC);
	uint64_t one = 1, n;
	double start;
	pid_t pid;

	stay_on_one_processor(true);
	pid = fork();
	if (!pid) {
		for (unsigned i = 0; i < PINGS; i++)
			if (read(to, &n, 8) != 8 || write(from, &one, 8) != 8)
				_exit(1);
		_exit(0);
	}
	start = seconds();
	for (unsigned i = 0; i < PINGS; i++)
		if (write(to, &one, 8) != 8 || read(from, &n, 8) != 8)
			die("eventfd", -EIO);
	start = seconds() - start;
	waitpid(pid, NULL, 0);
	stay_on_one_processor(false);
	close(to);
	close(from);
	return PINGS / start;
}

/* Empty jobs a second, 64 a call */
static double batched(void)
{
	struct client c = client(KERF_PRIORITY_NORMAL, KERF_MAX_QUEUE_DEPTH);
	double start = seconds();
	uint64_t last = 0;

	while (last < EMPTY_JOBS)
		last = put(&c, 0, KERF_MAX_SUBMIT_JOBS);
	wait_for(&c, last);
	start = seconds() - start;
	close(c.fd);
	return last / start;
}

/* Empty jobs a second, each waited for */
static double trips(void)
{
	struct client c = client(KERF_PRIORITY_NORMAL, 1);
	double start = seconds();

	for (unsigned i = 0; i < TRIPS; i++)
		wait_for(&c, put(&c, 0, 1));
	start = seconds() - start;
	close(c.fd);
	return TRIPS / start;
}

static void costs(void)
{
	double ping[RUNS], many[RUNS], one[RUNS], ratio[RUNS], trip[RUNS];

	for (unsigned i = 0; i < RUNS; i++) {
		ping[i] = ping_pong();
		many[i] = batched();
		one[i] = trips();
		ratio[i] = many[i] / ping[i];
		trip[i] = ping[i] / one[i];
	}
	printf("eventfd ping-pong %.0f /s, %.1f us\n", median(ping, RUNS), 1e6 / median(ping, RUNS));
	printf("empty job, submit and wait %.0f /s, %.1f us, %.2f ping-pongs\n", median(one, RUNS),
	       1e6 / median(one, RUNS), median(trip, RUNS));
	printf("empty jobs, 64 a submit %.0f /s, %.2f of the ping-pong's rate\n", median(many, RUNS),
	       median(ratio, RUNS));
}

/* Keeps a queue full of jobs of @us until killed. */
static pid_t load(const struct client *c, uint32_t us)
{
	pid_t pid = fork();

	if (!pid)
		for (;;)
			put(c, us, 16);
	return pid;
}

static bool set(const char *name, const char *value)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "/sys/kernel/tracing/%s", name);
	f = fopen(path, "w");
	if (!f)
		return false;
	fputs(value, f);
	return !fclose(f);
}

/* Events in the order in which they came, whatever the processors' clocks say */
static bool trace_on(void)
{
	return set("trace_clock", "counter") && set("buffer_size_kb", "8192") && set("trace", "") &&
	       set("events/kerf/kerf_job_queued/enable", "1") &&
	       set("events/kerf/kerf_job_started/enable", "1");
}

/*
 * From the trace: the kernel's own figure of how long each high job waited, and how many low jobs
 * were started meanwhile. Returns the number of high jobs.
 */
static unsigned traced(double *wait_us, double *lows)
{
	char line[1024];
	bool waiting = false;
	unsigned n = 0, started = 0;
	FILE *f = fopen("/sys/kernel/tracing/trace", "r");

	set("events/kerf/enable", "0");
	while (f && n < HIGH_JOBS && fgets(line, sizeof(line), f)) {
		const char *cookie = strstr(line, " cookie="), *wait = strstr(line, " wait_ns=");
		bool queued = strstr(line, "kerf_job_queued:");

		if (!cookie || !wait)
			continue;
		if (atoi(cookie + 8) != KERF_PRIORITY_HIGH) {
			started += !queued;
		} else if (queued) {
			waiting = true;
			started = 0;
		} else if (waiting) {
			waiting = false;
			wait_us[n] = strtoull(wait + 9, NULL, 10) * 1e-3;
			lows[n++] = started;
		}
	}
	if (f)
		fclose(f);
	return n;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/*
 * How long a high job is there before it starts, while low jobs are always running. That no low job
 * is started meanwhile holds on a machine too busy for its clock to mean much, too.
 */
static void high_waits(void)
{
	static double alone[HIGH_JOBS], loaded[HIGH_JOBS], waits[HIGH_JOBS], lows[HIGH_JOBS];
	struct client c = client(KERF_PRIORITY_HIGH, 4), low = client(KERF_PRIORITY_LOW, 64);
	bool tracing = false;
	unsigned n;

	for (unsigned k = 0; k < 2; k++) {
		double *v = k ? loaded : alone;
		pid_t pid = k ? load(&low, LOW_US) : 0;

		usleep(100000);
		if (k)
			tracing = trace_on();
		for (unsigned i = 0; i < HIGH_JOBS; i++) {
			double start;

			usleep(rand() % (2 * LOW_US));
			start = seconds();
			wait_for(&c, put(&c, HIGH_US, 1));
			v[i] = (seconds() - start) * 1e6;
		}
		if (k)
			end(pid);
	}
	printf("high job of %d us alone, submit to done: p50 %.0f p99 %.0f us\n", HIGH_US,
	       median(alone, HIGH_JOBS), quantile(alone, HIGH_JOBS, 0.99));
	printf("the same beside low jobs of %d us: p50 %.0f p99 %.0f us\n", LOW_US,
	       median(loaded, HIGH_JOBS), quantile(loaded, HIGH_JOBS, 0.99));
	printf("p99 of its wait %.0f us: a low job and %.0f us\n",
	       quantile(loaded, HIGH_JOBS, 0.99) - HIGH_US,
	       quantile(loaded, HIGH_JOBS, 0.99) - HIGH_US - LOW_US);
	n = tracing ? traced(waits, lows) : 0;
	if (n)
		printf("in the kernel, of %u: waited p50 %.0f p99 %.0f us; low jobs started meanwhile: "
		       "p99 %.0f most %.0f\n",
		       n, median(waits, n), quantile(waits, n, 0.99), quantile(lows, n, 0.99),
		       quantile(lows, n, 1));
	close(low.fd);
	close(c.fd);
}

struct shared_busy {
	volatile bool stop;
	volatile uint64_t busy[2];
};

/* Two processes whose jobs take 1 and 5 ms: how the engine's time is parted */
static void shares(void)
{
	static const uint32_t us[2] = {1000, 5000};
	struct shared_busy *s =
		mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid[2];
	double share;

	if (s == MAP_FAILED)
		die("mmap", 0);
	for (unsigned i = 0; i < 2; i++) {
		pid[i] = fork();
		if (!pid[i]) {
			struct client c = client(KERF_PRIORITY_NORMAL, 256);
			struct drm_kerf_queue_state state;

			while (!s->stop)
				put(&c, us[i], 16);
			must("QUEUE_STATE", kt_queue_state(c.fd, c.queue, &state));
			s->busy[i] = state.busy_ns;
			_exit(0);
		}
	}
	sleep(SHARE_S);
	s->stop = true;
	for (unsigned i = 0; i < 2; i++)
		waitpid(pid[i], NULL, 0);
	share = (double)s->busy[0] / (s->busy[0] + s->busy[1]);
	printf("shares of jobs of 1 and 5 ms over %d s: %.1f and %.1f %%, engine busy %.1f %%\n", SHARE_S,
	       100 * share, 100 - 100 * share, (s->busy[0] + s->busy[1]) / (SHARE_S * 1e7));
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "npu"))
		engine_class = KERF_ENGINE_NPU;
	else if (argc > 2 || (argc > 1 && strcmp(argv[1], "sim"))) {
		fprintf(stderr, "usage: bench_queue [sim|npu]\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	costs();
	high_waits();
	shares();
	return 0;
}
