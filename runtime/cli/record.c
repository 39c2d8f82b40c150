/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"
#include "cli/options.h"
#include "telemetry/recorder.h"
#include "util/clock.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int usage(FILE *f)
{
	fprintf(f,
		"usage: kerf record -o FILE [OPTIONS]\n\n"
		"Writes what a node on this machine measures (links, load, transfers, plans) to a\n"
		"trace (docs/trace.md), until it is interrupted or the node ends.\n\n"
		"  -o, --output FILE    the trace\n"
		"  --seconds N          end after so many seconds\n"
		"  --interval MS        look so often (default 50)\n"
		"  --state PATH         the node's socket (default $KERF_STATE, "
		"else " KERF_STATE_SOCKET ")\n");
	return f == stdout ? KERF_EXIT_OK : KERF_EXIT_USAGE;
}

struct request {
	const char *output, *state;
	long seconds, interval_ms;
};

/* Until a signal, the time is over, or the publisher is gone; the signal that ended it, or 0. */
static int record(const struct request *q, const struct kerf_state_reader *from,
		  struct kerf_recorder *r, const sigset_t *signals, int *caught)
{
	const struct timespec pause = {.tv_sec = q->interval_ms / 1000,
				       .tv_nsec = q->interval_ms % 1000 * 1000000};
	uint64_t begin = kerf_now_ns(), now = begin;
	int ret;

	do {
		ret = kerf_recorder_step(r, now);
		if (ret || !kerf_state_alive(from, kerf_now_ns()))
			break;
		*caught = sigtimedwait(signals, NULL, &pause);
		now = kerf_now_ns();
	} while (*caught <= 0 && (!q->seconds || now - begin < (uint64_t)q->seconds * 1000000000u));
	return ret;
}

static void tell(const struct request *q, const struct kerf_recorder *r)
{
	struct kerf_recorder_count n;

	kerf_recorder_counted(r, &n);
	fprintf(stderr, "kerf: %s: %llu records", q->output, (unsigned long long)n.records);
	if (n.missed)
		fprintf(stderr, ", %llu transfers missed (a shorter --interval misses fewer)",
			(unsigned long long)n.missed);
	if (n.refused)
		fprintf(stderr, ", %llu records of the node refused: not of this version's form",
			(unsigned long long)n.refused);
	if (n.torn)
		fprintf(stderr, ", %llu looks in which the state was being written",
			(unsigned long long)n.torn);
	fputc('\n', stderr);
}

static int run(const struct request *q)
{
	struct kerf_trace_writer *to = NULL;
	struct kerf_recorder *r = NULL;
	struct kerf_state_reader from;
	struct kerf_err err = {""};
	sigset_t signals;
	int caught = 0, ret, finish;

	/* Blocked from here on: a signal that comes early ends a trace that is whole. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	ret = kerf_state_open(q->state, &from, &err);
	if (ret)
		return kerf_cli_fail(&err, ret);
	ret = kerf_trace_create(q->output, &to, &err);
	if (!ret)
		ret = kerf_recorder_open(&from, to, &r);
	if (!ret)
		ret = record(q, &from, r, &signals, &caught);
	if (!ret && caught <= 0 && !kerf_state_alive(&from, kerf_now_ns()))
		fprintf(stderr, "kerf: the node has ended, or is stuck\n");
	if (to) {
		finish = kerf_trace_finish(to, &err);
		ret = ret ? ret : finish;
	}
	if (!ret)
		tell(q, r);
	kerf_recorder_close(r);
	kerf_state_close(&from);
	return ret ? kerf_cli_fail(&err, ret) : KERF_EXIT_OK;
}

int kerf_cmd_record(int argc, char **argv)
{
	static const struct option options[] = {
		{"output", required_argument, NULL, 'o'},
		{"seconds", required_argument, NULL, 's'},
		{"interval", required_argument, NULL, 'i'},
		{"state", required_argument, NULL, 'S'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	struct request q = {.interval_ms = 50};
	struct kerf_err err = {""};
	int c, r = 0;

	while (!r && (c = getopt_long(argc, argv, "o:", options, NULL)) != -1) {
		switch (c) {
		case 'o': q.output = optarg; break;
		case 'S': q.state = optarg; break;
		case 's':
			r = kerf_cli_number("--seconds", optarg, 1, 1000000000, &q.seconds, &err);
			break;
		case 'i':
			r = kerf_cli_number("--interval", optarg, 1, 3600000, &q.interval_ms, &err);
			break;
		case 'h': return usage(stdout);
		default: return KERF_EXIT_USAGE; /* getopt said why */
		}
	}
	if (r) {
		kerf_cli_fail(&err, r);
		return KERF_EXIT_USAGE;
	}
	if (!q.output || optind != argc)
		return usage(stderr);
	return run(&q);
}
