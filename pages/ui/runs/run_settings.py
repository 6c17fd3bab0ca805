"""Run settings: what a run was made with, and in what that differs from its preset.

In: what is known of a run. Out: a table of the settings, and where and from what it was made.
"""

from __future__ import annotations

from datetime import datetime

import polars as pl
import streamlit as st

from pages.ui.shared import frame, words
from pages.ui.shared.run_table import RunSummary
from trainer.config import flat_settings, make_config, setting_text
from trainer.store.records import RunFile

NOT_SETTINGS = ("preset", "data.source")  # said above the table


def show(summary: RunSummary) -> None:
    """Show the settings that differ from the run's preset."""
    run_file = summary.run_file
    st.markdown("**Settings**")
    if run_file is None:
        st.markdown("They cannot be read, or were not written before the trainer stopped.")
        return
    st.caption(frame.escape(origin(run_file)))
    table = changed_settings(run_file)
    if table.is_empty():
        st.markdown(f"All as in the preset *{frame.escape(run_file.preset)}*.")
        return
    st.markdown(f"Unlike the preset *{frame.escape(run_file.preset)}*:")
    st.dataframe(table, hide_index=True, alt="Settings unlike the preset", key="changed_settings")


def origin(run_file: RunFile) -> str:
    """Say from what, when and where a run was made."""
    data, made = run_file.recordings, datetime.fromtimestamp(run_file.created_at)
    return (
        f"From {run_file.data.source}: {data.num_sequences:,} sequences of {data.num_subjects} "
        f"subjects ({', '.join(data.groups)}). Made {made:%Y-%m-%d %H:%M} on "
        f"{run_file.machine.host}; seed {run_file.seed}, {run_file.folds.count} folds, "
        f"{' and '.join(words.MODELS[model] for model in run_file.models)}."
    )


def changed_settings(run_file: RunFile) -> pl.DataFrame:
    """Return one row per setting that is not the preset's: Setting, This run, Preset."""
    usual = flat_settings(make_config(run_file.preset, environment={}))
    rows = [
        {"Setting": name, "This run": setting_text(value), "Preset": setting_text(usual[name])}
        for name, value in flat_settings(run_file.settings()).items()
        if name not in NOT_SETTINGS and value != usual[name]
    ]
    return pl.DataFrame(rows, schema=dict.fromkeys(("Setting", "This run", "Preset"), pl.String))
