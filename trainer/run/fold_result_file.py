"""Fold files: one finished fold, whole: model, out-of-fold block, scores, importance.

In: a fitted fold. Out: bytes and back. LightGBM's go through the plain codec (``.pkl``), the
network's through ``trainer.models.tensor_file`` (``.pt``, ``.pth``).

Shapes: N validation sequences, K classes, F features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.metric import competition_score
from trainer.models.base import FoldResult, Model
from trainer.models.tensor_file import dump_tensors, load_arrays, load_tensors
from trainer.plain_data import DamagedDataError, array, integer, part, reading
from trainer.store.codec import dumps, loads
from trainer.store.records import ScoreRow

FOLD_SCHEMA = 1
MAX_STEPS = 10**9
FOLD_PARTS = (
    *("schema", "model", "fold", "key", "best_step", "oof_proba", "oof_proba_imu"),
    *("known_classes", "gain", "split", "packed"),
)


@dataclass(frozen=True)
class FoldBlock:
    """One finished fold, and what it belongs to.

    Attributes:
        model: The model's name.
        fold: From 0.
        key: Of what it was made from: recordings, settings, code.
        result: The fold.
    """

    model: str
    fold: int
    key: str
    result: FoldResult


def score_row(
    true_idx: NDArray[np.int64], proba_NK: NDArray[np.float64], num_targets: int
) -> ScoreRow:
    """Score probabilities by their largest class."""
    predicted_idx = np.argmax(proba_NK, axis=1)
    score = competition_score(true_idx, predicted_idx, num_targets)
    return ScoreRow(
        score=score.score,
        binary_f1=score.binary_f1,
        macro_f1=score.macro_f1,
        accuracy=float(np.mean(true_idx == predicted_idx)),
        num_sequences=len(true_idx),
    )


def dump_block(model: Model, block: FoldBlock) -> bytes:
    """Return the bytes of a fold file."""
    result = block.result
    return encode(
        model,
        {
            "schema": FOLD_SCHEMA,
            "model": block.model,
            "fold": block.fold,
            "key": block.key,
            "best_step": result.best_step,
            "oof_proba": result.proba_NK,
            "oof_proba_imu": result.proba_imu_NK,
            "known_classes": result.known_K,
            "gain": result.gain_F,
            "split": result.split_F,
            "packed": result.packed,
            "best_proba": result.best_proba_NK,
            "best_proba_imu": result.best_proba_imu_NK,
        },
    )


def load_block(model: Model, data: bytes) -> FoldBlock:
    """Read a fold file whose checksum was verified; its packed model is checked by ``open_packed``.

    Raises:
        DamagedDataError: It is not one of ours, or of a newer schema.
    """
    plain = loads(data) if model.file_format == "arrays" else load_arrays(data)
    with reading("fold file"):
        if not isinstance(plain, dict):
            raise DamagedDataError("expected a table")
        missing = [name for name in FOLD_PARTS if name not in plain]
        if missing:
            raise DamagedDataError(f"{', '.join(missing)} missing: another version wrote it")
        schema = part(plain, "schema", int)
        if schema > FOLD_SCHEMA:
            raise DamagedDataError(f"schema {schema}: this version reads {FOLD_SCHEMA}")
        return FoldBlock(
            model=part(plain, "model", str),
            fold=part(plain, "fold", int),
            key=part(plain, "key", str),
            result=_read_result(plain),
        )


def _read_result(plain: Mapping[str, Any]) -> FoldResult:
    known_K = array(plain, "known_classes", "b", (None,))
    shape = array(plain, "oof_proba", "f", (None, len(known_K))).shape

    def proba(name: str) -> Any:  # noqa: ANN401 - an array or None
        return None if plain.get(name) is None else array(plain, name, "f", shape)

    packed = part(plain, "packed", dict)
    gain_F = split_F = None
    if plain["gain"] is not None:
        gain_F = array(plain, "gain", "f", (len(part(packed, "feature_names", list)),))
        split_F = array(plain, "split", "iu", gain_F.shape)
    return FoldResult(
        proba_NK=plain["oof_proba"],
        proba_imu_NK=proba("oof_proba_imu"),
        known_K=known_K,
        best_step=integer(plain, "best_step", 0, MAX_STEPS),
        packed=packed,
        gain_F=gain_F,
        split_F=split_F,
        best_proba_NK=proba("best_proba"),
        best_proba_imu_NK=proba("best_proba_imu"),
    )


def encode(model: Model, value: Any) -> bytes:  # noqa: ANN401 - plain data
    """Return plain data as the bytes of one of the model's files."""
    return dumps(value) if model.file_format == "arrays" else dump_tensors(value)


def decode(model: Model, data: bytes) -> Any:  # noqa: ANN401 - plain data
    """Read the bytes of one of the model's files.

    Raises:
        DamagedDataError: They are not such a file.
    """
    return loads(data) if model.file_format == "arrays" else load_tensors(data)
