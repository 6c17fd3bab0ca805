"""Kaggle: answer the competition's inference server, one sequence at a time.

In: a run with at least one finished model; sequences as the gateway sends them. Out: one gesture
each, a plain ``str``; a line on stderr for every sequence that was not whole.

In a notebook: ``from trainer.kaggle import predict`` (the run: ``MODEL_PATH``, or ``CKPT_DIR``), or
``python -m trainer serve RUN``. Models are loaded at the first call, since the server must be up
within 15 minutes, and the first call may take its time (competition.md, section 6).
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from trainer.blend import blend_probabilities
from trainer.data.schema import DataError
from trainer.data.sequences import Sequences
from trainer.kaggle.gateway import GatewayReport, run_gateway
from trainer.kaggle.served_sequence import first_text, read_served
from trainer.predict.predictor import PredictError, Predictor
from trainer.run.transfer.adoption import newest_model
from trainer.simulation.gestures import GESTURES

RERUN = "KAGGLE_IS_COMPETITION_RERUN"  # set where the hidden test set is scored
PACKAGE = "kaggle_evaluation"
COMPETITION_GESTURES = frozenset(gesture.name for gesture in GESTURES)


def predict(sequence: pl.DataFrame, demographics: pl.DataFrame) -> str:
    """Name the gesture of one sequence, by the run that the environment names.

    Args:
        sequence: All rows of one sequence, in order.
        demographics: The subject's row; may be empty.

    Raises:
        PredictError: There is no finished run, or no model could answer.
    """
    return _default_answerer().predict(sequence, demographics)


@cache
def _default_answerer() -> Answerer:
    return Answerer(newest_model(os.environ))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Answerer:
    """A run that answers; it knows nothing of one call at the next, so their order is free.

    Attributes:
        root: A run folder, or an ``lgbm_bundle.pkl``.
        log: Given a line for every sequence that was not whole or not answered by all models.
    """

    root: Path
    log: Callable[[str], None] = field(default=_say)

    @cached_property
    def predictor(self) -> Predictor:
        """Return the models, loaded when first asked for."""
        return Predictor.load(self.root)

    def predict(self, sequence: pl.DataFrame, demographics: pl.DataFrame) -> str:
        """Name the gesture of one sequence.

        Args:
            sequence: All rows of one sequence, in order; columns of any type.
            demographics: The subject's row; may be empty.

        Returns:
            A plain str: the gateway refuses numpy's.

        Raises:
            PredictError: No model could answer; a guess would hide it.
        """
        predictor = self.predictor  # its own errors are not of this sequence
        name = first_text(sequence, "sequence_id")
        try:
            recording, remarks = read_served(sequence, demographics)
        except DataError as error:
            raise PredictError(f"sequence {name}: {error}") from error
        for remark in remarks:
            self.log(f"sequence {name}: {remark}")
        by_model = self._ask(predictor, name, recording)
        blended_NK, _ = blend_probabilities(by_model, predictor.weights)
        return str(predictor.labels.gestures[int(np.argmax(blended_NK[0]))])

    def _ask(
        self, predictor: Predictor, name: str, recording: Sequences
    ) -> Mapping[str, np.ndarray[Any, np.dtype[np.float64]]]:
        """Return (1, K) of each model that can answer; say why the others cannot.

        Raises:
            PredictError: None can, or only models without weight.
        """
        by_model, reasons = {}, []
        for model, fitted in predictor.models.items():
            alone = replace(predictor, models={model: fitted}, weights={model: 1.0})
            try:
                proba_NK = alone.predict(recording).by_model[model]
                if not np.isfinite(proba_NK).all():
                    raise FloatingPointError("probabilities that are no numbers")
            except Exception as error:  # whatever it is, the other model can still answer
                reasons.append(f"{model}: {type(error).__name__}: {error}")
                self.log(f"sequence {name}: {reasons[-1]}; left to the other model")
            else:
                by_model[model] = proba_NK
        if not any(predictor.weights.get(model, 0.0) > 0.0 for model in by_model):
            raise PredictError(f"sequence {name}: no model could answer ({'; '.join(reasons)})")
        return by_model


def serve(
    root: Path, data: Path, submission: Path, say: Callable[[str], None]
) -> GatewayReport | None:
    """Answer the competition's gateway: the real one where it asks, else a local one.

    Args:
        root: The run.
        data: A folder with test.csv and test_demographics.csv, which the real one does not ask for;
            it may bring the competition's package.
        submission: Where the stand-in of the gateway writes; the competition's own package writes
            ``submission.parquet`` in the working folder.
        say: Shows a line.

    Returns:
        What the stand-in of the gateway saw; None where the competition's own was used.

    Raises:
        PredictError: Nothing to ask the run with, or it could not answer.
    """
    answerer = Answerer(root)
    is_rerun = RERUN in os.environ
    package = find_package(data, say)
    if is_rerun:
        if package is None:
            raise PredictError(
                f"{PACKAGE}: the competition's package is not there, and {RERUN} asks for it. Add "
                f"the competition's data to the notebook"
            )
        say(f"serving {root.name} to the competition's gateway")
        package.CMIInferenceServer(answerer.predict).serve()
        return None
    gestures = answerer.predictor.labels.gestures
    foreign = [gesture for gesture in gestures if gesture not in COMPETITION_GESTURES]
    if package is not None and foreign:
        say(f"{PACKAGE}: not used, it refuses {foreign[0]!r}, which this run can answer")
    elif package is not None:
        say(f"asking {root.name} through the competition's own gateway")
        paths = (str(data / "test.csv"), str(data / "test_demographics.csv"))
        package.CMIInferenceServer(answerer.predict).run_local_gateway(data_paths=paths)
        return None
    say(f"asking {root.name} through a stand-in of the competition's gateway")
    return run_gateway(answerer.predict, data, gestures, submission)


def find_package(data: Path, say: Callable[[str], None]) -> Any:  # noqa: ANN401 - a module
    """Return the competition's server module, or None where it is not there or cannot be loaded.

    Args:
        data: A folder that may hold the package.
        say: Told why a package that is there cannot be loaded.
    """
    if (data / PACKAGE).is_dir() and str(data) not in sys.path:
        sys.path.append(str(data))
    if importlib.util.find_spec(PACKAGE) is None:
        return None
    try:
        return importlib.import_module(f"{PACKAGE}.cmi_inference_server")
    except ImportError as error:
        say(f"{PACKAGE}: there, but cannot be loaded ({error}); not used")
        return None
