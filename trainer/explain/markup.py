"""Markup: tables and drawings as pieces of HTML that need nothing from elsewhere.

In: plain texts and numbers. Out: HTML; every text is escaped here, so that no file name, id or
gesture can bring markup of its own.

Shapes: T time steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating]

WIDTH, BAR_HEIGHT, CHART_HEIGHT = 720, 20, 150  # pixels
LABEL_WIDTH = 260  # pixels, left of a bar
COLOURS = ("#1f77b4", "#d95f02", "#2a9d5c", "#7b52ab")
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem;
       color: #1c1c1c; background: #fff }
table { border-collapse: collapse; margin: .5rem 0 1.5rem; display: block; overflow-x: auto }
svg { max-width: 100%; height: auto }
th, td { text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid #ddd }
.number { text-align: right; font-variant-numeric: tabular-nums } .quiet { color: #666 }
"""
# no script, no image and no address of elsewhere can be loaded, whatever stands in the text
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(title: str, parts: Sequence[str]) -> str:
    """Return a whole document.

    Args:
        title: Text.
        parts: HTML of the pieces below.
    """
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body><h1>{escape(title)}</h1>\n{chr(10).join(parts)}\n</body></html>\n"
    )


def section(heading: str, *parts: str) -> str:
    """Return a heading with HTML pieces below it."""
    return f"<h2>{escape(heading)}</h2>\n" + "\n".join(parts)


def paragraph(text: str, is_quiet: bool = False) -> str:
    """Return a paragraph of text."""
    return f'<p class="quiet">{escape(text)}</p>' if is_quiet else f"<p>{escape(text)}</p>"


def table(headings: Sequence[str], rows: Sequence[Sequence[str | float]]) -> str:
    """Return a table; numbers are aligned right, with three places."""
    head = "".join(f"<th>{escape(text)}</th>" for text in headings)
    body = "\n".join(f"<tr>{''.join(_cell(value) for value in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>"


def bar_chart(rows: Sequence[tuple[str, float]]) -> str:
    """Return horizontal bars from a common zero line, negative ones to the left."""
    values = [value for _, value in rows]
    low, high = min(0.0, *values), max(0.0, *values)
    scale = (WIDTH - LABEL_WIDTH - 70) / ((high - low) or 1.0)  # the value stands behind its bar
    zero = LABEL_WIDTH - low * scale
    parts = []
    for number, (label, value) in enumerate(rows):
        y = number * BAR_HEIGHT
        left, width = zero + min(0.0, value) * scale, abs(value) * scale
        colour = COLOURS[0] if value >= 0 else COLOURS[1]
        parts.append(
            f'<text x="0" y="{y + 14}" font-size="12">{escape(label[:44])}</text>'
            f'<rect x="{left:.1f}" y="{y + 3}" width="{width:.1f}" height="13" fill="{colour}"/>'
            f'<text x="{left + width + 4:.1f}" y="{y + 14}" font-size="12">{value:.3f}</text>'
        )
    return _svg(BAR_HEIGHT * len(rows), parts)


def line_chart(series: Mapping[str, Values], rate_hz: float) -> str:
    """Return lines over a common time axis in seconds; missing values leave gaps.

    Args:
        series: Name to (T,) values.
        rate_hz: Time steps in a second.
    """
    told = np.concatenate([np.asarray(values_T, dtype=np.float64) for values_T in series.values()])
    low, high = float(np.nanmin(told)), float(np.nanmax(told))
    seconds = max(len(values_T) for values_T in series.values()) / rate_hz
    parts = [
        f'<text x="0" y="12" font-size="12">{high:.3g}</text>'
        f'<text x="0" y="{CHART_HEIGHT}" font-size="12">{low:.3g}</text>'
        f'<text x="{WIDTH - 40}" y="{CHART_HEIGHT + 16}" font-size="12">{seconds:.1f} s</text>'
    ]
    for number, (name, values_T) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        parts.append(
            f'<text x="{50 + 150 * number}" y="{CHART_HEIGHT + 16}" font-size="12" '
            f'fill="{colour}">{escape(name)}</text>'
        )
        parts += _lines(np.asarray(values_T, dtype=np.float64), low, high, colour)
    return _svg(CHART_HEIGHT + 22, parts)


def _lines(values_T: NDArray[np.float64], low: float, high: float, colour: str) -> list[str]:
    """Return one polyline for each stretch without a gap."""
    x_T = 50 + (WIDTH - 60) * np.arange(len(values_T)) / max(1, len(values_T) - 1)
    y_T = 4 + (CHART_HEIGHT - 8) * (high - values_T) / ((high - low) or 1.0)
    known_idx = np.flatnonzero(~np.isnan(values_T))
    stretches = np.split(known_idx, np.flatnonzero(np.diff(known_idx) > 1) + 1)
    return [
        f'<polyline fill="none" stroke="{colour}" points="'
        + " ".join(f"{x_T[step]:.1f},{y_T[step]:.1f}" for step in stretch)
        + '"/>'
        for stretch in stretches
        if len(stretch)
    ]


def _svg(height: int, parts: Sequence[str]) -> str:
    inside = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img">\n{inside}\n</svg>'
    )


def _cell(value: str | float) -> str:
    if isinstance(value, str):
        return f"<td>{escape(value)}</td>"
    return f'<td class="number">{value:.3f}</td>'
