# sync.sh: state sync beside block sync, over sockets. Sourced by scripts/bench.
#
#     producer: SYNC_BLOCKS blocks on a genesis of SYNC_ACCOUNTS accounts, with snapshots
#     one newcomer by state sync, one by block sync, one after the other, each until it has the producer's head of then

SYNC_BLOCKS=${SYNC_BLOCKS:-20000}
SYNC_ACCOUNTS=${SYNC_ACCOUNTS:-100000}

sync_url() { sed -nE 's/.*Listening on (http:[^ ]*).*/\1/p' "$scratch/$1.log" 2>/dev/null | head -n 1; }
sync_rpc() { curl -s -m 20 -H 'Content-Type: application/json' -d "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"$2\",\"params\":$3}" "$(sync_url "$1")"; }
sync_height() { echo $(($(sync_rpc "$1" eth_blockNumber '[]' 2>/dev/null | sed -nE 's/.*"result":"(0x[0-9a-f]+)".*/\1/p'))) 2>/dev/null || echo 0; }
sync_wait() { # NAME HEIGHT
    while [ -z "$(sync_url "$1")" ] || [ "$(sync_height "$1")" -lt "$2" ]; do
        kill -0 "${sync_pids[-1]}" 2>/dev/null || { tail -n 5 "$scratch/$1.log"; die "$1 has ended"; }
        sleep 0.1
    done
}
# sync_node NAME PORT options ...
sync_node() {
    local name=$1 port=$2
    shift 2
    build/samebit run --datadir "$scratch/$name" --port 0 --p2p-host 127.0.0.1 --p2p-port "$port" --p2p-allow-local \
        --p2p-external-address "127.0.0.1:$port" "$@" >"$scratch/$name.log" 2>&1 &
    sync_pids+=($!)
}

# sync_genesis: a chain of one validator, that of the producer, with many accounts
sync_genesis() {
    build/samebit init --datadir "$scratch/producer" >/dev/null
    build/samebit init --datadir "$scratch/maker" --no-staking --alloc 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266=1000 --block-interval 0 >/dev/null
    python3 - "$scratch/maker/genesis.json" "$scratch/genesis.json" "$(build/samebit validator-key --datadir "$scratch/producer" | grep -oE '0x[0-9a-f]{64}' | head -n 1)" \
        "$SYNC_ACCOUNTS" <<'PYTHON'
import hashlib, json, sys
source, target, key, count = sys.argv[1:]
genesis = json.load(open(source))
genesis["samebit"]["validators"][0]["publicKey"] = key
for i in range(int(count)):
    genesis["alloc"]["0x" + hashlib.sha256(b"account %d" % i).hexdigest()[:40]] = {"balance": hex(10**18 + i)}
json.dump(genesis, open(target, "w"))
PYTHON
}

bench_sync() {
    local begin state_ms block_ms height trust peer
    sync_pids=()
    trap 'for pid in "${sync_pids[@]}"; do kill "$pid" 2>/dev/null || true; done; wait 2>/dev/null || true; rm -rf "$scratch"' EXIT
    sync_genesis
    for name in producer state block; do build/samebit init --datadir "$scratch/$name" --genesis "$scratch/genesis.json" >/dev/null; done
    say "making $SYNC_BLOCKS blocks"
    sync_node producer 24311 --block-interval-ms 1 --log-level warn --snapshot-interval 1000 --halt-height "$SYNC_BLOCKS"
    wait "${sync_pids[0]}" || true
    sync_pids=()
    sync_node producer 24311 --block-interval-ms 1000 --snapshot-interval 1000
    sync_wait producer "$SYNC_BLOCKS"
    trust=$(sync_rpc producer samebit_getCommit '["0x1"]' | sed -E 's/.*"blockId":"(0x[0-9a-f]+)".*/\1/')
    peer="$(build/samebit node-id --datadir "$scratch/producer" | head -n 1)@127.0.0.1:24311"
    height=$(sync_height producer)
    begin=$(ms_now)
    sync_node state 24312 --persistent-peers "$peer" --state-sync --trust-height 1 --trust-hash "$trust"
    sync_wait state "$height"
    state_ms=$(($(ms_now) - begin))
    kill "${sync_pids[-1]}" && wait "${sync_pids[-1]}" 2>/dev/null || true
    height=$(sync_height producer)
    begin=$(ms_now)
    sync_node block 24313 --persistent-peers "$peer"
    sync_wait block "$height"
    block_ms=$(($(ms_now) - begin))
    grep -h 'the state is complete' "$scratch/state.log"
    printf '%-40s %10s\n' "chain" "$SYNC_BLOCKS blocks, $SYNC_ACCOUNTS accounts" \
        "state sync, from start to head" "$((state_ms / 1000)).$((state_ms % 1000 / 100)) s" \
        "block sync, from start to head" "$((block_ms / 1000)).$((block_ms % 1000 / 100)) s"
    result_sync="{\"blocks\":$SYNC_BLOCKS,\"accounts\":$SYNC_ACCOUNTS,\"state_ms\":$state_ms,\"block_ms\":$block_ms}"
    for pid in "${sync_pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
}
