"""Every int8 layer of the movement model, on golden and calibration windows: core = NumPy, bit for bit.
A planted change of one weight must show at its own stage."""
import os
import subprocess
import tempfile

import numpy as np

from reference import Plan, compare

PROBE = os.environ["MODEL_PROBE"]
MODEL = os.path.join(os.environ["LOCKSTEP_SOURCE"], "resources/models/movement")


def main():
    with tempfile.TemporaryDirectory() as folder:
        plan_file, windows_file, stages_file = (os.path.join(folder, n) for n in ("m.lsplan", "w.f32", "s"))
        subprocess.run([PROBE, "convert", MODEL + "/movement.onnx", MODEL + "/preprocessing.json",
                        MODEL + "/calibration/inputs.npy", plan_file], check=True)
        golden = np.load(MODEL + "/golden/golden.npz")
        run = golden["run_filtered"]
        windows = [w.T for w in golden["filtered"]] + [run[:, k:k + 100].T for k in golden["run_window_start"]]
        windows += [np.random.default_rng(1).normal(0, s, (100, 6)) for s in (0.1, 1.0, 100.0, 1e6)]
        windows = [np.ascontiguousarray(w, np.float32) for w in windows]
        np.concatenate([w.reshape(-1) for w in windows]).tofile(windows_file)
        subprocess.run([PROBE, "stages", plan_file, windows_file, stages_file], check=True)
        raw = open(stages_file, "rb").read()
        plan = Plan(open(plan_file, "rb").read())
        assert plan.scores == ["SEATED", "STANDING_UP", "WALKING", "TURNING", "SITTING_DOWN"]
        left = raw
        for window in windows:
            left = compare(plan, window, left)
        assert left == b""
        codes = [op["code"] for op in plan.operators]
        assert codes.count(10) == 3 and 12 in codes, codes
        print(len(windows), "windows,", len(codes), "stages each: equal")

        # The proof that this test can fail: another weight in the second convolution.
        second = [i for i, op in enumerate(plan.operators) if op["code"] == 10][1]
        op = plan.operators[second]
        params = bytearray(op["params"])
        params[-1] ^= 0x40
        op["params"] = bytes(params)
        try:
            for window in windows:
                raw = compare(plan, window, raw)
        except AssertionError as e:
            assert op["stage"] in str(e), e
        else:
            raise SystemExit("a changed weight was not noticed")


if __name__ == "__main__":
    main()
