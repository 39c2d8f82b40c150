/* SPDX-License-Identifier: MIT */
/*
 * An application that embeds libkerf with replanning on, by kerf.h alone: one request after the
 * other for some seconds; every reason of a plan on stdout, then the counts. Each answer must have
 * the first one's bits. usage: replan_app MODEL ENGINES SECONDS
 */
#include "kerf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int play(struct kerf_handle *k, double seconds)
{
	struct kerf_io_info in = {.size = sizeof(in)}, out = {.size = sizeof(out)};
	struct kerf_stats stats = {.size = sizeof(stats)};
	char reason[512], last[512] = "", *first;
	void *x, *y;
	double end = now() + seconds;
	size_t i;
	int r = kerf_input(k, 0, &in);

	if (!r)
		r = kerf_output(k, 0, &out);
	if (r)
		return r;
	x = kerf_buffer(in.bytes);
	y = kerf_buffer(out.bytes);
	first = malloc(out.bytes);
	for (i = 0; i < in.bytes / sizeof(float); i++)
		((float *)x)[i] = (float)(i % 251) / 251;
	for (i = 0; !r && now() < end; i++) {
		const void *inputs[] = {x};
		void *outputs[] = {y};

		r = kerf_run(k, inputs, outputs, NULL);
		if (!r && !i)
			memcpy(first, y, out.bytes);
		if (!r && memcmp(first, y, out.bytes)) {
			puts("other bits");
			r = 1;
		}
		kerf_get_reason(k, reason, sizeof(reason));
		if (strcmp(reason, last) != 0)
			puts(reason);
		memcpy(last, reason, sizeof(last));
	}
	free(x);
	free(y);
	free(first);
	kerf_get_stats(k, &stats);
	printf("requests %llu failures %llu replans %llu\n", (unsigned long long)stats.requests,
	       (unsigned long long)stats.failures, (unsigned long long)stats.replans);
	fflush(stdout);
	return r;
}

int main(int argc, char **argv)
{
	/* Two nodes of one speed: half of the work goes over the link, as long as it carries it. */
	struct kerf_config cfg = {.size = sizeof(cfg), .threads = 1, .flags = KERF_INSECURE,
				  .objective = "throughput", .replan_ms = 200};
	struct kerf_handle *k;
	char msg[512] = "";
	int r;

	if (argc != 4)
		return 2;
	cfg.engines = argv[2];
	r = kerf_open(argv[1], &cfg, &k, msg, sizeof(msg));
	if (r) {
		fprintf(stderr, "%s\n", msg);
		return 1;
	}
	r = play(k, atof(argv[3]));
	kerf_close(k);
	if (r)
		fprintf(stderr, "a request failed: %d\n", r);
	return r != 0;
}
