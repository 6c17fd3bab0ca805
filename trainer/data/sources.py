"""Sources of real recordings: the embedded ones, a file, a folder, Kaggle's mounted input.

In: the name of a source. Out: checked ``Sequences``, and a fingerprint of their content. Simulated
recordings: ``trainer.simulation.any_source``.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from trainer.config import is_simulated
from trainer.data.files import read_raw_table, read_table, read_upload
from trainer.data.partitions import Partitions, find_partitions
from trainer.data.raw_table import sequences_from_table
from trainer.data.schema import DataError, list_names
from trainer.data.sequences import Catalogue, FloatArray, Sequences

__all__ = [
    "check_trainable",
    "find_competition",
    "fingerprint",
    "input_folder",
    "load",
    "open_partitions",
    "read_table",
    "read_upload",
    "sequences_from_table",
]

WATCH_PATH = Path(__file__).with_name("watch.parquet")
KAGGLE_INPUT = Path("/kaggle/input")
INPUT_NAME = "KAGGLE_INPUT_DIR"  # of the environment: where inputs are mounted instead
COMPETITION = "cmi-detect-behavior-with-sensor-data"

_SUFFIXES = (".parquet", ".csv")  # the first that exists is read
_BLOCK_ROWS = 1024  # 320 columns of them fit the processor's cache


def input_folder() -> Path:
    """Return where this machine mounts its inputs: ``KAGGLE_INPUT_DIR``, else /kaggle/input."""
    return Path(os.environ.get(INPUT_NAME) or KAGGLE_INPUT)


def load(source: str, kaggle_input: Path | None = None) -> Sequences:
    """Load the recordings of a source that is not simulated.

    Args:
        source: ``watch`` (the embedded recordings), ``kaggle`` (the competition's input, where it
            is mounted), a CSV or Parquet file, or a folder with train.parquet or train.csv, and
            train_demographics.parquet or .csv where there is one; test.* where there is no
            train.*; or a folder of Parquet files, see ``partitions``.
        kaggle_input: Where Kaggle mounts its inputs; None is ``input_folder()``.

    Raises:
        DataError: If there is no such source, or its recordings cannot be used.
    """
    if source == "watch":
        return sequences_from_table(read_table(WATCH_PATH))
    if source == "kaggle":
        return _load_folder(find_competition(kaggle_input))
    path = _find_path(source)
    return _load_folder(path) if path.is_dir() else sequences_from_table(read_raw_table(path))


def open_partitions(source: str) -> Partitions | None:
    """Return the parts of a source that is a folder of Parquet files; None where it is not.

    Raises:
        DataError: There is no such source.
    """
    if source in ("watch", "kaggle") or is_simulated(source):
        return None
    path = _find_path(source)
    if not path.is_dir() or any(_find_table(path, part) for part in ("train", "test")):
        return None
    return find_partitions(path)


def find_competition(kaggle_input: Path | None = None) -> Path:
    """Return the competition's folder under the input mount, up to three levels down.

    Args:
        kaggle_input: Where Kaggle mounts its inputs; None is ``input_folder()``.

    Raises:
        DataError: There is none; the message names the mounted folders.
    """
    mount = input_folder() if kaggle_input is None else kaggle_input
    for pattern in (COMPETITION, f"*/{COMPETITION}", f"*/*/{COMPETITION}"):
        folder = next((path for path in sorted(mount.glob(pattern)) if path.is_dir()), None)
        if folder is not None:
            return folder
    mounted = sorted(path.name for path in mount.iterdir()) if mount.is_dir() else []
    raise DataError(
        f"Source 'kaggle': no folder {COMPETITION!r} in {str(mount)!r}, which contains "
        f"{list_names(mounted)}. Add the competition's data to the notebook, or use 'watch', a "
        "file or a folder."
    )


# Beside one column per gesture; a gesture of such a name would overwrite it.
OUTPUT_COLUMNS = ("sequence_id", "subject", "gesture", "fold", "p_target")


def check_trainable(sequences: Sequences | Catalogue, num_folds: int) -> None:
    """Refuse recordings that no model can be trained on or scored with.

    Args:
        sequences: The recordings.
        num_folds: How many folds the subjects are to be split into.

    Raises:
        DataError: If they are unlabelled, all of one gesture, all targets or all non-targets, of
            fewer subjects than folds, of fewer sequences of every gesture, or name a gesture like
            a column of the predictions.
    """
    labels = sequences.labels
    if labels is None or sequences.label_idx is None or sequences.subjects is None:
        raise DataError(
            "Training needs labelled recordings: expected columns 'gesture', 'sequence_type' and "
            "'subject', got none or empty ones. Use the labelled table (train.csv)."
        )
    if labels.num_classes < 2:
        raise DataError(
            f"Training needs at least two gestures, got only {labels.gestures[0]!r}. "
            "Add recordings of others."
        )
    if labels.num_targets in (0, labels.num_classes):
        only = "'Target'" if labels.num_targets else "'Non-Target'"
        raise DataError(
            f"Training needs both values of sequence_type, got only {only}: the score measures "
            "how well targets are separated from the rest. Add recordings of the other kind."
        )
    clash = [gesture for gesture in labels.gestures if gesture in OUTPUT_COLUMNS]
    if clash:
        raise DataError(
            f"Gesture {clash[0]!r}: it is the name of a column of every table of predictions "
            f"({', '.join(OUTPUT_COLUMNS)}). Give the gesture another name."
        )
    num_subjects = len(np.unique(sequences.subjects))
    if num_subjects < num_folds:
        raise DataError(
            f"{num_folds} folds need at least {num_folds} subjects, got {num_subjects}: no subject "
            f"is in two folds. Set folds to {max(2, num_subjects)} or fewer, or add subjects."
        )
    most = int(np.bincount(sequences.label_idx).max())
    if most < num_folds:
        raise DataError(
            f"{num_folds} folds need a gesture with at least {num_folds} sequences, got at most "
            f"{most}. Set folds to {max(2, most)} or fewer, or add recordings."
        )


def fingerprint(sequences: Sequences) -> str:
    """Return the SHA-256 of the recordings' content, 64 hexadecimal digits.

    It depends on ids, subjects, labels, annotations, handedness and sensor values, not on where
    they were read from nor in which format.

    Args:
        sequences: The recordings.
    """
    labels = sequences.labels
    text = {
        "sequence_ids": sequences.sequence_ids.tolist(),
        "offsets": sequences.offsets.tolist(),
        "subjects": None if sequences.subjects is None else sequences.subjects.tolist(),
        "label_idx": None if sequences.label_idx is None else sequences.label_idx.tolist(),
        "gestures": None if labels is None else labels.gestures,
        "num_targets": None if labels is None else labels.num_targets,
        "groups": sequences.groups,
    }
    if sequences.posture_N is not None:
        text["postures"] = sequences.posture_N.tolist()
    digest = hashlib.sha256(json.dumps(text, sort_keys=True).encode())
    if sequences.phase_T is not None:
        digest.update(sequences.phase_T.data)
    arrays = (sequences.acc_T3, sequences.rot_T4, sequences.thm_T5, sequences.tof_T320)
    for array in (sequences.right_handed_N, *arrays):
        if array is not None:
            for block in _canonical_blocks(array):
                digest.update(block.data)
    return digest.hexdigest()


def _canonical_blocks(values: FloatArray) -> Iterator[FloatArray]:
    """Yield copies of the rows in which equal values have equal bits."""
    for start in range(0, len(values), _BLOCK_ROWS):
        block = values[start : start + _BLOCK_ROWS] + np.float32(0)  # -0 becomes 0
        np.copyto(block, np.nan, where=np.isnan(block))  # one of the many bit patterns of NaN
        yield block.astype("<f4", copy=False)


def _find_path(source: str) -> Path:
    try:
        path = Path(source).expanduser()
        exists = bool(source) and path.exists()
    except (OSError, RuntimeError):  # too long for a path; an unknown home folder
        exists = False
    if not exists:
        raise DataError(
            f"Source {source[:200]!r} does not exist: expected 'watch', 'kaggle', 'simulated', or "
            "the path of a CSV or Parquet file or of a folder with train.csv. Check the path."
        )
    return path


def _load_folder(folder: Path) -> Sequences:
    for part in ("train", "test"):
        path = _find_table(folder, part)
        if path is not None:
            demographics = _find_table(folder, f"{part}_demographics")
            return sequences_from_table(
                read_raw_table(path), None if demographics is None else read_table(demographics)
            )
    parts = find_partitions(folder)
    if parts is not None:
        return parts.read_whole()
    found = sorted(path.name for path in folder.iterdir())
    raise DataError(
        f"Folder {str(folder)!r}: expected train.csv, train.parquet, test.csv, test.parquet or a "
        f"Parquet file for each subject, got {list_names(found)}. Name the file itself, or another "
        "folder."
    )


def _find_table(folder: Path, stem: str) -> Path | None:
    paths = (folder / f"{stem}{suffix}" for suffix in _SUFFIXES)
    return next((path for path in paths if path.is_file()), None)
