/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "telemetry/tcp_info.h"
#include "util/clock.h"

#define BYTES (256u << 10)

struct pair {
	int listener, client, server;
};

/* family AF_INET6: a listener for both, and an IPv4 client. */
static int open_pair(struct pair *p, int family, int client_family)
{
	struct sockaddr_in6 any6 = {.sin6_family = AF_INET6};
	struct sockaddr_in at4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in6 at6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr *at =
		family == AF_INET ? (struct sockaddr *)&at4 : (struct sockaddr *)&any6;
	struct sockaddr_in6 bound;
	socklen_t n = family == AF_INET ? sizeof(at4) : sizeof(any6), m = sizeof(bound);
	int off = 0;

	p->client = p->server = -1;
	p->listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (p->listener < 0)
		return -1; /* a kernel without IPv6 */
	if (family == AF_INET6)
		setsockopt(p->listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(p->listener, at, n) || listen(p->listener, 1) ||
	    getsockname(p->listener, (struct sockaddr *)&bound, &m))
		return -1;
	at4.sin_port = at6.sin6_port = bound.sin6_port; /* the two families agree on its place */
	p->client = socket(client_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (client_family == AF_INET ? connect(p->client, (struct sockaddr *)&at4, sizeof(at4)) :
				       connect(p->client, (struct sockaddr *)&at6, sizeof(at6)))
		return -1;
	p->server = accept(p->listener, NULL, NULL);
	return p->server < 0 ? -1 : 0;
}

static void close_pair(struct pair *p)
{
	if (p->client >= 0)
		close(p->client);
	if (p->server >= 0)
		close(p->server);
	if (p->listener >= 0)
		close(p->listener);
}

/* qemu's user mode hands TCP_INFO through as one int, and SO_COOKIE not at all. */
static bool translated(void)
{
	unsigned char info[512];
	socklen_t n = sizeof(info);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool yes = !getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &n) && n <= sizeof(int);

	close(fd);
	return yes;
}

/* From the client to the server and a word back, so that all of it is acknowledged. */
static void talk(const struct pair *p)
{
	static char buf[BYTES];
	size_t sent = 0, got = 0;
	char word;

	while (got < BYTES) {
		ssize_t k = send(p->client, buf, BYTES - sent, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (k > 0)
			sent += (size_t)k;
		if (got < sent) {
			k = recv(p->server, buf, BYTES, 0);
			assert_true(k > 0);
			got += (size_t)k;
		}
	}
	assert_int_equal(send(p->server, "k", 1, 0), 1);
	assert_int_equal(recv(p->client, &word, 1, 0), 1);
}

static void test_loopback(void **state)
{
	struct kerf_link_rec a, b;
	uint64_t cookie = 0, now = kerf_now_ns();
	socklen_t n = sizeof(cookie);
	struct pair p;

	if (translated())
		skip();
	assert_int_equal(open_pair(&p, AF_INET, AF_INET), 0);
	talk(&p);
	now = kerf_now_ns();
	assert_int_equal(kerf_tcp_info_read(p.client, now, &a), 0);
	assert_int_equal(getsockopt(p.client, SOL_SOCKET, SO_COOKIE, &cookie, &n), 0);
	assert_true(a.cookie && a.cookie == cookie);
	assert_int_equal(a.life, KERF_LINK_LIVE);
	assert_int_equal(a.source, KERF_SOURCE_TCP_INFO);
	assert_true(a.updated_ns == now);
	assert_int_equal(a.family, AF_INET);
	assert_int_equal(ntohl(*(uint32_t *)a.remote_addr), INADDR_LOOPBACK);
	/* Linux counts the SYN as an acknowledged byte. */
	assert_in_range(a.bytes_acked, BYTES, BYTES + 1);
	assert_int_equal(a.bytes_received, 1);
	assert_int_equal(a.has & (KERF_LINK_HAS_RTT | KERF_LINK_HAS_RATE),
			 KERF_LINK_HAS_RTT | KERF_LINK_HAS_RATE);
	assert_in_range(a.srtt_us, 1, 10000000);
	assert_in_range(a.min_rtt_us, 1, a.srtt_us * 10);
	assert_true(a.rate_bytes_s > 0 && a.rate_updated_ns && a.rate_updated_ns <= now);
	assert_true(a.mss_bytes > 0 && a.cwnd_segments > 0);
	assert_int_equal(a.in_flight_segments, 0);
	assert_int_equal(a.notsent_bytes, 0);

	assert_int_equal(kerf_tcp_info_read(p.server, now, &b), 0);
	assert_true(b.cookie != a.cookie);
	assert_int_equal(b.remote_port, a.local_port);
	assert_int_equal(b.local_port, a.remote_port);
	assert_int_equal(b.bytes_received, BYTES);
	close_pair(&p);
}

static void test_families(void **state)
{
	struct kerf_link_rec rec;
	struct pair p;

	if (translated())
		skip();
	if (open_pair(&p, AF_INET6, AF_INET)) {
		close_pair(&p);
		skip(); /* no IPv6 here */
	}
	assert_int_equal(kerf_tcp_info_read(p.server, kerf_now_ns(), &rec), 0);
	assert_int_equal(rec.family, AF_INET);
	assert_int_equal(ntohl(*(uint32_t *)rec.remote_addr), INADDR_LOOPBACK);
	close_pair(&p);
	if (!open_pair(&p, AF_INET6, AF_INET6)) {
		assert_int_equal(kerf_tcp_info_read(p.server, kerf_now_ns(), &rec), 0);
		assert_int_equal(rec.family, AF_INET6);
		assert_memory_equal(rec.remote_addr, &in6addr_loopback, 16);
	}
	close_pair(&p);
}

static void test_refused(void **state)
{
	struct kerf_link_rec rec, before;
	struct pair p;
	int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (translated())
		skip();
	memset(&rec, 0x5a, sizeof(rec));
	before = rec;
	assert_int_equal(open_pair(&p, AF_INET, AF_INET), 0);
	assert_int_equal(kerf_tcp_info_read(p.listener, 1, &rec), -ENOTCONN);
	close(p.client);
	p.client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(kerf_tcp_info_read(p.client, 1, &rec), -ENOTCONN);
	assert_true(kerf_tcp_info_read(udp, 1, &rec) < 0);
	assert_int_equal(kerf_tcp_info_read(-1, 1, &rec), -EBADF);
	assert_memory_equal(&rec, &before, sizeof(rec));
	close(udp);
	close_pair(&p);
}

/* What kernels of all ages say: the real reply, cut where theirs ended. */
static void test_lengths(void **state)
{
	enum {
		RTT = KERF_LINK_HAS_RTT | KERF_LINK_HAS_RTTVAR,
		RATE = KERF_LINK_HAS_RATE | KERF_LINK_HAS_APP_LIMITED,
	};
	static const struct {
		size_t n; /* struct tcp_info of 4.1, 4.6, 4.9, 4.18, 6.7 */
		uint32_t has;
	} kernel[] = {
		{136, 0},
		{160, RTT | KERF_LINK_HAS_NOTSENT},
		{168, RTT | KERF_LINK_HAS_NOTSENT | RATE},
		{200, RTT | KERF_LINK_HAS_NOTSENT | RATE | KERF_LINK_HAS_DELIVERED},
		{248,
		 RTT | KERF_LINK_HAS_NOTSENT | RATE | KERF_LINK_HAS_DELIVERED | KERF_LINK_HAS_RTO},
	};
	unsigned char info[512] = {0};
	struct kerf_link_rec rec;
	struct pair p;
	socklen_t n = sizeof(info);
	unsigned i;

	if (translated())
		skip();
	assert_int_equal(open_pair(&p, AF_INET, AF_INET), 0);
	talk(&p);
	assert_int_equal(getsockopt(p.client, IPPROTO_TCP, TCP_INFO, info, &n), 0);
	for (i = 0; i < KERF_ARRAY_SIZE(kernel); i++) {
		memset(&rec, 0xff, sizeof(rec));
		assert_int_equal(kerf_tcp_info_decode(info, kernel[i].n, 5, &rec), 0);
		assert_int_equal(rec.has, kernel[i].has);
		/* What is not told is 0. */
		assert_true(!rec.rate_bytes_s == !(rec.has & KERF_LINK_HAS_RATE));
		assert_true(!rec.min_rtt_us == !(rec.has & KERF_LINK_HAS_RTT));
		assert_true(!rec.delivered_segments == !(rec.has & KERF_LINK_HAS_DELIVERED));
	}
	assert_int_equal(kerf_tcp_info_decode(info, 135, 5, &rec), -EPROTO);
	assert_int_equal(kerf_tcp_info_decode(info, 0, 5, &rec), -EPROTO);
	/* No sample yet: the kernel's way to say so is the largest number. */
	memset(info + 148, 0xff, 4);
	assert_int_equal(kerf_tcp_info_decode(info, sizeof(info), 5, &rec), 0);
	assert_false(rec.has & KERF_LINK_HAS_RTT);
	assert_int_equal(rec.min_rtt_us, 0);
	/* Counters that do not fit together make no huge number. */
	memset(info + 24, 0, 4);
	memset(info + 28, 0x01, 4);
	assert_int_equal(kerf_tcp_info_decode(info, sizeof(info), 5, &rec), 0);
	assert_int_equal(rec.in_flight_segments, 0);
	close_pair(&p);
}

/* A connection that has more to send than goes out is not limited by us; an idle one is. */
static void test_app_limited(void **state)
{
	static char buf[BYTES];
	struct kerf_link_rec rec;
	struct pair p;
	int i;

	if (translated())
		skip();
	assert_int_equal(open_pair(&p, AF_INET, AF_INET), 0);
	for (i = 0; i < 20; i++) { /* one small packet at a time */
		assert_int_equal(send(p.client, buf, 100, 0), 100);
		assert_int_equal(recv(p.server, buf, 100, MSG_WAITALL), 100);
	}
	assert_int_equal(send(p.server, "k", 1, 0), 1);
	assert_int_equal(recv(p.client, buf, 1, 0), 1);
	assert_int_equal(kerf_tcp_info_read(p.client, kerf_now_ns(), &rec), 0);
	assert_int_equal(rec.app_limited, 1);
	assert_int_equal(rec.notsent_bytes, 0);
	/* Nobody reads: what the peer's window does not take waits here. */
	while (send(p.client, buf, sizeof(buf), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
		;
	assert_int_equal(kerf_tcp_info_read(p.client, kerf_now_ns(), &rec), 0);
	assert_true(rec.notsent_bytes > 0);
	close_pair(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_loopback),    cmocka_unit_test(test_families),
		cmocka_unit_test(test_refused),	    cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_app_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
