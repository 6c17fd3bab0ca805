"""How long a run should take, before it begins: a guess from its size, for the plan.

In: the configuration and the size of the recordings, and what earlier runs on them took. Out:
seconds per model, at most.

The constants were measured on 2 cores of an EPYC (Zen 3), one thread for each model; `watch`, `asl`
and simulated recordings of 16 and 81 subjects agree within a third. An earlier run on the same
recordings says how much faster or slower this machine is. Once it runs, the time left is measured
instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trainer.config import Config
from trainer.store.records import FoldRecord, RunFile

S_PER_TREE = 6e-4  # LightGBM: a round, per class
S_PER_SPLIT_CELL = 2.7e-9  # and per row, class and looked-at feature
S_PER_NETWORK_STEP = 2.5e-5  # the network: an epoch, per time step, at the full preset's widths
FULL_WIDTH = 64 * 128 + 4 * 64 * (128 + 64)  # what S_PER_NETWORK_STEP was measured at
NUM_FEATURES_OF = {"acc": 260, "rot": 1490, "thm": 140, "tof": 800}  # about, per sensor group


@dataclass(frozen=True)
class Size:
    """How large recordings are."""

    num_sequences: int
    num_rows: int
    num_classes: int
    num_features: int
    has_optional_sensors: bool = False  # thermopiles or time of flight


def seconds_per_fold(config: Config, size: Size) -> dict[str, float]:
    """Return about how long one fold of each model takes, without early stopping."""
    train_share = 1.0 - 1.0 / config.folds.count
    boosting, network = config.boosting, config.network
    num_rows = size.num_sequences * train_share
    if size.has_optional_sensors:
        num_rows *= 1.0 + boosting.masked_copies
    num_cells = num_rows * size.num_features * boosting.feature_fraction
    num_trees = boosting.rounds * size.num_classes
    first, second = network.conv_channels
    num_networks = network.members * (2 if network.imu_network and size.has_optional_sensors else 1)
    width = first * second + 4 * network.recurrent_units * (second + network.recurrent_units)
    seconds = {
        "lgbm": num_trees * (S_PER_TREE + num_cells * S_PER_SPLIT_CELL),
        "torch": network.epochs
        * num_networks
        * size.num_rows
        * train_share
        * S_PER_NETWORK_STEP
        * (0.3 + 0.7 * width / FULL_WIDTH),  # a third is per step whatever the width
    }
    return {model: seconds[model] for model in config.models}


def pace(config: Config, size: Size, units: Sequence[FoldRecord]) -> dict[str, float]:
    """Return how many times longer than guessed the folds of a run took, per model.

    Args:
        config: Of that run.
        size: Of its recordings.
        units: Its folds; those that have not begun say nothing.

    Returns:
        Only the models of which something was done; 1.0 is as guessed.
    """
    guessed = seconds_per_fold(config, size)
    found: dict[str, float] = {}
    for model, seconds in guessed.items():
        begun = [unit for unit in units if unit.model == model and unit.step and unit.total_steps]
        expected_s = sum(seconds * unit.step / unit.total_steps for unit in begun)
        if expected_s > 0.0:
            found[model] = sum(unit.seconds for unit in begun) / expected_s
    return found


def size_of(run: RunFile) -> Size:
    """Return how large the recordings of a run are; the features are guessed."""
    return Size(
        num_sequences=run.recordings.num_sequences,
        num_rows=run.recordings.num_rows,
        num_classes=len(run.labels.gestures),
        num_features=guess_num_features(run.recordings.groups),
        has_optional_sensors=has_optional_sensors(run.recordings.groups),
    )


def guess_num_features(groups: Sequence[str]) -> int:
    """Return about how many features these sensor groups give."""
    return sum(NUM_FEATURES_OF[group] for group in groups)


def has_optional_sensors(groups: Sequence[str]) -> bool:
    """Return whether there are thermopiles or time of flight among these sensor groups."""
    return bool({"thm", "tof"} & set(groups))


def format_duration(seconds: float) -> str:
    """Say a guessed duration: no finer than the guess."""
    if seconds < 90:
        return f"{max(5, round(seconds / 5) * 5)} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"
