"""Explanations on the page: contributions, what if, nearest training sequences.

In: one sequence with its prediction. Out: elements on the page. A click on a contribution and the
list below both select a feature, which is marked on the traces.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import polars as pl
import streamlit as st

from pages.ui.predict import charts_prediction, explanations, predictions, trace_panels
from pages.ui.shared import frame, panels, source, words
from pages.ui.shared.charts_results import wrap
from trainer.models import registry

if TYPE_CHECKING:
    from pages.ui.predict.predictions import Selected
    from trainer.data.sequences import Sequences
    from trainer.explain.contributions import Contribution, Contributions
    from trainer.explain.nearest import Neighbour
    from trainer.store.records import RunFile


T = TypeVar("T")

NUM_FEATURES = 12
NUM_SHARES = 101  # points of an overlaid line: percent of each recording's length
FEATURE, CHART = "predict_feature", "predict_contributions"
NOTHING = "Nothing"
DIFFERENCE = "Difference of raw scores"


def why(selected: Selected) -> None:
    """Show contributions and occlusion, and mark a feature on the traces."""
    found = _or_message(explanations.contributions, selected)
    feature = None
    if found is not None:
        features = found.by_feature()
        gestures = selected.prediction.gestures
        pair = f"{gestures[found.gesture]}, compared with {gestures[found.other]}"
        left, right = st.columns(2, gap="large")
        with left:
            _features(found, features[:NUM_FEATURES], pair)
        with right:
            _sensors(found, pair)
        feature = _choose_feature(features)
    place = None if feature is None else explanations.place(selected, feature)
    is_image = place is not None and place.sensor.startswith("tof")
    trace_panels.show(selected, place, with_images=is_image)
    _occlusion(selected)


def what_if(selected: Selected) -> None:
    """Show the predictions for changed copies: without a sensor, on the other hand, shortened."""
    from trainer.explain.what_if import flip_table

    outcomes = _or_message(explanations.outcomes, selected)
    if not outcomes:
        return
    rows = flip_table(selected.alone, outcomes)
    flips = rows.filter("flips")["what_if"].to_list()
    left, right = st.columns(2, gap="large")
    with left:
        panels.chart(
            f"Another gesture is predicted {' and '.join(flips)}"
            if flips
            else "The same gesture is predicted after every change",
            charts_prediction.change_figure(rows),
            rows,
            "what_if",
            f"Probability of {rows['predicted_before'][0]}, as recorded and after each change; "
            f"{rows['p_before'][0]:.3f} as recorded.",
        )
    with right:
        panels.table(
            "Prediction after each change",
            rows.select("what_if", "predicted_after", "p_after", "change", "flips"),
            "what_if_numbers",
            {
                "what_if": st.column_config.TextColumn("What if", width=140),
                "predicted_after": st.column_config.TextColumn("Predicted gesture", width=150),
                "p_after": st.column_config.NumberColumn("After", format="%.3f", width=60),
                "change": st.column_config.NumberColumn("Change", format="%+.3f", width=65),
                "flips": st.column_config.CheckboxColumn(
                    "Flips", width=50, help="Whether another gesture is predicted."
                ),
            },
            height="content",
        )


def nearest(selected: Selected, run_file: RunFile) -> None:
    """Show the nearest training sequences, and one of them together with this recording."""
    found = _or_message(explanations.neighbours, selected)
    if not found:
        return
    left, right = st.columns(2, gap="large")
    with left:
        other = _choose_neighbour(found, selected.alone.predicted[0])
    with right:
        recorded = _or_message(source.recordings, run_file)
        if recorded is not None:
            idx = np.flatnonzero(recorded.sequence_ids == other.sequence_id)[:1]
            lines = overlay_rows(selected.sequence, recorded.select(idx), other.sequence_id)
            panels.chart(
                f"This recording and {other.sequence_id}, {other.gesture}",
                charts_prediction.overlay_figure(lines),
                lines,
                "overlay",
                "Acceleration, m/s², each over its own whole length.",
            )


def contribution_rows(contributions: Sequence[Contribution]) -> pl.DataFrame:
    """Return contributions as a frame: name, meaning, value, difference, spread, added, text."""
    rows = []
    for each in contributions:
        meaning = f"{words.capital(each.meaning)}." if each.meaning else ""
        numbers = "" if np.isnan(each.value) else f"value {each.value:.4g}; "
        numbers += f"{each.difference:+.3f}, spread over folds {each.spread:.3f}"
        rows.append(
            {
                "name": each.name,
                "meaning": meaning,
                "value": each.value,
                "difference": each.difference,
                "spread": each.spread,
                "added": each.added,
                "text": f"{wrap(meaning)}<br>{numbers}" if meaning else numbers,
            }
        )
    texts = dict.fromkeys(("name", "meaning"), pl.String)
    measures = dict.fromkeys(("value", "difference", "spread", "added"), pl.Float64)
    return pl.DataFrame(rows, schema=texts | measures | {"text": pl.String})


def overlay_rows(this: Sequences, other: Sequences, name: str) -> pl.DataFrame:
    """Return the acceleration of two sequences at 101 points of each one's length.

    Returns:
        Columns axis, which ("this" or name), share (0 to 100), value.
    """
    share = np.linspace(0, 100, NUM_SHARES)
    return pl.concat(
        [
            pl.DataFrame(
                {
                    "axis": axis,
                    "which": which,
                    "share": share,
                    "value": _resample(one.acc_T3[:, number]),
                }
            )
            for number, axis in enumerate("xyz")
            for which, one in (("this", this), (name, other))
        ]
    )


def clicked_feature(points: Sequence[dict[str, Any]], names: Sequence[str]) -> str:
    """Return the feature of a click on its bar; a click next to the bars selects nothing."""
    if not points:
        return NOTHING
    row = points[0].get("point_index", -1)
    return names[row] if 0 <= row < len(names) else NOTHING


def _or_message(compute: Callable[[Any], T], subject: object) -> T | None:
    """Return the result, or show why it is not possible and return None."""
    try:
        return compute(subject)
    except (*predictions.ERRORS, source.SourceError) as error:
        st.info(frame.escape(str(error)), icon=":material/info:")
        return None


def _features(found: Contributions, features: Sequence[Contribution], pair: str) -> None:
    rows = contribution_rows(features)
    title = f"{registry.title(found.model)}: contributions to {pair}"
    with st.container(gap="xsmall"):
        panels.head(
            title,
            rows.drop("text"),
            "contributions",
            f"The {len(rows)} largest contributions. All of them and a start value sum exactly to "
            "the difference of the raw scores. Click one to mark it on the traces.",
        )
        st.plotly_chart(
            panels.without_links(charts_prediction.contribution_figure(rows, DIFFERENCE)),
            key=CHART,
            on_select=_choose_clicked(rows["name"].to_list()),
            selection_mode="points",
            config=panels.PLOTLY_CONFIG,
            alt=title,
        )


def _sensors(found: Contributions, pair: str) -> None:
    rows = contribution_rows(found.by_sensor())
    rows = rows.filter((pl.col("difference") != 0) | (pl.col("added") != 0))
    raw_M, start_M = (pair_2M[0] - pair_2M[1] for pair_2M in (found.raw_2M, found.start_2M))
    panels.chart(
        f"The same by sensor: {pair}",
        charts_prediction.contribution_figure(rows, DIFFERENCE),
        rows.drop("text", "meaning"),
        "contributions_by_sensor",
        f"Start value {start_M.mean():+.3f}, features {(raw_M - start_M).mean():+.3f}, sum "
        f"{raw_M.mean():+.3f}: the raw score of the first gesture minus that of the second"
        + (f", mean of {len(raw_M)} folds" if len(raw_M) > 1 else "")
        + ". A difference of 1 makes a gesture 2.7 times as probable.",
    )


def _choose_feature(features: Sequence[Contribution]) -> str | None:
    """Show which feature is marked, and its meaning; return it."""
    meanings = {each.name: each.meaning for each in features}
    if st.session_state.get(FEATURE, NOTHING) not in meanings:
        st.session_state[FEATURE] = NOTHING  # left over from another sequence
    chosen = st.selectbox(
        "Mark on the traces",
        [NOTHING, *meanings],
        key=FEATURE,
        help="The channel and the time window that the feature is computed from.",
    )
    if chosen == NOTHING:
        return None
    st.caption(frame.escape(f"{words.capital(meanings[chosen])}."))
    return chosen


def _occlusion(selected: Selected) -> None:
    found = _or_message(explanations.occlusion, selected)
    if found is None:
        return
    predicted = selected.first_two[0]
    gesture, model = selected.prediction.gestures[predicted], registry.title(found.model)
    bounds_s = found.bounds / selected.request.rate_hz
    rows = pl.DataFrame(
        {"from_s": bounds_s[:-1], "to_s": bounds_s[1:], "drop": 100 * found.drop_B(predicted)}
    )
    worst = rows.sort("drop", descending=True).row(0, named=True)
    part = f"{worst['from_s']:.1f} to {worst['to_s']:.1f} s"
    panels.chart(
        f"{model}: hiding {part} decreases the probability most"
        if worst["drop"] > 0
        else f"{model}: hiding a part does not decrease the probability",
        charts_prediction.occlusion_figure(rows),
        rows,
        "occlusion",
        f"Decrease of the probability of {gesture} with a part of the recording hidden, in "
        f"percentage points. With nothing hidden it is {100 * found.whole_K[predicted]:.1f} %.",
    )


def _choose_neighbour(found: Sequence[Neighbour], predicted: str) -> Neighbour:
    """Show the nearest training sequences; return the selected one."""
    rows = pl.DataFrame([vars(each) for each in found])
    same = int((rows["gesture"] == predicted).sum())
    with st.container(gap="xsmall"):
        panels.head(
            f"{same} of the {len(rows)} nearest training sequences have the predicted gesture",
            rows,
            "nearest",
            "By the features of the highest importance. Select a row to draw it with this one.",
        )
        event = st.dataframe(
            rows,
            hide_index=True,
            key="predict_nearest",
            on_select="rerun",
            selection_mode="single-row",
            column_config={
                "sequence_id": "Sequence",
                "gesture": "Gesture",
                "subject": "Subject",
                "distance": st.column_config.NumberColumn(
                    "Distance", format="%.2f", width=70, help="In standard deviations."
                ),
            },
            height="content",
            alt="The nearest training sequences",
        )
    selected = event["selection"]["rows"]
    return found[selected[0] if selected and selected[0] < len(found) else 0]


def _choose_clicked(names: list[str]) -> Callable[[], None]:
    def choose() -> None:
        points = st.session_state[CHART]["selection"]["points"]
        st.session_state[FEATURE] = clicked_feature(points, names)

    return choose


def _resample(values_T: np.ndarray) -> np.ndarray:
    """Return a series at NUM_SHARES points of its length, missing values interpolated."""
    known_idx = np.flatnonzero(~np.isnan(values_T))
    if not len(known_idx):
        return np.full(NUM_SHARES, np.nan)
    positions = np.linspace(0, len(values_T) - 1, NUM_SHARES)
    return np.asarray(np.interp(positions, known_idx, values_T[known_idx]))
