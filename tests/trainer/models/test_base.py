"""The model interface: what a new model has to write, and what it gets by default."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import BaseModel, PositiveInt

from tests.support.fold_tasks import make_table_task
from trainer.config import ConfigError, make_config, run_config
from trainer.features.feature_table import FeatureTable
from trainer.models import registry
from trainer.models.base import (
    DataSize,
    FittedFold,
    FoldResult,
    Model,
    NoSettings,
    feature_groups,
)
from trainer.models.fold_task import generated_task
from trainer.models.monitor import SilentMonitor


class ShareSettings(BaseModel):
    """``parameters.shares``: how many pseudo-counts each class gets."""

    smoothing: PositiveInt = 1


class Shares(Model):
    """Predicts the class shares of the training part: the smallest model there can be."""

    name, title, inputs, settings_class = "shares", "Class shares", "features", ShareSettings

    def max_steps(self, config):
        return 1

    def fit(self, task, config, seed, fold, monitor, checkpoint=None):
        counts_K = np.bincount(task.label_idx[task.train_idx], minlength=task.num_classes)
        weight_K = (counts_K + self.settings(config).smoothing) * task.known_K
        packed = {"share": weight_K / weight_K.sum(), "feature_names": list(task.inputs.names)}
        valid = FeatureTable(task.inputs.values_NF[task.valid_idx], task.inputs.names)
        proba_NK = self.open(packed).predict(valid)
        return FoldResult(proba_NK, None, task.known_K, 1, packed)

    def open(self, packed):
        return FittedShares(packed)


class FittedShares(FittedFold):
    def __init__(self, packed):
        self.packed = packed

    @property
    def groups(self):
        return feature_groups(self.packed["feature_names"])

    def predict(self, inputs, is_batch=False):
        return np.tile(self.packed["share"], (len(inputs.values_NF), 1))


@pytest.fixture
def registered(monkeypatch):
    """The registry with the model of this test, until the test ends."""
    monkeypatch.setattr(registry, "_MODELS", dict(registry._MODELS))
    monkeypatch.setattr(run_config, "_KNOWN_MODELS", dict(run_config._KNOWN_MODELS))
    registry.register(Shares())
    return registry.get("shares")


def config_of(*assignments):
    names = ["models=shares", "blend.weights.shares=1", *assignments]
    return make_config("quick", assignments=names, environment={})


def test_three_methods_make_a_model(registered):
    """It is fitted, packed, opened and predicts; its settings come from the configuration."""
    task, config = make_table_task(), config_of("parameters.shares.smoothing=30")
    result = registered.fit(task, config, 1, 0, SilentMonitor())
    assert result.proba_NK.shape == (30, 3)
    fitted = registered.open(result.packed)
    assert fitted.groups == ("acc", "rot", "thm", "tof")
    np.testing.assert_array_equal(fitted.predict(task.inputs)[:30], result.proba_NK)
    assert registered.settings(config) == ShareSettings(smoothing=30)


def test_the_names_that_a_model_does_not_set_follow_from_its_own(registered):
    """Files, code and texts; a subclass of another name gets files of its own."""
    assert registered.fold_file.format(fold=3) == "shares_fold03.pkl"
    assert registered.checkpoint_file.format(fold=3) == "shares_fold03_last.pkl"
    assert (registered.code_name, registered.code_version) == ("shares", 1)
    assert registered.phrase == "Class shares"
    assert (registered.step_title, registered.step_name) == ("step", "step")

    class OtherShares(Shares):
        name, step_title = "others", "pass"

    assert OtherShares.fold_file == "others_fold{fold:02d}.pkl"
    assert (OtherShares.code_name, OtherShares.phrase) == ("others", "Class shares")
    assert OtherShares.step_name == "pass"


def test_the_methods_that_a_model_does_not_write_have_defaults(registered):
    """Nothing is selected, one thread, a checkpoint with its step, a canary."""
    config = config_of()
    assert registered.max_steps(config) == 1
    assert not registered.selects_best(config)
    assert registered.num_threads(config) == 1
    assert registered.estimate_s(config, DataSize(100, 3000, 18, 600)) == 60.0
    assert registered.steps_done({"step": np.int64(7)}) == 7
    assert registered.canary(config) == registered.canary(config)
    assert len(registered.canary(config)) == 64


def test_settings_of_a_registered_model_are_checked(registered):
    """A value out of bounds and an unknown name are refused; other models have no such settings."""
    with pytest.raises(ConfigError, match=r"parameters\.shares\.smoothing: .*got '0'"):
        config_of("parameters.shares.smoothing=0")
    with pytest.raises(ConfigError, match=r"unknown name 'parameters\.shares\.smoothness'"):
        config_of("parameters.shares.smoothness=1")
    with pytest.raises(
        ConfigError, match=r"expected a weight above 0; got blend\.weights\.shares 0"
    ):
        make_config("quick", {"models": ["shares"]}, environment={})
    assert registry.get("lgbm").settings_class is NoSettings


@pytest.mark.parametrize("name", ["lgbm", "torch"])
def test_the_canary_of_a_model_depends_on_its_settings_alone(name):
    """The same hash twice, another one with another learning rate."""
    model = registry.get(name)
    first, again, other = (
        model.canary(make_config("quick", {f"{section}.learning_rate": rate}, environment={}))
        for section in [{"lgbm": "boosting", "torch": "network"}[name]]
        for rate in (0.01, 0.01, 0.02)
    )
    assert first == again != other


@pytest.mark.parametrize("inputs", ["features", "frames"])
def test_a_generated_task_has_all_classes_in_both_parts(inputs):
    """And the same numbers every time."""
    task, again = generated_task(inputs), generated_task(inputs)
    assert task.known_K.tolist() == [True] * 4
    assert set(task.label_idx[task.valid_idx]) == {0, 1, 2, 3}
    values = [each.inputs.values_NF if inputs == "features" else each.inputs.values_TC
              for each in (task, again)]  # fmt: skip
    np.testing.assert_array_equal(*values)
