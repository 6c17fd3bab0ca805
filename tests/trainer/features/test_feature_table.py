"""The feature table: its names, its numbers, and that they depend on one sequence only."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.builders import make_table
from trainer.data.preprocess import MOTION_SIGNALS, Signals, preprocess
from trainer.data.raw_table import sequences_from_table
from trainer.features.feature_table import (
    FeatureError,
    FeatureName,
    FeatureTable,
    align,
    build_table,
    grid_map,
    parse_name,
    validate,
)
from trainer.features.grid import GridRegion

SENSORS = {"acc", "rot", *(f"{kind}_{i}" for kind in ("thm", "tof") for i in range(1, 6))}
LENGTHS = (1, 2, 3, 4, 5, 9, 31, 127, 140)


def make_signals(lengths=LENGTHS, seed=0, has_rot=True, has_thm=True, has_tof=True):
    """Return random signals; one sequence after the other, unit quaternions."""
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    num_steps = int(offsets[-1])
    motion_TS = rng.normal(1, 2, (num_steps, len(MOTION_SIGNALS))).astype(np.float32)
    motion_TS[:, -4:] /= np.linalg.norm(motion_TS[:, -4:], axis=1, keepdims=True)
    if not has_rot:
        motion_TS[:, 4:] = np.nan
    tof_T320 = rng.integers(-150, 255, (num_steps, 320)).astype(np.float32)
    return Signals(
        offsets=offsets,
        motion_TS=motion_TS,
        thm_T5=rng.normal(28, 3, (num_steps, 5)).astype(np.float32) if has_thm else None,
        tof_T320=np.where(tof_T320 < 0, np.float32(-1), tof_T320) if has_tof else None,
    )


def only_acc_x(values, lengths):
    """Return signals in which only acc_x is known."""
    motion_TS = np.full((len(values), len(MOTION_SIGNALS)), np.nan, dtype=np.float32)
    motion_TS[:, 0] = values
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Signals(offsets, motion_TS, None, None)


def pick(signals, sequence):
    """Return one sequence of the signals, alone."""
    rows = slice(*signals.offsets[sequence : sequence + 2])
    return Signals(
        np.array([0, rows.stop - rows.start]),
        signals.motion_TS[rows],
        signals.thm_T5[rows],
        signals.tof_T320[rows],
    )


def column(table, name):
    return table.values_NF[:, table.names.index(name)]


def test_a_sequence_has_the_same_features_alone_and_among_others():
    """Neighbours of any length, with huge values or none, change no feature by more than 1e-6."""
    signals = make_signals()
    signals.motion_TS[signals.offsets[4] : signals.offsets[5]] *= 1e6
    signals.thm_T5[signals.offsets[6] : signals.offsets[7]] = np.nan
    table = build_table(signals)
    for sequence in range(len(LENGTHS)):
        alone_F = align(build_table(pick(signals, sequence)), table.names)[0]
        np.testing.assert_allclose(alone_F, table.values_NF[sequence], rtol=1e-6, atol=1e-6)


def test_a_table_is_the_same_whatever_stretches_it_is_computed_in(monkeypatch):
    """Stretches of 30, 90 and 200 steps: the same bits, also of signals that most of them lack."""
    signals = make_signals()
    signals.motion_TS[: signals.offsets[7], 4:] = np.nan
    signals.thm_T5[signals.offsets[2] : signals.offsets[6]] = np.nan
    whole = build_table(signals)
    for steps in (30, 90, 200):
        monkeypatch.setattr("trainer.features.feature_table.STRETCH_STEPS", steps)
        table = build_table(signals)
        assert table.names == whole.names
        assert table.values_NF.tobytes() == whole.values_NF.tobytes()


def test_the_numbers_of_an_image_are_those_of_a_plain_loop_over_its_pixels():
    """Range series and late regions of random images, in range, out of range and missing."""
    rng = np.random.default_rng(7)
    signals = make_signals(lengths=(12, 30))
    tof_T320 = rng.integers(0, 255, signals.tof_T320.shape).astype(np.float32) + 0.25
    kind_T320 = rng.random(tof_T320.shape)
    tof_T320[kind_T320 < 0.4] = -1
    tof_T320[kind_T320 > 0.9] = np.nan
    table = build_table(dataclasses.replace(signals, tof_T320=tof_T320))
    for sequence, steps in enumerate((range(12), range(12, 42))):
        images = [tof_T320[step, 64:128].astype(np.float64) for step in steps]
        seen = [image[image >= 0] for image in images]
        late = np.stack(images[-(len(steps) * 2 // 5) :]).reshape(-1, 8, 8)
        block, quadrant = late[:, 2:4, 6:8], late[:, :4, 4:]
        expected = {
            "range_mean.mean": np.mean([values.mean() for values in seen]),
            "range_std.max": max(values.std() for values in seen),
            "range_min.min": min(values.min() for values in seen),
            "range_max.max": max(values.max() for values in seen),
            "block_r1c3.late_mean": block[block >= 0].mean(),
            "block_r1c3.late_in_range_share": (block >= 0).sum() / (~np.isnan(block)).sum(),
            "quadrant_r0c1.late_mean": quadrant[quadrant >= 0].mean(),
            "quadrant_r0c1.late_in_range_share": (quadrant >= 0).sum()
            / (~np.isnan(quadrant)).sum(),
            "quadrant_r0c1.late_min": quadrant[quadrant >= 0].min(),
        }
        for name, value in expected.items():
            assert column(table, f"tof_2.{name}")[sequence] == pytest.approx(value, rel=1e-5), name


def test_statistics_of_a_known_series_have_their_textbook_values():
    """0, 2, 0, 4 and a second sequence: mean, spread, steps, turns and lags are as by hand."""
    table = build_table(only_acc_x([0, 2, 0, 4, 7, 7], [4, 2]))
    expected = {
        "acc.length.steps": [4, 2],
        "acc.acc_x.mean": [1.5, 7],
        "acc.acc_x.std": [np.sqrt(2.75), 0],
        "acc.acc_x.min": [0, 7],
        "acc.acc_x.max": [4, 7],
        "acc.acc_x.median": [1, 7],
        "acc.acc_x.iqr": [2.5, 0],
        "acc.acc_x.first": [0, 7],
        "acc.acc_x.last": [4, 7],
        "acc.acc_x.delta": [4, 0],
        "acc.acc_x.step_mean": [8 / 3, 0],
        "acc.acc_x.step_max": [4, 0],
        "acc.acc_x.num_turns": [2, np.nan],
        "acc.acc_x.num_mean_crossings": [3, 0],
        "acc.acc_x.autocorr1": [-(0.75 + 0.75 + 3.75) / 3 / 2.75, np.nan],
        "acc.acc_x.autocorr4": [np.nan, np.nan],
        "acc.acc_x.max_at": [1, 0],
        "acc.acc_x.min_at": [0, 0],
        "acc.acc_x.energy_at": [(0.25 / 3 + 2.25 * 2 / 3 + 6.25) / 11, np.nan],
    }
    for name, values in expected.items():
        np.testing.assert_allclose(column(table, name), values, rtol=1e-6, err_msg=name)


def test_five_equal_bins_hold_a_fifth_of_the_sequence_each():
    """Of ten steps each bin has two; of three steps two bins are empty and NaN."""
    table = build_table(only_acc_x([*range(10), 1, 2, 3], [10, 3]))
    means = [column(table, f"acc.acc_x.bin{number}_mean") for number in range(1, 6)]
    np.testing.assert_array_equal([mean[0] for mean in means], [0.5, 2.5, 4.5, 6.5, 8.5])
    np.testing.assert_array_equal([mean[1] for mean in means], [1, 2, np.nan, 3, np.nan])
    np.testing.assert_array_equal(column(table, "acc.acc_x.late_mean"), [7.5, 3])


def test_the_dominant_frequency_is_in_cycles_per_step():
    """A sine of 8 steps has its peak at 0.125 cycles per step, whatever the length."""
    waves = [np.sin(2 * np.pi * np.arange(length) / 8) for length in (64, 128, 200)]
    table = build_table(only_acc_x(np.concatenate(waves), [64, 128, 200]))
    np.testing.assert_allclose(column(table, "acc.acc_x.dominant_frequency"), 0.125)
    band_names = [f"acc.acc_x.band{number}_share" for number in range(1, 7)]
    shares_N = sum(column(table, name) for name in band_names)
    np.testing.assert_allclose(shares_N, 1, rtol=1e-6)


def test_a_constant_or_missing_signal_has_no_spectrum_and_no_correlation():
    """What is undefined is NaN; the rounding of a mean is not taken for motion."""
    signals = only_acc_x(np.full(60, 0.1), [60])
    signals.motion_TS[:, 1] = 9.81
    signals.motion_TS[:, 2] = np.arange(60)
    table = build_table(signals)
    assert column(table, "acc.acc_x.std")[0] == 0
    for name in ("acc_x.band1_share", "acc_x.dominant_frequency", "acc_x.autocorr1"):
        assert np.isnan(column(table, f"acc.{name}")[0]), name
    assert np.isnan(column(table, "acc.acc_xz.correlation")[0])
    assert column(table, "acc.acc_z.variance_share")[0] == 1


def test_missing_steps_are_left_out_of_statistics():
    """NaN among 1, 3, 5 changes neither mean nor median, only the present share."""
    signals = make_signals([4], has_tof=False)
    signals.thm_T5[:, 0] = [1, np.nan, 3, 5]
    table = build_table(signals)
    assert column(table, "thm_1.temperature.mean")[0] == 3
    assert column(table, "thm_1.temperature.present_share")[0] == 0.75
    assert column(table, "thm_2.temperature.present_share")[0] == 1


def test_the_heading_of_the_recording_changes_only_the_quaternion_itself():
    """Turning the world about the vertical leaves every other feature as it was."""
    signals = make_signals([40, 50], has_thm=False, has_tof=False)
    turned_TS = signals.motion_TS.copy()
    w_T, x_T, y_T, z_T = signals.motion_TS[:, -4:].astype(np.float64).T
    cosine, sine = np.cos(0.6), np.sin(0.6)  # (cosine, 0, 0, sine) * q
    turned_TS[:, -4:] = np.stack(
        [
            cosine * w_T - sine * z_T,
            cosine * x_T - sine * y_T,
            cosine * y_T + sine * x_T,
            cosine * z_T + sine * w_T,
        ],
        axis=1,
    )
    before = build_table(signals)
    after = build_table(dataclasses.replace(signals, motion_TS=turned_TS))
    kept_F = np.array([not name.startswith("rot.rot_") for name in before.names])
    assert sum(~kept_F) > 0
    np.testing.assert_allclose(
        after.values_NF[:, kept_F], before.values_NF[:, kept_F], rtol=1e-4, atol=1e-4
    )


def test_nothing_in_range_is_not_missing():
    """A sensor that sees nothing has in-range share 0; one that is missing has none."""
    signals = make_signals([10, 10])
    signals.tof_T320[:, :64] = -1
    signals.tof_T320[:10, :32] = 50
    signals.tof_T320[10:, 64:128] = np.nan
    table = build_table(signals)
    np.testing.assert_array_equal(column(table, "tof_1.range_mean.mean"), [50, np.nan])
    np.testing.assert_array_equal(column(table, "tof_1.in_range_share.mean"), [0.5, 0])
    np.testing.assert_array_equal(column(table, "tof_1.image.present_share"), [1, 1])
    np.testing.assert_array_equal(column(table, "tof_1.block_r0c0.late_mean"), [50, np.nan])
    np.testing.assert_array_equal(column(table, "tof_1.block_r3c0.late_in_range_share"), [0, 0])
    np.testing.assert_array_equal(column(table, "tof_2.image.present_share"), [1, np.nan])
    assert np.isnan(column(table, "tof_2.in_range_share.mean")[1])


def test_a_block_feature_is_about_its_own_pixels():
    """One near pixel in row 2, column 7 shows in block r1c3 and quadrant r0c1, nowhere else."""
    signals = make_signals([5])
    signals.tof_T320[:, 128:192] = -1
    signals.tof_T320[:, 128 + 2 * 8 + 7] = 42
    table = build_table(signals)
    seen = [
        name
        for name in grid_map(table.names)
        if name.startswith("tof_3.") and name.endswith("late_mean") and column(table, name)[0] == 42
    ]
    assert seen == ["tof_3.quadrant_r0c1.late_mean", "tof_3.block_r1c3.late_mean"]


def test_the_grid_map_names_rows_and_columns():
    """A block has 2 x 2 pixels, a quadrant 4 x 4; other features are on no grid."""
    regions = grid_map(
        ("tof_3.block_r1c3.late_mean", "tof_5.quadrant_r1c0.late_min", "tof_1.range_mean.mean")
    )
    assert dict(regions) == {
        "tof_3.block_r1c3.late_mean": GridRegion("tof_3", (2, 3), (6, 7)),
        "tof_5.quadrant_r1c0.late_min": GridRegion("tof_5", (4, 5, 6, 7), (0, 1, 2, 3)),
    }


def test_every_pixel_is_in_a_region_of_every_sensor():
    """The block features of one sensor cover its 64 pixels once each."""
    table = build_table(make_signals([5]))
    for sensor in ("tof_1", "tof_5"):
        cells = [
            (row, col)
            for name, region in grid_map(table.names).items()
            if name.startswith(f"{sensor}.block_") and name.endswith("late_mean")
            for row in region.rows
            for col in region.columns
        ]
        assert sorted(cells) == [(row, col) for row in range(8) for col in range(8)]


def test_names_are_unique_and_say_sensor_signal_and_statistic():
    """Every name has three parts, and the sensor is one of the twelve."""
    names = build_table(make_signals()).names
    sensors = {parse_name(name).sensor for name in names}
    assert len(set(names)) == len(names)
    assert sensors == SENSORS
    assert parse_name("acc.linear_x.bin3_mean") == FeatureName("acc", "linear_x", "bin3_mean")


@pytest.mark.parametrize("name", ["acc", "acc.mean", "acc..mean", "acc.x.y.z", ""])
def test_a_name_without_three_parts_is_refused(name):
    """The message shows what a name looks like."""
    with pytest.raises(FeatureError, match=r"acc\.linear_x\.bin3_mean"):
        parse_name(name)


def test_absent_sensors_have_no_columns_and_come_back_missing():
    """Without orientation, thermopiles and time of flight the rest is the same, aligned NaN."""
    full = build_table(make_signals())
    bare = build_table(make_signals(has_rot=False, has_thm=False, has_tof=False))
    assert {parse_name(name).sensor for name in bare.names} == {"acc"}
    assert not any("linear" in name or "vertical" in name for name in bare.names)
    aligned_NF = align(bare, full.names)
    lacking_F = np.array([name not in bare.names for name in full.names])
    assert np.isnan(aligned_NF[:, lacking_F]).all()
    np.testing.assert_array_equal(aligned_NF[:, ~lacking_F], full.values_NF[:, ~lacking_F])


def test_a_null_sensor_is_the_same_as_an_absent_one():
    """Of one sequence among others, or of all: no number, as where there is no such column."""
    signals = make_signals([8, 9])
    signals.thm_T5[:8] = np.nan
    signals.tof_T320[:8] = np.nan
    table = build_table(signals)
    bare = align(build_table(make_signals([8, 9], has_thm=False, has_tof=False)), table.names)
    assert table.values_NF[0].tobytes() == bare[0].tobytes()
    assert not np.isnan(table.values_NF[1, table.names.index("thm_1.temperature.present_share")])
    signals.thm_T5[:] = np.nan
    signals.tof_T320[:] = np.nan
    assert build_table(signals).values_NF.tobytes() == bare.tobytes()


def test_alignment_follows_names_not_positions():
    """Columns are reordered, unknown ones dropped, lacking ones NaN."""
    table = FeatureTable(np.array([[1, 2, 3]], dtype=np.float32), ("a.b.c", "a.b.d", "a.b.e"))
    aligned_NF = align(table, ("a.b.e", "a.b.x", "a.b.c"))
    np.testing.assert_array_equal(aligned_NF, [[3, np.nan, 1]])
    assert aligned_NF.dtype == np.float32
    same_NF = align(table, table.names)
    same_NF[:] = 0.0  # models of own code may change what they get
    np.testing.assert_array_equal(table.values_NF, [[1, 2, 3]])


def test_infinite_values_are_refused_by_name():
    """The message names the feature."""
    table = FeatureTable(np.array([[1, np.inf]], dtype=np.float32), ("a.b.c", "a.b.d"))
    with pytest.raises(FeatureError, match=r"infinite values in a\.b\.d"):
        validate(table)


@pytest.mark.parametrize(
    ("shape", "names", "message"),
    [
        ((2, 2), ("a.b.c", "a.b.c"), r"more than once: a\.b\.c"),
        ((2, 1), ("a.b.c", "a.b.d"), "one column for each of 2 names"),
        ((0, 1), ("a.b.c",), "at least one row"),
        ((2, 1), ("abc",), "abc"),
    ],
)
def test_a_table_that_cannot_be_trained_on_is_refused(shape, names, message):
    """Names and columns must fit each other."""
    with pytest.raises(FeatureError, match=message):
        validate(FeatureTable(np.zeros(shape, dtype=np.float32), names))


@settings(max_examples=25, deadline=None)
@given(
    values=st.lists(
        st.one_of(
            st.floats(width=32, allow_nan=False, allow_infinity=False),
            st.just(float("nan")),
            st.sampled_from([0.0, 3.4e38, -3.4e38, 1e-45]),
        ),
        min_size=1,
        max_size=40,
    )
)
def test_no_feature_is_ever_infinite(values):
    """Any finite float32 or missing values, any length: float32 numbers or NaN, no warning."""
    signals = only_acc_x(values, [len(values)])
    signals.motion_TS[:, 1:4] = signals.motion_TS[:, :1]
    table = validate(build_table(signals))
    assert table.values_NF.dtype == np.float32


def test_preprocessed_recordings_give_a_valid_table():
    """All four sensor groups, through the real preprocessing."""
    sequences = sequences_from_table(make_table(num_subjects=2))
    table = validate(build_table(preprocess(sequences)))
    assert table.values_NF.shape == (16, len(table.names))
    varies_F = np.fmin.reduce(table.values_NF) < np.fmax.reduce(table.values_NF)
    names = np.array(table.names)[varies_F]
    assert {parse_name(name).sensor for name in names} == SENSORS


def test_the_number_of_bins_is_a_choice():
    """Three bins give bin1 to bin3 and no bin4."""
    names = build_table(make_signals([9]), num_bins=3).names
    assert "acc.acc_x.bin3_mean" in names
    assert "acc.acc_x.bin4_mean" not in names
