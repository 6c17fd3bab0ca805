"""Score panels: the headline of the page Scores, and what the weights of the blend are worth.

In: the scores that a run recorded, the report on its blend. Out: elements on the page.
"""

from __future__ import annotations

from collections.abc import Collection

import polars as pl
import streamlit as st

from pages.ui.scores import charts_scores, figures, score_columns, score_tables
from pages.ui.scores.scoreboard import BlendReport
from pages.ui.shared import panels, words
from pages.ui.shared.readers import Version
from trainer.store.records import Scores

EVERY, HALF = score_tables.SENSOR_NAMES["all"], score_tables.SENSOR_NAMES["half"]
HALF_HELP = " Mean of all sensors and IMU only, which is what the leaderboard measures."


def headline(scores: Scores, models: Collection[str], version: Version) -> None:
    """Show the score of each model and the blend, its halves, mean and spread over the folds.

    Args:
        scores: As recorded.
        models: Those of the run; the blend of one model is that model and is left out.
        version: Of the file of the scores.
    """
    table = score_tables.headline_table(scores)
    if len(models) == 1:
        table = table.remove(model=words.MODELS["blend"])
    _cards(table)
    left, right = st.columns(2, gap="large")
    with left:
        panels.chart(
            "The score and its two halves, mean and spread over the folds",
            figures.drawn(("parts", version), lambda: charts_scores.score_figure(table)),
            table,
            "score_parts",
            "Each fold's best round or epoch was chosen on the fold that is scored, so these "
            f"scores are a little optimistic. {score_tables.fixed_sentence(scores)}",
        )
    with right:
        panels.table("The same in numbers", table, "scores", score_columns.HEADLINE)


def weights(report: BlendReport) -> None:
    """Show the score against the weight, and what choosing the weight is really worth."""
    used, used_score = report.used
    best = report.curve.row(report.best, named=True)
    left, right = st.columns(2, gap="large")
    with left:
        panels.chart(
            f"Out-of-fold score against the weight: {used_score:.4f} with {used:g} : "
            f"{1 - used:g} in use, at best {best['score']:.4f} with {best['lgbm_weight']:g}",
            figures.drawn(
                ("weights", *report.key),
                lambda: charts_scores.weight_figure(report.curve, report.used, report.best),
            ),
            report.curve,
            "blend_weights",
            "0 is the network alone, 1 is LightGBM alone. The weight in use was fixed before "
            "training.",
        )
    with right:
        st.warning(
            "Do not take the best point of this curve: it was found on the very sequences that "
            "score it, so it looks better than it is.",
            icon=":material/warning:",
        )
        _nested(report.nested, best["score"] - used_score)


def _cards(table: pl.DataFrame) -> None:
    """Show one number per model: of both choices of sensors together, where there are two."""
    is_half = HALF in table["sensors"]
    cards = st.grid(columns=3, min_column_width=150)
    for row in table.filter(sensors=HALF if is_half else EVERY).iter_rows(named=True):
        folds = f"{row['folds']} fold{'s' * (row['folds'] > 1)}"
        cards.metric(
            f"{row['model']}, {'mean of both' if is_half else 'mean score'}",
            words.score(row["mean"]),
            delta=None if row["std"] is None else f"± {row['std']:.3f} over {folds}",
            delta_color="off",
            delta_arrow="off",
            border=True,
            help=score_columns.SCORE_HELP + (HALF_HELP if is_half else ""),
        )


def _nested(nested: pl.DataFrame | None, promised: float) -> None:
    if nested is None:
        st.caption("The honest check needs two folds that both models have done.")
        return
    gain = nested["difference"].mean()
    panels.table(
        f"Chosen on the other folds, the weight scores {gain:+.4f} against the one in use",
        nested,
        "nested_weights",
        score_columns.NESTED,
        "Each fold is held out in turn: its weight is chosen without it and scored on it. Mean "
        f"difference over the folds {gain:+.4f}; the curve promises {promised:+.4f}.",
    )
