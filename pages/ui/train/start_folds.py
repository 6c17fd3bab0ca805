"""Start folds: the user's own folds of a new run, from a file on this machine.

In: the user's choice, or a run to duplicate. Out: the path and the content of the file.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from pages.ui.shared import readers
from trainer.config import Config
from trainer.run.inputs.folds_file import FoldsFile, read_folds_file
from trainer.store.names import RunPaths

PATH_KEY, SHARED_KEY = "start_folds_path", "start_folds_shared"


def field() -> None:
    """Show the field for the file and, with a file, whether it may share subjects."""
    st.markdown("**Folds**")
    st.text_input(
        "Folds file: path of a CSV or Parquet file with sequence_id and fold",
        key=PATH_KEY,
        placeholder="/data/folds.csv",
        help="Your own assignment of sequences to folds, numbered from 0, such as folds.parquet of "
        "another run. Leave empty to split by subject, stratified by gesture.",
        persist_state="session",
    )
    if path():
        st.checkbox(
            "Accept subjects in several folds; all scores are marked as optimistic",
            key=SHARED_KEY,
            persist_state="session",
        )


def fill(config: Config, root: Path) -> None:
    """Choose the folds of a run to duplicate; call it before the widgets are drawn.

    Args:
        config: Of the run.
        root: Its folder.
    """
    has_file = config.folds.file_sha256 is not None
    st.session_state[PATH_KEY] = str(RunPaths(root).folds.absolute()) if has_file else ""
    st.session_state[SHARED_KEY] = config.folds.shared_subjects


def path() -> Path | None:
    """Return the path of the file, or None where none is given."""
    typed = str(st.session_state.get(PATH_KEY) or "").strip()
    return Path(typed).expanduser().absolute() if typed else None


def read() -> FoldsFile | None:
    """Return the content of the file, or None where none is given.

    Raises:
        DataError: It cannot be used.
    """
    found = path()
    shares_subjects = bool(st.session_state.get(SHARED_KEY))
    if found is None:
        return None
    return _read(str(found), readers.version(found), shares_subjects)


@st.cache_resource(max_entries=4, show_spinner=False)
def _read(path: str, version: readers.Version, shares_subjects: bool) -> FoldsFile:
    return read_folds_file(Path(path), shares_subjects)
