"""The coordinator: workers that are lost, that fail, that another process still holds."""

from __future__ import annotations

import time

import pytest

from trainer.models import registry
from trainer.models.monitor import Paused
from trainer.run.estimate import StepTimer
from trainer.run.stop_signal import StopSignal
from trainer.run.workers.coordinator import Coordinator
from trainer.run.workers.engine import EngineError, LocalEngine
from trainer.run.workers.worker import JobOutcome
from trainer.store.durable import StoreError
from trainer.store.reader import RunReader
from trainer.store.records import FoldRecord, dump_record


class Rehearsed:
    """An engine whose workers come back as the test says, fold by fold."""

    def __init__(self, endings, num_workers=2):
        self.endings, self.size, self.running, self.begun = endings, num_workers, [], []

    def num_workers(self):
        return self.size

    def is_free_for(self, unit):
        return len(self.running) < self.size

    def begin(self, fold, work, job, shared):
        self.running.append(job)
        self.begun.append((job, len(self.running)))

    def ended(self, timeout_s):
        if not self.running:
            time.sleep(timeout_s)
            return []
        unit = self.running.pop(0)
        left = self.endings.get(unit)
        return [(unit, left.pop(0) if left else JobOutcome("done"))]

    def close(self):
        self.running.clear()


def coordinate(recorder, engine, units, max_folds=None, on_loss=lambda unit: None):
    done = []
    Coordinator(
        paths=recorder.paths,
        recorder=recorder,
        stop=StopSignal(),
        engine=engine,
        shared=None,
        waiting=list(units),
        make_job=lambda unit: on_loss(unit) or unit,
        on_commit=lambda record: None,
        on_done=done.append,
        steps_left=lambda unit: (unit[0], None),
        max_folds=max_folds,
        timer=StepTimer(),
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
        "out. 3 workers were lost there without progress, the last of them alone"
    )
    alone = [beside for unit, beside in engine.begun if unit == ("lgbm", 0)]
    assert (len(alone), alone[-1]) == (3, 1)
    told = [event.text for event in RunReader(recorder.paths.root).events()]
    assert len(told) == 2
    assert told[0].endswith("Another worker continues from the last checkpoint")


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
        coordinate(recorder, engine, [("lgbm", fold) for fold in range(4)], max_folds=2)
    assert sorted({unit for unit, _ in engine.begun}) == [("lgbm", 0), ("lgbm", 1)]


def test_an_engine_without_work_starts_no_process():
    """Its workers are started when they are needed."""
    engine = LocalEngine(3)
    assert engine.is_free_for(("lgbm", 0))
    assert (engine.num_workers(), engine.ended(0.0)) == (3, [])
    engine.close()
