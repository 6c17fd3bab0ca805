"""The trials of one start of a study, one after the other, each to its end or to a pause.

In: a held study folder, its definition, limits. Out: trial records and run folders, further on or
finished. Everything is derived from them again at the next start.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from trainer.config import Config, ConfigError
from trainer.models import registry
from trainer.own_code.code_files import read_of_run
from trainer.run.execution import execute, last_status
from trainer.run.frozen_config import continued
from trainer.run.inputs.folds_file import FoldsFile
from trainer.run.pipeline import Limits
from trainer.run.stop_signal import Interrupts, StopSignal
from trainer.run.workers.pool import WorkerPool
from trainer.store.checksums import write_if_changed
from trainer.store.durable import StoreError
from trainer.store.reader import RunReader
from trainer.store.recorder import Recorder
from trainer.store.records import Status
from trainer.study import search
from trainer.study.definition import StudyFile
from trainer.study.side_by_side import RunJob, SideBySide
from trainer.study.study_folds import read_folds
from trainer.study.trials import (
    StudyPaths,
    TrialRecord,
    best_trial,
    demand_free,
    read_trials,
    run_name,
    write_trial,
)


class StudyPausedError(Exception):
    """Raised between or in trials where a stop is requested; the runs have saved everything."""


@dataclass
class TrialLoop:
    """The trials of one start.

    Attributes:
        root: The study's folder.
        study: The definition.
        limits: When to pause by itself.
        recorder: Status, history and log of the study.
        stop: Whether to pause.
        interrupts: Shared with the runs, so that no signal is lost between two of them.
        on_beat: Receives the status of the present run.
        pool: The workers.
        on_best: Receives each trial that is better than all before it.
        trials: The records of all trials that have begun.
        folds_file: The folds of all runs, where they are those of a file.
    """

    root: Path
    study: StudyFile
    limits: Limits
    recorder: Recorder
    stop: StopSignal
    interrupts: Interrupts
    on_beat: Callable[[Status], None]
    pool: WorkerPool
    on_best: Callable[[TrialRecord], None]
    trials: list[TrialRecord] = field(default_factory=list)
    folds_file: FoldsFile | None = None

    def run(self) -> None:
        """Continue the trial that had begun, then do the others."""
        self.trials = read_trials(self.root)
        self.folds_file = read_folds(self.root, self.study, self.trials)
        self._remark_versions()
        self._write_journal()
        self._train_side_by_side()
        while (running := self._running()) or len(self.trials) < self.study.num_trials:
            self._pause_if_requested()
            self._record(self._finish(running or self._begin()))
        best = best_trial(self.trials)
        if best is not None:
            self.recorder.log(f"best: trial {best.number}, score {best.value:.4f}")

    def _running(self) -> TrialRecord | None:
        """Return the first trial that has begun and is not over."""
        return next((trial for trial in self.trials if trial.state == "running"), None)

    def _train_side_by_side(self) -> None:
        """Train the runs of seeds and a grid on Dask's workers, if there are any."""
        if self.study.search:
            return
        over = {trial.number for trial in self.trials if trial.state != "running"}
        runs = [
            (number, seed)
            for number in range(self.study.num_trials)
            for seed in self.study.seeds
            if number not in over
        ]
        engine = self.pool.run_engine(len(runs))
        if engine is None:
            return
        self.recorder.log(f"runs side by side on {engine.num_workers()} workers")
        self.recorder.update(
            stage="trials", done_units=len(over), total_units=self.study.num_trials
        )
        left = Counter(number for number, _ in runs)

        def make_job(place: int) -> RunJob:
            number, seed = runs[place]
            trial = self.trials[number] if number < len(self.trials) else self._begin()
            root, config = self._root(trial, seed), self._config(trial, seed)
            code = read_of_run(self.root, config.use)
            study = (self.root.resolve(), self.recorder.attempt)
            return RunJob(root.resolve(), config, code, self.folds_file, *study, self._left_s())

        def note_done(place: int) -> None:
            number, _ = runs[place]
            left[number] -= 1
            if left[number] == 0:
                self._record(self._complete(self.trials[number], ()))
                seconds = self.trials[number].seconds * sum(map(bool, left.values()))
                self.recorder.update(eta_s=seconds / engine.num_workers())

        side_by_side = SideBySide(
            root=self.root,
            model=registry.lead(self.study.base.models),
            waiting=list(range(len(runs))),
            make_job=make_job,
            on_done=note_done,
            recorder=self.recorder,
            stop=self.stop,
            engine=engine,
        )
        side_by_side.run()
        if side_by_side.waiting:
            raise StudyPausedError(side_by_side.reason)

    def _begin(self) -> TrialRecord:
        """Draw or look up the settings of the next trial and write them before its run begins."""
        number = len(self.trials)
        if self.study.search:
            settings = search.draw(self.study, self.trials)
        else:
            settings = list(self.study.grid_trials())[number]
        demand_free(self.study, StudyPaths(self.root).state_dir, number)
        trial = TrialRecord(number=number, settings=settings, begun_at=time.time())
        write_trial(self.root, trial)
        self.trials.append(trial)
        self._write_journal()
        self.recorder.log(f"trial {number} of {self.study.num_trials}: {_words(trial)}")
        return trial

    def _record(self, trial: TrialRecord) -> None:
        """Write the record of a trial that is over."""
        self.trials[trial.number] = trial
        write_trial(self.root, trial)
        self._write_journal()
        self._log_trial(trial)
        if best_trial(self.trials) is trial:
            self.on_best(trial)

    def _finish(self, trial: TrialRecord) -> TrialRecord:
        """Train the runs of a trial; return its record once it is over."""
        self._show(trial)
        steps: list[float] = []
        for seed in self.study.seeds:
            self._pause_if_requested()
            try:
                config = self._config(trial, seed)
            except ConfigError as error:
                return self._ended(trial, state="failed", steps=tuple(steps), reason=str(error))
            root = self._root(trial, seed)
            code = read_of_run(self.root, config.use)
            check = search.FoldCheck(self.study, self.trials[:-1], tuple(steps))
            outcome = execute(
                *(root, config, self._limits(check), self.recorder.log),
                on_beat=lambda status: self._relay(trial, status),
                pool=self.pool,
                folds_file=self.folds_file,
                interrupts=self.interrupts,
                code=code,
            )
            steps += check.scores
            if check.reason is not None:
                return self._ended(trial, state="pruned", steps=tuple(steps), reason=check.reason)
            if outcome == "paused":
                self._pause_if_requested()
                status = last_status(root)
                raise StudyPausedError(f"run {root.name}: {status.message if status else outcome}")
        return self._complete(trial, tuple(steps))

    def _complete(self, trial: TrialRecord, steps: tuple[float, ...]) -> TrialRecord:
        value = math.fsum(self._fold_scores(trial)) / self.study.num_steps
        return self._ended(trial, state="complete", steps=steps, value=value)

    def _root(self, trial: TrialRecord, seed: int) -> Path:
        return StudyPaths(self.root).state_dir / run_name(self.study, trial.number, seed)

    def _config(self, trial: TrialRecord, seed: int) -> Config:
        """Return the configuration of a run; of an existing one, the frozen one.

        Raises:
            ConfigError: The settings cannot be combined.
            RefusedError: The existing run was made with others.
        """
        config = self.study.config(trial.settings, seed)
        frozen = RunReader(self._root(trial, seed)).run_file()
        if frozen is None:
            return config
        return continued(frozen, config, f"It is a run of the study {self.study.name}")

    def _left_s(self) -> float | None:
        """Return when a run pauses; its own time limit leaves time for its saves."""
        if self.limits.time_limit_s is None:
            return None
        return max(0.0, self.stop.limit.ends_at - time.monotonic())

    def _limits(self, check: search.FoldCheck) -> Limits:
        return replace(
            self.limits,
            time_limit_s=self._left_s(),
            stop_sources=(lambda: self.stop.reason if self.stop.is_set() else None,),
            on_fold=check if self.study.search else None,
        )

    def _fold_scores(self, trial: TrialRecord) -> list[float]:
        """Return the blend's score of every fold of every seed.

        Raises:
            StoreError: A finished run lacks one.
        """
        found: list[float] = []
        for seed in self.study.seeds:
            scores = RunReader(self._root(trial, seed)).scores()
            blend = None if scores is None else scores.models.get("blend")
            rows = () if blend is None else blend.all_sensors.folds
            found += [row.score for row in rows if row is not None]
        if len(found) != self.study.num_steps:
            raise StoreError(
                f"study {self.study.name}: expected {self.study.num_steps} fold scores of trial "
                f"{trial.number}, got {len(found)}. Verify its runs"
            )
        return found

    def _ended(self, trial: TrialRecord, **outcome: object) -> TrialRecord:
        roots = (self._root(trial, seed) for seed in self.study.seeds)
        seconds = sum(fold.seconds for root in roots for fold in RunReader(root).fold_records())
        update = {**outcome, "seconds": round(seconds, 3), "ended_at": time.time()}
        return trial.model_copy(update=update)

    def _pause_if_requested(self) -> None:
        if self.stop.is_set_between_folds():
            raise StudyPausedError(self.stop.reason or "")

    def _show(self, trial: TrialRecord, status: Status | None = None) -> None:
        over = [each.seconds for each in self.trials if each.state == "complete"]
        left = self.study.num_trials - trial.number - 1
        run_left = None if status is None else status.eta_s
        eta_s = None
        if over and run_left is not None:
            eta_s = run_left + left * math.fsum(over) / len(over)
        self.recorder.update(
            stage="trials",
            message=f"trial {trial.number} of {self.study.num_trials}"
            + ("" if status is None else f": {status.run}, {status.message or status.stage}"),
            done_units=trial.number,
            total_units=self.study.num_trials,
            eta_s=eta_s,
            **({} if status is None else {"progress_at": status.progress_at}),
        )

    def _relay(self, trial: TrialRecord, status: Status) -> None:
        self._show(trial, status)
        self.on_beat(status)

    def _log_trial(self, trial: TrialRecord) -> None:
        num_over = sum(each.state != "running" for each in self.trials)
        self.recorder.update(done_units=num_over, total_units=self.study.num_trials)
        best = best_trial(self.trials)
        record = "" if best is None else f"; best so far: {best.value:.4f}, trial {best.number}"
        result = f"score {trial.value:.4f}" if trial.value is not None else trial.state
        reason = f" ({trial.reason})" if trial.reason else ""
        self.recorder.log(f"trial {trial.number}: {result}{reason}{record}")

    def _remark_versions(self) -> None:
        """Report that another version of Optuna may draw other values."""
        if not self.study.search:
            return
        now = search.versions()
        if self.trials and now != self.study.versions:
            self.recorder.problem(
                f"Optuna {self.study.versions.get('optuna')} -> {now['optuna']}: the next trials "
                f"may be others than it would have drawn"
            )

    def _write_journal(self) -> None:
        """Write the view for Optuna's tools where it is missing or behind."""
        if not self.study.search:
            return
        data = search.journal_bytes(self.study, self.trials)
        write_if_changed(StudyPaths(self.root).journal, data)


def _words(trial: TrialRecord) -> str:
    return ", ".join(f"{name}={value}" for name, value in trial.settings.items()) or "as configured"
