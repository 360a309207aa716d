#!/usr/bin/env bash
# validators and delegators driven by ethers: a life with jail and a double signer, 1,000 blocks of random actions; a model replays both (needs npm)
. "$(dirname "$0")/../../scripts/common.sh"
. tests/tools/ethers.sh
# SAMEBIT_SEED chooses other actions, SAMEBIT_BLOCKS more or fewer blocks. Two to three minutes.
passed=0 failed=0 skipped=0
for name in rewards stake; do
    log=build/ethers-$name.txt
    (ethers_run "$name") >"$log" 2>&1 || true
    last=$(tail -n 1 "$log")
    if [[ $last =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed,\ ([0-9]+)\ skipped$ ]]; then
        passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2])) skipped=$((skipped + BASH_REMATCH[3]))
        sed '$d' "$log"
    else
        failed=$((failed + 1))
        tail -n 5 "$log"
        say "FAIL $name: it did not come to its end"
    fi
done
say "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
