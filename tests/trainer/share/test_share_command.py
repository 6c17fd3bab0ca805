"""The command share: targets, studies, missing libraries, a second process."""

from __future__ import annotations

import shutil

import pytest

from tests.support.environments import make_environment, run_commands
from tests.support.forked_trainers import fork_server
from trainer.share.shared_run import only_one, read_run
from trainer.store.locks import acquire
from trainer.store.names import STUDIES
from trainer.study.definition import GridSetting, StudyFile
from trainer.study.trials import TrialRecord, write_study, write_trial

SHARED = ("mlflow", "mlflow-skinny", "mlflow-tracing", "tensorboard", "safetensors")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("wandb", "expected mlflow[:URI], tensorboard:DIR or huggingface:DIR, got 'wandb'"),
        ("tensorboard", "expected tensorboard:DIR, got no folder"),
        ("huggingface:", "expected huggingface:DIR, got no folder"),
    ],
)
def test_a_target_that_cannot_be_used_is_refused(tiny_run, target, message):
    """Exit code 2, and what can be given instead."""
    ended = fork_server().run("share", tiny_run, "--to", target)
    assert (ended.code, message in ended.words) == (2, True), ended.words


def test_a_missing_library_is_named_with_the_command_that_installs_it(tiny_run, tmp_path):
    """Nothing is written; all other commands work without these libraries."""
    python = make_environment(tmp_path / "venv", SHARED)
    state = ["--state", str(tiny_run.parent)]
    targets = (
        "mlflow:http://127.0.0.1:9",
        f"tensorboard:{tmp_path}/l",
        f"huggingface:{tmp_path}/m",
    )
    ended = run_commands(
        python,
        ["status", "tiny", *state],
        *(["share", "tiny", *state, "--to", target] for target in targets),
    )
    assert [code for code, _ in ended] == [0, 2, 2, 2], ended
    for library, (_, words) in zip(
        ("mlflow", "tensorboard", "safetensors"), ended[1:], strict=True
    ):
        assert f"No module named '{library}'" in words
        assert "pip install -r requirements-share.txt" in words
    assert {path.name for path in tmp_path.iterdir()} == {"venv"}


def test_the_name_of_a_study_stands_for_its_runs(tiny_run, two_moments, tmp_path):
    """One folder of event files for each; a folder of models holds one run."""
    pytest.importorskip("tensorboard")
    state = tmp_path / "state"
    for number, root in enumerate((tiny_run, two_moments[1])):
        shutil.copytree(root, state / f"night-{number}")
    study = StudyFile(
        name="night",
        base={},
        seeds=(42,),
        grid=(GridSetting(name="boosting.num_leaves", values=("2", "3", "4")),),
        num_trials=3,
        created_at=1.0,
    )
    write_study(state / STUDIES / "night", study)
    shutil.copy(tiny_run / "status.json", state / STUDIES / "night")
    for number, trial in enumerate(study.grid_trials()):
        record = TrialRecord(number=number, settings=trial, begun_at=1.0, state="complete")
        write_trial(state / STUDIES / "night", record)  # the third has no run yet
    words = ("share", "night", "--state", state, "--to")
    ended = fork_server().run(*words, f"tensorboard:{tmp_path / 'logs'}")
    assert ended.code == 0, ended.words
    assert {path.name for path in (tmp_path / "logs").iterdir()} == {"night-0", "night-1"}
    ended = fork_server().run(*words, f"huggingface:{tmp_path / 'models'}")
    assert (ended.code, "is a study" in ended.words) == (2, True), ended.words


def test_two_processes_do_not_share_a_run_at_once(tiny_run, tmp_path):
    """Each would add the same points; the second one is refused."""
    pytest.importorskip("tensorboard")
    words = ("share", tiny_run, "--to", f"tensorboard:{tmp_path / 'logs'}")
    lock = acquire(tiny_run / "share.lock")
    try:
        ended = fork_server().run(*words)
    finally:
        lock.release()
    assert (ended.code, "being shared already" in ended.words) == (2, True), ended.words
    assert not (tmp_path / "logs").exists()


def test_a_run_in_which_no_lock_can_be_written_is_shared(tiny_run, tmp_path):
    """As a mounted one is; here a folder has the lock's name."""
    root = shutil.copytree(tiny_run, tmp_path / "run")
    (root / "share.lock").unlink(missing_ok=True)
    (root / "share.lock").mkdir()
    run = read_run(root)
    with only_one(run), only_one(run):
        assert run.num_scored == 4
