#!/usr/bin/env bash
# the program, built with sanitizers, with truncated, bit-flipped, random and foreign files: a clear error each
. "$(dirname "$0")/../../scripts/common.sh"
scripts/build --asan
exec timeout 1200 build/tests/badinput --samebit build-asan/samebit --seed "${SAMEBIT_SEED:-1}"
