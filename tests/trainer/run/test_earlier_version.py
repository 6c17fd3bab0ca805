"""Runs of an earlier version: they can be read, and resuming them is refused with the reason."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.support.tiny_runs import tiny_config, train
from trainer.models import registry
from trainer.run import RefusedError
from trainer.run.pipeline import Limits
from trainer.store.checksums import CheckedFolder
from trainer.store.reader import RunReader

BOOSTING_REMOVED = {"fixed_rounds": 150, "fit_temperature": True}
NETWORK_REMOVED = {
    "sensor_dropout": 0.0,
    "fixed_epochs": 45,
    "temperature": 0.6,
    "fit_temperature": True,
}


@pytest.fixture(scope="module")
def paused(tiny_source, tmp_path_factory):
    """A run of LightGBM alone that paused after its first fold."""
    root = tmp_path_factory.mktemp("state") / "tiny"
    config = tiny_config(tiny_source, "models=lgbm")
    assert train(root, config, Limits(stop_after_folds=1)) == "paused"
    return root


def as_written_by_an_earlier_version(root, **changes):
    """Replace the configuration by one that has removed settings and an earlier code version."""
    values = json.loads((root / "config.json").read_text()) | changes
    for part, removed in (("boosting", BOOSTING_REMOVED), ("network", NETWORK_REMOVED)):
        values[part] = {key: values[part][key] for key in values[part] if key != "select"} | removed
    values["code"]["network"] = 5
    CheckedFolder(root).write("config.json", json.dumps(values).encode())


@pytest.mark.parametrize("models", [["lgbm"], ["lgbm", "torch"]], ids=["LightGBM alone", "both"])
def test_a_run_of_an_earlier_version_is_read_and_not_resumed(paused, tmp_path, models):
    """The refusal contains the version of the code, and the run folder keeps its bytes."""
    root = shutil.copytree(paused, tmp_path / "tiny")
    as_written_by_an_earlier_version(root, models=models)
    before = {path: path.read_bytes() for path in root.glob("*.json") if "status" not in path.name}
    frozen = RunReader(root).run_file()
    assert frozen.models == tuple(models)
    network = frozen.settings().network
    assert NETWORK_REMOVED.keys().isdisjoint(network.model_dump())
    assert network.select == frozen.settings().boosting.select == "best"
    with pytest.raises(
        RefusedError, match=r"made from something else:\n  code of network: "
    ) as got:
        train(root, frozen.settings())
    change = f"version 5 -> {registry.get('torch').code_version}"
    assert f"code of network: {change}" in str(got.value)
    assert "->" not in str(got.value).replace(change, "")
    assert {path: path.read_bytes() for path in before} == before
