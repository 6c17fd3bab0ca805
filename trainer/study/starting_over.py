"""Starting over: a study and its runs get another name, so that theirs is free.

In: a study's folder. Out: the whole study as ``NAME.old-1``, with runs ``NAME.old-1-0`` and so on;
nothing is deleted. After a kill on the way the next call completes it.
"""

from __future__ import annotations

from pathlib import Path

from trainer.run import RefusedError
from trainer.run.execution import name_owner
from trainer.run.transfer.moving import rename
from trainer.store.durable import replace
from trainer.store.locks import LockedError, acquire
from trainer.store.names import RunPaths, check_run_name
from trainer.study.definition import StudyFile
from trainer.study.trials import StudyPaths, read_study, read_trials, run_names, write_study


def start_over(root: Path) -> Path:
    """Rename a study and its runs; return its folder.

    Raises:
        RefusedError: There is none, or a process works on it or on one of its runs.
        StoreError: A record is damaged.
        RunNameError: A new name would be too long.
    """
    study = read_study(root)
    if study is None:
        raise RefusedError(f"study {root.name}: it is no longer here")
    try:
        lock = acquire(RunPaths(root).lock)
    except LockedError as error:
        raise RefusedError(name_owner(root, "study")) from error
    try:
        # a kill may have come after the new name was written
        target = root.with_name(_free_name(root) if study.name == root.name else study.name)
        before, after = (study.model_copy(update={"name": one.name}) for one in (root, target))
        for trial in read_trials(root):
            _rename_runs(StudyPaths(root).state_dir, before, after, trial.number)
        write_study(root, after)
    finally:
        lock.release()
    replace(root, target)
    return target


def _rename_runs(state_dir: Path, before: StudyFile, after: StudyFile, number: int) -> None:
    for old, new in zip(run_names(before, number), run_names(after, number), strict=True):
        check_run_name(new)
        if RunPaths(state_dir / old).has_config:
            rename(state_dir / old, new)


def _free_name(root: Path) -> str:
    number = 1
    while root.with_name(f"{root.name}.old-{number}").exists():
        number += 1
    return f"{root.name}.old-{number}"
