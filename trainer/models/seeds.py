"""Derived seeds: each is a function of its use, never of what ran before.

In: the run's seed and the use. Out: a 31-bit seed. So a resumed run draws the same numbers as an
uninterrupted one (DESIGN.md section 5).
"""

from __future__ import annotations

import hashlib


def derive_seed(seed: int, *parts: str | int) -> int:
    """Return a seed for one use.

    Args:
        seed: The run's seed.
        parts: The use, such as ``"lgbm", fold, "bagging", first_round``.

    Returns:
        A number in 0..2**31 - 1, the first 31 bits of a SHA-256.
    """
    text = "/".join(str(part) for part in (seed, *parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1
