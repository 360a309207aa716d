#!/usr/bin/env bash
# inferences of one chain proven to contracts on it and on another EVM chain, driven by ethers (needs npm)
. "$(dirname "$0")/../../scripts/common.sh"
. tests/tools/ethers.sh
ethers_run proofs
