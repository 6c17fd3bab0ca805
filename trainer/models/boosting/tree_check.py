"""The trees of LightGBM's model text, checked before LightGBM parses them; see ``text_check``.

In: the text of consecutive trees. Out: nothing, or a ``DamagedDataError``. All trees are checked at
once; every number is parsed.

Shapes: T trees, L lines of a tree, S splits and V leaves of all trees together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trainer.plain_data import LARGEST, DamagedDataError

Array = NDArray[Any]

MAX_FEATURES = 100_000
MAX_LEAVES = 131_072  # LightGBM's own limit of num_leaves
MAX_DEPTH = 1000  # contributions need memory for its square, and recursion
MAX_NUMBER_CHARACTERS = 32


@dataclass(frozen=True)
class _Line:
    """One line of a tree: ``key=`` and its numbers."""

    key: str
    per: Literal["tree", "split", "leaf", "weight"]  # a tree of one leaf may have no weight
    is_whole: bool = False
    least: float = -LARGEST
    most: float = LARGEST


LINES = (
    _Line("num_leaves", "tree", True, 1, MAX_LEAVES),
    _Line("num_cat", "tree", True, 0, 0),
    _Line("split_feature", "split", True, 0, MAX_FEATURES),  # see also ``_check_splits``
    _Line("split_gain", "split", False, -1e30, 1e30),  # of single precision in LightGBM
    _Line("threshold", "split", False, -np.inf, np.inf),  # infinite: splits off missing values
    _Line("decision_type", "split", True, 0, 10),  # see also ``_check_splits``
    _Line("left_child", "split", True, -MAX_LEAVES, MAX_LEAVES),
    _Line("right_child", "split", True, -MAX_LEAVES, MAX_LEAVES),
    _Line("leaf_value", "leaf"),
    _Line("leaf_weight", "weight"),
    _Line("leaf_count", "leaf", True, 0, 2**31 - 1),
    _Line("internal_value", "split"),
    _Line("internal_weight", "split"),
    _Line("internal_count", "split", True, 1, 2**31 - 1),
    _Line("is_linear", "tree", True, 0, 0),
    _Line("shrinkage", "tree"),
)
NUM_LINES = 1 + len(LINES) + 2  # "Tree=n" before them, two empty lines after them
# bit 1: missing values go left; bits 2 and 3: 0 none are missing, 8 NaN is; no categories (bit 0)
DECISION_TYPES = (0, 2, 8, 10)
WHOLE_CHARACTERS = b"-0123456789 "
NUMBER_CHARACTERS = WHOLE_CHARACTERS + b"+.einf"


def check_trees(piece: str, sizes_T: Array, first: int, num_features: int) -> None:
    """Check consecutive trees.

    Args:
        piece: Their text.
        sizes_T: Characters of each.
        first: The number of the first one.
        num_features: F.
    """
    num_trees = len(sizes_T)
    if piece.count("\n") != num_trees * NUM_LINES:
        raise DamagedDataError(f"trees: expected {NUM_LINES} lines in each")
    raw = np.frombuffer(piece.encode(), dtype=np.uint8)
    ends = np.flatnonzero(raw == ord("\n"))
    if (np.diff(ends.reshape(num_trees, NUM_LINES)[:, -1], prepend=-1) != sizes_T).any():
        raise DamagedDataError("tree_sizes: expected the size of each tree")
    _check_gaps(raw)
    lines = piece.split("\n")
    titles = [f"Tree={number}" for number in range(first, first + num_trees)]
    if lines[0:-1:NUM_LINES] != titles or any(lines[-2:-1]):
        raise DamagedDataError("trees: expected them numbered in their order")
    widths_TL = (np.diff(ends, prepend=-1) - 1).reshape(num_trees, NUM_LINES)
    if widths_TL[:, 1 + len(LINES) :].any():
        raise DamagedDataError("trees: expected two empty lines after each")
    spaces = np.flatnonzero(raw == ord(" "))
    spaces_TL = np.diff(np.searchsorted(spaces, ends), prepend=0).reshape(num_trees, NUM_LINES)
    numbers: dict[str, Array] = {}
    fractions: list[tuple[_Line, str, int]] = []
    for place, line in enumerate(LINES, start=1):
        is_filled_T = widths_TL[:, place] > len(line.key) + 1
        num_T = np.where(is_filled_T, spaces_TL[:, place] + 1, 0)
        leaves_T = numbers.get("num_leaves", np.ones(num_trees, dtype=np.int64))
        _check_counts(line, num_T, leaves_T, first)
        values = _values(lines[place:-1:NUM_LINES], line)
        if line.is_whole:
            numbers[line.key] = parse_whole(values)
            _check_range(line, numbers[line.key], int(num_T.sum()))
        else:
            fractions.append((line, values, int(num_T.sum())))
    found = _parse_fractions("".join(values for _, values, _ in fractions))
    for line, _, count in fractions:
        _check_range(line, found[:count], count)
        found = found[count:]
    if len(found):
        raise DamagedDataError("trees: expected numbers separated by spaces")
    _check_splits(numbers, num_features)


def _check_gaps(raw: NDArray[np.uint8]) -> None:
    """Refuse several spaces beside each other, and numbers that are too long."""
    breaks = np.flatnonzero((raw <= ord(" ")) | (raw == ord("=")))
    gaps = np.diff(breaks, prepend=-1)
    touching = breaks[gaps == 1]
    if np.isin(ord(" "), (raw[touching], raw[touching - 1])):
        raise DamagedDataError("trees: expected one space between numbers")
    if gaps.max() > MAX_NUMBER_CHARACTERS:
        raise DamagedDataError(
            f"trees: expected numbers of at most {MAX_NUMBER_CHARACTERS} characters"
        )


def _check_counts(line: _Line, num_T: Array, leaves_T: Array, first: int) -> None:
    """Refuse a line with more or fewer numbers than its tree has splits or leaves."""
    expected_T = {
        "tree": np.ones_like(leaves_T),
        "split": leaves_T - 1,
        "leaf": leaves_T,
        "weight": np.where(leaves_T > 1, leaves_T, np.minimum(num_T, 1)),
    }[line.per]
    if (num_T != expected_T).any():
        tree = int(np.flatnonzero(num_T != expected_T)[0])
        raise DamagedDataError(
            f"tree {first + tree}: {line.key}: expected {expected_T[tree]} numbers, got "
            f"{num_T[tree]}"
        )


def _values(lines: list[str], line: _Line) -> str:
    """Return the numbers of one line of all trees as text, a space before each."""
    title = f"\n{line.key}="
    joined = "\n" + "\n".join(lines)
    values = joined.replace(title, " ")
    if joined.count(title) != len(lines):
        raise DamagedDataError(f"trees: expected a line {line.key} in each, at its place")
    if values.encode().translate(None, WHOLE_CHARACTERS if line.is_whole else NUMBER_CHARACTERS):
        raise DamagedDataError(f"trees: {line.key}: expected numbers")
    return values


def _check_range(line: _Line, found: Array, count: int) -> None:
    if len(found) != count:
        raise DamagedDataError(f"trees: {line.key}: expected numbers separated by spaces")
    is_right = (found >= line.least) & (found <= line.most)  # false for NaN
    if not is_right.all():
        raise DamagedDataError(
            f"trees: {line.key}: expected {line.least:g} to {line.most:g}, got "
            f"{found[~is_right][0]:g}"
        )


def _check_splits(numbers: dict[str, Array], num_features: int) -> None:
    """Check that features exist, and that the children of the splits form a tree.

    A split's children are later splits than itself or leaves. So the splits form a tree if each
    node but the root is the child of exactly one.
    """
    leaves_T = numbers["num_leaves"]
    if len(numbers["split_feature"]) and numbers["split_feature"].max() >= num_features:
        raise DamagedDataError(
            f"trees: split_feature: expected 0 to {num_features - 1}, got "
            f"{numbers['split_feature'].max()}"
        )
    if not np.isin(numbers["decision_type"], DECISION_TYPES).all():
        raise DamagedDataError(f"trees: decision_type: expected some of {DECISION_TYPES}")
    first_split_T = np.cumsum(leaves_T - 1) - (leaves_T - 1)
    first_leaf_T = np.cumsum(leaves_T) - leaves_T
    tree_S = np.repeat(np.arange(len(leaves_T)), leaves_T - 1)
    own_S = np.arange(len(tree_S)) - first_split_T[tree_S]
    num_splits, num_leaves = len(tree_S), int(leaves_T.sum())
    children = []
    for side in ("left_child", "right_child"):
        child_S = numbers[side]
        is_leaf_S = child_S < 0
        last_S = leaves_T[tree_S] - 2  # the last split; the last leaf has one number more
        is_wrong_S = np.where(is_leaf_S, ~child_S > last_S + 1, child_S > last_S)
        if (is_wrong_S | (~is_leaf_S & (child_S <= own_S))).any():
            raise DamagedDataError(f"trees: {side}: expected a later split or a leaf of the tree")
        leaf_S = num_splits + first_leaf_T[tree_S] + ~child_S
        children.append(np.where(is_leaf_S, leaf_S, first_split_T[tree_S] + child_S))
    num_parents = np.bincount(np.concatenate(children), minlength=num_splits + num_leaves)
    is_root = np.zeros(num_splits + num_leaves, dtype=bool)
    is_root[first_split_T[leaves_T > 1]] = True
    is_root[num_splits + first_leaf_T[leaves_T == 1]] = True
    if (num_parents != ~is_root).any():
        raise DamagedDataError("trees: expected each split and each leaf to be reached once")
    counts = np.concatenate([numbers["internal_count"], numbers["leaf_count"]])
    if (counts[:num_splits] != counts[children[0]] + counts[children[1]]).any():
        raise DamagedDataError("trees: internal_count: expected the sum of both children's")
    if (counts[np.concatenate(children)] < 1).any():  # contributions divide by them
        raise DamagedDataError("trees: leaf_count: expected at least 1 below a split")
    _check_depth(np.flatnonzero(is_root[:num_splits]), *children)


def _check_depth(reached: Array, left_S: Array, right_S: Array) -> None:
    """Check that no tree is deeper than ``MAX_DEPTH``, from its root downwards."""
    for _ in range(MAX_DEPTH):
        if not len(reached):
            return
        below = np.concatenate([left_S[reached], right_S[reached]])
        reached = below[below < len(left_S)]
    raise DamagedDataError(f"trees: expected a depth of at most {MAX_DEPTH}")


def parse_whole(values: str) -> Array:
    """Return whole numbers that are separated by spaces."""
    if not values.strip():
        return np.zeros(0, dtype=np.int64)
    try:
        return np.fromstring(values, dtype=np.int64, sep=" ")
    except (ValueError, DeprecationWarning) as error:  # a warning before numpy 2.3
        raise DamagedDataError("model text: expected whole numbers") from error


def _parse_fractions(values: str) -> Array:
    """Return numbers that are separated by spaces; polars needs a fifth of numpy's time."""
    while "  " in values:  # where a tree of one leaf has none
        values = values.replace("  ", " ")
    rows = values.strip().replace(" ", "\n")
    if not rows:
        return np.zeros(0)
    data = rows.encode()
    schema = {"number": pl.Float64}
    try:
        table = pl.read_csv(data, has_header=False, schema=schema, quote_char=None)
    except pl.exceptions.PolarsError as error:
        raise DamagedDataError("model text: expected numbers") from error
    return table["number"].to_numpy()
