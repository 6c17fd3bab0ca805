"""Feature blocks of the user's own code: columns beside those of the feature table.

In: ``Signals`` and a ``FeatureBlock``. Out: ``FeatureTable`` of its columns, checked.

Shapes: N sequences, T time steps, F features.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.data.preprocess import Signals
from trainer.features.series import NamedColumn
from trainer.features.time_axis import TimeAxis
from trainer.own_description import FEATURE

OWN = "own_"  # begins the name of such a block among the blocks of the feature table
Columns = Mapping[str, Any]  # name to (N,) numbers


class FeatureError(ValueError):
    """A feature table that cannot be used; the message names the features."""


@dataclass(frozen=True)
class FeatureBlock:
    """A function of the user's that computes columns of the feature table.

    Attributes:
        name: Of the block.
        compute: From signals and time axis of N sequences to (N,) numbers by column name.
        words: Meanings of columns, by name.
        place: The file that registered it, for messages.
    """

    name: str
    compute: Callable[[Signals, TimeAxis], Columns]
    words: Mapping[str, str] = field(default_factory=dict)
    place: str = ""


def own_columns(
    block: FeatureBlock, signals: Signals, axis: TimeAxis, may_miss: bool
) -> list[NamedColumn]:
    """Compute and check the columns of one block.

    Args:
        block: The block.
        signals: N sequences, none empty.
        axis: Their cuts.
        may_miss: Whether any value may be NaN; else only where the column's sensor is missing.

    Returns:
        Name and (N,) float64 of each column; never infinite.

    Raises:
        FeatureError: The columns are not what the feature table needs; the message names the
            column, what was expected and what came.
    """
    columns = block.compute(signals, axis)
    if not isinstance(columns, Mapping):
        raise _refused(block, "", "a table from column names to arrays", type(columns).__name__)
    return [_checked(block, *column, signals, may_miss) for column in columns.items()]


def _checked(
    block: FeatureBlock,
    name: object,
    values: object,
    signals: Signals,
    may_miss: bool,
) -> NamedColumn:
    if not isinstance(name, str) or not re.fullmatch(FEATURE, name):
        expected = (
            "a name sensor.signal.statistic of a to z, 0 to 9 and _, such as acc.jerk.mean; the "
            "sensor one of acc, rot, thm_1 to thm_5, tof_1 to tof_5"
        )
        raise _refused(block, repr(name)[:80], expected, "another")
    values_N = np.asarray(values)
    num_sequences = len(signals.offsets) - 1
    if values_N.shape != (num_sequences,) or values_N.dtype.kind not in "fiub":
        raise _refused(
            *(block, name, f"{num_sequences} numbers, one for each sequence"),
            f"an array of shape {values_N.shape} of {values_N.dtype}",
        )
    values_N = values_N.astype(np.float64)
    if np.isinf(values_N).any():
        number = int(np.isinf(values_N).sum())
        raise _refused(block, name, "finite numbers", f"{number} that are infinite")
    if np.isnan(values_N).any() and not may_miss:
        unexpected_N = np.isnan(values_N) & _is_present(signals, name.partition(".")[0])
        if unexpected_N.any():
            raise _refused(
                *(block, name, "NaN only for sequences without any value of its sensor"),
                f"{int(unexpected_N.sum())} in others, the first in sequence "
                f"{int(np.argmax(unexpected_N))} (from 0)",
            )
    return name, values_N


def _refused(block: FeatureBlock, name: str, expected: str, got: str) -> FeatureError:
    where = f"{block.place}: " if block.place else ""
    column = f" column {name}:" if name else ""
    return FeatureError(
        f"{where}feature block {block.name}:{column} expected {expected}; got {got}"
    )


def _is_present(signals: Signals, sensor: str) -> NDArray[np.bool_]:
    """Return which sequences have any value of a sensor, (N,)."""
    kind, _, number = sensor.partition("_")
    if kind == "acc":
        known_T = ~np.isnan(signals.motion_TS[:, :3]).all(axis=1)
    elif kind == "rot":
        known_T = ~np.isnan(signals.motion_TS[:, -1])
    elif kind == "thm":
        known_T = _known(signals.thm_T5, int(number) - 1, 1, len(signals.motion_TS))
    else:
        known_T = _known(signals.tof_T320, (int(number) - 1) * 64, 64, len(signals.motion_TS))
    return np.asarray(np.logical_or.reduceat(known_T, signals.offsets[:-1]))


def _known(
    values: NDArray[np.float32] | None, first: int, width: int, num_steps: int
) -> NDArray[np.bool_]:
    if values is None:
        return np.zeros(num_steps, dtype=bool)
    return np.asarray(~np.isnan(values[:, first : first + width]).all(axis=1))
