"""Folds of a study that the user's own file assigns: kept beside its definition.

In: the file that the study begins with. Out: ``folds.parquet`` in its folder, and the same file for
each of its runs; of a study that came without it, that of a run.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from trainer.run.inputs.folds_file import FoldsFile, read_folds_file
from trainer.store.durable import StoreError, write_atomic
from trainer.store.names import RunPaths
from trainer.study.definition import StudyFile
from trainer.study.trials import StudyPaths, TrialRecord, run_names


def write_folds(root: Path, file: FoldsFile) -> None:
    """Keep the folds of a study, durably; call it before the definition is written."""
    buffer = io.BytesIO()
    file.table.write_parquet(buffer)
    write_atomic(RunPaths(root).folds, buffer.getvalue())


def read_folds(root: Path, study: StudyFile, trials: Sequence[TrialRecord]) -> FoldsFile | None:
    """Return the folds of every run; None where they are assigned by the seed.

    Raises:
        StoreError: The file is missing, or has other folds than the definition names.
        DataError: It is damaged.
    """
    folds = study.base.folds
    if folds.file_sha256 is None:
        return None
    state_dir = StudyPaths(root).state_dir
    runs = (state_dir / name for one in trials for name in run_names(study, one.number))
    for path in (RunPaths(each).folds for each in (root, *runs)):
        if path.exists():
            file = read_folds_file(path, folds.shared_subjects)
            if file.settings()["folds.file_sha256"] == folds.file_sha256:
                return file
    raise StoreError(
        f"{RunPaths(root).folds}: expected the folds of the study's file with the content "
        f"{folds.file_sha256[:12]}. Put the file back as folds.parquet"
    )
