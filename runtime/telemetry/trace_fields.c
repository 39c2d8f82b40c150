/* SPDX-License-Identifier: MIT */
#include "telemetry/trace_fields.h"

#define SIZE_OF(s, m) sizeof(((s *)0)->m)
#define AT(s, m) offsetof(s, m), SIZE_OF(s, m)
#define BOUND(s, m) (SIZE_OF(s, m) == 8 ? UINT64_MAX : (1ull << SIZE_OF(s, m) % 8 * 8) - 1)
#define UNSIGNED(s, m)                                               \
	{                                                            \
#m, KERF_FIELD_UNSIGNED, AT(s, m), BOUND(s, m), NULL \
	}
#define BELOW(s, m, n)                                         \
	{                                                      \
#m, KERF_FIELD_UNSIGNED, AT(s, m), (n)-1, NULL \
	}
#define SIGNED(s, m)                                     \
	{                                                \
#m, KERF_FIELD_SIGNED, AT(s, m), 0, NULL \
	}
#define REAL(s, m)                                     \
	{                                              \
#m, KERF_FIELD_REAL, AT(s, m), 0, NULL \
	}
#define TEXT(s, m)                                     \
	{                                              \
#m, KERF_FIELD_TEXT, AT(s, m), 0, NULL \
	}
#define SOURCE(s, m)                                     \
	{                                                \
#m, KERF_FIELD_SOURCE, AT(s, m), 0, NULL \
	}
#define OBJECT(s, m, sub)                               \
	{                                               \
#m, KERF_FIELD_OBJECT, AT(s, m), 0, sub \
	}
#define END                                              \
	{                                                \
		NULL, KERF_FIELD_UNSIGNED, 0, 0, 0, NULL \
	}

const struct kerf_trace_field kerf_trace_link[] = {
#define L struct kerf_link_rec
	UNSIGNED(L, cookie),
	BELOW(L, life, 2),
	UNSIGNED(L, updated_ns),
	UNSIGNED(L, has),
	SOURCE(L, source),
	BELOW(L, app_limited, 2),
	BELOW(L, passive, 2),
	{"remote_addr", KERF_FIELD_ADDRESS, AT(L, remote_addr), 0, NULL},
	UNSIGNED(L, remote_port),
	UNSIGNED(L, local_port),
	UNSIGNED(L, mss_bytes),
	UNSIGNED(L, srtt_us),
	UNSIGNED(L, rttvar_us),
	UNSIGNED(L, min_rtt_us),
	UNSIGNED(L, cwnd_segments),
	UNSIGNED(L, in_flight_segments),
	UNSIGNED(L, ssthresh_segments),
	UNSIGNED(L, rate_bytes_s),
	UNSIGNED(L, rate_updated_ns),
	UNSIGNED(L, bytes_acked),
	UNSIGNED(L, bytes_received),
	UNSIGNED(L, delivered_segments),
	UNSIGNED(L, notsent_bytes),
	UNSIGNED(L, lost_segments),
	UNSIGNED(L, retransmits),
	UNSIGNED(L, rtos),
	UNSIGNED(L, established_ns),
	END,
#undef L
};

static const struct kerf_trace_field engine_load[] = {
#define E struct kerf_engine_load
	TEXT(E, name),
	SOURCE(E, source),
	BELOW(E, kind, KERF_ENGINE_RUNTIME + 1),
	UNSIGNED(E, depth),
	UNSIGNED(E, running),
	UNSIGNED(E, busy_permille),
	UNSIGNED(E, wait_us),
	UNSIGNED(E, jobs),
	UNSIGNED(E, errors),
	END,
#undef E
};

static const struct kerf_trace_field node_load[] = {
#define N struct kerf_node_load
	UNSIGNED(N, updated_ns),
	UNSIGNED(N, has),
	SOURCE(N, source),
	SOURCE(N, source_memory),
	SOURCE(N, source_sensor),
	UNSIGNED(N, n_cpu),
	UNSIGNED(N, fair_permille),
	UNSIGNED(N, rt_permille),
	UNSIGNED(N, own_permille),
	UNSIGNED(N, waiting_permille),
	UNSIGNED(N, slowdown_permille),
	UNSIGNED(N, cpu_pressure_permille),
	UNSIGNED(N, memory_pressure_permille),
	UNSIGNED(N, memory_bytes),
	UNSIGNED(N, memory_available_bytes),
	UNSIGNED(N, freq_khz),
	UNSIGNED(N, max_khz),
	SIGNED(N, temperature_mc),
	BELOW(N, throttled, 2),
	UNSIGNED(N, power_mw),
	UNSIGNED(N, competing_permille),
	UNSIGNED(N, outside_permille),
	{"engine", KERF_FIELD_ENGINES, AT(N, engine), 0, engine_load},
	END,
#undef N
};

static const struct kerf_trace_field estimate[] = {
#define S struct kerf_link_estimate
	UNSIGNED(S, updated_ns),
	SIGNED(S, latency_ns),
	UNSIGNED(S, rate_bytes_s),
	UNSIGNED(S, low_ppm),
	UNSIGNED(S, high_ppm),
	UNSIGNED(S, transfers),
	SOURCE(S, source),
	TEXT(S, estimator),
	SIGNED(S, low_ns),
	SIGNED(S, high_ns),
	UNSIGNED(S, window_bytes),
	UNSIGNED(S, round_ns),
	UNSIGNED(S, least_ns),
	END,
#undef S
};

const struct kerf_trace_field kerf_trace_node[] = {
#define N struct kerf_node_state
	TEXT(N, url),
	UNSIGNED(N, connections),
	UNSIGNED(N, rtt_us),
	UNSIGNED(N, min_rtt_us),
	UNSIGNED(N, retransmits),
	UNSIGNED(N, goodput_bytes_s),
	OBJECT(N, up, estimate),
	OBJECT(N, down, estimate),
	UNSIGNED(N, running_bytes),
	UNSIGNED(N, running_acked_bytes),
	UNSIGNED(N, running_since_ns),
	UNSIGNED(N, running_expected_ns),
	UNSIGNED(N, running_low_ns),
	UNSIGNED(N, running_high_ns),
	OBJECT(N, load, node_load),
	UNSIGNED(N, loads_refused),
	TEXT(N, refused),
	END,
#undef N
};

const struct kerf_trace_field kerf_trace_transfer[] = {
#define T struct kerf_transfer
	UNSIGNED(T, cookie),
	UNSIGNED(T, start_ns),
	UNSIGNED(T, end_ns),
	UNSIGNED(T, hold_ns),
	UNSIGNED(T, bytes),
	BELOW(T, down, 2),
	END,
#undef T
};

const struct kerf_trace_field kerf_trace_plan[] = {
#define P struct kerf_plan_note
	UNSIGNED(P, since_ns),
	UNSIGNED(P, epoch),
	UNSIGNED(P, predicted_ns),
	UNSIGNED(P, observed_ns),
	UNSIGNED(P, requests),
	UNSIGNED(P, n_step),
	TEXT(P, policy),
	TEXT(P, model),
	TEXT(P, reason),
	TEXT(P, changed),
	END,
#undef P
};

#define R struct kerf_trace_rec
const struct kerf_trace_field kerf_trace_node_head[] = {
	{"index", KERF_FIELD_UNSIGNED, AT(R, node), KERF_STATE_NODES - 1, NULL},
	END,
};

const struct kerf_trace_field kerf_trace_transfer_head[] = {
	BELOW(R, node, KERF_STATE_NODES),
	REAL(R, predicted_s),
	REAL(R, low_s),
	REAL(R, high_s),
	END,
};
#undef R

/* What 64 bits of ns hold is more than anyone waits for. */
static bool is_time(double s)
{
	return s >= 0 && s <= 0x1p64 / 1e9;
}

int kerf_trace_check(const struct kerf_trace_rec *rec, struct kerf_err *err)
{
	const struct kerf_transfer *t = &rec->u.transfer;

	if (rec->kind != KERF_TRACE_TRANSFER)
		return 0;
	if (t->end_ns < t->start_ns)
		return kerf_fail(err, -EINVAL,
				 "transfer.end_ns: expected %llu (start_ns) or more, found %llu",
				 (unsigned long long)t->start_ns, (unsigned long long)t->end_ns);
	if (t->hold_ns > t->end_ns - t->start_ns)
		return kerf_fail(
			err, -EINVAL,
			"transfer.hold_ns: expected at most the transfer's %llu ns, found %llu",
			(unsigned long long)(t->end_ns - t->start_ns),
			(unsigned long long)t->hold_ns);
	if (!is_time(rec->predicted_s) || !is_time(rec->low_s) || !is_time(rec->high_s) ||
	    rec->low_s > rec->high_s)
		return kerf_fail(
			err, -EINVAL,
			"transfer.predicted_s, low_s, high_s: expected seconds, low <= high, found "
			"%g, %g, %g",
			rec->predicted_s, rec->low_s, rec->high_s);
	return 0;
}
