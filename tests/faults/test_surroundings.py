"""What happens around a run: another trainer, signals, the clock, a move, other data or versions.

Either it changes no bit, or it is refused with the difference before anything is touched.
"""

from __future__ import annotations

import json
import shutil
import signal
import time

import polars as pl
import pytest

from tests.faults import summary
from tests.faults.lab import last_line, problems, read_json
from tests.support.builders import with_value
from trainer.run.control import send_command
from trainer.store.reader import RunReader
from trainer.store.resume_record import INEXACT
from trainer.store.run_state import derive_state

SLOW = ("slow_rounds", {"seconds": 0.05})
MANY = pytest.mark.faults


def until(condition, what):
    """Wait for something that has to come."""
    deadline = time.monotonic() + 60.0
    while not condition():
        assert time.monotonic() < deadline, f"{what}: did not happen"
        time.sleep(0.01)


def is_training(root):
    """Return whether a trainer has begun with a fold."""
    path = root / "trainer.log"
    return path.exists() and "begins" in path.read_text()


def is_in_a_fold(root, attempt):
    """Return whether a certain start of the trainer is at work on a fold."""
    status = RunReader(root).status()
    return status.attempt == attempt and status.model is not None


def contents(root):
    return {p: p.read_bytes() for p in root.rglob("*") if p.is_file() and p.name not in LIVE}


LIVE = ("lock", "status.json", "metrics.jsonl", "trainer.log")


# two trainers


@pytest.mark.parametrize("turns", [1, pytest.param(20, marks=MANY)])
def test_of_two_trainers_at_once_one_is_refused_and_the_other_is_not_touched(lab, turns):
    """They start at a barrier; the loser names the winner, and the bits are the same."""
    for turn in range(turns):
        root = lab.new_root()
        barrier = lab.folder / f"barrier-{turns}-{turn}"
        words = ["train", "--run", root.name, *lab.settings, "--state", root.parent]
        shims = [("wait_for", {"path": str(barrier)}), ("slow_rounds", {"seconds": 0.08})]
        children = [lab.server.start(*words, shims=shims) for _ in range(2)]
        barrier.touch()
        ended = [child.wait() for child in children]
        assert sorted(e.code for e in ended) == [0, 2], [e.words for e in ended]
        loser = next(e for e in ended if e.code == 2)
        assert "held by the trainer with pid" in loser.words or "has just begun" in loser.words
        with summary.case("two trainers, same folder"):
            assert lab.differences(root) == []
        lab.discard(root)


def test_a_second_trainer_changes_no_byte(lab):
    """The first is stopped, so that whatever changes was the second."""
    root = lab.new_root()
    first = lab.start(root, SLOW)
    until(lambda: is_training(root), "training")
    first.send(signal.SIGSTOP)
    time.sleep(0.1)
    before = contents(root) | {p: p.read_bytes() for p in map(root.joinpath, LIVE)}
    second = lab.server.run("resume", root.name, "--state", root.parent)
    after = contents(root) | {p: p.read_bytes() for p in map(root.joinpath, LIVE)}
    first.send(signal.SIGCONT)
    assert second.code == 2 and f"pid {first.pid}" in last_line(second)
    assert after == before
    assert first.wait().code == 0
    with summary.case("a second trainer changes no byte"):
        assert lab.differences(root) == []


def test_without_a_working_lock_the_older_trainer_stops_at_its_next_commit(lab):
    """A file system whose locks always succeed: the later start takes over, the earlier ends."""
    root = lab.new_root()
    first = lab.start(root, ("no_lock", {}), SLOW)
    until(lambda: is_training(root), "training")
    second = lab.run(root, ("no_lock", {}))
    ended = first.wait()
    assert second.code == 0
    assert ended.code == 1 and "another trainer has taken the run over" in last_line(ended)
    with summary.case("two trainers, no working lock"):
        lab.demand_equal(root)


# signals


@MANY
def test_a_stopped_trainer_is_stalled_and_goes_on_when_continued(lab):
    """SIGSTOP: no other process takes the run; SIGCONT: it goes on unchanged."""
    root = lab.new_root()
    child = lab.start(root, SLOW)
    until(lambda: is_training(root), "training")
    child.send(signal.SIGSTOP)
    until(lambda: derive_state(RunReader(root)).state == "stalled", "stalled")
    assert lab.server.run("resume", root.name, "--state", root.parent).code == 2
    child.send(signal.SIGCONT)
    with summary.case("SIGSTOP, then SIGCONT"):
        assert child.wait().code == 0
        assert lab.differences(root) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=MANY)])
def test_a_signal_pauses_and_a_second_ends_at_once(lab, number):
    """Both leave a run that goes on to the same bits."""
    root = lab.new_root()
    once = lab.start(root, SLOW)
    until(lambda: is_training(root), "training")
    once.send(number)
    assert once.wait().code == 3
    twice = lab.start(root, ("slow_rounds", {"seconds": 1.0}))
    until(lambda: is_in_a_fold(root, attempt=2), "training again")
    twice.send(number)
    time.sleep(0.05)
    twice.send(number)
    assert twice.wait().code == 128 + number
    with summary.case("SIGTERM and Ctrl-C, once and twice", landed=2):
        lab.demand_equal(root)


@pytest.mark.parametrize("times", [1, 2])
def test_a_signal_inside_a_commit_leaves_it_whole(lab, times):
    """Every durable write waits half-way, so the signal lands in one."""
    root = lab.new_root()
    child = lab.start(root, ("slow_writes", {"seconds": 0.02}))
    until(lambda: is_training(root), "training")
    until(lambda: any(root.rglob(".lgbm_*.tmp")), "a half-written file")
    for number in (signal.SIGTERM, signal.SIGINT)[:times]:  # two of one kind may become one
        child.send(number)
        time.sleep(0.002)
    assert child.wait().code in ([3] if times == 1 else [130, 143])
    with summary.case("SIGTERM during a commit"):
        lab.demand_equal(root)
        assert problems(root) == []


# the clock


@pytest.mark.parametrize("seconds", [86_400, -86_400])
def test_a_clock_that_jumps_by_a_day_changes_no_bit(lab, seconds):
    """During the run, and between a kill and the resume."""
    root = lab.new_root()
    jump = ("clock_jumps", {"seconds": seconds})
    ended = lab.run(root, jump, ("failpoint", {"name": "unit.recorded", "hit": 7}))
    assert ended.was_killed
    with summary.case("clock +/- 1 day"):
        ended = lab.run(root, ("clock_jumps", {"seconds": -seconds}))
        assert ended.code == 0, ended.words
        assert lab.differences(root) == []


@pytest.mark.parametrize(
    "zone", ["Pacific/Kiritimati", pytest.param("America/St_Johns", marks=MANY)]
)
def test_another_time_zone_changes_no_bit(lab, zone):
    """Paused in one, resumed in another."""
    root = lab.paused(15)
    with summary.case("another time zone"):
        assert lab.run(root, environment={"TZ": zone}).code == 0
        assert lab.differences(root) == []


# places


@pytest.mark.parametrize(
    "place",
    ["with spaces, übung-测试/été", pytest.param("deep/er/and/deeper", marks=MANY)],
)
def test_a_run_that_was_moved_goes_on(lab, place):
    """Paths inside are relative; the folder above may be called anything."""
    root = lab.paused(15)
    moved = lab.folder / place / root.name
    moved.parent.mkdir(parents=True)
    shutil.move(root, moved)
    with summary.case("moved, copied, renamed; spaces and non-ASCII"):
        lab.demand_equal(moved)


@MANY
def test_a_run_that_was_renamed_or_copied_goes_on_twice(lab):
    """Two lineages from one point end with the same bits."""
    root = lab.paused(15)
    for name in ("renamed.run-2", "a-copy"):
        copy = root.with_name(name)
        shutil.copytree(root, copy)
        with summary.case("moved, copied, renamed; spaces and non-ASCII"):
            lab.demand_equal(copy)


@pytest.mark.parametrize("command", ["pause", pytest.param("run", marks=MANY)])
def test_a_stale_command_is_ignored(lab, command):
    """A command to an earlier attempt is not a command to this one."""
    root = lab.paused(15)
    sent = send_command(root, command, "another user, yesterday").model_dump(
        mode="json", by_alias=True
    )
    sent["asked_at"] -= 86_400
    (root / "command.json").write_text(json.dumps(sent))
    with summary.case("stale command.json"):
        lab.demand_equal(root)


# what a run was made from


def change_cell(table):
    return with_value(table, "acc_x", 40, table["acc_x"][40] + 1 / 256)


def change_rows(table):
    ids = table["sequence_id"].unique(maintain_order=True)
    return pl.concat([table.filter(pl.col("sequence_id") == i) for i in reversed(ids)])


def change_label(table):
    first, last = table["sequence_id"][0], table["gesture"][-1]
    is_first = pl.col("sequence_id") == first
    kind = table["sequence_type"][-1]
    return table.with_columns(
        gesture=pl.when(is_first).then(pl.lit(last)).otherwise("gesture"),
        sequence_type=pl.when(is_first).then(pl.lit(kind)).otherwise("sequence_type"),
    )


def change_subject(table):
    return table.with_columns(pl.col("subject").replace({table["subject"][0]: "SUBJ_999999"}))


@pytest.mark.parametrize(
    "change",
    [
        *(change_cell, change_label),
        *(pytest.param(change, marks=MANY) for change in (change_rows, change_subject)),
    ],
)
def test_changed_data_is_refused_with_the_difference(lab, change):
    """Nothing of the run is touched; with the old data back it goes on."""
    root = lab.paused(15)
    kept = lab.source.read_bytes()
    before = contents(root)
    try:
        change(pl.read_parquet(lab.source)).write_parquet(lab.source)
        ended = lab.run(root)
    finally:
        lab.source.write_bytes(kept)
    demand_refused(ended, "recordings", "content")
    summary.count("data changed", cases=1, landed=1, refused=1)
    assert contents(root) == before
    lab.demand_equal(root)


def demand_refused(ended, *words):
    assert ended.code == 2, ended.words
    assert "was made from something else" in ended.words and "Either resume it" in ended.words
    assert all(word in ended.words for word in words), ended.words
    assert "Traceback" not in ended.words


@pytest.mark.parametrize(
    "option",
    [
        "--seed=7",
        *(pytest.param(option, marks=MANY) for option in ("--rounds=9", "--epochs=3")),
        *(
            pytest.param(f"--set={word}", marks=MANY)
            for word in ("network.batch_size=4", "folds.count=3")
        ),
    ],
)
def test_changed_options_are_refused_with_the_difference(lab, option):
    """``train`` on a run that is there lists old and new."""
    root = lab.paused(15)
    before = contents(root)
    words = ["train", "--run", root.name, option, "--state", root.parent]
    ended = lab.server.run(*words)
    assert ended.code == 2 and "->" in ended.words, ended.words
    assert contents(root) == before
    summary.count("configuration changed", cases=1, landed=1, refused=1)


def test_changed_feature_code_is_refused(lab):
    """Old folds are not mixed with new features."""
    root = lab.paused(15)
    ended = lab.run(root, ("other_feature_code", {}))
    demand_refused(ended, "code of features")
    summary.count("feature code changed", cases=1, landed=1, refused=1)
    lab.demand_equal(root)


def test_another_library_whose_bits_agree_goes_on_and_says_so(lab):
    """The version is another, the canary sings the same: exact."""
    root = lab.paused(15)
    assert lab.run(root, ("other_library", {})).code == 0
    with summary.case("library changed, same bits"):
        assert lab.differences(root) == []
    assert any("lightgbm" in text and "9.9.9" in text for text in problems(root))
    assert read_json(root / "resume_record.json")["is_exact"] is True


def test_another_canary_goes_on_and_is_called_inexact(lab):
    """Reported before hours are spent, and kept in the run's record."""
    root = lab.paused(15)
    ended = lab.run(root, ("other_bits", {}))
    assert ended.code == 0
    assert any(text.startswith(INEXACT) for text in problems(root))
    assert read_json(root / "resume_record.json")["is_exact"] is False
    summary.count("other bits (canary): continued, not bit-exact", cases=1, landed=1)
