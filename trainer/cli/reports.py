"""Reports: a run in lines for a terminal and in JSON for programs.

In: a run folder and the verdict on it. Out: lines and plain values.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from trainer.store.durable import StoreError
from trainer.store.reader import RunReader
from trainer.store.records import Scores
from trainer.store.run_state import DerivedState, describe

NUM_TOP_FEATURES = 10
SIMULATED_LINE = "Simulated recordings: these scores say nothing about real ones."


def outcome_lines(root: Path, outcome: Literal["finished", "paused"]) -> list[str]:
    """Return what a start of the trainer ends with: scores, top features, how to go on."""
    reader = RunReader(root)
    scores, importance = reader.scores(), reader.importance()
    lines = [] if scores is None else score_lines(scores, _is_simulated(reader))
    if importance is not None:
        top = importance["feature"].head(NUM_TOP_FEATURES)
        lines.append("top features by gain: " + ", ".join(top))
    if outcome == "paused":
        return [*lines, f"Paused. Go on with: python -m trainer resume {root.name}"]
    return [*lines, f"Finished: {root}. Ask it: python -m trainer predict {root.name} FILE.csv"]


def status_lines(reader: RunReader, derived: DerivedState, with_evidence: bool) -> list[str]:
    """Return a run in one line, or with its evidence, folds and scores."""
    lines = [f"{reader.name:<24} {derived.state:<12} {derived.reason}"]
    if not with_evidence:
        return lines
    lines += [f"  {evidence.what:<14} {evidence.seen}" for evidence in derived.evidence]
    for unit in reader.units():
        score = "" if unit.score is None else f" score {unit.score.score:.4f}"
        how = "done" if unit.done else f"step {unit.step} of {unit.total_steps or '?'}"
        lines.append(f"  {unit.model} fold {unit.fold}: {how}{score}, {unit.seconds:.0f} s")
    scores = reader.scores()
    told = [] if scores is None else score_lines(scores, _is_simulated(reader))
    return lines + [f"  {line}" for line in told]


def status_json(reader: RunReader, derived: DerivedState) -> dict[str, Any]:
    """Return what programs are told of a run; a damaged file is a problem of this run alone."""
    status = derived.status
    told = {
        "run": reader.name,
        "state": derived.state,
        "reason": derived.reason,
        "where": None if status is None else describe(status),
        "evidence": {evidence.what: evidence.seen for evidence in derived.evidence},
        "status": None if status is None else status.model_dump(mode="json", by_alias=True),
    }
    try:
        units, scores = reader.units(), reader.scores()
    except StoreError as error:
        return told | {"units": [], "scores": None, "is_simulated": None, "problem": str(error)}
    return told | {
        "units": [unit.model_dump(mode="json", by_alias=True) for unit in units],
        "scores": None if scores is None else scores.model_dump(mode="json", by_alias=True),
        "is_simulated": _is_simulated(reader),
        "problem": None,
    }


def score_lines(scores: Scores, is_simulated: bool) -> list[str]:
    """Return the scores as a small table: mean and spread over folds, and out of fold."""
    lines = [SIMULATED_LINE] if is_simulated else []
    lines += [f"{'':<9}{'mean of folds':>22}{'out of fold':>14}{'accuracy':>11}"]
    for model, row in scores.models.items():
        part = row.all_sensors
        if part.mean is None or part.oof is None:
            continue
        done = sum(fold is not None for fold in part.folds)
        mean = f"{part.mean:.4f} +- {part.std:.4f} ({done})"
        lines.append(f"{model:<9}{mean:>22}{part.oof.score:>14.4f}{part.oof.accuracy:>11.4f}")
        if row.imu_only is not None and row.imu_only.oof is not None:
            imu = row.imu_only.oof
            lines.append(f"{'  IMU only':<31}{imu.score:>14.4f}{imu.accuracy:>11.4f}")
            lines.append(f"{'  half and half':<31}{row.half_and_half:>14.4f}")
        fixed = scores.fixed.get(model)
        whole = None if fixed is None else fixed.all_sensors.oof
        if whole is not None:
            lines.append(f"{'  fixed in advance':<31}{whole.score:>14.4f}{whole.accuracy:>11.4f}")
    return lines


def _is_simulated(reader: RunReader) -> bool:
    run_file = reader.run_file()
    return run_file is not None and run_file.is_simulated
