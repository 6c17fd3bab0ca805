"""The bounds of numeric settings, and what is wrong with a value, in words.

In: a class of settings; the error of a validation. Out: its bounds by dotted name; a sentence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import BaseModel, ValidationError

MAX_SHOWN = 80  # characters of a value in a message
_NUMBER_ERRORS = ("greater_than", "less_than", "int_", "float_", "finite_")  # pydantic's types


@dataclass(frozen=True)
class Bounds:
    """The bounds of a number.

    Attributes:
        is_whole: Whether it is a whole number.
        low: The lower bound.
        high: The upper bound.
        has_low: Whether ``low`` itself is valid.
        has_high: Whether ``high`` itself is valid.
    """

    is_whole: bool
    low: float
    high: float
    has_low: bool
    has_high: bool

    def __str__(self) -> str:
        """Return the bounds in words, such as "a number above 0, at most 10"."""
        low, high = (f"{bound:,.16g}" for bound in (self.low, self.high))
        if self.has_low and self.has_high:
            return f"a {'whole ' * self.is_whole}number from {low} to {high}"
        return (
            f"a {'whole ' * self.is_whole}number {'from' if self.has_low else 'above'} {low}, "
            f"{'at most' if self.has_high else 'below'} {high}"
        )


def explain(error: ValidationError, kind: type[BaseModel], *place: str) -> str:
    """Return the first error of a validation: the setting, what was expected and what came.

    Args:
        error: Of ``kind``.
        kind: The class that was validated.
        place: Where it is in the configuration.
    """
    detail: Any = error.errors()[0]
    if detail["type"] == "value_error":  # from a check of several settings
        return str(detail["ctx"]["error"])
    path = [*place, *map(str, detail["loc"])]
    expected = detail["msg"]
    if detail["type"].startswith(_NUMBER_ERRORS):
        known, name = bounds_of(kind), ".".join(map(str, detail["loc"]))
        found = known.get(name) or known.get(name.rpartition(".")[0])  # of one of several numbers
        expected = f"expected {found}" if found is not None else expected
    return f"{'.'.join(path)}: {expected}; got {repr(detail.get('input'))[:MAX_SHOWN]}"


@cache
def bounds_of(kind: type[BaseModel]) -> dict[str, Bounds]:
    """Return the bounds of the numbers of a class, by dotted name, from its JSON schema."""
    schema = kind.model_json_schema()
    return dict(_find_bounds("", schema, schema.get("$defs", {})))


def _find_bounds(
    name: str, node: Mapping[str, Any], definitions: Mapping[str, Any]
) -> Iterator[tuple[str, Bounds]]:
    if "$ref" in node:
        node = definitions[node["$ref"].rpartition("/")[2]]
    low = node.get("minimum", node.get("exclusiveMinimum"))
    high = node.get("maximum", node.get("exclusiveMaximum"))
    if low is not None and high is not None:
        is_whole = node["type"] == "integer"
        yield name, Bounds(is_whole, low, high, "minimum" in node, "maximum" in node)
    values = node.get("additionalProperties")
    for part in (*node.get("anyOf", ()), *node.get("prefixItems", ())[:1], values):
        if isinstance(part, Mapping):
            yield from _find_bounds(name, part, definitions)
    for key, part in node.get("properties", {}).items():
        yield from _find_bounds(f"{name}.{key}".lstrip("."), part, definitions)
