"""The commands of the command line, except ``train`` and ``resume``.

In: checked options. Out: text on the terminal, files, and an exit code. Slow imports are inside the
functions that need them, so that ``status`` starts quickly.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import typer

from trainer.cli.reports import status_json, status_lines
from trainer.config import ConfigError
from trainer.store.durable import StoreError
from trainer.store.names import STUDIES, RunNameError, RunPaths
from trainer.store.reader import RunReader, list_runs
from trainer.store.run_state import derive_state

FAILED, REFUSED, PAUSED = 1, 2, 3
SIMULATED_WARNING = "the models were trained on simulated recordings; expect errors on real ones"
ACKNOWLEDGE_WAIT_S = 120.0  # many times a LightGBM round or a batch on a slow machine


class UsageError(ValueError):
    """Arguments that cannot be used; the message contains what to type instead."""


def known_errors() -> tuple[type[Exception], ...]:
    """Return the errors whose message is enough; all others are bugs and keep their traceback."""
    from trainer.blend import BlendError
    from trainer.data.schema import DataError
    from trainer.features.feature_table import FeatureError
    from trainer.folds import FoldError
    from trainer.kaggle.gateway import GatewayError
    from trainer.models.libraries import ModelError
    from trainer.own_code.code_files import CodeRefusedError
    from trainer.predict.predictor import PredictError
    from trainer.run import RefusedError
    from trainer.run.time_limit import DurationError
    from trainer.run.transfer.moving import TransferError
    from trainer.run.workers.engine import EngineError
    from trainer.share import ShareError

    return (
        *(ConfigError, RunNameError, UsageError, StoreError, BlendError, DataError, FeatureError),
        *(FoldError, PredictError, RefusedError, DurationError, TransferError, GatewayError),
        *(EngineError, ModelError, CodeRefusedError, ShareError),
    )


def exit_code(error: Exception) -> int:
    """Return 1 for an error during the work, 2 for a refusal before it."""
    from trainer.blend import BlendError
    from trainer.features.feature_table import FeatureError
    from trainer.kaggle.gateway import GatewayError
    from trainer.models.libraries import ModelError
    from trainer.run.workers.engine import EngineError
    from trainer.share import ShareError

    broken = StoreError | BlendError | FeatureError | GatewayError | EngineError | ModelError
    broken |= ShareError
    return FAILED if isinstance(error, broken) else REFUSED


def state_dir(option: Path | None) -> Path:
    """Return the state folder: the option, else ``CKPT_DIR``, else ``state/``."""
    return option or Path(os.environ.get("CKPT_DIR") or "state")


def find_run(folder: Path, run: str, with_studies: bool = False) -> Path:
    """Return a run's folder by name or path, else of a run of this name in the input folder.

    Args:
        folder: The state folder.
        run: The name or path.
        with_studies: Whether a study of this name will do, which has a status and a lock as a run.

    Raises:
        UsageError: There is no such run; the message lists the existing ones.
    """
    study = folder / STUDIES / run
    places = [folder / run, Path(run)]
    for root in [*places, study] if with_studies else places:
        if RunPaths(root).has_config or RunPaths(root).status.exists():
            return root
    from trainer.run.transfer.adoption import choose, find_input_runs

    found = choose(find_input_runs(run))
    if found is not None:
        return found.root
    if RunPaths(study).status.exists():
        raise UsageError(f"{run} is a study, not a run. Continue it: python -m trainer study {run}")
    existing = ", ".join(reader.name for reader in list_runs(folder)[:8]) or "none"
    raise UsageError(f"{run}: no run of that name in {folder}. Existing runs: {existing}")


def find_models(folder: Path, run: str) -> Path:
    """Return a folder of shared models by its path, else a run's folder as ``find_run`` does."""
    from trainer.predict.model_folder import is_model_folder

    return Path(run) if is_model_folder(Path(run)) else find_run(folder, run)


def model_path() -> Path | None:
    """Return the trained model that ``MODEL_PATH`` names, or None if it is not set.

    Raises:
        UsageError: The file or folder does not exist.
    """
    text = os.environ.get("MODEL_PATH")
    if not text:
        return None
    if not Path(text).exists():
        raise UsageError(
            f"MODEL_PATH: expected a run folder or an lgbm_bundle.pkl, got {text!r}, which does "
            f"not exist. Correct it, or unset it to train"
        )
    return Path(text)


def status(folder: Path, run: str | None, as_json: bool) -> None:
    """Print one run with its evidence, or one line for each run."""
    readers = [RunReader(find_run(folder, run, with_studies=True))] if run else list_runs(folder)
    derived_states = [(reader, derive_state(reader)) for reader in readers]
    if as_json:
        print(json.dumps([status_json(*pair) for pair in derived_states], indent=2))
    elif not derived_states:
        print(f"No run in {folder}. Start one: python -m trainer train")
    else:
        for reader, derived in derived_states:
            print("\n".join(status_lines(reader, derived, with_evidence=run is not None)))
    if not (run or as_json):
        for path in sorted((folder / STUDIES).glob("*/" + RunPaths(folder).status.name)):
            study = RunReader(path.parent)
            print(f"study {status_lines(study, derive_state(study), with_evidence=False)[0]}")


def pause(root: Path) -> None:
    """Request a pause, wait for the acknowledgement, then until everything is saved."""
    from trainer.run import RefusedError
    from trainer.run.control import send_command

    reader = RunReader(root)
    derived = derive_state(reader)
    if not derived.is_active:
        raise RefusedError(f"run {root.name}: not running but {derived.state}. {derived.reason}")
    command = send_command(root, "pause", "command line")
    sent = time.monotonic()  # the trainer's clock may differ from this machine's
    print(f"pause of {root.name} requested")
    deadline = sent + ACKNOWLEDGE_WAIT_S
    acknowledged = False
    while time.monotonic() < deadline:
        derived = derive_state(reader)
        if (
            derived.status
            and derived.status.acknowledged_command == command.id
            and not acknowledged
        ):
            acknowledged = True
            print(f"acknowledged after {time.monotonic() - sent:.1f} s")
        if not derived.is_active:
            print(f"{derived.state}: {derived.reason}")
            return
        time.sleep(0.1)
    raise RefusedError(
        f"run {root.name}: not paused within {ACKNOWLEDGE_WAIT_S:.0f} s ({derived.reason}). You "
        f"can kill its process: resume continues from the last checkpoint"
    )


def predict(
    root: Path,
    file: Path,
    demographics: Path | None,
    out: Path | None,
    by_model: bool,
    as_worn: bool,
) -> None:
    """Predict the sequences of a file, and print or write one row for each."""
    from trainer.data.quality.findings import list_first, warnings
    from trainer.data.sources import read_table, sequences_from_table
    from trainer.data.spreadsheet import spreadsheet_csv
    from trainer.explain.input_check import check_input_for
    from trainer.predict.prediction_table import prediction_frame
    from trainer.predict.predictor import Predictor

    if out is not None and out.suffix not in (".csv", ".parquet"):
        raise UsageError(f"--out: expected a name ending in .csv or .parquet, got {out.name!r}")
    people = read_table(demographics) if demographics else None
    sequences = sequences_from_table(read_table(file), people)
    predictor = Predictor.load(root)
    sequences = predictor.decide_orientation(sequences, as_worn)
    prediction = predictor.predict(sequences)
    frame = prediction_frame(prediction, by_model)
    found = warnings(check_input_for(predictor, sequences))
    lines = [f"warning: {finding.line}" for finding in found]
    turned = sequences.sequence_ids[sequences.turned_N].tolist()
    if turned:
        lines.insert(0, f"corrected: {list_first(turned)}; --as-worn predicts them as recorded")
    if _is_simulated(predictor.root):
        lines.insert(0, f"warning: {SIMULATED_WARNING}")
    for line in (*prediction.notes, *lines):
        print(line, file=sys.stderr)
    if out is None:
        sys.stdout.write(spreadsheet_csv(frame))
        return
    try:
        if out.suffix == ".csv":
            out.write_text(spreadsheet_csv(frame), "utf-8", newline="\n")
        else:
            frame.write_parquet(out)
    except OSError as error:
        raise UsageError(f"--out: {out} cannot be written: {error.strerror or error}") from error
    print(f"{out}: {len(frame):,} sequences")


def _is_simulated(root: Path) -> bool:
    """Return whether a folder's configuration shows training on simulated recordings."""
    from trainer.predict.model_folder import is_model_folder, read_description

    if is_model_folder(root):
        return bool(read_description(root)["is_simulated"])
    try:
        run_file = RunReader(root).run_file()
    except StoreError:  # ``verify`` names it; prediction does not need the configuration
        return False
    return run_file is not None and run_file.is_simulated


def verify(root: Path) -> None:
    """Compare every file of a run with its recorded checksum."""
    from trainer.run.transfer.verification import verify_run

    checks = verify_run(root)
    for check in checks:
        print(f"{'ok ' if check.is_good else 'BAD'} {check.name}: {check.detail}")
    num_bad = len({check.name for check in checks if not check.is_good})
    print(f"{len({check.name for check in checks})} files, {num_bad} bad")
    if num_bad:
        raise typer.Exit(FAILED)


def serve(root: Path, data: Path | None) -> None:
    """Serve predictions to the competition's gateway, or to a local one on a folder's test.csv."""
    from trainer.data.sources import find_competition
    from trainer.kaggle.server import serve

    if data is None:
        data = find_competition()  # it contains the server's package, which a scored run needs too
    report = serve(root, data, Path("submission.parquet"), print)
    if report is None:
        return
    warm_ms = sorted(1000.0 * seconds for seconds in report.seconds[1:]) or [0.0]
    print(
        f"{report.submission}: {len(report.predictions):,} sequences; the first took "
        f"{report.seconds[0]:.1f} s with loading the models, the others "
        f"{warm_ms[len(warm_ms) // 2]:.0f} ms (median), {warm_ms[-1]:.0f} ms (maximum)"
    )


def export(root: Path, target: Path, dataset_id: str | None) -> None:
    """Export a run to a zip, and for a dataset id also write the metadata for Kaggle beside it."""
    from trainer.run.transfer.archive import export_run
    from trainer.run.transfer.dataset_metadata import check_dataset_id, write_metadata

    if dataset_id is not None:
        check_dataset_id(dataset_id)
    if root.parent.name == STUDIES:
        from trainer.study.study_archive import export_study

        export_study(root, target)
    else:
        export_run(root, target)
    if dataset_id is not None:
        path = write_metadata(root, target.parent, dataset_id)
        print(f"{path}: upload the folder with: kaggle datasets create -p {target.parent}")
    size = f"{target.stat().st_size:,} bytes"
    print(f"{target}: {size}. Import it with: python -m trainer import {target.name}")


def import_run(source: Path, folder: Path) -> None:
    """Import a run and verify its files."""
    from trainer.run.transfer import archive
    from trainer.run.transfer.moving import TransferError
    from trainer.run.transfer.verification import verify_run

    if not source.exists():
        raise TransferError(f"{source}: missing. Expected a zip or a run folder")
    from trainer.study.study_archive import import_study, is_study_copy

    if is_study_copy(source):
        root = import_study(source, folder, report=print)
        print(f"{root}: imported. Continue with: python -m trainer study {root.name}")
        return
    root = archive.import_run(source, folder, report=print)
    for check in verify_run(root):
        if not check.is_good:
            print(f"BAD {check.name}: {check.detail}; resume makes it again")
    print(f"{root}: imported. Continue with: python -m trainer resume {root.name}")


def example(folder: Path) -> None:
    """Import the example run."""
    from trainer.run.transfer.example import open_example

    root = open_example(folder)
    print(f"{root}: imported. Look at it: streamlit run dashboard.py -- --state {folder}")
