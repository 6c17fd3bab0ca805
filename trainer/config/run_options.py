"""Options of a new run: presets, ``--set KEY=VALUE``, precedence, differences between two runs.

In: options, ``--set`` pairs, the environment. Out: a ``Config``. Precedence: option, ``--set``,
environment, preset, default.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from typing import Any

from trainer.config.environment import environment_settings
from trainer.config.run_config import (
    Config,
    ConfigError,
    is_of_own_code,
    is_own_name,
    names_by_model,
    setting_text,
    validate,
)

PRESETS: dict[str, dict[str, Any]] = {
    "full": {},  # the defaults above
    "quick": {
        "boosting": {
            "rounds": 100,
            "patience_rounds": 25,
            "learning_rate": 0.1,
        },
        "network": {
            "architecture": "time_series_net",
            "members": 1,
            "statistics_members": 1,
            "epochs": 14,
            "patience_epochs": 14,
            "batch_size": 32,
            "mixup_alpha": 0.2,
            "stretch": 0.0,  # pays only in more than 14 epochs
            "shift": 0.0,
        },
    },
}
OF_FOLDS_FILE = ("folds.file_sha256", "folds.shared_subjects")  # set by --folds-file alone
WITHOUT_EFFECT = ("preset", "data.source", "blend.fail_if_torch_missing")  # on a run's results


def make_config(
    preset: str | None = None,
    options: Mapping[str, Any] | None = None,
    assignments: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Config:
    """Return the configuration; precedence: option, --set, environment, preset, default.

    Args:
        preset: "quick" or "full"; None is "full".
        options: Dotted name to value, of the command line's own options.
        assignments: ``KEY=VALUE`` pairs of ``--set``.
        environment: The process environment; None reads ``os.environ``.

    Raises:
        ConfigError: A name does not exist, or a value is not valid.
    """
    name = preset or "full"
    if name not in PRESETS:
        raise ConfigError(f"preset: expected one of {', '.join(PRESETS)}; got {name!r}")
    environment = os.environ if environment is None else environment
    base = validate({"preset": name, **PRESETS[name]})
    return overlay(base, environment_settings(environment), assignments, options)


def overlay(
    config: Config,
    environment_values: Mapping[str, Any],
    assignments: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
) -> Config:
    """Return a configuration with some settings replaced; precedence as in ``make_config``.

    A network of own code gets none of ours on statistics beside it, unless they are requested.
    """
    values: dict[str, Any] = config.model_dump()
    given = {
        **environment_values,
        **dict(parse_assignment(text) for text in assignments),
        **(options or {}),
    }
    network, before = given.get("network.architecture"), config.network
    if before.statistics_members and network != before.architecture and is_own_name(str(network)):
        given.setdefault("network.statistics_members", 0)
    for key, value in given.items():
        _put(values, key, value)
    return validate(values)


def parse_assignment(text: str, option: str = "--set") -> tuple[str, str | list[str] | None]:
    """Split ``KEY=VALUE``; a list is separated by commas, ``none`` is None.

    Args:
        text: The pair.
        option: Where it was given, for messages.

    Raises:
        ConfigError: There is no ``=``, or the name is unknown; the nearest names are listed.
    """
    key, separator, value = text.partition("=")
    if not separator:
        raise ConfigError(f"{option}: expected KEY=VALUE, got {text!r}")
    _check_name(key, option)
    if key == "use":
        raise ConfigError(f"{option}: own code is named with --use FILE.py")
    if key == "preset":
        raise ConfigError(f"{option}: a preset is many settings at once; use --preset {value}")
    if key in OF_FOLDS_FILE:
        raise ConfigError(
            f"{option}: {key} follows from the folds of a file; use --folds-file FILE"
        )
    if value.lower() == "none":
        return key, None
    is_list = isinstance(flat_settings(Config()).get(key), tuple)
    return key, value.split(",") if is_list else value


def setting_names() -> tuple[str, ...]:
    """Return every dotted name that ``--set`` accepts."""
    return tuple(flat_settings(Config()))


def flat_settings(config: Config) -> dict[str, Any]:
    """Return every setting by its dotted name."""
    return _flatten(config.model_dump())


def differences(old: Config, new: Config) -> list[str]:
    """Return the differences that change results, each as ``name: old -> new``."""
    old_values, new_values = flat_settings(old), flat_settings(new)
    return [
        f"{name}: {setting_text(old_values.get(name))} -> {setting_text(new_values.get(name))}"
        for name in {**old_values, **new_values}
        if old_values.get(name) != new_values.get(name) and name not in WITHOUT_EFFECT
    ]


def _flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def _put(values: dict[str, Any], name: str, value: Any) -> None:  # noqa: ANN401 - the JSON edge
    _check_name(name)
    *path, last = name.split(".")
    for part in path:
        values = values.setdefault(part, {})
    values[last] = value


def _check_name(name: str, option: str = "--set") -> None:
    known = (*setting_names(), *names_by_model())
    if name in known or name in OF_FOLDS_FILE or is_of_own_code(name):
        return
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or list(known[:3])
    raise ConfigError(f"{option}: unknown name {name!r}; the nearest are {', '.join(near)}")
