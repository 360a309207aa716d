#!/usr/bin/env bash
# 50 kills (SIGKILL) of a running node at random moments under load, then 30 power cuts: nothing acknowledged is lost, nothing signed twice
. "$(dirname "$0")/../../scripts/common.sh"
passed=0 failed=0 skipped=0
# SAMEBIT_SEED chooses other moments and other transactions.
run() { # NAME OPTIONS...
    local name=$1 out=build/crash-$1.txt line p f s
    shift
    timeout 600 build/tests/crash --seed "${SAMEBIT_SEED:-1}" "$@" 2>&1 | tee "$out" | sed "s/^/$name: /" || true
    line=$(tail -n 1 "$out")
    if [[ $line =~ ^[0-9]+\ passed,\ [0-9]+\ failed,\ [0-9]+\ skipped$ ]]; then
        read -r p f s < <(sed -E 's/[^0-9]+/ /g' <<<"$line")
        passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    else
        failed=$((failed + 1)) && say "FAIL crash::$name the run did not end"
    fi
}
run kill --runs 50
run power-cut --runs 30 --power-cut build/tests/powercut/libpowercut.so
say "$passed passed, $failed failed, $skipped skipped"
exit $((failed > 0))
