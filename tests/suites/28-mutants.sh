#!/usr/bin/env bash
# faults put into the consensus core on purpose: unit tests or traces, and the simulator, must notice each
. "$(dirname "$0")/../../scripts/common.sh"
out=$(SIM_SEEDS=1..400 timeout 1200 scripts/mutants 2>&1) || true
line=$(grep -E '^[0-9]+ killed, [0-9]+ survived$' <<<"$out" | tail -n 1 || true)
if [ -z "$line" ]; then
    say "FAIL mutants::run $(tail -n 1 <<<"$out")"
fi
grep -E '^(FAIL|[a-z]|    sim |    repeat )' <<<"$out" || true
read -r killed survived < <(sed -E 's/[^0-9]+/ /g' <<<"${line:-0 killed, 1 survived}")
say "$killed passed, $survived failed, 0 skipped"
[ "$survived" -eq 0 ]
