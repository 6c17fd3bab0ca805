"""Threads for arithmetic: the order of the results, what is in memory, errors."""

import threading

import pytest

from trainer.data.threads import compute_ahead, map_in_threads


@pytest.mark.parametrize("num_items", [0, 1, 5, 100])
def test_results_come_in_the_order_of_the_items(num_items):
    """However many threads, and however long an item takes."""
    items = range(num_items)
    assert list(map_in_threads(lambda item: item**2, items)) == [item**2 for item in items]
    assert list(compute_ahead(items)) == list(items)


def test_one_item_is_computed_while_the_one_before_is_used():
    """The next item is computed by another thread; the one after it is not begun."""
    begun = []
    is_second_begun = threading.Event()

    def items():
        for number in range(4):
            begun.append((number, threading.get_ident()))
            if number == 1:
                is_second_begun.set()
            yield number

    ahead = compute_ahead(items())
    assert next(ahead) == 0
    assert is_second_begun.wait(timeout=10)
    assert [number for number, _ in begun] == [0, 1]
    assert threading.get_ident() not in {thread for _, thread in begun}
    assert list(ahead) == [1, 2, 3]


def test_an_error_in_the_other_thread_is_raised_at_its_item():
    """Items before it are yielded."""

    def items():
        yield 1
        raise OSError("damaged")

    ahead = compute_ahead(items())
    assert next(ahead) == 1
    with pytest.raises(OSError, match="damaged"):
        next(ahead)
