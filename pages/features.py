"""Features: which of them a model relies on, how stable that is, and their values.

In: feature_importance.csv of the run that is looked at (or of its finished folds, while others are
still trained), its feature cache, another run's importance. Out: the page.
"""

import polars as pl
import streamlit as st

from pages.ui.features import (
    feature_figures,
    feature_values,
    fold_importance,
    importance,
    importance_comparison,
    importance_ranks,
)
from pages.ui.shared import charts_results, frame, live, panels, readers, words
from trainer.models import registry

MEASURES = {
    "gain": "Gain: total reduction of the loss by the splits on a feature.",
    "split": "Split: number of splits on a feature.",
}
UNITS = {"gain": "Gain, sum over the trees of a fold", "split": "Splits in the trees of a fold"}
SUMS = ("sensor", "signal", "statistic")
VIEWS = ("Importance", "Stability", "Pixels", "By gesture", "Other run")


frame.open_page("Features", "Importance of each feature, named sensor.signal.statistic.")
run = frame.current_run()
live.follow(run)
if run is None:
    frame.empty_state(
        "No runs yet",
        "Start a run; the importance of its features appears with the first finished fold.",
        "pages/train.py",
        "Start a run",
    )
    st.stop()

run_file = readers.run_file(run)
if run_file is None and run.paths.has_config:
    st.stop()  # damaged, and named above
models = registry.all_models() if run_file is None else registry.select(run_file.models)
model = next((model for model in models if model.has_importance), None)
if model is None:
    capable = " or ".join(model.title for model in registry.all_models() if model.has_importance)
    frame.empty_state(
        "This run has no feature importance",
        f"None of its models ({', '.join(model.title for model in models)}) reports it. Start a "
        f"run with {capable} to see it."
        + "".join(
            f" {words.capital(text)}."
            for text in registry.describe_left_out({} if run_file is None else run_file.left_out)
        ),
        "pages/train.py",
        "Start a run",
    )
    st.stop()

table = readers.importance(run)
problem = "" if table is None else importance.check_columns(table)
if problem:
    st.error(f"The recorded feature importance cannot be shown. {frame.escape(problem)}.")
if table is None or problem:
    so_far = fold_importance.read(run, model)
    readers.show_problems(list(so_far.problems))
    table = so_far.table
    if table is None and run.paths.importance.exists():
        st.stop()  # damaged, and named above
    if table is None:
        frame.empty_state(
            "No feature importance yet",
            f"It appears with the first finished fold of {model.phrase}"
            + (f"; none of {so_far.num_folds} is readable yet." if so_far.num_folds else "."),
            "pages/train.py",
            "See the progress",
        )
        st.stop()
    st.info(
        f"From {so_far.num_done} of {so_far.num_folds} folds of {model.phrase}; the numbers change "
        "until all folds are done.",
        icon=":material/hourglass_top:",
    )

measure = st.segmented_control(
    "Importance by",
    list(MEASURES),
    default="gain",
    required=True,
    key="features_measure",
    format_func=str.capitalize,
    help="  \n".join(MEASURES.values()),
)
parts = importance.named_parts(table)
by_sensor = importance.summed_by(parts, "sensor", measure)
agreement = importance_ranks.fold_agreement(table, measure, importance_ranks.NUM_TOP)
num_folds = len(importance_ranks.fold_columns(table, measure))
cards = st.grid(columns=4, min_column_width=150)
cards.metric("Features", f"{len(table):,}", border=True, height="stretch")
cards.metric(
    "Used features",
    f"{int((table[f'{measure}_mean'] > 0).sum()):,}",
    border=True,
    height="stretch",
    help=f"Features that {model.phrase} splits on in at least one fold.",
)
if len(by_sensor):
    first = by_sensor.row(0, named=True)
    cards.metric(
        "Top sensor",
        frame.escape(f"{first['sensor']}: {first['share']:.0f} %"),
        border=True,
        height="stretch",
        help=f"The sensor with the largest share of all {measure}.",
    )
if agreement.correlation is not None:
    cards.metric(
        "Fold agreement",
        f"{agreement.correlation:.2f}",
        border=True,
        height="stretch",
        help="Mean Spearman rank correlation between the folds: 1 is the same ranking, 0 is "
        "unrelated rankings.",
    )

shown, folds, pixels, gestures, other_run = st.tabs(
    VIEWS, key="features_view", on_change="rerun"
)  # only the open one runs

if shown.open:
    left, right = shown.columns([3, 2], gap="large")
    with left:
        line = st.container(horizontal=True, vertical_alignment="bottom")
        search = line.text_input(
            "Search",
            key="features_search",
            placeholder="part of a name, such as linear or tof_3",
        ).strip()
        limit = line.selectbox("Show", [10, 20, 40, 80], index=1, key="features_limit", width=110)
        top = importance.with_meanings(importance.top_features(table, measure, search, limit))
        if top.is_empty():
            frame.empty_state("No feature has that in its name", f"Searched for: {search}")
        else:
            total = float(table[f"{measure}_mean"].sum()) or 1.0
            share = 100 * float(top["mean"].sum()) / total
            panels.chart(
                f"The {len(top)} most important features"
                + (f" with {search} in the name" if search else "")
                + f" have {share:.0f} % of all {measure}",
                charts_results.importance_figure(top, UNITS[measure]),
                top,
                "top_features",
                f"Bars: mean over {num_folds} folds of {model.phrase}; lines: one standard "
                "deviation."
                if num_folds
                else "",
            )
    with right:
        column = st.segmented_control(
            "Summed by",
            SUMS,
            default="sensor",
            required=True,
            key="features_sum",
            format_func=str.capitalize,
        )
        sums = importance.summed_by(parts, column, measure)
        panels.chart(
            f"{sums[column][0]} has {sums['share'][0]:.0f} % of all {measure}"
            + (" (the 25 largest)" if len(sums) > 25 else ""),
            charts_results.share_figure(sums.head(25), column, f"Share of all {measure}, %"),
            sums,
            f"by_{column}",
        )

if folds.open:
    with folds:
        if num_folds < 2:
            frame.empty_state(
                "Stability needs two folds",
                f"The ranks of the folds are compared here once two folds of {model.phrase} are "
                "done.",
                "pages/train.py",
                "See the progress",
            )
        else:
            fold_ranks = importance_ranks.fold_ranks(table, measure, importance_ranks.NUM_TOP)
            panels.chart(
                f"All folds share {agreement.num_shared} of their top {agreement.num_top} features",
                feature_figures.rank_figure(fold_ranks),
                fold_ranks,
                "fold_ranks",
                "Rank in each fold of the features with the highest mean importance: the stronger "
                "the colour, the closer to rank 1; a dash means that the fold does not use the "
                "feature. Where the ranks of a feature differ widely, a correlated feature can "
                "take its place, so its importance is weak evidence.",
            )

if pixels.open:
    with pixels:
        grids = importance.grids(table, readers.grid_map(run), measure)
        if not grids:
            has_tof = run_file is None or "tof" in run_file.recordings.groups
            frame.empty_state(
                "No importance by pixel",
                "The feature cache, which records where each feature lies on the grid, cannot be "
                "read. Resume computes it again."
                if has_tof
                else "The recordings of this run have no time-of-flight sensors.",
            )
        else:
            total = sum(float(grid.sum()) for grid in grids.values()) or 1.0
            highest = max(float(grid.max()) for grid in grids.values()) or 1.0
            st.caption(
                f"The {measure} of each feature is divided evenly among the pixels that it is "
                "computed from. Titles show the share of each sensor. The colour scale is the same "
                f"for all sensors, from 0 to {highest:.3g}. Row 0 is the top row of the grid."
            )
            cells = st.grid(columns=5, min_column_width=170)
            for sensor, grid_88 in grids.items():
                with cells.container():
                    panels.chart(
                        f"{sensor}: {100 * grid_88.sum() / total:.0f} %",
                        charts_results.grid_figure(grid_88, highest),
                        pl.DataFrame(grid_88, schema=[f"column_{i}" for i in range(8)]),
                        f"grid_{sensor}",
                    )

if gestures.open:
    with gestures:
        feature_values.show(run, run_file, table, measure)

if other_run.open:
    with other_run:
        importance_comparison.show(run, table, measure)
