// SPDX-License-Identifier: MIT
/* One object: loaded with libbpf's words kept, its region frozen and mapped. */
#include "telemetry/bpf_priv.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LOG_BYTES 16384

/* The end of what was said: a verifier's verdict is in its last lines. */
struct log {
	char text[LOG_BYTES];
	size_t n;
};

/*
 * libbpf has one function for all that it has to say, without a user pointer: it is ours while
 * an object is tried, and finds the log of the thread that tries.
 */
static _Thread_local struct log *current;

static void keep(struct log *l, const char *text, size_t n)
{
	if (n >= LOG_BYTES) {
		text += n - (LOG_BYTES - 1);
		n = LOG_BYTES - 1;
	}
	if (l->n + n >= LOG_BYTES) {
		size_t drop = l->n + n - (LOG_BYTES - 1);

		memmove(l->text, l->text + drop, l->n - drop);
		l->n -= drop;
	}
	memcpy(l->text + l->n, text, n);
	l->n += n;
	l->text[l->n] = '\0';
}

static int print(enum libbpf_print_level level, const char *fmt, va_list args)
{
	char *text;
	int n;

	if (level == LIBBPF_DEBUG || !current)
		return 0;
	n = vasprintf(&text, fmt, args);
	if (n < 0)
		return 0;
	keep(current, text, n);
	free(text);
	return n;
}

int kerf_bpf_try(struct kerf_bpf *b, const struct kerf_bpf_ops *ops, struct kerf_bpf_loaded *o)
{
	struct log *log = calloc(1, sizeof(*log));
	libbpf_print_fn_t before;
	struct kerf_bpf_facts facts;
	struct kerf_err err = {0};
	int r;

	if (!log) {
		snprintf(o->why, sizeof(o->why), "out of memory");
		return -ENOMEM;
	}
	before = libbpf_set_print(print);
	current = log;
	r = ops->load(b, &err);
	current = NULL;
	libbpf_set_print(before);
	if (r && err.msg[0]) {
		snprintf(o->why, sizeof(o->why), "%.*s", (int)sizeof(o->why) - 1, err.msg);
	} else if (r) {
		kerf_bpf_facts(&facts);
		/* A file serves for relocation alone: attaching by type wants the kernel's. */
		if (b->cfg.btf && r != -ESRCH)
			facts.btf = true;
		kerf_bpf_explain(ops, &facts, r, log->text, o->why, sizeof(o->why));
	}
	o->log = log->n ? strdup(log->text) : NULL;
	free(log);
	return r;
}

static int silent(enum libbpf_print_level level, const char *fmt, va_list args)
{
	return 0;
}

int kerf_bpf_attach_again(struct kerf_bpf_loaded *o)
{
	libbpf_print_fn_t before = libbpf_set_print(silent);
	int r = o->attach(o->skel);

	libbpf_set_print(before);
	return r;
}

void kerf_bpf_opts(const struct kerf_bpf *b, struct bpf_object_open_opts *opts)
{
	opts->btf_custom_path = b->cfg.btf;
}

int kerf_bpf_share_region(struct kerf_bpf *b, enum kerf_region r, struct bpf_map *map)
{
	return b->region[r].fd < 0 ? 0 : bpf_map__reuse_fd(map, b->region[r].fd);
}

int kerf_bpf_give_region(struct kerf_bpf *b, enum kerf_region r, struct bpf_map *map,
			 struct kerf_err *err)
{
	struct kerf_bpf_region *g = &b->region[r];
	size_t page = sysconf(_SC_PAGESIZE);
	size_t bytes = (size_t)bpf_map__value_size(map) * bpf_map__max_entries(map);
	const char *name = bpf_map__name(map);
	int e;

	if (g->fd >= 0)
		return 0;
	g->fd = fcntl(bpf_map__fd(map), F_DUPFD_CLOEXEC, 0);
	if (g->fd < 0)
		return kerf_fail(err, -errno, "map %s: dup: %s", name, strerror(errno));
	/* From here on programs alone write it, whoever has the descriptor. */
	if (bpf_map_freeze(g->fd)) {
		e = -errno;
		kerf_fail(err, e, "map %s: freeze: %s", name, strerror(-e));
		goto fail;
	}
	g->size = (bytes + page - 1) / page * page;
	g->map = mmap(NULL, g->size, PROT_READ, MAP_SHARED, g->fd, 0);
	if (g->map == MAP_FAILED) {
		e = -errno;
		g->map = NULL;
		kerf_fail(err, e, "map %s: mmap of %zu bytes: %s", name, g->size, strerror(-e));
		goto fail;
	}
	return 0;
fail:
	kerf_bpf_drop_region(b, r);
	return e;
}
