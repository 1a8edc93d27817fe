#!/usr/bin/env python3
"""Plans pushed to a running board, by a second implementation of the protocol: good ones run, bad ones are refused
with their reason while the models that run lose no window.

    test_model_transfer.py [CASE...]
"""
import hashlib
import struct
import sys
import time

from bench import SOURCE, Board, crc32c, demo_recordings

sys.path.insert(0, str(SOURCE / "tests" / "models"))
import ed25519  # noqa: E402

KEY = bytes.fromhex((SOURCE / "embedded_target/keys/development.key").read_text().split()[1])
VITALS = (SOURCE / "resources/models/vitals/vitals.lsplan").read_bytes()
MOVEMENT = (SOURCE / "resources/models/movement/movement.lsplan").read_bytes()
BEGIN, CHUNK, COMMIT, LIST, ACTIVATE, ROLLBACK = range(0x90, 0x96)
REASONS = ["none", "incomplete", "hash", "not signed", "signature", "malformed", "version", "operators", "memory",
           "streams", "places", "not there"]


def sealed(plan):
    plan = bytearray(plan)
    plan[16:20] = bytes(4)
    plan[16:20] = struct.pack("<I", crc32c(bytes(plan)))
    return bytes(plan)


def record(plan, table, size, index=0):
    return struct.unpack_from("<I", plan, table)[0] + size * index


def changed_weight(seed=1):
    """The movement model with one other weight: another plan of the same name."""
    plan = bytearray(MOVEMENT)
    for i in range(struct.unpack_from("<I", plan, 68)[0]):
        at = record(plan, 64, 36, i)
        if struct.unpack_from("<H", plan, at)[0] == 10:
            params, size = struct.unpack_from("<II", plan, at + 20)
            plan[params + size - 1 - seed] ^= 0x11
            return sealed(plan)
    raise AssertionError


def renamed(name):
    plan = bytearray(MOVEMENT)
    at = struct.unpack_from("<I", plan, 24)[0]
    assert plan[at:at + 8] == b"movement" and len(name) == 8, name
    plan[at:at + 8] = name.encode()
    return sealed(plan)


def signature_of(plan, key=KEY):
    return ed25519.sign(key, b"lockstep plan 1\0" + hashlib.sha256(plan).digest())[0]


class Host:
    """The host's side of model transfer."""

    def __init__(self, device):
        self.d = device

    def begin(self, plan, signature, plan_id=None, size=None):
        payload = (plan_id or hashlib.sha256(plan).digest()) + struct.pack("<I", len(plan) if size is None else size)
        payload += bytes([0]) if signature is None else bytes([1]) + signature
        code, detail = self.d.command(BEGIN, payload, timeout=60)
        return code, struct.unpack("<IH", detail)

    def chunk(self, offset, data):
        code, detail = self.d.command(CHUNK, struct.pack("<IH", offset, len(data)) + data, timeout=60)
        return code, struct.unpack("<I", detail)[0]

    def send(self, plan, at=0, until=None):
        until = len(plan) if until is None else until
        while at < until:
            code, at = self.chunk(at, plan[at:min(at + 1024, until)])
            assert code == 0

    def commit(self):
        code, detail = self.d.command(COMMIT, timeout=60)
        return code, REASONS[detail[0]]

    def push(self, plan, signature):
        code, (at, _) = self.begin(plan, signature)
        assert code == 0, code
        self.send(plan, at)
        return self.commit()

    def list(self):
        code, detail = self.d.command(LIST)
        assert code == 0
        largest, signed_only, count = struct.unpack_from("<IBB", detail)
        rows, at = [], 6
        for _ in range(count):
            plan_id, n = detail[at:at + 32], detail[at + 32]
            name = detail[at + 33:at + 33 + n].decode()
            size, flags, place = struct.unpack_from("<IBB", detail, at + 33 + n)
            at += 39 + n
            rows.append(dict(id=plan_id, name=name, size=size, built_in=flags & 1, previous=flags >> 1, place=place))
        self.largest, self.signed_only = largest, signed_only
        return rows

    def change(self, command, payload=b""):
        code, detail = self.d.command(command, payload)
        if code != 0:
            return code, REASONS[detail[0]]
        epoch, running, time_us, models = struct.unpack_from("<BBQB", detail)
        return code, dict(epoch=epoch, running=running, models=models, place=detail[11], id=detail[12:44])

    def activate(self, plan):
        return self.change(ACTIVATE, hashlib.sha256(plan).digest())


def bad_plans():
    """(name, plan, signature, code, reason): what a board must refuse. Made of the smaller plan, for the line's sake."""
    good = bytearray(VITALS)
    good[-1] ^= 1  # of the provenance
    good = sealed(good)
    flipped = bytearray(good)
    flipped[200] ^= 4
    newer = bytearray(good)
    newer[8] += 1
    newer = sealed(newer)
    far = bytearray(good)  # a tensor's place far past the arena
    struct.pack_into("<I", far, record(far, 56, 24) + 20, 0x7FFFFFF0)
    far = sealed(far)
    strange = bytearray(good)  # an operator that nobody has
    struct.pack_into("<H", strange, record(strange, 64, 36), 999)
    strange = sealed(strange)
    large = bytearray(good)
    struct.pack_into("<I", large, 28, 4 << 20)  # an arena larger than the board's memory
    large = sealed(large)
    other_key = bytes(range(32))
    wrong = bytearray(signature_of(good))
    wrong[5] ^= 1
    return [("unsigned", good, None, 1, "not signed"),
            ("signed by another key", good, signature_of(good, other_key), 1, "signature"),
            ("a signature with a wrong bit", good, bytes(wrong), 1, "signature"),
            ("the signature of another plan", good, signature_of(MOVEMENT), 1, "signature"),
            ("flipped after sealing", bytes(flipped), signature_of(bytes(flipped)), 4, "malformed"),
            ("cut short", good[:len(good) // 2], signature_of(good[:len(good) // 2]), 4, "malformed"),
            ("another format", newer, signature_of(newer), 5, "version"),
            ("an offset out of bounds", far, signature_of(far), 4, "malformed"),
            ("an unknown operator", strange, signature_of(strange), 5, "operators"),
            ("too large for the arena", large, signature_of(large), 3, "memory"),
            ("text", b"not a plan at all" * 20, signature_of(b"not a plan at all" * 20), 4, "malformed")]


def no_window_lost(d, models=(0, 1)):
    assert len(d.predictions) > 10
    for model in models:
        windows = [p["window"] for p in d.predictions if p["model"] == model]
        assert windows, model
        assert windows == list(range(windows[0], windows[0] + len(windows))), (model, windows)


def windows_after(d, n, model, wanted=4, timeout=60):
    """The predictions of a model behind the first n, once there are so many."""
    end = time.monotonic() + timeout
    while True:
        found = [p for p in d.predictions[n:] if p["model"] == model]
        if len(found) >= wanted:
            return found
        assert time.monotonic() < end, "the model does not predict"
        d.pump()


def connected(board):
    """Four times as fast, so that the slow model decides some windows, too."""
    d = board.device
    d.connect()
    board.inject(demo_recordings(("gsr", "imu", "ppg")), speed=4)
    d.describe()
    return d, Host(d)


def bad_plans_change_nothing():
    with Board("mps2-an386") as board:
        d, host = connected(board)
        before = host.list()
        assert host.signed_only and all(row["built_in"] for row in before)
        d.start()
        windows_after(d, 0, 1, 1)
        for name, plan, signature, code, reason in bad_plans():
            got = host.push(plan, signature)
            assert got == (code, reason), (name, got)
        good = changed_weight()
        assert host.begin(good, None, size=host.largest + 1)[0] == 3
        assert host.begin(good, None, size=0)[0] == 3
        # Announced with an id that the bytes do not have.
        assert host.begin(good, signature_of(good), plan_id=bytes(32))[0] == 0
        host.send(good)
        assert host.commit() == (4, "hash")
        # Committed before all bytes came; chunks that jump, repeat, or run past the end.
        assert host.begin(good, signature_of(good))[0] == 0
        assert host.commit() == (6, "incomplete")
        assert host.chunk(500, good[500:600]) == (2, 0)
        assert host.chunk(0, good[:600]) == (0, 600)
        assert host.chunk(0, good[:600]) == (0, 600)
        assert host.chunk(300, good[300:900]) == (0, 900)
        host.send(good, 900, len(good) - 10)
        assert host.chunk(len(good) - 10, bytes(11)) == (2, len(good) - 10)
        assert host.activate(good) == (7, "not there")
        assert host.change(ROLLBACK) == (7, "not there")
        assert host.list() == before
        windows_after(d, len(d.predictions), 1, 1)
        d.check_whole(d.stop())
        no_window_lost(d)
        assert d.health["skipped"] == 0 and {p["plan"] for p in d.predictions} == {r["id"][:8] for r in before}
        print(f"      {len(bad_plans()) + 4} refusals, {len(d.predictions)} windows, none lost")


def a_good_plan_runs_at_once():
    good = changed_weight()
    with Board("mps2-an386") as board:
        d, host = connected(board)
        shipped = host.list()
        place = next(r["place"] for r in shipped if r["name"] == "movement")
        d.start()
        windows_after(d, 0, place)
        assert host.push(good, signature_of(good)) == (0, "none")
        assert [r["place"] for r in host.list() if r["id"] == hashlib.sha256(good).digest()] == [255]
        windows_after(d, 0, 1 - place, 1)
        no_window_lost(d)
        old = [p for p in d.predictions if p["model"] == place]
        code, change = host.activate(good)
        assert code == 0 and change["place"] == place and change["models"] == len(shipped) and change["running"], change
        assert change["id"] == hashlib.sha256(good).digest()
        n = len(d.predictions)
        new = windows_after(d, n, place)
        windows_after(d, n, 1 - place, 1)
        assert {p["plan"] for p in new} == {change["id"][:8]}
        assert new[0]["window"] > old[-1]["window"] and {p["plan"] for p in old} == {hashlib.sha256(MOVEMENT).digest()[:8]}
        no_window_lost(d, [1 - place])  # the other model went on
        row = next(r for r in host.list() if r["previous"])
        assert row["id"] == hashlib.sha256(MOVEMENT).digest() and row["place"] == 255
        # Activated twice: it runs. Back again, and nothing more to go back to.
        assert host.activate(good)[0] == 0
        code, change = host.change(ROLLBACK)
        assert code == 0 and change["id"] == hashlib.sha256(MOVEMENT).digest()
        assert host.change(ROLLBACK) == (7, "not there")
        n = len(d.predictions)
        assert {p["plan"] for p in windows_after(d, n, place)} == {hashlib.sha256(MOVEMENT).digest()[:8]}
        d.check_whole(d.stop())


def transfers_resume():
    good = changed_weight()
    with Board("mps2-an386") as board:
        d, host = connected(board)
        assert host.begin(good, signature_of(good))[0] == 0
        half = len(good) // 2
        host.send(good, 0, half)
        d.connect(nonce=77)  # another program, with tags of its own
        code, (at, chunk) = host.begin(good, signature_of(good))
        assert (code, at) == (0, half) and 16 <= chunk <= 1024
        host.send(good, at)
        assert host.commit() == (0, "none")
        # Pushed again: nothing is sent twice.
        code, (at, _) = host.begin(good, signature_of(good))
        assert (code, at) == (0, len(good)) and host.commit() == (0, "none")
        # Half of another, then a third: the half is given up.
        other, third = changed_weight(2), changed_weight(3)
        assert host.begin(other, signature_of(other))[0] == 0
        host.send(other, 0, 3000)
        assert host.push(third, signature_of(third)) == (0, "none")
        assert host.begin(other, signature_of(other))[1][0] == 0


def models_beside_one_another():
    """New names take new places; slots that run, or may be gone back to, are not written over."""
    with Board("mps2-an386") as board:
        d, host = connected(board)
        shipped = len(host.list())
        plans = [renamed(f"second_{i}") for i in range(4)]
        for i, plan in enumerate(plans[:3]):
            assert host.push(plan, signature_of(plan)) == (0, "none")
            code, change = host.activate(plan)
            assert code == 0 and change["place"] == shipped + i and change["models"] == shipped + i + 1
        assert host.begin(plans[3], signature_of(plans[3]))[0] == 3
        d.hello["models"] = shipped + 3
        d.describe()
        d.start()
        for i in range(shipped + 3):
            if i != next(m["index"] for m in d.models if m["name"] == "vitals"):
                windows_after(d, 0, i)
        for i in range(shipped, shipped + 3):
            same = lambda model: [(p["window"], p["output_hash"]) for p in d.predictions if p["model"] == model]
            movement = next(m["index"] for m in d.models if m["name"] == "movement")
            assert same(i)[:4] == same(movement)[:4] and len(same(i)) > 3  # the same bytes but for the name
        d.check_whole(d.stop())
        code, change = host.change(ROLLBACK)
        assert code == 0 and change["models"] == shipped + 2 and change["place"] == shipped + 2
        assert host.push(plans[3], signature_of(plans[3])) == (0, "none")
        assert host.activate(plans[3])[0] == 0


def every_board():
    good = changed_weight()
    for name in ("mps2-an385", "mps2-an500", "mps2-an505", "mps3-an547"):
        with Board(name) as board:
            d, host = board.device, Host(board.device)
            d.connect()
            bad = bytearray(signature_of(good))
            bad[40] ^= 8
            assert host.push(good, bytes(bad)) == (1, "signature")
            assert host.push(good, signature_of(good)) == (0, "none")
            assert host.activate(good)[0] == 0


CASES = [bad_plans_change_nothing, a_good_plan_runs_at_once, transfers_resume, models_beside_one_another, every_board]

if __name__ == "__main__":
    failed = 0
    for case in CASES:
        if not sys.argv[1:] or case.__name__ in sys.argv[1:]:
            began = time.monotonic()
            try:
                case()
                print(f"ok    {case.__name__}  {time.monotonic() - began:.1f} s", flush=True)
            except Exception:
                import traceback
                traceback.print_exc()
                print(f"FAIL  {case.__name__}", flush=True)
                failed = 1
    sys.exit(failed)
