"""Predicting: a finished run and sequences in, probabilities out.

In: a run folder (or one of its bundles), ``Sequences``. Out: ``Prediction``: blended, by model, by
fold. The Predict page, the command line and the competition's server all use this; it needs
``trainer/`` and the bundles, nothing else.

Shapes: N sequences, K classes, M folds.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.blend import blend_probabilities, vote
from trainer.config import BlendConfig, environment_weights, required_models
from trainer.data.device_orientation import rotate
from trainer.data.orientation_detector import OrientationDetector, decide_orientation, note_turned
from trainer.data.preprocess import Signals, preprocess
from trainer.data.sequences import SENSOR_GROUPS, LabelTable, Sequences
from trainer.models import registry
from trainer.models.base import Proba
from trainer.models.own_code import NO_CODE, OwnCode
from trainer.models.own_networks import NotLoadedError
from trainer.models.temperature import Temperatures, scale
from trainer.predict.fitted_models import (
    BUNDLE_SCHEMA,
    FittedModel,
    PredictError,
    open_model,
    predict_all,
    read_bundle,
)
from trainer.predict.run_code import check_same_code, open_own_code
from trainer.store.names import RunPaths

__all__ = ["BUNDLE_SCHEMA", "PredictError", "Prediction", "Predictor"]

GROUP_NAMES = {"rot": "orientation", "thm": "thermopiles", "tof": "time of flight"}


@dataclass(frozen=True)
class Prediction:
    """The probabilities that a run gives to sequences.

    Attributes:
        sequence_ids: (N,) unicode.
        gestures: K names, targets first.
        num_targets: How many of the K are targets.
        proba_NK: (N, K) float64, blended and calibrated, rows sum to 1.
        by_model: Model to (N, K) float64, averaged over its folds.
        by_fold: Model to (M, N, K) float64.
        weights: Model to the weight it has in the blend; they sum to 1.
        notes: Which models predicted, and which sensors were not used or missing, in words.
        temperature: Divisor of the logarithms of the blend; 1 where it is not calibrated.
    """

    sequence_ids: NDArray[np.str_]
    gestures: tuple[str, ...]
    num_targets: int
    proba_NK: Proba
    by_model: dict[str, Proba]
    by_fold: dict[str, Proba]
    weights: dict[str, float]
    notes: tuple[str, ...]
    temperature: float = 1.0

    @property
    def predicted(self) -> list[str]:
        """Return the most probable gesture of each sequence."""
        return [self.gestures[k] for k in np.argmax(self.proba_NK, axis=1)]

    @property
    def target_proba_N(self) -> Proba:
        """Return the probability that each sequence is a target gesture, (N,)."""
        return np.asarray(self.proba_NK[:, : self.num_targets].sum(axis=1))


@dataclass(frozen=True)
class Predictor:
    """A run's models in memory.

    Attributes:
        root: The run folder.
        labels: The label table.
        weights: Blend weights as configured.
        temperatures: Calibrate the blend.
        mirror_left_handers: Whether left-handers were mirrored in training.
        turned_subjects: Subjects whose device orientation was corrected in training.
        detector: Finds the recordings of others whose device orientation is to be corrected; None
            where the run has none.
        models: The models that have a bundle and whose libraries can be imported, by name.
        notes: Which models of the run are not used, and why, in words.
        own: The run's own code, loaded.
    """

    root: Path
    labels: LabelTable
    weights: Mapping[str, float]
    temperatures: Temperatures
    mirror_left_handers: bool
    turned_subjects: tuple[str, ...]
    detector: OrientationDetector | None
    models: Mapping[str, FittedModel]
    notes: tuple[str, ...]
    own: OwnCode = NO_CODE

    @classmethod
    def load(cls, path: Path) -> Predictor:
        """Load a run's bundles after their checksums were verified.

        Args:
            path: A run folder, or an ``lgbm_bundle.pkl``.

        Raises:
            PredictError: There is no bundle, one is damaged, they have different gestures, no
                model's library can be imported, or a model cannot be used that
                FAIL_IF_TORCH_MISSING or the run's configuration requires.
        """
        root = path if path.is_dir() else path.parent
        own = open_own_code(root)
        models = {model.name: None for model in registry.all_models()} | dict(own.models)
        found, errors = dict[str, dict[str, Any]](), dict[str, str]()
        with ThreadPoolExecutor(1) as pool:  # the next bundle is read during a library's import
            reading = {name: pool.submit(read_bundle, root, name, models[name]) for name in models}
            for name, each in reading.items():
                if (bundle := each.result()) is not None:
                    found[name] = bundle
                    errors |= registry.load_errors([name])
        if not found:
            raise PredictError(
                f"{root}: has no bundle, so no model is finished. Train or resume the run until "
                f"all folds of at least one model are done"
            )
        first = next(iter(found.values()))
        _check_required(root, found, errors, bool(first["fail_if_torch_missing"]))
        _check_same_labels(root, found)
        check_same_code(root, found, own)
        try:
            fitted = {
                model: open_model(bundle, RunPaths(root).bundle(model), own.models.get(model))
                for model, bundle in found.items()
                if model not in errors
            }
        except NotLoadedError as error:  # a bundle of other code than the run's
            raise PredictError(f"{root}: {error}") from error
        return cls(
            root=root,
            labels=LabelTable(tuple(first["gestures"]), int(first["num_targets"])),
            weights=first["weights"] | environment_weights(os.environ),
            temperatures=Temperatures.from_plain(
                first.get("temperatures", {}), len(first["folds"])
            ),
            mirror_left_handers=bool(first["mirror_left_handers"]),
            turned_subjects=tuple(first.get("turned_subjects", ())),
            detector=OrientationDetector.from_plain(first.get("orientation_detector", {})),
            models=fitted,
            notes=_describe_missing(first, found, errors),
            own=own,
        )

    def signals(self, sequences: Sequences) -> Signals:
        """Return the preprocessed signals that the models' inputs are computed from.

        Args:
            sequences: Any recordings; their device orientation is corrected.
        """
        decided = self.decide_orientation(sequences)
        return preprocess(rotate(decided, decided.turned_N), self.mirror_left_handers)

    def decide_orientation(self, sequences: Sequences, as_worn: bool = False) -> Sequences:
        """Return recordings with the decision whose device orientation is corrected.

        Args:
            sequences: All recordings of an upload: those of a subject are decided together. A
                decision that they carry is kept.
            as_worn: Correct none.
        """
        return decide_orientation(sequences, self.turned_subjects, self.detector, as_worn)

    def predict(self, sequences: Sequences, fold: int | None = None) -> Prediction:
        """Return the probabilities of sequences.

        Args:
            sequences: Any recordings; labels are not used. Their device orientation is corrected
                before all models; ``decide_orientation`` comes first to predict them as worn.
            fold: Predict with this fold's models only: a training sequence was not used by the
                models of the fold that validated its subject. None uses all folds.

        Raises:
            PredictError: There is no such fold.
        """
        models = self.models_of(fold)
        sequences = self.decide_orientation(sequences)
        signals = self.signals(sequences)
        by_fold = predict_all(models, signals, self.own.blocks)
        by_model = {
            model: vote(by_fold[model], fitted.weights_M, fitted.known_MK)
            for model, fitted in models.items()
        }
        blended_NK, used = blend_probabilities(by_model, self.weights)
        temperature = self.temperatures.of(models, fold)
        return Prediction(
            sequence_ids=sequences.sequence_ids,
            gestures=self.labels.gestures,
            num_targets=self.labels.num_targets,
            proba_NK=scale(blended_NK, temperature),
            by_model=by_model,
            by_fold=by_fold,
            weights=used,
            temperature=temperature,
            notes=(
                *(*self.notes, *self.temperatures.describe_missing(models)),
                *_describe(sequences, used, self.groups),
            ),
        )

    def models_of(self, fold: int | None) -> dict[str, FittedModel]:
        """Return the models with one fold only, or with all folds for None.

        Raises:
            PredictError: There is no such fold.
        """
        for fitted in self.models.values():
            if fold is not None and not 0 <= fold < len(fitted.folds):
                raise PredictError(
                    f"fold: expected one of 0 to {len(fitted.folds) - 1}, got {fold}. Choose one "
                    f"of them, or use all folds"
                )
        if fold is None:
            return dict(self.models)
        return {
            model: fitted.select(np.arange(len(fitted.folds)) == fold)
            for model, fitted in self.models.items()
        }

    @property
    def groups(self) -> tuple[str, ...]:
        """Return the sensor groups that at least one model uses, in SENSOR_GROUPS order."""
        used = {group for fitted in self.models.values() for group in fitted.groups}
        return tuple(group for group in SENSOR_GROUPS if group in used)


def _check_required(
    root: Path, bundles: Mapping[str, Any], errors: Mapping[str, str], is_required: bool
) -> None:
    """Refuse to predict without a required model; the environment takes precedence.

    Where the network is required, each model with a bundle is.
    """
    configured = BlendConfig(fail_if_torch_missing=is_required).required_models
    required = required_models(os.environ, configured)
    without = "set FAIL_IF_TORCH_MISSING=0 to predict without"
    if errors and (required or len(errors) == len(bundles)):
        raise PredictError(
            f"{root}: {registry.describe_load_errors(errors)}. Install or repair it (pip "
            f"install -r requirements.txt){f', or {without}' if required else ''}"
        )
    for name in required:
        if name not in bundles:
            phrase = registry.get(name).phrase
            raise PredictError(
                f"{root}: the bundle of {phrase} is missing, and FAIL_IF_TORCH_MISSING or the "
                f"run's blend.fail_if_torch_missing requires it. Finish the folds of {phrase}, or "
                f"{without}"
            )


def _check_same_labels(root: Path, bundles: Mapping[str, Any]) -> None:
    """Refuse bundles of runs with different gestures."""
    labels = {(*bundle["gestures"], bundle["num_targets"]) for bundle in bundles.values()}
    if len(labels) > 1:
        raise PredictError(
            f"{root}: the bundles have different gestures, so they come from different runs. Use a "
            f"folder with the bundles of one run"
        )


def _describe_missing(
    first: Mapping[str, Any], found: Mapping[str, Any], errors: Mapping[str, str]
) -> tuple[str, ...]:
    """Return notes on the models of the run that are not used."""
    notes = []
    left_out = first.get("left_out", {})
    for model in first["weights"]:
        if model in errors:
            notes.append(f"{registry.describe_load_errors({model: errors[model]})}: not used")
        elif model not in found and model in left_out:
            notes += registry.describe_left_out({model: left_out[model]})
        elif model not in found:
            notes.append(f"{registry.phrase(model)} has no bundle in this run: not used")
    return tuple(notes)


def _describe(
    sequences: Sequences, used: Mapping[str, float], used_groups: tuple[str, ...]
) -> tuple[str, ...]:
    """Return notes on the models that predicted and the sensors that were used."""
    models = ", ".join(f"{registry.phrase(name)} {weight:.2f}" for name, weight in used.items())
    notes = [f"predicted by: {models}", *note_turned(sequences)]
    present = sequences.presence()
    unused = [GROUP_NAMES[group] for group in present if group not in used_groups]
    if unused:
        notes.append(f"not used, because the run was trained without: {', '.join(unused)}")
    notes += [
        f"{GROUP_NAMES[group]}: only in {present_N.sum()} of {len(present_N)} sequences"
        for group, present_N in present.items()
        if group in used_groups and not present_N.all()
    ]
    missing = [name for group, name in GROUP_NAMES.items() if group not in present]
    if missing:
        notes.append(f"not in this recording: {', '.join(missing)}")
    return tuple(notes)
