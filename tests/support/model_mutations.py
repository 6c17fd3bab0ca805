"""Changes inside LightGBM's model text, with every size and checksum made right again.

In: a valid text and a seeded random generator, or the line of a tree and its new values. Out: a
text that a reader which trusts sizes cannot tell from LightGBM's own.
"""

from __future__ import annotations

import random
import re

WHOLE = (
    *("0", "-1", "1", "2", "3", "7", "-2", "-3", "-9", "100", "1000000", "-1000000", "00"),
    *("2147483647", "-2147483648", "4294967296", "9223372036854775808", "", "-", "1-2", "0x10"),
    *("1e3", "1.5", "nan", "\u0661", "1 1", " ", "1\t", "+1", "1_0", "\0"),
)
FRACTIONS = (
    *("0", "-0", "1e99", "1e101", "1e308", "-1e308", "1e999", "-1e999", "inf", "-inf", "nan", ""),
    *("1e-320", "1.2.3", "1e", "--1", "0x1p3", "1" * 400, "0." + "0" * 400 + "1", "e5", "NaN"),
)
WHOLE_KEYS = (
    *("num_leaves", "num_cat", "split_feature", "decision_type", "left_child", "right_child"),
    *("leaf_count", "internal_count", "is_linear"),
)
UNKNOWN = (
    "cat_boundaries=0 1\n", "cat_threshold=1\n", "leaf_const=1 2\n", "num_features=1 1\n",
    "leaf_features=0 0\n", "leaf_coeff=1 1\n", "average_output\n", "monotone_constraints=1\n",
    "num_leaves=3\n", "=\n", "x=1=2\n",
)  # fmt: skip


def tree_blocks(text: str) -> tuple[str, list[str], str]:
    """Return the header, the block of each tree, and what follows the trees."""
    start, end = text.index("Tree=0\n"), text.index("end of trees")
    return text[:start], re.split(r"(?<=\n)(?=Tree=\d+\n)", text[start:end]), text[end:]


def join_blocks(header: str, blocks: list[str], tail: str) -> str:
    """Return a model text whose ``tree_sizes`` are those of the blocks."""
    sizes = " ".join(str(len(block.encode())) for block in blocks)
    return re.sub(r"tree_sizes=.*", f"tree_sizes={sizes}", header) + "".join(blocks) + tail


def with_line(text: str, tree: int, key: str, values: str) -> str:
    """Return the text with other values in one line of one tree."""
    header, blocks, tail = tree_blocks(text)
    blocks[tree] = re.sub(rf"(?m)^{key}=.*$", lambda _: f"{key}={values}", blocks[tree])
    return join_blocks(header, blocks, tail)


def mutate_model_text(text: str, rng: random.Random) -> str:
    """Return the text with one to three changes."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        text = _mutate_once(text, rng)
    return text


def _mutate_once(text: str, rng: random.Random) -> str:
    try:
        header, blocks, tail = tree_blocks(text)
    except ValueError:
        return text
    kind = rng.random()
    if kind < 0.7:
        place = rng.randrange(len(blocks))
        blocks[place] = _mutate_block(blocks[place], blocks, rng)
    elif kind < 0.8:
        change = rng.randrange(4)
        place = rng.randrange(len(blocks))
        if change == 0:
            del blocks[place]
        elif change == 1:
            blocks.insert(place, blocks[rng.randrange(len(blocks))])
        elif change == 2:
            blocks[place] = blocks[place][: rng.randrange(len(blocks[place]))]
        else:
            rng.shuffle(blocks)
    elif kind < 0.9:
        return join_blocks(_mutate_lines(header, rng), blocks, tail)
    elif kind < 0.95:
        return join_blocks(header, blocks, _mutate_lines(tail, rng))
    else:
        place = rng.randrange(len(text))
        return (
            text[:place]
            + rng.choice(("", "\n", " ", "=", "9", "\0", text[:40]))
            + text[place + 1 :]
        )
    return join_blocks(header, blocks, tail)


def _mutate_block(block: str, blocks: list[str], rng: random.Random) -> str:
    lines = block.split("\n")
    place = rng.randrange(1, max(2, len(lines) - 2))
    key, _, values = lines[place].partition("=")
    numbers = values.split(" ")
    kind = rng.randrange(9)
    if kind <= 4:
        numbers[rng.randrange(len(numbers))] = rng.choice(WHOLE if key in WHOLE_KEYS else FRACTIONS)
    elif kind == 5:
        numbers = numbers[: rng.randrange(len(numbers) + 1)]
    elif kind == 6:
        numbers += numbers[: rng.randrange(1, len(numbers) + 1)]
    elif kind == 7:  # of another tree
        other = re.search(rf"(?m)^{re.escape(key)}=(.*)$", rng.choice(blocks))
        numbers = other.group(1).split(" ") if other else numbers
    else:
        lines.insert(place, rng.choice(UNKNOWN).strip("\n"))
        return "\n".join(lines)
    lines[place] = f"{key}={' '.join(numbers)}"
    return "\n".join(lines)


def _mutate_lines(part: str, rng: random.Random) -> str:
    """Change one line of the header or of the parameters."""
    lines = part.split("\n")
    place = rng.randrange(len(lines))
    kind = rng.randrange(4)
    if kind == 0:
        lines[place] = re.sub(r"-?\d+", lambda _: rng.choice(WHOLE), lines[place], count=1)
    elif kind == 1:
        del lines[place]
    elif kind == 2:
        lines.insert(place, rng.choice(lines))
    else:
        lines.insert(place, rng.choice(UNKNOWN).strip("\n"))
    return "\n".join(lines)
