"""Fold files of the network: what goes in comes out, whichever the network; older ones are read."""

from __future__ import annotations

import numpy as np
import pytest

from tests.trainer.models.network.test_fold import CONFIG, SEED, make_task
from trainer.models.monitor import SilentMonitor
from trainer.models.network.fold import fit_fold, predict_fold
from trainer.models.serialization import pack_network, unpack_network
from trainer.run.fold_files import dump_block, dump_tensors, load_block, load_tensors, network_block
from trainer.store.codec import dumps, loads


@pytest.fixture(scope="module", params=["time_series_net", "branches"])
def fold(request):
    """A network fold of two epochs."""
    config = CONFIG.model_copy(update={"architecture": request.param, "epochs": 2})
    return fit_fold(make_task(), config, SEED, 0, SilentMonitor())


def test_a_network_fold_comes_back_from_its_file_and_from_a_bundle(fold):
    """Sizes, branches and weights: the same probabilities to the bit."""
    task = make_task()
    expected_NK = predict_fold(fold.model, task.frames, task.valid_idx)
    data = dump_block(network_block(0, fold, np.ones(3, dtype=bool)))
    for packed in (load_block("torch", data).packed, loads(dumps(pack_network(fold.model)))):
        model = unpack_network(packed)
        assert model.sizes == fold.model.sizes
        np.testing.assert_array_equal(predict_fold(model, task.frames, task.valid_idx), expected_NK)


def test_a_fold_file_holds_the_last_epochs_answers_beside_the_bests(fold):
    """With all sensors and by the motion alone."""
    block = load_block("torch", dump_block(network_block(0, fold, np.ones(3, dtype=bool))))
    np.testing.assert_array_equal(block.proba_NK, fold.valid_proba_NK)
    np.testing.assert_array_equal(block.last_proba_NK, fold.last_proba_NK)
    np.testing.assert_array_equal(block.last_proba_imu_NK, fold.last_proba_imu_NK)


def test_a_fold_file_without_the_last_epochs_answers_is_read(fold):
    """They are None then."""
    plain = load_tensors(dump_block(network_block(0, fold, np.ones(3, dtype=bool))))
    del plain["last_proba"], plain["last_proba_imu"]
    block = load_block("torch", dump_tensors(plain))
    assert block.last_proba_NK is None
    assert block.last_proba_imu_NK is None


def test_a_model_packed_before_there_were_branches_is_a_time_series_net(fold):
    """Sizes without the two newer names."""
    plain = pack_network(fold.model)
    for name in ("architecture", "branches"):
        del plain["sizes"][name]
    sizes = unpack_network(plain).sizes
    assert (sizes.architecture, sizes.branches) == ("time_series_net", ())
