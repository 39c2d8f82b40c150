/* SPDX-License-Identifier: MIT */
/*
 * A small fuzzing driver for compilers without libFuzzer.
 *
 *   fuzz_x [--seconds N] [--seed N] [--runs N] [FILE|FOLDER]...
 *
 * Runs the corpus (the fuzzer's own seeds, then files, folders two levels deep), then
 * mutations of it until the time is over. Where the code is compiled with
 * -fsanitize-coverage=trace-pc, an input that reaches new code joins the corpus;
 * otherwise mutation is blind. The same seed gives the same sequence of inputs.
 *
 * A crash, a hang (10 s on one input) or a sanitizer's report leaves the input in
 * crash-<fuzzer> in the working folder and exits nonzero: give that file as the
 * argument to run it again.
 */
#include "fuzz/fuzz.h"

#include "util/clock.h"
#include "util/file.h"
#include "util/rng.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define INPUT_MAX ((size_t)256 << 10)
#define MAX_CORPUS 8192
#define MAX_SECONDS_PER_INPUT 10

struct input {
	uint8_t *data;
	size_t size;
};

/* Signal handlers and the sanitizers' callbacks reach these. */
static struct input corpus[MAX_CORPUS];
static size_t n_corpus;
static struct input current;
static char crash_path[256];
static int saved_stderr;

/* --- Coverage --- */

#define N_MAP (1u << 16)
static uint8_t hit[N_MAP], known[N_MAP];
static uint32_t touched[N_MAP], n_touched;

void __sanitizer_cov_trace_pc(void) __attribute__((no_sanitize_coverage));

/* Called at every basic block of instrumented code. */
void __sanitizer_cov_trace_pc(void)
{
	uintptr_t pc = (uintptr_t)__builtin_return_address(0);
	uint32_t i = (uint32_t)((pc * 0x9e3779b97f4a7c15u) >> 48);

	if (!hit[i]) {
		hit[i] = 1;
		touched[n_touched++] = i;
	}
}

/* Takes note of what was reached since the last call: true if any of it is new. */
static bool is_new(void)
{
	bool new = false;

	while (n_touched) {
		uint32_t i = touched[--n_touched];

		hit[i] = 0;
		new |= !known[i];
		known[i] = 1;
	}
	return new;
}

/* --- Crashes --- */

static void save_crash(void)
{
	int fd = open(crash_path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	size_t n = 0;

	if (fd < 0)
		return;
	while (n < current.size) {
		ssize_t w = write(fd, current.data + n, current.size - n);

		if (w <= 0)
			break;
		n += (size_t)w;
	}
	close(fd);
	dprintf(saved_stderr, "input of %zu bytes left in %s\n", current.size, crash_path);
}

static void on_signal(int sig)
{
	if (sig == SIGALRM)
		dprintf(saved_stderr, "one input took more than %d s\n", MAX_SECONDS_PER_INPUT);
	save_crash();
	signal(sig, SIG_DFL);
	raise(sig == SIGALRM ? SIGABRT : sig);
}

void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));
/* Looked up by the sanitizers' shared libraries, and called before they are ready. */
#define SANITIZER_HOOK                                                                      \
	__attribute__((visibility("default"), no_sanitize_coverage,                         \
		       no_sanitize("address", "undefined")))
SANITIZER_HOOK const char *__asan_default_options(void);
SANITIZER_HOOK const char *__ubsan_default_options(void);

/* An allocation of a size that only a file claims is a failure, as is a leak. */
const char *__asan_default_options(void)
{
	return "max_allocation_size_mb=1024:allocator_may_return_null=0:detect_leaks=1";
}

const char *__ubsan_default_options(void)
{
	return "print_stacktrace=1:abort_on_error=1";
}

static void catch_crashes(const char *name)
{
	static const int fatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
	const char *base = strrchr(name, '/');
	size_t i;

	snprintf(crash_path, sizeof(crash_path), "crash-%.200s", base ? base + 1 : name);
	signal(SIGALRM, on_signal);
	signal(SIGABRT, on_signal);
	if (__sanitizer_set_death_callback) {
		__sanitizer_set_death_callback(save_crash);
		return;
	}
	for (i = 0; i < KERF_ARRAY_SIZE(fatal); i++)
		signal(fatal[i], on_signal);
}

/* --- Corpus --- */

static void add(const void *data, size_t size)
{
	struct input *in = &corpus[n_corpus];

	if (n_corpus == MAX_CORPUS || size > INPUT_MAX)
		return;
	in->data = malloc(size + 1);
	if (!in->data)
		return;
	if (size)
		memcpy(in->data, data, size);
	in->size = size;
	n_corpus++;
}

static int add_path(const char *path, int depth)
{
	struct dirent *e;
	struct stat st;
	size_t size;
	void *data;
	DIR *d;

	if (stat(path, &st)) {
		perror(path);
		return -1;
	}
	if (!S_ISDIR(st.st_mode)) {
		struct kerf_err err = {0};

		if (depth && (size_t)st.st_size > INPUT_MAX)
			return 0;
		if (kerf_file_read(path, INPUT_MAX, &data, &size, &err)) {
			fprintf(stderr, "%s\n", err.msg);
			return -1;
		}
		add(data, size);
		free(data);
		return 0;
	}
	d = depth < 3 ? opendir(path) : NULL;
	while (d && (e = readdir(d))) {
		char *sub;

		if (e->d_name[0] == '.' || asprintf(&sub, "%s/%s", path, e->d_name) < 0)
			continue;
		add_path(sub, depth + 1);
		free(sub);
	}
	if (d)
		closedir(d);
	return 0;
}

/* --- Mutation --- */

static void put(struct input *in, size_t at, const uint8_t *src, size_t n)
{
	if (in->size + n > INPUT_MAX)
		return;
	memmove(in->data + at + n, in->data + at, in->size - at);
	memcpy(in->data + at, src, n);
	in->size += n;
}

static void mutate_once(struct input *in, struct kerf_rng *rng)
{
	static const uint8_t odd[] = {0, 1, 0x7f, 0x80, 0xff, 0xfe, '"', '\\', '.', '/', '{', ':'};
	static const uint8_t huge[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01};
	uint8_t piece[64];
	size_t at = in->size ? kerf_rng_below(rng, in->size) : 0, n, from;
	const struct input *other;

	if (!in->size) {
		piece[0] = (uint8_t)kerf_rng_next(rng);
		put(in, 0, piece, 1);
		return;
	}
	switch (kerf_rng_below(rng, 9)) {
	case 0: in->data[at] ^= (uint8_t)(1u << kerf_rng_below(rng, 8)); break;
	case 1: in->data[at] = (uint8_t)kerf_rng_next(rng); break;
	case 2: in->data[at] = odd[kerf_rng_below(rng, sizeof(odd))]; break;
	case 3: in->data[at] = (uint8_t)(in->data[at] + kerf_rng_below(rng, 9) - 4); break;
	case 4: /* a huge length or number */
		put(in, at, huge, 1 + kerf_rng_below(rng, sizeof(huge)));
		break;
	case 5: in->size = at; break;
	case 6: /* cut a piece out */
		n = 1 + kerf_rng_below(rng, KERF_MIN(in->size - at, (size_t)64));
		memmove(in->data + at, in->data + at + n, in->size - at - n);
		in->size -= n;
		break;
	case 7: /* repeat a piece of itself elsewhere */
		n = 1 + kerf_rng_below(rng, KERF_MIN(in->size - at, sizeof(piece)));
		memcpy(piece, in->data + at, n);
		put(in, kerf_rng_below(rng, in->size), piece, n);
		break;
	case 8: /* a piece of another input */
		other = &corpus[kerf_rng_below(rng, n_corpus)];
		if (!other->size)
			break;
		from = kerf_rng_below(rng, other->size);
		n = 1 + kerf_rng_below(rng, KERF_MIN(other->size - from, sizeof(piece)));
		put(in, at, other->data + from, n);
		break;
	}
}

static void run(void)
{
	/* Exactly as large as it says, so that a sanitizer sees a read past the end. */
	uint8_t *copy = malloc(current.size + !current.size);

	if (!copy)
		abort();
	memcpy(copy, current.data, current.size);
	alarm(MAX_SECONDS_PER_INPUT);
	is_new();
	LLVMFuzzerTestOneInput(copy, current.size);
	alarm(0);
	free(copy);
}

static uint64_t number(const char *text)
{
	char *end;
	unsigned long long v;

	errno = 0;
	v = text ? strtoull(text, &end, 10) : 0;
	if (!text || errno || *end || end == text) {
		fprintf(stderr, "'%s' is not a number\n", text ? text : "");
		exit(2);
	}
	return v;
}

int main(int argc, char **argv)
{
	uint64_t seconds = 0, seed = 1, max_runs = UINT64_MAX, runs = 0, start = kerf_now_ns();
	struct rlimit memory = {(rlim_t)8 << 30, (rlim_t)8 << 30};
	struct kerf_rng rng;
	size_t i, given;
	int a;

	saved_stderr = dup(2);
	catch_crashes(argv[0]);
	if (!__sanitizer_set_death_callback)
		setrlimit(RLIMIT_AS, &memory);
	if (kerf_fuzz_seeds)
		kerf_fuzz_seeds(add);
	for (a = 1; a < argc; a++) {
		if (!strcmp(argv[a], "--seconds"))
			seconds = number(argv[++a]);
		else if (!strcmp(argv[a], "--seed"))
			seed = number(argv[++a]);
		else if (!strcmp(argv[a], "--runs"))
			max_runs = number(argv[++a]);
		else if (add_path(argv[a], 0))
			return 2;
	}
	if (!n_corpus)
		add("", 0);
	kerf_rng_seed(&rng, seed);
	current.data = malloc(INPUT_MAX + 1);
	if (!current.data)
		return 2;
	given = n_corpus;
	for (i = 0; i < given; i++) {
		current.size = corpus[i].size;
		memcpy(current.data, corpus[i].data, corpus[i].size);
		run();
		is_new();
	}
	while (runs < max_runs && kerf_now_ns() - start < seconds * 1000000000u) {
		const struct input *base = &corpus[kerf_rng_below(&rng, n_corpus)];
		uint64_t steps = 1 + kerf_rng_below(&rng, 6);

		current.size = base->size;
		memcpy(current.data, base->data, base->size);
		while (steps--) {
			if (LLVMFuzzerCustomMutator && kerf_rng_below(&rng, 2))
				current.size = LLVMFuzzerCustomMutator(
					current.data, current.size, INPUT_MAX,
					(unsigned int)kerf_rng_next(&rng));
			else
				mutate_once(&current, &rng);
		}
		run();
		runs++;
		if (is_new())
			add(current.data, current.size);
	}
	printf("%s: %zu seeds, %llu mutations (seed %llu), corpus %zu, no failure\n", argv[0], given,
	       (unsigned long long)runs, (unsigned long long)seed, n_corpus);
	for (i = 0; i < n_corpus; i++)
		free(corpus[i].data);
	free(current.data);
	return 0;
}
