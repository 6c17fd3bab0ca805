"""A raw table in the competition's schema in, checked ``Sequences`` out.

Content that cannot be used is refused here or in ``columns``; later code relies on that.

Shapes: N sequences, T time steps of all sequences, C columns of one sensor group.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trainer.data.columns import (
    MAX_MAGNITUDE,
    TEXT_TYPES,
    check_texts,
    describe_row,
    number_column,
    put_columns,
    text_column,
)
from trainer.data.demographics import right_handed
from trainer.data.files import RawTable
from trainer.data.schema import (
    ACC_COLUMNS,
    KNOWN_COLUMNS,
    PHASES,
    ROT_COLUMNS,
    SENSOR_COLUMNS,
    SEQUENCE_TYPES,
    THM_COLUMNS,
    TOF_COLUMNS,
    TOF_PIXELS,
    DataError,
    list_names,
    refuse_misnamed,
    require_columns,
)
from trainer.data.sequences import FloatArray, IntArray, LabelTable, Sequences
from trainer.data.threads import map_in_threads

_TEXT_COLUMNS = tuple(name for name in KNOWN_COLUMNS if name not in SENSOR_COLUMNS)
_BLOCK_ROWS = 1024  # 320 columns of them fit the processor's cache


def sequences_from_table(
    table: pl.DataFrame | RawTable, demographics: pl.DataFrame | None = None
) -> Sequences:
    """Check a raw table and return its recordings.

    The rows of a sequence stand together, ``sequence_counter`` rising; it may start anywhere and
    skip. The table is labelled when it has a ``gesture`` column that is not wholly null. A column
    that is wholly null is the same as one that is absent. Columns outside the schema are ignored.

    Args:
        table: Rows in the competition's schema, any subset of its sensors beside the acceleration.
        demographics: ``subject`` and ``handedness`` (1 right, 0 left), or None.

    Raises:
        DataError: If anything is missing, misnamed, of the wrong type, doubled, out of order or
            contradictory.
    """
    raw = table if isinstance(table, RawTable) else RawTable(table, tuple(table.columns))
    table, tof_T320 = raw.frame, raw.tof_T320
    is_labelled = _check_columns(table, raw.columns)
    has_subjects = is_labelled or _has_values(table, "subject")
    sequence_id = text_column(table, "sequence_id")
    starts = _find_starts(table, sequence_id)
    offsets = np.append(starts, len(table)).astype(np.int64)

    subjects = _one_per_sequence(table, "subject", sequence_id, starts) if has_subjects else None
    label_idx, labels = _read_labels(table, sequence_id, starts) if is_labelled else (None, None)
    return Sequences(
        sequence_ids=_to_unicode(sequence_id.gather(starts)),
        offsets=offsets,
        acc_T3=_read_acceleration(table, sequence_id, offsets),
        rot_T4=_read_sensors(table, ROT_COLUMNS),
        thm_T5=_read_sensors(table, THM_COLUMNS),
        tof_T320=_read_sensors(table, TOF_COLUMNS)
        if tof_T320 is None
        else _check_range(table, tof_T320, lambda: pl.DataFrame(tof_T320, list(TOF_COLUMNS))),
        subjects=None if subjects is None else _to_unicode(subjects),
        right_handed_N=_read_handedness(demographics, subjects, len(starts)),
        label_idx=label_idx,
        labels=labels,
        phase_T=_read_phase(table),
        posture_N=_read_posture(table, starts),
    )


def _check_columns(table: pl.DataFrame, columns: Collection[str]) -> bool:
    """Refuse missing or misnamed columns, and return whether the table is labelled."""
    refuse_misnamed(columns)
    require_columns(columns, ("sequence_id", "sequence_counter", *ACC_COLUMNS), "every recording")
    check_texts(table, _TEXT_COLUMNS)
    if table.is_empty():
        raise DataError("The table has no rows: expected at least one time step of one sequence.")
    is_labelled = _has_values(table, "gesture")
    if is_labelled:
        require_columns(
            columns,
            ("subject", "sequence_type"),
            "labelled recordings (those with 'gesture')",
        )
    if any(name in columns for name in ROT_COLUMNS):
        require_columns(columns, ROT_COLUMNS, "the orientation; drop all four or none")
    for first in range(0, len(TOF_COLUMNS), TOF_PIXELS):
        pixels = TOF_COLUMNS[first : first + TOF_PIXELS]
        if any(name in columns for name in pixels):
            sensor = pixels[0].removesuffix("_v0")
            require_columns(columns, pixels, f"{sensor}; drop all its pixels or none")
    return is_labelled


def _has_values(table: pl.DataFrame, name: str) -> bool:
    return name in table.columns and table[name].null_count() < len(table)


def _find_starts(table: pl.DataFrame, sequence_id: pl.Series) -> IntArray:
    """Return the first row of each sequence, (N,) int64, after checking the order of rows."""
    counter = _read_counter(table)
    start_mask = _first_of_run(sequence_id)
    starts = start_mask.arg_true()
    backward_mask = (counter.diff() <= 0).fill_null(False) & ~start_mask
    if len(starts) != sequence_id.n_unique() or backward_mask.any():
        raise _disorder(table, pl.DataFrame([sequence_id, counter]), start_mask, backward_mask)
    return starts.to_numpy().astype(np.int64)


def _disorder(
    table: pl.DataFrame, keys: pl.DataFrame, start_mask: pl.Series, backward_mask: pl.Series
) -> DataError:
    """Return the error about the order of rows, with the most specific cause."""
    sequence_id, counter = keys
    advice = "Sort the table by sequence_id and sequence_counter."
    doubled_mask = ~keys.select(pl.struct(pl.all()).is_first_distinct()).to_series()
    if doubled_mask.any():
        return DataError(
            f"Sequence {sequence_id.filter(doubled_mask)[0]!r}: sequence_counter "
            f"{counter.filter(doubled_mask)[0]} occurs twice, again in "
            f"{describe_row(table, doubled_mask)}; expected once. Remove the duplicated row."
        )
    again_mask = start_mask & ~sequence_id.is_first_distinct()
    if again_mask.any():
        return DataError(
            f"Sequence {sequence_id.filter(again_mask)[0]!r}: its rows are not together, it "
            f"continues in {describe_row(table, again_mask)} after another sequence; expected all "
            f"rows of a sequence one after the other. {advice}"
        )
    return DataError(
        f"Sequence {sequence_id.filter(backward_mask)[0]!r}: sequence_counter out of order, it "
        f"falls to {counter.filter(backward_mask)[0]} in {describe_row(table, backward_mask)}; "
        f"expected it to rise from row to row. {advice}"
    )


def _read_counter(table: pl.DataFrame) -> pl.Series:
    numbers = number_column(table, "sequence_counter").cast(pl.Float64)
    is_whole = (numbers == numbers.floor()) & (numbers.abs() < 2**53)  # exact in float64
    wrong_mask = ~is_whole.fill_null(False)
    if wrong_mask.any():
        raise DataError(
            "Column 'sequence_counter': expected a whole number, got "
            f"{numbers.filter(wrong_mask)[0]} in {describe_row(table, wrong_mask)}. "
            "Number the time steps of each sequence from 0."
        )
    return numbers.cast(pl.Int64)


def _first_of_run(column: pl.Series) -> pl.Series:
    return (column != column.shift(1)).fill_null(True)


def _one_per_sequence(
    table: pl.DataFrame, name: str, sequence_id: pl.Series, starts: IntArray
) -> pl.Series:
    """Return a text column's value per sequence, (N,), after checking that it has but one."""
    column = text_column(table, name)
    changed_mask = _first_of_run(column) & ~_first_of_run(sequence_id)
    row = changed_mask.arg_max()
    if row is not None and changed_mask[row]:
        raise DataError(
            f"Sequence {sequence_id[row]!r}: column {name!r} changes from {column[row - 1]!r} to "
            f"{column[row]!r} in {describe_row(table, changed_mask)}; expected one value per "
            "sequence. Correct it, or give the sequences different ids."
        )
    return column.gather(starts)


def _read_labels(
    table: pl.DataFrame, sequence_id: pl.Series, starts: IntArray
) -> tuple[IntArray, LabelTable]:
    gestures = _one_per_sequence(table, "gesture", sequence_id, starts)
    types = _one_per_sequence(table, "sequence_type", sequence_id, starts)
    wrong_mask = ~types.is_in(SEQUENCE_TYPES)
    if wrong_mask.any():
        raise DataError(
            f"Sequence {sequence_id.gather(starts).filter(wrong_mask)[0]!r}: expected "
            f"sequence_type {list_names(SEQUENCE_TYPES)}, got {types.filter(wrong_mask)[0]!r}. "
            "Correct the value."
        )
    targets = set(gestures.filter(types == "Target"))
    others = set(gestures.filter(types == "Non-Target"))
    if targets & others:
        raise DataError(
            f"Gesture {min(targets & others)!r}: sequence_type is 'Target' in some sequences and "
            "'Non-Target' in others; expected one of them. Correct the sequence_type."
        )
    labels = LabelTable((*sorted(targets), *sorted(others)), num_targets=len(targets))
    label_idx = gestures.replace_strict(
        list(labels.gestures), list(range(labels.num_classes)), return_dtype=pl.Int64
    )
    return label_idx.to_numpy().astype(np.int64), labels


def _read_sensors(table: pl.DataFrame, columns: tuple[str, ...]) -> FloatArray | None:
    """Return one sensor group, (T, C) float32, or None where no value of it is known."""
    present = [name for name in columns if name in table.columns]
    if not present:
        return None
    numbers = pl.DataFrame([number_column(table, name) for name in present])
    values_TC = np.empty((len(table), len(columns)), dtype=np.float32)
    if len(present) < len(columns):
        values_TC.fill(np.nan)
    put_columns(numbers, values_TC, [columns.index(name) for name in present])
    return _check_range(table, values_TC, lambda: numbers)


def _check_range(
    table: pl.DataFrame, values_TC: FloatArray, numbers: Callable[[], pl.DataFrame]
) -> FloatArray | None:
    """Return a sensor group, None where no value is known, after refusing too large ones."""

    def find_largest(start: int) -> np.float32:
        block = values_TC[start : start + _BLOCK_ROWS]
        extremes = (np.fmin.reduce(block, axis=None), np.fmax.reduce(block, axis=None))
        return np.float32(np.max(np.abs(extremes)))  # NaN where all values are

    largest = np.array(list(map_in_threads(find_largest, range(0, len(table), _BLOCK_ROWS))))
    if (largest > MAX_MAGNITUDE).any():
        _refuse_magnitude(table, numbers())
    return None if np.isnan(largest).all() else values_TC


def _refuse_magnitude(table: pl.DataFrame, numbers: pl.DataFrame) -> None:
    for column in numbers:
        wrong_mask = (column.cast(pl.Float64).abs() > MAX_MAGNITUDE).fill_null(False)
        wrong_mask &= ~column.cast(pl.Float64).is_nan().fill_null(False)
        if wrong_mask.any():
            raise DataError(
                f"Column {column.name!r}: expected a finite number up to {MAX_MAGNITUDE:,.0f}, "
                f"got {column.filter(wrong_mask)[0]} in {describe_row(table, wrong_mask)}. "
                "Correct the value, or leave it empty if missing."
            )


def _read_acceleration(
    table: pl.DataFrame, sequence_id: pl.Series, offsets: IntArray
) -> FloatArray:
    acc_T3 = _read_sensors(table, ACC_COLUMNS)
    if acc_T3 is None:
        raise DataError(
            f"Columns {list_names(ACC_COLUMNS)} have no values: expected the acceleration in m/s2, "
            "gravity included. Every recording needs it."
        )
    known_T = ~np.isnan(acc_T3).any(axis=1)
    known_N = np.logical_or.reduceat(known_T, offsets[:-1])
    if not known_N.all():
        row = int(offsets[np.argmin(known_N)])
        raise DataError(
            f"Sequence {sequence_id[row]!r}: expected the acceleration ({', '.join(ACC_COLUMNS)}) "
            "in at least one row, got none. Remove the sequence."
        )
    return acc_T3


def _read_handedness(
    demographics: pl.DataFrame | None, subjects: pl.Series | None, num_sequences: int
) -> FloatArray:
    if demographics is None:
        return np.full(num_sequences, np.nan, dtype=np.float32)
    if subjects is None:
        raise DataError(
            "Demographics were given, but the recordings have no column 'subject' to find a "
            "person's row by. Add the column, or leave the demographics out."
        )
    return right_handed(demographics, subjects)


def _read_phase(table: pl.DataFrame) -> NDArray[np.int8] | None:
    """Return the phase of each row, (T,) int8; any other text is unknown, -1."""
    if "phase" not in table.columns or table["phase"].dtype not in TEXT_TYPES:
        return None
    codes = (
        table["phase"]
        .cast(pl.String)
        .replace_strict(list(PHASES), list(range(len(PHASES))), default=-1, return_dtype=pl.Int8)
    )
    phase_T = codes.fill_null(-1).to_numpy().astype(np.int8)
    return phase_T if (phase_T >= 0).any() else None


def _read_posture(table: pl.DataFrame, starts: IntArray) -> NDArray[np.str_] | None:
    """Return the posture of the body in each sequence, (N,); "" where rows have none or differ."""
    if "orientation" not in table.columns or table["orientation"].dtype not in TEXT_TYPES:
        return None
    words = table["orientation"].cast(pl.String).fill_null("")
    is_other = (words != words.shift(1)).fill_null(False).to_numpy()
    is_other[starts] = False
    is_constant_N = ~np.logical_or.reduceat(is_other, starts)
    posture_N = np.where(is_constant_N, _to_unicode(words.gather(starts)), "")
    return posture_N if (posture_N != "").any() else None


def _to_unicode(column: pl.Series) -> NDArray[np.str_]:
    return np.array(column.to_list(), dtype=np.str_)
