/* SPDX-License-Identifier: MIT */
/* What tests of the NPU share: jobs, operands, faults of the device model, the device in sysfs. */
#ifndef NPU_TEST_H
#define NPU_TEST_H

#include <limits.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "kerf_npu.h"
#include "kerf_test.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "commands are stored as they are");

/* Where npu-model --fault-file looks (docs/npu.md); in a guest of vm.sh */
#define NPU_FAULT_FILE "/out/npu-fault"

struct npu {
	int fd;
	uint32_t engine;
	uint32_t queue;
};

struct npu_bo {
	uint32_t handle;
	uint64_t size;
	void *map;
};

/* A job in the making: windows and commands are added in order */
struct npu_job {
	struct drm_kerf_job job;
	struct drm_kerf_bo_ref bos[KERF_MAX_JOB_BOS];
	uint8_t commands[4096];
};

static inline uint32_t npu_queue(const struct npu *npu, uint32_t priority)
{
	uint32_t queue;

	REQUIRE_OK(kt_queue_create(npu->fd, npu->engine, priority, KERF_MAX_QUEUE_DEPTH, &queue));
	return queue;
}

static inline struct npu npu_open(void)
{
	struct npu npu = {.fd = kt_open(KERF_ENGINE_NPU)};

	npu.engine = kt_engine(npu.fd, KERF_ENGINE_NPU);
	npu.queue = npu_queue(&npu, KERF_PRIORITY_NORMAL);
	return npu;
}

static inline struct npu_bo npu_bo(const struct npu *npu, uint64_t size)
{
	struct npu_bo bo = {.size = size};

	REQUIRE_OK(kt_bo_create(npu->fd, size, 0, &bo.handle));
	bo.map = kt_bo_map(npu->fd, bo.handle, &bo.size);
	REQUIRE(bo.map);
	return bo;
}

static inline void npu_window(struct npu_job *j, uint32_t handle, uint32_t flags, uint64_t offset,
			      uint64_t size)
{
	j->bos[j->job.bos.count++] = (struct drm_kerf_bo_ref){handle, flags, offset, size};
}

static inline void npu_window_all(struct npu_job *j, const struct npu_bo *bo)
{
	npu_window(j, bo->handle, KERF_BO_REF_READ | KERF_BO_REF_WRITE, 0, bo->size);
}

static inline void npu_add(struct npu_job *j, uint32_t opcode, void *command, size_t size)
{
	struct kerf_npu_cmd *cmd = command;

	cmd->opcode = opcode;
	cmd->size = size;
	REQUIRE(j->job.cmd_size + size <= sizeof(j->commands));
	memcpy(j->commands + j->job.cmd_size, command, size);
	j->job.cmd_size += size;
}

#define NPU_ADD(job, opcode, ...) npu_add(job, opcode, &(__VA_ARGS__), sizeof(__VA_ARGS__))

static inline void npu_add_delay(struct npu_job *j, uint32_t us)
{
	NPU_ADD(j, KERF_NPU_DELAY, (struct kerf_npu_delay){.us = us});
}

/* @bytes bytes from an address to another */
static inline void npu_add_copy(struct npu_job *j, uint64_t src, uint64_t dst, uint32_t bytes)
{
	NPU_ADD(j, KERF_NPU_COPY,
		(struct kerf_npu_copy){.src = src,
				       .dst = dst,
				       .element_size = 1,
				       .dims = {1, 1, 1, 1, 1, bytes},
				       .src_stride = {0, 0, 0, 0, 0, 1},
				       .dst_stride = {0, 0, 0, 0, 0, 1}});
}

static inline void npu_add_fill(struct npu_job *j, uint8_t value, uint64_t dst, uint32_t bytes)
{
	NPU_ADD(j, KERF_NPU_FILL,
		(struct kerf_npu_copy){.src = value,
				       .dst = dst,
				       .element_size = 1,
				       .dims = {1, 1, 1, 1, 1, bytes},
				       .dst_stride = {0, 0, 0, 0, 0, 1}});
}

static inline int npu_submit_to(const struct npu *npu, uint32_t queue, struct npu_job *j,
				uint64_t *seqno)
{
	j->job.cmd = (uintptr_t)j->commands;
	j->job.bos.stride = sizeof(j->bos[0]);
	j->job.bos.array = (uintptr_t)j->bos;
	return kt_submit(npu->fd, queue, &j->job, 1, seqno);
}

/* How the job ends in @queue */
static inline int npu_run_in(const struct npu *npu, uint32_t queue, struct npu_job *j)
{
	int status = INT_MIN;
	uint64_t seqno;

	REQUIRE_OK(npu_submit_to(npu, queue, j, &seqno));
	REQUIRE_OK(kt_wait(npu->fd, queue, seqno, -1, &status));
	return status;
}

static inline int npu_run(const struct npu *npu, struct npu_job *j)
{
	return npu_run_in(npu, npu->queue, j);
}

/* A job of its own client and queue, with a result to be checked: is the device in order? */
static inline void npu_expect_sane(void)
{
	struct npu npu = npu_open();
	struct npu_bo bo = npu_bo(&npu, 4096);
	struct npu_job j = {0};

	for (int i = 0; i < 64; i++)
		((uint8_t *)bo.map)[i] = i + 1;
	npu_window_all(&j, &bo);
	npu_add_copy(&j, KERF_NPU_ADDR(0, 0), KERF_NPU_ADDR(0, 1024), 64);
	EXPECT_OK(npu_run(&npu, &j));
	EXPECT(!memcmp(bo.map, (uint8_t *)bo.map + 1024, 64));
	munmap(bo.map, bo.size);
	close(npu.fd);
}

static inline uint32_t npu_f32(float f)
{
	uint32_t bits;

	memcpy(&bits, &f, sizeof(bits));
	return bits;
}

static inline struct kerf_npu_tensor npu_tensor(uint64_t addr, uint32_t dtype, int zero, uint32_t n,
						uint32_t h, uint32_t w, uint32_t c)
{
	return (struct kerf_npu_tensor){addr, n, h, w, c, dtype, zero};
}

/* Has the model do what docs/npu.md, "Faults on demand", says to the jobs it takes next. */
static inline void npu_fault(const char *list)
{
	FILE *f;

	if (access("/out", W_OK))
		ktap_skip("no /out: the device model takes no faults here");
	f = fopen(NPU_FAULT_FILE ".new", "w");
	REQUIRE(f);
	REQUIRE(fputs(list, f) >= 0 && !fclose(f));
	REQUIRE(!rename(NPU_FAULT_FILE ".new", NPU_FAULT_FILE));
}

/* Until a job has met what npu_fault() asked for */
static inline void npu_fault_taken(void)
{
	for (int i = 0; i < 10000 && !access(NPU_FAULT_FILE, F_OK); i++)
		usleep(1000);
	if (!EXPECT(access(NPU_FAULT_FILE, F_OK))) {
		unlink(NPU_FAULT_FILE);
		_exit(1);
	}
}

/* --- the device in sysfs --- */

static inline void npu_pci_address(const struct npu *npu, char address[32])
{
	char link[64], path[PATH_MAX] = "";
	struct stat st;

	REQUIRE(!fstat(npu->fd, &st));
	snprintf(link, sizeof(link), "/sys/dev/char/%u:%u/device", major(st.st_rdev),
		 minor(st.st_rdev));
	REQUIRE(realpath(link, path));
	snprintf(address, 32, "%.31s", strrchr(path, '/') + 1);
}

static inline int npu_sysfs_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), r = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		r = -errno;
	close(fd);
	return r;
}

/* First line of a file, without its end; "" if it cannot be read */
static inline void npu_sysfs_read(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, size - 1);

	text[n > 0 ? n : 0] = 0;
	text[strcspn(text, "\n")] = 0;
	if (fd >= 0)
		close(fd);
}

#endif
