"""Studies on the pages Runs and Train: the group of trials, its figures, pause, resume, start."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import time

import pytest

from pages.ui import side_process
from pages.ui.shared import controls
from pages.ui.studies import study_figures, study_results
from pages.ui.train import study_form
from tests.support.own_code import JERK
from tests.support.pages import texts, visit
from tests.support.tiny_studies import outcomes
from trainer.own_code import approvals
from trainer.own_code.code_files import read_named, read_of_run
from trainer.own_description import OwnDescription
from trainer.store.locks import acquire
from trainer.store.names import RunPaths
from trainer.store.process import own_identity
from trainer.store.reader import RunReader
from trainer.study import launch
from trainer.study.definition import SearchRange
from trainer.study.study_archive import export_study, import_study
from trainer.study.study_folds import read_folds
from trainer.study.trials import StudyPaths, read_study, read_trials, study_root


@pytest.fixture
def night(searched, state_dir):
    """The finished search, in the test's own state folder; return the study's folder."""
    shutil.copytree(searched, state_dir, dirs_exist_ok=True)
    return study_root(state_dir, "night")


def change_trial(root, number, **changes):
    path = StudyPaths(root).trial(number)
    path.write_text(json.dumps(json.loads(path.read_bytes()) | changes))


def change_status(root, **changes):
    path = StudyPaths(root).run.status
    path.write_text(json.dumps(json.loads(path.read_bytes()) | changes))


def keys(app):
    return {button.key for button in app.button}


def trial_table(app):
    return next(frame.value for frame in app.dataframe if "Trial" in frame.value.columns).to_dict(
        "records"
    )


def run_rows(app):
    return next(frame.value for frame in app.dataframe if "Run" in frame.value.columns).to_dict(
        "records"
    )


def pruned_trials(root):
    return {f"night-{one.number}" for one in read_trials(root) if one.state == "pruned"}


def progress_texts(app):
    return [bar.proto.text.replace("\\", "") for bar in app.get("progress")]


# Results


def test_the_table_has_every_trial_with_settings_mean_spread_and_difference(night, searched):
    found = study_results.read(night)
    table = study_results.trial_table(found, 0)
    assert table["Trial"].to_list() == [0, 1, 2, 3, 4, 5]
    assert table.columns[6:9] == [
        *("boosting.min_data_in_leaf", "boosting.learning_rate", "boosting.num_leaves")
    ]
    for row, (_, settings, state, _, value) in zip(
        table.to_dicts(), outcomes(searched), strict=True
    ):
        assert row["boosting.num_leaves"] == float(settings["boosting.num_leaves"])
        if state == "complete":
            assert row["Mean"] == pytest.approx(value)
            assert row["State"] == "Complete"
    pruned = table.row(3, named=True)
    assert pruned["State"] == "Pruned after 4 folds"
    assert (pruned["Difference"], pruned["Fold SD"]) == (None, None)
    assert table["Difference"][0] is None
    assert table["Difference"][2] == pytest.approx(table["Mean"][2] - table["Mean"][0])


def test_folds_of_two_seeds_are_compared_by_their_content(night):
    """Here all people have the same gestures, so that each seed splits them anew."""
    found = study_results.read(night)
    assert not found.has_same_folds
    (first, second) = found.results[0].folds_S
    assert first != second
    assert found.results[1].folds_S == (first, second)


def test_seeds_with_the_same_folds_are_crossed_with_them(night):
    first, second = study_results.read(night).results[0].folds_S
    for path in night.parent.parent.glob("night-*-s43/checksums.json"):
        path.write_text(path.read_text().replace(second, first))
    found = study_results.read(night)
    assert found.has_same_folds
    assert "two crossed random factors" in study_results.describe_intervals(found)


def test_trials_on_other_folds_have_no_difference(night):
    found = study_results.read(night)
    root = night.parent.parent / "night-2-s43"
    path = root / "checksums.json"
    path.write_text(path.read_text().replace(found.results[2].folds_S[1], "0" * 64))
    RunPaths(root).folds.touch()
    other = study_results.read(night)
    assert study_results.difference(other, other.results[2], other.results[0]) is None
    assert study_results.difference(other, other.results[1], other.results[0]) is not None


def test_the_best_so_far_never_falls_and_ignores_pruned_trials(night):
    history = study_results.history(study_results.read(night))
    best = history["Best so far"].to_list()
    assert best == sorted(best)
    assert best[-1] == max(value for *_, value in outcomes(night.parent.parent) if value)


def test_a_setting_that_explains_the_scores_has_the_larger_share(night):
    for number in (0, 1, 2, 5):
        leaves = int(read_trials(night)[number].settings["boosting.num_leaves"])
        change_trial(night, number, value=0.1 * leaves)
    found = study_results.read(night)
    assert study_results.importance_problem(found) == ""
    shares = study_results.importance(found)
    assert shares["Share"].sum() == pytest.approx(1.0)
    assert set(shares["Setting"]) == set(found.study.search)


def test_parallel_coordinates_have_an_axis_per_setting_and_one_for_the_score():
    figure = study_figures.parallel_figure(
        [{"a.rate": "0.01", "a.kind": "x"}, {"a.rate": "1.0", "a.kind": "y"}],
        [0.5, 0.75],
        {
            "a.rate": SearchRange(low=0.01, high=1.0, log=True),
            "a.kind": SearchRange(choices=("x", "y", "z")),
        },
    )
    rate, kind, score = figure.data[0].dimensions
    assert tuple(rate.values) == (-2.0, 0.0)
    assert (rate.ticktext[0], rate.ticktext[-1]) == ("0.01", "1")
    assert (tuple(kind.values), tuple(kind.ticktext)) == ((0, 1), ("x", "y", "z"))
    assert tuple(score.values) == (0.5, 0.75)


def test_the_axis_of_a_grid_has_its_values_as_ticks():
    settings = [{"a.leaves": "7"}, {"a.leaves": "15"}, {"a.leaves": "15"}]
    figure = study_figures.parallel_figure(settings, [0.5, 0.6, 0.75], {})
    leaves, score = figure.data[0].dimensions
    assert tuple(leaves.ticktext) == ("7", "15")
    assert (score.ticktext[0], score.ticktext[-1]) == ("0.500", "0.750")
    assert [line.x0 for line in figure.layout.shapes] == [0.0, 1.0]


# Pages


def test_the_runs_page_shows_a_study_as_one_group(night):
    app = visit("runs")
    shown = texts(app)
    assert "Search with Optuna: 6 of 6 trials done, 2 of them pruned" in shown
    assert "every seed splits the subjects differently" in shown
    assert [row["State"] for row in trial_table(app)][3] == "Pruned after 4 folds"
    for title in ("Mean score of each trial", "Settings and score", "Importance of the settings"):
        assert f"**{title}**" in shown
    assert "Trial 3: clearly worse than trial 2 after 4 folds." in shown
    assert "duplicate_best" in keys(app)
    assert {"study_pause", "study_resume"}.isdisjoint(keys(app))


def test_another_baseline_changes_the_differences(night):
    app = visit("runs")
    before = [row["Difference"] for row in trial_table(app)]
    app.selectbox(key="study_baseline_night").set_value(2).run()
    after = [row["Difference"] for row in trial_table(app)]
    assert after[0] == pytest.approx(-before[2])
    assert "minus that of trial 2" in texts(app)
    assert not app.exception


def test_duplicate_the_best_fills_the_start_form(night):
    app = visit("runs")
    app.button(key="duplicate_best").click().run()
    assert not app.exception
    best = study_results.read(night).best
    assert f"New run with the settings of night-{best.number}-s42" in texts(app)


def test_an_interrupted_study_is_resumed_with_one_click(night, monkeypatch):
    change_trial(night, 5, state="running", value=None, ended_at=None)
    change_status(night, state="running", done_units=5)
    launched = []
    monkeypatch.setattr(launch, "launch", lambda root, words, _: launched.append(words) or 1)
    app = visit("train", run="night-5-s42")
    assert "5 of 6 trials done" in progress_texts(app)
    app.button(key="study_resume").click().run()
    assert not app.exception
    assert launched[0][:5] == ["python", "-m", "trainer", "study", "night"]


def test_a_running_study_shows_the_time_left_and_is_paused_with_one_click(night):
    lock = acquire(RunPaths(night).lock)
    try:
        change_trial(night, 5, state="running", value=None, ended_at=None)
        now, me = time.time(), own_identity()
        identity = {"host": me.host, "boot_id": me.boot_id, "pid": me.pid}
        beats = {"heartbeat_at": now, "next_heartbeat_at": now + 600, "progress_at": now}
        identity["process_started"] = me.started
        change_status(night, state="running", done_units=5, eta_s=90.0, **identity, **beats)
        app = visit("train", run="night-5-s42")
        assert "5 of 6 trials done, about 1 min 30 s left. Now:" in "".join(progress_texts(app))
        app.button(key="study_pause").click().run()
        assert RunReader(night).command().command == "pause"
        assert not app.exception
    finally:
        lock.release()


def test_read_only_shows_a_study_without_a_button(night, go_read_only):
    go_read_only()
    app = visit("runs")
    assert {"study_pause", "study_resume", "duplicate_best"}.isdisjoint(keys(app))
    assert "6 of 6 trials done" in texts(app)


def test_a_damaged_trial_is_named_and_the_page_goes_on(night):
    StudyPaths(night).trial(2).write_text("{")
    app = visit("runs")
    assert "trials/0002.json: expected a TrialRecord record" in texts(app)
    assert "open" in keys(app)


def test_a_study_of_seeds_and_a_grid_is_started_from_the_form(
    state_dir, study_recordings, monkeypatch
):
    monkeypatch.setattr(launch, "launch", lambda root, words, _: 1)
    app = visit("train")
    app.text_input(key="start_name").set_value("mine").run()
    app.text_input(key="start_study_seeds").set_value("1, 2").run()
    assert "1 combination of settings with 2 seeds: 2 runs" in texts(app)
    app.text_area(key="start_study_grid").set_value("boosting.leaves=2,3").run()
    assert "grid: unknown name 'boosting.leaves'" in texts(app)
    assert app.button(key="start_study").disabled
    app.text_area(key="start_study_grid").set_value("boosting.num_leaves=2,3").run()
    assert "4 runs, one after the other, at most about" in texts(app)
    app.button(key="start_study").click().run()
    assert not app.exception
    study = read_study(study_root(state_dir, "mine"))
    assert (study.seeds, study.num_trials, study.grid[0].values) == ((1, 2), 2, ("2", "3"))
    assert study.base.preset == "quick"


def test_a_search_is_started_from_the_form(state_dir, monkeypatch):
    """The TOML of a search file, checked while it is entered; the command has the same."""
    monkeypatch.setattr(launch, "launch", lambda root, words, _: 1)
    app = visit("train")
    app.text_input(key="start_name").set_value("mine").run()
    app.segmented_control(key="start_study_kind").set_value("Search").run()
    app.text_area(key="start_study_search").set_value("[boosting.num_leaves]\nlow = 9").run()
    assert "boosting.num_leaves: expected low and high, or choices" in texts(app)
    assert app.button(key="start_study").disabled
    table = "[boosting.num_leaves]\nlow = 7\nhigh = 9"
    app.text_area(key="start_study_search").set_value(table).run()
    app.number_input(key="start_study_trials").set_value(6).run()
    app.text_input(key="start_study_seeds").set_value("1,2").run()
    assert "6 trials with 2 seeds: up to 12 runs" in texts(app)
    assert "--search search.toml --trials 6 --preset quick" in texts(app)
    app.button(key="start_study").click().run()
    assert not app.exception
    study = read_study(study_root(state_dir, "mine"))
    assert (study.num_trials, study.search["boosting.num_leaves"].high) == (6, 9)
    assert study.versions == {"optuna": importlib.metadata.version("optuna")}


def test_a_search_without_optuna_shows_what_to_install(state_dir, monkeypatch):
    monkeypatch.setattr(study_form, "not_installed", lambda _: "the library optuna is missing")
    app = visit("train")
    app.segmented_control(key="start_study_kind").set_value("Search").run()
    assert "pip install -r requirements-study.txt" in texts(app)
    assert "start_study_search" not in [area.key for area in app.text_area]
    assert not app.button(key="start").disabled


def test_a_study_with_own_code_compares_runs_without_it(state_dir, monkeypatch, tmp_path):
    """The grid has the file as a value, and the study its copy; the start approves it."""
    monkeypatch.setenv("GESTURE_APPROVALS", str(tmp_path / "mine" / "approved.json"))
    monkeypatch.setattr(controls, "is_on_this_machine", lambda: True)
    accepted = side_process.CheckedCode("fine", OwnDescription())
    monkeypatch.setattr(side_process, "check_code", lambda paths: accepted)
    monkeypatch.setattr(launch, "launch", lambda root, words, _: 1)
    app = visit("train")
    app.text_input(key="start_name").set_value("mine").run()
    app.text_area(key="start_use").set_value(str(JERK)).run()
    app.button(key="check_own_code").click().run()
    app.checkbox(key="start_study_without").check().run()
    assert "2 combinations of settings with 1 seed: 2 runs" in texts(app)
    assert f"--grid use=none,{JERK}" in texts(app)
    app.button(key="start_study").click().run()
    assert not app.exception
    root = study_root(state_dir, "mine")
    study, (file,) = read_study(root), read_named([JERK])
    assert (study.base.use, study.code) == ((), (file.entry,))
    assert read_of_run(root, study.code) == (file,)
    assert approvals.approved() == {file.sha256}


def test_a_study_has_the_folds_of_a_file(state_dir, monkeypatch, tmp_path):
    """It keeps them beside its definition; the command names the file."""
    monkeypatch.setattr(launch, "launch", lambda root, words, notify: 1)
    path = tmp_path / "folds.csv"
    path.write_text("sequence_id,fold\n" + "".join(f"s{n},{n % 2}\n" for n in range(8)))
    app = visit("train")
    app.text_input(key="start_name").set_value("mine").run()
    app.text_input(key="start_folds_path").set_value(str(path)).run()
    app.text_input(key="start_study_seeds").set_value("1,2").run()
    assert f"--seeds 1,2 --preset quick --folds-file {path}" in texts(app)
    app.button(key="start_study").click().run()
    assert not app.exception
    root = study_root(state_dir, "mine")
    found = read_folds(root, read_study(root), [])
    assert (found.num_folds, found.table["fold"].to_list()) == (2, [0, 1] * 4)


def test_the_table_of_all_runs_marks_pruned_runs(night):
    """A run that was not finished; one of its trial that was finished before stays finished."""
    app = visit("runs")
    states = {row["Run"]: row["State"] for row in run_rows(app)}
    assert states["night-3-s43"] == "Pruned"
    assert states["night-3-s42"] == "Finished"
    assert states["night-0-s42"] == "Finished"
    app.text_input(key="runs_filter").set_value("pruned").run()
    assert {row["Run"].rpartition("-s")[0] for row in run_rows(app)} == pruned_trials(night)


def test_a_study_is_exported_from_the_page(night, tmp_path):
    """The same zip as that of the command, which imports elsewhere."""
    app = visit("runs")
    [button] = [each for each in app.get("download_button") if "study" in each.proto.label]
    assert (button.proto.label, button.proto.disabled) == ("Export study", False)
    target = tmp_path / "night.zip"
    export_study(night, target)
    root = import_study(target, tmp_path / "other", lambda _: None)
    assert outcomes(root.parent.parent) == outcomes(night.parent.parent)
