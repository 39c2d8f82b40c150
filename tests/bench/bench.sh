#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs what docs/benchmarks.md reports and prints it as Markdown. Takes about half an hour
# on an otherwise idle machine. usage: tests/bench/bench.sh [PART...]
set -u
cd "$(dirname "$0")/../.." || exit 1
O=${O:-build}
KERF=${KERF:-$PWD/$O/kerf}
export KERF
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export KERF_PROFILE_DIR="$work/profiles" XDG_CACHE_HOME="$work/cache"

model() {
	[ -e "$work/$1.onnx" ] || "$KERF" gen "$1" -o "$work/$1.onnx"
}

part_machine() {
	echo "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) CPUs, $(uname -r)"
	"$KERF" bench --peak --threads "1,$(nproc)"
}

part_conformance() {
	"$KERF" conformance "${KERF_CONFORMANCE_DIR:-/usr/share/libonnx-testdata/data}" | tail -n 1
}

part_speed() {
	for m in resnet50 resnet18 vgg16 mobilenet_v2 squeezenet googlenet efficientnet_b0 \
		shufflenet_v2 mobilenet_v3 yolov4-tiny vit_tiny bert_mini resnet18-int8; do
		model $m
		echo
		echo "$m"
		"$KERF" bench "$work/$m.onnx" --threads "1,$(nproc)" --peak --seconds "${BENCH_SECONDS:-5}"
		rm -f "$work/$m.onnx"
	done
}

part_load() {
	for m in squeezenet resnet50 vgg16; do
		model $m
		echo "$m: "
		"$KERF" bench "$work/$m.onnx" --load
		rm -f "$work/$m.onnx"
	done
}

part_wire() {
	"$KERF" bench --wire
}

part_plan() {
	tests/bench/two_nodes.sh
}

part_predictor() {
	tests/bench/predictor.sh
}

part_telemetry() {
	tests/bench/telemetry_cost.sh
	"$O/tests/bench/state_read"
	tests/bench/load.sh
}

part_transfers() {
	tests/bench/transfers.sh
}

part_min_cuts() {
	set --
	for m in vgg16 squeezenet googlenet resnet18 resnet50 mobilenet_v2 mobilenet_v3 \
		shufflenet_v2 efficientnet_b0 yolov4-tiny vit_tiny bert_mini; do
		model $m
		set -- "$@" "$work/$m.onnx"
	done
	"$O/tests/bench/min_cuts" "$@"
}

[ $# -gt 0 ] || set -- machine conformance speed load wire plan predictor min_cuts telemetry transfers
for part in "$@"; do
	echo
	echo "## $part"
	"part_$part"
done
