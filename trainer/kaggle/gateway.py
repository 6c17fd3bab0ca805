"""Gateway: a stand-in of the competition's, in this process, without its package.

In: a ``predict`` function, test.csv. Out: submission.parquet, and how long each answer took. It
asks as the real one does (competition.md, section 6): types guessed from the first rows of the
file, one sequence at a time, in a new random order, as Arrow streams, every answer checked. What it
leaves out is the network between.
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
    """An answer that the competition's gateway would refuse."""


@dataclass(frozen=True)
class GatewayReport:
    """What the gateway saw.

    Attributes:
        submission: The file that was written.
        answers: Sequence id to gesture, in the order asked.
        seconds: Of each call, in the order asked; the first loads the models.
    """

    submission: Path
    answers: dict[str, str]
    seconds: tuple[float, ...]


def run_gateway(
    predict: Predict, folder: Path, gestures: Collection[str], submission: Path
) -> GatewayReport:
    """Ask for every sequence of a folder's test.csv and write the submission.

    Args:
        predict: Called with one sequence's rows and its subject's demographics.
        folder: Holds test.csv and, where there is one, test_demographics.csv.
        gestures: The answers that are allowed.
        submission: Where the answers go: ``sequence_id``, ``gesture``.

    Raises:
        DataError: There is no test.csv, or it has no sequences.
        GatewayError: An answer is no plain str or not one of the gestures.
        Exception: Whatever ``predict`` raises.
    """
    answers: dict[str, str] = {}
    seconds = []
    for sequence_id, sequence, demographics in _batches(folder):
        began = time.perf_counter()
        answer = predict(through_arrow(sequence), through_arrow(demographics))
        seconds.append(time.perf_counter() - began)
        answers[sequence_id] = _checked(answer, sequence_id, gestures)
    columns = {"sequence_id": list(answers), "gesture": list(answers.values())}
    temporary = submission.with_name(f".{submission.name}.tmp")
    pl.DataFrame(columns).write_parquet(temporary)
    temporary.replace(submission)
    return GatewayReport(submission, answers, tuple(seconds))


def through_arrow(table: pl.DataFrame) -> pl.DataFrame:
    """Return a table as it comes out at the other end of the wire."""
    wire = io.BytesIO()
    table.write_ipc_stream(wire, compression="lz4")
    wire.seek(0)
    return pl.read_ipc_stream(wire)


def _batches(folder: Path) -> Iterator[tuple[str, pl.DataFrame, pl.DataFrame]]:
    """Yield id, rows and demographics of every sequence, in a new order each time."""
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
            f"{path}: expected the competition's table, could not be read ({first_line}). Name the "
            f"folder that holds it with --data"
        ) from error
    needed = "sequence_id" if path.name == "test.csv" else "subject"
    if needed not in table.columns:
        raise DataError(f"{path}: expected a column {needed!r}, got {list_names(table.columns)}.")
    return table


def _checked(answer: object, sequence_id: str, gestures: Collection[str]) -> str:
    if type(answer) is not str:
        raise GatewayError(
            f"sequence {sequence_id}: expected a plain str, got {type(answer).__name__}"
        )
    if answer not in gestures:
        raise GatewayError(
            f"sequence {sequence_id}: expected one of the run's gestures, got {answer!r}"
        )
    return answer
