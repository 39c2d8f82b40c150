/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note OR MIT */
/*
 * The kerf NPU: registers, rings and commands. docs/npu.md is the specification; this header
 * has its numbers and layouts. Everything is little-endian; float32 values travel as their bits.
 *
 * The first part is between the device and its driver. The second part, the command set, is
 * between the device and whoever makes a job's commands: the driver passes them on unread.
 */
#ifndef KERF_NPU_H
#define KERF_NPU_H

#include <linux/types.h>

#if defined(__cplusplus)
extern "C" {
#endif

/* --- registers: 32 bits each, one page or more of BAR 2 ----------------------------------- */

#define KERF_NPU_REGS_SIZE 0x10000u

#define KERF_NPU_MAGIC_VALUE 0x55504e4bu /* "KNPU" */
#define KERF_NPU_VERSION_VALUE 0x00010000u /* major << 16 | minor */
#define KERF_NPU_COMMAND_SET_VALUE 1u

/* Constant: what the device is. */
#define KERF_NPU_MAGIC 0x000
#define KERF_NPU_VERSION 0x004      /* another major: not ours */
#define KERF_NPU_FEATURES 0x008     /* KERF_NPU_FEATURE_* */
#define KERF_NPU_COMMAND_SET 0x00c  /* newest understood; older ones too */
#define KERF_NPU_MAX_RING 0x010     /* entries of each ring */
#define KERF_NPU_MAX_COMMANDS 0x014 /* bytes of one job's commands */
#define KERF_NPU_MAX_WINDOWS 0x018  /* windows of one job */
#define KERF_NPU_MAX_EXTENTS 0x01c  /* extents of one window */
#define KERF_NPU_DMA_BITS 0x020     /* addresses are below 1 << this */
#define KERF_NPU_TENSOR_BITS 0x024  /* a tensor has at most 1 << this bytes */
#define KERF_NPU_WORK_BITS 0x028    /* a job does at most 1 << this work (docs/npu.md) */

#define KERF_NPU_FEATURE_INT8 (1u << 0)
#define KERF_NPU_FEATURE_F32 (1u << 1)

/* Written by the device. */
#define KERF_NPU_STATUS 0x040    /* generation << 8 | enum kerf_npu_state */
#define KERF_NPU_FETCHED 0x044   /* job descriptors taken, free running */
#define KERF_NPU_COMPLETED 0x048 /* completions written, free running */
#define KERF_NPU_PROGRESS 0x04c  /* goes up while a job moves on */
#define KERF_NPU_ABORTED 0x050   /* the last ABORT dealt with */
#define KERF_NPU_IRQ_DONE 0x054  /* events of vector 0, free running */
#define KERF_NPU_IRQ_FAULT 0x058 /* events of vector 1, free running */
#define KERF_NPU_FAULT_CODE 0x060 /* enum kerf_npu_fault: why STATUS is FAILED */
#define KERF_NPU_FAULT_ADDR_LO 0x068
#define KERF_NPU_FAULT_ADDR_HI 0x06c

/* Written by the driver. */
#define KERF_NPU_CONTROL 0x080 /* generation << 8 | enum kerf_npu_control */
#define KERF_NPU_RING_SIZE 0x084 /* entries of each ring, a power of two */
#define KERF_NPU_JOBS_LO 0x088 /* DMA address of struct kerf_npu_job[RING_SIZE] */
#define KERF_NPU_JOBS_HI 0x08c
#define KERF_NPU_COMPLETIONS_LO 0x090 /* DMA address of struct kerf_npu_completion[RING_SIZE] */
#define KERF_NPU_COMPLETIONS_HI 0x094
#define KERF_NPU_SUBMITTED 0x098 /* job descriptors given, free running */
#define KERF_NPU_COLLECTED 0x09c /* completions read, free running */
#define KERF_NPU_ABORT 0x0a0     /* changed to ask for an abort */
#define KERF_NPU_ABORT_INDEX 0x0a4 /* of the job: SUBMITTED before it was given */
#define KERF_NPU_IRQ_DONE_ACK 0x0a8 /* IRQ_DONE as last seen */
#define KERF_NPU_IRQ_FAULT_ACK 0x0ac
#define KERF_NPU_KICK 0x0c0 /* any write: look at the registers above (not on ivshmem) */

#define KERF_NPU_GENERATION_SHIFT 8
#define KERF_NPU_GENERATION_MAX 0xffffffu

/** enum kerf_npu_control - low byte of CONTROL */
enum kerf_npu_control {
	/** @KERF_NPU_CONTROL_RESET: stop everything, forget everything */
	KERF_NPU_CONTROL_RESET = 1,
	/** @KERF_NPU_CONTROL_RUN: read the ring registers, take jobs */
	KERF_NPU_CONTROL_RUN = 2,
};

/** enum kerf_npu_state - low byte of STATUS */
enum kerf_npu_state {
	/** @KERF_NPU_STATE_OFF: after power-on; as RESET */
	KERF_NPU_STATE_OFF = 0,
	/** @KERF_NPU_STATE_RESET: no DMA, no completion, no event until CONTROL says RUN */
	KERF_NPU_STATE_RESET = 1,
	/** @KERF_NPU_STATE_RUN: takes jobs */
	KERF_NPU_STATE_RUN = 2,
	/** @KERF_NPU_STATE_FAILED: as RESET, but of itself; FAULT_* say why; RESET leads out */
	KERF_NPU_STATE_FAILED = 3,
};

/* MSI-X vectors. */
#define KERF_NPU_VECTOR_DONE 0
#define KERF_NPU_VECTOR_FAULT 1
#define KERF_NPU_VECTORS 2

/* On ivshmem: the device's peer number, and BAR 0's doorbell register and what to write to it. */
#define KERF_NPU_IVSHMEM_DOORBELL 0x00c
#define KERF_NPU_IVSHMEM_KICK 0u /* peer 0 << 16 | vector 0 */

/* --- rings ---------------------------------------------------------------------------------- */

/**
 * struct kerf_npu_job - a job descriptor; 64-byte aligned, as are all DMA addresses in it
 * @seqno: the driver's own name for the job, given back
 * @commands: DMA address
 * @windows: DMA address of struct kerf_npu_window[@n_windows]; ignored if that is 0
 * @commands_size: bytes, a multiple of 8, at most MAX_COMMANDS; may be 0
 * @n_windows: at most MAX_WINDOWS
 * @flags: 0
 * @pad: 0
 */
struct kerf_npu_job {
	__le64 seqno;
	__le64 commands;
	__le64 windows;
	__le32 commands_size;
	__le32 n_windows;
	__le32 flags;
	__le32 pad[7];
};

/** @KERF_NPU_WINDOW_READ: commands may read it */
#define KERF_NPU_WINDOW_READ (1u << 0)
/** @KERF_NPU_WINDOW_WRITE: commands may write it */
#define KERF_NPU_WINDOW_WRITE (1u << 1)

/**
 * struct kerf_npu_window - what of memory a job may touch
 * @extents: DMA address of the first struct kerf_npu_extents
 * @offset: bytes of the extents before the window begins; a multiple of 64
 * @size: bytes of the window, not 0
 * @flags: KERF_NPU_WINDOW_*
 * @n_extents: extents in all parts of the list, at most MAX_EXTENTS; they hold offset + size bytes
 *   or more
 */
struct kerf_npu_window {
	__le64 extents;
	__le64 offset;
	__le64 size;
	__le32 flags;
	__le32 n_extents;
};

/**
 * struct kerf_npu_extent - a piece of memory
 * @addr: DMA address, a multiple of 64
 * @size: bytes, a multiple of 64, not 0
 */
struct kerf_npu_extent {
	__le64 addr;
	__le64 size;
};

/**
 * struct kerf_npu_extents - part of a list of extents; @count struct kerf_npu_extent follow it
 * @next: DMA address of the next part, ignored once n_extents are read
 * @count: extents in this part, not 0
 * @pad: 0
 */
struct kerf_npu_extents {
	__le64 next;
	__le32 count;
	__le32 pad;
};

#define KERF_NPU_NO_COMMAND 0xffffffffu
#define KERF_NPU_NO_WINDOW 0xffffffffu

/**
 * struct kerf_npu_completion - how a job ended
 * @seqno: the job's
 * @busy_ns: time the device worked on it, by its own clock
 * @fault_offset: in the window, or DMA address if there is no window
 * @status: enum kerf_npu_fault; 0: done
 * @generation: of CONTROL when the job was taken
 * @fault_command: which command, counted from 0, or KERF_NPU_NO_COMMAND
 * @fault_window: which window, or KERF_NPU_NO_WINDOW
 * @commands_done: commands carried out
 * @pad: 0
 * @stamp: index of this completion plus 1 (COMPLETED after it); written last
 */
struct kerf_npu_completion {
	__le64 seqno;
	__le64 busy_ns;
	__le64 fault_offset;
	__le32 status;
	__le32 generation;
	__le32 fault_command;
	__le32 fault_window;
	__le32 commands_done;
	__le32 pad[4];
	__le32 stamp;
};

/** enum kerf_npu_fault - status of a completion, and FAULT_CODE */
enum kerf_npu_fault {
	/** @KERF_NPU_OK: no fault */
	KERF_NPU_OK = 0,
	/** @KERF_NPU_FAULT_ABORTED: the driver asked for it */
	KERF_NPU_FAULT_ABORTED = 1,
	/** @KERF_NPU_FAULT_BUS: a DMA address of the driver's leads nowhere */
	KERF_NPU_FAULT_BUS = 2,
	/** @KERF_NPU_FAULT_RING: ring registers or counters make no sense (FAULT_CODE only) */
	KERF_NPU_FAULT_RING = 3,
	/** @KERF_NPU_FAULT_JOB: a job descriptor breaks its rules */
	KERF_NPU_FAULT_JOB = 4,
	/** @KERF_NPU_FAULT_WINDOW_TABLE: a window or an extent list breaks its rules */
	KERF_NPU_FAULT_WINDOW_TABLE = 5,
	/** @KERF_NPU_FAULT_SIZE: a command's size is not its opcode's, or leaves the buffer */
	KERF_NPU_FAULT_SIZE = 6,
	/** @KERF_NPU_FAULT_OPCODE: no such command */
	KERF_NPU_FAULT_OPCODE = 7,
	/** @KERF_NPU_FAULT_FLAGS: a flag or a field that must be 0 is not */
	KERF_NPU_FAULT_FLAGS = 8,
	/** @KERF_NPU_FAULT_DTYPE: not a dtype, or not these together */
	KERF_NPU_FAULT_DTYPE = 9,
	/** @KERF_NPU_FAULT_SHAPE: a dim is 0 or too large, or dims do not fit together */
	KERF_NPU_FAULT_SHAPE = 10,
	/** @KERF_NPU_FAULT_PARAM: another parameter is out of its range */
	KERF_NPU_FAULT_PARAM = 11,
	/** @KERF_NPU_FAULT_NO_WINDOW: an address names a window that the job has not */
	KERF_NPU_FAULT_NO_WINDOW = 12,
	/** @KERF_NPU_FAULT_RANGE: an operand leaves its window */
	KERF_NPU_FAULT_RANGE = 13,
	/** @KERF_NPU_FAULT_PERMISSION: the window must not be read, or not be written */
	KERF_NPU_FAULT_PERMISSION = 14,
	/** @KERF_NPU_FAULT_ALIGN: an address is not a multiple of the element's size */
	KERF_NPU_FAULT_ALIGN = 15,
	/** @KERF_NPU_FAULT_OVERLAP: the output overlaps an input */
	KERF_NPU_FAULT_OVERLAP = 16,
	/** @KERF_NPU_FAULT_WORK: the job is more work than WORK_BITS allow */
	KERF_NPU_FAULT_WORK = 17,
	/** @KERF_NPU_FAULT_INDEX: an index table points outside its tensor */
	KERF_NPU_FAULT_INDEX = 18,
	/** @KERF_NPU_FAULT_MEMORY: the device's own memory is exhausted */
	KERF_NPU_FAULT_MEMORY = 19,
	/** @KERF_NPU_FAULT_HARDWARE: the device broke */
	KERF_NPU_FAULT_HARDWARE = 20,
	KERF_NPU_N_FAULTS,
};

/* --- command set ---------------------------------------------------------------------------- */

/* Where an operand is: (window, byte offset in it), in 64 bits. */
#define KERF_NPU_ADDR(window, offset) (((__u64)(window) << 48) | (__u64)(offset))
#define KERF_NPU_ADDR_WINDOW(addr) ((__u32)((__u64)(addr) >> 48))
#define KERF_NPU_ADDR_OFFSET(addr) ((__u64)(addr) & 0xffffffffffffull)
#define KERF_NPU_NO_ADDR 0xffffffffffffffffull /* an absent operand */

#define KERF_NPU_MAX_DIM (1u << 24)    /* dims; strides, dilations and pads of CONV and pools */
#define KERF_NPU_MAX_KERNEL (1u << 12) /* rows and columns of windows */
#define KERF_NPU_MAX_K (1u << 20)      /* products in one sum */
#define KERF_NPU_MAX_DELAY_US 10000000u
#define KERF_NPU_COPY_RANK 6

/** enum kerf_npu_dtype - of elements; the numbers are ONNX's */
enum kerf_npu_dtype {
	KERF_NPU_F32 = 1,
	KERF_NPU_U8 = 2,
	KERF_NPU_I8 = 3,
};

/** enum kerf_npu_opcode - what a command does; the struct it has */
enum kerf_npu_opcode {
	/** @KERF_NPU_NOP: nothing; struct kerf_npu_cmd */
	KERF_NPU_NOP = 0,
	/** @KERF_NPU_DELAY: takes time; struct kerf_npu_delay */
	KERF_NPU_DELAY = 1,
	/** @KERF_NPU_CONV: struct kerf_npu_conv */
	KERF_NPU_CONV = 2,
	/** @KERF_NPU_FC: struct kerf_npu_fc */
	KERF_NPU_FC = 3,
	/** @KERF_NPU_POOL_MAX: struct kerf_npu_pool */
	KERF_NPU_POOL_MAX = 4,
	/** @KERF_NPU_POOL_AVERAGE: struct kerf_npu_pool */
	KERF_NPU_POOL_AVERAGE = 5,
	/** @KERF_NPU_ADD: a + b; struct kerf_npu_binary */
	KERF_NPU_ADD = 6,
	/** @KERF_NPU_MUL: a * b; struct kerf_npu_binary */
	KERF_NPU_MUL = 7,
	/** @KERF_NPU_SUB: a - b, float32; struct kerf_npu_binary */
	KERF_NPU_SUB = 8,
	/** @KERF_NPU_DIV: a / b, float32; struct kerf_npu_binary */
	KERF_NPU_DIV = 9,
	/** @KERF_NPU_ACT: float32 to float32, the activation alone; struct kerf_npu_unary */
	KERF_NPU_ACT = 10,
	/** @KERF_NPU_QUANTIZE: float32 to 8 bits; struct kerf_npu_unary */
	KERF_NPU_QUANTIZE = 11,
	/** @KERF_NPU_DEQUANTIZE: 8 bits to float32; struct kerf_npu_unary */
	KERF_NPU_DEQUANTIZE = 12,
	/** @KERF_NPU_RESCALE: 8 bits to 8 bits with other parameters; struct kerf_npu_unary */
	KERF_NPU_RESCALE = 13,
	/** @KERF_NPU_LUT: 8 bits to 8 bits by a table; struct kerf_npu_unary */
	KERF_NPU_LUT = 14,
	/** @KERF_NPU_COPY: strided; struct kerf_npu_copy */
	KERF_NPU_COPY = 15,
	/** @KERF_NPU_FILL: one value, strided; struct kerf_npu_copy */
	KERF_NPU_FILL = 16,
	/** @KERF_NPU_RESIZE: rows and columns by index; struct kerf_npu_resize */
	KERF_NPU_RESIZE = 17,
	/** @KERF_NPU_SOFTMAX: float32, along c; struct kerf_npu_softmax */
	KERF_NPU_SOFTMAX = 18,
	KERF_NPU_N_OPCODES,
};

/** enum kerf_npu_act - activation of float32 outputs; a and b are its parameters */
enum kerf_npu_act {
	KERF_NPU_ACT_NONE = 0,
	KERF_NPU_ACT_RELU = 1,	       /* max(x, 0) */
	KERF_NPU_ACT_CLIP = 2,	       /* min(max(x, a), b) */
	KERF_NPU_ACT_LEAKY_RELU = 3,   /* x < 0 ? a * x : x */
	KERF_NPU_ACT_SIGMOID = 4,      /* 1 / (1 + exp(-x)) */
	KERF_NPU_ACT_TANH = 5,
	KERF_NPU_ACT_SILU = 6,	       /* x * sigmoid(x) */
	KERF_NPU_ACT_HARD_SIGMOID = 7, /* min(max(a * x + b, 0), 1) */
	KERF_NPU_ACT_HARD_SWISH = 8,   /* x * min(max(x / 6 + 1/2, 0), 1) */
	KERF_NPU_ACT_GELU = 9,	       /* x * (1 + erf(x / sqrt 2)) / 2 */
	KERF_NPU_ACT_MISH = 10,	       /* x * tanh(log(1 + exp x)) */
	KERF_NPU_ACT_ELU = 11,	       /* x < 0 ? a * (exp(x) - 1) : x */
	KERF_NPU_N_ACTS,
};

/**
 * struct kerf_npu_cmd - begins every command
 * @opcode: enum kerf_npu_opcode
 * @size: bytes of the whole command: that of its struct
 * @flags: KERF_NPU_POOL_COUNT_PAD, else 0
 */
struct kerf_npu_cmd {
	__le16 opcode;
	__le16 size;
	__le32 flags;
};

/**
 * struct kerf_npu_tensor - an operand: dense [n][h][w][c]
 * @addr: KERF_NPU_ADDR(); the offset is a multiple of the element's size
 * @n: images, 1 to KERF_NPU_MAX_DIM as each extent
 * @h: rows
 * @w: columns
 * @c: channels
 * @dtype: enum kerf_npu_dtype
 * @zero: zero point, within the dtype's range; 0 for float32
 */
struct kerf_npu_tensor {
	__le64 addr;
	__le32 n;
	__le32 h;
	__le32 w;
	__le32 c;
	__le32 dtype;
	__le32 zero;
};

/**
 * struct kerf_npu_out - what happens to results before they are stored
 * @act: float32: enum kerf_npu_act; 8 bits: 0
 * @a: float32: parameter of @act, 0 if it has none
 * @b: float32: likewise
 * @lo: 8 bits: least value stored, within y's dtype; float32: 0
 * @hi: 8 bits: greatest value stored, >= @lo, within y's dtype; float32: 0
 * @pad: 0
 */
struct kerf_npu_out {
	__le32 act;
	__le32 a;
	__le32 b;
	__le32 lo;
	__le32 hi;
	__le32 pad;
};

struct kerf_npu_delay {
	struct kerf_npu_cmd cmd;
	__le32 us; /* at most KERF_NPU_MAX_DELAY_US */
	__le32 pad;
};

/**
 * struct kerf_npu_conv - y = out(conv(x, w) + bias + residual)
 * @cmd: KERF_NPU_CONV
 * @x: input
 * @w: [output channel][kernel row][kernel column][input channel of the group]; 8 bits with 8-bit x
 * @y: output; y.h and y.w are free: taps outside x are padding, everywhere
 * @bias: address of y.c int32 (8 bits) or float32; or KERF_NPU_NO_ADDR
 * @scale: 8 bits: address of y.c float32, m of docs/npu.md; float32: KERF_NPU_NO_ADDR
 * @residual: float32: address of a tensor shaped as y, or KERF_NPU_NO_ADDR; 8 bits: that
 * @stride_h: 1 or more, as those below
 * @stride_w: of columns
 * @dilation_h: rows between taps
 * @dilation_w: columns between taps
 * @pad_top: signed; rows of padding above x: output row i begins at row i * stride_h - pad_top of x
 * @pad_left: signed; likewise
 * @groups: divides x.c and y.c; w.c is x.c / groups
 * @pad: 0
 * @out: epilogue
 */
struct kerf_npu_conv {
	struct kerf_npu_cmd cmd;
	struct kerf_npu_tensor x;
	struct kerf_npu_tensor w;
	struct kerf_npu_tensor y;
	__le64 bias;
	__le64 scale;
	__le64 residual;
	__le32 stride_h;
	__le32 stride_w;
	__le32 dilation_h;
	__le32 dilation_w;
	__le32 pad_top;
	__le32 pad_left;
	__le32 groups;
	__le32 pad;
	struct kerf_npu_out out;
};

/**
 * struct kerf_npu_fc - y[n][0][i][j] = out(sum over k of x[n][0][i][k] * w[n or 0][0][j][k] + ...)
 * @cmd: KERF_NPU_FC
 * @x: [batch][1][rows][k]
 * @w: [batch or 1][1][columns][k]: weights as linear layers store them, or another activation
 * @y: [batch][1][rows][columns]
 * @bias: address of @y.c int32 (8 bits) or float32; or KERF_NPU_NO_ADDR
 * @scale: as in &struct kerf_npu_conv
 * @residual: as in &struct kerf_npu_conv
 * @out: epilogue
 */
struct kerf_npu_fc {
	struct kerf_npu_cmd cmd;
	struct kerf_npu_tensor x;
	struct kerf_npu_tensor w;
	struct kerf_npu_tensor y;
	__le64 bias;
	__le64 scale;
	__le64 residual;
	struct kerf_npu_out out;
};

/** @KERF_NPU_POOL_COUNT_PAD: POOL_AVERAGE divides by the taps in x and padding, not in x alone */
#define KERF_NPU_POOL_COUNT_PAD (1u << 0)

/**
 * struct kerf_npu_pool - y = out(pool(x)); a global pool has x's rows and columns as its kernel
 * @cmd: KERF_NPU_POOL_MAX or KERF_NPU_POOL_AVERAGE
 * @x: input
 * @y: output, same n, c; dtype 8 bits with 8 bits; POOL_MAX: same dtype and zero
 * @kernel_h: rows
 * @kernel_w: columns
 * @stride_h: as in &struct kerf_npu_conv, as those below
 * @stride_w: of columns
 * @dilation_h: of rows
 * @dilation_w: of columns
 * @pad_top: signed
 * @pad_left: signed
 * @pad_bottom: signed; only for KERF_NPU_POOL_COUNT_PAD, else 0
 * @pad_right: likewise
 * @factor: POOL_AVERAGE of 8 bits: float32, scale of x / scale of y; else 0
 * @pad: 0
 * @out: epilogue
 */
struct kerf_npu_pool {
	struct kerf_npu_cmd cmd;
	struct kerf_npu_tensor x;
	struct kerf_npu_tensor y;
	__le32 kernel_h;
	__le32 kernel_w;
	__le32 stride_h;
	__le32 stride_w;
	__le32 dilation_h;
	__le32 dilation_w;
	__le32 pad_top;
	__le32 pad_left;
	__le32 pad_bottom;
	__le32 pad_right;
	__le32 factor;
	__le32 pad;
	struct kerf_npu_out out;
};

/**
 * struct kerf_npu_binary - y = out(a op b)
 * @cmd: KERF_NPU_ADD, KERF_NPU_MUL, KERF_NPU_SUB, KERF_NPU_DIV
 * @a: each dim is y's or 1 (then repeated)
 * @b: likewise
 * @y: float32 with float32, 8 bits with 8 bits
 * @factor_a: 8 bits: float32: ADD: scale of a / scale of y; MUL: scale of a * scale of b / scale
 *   of y; else 0
 * @factor_b: 8 bits: float32: ADD: scale of b / scale of y; else 0
 * @out: epilogue
 */
struct kerf_npu_binary {
	struct kerf_npu_cmd cmd;
	struct kerf_npu_tensor a;
	struct kerf_npu_tensor b;
	struct kerf_npu_tensor y;
	__le32 factor_a;
	__le32 factor_b;
	struct kerf_npu_out out;
};

/**
 * struct kerf_npu_unary - y[i] = out(f(x[i])); x and y have the same dims
 * @cmd: KERF_NPU_ACT, _QUANTIZE, _DEQUANTIZE, _RESCALE, _LUT
 * @x: dtype as the opcode says
 * @y: dtype as the opcode says
 * @table: LUT: address of 256 bytes: y = table[bits of x]; else KERF_NPU_NO_ADDR
 * @factor: float32: QUANTIZE: scale of y; DEQUANTIZE: scale of x; RESCALE: scale of x / scale of y;
 *   else 0
 * @pad: 0
 * @out: epilogue (DEQUANTIZE: its activation); LUT: all 0
 */
struct kerf_npu_unary {
	struct kerf_npu_cmd cmd;
	struct kerf_npu_tensor x;
	struct kerf_npu_tensor y;
	__le64 table;
	__le32 factor;
	__le32 pad;
	struct kerf_npu_out out;
};

/**
 * struct kerf_npu_copy - dst[sum of index * dst_stride] = src[sum of index * src_stride]
 * @cmd: KERF_NPU_COPY or KERF_NPU_FILL
 * @src: COPY: address; FILL: the value, in its low element_size bytes
 * @dst: address
 * @element_size: 1, 2, 4 or 8 bytes
 * @pad: 0
 * @dims: 1 to KERF_NPU_MAX_DIM; 1 where not used
 * @src_stride: in elements; 0 repeats; FILL: all 0
 * @dst_stride: in elements; where different indices meet, one of the values stays
 */
struct kerf_npu_copy {
	struct kerf_npu_cmd cmd;
	__le64 src;
	__le64 dst;
	__le32 element_size;
	__le32 pad;
	__le32 dims[KERF_NPU_COPY_RANK];
	__le32 src_stride[KERF_NPU_COPY_RANK];
	__le32 dst_stride[KERF_NPU_COPY_RANK];
};

/**
 * struct kerf_npu_resize - y[n][i][j][c] = x[n][rows[i]][columns[j]][c]
 * @cmd: KERF_NPU_RESIZE
 * @x: input
 * @y: same n, c, dtype, zero
 * @rows: address of y.h int32, each in [0, x.h)
 * @columns: address of y.w int32, each in [0, x.w)
 */
struct kerf_npu_resize {
	struct kerf_npu_cmd cmd;
	struct kerf_npu_tensor x;
	struct kerf_npu_tensor y;
	__le64 rows;
	__le64 columns;
};

/**
 * struct kerf_npu_softmax - y = exp(x - max) / sum of exp(x - max), over the channels of each pixel
 * @cmd: KERF_NPU_SOFTMAX
 * @x: float32
 * @y: float32, same dims
 */
struct kerf_npu_softmax {
	struct kerf_npu_cmd cmd;
	struct kerf_npu_tensor x;
	struct kerf_npu_tensor y;
};

#if defined(__cplusplus)
}
#endif

#endif
