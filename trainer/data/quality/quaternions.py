"""Orientation: whether quaternions have length 1, and agree with the acceleration.

In: ``Sequences``. Out: ``Check``s.

Shapes: N sequences, T time steps of all sequences.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trainer.data.device_orientation import mean_acceleration, mean_vectors
from trainer.data.preprocess import MIN_QUATERNION_NORM, MOTION_SIGNALS, preprocess
from trainer.data.quality import bounds
from trainer.data.quality.findings import (
    NO_EVIDENCE,
    Check,
    Finding,
    first_of,
    list_first,
    median_by_subject,
    share_text,
)
from trainer.data.sequences import FloatArray, Sequences

Values = NDArray[np.float64]

NORM_BIN = 0.04
MAX_NORM_BINS = 100


def check_quaternion_lengths(sequences: Sequences) -> Check:
    """Check that orientations are rotations: quaternions of length 1."""
    title = "Orientation: quaternions of length 1"
    method = (
        f"A rotation has length 1; a length that differs by more than {bounds.NORM_TOLERANCE:g} is "
        f"counted. Below {MIN_QUATERNION_NORM:g} an orientation counts as missing; others are "
        "scaled to length 1."
    )
    if sequences.rot_T4 is None:
        return _without_orientation("norms", title, method)
    norm_T = np.linalg.norm(sequences.rot_T4.astype(np.float64), axis=1)
    if np.isnan(norm_T).all():
        return _without_orientation("norms", title, method)
    finding = _length_finding(sequences, norm_T)
    return Check("norms", title, (finding,), method, _norm_counts(sequences.rot_T4))


def _length_finding(sequences: Sequences, norm_T: Values) -> Finding:
    known_T = ~np.isnan(norm_T)
    wrong_T = np.abs(norm_T - 1) > bounds.NORM_TOLERANCE  # a missing one is not
    if not wrong_T.any():
        what = f"all {known_T.sum():,} orientations are unit quaternions"
        got = f"a mean length of {norm_T[known_T].mean():.3f}"
        return Finding("note", what, got=got, channel="rot")
    wrong_N = np.logical_or.reduceat(wrong_T, sequences.offsets[:-1])
    num_missing = int((norm_T[known_T] < MIN_QUATERNION_NORM).sum())
    return Finding(
        "warning",
        f"not all orientations are unit quaternions ({share_text(wrong_N)}); one shorter than "
        f"{MIN_QUATERNION_NORM} counts as missing",
        expected="a length of 1",
        got=f"{norm_T[wrong_T].min():.3g} to {norm_T[wrong_T].max():.3g} in {wrong_T.sum():,} of "
        f"{known_T.sum():,} rows, {num_missing:,} of them missing",
        sequence_id=first_of(wrong_N, sequences.sequence_ids),
        channel="rot",
    )


def _norm_counts(rot_T4: FloatArray) -> pl.DataFrame:
    """Return the histogram of the lengths: columns from, to, time_steps."""
    norms = np.linalg.norm(rot_T4, axis=1)
    known = norms[~np.isnan(norms)]
    last = max(1.2, float(known.max(initial=0.0)))
    num_bins = min(int(last / NORM_BIN) + 2, MAX_NORM_BINS)  # the last one takes all beyond
    edges = (np.arange(num_bins + 1) - 0.5) * NORM_BIN  # one bin has 1 at its centre
    edges[-1] = max(edges[-1], last)
    counts, _ = np.histogram(known, bins=edges)
    return pl.DataFrame({"from": edges[:-1], "to": edges[1:], "time_steps": counts})


def check_agreement(sequences: Sequences) -> Check:
    """Check that orientation and acceleration give the same direction of gravity."""
    title = "Orientation and acceleration agree"
    method = (
        "The angle between gravity as given by the quaternion (w first) and a sequence's mean "
        f"acceleration, in the median of a subject; up to {bounds.MAX_ANGLE_DEG:g}° counts as "
        "agreement. More means another order of the four parts, another frame, or a device that "
        "did not find the vertical."
    )
    if sequences.rot_T4 is None:
        return _without_orientation("agreement", title, method)
    table = median_by_subject(sequences, "median_angle_deg", _angles(sequences)).sort(
        "median_angle_deg", descending=True, nulls_last=True
    )
    angles = table["median_angle_deg"].drop_nulls().to_list()
    if not angles:
        return _without_orientation("agreement", title, method)
    got = f"{np.median(angles):.0f}° in the median subject, {angles[0]:.0f}° at most"
    odd = table.filter(pl.col("median_angle_deg") > bounds.MAX_ANGLE_DEG)
    finding = Finding("note", "orientation and acceleration agree about the vertical", got=got)
    if len(odd):
        what = (
            "orientation and acceleration disagree about the vertical in "
            f"{len(odd)} of {len(table)} subjects: {list_first(odd['subject'])}"
        )
        expected = f"at most {bounds.MAX_ANGLE_DEG:g}°"
        finding = Finding("warning", what, expected=expected, got=got, channel="rot")
    return Check("agreement", title, (finding,), method, table)


def _angles(sequences: Sequences) -> Values:
    """Return the angle between both directions of gravity in each sequence, (N,) degrees."""
    first = MOTION_SIGNALS.index("gravity_x")
    up_T3 = preprocess(sequences, mirror_left_handers=False).motion_TS[:, first : first + 3]
    up_N3 = mean_vectors(up_T3, sequences.offsets)
    acc_N3 = mean_acceleration(sequences)
    lengths_N = np.linalg.norm(up_N3, axis=1) * np.linalg.norm(acc_N3, axis=1)
    cosine_N = np.einsum("nc,nc->n", up_N3, acc_N3) / np.where(lengths_N > 0, lengths_N, np.nan)
    angles_N: Values = np.degrees(np.arccos(np.clip(cosine_N, -1, 1)))
    return angles_N


def _without_orientation(name: str, title: str, method: str) -> Check:
    finding = Finding("note", "these recordings have no orientation", channel="rot")
    return Check(name, title, (finding,), method, NO_EVIDENCE, is_possible=False)
