"""Fold fitting: every fold that is left, one by one in this process or side by side in workers.

In: training data, the progress of the run, the worker pool. Out: the progress, complete; tables and
bundles are written after every fold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from trainer.folds import FoldAssignment
from trainer.models import registry
from trainer.models.monitor import Paused
from trainer.run.estimate import StepTimer, seconds_per_fold
from trainer.run.fold_job import FoldJob, FoldKey, open_fold, run_fold
from trainer.run.inputs.dataset import Dataset, TrainingData
from trainer.run.progress import RunProgress
from trainer.run.stop_signal import StopSignal
from trainer.run.workers.coordinator import Coordinator
from trainer.run.workers.engine import Engine
from trainer.run.workers.pool import Work, WorkerPool, most_threads
from trainer.run.workers.shared_arrays import SharedArrays, num_bytes, share
from trainer.store.durable import StoreError
from trainer.store.fold_files import FoldFiles
from trainer.store.names import RunPaths
from trainer.store.recorder import Recorder
from trainer.store.records import FoldRecord


@dataclass
class FoldFitting:
    """The folds of one start of the trainer.

    Attributes:
        progress: All folds of the run.
        dataset: What they are fitted on.
        folds: Which sequence is in which fold.
        key: Of what the run is made from.
        recorder: Status, history, log.
        stop: Whether to pause.
        pool: The workers.
        max_folds: How many folds may be done in this start, or None.
        on_fold: As ``pipeline.Limits.on_fold``.
        fold_scores: The scores that ``on_fold`` has been called with.
        timer: Measures seconds per step.
    """

    progress: RunProgress
    dataset: Dataset
    folds: FoldAssignment
    key: str
    recorder: Recorder
    stop: StopSignal
    pool: WorkerPool
    max_folds: int | None
    on_fold: Callable[[tuple[float, ...]], str | None] | None = None
    fold_scores: tuple[float, ...] = ()
    timer: StepTimer = field(default_factory=StepTimer)

    def run(self) -> None:
        """Fit every fold that is not done, and keep tables and bundles up to date.

        Raises:
            Paused: A stop was requested; the newest checkpoints are saved.
        """
        self.recorder.problems(self.progress.drop_mismatched(self.folds))
        self.progress.write_tables(self.folds)
        self.progress.write_bundles(self.folds, self.progress.config.models)
        self._report_folds()
        if not self.progress.unfinished:
            return
        if self.stop.reason is not None:  # on_fold wants no more
            raise Paused
        models = dict.fromkeys(model for model, _ in self.progress.unfinished)
        data = self.dataset.training_data(self.folds, registry.select(models))
        engine = self._start_workers(data)
        if engine is None:
            self._fit_one_by_one(data)
            return
        paths = RunPaths(self.progress.paths.root.resolve())  # workers may have another folder
        shared = share(data, paths.at_work)
        del data  # the workers have it
        self.dataset.release()
        self._fit_side_by_side(paths, shared, engine)

    def _start_workers(self, data: TrainingData) -> Engine | None:
        """Return the workers, or None where folds are best fitted one by one in this process."""
        unfinished = self.progress.unfinished
        seconds = seconds_per_fold(self.progress.config, self.dataset.size)
        self.timer.estimated_s = seconds
        work = Work(
            num_folds=len(unfinished),
            seconds=sum(seconds[model] for model, _ in unfinished),
            num_threads=most_threads(self.progress.config, dict(unfinished)),
            num_bytes=num_bytes(data),
            has_system_locks=self.recorder.status.lock_kind == "system",
        )
        engine, why = self.pool.start(work)
        self.recorder.log(why)
        return engine

    def _fit_one_by_one(self, data: TrainingData) -> None:
        for num_done, fold in enumerate(self.progress.unfinished, start=1):
            if self.stop.is_set():
                raise Paused
            files = self.progress.files[fold]
            self.timer.later = [self.progress.steps_left(f) for f in self.progress.unfinished[1:]]
            result = run_fold(
                self._job(fold, self.progress.paths),
                *(data, files, self.recorder, self.stop, self.timer, self._note_commit),
            )
            self.recorder.problems(files.problems)
            self.progress.add(fold, files, result)
            self._note_done(fold)
            self._pause_between_folds(num_done)

    def _fit_side_by_side(self, paths: RunPaths, shared: SharedArrays, engine: Engine) -> None:
        def note_commit(record: FoldRecord) -> None:
            self.progress.files[(record.model, record.fold)].record = record
            self._show_commit(record.model)

        coordinator = Coordinator(
            paths=self.progress.paths,
            recorder=self.recorder,
            stop=self.stop,
            engine=engine,
            shared=shared,
            waiting=self.progress.unfinished,
            make_job=lambda fold: self._job(fold, paths),
            on_commit=note_commit,
            on_done=self._read_result,
            steps_left=self.progress.steps_left,
            max_folds=self.max_folds,
            timer=self.timer,
        )
        coordinator.run()

    def _job(self, fold: FoldKey, paths: RunPaths) -> FoldJob:
        attempt, config = self.recorder.attempt, self.progress.config
        return FoldJob(paths.root, *fold, attempt, self.key, config, self.dataset.code)

    def _read_result(self, fold: FoldKey) -> None:
        """Read the fold that a worker has finished."""
        files, result = open_fold(self._job(fold, self.progress.paths), None)
        self.recorder.problems(files.problems)
        if result is None:
            raise StoreError(
                f"{files.paths.final_path}: missing or damaged, just after it was written"
            )
        self.progress.add(fold, files, result)
        self._note_done(fold)

    def _note_done(self, fold: FoldKey) -> None:
        """Write the files that are made of several folds."""
        self.recorder.update(done_units=len(self.progress.results))
        self.progress.write_tables(self.folds)
        is_last = not self.progress.unfinished
        self.progress.write_bundles(
            self.folds, self.progress.config.models if is_last else fold[:1]
        )
        self._report_folds()

    def _report_folds(self) -> None:
        """Call ``on_fold`` for every further fold that all models have finished, in order."""
        while self.on_fold is not None and self.stop.reason is None:
            score = self.progress.blend_score(self.folds, len(self.fold_scores))
            if score is None:
                return
            self.fold_scores += (score,)
            self.stop.reason = self.on_fold(self.fold_scores)

    def _note_commit(self, files: FoldFiles) -> None:
        self.recorder.problems(files.problems)
        self._show_commit(files.paths.model)

    def _show_commit(self, model: str) -> None:
        """Rewrite the model's state file and the time of the next pause."""
        self.progress.bundles.pop(model, None)
        self.progress.write_model_state(model)
        self.recorder.update(pauses_at=self.stop.limit.pauses_at_epoch_s)

    def _pause_between_folds(self, num_done: int) -> None:
        if not self.progress.unfinished:
            return
        if self.max_folds is not None and num_done >= self.max_folds:
            self.stop.reason = f"after {num_done} fold{'s' * (num_done != 1)}, as requested"
        if self.stop.is_set_between_folds():
            raise Paused
