"""Recordings of any source by its name, simulated ones included.

In: the name of a source. Out: checked ``Sequences``.
"""

from __future__ import annotations

from pathlib import Path

from trainer.config import is_simulated
from trainer.data import sources
from trainer.data.sequences import Sequences
from trainer.simulation.simulate import read_num_subjects, simulate


def load(source: str, kaggle_input: Path | None = None) -> Sequences:
    """Load the recordings of a source.

    Args:
        source: ``simulated[:SUBJECTS]`` (made from a model of the arm, see ``simulate``; 81
            subjects by default), or a source of real recordings, see ``trainer.data.sources.load``.
        kaggle_input: Where Kaggle mounts its inputs; None is ``sources.input_folder()``.

    Raises:
        DataError: If there is no such source, or its recordings cannot be used.
    """
    if is_simulated(source):
        return simulate(read_num_subjects(source))
    return sources.load(source, kaggle_input)
