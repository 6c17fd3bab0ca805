"""benchmarks.orientation: what is corrected in each fold, and what that is worth."""

import sys

from benchmarks import orientation
from tests.support.detectors import BELOW_ZERO
from trainer.data.orientation_detector import OrientationDetector


def run_benchmark(source, run, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["orientation", str(source), "--run", str(run)])
    orientation.main()
    head, _, *lines = capsys.readouterr().out.splitlines()
    assert head == "| device | decided | corrected | score | accuracy |"
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]


def test_too_few_subjects_have_no_detector_and_nothing_is_corrected(
    tiny_run, tiny_source, capsys, monkeypatch
):
    """Three rows of recordings as worn and three of rotated ones, each three the same."""
    rows = run_benchmark(tiny_source, tiny_run, capsys, monkeypatch)
    assert [row[0] for row in rows] == ["as worn"] * 3 + ["rotated"] * 3
    assert {row[2] for row in rows} == {"0.0000"}
    assert [rows[0][3:]] * 2 == [row[3:] for row in rows[1:3]]
    assert [rows[3][3:]] * 2 == [row[3:] for row in rows[4:]]


def test_a_detector_that_corrects_all_exchanges_both_scores(
    tiny_run, tiny_source, capsys, monkeypatch
):
    """The rotated ones are predicted as worn, and those as worn as rotated."""
    all_of = OrientationDetector.from_plain(BELOW_ZERO | {"weights": [0.0] * 28})
    monkeypatch.setattr(orientation, "fit_detector", lambda *_: all_of)
    monkeypatch.setattr(
        OrientationDetector, "log_odds", lambda _, features_NF: features_NF[:, 0] - 9
    )
    rows = run_benchmark(tiny_source, tiny_run, capsys, monkeypatch)
    assert [row[2] for row in rows] == ["0.0000", "1.0000", "1.0000"] * 2
    assert rows[0][3:] == rows[4][3:] == rows[5][3:]
    assert rows[3][3:] == rows[1][3:] == rows[2][3:]
