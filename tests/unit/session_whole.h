/* SPDX-License-Identifier: MIT */
/* What sessions over several nodes are held against: the whole model on one engine. */
#ifndef KERF_TEST_SESSION_WHOLE_H
#define KERF_TEST_SESSION_WHOLE_H

#include "exec/measure.h"
#include "exec/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Makes io, its inputs by chance, and what the engine answers. */
static inline void session_whole(struct kerf_graph *g, struct kerf_engine *engine,
				 struct kerf_io *io)
{
	struct kerf_session *s;
	struct kerf_plan plan;

	assert_int_equal(kerf_io_make(g, 7, io), 0);
	assert_int_equal(kerf_plan_only(g, "a", &plan, NULL), 0);
	assert_int_equal(kerf_session_open(g, &plan, &engine, 1, &s, NULL), 0);
	assert_int_equal(kerf_session_run(s, io->in, io->out, NULL), 0);
	kerf_session_close(s);
	kerf_plan_finish(&plan);
}

static inline void assert_same_outputs(const struct kerf_graph *g, const struct kerf_io *a,
				       const struct kerf_io *b, const char *what)
{
	uint32_t i;

	for (i = 0; i < g->n_out; i++) {
		assert_memory_equal(a->out[i].dims, b->out[i].dims, sizeof(a->out[i].dims));
		if (memcmp(a->out[i].data, b->out[i].data, kerf_tensor_bytes(&a->out[i])))
			fail_msg("%s: output '%s' has other bits than the whole run's", what,
				 g->value[g->out[i]].name);
	}
}

#endif
