"""Libraries of models: whether they are installed, and why one cannot be imported.

In: names of packages. Out: a reason in words, "" where there is none.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable
from functools import cache


class ModelError(RuntimeError):
    """A model cannot be used or fitted here; the message gives the reason and the remedy."""


def not_installed(libraries: Iterable[str]) -> str:
    """Return which of these libraries is not installed, in words; nothing is imported.

    Quick enough for every drawing of a page, but a broken library is not found.
    """
    for library in libraries:
        if importlib.util.find_spec(library) is None:
            return f"the library {library} is not installed"
    return ""


def import_problem(libraries: Iterable[str]) -> str:
    """Import libraries; return the first that fails with its error, "torch: OSError: ..."."""
    return next(filter(None, map(_import_error, libraries)), "")


@cache  # a library that failed half way raises another, misleading error at the next import
def _import_error(library: str) -> str:
    try:
        importlib.import_module(library)
    except Exception as error:  # a broken library can raise anything: OSError of a missing .so
        return f"{library}: {type(error).__name__}: {' '.join(str(error).split())}"
    return ""
