/* SPDX-License-Identifier: MIT */
/*
 * Real connections over loopback, both ends ours, watched by the real programs: what the tests of
 * links have in common. Each case runs on both objects, in a network namespace of its own where
 * that is possible.
 */
#ifndef KERF_TEST_BPF_LINKS_H
#define KERF_TEST_BPF_LINKS_H

#include "telemetry/bpf_priv.h"
#include "telemetry/cgroup.h"
#include "telemetry/record.h"
#include "util/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

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

/* Set by enter_netns() */
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

static inline void attach(struct fixture *f, const char *cgroup)
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

static inline int teardown(void **state)
{
	struct fixture *f = *state;

	kerf_bpf_close(f->bpf);
	f->bpf = NULL;
	return 0;
}

/* --- connections --- */

static inline int listener(int family, uint16_t *port)
{
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
	struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
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

static inline int connect_to(int family, uint16_t port)
{
	struct sockaddr_in6 a6 = {
		.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback, .sin6_port = htons(port)};
	struct sockaddr_in a4 = {.sin_family = AF_INET,
				 .sin_port = htons(port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, family == AF_INET ? (void *)&a4 : (void *)&a6,
				 family == AF_INET ? sizeof(a4) : sizeof(a6)),
			 0);
	return fd;
}

struct pair {
	int client, server;
};

static inline struct pair pair_open(int listen_fd, int family, uint16_t port)
{
	struct pair p = {.client = connect_to(family, port)};

	p.server = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
	assert_true(p.server >= 0);
	return p;
}

static inline void pair_close(struct pair p)
{
	close(p.client);
	close(p.server);
}

static inline uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t n = sizeof(cookie);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &n), 0);
	return cookie;
}

static inline struct tcp_info info_of(int fd)
{
	struct tcp_info info = {0};
	socklen_t n = sizeof(info);

	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n), 0);
	return info;
}

/* A byte there and one back. */
static inline void ping(struct pair p)
{
	char c = 'x';

	assert_int_equal(write(p.client, &c, 1), 1);
	assert_int_equal(read(p.server, &c, 1), 1);
	assert_int_equal(write(p.server, &c, 1), 1);
	assert_int_equal(read(p.client, &c, 1), 1);
}

/* --- records --- */

static inline uint32_t live(const struct fixture *f)
{
	uint32_t i, n = 0;

	for (i = 0; i < KERF_STATE_LINKS; i++)
		n += __atomic_load_n(&f->links[i].life, __ATOMIC_ACQUIRE) == KERF_LINK_LIVE;
	return n;
}

static inline void wait_live(const struct fixture *f, uint32_t want)
{
	uint64_t end = kerf_now_ns() + PATIENCE;

	while (live(f) != want && kerf_now_ns() < end)
		usleep(1000);
	assert_int_equal(live(f), want);
}

/* Of the connection with that cookie; one record only. */
static inline bool find(const struct fixture *f, uint64_t cookie, struct kerf_link_rec *rec)
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

static inline struct kerf_link_rec get(const struct fixture *f, int fd)
{
	struct kerf_link_rec rec;

	if (!find(f, cookie_of(fd), &rec))
		fail_msg("no record of the connection");
	return rec;
}

/* --- the namespace --- */

static inline void loopback_up(bool up)
{
	struct ifreq r = {.ifr_name = "lo"};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, SIOCGIFFLAGS, &r), 0);
	r.ifr_flags = (short)(up ? r.ifr_flags | IFF_UP : r.ifr_flags & ~IFF_UP);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &r), 0);
	close(fd);
}

static inline void enter_netns(void)
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

/* A case, on each of the two objects of an array on[] */
#define CASE(name, object, i) {#name " " object, name, NULL, teardown, &on[i]}
#define BOTH(name) CASE(name, "link", 0), CASE(name, "link_core", 1)

#endif
