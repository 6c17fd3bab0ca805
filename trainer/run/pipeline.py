"""The pipeline of a run: data, features, folds, models, blend, bundles.

In: a held run folder, a configuration, limits. Out: the run folder, further on or finished; each
stage continues from what the folder holds.

    python -m trainer train --run NAME
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from trainer.config import Config, flat_settings, setting_text
from trainer.data.schema import DataError
from trainer.folds import FoldAssignment
from trainer.models import registry
from trainer.models.monitor import Paused
from trainer.own_code.approvals import approved
from trainer.own_code.code_files import CodeFile, CodeRefusedError, read_of_run, write_to_run
from trainer.own_code.loader import load
from trainer.run import RefusedError
from trainer.run.fold_fitting import FoldFitting
from trainer.run.frozen_config import (
    choose_models,
    demand_libraries,
    demand_same,
    exactness_remarks,
    freeze,
    run_key,
)
from trainer.run.inputs.dataset import Dataset
from trainer.run.inputs.folds_file import FoldsFile
from trainer.run.inputs.parts import PartMaker
from trainer.run.inputs.recordings import load_dataset
from trainer.run.machine import pin
from trainer.run.plan import Plan, describe_plan
from trainer.run.progress import RunProgress
from trainer.run.stop_signal import StopSignal, StopSource
from trainer.run.workers.pool import WorkerPool
from trainer.run.workers.semaphores import remove_semaphores
from trainer.run.workers.worker_files import collect_lines
from trainer.store.checksums import CheckedFolder
from trainer.store.durable import StoreError, remove_temporary_files
from trainer.store.event_log import read_events
from trainer.store.names import RunPaths
from trainer.store.reader import RunReader
from trainer.store.recorder import Recorder
from trainer.store.records import RunFile, Status, dump_record
from trainer.store.resume_record import INEXACT, resume_record
from trainer.store.run_state import describe
from trainer.store.tables.run_tables import assignment_sha256, parse_folds


@dataclass(frozen=True)
class Limits:
    """When this start of the trainer ends by itself.

    Attributes:
        time_limit_s: Seconds from now, or None.
        stop_after_folds: Folds done by this start, or None.
        restarted_models: Models whose folds start over (RESUME_TORCH=0).
        stop_sources: Polled at every safe point, after the run's own.
        on_fold: Called whenever all models have finished the next fold, with the blend's score of
            each fold so far, computed from that fold and those before it; returns a reason to stop
            or None. The models are then trained fold by fold, which changes no bit.
    """

    time_limit_s: float | None = None
    stop_after_folds: int | None = None
    restarted_models: frozenset[str] = frozenset()
    stop_sources: tuple[StopSource, ...] = ()
    on_fold: Callable[[tuple[float, ...]], str | None] | None = None


@dataclass
class Pipeline:
    """One start of the trainer on one run.

    Attributes:
        paths: The run's files.
        config: The run's configuration.
        limits: When to pause by itself.
        recorder: Status, history, log.
        stop: Whether to pause.
        previous: The last status of the attempt before this one.
        origin: Where the run was copied from just now, in words; "" where it was here.
        pool: The workers that fit the folds.
        left_out: Requested models that a new run is made without, and why, in words.
        chosen: Settings that a new run has chosen by its recordings, each with its value.
        folds_file: The folds of a new run; None where they are assigned at random.
        code: Own code that a new run is made with; of an existing one, its copy counts.
        assigned: The folds of a new run, once they are assigned.
    """

    paths: RunPaths
    config: Config
    limits: Limits
    recorder: Recorder
    stop: StopSignal
    previous: Status | None
    origin: str
    pool: WorkerPool
    left_out: Mapping[str, str] = field(default_factory=dict)
    chosen: tuple[str, ...] = ()
    folds_file: FoldsFile | None = None
    code: tuple[CodeFile, ...] = ()
    assigned: FoldAssignment | None = None

    def run(self) -> None:
        """Do everything that is left.

        Raises:
            Paused: A stop was requested; the newest checkpoints are saved.
        """
        pin(self.config.exact)
        self._load_own_code()
        self._choose_models()
        self._repair()

        maker = self.pool.part_maker(self.paths, self.recorder)
        dataset = self._load_data(maker)  # data
        run_file, is_new = self._freeze_config(dataset)
        dataset.config = run_file.settings()  # with what was chosen by the recordings
        self._record_interruption()
        progress = self._open_progress(run_file)
        self._show_plan(dataset, run_file, is_new, progress)
        try:
            self._build_inputs(dataset)  # features
        finally:
            maker.close()
        folds = self._assign_folds(dataset, progress, is_new)  # folds
        FoldFitting(  # models; after each fold the tables (blend, scores) and bundles
            progress=progress,
            dataset=dataset,
            folds=folds,
            key=run_key(run_file),
            recorder=self.recorder,
            stop=self.stop,
            pool=self.pool,
            max_folds=self.limits.stop_after_folds,
            on_fold=self.limits.on_fold,
        ).run()
        self._write_resume_record()
        progress.drop_checkpoints()

    @property
    def folder(self) -> CheckedFolder:
        """Return the run folder's files with checksums."""
        return CheckedFolder(self.paths.root)

    def _load_own_code(self) -> None:
        """Execute the own code of the run, where this user has approved it."""
        try:
            if self.paths.has_config:
                self.code = read_of_run(self.paths.root, self.config.use)
            if tuple(file.entry for file in self.code) != self.config.use:
                raise CodeRefusedError("use: expected the files that the configuration names")
            known = approved() if self.code else ()
            registry.use_own(load(self.code, known, self.paths.root.name))
        except CodeRefusedError as error:
            raise RefusedError(str(error)) from error

    def _choose_models(self) -> None:
        """Import the models' libraries; a new run is made of the models for which that succeeds."""
        self.recorder.update(message="Loading the libraries")
        if self.paths.has_config:
            demand_libraries(self.paths.root.name, self.config)
        else:
            self.config, self.left_out = choose_models(self.config)

    def _repair(self) -> None:
        """Remove and repair what a killed attempt left."""
        self.recorder.update(
            stage="data",
            message="Reading the recordings",
            pauses_at=self.stop.limit.pauses_at_epoch_s,
        )
        remove_temporary_files(self.paths.root)
        num_lines = collect_lines(self.paths)
        if num_lines:
            self.recorder.log(f"{num_lines} lines of history collected from an earlier start")
        if self.previous is not None:
            remove_semaphores(self.previous)
        num_unreadable = read_events(self.paths.metrics).num_unreadable
        if num_unreadable:
            self.recorder.log(f"metrics.jsonl: {num_unreadable} lines are no events; not used")
        self.recorder.problems(self.folder.repair())

    def _load_data(self, maker: PartMaker) -> Dataset:
        """Read the recordings; an error for an existing run explains how to name a new place."""
        try:
            dataset = load_dataset(
                self.config, maker, lambda text: self.recorder.update(message=text), self.code
            )
        except DataError as error:
            if not self.paths.config.exists():
                raise
            raise DataError(
                f"{error} If the recordings have moved: python -m trainer train --run "
                f"{self.paths.root.name} --data NEW_PLACE"
            ) from error
        self._stop_here()
        return dataset

    def _freeze_config(self, dataset: Dataset) -> tuple[RunFile, bool]:
        """Write the run's configuration, or compare an existing one; return whether it is new."""
        frozen = RunReader(self.paths.root).run_file()
        if frozen is None:
            requested = flat_settings(self.config)
            self.config = registry.choose_settings(self.config, dataset.size)
            self.chosen = tuple(
                f"{name} {setting_text(value)}"
                for name, value in flat_settings(self.config).items()
                if value != requested[name]
            )
            self.assigned = dataset.assign_folds(self.folds_file)  # refused before the run exists
            if self.folds_file is not None:
                self._write_folds(self.assigned)  # first: resume has no such file
            run_file = freeze(self.paths.root.name, self.config, dataset, self.left_out)
            write_to_run(self.paths.root, self.code)
            self.folder.write(self.paths.config.name, dump_record(run_file))
            return run_file, True
        demand_same(frozen, self.config, dataset)
        self.recorder.problems(exactness_remarks(frozen, self.config))
        return frozen, False

    def _record_interruption(self) -> None:
        """Record that the attempt before this one was killed, which it could not do itself."""
        last = self.previous
        if last is None or last.state not in ("running", "pausing"):
            return
        self.recorder.event(
            "interrupted",
            last.model,
            last.fold,
            {"step": last.step, "redone_s": round(last.kill_costs_s, 3)},
            text=f"cut off at {describe(last)}",
        )

    def _open_progress(self, run_file: RunFile) -> RunProgress:
        """Open every fold of every model: done, begun or waiting."""
        progress = RunProgress(self.paths, self.config, run_file.recordings, run_file.left_out)
        is_by_fold = self.limits.on_fold is not None
        progress.open_folds(
            run_key(run_file), self.recorder, is_by_fold, self.limits.restarted_models
        )
        self.recorder.update(done_units=len(progress.results), total_units=len(progress.files))
        return progress

    def _show_plan(
        self, dataset: Dataset, run_file: RunFile, is_new: bool, progress: RunProgress
    ) -> None:
        records = tuple(progress.record(fold) for fold in progress.files)
        features = dataset.open_cache(self.folder)
        plan = Plan(is_new, features, records, dataset.size, self.origin, self.chosen)
        for line in describe_plan(plan, run_file, self.config, str(self.paths.root.parent)):
            self.recorder.log(line)
        resumed = f"goes on, {self.origin}" if self.origin else "goes on"
        self.recorder.event("start", text="new run" if is_new else resumed)
        self._stop_here()

    def _build_inputs(self, dataset: Dataset) -> None:
        """Make the frames and the feature table, as far as the run's models need them."""
        kinds = {model.inputs for model in registry.select(self.config.models)}
        if "frames" in kinds:
            dataset.open_frames(self.folder, self._stop_here)
        if "features" in kinds:
            self.recorder.update(stage="features", message="Feature table")
            began = time.monotonic()
            why = dataset.open_features(self.folder, self._stop_here)
            if why is not None:
                seconds = time.monotonic() - began
                self.recorder.log(f"feature table built in {seconds:.1f} s ({why})")

    def _assign_folds(
        self, dataset: Dataset, progress: RunProgress, is_new: bool
    ) -> FoldAssignment:
        """Read the folds, or make them once; they are never recomputed afterwards."""
        self.recorder.update(stage="folds", message="Folds")
        is_begun = progress.has_begun or not is_new  # else what is there is of a start before it
        data = self.folder.read(self.paths.folds.name) if is_begun else None
        sha256 = self.config.folds.file_sha256
        if data is not None:
            table = parse_folds(data, self.paths.folds, None)  # its length has its own message
            if sha256 and assignment_sha256(table.select("sequence_id", "fold")) != sha256:
                raise StoreError(f"{self.paths.folds}: its folds are not those of the run's file")
            folds = dataset.fold_assignment(table["fold"].to_numpy())
        elif progress.has_begun:
            raise StoreError(
                f"{self.paths.folds}: missing or damaged, and folds were trained on it. Put the "
                f"file back from a copy, or begin another run"
            )
        elif sha256 and self.folds_file is None:
            raise StoreError(
                f"{self.paths.folds}: missing or damaged. Its folds are those of a file: python -m "
                f"trainer train --run {self.paths.root.name} --folds-file FILE"
            )
        else:
            folds = self.assigned or dataset.assign_folds(self.folds_file)
            self._write_folds(folds)
        self._stop_here()
        return folds

    def _write_folds(self, folds: FoldAssignment) -> None:
        buffer = io.BytesIO()
        folds.to_frame().write_parquet(buffer)
        self.folder.write(self.paths.folds.name, buffer.getvalue())

    def _write_resume_record(self) -> None:
        """Record how the run came to its end, and whether recomputed points were equal."""
        record = resume_record(RunReader(self.paths.root).events())
        self.recorder.problems([f"{INEXACT}: {text}" for text in record.unequal_points])
        self.folder.write(self.paths.resume_record.name, dump_record(record))

    def _stop_here(self) -> None:
        if self.stop.is_set():
            raise Paused
