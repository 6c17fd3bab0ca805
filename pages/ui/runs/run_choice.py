"""Run choice: which runs of the table are selected; one to work with, several to compare.

In: the runs. Out: the table with its filter, and the selected names. One selected row picks that
run as the sidebar does; several are compared. The field below does the same by keyboard and keeps
the selection in the page's address.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl
import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig

from pages.ui.runs import run_table
from pages.ui.runs.run_table import RunSummary
from pages.ui.shared import frame, panels, readers, words
from trainer.models import registry
from trainer.store.reader import RunReader
from trainer.store.run_state import DerivedState, derive_state

MAX_COMPARED = 6  # more curves in one chart cannot be distinguished
MANY_RUNS = 8  # from here on a filter helps
WATCH_S = 5.0  # the table shows all runs: any of them may have changed

SCORE = st.column_config.NumberColumn(format="%.3f", width="small")
COLUMNS = {
    "Run": st.column_config.TextColumn(pinned=True),
    "Blend": st.column_config.NumberColumn(
        format="%.3f", width="small", help="Mean score of the finished folds"
    ),
    "Spread": st.column_config.NumberColumn(
        format="%.3f", width="small", help="Standard deviation of the blend over the folds"
    ),
    "Optimistic": st.column_config.TextColumn(
        help="Why the scores are too high for other people. Best steps: they were chosen on the "
        "recordings that are scored. Shared subjects: in training and validation"
    ),
    "Folds done": st.column_config.TextColumn(help="Over all models"),
    "Minutes": st.column_config.NumberColumn(
        format="%.1f", width="small", help="Training time of all folds and attempts"
    ),
    "Started": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm"),
}

_WATCHED = "runs_watched"  # what the page showed of each run when it was drawn
_REMOUNTED = "runs_table_remounted"  # how often the field below changed the table's selection


def table(found: Sequence[RunSummary], derived_states: Mapping[str, DerivedState]) -> None:
    """Show the runs, with rows to select."""
    wanted = _filter() if len(found) >= MANY_RUNS else ""
    shown = [one for one in found if run_table.matches(one, derived_states[one.name], wanted)]
    if not shown:
        st.markdown(
            f"No run has {frame.escape(repr(wanted))} in its name, title, note, state or source."
        )
        return
    names = tuple(one.name for one in shown)
    key = f"runs_table_{hash(names)}_{st.session_state.get(_REMOUNTED, 0)}"
    ticked = [names.index(name) for name in chosen() if name in names]
    rows = run_table.run_table(shown, derived_states)
    panels.head(f"{len(names)} run{'s' * (len(names) > 1)}", rows, "runs")
    st.dataframe(
        rows,
        key=key,
        on_select=lambda: _take_ticks(key, names),
        selection_mode="multi-row",
        selection_default={"selection": {"rows": ticked}},
        hide_index=True,
        placeholder=words.NOTHING,
        alt=f"{len(names)} runs with state, scores and settings",
        column_config=COLUMNS
        | {registry.title(model): SCORE for model in run_table.models_of(shown)}
        | {"Title": _title_column(rows)},
    )


def field(names: Sequence[str]) -> None:
    """Show the field with the runs to compare."""
    if len(names) < 2:
        return
    kept = [name for name in chosen() if name in names]
    if kept != chosen():
        st.session_state[frame.COMPARE] = kept  # one was deleted or renamed
    st.multiselect(
        "Compare",
        names,
        key=frame.COMPARE,
        bind="query-params",
        max_selections=MAX_COMPARED,
        placeholder="Two or more runs",
        on_change=_remount,
        help="Selecting rows of the table does the same.",
    )


def chosen() -> list[str]:
    """Return the names of the runs to compare."""
    return list(st.session_state.get(frame.COMPARE) or [])


def stop_comparing() -> None:
    """Compare no runs; call it in a callback."""
    st.session_state[frame.COMPARE] = []
    _remount()


def watch(found: Sequence[RunSummary], derived_states: Mapping[str, DerivedState]) -> None:
    """Run the page again when the row of any run changed; call once per page."""
    is_live = bool(st.session_state.get("is_live", True))
    seen = {one.name: (derived_states[one.name].state, one.version) for one in found}
    runs = [one.run for one in found]
    st.fragment(_look, run_every=WATCH_S if is_live else None)(runs, seen)


def _look(runs: Sequence[RunReader], seen: Mapping[str, tuple[str, readers.Version]]) -> None:
    is_first = st.session_state.get(_WATCHED) is not seen  # belongs to the run of the page itself
    st.session_state[_WATCHED] = seen
    if is_first:
        return
    if {run.name: (derive_state(run).state, run_table.version(run)) for run in runs} != seen:
        st.rerun()


def _filter() -> str:
    return st.text_input(
        "Filter",
        key="runs_filter",
        placeholder="Name, title, note, state or source",
        persist_state="session",
        icon=":material/search:",
    )


def _take_ticks(key: str, names: Sequence[str]) -> None:
    rows = st.session_state[key].selection.rows
    ticked = [names[row] for row in rows if row < len(names)][:MAX_COMPARED]
    if len(ticked) == 1:
        frame.open_run(ticked[0])
    st.session_state[frame.COMPARE] = ticked if len(ticked) > 1 else []


def _remount() -> None:
    st.session_state[_REMOUNTED] = st.session_state.get(_REMOUNTED, 0) + 1


def _title_column(rows: pl.DataFrame) -> ColumnConfig:
    return st.column_config.TextColumn(width="medium" if any(rows["Title"]) else "small")
