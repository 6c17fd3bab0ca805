"""The example that ships with the project works with this version of it.

Where a test fails after a change of a code version: python -m docs.example_run
"""

from __future__ import annotations

import zipfile

import numpy as np
import pytest

from trainer.data import sources
from trainer.predict.predictor import Predictor
from trainer.run import RefusedError
from trainer.run.transfer.example import ARCHIVE, EXAMPLE, made_again, open_example
from trainer.run.transfer.verification import verify_run
from trainer.store.reader import RunReader
from trainer.store.run_state import derive_state

MAX_BYTES = 6_000_000


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return open_example(tmp_path_factory.mktemp("example") / "state")


def test_the_archive_is_small_and_names_no_machine():
    """No point to resume from, nothing that is made again, no folder, no host."""
    assert ARCHIVE.stat().st_size <= MAX_BYTES
    with zipfile.ZipFile(ARCHIVE) as archive:
        names = archive.namelist()
        log = archive.read(f"{EXAMPLE}/trainer.log").decode()
        config = archive.read(f"{EXAMPLE}/config.json").decode()
    again = ("_last", ".joblib", "_bundle")
    assert [name for name in names if any(part in name for part in again)] == []
    assert "Run example in state: new" in log
    assert '"host": "example"' in config


def test_every_file_is_whole_and_the_run_is_finished(root):
    """It is an ordinary run; its feature table and bundles were made again."""
    assert [check for check in verify_run(root) if not check.is_good] == []
    reader = RunReader(root)
    assert derive_state(reader).state == "finished"
    assert reader.notes().title == "Example run that ships with the project"
    assert reader.scores().models["blend"].all_sensors.oof.score > 0.95
    assert all(path.exists() for path in made_again(root))


def test_it_predicts_with_this_version_as_when_it_was_made(root):
    """The models of a fold give the out-of-fold probabilities again."""
    oof = RunReader(root).oof()
    places = np.flatnonzero(oof["fold"].to_numpy() == 1)[:8]
    predictor = Predictor.load(root)
    found = predictor.predict(sources.load("watch").select(places), fold=1)
    assert found.sequence_ids.tolist() == oof["sequence_id"].gather(places).to_list()
    for model, proba_NK in found.by_model.items():
        columns = [f"{model}:{gesture}" for gesture in found.gestures]
        stored_NK = oof[columns][places].to_numpy()
        np.testing.assert_allclose(proba_NK, stored_NK, atol=1e-4)
    assert sorted(found.by_model) == ["lgbm", "torch"]


def test_it_is_imported_once(root):
    with pytest.raises(RefusedError, match="it already exists"):
        open_example(root.parent)
