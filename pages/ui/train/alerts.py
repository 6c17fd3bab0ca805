"""Alerts: problems of a run, present or near, as far as its own files show them.

In: the derived state, the points of the curves, the events. Out: sentences with the observation,
the place, and what to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl
import streamlit as st

from pages.ui.shared import frame, words
from trainer.store.event_log import Event
from trainer.store.records import Status
from trainer.store.run_state import DerivedState

LOW_MEMORY_MB = 512  # twice what the derived state calls scarce: early enough to close something
LOW_DISK_MB = 1024  # a run of the competition's size writes a few hundred MB
SPIKE = 1.5  # times the lowest validation loss of the fold so far
NUM_SETTLED = 3  # points of a fold before a rise counts as a spike

ICONS = {
    "error": ":material/error:",
    "warning": ":material/warning:",
    "info": ":material/history:",
}


@dataclass(frozen=True)
class Alert:
    """One problem.

    Attributes:
        level: How bad it is.
        text: The observation, and what to do.
    """

    level: Literal["error", "warning", "info"]
    text: str


def show(alerts: Sequence[Alert]) -> None:
    """Show the alerts, the worst first."""
    boxes = {"error": st.error, "warning": st.warning, "info": st.info}
    for level, box in boxes.items():
        for alert in alerts:
            if alert.level == level:
                box(frame.escape(alert.text), icon=ICONS[level])


def find(derived: DerivedState, points: pl.DataFrame, events: Sequence[Event]) -> list[Alert]:
    """Return the problems of an active run; of any other run, only losses that are not numbers.

    Args:
        derived: The state of the run.
        points: Of all curves, as ``trainer.store.reader.curves`` returns them.
        events: All of them.
    """
    found = not_a_number(points)
    if not derived.is_active or derived.status is None:
        return found
    if derived.state == "stalled":
        found.append(
            Alert(
                "error",
                f"{derived.reason} If this persists, end process {derived.status.pid} and press "
                f"Resume; everything up to the last checkpoint is kept.",
            )
        )
    return [*found, *spike(derived.status, points), *scarce(derived.status), *_failures(events)]


def not_a_number(points: pl.DataFrame) -> list[Alert]:
    """Return one alert per fold whose loss was infinite or not a number (stored as null)."""
    if "valid_loss" not in points.columns:
        return []
    is_lost = pl.col("valid_loss").is_null()
    if "train_loss" in points.columns:  # a model may have no training loss at all
        is_lost |= pl.col("train_loss").is_null() & pl.col("train_loss").is_not_null().any().over(
            "model"
        )
    lost = points.filter(is_lost).group_by("model", "fold").agg(pl.col("step").min())
    return [
        Alert(
            "error",
            f"{words.fold_name(row['model'], row['fold'])}: the loss was not a number at "
            f"{words.step_title(row['model'])} {row['step']:.0f}. A lower learning rate usually "
            f"helps; check the recordings for values that are far too large.",
        )
        for row in lost.sort("model", "fold").iter_rows(named=True)
    ]


def spike(status: Status, points: pl.DataFrame) -> list[Alert]:
    """Return an alert per fold in training whose newest validation loss is far above its best."""
    if "valid_loss" not in points.columns:
        return []
    folds = [(fitted.model, fitted.fold) for fitted in words.fitted_now(status)]
    return [alert for model, fold in folds for alert in _spike(str(model), fold, points)]


def _spike(model: str, fold: int | None, points: pl.DataFrame) -> list[Alert]:
    of_fold = points.filter(model=model, fold=fold).drop_nulls("valid_loss")
    if of_fold.height <= NUM_SETTLED:
        return []
    *before, newest = of_fold.sort("step").select("step", "valid_loss").iter_rows()
    best = min(before, key=lambda point: point[1])
    if newest[1] <= SPIKE * best[1]:
        return []
    step_title = words.step_title(model)
    return [
        Alert(
            "warning",
            f"{words.fold_name(model, fold)}: the validation loss is {newest[1]:.3g} at "
            f"{step_title} {newest[0]:.0f}; its lowest was {best[1]:.3g} at {step_title} "
            f"{best[0]:.0f}. A short rise does no harm if the curve falls again before the end.",
        )
    ]


def scarce(status: Status) -> list[Alert]:
    """Return alerts where memory or disk space was low at the last heartbeat."""
    alerts = []
    if status.free_memory_mb is not None and status.free_memory_mb < LOW_MEMORY_MB:
        alerts.append(
            f"Memory is low: {status.free_memory_mb:,} MB are free, the trainer uses "
            f"{status.used_memory_mb or 0:,} MB. Close other programs, or pause; if the system "
            f"ends the trainer, the run can be resumed."
        )
    if status.free_disk_mb is not None and status.free_disk_mb < LOW_DISK_MB:
        alerts.append(
            f"Disk space is low: {status.free_disk_mb:,} MB are free. On a full disk the run fails "
            f"when it saves; free some space, or pause first."
        )
    return [Alert("warning", text) for text in alerts]


def _failures(events: Sequence[Event]) -> list[Alert]:
    """Return the last error of an earlier attempt, after which the run was resumed."""
    failures = [event for event in events if event.event == "fail"]
    return [
        Alert(
            "info",
            f"Last error: attempt {event.attempt} failed at {words.clock(event.time)} with "
            f"{event.text}",
        )
        for event in failures[-1:]
    ]
