/* SPDX-License-Identifier: MIT */
/* kerf node run, also installed as kerfd. */
#include "cli/cli.h"
#include "cli/telemetry.h"
#include "net/probe.h"
#include "node/node.h"
#include "telemetry/publish.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int usage(FILE *f)
{
	fprintf(f,
		"usage: kerf node run [OPTIONS]\n"
		"       kerfd [OPTIONS]\n"
		"       kerf node probe http://HOST:PORT [--quick] [--insecure] [--json]\n\n"
		"Serves this machine's engines, and models, to other nodes and to clients of the\n"
		"Open Inference Protocol; probe measures the link to a node, --quick as it is done for a\n"
		"plan: in a tenth of a second, and not as well.\n\n"
		"  --listen ADDR:PORT   where (default 127.0.0.1:8470; port 0: any)\n"
		"  --insecure           allow plain TCP on other addresses than loopback\n"
		"  --model NAME=FILE    serve a model (may be repeated)\n"
		"  --engine SPEC        offer an engine (may be repeated; the first is the default;\n"
		"                       default cpu, ref, null)\n"
		"  --serve-engine SPEC  offer an engine to this machine's processes through the kernel's\n"
		"                       queue that --as names (they open it as q:NAME)\n"
		"  --as NAME            see --serve-engine\n"
		"  --threads N          threads of the cpu engine (default: all CPUs)\n"
		"  --share PERCENT      its one thread is a core of so much of this one's speed\n"
		"  --cache DIR          where uploaded models are kept\n"
		"  --cache-bytes N      how much of them (default 4294967296)\n"
		"  --slice-bytes N      memory of prepared slices (default: half the machine's)\n"
		"  --body-bytes N       memory of request bodies (default 268435456)\n"
		"  --connections N      at most (default 64)\n"
		"  --state PATH         socket for readers of the state, as kerf top\n"
		"                       (default %s)\n"
		KERF_CLI_TELEMETRY_HELP,
		KERF_STATE_SOCKET);
	return f == stdout ? KERF_EXIT_OK : KERF_EXIT_USAGE;
}

/* sd_notify(3)'s datagram; nothing when systemd did not start us. */
static void notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	size_t n = path ? strlen(path) : 0;
	int fd;

	if (!n || n >= sizeof(to.sun_path) || (*path != '/' && *path != '@'))
		return;
	memcpy(to.sun_path, path, n);
	if (*path == '@')
		to.sun_path[0] = 0;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to,
		   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) < 0)
		perror("kerf: NOTIFY_SOCKET");
	close(fd);
}

struct arguments {
	struct kerf_node_config cfg;
	struct kerf_node_model model[KERF_NODE_MODELS];
	const char *engine[KERF_NODE_ENGINES];
	struct kerf_cli_telemetry_options telemetry;
};

static int number(const char *what, const char *arg, uint64_t max, uint64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoull(arg, &end, 10);
	if (*arg >= '0' && *arg <= '9' && !*end && !errno && *out && *out <= max)
		return 0;
	fprintf(stderr, "kerf: %s '%s': expected 1 to %llu\n", what, arg, (unsigned long long)max);
	return -EINVAL;
}

static int add_model(struct arguments *a, char *arg)
{
	char *eq = strchr(arg, '=');

	if (!eq || eq == arg || !eq[1]) {
		fprintf(stderr, "kerf: --model '%s': expected NAME=FILE\n", arg);
		return -EINVAL;
	}
	if (a->cfg.n_model == KERF_NODE_MODELS) {
		fprintf(stderr, "kerf: --model: at most %d\n", KERF_NODE_MODELS);
		return -EINVAL;
	}
	*eq = 0;
	a->model[a->cfg.n_model++] = (struct kerf_node_model){arg, eq + 1};
	return 0;
}

static int take(struct arguments *a, int opt, char *arg)
{
	struct kerf_err err = {""};
	uint64_t n;
	int r = 0;

	switch (opt) {
	case KERF_CLI_OPT_TELEMETRY:
	case KERF_CLI_OPT_STATE:
	case KERF_CLI_OPT_BTF:
		r = kerf_cli_telemetry_option(&a->telemetry, opt, arg, &err);
		if (r)
			kerf_cli_fail(&err, r);
		return r;
	case 'l': a->cfg.listen = arg; break;
	case 'k': a->cfg.insecure = a->cfg.engine_config.insecure = true; break;
	case 'm': return add_model(a, arg);
	case 'e':
		if (a->cfg.n_engine == KERF_NODE_ENGINES)
			return -EINVAL;
		a->engine[a->cfg.n_engine++] = arg;
		break;
	case 's': a->cfg.serve_engine = arg; break;
	case 'a': a->cfg.serve_name = arg; break;
	case 't':
		r = number("--threads", arg, 1024, &n);
		a->cfg.engine_config.threads = (int)n;
		break;
	case 'H':
		r = number("--share", arg, 100, &n);
		a->cfg.engine_config.share = (int)n;
		break;
	case 'c': a->cfg.cache_dir = arg; break;
	case 'C': return number("--cache-bytes", arg, INT64_MAX, &a->cfg.cache_bytes);
	case 'S': return number("--slice-bytes", arg, INT64_MAX, &a->cfg.slice_bytes);
	case 'B': return number("--body-bytes", arg, INT64_MAX, &a->cfg.body_budget);
	case 'n':
		r = number("--connections", arg, 4096, &n);
		a->cfg.max_connections = (uint32_t)n;
		break;
	default: return -EINVAL;
	}
	return r;
}

static int parse(int argc, char **argv, struct arguments *a)
{
	static const struct option options[] = {
		{"listen", required_argument, NULL, 'l'},
		{"insecure", no_argument, NULL, 'k'},
		{"model", required_argument, NULL, 'm'},
		{"engine", required_argument, NULL, 'e'},
		{"serve-engine", required_argument, NULL, 's'},
		{"as", required_argument, NULL, 'a'},
		{"threads", required_argument, NULL, 't'},
		{"share", required_argument, NULL, 'H'},
		{"cache", required_argument, NULL, 'c'},
		{"cache-bytes", required_argument, NULL, 'C'},
		{"slice-bytes", required_argument, NULL, 'S'},
		{"body-bytes", required_argument, NULL, 'B'},
		{"connections", required_argument, NULL, 'n'},
		KERF_CLI_TELEMETRY_LONG_OPTIONS,
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int opt;

	a->cfg.model = a->model;
	a->cfg.engine = a->engine;
	optind = 1;
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == 'h') {
			usage(stdout);
			return 1;
		}
		if (take(a, opt, optarg))
			return -EINVAL;
	}
	if (!a->cfg.serve_engine != !a->cfg.serve_name)
		return -EINVAL;
	return optind == argc ? 0 : -EINVAL;
}

static uint32_t node_engines(void *user, struct kerf_engine_rec *out, uint32_t max)
{
	return kerf_node_engine_records(user, out, max);
}

static size_t load_text(void *user, char *text, size_t size)
{
	return kerf_telemetry_load_text(user, text, size);
}

static void estimate(void *user, const char *url, bool down, struct kerf_link_estimate *est)
{
	kerf_telemetry_estimate(user, url, down, est);
}

/*
 * Before any other thread, as privileges are given up. A socket that was asked for is needed; the
 * usual one may be missing, as its folder is root's or a service manager's to make.
 */
static int open_telemetry(struct arguments *a, struct kerf_telemetry **t, struct kerf_err *err)
{
	struct kerf_err no_socket = {""};
	int r = kerf_cli_telemetry_open(&a->telemetry, t, err);

	if (r || !*t)
		return r;
	kerf_cli_telemetry_say(*t, stderr);
	if (!a->telemetry.state && kerf_telemetry_publish(*t, KERF_STATE_SOCKET, &no_socket))
		fprintf(stderr, "kerf: telemetry: no socket for readers: %s\n", no_socket.msg);
	a->cfg.engine_config.observer = kerf_telemetry_observer(*t);
	a->cfg.load_text = load_text;
	a->cfg.estimate = estimate;
	a->cfg.load_user = *t;
	return 0;
}

/* Ends the process as a signal would, for whoever watches it to start the next. */
static void serve_lost(void *user)
{
	volatile sig_atomic_t *lost = user;

	*lost = 1;
	kill(getpid(), SIGTERM);
}

static int run(int argc, char **argv)
{
	static volatile sig_atomic_t lost;
	struct arguments a = {.cfg = {.serve_lost = serve_lost, .serve_user = (void *)&lost}};
	struct kerf_err err = {""};
	struct kerf_telemetry *telemetry;
	struct kerf_node *node;
	sigset_t set;
	int r, sig;

	r = parse(argc, argv, &a);
	if (r)
		return r > 0 ? KERF_EXIT_OK : usage(stderr);
	/* Before any thread is made, so that all inherit it and only sigwait sees them. */
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	r = open_telemetry(&a, &telemetry, &err);
	if (r)
		return kerf_cli_fail(&err, r);
	r = kerf_node_open(&a.cfg, &node, &err);
	if (r) {
		kerf_telemetry_close(telemetry);
		return kerf_cli_fail(&err, r);
	}
	if (telemetry)
		kerf_telemetry_engines(telemetry, node_engines, node);
	if (a.cfg.insecure)
		fprintf(stderr, "kerf: WARNING: --insecure: anyone who reaches this port can run models "
				"here, read what is sent and change it\n");
	printf("listening on port %u\n", kerf_node_port(node));
	fflush(stdout);
	notify("READY=1");
	sigwait(&set, &sig);
	/* A second signal ends the wait for jobs that take too long. */
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	notify("STOPPING=1");
	if (lost)
		fprintf(stderr, "kerf: the kernel has given this server up: its jobs did not end in time, "
				"or the module went\n");
	if (telemetry)
		kerf_telemetry_engines(telemetry, NULL, NULL);
	kerf_node_close(node);
	kerf_telemetry_close(telemetry);
	return lost ? KERF_EXIT_FAILED : KERF_EXIT_OK;
}

static int probe(int argc, char **argv)
{
	static const struct option options[] = {
		{"quick", no_argument, NULL, 'q'},
		{"insecure", no_argument, NULL, 'k'},
		{"json", no_argument, NULL, 'j'},
		{0},
	};
	bool quick = false, insecure = false, json = false;
	struct kerf_probe s;
	struct kerf_err err = {""};
	int opt, r;

	optind = 1;
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == '?')
			return usage(stderr);
		quick |= opt == 'q';
		insecure |= opt == 'k';
		json |= opt == 'j';
	}
	if (optind + 1 != argc)
		return usage(stderr);
	r = kerf_probe_run(argv[optind], insecure, quick ? &kerf_probe_short : &kerf_probe_thorough,
			   NULL, &s, &err);
	if (r)
		return kerf_cli_fail(&err, r);
	if (json)
		printf("{\"rtt_s\":%.6f,\"request_s\":%.6f,\"up_bytes_s\":%llu,\"down_bytes_s\":%llu,"
		       "\"up_high_ppm\":%u,\"down_high_ppm\":%u,\"tcp_rate_bytes_s\":%.0f,"
		       "\"bytes\":%llu}\n",
		       s.rtt_s, s.request_s, (unsigned long long)s.up.rate_bytes_s,
		       (unsigned long long)s.down.rate_bytes_s, s.up.high_ppm,
		       s.down.high_ppm, s.tcp_rate_bytes_s, (unsigned long long)s.bytes);
	else
		printf("round trip %.3f ms, small request %.3f ms, up %.2f Mbit/s (within a factor of %.2f), "
		       "down %.2f Mbit/s (%.2f) of payload; %.1f MB moved\n",
		       s.rtt_s * 1e3, s.request_s * 1e3, (double)s.up.rate_bytes_s * 8e-6,
		       s.up.high_ppm * 1e-6, (double)s.down.rate_bytes_s * 8e-6,
		       s.down.high_ppm * 1e-6, (double)s.bytes * 1e-6);
	return KERF_EXIT_OK;
}

int kerf_cmd_node(int argc, char **argv)
{
	if (argc >= 2 && !strcmp(argv[1], "probe"))
		return probe(argc - 1, argv + 1);
	if (argc >= 2 && !strcmp(argv[1], "run"))
		return run(argc - 1, argv + 1);
	if (argc >= 2 && !strcmp(argv[1], "--help"))
		return usage(stdout);
	return usage(stderr);
}

int kerf_cmd_kerfd(int argc, char **argv)
{
	return run(argc, argv);
}
