"""What the page Scores computes of an out-of-fold table, and its figures, on literal values."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from pages.ui.scores import (
    blend_weights,
    calibration,
    confusion,
    result_tables,
    score_figures,
    weight_figures,
)
from pages.ui.scores.blend_gain import CHOSEN, BlendGain, Comparison
from pages.ui.shared import results, words

WEIGHTS = {"lgbm": 0.4, "torch": 0.6}


def small_oof(done_lgbm=(0, 1), done_torch=(0,)):
    """Two folds of two sequences each; LightGBM predicts all correctly, the network none."""
    fold = [0, 0, 1, 1]
    gesture = ["a", "b", "a", "b"]
    correct = {"a": [0.9, 0.1], "b": [0.1, 0.9]}
    table = pl.DataFrame(
        {"sequence_id": list("pqrs"), "subject": list("xxyy"), "gesture": gesture, "fold": fold}
    )
    for model, done, is_correct in (("lgbm", done_lgbm, True), ("torch", done_torch, False)):
        for k, name in enumerate("ab"):
            column = [
                (correct[g][k] if is_correct else 1 - correct[g][k]) if f in done else None
                for g, f in zip(gesture, fold, strict=True)
            ]
            table = table.with_columns(pl.Series(f"{model}:{name}", column, dtype=pl.Float64))
    return results.read_oof(table, ("a", "b"), 1)


def test_sequences_of_unfinished_folds_are_not_scored():
    """A model is scored on its finished folds only, the blend on those of both."""
    oof = small_oof()
    assert oof.done_mask("lgbm").tolist() == [True, True, True, True]
    assert oof.done_mask("blend").tolist() == [True, True, False, False]
    rows = result_tables.fold_table(oof, {"lgbm": 0.4, "torch": 0.6})
    assert rows.select("fold", "model", "score").rows() == [
        (0, "Blend", 0.0),
        (0, "LightGBM", 1.0),
        (0, "Network", 0.0),
        (1, "LightGBM", 1.0),
    ]


def test_there_is_no_blend_without_a_fold_that_both_models_have_finished():
    """Two models without a common fold cannot be blended."""
    assert small_oof(done_lgbm=(0,), done_torch=(1,)).choices == ("lgbm", "torch")
    assert small_oof(done_lgbm=(), done_torch=()).choices == ()


def test_folds_are_ranked_and_the_hardest_is_named():
    """The lowest score has the last rank; of a single fold none is named."""
    rows = result_tables.fold_table(small_oof(done_torch=(0, 1)), WEIGHTS)
    assert rows.columns[:3] == ["fold", "model", "rank"]
    table = pl.DataFrame({"fold": [0, 1], "model": ["Blend"] * 2, "score": [0.5, 0.7]})
    assert result_tables.hardest_fold(table) == "fold 0 is the hardest for Blend"
    assert result_tables.hardest_fold(table.head(1)) == ""


def test_precision_recall_and_f1_of_every_gesture():
    """Literal counts; a gesture that never occurs has no recall rather than 0."""
    count_KK = result_tables.confusion(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]), 3)
    assert count_KK.tolist() == [[2, 1, 0], [0, 1, 0], [0, 0, 0]]
    table = result_tables.gesture_table(count_KK, ("a", "b", "c"), 1)
    assert table["precision"].to_list() == [1.0, 0.5, None]
    assert table["recall"].to_list() == [pytest.approx(2 / 3), 1.0, None]
    assert table["f1"].to_list() == [pytest.approx(0.8), pytest.approx(2 / 3), None]
    assert table["most_taken_for"].to_list() == ["b", None, None]
    assert table["kind"].to_list() == ["target", "non-target", "non-target"]


def test_the_hardest_subject_comes_first():
    """Ordered by score, with the fold that validates the subject."""
    oof = small_oof(done_torch=(0, 1))
    rows = result_tables.subject_table(oof, "torch", {})
    assert rows.select("subject", "fold", "score").rows() == [("x", 0, 0.0), ("y", 1, 0.0)]


def test_confusion_cells_are_counts_or_shares_of_the_true_gesture():
    """An empty cell has no text, so that confusions stand out."""
    count_KK = np.array([[3, 1], [0, 2]])
    shares = confusion.confusion_figure(count_KK, ("a", "b"), 1, as_shares=True)
    assert shares.data[0].z.tolist() == [[75.0, 25.0], [0.0, 100.0]]
    assert shares.data[0].text == (["75", "25"], ["", "100"])
    counts = confusion.confusion_figure(count_KK, ("a", "b"), 1, as_shares=False)
    assert counts.data[0].text == (["3", "1"], ["", "2"])


def test_shares_that_round_to_nothing_are_not_zero():
    """1 in 300 is written <1, an empty cell stays empty."""
    figure = confusion.confusion_figure(np.array([[299, 1], [0, 2]]), ("a", "b"), 1, True)
    assert figure.data[0].text == (["100", "<1"], ["", "100"])


def test_every_cell_with_a_sequence_can_be_clicked():
    """Streamlit reports clicks on points only: one lies on each cell that is not empty."""
    figure = confusion.confusion_figure(np.array([[3, 1], [0, 2]]), ("a", "b"), 1, True)
    points = figure.data[1]
    assert list(zip(points.y, points.x, strict=True)) == [(0, 0), (0, 1), (1, 1)]
    assert [list(cell)[:2] for cell in points.customdata] == [[0, 0], [0, 1], [1, 1]]


def test_the_most_confused_gestures_come_first():
    """Counts, shares of the true gesture, and the counts of the reverse confusion."""
    count_KK = np.array([[6, 2, 0], [1, 9, 0], [4, 0, 6]])
    assert result_tables.pair_table(count_KK, ("a", "b", "c")).rows() == [
        ("c", "a", 4, 40.0, 0),
        ("a", "b", 2, 25.0, 1),
        ("b", "a", 1, 10.0, 2),
    ]
    nothing = result_tables.pair_table(np.diag([3, 3]), ("a", "b"))
    assert confusion.describe(nothing) == "no gesture is misclassified"


def test_the_weight_curve_ends_at_the_models_alone():
    """Weight 0 is the network's score, weight 1 LightGBM's."""
    oof = small_oof(done_torch=(0, 1))
    curve = blend_weights.weight_curve(oof, blend_weights.compare(oof, WEIGHTS))
    assert curve["weight"][0] == 0.0
    assert curve["weight"][-1] == 1.0
    assert (curve["score"][0], curve["score"][-1]) == (0.0, 1.0)


def gain(difference, low, high):
    """Return the gain over two models and over chosen weights; LightGBM is the better model."""

    def row(other, alternative, measure="score"):
        return Comparison(other, measure, alternative + difference, alternative, low, high)

    chosen = {0: {"lgbm": 0.5, "torch": 0.5}, 1: {"lgbm": 0.75, "torch": 0.25}}
    rows = (row("lgbm", 0.9), row("torch", 0.8), row(CHOSEN, 0.9), row("lgbm", 0.7, "accuracy"))
    return BlendGain(rows, chosen, np.empty((0, 0), dtype=np.int64))


@pytest.mark.parametrize(
    ("difference", "low", "high", "text"),
    [
        (
            *(-0.0114, -0.018, -0.004),
            "0.011 less than LightGBM alone (between -0.018 and -0.004 for other people like "
            "these)",
        ),
        (
            *(0.005, -0.002, 0.009),
            "0.005 more than LightGBM alone (between -0.002 and +0.009 for other people like "
            "these, so either may be better)",
        ),
        (0.0001, None, None, "the same as LightGBM alone"),
    ],
)
def test_one_sentence_states_what_the_blend_gains_over_the_best_model(difference, low, high, text):
    """The difference, its interval, and whether it leaves open which is better."""
    assert blend_weights.headline(gain(difference, low, high)) == f"The blend scores {text}"


def test_the_note_has_the_weights_in_use_and_the_gain_over_chosen_ones():
    """The lowest and the highest weight that the folds have chosen for each model."""
    assert blend_weights.note(gain(-0.01, -0.02, 0.01), WEIGHTS) == (
        "Weights in use, fixed before training: LightGBM 0.4, Network 0.6. The blend scores 0.010 "
        "less than with weights chosen on the other folds (between -0.020 and +0.010, so either "
        "may be better): LightGBM 0.5 to 0.75, Network 0.25 to 0.5."
    )


def test_the_gain_table_has_a_row_for_each_measure_and_alternative():
    """Differences are the blend less the alternative."""
    table = blend_weights.gain_table(gain(-0.1, -0.2, 0.1))
    assert table["compared_with"].to_list() == [
        *("LightGBM alone", "Network alone", "Chosen weights", "LightGBM alone"),
    ]
    assert table["measure"].to_list() == ["Score", "Score", "Score", "Accuracy"]
    assert table["gain"].to_list() == pytest.approx([-0.1] * 4)
    assert table.row(0)[3:] == pytest.approx((-0.2, 0.1, 0.8, 0.9))


def test_the_blend_is_compared_over_the_sequences_that_all_models_have_scored():
    """Of fold 0 alone, the only one of both: LightGBM predicts all correctly, the blend none."""
    compared = blend_weights.compare(small_oof(), WEIGHTS)
    assert [(each.other, each.blend, each.alternative) for each in compared.comparisons[:2]] == [
        ("lgbm", 0.0, 1.0),
        ("torch", 0.0, 0.0),
    ]
    assert compared.chosen == {}


def test_the_weight_in_use_is_marked_on_the_curve():
    """0.4 : 0.6 in the legend, with a symbol of its own."""
    oof = small_oof(done_torch=(0, 1))
    curve = blend_weights.weight_curve(oof, blend_weights.compare(oof, WEIGHTS))
    figure = weight_figures.weight_figure(curve, ("LightGBM", "Network"), (0.4, 0.5), 40)
    assert [trace.name for trace in figure.data][1:] == ["In use, 0.4 : 0.6", "Highest score"]
    assert figure.data[1].x == (0.4,)


def test_the_expected_calibration_error_of_literal_predictions():
    """Three predictions at 0.95 of which two are correct, one at 0.55 that is correct."""
    proba_MK = np.array([[0.95, 0.05], [0.95, 0.05], [0.05, 0.95], [0.45, 0.55]])
    bins = calibration.reliability_table(np.array([0, 0, 0, 1]), proba_MK)
    assert bins.select("bin_low", "sequences").rows() == [(0.5, 1), (0.9, 3)]
    assert bins["accuracy"].to_list() == pytest.approx([1.0, 2 / 3])
    error = 0.25 * 0.45 + 0.75 * (0.95 - 2 / 3)
    assert calibration.expected_error(bins) == pytest.approx(error)


def test_an_interval_of_a_share_holds_it_and_narrows():
    """Wilson's 95 % interval of 8 in 10: 0.49 to 0.94, as in the textbooks."""
    assert calibration.wilson(0.8, 10) == pytest.approx((0.490, 0.943), abs=1e-3)
    low, high = calibration.wilson(1.0, 100)
    assert (round(low, 3), round(high, 3)) == (0.963, 1.0)


def test_a_model_is_overconfident_underconfident_or_well_calibrated():
    """Its mean probability is above its accuracy, below it, or within two points of it."""
    row = {"mean_probability": 0.9, "accuracy": 0.8}
    text = calibration.describe(row).replace(words.NO_BREAK, " ")
    assert text == "overconfident: mean probability 90 %, accuracy 80 %"
    assert calibration.describe(row | {"accuracy": 0.95}).startswith("underconfident")
    assert calibration.describe(row | {"accuracy": 0.91}).startswith("well calibrated")


def test_each_model_and_the_blend_have_a_symbol_of_their_own():
    """Also in a run of many models; the blend's comes first, and is the same in every run."""
    symbols = score_figures.model_symbols([f"model{number}" for number in range(8)])
    assert len(set(symbols.values())) == 9
    assert next(iter(symbols.items())) == ("blend", "square")


def test_figures_leave_their_colours_to_the_theme():
    """No trace sets a colour of its own, so that both themes keep theirs."""
    oof = small_oof(done_torch=(0, 1))
    rows = result_tables.fold_table(oof, {"lgbm": 0.4, "torch": 0.6})
    figure = score_figures.fold_figure(rows, ("lgbm", "torch"))
    assert [trace.name for trace in figure.data] == ["Blend", "LightGBM", "Network"]
    assert all(trace.marker.color is None for trace in figure.data)
