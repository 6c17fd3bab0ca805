"""Tiny studies: a search with a setting that makes trials clearly worse, and what must be equal.

In: a folder. Out: the words of the command line, digests of a study and of all its runs.
"""

from __future__ import annotations

import json

from tests.support.run_digests import digest, digests_of
from tests.support.tiny_runs import TINY, write_source
from trainer.study.trials import StudyPaths, read_study, read_trials, run_names, study_root

NUM_FOLDS = 3
SEARCH = """
[boosting.min_data_in_leaf]
choices = [1, 1000]

[boosting.learning_rate]
low = 0.05
high = 0.5
log = true

[boosting.num_leaves]
low = 2
high = 8
"""
SETTINGS = (
    *TINY,
    f"folds.count={NUM_FOLDS}",
    "boosting.rounds=4",
    "boosting.num_leaves=3",
    "network.epochs=1",
    "network.save_interval_s=0.000001",  # a checkpoint after every step
    "blend.torch_weight=0.05",  # the searched settings are LightGBM's
)
TIMES = ("datetime_start", "datetime_complete")


def study_source(folder):
    """Write 32 sequences of 4 subjects with two groups of sensors; return the path."""
    return write_source(folder, num_subjects=4, length=8, groups=("acc", "thm"))


def base_words(source, *assignments):
    """Return the options of ``train`` for the base configuration of a tiny study."""
    words = ["--preset", "quick", "--data", source]
    for assignment in (*SETTINGS, *assignments):
        words += ["--set", assignment]
    return words


def search_words(folder, source, name="night", trials=6, *assignments):
    """Return the words that begin a search; the search file is written into the folder."""
    path = folder / "search.toml"
    path.write_text(SEARCH)
    words = ["study", name, "--search", path, "--trials", trials, "--seeds", "42,43"]
    return [*words, *base_words(source, *assignments), "--state", folder / "state"]


def outcomes(state_dir, name="night"):
    """Return number, settings, state, fold scores and value of each trial."""
    return [
        (trial.number, trial.settings, trial.state, trial.steps, trial.value)
        for trial in read_trials(study_root(state_dir, name))
    ]


def study_digests(state_dir, name="night"):
    """Return what a study and its runs consist of, without times."""
    root = study_root(state_dir, name)
    study = read_study(root)
    found = {f"trial {each[0]}": repr(each) for each in outcomes(state_dir, name)}
    journal = StudyPaths(root).journal.read_text().splitlines()
    lines = [json.loads(line) for line in journal]
    found["journal"] = digest(
        *(repr({key: line[key] for key in line if key not in TIMES}) for line in lines)
    )
    for trial in read_trials(root):
        for run in run_names(study, trial.number):
            folder = state_dir / run
            if folder.exists():
                digests = digests_of(folder, study.base.folds.count, study.base.models)
                found |= {f"{run}: {key}": value for key, value in digests.items()}
    return found | {"folders": repr(sorted(path.name for path in state_dir.iterdir()))}
