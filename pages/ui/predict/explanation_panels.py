"""Reason panels: why the answer, and what it would be if the recording were another.

In: one sequence with its answer. Out: elements on the page. Each is worked out when it is shown.
A click on a contribution and the choice in the list name the same thing: a feature.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import polars as pl
import streamlit as st

from pages.ui.features import importance
from pages.ui.predict import charts_prediction, trace_panels, warm_predictor
from pages.ui.shared import frame, panels, source
from pages.ui.shared.charts_results import wrap

if TYPE_CHECKING:
    from pages.ui.predict.requests import Single
    from trainer.explain.contributions import Contributions, Share


T = TypeVar("T")

NUM_FEATURES = 12
FEATURE, CHART = "predict_feature", "predict_contributions"
NOTHING = "Nothing"
UNIT = "Raw score, against the runner-up"


def why(single: Single) -> None:
    """Show what LightGBM and the network went by, and mark what is chosen on the traces."""
    told = or_say(lambda: warm_predictor.contributions(single))
    feature = None
    if told is not None:
        features = told.features()
        first, second = (single.prediction.gestures[k] for k in single.first_two)
        left, right = st.columns(2, gap="large")
        with left:
            _features(features[:NUM_FEATURES], first, second)
        with right:
            _sensors(told, first, second)
        feature = _choose([each.name for each in features])
    place = None if feature is None else warm_predictor.place(single, feature)
    is_of_images = place is not None and place.sensor.startswith("tof")
    trace_panels.show(single, place, with_images=is_of_images)
    _occlusion(single)


def what_if(single: Single) -> None:
    """Show what the answer would be without a sensor, on the other hand, without the end."""
    from trainer.explain.what_if import flip_table

    outcomes = or_say(lambda: warm_predictor.outcomes(single))
    if not outcomes:
        return
    rows = flip_table(single.alone, outcomes)
    flips = rows.filter("flips")["what_if"].to_list()
    left, right = st.columns(2, gap="large")
    with left:
        panels.chart(
            f"The answer flips {' and '.join(flips)}" if flips else "No change flips the answer",
            charts_prediction.change_figure(rows),
            rows,
            "what_if",
            f"Probability of {rows['answer_before'][0]}, as recorded and after each change; "
            f"{rows['p_before'][0]:.3f} as recorded.",
        )
    with right:
        panels.table(
            "What the answer would be",
            rows.select("what_if", "answer_after", "p_after", "change", "flips"),
            "what_if_numbers",
            {
                "what_if": st.column_config.TextColumn("What if"),
                "answer_after": st.column_config.TextColumn("Answer"),
                "flips": st.column_config.CheckboxColumn("Flips", width="small"),
                "p_after": st.column_config.NumberColumn("After", format="%.3f", width="small"),
                "change": st.column_config.NumberColumn("Change", format="%+.3f", width="small"),
            },
            height="content",
        )


def share_rows(shares: Sequence[Share]) -> pl.DataFrame:
    """Return contributions as a frame: name, meaning, value, against, spread, answer, text."""
    rows = []
    for each in shares:
        meaning = importance.sentence(each.name)
        numbers = "" if np.isnan(each.value) else f"value {each.value:.4g}; "
        numbers += f"{each.against:+.3f}, spread over folds {each.spread:.3f}"
        rows.append(
            {
                "name": each.name,
                "meaning": meaning,
                "value": each.value,
                "against": each.against,
                "spread": each.spread,
                "answer": each.answer,
                "text": f"{wrap(meaning)}<br>{numbers}" if meaning else numbers,
            }
        )
    texts = dict.fromkeys(("name", "meaning"), pl.String)
    measures = dict.fromkeys(("value", "against", "spread", "answer"), pl.Float64)
    return pl.DataFrame(rows, schema=texts | measures | {"text": pl.String})


def or_say(work: Callable[[], T]) -> T | None:
    """Return what could be worked out; else say why not, and return None."""
    try:
        return work()
    except (warm_predictor.AnswerError, source.SourceError) as error:
        st.info(frame.escape(str(error)), icon=":material/info:")
        return None


def _features(shares: Sequence[Share], first: str, second: str) -> None:
    rows = share_rows(shares)
    title = f"LightGBM: what spoke for {first}, against {second}"
    with st.container(gap="xsmall"):
        panels.head(
            title,
            rows.drop("text"),
            "contributions",
            f"The {len(rows)} largest contributions, exact: all of them together, and a start, are "
            "the difference of the raw scores. Click one to see where it comes from.",
        )
        st.plotly_chart(
            charts_prediction.share_figure(rows, UNIT),
            key=CHART,
            on_select=_choose_clicked(rows["name"].to_list()),
            selection_mode="points",
            config=panels.PLOTLY_CONFIG,
            alt=title,
        )


def _sensors(told: Contributions, first: str, second: str) -> None:
    rows = share_rows(told.sensors()).filter((pl.col("against") != 0) | (pl.col("answer") != 0))
    raw_M, start_M = (pair_2M[0] - pair_2M[1] for pair_2M in (told.raw_2M, told.start_2M))
    panels.chart(
        f"The same summed by sensor: {first} against {second}",
        charts_prediction.share_figure(rows, UNIT),
        rows.drop("text", "meaning"),
        "contributions_by_sensor",
        f"Start {start_M.mean():+.3f}, features {(raw_M - start_M).mean():+.3f}, together "
        f"{raw_M.mean():+.3f}: the raw score of the first minus that of the second"
        + (f", mean of {len(raw_M)} folds" if len(raw_M) > 1 else "")
        + ". A difference of 1 makes a gesture 2.7 times as probable.",
    )


def _choose(names: list[str]) -> str | None:
    """Show which feature is marked; every feature that added anything can be."""
    if st.session_state.get(FEATURE, NOTHING) not in names:
        st.session_state[FEATURE] = NOTHING  # of another sequence
    chosen = st.selectbox(
        "Mark on the traces",
        [NOTHING, *names],
        key=FEATURE,
        help="Where the feature comes from: its channel and its stretch of time.",
    )
    if chosen == NOTHING:
        return None
    st.caption(importance.sentence(chosen))
    return chosen


def _occlusion(single: Single) -> None:
    told = or_say(lambda: warm_predictor.occlusion(single))
    if told is None:
        return
    answer = single.first_two[0]
    bounds_s = told.bounds / single.question.rate_hz
    rows = pl.DataFrame(
        {"from_s": bounds_s[:-1], "to_s": bounds_s[1:], "drop": 100 * told.drop_B(answer)}
    )
    worst = rows.sort("drop", descending=True).row(0, named=True)
    panels.chart(
        f"The network misses {worst['from_s']:.1f} to {worst['to_s']:.1f} s most"
        if worst["drop"] > 0
        else "The network misses no stretch of the recording",
        charts_prediction.occlusion_figure(rows),
        rows,
        "occlusion",
        f"Percentage points that {single.prediction.gestures[answer]} loses with a stretch hidden; "
        f"whole, the network gives it {100 * told.whole_K[answer]:.1f} %.",
    )


def _choose_clicked(names: list[str]) -> Callable[[], None]:
    def choose() -> None:
        points = st.session_state[CHART]["selection"]["points"]
        st.session_state[FEATURE] = clicked_feature(points, names)

    return choose


def clicked_feature(points: Sequence[dict[str, Any]], names: Sequence[str]) -> str:
    """Return the feature of a click on its bar; a click beside all bars chooses nothing."""
    if not points:
        return NOTHING
    row = points[0].get("point_index", -1)
    return names[row] if 0 <= row < len(names) else NOTHING
