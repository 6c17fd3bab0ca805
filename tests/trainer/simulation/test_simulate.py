"""trainer.simulation.simulate: the statistics of competition.md section 1, and how hard it is.

Long, by hand (a model on 81 subjects):
``python -m pytest tests/trainer/simulation/test_simulate.py -m slow``.
"""

import subprocess
import sys

import numpy as np
import polars as pl
import pytest

from tests.support.simulated_difficulty import measure_difficulty
from trainer.config import make_config
from trainer.data.preprocess import MOTION_SIGNALS, preprocess
from trainer.data.schema import ACC_COLUMNS, SENSOR_COLUMNS, DataError
from trainer.data.simulation_mark import has_mark, put_mark
from trainer.data.sources import check_trainable, fingerprint
from trainer.run.frozen_config import freeze
from trainer.run.inputs.recordings import load_dataset
from trainer.simulation.any_source import load
from trainer.simulation.arm import accelerate, compute_pose
from trainer.simulation.gestures import DESIGN, GESTURES
from trainer.simulation.people import REVERSED, WITHOUT_SENSOR_5, make_person
from trainer.simulation.sensors import Recording, draw_gaps, mirror, reverse
from trainer.simulation.simulate import (
    NUM_SUBJECTS,
    SEED,
    read_num_subjects,
    simulate,
    write_folder,
)
from trainer.simulation.surfaces import make_sensors
from trainer.simulation.trials import make_trials

NUM_FEW = 7  # the last of them has a reversed device, the fourth is left-handed
LABELS = (
    *("row_id", "sequence_type", "sequence_id", "sequence_counter", "subject", "orientation"),
    *("behavior", "phase", "gesture"),
)


@pytest.fixture(scope="module")
def few():
    """The recordings of seven subjects."""
    return simulate(NUM_FEW)


@pytest.fixture(scope="module")
def everyone():
    """All 81 people and what they do; no sensor has looked yet."""
    people = [make_person(SEED, number) for number in range(NUM_SUBJECTS)]
    return [(person, make_trials(SEED, person)) for person in people]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two subjects, written."""
    target = tmp_path_factory.mktemp("simulated") / "new"
    write_folder(target, 2)
    return target


def gather(everyone, name):
    return np.concatenate([getattr(trials, name) for _, trials in everyone])


# Section 1 of the facts


def test_the_design_is_the_competitions(everyone):
    """18 gestures, 51 pairs with a posture, each under two initial behaviours; 8,151 in all."""
    assert len(GESTURES) == 18
    assert sum(gesture.is_target for gesture in GESTURES) == 8
    assert len(set(DESIGN)) == len(DESIGN) == 102
    assert sum(len(trials.rows_N) for _, trials in everyone) == 8151
    counts = np.bincount(gather(everyone, "gesture_N"))
    real = [
        638,
        637,
        638,
        640,
        640,
        640,
        640,
        640,
        161,
        161,
        161,
        161,
        477,
        161,
        640,
        478,
        477,
        161,
    ]
    assert np.abs(counts - real).max() <= 4


def test_lengths_are_the_competitions(everyone):
    """Quartiles, mean, tail and the rows of each behaviour."""
    rows = gather(everyone, "rows_N")
    assert rows.min() == 29
    assert rows.max() <= 700
    assert np.abs(np.percentile(rows, [25, 50, 75]) - [51, 59, 78]).max() <= 3
    assert rows.mean() == pytest.approx(70.5, abs=2)
    assert rows.std() == pytest.approx(35.4, abs=4)
    assert np.percentile(rows, 95) == pytest.approx(127, abs=6)
    perform, lead = gather(everyone, "perform_N"), gather(everyone, "lead_N")
    behaviour = gather(everyone, "behaviour_N")
    assert (perform.min() >= 3) and (perform.max() <= 71)
    assert np.abs(np.percentile(perform, [50, 75, 90, 95]) - [31, 32, 35, 37]).max() <= 1
    assert perform.sum() == pytest.approx(255_817, rel=0.03)
    assert lead[behaviour == 0].sum() == pytest.approx(156_474, rel=0.05)
    assert lead[behaviour == 1].sum() == pytest.approx(67_481, rel=0.05)
    assert gather(everyone, "pause_N").sum() == pytest.approx(95_173, rel=0.05)


def test_sensors_are_missing_as_often_as_in_the_competition(everyone):
    """By rows: no orientation 0.64 %, time of flight 1 and 5.2 %, thermopile 5 5.8 %."""
    gaps = [np.repeat(draw_gaps(SEED, p, len(t.rows_N)), t.rows_N, axis=0) for p, t in everyone]
    shares = np.concatenate(gaps).mean(axis=0)
    assert np.abs(shares - [0.0064, 0.0107, 0.0524, 0.0579]).max() < 0.004
    assert all(gaps[number][:, 2:].all() for number in WITHOUT_SENSOR_5)


def test_people_are_as_the_competitions(everyone):
    """81 subjects, about one in eight left-handed, children and adults, arms that fit bodies."""
    people = [person for person, _ in everyone]
    assert 0.80 <= np.mean([person.is_right_handed for person in people]) <= 0.95
    assert 0.40 <= np.mean([person.age >= 18 for person in people]) <= 0.70
    ratio = [person.shoulder_to_wrist_cm / person.height_cm for person in people]
    assert 0.27 < min(ratio) < max(ratio) < 0.35
    assert len(REVERSED) == len(WITHOUT_SENSOR_5) == 2
    assert max(REVERSED) < 20  # so that twenty subjects have both


def test_acceleration_is_as_the_competitions(few):
    """Gravity is in it: norm 10.0 on average, spread 1.2, range 0.6 to 48; steps of 1/256."""
    norm = np.linalg.norm(few.acc_T3, axis=1)
    assert norm.mean() == pytest.approx(10.01, abs=0.1)
    assert norm.std() == pytest.approx(1.21, abs=0.12)
    assert 20 < norm.max() < 48
    assert np.array_equal(few.acc_T3 * 256, np.rint(few.acc_T3 * 256))


def test_orientation_is_a_unit_quaternion_on_its_grid(few):
    """W is never negative, the norm is 1, steps are 2^-14."""
    known = few.rot_T4[~np.isnan(few.rot_T4[:, 0])]
    assert known[:, 0].min() >= 0
    assert np.abs(np.linalg.norm(known, axis=1) - 1).max() < 1e-4
    assert np.array_equal(known * 2**14, np.rint(known * 2**14))


def test_light_is_as_the_competitions(few):
    """57.5 % of the pixels have no return, the others 0 to 254; thermopiles 23 to 37, mean 31.9."""
    seen = few.tof_T320[~np.isnan(few.tof_T320)]
    assert (seen == -1).mean() == pytest.approx(0.575, abs=0.03)
    assert np.array_equal(seen, np.rint(seen))
    assert (seen.min() == -1) and (seen.max() <= 254)
    warm = few.thm_T5[~np.isnan(few.thm_T5)]
    assert warm.mean() == pytest.approx(31.9, abs=0.6)
    assert (np.percentile(warm, 0.1) > 23) and (np.percentile(warm, 99.9) < 38)


# Physics


def test_removing_gravity_works(few):
    """Acceleration and orientation are of one motion: at rest nothing but noise is left."""
    signals = preprocess(few).motion_TS
    linear = signals[:, MOTION_SIGNALS.index("linear_norm")]
    linear = linear[~np.isnan(linear)]
    assert np.median(linear) < 0.6
    assert np.percentile(linear, 10) < 0.25


def test_the_hand_is_near_what_the_gesture_touches():
    """While it works, the wrist is a hand's length from the touched place, never out of reach."""
    person = make_person(SEED, 0)
    trials = make_trials(SEED, person)
    middle_s = (trials.rows_N - trials.perform_N / 2) / 10
    wrist_N3 = compute_pose(person, trials, middle_s).wrist_T3
    touches_N3 = np.array([GESTURES[k].touches for k in trials.gesture_N]) * person.scale
    away = np.linalg.norm(wrist_N3 - touches_N3, axis=1)
    is_at_face = np.array([GESTURES[k].is_target for k in trials.gesture_N])
    assert 0.10 < np.median(away[is_at_face]) < 0.20
    assert away.max() < 0.45


def test_acceleration_is_the_second_derivative_of_the_path():
    """Adding up the acceleration twice gives the path back."""
    person = make_person(SEED, 1)
    trials = make_trials(SEED, person).take(np.zeros(200, dtype=np.int64))
    time_s = 2.0 + np.arange(200) * 0.02
    path = compute_pose(person, trials, time_s).wrist_T3
    speed = np.cumsum(accelerate(person, trials, time_s), axis=0) * 0.02
    again = path[0] + (path[1] - path[0]) / 0.02 * (time_s - time_s[0])[:, None]
    again[2:] += np.cumsum(speed[1:-1] - speed[0], axis=0) * 0.02
    assert np.abs(again - path).max() < 1e-6


def test_thermopiles_warm_where_the_light_sees_something_near(few):
    """The warmer a sensor, the fewer of its pixels are without return."""
    for sensor in range(5):
        pixels = few.tof_T320[:, sensor * 64 : (sensor + 1) * 64]
        known = ~np.isnan(pixels[:, 0]) & ~np.isnan(few.thm_T5[:, sensor])
        near = (pixels[known] >= 0).mean(axis=1)
        first_subject = (np.repeat(few.subjects, few.lengths_N) == few.subjects[0])[known]
        warm = few.thm_T5[known, sensor]
        assert np.corrcoef(near[first_subject], warm[first_subject])[0, 1] > 0.4


# Left-handers and reversed devices


def test_mirroring_twice_and_turning_twice_change_nothing():
    """Both are their own opposite, so that preprocessing can undo them."""
    rng = np.random.default_rng(0)
    rot = rng.normal(size=(9, 4)).astype(np.float32)
    rot[:, 0] = np.abs(rot[:, 0])
    one = Recording(
        rng.normal(size=(9, 3)).astype(np.float32),
        rot,
        rng.normal(size=(9, 5)).astype(np.float32),
        rng.normal(size=(9, 320)).astype(np.float32),
    )
    for change in (mirror, reverse):
        twice = change(change(one))
        for name in ("acc_T3", "rot_T4", "thm_T5", "tof_T320"):
            assert np.array_equal(getattr(twice, name), getattr(one, name)), (change, name)
            assert not np.array_equal(getattr(change(one), name), getattr(one, name))


def test_a_left_hander_mirrored_is_the_right_hander_they_were_made_as(few):
    """Preprocessing brings left-handers' gravity to the side where right-handers have it."""
    signals = preprocess(few)
    left = preprocess(few, mirror_left_handers=False)
    is_left_T = np.repeat(few.right_handed_N == 0, few.lengths_N)
    x = MOTION_SIGNALS.index("gravity_x")
    known = is_left_T & ~np.isnan(signals.motion_TS[:, x])
    assert known.any()
    assert np.array_equal(signals.motion_TS[known, x], -left.motion_TS[known, x])
    elbow_down = signals.motion_TS[:, x]  # x points to the elbow: a hand at the face has it down
    assert np.nanmean(elbow_down[is_left_T]) == pytest.approx(
        np.nanmean(elbow_down[~is_left_T]), abs=0.25
    )


def test_the_five_sensors_stand_so_that_mirror_and_turn_are_permutations():
    """Sensors 3 and 5 are mirror images with the columns swapped, 2 and 4 each other turned."""
    rays = [sensor.rays_P3.reshape(8, 8, 3) for sensor in make_sensors()]
    assert np.allclose(rays[2][:, ::-1] * (-1, 1, 1), rays[4])
    assert np.allclose(rays[1][:, ::-1] * (-1, 1, 1), rays[1])
    assert np.allclose(rays[1][::-1, ::-1] * (-1, -1, 1), rays[3])
    assert np.allclose(rays[2][::-1, ::-1] * (-1, -1, 1), rays[4])
    assert np.allclose(rays[0][::-1, ::-1] * (-1, -1, 1), rays[0])


# Sources and files


def test_the_same_seed_gives_the_same_bytes_and_people_do_not_depend_on_others(few):
    """Two subjects are the first two of seven; another seed makes others."""
    two = simulate(2)
    first_two = np.flatnonzero(np.isin(few.subjects, np.unique(two.subjects)))
    assert fingerprint(two) == fingerprint(few.select(first_two))
    assert fingerprint(simulate(1)) != fingerprint(simulate(1, seed=1))


def test_a_written_folder_is_the_source_of_the_same_name(folder):
    """Through CSV or not: the same sequences, labels, phases and hands, to the bit."""
    from_file, from_name = load(str(folder)), load("simulated:2")
    assert fingerprint(from_file) == fingerprint(from_name)
    assert from_file.labels == from_name.labels
    assert np.array_equal(from_file.phase_T, from_name.phase_T)
    assert make_config("quick", {"data.source": "simulated:2"}).data.source == "simulated:2"
    check_trainable(from_name, num_folds=2)


def test_the_files_have_the_competitions_columns(folder):
    """train.csv has its 341 columns in order, the demographics their 8; ids are of its form."""
    table = pl.read_csv(folder / "train.csv", infer_schema=False)
    assert table.columns == [*LABELS, *SENSOR_COLUMNS]
    assert table["row_id"][0] == "SEQ_000000_000000"
    assert table["phase"].unique().sort().to_list() == ["Gesture", "Transition"]
    assert table["behavior"].n_unique() == 4
    assert table["orientation"].n_unique() == 4
    people = pl.read_csv(folder / "train_demographics.csv")
    assert people.columns == [
        *("subject", "adult_child", "age", "sex", "handedness", "height_cm"),
        *("shoulder_to_wrist_cm", "elbow_to_wrist_cm"),
    ]
    assert people["subject"].to_list() == ["SUBJ_000000", "SUBJ_000001"]
    assert sorted(path.name for path in folder.iterdir()) == [
        "train.csv",
        "train_demographics.csv",
    ]


def test_a_folder_with_files_is_refused_and_left_as_it_was(tmp_path):
    """Recordings that are there, which may be real, are never replaced."""
    (tmp_path / "train.csv").write_text("real")
    with pytest.raises(DataError, match=r"not empty, it contains 'train\.csv'"):
        write_folder(tmp_path, 1)
    with pytest.raises(DataError, match="is a file"):
        write_folder(tmp_path / "train.csv", 1)
    assert (tmp_path / "train.csv").read_text() == "real"


@pytest.mark.parametrize("text", ["simulated:", "simulated:0", "simulated:many", "simulated:9999"])
def test_a_number_of_subjects_that_is_none_is_refused(text):
    """The message names what was expected and what was given."""
    with pytest.raises(DataError, match="whole number from 1 to 1000"):
        read_num_subjects(text)
    assert read_num_subjects("simulated") == 81
    assert read_num_subjects("simulated:20") == 20


def test_the_command_writes_a_folder_and_refuses_it_the_second_time(tmp_path):
    """Exit 0 with two files and a line that calls them simulated; then exit 2."""
    words = [sys.executable, "-m", "trainer", "simulate", str(tmp_path / "new"), "--subjects", "1"]
    first = subprocess.run(words, capture_output=True, text=True, timeout=90, check=False)
    assert first.returncode == 0, first.stderr
    assert "1 simulated subjects" in first.stdout
    assert len(list((tmp_path / "new").iterdir())) == 2
    second = subprocess.run(words, capture_output=True, text=True, timeout=90, check=False)
    assert second.returncode == 2
    assert "not empty" in second.stderr


# The mark in the acceleration


def test_a_copy_of_part_of_the_file_under_another_name_is_known_as_simulated(folder, tmp_path):
    """Parquet, other ids and subjects, no optional sensors, two gestures: the run is marked."""
    table = pl.read_csv(folder / "train.csv", infer_schema_length=None)
    part = table.filter(pl.col("gesture").is_in(["Wave hello", "Neck - scratch"])).select(
        "sequence_counter", "gesture", "sequence_type", *ACC_COLUMNS,
        ("own_" + pl.col("sequence_id")).alias("sequence_id"),
        ("P" + pl.col("subject")).alias("subject"),
    )  # fmt: skip
    part.write_parquet(tmp_path / "ours.parquet")
    options = {"data.source": str(tmp_path / "ours.parquet"), "folds.count": 2}
    config = make_config("quick", options, environment={})
    run_file = freeze("ours", config, load_dataset(config), {})
    assert run_file.recordings.is_simulated
    assert run_file.is_simulated
    assert not run_file.data.is_simulated  # not by its name


def test_one_simulated_part_among_others_marks_the_run(folder, tmp_path):
    """Of two files, one for each subject, the first one's acceleration is no longer as it was."""
    table = pl.read_csv(folder / "train.csv", infer_schema_length=None)
    columns = ("sequence_id", "sequence_counter", "subject", "gesture", "sequence_type")
    first, second = table.select(*columns, *ACC_COLUMNS).partition_by("subject")
    first.with_columns(pl.col(ACC_COLUMNS) * 1.01).write_parquet(tmp_path / "1.parquet")
    options = {"data.source": str(tmp_path), "folds.count": 2}
    config = make_config("quick", options, environment={})
    for second_part, is_simulated in ((second, True), (second.with_columns(acc_y=0.5), False)):
        second_part.write_parquet(tmp_path / "2.parquet")
        assert load_dataset(config).catalogue.is_simulated is is_simulated


def test_one_simulated_sequence_among_real_ones_is_found(few):
    """What is partly made is marked as a whole."""
    real, made = load("watch"), few.acc_T3[: few.offsets[1]]
    offsets = np.append(real.offsets, real.offsets[-1] + len(made))
    assert not has_mark(real.acc_T3, real.offsets)
    assert has_mark(np.concatenate([real.acc_T3, made]), offsets)
    assert has_mark(few.acc_T3, few.offsets)


def test_what_is_not_simulated_has_no_mark():
    """Noise on the same grid, coarser grids, stillness, missing values, hand-made numbers."""
    noise = np.random.default_rng(0).normal(0, 3, (3000, 3)).astype(np.float32)
    offsets = np.arange(0, 3001, 30)
    still = np.tile(np.array([[3 / 256, 0, 0]], np.float32), (3000, 1))  # all rows have the rest
    for acc_T3 in (
        np.rint(noise * 256) / 256,
        np.rint(noise * 64) / 64,
        np.zeros_like(noise),
        np.full_like(noise, np.nan),
        noise,
        still,
    ):
        assert not has_mark(acc_T3.astype(np.float32), offsets)


def test_the_mark_moves_nothing_by_more_than_the_last_bit():
    """Two axes by 1/256 m/s2 at the most, far below the noise of 0.1; putting it twice is once."""
    noise = np.random.default_rng(1).normal(0, 9, (5000, 3))
    acc_T3 = (np.rint(noise * 256) / 256).astype(np.float32)
    marked = put_mark(acc_T3)
    assert np.abs(marked - acc_T3).max() == 1 / 256
    assert np.array_equal(marked[:, 2], acc_T3[:, 2])
    assert np.array_equal(put_mark(marked), marked)


# How hard it is


@pytest.mark.slow
def test_eight_subjects_have_the_difficulty_they_are_known_for():
    """The quick look at what the slow test holds: four people to learn from, four to score."""
    found = measure_difficulty(num_subjects=8, num_folds=2)
    motion = found.motion.score
    assert 0.50 <= motion <= 0.62
    assert 0.03 <= found.all_sensors.score - motion <= 0.14
    assert found.shuffled.macro_f1 < 0.15  # one of nine: 0.11


@pytest.mark.slow
def test_it_is_as_hard_as_the_real_recordings():
    """Plain statistics: 0.65 to 0.80 on motion, 0.03 to 0.12 more with all; shuffled, chance."""
    found = measure_difficulty(num_subjects=81, num_folds=5)
    motion = found.motion.score
    assert 0.65 <= motion <= 0.80
    assert 0.03 <= found.all_sensors.score - motion <= 0.12
    assert found.shuffled.macro_f1 < 0.13  # one of nine: 0.11
