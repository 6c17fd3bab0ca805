"""Server: predictions for the competition's gateway, one sequence at a time.

In: a run with at least one finished model; sequences as the gateway sends them. Out: one gesture
each, a plain ``str``; a line on stderr for every sequence with unusable values.

In a notebook: ``from trainer.kaggle import predict`` (the run comes from ``MODEL_PATH`` or
``CKPT_DIR``), or ``python -m trainer serve RUN``. The first call loads the models: the server must
start within 15 minutes, and the first call has no such limit (competition.md, section 6).
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
from trainer.data.orientation_detector import note_turned
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
    """Return the gesture of one sequence, predicted by the run that the environment names.

    Args:
        sequence: All rows of one sequence, in order.
        demographics: The subject's row; may be empty.

    Raises:
        PredictError: There is no finished run, or no model can predict the sequence.
    """
    return _default_server().predict(sequence, demographics)


@cache
def _default_server() -> SequenceServer:
    return SequenceServer(newest_model(os.environ))


def _print_to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class SequenceServer:
    """Predicts single sequences with one run; no call depends on another.

    Attributes:
        root: A run folder, or an ``lgbm_bundle.pkl``.
        log: Called with a line for every unusable value, every model that fails or is not used.
    """

    root: Path
    log: Callable[[str], None] = field(default=_print_to_stderr)

    @cached_property
    def predictor(self) -> Predictor:
        """Return the models; the first call loads them."""
        predictor = Predictor.load(self.root)
        for note in predictor.notes:
            self.log(note)
        return predictor

    def predict(self, sequence: pl.DataFrame, demographics: pl.DataFrame) -> str:
        """Return the gesture of one sequence.

        Args:
            sequence: All rows of one sequence, in order; columns of any type.
            demographics: The subject's row; may be empty.

        Returns:
            A plain str: the gateway refuses numpy's.

        Raises:
            PredictError: No model can predict the sequence; a guess would hide that.
        """
        predictor = self.predictor  # loading errors do not name this sequence
        name = first_text(sequence, "sequence_id")
        try:
            recording, remarks = read_served(sequence, demographics)
        except DataError as error:
            raise PredictError(f"sequence {name}: {error}") from error
        recording = predictor.decide_orientation(recording)
        for remark in (*remarks, *note_turned(recording)):
            self.log(f"sequence {name}: {remark}")
        by_model = self._predict_by_model(predictor, name, recording)
        blended_NK, _ = blend_probabilities(by_model, predictor.weights)
        return str(predictor.labels.gestures[int(np.argmax(blended_NK[0]))])

    def _predict_by_model(
        self, predictor: Predictor, name: str, recording: Sequences
    ) -> Mapping[str, np.ndarray[Any, np.dtype[np.float64]]]:
        """Return the (1, K) probabilities of each model that does not fail; log the others.

        Raises:
            PredictError: All fail, or all that have a weight.
        """
        by_model, reasons = {}, []
        for model, fitted in predictor.models.items():
            alone = replace(predictor, models={model: fitted}, weights={model: 1.0})
            try:
                proba_NK = alone.predict(recording).by_model[model]
                if not np.isfinite(proba_NK).all():
                    raise FloatingPointError("probabilities that are not finite")
            except Exception as error:  # the other models can still predict
                reasons.append(f"{model}: {type(error).__name__}: {error}")
                self.log(f"sequence {name}: {reasons[-1]}; predicted without it")
            else:
                by_model[model] = proba_NK
        if not any(predictor.weights.get(model, 0.0) > 0.0 for model in by_model):
            raise PredictError(f"sequence {name}: no model could predict it ({'; '.join(reasons)})")
        return by_model


def serve(
    root: Path, data: Path, submission: Path, log: Callable[[str], None]
) -> GatewayReport | None:
    """Serve predictions to the competition's gateway, or to a local one outside the competition.

    Args:
        root: The run.
        data: A folder with test.csv and test_demographics.csv for a local gateway; it may also
            contain the competition's package.
        submission: The file that the local gateway writes; the competition's package writes
            ``submission.parquet`` in the working folder.
        log: Called with each line of output.

    Returns:
        The calls of the local gateway; None if the competition's package was used.

    Raises:
        PredictError: The competition's package is missing, or a sequence cannot be predicted.
    """
    server = SequenceServer(root)
    is_rerun = RERUN in os.environ
    package = find_package(data, log)
    if is_rerun:
        if package is None:
            raise PredictError(
                f"{PACKAGE}: the competition's package is missing, and {RERUN} requires it. Add "
                f"the competition's data to the notebook"
            )
        log(f"serving {root.name} to the competition's gateway")
        package.CMIInferenceServer(server.predict).serve()
        return None
    gestures = server.predictor.labels.gestures
    foreign = [gesture for gesture in gestures if gesture not in COMPETITION_GESTURES]
    if package is not None and foreign:
        log(f"{PACKAGE}: not used; it refuses {foreign[0]!r}, which this run can predict")
    elif package is not None:
        log(f"serving {root.name} to the competition's gateway on local files")
        paths = (str(data / "test.csv"), str(data / "test_demographics.csv"))
        package.CMIInferenceServer(server.predict).run_local_gateway(data_paths=paths)
        return None
    log(f"serving {root.name} to a local replacement for the competition's gateway")
    return run_gateway(server.predict, data, gestures, submission)


def find_package(data: Path, log: Callable[[str], None]) -> Any:  # noqa: ANN401 - a module
    """Return the competition's server module, or None if it is missing or cannot be loaded.

    Args:
        data: A folder that may contain the package.
        log: Called with the reason if the package exists but cannot be loaded.
    """
    if (data / PACKAGE).is_dir() and str(data) not in sys.path:
        sys.path.append(str(data))
    if importlib.util.find_spec(PACKAGE) is None:
        return None
    try:
        return importlib.import_module(f"{PACKAGE}.cmi_inference_server")
    except ImportError as error:
        log(f"{PACKAGE}: cannot be loaded ({error}); not used")
        return None
