"""A disk that is full or broken: a clear failure that names path and bytes, and a run that goes on.

In process every call that changes the disk fails in turn, once and for ever; on a small file system
in memory and under a limit of the file size the operating system itself refuses.
"""

from __future__ import annotations

import errno
import itertools
import os
import re
import shutil
import subprocess
from contextlib import contextmanager

import pytest

from tests.faults import summary
from tests.faults.lab import last_line

ROW = "ENOSPC or EIO at the n-th call that changes the disk"
REAL = "a real small disk filled at each stage"
MESSAGE = re.compile(
    r"/\S+: could not ((write|append|be cut).*\d bytes|be opened for writing) \(.+\)"
)
CODES = {"full": errno.ENOSPC, "broken": errno.EIO}


def demand_clear(ended, root):
    """A failed trainer names the path and the number of bytes, without a traceback."""
    assert ended.code == 1, ended.words
    assert "Traceback" not in ended.words, ended.words
    assert MESSAGE.search(ended.words), ended.words
    assert str(root) in last_line(ended)


def fail_and_finish(lab, call, code, forever):
    """Let the n-th call fail, then give the disk back; False where the run ended before it."""
    root = lab.new_root()
    options = {
        "call": call,
        "code": CODES[code],
        "forever": forever,
        "marker": str(root) + ".marker",
    }
    ended = lab.run(root, ("failing_disk", options))
    has_failed = root.with_name(root.name + ".marker").exists()
    if not has_failed:
        assert ended.code == 0
        return False
    if ended.code != 0:
        demand_clear(ended, root)
    with summary.case(ROW):
        lab.demand_equal(root)
    lab.discard(root)
    return True


@pytest.mark.parametrize(
    ("code", "forever"), [pytest.param("full", True, marks=pytest.mark.faults), ("broken", False)]
)
def test_a_disk_that_fails_at_some_calls_costs_no_bit(lab, code, forever):
    """The short version of the next."""
    assert all(fail_and_finish(lab, call, code, forever) for call in (1, 90, 200))


@pytest.mark.faults
@pytest.mark.parametrize("forever", [False, True])
@pytest.mark.parametrize("code", CODES)
def test_a_disk_that_fails_at_any_call_costs_no_bit(lab, code, forever):
    """Every sixth call of a whole run each, all of them between the four."""
    first = 1 + list(CODES).index(code) + 3 * forever
    calls = itertools.count(first, 6)
    done = itertools.takewhile(bool, (fail_and_finish(lab, n, code, forever) for n in calls))
    assert sum(done) > 30


def mount(folder, num_kib):
    folder.mkdir(parents=True, exist_ok=True)
    words = ["mount", "-t", "tmpfs", "-o", f"size={num_kib}k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(words, capture_output=True, check=False).returncode:
        pytest.skip("needs root to mount a small file system")


@contextmanager
def small_disk(lab, num_kib):
    """A file system of its own with so much room."""
    folder = lab.folder / "small"
    mount(folder, num_kib)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def resize(folder, num_kib):
    words = ["mount", "-o", f"remount,size={num_kib}k", str(folder)]
    subprocess.run(words, check=True)


@pytest.mark.faults
def test_a_real_disk_that_fills_up_at_any_stage_costs_no_bit(lab):
    """From room for nothing to room for all but the last file; then it gets bigger."""
    whole_kib = sum(path.stat().st_size for path in lab.whole.rglob("*") if path.is_file()) // 1024
    for num_kib in range(4, whole_kib + 100, 24):
        with small_disk(lab, num_kib) as folder:
            root = folder / f"run-{num_kib}"
            ended = lab.run(root)
            if ended.code == 0:
                break
            demand_clear(ended, root)
            resize(folder, 4 * whole_kib)
            with summary.case(REAL):
                lab.demand_equal(root)
    assert num_kib > whole_kib // 2


@pytest.mark.faults
@pytest.mark.parametrize("num_bytes", [300, 3_000, 12_000, 30_000, 60_000])
def test_a_limit_of_the_file_size_costs_no_bit(lab, num_bytes):
    """The operating system writes a part and refuses the rest (EFBIG)."""
    root = lab.new_root()
    ended = lab.run(root, ("file_size_limit", {"num_bytes": num_bytes}))
    with summary.case("a limit of the file size"):
        demand_clear(ended, root)
        lab.demand_equal(root)


@pytest.mark.faults
def test_a_disk_that_is_full_for_a_paused_run_fails_and_goes_on_later(lab):
    """The checkpoints that are there are kept as they are."""
    paused = lab.paused(23)
    num_kib = sum(path.stat().st_size for path in paused.rglob("*") if path.is_file()) // 1024
    with small_disk(lab, 4 * num_kib) as folder:
        root = folder / "run"
        shutil.copytree(paused, root)
        (folder / "ballast").write_bytes(bytes(free_bytes(folder) - 8192))
        ended = lab.run(root)
        demand_clear(ended, root)
        (folder / "ballast").unlink()
        with summary.case(REAL):
            lab.demand_equal(root)


def free_bytes(folder):
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def test_a_read_only_folder_is_refused_before_any_work(lab):
    """The message recommends import: it makes a copy that can be written."""
    with small_disk(lab, 4096) as folder:
        root = folder / "run"
        shutil.copytree(lab.paused(10), root)
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        ended = lab.run(root)
        subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)
        summary.count("read-only folder", cases=1, landed=1, refused=1)
        assert ended.code == 1
        assert "python -m trainer import" in last_line(ended) and "Traceback" not in ended.words
        lab.demand_equal(root)
