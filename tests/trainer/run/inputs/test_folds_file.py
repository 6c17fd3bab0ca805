"""A folds file: what is accepted, what is refused in which words, and runs that have its folds."""

from __future__ import annotations

import json
import shutil

import numpy as np
import polars as pl
import pytest

from tests.support.builders import make_table
from tests.support.forked_trainers import fork_server
from tests.support.tiny_runs import TINY, tiny_config, train
from trainer.cli.reports import SHARED_LINE, outcome_lines, status_json, status_lines
from trainer.config import OF_FOLDS_FILE, ConfigError, flat_settings, overlay
from trainer.data.schema import DataError
from trainer.folds import FoldError, check_sizes
from trainer.run.execution import execute
from trainer.run.frozen_config import run_key
from trainer.run.inputs.folds_file import check_stated_count, read_folds_file
from trainer.run.pipeline import Limits
from trainer.run.transfer.verification import verify_run
from trainer.store.checksums import CheckedFolder
from trainer.store.durable import StoreError
from trainer.store.reader import RunReader
from trainer.store.run_state import derive_state

IDS = [f"SEQ_{number:06d}" for number in range(48)]  # of the tiny run: 6 subjects, 8 each
SUBJECTS = np.array([f"SUBJ_{number // 8:06d}" for number in range(48)])
FOLDS = [number // 8 % 3 for number in range(48)]
SHARED_FOLDS = [number % 3 for number in range(48)]
KILLED_AFTER = """
import os, signal
from trainer.__main__ import main
from trainer.store.checksums import CheckedFolder

write = CheckedFolder.write

def killed_after(self, name, *rest):
    write(self, name, *rest)
    if name == {name!r}:
        os.kill(os.getpid(), signal.SIGKILL)

CheckedFolder.write = killed_after
main()
"""


def table(folds=FOLDS, ids=IDS, **columns):
    return pl.DataFrame({"sequence_id": ids, "fold": folds, **columns})


def write(folder, frame, name="folds.csv"):
    path = folder / name
    frame.write_csv(path) if name.endswith(".csv") else frame.write_parquet(path)
    return path


def read(folder, *args, shares_subjects=False, **columns):
    return read_folds_file(write(folder, table(*args, **columns)), shares_subjects)


@pytest.fixture
def file(tmp_path):
    return read(tmp_path)


@pytest.fixture
def shared_file(tmp_path):
    """Three folds that all have sequences of every subject."""
    path = write(tmp_path, table(SHARED_FOLDS), "shared.csv")
    return read_folds_file(path, shares_subjects=True)


# What it contains


def test_only_the_assignment_counts(tmp_path, file):
    """The same folds as Parquet, shuffled, with other columns, as text or as float: one hash."""
    rows = table(subject=SUBJECTS, gesture="x").sample(fraction=1.0, shuffle=True, seed=1)
    others = [
        write(tmp_path, rows, "folds.parquet"),
        write(tmp_path, rows, "other.csv"),
        write(tmp_path, rows.with_columns(pl.col("fold").cast(pl.Float64)), "float.parquet"),
        write(tmp_path, rows.with_columns(pl.col("fold").cast(pl.String)), "text.parquet"),
    ]
    for path in others:
        assert read_folds_file(path, shares_subjects=False).settings() == file.settings(), path
    assert file.settings() == {
        "folds.count": 3,
        "folds.file_sha256": "77683cc3071b362f449b8c818ca01bee45c93b703f8e2263c9e7fc0485d714cf",
        "folds.shared_subjects": False,
    }


def test_another_assignment_has_another_hash(tmp_path, file):
    """One sequence in another fold is enough."""
    moved = read(tmp_path, [1, *FOLDS[1:]])
    assert moved.settings()["folds.file_sha256"] != file.settings()["folds.file_sha256"]


def test_sequences_are_assigned_by_their_ids(tmp_path):
    """In the order of the recordings, whatever the order of the file."""
    path = write(tmp_path, table().reverse())
    fold_N = read_folds_file(path, shares_subjects=False).assign(np.array(IDS), SUBJECTS)
    assert fold_N.tolist() == FOLDS
    assert fold_N.dtype == np.int64


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (table().rename({"fold": "folds"}), "Missing column 'fold'.* Perhaps rename 'folds'"),
        (table().drop("sequence_id"), "Missing column 'sequence_id'"),
        (table().head(0), "expected 1 to 1,000,000 rows, got 0"),
        (table([fold + 1 for fold in FOLDS]), "0 to 2 without a gap; got 1, 2, 3. Subtract 1"),
        (table([2 * fold for fold in FOLDS]), "0 to 2 without a gap; got 0, 2, 4. Renumber"),
        (table([0] * 48), "expected 2 to 50 folds, got 1"),
        (table([fold - 1 for fold in FOLDS]), "whole numbers from 0 to 49 .* 16 are not: '-1'"),
        (table([0.5, *FOLDS[1:]]), "whole numbers from 0 to 49 in every row; 1 are not: '0.5'"),
        (table([None, *FOLDS[1:]]), "whole numbers from 0 to 49 in every row; 1 are not: 'None'"),
        (table([float("inf"), *FOLDS[1:]]), "whole numbers from 0 to 49"),
        (table(["a", *map(str, FOLDS[1:])]), "Column 'fold': expected a number, got 'a'"),
        (table(ids=["", *IDS[1:]]), "Column 'sequence_id': expected a value in every row"),
        (table(ids=["x" * 300, *IDS[1:]]), "a text of 300 bytes: expected at most 200"),
        (table(ids=[IDS[1], *IDS[1:]]), "every sequence once; 1 have several rows: 'SEQ_000001'"),
        (pl.concat([table(), table()]), "48 have several rows: .* one row for each sequence"),
    ],
)
@pytest.mark.parametrize("name", ["folds.csv", "folds.parquet"])
def test_a_file_that_is_no_assignment_is_refused(tmp_path, name, frame, message):
    """The message has what was expected, what came and what to do, for both formats."""
    with pytest.raises(DataError, match=message):
        read_folds_file(write(tmp_path, frame, name), shares_subjects=False)


def test_what_cannot_be_read_is_refused(tmp_path):
    """Not there, a folder, empty, binary, nested columns, and a table of 300 million equal rows."""
    cases = {
        "missing.csv": (lambda path: None, "does not exist"),
        "folder.csv": (lambda path: path.mkdir(), "expected a file, got a folder"),
        "empty.csv": (
            lambda path: path.write_bytes(b""),
            "is empty: expected the columns sequence_id, fold",
        ),
        "binary.csv": (lambda path: path.write_bytes(bytes(range(256))), "is not a CSV file"),
        "torn.parquet": (lambda path: path.write_bytes(b"PAR1 no more"), "not a Parquet file|PAR1"),
        "nested.parquet": (
            lambda path: table(x=[[1]] * 48).write_parquet(path),
            "at most 4,096 plain columns",
        ),
        "bomb.parquet": (
            lambda path: pl.select(fold=pl.repeat(0, 3_000_000)).write_parquet(path),
            "at most 1,000,000 rows, got 3,000,000",
        ),
    }
    for name, (make, message) in cases.items():
        make(tmp_path / name)
        with pytest.raises(DataError, match=message):
            read_folds_file(tmp_path / name, shares_subjects=False)


# Against the recordings


@pytest.mark.parametrize(
    ("folds", "ids", "message"),
    [
        (
            FOLDS[3:],
            IDS[3:],
            "3 of the recordings have no row: 'SEQ_000000', 'SEQ_000001', 'SEQ_000002'. Add them",
        ),
        ([*FOLDS, 0], [*IDS, "new"], "1 are not in the recordings: 'new'. Remove them"),
        (SHARED_FOLDS, IDS, "each subject in one fold; 6 of 6 are in several: 'SUBJ_000000'"),
        ([1, *FOLDS[1:]], IDS, "1 of 6 are in several: 'SUBJ_000000'"),
    ],
)
def test_a_file_that_does_not_fit_the_recordings_is_refused(tmp_path, folds, ids, message):
    """Missing, unknown and shared ones are counted and the first are named."""
    with pytest.raises(DataError, match=message):
        read(tmp_path, folds, ids).assign(np.array(IDS), SUBJECTS)


def test_shared_subjects_are_accepted_only_where_they_are(tmp_path, file, shared_file):
    """The permission marks all scores, so folds by subject are refused with it."""
    assert shared_file.assign(np.array(IDS), SUBJECTS).tolist() == SHARED_FOLDS
    with pytest.raises(DataError, match=r"no subject is in several folds. Leave out"):
        read(tmp_path, shares_subjects=True).assign(np.array(IDS), SUBJECTS)


def test_uneven_folds_are_refused(tmp_path):
    """One subject alone of twelve times fewer sequences; ten times is accepted."""
    for num, is_good in ((80, True), (88, False)):
        ids, subjects = np.array([f"s{n}" for n in range(num + 8)]), np.repeat(["a", "b"], [8, num])
        file = read(tmp_path, [0] * 8 + [1] * num, ids)
        if is_good:
            assert len(file.assign(ids, subjects)) == 88
            continue
        with pytest.raises(FoldError, match=r"fold 0 has 8 sequences, fold 1 has 88. Expected"):
            file.assign(ids, subjects)


def test_an_empty_fold_is_refused_in_words():
    """As scikit-learn's shuffled StratifiedGroupKFold can leave one."""
    with pytest.raises(FoldError, match=r"3 folds: fold 1 is empty. Expected .* Do this"):
        check_sizes(np.array([0, 2, 0, 2]), 3, "Do this.")


def test_another_number_of_folds_is_refused(file):
    """As an option or by --set; the same number is accepted."""
    check_stated_count(file, {"folds.count": 3}, ["folds.count=3", "seed=5"])
    for options, assignments in (({"folds.count": 5}, []), ({}, ["folds.count=5"])):
        with pytest.raises(ConfigError, match="expected 3, the number of folds in"):
            check_stated_count(file, options, assignments)


# Runs


def config_of(source, file, *assignments):
    settings = {} if file is None else file.settings()
    return overlay(tiny_config(source, "models=lgbm", *assignments), {}, options=settings)


def train_on(root, source, file, limits=None):
    return execute(
        root, config_of(source, file), limits or Limits(), lambda _: None, folds_file=file
    )


@pytest.fixture(scope="module")
def whole(tiny_source, tmp_path_factory):
    """A finished run of LightGBM on three folds of a file."""
    folder = tmp_path_factory.mktemp("whole")
    file = read_folds_file(write(folder, table()), shares_subjects=False)
    root = folder / "state" / "own"
    assert train_on(root, tiny_source, file) == "finished"
    return root


@pytest.fixture(scope="module")
def leaking(tiny_source, tmp_path_factory):
    """A finished run of which all subjects are in all folds."""
    folder = tmp_path_factory.mktemp("leaking")
    file = read_folds_file(write(folder, table(SHARED_FOLDS)), shares_subjects=True)
    root = folder / "state" / "leaking"
    assert train_on(root, tiny_source, file) == "finished"
    return root


def command_line(*words, state, code=None):
    return fork_server().run(*map(str, words), "--state", state, code=code)


def train_words(source, path, *words):
    settings = [word for one in TINY[1:] for word in ("--set", one)]
    begin = ["train", "--run", "own", "--preset", "quick", "--models", "lgbm", "--data", source]
    return [*begin, *settings, *(["--folds-file", path] if path else []), *words]


def test_the_run_has_the_folds_of_the_file(whole):
    """In folds.parquet, in the out-of-fold table and in the number of folds."""
    reader = RunReader(whole)
    assert reader.folds()["fold"].to_list() == FOLDS
    assert reader.oof()["fold"].to_list() == FOLDS
    assert reader.run_file().folds.count == 3
    assert len(reader.scores().models["lgbm"].all_sensors.folds) == 3
    assert [check.name for check in verify_run(whole) if not check.is_good] == []


def test_the_fold_table_of_a_run_is_a_folds_file(whole, file):
    """So another run can have the same folds, whatever made them."""
    again = read_folds_file(whole / "folds.parquet", shares_subjects=False)
    assert again.settings() == file.settings()


def test_without_a_file_nothing_is_added_to_what_is_written(tiny_run):
    """Neither config.json nor scores.json has new names, so the key is that of earlier versions."""
    assert json.loads((tiny_run / "config.json").read_text())["folds"] == {"count": 2}
    assert "shared_subjects" not in json.loads((tiny_run / "scores.json").read_text())
    settings = flat_settings(RunReader(tiny_run).run_file().settings())
    assert settings.keys().isdisjoint(OF_FOLDS_FILE)  # what the key of checkpoints is made of


def test_the_key_of_checkpoints_depends_on_the_file(whole):
    """A checkpoint of other folds is not resumed from."""
    run_file = RunReader(whole).run_file()
    other = run_file.folds.model_copy(update={"file_sha256": "0" * 64})
    assert run_key(run_file) != run_key(run_file.model_copy(update={"folds": other}))


@pytest.mark.parametrize("name", ["folds.parquet", "config.json", "lgbm_fold00_last.pkl"])
def test_a_killed_run_resumes_without_the_file(whole, tiny_source, tmp_path, name):
    """Killed after any of its first files; the file is deleted, and the bits are the same."""
    path = write(tmp_path, table())
    root = tmp_path / "state" / "own"
    words = train_words(tiny_source, path)
    if name.startswith("lgbm"):
        assert command_line(*words, "--stop-after-folds", 1, state=root.parent).code == 3
    else:
        killed = command_line(*words, state=root.parent, code=KILLED_AFTER.format(name=name))
        assert killed.was_killed, killed.words
    if name == "folds.parquet":  # not a run yet: its configuration is not written
        done = command_line(*words, state=root.parent)
    else:
        path.unlink()
        done = command_line("resume", "own", state=root.parent)
    assert done.code == 0, done.words
    for each in ("folds.parquet", "oof.parquet", "scores.json", "lgbm_fold02.pkl"):
        assert (root / each).read_bytes() == (whole / each).read_bytes(), each


def test_folds_of_a_start_that_never_became_a_run_are_not_used(tiny_source, tmp_path):
    """Killed between folds.parquet and config.json, then trained without a file."""
    words = train_words(tiny_source, write(tmp_path, table()))
    code = KILLED_AFTER.format(name="folds.parquet")
    assert command_line(*words, state=tmp_path / "state", code=code).was_killed
    root = tmp_path / "state" / "own"
    assert (root / "folds.parquet").exists() and not (root / "config.json").exists()
    done = command_line(*train_words(tiny_source, None, "--folds", 2), state=root.parent)
    assert done.code == 0, done.words
    assert RunReader(root).folds()["fold"].n_unique() == 2


def test_another_file_is_refused_with_the_difference(whole, tiny_source, tmp_path):
    """The hashes of both; the same folds in another format are accepted."""
    root = shutil.copytree(whole, tmp_path / "state" / "own")
    other = write(tmp_path, table([(fold + 1) % 3 for fold in FOLDS]))
    refused = command_line(*train_words(tiny_source, other), state=root.parent)
    assert refused.code == 2
    sha256 = RunReader(root).run_file().folds.file_sha256
    assert f"folds.file_sha256: {sha256} -> " in refused.words
    none = command_line(*train_words(tiny_source, None), state=root.parent)
    assert (none.code, f"folds.file_sha256: {sha256} -> none" in none.words) == (2, True)
    same = write(tmp_path, table().reverse(), "same.parquet")
    done = command_line(*train_words(tiny_source, same), state=root.parent)
    assert done.code == 0, done.words


def test_a_fold_table_that_is_not_the_file_s_is_refused(whole, tmp_path):
    """Its checksum is right, its folds are others."""
    root = shutil.copytree(whole, tmp_path / "own")
    frame = pl.read_parquet(root / "folds.parquet").with_columns((pl.col("fold") + 1) % 3)
    path = tmp_path / "other.parquet"
    frame.write_parquet(path)
    CheckedFolder(root).write("folds.parquet", path.read_bytes())
    with pytest.raises(StoreError, match="its folds are not those of the run's file"):
        train(root, RunReader(root).run_file().settings())


def test_a_file_that_does_not_fit_leaves_no_run(tiny_source, tmp_path):
    """Exit code 2, and the name is free for the next attempt."""
    path = write(tmp_path, table(FOLDS[1:], IDS[1:]))
    done = command_line(*train_words(tiny_source, path), state=tmp_path / "state")
    assert done.code == 2
    assert "1 of the recordings have no row: 'SEQ_000000'" in done.words
    assert list((tmp_path / "state").glob("*")) == []


def test_very_uneven_folds_without_a_file_are_refused_before_the_run_exists(tmp_path):
    """One of three people has nearly all recordings."""
    parts = make_table(num_subjects=3, sequences_per_subject=24, groups=("acc",), length=4)
    keep = pl.col("subject") == "SUBJ_000000"
    few = parts.filter(keep | (pl.col("sequence_id").str.slice(4).cast(int) % 12 < 2))
    more = [
        parts.filter(keep).with_columns(pl.col("sequence_id", "row_id") + f"_{turn}")
        for turn in range(2)
    ]
    pl.concat([few, *more]).write_parquet(tmp_path / "uneven.parquet")
    config = tiny_config(tmp_path / "uneven.parquet", "models=lgbm", "folds.count=3")
    with pytest.raises(FoldError, match=r"has 4 sequences, fold \d has 72.* Set folds to fewer"):
        train(tmp_path / "state" / "uneven", config)
    assert not (tmp_path / "state" / "uneven" / "config.json").exists()


# Scores of shared subjects


def test_shared_subjects_are_recorded_with_the_scores(leaking, whole):
    """In config.json and in scores.json; every score is optimistic, though none was chosen."""
    scores = RunReader(leaking).scores()
    assert RunReader(leaking).run_file().folds.shared_subjects
    assert scores.shared_subjects
    assert all(map(scores.is_optimistic, ("lgbm", "blend")))
    assert not scores.has_chosen
    assert not RunReader(whole).scores().has_optimistic


def test_shared_subjects_are_marked_by_the_command_line(leaking, whole):
    """In the result, in status, in status --json; and the run resumes with its permission."""
    reader = RunReader(leaking)
    derived = derive_state(reader)
    assert SHARED_LINE in outcome_lines(leaking, "finished")
    assert f"  {SHARED_LINE}" in status_lines(reader, derived, with_evidence=True)
    assert status_json(reader, derived)["shared_subjects"] is True
    assert status_json(RunReader(whole), derived)["shared_subjects"] is False
    assert SHARED_LINE not in outcome_lines(whole, "finished")
    assert train(leaking, reader.run_file().settings()) == "finished"


def test_the_plan_names_the_file_and_its_shared_subjects(leaking, whole):
    """Before anything is trained."""
    assert "3 folds of a file (content " in (whole / "trainer.log").read_text()
    log = (leaking / "trainer.log").read_text()
    assert "subjects shared between training and validation: scores will be optimistic" in log
