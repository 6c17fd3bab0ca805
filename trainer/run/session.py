"""One start of the trainer on one run: every stage, each from where it was left.

In: a held run folder, a configuration, limits. Out: the run folder, further on.
"""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl

from trainer.config import Config
from trainer.data.schema import DataError
from trainer.models.monitor import Paused
from trainer.run.crew import Crew, Work, most_threads
from trainer.run.engine import Engine, Unit
from trainer.run.estimate import seconds_per_fold
from trainer.run.eta import Speedometer
from trainer.run.fold_files import FoldBlock
from trainer.run.freezing import demand_same, exactness_remarks, freeze, run_key
from trainer.run.machine import pin
from trainer.run.material import Material, load_material
from trainer.run.plan import Plan, describe_plan
from trainer.run.sharing import num_bytes, share
from trainer.run.side_by_side import SideBySide
from trainer.run.stopping import StopSwitch
from trainer.run.units import unit_work
from trainer.run.views import (
    FoldTable,
    bundle_bytes,
    importance_bytes,
    oof_bytes,
    scores,
)
from trainer.run.work import do_unit, finished_block
from trainer.run.worker import UnitTask
from trainer.store.at_work import take_over
from trainer.store.checksums import CheckedFolder
from trainer.store.durable import StoreError, remove_litter, sha256, write_atomic
from trainer.store.history import resume_record
from trainer.store.names import RunPaths
from trainer.store.reader import RunReader
from trainer.store.recorder import Recorder
from trainer.store.records import (
    FileRef,
    ModelState,
    RunFile,
    Status,
    UnitRecord,
    dump_record,
)
from trainer.store.units import UnitStore
from trainer.store.verdict import describe

RESUME_RECORD = "resume_record.json"


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
        blocks: Finished folds.
        stores: The files of every fold of every model, in the order of work.
        speed: Seconds per step.
    """

    paths: RunPaths
    config: Config
    limits: Limits
    recorder: Recorder
    switch: StopSwitch
    previous: Status | None
    origin: str = ""
    crew: Crew = field(default_factory=Crew)
    blocks: dict[tuple[str, int], FoldBlock] = field(default_factory=dict)
    stores: dict[tuple[str, int], UnitStore] = field(default_factory=dict)
    speed: Speedometer = field(default_factory=Speedometer)

    @property
    def folder(self) -> CheckedFolder:
        """Return the run folder's whole files."""
        return CheckedFolder(self.paths.root)

    def work(self) -> None:
        """Do everything that is left."""
        pin(self.config.exact)
        self.recorder.update(
            stage="data", message="Reading the recordings", pauses_at=self._pauses_at()
        )
        remove_litter(self.paths.root)
        num_taken = take_over(self.paths)
        if num_taken:
            self.recorder.log(f"{num_taken} lines of history taken over from the start before")
        for problem in self.folder.heal():
            self._say_problem(problem)
        material = self._load_material()
        self._stop_here()
        run_file, is_new = self._freeze(material)
        self._tell_interruption()
        key = run_key(run_file)
        self._open_units(key)
        self._show_plan(material, run_file, is_new)
        goes_on = f"goes on, {self.origin}" if self.origin else "goes on"
        self.recorder.event("start", text="new run" if is_new else goes_on)
        self._stop_here()
        self._build_features(material)
        table = self._assign_folds(material)
        self._stop_here()
        self._do_units(material, table, key)
        events = RunReader(self.paths.root).events()
        self.folder.write(RESUME_RECORD, dump_record(resume_record(events)))

    def _load_material(self) -> Material:
        """Read the recordings; of an existing run, say how to tell where they have gone."""
        try:
            return load_material(self.config)
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

    def _stop_here(self) -> None:
        if self.switch.is_set():
            raise Paused

    def _freeze(self, material: Material) -> tuple[RunFile, bool]:
        """Write the run's configuration, or hold what is here against it."""
        frozen = RunReader(self.paths.root).run_file()
        if frozen is None:
            run_file = freeze(self.paths.root.name, self.config, material)
            self.folder.write(self.paths.config.name, dump_record(run_file))
            return run_file, True
        demand_same(frozen, self.config, material)
        for remark in exactness_remarks(frozen, self.config):
            self._say_problem(remark)
        return frozen, False

    def _open_units(self, key: str) -> None:
        """Look at every fold of every model: done, begun or waiting."""
        for model in self.config.models:
            state = self._model_state(model)
            for fold in range(self.config.folds.count):
                unit = self.paths.unit(model, fold)
                store, block = finished_block(unit, self.recorder.attempt, state, key)
                if model == "torch" and self.limits.restart_network:
                    store.start_over()
                    block = None
                store.heal()
                self._report_problems(store)
                self.stores[(model, fold)] = store
                if block is not None:
                    self.blocks[(model, fold)] = block
            self._write_model_state(model, None if state is None else state.bundle)
        self._count_units()

    def _model_state(self, model: str) -> ModelState | None:
        try:
            return RunReader(self.paths.root).model_state(model)
        except StoreError as error:
            self._say_problem(str(error))
            return None

    def _report_problems(self, store: UnitStore) -> None:
        while store.problems:
            self._say_problem(store.problems.pop(0))

    def _say_problem(self, text: str) -> None:
        self.recorder.event("problem", text=text)
        self.recorder.log(f"problem: {text}")

    def _show_plan(self, material: Material, run_file: RunFile, is_new: bool) -> None:
        units = tuple(self._unit_view(key) for key in self.stores)
        features = material.look_at_cache(self.folder)
        plan = Plan(is_new, features, units, material.size, self.origin)
        for line in describe_plan(plan, run_file, self.config, str(self.paths.root.parent)):
            self.recorder.log(line)

    def _unit_view(self, key: tuple[str, int]) -> UnitRecord:
        record = self.stores[key].record
        return record.model_copy(update={"done": key in self.blocks})

    def _build_features(self, material: Material) -> None:
        if "lgbm" not in self.config.models:
            return
        self.recorder.update(stage="features", message="Feature table")
        began = time.monotonic()
        problem = material.open_features(self.folder, self._stop_here)
        if problem is not None:
            seconds = time.monotonic() - began
            self.recorder.log(f"feature table built in {seconds:.1f} s ({problem})")

    def _assign_folds(self, material: Material) -> FoldTable:
        """Read the folds back, or make them once; they are never recomputed afterwards."""
        self.recorder.update(stage="folds", message="Folds")
        data = self.folder.read(self.paths.folds.name)
        if data is not None:
            return material.fold_table(pl.read_parquet(io.BytesIO(data))["fold"].to_numpy())
        if self.blocks or any(store.record.last for store in self.stores.values()):
            raise StoreError(
                f"{self.paths.folds}: missing or damaged, and folds were trained on it. Put the "
                f"file back from a copy, or begin another run"
            )
        table = material.assign_folds()
        buffer = io.BytesIO()
        table.to_frame().write_parquet(buffer)
        self.folder.write(self.paths.folds.name, buffer.getvalue())
        return table

    def _do_units(self, material: Material, table: FoldTable, key: str) -> None:
        """Fit every fold that is not done, in order, and keep views and bundles up to date."""
        self._write_views(table)
        self._write_bundles(table, self.config.models)
        left = [unit for unit in self.stores if unit not in self.blocks]
        engine = None if not left else self._engine(material, left)
        if engine is None:
            self._do_one_by_one(left, material, table, key)
            return
        self._stop_here()
        self._side_by_side(engine, left, material, table, key).run()

    def _do_one_by_one(
        self, left: Sequence[Unit], material: Material, table: FoldTable, key: str
    ) -> None:
        """Fit the folds in this process."""
        for num_done_now, (model, fold) in enumerate(left, start=1):
            store = self.stores[(model, fold)]
            self._stop_here()
            work = unit_work(self.paths.unit(model, fold), material, table, self.config, key)
            self.blocks[(model, fold)] = do_unit(
                work, store, self.recorder, self.switch, self.speed, self._note_commit
            )
            self._report_problems(store)
            self._note_done((model, fold), table)
            self._pause_between_folds(num_done_now)

    def _note_done(self, unit: Unit, table: FoldTable) -> None:
        """Bring all that is made of several folds up to date; the order of work stays out of it."""
        self.blocks = {known: self.blocks[known] for known in self.stores if known in self.blocks}
        self._count_units()
        self._write_views(table)
        self._write_bundles(table, unit[:1])

    def _engine(self, material: Material, left: Sequence[Unit]) -> Engine | None:
        """Return the workers, or None where the folds are best fitted one by one, here."""
        models = [model for model in self.config.models if any(unit[0] == model for unit in left)]
        seconds = seconds_per_fold(self.config, material.size)
        work = Work(
            num_units=len(left),
            seconds=sum(seconds[model] for model, _ in left),
            num_threads=most_threads(self.config, models),
            num_bytes=num_bytes(material, models),
            has_system_locks=self.recorder.status.lock_kind == "system",
        )
        engine, why = self.crew.muster(work)
        self.recorder.log(why)
        return engine

    def _side_by_side(
        self,
        engine: Engine,
        left: Sequence[Unit],
        material: Material,
        table: FoldTable,
        key: str,
    ) -> SideBySide:
        """Return the coordinator of several workers, each of which fits a fold at a time."""
        models = [model for model in self.config.models if any(unit[0] == model for unit in left)]
        shared = share(material, table, models, self.paths.at_work)
        material.forget()

        def task(unit: Unit) -> UnitTask:
            attempt = self.recorder.attempt
            return UnitTask(self.paths.root, *unit, attempt, key, self.config, shared)

        def note_commit(record: UnitRecord) -> None:
            self.stores[(record.model, record.fold)].record = record
            self._write_model_state(record.model, None)
            left_s = work.seconds_left(self._steps_left)
            self.recorder.update(eta_s=left_s, pauses_at=self._pauses_at())

        def note_done(unit: Unit) -> None:
            store, block = finished_block(self.paths.unit(*unit), self.recorder.attempt, None, key)
            self._report_problems(store)
            if block is None:
                raise StoreError(f"{store.paths.final_path}: not there, though its worker wrote it")
            self.stores[unit], self.blocks[unit] = store, block
            self._note_done(unit, table)

        work = SideBySide(
            paths=self.paths,
            recorder=self.recorder,
            switch=self.switch,
            engine=engine,
            waiting=list(left),
            task=task,
            on_commit=note_commit,
            on_done=note_done,
            max_units=self.limits.stop_after_folds,
            speed=self.speed,
        )
        return work

    def _pause_between_folds(self, num_done_now: int) -> None:
        is_last = len(self.blocks) == len(self.stores)
        limit = self.limits.stop_after_folds
        if limit is not None and num_done_now >= limit and not is_last:
            self.switch.reason = f"after {num_done_now} folds, as told"
        if self.switch.is_set_between_folds() and not is_last:
            raise Paused

    def _note_commit(self, store: UnitStore) -> None:
        """Rewrite the model's state file and the time left."""
        self._report_problems(store)
        model = store.paths.model
        self._write_model_state(model, None)
        self.recorder.update(eta_s=self._seconds_left(store), pauses_at=self._pauses_at())

    def _pauses_at(self) -> float | None:
        """Return when the time limit will pause the run, in seconds since 1970."""
        limit = self.switch.limit
        return None if limit is None else time.time() + limit.pauses_at - time.monotonic()

    def _write_model_state(self, model: str, bundle: FileRef | None) -> None:
        folds = tuple(store.record for (name, _), store in self.stores.items() if name == model)
        state = ModelState(model=model, folds=folds, bundle=bundle)
        write_atomic(self.paths.model_state(model), dump_record(state))

    def _seconds_left(self, current: UnitStore) -> float | None:
        return self.speed.seconds_left(
            [
                self._steps_left(unit, store is current)
                for unit, store in self.stores.items()
                if unit not in self.blocks and not store.record.done
            ]
        )

    def _steps_left(self, unit: Unit, is_current: bool = False) -> tuple[str, int]:
        """Return the model and how many steps are left of one of its folds, at most."""
        model, store = unit[0], self.stores[unit]
        totals = [s.record.total_steps for s in self.stores.values() if s.paths.model == model]
        total = self.config.boosting.rounds if model == "lgbm" else max(totals)
        step = store.record.step if is_current or store.record.last else 0
        return (model, total - step) if total else (model, 1)

    def _count_units(self) -> None:
        self.recorder.update(done_units=len(self.blocks), total_units=len(self.stores))

    def _write_views(self, table: FoldTable) -> None:
        """Bring the views up to what the fold files say."""
        if not self.blocks:
            return
        views = {
            self.paths.oof.name: oof_bytes(table, self.blocks, self.config.models),
            self.paths.scores.name: dump_record(scores(table, self.blocks, self.config)),
        }
        importance = importance_bytes(self.blocks, table.num_folds)
        if importance is not None:
            views[self.paths.importance.name] = importance
        for name, data in views.items():
            if self.folder.read(name) != data:
                self.folder.write(name, data)

    def _write_bundles(self, table: FoldTable, models: Sequence[str]) -> None:
        """Write the bundle of each of the models whose folds are all done."""
        for model in models:
            data = bundle_bytes(table, self.blocks, self.config, model)
            if data is None:
                continue
            name = self.paths.bundle(model).name
            if self.folder.read(name) != data:
                self.folder.write(name, data)
            self._write_model_state(
                model, FileRef(name=name, sha256=sha256(data), num_bytes=len(data))
            )
