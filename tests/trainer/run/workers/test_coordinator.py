"""The coordinator: when its workers stop, and what it does with folds that come back."""

from __future__ import annotations

import time

import pytest

from trainer.cli.training import read_pool
from trainer.config import ConfigError, make_config
from trainer.models import registry
from trainer.models.monitor import Paused
from trainer.run.eta import Speedometer
from trainer.run.stop_signal import StopSwitch
from trainer.run.workers import pool as crews
from trainer.run.workers import worker as workers
from trainer.run.workers.coordinator import SideBySide
from trainer.run.workers.engine import EngineError, LocalEngine
from trainer.run.workers.pool import Crew, Work, most_threads
from trainer.run.workers.worker import JobOutcome, WorkerSwitch
from trainer.store.durable import StoreError
from trainer.store.names import RunPaths
from trainer.store.reader import RunReader
from trainer.store.recorder import Recorder
from trainer.store.records import FoldRecord, dump_record
from trainer.store.worker_files import (
    is_stop_requested,
    request_stop,
)


@pytest.fixture
def paths(tmp_path):
    return RunPaths(tmp_path / "run")


@pytest.fixture
def recorder(paths):
    """The coordinator's, of the third start of the trainer."""
    recorder = Recorder(paths, 3, echo=lambda _: None)
    recorder.start()
    yield recorder
    recorder.close(state="paused")


# When a worker stops


def test_a_worker_stops_when_its_own_or_a_later_start_is_told_to(paths):
    """What an earlier start was told is over."""
    paths.root.mkdir()
    assert is_stop_requested(paths, 3) is False
    request_stop(paths, 2)
    assert [is_stop_requested(paths, attempt) for attempt in (1, 2, 3)] == [True, True, False]
    assert WorkerSwitch(paths, 2).is_set() is True
    assert WorkerSwitch(paths, 3).is_set() is False


def test_a_worker_stops_when_another_start_has_the_run(recorder, paths, monkeypatch):
    """Its commits would be refused anyway."""
    monkeypatch.setattr(workers, "LOOK_S", 0.0)
    assert WorkerSwitch(paths, 3).is_set() is False
    assert WorkerSwitch(paths, 2).is_set() is True


def test_a_worker_stops_when_the_coordinators_heart_has_stopped(paths, monkeypatch):
    """Seen by its own clock: another machine's may differ."""
    monkeypatch.setattr(workers, "LOOK_S", 0.0)
    monkeypatch.setattr(workers, "POLL_S", 0.0)
    monkeypatch.setattr(workers, "FORSAKEN_S", 0.3)
    coordinator = Recorder(paths, 3, echo=lambda _: None)
    paths.root.mkdir()
    coordinator.beat()
    switch = WorkerSwitch(paths, 3)
    assert switch.is_set() is False
    time.sleep(0.2)
    coordinator.beat()
    assert switch.is_set() is False
    time.sleep(0.2)
    assert switch.is_set() is False
    time.sleep(0.2)
    assert switch.is_set() is True


# What the coordinator makes of what comes back


class Rehearsed:
    """An engine whose workers come back as the test says, fold by fold."""

    def __init__(self, endings, num_workers=2):
        self.endings, self.size, self.running, self.begun = endings, num_workers, [], []

    def num_workers(self):
        return self.size

    def is_free_for(self, unit):
        return len(self.running) < self.size

    def begin(self, task):
        self.running.append(task)
        self.begun.append((task, len(self.running)))

    def ended(self, timeout_s):
        if not self.running:
            time.sleep(timeout_s)
            return []
        unit = self.running.pop(0)
        left = self.endings.get(unit)
        return [(unit, left.pop(0) if left else JobOutcome("done"))]

    def close(self):
        self.running.clear()


def coordinate(recorder, engine, units, max_units=None, on_loss=lambda unit: None):
    done = []
    switch = StopSwitch(recorder.paths.command)
    SideBySide(
        paths=recorder.paths,
        recorder=recorder,
        switch=switch,
        engine=engine,
        waiting=list(units),
        task=lambda unit: on_loss(unit) or unit,
        on_commit=lambda record: None,
        on_done=done.append,
        max_units=max_units,
        speed=Speedometer(),
    ).run()
    return done


LOST = JobOutcome("lost", "SIGKILL(-9)")


def test_a_fold_that_loses_its_worker_twice_goes_alone_and_a_third_loss_ends_the_run(recorder):
    """The message names the fold, the signal and what it usually means."""
    engine = Rehearsed({("lgbm", 0): [LOST, LOST, LOST]})
    units = [("lgbm", 0), ("lgbm", 1), ("lgbm", 2), ("lgbm", 3)]
    with pytest.raises(EngineError) as caught:
        coordinate(recorder, engine, units)
    assert str(caught.value).startswith(
        "lgbm fold 0: its worker was ended by SIGKILL(-9); the system does that when memory runs "
        "out. 3 workers were lost there without getting further, the last of them alone"
    )
    alone = [beside for unit, beside in engine.begun if unit == ("lgbm", 0)]
    assert (len(alone), alone[-1]) == (3, 1)
    told = [event.text for event in RunReader(recorder.paths.root).events()]
    assert len(told) == 2
    assert told[0].endswith("Another worker goes on from the last checkpoint")


def test_losses_with_progress_between_them_do_not_end_a_run(recorder):
    """Each of five workers leaves a checkpoint more than the one before."""
    generations = iter(range(1, 99))

    def commit(unit):
        record = FoldRecord(model=unit[0], fold=unit[1], generation=next(generations))
        path = recorder.paths.fold(registry.get(unit[0]), unit[1]).record
        path.parent.mkdir(exist_ok=True)
        engine.on_end = lambda: path.write_bytes(dump_record(record))

    class Committing(Rehearsed):
        def ended(self, timeout_s):
            self.on_end()
            return super().ended(timeout_s)

    engine = Committing({("lgbm", 0): [LOST] * 5}, num_workers=1)
    assert coordinate(recorder, engine, [("lgbm", 0)], on_loss=commit) == [("lgbm", 0)]
    assert len(engine.begun) == 6


def test_a_failing_fold_stops_the_others_and_keeps_its_own_message(recorder):
    """The worker's trace comes along as a note."""
    failed = JobOutcome(
        "failed", "Traceback: there", StoreError("lgbm_fold01.pkl: the disk is full")
    )
    engine = Rehearsed({("lgbm", 1): [failed], ("lgbm", 0): [JobOutcome("paused")]})
    with pytest.raises(StoreError, match="the disk is full") as caught:
        coordinate(recorder, engine, [("lgbm", 1), ("lgbm", 0), ("lgbm", 2)])
    assert caught.value.__notes__ == ["in a worker:\nTraceback: there"]
    assert [unit for unit, _ in engine.begun] == [("lgbm", 1), ("lgbm", 0)]


def test_a_fold_that_an_earlier_worker_still_holds_is_tried_again(recorder, monkeypatch):
    """On another machine a dead worker's lease lasts a while."""
    monkeypatch.setattr("trainer.run.workers.coordinator.TAKEN_WAIT_S", 0.05)
    engine = Rehearsed({("lgbm", 0): [JobOutcome("taken", "held by pid 7")] * 2})
    assert coordinate(recorder, engine, [("lgbm", 0), ("lgbm", 1)]) == [("lgbm", 1), ("lgbm", 0)]


def test_no_more_folds_are_begun_than_allowed(recorder):
    """A fold that is taken up again does not count twice."""
    engine = Rehearsed({("lgbm", 0): [LOST]})
    with pytest.raises(Paused):
        coordinate(recorder, engine, [("lgbm", fold) for fold in range(4)], max_units=2)
    assert sorted({unit for unit, _ in engine.begun}) == [("lgbm", 0), ("lgbm", 1)]


# How many there are


def work(**changes):
    usual = {
        "num_units": 10,
        "seconds": 600.0,
        "num_threads": 1,
        "count_bytes": lambda: 100 << 20,
        "has_system_locks": True,
    }
    return Work(**(usual | changes))


@pytest.fixture
def four_cores(monkeypatch):
    monkeypatch.setattr("joblib.cpu_count", lambda: 4)
    monkeypatch.setattr(crews, "free_bytes", lambda: 16 << 30)


@pytest.mark.parametrize(
    ("asked", "changes", "workers", "why"),
    [
        (None, {}, 4, "4 folds side by side (auto: cores)"),
        (None, {"num_threads": 2}, 2, "2 folds side by side (auto: cores)"),
        (None, {"num_units": 3}, 3, "3 folds side by side (auto: folds left)"),
        (None, {"num_units": 1}, 1, "folds one by one (auto: folds left)"),
        (None, {"count_bytes": lambda: 2 << 30}, 2, "2 folds side by side (auto: memory)"),
        (None, {"count_bytes": lambda: 99 << 30}, 1, "folds one by one (auto: memory)"),
        (None, {"seconds": 12.0}, 1, "folds one by one (auto: about 12 s of work)"),
        (None, {"has_system_locks": False}, 1, "folds one by one: this folder has no locks"),
        (3, {"seconds": 12.0}, 3, "3 folds side by side (as told)"),
        (16, {}, 10, "10 folds side by side (as told)"),
        (3, {"has_system_locks": False}, 1, "folds one by one: this folder has no locks"),
        (1, {"count_bytes": None}, 1, "folds one by one (as told)"),
    ],
)
def test_as_many_folds_side_by_side_as_there_is_room_for(four_cores, asked, changes, workers, why):
    """A core and memory for each; not for work that is done before a worker has started."""
    engine, told = Crew(asked).muster(work(**changes))
    assert told.startswith(why)
    assert (1 if engine is None else engine.num_workers()) == workers


def test_the_model_with_the_most_threads_decides_how_many_fit():
    """Of those that are left to fit."""
    config = make_config(None, {}, ["boosting.num_threads=1", "network.num_threads=4"], {})
    assert most_threads(config, ["lgbm", "torch"]) == 4
    assert most_threads(config, ["lgbm"]) == 1


def test_the_number_of_workers_is_read_from_the_option_then_the_environment():
    """It is of a start, not of the configuration."""
    assert read_pool(None, {}) == Crew(None)
    assert read_pool("auto", {"WORKERS": "3"}) == Crew(None)
    assert read_pool(None, {"WORKERS": "3"}) == Crew(3)
    assert read_pool("2", {"WORKERS": "3"}) == Crew(2)
    with pytest.raises(ConfigError, match="--workers: expected auto or a number from 1; got '0'"):
        read_pool("0", {})
    assert read_pool("2", {}, "dask://10.0.0.1:8786") == Crew(2, "dask://10.0.0.1:8786")
    with pytest.raises(ConfigError, match="expected local, dask or dask://HOST:PORT; got 'ray'"):
        read_pool(None, {}, "ray")
    with pytest.raises(ConfigError, match="WORKERS: expected auto or a number from 1; got 'many'"):
        read_pool(None, {"WORKERS": "many"})


def test_an_engine_that_nobody_asked_anything_starts_no_process():
    """Its workers are started when they are needed."""
    engine = LocalEngine(3)
    assert engine.is_free_for(("lgbm", 0))
    assert (engine.num_workers(), engine.ended(0.0)) == (3, [])
    engine.close()


def test_the_time_left_is_that_of_the_worker_who_is_done_last():
    """Each takes the next fold as soon as it is free."""
    speed = Speedometer({"lgbm": [0.5], "torch": [2.0]})
    work = [("lgbm", 10), ("lgbm", 20), ("torch", 5)]
    assert speed.seconds_left(work) == 25.0
    assert speed.seconds_left(work, num_workers=2) == 15.0
    assert speed.seconds_left([*work, ("torch", 0)], num_workers=9) == 10.0
    assert Speedometer({"lgbm": [0.5]}).seconds_left(work, num_workers=2) is None
