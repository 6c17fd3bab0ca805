"""Results: the out-of-fold table of a run.

In: ``oof.parquet`` as a frame, and the label table. Out: ``OutOfFold``, and frames to show. The
columns of a model are null for folds that it has not done; those sequences are excluded from its
numbers, not counted as errors.

Shapes: N sequences, K classes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trainer.blend import blend_probabilities
from trainer.models import registry
from trainer.models.temperature import NOT_CALIBRATED, Temperatures

SENSORS = {"all": "", "imu": "_imu"}  # choice of sensors to the suffix of the model's columns

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class OutOfFold:
    """Out-of-fold probabilities, each from the fold that was not trained on the subject.

    Attributes:
        sequence_ids: (N,) names.
        subjects: (N,) names.
        fold_N: (N,) the fold that validates the sequence.
        true_N: (N,) class indices, targets first.
        by_model: Model to (N, K) probabilities, NaN rows where its fold is not done.
        gestures: K names.
        num_targets: How many of the first gestures are targets.
        is_whole: Whether every model of the run has a fold; there is no blend before.
        temperatures: Of the blend's rows.
    """

    sequence_ids: list[str]
    subjects: list[str]
    fold_N: Integers
    true_N: Integers
    by_model: dict[str, Floats]
    gestures: tuple[str, ...]
    num_targets: int
    is_whole: bool = True
    temperatures: Temperatures = NOT_CALIBRATED

    def done_mask(self, model: str) -> Mask:
        """Return which sequences a model, or for the blend every model, has scored."""
        models = list(self.by_model) if model == registry.BLEND else [model]
        masks = [~np.isnan(self.by_model[name][:, 0]) for name in models]
        is_done_N: Mask = np.logical_and.reduce(masks)
        return is_done_N

    @property
    def choices(self) -> tuple[str, ...]:
        """Return the models with at least one fold, and the blend where all share a fold."""
        models = tuple(name for name in self.by_model if self.done_mask(name).any())
        can_blend = self.is_whole and len(self.by_model) > 1
        can_blend = can_blend and bool(self.done_mask(registry.BLEND).any())
        return (*((registry.BLEND,) if can_blend else ()), *models)

    def probabilities(self, model: str, weights: Mapping[str, float]) -> tuple[Mask, Floats]:
        """Return which sequences are scored, and their (M, K) probabilities.

        Args:
            model: One of ``choices``.
            weights: Model to weight; used for the blend only.
        """
        mask = self.done_mask(model)
        if model != registry.BLEND:
            return mask, self.by_model[model][mask]
        parts = {name: proba_NK[mask] for name, proba_NK in self.by_model.items()}
        blended_MK, _ = blend_probabilities(parts, dict(weights))
        return mask, self.temperatures.calibrate(blended_MK, self.fold_N[mask])


def has_imu_only(frame: pl.DataFrame) -> bool:
    """Return whether the models also predicted without thermopiles and time of flight."""
    return any(name.partition(":")[0].endswith(SENSORS["imu"]) for name in frame.columns)


def read_oof(
    frame: pl.DataFrame,
    gestures: tuple[str, ...],
    num_targets: int,
    sensors: str = "all",
    models: Collection[str] = (),
    temperatures: Sequence[float] = (),
) -> OutOfFold:
    """Read the out-of-fold table.

    Args:
        frame: ``oof.parquet``.
        gestures: K names, targets first.
        num_targets: How many of the first gestures are targets.
        sensors: The models' inputs: one of SENSORS.
        models: Those of the run; by default those of the table.
        temperatures: Of the blend's rows of each fold; none of a blend that is not calibrated.

    Raises:
        ValueError: A column is missing, or a gesture is not one of the run's.
    """
    missing = [name for name in ("sequence_id", "subject", "gesture", "fold") if name not in frame]
    unknown = [] if missing else sorted(set(frame["gesture"].to_list()) - set(gestures))
    if missing or unknown:
        what = (
            f"column {missing[0]!r} is missing" if missing else f"gesture {unknown[0]!r} is unknown"
        )
        raise ValueError(f"oof.parquet does not fit this run: {what}")
    position = {gesture: index for index, gesture in enumerate(gestures)}
    by_model = {}
    for model in registry.all_models():
        columns = [f"{model.name}{SENSORS[sensors]}:{gesture}" for gesture in gestures]
        if all(column in frame.columns for column in columns):
            by_model[model.name] = frame.select(pl.col(columns).cast(pl.Float64)).to_numpy()
    calibration = Temperatures(by_fold=tuple(temperatures))
    fold_N = frame["fold"].to_numpy().astype(np.int64)
    if len(by_model) == 1:  # the only model is the blend
        by_model = {
            name: calibration.calibrate(proba_NK, fold_N) for name, proba_NK in by_model.items()
        }
    return OutOfFold(
        sequence_ids=frame["sequence_id"].cast(pl.String).to_list(),
        subjects=frame["subject"].cast(pl.String).to_list(),
        fold_N=fold_N,
        true_N=np.array([position[gesture] for gesture in frame["gesture"]], dtype=np.int64),
        by_model=by_model,
        gestures=gestures,
        num_targets=num_targets,
        is_whole=by_model.keys() >= set(models),
        temperatures=calibration,
    )


def prediction_table(oof: OutOfFold, model: str, weights: Mapping[str, float]) -> pl.DataFrame:
    """Return one row per scored sequence: truth, prediction, its probability and margin.

    For the blend also the prediction of each model.
    """
    mask, proba_MK = oof.probabilities(model, weights)
    kept = np.flatnonzero(mask)
    ordered_MK = np.sort(proba_MK, axis=1)
    gestures = np.array(oof.gestures)
    parts = oof.by_model if model == registry.BLEND else {}
    return pl.DataFrame(
        {
            "sequence_id": [oof.sequence_ids[row] for row in kept],
            "subject": [oof.subjects[row] for row in kept],
            "fold": oof.fold_N[mask],
            "true": gestures[oof.true_N[mask]],
            "predicted": gestures[proba_MK.argmax(axis=1)],
            "probability": ordered_MK[:, -1],
            "margin": ordered_MK[:, -1] - ordered_MK[:, -2],
            "p_true": proba_MK[np.arange(len(kept)), oof.true_N[mask]],
            **{name: gestures[part_NK[mask].argmax(axis=1)] for name, part_NK in parts.items()},
        }
    )
