"""Tiny real runs: 48 sequences, all sensors, 2 folds of each model, a second or two of work.

In: a folder. Out: a source file, a configuration, a run folder that the trainer itself wrote.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from tests.builders import make_table
from trainer.config import make_config
from trainer.run.order import execute
from trainer.run.session import Limits

PROJECT = Path(__file__).resolve().parents[1]
TINY = (
    "folds.count=2",
    "boosting.rounds=6",
    "boosting.segment_rounds=2",
    "boosting.num_threads=1",
    "network.epochs=2",
    "network.batch_size=8",
    "network.conv_channels=4,8",
    "network.recurrent_units=4",
    "network.num_threads=1",
)


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


def train_elsewhere(root, source, *assignments, prepare="", environment=None):
    """Run the trainer in a process of its own; return its exit code, -9 where it was killed.

    Args:
        root: The run folder.
        source: The recordings.
        assignments: --set's.
        prepare: Python to run first, such as the arming of a kill.
        environment: On top of this process's.
    """
    code = textwrap.dedent(prepare) + textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from tests.tiny_runs import tiny_config, train

        train(Path(sys.argv[1]), tiny_config(*sys.argv[2:]))
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(root), str(source), *assignments],
        cwd=PROJECT,
        env=os.environ | (environment or {}),
        capture_output=True,
        check=False,
    )
    return done.returncode


def kill_at_step(model, fold, step):
    """Return Python that arms a kill -9 at a round or a batch, before anything of it is saved."""
    return f"""
        import os, signal
        from trainer.run.work import UnitMonitor

        advance = UnitMonitor.advance

        def die_at_step(self, step, total):
            advance(self, step, total)
            unit = self.store.paths
            if (unit.model, unit.fold, step) == ({model!r}, {fold}, {step}):
                os.kill(os.getpid(), signal.SIGKILL)

        UnitMonitor.advance = die_at_step
        """
