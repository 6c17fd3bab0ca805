"""Thousands of changed model texts: refused, or used by LightGBM with finite numbers.

Each seed runs in a process of its own, so that a crash, a hang or memory beyond 4 GB is seen.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.support.fold_tasks import fit_table_fold
from tests.support.tiny_runs import PROJECT

COUNT = 4000
HANG_S = 600


@pytest.mark.faults
@pytest.mark.timeout(HANG_S + 60)
@pytest.mark.parametrize("seed", range(4))
def test_changed_texts_never_end_the_process(tmp_path, seed):
    """What the check lets through, LightGBM parses, predicts with and explains."""
    path = tmp_path / "text"
    path.write_text(fit_table_fold().model.text)
    command = [sys.executable, "-m", "tests.faults.hostile_texts", path, "3", "10", seed, COUNT]
    done = subprocess.run(
        list(map(str, command)),
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=HANG_S,
        check=False,
    )
    assert done.returncode == 0, f"{done.stderr[-2000:]}\n{path}.now is the text"
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["refused"] + result["passed"] == COUNT
    assert result["not finite"] == 0
