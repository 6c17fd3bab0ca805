"""The configuration of a run: every setting with its bounds, the presets, the environment names.

In: options, ``--set KEY=VALUE`` pairs, environment names of the notebook family. Out: a frozen
``Config``. Precedence: option, ``--set``, environment, preset, default.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    ValidationError,
    model_serializer,
    model_validator,
)

SCHEMA = 1  # of every JSON file in the state folder
MAX_SHOWN = 80  # characters of a value in a message
_NUMBER_ERRORS = ("greater_than", "less_than", "int_", "float_", "finite_")  # pydantic's types
SIMULATED = "simulated"  # the name of the source, perhaps with ``:SUBJECTS``

Setting = bool | int | float | str | None
Share = Annotated[float, Field(ge=0.0, le=1.0)]
PositiveShare = Annotated[float, Field(gt=0.0, le=1.0)]
ShareBelowOne = Annotated[float, Field(ge=0.0, lt=1.0)]
Rate = Annotated[float, Field(gt=0.0, le=10.0)]  # above 1 training diverges
Penalty = Annotated[float, Field(ge=0.0, le=1e6)]
Weight = Annotated[float, Field(ge=0.0, le=1e6)]  # of a model in the blend
Count = Annotated[int, Field(ge=1, le=1_000_000)]  # of rounds or epochs
Threads = Annotated[int, Field(ge=1, le=1024)]  # LightGBM crashes where the system refuses threads
Select = Literal["last", "best"]
Width = Annotated[int, Field(ge=1, le=4096)]  # of a layer

# of one of ours, or of a network in a file of the user's own code; ``Config`` checks which
OWN_NAME = r"[a-z][a-z0-9_]{0,39}"
Architecture = Annotated[str, Field(pattern=f"^{OWN_NAME}$")]
OwnFile = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,59}\.py [0-9a-f]{64}$")]
# from this number of sequences on, networks are branches (docs/experiments.md, Network)
MANY_SEQUENCES = 5_000
EPOCHS = {"time_series_net": 45, "branches": 12}  # branches overfit in more
MEMBERS = {"time_series_net": 1, "branches": 3}
STATISTICS_MEMBERS = {"time_series_net": 3, "branches": 0}

MAX_WEIGHTS = 200_000_000  # of the networks of a fold: 10 GB with gradients, moments and copies


class ConfigError(ValueError):
    """A configuration that cannot be used; the message contains the field and what to do."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DataConfig(_Frozen):
    """The recordings and their preprocessing."""

    source: str = "watch"
    sampling_rate_hz: Annotated[float, Field(gt=0.0, le=1e6)] = (
        10.0  # for axis labels only: the schema has no times
    )
    mirror_left_handers: bool = True
    turn_reversed: bool = True  # devices rotated by half a turn about z, by their recordings

    @property
    def is_simulated(self) -> bool:
        """Return whether the recordings are simulated: scores on them are not real ones."""
        return is_simulated(self.source)


class FoldsConfig(_Frozen):
    """How sequences are split: by subject, stratified by gesture, or as a file assigns them.

    Without a file its settings are left out of what is written, so that such a run has the same
    ``config.json`` and the same key as before there were files.
    """

    count: Annotated[int, Field(ge=2, le=50)] = 5  # of a file: its number of folds
    # of the assignment of sequences to folds in --folds-file, whatever the file's name and format
    file_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    # the file has subjects in several folds (--allow-shared-subjects): all scores are optimistic
    shared_subjects: bool = False

    @model_serializer(mode="wrap")
    def _without_absent(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in dump(self).items() if name == "count" or value}


class FramesConfig(_Frozen):
    """The network's input of one sequence."""

    # None: 95th percentile of the training part, rounded up to a multiple of 4
    length: Annotated[int, Field(ge=4, le=65_536, multiple_of=4)] | None = None


class BoostingConfig(_Frozen):
    """LightGBM, boosted in segments so that a fold resumes exactly."""

    rounds: Count = 500
    segment_rounds: Annotated[int, Field(ge=1, le=500)] = (
        25  # later ones are up to four times as long
    )
    # the round of the model: the last one, so that nothing is chosen on the rows that are scored,
    # or the best one on the validation part, as in the notebook family
    select: Select = "last"
    patience_rounds: Count = 75  # of early stopping, where the best round is selected
    learning_rate: Rate = 0.05
    num_leaves: Annotated[int, Field(ge=2, le=131_072)] = 15  # LightGBM's own bound
    max_depth: Annotated[int, Field(ge=-1, le=1000)] = 8  # -1 and 0: no limit
    max_bin: Annotated[int, Field(ge=2, le=255)] = 63  # 2.4 times faster than 255 (DESIGN.md)
    min_data_in_leaf: Annotated[int, Field(ge=1, le=10_000_000)] = 5
    # per tree; 0.05 and 0.3 are compared on asl and watch in docs/experiments.md
    feature_fraction: PositiveShare = 0.05
    extra_trees: bool = True  # one random threshold of each feature
    bagging_fraction: PositiveShare = 0.8
    bagging_freq: Annotated[int, Field(ge=0, le=1_000_000)] = 1
    lambda_l1: Penalty = 0.1
    lambda_l2: Penalty = 5.0  # 0.1 is slightly worse on all sources
    # half of the competition's test sequences have neither thermopiles nor time of flight: share of
    # the training rows that get a copy with these features hidden, and share of the others in which
    # they are hidden; both are measured on simulated recordings in docs/experiments.md
    masked_copies: Share = 1.0
    modality_dropout: Share = 0.0
    # 2 threads that spin while they wait: 1.9 times faster alone, 2 to 14 times slower beside other
    # work; 2 threads that sleep: 2 times slower alone. Folds side by side use the other cores
    num_threads: Threads = 1


class NetworkConfig(_Frozen):
    """The PyTorch network.

    A new run chooses what is None by the number of its sequences (``chosen_for``), and stores it.
    """

    architecture: Architecture | None = None
    epochs: Count | None = None
    batch_size: Annotated[int, Field(ge=2, le=65_536)] = 64
    learning_rate: Rate = 3e-3
    weight_decay: Penalty = 1e-2
    warmup_share: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.1  # OneCycleLR pct_start
    label_smoothing: ShareBelowOne = 0.05
    gradient_clip: Annotated[float, Field(gt=0.0, le=1e6)] = 1.0
    dropout: ShareBelowOne = 0.2
    ema_decay: ShareBelowOne = 0.0  # of the weights' moving average; 0: none
    select: Select = "last"  # as ``boosting.select``
    patience_epochs: Count = 15  # of early stopping, where the best epoch is selected
    modality_dropout: Share = 0.3
    mixup_alpha: Annotated[float, Field(ge=0.0, le=1000.0)] = 0.4  # 0: no mixup
    # standard deviation of a random rotation of the sensor about each axis; 0: none
    rotation_deg: Annotated[float, Field(ge=0.0, le=180.0)] = 10.0
    # largest share by which a sequence is made shorter or longer; 0: none
    stretch: ShareBelowOne = 0.3
    # largest share of a sequence that is cut off at its start and at its end; 0: none
    shift: Annotated[float, Field(ge=0.0, lt=0.5)] = 0.1
    # of the loss of the auxiliary targets, where they are annotated: whether the gesture is being
    # performed (phase), and the posture of the body (orientation); 0: none
    auxiliary_weight: Annotated[float, Field(ge=0.0, le=1000.0)] = 0.3
    # networks of one fold, each with its own first weights; their probabilities are averaged
    members: Annotated[int, Field(ge=1, le=16)] | None = None
    # networks on statistics of the signals beside them, averaged in the same way
    statistics_members: Annotated[int, Field(ge=0, le=16)] | None = None
    # a second network in each fold without thermopiles and time of flight, which predicts sequences
    # that have neither
    imu_network: bool = True
    conv_channels: tuple[Width, Width] = (64, 128)
    recurrent_units: Width = 64
    # changes no result, so it may depend on the clock
    save_interval_s: Annotated[float, Field(gt=0.0, le=604_800.0)] = 30.0
    num_threads: Threads = 1

    @property
    def kind(self) -> Architecture:
        """Return the architecture; where it is not chosen yet, the notebook family's."""
        return self.architecture or "time_series_net"

    @property
    def num_epochs(self) -> int:
        """Return the number of epochs, by default that of the architecture."""
        return self.epochs or EPOCHS.get(self.kind, EPOCHS["time_series_net"])

    @property
    def num_members(self) -> int:
        """Return the number of networks of a fold, by default that of the architecture."""
        return self.members or MEMBERS.get(self.kind, 1)

    @property
    def num_statistics_members(self) -> int:
        """Return the number of networks on statistics; none where it is not chosen yet."""
        return self.statistics_members or 0

    def chosen_for(self, num_sequences: int) -> NetworkConfig:
        """Return the settings with a choice for what is None."""
        by_size = "branches" if num_sequences >= MANY_SEQUENCES else "time_series_net"
        chosen = self.model_copy(update={"architecture": self.architecture or by_size})
        numbers = {"epochs": chosen.num_epochs, "members": chosen.num_members}
        if chosen.statistics_members is None:
            numbers["statistics_members"] = STATISTICS_MEMBERS.get(chosen.kind, 0)
        return chosen.model_copy(update=numbers)

    @model_validator(mode="after")
    def _check_size(self) -> NetworkConfig:
        first, second = self.conv_channels
        units = self.recurrent_units
        # convolutions of up to 400 channels, LSTM and GRU in both directions, attention, head
        per_network = 7 * 400 * first + 5 * first * second + 8 * units * (second + units)
        per_network += 18 * units * units + 8 * units * units
        num_weights = per_network * self.num_members
        num_weights += 2_800_000 * self.num_statistics_members  # with 100 channels
        num_weights *= 2 if self.imu_network else 1
        if num_weights > MAX_WEIGHTS:
            raise ValueError(
                f"network: expected at most {MAX_WEIGHTS:,} weights of a fold; got about "
                f"{num_weights:,}. Lower network.conv_channels, network.recurrent_units or "
                f"network.members"
            )
        return self


class BlendConfig(_Frozen):
    """The weights of folds and models."""

    lgbm_weight: Weight = 0.4  # 0.4 : 0.6 is the notebook family's
    torch_weight: Weight = 0.6
    weights: dict[str, Weight] = {}  # of other models, by name
    fold_weights: Literal["equal", "score"] = "equal"
    # divide each model's log probabilities by the temperature with the smallest loss on the
    # out-of-fold rows of the other folds; it changes no gesture of one model, but those of a blend
    calibrate: bool = True
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
_REMOVED = {
    "boosting": ("fixed_rounds", "fit_temperature"),
    "network": ("sensor_dropout", "fixed_epochs", "temperature", "fit_temperature"),
}


class Config(_Frozen):
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
    parameters: dict[str, dict[str, Setting]] = {}  # of models without a field above

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


def explain(error: ValidationError, kind: type[BaseModel], *place: str) -> str:
    """Return the first error of a validation: the setting, what was expected and what came.

    Args:
        error: Of ``kind``.
        kind: The class that was validated.
        place: Where it is in the configuration.
    """
    detail: Any = error.errors()[0]
    if detail["type"] == "value_error":  # from a check of several settings
        return str(detail["ctx"]["error"])
    path = [*place, *map(str, detail["loc"])]
    expected = detail["msg"]
    if detail["type"].startswith(_NUMBER_ERRORS):
        known, name = _bounds_of(kind), ".".join(map(str, detail["loc"]))
        found = known.get(name) or known.get(name.rpartition(".")[0])  # of one of several numbers
        expected = f"expected {found}" if found is not None else expected
    return f"{'.'.join(path)}: {expected}; got {repr(detail.get('input'))[:MAX_SHOWN]}"


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


def setting_text(value: Any) -> str:  # noqa: ANN401 - a setting
    """Return a value as ``--set`` accepts it."""
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return ",".join(str(item) for item in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass(frozen=True)
class Bounds:
    """The bounds of a number.

    Attributes:
        is_whole: Whether it is a whole number.
        low: The lower bound.
        high: The upper bound.
        has_low: Whether ``low`` itself is valid.
        has_high: Whether ``high`` itself is valid.
    """

    is_whole: bool
    low: float
    high: float
    has_low: bool
    has_high: bool

    def __str__(self) -> str:
        """Return the bounds in words, such as "a number above 0, at most 10"."""
        low, high = (f"{bound:,.16g}" for bound in (self.low, self.high))
        if self.has_low and self.has_high:
            return f"a {'whole ' * self.is_whole}number from {low} to {high}"
        return (
            f"a {'whole ' * self.is_whole}number {'from' if self.has_low else 'above'} {low}, "
            f"{'at most' if self.has_high else 'below'} {high}"
        )


def bounds(name: str) -> Bounds:
    """Return the bounds of a numeric setting, by its dotted name."""
    return _bounds_of(Config)[name]


@cache
def _bounds_of(kind: type[BaseModel]) -> dict[str, Bounds]:
    """Return the bounds of the numbers of a class, by dotted name, from its JSON schema."""
    schema = kind.model_json_schema()
    return dict(_find_bounds("", schema, schema.get("$defs", {})))


def _find_bounds(
    name: str, node: Mapping[str, Any], definitions: Mapping[str, Any]
) -> Iterator[tuple[str, Bounds]]:
    if "$ref" in node:
        node = definitions[node["$ref"].rpartition("/")[2]]
    low = node.get("minimum", node.get("exclusiveMinimum"))
    high = node.get("maximum", node.get("exclusiveMaximum"))
    if low is not None and high is not None:
        is_whole = node["type"] == "integer"
        yield name, Bounds(is_whole, low, high, "minimum" in node, "maximum" in node)
    values = node.get("additionalProperties")
    for part in (*node.get("anyOf", ()), *node.get("prefixItems", ())[:1], values):
        if isinstance(part, Mapping):
            yield from _find_bounds(name, part, definitions)
    for key, part in node.get("properties", {}).items():
        yield from _find_bounds(f"{name}.{key}".lstrip("."), part, definitions)


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
        return TypeAdapter[float](Weight).validate_python(environment[name])
    except ValidationError as error:
        allowed = bounds("blend.weights")
        raise ConfigError(f"{name}: expected {allowed}, got {environment[name]!r}") from error


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
    known = (*setting_names(), *_names_by_model())
    if name in known or name in OF_FOLDS_FILE or _is_of_own_code(name):
        return
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or list(known[:3])
    raise ConfigError(f"{option}: unknown name {name!r}; the nearest are {', '.join(near)}")


def _is_of_own_code(name: str) -> bool:
    """Return whether a setting can be one of own code that this process has not loaded."""
    found = re.fullmatch(r"(?:blend\.weights|parameters)\.(\w+)(?:\.\w+)?", name)
    if found is None or _OWN.use or found[1] in _KNOWN_MODELS:
        return False
    return is_own_name(found[1])


def _weight_name(model: str) -> str:
    name = f"{model}_weight"
    return name if name in BlendConfig.model_fields else f"weights.{model}"


def _names_by_model() -> Iterator[str]:
    """Yield the names that registering a model adds."""
    for model, kind in {**_KNOWN_MODELS, **_OWN.settings}.items():
        if _weight_name(model) not in BlendConfig.model_fields:
            yield f"blend.{_weight_name(model)}"
        for key in () if kind is None else kind.model_fields:
            yield f"parameters.{model}.{key}"
