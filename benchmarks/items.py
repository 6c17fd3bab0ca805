"""What the notebook family trains its network from, and the network: frames built item by item.

In: one data frame per sequence. Out: a ``DataLoader``, and a network of the family's sizes.
Whenever an item is asked for, in every epoch, its rows are turned into 18 channels with pandas,
scipy and Python loops over time steps, scaled column by column, and padded to one length for all;
a batch is a stack of 64 of them. The network computes padding as if it were there.

Source: what fuhitonakagawa/Kaggle_CMI's 9_DL_ensemble does, step for step; none of its code.

Shapes: N sequences, T time steps, P pooled time steps, C channels, K classes.
"""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pandas as pd
import polars as pl
import torch
from scipy.signal import butter, filtfilt
from scipy.spatial.transform import Rotation
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

BATCH_SIZE = 64
RATE_HZ = 20.0  # the family takes it for granted
GRAVITY_HZ = 0.75  # slower than this counts as gravity
NUM_CHANNELS = 18
WIDTHS = (128, 256)  # channels of the two convolutions
UNITS = 128  # of each direction of a recurrent layer
DROPOUT = 0.2
SHORTEST_FILTERED = 9  # steps; in a shorter sequence the median is the gravity


class Items(Dataset):
    """Sequences as the family keeps them; every item is built anew."""

    def __init__(self, tables: list[pl.DataFrame], label_idx: np.ndarray, length: int) -> None:
        """Fit the scaler, for which every frame is built once."""
        self.tables, self.label_idx, self.length = tables, label_idx, length
        everything = pd.concat([build_frame(table) for table in tables], ignore_index=True)
        self.scales = {
            name: (float(values.mean()), float(values.std(ddof=0)) + 1e-8)
            for name, values in everything.astype(np.float64).items()
        }

    def __len__(self) -> int:
        """Return the number of sequences."""
        return len(self.tables)

    def __getitem__(self, item: int) -> tuple[np.ndarray, int, int]:
        """Return the padded frame (length, C), its real steps and its class."""
        frame = build_frame(self.tables[item])
        scaled = frame.copy()
        for name, (mean, std) in self.scales.items():
            scaled[name] = (scaled[name].astype(np.float32) - mean) / std
        values_TC = scaled.to_numpy(dtype=np.float32)
        steps = min(len(values_TC), self.length)
        padded_TC = np.zeros((self.length, values_TC.shape[1]), dtype=np.float32)
        padded_TC[:steps] = values_TC[:steps]
        return padded_TC, steps, int(self.label_idx[item])


def make_loader(items: Items, seed: int) -> DataLoader:
    """Return shuffled batches of (frames, real steps, classes), built in this process."""
    order = torch.Generator().manual_seed(seed)
    return DataLoader(items, BATCH_SIZE, shuffle=True, collate_fn=_stack, generator=order)


def _stack(batch: list) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    frames, steps, classes = zip(*batch, strict=True)
    return torch.from_numpy(np.stack(frames)), torch.tensor(steps), torch.tensor(classes)


class FamilyNet(nn.Module):
    """Two convolution blocks, BiLSTM, BiGRU, attention over real steps, a head of two layers."""

    def __init__(self, num_classes: int) -> None:
        """Start from random weights."""
        super().__init__()
        first, second = WIDTHS
        self.convolutions = nn.Sequential(
            nn.Conv1d(NUM_CHANNELS, first, 7, padding="same"), nn.BatchNorm1d(first), nn.GELU(),
            nn.MaxPool1d(2),
            nn.Conv1d(first, second, 5, padding="same"), nn.BatchNorm1d(second), nn.GELU(),
            nn.MaxPool1d(2), nn.Dropout(DROPOUT),
        )  # fmt: skip
        self.lstm = nn.LSTM(second, UNITS, batch_first=True, bidirectional=True)
        self.gru = nn.GRU(2 * UNITS, UNITS, batch_first=True, bidirectional=True)
        self.attention = nn.Linear(2 * UNITS, 1)
        self.head = nn.Sequential(
            nn.Linear(2 * UNITS, 256), nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(256, num_classes)
        )

    def forward(self, x_NTC: Tensor, lengths_N: Tensor) -> Tensor:
        """Return the logits (N, K)."""
        x_NPC = self.convolutions(x_NTC.transpose(1, 2)).transpose(1, 2)
        x_NPC, _ = self.gru(self.lstm(x_NPC)[0])
        is_padding_NP = 4 * torch.arange(x_NPC.shape[1]) >= lengths_N[:, None]
        scores_NP = self.attention(x_NPC).squeeze(-1).masked_fill(is_padding_NP, -1e9)
        return self.head((torch.softmax(scores_NP, dim=1)[..., None] * x_NPC).sum(dim=1))


def build_frame(table: pl.DataFrame) -> pd.DataFrame:
    """Turn the rows of one sequence into the family's 18 channels."""
    rows = table.to_pandas()
    quaternions_T4 = _steady_signs(_unit_quaternions(rows))
    acc_T3 = rows[["acc_x", "acc_y", "acc_z"]].ffill().bfill().to_numpy(dtype=float, copy=True)
    world_T3 = Rotation.from_quat(quaternions_T4[:, [1, 2, 3, 0]]).apply(acc_T3)
    linear_T3 = world_T3 - _gravity(world_T3)
    omega_T3 = _angular_velocity(quaternions_T4)
    channels = {f"linear_acc_{axis}": linear_T3[:, i] for i, axis in enumerate("xyz")}
    channels |= {f"omega_{axis}": omega_T3[:, i] for i, axis in enumerate("xyz")}
    channels["linear_acc_mag"] = np.linalg.norm(linear_T3, axis=1)
    channels["omega_mag"] = np.linalg.norm(omega_T3, axis=1)
    for sensor in ("tof", "thm"):
        columns = [name for name in rows.columns if name.startswith(f"{sensor}_")]
        channels |= _pooled(rows[columns].to_numpy(dtype=float), sensor)
    frame = pd.DataFrame(channels)
    return frame.replace([np.inf, -np.inf], 0).fillna(0)


def _unit_quaternions(rows: pd.DataFrame) -> np.ndarray:
    """Return unit quaternions (T, 4), w first, step by step; the identity for a missing one."""
    quaternions_T4 = np.full((len(rows), 4), np.nan)
    for column, axis in enumerate("wxyz"):
        quaternions_T4[:, column] = rows[f"rot_{axis}"].to_numpy(dtype=float)
    for step in range(len(quaternions_T4)):
        row = quaternions_T4[step]
        is_whole = np.isnan(row).sum() == 0 and np.linalg.norm(row) > 1e-8
        quaternions_T4[step] = row / np.linalg.norm(row) if is_whole else [1.0, 0.0, 0.0, 0.0]
    return quaternions_T4


def _steady_signs(quaternions_T4: np.ndarray) -> np.ndarray:
    """Flip each quaternion that points away from the one before it."""
    for step in range(1, len(quaternions_T4)):
        if np.dot(quaternions_T4[step - 1], quaternions_T4[step]) < 0:
            quaternions_T4[step] = -quaternions_T4[step]
    return quaternions_T4


def _gravity(world_T3: np.ndarray) -> np.ndarray:
    """Return what a low-pass filter, run both ways, takes for gravity."""
    numerator, denominator = butter(2, GRAVITY_HZ / (RATE_HZ / 2), btype="low")
    if len(world_T3) <= 3 * max(len(numerator), len(denominator), SHORTEST_FILTERED // 3):
        return np.median(world_T3, axis=0, keepdims=True)
    return filtfilt(numerator, denominator, world_T3, axis=0)


def _angular_velocity(quaternions_T4: np.ndarray) -> np.ndarray:
    """Return rad/s (T, 3), from two rotation objects a step; the last step repeats the other."""
    vectors_T4 = quaternions_T4[:, [1, 2, 3, 0]]
    steps = [
        (Rotation.from_quat(after) * Rotation.from_quat(before).inv()).as_rotvec() * RATE_HZ
        for before, after in itertools.pairwise(vectors_T4)
    ]
    return np.array([*steps, steps[-1] if steps else np.zeros(3)])


def _pooled(values_TC: np.ndarray, sensor: str) -> dict[str, np.ndarray]:
    """Return five numbers a step over all columns of a sensor; -1 and missing do not count."""
    known_TC = np.isfinite(values_TC) & (values_TC != -1)
    pooled = {"valid_ratio": known_TC.mean(axis=1)}
    statistics = {"mean": np.nanmean, "std": np.nanstd, "min": np.nanmin, "max": np.nanmax}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of steps in which nothing is known
        for name, statistic in statistics.items():
            pooled[name] = np.nan_to_num(statistic(np.where(known_TC, values_TC, np.nan), axis=1))
    return {f"{sensor}_{name}": values_T for name, values_T in pooled.items()}
