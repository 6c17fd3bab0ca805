"""Fold files: one finished fold, whole: model, out-of-fold block, scores, importance.

In: a fitted fold. Out: bytes and back. LightGBM's go through the plain codec (``.pkl``), the
network's through ``torch.save`` (``.pt``, ``.pth``), read with ``weights_only=True``.

Shapes: N validation sequences, K classes, F features.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.metric import competition_score
from trainer.models.base import FoldResult, Model
from trainer.store.codec import CodecError, dumps, loads
from trainer.store.records import ScoreRow

FOLD_SCHEMA = 1
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
            "last_proba": result.last_proba_NK,
            "last_proba_imu": result.last_proba_imu_NK,
        },
    )


def load_block(model: Model, data: bytes) -> FoldBlock:
    """Read a fold file whose checksum was verified.

    Raises:
        CodecError: It is not one of ours, or of a newer schema.
    """
    plain = _arrays(decode(model, data)) if model.file_format == "tensors" else decode(model, data)
    missing = [part for part in FOLD_PARTS if part not in plain]
    if missing:
        raise CodecError(f"fold file without {', '.join(missing)}: another version wrote it")
    if plain["schema"] > FOLD_SCHEMA:
        raise CodecError(f"fold file of schema {plain['schema']}: this version reads {FOLD_SCHEMA}")
    result = FoldResult(
        proba_NK=plain["oof_proba"],
        proba_imu_NK=plain["oof_proba_imu"],
        known_K=plain["known_classes"],
        best_step=plain["best_step"],
        packed=plain["packed"],
        gain_F=plain["gain"],
        split_F=plain["split"],
        last_proba_NK=plain.get("last_proba"),
        last_proba_imu_NK=plain.get("last_proba_imu"),
    )
    return FoldBlock(plain["model"], plain["fold"], plain["key"], result)


def encode(model: Model, value: Any) -> bytes:  # noqa: ANN401 - plain data
    """Return plain data as the bytes of one of the model's files."""
    return dumps(value) if model.file_format == "arrays" else dump_tensors(value)


def decode(model: Model, data: bytes) -> Any:  # noqa: ANN401 - plain data
    """Read the bytes of one of the model's files.

    Raises:
        CodecError: They are not such a file.
    """
    return loads(data) if model.file_format == "arrays" else load_tensors(data)


def dump_tensors(value: Any) -> bytes:  # noqa: ANN401 - plain data
    """Return ``torch.save`` bytes; arrays become tensors, which weights_only admits."""
    import torch

    buffer = io.BytesIO()
    torch.save(_tensors(value), buffer)
    return buffer.getvalue()


def load_tensors(data: bytes) -> Any:  # noqa: ANN401 - plain data
    """Read ``torch.save`` bytes whose checksum was verified.

    Raises:
        CodecError: The bytes are not such a file.
    """
    import pickle

    import torch

    try:
        return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, zipfile.BadZipFile) as error:
        raise CodecError(f"not a file of tensors: {error}") from error


def _tensors(value: Any) -> Any:  # noqa: ANN401
    import torch

    if isinstance(value, dict):
        return {key: _tensors(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_tensors(item) for item in value]
    if isinstance(value, np.ndarray):
        return torch.from_numpy(np.asarray(value, order="C"))  # keeps shape (), as batch norm has
    return value


def _arrays(value: Any) -> Any:  # noqa: ANN401
    import torch

    if isinstance(value, dict):
        return {key: _arrays(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_arrays(item) for item in value]
    return value.numpy() if isinstance(value, torch.Tensor) else value
