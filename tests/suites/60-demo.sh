#!/usr/bin/env bash
# the demonstration of scripts/start --once: from ONNX to answers in receipts, agreeing with the float models
. "$(dirname "$0")/../../scripts/common.sh"
log=build/suite-demo-start.log
status=0
timeout 600 scripts/start --once >"$log" 2>&1 || status=$?
sed -n '/ of [0-9]* as the float model/p' "$log"
if [ "$status" -eq 0 ] && [ "$(grep -c ' as the float model, ' "$log")" -eq 2 ]; then
    say "1 passed, 0 failed, 0 skipped"
else
    tail -n 20 "$log"
    say "FAIL demo: scripts/start --once ended with status $status"
    say "0 passed, 1 failed, 0 skipped"
    exit 1
fi
