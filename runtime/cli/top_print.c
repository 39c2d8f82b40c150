/* SPDX-License-Identifier: MIT */
#include "cli/top.h"

#include "cli/clean.h"
#include "telemetry/source_name.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <string.h>

static const char *const names[KERF_N_TOP_VIEW] = {
	[KERF_TOP_ALL] = "all",		[KERF_TOP_LINKS] = "links", [KERF_TOP_CPUS] = "cpus",
	[KERF_TOP_ENGINES] = "engines", [KERF_TOP_PLAN] = "plan",   [KERF_TOP_SOURCES] = "sources",
};

const char *kerf_top_view_name(enum kerf_top_view v)
{
	return names[v];
}

/* --- Cells: a figure in its room, or "-" where it is not known --- */

struct cell {
	char text[48];
};

static struct cell number(bool known, const char *fmt, double v)
{
	struct cell c;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	if (known)
		snprintf(c.text, sizeof(c.text), fmt, v);
	else
		strcpy(c.text, "-");
#pragma GCC diagnostic pop
	return c;
}

/* Three digits and more of it, and none that the eye must count. */
static struct cell mbit(bool known, double bytes_s)
{
	double v = bytes_s * 8e-6;

	return number(known, v >= 1000 ? "%.0f" : "%.4g", v);
}

/* A peer that has not replied for long was so then, not now. */
static struct cell age(const struct kerf_top_sample *s, uint64_t updated_ns)
{
	uint64_t ns = s->now_ns > updated_ns ? s->now_ns - updated_ns : 0;

	return number(updated_ns, "%.1f", (double)ns * 1e-9);
}

static const char *label(const struct kerf_node_state *n, char *buf, size_t size)
{
	return kerf_clean(!n->url[0]			   ? "this node"
			  : !strncmp(n->url, "http://", 7) ? n->url + 7
							   : n->url,
			  buf, size);
}

static const char *source(unsigned int v)
{
	return v ? kerf_source_name(v) : "-";
}

static bool is_there(const struct kerf_top_sample *s, uint32_t node)
{
	return !node || s->state.node[node].url[0];
}

/* --- Links --- */

static int percent(uint32_t ppm)
{
	return (int)(((int64_t)ppm - 1000000 + (ppm < 1000000 ? -5000 : 5000)) / 10000);
}

/* "20.0 -8 +9 %": Mbit/s, and how much shorter or longer 80 % of transfers take. */
static struct cell estimate(const struct kerf_link_estimate *e)
{
	struct cell c;

	if (!e->rate_bytes_s)
		return number(false, "", 0);
	snprintf(c.text, sizeof(c.text), "%.16s %+d %+d %%",
		 mbit(true, (double)e->rate_bytes_s).text, percent(e->low_ppm),
		 percent(e->high_ppm));
	return c;
}

static void peers(const struct kerf_top_sample *s, FILE *f)
{
	char buf[64], by[2][16];
	uint32_t i, n = 0;

	fprintf(f, "#%-26s %4s %8s %8s %9s %7s %20s %-8s %20s %-8s\n", "PEER", "CONN", "RTT ms",
		"MIN ms", "GOODPUT", "RETRANS", "UP Mbit/s", "BY", "DOWN Mbit/s", "BY");
	for (i = 1; i < s->state.n_node; i++) {
		const struct kerf_node_state *p = &s->state.node[i];

		if (!is_there(s, i))
			continue;
		n++;
		fprintf(f, "%-26s %4u %8s %8s %9s %7u %20s %-8s %20s %-8s\n", label(p, buf, 27),
			p->connections, number(p->rtt_us, "%.3f", p->rtt_us * 1e-3).text,
			number(p->min_rtt_us, "%.3f", p->min_rtt_us * 1e-3).text,
			mbit(p->goodput_bytes_s, (double)p->goodput_bytes_s).text, p->retransmits,
			estimate(&p->up).text, kerf_clean(p->up.estimator, by[0], 9),
			estimate(&p->down).text, kerf_clean(p->down.estimator, by[1], 9));
	}
	fprintf(f,
		n ? "-8 +9 %%: 80 %% of transfers take so much less or more time\n" : "no peers\n");
	for (i = 1; i < s->state.n_node; i++) {
		const struct kerf_node_state *p = &s->state.node[i];
		double expected = (double)p->running_expected_ns * 1e-9;
		double so_far = s->now_ns > p->running_since_ns
					? (double)(s->now_ns - p->running_since_ns) * 1e-9
					: 0;

		if (!is_there(s, i) || !p->running_bytes)
			continue;
		fprintf(f, "%s: %.2f of %.2f MB on the way for %.2f s, expected to take %s s",
			label(p, buf, 27), (double)p->running_acked_bytes * 1e-6,
			(double)p->running_bytes * 1e-6, so_far,
			number(p->running_expected_ns, "%.2f", expected).text);
		if (p->running_high_ns)
			fprintf(f, " (%.2f to %.2f)", (double)p->running_low_ns * 1e-9,
				(double)p->running_high_ns * 1e-9);
		fputc('\n', f);
	}
}

static void connections(const struct kerf_top_sample *s, FILE *f)
{
	char address[INET6_ADDRSTRLEN + 8];
	bool limited = false;
	uint32_t i;

	if (!s->n_link)
		return;
	fprintf(f, "#%-26s %8s %8s %8s %5s %6s %9s %7s %5s %9s %-8s\n", "CONNECTION", "RTT ms",
		"VAR ms", "MIN ms", "CWND", "FLIGHT", "Mbit/s", "RETRANS", "RTOS", "NOTSENT",
		"SOURCE");
	for (i = 0; i < s->n_link; i++) {
		const struct kerf_link_rec *l = &s->link[i];
		bool rtt = l->has & KERF_LINK_HAS_RTT, rate = l->has & KERF_LINK_HAS_RATE;
		size_t n;

		limited |= l->app_limited;
		if ((l->family != AF_INET && l->family != AF_INET6) ||
		    !inet_ntop(l->family, l->remote_addr, address, INET6_ADDRSTRLEN))
			strcpy(address, "-");
		n = strlen(address);
		snprintf(address + n, sizeof(address) - n, ":%u", l->remote_port);
		fprintf(f, "%-26s %8s %8s %8s %5u %6u %8s%s %7u %5s %9s %-8s\n", address,
			number(rtt, "%.3f", l->srtt_us * 1e-3).text,
			number(rtt, "%.3f", l->rttvar_us * 1e-3).text,
			number(rtt, "%.3f", l->min_rtt_us * 1e-3).text, l->cwnd_segments,
			l->in_flight_segments, mbit(rate, (double)l->rate_bytes_s).text,
			l->app_limited ? "a" : " ", l->retransmits,
			number(l->has & KERF_LINK_HAS_RTO, "%.0f", l->rtos).text,
			number(l->has & KERF_LINK_HAS_NOTSENT, "%.0f", l->notsent_bytes).text,
			source(l->source));
	}
	if (limited)
		fprintf(f, "a: the sender had nothing more to send, so the path may be faster\n");
}

/* --- CPUs --- */

static void nodes_load(const struct kerf_top_sample *s, FILE *f)
{
	char buf[64], why[KERF_REASON_BYTES];
	uint32_t i;

	fprintf(f, "#%-26s %4s %6s %6s %6s %6s %8s %6s %6s %9s %11s %6s %7s %6s %s\n", "NODE", "CPUS",
		"FAIR %", "RT %", "OWN %", "WAIT %", "SLOWDOWN", "PSI c%", "PSI m%", "FREE MiB",
		"MHz", "TEMP", "POWER W", "AGE s", "SOURCES cpu/memory/sensors");
	for (i = 0; i < s->state.n_node; i++) {
		const struct kerf_node_load *l = &s->state.node[i].load;
		bool cpu = l->has & KERF_LOAD_HAS_CPU, psi = l->has & KERF_LOAD_HAS_PRESSURE;
		char mhz[32] = "-";

		if (!is_there(s, i))
			continue;
		if (l->has & KERF_LOAD_HAS_FREQ)
			snprintf(mhz, sizeof(mhz), "%u/%u%s", l->freq_khz / 1000, l->max_khz / 1000,
				 l->throttled ? "!" : "");
		fprintf(f, "%-26s %4u %6s %6s %6s %6s %8s %6s %6s %9s %11s %6s %7s %6s %s/%s/%s\n",
			label(&s->state.node[i], buf, 27), l->n_cpu,
			number(cpu, "%.0f", l->fair_permille * 0.1).text,
			number(cpu, "%.0f", l->rt_permille * 0.1).text,
			number(cpu, "%.0f", l->own_permille * 0.1).text,
			number(l->has & KERF_LOAD_HAS_RUN_DELAY, "%.0f", l->waiting_permille * 0.1)
				.text,
			number(cpu, "%.2f", l->slowdown_permille * 1e-3).text,
			number(psi, "%.1f", l->cpu_pressure_permille * 0.1).text,
			number(psi, "%.1f", l->memory_pressure_permille * 0.1).text,
			number(l->has & KERF_LOAD_HAS_MEMORY, "%.0f",
			       (double)l->memory_available_bytes / (1 << 20))
				.text,
			mhz,
			number(l->has & KERF_LOAD_HAS_TEMPERATURE, "%.1f", l->temperature_mc * 1e-3)
				.text,
			number(l->has & KERF_LOAD_HAS_POWER, "%.2f", l->power_mw * 1e-3).text,
			age(s, l->updated_ns).text,
			source(l->source), source(l->source_memory), source(l->source_sensor));
	}
	for (i = 1; i < s->state.n_node; i++) {
		const struct kerf_node_state *p = &s->state.node[i];

		if (is_there(s, i) && p->loads_refused)
			fprintf(f, "%s: %u of its reports were not believed: %s\n",
				label(p, buf, 27), p->loads_refused,
				kerf_clean(p->refused, why, sizeof(why)));
	}
}

static void bar(double v, char mark, char *out, size_t *n, size_t max)
{
	size_t k = (size_t)(v * 40 + 0.5);

	while (k-- && *n < max)
		out[(*n)++] = mark;
}

static void cpus(const struct kerf_top_sample *before, const struct kerf_top_sample *s, FILE *f)
{
	uint32_t i;

	if (s->n_cpu)
		fprintf(f, "#%-5s %6s %6s %6s %6s  %-40s %s\n", "CPU", "FAIR %", "RT %", "OWN %",
			"WAIT %", "r: real-time  f: others  o: kerf", "SOURCE");
	for (i = 0; i < s->n_cpu; i++) {
		struct kerf_top_cpu c;
		char text[41] = "";
		size_t n = 0;

		if (!kerf_top_cpu(before, s, i, &c))
			continue;
		bar(c.rt, 'r', text, &n, 40);
		bar(c.fair, 'f', text, &n, 40);
		bar(c.own, 'o', text, &n, 40);
		fprintf(f, "%-5u %6.0f %6.0f %6.0f %6s  %-40s %s\n", i, c.fair * 100, c.rt * 100,
			c.own * 100,
			number(s->cpu[i].has & KERF_CPU_HAS_RUN_DELAY, "%.0f", c.wait * 100).text,
			text, source(s->cpu[i].source));
	}
}

static void zones(const struct kerf_top_sample *s, FILE *f)
{
	char buf[32];
	uint32_t i;

	if (s->n_zone)
		fprintf(f, "#%-20s %8s %10s %6s\n", "ZONE", "NOW", "LIMIT", "SOURCE");
	for (i = 0; i < s->n_zone; i++) {
		const struct kerf_zone_rec *z = &s->zone[i];

		if (z->kind == KERF_ZONE_THERMAL)
			fprintf(f, "%-16s %3u %6.1f C %8s C %6s%s\n", kerf_clean(z->name, buf, 17),
				z->id, z->temperature_mc * 1e-3,
				number(z->trip_mc, "%.0f", z->trip_mc * 1e-3).text,
				source(z->source), z->throttled ? " throttled" : "");
		else
			fprintf(f, "%-16s %3u %4u MHz %6u MHz %6s%s\n",
				kerf_clean(z->name, buf, 17), z->id, z->freq_khz / 1000,
				z->max_khz / 1000, source(z->source),
				z->throttled ? " throttled" : "");
	}
}

/* --- Engines --- */

static void engines(const struct kerf_top_sample *s, FILE *f)
{
	static const char *const kinds[] = {"-", "queue", "drm", "runtime"};
	char node[64], name[40];
	uint32_t i, k, n = 0;

	fprintf(f, "#%-26s %-24s %-8s %5s %7s %6s %9s %10s %8s %s\n", "NODE", "ENGINE", "KIND",
		"DEPTH", "RUNNING", "BUSY %", "WAIT ms", "JOBS", "ERRORS", "SOURCE");
	for (i = 0; i < s->state.n_node; i++) {
		const struct kerf_node_load *l = &s->state.node[i].load;

		for (k = 0; is_there(s, i) && k < l->n_engine; k++, n++) {
			const struct kerf_engine_load *e = &l->engine[k];

			fprintf(f, "%-26s %-24s %-8s %5u %7u %6.1f %9.3f %10llu %8llu %s\n",
				label(&s->state.node[i], node, 27), kerf_clean(e->name, name, 25),
				e->kind < KERF_ARRAY_SIZE(kinds) ? kinds[e->kind] : "?", e->depth,
				e->running, e->busy_permille * 0.1, e->wait_us * 1e-3,
				(unsigned long long)e->jobs, (unsigned long long)e->errors,
				source(e->source));
		}
	}
	if (!n)
		fprintf(f, "no engines\n");
}

/* --- Plan, sources --- */

static void plan(const struct kerf_top_sample *s, FILE *f)
{
	const struct kerf_plan_note *p = &s->state.plan;
	char policy[sizeof(p->policy)], model[sizeof(p->model)], why[sizeof(p->reason)];

	fprintf(f, "#PLAN\n");
	if (!p->epoch) {
		fprintf(f, "no plan yet\n");
		return;
	}
	fprintf(f, "number %llu, of %s, for %s: %u steps, in force for %.1f s, %llu requests\n",
		(unsigned long long)p->epoch, kerf_clean(p->policy, policy, sizeof(policy)),
		kerf_clean(p->model, model, sizeof(model)), p->n_step,
		s->now_ns > p->since_ns ? (double)(s->now_ns - p->since_ns) * 1e-9 : 0.0,
		(unsigned long long)p->requests);
	fprintf(f, "latency: %s ms planned, %s ms observed\n",
		number(p->predicted_ns, "%.3f", (double)p->predicted_ns * 1e-6).text,
		number(p->observed_ns, "%.3f", (double)p->observed_ns * 1e-6).text);
	fprintf(f, "why: %s\n", kerf_clean(p->reason, why, sizeof(why)));
	if (p->changed[0])
		fprintf(f, "changed: %s\n", kerf_clean(p->changed, why, sizeof(why)));
}

static void sources(const struct kerf_top_sample *s, FILE *f)
{
	static const char *const regions[KERF_N_REGION] = {
		[KERF_REGION_HEAD] = "head",	       [KERF_REGION_LINKS] = "links",
		[KERF_REGION_CPUS] = "cpus",	       [KERF_REGION_ENGINES] = "engines",
		[KERF_REGION_ZONES] = "zones",	       [KERF_REGION_STATE] = "state",
		[KERF_REGION_TRANSFERS] = "transfers",
	};
	char why[KERF_REASON_BYTES];
	uint32_t i;

	fprintf(f, "#%-10s %-9s %s\n", "REGION", "SOURCE", "WHY NONE BETTER");
	for (i = KERF_REGION_LINKS; i < KERF_N_REGION; i++) {
		const struct kerf_region_info *r = &s->head.region[i];

		fprintf(f, "%-10s %-9s %s\n", regions[i], source(r->source),
			kerf_clean(r->reason, why, sizeof(why)));
	}
}

void kerf_top_print(const struct kerf_top_sample *before, const struct kerf_top_sample *now,
		    enum kerf_top_view view, FILE *f)
{
	bool all = view == KERF_TOP_ALL;

	if (all || view == KERF_TOP_LINKS) {
		peers(now, f);
		connections(now, f);
	}
	fputs(all ? "\n" : "", f);
	if (all || view == KERF_TOP_CPUS) {
		nodes_load(now, f);
		cpus(before, now, f);
	}
	if (view == KERF_TOP_CPUS)
		zones(now, f);
	fputs(all ? "\n" : "", f);
	if (all || view == KERF_TOP_ENGINES)
		engines(now, f);
	fputs(all ? "\n" : "", f);
	if (all || view == KERF_TOP_PLAN)
		plan(now, f);
	fputs(all ? "\n" : "", f);
	if (all || view == KERF_TOP_SOURCES)
		sources(now, f);
}
