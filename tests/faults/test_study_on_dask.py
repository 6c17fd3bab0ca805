"""A study on Dask's workers that loses a worker and its coordinator, and is paused: equal bits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.support.run_digests import differences, digests_of
from tests.support.tiny_runs import PROJECT
from tests.support.tiny_studies import base_words, outcomes, study_source
from tests.support.worker_runs import wait_for
from trainer.store.reader import RunReader, list_runs
from trainer.store.run_state import derive_state
from trainer.study import launch
from trainer.study.trials import study_root

pytest.importorskip("distributed")

PAUSED = 3
SETTINGS = ("models=lgbm,torch", "folds.count=2", "boosting.rounds=600", "network.epochs=20")


def start(folder, source, *words):
    words = ["study", "night", "--grid", "boosting.num_leaves=2,3", "--seeds", "42,43", *words]
    words += [*base_words(source, *SETTINGS), "--state", folder / "state"]
    (folder / "log").parent.mkdir(exist_ok=True)
    with (folder / "log").open("ab") as log:
        command = [sys.executable, "-m", "trainer", *map(str, words)]
        return subprocess.Popen(command, cwd=PROJECT, stdout=log, stderr=log)


def at_work(folder):
    """Return the status of each run that is being trained and has a fold begun."""
    derived = [derive_state(run) for run in list_runs(folder / "state")]
    return [one.status for one in derived if one.state == "running" and one.status.step > 2]


@pytest.mark.faults  # takes a minute or two
def test_a_study_on_dask_that_is_cut_off_has_the_bits_of_one_process(cluster, tmp_path):
    """Two runs at once; one loses its worker, then the study its coordinator, then it is paused."""
    source = study_source(tmp_path)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    assert start(whole, source, "--workers", "1").wait(600) == 0, (whole / "log").read_text()
    cluster.add_workers(2)
    engine = ("--engine", cluster.engine)
    first = start(killed, source, *engine)
    wait_for(lambda: len(at_work(killed)) == 2)
    os.kill(at_work(killed)[0].pid, signal.SIGKILL)
    cluster.add_worker()
    wait_for(lambda: "its worker is gone" in (killed / "log").read_text())
    wait_for(lambda: len(at_work(killed)) == 2)
    first.kill()
    first.wait()
    second = start(killed, source, *engine)
    began = time.time()
    wait_for(lambda: any(one.heartbeat_at > began + 5 for one in at_work(killed)))
    root = study_root(killed / "state", "night")
    if derive_state(RunReader(root)).is_active:
        launch.pause(root, "the test")
    assert second.wait(600) in (0, PAUSED), (killed / "log").read_text()
    assert at_work(killed) == []
    assert start(killed, source, *engine).wait(600) == 0, (killed / "log").read_text()
    assert outcomes(killed / "state") == outcomes(whole / "state")
    for run in list_runs(whole / "state"):
        digests = [digests_of(folder / "state" / run.name) for folder in (killed, whole)]
        assert differences(*digests) == [], run.name
