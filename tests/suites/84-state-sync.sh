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
# line NAME TEXT: number of the first line of its log with that text
line() { grep -n "$2" "$work/$1.log" | head -n 1 | cut -d: -f1; }
# fills_up NAME: it was up before it had all headers that evidence may be about, and then got them
fills_up() {
    for _ in $(seq 1 300); do grep -q 'all headers that evidence may be about are here' "$work/$1.log" && break; sleep 0.1; done
    [ "$(line "$1" 'the node is up')" -lt "$(line "$1" 'all headers that evidence may be about are here')" ] &&
        grep 'all headers that evidence may be about are here' "$work/$1.log" | grep -q 'lowest=1 '
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

# begin_among NAME LIAR...: newcomers at the honest node and the liars, until one has dropped them all; the last is $newcomer. A liar that has not
# yet taken the newest snapshot when a newcomer looks around is asked for nothing, so one newcomer may not meet them all.
begin_among() {
    local name=$1 peers liar attempt met
    shift
    peers=$(peer_of honest)
    for liar in "$@"; do peers+=",$(peer_of "$liar")"; done
    for attempt in 1 2 3 4 5 6; do
        newcomer=$name$attempt
        make "$newcomer"
        node build/samebit "$newcomer" "${sync[@]}" "$peers"
        follows "$newcomer" || return 1
        met=1
        for liar in "$@"; do dropped "$newcomer" "$liar" || met=0; done
        [ "$met" = 0 ] || return 0
    done
}

check newcomer_among_liars_follows begin_among many chunks headers
many=$newcomer
check newcomer_follows_before_it_has_all_old_headers fills_up "$many"
check liar_about_chunks_is_named dropped "$many" chunks
check liar_about_headers_is_named dropped "$many" headers
check honest_peer_is_not not_dropped "$many" honest

check newcomer_beside_a_stale_snapshot_follows begin_among two stale
two=$newcomer
check liar_about_the_snapshot_is_named dropped "$two" stale

check old_block_is_an_error grep -q '"code":4444' <(rpc "$many" eth_getBlockByNumber '["0x5",false]')
check logs_of_old_blocks_are_an_error grep -q 'are not kept by this node' <(rpc "$many" eth_getLogs '[{"fromBlock":"0x1"}]')

make wrong
status=0
timeout 180 build/samebit run --datadir "$work/wrong" --port 0 --p2p-host 127.0.0.1 --p2p-port 0 --state-sync >"$work/wrong.log" 2>&1 || status=$?
check state_sync_without_trust_is_refused test "$status" -eq 1
for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
wait 2>/dev/null || true
pids=()
check database_of_the_newcomer_is_right verified "$many"
check database_beside_the_stale_one_is_right verified "$two"

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
# ---- a node that prunes, on a chain whose evidence expires soon ----

python3 - "$work" <<'EOF'
import json, sys
work = sys.argv[1]
genesis = json.load(open(f'{work}/honest/genesis.json'))
samebit = genesis['samebit']
for slot, name, value in ((4, 'evidenceAgeBlocksMax', 40), (5, 'evidenceAgeMsMax', 1000)):
    samebit['params'][name] = value
    for address, account in samebit['predeploys'].items():
        if address.endswith('5b10'):
            key = next(k for k in account['storage'] if int(k, 16) == slot)
            account['storage'][key] = '0x%064x' % value
json.dump(genesis, open(f'{work}/soon.json', 'w'))
EOF
build/samebit init --datadir "$work/archive" >/dev/null
cp "$work/honest/keys/validator.json" "$work/archive/keys/"
make_soon() { build/samebit init --datadir "$work/$1" --genesis "$work/soon.json" >/dev/null; }
prune=(--snapshot-interval 50 --snapshot-keep 1 --history-blocks 16)
oldest_of() { echo $(($(rpc "$1" eth_capabilities '[]' | sed -E 's/.*"blocks":\{[^}]*"oldestBlock":"(0x[0-9a-f]+)".*/\1/'))); }
wait_pruned() { # NAME HEIGHT
    for _ in $(seq 1 600); do [ "$(oldest_of "$1" 2>/dev/null || echo 0)" -ge "$2" ] && return; sleep 0.1; done
    return 1
}
hex() { printf '"0x%x"' "$1"; }
# is_pruned NAME METHOD PARAMS: the answer is the error that says what is kept
is_pruned() { grep -q '"code":4444,"message":"pruned history unavailable: blocks below [0-9]* are not kept' <(rpc "$@"); }
has_result() { grep -q '"result":[^n]' <(rpc "$@"); }

make_soon archive
node build/samebit archive --block-interval-ms 20 "${prune[@]}" --snapshot-interval 0
wait_height archive 5 || die "the archive does not get on"
make_soon pruner
node build/samebit pruner "${prune[@]}" --prune-blocks 20 --persistent-peers "$(peer_of archive)"
check node_prunes_while_it_runs wait_pruned pruner 60
check pruned_block_is_an_error is_pruned pruner eth_getBlockByNumber '["0x5",false]'
check pruned_receipts_are_an_error is_pruned pruner eth_getBlockReceipts '["0x5"]'
check pruned_logs_are_an_error is_pruned pruner eth_getLogs '[{"fromBlock":"0x5"}]'
check pruned_state_is_an_error is_pruned pruner eth_getBalance '["0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266","0x5"]'
check pruned_commit_is_an_error is_pruned pruner samebit_getCommit '["0x5"]'
check pruned_trace_is_an_error is_pruned pruner debug_traceBlockByNumber '["0x5"]'
check pruned_set_is_known_still has_result pruner samebit_getValidators '["0x5"]'
check fees_begin_where_blocks_do has_result pruner eth_feeHistory '["0x400","latest",[50]]'
check earliest_is_the_oldest has_result pruner eth_getBlockByNumber '["earliest",false]'
check archive_has_what_was_pruned has_result archive eth_getBlockByNumber '["0x5",false]'
kept=$(oldest_of pruner)
check what_is_kept_is_served has_result pruner eth_getBlockByNumber "[$(hex $((kept + 150))),false]"
kill "${pids[1]}"
wait "${pids[1]}" || true
height=$(height_of archive)
rm -f "$work/pruner.log"
node build/samebit pruner "${prune[@]}" --prune-blocks 20 --persistent-peers "$(peer_of archive)"
check pruned_node_restarts_and_follows wait_height pruner $((height + 60))
check pruned_node_goes_on_pruning wait_pruned pruner $((kept + 50))
trusted=$(($(height_of pruner) - 10))
trust=$(rpc pruner samebit_getCommit "[$(hex "$trusted")]" | sed -E 's/.*"blockId":"(0x[0-9a-f]+)".*/\1/')
check snapshot_after_the_trusted_block_is_taken wait_height pruner $((trusted + 60))
kill "${pids[0]}" # the pruned node is all that is left
wait "${pids[0]}" || true
make_soon late
node build/samebit late --state-sync --trust-height "$trusted" --trust-hash "$trust" --persistent-peers "$(peer_of pruner)" "${prune[@]}"
height=$(height_of pruner)
check newcomer_begins_at_a_pruned_node wait_height late "$height"
check newcomer_did_a_state_sync grep -q 'the state is complete' "$work/late.log"
check trusted_block_below_the_snapshot_is_an_error is_pruned late samebit_getCommit '["0x5"]'
for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
wait 2>/dev/null || true
pids=()
for name in archive pruner late; do check "database_of_${name}_is_right" verified "$name"; done
say "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
