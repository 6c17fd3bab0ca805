"""Inputs of the classifiers of the field: channels, series of one length, a plain table.

In: a run's configuration. Out: ``FieldInputs``, made of recordings as a run reads them: reversed
devices corrected, left-handers mirrored, quaternions with a continuous sign. Channels:
acceleration (3, gravity included), quaternion (4), and where the recordings have them thermopiles
(5) and the mean distance of each time-of-flight sensor (5).

Shapes: N sequences, T time steps of all sequences, C channels, L steps of a series, F statistics.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import polars as pl

from trainer.config import Config
from trainer.data.preprocess import MOTION_SIGNALS, Signals
from trainer.data.schema import NUM_TOF
from trainer.data.sequences import FloatArray, IntArray
from trainer.features.frames import mean_with_far
from trainer.folds import FoldAssignment
from trainer.run.inputs.recordings import InMemoryDataset, load_dataset

VERSION = 1  # raise it where channels, series or table change: older results are not reused then
MOTION = ("acc_x", "acc_y", "acc_z", "rot_w", "rot_x", "rot_y", "rot_z")
MIN_LENGTH = 9  # of a series: the kernels of MiniRocket have 9 weights
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class FieldInputs:
    """Channels and folds of all sequences.

    Attributes:
        channels_TC: (T, C) float32, NaN missing.
        offsets: (N + 1,) int64.
        folds: Folds of the configuration's seed.
        fingerprint: SHA-256 of the source's content.
    """

    channels_TC: FloatArray
    offsets: IntArray
    folds: FoldAssignment
    fingerprint: str

    @classmethod
    def read(cls, config: Config) -> FieldInputs:
        """Read and check recordings, and assign their folds, as a run does.

        Raises:
            SystemExit: They are a folder of parts.
        """
        dataset = load_dataset(config)
        if not isinstance(dataset, InMemoryDataset):
            raise SystemExit(
                f"{config.data.source}: expected a file, a folder with train.csv or train.parquet, "
                f"or the name of a source; got a folder of parts. Join them into one file"
            )
        channels_TC = make_channels(dataset.signals)
        folds = dataset.assign_folds(None)
        return cls(channels_TC, dataset.signals.offsets, folds, dataset.fingerprint)

    @cached_property
    def table_NF(self) -> FloatArray:
        """Return the plain table."""
        return make_table(self.channels_TC, self.offsets)

    def series_NCL(self, train_idx: IntArray) -> FloatArray:
        """Return all sequences as series of the median length of the given ones."""
        length = round(float(np.median(np.diff(self.offsets)[train_idx])))
        return make_series(self.channels_TC, self.offsets, max(MIN_LENGTH, length))


def make_channels(signals: Signals) -> FloatArray:
    """Return the channels that at least one sequence has, (T, C)."""
    parts = [signals.motion_TS[:, [MOTION_SIGNALS.index(name) for name in MOTION]]]
    if signals.thm_T5 is not None:
        parts.append(signals.thm_T5)
    if signals.tof_T320 is not None:
        parts += [mean_with_far(signals.sensor_pixels(i))[:, None] for i in range(NUM_TOF)]
    channels_TC = np.concatenate(parts, axis=1)
    return channels_TC[:, ~np.isnan(channels_TC).all(axis=0)]


def make_series(channels_TC: FloatArray, offsets: IntArray, length: int) -> FloatArray:
    """Interpolate every channel of every sequence linearly to one length.

    Returns:
        (N, C, L) float32; 0 where a sequence has no value of a channel.
    """
    series_NCL = np.zeros((len(offsets) - 1, channels_TC.shape[1], length), dtype=np.float32)
    for n, (start, stop) in enumerate(pairwise(offsets)):
        steps_L = np.linspace(0, stop - start - 1, length)
        for c, values_T in enumerate(channels_TC[start:stop].T):
            known_idx = np.flatnonzero(~np.isnan(values_T))
            if len(known_idx):
                series_NCL[n, c] = np.interp(steps_L, known_idx, values_T[known_idx])
    return series_NCL


def make_table(channels_TC: FloatArray, offsets: IntArray) -> FloatArray:
    """Return statistics of each sequence's channels, (N, F) float32, NaN missing.

    Nine of each channel and of the norm of the acceleration, nine of the steps of each (the
    difference of neighbours, as the jerks in UCI HAR), and the length.
    """
    names = [f"channel_{c}" for c in range(channels_TC.shape[1])]
    sequence_T = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    norm = pl.sum_horizontal(pl.col(name) ** 2 for name in names[:3]).sqrt()
    values = pl.col(*names, "norm")
    columns = [
        one.name.suffix(f"_{what}_{number}")
        for what, of in (("value", values), ("step", values.diff()))
        for number, one in enumerate(
            (
                of.mean(),
                of.std(),
                of.min(),
                of.max(),
                *(of.quantile(q, "linear") for q in QUANTILES),
            )
        )
    ]
    return (
        pl.DataFrame(channels_TC, schema=names)
        .fill_nan(None)
        .with_columns(norm.alias("norm"), sequence=sequence_T)
        .group_by("sequence", maintain_order=True)
        .agg(*columns, length=pl.len())
        .drop("sequence")
        .to_numpy()
        .astype(np.float32)
    )
