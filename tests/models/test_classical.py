"""Classical models: trained by scikit-learn, written as JSON by the few lines below, run by the core. The
decisions are scikit-learn's, the scores its own to float32."""
import json
import os
import subprocess
import unittest

import numpy as np
from sklearn.cluster import KMeans
from sklearn.datasets import make_classification
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from test_model_command import Folder, lockstep

FEATURES = 12


def tree(t, value):
    return {"feature": t.feature.tolist(), "threshold": t.threshold.tolist(), "left": t.children_left.tolist(),
            "right": t.children_right.tolist(), "value": value.tolist()}


def shares(t):
    return t.value[:, 0] / t.value[:, 0].sum(1, keepdims=True)


def describe(m, classes):
    """The JSON of docs/model_format.md from a fitted estimator."""
    out = {"schema": "lockstep-classical", "version": 1, "model": type(m).__name__, "features": FEATURES,
           "classes": [f"c{i}" for i in range(classes)]}
    if isinstance(m, DecisionTreeClassifier):
        out["trees"] = {"base": [0] * classes, "link": "none", "trees": [tree(m.tree_, shares(m.tree_))]}
    elif isinstance(m, RandomForestClassifier):
        out["trees"] = {"base": [0] * classes, "link": "none", "mean": True,
                        "trees": [tree(e.tree_, shares(e.tree_)) for e in m.estimators_]}
    elif isinstance(m, GradientBoostingClassifier):
        columns = m.estimators_.shape[1]
        base = m._raw_predict_init(np.zeros((1, FEATURES)))[0]
        wide = lambda t, c: t.value[:, 0] * m.learning_rate * np.eye(columns)[c]
        out["trees"] = {"base": base.tolist(), "link": "logistic" if columns == 1 else "softmax",
                        "trees": [tree(e.tree_, wide(e.tree_, c)) for row in m.estimators_ for c, e in enumerate(row)]}
    elif isinstance(m, (LogisticRegression, LinearSVC)):
        one = len(m.coef_) == 1
        link = ("logistic" if one else "softmax") if isinstance(m, LogisticRegression) else ("sides" if one else "none")
        out["linear"] = {"weights": m.coef_.tolist(), "intercept": m.intercept_.tolist(), "link": link}
    elif isinstance(m, LinearRegression):
        del out["classes"]
        out["linear"] = {"weights": m.coef_.tolist(), "intercept": m.intercept_.tolist(), "link": "none"}
    elif isinstance(m, SVC):
        out["svm"] = {"kernel": m.kernel, "gamma": m._gamma, "vectors": m.support_vectors_.tolist(),
                      "coefficients": m.dual_coef_.tolist(), "support": m.n_support_.tolist(),
                      "intercept": m.intercept_.tolist()}
    elif isinstance(m, KMeans):
        out["kmeans"] = {"centres": m.cluster_centers_.tolist()}
    return out


class Classical(Folder):
    def run_plan(self, model, x, name="m"):
        source, plan, data = self.path(name + ".json", json.dumps(model).encode()), self.path(name + ".lsplan"), self.path("x.npy")
        np.save(data, x)
        lockstep("convert", source, "-o", plan, "--force")
        return np.array(json.loads(lockstep("run", plan, "--data", data, "--json").stdout)["scores"])

    def test_scikit_learns_models(self):
        for classes in (2, 4):
            x, y = make_classification(900, FEATURES, n_informative=8, n_classes=classes, random_state=classes)
            x = x.astype(np.float32)
            seen, unseen, labels = x[:500], x[500:], y[:500]
            for m in (DecisionTreeClassifier(max_depth=8, random_state=1), RandomForestClassifier(25, random_state=1),
                      GradientBoostingClassifier(n_estimators=20, random_state=1), LogisticRegression(max_iter=1000),
                      LinearSVC(max_iter=5000, dual=False), SVC(kernel="linear", break_ties=False), SVC(kernel="rbf")):
                m.fit(seen, labels)
                got = self.run_plan(describe(m, classes), unseen)
                wanted = m.predict(unseen)
                what = f"{type(m).__name__} {classes}"
                if hasattr(m, "predict_proba") and not isinstance(m, SVC):
                    np.testing.assert_allclose(got, m.predict_proba(unseen), atol=2e-5, err_msg=what)
                    # Where two classes are equal up to rounding, either is right.
                    first, second = np.sort(m.predict_proba(unseen))[:, [-1, -2]].T
                    clear = first - second > 1e-4
                    np.testing.assert_array_equal(got.argmax(1)[clear], wanted[clear], what)
                else:
                    self.assertGreaterEqual((got.argmax(1) == wanted).mean(), 0.9975, what)

    def test_a_plan_as_source_links_its_operators_and_gives_the_same_bits(self):
        root = os.environ["LOCKSTEP_SOURCE"]
        x, y = make_classification(300, FEATURES, n_informative=8, n_classes=3, random_state=3)
        x = x.astype(np.float32)
        main = self.path("main.cpp", b"""#include <cstdio>
            #include <cstring>
            #include "m.h"
            int main() {
                char row[lockstep::m::kInputBytes];
                while (fread(row, sizeof row, 1, stdin) == 1) {
                    memcpy(lockstep::m::input(), row, sizeof row);
                    lockstep::m::run();
                    fwrite(lockstep::m::output(), lockstep::m::kOutputBytes, 1, stdout);
                }
            }""")
        folder = os.path.dirname(main)
        for m, operator in ((RandomForestClassifier(10, random_state=1), "trees"), (SVC(), "vectors")):
            described = describe(m.fit(x, y), 3)
            described["standardise"] = {"mean": x.mean(0).tolist(), "std": x.std(0).tolist()}
            plan, raw, out = (self.path(operator + n) for n in (".lsplan", ".x", ".y"))
            lockstep("convert", self.path("m.json", json.dumps(described).encode()), "-o", plan, "--force")
            x.tofile(raw)
            lockstep("run", plan, "--raw-input", raw, "--raw-output", out)
            lockstep("source", plan, "-o", folder, "--name", "m", "--force")
            parts = [f"{root}/models/core/ops/{n}.cpp" for n in ("trees", "vectors", "normalise")]
            program = self.path("program")
            subprocess.run(["g++", "-std=c++17", "-O1", "-ffp-contract=off", "-ffunction-sections", "-Wl,--gc-sections",
                            "-I", root, "-I", folder, main, os.path.join(folder, "m.cpp"), *parts, "-o", program], check=True)
            done = subprocess.run([program], input=x.tobytes(), capture_output=True, check=True)
            with open(out, "rb") as f:
                self.assertEqual(done.stdout, f.read())
            linked = subprocess.run(["nm", "-C", program], capture_output=True, text=True, check=True).stdout
            self.assertIn(f"eval_{operator}(", linked)
            self.assertNotIn("eval_trees(" if operator == "vectors" else "eval_vectors(", linked)

    def test_values_and_clusters(self):
        x = np.random.default_rng(1).normal(size=(400, FEATURES)).astype(np.float32)
        m = LinearRegression().fit(x, x[:, :2] @ np.array([[1, 2], [3, -1]]) + 0.5)
        np.testing.assert_allclose(self.run_plan(describe(m, 2), x), m.predict(x), atol=2e-5)
        m = KMeans(5, n_init=2, random_state=1).fit(x)
        np.testing.assert_array_equal(self.run_plan(describe(m, 5), x).argmax(1), m.predict(x))

    def test_exponential(self):
        """A softmax of one varying score shows the exponential over its whole range."""
        x = np.zeros((2000, 2), np.float32)
        x[:, 0] = np.linspace(-80, 20, 2000)
        model = {"schema": "lockstep-classical", "version": 1, "features": 2, "classes": ["a", "b"],
                 "linear": {"weights": [[1, 0], [0, 1]], "intercept": [0, 0], "link": "softmax"}}
        got = self.run_plan(model, x)
        wide = x.astype(np.float64)
        wanted = np.exp(wide[:, 0]) / (1 + np.exp(wide[:, 0]))
        np.testing.assert_allclose(got[:, 0], wanted, rtol=1e-6)

    def test_no_number_has_a_result(self):
        x = np.full((3, FEATURES), np.nan, np.float32)
        x[1], x[2] = np.inf, -np.inf
        data, y = make_classification(300, FEATURES, random_state=1)
        for m in (RandomForestClassifier(5, random_state=1), LogisticRegression(), SVC()):
            got = self.run_plan(describe(m.fit(data.astype(np.float32), y), 2), x)
            self.assertTrue(np.isfinite(got).all() or not np.isnan(got).any(), got)

    def test_refusals(self):
        leaf = {"feature": [-2], "threshold": [0], "left": [-1], "right": [-1], "value": [[1]]}
        good = {"schema": "lockstep-classical", "version": 1, "features": 3,
                "trees": {"base": [0], "link": "none", "trees": [leaf]}}

        def refused(change, says):
            model = json.loads(json.dumps(good))
            change(model)
            self.refused("convert", self.path("bad.json", json.dumps(model).encode()), "-o", self.path("b.lsplan"), says=says)
        circle = {"feature": [0, 0], "threshold": [0, 0], "left": [1, 0], "right": [1, 0], "value": [[1], [1]]}
        refused(lambda m: m["trees"].update(trees=[circle]), ["/trees/trees/0", "child"])
        refused(lambda m: m["trees"]["trees"][0].update(left=[5], right=[6]), ["child"])
        refused(lambda m: m["trees"].update(link="cube"), ["/trees/link"])
        refused(lambda m: m.update(features=0), ["/features"])
        refused(lambda m: m["trees"].update(base=[0] * 500), ["/trees/base"])
        refused(lambda m: m.pop("trees"), ["none of trees"])
        refused(lambda m: m.update(classes=["a", "b"]), ["2 names for 1 scores"])


if __name__ == "__main__":
    unittest.main()
