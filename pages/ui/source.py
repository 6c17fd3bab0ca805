"""Source: the recordings that a run was made from, where they are still there.

In: the run's frozen configuration. Out: ``Sequences``, kept warm for all sessions, or a
``SourceError`` that says what is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from trainer.store.records import RunFile

if TYPE_CHECKING:
    from trainer.data.sequences import Sequences


class SourceError(ValueError):
    """The recordings of a run cannot be shown; the message says why."""


def recordings(run_file: RunFile) -> Sequences:
    """Return the recordings that the run was made from.

    Raises:
        SourceError: They are gone, damaged, or no longer the same.
    """
    return _load(run_file.data.source, run_file.recordings.fingerprint)


@st.cache_resource(max_entries=2, show_spinner="Reading the recordings")
def _load(name: str, fingerprint: str) -> Sequences:
    from trainer.data import sources
    from trainer.data.schema import DataError

    try:
        sequences = sources.load(name)
    except (DataError, OSError) as error:
        raise SourceError(f"The run's source {name!r} cannot be read here. {error}") from error
    if sources.fingerprint(sequences) != fingerprint:
        raise SourceError(
            f"The source {name!r} has changed since the run was made: its content differs from "
            f"what the run recorded. Put the old recordings back to see them here."
        )
    return sequences
