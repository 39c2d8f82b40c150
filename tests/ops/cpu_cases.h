/* SPDX-License-Identifier: MIT */
/*
 * The table of test_cpu_kernels. Inputs: "[=][+]dtype:dims[:values]", '=' for a
 * constant, '+' for values above zero, "" for an absent one. Attributes: "I:name=1,2"
 * ints, "i:" int, "f:" float, "s:" string.
 *
 * tol is the difference allowed from the reference over its greatest magnitude:
 * 1e-6 where nothing is said (a few roundings), more where sums are long or where the
 * reference sums in float64 and a kernel in float32. Integers must be equal.
 */
#ifndef TESTS_OPS_CPU_CASES_H
#define TESTS_OPS_CPU_CASES_H

#include "graph/graph.h"

#define CPU_CASE_IN 10

struct cpu_case {
	const char *op;
	const char *in[CPU_CASE_IN];
	const char *attr;
	bool nhwc;
	struct kerf_act act;
	double tol;
	int opset, n_out;
	struct kerf_op_tile tile;
	int64_t rows; /* output rows of a tile */
};

#define RELU .act = {KERF_ACT_RELU, 0, 0}
#define SILU .act = {KERF_ACT_SILU, 0, 0}
#define F "float32:"
/* one scale; one zero point */
#define S(x) "=float32::" #x
#define ZU(x) "=uint8::" #x
#define ZI(x) "=int8::" #x

/* What a case does not name is zero. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

static const struct cpu_case cpu_cases[] = {
	/* two operands: the same shape, one element, a row, a column, in the middle */
	{"Add", {F "1", F "1"}},
	{"Add", {F "3,17", F "3,17"}},
	{"Add", {F "1,56,56,64", F "1,56,56,64"}, RELU},
	{"Sub", {F "65,63", F "1"}, SILU},
	{"Sub", {F "1", F "65,63"}},
	{"Mul", {F "2,13,7,17", F "17"}},
	{"Mul", {F "1,28,28,96", F "1,1,1,96"}},
	{"Mul", {F "2,13,7,17", F "2,1,1,17"}},
	{"Mul", {F "2,3,5,7", F "2,3,1,7"}},
	{"Mul", {F "5,63", F "5,1"}},
	{"Mul", {F "5,1", F "1,63"}},
	{"Div", {F "4,65", "+float32:4,65"}},
	{"Max", {F "3,65", F "65"}},
	{"Min", {F "3,65", F "3,1"}},
	{"Sum", {F "3,65", F "3,65"}},
	{"PRelu", {F "1,9,9,33", F "33"}},
	{"PRelu", {F "1,9,9,33", F "1"}},
	{"Pow", {F "3,65", "=float32::2"}},
	{"Pow", {"+float32:3,65", "=float32::0.5"}},
	/* one operand */
	{"Neg", {F "3,17"}},
	{"Abs", {F "3,17"}},
	{"Sqrt", {"+float32:3,17"}},
	{"Reciprocal", {"+float32:3,17"}},
	{"Exp", {F "65,63"}},
	{"Log", {"+float32:65,63"}},
	{"Erf", {F "65,63"}},
	{"Softplus", {F "65,63"}},
	{"Relu", {F "65,63"}},
	{"LeakyRelu", {F "65,63"}, "f:alpha=0.1"},
	{"Sigmoid", {F "65,63"}},
	{"Tanh", {F "1,128,768"}},
	{"HardSigmoid", {F "65,63"}},
	{"HardSwish", {F "65,63"}},
	{"Elu", {F "65,63"}},
	{"Clip", {F "65,63", "=float32::-0.5", "=float32::0.5"}},
	{"Clip", {F "65,63"}, "f:min=-0.25 f:max=0.5", .opset = 6},
	{"act", {F "65,63"}, .act = {KERF_ACT_GELU, 0, 0}},
	{"act", {F "65,63"}, .act = {KERF_ACT_MISH, 0, 0}},
	{"BatchNormalization", {F "2,5,7,17", "=float32:17", "=float32:17", "=float32:17",
	  "=+float32:17"}, .nhwc = true, RELU, .tol = 2e-6},
	/* moving */
	{"Transpose", {F "1,3,63,65"}, "I:perm=0,2,3,1"},
	{"Transpose", {F "1,3,224,224"}, "I:perm=0,2,3,1"},
	{"Transpose", {F "1,13,17,3"}, "I:perm=0,3,1,2"},
	{"Transpose", {F "1,63,65,3"}, "I:perm=0,3,1,2"},
	{"Transpose", {F "2,17,65,33"}, "I:perm=0,2,3,1"},
	{"Transpose", {F "2,17,65,33"}, "I:perm=3,1,0,2"},
	{"Transpose", {F "1,128,12,64"}, "I:perm=0,2,1,3"},
	{"Transpose", {F "1,128,12,64"}, "I:perm=0,2,3,1"},
	{"Transpose", {"uint8:1,3,63,65"}, "I:perm=0,2,3,1"},
	{"Transpose", {"int64:5,3"}},
	{"Concat", {F "1,9,9,17", F "1,9,9,3", F "1,9,9,64"}, "i:axis=3"},
	{"Concat", {F "2,9,3", F "2,5,3"}, "i:axis=-2"},
	{"Concat", {"int64:1", "int64:3"}, "i:axis=0"},
	{"Split", {F "2,9,9,64"}, "i:axis=3", .opset = 13, .n_out = 2},
	{"Split", {F "2,6,5", "=int64:2:1,5"}, "i:axis=1", .opset = 13, .n_out = 2},
	{"Slice", {F "1,20,17,5", "=int64:2:1,-3", "=int64:2:19,-900", "=int64:2:1,2", "=int64:2:2,-2"}},
	{"Slice", {F "4,65"}, "I:starts=1,3 I:ends=3,60", .opset = 9},
	{"Expand", {F "3,1", "=int64:3:2,3,17"}},
	{"DepthToSpace", {F "1,12,5,7"}, "i:blocksize=2"},
	{"DepthToSpace", {F "1,12,5,7"}, "i:blocksize=2 s:mode=CRD"},
	{"DepthToSpace", {F "2,5,7,12"}, "i:blocksize=2", .nhwc = true},
	{"DepthToSpace", {F "2,5,7,12"}, "i:blocksize=2 s:mode=CRD", .nhwc = true},
	{"SpaceToDepth", {F "1,3,6,8"}, "i:blocksize=2"},
	{"SpaceToDepth", {F "1,6,8,3"}, "i:blocksize=2", .nhwc = true},
	{"Gather", {F "30,65", "int64:2,3:1,-2,29,0,-30,4"}},
	{"Gather", {F "2,5,17", "int32:3:0,4,-1"}, "i:axis=1"},
	{"rowCrop", {F "1,9,5,3"}, "i:axis=1 i:begin=2 i:end=7"},
	/* windows */
	{"MaxPool", {F "1,17,13,3"}, "I:kernel_shape=3,3 I:strides=2,2 I:pads=1,1,1,1", .nhwc = true},
	{"MaxPool", {F "1,112,112,64"}, "I:kernel_shape=3,3 I:strides=2,2 I:pads=1,1,1,1", .nhwc = true},
	{"MaxPool", {F "2,9,8,65"}, "I:kernel_shape=2,3 i:ceil_mode=1 I:strides=2,2", .nhwc = true, RELU},
	{"MaxPool", {F "1,13,13,17"}, "I:kernel_shape=3,2 I:dilations=2,3", .nhwc = true},
	{"MaxPool", {F "1,5,5,3"}, "I:kernel_shape=3,3 I:pads=-1,0,0,-1", .nhwc = true},
	{"MaxPool", {F "1,13,13,17"}, "I:kernel_shape=13,13 I:pads=6,6,6,6", .nhwc = true},
	{"MaxPool", {"uint8:1,17,13,67"}, "I:kernel_shape=3,3 I:strides=2,2 I:pads=1,1,1,1", .nhwc = true},
	{"MaxPool", {"int8:1,17,13,67"}, "I:kernel_shape=3,3 I:strides=2,2 I:pads=1,1,1,1", .nhwc = true},
	{"MaxPool", {F "1,6,9,17"}, "I:kernel_shape=3,3 I:strides=2,2 I:pads=1,1,1,1", .nhwc = true,
	 .tile = {3, 17, 2, 9}, .rows = 2},
	{"AveragePool", {F "1,17,13,33"}, "I:kernel_shape=3,3 I:pads=1,1,1,1", .nhwc = true},
	{"AveragePool", {F "1,17,13,33"}, "I:kernel_shape=3,3 I:pads=1,1,1,1 i:count_include_pad=1",
	 .nhwc = true},
	{"AveragePool", {F "1,16,13,3"}, "I:kernel_shape=3,2 I:strides=2,3 i:ceil_mode=1 I:pads=1,0,1,1 "
	 "i:count_include_pad=1", .nhwc = true},
	{"GlobalAveragePool", {F "2,7,7,1280"}, .nhwc = true},
	{"GlobalAveragePool", {F "2,17,5,7"}},
	{"GlobalMaxPool", {F "2,7,7,65"}, .nhwc = true},
	/* resizing */
	{"Resize", {F "1,5,7,17", "", "=float32:4:1,1,2,2"}, .nhwc = true},
	{"Resize", {"uint8:2,5,7,3", "", "", "=int64:4:2,3,9,4"}, "s:coordinate_transformation_mode=asymmetric",
	 .nhwc = true},
	{"Resize", {F "1,20,15,64", "", "=float32:4:1,1,2,2"}, "s:mode=linear", .nhwc = true},
	{"Resize", {F "2,5,7,17", "", "", "=int64:4:2,17,13,3"},
	 "s:mode=linear s:coordinate_transformation_mode=align_corners", .nhwc = true, RELU},
	{"Resize", {F "1,9,7,3", "", "=float32:4:1,1,1.7,0.6"}, "s:mode=cubic", .nhwc = true, .tol = 2e-6},
	{"Resize", {F "1,6,7,17", "", "=float32:4:1,1,2,2"}, "s:mode=linear", .nhwc = true,
	 .tile = {3, 12, 8, 24}, .rows = 8},
	{"Upsample", {F "1,5,7,17", "=float32:4:1,1,3,2"}, .nhwc = true, .opset = 9},
	/* sums */
	{"Softmax", {F "1,1000"}},
	{"Softmax", {F "12,128,128"}, "i:axis=-1"},
	{"Softmax", {F "3,1"}},
	{"Softmax", {F "1,4420,2"}},
	{"Softmax", {F "37,7"}},
	{"LogSoftmax", {F "37,8"}, .tol = 2e-6},
	{"Softmax", {F "2,17,65"}, "i:axis=1"},
	{"Softmax", {F "2,17,65"}, "i:axis=1", .opset = 11},
	{"LogSoftmax", {F "3,63"}, .tol = 2e-6},
	{"LogSoftmax", {F "3,5,17"}, "i:axis=1", .tol = 2e-6},
	{"ReduceMean", {F "1,7,7,65"}, "I:axes=1,2"},
	{"ReduceMean", {F "1,65,7,7"}, "I:axes=2,3 i:keepdims=0"},
	{"ReduceMean", {F "128,768"}, "I:axes=-1"},
	{"ReduceSum", {F "3,63", "=int64:1:1"}, .opset = 13},
	{"ReduceSum", {F "3,63"}, .opset = 13, .tol = 1e-5},
	{"ReduceMax", {F "3,63"}, "I:axes=1"},
	{"ReduceMin", {F "3,63"}, "I:axes=0"},
	{"ReduceL1", {F "3,63"}, "I:axes=1"},
	{"ReduceL2", {F "3,63,17"}, "I:axes=1"},
	{"ReduceSumSquare", {F "3,63"}, "I:axes=1"},
	{"LayerNormalization", {F "1,128,768", "=float32:768", "=float32:768"}, .tol = 2e-6},
	{"LayerNormalization", {F "5,17", "=float32:17"}, RELU, .tol = 2e-6},
	{"LayerNormalization", {F "2,3,5,7", "=float32:5,7", "=float32:5,7"}, "i:axis=2", .tol = 2e-6},
	{"InstanceNormalization", {F "2,9,7,33", "=float32:33", "=float32:33"}, .nhwc = true, .tol = 4e-6},
	{"LRN", {F "1,9,7,65"}, "i:size=5 f:alpha=0.1 f:bias=2", .nhwc = true},
	{"LRN", {F "1,3,3,3"}, "i:size=20 f:alpha=0.1", .nhwc = true},
	/* convolution: dense, 1x1, depthwise, grouped, odd everything */
	{"Conv", {F "1,17,13,3", "=float32:17,3,3,3", "=float32:17"},
	 "I:strides=2,2 I:pads=1,1,1,1", .nhwc = true, RELU},
	{"Conv", {F "2,9,7,17", "=float32:33,17,1,1"}, .nhwc = true},
	{"Conv", {F "1,9,7,17", "=float32:33,17,3,3", "", "=+float32:33", F "1,9,7,33"},
	 "I:pads=1,1,1,1", .nhwc = true, RELU},
	{"Conv", {F "1,9,7,17", "=float32:17,1,3,3", "=float32:17"},
	 "i:group=17 I:pads=1,1,1,1", .nhwc = true, .act = {KERF_ACT_CLIP, 0, 6}},
	{"Conv", {F "1,9,7,34", "=float32:6,17,3,2", "=float32:6"},
	 "i:group=2 I:dilations=2,1 I:pads=2,0,1,1", .nhwc = true, SILU},
	{"Conv", {F "1,9,7,5", "=float32:3,5,3,3"}, "I:pads=-1,0,0,-1", .nhwc = true},
	{"Conv", {F "1,33,5", "=float32:3,5,3"}, "I:pads=1,1", .nhwc = true},
	{"ConvTranspose", {F "1,5,7,17", "=float32:17,9,2,2", "=float32:9"}, "I:strides=2,2", .nhwc = true,
	 RELU},
	{"ConvTranspose", {F "2,5,4,3", "=float32:3,17,3,3"},
	 "I:strides=2,3 I:pads=1,0,1,1 I:output_padding=1,0", .nhwc = true},
	{"ConvTranspose", {F "1,4,7,5", "=float32:5,6,4,4", "=float32:6"}, "I:strides=2,2 I:pads=1,1,1,1",
	 .nhwc = true, .tile = {2, 9, 5, 18}, .rows = 6},
	{"ConvTranspose", {F "1,7,9,17", "=float32:17,33,4,4", "=float32:33"},
	 "I:strides=2,2 I:pads=1,1,1,1", .nhwc = true, RELU},
	{"ConvTranspose", {F "2,5,3,6", "=float32:6,5,3,2"},
	 "i:group=2 I:strides=3,2 I:pads=0,1,1,0 I:output_padding=1,0", .nhwc = true},
	{"ConvTranspose", {F "1,9,5", "=float32:5,3,16", "=float32:3"}, "I:strides=8 I:pads=4,4",
	 .nhwc = true, SILU},
	/* products */
	{"Gemm", {F "1,512", "=float32:1000,512", "=float32:1000"}, "i:transB=1", .tol = 2e-6},
	{"Gemm", {F "17,33", "=float32:33,65", "=float32:65"}, RELU},
	{"Gemm", {F "33,17", F "33,5", F "17,5"}, "i:transA=1"},
	{"Gemm", {F "3,17", "=float32:17,5"}, "f:alpha=0.5"},
	{"MatMul", {F "2,3,17,33", F "2,3,33,5"}},
	{"MatMul", {F "2,3,17,33", F "1,3,33,5"}},
	{"MatMul", {F "2,17,33", "=float32:33,65"}},
	{"MatMul", {F "33", F "2,33,5"}},
	{"MatMul", {F "2,5,33", F "33"}},
	/* quantised products: both dtypes, zero points, one scale or one a channel */
	{"QLinearConv", {"uint8:1,17,13,3", S(0.02), ZU(128), "=int8:17,3,3,3", "=+float32:17", "=int8:17:0",
	  S(9), ZU(3), "=int32:17:-500"}, "I:strides=2,2 I:pads=1,1,1,1", .nhwc = true, RELU},
	{"QLinearConv", {"int8:2,9,7,17", S(0.02), ZI(-7), "=int8:33,17,1,1", S(0.1), ZI(0),
	  S(1), ZI(5)}, .nhwc = true},
	{"QLinearConv", {"uint8:1,14,14,64", S(0.02), ZU(7), "=int8:65,64,1,1", S(0.1), ZI(0),
	  S(1), ZI(5)}, .nhwc = true},
	{"QLinearConv", {"uint8:1,28,28,128", S(0.02), ZU(7), "=int8:128,128,3,3", S(0.1), ZI(0),
	  S(8), ZU(5)}, "I:pads=1,1,1,1", .nhwc = true},
	{"QLinearConv", {"uint8:1,9,7,20", S(0.02), ZU(99), "=uint8:33,20,3,3", S(0.1), ZU(128),
	  S(4), ZU(128), "=int32:33:1000"}, "I:pads=1,1,1,1", .nhwc = true},
	{"QLinearConv", {"uint8:1,9,7,20", S(0.02), ZU(99), "=uint8:33,20,3,3", S(0.1), ZU(120),
	  S(4), ZU(128)}, "I:pads=1,1,1,1", .nhwc = true, .act = {KERF_ACT_CLIP, -90, 200}},
	{"QLinearConv", {"int8:1,9,7,34", S(0.02), ZI(3), "=int8:6,17,3,2", "=+float32:6", "=int8:6",
	  S(5), ZI(-3)}, "i:group=2 I:dilations=2,1 I:pads=2,0,1,1", .nhwc = true},
	{"QLinearConv", {"uint8:1,15,13,67", S(0.02), ZU(128), "=int8:67,1,3,3", "=+float32:67",
	  "=int8:67:0", S(1), ZU(3), "=int32:67:77"}, "i:group=67 I:pads=1,1,1,1", .nhwc = true, RELU},
	{"QLinearConv", {"int8:2,15,13,17", S(0.02), ZI(-1), "=uint8:17,1,3,3", S(0.1), ZU(100),
	  S(1), ZU(3)}, "i:group=17 I:strides=2,1 I:pads=1,0,1,2", .nhwc = true},
	{"QLinearConv", {"uint8:1,6,9,17", S(0.02), ZU(99), "=int8:5,17,3,3", S(0.1), ZI(0), S(4), ZU(128)},
	 "I:strides=2,2 I:pads=1,1,1,1", .nhwc = true, .tile = {3, 17, 2, 9}, .rows = 2},
	{"QLinearMatMul", {"uint8:3,17,65", S(0.02), ZU(9), "=int8:65,33", S(0.1), ZI(0), S(2), ZU(128)}},
	{"QLinearMatMul", {"int8:1,64", S(0.02), ZI(9), "=int8:64,1000", "=+float32:1000", "=int8:1000",
	  S(9), ZI(0)}},
	{"qGemm", {"uint8:5,65", S(0.02), ZU(9), "=int8:33,65", S(0.1), ZI(0), S(2), ZU(128),
	  "=int32:33:-1"}},
	/* quantised values one by one, and in windows */
	{"QuantizeLinear", {F "3,17,65", S(0.007), ZU(100)}},
	{"QuantizeLinear", {F "1,3,224,224", S(0.02), ZI(-3)}},
	{"DequantizeLinear", {"int8:3,17,65", S(0.007), ZI(100)}},
	{"DequantizeLinear", {"uint8:3,17,65", S(0.007), ZU(100)}, RELU},
	{"qAdd", {"uint8:3,65", S(0.02), ZU(3), "int8:3,65", S(0.03), ZI(-4), S(0.03), ZU(9)}, RELU},
	{"qAdd", {"int8:1,56,56,64", S(0.02), ZI(3), "int8:1,56,56,64", S(0.03), ZI(-4), S(0.03), ZI(9)}},
	{"qMul", {"uint8:3,65", S(0.02), ZU(3), "uint8:3,65", S(0.03), ZU(200), S(0.03), ZU(9)}},
	{"qRescale", {"int8:3,65", S(0.02), ZI(3), S(0.03), ZU(9)}},
	{"qLut", {"uint8:3,65", "=int8:256"}},
	{"qConcat", {S(0.02), ZU(3), "uint8:1,5,7,17", S(0.02), ZU(3), "int8:1,5,7,65", S(0.03), ZI(-3)},
	 "i:axis=3"},
	{"qAveragePool", {"uint8:1,17,13,33", S(0.02), ZU(3), S(0.03), ZI(-3)},
	 "I:kernel_shape=3,3 I:pads=1,1,1,1", .nhwc = true},
	{"qAveragePool", {"int8:1,17,13,33", S(0.02), ZI(3), S(0.03), ZI(-3)},
	 "I:kernel_shape=3,2 I:strides=2,3 i:ceil_mode=1 I:pads=1,0,1,1 i:count_include_pad=1",
	 .nhwc = true, RELU},
	{"qGlobalAveragePool", {"uint8:2,7,7,67", S(0.02), ZU(3), S(0.01), ZU(3)}, .nhwc = true},
};

#undef S
#undef ZU
#undef ZI
#undef F
#endif
