"""Training batches: what each augmentation changes, and what it leaves."""

from __future__ import annotations

import numpy as np
import pytest

from trainer.config import NetworkConfig
from trainer.features.batches import FrameScaler, fit_scaler, make_batch, scale
from trainer.features.frames import Frames
from trainer.models.network.augmentation import BatchMaker, Warp, warped_batch

NOTHING = NetworkConfig(
    modality_dropout=0.0, mixup_alpha=0.0, rotation_deg=0.0, stretch=0.0, shift=0.0
)
AXES = ("x", "y", "z")
CHANNELS = (
    *(f"acc_{axis}" for axis in AXES),
    "acc_norm",
    *(f"gravity_{axis}" for axis in AXES),
    *("thm_1", "tof_1.mean"),
)
GROUPS = (*["acc"] * 4, *["rot"] * 3, "thm", "tof")
SEQUENCE_IDX = np.array([2, 0, 5])
ONE_HOT = np.eye(3, dtype=np.float32)


def make_frames() -> Frames:
    """6 sequences of 4 to 9 steps; the gravity of the first is missing."""
    lengths_N = np.arange(4, 10)
    values_TC = np.random.default_rng(0).normal(1.0, 2.0, (lengths_N.sum(), 9)).astype(np.float32)
    values_TC[:4, 4:7] = np.nan
    return Frames(np.concatenate([[0], np.cumsum(lengths_N)]), values_TC, CHANNELS, GROUPS)


def draw(seed=0, **changes):
    """Return the batch of three sequences, and the same one without any augmentation."""
    frames = make_frames()
    scaler = fit_scaler(frames, np.arange(6))
    config = NOTHING.model_copy(update=changes)
    batch = BatchMaker(frames, scaler, 8, config).draw(SEQUENCE_IDX, ONE_HOT, seed)
    return batch, make_batch(scale(frames, scaler), SEQUENCE_IDX, 8).values_NTC, scaler


def unscaled(x_NTC, columns, scaler: FrameScaler):
    return np.asarray(x_NTC)[..., columns] * scaler.std_C[columns] + scaler.mean_C[columns]


def test_without_augmentation_a_batch_is_the_scaled_frames():
    """All switched off: the frames, their lengths and one-hot targets."""
    batch, plain_NTC, _ = draw()
    np.testing.assert_array_equal(batch.x_NTC, plain_NTC)
    assert batch.lengths_N.tolist() == [6, 4, 8]  # the last one has 9 steps, cut to 8
    np.testing.assert_array_equal(batch.target_NK, ONE_HOT)


@pytest.mark.parametrize(
    "changes",
    [
        {"modality_dropout": 0.5},
        {"mixup_alpha": 0.4},
        {"stretch": 0.3},
        {"shift": 0.2},
    ],
)
def test_a_batch_is_a_function_of_its_seed(changes):
    """The same seed gives the same bits; some other seed gives others."""
    first = draw(1, rotation_deg=10.0, **changes)[0].x_NTC
    assert first.equal(draw(1, rotation_deg=10.0, **changes)[0].x_NTC)
    assert not first.equal(draw(2, rotation_deg=10.0, **changes)[0].x_NTC)


def test_modality_dropout_hides_thermopiles_and_time_of_flight_of_whole_sequences():
    """At a share of 1 their channels and flags are 0, and nothing else changes."""
    batch, plain_NTC, _ = draw(modality_dropout=1.0)
    hidden = [7, 8, 10, 11]  # thm_1, tof_1.mean, and the flags of thm and tof
    shown = [column for column in range(12) if column not in hidden]
    assert not batch.x_NTC[..., hidden].any()
    assert plain_NTC[..., hidden].any()
    np.testing.assert_array_equal(batch.x_NTC[..., shown], plain_NTC[..., shown])


def test_a_rotation_keeps_lengths_and_the_angle_between_vectors():
    """Acceleration and gravity of a sequence rotate by one matrix, the same at every step."""
    batch, plain_NTC, scaler = draw(rotation_deg=20.0)
    acc_T3, gravity_T3 = (unscaled(batch.x_NTC[2], c, scaler) for c in ([0, 1, 2], [4, 5, 6]))
    old_acc_T3, old_gravity_T3 = (unscaled(plain_NTC[2], c, scaler) for c in ([0, 1, 2], [4, 5, 6]))
    assert np.abs(acc_T3 - old_acc_T3).max() > 0.1
    np.testing.assert_allclose(
        np.linalg.norm(acc_T3, axis=1), np.linalg.norm(old_acc_T3, axis=1), rtol=1e-5
    )
    np.testing.assert_allclose(
        (acc_T3 * gravity_T3).sum(axis=1), (old_acc_T3 * old_gravity_T3).sum(axis=1), rtol=1e-4
    )
    matrix_33, *_ = np.linalg.lstsq(old_acc_T3, acc_T3, rcond=None)
    np.testing.assert_allclose(old_gravity_T3 @ matrix_33, gravity_T3, atol=1e-4)
    assert np.linalg.det(matrix_33) == pytest.approx(1.0, abs=1e-4)  # no mirror


def test_a_rotation_leaves_missing_padding_and_other_channels_alone():
    """What was 0 for a missing value is still 0."""
    batch, plain_NTC, _ = draw(rotation_deg=20.0)
    others = [3, 7, 8, 9, 10, 11]
    np.testing.assert_array_equal(batch.x_NTC[..., others], plain_NTC[..., others])
    assert not batch.x_NTC[1, :, 4:7].any()  # sequence 0 has no gravity
    assert batch.x_NTC[1, :4, :3].all()
    assert not batch.x_NTC[1, 4:].any()  # and 4 steps


def test_mixup_mixes_frames_and_targets_in_one_ratio():
    """Each row is share x itself + (1 - share) x another row, with the longer of two lengths."""
    batch, plain_NTC, _ = draw(3, mixup_alpha=1.0)
    target_NK = batch.target_NK.numpy()
    np.testing.assert_allclose(target_NK.sum(axis=1), 1.0)
    assert 0 < target_NK[0].min(initial=1, where=target_NK[0] > 0) < 1
    np.testing.assert_allclose(
        batch.x_NTC, np.einsum("nm,mtc->ntc", target_NK, plain_NTC), rtol=0, atol=1e-5
    )
    lengths_N = np.array([6, 4, 8])
    assert batch.lengths_N.tolist() == [lengths_N[row > 0].max() for row in target_NK]


def warp(sequence: int, head=0.0, tail=0.0, factor=1.0, length=20):
    """Return one warped sequence of ramps: step t of sequence n has the value 100 n + t."""
    lengths_N = np.array([1, 5, 10])
    values_T = np.concatenate([100 * n + np.arange(steps) for n, steps in enumerate(lengths_N)])
    frames = Frames(
        np.concatenate([[0], np.cumsum(lengths_N)]),
        np.stack([values_T, values_T], axis=1).astype(np.float32),
        ("acc_x", "thm_1"),
        ("acc", "thm"),
    )
    frames.values_TC[10:, 1] = np.nan  # the thermopile of sequence 2 ends after four steps
    scaled = scale(frames, FrameScaler(np.zeros(2, np.float32), np.ones(2, np.float32)))
    shares = [np.array([share]) for share in (head, tail, factor)]
    batch = warped_batch(scaled, np.array([sequence]), length, Warp(*shares))
    return batch.values_NTC[0, : batch.lengths_N[0]], batch


def test_a_warp_by_a_factor_of_1_is_the_sequence_itself():
    """Nothing is cut off: every step at its place, zeros after the end."""
    steps_TC, batch = warp(2)
    assert steps_TC[:, 0].tolist() == [200 + t for t in range(10)]
    assert batch.values_NTC.shape == (1, 12, 5)
    assert not batch.values_NTC[0, 10:].any()


def test_a_warp_cuts_both_ends_and_stretches_the_rest():
    """The first and the last step that are left stay the first and the last."""
    assert warp(2, head=0.2, tail=0.1)[0][:, 0].tolist() == [202, 203, 204, 205, 206, 207, 208]
    assert warp(1, factor=1.8)[0][:, 0].tolist() == [100, 100.5, 101, 101.5, 102, 102.5, 103,
                                                     103.5, 104]  # fmt: skip
    assert warp(1, factor=0.6)[0][:, 0].tolist() == [100, 102, 104]
    assert warp(0, head=0.4, tail=0.4, factor=0.7)[0][:, 0].tolist() == [0]  # of the sequence 0


def test_a_warped_sequence_that_is_too_long_loses_its_start():
    """As one that is too long without a warp."""
    steps_TC, _ = warp(1, factor=1.8, length=4)
    assert steps_TC[:, 0].tolist() == [102.5, 103, 103.5, 104]


def test_a_warp_does_not_interpolate_between_a_sensor_and_its_absence():
    """Values and flag are those of the nearer step; a flag is never one half."""
    steps_TC, _ = warp(2, factor=1.9)
    assert set(steps_TC[:, 3].tolist()) == {0.0, 1.0}
    shown_N = steps_TC[:, 3] == 1
    assert (steps_TC[shown_N, 1] == steps_TC[shown_N, 0]).all()
    assert not steps_TC[~shown_N, 1].any()
