"""The order of work: what a run leaves behind, what it refuses, what damage does to it."""

from __future__ import annotations

import json
import shutil

import numpy as np
import polars as pl
import pytest

from tests.support.builders import make_table
from tests.support.tiny_runs import (
    assert_same_result,
    events_of,
    problems_of,
    tiny_config,
    train,
    write_source,
)
from trainer.run import RefusedError
from trainer.run.control import send_command
from trainer.run.pipeline import Limits
from trainer.run.transfer.verification import verify_run
from trainer.store.durable import StoreError
from trainer.store.reader import RunReader
from trainer.store.resume_record import INEXACT
from trainer.store.run_state import derive_state


@pytest.fixture
def config(tiny_source):
    return tiny_config(tiny_source)


@pytest.fixture
def root(tmp_path):
    return tmp_path / "state" / "tiny"


@pytest.fixture
def finished(tiny_run, root):
    """A finished run that a test may damage."""
    return shutil.copytree(tiny_run, root)


@pytest.fixture(scope="module")
def half_done(tiny_source, tmp_path_factory):
    """A run that paused after the first of its four folds; copy it before changing anything."""
    root = tmp_path_factory.mktemp("state") / "tiny"
    assert train(root, tiny_config(tiny_source), Limits(stop_after_folds=1)) == "paused"
    return root


@pytest.fixture
def paused(half_done, root):
    return shutil.copytree(half_done, root)


# What a finished run holds


def test_a_finished_run_has_every_file_of_the_contract(tiny_run):
    """The table of the state folder's page, file by file."""
    there = {path.relative_to(tiny_run).as_posix() for path in tiny_run.rglob("*")}
    assert there >= {
        *("config.json", "status.json", "lock", "folds.parquet", "train_features.joblib"),
        *("lgbm_state.json", "torch_state.json", "metrics.jsonl", "oof.parquet", "scores.json"),
        *("feature_importance.csv", "lgbm_bundle.pkl", "torch_bundle.pkl", "trainer.log"),
        *("lgbm_fold00.pkl", "lgbm_fold01.pkl"),
        *("torch_models/fold00.pt", "torch_models/fold01.pt"),
    }
    assert not [name for name in there if name.endswith(".tmp") or "_last." in name]
    assert all(check.is_good for check in verify_run(tiny_run))
    for path in tiny_run.rglob("*.json"):
        assert json.loads(path.read_bytes())["schema"] == 1, path
    assert derive_state(RunReader(tiny_run)).state == "finished"


def test_no_file_but_configuration_and_log_knows_where_the_run_is(tiny_run):
    """Paths inside are relative, so that the folder can be moved."""
    telling = [
        path.relative_to(tiny_run).as_posix()
        for path in tiny_run.rglob("*")
        if path.is_file() and str(tiny_run.parent).encode() in path.read_bytes()
    ]
    assert telling == ["trainer.log"]


def test_every_sequence_is_predicted_once_by_a_model_that_never_saw_its_subject(tiny_run):
    """The out-of-fold table: rows and folds as in folds.parquet, probabilities without a gap."""
    folds, oof = RunReader(tiny_run).folds(), RunReader(tiny_run).oof()
    assert oof.select(folds.columns).equals(folds)
    assert folds.group_by("subject").agg(pl.col("fold").n_unique())["fold"].to_list() == [1] * 6
    for part in ("lgbm:", "torch:", "lgbm_imu:", "torch_imu:"):
        proba_NK = oof.select(pl.col(f"^{part}.*$")).to_numpy()
        assert proba_NK.shape == (48, 4)
        np.testing.assert_allclose(proba_NK.sum(axis=1), 1.0, atol=1e-9)


def test_the_history_has_a_point_for_every_segment_and_epoch(tiny_run):
    """Three segments and two epochs per fold, each with its attempt, in the order of work."""
    events = [event for event in RunReader(tiny_run).events() if event.model]
    assert [(event.model, event.fold, event.event) for event in events] == [
        *(("lgbm", fold, kind) for fold in (0, 1) for kind in ["segment"] * 3 + ["fold"]),
        *(("torch", fold, kind) for fold in (0, 1) for kind in ["epoch"] * 2 + ["fold"]),
    ]
    assert {event.attempt for event in events} == {1}


def test_a_finished_run_started_again_does_nothing_again(finished, config):
    """Every file but status, history, log and the record of attempts keeps its bytes."""
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    assert train(finished, config) == "finished"
    changed = {path.name for path, data in before.items() if path.read_bytes() != data}
    assert changed <= {
        *("status.json", "metrics.jsonl", "trainer.log"),
        *("resume_record.json", "checksums.json"),
    }
    assert len(events_of(finished, "fold")) == 4


def test_points_computed_again_are_held_against_the_first(finished, config):
    """A fold that is redone gives its curve's numbers once more; other ones cost "exact"."""
    (finished / "lgbm_fold00.pkl").unlink()
    assert train(finished, config) == "finished"
    record = RunReader(finished).resume_record()
    assert (record.redone_points, record.unequal_points, record.is_exact) == (3, (), True)

    lines = (finished / "metrics.jsonl").read_text().splitlines()
    [index] = [i for i, line in enumerate(lines) if _is_point(line, 2)][:1]
    point = json.loads(lines[index])
    point["values"]["valid_loss"] += 1e-9
    lines[index] = json.dumps(point)
    (finished / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    assert train(finished, config) == "finished"
    record = RunReader(finished).resume_record()
    [unequal] = record.unequal_points
    assert unequal == "lgbm fold 0, segment 2: attempt 2 has other numbers than attempt 1"
    assert not record.is_exact
    assert any(text.startswith(INEXACT) for text in resume_record_texts(finished))


def _is_point(line, attempt):
    event = json.loads(line)
    return (event["event"], event["attempt"]) == ("segment", attempt)


def resume_record_texts(root):
    """Return the problems that the run's history tells of."""
    return [event.text for event in RunReader(root).events() if event.event == "problem"]


# Stopping by itself


def test_a_run_stops_after_as_many_folds_as_told(half_done):
    """Paused, with one fold done and no bundle: a bundle means that all folds are in it."""
    derived = derive_state(RunReader(half_done))
    assert (derived.state, derived.reason) == ("paused", "Paused: after 1 fold, as requested.")
    records = RunReader(half_done).fold_records()
    assert [record.done for record in records] == [True, False, False, False]
    there = {path.name for path in half_done.rglob("*")}
    assert not there & {"lgbm_bundle.pkl", "torch_bundle.pkl", "feature_importance.csv"}
    assert set(RunReader(half_done).scores().models) == {"lgbm"}


def test_the_out_of_fold_table_is_null_where_a_fold_is_not_done(half_done):
    """Never a number that no model gave."""
    oof = RunReader(half_done).oof()
    names = [name for name in oof.columns if ":" in name]
    assert {name.partition(":")[0] for name in names} == {"lgbm", "lgbm_imu"}
    is_done = oof["fold"] == 0
    for name in names:
        assert (oof[name].is_null() == ~is_done).all()


def test_going_on_after_a_pause_ends_as_a_run_without_one(paused, config, tiny_run):
    """And the folds that were done are not done again."""
    first = (paused / "lgbm_fold00.pkl").stat().st_mtime_ns
    assert train(paused, config) == "finished"
    assert (paused / "lgbm_fold00.pkl").stat().st_mtime_ns == first
    assert_same_result(paused, tiny_run)
    record = json.loads((paused / "resume_record.json").read_bytes())
    assert (record["attempts"], record["is_exact"]) == (2, True)
    assert [item["how"] for item in record["interruptions"]] == ["paused"]


def test_a_model_whose_folds_are_all_done_has_its_bundle_while_the_other_is_trained(paused, config):
    """So that it can be asked; the other has none."""
    assert train(paused, config, Limits(stop_after_folds=1)) == "paused"
    there = {path.name for path in paused.iterdir()}
    assert there >= {"lgbm_bundle.pkl", "feature_importance.csv"}
    assert "torch_bundle.pkl" not in there
    assert RunReader(paused).model_state("lgbm").bundle.name == "lgbm_bundle.pkl"


def test_a_damaged_state_file_is_made_again_before_anything_is_trained(paused, config):
    """The folds' own records count; the page need not wait for the model's next commit."""
    (paused / "lgbm_state.json").write_bytes(b"{")
    seen = []

    def look(text):
        if "settings" in text:  # a line of the plan
            seen.extend(unit.done for unit in RunReader(paused).fold_records())

    assert train(paused, config, Limits(stop_after_folds=1), echo=look) == "paused"
    assert seen == [True, False, False, False]
    assert len(problems_of(paused)) == 1 and "lgbm_state.json" in problems_of(paused)[0]


def test_a_time_limit_pauses_in_time(paused, config):
    """Nothing is left of so short a limit: it pauses before any fold, and says why."""
    assert train(paused, config, Limits(time_limit_s=0.001)) == "paused"
    assert derive_state(RunReader(paused)).reason == "Paused: time limit."


# What a run was made from


def test_the_configuration_is_written_once(finished, config):
    """And read back: the bytes stay, also when the recordings lie elsewhere now."""
    before = (finished / "config.json").read_bytes()
    moved = write_source(finished.parent, "moved.parquet")
    elsewhere = config.model_copy(
        update={"data": config.data.model_copy(update={"source": str(moved)})}
    )
    assert train(finished, elsewhere) == "finished"
    assert (finished / "config.json").read_bytes() == before


def test_recordings_that_changed_are_refused_with_what_changed(paused, tmp_path):
    """By content: one value, one sequence; the message lists the ways on."""
    table = make_table()
    table.with_columns(
        acc_x=pl.when(pl.int_range(pl.len()) == 7).then(9.5).otherwise("acc_x")
    ).write_parquet(tmp_path / "value.parquet")
    with pytest.raises(RefusedError, match="same size, other values, labels or order"):
        train(paused, tiny_config(tmp_path / "value.parquet"))
    table.filter(pl.col("sequence_id") != "SEQ_000003").write_parquet(tmp_path / "fewer.parquet")
    with pytest.raises(RefusedError, match=r"sequences 48 -> 47; rows") as got:
        train(paused, tiny_config(tmp_path / "fewer.parquet"))
    assert "begin another with --run NAME, or start it over with RESUME=0" in str(got.value)


def test_other_settings_are_refused_with_the_difference(paused, tiny_source):
    """Old and new value of each, by the name that --set takes."""
    other = tiny_config(tiny_source, "boosting.rounds=8", "seed=43")
    with pytest.raises(RefusedError, match=r"boosting\.rounds: 6 -> 8") as got:
        train(paused, other)
    assert "seed: 42 -> 43" in str(got.value)


def test_after_a_refusal_the_run_goes_on_with_what_it_was_made_from(
    paused, config, tiny_source, tiny_run
):
    """A refusal changes nothing that counts."""
    with pytest.raises(RefusedError):
        train(paused, tiny_config(tiny_source, "seed=43"))
    assert train(paused, config) == "finished"
    assert_same_result(paused, tiny_run)


def test_recordings_that_cannot_be_trained_on_leave_no_configuration(root, tmp_path):
    """The run has failed, with the reason; nothing was frozen."""
    source = write_source(tmp_path, num_subjects=1)
    with pytest.raises(Exception, match="subject"):
        train(root, tiny_config(source))
    assert not (root / "config.json").exists()
    derived = derive_state(RunReader(root))
    assert derived.state == "failed" and "subject" in derived.reason


# Damage


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("name", ["lgbm_fold01.pkl", "torch_models/fold00.pt"])
def test_a_damaged_fold_is_named_and_redone_to_the_same_result(finished, config, tiny_run, name):
    """From its beginning, for its checkpoints are gone; a flipped bit is never averaged in."""
    flip(finished / name)
    assert train(finished, config) == "finished"
    assert_same_result(finished, tiny_run)
    assert problems_of(finished) == [
        f"{name}: content differs from its recorded SHA-256; the fold is redone from its beginning"
    ]
    assert all(check.is_good for check in verify_run(finished))


def test_a_damaged_fold_of_an_unfinished_run_is_redone_from_its_last_checkpoint(
    paused, config, tiny_run
):
    """Which the run keeps, with the one before it, until all of its folds are done."""
    assert (paused / "lgbm_fold00_last.pkl").exists()
    assert (paused / "lgbm_fold00_last.pkl.prev").exists()
    flip(paused / "lgbm_fold00.pkl")
    assert train(paused, config) == "finished"
    assert_same_result(paused, tiny_run)
    assert problems_of(paused) == [
        "lgbm_fold00.pkl: content differs from its recorded SHA-256; the fold is redone from its "
        "last checkpoint"
    ]


def test_a_fold_whose_every_file_is_lost_starts_over_to_the_same_result(finished, config, tiny_run):
    """Model and both checkpoints of one fold of each model; the record too."""
    for path in [*finished.glob("lgbm_fold00*"), *finished.glob("torch_models/fold01*")]:
        path.unlink()
    (finished / "units" / "torch_fold01.json").unlink()
    assert train(finished, config) == "finished"
    assert_same_result(finished, tiny_run)
    assert all(check.is_good for check in verify_run(finished))


def test_files_of_two_folds_that_were_swapped_are_noticed(finished, config, tiny_run):
    """Model and record together: whole, but of another fold."""
    for pattern in ("lgbm_fold{}.pkl", "units/lgbm_fold{}.json"):
        first, second = (finished / pattern.format(fold) for fold in ("00", "01"))
        data = first.read_bytes()
        first.write_bytes(second.read_bytes())
        second.write_bytes(data)
    assert train(finished, config) == "finished"
    assert_same_result(finished, tiny_run)
    assert len(problems_of(finished)) >= 2


@pytest.mark.parametrize("damage", ["flipped", "missing"])
def test_damaged_views_cache_and_state_are_made_again(finished, config, tiny_run, damage):
    """Everything that can be made from the fold files and the recordings is, bit for bit."""
    names = (
        *("oof.parquet", "scores.json", "feature_importance.csv", "lgbm_bundle.pkl"),
        *("torch_bundle.pkl", "train_features.joblib", "lgbm_state.json", "torch_state.json"),
        *("status.json", "config.json", "folds.parquet"),
    )
    for name in names:
        if damage == "missing":
            (finished / name).unlink()
        else:
            (finished / name).write_bytes((finished / name).read_bytes()[:-9])
    assert train(finished, config) == "finished"
    assert_same_result(finished, tiny_run)
    for name in ("train_features.joblib", "config.json"):
        assert (finished / name).read_bytes() == (tiny_run / name).read_bytes()
    assert all(check.is_good for check in verify_run(finished))
    assert len(events_of(finished, "fold")) == 4


@pytest.mark.parametrize("content", [None, b"", b'{"schema": 1, "files": []}'])
def test_lost_checksums_cost_no_fold(finished, config, tiny_run, content):
    """What has a copy beside it vouches for itself; the rest is made again from the fold files."""
    (finished / "checksums.json").unlink()
    if content is not None:
        (finished / "checksums.json").write_bytes(content)
    assert train(finished, config) == "finished"
    assert_same_result(finished, tiny_run)
    assert all(check.is_good for check in verify_run(finished))
    assert len(events_of(finished, "fold")) == 4


def test_folds_that_are_lost_for_good_are_not_assigned_anew(finished, config):
    """Another assignment would let a subject into training and validation at once."""
    (finished / "folds.parquet").unlink()
    (finished / "folds.parquet.prev").unlink()
    with pytest.raises(StoreError, match=r"folds\.parquet: missing or damaged, and folds were"):
        train(finished, config)
    assert derive_state(RunReader(finished)).state == "failed"


# Commands from an earlier time


def test_a_pause_that_an_earlier_attempt_answered_is_not_obeyed_again(paused, config):
    """Nor shown as pausing: it was answered."""
    command = send_command(paused, "pause", "dashboard")
    said = json.loads((paused / "status.json").read_bytes())
    (paused / "status.json").write_text(json.dumps(said | {"acknowledged_command": command.id}))
    seen = []

    def look(_):
        seen.append(derive_state(RunReader(paused)).state)

    assert train(paused, config, Limits(stop_after_folds=1), echo=look) == "paused"
    assert RunReader(paused).status().message == "Paused: after 1 fold, as requested."
    assert set(seen[:-1]) == {"running"}


def test_a_damaged_command_does_not_stop_a_start(paused, config):
    """Nobody can be meant by it."""
    (paused / "command.json").write_bytes(b'{"schema": 1, "id"')
    assert train(paused, config, Limits(stop_after_folds=1)) == "paused"
    assert RunReader(paused).status().message == "Paused: after 1 fold, as requested."
