#!/usr/bin/env python3
"""Every board and this computer compute the same bits from the same recordings.

    test_predictions.py HOST_WINDOWS
"""
import hashlib
import struct
import subprocess
import sys
import time

from bench import BOARDS, SOURCE, Board, demo_recordings

RECORDINGS = ",".join(str(SOURCE / "resources/recordings" / f"{n}.csv") for n in ("eeg", "gsr", "imu", "ppg"))
PLANS = sorted((SOURCE / "resources/models").glob("*/*.lsplan"))
WINDOWS = 3  # at least, of every model


def host_windows(plan, seconds=40):
    out = subprocess.run([sys.argv[1], str(plan), str(seconds), RECORDINGS], capture_output=True, text=True)
    assert out.returncode == 0, (plan, out.returncode)
    rows = [list(map(int, line.split())) for line in out.stdout.splitlines()]
    return {row[0]: row[1:] for row in rows}


def check_board(name, expected):
    with Board(name) as board:
        d = board.device
        d.connect()
        board.inject(demo_recordings())
        d.describe()
        assert len(d.models) == len(PLANS)
        for model, plan in zip(d.models, PLANS):
            assert model["plan_id"] == hashlib.sha256(plan.read_bytes()).digest(), plan
            assert model["active"] and model["name"], model
        d.start()
        counts, end = [0], time.monotonic() + 90
        while min(counts) < WINDOWS and time.monotonic() < end:
            d.pump()
            counts = [sum(p["model"] == m["index"] for p in d.predictions) for m in d.models]
        assert min(counts) >= WINDOWS, counts
        for model in d.models:
            last = [p for p in d.predictions if p["model"] == model["index"]][-1]
            code, detail = d.command(0x85, struct.pack("<BI", model["index"], last["window"]))
            assert code == 0 and detail[5] == model["stages"]
            hashes = list(struct.unpack_from(f"<{detail[5]}I", detail, 6))
            assert hashes == expected[model["index"]][last["window"]][2:], (name, model["name"])
            assert d.command(0x85, struct.pack("<BI", model["index"], 100000))[0] == 7
        d.check_whole(d.stop())
        compared = 0
        for p in d.predictions:
            want = expected[p["model"]][p["window"]]
            assert [p["input_hash"], p["output_hash"]] == want[:2], (name, p, want)
            assert p["plan"] == d.models[p["model"]]["plan_id"][:8] and p["cost_kind"] == 3
            compared += 1
        windows = {(p["model"], p["window"]) for p in d.predictions}
        assert len(windows) == compared
        print(f"ok    {name}: {compared} windows of {len(PLANS)} models, every hash as on this computer", flush=True)


if __name__ == "__main__":
    assert PLANS, "no plans in resources/models"
    reference = {i: host_windows(plan) for i, plan in enumerate(PLANS)}
    for board_name in BOARDS:
        check_board(board_name, reference)
