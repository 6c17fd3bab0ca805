"""Tiny real runs: 48 sequences, all sensors, 2 folds of each model, a second or two of work.

In: a folder. Out: a source file, a configuration, a run folder that the trainer itself wrote.
"""

from __future__ import annotations

import contextlib
import signal

from tests.builders import make_table
from trainer.config import make_config
from trainer.run.order import execute
from trainer.run.session import Limits

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
    """Run the trainer in this process; signal handlers are put back afterwards."""
    with kept_signals():
        return execute(root, config, limits or Limits(), echo)


@contextlib.contextmanager
def kept_signals():
    """Put back the handlers that the trainer replaces, so that Ctrl-C still ends the tests."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
