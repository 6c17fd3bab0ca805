"""The example: a finished run that ships with the project, to look at before the first training.

In: a state folder. Out: the run ``example`` in it. The archive has no feature table, which would
be most of its bytes: it is computed again from the embedded recordings.
"""

from __future__ import annotations

from pathlib import Path

from trainer.run.control import PROJECT
from trainer.run.inputs.recordings import load_dataset
from trainer.run.transfer.archive import import_run
from trainer.store.checksums import CheckedFolder
from trainer.store.locks import acquire
from trainer.store.names import RunPaths
from trainer.store.reader import RunReader

EXAMPLE = "example"
ARCHIVE = PROJECT / "examples" / "watch_quick.zip"  # made by python -m docs.example_run


def open_example(state_dir: Path) -> Path:
    """Import the example as any run, compute its feature table, and return its folder.

    Raises:
        TransferError, RefusedError, StoreError: As of ``import_run``.
    """
    root = import_run(ARCHIVE, state_dir)
    lock = acquire(RunPaths(root).lock)
    try:
        run_file = RunReader(root).run_file()
        assert run_file is not None  # else the import was refused
        load_dataset(run_file.settings()).open_features(CheckedFolder(root), lambda: None)
    finally:
        lock.release()
    return root
