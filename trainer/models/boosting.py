"""One LightGBM fold, boosted in segments so that it resumes exactly inside the fold.

In: the feature table and one fold's split. Out: ``BoostingFold``.

The segment that starts at round r is a fresh booster on the fold's data, binned once, that starts
from the running raw scores and draws from a seed derived from (run seed, fold, r). So it is a
function of what a checkpoint holds, also in a run that is never interrupted (DESIGN.md section 5).

Shapes: N sequences, F features, K classes, P classes present in the training part.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.config import BoostingConfig
from trainer.metric import Score, competition_score
from trainer.models.boosted import (
    BoostingModel,
    FloatTable,
    Index,
    Scores,
    hideable_mask,
    load_booster,
    predict,
    softmax,
)
from trainer.models.monitor import Monitor, Paused
from trainer.models.seeds import derive_seed
from trainer.models.trees import join

if TYPE_CHECKING:
    import lightgbm as lgb


@dataclass(frozen=True)
class BoostingTask:
    """What one fold is made from.

    Attributes:
        values_NF: (N, F) float32, NaN missing.
        names: F feature names ``sensor.signal.statistic``.
        label_idx: (N,) class indices, targets first.
        num_classes: K.
        num_targets: How many of the K classes are targets.
        train_idx: Rows to learn from.
        valid_idx: Rows to stop early on and to score.
    """

    values_NF: FloatTable
    names: tuple[str, ...]
    label_idx: Index
    num_classes: int
    num_targets: int
    train_idx: Index
    valid_idx: Index


@dataclass(frozen=True)
class BoostingFold:
    """One finished fold.

    Attributes:
        model: The joined model up to the best round.
        best_round: Rounds it holds.
        num_rounds: Rounds that were boosted until early stopping.
        score: Of the validation part, all sensors.
        valid_proba_NK: (valid, K) float64, out-of-fold probabilities.
        valid_proba_imu_NK: The same with thermopiles and time of flight hidden, or None where
            no such feature exists.
        gain_F: (F,) float64, total gain per feature.
        split_F: (F,) int64, number of splits per feature.
    """

    model: BoostingModel
    best_round: int
    num_rounds: int
    score: Score
    valid_proba_NK: Scores
    valid_proba_imu_NK: Scores | None
    gain_F: Scores
    split_F: Index


@dataclass(frozen=True)
class _Progress:
    """The point to resume from, always between two segments."""

    train_scores_NP: Scores
    valid_scores_NP: Scores
    texts: tuple[str, ...]
    losses: tuple[float, ...]
    best_round: int
    best_loss: float

    @property
    def next_round(self) -> int:
        return len(self.losses)


def fit_fold(
    task: BoostingTask,
    config: BoostingConfig,
    seed: int,
    fold: int,
    monitor: Monitor,
    checkpoint: dict[str, Any] | None = None,
) -> BoostingFold:
    """Boost one fold from the start or from a checkpoint; both give the same bits.

    Args:
        task: Data and split.
        config: Rounds, segments, tree parameters.
        seed: The run's seed.
        fold: From 0.
        monitor: Told of every round and segment, asked whether to stop.
        checkpoint: What ``monitor.save`` was given last, or None.

    Raises:
        Paused: The monitor asked to stop; the unfinished segment is given up and redone later.
        ValueError: The training part holds fewer than two classes.
    """
    data = _FoldData.build(task, config, seed, fold)
    progress = data.start() if checkpoint is None else _unpack(checkpoint)
    while not _is_over(progress, config):
        progress = _boost_segment(data, progress, config, seed, fold, monitor)
        monitor.save(_pack(progress))
        monitor.record("segment", _report(task, data, progress, config))
    return _finish(task, data, progress)


@dataclass(frozen=True)
class _FoldData:
    """One fold's data, binned once per process.

    Attributes:
        train_NF: (train, F) float32, some rows without thermopiles and time of flight.
        valid_NF: (valid, F) float32.
        class_idx: (P,) classes of the training part.
        train_label_idx: (train,) in 0..P-1.
        valid_label_idx: (valid,) in 0..P-1, -1 where the training part lacks the class.
        train_set: Bins of the training part.
        valid_set: Bins of the validation rows whose class is known.
    """

    train_NF: FloatTable
    valid_NF: FloatTable
    class_idx: Index
    train_label_idx: Index
    valid_label_idx: Index
    train_set: lgb.Dataset
    valid_set: lgb.Dataset

    @classmethod
    def build(cls, task: BoostingTask, config: BoostingConfig, seed: int, fold: int) -> _FoldData:
        class_idx, train_label_idx = np.unique(task.label_idx[task.train_idx], return_inverse=True)
        if len(class_idx) < 2:
            raise ValueError(
                f"fold {fold}: expected at least 2 gestures in the training part, got "
                f"{len(class_idx)}; use fewer folds or more subjects"
            )
        position_K = np.full(task.num_classes, -1, dtype=np.int64)
        position_K[class_idx] = np.arange(len(class_idx))
        train_NF = _drop_modalities(task, config.modality_dropout, seed, fold)
        valid_NF = task.values_NF[task.valid_idx]
        valid_label_idx = position_K[task.label_idx[task.valid_idx]]
        known = valid_label_idx >= 0
        train_set = _dataset(
            train_NF, train_label_idx, config, derive_seed(seed, "lgbm", fold, "bins")
        )
        valid_set = train_set.create_valid(
            valid_NF[known], label=valid_label_idx[known], params=train_set.get_params()
        )
        return cls(
            train_NF, valid_NF, class_idx, train_label_idx, valid_label_idx, train_set, valid_set
        )

    @property
    def log_shares_P(self) -> Scores:
        """Return the start scores."""
        counts_P = np.bincount(self.train_label_idx, minlength=len(self.class_idx))
        return np.asarray(np.log(counts_P / counts_P.sum()), dtype=np.float64)

    def start(self) -> _Progress:
        """Return the state before the first round."""
        return _Progress(
            train_scores_NP=np.tile(self.log_shares_P, (len(self.train_NF), 1)),
            valid_scores_NP=np.tile(self.log_shares_P, (len(self.valid_NF), 1)),
            texts=(),
            losses=(),
            best_round=0,
            best_loss=float("inf"),
        )


def _drop_modalities(task: BoostingTask, share: float, seed: int, fold: int) -> FloatTable:
    """Return the training rows, a share of them without thermopile and time-of-flight features."""
    train_NF = task.values_NF[task.train_idx]
    hideable = hideable_mask(task.names)
    if hideable.any() and share > 0.0:
        random = np.random.default_rng(derive_seed(seed, "lgbm", fold, "modality dropout"))
        hidden_rows = np.flatnonzero(random.random(len(train_NF)) < share)
        train_NF[np.ix_(hidden_rows, np.flatnonzero(hideable))] = np.nan
    return train_NF


def _dataset(
    train_NF: FloatTable, label_idx: Index, config: BoostingConfig, bin_seed: int
) -> lgb.Dataset:
    import lightgbm as lgb

    params = {
        "max_bin": config.max_bin,
        "data_random_seed": bin_seed,
        "feature_pre_filter": False,
        "num_threads": config.num_threads,
        "verbosity": -1,
    }
    return lgb.Dataset(train_NF, label=label_idx, params=params, free_raw_data=False)


def _boost_segment(
    data: _FoldData,
    progress: _Progress,
    config: BoostingConfig,
    seed: int,
    fold: int,
    monitor: Monitor,
) -> _Progress:
    """Boost from one checkpoint to the next, or to where early stopping ends it."""
    import lightgbm as lgb

    first_round = progress.next_round
    known = data.valid_label_idx >= 0
    data.train_set.set_init_score(progress.train_scores_NP.ravel(order="F"))
    data.valid_set.set_init_score(progress.valid_scores_NP[known].ravel(order="F"))
    params = _parameters(config, len(data.class_idx), seed, fold, first_round)
    booster = lgb.Booster(params=params, train_set=data.train_set)
    booster.add_valid(data.valid_set, "valid")
    last_round = min(first_round + config.segment_rounds, config.rounds)
    after = progress
    while after.next_round < last_round and not _is_over(after, config):
        if monitor.should_stop():
            raise Paused
        booster.update()
        after = _note_loss(after, float(booster.eval_valid()[0][2]))
        monitor.advance(after.next_round, config.rounds)
    return replace(
        after,
        train_scores_NP=progress.train_scores_NP + booster.predict(data.train_NF, raw_score=True),
        valid_scores_NP=progress.valid_scores_NP + booster.predict(data.valid_NF, raw_score=True),
        texts=(*progress.texts, booster.model_to_string()),
    )


def _parameters(
    config: BoostingConfig, num_classes: int, seed: int, fold: int, first_round: int
) -> dict[str, Any]:
    """Return LightGBM's parameters of one segment; only the seeds change from one to the next."""

    def derived(use: str) -> int:
        return derive_seed(seed, "lgbm", fold, use, first_round)

    return {
        "objective": "multiclass",
        "num_class": num_classes,
        "metric": "multi_logloss",
        "boost_from_average": False,
        "learning_rate": config.learning_rate,
        "num_leaves": config.num_leaves,
        "max_depth": config.max_depth,
        "max_bin": config.max_bin,
        "min_data_in_leaf": config.min_data_in_leaf,
        "feature_fraction": config.feature_fraction,
        "bagging_fraction": config.bagging_fraction,
        "bagging_freq": config.bagging_freq,
        "lambda_l1": config.lambda_l1,
        "lambda_l2": config.lambda_l2,
        "bagging_seed": derived("bagging"),
        "feature_fraction_seed": derived("features"),
        "data_random_seed": derive_seed(seed, "lgbm", fold, "bins"),
        "feature_pre_filter": False,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": config.num_threads,
        "verbosity": -1,
    }


def _note_loss(progress: _Progress, loss: float) -> _Progress:
    """Add one round to the early-stopping record; of equal losses the first is the best."""
    losses = (*progress.losses, loss)
    if loss < progress.best_loss:
        return replace(progress, losses=losses, best_round=len(losses), best_loss=loss)
    return replace(progress, losses=losses)


def _is_over(progress: _Progress, config: BoostingConfig) -> bool:
    is_patience_spent = (
        progress.next_round > 0
        and progress.next_round - progress.best_round >= config.patience_rounds
    )
    return is_patience_spent or progress.next_round >= config.rounds


def _report(
    task: BoostingTask, data: _FoldData, progress: _Progress, config: BoostingConfig
) -> dict[str, float | int]:
    """Return the numbers of a segment's line of history, of the newest round."""
    predicted_idx = data.class_idx[np.argmax(progress.valid_scores_NP, axis=1)]
    score = competition_score(task.label_idx[task.valid_idx], predicted_idx, task.num_targets)
    proba_NP = softmax(progress.train_scores_NP)
    own_N = proba_NP[np.arange(len(proba_NP)), data.train_label_idx]
    return {
        "step": progress.next_round,
        "train_loss": float(-np.mean(np.log(np.maximum(own_N, 1e-15)))),
        "valid_loss": progress.losses[-1],
        "score": score.score,
        "binary_f1": score.binary_f1,
        "macro_f1": score.macro_f1,
        "best_step": progress.best_round,
        "learning_rate": config.learning_rate,
    }


def _finish(task: BoostingTask, data: _FoldData, progress: _Progress) -> BoostingFold:
    """Join the segments up to the best round and score the validation part with the result."""
    num_classes = len(data.class_idx)
    model = BoostingModel(
        text=join(progress.texts, progress.best_round * num_classes),
        names=task.names,
        class_idx=data.class_idx,
        log_shares_P=data.log_shares_P,
        num_classes=task.num_classes,
    )
    proba_NK = predict(model, data.valid_NF)
    hideable = hideable_mask(task.names)
    proba_imu_NK = None
    if hideable.any():
        proba_imu_NK = predict(model, np.where(hideable, np.float32(np.nan), data.valid_NF))
    booster = load_booster(model)
    return BoostingFold(
        model=model,
        best_round=progress.best_round,
        num_rounds=progress.next_round,
        score=competition_score(
            task.label_idx[task.valid_idx], np.argmax(proba_NK, axis=1), task.num_targets
        ),
        valid_proba_NK=proba_NK,
        valid_proba_imu_NK=proba_imu_NK,
        gain_F=np.asarray(booster.feature_importance("gain"), dtype=np.float64),
        split_F=np.asarray(booster.feature_importance("split"), dtype=np.int64),
    )


def _pack(progress: _Progress) -> dict[str, Any]:
    """Return the checkpoint: plain arrays, texts and numbers."""
    return {
        "train_scores": progress.train_scores_NP,
        "valid_scores": progress.valid_scores_NP,
        "texts": list(progress.texts),
        "losses": list(progress.losses),
        "best_round": progress.best_round,
        "best_loss": progress.best_loss,
    }


def _unpack(checkpoint: dict[str, Any]) -> _Progress:
    return _Progress(
        train_scores_NP=checkpoint["train_scores"],
        valid_scores_NP=checkpoint["valid_scores"],
        texts=tuple(checkpoint["texts"]),
        losses=tuple(checkpoint["losses"]),
        best_round=checkpoint["best_round"],
        best_loss=checkpoint["best_loss"],
    )
