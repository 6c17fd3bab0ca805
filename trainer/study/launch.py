"""Launch: begin, continue or pause a study in a process of its own, as the dashboard does.

In: a state folder, a definition; or a study's folder. Out: a detached process, ``command.json``.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from trainer.run import RefusedError
from trainer.run.control import is_in_use, launch, send_command, setting_words
from trainer.store.durable import make_folder
from trainer.store.reader import RunReader
from trainer.store.run_state import derive_state
from trainer.study import search
from trainer.study.definition import StudyFile
from trainer.study.trials import demand_free, read_study, study_root, write_study


def command_line(state_dir: Path, study: StudyFile) -> list[str]:
    """Return the command that begins a study of seeds and a grid, as people would type it."""
    words = ["python", "-m", "trainer", "study", study.name, "--state", str(state_dir)]
    if study.seeds != (study.base.seed,):
        words += ["--seeds", ",".join(map(str, study.seeds))]
    for setting in study.grid:
        values = (value.replace(",", "+") for value in setting.values)
        words += ["--grid", f"{setting.name}={','.join(values)}"]
    return words + setting_words(study.base)


def command_text(state_dir: Path, study: StudyFile) -> str:
    """Return ``command_line`` for a terminal."""
    return shlex.join(command_line(state_dir, study))


def begin(state_dir: Path, study: StudyFile, notify: Sequence[str] = ()) -> int:
    """Begin a new study and return the pid of its process.

    Args:
        state_dir: The state folder.
        study: The definition.
        notify: More addresses for notifications, as in ``control.launch``.

    Raises:
        RefusedError: The name is taken.
    """
    root = study_root(state_dir, study.name)
    if read_study(root) is not None or is_in_use(RunReader(root)):
        raise RefusedError(f"study {study.name}: there already. Choose another name")
    for number in range(study.num_trials):
        demand_free(study, state_dir, number)
    make_folder(root)
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
