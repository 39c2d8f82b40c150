/* SPDX-License-Identifier: MIT */
/* npu-model: the kerf NPU beside QEMU. docs/npu.md, On ivshmem. */
#include "npu.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
	"usage: npu-model --socket PATH --ram FILE --ram-size N[K|M|G]\n"
	"                 [--fault KIND@N[:ARG],...] [--fault-file FILE] [--verbose]\n"
	"\n"
	"Is the kerf NPU for one QEMU, and ends with it.\n"
	"\n"
	"  --socket PATH   where QEMU's ivshmem-doorbell connects\n"
	"  --ram FILE      the guest's RAM: the file of its memory-backend-file\n"
	"  --ram-size N    bytes of it\n"
	"  --fault LIST    faults on the N-th job, or on all (*): never hang dead wedged late\n"
	"                  stale twice seqno silent spurious dma status storm fail\n"
	"  --fault-file F  where such a list may appear later: N counts from the next job on\n"
	"  --verbose       a line for each job and reset\n";

static uint64_t parse_size(const char *text)
{
	static const char units[] = "KMG";
	char *end;
	uint64_t n = strtoull(text, &end, 10);
	const char *unit = *end ? strchr(units, *end) : NULL;
	int shift = unit ? 10 * (int)(unit - units + 1) : 0;

	if (*text < '0' || *text > '9' || (*end && (!unit || end[1])) ||
	    n > UINT64_MAX >> 24 >> shift)
		return 0;
	return n << shift;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"socket", required_argument, NULL, 's'},
		{"ram", required_argument, NULL, 'r'},
		{"ram-size", required_argument, NULL, 'z'},
		{"fault", required_argument, NULL, 'f'},
		{"fault-file", required_argument, NULL, 'l'},
		{"verbose", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	struct npu_config config = {0};
	const char *bad;
	int o;

	while ((o = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (o) {
		case 's': config.socket = optarg; break;
		case 'r': config.ram = optarg; break;
		case 'z':
			config.ram_size = parse_size(optarg);
			if (!config.ram_size || config.ram_size % 4096) {
				fprintf(stderr, "npu-model: --ram-size %s is no size\n", optarg);
				return 2;
			}
			break;
		case 'f':
			if (!npu_tricks_parse(&config.tricks, optarg, &bad)) {
				fprintf(stderr, "npu-model: --fault: what is '%s'?\n", bad);
				return 2;
			}
			break;
		case 'l': config.tricks_file = optarg; break;
		case 'v': config.verbose = true; break;
		case 'h': fputs(usage, stdout); return 0;
		default: fputs(usage, stderr); return 2;
		}
	}
	if (!config.socket || !config.ram || !config.ram_size || optind != argc) {
		fputs(usage, stderr);
		return 2;
	}
	return npu_serve(&config) ? 1 : 0;
}
