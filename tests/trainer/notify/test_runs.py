"""Notifications of real runs and studies: what is sent, once, and that nothing else changes."""

from __future__ import annotations

import shutil

import pytest

from tests.support.forked_trainers import fork_server
from tests.support.notification_server import SECRET, SILENT
from tests.support.run_folders import change_status
from tests.support.tiny_runs import TINY, assert_same_result, kill_at_step, train_elsewhere
from tests.support.tiny_studies import base_words
from trainer.notify import interruptions, messages
from trainer.notify.interruptions import Watch
from trainer.notify.notifier import Notifier
from trainer.run.control import NOTIFY_URLS
from trainer.store.reader import RunReader

FINISHED, REFUSED, PAUSED = 0, 2, 3


def run_words(root, source, *words):
    settings = [word for setting in TINY for word in ("--set", setting)]
    given = ["--run", root.name, "--state", root.parent, "--data", source, "--preset", "quick"]
    return ["train", *given, *settings, *words]


def files_with(secret, folder):
    """Return the files below a folder that contain a text."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return [path.name for path in paths if secret.encode() in path.read_bytes()]


@pytest.fixture
def root(tmp_path):
    return tmp_path / "state" / "first"


@pytest.fixture
def interrupted(tiny_run, root):
    """A run whose trainer was killed at its second start."""
    shutil.copytree(tiny_run, root)
    change_status(root, state="running", attempt=2, pid=2**22 - 1, process_started=1.0)
    return root


def test_a_killed_run_ends_the_same_beside_a_server_that_does_not_answer(
    server, root, tiny_source, tiny_run
):
    """Both messages arrive once; same bits and exit code; no file and no output has an address."""
    killed = kill_at_step("lgbm", 1, 3)
    assert train_elsewhere(root, tiny_source, prepare=killed) == -9
    resume = ["resume", "first", "--state", root.parent, "--notify", server.address()]
    environment = {NOTIFY_URLS: server.address(f"{SILENT}?rto=0.5")}
    ended = fork_server().run(*resume, environment=environment)
    assert ended.code == FINISHED, ended.words
    assert_same_result(root, tiny_run)
    part = RunReader(root).scores().models["blend"].all_sensors
    score = f"Score {part.mean:.4f} ± {part.std:.4f}, mean of 2 of 2 folds."
    finished, (title, text, kind) = sorted(server.messages)
    assert finished == ("Run first finished", score, "success")
    assert (title, kind) == ("Run first was interrupted", "warning")
    assert text.startswith("At lgbm fold 1")  # with the step, if a heartbeat came before the kill
    assert text.endswith(". Everything up to the last checkpoint is kept.")
    assert "notification not sent: address 2 (json) (refused or not reached)" in ended.words
    assert SECRET not in ended.words
    assert files_with("boosting", root.parent) != []  # the search finds what is there
    assert files_with(SECRET, root.parent) == []


def test_a_pause_is_sent_where_the_time_limit_caused_it(server, root, tiny_source, make_run):
    """A pause that the user requested is no news."""
    words = run_words(root, tiny_source, "--notify", server.address(), "--time-limit", "0s")
    ended = fork_server().run(*words)
    assert (ended.code, server.titles()) == (PAUSED, ["Run first paused by its time limit"])
    assert messages.ended(make_run("second", "paused")) is None


def test_a_failure_is_sent_without_paths(server, root, tmp_path):
    """The type of the error and the place; its text may name folders of this machine."""
    missing = tmp_path / "nothing.csv"
    ended = fork_server().run(*run_words(root, missing, "--notify", server.address()))
    assert ended.code == REFUSED
    text = "DataError at stage data. Its log has the reason."
    assert server.messages == [("Run first failed", text, "failure")]


def test_a_refused_start_is_not_sent(server, tiny_run, tmp_path):
    """Nothing has happened to the run."""
    shutil.copytree(tiny_run, tmp_path / "tiny")
    words = ["train", "--run", "tiny", "--state", tmp_path, "--set", "seed=7"]
    assert fork_server().run(*words, "--notify", server.address()).code == REFUSED
    assert server.titles() == []


def test_an_unknown_address_is_refused_before_anything_is_done(root, tiny_source):
    ended = fork_server().run(*run_words(root, tiny_source, "--notify", f"nothing://{SECRET}"))
    assert ended.code == REFUSED
    assert "--notify: expected addresses that Apprise knows" in ended.words
    assert SECRET not in ended.words
    assert not root.exists()


def test_an_interruption_is_sent_once_by_two_dashboards_and_a_start(
    server, interrupted, monkeypatch
):
    """Whoever claims it first; at the second look, so that no moment of a start is taken for it."""
    monkeypatch.setattr(Watch, "_start", lambda self: None)
    watches = [Watch(interrupted.parent, [server.address()]) for _ in range(2)]
    for watch in watches:
        watch.look()
    assert server.titles() == []
    for watch in (*watches, *watches):
        watch.look()
    assert server.titles() == ["Run first was interrupted"]
    notifier = Notifier((server.address(),))
    interruptions.notify_at_start(interrupted, notifier)
    assert notifier._sending == []


def test_the_next_interruption_of_a_run_is_news_again(interrupted):
    """The mark is of one attempt, and one mark is kept."""
    assert [interruptions.claim(interrupted) for _ in range(2)] == [True, False]
    change_status(interrupted, attempt=3)
    assert [interruptions.claim(interrupted) for _ in range(2)] == [True, False]
    assert [path.name for path in interrupted.glob("*.notified")] == ["interruption_3.notified"]


def test_a_dashboard_reports_no_old_or_foreign_interruption(server, interrupted, monkeypatch):
    """Of another machine, such as an import; unless the dashboard has seen it active."""
    monkeypatch.setattr(Watch, "_start", lambda self: None)
    change_status(interrupted, host="elsewhere")
    watch = Watch(interrupted.parent, [server.address()])
    for _ in range(2):
        watch.look()
    assert list(interrupted.glob("*.notified")) == []
    watch._active.add(interrupted)
    for _ in range(2):
        watch.look()
    assert server.titles() == ["Run first was interrupted"]


def test_the_addresses_of_a_session_get_the_interruption_of_their_run(
    server, interrupted, monkeypatch
):
    """Also where the dashboard itself has no address."""
    monkeypatch.setattr(Watch, "_start", lambda self: None)
    watch = Watch(interrupted.parent, [])
    watch.add(interrupted, [server.address()])
    for _ in range(2):
        watch.look()
    assert server.titles() == ["Run first was interrupted"]


def test_a_study_sends_each_new_best_and_its_end_and_nothing_of_its_runs(
    server, study_recordings, tmp_path
):
    """The first trial is the best so far; a killed study is one interruption, not two."""
    words = ["study", "night", "--grid", "boosting.num_leaves=2,5", "--state", tmp_path / "state"]
    options = base_words(study_recordings, "models=lgbm", "folds.count=2")
    ended = fork_server().run(*words, *options, "--notify", server.address())
    assert ended.code == FINISHED, ended.words
    titles = sorted(server.titles())
    bests = [title for title in titles if title.startswith("Study night: new best score 0.")]
    assert titles == [*bests, "Study night finished"] or titles == ["Study night finished", *bests]
    assert len(bests) in (1, 2)
    study = tmp_path / "state" / "studies" / "night"
    for folder in (study, tmp_path / "state" / "night-1"):
        change_status(folder, state="running", pid=2**22 - 1, process_started=1.0)
    watch = Watch(tmp_path / "state", ())
    watch._addresses = (server.address(),)
    for _ in range(2):
        watch.look()
    assert server.titles()[len(titles) :] == ["Study night was interrupted"]
    assert messages.interrupted(study).text.startswith("At trial 2 of 2. Everything up to")
