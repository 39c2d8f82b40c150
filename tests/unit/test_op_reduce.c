/* SPDX-License-Identifier: MIT */
#include "op_case.h"

static const struct op_case reductions[] = {
	{"ReduceSum", 11, "axes=[1] keepdims=0", {"f32[2,2] 1 2 3 4"}, {"f32[2] 3 7"}},
	{"ReduceSum", 13, NULL, {"f32[2,2] 1 2 3 4", "i64[1] -2"}, {"f32[1,2] 4 6"}},
	{"ReduceSum", 13, "noop_with_empty_axes=1", {"f32[2] 1 2"}, {"f32[2] 1 2"}},
	{"ReduceSum", 13, "noop_with_empty_axes=1", {"f32[2] 1 2", "i64[0]"}, {"f32[2] 1 2"}},
	{"ReduceSum", 13, "keepdims=0", {"f32[2,2] 1 2 3 4", "i64[0]"}, {"f32[] 10"}},
	{"ReduceSum", 13, NULL, {"f32[2,0]", "i64[1] 1"}, {"f32[2,1] 0 0"}},
	{"ReduceSum", 13, NULL, {"i32[2] 2147483647 1"}, {"i32[1] -2147483648"}},
	{"ReduceSum", 13, NULL, {"f32[2,2,2] 1 2 3 4 5 6 7 8", "i64[2] 0 2"}, {"f32[1,2,1] 14 22"}},
	{"ReduceMean", 17, "axes=[0,1]", {"f16[1,2,2] 1 2 3 4"}, {"f16[1,1,2] 2 3"}},
	{"ReduceMean", 18, NULL, {"i32[2] 4 8", "i64[1] 0"}, {"i32[1] 6"}},
	{"ReduceProd", 13, NULL, {"i64[3] 2 3 -4"}, {"i64[1] -24"}},
	{"ReduceProd", 13, NULL, {"f32[0]"}, {"f32[1] 1"}},
	{"ReduceL1", 13, NULL, {"f32[2] -1 2"}, {"f32[1] 3"}},
	{"ReduceL1", 13, NULL, {"i32[2] -1 2"}, {"i32[1] 3"}},
	{"ReduceL2", 13, NULL, {"f32[2] 3 -4"}, {"f32[1] 5"}},
	{"ReduceSumSquare", 18, NULL, {"f32[2] 3 -4"}, {"f32[1] 25"}},
	{"ReduceLogSum", 13, NULL, {"f32[2] 1 1"}, {"f32[1] 0.69314718"}},
	{"ReduceLogSumExp", 13, NULL, {"f32[2] 1000 1000"}, {"f32[1] 1000.69314718"}},
	{"ReduceLogSumExp", 13, NULL, {"f32[2] -inf -inf"}, {"f32[1] -inf"}},
	{"ReduceMax", 13, NULL, {"u64[2] 18446744073709551615 1"}, {"u64[1] 18446744073709551615"}},
	{"ReduceMax", 20, NULL, {"i8[0]"}, {"i8[1] -128"}},
	{"ReduceMin", 20, NULL, {"u16[0]"}, {"u16[1] 65535"}},
	{"ReduceMin", 20, NULL, {"bool[3] 1 0 1"}, {"bool[1] 0"}},
	{"ReduceMax", 13, NULL, {"f32[2] nan 1"}, {"f32[1] nan"}},
	{"ReduceMin", 13, NULL, {"f32[] 3"}, {"f32[] 3"}},
};

static const struct op_case soft[] = {
	/* axis 0 of opset 12 takes both rows together; of opset 13 each column. */
	{"Softmax", 12, "axis=0", {"f32[2,2] 0 0 0 0"}, {"f32[2,2] 0.25 0.25 0.25 0.25"}},
	{"Softmax", 13, "axis=0", {"f32[2,2] 0 1 0 1"}, {"f32[2,2] 0.5 0.5 0.5 0.5"}},
	{"Softmax", 12, NULL, {"f32[1,2,2] 0 0 0 0"}, {"f32[1,2,2] 0.25 0.25 0.25 0.25"}},
	{"Softmax", 13, NULL, {"f32[1,2,2] 0 0 0 0"}, {"f32[1,2,2] 0.5 0.5 0.5 0.5"}},
	{"Softmax", 12, "axis=1", {"f32[2] 3 4"}, {"f32[2] 1 1"}},
	{"Softmax", 13, NULL, {"f32[2] 1000 1000"}, {"f32[2] 0.5 0.5"}},
	{"Softmax", 13, NULL, {"f32[] 7"}, {"f32[] 1"}},
	{"LogSoftmax", 13, NULL, {"f64[2] 1000 1000"}, {"f64[2] -0.69314718 -0.69314718"}},
	{"Hardmax", 13, NULL, {"f32[2,3] 1 3 3 2 1 0"}, {"f32[2,3] 0 1 0 1 0 0"}},
	{"Hardmax", 11, "axis=0", {"f32[2,2] 1 3 3 2"}, {"f32[2,2] 0 1 0 0"}},
};

static const struct op_case losses[] = {
	{"NegativeLogLikelihoodLoss", 13, "reduction=none", {"f32[2,2] 1 2 3 4", "i64[2] 1 0"},
	 {"f32[2] -2 -3"}},
	{"NegativeLogLikelihoodLoss", 13, "ignore_index=-1",
	 {"f32[2,2] 1 2 3 4", "i64[2] 1 -1", "f32[2] 1 3"}, {"f32[] -2"}},
	{"SoftmaxCrossEntropyLoss", 13, "reduction=sum", {"f32[2,2] 0 0 5 5", "i32[2] 0 1"},
	 {"f32[] 1.38629436", "f32[2,2] ?-0.69314718"}},
	{"SoftmaxCrossEntropyLoss", 13, NULL, {"f32[1,2,2] 0 0 0 0", "i32[1,2] 0 1", "f32[2] 1 3"},
	 {"f32[] 0.69314718"}},
	{"Det", 11, NULL, {"f32[2,2,2] 1 2 3 4 0 1 1 0"}, {"f32[2] -2 -1"}},
	{"Det", 11, NULL, {"f32[1,2,2] 1 2 2 4"}, {"f32[1] 0"}},
	{"Det", 11, NULL, {"f32[0,0]"}, {"f32[] 1"}},
	{"TfIdfVectorizer", 9,
	 "mode=TF min_gram_length=1 max_gram_length=2 max_skip_count=1 ngram_counts=[0,2] "
	 "ngram_indexes=[0,1,2] pool_int64s=[2,3,5,6]", {"i32[4] 5 2 6 3"},
	 .out = {"f32[3] 1 1 1"}},
	{"TfIdfVectorizer", 9,
	 "mode=TFIDF min_gram_length=1 max_gram_length=1 max_skip_count=0 ngram_counts=[0] "
	 "ngram_indexes=[1,0] pool_int64s=[2,3] weights=[0.5,2.0]", {"i64[2,2] 2 2 3 4"},
	 {"f32[2,2] 0 1 2 0"}},
};

static const struct op_case signals[] = {
	{"HannWindow", 17, NULL, {"i64[] 4"}, {"f32[4] 0 0.5 1 0.5"}},
	{"HannWindow", 17, "periodic=0 output_datatype=11", {"i64[] 3"}, {"f64[3] 0 1 0"}},
	{"HannWindow", 17, "periodic=0", {"i32[] 1"}, {"f32[1] 1"}},
	{"HammingWindow", 17, NULL, {"i32[] 2"}, {"f32[2] 0.08695652 1"}},
	{"BlackmanWindow", 17, NULL, {"i32[] 0"}, {"f32[0]"}},
	{"DFT", 17, NULL, {"f32[1,4,1] 1 2 3 4"}, {"f32[1,4,2] 10 0 -2 2 -2 0 -2 -2"}},
	{"DFT", 17, "onesided=1", {"f32[1,4,1] 1 2 3 4"}, {"f32[1,3,2] 10 0 -2 2 -2 0"}},
	{"DFT", 17, "inverse=1", {"f32[1,4,2] 10 0 -2 2 -2 0 -2 -2"},
	 {"f32[1,4,2] 1 0 2 0 3 0 4 0"}},
	{"DFT", 17, NULL, {"f32[1,2,1] 1 2", "i64[] 4"}, {"f32[1,4,2] 3 0 1 -2 -1 0 1 2"}},
	{"DFT", 17, NULL, {"f32[1,4,1] 1 2 3 4", "i64[] 2"}, {"f32[1,2,2] 3 0 -1 0"}},
	{"DFT", 20, NULL, {"f32[1,2,1] 1 2", NULL, "i64[] -2"}, {"f32[1,2,2] 3 0 -1 0"}},
	{"DFT", 17, NULL, {"f32[0,2,1]", "i64[] 4294967296"}, {"f32[0,4294967296,2]"}},
	{"STFT", 17, NULL, {"f32[1,4,1] 1 2 3 4", "i64[] 2", NULL, "i64[] 2"},
	 {"f32[1,2,2,2] 3 0 -1 0 7 0 -1 0"}},
	{"STFT", 17, "onesided=0", {"f32[1,3,1] 1 2 3", "i64[] 1", "f32[2] 1 0"},
	 {"f32[1,2,2,2] 1 0 1 0 2 0 2 0"}},
};

static const struct op_case refused[] = {
	{"ReduceSum", 13, NULL, {"f32[2] ?0", "i64[1] 1"}, .error = -EINVAL, .says = "axis 1"},
	{"ReduceSum", 13, NULL, {"f32[2] ?0", "i64[2] 0 -1"}, .error = -EINVAL, .says = "twice"},
	{"ReduceSum", 13, NULL, {"f32[2] ?0", "i64[1] 0"}, .error = -ENODATA, .unknown = 2},
	{"ReduceSum", 11, "axes=1", {"f32[2] ?0"}, .error = -EINVAL, .says = "axes"},
	{"ReduceSum", 11, NULL, {"bool[2] ?0"}, .error = -EINVAL, .says = "bool"},
	{"ReduceMean", 17, "axes=[0,0,0,0,0,0,0,0,0]", {"f32[2] ?0"}, .error = -EINVAL},
	{"Softmax", 13, "axis=1", {"f32[2] ?0"}, .error = -EINVAL, .says = "axis"},
	{"Softmax", 12, "axis=2", {"f32[2] ?0"}, .error = -EINVAL, .says = "axis"},
	{"Softmax", 13, NULL, {"i32[2] ?0"}, .error = -EINVAL, .says = "int32"},
	{"NegativeLogLikelihoodLoss", 13, "reduction=max", {"f32[2,2] ?0", "i64[2] ?0"},
	 .error = -EINVAL, .says = "reduction"},
	{"NegativeLogLikelihoodLoss", 13, NULL, {"f32[2,2] ?0", "i64[3] ?0"}, .error = -EINVAL},
	{"NegativeLogLikelihoodLoss", 13, NULL, {"f32[2,2] ?0", "i64[2] ?0", "f32[3] ?0"},
	 .error = -EINVAL, .says = "weights"},
	{"NegativeLogLikelihoodLoss", 13, NULL, {"f32[1,2] ?0", "i64[1] 2"}, .error = -EINVAL,
	 .late = true},
	{"SoftmaxCrossEntropyLoss", 13, NULL, {"f32[1,2] ?0", "i64[1] -1"}, .error = -EINVAL,
	 .late = true},
	{"Det", 11, NULL, {"f32[2,3] ?0"}, .error = -EINVAL, .says = "square"},
	{"TfIdfVectorizer", 9,
	 "mode=TF min_gram_length=1 max_gram_length=1 max_skip_count=0 ngram_counts=[9] "
	 "ngram_indexes=[0] pool_int64s=[2]", {"i64[1] 1"}, .error = -EINVAL,
	 .says = "ngram_counts[0]"},
	{"TfIdfVectorizer", 9,
	 "mode=TF min_gram_length=1 max_gram_length=2 max_skip_count=0 ngram_counts=[0] "
	 "ngram_indexes=[0] pool_int64s=[2]", {"i64[1] 1"}, .error = -EINVAL},
	{"TfIdfVectorizer", 9,
	 "mode=TF min_gram_length=1 max_gram_length=1 max_skip_count=0 ngram_counts=[0] "
	 "ngram_indexes=[-1] pool_int64s=[2]", {"i64[1] 1"}, .error = -EINVAL,
	 .says = "ngram_indexes[0]"},
	{"HannWindow", 17, NULL, {"i64[] -1"}, .error = -EINVAL, .says = "size"},
	{"HannWindow", 17, NULL, {"i64[] 1"}, .error = -ENODATA, .unknown = 1},
	{"HannWindow", 17, "output_datatype=9", {"i64[] 1"}, .error = -EOPNOTSUPP},
	{"DFT", 17, "axis=2", {"f32[1,2,1] ?0"}, .error = -EINVAL, .says = "axis"},
	{"DFT", 17, NULL, {"f32[1,2,3] ?0"}, .error = -EINVAL, .says = "last axis"},
	{"DFT", 17, NULL, {"f32[1,0,1]"}, .error = -EINVAL, .says = "empty"},
	{"DFT", 17, NULL, {"f32[1,2,1] ?0", "i64[] 0"}, .error = -EINVAL, .says = "dft_length"},
	{"DFT", 17, "onesided=1", {"f32[1,2,2] ?0"}, .error = -EOPNOTSUPP},
	{"STFT", 17, NULL, {"f32[1,2,1] ?0", "i64[] 1", NULL, "i64[] 3"}, .error = -EINVAL},
	{"STFT", 17, NULL, {"f32[1,2,1] ?0", "i64[] 0", NULL, "i64[] 1"}, .error = -EINVAL,
	 .says = "frame_step"},
	{"STFT", 17, NULL, {"f32[1,2,1] ?0", "i64[] 1", "f32[2] ?0", "i64[] 1"}, .error = -EINVAL},
	{"MelWeightMatrix", 17, NULL, {"i64[] 2", "i64[] 8", "i64[] 0", "f32[] 0", "f32[] 4000"},
	 .error = -EINVAL, .late = true},
	{"MelWeightMatrix", 17, NULL, {"i64[] 2", "i64[] 8", "i64[] 8000", "f32[] -800", "f32[] 1"},
	 .error = -EINVAL, .late = true},
};

CASE_TABLE(test_reductions, reductions)
CASE_TABLE(test_soft, soft)
CASE_TABLE(test_losses, losses)
CASE_TABLE(test_signals, signals)
CASE_TABLE(test_refused, refused)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reductions), cmocka_unit_test(test_soft),
		cmocka_unit_test(test_losses),	   cmocka_unit_test(test_signals),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
