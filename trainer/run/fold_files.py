"""Fold files: one finished fold, whole: model, out-of-fold block, scores, importance.

In: a fitted fold. Out: bytes and back. LightGBM's go through the plain codec (``.pkl``), the
network's through ``torch.save`` (``.pt``, ``.pth``), read with ``weights_only=True``.

Shapes: N validation sequences, K classes, F features.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trainer.metric import competition_score
from trainer.models.boosting.fold import BoostingFold
from trainer.models.serialization import pack_boosting, pack_network
from trainer.store.codec import CodecError, dumps, loads
from trainer.store.records import ScoreRow

if TYPE_CHECKING:
    from trainer.models.network.fold import NetworkFold

FOLD_SCHEMA = 1
FOLD_PARTS = (
    *("schema", "model", "fold", "key", "best_step", "oof_proba", "oof_proba_imu"),
    *("known_classes", "gain", "split", "packed"),
)


@dataclass(frozen=True)
class FoldBlock:
    """What the views need of one finished fold.

    Attributes:
        model: "lgbm" or "torch".
        fold: From 0.
        proba_NK: (N, K) float64, validation sequences in table order.
        proba_imu_NK: The same with thermopiles and time of flight hidden, or None.
        knows_K: (K,) bool, classes that the training part had.
        best_step: Best round or epoch.
        packed: The model as plain data.
        gain_F: (F,) total gain, LightGBM only.
        split_F: (F,) number of splits, LightGBM only.
        key: Of what it was made from: recordings, settings, code.
        last_proba_NK: As ``proba_NK``, of the round that was fixed in advance or the last
            epoch, not of the best; or None.
        last_proba_imu_NK: The same for ``proba_imu_NK``; or None.
    """

    model: str
    fold: int
    proba_NK: NDArray[np.float64]
    proba_imu_NK: NDArray[np.float64] | None
    knows_K: NDArray[np.bool_]
    best_step: int
    packed: dict[str, Any]
    gain_F: NDArray[np.float64] | None = None
    split_F: NDArray[np.int64] | None = None
    key: str = ""
    last_proba_NK: NDArray[np.float64] | None = None
    last_proba_imu_NK: NDArray[np.float64] | None = None


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


def boosting_block(fold: int, fitted: BoostingFold) -> FoldBlock:
    """Return the block of a LightGBM fold."""
    knows_K = np.zeros(fitted.model.num_classes, dtype=bool)
    knows_K[fitted.model.class_idx] = True
    return FoldBlock(
        model="lgbm",
        fold=fold,
        proba_NK=fitted.valid_proba_NK,
        proba_imu_NK=fitted.valid_proba_imu_NK,
        knows_K=knows_K,
        best_step=fitted.best_round,
        packed=pack_boosting(fitted.model),
        last_proba_NK=fitted.last_proba_NK,
        last_proba_imu_NK=fitted.last_proba_imu_NK,
        gain_F=fitted.gain_F,
        split_F=fitted.split_F,
    )


def network_block(fold: int, fitted: NetworkFold, knows_K: NDArray[np.bool_]) -> FoldBlock:
    """Return the block of a network fold."""
    return FoldBlock(
        model="torch",
        fold=fold,
        proba_NK=fitted.valid_proba_NK,
        proba_imu_NK=fitted.valid_proba_imu_NK,
        knows_K=knows_K,
        best_step=fitted.best_epoch,
        packed=pack_network(fitted.model),
        last_proba_NK=fitted.last_proba_NK,
        last_proba_imu_NK=fitted.last_proba_imu_NK,
    )


def dump_block(block: FoldBlock) -> bytes:
    """Return the bytes of a fold file."""
    plain = {
        "schema": FOLD_SCHEMA,
        "model": block.model,
        "fold": block.fold,
        "key": block.key,
        "best_step": block.best_step,
        "oof_proba": block.proba_NK,
        "oof_proba_imu": block.proba_imu_NK,
        "known_classes": block.knows_K,
        "gain": block.gain_F,
        "split": block.split_F,
        "packed": block.packed,
        "last_proba": block.last_proba_NK,
        "last_proba_imu": block.last_proba_imu_NK,
    }
    return dumps(plain) if block.model == "lgbm" else dump_tensors(plain)


def load_block(model: str, data: bytes) -> FoldBlock:
    """Read a fold file whose checksum was verified.

    Raises:
        CodecError: It is not one of ours, or of a newer schema.
    """
    plain = loads(data) if model == "lgbm" else _arrays(load_tensors(data))
    missing = [part for part in FOLD_PARTS if part not in plain]
    if missing:
        raise CodecError(f"fold file without {', '.join(missing)}: another version wrote it")
    if plain["schema"] > FOLD_SCHEMA:
        raise CodecError(f"fold file of schema {plain['schema']}: this version reads {FOLD_SCHEMA}")
    return FoldBlock(
        model=plain["model"],
        fold=plain["fold"],
        proba_NK=plain["oof_proba"],
        proba_imu_NK=plain["oof_proba_imu"],
        knows_K=plain["known_classes"],
        best_step=plain["best_step"],
        packed=plain["packed"],
        gain_F=plain["gain"],
        split_F=plain["split"],
        key=plain["key"],
        last_proba_NK=plain.get("last_proba"),
        last_proba_imu_NK=plain.get("last_proba_imu"),
    )


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
