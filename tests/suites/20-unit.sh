#!/usr/bin/env bash
# unit tests of every layer, release build
. "$(dirname "$0")/../../scripts/common.sh"
meson test -C build --no-rebuild --suite unit >/dev/null 2>&1 || true
python3 tests/tools/meson_counts.py build
