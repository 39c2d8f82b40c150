/* SPDX-License-Identifier: MIT */
/*
 * What reading the published state costs: ns for each record, through a mapping that came over the
 * socket, with no writer, with one that writes every record once in 50 ms as a node does, and with
 * one that never stops. Median, least and most of 21 rounds.
 *
 *   state_read
 */
#include "unit/state_fixture.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 21
#define READS 1000000u

enum writer { QUIET, NODE, UNCEASING };

/* Each record anew, all of its words. */
static void write_all(struct kerf_link_rec *to, uint32_t i, uint64_t value)
{
	struct kerf_link_rec l;

	memset(&l, (int)value, sizeof(l));
	l.cookie = i;
	kerf_record_write(&to[i], &l, sizeof(l));
}

static void run_writer(struct fixture *f, enum writer w)
{
	const struct timespec pause = {.tv_nsec = 50000000 / KERF_STATE_LINKS};
	struct kerf_link_rec *to = f->region[KERF_REGION_LINKS].data;
	uint64_t n;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (n = 0;; n++) {
		write_all(to, n % KERF_STATE_LINKS, n);
		if (w == NODE)
			nanosleep(&pause, NULL);
	}
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void measure(const char *what, struct fixture *f, const struct kerf_state_reader *r,
		    enum writer w)
{
	pid_t writer = w == QUIET ? 0 : fork();
	struct kerf_link_rec copy;
	uint64_t failed = 0;
	double ns[ROUNDS];
	uint32_t i, k;

	if (writer < 0)
		return;
	if (w != QUIET && !writer)
		run_writer(f, w);
	for (k = 0; k < ROUNDS; k++) {
		uint64_t begin = kerf_now_ns();

		for (i = 0; i < READS; i++) {
			failed += !kerf_record_read(&r->link[i % KERF_STATE_LINKS], &copy,
						    sizeof(copy));
			/* All of the copy is wanted. */
			__asm__ volatile("" : : "m"(copy));
		}
		ns[k] = (double)(kerf_now_ns() - begin) / READS;
	}
	if (writer) {
		kill(writer, SIGKILL);
		waitpid(writer, NULL, 0);
	}
	qsort(ns, ROUNDS, sizeof(*ns), by_value);
	printf("%-34s %6.1f ns (%.1f to %.1f), %llu of %llu reads given up\n", what, ns[ROUNDS / 2],
	       ns[0], ns[ROUNDS - 1], (unsigned long long)failed,
	       (unsigned long long)ROUNDS * READS);
}

int main(void)
{
	char folder[] = "/tmp/kerf-state-read-XXXXXX", path[64];
	struct kerf_state_reader r;
	struct kerf_err err = {""};
	struct fixture f;
	uint32_t i;
	int ret;

	if (!mkdtemp(folder) || fixture_make(&f))
		return 1;
	snprintf(path, sizeof(path), "%s/sock", folder);
	ret = kerf_publisher_open(path, f.fd, &f.publisher, &err);
	if (!ret)
		ret = kerf_state_open(path, &r, &err);
	if (ret) {
		fprintf(stderr, "%s\n", err.msg);
	} else {
		for (i = 0; i < KERF_STATE_LINKS; i++)
			write_all(f.region[KERF_REGION_LINKS].data, i, 1);
		measure("link record, nobody writes", &f, &r, QUIET);
		measure("each written every 50 ms", &f, &r, NODE);
		measure("one after the other, unceasing", &f, &r, UNCEASING);
		kerf_state_close(&r);
	}
	fixture_free(&f);
	rmdir(folder);
	return !!ret;
}
