"""Lockstep's files in Python: sessions as numpy, pandas or MNE; training datasets for PyTorch.

Needs h5py and numpy; pandas, MNE and PyTorch only where they are asked for.

    import lockstep
    with lockstep.open_session("night.h5") as session:
        eeg = session["eeg"]
        time, values = eeg.read(10, 20)          # seconds; physical units
    data = lockstep.open_dataset("train.h5")
    X, y = data.part("train")[:64]
"""
from .dataset import Dataset, open_dataset
from .session import Session, Stream, open_session

__all__ = ["Dataset", "Session", "Stream", "open_dataset", "open_session"]
__version__ = "0.1.0"
