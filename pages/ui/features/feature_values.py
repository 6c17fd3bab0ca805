"""Values of one feature, gesture by gesture.

In: a run, its importance table, the measure ("gain" or "split"). Out: elements on the page.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
import streamlit as st

from pages.ui.features import importance
from pages.ui.shared import distributions, frame, panels, readers
from pages.ui.shared.readers import Version
from trainer.store.checksums import CheckedFolder
from trainer.store.reader import RunReader
from trainer.store.records import RunFile
from trainer.store.tables.feature_cache import FeatureCache, load_features

MAX_CACHES = 1  # one matrix at a time: 100 MB at the competition's size
_ROWS, _FEATURE = "features_rows", "features_feature"  # the table; the box that it fills


def show(run: RunReader, run_file: RunFile | None, table: pl.DataFrame, measure: str) -> None:
    """Show the table of all features and, of the chosen one, its values by gesture."""
    ordered = table.sort(f"{measure}_mean", descending=True, maintain_order=True)
    left, right = st.columns(2, gap="large")
    with left:
        _choose(ordered, measure)
    with right:
        feature = st.selectbox("Feature", ordered["feature"].to_list(), key=_FEATURE)
        cache = _cache(readers.version(run.paths.features), run)
        if isinstance(cache, str):
            frame.empty_state(
                "The values of the features are not available",
                f"train_features.joblib: {cache}. Resume computes it again.",
                "pages/train.py",
                "See the run",
            )
        elif feature not in cache.names or run_file is None:
            frame.empty_state(
                "The values of this feature are not available",
                "The feature cache does not contain it.",
            )
        else:
            _show_boxes(feature, cache, run_file.labels.gestures)


def _choose(ordered: pl.DataFrame, measure: str) -> None:
    search = st.text_input(
        "Search", key="features_table_search", placeholder="part of a name"
    ).strip()
    listed = importance.with_meanings(importance.search_features(ordered, search))
    panels.head(
        f"{len(listed):,} features: select a row to see its values",
        listed,
        "all_features",
        "Importance: mean and standard deviation over the folds. Click a column to sort by it.",
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
            "gain_std": number("Gain, std", format="%.2f"),
            "split_mean": number("Splits, mean", format="%.2f"),
            "split_std": number("Splits, std", format="%.2f"),
            "meaning": st.column_config.TextColumn("Meaning", width="large"),
        },
        height=420,
        alt="Importance of every feature, mean and standard deviation over the folds",
        placeholder="",
    )


def _pick(listed: pl.Series) -> None:
    rows = st.session_state[_ROWS]["selection"]["rows"]
    if rows and rows[0] < len(listed):
        st.session_state[_FEATURE] = listed[rows[0]]


def _show_boxes(feature: str, cache: FeatureCache, gestures: Sequence[str]) -> None:
    values_N = cache.values_NF[:, cache.names.index(feature)]
    boxes = distributions.by_gesture(values_N, cache.label_idx, gestures)
    share = distributions.explained_share(values_N, cache.label_idx)
    num_missing = boxes["missing"].sum()
    panels.chart(
        f"The gesture explains {100 * share:.0f} % of the variance in the ranks of {feature}",
        distributions.box_figure(boxes, "Value of the feature"),
        boxes,
        "by_gesture",
        f"{importance.sentence(feature)} {distributions.describe(boxes)} "
        "Box: 25th to 75th percentile of the sequences; whiskers: 5th to 95th."
        + (f" Missing in {num_missing:,} sequences." if num_missing else ""),
    )


@st.cache_resource(max_entries=MAX_CACHES, show_spinner="Reading the features")
def _cache(version: Version, _reader: RunReader) -> FeatureCache | str:
    """Return the feature cache, or why it cannot be used; never change it in place."""
    return load_features(CheckedFolder(_reader.root)) if version else "it does not exist yet"
