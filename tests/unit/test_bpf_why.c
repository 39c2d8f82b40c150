// SPDX-License-Identifier: MIT
/* What a person is told when BPF does not work here, and where cgroup v2 is found. */
#include "telemetry/bpf_priv.h"
#include "telemetry/cgroup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#ifdef WITH_BPF
#define ALL_CAPS \
	(KERF_CAP(KERF_CAP_BPF) | KERF_CAP(KERF_CAP_NET_ADMIN) | KERF_CAP(KERF_CAP_PERFMON))

static const struct kerf_bpf_ops object = {
	.caps = ALL_CAPS, .config = "CONFIG_X", .needs_btf = true};
static const struct kerf_bpf_facts able = {.caps = ALL_CAPS, .memlock = UINT64_MAX, .btf = true};

static void expect(int code, struct kerf_bpf_facts facts, const char *log, const char *want)
{
	char why[256];

	kerf_bpf_explain(&object, &facts, code, log, why, sizeof(why));
	if (!strstr(why, want))
		fail_msg("%d: expected \"...%s...\", found \"%s\"", code, want, why);
	assert_null(strchr(why, '\n'));
}

static void test_permissions(void **state)
{
	struct kerf_bpf_facts f = able;

	f.caps = KERF_CAP(KERF_CAP_NET_ADMIN);
	expect(-EPERM, f, "", "CAP_BPF, CAP_PERFMON missing");
	f.caps = KERF_CAP(KERF_CAP_SYS_ADMIN);
	expect(-EPERM, f, "", "security module");
	/* Types of modules are behind a capability of their own. */
	expect(-EPERM, able, "libbpf: failed to iterate BTF objects: -1\n",
	       "CAP_SYS_ADMIN missing");
	f = able;
	f.user_ns = true;
	expect(-EPERM, f, "", "user namespace");
	f = able;
	f.seccomp = true;
	expect(-EPERM, f, "", "seccomp");
	f = able;
	f.lockdown = true;
	expect(-EPERM, f, "", "lockdown");
	f = able;
	f.memlock = 64 << 10;
	expect(-EPERM, f, "", "RLIMIT_MEMLOCK is 64 kB");
	expect(-EINVAL, f, "", "RLIMIT_MEMLOCK is 64 kB");
}

static void test_kernel(void **state)
{
	struct kerf_bpf_facts f = able;

	expect(-ENOSYS, f, "", "lacks CONFIG_BPF_SYSCALL");
	f.seccomp = true;
	expect(-ENOSYS, f, "", "seccomp");
	f = able;
	expect(-EINVAL, f, "", "needs CONFIG_X");
	f.btf = false;
	expect(-ESRCH, f, "", "CONFIG_DEBUG_INFO_BTF");
}

/* The verifier's own last words, not its statistics; also where the log's beginning was dropped. */
static void test_verifier(void **state)
{
	struct kerf_bpf_facts f = able;
	static const char log[] = "libbpf: prog 'x': BPF program load failed: Permission denied\n"
				  "libbpf: prog 'x': -- BEGIN PROG LOAD LOG --\n"
				  "0: (bf) r6 = r1\n"
				  "R2 !read_ok\n"
				  "processed 4 insns (limit 1000000) max_states_per_insn 0\n"
				  "-- END PROG LOAD LOG --\n"
				  "libbpf: prog 'x': failed to load: -13\n";

	expect(-EACCES, f, log, "verifier refuses it: R2 !read_ok");
	expect(-EACCES, f, strstr(log, "0: (bf)"), "verifier refuses it: R2 !read_ok");
	f.caps &= ~KERF_CAP(KERF_CAP_PERFMON);
	expect(-EACCES, f, log, "(CAP_PERFMON missing): R2 !read_ok");
	/* An empty log, or none that ends, is no verdict. */
	expect(-EINVAL, able, "-- BEGIN PROG LOAD LOG --\n-- END PROG LOAD LOG --\n", "CONFIG_X");
	expect(-EINVAL, able, "-- BEGIN PROG LOAD LOG --\nR2 !read_ok\n", "CONFIG_X");
}
#endif

#define HYBRID                                                                 \
	"31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"  \
	"32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n" \
	"41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw\n"

static void find(const char *mounts, const char *cgroup, const char *want)
{
	struct kerf_err err = {0};
	char path[64];
	int r = kerf_cgroup_find(mounts, cgroup, path, sizeof(path), &err);

	if (r)
		fail_msg("%s: %s", cgroup, err.msg);
	assert_string_equal(path, want);
}

static void find_fails(const char *mounts, const char *cgroup, int code, const char *want)
{
	struct kerf_err err = {0};
	char path[64];

	assert_int_equal(kerf_cgroup_find(mounts, cgroup, path, sizeof(path), &err), code);
	if (!strstr(err.msg, want))
		fail_msg("expected \"...%s...\", found \"%s\"", want, err.msg);
}

static void test_cgroup_find(void **state)
{
	char longer[128];

	find(HYBRID, "9:cpu:/\n0::/\n", "/sys/fs/cgroup/unified");
	find(HYBRID, "9:cpu:/x\n0::/user.slice/a b\n", "/sys/fs/cgroup/unified/user.slice/a b");
	/* A container: the mount shows a part of the tree; a name with a space */
	find("1 2 0:3 /docker/1 /cg\\040two rw - cgroup2 none rw\n", "0::/docker/1/kerf\n",
	     "/cg two/kerf");
	/* The first mount does not show it, the second does; "/doc" is not above "/docker". */
	find("1 2 0:3 /doc /a rw - cgroup2 none rw\n1 2 0:3 /docker /b rw - cgroup2 none rw\n",
	     "0::/docker\n", "/b");
	find_fails("1 2 0:3 /other /a rw - cgroup2 none rw\n", "0::/docker\n", -ENOENT, "/docker");
	find_fails("1 2 0:3 / /a rw - tmpfs none rw\n", "0::/docker\n", -ENOENT, "not mounted");
	find_fails(HYBRID, "9:cpu:/x\n", -ENOENT, "no cgroup v2");
	find_fails("", "", -ENOENT, "no cgroup v2");
	find_fails("1 2\n\n- cgroup2", "0::/", -ENOENT, "not mounted");
	/* Moved out of its cgroup namespace: no path beneath the mount's */
	find_fails(HYBRID, "0::/../init.scope\n", -ENOENT, "cgroup namespace");
	memset(longer, 'a', sizeof(longer));
	memcpy(longer, "0::/", 4);
	longer[sizeof(longer) - 1] = '\0';
	find_fails(HYBRID, longer, -ENAMETOOLONG, "no mount");
}

static void test_names(void **state)
{
	int i, k;

	for (i = 0; i < KERF_N_BPF; i++)
		for (k = 0; k < i; k++)
			assert_string_not_equal(kerf_bpf_name(i), kerf_bpf_name(k));
	assert_string_equal(kerf_bpf_name(KERF_N_BPF), "?");
}

/* Below BPF nothing is tried, and each object says so. */
static void test_not_tried(void **state)
{
	struct kerf_bpf_config cfg = {.best = KERF_SOURCE_TCP_INFO};
	struct kerf_err err = {0};
	struct kerf_bpf *b;
	size_t size;
	int i, fd;

	assert_int_equal(kerf_bpf_open(&cfg, &b, &err), 0);
	for (i = 0; i < KERF_N_BPF; i++) {
		assert_non_null(kerf_bpf_why(b, i));
		assert_int_not_equal(strlen(kerf_bpf_why(b, i)), 0);
		assert_null(kerf_bpf_log(b, i));
		assert_int_equal(kerf_bpf_missed(b, i), 0);
	}
	for (i = 0; i < KERF_N_REGION; i++)
		assert_null(kerf_bpf_region(b, i, &fd, &size));
	kerf_bpf_close(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#ifdef WITH_BPF
		cmocka_unit_test(test_permissions), cmocka_unit_test(test_kernel),
		cmocka_unit_test(test_verifier),
#endif
		cmocka_unit_test(test_cgroup_find), cmocka_unit_test(test_names),
		cmocka_unit_test(test_not_tried),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
