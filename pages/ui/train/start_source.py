"""Start source: where the recordings of a new run come from.

In: the user's choice, or the source of a run to duplicate. Out: the source's name, what is wrong
with it, and its description.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from trainer.config import SIMULATED, is_simulated
from trainer.data.schema import DataError
from trainer.data.sources import KAGGLE_INPUT
from trainer.simulation.simulate import MAX_SUBJECTS, read_num_subjects

BUILT_IN, OWN, GENERATED, KAGGLE = "Built-in", "File or folder", "Simulated", "Kaggle input"
SOURCES = {BUILT_IN: "watch", KAGGLE: "kaggle"}
NUM_SUBJECTS = 20  # enough for a quick run; the competition has 81


def field() -> str:
    """Show the choice of recordings; return the source's name."""
    st.session_state.setdefault("start_source", BUILT_IN)
    choice = st.segmented_control(
        "Recordings", choices(), required=True, key="start_source", persist_state="session"
    )
    if choice == GENERATED:
        st.session_state.setdefault("start_subjects", NUM_SUBJECTS)
        num = st.number_input(
            "Simulated subjects (all sensors; scores do not apply to real recordings)",
            min_value=1,
            max_value=MAX_SUBJECTS,
            step=1,
            key="start_subjects",
            persist_state="session",
        )
        return f"{SIMULATED}:{num}"
    if choice != OWN:
        return SOURCES[choice or BUILT_IN]
    path = st.text_input(
        "Path of a CSV or Parquet file, or of a folder with train.csv",
        key="start_path",
        placeholder="/data/train.csv",
        persist_state="session",
    )
    return path.strip()


def fill(source: str) -> None:
    """Choose the source of a run to duplicate; call it before the widgets are drawn."""
    state = st.session_state
    names = {value: label for label, value in SOURCES.items() if label in choices()}
    state["start_path"] = ""
    if is_simulated(source) and not problem(source):
        state["start_source"], state["start_subjects"] = GENERATED, read_num_subjects(source)
    elif source in names:
        state["start_source"] = names[source]
    else:
        state["start_source"], state["start_path"] = OWN, source


def choices() -> list[str]:
    """Return where recordings can come from on this machine."""
    return [BUILT_IN, OWN, GENERATED, *([KAGGLE] if KAGGLE_INPUT.is_dir() else [])]


def problem(source: str) -> str:
    """Return why the source cannot be used, or ""."""
    if is_simulated(source):
        try:
            read_num_subjects(source)
        except DataError as error:
            return str(error)
        return ""
    if source in SOURCES.values() or (source and Path(source).expanduser().exists()):
        return ""
    return f"Recordings: no file or folder at {source!r}."


def describe(source: str) -> str:
    """Describe the source as part of a sentence."""
    if is_simulated(source):
        num = read_num_subjects(source)
        return f"simulated recordings of {num} subject{'s' * (num > 1)}"
    return {"watch": "the built-in recordings", "kaggle": "Kaggle's input"}.get(source, source)
