"""Options of the command line that need more than a line.

In: nothing. Out: annotated types for ``trainer.__main__``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

FoldsPath = Annotated[
    Path | None,
    typer.Option(
        "--folds-file",
        metavar="FILE",
        help="Your own folds: a CSV or Parquet file with sequence_id and fold (from 0), such as "
        "folds.parquet of another run (default: split by subject, stratified by gesture)",
    ),
]
SharedSubjects = Annotated[
    bool,
    typer.Option(
        "--allow-shared-subjects",
        help="Accept a folds file with subjects in several folds; all scores of the run are "
        "marked as optimistic",
    ),
]
