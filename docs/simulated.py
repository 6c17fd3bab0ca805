"""A picture of simulated beside real recordings: ``docs/simulated.png``.

The picture shows recordings of the competition, so git ignores it.

In: the competition's two public recordings, which the project may not distribute and which have no
gesture. Out: each beside the simulated recording that is most similar.
Run: ``python -m docs.simulated [--real ../shared/data/test.csv]``; it needs Chromium.

Shapes: T time steps, C channels.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from tests.browser.dashboard import CHROMIUM, CHROMIUM_ARGS
from trainer.data.sequences import Sequences
from trainer.simulation.any_source import load
from trainer.simulation.simulate import simulate

OUT = Path(__file__).with_name("simulated.png")
WIDTH_PX, HEIGHT_PX = 1600, 1000
SIMILAR = ("Neck - pinch skin", "Text on phone")  # gestures that resemble the two recordings
COLOURS = ("#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#a463f2")
ROWS = ("acceleration, m/s²", "orientation", "thermopiles, °C", "time of flight, pixel")


def main() -> None:
    """Draw and save."""
    parser = argparse.ArgumentParser(description="Simulated beside real recordings.")
    parser.add_argument("--real", default="../shared/data/test.csv")
    parser.add_argument("--subjects", type=int, default=4)
    options = parser.parse_args()
    real, simulated = load(options.real), simulate(options.subjects)
    columns = []
    for number, gesture in enumerate(SIMILAR):
        columns.append((f"real, {real.sequence_ids[number]}", real, number))
        similar = most_similar(real, number, simulated, gesture)
        columns.append((f"simulated, {gesture}", simulated, similar))
    shoot(draw(columns))
    print(OUT)


def most_similar(real: Sequences, number: int, simulated: Sequences, gesture: str) -> int:
    """Return the simulated recording of a gesture whose mean gravity is nearest."""
    candidates = np.flatnonzero(simulated.label_idx == simulated.labels.gestures.index(gesture))
    target = rows_of(real.acc_T3, real, number)[-25:].mean(axis=0)
    distances = [
        np.linalg.norm(rows_of(simulated.acc_T3, simulated, n)[-25:].mean(axis=0) - target)
        for n in candidates
    ]
    return int(candidates[np.argmin(distances)])


def rows_of(
    array_TC: NDArray[np.float32], sequences: Sequences, number: int
) -> NDArray[np.float32]:
    """Return the rows of one recording."""
    return array_TC[sequences.offsets[number] : sequences.offsets[number + 1]]


def draw(columns: list[tuple[str, Sequences, int]]) -> go.Figure:
    """Return the figure: a recording a column, a sensor group a row."""
    figure = make_subplots(
        len(ROWS),
        len(columns),
        shared_xaxes=True,
        column_titles=[title for title, _, _ in columns],
        vertical_spacing=0.04,
        horizontal_spacing=0.03,
    )
    for column, (_, sequences, number) in enumerate(columns, start=1):
        groups = (sequences.acc_T3, sequences.rot_T4, sequences.thm_T5)
        for row, array in enumerate(groups, start=1):
            for channel, values in enumerate(rows_of(array, sequences, number).T):
                line = {"color": COLOURS[channel], "width": 1.5}
                figure.add_scatter(y=values, mode="lines", line=line, row=row, col=column)
        pixels = rows_of(sequences.tof_T320, sequences, number).T
        shown = np.where(pixels < 0, np.nan, pixels)
        figure.add_heatmap(
            z=shown, zmin=0, zmax=250, colorscale="Viridis", showscale=False, row=4, col=column
        )
    ranges = ((-15, 15), (-1, 1), (22, 37), (320, 0))
    for row, (title, limits) in enumerate(zip(ROWS, ranges, strict=True), start=1):
        figure.update_yaxes(range=limits, row=row)
        figure.update_yaxes(title_text=title, row=row, col=1)
    figure.update_xaxes(title_text="row (0.1 s)", row=len(ROWS))
    figure.update_layout(template="plotly_white", showlegend=False, margin={"t": 40, "r": 20})
    return figure


def shoot(figure: go.Figure) -> None:
    """Save the figure as Chromium renders it."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page_file = Path(folder) / "figure.html"
        figure.update_layout(width=WIDTH_PX, height=HEIGHT_PX).write_html(page_file)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
        page = browser.new_page(viewport={"width": WIDTH_PX + 20, "height": HEIGHT_PX + 20})
        page.goto(page_file.as_uri())
        page.wait_for_selector(".main-svg")
        page.wait_for_timeout(1000)
        page.screenshot(path=OUT)
        browser.close()


if __name__ == "__main__":
    main()
