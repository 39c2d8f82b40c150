/* SPDX-License-Identifier: MIT */
/* Every resource of a node. docs/protocol.md tells the same in words. */
#include "node/node_priv.h"

#define INFER_MAX ((uint64_t)4 << 30)
#define MODEL_MAX ((uint64_t)64 << 30)
#define SLICE_MAX (512u << 10)
#define LINKS_MAX 1024u
#define SINK_MAX (16u << 20)

#define INFER                                                                                      \
	INFER_MAX, kerf_route_infer_begin, kerf_route_infer_body, kerf_route_infer,                \
		kerf_route_infer_done

const struct kerf_http_route kerf_node_routes[] = {
	{"POST", "/v2/models/?/infer", INFER},
	{"POST", "/v2/models/?/versions/?/infer", INFER},
	{"GET", "/v2", .end = kerf_route_server},
	{"GET", "/v2/", .end = kerf_route_server},
	{"GET", "/v2/health/live", .end = kerf_route_live},
	{"GET", "/v2/health/ready", .end = kerf_route_live},
	{"GET", "/v2/models/?", .end = kerf_route_model},
	{"GET", "/v2/models/?/ready", .end = kerf_route_model_ready},
	{"GET", "/v2/models/?/versions/?", .end = kerf_route_model},
	{"GET", "/v2/models/?/versions/?/ready", .end = kerf_route_model_ready},

	{"GET", "/kerf/v1/status", .end = kerf_route_status},
	{"GET", "/kerf/v1/models/?", .end = kerf_route_stored},
	{"PUT", "/kerf/v1/models/?", MODEL_MAX, kerf_route_upload_begin, kerf_route_upload_body,
	 kerf_route_upload, kerf_route_upload_done},
	{"POST", "/kerf/v1/slices", SLICE_MAX, .end = kerf_route_slice_new},
	{"GET", "/kerf/v1/slices/?", .end = kerf_route_slice},
	{"POST", "/kerf/v1/slices/?/profile", .end = kerf_route_slice_profile},
	{"DELETE", "/kerf/v1/slices/?", .end = kerf_route_slice_delete},
	{"POST", "/kerf/v1/slices/?/run", INFER_MAX, kerf_route_run_begin, kerf_route_message_body,
	 kerf_route_run, kerf_route_message_done},
	{"POST", "/kerf/v1/slices/?/ports/?", INFER_MAX, kerf_route_port_begin,
	 kerf_route_message_body, kerf_route_port, kerf_route_message_done},
	{"POST", "/kerf/v1/links", LINKS_MAX, .end = kerf_route_links},
	{"POST", "/kerf/v1/sink", SINK_MAX, kerf_route_sink_begin, kerf_route_sink_body,
	 kerf_route_sink, kerf_route_sink_done},
	{"GET", "/kerf/v1/source", .end = kerf_route_source},
	{0},
};
