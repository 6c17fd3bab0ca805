"""Adoption: a study that is found under the input folder, or in another state folder, is copied.

In: the folder of a study and the run folders beside it, perhaps read-only. Out: both in this state
folder. The definition is written last: what a kill leaves before that is completed by the next
start.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from trainer.own_code.code_files import CodeFile, read_of_run, write_to_run
from trainer.run import RefusedError
from trainer.run.transfer.adoption import InputRun, adopt, choose, find_input_runs
from trainer.run.transfer.archive import import_run
from trainer.run.transfer.moving import TransferError
from trainer.store.durable import StoreError
from trainer.store.names import STUDIES, RunPaths
from trainer.study.definition import StudyFile
from trainer.study.trials import (
    TrialRecord,
    read_study,
    read_trials,
    run_names,
    study_root,
    write_study,
    write_trial,
)


def find_input_study(name: str) -> Path | None:
    """Return the most advanced study of this name under the input folder, or None.

    It is found by its runs: a study without any has nothing to continue.
    """
    places = dict.fromkeys(run.root.parent / STUDIES / name for run in find_input_runs())
    found = [(_advance(place), place) for place in places if _advance(place) is not None]
    return max(found, key=lambda each: (each[0], str(each[1])))[1] if found else None


def adopt_study(source: Path, state_dir: Path, report: Callable[[str], None]) -> None:
    """Copy a study from the input folder; of each run the most advanced whole copy there.

    Raises:
        StoreError: A record is damaged.
        TransferError: A run cannot be copied.
    """
    study, trials = read_whole(source)
    found = {run.root: run for run in find_input_runs()}

    def copy(name: str) -> None:
        mine = [run for run in found.values() if name in (run.root.name, run.run_file.run)]
        chosen: InputRun | None = choose(mine)
        if chosen is not None:
            report(f"run {name}: {adopt(chosen, state_dir, name)}")

    place_study(study, trials, state_dir, copy, read_of_run(source, study.code))
    over = sum(trial.state != "running" for trial in trials)
    report(f"study {study.name}: copied from {source}, {over} of {study.num_trials} trials done")


def import_study_folder(source: Path, state_dir: Path, report: Callable[[str], None]) -> Path:
    """Copy a study from its folder in another state folder, with its runs.

    Raises:
        RefusedError: A study of this name exists.
        TransferError: A run cannot be copied.
        StoreError: A record is damaged.
    """
    study, trials = read_whole(source)
    demand_absent(study.name, state_dir)

    def copy(name: str) -> None:
        root = source.parent.parent / name
        if RunPaths(root).has_config:
            import_run(root, state_dir, name, report)

    return place_study(study, trials, state_dir, copy, read_of_run(source, study.code))


def read_whole(root: Path) -> tuple[StudyFile, list[TrialRecord]]:
    """Return a study's definition and trials.

    Raises:
        TransferError: There is no study, or it has another name than its folder.
    """
    study = read_study(root)
    if study is None or study.name != root.name:
        raise TransferError(
            f"{root}: expected the folder of a study, with the study.json of its name"
        )
    return study, read_trials(root)


def demand_absent(name: str, state_dir: Path) -> None:
    """Refuse to import over a study.

    Raises:
        RefusedError: A study of this name exists.
    """
    if read_study(study_root(state_dir, name)) is not None:
        raise RefusedError(f"study {name}: it already exists. Move studies/{name} away first")


def place_study(
    study: StudyFile,
    trials: list[TrialRecord],
    state_dir: Path,
    copy_run: Callable[[str], None],
    code: Sequence[CodeFile],
) -> Path:
    """Copy the runs that are not here yet, then write own code and records, the definition last."""
    root = study_root(state_dir, study.name)
    for trial in trials:
        for name in run_names(study, trial.number):
            if not RunPaths(state_dir / name).has_config:
                copy_run(name)
    write_to_run(root, code)
    for trial in trials:
        write_trial(root, trial)
    write_study(root, study)
    return root


def _advance(root: Path) -> tuple[int, int] | None:
    """Return how many trials are over and have begun; None where there is no whole study."""
    try:
        study = read_study(root)
        trials = [] if study is None else read_trials(root)
    except (StoreError, OSError):
        return None
    return None if study is None else (sum(one.state != "running" for one in trials), len(trials))
