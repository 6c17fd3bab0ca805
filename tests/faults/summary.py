"""The summary: per row of facts/resume.md section 7 what was tried, what landed, what was equal."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager

COLUMNS = ("cases", "landed", "equal", "refused")
_tally: dict[str, Counter] = {}


def count(row, **numbers):
    """Add to a row: ``cases``, faults that ``landed``, runs that ended ``equal`` or ``refused``."""
    _tally.setdefault(row, Counter()).update(numbers)


@contextmanager
def case(row, landed=1):
    """Count one case whose fault landed and whose run ended equal; a failure counts no equality."""
    count(row, cases=1, landed=landed)
    yield
    count(row, equal=1)


def lines():
    """Return the table."""
    if not _tally:
        return []
    width = max(len(row) for row in _tally)
    head = f"{'fault':<{width}}" + "".join(f"{name:>9}" for name in COLUMNS)
    rows = [
        f"{row:<{width}}" + "".join(f"{numbers[name] or '-':>9}" for name in COLUMNS)
        for row, numbers in _tally.items()
    ]
    return [head, *rows]
