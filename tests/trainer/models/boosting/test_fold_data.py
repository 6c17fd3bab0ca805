"""The data of a LightGBM fold: rows with hidden sensors, copies, bins."""

import dataclasses

import numpy as np
import pytest

from tests.support.fold_tasks import (
    BOOSTING_CONFIG,
    BOOSTING_FOLD,
    BOOSTING_SEED,
    FEATURE_NAMES,
    fit_table_fold,
    make_table_task,
)
from trainer.features.feature_table import FeatureTable
from trainer.models.boosting.booster import hideable_mask
from trainer.models.boosting.fold_data import FoldData

IS_HIDEABLE = [False] * 6 + [True] * 4


def training_rows(task, **changes):
    """Return the rows that a fold is trained on, and their classes."""
    data = FoldData.build(
        task, BOOSTING_CONFIG.model_copy(update=changes), BOOSTING_SEED, BOOSTING_FOLD
    )
    assert data.valid_NF.tobytes() == task.inputs.values_NF[task.valid_idx].tobytes()
    return data.train_NF, data.train_label_idx


def test_each_row_with_optional_sensors_has_a_copy_without():
    """The rows as recorded, then copies in the same order; a row without them is not copied."""
    task = make_table_task(num_train=600)
    task.inputs.values_NF[np.ix_(task.train_idx[::5], IS_HIDEABLE)] = np.nan
    own_NF, own_label_idx = training_rows(task, masked_copies=0.0, modality_dropout=0.0)
    assert own_NF.tobytes() == task.inputs.values_NF[task.train_idx].tobytes()
    train_NF, label_idx = training_rows(task, masked_copies=1.0, modality_dropout=0.0)
    has_optional_N = ~np.isnan(own_NF[:, IS_HIDEABLE]).all(axis=1)
    assert has_optional_N.sum() == 480
    expected_NF = own_NF[has_optional_N].copy()
    expected_NF[:, IS_HIDEABLE] = np.nan
    assert train_NF.tobytes() == own_NF.tobytes() + expected_NF.tobytes()
    assert label_idx.tolist() == [*own_label_idx, *own_label_idx[has_optional_N]]


def test_a_share_of_the_rows_is_copied():
    """Half of them: other rows in another fold, the same ones each time."""
    task = make_table_task(num_train=600)
    train_NF, _ = training_rows(task, masked_copies=0.5)
    assert len(train_NF) == pytest.approx(900, abs=40)
    assert train_NF.tobytes() == training_rows(task, masked_copies=0.5)[0].tobytes()
    other = FoldData.build(
        task,
        BOOSTING_CONFIG.model_copy(update={"masked_copies": 0.5}),
        BOOSTING_SEED,
        BOOSTING_FOLD + 1,
    )
    assert len(other.train_NF) != len(train_NF) or other.train_NF.tobytes() != train_NF.tobytes()


def test_modality_dropout_hides_thermopiles_and_time_of_flight_only():
    """A share of the training rows loses all such features and no other; none is copied."""
    task = make_table_task(num_train=600)
    train_NF, _ = training_rows(task, masked_copies=0.0, modality_dropout=0.3)
    before_NF = task.inputs.values_NF[task.train_idx]
    assert train_NF[:, :6].tobytes() == before_NF[:, :6].tobytes()
    hidden_N = np.isnan(train_NF[:, 6:]).all(axis=1)
    assert hidden_N.mean() == pytest.approx(0.3, abs=0.05)
    assert train_NF[~hidden_N].tobytes() == before_NF[~hidden_N].tobytes()


def test_a_copied_row_keeps_its_optional_sensors():
    """Dropout is for rows without a copy: with all of them copied it hides nothing more."""
    task = make_table_task()
    both, _ = training_rows(task, masked_copies=1.0, modality_dropout=1.0)
    copies, _ = training_rows(task, masked_copies=1.0, modality_dropout=0.0)
    assert both.tobytes() == copies.tobytes()


def test_without_optional_sensors_there_is_nothing_to_copy():
    """Acceleration and orientation alone: the rows as they are."""
    task = make_table_task()
    motion = dataclasses.replace(
        task, inputs=FeatureTable(task.inputs.values_NF[:, :6].copy(), task.inputs.names[:6])
    )
    train_NF, label_idx = training_rows(motion)
    assert train_NF.tobytes() == motion.inputs.values_NF[task.train_idx].tobytes()
    assert len(label_idx) == len(train_NF)


def test_the_callers_table_is_not_changed():
    """Hiding works on a copy: the other folds get the complete table."""
    task = make_table_task()
    before = task.inputs.values_NF.tobytes()
    fit_table_fold(task)
    assert task.inputs.values_NF.tobytes() == before


def test_the_features_that_can_be_missing_are_known_by_name():
    """Thermopiles and time of flight can be missing; acceleration and orientation stay."""
    assert hideable_mask(FEATURE_NAMES).tolist() == IS_HIDEABLE


def test_the_bins_of_the_validation_part_keep_the_number_of_threads():
    """LightGBM has one number of threads per process: a Dataset without it sets all cores."""
    config = BOOSTING_CONFIG.model_copy(update={"num_threads": 3})
    data = FoldData.build(make_table_task(), config, BOOSTING_SEED, BOOSTING_FOLD)
    assert data.train_set.params["num_threads"] == 3
    assert data.valid_set.params["num_threads"] == 3
