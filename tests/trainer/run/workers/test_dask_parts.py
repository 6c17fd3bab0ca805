"""Recordings in parts on Dask: scheduler and workers as processes of their own, on loopback."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys

import psutil
import pytest

from tests.support.builders import make_table
from tests.support.dask_cluster import Cluster
from tests.support.tiny_runs import PROJECT, TINY, problems_of, tiny_config, train
from tests.support.worker_runs import Trainer, unequal
from trainer.models.monitor import Paused
from trainer.run.inputs import partitioned_dataset
from trainer.run.inputs import parts as run_parts
from trainer.run.inputs.parts import LocalPartMaker
from trainer.run.inputs.recordings import load_dataset
from trainer.run.workers.dask_cluster import connect
from trainer.run.workers.dask_parts import DaskPartMaker
from trainer.store.checksums import CheckedFolder
from trainer.store.names import RunPaths

pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """48 sequences, one file for each of 6 subjects."""
    folder = tmp_path_factory.mktemp("parts")
    for (subject,), rows in make_table().group_by("subject", maintain_order=True):
        rows.write_parquet(folder / f"{subject}.parquet")
    return folder


@pytest.fixture
def cluster(tmp_path):
    folder = tmp_path / "dask"
    folder.mkdir()
    cluster = Cluster(folder)
    cluster.add_workers(2)
    yield cluster
    cluster.close()


def maker_on(cluster, root, told):
    return DaskPartMaker(RunPaths(root), 1, cluster.engine, None, 1, lambda _: None, told.append)


def test_a_run_on_parts_on_two_dask_workers_has_the_bits_of_one_process(parts, cluster, tmp_path):
    """A task per part, then a fold per task: models, tables, scores, the feature cache."""
    whole, root = tmp_path / "whole", tmp_path / "state" / "run"
    assert train(whole, tiny_config(parts)) == "finished"
    trainer = Trainer(root, parts, "auto", "--engine", cluster.engine, settings=TINY)
    code, words = trainer.wait()
    assert code == 0, words
    assert f"parts on {cluster.engine}: 2 workers" in words
    assert f"folds on {cluster.engine}: 2 workers" in words
    assert unequal(root, whole) == []
    assert frames_of(root) == frames_of(whole)
    assert problems_of(root) == []


def frames_of(root):
    [path] = (root / "units").glob("frames_*.npy")
    return path.read_bytes()


def test_the_parts_of_a_lost_worker_are_made_by_another(parts, cluster, tmp_path):
    """One worker is held until it has parts, then killed; the others' rows are in their order."""
    expected = load_dataset(tiny_config(parts))
    expected.open_features(CheckedFolder(tmp_path / "one"), lambda: None)
    told, held = [], cluster.processes[1]
    maker = maker_on(cluster, tmp_path / "many", told)
    held.send_signal(signal.SIGSTOP)
    watcher = connect(cluster.engine, None, 1)

    def kill_when_both_have_parts():
        if held.poll() is None and all(watcher.client.processing().values()):
            held.kill()
            held.wait()

    dataset = load_dataset(tiny_config(parts), maker)
    dataset.open_features(CheckedFolder(tmp_path / "many"), kill_when_both_have_parts)
    maker.close()
    watcher.close()
    assert held.poll() == -signal.SIGKILL
    assert dataset.features.values_NF.tobytes() == expected.features.values_NF.tobytes()
    [text] = told
    assert text.startswith("parts: the worker at tcp://127.0.0.1:")
    assert text.endswith(" is gone. Its parts are computed by another")


FAULTS = """
import resource
import numpy as np
from trainer.run.machine import reuse_freed_memory

def count():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(200):
        np.ones(1 << 20, dtype=np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

first = count()
reuse_freed_memory()
print(first, count())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these thresholds")
def test_a_worker_under_a_nanny_uses_its_memory_again():
    """200 arrays of 1 MB: 256 pages each under the nanny's threshold, hardly any without it."""
    done = subprocess.run(
        [sys.executable, "-c", FAULTS],
        cwd=PROJECT,
        env=os.environ | {"MALLOC_TRIM_THRESHOLD_": "65536"},
        capture_output=True,
        check=True,
        text=True,
    )
    trimmed, reused = map(int, done.stdout.split())
    assert trimmed > 40_000
    assert reused < 4_000


def test_a_pause_stops_the_workers_and_what_is_kept_is_not_made_again(
    parts, cluster, tmp_path, monkeypatch
):
    """It does not wait for a worker that hangs; the next start may be without Dask."""
    monkeypatch.setattr(partitioned_dataset, "KEEP_BLOCK_S", 0.0)  # each part is kept
    root, told = tmp_path / "run", []
    kept = root / "units" / "features_from_part_000002.pkl"
    hung = psutil.Process(cluster.processes[1].pid)

    def stop_after_three():
        if kept.exists():
            hung.suspend()
            raise Paused

    maker = maker_on(cluster, root, told)
    with pytest.raises(Paused):
        load_dataset(tiny_config(parts), maker).open_features(CheckedFolder(root), stop_after_three)
    maker.close()
    assert hung.status() == psutil.STATUS_STOPPED
    assert not (root / "units" / "at_work").exists()
    made = []
    make = run_parts.make_part

    def make_part(task, poll):
        made.append(task.name)
        return make(task, poll)

    monkeypatch.setattr(run_parts, "make_part", make_part)
    dataset = load_dataset(tiny_config(parts), LocalPartMaker())
    dataset.open_features(CheckedFolder(root), lambda: None)
    assert made == [f"SUBJ_00000{number}.parquet" for number in (3, 4, 5)]
    whole = load_dataset(tiny_config(parts))
    whole.open_features(CheckedFolder(tmp_path / "whole"), lambda: None)
    assert dataset.features.values_NF.tobytes() == whole.features.values_NF.tobytes()
    assert told == []
