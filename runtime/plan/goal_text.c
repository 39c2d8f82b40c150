/* SPDX-License-Identifier: MIT */
/* Goals as people write them. */
#include "plan/goal.h"

#include <stdlib.h>
#include <string.h>

static const char *const codec_names[KERF_N_CODECS] = {"none", "f16", "int8"};

const char *kerf_codec_name(enum kerf_codec codec)
{
	return codec_names[codec];
}

int kerf_codec_find(const char *name)
{
	int i;

	for (i = 0; i < KERF_N_CODECS; i++)
		if (!strcmp(name, codec_names[i]))
			return i;
	return -EINVAL;
}

/* "1,0.5" or "1,0.5,2". */
static int weighted(struct kerf_goal *goal, const char *text, struct kerf_err *err)
{
	double weight[3] = {0, 0, 0};
	const char *at = text;
	char *end;
	uint32_t n = 0;

	do {
		if (n == KERF_ARRAY_SIZE(weight))
			break;
		weight[n] = strtod(at, &end);
		if (end == at || (*end && *end != ',') || !(weight[n] >= 0 && weight[n] <= 1e12))
			return kerf_fail(err, -EINVAL,
					 "objective weighted:%s: expected numbers from 0 to 1e12", text);
		n++;
		at = end + 1;
	} while (*end);
	if (n < 2 || *end)
		return kerf_fail(err, -EINVAL, "objective weighted:%s: expected two or three weights", text);
	if (weight[0] + weight[1] + weight[2] <= 0)
		return kerf_fail(err, -EINVAL, "objective weighted:%s: all weights are 0", text);
	goal->objective = KERF_FOR_WEIGHTED;
	goal->latency_weight = weight[0];
	goal->energy_weight = weight[1];
	goal->period_weight = weight[2];
	return 0;
}

int kerf_goal_objective(struct kerf_goal *goal, const char *text, struct kerf_err *err)
{
	static const struct {
		const char *name;
		enum kerf_objective objective;
	} names[] = {
		{"latency", KERF_FOR_LATENCY},
		{"throughput", KERF_FOR_PERIOD},
		{"energy", KERF_FOR_ENERGY},
		{"memory", KERF_FOR_MEMORY},
	};
	uint32_t i;

	if (!strncmp(text, "weighted:", strlen("weighted:")))
		return weighted(goal, text + strlen("weighted:"), err);
	for (i = 0; i < KERF_ARRAY_SIZE(names); i++)
		if (!strcmp(text, names[i].name)) {
			goal->objective = names[i].objective;
			return 0;
		}
	return kerf_fail(err, -EINVAL,
			 "objective '%s': expected latency, throughput, energy, memory or weighted:L,E[,P]",
			 text);
}

int kerf_goal_codecs(struct kerf_goal *goal, const char *text, struct kerf_err *err)
{
	char *copy = strdup(text), *save = NULL, *one;
	uint32_t codecs = 0;
	int r = copy ? 0 : -ENOMEM;

	for (one = copy ? strtok_r(copy, ",", &save) : NULL; one && !r;
	     one = strtok_r(NULL, ",", &save)) {
		int codec = kerf_codec_find(one);

		if (codec < 0)
			r = kerf_fail(err, -EINVAL, "codecs: '%s', expected f16 or int8", one);
		else
			codecs |= 1u << codec;
	}
	free(copy);
	if (!r)
		goal->codecs = codecs;
	return r;
}
