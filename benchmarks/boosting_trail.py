"""The trail of LightGBM's settings: bins, column or row-wise, on one table, in turns.

Every setting boosts the same fold ten rounds at a time, one after the other, again and again, so
that what else the machine does meets them all; processor seconds a round, and the median over the
turns of the ratio to the setting in use. With ``--scores`` whole folds follow, for their scores.

In: a source. Out: a line per setting.

    python -m benchmarks.boosting_trail ../shared/data/asl.parquet
    python -m benchmarks.boosting_trail watch --scores 0,1,2
"""

from __future__ import annotations

import argparse
import statistics
import time

from trainer.config import BoostingConfig, make_config
from trainer.features.feature_table import FeatureTable, build_table
from trainer.folds import split
from trainer.models.boosting import fold
from trainer.models.boosting.fold_data import BoostingTask, FoldData
from trainer.models.monitor import SilentMonitor
from trainer.run.machine import pin
from trainer.run.recordings import load_dataset
from trainer.run.result_tables import FoldTable

ROUNDS = 10  # a turn
BINS = (63, 127, 255)


def make_task(table: FeatureTable, folds: FoldTable, fold: int) -> BoostingTask:
    """Return one fold."""
    train_idx, valid_idx = split(folds.fold_N, fold)
    return BoostingTask(
        values_NF=table.values_NF,
        names=table.names,
        label_idx=folds.label_idx,
        num_classes=folds.labels.num_classes,
        num_targets=folds.labels.num_targets,
        train_idx=train_idx,
        valid_idx=valid_idx,
    )


def make_booster(task: BoostingTask, config: BoostingConfig, is_row_wise: bool):
    """Return a booster before its first round, and the seconds that bins and booster took."""
    import lightgbm as lgb

    began = time.process_time()
    data = FoldData.build(task, config, 42, 0)
    params = fold._parameters(config, len(data.class_idx), 42, 0, 0)
    params |= {"force_col_wise": not is_row_wise, "force_row_wise": is_row_wise}
    booster = lgb.Booster(params=params, train_set=data.train_set)
    return booster, time.process_time() - began


def take_turns(task: BoostingTask, config: BoostingConfig, turns: int) -> None:
    """Print the milliseconds a round of every setting."""
    settings = {f"{bins} bins, column-wise": (bins, False) for bins in BINS}
    settings["63 bins, row-wise"] = (63, True)
    boosters, times = {}, {}
    for name, (bins, is_row_wise) in settings.items():
        wanted = config.model_copy(update={"max_bin": bins})
        boosters[name], start_s = make_booster(task, wanted, is_row_wise)
        print(f"{name}: bins and booster {start_s:.2f} s", flush=True)
        times[name] = []
    for _ in range(turns):
        for name, booster in boosters.items():
            began = time.process_time()
            for _ in range(ROUNDS):
                booster.update()
            times[name].append((time.process_time() - began) / ROUNDS)
    first = next(iter(times.values()))
    for name, values in times.items():
        ratio = statistics.median(one / other for one, other in zip(values, first, strict=True))
        print(f"{name}: {1e3 * statistics.median(values):.1f} ms a round, ratio {ratio:.2f}")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description="Bins, column or row-wise, in turns.")
    parser.add_argument("source")
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--scores", default="", help="folds to boost whole, such as 0,1")
    options = parser.parse_args()
    pin("machine")  # before LightGBM is loaded, as a run does
    dataset = load_dataset(make_config("full", {"data.source": options.source}, (), {}))
    table, folds = build_table(dataset.signals), dataset.assign_folds()
    print(f"{len(folds.fold_N):,} x {len(table.names):,}")
    config = dataset.config.boosting
    take_turns(make_task(table, folds, 0), config, options.turns)
    for number in [int(text) for text in options.scores.split(",") if text]:
        for bins in BINS:
            wanted = config.model_copy(update={"max_bin": bins})
            began = time.process_time()
            done = fold.fit_fold(make_task(table, folds, fold), wanted, 42, fold, SilentMonitor())
            print(
                f"fold {fold}, {bins} bins: score {done.score.score:.4f}, round {done.best_round}, "
                f"{time.process_time() - began:.1f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
