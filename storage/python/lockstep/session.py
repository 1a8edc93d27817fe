"""A session file (docs/file_format.md) as numpy, pandas and MNE."""
import h5py
import numpy as np

FORMAT = "lockstep-session"
NEWEST = 2


def text(value):
    """An HDF5 text as str."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def open_session(path):
    return Session(path)


class Stream:
    """One stream at its native rate. Rows are stored samples; what was lost has no row (see gaps)."""

    def __init__(self, session, name, group):
        self.session = session
        self.name = name
        self.group = group
        attrs = group.attrs
        self.kind = text(attrs["kind"])
        self.index = int(attrs["index"])
        self.rate = float(attrs["rate_nominal"])
        measured = float(attrs.get("rate_measured", 0))
        self.true_rate = measured if 0.8 * self.rate < measured < 1.2 * self.rate else self.rate
        table = group["channels"][()]
        self.channels = [text(n) for n in table["name"]]
        self.units = [text(u) for u in table["units"]]
        self.scale = np.asarray(table["scale"], np.float32)
        self.offset = np.asarray(table["offset"], np.float32)
        self.runs = group["runs"][()] if "runs" in group else np.empty(0)

    def __len__(self):
        return self.group["data"].shape[0]

    @property
    def counts(self):
        """The integers that the device sent: an h5py dataset [row, channel], read as it is sliced."""
        return self.group["data"]

    @property
    def gaps(self):
        """What never came: row (it would stand before), first, missing, segment, cause."""
        return self.group["gaps"][()]

    def values(self, first=0, last=None):
        """Physical values of rows [first, last): count * scale + offset in float32."""
        raw = self.counts[first:last]
        return raw.astype(np.float32) * self.scale + self.offset

    def times(self, first=0, last=None):
        """Session seconds of rows [first, last)."""
        rows = np.arange(*slice(first, last).indices(len(self)))
        if len(self.runs) == 0 or len(rows) == 0:
            return rows / self.true_rate
        run = np.searchsorted(self.runs["row"], rows, side="right") - 1
        return self.runs["time"][run] + (rows - self.runs["row"][run].astype(np.int64)) / self.true_rate

    def row_at(self, time):
        """The first row at or after a session time."""
        if len(self.runs) == 0:
            return 0
        run = int(np.searchsorted(self.runs["time"], time, side="right")) - 1
        if run < 0:
            return 0
        row = int(self.runs["row"][run]) + int(np.ceil((time - self.runs["time"][run]) * self.true_rate - 1e-9))
        return min(row, int(self.runs["row"][run]) + int(self.runs["count"][run]))

    def read(self, start=0.0, stop=np.inf):
        """(times, values) of [start, stop) in session seconds."""
        first = self.row_at(start)
        last = len(self) if np.isinf(stop) else self.row_at(stop)
        return self.times(first, last), self.values(first, last)

    def to_pandas(self, start=0.0, stop=np.inf):
        import pandas
        time, values = self.read(start, stop)
        return pandas.DataFrame(values, index=pandas.Index(time, name="time"), columns=self.channels)

    def _grid(self):
        """Where each run lies on the nominal grid, and the grid's length: a lost sample is a hole."""
        positions, end, previous = [], 0, None
        origin = float(self.runs["time"][0]) if len(self.runs) else 0.0
        for run in self.runs:
            if previous is not None and previous["segment"] == run["segment"]:
                at = positions[-1] + int(run["first"]) - int(previous["first"])
            else:
                at = int(round((float(run["time"]) - origin) * self.rate))
            positions.append(max(end, at))
            end = positions[-1] + int(run["count"])
            previous = run
        return positions, end

    def grid_seconds(self, time):
        """A session time as seconds of the stream's samples at their nominal rate (how MNE and EDF count)."""
        positions, _ = self._grid()
        if not positions:
            return time
        run = max(0, int(np.searchsorted(self.runs["time"], time, side="right")) - 1)
        past = time - float(self.runs["time"][run])
        if past < 0:
            return positions[run] / self.rate + past
        at = positions[run] + past * self.true_rate
        return (min(at, positions[run + 1]) if run + 1 < len(positions) else at) / self.rate

    def to_mne(self):
        """An MNE RawArray on the stream's nominal grid; lost samples are 0 and annotated BAD_gap."""
        import mne
        kinds = {"eeg": "eeg", "ecg": "ecg", "emg": "emg", "eog": "eog", "gsr": "gsr", "temperature": "temperature",
                 "trigger": "stim"}
        units = {"nV": 1e-9, "uV": 1e-6, "mV": 1e-3, "V": 1.0, "uS": 1e-6}
        kind = kinds.get(self.kind, "misc")
        factor = np.array([units.get(u, 1.0) if kind not in ("misc", "stim") else 1.0 for u in self.units])
        positions, end = self._grid()
        data = np.zeros((len(self.channels), end))
        onset, duration, description, channels, filled = [], [], [], [], 0
        for at, run in zip(positions, self.runs):
            first, count = int(run["row"]), int(run["count"])
            data[:, at:at + count] = (self.values(first, first + count) * factor).T
            if at > filled:
                onset.append(filled / self.rate)
                duration.append((at - filled) / self.rate)
                description.append("BAD_gap")
                channels.append(())
            filled = at + count
        raw = mne.io.RawArray(data, mne.create_info(self.channels, self.rate, kind), verbose="error")
        raw.info["line_freq"] = self.session.mains_hz
        if self.session.start_utc_ns and len(self.runs):
            start = self.session.start_utc_ns // 1000 + int(round(float(self.runs["time"][0]) * 1e6))
            raw.set_meas_date((start // 10 ** 6, start % 10 ** 6))
        for label in self.session.labels:
            if label["stream"] in (-1, self.index):
                start = self.grid_seconds(label["start"])
                onset.append(start)
                duration.append(max(0.0, self.grid_seconds(label["stop"]) - start))
                description.append(label["class"])
                one = label["stream"] == self.index and 0 <= label["channel"] < len(self.channels)
                channels.append((self.channels[label["channel"]],) if one else ())
        raw.set_annotations(mne.Annotations(onset, duration, description, orig_time=raw.info["meas_date"],
                                            ch_names=channels))
        return raw


class Session:
    """A finished or recovered session. Use as a context manager, or close() it."""

    def __init__(self, path):
        self.file = h5py.File(path, "r")
        try:
            if text(self.file.attrs.get("format", "")) != FORMAT:
                raise ValueError(f"{path}: not a Lockstep session")
            if int(self.file.attrs["format_version"]) > NEWEST:
                raise ValueError(f"{path}: made by a newer Lockstep; update this package")
            self.identifier = text(self.file.attrs["identifier"])
            self.state = text(self.file.attrs["state"])
            self.start_utc_ns = int(self.file.attrs["start_utc_ns"])
            self.duration = float(self.file.attrs.get("duration", 0))
            self.mains_hz = float(self.file.attrs.get("mains_hz", 0)) or None  # 50, 60; None: nobody said
            self.subject = text(self.file["general/subject"].attrs.get("id", ""))
            groups = self.file["acquisition"]
            found = [Stream(self, text(g.attrs["name"]), g) for g in groups.values()]
            self.streams = {s.name: s for s in sorted(found, key=lambda s: s.index)}
        except Exception:
            self.file.close()
            raise

    def __getitem__(self, name):
        return self.streams[name]

    @property
    def labels(self):
        """Current labels as a list of dicts: start and stop in session seconds, class, stream, channel ..."""
        table = self.file["intervals/labels"][()]
        return [{n: text(row[n]) if isinstance(row[n], bytes) else row[n].item() for n in table.dtype.names}
                for row in table]

    def labels_to_pandas(self):
        """Current labels as a table."""
        import pandas
        table = self.file["intervals/labels"][()]
        return pandas.DataFrame(self.labels, columns=list(table.dtype.names))

    def predictions(self, model=None):
        """{(model, origin): structured array with a `scores` array beside it}."""
        found = {}
        for name, group in self.file["predictions"].items():
            for origin, part in group.items():
                if model in (None, name):
                    scores = part["scores"][()] if "scores" in part else None
                    found[name, origin] = (part["table"][()], scores)
        return found

    def close(self):
        self.file.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
