/* SPDX-License-Identifier: MIT */
/*
 * kerf conformance: runs folders in the form of ONNX's backend tests.
 *
 * A case is loaded twice, as written and rewritten, and both must give the expected
 * outputs. Each case runs in a child with its own limits, so a crash or a hang is
 * one case's result and hides nothing.
 */
#include "cli/cli.h"
#include "exec/engine.h"
#include "graph/import.h"
#include "graph/op.h"
#include "graph/tensor_file.h"
#include "graph/wire.h"
#include "util/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <getopt.h>
#include <json-c/json.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_DEPTH 3
#define MAX_TENSORS 64
/* A folder fits in PATH_MAX; a set in it and a file in that need a little more. */
#define SET_PATH (PATH_MAX + 32)
#define FILE_PATH (SET_PATH + 32)
#define CASE_MEMORY ((rlim_t)8 << 30)

enum verdict { PASSED, REFUSED, WRONG, CRASHED, N_VERDICTS };
static const char *const verdict_name[] = {"passed", "refused", "wrong", "crashed"};

struct options {
	const char *engine;
	double rtol, atol;
	unsigned seconds;
	bool json, list;
};

/* What a child tells of its case. */
struct report {
	enum verdict verdict;
	char text[600];
};

struct summary {
	const struct options *opt;
	size_t count[N_VERDICTS], root_len;
	struct json_object *cases; /* NULL: lines of text */
};

/* Inputs of a model, and of one data set. */
struct inputs {
	int n;
	char *name[MAX_TENSORS];
	struct kerf_tensor t[MAX_TENSORS];
	struct kerf_err unread[MAX_TENSORS]; /* why t[i] could not be read */
	bool bound[MAX_TENSORS];
};

/* --- Names of the model's inputs, in order, without those that have an initializer --- */

static char *field_text(struct kerf_wire w, uint32_t number)
{
	struct kerf_wire_field f;
	char *s = NULL;

	while (kerf_wire_next(&w, &f) > 0)
		if (f.number == number && f.type == KERF_WIRE_BYTES) {
			free(s);
			s = strndup((const char *)f.data, f.size);
		}
	return s;
}

static struct kerf_wire field_message(const struct kerf_wire_field *f)
{
	return (struct kerf_wire){f->data, f->data + f->size};
}

enum { MODEL_GRAPH = 7, GRAPH_INITIALIZER = 5, GRAPH_INPUT = 11, TENSOR_NAME = 8, VALUE_NAME = 1 };

static bool has_initializer(struct kerf_wire graph, const char *name)
{
	struct kerf_wire_field f;
	bool found = false;

	while (!found && kerf_wire_next(&graph, &f) > 0) {
		if (f.number == GRAPH_INITIALIZER && f.type == KERF_WIRE_BYTES) {
			char *s = field_text(field_message(&f), TENSOR_NAME);

			found = s && !strcmp(s, name);
			free(s);
		}
	}
	return found;
}

static void list_inputs(const struct kerf_file *file, struct inputs *in)
{
	struct kerf_wire model = {file->data, file->data + file->size}, graph, w;
	struct kerf_wire_field f;

	while (kerf_wire_next(&model, &f) > 0) {
		if (f.number != MODEL_GRAPH || f.type != KERF_WIRE_BYTES)
			continue;
		for (w = graph = field_message(&f); kerf_wire_next(&w, &f) > 0;) {
			char *name;

			if (f.number != GRAPH_INPUT || f.type != KERF_WIRE_BYTES ||
			    in->n == MAX_TENSORS)
				continue;
			name = field_text(field_message(&f), VALUE_NAME);
			if (name && !has_initializer(graph, name))
				in->name[in->n++] = name;
			else
				free(name);
		}
	}
}

/* A set may leave out trailing inputs; one that cannot be read matters only if used. */
static void read_inputs(const char *set, struct inputs *in)
{
	char path[FILE_PATH];
	int i;

	for (i = 0; i < in->n; i++) {
		snprintf(path, sizeof(path), "%s/input_%d.pb", set, i);
		if (kerf_tensor_read(path, NULL, &in->t[i], &in->unread[i]))
			in->t[i] = (struct kerf_tensor){.dtype = KERF_NONE};
	}
}

static int find_input(const struct inputs *in, const char *name)
{
	int i;

	for (i = 0; i < in->n; i++)
		if (!strcmp(in->name[i], name))
			return i;
	return -1;
}

/* --- Running and comparing --- */

/* NumPy has no bfloat16, so data that it made hold one as uint16. */
static void as_declared(struct kerf_tensor *t, enum kerf_dtype declared)
{
	if (declared == KERF_BF16 && t->dtype == KERF_U16)
		t->dtype = KERF_BF16;
}

/* Contents are bound one by one as they are asked for; shapes are given if with_shapes. */
static int load_bound(const char *model, struct inputs *in, bool no_rewrite, bool with_shapes,
		      struct kerf_graph **g, struct kerf_err *err)
{
	struct kerf_input_fix fix[MAX_TENSORS];
	char unbound[KERF_UNBOUND_TEXT];
	struct kerf_load_options opt = {
		.fix = fix, .no_rewrite = no_rewrite, .unbound = unbound};
	int i, r;

	for (;;) {
		opt.n_fix = 0;
		unbound[0] = 0;
		err->msg[0] = 0;
		for (i = 0; i < in->n; i++) {
			if (!in->t[i].dtype || (!with_shapes && !in->bound[i]))
				continue;
			fix[opt.n_fix].name = in->name[i];
			fix[opt.n_fix].t = in->t[i];
			if (!in->bound[i])
				fix[opt.n_fix].t.data = NULL;
			opt.n_fix++;
		}
		r = kerf_model_load(model, &opt, g, err);
		if (r != -ENODATA)
			return r;
		i = find_input(in, unbound);
		if (i < 0 || in->bound[i] || !in->t[i].dtype)
			return r;
		in->bound[i] = true;
	}
}

/* A data set whose shapes contradict the model is found out when it runs. */
static int load(const char *model, struct inputs *in, bool no_rewrite, struct kerf_graph **g,
		struct kerf_err *err)
{
	int r = load_bound(model, in, no_rewrite, true, g, err);
	struct kerf_err second;

	if (r == -EINVAL && !load_bound(model, in, no_rewrite, false, g, &second)) {
		err->msg[0] = 0;
		return 0;
	}
	return r;
}

static const char *reader_of(const struct kerf_graph *g, int32_t value)
{
	uint32_t i;
	int k;

	for (i = 0; i < g->n_op; i++)
		for (k = 0; k < g->op[i].n_in; k++)
			if (g->op[i].in[k] == value)
				return g->op[i].def->name;
	return NULL;
}

/*
 * The graph's inputs from the data set. One that does not fit is refused, unless no
 * operator reads it: then zeros do, kept in *unread for the caller to free.
 */
static int give_inputs(const struct kerf_graph *g, const struct inputs *in,
		       struct kerf_tensor *gin, void **unread, bool *refused,
		       struct kerf_err *err)
{
	char a[KERF_SHAPE_TEXT], b[KERF_SHAPE_TEXT];
	uint32_t i;

	for (i = 0; i < g->n_in; i++) {
		const struct kerf_value *v = &g->value[g->in[i]];
		int k = find_input(in, v->name);
		const char *op;

		if (k < 0 || !in->t[k].dtype)
			return kerf_fail(err, -EINVAL, "input '%.64s': %.300s", v->name,
					 k < 0 ? "not in the data set" : in->unread[k].msg);
		gin[i] = in->t[k];
		as_declared(&gin[i], v->t.dtype);
		if (gin[i].dtype == v->t.dtype && kerf_tensor_same_shape(&gin[i], &v->t))
			continue;
		op = reader_of(g, g->in[i]);
		if (!op) {
			gin[i] = v->t;
			gin[i].data = unread[i] = kerf_tensor_alloc(kerf_tensor_bytes(&v->t));
			if (!unread[i])
				return -ENOMEM;
			continue;
		}
		*refused = true;
		return kerf_fail(err, -EINVAL,
				 "input '%.64s' of %s is %s in the data set, the model declares %s",
				 v->name, op, kerf_tensor_text(&gin[i], a),
				 kerf_tensor_text(&v->t, b));
	}
	return 0;
}

/* bfloat16 is coarser than the tolerance: there, one unit in the last place. */
static bool near(double got, double want, enum kerf_dtype t, const struct options *opt)
{
	double rtol = t == KERF_BF16 ? KERF_MAX(opt->rtol, 0x1p-7) : opt->rtol;

	if (got == want || (got != got && want != want))
		return true;
	return isfinite(want) && fabs(got - want) <= opt->atol + rtol * fabs(want);
}

static int compare(const char *set, uint32_t k, const struct kerf_tensor *got,
		   const struct options *opt, struct kerf_err *err)
{
	char path[FILE_PATH], a[KERF_SHAPE_TEXT], b[KERF_SHAPE_TEXT];
	struct kerf_tensor want;
	bool is_float;
	int64_t i, n;
	int r;

	snprintf(path, sizeof(path), "%s/output_%u.pb", set, k);
	r = kerf_tensor_read(path, NULL, &want, err);
	if (r)
		return r;
	as_declared(&want, got->dtype);
	if (want.dtype != got->dtype || !kerf_tensor_same_shape(&want, got)) {
		r = kerf_fail(err, -EINVAL, "output %u is %s, expected %s", k,
			      kerf_tensor_text(got, a), kerf_tensor_text(&want, b));
		goto out;
	}
	is_float = want.dtype == KERF_F32 || want.dtype == KERF_F64 || want.dtype == KERF_F16 ||
		   want.dtype == KERF_BF16;
	n = kerf_tensor_count(&want);
	for (i = 0; i < n && !r; i++) {
		double x = kerf_tensor_float(got, i), y = kerf_tensor_float(&want, i);
		bool same = is_float ? near(x, y, want.dtype, opt)
				     : kerf_tensor_int(got, i) == kerf_tensor_int(&want, i);

		if (!same)
			r = kerf_fail(err, -EINVAL, "output %u element %lld is %.9g, expected %.9g", k,
				      (long long)i, x, y);
	}
out:
	free(want.data);
	return r;
}

/* Runs a loaded case. *refused is set where the engine declines an operator. */
static int run_graph(struct kerf_graph *g, const struct inputs *in, const char *set,
		     const struct options *opt, bool *refused, struct kerf_err *err)
{
	struct kerf_tensor gin[MAX_TENSORS], gout[MAX_TENSORS] = {{.dtype = KERF_NONE}};
	struct kerf_engine *engine = NULL;
	struct kerf_program *p = NULL;
	void *unread[MAX_TENSORS] = {NULL};
	uint32_t i;
	int r;

	if (g->n_in > MAX_TENSORS || g->n_out > MAX_TENSORS)
		return kerf_fail(err, -E2BIG, "more than %d inputs or outputs", MAX_TENSORS);
	r = give_inputs(g, in, gin, unread, refused, err);
	if (r)
		goto out;
	for (i = 0; i < g->n_out; i++) {
		gout[i] = g->value[g->out[i]].t;
		gout[i].data = kerf_tensor_alloc(kerf_tensor_bytes(&gout[i]));
		if (!gout[i].data) {
			r = -ENOMEM;
			goto out;
		}
	}
	r = kerf_engine_open(opt->engine, NULL, &engine, err);
	if (r)
		goto out;
	r = engine->ops->prepare(engine, g, &p, err);
	*refused = r == -EOPNOTSUPP;
	if (r)
		goto out;
	r = kerf_engine_run(p, gin, gout, NULL);
	if (r)
		kerf_fail(err, r, "the run failed: %s", strerror(-r));
	for (i = 0; i < g->n_out && !r; i++)
		r = compare(set, i, &gout[i], opt, err);
out:
	if (p)
		engine->ops->release(p);
	kerf_engine_close(engine);
	for (i = 0; i < g->n_out; i++)
		free(gout[i].data);
	for (i = 0; i < g->n_in; i++)
		free(unread[i]);
	return r;
}

static void run_set(const char *folder, const char *set, const struct options *opt,
		    struct report *rep)
{
	struct inputs *in = calloc(1, sizeof(*in));
	struct kerf_err err = {""};
	struct kerf_file *file = NULL;
	char model[FILE_PATH];
	int pass, i, r;

	snprintf(model, sizeof(model), "%s/model.onnx", folder);
	r = in ? kerf_file_map(model, &file, &err) : -ENOMEM;
	if (r)
		goto out;
	list_inputs(file, in);
	kerf_file_unref(file);
	read_inputs(set, in);
	for (pass = 0; pass < 2 && !r; pass++) {
		struct kerf_graph *g = NULL;
		bool refused = false;

		r = load(model, in, pass == 0, &g, &err);
		/* What loads as written must also load rewritten. */
		if (pass == 0)
			refused = r == -EOPNOTSUPP || r == -ENODATA;
		if (!r)
			r = run_graph(g, in, set, opt, &refused, &err);
		if (r)
			rep->verdict = refused ? REFUSED : WRONG;
		if (r && pass == 1)
			kerf_err_prefix(&err, "rewritten");
		kerf_graph_unref(g);
	}
out:
	if (r) {
		const char *msg = err.msg[0] ? err.msg : strerror(-r);
		size_t n = strlen(model);

		/* The folder is printed before: no need to say the path twice. */
		if (!strncmp(msg, model, n) && !strncmp(msg + n, ": ", 2))
			msg += n + 2;
		if (rep->verdict == PASSED)
			rep->verdict = WRONG;
		snprintf(rep->text, sizeof(rep->text), "%s", msg);
	}
	for (i = 0; in && i < in->n; i++) {
		free(in->name[i]);
		free(in->t[i].data);
	}
	free(in);
}

static void run_case(const char *folder, const struct options *opt, struct report *rep)
{
	char set[SET_PATH];
	struct stat st;
	int i;

	for (i = 0; rep->verdict == PASSED; i++) {
		snprintf(set, sizeof(set), "%s/test_data_set_%d", folder, i);
		if (stat(set, &st))
			break;
		run_set(folder, set, opt, rep);
	}
	if (i == 0) {
		rep->verdict = WRONG;
		snprintf(rep->text, sizeof(rep->text), "it has no test_data_set_0");
	}
}

/* --- One child a case --- */

static void child(const char *folder, const struct options *opt, int fd)
{
	struct report rep = {.verdict = PASSED};
	struct rlimit no_core = {0, 0};

	setrlimit(RLIMIT_CORE, &no_core);
#ifndef __SANITIZE_ADDRESS__ /* its shadow takes terabytes of address space */
	setrlimit(RLIMIT_AS, &(struct rlimit){CASE_MEMORY, CASE_MEMORY});
#endif
	alarm(opt->seconds);
	run_case(folder, opt, &rep);
	_exit(write(fd, &rep, sizeof(rep)) == sizeof(rep) ? 0 : 1);
}

static int run_in_child(const char *folder, const struct options *opt, struct report *rep)
{
	int fd[2], status = 0;
	ssize_t got;
	pid_t pid;

	if (pipe2(fd, O_CLOEXEC))
		return -errno;
	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		int r = -errno;

		close(fd[0]);
		close(fd[1]);
		return r;
	}
	if (!pid) {
		close(fd[0]);
		child(folder, opt, fd[1]);
	}
	close(fd[1]);
	/* A report is smaller than PIPE_BUF: it comes whole or not at all. */
	do
		got = read(fd[0], rep, sizeof(*rep));
	while (got < 0 && errno == EINTR);
	close(fd[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (got == sizeof(*rep) && WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	rep->verdict = CRASHED;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		snprintf(rep->text, sizeof(rep->text), "not done after %u s", opt->seconds);
	else if (WIFSIGNALED(status))
		snprintf(rep->text, sizeof(rep->text), "killed by signal %d (%s)",
			 WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		snprintf(rep->text, sizeof(rep->text), "exit status %d without a report",
			 WEXITSTATUS(status));
	return 0;
}

static int do_case(const char *folder, struct summary *s)
{
	const char *name = folder + s->root_len;
	struct report rep = {.verdict = PASSED};
	int r;

	while (*name == '/')
		name++;
	if (!*name)
		name = folder;
	if (s->opt->list) {
		printf("%s\n", name);
		return 0;
	}
	r = run_in_child(folder, s->opt, &rep);
	if (r)
		return r;
	s->count[rep.verdict]++;
	if (s->cases) {
		struct json_object *o = json_object_new_object();

		json_object_object_add(o, "name", json_object_new_string(name));
		json_object_object_add(o, "verdict",
				       json_object_new_string(verdict_name[rep.verdict]));
		if (rep.text[0])
			json_object_object_add(o, "why", json_object_new_string(rep.text));
		json_object_array_add(s->cases, o);
	} else if (rep.verdict != PASSED) {
		printf("%-8s %s: %s\n", verdict_name[rep.verdict], name, rep.text);
	}
	return 0;
}

static int no_dots(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

static int walk(const char *folder, int depth, struct summary *s, struct kerf_err *err)
{
	struct dirent **entry;
	char path[FILE_PATH];
	struct stat st;
	int n, i, r = 0;

	snprintf(path, sizeof(path), "%s/model.onnx", folder);
	if (!stat(path, &st) && S_ISREG(st.st_mode))
		return do_case(folder, s);
	if (depth == MAX_DEPTH)
		return 0;
	n = scandir(folder, &entry, no_dots, alphasort);
	if (n < 0)
		return kerf_fail(err, -errno, "%s: %s", folder, strerror(errno));
	for (i = 0; i < n; i++) {
		if (!r && snprintf(path, sizeof(path), "%s/%s", folder, entry[i]->d_name) <
				  PATH_MAX &&
		    !stat(path, &st) && S_ISDIR(st.st_mode))
			r = walk(path, depth + 1, s, err);
		free(entry[i]);
	}
	free(entry);
	return r;
}

static int finish(struct summary *s)
{
	size_t total = 0;
	int v;

	for (v = 0; v < N_VERDICTS; v++)
		total += s->count[v];
	if (s->cases) {
		struct json_object *top = json_object_new_object();

		for (v = 0; v < N_VERDICTS; v++)
			json_object_object_add(top, verdict_name[v],
					       json_object_new_int64((int64_t)s->count[v]));
		json_object_object_add(top, "engine", json_object_new_string(s->opt->engine));
		json_object_object_add(top, "cases", s->cases);
		puts(json_object_to_json_string_ext(top, JSON_C_TO_STRING_PRETTY |
								 JSON_C_TO_STRING_NOSLASHESCAPE));
		json_object_put(top);
	} else {
		printf("%zu passed, %zu refused, %zu wrong, %zu crashed\n", s->count[PASSED],
		       s->count[REFUSED], s->count[WRONG], s->count[CRASHED]);
	}
	if (!total) {
		fprintf(stderr, "kerf: no case found (a folder with model.onnx, at most %d deep)\n",
			MAX_DEPTH);
		return KERF_EXIT_FAILED;
	}
	return s->count[WRONG] || s->count[CRASHED] ? KERF_EXIT_FAILED : KERF_EXIT_OK;
}

static int usage(FILE *f)
{
	fputs("usage: kerf conformance [OPTIONS] DIR\n"
	      "\n"
	      "Runs the cases under DIR: folders, at most three deep, that hold model.onnx and\n"
	      "test_data_set_N/input_M.pb, output_M.pb. A case passes if its outputs are as\n"
	      "expected both as the model is written and as kerf rewrites it. It is refused if\n"
	      "kerf does not support it, and then the reason names the operator.\n"
	      "\n"
	      "Inputs whose contents decide a shape (of Reshape, Slice, Range...) are bound when\n"
	      "the model is loaded, from the data set; all other inputs are given to the run.\n"
	      "\n"
	      "  --engine SPEC   engine to run on (ref)\n"
	      "  --rtol R        relative tolerance of floating outputs (1e-3; bfloat16: 1/128)\n"
	      "  --atol A        absolute tolerance of floating outputs (1e-7)\n"
	      "  --timeout S     seconds a case may take, then it counts as crashed (60)\n"
	      "  --list          print the cases, run none\n"
	      "  --json          print one JSON object\n"
	      "  --help          print this\n"
	      "\n"
	      "Exit status 0 if no case is wrong or crashed, else 1; 2 on wrong usage.\n",
	      f);
	return f == stdout ? KERF_EXIT_OK : KERF_EXIT_USAGE;
}

static bool parse_real(const char *text, double *v)
{
	char *end;

	*v = strtod(text, &end);
	return end != text && !*end && *v >= 0 && isfinite(*v);
}

/* The exit status to leave with, or GO_ON. */
#define GO_ON -1
static int parse(int argc, char **argv, struct options *opt)
{
	static const struct option longs[] = {
		{"engine", required_argument, NULL, 'e'}, {"rtol", required_argument, NULL, 'r'},
		{"atol", required_argument, NULL, 'a'},	  {"timeout", required_argument, NULL, 't'},
		{"list", no_argument, NULL, 'l'},	  {"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},	  {NULL, 0, NULL, 0},
	};
	double seconds;
	bool ok = true;
	int c;

	while (ok && (c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 'e': opt->engine = optarg; break;
		case 'r': ok = parse_real(optarg, &opt->rtol); break;
		case 'a': ok = parse_real(optarg, &opt->atol); break;
		case 't':
			ok = parse_real(optarg, &seconds) && seconds >= 1 && seconds <= 1e6;
			opt->seconds = ok ? (unsigned)seconds : 0;
			break;
		case 'l': opt->list = true; break;
		case 'j': opt->json = true; break;
		case 'h': return usage(stdout);
		default: return usage(stderr);
		}
		if (!ok)
			fprintf(stderr, "kerf: '%s' is no number in range\n", optarg);
	}
	return ok && optind == argc - 1 ? GO_ON : usage(stderr);
}

int kerf_cmd_conformance(int argc, char **argv)
{
	struct options opt = {.engine = "ref", .rtol = 1e-3, .atol = 1e-7, .seconds = 60};
	struct summary s = {.opt = &opt};
	struct kerf_err err = {""};
	const char *dir;
	int r = parse(argc, argv, &opt);

	if (r != GO_ON)
		return r;
	dir = argv[optind];
	s.root_len = strlen(dir);
	if (opt.json && !opt.list)
		s.cases = json_object_new_array();
	r = walk(dir, 0, &s, &err);
	if (r) {
		json_object_put(s.cases);
		return kerf_cli_fail(&err, r);
	}
	return opt.list ? KERF_EXIT_OK : finish(&s);
}
