"""Joining LightGBM's model texts.

In: the texts of the segments of one fold. Out: one text that LightGBM reads as one model.
Format: a header with ``tree_sizes``, the blocks ``Tree=n``, "end of trees", parameters.
"""

from __future__ import annotations

from collections.abc import Sequence

_TREE = "Tree="
_END = "end of trees"


def join(texts: Sequence[str], num_trees: int) -> str:
    """Join the first trees of consecutive segments into one model.

    Args:
        texts: Model texts, in the order in which they were boosted, equal in their headers but
            for the sizes of the trees.
        num_trees: How many trees to keep from the start.

    Returns:
        The joined model text: trees renumbered, ``tree_sizes`` rewritten, importances left out
        (LightGBM counts them again), parameters of the first segment.

    Raises:
        ValueError: The segments contain fewer than ``num_trees`` trees.
    """
    blocks = [block for text in texts for block in _trees(text)]
    if len(blocks) < num_trees:
        raise ValueError(
            f"join: expected at least {num_trees} trees, the segments hold {len(blocks)}"
        )
    renumbered = [
        f"{_TREE}{number}\n{block.partition(chr(10))[2]}"
        for number, block in enumerate(blocks[:num_trees])
    ]
    header = texts[0][: texts[0].index(_TREE)]
    sizes = " ".join(str(len(block.encode())) for block in renumbered)
    lines = [
        f"tree_sizes={sizes}" if line.startswith("tree_sizes=") else line
        for line in header.split("\n")
    ]
    return "\n".join(lines) + "".join(renumbered) + f"{_END}\n\n" + _parameters(texts[0])


def _trees(text: str) -> list[str]:
    """Return the blocks ``Tree=n`` of one model text."""
    body = text[text.index(_TREE) : text.index(_END)]
    starts = [0]
    while (found := body.find("\n" + _TREE, starts[-1])) >= 0:
        starts.append(found + 1)
    ends = [*starts[1:], len(body)]
    return [body[start:end] for start, end in zip(starts, ends, strict=True)]


def _parameters(text: str) -> str:
    """Return the parameter block and what follows it."""
    return text[text.index("parameters:") :]
