"""Trace panels: the recording over time, where the network looked, what is marked; the images.

In: one sequence with its answer. Out: elements on the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import streamlit as st
from numpy.typing import NDArray

from pages.ui.predict import charts_prediction, charts_traces, warm_predictor
from pages.ui.shared import panels, recordings
from trainer.data.schema import NUM_TOF, TOF_PIXELS, TOF_SIDE

if TYPE_CHECKING:
    from pages.ui.predict.requests import Single
    from trainer.data.sequences import Sequences
    from trainer.explain.occlusion import Attention
    from trainer.explain.places import Place

LATE_NOTE = "Dotted lines: the time bins that LightGBM's features are computed over."
CHANNELS = {"acc_norm": "length", "rot_w": "w"} | {
    f"{signal}_{axis}": axis for signal in ("acc", "rot") for axis in "xyz"
}


def show(single: Single, place: Place | None = None, with_images: bool = True) -> None:
    """Show all traces on one time axis with the network's attention under them.

    Where the recording has time-of-flight images, those of an instant are above: a slider chooses
    it, and a rule on the traces shows where it is.

    Args:
        single: The sequence.
        place: Where a feature comes from, to mark it, and to frame its part of the image.
        with_images: Whether to show the images too.
    """
    one = single.sequence
    if with_images and one.tof_T320 is not None and not np.isnan(one.tof_T320).all():
        st.fragment(_at_an_instant)(one, single, place)
    else:
        _traces(single, place)


def _at_an_instant(one: Sequences, single: Single, place: Place | None) -> None:
    """Show images and traces at the instant that the slider names; it alone runs again."""
    step = _images(one, single, place)
    _traces(single, place, step / single.question.rate_hz)


def _traces(single: Single, place: Place | None, instant_s: float | None = None) -> None:
    rate_hz = single.question.rate_hz
    traces = recordings.traces(single.question.sequences, single.index, rate_hz)
    phases = recordings.phase_bands(single.question.sequences, single.index, rate_hz)
    notes = ["Gray: the gesture itself; no model is told."] if len(phases) else []
    try:
        attention = attention_rows(warm_predictor.attention(single), rate_hz)
        traces = pl.concat([traces, attention], how="diagonal")
        notes.append("Attention: where the network looked, which is not why.")
    except warm_predictor.AnswerError as error:
        notes.append(str(error))
    bounds = bin_bounds_s(single)
    notes += [LATE_NOTE] if bounds else []
    notes += [] if instant_s is None else ["Rule: the instant of the images."]
    mark = None if place is None else mark_of(place, rate_hz)
    panels.chart(
        "The recording over time" if mark is None or place is None else _where(place, mark),
        charts_traces.marked_figure(traces, phases, rate_hz, bounds, mark, instant_s),
        traces,
        "traces",
        " ".join(notes),
    )


def attention_rows(attention: Attention, rate_hz: float) -> pl.DataFrame:
    """Return attention as a panel of the traces: the mean, and least and most of the folds."""
    lines = {"mean of the folds": attention.mean_T}
    if len(attention.weights_MT) > 1:
        lines |= {
            "least of a fold": attention.weights_MT.min(axis=0),
            "most of a fold": attention.weights_MT.max(axis=0),
        }
    steps = np.arange(attention.weights_MT.shape[1])
    return pl.concat(
        [
            pl.DataFrame(
                {
                    "panel": charts_traces.ATTENTION,
                    "channel": name,
                    "step": steps,
                    "time_s": steps / rate_hz,
                    "value": 100 * line_T,
                }
            )
            for name, line_T in lines.items()
        ]
    )


def bin_bounds_s(single: Single) -> list[float]:
    """Return where the time bins of the features begin and end, in seconds; [] without LightGBM."""
    from trainer.explain.places import bin_bounds

    num_bins = warm_predictor.num_bins(single)
    if not num_bins:
        return []
    num_steps = int(single.question.sequences.lengths_N[single.index])
    return (bin_bounds(num_steps, num_bins) / single.question.rate_hz).tolist()


def mark_of(place: Place, rate_hz: float) -> charts_traces.Mark:
    """Return what is marked for a feature."""
    lines = [
        pl.DataFrame(
            {"channel": name, "time_s": np.arange(len(line_T)) / rate_hz, "value": line_T}
        ).with_columns(pl.col("value").fill_nan(None))
        for name, line_T in place.lines.items()
    ]
    return charts_traces.Mark(
        title=f"As the models see it, {place.unit}",
        sensor=place.sensor,
        channels=_channels(place.sensor, tuple(place.lines)),
        from_s=place.start / rate_hz,
        to_s=place.stop / rate_hz,
        is_whole=place.is_whole,
        lines=pl.concat(lines)
        if lines
        else pl.DataFrame(schema={"channel": pl.String, "time_s": pl.Float64, "value": pl.Float64}),
    )


def images_at(one: Sequences, step: int) -> dict[str, NDArray[np.float32]]:
    """Return the image of each sensor at a time step of one sequence, (8, 8)."""
    assert one.tof_T320 is not None
    images = one.tof_T320[step].reshape(NUM_TOF, TOF_PIXELS)
    return {
        f"tof_{sensor + 1}": pixels_V.reshape(TOF_SIDE, TOF_SIDE)
        for sensor, pixels_V in enumerate(images)
    }


def _where(place: Place, mark: charts_traces.Mark) -> str:
    """Say where a feature comes from."""
    if mark.is_whole:
        return f"{place.feature} comes from the whole recording of {place.sensor}"
    return f"{place.feature} comes from {mark.from_s:.1f} to {mark.to_s:.1f} s of {place.sensor}"


def _images(one: Sequences, single: Single, place: Place | None) -> int:
    """Show the five images of an instant; return its step."""
    rate_hz, num_steps = single.question.rate_hz, int(one.offsets[-1])
    step = 0
    st.markdown("**Time of flight, 8 x 8 pixels of each sensor at an instant**")
    st.caption(
        "The stronger the colour, the nearer; a stroke is nothing in range, an empty pixel is "
        "missing."
    )
    if num_steps > 1:
        instants = list(range(num_steps))
        key = f"predict_instant_{num_steps}"  # another length is another slider
        step = st.select_slider(
            "Instant",
            instants,
            value=num_steps * 4 // 5,  # well within the gesture, which comes last
            key=key,
            format_func=lambda each: f"{each / rate_hz:.1f} s",
        )
    row = st.grid(columns=NUM_TOF, min_column_width=130)
    for sensor, pixels_88 in images_at(one, step).items():
        with row.container(gap="xxsmall"):
            share = float(np.mean(pixels_88 >= 0))
            st.markdown(f"{sensor}: {100 * share:.0f} % in range")
            st.plotly_chart(
                charts_prediction.image_figure(pixels_88, _region(place, sensor)),
                key=f"chart_{sensor}",
                config=panels.PLOTLY_CONFIG,
                alt=f"Time of flight, {sensor}: {100 * share:.0f} % of the pixels in range",
            )
    return step


def _region(place: Place | None, sensor: str) -> tuple[int, int, int] | None:
    """Return first row, first column and side of the part of an image to frame."""
    if place is None or place.region is None or place.region.sensor != sensor:
        return None
    return place.region.rows[0], place.region.columns[0], len(place.region.rows)


def _channels(sensor: str, signals: Sequence[str]) -> tuple[str, ...]:
    """Return the channels of the recording's traces that signals are computed from."""
    if sensor.startswith(("thm_", "tof_")):
        return (sensor.replace("_", " "),)
    return tuple(CHANNELS[signal] for signal in signals if signal in CHANNELS)
