"""Changed model texts in this process: what is refused is counted, what passes is used.

In: a file with a packed fold's text, number of classes and features; seed and number of changes.
Out: one JSON line with the counts; a crash, a hang or memory beyond 4 GB is seen from outside.

    python -m tests.faults.hostile_texts FILE NUM_CLASSES NUM_FEATURES SEED COUNT
"""

from __future__ import annotations

import json
import random
import resource
import sys
from pathlib import Path

import numpy as np

from tests.support.model_mutations import mutate_model_text
from trainer.models.boosting.booster import BoostingModel, contributions, predict, predict_many
from trainer.models.boosting.text_check import check_text
from trainer.plain_data import DamagedDataError

MAX_MEMORY_BYTES = 4 * 2**30


def main() -> None:
    """Try the changes of one seed."""
    path, *numbers = sys.argv[1:]
    num_classes, num_features, seed, count = map(int, numbers)
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    text, rng = Path(path).read_text(), random.Random(seed)
    values_NF = np.random.default_rng(0).normal(size=(4, num_features)).astype(np.float32)
    values_NF[1] = np.nan
    result = {"refused": 0, "passed": 0, "not finite": 0}
    for _ in range(count):
        changed = mutate_model_text(text, rng)
        Path(f"{path}.now").write_text(changed, errors="surrogatepass")  # kept if it crashes
        try:
            check_text(changed, num_classes, num_features)
        except DamagedDataError:
            result["refused"] += 1
            continue
        model = BoostingModel(
            text=changed,
            names=tuple(f"acc.{number}" for number in range(num_features)),
            class_idx=np.arange(num_classes),
            log_shares_P=np.zeros(num_classes),
            num_classes=num_classes,
        )
        found = (  # an error of LightGBM itself would end this process
            predict(model, values_NF),
            predict_many(model, values_NF),
            contributions(model, values_NF),
            model.booster.feature_importance("gain"),
            model.booster.feature_importance("split"),
        )
        result["passed"] += 1
        result["not finite"] += not all(np.isfinite(each).all() for each in found)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
