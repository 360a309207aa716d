# ethers.sh: run a test of tests/ethers with the library that its lock file pins. Sourced after scripts/common.sh.

# ethers_run NAME [arguments ...]: tests/ethers/NAME.mjs; its last line is the suite's.
ethers_run() {
    local name=$1
    shift
    if ! command -v npm >/dev/null || [ "$(node -p 'process.versions.node.split(".")[0]')" -lt 20 ]; then
        say "skip $name: there is no npm with Node.js 20 on this machine"
        say "0 passed, 0 failed, 1 skipped"
        exit 0
    fi
    if ! cmp -s tests/ethers/package-lock.json build/ethers/package-lock.json || [ ! -d tests/ethers/node_modules/ethers ]; then
        mkdir -p build/ethers
        if ! (cd tests/ethers && npm ci --no-audit --no-fund >../../build/ethers/npm.log 2>&1); then
            tail -n 5 build/ethers/npm.log
            say "skip $name: ethers could not be installed"
            say "0 passed, 0 failed, 1 skipped"
            exit 0
        fi
        cp tests/ethers/package-lock.json build/ethers/
    fi
    timeout 900 node "tests/ethers/$name.mjs" "$@"
}
