"""Studies with own code: a grid with and without it, continued and moved like any other."""

from __future__ import annotations

import pytest

from tests.support.forked_trainers import fork_server
from tests.support.own_code import JERK, TREES
from tests.support.run_digests import differences, digests_of
from tests.support.tiny_studies import base_words, outcomes
from trainer.store.reader import RunReader
from trainer.study.trials import study_root

FINISHED, REFUSED = 0, 2
LIGHT = ("models=lgbm", "folds.count=2")
GRID = ("--grid", f"use=none,{JERK}")
KILLED_IN_THE_SECOND_TRIAL = """
import os, signal
from trainer.study import trial_loop

before = trial_loop.execute
def execute(root, *arguments, **named):
    if root.name.endswith("-1"):
        os.kill(os.getpid(), signal.SIGKILL)
    return before(root, *arguments, **named)
trial_loop.execute = execute

from trainer.__main__ import main
main()
"""


def study(folder, source, *words, options=LIGHT, **how):
    words = ["study", "night", *words, *base_words(source, *options), "--state", folder / "state"]
    return fork_server().run(*words, **how)


@pytest.fixture(scope="module")
def grid(study_recordings, tmp_path_factory):
    """A folder with a finished study of two trials: without and with the jerk features."""
    folder = tmp_path_factory.mktemp("own")
    ended = study(folder, study_recordings, *GRID)
    assert ended.code == FINISHED, ended.words
    return folder


def features(folder, run):
    run_file = RunReader(folder / "state" / run).run_file()
    return run_file.use, (folder / "state" / run / "feature_importance.csv").read_text()


def test_a_grid_compares_runs_without_and_with_own_code(grid):
    """Both are ordinary runs; only the second has the file, its columns, and a copy of it."""
    use, importance = features(grid, "night-0")
    assert use == () and "acc.jerk.mean" not in importance
    use, importance = features(grid, "night-1")
    assert use[0].startswith("jerk_features.py ") and "acc.jerk.mean" in importance
    first, second = outcomes(grid / "state")
    assert first[1] == {"use": "none"} and second[1] == {"use": use[0]}
    assert (study_root(grid / "state", "night") / "code" / "jerk_features.py").exists()


def test_a_killed_study_continues_with_its_own_copy(grid, study_recordings, tmp_path):
    """Its name alone is enough, and the bits are those of the study that was not killed."""
    killed = study(tmp_path, study_recordings, *GRID, code=KILLED_IN_THE_SECOND_TRIAL)
    assert killed.was_killed
    done = fork_server().run("study", "night", "--state", tmp_path / "state")
    assert done.code == FINISHED, done.words
    assert outcomes(tmp_path / "state") == outcomes(grid / "state")
    for run in ("night-0", "night-1"):
        digests = [digests_of(folder / "state" / run, 2, ("lgbm",)) for folder in (grid, tmp_path)]
        assert differences(*digests) == []


def test_a_model_of_ones_own_is_part_of_every_trial(study_recordings, tmp_path):
    """--use adds the file to the base; its settings and weight are the base's."""
    options = ("models=lgbm,extra_trees", "blend.weights.extra_trees=0.2", "folds.count=2")
    words = ("--use", TREES, "--grid", "boosting.num_leaves=2,3")
    done = study(tmp_path, study_recordings, *words, options=options)
    assert done.code == FINISHED, done.words
    for run in ("night-0", "night-1"):
        scores = RunReader(tmp_path / "state" / run).scores()
        assert {"lgbm", "extra_trees", "blend"} <= set(scores.models)


def test_a_moved_study_has_its_code_with_it(grid, tmp_path):
    """Export and import copy it; approval stays with the hash, outside the archive."""
    target, state = tmp_path / "night.zip", tmp_path / "state"
    exported = fork_server().run("export", "night", target, "--state", grid / "state")
    assert exported.code == FINISHED, exported.words
    imported = fork_server().run("import", target, "--state", state)
    assert imported.code == FINISHED, imported.words
    assert outcomes(state) == outcomes(grid / "state")
    copy = study_root(state, "night") / "code" / "jerk_features.py"
    assert copy.read_bytes() == JERK.read_bytes()


def test_the_same_value_twice_and_two_files_of_one_name_are_refused(study_recordings, tmp_path):
    """Nothing is made."""
    twice = study(tmp_path, study_recordings, "--grid", f"use={JERK},{JERK}")
    assert twice.code == REFUSED and "each once" in twice.words
    other = tmp_path / "jerk_features.py"
    other.write_text("# another one\n")
    same_name = study(tmp_path, study_recordings, "--grid", f"use={JERK},{other}")
    assert same_name.code == REFUSED and "different names" in same_name.words
    assert not (tmp_path / "state" / "studies").exists()
