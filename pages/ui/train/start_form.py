"""Start form: what a new run is made of, checked while it is filled in.

In: what people choose, or a run to duplicate. Out: in words what will run and how long it should
take, what differs from the preset or from the run it was taken from, and the run, started.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import streamlit as st

from pages.ui.shared import controls, frame, live, words
from pages.ui.train import forecast, settings_form, start_source
from trainer.config import Config, ConfigError, flat_settings, make_config, setting_text
from trainer.run import control
from trainer.store.reader import RunReader, list_runs
from trainer.store.records import RunFile
from trainer.store.run_state import derive_state

PRESETS = {"Quick": "quick", "Full": "full"}
PRESET_WORDS = {
    "quick": "A first answer within minutes",
    "full": "The settings for the best score",
}


NUMBERS = {  # label, lowest, highest
    "folds.count": ("Folds", 2, 50),
    "boosting.rounds": ("LightGBM rounds", 1, 100_000),
    "network.epochs": ("Network epochs", 1, 10_000),
    "seed": ("Seed", 0, 2**31 - 1),
}

_DUPLICATE = "start_duplicate"  # name and settings of the run that the form was filled from


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
    _duplicate_line()
    left, right = st.columns(2, gap="large")
    with left:
        source = start_source.field()
    with right:
        preset = _preset()
    usual = make_config(preset)
    name = _name(source)
    options = _main_settings(usual)
    with st.expander("More settings", icon=":material/tune:"):
        assignments = settings_form.fields(usual)
    draft = _check(name, preset, {**options, "data.source": source}, assignments)
    _preview(draft, usual)


def duplicate(run_file: RunFile) -> None:
    """Fill the form from a run, as an on_click callback; the form stands on the Train page."""
    config = run_file.settings()
    usual, state = make_config(config.preset), st.session_state
    start_source.fill(config.data.source)
    state["start_preset"] = next(label for label, name in PRESETS.items() if name == usual.preset)
    state["start_name"] = ""
    state[f"start_models_{usual.preset}"] = list(config.models)
    values, usual_values = flat_settings(config), flat_settings(usual)
    for name in NUMBERS:
        state[_number_key(name, usual.preset)] = values[name]
    for name, value in values.items():
        if name not in settings_form.NOT_HERE:
            is_usual = value == usual_values[name]
            state[settings_form.field_key(name)] = "" if is_usual else setting_text(value)
    state[settings_form.LINES_KEY] = ""
    state[_DUPLICATE] = (run_file.run, config)


def is_duplicating() -> bool:
    """Return whether the form was filled from a run, and has not been started or let go since."""
    return _DUPLICATE in st.session_state


def duplicate_button(run_file: RunFile | None) -> None:
    """Show the button that fills the form from a run."""
    if run_file is not None:
        st.button(
            "Duplicate",
            icon=":material/content_copy:",
            key="duplicate",
            help="Fills the start form with the settings of this run, to change what you like.",
            on_click=duplicate,
            args=(run_file,),
        )


def _duplicate_line() -> None:
    """Say which run the form was filled from, and offer to let go of it."""
    if not is_duplicating():
        return
    with st.container(
        horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"
    ):
        name = frame.escape(st.session_state[_DUPLICATE][0])
        st.markdown(f"**A new run with the settings of {name}**", width="content")
        st.button(
            "Not now",
            icon=":material/close:",
            type="tertiary",
            key="duplicate_forget",
            on_click=_forget,
        )


def _forget() -> None:
    st.session_state.pop(_DUPLICATE, None)


def _preset() -> str:
    st.session_state.setdefault("start_preset", "Quick")
    choice = st.segmented_control(
        "Preset", list(PRESETS), required=True, key="start_preset", persist_state="session"
    )
    preset = PRESETS[choice]
    st.caption(f"{PRESET_WORDS[preset]}.")
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


def _main_settings(usual: Config) -> dict[str, Any]:
    """Show the main settings; return those that differ from the preset."""
    models_key = f"start_models_{usual.preset}"
    st.session_state.setdefault(models_key, list(usual.models))
    models = st.pills(
        "Models",
        list(words.STEP_NAMES),
        selection_mode="multi",
        format_func=words.MODELS.__getitem__,
        key=models_key,
        persist_state="session",
    )
    values = flat_settings(usual)
    chosen: dict[str, Any] = {}
    with st.container(horizontal=True, gap="small"):
        for name, (label, low, high) in NUMBERS.items():
            key = _number_key(name, usual.preset)
            is_other = st.session_state.setdefault(key, values[name]) != values[name]
            value = st.number_input(
                f"**{label}** (preset {values[name]})" if is_other else label,
                min_value=low,
                max_value=high,
                step=1,
                key=key,
                width=settings_form.FIELD_WIDTH_PX,
                persist_state="session",
            )
            if value != values[name]:
                chosen[name] = value
    if tuple(models) != usual.models:
        chosen["models"] = models
    return chosen


def _number_key(name: str, preset: str) -> str:
    return f"start_{name}_{preset}"


def _check(name: str, preset: str, options: dict[str, Any], assignments: list[str]) -> Draft:
    problem = words.run_name_problem(name)
    if problem is not None:
        return Draft(name, None, f"Run name: expected {problem}; got {name!r}.")
    if (frame.state_dir() / name).exists():
        return Draft(name, None, f"There is a run {name!r} already. Choose another name.")
    problem = start_source.problem(options["data.source"])
    if problem:
        return Draft(name, None, problem)
    if options.get("models") == []:
        return Draft(name, None, "Models: choose at least one.")
    try:
        return Draft(name, make_config(preset, options, assignments), "")
    except ConfigError as error:
        return Draft(name, None, str(error))


def _preview(draft: Draft, usual: Config) -> None:
    """Say what will run, how long, and what differs; offer to start it."""
    runs = list_runs(frame.state_dir())
    if draft.config is None:
        st.warning(frame.escape(draft.problem), icon=":material/edit:")
    else:
        _explain(draft.config, usual, runs)
        with st.expander("The same in a terminal", icon=":material/terminal:"):
            command = control.command_line(frame.state_dir(), draft.name, draft.config)
            st.code(" ".join(command), language=None, wrap_lines=True)
    active = [run.name for run in runs if derive_state(run).is_active]
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


def _explain(config: Config, usual: Config, runs: list[RunReader]) -> None:
    """Say in words what the run does, how long it should take, and what is unusual about it."""
    shown = start_source.in_words(config.data.source)
    st.markdown(frame.escape(forecast.plan_text(config, shown)))
    st.markdown(frame.escape(forecast.time_text(forecast.forecast(config, runs))))
    own = [row for row in settings_form.differing(config, usual) if row[0] != "data.source"]
    if own:
        st.markdown(f"Unlike the preset: {settings_form.differences_text(own)}")
    if is_duplicating():
        name, before = st.session_state[_DUPLICATE]
        changed = settings_form.differing(config, before)
        if changed:
            text = f"Unlike {frame.escape(name)}: {settings_form.differences_text(changed)}"
        else:
            text = "Nothing is different yet: the same recordings would give the same result."
        st.markdown(text)


def _start(draft: Draft) -> str:
    assert draft.config is not None  # the button is disabled without one
    pid = control.start(frame.state_dir(), draft.name, draft.config)
    live.expect_trainer(draft.name, pid)
    frame.open_run(draft.name)
    _forget()
    return f"Started {draft.name}."
