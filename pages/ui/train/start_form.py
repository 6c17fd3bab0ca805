"""Start form: the settings of a new run, checked while they are entered.

In: the user's choices, or a run to duplicate. Out: a description of the new run and of the time it
should take, what differs from the preset or from the duplicated run, and the started run.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from pages.ui import notifications
from pages.ui.shared import controls, frame, live, words
from pages.ui.train import (
    forecast,
    settings_form,
    start_code,
    start_folds,
    start_notify,
    start_source,
    study_form,
)
from trainer.config import Config, ConfigError, bounds, flat_settings, make_config, setting_text
from trainer.data.schema import DataError
from trainer.models import registry
from trainer.own_description import OwnDescription
from trainer.run import control
from trainer.run.inputs.folds_file import check_stated_count
from trainer.store.reader import RunReader, list_runs
from trainer.store.run_state import derive_state

PRESETS = {"Quick": "quick", "Full": "full"}
PRESET_WORDS = {
    "quick": "First results within minutes",
    "full": "The settings for the best score",
}
NUMBERS = {
    "folds.count": "Folds",
    "boosting.rounds": "LightGBM rounds",
    "network.epochs": "Network epochs",
    "seed": "Seed",
}

_FILLED = "start_filled"  # the duplicated run that the form was filled from


@dataclass(frozen=True)
class Draft:
    """A run that could be started.

    Attributes:
        name: Of the run.
        config: Checked; None where something is wrong.
        problem: What is wrong, or "".
        code: Own code of the run.
    """

    name: str
    config: Config | None
    problem: str
    code: start_code.ChosenCode = field(default_factory=start_code.ChosenCode)


def show() -> None:
    """Show the form with a description of the run and the start button."""
    duplicated = controls.duplicated_run()
    if duplicated is not None:
        if st.session_state.get(_FILLED) is not duplicated:
            st.session_state[_FILLED] = duplicated
            _fill(*duplicated)
            start_code.fill(frame.state_dir() / duplicated[0], duplicated[1].use)
        _duplicated_line(duplicated[0])
    left, right = st.columns(2, gap="large")
    with left:
        source = start_source.field()
    with right:
        preset = _preset()
    usual = settings_form.usual_settings(preset)
    name = _name(source)
    code = start_code.fields()
    options = _main_settings(preset, usual, code.description)
    with st.expander("More settings", icon=":material/tune:"):
        start_folds.field()
        assignments = settings_form.fields(usual)
    with st.expander("Study: several seeds or settings", icon=":material/account_tree:"):
        study_form.fields(code)
    with st.expander("Notifications", icon=":material/notifications:"):
        start_notify.fields()
    options["data.source"] = source
    if code.use:
        options["use"] = code.use
    draft = _check(name, preset, options, assignments, code)
    _preview(draft, usual)


def _fill(name: str, config: Config) -> None:
    """Fill the form from the settings of a run, before its widgets are drawn."""
    state, usual = st.session_state, settings_form.usual_settings(config.preset)
    values = usual | flat_settings(config)
    start_source.fill(config.data.source)
    start_folds.fill(config, frame.state_dir() / name)
    state["start_preset"] = next(label for label, name in PRESETS.items() if name == config.preset)
    state["start_name"] = ""
    state[f"start_models_{config.preset}"] = list(config.models)
    for setting in NUMBERS:
        state[_number_key(setting, config.preset)] = values[setting]
    for setting, value in values.items():
        if setting not in settings_form.NOT_HERE:
            is_usual = value == usual.get(setting)
            state[settings_form.field_key(setting)] = "" if is_usual else setting_text(value)
    state[settings_form.LINES_KEY] = ""


def _duplicated_line(name: str) -> None:
    """Name the run that the form was filled from, with a button to cancel."""
    with st.container(
        horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"
    ):
        st.markdown(f"**New run with the settings of {frame.escape(name)}**", width="content")
        st.button(
            "Cancel",
            icon=":material/close:",
            type="tertiary",
            key="duplicate_forget",
            on_click=controls.stop_duplicating,
        )


def _preset() -> str:
    st.session_state.setdefault("start_preset", "Quick")
    choice = st.segmented_control(
        "Preset", list(PRESETS), required=True, key="start_preset", persist_state="session"
    )
    preset = PRESETS[choice or "Quick"]
    st.caption(f"{PRESET_WORDS[preset]}.")
    return preset


def _name(source: str) -> str:
    suggestion = control.next_run_name(frame.state_dir(), source or "run")
    typed = st.text_input(
        "Run name",
        key="start_name",
        placeholder=suggestion,
        help="Leave empty for the name shown in grey.",
        max_chars=64,
        persist_state="session",
    )
    return typed.strip() or suggestion


def _main_settings(preset: str, usual: Mapping[str, Any], own: OwnDescription) -> dict[str, Any]:
    """Show the main settings; return those that differ from the preset."""
    models_key = f"start_models_{preset}"
    ours = [model.name for model in registry.trainable_models()]
    missing = registry.not_installed(ours)
    offered = [name for name in (*ours, *own.models) if name not in missing]
    st.session_state.setdefault(models_key, list(usual["models"]))
    st.session_state[models_key] = [
        model for model in st.session_state[models_key] if model in offered
    ]
    models = st.pills(
        "Models",
        offered,
        selection_mode="multi",
        format_func=registry.title,
        key=models_key,
        persist_state="session",
    )
    for model, problem in missing.items():
        st.caption(frame.escape(f"{registry.title(model)} cannot be trained here: {problem}."))
    chosen: dict[str, Any] = start_code.settings(own, models)
    with st.container(horizontal=True, gap="small"):
        for name, label in NUMBERS.items():
            if name == "folds.count" and start_folds.path() is not None:
                continue  # the file has a number of folds
            key, allowed = _number_key(name, preset), bounds(name)
            is_other = st.session_state.setdefault(key, usual[name]) != usual[name]
            text = settings_form.value_text(usual[name])
            value = st.number_input(
                f"**{label}** (preset {text})" if is_other else label,
                min_value=int(allowed.low),
                max_value=int(allowed.high),
                step=1,
                value=None if usual[name] is None else "min",
                placeholder=text,
                help="Chosen by the number of sequences." if usual[name] is None else None,
                key=key,
                width=settings_form.FIELD_WIDTH_PX,
                persist_state="session",
            )
            if value != usual[name]:
                chosen[name] = value
    if tuple(models) != tuple(model for model in usual["models"] if model not in missing):
        chosen["models"] = models
    return chosen


def _number_key(name: str, preset: str) -> str:
    return f"start_{name}_{preset}"


def _check(
    name: str,
    preset: str,
    options: dict[str, Any],
    assignments: list[str],
    code: start_code.ChosenCode,
) -> Draft:
    if code.problem:
        return Draft(name, None, code.problem)
    problem = words.run_name_problem(name)
    if problem is not None:
        return Draft(name, None, f"Run name: expected {problem}; got {name!r}.")
    if (frame.state_dir() / name).exists():
        return Draft(name, None, f"A run {name!r} exists already. Choose another name.")
    problem = start_source.problem(options["data.source"])
    if problem:
        return Draft(name, None, problem)
    if options.get("models") == []:
        return Draft(name, None, "Models: choose at least one.")
    try:
        file = start_folds.read()
        if file is not None:
            check_stated_count(file, options, assignments)
            options = {**options, **file.settings()}
        config = make_config(preset, options, assignments)
    except (ConfigError, DataError) as error:
        return Draft(name, None, str(error))
    missing = registry.not_installed(config.models)
    if missing and (config.blend.fail_if_torch_missing or len(missing) == len(config.models)):
        return Draft(name, None, f"Models: {' and '.join(missing.values())}. Install it first.")
    return Draft(name, config, "", code)


def _preview(draft: Draft, usual: Mapping[str, Any]) -> None:
    """Show what will be trained, how long, and what differs, with the button to start it."""
    runs = list_runs(frame.state_dir())
    if draft.config is None:
        st.warning(frame.escape(draft.problem), icon=":material/edit:")
    else:
        _describe(draft.config, usual, runs)
    is_study = study_form.is_filled(draft.code)
    if draft.config is not None and not is_study:
        with st.expander("Command for a terminal", icon=":material/terminal:"):
            command = control.command_line(
                *(frame.state_dir(), draft.name, draft.config),
                *(start_folds.path(), draft.code.paths),
            )
            st.code(shlex.join(command), language=None, wrap_lines=True)
    active = [run.name for run in runs if derive_state(run).is_active]
    if active:
        names = frame.escape(", ".join(active))
        st.caption(f"Training now: {names}. Parallel runs share the CPU and slow each other down.")
    if is_study:
        study_form.preview(draft.name, draft.config, draft.code, runs)
        return
    st.button(
        f"Start {draft.name}",
        type="primary",
        icon=":material/play_arrow:",
        key="start",
        disabled=draft.config is None,
        on_click=controls.attempt,
        args=(_start, draft),
    )


def _describe(config: Config, usual: Mapping[str, Any], runs: list[RunReader]) -> None:
    """Describe what the run trains, how long it should take, and its differing settings."""
    source = start_source.describe(config.data.source)
    missing = registry.not_installed(config.models)
    trained = tuple(model for model in config.models if model not in missing)
    made = config.model_copy(update={"models": trained})  # the trainer leaves the others out
    expected = forecast.forecast(made, runs)
    st.markdown(frame.escape(forecast.plan_text(made, source, expected.size)))
    st.markdown(frame.escape(forecast.time_text(expected)))
    usual = {**usual, **{f"blend.weights.{model}": 0.0 for model in config.blend.weights}}
    rows = settings_form.differing(config, usual)
    own = [row for row in rows if row[0] not in ("data.source", "use")]
    if own:
        st.markdown(f"Different from the preset: {settings_form.differences_text(own)}")
    duplicated = controls.duplicated_run()
    if duplicated is not None:
        name, before = duplicated
        changed = settings_form.differing(config, {**usual, **flat_settings(before)})
        if changed:
            differences = settings_form.differences_text(changed)
            st.markdown(f"Different from {frame.escape(name)}: {differences}")
        else:
            st.markdown(f"Same settings as {frame.escape(name)}: the result will be the same.")


def _start(draft: Draft) -> str:
    assert draft.config is not None  # else the button is disabled
    draft.code.approve()
    state_dir = frame.state_dir()
    notify = notifications.hand_over(state_dir, state_dir / draft.name)
    pid = control.start(
        *(state_dir, draft.name, draft.config, start_folds.path(), draft.code.paths), notify
    )
    live.expect_trainer(frame.state_dir() / draft.name, pid)
    frame.open_run(draft.name)
    controls.stop_duplicating()
    return f"Started {draft.name}."
