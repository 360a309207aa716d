#!/usr/bin/env bash
# the rules of the house: layers, banned calls, no floats, file comments, paths named in the documents
. "$(dirname "$0")/../../scripts/common.sh"
python3 tests/tidy.py
