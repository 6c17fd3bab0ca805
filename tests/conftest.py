"""Fixtures that several rooms share: one real, finished, tiny run, made once per session."""

from __future__ import annotations

import pytest

from tests.support import run_folders
from tests.support.forked_trainers import fork_server
from tests.support.tiny_runs import tiny_config, train, write_source
from tests.support.tiny_studies import search_words, study_source
from tests.support.worker_runs import ENDURING, LONGER


@pytest.fixture(scope="session", autouse=True)
def own_approvals(tmp_path_factory):
    """Approvals of own code in a folder of this session, not in the home of the user."""
    path = tmp_path_factory.mktemp("approvals") / "private" / "approved.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GESTURE_APPROVALS", str(path))
        yield path


@pytest.fixture(scope="session")
def tiny_source(tmp_path_factory):
    """The recordings of the tiny run: a Parquet file, 48 sequences of 6 subjects, all sensors."""
    return write_source(tmp_path_factory.mktemp("recordings"))


@pytest.fixture(scope="session")
def tiny_run(tiny_source, tmp_path_factory):
    """A run folder that the trainer finished without a break; copy it before changing anything."""
    root = tmp_path_factory.mktemp("state") / "tiny"
    assert train(root, tiny_config(tiny_source)) == "finished"
    return root


@pytest.fixture(scope="session")
def longer_run(tiny_source, tmp_path_factory):
    """A run that is long enough to be interrupted, done fold by fold in this process."""
    root = tmp_path_factory.mktemp("state") / "longer"
    assert train(root, tiny_config(tiny_source, *LONGER)) == "finished"
    return root


@pytest.fixture(scope="session")
def enduring_run(tiny_source, tmp_path_factory):
    """A run of half a minute for tests that are run by hand, done fold by fold in this process."""
    root = tmp_path_factory.mktemp("state") / "enduring"
    assert train(root, tiny_config(tiny_source, *ENDURING)) == "finished"
    return root


@pytest.fixture(scope="session")
def study_recordings(tmp_path_factory):
    """The recordings of a tiny study: 32 sequences of 4 subjects, two groups of sensors."""
    return study_source(tmp_path_factory.mktemp("study-recordings"))


@pytest.fixture(scope="session")
def searched(study_recordings, tmp_path_factory):
    """The state folder of a search of 6 trials that was never interrupted."""
    folder = tmp_path_factory.mktemp("searched")
    ended = fork_server().run(*search_words(folder, study_recordings))
    assert ended.code == 0, ended.words
    return folder / "state"


@pytest.fixture
def cluster(tmp_path):
    """A Dask scheduler of its own, without workers."""
    from tests.support.dask_cluster import Cluster

    folder = tmp_path / "dask"
    folder.mkdir()
    cluster = Cluster(folder)
    yield cluster
    cluster.close()


@pytest.fixture
def state_dir(tmp_path, monkeypatch):
    """The state folder that the pages show, empty."""
    folder = tmp_path / "state"
    folder.mkdir()
    monkeypatch.setenv("CKPT_DIR", str(folder))
    return folder


@pytest.fixture
def make_run(state_dir):
    """Write run folders into the test's own state_dir; locks are held until the test ends."""
    locks = []

    def make(*args, **kwargs):
        root, lock = run_folders.make_run(state_dir, *args, **kwargs)
        locks.append(lock)
        return root

    yield make
    for lock in locks:
        if lock is not None:
            lock.release()
