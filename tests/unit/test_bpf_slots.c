// SPDX-License-Identifier: MIT
/*
 * Records of links come back however a connection ends, and nothing of the programs is left however
 * their process ends.
 */
#ifdef WITH_BPF

#include "bpf_links.h"

/* --- records come back --- */

#define END_WAYS 6

static void end_pair(struct pair p, int way)
{
	struct linger hard = {.l_onoff = 1};
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	char c = 'x';

	switch (way) {
	case 0: /* the client first, the server later */
		close(p.client);
		assert_int_equal(read(p.server, &c, 1), 0);
		close(p.server);
		return;
	case 1: /* RST */
		setsockopt(p.client, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
		break;
	case 2: /* half closed, then the rest */
		shutdown(p.server, SHUT_WR);
		assert_int_equal(read(p.client, &c, 1), 0);
		break;
	case 3: /* with data nobody reads: RST from the server's end */
		assert_int_equal(write(p.client, &c, 1), 1);
		close(p.server);
		close(p.client);
		return;
	case 4: /* dissolved, the socket stays */
		connect(p.client, &none, sizeof(none));
		break;
	case 5: /* both at once */
		shutdown(p.client, SHUT_RDWR);
		shutdown(p.server, SHUT_RDWR);
		break;
	}
	pair_close(p);
}

struct churn {
	uint32_t n;
	int cpu;
	pthread_t thread;
};

static void *churn(void *arg)
{
	struct churn *c = arg;
	cpu_set_t set;
	uint16_t port;
	uint32_t i;
	int l = listener(AF_INET, &port);

	CPU_ZERO(&set);
	CPU_SET(c->cpu, &set);
	sched_setaffinity(0, sizeof(set), &set); /* where it runs matters to nothing but speed */
	for (i = 0; i < c->n; i++) {
		if (i % 50 == 49) { /* never accepted: ended by the listener's end */
			int fd = connect_to(AF_INET, port);

			close(l);
			close(fd);
			l = listener(AF_INET, &port);
		} else {
			end_pair(pair_open(l, AF_INET, port), (int)(i % END_WAYS));
		}
	}
	close(l);
	return NULL;
}

struct watch {
	const struct fixture *f;
	bool stop;
	uint64_t read, torn, wrong;
	pthread_t thread;
};

/* A record that was read is whole: all of it of one connection. */
static void *watch(void *arg)
{
	struct watch *w = arg;
	struct kerf_link_rec rec;
	uint32_t i = 0;

	while (!__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE)) {
		i = (i + 1) % KERF_STATE_LINKS;
		if (!kerf_record_read(&w->f->links[i], &rec, sizeof(rec))) {
			w->torn++;
			continue;
		}
		w->read++;
		if (rec.life == KERF_LINK_LIVE &&
		    (!rec.cookie || rec.family != AF_INET || !rec.local_port || !rec.remote_port ||
		     rec.updated_ns < rec.established_ns))
			w->wrong++;
	}
	return NULL;
}

static void churn_all(const struct fixture *f, uint32_t connections)
{
	struct watch w = {.f = f};
	struct churn c[4];
	size_t i;

	assert_int_equal(pthread_create(&w.thread, NULL, watch, &w), 0);
	for (i = 0; i < KERF_ARRAY_SIZE(c); i++) {
		c[i].n = connections / KERF_ARRAY_SIZE(c);
		c[i].cpu = (int)(i % (size_t)sysconf(_SC_NPROCESSORS_ONLN));
		assert_int_equal(pthread_create(&c[i].thread, NULL, churn, &c[i]), 0);
	}
	for (i = 0; i < KERF_ARRAY_SIZE(c); i++)
		assert_int_equal(pthread_join(c[i].thread, NULL), 0);
	__atomic_store_n(&w.stop, true, __ATOMIC_RELEASE);
	assert_int_equal(pthread_join(w.thread, NULL), 0);
	assert_int_equal(w.wrong, 0);
	assert_true(w.read > 10 * w.torn);
}

/* Both ends are ours: two records each. */
#define PAIRS (KERF_STATE_LINKS / 2)

/* Every record is free: so many connections find one, and the next does not. */
static void check_all_free(const struct fixture *f, int l, uint16_t port)
{
	uint64_t missed = kerf_bpf_missed(f->bpf, f->object);
	struct pair p[PAIRS], more;
	struct kerf_link_rec rec;
	int i;

	wait_live(f, 0);
	for (i = 0; i < PAIRS; i++)
		p[i] = pair_open(l, AF_INET, port);
	assert_int_equal(live(f), KERF_STATE_LINKS);
	assert_int_equal(kerf_bpf_missed(f->bpf, f->object), missed);
	for (i = 0; i < PAIRS; i++) {
		get(f, p[i].client);
		get(f, p[i].server);
	}
	more = pair_open(l, AF_INET, port);
	assert_true(kerf_bpf_missed(f->bpf, f->object) >= missed + 2);
	assert_false(find(f, cookie_of(more.client), &rec));
	/* It has one as soon as there is one. */
	pair_close(p[0]);
	wait_live(f, KERF_STATE_LINKS - 2);
	ping(more);
	ping(more);
	assert_int_equal(get(f, more.client).passive, 0);
	assert_int_equal(get(f, more.server).passive, 1);
	pair_close(more);
	for (i = 1; i < PAIRS; i++)
		pair_close(p[i]);
	wait_live(f, 0);
}

static void test_churn(void **state)
{
	struct fixture *f = *state;
	struct pair p[PAIRS];
	uint16_t port;
	int i, l;

	attach(f, NULL);
	l = listener(AF_INET, &port);
	for (i = 0; i < PAIRS - 16; i++)
		p[i] = pair_open(l, AF_INET, port);
	churn_all(f, 10000);
	wait_live(f, 2 * (PAIRS - 16));
	for (i = 0; i < PAIRS - 16; i++)
		get(f, p[i].client);
	/* And with none free */
	for (i = PAIRS - 16; i < PAIRS; i++)
		p[i] = pair_open(l, AF_INET, port);
	churn_all(f, 1000);
	for (i = 0; i < PAIRS; i++) {
		get(f, p[i].client);
		get(f, p[i].server);
		pair_close(p[i]);
	}
	check_all_free(f, l, port);
	close(l);
}

/* A process with connections in every state is killed. */
static void test_killed_peer(void **state)
{
	struct fixture *f = *state;
	int ready[2], l, i;
	uint16_t port;
	pid_t pid;
	char c;

	attach(f, NULL);
	l = listener(AF_INET, &port);
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (i = 0; i < 40; i++) {
			struct pair p = pair_open(l, AF_INET, port);

			if (i % 4 == 1)
				shutdown(p.client, SHUT_WR);
			else if (i % 4 == 2)
				shutdown(p.server, SHUT_WR);
			else if (i % 4 == 3)
				close(p.server);
		}
		connect_to(AF_INET, port); /* in the listener's queue */
		_exit(write(ready[1], "x", 1) == 1 && pause() ? 0 : 1);
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	assert_true(live(f) >= 20);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(ready[0]);
	close(ready[1]);
	close(l); /* with what it had queued */
	l = listener(AF_INET, &port);
	check_all_free(f, l, port);
	close(l);
}

/* Connections older than the program are no one's; they end without harm. */
static void test_attached_late(void **state)
{
	struct fixture *f = *state;
	struct kerf_err err = {0};
	struct kerf_cgroup *c;
	struct pair p[20];
	uint16_t port;
	int i, l;

	if (kerf_cgroup_open(NULL, &c, &err)) {
		print_message("skipped: %s\n", err.msg);
		skip();
	}
	l = listener(AF_INET, &port);
	for (i = 0; i < 20; i++)
		p[i] = pair_open(l, AF_INET, port);
	attach(f, kerf_cgroup_path(c));
	for (i = 0; i < 20; i++) {
		ping(p[i]);
		end_pair(p[i], i % END_WAYS);
	}
	check_all_free(f, l, port);
	close(l);
	kerf_bpf_close(f->bpf);
	f->bpf = NULL;
	kerf_cgroup_close(c);
}

/* --- nothing is left --- */

struct left {
	char cgroup[4096];
	uint32_t map_id;
};

static uint32_t attached_to(const char *cgroup)
{
	uint32_t ids[8], n = KERF_ARRAY_SIZE(ids), flags;
	int fd = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(bpf_prog_query(fd, BPF_CGROUP_SOCK_OPS, 0, &flags, ids, &n), 0);
	close(fd);
	return n;
}

static void child(struct fixture *f, int out)
{
	struct bpf_map_info info = {0};
	uint32_t n = sizeof(info);
	struct left left = {0};
	size_t size;
	int fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	attach(f, NULL);
	snprintf(left.cgroup, sizeof(left.cgroup), "%s", kerf_cgroup_path(f->bpf->cgroup));
	kerf_bpf_region(f->bpf, KERF_REGION_LINKS, &fd, &size);
	if (bpf_obj_get_info_by_fd(fd, &info, &n))
		_exit(1);
	left.map_id = info.id;
	_exit(write(out, &left, sizeof(left)) == sizeof(left) && pause() ? 0 : 1);
}

static void test_killed_owner(void **state)
{
	struct fixture *f = *state;
	const char *why = impossible(f->object);
	uint64_t end = kerf_now_ns() + PATIENCE;
	struct left left;
	int ready[2], fd;
	pid_t pid;

	if (why) {
		print_message("skipped: %s\n", why);
		skip();
	}
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		child(f, ready[1]);
	assert_int_equal(read(ready[0], &left, sizeof(left)), sizeof(left));
	assert_int_equal(attached_to(left.cgroup), 1);
	fd = bpf_map_get_fd_by_id(left.map_id);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(ready[0]);
	close(ready[1]);
	while (attached_to(left.cgroup) && kerf_now_ns() < end)
		usleep(10000);
	assert_int_equal(attached_to(left.cgroup), 0);
	while ((fd = bpf_map_get_fd_by_id(left.map_id)) >= 0 && kerf_now_ns() < end) {
		close(fd);
		usleep(10000);
	}
	assert_true(fd < 0);
	/* The folder is found and removed by the next one. */
	attach(f, NULL);
	assert_int_equal(access(left.cgroup, F_OK), -1);
	snprintf(left.cgroup, sizeof(left.cgroup), "%s", kerf_cgroup_path(f->bpf->cgroup));
	kerf_bpf_close(f->bpf);
	f->bpf = NULL;
	assert_int_equal(access(left.cgroup, F_OK), -1);
}

/* Two in one process, closed in the order in which they were opened. */
static void test_two(void **state)
{
	struct fixture *f = *state, other = *f;
	char path[4096];
	uint16_t port;
	struct pair p;
	int l;

	attach(f, NULL);
	snprintf(path, sizeof(path), "%s", kerf_cgroup_path(f->bpf->cgroup));
	attach(&other, NULL);
	kerf_bpf_close(f->bpf);
	f->bpf = NULL;
	l = listener(AF_INET, &port);
	p = pair_open(l, AF_INET, port);
	get(&other, p.client);
	get(&other, p.server);
	pair_close(p);
	close(l);
	wait_live(&other, 0);
	kerf_bpf_close(other.bpf);
	assert_int_equal(access(path, F_OK), -1);
}

int main(void)
{
	static struct fixture on[2] = {{.object = KERF_BPF_LINK}, {.object = KERF_BPF_LINK_CORE}};
	const struct CMUnitTest tests[] = {
		BOTH(test_churn),	 BOTH(test_killed_peer), BOTH(test_attached_late),
		BOTH(test_killed_owner), BOTH(test_two),
	};

	signal(SIGPIPE, SIG_IGN);
	enter_netns();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_none(void **state)
{
	print_message("skipped: built without BPF\n");
	skip();
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_none)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
