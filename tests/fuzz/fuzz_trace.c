/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a trace. What is read is in bounds, can be written again, and is then read back
 * the same; drawn, it has no figure that is none and no byte that XML forbids.
 */
#include "fuzz/fuzz.h"

#include "cli/report.h"

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
