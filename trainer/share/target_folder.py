"""Target folder: the folder that a run is handed over in; one that is not its own is left alone.

In: a folder and a run. Out: the folder with a mark of the run in it. The mark comes first, so that
a killed hand-over is continued.
"""

from __future__ import annotations

from pathlib import Path

from trainer.run import RefusedError
from trainer.share.shared_run import SharedRun
from trainer.store.durable import remove_temporary_files, write_atomic
from trainer.store.record_types import Name
from trainer.store.records import Record, dump_record, read_record

MARK = ".gesture_share.json"


class Mark(Record):
    """Which run a folder holds, and for which program."""

    run: Name
    program: Name


def claim(folder: Path, run: SharedRun, program: str) -> Path:
    """Return the folder after it was marked as the run's; hidden files in it do not matter.

    Raises:
        RefusedError: It is no folder, or holds something else.
        StoreError: It cannot be written.
    """
    wanted = Mark(run=run.identity, program=program)
    if folder.is_dir():
        mark = read_mark(folder)
        if mark is None and any(not path.name.startswith(".") for path in folder.iterdir()):
            raise RefusedError(
                f"{folder}: expected a new or empty folder, or one that this run was shared to; "
                f"it holds other files, which are left as they are. Choose another folder"
            )
        if mark is not None and (mark.run, mark.program) != (wanted.run, wanted.program):
            raise RefusedError(
                f"{folder}: another run was shared to this folder, for {mark.program:.40}. Choose "
                f"another folder"
            )
    elif folder.exists():
        raise RefusedError(f"{folder}: expected a folder, got a file. Choose another place")
    if read_mark(folder) is None:
        write_atomic(folder / MARK, dump_record(wanted))
    remove_temporary_files(folder)  # of a killed call
    return folder


def read_mark(folder: Path) -> Mark | None:
    """Return a folder's mark, None where it has none.

    Raises:
        StoreError: It is damaged.
    """
    try:
        return read_record(folder / MARK, Mark)
    except FileNotFoundError:
        return None
