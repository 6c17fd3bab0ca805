"""The feature table for LightGBM: one row per sequence, computed for all sequences at once.

In: ``Signals``. Out: ``FeatureTable``.

Shapes: N sequences, F features.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from types import MappingProxyType

import numpy as np

from trainer.data.preprocess import Signals, example_signals
from trainer.data.sequences import FloatArray, IntArray
from trainer.data.threads import map_in_threads
from trainer.features.grid import GridRegion, find_region
from trainer.features.motion import known_signals, motion_columns
from trainer.features.own_blocks import OWN, FeatureBlock, own_columns
from trainer.features.own_blocks import FeatureError as FeatureError
from trainer.features.segments import DoubleArray
from trainer.features.series import NamedColumn
from trainer.features.thermopile import thermopile_columns
from trainer.features.time_axis import TimeAxis, cut_time_axis
from trainer.features.time_of_flight import NUM_TOF_SENSORS, time_of_flight_columns

FEATURE_VERSION = 5  # part of the cache key: raise it whenever a name or a value changes

STRETCH_STEPS = 131_072  # computed in one go: a series of them takes 1 MB, the cache of a core
_JOINED_ROWS = 1024  # of the table, at once
_LARGEST = float(np.finfo(np.float32).max)
_NUM_NAMED = 5  # names that a message lists before it only counts


@dataclass(frozen=True)
class FeatureTable:
    """One row per sequence.

    Attributes:
        values_NF: (N, F) float32; never infinite; NaN is missing, as in LightGBM.
        names: F names ``sensor.signal.statistic``; the sensor is one of acc, rot, thm_1..thm_5,
            tof_1..tof_5.
    """

    values_NF: FloatArray
    names: tuple[str, ...]


@dataclass(frozen=True)
class FeatureName:
    """The three parts of a feature's name."""

    sensor: str
    signal: str
    statistic: str


def build_table(
    signals: Signals, num_bins: int = 5, own: Sequence[FeatureBlock] = ()
) -> FeatureTable:
    """Compute all features of all sequences.

    What no sequence has (a sensor group, the signals that need an orientation) has no columns;
    ``align`` adds them as missing. The numbers of a sequence do not depend on the others.

    Args:
        signals: Preprocessed recordings, no sequence empty.
        num_bins: Time bins of equal share, at least 1.
        own: Blocks of the user's own code; their columns come last.

    Returns:
        The table; a number beyond float32 is the largest float32, never infinite.
    """
    return build_blocks(signals, own, lambda block: build_block(signals, block, num_bins, own=own))


def build_blocks(
    signals: Signals, own: Sequence[FeatureBlock], build: Callable[[str], FeatureTable]
) -> FeatureTable:
    """Compute all blocks, of many recordings in threads, and put them side by side.

    Args:
        signals: Preprocessed recordings, no sequence empty.
        own: Blocks of the user's own code, which is never called from two threads.
        build: Computes a block of a name, as ``build_block`` does.
    """
    ours = blocks_of(signals)
    is_large = signals.offsets[-1] > STRETCH_STEPS
    tables = list(map_in_threads(build, ours) if is_large else map(build, ours))
    return join_blocks([*tables, *map(build, blocks_of(signals, own)[len(ours) :])])


def feature_names(
    groups: Collection[str], num_bins: int = 5, own: Sequence[FeatureBlock] = ()
) -> tuple[str, ...]:
    """Return the names, in order, of the table of recordings of these sensor groups."""
    return build_table(example_signals(groups), num_bins, own).names


def blocks_of(signals: Signals, own: Sequence[FeatureBlock] = ()) -> tuple[str, ...]:
    """Return the names of the table's blocks, in order; a block is computed and stored at once."""
    blocks = ["motion"]
    if signals.thm_T5 is not None:
        blocks.append("thm")
    if signals.tof_T320 is not None:
        blocks += [f"tof_{number}" for number in range(1, NUM_TOF_SENSORS + 1)]
    return (*blocks, *(f"{OWN}{block.name}" for block in own))


def build_block(
    signals: Signals,
    block: str,
    num_bins: int = 5,
    poll: Callable[[], None] = lambda: None,
    own: Sequence[FeatureBlock] = (),
    may_miss: bool = True,
) -> FeatureTable:
    """Compute one block of the table for all sequences.

    Args:
        signals: Preprocessed recordings, no sequence empty.
        block: One of ``blocks_of(signals, own)``.
        num_bins: Time bins of equal share, at least 1.
        poll: Called after each column, in the thread of the block; may raise to stop.
        own: Blocks of the user's own code.
        may_miss: Whether their columns may be NaN also where the sensor is not missing.

    Raises:
        FeatureError: A column of own code is not what the table needs.
    """
    own_block = next((one for one in own if f"{OWN}{one.name}" == block), None)
    known = known_signals(signals.motion_TS) if block == "motion" else ()
    values_NF = np.empty((0, 0), dtype=np.float32)
    names: list[str] = []
    for first, stop in _stretches(signals.offsets):
        stretch = signals.stretch(first, stop)
        axis = cut_time_axis(stretch.offsets, num_bins)
        before = tuple(names)
        names.clear()
        columns: list[DoubleArray] = []
        found: Iterable[NamedColumn]
        if own_block is None:
            found = _columns(stretch, block, known, axis)
        else:
            found = own_columns(own_block, stretch, axis, may_miss)
        for name, values_N in found:
            names.append(name)
            columns.append(values_N)
            poll()
        if before and tuple(names) != before:
            raise FeatureError(
                f"feature block {block}: expected the same columns for all sequences"
            )
        if first == 0:
            values_NF = np.empty((len(signals.offsets) - 1, len(names)), dtype=np.float32)
        if columns:  # own code may have none without its sensor
            np.clip(
                np.array(columns).T, -_LARGEST, _LARGEST,
                out=values_NF[first:stop], casting="same_kind",
            )  # fmt: skip
    return FeatureTable(values_NF, tuple(names))


def join_blocks(blocks: Sequence[FeatureTable]) -> FeatureTable:
    """Put blocks of the same sequences side by side."""
    names = tuple(name for block in blocks for name in block.names)
    values_NF = np.empty((len(blocks[0].values_NF), len(names)), dtype=np.float32)

    def join(start: int) -> None:
        rows = slice(start, start + _JOINED_ROWS)
        parts = [block.values_NF[rows] for block in blocks]
        np.concatenate(parts, axis=1, out=values_NF[rows])

    for _ in map_in_threads(join, range(0, len(values_NF), _JOINED_ROWS)):
        pass
    return FeatureTable(values_NF, names)


def parse_name(name: str) -> FeatureName:
    """Split a feature's name into sensor, signal and statistic.

    Raises:
        FeatureError: The name has not three parts.
    """
    parts = name.split(".")
    if len(parts) != 3 or not all(parts):
        raise FeatureError(f"feature {name!r}: expected a name such as 'acc.linear_x.bin3_mean'")
    return FeatureName(*parts)


def align(table: FeatureTable, names: tuple[str, ...]) -> FloatArray:
    """Return the table's values in a model's column order.

    Args:
        table: Features of the sequences to score.
        names: F names, as stored with the model.

    Returns:
        (N, F) float32, never the table's own array; NaN, never a guess, where the table lacks the
        column; columns that the model does not have are left out.
    """
    if table.names == names:
        return table.values_NF.copy()
    column_F = _places(table.names, names)
    values_NF: FloatArray = table.values_NF[:, column_F]
    values_NF[:, column_F < 0] = np.nan
    return values_NF


@lru_cache(maxsize=8)  # the models of a run have the same names
def _places(names: tuple[str, ...], wanted: tuple[str, ...]) -> IntArray:
    """Return where each wanted name is among others, (F,) int64, -1 where it is not."""
    place_of = {name: place for place, name in enumerate(names)}
    return np.array([place_of.get(name, -1) for name in wanted], dtype=np.int64)


def validate(table: FeatureTable) -> FeatureTable:
    """Check a table before training.

    Returns:
        The same table.

    Raises:
        FeatureError: It has no row or column, not one column per name, a name twice or not of
            three parts, or an infinite value.
    """
    values_NF, names = table.values_NF, table.names
    if values_NF.ndim != 2 or values_NF.shape[1] != len(names) or values_NF.size == 0:
        raise FeatureError(
            f"feature table: expected one column for each of {len(names)} names and at least one "
            f"row, got values of shape {values_NF.shape}"
        )
    for name in names:
        parse_name(name)
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise FeatureError(f"feature table: these names occur more than once: {_list(repeated)}")
    infinite_F = np.isinf(values_NF).any(axis=0)
    if infinite_F.any():
        found = [names[column] for column in np.flatnonzero(infinite_F)]
        raise FeatureError(f"feature table: infinite values in {_list(found)}")
    return table


def grid_map(names: Iterable[str]) -> Mapping[str, GridRegion]:
    """Return which pixels of which time-of-flight sensor a feature is about.

    Args:
        names: Feature names.

    Returns:
        A read-only mapping of the features that are about a region of the 8 x 8 grid.
    """
    parsed = {name: parse_name(name) for name in names}
    regions = {name: find_region(parts.sensor, parts.signal) for name, parts in parsed.items()}
    return MappingProxyType({name: region for name, region in regions.items() if region})


def _stretches(offsets: IntArray) -> Iterator[tuple[int, int]]:
    """Yield first and last + 1 of sequences that are computed in one go, all about as many."""
    num_steps = int(offsets[-1])
    num_stretches = -(-num_steps // STRETCH_STEPS)
    cuts = np.searchsorted(offsets, np.arange(num_stretches + 1) * num_steps // num_stretches)
    yield from pairwise(np.unique(cuts).tolist())


def _columns(
    signals: Signals, block: str, known: tuple[str, ...], axis: TimeAxis
) -> Iterator[NamedColumn]:
    """Yield the columns of one block.

    Args:
        signals: Of one stretch of sequences.
        block: As for ``build_block``.
        known: Motion signals that a sequence of any stretch has.
        axis: The cuts of the stretch.
    """
    if block == "motion":
        yield from motion_columns(signals.motion_TS, known, axis)
    elif block == "thm":
        assert signals.thm_T5 is not None  # else blocks_of has no such block
        yield from thermopile_columns(signals.thm_T5, axis)
    else:
        number = int(block[-1])
        yield from time_of_flight_columns(signals.sensor_pixels(number - 1), number, axis)


def _list(names: list[str]) -> str:
    """Return the first few names, and how many more there are."""
    rest = len(names) - _NUM_NAMED
    return ", ".join(names[:_NUM_NAMED]) + (f" and {rest} more" if rest > 0 else "")
