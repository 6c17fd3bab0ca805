"""The report of one prediction: a single HTML file that contains everything and loads nothing.

In: ``Report``. Out: HTML, from the template ``report.html``. Parts that are None or empty are left
out. Every text is escaped, so no file name, id or gesture can bring markup of its own.

Shapes: T time steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.data.quality.findings import Finding
from trainer.data.sequences import Sequences
from trainer.explain.contributions import Contributions
from trainer.explain.nearest import Neighbour
from trainer.explain.occlusion import Attention, Occlusion
from trainer.explain.what_if import Outcome, flip_table
from trainer.models import registry
from trainer.predict.predictor import Prediction

NUM_GESTURES = 5
NUM_FEATURES = 12
WIDTH, HEIGHT = 720, 150  # pixels of a line chart, as in the template
LEFT = 50  # pixels, for the numbers of its vertical axis

Part = dict[str, Any]  # what the template shows in one section
Row = tuple[str | float, ...]


@dataclass(frozen=True)
class Report:
    """One prediction with its explanations.

    Attributes:
        run: Name of the run.
        sequence: The one sequence.
        prediction: Its prediction.
        rate_hz: Time steps in a second.
        remarks: Texts for the top, such as the true gesture.
        findings: From the input check.
        contributions: To the raw scores of the predicted gesture and of the runner-up.
        attention: Attention weights.
        occlusion: Probabilities with each window hidden.
        outcomes: Predictions for changed copies.
        neighbours: The nearest training sequences.
    """

    run: str
    sequence: Sequences
    prediction: Prediction
    rate_hz: float
    remarks: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    contributions: Contributions | None = None
    attention: Attention | None = None
    occlusion: Occlusion | None = None
    outcomes: tuple[Outcome, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()


def render(report: Report) -> str:
    """Return the report as one self-contained HTML document; every text in it is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # for the page only

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    axes = {f"acc_{axis}": report.sequence.acc_T3[:, i] for i, axis in enumerate("xyz")}
    time_model = report.attention or report.occlusion
    return environment.get_template("report.html").render(
        run=report.run,
        remarks=report.remarks,
        **_prediction(report.prediction),
        acceleration=_line_chart(axes, report.rate_hz),
        findings=[
            (each.severity, each.channel or "", each.what, each.expected, each.got)
            for each in report.findings
        ],
        contributions=_contributions(report),
        time_model=time_model and registry.title(time_model.model),
        attention=report.attention
        and _line_chart({"attention": report.attention.mean_T}, report.rate_hz),
        occlusion=_occlusion(report),
        what_if=_what_if(report),
        neighbours=[
            (each.sequence_id, each.gesture, each.subject, each.distance)
            for each in report.neighbours
        ],
    )


def _prediction(prediction: Prediction) -> Part:
    proba_K = prediction.proba_NK[0]
    best_idx = np.argsort(-proba_K, kind="stable")[:NUM_GESTURES]
    return {
        "title": f"{prediction.sequence_ids[0]}: {prediction.predicted[0]}",
        "predicted": prediction.predicted[0],
        "probability": proba_K[best_idx[0]],
        "margin": proba_K[best_idx[0]] - proba_K[best_idx[1]],
        "p_target": prediction.target_proba_N[0],
        "models": [registry.title(model) for model in prediction.by_model],
        "gestures": [
            (
                prediction.gestures[k],
                "target" if k < prediction.num_targets else "non-target",
                proba_K[k],
                *(proba_NK[0, k] for proba_NK in prediction.by_model.values()),
            )
            for k in best_idx
        ],
        "notes": prediction.notes,
    }


def _contributions(report: Report) -> Part | None:
    found = report.contributions
    if found is None:
        return None
    gestures = report.prediction.gestures
    return {
        "model": registry.title(found.model),
        "gesture": gestures[found.gesture],
        "other": gestures[found.other],
        "difference": np.mean(found.raw_2M[0] - found.raw_2M[1]),
        "start": np.mean(found.start_2M[0] - found.start_2M[1]),
        "num_folds": found.raw_2M.shape[1],
        "sensors": [(each.name, each.difference) for each in found.by_sensor()],
        "features": [
            (
                each.name,
                each.meaning,
                "missing" if np.isnan(each.value) else each.value,
                *(each.difference, each.spread, each.added),
            )
            for each in found.by_feature()[:NUM_FEATURES]
        ],
    }


def _occlusion(report: Report) -> list[Row]:
    if report.occlusion is None:
        return []
    bounds_s = report.occlusion.bounds / report.rate_hz
    drop_B = report.occlusion.drop_B(int(np.argmax(report.prediction.proba_NK[0])))
    windows = zip(bounds_s[:-1], bounds_s[1:], drop_B, strict=True)
    return [(f"{start:.1f} to {stop:.1f} s", float(drop)) for start, stop, drop in windows]


def _what_if(report: Report) -> list[Row]:
    if not report.outcomes:
        return []
    return [
        (
            row["what_if"],
            row["predicted_after"],
            "flips" if row["flips"] else "stays",
            row["p_after"],
            row["change"],
        )
        for row in flip_table(report.prediction, report.outcomes).iter_rows(named=True)
    ]


def _line_chart(series: Mapping[str, NDArray[np.floating]], rate_hz: float) -> Part:
    """Return lines over a common time axis; missing values leave gaps."""
    values = np.concatenate(list(series.values())).astype(np.float64)
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    return {
        "low": low,
        "high": high,
        "seconds": max(len(values_T) for values_T in series.values()) / rate_hz,
        "lines": {
            name: _stretches(values_T.astype(np.float64), low, high)
            for name, values_T in series.items()
        },
    }


def _stretches(values_T: NDArray[np.float64], low: float, high: float) -> list[str]:
    """Return the points of one polyline for each stretch without a gap."""
    x_T = LEFT + (WIDTH - 60) * np.arange(len(values_T)) / max(1, len(values_T) - 1)
    y_T = 4 + (HEIGHT - 8) * (high - values_T) / ((high - low) or 1.0)
    known_idx = np.flatnonzero(~np.isnan(values_T))
    stretches = np.split(known_idx, np.flatnonzero(np.diff(known_idx) > 1) + 1)
    return [
        " ".join(f"{x_T[step]:.1f},{y_T[step]:.1f}" for step in stretch)
        for stretch in stretches
        if len(stretch)
    ]
