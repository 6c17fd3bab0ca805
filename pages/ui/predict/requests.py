"""Questions: what a run is asked about recordings, and one of them with its answer.

In: recordings and the run they are put to. Out: keys that tell questions apart, parts of answers.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pages.ui.shared.readers import Version

if TYPE_CHECKING:
    from trainer.data.sequences import Sequences
    from trainer.predict.predictor import Prediction


@dataclass(frozen=True)
class Question:
    """What a run is asked.

    Attributes:
        root: The run folder.
        bundles: Version of the bundles; a new one loads the models again.
        key: Tells these recordings from others.
        fold: Ask this fold's models only; None asks all.
        sequences: What is asked about.
        rate_hz: Time steps in a second.
        mirror_left_handers: Whether the run's models saw left-handers mirrored.
        turned_subjects: Whose recordings they saw turned back.
    """

    root: str
    bundles: Version
    key: str
    fold: int | None
    sequences: Sequences
    rate_hz: float
    mirror_left_handers: bool
    turned_subjects: tuple[str, ...] = ()

    @property
    def seen_sequences(self) -> Sequences:
        """Return what is asked about, as the models see it before left-handers are mirrored."""
        return self.as_seen(self.sequences)

    def as_seen(self, sequences: Sequences) -> Sequences:
        """Return some of the sequences so."""
        from trainer.data.device_orientation import correct_orientation

        return correct_orientation(sequences, self.turned_subjects)

    @property
    def place(self) -> tuple[Hashable, ...]:
        """Return what tells this question from others."""
        return (self.root, self.bundles, self.key, self.fold)


@dataclass(frozen=True)
class Single:
    """One sequence of a question, its answer and the runner-up.

    Attributes:
        question: Where it is from.
        index: Which of the sequences.
        prediction: What the run said of all of them.
    """

    question: Question
    index: int
    prediction: Prediction

    @property
    def sequence(self) -> Sequences:
        """Return the sequence alone."""
        return self.question.sequences.select(np.array([self.index]))

    @property
    def first_two(self) -> tuple[int, int]:
        """Return the class indices of the answer and of the runner-up."""
        first, second = np.argsort(-self.prediction.proba_NK[self.index], kind="stable")[:2]
        return int(first), int(second)

    @property
    def alone(self) -> Prediction:
        """Return what the run said of this sequence."""
        here, told = slice(self.index, self.index + 1), self.prediction
        return replace(
            told,
            sequence_ids=told.sequence_ids[here],
            proba_NK=told.proba_NK[here],
            by_model={model: proba_NK[here] for model, proba_NK in told.by_model.items()},
            by_fold={model: proba_MNK[:, here] for model, proba_MNK in told.by_fold.items()},
        )
