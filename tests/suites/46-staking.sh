#!/usr/bin/env bash
# random lives of the staking contracts in our own VM, their invariants checked after every transaction and block (about a minute on 2 cores)
. "$(dirname "$0")/../../scripts/common.sh"
# Counted in seeds, so that the suite is the same on every machine; SAMEBIT_SEED moves the slice.
first=${SAMEBIT_SEED:-1}
timeout 900 build/tests/stakefuzz --seed "$first" --runs 40 >build/stakefuzz-1.txt 2>&1 &
timeout 900 build/tests/stakefuzz --seed "$((first + 40))" --runs 40 >build/stakefuzz-2.txt 2>&1 && second=0 || second=1
wait $! && one=0 || one=1
grep -ahE '^(FAIL|reproduce|seeds)' build/stakefuzz-1.txt build/stakefuzz-2.txt || true
say "$(((1 - one) * 40 + (1 - second) * 40)) passed, $((one + second)) failed, 0 skipped"
[ $((one + second)) -eq 0 ]
