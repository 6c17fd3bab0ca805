"""Feature views: one feature's values by gesture, and this run's importance against another's.

In: a run, its importance table, the measure ("gain" or "split"). Out: elements on the page.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
import streamlit as st

from pages.ui.features import charts_features, feature_files, ranks
from pages.ui.shared import distributions, frame, importance, panels, readers
from trainer.store.reader import RunReader
from trainer.store.records import RunFile

_ROWS, _FEATURE = "features_rows", "features_feature"  # the table; the box that it fills
_DRAW = {"Share": charts_features.share_pair_figure, "Rank": charts_features.rank_pair_figure}


def show_by_gesture(
    run: RunReader, run_file: RunFile | None, table: pl.DataFrame, measure: str
) -> None:
    """Show the table of all features and, of the one that is chosen, its values by gesture."""
    left, right = st.columns(2, gap="large")
    with left:
        _choose(table.sort(f"{measure}_mean", descending=True, maintain_order=True), measure)
    with right:
        names = table.sort(f"{measure}_mean", descending=True, maintain_order=True)["feature"]
        feature = st.selectbox("Feature", names.to_list(), key=_FEATURE)
        cache = feature_files.feature_cache(run)
        if isinstance(cache, str):
            frame.empty_state(
                "Its values are not here",
                f"train_features.joblib: {cache}. Resume makes it again.",
                "pages/train.py",
                "See the run",
            )
        elif feature not in cache.names or run_file is None:
            frame.empty_state(
                "Its values are not here", "The feature cache does not know this feature."
            )
        else:
            _show_boxes(feature, cache, run_file.labels.gestures)


def show_against_another_run(run: RunReader, table: pl.DataFrame, measure: str) -> None:
    """Show the most important features of this run and their place in another one."""
    others = [
        name
        for name in frame.run_names()
        if name != run.name and RunReader(frame.state_dir() / name).paths.importance.exists()
    ]
    if not others:
        frame.empty_state(
            "No other run to compare with",
            "Another run appears here as soon as all its LightGBM folds are done.",
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
    problem = "It is damaged" if there is None else importance.check_columns(there)
    if there is None or problem:
        st.error(f"The importance of {frame.escape(other)} cannot be shown. {problem}.")
        return
    left, right = st.columns([3, 2], gap="large")
    with left:
        _compare_features(table, there, measure, (run.name, other), what)
    with right:
        _compare_sensors(table, there, measure, (run.name, other))


def _choose(ordered: pl.DataFrame, measure: str) -> None:
    search = st.text_input(
        "Search", key="features_table_search", placeholder="part of a name"
    ).strip()
    listed = importance.with_meanings(importance.search_features(ordered, search))
    panels.head(
        f"{len(listed):,} features: select a row to see one",
        listed,
        "all_features",
        "Mean and spread over the folds; sort by any column.",
    )
    number = st.column_config.NumberColumn
    st.dataframe(
        listed.select(
            "feature", *sorted(importance.COLUMNS[2:], reverse=measure == "split"), "meaning"
        ),
        hide_index=True,
        key=_ROWS,
        on_select=lambda: _pick(listed["feature"]),
        selection_mode="single-row",
        column_config={
            "feature": st.column_config.TextColumn("Feature", width="medium"),
            "gain_mean": number("Gain, mean", format="%.2f"),
            "gain_std": number("Gain, spread", format="%.2f"),
            "split_mean": number("Splits, mean", format="%.2f"),
            "split_std": number("Splits, spread", format="%.2f"),
            "meaning": st.column_config.TextColumn("What it is", width="large"),
        },
        height=420,
        alt="Importance of every feature, mean and spread over folds",
        placeholder="",
    )


def _pick(listed: pl.Series) -> None:
    """Look at the feature whose row was selected."""
    rows = st.session_state[_ROWS]["selection"]["rows"]
    if rows and rows[0] < len(listed):
        st.session_state[_FEATURE] = listed[rows[0]]


def _show_boxes(feature: str, cache: feature_files.FeatureCache, gestures: Sequence[str]) -> None:
    values_N = cache.values_NF[:, cache.names.index(feature)]
    boxes = distributions.by_gesture(values_N, cache.label_idx, gestures)
    share = distributions.explained_share(values_N, cache.label_idx)
    num_missing = boxes["missing"].sum()
    panels.chart(
        f"Gestures account for {100 * share:.0f} % of the order of {feature}",
        charts_features.box_figure(boxes, "Its value, one per sequence"),
        boxes,
        "by_gesture",
        f"{importance.sentence(feature)} {distributions.describe(boxes)} Box: the middle half of "
        "the sequences; whiskers: the middle nine tenths."
        + (f" Missing in {num_missing:,} sequences." if num_missing else ""),
    )


def _compare_features(
    table: pl.DataFrame, there: pl.DataFrame, measure: str, names: tuple[str, str], what: str
) -> None:
    compared = ranks.compare(table, there, measure)
    alike = ranks.run_agreement(compared, ranks.NUM_FIRST)
    note = f"Mean {measure} over the folds, in the order of {names[0]}."
    if alike.correlation is not None:
        note += f" Rank correlation over the features of both: {alike.correlation:.2f}."
    panels.chart(
        f"{names[0]} and {names[1]} share {alike.num_shared} of their first {alike.num_first} "
        "features",
        _DRAW[what](compared.head(ranks.NUM_FIRST), "feature", *names),
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
    sums = ranks.compare_sums(here_sums, there_sums, "sensor").filter(
        (pl.col("share_here") > 0) | (pl.col("share_there") > 0)
    )
    if sums.is_empty():
        return  # neither run uses any feature
    gap = sums.with_columns(gap=(pl.col("share_here") - pl.col("share_there")).abs())
    widest = gap.sort("gap", descending=True).row(0, named=True)
    panels.chart(
        f"The runs differ most in {widest['sensor']}",
        charts_features.share_pair_figure(sums, "sensor", *names),
        sums,
        "sensors_against_another_run",
        f"It has {widest['share_here']:.0f} % of all {measure} in {names[0]}, "
        f"{widest['share_there']:.0f} % in {names[1]}. Sensors that neither uses are left out.",
    )
