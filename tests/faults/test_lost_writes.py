"""A power cut: every state that it could leave is opened, and a part of them finished and compared.

Whatever a commit had returned for is still there. ``status.json``, ``command.json`` and the history
are not flushed, by design; losing them costs only what they contain.
"""

from __future__ import annotations

import random
import re

import pytest

from tests.faults import power, summary
from tests.faults.lab import Lab
from trainer.models import registry
from trainer.store.durable import StoreError
from trainer.store.fold_files import FoldFiles
from trainer.store.names import RunPaths
from trainer.store.reader import RunReader

OPENED = "power cut: states opened, nothing committed was lost"
FINISHED = "power cut: states finished and compared"


@pytest.fixture(scope="module")
def recorded(lab: Lab):
    """A whole run, with every change and every flush of its folder."""
    return record(lab)


def record(lab, *shims):
    root = lab.new_root()
    target = lab.folder / f"disk-{root.name}"
    ended = lab.run(root, *shims, ("record_disk", {"root": str(root), "target": str(target)}))
    assert ended.code == 0, ended.words
    return target


def losses(lab, target, cut):
    """Open a state as the trainer does; return what was committed and is not there."""
    root = lab.new_root()
    cut.build(target, root)
    found = [loss for name, floor in cut.floor.items() for loss in lost_of_unit(root, name, floor)]
    lab.discard(root)
    return found


def lost_of_unit(root, name, floor):
    model, fold = re.match(r"units/(\w+)_fold(\d\d)\.json", name).groups()
    try:
        state = RunReader(root).model_state(model)
    except StoreError as error:
        return [str(error)]
    store = FoldFiles.open(RunPaths(root).fold(registry.get(model), int(fold)), 99, state)
    if store.record.generation < floor:
        return [f"{name}: generation {floor} was committed, {store.record.generation} is there"]
    is_there = store.load_final() if store.record.done else store.load_last()
    return store.problems + ([] if is_there else [f"{name}: nothing to go on from"])


def finish_and_compare(lab, target, cut):
    root = lab.new_root()
    root.mkdir(parents=True)
    cut.build(target, root)
    with summary.case(FINISHED):
        lab.demand_equal(root)
    lab.discard(root)


def sample(cuts, number):
    """Return so many states, of every kind of event, over the whole run."""
    rng = random.Random(5)
    by_kind = {}
    for cut in cuts:
        by_kind.setdefault(cut.kind, []).append(cut)
    share = max(1, number // len(by_kind))
    return [cut for kind in by_kind.values() for cut in rng.sample(kind, min(share, len(kind)))]


def test_no_power_cut_loses_what_was_committed(lab, recorded):
    """All states, opened by the trainer's own code."""
    cuts = power.cuts(recorded)
    assert len(cuts) > 300
    for cut in cuts[::9]:
        with summary.case(OPENED):
            assert losses(lab, recorded, cut) == [], f"cut after event {cut.after}, a {cut.kind}"


def test_a_run_goes_on_from_some_states_with_the_same_bits(lab, recorded):
    """The short version of the next."""
    for cut in sample(power.cuts(recorded), 8):
        finish_and_compare(lab, recorded, cut)


@pytest.mark.faults
def test_a_run_goes_on_from_any_state_with_the_same_bits(lab, recorded):
    """Some hundreds, of every kind of event; and every state opened."""
    cuts = power.cuts(recorded)
    for cut in cuts:
        with summary.case(OPENED):
            assert losses(lab, recorded, cut) == [], f"cut after event {cut.after}, a {cut.kind}"
    for cut in sample(cuts, 240):
        finish_and_compare(lab, recorded, cut)


@pytest.mark.parametrize("worse", ["no_fsync", "no_folder_sync"])
def test_a_protocol_that_does_not_flush_is_caught(lab, worse):
    """The negative control: without fsync of files, or of folders, commits are lost."""
    target = record(lab, (worse, {}))
    is_red = any(losses(lab, target, cut) for cut in power.cuts(target)[::7])
    summary.count("negative controls: the suite turned red", cases=1, landed=int(is_red))
    assert is_red
