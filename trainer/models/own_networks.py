"""Networks of the user's own code, by name and by the SHA-256 of the file that registered them.

In: builders, as files register them. Out: the builder that a network was made with: of two runs
with different versions of a file, each has its own. Importing this loads no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from trainer.config import EPOCHS, used_file
from trainer.models.libraries import ModelError

Builder = Callable[[int, int, float], Any]  # num_channels, num_classes, dropout -> nn.Module

_BUILDERS: dict[str, Builder] = {}  # by qualified name


class NotLoadedError(ModelError):
    """Something needs the user's own code, which this process has not loaded."""


def add(name: str, digest: str, builder: Builder) -> None:
    """Keep the builder of a loaded file."""
    _BUILDERS[f"{name}:{digest}"] = builder


def is_own(architecture: str) -> bool:
    """Return whether an architecture is a qualified name, ``NAME:SHA256``, of own code."""
    return ":" in architecture


def qualified(architecture: str, use: Sequence[str]) -> str:
    """Return the qualified name of a network of a run; one of ours has none.

    Args:
        architecture: As ``network.architecture`` names it.
        use: The files of the run.

    Raises:
        NotLoadedError: No file has it that this process has loaded.
    """
    if architecture in EPOCHS:
        return architecture
    for entry in use:
        name = f"{architecture}:{used_file(entry)[1]}"
        if name in _BUILDERS:
            return name
    raise _not_loaded(architecture)


def find(architecture: str) -> Builder:
    """Return the builder of a qualified name.

    Raises:
        NotLoadedError: The file that has it is not loaded.
    """
    if architecture not in _BUILDERS:
        raise _not_loaded(architecture)
    return _BUILDERS[architecture]


def _not_loaded(architecture: str) -> NotLoadedError:
    name = architecture.partition(":")[0][:40]
    return NotLoadedError(
        f"network {name!r}: it is in a file of own code that this process has not loaded"
    )
