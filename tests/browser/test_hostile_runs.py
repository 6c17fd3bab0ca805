"""A state folder full of hostile runs: no page fails, no process ends, the good run is shown."""

from __future__ import annotations

import shutil

import psutil
import pytest

from tests.support.hostile_runs import HOSTILE

pytestmark = [pytest.mark.browser, pytest.mark.faults]

PAGES = ("", "scores", "features", "predict", "data", "runs")
MAX_MEMORY_MB = 1500


@pytest.mark.timeout(1800)
def test_no_hostile_run_darkens_a_page_or_ends_the_dashboard(
    serve, open_page, tiny_run, tmp_path, report
):
    """Every page for every hostile run; the good run beside them keeps its score."""
    state = tmp_path / "state"
    shutil.copytree(tiny_run, state / "good")
    names = {}
    for number, (title, attack) in enumerate(HOSTILE.items()):
        root = state / f"hostile-{number:02d}"
        shutil.copytree(tiny_run, root)
        attack(root)
        names[root.name] = title
    dashboard = serve(state=state)
    process = psutil.Process(dashboard.process.pid)
    score = _visit(open_page, dashboard.url("scores?run=good"))[1]
    failed = []
    for name, title in names.items():
        for part in PAGES:
            exceptions, _ = _visit(open_page, dashboard.url(f"{part}?run={name}"))
            failed += [f"{title}, {part or 'train'}: {text[-300:]}" for text in exceptions]
            assert process.status() != psutil.STATUS_ZOMBIE, (title, part)
        used_mb = process.memory_info().rss >> 20
        if used_mb > MAX_MEMORY_MB:
            failed.append(f"{title}: {used_mb} MB")
    report("memory at the end, MB", process.memory_info().rss >> 20)
    assert _visit(open_page, dashboard.url("scores?run=good"))[1] == score
    assert failed == []


def _visit(open_page, url):
    """Return the tracebacks and the first value that a page shows, in a tab of its own."""
    page = open_page(url)
    tracebacks = page.get_by_test_id("stException").all_inner_texts()
    values = page.get_by_test_id("stMetricValue").all_inner_texts()
    page.context.close()
    return tracebacks, values[:1]
