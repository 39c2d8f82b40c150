/* SPDX-License-Identifier: MIT */
/*
 * kerf bench --load: what making a model ready costs, beside what cannot be saved:
 * reading the file from the page cache, and packing its weights. And the most memory
 * the process ever held, beside weights and planned activations.
 */
#include "cli/bench.h"

#include "exec/measure.h"
#include "util/clock.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SAMPLES 7
#define MIB 1048576.0

/* VmHWM of this process, bytes. */
static double peak_memory(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	unsigned long kib = 0;
	char line[128];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "VmHWM: %lu kB", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return (double)kib * 1024;
}

/* Seconds to read the whole file, 1 MiB at a time. */
static int read_file(const char *path, void *buf, double *s, struct kerf_err *err)
{
	uint64_t t = kerf_now_ns();
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : 1;

	while (n > 0)
		n = read(fd, buf, (size_t)MIB);
	*s = (double)(kerf_now_ns() - t) * 1e-9;
	if (n < 0)
		n = kerf_fail(err, -errno, "%s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return (int)n;
}

struct sample {
	double load_s, prepare_s;
	struct kerf_program_info info;
	size_t constant_bytes;
};

static size_t constant_bytes(const struct kerf_graph *g)
{
	size_t n = 0;
	uint32_t i;

	for (i = 0; i < g->n_value; i++)
		if (kerf_value_is_const(&g->value[i]))
			n += kerf_tensor_bytes(&g->value[i].t);
	return n;
}

/* Loads, prepares and runs once. */
static int load_once(const char *path, const struct kerf_load_options *opt, struct kerf_engine *e,
		     struct sample *s, struct kerf_err *err)
{
	struct kerf_program *p = NULL;
	struct kerf_graph *g = NULL;
	struct kerf_io io = {0};
	uint64_t t = kerf_now_ns();
	int r = kerf_model_load(path, opt, &g, err);

	s->load_s = (double)(kerf_now_ns() - t) * 1e-9;
	if (r)
		return r;
	t = kerf_now_ns();
	r = e->ops->prepare(e, g, &p, err);
	s->prepare_s = (double)(kerf_now_ns() - t) * 1e-9;
	if (!r) {
		e->ops->program_info(p, &s->info);
		s->constant_bytes = constant_bytes(g);
		r = kerf_io_make(g, 1, &io);
	}
	if (!r)
		r = kerf_engine_run(p, io.in, io.out, NULL);
	kerf_io_finish(&io);
	if (p)
		e->ops->release(p);
	kerf_graph_unref(g);
	return r;
}

int kerf_bench_load(const char *path, const struct kerf_load_options *opt, const char *engine,
		    const struct kerf_engine_config *cfg, struct kerf_err *err)
{
	double read_s[SAMPLES], load_s[SAMPLES], ready_s[SAMPLES], bound, peak = 0, base;
	struct kerf_bench_stats read, load, ready;
	struct sample s = {0};
	struct kerf_engine *e;
	void *buf = malloc((size_t)MIB);
	int r = buf ? kerf_engine_open(engine, cfg, &e, err) : -ENOMEM, i;

	if (r) {
		free(buf);
		return r;
	}
	base = peak_memory();
	for (i = 0; i < SAMPLES && !r; i++) {
		r = read_file(path, buf, &read_s[i], err);
		if (!r)
			r = load_once(path, opt, e, &s, err);
		if (i == 0)
			peak = peak_memory();
		load_s[i] = s.load_s;
		ready_s[i] = s.prepare_s;
	}
	kerf_engine_close(e);
	free(buf);
	if (r)
		return r;
	kerf_bench_summarise(read_s, SAMPLES, &read);
	kerf_bench_summarise(load_s, SAMPLES, &load);
	kerf_bench_summarise(ready_s, SAMPLES, &ready);
	bound = (double)s.constant_bytes + 1.5 * (double)s.info.arena_bytes + 30e6;
	printf("medians of %d: read %.2f ms, load %.2f ms, prepare %.2f ms; (load + prepare) / (read + prepare) = %.3f\n",
	       SAMPLES, read.median * 1e3, load.median * 1e3, ready.median * 1e3,
	       (load.median + ready.median) / (read.median + ready.median));
	printf("peak memory of a load and a run: %.1f MiB (%.1f before); weights %.1f MiB + 1.5 x arena of %.1f MiB + 30 MB = %.1f MiB; ratio %.3f\n",
	       peak / MIB, base / MIB, (double)s.constant_bytes / MIB,
	       (double)s.info.arena_bytes / MIB, bound / MIB, peak / bound);
	return 0;
}
