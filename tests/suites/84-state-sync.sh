#!/usr/bin/env bash
# new nodes begin at snapshots among peers that serve wrong chunks, stale snapshots and false headers; a pruned node goes on
. "$(dirname "$0")/../../scripts/common.sh"
work=$(mktemp -d "${TMPDIR:-/tmp}/samebit-state-sync-XXXXXX")
passed=0 failed=0
pids=()
finish() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

# check NAME command...: it must succeed
check() {
    local name=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        say "FAIL state-sync::$name"
    fi
}
rpc() { # NAME METHOD PARAMS
    curl -s -m 60 -H 'Content-Type: application/json' -d "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"$2\",\"params\":$3}" "$(url_of "$1")"
}
url_of() { sed -nE 's/.*Listening on (http:[^ ]*).*/\1/p' "$work/$1.log" 2>/dev/null | head -n 1; }
height_of() { echo $(($(rpc "$1" eth_blockNumber '[]' | sed -E 's/.*"result":"(0x[0-9a-f]+)".*/\1/'))); }
reaches() { [ -n "$(url_of "$1")" ] && [ "$(height_of "$1" 2>/dev/null || echo 0)" -ge "$2" ]; }
wait_height() { # NAME HEIGHT
    wait_for 300 reaches "$1" "$2" && return
    tail -n 3 "$work/$1.log"
    return 1
}
id_of() { build/samebit node-id --datadir "$work/$1" | head -n 1; }
peer_of() { echo "$(id_of "$1")@127.0.0.1:$(cat "$work/$1.port")"; }
# free_port: below those that the system gives to outgoing connections: nobody but another test takes it before the node does.
free_port() {
    python3 - <<'EOF'
import random, socket
while True:
    port = random.randrange(10240, 32000)
    try:
        with socket.socket() as s:
            s.bind(("127.0.0.1", port))
        break
    except OSError:
        pass
print(port)
EOF
}
# node PROGRAM NAME [options ...]: run a node of $work/NAME
node() {
    local program=$1 name=$2
    shift 2
    [ -s "$work/$name.port" ] || free_port >"$work/$name.port"
    "$program" run --datadir "$work/$name" --port 0 --p2p-host 127.0.0.1 --p2p-port "$(cat "$work/$name.port")" --p2p-allow-local \
        --p2p-external-address "127.0.0.1:$(cat "$work/$name.port")" --p2p-per-ip-max 100 --snapshot-interval 250 --snapshot-keep 6 "$@" >"$work/$name.log" 2>&1 &
    pids+=($!)
}
make() { build/samebit init --datadir "$work/$1" --genesis "$work/honest/genesis.json" >/dev/null; }
# follows NAME: its log says that the state is complete, and it comes to the honest node's head with its blocks
follows() {
    local height
    wait_height "$1" 1 || return 1
    height=$(height_of honest)
    wait_height "$1" "$height" || return 1
    grep -q 'the state is complete' "$work/$1.log" || return 1
    local params
    params="[\"$(printf '0x%x' "$height")\",false]"
    [ "$(rpc "$1" eth_getBlockByNumber "$params" | sha256sum)" = "$(rpc honest eth_getBlockByNumber "$params" | sha256sum)" ]
}
# dropped NEWCOMER LIAR: the newcomer's log names the liar as dropped
dropped() { grep 'a peer is dropped' "$work/$1.log" | grep -q "$(id_of "$2" | cut -c1-16)"; }
not_dropped() { ! dropped "$@"; }
verified() { build/samebit verify --datadir "$work/$1" --silent | grep -q 'all is right'; }

build/samebit init --datadir "$work/honest" --alloc 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266=1000000 --block-interval 0 >/dev/null
node build/samebit honest --block-interval-ms 30
for lie in chunks stale headers; do
    make "$lie"
    SAMEBIT_LIE=$lie node build/tests/samebit_liar "$lie" --persistent-peers "$(peer_of honest)"
done
for name in honest chunks stale headers; do wait_height "$name" 560 || die "$name does not get on"; done
trust=$(rpc honest samebit_getCommit '["0x5"]' | sed -E 's/.*"blockId":"(0x[0-9a-f]+)".*/\1/')
sync=(--state-sync --trust-height 5 --trust-hash "$trust" --persistent-peers)

make many
node build/samebit many "${sync[@]}" "$(peer_of honest),$(peer_of chunks),$(peer_of headers)"
check newcomer_among_liars_follows follows many
check liar_about_chunks_is_named dropped many chunks
check liar_about_headers_is_named dropped many headers
check honest_peer_is_not not_dropped many honest

make two
node build/samebit two "${sync[@]}" "$(peer_of honest),$(peer_of stale)"
check newcomer_beside_a_stale_snapshot_follows follows two
check liar_about_the_snapshot_is_named dropped two stale

check old_block_is_an_error grep -q '"code":4444' <(rpc many eth_getBlockByNumber '["0x5",false]')
check logs_of_old_blocks_are_an_error grep -q 'are not kept by this node' <(rpc many eth_getLogs '[{"fromBlock":"0x1"}]')

make wrong
status=0
timeout 180 build/samebit run --datadir "$work/wrong" --port 0 --p2p-host 127.0.0.1 --p2p-port 0 --state-sync >"$work/wrong.log" 2>&1 || status=$?
check state_sync_without_trust_is_refused test "$status" -eq 1
for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
wait 2>/dev/null || true
pids=()
check database_of_the_newcomer_is_right verified many
check database_beside_the_stale_one_is_right verified two

build/samebit snapshot create --datadir "$work/honest" --output "$work/files" >"$work/created"
id=$(sed -n 's/^id: //p' "$work/created")
restore() { build/samebit snapshot restore --datadir "$work/$1" --from "$work/files" --trust-hash "$2" >"$work/out" 2>&1; }
refused() { ! restore "$@"; }
make files_node
check snapshot_is_listed grep -q "$id" <(build/samebit snapshot list --datadir "$work/honest")
check files_with_another_id_are_refused refused files_node "0x${id:4}00"
check files_make_a_node restore files_node "$id"
check database_from_files_is_right verified files_node
printf x | dd of="$work/files/00000.chunk" bs=1 seek=2000 conv=notrunc 2>/dev/null
make damaged
check damaged_files_are_refused refused damaged "$id"
say "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
