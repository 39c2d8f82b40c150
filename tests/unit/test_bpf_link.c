// SPDX-License-Identifier: MIT
/*
 * Links measured by the real programs on real connections over loopback: figures against TCP_INFO
 * of the same socket, and no record lost however a connection ends. Each case runs on both
 * objects. In a network namespace of its own where that is possible.
 */
#include "telemetry/bpf_priv.h"
#include "telemetry/cgroup.h"
#include "telemetry/record.h"
#include "util/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#ifdef WITH_BPF

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECOND 1000000000ull
#define PATIENCE (10 * SECOND) /* for what must happen; nothing waits this long that works */

static bool own_netns;

struct fixture {
	enum kerf_bpf_object object;
	struct kerf_bpf *bpf;
	const struct kerf_link_rec *links;
};

/* Why no program can be attached here, whatever kerf does; NULL: it must work. */
static const char *impossible(enum kerf_bpf_object o)
{
	struct kerf_bpf_facts f;
	struct kerf_err err = {0};
	struct kerf_cgroup *c;
	static char why[sizeof(err.msg)];
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "try", 4, 4, 1, NULL);

	if (fd < 0)
		return "bpf() does not work here";
	close(fd);
	kerf_bpf_facts(&f);
	if (f.user_ns || !(f.caps & KERF_CAP(KERF_CAP_NET_ADMIN)))
		return "no CAP_NET_ADMIN";
	if (o == KERF_BPF_LINK_CORE && !f.btf)
		return "no BTF";
	if (kerf_cgroup_open(NULL, &c, &err)) {
		snprintf(why, sizeof(why), "%s", err.msg);
		return why;
	}
	kerf_cgroup_close(c);
	return NULL;
}

static void attach(struct fixture *f, const char *cgroup)
{
	struct kerf_bpf_config cfg = {.cgroup = cgroup};
	struct kerf_err err = {0};
	const char *why = impossible(f->object);
	size_t size;
	int fd;

	if (why) {
		print_message("skipped: %s\n", why);
		skip();
	}
	if (f->object == KERF_BPF_LINK)
		cfg.best = KERF_SOURCE_BPF;
	assert_int_equal(kerf_bpf_open(&cfg, &f->bpf, &err), 0);
	if (kerf_bpf_why(f->bpf, f->object))
		fail_msg("%s: %s\n%s", kerf_bpf_name(f->object), kerf_bpf_why(f->bpf, f->object),
			 kerf_bpf_log(f->bpf, f->object));
	f->links = kerf_bpf_region(f->bpf, KERF_REGION_LINKS, &fd, &size);
	assert_non_null(f->links);
	assert_true(size >= KERF_STATE_LINKS * sizeof(*f->links));
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	kerf_bpf_close(f->bpf);
	f->bpf = NULL;
	return 0;
}

/* --- connections --- */

static int listener(int family, uint16_t *port)
{
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
	struct sockaddr_in a4 = {.sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = family == AF_INET ? sizeof(a4) : sizeof(a6);
	void *a = family == AF_INET ? (void *)&a4 : (void *)&a6;
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, a, n), 0);
	assert_int_equal(listen(fd, 64), 0);
	assert_int_equal(getsockname(fd, a, &n), 0);
	*port = ntohs(family == AF_INET ? a4.sin_port : a6.sin6_port);
	return fd;
}

static int connect_to(int family, uint16_t port)
{
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback,
				  .sin6_port = htons(port)};
	struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_port = htons(port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, family == AF_INET ? (void *)&a4 : (void *)&a6,
				 family == AF_INET ? sizeof(a4) : sizeof(a6)), 0);
	return fd;
}

struct pair {
	int client, server;
};

static struct pair pair_open(int listen_fd, int family, uint16_t port)
{
	struct pair p = {.client = connect_to(family, port)};

	p.server = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
	assert_true(p.server >= 0);
	return p;
}

static void pair_close(struct pair p)
{
	close(p.client);
	close(p.server);
}

static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t n = sizeof(cookie);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &n), 0);
	return cookie;
}

static struct tcp_info info_of(int fd)
{
	struct tcp_info info = {0};
	socklen_t n = sizeof(info);

	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n), 0);
	return info;
}

/* A byte there and one back. */
static void ping(struct pair p)
{
	char c = 'x';

	assert_int_equal(write(p.client, &c, 1), 1);
	assert_int_equal(read(p.server, &c, 1), 1);
	assert_int_equal(write(p.server, &c, 1), 1);
	assert_int_equal(read(p.client, &c, 1), 1);
}

/* --- records --- */

static uint32_t live(const struct fixture *f)
{
	uint32_t i, n = 0;

	for (i = 0; i < KERF_STATE_LINKS; i++)
		n += __atomic_load_n(&f->links[i].life, __ATOMIC_ACQUIRE) == KERF_LINK_LIVE;
	return n;
}

static void wait_live(const struct fixture *f, uint32_t want)
{
	uint64_t end = kerf_now_ns() + PATIENCE;

	while (live(f) != want && kerf_now_ns() < end)
		usleep(1000);
	assert_int_equal(live(f), want);
}

/* Of the connection with that cookie; one record only. */
static bool find(const struct fixture *f, uint64_t cookie, struct kerf_link_rec *rec)
{
	struct kerf_link_rec copy;
	uint32_t i, n = 0;

	for (i = 0; i < KERF_STATE_LINKS; i++) {
		assert_true(kerf_record_read(&f->links[i], &copy, sizeof(copy)));
		if (copy.life != KERF_LINK_LIVE || copy.cookie != cookie)
			continue;
		*rec = copy;
		n++;
	}
	assert_true(n <= 1);
	return n;
}

static struct kerf_link_rec get(const struct fixture *f, int fd)
{
	struct kerf_link_rec rec;

	if (!find(f, cookie_of(fd), &rec))
		fail_msg("no record of the connection");
	return rec;
}

/* --- cases --- */

static void check_ends(const struct fixture *f, int family)
{
	uint8_t want[16] = {127, 0, 0, 1};
	uint16_t port;
	int l = listener(family, &port);
	struct pair p = pair_open(l, family, port);
	struct kerf_link_rec c = get(f, p.client), s = get(f, p.server);
	uint64_t now = kerf_now_ns();

	if (family == AF_INET6)
		memcpy(want, &in6addr_loopback, sizeof(want));
	assert_int_equal(c.family, family);
	assert_int_equal(s.family, family);
	assert_memory_equal(c.remote_addr, want, 16);
	assert_memory_equal(s.remote_addr, want, 16);
	assert_int_equal(c.remote_port, port);
	assert_int_equal(s.local_port, port);
	assert_int_equal(c.local_port, s.remote_port);
	assert_int_equal(c.passive, 0);
	assert_int_equal(s.passive, 1);
	assert_int_equal(c.source, f->object == KERF_BPF_LINK ? KERF_SOURCE_BPF : KERF_SOURCE_BTF);
	assert_true(c.established_ns && c.established_ns <= c.updated_ns && c.updated_ns <= now);
	assert_true(now - c.established_ns < PATIENCE);
	pair_close(p);
	close(l);
	wait_live(f, 0);
}

static void test_ends(void **state)
{
	struct fixture *f = *state;

	attach(f, NULL);
	check_ends(f, AF_INET);
	check_ends(f, AF_INET6);
}

static void same(const char *what, uint64_t rec, uint64_t info)
{
	if (rec != info)
		fail_msg("%s: %llu in the record, %llu in TCP_INFO", what, (unsigned long long)rec,
			 (unsigned long long)info);
}

/*
 * The last acknowledgement is that of a byte alone: it ends a round trip, so the record is of
 * that moment, and nothing happens between it and TCP_INFO. But delivery rates are computed after
 * the callback: the record has what TCP_INFO said before that byte.
 */
static void check_figures(const struct fixture *f, struct pair p)
{
	struct kerf_link_rec before = get(f, p.client), rec = before;
	struct tcp_info last = info_of(p.client), now;
	uint64_t end = kerf_now_ns() + PATIENCE;

	ping(p);
	while (rec.updated_ns == before.updated_ns && kerf_now_ns() < end) {
		usleep(1000);
		rec = get(f, p.client);
	}
	now = info_of(p.client);
	assert_true(rec.has & KERF_LINK_HAS_RTT);
	same("bytes_acked", rec.bytes_acked, now.tcpi_bytes_acked);
	same("min_rtt", rec.min_rtt_us, now.tcpi_min_rtt);
	same("cwnd", rec.cwnd_segments, now.tcpi_snd_cwnd);
	same("mss", rec.mss_bytes, now.tcpi_snd_mss);
	same("ssthresh", rec.ssthresh_segments, now.tcpi_snd_ssthresh);
	same("in flight", rec.in_flight_segments, now.tcpi_unacked);
	same("lost", rec.lost_segments, now.tcpi_lost);
	same("retransmits", rec.retransmits, now.tcpi_total_retrans);
	assert_true(rec.has & KERF_LINK_HAS_DELIVERED);
	same("delivered", rec.delivered_segments, now.tcpi_delivered);
	/* Before Linux 6.12 srtt is one sample behind. */
	if (rec.has & KERF_LINK_HAS_RTTVAR && f->object == KERF_BPF_LINK)
		same("srtt", rec.srtt_us, now.tcpi_rtt);
	else if (rec.srtt_us != now.tcpi_rtt)
		same("srtt", rec.srtt_us, last.tcpi_rtt);
	if (last.tcpi_delivery_rate) {
		assert_true(rec.has & KERF_LINK_HAS_RATE);
		same("rate", rec.rate_bytes_s, last.tcpi_delivery_rate);
		assert_true(rec.rate_updated_ns && rec.rate_updated_ns <= rec.updated_ns);
	}
	if (f->object == KERF_BPF_LINK) {
		assert_false(rec.has & (KERF_LINK_HAS_APP_LIMITED | KERF_LINK_HAS_NOTSENT));
		assert_int_equal(rec.app_limited, 0);
		return;
	}
	same("rttvar", rec.rttvar_us, now.tcpi_rttvar);
	assert_true(rec.has & KERF_LINK_HAS_NOTSENT);
	same("notsent", rec.notsent_bytes, now.tcpi_notsent_bytes);
	if (last.tcpi_delivery_rate) {
		assert_true(rec.has & KERF_LINK_HAS_APP_LIMITED);
		same("app_limited", rec.app_limited, last.tcpi_delivery_rate_app_limited);
	}
}

static void *drain(void *arg)
{
	static _Thread_local char buffer[65536];
	size_t left = *(size_t *)arg;
	int fd = ((int *)((size_t *)arg + 1))[0];

	while (left) {
		ssize_t n = read(fd, buffer, KERF_MIN(left, sizeof(buffer)));

		if (n <= 0)
			break;
		left -= (size_t)n;
	}
	return NULL;
}

static void transfer(struct pair p, size_t bytes)
{
	struct {
		size_t bytes;
		int fd;
	} arg = {bytes, p.server};
	char *data = calloc(1, bytes);
	pthread_t t;
	size_t n = 0;

	assert_non_null(data);
	assert_int_equal(pthread_create(&t, NULL, drain, &arg), 0);
	while (n < bytes) {
		ssize_t w = write(p.client, data + n, bytes - n);

		assert_true(w > 0);
		n += (size_t)w;
	}
	assert_int_equal(pthread_join(t, NULL), 0);
	free(data);
}

static void test_figures(void **state)
{
	struct fixture *f = *state;
	uint16_t port;
	struct pair p;
	int i, l;

	attach(f, NULL);
	l = listener(AF_INET, &port);
	p = pair_open(l, AF_INET, port);
	for (i = 0; i < 20; i++) {
		check_figures(f, p);
		if (i % 4 == 3)
			transfer(p, 300000 * (size_t)i);
		ping(p); /* what a transfer left half acknowledged */
		usleep(50000);
	}
	assert_true(get(f, p.client).bytes_acked >= 300000 * 55);
	assert_true(get(f, p.server).bytes_received >= 300000 * 55);
	pair_close(p);
	close(l);
	wait_live(f, 0);
}

/* A reader that does not read: what the sender has in store shows. */
static void test_notsent(void **state)
{
	struct fixture *f = *state;
	static char data[65536];
	struct kerf_link_rec rec;
	struct tcp_info info;
	uint64_t end;
	uint16_t port;
	struct pair p;
	int l;

	attach(f, NULL);
	l = listener(AF_INET, &port);
	p = pair_open(l, AF_INET, port);
	ping(p);
	assert_int_equal(fcntl(p.client, F_SETFL, O_NONBLOCK), 0);
	end = kerf_now_ns() + PATIENCE;
	do { /* a round trip after another, until the window is shut */
		while (write(p.client, data, sizeof(data)) > 0)
			;
		usleep(1000);
		info = info_of(p.client);
		rec = get(f, p.client);
	} while (f->object == KERF_BPF_LINK_CORE && !rec.notsent_bytes && kerf_now_ns() < end);
	assert_true(info.tcpi_notsent_bytes > 0);
	if (f->object == KERF_BPF_LINK_CORE) {
		assert_true(rec.notsent_bytes > 0);
		assert_true(rec.notsent_bytes <= 64u << 20);
	} else {
		assert_int_equal(rec.notsent_bytes, 0);
	}
	pair_close(p);
	close(l);
	wait_live(f, 0);
}

static void loopback_up(bool up)
{
	struct ifreq r = {.ifr_name = "lo"};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, SIOCGIFFLAGS, &r), 0);
	r.ifr_flags = (short)(up ? r.ifr_flags | IFF_UP : r.ifr_flags & ~IFF_UP);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &r), 0);
	close(fd);
}

/* The link is down for a while: time-outs and retransmits are counted. */
static void test_timeouts(void **state)
{
	struct fixture *f = *state;
	struct kerf_link_rec rec;
	struct tcp_info info;
	uint64_t end;
	uint16_t port;
	struct pair p;
	char c = 'x';
	int l;

	if (!own_netns) {
		print_message("skipped: no network namespace of our own\n");
		skip();
	}
	attach(f, NULL);
	l = listener(AF_INET, &port);
	p = pair_open(l, AF_INET, port);
	ping(p);
	assert_int_equal(get(f, p.client).rtos, 0);
	loopback_up(false);
	assert_int_equal(write(p.client, &c, 1), 1);
	end = kerf_now_ns() + PATIENCE;
	do {
		usleep(20000);
		rec = get(f, p.client);
	} while (rec.rtos < 2 && kerf_now_ns() < end);
	assert_true(rec.has & KERF_LINK_HAS_RTO);
	loopback_up(true);
	assert_true(rec.rtos >= 2);
	assert_int_equal(read(p.server, &c, 1), 1);
	ping(p);
	ping(p);
	rec = get(f, p.client);
	info = info_of(p.client);
	same("retransmits", rec.retransmits, info.tcpi_total_retrans);
	pair_close(p);
	close(l);
	wait_live(f, 0);
}

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

static void churn_all(uint32_t connections)
{
	struct churn c[4];
	size_t i;

	for (i = 0; i < KERF_ARRAY_SIZE(c); i++) {
		c[i].n = connections / KERF_ARRAY_SIZE(c);
		c[i].cpu = (int)(i % (size_t)sysconf(_SC_NPROCESSORS_ONLN));
		assert_int_equal(pthread_create(&c[i].thread, NULL, churn, &c[i]), 0);
	}
	for (i = 0; i < KERF_ARRAY_SIZE(c); i++)
		assert_int_equal(pthread_join(c[i].thread, NULL), 0);
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
	churn_all(10000);
	wait_live(f, 2 * (PAIRS - 16));
	for (i = 0; i < PAIRS - 16; i++)
		get(f, p[i].client);
	/* And with none free */
	for (i = PAIRS - 16; i < PAIRS; i++)
		p[i] = pair_open(l, AF_INET, port);
	churn_all(1000);
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

	attach(f, NULL);
	snprintf(path, sizeof(path), "%s", kerf_cgroup_path(f->bpf->cgroup));
	attach(&other, NULL);
	kerf_bpf_close(f->bpf);
	f->bpf = NULL;
	check_ends(&other, AF_INET);
	kerf_bpf_close(other.bpf);
	assert_int_equal(access(path, F_OK), -1);
}

/* Whoever has the descriptor can map it to read, and no more. */
static void test_frozen(void **state)
{
	struct fixture *f = *state;
	struct kerf_link_rec rec = {0};
	uint32_t key = 0;
	size_t size;
	int fd;

	attach(f, NULL);
	kerf_bpf_region(f->bpf, KERF_REGION_LINKS, &fd, &size);
	assert_int_equal(bpf_map_update_elem(fd, &key, &rec, BPF_ANY), -EPERM);
	assert_ptr_equal(mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
}

static void enter_netns(void)
{
	int fd;

	if (unshare(CLONE_NEWNET))
		return;
	own_netns = true;
	loopback_up(true);
	/* bbr, where it is the default, paces what would else be sent at once. */
	fd = open("/proc/sys/net/ipv4/tcp_congestion_control", O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		if (write(fd, "reno", 4) != 4)
			perror("tcp_congestion_control");
		close(fd);
	}
}

int main(void)
{
	static struct fixture on[2] = {{.object = KERF_BPF_LINK}, {.object = KERF_BPF_LINK_CORE}};
#define BOTH(name)                                                                                 \
	{#name " link", name, NULL, teardown, &on[0]}, {#name " link_core", name, NULL, teardown, &on[1]}
	const struct CMUnitTest tests[] = {
		BOTH(test_ends),	 BOTH(test_figures),	   BOTH(test_notsent),
		BOTH(test_timeouts),	 BOTH(test_churn),	   BOTH(test_killed_peer),
		BOTH(test_attached_late), BOTH(test_killed_owner), BOTH(test_two),
		BOTH(test_frozen),
	};

	signal(SIGPIPE, SIG_IGN);
	enter_netns();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

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
