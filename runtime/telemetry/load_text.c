/* SPDX-License-Identifier: MIT */
#include "telemetry/load_text.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MAX_CPUS 65536
#define MAX_TASKS_CPU 1000 /* that wait for one CPU; more is not believed */
#define MAX_WEIGHT 88	   /* nice -20 beside nice 0 */
#define MAX_SLOWDOWN 1000000000
#define MAX_MEMORY (1ll << 50)
#define MAX_KHZ 100000000
#define MAX_PERMILLE_ENGINE 65535000 /* of 65535 jobs side by side */

enum { IS_U32, IS_S32, IS_U64 };

/* A word of the text. Words of one has bit come together or not at all; has 0: see each. */
static const struct word {
	const char *name;
	uint16_t at;
	uint8_t type;
	uint32_t has;
	int64_t min, max;
} words[] = {
#define FIELD(f) offsetof(struct kerf_node_load, f)
	{"cpus", FIELD(n_cpu), IS_U32, 0, 1, MAX_CPUS},
	{"throttled", FIELD(throttled), IS_U32, 0, 0, 1},
	{"fair", FIELD(fair_permille), IS_U32, KERF_LOAD_HAS_CPU, 0, MAX_CPUS * 1000ll},
	{"own", FIELD(own_permille), IS_U32, KERF_LOAD_HAS_CPU, 0, MAX_CPUS * 1000ll},
	{"slowdown", FIELD(slowdown_permille), IS_U32, KERF_LOAD_HAS_CPU, 1000, MAX_SLOWDOWN},
	{"rt", FIELD(rt_permille), IS_U32, KERF_LOAD_HAS_RT, 0, MAX_CPUS * 1000ll},
	{"waiting", FIELD(waiting_permille), IS_U32, KERF_LOAD_HAS_RUN_DELAY, 0, UINT32_MAX},
	{"competing", FIELD(competing_permille), IS_U32, KERF_LOAD_HAS_COMPETING, 0, UINT32_MAX},
	{"outside", FIELD(outside_permille), IS_U32, KERF_LOAD_HAS_OUTSIDE, 0, UINT32_MAX},
	{"cpu-pressure", FIELD(cpu_pressure_permille), IS_U32, KERF_LOAD_HAS_PRESSURE, 0, 1000},
	{"memory-pressure", FIELD(memory_pressure_permille), IS_U32, KERF_LOAD_HAS_PRESSURE, 0,
	 1000},
	{"memory", FIELD(memory_bytes), IS_U64, KERF_LOAD_HAS_MEMORY, 1, MAX_MEMORY},
	{"available", FIELD(memory_available_bytes), IS_U64, KERF_LOAD_HAS_MEMORY, 0, MAX_MEMORY},
	{"khz", FIELD(freq_khz), IS_U32, KERF_LOAD_HAS_FREQ, 0, MAX_KHZ},
	{"max-khz", FIELD(max_khz), IS_U32, KERF_LOAD_HAS_FREQ, 0, MAX_KHZ},
	{"millicelsius", FIELD(temperature_mc), IS_S32, KERF_LOAD_HAS_TEMPERATURE, -100000, 200000},
	{"milliwatt", FIELD(power_mw), IS_U32, KERF_LOAD_HAS_POWER, 0, 1000000000},
#undef FIELD
};

static int64_t get(const struct kerf_node_load *load, const struct word *w)
{
	const char *at = (const char *)load + w->at;

	if (w->type == IS_U64)
		return (int64_t) * (const uint64_t *)at;
	return w->type == IS_S32 ? *(const int32_t *)at : (int64_t) * (const uint32_t *)at;
}

static void put(struct kerf_node_load *load, const struct word *w, int64_t v)
{
	char *at = (char *)load + w->at;

	if (w->type == IS_U64)
		*(uint64_t *)at = (uint64_t)v;
	else if (w->type == IS_S32)
		*(int32_t *)at = (int32_t)v;
	else
		*(uint32_t *)at = (uint32_t)v;
}

/* --- writing --- */

/* Adds to text whole or not at all; false: it did not fit. */
static bool add(char *text, size_t size, size_t *at, const char *fmt, ...) KERF_PRINTF(4, 5);
static bool add(char *text, size_t size, size_t *at, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text + *at, size - *at, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= size - *at) {
		text[*at] = 0;
		return false;
	}
	*at += (size_t)n;
	return true;
}

static bool plain(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       strchr("._:/-", c);
}

/* Engines' names are free text: what is not plain becomes %XX. */
static void escape(const char *name, size_t size, char *out)
{
	size_t i;

	for (i = 0; i < size && name[i]; i++)
		if (plain((unsigned char)name[i]))
			*out++ = name[i];
		else
			out += sprintf(out, "%%%02X", (unsigned char)name[i]);
	*out = 0;
}

size_t kerf_load_format(const struct kerf_node_load *load, char *text, size_t size)
{
	size_t at = 0, i;

	if (!size)
		return 0;
	text[0] = 0;
	if (!add(text, size, &at, "v=1"))
		return 0;
	for (i = 0; i < KERF_ARRAY_SIZE(words); i++) {
		const struct word *w = &words[i];
		int64_t v = get(load, w);

		if (w->has ? !(load->has & w->has) : !v)
			continue;
		if (!add(text, size, &at, " %s=%lld", w->name, (long long)v)) {
			text[0] = 0;
			return 0; /* half a report is none */
		}
	}
	for (i = 0; i < load->n_engine && i < KERF_NODE_LOAD_ENGINES; i++) {
		const struct kerf_engine_load *e = &load->engine[i];
		char name[3 * sizeof(e->name) + 1];

		escape(e->name, sizeof(e->name), name);
		if (name[0])
			add(text, size, &at, " engine=%s,%u,%u,%u,%u,%u,%llu,%llu", name, e->kind,
			    e->depth, e->running, e->busy_permille, e->wait_us,
			    (unsigned long long)e->jobs, (unsigned long long)e->errors);
	}
	return at;
}

/* --- reading --- */

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* A whole decimal number, nothing else. */
static bool number(const char *s, size_t n, int64_t *v)
{
	bool minus = n && *s == '-';
	size_t i = minus;

	if (i == n)
		return false;
	for (*v = 0; i < n; i++)
		if (s[i] < '0' || s[i] > '9' || __builtin_mul_overflow(*v, 10, v) ||
		    __builtin_add_overflow(*v, s[i] - '0', v))
			return false;
	if (minus)
		*v = -*v;
	return true;
}

static bool unescape(const char *s, size_t n, char *out, size_t size)
{
	size_t i, k = 0;

	for (i = 0; i < n; i++) {
		int c = (unsigned char)s[i];

		if (c == '%') {
			if (n - i < 3 || hex(s[i + 1]) < 0 || hex(s[i + 2]) < 0)
				return false;
			c = hex(s[i + 1]) * 16 + hex(s[i + 2]);
			i += 2;
			/* One way to write a name; a NUL would end it. */
			if (!c || plain((unsigned char)c))
				return false;
		} else if (!plain((unsigned char)c)) {
			return false;
		}
		if (k + 1 >= size)
			return false;
		out[k++] = (char)c;
	}
	out[k] = 0;
	return k > 0;
}

static int parse_engine(const char *s, size_t n, struct kerf_node_load *load, struct kerf_err *err)
{
	static const int64_t most[] = {KERF_ENGINE_RUNTIME, UINT16_MAX, UINT16_MAX,
				       MAX_PERMILLE_ENGINE, UINT32_MAX, INT64_MAX, INT64_MAX};
	struct kerf_engine_load *e = &load->engine[load->n_engine];
	int64_t v[KERF_ARRAY_SIZE(most)];
	const char *comma = memchr(s, ',', n), *end = s + n;
	size_t i;

	if (load->n_engine == KERF_NODE_LOAD_ENGINES)
		return kerf_fail(err, -EINVAL, "load report: more than %d engines",
				 KERF_NODE_LOAD_ENGINES);
	if (!comma || !unescape(s, (size_t)(comma - s), e->name, sizeof(e->name)))
		return kerf_fail(err, -EINVAL, "load report: an engine without a valid name");
	for (i = 0; i < KERF_ARRAY_SIZE(most); i++) {
		const char *from = comma ? comma + 1 : end;

		comma = memchr(from, ',', (size_t)(end - from));
		if (!comma != (i + 1 == KERF_ARRAY_SIZE(most)) ||
		    !number(from, (size_t)((comma ? comma : end) - from), &v[i]) || v[i] < 0 ||
		    v[i] > most[i])
			return kerf_fail(err, -EINVAL,
					 "load report: engine %s: expected %zu numbers, number %zu from "
					 "0 to %lld",
					 e->name, KERF_ARRAY_SIZE(most), i + 1, (long long)most[i]);
	}
	if (!v[0])
		return kerf_fail(err, -EINVAL, "load report: engine %s: of no kind", e->name);
	e->source = KERF_SOURCE_PEER;
	e->kind = (uint8_t)v[0];
	e->depth = (uint16_t)v[1];
	e->running = (uint16_t)v[2];
	e->busy_permille = (uint32_t)v[3];
	e->wait_us = (uint32_t)v[4];
	e->jobs = (uint64_t)v[5];
	e->errors = (uint64_t)v[6];
	load->n_engine++;
	return 0;
}

/* One word; seen: bit i, words[i] was there; the bit past them: the version. */
static int parse_word(const char *s, size_t n, uint32_t *seen, struct kerf_node_load *load,
		      struct kerf_err *err)
{
	const char *eq = memchr(s, '=', n), *value = eq ? eq + 1 : s;
	size_t name = eq ? (size_t)(eq - s) : 0, size = n - (size_t)(value - s), i;
	uint32_t bit = 1u << KERF_ARRAY_SIZE(words);
	int64_t v;

	if (!name || !size)
		return kerf_fail(err, -EINVAL, "load report: expected NAME=VALUE, found '%.*s'",
				 (int)KERF_MIN(n, 40u), s);
	if (name == 6 && !memcmp(s, "engine", 6))
		return parse_engine(value, size, load, err);
	for (i = 0; i < KERF_ARRAY_SIZE(words); i++)
		if (strlen(words[i].name) == name && !memcmp(words[i].name, s, name))
			break;
	if (i < KERF_ARRAY_SIZE(words))
		bit = 1u << i;
	else if (name != 1 || *s != 'v')
		return 0; /* of a later kerf */
	if (*seen & bit)
		return kerf_fail(err, -EINVAL, "load report: '%.*s' stands there twice", (int)name,
				 s);
	*seen |= bit;
	if (!number(value, size, &v))
		return kerf_fail(err, -EINVAL, "load report: %.*s: expected a whole number, found '%.*s'",
				 (int)name, s, (int)KERF_MIN(size, 40u), value);
	if (i == KERF_ARRAY_SIZE(words))
		return v == 1 ? 0
			      : kerf_fail(err, -EINVAL, "load report: version %lld, expected 1",
					  (long long)v);
	if (v < words[i].min || v > words[i].max)
		return kerf_fail(err, -EINVAL, "load report: %s=%lld: expected %lld to %lld",
				 words[i].name, (long long)v, (long long)words[i].min,
				 (long long)words[i].max);
	put(load, &words[i], v);
	load->has |= words[i].has;
	return 0;
}

/* What each figure may be by itself was checked; here, beside the others. */
static int check_together(const struct kerf_node_load *l, struct kerf_err *err)
{
	uint64_t cpus = (uint64_t)l->n_cpu * 1000;
	uint64_t busy = (uint64_t)l->fair_permille + l->rt_permille + l->own_permille;

	/* A tenth more: the clocks of window and counters differ. */
	if (busy > cpus + cpus / 10)
		return kerf_fail(err, -EINVAL, "load report: %llu permille busy on %u CPUs",
				 (unsigned long long)busy, l->n_cpu);
	if (l->waiting_permille > cpus * MAX_TASKS_CPU)
		return kerf_fail(err, -EINVAL, "load report: waiting=%u on %u CPUs",
				 l->waiting_permille, l->n_cpu);
	if (l->competing_permille > cpus * MAX_TASKS_CPU * MAX_WEIGHT)
		return kerf_fail(err, -EINVAL, "load report: competing=%u on %u CPUs",
				 l->competing_permille, l->n_cpu);
	if (l->memory_available_bytes > l->memory_bytes)
		return kerf_fail(err, -EINVAL,
				 "load report: %llu bytes available of %llu bytes of memory",
				 (unsigned long long)l->memory_available_bytes,
				 (unsigned long long)l->memory_bytes);
	return 0;
}

static int check_whole(uint32_t seen, const struct kerf_node_load *load, struct kerf_err *err)
{
	size_t i;

	if (!(seen >> KERF_ARRAY_SIZE(words) & 1))
		return kerf_fail(err, -EINVAL, "load report: no version");
	for (i = 0; i < KERF_ARRAY_SIZE(words); i++)
		if (load->has & words[i].has && !(seen >> i & 1))
			return kerf_fail(err, -EINVAL, "load report: %s is missing beside its likes",
					 words[i].name);
	if (!load->n_cpu && load->has & (KERF_LOAD_HAS_CPU | KERF_LOAD_HAS_RT |
					 KERF_LOAD_HAS_RUN_DELAY | KERF_LOAD_HAS_COMPETING))
		return kerf_fail(err, -EINVAL, "load report: load of CPUs without cpus");
	return check_together(load, err);
}

int kerf_load_parse(const char *text, size_t n, uint64_t now_ns, struct kerf_node_load *load,
		    struct kerf_err *err)
{
	struct kerf_node_load found = {.updated_ns = now_ns};
	uint32_t seen = 0;
	size_t i, end;
	int r;

	if (n >= KERF_LOAD_TEXT)
		return kerf_fail(err, -EINVAL, "load report: %zu bytes, expected at most %d", n,
				 KERF_LOAD_TEXT - 1);
	for (i = 0; i < n; i++)
		if (text[i] < 0x20 || text[i] > 0x7e)
			return kerf_fail(err, -EINVAL, "load report: byte %#x at %zu",
					 (unsigned char)text[i], i);
	for (i = 0; i < n; i = end + 1) {
		for (end = i; end < n && text[end] != ' '; end++)
			;
		if (end == i)
			continue;
		r = parse_word(text + i, end - i, &seen, &found, err);
		if (r)
			return r;
	}
	r = check_whole(seen, &found, err);
	if (r)
		return r;
	found.source = found.has & KERF_LOAD_HAS_CPU ? KERF_SOURCE_PEER : KERF_SOURCE_NONE;
	if (found.has & (KERF_LOAD_HAS_MEMORY | KERF_LOAD_HAS_PRESSURE))
		found.source_memory = KERF_SOURCE_PEER;
	if (found.has & (KERF_LOAD_HAS_FREQ | KERF_LOAD_HAS_TEMPERATURE | KERF_LOAD_HAS_POWER))
		found.source_sensor = KERF_SOURCE_PEER;
	*load = found;
	return 0;
}
