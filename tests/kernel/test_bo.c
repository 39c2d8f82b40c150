/* SPDX-License-Identifier: MIT */
/* Buffer objects: contents, mappings, sharing and lifetime, accounting, waiting for jobs. */
#include <drm_mode.h>

#include "kerf_test.h"

static const size_t page = 4096;

static uint32_t bo_of(int fd, uint64_t size, uint32_t flags)
{
	uint32_t handle;

	REQUIRE_OK(kt_bo_create(fd, size, flags, &handle));
	return handle;
}

static unsigned char *map_of(int fd, uint32_t handle)
{
	unsigned char *p = kt_bo_map(fd, handle, NULL);

	REQUIRE(p);
	return p;
}

static int export_of(int fd, uint32_t handle)
{
	struct drm_prime_handle prime = {.handle = handle, .flags = DRM_RDWR | DRM_CLOEXEC};

	REQUIRE_OK(kt_ioctl(fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime));
	return prime.fd;
}

static int import_of(int fd, int dma_buf, uint32_t *handle)
{
	struct drm_prime_handle prime = {.fd = dma_buf};
	int r = kt_ioctl(fd, DRM_IOCTL_PRIME_FD_TO_HANDLE, &prime);

	*handle = prime.handle;
	return r;
}

static uint64_t bytes_of(int fd)
{
	struct drm_kerf_device_info info = {0};

	REQUIRE_OK(kt_device_info(fd, &info));
	return info.client_bytes;
}

static bool all_are(const unsigned char *p, size_t n, unsigned char value)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != value)
			return false;
	return true;
}

/* Contents and mappings */

static void size_is_whole_pages(void)
{
	struct drm_kerf_bo_create create = {.size = page + 1};
	struct drm_kerf_bo_info info = {0};
	int fd = kt_open(0);

	EXPECT_OK(kt_ioctl(fd, DRM_IOCTL_KERF_BO_CREATE, &create));
	EXPECT_EQ(2 * page, create.size);
	info.handle = create.handle;
	EXPECT_OK(kt_ioctl(fd, DRM_IOCTL_KERF_BO_INFO, &info));
	EXPECT_EQ(2 * page, info.size);
	EXPECT_EQ(0, info.flags);
}

static void contents_begin_as_zero(void)
{
	int fd = kt_open(0);

	/* What one BO leaves in memory the next must not show. */
	for (int i = 0; i < 8; i++) {
		uint32_t bo = bo_of(fd, 64 * page, 0);
		unsigned char *p = map_of(fd, bo);

		EXPECT(all_are(p, 64 * page, 0));
		memset(p, 0x5a, 64 * page);
		munmap(p, 64 * page);
		EXPECT_OK(kt_bo_close(fd, bo));
	}
}

static void mappings_share_memory(void)
{
	int fd = kt_open(0);
	uint32_t bo = bo_of(fd, page, 0);
	unsigned char *a = map_of(fd, bo), *b = map_of(fd, bo);

	REQUIRE(a != b);
	memset(a, 0x11, page);
	EXPECT(all_are(b, page, 0x11));
}

static void write_combined_mapping(void)
{
	int fd = kt_open(0);
	uint32_t bo = bo_of(fd, page, KERF_BO_WC);
	unsigned char *p = map_of(fd, bo);

	memset(p, 0x22, page);
	__sync_synchronize();
	EXPECT(all_are(p, page, 0x22));
}

static void mapping_beyond_end(void)
{
	int fd = kt_open(0);
	struct drm_kerf_bo_info info = {.handle = bo_of(fd, page, 0)};

	REQUIRE_OK(kt_ioctl(fd, DRM_IOCTL_KERF_BO_INFO, &info));
	EXPECT(mmap(NULL, 2 * page, PROT_READ, MAP_SHARED, fd, info.mmap_offset) == MAP_FAILED);
	EXPECT(mmap(NULL, page, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED);
}

static void mapping_by_a_client_without_handle(void)
{
	int fd = kt_open(0), other = kt_open(0);
	struct drm_kerf_bo_info info = {.handle = bo_of(fd, page, 0)};

	REQUIRE_OK(kt_ioctl(fd, DRM_IOCTL_KERF_BO_INFO, &info));
	EXPECT(mmap(NULL, page, PROT_READ, MAP_SHARED, other, info.mmap_offset) == MAP_FAILED);
	EXPECT_EQ(EACCES, errno);
}

static void no_mmap_has_no_offset(void)
{
	int fd = kt_open(0);
	struct drm_kerf_bo_info info = {.handle = bo_of(fd, page, KERF_BO_NO_MMAP)};

	REQUIRE_OK(kt_ioctl(fd, DRM_IOCTL_KERF_BO_INFO, &info));
	EXPECT_EQ(KERF_BO_NO_MMAP, info.flags);
	EXPECT_EQ(0, info.mmap_offset);
}

static void no_mmap_refuses_guessed_offset(void)
{
	int fd = kt_open(0);
	struct drm_kerf_bo_info info = {.handle = bo_of(fd, page, 0)};

	/* The offset of a BO that has gone is free for the next of its size. */
	REQUIRE_OK(kt_ioctl(fd, DRM_IOCTL_KERF_BO_INFO, &info));
	REQUIRE_OK(kt_bo_close(fd, info.handle));
	bo_of(fd, page, KERF_BO_NO_MMAP);
	EXPECT(mmap(NULL, page, PROT_READ, MAP_SHARED, fd, info.mmap_offset) == MAP_FAILED);
}

static void no_mmap_refuses_mmap_of_dma_buf(void)
{
	int fd = kt_open(0);
	int buf = export_of(fd, bo_of(fd, page, KERF_BO_NO_MMAP));

	EXPECT(mmap(NULL, page, PROT_READ, MAP_SHARED, buf, 0) == MAP_FAILED);
	EXPECT_EQ(EACCES, errno);
}

/* Lifetime */

static void mapping_outlives_handle(void)
{
	int fd = kt_open(0);
	uint32_t bo = bo_of(fd, 4 * page, 0);
	unsigned char *p = map_of(fd, bo);

	memset(p, 0x33, 2 * page);
	EXPECT_OK(kt_bo_close(fd, bo));
	EXPECT(all_are(p, 2 * page, 0x33));
	EXPECT(all_are(p + 2 * page, 2 * page, 0));
}

static void mapping_outlives_file(void)
{
	int fd = kt_open(0);
	unsigned char *p = map_of(fd, bo_of(fd, 4 * page, 0));

	memset(p, 0x44, 2 * page);
	close(fd);
	EXPECT(all_are(p, 2 * page, 0x44));
	EXPECT(all_are(p + 2 * page, 2 * page, 0));
}

static void mapping_of_part_outlives_the_rest(void)
{
	int fd = kt_open(0);
	uint32_t bo = bo_of(fd, 4 * page, 0);
	unsigned char *p = map_of(fd, bo);

	memset(p, 0x45, 4 * page);
	EXPECT_OK(munmap(p + page, 2 * page));
	EXPECT_OK(kt_bo_close(fd, bo));
	close(fd);
	EXPECT(all_are(p, page, 0x45));
	EXPECT(all_are(p + 3 * page, page, 0x45));
}

static void mapping_of_a_child_outlives_parent(void)
{
	int fd = kt_open(0), status;
	unsigned char *p = map_of(fd, bo_of(fd, page, 0));
	pid_t pid = fork();

	if (!pid) {
		close(fd);
		p[0] = 0x46;
		_exit(0);
	}
	EXPECT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0x46, p[0]);
}

static void handle_closed_twice(void)
{
	int fd = kt_open(0);
	uint32_t bo = bo_of(fd, page, 0);

	EXPECT_OK(kt_bo_close(fd, bo));
	EXPECT_ERR(-EINVAL, kt_bo_close(fd, bo));
}

static void handles_are_the_clients_own(void)
{
	int fd = kt_open(0), other = kt_open(0);
	struct drm_kerf_bo_info info = {.handle = bo_of(fd, page, 0)};

	EXPECT_ERR(-ENOENT, kt_ioctl(other, DRM_IOCTL_KERF_BO_INFO, &info));
}

/* Sharing */

static void prime_shares_memory(void)
{
	int fd = kt_open(0), other = kt_open(0);
	uint32_t bo = bo_of(fd, page, 0), imported;
	int buf = export_of(fd, bo);
	unsigned char *a = map_of(fd, bo), *b;

	REQUIRE_OK(import_of(other, buf, &imported));
	b = map_of(other, imported);
	memset(a, 0x55, page);
	EXPECT(all_are(b, page, 0x55));
	memset(b, 0x66, page);
	EXPECT(all_are(a, page, 0x66));
}

static void prime_import_at_home_is_the_same_handle(void)
{
	int fd = kt_open(0);
	uint32_t bo = bo_of(fd, page, 0), imported;

	REQUIRE_OK(import_of(fd, export_of(fd, bo), &imported));
	EXPECT_EQ(bo, imported);
}

static void prime_keeps_flags(void)
{
	int fd = kt_open(0), other = kt_open(0);
	struct drm_kerf_bo_info info = {0};

	REQUIRE_OK(import_of(other, export_of(fd, bo_of(fd, page, KERF_BO_NO_MMAP)), &info.handle));
	EXPECT_OK(kt_ioctl(other, DRM_IOCTL_KERF_BO_INFO, &info));
	EXPECT_EQ(KERF_BO_NO_MMAP, info.flags);
	EXPECT_EQ(0, info.mmap_offset);
}

static void dma_buf_outlives_its_maker(void)
{
	int fd = kt_open(0), other, buf;
	uint32_t bo = bo_of(fd, page, 0), imported;
	unsigned char *p = map_of(fd, bo);

	memset(p, 0x77, page);
	buf = export_of(fd, bo);
	munmap(p, page);
	EXPECT_OK(kt_bo_close(fd, bo));
	close(fd);

	p = mmap(NULL, page, PROT_READ, MAP_SHARED, buf, 0);
	REQUIRE(p != MAP_FAILED);
	EXPECT(all_are(p, page, 0x77));
	other = kt_open(0);
	REQUIRE_OK(import_of(other, buf, &imported));
	close(buf);
	EXPECT(all_are(map_of(other, imported), page, 0x77));
}

static void import_outlives_dma_buf_and_maker(void)
{
	int fd = kt_open(0), other = kt_open(0), buf;
	uint32_t bo = bo_of(fd, page, 0), imported;

	memset(map_of(fd, bo), 0x78, page);
	buf = export_of(fd, bo);
	REQUIRE_OK(import_of(other, buf, &imported));
	close(buf);
	close(fd);
	EXPECT(all_are(map_of(other, imported), page, 0x78));
}

/* Sharing with another driver: vgem, a virtual GPU that is nothing but memory */

static int vgem_open(void)
{
	for (int again = 0; again < 2; again++) {
		for (int i = 0; i < 16; i++) {
			char path[32], name[16] = "";
			struct drm_version version = {.name = name, .name_len = sizeof(name) - 1};
			int fd;

			snprintf(path, sizeof(path), "/dev/dri/card%d", i);
			fd = open(path, O_RDWR | O_CLOEXEC);
			if (fd >= 0 && !kt_ioctl(fd, DRM_IOCTL_VERSION, &version) &&
			    !strcmp(name, "vgem"))
				return fd;
			if (fd >= 0)
				close(fd);
		}
		if (!again && system("modprobe -q vgem"))
			break;
	}
	ktap_skip("no vgem");
}

/* A buffer of vgem's of 4 pages, mapped, and its dma-buf */
static int vgem_buffer(unsigned char **p)
{
	struct drm_mode_create_dumb create = {.width = 64, .height = 64, .bpp = 32};
	struct drm_mode_map_dumb map = {0};
	int vgem = vgem_open();

	REQUIRE_OK(kt_ioctl(vgem, DRM_IOCTL_MODE_CREATE_DUMB, &create));
	REQUIRE(create.size == 4 * page);
	map.handle = create.handle;
	REQUIRE_OK(kt_ioctl(vgem, DRM_IOCTL_MODE_MAP_DUMB, &map));
	*p = mmap(NULL, create.size, PROT_READ | PROT_WRITE, MAP_SHARED, vgem, map.offset);
	REQUIRE(*p != MAP_FAILED);
	return export_of(vgem, create.handle);
}

static void import_from_another_driver(void)
{
	struct drm_kerf_bo_info info = {0};
	int fd = kt_open(0);
	unsigned char *theirs, *ours;

	REQUIRE_OK(import_of(fd, vgem_buffer(&theirs), &info.handle));
	EXPECT_EQ(4 * page, bytes_of(fd));
	EXPECT_OK(kt_ioctl(fd, DRM_IOCTL_KERF_BO_INFO, &info));
	EXPECT_EQ(4 * page, info.size);
	ours = map_of(fd, info.handle);
	memset(theirs, 0x79, 4 * page);
	EXPECT(all_are(ours, 4 * page, 0x79));
	EXPECT_OK(kt_bo_close(fd, info.handle));
	EXPECT_EQ(0, bytes_of(fd));
	EXPECT(all_are(ours, 4 * page, 0x79));
}

static void import_is_synced_and_used_by_jobs(void)
{
	struct drm_kerf_bo_ref ref = {.flags = KERF_BO_REF_WRITE, .size = page};
	struct drm_kerf_job job = {.bos = KT_ARRAY(&ref, 1)};
	struct drm_kerf_bo_sync sync = {.flags = KERF_SYNC_READ, .size = page};
	int fd = kt_open(KERF_ENGINE_SIM), status = -1;
	unsigned char *theirs;
	uint32_t queue;
	uint64_t seqno;

	REQUIRE_OK(import_of(fd, vgem_buffer(&theirs), &ref.handle));
	REQUIRE_OK(kt_queue_create(fd, kt_engine(fd, KERF_ENGINE_SIM), KERF_PRIORITY_NORMAL, 4,
				   &queue));
	REQUIRE_OK(kt_submit(fd, queue, &job, 1, &seqno));
	EXPECT_OK(kt_wait(fd, queue, seqno, -1, &status));
	EXPECT_EQ(0, status);
	sync.handle = ref.handle;
	EXPECT_OK(kt_ioctl(fd, DRM_IOCTL_KERF_BO_SYNC, &sync));
	sync.flags |= KERF_SYNC_END;
	EXPECT_OK(kt_ioctl(fd, DRM_IOCTL_KERF_BO_SYNC, &sync));
}

static void export_to_another_driver(void)
{
	int fd = kt_open(0), vgem = vgem_open(), buf;
	uint32_t bo = bo_of(fd, page, 0), imported;
	unsigned char *p;

	memset(map_of(fd, bo), 0x7a, page);
	buf = export_of(fd, bo);
	REQUIRE_OK(import_of(vgem, buf, &imported));
	close(buf);
	close(fd);
	/* An importer maps through the dma-buf, which lives on by its import. */
	buf = export_of(vgem, imported);
	p = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, buf, 0);
	REQUIRE(p != MAP_FAILED);
	EXPECT(all_are(p, page, 0x7a));
}

/* Accounting */

static void bytes_follow_handles(void)
{
	int fd = kt_open(0);
	uint32_t a, b;

	EXPECT_EQ(0, bytes_of(fd));
	a = bo_of(fd, 3 * page, 0);
	b = bo_of(fd, 1, 0);
	EXPECT_EQ(4 * page, bytes_of(fd));
	EXPECT_OK(kt_bo_close(fd, a));
	EXPECT_EQ(page, bytes_of(fd));
	EXPECT_OK(kt_bo_close(fd, b));
	EXPECT_EQ(0, bytes_of(fd));
}

static void bytes_count_an_import_once(void)
{
	int fd = kt_open(0), other = kt_open(0);
	uint32_t bo = bo_of(fd, 2 * page, 0), first, second;
	int buf = export_of(fd, bo);

	REQUIRE_OK(import_of(other, buf, &first));
	REQUIRE_OK(import_of(other, buf, &second));
	EXPECT_EQ(first, second);
	EXPECT_EQ(2 * page, bytes_of(other));
	EXPECT_EQ(2 * page, bytes_of(fd));
	EXPECT_OK(kt_bo_close(other, first));
	EXPECT_EQ(0, bytes_of(other));
}

static void bytes_have_a_limit(void)
{
	struct drm_kerf_device_info info = {0};
	int fd = kt_open(0);
	uint32_t a, more;

	/* Nothing touches the memory, so none is taken. */
	REQUIRE_OK(kt_device_info(fd, &info));
	REQUIRE(info.max_client_bytes >= 4 * page);
	a = bo_of(fd, info.max_client_bytes - page, 0);
	EXPECT_ERR(-ENOSPC, kt_bo_create(fd, 2 * page, 0, &more));
	EXPECT_OK(kt_bo_create(fd, page, 0, &more));
	EXPECT_ERR(-ENOSPC, kt_bo_create(fd, page, 0, &more));
	EXPECT_OK(kt_bo_close(fd, a));
	EXPECT_OK(kt_bo_create(fd, 2 * page, 0, &more));
}

static void refused_create_changes_nothing(void)
{
	struct drm_kerf_bo_create create = {.size = page + 1};
	struct drm_kerf_device_info info = {0};
	int fd = kt_open(0);

	REQUIRE_OK(kt_device_info(fd, &info));
	bo_of(fd, info.max_client_bytes - page, 0);
	EXPECT_ERR(-ENOSPC, kt_ioctl(fd, DRM_IOCTL_KERF_BO_CREATE, &create));
	EXPECT_EQ(page + 1, create.size);
	EXPECT_EQ(0, create.handle);
	EXPECT_EQ(info.max_client_bytes - page, bytes_of(fd));
}

static void bytes_limit_holds_for_imports(void)
{
	struct drm_kerf_device_info info = {0};
	int fd = kt_open(0), other = kt_open(0), buf;
	uint32_t imported;

	REQUIRE_OK(kt_device_info(fd, &info));
	buf = export_of(fd, bo_of(fd, 2 * page, 0));
	bo_of(other, info.max_client_bytes - page, 0);
	EXPECT_ERR(-ENOSPC, import_of(other, buf, &imported));
	EXPECT_EQ(info.max_client_bytes - page, bytes_of(other));
}

/* BO_SYNC */

static int bo_sync(int fd, uint32_t bo, uint32_t flags, int64_t timeout_ns)
{
	struct drm_kerf_bo_sync sync = {
		.handle = bo, .flags = flags, .size = page, .timeout_ns = timeout_ns};

	return kt_ioctl(fd, DRM_IOCTL_KERF_BO_SYNC, &sync);
}

/* A job on the sim engine that has a window of the BO for a while */
static uint64_t use(int fd, uint32_t *queue, uint32_t bo, uint32_t ref_flags, uint32_t us)
{
	struct drm_kerf_sim_cmd cmd = {.duration_us = us};
	struct drm_kerf_bo_ref ref = {.handle = bo, .flags = ref_flags, .size = page};
	struct drm_kerf_job job = {
		.cmd = (uintptr_t)&cmd, .cmd_size = sizeof(cmd), .bos = KT_ARRAY(&ref, 1)};
	uint64_t seqno;

	REQUIRE_OK(kt_queue_create(fd, kt_engine(fd, KERF_ENGINE_SIM), KERF_PRIORITY_NORMAL, 4,
				   queue));
	REQUIRE_OK(kt_submit(fd, *queue, &job, 1, &seqno));
	return seqno;
}

static void sync_of_an_idle_bo(void)
{
	int fd = kt_open(0);
	uint32_t bo = bo_of(fd, page, 0);

	EXPECT_OK(bo_sync(fd, bo, KERF_SYNC_READ | KERF_SYNC_WRITE, 0));
	EXPECT_OK(bo_sync(fd, bo, KERF_SYNC_READ | KERF_SYNC_WRITE | KERF_SYNC_END, 0));
}

static void sync_waits_for_a_writer(void)
{
	int fd = kt_open(KERF_ENGINE_SIM);
	uint32_t bo = bo_of(fd, page, 0), queue;
	struct drm_kerf_queue_state state;
	uint64_t seqno = use(fd, &queue, bo, KERF_BO_REF_WRITE, 300000);

	EXPECT_ERR(-ETIME, bo_sync(fd, bo, KERF_SYNC_READ, 0));
	EXPECT_ERR(-ETIME, bo_sync(fd, bo, KERF_SYNC_READ, kt_now() + 1000000));
	EXPECT_OK(bo_sync(fd, bo, KERF_SYNC_READ, KT_FOREVER));
	EXPECT_OK(kt_queue_state(fd, queue, &state));
	EXPECT_EQ(seqno, state.done_seqno);
}

static void sync_to_read_does_not_wait_for_readers(void)
{
	int fd = kt_open(KERF_ENGINE_SIM);
	uint32_t bo = bo_of(fd, page, 0), queue;

	use(fd, &queue, bo, KERF_BO_REF_READ, 10000000);
	EXPECT_OK(bo_sync(fd, bo, KERF_SYNC_READ, 0));
	EXPECT_ERR(-ETIME, bo_sync(fd, bo, KERF_SYNC_WRITE, 0));
}

/* 'S' once it waits */
static char state_of(pid_t pid)
{
	char path[64], state = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "r");
	REQUIRE(f);
	REQUIRE(fscanf(f, "%*d %*s %c", &state) == 1);
	fclose(f);
	return state;
}

static void sync_does_not_wait_for_later_jobs(void)
{
	int fd = kt_open(KERF_ENGINE_SIM);
	uint32_t bo = bo_of(fd, page, 0), queue;
	int status;
	pid_t pid;

	use(fd, &queue, bo, KERF_BO_REF_WRITE, 1000000);
	pid = fork();
	REQUIRE(pid >= 0);
	if (!pid) {
		EXPECT_OK(bo_sync(fd, bo, KERF_SYNC_READ | KERF_SYNC_WRITE, KT_FOREVER));
		EXPECT_ERR(-ETIME, bo_sync(fd, bo, KERF_SYNC_READ, 0));
		_exit(0);
	}
	while (state_of(pid) != 'S')
		usleep(1000);
	use(fd, &queue, bo, KERF_BO_REF_READ | KERF_BO_REF_WRITE, 1900000);
	REQUIRE(waitpid(pid, &status, 0) == pid);
	EXPECT_EQ(0, status);
}

static void sync_end_does_not_wait(void)
{
	int fd = kt_open(KERF_ENGINE_SIM);
	uint32_t bo = bo_of(fd, page, 0), queue;

	use(fd, &queue, bo, KERF_BO_REF_WRITE, 10000000);
	EXPECT_OK(bo_sync(fd, bo, KERF_SYNC_WRITE | KERF_SYNC_END, 0));
}

static void sync_sees_jobs_of_other_clients(void)
{
	int fd = kt_open(KERF_ENGINE_SIM), other = kt_open(KERF_ENGINE_SIM);
	uint32_t bo = bo_of(fd, page, 0), imported, queue;

	REQUIRE_OK(import_of(other, export_of(fd, bo), &imported));
	use(other, &queue, imported, KERF_BO_REF_WRITE, 200000);
	EXPECT_ERR(-ETIME, bo_sync(fd, bo, KERF_SYNC_READ, 0));
	EXPECT_OK(bo_sync(fd, bo, KERF_SYNC_READ, KT_FOREVER));
}

static void sync_after_the_queue_is_destroyed(void)
{
	int fd = kt_open(KERF_ENGINE_SIM);
	uint32_t bo = bo_of(fd, page, 0), queue;

	/* The job that runs still uses the BO, to its end. */
	use(fd, &queue, bo, KERF_BO_REF_WRITE, 200000);
	EXPECT_OK(kt_queue_destroy(fd, queue));
	EXPECT_OK(bo_sync(fd, bo, KERF_SYNC_READ, KT_FOREVER));
}

static void job_keeps_a_bo_without_handle(void)
{
	int fd = kt_open(KERF_ENGINE_SIM), status = -1;
	uint32_t bo = bo_of(fd, page, 0), queue;
	uint64_t seqno = use(fd, &queue, bo, KERF_BO_REF_WRITE, 100000);

	EXPECT_OK(kt_bo_close(fd, bo));
	EXPECT_OK(kt_wait(fd, queue, seqno, -1, &status));
	EXPECT_EQ(0, status);
}

static void interrupted(int signal)
{
}

static void sync_goes_on_after_a_signal(void)
{
	struct sigaction act = {.sa_handler = interrupted, .sa_flags = SA_RESTART};
	int fd = kt_open(KERF_ENGINE_SIM);
	uint32_t bo = bo_of(fd, page, 0), queue;
	struct drm_kerf_bo_sync sync = {
		.handle = bo, .flags = KERF_SYNC_READ, .size = page, .timeout_ns = KT_FOREVER};
	pid_t parent = getpid(), pid;

	sigaction(SIGUSR1, &act, NULL);
	use(fd, &queue, bo, KERF_BO_REF_WRITE, 400000);
	pid = fork();
	if (!pid) {
		for (int i = 0; i < 10; i++) {
			usleep(20000);
			kill(parent, SIGUSR1);
		}
		_exit(0);
	}
	/* Not kt_ioctl(), which would itself try again */
	EXPECT_OK(ioctl(fd, DRM_IOCTL_KERF_BO_SYNC, &sync));
	EXPECT_OK(bo_sync(fd, bo, KERF_SYNC_READ, 0));
	waitpid(pid, NULL, 0);
}

static const struct ktap_case cases[] = {
	KTAP(size_is_whole_pages),
	KTAP(contents_begin_as_zero),
	KTAP(mappings_share_memory),
	KTAP(write_combined_mapping),
	KTAP(mapping_beyond_end),
	KTAP(mapping_by_a_client_without_handle),
	KTAP(no_mmap_has_no_offset),
	KTAP(no_mmap_refuses_guessed_offset),
	KTAP(no_mmap_refuses_mmap_of_dma_buf),
	KTAP(mapping_outlives_handle),
	KTAP(mapping_outlives_file),
	KTAP(mapping_of_part_outlives_the_rest),
	KTAP(mapping_of_a_child_outlives_parent),
	KTAP(handle_closed_twice),
	KTAP(handles_are_the_clients_own),
	KTAP(prime_shares_memory),
	KTAP(prime_import_at_home_is_the_same_handle),
	KTAP(prime_keeps_flags),
	KTAP(dma_buf_outlives_its_maker),
	KTAP(import_outlives_dma_buf_and_maker),
	KTAP(import_from_another_driver),
	KTAP(import_is_synced_and_used_by_jobs),
	KTAP(export_to_another_driver),
	KTAP(bytes_follow_handles),
	KTAP(bytes_count_an_import_once),
	KTAP(bytes_have_a_limit),
	KTAP(refused_create_changes_nothing),
	KTAP(bytes_limit_holds_for_imports),
	KTAP(sync_of_an_idle_bo),
	KTAP(sync_waits_for_a_writer),
	KTAP(sync_to_read_does_not_wait_for_readers),
	KTAP(sync_does_not_wait_for_later_jobs),
	KTAP(sync_end_does_not_wait),
	KTAP(sync_sees_jobs_of_other_clients),
	KTAP(sync_after_the_queue_is_destroyed),
	KTAP(job_keeps_a_bo_without_handle),
	KTAP(sync_goes_on_after_a_signal),
};

int main(int argc, char **argv)
{
	return ktap_main(cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
}
