"""A minute of fuzzing for every parser that is fed from a run folder or an upload.

``FUZZ_SECONDS=600 python -m pytest tests/faults/test_fuzz.py -m faults`` fuzzes longer.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from tests.faults.fuzz import make_parsers
from tests.support.builders import make_table
from tests.support.forked_trainers import PROJECT
from trainer.run.transfer.archive import export_run
from trainer.store.codec import loads

SECONDS = os.environ.get("FUZZ_SECONDS", "60")


@pytest.fixture(scope="module")
def folder(lab, tmp_path_factory):
    """A finished tiny run, and a seed for each kind of upload."""
    folder = tmp_path_factory.mktemp("fuzz")
    root = folder / "run"
    shutil.copytree(lab.whole, root)
    table = make_table(num_subjects=1, sequences_per_subject=2, length=4, groups=("acc", "thm"))
    table.write_csv(root / "seed.csv")
    table.write_parquet(root / "seed.parquet", compression="uncompressed")
    (root / "people.csv").write_text("subject,handedness\nS0,1\n")
    text = loads((root / "lgbm_fold00.pkl").read_bytes())["packed"]["model_text"]
    (root / "seed.txt").write_text(text)
    export_run(lab.whole, root / "seed.zip")
    return folder


PARSERS = (
    *("records", "config", "status", "events", "features", "trees", "trees-text", "network"),
    *("bundle", "folds", "oof", "importance", "archive", "csv", "parquet", "people"),
)


def test_every_parser_is_fuzzed(folder):
    assert tuple(make_parsers(folder / "run")) == PARSERS


@pytest.mark.faults
@pytest.mark.timeout(int(SECONDS) + 300)
@pytest.mark.parametrize("parser", PARSERS)
def test_changed_files_raise_only_declared_errors(folder, tmp_path, parser):
    """No other error, no crash, no 20 s, no more than 1 GB; the input that does is kept."""
    pytest.importorskip("atheris")
    shutil.copytree(folder / "run", tmp_path / "run")
    command = [sys.executable, "-m", "tests.faults.fuzz", parser, tmp_path, SECONDS]
    result = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    found = sorted(tmp_path.glob("found-*"))
    printed = f"{result.stdout[-4000:]}\n{result.stderr[-2000:]}"
    assert (result.returncode, found) == (0, []), printed
