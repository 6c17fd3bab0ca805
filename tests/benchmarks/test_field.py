"""benchmarks.field: the same folds as a run, results that are kept, inputs of one length."""

import dataclasses
import json
import re
import sys

import numpy as np
import pytest

from benchmarks import field
from benchmarks.field import METHODS, Predictions, predict, run_predictions, table_line
from benchmarks.field_inputs import FieldInputs, make_series, make_table
from tests.support.tiny_runs import tiny_config, write_source
from trainer.data.sequences import LabelTable
from trainer.folds import FoldAssignment
from trainer.store.reader import RunReader

NAN = np.nan


@pytest.fixture(scope="module")
def inputs(tiny_source):
    """Channels and the two folds of the tiny run's recordings, all sensors."""
    return FieldInputs.read(tiny_config(tiny_source))


@pytest.fixture(scope="module")
def more_inputs(tmp_path_factory):
    """As many as LightGBM needs for a split, with its default of 20 rows in a leaf."""
    source = write_source(tmp_path_factory.mktemp("more"), sequences_per_subject=32)
    return FieldInputs.read(tiny_config(source))


def test_a_series_is_interpolated_to_its_length_and_across_missing_values():
    """The ends stay where they are; the last known value is repeated, no value is 0."""
    channels_TC = np.array([[0, NAN], [NAN, NAN], [4, NAN], [1, 5], [2, NAN]], dtype=np.float32)
    series_NCL = make_series(channels_TC, np.array([0, 3, 5]), 5)
    assert series_NCL[0].tolist() == [[0, 1, 2, 3, 4], [0, 0, 0, 0, 0]]
    assert series_NCL[1].tolist() == [[1, 1.25, 1.5, 1.75, 2], [5, 5, 5, 5, 5]]


def test_the_table_holds_statistics_of_values_and_steps_and_the_length():
    """Mean, deviation, extremes, five quantiles: of channels and the norm, then of steps."""
    acc_T3 = np.array([[3, 0, 4], [6, 0, 8], [9, 0, 12], [0, 1, 0], [0, 1, 0]], dtype=np.float32)
    table_NF = make_table(acc_T3, np.array([0, 3, 5]))
    by_statistic_SC = table_NF[0, :-1].reshape(2, 9, 4)
    assert by_statistic_SC[0, :, 3] == pytest.approx([10, 5, 5, 15, 5.5, 7.5, 10, 12.5, 14.5])
    assert by_statistic_SC[1, :, 2].tolist() == [4, 0, 4, 4, 4, 4, 4, 4, 4]
    assert table_NF[:, -1].tolist() == [3, 2]


def test_a_channel_without_any_value_is_missing_in_the_table():
    """The other channels of the sequence have values; the trees handle NaN themselves."""
    channels_TC = np.array([[1, 2, 2, NAN], [1, 2, 2, NAN], [1, 2, 2, 7], [1, 2, 2, 7]])
    table_NF = make_table(channels_TC.astype(np.float32), np.array([0, 2, 4]))
    means_NC = table_NF[:, :5]
    assert means_NC[1].tolist() == [1, 2, 2, 7, 3]
    assert means_NC[0, [0, 1, 2, 4]].tolist() == [1, 2, 2, 3]
    assert np.isnan(means_NC[0, 3])


def test_all_sensors_are_channels(inputs):
    """Acceleration 3, quaternion 4, thermopiles 5, mean distances 5."""
    num_sequences = len(inputs.folds.fold_N)
    assert inputs.channels_TC.shape == (inputs.offsets[-1], 17)
    assert inputs.table_NF.shape == (num_sequences, 18 * 2 * 9 + 1)
    assert inputs.series_NCL(np.array([0])).shape[:2] == (num_sequences, 17)


def test_the_models_of_a_run_have_the_scores_that_the_run_reports(inputs, tiny_run):
    """Nothing is lost between the out-of-fold table and the line of the table."""
    run = RunReader(tiny_run)
    scores = run.scores().models
    found = dict(run_predictions(run, inputs.folds, num_folds=2))
    assert list(found) == ["run, lgbm", "run, torch", "run, blend"]
    for name, predictions in zip(("lgbm", "torch", "blend"), found.values(), strict=True):
        row = scores[name].all_sensors
        cells = table_line(name, [predictions], num_folds=2).split(" | ")
        assert cells[2:5] == [
            f"{row.mean:.4f} +- {row.std:.4f}",
            f"{row.oof.score:.4f}",
            f"{row.oof.accuracy:.4f}",
        ]


def test_a_run_on_other_folds_is_refused(inputs, tiny_run, tmp_path):
    """Scores on other folds are not comparable; a missing run has none."""
    other = dataclasses.replace(inputs.folds, fold_N=1 - inputs.folds.fold_N)
    with pytest.raises(SystemExit, match="its folds differ from the 2 folds of this source"):
        next(run_predictions(RunReader(tiny_run), other, 2))
    with pytest.raises(SystemExit, match="expected the folder of a finished run"):
        next(run_predictions(RunReader(tmp_path / "none"), inputs.folds, 2))


@pytest.mark.parametrize("name", METHODS)
def test_a_method_predicts_each_fold_once_and_reuses_it(name, more_inputs, tmp_path, monkeypatch):
    """The second call fits nothing, has the same result, and only adds the fold that is missing."""
    method = METHODS[name]
    if method.has_series:
        pytest.importorskip("aeon")
    predict(method, more_inputs, 42, 1, tmp_path)
    first = {path: path.read_bytes() for path in tmp_path.iterdir()}
    both = predict(method, more_inputs, 42, 2, tmp_path)
    assert len(first) == 1
    assert len(list(tmp_path.iterdir())) == 2
    assert all(path.read_bytes() == data for path, data in first.items())
    accuracy = np.mean(both.predicted_N == more_inputs.folds.label_idx)
    assert accuracy > 0.5  # of four gestures in equal shares

    monkeypatch.setattr(field, "_predict_fold", None)
    again = predict(method, more_inputs, 42, 2, tmp_path)
    assert again.predicted_N.tolist() == both.predicted_N.tolist()
    assert again.seconds == both.seconds
    assert again.seconds == sum(json.loads(p.read_bytes())["seconds"] for p in tmp_path.iterdir())


def test_a_result_of_another_seed_or_other_folds_is_not_reused(inputs):
    """The name of a result depends on the settings, the seed, the folds and the recordings."""
    method = METHODS["extra-trees"]
    folds = dataclasses.replace(inputs.folds, fold_N=1 - inputs.folds.fold_N)
    other_folds = dataclasses.replace(inputs, folds=folds)
    other_recordings = dataclasses.replace(inputs, fingerprint="0" * 64)
    keys = {field._key(method, one, 42, 0) for one in (inputs, other_folds, other_recordings)}
    keys |= {field._key(method, inputs, 43, 0), field._key(METHODS["lightgbm"], inputs, 42, 0)}
    assert len(keys) == 5


def test_a_line_has_the_folds_of_all_seeds_and_means_over_seeds():
    """Gestures a and b are targets; one of four rows is wrong in the second seed only."""
    folds = FoldAssignment(
        sequence_ids=np.array(["1", "2", "3", "4"]),
        subjects=np.array(["p", "p", "q", "q"]),
        label_idx=np.array([0, 2, 1, 2]),
        fold_N=np.array([0, 0, 1, 1]),
        labels=LabelTable(("a", "b", "c"), num_targets=2),
    )
    right = Predictions(folds, np.array([0, 2, 1, 2]), 2.0)
    wrong = Predictions(folds, np.array([0, 2, 0, 2]), 4.0)
    assert (
        table_line("x", [right, wrong], num_folds=2)
        == "| x | 4 | 0.9167 +- 0.1443 | 0.8889 | 0.8750 | 0.7778 | 3.0 |"
    )
    first = table_line("x", [wrong], num_folds=1)
    assert first == "| x | 1 | 1.0000 +- 0.0000 | 1.0000 | 1.0000 | 0.6667 | 4.0 |"


def test_without_aeon_the_other_methods_are_left_and_the_reason_is_printed(capsys, monkeypatch):
    """The message contains the command that installs it."""
    monkeypatch.setattr(field, "find_spec", lambda _: None)
    methods = field.select_methods(["minirocket", "extra-trees"])
    assert [method.title for method in methods] == ["plain table, ExtraTrees"]
    assert "pip install -r requirements-field.txt" in capsys.readouterr().out


def test_the_command_prints_the_first_fold(tiny_source, tmp_path, capsys, monkeypatch):
    """One method, one fold of five; the tiny recordings are easy."""
    words = ["field", str(tiny_source), "--state", str(tmp_path / "new"), "--folds", "1"]
    monkeypatch.setattr(sys, "argv", [*words, "--methods", "extra-trees"])
    field.main()
    head, _, line = capsys.readouterr().out.splitlines()
    assert head == "| method | folds | score | out of fold | accuracy | macro F1 | seconds |"
    assert line.startswith("| plain table, ExtraTrees | 1 | 1.0000 +- 0.0000 | 1.0000 |")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--methods", "rocket"], "--methods: expected minirocket, .*; got rocket"),
        (["--folds", "6"], "--folds: expected 1 to 5, got 6"),
        (["--seeds", "1,2", "--run", "x"], "--run: expected one for each of 2 seeds, got 1"),
    ],
)
def test_a_wrong_option_is_refused_with_its_name(words, message, tmp_path, capsys, monkeypatch):
    """The message contains the option, what was expected and what came."""
    monkeypatch.setattr(sys, "argv", ["field", "watch", "--state", str(tmp_path), *words])
    with pytest.raises(SystemExit):
        field.main()
    assert re.search(message, capsys.readouterr().err)
