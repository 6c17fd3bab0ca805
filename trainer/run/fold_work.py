"""Fold work: fits every fold that is left, one by one in this process or side by side in others.

In: material, fold table, ledger, who is to do it. Out: the ledger, complete.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from trainer.config import Config
from trainer.models.monitor import Paused
from trainer.run.dataset import Dataset
from trainer.run.estimate import seconds_per_fold
from trainer.run.eta import Speedometer
from trainer.run.fold_job import do_unit, finished_block
from trainer.run.progress import Ledger
from trainer.run.result_tables import FoldTable
from trainer.run.stop_signal import StopSwitch, pauses_at
from trainer.run.units import unit_work
from trainer.run.workers.coordinator import SideBySide
from trainer.run.workers.engine import Engine, Unit
from trainer.run.workers.pool import Crew, Work, most_threads
from trainer.run.workers.shared_arrays import num_bytes, share
from trainer.run.workers.worker import FoldJob
from trainer.store.durable import StoreError
from trainer.store.fold_files import FoldFiles
from trainer.store.names import RunPaths
from trainer.store.recorder import Recorder
from trainer.store.records import FoldRecord


@dataclass
class FoldWork:
    """The folds of one start of the trainer.

    Attributes:
        config: The run's configuration.
        recorder: Status, history, log.
        switch: Whether to stop.
        crew: Who fits the folds.
        max_units: How many folds this start does, or None.
        ledger: What is known of all folds.
        dataset: What they are fitted on.
        table: Which sequence is in which fold.
        key: Of what the run is made from.
        report: Tells of what a unit's files were found to be.
        speed: Seconds per step.
    """

    config: Config
    recorder: Recorder
    switch: StopSwitch
    crew: Crew
    max_units: int | None
    ledger: Ledger
    dataset: Dataset
    table: FoldTable
    key: str
    report: Callable[[FoldFiles], None]
    speed: Speedometer = field(default_factory=Speedometer)

    def do_all(self) -> None:
        """Fit every fold that is not done, and keep views and bundles up to date.

        Raises:
            Paused: Somebody asked to stop; what was done is saved.
        """
        self.ledger.write_views(self.table)
        self.ledger.write_bundles(self.table, self.config.models)
        engine = self._muster() if self.ledger.left else None
        if engine is None:
            self._one_by_one()
        else:
            self._side_by_side(engine)

    def _muster(self) -> Engine | None:
        """Return the workers, or None where the folds are best fitted one by one, here."""
        left, models = self.ledger.left, self._models_left()
        seconds = seconds_per_fold(self.config, self.dataset.size)
        work = Work(
            num_units=len(left),
            seconds=sum(seconds[model] for model, _ in left),
            num_threads=most_threads(self.config, models),
            count_bytes=lambda: num_bytes(self.dataset, models),
            has_system_locks=self.recorder.status.lock_kind == "system",
        )
        engine, why = self.crew.muster(work)
        self.recorder.log(why)
        return engine

    def _models_left(self) -> Sequence[str]:
        return list(dict.fromkeys(model for model, _ in self.ledger.left))

    def _one_by_one(self) -> None:
        for num_done_now, unit in enumerate(self.ledger.left, start=1):
            if self.switch.is_set():
                raise Paused
            store = self.ledger.stores[unit]
            work = unit_work(store.paths, self.dataset, self.table, self.config, self.key)
            block = do_unit(
                work, store, self.recorder, self.switch, self.speed, self._note_own_commit
            )
            self.report(store)
            self.ledger.enter(unit, store, block)
            self._note_done(unit)
            self._pause_between_folds(num_done_now)

    def _side_by_side(self, engine: Engine) -> None:
        paths = RunPaths(self.ledger.paths.root.resolve())  # workers may have another folder
        shared = share(self.dataset, self.table, self._models_left(), paths.at_work)
        self.dataset.forget()

        def task(unit: Unit) -> FoldJob:
            return FoldJob(paths.root, *unit, self.recorder.attempt, self.key, self.config, shared)

        def note_commit(record: FoldRecord) -> None:
            self.ledger.stores[(record.model, record.fold)].record = record
            self._show_commit(record.model, workers.seconds_left(self.ledger.steps_left))

        workers = SideBySide(
            paths=self.ledger.paths,
            recorder=self.recorder,
            switch=self.switch,
            engine=engine,
            waiting=self.ledger.left,
            task=task,
            on_commit=note_commit,
            on_done=self._take_in,
            max_units=self.max_units,
            speed=self.speed,
        )
        workers.run()

    def _take_in(self, unit: Unit) -> None:
        """Read the fold that a worker has finished."""
        paths = self.ledger.stores[unit].paths
        store, block = finished_block(paths, self.recorder.attempt, None, self.key)
        self.report(store)
        if block is None:
            raise StoreError(f"{paths.final_path}: not there or damaged, just after it was written")
        self.ledger.enter(unit, store, block)
        self._note_done(unit)

    def _note_done(self, unit: Unit) -> None:
        """Bring all that is made of several folds up to date."""
        self.recorder.update(done_units=len(self.ledger.blocks))
        self.ledger.write_views(self.table)
        self.ledger.write_bundles(self.table, unit[:1])

    def _note_own_commit(self, store: FoldFiles) -> None:
        self.report(store)
        stores = self.ledger.stores
        left = [unit for unit in self.ledger.left if not stores[unit].record.done]
        work = [self.ledger.steps_left(unit, stores[unit] is store) for unit in left]
        self._show_commit(store.paths.model, self.speed.seconds_left(work))

    def _show_commit(self, model: str, left_s: float | None) -> None:
        """Rewrite the model's state file and the time left."""
        self.ledger.write_model_state(model, None)
        self.recorder.update(eta_s=left_s, pauses_at=pauses_at(self.switch, time.time()))

    def _pause_between_folds(self, num_done_now: int) -> None:
        if not self.ledger.left:
            return
        if self.max_units is not None and num_done_now >= self.max_units:
            self.switch.reason = f"after {num_done_now} folds, as told"
        if self.switch.is_set_between_folds():
            raise Paused
