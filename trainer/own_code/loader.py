"""Loader: the only place that executes the user's own code.

In: the bytes of files, and the SHA-256 that are approved. Out: ``OwnCode``. A file is executed once
per process and content; its hash is computed from the very bytes that are executed.
"""

from __future__ import annotations

import linecache
import sys
import threading
import traceback
from collections.abc import Collection, Sequence
from dataclasses import replace
from types import ModuleType

from trainer import extend
from trainer.extend import Registrations
from trainer.models import own_networks, registry
from trainer.models.own_code import NO_CODE, OwnCode
from trainer.own_code.code_files import CodeFile, CodeRefusedError, not_approved

SHOWN_DIGITS = 12  # of a SHA-256, in the names of files in tracebacks

_lock = threading.RLock()
_loaded: dict[str, Registrations] = {}  # by name and SHA-256


_places: dict[str, str] = {}  # names of files in tracebacks, and the files' own


def load(files: Sequence[CodeFile], approved: Collection[str], run: str = "") -> OwnCode:
    """Execute files that this process has not executed before, and return what they register.

    Args:
        files: The files of a run.
        approved: The SHA-256 of the files that may be executed: of ``approvals.approved``, or in a
            worker those of its coordinator.
        run: The run's name, for messages.

    Raises:
        CodeRefusedError: A file is not approved, fails, or registers something unusable.
    """
    if not files:
        return NO_CODE
    unknown = [file.name for file in files if file.sha256 not in approved]
    if unknown:
        raise not_approved(run, unknown)
    with _lock:
        found = [_registrations(file) for file in files]
    return _combine(files, found)


def load_approved(files: Sequence[CodeFile]) -> OwnCode:
    """Return what files register that this process, or its coordinator, knows to be approved."""
    return load(files, {file.sha256 for file in files})


def place_of(error: BaseException) -> str:
    """Return the innermost line of own code in an error, "my_ideas.py, line 12"; "" without one."""
    place = ""
    if isinstance(error, SyntaxError) and error.filename in _places:
        place = f"{_places[error.filename]}, line {error.lineno}"
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename in _places:
            place = f"{_places[frame.filename]}, line {frame.lineno}"
    if not place and error.__cause__ is not None:
        return place_of(error.__cause__)
    return place


def describe_error(error: BaseException) -> str:
    """Return an error in one line, with the line of own code that it comes from."""
    text = f"{type(error).__name__}: {error}"
    place = place_of(error)
    return f"{place}: {text}" if place and place not in text else text


def _registrations(file: CodeFile) -> Registrations:
    """Execute one file, once."""
    if file.entry in _loaded:
        return _loaded[file.entry]
    place = f"{file.name} ({file.sha256[:SHOWN_DIGITS]})"
    _places[place] = file.name
    lines = file.text.splitlines(keepends=True)
    linecache.cache[place] = (len(file.data), None, lines, place)  # for tracebacks
    module = ModuleType(f"own_code_{file.sha256[:SHOWN_DIGITS]}_{file.name.removesuffix('.py')}")
    sys.modules[module.__name__] = module  # dataclasses and pydantic look types up there
    try:
        with extend.collecting() as registrations:
            exec(compile(file.data, place, "exec", dont_inherit=True), module.__dict__)
    except (Exception, SystemExit) as error:  # the user's code can raise anything
        del sys.modules[module.__name__]
        raise CodeRefusedError(f"own code: {describe_error(error)}") from error
    if not (registrations.blocks or registrations.networks or registrations.models):
        raise CodeRefusedError(
            f"{file.name}: it registers nothing. Expected a call of feature_block, network or "
            f"model of trainer.extend"
        )
    for name, builder in registrations.networks.items():
        own_networks.add(name, file.sha256, builder)
    _loaded[file.entry] = registrations
    return registrations


def _combine(files: Sequence[CodeFile], found: Sequence[Registrations]) -> OwnCode:
    """Join what several files register; each name may occur once."""
    for kind in ("blocks", "networks", "models"):
        names = [name for one in found for name in getattr(one, kind)]
        double = next((name for name in names if names.count(name) > 1), None)
        if double is not None:
            raise CodeRefusedError(
                f"own code: {double!r} is registered by two files; expected each name once"
            )
    taken = [name for one in found for name in one.models if registry.is_registered(name)]
    if taken:
        raise CodeRefusedError(
            f"own code: a model {taken[0]!r} exists already; choose another name"
        )
    return OwnCode(
        use=tuple(file.entry for file in files),
        blocks=tuple(
            replace(block, place=file.name)
            for file, one in zip(files, found, strict=True)
            for block in one.blocks.values()
        ),
        networks=tuple(name for one in found for name in one.networks),
        models={name: model for one in found for name, model in one.models.items()},
    )
