"""Files of own code for the tests, and runs that use them.

In: a folder. Out: Python files; a configuration and a run made with them, without the command line.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.tiny_runs import PROJECT, TINY
from trainer.config import make_config
from trainer.models import registry
from trainer.own_code import approvals
from trainer.own_code.code_files import read_named
from trainer.own_code.loader import load
from trainer.run.execution import execute
from trainer.run.pipeline import Limits

EXAMPLES = PROJECT / "examples"
JERK, TRANSFORMER, TREES = (
    EXAMPLES / name for name in ("jerk_features.py", "small_transformer.py", "extra_trees.py")
)
ALL_THREE = (
    "models=lgbm,torch,extra_trees",
    "blend.weights.extra_trees=0.2",
    "network.architecture=small_transformer",
)
FAVOURITE = ("models=lgbm,favourite", "blend.weights.favourite=1")
CONSTANT = """
import numpy as np
from trainer.extend import feature_block, TableModel, model

with open({marker!r}, "a") as file:
    file.write("x")

@feature_block("constant", {{"acc.own.value": "{words}"}})
def constant(signals, axis):
    return {{"acc.own.value": np.full(len(signals.offsets) - 1, {value})}}

@model
class Favourite(TableModel):
    name, title = "favourite", "{title}"

    def fit_table(self, values_NF, class_idx, settings, seed):
        share_P = np.bincount(class_idx) * 0.0
        share_P[{gesture}] = 1.0
        return {{"share_P": share_P}}

    def predict_table(self, packed, values_NF):
        return np.tile(packed["share_P"], (len(values_NF), 1))
"""


def write_constant(
    folder, marker, value=1.0, gesture=0, title="Favourite", words="always the same"
):
    """Write a file that leaves a mark whenever it is executed; its model predicts one gesture."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "constant.py"
    path.write_text(
        CONSTANT.format(marker=str(marker), value=value, gesture=gesture, title=title, words=words)
    )
    return path


def num_executed(marker):
    """Return how often the files with this marker were executed."""
    return len(marker.read_text()) if marker.exists() else 0


def train_own(root, source, paths, *assignments, limits=None):
    """Train a run with own code in this process."""
    files = read_named([Path(path) for path in paths])
    approvals.approve({file.sha256: file.name for file in files}, "test")
    registry.use_own(load(files, approvals.approved()))
    options = {"data.source": str(source), "use": [file.entry for file in files]}
    config = make_config("quick", options, [*TINY, *assignments], environment={})
    return execute(root, config, limits or Limits(), lambda _: None, code=files)


def train_theirs(folder, source, marker):
    """Train a run with own code as another user, who has approved it elsewhere; return it."""
    path = write_constant(folder / "ideas", marker)
    root = folder / "state" / "own"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GESTURE_APPROVALS", str(folder / "theirs" / "approved.json"))
        assert train_own(root, source, [path], *FAVOURITE) == "finished"
    return root
