"""The model process: another process that holds a run's models and predicts.

In: a run folder and a function of its ``Predictor``. Out: what the function returns or raises. A
caller that stays open, such as the dashboard, imports no library of a model, executes no own code,
goes on while the process predicts or if it ends, and has its memory back when it is idle.

There is one process, which holds the models of one run. It ends by itself after ``IDLE_S`` without
a call, and with the caller.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
import warnings
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from trainer.child_process import end_with
from trainer.models.libraries import import_problem
from trainer.predict.fitted_models import PredictError

if TYPE_CHECKING:
    from trainer.predict.predictor import Predictor

Result = TypeVar("Result")

IDLE_S = 120.0  # loading the models again takes some seconds


@dataclass(frozen=True)
class Models:
    """The models of a run, as the process finds them.

    Attributes:
        root: The run folder.
        version: Of its bundles; another version is loaded again.
        has_own_code: Whether the run has own code.
    """

    root: Path
    version: Hashable
    has_own_code: bool


def load(models: Models) -> None:
    """Start the process and have it load the models of a run, without waiting for it."""
    _submit(models, _load)


def compute(
    models: Models, function: Callable[..., Result], *arguments: object, **options: object
) -> Result:
    """Return what a function of a run's predictor returns.

    Args:
        models: Of the run.
        function: Of a module of the trainer; called with the ``Predictor`` and what follows.
        arguments: Its other arguments.
        options: Its arguments by name.

    Raises:
        PredictError: The process has ended, or the function or the loading raised it. Other
            exceptions of the function are raised as they are.
    """
    try:
        future: Future[Result] = _submit(models, _compute, function, arguments, options)
        return future.result()
    except BrokenProcessPool as error:
        raise PredictError(
            "the process that predicts has ended: too little memory, or a model that ended it. "
            "Try again with fewer recordings; python -m trainer verify RUN names damaged files"
        ) from error


def _submit(models: Models, function: Callable[..., Result], *arguments: object) -> Future[Result]:
    from joblib.externals.loky import get_reusable_executor

    warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)  # it is new
    executor = get_reusable_executor(
        max_workers=1,
        timeout=IDLE_S,
        initializer=_start,
        initargs=(os.getpid(), models.has_own_code),
    )
    future: Future[Result] = executor.submit(function, models, *arguments)
    return future


def _start(caller: int, has_own_code: bool) -> None:
    """Prepare the process: an interrupt of the terminal is for the caller, which ends it.

    Collecting garbage every 700 objects takes a tenth of the time to the first prediction.
    LightGBM imports scikit-learn where it can, for classes that only own code uses; it takes 1.3 of
    the 5 seconds to the first prediction.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with(caller)
    gc.set_threshold(50_000, 20)
    if not has_own_code:
        sys.modules["sklearn"] = None  # type: ignore[assignment]  # its import fails
        import_problem(["lightgbm"])
        del sys.modules["sklearn"]


def _compute(
    models: Models,
    function: Callable[..., Result],
    arguments: tuple[Any, ...],
    options: dict[str, Any],
) -> Result:
    return function(_predictor(models), *arguments, **options)


def _load(models: Models) -> None:
    with contextlib.suppress(PredictError):  # raised by the first call that needs the models
        _predictor(models)


@lru_cache(maxsize=1)
def _predictor(models: Models) -> Predictor:
    from trainer.predict.predictor import Predictor

    return Predictor.load(models.root)
