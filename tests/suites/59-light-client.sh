#!/usr/bin/env bash
# samebit light against real nodes, a lying one, two histories signed with one key, and a block that history contradicts
. "$(dirname "$0")/../../scripts/common.sh"
. tests/tools/node.sh
work=$(mktemp -d "${TMPDIR:-/tmp}/samebit-light-XXXXXX")
passed=0 failed=0
others=()
finish() {
    node_stop >/dev/null 2>&1 || true
    for pid in "${others[@]}"; do kill "$pid" 2>/dev/null || true; done
    rm -rf "$work"
}
trap finish EXIT

# expect NAME STATUS TEXT command...: run it; its status and a text that it must say
expect() {
    local name=$1 want=$2 text=$3 status=0
    shift 3
    timeout 180 "$@" >"$work/out" 2>&1 || status=$?
    if [ "$status" -eq "$want" ] && grep -q -- "$text" "$work/out"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        say "FAIL light-client::$name status $status, wanted $want and: $text"
        head -n 5 "$work/out"
    fi
}
rpc() { # URL METHOD PARAMS
    curl -s -m 60 -H 'Content-Type: application/json' -d "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"$2\",\"params\":$3}" "$1"
}
lie() { # UPSTREAM BYTE, or UPSTREAM show HEIGHT FILE: sets liar
    python3 tests/tools/lying_rpc.py "$@" >"$work/liar" &
    others+=($!)
    wait_for 60 test -s "$work/liar" || true
    liar=$(cat "$work/liar")
    : >"$work/liar"
}
height_of() { rpc "$1" eth_blockNumber '[]' | sed -E 's/.*"result":"(0x[0-9a-f]+)".*/\1/'; }
reaches() { [ $(($(height_of "$1"))) -ge "$2" ]; }
wait_height() { # URL HEIGHT
    wait_for 120 reaches "$1" "$2" || die "block $2 does not come"
}

node_start "$work/log" --datadir "$work/one" --block-time 0.2 --no-staking
url=$NODE_URL
key=$NODE_KEY
wait_height "$url" 5
id=$(rpc "$url" samebit_getCommit '["0x2"]' | sed -E 's/.*"blockId":"(0x[0-9a-f]{64})".*/\1/')
expect begin 0 verified build/samebit light --rpc "$url" --state "$work/state" --trust-height 2 --trust-hash "$id"
expect resume 0 verified build/samebit light --rpc "$url,$url" --state "$work/state" --witness "$url"
expect no_trust 1 'say with --trust-height' build/samebit light --rpc "$url" --state "$work/none"
expect wrong_hash 1 'is not the trusted one' build/samebit light --rpc "$url" --state "$work/none" --trust-height 3 --trust-hash "$id"
expect wrong_genesis 1 'signature is invalid' build/samebit light --rpc "$url" --state "$work/none" --trust-height 2 --trust-hash "$id" --genesis-hash "$id"
expect expired 1 'trusting period' build/samebit light --rpc "$url" --state "$work/none" --trust-height 2 --trust-hash "$id" --trusting-period 0.001

# an inference, its proof, and the proof with single bits changed
build/samebit model import examples/models/gbdt_breast_cancer.onnx --calibrate examples/models/gbdt_breast_cancer_rows.npz \
    --output "$work/model.sbm" >"$work/import" 2>&1 || die "model import failed"
model=$(build/samebit model deploy "$work/model.sbm" --rpc "$url" --key "$key" | sed -n 's/^id: //p')
contract=$(build/samebit contract deploy contracts/artifacts/Diagnosis.json --args "$model" --rpc "$url" --key "$key" | sed -n 's/^address: //p')
features="[$(seq -s, 30 | sed -E 's/[0-9]+/1.5e18/g')]"
tx=$(build/samebit contract call "$contract" decide "$features" --abi contracts/artifacts/Diagnosis.json --send --rpc "$url" --key "$key" |
    sed -n 's/^transaction: //p')
expect inference 0 "model        $model" build/samebit light --rpc "$url" --state "$work/state" --verify-inference "$tx" --save-proof "$work/proof"
expect inference_of_file 0 "caller       ${contract,,}" build/samebit light --rpc "$url" --state "$work/state" --proof "$work/proof"
expect no_such_inference 1 'has no inference 1' build/samebit light --rpc "$url" --state "$work/state" --verify-inference "$tx" --index 1
bytes=$(wc -c <"$work/proof")
for at in $(seq 0 $((bytes / 12)) $((bytes - 1))); do
    python3 -c "import sys; b = bytearray(open(sys.argv[1], 'rb').read()); b[int(sys.argv[2])] ^= 1; open(sys.argv[3], 'wb').write(b)" \
        "$work/proof" "$at" "$work/bent"
    expect "bent_proof_$at" 1 'error: ' build/samebit light --rpc "$url" --state "$work/state" --proof "$work/bent"
done

# a node that changes what passes through it
for byte in 10 60 300 -40 -300; do
    lie "$url" "$byte"
    expect "lying_primary_$byte" 1 'error: ' build/samebit light --rpc "$liar" --state "$work/state"
    expect "lying_begin_$byte" 1 'error: ' build/samebit light --rpc "$liar" --state "$work/none" --trust-height 2 --trust-hash "$id"
done
wait_height "$url" $(($(height_of "$url") + 2))
expect lying_witness 0 'note: witness' build/samebit light --rpc "$url" --state "$work/state" --witness "$liar"
cp "$work/state" "$work/bent"
python3 -c "import sys; b = bytearray(open(sys.argv[1], 'rb').read()); b[-50] ^= 1; open(sys.argv[1], 'wb').write(b)" "$work/bent"
expect damaged_state 1 'error: ' build/samebit light --rpc "$url" --state "$work/bent"

# two nodes with one key go on from one chain: an equivocation, found, written and punished
node_stop
expect verify 0 'all is right' build/samebit verify --datadir "$work/one" --silent
cp -r "$work/one" "$work/two"
node_start "$work/log" --datadir "$work/one" --block-time 0.2 --no-staking
one=$NODE_URL
build/samebit dev --port 0 --p2p-port 0 --datadir "$work/two" --block-time 0.2 --no-staking >"$work/log2" 2>&1 &
others+=($!)
wait_for 60 grep -qs 'Listening on ' "$work/log2" || true
two=$(sed -nE 's/.*Listening on (http:[^ ]*).*/\1/p' "$work/log2" | head -n 1)
target=$(($(height_of "$one") + 6))
wait_height "$one" $target
wait_height "$two" $target
expect divergence 3 DIVERGENCE build/samebit light --rpc "$one" --state "$work/state" --witness "$two" --height $target --evidence "$work/evidence"
expect divergence_kind 0 '"kind": "equivocation"' cat "$work/evidence"
expect divergence_taken 3 'took 1 pieces of evidence' build/samebit light --rpc "$one" --state "$work/state" --witness "$two" --height $target --evidence "$work/evidence"

# a lunatic: a validator signs a block with a set of its own, its node shows it to a light client, another node tells the truth: the
# evidence comes into a block, and the validator is out for ever
node_stop
node_start "$work/log" --datadir "$work/three" --block-time 0.2
url=$NODE_URL
wait_height "$url" 12
field() { sed -E "s/.*\"$1\":\"(0x[0-9a-f]*)\".*/\1/"; }
id=$(rpc "$url" samebit_getCommit '["0x2"]' | field blockId)
genesis=$(rpc "$url" eth_getBlockByNumber '["0x0",false]' | field hash)
validator=$(rpc "$url" samebit_getValidators '[]' | field address)
rpc "$url" samebit_getLightBlock '["0xa"]' | field result | build/tests/forge "$genesis" "$work/three/keys/validator.json" >"$work/forged"
lie "$url" show 10 "$work/forged"
expect lunatic 3 'took 1 pieces of evidence' build/samebit light --rpc "$liar" --witness "$url" --state "$work/lunatic" --trust-height 2 \
    --trust-hash "$id" --height 10 --evidence "$work/evidence"
expect lunatic_kind 0 '"kind": "lunatic"' cat "$work/evidence"
wait_height "$url" $(($(height_of "$url") + 3))
for height in $(seq 12 $(($(height_of "$url")))); do
    rpc "$url" samebit_getEvidence "[\"$(printf '0x%x' "$height")\"]"
done >"$work/carried"
rpc "$url" samebit_getSigningInfo "[\"$validator\"]" >"$work/info"
expect lunatic_carried 0 "\"kind\":\"lunatic\",\"address\":\"$validator\",\"height\":\"0x2\"" cat "$work/carried"
expect lunatic_tombstoned 0 '"tombstoned":true' cat "$work/info"
say "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
