#!/usr/bin/env bash
# 50 kills (SIGKILL) of a running node at random moments under load: nothing acknowledged is lost, nothing signed twice
. "$(dirname "$0")/../../scripts/common.sh"
# SAMEBIT_SEED chooses other moments and other transactions.
exec timeout 900 build/tests/crash --runs 50 --seed "${SAMEBIT_SEED:-1}"
