/* SPDX-License-Identifier: MIT */
/* Memory that ends at an unreadable page: an access past it faults, with any compiler. */
#ifndef KERF_TESTS_GUARD_H
#define KERF_TESTS_GUARD_H

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct guard {
	void *data; /* not NULL, also for 0 bytes */
	void *map;
	size_t mapped;
};

static inline void guard_new(struct guard *g, size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t body = (bytes + page - 1) / page * page;

	g->mapped = body + page;
	g->map = mmap(NULL, g->mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (g->map == MAP_FAILED || mprotect((char *)g->map + body, page, PROT_NONE))
		abort();
	g->data = (char *)g->map + body - bytes;
}

static inline void guard_free(struct guard *g)
{
	munmap(g->map, g->mapped);
}

#endif
