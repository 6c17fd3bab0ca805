"""Run folders in every state a page can meet, written through the store's own functions.

In: a state folder, a name, what the run is doing. Out: a run folder of a finished, running, paused,
failed, damaged ... run with 2 models x 3 folds of the builders' four gestures.
"""

from __future__ import annotations

import os
import socket
import time

import numpy as np
import polars as pl

from tests.support.builders import GESTURES
from trainer.config import make_config
from trainer.data import sources
from trainer.store.durable import append_line, write_atomic
from trainer.store.locks import acquire
from trainer.store.names import RunPaths
from trainer.store.process import ProcessIdentity, boot_id, own_identity
from trainer.store.reader import RunReader
from trainer.store.records import (
    Command,
    DataSummary,
    FoldRecord,
    Labels,
    Machine,
    ModelScores,
    ModelState,
    Notes,
    RunFile,
    ScoreRow,
    Scores,
    SensorScores,
    Status,
    dump_record,
)

NUM_FOLDS = 3
NUM_SUBJECTS = 6
NUM_SEQUENCES = 48
NAMES = tuple(name for name, _ in GESTURES)
NUM_TARGETS = 2
WEIGHTS = {"lgbm": 0.4, "torch": 0.6}
STEPS = {"lgbm": 100, "torch": 12}  # rounds and epochs of a whole fold
TOTAL_STEPS = {"lgbm": 100, "torch": 36}  # rounds, and optimiser steps of 3 batches an epoch
NOW = 1_790_000_000.0  # seconds since 1970: a fixed past moment for files that are not compared
STATES = (
    "running",
    "pausing",
    "paused",
    "interrupted",
    "stalled",
    "failed",
    "finished",
    "starting",
    "damaged",
    "newer",
    "half",
)


def make_run(
    state_dir, name="first", state="finished", source="watch", seed=42, done=None, is_marked=False
):
    """Write a run folder; return its root and the lock to keep while the run is to look alive.

    ``state`` is one of STATES: the seven verdicts, "starting" (nothing but a lock), "damaged"
    (unreadable scores and out-of-fold table), "newer" (a schema of the future), "half" (a torn last
    line of metrics.jsonl in a running run). ``done`` is how many of the six folds are done.
    ``is_marked``: the recordings themselves are marked as simulated.
    """
    root = state_dir / name
    root.mkdir(parents=True)
    paths = RunPaths(root)
    lock = acquire(paths.lock) if state in _ALIVE else None
    if state == "starting":
        return root, lock
    if done is None:
        done = {"finished": 6, "damaged": 6, "newer": 6}.get(state, 4)
    write_config(paths, source, seed, is_marked)
    write_folds(paths)
    write_units(paths, done)
    write_metrics(paths, done)
    write_views(paths, done)
    write_status(paths, state, done)
    paths.log.write_text(_LOG + ("ERROR the disk is full\n" if state == "failed" else ""))
    _spoil(paths, state)
    return root, lock


def write_config(paths, source="watch", seed=42, is_marked=False):
    config = make_config(
        "quick",
        {
            "data.source": source,
            "folds.count": NUM_FOLDS,
            "boosting.rounds": STEPS["lgbm"],
            "network.epochs": STEPS["torch"],
            "seed": seed,
        },
        environment={},
    )
    run_file = RunFile(
        **config.model_dump(),
        run=paths.root.name,
        created_at=NOW,
        labels=Labels(gestures=NAMES, num_targets=NUM_TARGETS),
        recordings=DataSummary(
            fingerprint="f" * 64,
            num_sequences=NUM_SEQUENCES,
            num_rows=NUM_SEQUENCES * 30,
            num_subjects=NUM_SUBJECTS,
            groups=("acc", "rot"),
            is_simulated=is_marked,
        ),
        versions={"lightgbm": "4", "torch": "2"},
        code={"features": 1},
        machine=Machine(host="lab", platform="Linux", processor="x86", num_cpus=2),
        canary={"lgbm": "0" * 64, "torch": "0" * 64},
    )
    write_atomic(paths.config, dump_record(run_file))


def fold_table():
    number = np.arange(NUM_SEQUENCES)
    subject = number // (NUM_SEQUENCES // NUM_SUBJECTS)
    return pl.DataFrame(
        {
            "sequence_id": [f"SEQ_{i:06d}" for i in number],
            "subject": [f"SUBJ_{i:06d}" for i in subject],
            "gesture": [NAMES[i % len(NAMES)] for i in number],
            "fold": subject % NUM_FOLDS,
        }
    )


def write_folds(paths):
    fold_table().write_parquet(paths.folds)


def write_units(paths, done):
    for model in ("lgbm", "torch"):
        units = tuple(_unit(model, fold, done) for fold in range(NUM_FOLDS))
        write_atomic(paths.model_state(model), dump_record(ModelState(model=model, folds=units)))


def write_metrics(paths, done):
    append_line(paths.metrics, _event("start", NOW, text="attempt 1"))
    for place, (model, fold) in enumerate(_order()):
        if place > done:
            break
        part = 1.0 if place < done else 0.5
        write_curve(paths, model, fold, part)
        if place < done:
            values = {"score": _row(model, fold).score, "seconds": 12.0}
            append_line(paths.metrics, _event("fold", NOW + 60 * place, model, fold, values))


def write_curve(paths, model, fold, part=1.0, attempt=1):
    kind, size = ("segment", 25) if model == "lgbm" else ("epoch", 1)
    for step in range(size, int(STEPS[model] * part) + 1, size):
        values = {
            "step": step,
            "valid_loss": 1.5 * np.exp(-2 * step / STEPS[model]) + 0.05 * fold + 0.2,
            "score": 0.9 - 0.4 * np.exp(-3 * step / STEPS[model]) - 0.01 * fold,
            "learning_rate": 0.1 if model == "lgbm" else 3e-3 * (1 - step / 13),
        }
        if model == "torch":
            values |= {"train_loss": values["valid_loss"] * 0.8, "binary_f1": 0.9, "macro_f1": 0.8}
        moment = NOW + 60 * fold + step
        append_line(paths.metrics, _event(kind, moment, model, fold, values, attempt=attempt))


def write_views(paths, done):
    """Write oof.parquet, scores.json and, where LightGBM is done, feature_importance.csv."""
    if done == 0:
        return
    oof_table(done).write_parquet(paths.oof)
    write_atomic(paths.scores, dump_record(score_table(done)))
    if done >= NUM_FOLDS:
        importance_table().write_csv(paths.importance)


def oof_table(done):
    table = fold_table()
    rng = np.random.default_rng(0)
    true_N = np.array([NAMES.index(name) for name in table["gesture"]])
    for model in ("lgbm", "torch"):
        if not _done_folds(model, done):
            continue  # no columns before the model's first fold is done
        proba_NK = rng.random((NUM_SEQUENCES, len(NAMES)))
        proba_NK[np.arange(NUM_SEQUENCES), true_N] += 1.0
        proba_NK /= proba_NK.sum(axis=1, keepdims=True)
        has_N = np.isin(table["fold"].to_numpy(), _done_folds(model, done))
        table = table.with_columns(
            pl.Series(f"{model}:{name}", np.where(has_N, proba_NK[:, k], np.nan)).fill_nan(None)
            for k, name in enumerate(NAMES)
        )
    return table


def score_table(done):
    folds = {model: _done_folds(model, done) for model in ("lgbm", "torch")}
    folds["blend"] = [fold for fold in folds["lgbm"] if fold in folds["torch"]]
    models = {
        model: ModelScores(all_sensors=_sensor_scores(model, done_folds))
        for model, done_folds in folds.items()
        if done_folds
    }
    return Scores(weights=WEIGHTS, models=models)


def importance_table():
    names = [f"{sensor}.{axis}.mean" for sensor in ("acc", "rot") for axis in "xyz"]
    gain = np.linspace(90.0, 10.0, len(names))
    by_fold = {
        f"{kind}_fold{fold:02d}": gain * share * (1 + 0.1 * (fold - 1))
        for kind, share in (("gain", 1.0), ("split", 0.5))
        for fold in range(NUM_FOLDS)
    }
    return pl.DataFrame(
        {
            "feature": names,
            "sensor": [name.partition(".")[0] for name in names],
            "gain_mean": gain,
            "gain_std": gain / 10,
            "split_mean": gain / 2,
            "split_std": gain / 20,
            **by_fold,
        }
    )


def write_status(paths, state, done):
    """Write status.json, and command.json where a pause was requested."""
    now = time.time()
    process = own_identity() if state in _ALIVE else _dead_identity()
    idle_s = 400.0 if state == "stalled" else 0.5
    model, fold = _order()[min(done, 5)]
    is_paused = state == "paused"
    status = Status(
        run=paths.root.name,
        state=_SAID.get(state, "running"),
        stage="done" if done == 6 else model,
        message="Asked to pause." if is_paused else "",
        model=None if done == 6 else model,
        fold=None if done == 6 else fold,
        step=TOTAL_STEPS[model] // 2,
        total_steps=TOTAL_STEPS[model],
        done_units=done,
        total_units=6,
        eta_s=95.0,
        host=process.host,
        boot_id=process.boot_id,
        pid=process.pid,
        process_started=process.started,
        attempt=1,
        heartbeat_at=now - 0.5,
        next_heartbeat_at=now + 600.0,
        progress_at=now - idle_s,
        acknowledged_command="c1" if is_paused else None,
        acknowledged_at=now - 1.0 if is_paused else None,
        pauses_at=now + 3600.0 if state == "running" else None,
        error="OSError: [Errno 28] No space left on device" if state == "failed" else None,
    )
    write_atomic(paths.status, dump_record(status))
    if state in ("paused", "pausing"):
        command = Command(id="c1", command="pause", asked_by="dashboard", asked_at=now - 2.0)
        write_atomic(paths.command, dump_record(command))


def know_source(root, source):
    """Record the fingerprint of existing recordings as that of the run's."""
    path = RunPaths(root).config
    digest = sources.fingerprint(sources.load(str(source)))
    path.write_text(path.read_text().replace("f" * 64, digest))


def change_status(root, **changes):
    """Change some fields of an existing status.json."""
    status = RunReader(root).status().model_copy(update=changes)
    write_atomic(RunPaths(root).status, dump_record(status))


def write_notes(paths, title, note=""):
    write_atomic(paths.notes, dump_record(Notes(title=title, note=note)))


_ALIVE = ("running", "pausing", "stalled", "starting", "half")
_SAID = {
    "paused": "paused",
    "failed": "failed",
    "finished": "finished",
    "damaged": "finished",
    "newer": "finished",
    "pausing": "pausing",
}
_LOG = "plan: 3 folds of lgbm, 3 folds of torch\nlgbm fold 0: score 0.900\n"


def _order():
    return [(model, fold) for model in ("lgbm", "torch") for fold in range(NUM_FOLDS)]


def _done_folds(model, done):
    return [fold for place, (name, fold) in enumerate(_order()) if name == model and place < done]


def _unit(model, fold, done):
    place = _order().index((model, fold))
    if place > done:
        return FoldRecord(model=model, fold=fold, total_steps=TOTAL_STEPS[model])
    is_done = place < done
    return FoldRecord(
        model=model,
        fold=fold,
        attempt=1,
        generation=3,
        done=is_done,
        step=TOTAL_STEPS[model] if is_done else TOTAL_STEPS[model] // 2,
        total_steps=TOTAL_STEPS[model],
        best_step=STEPS[model] // 2,
        score=_row(model, fold) if is_done else None,
        seconds=12.0,
        resumed_at=() if is_done else (TOTAL_STEPS[model] // 4,),
    )


def _row(model, fold):
    score = {"lgbm": 0.90, "torch": 0.93, "blend": 0.95}[model] - 0.01 * fold
    return ScoreRow(
        score=score,
        binary_f1=score + 0.02,
        macro_f1=score - 0.02,
        accuracy=score - 0.05,
        num_sequences=NUM_SEQUENCES // NUM_FOLDS,
    )


def _sensor_scores(model, done_folds):
    rows = tuple(_row(model, fold) if fold in done_folds else None for fold in range(NUM_FOLDS))
    scores = [row.score for row in rows if row is not None]
    return SensorScores(
        folds=rows, mean=float(np.mean(scores)), std=float(np.std(scores)), oof=_row(model, 0)
    )


def _event(event, moment, model=None, fold=None, values=None, text="", attempt=1):
    return {
        "event": event,
        "time": moment,
        "attempt": attempt,
        "model": model,
        "fold": fold,
        "values": values or {},
        "text": text,
    }


def _dead_identity():
    return ProcessIdentity(socket.gethostname(), boot_id(), os.getpid(), 1.0)


def _spoil(paths, state):
    if state == "damaged":
        paths.scores.write_bytes(b'{"schema": 1, "weights"')
        paths.oof.write_bytes(b"PAR1 no more")
    if state == "newer":
        text = paths.config.read_text().replace('"schema": 1', '"schema": 99')
        paths.config.write_text(text)
    if state == "half":
        with paths.metrics.open("ab") as file:
            file.write(b'{"event": "epoch", "ti')
