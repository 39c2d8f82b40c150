/* SPDX-License-Identifier: MIT */
/*
 * KTAP programs: a table of cases, each run in a process of its own, so that one that crashes or
 *hangs fails alone and what it held is let go by the kernel (which is what is on trial here). Exit
 *status as in kselftest: 0 all passed, 1 one failed, 4 all skipped.
 *
 *	static void empty_submit(void)
 *	{
 *		EXPECT_ERR(-EINVAL, kerf_submit(...));
 *	}
 *	static const struct ktap_case cases[] = { KTAP(empty_submit), KTAP_SLOW(many_clients, 60) };
 *	int main(int argc, char **argv)
 *	{
 *		return ktap_main(cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
 *	}
 *
 * Arguments of the program name the cases to run; none: all.
 *
 * Cases arrange things in time: a job of 400 ms holds an engine while others are queued behind it.
 * A guest whose host is busy stands still at any moment, and then a case may have seen what it did
 * not arrange. Such a case is run again, and says so: one that failed and knows that it had not
 * what it is built on (ktap_premise()), and one that failed while the parent, which watches the
 * clock meanwhile, found time lost. One that fails every time, or without that, has failed.
 */
#ifndef KTAP_H
#define KTAP_H

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A case that takes longer is killed: a hang, not a measurement. KTAP_SCALE in the environment
 * multiplies. */
#define KTAP_LIMIT_S 30

/* The parent looks at the clock this often; so much more between two looks is time lost. */
#define KTAP_LOOK_MS 10
#define KTAP_LOST_MS 50
#define KTAP_TRIES 5
/* A lost premise is seen for certain, and often where the host is busy. */
#define KTAP_PREMISE_TRIES 40

struct ktap_case {
	const char *name;
	void (*run)(void);
	unsigned limit_s;
};

#define KTAP(fn)                      \
	{                             \
#fn, fn, KTAP_LIMIT_S \
	}
#define KTAP_SLOW(fn, seconds)   \
	{                        \
#fn, fn, seconds \
	}

/* What a case tells its parent; children that a case forks share it. */
struct ktap_shared {
	int failures;
	bool no_premise;
	char skip[128];
};
static struct ktap_shared *ktap_shared;

__attribute__((format(printf, 1, 2))) static inline void ktap_note(const char *fmt, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	printf("# %s\n", line);
	fflush(stdout);
}

/* Ends the case as skipped. */
__attribute__((format(printf, 1, 2), noreturn)) static inline void ktap_skip(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(ktap_shared->skip, sizeof(ktap_shared->skip), fmt, ap);
	va_end(ap);
	fflush(NULL);
	_exit(4);
}

/* What the case is about to check is built on this; a failure without it proves nothing. */
static inline void ktap_premise(bool held)
{
	if (!held)
		ktap_shared->no_premise = true;
}

__attribute__((format(printf, 3, 4))) static inline bool ktap_check(bool ok, int line,
								    const char *fmt, ...)
{
	char text[400];
	va_list ap;

	if (ok)
		return true;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* A case that fails in a loop says so often enough with ten lines. */
	if (__atomic_add_fetch(&ktap_shared->failures, 1, __ATOMIC_RELAXED) <= 10)
		ktap_note("line %d: %s", line, text);
	return false;
}

/* The case goes on after EXPECT and ends at once after REQUIRE. */
#define EXPECT(cond) ktap_check(cond, __LINE__, "not so: %s", #cond)
#define EXPECT_EQ(want, got)                                                              \
	__extension__({                                                                   \
		long long ktap_want = (long long)(want), ktap_got = (long long)(got);     \
		ktap_check(ktap_want == ktap_got, __LINE__, "%s is %lld, not %lld", #got, \
			   ktap_got, ktap_want);                                          \
	})
/* @got: 0 or a negative errno, as all helpers of kerf_test.h return */
#define EXPECT_ERR(want, got)                                                                   \
	__extension__({                                                                         \
		int ktap_want = (want), ktap_got = (got);                                       \
		ktap_check(ktap_want == ktap_got, __LINE__, "%s is %d (%s), not %d (%s)", #got, \
			   ktap_got, strerror(-ktap_got), ktap_want, strerror(-ktap_want));     \
	})
#define EXPECT_OK(got) EXPECT_ERR(0, got)
#define REQUIRE(cond)              \
	do {                       \
		if (!EXPECT(cond)) \
			_exit(1);  \
	} while (0)
#define REQUIRE_OK(got)              \
	do {                         \
		if (!EXPECT_OK(got)) \
			_exit(1);    \
	} while (0)

static inline bool ktap_wanted(const char *name, int argc, char **argv)
{
	if (argc < 2)
		return true;
	for (int i = 1; i < argc; i++)
		if (!strcmp(name, argv[i]))
			return true;
	return false;
}

static inline long ktap_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Waits for the end of @pid. The longest time, in ms, that this process was not let run. */
static inline long ktap_watch(pid_t pid, int *status)
{
	const struct timespec look = {.tv_nsec = KTAP_LOOK_MS * 1000000};
	long before = ktap_now_ms(), lost = 0;
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	while (waitpid(pid, status, WNOHANG) != pid) {
		long now;

		sigtimedwait(&child, NULL, &look);
		now = ktap_now_ms();
		if (now - before - KTAP_LOOK_MS > lost)
			lost = now - before - KTAP_LOOK_MS;
		before = now;
	}
	return lost;
}

/* Runs the case in a process of its own, once. Its wait status; @lost as ktap_watch(). */
static inline int ktap_run(const struct ktap_case *c, unsigned slow, long *lost)
{
	sigset_t child, before;
	int status = 1 << 8;
	pid_t pid;

	memset(ktap_shared, 0, sizeof(*ktap_shared));
	fflush(NULL);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, &before);
	pid = fork();
	if (!pid) {
		sigprocmask(SIG_SETMASK, &before, NULL);
		/* SIGALRM's default action ends the case, also in a wait that the kernel
		 * never ends. */
		setpgid(0, 0);
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* nor outlives the program */
		alarm(c->limit_s * slow);
		c->run();
		fflush(NULL);
		_exit(__atomic_load_n(&ktap_shared->failures, __ATOMIC_RELAXED) ? 1 : 0);
	}
	*lost = 0;
	if (pid > 0) {
		setpgid(pid, pid);
		*lost = ktap_watch(pid, &status);
		/* What the case forked and left */
		kill(-pid, SIGKILL);
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	return status;
}

static inline int ktap_main(const struct ktap_case *cases, size_t n, int argc, char **argv)
{
	size_t n_run = 0, n_skipped = 0, n_failed = 0;
	size_t planned = 0;
	const char *scale = getenv("KTAP_SCALE");
	unsigned slow = scale && atoi(scale) > 0 ? atoi(scale) : 1;

	ktap_shared = mmap(NULL, sizeof(*ktap_shared), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (ktap_shared == MAP_FAILED) {
		printf("Bail out! no memory\n");
		return 1;
	}
	for (size_t i = 0; i < n; i++)
		planned += ktap_wanted(cases[i].name, argc, argv);
	if (!planned) {
		fprintf(stderr, "no such case\n");
		return 1;
	}
	printf("KTAP version 1\n1..%zu\n", planned);
	for (size_t i = 0; i < n; i++) {
		bool skipped, passed;
		unsigned tries = 0;
		long lost;
		int status;

		if (!ktap_wanted(cases[i].name, argc, argv))
			continue;
		for (;;) {
			status = ktap_run(&cases[i], slow, &lost);
			skipped = WIFEXITED(status) && WEXITSTATUS(status) == 4;
			passed =
				WIFEXITED(status) && !WEXITSTATUS(status) && !ktap_shared->failures;
			if (WIFSIGNALED(status))
				ktap_note("ended by signal %d (%s)", WTERMSIG(status),
					  WTERMSIG(status) == SIGALRM
						  ? "took too long"
						  : strsignal(WTERMSIG(status)));
			tries++;
			if (skipped || passed)
				break;
			if (ktap_shared->no_premise ? tries >= KTAP_PREMISE_TRIES
						    : lost < KTAP_LOST_MS || tries >= KTAP_TRIES)
				break;
			ktap_note("%s failed %s, at most %ld ms lost meanwhile: once more", cases[i].name,
				  ktap_shared->no_premise ? "without its premise" : "as time was lost", lost);
		}
		n_run++;
		if (skipped) {
			n_skipped++;
			printf("ok %zu %s # SKIP %s\n", n_run, cases[i].name, ktap_shared->skip);
		} else if (passed) {
			printf("ok %zu %s\n", n_run, cases[i].name);
		} else {
			n_failed++;
			ktap_note("%s: at most %ld ms were lost meanwhile", cases[i].name, lost);
			printf("not ok %zu %s\n", n_run, cases[i].name);
		}
		fflush(stdout);
	}
	return n_failed ? 1 : n_skipped == n_run ? 4 : 0;
}

#endif
