#!/usr/bin/env bash
# Ethereum blockchain tests of EEST: chains of blocks, valid and invalid
. "$(dirname "$0")/../../scripts/common.sh"
paths=()
for name in eest-blockchain-dev; do
    folder=${SAMEBIT_CONFORMANCE_UNPACKED:-build/conformance}/ethereum/$name
    if [ -d "$folder" ]; then paths+=("$folder"); else say "skip blocktest: $name is absent"; fi
done
if [ ${#paths[@]} -eq 0 ]; then
    say "0 passed, 0 failed, 1 skipped"
    exit 0
fi
build/tests/blocktest "${paths[@]}"
