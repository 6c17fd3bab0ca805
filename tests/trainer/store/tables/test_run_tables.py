"""A table of a run is read as the run wrote it, or it is named with what is wrong."""

from __future__ import annotations

import os
import threading
import time

import polars as pl
import pytest

from tests.support import run_folders
from trainer.store.checksums import CheckedFolder
from trainer.store.durable import StoreError
from trainer.store.reader import RunReader


@pytest.fixture
def run(tmp_path):
    root, _ = run_folders.make_run(tmp_path, "first", "finished")
    return RunReader(root)


def rewrite(run, name, change):
    path = run.root / name
    change(pl.read_parquet(path)).write_parquet(path)


def column(name, value, dtype=None):
    return lambda frame: frame.with_columns(pl.lit(value, dtype=dtype).alias(name))


def test_the_tables_of_a_run_are_read_as_they_were_written(run):
    """Texts, folds, probabilities and nulls of folds that are not done."""
    assert run.folds().equals(run_folders.fold_table())
    assert run.oof().equals(run_folders.oof_table(6))
    assert run.importance().equals(run_folders.importance_table())


@pytest.mark.parametrize("name", ["folds.parquet", "oof.parquet"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: pl.concat([frame, frame]), "expected 48 rows, got 96"),
        (lambda frame: frame.head(0), "expected 48 rows, got 0"),
        (lambda frame: frame.drop("fold"), "expected a column fold"),
        (lambda frame: frame.drop("subject"), "expected a column subject"),
        (column("fold", 10**18), "'fold': expected whole numbers from 0 to 999"),
        (column("fold", -1), "'fold': expected whole numbers"),
        (column("fold", None, pl.Int64), "'fold': expected whole numbers"),
        (column("fold", 0.5), "'fold': expected whole numbers"),
        (column("fold", "0"), "'fold': expected whole numbers"),
        (column("sequence_id", "x" * 1_001), "'sequence_id': expected texts of at most 1,000"),
        (column("sequence_id", None, pl.String), "'sequence_id': expected texts"),
        (column("gesture", 7), "'gesture': expected texts"),
        (column("more", [1, 2]), "expected a table with"),
        (column("more", "text"), "'more': expected numbers"),
    ],
)
def test_a_table_that_does_not_fit_the_run_is_refused(run, name, change, message):
    """The message names the file, the column, and what was expected."""
    rewrite(run, name, change)
    with pytest.raises(StoreError, match=rf"{name}: .*{message}"):
        run.folds() if name == "folds.parquet" else run.oof()


@pytest.mark.parametrize("value", [float("inf"), float("nan"), -0.5, 1.5, 1e300])
def test_a_probability_is_a_number_from_0_to_1_or_missing(run, value):
    """Charts and scores are computed with it."""
    rewrite(run, "oof.parquet", column(f"lgbm:{run_folders.NAMES[0]}", value))
    with pytest.raises(StoreError, match=r"oof\.parquet: .*expected numbers from 0 to 1"):
        run.oof()


HEADER = b"feature,sensor,gain_mean\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", ""),
        (b"feature\na\n", "expected a column sensor"),
        (HEADER + b"a,b,inf\n", "'gain_mean': expected numbers"),
        (HEADER + b"a,b,c\n", "'gain_mean': expected numbers"),
        (HEADER + b"x" * 2_000 + b",b,1\n", "'feature': expected texts"),
        (b"a" + b"\r" * 200_000, "at most 100,000 lines and 2,006 columns, got 200,000 and 1"),
        (b",".join(b"c%d" % i for i in range(5_000)) + b"\n", "columns, got 1 and 5,000"),
    ],
)
def test_an_importance_table_that_does_not_fit_is_refused(run, content, message):
    """Lines and columns are counted before the file is parsed."""
    run.paths.importance.write_bytes(content)
    with pytest.raises(StoreError, match=rf"feature_importance\.csv: .*{message}"):
        run.importance()


def test_a_table_without_its_recorded_checksum_is_damaged(run):
    """It could be parsed, but its numbers need not be those of the run."""
    folder = CheckedFolder(run.root)
    folder.write("oof.parquet", run.paths.oof.read_bytes())
    assert run.oof() is not None
    rewrite(run, "oof.parquet", column(f"lgbm:{run_folders.NAMES[0]}", 0.5))
    os.utime(run.paths.oof, (1.0, 1.0))
    with pytest.raises(StoreError, match=r"oof\.parquet: its SHA-256 is not the recorded one"):
        run.oof()


def test_a_table_that_is_being_replaced_is_no_damage(run):
    """Its checksum is recorded a moment after the file is in place."""
    folder = CheckedFolder(run.root)
    old = run.paths.oof.read_bytes()
    folder.write("oof.parquet", old)
    rewrite(run, "oof.parquet", column(f"lgbm:{run_folders.NAMES[0]}", 0.25))
    new = run.paths.oof.read_bytes()

    def record():
        time.sleep(0.05)
        folder.write("oof.parquet", new)

    writer = threading.Thread(target=record)
    writer.start()
    assert run.oof()[f"lgbm:{run_folders.NAMES[0]}"].unique().to_list() == [0.25]
    writer.join()


def test_a_table_is_read_where_the_configuration_is_damaged(run):
    """The number of rows is not known then, but their bound is."""
    run.paths.config.write_bytes(b"{")
    assert len(run.oof()) == 48
