#!/usr/bin/env bash
# classic models as scikit-learn, XGBoost and LightGBM export them, through the compiler and the engine
. "$(dirname "$0")/../../scripts/common.sh"
exec timeout 300 build/tests/onnxtest tests/models/classic
