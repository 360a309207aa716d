#!/usr/bin/env bash
# every model gives the same bits by model run, eth_call and transaction, and agrees with the float model
. "$(dirname "$0")/../../scripts/common.sh"
exec timeout 1200 build/tests/modelcheck --models "${SAMEBIT_MODELS:-../shared/models}"
