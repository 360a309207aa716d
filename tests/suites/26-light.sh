#!/usr/bin/env bash
# light client: the public single-step vectors, and their blocks with one thing changed
. "$(dirname "$0")/../../scripts/common.sh"
folder=${SAMEBIT_CONFORMANCE:-../shared/conformance}/consensus/light-client/single_step
if [ ! -d "$folder" ]; then
    say "skip lighttest: consensus/light-client/single_step is absent"
    say "0 passed, 0 failed, 1 skipped"
    exit 0
fi
exec timeout 300 build/tests/lighttest "$folder"
