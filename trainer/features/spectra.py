"""Spectra: periodicity in cycles per step, for the recordings have no timestamps.

In: a ``Series``. Out: named columns.

Every sequence gets the same 64 frequencies: its last 128 steps, mean removed, zeros behind.

Shapes: N sequences, T time steps, W = 128 padded steps, H = 64 frequencies.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from trainer.features.segments import DoubleArray, ratio
from trainer.features.series import NamedColumn, Series
from trainer.features.time_axis import SPECTRUM_STEPS

NUM_FREQUENCIES = SPECTRUM_STEPS // 2
FREQUENCIES_H = np.arange(1, NUM_FREQUENCIES + 1) / SPECTRUM_STEPS  # cycles per step
# Octaves: band b ends at 2**b / 128 cycles per step; at 10 Hz 0.16, 0.31, 0.63, 1.25, 2.5, 5 Hz.
_BAND_STARTS = (0, 2, 4, 8, 16, 32)
_FLOAT32_STEP = 1e-7  # relative: smaller values are the rounding of a constant


def spectrum_columns(series: Series) -> Iterator[NamedColumn]:
    """Yield band shares, dominant frequency, its share, centroid and entropy of the spectrum.

    All are NaN for a sequence that is constant, missing or one step long.
    """
    share_NH = _power_shares(series)
    for band, shares_N in enumerate(np.add.reduceat(share_NH, _BAND_STARTS, axis=1).T):
        yield f"band{band + 1}_share", shares_N
    dominant_N = FREQUENCIES_H[np.argmax(share_NH, axis=1)]
    yield "dominant_frequency", np.where(np.isnan(share_NH[:, 0]), np.nan, dominant_N)
    yield "dominant_share", np.max(share_NH, axis=1)
    yield "spectral_centroid", np.sum(share_NH * FREQUENCIES_H, axis=1)
    logarithm_NH = np.log(np.where(share_NH > 0, share_NH, 1.0))
    yield "spectral_entropy", -np.sum(share_NH * logarithm_NH, axis=1) / np.log(NUM_FREQUENCIES)


def _power_shares(series: Series) -> DoubleArray:
    """Return each frequency's share of the power, rows of NaN where there is none, (N, H)."""
    filled_NW = np.take(np.append(series.values_T, np.nan), series.axis.tail_NW)
    missing_NW = np.isnan(filled_NW)
    np.copyto(filled_NW, 0.0, where=missing_NW)
    num_known_N1 = np.sum(~missing_NW, axis=1, keepdims=True).astype(np.float64)
    mean_N1 = ratio(np.sum(filled_NW, axis=1, keepdims=True), num_known_N1)
    centred_NW = filled_NW - mean_N1
    np.copyto(centred_NW, 0.0, where=missing_NW)
    peak_N1 = np.max(np.abs(centred_NW), axis=1, keepdims=True)
    is_flat_N1 = peak_N1 <= _FLOAT32_STEP * np.max(np.abs(filled_NW), axis=1, keepdims=True)
    unit_NW = (centred_NW / np.where(is_flat_N1, 1.0, peak_N1)).astype(np.float32)
    power_NH = np.square(np.abs(np.fft.rfft(unit_NW, axis=1)[:, 1:]).astype(np.float64))
    power_NH[is_flat_N1[:, 0]] = 0.0
    return ratio(power_NH, np.sum(power_NH, axis=1, keepdims=True))
