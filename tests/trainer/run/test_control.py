"""Control: a trainer that outlives who started it, pauses when asked, and is never there twice."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.support.fresh_python import modules_after
from tests.support.tiny_runs import PROJECT, tiny_config, train
from trainer import __main__ as command_words
from trainer.cli import training
from trainer.config import make_config
from trainer.models.boosting.checkpoint import segment_end
from trainer.run import RefusedError, control
from trainer.run.fold_job import FoldMonitor
from trainer.run.pipeline import Limits
from trainer.run.transfer import moving
from trainer.store.locks import acquire
from trainer.store.process import ProcessIdentity, liveness
from trainer.store.reader import RunReader
from trainer.store.records import Notes
from trainer.store.run_state import derive_state

PATIENCE_S = 60.0  # a loaded machine


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state"


@pytest.fixture
def finished(tiny_run, state):
    """A finished run that a test may change."""
    return shutil.copytree(tiny_run, state / "tiny")


@pytest.fixture
def endless(tiny_source):
    """The configuration of a run that does not end while a test looks at it."""
    many = 50_000
    return tiny_config(tiny_source, "models=lgbm", f"boosting.rounds={many}")


@pytest.fixture
def launched(state):
    """End what a test launched, by its own pid, whatever happened in the test."""
    yield
    for status in filter(None, (RunReader(root).status() for root in state.iterdir())):
        identity = ProcessIdentity(status.host, status.boot_id, status.pid, status.process_started)
        if liveness(identity) == "alive" and status.pid != os.getpid():
            os.kill(status.pid, signal.SIGKILL)
    control.reap()


def wait_for(condition, what):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def wait_for_state(root, wanted, attempt=1):
    reader = RunReader(root)

    def is_there():
        derived = derive_state(reader)
        return derived.state == wanted and derived.status and derived.status.attempt == attempt

    wait_for(is_there, f"{wanted}, not {derive_state(reader)}")
    return derive_state(reader)


def wait_for_rounds(root, num_segments=1):
    def count():
        return sum(event.event == "segment" for event in RunReader(root).events())

    wait_for(lambda: count() >= num_segments, "rounds")


# The command


def test_the_command_has_the_folds_file_instead_of_its_settings(state):
    """The path and the permission; no hash and no number of folds, which follow from the file."""
    settings = {"folds.count": 3, "folds.file_sha256": "a" * 64, "folds.shared_subjects": True}
    config = make_config("quick", {**settings, "seed": 7}, environment={})
    words = control.command_line(state, "own", config, Path("/data/my folds.csv"))
    assert words[words.index("--preset") :] == [
        *("--preset", "quick", "--folds-file", "/data/my folds.csv", "--allow-shared-subjects"),
        *("--set", "seed=7"),
    ]


# A real trainer


@pytest.mark.usefixtures("launched")
def test_a_trainer_outlives_who_started_it_and_pauses_when_asked(state, endless):
    """Found again by lock and status; while it works nobody else gets the run."""
    root = state / "first"
    state.mkdir()
    (state / "config.json.txt").write_text(endless.model_dump_json())
    starter = (
        "import sys; from pathlib import Path; from trainer.config import Config\n"
        "from trainer.run.control import start\n"
        "state = Path(sys.argv[1])\n"
        "config = Config.model_validate_json((state / 'config.json.txt').read_bytes())\n"
        "print(start(state, 'first', config))"
    )
    words = [sys.executable, "-c", starter, str(state)]
    pid = int(subprocess.run(words, cwd=PROJECT, capture_output=True, check=True).stdout)
    (state / "config.json.txt").unlink()
    wait_for_rounds(root)
    derived = wait_for_state(root, "running")
    assert derived.status.pid == pid
    assert os.getsid(pid) == pid != os.getsid(0)

    for refused in (
        lambda: train(root, endless),
        lambda: control.resume(root),
        lambda: control.start(state, "first", endless),
        lambda: moving.start_over(root),
    ):
        with pytest.raises(RefusedError, match="run first: "):
            refused()
    with pytest.raises(RefusedError, match=f"held by the trainer with pid {pid} on .* since 2"):
        train(root, endless)
    assert derive_state(RunReader(root)).state == "running"

    command = control.send_command(root, "pause", "the test")
    derived = wait_for_state(root, "paused")
    assert derived.reason == "Paused: requested by the test."
    assert derived.status.acknowledged_command == command.id
    assert derived.status.acknowledged_at >= command.asked_at
    wait_for(lambda: not psutil.pid_exists(pid) or _is_zombie(pid), "the process has ended")


def _is_zombie(pid):
    return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.usefixtures("launched")
def test_a_paused_run_is_resumed_and_a_killed_trainer_is_seen_at_once(state, endless, monkeypatch):
    """Resumed: the old pause is not open again. Killed: interrupted, not stalled; it goes on."""
    root = state / "first"
    monkeypatch.setenv("WORKERS", "1")  # else a busy machine fits the second fold first
    save = FoldMonitor.save

    def save_and_pause(monitor, checkpoint):
        save(monitor, checkpoint)
        monitor.stop.reason = "the test"

    monkeypatch.setattr(FoldMonitor, "save", save_and_pause)
    assert train(root, endless) == "paused"
    control.send_command(root, "pause", "the test")

    pid = control.resume(root)
    wait_for_rounds(root, 3)
    derived = wait_for_state(root, "running", attempt=2)
    assert derived.status.pid == pid
    os.kill(pid, signal.SIGKILL)
    derived = wait_for_state(root, "interrupted", attempt=2)
    assert derived.can_resume and not derived.is_active

    assert train(root, endless) == "paused"
    unit = RunReader(root).fold_records()[0]
    first, second = unit.resumed_at
    assert (first, unit.step) == (2, segment_end(second, endless.boosting))


# A run folder


def test_a_second_trainer_is_refused_while_the_first_has_not_said_a_word(state, tiny_source):
    """The lock alone tells, before there is a status to name anybody."""
    held = acquire(state / "first" / "lock")
    with pytest.raises(RefusedError, match="another trainer has just begun with it"):
        train(state / "first", tiny_config(tiny_source))
    held.release()


def test_of_two_starts_at_once_the_loser_does_not_clear_away_the_winners_folder(
    state, tiny_source, monkeypatch
):
    """The folder appears between its look and its try for the lock."""

    def lose(root, *_, **__):
        acquire(root / "lock").release()
        raise RefusedError("held by another trainer")

    monkeypatch.setattr("trainer.run.execution.execute", lose)
    monkeypatch.delenv(control.DETACHED, raising=False)
    with pytest.raises(RefusedError):
        training.train(state, "first", "quick", {}, [], Limits(), False)
    assert (state / "first" / "lock").exists()


def test_resume_0_starts_the_run_over(finished, tiny_source, monkeypatch, capsys):
    """The environment name of the notebook family; the old run is kept."""
    monkeypatch.setenv("RESUME", "0")
    monkeypatch.delenv(control.DETACHED, raising=False)
    options = {"data.source": str(tiny_source), "models": ["lgbm"], "folds.count": 2}
    words = ["boosting.rounds=2", "boosting.segment_rounds=2"]
    training.train(finished.parent, "tiny", "quick", options, words, Limits(), False)
    assert "RESUME=0: the old run is now" in capsys.readouterr().out
    assert RunReader(finished).run_file().boosting.rounds == 2
    assert RunReader(finished.with_name("tiny.old-1")).run_file().boosting.rounds == 6
    assert RunReader(finished).status().attempt == 1


def test_what_cannot_be_resumed_is_refused_with_the_reason(finished, state):
    """Finished; never configured."""
    with pytest.raises(RefusedError, match="run tiny: finished"):
        control.resume(finished)
    with pytest.raises(RefusedError, match="ended before its configuration was written"):
        control.resume(state / "nothing")
    assert not (state / "nothing").exists()


@pytest.mark.parametrize("name", ["Tiny", "../tiny", "", "a b", ".tiny", "x" * 65])
def test_a_name_that_cannot_be_used_is_refused(state, name):
    """And nothing is made."""
    with pytest.raises(RefusedError, match="run name: expected 1 to 64 of a-z"):
        control.start(state, name, make_config(environment={}))
    assert not state.exists()


def test_a_name_that_is_taken_is_refused(finished, state):
    """The run that is there is not gone on with by mistake."""
    with pytest.raises(RefusedError, match="run tiny: there already"):
        control.start(state, "tiny", make_config(environment={}))


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("watch", ["watch-1", "watch-2"]),
        ("simulated:20", ["simulated-1", "simulated-2"]),
        ("/data/My Recordings.v2.csv", ["my-recordings-v2-1", "my-recordings-v2-2"]),
        ("C:\\data\\train.parquet", ["train-1", "train-2"]),
        ("../örtlich/", ["rtlich-1", "rtlich-2"]),
        ("ü", ["run-1", "run-2"]),
    ],
)
def test_the_next_name_is_free_and_can_be_used(state, source, names):
    """<source>-<n>, whatever the source is called."""
    for name in names:
        assert control.next_run_name(state, source) == name
        (state / control.check_run_name(name)).mkdir(parents=True)


def test_a_command_is_written_whole_and_each_has_an_id_of_its_own(finished):
    """Who, when, what; the trainer answers by the id."""
    first = control.send_command(finished, "pause", "dashboard", "fold")
    second = control.send_command(finished, "run", "dashboard")
    assert RunReader(finished).command() == second
    assert (first.command, first.after, first.asked_by) == ("pause", "fold", "dashboard")
    assert first.id != second.id


def test_notes_are_kept(finished):
    """Title and text come back as people wrote them."""
    control.write_notes(finished, Notes(title="Zweiter Versuch ✋", note="mit\nUmbruch"))
    assert RunReader(finished).notes() == Notes(title="Zweiter Versuch ✋", note="mit\nUmbruch")


# The launch


@pytest.fixture
def launches(monkeypatch):
    """Catch what would be launched: words and environment."""
    caught = []

    class Process:
        pid = 1

        def __init__(self, words, env, **options):
            caught.append((words, env, options))

    monkeypatch.setattr(control.subprocess, "Popen", Process)
    monkeypatch.setattr(control, "_CHILDREN", {})
    return caught


@pytest.mark.parametrize(
    "config",
    [
        make_config(environment={}),
        make_config("quick", environment={}),
        make_config(
            "quick",
            {"data.source": "my data/train.csv", "models": ["torch"], "seed": 7},
            ["network.conv_channels=4,8", "frames.length=64", "boosting.learning_rate=0.03"],
            environment={"FAIL_IF_TORCH_MISSING": "1", "ENSEMBLE_W_LGBM": "0.5"},
        ),
        make_config("full", {}, ["data.mirror_left_handers=false", "blend.fold_weights=score"], {}),
    ],
    ids=["default", "quick", "much changed", "switches"],
)
def test_what_is_started_is_what_was_chosen_whatever_the_environment_says(
    state, launches, monkeypatch, config
):
    """The launched words, read as the command line reads them, give the same configuration."""
    for name, value in (
        *(("USE_TORCH", "0"), ("ENSEMBLE_W_TORCH", "0.9"), ("MODEL_PATH", "/nowhere")),
        *(("RESUME", "0"), ("RESUME_TORCH", "0"), ("FAIL_IF_TORCH_MISSING", "1")),
    ):
        monkeypatch.setenv(name, value)
    control.start(state, "first", config)
    words, environment, options = launches[0]
    assert words[:5] == [sys.executable, "-u", "-m", "trainer", "train"]
    assert options["start_new_session"] is True
    assert environment[control.DETACHED] == "1"
    assert environment["PYTHONPATH"].split(os.pathsep)[0] == str(PROJECT)
    chosen = {}
    monkeypatch.setattr(command_words.training, "train", lambda **options: chosen.update(options))
    monkeypatch.setattr(command_words.os, "environ", environment)
    command_words.app(words[4:], standalone_mode=False)
    assert (chosen["state_dir"], chosen["name"]) == (state.resolve(), "first")
    assert chosen["limits"].restarted_models == frozenset()
    again = make_config(chosen["preset"], chosen["options"], chosen["assignments"], environment)
    assert again == config


def test_resuming_launches_the_resume_command_and_takes_an_old_pause_back(finished, launches):
    """So that the trainer that comes does not find a pause."""
    said = json.loads((finished / "status.json").read_bytes()) | {"state": "paused"}
    (finished / "status.json").write_text(json.dumps(said))
    control.send_command(finished, "pause", "dashboard")
    control.resume(finished)
    words, _, _ = launches[0]
    state = str(finished.parent.resolve())
    assert words[2:] == ["-m", "trainer", "resume", "tiny", "--state", state]
    assert RunReader(finished).command().command == "run"


def test_the_exit_code_of_a_trainer_that_is_ending_is_waited_for(monkeypatch):
    """Its lock is free a moment before the system can tell how it ended."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(0.3); exit(5)"])
    monkeypatch.setitem(control._CHILDREN, child.pid, child)
    assert control.exit_code(child.pid) is None
    assert control.exit_code(child.pid, is_ending=True) == 5


def test_opening_control_does_not_load_the_models_libraries():
    """A dashboard that only starts and pauses stays quick."""
    names = ("torch", "lightgbm", "polars", "streamlit")
    assert modules_after("import trainer.run.control", names) == []


def test_a_failure_is_recorded_with_its_traceback_and_raised(state, tiny_source, monkeypatch):
    """The last line in the status, the whole in the log."""

    def broken(*_):
        raise ZeroDivisionError("on purpose")

    monkeypatch.setattr("trainer.run.fold_fitting.run_fold", broken)
    with pytest.raises(ZeroDivisionError):
        train(state / "first", tiny_config(tiny_source, "models=lgbm"))
    derived = derive_state(RunReader(state / "first"))
    assert (derived.state, derived.reason) == ("failed", "ZeroDivisionError: on purpose")
    log = "\n".join(RunReader(state / "first").log_tail())
    assert "Traceback (most recent call last)" in log and "in broken" in log
