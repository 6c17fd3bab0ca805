"""Result tables: made again from the fold files whenever a fold is done.

In: fold results. Out: ``oof.parquet``, ``scores.json``, ``feature_importance.csv``, the bundles.

Shapes: N sequences, K classes, M folds, F features.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trainer.blend import BlendError, blend_probabilities, used_weights
from trainer.config import Config
from trainer.folds import FoldAssignment
from trainer.models import registry
from trainer.models.base import FoldResult
from trainer.models.temperature import NOT_CALIBRATED, Temperatures
from trainer.predict.fitted_models import BUNDLE_SCHEMA
from trainer.run.calibration import fit_temperatures
from trainer.run.fold_result_file import score_row
from trainer.store.codec import dumps, seal
from trainer.store.records import DataSummary, ModelScores, ScoreRow, Scores, SensorScores

Proba = NDArray[np.float64]
Blocks = Mapping[tuple[str, int], FoldResult]


@dataclass(frozen=True)
class OutOfFold:
    """Out-of-fold probabilities of one model under one choice of sensors.

    Attributes:
        proba_NK: (N, K) float64, NaN rows where the fold is not done.
        done_N: (N,) bool.
    """

    proba_NK: Proba
    done_N: NDArray[np.bool_]


def out_of_fold(
    folds: FoldAssignment, blocks: Blocks, model: str, imu_only: bool = False
) -> OutOfFold | None:
    """Put the validation blocks of one model together; None where there is none."""
    proba_NK = np.full((len(folds.label_idx), folds.labels.num_classes), np.nan)
    for (name, fold), block in blocks.items():
        part_NK = block.proba_imu_NK if imu_only else block.proba_NK
        if name == model and part_NK is not None:
            proba_NK[folds.fold_N == fold] = part_NK
    done_N = ~np.isnan(proba_NK[:, 0])
    return OutOfFold(proba_NK, done_N) if done_N.any() else None


def fit_blend_temperatures(folds: FoldAssignment, blocks: Blocks, config: Config) -> Temperatures:
    """Return the temperatures of the blend; none where there is none or it is not calibrated."""
    blend = _part(folds, blocks, config, registry.BLEND) if config.blend.calibrate else None
    if blend is None:
        return NOT_CALIBRATED
    return fit_temperatures(folds, blend.proba_NK, config.models)


def oof_bytes(folds: FoldAssignment, blocks: Blocks, models: Sequence[str]) -> bytes:
    """Return ``oof.parquet``: null where a fold is not done."""
    frame = folds.to_frame()
    for imu_only, suffix in ((False, ""), (True, "_imu")):
        for model in models:
            part = out_of_fold(folds, blocks, model, imu_only)
            if part is None:
                continue
            columns = [
                pl.Series(f"{model}{suffix}:{gesture}", part.proba_NK[:, k], nan_to_null=True)
                for k, gesture in enumerate(folds.labels.gestures)
            ]
            frame = frame.with_columns(columns)
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def scores(folds: FoldAssignment, blocks: Blocks, config: Config) -> Scores:
    """Score every model and the blend: all sensors, IMU only, and their mean.

    Twice: of the models that predict, and at the best round or epoch of each fold.
    """
    optimistic = [each.name for each in registry.select(config.models) if each.selects_best(config)]
    return Scores(
        weights=used_weights(dict.fromkeys(config.models), config.blend.by_model),
        models=_model_scores(folds, blocks, config),
        best=_model_scores(folds, at_best_steps(blocks), config),
        optimistic=(*optimistic, registry.BLEND) if optimistic else (),
        shared_subjects=config.folds.shared_subjects,
        fold_temperatures=fit_blend_temperatures(folds, blocks, config).by_fold,
    )


def at_best_steps(blocks: Blocks) -> Blocks:
    """Return the blocks with the probabilities of each fold's best round or epoch.

    A model is left out if one of its folds does not have them.
    """
    without = {model for (model, _), block in blocks.items() if block.best_proba_NK is None}
    return {
        key: replace(block, proba_NK=block.best_proba_NK, proba_imu_NK=block.best_proba_imu_NK)
        for key, block in blocks.items()
        if block.best_proba_NK is not None and key[0] not in without
    }


def _model_scores(folds: FoldAssignment, blocks: Blocks, config: Config) -> dict[str, ModelScores]:
    """Return the scores of each model that has any, and of the blend where every model has."""
    models: dict[str, ModelScores] = {}
    for name in (*config.models, registry.BLEND):
        both = [
            _sensor_scores(folds, _part(folds, blocks, config, name, imu_only))
            for imu_only in (False, True)
        ]
        if both[0] is not None:
            models[name] = ModelScores(
                all_sensors=both[0], imu_only=both[1], half_and_half=_half_and_half(*both)
            )
    return models


def importance_bytes(blocks: Blocks, num_folds: int) -> bytes | None:
    """Return ``feature_importance.csv``, or None before all LightGBM folds are done."""
    for model in dict.fromkeys(name for name, _ in blocks):
        done = [blocks.get((model, fold)) for fold in range(num_folds)]
        whole = [block for block in done if block is not None]
        if registry.get(model).has_importance:
            return None if len(whole) < num_folds else _importance_csv(whole)
    return None


def _importance_csv(blocks: Sequence[FoldResult]) -> bytes:
    frame = importance_table(dict(enumerate(blocks)))
    return frame.sort("gain_mean", "feature", descending=[True, False]).write_csv().encode()


def importance_table(blocks: Mapping[int, FoldResult]) -> pl.DataFrame:
    """Return ``feature_importance.csv``'s columns over the given folds of a model, at least one."""
    names: list[str] = next(iter(blocks.values())).packed["feature_names"]
    gain_MF = np.stack([np.asarray(block.gain_F, dtype=np.float64) for block in blocks.values()])
    split_MF = np.stack([np.asarray(block.split_F, dtype=np.float64) for block in blocks.values()])
    return pl.DataFrame(
        {
            "feature": names,
            "sensor": [name.partition(".")[0] for name in names],
            "gain_mean": gain_MF.mean(axis=0),
            "gain_std": gain_MF.std(axis=0),
            "split_mean": split_MF.mean(axis=0),
            "split_std": split_MF.std(axis=0),
        }
    ).with_columns(
        *(pl.Series(f"gain_fold{fold:02d}", gain_MF[i]) for i, fold in enumerate(blocks)),
        *(pl.Series(f"split_fold{fold:02d}", split_MF[i]) for i, fold in enumerate(blocks)),
    )


def bundle_bytes(
    folds: FoldAssignment,
    blocks: Blocks,
    config: Config,
    model: str,
    temperatures: Temperatures,
    recordings: DataSummary,
    left_out: Mapping[str, str],
) -> bytes | None:
    """Return all that prediction needs of one model, or None before all its folds are done."""
    whole = [blocks.get((model, fold)) for fold in range(folds.num_folds)]
    done = [block for block in whole if block is not None]
    if len(done) < folds.num_folds:
        return None
    parts: list[dict[str, Any]] = []
    for fold, block in enumerate(done):
        true_idx = folds.label_idx[folds.fold_N == fold]
        row = score_row(true_idx, block.proba_NK, folds.labels.num_targets)
        parts.append(
            {
                "score": row.score,
                "known_classes": block.known_K,
                "packed": block.packed,
            }
        )
    bundle = dumps(
        {
            "schema": BUNDLE_SCHEMA,
            "model": model,
            "input_version": registry.get(model).input_version,
            "gestures": list(folds.labels.gestures),
            "num_targets": folds.labels.num_targets,
            "weights": config.blend.by_model,
            **({"temperatures": temperatures.to_plain()} if temperatures.models else {}),
            "fold_weights": config.blend.fold_weights,
            "fail_if_torch_missing": config.blend.fail_if_torch_missing,
            "mirror_left_handers": config.data.mirror_left_handers,
            "turned_subjects": list(recordings.turned_subjects),
            "orientation_detector": {
                name: list(numbers) for name, numbers in recordings.orientation_detector.items()
            },
            "folds": parts,
            **({"left_out": dict(left_out)} if left_out else {}),
            **({"use": list(config.use)} if config.use else {}),
        }
    )
    return seal(bundle)


def _part(
    folds: FoldAssignment, blocks: Blocks, config: Config, name: str, imu_only: bool = False
) -> OutOfFold | None:
    """Return one model's out-of-fold part, or the blend's where every model has one.

    The blend's is not calibrated: a temperature for each fold changes no predicted gesture.
    """
    if name != registry.BLEND:
        return out_of_fold(folds, blocks, name, imu_only)
    parts = {model: out_of_fold(folds, blocks, model, imu_only) for model in config.models}
    there = {model: part for model, part in parts.items() if part is not None}
    if len(there) < len(parts):
        return None
    done_N = np.logical_and.reduce([part.done_N for part in there.values()])
    if not done_N.any():
        return None
    try:
        blended_NK, _ = blend_probabilities(
            {model: part.proba_NK for model, part in there.items()}, config.blend.by_model
        )
    except BlendError:
        return None  # the only model of this run has weight 0: there is no blend to score
    return OutOfFold(blended_NK, done_N)


def _sensor_scores(folds: FoldAssignment, part: OutOfFold | None) -> SensorScores | None:
    if part is None:
        return None

    def row(mask_N: NDArray[np.bool_]) -> ScoreRow:
        return score_row(folds.label_idx[mask_N], part.proba_NK[mask_N], folds.labels.num_targets)

    rows = tuple(
        row(folds.fold_N == fold) if part.done_N[folds.fold_N == fold].all() else None
        for fold in range(folds.num_folds)
    )
    done = [fold.score for fold in rows if fold is not None]
    return SensorScores(
        folds=rows,
        mean=float(np.mean(done)),
        std=float(np.std(done)),
        oof=row(part.done_N),
    )


def _half_and_half(all_sensors: SensorScores | None, imu: SensorScores | None) -> float | None:
    """Return the mean of both out-of-fold scores: half of the competition's test has no more."""
    if all_sensors is None or imu is None or all_sensors.oof is None or imu.oof is None:
        return None
    return 0.5 * (all_sensors.oof.score + imu.oof.score)
