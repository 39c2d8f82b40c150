/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Drops packets at random, as a bad line does. Attached to a device's ingress:
 *
 *   tc qdisc add dev DEV clsact
 *   tc filter add dev DEV ingress bpf direct-action obj loss.bpf.o sec classifier classid 1:SHARE
 *
 * SHARE, in hexadecimal, is the probability in units of 2^-16: the filter's own class number,
 * which nothing else uses here, so that a rate needs neither a map nor a loader. What a segment
 * of many packets loses, it loses whole: so that each packet is drawn for by itself, the sending
 * device has gso_max_segs 1.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

SEC("classifier")
int loss(struct __sk_buff *skb)
{
	return (bpf_get_prandom_u32() >> 16) < skb->tc_classid ? TC_ACT_SHOT : TC_ACT_OK;
}

char _license[] SEC("license") = "Dual BSD/GPL";
