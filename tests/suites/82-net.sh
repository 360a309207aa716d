#!/usr/bin/env bash
# four node processes: one killed, partition, late joiner, a slow one, bad wires, a forger of four kinds, kill -9 of random nodes under load
. "$(dirname "$0")/../../scripts/common.sh"
# SAMEBIT_SEED chooses other moments and other transactions; scripts/soak runs the kills for half an hour.
exec timeout 900 build/tests/nettest --seconds 30 --seed "${SAMEBIT_SEED:-1}"
