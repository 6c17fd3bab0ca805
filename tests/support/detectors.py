"""A detector of reversed devices in a finished run: below zero along x is reversed.

In: a copy of a finished run. Out: the same with the detector in config.json and in its bundles.
"""

from __future__ import annotations

from trainer.data.orientation_detector import NUM_FEATURES
from trainer.models import registry
from trainer.store.checksums import CheckedFolder
from trainer.store.codec import dumps, loads, seal, unseal
from trainer.store.names import RunPaths
from trainer.store.reader import RunReader
from trainer.store.records import dump_record

BELOW_ZERO = {
    "version": [1.0],
    "scales": [0.1] + [1.0] * (NUM_FEATURES - 1),
    "weights": [10.0] + [0.0] * (NUM_FEATURES - 1),
    "thresholds": [5.0, 1.0],
}


def add_detector(root, packed=BELOW_ZERO):
    """Write a detector into the files of a run, with their checksums."""
    folder, paths = CheckedFolder(root), RunPaths(root)
    run_file = RunReader(root).run_file()
    record = {name: tuple(numbers) for name, numbers in packed.items()}
    recordings = run_file.recordings.model_copy(update={"orientation_detector": record})
    folder.write("config.json", dump_record(run_file.model_copy(update={"recordings": recordings})))
    for model in registry.select(run_file.models):
        name = paths.bundle(model.name).name
        bundle = loads(unseal(folder.read(name)))
        folder.write(name, seal(dumps(bundle | {"orientation_detector": packed})))
    return root
