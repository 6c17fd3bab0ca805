"""Frames: channels, scaler, length, and batches."""

import numpy as np
import pytest

from trainer.data.preprocess import MOTION_SIGNALS, Signals
from trainer.features.frames import (
    Frames,
    FrameScaler,
    align_channels,
    build_frames,
    fit_scaler,
    frame_length,
    input_branches,
    make_batch,
    num_input_channels,
    scale,
)

MOTION = ("acc_x", "acc_y", "acc_z", "acc_norm", "linear_x", "linear_y", "linear_z", "linear_norm",
          "gravity_x", "gravity_y", "gravity_z", "omega_x", "omega_y", "omega_z", "omega_norm",
          "vertical", "horizontal_norm")  # fmt: skip


def make_signals(num_steps=6, has_rot=True):
    """Return one sequence of random signals, all four sensor groups."""
    rng = np.random.default_rng(0)
    motion_TS = rng.normal(size=(num_steps, len(MOTION_SIGNALS))).astype(np.float32)
    if not has_rot:
        motion_TS[:, 4:] = np.nan
    return Signals(
        offsets=np.array([0, num_steps]),
        motion_TS=motion_TS,
        thm_T5=rng.normal(28, 3, (num_steps, 5)).astype(np.float32),
        tof_T320=rng.integers(0, 255, (num_steps, 320)).astype(np.float32),
    )


def counting_frames(lengths, channels=("acc_x", "thm_1"), groups=("acc", "thm")):
    """Return frames whose value is the number of its row from 1, the same in every channel."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    values_T = np.arange(1, offsets[-1] + 1, dtype=np.float32)
    values_TC = np.repeat(values_T[:, None], len(channels), axis=1)
    return Frames(offsets, values_TC, channels, groups)


def unscaled(frames):
    """Return scaled frames with the values as they are."""
    num_channels = len(frames.channels)
    ones_C = np.ones(num_channels, dtype=np.float32)
    return scale(frames, FrameScaler(0 * ones_C, ones_C))


def test_channels_are_the_signals_without_the_quaternion_then_the_optional_sensors():
    """17 motion channels, 5 temperatures, 8 per time-of-flight sensor, each with its group."""
    frames = build_frames(make_signals())
    assert frames.channels[:17] == MOTION
    assert frames.channels[17:23] == ("thm_1", "thm_2", "thm_3", "thm_4", "thm_5", "tof_1.mean")
    assert frames.channels[-8:] == (
        "tof_5.mean",
        "tof_5.std",
        "tof_5.min",
        "tof_5.in_range_share",
        "tof_5.quadrant_r0c0",
        "tof_5.quadrant_r0c1",
        "tof_5.quadrant_r1c0",
        "tof_5.quadrant_r1c1",
    )
    assert frames.groups == ("acc",) * 4 + ("rot",) * 13 + ("thm",) * 5 + ("tof",) * 40
    assert num_input_channels(frames) == 62 + 3


def test_without_an_orientation_only_the_raw_acceleration_is_left_of_the_motion():
    """Channels that nothing fills are left out."""
    signals = make_signals(has_rot=False)
    frames = build_frames(Signals(signals.offsets, signals.motion_TS, None, None))
    assert frames.channels == ("acc_x", "acc_y", "acc_z", "acc_norm")
    assert num_input_channels(frames) == 7


def test_seeing_nothing_is_far_and_a_missing_sensor_is_missing():
    """-1 everywhere: range 255 and share 0; NaN everywhere: NaN; half and half: in between."""
    signals = make_signals(3)
    signals.tof_T320[0, :64] = -1
    signals.tof_T320[1, :64] = np.nan
    signals.tof_T320[2, :32] = 55
    signals.tof_T320[2, 32:64] = -1
    frames = build_frames(signals)
    first = frames.channels.index("tof_1.mean")
    nan = np.nan
    np.testing.assert_array_equal(
        frames.values_TC[:, first : first + 8],
        [
            [255, 0, 255, 0, 255, 255, 255, 255],
            [nan, nan, nan, nan, nan, nan, nan, nan],
            [55, 0, 55, 0.5, 55, 55, 255, 255],
        ],
    )


def test_channels_are_aligned_by_name():
    """A model's channel that the frames lack is NaN, one it does not know is dropped."""
    frames = counting_frames([3])
    aligned = align_channels(frames, ("tof_1.mean", "acc_x"), ("tof", "acc"))
    np.testing.assert_array_equal(aligned.values_TC[:, 1], [1, 2, 3])
    assert np.isnan(aligned.values_TC[:, 0]).all()
    assert aligned.channels == ("tof_1.mean", "acc_x")
    assert aligned.groups == ("tof", "acc")


def test_the_scaler_knows_the_training_part_only():
    """Values of other sequences, however large, do not move mean and deviation."""
    frames = counting_frames([2, 3, 2])
    frames.values_TC[2:5] = 1e9
    scaler = fit_scaler(frames, np.array([2, 0]))
    np.testing.assert_allclose(scaler.mean_C, [4, 4])  # of 1, 2, 6, 7
    np.testing.assert_allclose(scaler.std_C, np.sqrt(26 / 4))


def test_the_scaler_leaves_missing_values_out_and_never_divides_by_zero():
    """A constant channel has deviation 1; one without values mean 0 and deviation 1."""
    frames = counting_frames([4], ("a", "b", "c"), ("acc", "rot", "thm"))
    frames.values_TC[:] = np.array([[1, 9.81, np.nan]] * 4, dtype=np.float32)
    frames.values_TC[1, 0] = np.nan
    frames.values_TC[2, 0] = 4
    scaler = fit_scaler(frames, np.array([0]))
    np.testing.assert_allclose(scaler.mean_C, [2, 9.81, 0], rtol=1e-6)
    np.testing.assert_allclose(scaler.std_C, [np.sqrt(2), 1, 1], rtol=1e-6)


def test_the_scaler_sums_in_64_bits():
    """A small spread far from zero over many steps is still found."""
    frames = counting_frames([200_000], ("acc_x",), ("acc",))
    frames.values_TC[:, 0] = np.tile(np.array([4095, 4097], dtype=np.float32), 100_000)
    scaler = fit_scaler(frames, np.array([0]))
    assert (scaler.mean_C[0], scaler.std_C[0]) == (4096, 1)


@pytest.mark.parametrize(
    ("lengths", "configured", "expected"),
    [
        ([60] * 10, None, 60),
        ([127] * 10, None, 128),
        ([1], None, 4),
        ([10] * 99 + [700], None, 12),
        ([60] * 10, 32, 32),
    ],
)
def test_the_frame_length_is_the_95th_percentile_up_to_a_multiple_of_4(
    lengths, configured, expected
):
    """Unless it is configured."""
    lengths_N = np.array(lengths)
    assert frame_length(lengths_N, np.arange(len(lengths)), configured) == expected


def test_the_frame_length_knows_the_training_part_only():
    """A long sequence outside of it does not count."""
    assert frame_length(np.array([8, 500, 8]), np.array([0, 2]), None) == 8


def test_a_long_sequence_loses_its_beginning():
    """The gesture is at the end: the last steps stay, in order."""
    batch = make_batch(unscaled(counting_frames([3, 10])), np.array([1]), length=4)
    np.testing.assert_array_equal(batch.values_NTC[0, :, 0], [10, 11, 12, 13])
    assert batch.lengths_N.tolist() == [4]


def test_real_steps_come_first_and_padding_is_zero():
    """The batch is as long as its longest sequence, up to a multiple of 4, in the order asked."""
    batch = make_batch(unscaled(counting_frames([3, 5, 1])), np.array([2, 1, 0]), length=64)
    assert batch.values_NTC.shape == (3, 8, 2 + 3)
    assert batch.values_NTC.dtype == np.float32
    assert batch.lengths_N.dtype == np.int64
    assert batch.lengths_N.tolist() == [1, 5, 3]
    np.testing.assert_array_equal(
        batch.values_NTC[:, :, 0],
        [[9, 0, 0, 0, 0, 0, 0, 0], [4, 5, 6, 7, 8, 0, 0, 0], [1, 2, 3, 0, 0, 0, 0, 0]],
    )
    np.testing.assert_array_equal(
        batch.values_NTC[:, :, 3],  # the thermopiles' flag
        [[1, 0, 0, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 0, 0, 0], [1, 1, 1, 0, 0, 0, 0, 0]],
    )


def test_missing_values_are_zero_after_scaling_and_the_flag_tells():
    """Flags are rot, thm, tof; a group's flag is 1 where any of its channels has a value."""
    frames = counting_frames([4], ("acc_x", "thm_1", "thm_2"), ("acc", "thm", "thm"))
    frames.values_TC[1, 1] = np.nan
    frames.values_TC[2, 1:] = np.nan
    scaler = FrameScaler(np.ones(3, dtype=np.float32), np.full(3, 2, dtype=np.float32))
    batch = make_batch(scale(frames, scaler), np.array([0]), length=4)
    np.testing.assert_array_equal(
        batch.values_NTC[0],
        [
            [0.0, 0.0, 0.0, 0, 1, 0],
            [0.5, 0.0, 0.5, 0, 1, 0],
            [1.0, 0.0, 0.0, 0, 0, 0],
            [1.5, 1.5, 1.5, 0, 1, 0],
        ],
    )


def test_a_hidden_group_looks_like_one_that_was_not_worn():
    """Channels and flag of the hidden group are 0 in the chosen sequences, all else untouched."""
    frames = counting_frames([3, 3])
    scaled = unscaled(frames)
    both_idx = np.array([0, 1])
    seen = make_batch(scaled, both_idx, 4).values_NTC
    hidden = make_batch(scaled, both_idx, 4, ("thm", "tof"), np.array([False, True])).values_NTC
    frames.values_TC[3:, 1] = np.nan
    never_worn = make_batch(unscaled(frames), both_idx, 4).values_NTC
    np.testing.assert_array_equal(hidden, never_worn)
    np.testing.assert_array_equal(hidden[0], seen[0])
    np.testing.assert_array_equal(hidden[1, :3, 0], seen[1, :3, 0])
    assert seen[1, :3, 1].all()


def test_hiding_without_a_choice_hides_in_every_sequence():
    """And making a batch does not change the scaled frames."""
    scaled = unscaled(counting_frames([3, 3]))
    before_TC = scaled.values_TC.copy()
    hidden = make_batch(scaled, np.array([0, 1]), 4, hidden_groups=("thm",)).values_NTC
    assert not hidden[:, :, [1, 3]].any()
    np.testing.assert_array_equal(scaled.values_TC, before_TC)


def test_a_sequence_is_the_same_alone_and_in_a_batch():
    """Up to padding, no other sequence shows in it."""
    scaled = unscaled(counting_frames([3, 9, 4]))
    together = make_batch(scaled, np.array([0, 1, 2]), 8)
    alone = make_batch(scaled, np.array([2]), 8)
    np.testing.assert_array_equal(together.values_NTC[2, :4], alone.values_NTC[0])
    assert not together.values_NTC[2, 4:].any()


def test_branches_share_out_every_channel_once_and_carry_the_flag_of_their_sensor():
    """Raw with pose, worked-out motion, thermopiles, five ranges of one name."""
    frames = build_frames(make_signals())
    branches = input_branches(frames)
    assert [name for name, _ in branches] == ["raw", "motion", "thm", *["tof"] * 5]
    names_of = [[frames.channels[c] for c in columns[:-1]] for _, columns in branches]
    assert names_of[0] == [*MOTION[:4], "gravity_x", "gravity_y", "gravity_z"]
    assert names_of[2] == ["thm_1", "thm_2", "thm_3", "thm_4", "thm_5"]
    assert {name.partition(".")[0] for name in names_of[4]} == {"tof_2"}
    assert sorted(c for _, columns in branches for c in columns[:-1]) == list(range(62))
    assert [columns[-1] for _, columns in branches] == [62, 62, 63, *[64] * 5]
