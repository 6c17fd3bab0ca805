"""The checkpoint of a LightGBM fold, early stopping, and the length of segments.

In: the loss of each round. Out: ``Progress``, and its form as plain data.

Shapes: N sequences, P classes present in the training part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from trainer.config import BoostingConfig
from trainer.models.boosting.booster import Scores
from trainer.models.boosting.fold_data import FoldData
from trainer.models.boosting.text_check import check_text
from trainer.plain_data import DamagedDataError, array, integer, part

LONGEST_SEGMENT = 4  # times ``segment_rounds``


@dataclass(frozen=True)
class Progress:
    """The point to resume from, always between two segments.

    Trees are counted separately from rounds: a round without any split adds no tree.

    Attributes:
        train_scores_NP: Running raw scores of the training rows.
        valid_scores_NP: Of the validation rows.
        texts: Model text of each segment.
        losses: Validation loss of each round.
        num_trees: Trees of all rounds.
        best_round: Round with the smallest loss, from 1; 0 before the first.
        best_num_trees: Trees up to the best round.
        best_loss: Loss of the best round.
    """

    train_scores_NP: Scores
    valid_scores_NP: Scores
    texts: tuple[str, ...]
    losses: tuple[float, ...]
    num_trees: int
    best_round: int
    best_num_trees: int
    best_loss: float

    @property
    def next_round(self) -> int:
        """Return the number of finished rounds, which is the index of the next one."""
        return len(self.losses)


def start(data: FoldData) -> Progress:
    """Return the state before the first round."""
    return Progress(
        train_scores_NP=np.tile(data.log_shares_P, (len(data.train_NF), 1)),
        valid_scores_NP=np.tile(data.log_shares_P, (len(data.valid_NF), 1)),
        texts=(),
        losses=(),
        num_trees=0,
        best_round=0,
        best_num_trees=0,
        best_loss=float("inf"),
    )


def add_round(progress: Progress, loss: float, num_trees: int) -> Progress:
    """Return the progress after one more round; of equal losses the first is the best."""
    after = replace(progress, losses=(*progress.losses, loss), num_trees=num_trees)
    if loss < progress.best_loss:
        return replace(after, best_round=after.next_round, best_num_trees=num_trees, best_loss=loss)
    return after


def is_over(progress: Progress, config: BoostingConfig) -> bool:
    """Return whether all rounds are done, or the patience with the best round is exhausted."""
    is_patience_exhausted = (
        config.select == "best"
        and progress.next_round - progress.best_round >= config.patience_rounds
    )
    return is_patience_exhausted or progress.next_round >= config.rounds


def segment_end(first_round: int, config: BoostingConfig) -> int:
    """Return the round at which the segment that starts at a round ends.

    A segment is as long as all rounds before it together, between ``segment_rounds`` and
    ``LONGEST_SEGMENT`` times that: a kill costs at most half of the rounds, and at most 100.
    Shorter ones would cost more: each checkpoint contains the texts of all rounds, and a new
    booster takes as long as two rounds of ``asl``.
    """
    shortest = config.segment_rounds
    length = min(max(first_round, shortest), LONGEST_SEGMENT * shortest)
    return min(first_round + length, config.rounds)


def pack(progress: Progress) -> dict[str, Any]:
    """Return the checkpoint: arrays, texts and numbers."""
    return {
        "train_scores": progress.train_scores_NP,
        "valid_scores": progress.valid_scores_NP,
        "texts": list(progress.texts),
        "losses": list(progress.losses),
        "num_trees": progress.num_trees,
        "best_round": progress.best_round,
        "best_num_trees": progress.best_num_trees,
        "best_loss": progress.best_loss,
    }


def unpack(checkpoint: Mapping[str, Any], data: FoldData) -> Progress:
    """Return the progress of a checkpoint from a file.

    Args:
        checkpoint: As ``pack`` returned it.
        data: The fold's data, whose rows and classes it must have.

    Raises:
        DamagedDataError: It is not one of this fold.
    """
    num_classes, num_features = len(data.class_idx), data.train_NF.shape[1]
    texts = part(checkpoint, "texts", list)
    num_trees = 0
    for text in texts:
        if not isinstance(text, str):
            raise DamagedDataError("texts: expected text")
        num_trees += check_text(text, num_classes, num_features)
    losses = part(checkpoint, "losses", list)
    if not all(isinstance(loss, float) for loss in losses) or bool(losses) != bool(texts):
        raise DamagedDataError("losses: expected one number for each round")
    progress = Progress(
        train_scores_NP=array(checkpoint, "train_scores", "f", (len(data.train_NF), num_classes)),
        valid_scores_NP=array(checkpoint, "valid_scores", "f", (len(data.valid_NF), num_classes)),
        texts=tuple(texts),
        losses=tuple(losses),
        num_trees=integer(checkpoint, "num_trees", num_trees, num_trees),
        best_round=integer(checkpoint, "best_round", 0, len(losses)),
        best_num_trees=integer(checkpoint, "best_num_trees", 0, num_trees),
        best_loss=part(checkpoint, "best_loss", float),
    )
    if num_trees > len(losses) * num_classes:
        raise DamagedDataError(f"texts: expected at most {num_classes} trees in each round")
    return progress
