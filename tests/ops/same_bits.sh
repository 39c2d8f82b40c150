#!/bin/sh
# SPDX-License-Identifier: MIT
# A mixed cluster answers as one machine: the cpu engine gives the same bits on this
# machine's vector instructions, with one thread and two, and on NEON under qemu-user.
# usage: same_bits.sh ARM64_BUILD    ($KERF: this machine's kerf)
set -eu
kerf=${KERF:-build/kerf}
arm=$1/kerf
[ -x "$arm" ] || { echo "same_bits: skipped: no $arm"; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT INT TERM

# run LABEL ISA THREADS COMMAND...: the outputs of $model, as one file
run() {
	label=$1 isa=$2 threads=$3
	shift 3
	set -- "$@" run "$dir/model.onnx" --random 7 --on cpu --isa "$isa" --threads "$threads"
	for o in $outputs; do
		set -- "$@" --output "$o:$dir/$o.$label"
	done
	"$@" >"$dir/log" 2>&1 || { cat "$dir/log"; return 1; }
	for o in $outputs; do
		cat "$dir/$o.$label"
	done >"$dir/$label"
}

wrong=0 compared=0
while read -r arch size outputs; do
	"$kerf" gen "$arch" --size "$size" -o "$dir/model.onnx"
	run neon neon 1 qemu-aarch64 "$arm"
	for isa in avx2 avx512; do
		for threads in 1 2; do
			run native "$isa" "$threads" "$kerf" || {
				grep -q "no isa" "$dir/log" && continue
				exit 1
			}
			compared=$((compared + 1))
			cmp -s "$dir/neon" "$dir/native" && continue
			echo "$arch: $isa with $threads threads and neon give other bits"
			wrong=1
		done
	done
	echo "$arch: $(wc -c <"$dir/neon") bytes of outputs"
done <<LIST
tiny 33x30 output
squeezenet 48x48 output
mobilenet_v2 64x64 output
mobilenet_v3 64x64 output
shufflenet_v2 64x64 output
resnet18 48x48 output
resnet18-int8 48x48 output
googlenet 64x64 output
efficientnet_b0 64x64 output
yolov4-tiny 64x64 output0 output1
vit_tiny 32x32 output
bert_mini 1x16 last_hidden_state pooler_output
LIST
[ "$compared" != 0 ] || { echo "same_bits: skipped: no fused multiply-add here"; exit 77; }
exit "$wrong"
