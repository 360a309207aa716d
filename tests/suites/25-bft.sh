#!/usr/bin/env bash
# traces of the public Quint models of Tendermint against the consensus core
. "$(dirname "$0")/../../scripts/common.sh"
data=${SAMEBIT_CONFORMANCE:-../shared/conformance}/consensus/quint
files=()
missing=0
for name in traces-dev traces-random-dev; do
    if [ -f "$data/$name.jsonl.gz" ]; then
        files+=("$data/$name.jsonl.gz")
    else
        say "skip consensus/quint/$name.jsonl.gz: not found below ${SAMEBIT_CONFORMANCE:-../shared/conformance}"
        missing=$((missing + 1))
    fi
done
if [ ${#files[@]} -eq 0 ]; then
    say "0 passed, 0 failed, $missing skipped"
    exit 0
fi
out=$(timeout 300 build/tests/bfttrace -v "${files[@]}" 2>&1) || true
grep -v '^ok ' <<<"$out" | head -n 100 | grep -vE '^[0-9]+ passed'
line=$(grep -E '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' <<<"$out" | tail -n 1 || true)
read -r p f s < <(sed -E 's/[^0-9]+/ /g' <<<"${line:-0 passed, 1 failed, 0 skipped}")
say "$p passed, $f failed, $((s + missing)) skipped"
[ "$f" -eq 0 ]
