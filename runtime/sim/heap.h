/* SPDX-License-Identifier: MIT */
/* Events by time; those of one time in the order in which they were made. A 4-ary heap. */
#ifndef KERF_SIM_HEAP_H
#define KERF_SIM_HEAP_H

#include "util/base.h"

#include <stdlib.h>

struct kerf_event {
	double t;
	uint64_t number; /* of the heap's events: makes the order total */
	void *what;
	uint32_t kind, n;
};

struct kerf_heap {
	struct kerf_event *e;
	size_t n, room;
	uint64_t made;
};

static inline bool kerf_event_before(const struct kerf_event *a, const struct kerf_event *b)
{
	return a->t < b->t || (a->t == b->t && a->number < b->number);
}

static inline int kerf_heap_push(struct kerf_heap *h, struct kerf_event e)
{
	size_t i = h->n, up;

	if (h->n == h->room) {
		size_t room = h->room * 2 + 64;
		struct kerf_event *more = realloc(h->e, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		h->e = more;
		h->room = room;
	}
	e.number = h->made++;
	for (h->n++; i && kerf_event_before(&e, &h->e[up = (i - 1) / 4]); i = up)
		h->e[i] = h->e[up];
	h->e[i] = e;
	return 0;
}

/* Of a heap that is not empty. */
static inline struct kerf_event kerf_heap_pop(struct kerf_heap *h)
{
	struct kerf_event first = h->e[0], last = h->e[--h->n];
	size_t i = 0, down, k, end;

	for (; (down = 4 * i + 1) < h->n; i = down) {
		end = KERF_MIN(down + 4, h->n);
		for (k = down + 1; k < end; k++)
			if (kerf_event_before(&h->e[k], &h->e[down]))
				down = k;
		if (!kerf_event_before(&h->e[down], &last))
			break;
		h->e[i] = h->e[down];
	}
	if (h->n)
		h->e[i] = last;
	return first;
}

#endif
