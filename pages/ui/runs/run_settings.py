"""Run settings: origin of a run, and the settings that differ from its preset.

In: the summary of a run. Out: a table of the settings, and a sentence on its origin.
"""

from __future__ import annotations

from datetime import datetime

import polars as pl
import streamlit as st

from pages.ui.runs.run_table import RunSummary
from pages.ui.shared import controls, frame, words
from trainer.config import flat_settings, make_config, used_file
from trainer.models import registry
from trainer.own_code.code_files import CodeRefusedError, read_of_run
from trainer.run.estimate import size_of
from trainer.store.reader import RunReader
from trainer.store.records import RunFile

NOT_SETTINGS = ("preset", "data.source", "use")  # shown above the table


def show(summary: RunSummary) -> None:
    """Show the settings that differ from the run's preset."""
    run_file = summary.run_file
    st.markdown("**Settings**")
    if run_file is None:
        st.markdown("Not available: damaged, or not written before the trainer ended.")
        return
    st.caption(frame.escape(origin(run_file)))
    _own_code(summary.run, run_file)
    table = changed_settings(run_file)
    if table.is_empty():
        st.markdown(f"The same as the preset *{frame.escape(run_file.preset)}*.")
        return
    st.markdown(f"Different from the preset *{frame.escape(run_file.preset)}*:")
    st.dataframe(
        table, hide_index=True, alt="Settings that differ from the preset", key="changed_settings"
    )


def _own_code(reader: RunReader, run_file: RunFile) -> None:
    """Show the own code that the run was made with; it is read, not executed."""
    if not run_file.use:
        return
    names = ", ".join(used_file(entry)[0] for entry in run_file.use)
    with st.expander(f"Own code: {frame.escape(names)}", icon=":material/code:"):
        try:
            controls.code_files(read_of_run(reader.root, run_file.use))
        except CodeRefusedError as error:
            st.error(frame.escape(str(error)))
        if controls.is_approved(run_file):
            st.caption("Approved on this machine.")
        elif not frame.is_read_only():
            controls.approve_button(reader, run_file)


def origin(run_file: RunFile) -> str:
    """Describe from which recordings, when and where a run was made."""
    data, made = run_file.recordings, datetime.fromtimestamp(run_file.created_at)
    return (
        f"Recordings: {run_file.data.source}, {data.num_sequences:,} sequences of "
        f"{data.num_subjects} subjects ({', '.join(data.groups)}). Created {made:%Y-%m-%d %H:%M} "
        f"on {run_file.machine.host}; seed {run_file.seed}, {_folds(run_file)}, "
        f"{words.enumeration(map(registry.title, run_file.models))}."
    )


def _folds(run_file: RunFile) -> str:
    folds = run_file.folds
    return f"{folds.count} folds{' of a file' if folds.file_sha256 else ''}"


def changed_settings(run_file: RunFile) -> pl.DataFrame:
    """Return one row per setting that is not the preset's: Setting, This run, Preset."""
    values = flat_settings(run_file.settings())
    preset = make_config(run_file.preset, environment={})
    same_models = preset.model_copy(update={"models": run_file.models})
    chosen = registry.choose_settings(same_models, size_of(run_file))
    usual = flat_settings(chosen) | {"models": preset.models}
    rows = [
        {
            "Setting": name,
            "This run": words.setting(name, value),
            "Preset": words.setting(name, usual.get(name)),
        }
        for name, value in values.items()
        if name not in NOT_SETTINGS and value != usual.get(name)
    ]
    return pl.DataFrame(rows, schema=dict.fromkeys(("Setting", "This run", "Preset"), pl.String))
