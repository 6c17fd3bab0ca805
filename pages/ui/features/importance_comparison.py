"""Importance of the features of one run against another run's.

In: a run, its importance table, the measure ("gain" or "split"). Out: elements on the page.
"""

from __future__ import annotations

import polars as pl
import streamlit as st

from pages.ui.features import feature_figures, importance, importance_ranks
from pages.ui.shared import frame, panels, readers
from trainer.store.reader import RunReader

SMALL_GAP = 1.0  # percent of all importance
_DRAW = {"Share": feature_figures.share_pair_figure, "Rank": feature_figures.rank_pair_figure}


def show(run: RunReader, table: pl.DataFrame, measure: str) -> None:
    """Show the most important features of this run with their importance in another one."""
    others = [
        name
        for name in frame.run_names()
        if name != run.name and RunReader(frame.state_dir() / name).paths.importance.exists()
    ]
    if not others:
        frame.empty_state(
            "No other run to compare with",
            "Another run can be chosen here once its feature importance is complete.",
            "pages/train.py",
            "Start a run",
        )
        return
    line = st.container(horizontal=True, vertical_alignment="bottom")
    other = line.selectbox("Other run", others, key="features_other")
    what = line.segmented_control(
        "Compare", list(_DRAW), default="Share", required=True, key="features_compare"
    )
    there = readers.importance(RunReader(frame.state_dir() / other))
    problem = "Its file is damaged" if there is None else importance.check_columns(there)
    if there is None or problem:
        st.error(
            f"The importance of {frame.escape(other)} cannot be shown. {frame.escape(problem)}."
        )
        return
    left, right = st.columns([3, 2], gap="large")
    with left:
        _compare_features(table, there, measure, (run.name, other), what)
    with right:
        _compare_sensors(table, there, measure, (run.name, other))


def _compare_features(
    table: pl.DataFrame, there: pl.DataFrame, measure: str, names: tuple[str, str], what: str
) -> None:
    compared = importance_ranks.compare(table, there, measure)
    agreement = importance_ranks.run_agreement(compared, importance_ranks.NUM_TOP)
    note = f"Mean {measure} over the folds, ordered by rank in {names[0]}."
    if agreement.correlation is not None:
        note += f" Rank correlation over the features of both runs: {agreement.correlation:.2f}."
    panels.chart(
        f"{names[0]} and {names[1]} share {agreement.num_shared} of their top {agreement.num_top} "
        "features",
        _DRAW[what](compared.head(importance_ranks.NUM_TOP), "feature", *names),
        compared,
        "against_another_run",
        note,
    )


def _compare_sensors(
    table: pl.DataFrame, there: pl.DataFrame, measure: str, names: tuple[str, str]
) -> None:
    here_sums, there_sums = (
        importance.summed_by(importance.named_parts(rows), "sensor", measure)
        for rows in (table, there)
    )
    sums = importance_ranks.compare_sums(here_sums, there_sums, "sensor").filter(
        (pl.col("share_here") > 0) | (pl.col("share_there") > 0)
    )
    if sums.is_empty():
        return  # no run uses any feature
    gap = sums.with_columns(gap=(pl.col("share_here") - pl.col("share_there")).abs())
    widest = gap.sort("gap", descending=True).row(0, named=True)
    title = f"The share of {widest['sensor']} differs most between the runs"
    if widest["gap"] < SMALL_GAP:
        title = "Every sensor has nearly the same share in both runs"
    panels.chart(
        title,
        feature_figures.share_pair_figure(sums, "sensor", *names),
        sums,
        "sensors_against_another_run",
        f"{widest['sensor']}: {widest['share_here']:.0f} % of all {measure} in {names[0]}, "
        f"{widest['share_there']:.0f} % in {names[1]}. Sensors that neither run uses are left out.",
    )
