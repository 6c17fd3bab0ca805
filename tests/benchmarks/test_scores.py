"""benchmarks.scores: paired differences, and recordings without optional sensors."""

import polars as pl
import pytest

from benchmarks.scores import Results, Variant, imu_lines, score_lines, write_sources
from trainer.data.sources import load
from trainer.store.records import ModelScores, ScoreRow, Scores, SensorScores


def scores_of(folds, imu=None):
    """Return the scores of a run with one model; None is a fold that is not done."""

    def sensor_scores(values):
        rows = tuple(None if value is None else score_row(value) for value in values)
        return SensorScores(folds=rows, oof=score_row(0.5))

    row = ModelScores(
        all_sensors=sensor_scores(folds), imu_only=None if imu is None else sensor_scores(imu)
    )
    return Scores(weights={"lgbm": 1.0}, models={"lgbm": row, "blend": row})


def score_row(score):
    return ScoreRow(score=score, binary_f1=score, macro_f1=score, accuracy=0.25, num_sequences=10)


def results_of(*scores):
    """Return the results of the seeds 42, 43, ..."""
    results = Results({}, {}, {})
    for seed, one in enumerate(scores, start=42):
        results.add(seed, one, {"lgbm": 0.75, "blend": 0.75})
    return results


def test_a_difference_pairs_the_folds_that_both_have():
    """Each fold of each seed is compared with the same fold of the same seed."""
    first = results_of(scores_of([0.5, 0.6]), scores_of([0.7, None]))
    other = results_of(scores_of([0.6, 0.6]), scores_of([0.8, 0.9]))
    lines = score_lines({"as it is": first, "changed": other})
    assert lines[2:] == [
        "| as it is | lgbm | last | all | 3 | 0.6000 +- 0.0816 |  | 0.5000 | 0.2500 | 0.7500 |",
        "| changed | lgbm | last | all | 4 | 0.7250 +- 0.1299 | +0.0667 +- 0.0471 | 0.5000 | "
        "0.2500 | 0.7500 |",
    ]


def test_imu_only_is_compared_with_a_training_without_the_other_sensors():
    """The other training has no optional sensors: its scores with all sensors are IMU-only ones."""
    own = results_of(scores_of([0.8, 0.8], imu=[0.6, 0.7]))
    without = results_of(scores_of([0.605, 0.75]))
    assert imu_lines({"as it is": own}, without)[2:] == [
        "| as it is | lgbm | last | 0.6500 +- 0.0500 | 0.6775 +- 0.0725 | -0.0275 +- 0.0225 | "
        "1 of 2 |"
    ]


def test_a_variant_is_a_name_and_settings():
    """Settings are separated by semicolons, since a value may contain commas."""
    variant = Variant.parse("wide: network.conv_channels=128,192; network.epochs=12", "watch")
    assert variant.name == "wide"
    assert variant.assignments == ("network.conv_channels=128,192", "network.epochs=12")
    with pytest.raises(ValueError, match="expected 'NAME: KEY=VALUE; KEY=VALUE', got 'wide'"):
        Variant.parse("wide", "watch")


def test_the_recordings_without_optional_sensors_have_the_same_rows(tmp_path):
    """Same sequences, subjects and gestures, so that both trainings have the same folds."""
    whole, without = (load(source) for source in write_sources("simulated:2", tmp_path))
    assert whole.groups == ("acc", "rot", "thm", "tof")
    assert without.groups == ("acc", "rot")
    assert without.sequence_ids.tolist() == whole.sequence_ids.tolist()
    assert without.label_idx.tolist() == whole.label_idx.tolist()
    assert without.subjects.tolist() == whole.subjects.tolist()
    assert without.acc_T3.tobytes() == whole.acc_T3.tobytes()
    table = pl.read_parquet(tmp_path / "simulated-2-imu" / "train.parquet")
    assert not [name for name in table.columns if name.startswith(("thm_", "tof_"))]
