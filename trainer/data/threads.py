"""Threads for arithmetic on large arrays, during which numpy and polars let other threads run.

In: a function and what it is called with. Out: its results, in order.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

NUM_THREADS = min(4, os.cpu_count() or 1)  # more of them wait for the memory


def map_in_threads(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """Yield the result for each item, in order; one item is computed without another thread.

    Args:
        function: Called from several threads at once; must not depend on the order of the calls.
        items: At least one.
    """
    if len(items) == 1:
        yield function(items[0])
        return
    with ThreadPoolExecutor(NUM_THREADS) as pool:
        yield from pool.map(function, items)


def compute_ahead(items: Iterable[Item]) -> Iterator[Item]:
    """Yield the items in order, each computed by another thread while the one before is used.

    Args:
        items: Such as a generator; two of them are in memory at once.
    """
    iterator = iter(items)
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(list, islice(iterator, 1))  # empty at the end
        while found := following.result():
            following = pool.submit(list, islice(iterator, 1))
            yield found[0]
