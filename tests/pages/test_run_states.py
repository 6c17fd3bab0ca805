"""The frame, the Train page and the Runs page: every state of a run, and every control."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from pages.ui.runs import run_table
from pages.ui.shared import charts, frame, live, words
from pages.ui.train import logs
from tests.support import run_folders
from tests.support.fresh_python import modules_after
from tests.support.pages import metrics, texts, visit
from tests.support.tiny_runs import PROJECT
from trainer.config import make_config
from trainer.run import RefusedError, control
from trainer.run.transfer import archive, moving
from trainer.store.durable import append_line, write_atomic
from trainer.store.names import RunPaths
from trainer.store.reader import RunReader
from trainer.store.records import dump_record
from trainer.store.resume_record import ResumeRecord
from trainer.store.run_state import derive_state

LIVE_STATES = tuple(state for state in run_folders.STATES if state != "starting")


@pytest.mark.parametrize("page", ["train", "runs"])
def test_a_page_without_any_run_shows_what_to_do_next(state_dir, page):
    """An empty state folder is a beginning, not an error."""
    app = visit(page)
    assert "No runs yet" in texts(app)
    assert not app.error


@pytest.mark.parametrize("page", ["train", "runs"])
def test_a_state_folder_that_does_not_exist_is_an_empty_one(tmp_path, monkeypatch, page):
    """The first start of the dashboard comes before the first run has made the folder."""
    monkeypatch.setenv("CKPT_DIR", str(tmp_path / "not" / "there"))
    assert "No runs yet" in texts(visit(page))


@pytest.mark.parametrize("state", LIVE_STATES)
def test_the_train_page_shows_every_state_with_its_evidence(make_run, state):
    """The badge shows the derived state, and its evidence is on the page."""
    make_run("first", state)
    app = visit()
    shown = {"damaged": "finished", "newer": "finished", "half": "running"}.get(state, state)
    assert f"{words.STATE_ICONS[shown]} {shown.capitalize()}" in texts(app)
    assert any("Lock:" in code.value for code in app.code)


@pytest.mark.parametrize("state", LIVE_STATES)
def test_the_runs_page_lists_every_state(make_run, state):
    """A run appears in the table in every state."""
    make_run("first", state)
    table = visit("runs").dataframe[0].value
    assert table["Run"].to_list() == ["first"]


def test_a_file_that_cannot_be_read_is_named(make_run):
    """A damaged file costs its part of the page and is named; the rest is shown."""
    make_run("first", "damaged")
    app = visit()
    assert [error.value for error in app.error] == [
        "A file cannot be read, so a part of the page is missing."
    ]
    assert "scores.json: expected a Scores record" in texts(app)
    assert len(app.table) == 1


def test_a_newer_schema_is_refused_with_an_explanation(make_run):
    """For a run of a newer version the page recommends an update, without a traceback."""
    make_run("first", "newer")
    assert "schema 99 is newer than this version's 1: update the project" in texts(visit())


def test_the_numbers_of_a_running_run(make_run):
    """Model, fold, step, best mean score so far and time left, as the files have them."""
    make_run("first", "running")
    shown = metrics(visit())
    assert shown["Now"] == "Network, fold 1"
    assert shown["Epochs done"] == "6 of 12"
    assert shown["Blend, 1 fold"] == "0.950"
    assert shown["Time left, at most"] == "1 min 35 s"
    assert "Pauses at" in shown


def test_the_fold_table_has_a_row_per_fold_and_a_column_per_model(make_run):
    """Waiting, running and done folds each show their progress and score."""
    make_run("first", "running")
    shown = visit().table[0].value
    assert shown["Fold"].to_list() == ["0", "1", "2", "Mean", "Out of fold"]
    assert (
        shown["LightGBM"].to_list()[0]
        == ":green-badge[done] **0.900** ·\N{NO-BREAK SPACE}12\N{NO-BREAK SPACE}s"
    )
    assert shown["Network"].to_list()[1:] == [
        ":blue-badge[running] epoch 6 of 12 · best so far 0.801 · resumed",
        ":gray-badge[waiting]",
        "**0.930**",
        "**0.930**",
    ]
    assert shown["LightGBM"].to_list()[3] == "**0.890** ±\N{NO-BREAK SPACE}0.008"
    assert shown["Blend"].to_list()[:2] == ["**0.950**", ":gray-badge[waiting]"]


def test_a_change_of_the_files_shows_at_the_next_run(make_run):
    """Caches go by time and size of the files, so a new fold is seen at once."""
    root = make_run("first", "running")
    app = visit()
    run_folders.write_units(RunPaths(root), 5)
    app.run()
    assert (
        app.table[0].value["Network"].to_list()[1]
        == ":green-badge[done] **0.920** ·\N{NO-BREAK SPACE}12\N{NO-BREAK SPACE}s"
    )


def test_requested_acknowledged_paused_are_shown_with_their_times(make_run):
    """The trail of a command shows who sent it, the response time and when it took effect."""
    make_run("first", "paused")
    trail = next(text.value for text in visit().caption if text.value.startswith("Pause requested"))
    assert "by dashboard → acknowledged" in trail
    assert "1.0 s later" in trail
    assert "→ paused" in trail


def test_a_pause_that_is_not_acknowledged_yet_is_shown_as_such(make_run):
    """Between the click and the trainer's acknowledgement the page shows that it waits."""
    make_run("first", "pausing")
    app = visit()
    assert "not acknowledged yet" in texts(app)
    assert app.button(key="pause").disabled


def test_pause_writes_the_command_for_the_trainer(make_run):
    """A click writes command.json and returns; nothing waits for the trainer."""
    root = make_run("first", "running")
    visit().button(key="pause").click().run()
    command = RunReader(root).command()
    assert (command.command, command.after, command.asked_by) == ("pause", "now", "dashboard")


def test_pause_after_this_fold_can_be_cancelled(make_run):
    """Until the fold is done, a click cancels the pause."""
    root = make_run("first", "running")
    app = visit()
    app.button(key="pause_after_fold").click().run()
    assert RunReader(root).command().after == "fold"
    app.button(key="keep_running").click().run()
    assert RunReader(root).command().command == "run"


def test_the_cost_of_a_pause_is_shown_before_the_click(make_run):
    """The page shows how much work a pause and a kill would lose."""
    root = make_run("first", "running")
    status = (
        RunReader(root).status().model_copy(update={"pause_costs_s": 3.2, "kill_costs_s": 12.4})
    )
    write_atomic(RunPaths(root).status, dump_record(status))
    expected = "A pause now loses about 3 s of work; a kill would lose 12 s."
    assert expected in texts(visit())


def test_an_interrupted_run_shows_how_it_ended(make_run, monkeypatch):
    """The signal, where this server started the trainer, and the last lines of its log."""
    make_run("first", "interrupted")
    monkeypatch.setattr(control, "exit_code", lambda pid, is_ending=False: -9)
    shown = texts(visit())
    assert "ended by SIGKILL (signal 9)" in shown
    assert "lgbm fold 0: score 0.900" in shown


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (1, "The trainer ended with exit code 1."),
        (-15, "The trainer was ended by SIGTERM (signal 15)."),
        (130, "The trainer was ended by SIGINT (signal 2)."),
    ],
)
def test_exit_codes_are_described(code, text):
    """A signal has a name, also where a shell or the trainer itself adds 128 to it."""
    assert words.exit_text(code) == text


def test_a_problem_after_which_the_trainer_continued_is_shown(make_run):
    """Damaged files and differing bits of the present attempt are shown on the Train page."""
    root = make_run("first", "running")
    line = {"event": "problem", "time": 1.0, "attempt": 1, "text": "lgbm_fold00.pkl: damaged"}
    append_line(RunPaths(root).metrics, line)
    [warning] = visit().warning
    assert "lgbm\\_fold00.pkl\\: damaged" in warning.value


def test_interruptions_are_listed_with_their_place_and_cost(make_run):
    """A pause and a kill are listed with the repeated work; another canary hash is not exact."""
    root = make_run("first")
    metrics = RunPaths(root).metrics
    append_line(metrics, {"event": "pause", "time": 1.0, "attempt": 1, "text": "asked by me"})
    cut = {"event": "interrupted", "time": 2.0, "attempt": 3, "text": "cut off"}
    append_line(metrics, cut | {"model": "lgbm", "fold": 1, "values": {"step": 40, "redone_s": 7}})
    app = visit("runs")
    assert "Interrupted 2 times, 7 s of work repeated." in texts(app)
    table = app.table[0].value
    assert table["Where"].to_list() == [words.NOTHING, "LightGBM, fold 1, round 40"]
    assert table["Attempt"].to_list() == ["1", "2"]
    remark = "continued, not bit-exact: the canary of lgbm differs"
    append_line(metrics, {"event": "problem", "time": 3.0, "attempt": 3, "text": remark})
    assert "Continued, not bit-exact" in texts(visit("runs"))


def test_points_that_were_computed_twice_are_compared(make_run):
    """As the trainer recorded it when the run was finished."""
    root = make_run("first", "finished")
    counts = {"attempts": 2, "interruptions": (), "remarks": (), "redone_points": 3}
    record = ResumeRecord(is_exact=True, **counts)
    write_atomic(RunPaths(root).resume_record, dump_record(record))
    shown = texts(visit("runs"))
    assert "3 points of the curves were computed again, with the same results." in shown


def test_a_trainer_that_dies_at_once_is_not_waited_for(make_run, monkeypatch):
    """Launching ends with the process, and its exit code is shown."""
    make_run("first", "paused")
    monkeypatch.setattr(control, "resume", lambda root, _: 7)
    monkeypatch.setattr(control, "exit_code", lambda pid, is_ending=False: 1 if pid == 7 else None)
    app = visit()
    app.button(key="resume").click().run()
    assert not app.exception
    assert "Launching" not in texts(app)
    assert "The trainer ended with exit code 1." in texts(app)
    assert not app.button(key="resume").disabled


@pytest.mark.parametrize("state", ["paused", "interrupted", "failed"])
def test_resume_launches_the_trainer_and_shows_it(make_run, monkeypatch, state):
    """After the click the page shows that a trainer is loading, and refuses a second click."""
    root = make_run("first", state)
    resumed = []
    monkeypatch.setattr(control, "resume", lambda root, _: resumed.append(root) or 1)
    app = visit()
    app.button(key="resume").click().run()
    assert not app.exception
    assert resumed == [root]
    assert ":material/hourglass_top: Launching" in texts(app)
    assert app.button(key="resume").disabled


def test_a_refusal_is_shown_as_it_is_written(make_run, monkeypatch):
    """A refused action is explained on the page, as text and never as markup."""
    make_run("first", "paused")

    def refuse(root, _):
        raise RefusedError("Taken: <b>*held*</b>")

    monkeypatch.setattr(control, "resume", refuse)
    app = visit()
    app.button(key="resume").click().run()
    assert [error.value for error in app.error] == [r"Taken\: \<b\>\*held\*\</b\>"]


def test_start_over_moves_aside_and_starts_with_the_same_settings(make_run, monkeypatch):
    """The new run has the old one's configuration; the old folder stays."""
    root = make_run("first", "finished", seed=7)
    started = []
    monkeypatch.setattr(control, "start", lambda *args: started.append(args) or 1)
    app = visit()
    app.button(key="start_over_sure").click().run()
    assert not app.exception
    [(folder, name, config, *_)] = started
    assert (folder, name, config.seed) == (root.parent, "first", 7)
    assert not root.exists()
    assert len(list(root.parent.glob("first.old-*"))) == 1


def test_the_start_form_hands_over_what_was_chosen(state_dir, monkeypatch):
    """Preset, main settings and KEY=VALUE lines reach the configuration that is started."""
    started = []
    monkeypatch.setattr(control, "start", lambda *args: started.append(args) or 1)
    app = visit()
    app.number_input(key="start_seed_quick").set_value(7)
    app.text_input(key="start_name").set_value("mine")
    app.text_area(key="start_more").set_value("boosting.num_leaves=31")
    app.run()
    app.button(key="start").click().run()
    assert not app.exception
    [(folder, name, config, *_)] = started
    assert (folder, name) == (state_dir, "mine")
    expected = make_config("quick", {"seed": 7}, ["boosting.num_leaves=31"], environment={})
    assert config == expected


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("start_more", "boosting.num_leafs=31", "nearest are boosting.num_leaves"),
        ("start_more", "boosting.rounds", "expected KEY=VALUE"),
        ("start_more", "boosting.rounds=-1", "a whole number from 1 to 1,000,000"),
        ("start_name", "../evil", "Run name: expected 1 to 64"),
        ("start_name", "taken", "A run 'taken' exists already"),
    ],
)
def test_the_start_form_refuses_what_cannot_be_started(make_run, key, value, expected):
    """Each error is shown before the click, and the button is disabled."""
    make_run("taken", "finished")
    app = visit()
    app.session_state["start_expander"] = True
    app.run()
    field = app.text_area if key == "start_more" else app.text_input
    field(key=key).set_value(value)
    app.run()
    assert not app.exception
    [warning] = [text.value.replace("\\", "") for text in app.warning]
    assert expected in warning
    assert app.button(key="start").disabled


def test_the_start_form_requires_recordings_that_exist(state_dir):
    """A path is checked before the trainer is started."""
    app = visit()
    app.get("button_group")
    app.session_state["start_source"] = "File or folder"
    app.run()
    app.text_input(key="start_path").set_value("/not/there.csv")
    app.run()
    assert "no file or folder at '/not/there.csv'" in app.warning[0].value.replace("\\", "")


def test_a_read_only_dashboard_has_no_control_that_writes(make_run, monkeypatch):
    """With --read-only nothing on a page changes a run."""
    root = make_run("first", "paused")
    arguments = ["dashboard.py", "--state", str(root.parent), "--read-only"]
    monkeypatch.setattr(sys, "argv", arguments)
    assert [button.key for button in visit().button] == []
    app = visit("runs")
    assert [button.key for button in app.button] == ["open", "verify"]


def test_options_come_after_the_dashes_and_beat_the_environment(tmp_path, monkeypatch):
    """--state wins over CKPT_DIR, which wins over state/; an unknown option is refused."""
    monkeypatch.setenv("CKPT_DIR", "/elsewhere")
    assert frame.parse_options([]).state == Path("/elsewhere")
    given = frame.parse_options(["--state", str(tmp_path), "--read-only"])
    assert given == frame.Options(tmp_path, True)
    with pytest.raises(frame.OptionsError, match="unrecognized arguments: --stat x; usage"):
        frame.parse_options(["--stat", "x"])


def test_a_link_opens_its_run_and_an_unknown_one_the_newest(make_run):
    """?run=NAME is a deep link; a name that is gone falls back to the newest run."""
    make_run("first", "finished")
    make_run("second", "finished")
    assert "first" in [text.value for text in visit(run="first").subheader]
    assert "second" in [text.value for text in visit(run="gone").subheader]
    assert "second" in [text.value for text in visit().subheader]


def test_a_page_opened_without_the_dashboard_goes_through_it(state_dir):
    """With a deep link Streamlit runs the page's file first; the frame is drawn all the same."""
    app = AppTest.from_file(str(PROJECT / "dashboard.py"), default_timeout=30)
    app.switch_page("pages/runs.py").run()
    assert not app.exception
    assert app.title[0].value == "Runs"
    assert app.selectbox(key="run").label == "Run"


def test_the_table_shows_only_settings_that_differ(make_run):
    """Two runs that differ in the seed have a column for the seed and for no other setting."""
    runs = [RunReader(make_run("first", seed=1)), RunReader(make_run("second", seed=2))]
    derived_states = {run.name: derive_state(run) for run in runs}
    table = run_table.run_table(run_table.summaries(runs), derived_states)
    assert table.columns[table.columns.index("Started") + 1 :] == ["seed"]
    assert table["seed"].to_list() == ["1", "2"]
    assert table["Blend"].to_list() == pytest.approx([0.94, 0.94])


def test_title_and_note_are_kept(make_run):
    """The typed text is stored in notes.json and shown in the table."""
    root = make_run("first")
    app = visit("runs")
    app.text_input(key="title_first").set_value("Baseline")
    app.text_area(key="note_first").set_value("<b>good</b>")
    app.run()
    app.button(key="save_notes").click().run()
    assert not app.exception
    saved = json.loads((root / "notes.json").read_text())
    assert (saved["title"], saved["note"]) == ("Baseline", "<b>good</b>")
    assert app.dataframe[0].value["Title"].to_list() == ["Baseline"]


def test_delete_requires_the_name_of_the_run(make_run):
    """The button is enabled only once the run's own name is typed."""
    root = make_run("first")
    app = visit("runs")
    assert app.button(key="delete_sure").disabled
    app.text_input(key="delete_first").set_value("first").run()
    app.button(key="delete_sure").click().run()
    assert not app.exception
    assert not root.exists()
    assert "No runs yet" in texts(app)


def test_a_run_comes_back_from_its_zip(make_run, tmp_path):
    """Export, delete, import by path: the run exists again and is selected."""
    root = make_run("first")
    target = tmp_path / "elsewhere" / "first.zip"
    target.parent.mkdir()
    archive.export_run(root, target)
    moving.delete_run(root)
    app = visit("runs")
    app.text_input(key="import_path").set_value(str(target)).run()
    app.button(key="import").click().run()
    assert not app.exception
    assert app.dataframe[0].value["Run"].to_list() == ["first"]


def test_an_uploaded_name_never_becomes_a_path(make_run, tmp_path, monkeypatch):
    """The browser's file name is not trusted; a fixed one is used."""
    seen = []
    monkeypatch.setattr(archive, "import_run", lambda source, *_: seen.append(source) or source)
    app = visit("runs")
    app.file_uploader(key="import_file").upload("../../etc/evil.zip", b"PK").run()
    app.button(key="import").click().run()
    assert not app.exception
    assert seen[0].name == "upload.zip"


def test_names_and_messages_are_shown_as_written():
    """Markdown, HTML, LaTeX and Streamlit's own directives in a message stay text."""
    assert frame.escape("a*b <i> :red[x] $y$") == r"a\*b \<i\> \:red\[x\] \$y\$"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, words.NOTHING),
        (0.4, "0 s"),
        (59.6, "1 min"),
        (185, "3 min 5 s"),
        (7_800, "2 h 10 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_durations_have_at_most_two_units(seconds, text):
    """Long times need no seconds."""
    assert words.duration(seconds) == text


@pytest.mark.parametrize(
    ("step", "total_steps", "last_step", "text"),
    [
        (40, 100, 100, "40 of 100"),
        (7, 140, 14, "0 of 14"),
        (0, 0, 45, "0 of 45"),
        (3, 9, 0, "3 of 9"),
    ],
)
def test_the_progress_of_a_fold_is_written_in_rounds_or_epochs(step, total_steps, last_step, text):
    """Also of a fold that has not begun, and of a model whose last step is not known."""
    assert words.step_text(step, total_steps, last_step) == text


def test_problems_come_first_in_the_log():
    """Errors and warnings are picked out of the log, in their order."""
    lines = ["plan", "WARNING slow disk", "fold 0: score 0.9", "ValueError: no"]
    assert logs.problems(lines) == ["WARNING slow disk", "ValueError: no"]


def test_a_curve_has_one_line_per_fold_and_names_its_axes(make_run):
    """Axes carry names; the step axis ends at the last possible step, so it stands still."""
    reader = RunReader(make_run("first"))
    from trainer.store.event_log import curves

    points = curves(reader.events()).filter(model="lgbm")
    figure = charts.curve_chart(points, charts.CURVES["Score"], "round", 100, [50.0])
    resumed, lines = figure["layer"]
    assert lines["encoding"]["x"]["title"] == "Round"
    assert lines["encoding"]["x"]["scale"]["domain"] == [0, 100]
    assert lines["encoding"]["y"]["title"] == "Score of the fold (0 to 1)"
    assert resumed["mark"]["type"] == "rule"


def test_the_newest_point_is_described(make_run):
    """The curves have a text: fold, step and value of the newest point."""
    make_run("first", "running")
    assert "**Network, newest: fold 1, epoch 6: 0.8007**" in texts(visit())


def test_the_watcher_counts_what_pages_show_and_no_more(tmp_path):
    """A new event is counted; a heartbeat, a lock and a temporary file are not."""
    watcher = live.FolderWatcher()
    try:
        before = watcher.count(tmp_path)
        for name in ("lock", ".scores.json.1.tmp", "status.json"):
            (tmp_path / name).write_text("x")
        append_line(tmp_path / "metrics.jsonl", {"event": "start"})
        for _ in range(100):
            if watcher.count(tmp_path) > before:
                break
            live.time.sleep(0.02)
        live.time.sleep(0.1)
        counted = watcher.count(tmp_path) - before
    finally:
        watcher.stop()
    assert 1 <= counted <= 3  # created, modified, and modified once more on some systems


@pytest.mark.parametrize("vanish", [lambda root: root.rename(f"{root}-old"), Path.rmdir])
def test_a_folder_that_is_made_anew_is_watched_anew(tmp_path, vanish):
    """Start over renames a run's folder and begins another one of its name."""
    watcher, root = live.FolderWatcher(), tmp_path / "run"
    try:
        root.mkdir()
        watcher.count(root)
        vanish(root)
        root.mkdir()
        live.time.sleep(0.2)  # until its end is known
        before = watcher.count(root)
        append_line(root / "metrics.jsonl", {"event": "start"})
        for _ in range(100):
            if watcher.count(root) > before:
                break
            live.time.sleep(0.02)
        assert watcher.count(root) > before
    finally:
        watcher.stop()


def test_opening_the_dashboard_imports_neither_torch_nor_lightgbm(make_run):
    """The page opens within seconds, and the server holds no model memory."""
    make_run("first", "running")
    code = (
        "from streamlit.testing.v1 import AppTest\n"
        "app = AppTest.from_file('dashboard.py', default_timeout=30).run()\n"
        "assert not app.exception\n"
    )
    assert modules_after(code, ("torch", "lightgbm", "sklearn")) == []
