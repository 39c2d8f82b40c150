// SPDX-License-Identifier: MIT
/*
 * Links, figure for figure: what the programs write against TCP_INFO of the same socket.
 */
#ifdef WITH_BPF

#include "bpf_links.h"

#include <dirent.h>

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

/* An IPv4 peer of an IPv6 socket, as TCP_INFO tells it too */
static void test_mapped_address(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_in6 any = {.sin6_family = AF_INET6};
	const uint8_t want[16] = {127, 0, 0, 1};
	socklen_t n = sizeof(any);
	int off = 0, l;
	struct kerf_link_rec rec;
	struct pair p;

	attach(f, NULL);
	l = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(l >= 0);
	assert_int_equal(setsockopt(l, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)), 0);
	assert_int_equal(bind(l, (struct sockaddr *)&any, n), 0);
	assert_int_equal(listen(l, 1), 0);
	assert_int_equal(getsockname(l, (struct sockaddr *)&any, &n), 0);
	p = pair_open(l, AF_INET, ntohs(any.sin6_port));
	rec = get(f, p.server);
	assert_int_equal(rec.family, AF_INET);
	assert_memory_equal(rec.remote_addr, want, sizeof(want));
	assert_int_equal(rec.local_port, ntohs(any.sin6_port));
	pair_close(p);
	close(l);
	wait_live(f, 0);
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

/* What everything that is loaded holds in the kernel: all maps of this process. */
static void test_memory(void **state)
{
	struct fixture *f = *state;
	struct dirent *e;
	uint64_t sum = 0;
	DIR *d;

	attach(f, NULL);
	d = opendir("/proc/self/fdinfo");
	assert_non_null(d);
	while ((e = readdir(d))) {
		char path[300], line[128];
		unsigned long long bytes;
		bool map = false;
		FILE *s;

		snprintf(path, sizeof(path), "/proc/self/fdinfo/%s", e->d_name);
		s = fopen(path, "re");
		while (s && fgets(line, sizeof(line), s)) {
			map |= strncmp(line, "map_type:", 9) == 0;
			if (map && sscanf(line, "memlock: %llu", &bytes) == 1)
				sum += bytes;
		}
		if (s)
			fclose(s);
	}
	closedir(d);
	/* The regions' descriptors count twice. */
	assert_true(sum >= KERF_STATE_LINKS * sizeof(struct kerf_link_rec));
	assert_true(sum <= 1u << 20);
}

int main(void)
{
	static struct fixture on[2] = {{.object = KERF_BPF_LINK}, {.object = KERF_BPF_LINK_CORE}};
	const struct CMUnitTest tests[] = {
		BOTH(test_ends),    BOTH(test_mapped_address), BOTH(test_figures),
		BOTH(test_notsent), BOTH(test_timeouts),       BOTH(test_frozen),
		BOTH(test_memory),
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
