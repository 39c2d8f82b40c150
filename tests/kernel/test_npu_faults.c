// SPDX-License-Identifier: MIT
/*
 * An NPU that is late, silent, lies or breaks: only the job it happens to pays, with the errno that
 * is documented, and the next job finds a device in order. Each case asks the device model for one
 * fault.
 */
#include "npu_test.h"

static struct npu npu;
static struct npu_job job;

struct counts {
	unsigned long long jobs_done, spurious, resets;
};

/* From debugfs: index name class state depth running busy_ns jobs_done spurious resets */
static struct counts count(void)
{
	struct counts c = {0};
	char path[96], address[32], line[256];
	bool found = false;
	FILE *f;

	npu_pci_address(&npu, address);
	snprintf(path, sizeof(path), "/sys/kernel/debug/kerf/%s/engines", address);
	f = fopen(path, "r");
	if (!f)
		ktap_skip("no %s", path);
	while (fgets(line, sizeof(line), f))
		found |= sscanf(line, "%*u npu npu %*s %*u %*u %*u %llu %llu %llu", &c.jobs_done,
				&c.spurious, &c.resets) == 3;
	fclose(f);
	REQUIRE(found);
	return c;
}

/* Opens the device and has the next job meet @fault. A job alone, short, with 400 ms to live */
static struct counts setup(const char *fault)
{
	npu = npu_open();
	npu_expect_sane();
	npu_fault(fault);
	job.job.timeout_ms = 400;
	NPU_ADD(&job, KERF_NPU_NOP, (struct kerf_npu_cmd){0});
	return count();
}

/* The job ended as it should; the fault was asked for and came; another client's job works. */
static void expect_end(int status)
{
	EXPECT_ERR(status, npu_run(&npu, &job));
	npu_fault_taken();
	npu_expect_sane();
}

static void never(void)
{
	struct counts before = setup("never@1");

	expect_end(-ETIME);
	EXPECT_EQ(before.resets + 1, count().resets);
}

static void hang(void)
{
	setup("hang@1");
	expect_end(-ETIME);
}

/* The client goes while its job hangs: the device is told to drop it, nobody waits for the timeout.
 */
static void hang_abandoned(void)
{
	struct counts before = setup("hang@1");
	struct npu other = npu_open();
	struct npu_job none = {0};
	uint64_t seqno;
	int status = -1;

	job.job.timeout_ms = KERF_MAX_TIMEOUT_MS;
	REQUIRE_OK(npu_submit_to(&npu, npu.queue, &job, NULL));
	npu_fault_taken();
	REQUIRE_OK(npu_submit_to(&other, other.queue, &none, &seqno));
	close(npu.fd);
	EXPECT_OK(kt_wait(other.fd, other.queue, seqno, -1, &status));
	EXPECT_OK(status);
	npu = other;
	EXPECT_EQ(before.resets, count().resets);
}

static void dead(void)
{
	setup("dead@1");
	expect_end(-ETIME);
}

/* A job of another client that waits behind a dead one runs after the reset, and only then. */
static void dead_with_others_waiting(void)
{
	struct npu other;
	struct npu_job good = {0};
	uint64_t bad, seqno;
	int status = -1;

	setup("dead@1");
	other = npu_open();
	REQUIRE_OK(npu_submit_to(&npu, npu.queue, &job, &bad));
	for (int i = 0; i < 20; i++)
		REQUIRE_OK(npu_submit_to(&other, other.queue, &good, &seqno));
	EXPECT_OK(kt_wait(other.fd, other.queue, seqno, -1, &status));
	EXPECT_OK(status);
	EXPECT_OK(kt_wait(npu.fd, npu.queue, bad, 0, &status));
	EXPECT_ERR(-ETIME, status);
}

/* A reset is not answered either: the engine is dead until the driver is bound anew. */
static void wedged(void)
{
	struct drm_kerf_engine_info info;
	char address[32];
	uint64_t seqno, next;
	uint32_t queue;
	int status = 0;

	setup("wedged@1");
	npu_pci_address(&npu, address);
	REQUIRE_OK(npu_submit_to(&npu, npu.queue, &job, &seqno));
	REQUIRE_OK(npu_submit_to(&npu, npu.queue, &job, &next));
	EXPECT_OK(kt_wait(npu.fd, npu.queue, seqno, -1, &status));
	EXPECT_ERR(-ETIME, status);
	EXPECT_OK(kt_wait(npu.fd, npu.queue, next, -1, &status));
	EXPECT_ERR(-ECANCELED, status);
	for (int i = 0; i < 500; i++) {
		REQUIRE_OK(kt_engine_info(npu.fd, npu.engine, &info));
		if (info.state == KERF_ENGINE_DEAD)
			break;
		usleep(10000);
	}
	EXPECT_EQ(KERF_ENGINE_DEAD, info.state);
	EXPECT_ERR(-EIO, kt_queue_create(npu.fd, npu.engine, KERF_PRIORITY_NORMAL, 1, &queue));

	EXPECT_OK(npu_sysfs_write("/sys/bus/pci/drivers/kerf-npu/unbind", address));
	EXPECT_OK(npu_sysfs_write("/sys/bus/pci/drivers/kerf-npu/bind", address));
	npu_expect_sane();
}

static void late(void)
{
	setup("late@1:100");
	expect_end(0);
}

/* The answer would come long after the job's time was up: it is for nobody. */
static void too_late(void)
{
	setup("late@1:1500");
	expect_end(-ETIME);
	usleep(1500000);
	npu_expect_sane();
}

/* The answer comes after the reset, with the generation before it. */
static void stale(void)
{
	struct counts before = setup("stale@1");

	expect_end(-ETIME);
	EXPECT_EQ(before.spurious + 1, count().spurious);
}

static void twice(void)
{
	struct counts before = setup("twice@1"), after;

	expect_end(0);
	after = count();
	EXPECT_EQ(before.spurious + 1, after.spurious);
	EXPECT_EQ(before.jobs_done + 2, after.jobs_done);
	EXPECT_EQ(before.resets, after.resets);
}

/* The same while jobs follow one another: the second answer must not end the next job. */
static void twice_in_a_row(void)
{
	struct counts before = setup("twice@*"), after;
	struct npu_bo bo = npu_bo(&npu, 4096);
	uint64_t seqno = 0;
	int status = -1;

	memset(&job, 0, sizeof(job));
	npu_window_all(&job, &bo);
	npu_add_copy(&job, KERF_NPU_ADDR(0, 0), KERF_NPU_ADDR(0, 64), 1);
	NPU_ADD(&job, KERF_NPU_ADD,
		(struct kerf_npu_binary){
			.a = npu_tensor(KERF_NPU_ADDR(0, 64), KERF_NPU_U8, 0, 1, 1, 1, 1),
			.b = npu_tensor(KERF_NPU_ADDR(0, 128), KERF_NPU_U8, 0, 1, 1, 1, 1),
			.y = npu_tensor(KERF_NPU_ADDR(0, 0), KERF_NPU_U8, 0, 1, 1, 1, 1),
			.factor_a = npu_f32(1),
			.factor_b = npu_f32(1),
			.out = {.hi = 255}});
	((uint8_t *)bo.map)[128] = 1;
	for (int i = 0; i < 200; i++)
		REQUIRE_OK(npu_submit_to(&npu, npu.queue, &job, &seqno));
	EXPECT_OK(kt_wait(npu.fd, npu.queue, seqno, -1, &status));
	EXPECT_OK(status);
	EXPECT_EQ(200, ((uint8_t *)bo.map)[0]);
	npu_fault("spurious@1"); /* takes the place of what was asked for */
	npu_expect_sane();
	npu_expect_sane();
	after = count();
	EXPECT_EQ(before.jobs_done + 202, after.jobs_done);
	EXPECT_EQ(before.spurious + 200, after.spurious);
}

/* Nobody gave that number, and the job's own answer never comes. */
static void seqno(void)
{
	struct counts before = setup("seqno@1");

	expect_end(-ETIME);
	EXPECT_EQ(before.spurious + 1, count().spurious);
}

/* Done, but nothing said so: found when the time is up, and no reason to punish anybody. */
static void silent(void)
{
	struct counts before = setup("silent@1"), after;

	expect_end(0);
	after = count();
	EXPECT_EQ(before.resets, after.resets);
	EXPECT_EQ(before.spurious, after.spurious);
}

static void spurious(void)
{
	struct counts before = setup("spurious@1");

	expect_end(0);
	EXPECT_EQ(before.resets, count().resets);
}

static void dma(void)
{
	struct counts before = setup("dma@1");

	expect_end(-EFAULT);
	EXPECT_EQ(before.resets, count().resets);
}

static void status(void)
{
	setup("status@1");
	expect_end(-EIO);
}

static void storm(void)
{
	struct counts before = setup("storm@1:200000");

	job.job.timeout_ms = 10000;
	expect_end(0);
	EXPECT_EQ(before.resets, count().resets);
}

static void fail(void)
{
	struct counts before = setup("fail@1");

	expect_end(-EIO);
	EXPECT_EQ(before.resets + 1, count().resets);
}

/* Faults of all kinds one after another, while another client's jobs are all to be done. */
static void many(void)
{
	static const char *const faults[] = {"never@1", "seqno@1", "dma@1",   "status@1",
					     "hang@1",	"fail@1",  "twice@1", "stale@1"};
	struct npu bystander;
	struct npu_bo bo;
	uint64_t last;
	int result = -1;

	setup("spurious@1");
	job.job.timeout_ms = 100;
	bystander = npu_open();
	bo = npu_bo(&bystander, 4096);
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		struct npu_job good = {0};
		uint32_t queue = npu_queue(&npu, KERF_PRIORITY_NORMAL);
		uint64_t bad;

		npu_fault(faults[i]);
		REQUIRE_OK(npu_submit_to(&npu, queue, &job, &bad));
		npu_window_all(&good, &bo);
		npu_add_fill(&good, i + 1, KERF_NPU_ADDR(0, i), 1);
		/* The fault must not meet it. */
		npu_fault_taken();
		REQUIRE_OK(npu_submit_to(&bystander, bystander.queue, &good, &last));
		REQUIRE_OK(kt_wait(npu.fd, queue, bad, -1, &result));
		REQUIRE_OK(kt_queue_destroy(npu.fd, queue));
	}
	EXPECT_OK(kt_wait(bystander.fd, bystander.queue, last, -1, &result));
	EXPECT_OK(result);
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		EXPECT_EQ(i + 1, ((uint8_t *)bo.map)[i]);
}

static const struct ktap_case cases[] = {
	KTAP(never),
	KTAP(hang),
	KTAP(hang_abandoned),
	KTAP(dead),
	KTAP(dead_with_others_waiting),
	KTAP(wedged),
	KTAP(late),
	KTAP(too_late),
	KTAP(stale),
	KTAP(twice),
	KTAP(twice_in_a_row),
	KTAP(seqno),
	KTAP(silent),
	KTAP(spurious),
	KTAP(dma),
	KTAP(status),
	KTAP(storm),
	KTAP(fail),
	KTAP(many),
};

int main(int argc, char **argv)
{
	return ktap_main(cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
}
