#!/usr/bin/env bash
# the same unit tests and a slice of every fuzz target under AddressSanitizer and UBSan
. "$(dirname "$0")/../../scripts/common.sh"
scripts/build --asan
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
meson test -C build-asan --no-rebuild --suite unit --suite fuzz --timeout-multiplier 4 >/dev/null 2>&1 || true
python3 tests/tools/meson_counts.py build-asan
