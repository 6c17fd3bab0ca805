"""Frames: channels, branches, alignment with a model, and the length of a sequence."""

import numpy as np
import pytest

from trainer.data.preprocess import MOTION_SIGNALS, Signals, preprocess
from trainer.data.sequences import Sequences
from trainer.features.frames import (
    Frames,
    align_channels,
    build_frames,
    frame_length,
    input_branches,
    num_input_channels,
)

MOTION = ("acc_x", "acc_y", "acc_z", "acc_norm", "linear_x", "linear_y", "linear_z", "linear_norm",
          "gravity_x", "gravity_y", "gravity_z", "omega_x", "omega_y", "omega_z", "omega_norm",
          "vertical", "horizontal_norm")  # fmt: skip


TURNS_AND_PATH = ("turn_x", "turn_y", "turn_z", "turn_norm",
                  "heading", "turn_vertical", "turn_horizontal", "forward", "sideways")  # fmt: skip


def turning_about_z(*angles):
    """Return a sequence for each array of angles, in rad, of a device that lies flat and turns."""
    angle_T = np.concatenate(angles).astype(np.float32)
    zero_T = np.zeros_like(angle_T)
    num = len(angles)
    return Sequences(
        sequence_ids=np.arange(num).astype(str),
        offsets=np.cumsum([0, *map(len, angles)]),
        acc_T3=np.stack([zero_T, zero_T, zero_T + 9.81], axis=1).astype(np.float32),
        rot_T4=np.stack([np.cos(angle_T / 2), zero_T, zero_T, np.sin(angle_T / 2)], axis=1),
        thm_T5=None,
        tof_T320=None,
        subjects=None,
        right_handed_N=np.ones(num, dtype=np.float32),
        label_idx=None,
        labels=None,
        phase_T=None,
    )


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


def test_turns_by_duration_and_the_path_replace_turns_by_step():
    """As many channels but five; the rest is the same."""
    steps, path = (build_frames(make_signals(), motion) for motion in ("steps", "path"))
    assert path.channels[:11] == MOTION[:11]
    assert path.channels[11:24] == (*MOTION[15:], *TURNS_AND_PATH, *steps.channels[17:19])
    assert path.channels[22:] == steps.channels[17:]
    assert path.groups[13:22] == ("rot",) * 9
    np.testing.assert_array_equal(path.values_TC[:, 22:], steps.values_TC[:, 17:])


@pytest.mark.parametrize("pace", [1, 2, 5])
def test_turns_by_duration_do_not_depend_on_the_sampling_rate(pace):
    """An even turn of half a circle about z, sampled ``pace`` times as often; so is the heading."""
    angle_T = np.linspace(0, np.pi, 20 * pace + 1)
    frames = build_frames(preprocess(turning_about_z(angle_T)), "all")
    values = dict(zip(frames.channels, frames.values_TC.T, strict=True))
    for name in ("turn_z", "turn_norm", "turn_vertical"):
        np.testing.assert_allclose(values[name], np.pi, rtol=0.06)  # half a circle, and one step
    np.testing.assert_allclose(values["turn_horizontal"], 0, atol=1e-3)
    np.testing.assert_allclose(values["heading"], angle_T - np.pi / 2, atol=1e-3)
    np.testing.assert_allclose(values["omega_z"], np.pi / (20 * pace), rtol=1e-3)


def test_the_path_of_a_sequence_does_not_depend_on_others():
    """Its bits are those it has alone."""
    one, other = np.linspace(0, 1, 40), np.sin(np.linspace(0, 2, 30))
    both = build_frames(preprocess(turning_about_z(one, other)), "path")
    alone = build_frames(preprocess(turning_about_z(other)), "path")
    np.testing.assert_array_equal(both.values_TC[40:], alone.values_TC)


def test_without_an_orientation_only_the_raw_acceleration_is_left_of_the_motion():
    """Channels that nothing fills are left out."""
    signals = make_signals(has_rot=False)
    frames = build_frames(Signals(signals.offsets, signals.motion_TS, None, None))
    assert frames.channels == ("acc_x", "acc_y", "acc_z", "acc_norm")
    assert num_input_channels(frames) == 7


def test_nothing_in_range_is_far_and_a_missing_sensor_is_missing():
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
    values_TC = np.array([[1, 1], [2, 2], [3, 3]], dtype=np.float32)
    frames = Frames(np.array([0, 3]), values_TC, ("acc_x", "thm_1"), ("acc", "thm"))
    aligned = align_channels(frames, ("tof_1.mean", "acc_x"), ("tof", "acc"))
    np.testing.assert_array_equal(aligned.values_TC[:, 1], [1, 2, 3])
    assert np.isnan(aligned.values_TC[:, 0]).all()
    assert aligned.channels == ("tof_1.mean", "acc_x")
    assert aligned.groups == ("tof", "acc")


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
    """A configured length is used as it is."""
    lengths_N = np.array(lengths)
    assert frame_length(lengths_N, np.arange(len(lengths)), configured) == expected


def test_the_frame_length_knows_the_training_part_only():
    """A long sequence outside of it does not count."""
    assert frame_length(np.array([8, 500, 8]), np.array([0, 2]), None) == 8


def test_every_channel_is_in_one_branch_with_the_flag_of_its_sensor():
    """Raw signals and pose, derived motion, thermopiles, five time-of-flight branches."""
    frames = build_frames(make_signals())
    branches = input_branches(frames)
    assert [name for name, _ in branches] == ["raw", "motion", "thm", *["tof"] * 5]
    names_of = [[frames.channels[c] for c in columns[:-1]] for _, columns in branches]
    assert names_of[0] == [*MOTION[:4], "gravity_x", "gravity_y", "gravity_z"]
    assert names_of[2] == ["thm_1", "thm_2", "thm_3", "thm_4", "thm_5"]
    assert {name.partition(".")[0] for name in names_of[4]} == {"tof_2"}
    assert sorted(c for _, columns in branches for c in columns[:-1]) == list(range(62))
    assert [columns[-1] for _, columns in branches] == [62, 62, 63, *[64] * 5]


def test_the_path_is_in_the_branch_of_the_pose():
    frames = build_frames(make_signals(), "path")
    raw, motion = ([frames.channels[c] for c in cs[:-1]] for _, cs in input_branches(frames)[:2])
    assert raw == [*MOTION[:4], "gravity_x", "gravity_y", "gravity_z", *TURNS_AND_PATH[4:]]
    assert motion == [*MOTION[4:8], *MOTION[15:], *TURNS_AND_PATH[:4]]
