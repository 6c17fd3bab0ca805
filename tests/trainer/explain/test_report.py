"""What if, the nearest training sequences, and the report, in which every text is escaped."""

import dataclasses
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest

from tests.support.builders import make_demographics, make_table
from trainer.data.preprocess import mirror, preprocess
from trainer.data.quality.checks import check_input
from trainer.data.sources import load, sequences_from_table
from trainer.explain.contributions import contributions_of
from trainer.explain.nearest import nearest
from trainer.explain.occlusion import attention_of, occlusion_of
from trainer.explain.report import Report, render
from trainer.explain.training import Training
from trainer.explain.what_if import flip_table, variants_of, what_if
from trainer.predict.predictor import PredictError, Predictor

RATE_HZ = 10.0


@pytest.fixture(scope="module")
def predictor(tiny_run):
    return Predictor.load(tiny_run)


@pytest.fixture(scope="module")
def training(tiny_run):
    return Training.load(tiny_run)


@pytest.fixture(scope="module")
def sequences():
    """Three sequences of 24 to 36 steps with all sensors."""
    table = make_table(num_subjects=1, sequences_per_subject=3, seed=9, labelled=False)
    return sequences_from_table(table)


# What if


def test_every_change_is_made_to_a_copy(sequences):
    """Five changes; only what the title names differs, and the recordings stay unchanged."""
    before = sequences.acc_T3.copy()
    variants = {each.name: each.sequences for each in variants_of(sequences, RATE_HZ)}
    assert list(variants) == [
        *("without_tof", "without_thm", "without_rot", "other_hand", "last_second_blanked"),
    ]
    assert variants["without_tof"].groups == ("acc", "rot", "thm")
    assert variants["without_rot"].groups == ("acc", "thm", "tof")
    assert variants["other_hand"].acc_T3[:, 0].tolist() == (-before[:, 0]).tolist()
    shortened = variants["last_second_blanked"]
    assert (shortened.lengths_N == sequences.lengths_N - 10).all()
    first = int(shortened.lengths_N[0])
    assert shortened.tof_T320[:first].tolist() == sequences.tof_T320[:first].tolist()
    assert sequences.acc_T3.tolist() == before.tolist()


def test_only_existing_parts_can_be_removed(sequences):
    """Neither a sensor group that is missing nor the last second of a recording of one second."""
    imu = sequences.without(["thm", "tof"])
    names = [each.name for each in variants_of(imu, RATE_HZ)]
    assert names == ["without_rot", "other_hand", "last_second_blanked"]
    assert [each.name for each in variants_of(imu, 36.0)] == ["without_rot", "other_hand"]


def test_the_other_hand_is_what_preprocessing_makes_of_a_left_hander():
    """Mirrored twice, a recording is itself again."""
    table = make_table(num_subjects=1, sequences_per_subject=2, labelled=False)
    right = sequences_from_table(table)
    people = make_demographics(table, left_handers=["SUBJ_000000"])
    left = preprocess(sequences_from_table(table, people))
    mirrored = preprocess(mirror(right))
    for name in ("motion_TS", "thm_T5"):
        np.testing.assert_array_equal(getattr(left, name), getattr(mirrored, name))
    for sensor in range(5):
        np.testing.assert_array_equal(left.sensor_pixels(sensor), mirrored.sensor_pixels(sensor))
    twice = mirror(mirror(right))
    for name in ("acc_T3", "rot_T4", "thm_T5", "tof_T320"):
        np.testing.assert_array_equal(getattr(twice, name), getattr(right, name))


def test_every_change_is_predicted_anew_and_repeatably(predictor, sequences):
    """The probabilities are those of the changed recordings, and the same the second time."""
    one, again = (what_if(predictor, sequences, RATE_HZ) for _ in range(2))
    for outcome, same in zip(one, again, strict=True):
        direct = predictor.predict(outcome.variant.sequences)
        assert outcome.prediction.proba_NK.tolist() == direct.proba_NK.tolist()
        assert outcome.prediction.proba_NK.tolist() == same.prediction.proba_NK.tolist()
    without_tof = one[0].prediction
    assert "not in this recording: time of flight" in without_tof.notes


def test_the_flip_table_compares_with_the_first_prediction(predictor, sequences):
    """One row per sequence and change; the change is of the first gesture's probability."""
    before = predictor.predict(sequences)
    table = flip_table(before, what_if(predictor, sequences, RATE_HZ))
    assert len(table) == 15
    assert table["what_if"].unique(maintain_order=True).to_list() == [
        "without time of flight",
        "without thermopiles",
        "without orientation",
        "worn on the other hand",
        "without its last second",
    ]
    assert table["predicted_before"].to_list() == before.predicted * 5
    assert table["p_before"].to_list() == before.proba_NK.max(axis=1).tolist() * 5
    flips = (table["predicted_before"] != table["predicted_after"]).to_list()
    assert table["flips"].to_list() == flips
    changes = (table["p_after"] - table["p_before"]).to_list()
    assert table["change"].to_list() == changes
    assert any(abs(change) > 1e-6 for change in changes)


# The nearest


def test_a_training_sequence_is_nearest_to_itself(predictor, training, tiny_source):
    """At distance 0, unless it is excluded; the rows are sorted by distance."""
    known = load(str(tiny_source)).select(np.array([7]))
    found = nearest(predictor, training, known)
    assert len(found) == 5
    assert (found[0].sequence_id, found[0].distance) == ("SEQ_000007", 0.0)
    assert (found[0].gesture, found[0].subject) == ("Wave hello", "SUBJ_000000")
    distances = [each.distance for each in found]
    assert distances == sorted(distances) and distances[1] > 0
    others = nearest(predictor, training, known, 3, exclude=["SEQ_000007"])
    assert [each.sequence_id for each in others] == [each.sequence_id for each in found[1:4]]


def test_the_nearest_sequences_are_mostly_of_the_same_gesture(predictor, training, tiny_source):
    """By the features with the highest gain, sequences of one gesture are near each other."""
    known = load(str(tiny_source))
    same = 0
    for n in range(0, 48, 4):
        one = known.select(np.array([n]))
        (found,) = nearest(predictor, training, one, 1, exclude=[str(one.sequence_ids[0])])
        same += found.gesture == known.labels.gestures[known.label_idx[n]]
    assert same >= 11


def test_a_sensor_that_is_missing_does_not_count(predictor, training, tiny_source):
    """Without time of flight the distance uses the other sensors."""
    known = load(str(tiny_source)).select(np.array([7])).without(["tof", "thm"])
    found = nearest(predictor, training, known, 1)
    assert (found[0].sequence_id, found[0].distance) == ("SEQ_000007", 0.0)


def test_without_a_model_with_importance_there_are_no_neighbours(
    tiny_run, training, sequences, tmp_path
):
    """Its gains are the weights of the distance."""
    root = shutil.copytree(tiny_run, tmp_path / "copy")
    (root / "lgbm_bundle.pkl").unlink()
    with pytest.raises(
        PredictError, match=r"expected a model with importance \(LightGBM\), got only Network"
    ):
        nearest(Predictor.load(root), training, sequences.select(np.array([0])))


# The report


class Reader(HTMLParser):
    """Collects the tags and texts of a document, and the addresses it would load."""

    def __init__(self):
        super().__init__()
        self.tags, self.links, self.texts, self.open = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "srcset", "data")]
        if tag not in ("meta", "rect", "polyline"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def read(html):
    reader = Reader()
    reader.feed(html)
    assert reader.open == []
    return reader


def test_a_report_holds_every_part_and_loads_nothing(predictor, training, sequences):
    """One file without script, link or image; it has the numbers of all parts."""
    one = sequences.select(np.array([1]))
    prediction = predictor.predict(one)
    first, second = np.argsort(-prediction.proba_NK[0])[:2].tolist()
    report = Report(
        run="tiny",
        sequence=one,
        prediction=prediction,
        rate_hz=RATE_HZ,
        remarks=("True gesture: Neck - scratch",),
        findings=check_input(one, training.summary),
        contributions=contributions_of(predictor, one, first, second),
        attention=attention_of(predictor, one),
        occlusion=occlusion_of(predictor, one),
        outcomes=what_if(predictor, one, RATE_HZ),
        neighbours=tuple(nearest(predictor, training, one)),
    )
    html = render(report)
    reader = read(html)
    text = "".join(reader.texts)
    assert reader.links == [] and "script" not in reader.tags
    assert reader.tags.count("svg") == 4 and reader.tags.count("table") == 5
    assert "default-src 'none'" in html
    assert f"Run tiny predicts {prediction.predicted[0]}" in text
    assert f"{prediction.proba_NK[0, first]:.3f}" in text
    assert "without time of flight" in text and "True gesture: Neck - scratch" in text
    assert html == render(report)


def test_a_report_leaves_out_what_was_not_computed(predictor, sequences):
    """The prediction and the recording alone."""
    one = sequences.select(np.array([0]))
    reader = read(render(Report("tiny", one, predictor.predict(one), RATE_HZ)))
    assert reader.tags.count("h2") == 2


def test_everything_in_a_report_is_escaped(predictor, sequences):
    """Ids, gestures and names that bring markup of their own stay text."""
    evil = '<script>alert("1")</script><img src=x onerror=alert(1)>'
    one = dataclasses.replace(
        sequences.select(np.array([0])), sequence_ids=np.array([evil]), subjects=None
    )
    prediction = dataclasses.replace(
        predictor.predict(one), gestures=(evil, *predictor.labels.gestures[1:]), notes=(evil,)
    )
    reader = read(render(Report(evil, one, prediction, RATE_HZ, remarks=(evil,))))
    assert "script" not in reader.tags and "img" not in reader.tags
    assert reader.links == []
    assert "".join(reader.texts).count(evil) >= 5


def test_missing_values_leave_gaps_in_the_traces(predictor, sequences):
    """There is no line where the acceleration is missing."""
    one = sequences.select(np.array([0]))
    acc_T3 = one.acc_T3.copy()
    acc_T3[5:9, 1] = np.nan
    acc_T3[:, 2] = np.nan
    holes = dataclasses.replace(one, acc_T3=acc_T3)
    html = render(Report("tiny", holes, predictor.predict(holes), RATE_HZ))
    assert html.count("<polyline") == 3
    assert "nan" not in html
