"""``python -m trainer check``: what it accepts, what it refuses, and which line it names."""

from __future__ import annotations

import textwrap

import pytest

from tests.support.forked_trainers import fork_server
from tests.support.own_code import JERK, TRANSFORMER, TREES
from tests.support.tiny_runs import TINY
from trainer.store.reader import RunReader

BLOCK = """
import time
import numpy as np
from trainer.extend import feature_block

calls = []

@feature_block("mine")
def mine(signals, axis):
    num = len(signals.offsets) - 1
    acc_T = np.nan_to_num(signals.motion_TS[:, 0])
    {body}
"""
NETWORK = """
import numpy as np
import torch
from torch import nn
from trainer.extend import network

@network("mine")
class Mine(nn.Module):
    def __init__(self, num_channels, num_classes, dropout):
        super().__init__()
        self.head = nn.Linear(num_channels, num_classes)

    def forward(self, frames, lengths):
        {body}
"""
MODEL = """
import numpy as np
from trainer.extend import TableModel, model

@model
class Mine(TableModel):
    name, title = "mine", "Mine"

    def fit_table(self, values_NF, class_idx, settings, seed):
        {fit}

    def predict_table(self, packed, values_NF):
        {predict}
"""
EQUAL = "return np.full((len(values_NF), 3), 1 / 3)"


def check(path, environment=None):
    return fork_server().run("check", path, environment=environment)


def check_text(tmp_path, text):
    path = tmp_path / "mine.py"
    path.write_text(textwrap.dedent(text))
    return check(path)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (JERK, "feature block jerk: 3 columns"),
        (TRANSFORMER, "network small_transformer: the same bits"),
        (TREES, "model extra_trees: the same bits"),
    ],
)
def test_the_examples_pass(path, words):
    """Exit code 0 and a line for each part."""
    done = check(path)
    assert (done.code, words in done.words) == (0, True), done.words


def test_a_check_approves_nothing(tmp_path):
    """Only ``train --use`` and ``approve`` do."""
    mine = tmp_path / "private" / "approved.json"
    assert check(JERK, {"GESTURE_APPROVALS": str(mine)}).code == 0
    assert not mine.exists()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('return {"acc.own.x": acc_T}', "expected 24 numbers, one for each sequence"),
        ('return {"acc.own.x": ["a"] * num}', "expected 24 numbers"),
        ('return {"acc.own.x": np.full(num, np.inf)}', "expected finite numbers; got 24"),
        (
            'return {"acc.own.x": np.full(num, np.nan)}',
            "expected NaN only for sequences without any value of its sensor; got 24 in others",
        ),
        ('return {"own": np.zeros(num)}', "expected a name sensor.signal.statistic"),
        ('return {"gyro.own.x": np.zeros(num)}', "the sensor one of acc, rot, thm_1"),
        ('return {"acc.own.X": np.zeros(num)}', "expected a name sensor.signal.statistic"),
        ('return {"acc.acc_x.mean": np.zeros(num)}', "expected a new name; ours has this one"),
        ("return {}", "expected at least one column"),
        ("return np.zeros(num)", "expected a table from column names to arrays; got ndarray"),
        (
            'return {"acc.own.x": np.full(num, time.perf_counter())}',
            "column acc.own.x: expected the same number computed twice",
        ),
        (
            'return {"acc.own.x": np.full(num, acc_T.mean())}',
            "column acc.own.x: expected the same number sequence 0 computed alone",
        ),
        (
            'return {"acc.own.x": np.full(num, 0.0 if signals.thm_T5 is None else 1.0)}',
            "computed without thermopiles and time of flight",
        ),
        (
            'return {"thm_1.own.x": np.full(num, signals.thm_T5.shape[1])}',
            "mine.py, line 12: AttributeError",
        ),
        ("return missing", "mine.py, line 12: NameError: name 'missing' is not defined"),
    ],
)
def test_a_feature_block_that_cannot_be_used_is_refused(tmp_path, body, expected):
    """Exit code 2, the column, what was expected, what came; the line of an error."""
    done = check_text(tmp_path, BLOCK.format(body=body))
    assert (done.code, expected in done.words) == (2, True), done.words


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return self.head(frames)", "expected logits of shape"),
        ("return self.head(frames[:, 0]) * np.random.random()", "expected the same bits"),
        ("return self.head(frames.mean(dim=1))", "must not depend on padding"),
        ("return self.head(frames.float()[:, 0])", "mine.py, line 14: RuntimeError"),
        ("raise KeyError('seventeen')", "mine.py, line 14: KeyError: 'seventeen'"),
    ],
)
def test_a_network_that_cannot_be_used_is_refused(tmp_path, body, expected):
    """Shapes, hidden random numbers, the influence of padding, float64, errors with their line."""
    done = check_text(tmp_path, NETWORK.format(body=body))
    assert (done.code, expected in done.words) == (2, True), done.words


@pytest.mark.parametrize(
    ("fit", "predict", "expected"),
    [
        ("return {}", "return np.zeros((len(values_NF), 2))", "mine.py"),
        ("return {}", "return np.full((len(values_NF), 3), 0.5)", "rows that sum to 1"),
        ("return {}", "return np.full((len(values_NF), 3), np.nan)", "rows that sum to 1"),
        ('return {"x": np.random.random()}', EQUAL, "expected the same bits when it is fitted"),
        ('return {"x": object()}', EQUAL, "object: expected arrays, text, numbers, lists, dicts"),
        ("return 1 / 0", EQUAL, "mine.py, line 10: ZeroDivisionError: division by zero"),
        (
            "return {}",
            "share = len(values_NF) / 100\n"
            "        return np.tile([share, 1 - share, 0], (len(values_NF), 1))",
            "must not depend on padding or on other sequences",
        ),
    ],
)
def test_a_model_that_cannot_be_used_is_refused(tmp_path, fit, predict, expected):
    """Probabilities, bits, what it stores, errors with their line."""
    done = check_text(tmp_path, MODEL.format(fit=fit, predict=predict))
    if expected == "mine.py":  # numpy's error comes from our line
        expected = "could not be broadcast" if "broadcast" in done.words else "shape mismatch"
    assert (done.code, expected in done.words) == (2, True), done.words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = (", "mine.py, line 1: SyntaxError"),
        ("import nothing_of_this_name", "mine.py, line 1: ModuleNotFoundError"),
        ("raise SystemExit(0)", "mine.py, line 1: SystemExit"),
        ("x = 1", "it registers nothing"),
        ("from trainer.extend import network\nnetwork('branches')(print)", "none of ours"),
        ("from trainer.extend import network\nnetwork('lgbm')(print)", "none of ours"),
        ("from trainer.extend import network\nnetwork('a b')(print)", "none of ours"),
        ("from trainer.extend import model\nmodel(3)", "expected a trainer.models.base.Model"),
        (
            "from trainer.extend import feature_block\nfeature_block('f', {'acc.a.b': '<b>'})",
            "expected names sensor.signal.statistic and texts",
        ),
        (
            MODEL.format(fit="return {}", predict=EQUAL).replace('"mine", "Mine"', '"torch", "M"'),
            "none of ours",
        ),
        (
            MODEL.format(fit="return {}", predict=EQUAL).replace('"Mine"', '"<b>Mine</b>"'),
            "title: expected 1 to 40 letters",
        ),
        (
            MODEL.format(fit="return {}", predict=EQUAL) + "\nmodel(Mine())",
            "registered twice",
        ),
    ],
)
def test_a_file_that_registers_nothing_usable_is_refused(tmp_path, text, expected):
    """Nothing of ours is redefined, and no name or title has markup."""
    done = check_text(tmp_path, text)
    assert (done.code, expected in done.words) == (2, True), done.words


@pytest.mark.parametrize("name", ["ideas.txt", "my-ideas.py", "missing.py", "folder.py"])
def test_what_is_no_python_file_is_refused(tmp_path, name):
    """The name becomes that of the copy in the run folder."""
    if name == "folder.py":
        (tmp_path / name).mkdir()
    elif name != "missing.py":
        (tmp_path / name).write_text("")
    done = check(tmp_path / name)
    assert (done.code, "--use" in done.words) == (2, True), done.words


def test_an_error_in_own_code_fails_the_run_with_its_line(tiny_source, tmp_path):
    """It works on the recordings of the check, and not on these: exit 1, status failed."""
    path = tmp_path / "mine.py"
    path.write_text(BLOCK.format(body='return {"acc.own.x": np.ones(num) / (num != 48)}'))
    text = path.read_text().replace(
        "    num = ", "    assert len(signals.offsets) != 49\n    num = "
    )
    path.write_text(text)
    settings = [word for setting in TINY for word in ("--set", setting)]
    words = ["train", "--run", "own", "--data", tiny_source, "--models", "lgbm", *settings]
    done = fork_server().run(*words, "--use", path, "--state", tmp_path)
    assert done.code == 1, done.words
    status = RunReader(tmp_path / "own").status()
    assert status.state == "failed"
    assert status.error == "mine.py, line 10: AssertionError: "
    assert "assert len(signals.offsets) != 49" in done.words  # the line itself, in the traceback


def test_columns_that_cannot_be_used_fail_the_run(tiny_source, tmp_path):
    """NaN on recordings that the check did not have: the run ends before a fold is fitted."""
    path = tmp_path / "mine.py"
    path.write_text(
        BLOCK.format(body='return {"acc.own.x": np.full(num, np.nan if num == 48 else 1)}')
    )
    settings = [word for setting in TINY for word in ("--set", setting)]
    words = ["train", "--run", "own", "--data", tiny_source, "--models", "lgbm", *settings]
    done = fork_server().run(*words, "--use", path, "--state", tmp_path)
    assert done.code == 1, done.words
    status = RunReader(tmp_path / "own").status()
    assert status.state == "failed"
    assert "mine.py: feature block mine: column acc.own.x: expected NaN only" in status.error
