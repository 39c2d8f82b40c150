// SPDX-License-Identifier: MIT
/*
 * kernel-log: silent
 *
 * A job touches its windows alone: whatever leaves them ends it with -EFAULT, stops its queue and
 * no other, and leaves the rest of memory as it was.
 */
#include <sys/socket.h>

#include "npu_test.h"

#define READ KERF_BO_REF_READ
#define WRITE KERF_BO_REF_WRITE

static struct npu npu;
static struct npu_bo bo;   /* counts up from 1 */
static struct npu_bo mine; /* zeros */
static struct npu_job job;

static void setup(void)
{
	npu = npu_open();
	bo = npu_bo(&npu, 16384);
	mine = npu_bo(&npu, 16384);
	for (size_t i = 0; i < bo.size; i++)
		((uint8_t *)bo.map)[i] = i % 255 + 1;
}

static bool untouched(const struct npu_bo *b, bool zeros)
{
	for (size_t i = 0; i < b->size; i++)
		if (((uint8_t *)b->map)[i] != (zeros ? 0 : i % 255 + 1))
			return false;
	return true;
}

/* The job fails, its queue stops, another queue of the same client and other clients go on. */
static void expect_fault(void)
{
	struct drm_kerf_queue_state state;
	struct npu_job none = {0};
	uint32_t other = npu_queue(&npu, KERF_PRIORITY_NORMAL);

	EXPECT_ERR(-EFAULT, npu_run(&npu, &job));
	REQUIRE_OK(kt_queue_state(npu.fd, npu.queue, &state));
	EXPECT_ERR(-EFAULT, state.first_error);
	EXPECT_EQ(1, state.error_seqno);
	EXPECT_ERR(-ECANCELED, npu_submit_to(&npu, npu.queue, &none, NULL));
	EXPECT_OK(npu_run_in(&npu, other, &none));
	EXPECT(untouched(&bo, false));
	EXPECT(untouched(&mine, true));
	npu_expect_sane();
}

static void read_past_end(void)
{
	setup();
	npu_window(&job, bo.handle, READ, 0, 4096);
	npu_window(&job, mine.handle, WRITE, 0, mine.size);
	npu_add_copy(&job, KERF_NPU_ADDR(0, 4095), KERF_NPU_ADDR(1, 0), 2);
	expect_fault();
}

static void write_past_end(void)
{
	setup();
	npu_window(&job, bo.handle, WRITE, 4096, 4096);
	npu_add_fill(&job, 0xee, KERF_NPU_ADDR(0, 4096), 1);
	expect_fault();
}

/* A size that is no multiple of anything is kept to the byte. */
static void write_past_odd_end(void)
{
	setup();
	npu_window(&job, bo.handle, WRITE, 64, 77);
	npu_add_fill(&job, 0xee, KERF_NPU_ADDR(0, 77), 1);
	expect_fault();
}

static void far_offset(void)
{
	setup();
	npu_window(&job, mine.handle, READ | WRITE, 0, mine.size);
	npu_add_copy(&job, KERF_NPU_ADDR(0, 0xfffffffffff0), KERF_NPU_ADDR(0, 0), 64);
	expect_fault();
}

/* The first element is in the window, the others far away. */
static void stride_leaves_window(void)
{
	setup();
	npu_window(&job, mine.handle, WRITE, 0, mine.size);
	NPU_ADD(&job, KERF_NPU_FILL,
		(struct kerf_npu_copy){.src = 0xee,
				       .dst = KERF_NPU_ADDR(0, 0),
				       .element_size = 8,
				       .dims = {4, 3, 1, 1, 1, 1},
				       .dst_stride = {1 << 24, 1 << 20, 0, 0, 0, 0}});
	expect_fault();
}

static void write_to_readable(void)
{
	setup();
	npu_window(&job, bo.handle, READ, 0, bo.size);
	npu_add_fill(&job, 0xee, KERF_NPU_ADDR(0, 0), 64);
	expect_fault();
}

static void read_of_writable(void)
{
	setup();
	npu_window(&job, bo.handle, WRITE, 0, bo.size);
	npu_window(&job, mine.handle, WRITE, 0, mine.size);
	npu_add_copy(&job, KERF_NPU_ADDR(0, 0), KERF_NPU_ADDR(1, 0), 64);
	expect_fault();
}

static void no_such_window(void)
{
	setup();
	npu_window(&job, mine.handle, READ | WRITE, 0, mine.size);
	npu_add_fill(&job, 0xee, KERF_NPU_ADDR(1, 0), 64);
	expect_fault();
}

static void no_windows(void)
{
	setup();
	npu_add_fill(&job, 0xee, KERF_NPU_ADDR(0, 0), 64);
	expect_fault();
}

/* The operands of a layer are held to the windows as those of a copy are. */
static void layer_leaves_window(void)
{
	setup();
	npu_window(&job, bo.handle, READ, 0, 64);
	npu_window(&job, mine.handle, WRITE, 0, 64);
	NPU_ADD(&job, KERF_NPU_ACT,
		(struct kerf_npu_unary){
			.x = npu_tensor(KERF_NPU_ADDR(0, 0), KERF_NPU_F32, 0, 1, 1, 1, 17),
			.y = npu_tensor(KERF_NPU_ADDR(1, 0), KERF_NPU_F32, 0, 1, 1, 1, 17),
			.table = KERF_NPU_NO_ADDR});
	expect_fault();
}

/* What a job did before its fault stays in its windows alone. */
static void fault_in_the_middle(void)
{
	setup();
	npu_window(&job, mine.handle, WRITE, 4096, 4096);
	npu_add_fill(&job, 0xee, KERF_NPU_ADDR(0, 0), 4096);
	npu_add_fill(&job, 0xee, KERF_NPU_ADDR(0, 4095), 2);
	EXPECT_ERR(-EFAULT, npu_run(&npu, &job));
	memset((uint8_t *)mine.map + 4096, 0, 4096);
	EXPECT(untouched(&mine, true));
	npu_expect_sane();
}

static void later_jobs_are_cancelled(void)
{
	uint64_t bad, last = 0;
	int status = 0;

	setup();
	npu_window(&job, bo.handle, READ, 0, bo.size);
	npu_add_delay(&job, 20000);
	npu_add_fill(&job, 0xee, KERF_NPU_ADDR(0, 0), 64);
	REQUIRE_OK(npu_submit_to(&npu, npu.queue, &job, &bad));
	memset(&job, 0, sizeof(job));
	npu_window(&job, bo.handle, WRITE, 0, bo.size);
	npu_add_fill(&job, 0xee, KERF_NPU_ADDR(0, 0), 64);
	for (int i = 0; i < 10; i++)
		if (npu_submit_to(&npu, npu.queue, &job, &last))
			break;
	EXPECT_OK(kt_wait(npu.fd, npu.queue, bad, -1, &status));
	EXPECT_ERR(-EFAULT, status);
	if (last) {
		EXPECT_OK(kt_wait(npu.fd, npu.queue, last, -1, &status));
		EXPECT_ERR(-ECANCELED, status);
	}
	EXPECT(untouched(&bo, false));
}

static void odd_window_offset(void)
{
	setup();
	npu_window(&job, bo.handle, READ, 32, 64);
	EXPECT_ERR(-EINVAL, npu_submit_to(&npu, npu.queue, &job, NULL));
}

/* A large BO is scattered over memory: ranges that begin and end anywhere find their bytes. */
static void scattered(void)
{
	const size_t size = 8 << 20, half = size / 2;
	struct npu_bo big;
	uint32_t *words;

	setup();
	big = npu_bo(&npu, size);
	words = big.map;
	for (size_t i = 0; i < half / 4; i++)
		words[i] = i * 2654435761u;
	npu_window(&job, big.handle, READ, 4096 * 3 + 64, half - 4096 * 3 - 64);
	npu_window(&job, big.handle, WRITE, half + 4096 * 3 + 64, half - 4096 * 3 - 64);
	npu_add_copy(&job, KERF_NPU_ADDR(0, 0), KERF_NPU_ADDR(1, 0), half - 4096 * 3 - 64);
	EXPECT_OK(npu_run(&npu, &job));
	EXPECT(!memcmp(words + (4096 * 3 + 64) / 4, words + (half + 4096 * 3 + 64) / 4,
		       half - 4096 * 3 - 64));
	for (size_t i = half / 4; i < (half + 4096 * 3 + 64) / 4; i++)
		if (!EXPECT_EQ(0, words[i]))
			break;
}

static void random_copies(unsigned seed)
{
	const size_t size = 1 << 20;
	struct npu own = npu_open();
	struct npu_bo src = npu_bo(&own, size), dst = npu_bo(&own, size);
	uint8_t *want = calloc(1, size);

	REQUIRE(want);
	for (size_t i = 0; i < size; i++)
		((uint8_t *)src.map)[i] = rand_r(&seed);
	for (int n = 0; n < 200; n++) {
		struct npu_job j = {0};
		size_t from = rand_r(&seed) % size / 64 * 64, to = rand_r(&seed) % size / 64 * 64;
		size_t room = size - (from > to ? from : to), bytes = rand_r(&seed) % room + 1;
		size_t skip = rand_r(&seed) % bytes;

		if (n % 2) { /* short ones, around the ends of pages */
			bytes = bytes % 300 + 1 < room ? bytes % 300 + 1 : room;
			skip %= bytes;
		}
		npu_window(&j, src.handle, READ, from, bytes);
		npu_window(&j, dst.handle, WRITE, to, bytes);
		npu_add_copy(&j, KERF_NPU_ADDR(0, skip), KERF_NPU_ADDR(1, skip), bytes - skip);
		if (!EXPECT_OK(npu_run(&own, &j)))
			break;
		memcpy(want + to + skip, (uint8_t *)src.map + from + skip, bytes - skip);
	}
	EXPECT(!memcmp(want, dst.map, size));
	free(want);
}

/* Several processes at once copy ranges of any place and size. */
static void random_ranges(void)
{
	int status;

	/* Skipped here if it must be: a child's skip would be its failure. */
	close(kt_open(KERF_ENGINE_NPU));
	for (unsigned i = 0; i < 4; i++) {
		pid_t child = fork();

		REQUIRE(child >= 0);
		if (!child) {
			random_copies(i + 1);
			_exit(0);
		}
	}
	for (int i = 0; i < 4; i++) {
		REQUIRE(wait(&status) > 0);
		EXPECT_EQ(0, status);
	}
}

/* cmd_bytes of this process's client, as debugfs has them: id bytes cmd_bytes */
static long long command_bytes(void)
{
	struct drm_kerf_device_info info;
	unsigned long long id;
	char address[32], path[96], line[128];
	long long bytes, found = -1;
	FILE *f;

	REQUIRE_OK(kt_device_info(npu.fd, &info));
	npu_pci_address(&npu, address);
	snprintf(path, sizeof(path), "/sys/kernel/debug/kerf/%s/clients", address);
	f = fopen(path, "r");
	if (!f)
		ktap_skip("no %s", path);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%llu %*d %lld", &id, &bytes) == 2 && id == info.client_id)
			found = bytes;
	fclose(f);
	return found;
}

/* The kernel's memory for the extents of large windows is bounded, and given back. */
static void tables_are_charged(void)
{
	struct npu_bo big;
	uint64_t seqno = 0;
	int status = -1, r = 0, n = 0;

	setup();
	big = npu_bo(&npu, 64 << 20);
	for (int i = 0; i < KERF_MAX_JOB_BOS; i++)
		npu_window_all(&job, &big);
	npu_add_delay(&job, 1000);
	for (n = 0; n < 100 && !r; n++) {
		r = npu_submit_to(&npu, npu.queue, &job, &seqno);
		EXPECT(command_bytes() <= KERF_MAX_CMD_BYTES);
	}
	EXPECT(r == 0 || r == -EAGAIN);
	REQUIRE(seqno);
	EXPECT_OK(kt_wait(npu.fd, npu.queue, seqno, -1, &status));
	EXPECT_OK(status);
	/* Let go shortly after the end */
	for (int i = 0; i < 2000 && command_bytes(); i++)
		usleep(1000);
	EXPECT_EQ(0, command_bytes());
	EXPECT_OK(npu_run(&npu, &job));
}

/* As many windows as a job may have, each with its own piece */
static void all_windows(void)
{
	setup();
	for (int i = 0; i < KERF_MAX_JOB_BOS; i++) {
		npu_window(&job, mine.handle, WRITE, i * 256, 256);
		npu_add_fill(&job, i + 1, KERF_NPU_ADDR(i, 0), 64);
		if (job.job.cmd_size + sizeof(struct kerf_npu_copy) > sizeof(job.commands)) {
			EXPECT_OK(npu_run(&npu, &job));
			job.job.cmd_size = 0;
		}
	}
	EXPECT_OK(npu_run(&npu, &job));
	for (int i = 0; i < KERF_MAX_JOB_BOS; i++) {
		EXPECT_EQ(i + 1, ((uint8_t *)mine.map)[i * 256]);
		EXPECT_EQ(0, ((uint8_t *)mine.map)[i * 256 + 64]);
	}
}

/*
 * Two processes, each with a BO of its own secret. Each tries to reach the other's through the NPU,
 * at every distance from its own that a search finds likely, while the other's honest jobs go on.
 */
static void other_process(int peer, uint8_t secret)
{
	struct npu honest = npu_open();
	struct npu_bo data = npu_bo(&honest, 65536), result = npu_bo(&honest, 65536);
	struct drm_kerf_bo_ref foreign;
	uint32_t their_handle = 0;

	memset(data.map, secret, data.size);
	REQUIRE(write(peer, &data.handle, sizeof(data.handle)) == sizeof(data.handle));
	REQUIRE(read(peer, &their_handle, sizeof(their_handle)) == sizeof(their_handle));

	for (int i = 0; i < 48; i++) {
		const uint64_t distance = i < 44 ? 65536ull << (i % 32) : 65536 - 32;
		struct npu_job steal = {0}, spoil = {0}, work = {0};
		uint32_t queue = npu_queue(&honest, KERF_PRIORITY_NORMAL);

		npu_window(&steal, data.handle, READ | WRITE, 0, data.size);
		npu_add_copy(&steal, KERF_NPU_ADDR(i / 44, distance), KERF_NPU_ADDR(0, 0), 64);
		EXPECT_ERR(-EFAULT, npu_run_in(&honest, queue, &steal));
		REQUIRE_OK(kt_queue_destroy(honest.fd, queue));

		queue = npu_queue(&honest, KERF_PRIORITY_NORMAL);
		npu_window(&spoil, data.handle, READ | WRITE, 0, data.size);
		npu_add_fill(&spoil, 0xee, KERF_NPU_ADDR(i / 44, distance), 64);
		EXPECT_ERR(-EFAULT, npu_run_in(&honest, queue, &spoil));
		REQUIRE_OK(kt_queue_destroy(honest.fd, queue));

		npu_window(&work, data.handle, READ, 0, data.size);
		npu_window(&work, result.handle, WRITE, 0, result.size);
		npu_add_copy(&work, KERF_NPU_ADDR(0, 0), KERF_NPU_ADDR(1, 0), 65536);
		memset(result.map, 0, result.size);
		EXPECT_OK(npu_run(&honest, &work));
		EXPECT(!memcmp(data.map, result.map, data.size));
		for (size_t k = 0; k < data.size; k++)
			if (!EXPECT_EQ(secret, ((uint8_t *)data.map)[k]))
				break;
	}

	/* The other's handle means nothing here, or a BO of one's own. */
	foreign = (struct drm_kerf_bo_ref){their_handle + 1000, READ, 0, 64};
	EXPECT_ERR(-ENOENT,
		   kt_submit(honest.fd, honest.queue,
			     &(struct drm_kerf_job){.bos = KT_ARRAY(&foreign, 1)}, 1, NULL));
}

static void two_processes(void)
{
	int pair[2], status = 0;
	pid_t child;

	REQUIRE(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	child = fork();
	REQUIRE(child >= 0);
	other_process(pair[!child], child ? 0x11 : 0x22);
	if (!child)
		_exit(0);
	REQUIRE(waitpid(child, &status, 0) == child);
	EXPECT_EQ(0, status);
}

static const struct ktap_case cases[] = {
	KTAP(read_past_end),
	KTAP(write_past_end),
	KTAP(write_past_odd_end),
	KTAP(far_offset),
	KTAP(stride_leaves_window),
	KTAP(write_to_readable),
	KTAP(read_of_writable),
	KTAP(no_such_window),
	KTAP(no_windows),
	KTAP(layer_leaves_window),
	KTAP(fault_in_the_middle),
	KTAP(later_jobs_are_cancelled),
	KTAP(odd_window_offset),
	KTAP(scattered),
	KTAP_SLOW(random_ranges, 60),
	KTAP(tables_are_charged),
	KTAP(all_windows),
	KTAP(two_processes),
};

int main(int argc, char **argv)
{
	return ktap_main(cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
}
