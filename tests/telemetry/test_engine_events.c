/* SPDX-License-Identifier: MIT */
/*
 * Engines as trace events tell them, against what the kernel says of itself: kerf's own module,
 * and the GPU scheduler by way of tests/kernel/gpu_jobs. As root, in a guest.
 *
 * KERF_RELOAD=1: the module may be taken out first, to be waited for.
 */
#include "telemetry/engine_load.h"
#include "telemetry/source.h"

#include "sim_test.h"

#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#define MS 1000000ll
#define SOON_S 20 /* far more than anything takes: not a measurement */

static struct kerf_bpf *bpf;
static const struct kerf_engine_rec *recs;
static char waited_for[256]; /* what the engine's programs said while there was no module */
static bool came_later;
static char gpu[64]; /* folder of the parameters of gpu_jobs or gpu_jobs_new; empty: neither */

/* --- Reading --- */

static const struct kerf_engine_rec *find(uint32_t kind, uint32_t device, uint32_t index,
					  const char *name)
{
	int i;

	for (i = 0; i < KERF_STATE_ENGINES; i++)
		if (recs[i].kind == kind && recs[i].device == device &&
		    (name ? !strcmp(recs[i].name, name) : recs[i].index == index))
			return &recs[i];
	return NULL;
}

static struct kerf_engine_rec look(const struct kerf_engine_rec *rec)
{
	static const struct kerf_engine_rec none;

	return rec ? *rec : none;
}

static uint64_t waiting(const struct kerf_engine_rec *r)
{
	return r->queued - r->started - r->dropped;
}

static uint64_t running(const struct kerf_engine_rec *r)
{
	return r->started - r->done;
}

/*
 * Until w jobs wait and r run, and nothing changes: a look may come between two counters of one
 * event. The record then.
 */
static struct kerf_engine_rec settle(const struct kerf_engine_rec *rec, uint64_t w, uint64_t r)
{
	int64_t end = kt_now() + SOON_S * 1000 * MS;
	struct kerf_engine_rec before, now = look(rec);

	do {
		before = now;
		usleep(2000);
		now = look(rec);
	} while ((waiting(&now) != w || running(&now) != r ||
		  memcmp(&before, &now, sizeof(now)) != 0) &&
		 kt_now() < end);
	EXPECT_EQ(w, waiting(&now));
	EXPECT_EQ(r, running(&now));
	EXPECT_EQ(r != 0, (int64_t)now.occupied_ns < 0);
	return now;
}

static uint32_t node_minor(int fd)
{
	struct stat st;

	REQUIRE(!fstat(fd, &st));
	return minor(st.st_rdev);
}

/* The record of the sim engine of fd, which has run a job by then */
static const struct kerf_engine_rec *sim_record(int fd, uint32_t engine)
{
	const struct kerf_engine_rec *rec;
	uint32_t q = sim_queue(fd, engine, KERF_PRIORITY_NORMAL);

	REQUIRE_OK(kt_submit_sim(fd, q, 0, NULL));
	EXPECT_EQ(0, sim_status(fd, q, 1));
	rec = find(KERF_ENGINE_QUEUE, node_minor(fd), engine, NULL);
	REQUIRE(rec);
	EXPECT_EQ(KERF_SOURCE_BPF, rec->source);
	return rec;
}

static void need(enum kerf_bpf_object o)
{
	const char *why = kerf_bpf_why(bpf, o);

	if (!why)
		return;
	if (strstr(why, "not in this build"))
		ktap_skip("%s", why);
	if (syscall(SYS_bpf, -1, NULL, 0) < 0 && errno == ENOSYS)
		ktap_skip("this kernel has no bpf()");
	ktap_note("%s: %s", kerf_bpf_name(o), why);
	if (kerf_bpf_log(bpf, o))
		ktap_note("%s", kerf_bpf_log(bpf, o));
	REQUIRE(!why);
}

/* --- kerf's module --- */

static void the_module_may_come_later(void)
{
	need(KERF_BPF_ENGINE);
	if (!waited_for[0])
		ktap_skip("the module is not to be taken out here (KERF_RELOAD)");
	EXPECT(strstr(waited_for, "not loaded"));
	EXPECT(came_later);
	/* While programs are attached, it stays. */
	EXPECT(syscall(SYS_delete_module, "kerf", O_NONBLOCK) < 0);
	EXPECT(errno == EBUSY || errno == EWOULDBLOCK);
	EXPECT(!kerf_bpf_retry(bpf));
}

static void counters_are_the_kernel_s_own(void)
{
	enum { JOBS = 40 };
	struct kerf_engine_rec before, after;
	const struct kerf_engine_rec *rec;
	struct drm_kerf_engine_info info, later;
	struct drm_kerf_queue_state state;
	uint32_t engine, q;
	int fd;

	need(KERF_BPF_ENGINE);
	fd = sim_open(&engine);
	rec = sim_record(fd, engine);
	before = settle(rec, 0, 0);
	REQUIRE_OK(kt_engine_info(fd, engine, &info));
	q = sim_queue(fd, engine, KERF_PRIORITY_NORMAL);
	for (int i = 0; i < JOBS; i++)
		REQUIRE_OK(kt_submit_sim(fd, q, i % 4 ? 500 : 0, NULL));
	EXPECT_EQ(0, sim_status(fd, q, JOBS));
	after = settle(rec, 0, 0);
	REQUIRE_OK(kt_engine_info(fd, engine, &later));
	REQUIRE_OK(kt_queue_state(fd, q, &state));
	EXPECT_EQ(before.queued + JOBS, after.queued);
	EXPECT_EQ(before.started + JOBS, after.started);
	EXPECT_EQ(before.done + JOBS, after.done);
	EXPECT_EQ(before.dropped, after.dropped);
	EXPECT_EQ(before.errors, after.errors);
	EXPECT_EQ(state.busy_ns, after.busy_ns - before.busy_ns);
	EXPECT_EQ(later.busy_ns - info.busy_ns, after.busy_ns - before.busy_ns);
	EXPECT(after.wait_ns > before.wait_ns);
	/* One job at a time: the engine was occupied as long as they kept it busy, but for gaps. */
	ktap_note("busy %.1f ms, occupied %.1f ms", (double)state.busy_ns * 1e-6,
		  (double)(after.occupied_ns - before.occupied_ns) * 1e-6);
	EXPECT(after.occupied_ns - before.occupied_ns >= state.busy_ns / 2);
}

/* A saturated queue moves the figures of its engine, and of no other. */
static void figures_of_a_saturated_queue(void)
{
	static struct kerf_engine_window window;
	struct kerf_engine_load *l = NULL, other;
	struct kerf_node_load load;
	const struct kerf_engine_rec *rec, *idle;
	uint32_t engine, idle_engine, q, idle_q;
	char name[64], idle_name[64];
	int64_t begin, moved = 0;
	int fd, idle_fd, server;

	need(KERF_BPF_ENGINE);
	fd = sim_open(&engine);
	rec = sim_record(fd, engine);
	/* One with a job that nobody does, and one behind it */
	server = sim_idle_server(&idle_engine);
	idle_fd = kt_open(KERF_ENGINE_USER);
	idle_q = sim_queue(idle_fd, idle_engine, KERF_PRIORITY_NORMAL);
	REQUIRE_OK(kt_submit_sim(idle_fd, idle_q, 0, NULL));
	REQUIRE_OK(kt_submit_sim(idle_fd, idle_q, 0, NULL));
	idle = find(KERF_ENGINE_QUEUE, node_minor(idle_fd), idle_engine, NULL);
	settle(idle, 1, 1);
	snprintf(name, sizeof(name), "queue:%u.%u", node_minor(fd), engine);
	snprintf(idle_name, sizeof(idle_name), "queue:%u.%u", node_minor(idle_fd), idle_engine);
	settle(rec, 0, 0);

	q = sim_queue(fd, engine, KERF_PRIORITY_NORMAL);
	kerf_engine_window_end(&window, recs, KERF_STATE_ENGINES, kt_now(), &load);
	begin = kt_now();
	for (int i = 0; i < 300; i++)
		REQUIRE_OK(kt_submit_sim(fd, q, 100000, NULL));
	/* Windows as telemetry has them, for a second; the jobs would take thirty. */
	memset(&other, 0, sizeof(other));
	while (kt_now() < begin + 1000 * MS) {
		usleep(50000);
		kerf_engine_window_end(&window, recs, KERF_STATE_ENGINES, kt_now(), &load);
		l = NULL;
		for (int i = 0; i < load.n_engine; i++) {
			if (!strcmp(load.engine[i].name, name))
				l = &load.engine[i];
			if (!strcmp(load.engine[i].name, idle_name))
				other = load.engine[i];
		}
		REQUIRE(l);
		if (!moved && l->depth && l->running && l->busy_permille)
			moved = kt_now() - begin;
		/* The other's are what they were: one waits, one occupies it. */
		EXPECT_EQ(1, other.depth);
		EXPECT_EQ(1, other.running);
		EXPECT_EQ(1000, other.busy_permille);
		EXPECT_EQ(0, other.jobs);
	}
	REQUIRE(l);
	EXPECT(moved);
	ktap_note("depth, running and busy moved %.0f ms after the first job was queued",
		  (double)moved * 1e-6);
	EXPECT_EQ(1, l->running);
	EXPECT(l->depth > 0 && l->depth < 300);
	EXPECT(l->busy_permille > 500 && l->busy_permille <= 1000);
	EXPECT(l->wait_us > 0 && l->wait_us < 30000000);
	EXPECT_EQ(0, l->errors - (uint64_t)look(rec).errors);
	REQUIRE_OK(kt_queue_destroy(fd, q));
	settle(rec, 0, 0);
	/* Without its server it ends, and so do the jobs. */
	close(server);
	settle(idle, 0, 0);
}

static void errors_and_what_they_cancel(void)
{
	struct kerf_engine_rec before, after;
	const struct kerf_engine_rec *rec;
	struct sim_job job = {.us = 10000000, .timeout_ms = 1};
	uint32_t engine, q;
	int fd;

	need(KERF_BPF_ENGINE);
	fd = sim_open(&engine);
	rec = sim_record(fd, engine);
	before = settle(rec, 0, 0);
	q = sim_queue(fd, engine, KERF_PRIORITY_NORMAL);
	for (int i = 0; i < 4; i++)
		sim_submit(fd, q, &job, NULL); /* the queue may be at its end before the last */
	EXPECT_EQ(-ETIME, sim_status(fd, q, 1));
	after = settle(rec, 0, 0);
	EXPECT_EQ(before.errors + 1, after.errors);
	EXPECT_EQ(before.done + 1, after.done);
	EXPECT_EQ(after.queued - before.queued, 1 + after.dropped - before.dropped);
}

/* A reset puts another's job back into the line. */
static void a_job_that_runs_again(void)
{
	const struct kerf_engine_rec *rec;
	struct sim_job job = {.us = 10000000, .timeout_ms = 1};
	struct drm_kerf_engine_info info;
	uint32_t engine, a, b;
	int fd;

	need(KERF_BPF_ENGINE);
	fd = sim_open(&engine);
	REQUIRE_OK(kt_engine_info(fd, engine, &info));
	if (info.depth < 2)
		ktap_skip("sim_depth is 1");
	rec = sim_record(fd, engine);
	a = sim_queue(fd, engine, KERF_PRIORITY_NORMAL);
	b = sim_queue(fd, engine, KERF_PRIORITY_NORMAL);
	REQUIRE_OK(kt_submit_sim(fd, b, 300000, NULL));
	settle(rec, 0, 1);
	sim_fault("hang", 1);
	REQUIRE_OK(sim_submit(fd, a, &job, NULL));
	EXPECT_EQ(-ETIME, sim_status(fd, a, 1));
	settle(rec, 0, 1);
	EXPECT_EQ(0, sim_status(fd, b, 1));
	settle(rec, 0, 0);
}

static pid_t client(uint32_t us, int jobs)
{
	pid_t pid = fork();

	REQUIRE(pid >= 0);
	if (!pid) {
		uint32_t engine, q;
		int fd = kt_open(KERF_ENGINE_SIM);

		engine = kt_engine(fd, KERF_ENGINE_SIM);
		q = sim_queue(fd, engine, KERF_PRIORITY_NORMAL);
		for (int i = 0; i < jobs; i++)
			REQUIRE_OK(kt_submit_sim(fd, q, us, NULL));
		for (;;)
			pause();
	}
	return pid;
}

static void a_killed_client_leaves_nothing(void)
{
	enum { JOBS = 200 };
	struct kerf_engine_rec before, after;
	const struct kerf_engine_rec *rec;
	uint32_t engine;
	pid_t pid;
	int fd;

	need(KERF_BPF_ENGINE);
	fd = sim_open(&engine);
	rec = sim_record(fd, engine);
	before = settle(rec, 0, 0);
	pid = client(1000000, JOBS);
	settle(rec, JOBS - 1, 1);
	kill(pid, SIGKILL);
	REQUIRE(waitpid(pid, NULL, 0) == pid);
	after = settle(rec, 0, 0);
	EXPECT_EQ(before.queued + JOBS, after.queued);
	EXPECT_EQ(before.errors, after.errors);
	EXPECT_EQ(JOBS, after.done - before.done + after.dropped - before.dropped);
	EXPECT(after.dropped - before.dropped >= JOBS - 2);
}

/* Programs that come while jobs wait and run know both at the next event. */
static void attached_in_the_middle(void)
{
	const struct kerf_bpf_config cfg = {.best = KERF_SOURCE_BPF};
	const struct kerf_engine_rec *rec;
	uint32_t engine, a, b;
	struct kerf_bpf *late;
	int fd, server, map;
	size_t size;

	need(KERF_BPF_ENGINE);
	server = sim_idle_server(&engine);
	fd = kt_open(KERF_ENGINE_USER);
	a = sim_queue(fd, engine, KERF_PRIORITY_NORMAL);
	b = sim_queue(fd, engine, KERF_PRIORITY_NORMAL);
	for (int i = 0; i < 5; i++)
		REQUIRE_OK(kt_submit_sim(fd, a, 0, NULL));
	settle(find(KERF_ENGINE_QUEUE, node_minor(fd), engine, NULL), 4, 1);
	REQUIRE_OK(kerf_bpf_open(&cfg, &late, NULL));
	recs = kerf_bpf_region(late, KERF_REGION_ENGINES, &map, &size);
	REQUIRE(recs && !kerf_bpf_why(late, KERF_BPF_ENGINE));
	EXPECT(!find(KERF_ENGINE_QUEUE, node_minor(fd), engine, NULL));
	REQUIRE_OK(kt_submit_sim(fd, b, 0, NULL));
	rec = find(KERF_ENGINE_QUEUE, node_minor(fd), engine, NULL);
	REQUIRE(rec);
	settle(rec, 5, 1);
	REQUIRE_OK(kt_queue_destroy(fd, a));
	settle(rec, 1, 1);
	close(server);
	settle(rec, 0, 0);
	EXPECT_EQ(6, rec->queued);
	kerf_bpf_close(late);
}

/* --- The GPU scheduler --- */

static void gpu_write(const char *what, const char *fmt, ...)
{
	char path[64], text[64];
	va_list ap;
	int fd;

	snprintf(path, sizeof(path), "%.40s/%s", gpu, what);
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	REQUIRE(fd >= 0);
	REQUIRE(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

/* An engine of gpu_jobs, idle, which has run a job by then */
static const struct kerf_engine_rec *gpu_record(uint32_t engine)
{
	const struct kerf_engine_rec *rec;
	char name[32];

	if (!gpu[0])
		ktap_skip("gpu_jobs is not loaded");
	need(KERF_BPF_GPU);
	snprintf(name, sizeof(name), "gpu_jobs.%u", engine);
	gpu_write("run", "%u 1 0 0", engine);
	rec = find(KERF_ENGINE_DRM, 0, 0, name);
	REQUIRE(rec);
	EXPECT_EQ(KERF_SOURCE_BTF, rec->source);
	settle(rec, 0, 0);
	gpu_write("kill", "%u", engine);
	return rec;
}

static void gpu_jobs_are_counted(void)
{
	enum { JOBS = 30, US = 5000 };
	const struct kerf_engine_rec *rec = gpu_record(0), *other = gpu_record(1);
	struct kerf_engine_rec before = look(rec), beside = look(other), after;
	int64_t begin = kt_now(), wall;

	gpu_write("run", "0 %d %d 0", JOBS, US);
	after = settle(rec, 0, 0);
	wall = kt_now() - begin;
	EXPECT_EQ(before.queued + JOBS, after.queued);
	EXPECT_EQ(before.started + JOBS, after.started);
	EXPECT_EQ(before.done + JOBS, after.done);
	EXPECT_EQ(before.dropped, after.dropped);
	EXPECT_EQ(before.errors, after.errors);
	EXPECT(after.busy_ns - before.busy_ns >= JOBS * US * 1000ull);
	EXPECT(after.busy_ns - before.busy_ns <= (uint64_t)wall);
	EXPECT(after.occupied_ns - before.occupied_ns >= JOBS * US * 1000ull);
	EXPECT(after.occupied_ns - before.occupied_ns <= (uint64_t)wall);
	/* Each waited for those before it. */
	EXPECT(after.wait_ns - before.wait_ns >= (uint64_t)JOBS * (JOBS - 1) / 2 * US * 1000);
	EXPECT(!memcmp(&beside, other, sizeof(beside)));
	gpu_write("kill", "0");
}

static void gpu_jobs_side_by_side(void)
{
	enum { JOBS = 20 };
	const struct kerf_engine_rec *rec = gpu_record(1);
	struct kerf_engine_rec before = look(rec), after;

	gpu_write("run", "1 %d 300000 0", JOBS / 2);
	gpu_write("run", "1 %d 300000 -5", JOBS / 2);
	settle(rec, JOBS - 2, 2);
	after = settle(rec, 0, 0);
	EXPECT_EQ(before.done + JOBS, after.done);
	EXPECT_EQ(before.errors + JOBS / 2, after.errors);
	/* Two at a time: jobs are busy longer than the engine is occupied. */
	EXPECT(after.busy_ns - before.busy_ns > after.occupied_ns - before.occupied_ns);
	EXPECT(after.occupied_ns - before.occupied_ns >= JOBS / 2 * 300 * MS);
	gpu_write("kill", "1");
}

static void killed_gpu_clients_leave_nothing(void)
{
	enum { JOBS = 100 };
	const struct kerf_engine_rec *rec = gpu_record(0);
	struct kerf_engine_rec before = look(rec), after;

	gpu_write("run", "0 %d 500000 0", JOBS);
	settle(rec, JOBS - 1, 1);
	gpu_write("kill", "0");
	after = settle(rec, 0, 0);
	EXPECT_EQ(before.queued + JOBS, after.queued);
	EXPECT_EQ(JOBS, after.done - before.done + after.dropped - before.dropped);
	EXPECT(after.dropped - before.dropped >= JOBS - 3);
	EXPECT_EQ(before.errors, after.errors);
}

/* What nothing was lost of: each of the programs had room for all that it saw. */
static void nothing_was_missed(void)
{
	need(KERF_BPF_ENGINE);
	EXPECT_EQ(0, kerf_bpf_missed(bpf, KERF_BPF_ENGINE));
	EXPECT_EQ(0, kerf_bpf_missed(bpf, KERF_BPF_GPU));
}

static const struct ktap_case cases[] = {
	KTAP(the_module_may_come_later),
	KTAP(counters_are_the_kernel_s_own),
	KTAP(figures_of_a_saturated_queue),
	KTAP(errors_and_what_they_cancel),
	KTAP(a_job_that_runs_again),
	KTAP(a_killed_client_leaves_nothing),
	KTAP_SLOW(attached_in_the_middle, 60),
	KTAP(gpu_jobs_are_counted),
	KTAP(gpu_jobs_side_by_side),
	KTAP(killed_gpu_clients_leave_nothing),
	KTAP(nothing_was_missed),
};

/* Attaches what waited as a process without privileges does. */
static bool attach_without_privileges(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct all[2], none[2];
	bool attached;

	if (syscall(SYS_capget, &head, all))
		return false;
	memcpy(none, all, sizeof(none));
	none[0].effective = none[1].effective = 0;
	if (syscall(SYS_capset, &head, none))
		return false;
	attached = kerf_bpf_retry(bpf);
	return !syscall(SYS_capset, &head, all) && attached;
}

int main(int argc, char **argv)
{
	const struct kerf_bpf_config cfg = {.best = KERF_SOURCE_NONE};
	const char *reload = getenv("KERF_RELOAD"), *params = getenv("KERF_TEST_PARAMS");
	bool later = reload && atoi(reload) && !syscall(SYS_delete_module, "kerf", 0);
	char command[160];
	struct kerf_err err;
	size_t size;
	int fd, r;

	for (r = 0; r < 2 && !gpu[0]; r++) {
		snprintf(gpu, sizeof(gpu), "/sys/module/gpu_jobs%s/parameters", r ? "_new" : "");
		if (access(gpu, F_OK))
			gpu[0] = 0;
	}
	if (kerf_bpf_open(&cfg, &bpf, &err)) {
		printf("Bail out! %s\n", err.msg);
		return 1;
	}
	if (later) {
		const char *why = kerf_bpf_why(bpf, KERF_BPF_ENGINE);

		snprintf(waited_for, sizeof(waited_for), "%s", why ? why : "nothing");
		snprintf(command, sizeof(command), "modprobe kerf %s", params ? params : "");
		if (kerf_bpf_retry(bpf) || system(command))
			printf("Bail out! %s\n", command);
		came_later = attach_without_privileges();
	}
	recs = kerf_bpf_region(bpf, KERF_REGION_ENGINES, &fd, &size);
	r = ktap_main(cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
	kerf_bpf_close(bpf);
	return r;
}
