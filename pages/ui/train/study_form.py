"""Study form: several seeds or values of settings instead of one run, on the start form.

In: the name, the configuration and the own code of the start form. Out: the number of runs, how
long they should take, the command, the started study.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

import streamlit as st

from pages.ui import notifications
from pages.ui.shared import controls, frame, live
from pages.ui.train import forecast, start_folds
from pages.ui.train.start_code import ChosenCode
from trainer.config import Config, ConfigError, overlay
from trainer.models.libraries import not_installed
from trainer.run.estimate import format_duration
from trainer.store.reader import RunReader
from trainer.study import launch, search
from trainer.study.definition import AND, NO_CODE, GridSetting, StudyFile, make_study
from trainer.study.parsing import parse_grid, parse_search, parse_seeds
from trainer.study.trials import study_root

SEEDS_KEY, GRID_KEY, SEARCH_KEY = "start_study_seeds", "start_study_grid", "start_study_search"
KIND_KEY, TRIALS_KEY, WITHOUT_KEY = "start_study_kind", "start_study_trials", "start_study_without"
GRID, SEARCH = "All combinations", "Search"
USUAL_TRIALS = 40
EXAMPLE = """[boosting.learning_rate]
low = 0.01
high = 0.2
log = true

[boosting.num_leaves]
low = 7
high = 63"""


def fields(code: ChosenCode) -> None:
    """Show the fields; a study is started where one of them is filled."""
    st.text_input(
        "Seeds, separated by commas",
        key=SEEDS_KEY,
        placeholder="42,43,44",
        help="Every combination of settings is trained with each of these seeds.",
        persist_state="session",
    )
    if code.use:
        st.checkbox(
            "Train everything without your own code too",
            key=WITHOUT_KEY,
            persist_state="session",
        )
    st.session_state.setdefault(KIND_KEY, GRID)
    kind = st.segmented_control(
        "Values of settings", [GRID, SEARCH], required=True, key=KIND_KEY, persist_state="session"
    )
    if kind == SEARCH:
        _search_fields()
        return
    st.text_area(
        "One KEY=V1,V2 per line",
        key=GRID_KEY,
        placeholder="boosting.num_leaves=7,15,31",
        help="All combinations are trained. The items of a list are joined by a plus sign.",
        persist_state="session",
    )


def is_filled(code: ChosenCode) -> bool:
    """Return whether a study is to be started instead of a run."""
    key = SEARCH_KEY if _is_search() else GRID_KEY
    return bool(_typed(SEEDS_KEY) or _typed(key) or _is_compared(code))


def preview(name: str, config: Config | None, code: ChosenCode, runs: list[RunReader]) -> None:
    """Show the number of runs and their time, or what is wrong, with the button to start them."""
    study, problem = (None, "") if config is None else _study(name, config, code)
    if problem:
        st.warning(frame.escape(problem), icon=":material/edit:")
    if study is not None:
        st.markdown(frame.escape(_describe(study, forecast.study_seconds(study, runs))))
        with st.expander("Command for a terminal", icon=":material/terminal:"):
            command = launch.command_line(
                *(frame.state_dir(), study, code.paths), start_folds.path()
            )
            st.code(shlex.join(command), language=None, wrap_lines=True)
            if study.search:
                st.caption("search.toml: the text above.")
    st.button(
        f"Start study {name}",
        type="primary",
        icon=":material/play_arrow:",
        key="start_study",
        disabled=study is None,
        on_click=controls.attempt,
        args=(_start, study, code),
    )


def _search_fields() -> None:
    missing = not_installed(["optuna"])
    if missing:
        st.caption(f"A search needs Optuna, and {missing}: pip install -r requirements-study.txt")
        return
    st.text_area(
        "Settings to search, in TOML",
        key=SEARCH_KEY,
        placeholder=EXAMPLE,
        height=220,
        help="A table per setting: low and high, with log = true or a step; or choices. Optuna "
        "draws the values, and a trial that is clearly worse than the best one ends early.",
        persist_state="session",
    )
    st.session_state.setdefault(TRIALS_KEY, USUAL_TRIALS)
    st.number_input(
        "Trials", min_value=1, max_value=10_000, step=1, key=TRIALS_KEY, persist_state="session"
    )


def _study(name: str, config: Config, code: ChosenCode) -> tuple[StudyFile | None, str]:
    """Return the checked definition, or what is wrong with it."""
    if study_root(frame.state_dir(), name).exists():
        return None, f"A study {name!r} exists already. Choose another name."
    try:
        seeds = parse_seeds(_typed(SEEDS_KEY).replace(" ", "") or None)
        if _is_search():
            ranges = parse_search(_typed(SEARCH_KEY), config, "Search")
            if _is_compared(code):
                raise ConfigError("Search: expected all trials with your own code, or none")
            number = int(st.session_state.get(TRIALS_KEY) or USUAL_TRIALS)
            versions = search.versions()
            return make_study(name, config, seeds, (), ranges, number, versions), ""
        grid = parse_grid(_lines(), config)
        if _is_compared(code):
            grid = (GridSetting(name="use", values=(NO_CODE, AND.join(code.use))), *grid)
            config = overlay(config, {}, [], {"use": []})
        return make_study(name, config, seeds, grid, {}, None, {}), ""
    except ConfigError as error:
        return None, str(error).replace("--", "")


def _lines() -> Sequence[str]:
    lines = [line.strip() for line in _typed(GRID_KEY).splitlines() if line.strip()]
    if any(line.startswith("use=") for line in lines):
        raise ConfigError("use: name the files under Your own code, then tick the box here")
    return lines


def _describe(study: StudyFile, seconds: float | None) -> str:
    """Return how many runs a study has and how long they should take."""
    num_runs = study.num_trials * len(study.seeds)
    kind = "trial" if study.search else "combination"
    parts = f"{study.num_trials} {kind}{'s' * (study.num_trials > 1)}"
    if not study.search:
        parts += " of settings"
    seeds = f"{len(study.seeds)} seed{'s' * (len(study.seeds) > 1)}"
    most = "up to " * bool(study.search)
    time = "" if seconds is None else f", at most about {format_duration(seconds)}"
    return f"Study of {parts} with {seeds}: {most}{num_runs} runs, one after the other{time}."


def _typed(key: str) -> str:
    return str(st.session_state.get(key) or "").strip()


def _is_search() -> bool:
    return st.session_state.get(KIND_KEY) == SEARCH


def _is_compared(code: ChosenCode) -> bool:
    return bool(code.use and st.session_state.get(WITHOUT_KEY))


def _start(study: StudyFile, code: ChosenCode) -> str:
    code.approve()
    root = study_root(frame.state_dir(), study.name)
    notify = notifications.hand_over(frame.state_dir(), root)
    pid = launch.begin(frame.state_dir(), study, code.files, start_folds.read(), notify)
    live.expect_trainer(root, pid)
    for key in (SEEDS_KEY, GRID_KEY, SEARCH_KEY):
        st.session_state[key] = ""
    st.session_state[WITHOUT_KEY] = False
    controls.stop_duplicating()
    frame.follow_newest()
    return f"Started study {study.name}."
