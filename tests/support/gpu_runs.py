"""Tiny runs in a fresh Python with a choice of GPUs; CUDA cannot be used after a fork.

In: a run folder, recordings, the visible GPUs. Out: the exit code, minus a signal's number, and the
output.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

from tests.support.tiny_runs import PROJECT

CPU, FIRST, TWO = "", "0", "0,1"  # of CUDA_VISIBLE_DEVICES
LONGER = ("network.epochs=4", "network.save_interval_s=0.000001")  # a checkpoint after every step
TRAIN = """
import sys
from pathlib import Path
from tests.support.tiny_runs import tiny_config, train

train(Path(sys.argv[1]), tiny_config(*sys.argv[2:]), echo=print)
"""


def train_on_gpus(root, source, *assignments, gpus=FIRST, prepare=""):
    """Train or continue a run; ``prepare`` is Python that runs first."""
    done = subprocess.run(
        [
            *(sys.executable, "-W", "ignore", "-c", textwrap.dedent(prepare) + TRAIN),
            *map(str, (root, source, "models=torch", *LONGER, *assignments)),
        ],
        cwd=PROJECT,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": gpus},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def networks_of(root):
    """Return the bytes of the finished folds' weights, of the bundle and of the predictions."""
    names = ("torch_models/fold00.pt", "torch_models/fold01.pt", "torch_bundle.pkl", "oof.parquet")
    return {name: (root / name).read_bytes() for name in names}
