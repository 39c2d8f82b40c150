/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The state every plan is made from, as it lies in memory: written by BPF programs or, where
 * there are none, by the publishing process, in the same layout; read through read-only
 * mappings, without a system call, by any number of readers.
 *
 * A region is an array of records of one type behind one file descriptor: a frozen BPF array
 * that only programs write, or a memfd sealed against other writers. Fields are little-endian on
 * every machine kerf runs on. Units are in the names; times are CLOCK_MONOTONIC of this boot,
 * in ns. What is not known is 0 and its bit in `has` is clear: 0 is never a figure by itself.
 *
 * Reading a record with seq: seq is odd while it is written. Copy between two equal even values
 * of seq, then compare check with kerf_record_check() of the copy: BPF on arm64 before Linux 5.18
 * has no ordered store, so the counter alone does not prove the copy whole. Records without
 * seq (engines) are counters that each stand for themselves.
 *
 * A change to what is below raises KERF_STATE_VERSION; readers refuse any other.
 */
#ifndef KERF_STATE_H
#define KERF_STATE_H

#include <linux/types.h>

#define KERF_STATE_MAGIC 0x6b657266u /* "kerf" */
#define KERF_STATE_VERSION 2u

#define KERF_STATE_LINKS 256
#define KERF_STATE_CPUS 512
#define KERF_STATE_ENGINES 64
#define KERF_STATE_ZONES 32
#define KERF_STATE_NODES 65 /* this one and 64 peers */
#define KERF_STATE_TRANSFERS 64 /* the last ones */
#define KERF_NODE_LOAD_ENGINES 16
#define KERF_URL_BYTES 96
#define KERF_REASON_BYTES 240 /* a sentence for people, with its NUL */
#define KERF_LOAD_TEXT 2048 /* a node's load as text: at most, with its NUL */

/* Who gave a figure; a higher one is better. */
enum kerf_source {
	KERF_SOURCE_NONE,     /* nobody */
	KERF_SOURCE_RUNTIME,  /* the runtime's own timing: goodput, its own jobs */
	KERF_SOURCE_PROC,     /* /proc and /sys */
	KERF_SOURCE_TCP_INFO, /* getsockopt on our own sockets */
	KERF_SOURCE_BPF,      /* programs that need no type information */
	KERF_SOURCE_BTF,      /* programs relocated by the kernel's BTF */
	KERF_SOURCE_PEER,     /* the node itself, over the network */
	KERF_N_SOURCE
};

enum kerf_region {
	KERF_REGION_HEAD,      /* one struct kerf_state_head */
	KERF_REGION_LINKS,     /* KERF_STATE_LINKS struct kerf_link_rec */
	KERF_REGION_CPUS,      /* struct kerf_cpu_rec, indexed by CPU */
	KERF_REGION_ENGINES,   /* struct kerf_engine_rec */
	KERF_REGION_ZONES,     /* struct kerf_zone_rec */
	KERF_REGION_STATE,     /* one struct kerf_state */
	KERF_REGION_TRANSFERS, /* KERF_STATE_TRANSFERS struct kerf_transfer_rec: a ring */
	KERF_N_REGION
};

/* --- What the kernel measures --- */

enum kerf_link_life { KERF_LINK_FREE, KERF_LINK_LIVE };

#define KERF_LINK_HAS_RTT 0x1u	       /* srtt, min_rtt */
#define KERF_LINK_HAS_RATE 0x2u	       /* rate_bytes_s */
#define KERF_LINK_HAS_APP_LIMITED 0x4u /* app_limited is told apart; without it, it is 0 */
#define KERF_LINK_HAS_NOTSENT 0x8u
#define KERF_LINK_HAS_RTO 0x10u
#define KERF_LINK_HAS_DELIVERED 0x20u
#define KERF_LINK_HAS_RTTVAR 0x40u     /* BPF: only since Linux 6.12 */

/* One TCP connection, this end's view. 192 bytes. Written under the socket's lock. */
struct kerf_link_rec {
	__u32 seq;
	__u32 life; /* enum kerf_link_life */
	__u64 cookie; /* SO_COOKIE */
	__u64 updated_ns;
	__u32 has;
	__u8 source; /* enum kerf_source */
	__u8 family; /* AF_INET, AF_INET6 */
	__u8 app_limited; /* rate_bytes_s was limited by the sender having nothing to send */
	__u8 passive; /* the peer connected to us */
	__u8 remote_addr[16]; /* network order; IPv4 in the first four */
	__u16 remote_port, local_port; /* host order */
	__u32 mss_bytes;
	__u32 srtt_us, rttvar_us, min_rtt_us;
	__u32 cwnd_segments, in_flight_segments, ssthresh_segments;
	__u64 rate_bytes_s; /* of the last delivery sample */
	__u64 rate_updated_ns; /* when it was taken */
	__u64 bytes_acked, bytes_received;
	__u64 delivered_segments;
	__u32 notsent_bytes;
	__u32 lost_segments; /* now thought lost */
	__u32 retransmits, rtos; /* since the connection began */
	__u64 established_ns;
	__u64 reserved[5];
	__u32 reserved2;
	__u32 check;
};

enum kerf_cpu_running { KERF_CPU_IDLE, KERF_CPU_FAIR, KERF_CPU_RT, KERF_CPU_OWN };

#define KERF_CPU_HAS_BUSY 0x1u
#define KERF_CPU_HAS_RT 0x2u
#define KERF_CPU_HAS_RUN_DELAY 0x4u
#define KERF_CPU_HAS_OWN 0x8u /* kerf's own share is told apart */
#define KERF_CPU_HAS_COMPETING 0x10u /* outside too */

/*
 * One CPU, indexed by its number; totals since the first write. 128 bytes. Written by that
 * CPU. What runs since switch_ns is not in the totals yet: the reader adds now - switch_ns.
 */
struct kerf_cpu_rec {
	__u32 seq;
	__u32 has;
	__u64 updated_ns;
	__u64 switch_ns; /* last context switch */
	__u32 running;	 /* enum kerf_cpu_running since then */
	__u8 source;
	__u8 running_outside; /* its time goes to outside_ns */
	__u8 pad[2];
	__u64 fair_ns; /* other processes' normal tasks ran */
	__u64 rt_ns;   /* real-time and deadline tasks ran, whoever's */
	__u64 own_ns;  /* kerf's normal tasks ran */
	__u64 run_delay_ns; /* other processes' normal tasks waited for this CPU */
	__u64 own_run_delay_ns;
	__u64 switches;
	__u64 begin_ns; /* first write */
	/*
	 * fair_ns + run_delay_ns, each task's times its scheduling weight: what competes with
	 * kerf's threads one by one, where nice 0 weighs 1; and what is in other scheduling groups
	 * (sessions, cgroups), of whose weights that of kerf's group is 1.
	 */
	__u64 competing_ns, outside_ns;
	__u64 reserved[2];
	__u32 running_weight; /* of what runs if it is KERF_CPU_FAIR; 1024: 1 */
	__u32 check;
};

enum kerf_engine_kind {
	KERF_ENGINE_NONE,
	KERF_ENGINE_QUEUE,   /* behind kerf's module: device minor and engine index */
	KERF_ENGINE_DRM,     /* a scheduler of another DRM driver: device 0, index by first sight */
	KERF_ENGINE_RUNTIME, /* run by a process: no kernel queue */
};

/*
 * One engine; counters that only grow, each by itself. 128 bytes.
 * Waiting jobs: queued - started - dropped; running: started - done.
 */
struct kerf_engine_rec {
	__u32 kind; /* written last when a record is taken */
	__u32 device, index;
	__u8 source;
	__u8 pad[3];
	char name[32]; /* as an engine spec where known ("npu:0"), or the scheduler's name */
	__u64 queued, started, done, dropped; /* dropped: ended without being started */
	__u64 errors; /* ended with another status than 0 and -ECANCELED */
	__u64 wait_ns, busy_ns, bytes; /* of jobs that are done */
	__u64 updated_ns;
	/*
	 * Time during which anything ran. While something does, less the time at which it began:
	 * as __s64 it is negative then, and now is to be added. One word, so never torn.
	 */
	__u64 occupied_ns;
};

/* A thermal zone or a cpufreq policy. 64 bytes. */
enum kerf_zone_kind { KERF_ZONE_NONE, KERF_ZONE_THERMAL, KERF_ZONE_FREQ };

struct kerf_zone_rec {
	__u32 seq;
	__u32 kind;
	__u64 updated_ns;
	__u32 id; /* thermal zone's number; first CPU of a policy */
	__s32 temperature_mc;
	__u32 trip_mc; /* where throttling begins; 0: not known */
	__u32 freq_khz, max_khz; /* max_khz: what the hardware could do */
	__u8 source;
	__u8 throttled;
	__u8 pad[2];
	char name[16];
	__u32 reserved;
	__u32 check;
};

/* --- What is made of it: one struct for the planner --- */

/* An engine of a node, over the last window. 64 bytes. */
struct kerf_engine_load {
	char name[32];
	__u8 source;
	__u8 kind;
	__u16 depth;   /* jobs waiting */
	__u16 running; /* jobs on the engine */
	__u16 reserved;
	__u32 busy_permille; /* of the window: something ran; at most 1000 */
	__u32 wait_us;	     /* mean wait of the jobs that ended in the window, or last did */
	__u64 jobs, errors;  /* since the engine was opened */
};

#define KERF_LOAD_HAS_CPU 0x1u
#define KERF_LOAD_HAS_RUN_DELAY 0x2u
#define KERF_LOAD_HAS_MEMORY 0x4u
#define KERF_LOAD_HAS_PRESSURE 0x8u
#define KERF_LOAD_HAS_FREQ 0x10u
#define KERF_LOAD_HAS_TEMPERATURE 0x20u
#define KERF_LOAD_HAS_POWER 0x40u
#define KERF_LOAD_HAS_RT 0x80u	      /* else rt is in fair */
#define KERF_LOAD_HAS_COMPETING 0x100u
#define KERF_LOAD_HAS_OUTSIDE 0x200u

/*
 * The load of a node, over the last window (about 100 ms). A CPU is 1000 permille: four
 * busy CPUs are 4000. Kerf's own threads are apart: the planner placed them.
 */
struct kerf_node_load {
	__u64 updated_ns; /* here: when it was measured, or received from a peer */
	__u32 has;
	__u8 source;	    /* of the CPU figures */
	__u8 source_memory; /* of memory and pressure */
	__u8 source_sensor; /* of frequency, temperature, power */
	__u8 n_engine;
	__u32 n_cpu; /* that kerf may use */
	__u32 fair_permille, rt_permille, own_permille;
	__u32 waiting_permille; /* run delay accrued per second, others' */
	__u32 slowdown_permille; /* of a new CPU-bound thread of kerf's; 1000: none */
	__u32 cpu_pressure_permille, memory_pressure_permille; /* PSI "some", over the window */
	__u64 memory_bytes, memory_available_bytes;
	__u32 freq_khz, max_khz; /* of the slowest policy now; what it could do */
	__s32 temperature_mc;	 /* hottest zone */
	__u32 throttled;	 /* 1: some policy is held below its maximum by heat */
	__u32 power_mw;
	/*
	 * Running and waiting, by scheduling weight: of what competes with kerf's threads one by
	 * one, each of which weighs 1000; and of other scheduling groups, kerf's weighing 1000.
	 */
	__u32 competing_permille, outside_permille;
	__u32 reserved;
	struct kerf_engine_load engine[KERF_NODE_LOAD_ENGINES];
};

/*
 * What is expected of a transfer of n bytes in one direction that begins now:
 *   t = latency_ns + n / rate_bytes_s + the waits of slow start
 * and with 80 % probability between t * low_ppm / 1e6 - low_ns and
 * t * high_ppm / 1e6 + high_ns: part of the error grows with the time, part does not.
 *
 * latency_ns may be below 0, the sum may not: a shaper lets the first bytes after a pause
 * through at line speed, so the line that fits all larger transfers begins below 0. least_ns is
 * what the smallest message takes: to be sent, to come, and to wake who waits for it.
 *
 * Slow start, after a pause or on a new connection: windows of window_bytes, twice that, ...
 * leave, and before each but the first the sender waits until a round of round_ns is over, if the
 * window before took less at rate_bytes_s. kerf_estimate_s() (telemetry/predict.h) computes it.
 */
struct kerf_link_estimate {
	__u64 updated_ns;   /* the newest measurement in it */
	__s64 latency_ns;
	__u64 rate_bytes_s; /* 0: not known; nothing below counts then */
	__u32 low_ppm, high_ppm;
	__u32 transfers; /* that it has learned from */
	__u8 source;
	char estimator[11]; /* which one leads; docs/telemetry.md names them */
	__s64 low_ns, high_ns;
	__u64 window_bytes; /* 0: no waits */
	__u64 round_ns;
	__u64 least_ns; /* 0: not known */
};

/* A node and the path to it. node[0] is this one: no link, url empty. */
struct kerf_node_state {
	char url[KERF_URL_BYTES]; /* "http://host:port"; empty: a free slot */
	__u32 connections;
	__u32 rtt_us, min_rtt_us; /* of its best connection */
	__u32 retransmits;
	__u64 goodput_bytes_s;	  /* acked, over the last window */
	struct kerf_link_estimate up, down; /* from here; to here */
	/*
	 * The oldest transfer from here that runs; bytes 0: none does. What it is expected to take
	 * from its start to its end, 80 % between low and high; 0: not known.
	 */
	__u64 running_bytes, running_acked_bytes;
	__u64 running_since_ns;
	__u64 running_expected_ns, running_low_ns, running_high_ns;
	struct kerf_node_load load;
	__u32 loads_refused; /* its reports of its load that were not believed */
	__u32 reserved;
	char refused[KERF_REASON_BYTES]; /* why the first of them was not */
};

/* The plan in force, for people who watch. */
struct kerf_plan_note {
	__u64 since_ns;
	__u64 epoch; /* 0: no plan yet */
	__u64 predicted_ns, observed_ns; /* latency of a request; median of the last ones */
	__u64 requests;
	__u32 n_step;
	__u32 reserved;
	char policy[16];
	char model[64];
	char reason[256];   /* why this plan */
	char changed[256];  /* why not the one before */
};

struct kerf_state {
	__u32 seq;
	__u32 n_node;
	__u64 updated_ns;
	__u32 window_ns;
	__u32 reserved;
	struct kerf_plan_note plan;
	struct kerf_node_state node[KERF_STATE_NODES];
	__u32 reserved2;
	__u32 check;
};

struct kerf_region_info {
	__u32 record_bytes, records;
	__u8 source; /* who writes it */
	__u8 pad[7];
	char reason[KERF_REASON_BYTES]; /* why nothing better: one sentence; empty if nothing is better */
};

/* Written once when it is published, but for alive_ns. */
struct kerf_state_head {
	__u32 magic, version;
	__u32 pid;
	__u32 n_region;
	__u64 started_ns;
	__u64 alive_ns; /* the publisher's last beat: older than 1 s, and it is gone or stuck */
	struct kerf_region_info region[KERF_N_REGION];
};

/*
 * One direction of one exchange with a peer, seen by its client; it took end - start - hold.
 *
 *   up    from the request's first byte leaving to the reply's first byte read here. hold is what
 *	   the peer says it was silent for (Kerf-Hold-Ns): from the request's last byte there to the
 *	   reply's first. So what is left is the bytes' way there and one round trip.
 *   down  from that first read to the last. bytes are those that came in between, so they took
 *	   all of the time and nothing else did: there is no round trip in it, as that is in up
 *	   already and no client can tell its halves apart. A reply that was all there at the first
 *	   read, without a wait for more, has no down: nobody saw it come.
 *
 * up + down, estimated each by itself, is therefore what an exchange takes beside hold. Bytes are
 * the connection's, heads included. Only whole exchanges that succeeded are told, up only if the
 * peer said what it held and that is less than the time it had.
 */
struct kerf_transfer {
	__u64 cookie; /* SO_COOKIE of the connection; 0: not known */
	__u64 start_ns, end_ns;
	__u64 hold_ns; /* of an up: not to be counted */
	__u64 bytes;
	__u32 down; /* 0: from here to the peer */
	__u32 reserved;
};

/*
 * A transfer and what was expected of it before it began. 96 bytes. Number n (from 1, in the
 * order they ended) stands in slot n % KERF_STATE_TRANSFERS: a reader that comes at least once in
 * KERF_STATE_TRANSFERS transfers sees each, and one that comes late sees by the numbers how many
 * it has missed.
 */
struct kerf_transfer_rec {
	__u32 seq;
	__u32 node; /* index in kerf_state.node */
	__u64 number; /* 0: a free slot */
	__u64 predicted_ns; /* without hold_ns; 0: nothing was expected */
	__u64 low_ns, high_ns; /* 80 % */
	struct kerf_transfer transfer;
	__u32 reserved;
	__u32 check;
};

_Static_assert(sizeof(struct kerf_link_rec) == 192, "ABI");
_Static_assert(sizeof(struct kerf_cpu_rec) == 128, "ABI");
_Static_assert(sizeof(struct kerf_engine_rec) == 128, "ABI");
_Static_assert(sizeof(struct kerf_zone_rec) == 64, "ABI");
_Static_assert(sizeof(struct kerf_engine_load) == 64, "ABI");
_Static_assert(sizeof(struct kerf_link_estimate) == 88, "ABI");
_Static_assert(sizeof(struct kerf_transfer_rec) == 96, "ABI");
_Static_assert(sizeof(struct kerf_state) % 8 == 0, "ABI");

/*
 * Over everything but seq and check, which are the record's first and last four bytes; size is a
 * multiple of 8. Catches a torn copy, not an adversary.
 */
typedef __u64 __attribute__((may_alias)) kerf_record_word;

static inline __attribute__((always_inline)) __u64 kerf_rotate(__u64 word, __u32 bits)
{
	bits %= 64;
	return bits ? word << bits | word >> (64 - bits) : word;
}

static inline __attribute__((always_inline)) __u32 kerf_record_check(const void *record, __u32 size)
{
	const kerf_record_word *word = (const kerf_record_word *)record;
	__u32 last = size / 8 - 1, i;
	__u64 sum = kerf_rotate(word[0] >> 32, 7 * last) ^ (word[last] & 0xffffffffu);

	/* No word waits for the one before: a context switch pays for this. */
#pragma GCC unroll 32
	for (i = 1; i < last; i++)
		sum ^= kerf_rotate(word[i], 7 * (last - i));
	return (__u32)(sum ^ sum >> 32);
}

#endif
