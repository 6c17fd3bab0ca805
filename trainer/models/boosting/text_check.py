"""The structure of LightGBM's model text, checked before LightGBM parses it.

In: a model text from a file. Out: its number of trees, or a ``DamagedDataError``.

LightGBM trusts a text: an index out of bounds, an array that is too short or children in a circle
end the process or never return (``GBDT::LoadModelFromString`` and ``Tree::Tree(const char*)``, in
gbdt_model_text.cpp and tree.cpp of LightGBM 4). So only what LightGBM writes for the models that
are trained here passes: the lines of a version 4 text in their order, numerical splits, constant
leaves, no other key. 5,400 trees take about 0.1 s.

Shapes: T trees.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from trainer.models.boosting.tree_check import (
    WHOLE_CHARACTERS,
    Array,
    check_trees,
    parse_whole,
)
from trainer.plain_data import DamagedDataError

MAX_CLASSES = 1000
MAX_TREE_CHARACTERS = 2**25
PIECE_CHARACTERS = 2**21  # of the text that is checked at once
MAX_TAIL_CHARACTERS = 2**24

_FEATURE_INFO_CHARACTERS = b"0123456789.:+-[]einfo "
_WORDS = (
    "boosting|objective|metric|tree_learner|device_type|data_sample_strategy"  # are not numbers
)
_TAIL = re.compile(
    r"end of trees\n\n"
    r"(?:feature_importances:\n(?:Column_\d{1,6}=\d{1,9}\n)*\n)?"
    r"parameters:\n(?:\[(?:"
    rf"(?:{_WORDS}|monotone_constraints_method): [a-z_]{{1,30}}"
    r"|linear_tree: 0"
    r"|(?!linear_tree)[a-z0-9_]{1,60}: (?:-?\d{1,15}(?:\.\d{1,20})?(?:e[+-]?\d{1,3})?)?"
    r")\]\n)*\nend of parameters\n\npandas_categorical:null\n"
)


def check_text(text: str, num_classes: int, num_features: int) -> int:
    """Check the structure of a model text.

    Args:
        text: A fold's model, or a segment of one.
        num_classes: P, the classes that it must have.
        num_features: F, the features that it must have.

    Returns:
        Its number of trees, a multiple of P.

    Raises:
        DamagedDataError: LightGBM has not written it, or not for such a model.
    """
    if not text.isascii():
        raise DamagedDataError("model text: expected ASCII")
    start, end = text.find("\n\nTree=0\n") + 2, text.rfind("\nend of trees\n") + 1
    if not 2 <= start < end:
        raise DamagedDataError("model text: expected trees and their end, got none")
    sizes_T = _check_header(text[:start], num_classes, num_features)
    if sizes_T.sum() != end - start:
        raise DamagedDataError(
            f"tree_sizes: expected a sum of {end - start:,}, the size of all trees"
        )
    if len(text) - end > MAX_TAIL_CHARACTERS or not _TAIL.fullmatch(text, end):
        raise DamagedDataError("model text: after the trees: expected the lines of LightGBM only")
    for first, after in _pieces(sizes_T):
        piece_end = start + int(sizes_T[first:after].sum())
        check_trees(text[start:piece_end], sizes_T[first:after], first, num_features)
        start = piece_end
    return len(sizes_T)


def _check_header(header: str, num_classes: int, num_features: int) -> Array:
    """Return the sizes of the trees, (T,), of a header that is as it must be."""
    lines = header.split("\n")
    expected = [
        *("tree", "version=v4", f"num_class={num_classes}"),
        *(f"num_tree_per_iteration={num_classes}", "label_index=0"),
        *(f"max_feature_idx={num_features - 1}", f"objective=multiclass num_class:{num_classes}"),
        "feature_names=" + " ".join(f"Column_{number}" for number in range(num_features)),
    ]
    if len(lines) != len(expected) + 4 or lines[-2:] != ["", ""]:
        raise DamagedDataError(
            f"model text: expected a header of {len(expected) + 2} lines, got {len(lines) - 2}"
        )
    for line, wanted in zip(lines, expected, strict=False):
        if line != wanted:
            raise DamagedDataError(f"model text: expected {wanted[:60]!r}, got {line[:60]!r}")
    infos, sizes = lines[len(expected) : -2]
    name, _, values = infos.partition("=")
    is_clean = not values.encode().translate(None, _FEATURE_INFO_CHARACTERS)
    if name != "feature_infos" or not is_clean or len(values.split()) != num_features:
        raise DamagedDataError(f"feature_infos: expected the ranges of {num_features} features")
    name, _, values = sizes.partition("=")
    if name != "tree_sizes" or values.encode().translate(None, WHOLE_CHARACTERS[1:]):
        raise DamagedDataError("tree_sizes: expected whole numbers")
    sizes_T = parse_whole(values)
    if not len(sizes_T) or len(sizes_T) % num_classes:
        raise DamagedDataError(
            f"tree_sizes: expected a multiple of {num_classes} trees, got {len(sizes_T)}"
        )
    if sizes_T.min() < 1 or sizes_T.max() > MAX_TREE_CHARACTERS:
        raise DamagedDataError(f"tree_sizes: expected sizes from 1 to {MAX_TREE_CHARACTERS:,}")
    if values != " ".join(map(str, sizes_T.tolist())):
        raise DamagedDataError("tree_sizes: expected one space between numbers")
    return sizes_T


def _pieces(sizes_T: Array) -> Iterator[tuple[int, int]]:
    """Yield the first tree of each piece and the one after its last."""
    ends_T = np.cumsum(sizes_T)
    first = 0
    while first < len(sizes_T):
        begin = int(ends_T[first] - sizes_T[first])
        after = max(first + 1, int(np.searchsorted(ends_T, begin + PIECE_CHARACTERS)))
        yield first, after
        first = after
