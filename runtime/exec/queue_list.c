/* SPDX-License-Identifier: MIT */
#include "exec/queue_list.h"

#include "exec/queue.h"

#include <stdio.h>
#include <string.h>

_Static_assert(sizeof(((struct kerf_queue_listed *)0)->node) ==
		       sizeof(((struct kerf_queue_node *)0)->path),
	       "one is copied to the other");

static const char *class_name(uint32_t engine_class)
{
	switch (engine_class) {
	case KERF_ENGINE_SIM: return "sim";
	case KERF_ENGINE_NPU: return "npu";
	case KERF_ENGINE_USER: return "user";
	default: return "unknown";
	}
}

static const char *state_name(uint32_t state)
{
	switch (state) {
	case KERF_ENGINE_READY: return "ready";
	case KERF_ENGINE_WAITING: return "waiting for its server";
	case KERF_ENGINE_DEAD: return "dead";
	default: return "unknown";
	}
}

static void fill(struct kerf_queue_listed *l, const struct drm_kerf_engine_info *e, uint32_t *npus)
{
	snprintf(l->name, sizeof(l->name), "%s", e->name);
	if (e->engine_class == KERF_ENGINE_NPU)
		snprintf(l->spec, sizeof(l->spec), "npu:%u", (*npus)++);
	if (e->engine_class == KERF_ENGINE_USER)
		snprintf(l->spec, sizeof(l->spec), "q:%s", e->name);
	l->class = class_name(e->engine_class);
	l->state = state_name(e->state);
	l->depth = e->depth;
	l->caps = e->caps;
	l->busy_ns = e->busy_ns;
	l->jobs_done = e->jobs_done;
}

uint32_t kerf_queue_list(struct kerf_queue_listed list[KERF_QUEUE_LISTED], const char **why)
{
	struct kerf_queue_node node[KERF_QUEUE_NODES];
	uint32_t n_node = kerf_queue_nodes(node), n = 0, npus = 0, i, k;

	for (i = 0; i < n_node && n < KERF_QUEUE_LISTED; i++) {
		struct drm_kerf_device_info device = {.n_engines = 0};
		struct drm_kerf_engine_info e;
		struct kerf_queue_dev *d = NULL;
		int r = node[i].status ? node[i].status : kerf_queue_open(node[i].path, &d, NULL);

		if (!r)
			r = kerf_queue_device_info(d, &device);
		if (r) {
			list[n] = (struct kerf_queue_listed){.class = "", .state = ""};
			memcpy(list[n].node, node[i].path, sizeof(list[n].node));
			snprintf(list[n++].problem, sizeof(list[0].problem), "cannot be opened: %s",
				 strerror(-r));
		}
		for (k = 0; k < device.n_engines && n < KERF_QUEUE_LISTED; k++) {
			if (kerf_queue_engine_info(d, k, &e))
				continue;
			list[n] = (struct kerf_queue_listed){.class = ""};
			memcpy(list[n].node, node[i].path, sizeof(list[n].node));
			fill(&list[n++], &e, &npus);
		}
		kerf_queue_close(d);
	}
	*why = n ? NULL : kerf_queue_why_none(node, n_node);
	return n;
}
