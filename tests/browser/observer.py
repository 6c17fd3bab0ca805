"""Observer: when the page showed what, on the browser's own clock, which is this machine's.

In: an open Train page. Out: moments and texts, to hold against the times in ``metrics.jsonl``.
"""

from __future__ import annotations

import math

_WATCH = """() => {
  window.seen = [];
  let last = '';
  const look = () => {
    const rows = [...document.querySelectorAll('[data-testid=stTable] tr')];
    const lines = rows.map(row => [...row.cells].map(c => c.innerText.trim()).join('|'));
    for (const element of document.querySelectorAll('[data-testid=stMarkdown]'))
      if (element.innerText.includes(', newest: ')) lines.push(element.innerText.trim());
    const text = lines.join('\\n');
    if (text !== last) { last = text; window.seen.push([Date.now() / 1000, text]); }
  };
  new MutationObserver(look).observe(
    document.body, {subtree: true, childList: true, characterData: true});
  look();
}"""


def watch(page):
    """Keep from now on when the board or a newest point changed."""
    page.evaluate(_WATCH)


def seen(page):
    """Return what was shown: pairs of seconds since 1970 and lines of text, oldest first."""
    return [(moment, text) for moment, text in page.evaluate("window.seen")]


def delay_s(observations, event_time, is_shown):
    """Return how long after the event the page first showed it; infinite where it never did."""
    shown = [moment for moment, text in observations if is_shown(text)]
    return min(shown) - event_time if shown else math.inf


def percentile_95(values):
    """Return the smallest value that at least 95 % do not exceed."""
    return sorted(values)[math.ceil(0.95 * len(values)) - 1]
