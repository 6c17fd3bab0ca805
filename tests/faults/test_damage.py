"""Every file of a state folder damaged in every way: the same bits at the end, or a refusal.

A refusal is for the two files that cannot be made again, and only where their copies are gone too.
"""

from __future__ import annotations

import random
import re
import shutil
import time

import pytest

from tests.faults import summary
from tests.faults.lab import last_line, problems, read_json
from trainer.models import registry
from trainer.run import control
from trainer.store.names import RunPaths
from trainer.store.reader import RunReader
from trainer.store.run_state import derive_state

ROW = "a file truncated, flipped, emptied, removed, swapped"


def truncated(share):
    def truncate(path, _):
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])

    return truncate


def short_of_a_byte(path, _):
    path.write_bytes(path.read_bytes()[:-1])


def flipped(seed):
    def flip(path, _):
        data = bytearray(path.read_bytes())
        rng = random.Random(f"{path.name} {seed}")
        if data:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(bytes(data))

    return flip


def zeroed(path, _):
    path.write_bytes(bytes(len(path.read_bytes())))


def removed(path, _):
    path.unlink()


def swapped(path, sibling):
    if sibling is None:
        return
    aside = path.with_name(".aside")
    path.replace(aside)
    sibling.replace(path)
    aside.replace(sibling)


DAMAGES = {
    "emptied": truncated(0.0),
    "a third": truncated(1 / 3),
    "short of a byte": short_of_a_byte,
    "flipped": flipped(1),
    "flipped elsewhere": flipped(2),
    "zeroed": zeroed,
    "removed": removed,
    "swapped": swapped,
}


def sibling_of(path):
    """Return the same file of another fold, or of the other model, or None."""
    pairs = [("fold00", "fold01"), ("fold01", "fold00"), ("lgbm_", "torch_"), ("torch_", "lgbm_")]
    for old, new in pairs:
        sibling = path.with_name(path.name.replace(old, new))
        if sibling != path and sibling.exists():
            return sibling
    return None


@pytest.fixture(scope="module")
def states(lab):
    """Run folders in the middle of LightGBM, of the network, and finished."""
    return {"in lgbm": lab.paused(10), "in torch": lab.paused(23), "finished": lab.whole}


def files_of(root):
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def damaged_and_finished(lab, state, name, damage):
    """Damage one file of a copy, finish the run, compare; return the run folder."""
    root = lab.copy(state)
    path = root / name
    before = path.read_bytes()
    sibling = sibling_of(path)
    DAMAGES[damage](path, sibling)
    has_changed = not path.exists() or path.read_bytes() != before
    with summary.case(ROW, landed=int(has_changed)):
        spent = spent_files(state, name)
        if damage == "swapped" and sibling is not None:
            spent |= spent_files(state, str(sibling.relative_to(root)))
        lab.demand_equal(root, spent)
    if has_changed and is_needed(state, name) and is_seen(name, damage):
        assert any(name in text for text in problem_texts(root)), problem_texts(root)
    return root


def unit_of(state, name):
    """Return the record of the unit that a checkpoint or fold file belongs to, or None."""
    model = "torch" if name.startswith("torch_models/") else "lgbm"
    match = re.search(r"fold(\d\d)(_last)?\.", name)
    if match is None or name.startswith("units/"):
        return None
    path = RunPaths(state).fold(registry.get(model), int(match[1])).record
    return read_json(path) if path.exists() else None


def spent_files(state, name):
    """Return the file and its twins where the fold is done: nothing reads its checkpoints again."""
    unit = unit_of(state, name)
    is_spent = unit is not None and unit["done"] and "_last" in name
    return {name, name.removesuffix(".prev"), unit["last"]["name"]} if is_spent else set()


def is_needed(state, name):
    """Return whether a resume has to read the file, so that damage to it must be reported."""
    unit = unit_of(state, name)
    if unit is None:
        return name in ("folds.parquet", "config.json", "checksums.json", "units/lgbm_fold00.json")
    return unit["done"] == ("_last" not in name) and not name.endswith(".prev")


def problem_texts(root):
    return [*problems(root), *(root / "trainer.log").read_text(errors="replace").splitlines()]


def is_seen(name, damage):
    """Return whether damage to the file can be detected: a record has no checksum of its own."""
    return name not in ("checksums.json", "units/lgbm_fold00.json") or damage in (
        "emptied",
        "a third",
        "zeroed",
    )


SOME = [
    ("in lgbm", "lgbm_fold00_last.pkl", "flipped"),
    ("in lgbm", "units/lgbm_fold00.json", "emptied"),
    ("in torch", "torch_models/fold00_last.pth", "flipped"),
    ("in torch", "lgbm_fold00.pkl", "flipped"),
    ("in torch", "lgbm_state.json", "swapped"),
    ("in torch", "checksums.json", "zeroed"),
    ("finished", "torch_models/fold01.pt", "flipped"),
]


@pytest.mark.parametrize(("state", "name", "damage"), SOME)
def test_a_damaged_file_changes_no_bit(lab, states, state, name, damage):
    """The short version of the next."""
    lab.discard(damaged_and_finished(lab, states[state], name, damage))


@pytest.mark.faults
@pytest.mark.parametrize("state", ["in lgbm", "in torch", "finished"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_any_file_damaged_in_any_way_changes_no_bit(lab, states, state, damage):
    """Every file that is there, one at a time."""
    for name in files_of(states[state]):
        lab.discard(damaged_and_finished(lab, states[state], name, damage))


@pytest.mark.parametrize("name", ["config.json", "folds.parquet"])
@pytest.mark.parametrize(
    "damage",
    [
        "flipped",
        *(pytest.param(damage, marks=pytest.mark.faults) for damage in ("emptied", "removed")),
    ],
)
def test_where_both_copies_are_damaged_it_is_refused_by_name(lab, states, name, damage):
    """What cannot be made again is never guessed."""
    root = lab.copy(states["in torch"])
    for copy in (name, f"{name}.prev"):
        DAMAGES[damage](root / copy, None)
    before = (root / "torch_models/fold00_last.pth").read_bytes()
    ended = lab.server.run("resume", root.name, "--state", root.parent)
    assert ended.code in (1, 2)
    assert name in last_line(ended) and "Traceback" not in ended.words
    assert (root / "torch_models/fold00_last.pth").read_bytes() == before
    summary.count("both copies damaged", cases=1, landed=1, refused=1)
    for copy in (name, f"{name}.prev"):
        shutil.copy(states["in torch"] / name, root / copy)
    lab.demand_equal(root)


def test_where_both_generations_are_damaged_the_fold_starts_over(lab, states):
    """Only that fold, and it is reported."""
    root = lab.copy(states["in torch"])
    for name in ("fold00_last.pth", "fold00_last.pth.prev"):
        DAMAGES["flipped"](root / "torch_models" / name, None)
    with summary.case("all generations of a checkpoint damaged"):
        lab.demand_equal(root)
    assert any("torch_models/fold00_last.pth" in text for text in problems(root))


@pytest.mark.faults
def test_a_finished_folds_file_from_another_run_is_not_taken(lab, states):
    """The same name, whole, but not the content that the record names."""
    other = lab.new_root()
    options = ("--seed", 7, "--state", other.parent, "--stop-after-folds", 3)  # checkpoints stay
    lab.server.run("train", "--run", other.name, *lab.settings, *options)
    for name in ("lgbm_fold00.pkl", "torch_models/fold00_last.pth", "folds.parquet"):
        root = lab.copy(states["in torch"])
        shutil.copy(other / name, root / name)
        with summary.case("a file swapped in from another run"):
            lab.demand_equal(root)


def test_a_removed_configuration_can_be_resumed_from_the_dashboard_too(lab, states):
    """Its copy is there, and that is enough for the button as for the command."""
    root = lab.copy(states["in torch"])
    (root / "config.json").unlink()
    (root / "status.json").unlink()
    assert control.resume(root) > 0
    deadline = time.monotonic() + 120
    while derive_state(RunReader(root)).state != "finished" and time.monotonic() < deadline:
        time.sleep(0.1)
    control.reap()
    with summary.case("config.json removed, resumed from the dashboard"):
        assert lab.differences(root) == []
