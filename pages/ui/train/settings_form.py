"""Settings form: every setting that the start form does not ask for by itself.

In: the preset. Out: what people typed, as ``KEY=VALUE``; what differs from the preset is marked.
"""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from pages.ui.shared import frame
from trainer.config import Config, flat_settings, setting_names, setting_text

MAIN = ("models", "folds.count", "boosting.rounds", "network.epochs", "seed")
NOT_HERE = (*MAIN, "preset", "data.source")
TITLES = {
    "boosting": "LightGBM",
    "network": "Network",
    "frames": "Network",
    "blend": "Blend",
    "data": "Recordings",
    "": "Exactness",
}
LABELS = {  # where the last part of the dotted name alone would puzzle
    "frames.length": "Frame length",
    "data.sampling_rate_hz": "Sampling rate, Hz",
    "network.rotation_deg": "Rotation, degrees",
    "network.save_interval_s": "Save interval, seconds",
    "blend.lgbm_weight": "LightGBM weight",
    "blend.torch_weight": "Network weight",
    "blend.fail_if_torch_missing": "Fail if network missing",
}
FIELD_WIDTH_PX = 152  # two beside each other on a phone, six on a desk
LINES_KEY = "start_more"


def fields(usual: Config) -> list[str]:
    """Show a field per setting; return what was typed.

    Args:
        usual: The preset, whose values stand in the fields in grey.

    Returns:
        ``KEY=VALUE`` pairs, checked by whoever makes a configuration of them.
    """
    values = flat_settings(usual)
    typed = []
    for title in dict.fromkeys(TITLES.values()):
        st.markdown(f"**{title}**")
        with st.container(horizontal=True, gap="small"):
            typed += [_field(name, setting_text(values[name])) for name in names_under(title)]
    st.caption("Or pasted from a command or from config.json; these win over the fields above.")
    lines = st.text_area(
        "One KEY=VALUE per line",
        key=LINES_KEY,
        placeholder="boosting.learning_rate=0.05\nnetwork.dropout=0.3",
        persist_state="session",
    )
    return [*filter(None, typed), *(line.strip() for line in lines.splitlines() if line.strip())]


def names_under(title: str) -> list[str]:
    """Return the settings that stand under a title."""
    return [
        name
        for name in setting_names()
        if name not in NOT_HERE and TITLES[name.rpartition(".")[0]] == title
    ]


def field_key(name: str) -> str:
    """Return the session's key of a setting's field."""
    return f"start_set_{name}"


def differing(config: Config, usual: Config) -> list[tuple[str, str, str]]:
    """Return name, value in ``usual`` and value in ``config`` of the settings that differ."""
    before, now = flat_settings(usual), flat_settings(config)
    return [
        (name, setting_text(before[name]), setting_text(value))
        for name, value in now.items()
        if value != before[name] and name != "preset"
    ]


def differences_text(rows: Sequence[tuple[str, str, str]]) -> str:
    """Say what differs, in Markdown: name, old value, new value."""
    return ", ".join(
        f"{frame.escape(name)} {frame.escape(old)} → **{frame.escape(new)}**"
        for name, old, new in rows
    )


def _field(name: str, usual: str) -> str:
    """Show one field; return ``KEY=VALUE``, or "" where it is left as in the preset."""
    key = field_key(name)
    typed = str(st.session_state.get(key) or "").strip()
    label = LABELS.get(name) or name.rpartition(".")[2].replace("_", " ").capitalize()
    is_other = typed not in ("", usual)
    st.text_input(
        f"**{label}** (preset {frame.escape(usual)})" if is_other else label,
        key=key,
        placeholder=usual,
        width=FIELD_WIDTH_PX,
        persist_state="session",
    )
    return f"{name}={typed}" if is_other else ""
