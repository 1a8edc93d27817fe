"""A training dataset (docs/exports.md), read lazily: X is mapped, not loaded."""
import h5py
import numpy as np

from .session import text

FORMAT = "lockstep-dataset"
NEWEST = 1


def open_dataset(path):
    return Dataset(path)


class Dataset:
    """All windows of a file. part("train") gives one part as a PyTorch map-style dataset."""

    def __init__(self, path):
        self.path = path
        with h5py.File(path, "r") as file:
            if text(file.attrs.get("format", "")) != FORMAT:
                raise ValueError(f"{path}: not a Lockstep dataset")
            if int(file.attrs["format_version"]) > NEWEST:
                raise ValueError(f"{path}: made by a newer Lockstep; update this package")
            x = file["X"]
            self.shape = x.shape
            self._offset = x.id.get_offset()
            self.y = file["y"][()]
            self.subject = np.array([text(s) for s in file["subject"][()]])
            self.session = np.array([text(s) for s in file["session"][()]])
            self.t_start = file["t_start"][()]
            self.row0 = file["row0"][()]
            self.classes = [text(c) for c in file["classes/name"][()]]
            self.channels = [text(c) for c in file["channels/name"][()]]
            self.units = [text(c) for c in file["channels/unit"][()]]
            self.rate = float(file.attrs["rate"])
            (method, split), = file["splits"].items()
            self.method = method
            self.parts = {name: split[name][()].astype(np.int64) for name in ("train", "val", "test")}
            norm = file.get("normalization")
            self.mean = norm["mean"][()] if norm else None
            self.std = norm["std"][()] if norm else None
            self.normalized = bool(norm) and text(norm.attrs["mode"]) == "applied"
        self._map = None

    @property
    def X(self):
        """float32 [window, time, channel], mapped from the file (contiguous, so no HDF5 in the way)."""
        if self._map is None:
            self._map = np.memmap(self.path, np.dtype("<f4"), "r", self._offset, self.shape)
        return self._map

    def __len__(self):
        return self.shape[0]

    def read(self, windows, out=None):
        """A copy of X at `windows`, a slice or indices. `out`, float32 of that shape, is filled and returned:
        a loop that gives the same array again spares the system fresh memory for every batch."""
        x = self.X.view(np.ndarray)
        if isinstance(windows, slice) or np.ndim(windows) == 0:
            if out is None:
                return np.array(x[windows])
            out[...] = x[windows]
            return out
        if out is None:
            out = np.empty((len(windows), *self.shape[1:]), np.float32)
        # One window after the other: it is long enough that this beats numpy's fancy indexing.
        for at, window in enumerate(windows):
            out[at] = x[window]
        return out

    def part(self, name, normalize=None):
        """One of train, val, test. normalize: default, when the file has mean and std but X is raw."""
        if normalize is None:
            normalize = self.mean is not None and not self.normalized
        return Part(self, self.parts[name], normalize)

    def __getstate__(self):  # each worker process maps the file itself
        return {**self.__dict__, "_map": None}


class Part:
    """Windows of one part: len(), [i] and [slice] give (X, y); fits torch.utils.data.DataLoader."""

    def __init__(self, dataset, rows, normalize):
        self.dataset, self.rows, self.normalize = dataset, rows, normalize

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        rows = self.rows[index]
        x = self.dataset.read(rows)
        if self.normalize:
            x = (x - self.dataset.mean) / self.dataset.std
        y = self.dataset.y[rows]
        return x, (int(y) if np.isscalar(y) or y.ndim == 0 else y)
