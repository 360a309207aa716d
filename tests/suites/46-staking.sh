#!/usr/bin/env bash
# the staking contracts in our own VM: random lives with invariants after every transaction and block, the same as the C model of their
# rules says (about two minutes on 2 cores), and the gas of a block's end
. "$(dirname "$0")/../../scripts/common.sh"
# Counted in seeds, so that the suite is the same on every machine; SAMEBIT_SEED moves the slice.
first=${SAMEBIT_SEED:-1}
passed=0 failed=0
count() { # STATUS CASES NAME: what a run that ended with STATUS adds
    if [ "$1" -eq 0 ]; then passed=$((passed + $2)); else failed=$((failed + 1)) && tail -n 3 "build/$3.txt"; fi
}
timeout 900 build/tests/stakefuzz --seed "$first" --runs 60 >build/stakefuzz-1.txt 2>&1 &
timeout 900 build/tests/stakefuzz --seed "$((first + 60))" --runs 60 >build/stakefuzz-2.txt 2>&1 && status=0 || status=1
count "$status" 60 stakefuzz-2
wait $! && status=0 || status=1
count "$status" 60 stakefuzz-1
timeout 300 build/tests/stakemodel --seed "$first" --runs 200 >build/stakemodel.txt 2>&1 && status=0 || status=1
count "$status" 200 stakemodel
grep -ah '^seeds' build/stakefuzz-1.txt build/stakefuzz-2.txt build/stakemodel.txt || true
# The three calls with a hundred validators, quiet or all touched, take at most 3,000,000 gas: the same on every machine.
timeout 300 build/tests/bench_stake --delegations 10000 --max-gas 3000000 >build/bench-stake.txt 2>&1 && status=0 || status=1
count "$status" 1 bench-stake
[ "$status" -eq 0 ] || say "FAIL staking::end_of_block_gas"
say "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
