"""The input check of a run: its recordings to predict, compared with its training data.

In: a predictor and ``Sequences``. Out: ``Finding``s. The checks: ``trainer.data.quality``.
"""

from __future__ import annotations

from trainer.data.device_orientation import correct_orientation
from trainer.data.quality.checks import check_input, note_corrected
from trainer.data.quality.findings import Finding
from trainer.data.quality.training_comparison import TrainingSummary
from trainer.data.sequences import Sequences
from trainer.explain.training import Training
from trainer.predict.bundles import PredictError
from trainer.predict.predictor import Predictor


def check_input_for(predictor: Predictor, sequences: Sequences) -> tuple[Finding, ...]:
    """Return the findings about recordings that a run is to predict.

    Args:
        predictor: The run's models; where its training data is missing, a note names the reason.
        sequences: The recordings.
    """
    training: TrainingSummary | None = None
    missing: tuple[Finding, ...] = ()
    try:
        training = Training.load(predictor.root).summary
    except PredictError as error:
        missing = (Finding("note", str(error)),)
    subjects = predictor.turned_subjects
    corrected = correct_orientation(sequences, subjects)
    findings = check_input(corrected, training, predictor.mirror_left_handers)
    return (*findings, *note_corrected(sequences, subjects), *missing)
