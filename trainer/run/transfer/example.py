"""The example: a finished run that ships with the project, to look at before the first training.

In: a state folder. Out: the run ``example`` in it. Its archive lacks what would be most of its
bytes and is made again: the feature table and the bundles.
"""

from __future__ import annotations

from pathlib import Path

from trainer.run.control import PROJECT
from trainer.run.execution import execute
from trainer.run.pipeline import Limits
from trainer.run.transfer.archive import import_run
from trainer.store.names import RunPaths
from trainer.store.reader import RunReader

EXAMPLE = "example"
ARCHIVE = PROJECT / "examples" / "watch_quick.zip"  # made by python -m docs.example_run


def open_example(state_dir: Path) -> Path:
    """Import the example as any run, make the missing files again, and return its folder.

    Raises:
        TransferError, RefusedError, StoreError: As of ``import_run``.
    """
    root = import_run(ARCHIVE, state_dir)
    run_file = RunReader(root).run_file()
    assert run_file is not None  # else the import was refused
    execute(root, run_file.settings(), Limits(), lambda _: None, is_new=False)
    return root


def made_again(root: Path) -> tuple[Path, ...]:
    """Return the files of a finished run that its start makes again."""
    paths, run_file = RunPaths(root), RunReader(root).run_file()
    models = () if run_file is None else run_file.models
    return (paths.features, *(paths.bundle(model) for model in models))
