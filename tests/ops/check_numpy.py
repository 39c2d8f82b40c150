#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Random cases of operators that NumPy has too, with NumPy as the oracle: written as
test cases and run by `kerf conformance`.

usage: [KERF=build/kerf] [ROUNDS=12] check_numpy.py
exit 0 ok, 1 wrong, 77 python3-onnx is absent
"""
import json
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import onnx
    from onnx import helper, numpy_helper
except ImportError:
    print("check_numpy: skipped: python3-onnx is not installed")
    sys.exit(77)

KERF = os.environ.get("KERF", "build/kerf")
ROUNDS = int(os.environ.get("ROUNDS", "12"))
rng = np.random.default_rng(7)

REAL = [np.float32, np.float64, np.float16]
INTS = [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64]
ANY = REAL + INTS


def onnx_type(dtype):
    if hasattr(helper, "np_dtype_to_tensor_dtype"):
        return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return onnx.mapping.NP_TYPE_TO_TENSOR_TYPE[np.dtype(dtype)]


def shape(lo=0, hi=4, most=5):
    return [int(rng.integers(1, most)) for _ in range(rng.integers(lo, hi + 1))]


def data(dims, dtype, low=-6, high=7):
    if np.issubdtype(dtype, np.floating):
        return (rng.standard_normal(dims) * 3).astype(dtype)
    return rng.integers(max(low, 0) if np.issubdtype(dtype, np.unsignedinteger) else low, high,
                        dims).astype(dtype)


def pick(options):
    return options[rng.integers(len(options))]


def broadcast_pair(dtype):
    whole = shape(0, 4)
    sides = []
    for _ in range(2):
        dims = [1 if rng.random() < 0.3 else d for d in whole]
        sides.append(data(dims[rng.integers(0, len(dims) + 1):], dtype))
    return sides


def binary(op, fn, dtypes):
    def make():
        a, b = broadcast_pair(pick(dtypes))
        return op, {}, [a, b], [fn(a, b)]
    return make


def divide():
    a, b = broadcast_pair(pick(INTS))
    b[b == 0] = 3
    exact = np.trunc(a.astype(np.float64) / b.astype(np.float64)).astype(a.dtype)
    return "Div", {}, [a, b], [exact]


def mod():
    a, b = broadcast_pair(pick(INTS))
    b[b == 0] = 3
    if rng.random() < 0.5:
        return "Mod", {"fmod": 1}, [a, b], [np.fmod(a, b)]
    return "Mod", {}, [a, b], [np.mod(a, b)]


def where():
    whole = shape(1, 4)
    c, a, b = (data([1 if rng.random() < 0.3 else d for d in whole], np.int64) for _ in range(3))
    return "Where", {}, [c > 0, a, b], [np.where(c > 0, a, b)]


def transpose():
    x = data(shape(0, 5), pick(ANY))
    perm = [int(p) for p in rng.permutation(x.ndim)]
    return "Transpose", {"perm": perm} if perm else {}, [x], [np.transpose(x, perm)]


def slices():
    x = data(shape(1, 4, 7), pick(ANY))
    axes = rng.permutation(x.ndim)[:rng.integers(1, x.ndim + 1)]
    cut, starts, ends, steps = [slice(None)] * x.ndim, [], [], []
    for a in axes:
        n = x.shape[a]
        step = int(pick([1, 1, 2, 3, -1, -2]))
        # NumPy and ONNX agree where a backward start is not before the first element.
        start = int(rng.integers(-n, n + 3))
        end = int(rng.integers(-n - 3, n + 3))
        cut[a] = slice(start, end, step)
        starts.append(start)
        ends.append(end)
        steps.append(step)
    lists = [np.array(v, np.int64) for v in (starts, ends, axes, steps)]
    return "Slice", {}, [x] + lists, [x[tuple(cut)]]


def pad():
    mode = pick(["constant", "edge", "reflect"])
    x = data(shape(1, 4), pick(ANY))
    wide = [(int(rng.integers(0, d if mode == "reflect" else 3)),
             int(rng.integers(0, d if mode == "reflect" else 3))) for d in x.shape]
    pads = np.array([w[0] for w in wide] + [w[1] for w in wide], np.int64)
    value = data([], x.dtype)
    if mode == "constant":
        return "Pad", {}, [x, pads, value], [np.pad(x, wide, constant_values=value)]
    return "Pad", {"mode": mode}, [x, pads], [np.pad(x, wide, mode=mode)]


def tile():
    x = data(shape(1, 4), pick(ANY))
    n = np.array([rng.integers(1, 4) for _ in x.shape], np.int64)
    return "Tile", {}, [x, n], [np.tile(x, n)]


def expand():
    whole = shape(1, 5)
    x = data([1 if rng.random() < 0.5 else d for d in whole][rng.integers(0, len(whole)):], pick(ANY))
    return "Expand", {}, [x, np.array(whole, np.int64)], [np.broadcast_to(x, whole).copy()]


def concat():
    dims, dtype = shape(1, 4), pick(ANY)
    axis = int(rng.integers(len(dims)))
    parts = [data([int(rng.integers(0, 4)) if i == axis else d for i, d in enumerate(dims)], dtype)
             for _ in range(rng.integers(1, 5))]
    return "Concat", {"axis": axis - pick([0, len(dims)])}, parts, [np.concatenate(parts, axis)]


def split():
    x = data(shape(1, 4, 6), pick(ANY))
    axis = int(rng.integers(x.ndim))
    at = sorted(rng.integers(0, x.shape[axis] + 1, rng.integers(1, 4)))
    parts = np.split(x, at, axis)
    sizes = np.array([p.shape[axis] for p in parts], np.int64)
    return "Split", {"axis": axis}, [x, sizes], parts


def gather():
    x = data(shape(1, 4), pick(ANY))
    axis = int(rng.integers(x.ndim))
    i = data(shape(0, 3), np.int64, -x.shape[axis], x.shape[axis])
    return "Gather", {"axis": axis}, [x, i], [np.take(x, i, axis)]


def gather_elements():
    x = data(shape(1, 4), pick(ANY))
    axis = int(rng.integers(x.ndim))
    i = data([int(rng.integers(1, 5)) if a == axis else d for a, d in enumerate(x.shape)], np.int64,
             -x.shape[axis], x.shape[axis])
    return "GatherElements", {"axis": axis}, [x, i], [np.take_along_axis(x, i, axis)]


def scatter_nd():
    x = data(shape(1, 4), pick(ANY))
    k = int(rng.integers(1, x.ndim + 1))
    outer = shape(1, 2)
    i = np.stack([data(outer, np.int64, 0, x.shape[a]) for a in range(k)], -1)
    u = data(outer + list(x.shape[k:]), x.dtype)
    y = x.copy()
    for at in np.ndindex(*outer):
        y[tuple(i[at])] = u[at]
    return "ScatterND", {}, [x, i, u], [y]


def reduction(op, fn, dtypes=(np.float32, np.float64, np.int32, np.int64), moved=False):
    def make():
        x = data(shape(1, 4), pick(dtypes))
        axes = [int(a) for a in rng.permutation(x.ndim)[:rng.integers(1, x.ndim + 1)]]
        keep = int(rng.integers(2))
        y = np.asarray(fn(x, axis=tuple(axes), keepdims=bool(keep))).astype(x.dtype)
        if moved:
            return op, {"keepdims": keep}, [x, np.array(axes, np.int64)], [y]
        return op, {"keepdims": keep, "axes": axes}, [x], [y]
    return make


def arg(op, fn):
    def make():
        x = data(shape(1, 4), pick([np.float32, np.int8, np.int64]))
        axis = int(rng.integers(x.ndim))
        return op, {"axis": axis, "keepdims": 0}, [x], [np.asarray(fn(x, axis), np.int64)]
    return make


def cumsum():
    x = data(shape(1, 3), pick([np.float64, np.int32, np.int64]))
    axis = int(rng.integers(x.ndim))
    return "CumSum", {}, [x, np.array(axis, np.int64)], [np.cumsum(x, axis, dtype=x.dtype)]


def topk():
    x = rng.permutation(60).reshape(3, 4, 5).astype(pick([np.float32, np.int64, np.uint8]))
    axis = int(rng.integers(3))
    k = int(rng.integers(1, x.shape[axis] + 1))
    i = np.take(np.argsort(-x.astype(np.int64), axis), range(k), axis)
    return ("TopK", {"axis": axis}, [x, np.array([k], np.int64)],
            [np.take_along_axis(x, i, axis), i.astype(np.int64)])


def nonzero():
    x = data(shape(1, 4), pick(ANY), -1, 2)
    return "NonZero", {}, [x], [np.array(np.nonzero(x), np.int64)]


def unique():
    x = data(shape(1, 3), pick([np.float32, np.int64, np.uint8]), 0, 4)
    x = np.trunc(x)
    axis = pick([None] + list(range(x.ndim)))
    y, first, inverse, count = np.unique(x, True, True, True, axis=axis)
    rest = [np.asarray(v, np.int64).reshape(-1) for v in (first, inverse, count)]
    return "Unique", {} if axis is None else {"axis": axis}, [x], [y] + rest


def cast():
    x = data(shape(0, 3), pick(REAL + [np.int32, np.int64]), 0, 100)
    x = np.abs(x) if np.issubdtype(x.dtype, np.floating) else x
    to = pick(ANY)
    return "Cast", {"to": onnx_type(to)}, [x], [x.astype(to)]


def dft():
    n = int(rng.integers(1, 9))
    x = data([2, n, 3, 2], np.float64)
    y = np.fft.fft(x[..., 0] + 1j * x[..., 1], axis=1)
    return "DFT", {"axis": 1}, [x], [np.stack([y.real, y.imag], -1)]


def det():
    n = int(rng.integers(1, 6))
    x = data([3, n, n], np.float64)
    return "Det", {}, [x], [np.linalg.det(x)]


MAKERS = [
    binary("Add", np.add, ANY), binary("Sub", np.subtract, ANY), binary("Mul", np.multiply, ANY),
    binary("Max", np.maximum, ANY), binary("Min", np.minimum, ANY),
    binary("Equal", np.equal, ANY), binary("Less", np.less, ANY),
    binary("GreaterOrEqual", np.greater_equal, ANY), divide, mod, where, transpose, slices, pad,
    tile, expand, concat, split, gather, gather_elements, scatter_nd,
    reduction("ReduceSum", np.sum, moved=True), reduction("ReduceMax", np.max),
    reduction("ReduceMin", np.min), reduction("ReduceProd", np.prod, (np.float64, np.int64)),
    reduction("ReduceMean", np.mean, (np.float32, np.float64)),
    arg("ArgMax", np.argmax), arg("ArgMin", np.argmin), cumsum, topk, nonzero, unique, cast, dft,
    det,
]


def write_case(folder, op, attrs, inputs, outputs):
    def info(name, a):
        return helper.make_tensor_value_info(name, onnx_type(a.dtype), a.shape)

    ins = [f"x{i}" for i in range(len(inputs))]
    outs = [f"y{i}" for i in range(len(outputs))]
    graph = helper.make_graph([helper.make_node(op, ins, outs, **attrs)], "case",
                              [info(n, a) for n, a in zip(ins, inputs)],
                              [info(n, a) for n, a in zip(outs, outputs)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    os.makedirs(f"{folder}/test_data_set_0")
    onnx.save(model, f"{folder}/model.onnx")
    for kind, arrays in (("input", inputs), ("output", outputs)):
        for i, a in enumerate(arrays):
            with open(f"{folder}/test_data_set_0/{kind}_{i}.pb", "wb") as f:
                f.write(numpy_helper.from_array(np.asarray(a), f"{kind}{i}").SerializeToString())


def main():
    with tempfile.TemporaryDirectory() as root, np.errstate(all="ignore"):
        for i in range(ROUNDS):
            for maker in MAKERS:
                op, attrs, inputs, outputs = maker()
                arrays = [[np.asarray(a) for a in side] for side in (inputs, outputs)]
                write_case(f"{root}/{op}_{i}", op, attrs, *arrays)
        out = subprocess.run([KERF, "conformance", "--json", root],
                             capture_output=True, text=True, check=False)
    result = json.loads(out.stdout)
    for case in result["cases"]:
        if case["verdict"] != "passed":
            print(case["name"], case["verdict"], case.get("why", ""))
    print(result["passed"], "passed of", len(result["cases"]))
    return 0 if result["passed"] == len(result["cases"]) == ROUNDS * len(MAKERS) else 1


if __name__ == "__main__":
    sys.exit(main())
