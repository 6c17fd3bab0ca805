"""Code files: the bytes of the user's own code, as the user names them or as a run has them.

In: paths of ``--use``, or a run folder. Out: ``CodeFile``: bytes that are in memory, so that what
is hashed, shown and executed is the same. Nothing here executes them.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from trainer.config import OwnFile, used_file
from trainer.own_code import approvals
from trainer.store.checksums import CODE_FOLDER, CheckedFolder
from trainer.store.durable import StoreError, sha256
from trainer.store.file_kinds import read_file


class CodeRefusedError(ValueError):
    """Own code that is not used; the message gives the reason and the way on."""


@dataclass(frozen=True)
class CodeFile:
    """One file of own code.

    Attributes:
        name: Without its folder.
        data: Its content.
    """

    name: str
    data: bytes

    @cached_property
    def sha256(self) -> str:
        """Return the SHA-256 of the content."""
        return sha256(self.data)

    @property
    def entry(self) -> str:
        """Return the entry of ``use`` in the configuration: name and SHA-256."""
        return f"{self.name} {self.sha256}"

    @property
    def text(self) -> str:
        """Return the content as text, to show it; what cannot be printed is escaped."""
        text = self.data.decode("utf-8", "backslashreplace").replace("\r\n", "\n")
        return "".join(
            one if one.isprintable() or one in "\n\t" else one.encode("unicode_escape").decode()
            for one in text
        )


def read_named(paths: Sequence[Path]) -> tuple[CodeFile, ...]:
    """Read the files that the user names.

    Raises:
        CodeRefusedError: One is missing, is no Python file, or cannot be used by its name.
    """
    return tuple(map(_read_named, paths))


def read_of_run(root: Path, use: Sequence[str]) -> tuple[CodeFile, ...]:
    """Read the copies of a run's files.

    Args:
        root: The run folder.
        use: Name and SHA-256 of each, from the run's configuration. That they agree proves nothing
            about their origin: only ``loader.load`` decides whether they are executed.

    Raises:
        CodeRefusedError: A copy is missing, a link, or has another content.
    """
    found = []
    for entry in use:
        name, digest = used_file(_checked(entry))
        path = root / CODE_FOLDER / name
        data = None
        if not path.is_symlink() and not path.parent.is_symlink():
            data = CheckedFolder(root).read(f"{CODE_FOLDER}/{name}")
        if data is None:  # a copy of a bundle has no checksums
            data = _plain(path)
        if data is None or sha256(data) != digest:
            raise CodeRefusedError(
                f"{path}: expected the run's own code with the SHA-256 {digest[:12]} of its "
                f"configuration, as a plain file; got {'none' if data is None else 'another'}. Put "
                f"it back from where the run was trained"
            )
        found.append(CodeFile(name, data))
    return tuple(found)


def write_to_run(root: Path, files: Sequence[CodeFile]) -> None:
    """Copy files into a run's folder, with their checksums."""
    for file in files:
        CheckedFolder(root).write(f"{CODE_FOLDER}/{file.name}", file.data)


def differences(old: Sequence[CodeFile], new: Sequence[CodeFile]) -> list[str]:
    """Return a unified diff of the files whose content differs."""
    before, after = _texts(old), _texts(new)
    lines: list[str] = []
    for name in {**before, **after}:
        lines += difflib.unified_diff(
            before.get(name, "").splitlines(),
            after.get(name, "").splitlines(),
            f"{name} (of the run)",
            f"{name} (now)",
            lineterm="",
        )
    return lines


def demand_approved(root: Path, use: Sequence[str]) -> None:
    """Refuse a run's code that this user has not approved on this machine; it is not executed.

    Raises:
        CodeRefusedError: Some of it is not approved, or its copy is damaged.
    """
    if use:
        _demand_approved(root.name, read_of_run(root, use))


def demand_files(paths: Sequence[Path], use: Sequence[str]) -> None:
    """Refuse to start a run with files that have changed, or that this user has not approved.

    Raises:
        CodeRefusedError: They are not those that the configuration names, or not approved.
    """
    files = read_named(paths)
    if tuple(file.entry for file in files) != tuple(use):
        raise CodeRefusedError("own code: the files have changed meanwhile. Check them again")
    if files:
        _demand_approved("", files)


def _demand_approved(run: str, files: Sequence[CodeFile]) -> None:
    names = {file.sha256: file.name for file in files}
    if missing := approvals.missing(names):
        raise not_approved(run, [names[digest] for digest in missing])


def not_approved(run: str, names: Sequence[str]) -> CodeRefusedError:
    """Return the refusal of code that is not approved."""
    whose = f"run {run}: " if run else ""
    return CodeRefusedError(
        f"{whose}it comes with own code ({', '.join(names)}) that you have not approved on this "
        f"machine, so it is not executed. Read it and approve it: python -m trainer approve "
        f"{run or 'RUN'}"
    )


def _checked(entry: str) -> str:
    """Return an entry of ``use``; a bundle's may have any form, such as a path elsewhere."""
    try:
        return TypeAdapter[str](OwnFile).validate_python(entry)
    except ValidationError as error:
        raise CodeRefusedError(f"use: expected NAME.py and a SHA-256; got {entry!r:.80}") from error


def _read_named(path: Path) -> CodeFile:
    try:
        TypeAdapter[str](OwnFile).validate_python(f"{path.name} {'0' * 64}")
    except ValidationError as error:
        raise CodeRefusedError(
            f"--use: expected a Python file whose name has letters, digits and _ only, such as "
            f"my_ideas.py; got {path.name!r:.80}"
        ) from error
    try:
        return CodeFile(path.name, read_file(path))
    except FileNotFoundError as error:
        raise CodeRefusedError(f"--use: {path}: no such file") from error
    except StoreError as error:
        raise CodeRefusedError(f"--use: {error}") from error


def _plain(path: Path) -> bytes | None:
    if path.is_symlink() or path.parent.is_symlink():
        return None
    try:
        return read_file(path)
    except (FileNotFoundError, StoreError):
        return None


def _texts(files: Sequence[CodeFile]) -> Mapping[str, str]:
    return {file.name: file.text for file in files}
