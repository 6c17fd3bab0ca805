"""Start form: what a new run is made of, checked while it is filled in.

In: what people choose. Out: a preview of the command, and the run, started.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from pages.ui import controls, frame, live, words
from trainer.config import Config, ConfigError, make_config
from trainer.data.sources import KAGGLE_INPUT
from trainer.run import control
from trainer.store.reader import list_runs
from trainer.store.verdict import judge

BUILT_IN, OWN, KAGGLE = "Built-in recordings", "File or folder", "Kaggle input"
SOURCES = {BUILT_IN: "watch", KAGGLE: "kaggle"}
PRESETS = {"Quick": "quick", "Full": "full"}
PRESET_WORDS = {
    "quick": "A first answer within minutes",
    "full": "The settings for the best score",
}


@dataclass(frozen=True)
class Draft:
    """A run that could be started.

    Attributes:
        name: Of the run.
        config: Checked; None where something is wrong.
        problem: What is wrong, or "".
    """

    name: str
    config: Config | None
    problem: str


def show() -> None:
    """Show the form with its preview and the start button."""
    source = _source()
    preset = _preset()
    name = _name(source)
    options = _main_settings(preset)
    assignments = _more_settings()
    draft = _check(name, preset, {**options, "data.source": source}, assignments)
    _preview(draft)


def _source() -> str:
    choice = st.segmented_control(
        "Recordings",
        [BUILT_IN, OWN, KAGGLE] if KAGGLE_INPUT.is_dir() else [BUILT_IN, OWN],
        default=BUILT_IN,
        required=True,
        key="start_source",
        persist_state="session",
    )
    if choice != OWN:
        return SOURCES[choice]
    path = st.text_input(
        "Path of a CSV or Parquet file, or of a folder with train.csv",
        key="start_path",
        placeholder="/data/train.csv",
        persist_state="session",
    )
    return path.strip()


def _preset() -> str:
    choice = st.segmented_control(
        "Preset",
        list(PRESETS),
        default="Quick",
        required=True,
        key="start_preset",
        persist_state="session",
    )
    preset = PRESETS[choice]
    config = make_config(preset)
    st.caption(
        f"{PRESET_WORDS[preset]}: {config.folds.count} folds by subject, each with up to "
        f"{config.boosting.rounds} LightGBM rounds and up to {config.network.epochs} network "
        f"epochs; early stopping ends a fold sooner."
    )
    return preset


def _name(source: str) -> str:
    suggestion = control.next_run_name(frame.state_dir(), source or "run")
    typed = st.text_input(
        "Run name",
        key="start_name",
        placeholder=suggestion,
        help="Left empty, the run gets the name shown in grey.",
        max_chars=64,
        persist_state="session",
    )
    return typed.strip() or suggestion


def _main_settings(preset: str) -> dict[str, Any]:
    """Show the main settings; return those that differ from the preset."""
    config = make_config(preset)
    models = st.pills(
        "Models",
        list(config.models),
        selection_mode="multi",
        default=list(config.models),
        format_func=words.MODELS.__getitem__,
        key=f"start_models_{preset}",
        persist_state="session",
    )
    numbers = {
        "folds.count": ("Folds", config.folds.count, 2, 50),
        "boosting.rounds": ("LightGBM rounds", config.boosting.rounds, 1, 100_000),
        "network.epochs": ("Network epochs", config.network.epochs, 1, 10_000),
        "seed": ("Seed", config.seed, 0, 2**31 - 1),
    }
    chosen: dict[str, Any] = {}
    for column, (key, (label, default, low, high)) in zip(
        st.columns(len(numbers)), numbers.items(), strict=True
    ):
        value = column.number_input(
            label,
            value=default,
            min_value=low,
            max_value=high,
            step=1,
            key=f"start_{key}_{preset}",
            persist_state="session",
        )
        if value != default:
            chosen[key] = value
    if tuple(models) != config.models:
        chosen["models"] = models
    return chosen


def _more_settings() -> list[str]:
    with st.expander("More settings"):
        text = st.text_area(
            "One KEY=VALUE per line, with the names of config.json",
            key="start_more",
            placeholder="boosting.learning_rate=0.05\nnetwork.dropout=0.3",
            persist_state="session",
        )
    return [line.strip() for line in text.splitlines() if line.strip()]


def _check(name: str, preset: str, options: dict[str, Any], assignments: list[str]) -> Draft:
    problem = words.run_name_problem(name)
    if problem is not None:
        return Draft(name, None, f"Run name: expected {problem}; got {name!r}.")
    if (frame.state_dir() / name).exists():
        return Draft(name, None, f"There is a run {name!r} already. Choose another name.")
    source = options["data.source"]
    if source not in SOURCES.values() and not (source and Path(source).expanduser().exists()):
        return Draft(name, None, f"Recordings: no file or folder at {source!r}.")
    if options.get("models") == []:
        return Draft(name, None, "Models: choose at least one.")
    try:
        return Draft(name, make_config(preset, options, assignments), "")
    except ConfigError as error:
        return Draft(name, None, str(error))


def _preview(draft: Draft) -> None:
    if draft.config is None:
        st.warning(frame.escape(draft.problem), icon=":material/edit:")
    else:
        st.caption("The same in a terminal:")
        command = control.command_line(frame.state_dir(), draft.name, draft.config)
        st.code(" ".join(command), language=None, wrap_lines=True)
    active = [run.name for run in list_runs(frame.state_dir()) if judge(run).is_active]
    if active:
        names = frame.escape(", ".join(active))
        st.caption(f"Training now: {names}. Two runs at once share the processor; both get slower.")
    st.button(
        f"Start {draft.name}",
        type="primary",
        icon=":material/play_arrow:",
        key="start",
        disabled=draft.config is None,
        on_click=controls.attempt,
        args=(_start, draft),
    )


def _start(draft: Draft) -> str:
    assert draft.config is not None  # the button is disabled without one
    pid = control.start(frame.state_dir(), draft.name, draft.config)
    live.expect_trainer(draft.name, pid)
    frame.open_run(draft.name)
    return f"Started {draft.name}."
