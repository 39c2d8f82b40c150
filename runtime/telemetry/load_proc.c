/* SPDX-License-Identifier: MIT */
/*
 * /proc/stat counts in ticks, schedstat and a task's own counters in ns. Totals are subtracted
 * from totals, never differences from differences, so that no rounding adds up.
 */
#include "telemetry/load_proc.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "telemetry/load_file.h"
#include "telemetry/record.h"
#include "util/base.h"

#define TEXT_BYTES (128 << 10) /* 512 CPUs with eleven numbers each */
#define MAX_THREADS 512	       /* of this process; those beyond count as others */

/* One thread of this process. */
struct own {
	uint32_t tid;
	bool seen;
	uint64_t run_ns, delay_ns;
};

/* Totals since the first sight of a CPU. */
struct cpu {
	bool seen;
	bool has_delay;
	uint64_t busy_base_ns, delay_base_ns;
	uint64_t busy_ns, delay_ns; /* everyone's */
	uint64_t own_ns, own_delay_ns;
};

struct kerf_proc {
	const char *root;
	int stat, schedstat, meminfo, cpu_pressure, memory_pressure;
	uint64_t tick_ns;
	bool cpus, own_known;
	uint64_t own_delay_ns, updated_ns;
	struct own own[MAX_THREADS];
	uint32_t n_own;
	struct cpu cpu[KERF_STATE_CPUS];
	struct kerf_cpu_rec rec[KERF_STATE_CPUS];
	char text[TEXT_BYTES];
	char path[];
};

struct kerf_proc *kerf_proc_open(const char *root, bool cpus)
{
	struct kerf_proc *p = calloc(1, sizeof(*p) + strlen(root) + 1);
	long hz = sysconf(_SC_CLK_TCK);

	if (!p)
		return NULL;
	strcpy(p->path, root);
	p->root = p->path;
	p->tick_ns = 1000000000u / (uint64_t)(hz > 0 ? hz : 100);
	p->cpus = cpus;
	p->stat = cpus ? kerf_load_file_open(root, "stat") : -1;
	p->schedstat = cpus ? kerf_load_file_open(root, "schedstat") : -1;
	p->meminfo = kerf_load_file_open(root, "meminfo");
	p->cpu_pressure = kerf_load_file_open(root, "pressure/cpu");
	p->memory_pressure = kerf_load_file_open(root, "pressure/memory");
	return p;
}

void kerf_proc_close(struct kerf_proc *p)
{
	if (!p)
		return;
	kerf_load_file_close(p->stat);
	kerf_load_file_close(p->schedstat);
	kerf_load_file_close(p->meminfo);
	kerf_load_file_close(p->cpu_pressure);
	kerf_load_file_close(p->memory_pressure);
	free(p);
}

const struct kerf_cpu_rec *kerf_proc_cpus(const struct kerf_proc *p)
{
	return p->cpus ? p->rec : NULL;
}

uint64_t kerf_proc_own_delay_ns(const struct kerf_proc *p)
{
	return p->own_delay_ns;
}

/* The next whole line, NUL-terminated in place; NULL: none, or the last one was cut short. */
static char *next_line(char **text)
{
	char *line = *text, *end = strchr(line, '\n');

	if (!end)
		return NULL;
	*end = '\0';
	*text = end + 1;
	return line;
}

/* "cpu7 ..." to 7, and *s after it; -1: another line, or a CPU beyond the table. */
static int cpu_of(const char *line, const char **s)
{
	uint64_t n;

	if (strncmp(line, "cpu", 3) || line[3] < '0' || line[3] > '9')
		return -1;
	*s = line + 3;
	return kerf_load_number(s, &n) && n < KERF_STATE_CPUS ? (int)n : -1;
}

static uint32_t numbers(const char *s, uint64_t *v, uint32_t max)
{
	uint32_t n = 0;

	while (n < max && kerf_load_number(&s, &v[n]))
		n++;
	return n;
}

/*
 * The total since the first sight, of a counter that may go back: a CPU's begins anew when it was
 * off line, and some of the kernel's are corrected. *base is modulo 2^64.
 */
static uint64_t since(uint64_t *base, uint64_t before, uint64_t counter, bool first)
{
	if (first)
		*base = counter;
	else if ((int64_t)(counter - *base - before) < 0)
		*base = counter - before;
	return counter - *base;
}

static void read_stat(struct kerf_proc *p)
{
	char *text = p->text, *line;
	const char *s;
	uint64_t v[7], ns;
	struct cpu *c;
	int i;

	kerf_load_file_read(p->stat, p->text, sizeof(p->text));
	while ((line = next_line(&text)) && !strncmp(line, "cpu", 3)) {
		i = cpu_of(line, &s);
		/* user nice system idle iowait irq softirq */
		if (i < 0 || numbers(s, v, 7) < 7)
			continue;
		if (__builtin_add_overflow(v[0], v[1], &ns) ||
		    __builtin_add_overflow(ns, v[2], &ns) ||
		    __builtin_add_overflow(ns, v[5], &ns) ||
		    __builtin_add_overflow(ns, v[6], &ns) ||
		    __builtin_mul_overflow(ns, p->tick_ns, &ns))
			continue;
		c = &p->cpu[i];
		c->busy_ns = since(&c->busy_base_ns, c->busy_ns, ns, !c->seen);
		c->seen = true;
	}
}

static void read_schedstat(struct kerf_proc *p)
{
	char *text = p->text, *line;
	const char *s;
	uint64_t v[9], version;
	struct cpu *c;
	int i;

	kerf_load_file_read(p->schedstat, p->text, sizeof(p->text));
	line = next_line(&text);
	if (!line || strncmp(line, "version ", 8))
		return;
	s = line + 8;
	/* Field 8 of a CPU's line has been its run delay in these, whatever domains looked like. */
	if (!kerf_load_number(&s, &version) || version < 15 || version > 17)
		return;
	while ((line = next_line(&text))) {
		i = cpu_of(line, &s);
		if (i < 0 || numbers(s, v, 9) < 9)
			continue;
		c = &p->cpu[i];
		c->delay_ns = since(&c->delay_base_ns, c->delay_ns, v[7], !c->has_delay);
		c->has_delay = true;
	}
}

/* Fields of a thread's stat, numbered as in proc(5). */
enum { NICE = 19, UTIME = 14, STIME = 15, PROCESSOR = 39, N_FIELD };

/* They are counted from behind the name, which may hold anything. */
static bool read_thread_stat(struct kerf_proc *p, const char *thread, int64_t *v)
{
	char text[1024];
	const char *s;
	uint64_t x;
	bool minus;
	int fd = kerf_load_file_open(p->root, "%s/stat", thread), i;

	kerf_load_file_read(fd, text, sizeof(text));
	kerf_load_file_close(fd);
	s = strrchr(text, ')');
	if (!s || s[1] != ' ' || !s[2] || s[3] != ' ')
		return false;
	s += 3;
	for (i = 4; i < N_FIELD; i++) {
		while (*s == ' ')
			s++;
		minus = *s == '-';
		s += minus;
		if (!kerf_load_number(&s, &x))
			return false;
		v[i] = minus ? -(int64_t)KERF_MIN(x, INT64_MAX) : (int64_t)KERF_MIN(x, INT64_MAX);
	}
	return true;
}

/* *known: where the search begins; the kernel lists threads in the same order each time. */
static struct own *find_own(struct kerf_proc *p, uint32_t tid, uint32_t *known)
{
	uint32_t i, at;

	for (i = 0; i < p->n_own; i++) {
		at = (*known + i) % p->n_own;
		if (p->own[at].tid == tid) {
			*known = at + 1;
			return &p->own[at];
		}
	}
	if (p->n_own == MAX_THREADS)
		return NULL;
	memset(&p->own[p->n_own], 0, sizeof(p->own[0]));
	p->own[p->n_own].tid = tid;
	return &p->own[p->n_own++];
}

static void read_thread(struct kerf_proc *p, uint32_t tid, uint64_t elapsed_ns, uint32_t *known)
{
	uint64_t v[2], ran, waited;
	uint32_t n_before = p->n_own;
	int64_t field[N_FIELD];
	char text[96], path[64];
	struct cpu *c;
	struct own *o;
	int fd;

	snprintf(path, sizeof(path), "self/task/%u", tid);
	if (!read_thread_stat(p, path, field) || field[PROCESSOR] < 0 ||
	    field[PROCESSOR] >= KERF_STATE_CPUS)
		return;
	fd = kerf_load_file_open(p->root, "%s/schedstat", path);
	kerf_load_file_read(fd, text, sizeof(text));
	kerf_load_file_close(fd);
	if (numbers(text, v, 2) < 2) {
		if (__builtin_add_overflow(field[UTIME], field[STIME], &v[0]) ||
		    __builtin_mul_overflow(v[0], p->tick_ns, &v[0]))
			return;
		v[1] = 0;
	}
	o = find_own(p, tid, known);
	if (!o)
		return;
	o->seen = true;
	p->own_known = true;
	ran = v[0] > o->run_ns ? v[0] - o->run_ns : 0;
	waited = v[1] > o->delay_ns ? v[1] - o->delay_ns : 0;
	if (p->n_own > n_before) { /* a new one, or there before the first look */
		ran = KERF_MIN(ran, elapsed_ns);
		waited = KERF_MIN(waited, elapsed_ns);
	}
	c = &p->cpu[field[PROCESSOR]];
	c->own_ns += ran;
	c->own_delay_ns += waited;
	p->own_delay_ns += waited;
	o->run_ns = v[0];
	o->delay_ns = v[1];
}

static void read_own(struct kerf_proc *p, uint64_t elapsed_ns)
{
	uint32_t i, known = 0, kept = 0;
	char path[4096];
	struct dirent *e;
	uint64_t tid;
	const char *s;
	DIR *dir;

	if (snprintf(path, sizeof(path), "%s/self/task", p->root) >= (int)sizeof(path))
		return;
	dir = opendir(path);
	if (!dir)
		return;
	for (i = 0; i < p->n_own; i++)
		p->own[i].seen = false;
	while ((e = readdir(dir))) {
		s = e->d_name;
		if (kerf_load_number(&s, &tid) && !*s && tid && tid <= UINT32_MAX)
			read_thread(p, (uint32_t)tid, elapsed_ns, &known);
	}
	closedir(dir);
	for (i = 0; i < p->n_own; i++)
		if (p->own[i].seen)
			p->own[kept++] = p->own[i];
	p->n_own = kept;
}

/*
 * A thread's time was booked where it was last seen, which may not be where it ran: what a CPU
 * cannot have done for it goes to those that did more than is accounted for.
 */
static void settle_own(struct kerf_proc *p)
{
	uint64_t over = 0, most, take;
	struct cpu *c;
	int i;

	for (i = 0; i < KERF_STATE_CPUS; i++) {
		c = &p->cpu[i];
		most = c->busy_ns - KERF_MIN(p->rec[i].fair_ns, c->busy_ns) + p->tick_ns;
		if (c->own_ns > most) {
			over += c->own_ns - most;
			c->own_ns = most;
		}
	}
	for (i = 0; i < KERF_STATE_CPUS && over; i++) {
		c = &p->cpu[i];
		most = c->busy_ns - KERF_MIN(p->rec[i].fair_ns, c->busy_ns);
		take = KERF_MIN(most > c->own_ns ? most - c->own_ns : 0, over);
		c->own_ns += take;
		over -= take;
	}
}

static uint64_t others(uint64_t before, uint64_t all, uint64_t own)
{
	return KERF_MAX(before, all > own ? all - own : 0);
}

void kerf_proc_update(struct kerf_proc *p, uint64_t now_ns)
{
	struct kerf_cpu_rec r;
	const struct cpu *c;
	int i;

	if (!p->cpus)
		return;
	read_own(p, p->updated_ns && now_ns > p->updated_ns ? now_ns - p->updated_ns : 0);
	p->updated_ns = now_ns;
	read_stat(p);
	read_schedstat(p);
	settle_own(p);
	for (i = 0; i < KERF_STATE_CPUS; i++) {
		c = &p->cpu[i];
		if (!c->seen)
			continue;
		r = p->rec[i];
		if (!r.begin_ns)
			r.begin_ns = now_ns;
		r.updated_ns = r.switch_ns = now_ns;
		r.running = KERF_CPU_IDLE; /* nothing is to be added to the totals */
		r.source = KERF_SOURCE_PROC;
		r.has = KERF_CPU_HAS_BUSY | (p->own_known ? KERF_CPU_HAS_OWN : 0) |
			(c->has_delay ? KERF_CPU_HAS_RUN_DELAY : 0);
		r.fair_ns = others(r.fair_ns, c->busy_ns, c->own_ns);
		r.own_ns = KERF_MAX(r.own_ns, c->own_ns);
		r.run_delay_ns = others(r.run_delay_ns, c->delay_ns, c->own_delay_ns);
		r.own_run_delay_ns = c->own_delay_ns;
		kerf_record_write(&p->rec[i], &r, sizeof(r));
	}
}

/* The number after "name:" at the start of a line. */
static bool field(const char *text, const char *name, uint64_t *value)
{
	size_t n = strlen(name);
	const char *s;

	for (s = text; s; s = strchr(s, '\n'), s = s ? s + 1 : NULL) {
		if (strncmp(s, name, n) || s[n] != ':')
			continue;
		s += n + 1;
		return kerf_load_number(&s, value);
	}
	return false;
}

bool kerf_proc_memory(struct kerf_proc *p, uint64_t *total, uint64_t *available)
{
	char text[4096];

	kerf_load_file_read(p->meminfo, text, sizeof(text));
	if (!field(text, "MemTotal", total) || !field(text, "MemAvailable", available) || !*total ||
	    *total > UINT64_MAX / 1024 || *available > *total)
		return false;
	*total *= 1024;
	*available *= 1024;
	return true;
}

static bool pressure(int fd, uint64_t *us)
{
	char text[512], *end;
	const char *s;

	kerf_load_file_read(fd, text, sizeof(text));
	end = strchr(text, '\n');
	if (!end || strncmp(text, "some ", 5))
		return false;
	*end = '\0';
	s = strstr(text, " total=");
	if (!s)
		return false;
	s += 7;
	return kerf_load_number(&s, us) && !*s;
}

bool kerf_proc_cpu_pressure(struct kerf_proc *p, uint64_t *us)
{
	return pressure(p->cpu_pressure, us);
}

bool kerf_proc_memory_pressure(struct kerf_proc *p, uint64_t *us)
{
	return pressure(p->memory_pressure, us);
}

bool kerf_proc_allowed(struct kerf_proc *p, uint8_t *bits, uint32_t max)
{
	static const char name[] = "\nCpus_allowed_list:\t";
	int fd = kerf_load_file_open(p->root, "thread-self/status");
	const char *s;

	kerf_load_file_read(fd, p->text, sizeof(p->text));
	kerf_load_file_close(fd);
	s = strstr(p->text, name);
	return s && kerf_load_cpulist(s + sizeof(name) - 1, bits, max);
}

int kerf_proc_nice(struct kerf_proc *p)
{
	int64_t field[N_FIELD];

	if (!read_thread_stat(p, "thread-self", field) || field[NICE] < -20 || field[NICE] > 19)
		return 0;
	return (int)field[NICE];
}
