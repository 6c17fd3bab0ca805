"""Study panels: the trials of a study as one group, on the Runs page.

In: the studies of the state folder. Out: the table of trials with differences to a baseline, the
trials in their order, parallel coordinates, the importance of the settings; pause, resume,
duplicate.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import streamlit as st

from pages.ui.shared import controls, frame, panels, readers, words
from pages.ui.studies import export, study_controls, study_figures, study_results
from pages.ui.studies.study_results import StudyResults
from trainer.store.reader import RunReader
from trainer.store.run_state import derive_state
from trainer.study.study_archive import export_study
from trainer.study.trials import StudyPaths, list_studies, run_names

NARROW_PX = 66  # with three settings, all columns fit on a screen of 1440 pixels
END = st.column_config.NumberColumn(format="%+.3f", width=NARROW_PX)
COLUMNS = {
    "Trial": st.column_config.NumberColumn(pinned=True, width=54),
    "Mean": st.column_config.NumberColumn(
        format="%.3f",
        width=NARROW_PX,
        help="Mean score of the blend over the completed folds of all seeds",
    ),
    "Difference": st.column_config.NumberColumn(format="%+.3f", width="small"),
    "From": END,
    "To": END,
    "Fold SD": st.column_config.NumberColumn(
        format="%.3f", width=NARROW_PX, help="Standard deviation of the folds within a seed"
    ),
    "Seed SD": st.column_config.NumberColumn(
        format="%.3f", width=NARROW_PX, help="Standard deviation of the means of the seeds"
    ),
    "Minutes": st.column_config.NumberColumn(format="%.1f", width=NARROW_PX),
}


def show() -> None:
    """Show the chosen study; nothing where there is none."""
    roots = {root.name: root for root in list_studies(frame.state_dir())}
    if not roots:
        return
    with st.container(border=True, gap="medium", key="study_panel"):
        root = _chosen(roots)
        found = study_results.read(root)
        if found is None:
            return
        derived = derive_state(RunReader(root))
        study_controls.head(root, derived, _summary(found))
        with st.container(horizontal=True):
            study_controls.buttons(root, derived, is_over=found.is_over)
            export.export_button(root, "study", export_study, not derived.is_active)
            if not frame.is_read_only() and _duplicate_best(found):
                st.switch_page("pages/train.py", query_params={})
        if not found.results:
            st.markdown("No trial has begun yet.")
            return
        _table(found)
        _figures(found)


def _chosen(roots: dict[str, Path]) -> Path:
    names = sorted(roots, key=lambda name: -_changed_at(roots[name]))
    if len(names) == 1:
        return roots[names[0]]
    return roots[st.selectbox("Study", names, key="study_chosen", width=280)]


def _changed_at(root: Path) -> float:
    status = StudyPaths(root).run.status
    return status.stat().st_mtime if status.exists() else 0.0


def _summary(found: StudyResults) -> str:
    """Describe the study in one sentence."""
    study, over = found.study, [one for one in found.trials if one.state != "running"]
    what = "search with Optuna" if study.search else "grid" if study.grid else "same settings"
    pruned = sum(trial.state == "pruned" for trial in over)
    text = f"{words.capital(what)}: {len(over)} of {study.num_trials} "
    text += "trial done" if study.num_trials == 1 else "trials done"
    text += f", {pruned} of them pruned" if pruned else ""
    seeds = words.enumeration(map(str, study.seeds))
    text += f"; seed{'s' * (len(study.seeds) > 1)} {seeds} with {study.base.folds.count} folds"
    text += " each." if len(study.seeds) > 1 else "."
    if found.best is not None:
        text += f" Best: trial {found.best.number} with {words.score(found.best.value)}."
    return text


def _duplicate_best(found: StudyResults) -> bool:
    if found.best is None:
        return False
    name = run_names(found.study, found.best.number)[0]
    run_file = readers.run_file(RunReader(StudyPaths(found.root).state_dir / name), [])
    return controls.duplicate_button(run_file, "Duplicate the best trial", "duplicate_best")


def _table(found: StudyResults) -> None:
    complete = [result.trial.number for result in found.results if found.is_complete(result)]
    baseline = complete[0] if complete else 0
    if len(complete) > 1:
        baseline = st.selectbox(
            "Baseline",
            complete,
            key=f"study_baseline_{found.study.name}",
            format_func=lambda number: f"Trial {number}",
            width=280,
        )
    table = study_results.trial_table(found, baseline)
    note = "A trial is one combination of settings, trained with every seed. "
    if "Difference" in table.columns:
        note += f"Difference: mean minus that of trial {baseline}, on the same folds. "
    if "From" in table.columns:
        note += study_results.describe_intervals(found)
    columns = COLUMNS | _setting_columns(table.select(found.study.names))
    panels.table("Trials", table, "study_trials", columns, note)
    reasons = {trial.number: trial.reason for trial in found.trials if trial.reason}
    if reasons:
        with st.expander("Why trials ended early", icon=":material/content_cut:"):
            for number, reason in reasons.items():
                st.markdown(frame.escape(f"Trial {number}: {reason}."))


def _setting_columns(table: pl.DataFrame) -> dict[str, Any]:
    """Return columns with the last part of each name, where no two settings share it."""
    parts = [name.rpartition(".")[2] for name in table.columns]
    labels = parts if len(set(parts)) == len(parts) else table.columns
    return {
        column.name: st.column_config.NumberColumn(label, format="%.4g", help=column.name)
        if column.dtype.is_float()
        else st.column_config.Column(label, help=column.name)
        for column, label in zip(table, labels, strict=True)
    }


def _figures(found: StudyResults) -> None:
    if len(found.results) > 1:
        history = study_results.history(found)
        note = "A pruned trial was stopped early: its mean is over the folds that were done."
        is_noted = any(trial.state == "pruned" for trial in found.trials)
        panels.chart(
            "Mean score of each trial",
            study_figures.history_figure(history),
            history,
            "study_history",
            note if is_noted else "",
        )
    complete = [trial for trial in found.trials if trial.value is not None]
    if len(complete) > 2 and found.study.names:
        settings = [
            {name: trial.settings.get(name, "") for name in found.study.names} for trial in complete
        ]
        figure = study_figures.parallel_figure(
            settings,
            [trial.value for trial in complete if trial.value is not None],
            found.study.search,
        )
        table = study_results.trial_table(found, complete[0].number)
        note = "One line per complete trial. Drag along an axis to highlight a range."
        panels.chart("Settings and score", figure, table, "study_parallel", note)
    if found.study.search:
        _importance(found)


def _importance(found: StudyResults) -> None:
    problem = study_results.importance_problem(found)
    if problem:
        st.caption(frame.escape(f"Importance of the settings is not shown: {problem}."))
        return
    shares = study_results.importance(found)
    note = "Functional ANOVA of a random forest on the complete trials (Optuna's fANOVA)."
    panels.chart(
        "Importance of the settings",
        study_figures.importance_figure(shares),
        shares,
        "study_importance",
        note,
    )
