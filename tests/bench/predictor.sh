#!/bin/sh
# SPDX-License-Identifier: MIT
# How well the predictor does without a model, or an engine, on this machine: profiles of all that
# `kerf gen` offers in several sizes and of the trained models in KERF_TEST_DATA, on each ISA with one
# thread and two, the fastest of PASSES passes (default 3), then `kerf bench --predictor`.
# Takes about five minutes a pass. KERF_PROFILE_DIR keeps the profiles; else they go at the end.
set -eu
cd "$(dirname "$0")/../.." || exit 1
O=${O:-build}
KERF=${KERF:-$PWD/$O/kerf}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export KERF_PROFILE_DIR="${KERF_PROFILE_DIR:-$work/profiles}"
isas="baseline avx2 avx512"
[ "$(uname -m)" = x86_64 ] || isas=neon

gen() {
	arch=$1
	shift
	for size; do
		"$KERF" gen "$arch" --size "$size" -o "$work/$arch-$size.onnx"
	done
}

for m in squeezenet googlenet resnet18 resnet50 resnet18-int8 mobilenet_v2 mobilenet_v3 \
	shufflenet_v2 efficientnet_b0 vit_tiny; do
	gen $m 96x96 160x160 224x224
done
gen vgg16 96x96 224x224
gen yolov4-tiny 224x224 416x416
gen bert_mini 1x32 1x64 1x128 1x256
gen tiny 32x32 64x64
trained=
for m in "${KERF_TEST_DATA:-/none}"/*/model.onnx; do
	[ -e "$m" ] && trained="$trained $m"
done
pass=0
while [ $pass -lt "${PASSES:-3}" ]; do
	for isa in $isas; do
		for threads in 1 2; do
			# Two threads are bound, or the scheduler may put both on one CPU.
			# shellcheck disable=SC2086
			"$O/tests/bench/profiles" $threads $isa $((threads - 1)) "$work"/*.onnx $trained >&2 ||
				echo "predictor.sh: no profiles of $isa with $threads threads" >&2
		done
	done
	pass=$((pass + 1))
done
"$KERF" bench --predictor
