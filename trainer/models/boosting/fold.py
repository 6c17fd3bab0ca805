"""One LightGBM fold, boosted in segments so that it resumes exactly inside the fold.

In: the feature table and one fold's split. Out: ``BoostingFold``.

The segment that starts at round r is a new booster on the fold's data, binned once, that starts
from the running raw scores and uses a seed derived from (run seed, fold, r). So it is a function of
a checkpoint's content, also in a run that is never interrupted (DESIGN.md section 5).

Shapes: N sequences, F features, K classes, P classes present in the training part.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.config import BoostingConfig
from trainer.metric import Score, competition_score
from trainer.models.base import FoldTask
from trainer.models.boosting.booster import (
    BoostingModel,
    Index,
    Scores,
    hideable_mask,
    load_booster,
    predict,
    softmax,
)
from trainer.models.boosting.checkpoint import (
    Progress,
    add_round,
    is_over,
    pack,
    segment_end,
    start,
    unpack,
)
from trainer.models.boosting.fold_data import FoldData
from trainer.models.boosting.model_text import join
from trainer.models.monitor import Monitor, Paused
from trainer.models.seeds import derive_seed
from trainer.plain_data import reading

if TYPE_CHECKING:
    import lightgbm as lgb


@dataclass(frozen=True)
class BoostingFold:
    """One finished fold.

    Attributes:
        model: The joined model up to the last round, or to the best one if that is selected.
        best_round: The round with the smallest loss on the validation part, from 1.
        num_rounds: Number of rounds that were boosted.
        score: Of the validation part with all sensors.
        valid_proba_NK: (valid, K) float64, the model's out-of-fold probabilities.
        valid_proba_imu_NK: The same with thermopiles and time of flight hidden, or None where
            no such feature exists.
        best_proba_NK: As ``valid_proba_NK``, after the best round, which is chosen on these rows.
        best_proba_imu_NK: The same with thermopiles and time of flight hidden, or None.
        gain_F: (F,) float64, total gain per feature.
        split_F: (F,) int64, number of splits per feature.
    """

    model: BoostingModel
    best_round: int
    num_rounds: int
    score: Score
    valid_proba_NK: Scores
    valid_proba_imu_NK: Scores | None
    best_proba_NK: Scores
    best_proba_imu_NK: Scores | None
    gain_F: Scores
    split_F: Index


def fit_fold(
    task: FoldTask,
    config: BoostingConfig,
    seed: int,
    fold: int,
    monitor: Monitor,
    checkpoint: dict[str, Any] | None = None,
) -> BoostingFold:
    """Fit one fold from the start or from a checkpoint; both give the same bits.

    Args:
        task: Inputs, labels and split.
        config: Rounds, segments, tree parameters.
        seed: The run's seed.
        fold: From 0.
        monitor: Receives rounds, segments and checkpoints, and requests a stop.
        checkpoint: The last one that ``monitor.save`` received for this fold, or None.

    Raises:
        Paused: The monitor requested a stop; the unfinished segment is discarded and redone later.
        FoldError: The training part holds too few classes.
        DamagedDataError: The checkpoint is not one of this fold.
    """
    data = FoldData.build(task, config, seed, fold)
    progress = start(data)
    if checkpoint is not None:
        with reading("checkpoint"):
            progress = unpack(checkpoint, data)
    while not is_over(progress, config):
        progress = _boost_segment(data, progress, config, seed, fold, monitor)
        monitor.record("segment", _report(task, data, progress, config))
        monitor.save(pack(progress))
    return _finish(task, data, progress, config)


def _boost_segment(
    data: FoldData,
    progress: Progress,
    config: BoostingConfig,
    seed: int,
    fold: int,
    monitor: Monitor,
) -> Progress:
    """Boost from one checkpoint to the next, or to the round of early stopping."""
    import lightgbm as lgb

    first_round = progress.next_round
    known = data.valid_label_idx >= 0
    data.train_set.set_init_score(progress.train_scores_NP.ravel(order="F"))
    data.valid_set.set_init_score(progress.valid_scores_NP[known].ravel(order="F"))
    params = _parameters(config, len(data.class_idx), seed, fold, first_round)
    booster = lgb.Booster(params=params, train_set=data.train_set)
    booster.add_valid(data.valid_set, "valid")
    last_round = segment_end(first_round, config)
    after = progress
    while after.next_round < last_round and not is_over(after, config):
        if monitor.should_stop():
            raise Paused
        booster.update()
        num_trees = progress.num_trees + booster.num_trees()
        after = add_round(after, float(booster.eval_valid()[0][2]), num_trees)
        monitor.advance(after.next_round, config.rounds)
    valid_scores_NP = progress.valid_scores_NP.copy()
    valid_scores_NP[known] = _running_scores(booster.eval_valid)
    if not known.all():  # rows of a gesture that the training part lacks are in no Dataset
        raw_NP = booster.predict(data.valid_NF[~known], raw_score=True, num_threads=1)
        valid_scores_NP[~known] += np.asarray(raw_NP, dtype=np.float64)
    return replace(
        after,
        train_scores_NP=_running_scores(booster.eval_train),
        valid_scores_NP=valid_scores_NP,
        texts=(*progress.texts, booster.model_to_string()),
    )


def _running_scores(evaluate: Callable[..., Any]) -> Scores:
    """Return the running scores of a booster's rows, as logs of probabilities.

    They differ from the raw scores by one number per row, which the softmax cancels. LightGBM has
    them at hand; predicting the rows again took 3 % of a segment's time on ``asl``.

    Args:
        evaluate: ``booster.eval_train`` or ``booster.eval_valid``.
    """
    scores: list[Scores] = []

    def keep(proba_NP: Scores, _: lgb.Dataset) -> tuple[str, float, bool]:
        scores.append(np.log(np.maximum(proba_NP, np.finfo(np.float64).tiny)))
        return "scores", 0.0, True

    evaluate(keep)
    return scores[0]


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
        "extra_trees": config.extra_trees,
        "extra_seed": derived("extra"),
        "bagging_seed": derived("bagging"),
        "feature_fraction_seed": derived("features"),
        "data_random_seed": derive_seed(seed, "lgbm", fold, "bins"),
        "feature_pre_filter": False,
        "deterministic": True,
        "force_col_wise": True,  # asl, 2 threads: 0.115 s a round, row-wise 0.127 s
        "num_threads": config.num_threads,
        "verbosity": -1,
    }


def _report(
    task: FoldTask, data: FoldData, progress: Progress, config: BoostingConfig
) -> dict[str, float | int]:
    """Return the record of a segment: the metrics after its last round."""
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


def _finish(
    task: FoldTask, data: FoldData, progress: Progress, config: BoostingConfig
) -> BoostingFold:
    """Join the segments up to the selected round and score the validation part with the result."""

    def joined(num_trees: int) -> BoostingModel:
        return BoostingModel(
            text=join(progress.texts, num_trees),
            names=task.inputs.names,
            class_idx=data.class_idx,
            log_shares_P=data.log_shares_P,
            num_classes=task.num_classes,
        )

    best = joined(progress.best_num_trees)
    model = best if config.select == "best" else joined(progress.num_trees)
    proba_NK = predict(model, data.valid_NF)
    booster = load_booster(model)
    return BoostingFold(
        model=model,
        best_round=progress.best_round,
        num_rounds=progress.next_round,
        score=competition_score(
            task.label_idx[task.valid_idx], np.argmax(proba_NK, axis=1), task.num_targets
        ),
        valid_proba_NK=proba_NK,
        valid_proba_imu_NK=_predict_imu(model, data),
        best_proba_NK=predict(best, data.valid_NF),
        best_proba_imu_NK=_predict_imu(best, data),
        gain_F=np.asarray(booster.feature_importance("gain"), dtype=np.float64),
        split_F=np.asarray(booster.feature_importance("split"), dtype=np.int64),
    )


def _predict_imu(model: BoostingModel, data: FoldData) -> Scores | None:
    """Predict the validation part without the sensors that can be hidden, if it has any."""
    hideable = hideable_mask(model.names)
    if not hideable.any():
        return None
    return predict(model, np.where(hideable, np.float32(np.nan), data.valid_NF))
