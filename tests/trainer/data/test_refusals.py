"""Refused recordings: the message names the field, the value and the correction."""

import io
import math

import polars as pl
import psutil
import pytest

from tests.support.builders import GESTURES, make_demographics, make_small_table, with_value
from trainer.data.schema import TOF_COLUMNS, DataError
from trainer.data.sources import (
    COMPETITION,
    check_trainable,
    read_table,
    read_upload,
    sequences_from_table,
)
from trainer.simulation.any_source import load


def refusal(function, *arguments):
    with pytest.raises(DataError) as caught:
        function(*arguments)
    return str(caught.value)


def refused_tables():
    table = make_small_table(("acc", "rot", "thm", "tof"))
    conflicting = pl.when(pl.col("sequence_id") == "SEQ_000004").then(pl.lit("Non-Target"))
    return {
        "missing column": (table.drop("acc_y"), ["'acc_y'", "Missing"]),
        "no sequence_id": (table.drop("sequence_id"), ["'sequence_id'", "Missing"]),
        "no counter": (table.drop("sequence_counter"), ["'sequence_counter'", "Missing"]),
        "similar name": (table.rename({"acc_y": "accel_y"}), ["rename 'accel_y' to 'acc_y'"]),
        "other case": (table.rename({"acc_x": "Acc_X"}), ["'Acc_X'", "'acc_x'"]),
        "no separator": (table.rename({"thm_2": "thm2"}), ["'thm2'", "'thm_2'"]),
        "numbered from 0": (table.rename({"thm_5": "thm_0"}), ["'thm_0'", "thm_1 to thm_5"]),
        "label misnamed": (table.rename({"gesture": "Gesture"}), ["'Gesture'", "'gesture'"]),
        "part of rot": (table.drop("rot_z"), ["'rot_z'", "orientation"]),
        "part of tof": (table.drop("tof_3_v7", "tof_3_v8"), ["'tof_3_v7', 'tof_3_v8'"]),
        "no type": (table.drop("sequence_type"), ["'sequence_type'", "gesture"]),
        "no subject": (table.drop("subject"), ["'subject'", "gesture"]),
        "no rows": (table.clear(), ["no rows"]),
        "text": (
            with_value(table.cast({"acc_x": pl.String}), "acc_x", 2, "fast"),
            ["'acc_x'", "number", "'fast'", "SEQ_000000_000002"],
        ),
        "text, no row_id": (
            with_value(table.cast({"thm_1": pl.String}), "thm_1", 2, "hot").drop("row_id"),
            ["'thm_1'", "'hot'", "data row 3"],
        ),
        "infinite": (
            with_value(table, "rot_x", 3, math.inf),
            ["'rot_x'", "finite", "inf", "SEQ_000000_000003"],
        ),
        "huge": (with_value(table, "tof_5_v63", 0, 1e300), ["'tof_5_v63'", "1e+300"]),
        "flags": (table.with_columns(acc_x=pl.lit(True)), ["'acc_x'", "Boolean"]),
        "null id": (with_value(table, "sequence_id", 1, None), ["'sequence_id'", "_000001"]),
        "null gesture": (with_value(table, "gesture", 1, None), ["'gesture'", "_000001"]),
        "blank subject": (with_value(table, "subject", 1, " "), ["'subject'", "_000001"]),
        "half counter": (
            with_value(table.cast({"sequence_counter": pl.Float64}), "sequence_counter", 1, 0.5),
            ["'sequence_counter'", "whole", "0.5"],
        ),
        "endless counter": (
            table.cast({"sequence_counter": pl.UInt64}).with_columns(
                pl.col("sequence_counter") + 2**63
            ),
            ["'sequence_counter'", "whole"],
        ),
        "null counter": (with_value(table, "sequence_counter", 1, None), ["'sequence_counter'"]),
        "doubled row": (
            pl.concat([table.head(2), table[1:2], table[2:]]),
            ["SEQ_000000", "counter 1", "twice", "duplicated"],
        ),
        "doubled table": (pl.concat([table, table]), ["SEQ_000000", "counter 0", "twice"]),
        "out of order": (
            pl.concat([table[1:2], table[0:1], table[2:]]),
            ["SEQ_000000", "order", "falls to 0", "Sort"],
        ),
        "not together": (
            pl.concat([table[1:], table[:1]]),
            ["SEQ_000000", "not together", "SEQ_000000_000000", "Sort"],
        ),
        "shuffled": (table.sample(fraction=1, shuffle=True, seed=0), ["SEQ_", "Sort"]),
        "two labels": (
            with_value(table, "gesture", 1, "Wave hello"),
            ["SEQ_000000", "'gesture'", "'Cheek - pinch skin'", "'Wave hello'"],
        ),
        "two subjects": (with_value(table, "subject", 1, "X"), ["SEQ_000000", "'subject'", "'X'"]),
        "two types": (
            with_value(table, "sequence_type", 1, "Non-Target"),
            ["SEQ_000000", "'sequence_type'"],
        ),
        "other type": (
            table.with_columns(pl.col("sequence_type").str.to_lowercase()),
            ["SEQ_000000", "'Target'", "'target'"],
        ),
        "target and not": (
            table.with_columns(sequence_type=conflicting.otherwise(pl.col("sequence_type"))),
            ["'Cheek - pinch skin'", "'Target'", "'Non-Target'"],
        ),
        "no acceleration": (
            table.with_columns(pl.lit(None, pl.Float64).alias(f"acc_{axis}") for axis in "xyz"),
            ["'acc_x', 'acc_y', 'acc_z'", "no value"],
        ),
        "a sequence without": (
            table.with_columns(
                acc_z=pl.when(pl.col("sequence_id") != "SEQ_000002").then(pl.col("acc_z"))
            ),
            ["SEQ_000002", "acceleration"],
        ),
    }


@pytest.mark.parametrize(("table", "parts"), refused_tables().values(), ids=refused_tables())
def test_bad_recordings_are_refused_with_their_place(table, parts):
    """The message names the column or the sequence, what was expected and what came."""
    message = refusal(sequences_from_table, table)
    assert [part for part in parts if part not in message] == []


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (lambda d: d.drop("handedness"), ["'handedness'", "Demographics"]),
        (lambda d: d.rename({"subject": "subject_id"}), ["rename 'subject_id' to 'subject'"]),
        (lambda d: pl.concat([d, d]), ["SUBJ_000000", "several rows"]),
        (lambda d: with_value(d, "handedness", 1, 2), ["SUBJ_000001", "2.0", "0 (left)"]),
        (lambda d: with_value(d.cast(pl.String), "handedness", 1, "left"), ["'left'"]),
        (lambda d: with_value(d, "subject", 1, None), ["Demographics", "'subject'", "row 2"]),
    ],
)
def test_bad_demographics_are_refused(change, parts):
    """A missing column, a subject with two rows, a hand that is neither 0 nor 1."""
    table = make_small_table()
    message = refusal(sequences_from_table, table, change(make_demographics(table)))
    assert [part for part in parts if part not in message] == []


def test_demographics_without_subjects_in_the_table_are_refused():
    """There is nothing to find a person's row by."""
    table = make_small_table(labelled=False)
    message = refusal(sequences_from_table, table.drop("subject"), make_demographics(table))
    assert "'subject'" in message


def parquet_bytes():
    buffer = io.BytesIO()
    make_small_table().write_parquet(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "parts"),
    [
        ("empty.csv", b"", ["'empty.csv'", "empty"]),
        ("blank.csv", b"\n \n", ["'blank.csv'", "empty"]),
        ("empty.parquet", b"", ["'empty.parquet'", "empty"]),
        ("picture.csv", b"\x89PNG\r\n\x1a\n\x00\x00", ["'picture.csv'", "not a CSV file"]),
        ("archive.csv", b"PK\x03\x04 a,b", ["not a CSV file", "binary"]),
        ("latin.csv", "subject,\xe9\n".encode("latin-1"), ["not a CSV file", "UTF-8"]),
        ("semi.csv", b"sequence_id;acc_x\nA;1\n", ["semicolons", "commas"]),
        ("tabs.csv", b"sequence_id\tacc_x\nA\t1\n", ["tabs", "commas"]),
        ("ragged.csv", b"sequence_id,acc_x\nA,1,2\n", ["not a CSV file", "more fields"]),
        ("twice.csv", b"acc_x,acc_x\n1,2\n", ["'acc_x'", "twice"]),
        ("text.parquet", b"sequence_id,acc_x\nA,1\n", ["not Parquet"]),
        ("torn.parquet", parquet_bytes()[:-200], ["'torn.parquet'", "damaged"]),
        ("holed.parquet", b"PAR1" + bytes(300) + parquet_bytes()[304:], ["damaged"]),
    ],
)
def test_a_file_that_is_neither_csv_nor_parquet_is_refused(name, data, parts):
    """The message names the file and what is wrong with it."""
    message = refusal(read_upload, name, data)
    assert [part for part in parts if part not in message] == []


def test_prose_is_refused_by_its_columns():
    """A text file reads as a CSV of one column, which lacks all that is needed."""
    table = read_upload("letter.csv", b"Dear reader\nhow are you\n")
    assert "'Dear reader'" in refusal(sequences_from_table, table)


def test_a_csv_with_a_text_among_its_numbers_is_refused_with_the_place():
    """The file is read on to the end, so that column, row and value can be named."""
    data = (
        with_value(make_small_table().cast({"acc_x": pl.String}), "acc_x", 9, "fast")
        .write_csv()
        .encode()
    )
    message = refusal(sequences_from_table, read_upload("recordings.csv", data))
    assert "'acc_x'" in message
    assert "'fast'" in message
    assert make_small_table()["row_id"][9] in message


def test_an_uploads_name_is_never_a_path(tmp_path):
    """The name of an existing file opens nothing: only the bytes are read."""
    make_small_table().write_parquet(tmp_path / "real.parquet")
    assert "not Parquet" in refusal(read_upload, str(tmp_path / "real.parquet"), b"a,b\n1,2\n")


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("", ["does not exist", "'watch'"]),
        ("nowhere.csv", ["'nowhere.csv'", "does not exist"]),
        ("~nobody-of-this-name/x", ["does not exist"]),
        ("x" * 5000, ["does not exist"]),
        ("a\0b", ["does not exist"]),
        ("simulated:none", ["'simulated:none'", "whole number from 1 to 1000"]),
        ("simulator", ["does not exist", "'simulated'"]),
    ],
)
def test_an_unknown_source_is_refused(source, parts):
    """The message names the source and those that there are."""
    message = refusal(load, source)
    assert [part for part in parts if part not in message] == []


def test_a_folder_without_recordings_is_refused(tmp_path):
    """The message names the expected files and those in the folder."""
    (tmp_path / "notes.txt").write_text("none")
    message = refusal(load, str(tmp_path))
    assert "train.csv" in message
    assert "'notes.txt'" in message


def test_kaggle_that_is_not_mounted_is_refused(tmp_path):
    """The message names the folder that was looked for."""
    assert COMPETITION in refusal(load, "kaggle", tmp_path / "input")


# What cannot be trained on


@pytest.mark.parametrize(
    ("table", "num_folds", "parts"),
    [
        (make_small_table(labelled=False), 2, ["'gesture'", "labelled"]),
        (make_small_table(gestures=GESTURES[:1]), 2, ["two gestures", "'Cheek - pinch skin'"]),
        (make_small_table(gestures=GESTURES[:2]), 2, ["'Target'", "sequence_type"]),
        (make_small_table(gestures=GESTURES[2:]), 2, ["'Non-Target'", "sequence_type"]),
        (make_small_table(), 5, ["5 folds", "got 2"]),
    ],
)
def test_recordings_that_cannot_be_trained_on_are_refused(table, num_folds, parts):
    """Unlabelled, one class only, one kind only, fewer subjects than folds."""
    message = refusal(check_trainable, sequences_from_table(table), num_folds)
    assert [part for part in parts if part not in message] == []


def test_as_many_subjects_as_folds_is_enough():
    """Two subjects make two folds."""
    check_trainable(sequences_from_table(make_small_table()), num_folds=2)


def _csv(header, rows=b""):
    return header + b"\n" + rows


HEADER = b"sequence_id,sequence_counter,acc_x,acc_y,acc_z"
BLOCK = 200_000  # bytes: more than the first line of a CSV may have
HOSTILE_CSV = {
    "carriage returns": (HEADER + b"\r" * BLOCK, "no line of names"),
    "few carriage returns": (HEADER + b"\r\r\r\n", "carriage return"),
    "only carriage returns": (HEADER + b"\rS,0,1,1,1\r", "carriage return"),
    "line separators": (HEADER + "\u2028".encode() * BLOCK, "no line of names"),
    "a byte order mark and blank lines": (b"\xef\xbb\xbf" + b"\r\n" * BLOCK, "no line of names"),
    "one long name": (b"a" * BLOCK, "no line of names"),
    "a name of 201 characters": (_csv(HEADER + b"," + b"b" * 201), "201 characters"),
    "many columns": (_csv(b",".join(b"%d" % i for i in range(10_001))), "10,001 columns"),
    "an open quotation mark": (_csv(HEADER + b',"a'), "not closed"),
    "rows that are padded": (
        _csv(b",".join(b"c%d" % i for i in range(9_000)), b"1\n" * 10**7),
        "need 1,440.0 GB of memory",
    ),
    "a long id": (_csv(HEADER, b"S" * BLOCK + b",0,1,1,1"), "a text of 200,000 bytes"),
}


@pytest.mark.parametrize(("data", "part"), HOSTILE_CSV.values(), ids=HOSTILE_CSV)
def test_a_hostile_csv_is_refused_in_few_words(data, part, tmp_path):
    """Names, columns, lines and memory are bounded, for uploads and for files alike."""
    path = tmp_path / "hostile.csv"
    path.write_bytes(data)
    uploaded = refusal(lambda: sequences_from_table(read_upload("hostile.csv", data)))
    on_disk = refusal(lambda: sequences_from_table(read_table(path)))
    assert part in uploaded
    assert part in on_disk
    assert max(len(uploaded), len(on_disk)) < 600


@pytest.mark.parametrize(
    ("columns", "part"),
    [
        ({"acc_x": [[1.0, 2.0]]}, "'acc_x': expected numbers or text, got List"),
        ({"acc_x": [{"a": 1.0}]}, "'acc_x': expected numbers or text, got Struct"),
        ({"a" * 10_000: [1.0]}, "10,000 characters"),
        ({f"c{i}": [1.0] for i in range(10_001)}, "10,017 columns"),
        ({"sequence_id": ["S" * 10_000]}, "a text of 10,000 bytes"),
        ({"orientation": ["S" * 10_000]}, "a text of 10,000 bytes"),
    ],
)
def test_a_hostile_parquet_file_is_refused_in_few_words(columns, part):
    """Lists can have any size in one row; names and texts are bounded."""
    table = make_small_table().head(1).with_columns(pl.Series(n, v) for n, v in columns.items())
    buffer = io.BytesIO()
    table.write_parquet(buffer)
    message = refusal(lambda: sequences_from_table(read_upload("a.parquet", buffer.getvalue())))
    assert part in message
    assert len(message) < 600


def test_a_parquet_file_larger_than_the_memory_is_refused(monkeypatch):
    """A value that repeats takes no space in the file: its rows and columns are counted first."""
    buffer = io.BytesIO()
    make_small_table(groups=("acc",), labelled=False).write_parquet(buffer)
    free = psutil.virtual_memory()._replace(available=1000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    message = refusal(read_upload, "a.parquet", buffer.getvalue())
    assert "GB of memory; 0.0 GB are free" in message


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (
            lambda table: with_value(table, "tof_5_v63", 2, 1e7),
            ["'tof_5_v63'", "10000000.0", "_000002"],
        ),
        (lambda table: with_value(table, "tof_1_v0", 2, -math.inf), ["'tof_1_v0'", "-inf"]),
        (lambda table: table.clear(), ["no rows"]),
        (lambda table: table.select(TOF_COLUMNS), ["'sequence_id', 'sequence_counter', 'acc_x'"]),
        (lambda table: table.drop("acc_x"), ["'acc_x'", "Columns of the table: 'row_id'"]),
    ],
)
def test_a_parquet_file_with_images_is_refused_as_its_table_is(tmp_path, change, parts):
    """Images in an array of their own: the same messages."""
    change(make_small_table(("acc", "tof"))).write_parquet(tmp_path / "a.parquet")
    message = refusal(load, str(tmp_path / "a.parquet"))
    assert message == refusal(lambda: sequences_from_table(read_table(tmp_path / "a.parquet")))
    assert [part for part in parts if part not in message] == []


def test_lists_outside_the_schema_are_left_out():
    """They are ignored, as every column outside the schema is."""
    buffer = io.BytesIO()
    make_small_table().with_columns(other=pl.lit([1.0, 2.0])).write_parquet(buffer)
    table = read_upload("a.parquet", buffer.getvalue())
    assert "other" not in table.columns
    assert sequences_from_table(table).num_sequences == 8


def test_long_texts_of_demographics_are_not_repeated():
    """Two rows of a subject with a long name."""
    table = make_small_table()
    people = make_demographics(table).with_columns(subject=pl.lit("S" * 10_000))
    assert len(refusal(sequences_from_table, table, people)) < 600
