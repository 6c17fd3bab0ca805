"""One start of the trainer on one run: every stage, each from where it was left.

In: a held run folder, a configuration, limits. Out: the run folder, further on.
"""

from __future__ import annotations

import io
import time
from dataclasses import dataclass, field

import polars as pl

from trainer.config import Config
from trainer.data.schema import DataError
from trainer.models import registry
from trainer.models.monitor import Paused
from trainer.run.dataset import Dataset
from trainer.run.fold_job import finished_block
from trainer.run.fold_work import FoldWork
from trainer.run.frozen_config import demand_same, exactness_remarks, freeze, run_key
from trainer.run.machine import pin
from trainer.run.parts import PartMaker
from trainer.run.plan import Plan, describe_plan
from trainer.run.progress import Ledger
from trainer.run.recordings import load_dataset
from trainer.run.result_tables import (
    FoldTable,
)
from trainer.run.stop_signal import StopSwitch, pauses_at
from trainer.run.workers.pool import Crew
from trainer.store.checksums import CheckedFolder
from trainer.store.durable import StoreError, remove_temporary_files
from trainer.store.fold_files import FoldFiles
from trainer.store.names import RunPaths
from trainer.store.reader import RunReader
from trainer.store.recorder import Recorder
from trainer.store.records import (
    ModelState,
    RunFile,
    Status,
    dump_record,
)
from trainer.store.resume_record import INEXACT, resume_record
from trainer.store.run_state import describe
from trainer.store.worker_files import collect_lines


@dataclass(frozen=True)
class Limits:
    """When this start of the trainer ends by itself.

    Attributes:
        time_limit_s: Seconds from now, or None.
        stop_after_folds: Folds done by this start, or None.
        restart_network: Whether the network's folds start over (RESUME_TORCH=0).
    """

    time_limit_s: float | None = None
    stop_after_folds: int | None = None
    restart_network: bool = False


@dataclass
class Session:
    """One start of the trainer on one run.

    Attributes:
        paths: The run's files.
        config: The run's configuration.
        limits: When to pause by itself.
        recorder: Status, history, log.
        switch: Whether to stop.
        previous: What the attempt before this one said last.
        origin: Where the run was copied from just now, in words; "" where it was here.
        crew: Who fits the folds.
        ledger: What is known of all folds.
    """

    paths: RunPaths
    config: Config
    limits: Limits
    recorder: Recorder
    switch: StopSwitch
    previous: Status | None
    origin: str = ""
    crew: Crew = field(default_factory=Crew)
    ledger: Ledger = field(init=False)
    _maker: PartMaker = field(init=False)

    def __post_init__(self) -> None:
        """Know of no fold yet."""
        self.ledger = Ledger(self.paths, self.config)
        self._maker = self.crew.part_maker(self.paths, self.recorder)

    @property
    def folder(self) -> CheckedFolder:
        """Return the run folder's whole files."""
        return CheckedFolder(self.paths.root)

    def work(self) -> None:
        """Do everything that is left."""
        pin(self.config.exact)
        self.recorder.update(
            stage="data",
            message="Reading the recordings",
            pauses_at=pauses_at(self.switch, time.time()),
        )
        remove_temporary_files(self.paths.root)
        num_taken = collect_lines(self.paths)
        if num_taken:
            self.recorder.log(f"{num_taken} lines of history taken over from the start before")
        for problem in self.folder.repair():
            self._say_problem(problem)
        dataset = self._load_material()
        self._stop_here()
        run_file, is_new = self._freeze(dataset)
        self._tell_interruption()
        key = run_key(run_file)
        self._open_units(key)
        self._show_plan(dataset, run_file, is_new)
        goes_on = f"goes on, {self.origin}" if self.origin else "goes on"
        self.recorder.event("start", text="new run" if is_new else goes_on)
        self._stop_here()
        try:
            self._build_features(dataset)
        finally:
            self._maker.close()
        table = self._assign_folds(dataset)
        self._stop_here()
        FoldWork(
            config=self.config,
            recorder=self.recorder,
            switch=self.switch,
            crew=self.crew,
            max_units=self.limits.stop_after_folds,
            ledger=self.ledger,
            dataset=dataset,
            table=table,
            key=key,
            report=self._report_problems,
        ).do_all()
        self._write_resume_record()

    def _write_resume_record(self) -> None:
        """Say how the run came to its end, and whether what was redone came out the same."""
        record = resume_record(RunReader(self.paths.root).events())
        for text in record.unequal_points:
            self._say_problem(f"{INEXACT}: {text}")
        self.folder.write(self.paths.resume_record.name, dump_record(record))

    def _load_material(self) -> Dataset:
        """Read the recordings; of an existing run, say how to tell where they have gone."""
        try:
            return load_dataset(self.config, self._maker, self._show_message)
        except DataError as error:
            if not self.paths.config.exists():
                raise
            raise DataError(
                f"{error} If the recordings have moved: python -m trainer train --run "
                f"{self.paths.root.name} --data NEW_PLACE"
            ) from error

    def _tell_interruption(self) -> None:
        """Write down that the attempt before this one was cut off, which it could not do itself."""
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

    def _show_message(self, text: str) -> None:
        self.recorder.update(message=text)

    def _stop_here(self) -> None:
        if self.switch.is_set():
            raise Paused

    def _freeze(self, dataset: Dataset) -> tuple[RunFile, bool]:
        """Write the run's configuration, or hold what is here against it."""
        frozen = RunReader(self.paths.root).run_file()
        if frozen is None:
            run_file = freeze(self.paths.root.name, self.config, dataset)
            self.folder.write(self.paths.config.name, dump_record(run_file))
            return run_file, True
        demand_same(frozen, self.config, dataset)
        for remark in exactness_remarks(frozen, self.config):
            self._say_problem(remark)
        return frozen, False

    def _open_units(self, key: str) -> None:
        """Look at every fold of every model: done, begun or waiting."""
        for model in self.config.models:
            state = self._model_state(model)
            for fold in range(self.config.folds.count):
                unit = self.paths.fold(registry.get(model), fold)
                store, block = finished_block(unit, self.recorder.attempt, state, key)
                if model == "torch" and self.limits.restart_network:
                    store.start_over()
                    block = None
                store.repair()
                self._report_problems(store)
                self.ledger.enter((model, fold), store, block)
            self.ledger.write_model_state(model, None if state is None else state.bundle)
        done, total = len(self.ledger.blocks), len(self.ledger.stores)
        self.recorder.update(done_units=done, total_units=total)

    def _model_state(self, model: str) -> ModelState | None:
        try:
            return RunReader(self.paths.root).model_state(model)
        except StoreError as error:
            self._say_problem(str(error))
            return None

    def _report_problems(self, store: FoldFiles) -> None:
        while store.problems:
            self._say_problem(store.problems.pop(0))

    def _say_problem(self, text: str) -> None:
        self.recorder.event("problem", text=text)
        self.recorder.log(f"problem: {text}")

    def _show_plan(self, dataset: Dataset, run_file: RunFile, is_new: bool) -> None:
        units = tuple(self.ledger.record(unit) for unit in self.ledger.stores)
        features = dataset.look_at_cache(self.folder)
        plan = Plan(is_new, features, units, dataset.size, self.origin)
        for line in describe_plan(plan, run_file, self.config, str(self.paths.root.parent)):
            self.recorder.log(line)

    def _build_features(self, dataset: Dataset) -> None:
        if "torch" in self.config.models:
            dataset.open_frames(self.folder, self._stop_here)
        if "lgbm" not in self.config.models:
            return
        self.recorder.update(stage="features", message="Feature table")
        began = time.monotonic()
        problem = dataset.open_features(self.folder, self._stop_here)
        if problem is not None:
            seconds = time.monotonic() - began
            self.recorder.log(f"feature table built in {seconds:.1f} s ({problem})")

    def _assign_folds(self, dataset: Dataset) -> FoldTable:
        """Read the folds back, or make them once; they are never recomputed afterwards."""
        self.recorder.update(stage="folds", message="Folds")
        data = self.folder.read(self.paths.folds.name)
        if data is not None:
            return dataset.fold_table(pl.read_parquet(io.BytesIO(data))["fold"].to_numpy())
        if self.ledger.is_begun:
            raise StoreError(
                f"{self.paths.folds}: missing or damaged, and folds were trained on it. Put the "
                f"file back from a copy, or begin another run"
            )
        table = dataset.assign_folds()
        buffer = io.BytesIO()
        table.to_frame().write_parquet(buffer)
        self.folder.write(self.paths.folds.name, buffer.getvalue())
        return table
