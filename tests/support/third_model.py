"""A third model for pages that only read its files: LightGBM under another name.

In: pytest's monkeypatch, a run folder. Out: runs of the test can have the model "third"; a run of
two models becomes one of three.
"""

from __future__ import annotations

import json

import numpy as np
import polars as pl

from tests.support import run_folders
from trainer.config import run_config
from trainer.models import registry
from trainer.store.names import RunPaths

NAME = "third"


class ThirdModel(type(registry.get("lgbm"))):
    """A model that no page knows."""

    name, title, phrase = NAME, "Third model", "the third model"


def register(monkeypatch, *others):
    """Register the model, and others, until the test ends."""
    monkeypatch.setattr(registry, "_MODELS", dict(registry._MODELS))
    monkeypatch.setattr(run_config, "_KNOWN_MODELS", dict(run_config._KNOWN_MODELS))
    for model in (ThirdModel, *others):
        registry.register(model())


def add_to(root, name=NAME, seed=None):
    """Add the model to a finished run, with weight 1.

    It predicts as LightGBM does; with a seed, at random with a slight preference for the true one.
    """
    paths = RunPaths(root)
    config = json.loads(paths.config.read_text())
    config["models"].append(name)
    config["blend"]["weights"][name] = 1.0
    paths.config.write_text(json.dumps(config))
    scores = json.loads(paths.scores.read_text())
    scores["models"][name] = scores["models"]["lgbm"]
    paths.scores.write_text(json.dumps(scores))
    table = pl.read_parquet(paths.oof)
    gestures = run_folders.NAMES
    proba_NK = table.select(f"lgbm:{gesture}" for gesture in gestures).to_numpy()
    if seed is not None:
        proba_NK = np.random.default_rng(seed).random(proba_NK.shape)
        true_N = [gestures.index(gesture) for gesture in table["gesture"]]
        proba_NK[np.arange(len(table)), true_N] += 0.4
        proba_NK /= proba_NK.sum(axis=1, keepdims=True)
    table.with_columns(
        pl.Series(f"{name}:{gesture}", proba_NK[:, k]) for k, gesture in enumerate(gestures)
    ).write_parquet(paths.oof)
