#!/usr/bin/env bash
# a language model in integers: perplexity at most 1.005 (8 bits) and 1.001 (16 bits) times that of the float model
. "$(dirname "$0")/../../scripts/common.sh"
models=${SAMEBIT_MODELS:-../shared/models}
model=$models/tinyllama_byte_prefill128.onnx
if [ ! -f "$model" ]; then
    say "skip text::tinyllama not found below $models"
    say "0 passed, 0 failed, 1 skipped"
    exit 0
fi
passed=0
failed=0
for line in "i8 1.005" "i16 1.001"; do
    read -r precision ratio <<<"$line"
    if timeout 900 build/tests/textcheck "$model" "$models/tinyllama_val.bin" --precision "$precision" --ratio-max "$ratio" \
        --windows "${SAMEBIT_TEXT_WINDOWS:-30}" --calibrate 32; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        say "FAIL text::$precision ratio above $ratio"
    fi
done
say "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
