"""The structure of LightGBM's model text: what is trained passes, everything else is refused."""

from __future__ import annotations

import random
import re

import lightgbm as lgb
import numpy as np
import pytest

from tests.support.fold_tasks import BOOSTING_CONFIG, FEATURE_NAMES, fit_table_fold, make_table_task
from tests.support.model_mutations import join_blocks, mutate_model_text, tree_blocks, with_line
from trainer.models import registry
from trainer.models.boosting.booster import contributions, predict
from trainer.models.boosting.model import pack, unpack
from trainer.models.boosting.text_check import check_text
from trainer.plain_data import DamagedDataError

NUM_FEATURES = len(FEATURE_NAMES)
BEFORE_TREES = (
    "num_class=3", "num_tree_per_iteration=3", "label_index=0", "max_feature_idx=9", "version=v4",
    "objective=multiclass num_class:3", "tree\n",
)  # fmt: skip


@pytest.fixture(scope="module")
def model():
    """A fold of a few trees: 3 classes, 10 features, 5 leaves at most."""
    return fit_table_fold().model


def refused(text, message):
    with pytest.raises(DamagedDataError, match=message):
        check_text(text, 3, NUM_FEATURES)


def numbers_of(text, tree, key):
    return re.search(rf"(?m)^{key}=(.*)$", tree_blocks(text)[1][tree]).group(1).split(" ")


def test_a_trained_model_has_the_trees_of_all_rounds(model):
    assert check_text(model.text, 3, NUM_FEATURES) == model.booster.num_trees()


def test_trees_of_one_leaf_and_infinite_thresholds_pass():
    """No split is possible; all values that are not missing go to one side."""
    config = BOOSTING_CONFIG.model_copy(update={"min_data_in_leaf": 80, "rounds": 3})
    single = fit_table_fold(config=config).model
    assert check_text(single.text, 3, NUM_FEATURES) == 3
    assert "num_leaves=1\n" in single.text
    infinite = with_line(single.text, 0, "leaf_value", "0.5")
    assert check_text(infinite, 3, NUM_FEATURES) == 3
    values_NF = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    values_NF[::3, 0] = np.nan
    params = {"objective": "multiclass", "num_class": 2, "verbosity": -1, "num_threads": 1}
    params |= {"min_data_in_leaf": 5, "boost_from_average": False}
    label_N = np.isnan(values_NF[:, 0]).astype(int)
    text = lgb.train(params, lgb.Dataset(values_NF, label_N), 2).model_to_string()
    assert "threshold=inf" in text
    assert check_text(text, 2, 2) == 4  # with importances, as a segment has them


def test_a_fold_without_some_classes_and_one_that_stops_at_once_pass():
    task = make_table_task(num_classes=4)
    task.label_idx[task.train_idx] = task.label_idx[task.train_idx] % 3
    config = BOOSTING_CONFIG.model_copy(update={"rounds": 1})
    model = fit_table_fold(task, config=config).model
    assert unpack(pack(model)).class_idx.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("key", "values", "message"),
    [
        ("split_feature", {0: "10"}, "split_feature: expected 0 to 9, got 10"),
        ("split_feature", {0: "-1"}, "split_feature"),
        ("split_feature", {0: "2147483648"}, "split_feature"),
        ("left_child", {0: "0"}, "left_child: expected a later split or a leaf"),
        ("left_child", {0: "1000000"}, "left_child"),
        ("right_child", {0: "-100"}, "right_child"),
        ("right_child", {-1: "-1"}, "reached once"),
        ("decision_type", {0: "1"}, "decision_type"),  # a category
        ("decision_type", {0: "4"}, "decision_type"),  # zero as missing
        ("threshold", {0: "nan"}, "threshold"),
        ("threshold", {0: "1_0"}, "threshold"),
        ("leaf_value", {0: "1e999"}, "leaf_value: expected"),
        ("leaf_value", {0: "inf"}, "leaf_value"),
        ("leaf_value", {0: "1e101"}, "leaf_value"),
        ("leaf_value", {0: "1" * 40}, "at most 32 characters"),
        ("leaf_value", {0: "1.2.3"}, "expected numbers"),
        ("split_gain", {0: "nan"}, "split_gain"),
        ("leaf_count", {0: "0"}, "internal_count|leaf_count"),
        ("internal_count", {0: "0"}, "internal_count"),
        ("num_leaves", {0: "100"}, "expected 99 numbers"),
        ("num_leaves", {0: "0"}, "num_leaves: expected 1 to"),
        ("num_leaves", {0: "2147483647"}, "num_leaves: expected 1 to"),
        ("num_cat", {0: "1"}, "num_cat: expected 0 to 0"),
        ("is_linear", {0: "1"}, "is_linear"),
        ("shrinkage", {0: "nan"}, "shrinkage"),
        ("leaf_weight", {0: ""}, "one space|expected . numbers"),
        ("leaf_weight", {0: "1 1"}, "leaf_weight: expected . numbers"),
        ("internal_value", {0: "1-2"}, "internal_value|expected numbers"),
        ("left_child", {0: "1-2"}, "left_child|whole numbers"),
    ],
)
def test_a_line_of_a_tree_that_lightgbm_would_trust_is_refused(model, key, values, message):
    """Indices out of bounds, wrong numbers of numbers, numbers that are not finite."""
    numbers = numbers_of(model.text, 4, key)
    for place, value in values.items():
        numbers[place] = value
    refused(with_line(model.text, 4, key, " ".join(numbers)), message)


@pytest.mark.parametrize("line", BEFORE_TREES)
def test_another_header_is_refused(model, line):
    """One number more, or a line that is missing or twice."""
    for changed in (line.replace("3", "4") + "0", "", f"{line}\n{line}"):
        refused(model.text.replace(line, changed, 1), "model text|tree_sizes")


def test_keys_that_lightgbm_does_not_write_are_refused(model):
    header, blocks, tail = tree_blocks(model.text)
    for line in ("cat_boundaries=0 1", "leaf_const=1 2", "num_leaves=2"):
        changed = [blocks[0].replace("num_cat", f"{line}\nnum_cat"), *blocks[1:]]
        refused(join_blocks(header, changed, tail), "lines in each")
        renamed = [blocks[0].replace("num_cat=0", line), *blocks[1:]]
        refused(join_blocks(header, renamed, tail), "num_cat|numbers")
    refused(model.text.replace("[boosting: gbdt]", "[boosting]"), "after the trees")
    refused(model.text.replace("[linear_tree: 0]", "[linear_tree: 1]"), "after the trees")
    refused(model.text.replace("[max_bin: 63]", "[max_bin: many]"), "after the trees")
    refused(model.text.replace("pandas_categorical:null", "pandas_categorical:" + "[" * 9), "after")
    refused(model.text.replace("num_leaves", "num_leaves", 1) + "x", "after the trees")


def test_sizes_and_numbers_of_trees_must_agree_with_the_trees(model):
    header, blocks, tail = tree_blocks(model.text)
    refused(header + "".join(blocks[:-3]) + tail, "tree_sizes: expected a sum")
    refused(join_blocks(header, blocks[:-1], tail), "multiple of 3 trees")
    refused(join_blocks(header, [blocks[0], *blocks[:0:-1]], tail), "numbered")
    sizes = re.search(r"tree_sizes=(.*)", header).group(1).split(" ")
    sizes[0], sizes[1] = str(int(sizes[0]) + 1), str(int(sizes[1]) - 1)
    moved = re.sub(r"tree_sizes=.*", "tree_sizes=" + " ".join(sizes), header)
    refused(moved + "".join(blocks) + tail, "tree_sizes: expected the size of each tree")


def test_a_circle_that_no_root_reaches_is_refused(model):
    """Each node has one parent, but two splits are each other's child."""
    block = next(b for b in tree_blocks(model.text)[1] if "num_leaves=5\n" in b)
    tree = tree_blocks(model.text)[1].index(block)
    text = with_line(model.text, tree, "left_child", "-1 2 1 -3")
    refused(with_line(text, tree, "right_child", "-2 3 -4 -5"), "later split")


def test_a_chain_of_too_many_splits_is_refused(model):
    """Contributions would need memory for the square of the depth."""
    num_leaves = 1200
    chain = {
        "num_leaves": [num_leaves],
        "split_feature": [0] * (num_leaves - 1),
        "split_gain": [1] * (num_leaves - 1),
        "threshold": [0.5] * (num_leaves - 1),
        "decision_type": [2] * (num_leaves - 1),
        "left_child": [*range(1, num_leaves - 1), -1],
        "right_child": range(-2, -num_leaves - 1, -1),
        "leaf_value": [0.1] * num_leaves,
        "leaf_weight": [1] * num_leaves,
        "leaf_count": [1] * num_leaves,
        "internal_value": [0] * (num_leaves - 1),
        "internal_weight": [1] * (num_leaves - 1),
        "internal_count": range(num_leaves, 1, -1),
    }
    text = model.text
    for key, numbers in chain.items():
        text = with_line(text, 0, key, " ".join(map(str, numbers)))
    refused(text, "a depth of at most 1000")


def test_changed_texts_are_refused_or_predict_finite_numbers(model):
    """300 seeded changes; what passes is parsed, predicts and explains."""
    rng = random.Random(0)
    values_NF = make_table_task().inputs.values_NF[:4]
    num_passed = 0
    for _ in range(300):
        packed = pack(model) | {"model_text": mutate_model_text(model.text, rng)}
        try:
            opened = registry.open_packed(registry.get("lgbm"), packed)
        except DamagedDataError:
            continue
        num_passed += 1
        assert np.isfinite(predict(opened.model, values_NF)).all()
        assert np.isfinite(contributions(opened.model, values_NF)).all()
    assert 0 < num_passed < 100


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("class_idx", np.array([0, 1, 3])), ("class_idx", np.array([1, 0, 2])),
        ("class_idx", np.array([-1, 0, 1])), ("class_idx", np.array([0, 1])),
        ("class_idx", np.zeros((3, 1), dtype=int)), ("class_idx", np.array([0.0, 1.0, 2.0])),
        ("class_idx", [0, 1, 2]), ("class_idx", np.zeros(0, dtype=int)),
        ("log_shares", np.array([0.0, np.nan, 0.0])), ("log_shares", np.zeros(4)),
        ("log_shares", np.full(3, 1e300)), ("log_shares", np.array(["a", "b", "c"])),
        ("num_classes", 10**9), ("num_classes", 0), ("num_classes", True), ("num_classes", "3"),
        ("temperature", 0.0), ("temperature", float("nan")), ("temperature", -1.0),
        ("temperature", 1e-300), ("temperature", 10**400), ("temperature", "1"),
        ("feature_names", ["a"]), ("feature_names", list("aabcdefghi")), ("feature_names", None),
        ("feature_names", [1] * 10), ("feature_names", ["x" * 10_000, *"bcdefghij"]),
        ("model_text", b"tree"), ("model_text", ""), ("model_text", None),
    ],
)  # fmt: skip
def test_other_parts_of_a_packed_fold_are_checked(model, part, value):
    """Types, shapes, ranges, before anything is computed from them."""
    with pytest.raises(DamagedDataError):
        registry.open_packed(registry.get("lgbm"), pack(model) | {part: value})
