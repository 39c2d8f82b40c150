/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * TCP connections of one cgroup, by sockops callbacks: a record of the links region each.
 *
 * The kernel calls with the socket locked, so a record has one writer at a time. A connection
 * takes a record when it is established and gives it back when its state becomes CLOSE, which
 * every end passes through: close, RST, time-out, the death of its process. Free records wait in
 * a queue that user space fills before it attaches; the queue's lock orders one connection's
 * last write before the next one's first. Which record is whose stands in socket storage, which
 * ends with the socket. A connection that found no record free asks again once a round trip.
 */
#ifndef KERF_BPF_LINK_H
#define KERF_BPF_LINK_H

#include "kerf_bpf.h"

#define LINK_NO_SLOT (~0ull)
#define LINK_FAMILY_INET 2
#define LINK_FAMILY_INET6 10

KERF_REGION_MAP(links, struct kerf_link_rec, KERF_STATE_LINKS);

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, KERF_STATE_LINKS);
	__uint(value_size, sizeof(__u32));
} link_free SEC(".maps");

/*
 * 64-bit words: on the stack, none is then written in parts, for which Linux 6.1 wants CAP_PERFMON.
 */
struct link_sock {
	__u64 slot;
	__u64 established_ns;
	__u64 passive;
	__u64 rtos;
	__u64 rate_delivered, rate_interval_us; /* of the newest sample seen */
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct link_sock);
} link_socks SEC(".maps");

/* Connections that found no record free, each time they asked. */
__u64 link_missed;

/* More than the context shows, by who can: fields, and their bits in has. */
typedef void (*link_more_fn)(struct bpf_sock_ops *ops, struct kerf_link_rec *rec);

/*
 * barrier_var() keeps the compiler from choosing an address in place of a word: the verifier
 * wants constant offsets into the context, and without CAP_PERFMON into maps too.
 */
static __always_inline void link_address(struct bpf_sock_ops *ops, struct kerf_link_rec *rec)
{
	__u32 *addr = (__u32 *)rec->remote_addr;
	__u32 a = ops->remote_ip4, b = 0, c = 0, d = 0;

	rec->family = ops->family;
	barrier_var(a);
	if (ops->family == LINK_FAMILY_INET6) {
		a = ops->remote_ip6[0];
		barrier_var(a);
		b = ops->remote_ip6[1];
		barrier_var(b);
		c = ops->remote_ip6[2];
		barrier_var(c);
		d = ops->remote_ip6[3];
		barrier_var(d);
		/* An IPv4 peer of an IPv6 socket is an IPv4 peer. */
		if (!a && !b && c == __builtin_bswap32(0xffff)) {
			rec->family = LINK_FAMILY_INET;
			a = d;
			c = d = 0;
		}
	}
	addr[0] = a;
	addr[1] = b;
	addr[2] = c;
	addr[3] = d;
	rec->remote_port = __builtin_bswap32(ops->remote_port);
	rec->local_port = ops->local_port;
}

/* What a record keeps from one write to the next is what its last owner left: all of it goes. */
static __always_inline void link_begin(struct bpf_sock_ops *ops, struct kerf_link_rec *rec,
				       const struct link_sock *s)
{
	rec->life = KERF_LINK_LIVE;
	rec->cookie = bpf_get_socket_cookie(ops);
	rec->has = 0;
	rec->app_limited = 0;
	rec->passive = s->passive;
	rec->srtt_us = rec->rttvar_us = rec->min_rtt_us = 0;
	rec->rate_bytes_s = rec->rate_updated_ns = 0;
	rec->delivered_segments = 0;
	rec->notsent_bytes = 0;
	rec->established_ns = s->established_ns;
	link_address(ops, rec);
}

/*
 * The RTT callback comes before tcp_sock has the new srtt: since Linux 6.12 its arguments are the
 * sample and the new srtt (times 8), before that the record is one sample behind.
 */
static __always_inline void link_rtt(struct bpf_sock_ops *ops, struct kerf_link_rec *rec)
{
	__u32 srtt = ops->srtt_us, min = ops->rtt_min, sample = 0;

	if (ops->op == BPF_SOCK_OPS_RTT_CB && ops->args[1]) {
		sample = ops->args[0];
		srtt = ops->args[1];
	}
	srtt >>= 3;
	if (!srtt || min == ~0u)
		return;
	rec->srtt_us = srtt;
	rec->min_rtt_us = min;
	rec->has |= KERF_LINK_HAS_RTT;
	if (sample) { /* RFC 6298, 2.2 and 2.3 */
		__u32 off = sample > srtt ? sample - srtt : srtt - sample;
		__u32 var = rec->rttvar_us;

		rec->rttvar_us =
			rec->has & KERF_LINK_HAS_RTTVAR ? var - var / 4 + off / 4 : sample / 2;
		rec->has |= KERF_LINK_HAS_RTTVAR;
	}
}

/* The kernel keeps the pair until the next sample that counts: another pair is a new sample. */
static __always_inline void link_rate(struct bpf_sock_ops *ops, struct kerf_link_rec *rec,
				      struct link_sock *s, __u64 now)
{
	__u32 delivered = ops->rate_delivered, interval_us = ops->rate_interval_us;

	if (!interval_us || (delivered == s->rate_delivered && interval_us == s->rate_interval_us &&
			     rec->has & KERF_LINK_HAS_RATE))
		return;
	s->rate_delivered = delivered;
	s->rate_interval_us = interval_us;
	rec->rate_bytes_s = (__u64)delivered * ops->mss_cache * 1000000 / interval_us;
	rec->rate_updated_ns = now;
	rec->has |= KERF_LINK_HAS_RATE;
}

static __always_inline void link_fill(struct bpf_sock_ops *ops, struct kerf_link_rec *rec,
				      struct link_sock *s, __u64 now)
{
	__u32 out = ops->packets_out + ops->retrans_out;
	__u32 left = ops->sacked_out + ops->lost_out;

	link_rtt(ops, rec);
	link_rate(ops, rec, s, now);
	rec->updated_ns = now;
	rec->mss_bytes = ops->mss_cache;
	rec->cwnd_segments = ops->snd_cwnd;
	rec->ssthresh_segments = ops->snd_ssthresh;
	rec->in_flight_segments = out > left ? out - left : 0;
	rec->lost_segments = ops->lost_out;
	rec->retransmits = ops->total_retrans;
	rec->rtos = s->rtos;
	rec->has |= KERF_LINK_HAS_RTO;
	rec->bytes_acked = ops->bytes_acked;
	rec->bytes_received = ops->bytes_received;
}

static __always_inline void link_write(struct bpf_sock_ops *ops, struct link_sock *s, __u8 source,
				       link_more_fn more)
{
	struct kerf_link_rec *rec;
	bool begin = s->slot == LINK_NO_SLOT;
	__u32 slot = s->slot;

	if (begin) {
		if (bpf_map_pop_elem(&link_free, &slot)) {
			__sync_fetch_and_add(&link_missed, 1);
			return;
		}
		s->slot = slot;
	}
	rec = bpf_map_lookup_elem(&links, &slot);
	if (!rec)
		return;
	kerf_record_begin(rec);
	if (begin)
		link_begin(ops, rec, s);
	rec->source = source;
	link_fill(ops, rec, s, bpf_ktime_get_ns());
	if (more)
		more(ops, rec);
	kerf_record_end(rec, sizeof(*rec));
}

static __always_inline void link_established(struct bpf_sock_ops *ops, struct bpf_sock *sk,
					     __u8 source, link_more_fn more)
{
	struct link_sock *s = bpf_sk_storage_get(&link_socks, sk, 0, 0);

	if (!s) {
		struct link_sock none;

		__builtin_memset(&none, 0, sizeof(none));
		none.slot = LINK_NO_SLOT;
		s = bpf_sk_storage_get(&link_socks, sk, &none, BPF_SK_STORAGE_GET_F_CREATE);
		if (!s) {
			__sync_fetch_and_add(&link_missed, 1);
			return;
		}
	}
	s->established_ns = bpf_ktime_get_ns();
	s->passive = ops->op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB;
	bpf_sock_ops_cb_flags_set(ops, ops->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_RTO_CB_FLAG |
					       BPF_SOCK_OPS_STATE_CB_FLAG |
					       BPF_SOCK_OPS_RTT_CB_FLAG);
	link_write(ops, s, source, more);
}

/* The figures stay as they were last; only whose record it is ends. */
static __always_inline void link_closed(struct link_sock *s)
{
	struct kerf_link_rec *rec;
	__u32 slot = s->slot;

	if (s->slot == LINK_NO_SLOT)
		return;
	s->slot = LINK_NO_SLOT;
	s->rtos = s->rate_delivered = s->rate_interval_us = 0;
	rec = bpf_map_lookup_elem(&links, &slot);
	if (!rec)
		return;
	kerf_record_begin(rec);
	rec->life = KERF_LINK_FREE;
	kerf_record_end(rec, sizeof(*rec));
	bpf_map_push_elem(&link_free, &slot, BPF_ANY);
}

static __always_inline int link_event(struct bpf_sock_ops *ops, __u8 source, link_more_fn more)
{
	struct bpf_sock *sk = ops->sk;
	struct link_sock *s;

	if (!sk)
		return 1;
	if (ops->op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB ||
	    ops->op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB) {
		link_established(ops, sk, source, more);
		return 1;
	}
	if (ops->op != BPF_SOCK_OPS_RTT_CB && ops->op != BPF_SOCK_OPS_RTO_CB &&
	    ops->op != BPF_SOCK_OPS_STATE_CB)
		return 1;
	s = bpf_sk_storage_get(&link_socks, sk, 0, 0);
	if (!s)
		return 1;
	if (ops->op == BPF_SOCK_OPS_STATE_CB) {
		if (ops->args[1] == BPF_TCP_CLOSE)
			link_closed(s);
		return 1;
	}
	if (ops->op == BPF_SOCK_OPS_RTO_CB)
		s->rtos++;
	link_write(ops, s, source, more);
	return 1;
}

#endif
