"""One uninterrupted search, made once per session by the command line."""

from __future__ import annotations

import pytest

from tests.support.forked_trainers import fork_server
from tests.support.tiny_studies import search_words, study_source


@pytest.fixture(scope="session")
def study_recordings(tmp_path_factory):
    return study_source(tmp_path_factory.mktemp("study-recordings"))


@pytest.fixture(scope="session")
def searched(study_recordings, tmp_path_factory):
    """The state folder of a search of 6 trials that was never interrupted."""
    folder = tmp_path_factory.mktemp("searched")
    ended = fork_server().run(*search_words(folder, study_recordings))
    assert ended.code == 0, ended.words
    return folder / "state"
