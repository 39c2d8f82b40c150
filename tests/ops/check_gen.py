#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
What `kerf gen` writes, judged by others: ONNX's own checker and shape inference,
parameter counts as published, weights aligned in the file, finite, and the same
from the same seed.

usage: [KERF=build/kerf] check_gen.py [ARCH...]
exit 0 ok, 1 wrong, 77 python3-onnx is absent
"""
import hashlib
import os
import subprocess
import sys
import tempfile

try:
    import numpy
    import onnx
    from onnx import numpy_helper
except ImportError:
    print("check_gen: skipped: python3-onnx is not installed")
    sys.exit(77)

# Parameters as the papers' authors or torchvision and timm count them (means and
# variances of batch norm are not parameters); output shapes at batch 1.
KNOWN = {
    "tiny": (6922, [[1, 10]]),
    "squeezenet": (1235496, [[1, 1000]]),
    "mobilenet_v2": (3504872, [[1, 1000]]),
    "mobilenet_v3": (5483032, [[1, 1000]]),
    "shufflenet_v2": (2278604, [[1, 1000]]),
    "resnet18": (11689512, [[1, 1000]]),
    "resnet18-exits": (12140512, [[1, 1000]] * 4),
    "resnet50": (25557032, [[1, 1000]]),
    "googlenet": (6624904, [[1, 1000]]),
    "efficientnet_b0": (5288548, [[1, 1000]]),
    "vgg16": (138357544, [[1, 1000]]),
    "yolov4-tiny": (6056606, [[1, 255, 13, 13], [1, 255, 26, 26]]),
    "vit_tiny": (5717416, [[1, 1000]]),
    "bert_mini": (11170560, [[1, 128, 256], [1, 256]]),
    # Norms folded into 20 + 1 layers' weights and biases, no scale of their own left.
    "resnet18-int8": (11684712, [[1, 1000]]),
}
ALIGN = 64


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def fields(data, at, end):
    """(number, start, end) of the length-delimited fields in data[at:end]."""
    while at < end:
        tag, at = varint(data, at)
        if tag & 7 == 2:
            size, at = varint(data, at)
            yield tag >> 3, at, at + size
            at += size
        elif tag & 7 == 0:
            _, at = varint(data, at)
        else:
            at += {1: 8, 5: 4}[tag & 7]
    assert at == end, "field runs over its message"


def raw_offsets(data):
    for number, begin, end in fields(data, 0, len(data)):
        if number != 7:
            continue
        for number, begin, end in fields(data, begin, end):
            if number != 5:
                continue
            for number, at, _ in fields(data, begin, end):
                if number == 9:
                    yield at


def parameters(model):
    """Elements of float and integer weights: no means, variances, scales, shapes."""
    skip, quant = set(), set()
    for node in model.graph.node:
        if node.op_type == "BatchNormalization":
            skip.update(node.input[3:5])
        if node.op_type == "Resize":
            skip.update(node.input[1:])
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            quant.update(node.input[1:3])
    count = 0
    for t in model.graph.initializer:
        trained = t.data_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.INT8,
                                  onnx.TensorProto.INT32)
        if trained and t.dims and t.name not in skip and t.name not in quant:
            count += int(numpy.prod(t.dims))
    return count


def shapes(model):
    inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
    return [[d.dim_value or d.dim_param for d in o.type.tensor_type.shape.dim]
            for o in inferred.graph.output], inferred


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def gen(kerf, arch, path, *options):
    subprocess.run([kerf, "gen", arch, "-o", path, *options], check=True)


def check(kerf, arch, folder):
    path = os.path.join(folder, "a.onnx")
    other = os.path.join(folder, "b.onnx")
    count, outputs = KNOWN[arch]
    gen(kerf, arch, path)
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    found, inferred = shapes(model)
    assert found == outputs, f"outputs {found}, expected {outputs}"
    # Every value's shape must be inferable, and our own output shapes agree with it.
    known = {v.name for v in inferred.graph.value_info}
    for node in model.graph.node:
        for name in node.output:
            assert name in known or name in {o.name for o in model.graph.output}, name
    assert parameters(model) == count, f"{parameters(model)} parameters, expected {count}"
    with open(path, "rb") as f:
        data = f.read()
    offsets = list(raw_offsets(data))
    assert len(offsets) == len(model.graph.initializer)
    assert all(o % ALIGN == 0 for o in offsets), "raw_data not aligned"
    for t in model.graph.initializer:
        array = numpy_helper.to_array(t)
        assert array.dtype != numpy.float32 or numpy.isfinite(array).all(), t.name
    gen(kerf, arch, other)
    assert digest(path) == digest(other), "the same seed gave another file"
    if count < 30e6:
        gen(kerf, arch, other, "--seed", "2", "--batch", "symbolic")
        model = onnx.load(other)
        onnx.checker.check_model(model, full_check=True)
        found, _ = shapes(model)
        assert [s[0] for s in found] == ["N"] * len(found), f"symbolic batch: {found}"
        assert digest(path) != digest(other)
    print(f"{arch}: {count} parameters, {len(data)} bytes")


def main():
    kerf = os.environ.get("KERF", "build/kerf")
    listed = subprocess.run([kerf, "gen", "--list"], check=True, capture_output=True, text=True)
    archs = [line.split()[0] for line in listed.stdout.splitlines()]
    for line in listed.stdout.splitlines():
        assert int(line.split()[1]) == KNOWN[line.split()[0]][0], line
    for arch in sys.argv[1:] or archs:
        with tempfile.TemporaryDirectory() as folder:
            try:
                check(kerf, arch, folder)
            except Exception as e:
                print(f"check_gen: {arch}: {e}")
                return 1
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "x.onnx")
        for bad, code in ((["nothing"], 2), (["tiny", "--size", "0x9"], 2), (["tiny", "--batch", "-1"], 2),
                          ([], 2), (["squeezenet", "--size", "8x8"], 1),
                          (["vgg16", "--size", "2048x2048"], 1), (["tiny", "--seed", "1z"], 2)):
            r = subprocess.run([kerf, "gen", *bad, "-o", path], capture_output=True, text=True)
            assert r.returncode == code and r.stderr, (bad, r)
            assert os.listdir(folder) == [], "a partial file was left"
    return 0


sys.exit(main())
