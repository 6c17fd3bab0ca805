"""The input doctor: what is in a recording, said before the answer; it needs no model library."""

import dataclasses

import numpy as np
import pytest

from tests.support.builders import make_demographics, make_table
from tests.support.fresh_python import modules_after
from trainer.data.preprocess import preprocess
from trainer.data.sources import load, sequences_from_table
from trainer.explain.doctor import examine, examine_for, warnings
from trainer.explain.training import Training
from trainer.features.feature_table import build_table
from trainer.predict.predictor import PredictError, Predictor


@pytest.fixture
def sequences():
    """Four sequences of 24 to 36 steps with all sensors; the orientation turns about all axes."""
    made = sequences_from_table(make_table(num_subjects=1, sequences_per_subject=4, labelled=False))
    random = np.random.default_rng(0)
    rot_T4 = made.rot_T4 + random.normal(0, 0.02, made.rot_T4.shape).astype(np.float32)
    rot_T4 /= np.linalg.norm(rot_T4, axis=1, keepdims=True)
    return dataclasses.replace(made, rot_T4=rot_T4)


def changed(sequences, group, sequence=None, column=None, **change):
    """Return the sequences with ``scale``, ``add`` or ``value`` applied to a part of a group."""
    field = {"acc": "acc_T3", "rot": "rot_T4", "thm": "thm_T5", "tof": "tof_T320"}[group]
    values = getattr(sequences, field).copy()
    rows = slice(None) if sequence is None else slice(*sequences.offsets[sequence : sequence + 2])
    columns = slice(None) if column is None else column
    part = values[rows, columns] * change.get("scale", 1) + change.get("add", 0)
    values[rows, columns] = change.get("value", part)
    return dataclasses.replace(sequences, **{field: values})


def lines(findings, severity="warning"):
    return [finding.line for finding in findings if finding.severity == severity]


def test_a_good_recording_has_no_warning(sequences):
    """What is there is told in notes: rows, sensors, units, ranges."""
    findings = examine(sequences)
    assert lines(findings) == []
    notes = lines(findings, "note")
    rows = int(sequences.offsets[-1])
    low, high = sequences.lengths_N.min(), sequences.lengths_N.max()
    assert notes[0] == f"what was read: got 4 sequences, {rows} rows, {low} to {high} rows each"
    assert "acc: acceleration present: got every value" in notes
    assert "rot: the orientations are unit quaternions: got a mean length of 1.000" in notes
    assert "the hand is not known in all 4 sequences, taken for a right one" in notes
    assert any(note.startswith("tof_3: nothing in range: expected about 57 %") for note in notes)


@pytest.mark.parametrize(
    ("scale", "said"),
    [
        (1 / 9.81, "the acceleration seems to be in g, not m/s2; multiply it by 9.81"),
        (1000 / 9.81, "the acceleration seems to be in thousandths of g; multiply it by 0.00981"),
        (10, "the acceleration is stronger than a hand's; check its unit"),
    ],
)
def test_the_unit_of_the_acceleration_is_told_by_gravity(sequences, scale, said):
    """Its length hovers about 9.81 in m/s2, about 1 in g."""
    (finding,) = warnings(examine(changed(sequences, "acc", scale=np.float32(scale))))
    assert finding.what == f"{said} (all 4 sequences)"
    assert finding.expected == "a median length near 9.81 m/s2"
    assert finding.sequence_id is None


def test_an_acceleration_without_gravity_is_noticed_in_the_sequence_that_has_it(sequences):
    """It comes back to zero, which an acceleration with gravity never does."""
    random = np.random.default_rng(1)
    rows = sequences.lengths_N[2]
    free = random.normal(0, 0.8, (rows, 3)).astype(np.float32)
    (finding,) = warnings(examine(changed(sequences, "acc", sequence=2, value=free)))
    assert finding.what.startswith("gravity seems to have been removed")
    assert "(1 of 4 sequences)" in finding.what
    assert finding.sequence_id == "SEQ_000002"


def test_missing_values_are_told_with_their_share(sequences):
    """Half a sequence without acceleration is a warning, an absent sensor a note."""
    stop = int(sequences.lengths_N[0]) // 2
    acc_T3 = sequences.acc_T3.copy()
    acc_T3[:stop] = np.nan
    holes = dataclasses.replace(sequences, acc_T3=acc_T3).without(["thm"])
    findings = examine(holes)
    (finding,) = warnings(findings)
    assert finding.what == "much of the acceleration is missing in 1 of 4 sequences"
    assert (finding.expected, finding.sequence_id) == ("at most 2% of the values", "SEQ_000000")
    assert "thm: no thermopiles in the recording" in lines(findings, "note")


def test_a_sensor_that_some_sequences_lack_is_named(sequences):
    """With the first sequence that it is about."""
    findings = examine(changed(sequences, "tof", sequence=3, value=np.nan))
    assert "SEQ_000003, tof: no time of flight in 1 of 4 sequences" in lines(findings, "note")


def test_quaternions_that_are_none_are_noticed(sequences):
    """And how many are so short that they count as missing."""
    (finding,) = warnings(examine(changed(sequences, "rot", sequence=1, scale=np.float32(0.1))))
    assert finding.what.startswith("not all orientations are unit quaternions (1 of 4 sequences)")
    assert finding.expected == "a length of 1"
    assert finding.sequence_id == "SEQ_000001"


def test_a_channel_that_is_stuck_is_named(sequences):
    """A thermopile that never changes in one sequence."""
    stuck = changed(sequences, "thm", sequence=2, column=3, value=30.0)
    assert lines(examine(stuck)) == [
        "SEQ_000002, thm_4: the channel never changes in 1 of 4 sequences: expected values that "
        "vary, got 30 throughout"
    ]


def test_a_clipped_axis_is_noticed(sequences):
    """Four rows in a row at the largest value; across two sequences they are no run."""
    start = int(sequences.offsets[1])
    acc_T3 = sequences.acc_T3.copy()
    acc_T3[start - 2 : start + 2, 0] = 19.61
    assert lines(examine(dataclasses.replace(sequences, acc_T3=acc_T3))) == []
    acc_T3[start : start + 4, 0] = -19.61
    (finding,) = warnings(examine(dataclasses.replace(sequences, acc_T3=acc_T3)))
    assert (finding.channel, finding.sequence_id) == ("acc_x", "SEQ_000001")
    assert finding.got == "4 rows or more in a row at 19.61 m/s2"


def test_implausible_temperatures_and_ranges_are_named(sequences):
    """Kelvin, and millimetres, are noticed."""
    kelvin = changed(sequences, "thm", column=0, add=np.float32(273.15))
    (finding,) = warnings(examine(kelvin))
    assert (finding.channel, finding.expected) == ("thm_1", "18 to 40 degrees Celsius")
    far = changed(sequences, "tof", column=slice(64, 128), value=1200.0)
    (finding,) = warnings(examine(far))
    assert (finding.channel, finding.got) == ("tof_2", "1200 to 1200")


def test_a_blind_time_of_flight_sensor_is_noticed(sequences):
    """All of its pixels see nothing; one without a value says so."""
    blind = changed(sequences, "tof", column=slice(0, 64), value=-1.0)
    (finding,) = warnings(examine(blind))
    assert (finding.channel, finding.got) == ("tof_1", "100%")
    silent = changed(sequences, "tof", column=slice(256, 320), value=np.nan)
    assert "tof_5: the sensor gave no value" in lines(examine(silent), "note")


def test_a_left_hand_is_told(sequences):
    """And that it is mirrored, where the run does."""
    table = make_table(num_subjects=1, sequences_per_subject=1, labelled=False)
    left = sequences_from_table(table, make_demographics(table, left_handers=["SUBJ_000000"]))
    mirrored = "SEQ_000000: a left hand in the sequence, mirrored before the models see it"
    assert mirrored in lines(examine(left), "note")
    as_it_is = "SEQ_000000: a left hand in the sequence, used as it is"
    assert as_it_is in lines(examine(left, mirror_left_handers=False), "note")


# Against the training data


@pytest.fixture(scope="module")
def training(tiny_run):
    return Training.load(tiny_run)


def test_recordings_like_the_training_data_are_said_to_be(tiny_source, training):
    """The training data itself, as good as any."""
    notes = lines(examine(load(str(tiny_source)), training), "note")
    lengths = training.column("acc.length.steps")
    span = f"{lengths.min():.0f} to {lengths.max():.0f}"
    middle = f"{np.percentile(lengths, 50):.0f}"
    assert (
        f"as long as training sequences: expected {span} rows, {middle} in the middle, got {span}"
    ) in notes


def test_an_unusual_length_is_noticed(training):
    """Shorter than any training sequence."""
    short = sequences_from_table(
        make_table(num_subjects=1, sequences_per_subject=1, length=4, labelled=False)
    )
    assert any(
        "shorter than any training sequence (the sequence)" in line
        for line in lines(examine(short, training))
    )


def test_a_reversed_device_is_noticed(tiny_source, training):
    """Half a turn about z, as two people of the competition wore it (facts 3.1)."""
    worn = load(str(tiny_source))
    tilted = dataclasses.replace(
        training,
        table=dataclasses.replace(
            training.table,
            values_NF=np.where(
                [name == "acc.acc_x.mean" for name in training.table.names],
                np.float32(6.0),
                training.table.values_NF,
            ),
        ),
    )
    right = dataclasses.replace(worn, acc_T3=worn.acc_T3 + np.float32([6, 0, 0]))
    turned = dataclasses.replace(right, acc_T3=right.acc_T3 * np.float32([-1, -1, 1]))
    said = "the device may be worn the other way round"
    assert not any(said in line for line in lines(examine(right, tilted)))
    (finding,) = [f for f in warnings(examine(turned, tilted)) if said in f.what]
    assert finding.channel == "acc"
    assert "within" in finding.expected and "turned" in finding.got


def test_recordings_of_the_training_itself_are_not_called_reversed():
    """Real recordings, each asked about alone: hardly any is; turned half about z, most are."""
    watch = load("watch")
    table = build_table(preprocess(watch))
    known = Training(table, watch.label_idx, watch.subjects, watch.sequence_ids)
    turned = dataclasses.replace(watch, acc_T3=watch.acc_T3 * np.float32([-1, -1, 1]))

    def num_called(recordings):
        said = "the device may be worn the other way round"
        asked = (recordings.select(np.array([n])) for n in range(0, watch.num_sequences, 12))
        return sum(any(said in line for line in lines(examine(one, known))) for one in asked)

    assert num_called(watch) <= 1  # of 62
    assert num_called(turned) >= 40


def test_a_run_without_its_training_data_says_so(tiny_run, tmp_path, sequences):
    """A bundle alone answers; nothing is compared, and a note says why."""
    (tmp_path / "lgbm_bundle.pkl").write_bytes((tiny_run / "lgbm_bundle.pkl").read_bytes())
    predictor = Predictor.load(tmp_path / "lgbm_bundle.pkl")
    notes = lines(examine_for(predictor, sequences), "note")
    assert "train_features.joblib: not there yet" in notes[-1]
    with pytest.raises(PredictError, match="resuming the run makes it again"):
        Training.load(tmp_path)


def test_the_doctor_needs_no_model_library():
    """It answers before torch or LightGBM is loaded."""
    names = ("torch", "lightgbm", "sklearn")
    assert modules_after("import trainer.explain.doctor", names) == []
