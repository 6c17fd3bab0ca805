"""Gateway: a local replacement for the competition's gateway, in this process.

In: a ``predict`` function, test.csv. Out: submission.parquet, and the seconds of each call. It
calls ``predict`` as the competition's gateway does (competition.md, section 6): column types are
guessed from the first rows of the file, sequences come one at a time in random order as Arrow
streams, and every prediction is checked. There is no network between.
"""

from __future__ import annotations

import io
import random
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from trainer.data.schema import DataError, list_names

Predict = Callable[[pl.DataFrame, pl.DataFrame], str]

DEMOGRAPHICS_COLUMNS = (
    *("subject", "adult_child", "age", "sex", "handedness", "height_cm"),
    *("shoulder_to_wrist_cm", "elbow_to_wrist_cm"),
)


class GatewayError(RuntimeError):
    """A prediction that the competition's gateway would refuse."""


@dataclass(frozen=True)
class GatewayReport:
    """The calls of the gateway.

    Attributes:
        submission: The file that was written.
        predictions: Sequence id to gesture, in the order of the calls.
        seconds: Seconds of each call, in the same order; the first loads the models.
    """

    submission: Path
    predictions: dict[str, str]
    seconds: tuple[float, ...]


def run_gateway(
    predict: Predict, folder: Path, gestures: Collection[str], submission: Path
) -> GatewayReport:
    """Predict every sequence of a folder's test.csv and write the submission.

    Args:
        predict: Called with one sequence's rows and its subject's demographics.
        folder: Contains test.csv and perhaps test_demographics.csv.
        gestures: The gestures that may be predicted.
        submission: The file to write, with columns ``sequence_id`` and ``gesture``.

    Raises:
        DataError: There is no test.csv, or it has no sequences.
        GatewayError: A prediction is no plain str or not one of the gestures.
        Exception: Any exception of ``predict``.
    """
    predictions: dict[str, str] = {}
    seconds = []
    for sequence_id, sequence, demographics in _batches(folder):
        began = time.perf_counter()
        gesture = predict(through_arrow(sequence), through_arrow(demographics))
        seconds.append(time.perf_counter() - began)
        predictions[sequence_id] = _checked(gesture, sequence_id, gestures)
    columns = {"sequence_id": list(predictions), "gesture": list(predictions.values())}
    temporary = submission.with_name(f".{submission.name}.tmp")
    pl.DataFrame(columns).write_parquet(temporary)
    temporary.replace(submission)
    return GatewayReport(submission, predictions, tuple(seconds))


def through_arrow(table: pl.DataFrame) -> pl.DataFrame:
    """Return a table as it arrives after it was sent as an Arrow stream."""
    stream = io.BytesIO()
    table.write_ipc_stream(stream, compression="lz4")
    stream.seek(0)
    return pl.read_ipc_stream(stream)


def _batches(folder: Path) -> Iterator[tuple[str, pl.DataFrame, pl.DataFrame]]:
    """Yield id, rows and demographics of every sequence, in a random order."""
    test = _read(folder / "test.csv")
    people = folder / "test_demographics.csv"
    empty = pl.DataFrame(schema=dict.fromkeys(DEMOGRAPHICS_COLUMNS, pl.String))
    demographics = _read(people) if people.exists() else empty
    parts = test.partition_by("sequence_id", maintain_order=True)
    for sequence in random.sample(parts, len(parts)):
        subject = sequence["subject"][0] if "subject" in sequence.columns else None
        yield (
            str(sequence["sequence_id"][0]),
            sequence,
            demographics.filter(pl.col("subject") == subject),
        )


def _read(path: Path) -> pl.DataFrame:
    """Read a CSV with types guessed from its first 100 rows, as the competition's gateway does."""
    try:
        table = pl.read_csv(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        first_line = str(error).partition("\n")[0]
        raise DataError(
            f"{path}: expected the competition's table, could not be read ({first_line}). Give "
            f"its folder with --data"
        ) from error
    needed = "sequence_id" if path.name == "test.csv" else "subject"
    if needed not in table.columns:
        raise DataError(f"{path}: expected a column {needed!r}, got {list_names(table.columns)}.")
    return table


def _checked(gesture: object, sequence_id: str, gestures: Collection[str]) -> str:
    if type(gesture) is not str:
        raise GatewayError(
            f"sequence {sequence_id}: expected a plain str, got {type(gesture).__name__}"
        )
    if gesture not in gestures:
        raise GatewayError(
            f"sequence {sequence_id}: expected one of the run's gestures, got {gesture!r}"
        )
    return gesture
