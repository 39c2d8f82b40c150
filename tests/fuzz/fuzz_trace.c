/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a trace. What is read is in bounds, can be written again, and is then read back
 * the same; drawn, it has no figure that is none and no byte that XML forbids.
 */
#include "fuzz/fuzz.h"

#include "cli/report.h"
#include "util/rng.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define RECORDS 64

static int copy_fd = -1;

static void terminated(const char *text, size_t size)
{
	if (!memchr(text, 0, size))
		abort();
}

static void in_bounds(const struct kerf_trace_rec *rec)
{
	const struct kerf_node_load *load = &rec->u.node.load;
	uint32_t i;

	if (rec->node >= KERF_STATE_NODES)
		abort();
	switch (rec->kind) {
	case KERF_TRACE_LINK:
		if (rec->u.link.source >= KERF_N_SOURCE || rec->u.link.life > KERF_LINK_LIVE)
			abort();
		break;
	case KERF_TRACE_NODE:
		terminated(rec->u.node.url, KERF_URL_BYTES);
		if (load->n_engine > KERF_NODE_LOAD_ENGINES)
			abort();
		for (i = 0; i < load->n_engine; i++)
			terminated(load->engine[i].name, sizeof(load->engine[i].name));
		break;
	case KERF_TRACE_TRANSFER:
		if (rec->u.transfer.end_ns - rec->u.transfer.start_ns < rec->u.transfer.hold_ns ||
		    !(rec->low_s <= rec->high_s))
			abort();
		break;
	case KERF_TRACE_PLAN: terminated(rec->u.plan.reason, sizeof(rec->u.plan.reason)); break;
	case KERF_TRACE_MARK: terminated(rec->u.mark, sizeof(rec->u.mark)); break;
	default: abort();
	}
}

static void write_and_read(const struct kerf_trace_rec *rec, uint32_t n)
{
	struct kerf_trace_writer *w;
	struct kerf_trace_reader *r;
	struct kerf_trace_rec got;
	char path[64];
	uint32_t i;

	if (copy_fd < 0)
		copy_fd = memfd_create("fuzz", MFD_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", copy_fd);
	if (copy_fd < 0 || kerf_trace_create(path, &w, NULL))
		abort();
	for (i = 0; i < n; i++)
		if (kerf_trace_put(w, &rec[i]))
			abort();
	if (kerf_trace_finish(w, NULL) || kerf_trace_open(path, &r, NULL))
		abort();
	for (i = 0; i < n; i++)
		if (kerf_trace_next(r, &got, NULL) != 1 || memcmp(&got, &rec[i], sizeof(got)))
			abort();
	if (kerf_trace_next(r, &got, NULL))
		abort();
	kerf_trace_close(r);
}

static void draw(void)
{
	static struct kerf_report report;
	struct kerf_report_score score;
	char path[64], *text = NULL;
	size_t n, i;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", copy_fd);
	if (kerf_report_read(path, &report, NULL))
		abort();
	f = open_memstream(&text, &n);
	if (!f || kerf_report_svg(&report, path, f) || fclose(f))
		abort();
	for (i = 0; i < n; i++)
		if ((unsigned char)text[i] < 0x20 && text[i] != '\n')
			abort();
	if (strstr(text, "\"nan") || strstr(text, "\"inf") || strstr(text, "\"-inf"))
		abort();
	free(text);
	if (kerf_report_score(&report, 0, false, &score))
		abort();
	kerf_report_finish(&report);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct kerf_trace_rec rec[RECORDS];
	struct kerf_err err = {""};
	struct kerf_trace_reader *r;
	uint32_t n = 0;
	FILE *f = size ? fmemopen((void *)data, size, "r") : NULL;
	int ret = 0;

	if (!f)
		return 0;
	if (kerf_trace_read(f, "fuzz", &r, &err)) {
		if (!err.msg[0])
			abort();
		return 0;
	}
	while (n < RECORDS && (ret = kerf_trace_next(r, &rec[n], &err)) == 1)
		in_bounds(&rec[n++]);
	if (ret < 0 && !err.msg[0])
		abort();
	kerf_trace_close(r);
	write_and_read(rec, n);
	if (n)
		draw();
	return 0;
}

/* --- Mutations that leave it JSON --- */

static const char *const values[] = {
	"0",
	"1",
	"-1",
	"2",
	"255",
	"256",
	"65536",
	"4294967295",
	"4294967296",
	"18446744073709551615",
	"18446744073709551616",
	"0.5",
	"1e10",
	"1e308",
	"-0.0",
	"true",
	"null",
	"{}",
	"[]",
	"[{}]",
	"\"\"",
	"\"btf\"",
	"\"10.0.0.1\"",
	"\"::1\"",
	"\"http://b:1\"",
	"\"\\u0000\"",
	"\"\\uffff<&>\"",
};
static const char *const keys[] = {
	"t_ns",		 "link",	 "node",
	"transfer",	 "plan",	 "mark",
	"index",	 "url",		 "cookie",
	"life",		 "source",	 "srtt_us",
	"rtt_us",	 "up",		 "down",
	"load",		 "engine",	 "n_cpu",
	"has",		 "rate_bytes_s", "start_ns",
	"end_ns",	 "hold_ns",	 "bytes",
	"low_s",	 "high_s",	 "predicted_s",
	"epoch",	 "observed_ns",	 "name",
	"estimator",	 "low_ppm",	 "slowdown_permille",
	"fair_permille", "latency_ns",	 "temperature_mc",
	"remote_addr",
};

/* from to to of data become text; the new size, or the old one where there is no room. */
static size_t splice(uint8_t *data, size_t size, size_t max, size_t from, size_t to,
		     const char *text)
{
	size_t n = strlen(text);

	if (size - (to - from) + n > max)
		return size;
	memmove(data + from + n, data + to, size - to);
	memcpy(data + from, text, n);
	return size - (to - from) + n;
}

static size_t find(const uint8_t *data, size_t size, size_t from, const char *any)
{
	while (from < size && !(data[from] && strchr(any, data[from])))
		from++;
	return from;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed)
{
	struct kerf_rng rng;
	char text[96];
	size_t at, end;

	kerf_rng_seed(&rng, seed);
	at = size ? kerf_rng_below(&rng, size) : 0;
	switch (kerf_rng_below(&rng, 4)) {
	case 0: /* another value */
		at = find(data, size, at, ":");
		end = find(data, size, at, ",}]\n");
		if (at == size)
			return size;
		return splice(data, size, max, at + 1, KERF_MAX(end, at + 1),
			      values[kerf_rng_below(&rng, KERF_ARRAY_SIZE(values))]);
	case 1: /* one member more */
		at = find(data, size, at, "{");
		if (at == size)
			return size;
		snprintf(text, sizeof(text), "\"%s\":%s%s",
			 keys[kerf_rng_below(&rng, KERF_ARRAY_SIZE(keys))],
			 values[kerf_rng_below(&rng, KERF_ARRAY_SIZE(values))],
			 at + 1 < size && data[at + 1] == '}' ? "" : ",");
		return splice(data, size, max, at + 1, at + 1, text);
	case 2: /* one record more */
		at = find(data, size, at, "\n");
		if (at == size)
			return size;
		snprintf(text, sizeof(text), "{\"t_ns\":%u,\"%s\":{}}\n",
			 (unsigned int)kerf_rng_below(&rng, 20), keys[1 + kerf_rng_below(&rng, 4)]);
		return splice(data, size, max, at + 1, at + 1, text);
	default: /* one line less */
		at = find(data, size, at, "\n");
		end = find(data, size, at + 1, "\n");
		return end < size ? splice(data, size, max, at, end, "") : size;
	}
}

#define HEAD "{\"kerf_trace\":1,\"clock\":\"monotonic\"}\n"
#define SEED(s) add(HEAD s, sizeof(HEAD s) - 1)

void kerf_fuzz_seeds(void (*add)(const void *data, size_t size))
{
	SEED("{\"t_ns\":1,\"mark\":\"rate 20mbit\"}\n");
	SEED("{\"t_ns\":1,\"link\":{\"cookie\":18446744073709551615,\"life\":1,\"source\":\"btf\","
	     "\"remote_addr\":\"10.0.0.1\",\"remote_port\":8470,\"srtt_us\":12}}\n"
	     "{\"t_ns\":2,\"link\":{\"remote_addr\":\"fe80::1\"}}\n");
	SEED("{\"t_ns\":1,\"node\":{\"index\":64,\"url\":\"http://a:1\",\"up\":{\"rate_bytes_s\":1,"
	     "\"estimator\":\"rls\"},\"load\":{\"temperature_mc\":-1,\"engine\":[{\"name\":\"cpu\","
	     "\"jobs\":1},{}]}}}\n");
	SEED("{\"t_ns\":1,\"transfer\":{\"node\":1,\"start_ns\":1,\"end_ns\":9,\"hold_ns\":3,"
	     "\"bytes\":100,\"down\":1,\"predicted_s\":0.25,\"low_s\":1e-3,\"high_s\":1}}\n");
	SEED("{\"t_ns\":1,\"plan\":{\"epoch\":1,\"policy\":\"cut\",\"reason\":\"why\"}}\n"
	     "{\"t_ns\":1,\"later\":[]}\n");
}
