"""Recordings in parts: the same results as in one file, one part in memory at a time."""

import dataclasses

import numpy as np
import polars as pl
import psutil
import pytest

from tests.support.builders import GESTURES, make_table
from tests.support.tiny_runs import problems_of, tiny_config, train
from trainer.data.partitions import find_partitions, survey
from trainer.data.schema import DataError
from trainer.data.sources import fingerprint, load, open_partitions
from trainer.features.batches import MappedFrames, fit_scaler, make_batch, scale
from trainer.models.network.augmentation import Warp, warped_batch
from trainer.run.execution import execute
from trainer.run.inputs import partitioned_dataset
from trainer.run.inputs import parts as run_parts
from trainer.run.inputs.recordings import load_dataset
from trainer.run.pipeline import Limits
from trainer.run.workers.pool import WorkerPool
from trainer.store.checksums import CheckedFolder
from trainer.store.reader import RunReader


@pytest.fixture
def table():
    """48 sequences of 6 subjects, all sensors; in every third of them nothing but motion."""
    table = make_table()
    is_poor = pl.col("sequence_id").rank("dense") % 3 == 0
    hidden = [name for name in table.columns if name.startswith(("thm", "tof"))]
    return table.with_columns(pl.when(~is_poor).then(pl.col(name)).alias(name) for name in hidden)


@pytest.fixture
def whole(table, tmp_path):
    """The recordings in one file."""
    path = tmp_path / "whole.parquet"
    table.write_parquet(path)
    return path


@pytest.fixture
def parts(table, tmp_path):
    """The same recordings, one folder and file for each subject; the first has motion alone."""
    folder = tmp_path / "parts"
    for (subject,), rows in table.group_by("subject", maintain_order=True):
        place = folder / f"subject={subject}"
        place.mkdir(parents=True)
        rows.drop("subject").write_parquet(place / "part.parquet")
    return folder


def material_of(source, root, *settings):
    """Return the material with its table and frames, made in a run folder."""
    dataset = load_dataset(tiny_config(source, *settings))
    folder = CheckedFolder(root)
    dataset.open_features(folder, lambda: None)
    dataset.open_frames(folder, lambda: None)
    return dataset


@pytest.mark.parametrize("settings", [(), ("network.motion=path",)], ids=["steps", "path"])
def test_parts_give_the_numbers_of_one_file(whole, parts, tmp_path, settings):
    """Features and frames to the last bit, names, labels, subjects and ids too."""
    one = material_of(whole, tmp_path / "one", *settings)
    many = material_of(parts, tmp_path / "many", *settings)
    assert ("heading" in one.frames.channels) == bool(settings)
    assert many.features.names == one.features.names
    assert many.features.values_NF.tobytes() == one.features.values_NF.tobytes()
    assert many.frames.channels == one.frames.channels
    assert many.frames.groups == one.frames.groups
    assert isinstance(many.frames.values_TC, np.memmap)
    assert many.frames.values_TC.tobytes() == one.frames.values_TC.tobytes()
    for name in ("sequence_ids", "offsets", "subjects", "label_idx"):
        assert (getattr(many.catalogue, name) == getattr(one.catalogue, name)).all()
    assert (many.labels, many.catalogue.groups) == (one.labels, one.catalogue.groups)


def test_a_run_on_parts_ends_as_one_on_the_file(whole, parts, tmp_path):
    """Out-of-fold table and scores, byte for byte: the network too, which reads a mapped file."""
    for name, source, workers in (("one", whole, 1), ("many", parts, 2)):
        config = tiny_config(source, "network.stretch=0.2")
        done = execute(tmp_path / name, config, Limits(), lambda _: None, pool=WorkerPool(workers))
        assert done == "finished"
    for name in ("oof.parquet", "scores.json", "feature_importance.csv"):
        assert (tmp_path / "many" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()
    assert RunReader(tmp_path / "many").run_file().recordings.num_subjects == 6


def test_mapped_rows_are_scaled_like_those_in_memory(whole, parts, tmp_path):
    """Missing values, padding, presence flags and warped steps, to the last bit."""
    mapped = material_of(parts, tmp_path / "many").frames
    in_memory = dataclasses.replace(mapped, values_TC=np.array(mapped.values_TC))
    train_idx = np.arange(0, 48, 2)
    scaler = fit_scaler(in_memory, train_idx)
    mapped_scaler = fit_scaler(mapped, train_idx)
    assert mapped_scaler.mean_C.tobytes() == scaler.mean_C.tobytes()
    assert mapped_scaler.std_C.tobytes() == scaler.std_C.tobytes()
    lazy, ready = scale(mapped, scaler), scale(in_memory, scaler)
    assert isinstance(lazy, MappedFrames)
    sequence_idx = np.array([5, 0, 47])
    batches = [make_batch(one, sequence_idx, 28) for one in (lazy, ready)]
    warp = Warp(np.full(3, 0.1), np.full(3, 0.05), np.array([0.8, 1.0, 1.3]))
    batches += [warped_batch(one, sequence_idx, 28, warp) for one in (lazy, ready)]
    assert batches[0].values_NTC.tobytes() == batches[1].values_NTC.tobytes()
    assert batches[2].values_NTC.tobytes() == batches[3].values_NTC.tobytes()


def test_features_of_the_first_parts_are_not_computed_again(parts, tmp_path, monkeypatch):
    """A pause in the third part: the next start continues there."""
    monkeypatch.setattr(partitioned_dataset, "KEEP_BLOCK_S", 0.0)  # as for slow parts
    read = []
    make = run_parts.make_part

    def make_part(task, poll):
        read.append(int(task.name.partition("_")[2].partition("/")[0]))
        return make(task, poll)

    monkeypatch.setattr(run_parts, "make_part", make_part)
    folder, config = CheckedFolder(tmp_path / "run"), tiny_config(parts)

    def stop():
        if read[-1] == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        load_dataset(config).open_features(folder, stop)
    assert read == [0, 1, 2]
    load_dataset(config).open_features(folder, lambda: None)
    assert read == [0, 1, 2, 2, 3, 4, 5]
    assert list((tmp_path / "run" / "units").glob("features_*")) == []


def test_a_part_that_changes_while_the_run_works_is_refused(parts, tmp_path):
    """Its rows would not be those that the fingerprint speaks of."""
    dataset = load_dataset(tiny_config(parts))
    path = sorted(parts.glob("*/*.parquet"))[4]
    pl.read_parquet(path).with_columns(pl.col("acc_x") + 0.5).write_parquet(path)
    with pytest.raises(DataError, match=r"_000004/part.parquet': its content is not what this run"):
        dataset.open_features(CheckedFolder(tmp_path), lambda: None)


def test_a_part_alone_keeps_the_hands_of_its_own_people_only(table, parts):
    """So that the data sent with every task stays small, with the same hands."""
    people = table.select("subject").unique().sort("subject").with_columns(handedness=pl.lit(0))
    people.write_csv(parts / "train_demographics.csv")
    found = find_partitions(parts)
    alone = found.alone(3, ["SUBJ_000003"])
    assert (len(alone), alone.name(0)) == (1, found.name(3))
    assert alone.demographics.rows() == [("SUBJ_000003", "0")]
    assert fingerprint(alone.read(0)) == fingerprint(found.read(3))
    without = found.alone(3, [])
    assert np.isnan(without.read(0).right_handed_N).all()


def test_a_damaged_frames_file_is_written_again(parts, tmp_path):
    """It is checked before it is mapped."""
    expected = material_of(parts, tmp_path).frames.values_TC.tobytes()
    [path] = (tmp_path / "units").glob("frames_*.npy")
    good = path.read_bytes()
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    again = load_dataset(tiny_config(parts))
    again.open_frames(CheckedFolder(tmp_path), lambda: None)
    assert path.read_bytes() == good
    assert again.frames.values_TC.tobytes() == expected


def test_the_whole_can_be_read_at_once(whole, parts):
    """For pages that show single recordings; equal content has an equal fingerprint."""
    assert fingerprint(load(str(parts))) == fingerprint(load(str(whole)))
    assert len(open_partitions(str(parts))) == 6
    assert open_partitions(str(whole)) is None


def test_what_does_not_fit_in_memory_is_not_read_at_once(parts, monkeypatch):
    """A page that shows single recordings refuses instead of exhausting the memory."""
    free = psutil.virtual_memory()._replace(available=1_000_000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    with pytest.raises(DataError, match=r"its 6 parts need about 0\.0 GB of memory at once"):
        load(str(parts))
    assert len(load_dataset(tiny_config(parts)).catalogue.sequence_ids) == 48


def test_a_changed_part_changes_the_fingerprint(parts):
    """Of any part, by content."""
    before = survey(find_partitions(parts), fingerprint).fingerprint
    path = sorted(parts.glob("*/*.parquet"))[4]
    pl.read_parquet(path).with_columns(pl.col("acc_x") + 0.5).write_parquet(path)
    assert survey(find_partitions(parts), fingerprint).fingerprint != before


def double_a_sequence(table):
    return table.with_columns(pl.col("sequence_id").str.replace(".*", "SEQ_000000"))


def make_a_target_of_it(table):
    return table.with_columns(sequence_type=pl.lit("Target"))


def drop_labels(table):
    return table.drop("gesture", "sequence_type")


def spoil_a_number(table):
    return table.with_columns(acc_x=pl.lit("fast"))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (double_a_sequence, r"Sequence 'SEQ_\d+' is in .* and in .*: expected all its rows in one"),
        (make_a_target_of_it, "is 'Target' in some parts and 'Non-Target' in others"),
        (drop_labels, "has no gestures, others have"),
        (spoil_a_number, r"Part 'subject=.*part\.parquet': Column 'acc_x'"),
    ],
)
def test_parts_that_contradict_each_other_are_refused(parts, spoil, message):
    """The message names the parts and what was expected."""
    first, *_, last = sorted(parts.glob("*/*.parquet"))
    if spoil is double_a_sequence:
        rows = pl.read_parquet(first)
        rows.filter(pl.col("sequence_id") == rows["sequence_id"][0]).write_parquet(last)
    else:
        spoil(pl.read_parquet(last)).write_parquet(last)
    with pytest.raises(DataError, match=message):
        load_dataset(tiny_config(parts))


def test_parts_with_other_gestures_share_one_label_table(parts):
    """A gesture that only one subject made has its place among the others'."""
    path = sorted(parts.glob("*/*.parquet"))[3]
    rows = pl.read_parquet(path)
    old, kind = GESTURES[0]
    is_old = pl.col("gesture") == old
    rows.with_columns(
        gesture=pl.when(is_old).then(pl.lit("Above ear - pull hair")).otherwise("gesture")
    ).write_parquet(path)
    found = survey(find_partitions(parts), fingerprint).catalogue
    assert kind == "Target"
    assert found.labels.gestures == ("Above ear - pull hair", *[name for name, _ in GESTURES])
    joined = load(str(parts))
    assert (found.label_idx == joined.label_idx).all()


def test_a_run_on_parts_says_nothing_of_problems(parts, tmp_path):
    """The mapped file is known to the run folder, and not packed into an export."""
    root = tmp_path / "run"
    assert train(root, tiny_config(parts, "models=torch")) == "finished"
    assert train(root, tiny_config(parts, "models=torch")) == "finished"
    assert problems_of(root) == []
