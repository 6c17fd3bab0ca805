"""Features: which of them LightGBM relies on, how sure that is, and what they look like.

In: feature_importance.csv of the run that is looked at (or of its finished folds, while others are
still trained), its feature cache, another run's importance. Out: the page.
"""

import polars as pl
import streamlit as st

from pages.ui.features import charts_features, feature_files, feature_views, ranks
from pages.ui.shared import charts_results, frame, importance, live, panels, readers

MEASURES = {
    "gain": "Gain: how much the splits on a feature lower the loss",
    "split": "Split: how often a feature is split on",
}
UNITS = {"gain": "Gain, sum over the trees of a fold", "split": "Splits in the trees of a fold"}
SUMS = ("sensor", "signal", "statistic")
SHOWN, FOLDS, PIXELS, GESTURES, OTHER_RUN = VIEWS = (
    "Importance",
    "Over the folds",
    "Pixels",
    "By gesture",
    "Against another run",
)


frame.open_page("Features", "What LightGBM relies on; names say sensor, signal and statistic.")
run = frame.current_run()
live.follow(run)
if run is None:
    frame.empty_state(
        "No runs yet",
        "Start one; LightGBM's feature importance appears with its first finished fold.",
        "pages/train.py",
        "Start a run",
    )
    st.stop()

run_file = readers.run_file(run)
if run_file is None and run.paths.has_config:
    st.stop()  # damaged, and named above
if run_file is not None and "lgbm" not in run_file.models:
    frame.empty_state(
        "This run has no LightGBM",
        "It trains the network only, which has no feature importance. Start a run with both "
        "models to see it.",
        "pages/train.py",
        "Start a run",
    )
    st.stop()

table = readers.importance(run)
problem = "" if table is None else importance.check_columns(table)
if problem:
    st.error(f"The recorded feature importance cannot be shown. {problem}.")
if table is None or problem:
    so_far = feature_files.importance_so_far(run)
    readers.show_problems(list(so_far.problems))
    table = so_far.table
    if table is None and run.paths.importance.exists():
        st.stop()  # damaged, and named above
    if table is None:
        frame.empty_state(
            "No feature importance yet",
            "It appears with LightGBM's first finished fold"
            + (f"; none of {so_far.num_folds} is readable yet." if so_far.num_folds else "."),
            "pages/train.py",
            "See the progress",
        )
        st.stop()
    st.info(
        f"From {so_far.num_done} of {so_far.num_folds} folds of LightGBM: the numbers move until "
        "all are done.",
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
agreement = ranks.fold_agreement(table, measure, ranks.NUM_FIRST)
num_folds = len(ranks.fold_columns(table, measure))
cards = st.grid(columns=4, min_column_width=150)
cards.metric("Features", f"{len(table):,}", border=True, height="stretch")
cards.metric(
    "Used by a fold",
    f"{int((table[f'{measure}_mean'] > 0).sum()):,}",
    border=True,
    height="stretch",
    help="Features that at least one fold splits on.",
)
if len(by_sensor):
    first = by_sensor.row(0, named=True)
    cards.metric(
        "Top sensor",
        f"{first['sensor']}: {first['share']:.0f} %",
        border=True,
        height="stretch",
        help=f"Its share of all {measure}.",
    )
if agreement.correlation is not None:
    cards.metric(
        "Folds agree",
        f"{agreement.correlation:.2f}",
        border=True,
        height="stretch",
        help="Mean rank correlation between the folds: 1 is the same order, 0 has nothing in "
        "common.",
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
            share = 100 * top["mean"].sum() / (table[f"{measure}_mean"].sum() or 1.0)
            panels.chart(
                f"The {len(top)} most important features"
                + (f" with {search} in the name" if search else "")
                + f" have {share:.0f} % of all {measure}",
                charts_results.importance_figure(top, UNITS[measure]),
                top,
                "top_features",
                f"Bars are means over {num_folds} folds, lines the spread (one standard deviation)."
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
                "Nothing to compare yet",
                "How stable the order is shows from the second finished fold of LightGBM on.",
                "pages/train.py",
                "See the progress",
            )
        else:
            fold_ranks = ranks.fold_ranks(table, measure, ranks.NUM_FIRST)
            panels.chart(
                f"All folds share {agreement.num_shared} of their first {agreement.num_first} "
                "features",
                charts_features.rank_figure(fold_ranks),
                fold_ranks,
                "fold_ranks",
                "Rank of the features that are the most important on average; the stronger the "
                "colour, the nearer to rank 1; a dash: the fold does not use it. A feature whose "
                "rank jumps about is weak evidence: another that says the same can take its place.",
            )

if pixels.open:
    with pixels:
        grids = importance.grids(table, readers.grid_map(run), measure)
        if not grids:
            has_tof = run_file is None or "tof" in run_file.recordings.groups
            frame.empty_state(
                "No importance by pixel",
                "The feature cache, which knows where the features lie on the grids, cannot be "
                "read. Resume makes it again."
                if has_tof
                else "The recordings of this run have no time-of-flight sensors.",
            )
        else:
            total = sum(float(grid.sum()) for grid in grids.values()) or 1.0
            highest = max(float(grid.max()) for grid in grids.values()) or 1.0
            st.caption(
                f"Sum of {measure} over the features of a region of the grid, shared out evenly "
                "among its pixels; the titles have each sensor's share of it. One scale for all "
                f"sensors: full colour is {highest:.3g}. Row 0 is the top of the image."
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
        feature_views.show_by_gesture(run, run_file, table, measure)

if other_run.open:
    with other_run:
        feature_views.show_against_another_run(run, table, measure)
