"""Search: the values of the next trial, and whether a trial is clearly worse than the best one.

In: the definition of a study and its trials so far. Out: values; a decision; the history as Optuna
stores it. Nothing is remembered between two calls: each makes a sampler with a seed derived from
(study seed, trial number) and gives it the whole history, so that a study that was killed draws
what it would have drawn. Optuna is imported here alone, and only when it is needed.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from trainer.models.libraries import import_problem
from trainer.models.seeds import derive_seed
from trainer.run import LibraryError
from trainer.study.definition import SearchRange, Settings, StudyFile
from trainer.study.trials import TrialRecord

NUM_RANDOM = (
    5  # trials before the sampler models the scores; Optuna's 10 are for hundreds of trials
)
# Optuna's default. The smallest p of n folds is 1 / 2^n: nothing is pruned before the fourth fold
PRUNE_BELOW_P = 0.1
WORKER = "study"  # in the journal, where Optuna puts a random name


def demand_optuna() -> None:
    """Refuse a search where Optuna cannot be imported.

    Raises:
        LibraryError: It contains the error and the command to install it.
    """
    problem = import_problem(["optuna"])
    if problem:
        raise LibraryError(
            f"--search needs Optuna, which cannot be imported ({problem}). Install it: "
            f"pip install -r requirements-study.txt. Seeds and grids do not need it"
        )


def versions() -> dict[str, str]:
    """Return the version of the library that draws the values."""
    return {"optuna": version("optuna")}


def draw(study: StudyFile, trials: Sequence[TrialRecord]) -> Settings:
    """Return the settings of the next trial.

    Args:
        study: The definition.
        trials: All trials before it, each over.
    """
    with _quiet_optuna() as optuna:
        seed = derive_seed(study.base.seed, "study", len(trials))
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=NUM_RANDOM)
        history = _memory_study(optuna, study, trials, sampler)
        asked = history.ask(_distributions(optuna, study))
        return {name: _text(asked.params[name]) for name in study.search}


def is_clearly_worse(
    study: StudyFile, trials: Sequence[TrialRecord], steps: Sequence[float]
) -> int | None:
    """Return the number of the best trial if the running one is clearly worse on the same folds.

    Args:
        study: The definition.
        trials: All trials before the running one.
        steps: The running trial's score of each fold so far.
    """
    running = TrialRecord(number=len(trials), settings={}, steps=tuple(steps), begun_at=0.0)
    if not any(trial.state == "complete" for trial in trials):
        return None
    with _quiet_optuna() as optuna:
        pruner = optuna.pruners.WilcoxonPruner(p_threshold=PRUNE_BELOW_P)
        history = _memory_study(optuna, study, trials)
        is_worse = pruner.prune(history, _frozen_trial(optuna, study, running))
        return history.best_trial.number if is_worse else None


@dataclass
class FoldCheck:
    """``Limits.on_fold`` of one run: collects the scores and decides whether the trial goes on.

    Attributes:
        study: The definition.
        before: All trials before this one.
        steps: Scores of the runs of this trial with other seeds.
        scores: Scores of the folds of this run.
        reason: Why the trial is pruned, or None.
    """

    study: StudyFile
    before: list[TrialRecord]
    steps: tuple[float, ...]
    scores: tuple[float, ...] = ()
    reason: str | None = None

    def __call__(self, scores: tuple[float, ...]) -> str | None:
        """Return why the run is to stop after this fold, or None."""
        self.scores = scores
        steps = self.steps + scores
        if len(steps) == self.study.num_steps:
            return None  # nothing is left to save
        best = is_clearly_worse(self.study, self.before, steps)
        if best is not None:
            self.reason = (
                f"clearly worse than trial {best} after {len(steps)} fold{'s' * (len(steps) != 1)}"
            )
            return f"pruned by study {self.study.name}: {self.reason}"
        return None


def importances(study: StudyFile, trials: Sequence[TrialRecord]) -> dict[str, float]:
    """Return the share of the scores' variance that each setting explains (fANOVA).

    Returns:
        Nothing where too few trials are complete, or where all have the same score.
    """
    complete = [trial for trial in trials if trial.state == "complete"]
    if len(complete) < 2 or len({trial.value for trial in complete}) < 2:
        return {}
    with _quiet_optuna() as optuna:
        from optuna.importance import FanovaImportanceEvaluator

        evaluator = FanovaImportanceEvaluator(seed=derive_seed(study.base.seed, "importance"))
        history = _memory_study(optuna, study, trials)
        found = optuna.importance.get_param_importances(history, evaluator=evaluator)
        return {name: float(share) for name, share in found.items()}


def journal_bytes(study: StudyFile, trials: Sequence[TrialRecord]) -> bytes:
    """Return the history in the format of Optuna's ``JournalStorage``: a line of JSON per entry."""
    with _quiet_optuna() as optuna:
        from optuna.storages.journal import BaseJournalBackend

        class Lines(BaseJournalBackend):  # type: ignore[misc, unused-ignore]
            """Keeps the entries in memory."""

            def __init__(self) -> None:
                self.logs: list[dict[str, Any]] = []

            def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
                return self.logs[log_number_from:]

            def append_logs(self, logs: list[dict[str, Any]]) -> None:
                self.logs += json.loads(json.dumps(logs))

        lines = Lines()
        storage = optuna.storages.JournalStorage(lines)
        stored = optuna.create_study(storage=storage, study_name=study.name, direction="maximize")
        for trial in trials:
            stored.add_trial(_frozen_trial(optuna, study, trial))
    entries = ({**entry, "worker_id": WORKER} for entry in lines.logs)
    return "".join(json.dumps(entry, separators=(",", ":")) + "\n" for entry in entries).encode()


@contextmanager
def _quiet_optuna() -> Iterator[Any]:
    """Import Optuna; its experimental parts warn, and it logs each study that is made."""
    import optuna

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield optuna
    finally:
        optuna.logging.set_verbosity(level)


def _memory_study(
    optuna: Any,  # noqa: ANN401 - the module
    study: StudyFile,
    trials: Sequence[TrialRecord],
    sampler: Any = None,  # noqa: ANN401 - a sampler
) -> Any:  # noqa: ANN401 - a study of Optuna
    made = optuna.create_study(direction="maximize", sampler=sampler)
    made.add_trials([_frozen_trial(optuna, study, trial) for trial in trials])
    return made


def _frozen_trial(
    optuna: Any,  # noqa: ANN401 - the module
    study: StudyFile,
    trial: TrialRecord,
) -> Any:  # noqa: ANN401 - a trial of Optuna
    """Return a trial as Optuna knows it."""
    states = optuna.trial.TrialState
    state = {
        "running": states.RUNNING,
        "complete": states.COMPLETE,
        "pruned": states.PRUNED,
        "failed": states.FAIL,
    }[trial.state]
    is_over = trial.state != "running"
    return optuna.trial.FrozenTrial(
        number=trial.number,
        trial_id=trial.number,
        state=state,
        value=trial.value,
        params={
            name: _value(study.search[name], text)
            for name, text in trial.settings.items()
            if name in study.search
        },
        distributions=_distributions(optuna, study) if trial.settings else {},
        intermediate_values=dict(enumerate(trial.steps)),
        user_attrs={},
        system_attrs={},
        datetime_start=datetime.fromtimestamp(trial.begun_at, UTC),
        datetime_complete=(
            datetime.fromtimestamp(trial.ended_at or trial.begun_at, UTC) if is_over else None
        ),
    )


def _distributions(
    optuna: Any,  # noqa: ANN401 - the module
    study: StudyFile,
) -> dict[str, Any]:
    kinds = optuna.distributions
    found: dict[str, Any] = {}
    for name, each in study.search.items():
        if each.choices is not None:
            found[name] = kinds.CategoricalDistribution(each.choices)
        elif each.is_whole:
            found[name] = kinds.IntDistribution(each.low, each.high, each.log, each.step or 1)
        else:
            found[name] = kinds.FloatDistribution(each.low, each.high, each.log, each.step)
    return found


def _value(found: SearchRange, text: str) -> int | float | str:
    if found.choices is not None:
        return text
    return int(text) if found.is_whole else float(text)


def _text(value: object) -> str:
    return value if isinstance(value, str) else repr(value)
