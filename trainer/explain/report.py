"""The report of one answer: a single HTML file that holds everything and loads nothing.

In: ``Report``. Out: HTML. Parts that were not worked out are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from trainer.data.sequences import Sequences
from trainer.explain.contributions import Contributions, Share
from trainer.explain.findings import Finding
from trainer.explain.markup import bar_chart, line_chart, page, paragraph, section, table
from trainer.explain.meanings import meaning_of
from trainer.explain.nearest import Neighbour
from trainer.explain.occlusion import Attention, Occlusion
from trainer.explain.what_if import Outcome, flip_table
from trainer.models import registry
from trainer.predict.predictor import Prediction

NUM_GESTURES = 5
NUM_FEATURES = 12


@dataclass(frozen=True)
class Report:
    """What is known of one answer.

    Attributes:
        run: Name of the run that answered.
        sequence: The one sequence.
        prediction: The answer about it.
        rate_hz: Time steps in a second.
        remarks: Texts to stand above everything, such as its true gesture, or that the run was
            trained on it.
        findings: Of the doctor.
        contributions: Of LightGBM, for the answer and against the runner-up.
        attention: Of the network.
        occlusion: Of the network.
        outcomes: Of what was changed.
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
    parts = [
        *(paragraph(remark) for remark in report.remarks),
        *_answer(report),
        *_input(report),
        *_contributions(report),
        *_over_time(report),
        *_what_if(report),
        *_neighbours(report),
    ]
    return page(f"{report.prediction.sequence_ids[0]}: {report.prediction.answers[0]}", parts)


def _answer(report: Report) -> Iterator[str]:
    prediction = report.prediction
    order_K = np.argsort(-prediction.proba_NK[0], kind="stable")
    best = order_K[:NUM_GESTURES]
    margin = float(prediction.proba_NK[0, best[0]] - prediction.proba_NK[0, best[1]])
    rows: list[tuple[str | float, ...]] = [
        (
            prediction.gestures[k],
            "target" if k < prediction.num_targets else "non-target",
            float(prediction.proba_NK[0, k]),
            *(float(proba_NK[0, k]) for proba_NK in prediction.by_model.values()),
        )
        for k in best
    ]
    models = [registry.get(model).phrase for model in prediction.by_model]
    yield section(
        "The answer",
        paragraph(
            f"Run {report.run} says {prediction.answers[0]}, with a probability of "
            f"{prediction.proba_NK[0].max():.1%}, {100 * margin:.1f} points before the next. Any "
            f"target gesture: {prediction.target_proba_N[0]:.1%}."
        ),
        table(["Gesture", "Kind", "Blend", *models], rows),
        *(paragraph(note, is_quiet=True) for note in prediction.notes),
    )


def _input(report: Report) -> Iterator[str]:
    axes = {f"acc_{axis}": report.sequence.acc_T3[:, i] for i, axis in enumerate("xyz")}
    rows = [
        (finding.severity, finding.channel or "", finding.what, finding.expected, finding.got)
        for finding in report.findings
    ]
    yield section(
        "The recording",
        paragraph("Acceleration, m/s2", is_quiet=True),
        line_chart(axes, report.rate_hz),
        *([table(["", "Channel", "Finding", "Expected", "Got"], rows)] if rows else []),
    )


def _contributions(report: Report) -> Iterator[str]:
    told = report.contributions
    if told is None:
        return
    gestures = report.prediction.gestures
    features = told.features()[:NUM_FEATURES]
    difference_M = told.raw_2M[0] - told.raw_2M[1]
    start_M = told.start_2M[0] - told.start_2M[1]
    yield section(
        f"LightGBM: {gestures[told.answer]} against {gestures[told.other]}",
        paragraph(
            f"Raw score of the first minus that of the second: {difference_M.mean():.3f} (mean of "
            f"{len(difference_M)} folds). {start_M.mean():.3f} of it is there before any feature; "
            f"the features add the rest, exactly."
        ),
        bar_chart([(share.name, share.against) for share in told.sensors()]),
        _feature_table(features),
    )


def _feature_table(features: list[Share]) -> str:
    return table(
        [
            "Feature",
            "What it is",
            "Its value",
            "Against the other",
            "Spread over folds",
            "For the answer",
        ],
        [
            (each.name, meaning_of(each.name), each.value, each.against, each.spread, each.answer)
            for each in features
        ],
    )


def _over_time(report: Report) -> Iterator[str]:
    parts = []
    if report.attention is not None:
        parts += [
            paragraph("Attention: where the network looked, which is not why", is_quiet=True),
            line_chart({"attention": report.attention.mean_T}, report.rate_hz),
        ]
    if report.occlusion is not None:
        answer = int(np.argmax(report.prediction.proba_NK[0]))
        bounds = report.occlusion.bounds / report.rate_hz
        drops = report.occlusion.drop_B(answer)
        parts += [
            paragraph("What the answer loses when a stretch is hidden", is_quiet=True),
            bar_chart(
                [
                    (f"{start:.1f} to {stop:.1f} s", float(drop))
                    for start, stop, drop in zip(bounds[:-1], bounds[1:], drops, strict=True)
                ]
            ),
        ]
    if parts:
        yield section("The network over time", *parts)


def _what_if(report: Report) -> Iterator[str]:
    if not report.outcomes:
        return
    rows = [
        (
            row["what_if"],
            row["answer_after"],
            "flips" if row["flips"] else "stays",
            row["p_after"],
            row["change"],
        )
        for row in flip_table(report.prediction, report.outcomes).iter_rows(named=True)
    ]
    headings = ["What if", "Answer", "", "Probability of the first answer", "Change"]
    yield section("What if", table(headings, rows))


def _neighbours(report: Report) -> Iterator[str]:
    if report.neighbours:
        rows = [
            (each.sequence_id, each.gesture, each.subject, each.distance)
            for each in report.neighbours
        ]
        yield section(
            "The nearest training sequences",
            table(["Sequence", "Gesture", "Subject", "Distance (standard deviations)"], rows),
        )
