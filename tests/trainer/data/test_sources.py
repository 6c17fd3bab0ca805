"""Sources of recordings that can be read; refused ones are in test_refusals.py."""

import math
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.support.builders import GESTURES, make_demographics, make_small_table, with_value
from trainer.data import columns
from trainer.data.files import read_raw_table
from trainer.data.schema import FORBIDDEN_INPUTS, SENSOR_COLUMNS, TOF_COLUMNS
from trainer.data.sequences import LabelTable
from trainer.data.sources import (
    COMPETITION,
    WATCH_PATH,
    check_trainable,
    fingerprint,
    load,
    read_table,
    read_upload,
    sequences_from_table,
)

SHARED_DATA = Path(__file__).parents[4] / "shared/data"
needs_sample = pytest.mark.skipif(
    not (SHARED_DATA / "test.csv").exists(), reason="the competition's sample is not here"
)


# What is read


def test_the_embedded_recordings_are_those_of_ten_people():
    """watch: 744 sequences, 44,640 rows, 10 subjects, 7 exercises of which 4 are targets."""
    sequences = load("watch")
    assert (sequences.num_sequences, int(sequences.offsets[-1])) == (744, 44_640)
    assert sequences.groups == ("acc", "rot")
    assert len(np.unique(sequences.subjects)) == 10
    assert sequences.labels.gestures == (
        *("Bent-over row", "External rotation", "Internal rotation", "Lower trapezius row"),
        *("Abduction", "Forward elevation", "Pendulum"),
    )
    assert sequences.labels.num_targets == 4
    check_trainable(sequences, num_folds=5)


def test_the_embedded_recordings_carry_their_licence_and_attribution():
    """The licence text and the notice lie beside the file and name its author."""
    for name in ("WATCH_LICENSE", "NOTICE.md"):
        assert "2018" in WATCH_PATH.with_name(name).read_text()
        assert "David M. Burns" in WATCH_PATH.with_name(name).read_text()


@pytest.mark.parametrize(
    "groups", [("acc",), ("acc", "rot"), ("acc", "rot", "thm"), ("acc", "rot", "thm", "tof")]
)
def test_any_subset_of_sensors_is_read_as_flat_float32(groups):
    """Groups without columns are None; the others have a row per time step."""
    table = make_small_table(groups)
    sequences = sequences_from_table(table)
    assert sequences.groups == groups
    assert sequences.offsets.tolist()[-1] == len(table)
    arrays = (sequences.acc_T3, sequences.rot_T4, sequences.thm_T5, sequences.tof_T320)
    for array, width in zip(arrays[: len(groups)], (3, 4, 5, 320), strict=False):
        assert array.shape == (len(table), width)
        assert array.dtype == np.float32
        assert array.flags.c_contiguous


def test_the_columns_land_where_the_schema_says():
    """Values follow the schema's order, whatever the order of columns in the table."""
    table = make_small_table(("acc", "rot", "thm", "tof"), num_subjects=1, sequences_per_subject=1)
    table = table.with_columns(pl.lit(float(i)).alias(c) for i, c in enumerate(SENSOR_COLUMNS))
    sequences = sequences_from_table(table.select(reversed(table.columns)))
    assert sequences.acc_T3[0].tolist() == [0, 1, 2]
    assert sequences.rot_T4[0].tolist() == [3, 4, 5, 6]
    assert sequences.thm_T5[0].tolist() == [7, 8, 9, 10, 11]
    assert sequences.tof_T320[0].tolist() == list(range(12, 332))


def test_a_null_group_is_the_same_as_an_absent_one():
    """Columns present but wholly null, of any type, give None as absent columns do."""
    table = make_small_table(("acc", "rot", "thm", "tof"))
    nulled = table.with_columns(
        *(pl.lit(None, pl.String).alias(name) for name in ("rot_w", "rot_x", "rot_y", "rot_z")),
        *(pl.lit(None).alias(f"thm_{i}") for i in range(1, 6)),
        *(pl.lit(math.nan).alias(name) for name in TOF_COLUMNS),
    )
    sequences = sequences_from_table(nulled)
    assert sequences.groups == ("acc",)
    assert fingerprint(sequences) == fingerprint(
        sequences_from_table(table.select(pl.exclude("^(rot|thm|tof)_.*$")))
    )


def test_one_missing_sensor_is_nan_and_minus_one_is_not():
    """A thermopile or image without columns is NaN; -1 of a pixel is kept."""
    table = make_small_table(("acc", "thm", "tof")).drop("thm_5", *TOF_COLUMNS[-64:])
    sequences = sequences_from_table(table.with_columns(tof_1_v0=pl.lit(-1)))
    assert np.isnan(sequences.thm_T5).all(axis=0).tolist() == [False] * 4 + [True]
    assert np.isnan(sequences.tof_T320).all(axis=0).tolist() == [False] * 256 + [True] * 64
    assert (sequences.tof_T320[:, 0] == -1).all()


def test_numbers_may_be_whole_or_written_as_text():
    """Integers, text with spaces, empty text and nulls are read; what is empty is NaN."""
    table = make_small_table(("acc",), num_subjects=1, sequences_per_subject=1, length=4).head(4)
    table = table.with_columns(
        acc_x=pl.Series([1, 2, None, 4]), acc_y=pl.Series([" 1.5", "", None, "nan"])
    )
    acc_T3 = sequences_from_table(table).acc_T3
    np.testing.assert_array_equal(acc_T3[:, 0], [1, 2, np.nan, 4])
    np.testing.assert_array_equal(acc_T3[:, 1], [1.5, np.nan, np.nan, np.nan])


def test_classes_come_from_the_data_targets_first():
    """Targets alphabetical, then non-targets alphabetical; no gesture is known beforehand."""
    gestures = (
        ("zeta", "Target"),
        ("beta", "Non-Target"),
        ("alpha", "Target"),
        ("b", "Non-Target"),
    )
    sequences = sequences_from_table(make_small_table(gestures=gestures))
    assert sequences.labels == LabelTable(("alpha", "zeta", "b", "beta"), num_targets=2)
    assert sequences.label_idx.tolist() == [1, 3, 0, 2] * 2


def test_an_unlabelled_table_needs_neither_labels_nor_subjects():
    """test.csv's columns, with or without subject, and a gesture column wholly null."""
    table = make_small_table(labelled=False)
    sequences = sequences_from_table(table)
    assert sequences.labels is None
    assert sequences.label_idx is None
    assert sequences.subjects[0] == "SUBJ_000000"
    assert sequences_from_table(table.drop("subject", "row_id")).subjects is None
    nulled = table.with_columns(gesture=pl.lit(None), subject=pl.lit(None, pl.String))
    assert sequences_from_table(nulled).labels is None
    assert sequences_from_table(nulled).subjects is None


def test_handedness_comes_from_the_demographics():
    """0 left, 1 right, NaN where unknown, where there is no row, or no demographics."""
    table = make_small_table(num_subjects=4, sequences_per_subject=1)
    demographics = make_demographics(table, left_handers=("SUBJ_000001",)).head(3)
    demographics = with_value(demographics, "handedness", 2, None)
    sequences = sequences_from_table(table, demographics)
    np.testing.assert_array_equal(sequences.right_handed_N, [1, 0, np.nan, np.nan])
    assert np.isnan(sequences_from_table(table).right_handed_N).all()


def test_phase_and_posture_are_read_and_are_no_input():
    """Transition 0, Gesture 1, anything else -1; a posture that changes is unknown; the three
    annotations are named as forbidden."""
    table = with_value(make_small_table(), "phase", 0, None)
    assert sequences_from_table(table).phase_T[:4].tolist() == [-1, 0, 1, 1]
    assert sequences_from_table(table.drop("phase")).phase_T is None
    table = with_value(table, "orientation", 1, "Lie on Side - Non Dominant")
    sequences = sequences_from_table(table)
    assert sequences.posture_N[:3].tolist() == ["", "Lie on Back", "Seated Straight"]
    assert sequences.select(np.array([2, 0])).posture_N.tolist() == ["Seated Straight", ""]
    assert sequences_from_table(table.drop("orientation")).posture_N is None
    assert FORBIDDEN_INPUTS == ("phase", "behavior", "orientation")


def test_sequences_keep_the_order_of_the_table():
    """Ids are in order of first appearance, not sorted; ids may be numbers."""
    table = pl.concat(reversed(make_small_table().partition_by("sequence_id", maintain_order=True)))
    assert sequences_from_table(table).sequence_ids[0] == "SEQ_000007"
    numbered = table.with_columns(sequence_id=pl.col("sequence_id").rank("dense"))
    assert sequences_from_table(numbered).sequence_ids[:2].tolist() == ["8", "7"]


def test_the_counter_may_start_anywhere_and_skip():
    """A cut sequence is read; only the order matters, the schema has no clock."""
    table = make_small_table().with_columns(sequence_counter=pl.col("sequence_counter") * 3 + 7)
    assert sequences_from_table(table).num_sequences == 8


# Files and folders


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_file_and_an_upload_are_read_alike(tmp_path, suffix):
    """CSV and Parquet, from disk or as bytes, give the same recordings."""
    table = make_small_table(("acc", "rot", "thm", "tof"))
    path = tmp_path / f"recordings [1].{suffix}"  # brackets are no pattern
    table.write_csv(path) if suffix == "csv" else table.write_parquet(path)
    expected = fingerprint(sequences_from_table(table))
    assert fingerprint(load(str(path))) == expected
    assert fingerprint(sequences_from_table(read_upload(path.name, path.read_bytes()))) == expected


def test_no_type_is_guessed_from_the_first_rows():
    """A column that is empty for 150 rows, then has numbers, is a column of numbers."""
    table = make_small_table(length=60).with_row_index()
    late = table.with_columns(rot_w=pl.when(pl.col("index") > 150).then(pl.col("rot_w")))
    sequences = sequences_from_table(read_upload("late.csv", late.write_csv().encode()))
    assert np.isnan(sequences.rot_T4[:151, 0]).all()
    assert not np.isnan(sequences.rot_T4[151:, 0]).any()


def test_the_fingerprint_is_of_the_content_not_of_the_format(tmp_path):
    """The embedded recordings, written as CSV, have the same fingerprint."""
    read_table(WATCH_PATH).write_csv(tmp_path / "watch.csv")
    assert fingerprint(load(str(tmp_path / "watch.csv"))) == fingerprint(load("watch"))


def test_the_fingerprint_changes_with_any_content():
    """One value, label, annotation, subject, id or hand changed: another fingerprint."""
    table = make_small_table()
    demographics = make_demographics(table)
    changed = [
        (with_value(table, "acc_x", 0, 0.5), None),
        (table.with_columns(pl.col("gesture").replace("Wave hello", "Wave")), None),
        (table.with_columns(pl.col("subject") + "x"), None),
        (table.with_columns(pl.col("sequence_id") + "x"), None),
        (table, demographics),
        (table.drop("phase"), None),
        (table.drop("orientation"), None),
        (with_value(table, "phase", 0, "Gesture"), None),
        (table.drop("rot_w", "rot_x", "rot_y", "rot_z"), None),
        (table, None),
    ]
    prints = [fingerprint(sequences_from_table(*pair)) for pair in changed]
    assert len(set(prints)) == len(changed)
    assert prints[-1] == fingerprint(sequences_from_table(table.drop("behavior")))
    assert len(prints[0]) == 64


def test_the_fingerprint_knows_one_missing_and_one_zero():
    """NaN is NaN whatever its bits, and -0 is 0."""
    sequences = sequences_from_table(make_small_table(("acc",)))
    sequences.acc_T3[0, 0], sequences.acc_T3[1, 0] = np.nan, 0.0
    before = fingerprint(sequences)
    sequences.acc_T3.view(np.uint32)[0, 0] = 0xFFC00001
    sequences.acc_T3[1, 0] = -0.0
    assert fingerprint(sequences) == before


def test_a_folder_in_the_competitions_schema_is_read(tmp_path):
    """train.csv with its demographics; test.csv only where there is no train.csv."""
    labelled, unlabelled = make_small_table(), make_small_table(labelled=False)
    unlabelled.write_csv(tmp_path / "test.csv")
    assert load(str(tmp_path)).labels is None
    labelled.write_csv(tmp_path / "train.csv")
    assert np.isnan(load(str(tmp_path)).right_handed_N).all()
    make_demographics(labelled).write_csv(tmp_path / "train_demographics.csv")
    assert load(str(tmp_path)).labels.num_classes == len(GESTURES)
    assert (load(str(tmp_path)).right_handed_N == 1).all()


@pytest.mark.parametrize("between", [".", "competitions"])
def test_kaggles_mounted_input_is_found(tmp_path, between):
    """The competition's folder lies one or two levels below the input folder."""
    folder = tmp_path / between / COMPETITION
    folder.mkdir(parents=True)
    make_small_table().write_parquet(folder / "train.parquet")
    assert load("kaggle", kaggle_input=tmp_path).num_sequences == 8


@needs_sample
def test_the_competitions_own_sample_is_read(tmp_path):
    """Two sequences with all sensors; also with thermopiles and images nulled, and absent."""
    sample = SHARED_DATA / "test.csv"
    shutil.copy(sample, tmp_path / "test.csv")
    shutil.copy(SHARED_DATA / "test_demographics.csv", tmp_path / "test_demographics.csv")
    sequences = load(str(tmp_path))
    assert sequences.sequence_ids.tolist() == ["SEQ_000001", "SEQ_000011"]
    assert sequences.lengths_N.tolist() == [56, 51]
    assert sequences.groups == ("acc", "rot", "thm", "tof")
    assert not np.isnan(sequences.right_handed_N).any()
    optional = [name for name in SENSOR_COLUMNS if name.startswith(("thm", "tof"))]
    table = read_table(sample)
    nulled = table.with_columns(pl.lit(None).alias(name) for name in optional)
    absent = sequences_from_table(table.drop(optional))
    assert fingerprint(sequences_from_table(nulled)) == fingerprint(absent)


def test_a_parquet_file_keeps_its_columns_in_order_and_its_images_as_float32(tmp_path):
    """Images come as float32, whole or not; other columns, and images that are text, as written."""
    table = pl.DataFrame(
        {
            "tof_2_v1": [254, None],
            "acc_x": [0.1, 0.2],
            "tof_1_v0": [-1.0, 7.0],
            "note": ["a", "b"],
            "tof_1_v1": ["x", None],
        }
    )
    table.write_parquet(tmp_path / "some.parquet")
    read = read_table(tmp_path / "some.parquet")
    assert read.columns == table.columns
    assert read.dtypes == [pl.Float32, pl.Float64, pl.Float32, pl.String, pl.String]
    assert read["tof_2_v1"].to_list() == [254.0, None]
    assert read["tof_1_v1"].to_list() == ["x", None]
    assert read["acc_x"].to_list() == [0.1, 0.2]


@pytest.mark.parametrize("block_values", [7, 2**20])
def test_images_of_a_parquet_file_are_read_into_an_array(tmp_path, monkeypatch, block_values):
    """Gaps, whole numbers and the order of the columns do not matter; in blocks of any size."""
    monkeypatch.setattr(columns, "_BLOCK_VALUES", block_values)
    table = make_small_table(("acc", "rot", "thm", "tof")).cast({"tof_4_v9": pl.Int64})
    table = with_value(table, "tof_2_v30", 3, None).select(reversed(table.columns))
    table.write_parquet(tmp_path / "some.parquet")
    raw = read_raw_table(tmp_path / "some.parquet")
    assert raw.columns == tuple(table.columns)
    assert raw.frame.columns == [name for name in table.columns if name not in TOF_COLUMNS]
    assert raw.tof_T320.dtype == np.float32
    np.testing.assert_array_equal(raw.tof_T320, table.select(TOF_COLUMNS).to_numpy())
    assert fingerprint(sequences_from_table(raw)) == fingerprint(sequences_from_table(table))


def test_images_that_are_incomplete_or_text_stay_in_the_table(tmp_path):
    """Four of five sensors, and a pixel that is text: as in a table that was not in a file."""
    whole = make_small_table(("acc", "tof"))
    for table in (
        whole.drop(f"tof_5_v{pixel}" for pixel in range(64)),
        whole.cast({"tof_1_v0": pl.String}),
    ):
        table.write_parquet(tmp_path / "some.parquet")
        raw = read_raw_table(tmp_path / "some.parquet")
        assert raw.tof_T320 is None
        assert raw.frame.columns == table.columns
        assert fingerprint(sequences_from_table(raw)) == fingerprint(sequences_from_table(table))


def test_images_without_a_value_are_no_images(tmp_path):
    """All pixels null or NaN in a Parquet file: the sensor group is absent."""
    table = make_small_table(("acc", "tof"))
    table.with_columns(pl.lit(math.nan).alias(name) for name in TOF_COLUMNS).write_parquet(
        tmp_path / "some.parquet"
    )
    assert load(str(tmp_path / "some.parquet")).groups == ("acc",)
