// SPDX-License-Identifier: GPL-2.0-only
/*
 * The memory that tells the NPU what a job is: its commands, its window table and the extent lists
 * of the windows. It is all made before the job is queued, so that starting it allocates nothing.
 *
 * Commands are passed on unread: the device trusts nothing in them, and lets them reach nothing
 * but the windows. A window has exactly the extents of its range, so a device that counts wrongly
 * in one still has no address of anything else.
 */
#include <linux/dma-mapping.h>
#include <linux/slab.h>

#include "kerf_npu.h"

#define KERF_NPU_CHUNK (8 * PAGE_SIZE) /* all but the first, which is a page: most jobs are small */

/* A piece of DMA memory, filled from its start */
struct kerf_npu_chunk {
	struct list_head link;
	void *cpu;
	dma_addr_t dma;
	size_t size;
	size_t used;
};

/**
 * struct kerf_npu_tables - job->engine_priv
 * @chunks: the memory, the newest last
 * @bytes: of it
 * @commands: DMA address
 * @windows: DMA address
 */
struct kerf_npu_tables {
	struct list_head chunks;
	u64 bytes;
	dma_addr_t commands;
	dma_addr_t windows;
};

int kerf_npu_validate(struct kerf_engine *engine, struct kerf_job *job)
{
	struct kerf_npu *npu = to_kerf_npu(engine);
	u32 i;

	if (job->cmd_size > npu->max_commands || job->cmd_size % 8 || job->n_bos > npu->max_windows)
		return -EINVAL;
	for (i = 0; i < job->n_bos; i++)
		if (!IS_ALIGNED(job->bos[i].offset, KERF_NPU_ALIGN))
			return -EINVAL;
	return 0;
}

/* The tables of large windows are memory too: they count as commands of the client. */
static int kerf_npu_charge(struct kerf_npu_tables *tables, struct kerf_client *client, size_t size)
{
	if (tables->bytes + size > KERF_MAX_CMD_BYTES)
		return -EINVAL;
	if (atomic64_add_return(size, &client->cmd_bytes) > KERF_MAX_CMD_BYTES) {
		atomic64_sub(size, &client->cmd_bytes);
		return -EAGAIN;
	}
	tables->bytes += size;
	return 0;
}

static struct kerf_npu_chunk *kerf_npu_newest(struct kerf_npu_tables *tables)
{
	return list_last_entry(&tables->chunks, struct kerf_npu_chunk, link);
}

static int kerf_npu_grow(struct kerf_npu *npu, struct kerf_job *job, size_t size)
{
	struct kerf_npu_tables *tables = job->engine_priv;
	struct kerf_npu_chunk *chunk;
	int ret;

	size = max_t(size_t, PAGE_ALIGN(size),
		     list_empty(&tables->chunks) ? PAGE_SIZE : KERF_NPU_CHUNK);
	ret = kerf_npu_charge(tables, job->queue->client, size);
	if (ret)
		return ret;
	/* On failure the charge is taken back with the tables. */
	chunk = kzalloc(sizeof(*chunk), GFP_KERNEL);
	if (!chunk)
		return -ENOMEM;
	chunk->size = size;
	chunk->cpu = dma_alloc_coherent(&npu->pdev->dev, size, &chunk->dma,
					GFP_KERNEL | __GFP_NOWARN);
	if (!chunk->cpu) {
		kfree(chunk);
		return -ENOMEM;
	}
	list_add_tail(&chunk->link, &tables->chunks);
	return 0;
}

/* @size bytes of zeros behind what is used, in one piece */
static void *kerf_npu_take(struct kerf_npu *npu, struct kerf_job *job, size_t size, dma_addr_t *dma)
{
	struct kerf_npu_tables *tables = job->engine_priv;
	struct kerf_npu_chunk *chunk = NULL;
	size_t at = 0;
	int ret;

	if (!list_empty(&tables->chunks)) {
		chunk = kerf_npu_newest(tables);
		at = ALIGN(chunk->used, KERF_NPU_ALIGN);
	}
	if (!chunk || at > chunk->size || chunk->size - at < size) {
		ret = kerf_npu_grow(npu, job, size);
		if (ret)
			return ERR_PTR(ret);
		chunk = kerf_npu_newest(tables);
		at = 0;
	}
	chunk->used = at + size;
	*dma = chunk->dma + at;
	return chunk->cpu + at;
}

/* The pages of a BO, mapped for the device once and for as long as the BO lives */
static struct sg_table *kerf_npu_map(struct kerf_npu *npu, struct drm_gem_object *obj)
{
	struct sg_table *sgt;

	mutex_lock(&npu->map_mutex);
	sgt = drm_gem_shmem_get_pages_sgt(to_drm_gem_shmem_obj(obj));
	mutex_unlock(&npu->map_mutex);
	return sgt;
}

/* Appends to the list that ends in @part, or to a new part if there is no room behind it */
static int kerf_npu_add_extent(struct kerf_npu *npu, struct kerf_job *job,
			       struct kerf_npu_extents **part, __le64 *next, u64 addr, u64 size)
{
	struct kerf_npu_chunk *chunk = kerf_npu_newest(job->engine_priv);
	struct kerf_npu_extent *extent;
	dma_addr_t dma;

	if (*part && chunk->size - chunk->used >= sizeof(*extent)) {
		extent = chunk->cpu + chunk->used;
		chunk->used += sizeof(*extent);
	} else {
		struct kerf_npu_extents *more;

		more = kerf_npu_take(npu, job, sizeof(*more) + sizeof(*extent), &dma);
		if (IS_ERR(more))
			return PTR_ERR(more);
		if (*part)
			(*part)->next = cpu_to_le64(dma);
		else
			*next = cpu_to_le64(dma);
		*part = more;
		extent = (struct kerf_npu_extent *)(more + 1);
	}
	le32_add_cpu(&(*part)->count, 1);
	extent->addr = cpu_to_le64(addr);
	extent->size = cpu_to_le64(size);
	return 0;
}

static int kerf_npu_set_window(struct kerf_npu *npu, struct kerf_job *job,
			       const struct kerf_job_bo *bo, struct kerf_npu_window *window)
{
	u64 skip = bo->offset, left = ALIGN(bo->size, KERF_NPU_ALIGN);
	struct kerf_npu_extents *part = NULL;
	struct scatterlist *sg;
	struct sg_table *sgt;
	u32 n = 0, flags = 0;
	int i, ret;

	sgt = kerf_npu_map(npu, bo->obj);
	if (IS_ERR(sgt))
		return PTR_ERR(sgt);

	for_each_sgtable_dma_sg(sgt, sg, i) {
		u64 addr = sg_dma_address(sg), size = sg_dma_len(sg);

		if (skip >= size) {
			skip -= size;
			continue;
		}
		addr += skip;
		size = min(size - skip, left);
		skip = 0;
		/* What another driver exported may lie anyhow. */
		if (!IS_ALIGNED(addr | size, KERF_NPU_ALIGN))
			return -EINVAL;
		if (n++ == npu->max_extents)
			return -ENOMEM;
		ret = kerf_npu_add_extent(npu, job, &part, &window->extents, addr, size);
		if (ret)
			return ret;
		left -= size;
		if (!left)
			break;
	}
	if (left)
		return -EINVAL;

	if (bo->flags & KERF_BO_REF_READ)
		flags |= KERF_NPU_WINDOW_READ;
	if (bo->flags & KERF_BO_REF_WRITE)
		flags |= KERF_NPU_WINDOW_WRITE;
	window->size = cpu_to_le64(bo->size);
	window->flags = cpu_to_le32(flags);
	window->n_extents = cpu_to_le32(n);
	return 0;
}

/**
 * kerf_npu_tables_create - write down what the device needs to know of a job
 * @npu: device
 * @job: gets its engine_priv
 *
 * Return: 0, or -ENOMEM; -EAGAIN: the client's jobs have enough tables; -EINVAL: a BO of another
 * driver lies in memory in a way that the device cannot address.
 */
int kerf_npu_tables_create(struct kerf_npu *npu, struct kerf_job *job)
{
	struct kerf_npu_tables *tables;
	struct kerf_npu_window *windows;
	void *commands;
	int ret = 0;
	u32 i;

	tables = kzalloc(sizeof(*tables), GFP_KERNEL);
	if (!tables)
		return -ENOMEM;
	INIT_LIST_HEAD(&tables->chunks);
	job->engine_priv = tables;

	if (job->cmd_size) {
		commands = kerf_npu_take(npu, job, job->cmd_size, &tables->commands);
		if (IS_ERR(commands)) {
			ret = PTR_ERR(commands);
			goto err_destroy;
		}
		memcpy(commands, job->cmd, job->cmd_size);
	}
	if (job->n_bos) {
		windows = kerf_npu_take(npu, job, job->n_bos * sizeof(*windows), &tables->windows);
		if (IS_ERR(windows)) {
			ret = PTR_ERR(windows);
			goto err_destroy;
		}
		for (i = 0; i < job->n_bos; i++) {
			ret = kerf_npu_set_window(npu, job, &job->bos[i], &windows[i]);
			if (ret)
				goto err_destroy;
		}
	}
	return 0;

err_destroy:
	kerf_npu_tables_destroy(npu, job);
	return ret;
}

/**
 * kerf_npu_tables_destroy - let go what kerf_npu_tables_create() made
 * @npu: device, which does not know of the job any more
 * @job: loses its engine_priv
 */
void kerf_npu_tables_destroy(struct kerf_npu *npu, struct kerf_job *job)
{
	struct kerf_npu_tables *tables = job->engine_priv;
	struct kerf_npu_chunk *chunk, *next;

	list_for_each_entry_safe(chunk, next, &tables->chunks, link) {
		dma_free_coherent(&npu->pdev->dev, chunk->size, chunk->cpu, chunk->dma);
		kfree(chunk);
	}
	atomic64_sub(tables->bytes, &job->queue->client->cmd_bytes);
	kfree(tables);
	job->engine_priv = NULL;
}

/**
 * kerf_npu_describe - fill a job descriptor
 * @job: with its tables
 * @seqno: name of the job towards the device
 * @desc: in the ring
 */
void kerf_npu_describe(const struct kerf_job *job, u64 seqno, struct kerf_npu_job *desc)
{
	const struct kerf_npu_tables *tables = job->engine_priv;

	*desc = (struct kerf_npu_job){
		.seqno = cpu_to_le64(seqno),
		.commands = cpu_to_le64(tables->commands),
		.windows = cpu_to_le64(tables->windows),
		.commands_size = cpu_to_le32(job->cmd_size),
		.n_windows = cpu_to_le32(job->n_bos),
	};
}
