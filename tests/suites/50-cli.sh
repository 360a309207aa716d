#!/usr/bin/env bash
# the command line: exit codes, error texts, data directories, accounts, models, contracts, restart
. "$(dirname "$0")/../../scripts/common.sh"
. tests/tools/node.sh

samebit=$ROOT/build/samebit
work=$(mktemp -d "${TMPDIR:-/tmp}/samebit-cli-XXXXXX")
passed=0 failed=0
finish() {
    node_stop >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap finish EXIT

# check NAME STATUS PATTERN COMMAND...: the command ends with this status and its output has a line that matches the pattern.
check() {
    local name=$1 wanted=$2 pattern=$3 out status=0
    shift 3
    out=$(timeout 180 "$@" 2>&1 </dev/null) || status=$?
    if [ "$status" -eq "$wanted" ] && grep -qE -- "$pattern" <<<"$out"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        say "FAIL cli: $name: status $status (wanted $wanted), output lacks /$pattern/:"
        head -n 5 <<<"$out"
    fi
    OUT=$out
}
address_of() { sed -n 's/^address: //p' <<<"$OUT" | head -n 1; }

# ---- help and mistakes ----
check "no command" 2 'commands:' "$samebit"
check "help" 0 'commands:' "$samebit" help
check "--help" 0 '^  dev ' "$samebit" --help
check "version" 0 '^samebit [0-9]' "$samebit" version
check "unknown command" 2 'did you mean "run"\?' "$samebit" rnu
check "unknown command without a neighbour" 2 '^error: unknown command "wallet"$' "$samebit" wallet
check "unknown subcommand" 2 'did you mean "model deploy"\?' "$samebit" model delpoy
check "unknown option" 2 'did you mean --block-time\?' "$samebit" dev --block-tiem 1
check "option without value" 2 '--port needs a value' "$samebit" dev --port
check "option out of range" 2 '--port: 70000 is not in 0 to 65535' "$samebit" dev --port 70000
check "-o where there is no output" 2 'unknown option --output' "$samebit" verify -o x
check "unexpected operand" 2 'unexpected operand "x"' "$samebit" dev x
for command in dev init run localnet node-id validator-key verify rollback demo version 'account new' 'account import' 'account list' 'model import' 'model inspect' \
    'signer run' 'signer init' 'signer export' 'signer import' 'model verify' 'model run' 'model deploy' 'model list' 'contract deploy' 'contract call' \
    'validator create' 'validator edit' 'validator unjail' 'validator enter' 'validator info' 'validator list' 'validator-key prove' 'stake delegate' 'stake undelegate' \
    'stake redelegate' 'stake cancel' 'stake withdraw' 'stake rewards' 'stake claim' 'stake info' 'stake params'; do
    # shellcheck disable=SC2086 # a subcommand is two words
    check "help of $command" 0 '^  samebit ' "$samebit" $command --help
done

# ---- data directories ----
dir=$work/chain
alice=0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266
check "init without a directory" 2 '--datadir is missing' "$samebit" init --alloc "$alice=1"
check "validators without alloc" 2 '--alloc is missing' "$samebit" init --datadir "$dir" --validator 0x00
check "a new chain and a given one" 2 '--genesis is a chain that is made already' "$samebit" init --datadir "$dir" --genesis x --alloc "$alice=1"
check "init with a wrong checksum" 1 'checksum of the address is wrong' "$samebit" init --datadir "$dir" --alloc "${alice/F4/f4}=1"
check "init with a wrong amount" 1 'is not an amount' "$samebit" init --datadir "$dir" --alloc "$alice=much"
check "init without staking" 0 '^power: 1000 of 1000' "$samebit" init --datadir "$work/fixed" --no-staking --alloc "$alice=1" --fee-recipient "$alice"
check "init" 0 "^run it with: samebit run --datadir $dir" "$samebit" init --datadir "$dir" --chain-id 4711 --alloc "$alice=1000" --block-interval 0.05
check "init over a chain" 1 'has something in it already' "$samebit" init --datadir "$dir" --alloc "$alice=1"
check "the key is private" 0 '^600$' stat -c %a "$dir/keys/validator.json"
check "the node's key is private" 0 '^600$' stat -c %a "$dir/keys/node.json"
check "the node's id" 0 '^[0-9a-f]{64}$' "$samebit" node-id --datadir "$dir"
node_id=$OUT
check "the node's id stays" 0 "^$node_id\$" "$samebit" node-id --datadir "$dir"
check "the id of no chain" 1 'make one with: samebit init' "$samebit" node-id --datadir "$work/nothing"
check "a list with an empty item" 1 'persistentPeers: an item is empty' "$samebit" run --datadir "$dir" --port 0 --persistent-peers 'a@h:1,,b'
check "a peer that is no address" 1 'persistentPeers: .* is not .ID@.HOST:PORT' "$samebit" run --datadir "$dir" --port 0 --persistent-peers nowhere
check "verify a new chain" 0 '^all is right$' "$samebit" verify --datadir "$dir"
check "run without a chain" 1 'make one with: samebit init' "$samebit" run --datadir "$work/none"
check "verify without a chain" 1 'make one with: samebit init' "$samebit" verify --datadir "$work/none"

# ---- a chain of several machines: keys first, then one genesis for all ----
net=$work/net
mkdir "$net"
check "keys alone" 0 '^validator key: 0x[0-9a-f]{64}$' "$samebit" init --datadir "$net/a"
a_key=$(sed -n 's/^validator key: //p' <<<"$OUT")
a_id=$(sed -n 's/^node id: //p' <<<"$OUT")
check "keys over keys" 1 'has something in it already' "$samebit" init --datadir "$net/a"
check "the validator's key" 0 "^$a_key$" "$samebit" validator-key --datadir "$net/a"
check "the node's id" 0 "^$a_id$" "$samebit" node-id --datadir "$net/a"
check "run with keys alone" 1 'make one with: samebit init' "$samebit" run --datadir "$net/a"
check "keys of another machine" 0 '^validator key: ' "$samebit" init --datadir "$net/b"
b_key=$(sed -n 's/^validator key: //p' <<<"$OUT")
check "a validator's key that is none" 1 'is not 0x and 64 hexadecimal digits' "$samebit" init --datadir "$net/a" --alloc "$alice=1" --validator 0x12
check "a validator without power" 1 'power must lie in 1 to' "$samebit" init --datadir "$net/a" --alloc "$alice=1" --validator "$b_key:0"
bob=0x70997970C51812dc3A010C7d01b50e0d17dc79C8
check "a validator without an operator" 1 "validator $b_key has no operator" "$samebit" init --datadir "$net/a" --alloc "$alice=1" --validator "$b_key:3000"
check "two validators of one operator" 1 'has the operator of another validator' "$samebit" init --datadir "$net/a" --alloc "$alice=1" --validator "$b_key:3000:$alice"
check "an operator that is none" 1 '^error: --operator: ' "$samebit" init --datadir "$net/a" --alloc "$alice=1" --operator 0x12
check "a commission that is none" 1 '^error: --validator: "5.001" is not a commission' "$samebit" init --datadir "$net/a" --alloc "$alice=1" --validator "$b_key:3:$bob:5.001"
check "a parameter of staking that is none" 1 '"unbonding" is no parameter of staking' "$samebit" init --datadir "$net/a" --alloc "$alice=1" --staking unbonding=1
check "a parameter of staking out of bounds" 1 'validatorsMax is 257, it must lie in 1 to 256' "$samebit" init --datadir "$net/a" --alloc "$alice=1" --staking validatorsMax=257
check "fees to somebody" 2 '--fee-recipient is for a chain with --no-staking' "$samebit" init --datadir "$net/a" --alloc "$alice=1" --fee-recipient "$bob"
check "staking and none" 2 'are for a chain with staking' "$samebit" init --datadir "$net/a" --alloc "$alice=1" --no-staking --staking validatorsMax=5
check "the chain on one machine" 0 '^power: 1000 of 4000, 2 validators$' "$samebit" init --datadir "$net/a" --alloc "$alice=1" --validator "$b_key:3000:$bob:2.5" --staking unbondingSeconds=60
genesis_hash=$(sed -n 's/^made .* genesis //p' <<<"$OUT")
check "it kept its key" 0 "^$a_key$" "$samebit" validator-key --datadir "$net/a"
check "the chain on the other" 0 '^power: 3000 of 4000, 2 validators$' "$samebit" init --datadir "$net/b" --genesis "$net/a/genesis.json"
same_hash=$(sed -n 's/^made .* genesis //p' <<<"$OUT")
check "a machine that follows" 0 '^power: none' "$samebit" init --datadir "$net/c" --genesis "$net/a/genesis.json"
check "verify the other" 0 '^all is right$' "$samebit" verify --datadir "$net/b"
rm -r "$net/b/journal" "$net/b/db" "$net/b/genesis.json" "$net/b/config.json"
check "a used key is not taken again" 1 'has something in it already' "$samebit" init --datadir "$net/b" --genesis "$net/a/genesis.json"

# run_start: the validator of $dir in the background; sets URL. run_stop: end it, sets STOPPED to its status.
run_start() {
    NODE_LOG=$work/run.log
    : >"$NODE_LOG"
    env --default-signal=HUP,INT "$samebit" run --datadir "$dir" --port 0 "$@" >"$NODE_LOG" 2>"$work/run.err" &
    NODE_PID=$!
    wait_for 60 node_says 'Listening on' || true
    URL=$(sed -n 's/^Listening on //p' "$work/run.log")
}
run_stop() {
    STOPPED=0
    node_stop || STOPPED=$?
}
rpc() { # METHOD [PARAMS]: the result, as text
    curl -s -m 60 -H 'Content-Type: application/json' -d "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"$1\",\"params\":${2:-[]}}" "$URL" |
        sed -nE 's/.*"result":"?([^"}]*).*/\1/p'
}
# has_peers COUNT, reaches HEIGHT, votes: of the node at $URL.
has_peers() { [ "$(rpc net_peerCount)" = "$1" ]; }
reaches() { [ $(($(rpc eth_blockNumber))) -ge "$1" ]; }
votes() { curl -s -m 60 "$URL/metrics" | grep -E '^samebit_consensus_validator_last_signed_height [1-9]' >/dev/null; }
same() { # NAME A B
    if [ "$2" = "$3" ]; then passed=$((passed + 1)); else failed=$((failed + 1)) && say "FAIL cli: $1: \"$2\" is not \"$3\""; fi
}

same "both have one genesis" "$same_hash" "$genesis_hash"
run_start
same "chain id" "$(rpc eth_chainId)" 0x1267
check "ready" 0 '^{"ready":true,' curl -s -m 60 "$URL/readyz"
check "metrics" 0 '^samebit_head_number [0-9]+$' curl -s -m 60 "$URL/metrics"
check "a second node on the directory" 1 '^error: ' "$samebit" run --datadir "$dir" --port 0
check "a taken port" 1 'Address already in use' "$samebit" dev --port "${URL##*:}"
wait_for 60 reaches 3 || true
run_stop
same "clean end" "$STOPPED" 0
check "verify after a run" 0 '^all is right$' "$samebit" verify --datadir "$dir"
height=$(sed -n 's/^height: //p' <<<"$OUT")
same "blocks were made" "$([ "${height:-0}" -gt 2 ] && echo yes)" yes
mv "$dir/db" "$dir/db.kept"
check "a lost database is told of" 1 'holds no database: restore it, or start once with --resync' "$samebit" run --datadir "$dir" --port 0
check "a lost database without peers" 1 'gets blocks from peers, and this node has none' "$samebit" run --datadir "$dir" --port 0 --resync
check "a mistyped peer, before a database is opened" 1 '^error: persistentPeers: ' "$samebit" run --datadir "$dir" --port 0 --persistent-peers nonsense
check "a mistyped id, before a database is opened" 1 '^error: privatePeerIds: ' "$samebit" run --datadir "$dir" --port 0 --persistent-peers 127.0.0.1:9 --private-peer-ids 12
check "a mistyped address of its own, before a database is opened" 1 '^error: p2pExternalAddress: ' "$samebit" run --datadir "$dir" --port 0 --p2p-external-address nowhere
same "and no database is made" "$([ -e "$dir/db" ] && echo made)" ""
mv "$dir/db.kept" "$dir/db"
run_start --instant # no empty blocks: the head stays where it was
same "restart keeps the head" "$(rpc eth_blockNumber)" "$(printf '0x%x' "$height")"
run_stop
same "clean end again" "$STOPPED" 0

# ---- a signer process, and histories that move with a key ----
signer=$work/signer
mkdir "$signer"
signer_start() { # [options]: the signer in the background, on $signer/socket
    : >"$signer/log"
    "$samebit" signer run --key "$signer/key.json" --journal "$signer/journal" --genesis "$dir/genesis.json" --socket "$signer/socket" >"$signer/log" 2>&1 &
    SIGNER_PID=$!
    wait_for 60 grep -qs 'Signing for' "$signer/log" || true
}
signer_place=(--key "$signer/key.json" --journal "$signer/journal" --genesis "$dir/genesis.json")
check "signer without a place" 2 '--datadir is missing, or --key and --journal' "$samebit" signer export
check "signer without a chain" 2 'the chain is missing' "$samebit" signer export --key x --journal y
check "half of a chain's name" 2 'go together' "$samebit" signer export --datadir "$dir" --chain-id 4711
check "export" 0 '^$' "$samebit" signer export --datadir "$dir" -o "$signer/history.json"
check "what was exported" 0 "\"height\": \"$height\", \"round\": \"0\", \"step\": \"precommit\"" cat "$signer/history.json"
hash_of_chain=$(sed -n 's/.*"genesis_hash": "\(0x[0-9a-f]*\)".*/\1/p' "$signer/history.json")
check "export by the hash of the chain" 0 "\"height\": \"$height\"" "$samebit" signer export --datadir "$dir" --chain-id 4711 --genesis-hash "$hash_of_chain"
check "export by another hash" 1 'belongs to another chain' "$samebit" signer export --datadir "$dir" --chain-id 4711 --genesis-hash "0x${hash_of_chain:4}00"
check "import of the own history" 0 '^nothing changed' "$samebit" signer import "$signer/history.json" --datadir "$dir"
sed 's/"precommit"/"prevote"/' "$signer/history.json" >"$signer/earlier.json"
check "import of an earlier place of the same height" 0 "^imported: height $height was signed in elsewhere" "$samebit" signer import "$signer/earlier.json" --datadir "$dir"
mv "$dir/keys/validator.json" "$signer/key.json"
check "a key without its journal" 1 'never used without its journal' "$samebit" signer run "${signer_place[@]}" --socket "$signer/socket"
sed 's/"4711"/"4712"/' "$signer/history.json" >"$signer/other.json"
check "import of another chain" 1 'history is of another chain' "$samebit" signer import "$signer/other.json" "${signer_place[@]}" --create
check "it left no journal" 1 'never used without its journal' "$samebit" signer export "${signer_place[@]}"
check "import" 0 "^imported: nothing is signed up to height $height\$" "$samebit" signer import "$signer/history.json" "${signer_place[@]}" --create
check "import again" 0 '^nothing changed' "$samebit" signer import "$signer/history.json" "${signer_place[@]}"
check "import over a journal" 1 'is there already' "$samebit" signer import "$signer/history.json" "${signer_place[@]}" --create
check "a new key over a key" 1 'never written over' "$samebit" signer init "${signer_place[@]}"
check "a new key" 0 '^0x[0-9a-f]{64}$' "$samebit" signer init --key "$signer/new.json" --journal "$signer/new" --genesis "$dir/genesis.json"
check "import of another key" 1 'another validator key' "$samebit" signer import "$signer/history.json" --key "$signer/new.json" --journal "$signer/new" --genesis "$dir/genesis.json"
check "run without its signer" 1 'cannot be reached; start it: samebit signer run' "$samebit" run --datadir "$dir" --port 0 --signer-socket "$signer/socket"
signer_start
check "the socket is private" 0 '^600$' stat -c %a "$signer/socket"
run_start --signer-socket "$signer/socket"
wait_for 60 votes || true
wait_for 60 reaches $((height + 3)) || true
check "the node knows its signer's votes" 0 '^samebit_consensus_validator_last_signed_height [1-9]' curl -s -m 60 "$URL/metrics"
run_stop
same "clean end of a node with a signer" "$STOPPED" 0
kill -TERM "$SIGNER_PID"
wait "$SIGNER_PID" && STOPPED=0 || STOPPED=$?
same "clean end of a signer" "$STOPPED" 0
check "verify what the signer signed" 0 '^all is right$' "$samebit" verify --datadir "$dir"
signed=$(sed -n 's/^height: //p' <<<"$OUT")
same "the signer made blocks" "$([ "${signed:-0}" -gt "$((height + 2))" ] && echo yes)" yes
cp "$signer/key.json" "$dir/keys/validator.json"
check "the old journal is behind the chain" 1 'signatures were lost' "$samebit" run --datadir "$dir" --port 0
check "export from the signer" 0 '^$' "$samebit" signer export "${signer_place[@]}" -o "$signer/back.json"
check "import back" 0 '^imported: ' "$samebit" signer import "$signer/back.json" --datadir "$dir"
rm -r "$signer"
run_start --instant
same "the key is back" "$(rpc eth_blockNumber)" "$(printf '0x%x' "$signed")"
run_stop

height=$("$samebit" verify --silent --datadir "$dir" | sed -n 's/^height: //p')
check "a height to halt at" 0 "^halted at height $((height + 3)), as asked\$" "$samebit" run --datadir "$dir" --port 0 --halt-height $((height + 3))
check "halted where it is" 0 "^height: $((height + 3))\$" "$samebit" verify --datadir "$dir"

# ---- damage ----
cp -r "$dir" "$work/damaged"
mv "$work/damaged/journal" "$work/journal-away"
check "a lost journal" 1 '^error: ' "$samebit" run --datadir "$work/damaged" --port 0
mv "$work/journal-away" "$work/damaged/journal"
printf '{"prot": 1}' >"$work/damaged/config.json"
check "a wrong setting" 1 'config.json: prot: no such setting; did you mean port\?' "$samebit" run --datadir "$work/damaged" --port 0
printf '{' >"$work/damaged/config.json"
check "a broken config.json" 1 'config.json: line 1' "$samebit" run --datadir "$work/damaged"
printf '{}' >"$work/damaged/config.json"
printf '{}' >"$work/damaged/keys/validator.json"
check "a broken key file" 1 'validator.json: ' "$samebit" run --datadir "$work/damaged" --port 0
rm "$work/damaged/keys/validator.json"
check "a lost key" 1 'validator.json: cannot open' "$samebit" run --datadir "$work/damaged" --port 0
printf '{}' >"$work/damaged/genesis.json"
check "a broken genesis" 1 'genesis.json: ' "$samebit" verify --datadir "$work/damaged"

# ---- places that are no data directory ----
echo text >"$work/a-file"
check "dev in a file" 1 'a-file: cannot open: Not a directory' "$samebit" dev --datadir "$work/a-file" --port 0
check "init in a file" 1 'a-file: cannot open: Not a directory' "$samebit" init --datadir "$work/a-file" --alloc "$alice=1"
check "dev in a folder of other things" 1 'has something in it already' "$samebit" dev --datadir "$work" --port 0

# ---- accounts ----
echo secret >"$work/password"
echo other >"$work/other"
key=0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80
echo "$key" >"$work/key"
check "new account" 0 '^address: 0x' "$samebit" account new --keys "$work/keys" --password-file "$work/password" --light
new=$(address_of)
check "import a key" 0 "^address: $alice$" "$samebit" account import "$work/key" --keys "$work/keys" --password-file "$work/password" --light
file=$(sed -n 's/^file: //p' <<<"$OUT")
check "list accounts" 0 "^$new  " "$samebit" account list --keys "$work/keys"
check "list accounts, the other" 0 "^$alice  " "$samebit" account list --keys "$work/keys"
check "import a key again" 1 'has this account already' "$samebit" account import "$work/key" --keys "$work/keys" \
    --password-file "$work/password" --light
check "import a keystore" 0 "^address: $alice$" "$samebit" account import "$file" --old-password-file "$work/password" \
    --keys "$work/keys2" --password-file "$work/other" --light
check "import with a wrong password" 1 'wrong password' "$samebit" account import "$file" --old-password-file "$work/other" \
    --keys "$work/keys3" --password-file "$work/other"
check "import nonsense" 1 'a private key is' "$samebit" account import "$work/password" --keys "$work/keys3" --password-file "$work/password"
check "no password and no terminal" 1 'give --password-file' "$samebit" account new --keys "$work/keys"
check "list of no folder" 1 'there is no such folder' "$samebit" account list --keys "$work/none"

# ---- models ----
rows=examples/models/digits_cnn_rows.npz
model=$work/digits.sbm
check "import a model" 0 'same class as the float model' "$samebit" model import examples/models/digits_cnn.onnx --calibrate "$rows" --name digits -o "$model"
check "import as JSON" 0 '^\{.*\}$' "$samebit" model import examples/models/gbdt_breast_cancer.onnx --output "$work/gbdt.sbm" --json
check "import no ONNX" 1 '^error: ' "$samebit" model import "$rows" --output "$work/none.sbm"
check "import with a wrong precision" 1 'is not auto, i8' "$samebit" model import examples/models/digits_cnn.onnx --precision i7 --output "$work/none.sbm"
check "inspect" 0 '^cid: +bafkrei' "$samebit" model inspect "$model"
check "inspect as JSON" 0 '"operators":\[' "$samebit" model inspect "$model" --json
check "verify a model" 0 '^valid: 0x' "$samebit" model verify "$model"
head -c 1000 "$model" >"$work/cut.sbm"
check "verify a cut model" 1 '^error: .*cut.sbm' "$samebit" model verify "$work/cut.sbm"
check "run a model" 0 '^row 2: .* class 2 label 2$' "$samebit" model run "$model" --input "$rows" --rows 0..4
check "run out of range" 1 '--rows' "$samebit" model run "$model" --input "$rows" --rows 4..50
check "run on rows of another model" 1 'a row of .* has 30 numbers, the model takes 64' "$samebit" model run "$model" \
    --input examples/models/gbdt_breast_cancer_rows.npz
check "run, raw" 0 '^row 0: input 0x([0-9a-f]{2})+ output 0x([0-9a-f]{2})+ label 2$' "$samebit" model run "$model" --input "$rows" --rows 0 --hex
raw_input=$(sed -nE 's/.* input (0x[0-9a-f]*).*/\1/p' <<<"$OUT")
raw_output=$(sed -nE 's/.* output (0x[0-9a-f]*).*/\1/p' <<<"$OUT")

# ---- a chain to deploy to ----
node_start "$work/dev.log" || { say "FAIL cli: the dev node did not start" && failed=$((failed + 1)); }
export SAMEBIT_KEY=$NODE_KEY
node=(--rpc "$NODE_URL")
check "banner" 0 '^Private key 9: 0x[0-9a-f]{64}$' cat "$work/dev.log"
check "keys come before any other hash" 0 '^Private key 0:' grep -m 1 -E '0x[0-9a-f]{64}' "$work/dev.log"
check "listening is the last line" 0 '^Listening on http://127.0.0.1:[0-9]+$' tail -n 1 "$work/dev.log"
check "deploy a model" 0 '^gas used: [0-9]+$' "$samebit" model deploy "$model" "${node[@]}"
id=$(sed -n 's/^id: //p' <<<"$OUT")
check "deploy it again" 0 'has this model already' "$samebit" model deploy "$model" "${node[@]}"
check "list models" 0 "^$id .* digits$" "$samebit" model list "${node[@]}"
inference=0x0000000000000000000000000000000000005b01
check "the chain's bytes are the file's" 0 "^$raw_output$" "$samebit" contract call "$inference" 'infer(bytes32,bytes)(bytes)' "$id" "$raw_input" "${node[@]}"
check "a wrong input" 1 'reverts: BadInput\(0, 64\)' "$samebit" contract call "$inference" 'infer(bytes32,bytes)(bytes)' "$id" 0x00 "${node[@]}"
artifact=contracts/artifacts/DigitReader.json
check "deploy a contract" 0 '^address: 0x' "$samebit" contract deploy "$artifact" --args "$id" "${node[@]}"
reader=$(address_of)
image=0x$(printf '08%.0s' $(seq 64))
check "call by name" 0 '^digit: [0-9]$' "$samebit" contract call "$reader" look "$image" --abi "$artifact" "${node[@]}"
check "call by signature" 0 "^$id$" "$samebit" contract call "$reader" 'model()(bytes32)' "${node[@]}"
check "send, event in the receipt" 0 '^event: DigitRead\(reading: 1, reader: 0xf39Fd6' "$samebit" contract call "$reader" read "$image" \
    --abi "$artifact" --send "${node[@]}"
check "send with a keystore" 0 '^event: DigitRead\(reading: 2' env -u SAMEBIT_KEY "$samebit" contract call "$reader" read "$image" \
    --abi "$artifact" --send --key-file "$file" --password-file "$work/password" "${node[@]}"
check "a typed revert" 1 'reverts: NotAnImage\(length: 1\)' "$samebit" contract call "$reader" look 0x00 --abi "$artifact" "${node[@]}"
check "a revert that no ABI names" 1 'reverts: with the error 0x[0-9a-f]{8} and 32 more bytes.*--abi' "$samebit" contract call "$reader" \
    'look(bytes)(uint8,int256)' 0x00 "${node[@]}"
check "call by signature beside an ABI" 0 '^digit: [0-9]$' "$samebit" contract call "$reader" 'look(bytes)(uint8,int256)' "$image" \
    --abi "$artifact" "${node[@]}"
check "ether without a transaction" 1 '--value goes with --send' "$samebit" contract call "$reader" look "$image" --value 1 --abi "$artifact" \
    "${node[@]}"
check "an unknown function" 1 'did you mean read\?' "$samebit" contract call "$reader" raed 0x00 --abi "$artifact" "${node[@]}"
check "a wrong number of arguments" 1 '1 arguments are needed, 0 are given' "$samebit" contract call "$reader" look --abi "$artifact" "${node[@]}"
# ---- validators and stakes ----
check "create without a stake" 2 '--self-stake is missing' "$samebit" validator create
check "create without a key" 2 'give --datadir, or --consensus-key and --proof' "$samebit" validator create --self-stake 1
check "create with half a proof" 2 'give --datadir, or --consensus-key and --proof' "$samebit" validator create --self-stake 1 --proof 0x00
check "prove without an operator" 2 '--operator is missing' "$samebit" validator-key prove --datadir "$dir"
check "numbers in force" 0 '^unbondingSeconds +1814400 ' "$samebit" stake params "${node[@]}"
check "the validator of the chain" 0 "^$alice  active +[0-9]+ +0 %  dev$" "$samebit" validator list "${node[@]}"
check "delegate" 0 "^delegated 2.5 coins to $alice for 2.5 shares$" "$samebit" stake delegate "$alice" 2.5 "${node[@]}"
check "delegate to nobody" 1 '^error: UnknownValidator: no validator has the operator 0x0*7' "$samebit" stake delegate 0x0000000000000000000000000000000000000007 1 "${node[@]}"
check "undelegate" 0 '^unbonding 1: 1.25 coins leave .*UTC \(in 21 days\)$' "$samebit" stake undelegate "$alice" 1.25 "${node[@]}"
check "undelegate more than there is" 1 'only [0-9.]+ coins are delegated there' "$samebit" stake undelegate "$alice" 1000000000 "${node[@]}"
check "what is at stake" 0 "^  1  $alice  1.25 coins, complete .*in 21 days" "$samebit" stake info "$alice" "${node[@]}"
check "no redelegations" 0 '^redelegations: none$' "$samebit" stake info "$alice" "${node[@]}"
check "as JSON" 0 '"payable": "1250000000000000000"' "$samebit" stake info "$alice" --json "${node[@]}"
check "withdraw too early" 1 '^error: ZeroAmount: ' "$samebit" stake withdraw "${node[@]}"
check "cancel" 0 '^unbonding 1 is cancelled: 1.25 coins are delegated' "$samebit" stake cancel 1 "${node[@]}"
check "rewards" 0 "^$alice  [0-9.]+$" "$samebit" stake rewards "$alice" "${node[@]}"
check "claim" 0 '^[0-9.]+ coins of rewards paid to' "$samebit" stake claim "${node[@]}"
check "not jailed" 1 "^error: NotJailed: $alice is not jailed" "$samebit" validator unjail "${node[@]}"
check "edit" 0 "^validator $alice is changed" "$samebit" validator edit --moniker "the first" "${node[@]}"
check "all about a validator" 0 '^moniker +the first$' "$samebit" validator info "$alice" "${node[@]}"
check "the key of another chain" 1 '^error: (BadProof|OperatorTaken): ' "$samebit" validator create --self-stake 2 --consensus-key "$a_key" --proof "0x$(printf '%0128d' 0)" "${node[@]}"

check "no contract there" 1 'is there a contract at this address' "$samebit" contract call "$new" 'model()(bytes32)' "${node[@]}"
check "no key" 1 'give --key' env -u SAMEBIT_KEY "$samebit" contract deploy "$artifact" --args "$id" "${node[@]}"
check "an interface has no code" 1 'is it an interface' "$samebit" contract deploy contracts/artifacts/IInference.json "${node[@]}"
check "no node there" 1 'cannot connect: Connection refused' "$samebit" model list --rpc http://127.0.0.1:1
check "no URL" 1 'is not of the form http://HOST:PORT' "$samebit" model list --rpc localhost
temporary=$(sed -nE 's/^Data directory: +([^ ]*).*/\1/p' "$work/dev.log")
STOPPED=0
node_stop || STOPPED=$?
same "the dev node ends cleanly" "$STOPPED" 0
same "its directory is removed" "$([ -e "$temporary" ] || echo gone)" gone
node_start "$work/dev.log"
temporary=$(sed -nE 's/^Data directory: +([^ ]*).*/\1/p' "$work/dev.log")
kill -HUP "$NODE_PID"
STOPPED=0
wait "$NODE_PID" || STOPPED=$?
NODE_PID=
same "a closed terminal ends the dev node cleanly" "$STOPPED" 0
same "and its directory is removed" "$([ -e "$temporary" ] || echo gone)" gone

# ---- dev with a directory: what was answered is there after a restart ----
node_start "$work/dev.log" --datadir "$work/dev" --accounts 2 --balance 5
check "two accounts" 0 '^\(1\) 0x70997970C51812dc3A010C7d01b50e0d17dc79C8 \(5 ETH\)$' cat "$work/dev.log"
check "deploy before the restart" 0 '^address: 0x' "$samebit" contract deploy "$artifact" --args "$id" --rpc "$NODE_URL"
reader=$(address_of)
node_stop
node_start "$work/dev.log" --datadir "$work/dev"
same "a chain that is there keeps its accounts" "$(grep -c '^Private key [0-9]' "$work/dev.log")" 2
check "the contract is there after the restart" 0 "^$id$" "$samebit" contract call "$reader" 'model()(bytes32)' --rpc "$NODE_URL"
node_stop
check "another chain id on a chain that is there" 1 'has the chain id 23296' "$samebit" dev --datadir "$work/dev" --chain-id 5 --port 0
check "verify the dev chain" 0 '^all is right$' "$samebit" verify --datadir "$work/dev"

# ---- rollback: the block goes, and comes back from the journal when the node starts ----
head=$("$samebit" verify --silent --datadir "$work/dev" | sed -n 's/^height: //p')
check "roll back more than there is" 1 'cannot be undone' "$samebit" rollback --datadir "$work/dev" --blocks 1000
check "roll back one block" 0 "^height: $((head - 1))\$" "$samebit" rollback --datadir "$work/dev"
check "verify after the rollback" 0 "^height: $((head - 1))\$" "$samebit" verify --silent --datadir "$work/dev"
node_start "$work/dev.log" --datadir "$work/dev"
check "the contract is there again" 0 "^$id$" "$samebit" contract call "$reader" 'model()(bytes32)' --rpc "$NODE_URL"
check "roll back under a running node" 1 'process|lock|runs' "$samebit" rollback --datadir "$work/dev"
node_stop
check "verify what came back" 0 "^height: $head\$" "$samebit" verify --silent --datadir "$work/dev"
check "roll back without a chain" 1 'make one with: samebit init' "$samebit" rollback --datadir "$work/none"

# ---- an upgrade that this program does not know: it stops before its height, and says so at every start ----
node_start "$work/dev.log" --datadir "$work/old"
params=0x0000000000000000000000000000000000005b10
for block in 1 2; do
    check "plan an upgrade, block $block" 0 "^block: $block\$" "$samebit" contract call "$params" 'planUpgrade(uint256,uint256)' 1000 3 --send \
        --key "$NODE_KEY" --rpc "$NODE_URL"
done
STOPPED=0
wait "$NODE_PID" || STOPPED=$?
NODE_PID=
same "the node stops with an error" "$STOPPED" 1
check "it says which version it lacks" 0 'block 3 follows version 1000 .* install a samebit that knows it' cat "$work/dev.log"
check "so it does at the next start" 1 'block 3 follows version 1000' "$samebit" dev --datadir "$work/old" --port 0
check "what was decided is in order" 0 '^all is right$' "$samebit" verify --datadir "$work/old"

# ---- localnet: four validators in one command ----
check "localnet with a delay that is none" 2 '--delay: "25" is not a time' "$samebit" localnet --delay 25
check "localnet with a loss that is none" 2 '--loss: "much" is not a share' "$samebit" localnet --loss much
check "localnet in a folder of other things" 1 'has something in it already' "$samebit" localnet --datadir "$work" --base-port 0
"$samebit" localnet --datadir "$work/localnet" --base-port 0 --delay 2ms --block-time 0.05 >"$work/localnet.log" 2>&1 &
NODE_PID=$!
wait_for 120 grep -qs '^Listening on' "$work/localnet.log" || true
check "its banner has the well-known keys" 0 '^Private key 0: 0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80$' cat "$work/localnet.log"
same "its nodes" "$(grep -c '^Node [0-3]: ' "$work/localnet.log")" 4
for URL in $(sed -nE 's/^Node [0-3]: +(http:[^ ]*).*/\1/p' "$work/localnet.log"); do
    wait_for 60 reaches 3 && wait_for 60 has_peers 0x3 || true
    same "$URL makes blocks" "$([ $(($(rpc eth_blockNumber))) -ge 3 ] && echo yes)" yes
    same "$URL has three peers" "$(rpc net_peerCount)" 0x3
done
check "a second localnet on its ports" 1 'is not free; give others with --base-port' "$samebit" localnet --base-port "${URL##*:}"
run_stop
same "localnet ends cleanly" "$STOPPED" 0
check "a node of it by itself is in order" 0 '^all is right$' "$samebit" verify --datadir "$work/localnet/node2"
check "localnet with another number of validators" 1 'has 4 validators, not 5' "$samebit" localnet --datadir "$work/localnet" --validators 5

say "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
