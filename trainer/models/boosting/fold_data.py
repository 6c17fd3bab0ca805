"""One LightGBM fold's data: training rows with optional sensors hidden in some, and the bins.

The optional sensors are the thermopiles and time of flight: half of the competition's test
sequences lack both.

In: the feature table and a split. Out: ``FoldData``.

Shapes: N sequences, F features, K classes, P classes present in the training part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trainer.config import BoostingConfig
from trainer.folds import FoldError
from trainer.models.base import FoldTask
from trainer.models.boosting.booster import FloatTable, Index, Scores, hideable_mask
from trainer.models.seeds import derive_seed

if TYPE_CHECKING:
    import lightgbm as lgb


@dataclass(frozen=True)
class FoldData:
    """One fold's data, binned once per process.

    Attributes:
        train_NF: (train, F) float32: the fold's training rows, the optional sensors hidden in
            some; then copies of some, the optional sensors hidden in all.
        valid_NF: (valid, F) float32.
        class_idx: (P,) classes of the training part.
        train_label_idx: (train,) in 0..P-1, including the copies.
        valid_label_idx: (valid,) in 0..P-1, -1 where the training part lacks the class.
        train_set: Bins of the training part.
        valid_set: Bins of the validation rows whose class is known.
    """

    train_NF: FloatTable
    valid_NF: FloatTable
    class_idx: Index
    train_label_idx: Index
    valid_label_idx: Index
    train_set: lgb.Dataset
    valid_set: lgb.Dataset

    @classmethod
    def build(cls, task: FoldTask, config: BoostingConfig, seed: int, fold: int) -> FoldData:
        """Split, mask and bin one fold.

        Raises:
            FoldError: The training part holds fewer than two classes, or none of the
                validation part's.
        """
        class_idx, own_label_idx = np.unique(task.label_idx[task.train_idx], return_inverse=True)
        if len(class_idx) < 2:
            raise FoldError(
                f"fold {fold}: expected at least 2 gestures in the training part, got "
                f"{len(class_idx)}; use fewer folds or more subjects"
            )
        position_K = np.full(task.num_classes, -1, dtype=np.int64)
        position_K[class_idx] = np.arange(len(class_idx))
        train_NF, row_idx = _training_rows(task, config, seed, fold)
        train_label_idx = own_label_idx[row_idx]
        valid_NF = task.inputs.values_NF[task.valid_idx]
        valid_label_idx = position_K[task.label_idx[task.valid_idx]]
        known = valid_label_idx >= 0
        if not known.any():
            raise FoldError(
                f"fold {fold}: the training part has none of the gestures of the validation part; "
                f"use fewer folds or more subjects"
            )
        train_set = _dataset(
            train_NF, train_label_idx, config, derive_seed(seed, "lgbm", fold, "bins")
        )
        valid_set = train_set.create_valid(
            valid_NF[known],
            label=valid_label_idx[known],
            # Dataset.get_params() omits num_threads, and LightGBM has one number of threads per
            # process: binning without it would run every later round on all cores
            params={**train_set.get_params(), "num_threads": config.num_threads},
        )
        return cls(
            train_NF, valid_NF, class_idx, train_label_idx, valid_label_idx, train_set, valid_set
        )

    @property
    def log_shares_P(self) -> Scores:
        """Return the start scores: the log of each class's share."""
        counts_P = np.bincount(self.train_label_idx, minlength=len(self.class_idx))
        return np.asarray(np.log(counts_P / counts_P.sum()), dtype=np.float64)


def _training_rows(
    task: FoldTask, config: BoostingConfig, seed: int, fold: int
) -> tuple[FloatTable, Index]:
    """Return the rows to train on, and the position of each among the fold's training rows.

    A row without optional sensors is not copied: the copy would only double its weight.
    """
    hideable_F = hideable_mask(task.inputs.names)
    own_NF = task.inputs.values_NF[task.train_idx]
    if not hideable_F.any():
        return own_NF, np.arange(len(own_NF))

    def drawn(use: str, share: float) -> NDArray[np.bool_]:
        random = np.random.default_rng(derive_seed(seed, "lgbm", fold, use))
        is_drawn_N: NDArray[np.bool_] = random.random(len(own_NF)) < share
        return is_drawn_N

    has_optional_N = ~np.isnan(own_NF[:, hideable_F]).all(axis=1)
    is_copied_N = drawn("masked copies", config.masked_copies) & has_optional_N
    is_hidden_N = drawn("modality dropout", config.modality_dropout) & ~is_copied_N
    row_idx = np.concatenate([np.arange(len(own_NF)), np.flatnonzero(is_copied_N)])
    train_NF = own_NF[row_idx]
    is_masked_N = np.concatenate([is_hidden_N, np.ones(is_copied_N.sum(), dtype=bool)])
    train_NF[np.ix_(is_masked_N, hideable_F)] = np.nan
    return train_NF, row_idx


def _dataset(
    train_NF: FloatTable, label_idx: Index, config: BoostingConfig, bin_seed: int
) -> lgb.Dataset:
    import lightgbm as lgb

    params = {
        "max_bin": config.max_bin,
        "data_random_seed": bin_seed,
        "feature_pre_filter": False,
        "num_threads": config.num_threads,
        "verbosity": -1,
    }
    return lgb.Dataset(train_NF, label=label_idx, params=params, free_raw_data=False)
