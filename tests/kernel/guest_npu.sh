#!/bin/sh
# SPDX-License-Identifier: MIT
# The runtime's engine npu:0 through the module and the NPU: whole networks against the reference, what
# the processor has to do meanwhile, jobs in flight together, faults.
# limit-s: 240
: "${KERF:=build/kerf}" "${KERF_BUILD:=build}"
echo "KTAP version 1"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
if ! "$KERF" inspect --engines 2>/dev/null | grep -q 'npu:0'; then
	echo "1..1"
	echo "ok 1 npu # SKIP $("$KERF" inspect --engines 2>&1 | grep -i 'none' || echo 'no NPU here')"
	exit 4
fi
echo "1..6"
n=0 failed=0
result() {
	n=$((n + 1))
	if [ "$1" = 0 ]; then
		echo "ok $n $2"
	else
		echo "not ok $n $2"
		failed=1
	fi
}

# outputs of MODEL ENGINE OUTPUT INPUT... to $tmp/ENGINE.raw
outputs() {
	model=$1 engine=$2 output=$3
	shift 3
	"$KERF" run "$model" --on "$engine" "$@" --output "$output:$tmp/${engine%%:*}.raw"
}

# The largest difference over the greatest magnitude (at least 1) is at most $1
near() {
	python3 - "$tmp/ref.raw" "$tmp/npu.raw" "$1" <<'PY'
import struct, sys
a, b = (list(memoryview(open(f, "rb").read()).cast("f")) for f in sys.argv[1:3])
most = max(1.0, max(map(abs, a)))
off = max(abs(x - y) for x, y in zip(a, b)) / most
print("# off by %.2g" % off)
sys.exit(len(a) != len(b) or not off <= float(sys.argv[3]))
PY
}

"$KERF" inspect --engines | sed 's/^/# /'
"$KERF" gen resnet18-int8 --size "${KERF_TEST_SIZE:-64x64}" -o "$tmp/resnet18-int8.onnx" 2>/dev/null

# the bits of the reference
outputs "$tmp/resnet18-int8.onnx" ref output --random 1 &&
	outputs "$tmp/resnet18-int8.onnx" npu:0 output --random 1 && cmp "$tmp/ref.raw" "$tmp/npu.raw"
result $? int8_resnet18_has_the_bits_of_ref

"$KERF" gen mobilenet_v2 --size 64x64 -o "$tmp/mobilenet.onnx" 2>/dev/null
outputs "$tmp/mobilenet.onnx" ref output --random 1 && outputs "$tmp/mobilenet.onnx" npu:0 output --random 1 && near 1e-5
result $? float_mobilenet_within_1e-5

if [ -e "${KERF_TEST_DATA:-}/mnist/model.onnx" ]; then
	ok=0
	for set in 0 1 2; do
		for engine in ref npu:0; do
			outputs "$KERF_TEST_DATA/mnist/model.onnx" $engine Plus214_Output_0 \
				--input "Input3:$KERF_TEST_DATA/mnist/test_data_set_$set/input_0.pb" || ok=1
		done
		near 1e-5 || ok=1
	done
	result $ok trained_mnist_within_1e-5
else
	result 0 "trained_mnist_within_1e-5 # SKIP KERF_TEST_DATA has no mnist"
fi

# What the processor does while the NPU works; told, not judged: times depend on the machine.
python3 - "$KERF" "$tmp/resnet18-int8.onnx" <<'PY'
import json, subprocess, sys, time
def look(pid):
    own = open("/proc/%d/stat" % pid).read().rsplit(")", 1)[1].split()
    cpu = list(map(int, open("/proc/stat").readline().split()[1:9]))
    return int(own[11]), int(own[12]), cpu[3] + cpu[4], sum(cpu), time.monotonic()
p = subprocess.Popen([sys.argv[1], "bench", sys.argv[2], "--on", "npu:0", "--depth", "1", "--seconds", "3", "--format", "json"],
                     stdout=subprocess.PIPE)
time.sleep(1)
a = look(p.pid)
time.sleep(1.5)
user, system, idle, total, wall = (y - x for x, y in zip(a, look(p.pid)))
row = json.loads(p.communicate()[0])[0]
print("# within %.1f s of requests, %.1f a second, median %.1f ms: user %.2f s, system %.2f s, the processors idle %.0f %%"
      % (wall, row["req_s"], row["median_ms"], user / 100, system / 100, 100 * idle / total))
sys.exit(p.returncode != 0 or row["n"] < 10)
PY
result $? requests_for_three_seconds

if [ -x "$KERF_BUILD/tests/ops/test_npu_queue" ]; then
	KERF_TEST_QUICK=1 KERF_NPU_FAULT=/out/npu-fault CMOCKA_MESSAGE_OUTPUT=TAP "$KERF_BUILD/tests/ops/test_npu_queue" >"$tmp/queue" 2>&1
	ok=$?
	sed 's/^/# /' "$tmp/queue"
	result $ok jobs_together_cancelled_and_failed
else
	result 0 "jobs_together_cancelled_and_failed # SKIP test_npu_queue is not built"
fi

# The device goes while requests run: they fail, nobody hangs; it comes back, and works
unplug() {
	driver=$(echo /sys/bus/pci/drivers/kerf*)
	device=$(cd "$driver" && echo 0*)
	timeout 60 "$KERF" bench "$tmp/resnet18-int8.onnx" --on npu:0 --depth 4 --seconds 30 >"$tmp/gone" 2>&1 &
	pid=$!
	sleep 3
	echo "$device" >"$driver/unbind"
	wait $pid
	status=$?
	sed 's/^/# /' "$tmp/gone"
	"$KERF" inspect --engines | grep npu:0 && status=0
	echo "$device" >"$driver/bind"
	[ $status = 1 ] && outputs "$tmp/mobilenet.onnx" ref output --random 2 &&
		outputs "$tmp/mobilenet.onnx" npu:0 output --random 2 && near 1e-5
}
if [ "${KERF_RELOAD:-0}" = 1 ]; then
	unplug
	result $? device_goes_and_comes_back
else
	result 0 "device_goes_and_comes_back # SKIP not on a machine that is in use"
fi
exit $failed
