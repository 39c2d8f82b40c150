/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of the NPU's driver share. The device is specified in docs/npu.md. */
#ifndef KERF_NPU_DRV_H
#define KERF_NPU_DRV_H

#include <linux/pci.h>

#include "kerf_drv.h"
#include "../uapi/kerf_npu.h"

#define KERF_NPU_ALIGN 64 /* of every DMA address that the device is told */

/**
 * struct kerf_npu_irq - an MSI-X vector
 * @npu: device
 * @number: Linux's
 * @since: start of the period that @empty counts in, jiffies
 * @empty: calls in that period for which there was no reason
 * @masked: disabled by its handler until @until; under npu->lock
 * @until: jiffies
 */
struct kerf_npu_irq {
	struct kerf_npu *npu;
	int number;
	unsigned long since;
	u32 empty;
	bool masked;
	unsigned long until;
};

/**
 * struct kerf_npu_flight - the job that the device has; one, so that a job of a higher priority
 *	never waits for more than one of a lower
 * @busy: there is one
 * @aborted: the device was asked to drop it
 * @slot: of the engine
 * @generation: of that slot
 * @index: its place in the ring, free running
 * @seqno: its name towards the device, never used twice
 * @started: when it was given
 */
struct kerf_npu_flight {
	bool busy;
	bool aborted;
	u32 slot;
	u32 generation;
	u32 index;
	u64 seqno;
	ktime_t started;
};

/**
 * struct kerf_npu - an NPU
 * @engine: base
 * @pdev: held by the DRM device
 * @regs: BAR 2
 * @doorbell: BAR 0
 * @jobs: ring of descriptors
 * @jobs_dma: its address
 * @completions: ring of completions: the device writes it, so nothing in it is believed
 * @completions_dma: its address
 * @max_commands: bytes of a job's commands
 * @max_windows: windows of a job
 * @max_extents: extents of a window
 * @map_mutex: drm_gem_shmem_get_pages_sgt() of 6.1 does not lock
 * @power_mutex: guards the next three, serialises starting and stopping the device
 * @powered: between resume and suspend: registers answer
 * @on: between start and stop: vectors are enabled
 * @dead: a reset was not answered: the device is not touched any more
 * @lock: what follows; inside kdev->lock
 * @live: completions count: between start and stop, unless the device failed
 * @generation: of CONTROL
 * @submitted: register of this name, as @collected and @abort
 * @collected: see @submitted
 * @abort: see @submitted
 * @flight: the job that the device has
 * @idle: woken when it has none
 * @irqs: by vector
 * @poll_work: looks for completions while a vector is masked
 */
struct kerf_npu {
	struct kerf_engine engine;
	struct pci_dev *pdev;
	void __iomem *regs;
	void __iomem *doorbell;
	struct kerf_npu_job *jobs;
	dma_addr_t jobs_dma;
	struct kerf_npu_completion *completions;
	dma_addr_t completions_dma;
	u32 max_commands;
	u32 max_windows;
	u32 max_extents;
	struct mutex map_mutex;

	struct mutex power_mutex;
	bool powered;
	bool on;
	bool dead;

	spinlock_t lock;
	bool live;
	u32 generation;
	u32 submitted;
	u32 collected;
	u32 abort;
	struct kerf_npu_flight flight;
	wait_queue_head_t idle;
	struct kerf_npu_irq irqs[KERF_NPU_VECTORS];
	struct delayed_work poll_work;
};

#define to_kerf_npu(e) container_of(e, struct kerf_npu, engine)

/* kerf_npu_tables.c: the memory that tells the device what a job is */
int kerf_npu_validate(struct kerf_engine *engine, struct kerf_job *job);
int kerf_npu_tables_create(struct kerf_npu *npu, struct kerf_job *job);
void kerf_npu_tables_destroy(struct kerf_npu *npu, struct kerf_job *job);
void kerf_npu_describe(const struct kerf_job *job, u64 seqno, struct kerf_npu_job *desc);

#endif
