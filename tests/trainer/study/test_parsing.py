"""Seeds, grids and search files: what is accepted, and what is refused with which words."""

import pytest

from trainer.config import ConfigError, flat_settings, make_config
from trainer.study.definition import difference_lines, make_study
from trainer.study.parsing import parse_grid, parse_seeds, read_search

BASE = make_config("quick", environment={})


def grid_study(*grid, seeds=(), **options):
    given = {"search": {}, "num_trials": None, "versions": {}} | options
    return make_study("night", BASE, seeds, parse_grid(grid, BASE), **given)


def search_of(tmp_path, text):
    path = tmp_path / "search.toml"
    path.write_text(text)
    return read_search(path, BASE)


def test_a_grid_has_all_combinations_and_its_first_setting_varies_slowest():
    study = grid_study("boosting.num_leaves=7,15", "boosting.extra_trees=true,false")
    assert [tuple(each.values()) for each in study.grid_trials()] == [
        ("7", "true"),
        ("7", "false"),
        ("15", "true"),
        ("15", "false"),
    ]
    assert study.num_trials == 4


def test_seeds_alone_are_one_trial_with_each_seed():
    study = grid_study(seeds=(42, 43, 44))
    assert (study.num_trials, list(study.grid_trials()), study.num_steps) == (1, [{}], 15)
    assert study.config({}, 44) == BASE.model_copy(update={"seed": 44})


def test_the_items_of_a_list_are_joined_by_a_plus():
    (setting,) = parse_grid(["network.conv_channels=8+16,16+32"], BASE)
    assert setting.values == ("8,16", "16,32")
    study = grid_study("network.conv_channels=8+16,16+32")
    config = study.config(next(study.grid_trials()), 42)
    assert flat_settings(config)["network.conv_channels"] == (8, 16)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("boosting.leaves=1,2", "--grid: unknown name 'boosting.leaves'; the nearest are"),
        ("boosting.num_leaves", "--grid: expected KEY=VALUE, got 'boosting.num_leaves'"),
        ("boosting.num_leaves=7", "--grid boosting.num_leaves: expected two or more values"),
        ("boosting.num_leaves=7,7", "expected two or more values, each once"),
        ("boosting.learning_rate=0.1,0.10", "two of these values are the same"),
        ("boosting.num_leaves=1,7", "a whole number from 2 to 131,072; got '1'"),
        ("seed=1,2", "--grid: seed cannot be varied: use --seeds"),
        ("data.source=watch,simulated", "data.source cannot be varied: scores on other recordings"),
        ("folds.count=3,5", "folds.count cannot be varied"),
        ("exact=machine,portable", "exact cannot be varied"),
    ],
)
def test_a_grid_is_refused_in_words(text, message):
    with pytest.raises(ConfigError, match=message.replace("(", r"\(")):
        parse_grid([text], BASE)


@pytest.mark.parametrize("text", ["", "a", "42,,43", "42,42", "-1", "4294967296", "42, 43"])
def test_seeds_are_refused_in_words(text):
    with pytest.raises(ConfigError, match=r"--seeds: expected .*; got"):
        parse_seeds(text)


def test_a_search_file_may_write_dotted_names_in_both_ways(tmp_path):
    search = search_of(
        tmp_path,
        '[boosting.learning_rate]\nlow = 1e-3\nhigh = 1\nlog = true\n["boosting.num_leaves"]\n'
        "low = 4\nhigh = 16\nstep = 4\n[network.select]\nchoices = ['last', 'best']\n",
    )
    assert set(search) == {"boosting.learning_rate", "boosting.num_leaves", "network.select"}
    rate, leaves = search["boosting.learning_rate"], search["boosting.num_leaves"]
    assert (rate.low, rate.high, rate.log, rate.is_whole) == (0.001, 1.0, True, False)
    assert (leaves.low, leaves.high, leaves.step, leaves.is_whole) == (4, 16, 4, True)
    assert search["network.select"].choices == ("last", "best")


def test_choices_may_be_switches_numbers_and_lists(tmp_path):
    search = search_of(
        tmp_path,
        "[boosting.extra_trees]\nchoices = [true, false]\n"
        "[network.conv_channels]\nchoices = [[8, 16], [16, 32]]\n",
    )
    assert search["boosting.extra_trees"].choices == ("true", "false")
    assert search["network.conv_channels"].choices == ("8,16", "16,32")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a table per setting"),
        ("a = ", "expected a TOML file"),
        ("rounds = 3", "expected tables such as"),
        ("[boosting.leaves]\nlow=1\nhigh=2", "unknown name 'boosting.leaves'; the nearest are"),
        ("[boosting.num_leaves]\nlow=1\nhigh=9", "whole number from 2 to 131,072; got '1'"),
        ("[boosting.num_leaves]\nlow=9\nhigh=2", "expected low below high; got 9 and 2"),
        ("[boosting.num_leaves]\nlow=2\nhigh=9.5", "boosting.num_leaves: .*whole number.*9.5"),
        ("[boosting.num_leaves]\nlow=2", "expected low and high, or choices"),
        ("[boosting.num_leaves]\nlow=2\nhigh=9\nstep=2", "low and a multiple of step; got 9"),
        ("[boosting.num_leaves]\nlow=2\nhigh=9\nmax=2", "max: Extra inputs are not permitted"),
        ("[boosting.num_leaves]\nlow='2'\nhigh=9", "low.*'2'"),
        ("[boosting.lambda_l1]\nlow=0\nhigh=9\nlog=true", "log: expected a low above 0"),
        ("[boosting.extra_trees]\nlow=0\nhigh=1", "it is no number. Expected choices"),
        ("[boosting.select]\nchoices=['last']", "expected two or more choices"),
        ("[boosting.select]\nchoices=['last','first']", "boosting.select: .*'first'"),
        ("[boosting.select]\nchoices=['last','best']\nlow=1", "either choices, or low and high"),
        ("[seed]\nlow=1\nhigh=9", "seed cannot be varied: use --seeds"),
    ],
)
def test_a_search_file_is_refused_in_words(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        search_of(tmp_path, text)


def test_a_missing_search_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"absent\.toml does not exist\. Expected a TOML file"):
        read_search(tmp_path / "absent.toml", BASE)


def test_grid_and_search_are_not_combined_and_a_search_has_a_number_of_trials(tmp_path):
    search = search_of(tmp_path, "[boosting.num_leaves]\nlow=2\nhigh=9")
    with pytest.raises(ConfigError, match="--grid and --search: expected one of them"):
        grid_study("boosting.extra_trees=true,false", search=search, num_trials=3)
    with pytest.raises(ConfigError, match="--search: expected also --trials N"):
        grid_study(search=search)
    with pytest.raises(ConfigError, match="--trials: expected also --search"):
        grid_study("boosting.extra_trees=true,false", num_trials=3)


def test_a_grid_whose_settings_cannot_be_combined_is_refused_before_it_begins():
    """Each weight alone may be 0, but not both."""
    with pytest.raises(ConfigError, match=r"--grid, trial 0: blend: expected a weight above 0"):
        grid_study("blend.lgbm_weight=0,1", "blend.torch_weight=0,1")


def test_the_differences_of_two_definitions_are_listed_and_more_trials_are_none(tmp_path):
    search = search_of(tmp_path, "[boosting.num_leaves]\nlow=2\nhigh=9")
    wider = search_of(tmp_path, "[boosting.num_leaves]\nlow=2\nhigh=12")
    study = grid_study(search=search, num_trials=4)
    assert difference_lines(study, grid_study(search=search, num_trials=9)) == []
    assert difference_lines(study, grid_study(search=search, num_trials=3)) == [
        "trials: 4 -> 3; expected as many or more"
    ]
    assert difference_lines(study, grid_study(search=wider, num_trials=4, seeds=(1, 2))) == [
        "seeds: 42 -> 1,2",
        "search boosting.num_leaves: low 2, high 9 -> low 2, high 12",
    ]
    grids = grid_study("boosting.num_leaves=2,3"), grid_study("boosting.num_leaves=2,4")
    assert difference_lines(*grids) == ["grid: boosting.num_leaves=2|3 -> boosting.num_leaves=2|4"]
