"""Places: the signal and time window of a feature are those that its value is computed from."""

from dataclasses import replace

import numpy as np
import pytest

from tests.support.builders import make_table
from trainer.data.preprocess import preprocess
from trainer.data.sources import sequences_from_table
from trainer.explain.places import bin_bounds, count_bins, num_time_bins, place_of
from trainer.features.feature_table import FeatureError, build_table
from trainer.predict.fitted_models import PredictError
from trainer.predict.predictor import Predictor


@pytest.fixture(scope="module")
def sequence():
    """One right-handed sequence of 50 steps, all sensors."""
    table = make_table(num_subjects=1, sequences_per_subject=1, length=50, seed=5, labelled=False)
    return sequences_from_table(table)


@pytest.fixture(scope="module")
def features(sequence):
    return build_table(preprocess(sequence))


def left_handed(sequence):
    return replace(sequence, right_handed_N=np.zeros(1, dtype=np.float32))


@pytest.mark.parametrize(
    ("statistic", "reduce"),
    [("mean", np.nanmean), ("late_max", np.nanmax), ("first", np.nanmean), ("last", np.nanmean)],
)
def test_the_window_of_a_place_gives_the_features_value(sequence, features, statistic, reduce):
    """The line of a place, reduced over its window, is the value in the feature table."""
    names = [name for name in features.names if name.endswith(f".{statistic}")]
    names = [name for name in names if "minus" not in name]
    assert len(names) > 20
    for name in names:
        place = place_of(sequence, name, 5)
        (line_T,) = place.lines.values()
        value = features.values_NF[0, features.names.index(name)]
        assert reduce(line_T[place.start : place.stop]) == pytest.approx(value, rel=1e-4, abs=1e-4)


def test_a_time_bin_is_the_bin_of_the_features(sequence, features, tiny_run):
    """Five bins of 50 steps; the mean of the third is that of steps 20 to 29."""
    predictor = Predictor.load(tiny_run)
    assert count_bins(features.names) == num_time_bins(predictor) == 5
    network = replace(predictor, models={"torch": predictor.models["torch"]})
    assert num_time_bins(network) == 0
    assert bin_bounds(50, 5).tolist() == [0, 10, 20, 30, 40, 50]
    place = place_of(sequence, "acc.linear_z.bin3_mean", 5)
    assert (place.start, place.stop, place.sensor) == (20, 30, "acc")
    assert not place.is_whole
    value = features.values_NF[0, features.names.index("acc.linear_z.bin3_mean")]
    assert place.lines["linear_z"][20:30].mean() == pytest.approx(value, abs=1e-4)


def test_every_feature_but_the_length_has_a_signal(sequence, features):
    """Every name of the table is parsed and has a line."""
    without = [name for name in features.names if not place_of(sequence, name, 5).lines]
    assert without == ["acc.length.steps"]


@pytest.mark.parametrize(
    ("feature", "lines", "window"),
    [
        ("acc.linear_xz.correlation", ["linear_x", "linear_z"], (0, 50)),
        ("acc.linear_z_vertical.correlation", ["linear_z", "vertical"], (0, 50)),
        ("rot.gravity.principal1_share", ["gravity_x", "gravity_y", "gravity_z"], (0, 50)),
        ("thm_1.minus_thm_3.late_mean", ["thm_1", "thm_3"], (30, 50)),
        ("acc.acc_x.late_minus_early", ["acc_x"], (0, 50)),
        ("acc.acc_x.band2_share", ["acc_x"], (0, 50)),
        ("tof_2.range_min.last", ["tof_2 range_min"], (49, 50)),
    ],
)
def test_a_place_has_all_signals_of_its_feature(sequence, feature, lines, window):
    """Of pairs, vectors and differences too."""
    place = place_of(sequence, feature, 5)
    assert (list(place.lines), (place.start, place.stop)) == (lines, window)


def test_a_region_of_an_image_is_found_again(sequence):
    """A 2 x 2 block of the third sensor, in the late part; its line is the mean of its pixels."""
    place = place_of(sequence, "tof_3.block_r1c2.late_mean", 5)
    assert (place.region.sensor, place.region.rows, place.region.columns) == (
        *("tof_3", (2, 3)),
        (4, 5),
    )
    pixels = sequence.tof_T320[40].reshape(5, 8, 8)[2, 2:4, 4:6]
    seen = pixels[pixels >= 0]
    expected = seen.mean() if len(seen) else np.nan
    (line_T,) = place.lines.values()
    assert line_T[40] == pytest.approx(expected, nan_ok=True)


def test_a_mirrored_left_hand_is_marked_where_it_was_recorded(sequence):
    """Sensors 3 and 5 change places, and the columns of an image are reversed."""
    left = left_handed(sequence)
    assert place_of(left, "thm_3.temperature.mean", 5).sensor == "thm_5"
    region = place_of(left, "tof_5.block_r1c0.late_mean", 5).region
    assert (region.sensor, region.rows, region.columns) == ("tof_3", (2, 3), (6, 7))
    plain = place_of(left, "thm_3.temperature.mean", 5, mirror_left_handers=False)
    assert plain.sensor == "thm_3"


def test_several_sequences_and_unknown_names_are_refused(sequence):
    """Each with its own error."""
    table = make_table(num_subjects=1, sequences_per_subject=2, length=12, labelled=False)
    with pytest.raises(PredictError, match="expected one sequence to explain, got 2"):
        place_of(sequences_from_table(table), "acc.acc_x.mean", 5)
    with pytest.raises(FeatureError, match="expected a name such as"):
        place_of(sequence, "nonsense", 5)


def test_a_missing_sensor_has_no_line(sequence):
    """Its features are missing values; nothing is drawn for them."""
    imu = sequence.without(["thm", "tof", "rot"])
    for feature in ("thm_1.temperature.mean", "tof_1.range_mean.mean", "rot.heading.std"):
        assert place_of(imu, feature, 5).lines == {}
    assert place_of(imu, "acc.linear_x.mean", 5).lines == {}
    assert list(place_of(imu, "acc.acc_x.mean", 5).lines) == ["acc_x"]
