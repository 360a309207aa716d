#!/usr/bin/env bash
# public state tests: EEST (Cancun, Prague, Osaka) and ethereum/tests GeneralStateTests
. "$(dirname "$0")/../../scripts/common.sh"
data=${SAMEBIT_CONFORMANCE_UNPACKED:-build/conformance}/ethereum
passed=0 failed=0 skipped=0
for set in eest-state-dev gst-cancun-dev; do
    if [ ! -d "$data/$set" ]; then
        say "skip $set: not found below ${SAMEBIT_CONFORMANCE:-../shared/conformance}"
        skipped=$((skipped + 1))
        continue
    fi
    out=$(timeout 1200 build/tests/statetest "$data/$set" 2>&1) || true
    line=$(grep -aE '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' <<<"$out" | tail -n 1 || true)
    grep -aE '^FAIL|comes later' <<<"$out" | head -n 200 || true
    say "$set: ${line:-ended without its closing line}"
    read -r p f s < <(sed -E 's/[^0-9]+/ /g' <<<"${line:-0 passed, 1 failed, 0 skipped}")
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
done
say "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
