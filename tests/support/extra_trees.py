"""A third model for the tests: scikit-learn's extremely randomized trees on the feature table.

In and out: see ``trainer.models.base``. A fold is fitted in blocks of trees. The seed of a block is
derived from (run seed, fold, first tree), so a fold that resumes after a block gets the same trees.

Importing this module registers nothing; ``register`` does.

Shapes: N sequences, F features, K classes, P classes that the fold was trained on, T trees, V nodes
of all trees together.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict, PositiveInt

from trainer.features.feature_table import FeatureTable, align
from trainer.metric import competition_score
from trainer.models import registry
from trainer.models.base import FittedFold, FoldResult, FoldTask, Model
from trainer.models.monitor import Paused, SilentMonitor
from trainer.models.seeds import derive_seed
from trainer.plain_data import DamagedDataError, array, integer, names

NAME = "extra_trees"
MISSING = np.float32(-1e4)  # instead of NaN, when fitting and when predicting
OPTIONAL_SENSORS = ("thm_", "tof_")
PER_NODE = ("children_left", "children_right", "feature", "threshold", "leaf_proba")


class ExtraTreesSettings(BaseModel):
    """``parameters.extra_trees`` of the configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    trees: PositiveInt = 12
    block_trees: PositiveInt = 3  # fitted between two checkpoints
    min_samples_leaf: PositiveInt = 2


class ExtraTrees(Model):
    """``sklearn.ensemble.ExtraTreesClassifier``, as a model of a run."""

    name = NAME
    title = "Extra trees"
    phrase = "extra trees"
    step_title = "tree"
    step_name = "tree"
    inputs = "features"
    libraries = ("sklearn",)
    code_name = NAME
    code_version = 1
    fold_file = "extra_trees_fold{fold:02d}.pkl"
    checkpoint_file = "extra_trees_fold{fold:02d}_last.pkl"

    def settings(self, config):
        return ExtraTreesSettings.model_validate(config.parameters[NAME])

    def max_steps(self, config):
        return self.settings(config).trees

    def fixed_step(self, config):
        return self.settings(config).trees

    def num_threads(self, config):
        return 1

    def estimate_s(self, config, size):
        return 1e-4 * size.num_sequences * self.settings(config).trees

    def fit(self, task, config, seed, fold, monitor, checkpoint=None):
        return fit_fold(task, self.settings(config), seed, fold, monitor, checkpoint)

    def steps_done(self, checkpoint):
        return len(checkpoint["offsets"]) - 1

    def open(self, packed):
        check_packed(packed)
        return FittedTrees(packed)

    def canary(self, config):
        values_NF = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
        task = FoldTask(
            inputs=FeatureTable(values_NF, tuple(f"acc.x.mean{i}" for i in range(4))),
            label_idx=np.arange(30) % 3,
            num_classes=3,
            num_targets=1,
            train_idx=np.arange(20),
            valid_idx=np.arange(20, 30),
            annotations=None,
        )
        result = fit_fold(task, self.settings(config), 0, 0, SilentMonitor())
        return hashlib.sha256(result.proba_NK.tobytes()).hexdigest()


@dataclass(frozen=True)
class FittedTrees(FittedFold):
    """One fold's trees, as ``fit_fold`` packs them: plain arrays, the trees one after another."""

    packed: dict

    @property
    def groups(self):
        return tuple(dict.fromkeys(name[:3] for name in self.packed["feature_names"]))

    def predict(self, inputs, is_batch=False):
        values_NF = align(inputs, tuple(self.packed["feature_names"]))
        return predict_values(self.packed, values_NF)


def register():
    """Let runs be made of this model, until the process ends."""
    registry.register(ExtraTrees(), ExtraTreesSettings)


def fit_fold(task, settings, seed, fold, monitor, checkpoint=None):
    """Fit the blocks of trees that the checkpoint lacks; see ``Model.fit``."""
    valid_NF = task.inputs.values_NF[task.valid_idx]
    about = {
        "feature_names": list(task.inputs.names),
        "class_idx": np.unique(task.label_idx[task.train_idx]),
        "num_classes": task.num_classes,
    }
    trees = checkpoint or {"offsets": np.zeros(1, dtype=np.int64)}
    while (first_tree := len(trees["offsets"]) - 1) < settings.trees:
        if monitor.should_stop():
            raise Paused  # since the last checkpoint nothing was done
        num_trees = min(settings.block_trees, settings.trees - first_tree)
        block_seed = derive_seed(seed, NAME, fold, first_tree)
        trees = _append(trees, _fit_block(task, settings, num_trees, block_seed))
        score = _score(task, predict_values(about | trees, valid_NF))
        step = first_tree + num_trees
        monitor.advance(step, settings.trees)
        monitor.record("segment", {"step": step, "best_step": step, **score})
        monitor.save(trees)
    packed = about | trees
    is_optional_F = np.array([name.startswith(OPTIONAL_SENSORS) for name in task.inputs.names])
    proba_NK = predict_values(packed, valid_NF)
    hidden_NF = np.where(is_optional_F, np.float32(np.nan), valid_NF)
    proba_imu_NK = predict_values(packed, hidden_NF) if is_optional_F.any() else None
    return FoldResult(
        proba_NK=proba_NK,
        proba_imu_NK=proba_imu_NK,
        known_K=np.isin(np.arange(task.num_classes), packed["class_idx"]),
        best_step=settings.trees,
        packed=packed,
        best_proba_NK=proba_NK,
        best_proba_imu_NK=proba_imu_NK,
    )


def check_packed(packed):
    """Refuse trees that could not have been fitted: children are later nodes of the same tree."""
    num_features = len(names(packed, "feature_names", 100_000))
    num_classes = integer(packed, "num_classes", 1, 1000)
    class_idx = array(packed, "class_idx", "i", (None,))
    if not ((class_idx >= 0) & (class_idx < num_classes)).all():
        raise DamagedDataError("class_idx: expected classes")
    offsets = array(packed, "offsets", "i", (None,))
    if len(offsets) < 2 or offsets[0] != 0 or (np.diff(offsets) < 1).any():
        raise DamagedDataError("offsets: expected the first node of each tree")
    sizes_V = np.repeat(np.diff(offsets), np.diff(offsets))
    own_V = np.arange(offsets[-1]) - np.repeat(offsets[:-1], np.diff(offsets))
    left_V = array(packed, "children_left", "i", own_V.shape)
    right_V = array(packed, "children_right", "i", own_V.shape)
    is_leaf_V = (left_V == -1) & (right_V == -1)
    for child_V in (left_V, right_V):
        if not (is_leaf_V | ((child_V > own_V) & (child_V < sizes_V))).all():
            raise DamagedDataError("children: expected later nodes of the tree, or -1 twice")
    feature_V = array(packed, "feature", "i", own_V.shape)
    if not (is_leaf_V | ((feature_V >= 0) & (feature_V < num_features))).all():
        raise DamagedDataError("feature: expected the number of one")
    array(packed, "threshold", "f", own_V.shape)
    array(packed, "leaf_proba", "f", (*own_V.shape, len(class_idx)))


def predict_values(packed, values_NF):
    """Return the mean of the trees' probabilities, (N, K) float64, by walking down each tree."""
    filled_NF = _filled(values_NF)
    rows_N = np.arange(len(filled_NF))
    sum_NP = np.zeros((len(filled_NF), len(packed["class_idx"])))
    for root in packed["offsets"][:-1]:
        node_N = np.full(len(filled_NF), root)
        while (is_inner_N := packed["children_left"][node_N] >= 0).any():
            value_N = filled_NF[rows_N, np.maximum(packed["feature"][node_N], 0)]
            goes_left_N = value_N <= packed["threshold"][node_N]
            child_N = np.where(
                goes_left_N, packed["children_left"][node_N], packed["children_right"][node_N]
            )
            node_N = np.where(is_inner_N, root + child_N, node_N)
        sum_NP += packed["leaf_proba"][node_N]
    proba_NK = np.zeros((len(filled_NF), packed["num_classes"]))
    proba_NK[:, packed["class_idx"]] = sum_NP / (len(packed["offsets"]) - 1)
    return proba_NK


def _fit_block(task, settings, num_trees, block_seed):
    """Return the next trees, fitted, as scikit-learn's ``Tree`` objects."""
    from sklearn.ensemble import ExtraTreesClassifier

    forest = ExtraTreesClassifier(
        n_estimators=num_trees,
        min_samples_leaf=settings.min_samples_leaf,
        random_state=block_seed,
        n_jobs=1,
    )
    forest.fit(_filled(task.inputs.values_NF[task.train_idx]), task.label_idx[task.train_idx])
    return [estimator.tree_ for estimator in forest.estimators_]


def _append(before, trees):
    """Return the arrays of all nodes, (V, ...), with the nodes of more trees behind them."""
    arrays = [
        {
            "children_left": tree.children_left,
            "children_right": tree.children_right,
            "feature": tree.feature,
            "threshold": tree.threshold,
            "leaf_proba": tree.value[:, 0] / tree.value[:, 0].sum(axis=1, keepdims=True),
        }
        for tree in trees
    ]
    if "feature" in before:
        arrays.insert(0, before)
    joined = {part: np.concatenate([each[part] for each in arrays]) for part in PER_NODE}
    sizes = np.cumsum([tree.node_count for tree in trees])
    offsets = np.concatenate([before["offsets"], before["offsets"][-1] + sizes])
    return {**joined, "offsets": offsets}


def _filled(values_NF):
    return np.where(np.isnan(values_NF), MISSING, values_NF)


def _score(task, proba_NK):
    """Return the numbers of a block's line of history."""
    true_idx = task.label_idx[task.valid_idx]
    score = competition_score(true_idx, np.argmax(proba_NK, axis=1), task.num_targets)
    own_N = np.maximum(proba_NK[np.arange(len(true_idx)), true_idx], 1e-15)
    return {
        "valid_loss": float(-np.mean(np.log(own_N))),
        "score": score.score,
        "binary_f1": score.binary_f1,
        "macro_f1": score.macro_f1,
    }
