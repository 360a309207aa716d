#!/usr/bin/env bash
# random lives of the staking contracts in our own VM: their invariants after every transaction and block, and the same as the C model of
# their rules (about a minute on 2 cores)
. "$(dirname "$0")/../../scripts/common.sh"
# Counted in seeds, so that the suite is the same on every machine; SAMEBIT_SEED moves the slice.
first=${SAMEBIT_SEED:-1}
timeout 900 build/tests/stakefuzz --seed "$first" --runs 40 >build/stakefuzz-1.txt 2>&1 &
timeout 900 build/tests/stakefuzz --seed "$((first + 40))" --runs 40 >build/stakefuzz-2.txt 2>&1 && second=0 || second=1
wait $! && one=0 || one=1
timeout 300 build/tests/stakemodel --seed "$first" --runs 200 >build/stakemodel.txt 2>&1 && model=0 || model=1
grep -ahE '^(FAIL|reproduce|seeds)' build/stakefuzz-1.txt build/stakefuzz-2.txt build/stakemodel.txt || true
say "$(((1 - one) * 40 + (1 - second) * 40 + (1 - model) * 200)) passed, $((one + second + model)) failed, 0 skipped"
[ $((one + second + model)) -eq 0 ]
