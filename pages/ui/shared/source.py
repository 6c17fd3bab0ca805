"""Source: the recordings that a run was made from, if they still exist.

In: the run's configuration. Out: ``Sequences`` and values derived from them, cached for all
sessions, or a ``SourceError`` with the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import streamlit as st

from pages.ui.shared import readers
from pages.ui.shared.readers import Version
from trainer.store.records import RunFile

if TYPE_CHECKING:
    from trainer.data.sequences import Sequences

T = TypeVar("T")

MAX_DERIVED = 64  # frames of a few kB to a few MB


class SourceError(ValueError):
    """The recordings of a run cannot be shown; the message has the reason."""


def recordings(run_file: RunFile) -> Sequences:
    """Return the recordings that the run was made from.

    Raises:
        SourceError: They are gone, damaged, or no longer the same.
    """
    name = run_file.data.source
    found = _load(name, run_file.recordings.fingerprint, _version(name))
    if isinstance(found, str):
        raise SourceError(found)
    return found


def derived(run_file: RunFile, derive: Callable[[Sequences], T]) -> T:
    """Return the result of a function of the run's recordings, computed once per content.

    Args:
        run_file: Of a run whose recordings are here.
        derive: A function of a module, whose name identifies the result; the result is shared and
            never changed in place.

    Raises:
        SourceError: As ``recordings``.
    """
    sequences = recordings(run_file)
    what = f"{derive.__module__}.{derive.__qualname__}"
    return _derived(what, run_file.recordings.fingerprint, derive, sequences)


@st.cache_resource(max_entries=MAX_DERIVED, show_spinner="Looking through the recordings")
def _derived(
    what: str, fingerprint: str, _derive: Callable[[Sequences], T], _sequences: Sequences
) -> T:
    return _derive(_sequences)


@st.cache_resource(max_entries=2, show_spinner="Reading the recordings")
def _load(name: str, fingerprint: str, version: Version) -> Sequences | str:
    """Return the recordings, or why they cannot be shown; a changed file is read again."""
    from trainer.data import sources
    from trainer.data.schema import DataError
    from trainer.simulation import any_source

    try:
        sequences = any_source.load(name)
    except (DataError, OSError) as error:
        return f"The run's source {name!r} cannot be read here. {error}"
    if sources.fingerprint(sequences) != fingerprint:
        return (
            f"The source {name!r} has changed since the run was made: its content differs from "
            f"what the run recorded. Put the old recordings back to see them here."
        )
    return sequences


def _version(name: str) -> Version:
    """Return a value that changes when the source's files do; () for names that are not paths."""
    try:
        path = Path(name).expanduser()
        files = sorted(path.iterdir()) if path.is_dir() else [path]
    except (OSError, RuntimeError):  # no such path, or the home folder of an unknown user
        return ()
    return readers.version(*files)
