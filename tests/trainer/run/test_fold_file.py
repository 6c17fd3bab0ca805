"""Fold files of the network: what goes in comes out, whichever the network; older ones are read."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.fold_tasks import NETWORK_CONFIG, NETWORK_SEED, make_frame_task
from tests.support.network_folds import predict_exactly
from trainer.config import Config, FramesConfig
from trainer.models import registry
from trainer.models.monitor import SilentMonitor
from trainer.models.network.packed_network import pack, unpack
from trainer.plain_data import DamagedDataError
from trainer.run.fold_result_file import (
    FoldBlock,
    dump_block,
    dump_tensors,
    load_block,
    load_tensors,
)
from trainer.store.codec import dumps, loads

MODEL = registry.get("torch")


@pytest.fixture(scope="module", params=["time_series_net", "branches"])
def fold(request):
    """A network fold of two epochs."""
    config = NETWORK_CONFIG.model_copy(update={"architecture": request.param, "epochs": 2})
    full = Config(network=config, frames=FramesConfig(length=20))
    return MODEL.fit(make_frame_task(), full, NETWORK_SEED, 0, SilentMonitor())


def test_a_network_fold_comes_back_from_its_file_and_from_a_bundle(fold):
    """Sizes, branches and weights: the same probabilities to the bit."""
    task = make_frame_task()
    written = unpack(fold.packed)
    expected_NK = predict_exactly(written, task.inputs, task.valid_idx)
    data = dump_block(MODEL, FoldBlock("torch", 0, "key", fold))
    for packed in (load_block(MODEL, data).result.packed, loads(dumps(pack(written)))):
        model = unpack(packed)
        assert model.sizes == written.sizes
        np.testing.assert_array_equal(
            predict_exactly(model, task.inputs, task.valid_idx), expected_NK
        )


def test_a_fold_file_holds_the_last_epochs_answers_beside_the_bests(fold):
    """With all sensors and by the motion alone."""
    block = load_block(MODEL, dump_block(MODEL, FoldBlock("torch", 0, "key", fold))).result
    np.testing.assert_array_equal(block.proba_NK, fold.proba_NK)
    np.testing.assert_array_equal(block.best_proba_NK, fold.best_proba_NK)
    np.testing.assert_array_equal(block.best_proba_imu_NK, fold.best_proba_imu_NK)


def test_a_fold_file_without_the_last_epochs_answers_is_read(fold):
    """They are None then."""
    plain = load_tensors(dump_block(MODEL, FoldBlock("torch", 0, "key", fold)))
    del plain["best_proba"], plain["best_proba_imu"]
    block = load_block(MODEL, dump_tensors(plain)).result
    assert block.best_proba_NK is None
    assert block.best_proba_imu_NK is None


def test_a_model_packed_before_there_were_branches_is_a_time_series_net(fold):
    """Sizes without the two newer names; the weights of another architecture are refused."""
    plain = pack(unpack(fold.packed))
    is_branches = plain["sizes"].pop("architecture") == "branches"
    del plain["sizes"]["branches"]
    if is_branches:
        with pytest.raises(DamagedDataError, match="convolution"):
            unpack(plain)
    else:
        sizes = unpack(plain).sizes
        assert (sizes.architecture, sizes.branches) == ("time_series_net", ())
