"""Tables out as CSV whose texts no spreadsheet evaluates.

In: a table. Out: CSV. Ids, gestures and subjects come from files of others, and a spreadsheet
evaluates a cell such as ``=HYPERLINK(...)`` when it opens a CSV file. An apostrophe before it makes
it text; other texts, numbers and Parquet files stay as they are.
Source: OWASP, "CSV Injection".
"""

from __future__ import annotations

import polars as pl
from polars import selectors

_BLANK = r"[\s\x00-\x20\u200b-\u200f\u2060\ufeff]"  # what a spreadsheet skips before a formula
_START = r"[=+\-@\uff0b\uff0d\uff1d\uff20]"  # the last four are the full-width ones
# At the beginning of a text, and after what another spreadsheet takes for the end of a cell.
_FORMULA = rf'(^|[\t\r\n;,|"])({_BLANK}*)({_START})'
_LEADING = r"^([\t\r\n])"  # would be dropped with what it protects


def spreadsheet_csv(table: pl.DataFrame) -> str:
    """Return a table as CSV, an apostrophe before each formula in its texts and column names."""
    names = pl.DataFrame([table.columns], orient="row")
    parts = (_without_formulas(part).write_csv(include_header=False) for part in (names, table))
    return "".join(parts)


def _without_formulas(table: pl.DataFrame) -> pl.DataFrame:
    texts = selectors.by_dtype(pl.String, pl.Categorical, pl.Enum).cast(pl.String)
    plain = texts.str.replace_all(_FORMULA, "${1}${2}'${3}").str.replace(_LEADING, "'${1}")
    return table.with_columns(plain)
