// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Links with the kernel's BTF: what only struct tcp_sock tells. */
#include "link.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline void more(struct bpf_sock_ops *ops, struct kerf_link_rec *rec)
{
	struct bpf_sock *sk = ops->sk;
	struct tcp_sock *tp = sk ? bpf_skc_to_tcp_sock(sk) : NULL;
	__s32 notsent;

	if (!tp)
		return;
	/* 32 bits that wrap, to 64 */
	rec->delivered_segments += tp->delivered - (__u32)rec->delivered_segments;
	notsent = tp->write_seq - tp->snd_nxt;
	rec->notsent_bytes = notsent > 0 ? notsent : 0;
	rec->has |= KERF_LINK_HAS_DELIVERED | KERF_LINK_HAS_NOTSENT;
	if (rec->has & KERF_LINK_HAS_RTT) {
		rec->rttvar_us = tp->mdev_us >> 2;
		rec->has |= KERF_LINK_HAS_RTTVAR;
	}
	if (rec->has & KERF_LINK_HAS_RATE) {
		rec->app_limited = BPF_CORE_READ_BITFIELD(tp, rate_app_limited);
		rec->has |= KERF_LINK_HAS_APP_LIMITED;
	}
}

SEC("sockops")
int kerf_link_core(struct bpf_sock_ops *ops)
{
	return link_event(ops, KERF_SOURCE_BTF, more);
}
