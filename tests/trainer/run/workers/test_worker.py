"""When a worker stops: at a request, when another start has the run, without a coordinator."""

from __future__ import annotations

import time

from trainer.run.workers import worker as workers
from trainer.run.workers.worker import worker_stop_signal
from trainer.run.workers.worker_files import is_stop_requested, request_stop
from trainer.store.recorder import Recorder


def test_a_worker_stops_at_the_request_of_its_own_or_a_later_start(paths):
    """A request of an earlier start is over."""
    paths.root.mkdir()
    assert is_stop_requested(paths, 3) is False
    request_stop(paths, 2)
    assert [is_stop_requested(paths, attempt) for attempt in (1, 2, 3)] == [True, True, False]
    assert worker_stop_signal(paths, 2).is_set() is True
    assert worker_stop_signal(paths, 3).is_set() is False


def test_a_worker_stops_when_another_start_has_the_run(recorder, paths, monkeypatch):
    """Its commits would be refused anyway."""
    monkeypatch.setattr(workers, "LOOK_S", 0.0)
    assert worker_stop_signal(paths, 3).is_set() is False
    assert worker_stop_signal(paths, 2).is_set() is True


def test_a_worker_stops_without_a_heartbeat_of_the_coordinator(paths, monkeypatch):
    """Seen by its own clock: another machine's may differ."""
    monkeypatch.setattr(workers, "LOOK_S", 0.0)
    monkeypatch.setattr(workers, "POLL_S", 0.0)
    monkeypatch.setattr(workers, "ORPHANED_S", 0.3)
    coordinator = Recorder(paths, 3, echo=lambda _: None)
    paths.root.mkdir()
    coordinator.beat()
    stop = worker_stop_signal(paths, 3)
    assert stop.is_set() is False
    time.sleep(0.2)
    coordinator.beat()
    assert stop.is_set() is False
    time.sleep(0.2)
    assert stop.is_set() is False
    time.sleep(0.2)
    assert stop.is_set() is True
