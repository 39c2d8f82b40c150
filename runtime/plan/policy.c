/* SPDX-License-Identifier: MIT */
#include "plan/policy.h"

#include <string.h>

static const struct kerf_policy policies[] = {
	{"kerf", "the best that is found over cuts, tiles, pipelines, codecs and exits (default)",
	 kerf_policy_kerf, KERF_POLICY_OTHER},
	{"neurosurgeon", "one cut of the chain (Kang and others, ASPLOS 2017)",
	 kerf_policy_neurosurgeon, KERF_POLICY_CUT},
	{"dads", "one min-cut of the graph (Hu and others, INFOCOM 2019)", kerf_policy_dads,
	 KERF_POLICY_CUT},
	{"qdmp", "the same, of the block between two cut vertices (Zhang and others, IMWUT 2020)",
	 kerf_policy_qdmp, KERF_POLICY_CUT},
	{"deepwear", "one cut, not within repeated blocks (Xu and others, TMC 2020)",
	 kerf_policy_deepwear, KERF_POLICY_CUT},
	{"autosplit", "one cut and its codec under memory and error (Banitalebi-Dehkordi and others, KDD 2021)",
	 kerf_policy_autosplit, KERF_POLICY_CUT},
	{"jointdnn", "any number of cuts, by a shortest path (Eshratifar and others, TMC 2021)",
	 kerf_policy_jointdnn, KERF_POLICY_CUT},
	{"spinn", "exit, cut and codec, by constraints and priorities (Laskaridis and others, MobiCom 2020)",
	 kerf_policy_spinn, KERF_POLICY_CUT},
	{"edgent", "the most accurate exit and its cut under a deadline (Li and others, TWC 2020)",
	 kerf_policy_edgent, KERF_POLICY_CUT},
	{"crime", "the whole model where each node's view of its neighbours leads it (Jahier Pagliari and others, TC 2021)",
	 kerf_policy_crime, KERF_POLICY_WHOLE},
	{"cogent", "a learner of cut, codec and exit (Security and Communication Networks, 2020)",
	 kerf_policy_cogent, KERF_POLICY_OTHER},
	{"local", "everything on this node's engine", kerf_policy_local, KERF_POLICY_WHOLE},
	{"remote", "everything on another node's engine", kerf_policy_remote, KERF_POLICY_WHOLE},
	{"best-single", "everything on the one engine that is best for the goal",
	 kerf_policy_best_single, KERF_POLICY_WHOLE},
	{"cut", "the first --cut operators here, the rest on another node", kerf_policy_cut,
	 KERF_POLICY_CUT},
	{"modnn", "each layer in bands of rows by speed (MoDNN: Mao et al., DATE 2017)",
	 kerf_policy_modnn, KERF_POLICY_SPATIAL},
	{"mednn", "each layer in nested bands over as many engines as pay (MeDNN: Mao et al., ICCAD 2017)",
	 kerf_policy_mednn, KERF_POLICY_SPATIAL},
	{"coedge", "one part an engine, least energy under a deadline (CoEdge: Zeng et al., ToN 2021)",
	 kerf_policy_coedge, KERF_POLICY_SPATIAL},
	{"deepthings", "first layers fused, more tiles than nodes (DeepThings: Zhao et al., TCAD 2018)",
	 kerf_policy_deepthings, KERF_POLICY_SPATIAL},
	{"aofl", "bands, fused as far as exchanging costs more (AOFL: Zhou et al., SEC 2019)",
	 kerf_policy_aofl, KERF_POLICY_SPATIAL},
	{"deepslicing", "fused bands that end together (DeepSlicing: Zhang et al., TPDS 2021)",
	 kerf_policy_deepslicing, KERF_POLICY_SPATIAL},
	{"bands", "cuts and fused bands together, by dynamic programming (kerf's own)",
	 kerf_policy_bands, KERF_POLICY_SPATIAL},
	{"adcnn", "independent tiles with padded borders, inexact (ADCNN: Zhang et al., ICPP 2020)",
	 kerf_policy_adcnn, KERF_POLICY_SPATIAL},
	{"mcunet-patch", "first layers patch by patch, least memory (MCUNetV2: Lin et al., NeurIPS 2021)",
	 kerf_policy_mcunet, KERF_POLICY_SPATIAL},
	{"decnn", "layers by channels (DeCNN: Du et al., TPDS 2021)", kerf_policy_decnn,
	 KERF_POLICY_SPATIAL},
	{"fcsplit", "fully connected layers by output neurons (Hadidi et al., RA-L 2018)",
	 kerf_policy_fcsplit, KERF_POLICY_SPATIAL},
	{"pico", "pipeline of stages, each in bands over a group (PICO: Yang et al., TMC 2023)",
	 kerf_policy_pico, KERF_POLICY_PIPELINE},
};

const struct kerf_policy *kerf_policy_find(const char *name)
{
	uint32_t i;

	if (!name)
		return &policies[0];
	for (i = 0; i < KERF_ARRAY_SIZE(policies); i++)
		if (!strcmp(policies[i].name, name))
			return &policies[i];
	return NULL;
}

const struct kerf_policy *kerf_policy_at(uint32_t i)
{
	return i < KERF_ARRAY_SIZE(policies) ? &policies[i] : NULL;
}

bool kerf_policy_looks_back(const struct kerf_policy *policy)
{
	return policy->plan == kerf_policy_edgent;
}
