"""The registry of models, by name.

In: names, as a run's configuration lists them. Out: ``Model`` objects, in the same order. Importing
this loads neither LightGBM nor torch.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from pydantic import BaseModel

from trainer.config import Config, allow_model, allow_own_names
from trainer.models import libraries
from trainer.models.base import DataSize, FittedFold, Model, NoSettings
from trainer.models.boosting.model import LightGBM
from trainer.models.network.model import Network
from trainer.models.not_loaded import placeholder
from trainer.models.own_code import NO_CODE, OwnCode
from trainer.own_description import described_models
from trainer.plain_data import DamagedDataError, reading

BLEND = "blend"  # the name of all models together, in scores and on the screen

_MODELS: dict[str, Model] = {}
_own: OwnCode = NO_CODE  # of the run that this process trains


def register(model: Model, settings: type[BaseModel] | None = None) -> None:
    """Make a model available to runs.

    Args:
        model: The model; it replaces one of the same name.
        settings: The class of ``parameters.<name>``; None uses the model's ``settings_class``.
    """
    _MODELS[model.name] = model
    kind = settings or model.settings_class
    allow_model(model.name, None if kind is NoSettings else kind)


def is_registered(name: str) -> bool:
    """Return whether a model is part of this program, so that own code cannot have its name."""
    return name in _MODELS


def use_own(code: OwnCode) -> None:
    """Make the models of a run's own code available, instead of those of another run."""
    global _own
    _own = code
    kinds = {name: model.settings_class for name, model in code.models.items()}
    allow_own_names(
        code.use,
        {name: None if kind is NoSettings else kind for name, kind in kinds.items()},
        code.networks,
    )


def own() -> OwnCode:
    """Return the own code of the run that this process trains."""
    return _own


def get(name: str) -> Model:
    """Return a model by its name.

    One of own code that is not loaded is a placeholder, which has names and no more.

    Raises:
        KeyError: There is none of that name. Names of a ``Config`` always exist: it refuses others.
    """
    if name in _MODELS:
        return _MODELS[name]
    if name in _own.models:
        return _own.models[name]
    return placeholder(name, described_models()[name])


def trainable_models() -> tuple[Model, ...]:
    """Return every model that this process can train, in the order of registration."""
    return (*_MODELS.values(), *_own.models.values())


def all_models() -> tuple[Model, ...]:
    """Return every model that this process can train, and those of runs that were read."""
    described = (name for name in described_models() if not _is_loaded(name))
    return (*trainable_models(), *map(get, described))


def _is_loaded(name: str) -> bool:
    return name in _MODELS or name in _own.models


def select(names: Iterable[str]) -> tuple[Model, ...]:
    """Return the models of these names, in their order.

    Raises:
        KeyError: There is no model of one of the names.
    """
    return tuple(map(get, names))


def lead(names: Collection[str]) -> str:
    """Return the model that decides whether runs of these models need a GPU, among ours."""
    known = [model for model in _MODELS.values() if model.name in names]
    return next((model for model in known if model.uses_gpu), next(iter(_MODELS.values()))).name


def choose_settings(config: Config, size: DataSize) -> Config:
    """Return the configuration of a new run, with what its models choose by the recordings."""
    for model in select(config.models):
        config = model.choose_settings(config, size)
    return config


def open_packed(model: Model, packed: object) -> FittedFold:
    """Return the model of a packed fold from a file.

    Args:
        model: The model that should have packed it.
        packed: The part ``packed`` of a fold file, or of a fold in a bundle.

    Raises:
        DamagedDataError: It is not a fold of this model.
    """
    with reading(model.title):
        if not isinstance(packed, dict):
            raise DamagedDataError(f"packed: expected a table, got a {type(packed).__name__}")
        return model.open(packed)


def not_installed(names: Iterable[str]) -> dict[str, str]:
    """Return the models whose libraries are not installed, and which; imports nothing."""
    found = {model.name: libraries.not_installed(model.libraries) for model in select(names)}
    return {name: problem for name, problem in found.items() if problem}


def load_errors(names: Iterable[str]) -> dict[str, str]:
    """Import the models' libraries; return the models for which that fails, and the errors."""
    found = {model.name: libraries.import_problem(model.libraries) for model in select(names)}
    return {name: problem for name, problem in found.items() if problem}


def describe_load_errors(errors: Mapping[str, str]) -> str:
    """Return the result of ``load_errors`` as a clause."""
    return "; ".join(
        f"the library of {get(name).phrase} cannot be imported ({error})"
        for name, error in errors.items()
    )


def describe_left_out(left_out: Mapping[str, str]) -> list[str]:
    """Return a clause on each model that a run was made without, from ``RunFile.left_out``."""
    return [
        f"{phrase(name)} is not part of this run: when it was "
        f"made, its library could not be imported ({error})"
        for name, error in left_out.items()
    ]


def phrase(name: str) -> str:
    """Return the phrase of a model; the name itself where it is unknown."""
    return get(name).phrase if _is_known(name) else name


def title(name: str) -> str:
    """Return the title of a model or of the blend; the name itself where it is unknown."""
    if name == BLEND:
        return "Blend"
    return get(name).title if _is_known(name) else name


def _is_known(name: str) -> bool:
    return _is_loaded(name) or name in described_models()


register(LightGBM())
register(Network())
