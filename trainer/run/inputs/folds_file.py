"""Folds file: which fold validates each sequence, as the user or another program assigned it.

In: a CSV or Parquet file with ``sequence_id`` and ``fold``; further columns are not used, so
``folds.parquet`` of another run is such a file. Out: a checked assignment, or an error that names
what is wrong. Only its content counts: not its name, its format or the order of its rows.

Shapes: N sequences.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trainer.config import ConfigError, bounds, parse_assignment
from trainer.data.columns import check_texts, number_column, text_column
from trainer.data.files import read_upload
from trainer.data.schema import DataError, list_names, require_columns
from trainer.folds import check_sizes
from trainer.store.durable import StoreError
from trainer.store.file_kinds import read_file
from trainer.store.tables.parquet_structure import MAX_ROWS, check_parquet
from trainer.store.tables.run_tables import assignment_sha256

COLUMNS = ("sequence_id", "fold")
ADVICE = "Move sequences of some subjects to other folds of the file."


@dataclass(frozen=True)
class FoldsFile:
    """The content of a folds file.

    Attributes:
        name: Of the file, for messages.
        table: ``sequence_id``, each once, and ``fold``.
        shares_subjects: Whether subjects may be in several folds.
    """

    name: str
    table: pl.DataFrame
    shares_subjects: bool

    @property
    def num_folds(self) -> int:
        """Return the number of folds."""
        return self.table["fold"].n_unique()

    def settings(self) -> dict[str, Any]:
        """Return the settings of a run that is made from these folds, by dotted name."""
        return {
            "folds.count": self.num_folds,
            "folds.file_sha256": assignment_sha256(self.table),
            "folds.shared_subjects": self.shares_subjects,
        }

    def assign(
        self, sequence_ids: NDArray[np.str_], subjects: NDArray[np.str_]
    ) -> NDArray[np.int64]:
        """Return the fold of each sequence of the recordings, (N,) int64.

        Args:
            sequence_ids: (N,), each once.
            subjects: (N,).

        Raises:
            DataError: The file lacks sequences or has others, or a subject is in several folds.
            FoldError: The folds are too uneven.
        """
        own = pl.DataFrame({"sequence_id": sequence_ids, "subject": subjects})
        self._refuse(
            own.join(self.table, on="sequence_id", how="anti")["sequence_id"],
            "of the recordings have no row",
            "Add them",
        )
        self._refuse(
            self.table.join(own, on="sequence_id", how="anti")["sequence_id"],
            "are not in the recordings",
            "Remove them, or choose the recordings that the file was made for",
        )
        folds = own["sequence_id"].replace_strict(self.table["sequence_id"], self.table["fold"])
        self._check_subjects(own.with_columns(folds.alias("fold")))
        fold_N = folds.to_numpy().astype(np.int64)
        check_sizes(fold_N, self.num_folds, f"{ADVICE} ({self.name})")
        return fold_N

    def _refuse(self, ids: pl.Series, problem: str, advice: str) -> None:
        if len(ids):
            raise DataError(
                f"Folds file {self.name!r}: expected every sequence of the recordings once; "
                f"{len(ids):,} {problem}: {_name(ids)}. {advice}."
            )

    def _check_subjects(self, folds: pl.DataFrame) -> None:
        """Refuse subjects in several folds, or the permission where there are none.

        A run of shared subjects is marked as optimistic everywhere, so it must be one.
        """
        counts = folds.group_by("subject").agg(pl.col("fold").n_unique())
        shared = counts.filter(pl.col("fold") > 1)["subject"].sort()
        if len(shared) and not self.shares_subjects:
            raise DataError(
                f"Folds file {self.name!r}: expected each subject in one fold; {len(shared):,} "
                f"of {len(counts):,} are in several: {_name(shared)}. Scores of such folds are "
                f"optimistic for other people. Move each subject to one fold, or allow it with "
                f"--allow-shared-subjects, which marks all scores of the run."
            )
        if self.shares_subjects and not len(shared):
            raise DataError(
                f"Folds file {self.name!r}: no subject is in several folds. Leave out "
                f"--allow-shared-subjects, which would mark its scores as optimistic."
            )


def read_folds_file(path: Path, shares_subjects: bool) -> FoldsFile:
    """Read a folds file.

    Args:
        path: The file.
        shares_subjects: Whether subjects may be in several folds.

    Raises:
        DataError: It cannot be read, or is no assignment to folds.
    """
    name = path.name
    table = _read(path.expanduser())
    try:
        require_columns(table.columns, COLUMNS, "the fold of each sequence")
        check_texts(table, COLUMNS)
        ids, folds = text_column(table, "sequence_id"), _fold_numbers(table)
    except DataError as error:
        raise DataError(f"Folds file {name!r}: {error}") from error
    doubled = ids.filter(ids.is_duplicated()).unique(maintain_order=True)
    if len(doubled):
        raise DataError(
            f"Folds file {name!r}: expected every sequence once; {len(doubled):,} have several "
            f"rows: {_name(doubled)}. Write one row for each sequence, not for each time step."
        )
    return FoldsFile(name, pl.DataFrame([ids, folds]), shares_subjects)


def check_stated_count(
    file: FoldsFile, options: Mapping[str, Any], assignments: Sequence[str]
) -> None:
    """Refuse another number of folds than the file's.

    Args:
        file: The folds file.
        options: Of the command line, by dotted name.
        assignments: ``KEY=VALUE`` pairs of ``--set``.

    Raises:
        ConfigError: Another number is stated.
    """
    stated = {**dict(parse_assignment(text) for text in assignments), **options}
    number = stated.get("folds.count", file.num_folds)
    if str(number) != str(file.num_folds):
        raise ConfigError(
            f"folds.count: expected {file.num_folds}, the number of folds in {file.name!r}; got "
            f"{number}. Leave the number out"
        )


def _read(path: Path) -> pl.DataFrame:
    try:
        data = read_file(path)
        if data.startswith(b"PAR1"):
            check_parquet(data)
    except FileNotFoundError as error:
        raise DataError(
            f"Folds file {str(path)!r} does not exist: expected a CSV or Parquet file with the "
            f"columns {', '.join(COLUMNS)}. Check the path."
        ) from error
    except StoreError as error:
        raise DataError(f"Folds file {path.name!r}: {error}.") from error
    if not data.strip():
        raise DataError(
            f"Folds file {path.name!r} is empty: expected the columns {', '.join(COLUMNS)} and one "
            f"row for each sequence."
        )
    table = read_upload(path.name, data)
    if not 0 < len(table) <= MAX_ROWS:
        raise DataError(
            f"Folds file {path.name!r}: expected 1 to {MAX_ROWS:,} rows, got {len(table):,}. Write "
            f"one row for each sequence."
        )
    return table


def _fold_numbers(table: pl.DataFrame) -> pl.Series:
    numbers = number_column(table, "fold").cast(pl.Float64).fill_nan(None)
    most = int(bounds("folds.count").high)
    wrong = numbers.is_null() | (numbers != numbers.floor()) | ~numbers.is_between(0, most)
    if wrong.fill_null(True).any():
        others = table["fold"].filter(wrong.fill_null(True))
        raise DataError(
            f"Column 'fold': expected whole numbers from 0 to {most - 1} in every row; "
            f"{len(others):,} are not: {_name(others)}. Number the folds from 0."
        )
    found = sorted({int(number) for number in numbers})
    if found != list(range(len(found))):
        advice = "Subtract 1 from each" if found == list(range(1, len(found) + 1)) else "Renumber"
        raise DataError(
            f"Column 'fold': expected the numbers 0 to {max(len(found) - 1, 1)} without a gap; got "
            f"{', '.join(map(str, found))}. {advice}, so that they begin at 0."
        )
    if not 2 <= len(found) <= most:
        raise DataError(
            f"Column 'fold': expected 2 to {most} folds, got {len(found)}. Each fold is scored by "
            f"models that are trained on the others."
        )
    return numbers.cast(pl.Int64).alias("fold")


def _name(values: pl.Series) -> str:
    return list_names([str(value) for value in values])
