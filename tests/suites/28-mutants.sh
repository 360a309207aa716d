#!/usr/bin/env bash
# faults put into the consensus core on purpose: unit tests, traces and clusters must notice each (the simulator: scripts/mutants)
. "$(dirname "$0")/../../scripts/common.sh"
out=$(timeout 1200 scripts/mutants --no-sim 2>&1) || true
line=$(grep -E '^[0-9]+ killed, [0-9]+ survived$' <<<"$out" | tail -n 1 || true)
if [ -z "$line" ]; then
    say "FAIL mutants::run $(tail -n 1 <<<"$out")"
fi
grep -E '^FAIL' <<<"$out" || true
read -r killed survived < <(sed -E 's/[^0-9]+/ /g' <<<"${line:-0 killed, 1 survived}")
say "$killed passed, $survived failed, 0 skipped"
[ "$survived" -eq 0 ]
