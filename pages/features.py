"""Features: which of them LightGBM relies on, by name, sensor, signal, statistic and pixel.

In: feature_importance.csv of the run that is looked at. Out: the page.
"""

import polars as pl
import streamlit as st

from pages.ui import charts_results, frame, importance, live, panels, readers

MEASURES = {
    "gain": "Gain: how much the splits on a feature lower the loss",
    "split": "Split: how often a feature is split on",
}
UNITS = {"gain": "Gain, sum over the trees of a fold", "split": "Splits in the trees of a fold"}
SUMS = ("sensor", "signal", "statistic")

frame.open_page("Features", "What LightGBM relies on; names say sensor, signal and statistic.")
run = frame.current_run()
live.follow(run)
if run is None:
    frame.empty_state(
        "No runs yet",
        "Start one; LightGBM's feature importance appears when its folds are done.",
        "pages/train.py",
        "Start a run",
    )
    st.stop()

run_file = readers.run_file(run)
table = readers.importance(run)
is_config_damaged = run_file is None and run.paths.config.exists()
if table is None and (is_config_damaged or run.paths.importance.exists()):
    st.stop()  # damaged, and named above
if table is None:
    if run_file is not None and "lgbm" not in run_file.models:
        frame.empty_state(
            "This run has no LightGBM",
            "It trains the network only, which has no feature "
            "importance. Start a run with both models to see it.",
            "pages/train.py",
            "Start a run",
        )
    else:
        units = [unit for unit in readers.units(run) if unit.model == "lgbm"]
        frame.empty_state(
            "No feature importance yet",
            f"It is written when all folds of LightGBM are done: {sum(u.done for u in units)} of "
            f"{len(units)} are."
            if units
            else "It is written when all folds of LightGBM are done.",
            "pages/train.py",
            "See the progress",
        )
    st.stop()
problem = importance.check_columns(table)
if problem:
    st.error(f"The feature importance cannot be shown. {problem}.")
    st.stop()

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
num_used = int((table[f"{measure}_mean"] > 0).sum())
by_sensor = importance.summed_by(parts, "sensor", measure)
cards = st.grid(columns=3, min_column_width=150)
cards.metric("Features", f"{len(table):,}", border=True)
cards.metric("Used by a fold", f"{num_used:,}", border=True)
if len(by_sensor):
    first = by_sensor.row(0, named=True)
    cards.metric(
        "Top sensor",
        f"{first['sensor']}: {first['share']:.0f} %",
        border=True,
        help=f"Its share of all {measure}.",
    )

left, right = st.columns([3, 2], gap="large")
with left:
    line = st.container(horizontal=True, vertical_alignment="bottom")
    search = line.text_input(
        "Search",
        key="features_search",
        placeholder="part of a name, such as linear or tof_3",
    )
    limit = line.selectbox("Show", [10, 20, 40, 80], index=1, key="features_limit", width=110)
    top = importance.top_features(table, measure, search.strip(), limit)
    if top.is_empty():
        frame.empty_state("No feature has that in its name", f"Searched for: {search}")
    else:
        title = f"The {len(top)} most important features"
        panels.chart(
            title + (f" with {search.strip()} in the name" if search.strip() else ""),
            charts_results.importance_figure(top, "feature", UNITS[measure]),
            top,
            "top_features",
            "Bars are means over the folds, lines the spread (one standard deviation).",
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
        f"Share of all {measure} by {column}" + (" (the 25 largest)" if len(sums) > 25 else ""),
        charts_results.share_figure(sums.head(25), column, f"Share of all {measure}, %"),
        sums,
        f"by_{column}",
    )

grids = importance.grids(table, readers.grid_map(run), measure)
if grids:
    st.subheader("Time of flight: which pixels matter", anchor=False)
    st.caption(
        f"Sum of {measure} over the features of a region of the grid, shared out evenly "
        "among its pixels; all sensors are on one scale."
    )
    highest = max(float(grid.max()) for grid in grids.values()) or 1.0
    cells = st.grid(columns=5, min_column_width=150)
    for sensor, grid_88 in grids.items():
        with cells.container():
            panels.chart(
                f"{sensor}, {measure}",
                charts_results.grid_figure(grid_88, highest),
                pl.DataFrame(grid_88, schema=[f"column_{i}" for i in range(8)]),
                f"grid_{sensor}",
            )

with st.expander("All features"):
    panels.table(
        "Importance of every feature, mean and spread over folds",
        table.sort(f"{measure}_mean", descending=True).select(*importance.COLUMNS),
        "all_features",
        {
            "feature": st.column_config.TextColumn("Feature", width="medium"),
            "sensor": "Sensor",
            "gain_mean": st.column_config.NumberColumn("Gain, mean", format="%.2f"),
            "gain_std": st.column_config.NumberColumn("Gain, spread", format="%.2f"),
            "split_mean": st.column_config.NumberColumn("Splits, mean", format="%.2f"),
            "split_std": st.column_config.NumberColumn("Splits, spread", format="%.2f"),
        },
        height=420,
    )
