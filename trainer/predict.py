"""Predicting: a finished run and sequences in, probabilities out.

In: a run folder (or an ``lgbm_bundle.pkl`` with the network's bundle beside it), ``Sequences``.
Out: ``Prediction``: blended, by model, by fold. The page, the command line and the competition's
server all use this; it needs ``trainer/`` and the run folder, nothing else.

Shapes: N sequences, K classes, M folds.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.blend import blend_probabilities, vote
from trainer.config import environment_weights, is_switched_on
from trainer.data.preprocess import Signals, preprocess
from trainer.data.sequences import LabelTable, Sequences
from trainer.features.frames import build_frames
from trainer.features.table import FeatureTable, align, build_table
from trainer.models.boosted import predict as predict_boosting
from trainer.models.packing import unpack_boosting, unpack_network
from trainer.store.checksums import CheckedFolder
from trainer.store.codec import CodecError, loads, unseal
from trainer.store.names import RunPaths

Proba = NDArray[np.float64]

MODEL_NAMES = {"lgbm": "LightGBM", "torch": "the network"}
BUNDLE_SCHEMA = 1
BUNDLE_PARTS = (
    *("schema", "model", "gestures", "num_targets", "weights", "fold_weights"),
    *("mirror_left_handers", "fail_if_torch_missing", "folds"),
)
BUNDLE_SCHEMA = 1
BUNDLE_PARTS = (
    *("schema", "model", "gestures", "num_targets", "weights", "fold_weights"),
    *("mirror_left_handers", "fail_if_torch_missing", "folds"),
)
NUM_THREADS = 1  # one sequence is too little to share out (DESIGN.md section 5)
GROUP_NAMES = {"rot": "orientation", "thm": "thermopiles", "tof": "time of flight"}


class PredictError(RuntimeError):
    """No answer can be given; the message says what is missing and what to do."""


@dataclass(frozen=True)
class Prediction:
    """What a run says of sequences.

    Attributes:
        sequence_ids: (N,) unicode.
        gestures: K names, targets first.
        num_targets: How many of the K are targets.
        proba_NK: (N, K) float64, blended, rows sum to 1.
        by_model: Model to (N, K) float64, folds voted.
        by_fold: Model to (M, N, K) float64.
        weights: Model to the weight really used; they sum to 1.
        notes: Which models answered and what was missing, in plain words.
    """

    sequence_ids: NDArray[np.str_]
    gestures: tuple[str, ...]
    num_targets: int
    proba_NK: Proba
    by_model: dict[str, Proba]
    by_fold: dict[str, Proba]
    weights: dict[str, float]
    notes: tuple[str, ...]

    @property
    def answers(self) -> list[str]:
        """Return the most probable gesture of each sequence."""
        return [self.gestures[k] for k in np.argmax(self.proba_NK, axis=1)]

    @property
    def target_proba_N(self) -> Proba:
        """Return the probability that each sequence is a target gesture, (N,)."""
        return np.asarray(self.proba_NK[:, : self.num_targets].sum(axis=1))


@dataclass(frozen=True)
class _Half:
    """One model's folds, ready to predict."""

    folds: tuple[Any, ...]
    weights_M: Proba
    knows_MK: NDArray[np.bool_]


@dataclass(frozen=True)
class Predictor:
    """A run's models in memory.

    Attributes:
        root: The run folder.
        labels: The label table.
        weights: Blend weights as configured.
        mirror_left_handers: Whether the models saw left-handers mirrored.
        notes: What is missing, in plain words.
    """

    root: Path
    labels: LabelTable
    weights: Mapping[str, float]
    mirror_left_handers: bool
    halves: Mapping[str, _Half]
    notes: tuple[str, ...]

    @classmethod
    def load(cls, path: Path) -> Predictor:
        """Load a run's bundles after their checksums were verified.

        Args:
            path: A run folder, or an ``lgbm_bundle.pkl``.

        Raises:
            PredictError: No bundle, a damaged one, two of different gestures, or no network where
                FAIL_IF_TORCH_MISSING or the run's configuration asks for one.
        """
        root = path if path.is_dir() else path.parent
        bundles = {model: _read_bundle(root, model) for model in ("lgbm", "torch")}
        there = {model: bundle for model, bundle in bundles.items() if bundle is not None}
        if not there:
            raise PredictError(
                f"{root}: no bundle there, so no model is finished. Train or resume the run until "
                f"all folds of at least one model are done"
            )
        first = next(iter(there.values()))
        _demand_network(root, there, bool(first["fail_if_torch_missing"]))
        _demand_same_labels(root, there)
        return cls(
            root=root,
            labels=LabelTable(tuple(first["gestures"]), int(first["num_targets"])),
            weights=first["weights"] | environment_weights(os.environ),
            mirror_left_handers=bool(first["mirror_left_handers"]),
            halves={model: _open(bundle) for model, bundle in there.items()},
            notes=tuple(
                f"{MODEL_NAMES[model]} has no bundle in this run: not used"
                for model in bundles
                if model not in there
            ),
        )

    def predict(self, sequences: Sequences, fold: int | None = None) -> Prediction:
        """Return what the run says of sequences.

        Args:
            sequences: Any, labelled or not; labels are not looked at.
            fold: Ask only this fold's models: for a training sequence, the fold that validated
                its subject has not seen it. None asks all folds.

        Raises:
            PredictError: There is no such fold.
        """
        for half in self.halves.values():
            if fold is not None and not 0 <= fold < len(half.folds):
                raise PredictError(
                    f"fold: expected one of 0 to {len(half.folds) - 1}, got {fold}. Choose one of "
                    f"them, or ask all folds"
                )
        signals = preprocess(sequences, self.mirror_left_handers)
        table = build_table(signals) if "lgbm" in self.halves else None
        by_fold = {
            model: _predict_half(model, half, signals, table, fold)
            for model, half in self.halves.items()
        }
        by_model = {
            model: vote(proba_MNK, _chosen(half.weights_M, fold), _chosen(half.knows_MK, fold))
            for (model, proba_MNK), half in zip(by_fold.items(), self.halves.values(), strict=True)
        }
        blended_NK, used = blend_probabilities(by_model, self.weights)
        return Prediction(
            sequence_ids=sequences.sequence_ids,
            gestures=self.labels.gestures,
            num_targets=self.labels.num_targets,
            proba_NK=blended_NK,
            by_model=by_model,
            by_fold=by_fold,
            weights=used,
            notes=(*self.notes, *_describe(sequences, used)),
        )


def _read_bundle(root: Path, model: str) -> dict[str, Any] | None:
    path = RunPaths(root).bundle(model)
    if not path.exists():
        return None
    try:
        bundle: dict[str, Any] = loads(_verified(path))
    except CodecError as error:
        raise PredictError(f"{path}: {error}") from error
    if bundle.get("schema", 0) > BUNDLE_SCHEMA:
        raise PredictError(
            f"{path}: schema {bundle['schema']} is newer than this version's {BUNDLE_SCHEMA}. "
            f"Update the project to use it"
        )
    missing = [part for part in BUNDLE_PARTS if part not in bundle]
    if missing:
        raise PredictError(
            f"{path}: expected a bundle with {', '.join(missing)}, got one without: an older "
            f"version wrote it. Resume the run to make it again from the fold files"
        )
    return bundle


def _verified(path: Path) -> bytes:
    """Return a bundle's bytes: as its run recorded them or, away from its run, as it is sealed."""
    folder = CheckedFolder(path.parent)
    data = folder.read(path.name)
    if data is None and folder.checksums().find(path.name) is None:
        data = path.read_bytes()
    content = None if data is None else unseal(data)
    if content is None:
        raise PredictError(
            f"{path}: its SHA-256 is not the recorded one, so it is damaged. Run python -m trainer "
            f"resume {path.parent.name} to make it again from the fold files, or copy it again"
        )
    return content


def _demand_network(root: Path, there: Mapping[str, Any], is_demanded: bool) -> None:
    """Refuse to answer without the network where that was asked; the environment has the word."""
    if "torch" in there:
        return
    if is_switched_on(os.environ, "FAIL_IF_TORCH_MISSING", default=is_demanded):
        raise PredictError(
            f"{root}: the network's bundle is missing, and FAIL_IF_TORCH_MISSING or the run's "
            f"blend.fail_if_torch_missing asks for it. Finish the network's folds, or set "
            f"FAIL_IF_TORCH_MISSING=0 to answer by LightGBM alone"
        )


def _demand_same_labels(root: Path, there: Mapping[str, Any]) -> None:
    """Refuse bundles that were put side by side but answer different questions."""
    labels = {(*bundle["gestures"], bundle["num_targets"]) for bundle in there.values()}
    if len(labels) > 1:
        raise PredictError(
            f"{root}: the two bundles know different gestures, so they are of different runs. Put "
            f"the bundles of one run there"
        )


def _open(bundle: Mapping[str, Any]) -> _Half:
    unpack = unpack_boosting if bundle["model"] == "lgbm" else unpack_network
    folds = bundle["folds"]
    is_by_score = bundle["fold_weights"] == "score"
    return _Half(
        folds=tuple(unpack(fold["packed"]) for fold in folds),
        weights_M=np.array([fold["score"] if is_by_score else 1.0 for fold in folds]),
        knows_MK=np.stack([fold["known_classes"] for fold in folds]),
    )


def _chosen(array_M: NDArray[Any], fold: int | None) -> NDArray[Any]:
    return array_M if fold is None else array_M[fold : fold + 1]


def _predict_half(
    model: str, half: _Half, signals: Signals, table: FeatureTable | None, fold: int | None
) -> Proba:
    """Return (M, N, K) probabilities, M = 1 where one fold is asked."""
    folds = half.folds if fold is None else half.folds[fold : fold + 1]
    if model == "lgbm":
        assert table is not None
        return np.stack(
            [predict_boosting(each, align(table, each.names), NUM_THREADS) for each in folds]
        )
    import torch

    from trainer.models.inference import predict_fold

    torch.set_num_threads(NUM_THREADS)
    frames = build_frames(signals)
    sequence_idx = np.arange(len(signals.offsets) - 1)
    return np.stack([predict_fold(each, frames, sequence_idx) for each in folds])


def _describe(sequences: Sequences, used: Mapping[str, float]) -> tuple[str, ...]:
    answered = ", ".join(f"{MODEL_NAMES[model]} {weight:.2f}" for model, weight in used.items())
    missing = [name for group, name in GROUP_NAMES.items() if group not in sequences.groups]
    notes = [f"answered by: {answered}"]
    if missing:
        notes.append(f"not in this recording: {', '.join(missing)}")
    return tuple(notes)
