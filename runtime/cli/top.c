/* SPDX-License-Identifier: MIT */
#include "cli/top.h"

#include "cli/cli.h"
#include "cli/options.h"
#include "util/clock.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int usage(FILE *f)
{
	fprintf(f, "usage: kerf top [OPTIONS]\n\n"
		   "What a node on this machine measures: links, CPUs, engines, here and at its "
		   "peers, the\n"
		   "plan in force and why it changed, and who gave each figure.\n\n"
		   "  --once               print it once, as text\n"
		   "  --json               JSON, an object a line; members as in docs/trace.md\n"
		   "  --interval MS        between two looks (default 1000; with --once 200)\n"
		   "  --state PATH         the node's socket (default $KERF_STATE, "
		   "else " KERF_STATE_SOCKET ")\n\n"
		   "Keys: q quits, Tab or 1 to 6 change the view, arrows scroll, < and > move "
		   "sideways.\n");
	return f == stdout ? KERF_EXIT_OK : KERF_EXIT_USAGE;
}

struct top {
	const char *path;
	struct kerf_state_reader reader;
	struct kerf_top_sample *sample; /* two, in turns */
	unsigned int turn;
};

/* A node that has ended may have been started again. */
static void reopen(struct top *t)
{
	struct kerf_state_reader r;

	if (kerf_state_open(t->path, &r, NULL))
		return;
	kerf_state_close(&t->reader);
	t->reader = r;
}

static void take(void *user, const struct kerf_top_sample **before,
		 const struct kerf_top_sample **now)
{
	struct top *t = user;
	struct kerf_top_sample *last = &t->sample[t->turn & 1], *next = &t->sample[++t->turn & 1];

	if (!kerf_state_alive(&t->reader, kerf_now_ns()))
		reopen(t);
	kerf_top_take(&t->reader, kerf_now_ns(), next);
	if (!next->whole)
		next->state = last->state;
	*before = last;
	*now = next;
}

/* Without its marks. */
static void print_text(const char *text)
{
	bool begin = true;

	for (; *text; begin = *text++ == '\n')
		if (!begin || *text != KERF_TOP_HEADING)
			putchar(*text);
}

static int print(const struct kerf_top_sample *before, const struct kerf_top_sample *now, bool json)
{
	char *text = NULL;
	size_t size;
	FILE *f;

	if (json)
		return kerf_top_print_json(before, now, stdout);
	f = open_memstream(&text, &size);
	if (!f)
		return -ENOMEM;
	kerf_top_print(before, now, KERF_TOP_ALL, f);
	if (fclose(f)) {
		free(text);
		return -ENOMEM;
	}
	print_text(text);
	free(text);
	return 0;
}

/* Until interrupted, the node's end, or nobody reads any more. */
static int print_all(struct top *t, long interval_ms, bool once, bool json, struct kerf_err *err)
{
	const struct timespec pause = {.tv_sec = interval_ms / 1000,
				       .tv_nsec = interval_ms % 1000 * 1000000};
	const struct kerf_top_sample *before, *now;
	int r;

	take(t, &before, &now);
	do {
		nanosleep(&pause, NULL);
		take(t, &before, &now);
		if (!now->alive)
			return kerf_fail(err, -ETIMEDOUT,
					 "the node (process %u) has ended, or is stuck",
					 now->head.pid);
		r = print(before, now, json);
		if (!r && fflush(stdout))
			r = -errno;
	} while (!r && !once);
	return r;
}

static int run(struct top *t, long interval_ms, bool once, bool json)
{
	struct kerf_err err = {""};
	int r = kerf_state_open(t->path, &t->reader, &err);

	if (r)
		return kerf_cli_fail(&err, r);
	t->sample = calloc(2, sizeof(*t->sample));
	r = t->sample ? 1 : -ENOMEM;
#ifdef WITH_NCURSES
	if (r > 0 && !once && !json)
		r = kerf_top_screen(take, t, (int)interval_ms);
#endif
	if (r > 0)
		r = print_all(t, interval_ms, once, json, &err);
	free(t->sample);
	kerf_state_close(&t->reader);
	return r ? kerf_cli_fail(&err, r) : KERF_EXIT_OK;
}

int kerf_cmd_top(int argc, char **argv)
{
	static const struct option options[] = {
		{"once", no_argument, NULL, '1'}, {"interval", required_argument, NULL, 'i'},
		{"json", no_argument, NULL, 'j'}, {"state", required_argument, NULL, 'S'},
		{"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0},
	};
	bool once = false, json = false;
	struct kerf_err err = {""};
	long interval_ms = 0;
	struct top t = {0};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case '1': once = true; break;
		case 'j': json = true; break;
		case 'S': t.path = optarg; break;
		case 'i':
			if (!kerf_cli_number("--interval", optarg, 10, 3600000, &interval_ms, &err))
				break;
			kerf_cli_fail(&err, -EINVAL);
			return KERF_EXIT_USAGE;
		case 'h': return usage(stdout);
		default: return KERF_EXIT_USAGE; /* getopt said why */
		}
	}
	if (optind != argc)
		return usage(stderr);
	return run(&t, interval_ms ? interval_ms : once ? 200 : 1000, once, json);
}
