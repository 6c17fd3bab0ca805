"""Reports: a run as lines for a terminal and as JSON for programs.

In: a run folder and its derived state. Out: lines and plain values.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from trainer.models import registry
from trainer.store.durable import StoreError
from trainer.store.reader import RunReader
from trainer.store.records import Scores
from trainer.store.run_state import DerivedState, describe

NUM_TOP_FEATURES = 10
OPTIMISTIC_LINE = (
    "Optimistic: the best round or epoch of each fold was chosen on the rows that are scored."
)
SHARED_LINE = "Optimistic: subjects are shared between training and validation."
SIMULATED_LINE = "Simulated recordings: these scores do not apply to real ones."


def outcome_lines(root: Path, outcome: Literal["finished", "paused"]) -> list[str]:
    """Return the lines at the end of a start: scores, top features, the next command."""
    reader = RunReader(root)
    scores, importance = reader.scores(), reader.importance()
    lines = [] if scores is None else score_lines(scores, _is_simulated(reader))
    if importance is not None:
        top = importance["feature"].head(NUM_TOP_FEATURES)
        lines.append("top features by gain: " + ", ".join(top))
    if outcome == "paused":
        return [*lines, f"Paused. Continue with: python -m trainer resume {root.name}"]
    return [
        *lines,
        f"Finished: {root}. Predict with it: python -m trainer predict {root.name} FILE.csv",
    ]


def status_lines(reader: RunReader, derived: DerivedState, with_evidence: bool) -> list[str]:
    """Return a run in one line, or with its evidence, folds and scores."""
    lines = [f"{reader.name:<24} {derived.state:<12} {derived.reason}"]
    if not with_evidence:
        return lines
    lines += [f"  {evidence.what:<14} {evidence.seen}" for evidence in derived.evidence]
    run_file = reader.run_file()
    left_out = {} if run_file is None else run_file.left_out
    lines += [f"  left out       {text}" for text in registry.describe_left_out(left_out)]
    for fold in reader.fold_records():
        score = "" if fold.score is None else f" score {fold.score.score:.4f}"
        step_name = registry.get(fold.model).step_name
        steps = f"{step_name} {fold.step} of {fold.total_steps or '?'}"
        progress = "done" if fold.done else steps
        lines.append(f"  {fold.model} fold {fold.fold}: {progress}{score}, {fold.seconds:.0f} s")
    scores = reader.scores()
    table = [] if scores is None else score_lines(scores, _is_simulated(reader))
    return lines + [f"  {line}" for line in table]


def status_json(reader: RunReader, derived: DerivedState) -> dict[str, Any]:
    """Return a run for programs; ``problem`` names a damaged file of the run."""
    status = derived.status
    described = {
        "run": reader.name,
        "state": derived.state,
        "reason": derived.reason,
        "where": None if status is None else describe(status),
        "evidence": {evidence.what: evidence.seen for evidence in derived.evidence},
        "status": None if status is None else status.model_dump(mode="json", by_alias=True),
    }
    try:
        folds, scores = reader.fold_records(), reader.scores()
    except StoreError as error:
        return described | {
            "units": [],
            "scores": None,
            "is_simulated": None,
            "shared_subjects": None,
            "problem": str(error),
        }
    return described | {
        "units": [fold.model_dump(mode="json", by_alias=True) for fold in folds],
        "scores": None if scores is None else scores.model_dump(mode="json", by_alias=True),
        "is_simulated": _is_simulated(reader),
        "shared_subjects": scores is not None and scores.shared_subjects,
        "problem": None,
    }


def score_lines(scores: Scores, is_simulated: bool) -> list[str]:
    """Return the scores as a small table: mean and spread over folds, out of fold, accuracy."""
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
        best = scores.best.get(model)
        whole = None if best is None else best.all_sensors.oof
        if whole is not None and not scores.is_chosen(model):
            lines.append(
                f"{'  best steps (optimistic)':<31}{whole.score:>14.4f}{whole.accuracy:>11.4f}"
            )
    if len(scores.weights) > 2:
        weights = (f"{model} {weight:.3g}" for model, weight in scores.weights.items())
        lines.append(f"weights of the blend: {', '.join(weights)}")
    if scores.has_chosen:
        lines.append(OPTIMISTIC_LINE)
    if scores.shared_subjects:
        lines.append(SHARED_LINE)
    return lines


def _is_simulated(reader: RunReader) -> bool:
    run_file = reader.run_file()
    return run_file is not None and run_file.is_simulated
