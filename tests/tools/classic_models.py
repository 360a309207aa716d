#!/usr/bin/env python3
"""Export small classic models from scikit-learn, XGBoost and LightGBM, with rows and the results expected for them.

    tests/tools/classic_models.py tests/models/classic [NAME...]

writes NAME/model.onnx and NAME/test_data_set_0/{input,output}_<i>.pb, in the form of the ONNX backend tests, which build/tests/onnxtest
runs. Outputs are those of the onnx package's reference evaluator; labels are compared with what the library itself predicts. The
files are checked in: this script is run when a family is added or an exporter changes its form.

Needs onnx, scikit-learn, skl2onnx, onnxmltools, xgboost and lightgbm.
"""
import os
import sys
import warnings

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType
from sklearn import (cluster, datasets, ensemble, impute, linear_model, naive_bayes, neighbors, neural_network, pipeline, preprocessing, svm,
                     tree)

warnings.filterwarnings("ignore")
ROWS = 12  # of a test; also the batch of the exported models
OPSETS = {"": 17, "ai.onnx.ml": 3}


def table(load, columns=None):
    x, y = load(return_X_y=True)
    return x[:, :columns].astype(np.float32), y


IRIS = table(datasets.load_iris)
TUMOR = table(datasets.load_breast_cancer, 8)
DIABETES = table(datasets.load_diabetes)
DIABETES = DIABETES[0] * 20, DIABETES[1] / 100
WHOLE = np.round(IRIS[0]).astype(np.int64), IRIS[1]
SMALL = DIABETES[0][::9], DIABETES[1][::9]
PAIR = IRIS[0][:100, :], IRIS[1][:100]


def steps(*parts):
    return pipeline.make_pipeline(*parts)


def logistic():
    return linear_model.LogisticRegression(max_iter=2000)


def ridge():
    return linear_model.Ridge()


SKLEARN = {
    "linear_regression": (linear_model.LinearRegression(), DIABETES),
    "logistic_multiclass": (logistic(), IRIS),
    "logistic_binary": (logistic(), TUMOR),
    "linear_svc": (svm.LinearSVC(), IRIS),
    "svc_linear": (svm.SVC(kernel="linear"), IRIS),
    "svc_rbf": (svm.SVC(), IRIS),
    "svc_rbf_binary": (svm.SVC(), PAIR),
    "svc_poly": (svm.SVC(kernel="poly"), IRIS),
    "svc_sigmoid": (steps(preprocessing.StandardScaler(), svm.SVC(kernel="sigmoid")), IRIS),
    "svr_rbf": (svm.SVR(), SMALL),
    "one_class_svm": (svm.OneClassSVM(nu=0.1), IRIS),
    "kmeans": (cluster.KMeans(3, n_init=2, random_state=1), IRIS),
    "knn_classifier": (neighbors.KNeighborsClassifier(3), (IRIS[0][::3], IRIS[1][::3])),
    "knn_regressor": (neighbors.KNeighborsRegressor(4), SMALL),
    "gaussian_nb": (naive_bayes.GaussianNB(), IRIS),
    "multinomial_nb": (naive_bayes.MultinomialNB(), IRIS),
    "bernoulli_nb": (naive_bayes.BernoulliNB(binarize=2.0), IRIS),
    "decision_tree": (tree.DecisionTreeClassifier(max_depth=4, random_state=1), IRIS),
    "random_forest": (ensemble.RandomForestClassifier(6, max_depth=4, random_state=1), IRIS),
    "gradient_boosting_binary": (ensemble.GradientBoostingClassifier(n_estimators=8, random_state=1), TUMOR),
    "gradient_boosting_multiclass": (ensemble.GradientBoostingClassifier(n_estimators=4, random_state=1), IRIS),
    "gradient_boosting_regression": (ensemble.GradientBoostingRegressor(n_estimators=8, random_state=1), DIABETES),
    "ada_boost": (ensemble.AdaBoostClassifier(n_estimators=3, random_state=1), IRIS),
    "bagging": (ensemble.BaggingClassifier(n_estimators=3, random_state=1), IRIS),
    "isolation_forest": (ensemble.IsolationForest(n_estimators=6, max_samples=32, random_state=1), IRIS),
    "mlp": (neural_network.MLPClassifier((8,), max_iter=400, random_state=1), IRIS),
    "standard_scaler": (steps(preprocessing.StandardScaler(), logistic()), IRIS),
    "min_max_normalizer": (steps(preprocessing.MinMaxScaler(), preprocessing.Normalizer(), logistic()), IRIS),
    "normalizer_l1": (preprocessing.Normalizer("l1"), IRIS),
    "normalizer_max": (preprocessing.Normalizer("max"), IRIS),
    "robust_scaler": (steps(preprocessing.RobustScaler(), preprocessing.MaxAbsScaler(), ridge()), DIABETES),
    "imputer": (steps(impute.SimpleImputer(), ridge()), IRIS),
    "binarizer": (steps(preprocessing.Binarizer(threshold=2.0), ridge()), IRIS),
    "one_hot_encoder": (steps(preprocessing.OneHotEncoder(sparse_output=False, handle_unknown="ignore"), ridge()), WHOLE),
    "ordinal_encoder": (steps(preprocessing.OrdinalEncoder(), ridge()), WHOLE),
    "k_bins": (steps(preprocessing.KBinsDiscretizer(4, encode="onehot-dense"), ridge()), IRIS),
    "polynomial_features": (steps(preprocessing.PolynomialFeatures(2), ridge()), (DIABETES[0][:, :3], DIABETES[1])),
}


def export_sklearn(model, x, y):
    model.fit(x, y)
    kind = Int64TensorType if x.dtype == np.int64 else FloatTensorType
    last = model.steps[-1][1] if hasattr(model, "steps") else model
    options = {id(last): {"zipmap": False}} if hasattr(last, "classes_") and not isinstance(last, svm.LinearSVC) else None
    return to_onnx(model, initial_types=[("x", kind([None, x.shape[1]]))], target_opset=OPSETS, options=options)


def boosters():
    import lightgbm
    import xgboost
    from onnxmltools import convert_lightgbm, convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType as Floats

    def make(convert, model, data, **more):
        x, y = data
        model.fit(x, y)
        return model, convert(model, initial_types=[("x", Floats([None, x.shape[1]]))], target_opset=15, **more)

    few = dict(n_estimators=6, max_depth=3)
    light = dict(few, min_child_samples=5, verbose=-1)
    yield "xgboost_binary", TUMOR, lambda: make(convert_xgboost, xgboost.XGBClassifier(**few), TUMOR)
    yield "xgboost_multiclass", IRIS, lambda: make(convert_xgboost, xgboost.XGBClassifier(**few), IRIS)
    yield "xgboost_regression", DIABETES, lambda: make(convert_xgboost, xgboost.XGBRegressor(**few), DIABETES)
    yield "lightgbm_binary", TUMOR, lambda: make(convert_lightgbm, lightgbm.LGBMClassifier(**light), TUMOR, zipmap=False)
    yield "lightgbm_multiclass", IRIS, lambda: make(convert_lightgbm, lightgbm.LGBMClassifier(**light), IRIS, zipmap=False)
    yield "lightgbm_regression", DIABETES, lambda: make(convert_lightgbm, lightgbm.LGBMRegressor(**light), DIABETES)


def save(folder, name, proto, model, x):
    rows = x[:: max(1, len(x) // ROWS)][:ROWS]
    outputs = ReferenceEvaluator(proto).run(None, {proto.graph.input[0].name: rows})
    if hasattr(model, "predict") and outputs[0].dtype == np.int64:
        assert np.array_equal(outputs[0].ravel(), model.predict(rows)), name
    data = os.path.join(folder, name, "test_data_set_0")
    os.makedirs(data, exist_ok=True)
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = ROWS
    proto.producer_version = ""
    proto.doc_string = proto.graph.doc_string = ""
    proto.graph.name = name
    with open(os.path.join(folder, name, "model.onnx"), "wb") as f:
        f.write(proto.SerializeToString())
    for kind, arrays in (("input", [rows]), ("output", outputs)):
        for i, array in enumerate(arrays):
            with open(os.path.join(data, "%s_%d.pb" % (kind, i)), "wb") as f:
                f.write(numpy_helper.from_array(array).SerializeToString())
    print("%-30s %6d bytes" % (name, proto.ByteSize()))


def handmade():
    """Operators that no exporter here writes in this form."""
    def model(nodes, inputs, y, ml=3):
        graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info(n, t, s) for n, t, s in inputs],
                                  [helper.make_tensor_value_info("y", *y)])
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", ml)])

    def ml(op, inputs, outputs, **attrs):
        return helper.make_node(op, inputs, outputs, domain="ai.onnx.ml", **attrs)

    float32, int64 = TensorProto.FLOAT, TensorProto.INT64
    gaps = np.where(IRIS[0] > 5.5, np.float32(-1), IRIS[0])
    yield "imputer_sentinel", gaps, model(
        [ml("Imputer", ["x"], ["y"], imputed_value_floats=[5.0, 3.0, 4.0, 1.0], replaced_value_float=-1.0)],
        [("x", float32, [ROWS, 4])], (float32, [ROWS, 4]))
    yield "label_encoder_to_float", WHOLE[0], model(
        [ml("LabelEncoder", ["x"], ["y"], keys_int64s=[1, 2, 5], values_floats=[0.5, -1.25, 3.0], default_float=9.0)],
        [("x", int64, [ROWS, 4])], (float32, [ROWS, 4]))
    yield "feature_vectorizer", IRIS[0], model(
        [ml("Binarizer", ["x"], ["b"], threshold=3.0), ml("FeatureVectorizer", ["x", "b"], ["y"], inputdimensions=[4, 4])],
        [("x", float32, [ROWS, 4])], (float32, [ROWS, 8]))


def main():
    folder, wanted = sys.argv[1], sys.argv[2:]
    for name, (model, data) in SKLEARN.items():
        if not wanted or name in wanted:
            try:
                save(folder, name, export_sklearn(model, *data), model, data[0])
            except Exception as e:  # one family that an exporter refuses does not stop the others
                print("%-30s %s: %s" % (name, type(e).__name__, str(e).split("\n")[0][:200]), file=sys.stderr)
    for name, data, make in boosters():
        if not wanted or name in wanted:
            try:
                model, proto = make()
                save(folder, name, proto, model, data[0])
            except Exception as e:
                print("%-30s %s: %s" % (name, type(e).__name__, str(e).split("\n")[0][:200]), file=sys.stderr)
    for name, x, proto in handmade():
        if not wanted or name in wanted:
            save(folder, name, proto, None, x)


if __name__ == "__main__":
    main()
