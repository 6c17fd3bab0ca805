"""Plain data of files: numbers, text, arrays, and lists and tables of them, checked part by part.

In: what a file of a run folder contains; the folder may come from anywhere. Out: the same values,
now of a known type, shape and range, or a ``DamagedDataError``.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

LARGEST = 1e100  # of a number in a model, so that sums of many stay finite
MAX_NAME_CHARACTERS = 200
_RAISED = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError)


class DamagedDataError(ValueError):
    """Content of a file that no version of the trainer can have written."""


@contextlib.contextmanager
def reading(title: str) -> Iterator[None]:
    """Turn what unexpected plain data can raise into the declared error.

    Args:
        title: What is read, as the message begins.

    Raises:
        DamagedDataError: The code inside raised it, or an error of types, values or places.
    """
    try:
        yield
    except DamagedDataError as error:
        raise DamagedDataError(f"{title}: {error}") from error
    except _RAISED as error:
        raise DamagedDataError(f"{title}: damaged: {type(error).__name__}: {error}") from error


def part(packed: Mapping[str, Any], name: str, kind: type[T], default: T | None = None) -> T:
    """Return one part of plain data.

    Args:
        packed: Plain data.
        name: The part.
        kind: Its type; an int is a float too, a bool is no number.
        default: Its value where it is missing; None: it must exist.

    Raises:
        DamagedDataError: It is missing or of another type.
    """
    value = packed.get(name, default)
    if kind is float and type(value) is int:
        value = float(value) if abs(value) <= LARGEST else math.inf
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise DamagedDataError(f"{name}: expected {kind.__name__}, got {_shown(value)}")
    return value


def integer(packed: Mapping[str, Any], name: str, least: int, most: int) -> int:
    """Return a whole number of a range, both ends included; see ``part``."""
    value = part(packed, name, int)
    if not least <= value <= most:
        raise DamagedDataError(f"{name}: expected {least} to {most}, got {_shown(value)}")
    return value


def number(
    packed: Mapping[str, Any], name: str, least: float, most: float, default: float | None = None
) -> float:
    """Return a finite number of a range, both ends included; see ``part``."""
    value = part(packed, name, float, default)
    if not least <= value <= most:
        raise DamagedDataError(f"{name}: expected {least:g} to {most:g}, got {value:g}")
    return value


def array(
    packed: Mapping[str, Any],
    name: str,
    kinds: str,
    shape: tuple[int | None, ...],
    is_finite: bool = True,
) -> NDArray[Any]:
    """Return an array of finite numbers, or of text.

    Args:
        packed: Plain data.
        name: The part; an array or a CPU tensor.
        kinds: Allowed kinds of its dtype, such as "f" or "iu".
        shape: Its shape; None stands for any size.
        is_finite: Whether its numbers must be finite.

    Raises:
        DamagedDataError: It is missing, or has another dtype or shape, or numbers that are not
            finite.
    """
    value: Any = packed.get(name)
    if hasattr(value, "numpy"):
        value = value.numpy()
    if not isinstance(value, np.ndarray):
        raise DamagedDataError(f"{name}: expected an array, got {_shown(value)}")
    is_shape = len(value.shape) == len(shape) and all(
        wanted in (None, size) for size, wanted in zip(value.shape, shape, strict=True)
    )
    if value.dtype.kind not in kinds or not is_shape:
        wanted = ", ".join("any" if size is None else str(size) for size in shape)
        raise DamagedDataError(
            f"{name}: expected ({wanted}) of kind {kinds}, got {value.shape} of {value.dtype}"
        )
    if is_finite and value.dtype.kind == "f" and not np.isfinite(value).all():
        raise DamagedDataError(f"{name}: expected finite numbers, got some that are not")
    return value


def names(packed: Mapping[str, Any], name: str, most: int, are_unique: bool = True) -> list[str]:
    """Return a list of names, at least one; see ``part``.

    Args:
        packed: Plain data.
        name: The part.
        most: The largest number of names.
        are_unique: Whether no name may occur twice.
    """
    value = part(packed, name, list)
    if not 1 <= len(value) <= most:
        raise DamagedDataError(f"{name}: expected 1 to {most} names, got {len(value)}")
    if not all(isinstance(one, str) and len(one) <= MAX_NAME_CHARACTERS for one in value):
        raise DamagedDataError(f"{name}: expected text of at most {MAX_NAME_CHARACTERS} letters")
    if are_unique and len(set(value)) < len(value):
        raise DamagedDataError(f"{name}: expected different names, got some twice")
    return value


def _shown(value: object) -> str:
    """Return a short description of a value of any size."""
    if isinstance(value, int | float) and abs(value) < LARGEST:
        return repr(value)
    return "nothing" if value is None else f"a {type(value).__name__}"
