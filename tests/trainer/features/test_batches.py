"""Batches: the scaler, cutting and padding, presence flags."""

import numpy as np

from trainer.features.batches import FrameScaler, fit_scaler, make_batch, scale
from trainer.features.frames import Frames


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


def test_a_long_sequence_loses_its_beginning():
    """The gesture is at the end: the last steps stay, in order."""
    batch = make_batch(unscaled(counting_frames([3, 10])), np.array([1]), length=4)
    np.testing.assert_array_equal(batch.values_NTC[0, :, 0], [10, 11, 12, 13])
    assert batch.lengths_N.tolist() == [4]


def test_real_steps_come_first_and_padding_is_zero():
    """The batch is as long as its longest sequence, up to a multiple of 4, in the order given."""
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


def test_missing_values_are_zero_after_scaling_and_their_flag_too():
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


def test_a_hidden_group_is_like_a_missing_one():
    """Channels and flag of the hidden group are 0 in the chosen sequences, all else untouched."""
    frames = counting_frames([3, 3])
    scaled = unscaled(frames)
    both_idx = np.array([0, 1])
    seen = make_batch(scaled, both_idx, 4).values_NTC
    hidden = make_batch(scaled, both_idx, 4, ("thm", "tof"), np.array([False, True])).values_NTC
    frames.values_TC[3:, 1] = np.nan
    missing = make_batch(unscaled(frames), both_idx, 4).values_NTC
    np.testing.assert_array_equal(hidden, missing)
    np.testing.assert_array_equal(hidden[0], seen[0])
    np.testing.assert_array_equal(hidden[1, :3, 0], seen[1, :3, 0])
    assert seen[1, :3, 1].all()


def test_a_group_is_hidden_in_every_sequence_by_default():
    """Making a batch does not change the scaled frames."""
    scaled = unscaled(counting_frames([3, 3]))
    before_TC = scaled.values_TC.copy()
    hidden = make_batch(scaled, np.array([0, 1]), 4, hidden_groups=("thm",)).values_NTC
    assert not hidden[:, :, [1, 3]].any()
    np.testing.assert_array_equal(scaled.values_TC, before_TC)


def test_a_sequence_is_the_same_alone_and_in_a_batch():
    """Apart from the padding it does not depend on the other sequences."""
    scaled = unscaled(counting_frames([3, 9, 4]))
    together = make_batch(scaled, np.array([0, 1, 2]), 8)
    alone = make_batch(scaled, np.array([2]), 8)
    np.testing.assert_array_equal(together.values_NTC[2, :4], alone.values_NTC[0])
    assert not together.values_NTC[2, 4:].any()
