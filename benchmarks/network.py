"""What an epoch of the network costs beside its arithmetic.

Three loops over the same batches of one epoch, in the same process, one after the other, repeated:
as a run trains; a bare loop over tensors that are ready; and one that builds the frames of every
item when it is asked for, as a data set of single items does. Medians of the repeats.

    python -m benchmarks network
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.report import Row, at_least, at_most
from trainer.config import NetworkConfig
from trainer.data.preprocess import preprocess
from trainer.data.simulate import write_folder
from trainer.data.sources import read_table, sequences_from_table
from trainer.features.frames import build_frames, fit_scaler, frame_length, make_batch, scale
from trainer.folds import assign_folds, split
from trainer.models.batches import epoch_batches
from trainer.models.fitting import NetworkTask, _Fitting
from trainer.models.optimisation import reproducible

PURPOSE = "One epoch of the network beside a bare loop over ready tensors, simulated recordings."
SUBJECTS = 10
REPEATS = 3
ITEMS = 200  # so many are built one by one; the time of the epoch's others is in proportion


def measure() -> list[Row]:
    """Return the rows of the table."""
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix="tmp") as name:
        write_folder(Path(name) / "recordings", SUBJECTS)
        table = read_table(Path(name) / "recordings" / "train.csv")
    sequences = sequences_from_table(table)
    tables = table.partition_by("sequence_id", maintain_order=True)
    config = NetworkConfig(epochs=2 * REPEATS)
    task = make_task(sequences)
    with reproducible(config.num_threads):
        fitting = _Fitting(task, config, 42, 0)
        batches = ready_batches(fitting)
        bare = bare_loop(fitting, batches)
        half = bare_loop(fitting, batches, is_half=True)
        times = {"run": [], "bare": [], "half": [], "items": []}
        for _ in range(REPEATS):
            times["bare"].append(seconds(bare))
            times["half"].append(seconds(half))
            times["run"].append(seconds(lambda: run_epoch(fitting)))
            times["items"].append(build_items(tables, fitting))
    run_s, bare_s, items_s = (statistics.median(times[name]) for name in ("run", "bare", "items"))
    padded = sum(batch.x_NTC.shape[0] * batch.x_NTC.shape[1] for batch in batches)
    real = sum(int(batch.lengths_N.sum()) for batch in batches)
    size = f"{len(task.train_idx):,} sequences, {len(batches)} batches, {config.num_threads} thread"
    return [
        at_most(f"epoch / bare loop ({size}; {run_s:.2f} s, {bare_s:.2f} s)", run_s / bare_s, 1.15),
        at_least(
            f"epoch with frames per item ({items_s + bare_s:.1f} s) / epoch",
            (items_s + bare_s) / run_s,
            20.0,
            digits=1,
        ),
        at_least(
            f"making batches, per item ({items_s:.1f} s) / ours (what the epoch takes more)",
            items_s / max(run_s - bare_s, 1e-9),
            20.0,
            digits=1,
        ),
        Row(
            "bare loop in bfloat16 / in float32", f"{statistics.median(times['half']) / bare_s:.2f}"
        ),
        Row("computed steps that are padding", f"{1 - real / padded:.1%}"),
    ]


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
    )


def run_epoch(fitting: _Fitting) -> None:
    """Take one epoch's steps as a run does, validation left out."""
    for _ in range(fitting.batches_per_epoch):
        fitting._train_batch()


def ready_batches(fitting: _Fitting) -> list:
    """Return the training batches of the first epoch, drawn beforehand."""
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


def bare_loop(fitting: _Fitting, batches: list, is_half: bool = False) -> Callable[[], None]:
    """Return the plainest loop there is: forward, loss, backward, clip, step.

    With ``is_half`` the forward pass is in bfloat16; runs never are, so that they stay exact.
    """
    net = fitting.optimisation.net.__class__(fitting.sizes)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)

    def loop() -> None:
        net.train()
        for batch in batches:
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_half):
                logits_NK = net(batch.x_NTC, batch.lengths_N).float()
            nn.functional.cross_entropy(logits_NK, batch.target_NK, label_smoothing=0.05).backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()

    return loop


def build_items(tables, fitting: _Fitting) -> float:
    """Return the seconds in which an epoch's frames are built item by item from their rows."""
    items = fitting.task.train_idx[:ITEMS]
    began = time.perf_counter()
    for item in items:
        frames = build_frames(preprocess(sequences_from_table(tables[item])))
        scaled = scale(frames, fit_scaler(frames, np.array([0])))
        torch.from_numpy(make_batch(scaled, np.array([0]), fitting.task.length).values_NTC)
    return (time.perf_counter() - began) * len(fitting.task.train_idx) / len(items)


def seconds(work: Callable[[], None]) -> float:
    """Return how long it takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
