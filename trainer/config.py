"""The configuration of a run: every setting with its bounds, the presets, the environment names.

In: options, ``--set KEY=VALUE`` pairs, environment names of the notebook family. Out: a frozen
``Config``. Precedence: option, ``--set``, environment, preset, default.
"""

from __future__ import annotations

import difflib
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

SCHEMA = 1  # of every JSON file in the state folder
SIMULATED = "simulated"  # the name of the source, perhaps with ``:SUBJECTS``

Setting = bool | int | float | str | None
Share = Annotated[float, Field(ge=0.0, le=1.0)]
PositiveShare = Annotated[float, Field(gt=0.0, le=1.0)]
ShareBelowOne = Annotated[float, Field(ge=0.0, lt=1.0)]
NonNegative = Annotated[float, Field(ge=0.0)]
Positive = Annotated[float, Field(gt=0.0)]
Count = Annotated[int, Field(ge=1)]


class ConfigError(ValueError):
    """A configuration that cannot be used; the message contains the field and what to do."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DataConfig(_Frozen):
    """The recordings and their preprocessing."""

    source: str = "watch"
    sampling_rate_hz: Positive = 10.0  # for axis labels only: the schema has no times
    mirror_left_handers: bool = True
    turn_reversed: bool = True  # devices rotated by half a turn about z, by their recordings

    @property
    def is_simulated(self) -> bool:
        """Return whether the recordings are simulated: scores on them are not real ones."""
        return is_simulated(self.source)


class FoldsConfig(_Frozen):
    """How sequences are split: by subject, stratified by gesture."""

    count: Annotated[int, Field(ge=2, le=50)] = 5


class FramesConfig(_Frozen):
    """The network's input of one sequence."""

    # None: 95th percentile of the training part, rounded up to a multiple of 4
    length: Annotated[int, Field(ge=4, multiple_of=4)] | None = None


class BoostingConfig(_Frozen):
    """LightGBM, boosted in segments so that a fold resumes exactly."""

    rounds: Count = 500
    segment_rounds: Annotated[int, Field(ge=1, le=500)] = (
        25  # later ones are up to four times as long
    )
    patience_rounds: Count = 75
    # this round's score is reported beside that of the best round, which is chosen on the scored
    # rows; early stopping waits for it
    fixed_rounds: Count = 150
    learning_rate: Positive = 0.05
    num_leaves: Annotated[int, Field(ge=2)] = 15
    max_depth: int = 8
    max_bin: Annotated[int, Field(ge=2, le=255)] = 63  # 2.4 times faster than 255 (DESIGN.md)
    min_data_in_leaf: Count = 5
    # per tree; 0.05 and 0.3 are compared on asl and watch in docs/experiments.md
    feature_fraction: PositiveShare = 0.05
    extra_trees: bool = True  # one random threshold of each feature
    bagging_fraction: PositiveShare = 0.8
    bagging_freq: Annotated[int, Field(ge=0)] = 1
    lambda_l1: NonNegative = 0.1
    lambda_l2: NonNegative = 5.0  # 0.1 is slightly worse on all sources
    # half of the competition's test sequences have neither thermopiles nor time of flight: share of
    # the training rows that get a copy with these features hidden, and share of the others in which
    # they are hidden; both are measured on simulated recordings in docs/experiments.md
    masked_copies: Share = 1.0
    modality_dropout: Share = 0.0
    # divide the best round's raw scores by the temperature with the smallest validation loss; it
    # changes no predicted class of one model, but the model's part in a blend
    fit_temperature: bool = True
    # 2 threads that spin while they wait: 1.9 times faster alone, 2 to 14 times slower beside other
    # work; 2 threads that sleep: 2 times slower alone. Folds side by side use the other cores
    num_threads: Count = 1


class NetworkConfig(_Frozen):
    """The PyTorch network."""

    architecture: Literal["time_series_net", "branches"] = "time_series_net"
    epochs: Count = 45
    batch_size: Annotated[int, Field(ge=2)] = 64
    learning_rate: Positive = 3e-3
    weight_decay: NonNegative = 1e-2
    warmup_share: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.1  # OneCycleLR pct_start
    label_smoothing: ShareBelowOne = 0.05
    gradient_clip: Positive = 1.0
    dropout: ShareBelowOne = 0.2
    ema_decay: ShareBelowOne = 0.0  # of the weights' moving average; 0: none
    patience_epochs: Count = 15
    # as ``boosting.fixed_rounds``
    fixed_epochs: Count = 45
    modality_dropout: Share = 0.3
    mixup_alpha: NonNegative = 0.4  # 0: no mixup
    # standard deviation of a random rotation of the sensor about each axis; 0: none
    rotation_deg: Annotated[float, Field(ge=0.0, le=180.0)] = 10.0
    # largest share by which a sequence is made shorter or longer; 0: none
    stretch: ShareBelowOne = 0.3
    # largest share of a sequence that is cut off at its start and at its end; 0: none
    shift: Annotated[float, Field(ge=0.0, lt=0.5)] = 0.1
    # of the loss of the auxiliary targets, where they are annotated: whether the gesture is being
    # performed (phase), and the posture of the body (orientation); 0: none
    auxiliary_weight: NonNegative = 0.3
    # networks of one fold, each with its own first weights; their probabilities are averaged
    members: Annotated[int, Field(ge=1, le=16)] = 1
    # a second network in each fold without thermopiles and time of flight, which predicts sequences
    # that have neither
    imu_network: bool = True
    # divisor of the logits: a network trained with mixup is not confident enough
    temperature: Positive = 0.6
    fit_temperature: bool = True  # of the best epoch, as ``boosting.fit_temperature``
    conv_channels: tuple[Count, Count] = (64, 128)
    recurrent_units: Count = 64
    save_interval_s: Positive = 30.0  # changes no result, so it may depend on the clock
    num_threads: Count = 1


class BlendConfig(_Frozen):
    """The weights of folds and models."""

    lgbm_weight: NonNegative = 0.4  # 0.4 : 0.6 is the notebook family's
    torch_weight: NonNegative = 0.6
    weights: dict[str, NonNegative] = {}  # of other models, by name
    fold_weights: Literal["equal", "score"] = "equal"
    fail_if_torch_missing: bool = False

    @property
    def by_model(self) -> dict[str, float]:
        """Return the weight of each model; only their ratios matter."""
        return {"lgbm": self.lgbm_weight, "torch": self.torch_weight, **self.weights}

    @property
    def required_models(self) -> tuple[str, ...]:
        """Return the models without which a prediction is refused."""
        return ("torch",) if self.fail_if_torch_missing else ()


# Settings of earlier versions, ignored on reading, so that ``config.json`` of their runs stays
# readable. Resuming such a run is refused for its earlier code version, ``--set`` for the name.
_REMOVED_OF_NETWORK = ("sensor_dropout",)


class Config(_Frozen):
    """All settings of a run; its result depends on them, the recordings and the code."""

    preset: Literal["quick", "full"] = "full"
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 42
    models: Annotated[tuple[str, ...], Field(min_length=1)] = ("lgbm", "torch")
    exact: Literal["machine", "portable"] = "machine"
    data: DataConfig = DataConfig()
    folds: FoldsConfig = FoldsConfig()
    frames: FramesConfig = FramesConfig()
    boosting: BoostingConfig = BoostingConfig()
    network: NetworkConfig = NetworkConfig()
    blend: BlendConfig = BlendConfig()
    parameters: dict[str, dict[str, Setting]] = {}  # of models without a field above

    @model_validator(mode="before")
    @classmethod
    def _ignore_removed_settings(cls, values: Any) -> Any:  # noqa: ANN401 - not yet checked
        network = values.get("network") if isinstance(values, Mapping) else None
        if not isinstance(network, Mapping):
            return values
        kept = {name: value for name, value in network.items() if name not in _REMOVED_OF_NETWORK}
        return {**values, "network": kept}

    @model_validator(mode="before")
    @classmethod
    def _fill_parameters(cls, values: Any) -> Any:  # noqa: ANN401 - not yet checked
        if not isinstance(values, Mapping):
            return values
        given = dict(values.get("parameters") or {})
        for model in (*values.get("models", ()), *given):
            kind = _KNOWN_MODELS.get(model)
            if kind is not None:
                try:
                    given[model] = kind.model_validate(given.get(model, {})).model_dump()
                except ValidationError as error:
                    detail = error.errors()[0]
                    where = ".".join(map(str, ("parameters", model, *detail["loc"])))
                    raise ValueError(
                        f"{where}: {detail['msg']}; got {detail['input']!r}"
                    ) from error
        return {**values, "parameters": given} if given else values

    @model_validator(mode="after")
    def _check_models(self) -> Config:
        if len(set(self.models)) < len(self.models):
            raise ValueError(f"models: expected each once; got {setting_text(self.models)}")
        named = (*self.models, *self.parameters, *self.blend.weights)
        unknown = [model for model in named if model not in _KNOWN_MODELS]
        if unknown:
            raise ValueError(
                f"models: expected some of {', '.join(_KNOWN_MODELS)}; got {unknown[0]!r}"
            )
        weights = {model: self.blend.by_model.get(model, 0.0) for model in self.models}
        if not any(weights.values()):
            given = [f"blend.{_weight_name(model)} {weights[model]:g}" for model in weights]
            raise ValueError(f"blend: expected a weight above 0; got {', '.join(given)}")
        return self


# The models that a run can name, and the class of their ``parameters``; filled by the registry.
_KNOWN_MODELS: dict[str, type[BaseModel] | None] = {"lgbm": None, "torch": None}


def allow_model(name: str, settings: type[BaseModel] | None = None) -> None:
    """Allow a model's name in configurations.

    Args:
        name: The model's name.
        settings: The class of ``parameters.<name>``; None where ``Config`` has a field for the
            model, or where it has no settings.
    """
    _KNOWN_MODELS[name] = settings


PRESETS: dict[str, dict[str, Any]] = {
    "full": {},  # the defaults above
    "quick": {
        "boosting": {
            "rounds": 100,
            "patience_rounds": 25,
            "fixed_rounds": 75,
            "learning_rate": 0.1,
        },
        "network": {
            "epochs": 14,
            "patience_epochs": 14,
            "batch_size": 32,
            "mixup_alpha": 0.2,
            "stretch": 0.0,  # pays only in more than 14 epochs
            "shift": 0.0,
        },
    },
}
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
    """Return a configuration with some settings replaced; precedence as in ``make_config``."""
    values: dict[str, Any] = config.model_dump()
    for layer in (
        environment_values,
        dict(parse_assignment(text) for text in assignments),
        dict(options or {}),
    ):
        for key, value in layer.items():
            _put(values, key, value)
    return validate(values)


def validate(values: Mapping[str, Any]) -> Config:
    """Return the checked configuration.

    Raises:
        ConfigError: A value is not valid; the message contains the field, what was expected and the
            value.
    """
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        detail = error.errors()[0]
        if not detail["loc"]:  # from a check of several settings
            raise ConfigError(str(detail["ctx"]["error"])) from error
        where = ".".join(str(part) for part in detail["loc"])
        raise ConfigError(f"{where}: {detail['msg']}; got {detail.get('input')!r}") from error


def parse_assignment(text: str) -> tuple[str, str | list[str] | None]:
    """Split ``KEY=VALUE``; a list is separated by commas, ``none`` is None.

    Raises:
        ConfigError: There is no ``=``, or the name is unknown; the nearest names are listed.
    """
    key, separator, value = text.partition("=")
    if not separator:
        raise ConfigError(f"--set: expected KEY=VALUE, got {text!r}")
    _check_name(key)
    if key == "preset":
        raise ConfigError(f"--set: a preset is many settings at once; use --preset {value}")
    if value.lower() == "none":
        return key, None
    is_list = isinstance(flat_settings(Config()).get(key), tuple)
    return key, value.split(",") if is_list else value


def setting_text(value: Any) -> str:  # noqa: ANN401 - a setting
    """Return a value as ``--set`` accepts it."""
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return ",".join(str(item) for item in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def setting_names() -> tuple[str, ...]:
    """Return every dotted name that ``--set`` accepts."""
    return tuple(flat_settings(Config()))


def flat_settings(config: Config) -> dict[str, Any]:
    """Return every setting by its dotted name."""
    return _flatten(config.model_dump())


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


def is_simulated(source: str) -> bool:
    """Return whether a source is one of simulated recordings, by its name."""
    return source.partition(":")[0] == SIMULATED


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


def differences(old: Config, new: Config) -> list[str]:
    """Return the differences that change results, each as ``name: old -> new``."""
    old_values, new_values = flat_settings(old), flat_settings(new)
    return [
        f"{name}: {setting_text(old_values.get(name))} -> {setting_text(new_values.get(name))}"
        for name in {**old_values, **new_values}
        if old_values.get(name) != new_values.get(name) and name not in WITHOUT_EFFECT
    ]


def _weight(environment: Mapping[str, str], name: str) -> float:
    try:
        weight = float(environment[name])
    except ValueError:
        weight = math.nan
    if not 0.0 <= weight < math.inf:
        raise ConfigError(f"{name}: expected a number from 0 up, got {environment[name]!r}")
    return weight


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


def _check_name(name: str) -> None:
    known = (*setting_names(), *_names_by_model())
    if name in known:
        return
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or list(known[:3])
    raise ConfigError(f"--set: unknown name {name!r}; the nearest are {', '.join(near)}")


def _weight_name(model: str) -> str:
    name = f"{model}_weight"
    return name if name in BlendConfig.model_fields else f"weights.{model}"


def _names_by_model() -> Iterator[str]:
    """Yield the names that registering a model adds."""
    for model, kind in _KNOWN_MODELS.items():
        if _weight_name(model) not in BlendConfig.model_fields:
            yield f"blend.{_weight_name(model)}"
        for field in () if kind is None else kind.model_fields:
            yield f"parameters.{model}.{field}"
