/* SPDX-License-Identifier: MIT */
/* Giving up privileges, each time in a child process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <linux/capability.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "telemetry/privileges.h"

#define DROPPED                                                                                    \
	(1ull << CAP_NET_ADMIN | 1ull << CAP_SYS_ADMIN | 1ull << CAP_SYS_RESOURCE | 1ull << 38 |   \
	 1ull << 39)

struct caps {
	unsigned long long inherited, permitted, effective, bounding, ambient;
	int no_new_privs;
};

static void read_caps(struct caps *c)
{
	char line[256];
	FILE *f = fopen("/proc/thread-self/status", "r");

	memset(c, 0, sizeof(*c));
	while (f && fgets(line, sizeof(line), f)) {
		sscanf(line, "CapInh: %llx", &c->inherited);
		sscanf(line, "CapPrm: %llx", &c->permitted);
		sscanf(line, "CapEff: %llx", &c->effective);
		sscanf(line, "CapBnd: %llx", &c->bounding);
		sscanf(line, "CapAmb: %llx", &c->ambient);
		sscanf(line, "NoNewPrivs: %d", &c->no_new_privs);
	}
	if (f)
		fclose(f);
}

static bool gone(const struct caps *before, const struct caps *now)
{
	return !((now->inherited | now->permitted | now->effective | now->ambient) & DROPPED) &&
	       now->no_new_privs == 1 && now->permitted == (before->permitted & ~DROPPED) &&
	       now->effective == (before->effective & ~DROPPED) &&
	       /* CAP_SETPCAP is what may take from the bounding set. */
	       now->bounding == (before->effective >> CAP_SETPCAP & 1 ? before->bounding & ~DROPPED
								      : before->bounding);
}

static void *in_thread(void *arg)
{
	struct caps *c = arg;

	read_caps(c);
	return NULL;
}

static int drop_and_look(void)
{
	struct caps before, now, thread;
	struct kerf_err err = {""};
	pthread_t t;

	read_caps(&before);
	/* Ambient ones would come back in every program that is executed. */
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_ADMIN, 0, 0);
	if (kerf_privileges_drop(&err)) {
		fprintf(stderr, "%s\n", err.msg);
		return 1;
	}
	read_caps(&now);
	if (pthread_create(&t, NULL, in_thread, &thread))
		return 2;
	pthread_join(t, NULL);
	if (!gone(&before, &now) || !gone(&before, &thread))
		return 3;
	/* Twice does no harm. */
	return kerf_privileges_drop(&err) ? 4 : 0;
}

static int in_child(int (*fn)(void))
{
	int status = -1;
	pid_t pid = fork();

	if (!pid)
		_exit(fn());
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void dropped_and_inherited(void **state)
{
	assert_int_equal(in_child(drop_and_look), 0);
}

static int as_nobody(void)
{
	if (setgid(65534) || setuid(65534))
		return 5;
	return drop_and_look();
}

static void without_any(void **state)
{
	if (getuid())
		skip();
	assert_int_equal(in_child(as_nobody), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dropped_and_inherited),
		cmocka_unit_test(without_any),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
