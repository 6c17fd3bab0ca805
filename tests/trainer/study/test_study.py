"""The command study: grids and seeds, continuing, pausing, refusals."""

import json
import shutil
import signal
import textwrap
import time
import zipfile

import polars as pl
import pytest

from tests.support.forked_trainers import fork_server
from tests.support.run_digests import differences, digests_of
from tests.support.tiny_runs import tiny_config
from tests.support.tiny_studies import base_words, outcomes, search_words, study_digests
from trainer.config import make_config, overlay
from trainer.data.schema import DataError
from trainer.run.execution import execute
from trainer.run.pipeline import Limits
from trainer.run.transfer.moving import rename
from trainer.run.workers.engine import LocalEngine
from trainer.run.workers.pool import WorkerPool
from trainer.store.locks import acquire
from trainer.store.names import RunNameError, RunPaths, check_run_name
from trainer.store.reader import RunReader, list_runs
from trainer.store.run_state import derive_state
from trainer.study.conduct import conduct
from trainer.study.definition import GridSetting, make_study
from trainer.study.starting_over import start_over
from trainer.study.study_folds import read_folds
from trainer.study.trials import (
    StudyPaths,
    read_study,
    read_trials,
    study_root,
    write_study,
)

GRID = ("--grid", "boosting.num_leaves=2,3", "--grid", "boosting.extra_trees=true,false")
FINISHED, REFUSED, PAUSED = 0, 2, 3
LIGHT = ("models=lgbm", "folds.count=2")


def study(folder, source, *words, options=LIGHT, **how):
    """Run the command study, on the base configuration of a tiny study."""
    words = ["study", "night", *words, *base_words(source, *options), "--state", folder / "state"]
    return fork_server().run(*words, **how)


def again(folder, *words, **how):
    return fork_server().run("study", "night", *words, "--state", folder / "state", **how)


def study_state(folder):
    return derive_state(RunReader(study_root(folder / "state", "night"))).state


@pytest.fixture(scope="module")
def grid(study_recordings, tmp_path_factory):
    """A folder with a finished grid of 4 trials over 2 seeds, and what the command printed."""
    folder = tmp_path_factory.mktemp("grid")
    ended = study(folder, study_recordings, *GRID, "--seeds", "42,43")
    assert ended.code == FINISHED, ended.words
    return folder, ended.words


@pytest.fixture
def copy_of_grid(grid, tmp_path):
    shutil.copytree(grid[0], tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_every_setting_of_a_grid_is_trained_with_every_seed(grid):
    """The runs are ordinary ones with those settings, in the stated order."""
    state_dir = grid[0] / "state"
    expected = [("2", "true"), ("2", "false"), ("3", "true"), ("3", "false")]
    assert [tuple(each[1].values()) for each in outcomes(state_dir)] == expected
    for number, (leaves, extra) in enumerate(expected):
        for seed in (42, 43):
            run = RunReader(state_dir / f"night-{number}-s{seed}")
            found = run.run_file()
            assert derive_state(run).state == "finished"
            assert (found.seed, str(found.boosting.num_leaves)) == (seed, leaves)
            assert str(found.boosting.extra_trees).lower() == extra
    assert len(list_runs(state_dir)) == 8


def test_the_score_of_a_trial_is_the_mean_over_seeds_and_folds(grid):
    for number, _, state, steps, value in outcomes(grid[0] / "state"):
        scores = []
        for seed in (42, 43):
            blend = RunReader(grid[0] / "state" / f"night-{number}-s{seed}").scores()
            scores += [row.score for row in blend.models["blend"].all_sensors.folds]
        assert (state, steps, len(scores)) == ("complete", (), 4)
        assert value == pytest.approx(sum(scores) / 4, abs=1e-15)


def test_the_end_of_a_study_is_a_table_of_its_trials(grid):
    lines = grid[1].splitlines()
    table = lines[lines.index("trial  score   settings") + 1 :]
    assert len(table) == 6
    scores = [float(line.split()[1]) for line in table[:4]]
    assert scores == sorted(scores, reverse=True)
    best = int(table[0].split()[0])
    assert table[5] == f"Best: trial {best}, runs night-{best}-s42, night-{best}-s43"


def test_a_run_of_a_study_has_the_bits_of_the_same_run_alone(searched, study_recordings, tmp_path):
    """Also where a search trains fold by fold."""
    definition = read_study(study_root(searched, "night"))
    settings = outcomes(searched)[0][1]
    root = tmp_path / "state" / "alone"
    execute(root, definition.config(settings, 43), Limits(), lambda _: None)
    here, there = digests_of(root, 3), digests_of(searched / "night-0-s43", 3)
    assert differences(here, there) == []


def test_the_same_command_and_the_name_alone_change_nothing_more(copy_of_grid, study_recordings):
    before = {path: path.read_bytes() for path in copy_of_grid.rglob("night-*/*") if path.is_file()}
    for ended in (
        again(copy_of_grid),
        study(copy_of_grid, study_recordings, *GRID, "--seeds", "42,43"),
    ):
        assert ended.code == FINISHED, ended.words
    after = {path: path.read_bytes() for path in copy_of_grid.rglob("night-*/*") if path.is_file()}
    assert after == before


def test_another_definition_is_refused_with_the_differences(copy_of_grid):
    changed = ("--grid", "boosting.num_leaves=2,4", "--seeds", "42,44", "--rounds", "5")
    ended = again(copy_of_grid, *changed)
    assert ended.code == REFUSED
    assert ended.words.splitlines() == [
        "study night was defined otherwise:",
        "  boosting.rounds: 4 -> 5",
        "  seeds: 42,43 -> 42,44",
        "  grid: boosting.num_leaves=2|3 boosting.extra_trees=true|false -> "
        "boosting.num_leaves=2|4",
        "Continue it as it is: python -m trainer study night; or begin another under another name",
    ]


def test_more_trials_of_a_search_are_added_and_fewer_refused(searched, tmp_path):
    shutil.copytree(searched, tmp_path / "state")
    before = outcomes(tmp_path / "state")
    ended = again(tmp_path, "--trials", 7)
    assert ended.code == FINISHED, ended.words
    after = outcomes(tmp_path / "state")
    assert after[:6] == before
    assert len(after) == 7
    ended = again(tmp_path, "--trials", 6)
    assert ended.code == REFUSED
    assert "trials: 7 -> 6; expected as many or more" in ended.words


def test_every_run_of_a_study_has_the_folds_of_its_file(tmp_path, study_recordings):
    """Where the study's own copy is lost, those of a run; other folds are refused."""
    people = pl.read_parquet(study_recordings).select("sequence_id", "subject").unique()
    number = pl.col("subject").rank("dense").cast(pl.Int64)
    wanted = people.select("sequence_id", fold=number % 2).sort("sequence_id")
    for name, table in (("mine", wanted), ("other", wanted.with_columns(fold=1 - pl.col("fold")))):
        table.write_csv(tmp_path / f"{name}.csv")
    words = ("--seeds", "42,43", "--folds-file")
    ended = study(tmp_path, study_recordings, *words, tmp_path / "mine.csv")
    assert ended.code == FINISHED, ended.words
    for seed in (42, 43):
        found = pl.read_parquet(tmp_path / "state" / f"night-0-s{seed}" / "folds.parquet")
        assert found.select(wanted.columns).sort("sequence_id").equals(wanted)
    root = study_root(tmp_path / "state", "night")
    (root / "folds.parquet").unlink()
    again = read_folds(root, read_study(root), read_trials(root))
    assert again.table.sort("sequence_id").equals(wanted)
    refused = study(tmp_path, study_recordings, *words, tmp_path / "other.csv")
    assert (refused.code, "folds.file_sha256" in refused.words) == (REFUSED, True)


def test_resume_0_starts_a_study_over_and_keeps_the_old_one_whole(copy_of_grid, study_recordings):
    """Under another name, with its runs; without a definition nothing moves."""
    before = outcomes(copy_of_grid / "state")
    refused = again(copy_of_grid, environment={"RESUME": "0"})
    assert (refused.code, "there is none to continue" in refused.words) == (REFUSED, True)
    assert outcomes(copy_of_grid / "state") == before
    words = ("--seeds", "7")
    ended = study(copy_of_grid, study_recordings, *words, environment={"RESUME": "0"})
    assert ended.code == FINISHED, ended.words
    assert outcomes(copy_of_grid / "state", "night.old-1") == before
    old = {f"night.old-1-{number}-s{seed}" for number in range(4) for seed in (42, 43)}
    assert {run.name for run in list_runs(copy_of_grid / "state")} == {"night-0", *old}
    continued = again(copy_of_grid, environment={"RESUME": "1"})
    assert continued.code == FINISHED, continued.words


def test_a_kill_while_a_study_is_renamed_is_completed_by_the_next_call(copy_of_grid):
    root = study_root(copy_of_grid / "state", "night")
    before = outcomes(copy_of_grid / "state")
    rename(copy_of_grid / "state" / "night-0-s42", "night.old-1-0-s42")
    renamed = start_over(root)
    assert (renamed.name, outcomes(copy_of_grid / "state", renamed.name)) == ("night.old-1", before)
    write_study(renamed, read_study(renamed).model_copy(update={"name": "again"}))
    assert start_over(renamed).name == "again"
    assert derive_state(RunReader(copy_of_grid / "state" / "again-3-s43")).state == "finished"


def test_a_study_that_does_not_exist_needs_a_definition(tmp_path):
    ended = again(tmp_path)
    assert ended.code == REFUSED
    assert "there is none to continue. Begin one with --seeds" in ended.words


def test_no_run_may_be_named_as_the_folder_of_studies():
    with pytest.raises(RunNameError, match="'studies' is the folder of all studies"):
        check_run_name("studies")


def test_runs_side_by_side_have_the_bits_of_one_after_the_other(
    grid, study_recordings, tmp_path, monkeypatch
):
    """Each in a worker, as on Dask; the trials are the same, whichever run ends first."""
    monkeypatch.setattr(WorkerPool, "run_engine", lambda *_: LocalEngine(2))
    base = read_study(study_root(grid[0] / "state", "night")).base
    leaves = GridSetting(name="boosting.num_leaves", values=("2", "3"))
    study = make_study("night", base, (42, 43), (leaves,), {}, None, {})
    root = study_root(tmp_path / "state", "night")
    write_study(root, study)
    lines = []
    assert conduct(root, study, Limits(), lines.append) == "finished"
    assert "runs side by side on 2 workers" in lines
    values = [each[-1] for each in outcomes(grid[0] / "state")]
    assert [each[-1] for each in outcomes(tmp_path / "state")] == [values[0], values[2]]
    for number, same in ((0, 0), (1, 2)):
        for seed in (42, 43):
            mine = digests_of(tmp_path / "state" / f"night-{number}-s{seed}", 2, ("lgbm",))
            whole = digests_of(grid[0] / "state" / f"night-{same}-s{seed}", 2, ("lgbm",))
            assert differences(mine, whole) == []
    assert sorted(path.name for path in root.iterdir() if path.is_dir()) == ["trials"]


@pytest.mark.faults  # takes 15 s
def test_an_error_in_a_run_beside_others_stops_the_study(tmp_path, study_recordings, monkeypatch):
    """The others have saved; the error is the study's."""
    monkeypatch.setattr(WorkerPool, "run_engine", lambda *_: LocalEngine(2))
    base = make_config("quick", {"data.source": "/nowhere.parquet", "models": ["lgbm"]})
    study = make_study("night", base, (1, 2), (), {}, None, {})
    root = study_root(tmp_path / "state", "night")
    write_study(root, study)
    with pytest.raises(DataError, match="nowhere"):
        conduct(root, study, Limits(), lambda _: None)
    assert derive_state(RunReader(root)).state == "failed"


def test_a_run_of_another_origin_is_never_taken_for_a_trial(tmp_path, study_recordings):
    root = tmp_path / "state" / "night-0"
    execute(root, tiny_config(study_recordings, *LIGHT), Limits(), lambda _: None)
    ended = study(tmp_path, study_recordings, "--grid", "boosting.num_leaves=2,3")
    assert ended.code == REFUSED
    assert "a run night-0 exists already and is not one of its trials" in ended.words


def test_a_run_that_was_started_over_with_other_settings_is_refused(copy_of_grid):
    """The trial's record is not over, so the run is looked at again."""
    record = study_root(copy_of_grid / "state", "night") / "trials" / "0003.json"
    values = json.loads(record.read_bytes()) | {"state": "running", "value": None}
    record.write_text(json.dumps(values))
    root = copy_of_grid / "state" / "night-3-s42"
    frozen = RunReader(root).run_file().settings()
    shutil.rmtree(root)
    execute(root, overlay(frozen, {"boosting.rounds": 5}), Limits(), lambda _: None)
    ended = again(copy_of_grid)
    assert ended.code == REFUSED
    assert "boosting.rounds: 5 -> 4\nIt is a run of the study night" in ended.words


def test_a_study_without_its_recordings_leaves_nothing_behind(tmp_path):
    ended = study(tmp_path, tmp_path / "absent.parquet", "--seeds", "1,2")
    assert ended.code == REFUSED
    assert [path.name for path in (tmp_path / "state").rglob("*")] == ["studies"]


def test_a_missing_trial_record_is_named(copy_of_grid):
    (study_root(copy_of_grid / "state", "night") / "trials" / "0001.json").unlink()
    ended = again(copy_of_grid)
    assert ended.code == 1
    assert "trials/0001.json: missing, but that of trial 2 exists" in ended.words


def test_two_processes_never_work_on_one_study(copy_of_grid):
    lock = acquire(RunPaths(study_root(copy_of_grid / "state", "night")).lock)
    try:
        ended = again(copy_of_grid)
    finally:
        lock.release()
    assert ended.code == REFUSED
    assert "study night: held by the trainer with pid" in ended.words


# Pausing


def wait_until(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT", "pause"])
def test_a_pause_stops_the_study_and_the_same_command_continues_it(
    grid, study_recordings, tmp_path, how
):
    """Exit code 3, also where the request comes between two runs; then the same bits."""
    state_dir = tmp_path / "state"
    words = ["study", "night", *GRID, "--seeds", "42,43", *base_words(study_recordings, *LIGHT)]
    child = fork_server().start(*words, "--state", state_dir)
    wait_until(lambda: (state_dir / "night-1-s42" / "status.json").exists())
    if how == "pause":
        assert fork_server().run("pause", "night", "--state", state_dir).code == FINISHED
    else:
        child.send(getattr(signal, how))
    ended = child.wait()
    assert ended.code == PAUSED, ended.words
    assert "Paused. Continue with: python -m trainer study night" in ended.words
    assert study_state(tmp_path) == "paused"
    assert len(outcomes(state_dir)) < 4
    assert again(tmp_path).code == FINISHED
    assert study_state(tmp_path) == "finished"
    assert outcomes(state_dir) == outcomes(grid[0] / "state")
    for name in sorted(path.name for path in state_dir.glob("night-*")):
        assert (
            differences(
                digests_of(state_dir / name, 2, ("lgbm",)),
                digests_of(grid[0] / "state" / name, 2, ("lgbm",)),
            )
            == []
        )


def test_a_signal_that_comes_as_a_run_ends_is_not_lost(tmp_path, study_recordings):
    """The run finishes, but the next one does not begin."""
    code = """
        import os, signal
        import trainer.run.pipeline as pipeline

        write = pipeline.Pipeline._write_resume_record

        def write_then_signal(self):
            write(self)
            os.kill(os.getpid(), signal.SIGTERM)

        pipeline.Pipeline._write_resume_record = write_then_signal
        import sys
        sys.argv[0] = "python -m trainer"
        from trainer.__main__ import main
        main()
    """
    words = ["study", "night", "--seeds", "42,43", *base_words(study_recordings, *LIGHT)]
    ended = fork_server().run(*words, "--state", tmp_path / "state", code=textwrap.dedent(code))
    assert ended.code == PAUSED, ended.words
    assert [path.name for path in (tmp_path / "state").glob("night-*")] == ["night-0-s42"]
    assert derive_state(RunReader(tmp_path / "state" / "night-0-s42")).state == "finished"


def test_the_time_limit_pauses_the_study_with_the_requested_exit_code(tmp_path, study_recordings):
    ended = study(tmp_path, study_recordings, *GRID, "--time-limit", "0s", "--paused-is-success")
    assert ended.code == FINISHED, ended.words
    assert "study night paused: time limit" in ended.words
    assert again(tmp_path, "--time-limit", "0s").code == PAUSED


def test_a_study_is_shown_by_status_and_named_where_a_run_is_expected(copy_of_grid):
    state = ("--state", copy_of_grid / "state")
    listed = fork_server().run("status", *state).words.splitlines()
    assert listed[-1].split() == ["study", "night", "finished", "Finished."]
    assert fork_server().run("status", "night", *state).code == FINISHED
    ended = fork_server().run("verify", "night", *state)
    assert ended.code == REFUSED
    assert "night is a study, not a run" in ended.words


# Search


def test_a_search_is_refused_in_words_where_optuna_is_missing(tmp_path, study_recordings):
    """Optuna is imported for a search alone: seeds and grids work without it."""
    hide = "import sys; sys.modules['optuna'] = None; sys.argv[0] = 'trainer'\n"
    code = f"{hide}from trainer.__main__ import main\nmain()"
    ended = fork_server().run(*search_words(tmp_path, study_recordings), code=code)
    assert ended.code == REFUSED
    assert "--search needs Optuna, which cannot be imported (optuna: ModuleNotFoundError" in (
        ended.words
    )
    assert "pip install -r requirements-study.txt" in ended.words
    assert not (tmp_path / "state" / "studies" / "night").exists()
    words = ["study", "night", "--seeds", "42,43", *base_words(study_recordings, *LIGHT)]
    ended = fork_server().run(*words, "--state", tmp_path / "state", code=code)
    assert ended.code == FINISHED, ended.words


def test_optuna_opens_the_journal_of_a_search(searched):
    """Its own storage finds every trial with its values, state and fold scores."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    path = StudyPaths(study_root(searched, "night")).journal
    storage = JournalStorage(JournalFileBackend(str(path)))
    loaded = optuna.load_study(storage=storage, study_name="night")
    found = [
        (trial.number, trial.state.name.lower(), tuple(trial.intermediate_values.values()))
        for trial in loaded.trials
    ]
    assert found == [(number, state, steps) for number, _, state, steps, _ in outcomes(searched)]
    best = max(value for *_, value in outcomes(searched) if value is not None)
    assert loaded.best_value == best
    assert loaded.best_params["boosting.min_data_in_leaf"] == "1"


def test_a_lost_journal_is_written_again(searched, tmp_path):
    shutil.copytree(searched, tmp_path / "state")
    path = StudyPaths(study_root(tmp_path / "state", "night")).journal
    before = path.read_bytes()
    for damage in (path.unlink, lambda: path.write_bytes(before[:-50])):
        damage()
        assert again(tmp_path).code == FINISHED
        assert path.read_bytes() == before


# Transfer


def test_a_killed_study_is_adopted_from_the_input_folder_and_ends_the_same(
    searched, study_recordings, tmp_path
):
    """As on Kaggle after a timeout: the earlier output is mounted, the state folder is empty."""
    before = tmp_path / "input" / "notebook"
    before.mkdir(parents=True)
    words = search_words(before, study_recordings)
    child = fork_server().start(*words)
    wait_until(lambda: (before / "state" / "night-1-s43" / "units" / "torch_fold00.json").exists())
    child.send(signal.SIGKILL)
    assert child.wait().was_killed
    after = tmp_path / "working"
    after.mkdir()
    mounted = {"KAGGLE_INPUT_DIR": str(tmp_path / "input")}
    ended = fork_server().run(*search_words(after, study_recordings), environment=mounted)
    assert ended.code == FINISHED, ended.words
    assert "study night: copied from" in ended.words
    assert "1 of 6 trials done" in ended.words
    found, expected = study_digests(after / "state"), study_digests(searched)
    assert [name for name in expected | found if found.get(name) != expected.get(name)] == []


def test_a_kill_while_a_study_is_adopted_is_made_good_by_the_next_start(grid, tmp_path):
    """The definition is written last."""
    shutil.copytree(grid[0] / "state", tmp_path / "input" / "state")
    mounted = {"KAGGLE_INPUT_DIR": str(tmp_path / "input")}
    words = ("study", "night", "--state", tmp_path / "state")
    assert (
        fork_server()
        .run(*words, shims=[("failpoint", {"name": "replace.done", "hit": 5})], environment=mounted)
        .was_killed
    )
    ended = fork_server().run(*words, environment=mounted)
    assert ended.code == FINISHED, ended.words
    assert outcomes(tmp_path / "state") == outcomes(grid[0] / "state")
    assert len(list_runs(tmp_path / "state")) == 8


def test_a_study_is_exported_to_one_zip_and_imported_with_all_its_runs(grid, tmp_path):
    """Then the command continues it, and has nothing left to do."""
    words = ("--state", grid[0] / "state")
    file = tmp_path / "night.zip"
    ended = fork_server().run("export", "night", file, *words)
    assert ended.code == FINISHED, ended.words
    ended = fork_server().run("import", file, "--state", tmp_path / "state")
    assert ended.code == FINISHED, ended.words
    assert "Continue with: python -m trainer study night" in ended.words
    assert outcomes(tmp_path / "state") == outcomes(grid[0] / "state")
    for run in list_runs(grid[0] / "state"):
        here = digests_of(tmp_path / "state" / run.name, 2, ("lgbm",))
        assert differences(here, digests_of(run.root, 2, ("lgbm",))) == []
    assert again(tmp_path).code == FINISHED
    ended = fork_server().run("import", file, "--state", tmp_path / "state")
    assert (ended.code, "study night: it already exists" in ended.words) == (REFUSED, True)


def test_a_study_is_imported_from_its_folder_in_another_state_folder(grid, tmp_path):
    source = grid[0] / "state" / "studies" / "night"
    ended = fork_server().run("import", source, "--state", tmp_path / "state")
    assert ended.code == FINISHED, ended.words
    assert outcomes(tmp_path / "state") == outcomes(grid[0] / "state")
    assert len(list_runs(tmp_path / "state")) == 8


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"a/study.json": b"{"}, "a/study.json: expected a StudyFile record"),
        ({"night/study.json": None, "b/study.json": None}, "expected one study in a folder"),
        ({"other/study.json": None}, "expected one study in a folder of its name"),
        ({"../night/study.json": None}, "expected plain files in one folder"),
        ({"night/study.json": None, "night/trials/0000.json": b"[]"}, "TrialRecord"),
        ({"night/study.json": b" " * (5 << 20)}, "expected a record of at most"),
    ],
)
def test_a_zip_that_is_no_whole_study_is_imported_nowhere(grid, tmp_path, members, message):
    definition = StudyPaths(study_root(grid[0] / "state", "night")).study.read_bytes()
    file = tmp_path / "night.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, definition if data is None else data)
    ended = fork_server().run("import", file, "--state", tmp_path / "state")
    assert ended.code in (1, REFUSED)
    assert message in ended.words
    assert list((tmp_path / "state").rglob("*")) == []
