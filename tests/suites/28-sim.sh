#!/usr/bin/env bash
# clusters in virtual time: fixed scenarios, each seed repeats itself, and a slice of the campaign (about 2.5 minutes on 2 cores)
. "$(dirname "$0")/../../scripts/common.sh"
# Counted in seeds, so that the suite is the same on every machine. SAMEBIT_SEED moves the slice: campaigns that run on are scripts/sim.
passed=0 failed=0 skipped=0
first=${SAMEBIT_SEED:-1}
jobs=$(nproc)
run() { # NAME ARGUMENTS...
    local name=$1 out=build/sim-$1.txt line p f s
    shift
    timeout 900 build/tests/sim "$@" >"$out" 2>&1 || true
    grep -aE '^(FAIL|  repeat|ok)' "$out" | sed "s/^/$name: /" || true
    line=$(tail -n 1 "$out")
    if [[ $line =~ ^[0-9]+\ passed,\ [0-9]+\ failed,\ [0-9]+\ skipped$ ]]; then
        read -r p f s < <(sed -E 's/[^0-9]+/ /g' <<<"$line")
        passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
        say "$name: $line"
    else
        failed=$((failed + 1)) && say "FAIL sim::$name the run did not end"
    fi
}
run scenarios --scenario all
run scenarios-core --scenario all --core-only
run determinism --determinism "$first..$((first + 19))"
run determinism-core --determinism "$first..$((first + 39))" --core-only
run replicas --seeds "$first..$((first + 1199))" --jobs "$jobs" --quiet
run cores --seeds "$first..$((first + 1499))" --core-only --jobs "$jobs" --quiet
say "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
