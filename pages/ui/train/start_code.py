"""Start code: files of the user's own code for a new run, checked before it can start.

In: paths on this machine, or a run to duplicate. Out: ``ChosenCode``: the files, and what they
register. The check runs in a process of its own; the dashboard executes none of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import streamlit as st

from pages.ui import side_process
from pages.ui.shared import controls, frame
from pages.ui.train import settings_form
from trainer.config import used_file
from trainer.models import registry
from trainer.own_code import approvals
from trainer.own_code.code_files import CodeFile, CodeRefusedError, read_named
from trainer.own_description import OwnDescription
from trainer.store.checksums import CODE_FOLDER
from trainer.store.durable import StoreError

KEY = "start_use"
USUAL_WEIGHT = 0.2  # in the blend, of an own model beside ours

_CHECKED = "start_use_checked"  # entries of the files to what the check found


@dataclass(frozen=True)
class ChosenCode:
    """The files of own code that were named.

    Attributes:
        paths: Of the files.
        files: Their content, as it was read for this drawing of the page.
        description: What they register; nothing before the check.
        problem: Why a run cannot start with them, or "".
    """

    paths: tuple[Path, ...] = ()
    files: tuple[CodeFile, ...] = ()
    description: OwnDescription = field(default_factory=OwnDescription)
    problem: str = ""

    @property
    def use(self) -> list[str]:
        """Return the entries of the configuration."""
        return [file.entry for file in self.files]

    def approve(self) -> None:
        """Approve the files: the user has named them here."""
        approvals.approve({file.sha256: file.name for file in self.files}, "start form")


def fields() -> ChosenCode:
    """Show the field for the paths and the button that checks the files."""
    if not controls.is_on_this_machine():
        return ChosenCode()  # another machine's browser could name any file here
    with st.expander("Your own code", icon=":material/code:", key="own_code_expander"):
        typed = st.text_area(
            "Paths of Python files on this machine, one per line",
            key=KEY,
            placeholder="my_ideas.py",
            help="Feature blocks, networks and models of your own: docs/your_own_code.md.",
            persist_state="session",
        )
        paths = tuple(
            Path(line.strip()).expanduser() for line in typed.splitlines() if line.strip()
        )
        chosen = _read(paths)
        if chosen.files:
            _show_check(chosen)
    return chosen


def fill(root: Path, use: Sequence[str]) -> None:
    """Name the copies of a run to duplicate; call it before the widgets are drawn."""
    copies = (root / CODE_FOLDER / used_file(entry)[0] for entry in use)
    st.session_state[KEY] = "\n".join(map(str, copies))


def settings(own: OwnDescription, models: Sequence[str]) -> dict[str, Any]:
    """Show the settings of own code: its network, and the weights of its models."""
    chosen: dict[str, Any] = {}
    if own.networks:
        network = st.pills("Network of your own code", own.networks, key="start_own_network")
        if network is not None:
            chosen["network.architecture"] = network
    for name in own.models:
        if name in models:
            chosen[f"blend.weights.{name}"] = st.number_input(
                f"Weight of {registry.title(name)} in the blend",
                min_value=0.0,
                value=USUAL_WEIGHT,
                step=0.1,
                key=f"start_own_weight_{name}",
                width=2 * settings_form.FIELD_WIDTH_PX,
            )
    return chosen


def _read(paths: tuple[Path, ...]) -> ChosenCode:
    if not paths:
        return ChosenCode()
    try:
        files = read_named(paths)
        problem = _problem(paths, files)
    except (CodeRefusedError, StoreError) as error:
        return ChosenCode(paths, problem=f"Own code: {error}")
    if problem:
        return ChosenCode(paths, problem=problem)
    checked = _checked(files)
    if checked is None or checked.description is None:
        return ChosenCode(paths, files, problem="Own code: check it first.")
    return ChosenCode(paths, files, checked.description)


def _problem(paths: tuple[Path, ...], files: tuple[CodeFile, ...]) -> str:
    """Return why the files cannot be used: a copy in a run may come from anywhere."""
    state = frame.state_dir().resolve()
    copies = [
        file.sha256
        for path, file in zip(paths, files, strict=True)
        if path.resolve().is_relative_to(state)
    ]
    if approvals.missing(copies):
        return "Own code: it came with a run. Read and approve it on the page Runs first."
    return ""


def _checked(files: tuple[CodeFile, ...]) -> side_process.CheckedCode | None:
    known: dict[tuple[str, ...], side_process.CheckedCode] = st.session_state.get(_CHECKED, {})
    return known.get(tuple(file.entry for file in files))


def _show_check(chosen: ChosenCode) -> None:
    found = _checked(chosen.files)
    if found is None:
        if st.button("Check the code", key="check_own_code", icon=":material/rule:"):
            with st.spinner("Trying it on a few recordings"):
                checked = side_process.check_code(chosen.paths)
            st.session_state.setdefault(_CHECKED, {})[tuple(chosen.use)] = checked
            st.rerun()
        st.caption("The check executes it in a process of its own, on a few recordings.")
    elif found.description is None:
        st.error("The check has refused it.")
        st.code(found.text, language=None, wrap_lines=True)
    else:
        st.success("It can be used.", icon=":material/check:")
        st.code(found.text, language=None, wrap_lines=True)
