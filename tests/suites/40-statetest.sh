#!/usr/bin/env bash
# Ethereum state tests: EEST and ethereum/tests, every case that needs no precompile of a later issue
. "$(dirname "$0")/../../scripts/common.sh"
paths=()
for name in eest-state-dev gst-cancun-dev; do
    folder=${SAMEBIT_CONFORMANCE_UNPACKED:-build/conformance}/ethereum/$name
    if [ -d "$folder" ]; then paths+=("$folder"); else say "skip statetest: $name is absent"; fi
done
if [ ${#paths[@]} -eq 0 ]; then
    say "0 passed, 0 failed, 2 skipped"
    exit 0
fi
build/tests/statetest "${paths[@]}"
