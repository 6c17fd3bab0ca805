"""Ledger: what is known of every fold of every model, and the files that are made of several.

In: records and finished folds. Out: ``<model>_state.json``, the views and the bundles. The order in
which folds were done stays out of all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from trainer.config import Config
from trainer.models.base import FoldResult
from trainer.run.result_tables import FoldTable, bundle_bytes, importance_bytes, oof_bytes, scores
from trainer.run.workers.engine import Unit
from trainer.store.checksums import CheckedFolder
from trainer.store.durable import sha256, write_atomic
from trainer.store.fold_files import FoldFiles
from trainer.store.names import RunPaths
from trainer.store.records import FileRef, FoldRecord, ModelState, dump_record


@dataclass
class Ledger:
    """Every fold of every model.

    Attributes:
        paths: The run's files.
        config: The run's configuration.
        stores: The files of every fold of every model, in the order of work.
        blocks: Finished folds, in the same order.
    """

    paths: RunPaths
    config: Config
    stores: dict[Unit, FoldFiles] = field(default_factory=dict)
    blocks: dict[Unit, FoldResult] = field(default_factory=dict)

    @property
    def left(self) -> list[Unit]:
        """Return the units that are not done, in the order of work."""
        return [unit for unit in self.stores if unit not in self.blocks]

    @property
    def is_begun(self) -> bool:
        """Return whether anything was trained already."""
        return bool(self.blocks) or any(store.record.last for store in self.stores.values())

    def enter(self, unit: Unit, store: FoldFiles, block: FoldResult | None) -> None:
        """Note a unit as it is."""
        self.stores[unit] = store
        if block is not None:
            self.blocks[unit] = block
            self.blocks = {
                known: self.blocks[known] for known in self.stores if known in self.blocks
            }

    def record(self, unit: Unit) -> FoldRecord:
        """Return a unit's record; what counts as done is the fold that could be read."""
        return self.stores[unit].record.model_copy(update={"done": unit in self.blocks})

    def steps_left(self, unit: Unit, is_current: bool = False) -> tuple[str, int]:
        """Return a unit's model, and how many steps are left of it at most."""
        model, store = unit[0], self.stores[unit]
        totals = [s.record.total_steps for s in self.stores.values() if s.paths.model == model]
        total = max(totals)
        step = store.record.step if is_current or store.record.last else 0
        return (model, total - step) if total else (model, 1)

    def write_model_state(self, model: str, bundle: FileRef | None) -> None:
        """Write the state file of one model."""
        folds = tuple(store.record for (name, _), store in self.stores.items() if name == model)
        state = ModelState(model=model, folds=folds, bundle=bundle)
        write_atomic(self.paths.model_state(model), dump_record(state))

    def write_views(self, table: FoldTable) -> None:
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
            self._write_changed(name, data)

    def write_bundles(self, table: FoldTable, models: Sequence[str]) -> None:
        """Write the bundle of each of the models whose folds are all done."""
        for model in models:
            data = bundle_bytes(table, self.blocks, self.config, model)
            if data is None:
                continue
            name = self.paths.bundle(model).name
            self._write_changed(name, data)
            self.write_model_state(
                model, FileRef(name=name, sha256=sha256(data), num_bytes=len(data))
            )

    def _write_changed(self, name: str, data: bytes) -> None:
        folder = CheckedFolder(self.paths.root)
        if folder.read(name) != data:
            folder.write(name, data)
