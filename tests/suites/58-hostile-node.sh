#!/usr/bin/env bash
# the same hostile peers against a validator of a running network of four
. "$(dirname "$0")/../../scripts/common.sh"
work=$(mktemp -d "${TMPDIR:-/tmp}/samebit-hostile-XXXXXX")
net=
finish() {
    if [ -n "$net" ]; then
        kill -INT "$net" 2>/dev/null || true
        wait "$net" || true
    fi
    rm -rf "$work"
}
trap finish EXIT

build/samebit localnet --datadir "$work/net" --base-port 0 >"$work/log" 2>&1 &
net=$!
listens() { grep -q '^Listening on ' "$work/log" || ! kill -0 "$net" 2>/dev/null; }
wait_for 120 listens || true
url=$(sed -nE 's/^Node 0: +(http:[^ ]+).*/\1/p' "$work/log")
peers=$(sed -nE 's/^Node 0: .* peers ([^ ]+).*/\1/p' "$work/log")
[ -n "$url" ] && [ -n "$peers" ] || { tail -n 20 "$work/log"; die "the network did not start"; }
genesis=$(curl -s -m 60 -H 'Content-Type: application/json' \
    -d '{"jsonrpc":"2.0","id":1,"method":"eth_getBlockByNumber","params":["0x0",false]}' "$url" | grep -oE '"hash":"0x[0-9a-f]{64}"' | cut -d '"' -f 4)
pid=$(pgrep -P "$net" -f 'net/node0$')
timeout 900 build/tests/hostile --connect "$peers" --chain-id 23296 --genesis "$genesis" --pid "$pid" --seed "${SAMEBIT_SEED:-1}"
