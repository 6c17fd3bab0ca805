"""Settings form: a field for every setting beside the main ones.

In: the preset. Out: the typed values, as ``KEY=VALUE``; those that differ from the preset are
marked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from pages.ui.shared import frame, words
from trainer.config import (
    OF_FOLDS_FILE,
    BlendConfig,
    Config,
    flat_settings,
    make_config,
    setting_text,
)
from trainer.models import registry

MAIN = ("models", "folds.count", "boosting.rounds", "network.epochs", "seed")
NOT_HERE = (*MAIN, "preset", "data.source", "use")
TITLES = {  # of the parts of the configuration; other models have a part of their own
    "boosting": "LightGBM",
    "network": "Network",
    "frames": "Network",
    "blend": "Blend",
    "blend.weights": "Blend",
    "data": "Recordings",
    "": "Reproducibility",
}
LABELS = {  # where the last part of the dotted name alone would be unclear
    "exact": "Bit-exact on",
    "frames.length": "Frame length",
    "data.sampling_rate_hz": "Sampling rate, Hz",
    "network.rotation_deg": "Rotation, degrees",
    "network.save_interval_s": "Save interval, seconds",
    "network.imu_network": "IMU network",
    "network.ema_decay": "EMA decay",
    "boosting.num_threads": "Threads",
    "network.num_threads": "Threads",
    "boosting.select": "Round of the model",
    "network.select": "Epoch of the model",
    "blend.fail_if_torch_missing": "Network required",
}
FIELD_WIDTH_PX = 152  # two beside each other on a phone, six on a desktop
LINES_KEY = "start_more"
AUTOMATIC = "automatic"  # a setting that a new run chooses by its recordings


def usual_settings(preset: str) -> dict[str, Any]:
    """Return every setting of every model, by its dotted name, as the preset has it."""
    models = registry.trainable_models()
    config = make_config(preset, {"models": [model.name for model in models]})
    values = flat_settings(config) | {"models": make_config(preset).models}
    weights = (_weight_name(model.name) for model in models)
    return {**values, **{name: 0.0 for name in weights if name not in values}}


def fields(usual: Mapping[str, Any]) -> list[str]:
    """Show a field per setting; return what was typed.

    Args:
        usual: The preset's settings, which the empty fields show in grey.

    Returns:
        ``KEY=VALUE`` pairs; they are checked when a configuration is made of them.
    """
    typed = []
    for title, names in sections(usual).items():
        st.markdown(f"**{frame.escape(title)}**")
        with st.container(horizontal=True, gap="small"):
            typed += [_field(name, value_text(usual[name])) for name in names]
    st.caption("Or paste settings from a command or config.json; they override the fields above.")
    lines = st.text_area(
        "One KEY=VALUE per line",
        key=LINES_KEY,
        placeholder="boosting.learning_rate=0.05\nnetwork.dropout=0.3",
        persist_state="session",
    )
    return [*filter(None, typed), *(line.strip() for line in lines.splitlines() if line.strip())]


def sections(usual: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the names of the settings that have a field here, by the title above them."""
    found: dict[str, list[str]] = {title: [] for title in TITLES.values()}
    for name in usual:
        if name not in NOT_HERE:
            found.setdefault(_title(name), []).append(name)
    return found


def field_key(name: str) -> str:
    """Return the session's key of a setting's field."""
    return f"start_set_{name}"


def value_text(value: Any) -> str:  # noqa: ANN401 - a setting
    """Return the text of a setting's value for people."""
    return AUTOMATIC if value is None else setting_text(value)


def differing(config: Config, before: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return name, value before and value in ``config`` of the settings that differ."""
    values = flat_settings(config)
    of_file = [
        (name, words.setting(name, before.get(name)), words.setting(name, values.get(name)))
        for name in OF_FOLDS_FILE
        if values.get(name) != before.get(name)
    ]
    return of_file + [
        (name, value_text(before.get(name)), value_text(value))
        for name, value in values.items()
        if value != before.get(name) and name not in ("preset", *OF_FOLDS_FILE)
    ]


def differences_text(rows: Sequence[tuple[str, str, str]]) -> str:
    """List what differs, in Markdown: name, old value, new value."""
    return ", ".join(
        f"{frame.escape(name)} {frame.escape(old)} → **{frame.escape(new)}**"
        for name, old, new in rows
    )


def _title(name: str) -> str:
    part = name.rpartition(".")[0]
    return TITLES[part] if part in TITLES else registry.title(part.rpartition(".")[2])


def _label(name: str) -> str:
    titles = {_weight_name(model.name): model.title for model in registry.all_models()}
    if name in titles:
        return f"{titles[name]} weight"
    return LABELS.get(name) or name.rpartition(".")[2].replace("_", " ").capitalize()


def _weight_name(model: str) -> str:
    """Return the name of a model's weight in the blend, which two models have as a field."""
    own = f"{model}_weight"
    return f"blend.{own}" if own in BlendConfig.model_fields else f"blend.weights.{model}"


def _field(name: str, usual: str) -> str:
    """Show one field; return ``KEY=VALUE``, or "" where it is left as in the preset."""
    key, label = field_key(name), _label(name)
    typed = str(st.session_state.get(key) or "").strip()
    is_other = typed not in ("", usual)
    st.text_input(
        f"**{label}** (preset {frame.escape(usual)})" if is_other else label,
        key=key,
        placeholder=usual,
        width=FIELD_WIDTH_PX,
        persist_state="session",
    )
    return f"{name}={typed}" if is_other else ""
