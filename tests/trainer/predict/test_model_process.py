"""The model process: results and errors come back, the caller stays light, and the process ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import numpy as np
import psutil
import pytest

from tests.support.builders import make_table
from tests.support.fresh_python import PROJECT, modules_after
from trainer.data.sources import sequences_from_table
from trainer.predict import model_process
from trainer.predict.fitted_models import PredictError
from trainer.predict.model_process import Models, compute
from trainer.predict.predictor import Predictor

CALLER = """
from pathlib import Path
from tests.trainer.predict.test_model_process import names_of
from trainer.predict.model_process import Models, compute, load
models = Models(Path({root!r}), 0, has_own_code=False)
load(models)
assert compute(models, names_of) == {{"lgbm", "torch"}}
"""


@pytest.fixture
def models(tiny_run):
    """The models of a run that was trained for a moment."""
    return Models(tiny_run, 0, has_own_code=False)


def process_id(_):
    """Return the id of the process that computes."""
    return os.getpid()


def names_of(predictor):
    """Return the names of the models."""
    return set(predictor.models)


def has_scikit_learn(_):
    """Return whether LightGBM found scikit-learn, and whether it can be imported afterwards."""
    import lightgbm.compat
    import sklearn

    return lightgbm.compat.SKLEARN_INSTALLED, bool(sklearn)


def end(_):
    """End the process, as the system does when there is too little memory."""
    os.kill(os.getpid(), signal.SIGKILL)


def test_another_process_predicts_the_same_to_the_bit(models):
    sequences = sequences_from_table(
        make_table(num_subjects=1, sequences_per_subject=3, seed=7, labelled=False)
    )
    here = Predictor.load(models.root).predict(sequences, 0)
    there = compute(models, Predictor.predict, sequences, fold=0)
    np.testing.assert_array_equal(there.proba_NK, here.proba_NK)
    assert there.notes == here.notes
    assert compute(models, process_id) != os.getpid()
    assert compute(models, process_id) == compute(models, process_id)


def test_the_caller_imports_no_library_of_a_model(tiny_run):
    """Neither to have the models loaded nor to call a function of them."""
    loaded = modules_after(CALLER.format(root=str(tiny_run)), ("torch", "lightgbm", "sklearn"))
    assert loaded == []


def test_errors_of_the_predictor_are_raised_here(models, tmp_path):
    """Of loading, also after ``load``, and of the function."""
    nothing = Models(tmp_path, 0, has_own_code=False)
    model_process.load(nothing)
    with pytest.raises(PredictError, match="has no bundle"):
        compute(nothing, process_id)
    with pytest.raises(PredictError, match="fold: expected one of 0 to 1, got 7"):
        compute(models, Predictor.models_of, 7)


def test_an_ended_process_is_an_error_and_the_next_call_starts_another(models):
    with pytest.raises(PredictError, match="the process that predicts has ended"):
        compute(models, end)
    assert compute(models, process_id) != os.getpid()


def test_an_idle_process_ends(models, monkeypatch):
    """Its memory is the system's again; the next call starts another."""
    monkeypatch.setattr(model_process, "IDLE_S", 0.5)
    process = psutil.Process(compute(models, process_id))
    process.wait(timeout=30)
    assert compute(models, process_id) != process.pid


def test_the_process_ends_with_a_killed_caller(tiny_run):
    code = CALLER.format(root=str(tiny_run)) + (
        "from tests.trainer.predict.test_model_process import process_id\n"
        "print(compute(models, process_id), flush=True)\n"
        "import time; time.sleep(100)"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as caller:
        process = psutil.Process(int(caller.stdout.readline()))
        caller.kill()
    process.wait(timeout=30)


def test_scikit_learn_is_there_for_own_code_alone(models):
    """LightGBM's classes for it need 1.3 s to import; without them it can be imported later."""
    assert compute(models, has_scikit_learn) == (False, True)
    own = Models(models.root, 0, has_own_code=True)
    assert compute(own, has_scikit_learn) == (True, True)
