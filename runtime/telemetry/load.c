/* SPDX-License-Identifier: MIT */
/*
 * Counters to figures. A window's figures are each CPU's rates over the time since that CPU was
 * last read whole; windows shorter than SPAN_NS are taken together, for schedulers hand out the CPU
 * in slices of some ms and a shorter look sees whose slice it was, not who shares.
 */
#include "telemetry/load.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "telemetry/load_proc.h"
#include "telemetry/load_sys.h"
#include "telemetry/record.h"
#include "util/base.h"

#define SPAN_NS 100000000u
#define SPAN_TICKS_NS 200000000u /* where times are told in ticks of 10 ms */
#define MAX_WINDOWS 16
#define MASK_NS 1000000000u /* between two looks at which CPUs are ours, and our priority */
#define MOST_WAITING 1000.0 /* tasks for a CPU: what says more is broken */
#define MOST_WEIGHT 88	    /* of nice -20 */

/* Rates: CPUs' worth, or tasks' worth of waiting. */
struct rates {
	double fair, rt, own, waiting, competing, outside;
};

struct cpu {
	uint64_t at_ns; /* 0: never read */
	uint64_t fair_ns, rt_ns, own_ns, run_delay_ns, competing_ns, outside_ns;
	uint32_t has;
	uint8_t source;
	struct rates rates; /* over the last window in which it was read */
	bool known;
};

struct window {
	double ns;
	struct rates rates; /* all CPUs that are ours */
	double cpu_pressure, memory_pressure;
};

/* A counter of the kernel's that is a rate of its own. */
struct meter {
	uint64_t at_ns, value;
};

struct kerf_load {
	struct kerf_proc *proc;
	struct kerf_sys *sys;
	const struct kerf_cpu_rec *rec; /* the program's, or proc's */
	const struct kerf_zone_rec *zone;
	bool counts_ticks;

	uint64_t at_ns, mask_ns;
	uint8_t mask[KERF_STATE_CPUS / 8];
	uint32_t n_mask; /* 0: not known */
	double weight;	 /* our threads', beside nice 0 */
	struct cpu cpu[KERF_STATE_CPUS];
	struct meter cpu_pressure, memory_pressure, own_delay;
	struct window window[MAX_WINDOWS]; /* newest first */
	uint32_t n_window;
	struct kerf_node_load load;
};

int kerf_load_open(const struct kerf_load_config *cfg, struct kerf_load **load,
		   struct kerf_err *err)
{
	struct kerf_load *l = calloc(1, sizeof(*l));

	if (!l)
		return kerf_fail(err, -ENOMEM, "load: out of memory");
	l->proc = kerf_proc_open(cfg->proc ? cfg->proc : "/proc", !cfg->cpu);
	l->sys = kerf_sys_open(cfg->sys ? cfg->sys : "/sys");
	if (!l->proc || !l->sys) {
		kerf_load_close(l);
		return kerf_fail(err, -ENOMEM, "load: out of memory");
	}
	l->rec = cfg->cpu ? cfg->cpu : kerf_proc_cpus(l->proc);
	l->counts_ticks = !cfg->cpu;
	l->zone = cfg->zone;
	*load = l;
	return 0;
}

void kerf_load_close(struct kerf_load *l)
{
	if (!l)
		return;
	kerf_proc_close(l->proc);
	kerf_sys_close(l->sys);
	free(l);
}

const struct kerf_cpu_rec *kerf_load_cpus(const struct kerf_load *l)
{
	return kerf_proc_cpus(l->proc);
}

const struct kerf_zone_rec *kerf_load_zones(const struct kerf_load *l)
{
	return l->zone ? NULL : kerf_sys_zones(l->sys);
}

/*
 * Which CPUs count: those that are on line and that this thread may run on. And what it weighs: the
 * kernel's table of weights is 1024 / 1.25^nice, rounded.
 */
static void find_ours(struct kerf_load *l, uint64_t now_ns)
{
	uint8_t allowed[sizeof(l->mask)], online[sizeof(l->mask)], both;
	bool has_allowed, has_online;
	uint32_t i, n = 0;

	if (l->mask_ns && now_ns - l->mask_ns < MASK_NS)
		return;
	l->mask_ns = now_ns;
	has_allowed = kerf_proc_allowed(l->proc, allowed, KERF_STATE_CPUS);
	has_online = kerf_sys_online(l->sys, online, KERF_STATE_CPUS);
	for (i = 0; i < sizeof(l->mask); i++) {
		both = (has_allowed ? allowed[i] : 0xff) & (has_online ? online[i] : 0xff);
		l->mask[i] = both;
		n += (uint32_t)__builtin_popcount(both);
	}
	l->n_mask = has_allowed || has_online ? n : 0;
	l->weight = pow(1.25, -kerf_proc_nice(l->proc));
}

static bool in_mask(const struct kerf_load *l, uint32_t i)
{
	return !l->n_mask || (l->mask[i / 8] >> i % 8 & 1);
}

/* What a counter grew by, per ns; nothing if it went back. */
static double rate(uint64_t before, uint64_t now, uint64_t ns, double most)
{
	return now > before ? KERF_MIN((double)(now - before) / (double)ns, most) : 0;
}

/* Times up to now_ns: what runs since the last switch is not in the totals yet. */
static void add_running(struct kerf_cpu_rec *r, uint64_t now_ns)
{
	uint64_t ns = now_ns > r->switch_ns ? now_ns - r->switch_ns : 0, weighed;

	switch (r->running) {
	case KERF_CPU_FAIR:
		r->fair_ns += ns;
		weighed = (uint64_t)((double)ns * r->running_weight / 1024);
		if (r->running_outside)
			r->outside_ns += weighed;
		else
			r->competing_ns += weighed;
		break;
	case KERF_CPU_RT: r->rt_ns += ns; break;
	case KERF_CPU_OWN: r->own_ns += ns; break;
	}
}

static void read_cpu(struct cpu *c, const struct kerf_cpu_rec *rec, uint64_t now_ns)
{
	struct kerf_cpu_rec r;
	struct rates *x = &c->rates;
	uint64_t ns;
	double all;

	/* Not now: its rates stand, and the next window is so much the longer. */
	if (!kerf_record_read(rec, &r, sizeof(r)) || !r.begin_ns || !(r.has & KERF_CPU_HAS_BUSY))
		return;
	add_running(&r, now_ns);
	if (c->at_ns && now_ns > c->at_ns) {
		ns = now_ns - c->at_ns;
		x->fair = rate(c->fair_ns, r.fair_ns, ns, 1);
		x->rt = rate(c->rt_ns, r.rt_ns, ns, 1);
		x->own = rate(c->own_ns, r.own_ns, ns, 1);
		x->waiting = rate(c->run_delay_ns, r.run_delay_ns, ns, MOST_WAITING);
		x->competing =
			rate(c->competing_ns, r.competing_ns, ns, MOST_WEIGHT * MOST_WAITING);
		x->outside = rate(c->outside_ns, r.outside_ns, ns, MOST_WEIGHT * MOST_WAITING);
		all = x->fair + x->rt + x->own;
		if (all > 1) {
			x->fair /= all;
			x->rt /= all;
			x->own /= all;
		}
		c->known = true;
	}
	c->at_ns = now_ns;
	c->fair_ns = r.fair_ns;
	c->rt_ns = r.rt_ns;
	c->own_ns = r.own_ns;
	c->run_delay_ns = r.run_delay_ns;
	c->competing_ns = r.competing_ns;
	c->outside_ns = r.outside_ns;
	c->has = r.has;
	c->source = r.source;
}

/* The sum of ours; n: how many they are; has: what all that are known have. */
static void sum_cpus(struct kerf_load *l, uint64_t now_ns, struct rates *sum, uint32_t *n,
		     uint32_t *has, uint8_t *source)
{
	struct cpu *c;
	uint32_t i, known = 0;

	memset(sum, 0, sizeof(*sum));
	*has = UINT32_MAX;
	*source = KERF_SOURCE_NONE;
	for (i = 0; i < KERF_STATE_CPUS; i++) {
		c = &l->cpu[i];
		if (!in_mask(l, i)) {
			/* What it does meanwhile belongs to no window of ours. */
			c->at_ns = 0;
			c->known = false;
			continue;
		}
		read_cpu(c, &l->rec[i], now_ns);
		if (!c->known)
			continue;
		sum->fair += c->rates.fair;
		sum->rt += c->rates.rt;
		sum->own += c->rates.own;
		sum->waiting += c->rates.waiting;
		sum->competing += c->rates.competing;
		sum->outside += c->rates.outside;
		*has &= c->has;
		*source = *source ? KERF_MIN(*source, c->source) : c->source;
		known++;
	}
	*n = l->n_mask ? l->n_mask : known;
	if (!known)
		*has = 0;
}

/* A total in units of unit_ns to its growth; false while there is nothing to compare it with. */
static bool read_meter(struct meter *m, bool there, uint64_t value, double unit_ns, uint64_t now_ns,
		       double most, double *grows)
{
	bool known = there && m->at_ns && now_ns > m->at_ns;

	*grows = 0;
	if (known && value > m->value)
		*grows = KERF_MIN(
			(double)(value - m->value) * unit_ns / (double)(now_ns - m->at_ns), most);
	m->at_ns = there ? now_ns : 0;
	m->value = value;
	return known;
}

/*
 * Kernels without schedstats: "some" pressure is the share of time, by CPU and weighed by how busy
 * that was, in which at least one task waited. So many busy CPUs as there are times that is the
 * number of waiting tasks as long as none has two.
 */
static double waiting_by_pressure(const struct rates *sum, double pressure, double own_delay)
{
	return KERF_MAX(0, pressure * (sum->fair + sum->rt + sum->own) - own_delay);
}

static void push(struct kerf_load *l, const struct window *w)
{
	memmove(&l->window[1], &l->window[0], sizeof(l->window[0]) * (MAX_WINDOWS - 1));
	l->window[0] = *w;
	if (l->n_window < MAX_WINDOWS)
		l->n_window++;
}

/* The mean over the newest windows that reach far enough back. */
static void mean(const struct kerf_load *l, struct window *m)
{
	double span = l->counts_ticks ? SPAN_TICKS_NS : SPAN_NS, share;
	const struct window *w;
	uint32_t i;

	memset(m, 0, sizeof(*m));
	for (i = 0; i < l->n_window && m->ns < span; i++)
		m->ns += l->window[i].ns;
	while (i--) {
		w = &l->window[i];
		share = w->ns / m->ns;
		m->rates.fair += share * w->rates.fair;
		m->rates.rt += share * w->rates.rt;
		m->rates.own += share * w->rates.own;
		m->rates.waiting += share * w->rates.waiting;
		m->rates.competing += share * w->rates.competing;
		m->rates.outside += share * w->rates.outside;
		m->cpu_pressure += share * w->cpu_pressure;
		m->memory_pressure += share * w->memory_pressure;
	}
}

static uint32_t permille(double x)
{
	return (uint32_t)lround(KERF_MIN(x, 1e6) * 1e3);
}

/* Ends a window of the CPUs and of pressure; load keeps its figures if there was none. */
static void sample_cpus(struct kerf_load *l, uint64_t now_ns, struct kerf_node_load *load)
{
	uint64_t cpu_us = 0, memory_us = 0;
	struct window w = {0}, m;
	uint32_t has, n;
	bool pressure, memory, delay;
	uint8_t source;
	double own_delay;

	find_ours(l, now_ns);
	kerf_proc_update(l->proc, now_ns);
	sum_cpus(l, now_ns, &w.rates, &n, &has, &source);
	delay = kerf_proc_cpu_pressure(l->proc, &cpu_us);
	pressure = read_meter(&l->cpu_pressure, delay, cpu_us, 1000, now_ns, 1, &w.cpu_pressure);
	memory = kerf_proc_memory_pressure(l->proc, &memory_us);
	memory = read_meter(&l->memory_pressure, memory, memory_us, 1000, now_ns, 1,
			    &w.memory_pressure);
	read_meter(&l->own_delay, true, kerf_proc_own_delay_ns(l->proc), 1, now_ns, MOST_WAITING,
		   &own_delay);
	load->n_cpu = n;
	if (!l->at_ns)
		return; /* nothing to compare with yet */
	if (has && !(has & KERF_CPU_HAS_RUN_DELAY) && pressure) {
		w.rates.waiting = waiting_by_pressure(&w.rates, w.cpu_pressure, own_delay);
		has |= KERF_CPU_HAS_RUN_DELAY;
	}
	w.ns = (double)(now_ns - l->at_ns);
	push(l, &w);
	mean(l, &m);

	load->has = 0;
	load->source = source;
	if (has) {
		load->has |= KERF_LOAD_HAS_CPU;
		load->fair_permille = permille(m.rates.fair);
		load->own_permille = permille(m.rates.own);
	}
	if (has & KERF_CPU_HAS_RT) {
		load->has |= KERF_LOAD_HAS_RT;
		load->rt_permille = permille(m.rates.rt);
	}
	if (has & KERF_CPU_HAS_RUN_DELAY) {
		load->has |= KERF_LOAD_HAS_RUN_DELAY;
		load->waiting_permille = permille(m.rates.waiting);
	}
	if (has & KERF_CPU_HAS_COMPETING) {
		load->has |= KERF_LOAD_HAS_COMPETING | KERF_LOAD_HAS_OUTSIDE;
		load->outside_permille = permille(m.rates.outside);
		load->competing_permille = permille(m.rates.competing / l->weight);
	}
	if (pressure || memory) {
		load->has |= KERF_LOAD_HAS_PRESSURE;
		load->cpu_pressure_permille = permille(m.cpu_pressure);
		load->memory_pressure_permille = permille(m.memory_pressure);
		load->source_memory = KERF_SOURCE_PROC;
	}
}

void kerf_load_sample(struct kerf_load *l, uint64_t now_ns, struct kerf_node_load *load)
{
	struct kerf_node_load *x = &l->load;
	struct kerf_node_load fresh = {0};
	uint64_t total, available;

	/* No time has passed: no new window. */
	if (l->at_ns && now_ns <= l->at_ns)
		goto out;
	sample_cpus(l, now_ns, &fresh);
	*x = fresh;
	l->at_ns = now_ns;
	x->updated_ns = now_ns;
	if (kerf_proc_memory(l->proc, &total, &available)) {
		x->memory_bytes = total;
		x->memory_available_bytes = available;
		x->has |= KERF_LOAD_HAS_MEMORY;
		x->source_memory = KERF_SOURCE_PROC;
	}
	kerf_sys_update(l->sys, now_ns);
	kerf_sys_merge(l->sys, l->zone);
	kerf_sys_fill(l->sys, x);
	x->slowdown_permille = permille(kerf_load_slowdown(x, 1));
out:
	/* Engines are not ours: they stay as they are. */
	x->n_engine = load->n_engine;
	memcpy(load, x, offsetof(struct kerf_node_load, engine));
}
