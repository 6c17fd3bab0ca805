"""Tiny real runs: 48 sequences, all sensors, 2 folds of each model, a second or two of work.

In: a folder. Out: a source file, a configuration, a run folder that the trainer itself wrote.
"""

from __future__ import annotations

import hashlib
import textwrap
from pathlib import Path

from tests.support.builders import make_table
from tests.support.forked_trainers import fork_server
from trainer.config import make_config
from trainer.models.tensor_file import load_tensors
from trainer.run.execution import execute
from trainer.run.pipeline import Limits
from trainer.store.reader import RunReader

PROJECT = Path(__file__).resolve().parents[2]
TINY = (
    "folds.count=2",
    "boosting.rounds=6",
    "boosting.segment_rounds=2",
    "boosting.num_threads=1",
    "network.epochs=2",
    "network.statistics_members=0",  # their checkpoints would be a hundred times as large
    "network.batch_size=8",
    "network.conv_channels=4,8",
    "network.recurrent_units=4",
    "network.num_threads=1",
)


RESULTS = (
    "oof.parquet",
    "scores.json",
    "feature_importance.csv",
    "folds.parquet",
    "lgbm_fold00.pkl",
    "lgbm_fold01.pkl",
    "lgbm_bundle.pkl",
    "torch_bundle.pkl",
)
NETWORKS = ("torch_models/fold00.pt", "torch_models/fold01.pt")


def write_source(folder, name="tiny.parquet", **options):
    """Write a labelled table with all 332 sensor columns and return its path."""
    path = folder / name
    make_table(**options).write_parquet(path)
    return path


def tiny_config(source, *assignments):
    """Return the configuration of a tiny run; assignments are --set's."""
    return make_config("quick", {"data.source": str(source)}, [*TINY, *assignments], environment={})


def train(root, config, limits=None, echo=lambda _: None):
    """Run the trainer in this process."""
    return execute(root, config, limits or Limits(), echo)


def train_elsewhere(root, source, *assignments, prepare=""):
    """Run the trainer in a process of its own; return its exit code, -9 where it was killed.

    Args:
        root: The run folder.
        source: The recordings.
        assignments: --set's.
        prepare: Python to run first, such as the arming of a kill.
    """
    code = textwrap.dedent(prepare) + textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from tests.support.tiny_runs import tiny_config, train

        train(Path(sys.argv[1]), tiny_config(*sys.argv[2:]))
        """
    )
    return fork_server().run(root, source, *assignments, code=code).code


def kill_at_step(model, fold, step):
    """Return Python that arms a kill -9 at a round or a batch, before anything of it is saved."""
    return f"""
        import os, signal
        from trainer.run.fold_job import FoldMonitor

        advance = FoldMonitor.advance

        def die_at_step(self, step, total):
            advance(self, step, total)
            unit = self.job
            if (unit.model, unit.fold, step) == ({model!r}, {fold}, {step}):
                os.kill(os.getpid(), signal.SIGKILL)

        FoldMonitor.advance = die_at_step
        """


def digest(value):
    """Hash plain values and tensors by name, type, shape and bytes."""
    if isinstance(value, dict):
        value = [[key, digest(item)] for key, item in value.items()]
    elif isinstance(value, list | tuple):
        value = [digest(item) for item in value]
    elif hasattr(value, "numpy"):
        value = [str(value.dtype), list(value.shape), value.numpy().tobytes().hex()]
    return hashlib.sha256(repr(value).encode()).hexdigest()


def result_of(root):
    """Return what a run's result consists of: bytes of files, content of networks."""
    files = {name: (root / name).read_bytes() for name in RESULTS}
    return files | {name: digest(load_tensors((root / name).read_bytes())) for name in NETWORKS}


def assert_same_result(root, other):
    here, there = result_of(root), result_of(other)
    assert [name for name in here if here[name] != there[name]] == []


def problems_of(root):
    return [event.text for event in RunReader(root).events() if event.event == "problem"]


def events_of(root, kind):
    return [event for event in RunReader(root).events() if event.event == kind]
