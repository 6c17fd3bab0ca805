"""The input check of a run: its recordings to predict, compared with its training data.

In: a predictor and ``Sequences``. Out: ``Finding``s. The checks: ``trainer.data.quality``.
"""

from __future__ import annotations

from trainer.data.device_orientation import rotate
from trainer.data.quality.checks import check_input
from trainer.data.quality.findings import Finding
from trainer.data.sequences import Sequences
from trainer.explain.training import Training
from trainer.predict.fitted_models import PredictError
from trainer.predict.predictor import Predictor


def check_input_for(predictor: Predictor, sequences: Sequences) -> tuple[Finding, ...]:
    """Return the findings about recordings that a run is to predict.

    Args:
        predictor: The run's models; where its training data is missing, a note names the reason.
        sequences: The recordings.
    """
    training: Training | str
    try:
        training = Training.load(predictor.root)
    except PredictError as error:
        training = str(error)
    decided = predictor.decide_orientation(sequences)
    return check_with_training(decided, training, predictor.mirror_left_handers)


def check_with_training(
    sequences: Sequences, training: Training | str, mirror_left_handers: bool
) -> tuple[Finding, ...]:
    """Return the findings about recordings, without any model.

    Args:
        sequences: The recordings, with the decision about their device orientation.
        training: The run's training data, or the reason why it is missing.
        mirror_left_handers: Whether left-handers were mirrored in training.
    """
    corrected = rotate(sequences, sequences.turned_N)
    summary = None if isinstance(training, str) else training.summary
    findings = check_input(corrected, summary, mirror_left_handers)
    missing = (Finding("note", training),) if isinstance(training, str) else ()
    return (*findings, *missing)
