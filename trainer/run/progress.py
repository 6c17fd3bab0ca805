"""The progress of all folds of a run, and the files that are made of several folds.

In: records and results of folds. Out: ``<model>_state.json``, the result tables and the bundles.
The order in which folds were done is in none of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from trainer.config import Config
from trainer.folds import FoldAssignment
from trainer.models import registry
from trainer.models.base import FoldResult
from trainer.run.estimate import StepsLeft
from trainer.run.fold_job import FoldJob, FoldKey, open_fold
from trainer.run.result_tables import (
    bundle_bytes,
    fit_blend_temperatures,
    importance_bytes,
    oof_bytes,
    scores,
)
from trainer.store.checksums import CheckedFolder
from trainer.store.durable import StoreError, sha256, write_atomic
from trainer.store.fold_files import FoldFiles
from trainer.store.names import RunPaths
from trainer.store.reader import RunReader
from trainer.store.recorder import Recorder
from trainer.store.records import DataSummary, FileRef, FoldRecord, ModelState, dump_record


@dataclass
class RunProgress:
    """Every fold of every model.

    Attributes:
        paths: The run's files.
        config: The run's configuration.
        recordings: What the run is trained on; device orientations are part of the bundles.
        left_out: Requested models that the run was made without; part of the bundles.
        files: The files of every fold of every model, in the order of work.
        results: Finished folds, in the same order.
        bundles: The bundle of each model that has one.
    """

    paths: RunPaths
    config: Config
    recordings: DataSummary
    left_out: Mapping[str, str]
    files: dict[FoldKey, FoldFiles] = field(default_factory=dict)
    results: dict[FoldKey, FoldResult] = field(default_factory=dict)
    bundles: dict[str, FileRef] = field(default_factory=dict)

    @property
    def unfinished(self) -> list[FoldKey]:
        """Return the folds that are not done, in the order of work."""
        return [fold for fold in self.files if fold not in self.results]

    @property
    def has_begun(self) -> bool:
        """Return whether anything was trained already."""
        return bool(self.results) or any(files.record.last for files in self.files.values())

    def open_folds(
        self, key: str, recorder: Recorder, is_by_fold: bool, restarted_models: frozenset[str]
    ) -> None:
        """Open every fold of every model: done, begun or waiting.

        Args:
            key: Of what the run's checkpoints are made from.
            recorder: Receives what is damaged.
            is_by_fold: Whether the order of work is fold by fold, else model by model.
            restarted_models: Models whose folds start over.
        """
        folds, models = range(self.config.folds.count), self.config.models
        order = [(model, fold) for model in models for fold in folds]
        if is_by_fold:
            order.sort(key=lambda pair: pair[1])
        states = {model: self._model_state(model, recorder) for model in models}
        for model, fold in order:
            job = FoldJob(self.paths.root, model, fold, recorder.attempt, key, self.config)
            files, result = open_fold(job, states[model])
            if model in restarted_models:
                files.start_over()
                result = None
            files.repair()
            recorder.problems(files.problems)
            self.add(job.fold_key, files, result)
        for model, state in states.items():
            if state is not None and state.bundle is not None:
                self.bundles[model] = state.bundle
            self.write_model_state(model)

    def add(self, fold: FoldKey, files: FoldFiles, result: FoldResult | None) -> None:
        """Add a fold, or replace it by what it is now."""
        self.files[fold] = files
        if result is not None:
            self.results[fold] = result
            self.results = {
                key: self.results[key] for key in self.files if key in self.results
            }  # in the order of work

    def drop_mismatched(self, folds: FoldAssignment) -> list[str]:
        """Drop the results that do not belong to these folds; return them in words."""
        num_classes = folds.labels.num_classes
        dropped = []
        for key, result in tuple(self.results.items()):
            expected = (int((folds.fold_N == key[1]).sum()), num_classes)
            if result.proba_NK.shape != expected:
                del self.results[key]
                dropped.append(
                    f"{self.files[key].paths.final}: expected probabilities of shape {expected}, "
                    f"got {result.proba_NK.shape}; the fold is redone"
                )
        return dropped

    def record(self, fold: FoldKey) -> FoldRecord:
        """Return a fold's record; only a fold whose file could be read counts as done."""
        return self.files[fold].record.model_copy(update={"done": fold in self.results})

    def steps_left(self, fold: FoldKey) -> StepsLeft:
        """Return a fold's model, and how many steps it has left at most; None where unknown."""
        model, files = fold[0], self.files[fold]
        total = max(
            each.record.total_steps for each in self.files.values() if each.paths.model == model
        )
        step = files.record.step if files.record.last else 0
        return model, total - step if total else None

    def write_model_state(self, model: str) -> None:
        """Write the state file of one model."""
        folds = tuple(files.record for (name, _), files in self.files.items() if name == model)
        state = ModelState(model=model, folds=folds, bundle=self.bundles.get(model))
        write_atomic(self.paths.model_state(model), dump_record(state))

    def write_tables(self, folds: FoldAssignment) -> None:
        """Write the out-of-fold table, the scores and the importance where they have changed."""
        if not self.results:
            return
        tables = {
            self.paths.oof.name: oof_bytes(folds, self.results, self.config.models),
            self.paths.scores.name: dump_record(scores(folds, self.results, self.config)),
        }
        importance = importance_bytes(self.results, folds.num_folds)
        if importance is not None:
            tables[self.paths.importance.name] = importance
        for name, data in tables.items():
            self._write_changed(name, data)

    def blend_score(self, folds: FoldAssignment, fold: int) -> float | None:
        """Return the blend's score of a fold; None before all models have finished it."""
        keys = [(model, fold) for model in self.config.models]
        done = {key: self.results[key] for key in keys if key in self.results}
        found = scores(folds, done, self.config).models
        row = found[registry.BLEND].all_sensors.folds[fold] if registry.BLEND in found else None
        return None if row is None else row.score

    def write_bundles(self, folds: FoldAssignment, models: Sequence[str]) -> None:
        """Write the bundle of each of these models whose folds are all done.

        The blend's temperature is that of the finished run, so the last fold writes all bundles.
        """
        whole = {} if self.unfinished else self.results
        temperatures = fit_blend_temperatures(folds, whole, self.config)
        for model in models:
            data = bundle_bytes(
                *(folds, self.results, self.config, model, temperatures),
                *(self.recordings, self.left_out),
            )
            if data is None:
                continue
            name = self.paths.bundle(model).name
            self._write_changed(name, data)
            self.bundles[model] = FileRef(name=name, sha256=sha256(data), num_bytes=len(data))
            self.write_model_state(model)

    def drop_checkpoints(self) -> None:
        """Delete the points to resume from: a finished run does not need them."""
        for files in self.files.values():
            files.drop_checkpoints()
        for model in self.config.models:
            self.write_model_state(model)

    def _model_state(self, model: str, recorder: Recorder) -> ModelState | None:
        try:
            return RunReader(self.paths.root).model_state(model)
        except StoreError as error:
            recorder.problem(str(error))
            return None

    def _write_changed(self, name: str, data: bytes) -> None:
        folder = CheckedFolder(self.paths.root)
        if folder.read(name) != data:
            folder.write(name, data)
