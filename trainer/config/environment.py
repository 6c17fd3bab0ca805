"""The environment names of the notebook family.

In: the process environment. Out: settings, blend weights and switches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from trainer.config.run_config import ConfigError, bounds
from trainer.config.sections import Weight


def environment_settings(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings that the notebook family's environment names set.

    Raises:
        ConfigError: A value is neither a weight nor a switch; the message contains the name.
    """
    settings: dict[str, Any] = {
        f"blend.{model}_weight": weight
        for model, weight in environment_weights(environment).items()
    }
    if environment.get("FAIL_IF_TORCH_MISSING"):
        settings["blend.fail_if_torch_missing"] = is_switched_on(
            environment, "FAIL_IF_TORCH_MISSING"
        )
    if not is_switched_on(environment, "USE_TORCH", default=True):
        settings["models"] = ["lgbm"]
    return settings


def environment_weights(environment: Mapping[str, str]) -> dict[str, float]:
    """Return the blend weights that the environment sets, by model.

    Raises:
        ConfigError: A value is not a weight.
    """
    names = {"lgbm": "ENSEMBLE_W_LGBM", "torch": "ENSEMBLE_W_TORCH"}
    return {
        model: _weight(environment, name) for model, name in names.items() if environment.get(name)
    }


def is_switched_on(environment: Mapping[str, str], name: str, default: bool = False) -> bool:
    """Read a 0-or-1 environment name.

    Raises:
        ConfigError: Neither 0 nor 1 (nor true, false, yes, no).
    """
    text = environment.get(name, "").strip().lower()
    if text == "":
        return default
    if text in ("1", "true", "yes"):
        return True
    if text in ("0", "false", "no"):
        return False
    raise ConfigError(f"{name}: expected 0 or 1, got {environment[name]!r}")


def restarted_models(environment: Mapping[str, str]) -> frozenset[str]:
    """Return the models whose folds start over (``RESUME_TORCH=0``)."""
    is_resumed = is_switched_on(environment, "RESUME_TORCH", default=True)
    return frozenset() if is_resumed else frozenset({"torch"})


def required_models(environment: Mapping[str, str], configured: Sequence[str]) -> tuple[str, ...]:
    """Return the models without which a prediction is refused.

    Args:
        environment: ``FAIL_IF_TORCH_MISSING`` overrides the configuration.
        configured: Those of the run's configuration.
    """
    if not environment.get("FAIL_IF_TORCH_MISSING"):
        return tuple(configured)
    return ("torch",) if is_switched_on(environment, "FAIL_IF_TORCH_MISSING") else ()


def _weight(environment: Mapping[str, str], name: str) -> float:
    try:
        return TypeAdapter[float](Weight).validate_python(environment[name])
    except ValidationError as error:
        allowed = bounds("blend.weights")
        raise ConfigError(f"{name}: expected {allowed}, got {environment[name]!r}") from error
