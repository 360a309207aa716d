#!/usr/bin/env bash
# ONNX backend node tests through the compiler and the engine
. "$(dirname "$0")/../../scripts/common.sh"
data=${SAMEBIT_CONFORMANCE_UNPACKED:-build/conformance}/onnx-node
if [ ! -d "$data" ]; then
    say "skip onnx-node: not found below ${SAMEBIT_CONFORMANCE:-../shared/conformance}"
    say "0 passed, 0 failed, 1 skipped"
    exit 0
fi
exec timeout 600 build/tests/onnxtest "$data"
