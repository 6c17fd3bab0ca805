"""Names of features in words."""

import pytest

from trainer.data.sequences import SENSOR_GROUPS
from trainer.features.feature_table import feature_names
from trainer.features.meanings import meaning_of


def test_every_feature_has_a_meaning_of_its_own():
    """All names of a table with all sensors; beside its own sensor a meaning names one feature."""
    names = feature_names(SENSOR_GROUPS)
    meanings = {name: meaning_of(name) for name in names}
    assert [name for name, meaning in meanings.items() if not meaning or "{" in meaning] == []
    distinct = {(name.partition(".")[0], meaning) for name, meaning in meanings.items()}
    assert len(distinct) == len(names)


@pytest.mark.parametrize(
    ("feature", "meaning"),
    [
        ("rot.turn_rate.bin2_mean", "mean of the turn about the vertical in time bin 2"),
        (
            "rot.turn_rate_forward.leading",
            "correlation of the turn about the vertical with the acceleration forward along the "
            "ground two steps later",
        ),
        (
            "acc.acc_z_heading.area",
            "signed area swept by the acceleration along z (with gravity) and the heading of the "
            "arm, from its mean: above 0, the first is ahead",
        ),
        (
            "acc.acc_x_acc_x.step_correlation",
            "correlation of the acceleration along x (with gravity) with how fast the acceleration "
            "along x (with gravity) changes",
        ),
        ("acc.acc_x.autocorr1", "correlation of the acceleration along x (with gravity) with "
         "itself one step later"),
        ("thm_1.minus_thm_3.late_mean", "mean of the temperature minus that of thm_3 in the last "
         "40 % of the recording"),
        ("tof_2.block_r1c3.late_mean", "mean range in rows 2 to 3, columns 6 to 7, in the last "
         "40 % of the recording"),
        ("acc.length.steps", "length of the recording, steps"),
    ],
)  # fmt: skip
def test_a_meaning_is_a_readable_phrase(feature, meaning):
    """One signal, two, one with itself, a difference, a part of an image, the length."""
    assert meaning_of(feature) == meaning


@pytest.mark.parametrize(
    "feature", ["", "acc", "acc.acc_x.unheard_of", "acc.gyro_x.mean", "tof_1.block_r0c0.mean"]
)
def test_a_name_of_another_table_has_no_meaning(feature):
    """Nothing is guessed."""
    assert meaning_of(feature) == ""
