"""The configuration of a run, and the names of models and networks that it can have.

In: values; the models that the registry knows; the names of own code. Out: a frozen ``Config``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError, model_validator

from trainer.config.sections import (
    EPOCHS,
    OWN_NAME,
    BlendConfig,
    BoostingConfig,
    DataConfig,
    FoldsConfig,
    FramesConfig,
    Frozen,
    NetworkConfig,
    OwnFile,
    Setting,
)
from trainer.config.setting_bounds import Bounds, bounds_of, explain

SCHEMA = 1  # of every JSON file in the state folder


class ConfigError(ValueError):
    """A configuration that cannot be used; the message contains the field and what to do."""


# Settings of earlier versions, ignored on reading, so that ``config.json`` of their runs stays
# readable. Resuming such a run is refused for its earlier code version, ``--set`` for the name.
_REMOVED = {
    "boosting": ("fixed_rounds", "fit_temperature"),
    "network": ("sensor_dropout", "fixed_epochs", "temperature", "fit_temperature"),
}


class Config(Frozen):
    """All settings of a run; its result depends on them, the recordings and the code."""

    preset: Literal["quick", "full"] = "full"
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 42
    models: Annotated[tuple[str, ...], Field(min_length=1)] = ("lgbm", "torch")
    use: Annotated[tuple[OwnFile, ...], Field(max_length=20)] = ()  # name and SHA-256 of own code
    exact: Literal["machine", "portable"] = "machine"
    data: DataConfig = DataConfig()
    folds: FoldsConfig = FoldsConfig()
    frames: FramesConfig = FramesConfig()
    boosting: BoostingConfig = BoostingConfig()
    network: NetworkConfig = NetworkConfig()
    blend: BlendConfig = BlendConfig()
    parameters: dict[str, dict[str, Setting]] = Field(default={})  # of models without a field above

    @model_validator(mode="before")
    @classmethod
    def _ignore_removed_settings(cls, values: Any) -> Any:  # noqa: ANN401 - not yet checked
        if not isinstance(values, Mapping):
            return values
        kept = dict(values)
        for part, removed in _REMOVED.items():
            given = values.get(part)
            if isinstance(given, Mapping) and not given.keys().isdisjoint(removed):
                left = {name: given[name] for name in given if name not in removed}
                kept[part] = {"select": "best"} | left  # those versions had no other choice
        return kept

    @model_validator(mode="before")
    @classmethod
    def _fill_parameters(cls, values: Any) -> Any:  # noqa: ANN401 - not yet checked
        if not isinstance(values, Mapping):
            return values
        parameters, models = values.get("parameters") or {}, values.get("models", ())
        if not (isinstance(parameters, Mapping) and isinstance(models, list | tuple)):
            return values  # refused by the fields themselves
        given = dict(parameters)
        for model in (*filter(lambda name: isinstance(name, str), models), *parameters):
            kind = _settings_class(model, values.get("use") or ())
            if kind is not None:
                try:
                    given[model] = kind.model_validate(given.get(model, {})).model_dump()
                except ValidationError as error:
                    raise ValueError(explain(error, kind, "parameters", model)) from error
        return {**values, "parameters": given} if given else values

    @model_validator(mode="after")
    def _check_models(self) -> Config:
        if len(set(self.models)) < len(self.models):
            raise ValueError(f"models: expected each once; got {setting_text(self.models)}")
        named = (*self.models, *self.parameters, *self.blend.weights)
        known = (*_KNOWN_MODELS, *_OWN.settings)
        unknown = [model for model in named if not self._may_name(model, _KNOWN_MODELS, known)]
        if unknown:
            raise ValueError(f"models: expected some of {', '.join(known)}; got {unknown[0]!r}")
        networks = (*EPOCHS, *_OWN.networks)
        if not self._may_name(self.network.kind, EPOCHS, networks):
            raise ValueError(
                f"network.architecture: expected one of {', '.join(networks)}, or the name of a "
                f"network in a file that --use names; got {self.network.kind!r}"
            )
        names = [used_file(text)[0].lower() for text in self.use]
        if len(set(names)) < len(names):
            raise ValueError("use: expected files of different names; rename one of them")
        weights = {model: self.blend.by_model.get(model, 0.0) for model in self.models}
        if not any(weights.values()):
            given = [f"blend.{_weight_name(model)} {weights[model]:g}" for model in weights]
            raise ValueError(f"blend: expected a weight above 0; got {', '.join(given)}")
        return self

    def _may_name(self, name: str, ours: Collection[str], known: Collection[str]) -> bool:
        """Return whether a model or network is one of ours, or can be one of the own code.

        Which names the own code has is known where it is loaded; a run is readable without.
        """
        if name in ours or not self.use:
            return name in ours
        return name in known if self.use == _OWN.use else is_own_name(name)


# The models that a run can name, and the class of their ``parameters``; filled by the registry.
_KNOWN_MODELS: dict[str, type[BaseModel] | None] = {"lgbm": None, "torch": None}
RESERVED = (*_KNOWN_MODELS, *EPOCHS, "blend")  # names that own code cannot have


@dataclass(frozen=True)
class _OwnNames:
    """The names of the own code of the run that this process trains."""

    use: tuple[str, ...] = ()
    settings: Mapping[str, type[BaseModel] | None] = field(default_factory=dict)
    networks: tuple[str, ...] = ()


_OWN = _OwnNames()


def allow_own_names(
    use: Sequence[str],
    settings: Mapping[str, type[BaseModel] | None],
    networks: Sequence[str],
) -> None:
    """Allow the names of a run's own code in configurations that use it, instead of others.

    Args:
        use: The run's ``use``.
        settings: Name of each model to the class of ``parameters.<name>``; None where it has no
            settings.
        networks: Names of networks.
    """
    global _OWN
    _OWN = _OwnNames(tuple(use), dict(settings), tuple(networks))


def used_file(text: str) -> tuple[str, str]:
    """Return name and SHA-256 of an entry of ``use``."""
    name, _, digest = text.partition(" ")
    return name, digest


def is_own_name(name: str) -> bool:
    """Return whether own code can give this name to a model or a network."""
    is_short = bool(re.fullmatch(OWN_NAME, name))
    return is_short and name not in RESERVED and not name.endswith("_imu")


def _settings_class(model: str, use: object) -> type[BaseModel] | None:
    """Return the class of a model's ``parameters``, where this process knows it."""
    if model in _OWN.settings and isinstance(use, list | tuple) and tuple(use) == _OWN.use:
        return _OWN.settings[model]
    return _KNOWN_MODELS.get(model)


def allow_model(name: str, settings: type[BaseModel] | None = None) -> None:
    """Allow a model's name in configurations.

    Args:
        name: The model's name.
        settings: The class of ``parameters.<name>``; None where ``Config`` has a field for the
            model, or where it has no settings.
    """
    _KNOWN_MODELS[name] = settings


def validate(values: Mapping[str, Any]) -> Config:
    """Return the checked configuration.

    Raises:
        ConfigError: A value is not valid; the message contains the field, what was expected and the
            value.
    """
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise ConfigError(explain(error, Config)) from error


def bounds(name: str) -> Bounds:
    """Return the bounds of a numeric setting, by its dotted name."""
    return bounds_of(Config)[name]


def setting_text(value: Any) -> str:  # noqa: ANN401 - a setting
    """Return a value as ``--set`` accepts it."""
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return ",".join(str(item) for item in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def is_of_own_code(name: str) -> bool:
    """Return whether a setting can be one of own code that this process has not loaded."""
    found = re.fullmatch(r"(?:blend\.weights|parameters)\.(\w+)(?:\.\w+)?", name)
    if found is None or _OWN.use or found[1] in _KNOWN_MODELS:
        return False
    return is_own_name(found[1])


def names_by_model() -> Iterator[str]:
    """Yield the names that registering a model adds."""
    for model, kind in {**_KNOWN_MODELS, **_OWN.settings}.items():
        if _weight_name(model) not in BlendConfig.model_fields:
            yield f"blend.{_weight_name(model)}"
        for key in () if kind is None else kind.model_fields:
            yield f"parameters.{model}.{key}"


def _weight_name(model: str) -> str:
    name = f"{model}_weight"
    return name if name in BlendConfig.model_fields else f"weights.{model}"
