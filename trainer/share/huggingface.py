"""Hugging Face: a folder to upload, with the trained models and a model card.

In: a run with at least one finished model. Out: the folder; ``predict FOLDER FILE`` loads it
(``trainer.predict.model_folder``). A card that was changed by hand is kept.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trainer.models.libraries import ModelError
from trainer.own_code.code_files import read_of_run
from trainer.plain_data import DamagedDataError
from trainer.predict.fitted_models import open_model, read_bundle
from trainer.predict.model_folder import dump_models
from trainer.predict.run_code import open_own_code
from trainer.run import LibraryError, RefusedError
from trainer.share.model_card import model_card
from trainer.share.shared_run import SharedRun, demand
from trainer.share.target_folder import claim
from trainer.store.checksums import CODE_FOLDER, write_if_changed
from trainer.store.durable import sha256, write_atomic
from trainer.store.file_kinds import read_file
from trainer.store.names import RunPaths

PROGRAM = "Hugging Face"
CARD = "README.md"
CARD_HASH = ".model_card.sha256"  # of the card as it was written: one changed by hand differs


def share_to_huggingface(run: SharedRun, folder: Path) -> str:
    """Write, or bring up to date, the folder of a run; return what was done, in words.

    Raises:
        LibraryError: safetensors cannot be imported.
        RefusedError: No model is finished, or the folder holds something else.
        PredictError: A model is damaged.
        StoreError: A file cannot be written.
    """
    demand("safetensors.numpy", "safetensors")
    bundles = _bundles(run)
    if not bundles:
        raise RefusedError(
            f"run {run.name}: no model is finished yet. Share it again when all folds of one are"
        )
    try:
        own_code = run.run_file.own_code if run.run_file.use else None
        files = dump_models(bundles, run.run_file.is_simulated, own_code)
    except ModelError as error:
        raise LibraryError(str(error)) from error
    except DamagedDataError as error:
        raise RefusedError(f"run {run.name}: a model cannot be shared: {error}") from error
    for file in read_of_run(run.root, run.run_file.use):
        files = {f"{CODE_FOLDER}/{file.name}": file.data} | files
    claim(folder, run, PROGRAM)
    for name, data in files.items():  # the description is the last: before it, nothing is loaded
        write_if_changed(folder / name, data)
    card = _write_card(folder, model_card(run, bundles).encode())
    return f"{folder}: {len(files)} files{card}. Upload it: hf upload OWNER/NAME {folder}"


def _bundles(run: SharedRun) -> dict[str, dict[str, Any]]:
    """Return the bundle of each finished model, after it was opened, so that others can."""
    own = open_own_code(run.root)
    bundles = {}
    for model in run.run_file.models:
        bundle = read_bundle(run.root, model, own.models.get(model))
        if bundle is not None:
            open_model(bundle, RunPaths(run.root).bundle(model), own.models.get(model))
            bundles[model] = bundle
    return bundles


def _write_card(folder: Path, card: bytes) -> str:
    """Write the model card unless it was changed by hand; return what was done, in words."""
    path, digest = folder / CARD, folder / CARD_HASH
    try:
        if sha256(read_file(path)) != read_file(digest).decode("utf-8", "replace").strip():
            return f"; {CARD} was changed by hand and is kept (delete it to have it made again)"
    except FileNotFoundError:
        pass
    write_atomic(digest, f"{sha256(card)}\n".encode())
    write_atomic(path, card)
    return f" and {CARD}"
