"""The commands ``check`` and ``approve``, and the option ``--use`` of ``train``.

In: paths of Python files, or a run. Out: loaded code; what a check found; an approval.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trainer.config import make_config, used_file
from trainer.store.names import check_run_name
from trainer.store.reader import RunReader

if TYPE_CHECKING:
    from trainer.own_code.code_files import CodeFile
    from trainer.store.records import RunFile

Use = Annotated[
    list[Path] | None,
    typer.Option(
        "--use",
        metavar="FILE.py",
        help="Your own feature blocks, networks and models: a Python file that calls "
        "trainer.extend; copied into the run. Repeat it for several files",
    ),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask; for scripts")]
PORTABLE = "exact=portable"


def check(
    file: Annotated[list[Path], typer.Argument(metavar="FILE.py", help="File of your own code")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON")] = False,
) -> None:
    """Try a file of your own code on a few recordings, without training, within seconds.

    Features are computed twice and sequence by sequence; networks and models are fitted, paused,
    resumed, stored, opened again, and predict. Exit code 0: equal bits every time; 2: what differs.
    """
    from trainer.models import registry
    from trainer.own_code.check import check_code
    from trainer.own_code.code_files import read_named
    from trainer.own_code.loader import load_approved
    from trainer.run.machine import pin

    files = read_named(file)
    pin("machine")
    registry.use_own(load_approved(files))  # the user has named them
    if not as_json:
        check_loaded()
        return
    lines, own = list(check_code(registry.own())), registry.own()
    weights = [f"blend.weights.{name}=1" for name in own.models]
    models = list(own.models) or make_config("quick", {}, environment={}).models
    config = make_config("quick", {"use": own.use, "models": models}, weights, environment={})
    described = own.describe(config).model_dump(mode="json")
    print(json.dumps({"lines": lines, "description": described}))


def check_loaded(is_new_only: bool = False) -> None:
    """Try what the loaded files register, and print what was found.

    Args:
        is_new_only: Whether approved files that were accepted before are not tried again.

    Raises:
        CodeRefusedError: Something cannot be used.
    """
    from trainer.extend import EXTEND_VERSION
    from trainer.models import registry
    from trainer.own_code import approvals
    from trainer.own_code.check import check_code
    from trainer.run.machine import code_versions, versions

    own = registry.own()
    digests = [used_file(entry)[1] for entry in own.use]
    parts = {"extend": EXTEND_VERSION, **versions(), **code_versions()}
    now = ", ".join(f"{name} {number}" for name, number in parts.items())
    if is_new_only and approvals.are_checked(digests, now):
        print(f"own code: {', '.join(used_file(entry)[0] for entry in own.use)}, checked before")
        for name, seconds in approvals.checked_seconds(digests).items():
            if name in own.models:
                own.models[name].checked_s = seconds
        return
    for line in check_code(own):
        print(line, flush=True)
    approvals.note_checked(digests, now, {m.name: m.checked_s for m in own.models.values()})


def approve(root: Path, yes: bool) -> None:
    """Show the own code of a run, ask, and approve it."""
    from trainer.own_code import approvals
    from trainer.own_code.code_files import read_of_run
    from trainer.predict.run_code import used_files

    files = read_of_run(root, used_files(root))
    if not files:
        print(f"run {root.name}: it has no own code; there is nothing to approve")
        return
    for file in files:
        print(f"--- {file.name}, SHA-256 {file.sha256}\n{file.text}")
    names = ", ".join(file.name for file in files)
    print(
        "It can read, change and delete everything that you can: approve only what you have read."
    )
    if not (yes or _is_confirmed(f"Allow {names} of run {root.name} on this machine? [y/N] ")):
        print("Not approved.")
        raise typer.Exit(2)
    approvals.approve({file.sha256: file.name for file in files}, f"approve {root.name}")
    print(f"Approved: {names}. Continue with: python -m trainer resume {root.name}")


def open_files(
    state_dir: Path, name: str | None, use: Sequence[Path], assignments: Sequence[str]
) -> tuple[CodeFile, ...]:
    """Load the own code of a run that is trained or continued.

    Files that the user names are approved by that, unless the dashboard started this process: it
    has approved what it has shown. The copy in an existing run counts, and it must be approved.

    Args:
        state_dir: The state folder.
        name: Of the run, or None where it must be a new one.
        use: The files that ``--use`` names.
        assignments: Of ``--set``.

    Raises:
        CodeRefusedError: A file cannot be used, is not approved, or differs from the run's copy.
    """
    root, frozen = _existing(state_dir, name)
    if not use and (frozen is None or not frozen.use):
        return ()
    from trainer.own_code.code_files import read_named, read_of_run
    from trainer.run.control import DETACHED

    files = read_named(use)
    if frozen is not None and not use:
        files = read_of_run(root, frozen.use)
    elif frozen is not None:
        _demand_same(root, frozen, files)
    is_portable = PORTABLE in assignments or (frozen is not None and frozen.exact == "portable")
    is_named = bool(use) and os.environ.get(DETACHED) != "1"
    _load(files, "train --use" if is_named else "", is_portable, name or "")
    return files


def open_for_study(
    use: Sequence[Path], varied: Sequence[Sequence[Path]], assignments: Sequence[str]
) -> tuple[CodeFile, ...]:
    """Approve the own code that a study names, try it, and load that of its first trial.

    Args:
        use: The files of all trials.
        varied: The files that each value of ``use`` in the grid adds.
        assignments: Of ``--set``.

    Returns:
        All files, each once.

    Raises:
        CodeRefusedError: A file cannot be used, or two different ones have the same name.
    """
    if not (use or any(varied)):
        return ()
    from trainer.own_code.code_files import CodeRefusedError, read_named

    sets = [read_named([*use, *paths]) for paths in varied or [()]]
    files = tuple(dict.fromkeys(file for one in sets for file in one))
    names = [file.name for file in files]
    if len(set(names)) < len(names):
        raise CodeRefusedError(f"use: expected files of different names; got {', '.join(names)}")
    for one in reversed(sets):
        _load(one, "study --use", PORTABLE in assignments)
        if one:
            check_loaded(is_new_only=True)
    return files


def _load(files: Sequence[CodeFile], approved_by: str, is_portable: bool, run: str = "") -> None:
    """Execute files that are approved, or that the user approves by naming them."""
    from trainer.models import registry
    from trainer.own_code import approvals
    from trainer.own_code.loader import load
    from trainer.run.machine import pin

    if approved_by:
        approvals.approve({file.sha256: file.name for file in files}, approved_by)
    pin("portable" if is_portable else "machine")  # before a file imports torch
    registry.use_own(load(files, approvals.approved(), run))


def _existing(state_dir: Path, name: str | None) -> tuple[Path, RunFile | None]:
    """Return the run that is continued, here or in the input folder, and its configuration."""
    if name is None:
        return state_dir, None
    root = state_dir / check_run_name(name)
    frozen = RunReader(root).run_file() if root.is_dir() else None
    if frozen is not None:
        return root, frozen
    from trainer.run.transfer.adoption import choose, find_input_runs

    found = choose([run for run in find_input_runs(name) if run.run_file.use])
    return (root, None) if found is None else (found.root, found.run_file)


def _demand_same(root: Path, frozen: RunFile, files: Sequence[CodeFile]) -> None:
    """Refuse other code than the run was made with, and show how it differs."""
    from trainer.own_code.code_files import CodeRefusedError, differences, read_of_run

    if tuple(file.entry for file in files) == frozen.use:
        return
    lines = differences(read_of_run(root, frozen.use), files)
    raise CodeRefusedError(
        f"run {frozen.run} was made with other own code:\n"
        + "\n".join(lines or ["the same files in another order"])
        + f"\nContinue with its own copy: python -m trainer resume {frozen.run}; or start another "
        f"run with --run NAME; or start this one over with RESUME=0"
    )


def _is_confirmed(question: str) -> bool:
    if not sys.stdin.isatty():
        print(f"{question}no: there is no terminal to ask on; --yes approves without asking")
        return False
    return input(question).strip().lower() in ("y", "yes")
