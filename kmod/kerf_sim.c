// SPDX-License-Identifier: GPL-2.0-only
/*
 * The engine "sim": a timer a slot. It does nothing but take time, and misbehaves as debugfs asks:
 * each file in sim/ holds how many of the next jobs (or resets) meet that fault.
 */
#include <linux/debugfs.h>
#include <linux/hrtimer.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "kerf_drv.h"
#include "kerf_validate.h"

#define SIM_TIMEOUT_MS 2000
#define SIM_MAX_ATTEMPTS 3

static bool sim = true;
module_param(sim, bool, 0444);
MODULE_PARM_DESC(sim, "Offer the engine \"sim\" (default: yes)");

static unsigned int sim_depth = 1;
module_param(sim_depth, uint, 0444);
MODULE_PARM_DESC(sim_depth, "Jobs that \"sim\" runs at the same time (default: 1)");

enum sim_fault {
	SIM_NONE,
	SIM_HANG,  /* never answers */
	SIM_LATE,  /* answers once it was given up */
	SIM_TWICE, /* answers, and again */
	SIM_STALE, /* answers for the job before, then for itself */
	SIM_FAIL,  /* ends with -EIO */
	SIM_N_FAULTS,
};

static const char *const sim_fault_names[SIM_N_FAULTS] = {
	[SIM_HANG] = "hang",   [SIM_LATE] = "late", [SIM_TWICE] = "twice",
	[SIM_STALE] = "stale", [SIM_FAIL] = "fail",
};

/**
 * struct sim_slot - what runs in a slot
 * @timer: its end
 * @sim: engine
 * @index: of the slot
 * @generation: of the job
 * @fault: that it meets
 */
struct sim_slot {
	struct hrtimer timer;
	struct sim_engine *sim;
	u32 index;
	u32 generation;
	enum sim_fault fault;
};

/**
 * struct sim_engine - the engine
 * @engine: base
 * @faults: by kind, how many jobs are still to meet it
 * @reset_fails: resets that are still to fail
 * @slots: by index
 */
struct sim_engine {
	struct kerf_engine engine;
	u32 faults[SIM_N_FAULTS];
	u32 reset_fails;
	struct sim_slot slots[KERF_MAX_SLOTS];
};

static struct sim_engine *to_sim(struct kerf_engine *engine)
{
	return container_of(engine, struct sim_engine, engine);
}

static int sim_validate(struct kerf_engine *engine, struct kerf_job *job)
{
	return kerf_validate_sim(job->cmd, job->cmd_size);
}

/* kdev->lock held; a write to debugfs meanwhile may be lost, or count once more. */
static enum sim_fault sim_next_fault(struct sim_engine *s)
{
	enum sim_fault f;

	for (f = SIM_NONE + 1; f < SIM_N_FAULTS; f++) {
		u32 left = READ_ONCE(s->faults[f]);

		if (left) {
			WRITE_ONCE(s->faults[f], left - 1);
			return f;
		}
	}
	return SIM_NONE;
}

static enum hrtimer_restart sim_fire(struct hrtimer *timer)
{
	struct sim_slot *slot = container_of(timer, struct sim_slot, timer);
	struct kerf_engine *engine = &slot->sim->engine;
	/* once told, the slot may get its next job */
	u32 index = slot->index, generation = slot->generation;
	enum sim_fault fault = slot->fault;

	if (fault == SIM_STALE)
		kerf_engine_done(engine, index, generation - 1, 0, 0);
	kerf_engine_done(engine, index, generation, fault == SIM_FAIL ? -EIO : 0, 0);
	if (fault == SIM_TWICE)
		kerf_engine_done(engine, index, generation, 0, 0);
	return HRTIMER_NORESTART;
}

static enum kerf_run_result sim_run(struct kerf_engine *engine, struct kerf_job *job,
				    u32 generation)
{
	struct sim_engine *s = to_sim(engine);
	struct sim_slot *slot = &s->slots[job->slot];
	const struct drm_kerf_sim_cmd *cmd = job->cmd;
	u32 us = cmd ? cmd->duration_us : 0;

	slot->fault = sim_next_fault(s);
	slot->generation = generation;
	if (slot->fault == SIM_HANG || slot->fault == SIM_LATE)
		return KERF_RUN_STARTED;
	if (!us && slot->fault == SIM_NONE)
		return KERF_RUN_DONE;
	hrtimer_start(&slot->timer, ns_to_ktime((u64)us * NSEC_PER_USEC), HRTIMER_MODE_REL);
	return KERF_RUN_STARTED;
}

static void sim_stop(struct kerf_engine *engine)
{
	struct sim_engine *s = to_sim(engine);
	u32 i;

	for (i = 0; i < engine->depth; i++)
		hrtimer_cancel(&s->slots[i].timer);
}

static int sim_reset(struct kerf_engine *engine)
{
	struct sim_engine *s = to_sim(engine);
	u32 i, left = READ_ONCE(s->reset_fails);

	/* What was late comes now: its job has been judged, so the core must not heed it. */
	for (i = 0; i < engine->depth; i++) {
		struct sim_slot *slot = &s->slots[i];

		if (slot->fault == SIM_LATE)
			kerf_engine_done(engine, i, slot->generation, 0, 0);
		slot->fault = SIM_NONE;
	}
	if (left) {
		WRITE_ONCE(s->reset_fails, left - 1);
		return -EIO;
	}
	return 0;
}

static void sim_release(struct kerf_engine *engine)
{
	kfree(to_sim(engine));
}

static const struct kerf_engine_ops sim_ops = {
	.validate = sim_validate,
	.run = sim_run,
	.stop = sim_stop,
	.reset = sim_reset,
	.release = sim_release,
};

static void sim_add_knobs(struct sim_engine *s, struct dentry *parent)
{
	struct dentry *dir = debugfs_create_dir("sim", parent);
	int f;

	for (f = SIM_NONE + 1; f < SIM_N_FAULTS; f++)
		debugfs_create_u32(sim_fault_names[f], 0600, dir, &s->faults[f]);
	debugfs_create_u32("reset_fails", 0600, dir, &s->reset_fails);
}

int kerf_sim_add(struct kerf_device *kdev)
{
	struct sim_engine *s;
	u32 i;
	int ret;

	if (!sim)
		return 0;
	s = kzalloc(sizeof(*s), GFP_KERNEL);
	if (!s)
		return -ENOMEM;
	s->engine.ops = &sim_ops;
	s->engine.engine_class = KERF_ENGINE_SIM;
	s->engine.flags = KERF_ENGINE_FENCES;
	s->engine.depth = clamp(sim_depth, 1u, (unsigned int)KERF_MAX_SLOTS);
	s->engine.timeout_ms = SIM_TIMEOUT_MS;
	s->engine.max_attempts = SIM_MAX_ATTEMPTS;
	strscpy(s->engine.name, "sim", sizeof(s->engine.name));
	for (i = 0; i < s->engine.depth; i++) {
		s->slots[i].sim = s;
		s->slots[i].index = i;
		kerf_hrtimer_setup(&s->slots[i].timer, sim_fire);
	}
	ret = kerf_engine_add(kdev, &s->engine);
	if (ret)
		kfree(s);
	else
		sim_add_knobs(s, kdev->debugfs);
	return ret;
}
