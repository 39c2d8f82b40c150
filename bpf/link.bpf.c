// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Links without the kernel's BTF: what the uapi shows. */
#include "link.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline void more(struct bpf_sock_ops *ops, struct kerf_link_rec *rec)
{
	struct bpf_sock *sk = ops->sk;
	struct bpf_tcp_sock *tp = sk ? bpf_tcp_sock(sk) : NULL;

	if (!tp)
		return;
	/* 32 bits that wrap, to 64 */
	rec->delivered_segments += tp->delivered - (__u32)rec->delivered_segments;
	rec->has |= KERF_LINK_HAS_DELIVERED;
}

SEC("sockops")
int kerf_link(struct bpf_sock_ops *ops)
{
	return link_event(ops, KERF_SOURCE_BPF, more);
}
