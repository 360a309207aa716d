#!/usr/bin/env bash
# hostile peers (garbage, half-open, floods, with and without good keys) against a peer network that serves an honest peer meanwhile
. "$(dirname "$0")/../../scripts/common.sh"
exec timeout 300 build/tests/hostile --seed "${SAMEBIT_SEED:-1}"
