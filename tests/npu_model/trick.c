/* SPDX-License-Identifier: MIT */
/* The list of faults on demand. */
#include "npu.h"

#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	uint32_t arg; /* if none is given */
} tricks[] = {
	[NPU_NEVER] = {"never", 0},	  [NPU_HANG] = {"hang", 0},
	[NPU_DEAD] = {"dead", 0},	  [NPU_WEDGED] = {"wedged", 1},
	[NPU_LATE] = {"late", 500},	  [NPU_STALE] = {"stale", 0},
	[NPU_TWICE] = {"twice", 0},	  [NPU_SEQNO] = {"seqno", 0},
	[NPU_SILENT] = {"silent", 0},	  [NPU_SPURIOUS] = {"spurious", 0},
	[NPU_DMA] = {"dma", 0},		  [NPU_STATUS] = {"status", 0},
	[NPU_STORM] = {"storm", 10000}, [NPU_FAIL] = {"fail", 0},
};

const char *npu_trick_name(enum npu_trick trick)
{
	return trick ? tricks[trick].name : "none";
}

/* One entry, up to its comma; the rest, or NULL. */
static const char *parse_entry(struct npu_trick_entry *e, const char *p)
{
	size_t i, n = strcspn(p, "@,");
	char *end;

	e->trick = NPU_NO_TRICK;
	for (i = 1; i < KERF_ARRAY_SIZE(tricks); i++)
		if (strlen(tricks[i].name) == n && !strncmp(tricks[i].name, p, n))
			e->trick = (enum npu_trick)i;
	if (!e->trick || p[n] != '@')
		return NULL;
	p += n + 1;
	e->arg = tricks[e->trick].arg;
	e->job = 0;
	if (*p == '*') {
		p++;
	} else {
		e->job = strtoull(p, &end, 10);
		if (*p < '0' || *p > '9' || !e->job)
			return NULL;
		p = end;
	}
	if (*p == ':') {
		p++;
		if (*p < '0' || *p > '9')
			return NULL;
		e->arg = (uint32_t)strtoul(p, &end, 10);
		p = end;
	}
	return *p == ',' ? p + 1 : *p ? NULL : p;
}

bool npu_tricks_parse(struct npu_tricks *t, const char *list, const char **bad)
{
	while (*list) {
		*bad = list;
		if (t->n == NPU_MAX_TRICKS)
			return false;
		list = parse_entry(&t->entry[t->n], list);
		if (!list)
			return false;
		t->n++;
	}
	return true;
}

struct npu_trick_entry npu_trick_of(const struct npu_tricks *t, uint64_t n)
{
	int i;

	for (i = 0; i < t->n; i++)
		if (!t->entry[i].job || t->entry[i].job == n)
			return t->entry[i];
	return (struct npu_trick_entry){NPU_NO_TRICK, 0, 0};
}
