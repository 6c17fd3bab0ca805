"""What an epoch of the network costs beside its arithmetic.

Four loops in one process, one after the other, repeated; processor seconds, for they hardly depend
on what else the machine does (with one thread and nothing to wait for they are the seconds of a
quiet one): an epoch as a run trains it; a bare loop over the same tensors, ready beforehand; the
notebook family's epoch, which builds the frames of every item when it is asked for
(``benchmarks/items.py``) for a network of the family's sizes; and those items with our network.

In: simulated recordings. Out: medians of the ratios, each within one repeat.

    python -m benchmarks network
"""

from __future__ import annotations

import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import nn

from benchmarks.items import NUM_CHANNELS, FamilyNet, Items, make_loader
from benchmarks.report import Row, at_least, at_most
from trainer.config import NetworkConfig
from trainer.data.preprocess import preprocess
from trainer.data.sources import read_table, sequences_from_table
from trainer.features.frames import build_frames, frame_length
from trainer.folds import assign_folds, split
from trainer.models.network.augmentation import TrainingBatch
from trainer.models.network.epochs import epoch_batches
from trainer.models.network.factory import make_network
from trainer.models.network.fold import NetworkTask, _Fitting
from trainer.models.network.optimizer import reproducible
from trainer.simulation.simulate import write_folder

PURPOSE = "One epoch of the network beside a bare loop over ready tensors, simulated recordings."
SUBJECTS = 10
REPEATS = 3
ITEMS = 192  # 3 batches are built item by item; an epoch's others take as long in proportion
SENSORS = ("acc_", "rot_", "thm_", "tof_")
TEXTS = ("sequence_id", "subject", "phase", "gesture")  # columns that the family keeps beside them


def measure() -> list[Row]:
    """Return the rows of the table."""
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix="tmp") as name:
        write_folder(Path(name) / "recordings", SUBJECTS)
        table = read_table(Path(name) / "recordings" / "train.csv")
    task = make_task(sequences_from_table(table))
    config = NetworkConfig(epochs=REPEATS + 1, imu_network=False)  # the family has one network too
    with reproducible(config.num_threads):
        fitting = _Fitting(task, config, 42, 0)
        batches = ready_batches(fitting)
        items = make_items(table, task)
        times = take_times(fitting, batches, items)
    return [*told(times, len(task.train_idx), len(batches)), padding(batches)]


def take_times(fitting: _Fitting, batches: list, items: Items) -> dict[str, list[float]]:
    """Return the processor seconds of every loop in every repeat; the first repeat warms up."""
    share = len(fitting.task.train_idx) / len(items)
    ours_on_items = dataclasses.replace(fitting.sizes, num_channels=NUM_CHANNELS)
    family = FamilyNet(fitting.task.num_classes)
    loops: dict[str, Callable[[], object]] = {
        "bare": bare_loop(make_network(fitting.sizes), lambda: batches),
        "half": bare_loop(make_network(fitting.sizes), lambda: batches, is_half=True),
        "run": lambda: run_epoch(fitting),
        "draw": lambda: ready_batches(fitting),
        "items": bare_loop(make_network(ours_on_items), lambda: item_batches(items, fitting)),
        "family": bare_loop(family, lambda: item_batches(items, fitting)),
    }
    times: dict[str, list[float]] = {name: [] for name in loops}
    for repeat in range(REPEATS + 1):
        for name, loop in loops.items():
            seconds = processor_seconds(loop)
            if repeat:
                times[name].append(seconds * (share if name in ("items", "family") else 1.0))
    return times


def told(times: dict[str, list[float]], num_sequences: int, num_batches: int) -> list[Row]:
    """Return the ratios of the loops."""

    def ratio(name: str, other: str) -> float:
        pairs = zip(times[name], times[other], strict=True)
        return statistics.median(one / two for one, two in pairs)

    def median_s(name: str) -> str:
        return f"{statistics.median(times[name]):.2f} s"

    triples = zip(times["items"], times["bare"], times["draw"], strict=True)
    making = statistics.median((items - bare) / draw for items, bare, draw in triples)
    size = f"{num_sequences:,} sequences, {num_batches} batches, 1 thread"
    return [
        at_most(
            f"epoch / bare loop ({size}; {median_s('run')}, {median_s('bare')})",
            ratio("run", "bare"),
            1.15,
        ),
        at_least(
            f"the notebook family's epoch, frames per item ({median_s('family')}) / epoch",
            ratio("family", "run"),
            20.0,
            digits=1,
        ),
        Row(
            f"the same frames per item with our network ({median_s('items')}) / epoch",
            f"{ratio('items', 'run'):.1f}",
        ),
        Row(f"making its batches, item by item / ours ({median_s('draw')})", f"{making:.0f}"),
        Row("bare loop in bfloat16 / in float32", f"{ratio('half', 'bare'):.2f}"),
    ]


def padding(batches: list) -> Row:
    """Return how much of what is computed is no step of a recording."""
    padded = sum(batch.x_NTC.shape[0] * batch.x_NTC.shape[1] for batch in batches)
    real = sum(int(batch.lengths_N.sum()) for batch in batches)
    return Row("computed steps that are padding", f"{1 - real / padded:.1%}")


def make_task(sequences) -> NetworkTask:
    """Return fold 0 of five."""
    fold_N = assign_folds(sequences.label_idx, sequences.subjects, 5, 42)
    train_idx, valid_idx = split(fold_N, 0)
    return NetworkTask(
        frames=build_frames(preprocess(sequences)),
        label_idx=sequences.label_idx,
        num_classes=sequences.labels.num_classes,
        num_targets=sequences.labels.num_targets,
        train_idx=train_idx,
        valid_idx=valid_idx,
        length=frame_length(sequences.lengths_N, train_idx, None),
        annotations=sequences.annotations,
    )


def run_epoch(fitting: _Fitting) -> None:
    """Take one epoch's steps as a run does, validation left out."""
    for _ in range(fitting.batches_per_epoch):
        fitting._train_batch()


def ready_batches(fitting: _Fitting) -> list:
    """Return the training batches of the first epoch."""
    task, config = fitting.task, fitting.config
    order = epoch_batches(fitting.train_lengths_N, config.batch_size, fitting._derive("order", 0))
    one_hot_KK = np.eye(task.num_classes, dtype=np.float32)
    return [
        fitting.batch_maker.draw(
            task.train_idx[chosen],
            one_hot_KK[task.label_idx[task.train_idx[chosen]]],
            fitting._derive("augment", step),
        )
        for step, chosen in enumerate(order)
    ]


def bare_loop(
    net: nn.Module,
    batches: Callable[[], Iterator[TrainingBatch] | list],
    is_half: bool = False,
) -> Callable[[], None]:
    """Return the plainest loop there is: forward, loss, backward, clip, step.

    With ``is_half`` the forward pass is in bfloat16; runs never are, so that they stay exact.
    """
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)

    def loop() -> None:
        net.train()
        for batch in batches():
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_half):
                logits_NK = net(batch.x_NTC, batch.lengths_N).float()
            nn.functional.cross_entropy(logits_NK, batch.target_NK, label_smoothing=0.05).backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()

    return loop


def make_items(table: pl.DataFrame, task: NetworkTask) -> Items:
    """Return the first items of the training part as the family keeps them."""
    sensors = [name for name in table.columns if name.startswith(SENSORS)]
    parts = table.select(*TEXTS, *sensors).partition_by("sequence_id", maintain_order=True)
    chosen_idx = task.train_idx[:ITEMS]
    return Items([parts[item] for item in chosen_idx], task.label_idx[chosen_idx], task.length)


def item_batches(items: Items, fitting: _Fitting) -> Iterator[TrainingBatch]:
    """Yield batches of items, each built when it is asked for."""
    one_hot_KK = torch.eye(fitting.task.num_classes)
    for x_NTC, lengths_N, label_idx in make_loader(items, 0):
        yield TrainingBatch(x_NTC, lengths_N, one_hot_KK[label_idx])


def processor_seconds(work: Callable[[], object]) -> float:
    """Return how long it takes the processor."""
    began = time.process_time()
    work()
    return time.process_time() - began
