/* SPDX-License-Identifier: MIT */
#include "telemetry/tcp_info.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

/*
 * struct tcp_info as Linux 6.7 gives it. Of our own, because the one in the headers that kerf is
 * built with may know less than the kernel it runs on, or clash with libc's. Fields are only ever
 * added at the end, so the length of a reply says which are there.
 */
struct info {
	uint8_t state, ca_state, retransmits, probes, backoff, options, wscale;
	uint8_t flags; /* INFO_APP_LIMITED: since 4.9, as delivery_rate */
	uint32_t rto, ato, snd_mss, rcv_mss;
	uint32_t unacked, sacked, lost, retrans, fackets;
	uint32_t last_data_sent, last_ack_sent, last_data_recv, last_ack_recv;
	uint32_t pmtu, rcv_ssthresh, rtt, rttvar, snd_ssthresh, snd_cwnd, advmss, reordering;
	uint32_t rcv_rtt, rcv_space, total_retrans;
	uint64_t pacing_rate, max_pacing_rate;
	uint64_t bytes_acked, bytes_received; /* 4.1 */
	uint32_t segs_out, segs_in;
	uint32_t notsent_bytes, min_rtt; /* 4.6 */
	uint32_t data_segs_in, data_segs_out;
	uint64_t delivery_rate; /* 4.9 */
	uint64_t busy_time, rwnd_limited, sndbuf_limited;
	uint32_t delivered, delivered_ce; /* 4.18 */
	uint64_t bytes_sent, bytes_retrans;
	uint32_t dsack_dups, reord_seen, rcv_ooopack, snd_wnd, rcv_wnd, rehash;
	uint16_t total_rto, total_rto_recoveries; /* 6.7 */
	uint32_t total_rto_time;
};

_Static_assert(offsetof(struct info, pacing_rate) == 104, "ABI");
_Static_assert(offsetof(struct info, delivery_rate) == 160, "ABI");
_Static_assert(offsetof(struct info, delivered) == 192, "ABI");
_Static_assert(offsetof(struct info, total_rto) == 240, "ABI");

/* A bit field's first bit: the lowest on little-endian machines, which kerf's are. */
#define INFO_APP_LIMITED 0x1u
#define NO_MIN_RTT UINT32_MAX

#define COVERS(n, field) ((n) >= offsetof(struct info, field) + sizeof(((struct info *)0)->field))

int kerf_tcp_info_decode(const void *info, size_t n, uint64_t now_ns, struct kerf_link_rec *rec)
{
	struct info i = {.min_rtt = 0};
	uint32_t out;

	if (!COVERS(n, bytes_received))
		return -EPROTO;
	memcpy(&i, info, KERF_MIN(n, sizeof(i)));
	rec->life = KERF_LINK_LIVE;
	rec->updated_ns = now_ns;
	rec->source = KERF_SOURCE_TCP_INFO;
	rec->has = 0;
	rec->app_limited = 0;
	rec->mss_bytes = i.snd_mss;
	rec->cwnd_segments = i.snd_cwnd;
	rec->ssthresh_segments = i.snd_ssthresh;
	/* As the kernel's tcp_packets_in_flight(); below 0 if the reply makes no sense. */
	out = i.sacked + i.lost;
	rec->in_flight_segments = KERF_MAX(i.unacked, out) - out + i.retrans;
	rec->lost_segments = i.lost;
	rec->retransmits = i.total_retrans;
	rec->bytes_acked = i.bytes_acked;
	rec->bytes_received = i.bytes_received;
	rec->srtt_us = rec->rttvar_us = rec->min_rtt_us = 0;
	if (i.rtt && COVERS(n, min_rtt) && i.min_rtt != NO_MIN_RTT) {
		rec->has |= KERF_LINK_HAS_RTT | KERF_LINK_HAS_RTTVAR;
		rec->srtt_us = i.rtt;
		rec->rttvar_us = i.rttvar;
		rec->min_rtt_us = i.min_rtt;
	}
	rec->notsent_bytes = i.notsent_bytes;
	if (COVERS(n, notsent_bytes))
		rec->has |= KERF_LINK_HAS_NOTSENT;
	rec->rate_bytes_s = i.delivery_rate;
	rec->rate_updated_ns = 0;
	if (COVERS(n, delivery_rate) && i.delivery_rate) {
		uint64_t age_ns = i.last_ack_recv * 1000000ull;

		/* When is not told, but no later than the last acknowledgement, in whole ticks. */
		rec->rate_updated_ns = now_ns > age_ns ? now_ns - age_ns : 1;
		rec->app_limited = i.flags & INFO_APP_LIMITED;
		rec->has |= KERF_LINK_HAS_RATE | KERF_LINK_HAS_APP_LIMITED;
	}
	rec->delivered_segments = i.delivered;
	if (COVERS(n, delivered))
		rec->has |= KERF_LINK_HAS_DELIVERED;
	rec->rtos = i.total_rto;
	if (COVERS(n, total_rto))
		rec->has |= KERF_LINK_HAS_RTO;
	return 0;
}

/* Both ends; an IPv4 peer of an IPv6 socket is an IPv4 peer. */
static int read_addresses(int fd, struct kerf_link_rec *rec)
{
	union {
		struct sockaddr sa;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_storage any;
	} peer, self;
	socklen_t n = sizeof(peer), m = sizeof(self);

	if (getpeername(fd, &peer.sa, &n) || getsockname(fd, &self.sa, &m))
		return -errno;
	if (peer.sa.sa_family == AF_INET) {
		rec->family = AF_INET;
		memcpy(rec->remote_addr, &peer.v4.sin_addr, 4);
		rec->remote_port = ntohs(peer.v4.sin_port);
		rec->local_port = ntohs(self.v4.sin_port);
		return 0;
	}
	if (peer.sa.sa_family != AF_INET6)
		return -EOPNOTSUPP;
	rec->remote_port = ntohs(peer.v6.sin6_port);
	rec->local_port = ntohs(self.v6.sin6_port);
	if (IN6_IS_ADDR_V4MAPPED(&peer.v6.sin6_addr)) {
		rec->family = AF_INET;
		memcpy(rec->remote_addr, &peer.v6.sin6_addr.s6_addr[12], 4);
	} else {
		rec->family = AF_INET6;
		memcpy(rec->remote_addr, &peer.v6.sin6_addr, 16);
	}
	return 0;
}

int kerf_tcp_info_read(int fd, uint64_t now_ns, struct kerf_link_rec *rec)
{
	struct kerf_link_rec out = {.seq = 0};
	struct info info = {.state = 0};
	socklen_t n = sizeof(info), m = sizeof(out.cookie);
	int r;

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n) ||
	    getsockopt(fd, SOL_SOCKET, SO_COOKIE, &out.cookie, &m))
		return -errno;
	if (info.state == TCP_CLOSE || info.state == TCP_LISTEN || info.state == TCP_SYN_SENT ||
	    info.state == TCP_SYN_RECV)
		return -ENOTCONN;
	r = read_addresses(fd, &out);
	if (!r)
		r = kerf_tcp_info_decode(&info, n, now_ns, &out);
	if (!r)
		*rec = out;
	return r;
}
