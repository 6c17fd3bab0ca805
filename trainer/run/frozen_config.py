"""The frozen configuration: what a run is made from, written once, compared at every later start.

In: configuration, recordings, machine. Out: ``RunFile``; refusals; remarks where bits will differ.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np

from trainer import __version__
from trainer.config import (
    WITHOUT_EFFECT,
    Config,
    ConfigError,
    differences,
    flat_settings,
    overlay,
)
from trainer.models import registry
from trainer.run import LibraryError, RefusedError
from trainer.run.estimate import size_of
from trainer.run.inputs.dataset import Dataset
from trainer.run.machine import code_versions, enough_memory, machine, versions
from trainer.store.records import DataSummary, Labels, RunFile
from trainer.store.resume_record import INEXACT
from trainer.store.tables.feature_cache import cache_key

ADDED = ("use", "network.motion")  # settings that runs of versions before do not have
REPAIR = "Install or repair it (pip install -r requirements.txt)"


def choose_models(config: Config) -> tuple[Config, dict[str, str]]:
    """Return the configuration of a new run with the models whose libraries can be imported.

    Returns:
        The configuration, and the models that were left out, with the errors.

    Raises:
        LibraryError: No model is left, or the configuration does not allow to leave one out.
    """
    errors = registry.load_errors(config.models)
    if not errors:
        return config, {}
    what = registry.describe_load_errors(errors)
    left = [model for model in config.models if model not in errors]
    if not left:
        raise LibraryError(f"no model can be trained: {what}. {REPAIR}")
    if config.blend.fail_if_torch_missing:
        raise LibraryError(
            f"{what}. {REPAIR}, or set FAIL_IF_TORCH_MISSING=0 (blend.fail_if_torch_missing) to "
            f"train without it"
        )
    try:
        return overlay(config, {}, options={"models": left}), errors
    except ConfigError as error:  # the weight of each other model is 0
        raise LibraryError(f"{what}. {REPAIR}; without it: {error}") from error


def demand_libraries(name: str, config: Config) -> None:
    """Refuse to continue a run without one of its models: its result would be another.

    Raises:
        LibraryError: A library cannot be imported.
    """
    errors = registry.load_errors(config.models)
    if errors:
        raise LibraryError(
            f"run {name} cannot be continued without one of its models: "
            f"{registry.describe_load_errors(errors)}. {REPAIR}, or start another run"
        )


def freeze(name: str, config: Config, dataset: Dataset, left_out: Mapping[str, str]) -> RunFile:
    """Return the record of what a new run is made from."""
    catalogue = dataset.catalogue
    return RunFile(
        **config.model_dump(),
        run=name,
        created_at=time.time(),
        labels=Labels(gestures=dataset.labels.gestures, num_targets=dataset.labels.num_targets),
        recordings=DataSummary(
            fingerprint=dataset.fingerprint,
            num_sequences=catalogue.num_sequences,
            num_rows=catalogue.num_rows,
            num_subjects=len(np.unique(dataset.subjects)),
            groups=catalogue.groups,
            is_simulated=catalogue.is_simulated,
            turned_subjects=dataset.turned_subjects,
            orientation_detector=dataset.fit_orientation_detector(),
        ),
        versions=versions(),
        code=code_versions(),
        machine=machine(),
        canary=canary_hashes(config),
        left_out=dict(left_out),
        own_code=registry.own().describe(config),
        project_version=__version__,
    )


def canary_hashes(config: Config) -> dict[str, str]:
    """Return the hash of a tiny fit of each model of the run."""
    hashes = {}
    for model in registry.select(config.models):
        with enough_memory(model, "canary"):
            hashes[model.name] = model.canary(config)
    return hashes


def run_key(run_file: RunFile) -> str:
    """Return the key of what a run's checkpoints are made from: recordings, settings, code."""
    settings = flat_settings(run_file.settings())
    for name in ADDED:
        if not settings[name]:
            del settings[name]
    parts = [f"{name}={settings[name]}" for name in sorted(settings) if name not in WITHOUT_EFFECT]
    parts += [f"{part}={version}" for part, version in sorted(run_file.code.items())]
    return cache_key(run_file.recordings.fingerprint, *parts)


def continued(frozen: RunFile, wanted: Config, way_on: str) -> Config:
    """Return the frozen configuration of a run if the wanted one agrees with it.

    Args:
        frozen: Of the run.
        wanted: As if the run was new; it may name another place of the recordings.
        way_on: What to do where they differ.

    Raises:
        RefusedError: They differ; the message lists the differences.
    """
    settings = frozen.settings()
    wanted = registry.choose_settings(wanted, size_of(frozen))
    trained = [model for model in wanted.models if model not in frozen.left_out]
    if trained == list(settings.models):  # the same request, on a machine without a library
        wanted = overlay(wanted, {}, options={"models": trained})
    changed = differences(settings, wanted)
    if changed:
        raise RefusedError(
            f"run {frozen.run} was made with other options:\n  "
            + "\n  ".join(changed)
            + f"\n{way_on}"
        )
    return overlay(settings, {"data.source": wanted.data.source})


def demand_same(frozen: RunFile, config: Config, dataset: Dataset) -> None:
    """Refuse to continue with other settings, recordings or code than the run was made from.

    Raises:
        RefusedError: Lists every difference and the ways on.
    """
    changed = differences(frozen.settings(), config)
    changed += _differences_of_recordings(frozen, config, dataset)
    changed += [
        f"code of {part}: version {version} -> {code_versions().get(part)}"
        for part, version in frozen.code.items()
        if version != code_versions().get(part)
    ]
    if changed:
        raise RefusedError(
            f"run {frozen.run} was made from something else:\n  "
            + "\n  ".join(changed)
            + "\nEither resume it with what it was made from, or begin another with --run "
            "NAME, or start it over with RESUME=0"
        )


def exactness_remarks(frozen: RunFile, config: Config) -> list[str]:
    """Return whether the bits will differ from those of an uninterrupted run, in words."""
    here = {"processor": machine().processor, "gpu": "none", **versions()}
    then = {"processor": frozen.machine.processor, "gpu": "none", **frozen.versions}
    moved = [
        f"{name} {before} -> {here.get(name)}"
        for name, before in then.items()
        if before != here.get(name)
    ]
    hashes = canary_hashes(config)
    unlike = [model for model, value in frozen.canary.items() if value != hashes.get(model)]
    if unlike:
        causes = f" ({', '.join(moved)})" if moved else ""
        return [f"{INEXACT}: the canary of {', '.join(unlike)} differs{causes}"]
    return [f"changed, but the canary gives the same bits: {', '.join(moved)}"] if moved else []


def _differences_of_recordings(frozen: RunFile, config: Config, dataset: Dataset) -> list[str]:
    """List how the recordings differ from those that the run was made from."""
    if frozen.recordings.fingerprint == dataset.fingerprint:
        return []
    catalogue, then = dataset.catalogue, frozen.recordings
    counts = [
        ("sequences", then.num_sequences, catalogue.num_sequences),
        ("rows", then.num_rows, catalogue.num_rows),
        ("subjects", then.num_subjects, len(np.unique(dataset.subjects))),
        ("sensors", ", ".join(then.groups), ", ".join(catalogue.groups)),
        ("gestures", len(frozen.labels.gestures), dataset.labels.num_classes),
    ]
    parts = [f"{name} {before} -> {now}" for name, before, now in counts if before != now]
    what = "; ".join(parts) or "same size, other values, labels or order"
    return [
        f"recordings ({config.data.source}): content {then.fingerprint[:12]} -> "
        f"{dataset.fingerprint[:12]}; {what}"
    ]
