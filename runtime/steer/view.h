/* SPDX-License-Identifier: MIT */
/* What telemetry knows of a cluster, as its view: the one place where peers and engines meet. */
#ifndef KERF_STEER_VIEW_H
#define KERF_STEER_VIEW_H

#include "exec/cluster.h"
#include "telemetry/telemetry.h"

/* What is known of the cluster's links; what is not stays as it is. t NULL: nothing is known. */
void kerf_view_links(struct kerf_telemetry *t, const struct kerf_cluster *c,
		     struct kerf_cluster_view *view);
/* How home's busiest link went: the one that most transfers were seen on. */
void kerf_view_past(struct kerf_telemetry *t, const struct kerf_cluster *c,
		    struct kerf_cluster_view *view);
/*
 * What its nodes' load makes of the time that slices take there. settle: by a state made from now
 * on, which may take half a second; else by the last one.
 */
void kerf_view_loads(struct kerf_telemetry *t, const struct kerf_cluster *c, bool settle,
		     struct kerf_cluster_view *view);

/* Watts that engine i's node drew over the last window, as its board measures it; 0: not known. */
double kerf_view_power(struct kerf_telemetry *t, const struct kerf_cluster *c, uint32_t i);

#endif
