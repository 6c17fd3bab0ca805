"""Launch: begin, continue or pause a study in a process of its own, as the dashboard does.

In: a state folder, a definition; or a study's folder. Out: a detached process, ``command.json``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from trainer.config import used_file
from trainer.own_code.code_files import CodeFile, write_to_run
from trainer.run import RefusedError
from trainer.run.control import is_in_use, launch, send_command, setting_words
from trainer.run.inputs.folds_file import FoldsFile
from trainer.store.durable import make_folder
from trainer.store.reader import RunReader
from trainer.store.run_state import derive_state
from trainer.study import search
from trainer.study.definition import NO_CODE, StudyFile, files_of
from trainer.study.study_folds import write_folds
from trainer.study.trials import demand_free, read_study, study_root, write_study


def command_line(
    state_dir: Path,
    study: StudyFile,
    code: Sequence[Path] = (),
    folds_file: Path | None = None,
) -> list[str]:
    """Return the command that begins a study, as people would type it.

    Args:
        state_dir: The state folder.
        study: The definition; of a search, its file is called ``search.toml``.
        code: Paths of the files of own code that the definition names.
        folds_file: Where its folds are read from, if they are those of a file.
    """
    path_of = {path.name: path for path in code}

    def paths(entries: Iterable[str]) -> list[Path]:
        return [path_of[used_file(entry)[0]] for entry in entries]

    words = ["python", "-m", "trainer", "study", study.name, "--state", str(state_dir)]
    if study.seeds != (study.base.seed,):
        words += ["--seeds", ",".join(map(str, study.seeds))]
    for setting in study.grid:
        values = [value.replace(",", "+") for value in setting.values]
        if setting.name == "use":
            files = (files_of(value) for value in setting.values)
            values = ["+".join(map(str, paths(one))) or NO_CODE for one in files]
        words += ["--grid", f"{setting.name}={','.join(values)}"]
    if study.search:
        words += ["--search", "search.toml", "--trials", str(study.num_trials)]
    return words + setting_words(study.base, folds_file, paths(study.base.use))


def begin(
    state_dir: Path,
    study: StudyFile,
    code: Sequence[CodeFile] = (),
    folds_file: FoldsFile | None = None,
    notify: Sequence[str] = (),
) -> int:
    """Begin a new study and return the pid of its process.

    Args:
        state_dir: The state folder.
        study: The definition.
        code: The files of own code that it names, which this user has approved.
        folds_file: Its folds, if they are those of a file.
        notify: More addresses for notifications, as in ``control.launch``.

    Raises:
        RefusedError: The name is taken.
        LibraryError: It is a search, and Optuna cannot be imported.
    """
    root = study_root(state_dir, study.name)
    if read_study(root) is not None or is_in_use(RunReader(root)):
        raise RefusedError(f"study {study.name}: there already. Choose another name")
    if study.search:
        search.demand_optuna()
    for number in range(study.num_trials):
        demand_free(study, state_dir, number)
    make_folder(root)
    write_to_run(root, code)  # before the definition that names them
    if folds_file is not None:
        write_folds(root, folds_file)
    write_study(root, study)
    return _launch(root, notify)


def resume(root: Path, notify: Sequence[str] = ()) -> int:
    """Continue a study and return the pid of its process; ``notify`` as in ``control.launch``.

    Raises:
        RefusedError: Nothing is left, or a process is at work on it.
    """
    study, derived = read_study(root), derive_state(RunReader(root))
    if study is None:
        raise RefusedError(f"study {root.name}: it is no longer here")
    if derived.state == "finished":
        raise RefusedError(f"study {root.name}: finished. A search continues with more --trials")
    if derived.is_active or is_in_use(RunReader(root)):
        raise RefusedError(f"study {root.name}: {derived.state} already. {derived.reason}")
    if study.search:
        search.demand_optuna()
    return _launch(root, notify)


def pause(root: Path, asked_by: str) -> None:
    """Request a pause of a study; its present run saves and stops."""
    send_command(root, "pause", asked_by)


def _launch(root: Path, notify: Sequence[str]) -> int:
    send_command(root, "run", "resume")
    state_dir = root.parent.parent.resolve()
    words = ["python", "-m", "trainer", "study", root.name, "--state", str(state_dir)]
    return launch(root, [*words, "--time-limit", "auto"], notify)
