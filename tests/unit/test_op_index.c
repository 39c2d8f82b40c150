/* SPDX-License-Identifier: MIT */
#include "op_case.h"

static const struct op_case indexing[] = {
	{"Gather", 13, "axis=1", {"f32[2,3] 1 2 3 4 5 6", "i64[2] -1 0"}, {"f32[2,2] 3 1 6 4"}},
	{"Gather", 13, NULL, {"u8[3] 1 2 3", "i32[] 1"}, {"u8[] 2"}},
	{"Gather", 13, NULL, {"f32[2,0]", "i64[1] 1"}, {"f32[1,0]"}},
	{"GatherElements", 13, "axis=1", {"f32[2,2] 1 2 3 4", "i64[2,1] 1 -2"}, {"f32[2,1] 2 3"}},
	{"GatherND", 13, NULL, {"i32[2,2] 0 1 2 3", "i64[2,1] 1 0"}, {"i32[2,2] 2 3 0 1"}},
	{"GatherND", 13, "batch_dims=1", {"f32[2,2,2] 0 1 2 3 4 5 6 7", "i64[2,1] 1 0"},
	 {"f32[2,2] 2 3 4 5"}},
	{"Scatter", 9, NULL, {"f32[3] 1 2 3", "i64[2] 2 -3", "f32[2] 8 9"}, {"f32[3] 9 2 8"}},
	{"ScatterElements", 18, "axis=1 reduction=add",
	 {"f32[1,3] 1 2 3", "i64[1,3] 0 0 2", "f32[1,3] 10 20 30"}, {"f32[1,3] 31 2 33"}},
	{"ScatterElements", 18, "reduction=max", {"i8[2] 1 -5", "i64[2] 0 1", "i8[2] 0 -7"},
	 {"i8[2] 1 -5"}},
	{"ScatterND", 18, "reduction=mul", {"f32[2,2] 1 2 3 4", "i64[2,1] 1 1", "f32[2,2] 2 2 3 3"},
	 {"f32[2,2] 1 2 18 24"}},
	{"ScatterND", 16, NULL, {"f32[3] 1 2 3", "i64[1,1] -1", "f32[1] 9"}, {"f32[3] 1 2 9"}},
	{"ScatterND", 18, "reduction=min", {"u64[1] 18446744073709551615", "i64[1,1] 0", "u64[1] 5"},
	 {"u64[1] 5"}},
	{"OneHot", 11, NULL, {"i64[3] 0 -1 5", "i64[] 3", "f32[2] 0 1"}, {"f32[3,3] 1 0 0 0 0 1 0 0 0"}},
	{"OneHot", 11, "axis=0", {"f32[2] 1 nan", "f32[1] 2", "i8[2] -1 1"}, {"i8[2,2] -1 -1 1 -1"}},
	{"Compress", 11, "axis=1", {"f32[2,3] 1 2 3 4 5 6", "bool[2] 0 1"}, {"f32[2,1] 2 5"}},
	{"Compress", 11, NULL, {"f32[2,2] 1 2 3 4", "bool[4] 1 0 0 1"}, {"f32[2] 1 4"}},
	{"Compress", 11, NULL, {"f32[2] 1 2", "bool[1] 0"}, {"f32[0]"}},
};

static const struct op_case ordering[] = {
	{"ArgMax", 13, "axis=1", {"f32[2,3] 1 3 3 2 nan 5"}, {"i64[2,1] 1 1"}},
	{"ArgMax", 13, "axis=-1 select_last_index=1 keepdims=0", {"i8[1,3] 3 -1 3"}, {"i64[1] 2"}},
	{"ArgMin", 13, NULL, {"u64[2,1] 18446744073709551615 1"}, {"i64[1,1] 1"}},
	{"ArgMin", 13, NULL, {"f32[3] 1 nan 0"}, {"i64[1] 1"}},
	{"TopK", 11, NULL, {"f32[5] 1 5 3 5 2", "i64[1] 3"}, {"f32[3] 5 5 3", "i64[3] 1 3 2"}},
	{"TopK", 11, "largest=0 axis=0", {"i64[3,1] 3 1 2", "i64[1] 2"}, {"i64[2,1] 1 2", "i64[2,1] 1 2"}},
	{"TopK", 9, "k=1", {"f32[2,2] 1 2 4 3"}, {"f32[2,1] 2 4", "i64[2,1] 1 0"}},
	{"TopK", 11, NULL, {"f32[2] 1 2", "i64[1] 0"}, {"f32[0]", "i64[0]"}},
	{"CumSum", 14, NULL, {"f32[3] 1 2 3", "i32[] 0"}, {"f32[3] 1 3 6"}},
	{"CumSum", 14, "exclusive=1 reverse=1", {"i32[3] 1 2 3", "i64[1] -1"}, {"i32[3] 5 3 0"}},
	{"CumSum", 14, NULL, {"u64[2] 18446744073709551615 2", "i64[] 0"},
	 {"u64[2] 18446744073709551615 1"}},
	{"NonZero", 13, NULL, {"f32[2,2] 0 1 nan 0"}, {"i64[2,2] 0 1 1 0"}},
	{"NonZero", 13, NULL, {"u64[2] 0 5"}, {"i64[1,1] 1"}},
	{"NonZero", 13, NULL, {"bool[2] 0 0"}, {"i64[1,0]"}},
	{"Unique", 11, NULL, {"f32[5] 2 1 1 3 2"},
	 {"f32[3] 1 2 3", "i64[3] 1 0 3", "i64[5] 1 0 0 2 1", "i64[3] 2 2 1"}},
	{"Unique", 11, "sorted=0", {"i64[5] 2 1 1 3 2"},
	 {"i64[3] 2 1 3", "i64[3] 0 1 3", "i64[5] 0 1 1 2 0", "i64[3] 2 2 1"}},
	{"Unique", 11, "axis=1", {"f32[2,3] 1 0 1 2 3 2"},
	 {"f32[2,2] 0 1 3 2", "i64[2] 1 0", "i64[3] 1 0 1", "i64[2] 1 2"}},
	{"Unique", 11, NULL, {"f32[0]"}, {"f32[0]", "i64[0]", "i64[0]", "i64[0]"}},
};

static const struct op_case refused[] = {
	{"Gather", 13, "axis=2", {"f32[2,3] ?0", "i64[1] 0"}, .error = -EINVAL, .says = "axis"},
	{"Gather", 13, NULL, {"f32[2] ?0", "f32[1] 0"}, .error = -EINVAL, .says = "float32"},
	{"Gather", 13, NULL, {"f32[] 0", "i64[1] 0"}, .error = -EINVAL, .says = "axis"},
	{"Gather", 13, NULL, {"f32[1,1,1,1,1] ?0", "i64[1,1,1,1,1] ?0"}, .error = -EOPNOTSUPP},
	{"Gather", 13, NULL, {"f32[2] ?0", "i64[1] 2"}, .error = -EINVAL, .late = true},
	{"Gather", 13, NULL, {"f32[2] ?0", "i64[1] -3"}, .error = -EINVAL, .late = true},
	{"Gather", 13, NULL, {"f32[2] ?0", "i64[1] -9223372036854775808"}, .error = -EINVAL,
	 .late = true},
	{"Gather", 13, NULL, {"f32[0]", "i64[1] 0"}, .error = -EINVAL, .late = true},
	{"GatherElements", 13, NULL, {"f32[2] ?0", "i64[1,1] 0"}, .error = -EINVAL, .says = "rank"},
	{"GatherElements", 13, NULL, {"f32[2,2] ?0", "i64[1,3] ?0"}, .error = -EINVAL, .says = "axis 1"},
	{"GatherElements", 13, NULL, {"f32[2] ?0", "i64[1] 2"}, .error = -EINVAL, .late = true},
	{"GatherND", 13, NULL, {"f32[2] ?0", "i64[1,2] ?0"}, .error = -EINVAL, .says = "tuples"},
	{"GatherND", 13, "batch_dims=1", {"f32[2] ?0", "i64[2,1] ?0"}, .error = -EINVAL,
	 .says = "batch_dims"},
	{"GatherND", 13, "batch_dims=1", {"f32[2,2] ?0", "i64[3,1] ?0"}, .error = -EINVAL},
	{"GatherND", 13, NULL, {"f32[2] ?0", "i64[1,1] 2"}, .error = -EINVAL, .late = true},
	{"ScatterElements", 18, "reduction=sub", {"f32[1] 0", "i64[1] 0", "f32[1] 0"},
	 .error = -EINVAL, .says = "reduction"},
	{"ScatterElements", 18, NULL, {"f32[1] 0", "i64[1] 0", "f32[2] ?0"}, .error = -EINVAL},
	{"ScatterElements", 18, NULL, {"f32[1] 0", "i64[1] 0", "i32[1] 0"}, .error = -EINVAL},
	{"ScatterElements", 18, NULL, {"f32[1] 0", "i64[1] 1", "f32[1] 0"}, .error = -EINVAL,
	 .late = true},
	{"ScatterND", 18, NULL, {"f32[2] ?0", "i64[1,1] 0", "f32[2] ?0"}, .error = -EINVAL,
	 .says = "updates"},
	{"ScatterND", 18, NULL, {"f32[2] ?0", "i64[1,1] -3", "f32[1] ?0"}, .error = -EINVAL,
	 .late = true},
	{"OneHot", 11, NULL, {"i64[1] 0", "i64[] 0", "f32[2] 0 1"}, .error = -EINVAL, .says = "depth"},
	{"OneHot", 11, NULL, {"i64[1] 0", "f32[] nan", "f32[2] 0 1"}, .error = -EINVAL},
	{"OneHot", 11, NULL, {"i64[1] 0", "i64[] 2", "f32[3] ?0"}, .error = -EINVAL},
	{"OneHot", 11, "axis=2", {"i64[1] 0", "i64[] 2", "f32[2] ?0"}, .error = -EINVAL, .says = "axis"},
	{"OneHot", 11, NULL, {"i64[1] 0", "i64[] 2", "f32[2] ?0"}, .error = -ENODATA, .unknown = 2},
	{"Compress", 11, NULL, {"f32[1] 0", "i64[1] 1"}, .error = -EINVAL},
	{"Compress", 11, "axis=1", {"f32[1] 0", "bool[1] 1"}, .error = -EINVAL, .says = "axis"},
	{"ArgMax", 13, NULL, {"f32[0,2]"}, .error = -EINVAL, .says = "empty"},
	{"ArgMax", 13, "axis=1", {"f32[2] ?0"}, .error = -EINVAL, .says = "axis"},
	{"ArgMax", 13, NULL, {"bool[2] ?0"}, .error = -EINVAL, .says = "bool"},
	{"Unique", 11, "axis=1", {"f32[0,2]"}, .error = -EINVAL, .says = "empty"},
	{"TopK", 11, NULL, {"f32[2] ?0", "i64[1] 3"}, .error = -EINVAL, .says = "k is 3"},
	{"TopK", 11, NULL, {"f32[2] ?0", "i64[1] -1"}, .error = -EINVAL},
	{"TopK", 11, NULL, {"f32[2] ?0", "i64[0]"}, .error = -EINVAL},
	{"TopK", 9, NULL, {"f32[2] ?0"}, .error = -EINVAL},
	{"CumSum", 14, NULL, {"f32[2] ?0", "i64[2] 0 0"}, .error = -EINVAL},
	{"CumSum", 14, NULL, {"f32[2] ?0", "i64[] 1"}, .error = -EINVAL, .late = true},
	{"Unique", 11, "axis=1", {"f32[2] ?0"}, .error = -EINVAL, .says = "axis"},
};

CASE_TABLE(test_indexing, indexing)
CASE_TABLE(test_ordering, ordering)
CASE_TABLE(test_refused, refused)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_indexing),
		cmocka_unit_test(test_ordering),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
