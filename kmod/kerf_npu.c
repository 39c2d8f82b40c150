// SPDX-License-Identifier: GPL-2.0-only
/*
 * The driver of the kerf NPU (docs/npu.md): a PCI device with MMIO, MSI-X and DMA, which may be a
 * piece of hardware or ivshmem with a device model behind it.
 *
 * The device is given one job at a time. What it answers lies in memory that it can write whenever
 * it likes, so answers are copied once and checked: only one that names the job which the device
 * has, by a number never used twice, in this generation, ends that job. Any other is counted and
 * forgotten. An answer without an interrupt is found when the job's time is up; an interrupt
 * without an answer costs nothing, and many of them get their vector disabled for a while.
 *
 * Who touches the device: run() and abandon() while the engine runs (each job holds a runtime PM
 * reference), everything else under power_mutex.
 */
#include <linux/dma-mapping.h>
#include <linux/interrupt.h>
#include <linux/iopoll.h>
#include <linux/module.h>
#include <linux/pm_runtime.h>

#include "kerf_npu.h"

#define KERF_NPU_RING 8 /* entries; one is a job's, the rest for odd answers */
#define KERF_NPU_ANSWER_US 1000000	/* a reset not answered by then never will be */
#define KERF_NPU_TIMEOUT_MS 10000	/* of jobs that do not say */
#define KERF_NPU_AUTOSUSPEND_MS 200
#define KERF_NPU_QUIESCE_MS 5000	/* for the running job to end before the system sleeps */
#define KERF_NPU_EMPTY_MAX 64		/* interrupts for nothing in one period */
#define KERF_NPU_EMPTY_PERIOD (HZ / 50)
#define KERF_NPU_MASKED_TIME (HZ / 10)
#define KERF_NPU_BAR_DOORBELL 0
#define KERF_NPU_BAR_REGS 2

static u32 kerf_npu_read(struct kerf_npu *npu, u32 reg)
{
	return readl(npu->regs + reg);
}

static void kerf_npu_write(struct kerf_npu *npu, u32 reg, u32 value)
{
	writel(value, npu->regs + reg);
}

static void kerf_npu_write64(struct kerf_npu *npu, u32 reg, u64 value)
{
	kerf_npu_write(npu, reg, lower_32_bits(value));
	kerf_npu_write(npu, reg + 4, upper_32_bits(value));
}

/* Has the device look at its registers, after all writes before, those to memory too. */
static void kerf_npu_kick(struct kerf_npu *npu)
{
	writel(KERF_NPU_IVSHMEM_KICK, npu->doorbell + KERF_NPU_IVSHMEM_DOORBELL);
}

/* --- answers --- */

static int kerf_npu_errno(u32 status, bool aborted)
{
	switch (status) {
	case KERF_NPU_OK:
		return 0;
	case KERF_NPU_FAULT_NO_WINDOW:
	case KERF_NPU_FAULT_RANGE:
	case KERF_NPU_FAULT_PERMISSION:
		return -EFAULT;
	case KERF_NPU_FAULT_ABORTED:
		return aborted ? -ECANCELED : -EIO;
	default:
		return -EIO;
	}
}

struct kerf_npu_answer {
	u32 slot;
	u32 generation;
	int error;
	u64 busy_ns;
};

/* Takes the next completion, if there is one. One that ends no job gets a stale generation. */
static bool kerf_npu_take_answer(struct kerf_npu *npu, struct kerf_npu_answer *answer)
{
	struct kerf_npu_flight *flight = &npu->flight;
	struct kerf_npu_completion *c;
	u32 generation, status;
	u64 seqno, busy_ns;
	bool full;

	lockdep_assert_held(&npu->lock);
	c = &npu->completions[npu->collected % KERF_NPU_RING];
	if (!npu->live || le32_to_cpu(READ_ONCE(c->stamp)) != npu->collected + 1)
		return false;
	/* The device wrote the stamp last: what it covers is read after it. */
	dma_rmb();
	seqno = le64_to_cpu(READ_ONCE(c->seqno));
	busy_ns = le64_to_cpu(READ_ONCE(c->busy_ns));
	generation = le32_to_cpu(READ_ONCE(c->generation));
	status = le32_to_cpu(READ_ONCE(c->status));

	full = kerf_npu_read(npu, KERF_NPU_COMPLETED) - npu->collected >= KERF_NPU_RING;
	kerf_npu_write(npu, KERF_NPU_COLLECTED, ++npu->collected);
	if (full)
		kerf_npu_kick(npu);

	answer->slot = flight->slot;
	answer->generation = flight->generation - 1;
	if (!flight->busy || seqno != flight->seqno || generation != npu->generation)
		return true;
	answer->generation = flight->generation;
	answer->error = kerf_npu_errno(status, flight->aborted);
	answer->busy_ns = min_t(u64, busy_ns, ktime_to_ns(ktime_sub(ktime_get(), flight->started)));
	flight->busy = false;
	wake_up_all(&npu->idle);
	return true;
}

/* Hands on what the device has answered; a ring of it at most. True if a job ended by it. */
static bool kerf_npu_collect(struct kerf_npu *npu)
{
	struct kerf_npu_answer answer = {};
	bool found, ended = false;
	unsigned long flags;
	u32 n;

	for (n = 0; n < KERF_NPU_RING; n++) {
		spin_lock_irqsave(&npu->lock, flags);
		found = kerf_npu_take_answer(npu, &answer);
		spin_unlock_irqrestore(&npu->lock, flags);
		if (!found)
			break;
		ended |= kerf_engine_done(&npu->engine, answer.slot, answer.generation,
					  answer.error, answer.busy_ns);
	}
	return ended;
}

/* --- interrupts --- */

/* Called for nothing, or for answers to nobody: without end, that would stop the machine. */
static void kerf_npu_quench(struct kerf_npu_irq *irq)
{
	struct kerf_npu *npu = irq->npu;
	unsigned long flags;

	if (time_after(jiffies, irq->since + KERF_NPU_EMPTY_PERIOD)) {
		irq->since = jiffies;
		irq->empty = 0;
	}
	if (++irq->empty < KERF_NPU_EMPTY_MAX)
		return;

	spin_lock_irqsave(&npu->lock, flags);
	if (npu->live && !irq->masked) {
		disable_irq_nosync(irq->number);
		irq->masked = true;
		irq->until = jiffies + KERF_NPU_MASKED_TIME;
		schedule_delayed_work(&npu->poll_work, 1);
	}
	spin_unlock_irqrestore(&npu->lock, flags);
}

static void kerf_npu_poll(struct work_struct *work)
{
	struct kerf_npu *npu = container_of(work, struct kerf_npu, poll_work.work);
	bool masked = false;
	u32 i;

	for (i = 0; i < KERF_NPU_VECTORS; i++) {
		struct kerf_npu_irq *irq = &npu->irqs[i];

		spin_lock_irq(&npu->lock);
		if (irq->masked && time_after_eq(jiffies, irq->until)) {
			irq->masked = false;
			enable_irq(irq->number);
		}
		masked |= irq->masked;
		spin_unlock_irq(&npu->lock);
	}
	/* After enabling: what came just before it is found here, what comes later interrupts. */
	kerf_npu_collect(npu);
	if (masked)
		schedule_delayed_work(&npu->poll_work, 1);
}

static irqreturn_t kerf_npu_done_irq(int number, void *arg)
{
	struct kerf_npu_irq *irq = arg;
	struct kerf_npu *npu = irq->npu;

	kerf_npu_write(npu, KERF_NPU_IRQ_DONE_ACK, kerf_npu_read(npu, KERF_NPU_IRQ_DONE));
	if (!kerf_npu_collect(npu))
		kerf_npu_quench(irq);
	return IRQ_HANDLED;
}

static irqreturn_t kerf_npu_fault_irq(int number, void *arg)
{
	struct kerf_npu_irq *irq = arg;
	struct kerf_npu *npu = irq->npu;
	unsigned long flags;
	bool failed;
	u32 slot;

	kerf_npu_write(npu, KERF_NPU_IRQ_FAULT_ACK, kerf_npu_read(npu, KERF_NPU_IRQ_FAULT));
	/* What it finished before it failed is done. */
	kerf_npu_collect(npu);

	spin_lock_irqsave(&npu->lock, flags);
	failed = npu->live && kerf_npu_read(npu, KERF_NPU_STATUS) ==
		 (npu->generation << KERF_NPU_GENERATION_SHIFT | KERF_NPU_STATE_FAILED);
	if (failed)
		npu->live = false;
	slot = npu->flight.busy ? npu->flight.slot : KERF_MAX_SLOTS;
	spin_unlock_irqrestore(&npu->lock, flags);

	if (failed)
		kerf_engine_fault(&npu->engine, slot, -EIO);
	else
		kerf_npu_quench(irq);
	return IRQ_HANDLED;
}

/* --- starting and stopping the device; under power_mutex --- */

/* Writes CONTROL and waits until STATUS says that it is so. */
static int kerf_npu_control(struct kerf_npu *npu, u32 what)
{
	u32 wanted = npu->generation << KERF_NPU_GENERATION_SHIFT | what;
	u32 failed = npu->generation << KERF_NPU_GENERATION_SHIFT | KERF_NPU_STATE_FAILED;
	u32 status;

	BUILD_BUG_ON((u32)KERF_NPU_CONTROL_RESET != (u32)KERF_NPU_STATE_RESET);
	BUILD_BUG_ON((u32)KERF_NPU_CONTROL_RUN != (u32)KERF_NPU_STATE_RUN);
	kerf_npu_write(npu, KERF_NPU_CONTROL, wanted);
	kerf_npu_kick(npu);
	/* All ones: nobody is there. */
	if (readl_poll_timeout(npu->regs + KERF_NPU_STATUS, status,
			       status == wanted || status == failed || status == U32_MAX, 20,
			       KERF_NPU_ANSWER_US))
		return -EIO;
	return status == wanted ? 0 : -EIO;
}

/* The new generation is neither that of what the device says nor of what it was told last. */
static int kerf_npu_reset_device(struct kerf_npu *npu)
{
	u32 said = kerf_npu_read(npu, KERF_NPU_STATUS) >> KERF_NPU_GENERATION_SHIFT;
	u32 told = kerf_npu_read(npu, KERF_NPU_CONTROL) >> KERF_NPU_GENERATION_SHIFT;

	npu->generation = (said + 1) & KERF_NPU_GENERATION_MAX;
	if (npu->generation == told)
		npu->generation = (told + 1) & KERF_NPU_GENERATION_MAX;
	return kerf_npu_control(npu, KERF_NPU_CONTROL_RESET);
}

/* No handler of ours runs any more, and no DMA: the device said so, or is kept from it. */
static void kerf_npu_off(struct kerf_npu *npu)
{
	u32 i;

	if (!npu->on)
		return;
	npu->on = false;
	spin_lock_irq(&npu->lock);
	npu->live = false;
	spin_unlock_irq(&npu->lock);

	if (kerf_npu_reset_device(npu)) {
		npu->dead = true;
		pci_clear_master(npu->pdev);
	}
	for (i = 0; i < KERF_NPU_VECTORS; i++)
		disable_irq(npu->irqs[i].number);
	/* With the handlers gone nobody masks a vector or queues the work again. */
	cancel_delayed_work_sync(&npu->poll_work);
	for (i = 0; i < KERF_NPU_VECTORS; i++) {
		if (npu->irqs[i].masked)
			enable_irq(npu->irqs[i].number);
		npu->irqs[i].masked = false;
	}

	spin_lock_irq(&npu->lock);
	npu->flight.busy = false;
	spin_unlock_irq(&npu->lock);
	wake_up_all(&npu->idle);
}

static int kerf_npu_on(struct kerf_npu *npu)
{
	int ret;
	u32 i;

	if (npu->dead)
		return -EIO;
	ret = kerf_npu_reset_device(npu);
	if (ret)
		goto err_dead;

	memset(npu->jobs, 0, KERF_NPU_RING * sizeof(*npu->jobs));
	memset(npu->completions, 0, KERF_NPU_RING * sizeof(*npu->completions));
	spin_lock_irq(&npu->lock);
	npu->submitted = 0;
	npu->collected = 0;
	npu->abort = 0;
	npu->live = true;
	spin_unlock_irq(&npu->lock);
	kerf_npu_write(npu, KERF_NPU_RING_SIZE, KERF_NPU_RING);
	kerf_npu_write64(npu, KERF_NPU_JOBS_LO, npu->jobs_dma);
	kerf_npu_write64(npu, KERF_NPU_COMPLETIONS_LO, npu->completions_dma);
	kerf_npu_write(npu, KERF_NPU_SUBMITTED, 0);
	kerf_npu_write(npu, KERF_NPU_COLLECTED, 0);
	kerf_npu_write(npu, KERF_NPU_ABORT, 0);
	kerf_npu_write(npu, KERF_NPU_IRQ_DONE_ACK, kerf_npu_read(npu, KERF_NPU_IRQ_DONE));
	kerf_npu_write(npu, KERF_NPU_IRQ_FAULT_ACK, kerf_npu_read(npu, KERF_NPU_IRQ_FAULT));
	for (i = 0; i < KERF_NPU_VECTORS; i++)
		enable_irq(npu->irqs[i].number);
	npu->on = true;

	ret = kerf_npu_control(npu, KERF_NPU_CONTROL_RUN);
	if (ret) {
		kerf_npu_off(npu);
		goto err_dead;
	}
	return 0;

err_dead:
	npu->dead = true;
	pci_clear_master(npu->pdev);
	return ret;
}

/* --- the engine --- */

static int kerf_npu_prepare(struct kerf_engine *engine, struct kerf_job *job)
{
	struct kerf_npu *npu = to_kerf_npu(engine);
	int ret;

	if (pm_runtime_resume_and_get(&npu->pdev->dev))
		return -EIO;
	ret = kerf_npu_tables_create(npu, job);
	if (ret)
		pm_runtime_put_autosuspend(&npu->pdev->dev);
	return ret;
}

static void kerf_npu_unprepare(struct kerf_engine *engine, struct kerf_job *job)
{
	struct kerf_npu *npu = to_kerf_npu(engine);

	kerf_npu_tables_destroy(npu, job);
	pm_runtime_mark_last_busy(&npu->pdev->dev);
	pm_runtime_put_autosuspend(&npu->pdev->dev);
}

static enum kerf_run_result kerf_npu_run(struct kerf_engine *engine, struct kerf_job *job,
					 u32 generation)
{
	struct kerf_npu *npu = to_kerf_npu(engine);

	spin_lock(&npu->lock);
	npu->flight = (struct kerf_npu_flight){
		.busy = true,
		.slot = job->slot,
		.generation = generation,
		.index = npu->submitted,
		.seqno = npu->flight.seqno + 1,
		.started = ktime_get(),
	};
	kerf_npu_describe(job, npu->flight.seqno, &npu->jobs[npu->submitted % KERF_NPU_RING]);
	/* The descriptor and all it leads to are in memory before the device is told of it. */
	dma_wmb();
	kerf_npu_write(npu, KERF_NPU_SUBMITTED, ++npu->submitted);
	kerf_npu_kick(npu);
	spin_unlock(&npu->lock);
	return KERF_RUN_STARTED;
}

/* Time is up; but the job may be done without an interrupt having come. */
static bool kerf_npu_progress(struct kerf_engine *engine, u32 slot)
{
	struct kerf_npu *npu = to_kerf_npu(engine);
	bool over;
	u64 seqno;

	spin_lock_irq(&npu->lock);
	seqno = npu->flight.seqno;
	spin_unlock_irq(&npu->lock);
	kerf_npu_collect(npu);
	spin_lock_irq(&npu->lock);
	over = !npu->flight.busy || npu->flight.seqno != seqno;
	spin_unlock_irq(&npu->lock);
	return over;
}

static void kerf_npu_stop(struct kerf_engine *engine)
{
	struct kerf_npu *npu = to_kerf_npu(engine);

	mutex_lock(&npu->power_mutex);
	kerf_npu_off(npu);
	mutex_unlock(&npu->power_mutex);
}

static int kerf_npu_reset(struct kerf_engine *engine)
{
	struct kerf_npu *npu = to_kerf_npu(engine);
	int ret;

	mutex_lock(&npu->power_mutex);
	if (npu->powered)
		ret = kerf_npu_on(npu);
	else
		ret = npu->dead ? -EIO : 0;
	mutex_unlock(&npu->power_mutex);
	return ret;
}

static void kerf_npu_abandon(struct kerf_engine *engine, u32 slot)
{
	struct kerf_npu *npu = to_kerf_npu(engine);

	spin_lock(&npu->lock);
	/* One abort at a time; if the last is not answered yet the job ends by itself. */
	if (npu->live && npu->flight.busy && !npu->flight.aborted &&
	    kerf_npu_read(npu, KERF_NPU_ABORTED) == npu->abort) {
		npu->flight.aborted = true;
		kerf_npu_write(npu, KERF_NPU_ABORT_INDEX, npu->flight.index);
		kerf_npu_write(npu, KERF_NPU_ABORT, ++npu->abort);
		kerf_npu_kick(npu);
	}
	spin_unlock(&npu->lock);
}

static void kerf_npu_release(struct kerf_engine *engine)
{
	struct kerf_npu *npu = to_kerf_npu(engine);

	mutex_destroy(&npu->map_mutex);
	mutex_destroy(&npu->power_mutex);
	kfree(npu);
}

static const struct kerf_engine_ops kerf_npu_ops = {
	.validate = kerf_npu_validate,
	.prepare = kerf_npu_prepare,
	.run = kerf_npu_run,
	.progress = kerf_npu_progress,
	.stop = kerf_npu_stop,
	.reset = kerf_npu_reset,
	.unprepare = kerf_npu_unprepare,
	.abandon = kerf_npu_abandon,
	.release = kerf_npu_release,
};

/* --- power --- */

static int kerf_npu_runtime_suspend(struct device *dev)
{
	struct kerf_npu *npu = dev_get_drvdata(dev);
	bool died;

	mutex_lock(&npu->power_mutex);
	died = !npu->dead;
	kerf_npu_off(npu);
	died &= npu->dead;
	npu->powered = false;
	mutex_unlock(&npu->power_mutex);
	/* The core asks for a reset, and hears that there is none. */
	if (died)
		kerf_engine_fault(&npu->engine, KERF_MAX_SLOTS, -EIO);
	return 0;
}

static int kerf_npu_runtime_resume(struct device *dev)
{
	struct kerf_npu *npu = dev_get_drvdata(dev);
	bool died;
	int ret;

	mutex_lock(&npu->power_mutex);
	died = !npu->dead;
	npu->powered = true;
	ret = kerf_npu_on(npu);
	died &= npu->dead;
	mutex_unlock(&npu->power_mutex);
	if (died)
		kerf_engine_fault(&npu->engine, KERF_MAX_SLOTS, -EIO);
	return ret;
}

/* Jobs that wait stay where they are; the one that runs may end, since it could not run twice. */
static int kerf_npu_suspend(struct device *dev)
{
	struct kerf_npu *npu = dev_get_drvdata(dev);
	int ret = -EBUSY;

	kerf_engine_pause(&npu->engine, KERF_ENGINE_READY);
	if (wait_event_timeout(npu->idle, !READ_ONCE(npu->flight.busy),
			       msecs_to_jiffies(KERF_NPU_QUIESCE_MS)))
		ret = pm_runtime_force_suspend(dev);
	if (ret)
		kerf_engine_resume(&npu->engine);
	return ret;
}

static int kerf_npu_resume(struct device *dev)
{
	struct kerf_npu *npu = dev_get_drvdata(dev);
	int ret;

	ret = pm_runtime_force_resume(dev);
	kerf_engine_resume(&npu->engine);
	return ret;
}

static const struct dev_pm_ops kerf_npu_pm_ops = {
	SYSTEM_SLEEP_PM_OPS(kerf_npu_suspend, kerf_npu_resume)
	RUNTIME_PM_OPS(kerf_npu_runtime_suspend, kerf_npu_runtime_resume, NULL)
};

/* --- coming and going --- */

/* ivshmem is many things: this is an NPU only if its memory says so. */
static int kerf_npu_identify(struct kerf_npu *npu)
{
	struct device *dev = &npu->pdev->dev;
	u32 bits;
	int ret;

	if (kerf_npu_read(npu, KERF_NPU_MAGIC) != KERF_NPU_MAGIC_VALUE ||
	    kerf_npu_read(npu, KERF_NPU_VERSION) >> 16 != KERF_NPU_VERSION_VALUE >> 16)
		return -ENODEV;
	npu->max_commands = kerf_npu_read(npu, KERF_NPU_MAX_COMMANDS);
	npu->max_windows = kerf_npu_read(npu, KERF_NPU_MAX_WINDOWS);
	npu->max_extents = kerf_npu_read(npu, KERF_NPU_MAX_EXTENTS);
	bits = kerf_npu_read(npu, KERF_NPU_DMA_BITS);
	if (kerf_npu_read(npu, KERF_NPU_MAX_RING) < KERF_NPU_RING || bits < 24 || bits > 64)
		return dev_err_probe(dev, -ENODEV, "registers make no sense\n");
	npu->engine.caps = kerf_npu_read(npu, KERF_NPU_FEATURES) |
			   (u64)kerf_npu_read(npu, KERF_NPU_COMMAND_SET) << 32;
	dma_set_max_seg_size(dev, UINT_MAX);
	ret = dma_set_mask_and_coherent(dev, DMA_BIT_MASK(bits));
	if (ret)
		return ret;
	/* BOs would be bounced, and clients that look at them after a job would see old bytes. */
	if (dma_addressing_limited(dev))
		return dev_err_probe(dev, -EIO, "reaches %u bits of addresses, memory has more\n", bits);
	return 0;
}

static void __iomem *kerf_npu_map_bar(struct pci_dev *pdev, int bar, resource_size_t size)
{
	resource_size_t start = pci_resource_start(pdev, bar);
	void __iomem *map;

	if (!(pci_resource_flags(pdev, bar) & IORESOURCE_MEM) || pci_resource_len(pdev, bar) < size)
		return IOMEM_ERR_PTR(-ENODEV);
	if (!devm_request_mem_region(&pdev->dev, start, size, "kerf-npu"))
		return IOMEM_ERR_PTR(-EBUSY);
	map = devm_ioremap(&pdev->dev, start, size);
	return map ?: IOMEM_ERR_PTR(-ENOMEM);
}

static int kerf_npu_map_bars(struct kerf_npu *npu)
{
	int ret;

	ret = pcim_enable_device(npu->pdev);
	if (ret)
		return ret;
	npu->regs = kerf_npu_map_bar(npu->pdev, KERF_NPU_BAR_REGS, KERF_NPU_REGS_SIZE);
	if (IS_ERR(npu->regs))
		return PTR_ERR(npu->regs);
	npu->doorbell = kerf_npu_map_bar(npu->pdev, KERF_NPU_BAR_DOORBELL,
					 KERF_NPU_IVSHMEM_DOORBELL + 4);
	return PTR_ERR_OR_ZERO(npu->doorbell);
}

static void kerf_npu_free_irqs(struct kerf_npu *npu)
{
	u32 i;

	for (i = 0; i < KERF_NPU_VECTORS; i++)
		if (npu->irqs[i].npu)
			free_irq(npu->irqs[i].number, &npu->irqs[i]);
	pci_free_irq_vectors(npu->pdev);
}

/* Vectors stay disabled until the device is on. */
static int kerf_npu_request_irqs(struct kerf_npu *npu)
{
	static const irq_handler_t handlers[KERF_NPU_VECTORS] = {
		[KERF_NPU_VECTOR_DONE] = kerf_npu_done_irq,
		[KERF_NPU_VECTOR_FAULT] = kerf_npu_fault_irq,
	};
	static const char *const names[KERF_NPU_VECTORS] = { "done", "fault" };
	int ret;
	u32 i;

	ret = pci_alloc_irq_vectors(npu->pdev, KERF_NPU_VECTORS, KERF_NPU_VECTORS, PCI_IRQ_MSIX);
	if (ret < 0)
		return ret;
	for (i = 0; i < KERF_NPU_VECTORS; i++) {
		struct kerf_npu_irq *irq = &npu->irqs[i];

		irq->number = pci_irq_vector(npu->pdev, i);
		irq->npu = npu;
		ret = request_irq(irq->number, handlers[i], IRQF_NO_AUTOEN, names[i], irq);
		if (ret) {
			irq->npu = NULL;
			kerf_npu_free_irqs(npu);
			return ret;
		}
	}
	return 0;
}

static int kerf_npu_alloc_rings(struct kerf_npu *npu)
{
	struct device *dev = &npu->pdev->dev;

	npu->jobs = dmam_alloc_coherent(dev, KERF_NPU_RING * sizeof(*npu->jobs), &npu->jobs_dma,
					GFP_KERNEL);
	npu->completions = dmam_alloc_coherent(dev, KERF_NPU_RING * sizeof(*npu->completions),
					       &npu->completions_dma, GFP_KERNEL);
	return npu->jobs && npu->completions ? 0 : -ENOMEM;
}

static struct kerf_npu *kerf_npu_create(struct pci_dev *pdev)
{
	struct kerf_npu *npu = kzalloc(sizeof(*npu), GFP_KERNEL);

	if (!npu)
		return NULL;
	npu->pdev = pdev;
	mutex_init(&npu->map_mutex);
	mutex_init(&npu->power_mutex);
	spin_lock_init(&npu->lock);
	init_waitqueue_head(&npu->idle);
	INIT_DELAYED_WORK(&npu->poll_work, kerf_npu_poll);
	npu->engine.ops = &kerf_npu_ops;
	npu->engine.engine_class = KERF_ENGINE_NPU;
	npu->engine.flags = KERF_ENGINE_FENCES;
	npu->engine.depth = 1;
	npu->engine.timeout_ms = KERF_NPU_TIMEOUT_MS;
	/* A job may have written over what it read: it is not run twice. */
	npu->engine.max_attempts = 1;
	strscpy(npu->engine.name, "npu", sizeof(npu->engine.name));
	return npu;
}

static int kerf_npu_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct device *dev = &pdev->dev;
	struct kerf_device *kdev;
	struct kerf_npu *npu;
	int ret;

	npu = kerf_npu_create(pdev);
	if (!npu)
		return -ENOMEM;
	ret = kerf_npu_map_bars(npu);
	if (ret)
		goto err_free;
	ret = kerf_npu_identify(npu);
	if (ret)
		goto err_free;
	ret = kerf_npu_alloc_rings(npu);
	if (ret)
		goto err_free;
	kdev = kerf_device_create(dev);
	if (IS_ERR(kdev)) {
		ret = PTR_ERR(kdev);
		goto err_free;
	}
	/* Before the device can tell anything: its interrupts are answered through the core. */
	ret = kerf_engine_add(kdev, &npu->engine);
	if (ret) {
		kerf_device_remove(kdev);
		goto err_free;
	}
	/* One reference is the device's, this one the interrupt handlers' and remove()'s. */
	kref_get(&npu->engine.ref);
	pci_set_drvdata(pdev, npu);
	pci_set_master(pdev);
	ret = kerf_npu_request_irqs(npu);
	if (ret)
		goto err_remove;
	mutex_lock(&npu->power_mutex);
	npu->powered = true;
	ret = kerf_npu_on(npu);
	mutex_unlock(&npu->power_mutex);
	if (ret)
		goto err_remove;
	pm_runtime_set_autosuspend_delay(dev, KERF_NPU_AUTOSUSPEND_MS);
	pm_runtime_use_autosuspend(dev);
	ret = kerf_device_register(kdev);
	if (ret)
		goto err_remove;
	/* From here on jobs hold it awake, and whoever wrote "on" to power/control. */
	pm_runtime_mark_last_busy(dev);
	pm_runtime_put_autosuspend(dev);
	return 0;

err_remove:
	pm_runtime_dont_use_autosuspend(dev);
	kerf_device_remove(kdev);
	kerf_npu_stop(&npu->engine);
	kerf_npu_free_irqs(npu);
	kerf_engine_put(&npu->engine);
	return ret;
err_free:
	kerf_npu_release(&npu->engine);
	return ret;
}

static void kerf_npu_remove(struct pci_dev *pdev)
{
	struct kerf_npu *npu = pci_get_drvdata(pdev);

	pm_runtime_get_noresume(&pdev->dev);
	pm_runtime_dont_use_autosuspend(&pdev->dev);
	kerf_device_remove(npu->engine.kdev);
	kerf_npu_stop(&npu->engine);
	kerf_npu_free_irqs(npu);
	kerf_engine_put(&npu->engine);
}

static void kerf_npu_shutdown(struct pci_dev *pdev)
{
	struct kerf_npu *npu = pci_get_drvdata(pdev);

	kerf_engine_pause(&npu->engine, KERF_ENGINE_READY);
	mutex_lock(&npu->power_mutex);
	kerf_npu_off(npu);
	/* A job that runs out of time from now on has it reset, not started again. */
	npu->powered = false;
	mutex_unlock(&npu->power_mutex);
}

static const struct pci_device_id kerf_npu_ids[] = {
	{ PCI_DEVICE(PCI_VENDOR_ID_REDHAT_QUMRANET, 0x1110) }, /* ivshmem */
	{ }
};
MODULE_DEVICE_TABLE(pci, kerf_npu_ids);

static struct pci_driver kerf_npu_driver = {
	.name = "kerf-npu",
	.id_table = kerf_npu_ids,
	.probe = kerf_npu_probe,
	.remove = kerf_npu_remove,
	.shutdown = kerf_npu_shutdown,
	.driver.pm = pm_ptr(&kerf_npu_pm_ops),
};

int kerf_npu_init(void)
{
	return pci_register_driver(&kerf_npu_driver);
}

void kerf_npu_exit(void)
{
	pci_unregister_driver(&kerf_npu_driver);
}
