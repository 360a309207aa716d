#!/usr/bin/env bash
# simulated power cuts: 200 under store and journal, 30 under a running node: nothing acknowledged is lost, nothing signed twice
. "$(dirname "$0")/../../scripts/common.sh"
passed=0 failed=0 skipped=0
shim=build/tests/powercut/libpowercut.so
run() { # NAME COMMAND...
    local name=$1 out=build/powercut-$1.txt line p f s
    shift
    timeout 900 "$@" 2>&1 | tee "$out" | sed "s/^/$name: /" || true
    line=$(tail -n 1 "$out")
    if [[ $line =~ ^[0-9]+\ passed,\ [0-9]+\ failed,\ [0-9]+\ skipped$ ]]; then
        read -r p f s < <(sed -E 's/[^0-9]+/ /g' <<<"$line")
        passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    else
        failed=$((failed + 1)) && say "FAIL powercut::$name the run did not end"
    fi
}
# SAMEBIT_SEED chooses other moments, losses and contents.
run storage env POWERCUT_RUNS=200 POWERCUT_FIRST_SEED="${SAMEBIT_SEED:-1}" build/tests/powercut/powercut_store "$shim"
run node build/tests/crash --runs 30 --seed "${SAMEBIT_SEED:-1}" --power-cut "$shim"
say "$passed passed, $failed failed, $skipped skipped"
exit $((failed > 0))
