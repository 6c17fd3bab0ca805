"""Overhead of an epoch of the network beside its arithmetic.

Two loops in one process, in turns: an epoch as a run trains it, and a bare loop over the same
batches, drawn beforehand. Processor seconds: with one thread they are the seconds of a quiet
machine. Where there is a GPU, an epoch on it beside one on the CPU.

In: simulated recordings. Out: medians of the ratios, each within one turn.

    python -m benchmarks network
    python -m benchmarks.network --subjects 5      another size, not written to the report
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from unittest.mock import patch

import numpy as np
import torch
from torch import nn

from benchmarks.recordings import SEED, make_task
from benchmarks.report import Row, at_most, print_rows
from trainer.config import NetworkConfig
from trainer.data.preprocess import preprocess
from trainer.features.frames import build_frames
from trainer.models.base import FoldTask
from trainer.models.network.epochs import epoch_batches
from trainer.models.network.factory import make_network
from trainer.models.network.fold import _Fitting
from trainer.models.network.optimizer import reproducible
from trainer.simulation.simulate import simulate

PURPOSE = "One epoch of the network beside a bare loop over ready batches, simulated recordings."
SUBJECTS = 10
REPEATS = 3


def measure(num_subjects: int = SUBJECTS) -> list[Row]:
    """Return the rows of the table."""
    sequences = simulate(num_subjects)
    task = make_task(sequences, build_frames(preprocess(sequences)))
    config = NetworkConfig(epochs=REPEATS + 1, imu_network=False)
    return [*overhead(task, config), *gpu_rows(task, config)]


def overhead(task: FoldTask, config: NetworkConfig) -> list[Row]:
    """Return an epoch of a run beside a bare loop, both on the CPU."""
    with reproducible(config.num_threads), patch("torch.cuda.is_available", return_value=False):
        fitting = _Fitting(task, config, SEED, 0, None)
        batches = draw_batches(fitting)
        loops: dict[str, Callable[[], object]] = {
            "bare": bare_loop(make_network(fitting.sizes), batches),
            "run": lambda: train_epoch(fitting),
            "draw": lambda: draw_batches(fitting),
        }
        times = time_loops(loops)

    ratio = statistics.median(a / b for a, b in zip(times["run"], times["bare"], strict=True))
    median_s = {name: f"{statistics.median(seconds):.2f} s" for name, seconds in times.items()}
    size = f"{len(task.train_idx):,} sequences, {len(batches)} batches, 1 thread"
    return [
        at_most(f"epoch / bare loop ({size}; {median_s['run']}, {median_s['bare']})", ratio, 1.15),
        Row("drawing its batches", median_s["draw"]),
        padding(batches),
    ]


def gpu_rows(task: FoldTask, config: NetworkConfig) -> list[Row]:
    """Return the wall-clock time of an epoch on the GPU and on the CPU, where there is a GPU."""
    if not torch.cuda.is_available():
        return []
    seconds = {}
    for name, is_on_gpu in (("GPU", True), ("CPU", False)):
        with (
            reproducible(torch.get_num_threads()),
            patch("torch.cuda.is_available", return_value=is_on_gpu),
        ):
            fitting = _Fitting(task, config, SEED, 0, None)
            train_epoch(fitting)  # warms up
            began = time.perf_counter()
            train_epoch(fitting)  # every step reads its loss, so it has ended on the GPU
            seconds[name] = time.perf_counter() - began
    title = (
        f"epoch on {torch.cuda.get_device_name(0)} / on the CPU, {torch.get_num_threads()} threads"
    )
    return [Row(title, f"{seconds['GPU']:.2f} s / {seconds['CPU']:.2f} s")]


def time_loops(loops: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Return the processor seconds of every loop in every turn but the first, which warms up."""
    times: dict[str, list[float]] = {name: [] for name in loops}
    for turn in range(REPEATS + 1):
        for name, loop in loops.items():
            began = time.process_time()
            loop()
            if turn:
                times[name].append(time.process_time() - began)
    return times


def padding(batches: list) -> Row:
    """Return the share of the computed steps that belong to no recording."""
    padded = sum(batch.x_NTC.shape[0] * batch.x_NTC.shape[1] for batch in batches)
    real = sum(int(batch.lengths_N.sum()) for batch in batches)
    return Row("computed steps that are padding", f"{1 - real / padded:.1%}")


def train_epoch(fitting: _Fitting) -> None:
    """Take the steps of one epoch as a run does, without validation."""
    for _ in range(fitting.batches_per_epoch):
        fitting._train_batch()


def draw_batches(fitting: _Fitting) -> list:
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


def bare_loop(net: nn.Module, batches: list) -> Callable[[], None]:
    """Return the plainest training loop: forward, loss, backward, clip, step."""
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)

    def loop() -> None:
        net.train()
        for batch in batches:
            optimizer.zero_grad(set_to_none=True)
            logits_NK = net(batch.x_NTC, batch.lengths_N)
            nn.functional.cross_entropy(logits_NK, batch.target_NK, label_smoothing=0.05).backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()

    return loop


def main() -> None:
    """Measure another size, without writing the report."""
    parser = argparse.ArgumentParser(description="Overhead of an epoch of the network.")
    parser.add_argument("--subjects", type=int, default=SUBJECTS)
    print_rows(measure(parser.parse_args().subjects))


if __name__ == "__main__":
    main()
