"""Prediction with a fitted LightGBM fold.

In: feature values in the model's column order. Out: class probabilities and contributions.

Shapes: N sequences, F features, K classes, P classes present in the training part.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trainer.plain_data import DamagedDataError

if TYPE_CHECKING:
    import lightgbm as lgb

HIDEABLE_SENSORS = ("thm", "tof")  # half of the competition's test sequences lack both
TREES_AT_ONCE = 450  # of 9 leaves fit the L2 cache; the quickest of 90 to 5,400

FloatTable = NDArray[np.float32]
Index = NDArray[np.int64]
Scores = NDArray[np.float64]


@dataclass(frozen=True)
class BoostingModel:
    """One LightGBM fold, as prediction needs it.

    Attributes:
        text: LightGBM's model text; trees only, the start scores are not in it.
        names: F feature names in column order.
        class_idx: (P,) the classes of the training part.
        log_shares_P: (P,) float64, log of the class shares of the training part: the start scores.
        num_classes: K.
        temperature: Divisor of the raw scores before the softmax.
    """

    text: str
    names: tuple[str, ...]
    class_idx: Index
    log_shares_P: Scores
    num_classes: int
    temperature: float = 1.0

    @cached_property
    def booster(self) -> lgb.Booster:
        """Return the trees, parsed once: 5,400 trees take 0.05 s."""
        return load_booster(self)


def hideable_mask(names: tuple[str, ...]) -> NDArray[np.bool_]:
    """Return which features come from a sensor that can be missing, (F,) bool."""
    return np.array([name.startswith(HIDEABLE_SENSORS) for name in names], dtype=bool)


def predict(model: BoostingModel, values_NF: FloatTable, num_threads: int = 1) -> Scores:
    """Return class probabilities.

    Args:
        model: Of one fold.
        values_NF: (N, F) float32 in the order of ``model.names``.
        num_threads: For LightGBM.

    Returns:
        (N, K) float64, rows sum to 1; a class that the training part lacked has 0.
    """
    return expand(model, softmax(raw_scores(model, values_NF, num_threads)))


def predict_many(model: BoostingModel, values_NF: FloatTable) -> Scores:
    """Return class probabilities of many rows, in two thirds of the time that ``predict`` takes.

    All rows pass a few hundred trees, which stay in the cache, then the next ones. The raw scores
    are summed in another order, which changes them by less than 1e-13.

    Args:
        model: Of one fold.
        values_NF: (N, F) float32 in the order of ``model.names``.

    Returns:
        As ``predict``.
    """
    num_rounds = model.booster.num_trees() // len(model.class_idx)
    step = max(1, TREES_AT_ONCE // len(model.class_idx))
    raw_NP = np.tile(model.log_shares_P, (len(values_NF), 1))
    for first in range(0, num_rounds, step):
        raw_NP += _predict(
            model, values_NF, raw_score=True, start_iteration=first, num_iteration=step
        )
    return expand(model, softmax(raw_NP / model.temperature))


def raw_scores(model: BoostingModel, values_NF: FloatTable, num_threads: int = 1) -> Scores:
    """Return start scores plus trees, divided by the temperature: the softmax's input, (N, P)."""
    trees_NP = _predict(model, values_NF, raw_score=True, num_threads=num_threads)
    raw_NP: Scores = np.asarray(trees_NP, dtype=np.float64) + model.log_shares_P
    return raw_NP / model.temperature


def contributions(model: BoostingModel, values_NF: FloatTable, num_threads: int = 1) -> Scores:
    """Return each feature's contribution to each raw score: the trees' exact Shapley values.

    Source: LightGBM's ``pred_contrib`` (TreeSHAP), 7 ms for a row of 5,400 trees.

    Args:
        model: Of one fold.
        values_NF: (N, F) float32 in the order of ``model.names``.
        num_threads: For LightGBM.

    Returns:
        (N, P, F + 1) float64: F features, then the base value (start score and mean of the trees).
        They sum to ``raw_scores``.
    """
    flat_NC = _predict(model, values_NF, pred_contrib=True, num_threads=num_threads)
    added_NPF = np.array(flat_NC, dtype=np.float64).reshape(
        len(values_NF), len(model.class_idx), len(model.names) + 1
    )
    added_NPF[:, :, -1] += model.log_shares_P
    return added_NPF / model.temperature


def load_booster(model: BoostingModel) -> lgb.Booster:
    """Parse the model text: of training, or checked by ``check_text``, since others end Python.

    Raises:
        DamagedDataError: LightGBM refuses it.
    """
    import lightgbm as lgb

    try:
        return lgb.Booster(model_str=model.text)
    except (lgb.basic.LightGBMError, ValueError) as error:
        raise DamagedDataError(f"model text: LightGBM refuses it: {error}") from error


def _predict(
    model: BoostingModel,
    values_NF: FloatTable,
    num_threads: int = 1,
    **options: Any,  # noqa: ANN401 - of LightGBM
) -> Any:  # noqa: ANN401 - LightGBM's array
    """Return what LightGBM predicts.

    Raises:
        DamagedDataError: LightGBM refuses to predict with the trees.
    """
    import lightgbm as lgb

    try:
        return model.booster.predict(values_NF, num_threads=num_threads, **options)
    except lgb.basic.LightGBMError as error:
        raise DamagedDataError(f"model text: LightGBM cannot predict: {error}") from error


def softmax(raw_NP: Scores) -> Scores:
    """Return probabilities of raw scores, rows summing to 1."""
    shifted_NP = np.exp(raw_NP - raw_NP.max(axis=1, keepdims=True))
    return np.asarray(shifted_NP / shifted_NP.sum(axis=1, keepdims=True), dtype=np.float64)


def expand(model: BoostingModel, proba_NP: Scores) -> Scores:
    """Return probabilities of all classes, (N, K); 0 of those that the training part lacked."""
    proba_NK = np.zeros((len(proba_NP), model.num_classes))
    proba_NK[:, model.class_idx] = proba_NP
    return proba_NK
