"""Starting a run: the description, the forecast, what differs, duplicates."""

from __future__ import annotations

import re
import socket

import polars as pl
import pytest

from pages.ui.shared import words
from pages.ui.train import forecast, settings_form
from tests.support import run_folders
from tests.support.pages import texts, visit
from trainer.config import FoldsConfig, make_config, setting_names
from trainer.data import sources
from trainer.run import control
from trainer.run.inputs.folds_file import read_folds_file
from trainer.store.durable import write_atomic
from trainer.store.names import RunPaths
from trainer.store.reader import RunReader
from trainer.store.records import ModelState, dump_record


def test_the_forecast_uses_the_size_of_the_built_in_recordings():
    """The rough guess for a first run is based on the real numbers."""
    sequences = sources.load("watch")
    size = forecast.WATCH_SIZE
    assert (sequences.num_sequences, int(sequences.offsets[-1])) == (
        size.num_sequences,
        size.num_rows,
    )
    assert sequences.labels.num_classes == size.num_classes


def write_speed(root, seconds):
    """Set the training time of every fold of a run."""
    for model in ("lgbm", "torch"):
        state = RunReader(root).model_state(model)
        folds = tuple(unit.model_copy(update={"seconds": seconds}) for unit in state.folds)
        path = RunPaths(root).model_state(model)
        write_atomic(path, dump_record(ModelState(model=model, folds=folds)))


def same_machine(root, **changes):
    """Rewrite a run as made on this machine, with some changed settings."""
    path = RunPaths(root).config
    run_file = RunReader(root).run_file()
    here = run_file.machine.model_copy(update={"host": socket.gethostname()})
    write_atomic(path, dump_record(run_file.model_copy(update={"machine": here, **changes})))
    return RunReader(root).run_file().settings()


def test_the_forecast_is_based_on_earlier_runs_with_the_same_recordings(make_run):
    """The same settings take as long again; twice the rounds take twice as long."""
    root = make_run("first", "finished")
    config = same_machine(root)
    write_speed(root, 12.0)
    found = forecast.forecast(config, [RunReader(root)])
    assert found.seconds == pytest.approx({"lgbm": 36.0, "torch": 36.0})
    assert "as measured in run first" in found.basis
    double = config.model_copy(
        update={"boosting": config.boosting.model_copy(update={"rounds": 200})}
    )
    assert forecast.forecast(double, [RunReader(root)]).seconds["lgbm"] == pytest.approx(72.0)


def test_the_forecast_names_a_guess_and_an_unknown_time(make_run):
    """Another machine's run gives no pace; unknown recordings give no time at all."""
    reader = RunReader(make_run("first", "finished"))  # of a machine called "lab"
    guess = forecast.forecast(make_config("quick", environment={}), [reader])
    assert "rough guess" in guess.basis
    assert guess.seconds["torch"] > 0
    config = make_config("quick", {"data.source": "/data/mine.csv"}, environment={})
    unknown = forecast.forecast(config, [reader])
    assert unknown.seconds == {}
    assert forecast.time_text(unknown).startswith("The training time is not known: no run in this")


def test_the_form_describes_what_will_run(state_dir):
    """Folds, models, rounds and epochs, recordings and a time, before anything is started."""
    shown = texts(visit())
    assert (
        "Trains 5 folds of LightGBM (100 rounds) and 5 folds of the network (14 epochs) on "
        "the built-in recordings" in shown
    )
    assert "optimistic" not in shown
    assert re.search(r"Training time at most about [0-9.]+ (s|min|h) \(LightGBM", shown)
    assert "Different from the preset" not in shown


def test_a_selection_on_the_scored_rows_is_announced():
    """The form says which model's scores will be optimistic, and that it may stop early."""
    settings = {"network.select": "best"}
    text = forecast.plan_text(make_config("quick", settings, environment={}), "watch", None)
    assert "5 folds of the network (up to 14 epochs)" in text
    assert "The best step of the network is chosen on the recordings that are scored" in text


def test_epochs_that_depend_on_the_recordings_are_described(make_run):
    """Both numbers for unknown recordings, the right one for known ones."""
    config = make_config("full", {"data.source": "/data/mine.csv"}, environment={})
    text = forecast.plan_text(config, "mine", None)
    assert "5 folds of LightGBM (500 rounds)" in text
    assert "5 folds of the network (12 or 45 epochs, by the number of sequences)" in text
    text = forecast.plan_text(config, "watch", forecast.WATCH_SIZE)
    assert "5 folds of the network (45 epochs)" in text


def test_a_setting_that_is_chosen_by_the_recordings_is_shown_as_automatic(state_dir):
    """The field is empty until a number is entered, which then counts."""
    app = visit()
    app.segmented_control(key="start_preset").set_value("Full").run()
    epochs = app.number_input(key="start_network.epochs_full")
    assert (epochs.value, epochs.placeholder) == (None, "automatic")
    assert app.text_input(key="start_set_network.members").placeholder == "automatic"
    epochs.set_value(30).run()
    assert not app.exception
    assert "Different from the preset: network.epochs automatic → **30**" in texts(app)
    assert "5 folds of the network (30 epochs)" in texts(app)


def test_what_differs_from_the_preset_is_marked(state_dir):
    """A field that is changed carries the preset's value; all changes are listed below."""
    app = visit()
    app.text_input(key="start_set_boosting.learning_rate").set_value("0.02")
    app.number_input(key="start_seed_quick").set_value(7)
    app.run()
    labels = [field.label for field in (*app.text_input, *app.number_input)]
    assert "**Learning rate** (preset 0.1)" in labels
    assert "**Seed** (preset 42)" in labels
    expected = "Different from the preset: seed 42 → **7**, boosting.learning_rate 0.1 → **0.02**"
    assert expected in texts(app)


def test_every_setting_can_be_set_in_the_form():
    """A setting that is new in the configuration gets its field, or its title is missing."""
    sections = settings_form.sections(settings_form.usual_settings("quick"))
    in_fields = [name for names in sections.values() for name in names]
    assert {*in_fields, *settings_form.NOT_HERE} == set(setting_names())


def test_a_duplicate_has_the_settings_of_its_run_and_shows_what_is_changed(make_run, monkeypatch):
    """The form has all settings of the run; a change is shown before the start."""
    started = []
    monkeypatch.setattr(control, "start", lambda *args: started.append(args) or 1)
    root = make_run("first", "finished", seed=7)
    app = visit()
    app.button(key="duplicate").click().run()
    assert not app.exception
    assert "New run with the settings of first" in texts(app)
    assert "Same settings as first: the result will be the same." in texts(app)
    app.number_input(key="start_seed_quick").set_value(8).run()
    assert "Different from first: seed 7 → **8**" in texts(app)
    app.button(key="start").click().run()
    [(_, name, config, *_)] = started
    before = RunReader(root).run_file().settings()
    assert name == "watch-1"
    assert config == before.model_copy(update={"seed": 8})
    assert "New run with the settings" not in texts(app)


def test_duplicating_can_be_cancelled(make_run):
    """The form is closed again."""
    make_run("first", "finished")
    app = visit()
    app.button(key="duplicate").click().run()
    app.button(key="duplicate_forget").click().run()
    assert not app.exception
    assert "New run with the settings of" not in texts(app)


@pytest.fixture
def folds_file(tmp_path):
    """Three folds of 48 sequences, by subject."""
    path = tmp_path / "my folds.csv"
    run_folders.fold_table().select("sequence_id", "fold").write_csv(path)
    return path


def visit_with_folds(path):
    app = visit()
    app.text_input(key="start_folds_path").set_value(str(path)).run()
    assert not app.exception
    return app


def test_a_run_is_started_on_the_folds_of_a_file(state_dir, folds_file, monkeypatch):
    """The number of folds is that of the file; the command has the path and no hash."""
    started = []
    monkeypatch.setattr(control, "start", lambda *args: started.append(args) or 1)
    app = visit_with_folds(folds_file)
    shown = texts(app)
    assert "Trains 3 folds of LightGBM (100 rounds)" in shown
    assert "Each fold is scored on subjects that it was not trained on." in shown
    assert "Folds" not in [field.label for field in app.number_input]
    [command] = [each.value for each in app.code if "trainer train" in each.value]
    assert f"--folds-file '{folds_file}'" in command
    assert "folds." not in command.replace(str(folds_file), "")
    app.button(key="start").click().run()
    [(_, _, config, path, *_)] = started
    assert path == folds_file
    assert config.folds.count == 3
    expected = read_folds_file(folds_file, shares_subjects=False).settings()
    assert config.folds.file_sha256 == expected["folds.file_sha256"]
    assert f"folds.file_sha256 none → **{config.folds.file_sha256[:12]}**" in shown


def test_shared_subjects_are_announced_by_the_form(state_dir, folds_file):
    """Where they are accepted, the form says what that means for the scores."""
    app = visit_with_folds(folds_file)
    assert words.SHARED_HELP not in texts(app)
    app.checkbox(key="start_folds_shared").check().run()
    assert words.SHARED_HELP in texts(app)
    [command] = [each.value for each in app.code if "trainer train" in each.value]
    assert "--allow-shared-subjects" in command


def test_a_folds_file_that_cannot_be_used_is_refused_by_the_form(state_dir, folds_file):
    """Missing, wrong numbers, or another number of folds in the lines of settings."""
    cases = [("/not/there.csv", "does not exist: expected a CSV or Parquet file")]
    wrong = folds_file.with_name("wrong.csv")
    run_folders.fold_table().with_columns(pl.col("fold") + 1).write_csv(wrong)
    cases.append((str(wrong), "got 1, 2, 3. Subtract 1 from each"))
    for path, message in cases:
        app = visit_with_folds(path)
        assert message in texts(app)
        assert app.button(key="start").disabled
    app = visit_with_folds(folds_file)
    app.text_area(key="start_more").set_value("folds.count=4").run()
    assert "expected 3, the number of folds in 'my folds.csv'; got 4" in texts(app)


def test_a_duplicate_has_the_folds_of_its_run(make_run, monkeypatch):
    """Read from the run's own fold table: the file that they came from may be gone."""
    started = []
    monkeypatch.setattr(control, "start", lambda *args: started.append(args) or 1)
    root = make_run("first", "finished")
    table = root / "folds.parquet"
    settings = read_folds_file(table, shares_subjects=False).settings()
    folds = FoldsConfig(count=3, file_sha256=settings["folds.file_sha256"])
    config = same_machine(root, folds=folds)
    app = visit()
    app.button(key="duplicate").click().run()
    assert "Same settings as first: the result will be the same." in texts(app)
    app.button(key="start").click().run()
    [(_, _, again, path, *_)] = started
    assert (again, path) == (config, table)
    app = visit()
    app.button(key="duplicate").click().run()
    app.text_input(key="start_folds_path").set_value("").run()
    short = config.folds.file_sha256[:12]
    assert f"Different from first: folds.file_sha256 {short} → **none**" in texts(app)


def test_a_run_of_a_file_is_started_over_with_its_folds(make_run, monkeypatch):
    """Read from the fold table of the run that was moved aside."""
    started = []
    monkeypatch.setattr(control, "start", lambda *args: started.append(args) or 1)
    root = make_run("first", "finished")
    same_machine(root, folds=FoldsConfig(count=3, file_sha256="a" * 64))
    app = visit()
    app.button(key="start_over_sure").click().run()
    assert not app.exception
    [(_, _, _, path, *_)] = started
    assert path == root.with_name("first.old-1") / "folds.parquet"
    assert path.exists()
