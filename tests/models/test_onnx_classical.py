"""scikit-learn models as ONNX (ai.onnx.ml), written here the way its converters write them: the plan decides as
scikit-learn does."""
import json
import unittest

import numpy as np
from onnx import TensorProto, helper
from sklearn.datasets import make_classification
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeClassifier

from test_model_command import Folder, lockstep

FEATURES = 9
ML = "ai.onnx.ml"


def tree_lists(trees, value, mode="BRANCH_LEQ"):
    """Attributes of TreeEnsemble*: value(tree, node) is a list of (output, weight)."""
    out = {f"nodes_{k}": [] for k in ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids",
                                      "falsenodeids")}
    leaves = {k: [] for k in ("treeids", "nodeids", "ids", "weights")}
    for number, t in enumerate(trees):
        for i in range(t.node_count):
            leaf = t.children_left[i] < 0
            row = (number, i, max(int(t.feature[i]), 0), float(t.threshold[i]), "LEAF" if leaf else mode,
                   max(int(t.children_left[i]), 0), max(int(t.children_right[i]), 0))
            for key, v in zip(out, row):
                out[key].append(v)
            for output, weight in value(t, i) if leaf else []:
                for key, v in zip(leaves, (number, i, output, float(weight))):
                    leaves[key].append(v)
    return out, leaves


def node(op, **attributes):
    return helper.make_node(op, ["x"], ["label", "scores"], name="the_" + op, domain=ML, **attributes)


def classifier_node(m, classes):
    labels = dict(classlabels_int64s=list(range(classes)))
    if isinstance(m, (DecisionTreeClassifier, RandomForestClassifier)):
        estimators = getattr(m, "estimators_", [m])
        share = lambda t, i: enumerate(t.value[i, 0] / t.value[i, 0].sum() / len(estimators))
        lists, leaves = tree_lists([e.tree_ for e in estimators], share)
        return node("TreeEnsembleClassifier", **lists, **{"class_" + k: v for k, v in leaves.items()}, **labels)
    if isinstance(m, GradientBoostingClassifier):
        columns = m.estimators_.shape[1]
        base = m._raw_predict_init(np.zeros((1, FEATURES)))[0]
        flat = [(e.tree_, c) for row in m.estimators_ for c, e in enumerate(row)]
        column = {id(t): c for t, c in flat}
        lists, leaves = tree_lists([t for t, _ in flat],
                                   lambda t, i: [(column[id(t)], t.value[i, 0, 0] * m.learning_rate)])
        return node("TreeEnsembleClassifier", **lists, **{"class_" + k: v for k, v in leaves.items()}, **labels,
                    base_values=[float(v) for v in base], post_transform="LOGISTIC" if columns == 1 else "SOFTMAX")
    if isinstance(m, LogisticRegression):
        coefficients, intercepts = m.coef_, m.intercept_
        if classes == 2:
            coefficients, intercepts = np.vstack([-coefficients, coefficients]), np.concatenate([-intercepts, intercepts])
        return node("LinearClassifier", coefficients=coefficients.ravel().tolist(), intercepts=intercepts.tolist(),
                    classlabels_ints=list(range(classes)), multi_class=int(classes > 2),
                    post_transform="LOGISTIC" if classes == 2 else "SOFTMAX")
    return node("SVMClassifier", kernel_type=m.kernel.upper(), kernel_params=[float(m._gamma), 0.0, 3.0],
                vectors_per_class=m.n_support_.tolist(), support_vectors=m.support_vectors_.ravel().tolist(),
                coefficients=m._dual_coef_.ravel().tolist(), rho=m._intercept_.tolist(), classlabels_ints=list(range(classes)))


def file_of(nodes, features=FEATURES):
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, features])],
                              [helper.make_tensor_value_info("label", TensorProto.INT64, [None])])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13), helper.make_opsetid(ML, 3)])
    made.ir_version = 8
    return made.SerializeToString()


class OnnxClassical(Folder):
    def scores(self, file, x):
        source, plan, data = self.path("m.onnx", file), self.path("m.lsplan"), self.path("x.npy")
        np.save(data, x)
        lockstep("convert", source, "-o", plan, "--force")
        return np.array(json.loads(lockstep("run", plan, "--data", data, "--json").stdout)["scores"])

    def test_classifiers(self):
        for classes in (2, 3):
            x, y = make_classification(700, FEATURES, n_informative=6, n_classes=classes, random_state=classes)
            x = x.astype(np.float32)
            seen, unseen = x[:450], x[450:]
            for m in (DecisionTreeClassifier(max_depth=7, random_state=1), RandomForestClassifier(20, random_state=1),
                      GradientBoostingClassifier(n_estimators=15, random_state=1), LogisticRegression(max_iter=1000),
                      SVC(kernel="linear"), SVC(kernel="rbf")):
                m.fit(seen, y[:450])
                what = f"{type(m).__name__} {classes}"
                tail = [helper.make_node("Normalizer", ["scores"], ["p"], norm="L1", domain=ML)] if isinstance(
                    m, LogisticRegression) else []
                tail.append(helper.make_node("ZipMap", ["p" if tail else "scores"], ["z"], domain=ML,
                                             classlabels_int64s=list(range(classes))))
                got = self.scores(file_of([classifier_node(m, classes)] + tail), unseen)
                if isinstance(m, SVC):
                    self.assertGreaterEqual((got.argmax(1) == m.predict(unseen)).mean(), 0.99, what)
                    continue
                np.testing.assert_allclose(got, m.predict_proba(unseen), atol=3e-5, err_msg=what)

    def test_a_scaler_before(self):
        x, y = make_classification(500, FEATURES, random_state=7)
        x = (x * 20 + 5).astype(np.float32)
        scaler = StandardScaler().fit(x)
        m = LogisticRegression().fit(scaler.transform(x), y)
        scale = helper.make_node("Scaler", ["x"], ["s"], domain=ML, offset=scaler.mean_.tolist(),
                                 scale=(1 / scaler.scale_).tolist())
        got = self.scores(file_of([scale, classifier_node(m, 2)]), x)
        np.testing.assert_allclose(got, m.predict_proba(scaler.transform(x)), atol=3e-5)

    def test_regressors(self):
        rng = np.random.default_rng(3)
        x = rng.normal(size=(300, FEATURES)).astype(np.float32)
        y = x[:, 0] * 2 - np.abs(x[:, 1]) + 0.3
        forest = RandomForestRegressor(8, max_depth=6, random_state=1).fit(x, y)
        lists, leaves = tree_lists([e.tree_ for e in forest.estimators_], lambda t, i: [(0, t.value[i, 0, 0])])
        tree = node("TreeEnsembleRegressor", **lists, **{"target_" + k: v for k, v in leaves.items()}, n_targets=1,
                    aggregate_function="AVERAGE")
        np.testing.assert_allclose(self.scores(file_of([tree]), x)[:, 0], forest.predict(x), atol=3e-5)
        line = LinearRegression().fit(x, y)
        linear = node("LinearRegressor", coefficients=line.coef_.tolist(), intercepts=[float(line.intercept_)], targets=1)
        np.testing.assert_allclose(self.scores(file_of([linear]), x)[:, 0], line.predict(x), atol=3e-5)
        m = SVR(kernel="rbf").fit(x, y)
        machine = node("SVMRegressor", kernel_type="RBF", kernel_params=[float(m._gamma), 0.0, 3.0],
                       n_supports=len(m.support_), support_vectors=m.support_vectors_.ravel().tolist(),
                       coefficients=m.dual_coef_.ravel().tolist(), rho=m.intercept_.tolist())
        np.testing.assert_allclose(self.scores(file_of([machine]), x)[:, 0], m.predict(x), atol=1e-4)

    def test_strictly_less_and_one_class_of_two(self):
        """BRANCH_LT at exactly the threshold; the weights of one class give the other's."""
        lists = dict(nodes_treeids=[0, 0, 0], nodes_nodeids=[0, 1, 2], nodes_featureids=[0, 0, 0],
                     nodes_values=[0.5, 0.0, 0.0], nodes_modes=["BRANCH_LT", "LEAF", "LEAF"],
                     nodes_truenodeids=[1, 0, 0], nodes_falsenodeids=[2, 0, 0])
        tree = node("TreeEnsembleClassifier", **lists, class_treeids=[0, 0], class_nodeids=[1, 2], class_ids=[1, 1],
                    class_weights=[0.25, 0.75], classlabels_strings=["no", "yes"])
        got = self.scores(file_of([tree], 1), np.array([[0.5], [np.nextafter(np.float32(0.5), np.float32(0))]], np.float32))
        np.testing.assert_allclose(got, [[0.25, 0.75], [0.75, 0.25]], atol=1e-7)

    def test_refusals_name_everything_at_once(self):
        nodes = [helper.make_node("Imputer", ["x"], ["i"], name="fill", domain=ML, imputed_value_floats=[0.0]),
                 node("SVMClassifier", kernel_type="POLY", classlabels_ints=[0, 1])]
        text = self.refused("convert", self.path("m.onnx", file_of(nodes)), "-o", self.path("p.lsplan"),
                            says=["Imputer 'fill'", "kernel POLY", "LINEAR or RBF"])
        self.assertIn("m.onnx", text)
        m = DecisionTreeClassifier(max_depth=3).fit(*make_classification(100, FEATURES, random_state=1))
        good = classifier_node(m, 2)

        def refused(change, says):
            copy = helper.make_node("x", [], [])
            copy.CopyFrom(good)
            change({a.name: a for a in copy.attribute})
            self.refused("convert", self.path("bad.onnx", file_of([copy])), "-o", self.path("p.lsplan"), says=[says])
        refused(lambda a: a["nodes_modes"].strings.__setitem__(0, b"BRANCH_GTE"), "BRANCH_GTE")
        refused(lambda a: a["nodes_truenodeids"].ints.__setitem__(0, 77), "child that does not exist")
        refused(lambda a: a["nodes_truenodeids"].ints.__setitem__(0, 0), "root does not reach")
        refused(lambda a: a["class_nodeids"].ints.__setitem__(0, 999), "leaf that does not exist")
        refused(lambda a: a["nodes_values"].floats.pop(), "different lengths")

    def test_damaged_files_end_in_one_line(self):
        m = RandomForestClassifier(3, max_depth=3, random_state=1).fit(*make_classification(100, FEATURES, random_state=1))
        file = file_of([classifier_node(m, 2)])
        rng = np.random.default_rng(1)
        for i in range(40):
            bad = bytearray(file[:rng.integers(1, len(file))] if i % 2 else file)
            bad[rng.integers(len(bad))] ^= 1 << rng.integers(8)
            source, plan = self.path("bad.onnx", bytes(bad)), self.path("p.lsplan")
            import subprocess
            from test_model_command import LOCKSTEP
            done = subprocess.run([LOCKSTEP, "model", "convert", source, "-o", plan, "--force"], capture_output=True)
            self.assertIn(done.returncode, (0, 2), done.stderr)


if __name__ == "__main__":
    unittest.main()
