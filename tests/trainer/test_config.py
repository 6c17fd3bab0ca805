"""The configuration: precedence, refusals, and the notebook family's environment names."""

import json
from typing import Annotated, Literal, get_args, get_origin

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, ValidationError
from pydantic.fields import FieldInfo

from trainer.config import (
    PRESETS,
    Config,
    ConfigError,
    differences,
    environment_settings,
    is_switched_on,
    make_config,
    overlay,
    parse_assignment,
    setting_names,
    validate,
)
from trainer.models import registry
from trainer.store.durable import StoreError
from trainer.store.records import RunFile, parse_record

LGBM_WEIGHT = "blend.lgbm_weight"

OUT_OF_BOUNDS = (
    ("seed", -1),
    ("seed", 2**31),
    ("models", ["lgbm", "forest"]),
    ("models", []),
    ("models", ["lgbm", "lgbm"]),
    ("exact", "roughly"),
    ("data.sampling_rate_hz", 0),
    ("data.mirror_left_handers", "perhaps"),
    ("data.turn_reversed", "perhaps"),
    ("folds.count", 1),
    ("folds.count", 51),
    ("folds.count", 2.5),
    ("frames.length", 2),
    ("frames.length", 6),
    ("boosting.rounds", 0),
    ("boosting.segment_rounds", 0),
    ("boosting.segment_rounds", 501),
    ("boosting.patience_rounds", 0),
    ("boosting.select", "first"),
    ("boosting.learning_rate", 0),
    ("boosting.learning_rate", float("nan")),
    ("boosting.learning_rate", float("inf")),
    ("boosting.num_leaves", 1),
    ("boosting.max_depth", "deep"),
    ("boosting.max_bin", 1),
    ("boosting.max_bin", 256),
    ("boosting.min_data_in_leaf", 0),
    ("boosting.feature_fraction", 0),
    ("boosting.feature_fraction", 1.1),
    ("boosting.extra_trees", "perhaps"),
    ("boosting.bagging_fraction", 0),
    ("boosting.bagging_fraction", 1.1),
    ("boosting.bagging_freq", -1),
    ("boosting.lambda_l1", -0.1),
    ("boosting.lambda_l2", -0.1),
    ("boosting.masked_copies", -0.1),
    ("boosting.masked_copies", 1.1),
    ("boosting.modality_dropout", -0.1),
    ("boosting.modality_dropout", 1.1),
    ("boosting.num_threads", 0),
    ("network.architecture", "forest"),
    ("network.epochs", 0),
    ("network.batch_size", 1),
    ("network.learning_rate", 0),
    ("network.weight_decay", -1),
    ("network.warmup_share", 0),
    ("network.warmup_share", 1),
    ("network.label_smoothing", -0.1),
    ("network.label_smoothing", 1),
    ("network.gradient_clip", 0),
    ("network.dropout", -0.1),
    ("network.dropout", 1),
    ("network.ema_decay", -0.1),
    ("network.ema_decay", 1),
    ("network.patience_epochs", 0),
    ("network.select", "first"),
    ("blend.calibrate", "perhaps"),
    ("network.members", 0),
    ("network.members", 17),
    ("network.motion", "turns"),
    ("network.statistics_members", -1),
    ("network.statistics_members", 17),
    ("network.imu_network", "perhaps"),
    ("network.modality_dropout", -0.1),
    ("network.modality_dropout", 1.1),
    ("network.mixup_alpha", -0.1),
    ("network.auxiliary_weight", -0.1),
    ("network.rotation_deg", -1),
    ("network.rotation_deg", 181),
    ("network.stretch", -0.1),
    ("network.stretch", 1),
    ("network.shift", -0.1),
    ("network.shift", 0.5),
    ("network.conv_channels", [64]),
    ("network.conv_channels", [0, 64]),
    ("network.recurrent_units", 0),
    ("network.save_interval_s", 0),
    ("network.num_threads", 0),
    ("blend.lgbm_weight", -0.1),
    ("blend.torch_weight", -0.1),
    ("blend.fold_weights", "best"),
    ("blend.fail_if_torch_missing", "perhaps"),
    ("data.sampling_rate_hz", 10000000.0),
    ("frames.length", 65540),
    ("boosting.rounds", 1000001),
    ("boosting.patience_rounds", 1000000000),
    ("boosting.learning_rate", 1e308),
    (
        "boosting.learning_rate",
        10000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000,
    ),
    ("boosting.num_leaves", 1000000000),
    ("boosting.max_depth", -2),
    ("boosting.max_depth", 1001),
    ("boosting.min_data_in_leaf", 100000000),
    ("boosting.bagging_freq", 10000000),
    ("boosting.lambda_l1", 1e300),
    ("boosting.lambda_l2", 1e300),
    ("boosting.num_threads", 1000000),
    ("network.epochs", 1000001),
    ("network.batch_size", 1000000),
    ("network.learning_rate", 1e308),
    ("network.weight_decay", 10000000.0),
    ("network.gradient_clip", 10000000.0),
    ("network.patience_epochs", 1000000000),
    ("network.mixup_alpha", 10000.0),
    ("network.auxiliary_weight", 10000.0),
    ("network.conv_channels", [4097, 64]),
    ("network.recurrent_units", 10000000),
    ("network.save_interval_s", 1000000000.0),
    ("network.num_threads", 1025),
    ("blend.lgbm_weight", 10000000.0),
    ("blend.torch_weight", float("nan")),
)

AT_THE_BOUNDS = (
    ("seed", 0),
    ("seed", 2**31 - 1),
    ("folds.count", 2),
    ("folds.count", 50),
    ("frames.length", 4),
    ("frames.length", None),
    ("boosting.rounds", 1),
    ("boosting.segment_rounds", 500),
    ("boosting.max_bin", 255),
    ("boosting.feature_fraction", 1.0),
    ("boosting.bagging_freq", 0),
    ("boosting.masked_copies", 0.0),
    ("boosting.modality_dropout", 1.0),
    ("network.batch_size", 2),
    ("network.dropout", 0.0),
    ("network.mixup_alpha", 0.0),
    ("network.auxiliary_weight", 0.0),
    ("network.rotation_deg", 180.0),
    ("blend.lgbm_weight", 0.0),
    ("boosting.num_leaves", 131_072),
    ("boosting.num_threads", 1024),
    ("boosting.max_depth", -1),
    ("boosting.rounds", 1_000_000),
    ("network.learning_rate", 10.0),
    ("blend.lgbm_weight", 1e6),
)


def get(config, name):
    """Return a setting by its dotted name."""
    for part in name.split("."):
        config = getattr(config, part)
    return config


# Precedence


def test_precedence_is_option_set_environment_preset_default():
    """Each overrides those after it: option, --set, environment, preset, default."""
    default = make_config(environment={})
    environment = {"ENSEMBLE_W_LGBM": "0.1"}
    assert get(default, LGBM_WEIGHT) == 0.4
    assert get(make_config(environment=environment), LGBM_WEIGHT) == 0.1
    by_set = make_config(assignments=[f"{LGBM_WEIGHT}=0.2"], environment=environment)
    assert get(by_set, LGBM_WEIGHT) == 0.2
    by_option = make_config(
        options={LGBM_WEIGHT: 0.3}, assignments=[f"{LGBM_WEIGHT}=0.2"], environment=environment
    )
    assert get(by_option, LGBM_WEIGHT) == 0.3


def test_the_environment_overrides_a_preset(monkeypatch):
    """ENSEMBLE_W_LGBM overrides the blend weight of a preset."""
    monkeypatch.setitem(PRESETS, "quick", {"blend": {"lgbm_weight": 0.7}})
    assert get(make_config("quick", environment={}), LGBM_WEIGHT) == 0.7
    assert get(make_config("quick", environment={"ENSEMBLE_W_LGBM": "0.1"}), LGBM_WEIGHT) == 0.1


def test_a_preset_overrides_some_defaults():
    """Quick boosts 100 rounds where full boosts 500; its other settings are the defaults."""
    quick, full = make_config("quick", environment={}), make_config(environment={})
    assert (quick.preset, quick.boosting.rounds) == ("quick", 100)
    assert (full.preset, full.boosting.rounds) == ("full", 500)
    assert quick.network.num_epochs < full.network.num_epochs
    assert (quick.folds, quick.boosting.num_leaves) == (full.folds, full.boosting.num_leaves)


@pytest.mark.parametrize(
    ("assignments", "num_sequences", "expected"),
    [
        ([], 4_999, ("time_series_net", 45, 1, 3)),
        ([], 5_000, ("branches", 12, 3, 0)),
        (["network.epochs=3"], 5_000, ("branches", 3, 3, 0)),
        (["network.architecture=time_series_net"], 5_000, ("time_series_net", 45, 1, 3)),
        (["network.architecture=branches", "network.members=1"], 10, ("branches", 12, 1, 0)),
        (["network.statistics_members=0"], 10, ("time_series_net", 45, 1, 0)),
    ],
)
def test_the_network_is_chosen_by_the_number_of_sequences(assignments, num_sequences, expected):
    """Few: one network on steps, three on statistics; many: three of branches. Settings count."""
    network = make_config(assignments=assignments, environment={}).network
    chosen = network.chosen_for(num_sequences)
    numbers = (chosen.epochs, chosen.members, chosen.statistics_members)
    assert (chosen.architecture, *numbers) == expected
    assert chosen.motion == ("path" if chosen.architecture == "branches" else None)
    assert chosen.chosen_for(1) == chosen


def test_branches_may_have_turns_by_step():
    network = make_config(assignments=["network.motion=steps"], environment={}).network
    assert network.chosen_for(5_000).motion == "steps"


def test_the_preset_quick_leaves_nothing_to_choose():
    """Its networks are the same small one, however many sequences there are."""
    quick = make_config("quick", environment={}).network
    assert quick.chosen_for(1) == quick.chosen_for(100_000) == quick


def test_the_last_of_two_assignments_is_used():
    """As on other command lines, the last --set of a name counts."""
    config = make_config(assignments=["seed=1", "seed=2"], environment={})
    assert config.seed == 2


def test_a_configuration_reads_the_process_environment_by_default(monkeypatch):
    """environment=None is os.environ."""
    monkeypatch.setenv("ENSEMBLE_W_TORCH", "0.9")
    assert make_config().blend.torch_weight == 0.9
    assert make_config(environment={}).blend.torch_weight == 0.6


def test_an_overlay_changes_only_its_own_settings():
    """An option changes one setting of a run's configuration and no other."""
    config = make_config("quick", assignments=["network.dropout=0.5"], environment={})
    changed = overlay(config, {}, ["seed=7"], {"folds.count": 3})
    assert differences(config, changed) == ["seed: 42 -> 7", "folds.count: 5 -> 3"]
    assert changed.network.dropout == 0.5


# Refusals


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("boosting.learning_rat", "boosting.learning_rate"),
        ("learning_rate", "boosting.learning_rate"),
        ("network.epoch", "network.epochs"),
        ("folds.counts", "folds.count"),
        ("sed", "seed"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(name, nearest):
    """The message contains the name and the nearest real ones, including the intended one."""
    with pytest.raises(ConfigError) as caught:
        make_config(assignments=[f"{name}=1"], environment={})
    message = str(caught.value)
    assert message.startswith(f"--set: unknown name {name!r}; the nearest are ")
    assert nearest in message.partition("nearest are ")[2].split(", ")


@pytest.mark.parametrize("name", ["boosting", "", "boosting.", "schema", "run"])
def test_a_section_or_another_name_in_the_run_file_is_no_setting(name):
    """Only leaves can be set, and nothing that config.json holds beside the configuration."""
    with pytest.raises(ConfigError, match="unknown name"):
        make_config(assignments=[f"{name}=1"], environment={})


def test_an_assignment_without_a_value_is_refused():
    """KEY alone is not KEY=VALUE, and the message contains the text."""
    with pytest.raises(ConfigError, match="--set: expected KEY=VALUE, got 'seed'"):
        parse_assignment("seed")


def test_an_unknown_preset_is_refused_with_the_known_ones():
    """The message lists the presets."""
    with pytest.raises(ConfigError, match="preset: expected one of full, quick; got 'fast'"):
        make_config("fast", environment={})


@pytest.mark.parametrize(("name", "value"), OUT_OF_BOUNDS)
def test_a_value_out_of_bounds_is_refused_by_name(name, value):
    """The message begins with the dotted name and ends with the value."""
    with pytest.raises(ConfigError) as caught:
        make_config(options={name: value}, environment={})
    assert str(caught.value).startswith(name)
    assert "; got " in str(caught.value)


@pytest.mark.parametrize(("name", "value"), AT_THE_BOUNDS)
def test_a_value_at_a_bound_is_accepted(name, value):
    """Inclusive bounds are valid values."""
    assert get(make_config(options={name: value}, environment={}), name) == value


def test_every_number_has_a_bound_that_is_tested():
    """A new numeric setting needs a line in OUT_OF_BOUNDS."""
    tested = {name for name, _ in OUT_OF_BOUNDS}
    free = {"preset", "data.source", "use"}
    assert set(setting_names()) == tested | free


def numbers_of(kind, prefix=""):
    """Yield the dotted name of every int and float of a class of settings, and its bounds."""
    for name, field in kind.model_fields.items():
        yield from _numbers(prefix + name, field.annotation, field.metadata)


def _numbers(name, annotation, metadata):
    arguments = get_args(annotation)
    if get_origin(annotation) is Annotated:
        yield from _numbers(name, arguments[0], arguments[1:])
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield from numbers_of(annotation, f"{name}.")
    elif annotation in (int, float):
        fields = [item for item in metadata if isinstance(item, FieldInfo)]
        limits = [*metadata, *(limit for field in fields for limit in field.metadata)]
        yield (
            name,
            {key for limit in limits for key in ("ge", "gt", "le", "lt") if hasattr(limit, key)},
        )
    elif get_origin(annotation) is not Literal:
        for argument in arguments:
            yield from _numbers(name, argument, ())


def test_every_number_has_a_lower_and_an_upper_bound():
    """An unbounded number could crash a library or take all memory before any message."""
    kinds = (Config, *(model.settings_class for model in registry.all_models()))
    numbers = [found for kind in kinds for found in numbers_of(kind)]
    assert len(numbers) > 40
    free = {"parameters"}  # settings of other models: their own class bounds them
    assert {
        name
        for name, limits in numbers
        if name not in free and not (limits & {"ge", "gt"} and limits & {"le", "lt"})
    } == set()


def test_a_number_without_bounds_is_found():
    """The walk above enters sections, tuples, dicts and optional numbers."""

    class Part(BaseModel):
        low: Annotated[int, Field(ge=0)] = 1

    class Whole(BaseModel):
        part: Part = Part()
        pair: tuple[float, Annotated[int, Field(ge=0, le=1)]] = (0.0, 0)
        named: dict[str, float] = {}
        perhaps: Annotated[int, Field(gt=0, lt=9)] | None = None
        switch: bool = True

    assert list(numbers_of(Whole)) == [
        ("part.low", {"ge"}),
        ("pair", set()),
        ("pair", {"ge", "le"}),
        ("named", set()),
        ("perhaps", {"gt", "lt"}),
    ]


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("boosting.num_threads=1000000", "a whole number from 1 to 1,024; got '1000000'"),
        ("boosting.num_leaves=1000000000", "a whole number from 2 to 131,072; got '1000000000'"),
        ("boosting.learning_rate=1e308", "a number above 0, at most 10; got '1e308'"),
        ("network.recurrent_units=10000000", "a whole number from 1 to 4,096; got '10000000'"),
        ("network.dropout=2", "a number from 0, below 1; got '2'"),
        ("boosting.max_depth=deep", "a whole number from -1 to 1,000; got 'deep'"),
        ("folds.count=2.5", "a whole number from 2 to 50; got '2.5'"),
    ],
)
def test_a_refusal_contains_the_name_both_bounds_and_the_value(assignment, message):
    name = assignment.partition("=")[0]
    with pytest.raises(ConfigError) as caught:
        make_config(assignments=[assignment], environment={})
    assert str(caught.value) == f"{name}: expected {message}"


def test_a_long_value_is_cut_in_the_message():
    with pytest.raises(ConfigError) as caught:
        make_config(assignments=[f"seed={'9' * 100_000}"], environment={})
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "widths",
    [
        {"network.recurrent_units": 4096},
        {"network.conv_channels": [4096, 4096], "network.members": 16},
        {"network.recurrent_units": 2048, "network.imu_network": True, "network.members": 2},
    ],
)
def test_widths_that_are_too_large_together_are_refused(widths):
    """Each is within its bounds; the fold's networks would take tens of gigabytes."""
    with pytest.raises(ConfigError, match=r"network: expected at most 200,000,000 weights.*Lower"):
        make_config(options=widths, environment={})


@pytest.mark.parametrize(
    "values",
    [
        {"models": 5},
        {"models": [[]]},
        {"models": {"lgbm": 1}},
        {"parameters": 5},
        {"parameters": {"lgbm": 5}},
        {"network": []},
        {"boosting": None},
        {"boosting": {"num_leaves": 1e300}},
        {"boosting": {"rounds": 10**400}},
        {"blend": {"weights": {"lgbm": -1}}},
        [],
    ],
)
def test_values_of_another_type_are_refused_in_words(values):
    """As config.json of an imported run may have them."""
    with pytest.raises(ConfigError, match="; got "):
        validate(values)


def test_a_run_file_has_the_bounds_of_the_configuration(tiny_run):
    """config.json of an imported run is refused like an option."""
    path = tiny_run / "config.json"
    values = json.loads(path.read_bytes())
    values["boosting"]["num_threads"] = 1_000_000
    with pytest.raises(StoreError, match=r"boosting\.num_threads.*1000000"):
        parse_record(json.dumps(values).encode(), path, RunFile)


def test_a_blend_without_any_weight_is_refused_before_training():
    """Not all weights of the trained models may be 0."""
    both = r"blend: expected a weight above 0; got blend\.lgbm_weight 0, blend\.torch_weight 0"
    with pytest.raises(ConfigError, match=both):
        make_config(options={LGBM_WEIGHT: 0, "blend.torch_weight": 0}, environment={})
    with pytest.raises(ConfigError, match=r"above 0; got blend\.lgbm_weight 0$"):
        make_config(options={LGBM_WEIGHT: 0, "models": ["lgbm"]}, environment={})


def test_a_configuration_is_immutable():
    """Including its sections."""
    config = make_config(environment={})
    with pytest.raises(ValidationError, match="frozen"):
        config.boosting.rounds = 3


# Assignments


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("seed=7", ("seed", "7")),
        ("frames.length=none", ("frames.length", None)),
        ("models=torch", ("models", ["torch"])),
        ("models=lgbm,torch", ("models", ["lgbm", "torch"])),
        ("network.conv_channels=8,16", ("network.conv_channels", ["8", "16"])),
        ("data.source=a=b.csv", ("data.source", "a=b.csv")),
        ("data.source=a,b.csv", ("data.source", "a,b.csv")),
    ],
)
def test_an_assignment_is_split_at_the_first_equals_sign(text, parsed):
    """A list setting is split at commas; none is None."""
    assert parse_assignment(text) == parsed


def test_every_setting_can_be_set_to_its_own_value():
    """--set accepts every dotted name of config.json with its value there."""
    config = make_config("quick", environment={})
    for name in setting_names():
        if name in ("preset", "use"):  # their own options
            continue
        value = get(config, name)
        text = "none" if value is None else value
        text = ",".join(map(str, value)) if isinstance(value, tuple) else text
        assert differences(config, overlay(config, {}, [f"{name}={text}"])) == [], name


def test_a_network_of_ones_own_is_alone_unless_requested():
    """The quick preset's network on statistics belongs beside ours."""
    own = {"use": [f"mine.py {'0' * 64}"], "network.architecture": "mine"}
    assert make_config("quick", own, environment={}).network.statistics_members == 0
    requested = make_config("quick", own, ["network.statistics_members=1"], environment={})
    assert requested.network.statistics_members == 1
    assert overlay(requested, {}, [], own) == requested  # as a run is continued
    ours = make_config("quick", {"network.architecture": "branches"}, environment={})
    assert ours.network.statistics_members == 1


def test_own_code_is_not_set_like_a_setting():
    """A hash without the file would name code that is nowhere, so it is refused."""
    with pytest.raises(ConfigError, match="--use"):
        make_config("quick", {}, [f"use=ideas.py {'0' * 64}"], environment={})


def test_a_preset_is_not_set_like_a_setting():
    """--set preset=quick would set the name of a preset without its values, so it is refused."""
    with pytest.raises(ConfigError, match="--preset"):
        make_config(assignments=["preset=quick"], environment={})


def test_a_configuration_survives_json():
    """Written to config.json and read again, it is the same configuration."""
    config = make_config("quick", {"network.conv_channels": [8, 16]}, environment={})
    assert validate(json.loads(config.model_dump_json())) == config


@given(st.sampled_from(setting_names()), st.text(max_size=20))
def test_any_text_is_accepted_or_refused_with_a_message(name, text):
    """For any text the result is a configuration or a ConfigError."""
    try:
        assert isinstance(make_config(assignments=[f"{name}={text}"], environment={}), Config)
    except ConfigError as error:
        assert name.partition(".")[0] in str(error)


def test_a_removed_setting_is_ignored_in_a_file_and_refused_in_an_option():
    """The configuration of an earlier version can be read; the name cannot be set any more."""
    config = make_config("quick", environment={})
    values = json.loads(config.model_dump_json())
    values["network"]["sensor_dropout"] = 0.2
    assert validate(values) == config
    with pytest.raises(ConfigError, match=r"unknown name 'network\.sensor_dropout'"):
        make_config(assignments=["network.sensor_dropout=0.2"], environment={})
    values["network"]["sensor_dropouts"] = 0.2
    with pytest.raises(ConfigError, match=r"network\.sensor_dropouts: Extra inputs"):
        validate(values)


# Differences


def test_differences_contain_both_values():
    """One line per setting, ``name: old -> new``."""
    old = make_config(environment={})
    new = make_config(options={"seed": 7, "models": ["lgbm"], "frames.length": 64}, environment={})
    assert differences(old, new) == [
        "seed: 42 -> 7",
        "models: lgbm,torch -> lgbm",
        "frames.length: none -> 64",
    ]


def test_the_source_and_the_name_of_the_preset_are_no_difference():
    """A run can be resumed with the same recordings at another path."""
    old = make_config(environment={})
    new = make_config(options={"data.source": "/elsewhere/train.csv"}, environment={})
    assert differences(old, new) == []


# The notebook family's environment names


def test_the_blend_weights_come_from_the_environment():
    """ENSEMBLE_W_LGBM and ENSEMBLE_W_TORCH set the weights of the blend."""
    config = make_config(environment={"ENSEMBLE_W_LGBM": "1", "ENSEMBLE_W_TORCH": "3"})
    assert (config.blend.lgbm_weight, config.blend.torch_weight) == (1.0, 3.0)


@pytest.mark.parametrize("text", ["heavy", "-1", "nan"])
def test_an_invalid_weight_is_refused_with_its_environment_name(text):
    """The refusal contains ENSEMBLE_W_LGBM."""
    with pytest.raises(ConfigError, match=f"ENSEMBLE_W_LGBM: .*got '{text}'"):
        make_config(environment={"ENSEMBLE_W_LGBM": text})


@pytest.mark.parametrize(("text", "models"), [("0", ("lgbm",)), ("1", ("lgbm", "torch"))])
def test_use_torch_decides_whether_the_network_is_trained(text, models):
    """USE_TORCH=0 trains only LightGBM; 1 is the default here."""
    assert make_config(environment={"USE_TORCH": text}).models == models
    assert make_config(environment={}).models == ("lgbm", "torch")


def test_an_option_overrides_use_torch():
    """--models torch trains the network even with USE_TORCH=0."""
    config = make_config(options={"models": ["torch"]}, environment={"USE_TORCH": "0"})
    assert config.models == ("torch",)


@pytest.mark.parametrize(("text", "is_on"), [("1", True), ("0", False), ("true", True)])
def test_fail_if_torch_missing_is_a_setting(text, is_on):
    """FAIL_IF_TORCH_MISSING is blend.fail_if_torch_missing."""
    assert environment_settings({"FAIL_IF_TORCH_MISSING": text}) == {
        "blend.fail_if_torch_missing": is_on
    }


def test_an_empty_environment_name_is_ignored():
    """A name that is set to an empty text sets nothing."""
    names = ("ENSEMBLE_W_LGBM", "ENSEMBLE_W_TORCH", "FAIL_IF_TORCH_MISSING", "USE_TORCH")
    assert environment_settings(dict.fromkeys(names, "")) == {}


def test_a_switch_that_is_neither_on_nor_off_is_refused():
    """The message contains its name and its value."""
    with pytest.raises(ConfigError, match="RESUME: expected 0 or 1, got 'maybe'"):
        is_switched_on({"RESUME": "maybe"}, "RESUME")
