"""Study form: several seeds or values of settings instead of one run, on the start form.

In: the name and the configuration of the start form. Out: the number of runs, the command, the
started study. A search is started in a terminal.
"""

from __future__ import annotations

import streamlit as st

from pages.ui import notifications
from pages.ui.shared import controls, frame, live
from trainer.config import Config, ConfigError
from trainer.study import launch
from trainer.study.definition import StudyFile, make_study
from trainer.study.parsing import parse_grid, parse_seeds
from trainer.study.trials import study_root

SEEDS_KEY, GRID_KEY = "start_study_seeds", "start_study_grid"


def fields() -> None:
    """Show the fields; a study is started where one of them is filled."""
    st.text_input(
        "Seeds, separated by commas",
        key=SEEDS_KEY,
        placeholder="42,43,44",
        help="Every combination of settings is trained with each of these seeds.",
        persist_state="session",
    )
    st.text_area(
        "Values of settings: one KEY=V1,V2 per line",
        key=GRID_KEY,
        placeholder="boosting.num_leaves=7,15,31",
        help="All combinations are trained. The items of a list are joined by a plus sign.",
        persist_state="session",
    )
    st.caption(
        "A search with Optuna is started in a terminal: python -m trainer study NAME "
        "\\--search FILE.toml \\--trials N"
    )


def is_filled() -> bool:
    """Return whether a study is to be started instead of a run."""
    return any(str(st.session_state.get(key) or "").strip() for key in (SEEDS_KEY, GRID_KEY))


def preview(name: str, config: Config | None) -> None:
    """Show the number of runs, or what is wrong, with the button to start the study."""
    study, problem = (None, "") if config is None else _study(name, config)
    if problem:
        st.warning(frame.escape(problem), icon=":material/edit:")
    if study is not None:
        num_runs = study.num_trials * len(study.seeds)
        kinds = f"{study.num_trials} combination{'s' * (study.num_trials > 1)} of settings"
        seeds = f"{len(study.seeds)} seed{'s' * (len(study.seeds) > 1)}"
        st.markdown(
            f"Study of {kinds} with {seeds}: **{num_runs} runs**, one after the other, each as "
            f"described above."
        )
        with st.expander("Command for a terminal", icon=":material/terminal:"):
            command = launch.command_text(frame.state_dir(), study)
            st.code(command, language=None, wrap_lines=True)
    st.button(
        f"Start study {name}",
        type="primary",
        icon=":material/play_arrow:",
        key="start_study",
        disabled=study is None,
        on_click=controls.attempt,
        args=(_start, study),
    )


def _study(name: str, config: Config) -> tuple[StudyFile | None, str]:
    """Return the checked definition, or what is wrong with it."""
    seeds = str(st.session_state.get(SEEDS_KEY) or "").replace(" ", "")
    lines = str(st.session_state.get(GRID_KEY) or "").splitlines()
    if study_root(frame.state_dir(), name).exists():
        return None, f"A study {name!r} exists already. Choose another name."
    try:
        grid = parse_grid([line.strip() for line in lines if line.strip()], config)
        study = make_study(name, config, parse_seeds(seeds or None), grid, {}, None, {})
    except ConfigError as error:
        return None, str(error).replace("--", "")
    return study, ""


def _start(study: StudyFile) -> str:
    root = study_root(frame.state_dir(), study.name)
    notify = notifications.hand_over(frame.state_dir(), root)
    live.expect_trainer(root, launch.begin(frame.state_dir(), study, notify))
    for key in (SEEDS_KEY, GRID_KEY):
        st.session_state[key] = ""
    controls.stop_duplicating()
    frame.follow_newest()
    return f"Started study {study.name}."
