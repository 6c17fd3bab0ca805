"""Check: own code is tried on a few simulated recordings before hours are spent on a run.

In: loaded ``OwnCode``. Out: one line for each part that can be used; the first that cannot is
refused, with what was expected and what came.

Shapes: N sequences, F features, K classes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from trainer.config import make_config
from trainer.data.preprocess import Signals, preprocess
from trainer.data.sequences import SENSOR_GROUPS, Sequences
from trainer.features.feature_table import FeatureTable, build_block, build_table, feature_names
from trainer.features.frames import build_frames
from trainer.features.own_blocks import OWN, FeatureBlock
from trainer.models import registry
from trainer.models.base import FoldResult, FoldTask, Model
from trainer.models.monitor import Paused, SilentMonitor
from trainer.models.own_code import OwnCode
from trainer.models.tensor_file import dump_tensors, load_tensors
from trainer.own_code.code_files import CodeRefusedError
from trainer.own_code.loader import describe_error
from trainer.simulation.simulate import simulate
from trainer.store.codec import dumps, loads

NUM_GESTURES = 3
SEED, FOLD = 7, 0
TOLERANCE = 1e-4  # of float32 features, relative: sums in another order
TOLERANCE_PROBA = 1e-6
TINY = (  # a fit of our network in a second
    *("network.epochs=2", "network.batch_size=8", "network.conv_channels=4,8"),
    *("network.recurrent_units=4", "network.members=1"),
)


def check_code(code: OwnCode) -> Iterator[str]:
    """Yield one line for each feature block, network and model that can be used.

    Raises:
        CodeRefusedError: The first that cannot.
    """
    sequences = _recordings()
    for block in code.blocks:
        names = _try(f"feature block {block.name}", partial(_check_block, block, sequences))
        yield (
            f"feature block {block.name}: {len(names)} columns, {names[0]} to {names[-1]}, the "
            f"same bits twice, the same numbers for each sequence alone"
        )
    ours = next(model for model in registry.trainable_models() if model.inputs == "frames")
    parts = [("network", name, ours) for name in code.networks]
    parts += [("model", name, model) for name, model in code.models.items()]
    for kind, name, model in parts:
        settings = [*TINY, f"blend.weights.{name}=1"] if kind == "model" else list(TINY)
        options: dict[str, Any] = {"use": list(code.use), "models": [model.name]}
        if kind == "network":
            options["network.architecture"] = name
        check = partial(_check_model, model, options, settings, sequences, code)
        _try(f"{kind} {name}", check)
        yield (
            f"{kind} {name}: the same bits when fitted twice, and after a pause; stored, opened, "
            f"and predicts a sequence alone"
        )


def _try(what: str, check: Any) -> Any:  # noqa: ANN401 - what the check returns
    """Run a part of the check; an error of the user's code is refused with its line."""
    try:
        return check()
    except CodeRefusedError as error:
        raise CodeRefusedError(f"{what}: {error}") from error
    except Exception as error:  # the user's code can raise anything
        raise CodeRefusedError(f"{what}: {describe_error(error)}") from error


def _recordings() -> Sequences:
    """Return a few simulated recordings with all sensors, 24 of one person."""
    everything = simulate(1)
    assert everything.label_idx is not None
    return everything.select(np.flatnonzero(everything.label_idx < NUM_GESTURES))


# Feature blocks


def _check_block(block: FeatureBlock, sequences: Sequences) -> tuple[str, ...]:
    signals = preprocess(sequences)
    table = _columns(block, signals)
    if not table.names:
        raise CodeRefusedError("expected at least one column; got none")
    ours = set(feature_names(SENSOR_GROUPS)).intersection(table.names)
    if ours:
        raise CodeRefusedError(f"column {min(ours)}: expected a new name; ours has this one")
    again = _columns(block, signals)
    _demand_equal("computed twice", table, again, tolerance=0.0)
    for number in range(len(signals.offsets) - 1):
        alone = _columns(block, signals.stretch(number, number + 1))
        row = FeatureTable(table.values_NF[number : number + 1], table.names)
        _demand_equal(f"sequence {number} computed alone", row, alone, TOLERANCE)
    imu = _columns(block, replace(signals, thm_T5=None, tof_T320=None, left_T=None))
    kept = [n for n, name in enumerate(table.names) if not name.startswith(("thm_", "tof_"))]
    inertial = FeatureTable(table.values_NF[:, kept], tuple(table.names[n] for n in kept))
    _demand_equal("computed without thermopiles and time of flight", inertial, imu, TOLERANCE)
    _columns(block, preprocess(replace(sequences, rot_T4=None)))
    return table.names


def _columns(block: FeatureBlock, signals: Signals) -> FeatureTable:
    return build_block(signals, f"{OWN}{block.name}", own=(block,), may_miss=False)


def _demand_equal(what: str, one: FeatureTable, other: FeatureTable, tolerance: float) -> None:
    """Refuse tables of which a column differs; sensors that the second lacks do not count."""
    column_of = {name: column for column, name in enumerate(other.names)}
    for column, name in enumerate(one.names):
        if name not in column_of:
            raise CodeRefusedError(f"column {name}: missing, {what}")
        values_N, other_N = one.values_NF[:, column], other.values_NF[:, column_of[name]]
        is_near_N = np.isclose(other_N, values_N, rtol=tolerance, atol=tolerance, equal_nan=True)
        if tolerance == 0.0:
            is_near_N = values_N.view(np.uint32) == other_N.view(np.uint32)
        if not is_near_N.all():
            first = int(np.argmin(is_near_N))
            raise CodeRefusedError(
                f"column {name}: expected the same number {what}; got {values_N[first]:.9g} and "
                f"{other_N[first]:.9g}. It depends on something else than the sensor and the "
                f"sequence that it is named after"
            )


# Networks and models


@dataclass
class _PausingMonitor(SilentMonitor):
    """Pauses a fit after some steps, and keeps its last checkpoint."""

    stop_after: int | None = None
    saved: dict[str, Any] | None = None
    steps: list[int] = field(default_factory=list)

    def should_stop(self) -> bool:
        return self.stop_after is not None and len(self.steps) >= self.stop_after

    def advance(self, step: int, total: int) -> None:
        self.steps.append(step)

    def save(self, checkpoint: dict[str, Any]) -> None:
        self.saved = checkpoint


def _task(model: Model, sequences: Sequences, code: OwnCode) -> FoldTask:
    assert sequences.label_idx is not None
    signals = preprocess(sequences)
    is_table = model.inputs == "features"
    order = np.arange(sequences.num_sequences)
    return FoldTask(
        inputs=build_table(signals, own=code.blocks) if is_table else build_frames(signals),
        label_idx=sequences.label_idx,
        num_classes=NUM_GESTURES,
        num_targets=NUM_GESTURES - 1,
        train_idx=order[order % 3 != 0],
        valid_idx=order[order % 3 == 0],
        annotations=sequences.catalogue.annotations,
    )


def _check_model(
    model: Model,
    options: Mapping[str, Any],
    settings: Sequence[str],
    sequences: Sequences,
    code: OwnCode,
) -> None:
    """Fit, fit again (which is timed), pause and resume, store and open, predict."""
    config = make_config("quick", options, settings, environment={})
    task = _task(model, sequences, code)
    whole = _PausingMonitor()
    result = model.fit(task, config, SEED, FOLD, whole)
    _check_result(result, task)
    packed = _stored(model, result.packed)
    began = time.perf_counter()
    again = model.fit(task, config, SEED, FOLD, SilentMonitor())
    model.checked_s = (time.perf_counter() - began) / len(task.train_idx)
    if _bytes(again) != _bytes(result):
        raise CodeRefusedError(
            "expected the same bits when it is fitted twice; got others. Derive every random "
            "number from the seed (trainer.models.seeds) or from torch, and none from numpy or time"
        )
    paused = _PausingMonitor(stop_after=max(1, len(whole.steps) // 2))
    try:
        resumed = model.fit(task, config, SEED, FOLD, paused)
    except Paused:
        checkpoint = None if paused.saved is None else _stored(model, paused.saved)
        resumed = model.fit(task, config, SEED, FOLD, SilentMonitor(), checkpoint)
    if _bytes(resumed) != _bytes(result):
        raise CodeRefusedError(
            "expected the same bits after a pause; got others. Something that changes while it is "
            "fitted is not in the checkpoint"
        )
    opened = registry.open_packed(model, packed)
    predicted_NK = opened.predict(_rows(task.inputs, task.valid_idx))
    _demand_near("a stored and opened fold", result.proba_NK, predicted_NK)
    for place, number in enumerate(task.valid_idx):
        alone_1K = opened.predict(_rows(task.inputs, np.array([number])))
        _demand_near("one sequence alone", predicted_NK[place : place + 1], alone_1K)


def _check_result(result: FoldResult, task: FoldTask) -> None:
    shape = (len(task.valid_idx), task.num_classes)
    for name in ("proba_NK", "proba_imu_NK"):
        proba_NK = getattr(result, name)
        if proba_NK is None and name == "proba_NK":
            raise CodeRefusedError(f"{name}: expected probabilities; got None")
        if proba_NK is None:
            raise CodeRefusedError(
                f"{name}: expected probabilities with the features of thermopiles and time of "
                f"flight set to NaN, since the recordings have them; got None"
            )
        if np.shape(proba_NK) != shape or proba_NK.dtype != np.float64:
            raise CodeRefusedError(
                f"{name}: expected float64 of shape {shape}; got {np.shape(proba_NK)} of "
                f"{getattr(proba_NK, 'dtype', type(proba_NK).__name__)}"
            )
        is_valid = np.isfinite(proba_NK).all() and (proba_NK >= 0.0).all()
        if not is_valid or np.abs(proba_NK.sum(axis=1) - 1.0).max() > TOLERANCE_PROBA:
            raise CodeRefusedError(f"{name}: expected probabilities, rows that sum to 1")


def _demand_near(what: str, expected_NK: Any, got_NK: Any) -> None:  # noqa: ANN401 - arrays
    if np.shape(got_NK) != np.shape(expected_NK):
        raise CodeRefusedError(
            f"prediction of {what}: expected shape {np.shape(expected_NK)}; got {np.shape(got_NK)}"
        )
    difference = float(np.abs(got_NK - expected_NK).max())
    if not difference <= TOLERANCE_PROBA:
        raise CodeRefusedError(
            f"prediction of {what}: expected the same probabilities within {TOLERANCE_PROBA:g}; "
            f"got a difference of {difference:.3g}. A prediction must not depend on padding or on "
            f"other sequences"
        )


def _rows(inputs: Any, sequence_idx: np.ndarray[Any, Any]) -> Any:  # noqa: ANN401 - of Inputs
    """Return the inputs of some sequences."""
    if isinstance(inputs, FeatureTable):
        return FeatureTable(inputs.values_NF[sequence_idx], inputs.names)
    starts, stops = inputs.offsets[:-1][sequence_idx], inputs.offsets[1:][sequence_idx]
    rows = np.concatenate([np.arange(*pair) for pair in zip(starts, stops, strict=True)])
    offsets = np.concatenate([[0], np.cumsum(stops - starts)])
    return replace(inputs, offsets=offsets, values_TC=inputs.values_TC[rows])


def _stored(model: Model, value: Any) -> Any:  # noqa: ANN401 - plain data
    """Return plain data as a file gives it back."""
    if model.file_format == "arrays":
        return loads(dumps(value))
    return load_tensors(dump_tensors(value))


def _bytes(result: FoldResult) -> tuple[bytes, bytes]:
    return result.proba_NK.tobytes(), dumps(result.packed)
