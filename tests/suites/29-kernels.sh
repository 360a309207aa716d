#!/usr/bin/env bash
# every kernel at every CPU level of this machine against the C reference, byte for byte
. "$(dirname "$0")/../../scripts/common.sh"
exec timeout 600 build/tests/kernelcheck
