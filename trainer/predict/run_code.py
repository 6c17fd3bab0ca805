"""The own code of a run that predicts: approved by this user, and loaded by its hash.

In: a run folder, or any folder with a copy of bundles and ``code/``. Out: ``OwnCode``: of two runs
with different versions of a file, each has its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainer.models import registry
from trainer.models.own_code import NO_CODE, OwnCode
from trainer.own_code.approvals import approved
from trainer.own_code.code_files import CodeRefusedError, read_of_run
from trainer.own_code.loader import load
from trainer.plain_data import DamagedDataError, part
from trainer.predict.fitted_models import PredictError, read_bundle
from trainer.predict.model_folder import is_model_folder, read_description
from trainer.store.durable import StoreError
from trainer.store.reader import RunReader


def open_own_code(root: Path) -> OwnCode:
    """Return what the own code of a run registers; it is executed where this user approved it.

    Raises:
        PredictError: It is not approved, not there, or it fails.
    """
    use = used_files(root)
    if not use:
        return NO_CODE
    try:
        return load(read_of_run(root, use), approved(), root.name)
    except (CodeRefusedError, StoreError) as error:
        raise PredictError(str(error)) from error


def check_same_code(root: Path, bundles: Mapping[str, Any], own: OwnCode) -> None:
    """Refuse bundles that were made with other code than the run's configuration names.

    Raises:
        PredictError: They were.
    """
    for bundle in bundles.values():
        if tuple(bundle.get("use", ())) != own.use:
            raise PredictError(
                f"{root}: a bundle was made with other own code than the run. Use a folder with "
                f"the files of one run"
            )


def used_files(root: Path) -> tuple[str, ...]:
    """Return name and SHA-256 of the own code of a run, from its configuration or its models.

    Raises:
        PredictError: Its models are damaged.
    """
    if is_model_folder(root):
        try:
            models = read_description(root)["models"]
            used = [part(model, "use", list, []) for model in models.values()]
        except DamagedDataError as error:
            raise PredictError(f"{root}: {error}") from error
        return tuple(used[0]) if used else ()
    try:
        run_file = RunReader(root).run_file()
    except StoreError:  # ``verify`` names it; prediction does not need the configuration
        run_file = None
    if run_file is not None:
        return run_file.use
    for model in registry.all_models():
        bundle = read_bundle(root, model.name)
        if bundle is not None:
            return tuple(bundle.get("use", ()))
    return ()
