"""Traces on the page: the recording over time, attention, a marked feature, the images.

In: one sequence with its prediction. Out: elements on the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import streamlit as st
from numpy.typing import NDArray

from pages.ui.predict import charts_traces, explanations, predictions
from pages.ui.shared import panels, recordings
from trainer.data.schema import NUM_TOF, TOF_PIXELS, TOF_SIDE

if TYPE_CHECKING:
    from pages.ui.predict.predictions import Selected
    from trainer.data.sequences import Sequences
    from trainer.explain.occlusion import Attention
    from trainer.explain.places import Place

BINS_NOTE = "Dotted lines: the time bins of the feature table."
CHANNELS = {"acc_norm": "length", "rot_w": "w"} | {
    f"{signal}_{axis}": axis for signal in ("acc", "rot") for axis in "xyz"
}


def show(selected: Selected, place: Place | None = None, with_images: bool = True) -> None:
    """Show all traces on one time axis, with the attention below them.

    The time-of-flight images of one time step, if there are any, are above. A slider selects the
    time step, and a line on the traces shows it.

    Args:
        selected: The sequence.
        place: The part that a feature is computed from, to mark it on traces and images.
        with_images: Whether to show the images too.
    """
    one = selected.sequence
    if with_images and one.tof_T320 is not None and not np.isnan(one.tof_T320).all():
        st.fragment(_at_time_step)(one, selected, place)
    else:
        _traces(selected, place)


def _at_time_step(one: Sequences, selected: Selected, place: Place | None) -> None:
    """Show images and traces; as a fragment, so that the slider reruns nothing else."""
    step = _images(one, selected, place)
    _traces(selected, place, step / selected.request.rate_hz)


def _traces(selected: Selected, place: Place | None, time_s: float | None = None) -> None:
    rate_hz = selected.request.rate_hz
    traces = recordings.traces(selected.request.sequences, selected.index, rate_hz)
    phases = recordings.phase_bands(selected.request.sequences, selected.index, rate_hz)
    notes = ["Gray: the gesture phase, which the models do not use."] if len(phases) else []
    try:
        attention = attention_rows(explanations.attention(selected), rate_hz)
        traces = pl.concat([traces, attention], how="diagonal")
        notes.append("Attention: where the model looks, not why it predicts.")
    except predictions.ERRORS as error:
        notes.append(str(error))
    bounds = bin_bounds_s(selected)
    notes += [BINS_NOTE] if bounds else []
    notes += [] if time_s is None else ["Solid line: the time of the images."]
    mark = None if place is None else mark_of(place, rate_hz)
    panels.chart(
        "The recording over time" if mark is None or place is None else _mark_title(place, mark),
        charts_traces.marked_figure(traces, phases, rate_hz, bounds, mark, time_s),
        traces,
        "traces",
        " ".join(notes),
    )


def attention_rows(attention: Attention, rate_hz: float) -> pl.DataFrame:
    """Return attention as a panel of the traces: mean, lowest and highest over the folds."""
    lines = {charts_traces.MEAN: attention.mean_T}
    if len(attention.weights_MT) > 1:
        lines |= {
            "lowest of the folds": attention.weights_MT.min(axis=0),
            "highest of the folds": attention.weights_MT.max(axis=0),
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


def bin_bounds_s(selected: Selected) -> list[float]:
    """Return the bounds of the time bins in seconds; [] if no model uses the feature table."""
    from trainer.explain.places import bin_bounds

    num_bins = explanations.num_bins(selected)
    if not num_bins:
        return []
    num_steps = int(selected.request.sequences.lengths_N[selected.index])
    return [step / selected.request.rate_hz for step in bin_bounds(num_steps, num_bins).tolist()]


def mark_of(place: Place, rate_hz: float) -> charts_traces.Mark:
    """Return the mark of a feature."""
    lines = [
        pl.DataFrame(
            {"channel": name, "time_s": np.arange(len(line_T)) / rate_hz, "value": line_T}
        ).with_columns(pl.col("value").fill_nan(None))
        for name, line_T in place.lines.items()
    ]
    return charts_traces.Mark(
        title=f"Preprocessed, {place.unit}",
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


def _mark_title(place: Place, mark: charts_traces.Mark) -> str:
    if mark.is_whole:
        return f"{place.feature} is computed from all of {place.sensor}"
    stretch = f"{mark.from_s:.1f} to {mark.to_s:.1f} s"
    return f"{place.feature} is computed from {stretch} of {place.sensor}"


def _images(one: Sequences, selected: Selected, place: Place | None) -> int:
    """Show the five images of a time step; return the step."""
    rate_hz, num_steps = selected.request.rate_hz, int(one.offsets[-1])
    step = 0
    st.markdown("**Time of flight: the 8 x 8 pixels of each sensor**")
    st.caption(
        "The stronger the colour, the nearer. A stroke means nothing in range, an empty pixel a "
        "missing value."
    )
    if num_steps > 1:
        step = st.select_slider(
            "Time",
            list(range(num_steps)),
            value=num_steps * 4 // 5,  # within the gesture, which comes last
            key=f"predict_instant_{num_steps}",  # a slider per length
            format_func=lambda each: f"{each / rate_hz:.1f} s",
        )
    row = st.grid(columns=NUM_TOF, min_column_width=130)
    for sensor, pixels_88 in images_at(one, step).items():
        with row.container(gap="xxsmall"):
            share = float(np.mean(pixels_88 >= 0))
            st.markdown(f"{sensor}: {100 * share:.0f} % in range")
            st.plotly_chart(
                charts_traces.image_figure(pixels_88, _region(place, sensor)),
                key=f"chart_{sensor}",
                config=panels.PLOTLY_CONFIG,
                alt=f"Time of flight, {sensor}: {100 * share:.0f} % of the pixels in range",
            )
    return step


def _region(place: Place | None, sensor: str) -> tuple[int, int, int] | None:
    """Return first row, first column and side of the marked part of an image."""
    if place is None or place.region is None or place.region.sensor != sensor:
        return None
    return place.region.rows[0], place.region.columns[0], len(place.region.rows)


def _channels(sensor: str, signals: Sequence[str]) -> tuple[str, ...]:
    """Return the channels of the recording's traces that signals are computed from."""
    if sensor.startswith(("thm_", "tof_")):
        return (sensor.replace("_", " "),)
    return tuple(CHANNELS[signal] for signal in signals if signal in CHANNELS)
