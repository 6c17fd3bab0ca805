"""Comparison panels: two or more runs side by side on the page.

In: summaries of the runs, in the order they were chosen. Out: differing settings, scores, paired
differences by fold, overlaid curves; each with its CSV.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
import streamlit as st

from pages.ui.runs import charts_compare, comparison
from pages.ui.runs.comparison import PairedDifference
from pages.ui.runs.run_table import RunSummary, models_of
from pages.ui.shared import charts, curves, frame, panels, readers, words
from trainer.models import registry

SCORE = st.column_config.NumberColumn(format="%.3f", width="small")
TEXT = st.column_config.TextColumn(width="medium")
DIFFERENCE = st.column_config.NumberColumn(format="%+.3f", width="small")
NO_SCORES = ("Model", "Run", "Recordings", "Optimistic", "Folds")  # columns without scores
ALL_SETTINGS = "compare_all_settings"  # key of the switch below the table
NOISE_NOTE = (
    "Line: 95 % interval of the mean (corrected resampled t-test, Nadeau and Bengio 2003). It "
    "covers the noise between folds, not that of the seed: another seed changes the mean too."
)


def show(found: Sequence[RunSummary]) -> None:
    """Show the runs side by side."""
    with st.container(border=True):
        _settings(found)
        _scores(found)
        _differences(found)
        _curves(found)


def _settings(found: Sequence[RunSummary]) -> None:
    is_whole = bool(st.session_state.get(ALL_SETTINGS))
    table = comparison.settings_table(found, is_whole)
    unknown = [summary.name for summary in found if not summary.settings]
    if unknown:
        st.caption(frame.escape(f"The settings of {', '.join(unknown)} cannot be read."))
    if table.is_empty():
        st.markdown("**Settings that differ**")
        st.markdown("None: these runs have the same settings.")
    else:
        title = "All settings" if is_whole else "Settings that differ"
        columns = {"Setting": st.column_config.TextColumn(pinned=True)}
        panels.table(title, table, "compare_settings", columns)
    st.toggle("All settings", key=ALL_SETTINGS, persist_state="session")


def _scores(found: Sequence[RunSummary]) -> None:
    table = comparison.score_table(found)
    if table.is_empty():
        st.markdown("**Scores**")
        st.markdown("None of these runs has a score yet: that needs a finished fold.")
        return
    numbers = [name for name in table.columns if name not in NO_SCORES]
    shown = table.select(column for column in table if column.null_count() < len(column))
    columns = dict.fromkeys(numbers, SCORE) | {"Optimistic": TEXT}
    panels.table("Scores by model, 0 to 1", shown, "compare_scores", columns)


def _differences(found: Sequence[RunSummary]) -> None:
    models = comparison.shared_models(found)
    if not models:
        return
    st.markdown("**Difference, fold by fold**")
    with st.container(horizontal=True):
        names = [summary.name for summary in found]
        first_name = st.selectbox("Compared with", names, key="compare_first", width=280)
        model = st.segmented_control(
            "Model",
            models,
            default=models[0],
            required=True,
            format_func=registry.title,
            key="compare_model",
        )
    first = next(summary for summary in found if summary.name == first_name)
    others = [summary for summary in found if summary is not first]
    pairs = [pair for other in others if (pair := _pair(first, other, model)) is not None]
    for pair in pairs:
        st.markdown(f":material/{_direction(pair)}: {frame.escape(comparison.describe(pair))}")
    if pairs:
        _difference_panel(first, pairs, model)


def _pair(first: RunSummary, other: RunSummary, model: str) -> PairedDifference | None:
    """Return the paired difference, or show why there is none."""
    name = frame.escape(other.name)
    reason = comparison.why_not_comparable(first.run, other.run)
    if reason:
        st.markdown(
            f":material/block: {name} cannot be paired with {frame.escape(first.name)}: {reason}."
        )
        return None
    pair = comparison.paired_difference(first, other, model)
    if pair is None:
        st.markdown(
            f":material/hourglass_empty: {name} and {frame.escape(first.name)} have no finished "
            f"fold of {registry.title(model)} in common."
        )
    return pair


def _direction(pair: PairedDifference) -> str:
    """Return the icon of a difference; the sentence beside it has the same meaning."""
    if not pair.is_more_than_noise:
        return "trending_flat"
    return "trending_up" if pair.mean > 0 else "trending_down"


def _difference_panel(first: RunSummary, pairs: Sequence[PairedDifference], model: str) -> None:
    table = comparison.difference_table(pairs)
    title = f"{registry.title(model)}: score of each fold minus that of {first.name}"
    figure = charts_compare.difference_chart(pairs)
    panels.altair_chart(title, figure, table, "compare_folds", NOISE_NOTE)
    with st.expander("As a table", icon=":material/table:"):
        columns = dict.fromkeys((first.name, "Its score"), SCORE) | {"Difference": DIFFERENCE}
        st.dataframe(table, hide_index=True, column_config=columns, alt=title)


def _curves(found: Sequence[RunSummary]) -> None:
    st.markdown("**Curves**")
    curve = charts.CURVES[curves.pick("compare_curve")]
    points_of = [(summary.name, readers.curves(summary.run)) for summary in found]
    models = models_of(found)
    for place, model in zip(curves.columns(len(models)), models, strict=False):
        points = charts_compare.overlaid_points(points_of, model, curve.column)
        with place:
            if points.is_empty():
                st.markdown(f"**{registry.title(model)}**")
                st.caption(f"No {words.step_title(model)} has been scored yet.")
                continue
            _curve_panel(points, curve, model, [summary.name for summary in found])


def _curve_panel(
    points: pl.DataFrame, curve: charts.Curve, model: str, names: Sequence[str]
) -> None:
    step_title = words.step_title(model)
    figure = charts_compare.overlaid_chart(points, curve, step_title, names)
    title = f"{registry.title(model)}: {curve.title.partition(' (')[0].lower()} by {step_title}"
    note = "Thick: mean of all folds. Thin: each fold."
    panels.altair_chart(title, figure, points, f"compare_curve_{model}", note)
